//! Where in a coarse pixel its residual goes: weights of its fine pixels (Zhu et al. 2016, equations 14 to 18).
//!
//! ```text
//! w ~ |F_SP − F_TP| · HI + |R| (1 − HI), mean 1
//! ```
//! with the spatial and the temporal prediction of the pixel, its homogeneity HI and the residual R of the coarse pixel.

use bytemuck::{Pod, Zeroable};

/// `ResidualRule` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct OnDevice {
    cap: f64,
    sign_rule: i32,
    unused: i32,
}

/// How residuals are distributed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResidualWeights {
    /// Ignore the spatial prediction where it lies on the other side of the temporal one than the residual.
    pub sign_rule: bool,
    /// A weight above this number of times the mean becomes the mean.
    pub cap: f64,
}

impl ResidualWeights {
    /// The same for kernels.
    pub fn on_device(&self) -> OnDevice {
        OnDevice { cap: self.cap, sign_rule: i32::from(self.sign_rule), unused: 0 }
    }

    /// Weights, with mean 1, of the pixels whose (F_SP − F_TP, HI) are `pixels`, into `weights`; `NaN` for pixels with a `NaN`.
    #[inline(always)]
    pub fn of(&self, residual: f64, pixels: impl Iterator<Item = (f64, f64)>, weights: &mut Vec<f64>) {
        // where nothing speaks for any pixel all count the same
        let least = 1e-8 * residual.abs() + f64::MIN_POSITIVE;
        weights.clear();
        weights.extend(pixels.map(|(excess, homogeneity)| {
            let against = self.sign_rule && if residual <= 0.0 { excess > 0.0 } else { excess < 0.0 };
            let excess = if against { 0.0 } else { excess.abs() };
            excess * homogeneity + residual.abs() * (1.0 - homogeneity) + least
        }));
        let scale = 1.0 / mean(weights);
        weights.iter_mut().for_each(|w| {
            *w *= scale;
            *w = if *w > self.cap { 1.0 } else { *w };
        });
        let scale = 1.0 / mean(weights);
        weights.iter_mut().for_each(|w| *w *= scale);
    }

    /// Writes to `to` the changes `own` of the pixels of a coarse pixel and their parts of what these leave of its change; `NaN` for
    /// pixels without a change. `pixels` are (F_SP − F_TP, HI), `weights` is memory.
    pub fn distribute<'a>(
        &self,
        coarse_change: f64,
        own: &[f64],
        pixels: impl Iterator<Item = (f64, f64)>,
        weights: &mut Vec<f64>,
        to: impl Iterator<Item = &'a mut f32>,
    ) {
        let residual = coarse_change - mean(own);
        self.of(residual, pixels, weights);
        for ((to, own), weight) in to.zip(own).zip(weights) {
            let change = (own + *weight * residual) as f32;
            *to = if change.is_finite() { change } else { f32::NAN };
        }
    }
}

/// Mean of the values that are not `NaN`, added in the same order whatever the vectors.
#[inline(always)]
fn mean(values: &[f64]) -> f64 {
    const AT_ONCE: usize = 8;
    let (mut sums, mut counts) = ([0.0f64; AT_ONCE], [0.0f64; AT_ONCE]);
    let mut add = |k: usize, v: f64| {
        sums[k] += if v.is_nan() { 0.0 } else { v };
        counts[k] += if v.is_nan() { 0.0 } else { 1.0 };
    };
    let chunks = values.chunks_exact(AT_ONCE);
    let rest = chunks.remainder();
    chunks.for_each(|chunk| (0..AT_ONCE).for_each(|k| add(k, chunk[k])));
    rest.iter().enumerate().for_each(|(k, v)| add(k, *v));
    sums.iter().sum::<f64>() / counts.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(rule: ResidualWeights, residual: f64, pixels: &[(f64, f64)]) -> Vec<f64> {
        let mut weights = Vec::new();
        rule.of(residual, pixels.iter().copied(), &mut weights);
        weights
    }

    const PAPER: ResidualWeights = ResidualWeights { sign_rule: false, cap: f64::INFINITY };

    proptest! {
        #[test]
        fn weights_have_mean_one_and_are_not_negative(
            residual in -0.3f64..0.3, pixels in prop::collection::vec((-0.5f64..0.5, 0.0f64..=1.0), 1..40), sign_rule: bool, cap in 1.0f64..9.0,
        ) {
            let got = weights(ResidualWeights { sign_rule, cap }, residual, &pixels);
            prop_assert!((mean(&got) - 1.0).abs() < 1e-9 && got.iter().all(|w| *w >= 0.0), "{:?}", got);
        }
    }

    #[test]
    fn homogeneous_pixels_follow_the_spatial_prediction_and_others_share_evenly() {
        let near = |got: Vec<f64>, expected: [f64; 3]| {
            assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?} and {expected:?}");
        };
        let pixels = [(0.3, 1.0), (-0.1, 1.0), (0.2, 1.0)];
        near(weights(PAPER, 0.1, &pixels), [1.5, 0.5, 1.0]);
        near(weights(ResidualWeights { sign_rule: true, ..PAPER }, 0.1, &pixels), [1.8, 0.0, 1.2]);
        near(weights(ResidualWeights { sign_rule: true, ..PAPER }, -0.1, &pixels), [0.0, 3.0, 0.0]);
        near(weights(ResidualWeights { cap: 1.2, ..PAPER }, 0.1, &pixels), [1.2, 0.6, 1.2]);
        near(weights(PAPER, 0.1, &pixels.map(|(excess, _)| (excess, 0.0))), [1.0; 3]);
        near(weights(PAPER, 0.0, &[(0.0, 1.0); 3]), [1.0; 3]);
    }

    #[test]
    fn what_is_distributed_adds_up_to_the_coarse_change() {
        let own = [0.1, f64::NAN, -0.2, 0.4];
        let mut to = [0.0f32; 4];
        let pixels = [(0.3, 0.5), (f64::NAN, 1.0), (-0.1, 0.9), (0.2, 1.0)];
        PAPER.distribute(0.2, &own, pixels.into_iter(), &mut Vec::new(), to.iter_mut());
        assert!(to[1].is_nan() && (to[0] + to[2] + to[3] - 0.6).abs() < 1e-6, "{to:?}");
        assert!(to[3] > 0.4 && to[0] > 0.1, "{to:?}");
    }

    #[test]
    fn a_pixel_without_a_prediction_takes_no_part() {
        let got = weights(PAPER, 0.1, &[(f64::NAN, 1.0), (0.2, 1.0), (0.2, f64::NAN)]);
        assert!(got[0].is_nan() && got[1] == 1.0 && got[2].is_nan());
    }
}
