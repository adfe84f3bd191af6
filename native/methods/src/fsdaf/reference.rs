//! FSDAF, literally and in `f64`; only tests call it. Equation numbers are those of Zhu et al. (2016).
//!
//! Classes, bounded least squares, the filling of missing cells and the sample behind the extreme values come from the blocks, which have references of their own.
//! The order of similar pixels is decided in `f32`, as the search defines it.

use ndarray::{s, Array2, Array3, Axis};
use stfusion_core::memory::MemoryScene;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Cancel, Exec, Result};

use super::cpu::{order_factor, ADDED_DIFFERENCE, SMALLEST_VALUE};
use super::model;
use super::parameters::{HomogeneityWindow, Pairs, Parameters, SimilarityOrder, SimilarityWeight, SpatialPrediction};
use crate::blocks::bounded_least_squares::BoundedLeastSquares;
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::linear_system::Lu;
use crate::blocks::pair_order::nearest_first;
use crate::blocks::pixel_sample::{PixelSample, MOST_PIXELS};
use crate::blocks::simd::Path;
use crate::blocks::thin_plate::ThinPlate;
use crate::cases::Problem;

/// A prediction with its support.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The prediction, (band, row, col).
    pub image: Array3<f64>,
    /// Number of similar pixels over the pairs that predict a band.
    pub similar_pixels: Array2<f64>,
    /// Pixels with a change over pixels of the window inside the scene, over all pairs.
    pub valid_fraction: Array2<f64>,
}

/// Mean of the values that are not `NaN`, which it is without any.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.filter(|v| !v.is_nan()).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample standard deviation.
fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values.iter().copied());
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len().max(2) - 1) as f64).sqrt()
}

/// Means of an image over cells.
fn cell_means(grid: &CoarseGrid, image: &Array3<f32>) -> Array3<f64> {
    Array3::from_shape_fn((image.dim().0, grid.rows, grid.cols), |(b, r, c)| {
        let p = grid.fine_region(r, c);
        mean(image.slice(s![b, p.row..p.row + p.rows, p.col..p.col + p.cols]).iter().map(|v| f64::from(*v)))
    })
}

/// Eq. 10 to 13: the exact spline through all cells at the fine pixel (row, col); the centre of a cell is that of a whole one.
fn thin_plate(grid: &CoarseGrid, values: &[f64]) -> impl Fn(usize, usize) -> f64 {
    let (rows, cols, scale) = (grid.rows, grid.cols, grid.scale as f64);
    let nodes: Vec<(f64, f64)> = (0..rows * cols).map(|i| ((i / cols) as f64, (i % cols) as f64)).collect();
    let kernel = |a: (f64, f64), b: (f64, f64)| {
        let r2 = (a.0 - b.0).powi(2) + (a.1 - b.1).powi(2);
        if r2 > 0.0 {
            r2 * r2.ln()
        } else {
            0.0
        }
    };
    // a slope across a single row or column of nodes is 0
    let plane = move |p: (f64, f64)| [1.0, if rows > 1 { p.0 } else { 0.0 }, if cols > 1 { p.1 } else { 0.0 }];
    let n = nodes.len();
    let mut matrix = vec![0.0; (n + 3) * (n + 3)];
    let mut solution = values.to_vec();
    solution.extend([0.0; 3]);
    for (i, p) in nodes.iter().enumerate() {
        for (j, q) in nodes.iter().enumerate() {
            matrix[j * (n + 3) + i] = kernel(*p, *q);
        }
        for (t, term) in plane(*p).into_iter().enumerate() {
            matrix[(n + t) * (n + 3) + i] = term;
            matrix[i * (n + 3) + n + t] = term;
        }
    }
    for (t, there) in [true, rows > 1, cols > 1].into_iter().enumerate() {
        if !there {
            matrix[(n + t) * (n + 3) + n + t] = 1.0;
        }
    }
    let solved = Lu::new(matrix, n + 3).map(|lu| lu.solve(&mut solution)).is_some();
    let first = values[0];
    move |row, col| {
        let at = ((row as f64 + 0.5) / scale - 0.5, (col as f64 + 0.5) / scale - 0.5);
        let plane: f64 = plane(at).iter().zip(&solution[n..]).map(|(t, a)| t * a).sum();
        if solved {
            plane + nodes.iter().zip(&solution).map(|(p, b)| b * kernel(at, *p)).sum::<f64>()
        } else {
            first
        }
    }
}

/// Mean of the cells within two cells of a fine pixel, weighted with 1 / d².
fn inverse_distance(grid: &CoarseGrid, values: &[f64], row: usize, col: usize) -> f64 {
    // in half fine pixels, whole numbers
    let apart = |fine: usize, cell: usize| ((2 * fine + 1) as f64 - ((2 * cell + 1) * grid.scale) as f64).powi(2);
    let (mut sum, mut total) = (0.0, 0.0);
    for (i, value) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
        let d2 = apart(row, i / grid.cols) + apart(col, i % grid.cols);
        if d2 == 0.0 {
            return *value;
        }
        if d2 <= (4.0 * grid.scale as f64).powi(2) {
            sum += value / d2;
            total += 1.0 / d2;
        }
    }
    sum / total
}

/// The prediction.
///
/// # Errors
/// Those of classification, and when the scale is unknown.
pub fn predict(parameters: &Parameters, problem: &Problem) -> Result<Outcome> {
    let scene = problem.scene()?;
    let grid = CoarseGrid::of_scene(scene.info(), parameters.scale, "FSDAF")?;
    let used = match parameters.pairs {
        Pairs::Combined => (0..problem.pairs.len()).collect(),
        Pairs::Nearest => vec![nearest_first(scene.info())[0]],
    };
    let outcomes = used.iter().map(|&k| of_pair(parameters, problem, &scene, &grid, k)).collect::<Result<Vec<_>>>()?;
    let mut whole = outcomes[0].clone();
    let count = used.len() as f64;
    whole.similar_pixels = outcomes.iter().fold(whole.similar_pixels * 0.0, |sum, o| sum + &o.similar_pixels);
    whole.valid_fraction = outcomes.iter().fold(whole.valid_fraction * 0.0, |sum, o| sum + &o.valid_fraction / count);
    if used.len() > 1 {
        let target = cell_means(&grid, &problem.target);
        // 1 / mean |C_p − C_k| over the cells around
        let weights: Vec<Array3<f64>> = used
            .iter()
            .map(|&k| {
                let change = &target - &cell_means(&grid, &problem.pairs[k].coarse);
                Array3::from_shape_fn(change.dim(), |(b, r, c)| {
                    let near = grid.window(r, c, 1);
                    let part = change.slice(s![b, near.row..near.row + near.rows, near.col..near.col + near.cols]);
                    1.0 / mean(part.iter().map(|v| v.abs())).max(1e-30)
                })
            })
            .collect();
        for (at, value) in whole.image.indexed_iter_mut() {
            let cell = (at.0, at.1 / grid.scale, at.2 / grid.scale);
            let valid = || outcomes.iter().zip(&weights).filter(|(o, _)| !o.image[at].is_nan());
            let total: f64 = valid().map(|(_, w)| w[cell]).sum();
            *value = valid().map(|(o, w)| w[cell] * o.image[at]).sum::<f64>() / total;
        }
    }
    Ok(whole)
}

fn of_pair(
    parameters: &Parameters,
    problem: &Problem,
    scene: &MemoryScene<'_>,
    grid: &CoarseGrid,
    pair: usize,
) -> Result<Outcome> {
    let (bands, rows, cols) = problem.dim();
    let cancel = Cancel::new();
    let exec = Exec::quiet(&cancel);
    let sample = PixelSample::of_image(scene, Layer::Fine(pair), MOST_PIXELS, parameters.seed as u64, &exec)?;
    let classes = model::classes(scene, parameters, pair, &sample, &exec)?;
    let images = &problem.pairs[pair];
    let labels = classes.labels(images.fine.view(), images.classes.as_ref().map(|m| m.view()))?;
    let count = classes.count();
    let class = |r: usize, c: usize| Some(usize::from(labels[(r, c)])).filter(|l| *l < count);
    let fine = |b: usize, r: usize, c: usize| f64::from(images.fine[(b, r, c)]);
    let extremes = model::extremes(&sample, parameters.extreme_share);
    let (low, high) = model::data_range(parameters);
    let half = parameters.window as usize / 2;
    let w = half.max(1) as f64;
    let window = |r: usize, c: usize, half: usize| {
        let near = move |i: usize, n: usize| i.saturating_sub(half)..(i + half + 1).min(n);
        near(r, rows).flat_map(move |y| near(c, cols).map(move |x| (y, x)))
    };

    // cells
    let (c1, c2) = (cell_means(grid, &images.coarse), cell_means(grid, &problem.target));
    let delta_c = &c2 - &c1;
    let pixels_of = |cell: usize| {
        let p = grid.fine_region(cell / grid.cols, cell % grid.cols);
        (p.row..p.row + p.rows).flat_map(move |r| (p.col..p.col + p.cols).map(move |c| (r, c)))
    };
    // Eq. 1
    let mut share = vec![vec![0.0; count]; grid.cells()];
    let mut labelled = vec![0.0; grid.cells()];
    for cell in 0..grid.cells() {
        let found: Vec<usize> = pixels_of(cell).filter_map(|(r, c)| class(r, c)).collect();
        labelled[cell] = found.len() as f64 / pixels_of(cell).count() as f64;
        found.iter().for_each(|l| share[cell][*l] += 1.0 / found.len() as f64);
    }
    // Eq. 16
    let homogeneity_half = match parameters.homogeneity_window {
        HomogeneityWindow::Window => half,
        HomogeneityWindow::CoarsePixel => grid.scale / 2,
    };
    let homogeneity = |r: usize, c: usize| {
        let near: Vec<usize> = window(r, c, homogeneity_half).filter_map(|(y, x)| class(y, x)).collect();
        near.iter().filter(|l| Some(**l) == class(r, c)).count() as f64 / near.len() as f64
    };

    let mut change = Array3::from_elem((bands, rows, cols), f64::NAN);
    for b in 0..bands {
        let dc = |cell: usize| delta_c[(b, cell / grid.cols, cell % grid.cols)];
        // Eq. 2 to 4
        let valid: Vec<usize> = (0..grid.cells()).filter(|&i| !dc(i).is_nan()).collect();
        let all: Vec<f64> = valid.iter().map(|&i| dc(i)).collect();
        let mut class_change = vec![0.0; count];
        if !all.is_empty() {
            let complete = |least: f64| valid.iter().copied().filter(|&i| labelled[i] > least).collect::<Vec<_>>();
            let mut cells = complete(0.999);
            if cells.len() < count {
                cells = complete(0.5);
            }
            if cells.len() < count {
                cells = complete(0.0);
            }
            let mut system = BoundedLeastSquares::new(count, 1);
            for l in 0..count {
                let mut purest: Vec<usize> = cells.iter().copied().filter(|&i| share[i][l] > 0.01).collect();
                purest.sort_by(|&i, &j| (share[j][l] as f32).total_cmp(&(share[i][l] as f32)).then(j.cmp(&i)));
                purest.truncate(parameters.pure_pixels as usize);
                let mut sorted: Vec<f64> = purest.iter().map(|&i| dc(i)).collect();
                sorted.sort_by(f64::total_cmp);
                let quantile = |q: f64| sorted[((q * sorted.len() as f64).floor() as usize).min(sorted.len() - 1)];
                for &i in &purest {
                    if (quantile(parameters.change_quantiles[0])..=quantile(parameters.change_quantiles[1])).contains(&dc(i)) {
                        system.add(&share[i], &[dc(i)], 1.0);
                    }
                }
            }
            system.finish(0.0);
            let lowest = all.iter().copied().fold(f64::INFINITY, f64::min) - deviation(&all);
            let highest = all.iter().copied().fold(f64::NEG_INFINITY, f64::max) + deviation(&all);
            let prior = vec![mean(all.iter().copied()); count];
            system.solve(0, &vec![lowest; count], &vec![highest; count], &prior, &mut class_change);
        }
        // Eq. 5, with fine values drawn in to the extremes
        let drawn = |r: usize, c: usize| fine(b, r, c).max(f64::from(extremes[b].0)).min(f64::from(extremes[b].1));
        let f_tp = |r: usize, c: usize| match class(r, c) {
            Some(l) if !fine(b, r, c).is_nan() => drawn(r, c) + class_change[l],
            _ => f64::NAN,
        };
        // Eq. 10 to 13
        let nodes: Vec<f64> = c2.index_axis(Axis(0), b).iter().copied().collect();
        let single: Vec<f32> = nodes.iter().map(|v| *v as f32).collect();
        let filled = ThinPlate::new(grid.rows, grid.cols, grid.scale, Path::Baseline).filled(&single, &cancel)?.unwrap_or(single);
        let filled: Vec<f64> = nodes.iter().zip(filled).map(|(v, f)| if v.is_nan() { f64::from(f) } else { *v }).collect();
        let spline = thin_plate(grid, &filled);
        // smallest and largest value of the target
        let predicted = (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c))).map(|(r, c)| f_tp(r, c));
        let ends: Vec<f64> = nodes.iter().copied().chain(predicted).filter(|v| !v.is_nan()).collect();
        let smallest = ends.iter().copied().fold(f64::INFINITY, f64::min).max(low);
        let largest = ends.iter().copied().fold(f64::NEG_INFINITY, f64::max).min(high);
        for &cell in &valid {
            // Eq. 9
            let r = dc(cell) - share[cell].iter().zip(&class_change).map(|(f, d)| f * d).sum::<f64>();
            let pixels: Vec<(usize, usize)> = pixels_of(cell).filter(|&(y, x)| !f_tp(y, x).is_nan()).collect();
            // Eq. 14, 15, 17
            let mut weights: Vec<f64> = pixels
                .iter()
                .map(|&(y, x)| {
                    let f_sp = match parameters.spatial_prediction {
                        SpatialPrediction::ThinPlate => spline(y, x),
                        SpatialPrediction::InverseDistance => inverse_distance(grid, &nodes, y, x),
                    };
                    let mut e = f_sp - f_tp(y, x);
                    if parameters.sign_rule && (r <= 0.0 && e > 0.0 || r > 0.0 && e < 0.0) {
                        e = 0.0;
                    }
                    let hi = homogeneity(y, x);
                    e.abs() * hi + r.abs() * (1.0 - hi) + 1e-8 * r.abs() + f64::MIN_POSITIVE
                })
                .collect();
            // Eq. 18
            let m = mean(weights.iter().copied());
            weights.iter_mut().for_each(|v| *v = if *v / m > parameters.weight_cap { 1.0 } else { *v / m });
            let m = mean(weights.iter().copied());
            // Eq. 19, 20
            for (&(y, x), v) in pixels.iter().zip(&weights) {
                change[(b, y, x)] = (f_tp(y, x) + v / m * r).max(smallest).min(largest) - drawn(y, x);
            }
        }
    }

    let tolerance: Vec<f32> = (0..bands)
        .map(|b| {
            let all: Vec<f64> =
                images.fine.index_axis(Axis(0), b).iter().filter(|v| !v.is_nan()).map(|v| f64::from(*v)).collect();
            (2.0 * deviation(&all) / parameters.similarity_classes.unwrap_or(count as f64)) as f32
        })
        .collect();
    let usable = |r: usize, c: usize| (0..bands).any(|b| !change[(b, r, c)].is_nan());
    let mut outcome = Outcome {
        image: Array3::from_elem((bands, rows, cols), f64::NAN),
        similar_pixels: Array2::zeros((rows, cols)),
        valid_fraction: Array2::zeros((rows, cols)),
    };
    let by_distance = parameters.similarity_order == SimilarityOrder::DifferenceAndDistance;
    for r in 0..rows {
        for c in 0..cols {
            let all: Vec<(usize, usize)> = window(r, c, half).collect();
            let used = all.iter().filter(|(y, x)| usable(*y, *x)).count();
            outcome.valid_fraction[(r, c)] = used as f64 / all.len() as f64;
            // Eq. 21: candidates with their keys
            let mut similar: Vec<(f32, usize, usize, usize, f64)> = Vec::new();
            for (y, x) in all {
                let d = |b: usize| (images.fine[(b, y, x)] - images.fine[(b, r, c)]).abs();
                let near = (0..bands).all(|b| d(b) < tolerance[b]);
                if !near || !usable(y, x) || parameters.same_class && labels[(y, x)] != labels[(r, c)] {
                    continue;
                }
                let mut key = 0.0f32;
                for b in 0..bands {
                    key += d(b) * (1.0 / (images.fine[(b, r, c)].abs() + SMALLEST_VALUE));
                }
                let squared = y.abs_diff(r).pow(2) + x.abs_diff(c).pow(2);
                let distance = (squared as f64).sqrt();
                let difference = f64::from(key);
                if by_distance {
                    key = (key + ADDED_DIFFERENCE) * order_factor(distance, half);
                }
                // Eq. 22, 23
                let weight = match parameters.similarity_weight {
                    SimilarityWeight::Distance => 1.0 / (1.0 + distance / w),
                    SimilarityWeight::DistanceAndDifference => 1.0 / ((1.0 + distance / w) * (difference + 1.0)),
                };
                similar.push((key, squared, y, x, weight));
            }
            similar.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
            similar.truncate(parameters.similar_pixels as usize);
            for b in 0..bands {
                let coarse_change = delta_c[(b, r / grid.scale, c / grid.scale)];
                if coarse_change.is_nan() {
                    continue;
                }
                // Eq. 24
                let valid = || similar.iter().filter(|(_, _, y, x, _)| !change[(b, *y, *x)].is_nan());
                let total: f64 = valid().map(|s| s.4).sum();
                let mean = valid().map(|s| s.4 * change[(b, s.2, s.3)]).sum::<f64>() / total;
                let own = if change[(b, r, c)].is_nan() { coarse_change } else { change[(b, r, c)] };
                let value = fine(b, r, c) + if total > 0.0 { mean } else { own };
                let outside = value < low || value > high;
                if !value.is_nan() {
                    outcome.similar_pixels[(r, c)] = similar.len() as f64;
                }
                outcome.image[(b, r, c)] = if outside { (fine(b, r, c) + coarse_change).max(low).min(high) } else { value };
            }
        }
    }
    Ok(outcome)
}
