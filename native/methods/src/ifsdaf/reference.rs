//! IFSDAF, literally and in `f64`; only tests call it. Formulas are those of the module's description.
//!
//! Classes come from the blocks. The order of similar pixels is decided in `f32`, as the search defines it.

use ndarray::{Array2, Array3, Axis};
use stfusion_core::memory::MemoryScene;
use stfusion_core::method::Scene;
use stfusion_core::{Cancel, Exec, Result};

use super::model::classification;
use super::parameters::{IncrementWeights, Parameters};
use crate::blocks::border::Border;
use crate::blocks::change_reference::{
    cell_means, combined, deviation, homogeneity, mean, residual_weights, spatial_prediction, Averaging, Outcome,
};
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::residual_weights::ResidualWeights;
use crate::blocks::similar_changes::data_range;
use crate::blocks::unmixing::reference::{bounded_minimum, joined, largest_radius, similar, Cells, Equation};
use crate::blocks::unmixing::Bounds;
use crate::cases::Problem;

/// The prediction.
///
/// # Errors
/// Those of classification, and when the scale is unknown.
pub fn predict(parameters: &Parameters, problem: &Problem) -> Result<Outcome> {
    let scene = problem.scene()?;
    let grid = CoarseGrid::of_scene(scene.info(), parameters.scale, "IFSDAF")?;
    let used = parameters.pairs.used(scene.info());
    let outcomes = used.iter().map(|&k| of_pair(parameters, problem, &scene, &grid, k)).collect::<Result<Vec<_>>>()?;
    Ok(combined(&grid, &outcomes, parameters.pair_window as usize / 2))
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
    let images = &problem.pairs[pair];
    let cells = Cells::new(problem, grid.scale);
    let single = |image: &Array3<f32>| cell_means(grid, image).mapv(|v| v as f32);
    let delta_c = (&single(&problem.target) - &single(&images.coarse)).mapv(f64::from);
    let classes = classification(parameters).classes_of(scene, grid, pair, &Exec::quiet(&cancel))?;
    let Some(classes) = classes else {
        return Ok(Outcome {
            image: Array3::from_elem((bands, rows, cols), f64::NAN),
            similar_pixels: Array2::zeros((rows, cols)),
            valid_fraction: Array2::zeros((rows, cols)),
            coarse_changes: delta_c,
        });
    };
    let count = classes.count();
    let labels = classes.labels(images.fine.view(), images.classes.as_ref().map(|m| m.view()))?;
    let alike = similar(&images.fine, &labels, count);
    let spread = spatial_prediction(parameters.spatial_prediction, grid, &delta_c)?;
    let rule = ResidualWeights { sign_rule: parameters.sign_rule, cap: f64::INFINITY };
    let mut change = Array3::from_elem((bands, rows, cols), f64::NAN);
    for b in 0..bands {
        let of_cell = |cell: (i64, i64)| delta_c[(b, cell.0 as usize, cell.1 as usize)];
        let shares = |cell| cells.shares(&labels, count, cell);

        // time-dependent increment
        let bounds = Bounds::Widened.of(delta_c.index_axis(Axis(0), b).iter());
        let valid = |cell| !of_cell(cell).is_nan() && shares(cell).is_some();
        let radius = parameters.unmixing_window / 2;
        let class_change = |cell: (i64, i64)| -> Vec<f64> {
            let near = cells.window(cell, (radius, largest_radius(radius, count + 1)), Border::Clip, count + 1, valid);
            let equations: Vec<Equation> = near.iter().filter_map(|&c| Some((shares(c)?, of_cell(c)))).collect();
            let kept: Vec<bool> = (0..count).map(|l| equations.iter().any(|e| e.0[l] > 0.0)).collect();
            // a class that the window does not hold changes as the most similar one that it does
            let (equations, to) = joined(&equations, &kept, &alike);
            if equations.is_empty() {
                return vec![f64::NAN; count];
            }
            let prior = if valid(cell) { of_cell(cell) } else { mean(equations.iter().map(|e| e.1)) };
            let solution = bounded_minimum(&equations, bounds, prior);
            to.iter().map(|l| solution[*l]).collect()
        };
        let class_changes: Vec<Vec<f64>> = cells.all().map(class_change).collect();
        let index = |cell: (i64, i64)| cell.0 as usize * grid.cols + cell.1 as usize;
        let temporal = |r: usize, c: usize| {
            let known = &class_changes[index(cells.of_pixel(r, c))];
            known.get(usize::from(labels[(r, c)])).copied().filter(|_| !images.fine[(b, r, c)].is_nan()).unwrap_or(f64::NAN)
        };

        // weights of the increments
        let temporal_mean = |cell| match shares(cell) {
            Some(shares) => {
                shares.iter().zip(&class_changes[index(cell)]).filter(|(f, _)| **f > 0.0).map(|(f, d)| f * d).sum::<f64>()
            }
            None => f64::NAN,
        };
        let spatial_mean = |cell: (i64, i64)| match parameters.increment_weights {
            IncrementWeights::Fitted => {
                let part = grid.fine_region(cell.0 as usize, cell.1 as usize);
                let places = (part.row..part.row + part.rows).flat_map(|r| (part.col..part.col + part.cols).map(move |c| (r, c)));
                mean(places.map(|(r, c)| spread(b, r, c)))
            }
            IncrementWeights::HeldBack => {
                let (mut sum, mut total) = (0.0, 0.0);
                for other in cells.all() {
                    let squared = (other.0 - cell.0).pow(2) + (other.1 - cell.1).pow(2);
                    if (1..=2).contains(&squared) && !of_cell(other).is_nan() {
                        sum += of_cell(other) / squared as f64;
                        total += 1.0 / squared as f64;
                    }
                }
                sum / total
            }
        };
        let weight = |cell: (i64, i64)| {
            let near = grid.window(cell.0 as usize, cell.1 as usize, parameters.weight_window as usize / 2);
            let (mut product, mut square) = (0.0, 0.0);
            for r in near.row..near.row + near.rows {
                for c in near.col..near.col + near.cols {
                    let other = (r as i64, c as i64);
                    let (t, s) = (temporal_mean(other), spatial_mean(other));
                    let terms = ((t - s) * (of_cell(other) - s), (t - s).powi(2));
                    if !terms.0.is_nan() && !terms.1.is_nan() {
                        product += terms.0;
                        square += terms.1;
                    }
                }
            }
            if square > 0.0 {
                (product / square).clamp(0.0, 1.0)
            } else {
                1.0
            }
        };

        // increment and residual
        for cell in cells.all().filter(|&cell| !of_cell(cell).is_nan()) {
            let w = weight(cell);
            let part = grid.fine_region(cell.0 as usize, cell.1 as usize);
            let places = (part.row..part.row + part.rows).flat_map(|r| (part.col..part.col + part.cols).map(move |c| (r, c)));
            let pixels: Vec<(usize, usize)> = places.filter(|(r, c)| !temporal(*r, *c).is_nan()).collect();
            let increment = |r: usize, c: usize| w * temporal(r, c) + (1.0 - w) * spread(b, r, c);
            let residual = of_cell(cell) - mean(pixels.iter().map(|&(r, c)| increment(r, c)));
            let of_pixel =
                |&(r, c): &(usize, usize)| (spread(b, r, c) - increment(r, c), homogeneity(&labels, count, grid.scale / 2, r, c));
            let weights = residual_weights(&rule, residual, &pixels.iter().map(of_pixel).collect::<Vec<_>>());
            for (&(r, c), v) in pixels.iter().zip(weights) {
                change[(b, r, c)] = increment(r, c) + v * residual;
            }
        }
    }
    let tolerance = |b: usize| {
        let all: Vec<f64> = images.fine.index_axis(Axis(0), b).iter().filter(|v| !v.is_nan()).map(|v| f64::from(*v)).collect();
        (2.0 * deviation(&all) / count as f64) as f32
    };
    let half = parameters.window as usize / 2;
    let averaging = Averaging {
        half,
        most: parameters.similar_pixels as usize,
        relative: true,
        tolerance: (0..bands).map(tolerance).collect(),
        same_class: parameters.same_class,
        order: parameters.similarity_order,
        weight: parameters.similarity_weight,
        half_weight: half.max(1) as f64,
        range: data_range(&parameters.data_range)?,
    };
    Ok(averaging.prediction(&images.fine, &labels, &change, (grid, &delta_c)))
}
