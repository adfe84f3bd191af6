//! Writing a prediction as a GeoTIFF or COG that looks like the fine image.

use ndarray::ArrayView3;
use stfusion_core::source::{Format, OutputOptions};
use stfusion_core::{Error, Grid, Region, Result};

use crate::dataset::ImageInfo;

/// One band of an output.
#[derive(Debug, Clone, PartialEq)]
pub struct BandSpec {
    /// Name of the band; may be empty.
    pub description: String,
    /// Factor from stored to unscaled values.
    pub scale: f64,
    /// Summand after `scale`.
    pub offset: f64,
    /// GDAL's name of the colour interpretation.
    pub color: String,
    /// Unit of the unscaled values; may be empty.
    pub unit: String,
    /// Metadata of the default domain.
    pub metadata: Vec<(String, String)>,
}

/// What an output is to look like.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputSpec {
    /// Size, place and CRS.
    pub grid: Grid,
    /// The bands.
    pub bands: Vec<BandSpec>,
    /// GDAL's name of the stored type.
    pub data_type: String,
    /// Stored value of invalid pixels.
    pub nodata: f64,
    /// Metadata of the dataset (provenance).
    pub metadata: Vec<(String, String)>,
    /// File format.
    pub format: Format,
    /// GDAL creation options (`KEY=VALUE`) over the defaults.
    pub creation_options: Vec<String>,
    /// Replace an existing file.
    pub overwrite: bool,
    /// Threads that compress.
    pub threads: usize,
}

impl OutputSpec {
    /// An output in the convention of `fine` (type, scale, offset, nodata, band names, colours, wavelengths), with what
    /// `options` changes. Warnings, for example of a type too coarse for the values, come second.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Parameter`] for an unknown type or a nodata value that the type cannot hold.
    pub fn like(fine: &ImageInfo, options: &OutputOptions) -> Result<(OutputSpec, Vec<String>)> {
        let _ = options;
        Err(Error::internal(fine.name()))
    }

    /// A support layer: `Float32` with the given band names and `NaN` as nodata.
    pub fn support(grid: &Grid, names: &[&str], options: &OutputOptions) -> OutputSpec {
        let band = |name: &&str| BandSpec {
            description: (*name).to_string(),
            scale: 1.0,
            offset: 0.0,
            color: "Undefined".into(),
            unit: String::new(),
            metadata: Vec::new(),
        };
        OutputSpec {
            grid: grid.clone(),
            bands: names.iter().map(band).collect(),
            data_type: "Float32".into(),
            nodata: f64::NAN,
            metadata: Vec::new(),
            format: options.format.unwrap_or(Format::GTiff),
            creation_options: options.creation_options.clone(),
            overwrite: options.overwrite,
            threads: 1,
        }
    }
}

/// An output being written. Dropped before [`Writer::finish`] it removes its temporary and leaves nothing.
#[derive(Debug)]
pub struct Writer {
    path: String,
}

impl Writer {
    /// Creates the temporary beside `path`.
    ///
    /// # Errors
    /// Those of [`crate::check_output`]; [`stfusion_core::ErrorKind::Write`] when GDAL cannot create it.
    pub fn create(path: &str, spec: &OutputSpec) -> Result<Writer> {
        let _ = spec;
        Ok(Writer { path: path.into() })
    }

    /// Rows and columns of the blocks it is stored in: regions along them are written fastest.
    pub fn block(&self) -> (usize, usize) {
        (256, 256)
    }

    /// Writes the part `region` of all bands: unscaled values, `NaN` where invalid.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Write`], for example when the disk is full.
    pub fn write(&mut self, region: Region, image: ArrayView3<'_, f32>) -> Result<()> {
        let _ = (region, image);
        Ok(())
    }

    /// Completes the file and gives it its name. `progress` is told the finished fraction and answers whether to go on.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Write`]; [`stfusion_core::ErrorKind::Cancelled`] when `progress` answers false.
    pub fn finish(self, progress: &mut dyn FnMut(f64) -> bool) -> Result<()> {
        let _ = progress(1.0);
        Err(Error::internal(self.path))
    }
}
