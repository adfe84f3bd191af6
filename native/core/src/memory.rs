//! A scene whose images lie in memory: the memory API, the tests and the benchmarks run on it.

use ndarray::{s, ArrayView2, ArrayView3, ArrayViewMut3};

use crate::method::{ExtraImage, Layer, PairInfo, Scene, SceneInfo};
use crate::{Date, Error, ErrorKind, Region, Result};

/// Images of one pair in memory, (band, row, col); invalid values are not finite.
#[derive(Debug, Clone)]
pub struct MemoryPair<'a> {
    /// Day of the pair.
    pub date: Option<Date>,
    /// Fine image.
    pub fine: ArrayView3<'a, f32>,
    /// Coarse image on the fine grid.
    pub coarse: ArrayView3<'a, f32>,
    /// Class map, (row, col).
    pub classes: Option<ArrayView2<'a, f32>>,
    /// Object map, (row, col).
    pub objects: Option<ArrayView2<'a, f32>>,
    /// Panchromatic image, (row, col).
    pub pan: Option<ArrayView2<'a, f32>>,
}

impl<'a> MemoryPair<'a> {
    fn extra_image(&self, extra: ExtraImage) -> Option<ArrayView2<'a, f32>> {
        match extra {
            ExtraImage::Classes => self.classes,
            ExtraImage::Objects => self.objects,
            ExtraImage::Panchromatic => self.pan,
        }
    }
}

/// A scene in memory. Any strides are accepted.
#[derive(Debug, Clone)]
pub struct MemoryScene<'a> {
    info: SceneInfo,
    pairs: Vec<MemoryPair<'a>>,
    target: ArrayView3<'a, f32>,
}

impl<'a> MemoryScene<'a> {
    /// Brings images together. `scale`: fine pixels per coarse-pixel side, if known.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when the shapes differ or an image is empty, naming the image and both shapes.
    pub fn new(
        pairs: Vec<MemoryPair<'a>>,
        target_date: Option<Date>,
        target: ArrayView3<'a, f32>,
        scale: Option<f64>,
    ) -> Result<Self> {
        let (bands, rows, cols) = target.dim();
        if target.is_empty() {
            return Err(Error::new(ErrorKind::Data, format!("The target's coarse image is empty ({bands} x {rows} x {cols})"))
                .with_hint("Give an image with at least one band, row and column."));
        }
        let check = |name: String, shape: &[usize], expected: &[usize]| {
            if shape == expected {
                return Ok(());
            }
            Err(Error::new(
                ErrorKind::Data,
                format!("{name} is {shape:?} (band, row, col); the target's coarse image is {expected:?}"),
            )
            .with_hint("In memory every image must be on the fine grid with the same bands: resample the coarse images first."))
        };
        for (k, pair) in pairs.iter().enumerate() {
            check(format!("The fine image of pair {}", k + 1), pair.fine.shape(), &[bands, rows, cols])?;
            check(format!("The coarse image of pair {}", k + 1), pair.coarse.shape(), &[bands, rows, cols])?;
            for (extra, image) in ExtraImage::ALL.iter().filter_map(|&extra| Some((extra, pair.extra_image(extra)?))) {
                check(format!("The {} of pair {}", extra.label(), k + 1), image.shape(), &[rows, cols])?;
            }
        }
        let info = SceneInfo {
            bands,
            rows,
            cols,
            scale,
            pairs: pairs.iter().map(|p| PairInfo::new(p.date, |extra| p.extra_image(extra).is_some())).collect(),
            target_date,
        };
        Ok(MemoryScene { info, pairs, target })
    }
}

impl Scene for MemoryScene<'_> {
    fn info(&self) -> &SceneInfo {
        &self.info
    }

    fn read(&self, layer: Layer, region: Region, mut out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let window = s![.., region.row..region.row + region.rows, region.col..region.col + region.cols];
        let missing = || Error::internal(format!("the scene has no {layer:?}"));
        let pair = |k: usize| self.pairs.get(k).ok_or_else(missing);
        let source = match layer {
            Layer::Target => self.target.view(),
            Layer::Fine(k) => pair(k)?.fine.view(),
            Layer::Coarse(k) => pair(k)?.coarse.view(),
            Layer::Extra(extra, k) => pair(k)?.extra_image(extra).ok_or_else(missing)?.insert_axis(ndarray::Axis(0)),
        };
        out.zip_mut_with(&source.slice(window), |o, &v| *o = if v.is_finite() { v } else { f32::NAN });
        Ok(())
    }
}
