//! The rules of one job: the parameters with everything automatic filled in, and the weight of a candidate.

use super::parameters::{Bound, Parameters, TemporalWeight, Weighting, ZeroDifference};

/// Combined differences below this count as this: the very large weight that the paper gives to a zero difference.
pub const SMALLEST_PRODUCT: f64 = 1e-6;

/// Products of whole numbers of units meet a round uncertainty exactly, and rounding of the unscaled values (some 0.0005 units
/// for reflectance) puts them on either side of it. This part of the uncertainty is left out, so that they all count as outside.
pub const TIE_MARGIN: f64 = 2e-3;

/// Uncertainties of one band, in the unit of the images, and what follows from them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uncertainty {
    /// Of the difference of fine and coarse, √(σ_fine² + σ_coarse²) (equation 15).
    pub spectral: f64,
    /// Of the difference of two coarse values, √2 σ_coarse (equation 16).
    pub temporal: f64,
    /// Of both, √(spectral² + temporal²).
    pub combined: f64,
}

impl Uncertainty {
    /// From the standard errors of a fine and a coarse value.
    pub fn of(fine: f64, coarse: f64) -> Self {
        let (spectral, temporal) = (fine.hypot(coarse), std::f64::consts::SQRT_2 * coarse);
        Uncertainty { spectral, temporal, combined: spectral.hypot(temporal) }
    }
}

/// The rules of one job.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Half window.
    pub half: usize,
    /// Number of classes of the similarity test.
    pub classes: f64,
    /// Similarity bands, counted from 0; empty: the predicted band.
    pub similarity_bands: Vec<usize>,
    /// Whether the largest difference over the pairs is the bound instead of the smallest.
    pub largest_bound: bool,
    /// Whether the temporal difference enters the weight.
    pub temporal: bool,
    /// How differences become a weight.
    pub weighting: Weighting,
    /// Whether candidates within the uncertainty weigh 1.
    pub within_uncertainty: bool,
    /// What happens where a difference is zero at the centre.
    pub zero_difference: ZeroDifference,
    /// Distance at which a candidate weighs half.
    pub spatial_importance: f64,
    /// One unit of difference.
    pub unit: f64,
    /// Added to differences in units (inverse weighting).
    pub difference_offset: f64,
    /// Factor of differences in units (logarithmic weighting).
    pub log_scale: f64,
    /// Added inside the logarithm.
    pub log_offset: f64,
    /// Uncertainty of each band.
    pub uncertainty: Vec<Uncertainty>,
}

impl Rules {
    /// The rules of `parameters` for `bands` bands and `pairs` pairs, with the given difference unit.
    pub fn new(parameters: &Parameters, bands: usize, pairs: usize, unit: f64) -> Self {
        let half = (parameters.window / 2) as usize;
        let sigma = |values: &[f64], band: usize| match values {
            [] => 50.0 * unit,
            [one] => *one,
            many => many.get(band).copied().unwrap_or(50.0 * unit),
        };
        Rules {
            half,
            classes: parameters.classes,
            similarity_bands: parameters.similarity_bands.iter().map(|&b| (b - 1) as usize).collect(),
            largest_bound: parameters.bound == Bound::Max,
            temporal: match parameters.temporal_weight {
                TemporalWeight::On => true,
                TemporalWeight::Auto => pairs > 1,
                TemporalWeight::Off => false,
            },
            weighting: parameters.weighting,
            within_uncertainty: parameters.within_uncertainty && parameters.weighting == Weighting::Inverse,
            zero_difference: parameters.zero_difference,
            spatial_importance: parameters.spatial_importance.unwrap_or(parameters.window as f64 / 2.0),
            unit,
            difference_offset: parameters.difference_offset,
            log_scale: parameters.log_scale,
            log_offset: parameters.log_offset,
            uncertainty: (0..bands)
                .map(|b| Uncertainty::of(sigma(&parameters.uncertainty_fine, b), sigma(&parameters.uncertainty_coarse, b)))
                .collect(),
        }
    }

    /// 1 / D for every offset of the window, row by row (equation 9: D = 1 + d / A).
    pub fn inverse_distances(&self) -> Vec<f32> {
        let half = self.half as i64;
        let mut all = Vec::with_capacity((2 * self.half + 1).pow(2));
        for dy in -half..=half {
            for dx in -half..=half {
                let d = ((dy * dy + dx * dx) as f64).sqrt();
                all.push((1.0 / (1.0 + d / self.spatial_importance)) as f32);
            }
        }
        all
    }
}

/// How a spectral and a temporal difference become the two parts of a weight, `a / D + b`.
#[derive(Debug, Clone, Copy)]
pub struct WeightLaw {
    pub(super) logarithmic: bool,
    pub(super) temporal: bool,
    pub(super) scale: f32,
    pub(super) offset: f32,
    pub(super) smallest: f32,
    pub(super) within: f32,
}

impl WeightLaw {
    /// The law of `rules` for a band.
    pub fn new(rules: &Rules, band: usize) -> Self {
        let logarithmic = rules.weighting == Weighting::Logarithmic;
        let (scale, offset) = if logarithmic {
            (rules.log_scale / rules.unit, rules.log_offset)
        } else {
            (1.0 / rules.unit, rules.difference_offset)
        };
        let within =
            if rules.within_uncertainty { rules.uncertainty[band].combined / rules.unit * (1.0 - TIE_MARGIN) } else { 0.0 };
        WeightLaw {
            logarithmic,
            temporal: rules.temporal,
            scale: scale as f32,
            offset: offset as f32,
            smallest: SMALLEST_PRODUCT as f32,
            within: within as f32,
        }
    }

    /// (a, b) for the differences S and T.
    #[inline(always)]
    pub fn parts(&self, s: f32, t: f32) -> (f32, f32) {
        let (mut s, mut t) = (self.offset + self.scale * s, self.offset + self.scale * t);
        if self.logarithmic {
            (s, t) = (s.ln(), if self.temporal { t.ln() } else { 1.0 });
        }
        let product = if self.temporal { s * t } else { s };
        if product < self.within {
            (0.0, 1.0)
        } else {
            (1.0 / product.max(self.smallest), 0.0)
        }
    }
}
