//! Writing a prediction as a GeoTIFF or COG that looks like the fine image.
//!
//! ```text
//! write(region) ──> whole blocks, scaled and rounded ──> hidden temporary beside the target ──> finish: rename
//!                                                                                          └──> (COG) copied first
//! ```
//!
//! Stored value = (value - offset) / scale, rounded to nearest and saturated to the type. A valid value that would be
//! stored as the nodata value is stored next to it instead. An image without a nodata value gets one that its type can
//! spare: NaN for floating point, the largest value for unsigned and -9999 for signed integers.
//!
//! Whole blocks are handed to GDAL past its block cache: each is compressed once, in this thread's call, where an error
//! such as a full disk is seen; a cached block would be written whenever another thread needs the room.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void, CStr, CString};

use gdal::cpl::CslStringList;
use gdal::Dataset;
use gdal_sys::{CPLErr, GDALDataType};
use ndarray::{s, Array3, ArrayView2, ArrayView3};
use stfusion_core::source::{Format, OutputOptions};
use stfusion_core::{Error, ErrorKind, Grid, Region, Result};

use crate::dataset::{open_raster, ImageInfo};
use crate::errors::Capture;
use crate::output::{check_output, exists, rename, temporary_beside, unlink, write_error};
use crate::stored::{nodata_fits, stored_bytes, type_by_name, Buffer, StoredType};

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
    /// Floating-point output of an integer image is unscaled, since nothing is gained by a scale.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for an unknown type or a nodata value that the type cannot hold.
    pub fn like(fine: &ImageInfo, options: &OutputOptions) -> Result<(OutputSpec, Vec<String>)> {
        let mut warnings = Vec::new();
        let own = widest_type(fine);
        let name = options.data_type.as_deref().unwrap_or(own);
        let data_type = type_by_name(name)?;
        let unscaled = options.data_type.is_some() && data_type.is_float() && !type_by_name(own)?.is_float();
        let bands: Vec<BandSpec> = fine
            .bands
            .iter()
            .map(|b| BandSpec {
                description: b.description.clone(),
                scale: if unscaled { 1.0 } else { b.scale },
                offset: if unscaled { 0.0 } else { b.offset },
                color: b.color.clone(),
                unit: b.unit.clone(),
                metadata: b.metadata.iter().filter(|(k, _)| !k.starts_with("STATISTICS_")).cloned().collect(),
            })
            .collect();
        if !data_type.is_float() && type_by_name(own)?.is_float() && bands.iter().all(|b| b.scale == 1.0) {
            warnings.push(format!(
                "The output's type {} stores whole numbers, but {} is {own} without a scale: values are rounded to whole units",
                data_type.name(),
                fine.name()
            ));
        }
        let inherited = fine.bands.first().and_then(|b| b.nodata.first().copied());
        let nodata = match options.nodata {
            Some(v) if nodata_fits(data_type, v) => v,
            Some(v) => {
                return Err(Error::new(
                    ErrorKind::Parameter,
                    format!("The nodata value {v} does not fit the output's type {}", data_type.name()),
                )
                .with_hint(format!(
                    "Use a value that {} can store, for example {}.",
                    data_type.name(),
                    data_type.spare_value()
                )))
            }
            None => inherited.filter(|v| nodata_fits(data_type, *v)).unwrap_or_else(|| data_type.spare_value()),
        };
        let spec = OutputSpec {
            grid: fine.grid.clone(),
            bands,
            data_type: data_type.name().to_string(),
            nodata,
            metadata: Vec::new(),
            format: options.format.unwrap_or(Format::GTiff),
            creation_options: options.creation_options.clone(),
            overwrite: options.overwrite,
            threads: 1,
        };
        Ok((spec, warnings))
    }

    /// The values of a part of band `band` (counted from 0) as a file would hold them, row by row.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for an unknown type.
    pub fn stored(&self, band: usize, values: ArrayView2<'_, f32>) -> Result<Buffer> {
        let band = self.bands.get(band).ok_or_else(|| Error::internal("a band that the output has not"))?;
        Ok(stored_bytes(type_by_name(&self.data_type)?, values, values.dim(), band.scale, band.offset, self.nodata))
    }

    /// Bytes of the stored values of one pixel, all bands together.
    pub fn bytes_per_px(&self) -> usize {
        self.bands.len() * type_by_name(&self.data_type).map_or(std::mem::size_of::<f64>(), StoredType::bytes)
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

/// The type that holds the values of all bands: theirs when they agree and outputs can have it.
fn widest_type(fine: &ImageInfo) -> &str {
    let mut types = fine.bands.iter().map(|b| b.data_type.as_str());
    let first = types.next().unwrap_or("Float32");
    match first {
        _ if types.any(|t| t != first) => "Float32",
        "Int8" => "Int16",
        other if type_by_name(other).is_ok() => other,
        _ => "Float64",
    }
}

/// An output being written. Dropped before [`Writer::finish`] it removes its temporary and leaves nothing.
pub struct Writer {
    path: String,
    // Before the temporary, so that it is closed before that is removed.
    dataset: Open,
    temporary: Temporary,
    data_type: StoredType,
    spec: OutputSpec,
    block: (usize, usize),
    /// Blocks of which only a part has been written, by their (row, col) among the blocks.
    partial: HashMap<(usize, usize), Partial>,
    failed: bool,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("path", &self.path).field("temporary", &self.temporary.0).finish_non_exhaustive()
    }
}

/// A dataset being written. When it goes before it was taken, nobody wants to know what cannot be flushed.
struct Open(Option<Dataset>);

impl Drop for Open {
    fn drop(&mut self) {
        let _capture = Capture::start();
        self.0 = None;
    }
}

#[derive(Debug)]
struct Partial {
    values: Array3<f32>,
    written: Vec<bool>,
    missing: usize,
}

/// A file that is removed, with GDAL's file beside it, when this value goes.
#[derive(Debug)]
struct Temporary(String);

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            unlink(&self.0);
            unlink(&format!("{}.aux.xml", self.0));
        }
    }
}

/// An output that is complete but for its name. Dropped before [`Complete::publish`] it leaves nothing.
#[derive(Debug)]
pub struct Complete {
    path: String,
    file: Temporary,
    overwrite: bool,
}

impl Complete {
    /// Gives the file its name.
    ///
    /// # Errors
    /// [`ErrorKind::Write`]; [`ErrorKind::Exists`] when a file of that name has appeared meanwhile and overwriting was not
    /// asked for.
    pub fn publish(self) -> Result<()> {
        let replaces = exists(&self.path);
        if replaces && !self.overwrite {
            return check_output(&self.path, false);
        }
        rename(&self.file.0, &self.path)?;
        if replaces {
            // Statistics, overviews and masks of the file that was replaced.
            [".aux.xml", ".ovr", ".msk"].iter().for_each(|extension| unlink(&format!("{}{extension}", self.path)));
        }
        Ok(())
    }
}

impl Writer {
    /// Creates the temporary beside `path`.
    ///
    /// # Errors
    /// Those of [`crate::check_output`]; [`ErrorKind::Parameter`] for a creation option that is not `KEY=VALUE`;
    /// [`ErrorKind::Write`] when GDAL cannot create it.
    pub fn create(path: &str, spec: &OutputSpec) -> Result<Writer> {
        check_output(path, spec.overwrite)?;
        let data_type = type_by_name(&spec.data_type)?;
        let user = parsed_options(&spec.creation_options)?;
        let base = base_options(data_type, spec.threads);
        let options = match spec.format {
            Format::GTiff => merged(base, &user),
            Format::Cog => base,
        };
        check_options(spec.format, &options, spec.threads, &user)?;
        let temporary = Temporary(temporary_beside(path, "tmp.tif"));
        let capture = Capture::start();
        let dataset = create_dataset(&temporary.0, spec, data_type, &options)
            .ok_or_else(|| write_error(path, &capture.text().unwrap_or_else(|| "GDAL cannot create it".into())))?;
        describe_output(&dataset, spec);
        if let Some(reason) = capture.text() {
            return Err(write_error(path, &reason));
        }
        let (block_cols, block_rows) = dataset.rasterband(1).map_or((256, 256), |b| b.block_size());
        Ok(Writer {
            path: path.to_string(),
            temporary,
            dataset: Open(Some(dataset)),
            data_type,
            spec: spec.clone(),
            block: (block_rows.max(1), block_cols.max(1)),
            partial: HashMap::new(),
            failed: false,
        })
    }

    /// Rows and columns of the blocks it is stored in: regions along them are written fastest.
    pub fn block(&self) -> (usize, usize) {
        self.block
    }

    /// Writes the part `region` of all bands: unscaled values, `NaN` where invalid. Every pixel is to be written once.
    ///
    /// # Errors
    /// [`ErrorKind::Write`], for example when the disk is full.
    pub fn write(&mut self, region: Region, image: ArrayView3<'_, f32>) -> Result<()> {
        let (rows, cols) = (self.spec.grid.rows, self.spec.grid.cols);
        let fits = region.row + region.rows <= rows && region.col + region.cols <= cols;
        if !fits || image.dim() != (self.spec.bands.len(), region.rows, region.cols) {
            return Err(Error::internal(format!("{region:?} of {:?} into {rows} x {cols}", image.dim())).at(&self.path));
        }
        if region.pixels() == 0 {
            return Ok(());
        }
        let (bh, bw) = self.block;
        let block_rows = region.row / bh..=(region.row + region.rows - 1) / bh;
        for j in block_rows {
            for i in region.col / bw..=(region.col + region.cols - 1) / bw {
                let block = self.block_region(j, i);
                let (r0, r1) = (block.row.max(region.row), (block.row + block.rows).min(region.row + region.rows));
                let (c0, c1) = (block.col.max(region.col), (block.col + block.cols).min(region.col + region.cols));
                let part = image.slice(s![.., r0 - region.row..r1 - region.row, c0 - region.col..c1 - region.col]);
                if (r1 - r0, c1 - c0) == (block.rows, block.cols) {
                    self.write_block(j, i, part)?;
                } else {
                    self.merge((j, i), Region::new(r0 - block.row, c0 - block.col, r1 - r0, c1 - c0), part)?;
                }
            }
        }
        Ok(())
    }

    /// Completes the file and gives it its name: [`Writer::complete`], then [`Complete::publish`].
    ///
    /// # Errors
    /// Those of both.
    pub fn finish(self, progress: &mut dyn FnMut(f64) -> bool) -> Result<()> {
        self.complete(progress)?.publish()
    }

    /// Completes the file under its temporary name. `progress` is told the finished fraction and answers whether to go on.
    ///
    /// # Errors
    /// [`ErrorKind::Write`]; [`ErrorKind::Cancelled`] when `progress` answers false.
    pub fn complete(mut self, progress: &mut dyn FnMut(f64) -> bool) -> Result<Complete> {
        if !progress(0.0) {
            return Err(Error::cancelled());
        }
        let partial: Vec<(usize, usize)> = self.partial.keys().copied().collect();
        for (j, i) in partial {
            if let Some(part) = self.partial.remove(&(j, i)) {
                self.write_block(j, i, part.values.view())?;
            }
        }
        if self.failed {
            return Err(write_error(&self.path, "an earlier part could not be written"));
        }
        let dataset = self.dataset.0.take().ok_or_else(|| Error::internal("finished twice").at(&self.path))?;
        self.close(dataset)?;
        let copy = match self.spec.format {
            Format::GTiff => None,
            Format::Cog => Some(self.copy_as_cog(progress)?),
        };
        if !progress(1.0) {
            return Err(Error::cancelled());
        }
        let file = copy.unwrap_or_else(|| std::mem::replace(&mut self.temporary, Temporary(String::new())));
        Ok(Complete { file, path: self.path.clone(), overwrite: self.spec.overwrite })
    }

    fn block_region(&self, j: usize, i: usize) -> Region {
        let (bh, bw) = self.block;
        let (rows, cols) = (self.spec.grid.rows, self.spec.grid.cols);
        Region::new(j * bh, i * bw, bh.min(rows - j * bh), bw.min(cols - i * bw))
    }

    fn merge(&mut self, at: (usize, usize), place: Region, values: ArrayView3<'_, f32>) -> Result<()> {
        let block = self.block_region(at.0, at.1);
        let bands = self.spec.bands.len();
        let part = self.partial.entry(at).or_insert_with(|| Partial {
            values: Array3::from_elem((bands, block.rows, block.cols), f32::NAN),
            written: vec![false; block.pixels()],
            missing: block.pixels(),
        });
        part.values.slice_mut(s![.., place.row..place.row + place.rows, place.col..place.col + place.cols]).assign(&values);
        for row in place.row..place.row + place.rows {
            for written in &mut part.written[row * block.cols + place.col..row * block.cols + place.col + place.cols] {
                part.missing -= usize::from(!*written);
                *written = true;
            }
        }
        if part.missing == 0 {
            if let Some(part) = self.partial.remove(&at) {
                return self.write_block(at.0, at.1, part.values.view());
            }
        }
        Ok(())
    }

    fn write_block(&mut self, j: usize, i: usize, values: ArrayView3<'_, f32>) -> Result<()> {
        if self.failed {
            return Err(write_error(&self.path, "an earlier part could not be written"));
        }
        let Some(dataset) = &self.dataset.0 else { return Err(Error::internal("written after the end").at(&self.path)) };
        let capture = Capture::start();
        let at = |n: usize| c_int::try_from(n).map_err(|_| Error::internal("a raster larger than GDAL allows"));
        for (k, (values, band)) in values.outer_iter().zip(&self.spec.bands).enumerate() {
            let mut bytes = stored_bytes(self.data_type, values, self.block, band.scale, band.offset, self.spec.nodata);
            // SAFETY: band k + 1 exists; the buffer is aligned for and holds a whole block of the band's type.
            let result = unsafe {
                let handle = gdal_sys::GDALGetRasterBand(dataset.c_dataset(), at(k + 1)?);
                gdal_sys::GDALWriteBlock(handle, at(i)?, at(j)?, bytes.as_mut_ptr().cast())
            };
            if result != CPLErr::CE_None || capture.failed() {
                self.failed = true;
                return Err(write_error(&self.path, &capture.reason()));
            }
        }
        Ok(())
    }

    /// Flushes and closes. GDAL reports what goes wrong here as messages alone.
    fn close(&self, dataset: Dataset) -> Result<()> {
        let capture = Capture::start();
        // SAFETY: the handle is open and used by this thread alone.
        unsafe { gdal_sys::GDALFlushCache(dataset.c_dataset()) };
        let closed = dataset.close();
        match (capture.text(), closed) {
            (None, Ok(())) => Ok(()),
            (reason, _) => Err(write_error(&self.path, &reason.unwrap_or_else(|| "GDAL gives no reason".into()))),
        }
    }

    fn copy_as_cog(&self, progress: &mut dyn FnMut(f64) -> bool) -> Result<Temporary> {
        let user = parsed_options(&self.spec.creation_options)?;
        let options = merged(cog_options(self.spec.threads), &user);
        let source = open_raster(&self.temporary.0)?;
        let copy = Temporary(temporary_beside(&self.path, "cog.tif"));
        let capture = Capture::start();
        let fail = |reason: String| write_error(&self.path, &reason);
        let (driver, name, list) = arguments(c"COG", &copy.0, &options).map_err(fail)?;
        let mut state = CopyProgress { progress, stopped: false };
        // SAFETY: the driver, the name, the source and the options are alive during the call, and so is the state that the
        // callback uses on this thread.
        let handle = unsafe {
            gdal_sys::GDALCreateCopy(
                driver,
                name.as_ptr(),
                source.c_dataset(),
                0,
                list.as_ptr(),
                Some(copy_progress),
                (&raw mut state).cast::<c_void>(),
            )
        };
        let stopped = state.stopped;
        if !handle.is_null() {
            // SAFETY: the handle was just returned and is owned here.
            let closed = unsafe { Dataset::from_c_dataset(handle) }.close();
            closed.map_err(|e| fail(e.to_string()))?;
        }
        if stopped {
            return Err(Error::cancelled());
        }
        if handle.is_null() || capture.failed() {
            return Err(fail(capture.reason()));
        }
        Ok(copy)
    }
}

struct CopyProgress<'a> {
    progress: &'a mut dyn FnMut(f64) -> bool,
    stopped: bool,
}

unsafe extern "C" fn copy_progress(fraction: f64, _message: *const c_char, state: *mut c_void) -> c_int {
    // SAFETY: GDAL hands back the pointer that `copy_as_cog` passed, on the thread that passed it.
    let Some(state) = (unsafe { state.cast::<CopyProgress<'_>>().as_mut() }) else { return 0 };
    let progress = std::panic::AssertUnwindSafe(|| (state.progress)(fraction.clamp(0.0, 1.0)));
    let goes_on = std::panic::catch_unwind(progress).unwrap_or(false);
    state.stopped |= !goes_on;
    c_int::from(goes_on)
}

type Options = Vec<(String, String)>;

fn pairs(list: &[(&str, &str)]) -> Options {
    list.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect()
}

fn base_options(data_type: StoredType, threads: usize) -> Options {
    let mut options = pairs(&[
        ("TILED", "YES"),
        ("BLOCKXSIZE", "256"),
        ("BLOCKYSIZE", "256"),
        ("INTERLEAVE", "BAND"),
        ("COMPRESS", "DEFLATE"),
        ("ZLEVEL", "1"),
        ("PREDICTOR", if data_type.is_float() { "3" } else { "2" }),
        ("BIGTIFF", "IF_SAFER"),
    ]);
    options.push(("NUM_THREADS".into(), threads.max(1).to_string()));
    options
}

fn cog_options(threads: usize) -> Options {
    let mut options = pairs(&[
        ("COMPRESS", "DEFLATE"),
        ("LEVEL", "1"),
        ("PREDICTOR", "YES"),
        ("BIGTIFF", "IF_SAFER"),
        ("RESAMPLING", "AVERAGE"),
    ]);
    options.push(("NUM_THREADS".into(), threads.max(1).to_string()));
    options
}

fn parsed_options(list: &[String]) -> Result<Options> {
    let malformed = |text: &str| {
        Error::new(ErrorKind::Parameter, format!("The creation option {text:?} is not of the form KEY=VALUE"))
            .with_hint("Write GDAL's creation options as COMPRESS=ZSTD, for example.")
    };
    list.iter()
        .map(|text| {
            let (key, value) = text.split_once('=').ok_or_else(|| malformed(text))?;
            let plain = !key.is_empty()
                && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !value.contains(['\n', '\r', '\0']);
            if plain {
                Ok((key.to_ascii_uppercase(), value.to_string()))
            } else {
                Err(malformed(text))
            }
        })
        .collect()
}

/// The defaults under the user's options. Another compression takes its own level and no predictor unless it knows one.
fn merged(mut defaults: Options, user: &Options) -> Options {
    if let Some((_, compression)) = user.iter().find(|(k, _)| k == "COMPRESS") {
        let compression = compression.to_ascii_uppercase();
        let knows_predictor = matches!(compression.as_str(), "DEFLATE" | "ZSTD" | "LZW");
        defaults.retain(|(k, _)| {
            (k != "PREDICTOR" || knows_predictor) && (k != "ZLEVEL" && k != "LEVEL" || compression == "DEFLATE")
        });
    }
    if user.iter().any(|(k, v)| k == "TILED" && matches!(v.to_ascii_uppercase().as_str(), "NO" | "FALSE" | "OFF" | "0")) {
        defaults.retain(|(k, _)| k != "BLOCKXSIZE" && k != "BLOCKYSIZE");
    }
    defaults.retain(|(k, _)| user.iter().all(|(u, _)| u != k));
    defaults.extend(user.iter().cloned());
    defaults
}

/// Fails when GDAL does not know one of the options, or its value.
fn check_options(format: Format, options: &Options, threads: usize, user: &Options) -> Result<()> {
    let (driver, options) = match format {
        Format::GTiff => (c"GTiff", options.clone()),
        Format::Cog => (c"COG", merged(cog_options(threads), user)),
    };
    let capture = Capture::start();
    let (handle, _, list) = arguments(driver, "", &options).map_err(|e| Error::new(ErrorKind::Unsupported, e))?;
    // SAFETY: the driver and the list are alive during the call.
    if unsafe { gdal_sys::GDALValidateCreationOptions(handle, list.as_ptr()) } != 0 {
        return Ok(());
    }
    let reason = capture.warning().or_else(|| capture.text()).unwrap_or_else(|| "GDAL gives no reason".into());
    let format = driver.to_string_lossy();
    Err(Error::new(ErrorKind::Parameter, format!("A creation option of the output is unusable: {reason}"))
        .with_hint(format!("gdalinfo --format {format} lists the creation options of {format} and their values.")))
}

type Arguments = (gdal_sys::GDALDriverH, CString, CslStringList);

fn arguments(driver: &CStr, name: &str, options: &Options) -> Result<Arguments, String> {
    let text = |e: gdal::errors::GdalError| e.to_string();
    let manager = gdal::DriverManager::get_driver_by_name(driver.to_str().unwrap_or_default()).map_err(text)?;
    let mut list = CslStringList::new();
    for (key, value) in options {
        list.set_name_value(key, value).map_err(text)?;
    }
    let name = CString::new(name).map_err(|_| "the name holds a NUL character".to_string())?;
    // SAFETY: drivers live as long as the program.
    Ok((unsafe { manager.c_driver() }, name, list))
}

fn create_dataset(name: &str, spec: &OutputSpec, data_type: StoredType, options: &Options) -> Option<Dataset> {
    let (driver, name, list) = arguments(c"GTiff", name, options).ok()?;
    let size = |n: usize| c_int::try_from(n).ok();
    let code: GDALDataType::Type = data_type.code();
    // SAFETY: the driver, the name and the options are alive during the call.
    let handle = unsafe {
        gdal_sys::GDALCreate(
            driver,
            name.as_ptr(),
            size(spec.grid.cols)?,
            size(spec.grid.rows)?,
            size(spec.bands.len())?,
            code,
            list.as_ptr(),
        )
    };
    // SAFETY: the handle was just returned and is owned here.
    (!handle.is_null()).then(|| unsafe { Dataset::from_c_dataset(handle) })
}

/// Everything but the pixels. What fails here is reported by GDAL to the capture of the caller.
fn describe_output(dataset: &Dataset, spec: &OutputSpec) {
    let text = |s: &str| CString::new(s.replace('\0', " ")).unwrap_or_default();
    let set_items = |object: gdal_sys::GDALMajorObjectH, items: &[(String, String)]| {
        for (key, value) in items {
            // SAFETY: the object is alive; all strings end in NUL; a null domain is the default one.
            unsafe { gdal_sys::GDALSetMetadataItem(object, text(key).as_ptr(), text(value).as_ptr(), std::ptr::null()) };
        }
    };
    let handle = dataset.c_dataset();
    // SAFETY: the dataset and its bands are alive; strings end in NUL; the transform has six numbers.
    unsafe {
        if let Some(mut transform) = spec.grid.transform {
            gdal_sys::GDALSetGeoTransform(handle, transform.as_mut_ptr());
        }
        if let Some(crs) = &spec.grid.crs {
            gdal_sys::GDALSetProjection(handle, text(crs).as_ptr());
        }
        set_items(handle, &spec.metadata);
        for (k, band) in spec.bands.iter().enumerate() {
            let Ok(number) = c_int::try_from(k + 1) else { return };
            let target = gdal_sys::GDALGetRasterBand(handle, number);
            let color = gdal_sys::GDALGetColorInterpretationByName(text(&band.color).as_ptr());
            if color != gdal_sys::GDALColorInterp::GCI_PaletteIndex {
                gdal_sys::GDALSetRasterColorInterpretation(target, color);
            }
            if !band.description.is_empty() {
                gdal_sys::GDALSetDescription(target, text(&band.description).as_ptr());
            }
            if band.scale != 1.0 || band.offset != 0.0 {
                gdal_sys::GDALSetRasterScale(target, band.scale);
                gdal_sys::GDALSetRasterOffset(target, band.offset);
            }
            if !band.unit.is_empty() {
                gdal_sys::GDALSetRasterUnitType(target, text(&band.unit).as_ptr());
            }
            gdal_sys::GDALSetRasterNoDataValue(target, spec.nodata);
            set_items(target, &band.metadata);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_compression_takes_no_level_of_the_default() {
        let user = parsed_options(&["compress=LERC".into(), "BLOCKXSIZE=128".into()]).unwrap();
        let options = merged(base_options(StoredType::I16, 2), &user);
        let value = |key: &str| options.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
        assert_eq!((value("COMPRESS"), value("ZLEVEL"), value("PREDICTOR")), (vec!["LERC"], vec![], vec![]));
        assert_eq!((value("BLOCKXSIZE"), value("BLOCKYSIZE"), value("NUM_THREADS")), (vec!["128"], vec!["256"], vec!["2"]));
        let error = parsed_options(&["COMPRESS".into()]).unwrap_err();
        assert!(error.message().contains("\"COMPRESS\" is not of the form KEY=VALUE"));
    }
}
