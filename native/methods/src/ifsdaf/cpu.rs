//! IFSDAF on the CPU: both increments of every fine pixel combined, cell by cell what is left of the coarse change, then its mean over
//! similar pixels.

use ndarray::{s, Array3, Axis};
use stfusion_core::method::{Fallback, PairTile, TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::model::PairModel;
use crate::blocks::homogeneity::homogeneity;
use crate::blocks::pair_weights::{predict_combined, PairJob};
use crate::blocks::residual_weights::ResidualWeights;
use crate::blocks::similar_changes::{inside, Changes, PairFacts, SimilarChanges};
use crate::blocks::spatial_prediction::SpatialWork;

/// Everything that does not depend on the tile.
pub struct Job {
    /// The pairs in use.
    pub pairs: Vec<PairJob<PairModel>>,
    /// How residuals are distributed.
    pub residuals: ResidualWeights,
    /// Half side of the window of homogeneity.
    pub homogeneity_half: usize,
    /// How changes are averaged.
    pub similar: SimilarChanges,
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

/// The prediction of one pair.
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
    let classes = model.classes.count();
    let homogeneity = homogeneity(labels.view(), classes, job.homogeneity_half, needed, exec.cancel)?;
    let mut values = Array3::from_elem((bands, rows, cols), f32::NAN);
    let (mut spatial, mut own, mut weights) = (SpatialWork::new(grid.scale), Vec::new(), Vec::new());
    for row in cells.row..cells.row + cells.rows {
        for col in cells.col..cells.col + cells.cols {
            exec.cancel.check()?;
            let part = inside(tile, grid.fine_region(row, col));
            let of_tile = s![part.row..part.row + part.rows, part.col..part.col + part.cols];
            let (top, left) = (part.row - needed.row, part.col - needed.col);
            let homogeneity = homogeneity.slice(s![top..top + part.rows, left..left + part.cols]);
            let labels = labels.slice(of_tile);
            for band in 0..bands {
                let coarse_change = f64::from(model.coarse_changes[(band, row, col)]);
                if coarse_change.is_nan() || !model.spatial.predict(band, (row, col), &mut spatial) {
                    continue;
                }
                let cell = row * grid.cols + col;
                let of_classes = &model.class_changes.of_band(band)[cell * classes..(cell + 1) * classes];
                let weight = f64::from(model.temporal_weights[(band, row, col)]);
                let increments = |(y, x): (usize, usize)| {
                    let temporal = of_classes.get(usize::from(labels[(y, x)])).copied().unwrap_or(f32::NAN);
                    (f64::from(temporal), f64::from(spatial.values[y * grid.scale + x]))
                };
                let fine = pair.fine.index_axis(Axis(0), band);
                own.clear();
                own.extend(fine.slice(of_tile).indexed_iter().map(|(at, value)| {
                    let (temporal, spatial) = increments(at);
                    if value.is_nan() {
                        f64::NAN
                    } else {
                        weight * temporal + (1.0 - weight) * spatial
                    }
                }));
                let pixels = homogeneity.indexed_iter().zip(&own);
                let pixels = pixels.map(|((at, homogeneity), own)| (increments(at).1 - own, f64::from(*homogeneity)));
                let mut plane = values.index_axis_mut(Axis(0), band);
                let to = plane.slice_mut(of_tile);
                job.residuals.distribute(coarse_change, &own, pixels, &mut weights, to.into_iter());
            }
        }
    }
    let facts = PairFacts { coarse_changes: &model.coarse_changes, tolerances: Some(&model.tolerances) };
    let trouble = |_, label: u16, (row, col): (usize, usize)| {
        let number = match usize::from(label) {
            label if label < classes => model.class_changes.mark(row * grid.cols + col, label),
            _ => Fallback::ClassAbsent as u8,
        };
        Fallback::ALL.iter().copied().find(|fallback| *fallback as u8 == number).unwrap_or(Fallback::None)
    };
    job.similar.predict(facts, (tile, pair), (&Changes::new(values), labels.view()), trouble, out, exec)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::cases::{self, Problem};
    use crate::ifsdaf::cases as own;
    use crate::ifsdaf::{reference, Ifsdaf, Parameters};

    fn compare(name: &str, problem: &Problem, settings: &[(&str, &str)]) {
        let values = cases::values_of(&Ifsdaf, settings).unwrap();
        let expected = reference::predict(&Parameters::from_values(&values).unwrap(), problem).unwrap();
        let got = cases::predict(&Ifsdaf, &values, problem, (9, 14), true).unwrap();
        let expected = (&expected.image, &expected.similar_pixels, &expected.valid_fraction);
        cases::agree(name, problem, &got, expected, own::TOLERANCE).unwrap();
    }

    #[test]
    fn every_rule_agrees_with_the_reference() {
        for (problem_name, problem) in own::problems() {
            for (name, settings) in own::SETTINGS {
                compare(&format!("{problem_name}, {name}"), &problem, settings);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_scene_agrees_with_the_reference(
            seed in 0u32..1000, rows in 12usize..24, cols in 16usize..40, scale in 3usize..5, gaps in 0.0f32..0.4,
            pairs in prop::sample::subsequence(vec![-60i16, -16, 8, 40], 1..4), which in 0..own::SETTINGS.len(),
        ) {
            let problem = Problem::fields(2, rows, cols, scale, &pairs, seed).with_gaps(gaps, seed);
            let (name, settings) = own::SETTINGS[which];
            compare(name, &problem, settings);
        }
    }
}
