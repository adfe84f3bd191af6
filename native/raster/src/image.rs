//! One image, read from any thread.

use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;

use gdal::Dataset;
use gdal_sys::{CPLErr, GDALDataType, GDALRWFlag};
use ndarray::{s, Array3, ArrayViewMut3, Axis};
use stfusion_core::source::ImageSource;
use stfusion_core::{Error, ErrorKind, Region, Result};

use crate::dataset::{describe_rasters, open_raster, BandInfo, ImageInfo};
use crate::errors::Capture;

/// The value that MODIS land products store where they have none.
const MODIS_FILL: f32 = -28672.0;

/// Pixels read at once when values, masks or types need a buffer of their own.
const CHUNK_PIXELS: usize = 1 << 20;

/// An open image. Every thread that reads has its own GDAL handles, which live as long as the image: a virtual raster
/// shares its sources among the handles that one thread opens, so handles do not change threads.
pub struct Image {
    info: ImageInfo,
    /// Rows and columns of the rasters, where the image is a reduced one.
    unreduced: Option<(usize, usize)>,
    valid_range: Option<[f32; 2]>,
    handles: Mutex<HashMap<ThreadId, Vec<Dataset>>>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _capture = Capture::start();
        self.handles.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Image {
    /// Opens and describes an image.
    ///
    /// # Errors
    /// Those of [`crate::describe`].
    pub fn open(source: &ImageSource) -> Result<Image> {
        let rasters = source.paths.iter().map(|p| open_raster(p)).collect::<Result<Vec<_>>>()?;
        let info = describe_rasters(source, &rasters)?;
        let handles = Mutex::new(HashMap::from([(std::thread::current().id(), rasters)]));
        Ok(Image { info, unreduced: None, valid_range: source.valid_range.map(|r| r.map(|v| v as f32)), handles })
    }

    /// The same image with pixels `factor` times as large. Each is one pixel of the raster, or of an overview that it has:
    /// values stay those that were measured, and masks stay masks.
    pub(crate) fn reduced(&self, factor: usize) -> Image {
        let grid = &self.info.grid;
        let mut info = ImageInfo { grid: grid.reduced(factor), ..self.info.clone() };
        for band in &mut info.bands {
            band.block = ((band.block.0 / factor).max(1), (band.block.1 / factor).max(1));
        }
        let unreduced = (factor > 1).then_some(self.unreduced.unwrap_or((grid.rows, grid.cols)));
        Image { info, unreduced, valid_range: self.valid_range, handles: Mutex::new(HashMap::new()) }
    }

    /// What it is.
    pub fn info(&self) -> &ImageInfo {
        &self.info
    }

    /// Keeps the bands with these indices, counted from 0, in this order.
    pub(crate) fn keep_bands(&mut self, indices: &[usize]) {
        self.info.bands = indices.iter().filter_map(|&i| self.info.bands.get(i).cloned()).collect();
    }

    /// Fills `out` (band, row, col) with the part `region` of all bands: unscaled values, `NaN` where invalid.
    ///
    /// # Errors
    /// [`ErrorKind::Read`] when GDAL cannot read it; [`ErrorKind::Data`] when it holds MODIS's fill value and declares no
    /// nodata.
    pub fn read(&self, region: Region, mut out: ArrayViewMut3<'_, f32>) -> Result<()> {
        self.check_region(region, out.dim())?;
        self.with_rasters(|rasters| {
            let rows_at_once = self.rows_at_once(region);
            for part in region.blocks(rows_at_once, region.cols) {
                let first = part.row - region.row;
                self.read_part(rasters, part, out.slice_mut(s![.., first..first + part.rows, ..]))?;
            }
            Ok(())
        })
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

    /// The stored values of band `index` (counted from 0) in `region`, row by row, with nothing applied.
    pub(crate) fn read_stored(&self, index: usize, region: Region) -> Result<Vec<f64>> {
        let band = self.info.bands.get(index).ok_or_else(|| Error::internal("a band that the image has not"))?;
        let mut values = vec![0f64; region.pixels()];
        self.with_rasters(|rasters| {
            self.raster_io(rasters, band.raster, &[band.number], region, GDALDataType::GDT_Float64, &mut values)
        })?;
        Ok(values)
    }

    fn check_region(&self, region: Region, shape: (usize, usize, usize)) -> Result<()> {
        let grid = &self.info.grid;
        let fits = region.row + region.rows <= grid.rows && region.col + region.cols <= grid.cols;
        if fits && shape == (self.info.bands.len(), region.rows, region.cols) {
            return Ok(());
        }
        Err(Error::internal(format!("{region:?} into {shape:?} of {} x {}", grid.rows, grid.cols)).at(self.info.name()))
    }

    fn rows_at_once(&self, region: Region) -> usize {
        let block_rows = self.info.bands.first().map_or(1, |b| b.block.0).min(1024);
        (CHUNK_PIXELS / region.cols.max(1) / block_rows).max(1) * block_rows
    }

    /// Runs `f` with this thread's handles, opening them when it has none.
    fn with_rasters<T>(&self, f: impl FnOnce(&[Dataset]) -> Result<T>) -> Result<T> {
        let thread = std::thread::current().id();
        let mine = self.handles.lock().unwrap_or_else(PoisonError::into_inner).remove(&thread);
        let rasters = match mine {
            Some(rasters) => rasters,
            None => self.info.paths.iter().map(|p| open_raster(p)).collect::<Result<Vec<_>>>()?,
        };
        let result = f(&rasters);
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).insert(thread, rasters);
        result
    }

    fn read_part(&self, rasters: &[Dataset], region: Region, mut out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let mut stored: Vec<f32> = Vec::new();
        let mut first = 0;
        while first < self.info.bands.len() {
            let band = &self.info.bands[first];
            // Bands of one raster are read together: in pixel-interleaved files each block is then unpacked once.
            let wide = needs_double(&band.data_type);
            let together = if wide {
                1
            } else {
                self.info.bands[first..].iter().take_while(|b| b.raster == band.raster && !needs_double(&b.data_type)).count()
            };
            let numbers: Vec<usize> = self.info.bands[first..first + together].iter().map(|b| b.number).collect();
            if wide {
                let mut values = vec![0f64; region.pixels()];
                self.raster_io(rasters, band.raster, &numbers, region, GDALDataType::GDT_Float64, &mut values)?;
                let target = out.index_axis_mut(Axis(0), first);
                for (o, v) in target.into_iter().zip(values) {
                    *o = if band.nodata.iter().any(|&n| n == v || is_huge_twin(n, v)) {
                        f32::NAN
                    } else {
                        (v * band.scale + band.offset) as f32
                    };
                }
            } else {
                stored.resize(region.pixels() * together, 0.0);
                self.raster_io(rasters, band.raster, &numbers, region, GDALDataType::GDT_Float32, &mut stored)?;
                for (k, values) in stored.chunks_exact(region.pixels()).enumerate() {
                    let band = &self.info.bands[first + k];
                    self.check_fill(band, values)?;
                    let mut target = out.index_axis_mut(Axis(0), first + k);
                    for (row, values) in target.rows_mut().into_iter().zip(values.chunks_exact(region.cols)) {
                        unscale(band, values, row);
                    }
                }
            }
            for k in first..first + together {
                let target = out.index_axis_mut(Axis(0), k);
                self.invalidate(rasters, &self.info.bands[k], region, target)?;
            }
            first += together;
        }
        Ok(())
    }

    /// Sets what the mask band, the valid range or an infinity rules out to `NaN`.
    fn invalidate(
        &self,
        rasters: &[Dataset],
        band: &BandInfo,
        region: Region,
        mut values: ndarray::ArrayViewMut2<'_, f32>,
    ) -> Result<()> {
        if band.has_mask {
            let mask = self.read_mask(rasters, band, region)?;
            for (v, m) in values.iter_mut().zip(mask) {
                if m == 0 {
                    *v = f32::NAN;
                }
            }
        }
        match self.valid_range {
            Some([low, high]) => values.mapv_inplace(|v| if v >= low && v <= high { v } else { f32::NAN }),
            None => values.mapv_inplace(|v| if v.is_finite() { v } else { f32::NAN }),
        }
        Ok(())
    }

    /// Refuses MODIS's fill value in a band that declares no nodata: it would be fused as if it were a measurement.
    fn check_fill(&self, band: &BandInfo, stored: &[f32]) -> Result<()> {
        if !band.nodata.is_empty() || self.valid_range.is_some() || band.data_type != "Int16" || !stored.contains(&MODIS_FILL) {
            return Ok(());
        }
        let name = self.info.paths.get(band.raster).map_or("", String::as_str);
        Err(Error::new(
            ErrorKind::Data,
            format!("{name}: band {} holds -28672, the fill value of MODIS, but declares no nodata value", band.number),
        )
        .with_hint(
            "Give the image \"nodata\": -28672 in the job, or declare it in the file: gdal_edit.py -a_nodata -28672 FILE.",
        ))
    }

    fn raster_io<T>(
        &self,
        rasters: &[Dataset],
        raster: usize,
        numbers: &[usize],
        region: Region,
        data_type: GDALDataType::Type,
        buffer: &mut [T],
    ) -> Result<()> {
        let dataset = rasters.get(raster).ok_or_else(|| Error::internal("a raster that the image has not"))?;
        if region.pixels() == 0 {
            return Ok(());
        }
        if buffer.len() != region.pixels() * numbers.len() {
            return Err(Error::internal("a buffer that does not fit the region"));
        }
        let mut list = numbers.iter().map(|&n| c_int_of(n)).collect::<Result<Vec<c_int>>>()?;
        let mut window = self.window_of(region)?;
        let capture = Capture::start();
        // SAFETY: the buffer holds as many values of `data_type` as the region has pixels for every listed band, without gaps
        // (spacings of 0); the list is as long as said; no other thread uses this handle.
        let result = unsafe {
            gdal_sys::GDALDatasetRasterIOEx(
                dataset.c_dataset(),
                GDALRWFlag::GF_Read,
                window.x,
                window.y,
                window.width,
                window.height,
                buffer.as_mut_ptr().cast(),
                c_int_of(region.cols)?,
                c_int_of(region.rows)?,
                data_type,
                c_int_of(list.len())?,
                list.as_mut_ptr(),
                0,
                0,
                0,
                &raw mut window.exact,
            )
        };
        self.check_read(result, &capture, raster, region)
    }

    fn read_mask(&self, rasters: &[Dataset], band: &BandInfo, region: Region) -> Result<Vec<u8>> {
        let dataset = rasters.get(band.raster).ok_or_else(|| Error::internal("a raster that the image has not"))?;
        let mut window = self.window_of(region)?;
        let mut mask = vec![0u8; region.pixels()];
        let capture = Capture::start();
        // SAFETY: the band number was checked when the image was described; the buffer holds a byte for every pixel of the region.
        let result = unsafe {
            let handle = gdal_sys::GDALGetMaskBand(gdal_sys::GDALGetRasterBand(dataset.c_dataset(), c_int_of(band.number)?));
            gdal_sys::GDALRasterIOEx(
                handle,
                GDALRWFlag::GF_Read,
                window.x,
                window.y,
                window.width,
                window.height,
                mask.as_mut_ptr().cast(),
                c_int_of(region.cols)?,
                c_int_of(region.rows)?,
                GDALDataType::GDT_Byte,
                0,
                0,
                &raw mut window.exact,
            )
        };
        self.check_read(result, &capture, band.raster, region)?;
        Ok(mask)
    }

    /// The part of the rasters that a region of the image is.
    fn window_of(&self, region: Region) -> Result<RasterWindow> {
        let (rows, cols) = self.unreduced.unwrap_or((self.info.grid.rows, self.info.grid.cols));
        let (down, across) = (rows as f64 / self.info.grid.rows as f64, cols as f64 / self.info.grid.cols as f64);
        let along = |first: usize, length: usize, step: f64, end: usize| {
            let (from, to) = (first as f64 * step, (first + length) as f64 * step);
            let pixel = from.floor() as usize;
            (pixel, (to.ceil() as usize).min(end) - pixel, from, to - from)
        };
        let (y, height, from_row, exact_height) = along(region.row, region.rows, down, rows);
        let (x, width, from_col, exact_width) = along(region.col, region.cols, across, cols);
        // SAFETY: numbers, and pointers that may be null.
        let mut exact: gdal_sys::GDALRasterIOExtraArg = unsafe { std::mem::zeroed() };
        exact.nVersion = 1;
        exact.eResampleAlg = gdal_sys::GDALRIOResampleAlg::GRIORA_NearestNeighbour;
        exact.bFloatingPointWindowValidity = c_int::from(self.unreduced.is_some());
        (exact.dfXOff, exact.dfYOff, exact.dfXSize, exact.dfYSize) = (from_col, from_row, exact_width, exact_height);
        Ok(RasterWindow { x: c_int_of(x)?, y: c_int_of(y)?, width: c_int_of(width)?, height: c_int_of(height)?, exact })
    }

    fn check_read(&self, result: CPLErr::Type, capture: &Capture, raster: usize, region: Region) -> Result<()> {
        if result == CPLErr::CE_None {
            return Ok(());
        }
        let name = self.info.paths.get(raster).map_or("", String::as_str);
        let Region { row, col, rows, cols } = region;
        Err(Error::new(
            ErrorKind::Read,
            format!(
                "{name}: cannot be read at rows {row} to {}, columns {col} to {}: {}",
                row + rows - 1,
                col + cols - 1,
                capture.reason()
            ),
        )
        .with_hint("The file may be damaged or incomplete: copy or download it again."))
    }
}

fn c_int_of(n: usize) -> Result<c_int> {
    c_int::try_from(n).map_err(|_| Error::internal("a raster larger than GDAL allows"))
}

/// A rectangle of raster pixels, as GDAL's reading functions take it.
struct RasterWindow {
    x: c_int,
    y: c_int,
    width: c_int,
    height: c_int,
    exact: gdal_sys::GDALRasterIOExtraArg,
}

/// Whether single precision cannot hold every stored value.
fn needs_double(data_type: &str) -> bool {
    !matches!(data_type, "Byte" | "Int8" | "UInt16" | "Int16" | "Float32")
}

fn unscale(band: &BandInfo, stored: &[f32], out: ndarray::ArrayViewMut1<'_, f32>) {
    let (scale, offset) = (band.scale, band.offset);
    let as_is = scale == 1.0 && offset == 0.0;
    let unscaled = |v: f32| if as_is { v } else { (f64::from(v) * scale + offset) as f32 };
    let nodata: Vec<f32> = band.nodata.iter().map(|&v| v as f32).filter(|v| !v.is_nan()).collect();
    let values = out.into_iter().zip(stored);
    match nodata.as_slice() {
        [] => values.for_each(|(o, &v)| *o = unscaled(v)),
        [one] if one.abs() > 1e30 => {
            let n = f64::from(*one);
            values.for_each(|(o, &v)| *o = if is_huge_twin(n, f64::from(v)) { f32::NAN } else { unscaled(v) });
        }
        [one] => values.for_each(|(o, &v)| *o = if v == *one { f32::NAN } else { unscaled(v) }),
        many => values.for_each(|(o, &v)| *o = if many.contains(&v) { f32::NAN } else { unscaled(v) }),
    }
}

/// Whether `v` is the nodata value `n` up to the digits that files often drop from -3.4028235e38 and its like.
fn is_huge_twin(n: f64, v: f64) -> bool {
    n.abs() > 1e30 && (v - n).abs() <= 1e-5 * n.abs()
}
