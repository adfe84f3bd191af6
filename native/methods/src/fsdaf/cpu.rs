//! FSDAF on the CPU: the change of every fine pixel, cell by cell, then its mean over similar pixels.

use ndarray::{s, Array3, ArrayView2, ArrayViewMut2};
use stfusion_core::method::{Fallback, PairTile, TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::model::{drawn_in, PairModel};
use crate::blocks::homogeneity::homogeneity;
use crate::blocks::pair_weights::{predict_combined, PairJob};
use crate::blocks::residual_weights::ResidualWeights;
use crate::blocks::simd::{widened, Path};
use crate::blocks::similar_changes::{inside, Changes, PairFacts, SimilarChanges};
use crate::blocks::spatial_prediction::{Spatial, SpatialWork};

/// Everything that does not depend on the tile.
pub struct Job {
    /// The pairs in use.
    pub pairs: Vec<PairJob<PairModel>>,
    /// The spatial prediction.
    pub spatial: Spatial,
    /// How residuals are distributed.
    pub residuals: ResidualWeights,
    /// Half side of the homogeneity window.
    pub homogeneity_half: usize,
    /// How changes are averaged.
    pub similar: SimilarChanges,
    /// Which vectors to use.
    pub path: Path,
}

/// Computes one tile.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn run(job: &Job, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
    predict_combined(&job.pairs, job.similar.grid.scale, tile, out, |model, pair, out| {
        predict(job, model, (tile, pair), out, exec)
    })
}

/// The prediction of one pair: own changes of all pixels that a pixel of the tile may find similar (equations 5 to 20), averaged
/// (equations 21 to 24).
fn predict(
    job: &Job,
    model: &PairModel,
    (tile, pair): (&TileIn<'_>, &PairTile<'_>),
    out: &mut TileOut<'_>,
    exec: &Exec<'_>,
) -> Result<()> {
    let (bands, rows, cols) = pair.fine.dim();
    let grid = &job.similar.grid;
    let cells = job.similar.cells_needed(tile);
    let needed = inside(tile, grid.fine_of(cells));
    let labels = model.classes.labels(pair.fine, pair.classes)?;
    let homogeneity = homogeneity(labels.view(), model.classes.count(), job.homogeneity_half, needed, exec.cancel)?;
    let mut values = Array3::from_elem((bands, rows, cols), f32::NAN);
    let (mut spatial, mut work) = (SpatialWork::new(grid.scale), CellWork::default());
    for row in cells.row..cells.row + cells.rows {
        for col in cells.col..cells.col + cells.cols {
            exec.cancel.check()?;
            let part = inside(tile, grid.fine_region(row, col));
            let (place_rows, place_cols) = (part.row..part.row + part.rows, part.col..part.col + part.cols);
            let (top, left) = (part.row - needed.row, part.col - needed.col);
            for band in 0..bands {
                let residual = model.residuals[(band, row, col)];
                if residual.is_nan() || !job.spatial.predict(band, (row, col), &mut spatial) {
                    continue;
                }
                let cell = Cell {
                    residual: f64::from(residual),
                    spatial: &spatial.values,
                    scale: grid.scale,
                    fine: pair.fine.slice(s![band, place_rows.clone(), place_cols.clone()]),
                    labels: labels.slice(s![place_rows.clone(), place_cols.clone()]),
                    homogeneity: homogeneity.slice(s![top..top + part.rows, left..left + part.cols]),
                };
                let to = values.slice_mut(s![band, place_rows.clone(), place_cols.clone()]);
                widened(
                    job.path,
                    #[inline(always)]
                    || cell.changes(&job.residuals, model, band, &mut work, to),
                );
            }
        }
    }
    let facts = PairFacts { coarse_changes: &model.coarse_changes, tolerances: Some(&model.tolerances) };
    let trouble =
        |band: usize, label: u16, _| model.troubles[band].get(usize::from(label)).copied().unwrap_or(Fallback::ClassAbsent);
    job.similar.predict(facts, (tile, pair), (&Changes::new(values), labels.view()), trouble, out, exec)
}

/// One band of a cell: its residual, the spatial prediction, fine values, classes, and the homogeneity around each pixel.
#[derive(Clone, Copy)]
struct Cell<'a> {
    residual: f64,
    /// `scale` x `scale`, row by row.
    spatial: &'a [f32],
    scale: usize,
    fine: ArrayView2<'a, f32>,
    labels: ArrayView2<'a, u16>,
    homogeneity: ArrayView2<'a, f32>,
}

/// Memory of [`Cell::changes`], one value for each pixel of the cell.
#[derive(Debug, Default)]
struct CellWork {
    /// Fine value drawn in to the extremes of the band.
    drawn: Vec<f64>,
    /// Temporal prediction.
    temporal: Vec<f64>,
    /// Spatial prediction minus the temporal one.
    excess: Vec<f64>,
    homogeneity: Vec<f64>,
    weights: Vec<f64>,
}

impl Cell<'_> {
    /// Distributes the residual of the cell over its pixels.
    #[inline(always)]
    fn changes(
        self,
        rule: &ResidualWeights,
        model: &PairModel,
        band: usize,
        work: &mut CellWork,
        mut to: ArrayViewMut2<'_, f32>,
    ) {
        let Cell { residual, spatial, scale, fine, labels, homogeneity } = self;
        let (class_changes, extremes, limits) = (&model.class_changes[band], model.extremes[band], model.limits[band]);
        let CellWork { drawn, temporal, excess, homogeneity: homogeneities, weights } = work;
        [&mut *drawn, &mut *temporal, &mut *excess, &mut *homogeneities].into_iter().for_each(Vec::clear);
        let change = |label: &u16| class_changes.get(usize::from(*label)).copied().unwrap_or(f64::NAN);
        let drawn_in = |v: &f32| if v.is_nan() { f64::NAN } else { drawn_in(*v, extremes) };
        let rows = fine.rows().into_iter().zip(labels.rows()).zip(homogeneity.rows()).zip(spatial.chunks(scale));
        for (((fine, labels), homogeneity), spatial) in rows {
            let first = drawn.len();
            drawn.extend(fine.iter().map(drawn_in));
            temporal.extend(drawn[first..].iter().zip(&labels).map(|(drawn, label)| drawn + change(label)));
            excess.extend(temporal[first..].iter().zip(spatial).map(|(temporal, spatial)| f64::from(*spatial) - temporal));
            homogeneities.extend(homogeneity.iter().map(|h| f64::from(*h)));
        }
        rule.of(residual, excess.iter().copied().zip(homogeneities.iter().copied()), weights);
        let pixels = drawn.iter().zip(&*temporal).zip(&*weights);
        for (to, ((drawn, temporal), weight)) in to.iter_mut().zip(pixels) {
            let predicted = (temporal + weight * residual).max(limits.0).min(limits.1);
            let change = (predicted - drawn) as f32;
            *to = if weight.is_nan() || !change.is_finite() { f32::NAN } else { change };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::cases::{self, Problem};
    use crate::fsdaf::cases as own;
    use crate::fsdaf::{reference, Fsdaf, Parameters};

    fn compare(name: &str, problem: &Problem, settings: &[(&str, &str)], window: usize) {
        let window = window.to_string();
        let mut all = vec![("window", window.as_str())];
        all.extend_from_slice(settings);
        let values = cases::values_of(&Fsdaf, &all).unwrap();
        let expected = reference::predict(&Parameters::from_values(&values).unwrap(), problem).unwrap();
        let got = cases::predict(&Fsdaf, &values, problem, (9, 14), true).unwrap();
        let expected = (&expected.image, &expected.similar_pixels, &expected.valid_fraction);
        cases::agree(&format!("{name}, window {window}"), problem, &got, expected, own::TOLERANCE).unwrap();
    }

    #[test]
    fn every_rule_agrees_with_the_reference() {
        for (problem_name, problem) in own::problems() {
            for (name, settings) in own::SETTINGS {
                for window in [1, 9] {
                    compare(&format!("{problem_name}, {name}"), &problem, settings, window);
                }
            }
        }
    }

    // more coarse pixels than classes: with fewer, rounding decides what the equations leave open
    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_scene_agrees_with_the_reference(
            seed in 0u32..1000, rows in 12usize..24, cols in 16usize..40, half in 0usize..4, scale in 3usize..5, gaps in 0.0f32..0.4,
            pairs in prop::sample::subsequence(vec![-60i16, -16, 8, 40], 1..4), which in 0..own::SETTINGS.len(),
        ) {
            let problem = Problem::fields(2, rows, cols, scale, &pairs, seed).with_gaps(gaps, seed);
            let (name, settings) = own::SETTINGS[which];
            compare(name, &problem, settings, 2 * half + 1);
        }
    }
}
