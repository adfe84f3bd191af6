//! Mean and standard deviation of whole images, the same whatever the number of threads.
//!
//! The scene is read in blocks anchored at its corner. Each block is summed by one thread in row order, twice (mean, then
//! squares about the mean), and the blocks are merged in their own order, so the result depends on the pixels alone.

use ndarray::{Array3, Axis};
use rayon::prelude::*;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Exec, Region, Result};

/// Number of values, mean and sum of squares about the mean.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    /// Number of valid values.
    pub count: u64,
    /// Their mean; 0 without values.
    pub mean: f64,
    /// Sum of their squared distances from the mean.
    pub squares: f64,
}

impl Moments {
    /// Of the values that are not `NaN`.
    pub fn of<'a>(values: impl Iterator<Item = &'a f32> + Clone) -> Moments {
        let (mut count, mut sum) = (0u64, 0.0f64);
        for &v in values.clone().filter(|v| !v.is_nan()) {
            count += 1;
            sum += f64::from(v);
        }
        let mean = if count > 0 { sum / count as f64 } else { 0.0 };
        let squares = values.filter(|v| !v.is_nan()).map(|&v| (f64::from(v) - mean).powi(2)).sum();
        Moments { count, mean, squares }
    }

    /// Of the values of both.
    #[must_use]
    pub fn merged(self, other: Moments) -> Moments {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { other } else { self };
        }
        let count = self.count + other.count;
        let (a, b, n) = (self.count as f64, other.count as f64, count as f64);
        let step = other.mean - self.mean;
        Moments { count, mean: self.mean + step * (b / n), squares: self.squares + other.squares + step * step * (a * b / n) }
    }

    /// Population standard deviation (divided by the number of values); 0 without values.
    pub fn standard_deviation(self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            (self.squares / self.count as f64).sqrt()
        }
    }
}

const BLOCK: usize = 512;

/// Moments of every band of every layer in `layers`, as `[layer][band]`.
///
/// # Errors
/// Those of reading, and [`stfusion_core::ErrorKind::Cancelled`].
pub fn moments(scene: &dyn Scene, layers: &[Layer], exec: &Exec<'_>) -> Result<Vec<Vec<Moments>>> {
    let info = scene.info();
    let blocks = Region::whole(info.rows, info.cols).blocks(BLOCK, BLOCK);
    let mut all = Vec::with_capacity(layers.len());
    for (i, &layer) in layers.iter().enumerate() {
        let bands = info.bands_of(layer);
        let parts: Vec<Vec<Moments>> = blocks
            .par_iter()
            .map(|&block| {
                exec.cancel.check()?;
                let mut values = Array3::zeros((bands, block.rows, block.cols));
                scene.read(layer, block, values.view_mut())?;
                Ok(values.axis_iter(Axis(0)).map(|band| Moments::of(band.iter())).collect())
            })
            .collect::<Result<_>>()?;
        let merge = |band: usize| parts.iter().fold(Moments::default(), |sum, part| sum.merged(part[band]));
        all.push((0..bands).map(merge).collect());
        (exec.progress)((i + 1) as f64 / layers.len() as f64);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merging_parts_gives_the_moments_of_the_whole(values in prop::collection::vec(-100.0f32..100.0, 1..60), cut in 0usize..60) {
            let cut = cut.min(values.len());
            let merged = Moments::of(values[..cut].iter()).merged(Moments::of(values[cut..].iter()));
            let n = values.len() as f64;
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
            let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
            prop_assert_eq!(merged.count as usize, values.len());
            prop_assert!((merged.mean - mean).abs() < 1e-9);
            prop_assert!((merged.standard_deviation() - variance.sqrt()).abs() < 1e-6);
        }
    }

    #[test]
    fn invalid_values_do_not_count() {
        let m = Moments::of([1.0, f32::NAN, 3.0].iter());
        assert_eq!((m.count, m.mean, m.standard_deviation()), (2, 2.0, 1.0));
        assert_eq!(Moments::of([f32::NAN].iter()).standard_deviation(), 0.0);
    }
}
