//! Accuracy of a prediction against the truth, and its skill against simpler predictions.
//!
//! Images of any size are assessed block by block: every block is given with a rim of [`HALO`] pixels, adds to an
//! [`Assessor`], assessors are merged, and the last one becomes an [`Assessment`].
//!
//! ```text
//! range:  for every block (any order, in parallel)   RangeAccumulator::add, merge  ──> data_range
//! scores: for every block (in parallel)              Assessor::new, add
//!         in the order of the blocks                 merge                         ──> finish = Assessment
//! ```
//!
//! A sample (one band of one pixel) counts when prediction, truth and **every** baseline are finite there, so that all
//! rows of an assessment speak of the same samples. With `p` the prediction and `t` the truth, per band:
//!
//! * bias = mean(p − t); MAE = mean |p − t|; RMSE = √mean (p − t)²; rRMSE = RMSE / |mean t| (a ratio, not per cent).
//! * R: Pearson's correlation. R² = 1 − Σ(p − t)² / Σ(t − mean t)², the coefficient of determination: it punishes bias, may
//!   be negative, and is not R·R.
//! * SSIM: Wang, Bovik, Sheikh & Simoncelli (2004), eq. 13, mean over the 11 x 11 Gaussian windows (σ 1.5, population
//!   moments, K₁ = 0.01, K₂ = 0.03) that lie inside the image and hold no invalid sample. Its constants grow with the data
//!   range L: a large L lifts the SSIM of dark, even bands. L is one number for all bands; see [`RangeAccumulator::data_range`].
//! * PSNR = 20 log₁₀(L / RMSE), infinite (null in JSON) for identical images.
//! * UIQI: Wang & Bovik (2002), eq. 1, with the moments of the whole band. The sliding 8 x 8 window of that paper is not used:
//!   without SSIM's constants it is dominated by the noise of even areas, and the window's view is SSIM's already.
//!
//! Overall: RMSE, MAE, bias, rRMSE and PSNR over the samples of all bands together; R, R², SSIM and UIQI the mean over the
//! bands (pooled, they would mostly praise that bands differ in brightness); and two that are overall by nature:
//!
//! * SAM: Kruse et al. (1993), mean angle in degrees between the spectra of pixels valid in all bands and not zero.
//! * ERGAS: Wald (2000), 100 (h/l) √mean_b (RMSE_b / mean t_b)² with h/l = 1/scale, the fine over the coarse pixel side.
//!   (Some libraries multiply by the scale: their values are scale² times these.)
//!
//! Skill against a baseline = 1 − RMSE / RMSE of the baseline: 1 is perfect, 0 no better than the baseline, below 0 worse.
//!
//! Sums are kept in `f64`, moments centred and merged as of Chan, Golub & LeVeque (1983); no fused multiply-add is used, so
//! every machine computes the same numbers. One SSIM window gives the same bits in whatever block it lies; sums over
//! blocks depend on the partition by rounding only (about 1e-13 relative), and not at all on the threads when the blocks
//! and the order of merging are fixed.

mod angle;
mod assessment;
mod moments;
mod ssim;

pub use assessment::{Assessment, BandScores, Overall, Scores, Skill};

use ndarray::ArrayView3;

use crate::{Error, ErrorKind, Region, Result};
use angle::Angles;
use moments::{Moments, RowBuffers};
use ssim::Ssim;

/// Pixels needed around a block: half of SSIM's window.
pub const HALO: usize = ssim::RADIUS;

/// The images of one block, (band, row, col), all covering [`Block::padded`]. Values that are not finite are invalid.
#[derive(Debug, Clone)]
pub struct Block<'a> {
    /// Pixels to count, in scene coordinates. The regions of all blocks cover the scene once.
    pub region: Region,
    /// Pixels given: `region` grown by [`HALO`] and clipped to the scene ([`Region::grown`]).
    pub padded: Region,
    /// The prediction.
    pub prediction: ArrayView3<'a, f32>,
    /// The truth.
    pub truth: ArrayView3<'a, f32>,
    /// Other predictions of the same day, to compare with; always the same ones in the same order.
    pub baselines: Vec<ArrayView3<'a, f32>>,
}

impl<'a> Block<'a> {
    /// A whole scene as one block.
    pub fn whole(prediction: ArrayView3<'a, f32>, truth: ArrayView3<'a, f32>, baselines: Vec<ArrayView3<'a, f32>>) -> Self {
        let region = Region::whole(truth.dim().1, truth.dim().2);
        Block { region, padded: region, prediction, truth, baselines }
    }

    fn check(&self, bands: usize, baselines: usize) -> Result<()> {
        let expected = (bands, self.padded.rows, self.padded.cols);
        let named = [("prediction", &self.prediction), ("truth", &self.truth)].into_iter();
        for (name, image) in named.chain(self.baselines.iter().map(|b| ("baseline", b))) {
            if image.dim() != expected {
                let message = format!("The {name} is {:?} (band, row, col); the assessed block is {expected:?}", image.dim());
                return Err(Error::new(ErrorKind::Data, message)
                    .with_hint("Prediction, truth and baselines must have the same bands, rows and columns."));
            }
        }
        let (inner, outer) = (self.region, self.padded);
        let inside = inner.row >= outer.row
            && inner.col >= outer.col
            && inner.row + inner.rows <= outer.row + outer.rows
            && inner.col + inner.cols <= outer.col + outer.cols;
        if !inside || self.baselines.len() != baselines {
            return Err(Error::internal(format!(
                "assessed block {inner:?} in {outer:?} with {} baselines; {baselines} were announced",
                self.baselines.len()
            )));
        }
        Ok(())
    }
}

/// Smallest and largest finite value of an image, for [`RangeAccumulator::data_range`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RangeAccumulator {
    min: f32,
    max: f32,
}

impl Default for RangeAccumulator {
    fn default() -> Self {
        RangeAccumulator { min: f32::INFINITY, max: f32::NEG_INFINITY }
    }
}

impl RangeAccumulator {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a part of the image, in any order.
    pub fn add(&mut self, part: ArrayView3<'_, f32>) {
        for &v in part.iter().filter(|v| v.is_finite()) {
            self.min = self.min.min(v);
            self.max = self.max.max(v);
        }
    }

    /// Takes in what another accumulator has seen.
    pub fn merge(&mut self, other: &RangeAccumulator) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Smallest and largest finite value, if there was one.
    pub fn limits(&self) -> Option<(f32, f32)> {
        (self.min <= self.max).then_some((self.min, self.max))
    }

    /// The data range L of SSIM and PSNR to use when the user gives none, from the truth of the whole scene.
    ///
    /// 1 when every value lies in −0.5…2 (reflectance, NDVI, fractions): the convention of the published comparisons, and
    /// the same for every scene. Otherwise (temperatures, scaled integers) largest minus smallest value. 1 when that is 0
    /// or there is no value.
    pub fn data_range(&self) -> f64 {
        match self.limits() {
            Some((min, max)) if (min < -0.5 || max > 2.0) && max > min => f64::from(max) - f64::from(min),
            _ => 1.0,
        }
    }
}

/// Sums of the scores over the blocks seen. See the [module](self).
#[derive(Debug, Clone)]
pub struct Assessor {
    data_range: f64,
    moments: Vec<Moments>,
    ssim: Vec<Ssim>,
    angles: Angles,
}

impl Assessor {
    /// Sums of nothing, for images of `bands` bands compared with `baselines` other predictions.
    ///
    /// `data_range`: the L of SSIM and PSNR, given by the user or from [`RangeAccumulator::data_range`].
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless `data_range` is a positive, finite number.
    pub fn new(bands: usize, baselines: usize, data_range: f64) -> Result<Self> {
        if !(data_range > 0.0 && data_range.is_finite()) {
            return Err(Error::new(ErrorKind::Parameter, format!("The data range must be a positive number; got {data_range}"))
                .with_hint("Give the range that the data can have: 1 for reflectance, 10000 for scaled reflectance."));
        }
        Ok(Assessor {
            data_range,
            moments: vec![Moments::new(baselines); bands],
            ssim: vec![Ssim::default(); bands],
            angles: Angles::default(),
        })
    }

    /// Number of baselines announced.
    fn baselines(&self) -> usize {
        self.moments.first().map_or(0, |m| m.baseline_squares.len())
    }

    /// Takes in one block.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when the images differ in shape; [`ErrorKind::Internal`] when regions or baselines are not as announced.
    pub fn add(&mut self, block: &Block<'_>) -> Result<()> {
        let bands = self.moments.len();
        block.check(bands, if bands == 0 { block.baselines.len() } else { self.baselines() })?;
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has AVX2, checked in the line above.
            unsafe { self.add_avx2(block) };
            return Ok(());
        }
        self.add_block(block);
        Ok(())
    }

    /// [`Assessor::add_block`] compiled for AVX2; the same operations in the same order, hence the same bits.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn add_avx2(&mut self, block: &Block<'_>) {
        self.add_block(block);
    }

    #[inline(always)]
    fn add_block(&mut self, block: &Block<'_>) {
        let bands = self.moments.len();
        let (region, padded) = (block.region, block.padded);
        let (top, left) = (region.row - padded.row, region.col - padded.col);
        let mut filter = ssim::Filter::new(top, left, region, padded, self.data_range);
        let mut rows = RowBuffers::new(padded.cols, block.baselines.len());
        for band in 0..bands {
            filter.restart();
            let mut sums = Moments::new(block.baselines.len());
            for row in 0..padded.rows {
                rows.read(block, band, row);
                if (top..top + region.rows).contains(&row) {
                    sums.merge(&rows.moments(left..left + region.cols));
                }
                filter.push(rows.prediction(), rows.truth());
            }
            self.moments[band].merge(&sums);
            self.ssim[band].merge(&filter.total());
        }
        if bands > 1 {
            self.angles.merge(&Angles::of(block, top, left));
        }
    }

    /// Takes in what another assessor has summed. For identical results merge in the order of the blocks.
    pub fn merge(&mut self, other: &Assessor) {
        self.moments.iter_mut().zip(&other.moments).for_each(|(a, b)| a.merge(b));
        self.ssim.iter_mut().zip(&other.ssim).for_each(|(a, b)| a.merge(b));
        self.angles.merge(&other.angles);
    }

    /// The scores. `bands` and `baselines` are the labels to print, in order; missing ones are numbered.
    ///
    /// `scale`: fine pixels per coarse-pixel side, for ERGAS.
    pub fn finish(&self, bands: &[String], baselines: &[String], scale: Option<f64>) -> Assessment {
        assessment::finish(self, bands, baselines, scale)
    }
}

/// Assesses images that lie in memory, (band, row, col), as one block.
///
/// `data_range`: the L of SSIM and PSNR; `None`: [`RangeAccumulator::data_range`] of the truth.
///
/// # Errors
/// Those of [`Assessor::new`] and [`Assessor::add`].
pub fn assess(
    block: &Block<'_>,
    bands: &[String],
    baselines: &[String],
    scale: Option<f64>,
    data_range: Option<f64>,
) -> Result<Assessment> {
    let data_range = data_range.unwrap_or_else(|| {
        let mut range = RangeAccumulator::new();
        range.add(block.truth.view());
        range.data_range()
    });
    let mut assessor = Assessor::new(block.truth.dim().0, block.baselines.len(), data_range)?;
    assessor.add(block)?;
    Ok(assessor.finish(bands, baselines, scale))
}

#[cfg(test)]
mod tests;
