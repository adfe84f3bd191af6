//! OBSUM, literally and in `f64`, with the objects and classes given; only tests call it. Steps are those of the module.

use ndarray::{Array2, Array3};

use super::parameters::{Parameters, Residual};
use super::{limits, weight, LEAST_VALID};
use crate::blocks::border::Border;
use crate::blocks::bounded_least_squares::SMALLEST_RIDGE;
use crate::blocks::linear_system::Lu;
use crate::cases::Problem;

/// Position in `0..count` of a position that may lie outside; `None` where the window is cut off.
fn inside(place: i64, count: usize, border: Border) -> Option<usize> {
    let last = count as i64 - 1;
    let mut place = place;
    while border == Border::Reflect && !(0..=last).contains(&place) {
        place = if last == 0 {
            0
        } else if place < 0 {
            -place
        } else {
            2 * last - place
        };
    }
    (0..=last).contains(&place).then_some(place as usize)
}

/// Mean of the numbers that are valid, if at least a part of them is.
fn mean(values: impl Iterator<Item = f64>, least: f64) -> f64 {
    let all: Vec<f64> = values.collect();
    let valid: Vec<f64> = all.iter().copied().filter(|v| !v.is_nan()).collect();
    if valid.is_empty() || (valid.len() as f64) < least * all.len() as f64 {
        return f64::NAN;
    }
    valid.iter().sum::<f64>() / valid.len() as f64
}

/// The `x` within `bounds` that minimises Σ (y − a x)² + ridge Σ (x − prior)², over all ways to fix unknowns at bounds.
fn bounded(equations: &[(Vec<f64>, f64)], bounds: (f64, f64), prior: f64) -> Vec<f64> {
    let n = equations[0].0.len();
    let product = |c: usize, d: usize| equations.iter().map(|(a, _)| a[c] * a[d]).sum::<f64>();
    let ridge = SMALLEST_RIDGE * (0..n).map(|c| product(c, c)).fold(0.0, f64::max);
    let cost = |x: &[f64]| {
        let misfit = |(a, y): &(Vec<f64>, f64)| (y - a.iter().zip(x).map(|(a, x)| a * x).sum::<f64>()).powi(2);
        equations.iter().map(misfit).sum::<f64>() + ridge * x.iter().map(|x| (x - prior).powi(2)).sum::<f64>()
    };
    let mut best = (f64::INFINITY, Vec::new());
    for mut code in 0..3usize.pow(n as u32) {
        let mut x = vec![0.0; n];
        let mut free = Vec::new();
        for (c, value) in x.iter_mut().enumerate() {
            match code % 3 {
                0 => free.push(c),
                1 => *value = bounds.0,
                _ => *value = bounds.1,
            }
            code /= 3;
        }
        let mut matrix = Vec::new();
        let mut right = Vec::new();
        for &c in &free {
            matrix.extend(free.iter().map(|&d| product(c, d) + if c == d { ridge } else { 0.0 }));
            let rest = |a: &[f64]| a.iter().zip(&x).map(|(a, x)| a * x).sum::<f64>();
            right.push(equations.iter().map(|(a, y)| a[c] * (y - rest(a))).sum::<f64>() + ridge * prior);
        }
        if !free.is_empty() {
            let Some(lu) = Lu::new(matrix, free.len()) else { continue };
            lu.solve(&mut right);
        }
        free.iter().zip(&right).for_each(|(&c, &value)| x[c] = value);
        if x.iter().all(|v| (bounds.0 - 1e-12..=bounds.1 + 1e-12).contains(v)) && cost(&x) < best.0 {
            best = (cost(&x), x);
        }
    }
    best.1
}

/// The cubic B-spline.
fn basis(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        2.0 / 3.0 - x * x + x * x * x / 2.0
    } else if x < 2.0 {
        (2.0 - x).powi(3) / 6.0
    } else {
        0.0
    }
}

/// Σ_k c_k basis(position − k) as weights of the values c of a line mirrored at its ends.
fn weights(position: f64, count: usize) -> Vec<f64> {
    let mut weights = vec![0.0; count];
    for k in -3..count as i64 + 3 {
        if let Some(place) = inside(k, count, Border::Reflect) {
            weights[place] += basis(position - k as f64);
        }
    }
    weights
}

/// Weights of the values of a line in its interpolating spline at `position`.
fn interpolation(position: f64, count: usize) -> Vec<f64> {
    // values = M coefficients and spline = w · coefficients, so the weights of the values are the solution of Mᵀ u = w; the columns of
    // Mᵀ are the rows of M
    let columns = (0..count).flat_map(|i| weights(i as f64, count)).collect();
    let mut solution = weights(position, count);
    if let Some(lu) = Lu::new(columns, count) {
        lu.solve(&mut solution);
    }
    solution
}

/// The prediction from the first pair with `objects` and `classes`, `None` where a pixel has none.
pub fn predict(
    parameters: &Parameters,
    problem: &Problem,
    objects: &Array2<Option<usize>>,
    classes: &Array2<Option<usize>>,
) -> Array3<f64> {
    let (bands, rows, cols) = problem.dim();
    let scale = problem.scale.unwrap_or(1);
    let (down, across) = (rows.div_ceil(scale), cols.div_ceil(scale));
    let pair = &problem.pairs[0];
    let value = |image: &Array3<f32>, b: usize, r: usize, c: usize| f64::from(image[(b, r, c)]);
    let pixels_of = |i: usize, j: usize| {
        (i * scale..((i + 1) * scale).min(rows)).flat_map(move |r| (j * scale..((j + 1) * scale).min(cols)).map(move |c| (r, c)))
    };
    let coarse_mean = |image: &Array3<f32>| {
        Array3::from_shape_fn((bands, down, across), |(b, i, j)| {
            mean(pixels_of(i, j).map(|(r, c)| value(image, b, r, c)), LEAST_VALID) as f32 as f64
        })
    };
    let object_count = objects.iter().flatten().max().map_or(0, |o| o + 1);
    let class_count = classes.iter().flatten().max().map_or(0, |c| c + 1);
    let members: Vec<Vec<(usize, usize)>> = (0..object_count)
        .map(|o| objects.indexed_iter().filter(|(_, object)| **object == Some(o)).map(|(at, _)| at).collect())
        .collect();

    // step 1: the class of most pixels, the lower one of two
    let class_of: Vec<Option<usize>> = members
        .iter()
        .map(|pixels| {
            let count = |k: usize| pixels.iter().filter(|at| classes[**at] == Some(k)).count();
            (0..class_count).rev().max_by_key(|&k| count(k)).filter(|&k| count(k) > 0)
        })
        .collect();
    let class_at = |at: (usize, usize)| objects[at].and_then(|o| class_of[o]);

    // step 2: fractions among the pixels with a class, and the coarse change
    let fractions = |i: usize, j: usize| -> Option<Vec<f64>> {
        let all = pixels_of(i, j).filter_map(class_at).count();
        let share = |k: usize| pixels_of(i, j).filter(|at| class_at(*at) == Some(k)).count() as f64 / all as f64;
        (all > 0).then(|| (0..class_count).map(share).collect())
    };
    let fractions: Vec<Option<Vec<f64>>> = (0..down * across).map(|cell| fractions(cell / across, cell % across)).collect();
    let target = coarse_mean(&problem.target);
    let change = &target - &coarse_mean(&pair.coarse);

    // step 3: class changes of every coarse pixel
    let half = parameters.window / 2;
    let class_change = |b: usize, i: usize, j: usize| -> Vec<f64> {
        let valid = change.index_axis(ndarray::Axis(0), b).iter().copied().filter(|v| !v.is_nan()).collect::<Vec<_>>();
        let bounds =
            (valid.iter().copied().fold(f64::INFINITY, f64::min), valid.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        let mut equations = Vec::new();
        for y in -half..=half {
            for x in -half..=half {
                let place = (inside(i as i64 + y, down, parameters.border), inside(j as i64 + x, across, parameters.border));
                if let (Some(y), Some(x)) = place {
                    if let Some(shares) = fractions[y * across + x].as_ref().filter(|_| !change[(b, y, x)].is_nan()) {
                        equations.push((shares.clone(), change[(b, y, x)]));
                    }
                }
            }
        }
        if equations.is_empty() {
            return vec![f64::NAN; class_count];
        }
        let prior = equations.iter().map(|(_, y)| y).sum::<f64>() / equations.len() as f64;
        bounded(&equations, bounds, prior)
    };

    // step 4: their mean over every object
    let cells = down * across;
    let changes: Vec<Vec<Vec<f64>>> =
        (0..bands).map(|b| (0..cells).map(|cell| class_change(b, cell / across, cell % across)).collect()).collect();
    let of_object = |(pixels, class): (&Vec<(usize, usize)>, &Option<usize>)| -> Vec<f64> {
        let of_band = |changes: &Vec<Vec<f64>>| match class {
            Some(class) => mean(pixels.iter().map(|(r, c)| changes[r / scale * across + c / scale][*class]), 0.0),
            None => f64::NAN,
        };
        changes.iter().map(of_band).collect()
    };
    let object_change: Vec<Vec<f64>> = members.iter().zip(&class_of).map(of_object).collect();

    // residual of every coarse pixel: what is left of its change
    let base = match parameters.residual {
        Residual::Change => change.clone(),
        Residual::Level => &target - &coarse_mean(&pair.fine),
    };
    let left = |from: &Array3<f64>, predicted: &[Vec<f64>]| {
        Array3::from_shape_fn((bands, down, across), |(b, i, j)| {
            let known = pixels_of(i, j).filter_map(|at| objects[at]).map(|o| predicted[o][b]).filter(|v| !v.is_nan());
            from[(b, i, j)] - mean(known, 0.0)
        })
    };
    let smooth = |coarse: &Array3<f64>| {
        let filled = coarse.mapv(|v| if v.is_nan() { 0.0 } else { v });
        Array3::from_shape_fn((bands, rows, cols), |(b, r, c)| {
            let band = filled.index_axis(ndarray::Axis(0), b);
            let at = |i: usize| (i as f64 + 0.5) / scale as f64 - 0.5;
            let (of_row, of_col) = (interpolation(at(r), down), interpolation(at(c), across));
            let mut sum = 0.0;
            for ((i, j), v) in band.indexed_iter() {
                sum += of_row[i] * of_col[j] * v;
            }
            sum.max(band.iter().copied().fold(f64::INFINITY, f64::min))
                .min(band.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        })
    };

    // step 5: residuals of objects from their surest pixels
    let residuals = left(&base, &object_change);
    let fine_residuals = smooth(&residuals);
    let has_residual = |(r, c): (usize, usize)| (0..bands).any(|b| !residuals[(b, r / scale, c / scale)].is_nan());
    let index = |(r, c): (usize, usize)| {
        let before = scale as i64 / 2;
        let mut same = 0.0;
        for y in r as i64 - before..r as i64 - before + scale as i64 {
            for x in c as i64 - before..c as i64 - before + scale as i64 {
                if let (Some(y), Some(x)) = (inside(y, rows, Border::Reflect), inside(x, cols, Border::Reflect)) {
                    same += f64::from(u8::from(objects[(y, x)] == objects[(r, c)]));
                }
            }
        }
        let middle = (scale / 2) as f64;
        let distance = (((r % scale) as f64 - middle).powi(2) + ((c % scale) as f64 - middle).powi(2)).sqrt();
        f64::from((same / (scale * scale) as f64 / (1.0 + distance / middle)) as f32)
    };
    let object_residual: Vec<Vec<f64>> = members
        .iter()
        .map(|pixels| {
            let pixels: Vec<(usize, usize)> = pixels.iter().copied().filter(|at| has_residual(*at)).collect();
            let indices: Vec<f64> = pixels.iter().map(|at| index(*at)).collect();
            let mut sorted = indices.clone();
            sorted.sort_by(f64::total_cmp);
            let place = (1.0 - parameters.residual_pixels / 100.0) * sorted.len().saturating_sub(1) as f64;
            let above = |k: usize| sorted.get(k).or(sorted.last()).copied().unwrap_or(f64::NAN);
            let lower = above(place.floor() as usize);
            let threshold = lower + place.fract() * (above(place.floor() as usize + 1) - lower);
            (0..bands)
                .map(|b| {
                    let (mut sum, mut weights) = (0.0, 0.0);
                    for (&(r, c), &index) in pixels.iter().zip(&indices) {
                        if index >= threshold && !residuals[(b, r / scale, c / scale)].is_nan() {
                            sum += index * fine_residuals[(b, r, c)];
                            weights += index;
                        }
                    }
                    if weights > 0.0 {
                        sum / weights
                    } else {
                        0.0
                    }
                })
                .collect()
        })
        .collect();

    // step 6: what is left then, over the most similar pixels
    let fine_residuals = smooth(&left(&residuals, &object_residual));
    let valid = |at: (usize, usize)| {
        (0..bands).all(|b| !(value(&pair.coarse, b, at.0, at.1) + value(&problem.target, b, at.0, at.1)).is_nan())
    };
    let half = parameters.similar_window / 2;
    let (lower, upper) = limits(parameters);
    let mut image = Array3::from_elem((bands, rows, cols), f64::NAN);
    for r in 0..rows {
        for c in 0..cols {
            let mut samples = Vec::new();
            for dy in -half..=half {
                for dx in -half..=half {
                    let place = (inside(r as i64 + dy, rows, parameters.border), inside(c as i64 + dx, cols, parameters.border));
                    let (Some(y), Some(x)) = place else { continue };
                    let difference: f64 =
                        (0..bands).map(|b| (value(&pair.fine, b, y, x) - value(&pair.fine, b, r, c)).abs()).sum();
                    if !difference.is_nan() && valid((y, x)) {
                        samples.push((difference, dy * dy + dx * dx, dy, dx, (y, x)));
                    }
                }
            }
            samples.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2, a.3).cmp(&(b.1, b.2, b.3))));
            samples.truncate(parameters.similar_pixels as usize);
            for b in 0..bands {
                let (fine, before, after) =
                    (value(&pair.fine, b, r, c), value(&pair.coarse, b, r, c), value(&problem.target, b, r, c));
                if (fine + before + after).is_nan() {
                    continue;
                }
                let (mut sum, mut weights) = (0.0, 0.0);
                for (_, squared, _, _, (y, x)) in &samples {
                    let w = weight(parameters.distance_weight, half as usize, (*squared as f64).sqrt());
                    sum += w * fine_residuals[(b, *y, *x)];
                    weights += w;
                }
                let known = objects[(r, c)].map_or(f64::NAN, |o| object_change[o][b] + object_residual[o][b]);
                let change =
                    if known.is_nan() { after - before } else { known + if weights > 0.0 { sum / weights } else { 0.0 } };
                image[(b, r, c)] = (fine + change).max(f64::from(lower)).min(f64::from(upper));
            }
        }
    }
    image
}
