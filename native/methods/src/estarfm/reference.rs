//! ESTARFM, literally and in `f64`; only tests call it. Equation numbers are those of Zhu et al. (2010).

use ndarray::{Array2, Array3};
use stfusion_core::method::Fallback;

use super::parameters::{
    Conversion, FewSimilar, OneBand, Parameters, RegressionGate, Selection, SignificanceTest, ThresholdScope,
};
use crate::cases::Problem;

/// A prediction with its support.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The prediction, (band, row, col).
    pub image: Array3<f64>,
    /// Whether a decision behind the prediction was so close that rounding may turn it, (band, row, col).
    pub close: Array3<bool>,
    /// How far the method's full rule was left, (row, col).
    pub fallback: Array2<Fallback>,
    /// Number of similar pixels, 0 where a band is not predicted.
    pub similar_pixels: Array2<f64>,
    /// Valid samples over samples inside the scene.
    pub valid_fraction: Array2<f64>,
}

/// Relative distance of a decision from its limit that rounding may bridge.
const CLOSE: f64 = 1e-4;

fn deviation(values: impl Iterator<Item = f32>) -> f64 {
    let values: Vec<f64> = values.filter(|v| !v.is_nan()).map(f64::from).collect();
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// Probability that a regression of `df + 2` values has this R² without a slope: that of |t| with t² = R² / (1 − R²) df, by the finite
/// series for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4).
pub fn regression_probability(r2: f64, df: usize) -> f64 {
    if r2 >= 1.0 {
        return 0.0;
    }
    // tan² θ = t² / df
    let theta = (r2 / (1.0 - r2)).sqrt().atan();
    let (sin, cos) = theta.sin_cos();
    let odd = df % 2 == 1;
    let mut term = if odd { cos } else { 1.0 };
    let mut sum = 0.0;
    for i in 1..=df / 2 {
        sum += term;
        let i = i as f64;
        term *= cos * cos * if odd { 2.0 * i / (2.0 * i + 1.0) } else { (2.0 * i - 1.0) / (2.0 * i) };
    }
    1.0 - if odd { 2.0 / std::f64::consts::PI * (theta + sin * sum) } else { sin * sum }
}

/// A power of ten near 14 times the largest standard deviation.
fn full_scale(problem: &Problem) -> f64 {
    let bands = problem.pairs.iter().flat_map(|p| p.fine.outer_iter());
    let largest = bands.map(|band| deviation(band.iter().copied())).fold(0.0, f64::max);
    if largest > 0.0 {
        10f64.powf((largest * 14.0).log10().round())
    } else {
        1.0
    }
}

/// Section 3.4: the slope of `values` (coarse, fine) where it counts, else 1; and whether that was decided closely.
/// `by_pair` holds the mean coarse value of each pair.
fn coefficient(parameters: &Parameters, values: &[(f64, f64)], by_pair: &[f64], full_scale: f64) -> (f64, bool) {
    let n = values.len() as f64;
    if n < 3.0 {
        return (1.0, false);
    }
    let near = |value: f64, limit: f64| (value - limit).abs() <= CLOSE * limit.abs();
    let mean = |of: fn(&(f64, f64)) -> f64| values.iter().map(of).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|v| v.0), mean(|v| v.1));
    let xx: f64 = values.iter().map(|v| (v.0 - mean_x).powi(2)).sum();
    let xy: f64 = values.iter().map(|v| (v.0 - mean_x) * (v.1 - mean_y)).sum();
    let yy: f64 = values.iter().map(|v| (v.1 - mean_y).powi(2)).sum();
    let mut close = false;
    match parameters.regression_gate {
        RegressionGate::Change => {
            let largest = by_pair.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let smallest = by_pair.iter().fold(f64::INFINITY, |a, &b| a.min(b));
            let least = parameters.least_change.unwrap_or(0.02 * full_scale);
            close |= near(largest - smallest, least);
            if largest - smallest < least {
                return (1.0, close);
            }
        }
        RegressionGate::Deviation => {
            let least = 2f64.sqrt() * parameters.coarse_uncertainty.unwrap_or(0.002 * full_scale);
            let sd = (xx / (n - 1.0)).sqrt();
            close |= near(sd, least);
            if sd <= least {
                return (1.0, close);
            }
        }
        RegressionGate::None => {}
    }
    // so little spread that it may be taken for none, and a slope that may come out with the other sign
    let slope = xy / xx;
    let small = |value: f64| value.abs() < 1e-4 * values.iter().map(|v| v.0.abs().max(v.1.abs())).fold(0.0, f64::max);
    close |= small((xx / n).sqrt()) || small((yy / n).sqrt()) || near(slope, parameters.largest_coefficient);
    close |= slope.abs() < 1e-3 * (yy / xx).sqrt();
    if !(xx > 0.0 && slope > 0.0 && slope <= parameters.largest_coefficient) {
        return (1.0, close);
    }
    let r2 = if yy > 0.0 { (xy * xy / (xx * yy)).min(1.0) } else { 1.0 };
    let p = regression_probability(r2, values.len() - 2);
    let coefficient = match parameters.significance_test {
        SignificanceTest::None => slope,
        SignificanceTest::Gate => {
            close |= parameters.significance_level < 1.0 && (p / parameters.significance_level - 1.0).abs() < 0.01;
            if p <= parameters.significance_level {
                slope
            } else {
                1.0
            }
        }
        SignificanceTest::Blend => slope * (1.0 - p) + p,
    };
    (coefficient, close)
}

/// The prediction.
pub fn predict(parameters: &Parameters, problem: &Problem) -> Outcome {
    let (bands, rows, cols) = problem.dim();
    let pairs = problem.pairs.len();
    let half = parameters.window / 2;
    let full_scale = match parameters.data_range.as_slice() {
        [low, high] => low.abs().max(high.abs()),
        _ => full_scale(problem),
    };
    let scale = parameters.scale.map(|s| s.round() as usize).or(problem.scale);
    let cells = scale.filter(|_| parameters.conversion == Conversion::CoarsePixel);
    let cell = |y: usize, x: usize| cells.map(|s| (y / s, x / s));
    let f = |k: usize, b: usize, (y, x): (usize, usize)| f64::from(problem.pairs[k].fine[(b, y, x)]);
    let ck = |k: usize, b: usize, (y, x): (usize, usize)| f64::from(problem.pairs[k].coarse[(b, y, x)]);
    let cp = |b: usize, (y, x): (usize, usize)| f64::from(problem.target[(b, y, x)]);
    let images: Vec<(usize, usize)> = (0..pairs).flat_map(|k| (0..bands).map(move |b| (k, b))).collect();
    let valid = |at: (usize, usize)| images.iter().all(|&(k, b)| !(f(k, b, at) + ck(k, b, at) + cp(b, at)).is_nan());
    let all: Vec<(usize, usize)> = (0..rows).flat_map(|y| (0..cols).map(move |x| (y, x))).collect();
    let deviations: Vec<f64> =
        images.iter().map(|&(k, b)| deviation(problem.pairs[k].fine.index_axis(ndarray::Axis(0), b).iter().copied())).collect();

    let mut outcome = Outcome {
        image: Array3::from_elem((bands, rows, cols), f64::NAN),
        close: Array3::from_elem((bands, rows, cols), false),
        fallback: Array2::from_elem((rows, cols), Fallback::None),
        similar_pixels: Array2::zeros((rows, cols)),
        valid_fraction: Array2::zeros((rows, cols)),
    };
    for &centre in &all {
        let offset = |at: (usize, usize)| (at.0 as i64 - centre.0 as i64, at.1 as i64 - centre.1 as i64);
        let in_window = |at: &(usize, usize)| offset(*at).0.abs() <= half && offset(*at).1.abs() <= half;
        let window: Vec<(usize, usize)> = all.iter().copied().filter(in_window).collect();
        let samples: Vec<(usize, usize)> = window.iter().copied().filter(|&at| valid(at)).collect();
        outcome.valid_fraction[centre] = samples.len() as f64 / window.len() as f64;

        // Eq. 13: |F_k(i) − F_k| < 2 sd / m, in every band of every pair that the centre has
        let mut tests = Vec::new();
        for (i, &(k, b)) in images.iter().enumerate() {
            let sd = match parameters.threshold_scope {
                ThresholdScope::Image => deviations[i],
                ThresholdScope::Window => deviation(window.iter().map(|at| problem.pairs[k].fine[(b, at.0, at.1)])),
            };
            let tolerance = 2.0 * sd / parameters.classes;
            if tolerance > 0.0 && !f(k, b, centre).is_nan() {
                tests.push((k, b, tolerance));
            }
        }
        let difference = |at: (usize, usize), k: usize, b: usize| (f(k, b, at) - f(k, b, centre)).abs();
        let is_similar = |at: &(usize, usize)| {
            valid(*at)
                && tests.iter().all(|&(k, b, tolerance)| {
                    difference(*at, k, b) < tolerance || (parameters.inclusive && difference(*at, k, b) == tolerance)
                })
        };
        let mut similar: Vec<(usize, usize)> = samples.iter().copied().filter(is_similar).collect();
        let enough = similar.len() >= parameters.least_similar as usize;
        let mut selection_is_close = false;
        if parameters.selection == Selection::Nearest && enough && similar.len() > parameters.similar_pixels as usize {
            let keep = parameters.similar_pixels as usize;
            let distance = |at: (usize, usize)| -> f64 { tests.iter().map(|&(k, b, t)| difference(at, k, b) / t).sum() };
            let mut sorted: Vec<_> = similar.iter().map(|&at| (distance(at), at)).collect();
            sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (last, next) = (sorted[keep - 1].0, sorted[keep].0);
            selection_is_close = next - last < 1e-5 * next && next > 0.0;
            similar = sorted[..keep].iter().map(|s| s.1).collect();
        }

        // Eq. 14: correlation of fine and coarse values in all bands and pairs
        let s_of = |at: (usize, usize)| -> f64 {
            let values: Vec<(f64, f64)> = images.iter().map(|&(k, b)| (f(k, b, at), ck(k, b, at))).collect();
            let n = values.len() as f64;
            if bands == 1 && parameters.one_band == OneBand::Difference {
                let s = 1.0 - values.iter().map(|(f, c)| ((f - c) / (f + c)).abs()).sum::<f64>() / n;
                return if s.is_nan() { parameters.flat_correlation } else { s.max(1.0 - 1e6) };
            }
            if values.iter().all(|v| v.0 == values[0].0) || values.iter().all(|v| v.1 == values[0].1) {
                return parameters.flat_correlation;
            }
            let (mf, mc) = (values.iter().map(|v| v.0).sum::<f64>() / n, values.iter().map(|v| v.1).sum::<f64>() / n);
            let sum = |of: &dyn Fn(&(f64, f64)) -> f64| values.iter().map(of).sum::<f64>();
            sum(&|v| (v.0 - mf) * (v.1 - mc)) / (sum(&|v| (v.0 - mf).powi(2)) * sum(&|v| (v.1 - mc).powi(2))).sqrt()
        };
        // Eq. 15 to 17
        let weights: Vec<f64> = similar
            .iter()
            .map(|&at| {
                let (dy, dx) = offset(at);
                let distance = 1.0 + ((dy * dy + dx * dx) as f64).sqrt() / half.max(1) as f64;
                1.0 / ((1.0 - s_of(at)).max(0.0) * distance + 1e-7)
            })
            .collect();
        let total: f64 = weights.iter().sum();

        let mut predicted = 0;
        for b in 0..bands {
            let taking_part: Vec<usize> =
                (0..pairs).filter(|&k| !(f(k, b, centre) + ck(k, b, centre) + cp(b, centre)).is_nan()).collect();
            if taking_part.is_empty() {
                continue;
            }
            predicted += 1;
            // Eq. 18
            let mean_change = |k: usize| {
                if samples.is_empty() {
                    return cp(b, centre) - ck(k, b, centre);
                }
                samples.iter().map(|&at| cp(b, at) - ck(k, b, at)).sum::<f64>() / samples.len() as f64
            };
            let sum: f64 = taking_part.iter().map(|&k| 1.0 / (mean_change(k).abs() + 1e-10)).sum();
            let t = |k: usize| 1.0 / (mean_change(k).abs() + 1e-10) / sum;
            let over_pairs = |of: &dyn Fn(usize) -> f64| taking_part.iter().map(|&k| t(k) * of(k)).sum::<f64>();
            let mut close = selection_is_close;
            outcome.image[(b, centre.0, centre.1)] = if enough {
                // section 3.4: one coefficient, or one for each coarse pixel from all of its similar pixels
                let cells: Vec<_> = similar.iter().map(|at| cell(at.0, at.1)).collect();
                let mut known = std::collections::HashMap::new();
                let mut v_of = |of_cell: Option<(usize, usize)>| {
                    *known.entry(of_cell).or_insert_with(|| {
                        if parameters.conversion == Conversion::None {
                            return (1.0, false);
                        }
                        let members: Vec<(usize, usize)> = match of_cell {
                            Some(_) if parameters.selection == Selection::All => {
                                all.iter().copied().filter(|at| cell(at.0, at.1) == of_cell && is_similar(at)).collect()
                            }
                            _ => similar.iter().copied().filter(|at| cell(at.0, at.1) == of_cell).collect(),
                        };
                        let values: Vec<(f64, f64)> =
                            (0..pairs).flat_map(|k| members.iter().map(move |&at| (ck(k, b, at), f(k, b, at)))).collect();
                        let by_pair: Vec<f64> = (0..pairs)
                            .map(|k| members.iter().map(|&at| ck(k, b, at)).sum::<f64>() / members.len() as f64)
                            .collect();
                        coefficient(parameters, &values, &by_pair, full_scale)
                    })
                };
                let v: Vec<f64> = cells
                    .iter()
                    .map(|&c| {
                        let (v, is_close) = v_of(c);
                        close |= is_close;
                        v
                    })
                    .collect();
                // Eq. 11 and 19
                let value = over_pairs(&|k| {
                    let change: f64 =
                        similar.iter().zip(&weights).zip(&v).map(|((&at, w), v)| w * v * (cp(b, at) - ck(k, b, at))).sum();
                    f(k, b, centre) + change / total
                });
                match parameters.data_range.as_slice() {
                    &[low, high] => {
                        close |= (value - low).abs() < 1e-5 * full_scale || (value - high).abs() < 1e-5 * full_scale;
                        if value <= low || value >= high {
                            outcome.fallback[centre] = outcome.fallback[centre].max(Fallback::OutOfRange);
                            over_pairs(&|k| similar.iter().zip(&weights).map(|(&at, w)| w * f(k, b, at)).sum::<f64>() / total)
                        } else {
                            value
                        }
                    }
                    _ => value,
                }
            } else {
                outcome.fallback[centre] = Fallback::FewSimilar;
                match parameters.few_similar {
                    FewSimilar::Copy => over_pairs(&|k| f(k, b, centre)),
                    FewSimilar::Increment => over_pairs(&|k| f(k, b, centre) + mean_change(k)),
                }
            };
            outcome.close[(b, centre.0, centre.1)] = close;
        }
        outcome.similar_pixels[centre] = if predicted == bands { similar.len() as f64 } else { 0.0 };
    }
    outcome
}
