//! Tiles of OBSUM: the change of each pixel's object, and the residual averaged over similar pixels (step 6).

use ndarray::{s, Array2, Array3, ArrayView3, Axis};
use stfusion_core::method::{Fallback, TileIn, TileOut};
use stfusion_core::{Error, Exec, Region, Result};

use super::changes::ObjectValues;
use crate::blocks::border::Border;
use crate::blocks::box_sums::{add_valid_counts, RimmedPlane};
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::cubic_spline::CubicSpline;
use crate::blocks::nearest::{weighted_means, Plane, Planes, Sample, Search};
use crate::blocks::objects::{Objects, NO_OBJECT};

/// What tiles are computed from.
#[derive(Debug)]
pub struct Job {
    /// The pair that is used.
    pub pair: usize,
    /// Its objects.
    pub objects: Objects,
    /// Change of every object; `NaN` where nothing is known of it.
    pub changes: ObjectValues,
    /// Why an object's change leaves the rule.
    pub fallbacks: Vec<Fallback>,
    /// What objects leave of the coarse change.
    pub residuals: CubicSpline,
    /// The search for similar pixels.
    pub search: Search,
    /// How many are searched.
    pub similar: usize,
    /// Weight of every position of its window.
    pub weights: Vec<f32>,
    /// What similar pixels there are beyond the scene.
    pub border: Border,
    /// Predictions stay within.
    pub limits: (f32, f32),
    /// The coarse pixels.
    pub grid: CoarseGrid,
    /// Rows and columns of the scene.
    pub scene: (usize, usize),
}

/// Working memory of a tile, in bytes for each of its pixels.
pub fn bytes_per_px(bands: usize) -> usize {
    4 * (3 * bands + 2)
}

/// Computes a tile.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn run(job: &Job, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
    let pair = &tile.pairs[job.pair];
    let bands = pair.fine.dim().0;
    let labels = labels(job, tile);
    exec.cancel.check()?;
    let around = Around::new(job, tile);
    let (fine, residuals) = (around.gathered(pair.fine), around.gathered(residuals(job, tile).view()));
    let residual_planes = planes_of(residuals.view())?;
    let planes = Planes {
        rows: around.rows.len(),
        cols: around.cols.len(),
        compared: planes_of(fine.view())?.into_iter().map(Plane::plain).collect(),
        required: residual_planes.clone(),
    };
    let inner = Region::new(around.row, around.col, tile.region.rows, tile.region.cols);
    let steps = job.search.window().steps(planes.cols);
    let weight = |sample: Sample| job.weights[sample.position()];
    let mut means = vec![0.0f32; bands];
    job.search.each(&planes, inner, exec.cancel, |chosen| {
        let row = chosen.row - inner.row;
        for (col, samples) in chosen.iter() {
            weighted_means(samples, chosen.row * planes.cols + col, &steps, weight, &residual_planes, &mut means);
            let col = col - inner.col;
            let fallback = predict(job, tile, out, (row, col), labels[(row, col)], &means);
            if let Some(support) = &mut out.support {
                support.similar_pixels[(row, col)] = samples.len() as f32;
                let few = if samples.len() < job.similar { Fallback::FewSimilar } else { Fallback::None };
                fallback.max(few).mark(&mut support.fallback[(row, col)]);
            }
        }
    })?;
    if let Some(support) = &mut out.support {
        support.valid_fraction.assign(&valid_fraction(job, tile, exec)?);
    }
    Ok(())
}

/// Writes all bands of the pixel `at` (row and column of the output), which belongs to `object` and whose similar pixels have the
/// mean `residuals`; returns where the rule was left.
fn predict(job: &Job, tile: &TileIn<'_>, out: &mut TileOut<'_>, at: (usize, usize), object: u32, residuals: &[f32]) -> Fallback {
    let pair = &tile.pairs[job.pair];
    let known = (object != NO_OBJECT).then(|| (job.changes.of(object), job.fallbacks[object as usize]));
    let mut fallback = known.map_or(Fallback::None, |(_, fallback)| fallback);
    for (band, residual) in residuals.iter().enumerate() {
        let place = (band, tile.row_offset() + at.0, tile.col_offset() + at.1);
        let (fine, before, after) = (pair.fine[place], pair.coarse[place], tile.target[place]);
        if fine.is_nan() || before.is_nan() || after.is_nan() {
            continue;
        }
        let change = match known.map(|(changes, _)| changes[band]).filter(|change| !change.is_nan()) {
            Some(change) => change + f64::from(if residual.is_nan() { 0.0 } else { *residual }),
            None => {
                fallback = fallback.max(Fallback::ClassAbsent);
                f64::from(after) - f64::from(before)
            }
        };
        let predicted = (f64::from(fine) + change) as f32;
        let limited = predicted.max(job.limits.0).min(job.limits.1);
        if limited != predicted {
            fallback = fallback.max(Fallback::OutOfRange);
        }
        out.image[(band, at.0, at.1)] = if predicted.is_finite() { limited } else { f32::NAN };
    }
    fallback
}

/// The objects of the pixels to compute.
fn labels(job: &Job, tile: &TileIn<'_>) -> Array2<u32> {
    let pair = &tile.pairs[job.pair];
    let image = match &pair.objects {
        Some(map) => map.insert_axis(Axis(0)),
        None => pair.fine,
    };
    let (row, col) = (tile.row_offset(), tile.col_offset());
    let own = image.slice_move(s![.., row..row + tile.region.rows, col..col + tile.region.cols]);
    job.objects.labels(own, tile.region)
}

/// Rows and columns of a tile with those that the window of similar pixels sees beyond the scene's border.
pub(super) struct Around {
    /// Rows of what is given, in order; mirrored ones come twice.
    pub(super) rows: Vec<usize>,
    pub(super) cols: Vec<usize>,
    /// Place of the first row to compute among them.
    pub(super) row: usize,
    pub(super) col: usize,
}

impl Around {
    pub(super) fn new(job: &Job, tile: &TileIn<'_>) -> Self {
        let half = job.search.window().half();
        let along = |first: usize, count: usize, origin: usize, all: usize| -> Vec<usize> {
            job.border.places(first as i64 - half as i64, count + 2 * half, all).map(|place| place - origin).collect()
        };
        let Region { row, col, rows, cols } = tile.region;
        let before = |offset: usize| if job.border == Border::Reflect { half } else { offset };
        Around {
            rows: along(row, rows, tile.padded.row, job.scene.0),
            cols: along(col, cols, tile.padded.col, job.scene.1),
            row: before(tile.row_offset()),
            col: before(tile.col_offset()),
        }
    }

    fn gathered(&self, image: ArrayView3<'_, f32>) -> Array3<f32> {
        let shape = (image.dim().0, self.rows.len(), self.cols.len());
        Array3::from_shape_fn(shape, |(band, row, col)| image[(band, self.rows[row], self.cols[col])])
    }
}

/// The bands of an image, each in one piece.
fn planes_of(image: ArrayView3<'_, f32>) -> Result<Vec<&[f32]>> {
    let values = image.to_slice().ok_or_else(|| Error::internal("an image of a tile is not in one piece"))?;
    Ok(values.chunks_exact(image.dim().1 * image.dim().2).collect())
}

/// Residuals of all pixels given, (band, row, col); `NaN` where a coarse image is.
fn residuals(job: &Job, tile: &TileIn<'_>) -> Array3<f32> {
    let mut residuals = job.residuals.image(tile.padded);
    let coarse = &tile.pairs[job.pair].coarse;
    ndarray::Zip::from(&mut residuals).and(coarse).and(&tile.target).for_each(|residual, before, after| {
        if (before + after).is_nan() {
            *residual = f32::NAN;
        }
    });
    residuals
}

/// Share of the window's pixels inside the scene that are valid in all images, (row, col).
fn valid_fraction(job: &Job, tile: &TileIn<'_>, exec: &Exec<'_>) -> Result<Array2<f32>> {
    let pair = &tile.pairs[job.pair];
    let half = job.search.window().half();
    let Region { row, col, rows, cols } = tile.region;
    let bands = pair.fine.dim().0;
    let width = cols + 2 * half;
    let plane: Vec<f32> = (0..(rows + 2 * half) * width)
        .map(|i| {
            let place = |at: usize, first: usize, padded: usize| (first + at).checked_sub(half + padded);
            let (r, c) = (place(i / width, row, tile.padded.row), place(i % width, col, tile.padded.col));
            match (r, c) {
                (Some(r), Some(c)) if r < tile.padded.rows && c < tile.padded.cols => {
                    let valid = |image: &ArrayView3<'_, f32>| (0..bands).all(|b| !image[(b, r, c)].is_nan());
                    if [&pair.fine, &pair.coarse, &tile.target].into_iter().all(valid) {
                        1.0
                    } else {
                        f32::NAN
                    }
                }
                _ => f32::NAN,
            }
        })
        .collect();
    let mut counts = vec![0u32; rows * cols];
    add_valid_counts(RimmedPlane { values: &plane, rows, cols, half }, &mut counts, exec.cancel)?;
    Ok(Array2::from_shape_fn((rows, cols), |(r, c)| {
        let inside = Region::new(row + r, col + c, 1, 1).grown(half, job.scene.0, job.scene.1);
        counts[r * cols + c] as f32 / inside.pixels() as f32
    }))
}
