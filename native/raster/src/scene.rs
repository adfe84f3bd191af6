//! A job's images on the fine grid.

use ndarray::ArrayViewMut3;
use stfusion_core::method::{Layer, Scene, SceneInfo};
use stfusion_core::source::{GridOptions, PairSource, TargetSource};
use stfusion_core::{Cancel, Error, Region, Result};

use crate::align::Alignment;
use crate::dataset::ImageInfo;

/// What a job's images are, before opening: borrowed from the job.
#[derive(Debug, Clone, Copy)]
pub struct SceneSource<'a> {
    /// The pairs.
    pub pairs: &'a [PairSource],
    /// The target.
    pub target: &'a TargetSource,
    /// How they are brought together.
    pub grid: &'a GridOptions,
}

/// The images of a job, opened, checked against each other and readable on the grid of the first pair's fine image.
#[derive(Debug)]
pub struct RasterScene {
    info: SceneInfo,
    fine: ImageInfo,
    warnings: Vec<String>,
    alignments: Vec<Alignment>,
}

impl RasterScene {
    /// Opens all images and checks everything that can be checked on a sample of the pixels.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Read`] when a name cannot be opened or read; [`stfusion_core::ErrorKind::Data`] when the
    /// images do not fit each other (bands, grids, overlap, units) or hold no valid pixel;
    /// [`stfusion_core::ErrorKind::Parameter`] for an unknown preset; [`stfusion_core::ErrorKind::Cancelled`].
    pub fn open(source: &SceneSource<'_>, cancel: &Cancel) -> Result<RasterScene> {
        let _ = cancel;
        Err(Error::internal(format!("{source:?}")))
    }

    /// The first pair's fine image, with the bands of the job in the job's order: the template of the output.
    pub fn fine_info(&self) -> &ImageInfo {
        &self.fine
    }

    /// What the user should know: assumed band orders, assumed CRS, uncovered parts, dates that disagree, ….
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How the coarse images lie on the fine grid: those of the pairs in order, then the target's.
    pub fn alignments(&self) -> &[Alignment] {
        &self.alignments
    }

    /// Most bytes that the scene itself will hold, whatever is read: coordinate meshes and cached coarse images.
    /// GDAL's block cache is not counted.
    pub fn held_bytes(&self) -> usize {
        0
    }

    /// Rows and columns of the blocks in which the fine image is stored: regions along them read fastest.
    pub fn block(&self) -> (usize, usize) {
        (256, 256)
    }
}

impl Scene for RasterScene {
    fn info(&self) -> &SceneInfo {
        &self.info
    }

    fn read(&self, layer: Layer, region: Region, out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let _ = (layer, region, out);
        Ok(())
    }
}
