//! FSDAF on the CPU: the change of every fine pixel, cell by cell, then its mean over similar pixels.

use ndarray::{s, Array2, Array3, ArrayView2, ArrayViewMut2, Axis, Zip};
use stfusion_core::method::{Fallback, PairTile, TileIn, TileOut};
use stfusion_core::{Error, Exec, Region, Result};

use super::model::{drawn_in, PairModel};
use super::parameters::{Parameters, SimilarityWeight};
use crate::blocks::box_sums::{self, RimmedPlane};
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::homogeneity::homogeneity;
use crate::blocks::inverse_distance::InverseDistance;
use crate::blocks::nearest::{weighted_means, DistanceLaw, Plane, Planes, Sample, Search, Term, Tolerance};
use crate::blocks::thin_plate::{Scratch, ThinPlate};

/// How the target's coarse image is brought to fine pixels.
pub enum Spatial {
    /// By a thin-plate spline, through the filled cells of every band; `None` for a band without any value.
    ThinPlate(ThinPlate, Vec<Option<Vec<f32>>>),
    /// By inverse distance, from the cells of every band.
    InverseDistance(InverseDistance, Vec<Vec<f32>>),
}

/// A pair in use.
pub struct PairJob {
    /// Its index in the job.
    pub index: usize,
    /// What is known of it.
    pub model: PairModel,
    /// Weights of its predictions, (band, cell row, cell col), where pairs are combined.
    pub weights: Option<Array3<f32>>,
}

/// Everything that does not depend on the tile.
pub struct Job {
    /// The parameters.
    pub parameters: Parameters,
    /// The cells.
    pub grid: CoarseGrid,
    /// The pairs in use.
    pub pairs: Vec<PairJob>,
    /// The spatial prediction.
    pub spatial: Spatial,
    /// Smallest and largest possible value.
    pub range: (f64, f64),
    /// Half side of the homogeneity window.
    pub homogeneity_half: usize,
    /// The search for similar pixels.
    pub search: Search,
    /// Its law of the distance, if the distance orders them too.
    pub law: Option<DistanceLaw>,
    /// Rows and columns of the scene.
    pub scene: (usize, usize),
}

/// Offset of the relative difference, so that a fine value of 0 does not divide: far below any value.
pub const SMALLEST_VALUE: f32 = 1e-12;
/// Added to the difference before the distance counts.
pub const ADDED_DIFFERENCE: f32 = 1e-5;

/// `10 + d / w` of the author's order of similar pixels, where w is half the window.
pub fn order_factor(distance: f64, half: usize) -> f32 {
    (10.0 + distance / half.max(1) as f64) as f32
}

/// Fine pixels around a tile that its prediction depends on.
pub fn halo(half: usize, homogeneity_half: usize, scale: usize) -> usize {
    half + homogeneity_half + scale - 1
}

/// Own change of every fine pixel of a tile, and what it rests on.
struct Changes {
    /// (band, row, col) of the padded tile, `NaN` where there is none.
    values: Array3<f32>,
    labels: Array2<u16>,
    /// `NaN` where no band has a change.
    usable: Array2<f32>,
}

/// Computes one tile.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn run(job: &Job, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
    if let Some(support) = &mut out.support {
        support.similar_pixels.fill(0.0);
        support.valid_fraction.fill(0.0);
    }
    let shape = out.image.dim();
    let mut combined = (job.pairs.len() > 1).then(|| (Array3::<f64>::zeros(shape), Array3::<f64>::zeros(shape)));
    for PairJob { index, model, weights } in &job.pairs {
        let pair = &tile.pairs[*index];
        let changes = changes(job, model, tile, pair, exec)?;
        predict(job, model, (tile, pair), &changes, out, exec)?;
        let (Some((sum, total)), Some(weights)) = (&mut combined, weights) else { continue };
        for ((band, row, col), value) in out.image.indexed_iter_mut().filter(|(_, v)| !v.is_nan()) {
            let (r, c) = ((tile.region.row + row) / job.grid.scale, (tile.region.col + col) / job.grid.scale);
            let weight = f64::from(weights[(band, r, c)]);
            sum[(band, row, col)] += weight * f64::from(*value);
            total[(band, row, col)] += weight;
        }
    }
    if let Some((sum, total)) = combined {
        Zip::from(&mut out.image).and(&sum).and(&total).for_each(|value, sum, total| {
            let mean = (sum / total) as f32;
            *value = if mean.is_finite() { mean } else { f32::NAN };
        });
    }
    Ok(())
}

/// A part of the padded tile, from a part of the scene.
fn inside(tile: &TileIn<'_>, part: Region) -> Region {
    Region::new(part.row - tile.padded.row, part.col - tile.padded.col, part.rows, part.cols)
}

/// Own changes of all pixels that a pixel of the tile may find similar (equations 5 to 20).
fn changes(job: &Job, model: &PairModel, tile: &TileIn<'_>, pair: &PairTile<'_>, exec: &Exec<'_>) -> Result<Changes> {
    let (bands, rows, cols) = pair.fine.dim();
    let half = job.search.window().half();
    let cells = job.grid.cells_under(tile.region.grown(half, job.scene.0, job.scene.1));
    let needed = inside(tile, job.grid.fine_of(cells));
    let labels = model.classes.labels(pair.fine, pair.classes)?;
    let homogeneity = homogeneity(labels.view(), model.classes.count(), job.homogeneity_half, needed, exec.cancel)?;
    let mut values = Array3::from_elem((bands, rows, cols), f32::NAN);
    let mut work = CellWork::new(job.grid.scale);
    for row in cells.row..cells.row + cells.rows {
        for col in cells.col..cells.col + cells.cols {
            exec.cancel.check()?;
            let part = inside(tile, job.grid.fine_region(row, col));
            let (place_rows, place_cols) = (part.row..part.row + part.rows, part.col..part.col + part.cols);
            let (top, left) = (part.row - needed.row, part.col - needed.col);
            for band in 0..bands {
                let residual = model.residuals[(band, row, col)];
                if residual.is_nan() || !work.spatial(&job.spatial, band, (row, col)) {
                    continue;
                }
                let cell = Cell {
                    residual: f64::from(residual),
                    fine: pair.fine.slice(s![band, place_rows.clone(), place_cols.clone()]),
                    labels: labels.slice(s![place_rows.clone(), place_cols.clone()]),
                    homogeneity: homogeneity.slice(s![top..top + part.rows, left..left + part.cols]),
                };
                let to = values.slice_mut(s![band, place_rows.clone(), place_cols.clone()]);
                work.changes(&job.parameters, model, band, cell, to);
            }
        }
    }
    let mut usable = Array2::from_elem((rows, cols), f32::NAN);
    for band in values.outer_iter() {
        usable.zip_mut_with(&band, |u, v| *u = if v.is_nan() { *u } else { 0.0 });
    }
    Ok(Changes { values, labels, usable })
}

/// One band of a cell: its residual, fine values, classes, and the homogeneity around each pixel.
#[derive(Clone, Copy)]
struct Cell<'a> {
    residual: f64,
    fine: ArrayView2<'a, f32>,
    labels: ArrayView2<'a, u16>,
    homogeneity: ArrayView2<'a, f32>,
}

/// Memory for one cell.
struct CellWork {
    scale: usize,
    spatial: Vec<f32>,
    scratch: Scratch,
    sums: Vec<f32>,
    weights: Vec<f64>,
}

impl CellWork {
    fn new(scale: usize) -> Self {
        let spatial = vec![f32::NAN; scale * scale];
        CellWork { scale, spatial, scratch: Scratch::default(), sums: Vec::new(), weights: Vec::new() }
    }

    /// Spatial prediction of the cell's pixels (equations 10 to 13); whether there is one.
    fn spatial(&mut self, spatial: &Spatial, band: usize, cell: (usize, usize)) -> bool {
        match spatial {
            Spatial::ThinPlate(spline, nodes) => match &nodes[band] {
                Some(nodes) => spline.predict(nodes, cell, &mut self.spatial, &mut self.scratch),
                None => return false,
            },
            Spatial::InverseDistance(spread, values) => {
                spread.predict(&values[band], cell, &mut self.spatial, &mut self.sums);
            }
        }
        true
    }

    /// Distributes the residual of the cell over its pixels.
    fn changes(
        &mut self,
        parameters: &Parameters,
        model: &PairModel,
        band: usize,
        cell: Cell<'_>,
        mut to: ArrayViewMut2<'_, f32>,
    ) {
        let Cell { residual, fine, labels, homogeneity } = cell;
        let (class_changes, extremes, limits) = (&model.class_changes[band], model.extremes[band], model.limits[band]);
        let temporal = |value: f32, label: u16| {
            let change = class_changes.get(usize::from(label)).copied().unwrap_or(f64::NAN);
            drawn_in(value, extremes) + if value.is_nan() { f64::NAN } else { change }
        };
        // where nothing speaks for any pixel all count the same
        let least = 1e-8 * residual.abs() + f64::MIN_POSITIVE;
        self.weights.clear();
        for (row, line) in fine.outer_iter().enumerate() {
            for (col, value) in line.iter().enumerate() {
                let predicted = temporal(*value, labels[(row, col)]);
                let excess = f64::from(self.spatial[row * self.scale + col]) - predicted;
                let against = parameters.sign_rule && if residual <= 0.0 { excess > 0.0 } else { excess < 0.0 };
                let excess = if against { 0.0 } else { excess.abs() };
                let homogeneity = f64::from(homogeneity[(row, col)]);
                self.weights.push(excess * homogeneity + residual.abs() * (1.0 - homogeneity) + least);
            }
        }
        let mean = mean(&self.weights);
        self.weights.iter_mut().for_each(|w| {
            *w /= mean;
            *w = if *w > parameters.weight_cap { 1.0 } else { *w };
        });
        let mean = self::mean(&self.weights);
        let mut weights = self.weights.iter();
        for ((at, value), to) in fine.indexed_iter().zip(to.iter_mut()) {
            let weight = weights.next().copied().unwrap_or(f64::NAN) / mean;
            let predicted = (temporal(*value, labels[at]) + weight * residual).max(limits.0).min(limits.1);
            let change = (predicted - drawn_in(*value, extremes)) as f32;
            *to = if weight.is_nan() || !change.is_finite() { f32::NAN } else { change };
        }
    }
}

/// Mean of the values that are not `NaN`.
fn mean(values: &[f64]) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for v in values.iter().filter(|v| !v.is_nan()) {
        sum += v;
        count += 1.0;
    }
    sum / count
}

/// Averages the changes over similar pixels (equations 21 to 24) and adds them to the fine image.
fn predict(
    job: &Job,
    model: &PairModel,
    (tile, pair): (&TileIn<'_>, &PairTile<'_>),
    changes: &Changes,
    out: &mut TileOut<'_>,
    exec: &Exec<'_>,
) -> Result<()> {
    let (bands, rows, cols) = pair.fine.dim();
    let parameters = &job.parameters;
    let window = job.search.window();
    let half = window.half();
    let region = inside(tile, tile.region);
    let fine = pair.fine.to_slice().ok_or_else(|| Error::internal("a tile is not contiguous"))?;
    let pixels = rows * cols;
    let factors: Vec<f32> = fine.iter().map(|v| 1.0 / (v.abs() + SMALLEST_VALUE)).collect();
    let labels: Vec<f32> =
        if parameters.same_class { changes.labels.iter().map(|l| f32::from(*l)).collect() } else { Vec::new() };
    let mut compared: Vec<Plane<'_>> = (0..bands)
        .map(|band| Plane {
            values: &fine[band * pixels..(band + 1) * pixels],
            factor: Some(Term::PerPixel(&factors[band * pixels..(band + 1) * pixels])),
            tolerance: Some(Tolerance::Below(Term::Constant(model.tolerances[band]))),
        })
        .collect();
    if parameters.same_class {
        let only_own = Some(Tolerance::Below(Term::Constant(0.5)));
        compared.push(Plane { values: &labels, factor: Some(Term::Constant(0.0)), tolerance: only_own });
    }
    let usable = changes.usable.as_slice().unwrap_or_default();
    let planes = Planes { rows, cols, compared, required: vec![usable] };
    let change_planes: Vec<&[f32]> = changes.values.outer_iter().filter_map(|band| band.to_slice()).collect();

    let steps = window.steps(cols);
    let nearness = window.table(|d| (1.0 / (1.0 + d / half.max(1) as f64)) as f32);
    let by_difference = parameters.similarity_weight == SimilarityWeight::DistanceAndDifference;
    let weight = |sample: Sample| {
        let undone = |law: &DistanceLaw| sample.key() / law.factors[sample.position()] - law.added;
        let difference = job.law.as_ref().map_or(sample.key(), undone);
        nearness[sample.position()] * if by_difference { 1.0 / (difference + 1.0) } else { 1.0 }
    };
    let valid_counts = out.support.is_some().then(|| valid_counts(&changes.usable, region, half, exec)).transpose()?;
    let mut means = vec![0.0f32; bands];
    job.search.each(&planes, region, exec.cancel, |chosen| {
        let row = chosen.row;
        for (col, samples) in chosen.iter() {
            let at = row * cols + col;
            let scene = (tile.padded.row + row, tile.padded.col + col);
            let cell = (scene.0 / job.grid.scale, scene.1 / job.grid.scale);
            let to = (row - region.row, col - region.col);
            weighted_means(samples, at, &steps, weight, &change_planes, &mut means);
            let mut predicts = false;
            let label = usize::from(changes.labels[(row, col)]);
            let mut fallback = if samples.is_empty() { Fallback::FewSimilar } else { Fallback::None };
            for band in 0..bands {
                let (value, coarse_change) = (fine[band * pixels + at], model.coarse_changes[(band, cell.0, cell.1)]);
                let own = change_planes[band][at];
                let change = if !means[band].is_nan() {
                    means[band]
                } else if !own.is_nan() {
                    own
                } else {
                    coarse_change
                };
                // a cell without coarse values is not predicted from its neighbours
                let mut predicted = if coarse_change.is_nan() { f32::NAN } else { value + change };
                if f64::from(predicted) < job.range.0 || f64::from(predicted) > job.range.1 {
                    predicted = (f64::from(value) + f64::from(coarse_change)).max(job.range.0).min(job.range.1) as f32;
                    fallback = fallback.max(Fallback::OutOfRange);
                }
                let predicted = if predicted.is_finite() { predicted } else { f32::NAN };
                out.image[(band, to.0, to.1)] = predicted;
                predicts |= !predicted.is_nan();
                fallback = fallback.max(model.troubles[band].get(label).copied().unwrap_or(Fallback::ClassAbsent));
            }
            let Some(support) = &mut out.support else { continue };
            let used = job.pairs.len() as f32;
            let side = |i: usize, n: usize| (i + half + 1).min(n) - i.saturating_sub(half);
            let all = side(scene.0, job.scene.0) * side(scene.1, job.scene.1);
            let valid = valid_counts.as_ref().map_or(0, |counts| counts[to.0 * region.cols + to.1]);
            support.valid_fraction[to] += valid as f32 / all as f32 / used;
            if predicts {
                support.similar_pixels[to] += samples.len() as f32;
                fallback.mark(&mut support.fallback[to]);
            }
        }
    })
}

/// Number of pixels in the window of each pixel of `region` that have a change.
fn valid_counts(usable: &Array2<f32>, region: Region, half: usize, exec: &Exec<'_>) -> Result<Vec<u32>> {
    let (rows, cols) = usable.dim();
    let mut rimmed = Array2::from_elem((region.rows + 2 * half, region.cols + 2 * half), f32::NAN);
    let given = region.grown(half, rows, cols);
    let (top, left) = (given.row + half - region.row, given.col + half - region.col);
    rimmed
        .slice_mut(s![top..top + given.rows, left..left + given.cols])
        .assign(&usable.slice(s![given.row..given.row + given.rows, given.col..given.col + given.cols]));
    let mut counts = vec![0; region.pixels()];
    let values = rimmed.as_slice().unwrap_or_default();
    let plane = RimmedPlane { values, rows: region.rows, cols: region.cols, half };
    box_sums::add_valid_counts(plane, &mut counts, exec.cancel)?;
    Ok(counts)
}

/// Weights of a pair's cells where pairs are combined: the inverse of the mean change of the coarse value over the cells around.
pub fn pair_weights(model: &PairModel, grid: &CoarseGrid) -> Array3<f32> {
    let mut weights = model.coarse_changes.clone();
    for (mut band, changes) in weights.outer_iter_mut().zip(model.coarse_changes.axis_iter(Axis(0))) {
        for ((row, col), weight) in band.indexed_iter_mut() {
            let near = grid.window(row, col, 1);
            let (mut sum, mut count) = (0.0f64, 0.0);
            for v in
                changes.slice(s![near.row..near.row + near.rows, near.col..near.col + near.cols]).iter().filter(|v| !v.is_nan())
            {
                sum += f64::from(v.abs());
                count += 1.0;
            }
            *weight = if count > 0.0 { (1.0 / (sum / count).max(1e-30)) as f32 } else { f32::NAN };
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::cases::{self, Problem};
    use crate::fsdaf::cases as own;
    use crate::fsdaf::{reference, Fsdaf, Parameters};

    fn largest(problem: &Problem) -> f64 {
        problem.pairs.iter().flat_map(|p| p.fine.iter()).filter(|v| !v.is_nan()).fold(0.0, |m, &v| m.max(f64::from(v).abs()))
    }

    fn compare(name: &str, problem: &Problem, settings: &[(&str, &str)], window: usize) {
        let window = window.to_string();
        let mut all = vec![("window", window.as_str())];
        all.extend_from_slice(settings);
        let values = cases::values_of(&Fsdaf, &all).unwrap();
        let expected = reference::predict(&Parameters::from_values(&values).unwrap(), problem).unwrap();
        let got = cases::predict(&Fsdaf, &values, problem, (9, 14), true).unwrap();
        let difference = cases::largest_difference(got.image.view(), expected.image.view()).unwrap();
        let tolerance = own::TOLERANCE * largest(problem);
        assert!(difference <= tolerance, "{name}, window {window}: {difference} > {tolerance}");
        let (similar, fraction) = got.support.unwrap();
        assert_eq!(similar, expected.similar_pixels.mapv(|v| v as f32), "{name}, window {window}: similar pixels");
        let difference = cases::largest_difference_2d(fraction.view(), expected.valid_fraction.view()).unwrap();
        assert!(difference < 1e-6, "{name}, window {window}: valid fraction differs by {difference}");
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

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_scene_agrees_with_the_reference(
            seed in 0u32..1000, rows in 5usize..24, cols in 5usize..40, half in 0usize..4, scale in 3usize..7, gaps in 0.0f32..0.4,
            pairs in prop::sample::subsequence(vec![-60i16, -16, 8, 40], 1..4), which in 0..own::SETTINGS.len(),
        ) {
            let problem = Problem::fields(2, rows, cols, scale, &pairs, seed).with_gaps(gaps, seed);
            let (name, settings) = own::SETTINGS[which];
            compare(name, &problem, settings, 2 * half + 1);
        }
    }
}
