//! k-means: classes that are compact in the space of the bands (Lloyd 1982; seeds as by Arthur and Vassilvitskii 2007).
//!
//! The first mean is a pixel picked by the seed; each next one is a pixel picked with a probability proportional to its squared
//! distance from the means so far. Then means and assignment are repeated until no pixel changes. Everything is counted in whole
//! numbers, so the outcome depends on the sample and the seed alone. Classes that end up empty are left out: an image with fewer
//! different pixels than classes gets as many classes as it has pixels.

use rayon::prelude::*;
use stfusion_core::{Exec, Result};

use super::class_means::{assigned, distance, ClassMeans};
use super::pixel_sample::{hash, PixelSample};

/// Number of classes, rounds and the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KMeans {
    /// Most classes.
    pub classes: usize,
    /// Most rounds of assignment.
    pub iterations: usize,
    /// Picks the first means.
    pub seed: u64,
}

impl KMeans {
    /// The classes of a sample; `None` when it has no pixel.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Cancelled`].
    pub fn fit(&self, sample: &PixelSample, exec: &Exec<'_>) -> Result<Option<ClassMeans>> {
        if sample.pixels() == 0 {
            return Ok(None);
        }
        let mut means = seeds(sample, self.classes, self.seed, exec)?;
        let mut labels = vec![u16::MAX; sample.pixels()];
        for _ in 0..self.iterations.max(1) {
            exec.cancel.check()?;
            let (members, changed) = assigned(sample, &means, &mut labels);
            means = members.iter().filter(|m| m.count > 0).map(|m| m.mean()).collect();
            if changed == 0 {
                break;
            }
            if means.len() < members.len() {
                labels.fill(u16::MAX); // the classes have other numbers now
            }
        }
        Ok(Some(ClassMeans::new(sample, means)))
    }
}

/// At most `classes` different pixels of a sample that lie far from each other.
pub(super) fn seeds(sample: &PixelSample, classes: usize, seed: u64, exec: &Exec<'_>) -> Result<Vec<Vec<i32>>> {
    let count = sample.pixels();
    let first = (hash(seed, 0, 0) % count as u64) as usize;
    let pixel = |i: usize| sample.values[i * sample.bands..(i + 1) * sample.bands].to_vec();
    let mut means = vec![pixel(first)];
    let mut nearest = vec![u64::MAX; count];
    while means.len() < classes {
        exec.cancel.check()?;
        let newest = &means[means.len() - 1];
        let pixels = sample.values.par_chunks(sample.bands.max(1)).with_min_len(4096);
        let nearer = pixels.zip(&mut nearest).map(|(pixel, near)| {
            *near = (*near).min(distance(pixel, newest));
            u128::from(*near)
        });
        let total: u128 = nearer.sum();
        if total == 0 {
            break; // every pixel is a mean
        }
        let fraction = u128::from(hash(seed, means.len() as u64, 1));
        let mut left = (total >> 64) * fraction + (((total & u128::from(u64::MAX)) * fraction) >> 64);
        let mut picked = 0;
        for (i, near) in nearest.iter().enumerate().filter(|(_, near)| **near > 0) {
            picked = i;
            if u128::from(*near) > left {
                break;
            }
            left -= u128::from(*near);
        }
        means.push(pixel(picked));
    }
    Ok(means)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use stfusion_core::Cancel;

    fn fit(classes: usize, bands: usize, pixels: &[f32], seed: u64) -> ClassMeans {
        let cancel = Cancel::new();
        let sample = PixelSample::of_pixels(bands, pixels);
        KMeans { classes, iterations: 50, seed }.fit(&sample, &Exec::quiet(&cancel)).unwrap().unwrap()
    }

    /// Pixels around three centres that are far apart.
    fn clusters(noise: &[f32]) -> Vec<f32> {
        let centres = [[0.1, 0.1], [0.5, 0.2], [0.3, 0.8]];
        noise.chunks_exact(2).enumerate().flat_map(|(i, n)| [centres[i % 3][0] + n[0], centres[i % 3][1] + n[1]]).collect()
    }

    proptest! {
        #[test]
        fn clusters_that_are_apart_are_found(noise in prop::collection::vec(-0.02f32..0.02, 60), seed in 0u64..1000) {
            let pixels = clusters(&noise);
            // k-means++ picks far pixels with a high probability, not with certainty: two first means in one cluster stay there
            let sample = PixelSample::of_pixels(2, &pixels);
            let first = seeds(&sample, 3, seed, &Exec::quiet(&Cancel::new())).unwrap();
            let apart = [(0, 1), (0, 2), (1, 2)].map(|(i, j)| distance(&first[i], &first[j]) as f64);
            prop_assume!(apart.iter().all(|d| *d > 0.05 * apart.iter().copied().fold(0.0, f64::max)));
            let model = fit(3, 2, &pixels, seed);
            prop_assert_eq!(model.classes(), 3);
            // ordered by brightness: sums 0.2, 0.7, 1.1
            for (i, pixel) in pixels.chunks_exact(2).enumerate() {
                prop_assert_eq!(usize::from(model.class_of(pixel, &mut Vec::new())), i % 3);
            }
            let of_first: Vec<f32> = pixels.chunks_exact(2).step_by(3).map(|p| p[1]).collect();
            let mean = of_first.iter().map(|v| f64::from(*v)).sum::<f64>() / of_first.len() as f64;
            prop_assert!((model.mean(0)[1] - mean).abs() < 1e-5);
        }

        #[test]
        fn permuted_bands_have_permuted_means(pixels in prop::collection::vec(-1.0f32..1.0, 90), seed in 0u64..1000) {
            let order = [2, 0, 1];
            let permuted: Vec<f32> = pixels.chunks_exact(3).flat_map(|p| order.map(|b| p[b])).collect();
            let (a, b) = (fit(4, 3, &pixels, seed), fit(4, 3, &permuted, seed));
            prop_assert_eq!(a.classes(), b.classes());
            for class in 0..a.classes() {
                let mean = a.mean(class);
                prop_assert_eq!(order.map(|band| mean[band]).to_vec(), b.mean(class));
            }
        }

        #[test]
        fn every_pixel_is_nearest_to_the_mean_of_its_class(pixels in prop::collection::vec(-1.0f32..1.0, 2..60), seed in 0u64..1000) {
            let model = fit(5, 1, &pixels, seed);
            let mut sums = vec![(0.0, 0.0); model.classes()];
            for v in &pixels {
                let sum = &mut sums[usize::from(model.class_of(&[*v], &mut Vec::new()))];
                *sum = (sum.0 + f64::from(*v), sum.1 + 1.0);
            }
            for (class, (sum, count)) in sums.into_iter().enumerate() {
                prop_assert!(count > 0.0 && (sum / count - model.mean(class)[0]).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn equal_pixels_make_one_class_and_none_make_no_model() {
        let model = fit(4, 2, &[0.3, 0.7, 0.3, 0.7, 0.3, 0.7], 5);
        assert_eq!((model.classes(), model.class_of(&[9.0, 9.0], &mut Vec::new())), (1, 0));
        assert_eq!(fit(4, 1, &[0.5, 0.5, -0.5], 5).classes(), 2);
        let cancel = Cancel::new();
        let empty = PixelSample::of_pixels(2, &[]);
        assert!(KMeans { classes: 3, iterations: 9, seed: 1 }.fit(&empty, &Exec::quiet(&cancel)).unwrap().is_none());
    }
}
