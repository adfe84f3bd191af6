//! SFSDAF on the CPU: new fractions of every fine pixel and the change that follows, cell by cell what is left of the coarse change, then
//! its mean over similar pixels.

use ndarray::{s, Array3, ArrayView3, Axis};
use stfusion_core::method::{Fallback, PairTile, TileIn, TileOut};
use stfusion_core::{Error, Exec, Region, Result};

use super::model::{fine_fractions, PairModel};
use crate::blocks::homogeneity::homogeneity;
use crate::blocks::nearest::{weighted_means, Plane, Planes, Sample, Search};
use crate::blocks::pair_weights::{predict_combined, PairJob};
use crate::blocks::residual_weights::ResidualWeights;
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
    /// Half side of the window of homogeneity.
    pub homogeneity_half: usize,
    /// The search for pixels of similar fractions.
    pub fraction_search: Search,
    /// Distance, in fine pixels, at which the weight of a similar pixel is one half.
    pub half_weight_px: f64,
    /// How changes are averaged.
    pub similar: SimilarChanges,
}

impl Job {
    /// Weight of the distance at every position of the window of similar fractions.
    pub fn fraction_nearness(&self) -> Vec<f32> {
        self.fraction_search.window().table(|distance| (1.0 / (1.0 + distance / self.half_weight_px)) as f32)
    }
}

/// Working memory of a tile beside that of averaging, in bytes for each of its pixels.
pub fn bytes_per_px(bands: usize, classes: usize) -> usize {
    // fractions and their changes; changes of values; labels and homogeneity
    (2 * classes + bands + 2) * size_of::<f32>()
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
    let needed = grid.fine_of(cells);
    let temporal = temporal_changes(job, model, (tile, pair), needed, exec)?;
    let labels = model.hard.labels(pair.fine, None)?;
    let homogeneity = homogeneity(labels.view(), model.soft.count(), job.homogeneity_half, inside(tile, needed), exec.cancel)?;
    let mut values = Array3::from_elem((bands, rows, cols), f32::NAN);
    let (mut spatial, mut own, mut weights) = (SpatialWork::new(grid.scale), Vec::new(), Vec::new());
    for row in cells.row..cells.row + cells.rows {
        for col in cells.col..cells.col + cells.cols {
            exec.cancel.check()?;
            let part = grid.fine_region(row, col);
            let (top, left) = (part.row - needed.row, part.col - needed.col);
            let of_needed = s![top..top + part.rows, left..left + part.cols];
            let homogeneity = homogeneity.slice(of_needed);
            let part = inside(tile, part);
            let of_tile = s![part.row..part.row + part.rows, part.col..part.col + part.cols];
            for band in 0..bands {
                let coarse_change = f64::from(model.coarse_changes[(band, row, col)]);
                if coarse_change.is_nan() || !job.spatial.predict(band, (row, col), &mut spatial) {
                    continue;
                }
                let fine = pair.fine.index_axis(Axis(0), band);
                let fine = fine.slice(of_tile);
                let temporal = temporal.index_axis(Axis(0), band);
                let temporal = temporal.slice(of_needed);
                own.clear();
                own.extend(temporal.iter().map(|v| f64::from(*v)));
                let pixels = fine.indexed_iter().zip(&own).map(|(((y, x), value), own)| {
                    let excess = f64::from(spatial.values[y * grid.scale + x]) - (f64::from(*value) + own);
                    (excess, f64::from(homogeneity[(y, x)]))
                });
                let mut plane = values.index_axis_mut(Axis(0), band);
                let to = plane.slice_mut(of_tile);
                job.residuals.distribute(coarse_change, &own, pixels, &mut weights, to.into_iter());
            }
        }
    }
    let facts = PairFacts { coarse_changes: &model.coarse_changes, tolerances: None };
    let trouble =
        |band: usize, label: u16, _| model.troubles[band].get(usize::from(label)).copied().unwrap_or(Fallback::ClassAbsent);
    job.similar.predict(facts, (tile, pair), (&Changes::new(values), labels.view()), trouble, out, exec)
}

/// Temporal prediction minus fine value of the pixels `needed` (of the scene), (band, row, col); `NaN` where a band is invalid.
fn temporal_changes(
    job: &Job,
    model: &PairModel,
    (tile, pair): (&TileIn<'_>, &PairTile<'_>),
    needed: Region,
    exec: &Exec<'_>,
) -> Result<Array3<f32>> {
    let half = job.fraction_search.window().half();
    let around = needed.grown(half, job.similar.scene.0, job.similar.scene.1);
    let part = inside(tile, around);
    let fine = pair.fine.slice(s![.., part.row..part.row + part.rows, part.col..part.col + part.cols]);
    let fractions = fine_fractions(&model.soft, fine, exec.cancel)?;
    let changes = fraction_changes(job, model, around, exec)?;
    let (fraction_planes, change_planes) = (planes_of(fractions.view())?, planes_of(changes.view())?);
    let planes = Planes {
        rows: around.rows,
        cols: around.cols,
        compared: fraction_planes.iter().copied().map(Plane::plain).collect(),
        required: Vec::new(),
    };
    let window = job.fraction_search.window();
    let nearness = job.fraction_nearness();
    let steps = window.steps(around.cols);
    let classes = fraction_planes.len();
    let mut means = vec![0.0f32; classes];
    let mut mixture = Mixture::new(model);
    let mut temporal = Array3::from_elem((pair.fine.dim().0, needed.rows, needed.cols), f32::NAN);
    let region = Region::new(needed.row - around.row, needed.col - around.col, needed.rows, needed.cols);
    job.fraction_search.each(&planes, region, exec.cancel, |chosen| {
        for (col, samples) in chosen.iter() {
            let at = chosen.row * around.cols + col;
            if samples.is_empty() {
                continue;
            }
            let weight = |sample: Sample| nearness[sample.position()];
            weighted_means(samples, at, &steps, weight, &change_planes, &mut means);
            mixture.set((0..classes).map(|class| (fraction_planes[class][at], means[class])));
            for band in 0..temporal.dim().0 {
                temporal[(band, chosen.row - region.row, col - region.col)] = mixture.change(band) as f32;
            }
        }
    })?;
    Ok(temporal)
}

/// Changes of the fractions of cells at the fine pixels `region` of the scene, (class, row, col).
fn fraction_changes(job: &Job, model: &PairModel, region: Region, exec: &Exec<'_>) -> Result<Array3<f32>> {
    let grid = &job.similar.grid;
    let mut changes = Array3::zeros((model.soft.count(), region.rows, region.cols));
    let mut work = SpatialWork::new(grid.scale);
    let cells = grid.cells_under(region);
    for row in cells.row..cells.row + cells.rows {
        exec.cancel.check()?;
        for col in cells.col..cells.col + cells.cols {
            let cell = grid.fine_region(row, col);
            let (top, left) = (cell.row.max(region.row), cell.col.max(region.col));
            let bottom = (cell.row + cell.rows).min(region.row + region.rows);
            let right = (cell.col + cell.cols).min(region.col + region.cols);
            for class in 0..changes.dim().0 {
                if !model.fraction_changes.predict(class, (row, col), &mut work) {
                    continue;
                }
                for y in top..bottom {
                    let from = (y - cell.row) * grid.scale + left - cell.col;
                    let line = s![class, y - region.row, left - region.col..right - region.col];
                    changes.slice_mut(line).iter_mut().zip(&work.values[from..]).for_each(|(to, value)| *to = *value);
                }
            }
        }
    }
    Ok(changes)
}

fn planes_of(image: ArrayView3<'_, f32>) -> Result<Vec<&[f32]>> {
    let all = image.to_slice().ok_or_else(|| Error::internal("an image is not contiguous"))?;
    Ok(all.chunks_exact((image.dim().1 * image.dim().2).max(1)).collect())
}

/// Fractions of a pixel on both days, and what they make of the values of the classes.
struct Mixture<'a> {
    model: &'a PairModel,
    before: Vec<f64>,
    after: Vec<f64>,
}

impl<'a> Mixture<'a> {
    fn new(model: &'a PairModel) -> Self {
        Mixture { model, before: Vec::new(), after: Vec::new() }
    }

    /// From (old fraction, change) of every class: new ones are limited to 0..1, and together 1.
    fn set(&mut self, fractions: impl Iterator<Item = (f32, f32)>) {
        self.before.clear();
        self.after.clear();
        let (mut total, mut changes) = (0.0, false);
        for (old, change) in fractions {
            let new = (f64::from(old) + f64::from(change)).clamp(0.0, 1.0);
            self.before.push(f64::from(old));
            self.after.push(new);
            total += new;
            changes |= change != 0.0;
        }
        if changes && total > 0.0 {
            self.after.iter_mut().for_each(|fraction| *fraction /= total);
        } else {
            self.after.copy_from_slice(&self.before);
        }
    }

    /// Σ_c (E2 f2 − E1 f1) of a band.
    fn change(&self, band: usize) -> f64 {
        let (values, changes) = (&self.model.class_values[band], &self.model.class_changes[band]);
        let mut sum = 0.0;
        for class in 0..values.len() {
            sum += values[class] * (self.after[class] - self.before[class]) + changes[class] * self.after[class];
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::cases::{self, Problem};
    use crate::sfsdaf::cases as own;
    use crate::sfsdaf::{reference, Parameters, Sfsdaf};

    fn compare(name: &str, problem: &Problem, settings: &[(&str, &str)]) {
        let values = cases::values_of(&Sfsdaf, settings).unwrap();
        let expected = reference::predict(&Parameters::from_values(&values).unwrap(), problem).unwrap();
        let got = cases::predict(&Sfsdaf, &values, problem, (9, 14), true).unwrap();
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
