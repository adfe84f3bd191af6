//! Fit-FC, literally and in `f64`; only tests call it. Equation numbers are those of Wang and Atkinson (2018).

use ndarray::{s, Array2, Array3, ArrayView2};

use super::line::ROUNDING;
use super::parameters::{Border, Parameters, Regression, Ties};
use crate::cases::{Problem, ProblemPair};

/// A prediction with its support.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The prediction, (band, row, col).
    pub image: Array3<f64>,
    /// Number of similar pixels.
    pub similar_pixels: Array2<f64>,
    /// Pixels of the window that are predicted in every band over those inside the scene.
    pub valid_fraction: Array2<f64>,
}

/// Part `from..to` of `0..length` within `reach` of `centre`.
fn window(centre: usize, reach: usize, length: usize) -> std::ops::Range<usize> {
    centre.saturating_sub(reach)..(centre + reach + 1).min(length)
}

/// Equation 1: slope and intercept of y on x over a window around (row, col); a window without contrast keeps the change of the means.
fn line(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>, (row, col): (usize, usize), reach: usize) -> Option<(f64, f64)> {
    let (rows, cols) = x.dim();
    let part = s![window(row, reach, rows), window(col, reach, cols)];
    let pixels: Vec<(f64, f64)> =
        x.slice(part).iter().copied().zip(y.slice(part).iter().copied()).filter(|(x, y)| !(x + y).is_nan()).collect();
    let n = pixels.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pixels.iter().map(of).sum::<f64>() / n;
    let (mx, my) = (mean(&|p| p.0), mean(&|p| p.1));
    let variance = mean(&|p| (p.0 - mx).powi(2));
    let contrast = variance > ROUNDING * mean(&|p| p.0 * p.0);
    let a = if contrast { mean(&|p| (p.0 - mx) * (p.1 - my)) / variance } else { 1.0 };
    (n > 0.0).then_some((a, my - a * mx))
}

/// Mean of the valid pixels of every coarse pixel.
fn cells(image: ArrayView2<'_, f64>, scale: usize) -> Array2<f64> {
    let (rows, cols) = image.dim();
    Array2::from_shape_fn((rows.div_ceil(scale), cols.div_ceil(scale)), |(r, c)| {
        let part = s![r * scale..((r + 1) * scale).min(rows), c * scale..((c + 1) * scale).min(cols)];
        let valid: Vec<f64> = image.slice(part).iter().copied().filter(|v| !v.is_nan()).collect();
        // images hold single precision
        f64::from((valid.iter().sum::<f64>() / valid.len() as f64) as f32)
    })
}

/// Cubic convolution (Keys, a = -1/2) of a mirrored image between the centres of its pixels; bilinear over valid ones where a pixel of the sixteen is
/// invalid.
fn interpolated(cells: &Array2<f64>, scale: usize, (row, col): (usize, usize)) -> f64 {
    let (rows, cols) = cells.dim();
    let mirrored = |i: isize, n: usize| {
        let (n, i) = (n as isize, if i < 0 { -1 - i } else { i });
        (if i >= n { 2 * n - 1 - i } else { i }).clamp(0, n - 1) as usize
    };
    let (y, x) = ((row as f64 + 0.5) / scale as f64 - 0.5, (col as f64 + 0.5) / scale as f64 - 0.5);
    let (j, i) = (y.floor() as isize, x.floor() as isize);
    let cubic = |d: f64| match d.abs() {
        d if d <= 1.0 => 1.5 * d.powi(3) - 2.5 * d.powi(2) + 1.0,
        d if d < 2.0 => -0.5 * d.powi(3) + 2.5 * d.powi(2) - 4.0 * d + 2.0,
        _ => 0.0,
    };
    let linear = |d: f64| (1.0 - d.abs()).max(0.0);
    let taps = |kernel: &dyn Fn(f64) -> f64| -> Vec<(f64, f64)> {
        let of = |jj: isize, ii: isize| {
            (kernel(y - jj as f64) * kernel(x - ii as f64), cells[(mirrored(jj, rows), mirrored(ii, cols))])
        };
        (j - 1..j + 3).flat_map(|jj| (i - 1..i + 3).map(move |ii| (jj, ii))).map(|(jj, ii)| of(jj, ii)).collect()
    };
    if cells[(row / scale, col / scale)].is_nan() {
        return f64::NAN;
    }
    let all = taps(&cubic);
    if all.iter().all(|(_, v)| !v.is_nan()) {
        return all.iter().map(|(w, v)| w * v).sum();
    }
    let valid: Vec<(f64, f64)> = taps(&linear).into_iter().filter(|(w, v)| *w > 0.0 && !v.is_nan()).collect();
    valid.iter().map(|(w, v)| w * v).sum::<f64>() / valid.iter().map(|(w, _)| w).sum::<f64>()
}

/// Equations 1, 2 and 7: `a F1 + b + r` of one band, invalid where one of the images is.
fn regression(parameters: &Parameters, scale: usize, pair: &ProblemPair, target: &Array3<f32>, band: usize) -> Array2<f64> {
    let of = |image: &Array3<f32>| image.slice(s![band, .., ..]).mapv(f64::from);
    let (f1, c1, c2) = (of(&pair.fine), of(&pair.coarse), of(target));
    let side = parameters.regression_window;
    let (lines, residuals) = match parameters.regression {
        Regression::Coarse => {
            let (x, y) = (cells(c1.view(), scale), cells(c2.view(), scale));
            let lines = Array2::from_shape_fn(x.dim(), |at| line(x.view(), y.view(), at, (side / 2.0) as usize));
            let residuals = Array2::from_shape_fn(x.dim(), |at| lines[at].map_or(f64::NAN, |(a, b)| y[at] - (a * x[at] + b)));
            (Array2::from_shape_fn(f1.dim(), |(r, c)| lines[(r / scale, c / scale)]), residuals)
        }
        Regression::Fine => {
            let reach = ((side * scale as f64 - 1.0) / 2.0).round() as usize;
            let lines = Array2::from_shape_fn(f1.dim(), |at| line(c1.view(), c2.view(), at, reach));
            let left = Array2::from_shape_fn(f1.dim(), |at| lines[at].map_or(f64::NAN, |(a, b)| c2[at] - (a * c1[at] + b)));
            (lines, cells(left.view(), scale))
        }
    };
    Array2::from_shape_fn(f1.dim(), |at| {
        let residual = if parameters.residual { interpolated(&residuals, scale, at) } else { 0.0 };
        match lines[at] {
            Some((a, b)) if !(c1[at] + c2[at]).is_nan() => a * f1[at] + b + residual,
            _ => f64::NAN,
        }
    })
}

/// The prediction.
pub fn predict(parameters: &Parameters, problem: &Problem) -> Outcome {
    let (bands, rows, cols) = problem.dim();
    let scale = parameters.scale.map_or(problem.scale.unwrap_or(1), |s| s.round() as usize);
    let half = (parameters.window / 2) as usize;
    let importance = parameters.spatial_importance.unwrap_or(parameters.window as f64 / 2.0);
    let similarity: Vec<usize> = match parameters.similarity_bands.as_slice() {
        [] => (0..bands).collect(),
        list => list.iter().map(|&b| b as usize - 1).collect(),
    };
    // the pair nearest in time first; without all dates the last pair
    let mut order: Vec<usize> = (0..problem.pairs.len()).rev().collect();
    if problem.pairs.iter().all(|p| p.gap_days.is_some()) {
        order.sort_by_key(|&k| problem.pairs[k].gap_days.map(|d| (d.abs(), d > 0, k)));
    }
    let mut outcome = Outcome {
        image: Array3::from_elem((bands, rows, cols), f64::NAN),
        similar_pixels: Array2::zeros((rows, cols)),
        valid_fraction: Array2::zeros((rows, cols)),
    };
    for k in order {
        let pair = &problem.pairs[k];
        let predicted: Vec<Array2<f64>> = (0..bands).map(|b| regression(parameters, scale, pair, &problem.target, b)).collect();
        let usable = |at: (usize, usize)| predicted.iter().all(|p| !p[at].is_nan());
        for at in (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c))) {
            let around: Vec<(usize, usize)> =
                window(at.0, half, rows).flat_map(|r| window(at.1, half, cols).map(move |c| (r, c))).collect();
            // places of the window, which may lie outside the scene, and where their values are
            let h = half as isize;
            let places = (-h..=h).flat_map(|dy| (-h..=h).map(move |dx| (at.0 as isize + dy, at.1 as isize + dx)));
            let within =
                |(y, x): (isize, isize)| (y.clamp(0, rows as isize - 1) as usize, x.clamp(0, cols as isize - 1) as usize);
            let scene = |(y, x): &(isize, isize)| (0..rows as isize).contains(y) && (0..cols as isize).contains(x);
            let places: Vec<_> = places.filter(|place| parameters.border == Border::Replicate || scene(place)).collect();
            // Eq. 3: how little a pixel resembles the centre; in the arithmetic of the images, so that equal stays equal
            let unlike = |y: (usize, usize)| {
                similarity.iter().fold(0.0f32, |sum, &b| {
                    let d = pair.fine[(b, y.0, y.1)] - pair.fine[(b, at.0, at.1)];
                    sum + d * d
                })
            };
            let square = |y: (isize, isize)| (y.0 - at.0 as isize).pow(2) + (y.1 - at.1 as isize).pow(2);
            let rank = |y: (isize, isize)| match parameters.ties {
                Ties::Nearest => (square(y), y.0, y.1),
                Ties::Columns => (y.1, y.0, 0),
            };
            let counts = |y: &(isize, isize)| usable(within(*y)) && unlike(within(*y)).is_finite();
            let mut similar: Vec<_> = places.iter().copied().filter(counts).map(|y| (unlike(within(y)), rank(y), y)).collect();
            similar.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
            similar.truncate(parameters.neighbours as usize);
            // Eq. 5 and 6: W = (1 / D) / Σ (1 / D), D = 1 + d / A
            let weight = |y: (isize, isize)| 1.0 / (1.0 + (square(y) as f64).sqrt() / importance);
            let weights: f64 = similar.iter().map(|s| weight(s.2)).sum();
            let mut filled = false;
            for (b, plane) in predicted.iter().enumerate() {
                let to = &mut outcome.image[(b, at.0, at.1)];
                if !to.is_nan() || plane[at].is_nan() {
                    continue;
                }
                // Eq. 4 and 8
                let mean = similar.iter().map(|s| weight(s.2) * plane[within(s.2)]).sum::<f64>() / weights;
                *to = if similar.is_empty() { plane[at] } else { mean };
                filled = true;
            }
            if filled {
                outcome.similar_pixels[at] = similar.len() as f64;
                outcome.valid_fraction[at] = around.iter().filter(|&&y| usable(y)).count() as f64 / around.len() as f64;
            }
        }
    }
    outcome
}
