//! Classes of pixels told by the nearest of a few class means: what k-means and ISODATA find.
//!
//! Means and pixels are counted in the units of the sample that the means came from, so distances are exact whole numbers: the class
//! of a pixel does not depend on the order of the bands, and of two means equally near the first one counts. Classes are ordered
//! by brightness (the sum of the mean over the bands), darkest first; of two equally bright ones the one that was found first.

use rayon::prelude::*;

use super::pixel_sample::{in_units, PixelSample};
use super::simd::{widened, Path};

/// The means. See the [module](self).
#[derive(Debug, Clone, PartialEq)]
pub struct ClassMeans {
    bands: usize,
    unit: f64,
    /// In units, class by class.
    means: Vec<i32>,
}

impl ClassMeans {
    /// From means in the units of `sample`, each with all bands.
    pub fn new(sample: &PixelSample, mut means: Vec<Vec<i32>>) -> ClassMeans {
        means.sort_by_key(|mean| mean.iter().map(|v| i64::from(*v)).sum::<i64>());
        ClassMeans { bands: sample.bands, unit: sample.unit, means: means.concat() }
    }

    /// The mean of a class, in the unit of the image.
    pub fn mean(&self, class: usize) -> Vec<f64> {
        self.means[class * self.bands..(class + 1) * self.bands].iter().map(|v| f64::from(*v) * self.unit).collect()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.means.len() / self.bands.max(1)
    }

    /// The unit that means are counted in.
    pub fn unit(&self) -> f64 {
        self.unit
    }

    /// The means, in units, class by class.
    pub fn in_units(&self) -> &[i32] {
        &self.means
    }

    /// Class of a pixel with these values of all bands, none of them `NaN`; `units` is memory.
    pub fn class_of(&self, pixel: &[f32], units: &mut Vec<i32>) -> u16 {
        units.clear();
        units.extend(pixel.iter().map(|v| in_units(*v, self.unit)));
        nearest(units, self.means.chunks_exact(self.bands)) as u16
    }
}

fn squared(a: i32, b: i32) -> u64 {
    let d = u64::from(a.abs_diff(b));
    d * d
}

/// Index of the nearest mean (the first of equals).
fn nearest<'a>(pixel: &[i32], means: impl Iterator<Item = &'a [i32]>) -> usize {
    let mut best = (u64::MAX, 0);
    for (class, mean) in means.enumerate() {
        let distance = distance(pixel, mean);
        if distance < best.0 {
            best = (distance, class);
        }
    }
    best.1
}

/// Squared distance between two pixels in units.
pub(super) fn distance(a: &[i32], b: &[i32]) -> u64 {
    a.iter().zip(b).fold(0, |sum, (a, b)| sum.saturating_add(squared(*a, *b)))
}

/// Number, sums and sums of squares of the pixels of a class, band by band.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Members {
    pub count: i64,
    pub sums: Vec<i64>,
    pub squares: Vec<i64>,
}

impl Members {
    /// The mean, rounded to units.
    pub fn mean(&self) -> Vec<i32> {
        self.sums.iter().map(|sum| (*sum as f64 / self.count.max(1) as f64).round() as i32).collect()
    }

    /// Standard deviation of each band, in units.
    pub fn deviations(&self) -> Vec<f64> {
        let n = self.count.max(1) as f64;
        let of_band = |(sum, squares): (&i64, &i64)| (*squares as f64 / n - (*sum as f64 / n).powi(2)).max(0.0).sqrt();
        self.sums.iter().zip(&self.squares).map(of_band).collect()
    }
}

impl Members {
    fn none(bands: usize) -> Members {
        Members { count: 0, sums: vec![0; bands], squares: vec![0; bands] }
    }

    fn add(&mut self, pixel: &[i32]) {
        self.count += 1;
        for ((sum, squares), v) in self.sums.iter_mut().zip(&mut self.squares).zip(pixel) {
            *sum += i64::from(*v);
            *squares += i64::from(*v) * i64::from(*v);
        }
    }

    fn join(&mut self, other: &Members) {
        self.count += other.count;
        self.sums.iter_mut().zip(&other.sums).for_each(|(a, b)| *a += b);
        self.squares.iter_mut().zip(&other.squares).for_each(|(a, b)| *a += b);
    }
}

/// Pixels that a thread assigns at a time.
const AT_A_TIME: usize = 1024;

/// Pixels whose nearest means are found side by side.
const LANES: usize = 16;

/// Most bands with which distances within a sample are whole numbers that `f64` holds exactly: values and means of a sample are
/// below 2²¹ units, so a squared difference is below 2⁴⁴.
const MOST_EXACT_BANDS: usize = 256;

/// Assigns every pixel to the nearest mean (the first of equals): `labels` is changed, the members of each class and the number of
/// pixels whose label changed are returned. Everything is counted in whole numbers, so threads change nothing.
pub(super) fn assigned(sample: &PixelSample, means: &[Vec<i32>], labels: &mut [u16]) -> (Vec<Members>, usize) {
    let bands = sample.bands.max(1);
    let path = Path::from_environment().0;
    let none = || (vec![Members::none(sample.bands); means.len()], 0);
    let flat: Vec<f64> = means.iter().flatten().map(|v| f64::from(*v)).collect();
    let chunks = sample.values.par_chunks(AT_A_TIME * bands).zip(labels.par_chunks_mut(AT_A_TIME));
    let parts = chunks.fold(none, |(mut members, mut changed), (pixels, labels)| {
        let mut take = |pixel: &[i32], label: &mut u16, class: usize| {
            changed += usize::from(*label != class as u16);
            *label = class as u16;
            members[class].add(pixel);
        };
        if bands > MOST_EXACT_BANDS {
            for (pixel, label) in pixels.chunks_exact(bands).zip(labels) {
                take(pixel, label, nearest(pixel, means.iter().map(|mean| &mean[..])));
            }
        } else {
            let mut planes = vec![[0.0; LANES]; bands];
            for (pixels, labels) in pixels.chunks(LANES * bands).zip(labels.chunks_mut(LANES)) {
                let classes = widened(
                    path,
                    #[inline(always)]
                    || nearest_of_many(pixels, &flat, &mut planes),
                );
                for ((pixel, label), class) in pixels.chunks_exact(bands).zip(labels).zip(classes) {
                    take(pixel, label, class as usize);
                }
            }
        }
        (members, changed)
    });
    parts.reduce(none, |(mut members, changed), (more, more_changed)| {
        members.iter_mut().zip(&more).for_each(|(a, b)| a.join(b));
        (members, changed + more_changed)
    })
}

/// As [`nearest`] for at most [`LANES`] pixels, all bands of one after the other, and means likewise; `planes` is memory, one row for
/// each band.
#[inline(always)]
fn nearest_of_many(pixels: &[i32], means: &[f64], planes: &mut [[f64; LANES]]) -> [u32; LANES] {
    for (i, pixel) in pixels.chunks_exact(planes.len()).enumerate() {
        for (plane, value) in planes.iter_mut().zip(pixel) {
            plane[i] = f64::from(*value);
        }
    }
    let mut best = [f64::INFINITY; LANES];
    let mut classes = [0u32; LANES];
    for (class, mean) in means.chunks_exact(planes.len()).enumerate() {
        let mut distance = [0.0; LANES];
        for (plane, m) in planes.iter().zip(mean) {
            for (d, v) in distance.iter_mut().zip(plane) {
                *d += (v - m) * (v - m);
            }
        }
        for i in 0..LANES {
            let nearer = distance[i] < best[i];
            best[i] = if nearer { distance[i] } else { best[i] };
            classes[i] = if nearer { class as u32 } else { classes[i] };
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn classes_are_ordered_by_brightness_and_the_first_of_equals_counts() {
        let sample = PixelSample::of_pixels(2, &[1.0, 1.0]);
        let one = (1 << 20) as f64;
        let means = [[0.6, 0.4], [0.1, 0.1], [0.9, 0.1]].map(|m| m.map(|v: f64| (v * one).round() as i32).to_vec());
        let classes = ClassMeans::new(&sample, means.to_vec());
        assert_eq!(classes.classes(), 3);
        assert!((classes.mean(0)[0] - 0.1).abs() < 1e-6 && (classes.mean(1)[0] - 0.6).abs() < 1e-6);
        assert_eq!([classes.class_of(&[0.0, 0.0], &mut Vec::new()), classes.class_of(&[0.95, 0.0], &mut Vec::new())], [0, 2]);
        let equal = ClassMeans::new(&sample, vec![vec![5, 5], vec![5, 5]]);
        assert_eq!(equal.class_of(&[0.3, f32::MAX], &mut Vec::new()), 0);
    }

    proptest! {
        #[test]
        fn pixels_side_by_side_find_the_mean_that_each_finds_alone(
            bands in 1usize..5, values in prop::collection::vec(-4.0f32..4.0, 4 * 40), count in 1usize..6, coarse: bool,
        ) {
            // on a coarse grid many distances are equal
            let values: Vec<f32> = values.iter().map(|v| if coarse { v.round() } else { *v }).collect();
            let sample = PixelSample::of_pixels(bands, &values[..bands * 40]);
            let means: Vec<Vec<i32>> = sample.iter().step_by(7).take(count).map(<[i32]>::to_vec).collect();
            let mut labels = vec![u16::MAX; 40];
            assigned(&sample, &means, &mut labels);
            for (pixel, label) in sample.iter().zip(labels) {
                prop_assert_eq!(usize::from(label), nearest(pixel, means.iter().map(|m| &m[..])));
            }
        }

        #[test]
        fn members_hold_mean_and_deviation(values in prop::collection::vec(-3.0f32..3.0, 2..40)) {
            let sample = PixelSample::of_pixels(1, &values);
            let (members, changed) = assigned(&sample, &[vec![0]], &mut vec![9; values.len()]);
            let n = values.len() as f64;
            let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
            let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
            prop_assert_eq!(changed, values.len());
            prop_assert!((f64::from(members[0].mean()[0]) * sample.unit - mean).abs() < 1e-5);
            prop_assert!((members[0].deviations()[0] * sample.unit - variance.sqrt()).abs() < 1e-4);
        }
    }
}
