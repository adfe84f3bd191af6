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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Sink;
    use proptest::prelude::*;
    use stfusion_core::memory::{MemoryPair, MemoryScene};
    use stfusion_core::metrics::{assess, Assessment};

    const SIZE: (usize, usize, usize) = (2, 300, 280);

    /// An image with gaps that differ by `seed`.
    fn image(seed: u32) -> Array3<f32> {
        Array3::from_shape_fn(SIZE, |(b, r, c)| {
            let noise =
                (b as u32 * 7919 + r as u32 * 104_729 + c as u32 * 1299 + seed * 15_485_863).wrapping_mul(2_654_435_761) >> 8;
            let gap = (r / 30 * 31 + c / 30 * 17 + b * 5 + seed as usize * 3).is_multiple_of(12);
            if gap {
                f32::NAN
            } else {
                0.2 + 0.1 * b as f32 + (noise % 1000) as f32 * 1e-4 + seed as f32 * 0.01
            }
        })
    }

    fn spool(image: &Array3<f32>) -> Spool {
        let mut spool = Spool::new(SIZE.0, SIZE.1, SIZE.2).unwrap();
        spool.write(Region::whole(SIZE.1, SIZE.2), image.view(), None).unwrap();
        spool
    }

    fn scores(assessor: &Assessor) -> Assessment {
        assessor.finish(&[], &[], None)
    }

    fn scored(truth: &Array3<f32>, predictions: &[Array3<f32>], budget: u64, threads: usize) -> Scored {
        let pair =
            || MemoryPair { date: None, fine: truth.view(), coarse: truth.view(), classes: None, objects: None, pan: None };
        let scene = MemoryScene::new(vec![pair(), pair()], None, truth.view(), None).unwrap();
        let spools: Vec<Spool> = predictions.iter().map(spool).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            score(Truth { scene: &scene, held: 1 }, &spools.iter().collect::<Vec<_>>(), 1.0, budget, &Cancel::new(), &|_| {})
                .unwrap()
        })
    }

    #[test]
    fn methods_are_scored_on_the_samples_that_all_predict_and_the_truth_has() {
        let (truth, predictions) = (image(0), [image(1), image(2)]);
        let found = scored(&truth, &predictions, u64::MAX, 2);
        let mut common = truth.clone();
        predictions.iter().for_each(|p| common.zip_mut_with(p, |t, p| *t = if p.is_nan() { f32::NAN } else { *t }));
        let count = |a: &Array3<f32>| a.iter().filter(|v| !v.is_nan()).count() as u64;
        assert_eq!((found.truth, found.compared), (count(&truth), count(&common)));
        for (k, prediction) in predictions.iter().enumerate() {
            let both = prediction.iter().zip(&truth).filter(|(p, t)| !p.is_nan() && !t.is_nan()).count() as u64;
            assert_eq!(found.valid[k], both);
            let whole = Block::whole(prediction.view(), common.view(), Vec::new());
            let expected = assess(&whole, &[], &[], None, Some(1.0)).unwrap().overall.scores;
            let own = scores(&found.assessors[k]).overall.scores;
            assert_eq!(own.n, expected.n);
            for (a, b) in [(own.rmse, expected.rmse), (own.ssim, expected.ssim), (own.r, expected.r), (own.bias, expected.bias)] {
                assert!((a.unwrap() - b.unwrap()).abs() < 1e-12, "{a:?} {b:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]
        #[test]
        fn scores_depend_neither_on_memory_nor_on_threads(seed in 3u32..40, budget in 0u64..(64 << 20), threads in 1usize..4) {
            let (truth, predictions) = (image(0), [image(seed), image(seed + 1)]);
            let (a, b) = (scored(&truth, &predictions, u64::MAX, 1), scored(&truth, &predictions, budget, threads));
            for (a, b) in a.assessors.iter().zip(&b.assessors) {
                prop_assert_eq!(scores(a), scores(b), "bit for bit");
            }
        }
    }
}
