//! What IFSDAF knows of a pair before the first tile: the change of every class in every cell, and how much the two increments count
//! there. A *cell* is a coarse pixel.

use ndarray::{s, Array3, ArrayView2, Axis};
use rayon::prelude::*;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Exec, Result};

use super::parameters::{IncrementWeights, Parameters};
use crate::blocks::border::Border;
use crate::blocks::classes::Classes;
use crate::blocks::classifiers::Classification;
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::similar_changes::tolerance;
use crate::blocks::spatial_prediction::{Spatial, SpatialWork};
use crate::blocks::statistics::moments;
use crate::blocks::unmixing::class_values::{ClassValues, Prior, Question};
use crate::blocks::unmixing::mixtures::Mixtures;
use crate::blocks::unmixing::Bounds;

/// See the [module](self).
pub struct PairModel {
    /// The classes.
    pub classes: Classes,
    /// Change of every class in every cell.
    pub class_changes: ClassValues,
    /// The coarse change at fine pixels: the space-dependent increment.
    pub spatial: Spatial,
    /// Weight of the time-dependent increment, (band, cell row, cell col); that of the other is the rest of 1.
    pub temporal_weights: Array3<f32>,
    /// Coarse value of the target minus that of the pair, (band, cell row, cell col); `NaN` where one is missing.
    pub coarse_changes: Array3<f32>,
    /// Differences that similar pixels are below, band by band.
    pub tolerances: Vec<f32>,
}

impl PairModel {
    /// Of pair `pair`; `target` is the target's coarse image on the cells. `None` when its fine image has no valid pixel.
    ///
    /// # Errors
    /// Those of the classes and of reading, and [`stfusion_core::ErrorKind::Cancelled`].
    pub fn new(
        scene: &dyn Scene,
        grid: &CoarseGrid,
        parameters: &Parameters,
        pair: usize,
        target: &Array3<f32>,
        exec: &Exec<'_>,
    ) -> Result<Option<PairModel>> {
        let Some(classes) = classification(parameters).classes_of(scene, grid, pair, exec)? else { return Ok(None) };
        let mixtures = Mixtures::of_pair(scene, *grid, &classes, pair, exec)?;
        let coarse = grid.images(scene, &[Layer::Coarse(pair)], 0.0, exec)?.remove(0);
        let mut coarse_changes = target - &coarse;
        coarse_changes.mapv_inplace(|v| if v.is_finite() { v } else { f32::NAN });
        let shares = mixtures.shares();
        let sides = coarse_changes.mapv(f64::from);
        let question = Question {
            bounds: sides.axis_iter(Axis(0)).map(|band| Bounds::Widened.of(band.iter())).collect(),
            least_cells: mixtures.classes + 1,
            mixtures,
            sides,
            change: false,
            radius: parameters.unmixing_window as usize / 2,
            border: Border::Clip,
            least_share: 0.0,
            prior: Prior::Centre,
        };
        let class_changes = question.answer(exec)?;
        let spatial = Spatial::new(parameters.spatial_prediction, grid, &coarse_changes, exec.cancel)?;
        let mut temporal_weights = Array3::from_elem(coarse_changes.dim(), 1.0);
        let radius = parameters.weight_window as usize / 2;
        for (band, mut weights) in temporal_weights.outer_iter_mut().enumerate() {
            let changes = coarse_changes.index_axis(Axis(0), band);
            let increments = Increments {
                temporal: temporal_means(&shares, &class_changes, band),
                spatial: match parameters.increment_weights {
                    IncrementWeights::HeldBack => means_around(grid, changes),
                    IncrementWeights::Fitted => spatial_means(grid, &spatial, band, exec)?,
                },
            };
            weights.indexed_iter_mut().for_each(|(at, to)| *to = increments.weight(grid, changes, at, radius) as f32);
        }
        let moments = moments(scene, &[Layer::Fine(pair)], exec)?.remove(0);
        let tolerances = moments.into_iter().map(|band| tolerance(band, classes.count() as f64)).collect();
        Ok(Some(PairModel { tolerances, classes, class_changes, spatial, temporal_weights, coarse_changes }))
    }
}

/// How the classes of a fine image are found.
pub fn classification(parameters: &Parameters) -> Classification {
    Classification::new(parameters.classification, parameters.classes, parameters.seed)
}

/// Means of the increments of one band over every cell, `NaN` where there is none.
struct Increments {
    temporal: Vec<f64>,
    spatial: Vec<f64>,
}

impl Increments {
    /// Weight w of the time-dependent increment in the cell `at`: that for which w T + (1 − w) S is nearest to the coarse change, by least
    /// squares over the cells within `radius`, 0 ≤ w ≤ 1. Where both increments are alike it is 1.
    fn weight(&self, grid: &CoarseGrid, changes: ArrayView2<'_, f32>, at: (usize, usize), radius: usize) -> f64 {
        let near = grid.window(at.0, at.1, radius);
        let (mut product, mut square) = (0.0, 0.0);
        for row in near.row..near.row + near.rows {
            for col in near.col..near.col + near.cols {
                let cell = row * grid.cols + col;
                let (temporal, spatial) = (self.temporal[cell], self.spatial[cell]);
                let (apart, rest) = (temporal - spatial, f64::from(changes[(row, col)]) - spatial);
                if !apart.is_nan() && !rest.is_nan() {
                    product += apart * rest;
                    square += apart * apart;
                }
            }
        }
        if square > 0.0 {
            (product / square).clamp(0.0, 1.0)
        } else {
            1.0
        }
    }
}

/// Mean time-dependent increment of every cell: Σ_c share_c · change_c.
fn temporal_means(shares: &[f64], changes: &ClassValues, band: usize) -> Vec<f64> {
    let classes = changes.classes();
    let of_cell = shares.chunks_exact(classes).zip(changes.of_band(band).chunks_exact(classes));
    let mean = |(shares, changes): (&[f64], &[f32])| {
        let held = shares.iter().zip(changes).filter(|(share, _)| **share > 0.0);
        let sum: f64 = held.map(|(share, change)| share * f64::from(*change)).sum();
        if shares.iter().all(|share| *share == 0.0) {
            f64::NAN
        } else {
            sum
        }
    };
    of_cell.map(mean).collect()
}

/// Change of every cell as the cells around it have it: the mean of the eight neighbours, weighted with the inverse of their squared
/// distance.
fn means_around(grid: &CoarseGrid, changes: ArrayView2<'_, f32>) -> Vec<f64> {
    let of_cell = |row: usize, col: usize| {
        let near = grid.window(row, col, 1);
        let (mut sum, mut total) = (0.0, 0.0);
        for r in near.row..near.row + near.rows {
            for c in near.col..near.col + near.cols {
                let (change, squared) = (f64::from(changes[(r, c)]), r.abs_diff(row) + c.abs_diff(col));
                if squared > 0 && !change.is_nan() {
                    sum += change / squared as f64;
                    total += 1.0 / squared as f64;
                }
            }
        }
        sum / total
    };
    (0..grid.cells()).map(|cell| of_cell(cell / grid.cols, cell % grid.cols)).collect()
}

/// Mean space-dependent increment of every cell.
fn spatial_means(grid: &CoarseGrid, spatial: &Spatial, band: usize, exec: &Exec<'_>) -> Result<Vec<f64>> {
    let rows = (0..grid.rows).into_par_iter().map(|row| {
        exec.cancel.check()?;
        let mut work = SpatialWork::new(grid.scale);
        let mean = |col: usize| {
            if !spatial.predict(band, (row, col), &mut work) {
                return f64::NAN;
            }
            let part = grid.fine_region(row, col);
            let lines = work.values.chunks_exact(grid.scale).take(part.rows);
            let sum: f64 = lines.flat_map(|line| &line[..part.cols]).map(|v| f64::from(*v)).sum();
            sum / part.pixels() as f64
        };
        Ok((0..grid.cols).map(mean).collect::<Vec<f64>>())
    });
    Ok(rows.collect::<Result<Vec<_>>>()?.concat())
}

/// Mean weight of the time-dependent increment in a band, for the log.
pub fn mean_weight(model: &PairModel, band: usize) -> f64 {
    let weights = model.temporal_weights.slice(s![band, .., ..]);
    weights.iter().map(|w| f64::from(*w)).sum::<f64>() / weights.len() as f64
}
