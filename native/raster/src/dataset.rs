//! Opening rasters and describing them: grid, bands, dates, what is stored and how it is unscaled.

use stfusion_core::source::ImageSource;
use stfusion_core::{Date, Grid, Result};

/// One image (one raster, or one raster per band) opened and described.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageInfo {
    /// Names it was opened from.
    pub paths: Vec<String>,
    /// GDAL's short name of the (first) raster's driver.
    pub driver: String,
    /// Size, place and CRS.
    pub grid: Grid,
    /// The selected bands, in the selected order.
    pub bands: Vec<BandInfo>,
    /// Day found in the metadata or the name.
    pub date: Option<Date>,
    /// The (first) raster's metadata of the default domain.
    pub metadata: Vec<(String, String)>,
}

impl ImageInfo {
    /// The name shown to people: the path, or the first of several.
    pub fn name(&self) -> &str {
        self.paths.first().map_or("(no file)", String::as_str)
    }
}

/// One band of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct BandInfo {
    /// Which of the image's rasters holds it, counted from 0.
    pub raster: usize,
    /// Number of the band in that raster, counted from 1.
    pub number: usize,
    /// GDAL's description of the band, often its name; empty when it has none.
    pub description: String,
    /// GDAL's name of the stored type: `Int16`, `Float32`, ….
    pub data_type: String,
    /// Stored values that mean nodata: the raster's own and the job's, without repetition.
    pub nodata: Vec<f64>,
    /// Factor from stored to unscaled values.
    pub scale: f64,
    /// Summand after `scale`.
    pub offset: f64,
    /// Whether a mask or alpha band says which pixels are valid.
    pub has_mask: bool,
    /// GDAL's name of the colour interpretation: `Gray`, `Red`, `Undefined`, ….
    pub color: String,
    /// Centre wavelength in micrometres, from the metadata, the description or the product's name.
    pub wavelength_um: Option<f64>,
    /// Unit of the unscaled values; empty when unknown.
    pub unit: String,
    /// Rows and columns of the blocks it is stored in.
    pub block: (usize, usize),
    /// Metadata of the default domain.
    pub metadata: Vec<(String, String)>,
}

/// Opens an image, describes it and closes it again.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Read`] when a name cannot be opened as a raster; [`stfusion_core::ErrorKind::Data`] when a
/// selected band does not exist, a band is complex, or rasters of one band each have different grids.
pub fn describe(source: &ImageSource) -> Result<ImageInfo> {
    Ok(crate::image::Image::open(source)?.info().clone())
}
