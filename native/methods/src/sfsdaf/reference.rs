//! SFSDAF, literally and in `f64`; only tests call it. Steps are those of the module's description.
//!
//! Fractions of fine pixels, class values of purest cells and of purest pixels, and the unmixing of cells come from their own modules, whose tests
//! compare them with their definitions. The order of similar pixels and of similar fractions is decided in `f32`, as the search defines it.

use ndarray::{s, Array3};
use stfusion_core::memory::MemoryScene;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Cancel, Exec, Result};

use super::half_window;
use super::model::{cell_fractions, class_means, fine_fractions, fine_values, fraction_changes};
use super::parameters::Parameters;
use super::soft_classes::SoftClasses;
use crate::blocks::change_reference::{
    cell_means, combined, homogeneity, mean, residual_weights, spatial_prediction, window, Averaging, Outcome,
};
use crate::blocks::classes::Classes;
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::pixel_sample::{PixelSample, MOST_PIXELS};
use crate::blocks::purest_cells::{quantiles, PurestCells};
use crate::blocks::residual_weights::ResidualWeights;
use crate::blocks::similar_changes::{data_range, SimilarityOrder, SimilarityWeight};
use crate::blocks::spatial_prediction::SpatialPrediction;
use crate::cases::Problem;

/// The prediction.
///
/// # Errors
/// Those of classification, and when the scale is unknown.
pub fn predict(parameters: &Parameters, problem: &Problem) -> Result<Outcome> {
    let scene = problem.scene()?;
    let grid = CoarseGrid::of_scene(scene.info(), parameters.scale, "SFSDAF")?;
    let used = parameters.pairs.used(scene.info());
    let outcomes = used.iter().map(|&k| of_pair(parameters, problem, &scene, &grid, k)).collect::<Result<Vec<_>>>()?;
    Ok(combined(&grid, &outcomes, 1))
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
    let images = &problem.pairs[pair];
    let fine = |b: usize, r: usize, c: usize| f64::from(images.fine[(b, r, c)]);

    // step 1: classes and fractions of fine pixels
    let sample = PixelSample::of_image(scene, Layer::Fine(pair), MOST_PIXELS, parameters.seed as u64, &exec)?;
    let hard = class_means(parameters, pair, &sample, &exec)?;
    let soft = SoftClasses::of_sample(&sample, &hard);
    let f1 = fine_fractions(&soft, images.fine.view(), &cancel)?;
    let count = soft.count();
    let labels = Classes::Model(hard).labels(images.fine.view(), None)?;

    // steps 2 to 4: fractions of cells, class changes, fraction changes
    let fractions = cell_fractions(scene, grid, pair, &soft, &exec)?;
    let single = |image: &Array3<f32>| cell_means(grid, image).mapv(|v| v as f32);
    let (c1, c2) = (single(&images.coarse), single(&problem.target));
    let delta_c = (&c2 - &c1).mapv(f64::from);
    let rule = PurestCells {
        most: parameters.pure_pixels as usize,
        quantiles: Some(quantiles(&parameters.change_quantiles)?),
        by_magnitude: true,
        once: true,
        widened: 1.0,
    };
    let delta_e: Vec<Vec<f64>> = delta_c
        .outer_iter()
        .map(|band| rule.class_values(&fractions.means, fractions.known.view(), band.mapv(|v| v as f32).view()).0)
        .collect();
    let coarse_delta_f = fraction_changes(parameters, &fractions, &c1, &c2, &exec)?.mapv(f64::from);

    // step 5: changes of fractions of fine pixels
    let delta_f = spatial_prediction(SpatialPrediction::Cubic, grid, &coarse_delta_f)?;
    let half_weight = grid.scale as f64 / 2.0;
    let smoothed = |r: usize, c: usize| -> Vec<f64> {
        let mut similar: Vec<(f32, usize, usize, usize)> = Vec::new();
        for (y, x) in window((rows, cols), r, c, grid.scale / 2).filter(|(y, x)| !f1[(0, *y, *x)].is_nan()) {
            let key = (0..count).fold(0.0f32, |sum, l| sum + (f1[(l, y, x)] - f1[(l, r, c)]).abs());
            similar.push((key, y.abs_diff(r).pow(2) + x.abs_diff(c).pow(2), y, x));
        }
        similar.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        similar.truncate(parameters.similar_pixels as usize);
        let weight = |squared: usize| 1.0 / (1.0 + (squared as f64).sqrt() / half_weight);
        let total: f64 = similar.iter().map(|s| weight(s.1)).sum();
        (0..count).map(|l| similar.iter().map(|s| weight(s.1) * delta_f(l, s.2, s.3)).sum::<f64>() / total).collect()
    };

    // step 6: temporal prediction
    let e1 = fine_values(&sample, &soft, parameters.fine_pixels as usize);
    let mut temporal = Array3::from_elem((bands, rows, cols), f64::NAN);
    for (r, c) in (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c))).filter(|at| !f1[(0, at.0, at.1)].is_nan()) {
        let old: Vec<f64> = (0..count).map(|l| f64::from(f1[(l, r, c)])).collect();
        let change = smoothed(r, c);
        let moved: Vec<f64> = old.iter().zip(&change).map(|(f, d)| (f + d).clamp(0.0, 1.0)).collect();
        let total: f64 = moved.iter().sum();
        let new: Vec<f64> = moved.iter().map(|f| f / total).collect();
        for b in 0..bands {
            temporal[(b, r, c)] = (0..count).map(|l| (e1[b][l] + delta_e[b][l]) * new[l] - e1[b][l] * old[l]).sum();
        }
    }

    // step 7: residuals
    let c2_wide = c2.mapv(f64::from);
    let spatial = spatial_prediction(parameters.spatial_prediction, grid, &c2_wide)?;
    let rule = ResidualWeights { sign_rule: parameters.sign_rule, cap: f64::INFINITY };
    let mut change = Array3::from_elem((bands, rows, cols), f64::NAN);
    for ((b, row, col), &coarse_change) in delta_c.indexed_iter().filter(|(_, v)| !v.is_nan()) {
        let part = grid.fine_region(row, col);
        let places = (part.row..part.row + part.rows).flat_map(|r| (part.col..part.col + part.cols).map(move |c| (r, c)));
        let pixels: Vec<(usize, usize)> = places.filter(|(r, c)| !temporal[(b, *r, *c)].is_nan()).collect();
        let own = temporal.slice(s![b, part.row..part.row + part.rows, part.col..part.col + part.cols]);
        let residual = coarse_change - mean(own.iter().copied());
        let of_pixel = |&(r, c): &(usize, usize)| {
            let excess = spatial(b, r, c) - (fine(b, r, c) + temporal[(b, r, c)]);
            (excess, homogeneity(&labels, count, grid.scale / 2, r, c))
        };
        let weights = residual_weights(&rule, residual, &pixels.iter().map(of_pixel).collect::<Vec<_>>());
        for (&(r, c), weight) in pixels.iter().zip(weights) {
            change[(b, r, c)] = temporal[(b, r, c)] + weight * residual;
        }
    }

    // step 8
    let averaging = Averaging {
        half: half_window(parameters.window, grid.scale)?,
        most: parameters.similar_pixels as usize,
        relative: false,
        tolerance: vec![f32::INFINITY; bands],
        same_class: false,
        order: SimilarityOrder::Difference,
        weight: SimilarityWeight::Distance,
        half_weight,
        range: data_range(&parameters.data_range)?,
    };
    Ok(averaging.prediction(&images.fine, &labels, &change, (grid, &delta_c)))
}
