//! The rules of one job: the parameters with everything automatic filled in.

use super::conversion::{Gate, Regression};
use super::parameters::{Conversion, FewSimilar, OneBand, Parameters, RegressionGate, Selection};
use crate::blocks::statistics::Moments;

/// Added to the combined distance of a neighbour, so that perfect correlation has a finite weight (the author's program).
pub const LEAST_DISTANCE: f32 = 1e-7;

/// Added to the change of a coarse mean, so that no change has a finite weight in time (the author's program).
pub const LEAST_MEAN_CHANGE: f64 = 1e-10;

/// Largest dissimilarity 1 − S of fine and coarse values; only the relative difference of one band can be larger.
pub const LARGEST_DISSIMILARITY: f64 = 1e6;

/// The rules of one job.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Number of bands.
    pub bands: usize,
    /// Number of pairs.
    pub pairs: usize,
    /// Half window.
    pub half: usize,
    /// Number of classes of the similarity test.
    pub classes: f64,
    /// Whether the ends of the tolerance are similar.
    pub inclusive: bool,
    /// How many similar pixels are kept, if not all.
    pub nearest: Option<usize>,
    /// Fewest similar pixels that a pixel is predicted from.
    pub least_similar: usize,
    /// Whether pixels with fewer are copied instead of incremented.
    pub copy_few: bool,
    /// Smallest and largest possible value.
    pub data_range: Option<(f64, f64)>,
    /// S where a correlation is not defined.
    pub flat_correlation: f64,
    /// Whether S is made of relative differences instead of correlation.
    pub relative_difference: bool,
    /// The regression that gives conversion coefficients, if there is one.
    pub regression: Option<Regression>,
    /// Side of the coarse pixels that have a coefficient each.
    pub cells: Option<usize>,
    /// Upper end of the values, as given or derived.
    pub full_scale: f64,
}

/// The upper end of the values, as a power of ten, from their largest standard deviation: 1 for reflectance, 10,000 for reflectance
/// times 10,000.
pub fn full_scale(moments: &[Vec<Moments>]) -> f64 {
    let largest = moments.iter().flatten().map(|m| m.standard_deviation()).fold(0.0, f64::max);
    if largest > 0.0 {
        10f64.powi((largest * 14.0).log10().round() as i32)
    } else {
        1.0
    }
}

impl Rules {
    /// The rules of `parameters` for images of `bands` bands in `pairs` pairs, with the moments of the fine images; `cells` is
    /// the side of coarse pixels that have a coefficient each.
    pub fn new(parameters: &Parameters, bands: usize, pairs: usize, cells: Option<usize>, moments: &[Vec<Moments>]) -> Self {
        let data_range = match parameters.data_range.as_slice() {
            [low, high] => Some((*low, *high)),
            _ => None,
        };
        let full_scale = data_range.map_or_else(|| full_scale(moments), |(low, high)| high.abs().max(low.abs()));
        let gate = match parameters.regression_gate {
            RegressionGate::None => Gate::None,
            RegressionGate::Change => Gate::Change(parameters.least_change.unwrap_or(0.02 * full_scale)),
            RegressionGate::Deviation => {
                let uncertainty = parameters.coarse_uncertainty.unwrap_or(0.002 * full_scale);
                Gate::Deviation(std::f64::consts::SQRT_2 * uncertainty)
            }
        };
        let regression = (parameters.conversion != Conversion::None).then(|| {
            Regression::new(gate, parameters.significance_test, parameters.significance_level, parameters.largest_coefficient)
        });
        Rules {
            bands,
            pairs,
            half: (parameters.window / 2) as usize,
            classes: parameters.classes,
            inclusive: parameters.inclusive,
            nearest: (parameters.selection == Selection::Nearest).then_some(parameters.similar_pixels as usize),
            least_similar: parameters.least_similar as usize,
            copy_few: parameters.few_similar == FewSimilar::Copy,
            data_range,
            flat_correlation: parameters.flat_correlation,
            relative_difference: bands == 1 && parameters.one_band == OneBand::Difference,
            regression,
            cells,
            full_scale,
        }
    }

    /// Images in the similarity test: every band of every pair. Image (pair k, band b) is number `k * bands + b`.
    pub fn planes(&self) -> usize {
        self.pairs * self.bands
    }

    /// Pixels around an output pixel that it depends on: half the window, and the rest of the coarse pixels at its border.
    pub fn reach(&self) -> usize {
        self.half + self.cells.unwrap_or(0)
    }

    /// Dissimilarity 1 − S of the fine and coarse values of a pixel in all bands and pairs (equation 14).
    pub fn dissimilarity(&self, fine: &[f32], coarse: &[f32]) -> f64 {
        let undefined = 1.0 - self.flat_correlation;
        let pairs = fine.iter().zip(coarse).map(|(&f, &c)| (f64::from(f), f64::from(c)));
        if self.relative_difference {
            let sum: f64 = pairs.map(|(f, c)| ((f - c) / (f + c)).abs()).sum();
            let mean = sum / fine.len() as f64;
            return if mean.is_nan() { undefined } else { mean.min(LARGEST_DISSIMILARITY) };
        }
        // differences to the first value are exactly zero where all are equal
        let (f0, c0) = (f64::from(fine[0]), f64::from(coarse[0]));
        let n = fine.len() as f64;
        let (sum_f, sum_c) = pairs.clone().fold((0.0, 0.0), |(sf, sc), (f, c)| (sf + (f - f0), sc + (c - c0)));
        let (mean_f, mean_c) = (f0 + sum_f / n, c0 + sum_c / n);
        let (mut ff, mut cc, mut fc) = (0.0, 0.0, 0.0);
        for (f, c) in pairs {
            let (df, dc) = (f - mean_f, c - mean_c);
            ff += df * df;
            cc += dc * dc;
            fc += df * dc;
        }
        let correlation = fc / (ff * cc).sqrt();
        if ff > 0.0 && cc > 0.0 && correlation.is_finite() {
            (1.0 - correlation).max(0.0)
        } else {
            undefined
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stfusion_core::param::Values;

    fn rules(bands: usize) -> Rules {
        Rules::new(&Parameters::from_values(&Values::default()).unwrap(), bands, 2, None, &[])
    }

    #[test]
    fn dissimilarity_is_one_minus_the_correlation() {
        let d = |fine: &[f32], coarse: &[f32]| rules(2).dissimilarity(fine, coarse);
        assert!(d(&[0.1, 0.2, 0.3, 0.4], &[0.3, 0.5, 0.7, 0.9]) < 1e-7);
        assert!((d(&[0.1, 0.2, 0.3, 0.4], &[0.4, 0.3, 0.2, 0.1]) - 2.0).abs() < 1e-7);
        assert_eq!([d(&[0.1; 4], &[0.4, 0.3, 0.2, 0.1]), d(&[0.1, 0.2, 0.3, 0.4], &[0.7; 4])], [0.5, 0.5]);
    }

    #[test]
    fn one_band_compares_relative_differences() {
        let d = |fine: &[f32], coarse: &[f32]| rules(1).dissimilarity(fine, coarse);
        assert!((d(&[0.3, 0.2], &[0.1, 0.2]) - 0.25).abs() < 1e-7);
        assert_eq!([d(&[0.0, 0.2], &[0.0, 0.2]), d(&[0.5, 0.2], &[-0.5, 0.2])], [0.5, LARGEST_DISSIMILARITY]);
    }

    #[test]
    fn the_full_scale_follows_the_contrast() {
        let of = |sd: f64| full_scale(&[vec![Moments { count: 4, mean: 0.0, squares: 4.0 * sd * sd }]]);
        assert_eq!([of(0.05), of(0.15), of(500.0), of(8.0), of(0.0)], [1.0, 1.0, 10_000.0, 100.0, 1.0]);
    }
}
