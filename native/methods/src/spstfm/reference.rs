//! SPSTFM, literally and in `f64`; only tests call it. Equation numbers are those of Huang and Song (2012).
//!
//! Sparse codes come from cyclic coordinate descent, singular vectors from Jacobi rotations; everything that the fast version
//! avoids computing is computed.

use std::ops::Range;

use ndarray::{Array2, Array3};
use stfusion_core::Result;

use super::cpu::{built_up, weights};
use super::differences::Sides;
use super::parameters::{Debiasing, Normalisation, Parameters, Sampling, Weighting};
use crate::cases::Problem;

/// Coordinate descent ends when no coefficient moves by more than this part of the largest one.
const SETTLED: f64 = 1e-12;

/// Sweeps of coordinate descent at most.
const SWEEPS: usize = 200_000;

type Vector = Vec<f64>;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn unit(v: &[f64]) -> Vector {
    let length = dot(v, v).sqrt();
    v.iter().map(|x| if length > 0.0 { x / length } else { 0.0 }).collect()
}

/// D α.
fn combined(atoms: &[Vector], code: &[f64], pixels: usize) -> Vector {
    (0..pixels).map(|p| atoms.iter().zip(code).map(|(d, a)| d[p] * a).sum()).collect()
}

/// The minimiser of `½ ‖y − D α‖² + τ ‖α‖₁` (equation 8), and τ.
pub fn sparse_code(atoms: &[Vector], y: &[f64], sparsity: f64) -> (Vector, f64) {
    let of_signal: Vector = atoms.iter().map(|d| dot(d, y)).collect();
    let gram: Vec<Vector> = atoms.iter().map(|d| atoms.iter().map(|e| dot(d, e)).collect()).collect();
    let tau = sparsity * of_signal.iter().fold(0.0f64, |m, c| m.max(c.abs()));
    let mut code = vec![0.0; atoms.len()];
    for _ in 0..SWEEPS {
        let mut moved = 0.0f64;
        for k in 0..atoms.len() {
            let square = gram[k][k];
            if square == 0.0 {
                continue;
            }
            let free = of_signal[k] - dot(&gram[k], &code) + square * code[k];
            let next = free.signum() * (free.abs() - tau).max(0.0) / square;
            moved = moved.max((next - code[k]).abs());
            code[k] = next;
        }
        if moved <= SETTLED * code.iter().fold(0.0f64, |m, a| m.max(a.abs())) {
            break;
        }
    }
    (code, tau)
}

/// Moves the coefficients that are not 0 towards least squares.
fn debiased(atoms: &[Vector], y: &[f64], code: &[f64], how: Debiasing) -> Vector {
    let support: Vec<usize> = (0..code.len()).filter(|&k| code[k] != 0.0).collect();
    if how == Debiasing::Off || support.is_empty() {
        return code.to_vec();
    }
    let n = support.len();
    let gram = |x: &[f64]| -> Vector {
        (0..n).map(|i| (0..n).map(|j| dot(&atoms[support[i]], &atoms[support[j]]) * x[j]).sum()).collect()
    };
    let mut x: Vector = support.iter().map(|&k| code[k]).collect();
    let mut residual: Vector = support.iter().zip(gram(&x)).map(|(&k, g)| dot(&atoms[k], y) - g).collect();
    let start = dot(&residual, &residual);
    let (goal, steps) = if how == Debiasing::Partial { (0.1 * start, n) } else { (1e-28 * start, 50 * n) };
    let mut direction = residual.clone();
    for _ in 0..steps {
        let square = dot(&residual, &residual);
        if square <= goal {
            break;
        }
        let moved = gram(&direction);
        let step = square / dot(&direction, &moved);
        for i in 0..n {
            x[i] += step * direction[i];
            residual[i] -= step * moved[i];
        }
        let turn = dot(&residual, &residual) / square;
        direction = residual.iter().zip(&direction).map(|(r, d)| r + turn * d).collect();
    }
    let mut all = vec![0.0; code.len()];
    support.iter().zip(x).for_each(|(&k, v)| all[k] = v);
    all
}

/// Right singular vector of the largest singular value of `rows`, by cyclic Jacobi rotations of `rowsᵀ rows`; `None` where all
/// rows are zero.
pub fn largest_direction(rows: &[Vector]) -> Option<Vector> {
    let n = rows.first()?.len();
    let mut a = Array2::from_shape_fn((n, n), |(i, j)| rows.iter().map(|r| r[i] * r[j]).sum::<f64>());
    let mut v = Array2::from_shape_fn((n, n), |(i, j)| f64::from(u8::from(i == j)));
    let trace: f64 = (0..n).map(|i| a[(i, i)]).sum();
    for _ in 0..30 {
        let mut turned = false;
        for p in 0..n {
            for q in p + 1..n {
                if a[(p, q)].abs() <= 1e-17 * trace {
                    continue;
                }
                turned = true;
                let theta = 0.5 * (2.0 * a[(p, q)]).atan2(a[(q, q)] - a[(p, p)]);
                let (s, c) = theta.sin_cos();
                for k in 0..n {
                    let (x, y) = (a[(k, p)], a[(k, q)]);
                    (a[(k, p)], a[(k, q)]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..n {
                    let (x, y) = (a[(p, k)], a[(q, k)]);
                    (a[(p, k)], a[(q, k)]) = (c * x - s * y, s * x + c * y);
                    let (x, y) = (v[(k, p)], v[(k, q)]);
                    (v[(k, p)], v[(k, q)]) = (c * x - s * y, s * x + c * y);
                }
            }
        }
        if !turned {
            break;
        }
    }
    let best = (0..n).fold(0, |best, i| if a[(i, i)] > a[(best, best)] { i } else { best });
    (a[(best, best)] > 0.0).then(|| v.column(best).to_vec())
}

/// A pair of dictionaries.
#[derive(Debug, Clone)]
pub struct Dictionaries {
    /// D_H.
    pub fine: Vec<Vector>,
    /// D_L.
    pub coarse: Vec<Vector>,
}

/// Learns from pairs of patches (H, L), which come best first.
fn learned(parameters: &Parameters, samples: &[(Vector, Vector)]) -> Dictionaries {
    let wanted = parameters.dictionary_size as usize * samples.len() / parameters.training_patches as usize;
    let atoms = wanted.clamp(1, samples.len());
    let mut now = Dictionaries {
        fine: samples[..atoms].iter().map(|s| unit(&s.0)).collect(),
        coarse: samples[..atoms].iter().map(|s| unit(&s.1)).collect(),
    };
    let pixels = samples[0].0.len();
    let mut best = (f64::INFINITY, now.clone());
    let mut objective = f64::INFINITY;
    for iteration in 0.. {
        let mut codes = Vec::new();
        let (mut next, mut error) = (0.0, 0.0);
        for (fine, coarse) in samples {
            let (code, tau) = sparse_code(&now.coarse, coarse, parameters.sparsity);
            let code = debiased(&now.coarse, coarse, &code, parameters.debiasing);
            let rest: Vector = coarse.iter().zip(combined(&now.coarse, &code, pixels)).map(|(y, p)| y - p).collect();
            next += dot(&rest, &rest) + tau * code.iter().map(|a| a.abs()).sum::<f64>();
            error += fine.iter().zip(combined(&now.fine, &code, pixels)).map(|(y, p)| (y - p).abs()).sum::<f64>();
            codes.push(code);
        }
        next /= samples.len() as f64;
        if error < best.0 {
            best = (error, now.clone());
        }
        let settled = iteration >= parameters.min_iterations && objective - next < 1e-10;
        if iteration == parameters.max_iterations || settled {
            break;
        }
        objective = next;
        for k in 0..atoms {
            let users: Vec<usize> = (0..samples.len()).filter(|&i| codes[i][k] != 0.0).collect();
            // samples less all other atoms
            let errors = |atoms: &[Vector], sample: &dyn Fn(usize) -> Vector| -> Vec<Vector> {
                users
                    .iter()
                    .map(|&i| {
                        let all = combined(atoms, &codes[i], pixels);
                        (0..pixels).map(|p| sample(i)[p] - all[p] + codes[i][k] * atoms[k][p]).collect()
                    })
                    .collect()
            };
            let coarse_errors = errors(&now.coarse, &|i| samples[i].1.clone());
            let fine_errors = errors(&now.fine, &|i| samples[i].0.clone());
            let Some(u_low) = largest_direction(&coarse_errors) else { continue };
            // the sign that the atom had
            let sign = if dot(&u_low, &now.coarse[k]) < 0.0 { -1.0 } else { 1.0 };
            let u_low: Vector = u_low.iter().map(|u| sign * u).collect();
            let s_v: Vector = coarse_errors.iter().map(|e| dot(e, &u_low)).collect();
            let u_high = largest_direction(&fine_errors).unwrap_or_else(|| vec![0.0; pixels]);
            // v_H · v_L ≥ 0
            let agreement: f64 = fine_errors.iter().zip(&s_v).map(|(e, v)| dot(e, &u_high) * v).sum();
            let sign = if agreement < 0.0 { -1.0 } else { 1.0 };
            now.fine[k] = u_high.iter().map(|u| sign * u).collect();
            now.coarse[k] = u_low;
            users.iter().zip(s_v).for_each(|(&i, v)| codes[i][k] = v);
        }
    }
    best.1
}

/// First pixels of the patches along `length` pixels; they may lie before the scene.
fn starts(length: usize, parameters: &Parameters) -> Vec<i64> {
    let (length, stride) = (length as i64, parameters.patch - parameters.overlap);
    let count = (length - parameters.overlap + stride - 1) / stride;
    let beyond = count * stride + parameters.overlap - length;
    (0..count).map(|i| i * stride - beyond / 2).collect()
}

/// An image of one band; `NaN` outside.
type Band<'a> = &'a dyn Fn(i64, i64) -> f64;

fn patch(image: Band<'_>, (row, col): (i64, i64), side: i64) -> Vector {
    (0..side * side).map(|p| image(row + p / side, col + p % side)).collect()
}

fn filled(values: &[f64]) -> Vector {
    let valid: Vector = values.iter().copied().filter(|v| !v.is_nan()).collect();
    let mean = if valid.is_empty() { 0.0 } else { valid.iter().sum::<f64>() / valid.len() as f64 };
    values.iter().map(|v| if v.is_nan() { mean } else { *v }).collect()
}

fn deviation(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vector = values.filter(|v| !v.is_nan()).collect();
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}

fn mean_change(values: &[f64]) -> Option<f64> {
    let valid: Vector = values.iter().copied().filter(|v| !v.is_nan()).map(f64::abs).collect();
    (!valid.is_empty()).then(|| valid.iter().sum::<f64>() / valid.len() as f64)
}

/// The patches to learn from (normalised), best first.
fn training_patches(
    parameters: &Parameters,
    places: &[(i64, i64)],
    (fine, coarse): (Band<'_>, Band<'_>),
    scales: (f64, f64),
) -> Vec<(Vector, Vector)> {
    let side = parameters.patch;
    let mut ranked = Vec::new();
    for (place, &at) in places.iter().enumerate() {
        let (h, l) = (patch(fine, at, side), patch(coarse, at, side));
        let invalid = h.iter().zip(&l).filter(|(a, b)| a.is_nan() || b.is_nan()).count();
        if invalid as f64 > parameters.max_invalid * (side * side) as f64 {
            continue;
        }
        let score = match parameters.sampling {
            Sampling::Variance => deviation(h.iter().copied()) / scales.0 + deviation(l.iter().copied()) / scales.1,
            Sampling::Random => super::samples::random(parameters.seed as u64, place as u64),
        };
        let normal = |values: &[f64], scale: f64| filled(&values.iter().map(|v| v / scale).collect::<Vector>());
        ranked.push((score, place, normal(&h, scales.0), normal(&l, scales.1)));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<(Vector, Vector)> = Vec::new();
    for (_, _, h, l) in ranked {
        if chosen.len() < parameters.training_patches as usize && chosen.iter().all(|(_, other)| *other != l) {
            chosen.push((h, l));
        }
    }
    chosen
}

/// The prediction from the pairs of `sides`.
///
/// # Errors
/// None at present; the signature leaves room for problems that have no prediction.
pub fn predict(parameters: &Parameters, problem: &Problem, sides: Sides) -> Result<Array3<f64>> {
    let (bands, rows, cols) = problem.dim();
    let side = parameters.patch;
    let places: Vec<(i64, i64)> =
        starts(rows, parameters).into_iter().flat_map(|r| starts(cols, parameters).into_iter().map(move |c| (r, c))).collect();
    let pairs = [sides.before, sides.after].map(|k| &problem.pairs[k]);
    let inside = |r: i64, c: i64| {
        let part = |x: i64, n: usize| (0..n as i64).contains(&x).then_some(x as usize);
        Some((part(r, rows)?, part(c, cols)?))
    };
    let value =
        |image: &Array3<f32>, b: usize, r: i64, c: i64| inside(r, c).map_or(f64::NAN, |(r, c)| f64::from(image[(b, r, c)]));
    let everywhere = |of: Band<'_>| -> Vec<f64> { (0..rows * cols).map(|i| of((i / cols) as i64, (i % cols) as i64)).collect() };

    let mut out = Array3::from_elem((bands, rows, cols), f64::NAN);
    for b in 0..bands {
        // Eq. 5: differences of the pairs
        let fine = |r: i64, c: i64| value(&pairs[1].fine, b, r, c) - value(&pairs[0].fine, b, r, c);
        let coarse = |r: i64, c: i64| value(&pairs[1].coarse, b, r, c) - value(&pairs[0].coarse, b, r, c);
        let change = [0, 1].map(|k| move |r: i64, c: i64| value(&problem.target, b, r, c) - value(&pairs[k].coarse, b, r, c));
        let scale_fine = deviation(everywhere(&fine).into_iter());
        let scale_coarse = deviation(everywhere(&coarse).into_iter());
        let scales = match parameters.normalisation {
            Normalisation::Common => (scale_fine, scale_fine),
            Normalisation::Separate => (scale_fine, scale_coarse),
        };
        let dictionaries = (scale_fine > 0.0 && scale_coarse > 0.0)
            .then(|| training_patches(parameters, &places, (&fine, &coarse), scales))
            .filter(|samples| !samples.is_empty())
            .map(|samples| learned(parameters, &samples));
        let largest = [0, 1].map(|k| everywhere(&change[k])).concat().iter().fold(0.0f64, |m, v| m.max(v.abs()));

        let (mut sum, mut count) = (Array2::<f64>::zeros((rows, cols)), Array2::<f64>::zeros((rows, cols)));
        for &at in &places {
            let inner = |r: Range<i64>| r.flat_map(|y| (0..side).map(move |x| (y, x))).collect::<Vec<_>>();
            // Eq. 12, 13: weights by the change of the coarse image, or of built-up area
            let relative = |k: usize| {
                let mean = mean_change(&patch(&change[k], at, side))?;
                Some(match parameters.weighting {
                    Weighting::Equal => 0.0,
                    Weighting::Change if largest > 0.0 => mean / largest,
                    Weighting::Change => 0.0,
                    Weighting::BuiltUp => {
                        let of = |image: &Array3<f32>, y: i64, x: i64| {
                            let n = &parameters.index_bands;
                            built_up([0, 1, 2].map(|i| value(image, n[i] as usize - 1, at.0 + y, at.1 + x)))
                        };
                        let known: Vec<bool> = inner(0..side)
                            .into_iter()
                            .filter_map(|(y, x)| Some(of(&pairs[k].coarse, y, x)? != of(&problem.target, y, x)?))
                            .collect();
                        known.iter().filter(|changed| **changed).count() as f64 / known.len().max(1) as f64
                    }
                })
            };
            let w = weights(relative(0), relative(1), parameters.weight_threshold);
            // Eq. 10, 11: the code of the coarse change, and the fine change that has the same code
            let predicted = [0, 1].map(|k| {
                let l = patch(&change[k], at, side);
                let Some(d) = &dictionaries else { return l };
                let y = filled(&l.iter().map(|v| v / scales.1).collect::<Vector>());
                let (code, _) = sparse_code(&d.coarse, &y, parameters.sparsity);
                let code = debiased(&d.coarse, &y, &code, parameters.debiasing);
                combined(&d.fine, &code, y.len()).iter().map(|h| h * scales.0).collect()
            });
            for (y, x) in inner(0..side) {
                let Some((r, c)) = inside(at.0 + y, at.1 + x) else { continue };
                let p = (y * side + x) as usize;
                let side_of = |k: usize| {
                    let valid = !(f64::from(pairs[k].fine[(b, r, c)]) + change[k](r as i64, c as i64)).is_nan();
                    valid.then(|| f64::from(pairs[k].fine[(b, r, c)]) + predicted[k][p])
                };
                // Eq. 14
                sum[(r, c)] += match (side_of(0), side_of(1)) {
                    (Some(first), Some(third)) => w[0] * first + w[1] * third,
                    (Some(only), None) | (None, Some(only)) => only,
                    (None, None) => f64::NAN,
                };
                count[(r, c)] += 1.0;
            }
        }
        out.index_axis_mut(ndarray::Axis(0), b).assign(&(sum / count));
    }
    Ok(out)
}
