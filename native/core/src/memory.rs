//! A scene whose images lie in memory: the memory API, the tests and the benchmarks run on it.

use ndarray::{s, ArrayView2, ArrayView3, ArrayViewMut3};

use crate::method::{LabelMap, Layer, PairInfo, Scene, SceneInfo};
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
}

impl<'a> MemoryPair<'a> {
    fn label_map(&self, map: LabelMap) -> Option<ArrayView2<'a, f32>> {
        match map {
            LabelMap::Classes => self.classes,
            LabelMap::Objects => self.objects,
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
            for (map, labels) in LabelMap::ALL.iter().filter_map(|&map| Some((map, pair.label_map(map)?))) {
                check(format!("The {} of pair {}", map.label(), k + 1), labels.shape(), &[rows, cols])?;
            }
        }
        let info = SceneInfo {
            bands,
            rows,
            cols,
            scale,
            pairs: pairs
                .iter()
                .map(|p| PairInfo { date: p.date, has_classes: p.classes.is_some(), has_objects: p.objects.is_some() })
                .collect(),
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
            Layer::Classes(k) => pair(k)?.classes.ok_or_else(missing)?.insert_axis(ndarray::Axis(0)),
            Layer::Objects(k) => pair(k)?.objects.ok_or_else(missing)?.insert_axis(ndarray::Axis(0)),
        };
        out.zip_mut_with(&source.slice(window), |o, &v| *o = if v.is_finite() { v } else { f32::NAN });
        Ok(())
    }
}
