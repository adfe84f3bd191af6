//! One image, read from any thread.

use ndarray::{Array3, ArrayViewMut3};
use stfusion_core::source::ImageSource;
use stfusion_core::{Error, Region, Result};

use crate::dataset::ImageInfo;

/// An open image. Reading takes one of its pooled GDAL handles, so that any number of threads may read at once.
#[derive(Debug)]
pub struct Image {
    info: ImageInfo,
}

impl Image {
    /// Opens and describes an image.
    ///
    /// # Errors
    /// Those of [`crate::describe`].
    pub fn open(source: &ImageSource) -> Result<Image> {
        Err(Error::internal(source.name()))
    }

    /// What it is.
    pub fn info(&self) -> &ImageInfo {
        &self.info
    }

    /// Fills `out` (band, row, col) with the part `region` of all bands: unscaled values, `NaN` where invalid.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Read`] when GDAL cannot read it.
    pub fn read(&self, region: Region, out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let _ = (region, out);
        Ok(())
    }

    /// The whole image, (band, row, col).
    ///
    /// # Errors
    /// Those of [`Image::read`].
    pub fn read_all(&self) -> Result<Array3<f32>> {
        let mut out = Array3::zeros((self.info.bands.len(), self.info.grid.rows, self.info.grid.cols));
        self.read(Region::whole(self.info.grid.rows, self.info.grid.cols), out.view_mut())?;
        Ok(out)
    }
}
