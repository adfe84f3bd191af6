//! STARFM, literally and in `f64`; only tests call it. Equation numbers are those of Gao et al. (2006).

use ndarray::{Array2, Array3};
use stfusion_core::Result;

use super::parameters::{Bound, Filter, Parameters, TemporalWeight, ThresholdScope, Weighting, ZeroDifference};
use super::rules::{SMALLEST_PRODUCT, TIE_MARGIN};
use crate::cases::Problem;

/// A prediction with its support.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The prediction, (band, row, col).
    pub image: Array3<f64>,
    /// Number of candidates over all pairs in the band that has fewest, 0 where a band is not predicted.
    pub similar_pixels: Array2<f64>,
    /// Valid samples over samples inside the scene, over all pairs and bands.
    pub valid_fraction: Array2<f64>,
}

fn deviation(values: impl Iterator<Item = f32>) -> f64 {
    let values: Vec<f64> = values.filter(|v| !v.is_nan()).map(f64::from).collect();
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// The difference unit when it is automatic.
pub fn automatic_unit(problem: &Problem) -> f64 {
    let largest =
        problem.pairs.iter().flat_map(|p| p.fine.outer_iter()).map(|band| deviation(band.iter().copied())).fold(0.0, f64::max);
    if largest > 0.0 {
        10f64.powf((largest / 700.0).log10().round())
    } else {
        1e-4
    }
}

/// The prediction.
///
/// # Errors
/// None at present; the signature leaves room for problems that have no prediction.
pub fn predict(parameters: &Parameters, problem: &Problem) -> Result<Outcome> {
    let (bands, rows, cols) = problem.dim();
    let unit = parameters.difference_unit.unwrap_or_else(|| automatic_unit(problem));
    let half = parameters.window / 2;
    let a = parameters.spatial_importance.unwrap_or(parameters.window as f64 / 2.0);
    let sigma = |values: &[f64], b: usize| match values.len() {
        0 => 50.0 * unit,
        1 => values[0],
        _ => values[b],
    };
    let temporal = match parameters.temporal_weight {
        TemporalWeight::On => true,
        TemporalWeight::Auto => problem.pairs.len() > 1,
        TemporalWeight::Off => false,
    };
    let f = |k: usize, b: usize, r: usize, c: usize| f64::from(problem.pairs[k].fine[(b, r, c)]);
    let ck = |k: usize, b: usize, r: usize, c: usize| f64::from(problem.pairs[k].coarse[(b, r, c)]);
    let cp = |b: usize, r: usize, c: usize| f64::from(problem.target[(b, r, c)]);
    let window = |r: usize, c: usize| {
        let inside = |x: i64, n: usize| (0..n as i64).contains(&x).then_some(x as usize);
        (-half..=half).flat_map(move |dy| {
            (-half..=half).filter_map(move |dx| Some((inside(r as i64 + dy, rows)?, inside(c as i64 + dx, cols)?)))
        })
    };
    let image_deviation: Vec<Vec<f64>> =
        problem.pairs.iter().map(|p| p.fine.outer_iter().map(|band| deviation(band.iter().copied())).collect()).collect();
    let similar_bands = |b: usize| -> Vec<usize> {
        match parameters.similarity_bands.as_slice() {
            [] => vec![b],
            list => list.iter().map(|&n| n as usize - 1).collect(),
        }
    };

    let mut outcome = Outcome {
        image: Array3::from_elem((bands, rows, cols), f64::NAN),
        similar_pixels: Array2::from_elem((rows, cols), f64::INFINITY),
        valid_fraction: Array2::zeros((rows, cols)),
    };
    for b in 0..bands {
        // Eq. 15: σ_lm = √(σ_l² + σ_m²); Eq. 16: σ_mm = √2 σ_m
        let (fine_sigma, coarse_sigma) = (sigma(&parameters.uncertainty_fine, b), sigma(&parameters.uncertainty_coarse, b));
        let sigma_lm = (fine_sigma.powi(2) + coarse_sigma.powi(2)).sqrt();
        let sigma_mm = 2f64.sqrt() * coarse_sigma;
        let sigma_c = (sigma_lm.powi(2) + sigma_mm.powi(2)).sqrt();
        for r in 0..rows {
            for c in 0..cols {
                let mut samples = 0.0;
                let mut valid = 0.0;
                for k in 0..problem.pairs.len() {
                    for (y, x) in window(r, c) {
                        samples += 1.0;
                        let class_valid = problem.pairs[k].classes.as_ref().is_none_or(|m| !m[(y, x)].is_nan());
                        let own_similar = problem.pairs[k].classes.is_some() || !f(k, similar_bands(b)[0], y, x).is_nan();
                        valid += f64::from(u8::from(
                            !(f(k, b, y, x) + ck(k, b, y, x) + cp(b, y, x)).is_nan() && class_valid && own_similar,
                        ));
                    }
                }
                outcome.valid_fraction[(r, c)] += valid / samples / bands as f64;

                // pairs whose centre is valid
                let pairs: Vec<usize> =
                    (0..problem.pairs.len()).filter(|&k| !(f(k, b, r, c) + ck(k, b, r, c) + cp(b, r, c)).is_nan()).collect();
                if pairs.is_empty() {
                    outcome.similar_pixels[(r, c)] = 0.0;
                    continue;
                }
                // Eq. 6: S = |F - C|; Eq. 7: T = |C - C_p|
                let s_of = |k: usize, y: usize, x: usize| (f(k, b, y, x) - ck(k, b, y, x)).abs();
                let t_of = |k: usize, y: usize, x: usize| (ck(k, b, y, x) - cp(b, y, x)).abs();
                // Eq. 13, 14: bounds at the centre; the paper takes the largest over the pairs, the author's program the smallest
                let over_pairs = |of: &dyn Fn(usize) -> f64| {
                    let all = pairs.iter().map(|&k| of(k));
                    match parameters.bound {
                        Bound::Max => all.fold(f64::NEG_INFINITY, f64::max),
                        Bound::Min => all.fold(f64::INFINITY, f64::min),
                    }
                };
                let bound_s = over_pairs(&|k| s_of(k, r, c)) + sigma_lm;
                let bound_t = over_pairs(&|k| t_of(k, r, c)) + sigma_mm;
                let (mut weights, mut sum, mut candidates) = (0.0, 0.0, 0.0);
                for &k in &pairs {
                    let tolerance = |band: usize| match parameters.threshold_scope {
                        ThresholdScope::Image => 2.0 * image_deviation[k][band] / parameters.classes,
                        ThresholdScope::Window => {
                            let local = window(r, c).map(|(y, x)| problem.pairs[k].fine[(band, y, x)]);
                            2.0 * deviation(local) / parameters.classes
                        }
                    };
                    let bands_of_test: Vec<(usize, f64)> = similar_bands(b).into_iter().map(|n| (n, tolerance(n))).collect();
                    for (y, x) in window(r, c) {
                        if (f(k, b, y, x) + ck(k, b, y, x) + cp(b, y, x)).is_nan() {
                            continue;
                        }
                        // similar: the same class, or |F - F(centre)| < 2 sd / m in every band of the test
                        let similar = match &problem.pairs[k].classes {
                            Some(map) => map[(y, x)] == map[(r, c)],
                            None => bands_of_test.iter().all(|&(n, tol)| (f(k, n, y, x) - f(k, n, r, c)).abs() < tol),
                        };
                        let (s, t) = (s_of(k, y, x), t_of(k, y, x));
                        let kept = match parameters.filter {
                            Filter::Strict => s < bound_s && t < bound_t,
                            Filter::Loose => s < bound_s || t < bound_t,
                        };
                        if !similar || !kept {
                            continue;
                        }
                        // Eq. 9: D = 1 + d / A
                        let d = ((y as f64 - r as f64).powi(2) + (x as f64 - c as f64).powi(2)).sqrt();
                        let distance = 1.0 + d / a;
                        // Eq. 10: S T D; Eq. 11: ln(S B + 1) ln(T B + 1) D; offsets as parameters, differences in units
                        let part = |difference: f64| match parameters.weighting {
                            Weighting::Inverse => parameters.difference_offset + difference / unit,
                            Weighting::Logarithmic => (parameters.log_offset + parameters.log_scale * difference / unit).ln(),
                        };
                        let product = part(s) * if temporal { part(t) } else { 1.0 };
                        let within = parameters.within_uncertainty
                            && parameters.weighting == Weighting::Inverse
                            && product < sigma_c / unit * (1.0 - TIE_MARGIN);
                        // Eq. 12: W = (1 / C) / Σ (1 / C)
                        let weight = if within { 1.0 } else { 1.0 / (product.max(SMALLEST_PRODUCT) * distance) };
                        // Eq. 5
                        sum += weight * (f(k, b, y, x) + cp(b, y, x) - ck(k, b, y, x));
                        weights += weight;
                        candidates += 1.0;
                    }
                }
                let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
                let unchanged: Vec<f64> = pairs.iter().filter(|&&k| t_of(k, r, c) == 0.0).map(|&k| f(k, b, r, c)).collect();
                let agrees = pairs.iter().any(|&k| s_of(k, r, c) == 0.0);
                outcome.image[(b, r, c)] = if !unchanged.is_empty() && parameters.zero_difference != ZeroDifference::None {
                    mean(unchanged)
                } else if agrees && parameters.zero_difference == ZeroDifference::Both {
                    cp(b, r, c)
                } else if weights > 0.0 {
                    sum / weights
                } else {
                    mean(pairs.iter().map(|&k| f(k, b, r, c) + cp(b, r, c) - ck(k, b, r, c)).collect())
                };
                let fewest: &mut f64 = &mut outcome.similar_pixels[(r, c)];
                *fewest = fewest.min(candidates);
            }
        }
    }
    Ok(outcome)
}
