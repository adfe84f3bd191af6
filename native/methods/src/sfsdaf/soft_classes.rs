//! Fractions of classes in a fine pixel: the nearer its values are to the mean of a class, in the measure of that class's covariance,
//! the more of the class it holds.

use crate::blocks::class_means::ClassMeans;
use crate::blocks::pixel_sample::PixelSample;

/// Part of a band's variance over the whole sample that is added to its variance in every class: a class of few or equal pixels
/// has a covariance that cannot be inverted.
const ADDED_VARIANCE: f64 = 1e-6;
/// Squared distances below this count as this: a pixel at the mean of a class holds that class alone.
const LEAST_DISTANCE: f64 = 1e-6;

/// Most classes; the parameter `classes` admits no more.
const MOST_CLASSES: usize = 50;

/// Mean and covariance of every class. See the [module](self).
#[derive(Debug, Clone)]
pub struct SoftClasses {
    bands: usize,
    unit: f64,
    /// Class by class, in units.
    means: Vec<f64>,
    /// The inverses of the Cholesky factors of the covariances (lower triangles, row by row), class by class.
    whitening: Vec<Vec<f64>>,
}

/// What kernels find fractions with.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Bands of a pixel.
    pub bands: usize,
    /// The unit of the means.
    pub unit: f64,
    /// Means of the classes, class by class, in units.
    pub means: &'a [f64],
    /// The inverses of the Cholesky factors of the covariances (lower triangles, row by row), class by class.
    pub whitening: &'a [Vec<f64>],
}

impl SoftClasses {
    /// From the pixels of a sample, each in the class that `classifier` gives it.
    pub fn of_sample(sample: &PixelSample, classifier: &ClassMeans) -> SoftClasses {
        let (bands, classes) = (sample.bands, classifier.classes());
        // one row of sums of products more, for the whole sample; exact, so that the order of pixels plays no part
        let mut counts = vec![0i64; classes + 1];
        let mut sums = vec![0i64; (classes + 1) * bands];
        let mut products = vec![0i128; (classes + 1) * bands * bands];
        let (mut values, mut units) = (vec![0.0f32; bands], Vec::with_capacity(bands));
        for pixel in sample.iter() {
            values.iter_mut().zip(pixel).for_each(|(v, units)| *v = (f64::from(*units) * sample.unit) as f32);
            for class in [usize::from(classifier.class_of(&values, &mut units)), classes] {
                counts[class] += 1;
                for (a, va) in pixel.iter().enumerate() {
                    sums[class * bands + a] += i64::from(*va);
                    for (b, vb) in pixel.iter().enumerate() {
                        products[(class * bands + a) * bands + b] += i128::from(i64::from(*va) * i64::from(*vb));
                    }
                }
            }
        }
        let mean = |class: usize, band: usize| sums[class * bands + band] as f64 / counts[class].max(1) as f64;
        let covariance = |class: usize, a: usize, b: usize| {
            let n = i128::from(counts[class]);
            let (sa, sb) = (i128::from(sums[class * bands + a]), i128::from(sums[class * bands + b]));
            let about_mean = n * products[(class * bands + a) * bands + b] - sa * sb;
            about_mean as f64 / (n * (n - 1)).max(1) as f64
        };
        let whitening = (0..classes).map(|class| {
            let added = |band: usize| ADDED_VARIANCE * covariance(classes, band, band) + 1.0;
            let matrix = |a: usize, b: usize| covariance(class, a, b) + if a == b { added(a) } else { 0.0 };
            inverse_factor(bands, matrix)
        });
        SoftClasses {
            bands,
            unit: sample.unit,
            whitening: whitening.collect(),
            means: (0..classes).flat_map(|class| (0..bands).map(move |band| (class, band))).map(|(c, b)| mean(c, b)).collect(),
        }
    }

    /// Number of classes.
    pub fn count(&self) -> usize {
        self.whitening.len()
    }

    /// What kernels find fractions with.
    pub fn parts(&self) -> Parts<'_> {
        Parts { bands: self.bands, unit: self.unit, means: &self.means, whitening: &self.whitening }
    }

    /// Squared Mahalanobis distance of a pixel from the mean of a class.
    fn squared_distance(&self, class: usize, pixel: &[f32]) -> f64 {
        let means = &self.means[class * self.bands..(class + 1) * self.bands];
        let mut rows = self.whitening[class].as_slice();
        let mut sum = 0.0;
        for band in 0..self.bands {
            let (row, rest) = rows.split_at(band + 1);
            let mut along = 0.0;
            for ((factor, value), mean) in row.iter().zip(pixel).zip(means) {
                along += factor * (f64::from(*value) / self.unit - mean);
            }
            sum += along * along;
            rows = rest;
        }
        sum
    }

    /// Fractions of a pixel, which has no `NaN`; they add up to 1.
    pub fn fractions(&self, pixel: &[f32], to: &mut [f32]) {
        let mut total = 0.0;
        let mut inverse = [0.0f64; MOST_CLASSES];
        for (class, inverse) in inverse[..self.count()].iter_mut().enumerate() {
            *inverse = 1.0 / self.squared_distance(class, pixel).max(LEAST_DISTANCE);
            total += *inverse;
        }
        to.iter_mut().zip(inverse).for_each(|(to, inverse)| *to = (inverse / total) as f32);
    }

    /// Fractions of all pixels of a sample, pixel by pixel.
    pub fn of_pixels(&self, sample: &PixelSample) -> Vec<f32> {
        let mut fractions = vec![0.0; sample.pixels() * self.count()];
        let mut values = vec![0.0f32; self.bands];
        for (pixel, to) in sample.iter().zip(fractions.chunks_exact_mut(self.count())) {
            values.iter_mut().zip(pixel).for_each(|(v, units)| *v = (f64::from(*units) * sample.unit) as f32);
            self.fractions(&values, to);
        }
        fractions
    }
}

/// The inverse of the lower Cholesky factor of a positive definite matrix, its rows up to the diagonal.
fn inverse_factor(n: usize, matrix: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut factor = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| factor[i * n + k] * factor[j * n + k]).sum();
            let rest = matrix(i, j) - sum;
            // what is added to the diagonal keeps it positive up to rounding
            factor[i * n + j] = if i == j { rest.max(1.0).sqrt() } else { rest / factor[j * n + j] };
        }
    }
    let mut inverse = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (j..i).map(|k| factor[i * n + k] * inverse[k * n + j]).sum();
            inverse[i * n + j] = (f64::from(u8::from(i == j)) - sum) / factor[i * n + i];
        }
    }
    (0..n).flat_map(|i| inverse[i * n..=i * n + i].to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stfusion_core::{Cancel, Exec};

    use super::*;
    use crate::blocks::k_means::KMeans;
    use crate::blocks::linear_system::Lu;

    fn of(bands: usize, pixels: &[f32], classes: usize) -> (PixelSample, ClassMeans, SoftClasses) {
        let sample = PixelSample::of_pixels(bands, pixels);
        let cancel = Cancel::new();
        let means = KMeans { classes, iterations: 50, seed: 1 }.fit(&sample, &Exec::quiet(&cancel)).unwrap().unwrap();
        let soft = SoftClasses::of_sample(&sample, &means);
        (sample, means, soft)
    }

    proptest! {
        #[test]
        fn fractions_are_inverse_mahalanobis_distances(
            pixels in prop::collection::vec(-1.0f32..1.0, 3 * 40), pixel in prop::collection::vec(-2.0f32..2.0, 3),
        ) {
            let (sample, means, soft) = of(3, &pixels, 2);
            let mut got = vec![0.0; soft.count()];
            soft.fractions(&pixel, &mut got);
            let distance = |class: usize| {
                let members: Vec<&[f32]> =
                    pixels.chunks_exact(3).filter(|p| usize::from(means.class_of(p, &mut Vec::new())) == class).collect();
                let n = members.len() as f64;
                let mean = |b: usize| members.iter().map(|p| f64::from(p[b])).sum::<f64>() / n;
                let all = |b: usize| {
                    let values: Vec<f64> = pixels.chunks_exact(3).map(|p| f64::from(p[b])).collect();
                    let mean = values.iter().sum::<f64>() / 40.0;
                    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 39.0
                };
                let product = |a: usize, b: usize| {
                    members.iter().map(|p| (f64::from(p[a]) - mean(a)) * (f64::from(p[b]) - mean(b))).sum::<f64>()
                };
                let element = |a: usize, b: usize| {
                    product(a, b) / (n - 1.0).max(1.0) + if a == b { 1e-6 * all(a) + sample.unit.powi(2) } else { 0.0 }
                };
                let matrix: Vec<f64> = (0..9).map(|i| element(i % 3, i / 3)).collect();
                let apart: Vec<f64> = (0..3).map(|b| f64::from(pixel[b]) - mean(b)).collect();
                let mut solved = apart.clone();
                Lu::new(matrix, 3).unwrap().solve(&mut solved);
                apart.iter().zip(&solved).map(|(a, s)| a * s).sum::<f64>()
            };
            // classes of less than four pixels have a covariance that rounding decides
            let counts = |class| pixels.chunks_exact(3).filter(|p| usize::from(means.class_of(p, &mut Vec::new())) == class).count();
            prop_assume!((0..soft.count()).all(|class| counts(class) > 6));
            let inverse: Vec<f64> = (0..soft.count()).map(|class| 1.0 / distance(class)).collect();
            for (got, inverse_distance) in got.iter().zip(&inverse) {
                let expected = inverse_distance / inverse.iter().sum::<f64>();
                prop_assert!((f64::from(*got) - expected).abs() < 1e-3, "{} and {}", got, expected);
            }
            prop_assert!((got.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn a_pixel_at_a_class_mean_holds_that_class_and_equal_pixels_are_no_trouble() {
        let (sample, _, soft) = of(2, &[0.2, 0.3, 0.2, 0.3, 0.9, 0.1, 0.9, 0.1], 2);
        assert!(soft.of_pixels(&sample).iter().all(|f| *f < 1e-6 || *f > 1.0 - 1e-6));
        let (_, _, one) = of(1, &[0.4; 5], 3);
        let mut fraction = [0.0];
        one.fractions(&[7.0], &mut fraction);
        assert_eq!(fraction, [1.0]);
    }
}
