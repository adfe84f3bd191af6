//! Opening rasters and describing them: grid, bands, dates, what is stored and how it is unscaled.

use std::ffi::CStr;

use gdal::raster::RasterBand;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags, Metadata};
use stfusion_core::source::ImageSource;
use stfusion_core::{Date, Error, ErrorKind, Grid, Result};

use crate::bands::wavelength_um;
use crate::dates::day_of_image;
use crate::errors::Capture;
use crate::output::{exists, is_virtual, plain};

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

    /// The bands' names shown to people: their descriptions, or their numbers.
    pub fn band_labels(&self) -> Vec<String> {
        let label = |(k, band): (usize, &BandInfo)| match band.description.as_str() {
            "" => format!("band {}", k + 1),
            name => name.to_string(),
        };
        self.bands.iter().enumerate().map(label).collect()
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
/// [`ErrorKind::Read`] when a name cannot be opened as a raster; [`ErrorKind::Data`] when a selected band does not exist, a
/// band is complex, a scale is unusable, or rasters of one band each have different grids.
pub fn describe(source: &ImageSource) -> Result<ImageInfo> {
    Ok(crate::image::Image::open(source)?.info().clone())
}

/// Opens one raster for reading.
///
/// # Errors
/// [`ErrorKind::Read`], which tells a missing file, a folder, a file that is no raster and one that holds several apart.
pub(crate) fn open_raster(name: &str) -> Result<Dataset> {
    let capture = Capture::start();
    let flags = GdalOpenFlags::GDAL_OF_RASTER | GdalOpenFlags::GDAL_OF_VERBOSE_ERROR;
    let options = DatasetOptions { open_flags: flags, ..DatasetOptions::default() };
    match Dataset::open_ex(name, options) {
        Ok(dataset) if dataset.raster_count() > 0 => Ok(dataset),
        Ok(dataset) => Err(no_bands(name, &dataset)),
        Err(error) => Err(not_opened(name, &capture.text().unwrap_or_else(|| error.to_string()))),
    }
}

fn not_opened(name: &str, reason: &str) -> Error {
    if name.trim().is_empty() {
        return Error::new(ErrorKind::Read, "An image has no file name").with_hint("Give every image a file name.");
    }
    let reason = reason.strip_prefix(&format!("{name}: ")).unwrap_or(reason);
    if exists(name) {
        if !is_virtual(name) && std::fs::metadata(name).is_ok_and(|m| m.is_dir()) {
            return Error::new(ErrorKind::Read, format!("{name}: is a folder that holds no raster as a whole ({reason})"))
                .with_hint("Name one file of the folder, or one file per band.");
        }
        if let Some(denied) = std::fs::File::open(name).err().filter(|_| !is_virtual(name)) {
            return Error::new(ErrorKind::Read, format!("{name}: cannot be read: {}", plain(&denied)))
                .with_hint("Have the permissions of the file changed.");
        }
        return Error::new(ErrorKind::Read, format!("{name}: cannot be opened as a raster: {reason}")).with_hint(format!(
            "Check that the file is complete and in a format that this GDAL ({}) reads: gdalinfo must be able to describe it.",
            crate::version()
        ));
    }
    let is_plain_name = !name.get(2..).unwrap_or_default().contains(':') && !name.trim_start().starts_with(['<', '{']);
    if is_plain_name {
        return Error::new(ErrorKind::Read, format!("{name}: no such file")).with_hint(
            "Check the name. Names in a job file are relative to the job file's folder, those on the command line to the current one.",
        );
    }
    Error::new(ErrorKind::Read, format!("{name}: cannot be opened as a raster: {reason}"))
        .with_hint("Check the file and the sub-dataset in the name: gdalinfo FILE lists the sub-datasets of a file.")
}

fn no_bands(name: &str, dataset: &Dataset) -> Error {
    let subdatasets: Vec<String> = dataset
        .metadata_domain("SUBDATASETS")
        .unwrap_or_default()
        .iter()
        .filter_map(|line| line.split_once('=').filter(|(k, _)| k.ends_with("_NAME")).map(|(_, v)| v.to_string()))
        .collect();
    let error = |text: String| Error::new(ErrorKind::Read, format!("{name}: {text}"));
    match subdatasets.as_slice() {
        [] => error("holds no raster band".into()).with_hint("Choose a file with raster bands."),
        list => {
            let shown: Vec<&str> = list.iter().take(3).map(String::as_str).collect();
            error(format!("holds {} rasters (sub-datasets), not one", list.len())).with_hint(format!(
                "Name one of them, or one per band: {}{}",
                shown.join(", "),
                if list.len() > 3 { ", …" } else { "" }
            ))
        }
    }
}

/// Describes an image whose rasters are open.
///
/// # Errors
/// Those of [`describe`].
pub(crate) fn describe_rasters(source: &ImageSource, rasters: &[Dataset]) -> Result<ImageInfo> {
    let _capture = Capture::start();
    let data_error = |text: String, hint: &str| Error::new(ErrorKind::Data, text).with_hint(hint);
    let name = source.name();
    let Some(first) = rasters.first() else {
        return Err(Error::new(ErrorKind::Read, "An image has no file name").with_hint("Give every image a file name."));
    };
    if source.scale.is_some_and(|s| s == 0.0 || !s.is_finite()) || source.offset.is_some_and(|o| !o.is_finite()) {
        return Err(data_error(
            format!("{name}: scale {:?} and offset {:?} must be finite, and the scale not 0", source.scale, source.offset),
            "Give the factor from stored to unscaled values, for example 0.0001.",
        ));
    }
    if let Some([low, high]) = source.valid_range.filter(|[low, high]| low.is_nan() || high.is_nan() || low > high) {
        return Err(data_error(
            format!("{name}: valid_range [{low}, {high}] holds no value"),
            "Give the smallest and the largest valid unscaled value, in this order.",
        ));
    }
    let grid = grid_of(first);
    for (raster, path) in rasters.iter().zip(&source.paths).skip(1) {
        let other = grid_of(raster);
        if (other.rows, other.cols) != (grid.rows, grid.cols) || !crate::align::transforms_agree(&grid, &other) {
            return Err(data_error(
                format!(
                    "{path}: {} x {} pixels (columns x rows), but {name}, another band of the same image, has {} x {}{}",
                    other.cols,
                    other.rows,
                    grid.cols,
                    grid.rows,
                    if (other.rows, other.cols) == (grid.rows, grid.cols) { " at another place" } else { "" }
                ),
                "All bands of an image must be on one grid: resample the band, or name files of one resolution.",
            ));
        }
    }
    let numbers = selected_bands(source, rasters)?;
    let metadata = metadata_of(first);
    let mut bands = Vec::with_capacity(numbers.len());
    for (raster, number) in numbers {
        let path = source.paths.get(raster).map_or(name, String::as_str);
        let band =
            rasters[raster].rasterband(number).map_err(|e| Error::new(ErrorKind::Read, format!("{path}: band {number}: {e}")))?;
        let mut info = band_info(path, raster, number, &band)?;
        info.scale = source.scale.unwrap_or(info.scale);
        info.offset = source.offset.unwrap_or(info.offset);
        info.nodata.extend(source.nodata.filter(|v| !info.nodata.iter().any(|n| n == v || n.is_nan() && v.is_nan())));
        if info.data_type.starts_with('C') {
            return Err(data_error(
                format!("{path}: band {number} holds complex values ({})", info.data_type),
                "Give a raster of real values, for example the amplitude.",
            ));
        }
        bands.push(info);
    }
    let date = day_of_image(&source.paths, &metadata);
    Ok(ImageInfo { paths: source.paths.clone(), driver: first.driver().short_name(), grid, bands, date, metadata })
}

/// (raster, number) of the selected bands.
fn selected_bands(source: &ImageSource, rasters: &[Dataset]) -> Result<Vec<(usize, usize)>> {
    let name = source.name();
    let all: Vec<(usize, usize)> = match rasters {
        [one] => (1..=one.raster_count()).map(|n| (0, n)).collect(),
        many => (0..many.len()).map(|r| (r, 1)).collect(),
    };
    let Some(bands) = &source.bands else {
        let is_alpha = |&(r, n): &(usize, usize)| {
            rasters[r].rasterband(n).is_ok_and(|b| b.color_interpretation() == gdal::raster::ColorInterpretation::AlphaBand)
        };
        let colours: Vec<_> = all.iter().copied().filter(|b| !is_alpha(b)).collect();
        return Ok(if colours.is_empty() { all } else { colours });
    };
    if bands.is_empty() {
        return Err(Error::new(ErrorKind::Data, format!("{name}: the list of bands is empty"))
            .with_hint("Name at least one band, or leave the list out to use all."));
    }
    let what = if rasters.len() == 1 { "band" } else { "file" };
    bands
        .iter()
        .map(|&b| {
            b.checked_sub(1).and_then(|i| all.get(i)).copied().ok_or_else(|| {
                let s = if all.len() == 1 { "" } else { "s" };
                Error::new(ErrorKind::Data, format!("{name}: band {b} was asked for, but there are {} {what}{s}", all.len()))
                    .with_hint(format!("Choose bands from 1 to {}.", all.len()))
            })
        })
        .collect()
}

fn grid_of(dataset: &Dataset) -> Grid {
    let (cols, rows) = dataset.raster_size();
    let crs = Some(dataset.projection()).filter(|wkt| !wkt.trim().is_empty());
    let transform = dataset.geo_transform().ok().filter(|t| {
        let is_default = *t == [0.0, 1.0, 0.0, 0.0, 0.0, 1.0] || *t == [0.0, 1.0, 0.0, 0.0, 0.0, -1.0];
        let is_invertible = (t[1] * t[5] - t[2] * t[4]).abs() > 0.0 && t.iter().all(|v| v.is_finite());
        is_invertible && !(is_default && crs.is_none())
    });
    let crs = crs.filter(|_| transform.is_some());
    Grid { rows, cols, transform, crs }
}

fn band_info(path: &str, raster: usize, number: usize, band: &RasterBand<'_>) -> Result<BandInfo> {
    let flags = band.mask_flags().map_err(|e| Error::new(ErrorKind::Read, format!("{path}: band {number}: {e}")))?;
    let description = band.description().unwrap_or_default();
    let metadata = metadata_of(band);
    let imagery = domain_of(band, "IMAGERY");
    let (block_cols, block_rows) = band.block_size();
    let wavelength_um = wavelength_um(&description, metadata.iter().chain(&imagery), path);
    let finite = |v: Option<f64>, default: f64| v.filter(|v| v.is_finite()).unwrap_or(default);
    Ok(BandInfo {
        raster,
        number,
        description,
        data_type: type_name(band),
        nodata: band.no_data_value().into_iter().collect(),
        scale: Some(finite(band.scale(), 1.0)).filter(|s| *s != 0.0).unwrap_or(1.0),
        offset: finite(band.offset(), 0.0),
        has_mask: !flags.is_all_valid() && (flags.is_per_dataset() || flags.is_alpha() || !flags.is_nodata()),
        color: band.color_interpretation().name(),
        wavelength_um,
        unit: band.unit(),
        block: (block_rows.max(1), block_cols.max(1)),
        metadata,
    })
}

/// GDAL's name of the stored type. The crate's own enumeration does not know complex types.
fn type_name(band: &RasterBand<'_>) -> String {
    // SAFETY: the band is alive; GDAL's names are static strings that end in NUL.
    unsafe {
        let name = gdal_sys::GDALGetDataTypeName(gdal_sys::GDALGetRasterDataType(band.c_rasterband()));
        if name.is_null() {
            return "Unknown".into();
        }
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

fn metadata_of(object: &impl Metadata) -> Vec<(String, String)> {
    domain_of(object, "")
}

fn domain_of(object: &impl Metadata, domain: &str) -> Vec<(String, String)> {
    let lines = object.metadata_domain(domain).unwrap_or_default();
    lines.iter().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_string(), v.to_string())).collect()
}
