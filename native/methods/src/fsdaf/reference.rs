//! FSDAF, literally and in `f64`; only tests call it. Equation numbers are those of Zhu et al. (2016).
//!
//! Classes, bounded least squares and the sample behind the extreme values come from the blocks, which have references of their own.

use ndarray::{Array2, Array3, Axis};
use stfusion_core::memory::MemoryScene;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Cancel, Exec, Result};

use super::model;
use super::parameters::{HomogeneityWindow, Parameters};
use crate::blocks::bounded_least_squares::BoundedLeastSquares;
use crate::blocks::change_reference::{
    cell_means, combined, deviation, homogeneity, mean, residual_weights, spatial_prediction, Averaging, Outcome,
};
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::pixel_sample::{PixelSample, MOST_PIXELS};
use crate::blocks::residual_weights::ResidualWeights;
use crate::blocks::similar_changes::data_range;
use crate::cases::Problem;

/// The prediction.
///
/// # Errors
/// Those of classification, and when the scale is unknown.
pub fn predict(parameters: &Parameters, problem: &Problem) -> Result<Outcome> {
    let scene = problem.scene()?;
    let grid = CoarseGrid::of_scene(scene.info(), parameters.scale, "FSDAF")?;
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
    let sample = PixelSample::of_image(scene, Layer::Fine(pair), MOST_PIXELS, parameters.seed as u64, &exec)?;
    let classes = model::classes(scene, parameters, pair, &sample, &exec)?;
    let images = &problem.pairs[pair];
    let labels: Array2<u16> = classes.labels(images.fine.view(), images.classes.as_ref().map(|m| m.view()))?;
    let count = classes.count();
    let class = |r: usize, c: usize| Some(usize::from(labels[(r, c)])).filter(|l| *l < count);
    let fine = |b: usize, r: usize, c: usize| f64::from(images.fine[(b, r, c)]);
    let extremes = model::extremes(&sample, parameters.extreme_share);
    let (low, high) = data_range(&parameters.data_range)?;

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
    let homogeneity_half = match parameters.homogeneity_window {
        HomogeneityWindow::Window => parameters.window as usize / 2,
        HomogeneityWindow::CoarsePixel => grid.scale / 2,
    };
    let spatial = spatial_prediction(parameters.spatial_prediction, grid, &c2)?;
    let rule = ResidualWeights { sign_rule: parameters.sign_rule, cap: parameters.weight_cap };

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
        // smallest and largest value of the target
        let predicted = (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c))).map(|(r, c)| f_tp(r, c));
        let ends: Vec<f64> = c2.index_axis(Axis(0), b).iter().copied().chain(predicted).filter(|v| !v.is_nan()).collect();
        let smallest = ends.iter().copied().fold(f64::INFINITY, f64::min).max(low);
        let largest = ends.iter().copied().fold(f64::NEG_INFINITY, f64::max).min(high);
        for &cell in &valid {
            // Eq. 9
            let r = dc(cell) - share[cell].iter().zip(&class_change).map(|(f, d)| f * d).sum::<f64>();
            let pixels: Vec<(usize, usize)> = pixels_of(cell).filter(|&(y, x)| !f_tp(y, x).is_nan()).collect();
            // Eq. 10 to 18
            let of_pixel =
                |&(y, x): &(usize, usize)| (spatial(b, y, x) - f_tp(y, x), homogeneity(&labels, count, homogeneity_half, y, x));
            let weights = residual_weights(&rule, r, &pixels.iter().map(of_pixel).collect::<Vec<_>>());
            // Eq. 19, 20
            for (&(y, x), v) in pixels.iter().zip(&weights) {
                change[(b, y, x)] = (f_tp(y, x) + v * r).max(smallest).min(largest) - drawn(y, x);
            }
        }
    }

    let tolerance = |b: usize| {
        let all: Vec<f64> = images.fine.index_axis(Axis(0), b).iter().filter(|v| !v.is_nan()).map(|v| f64::from(*v)).collect();
        (2.0 * deviation(&all) / parameters.similarity_classes.unwrap_or(count as f64)) as f32
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
        range: (low, high),
    };
    Ok(averaging.prediction(&images.fine, &labels, &change, (grid, &delta_c)))
}
