//! The predictions of one fold against its truth, all on the same samples.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::Array3;
use rayon::prelude::*;
use stfusion_core::method::{Layer, Scene, SceneInfo};
use stfusion_core::metrics::{Assessor, Block, HALO};
use stfusion_core::{Cancel, Region, Result};

use super::spool::Spool;

/// Side of the blocks, in fine pixels; fixed, so that sums do not depend on the memory budget.
const BLOCK_PX: usize = 256;

/// The scores of a fold.
pub(super) struct Scored {
    /// Of each prediction.
    pub assessors: Vec<Assessor>,
    /// Samples valid in the truth.
    pub truth: u64,
    /// Samples valid in the truth and in each prediction.
    pub valid: Vec<u64>,
    /// Samples valid in the truth and in every prediction: those that were scored.
    pub compared: u64,
}

impl Scored {
    fn new(bands: usize, predictions: usize, data_range: f64) -> Result<Scored> {
        let assessors = (0..predictions).map(|_| Assessor::new(bands, 0, data_range)).collect::<Result<_>>()?;
        Ok(Scored { assessors, truth: 0, valid: vec![0; predictions], compared: 0 })
    }

    fn merge(&mut self, other: &Scored) {
        self.assessors.iter_mut().zip(&other.assessors).for_each(|(a, b)| a.merge(b));
        self.valid.iter_mut().zip(&other.valid).for_each(|(a, b)| *a += b);
        self.truth += other.truth;
        self.compared += other.compared;
    }
}

/// The fine image of the pair that is held back.
#[derive(Clone, Copy)]
pub(super) struct Truth<'a> {
    pub scene: &'a dyn Scene,
    pub held: usize,
}

impl Truth<'_> {
    /// Its part `region`, (band, row, col).
    pub fn read(&self, region: Region) -> Result<Array3<f32>> {
        let mut image = Array3::from_elem((self.scene.info().bands, region.rows, region.cols), f32::NAN);
        self.scene.read(Layer::Fine(self.held), region, image.view_mut())?;
        Ok(image)
    }
}

/// The blocks in which a scene is scored.
pub(super) fn blocks(info: &SceneInfo) -> Vec<Region> {
    Region::whole(info.rows, info.cols).blocks(BLOCK_PX, BLOCK_PX)
}

/// Scores predictions against the truth within `budget` bytes, as far as one block fits. Runs in the pool of the caller.
///
/// # Errors
/// Those of reading, and [`stfusion_core::ErrorKind::Cancelled`].
pub(super) fn score(
    truth: Truth<'_>,
    predictions: &[&Spool],
    data_range: f64,
    budget: u64,
    cancel: &Cancel,
    tell: &(dyn Fn(f64) + Send + Sync),
) -> Result<Scored> {
    let info = truth.scene.info();
    let blocks = blocks(info);
    let side = (BLOCK_PX + 2 * HALO) as u64;
    let block_bytes = side * side * (info.bands * (predictions.len() + 1)) as u64 * 4;
    let at_once = (budget / block_bytes.max(1)).clamp(1, 4 * rayon::current_num_threads() as u64) as usize;
    let done = AtomicUsize::new(0);
    let one = |&region: &Region| -> Result<Scored> {
        cancel.check()?;
        let scored = score_block(truth, predictions, data_range, region, cancel)?;
        tell((done.fetch_add(1, Ordering::Relaxed) + 1) as f64 / blocks.len() as f64);
        Ok(scored)
    };
    let mut total = Scored::new(info.bands, predictions.len(), data_range)?;
    // some blocks at a time bound the memory; merging in order keeps the sums the same for any number of threads
    for some in blocks.chunks(at_once) {
        let parts = some.par_iter().map(one).collect::<Result<Vec<_>>>()?;
        parts.iter().for_each(|part| total.merge(part));
    }
    Ok(total)
}

fn score_block(truth: Truth<'_>, predictions: &[&Spool], data_range: f64, region: Region, cancel: &Cancel) -> Result<Scored> {
    let info = truth.scene.info();
    let padded = region.grown(HALO, info.rows, info.cols);
    let mut common = truth.read(padded)?;
    let mut images = Vec::with_capacity(predictions.len());
    for prediction in predictions {
        cancel.check()?;
        let mut image = Array3::from_elem(common.dim(), f32::NAN);
        prediction.read(padded, image.view_mut())?;
        images.push(image);
    }
    let inner = ndarray::s![
        ..,
        region.row - padded.row..region.row - padded.row + region.rows,
        region.col - padded.col..region.col - padded.col + region.cols
    ];
    let mut scored = Scored::new(info.bands, predictions.len(), data_range)?;
    let count = |image: &Array3<f32>| image.slice(inner).iter().filter(|v| v.is_finite()).count() as u64;
    scored.truth = count(&common);
    for (image, valid) in images.iter().zip(&mut scored.valid) {
        let both = image.slice(inner).into_iter().zip(common.slice(inner)).filter(|(p, t)| p.is_finite() && t.is_finite());
        *valid = both.count() as u64;
    }
    for image in &images {
        common.zip_mut_with(image, |t, p| {
            if !p.is_finite() {
                *t = f32::NAN;
            }
        });
    }
    scored.compared = count(&common);
    for (image, assessor) in images.iter().zip(&mut scored.assessors) {
        cancel.check()?;
        let (prediction, truth) = (image.view(), common.view());
        assessor.add(&Block { region, padded, prediction, truth, baselines: Vec::new() })?;
    }
    Ok(scored)
}
