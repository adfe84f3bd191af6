//! Reading and writing the caller's pixels: any type, any byte stride, no alignment, through raw pointers alone, or through
//! the caller's function and a buffer.

use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{ArrayView3, ArrayViewMut1, ArrayViewMut3};
use stfusion_core::{Error, ErrorKind, Region, Result};

use crate::ffi::argument;
use crate::image::{packed_strides, stf_dtype};

/// An image in the caller's memory whose description was checked.
#[derive(Debug, Clone)]
pub(crate) struct Pixels {
    pub(crate) data: *mut u8,
    pub(crate) dtype: stf_dtype,
    pub(crate) bands: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Bytes to the next band, row, col.
    pub(crate) strides: [isize; 3],
    pub(crate) nodata: Option<f64>,
    pub(crate) scale: f64,
    pub(crate) offset: f64,
    pub(crate) mask: Option<Mask>,
    /// First address, and the one after the last.
    pub(crate) span: (usize, usize),
    /// What is called for pixels that do not lie in memory.
    pub(crate) transfer: Option<Arc<Transfer>>,
}

/// The caller's function that moves pixels.
#[derive(Debug)]
pub(crate) struct Transfer {
    function: TransferFunction,
    user: *mut c_void,
    /// Taken during a call: the caller's file may not be made for several at a time.
    calling: Mutex<()>,
}

// SAFETY: the header says that the function is called from worker threads with this pointer, one call at a time.
unsafe impl Send for Transfer {}
// SAFETY: as above.
unsafe impl Sync for Transfer {}

type TransferFunction = unsafe extern "C" fn(usize, usize, usize, usize, *mut c_void, *mut c_void) -> c_int;

impl Transfer {
    pub(crate) fn new(function: TransferFunction, user: *mut c_void) -> Self {
        Transfer { function, user, calling: Mutex::new(()) }
    }

    /// Moves a rectangle; `pixels` holds as much.
    fn call(&self, region: Region, pixels: *mut c_void, kind: ErrorKind) -> Result<()> {
        let Region { row, col, rows, cols } = region;
        let _one = self.calling.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the caller's function, given what its type promises.
        if unsafe { (self.function)(row, col, rows, cols, pixels, self.user) } != 0 {
            return Ok(());
        }
        Err(Error::new(kind, format!("the transfer function failed at row {row}, column {col} ({rows} x {cols} pixels)"))
            .with_hint("Look at what the function met: it returned 0."))
    }
}

/// One byte per pixel, not 0 where the image is invalid.
#[derive(Debug, Clone)]
pub(crate) struct Mask {
    pub(crate) data: *const u8,
    pub(crate) row_stride: isize,
    pub(crate) col_stride: isize,
    pub(crate) span: (usize, usize),
}

// SAFETY: the memory is the caller's, who leaves it alone while a job runs; inputs are only read, and an output is
// written by one thread at a time and overlaps no input (`Pixels::check_output`).
unsafe impl Send for Pixels {}
// SAFETY: as above.
unsafe impl Sync for Pixels {}

/// A stored type.
trait Stored: Copy {
    const IS_FLOAT: bool;
    fn value(self) -> f64;
    /// The nearest stored value, saturated.
    fn nearest(value: f64) -> Self;
    /// The neighbour of a stored whole number, downwards unless there is none.
    fn beside(self) -> Self;
}

macro_rules! stored {
    (whole $($t:ty)*) => { $(impl Stored for $t {
        const IS_FLOAT: bool = false;
        #[inline(always)]
        fn value(self) -> f64 { f64::from(self) }
        #[inline(always)]
        fn nearest(value: f64) -> Self { value.round_ties_even() as $t }
        #[inline(always)]
        fn beside(self) -> Self { if self > <$t>::MIN { self - 1 } else { self + 1 } }
    })* };
    (float $($t:ty)*) => { $(impl Stored for $t {
        const IS_FLOAT: bool = true;
        #[inline(always)]
        fn value(self) -> f64 { f64::from(self) }
        #[inline(always)]
        fn nearest(value: f64) -> Self { value as $t }
        #[inline(always)]
        fn beside(self) -> Self { self.next_down() }
    })* };
}
stored!(whole u8 i8 u16 i16 u32 i32);
stored!(float f32 f64);

/// Calls a function that is generic over the stored type.
macro_rules! by_type {
    ($dtype:expr, $self:ident . $function:ident ( $($argument:expr),* )) => {
        match $dtype {
            stf_dtype::U8 => $self.$function::<u8>($($argument),*),
            stf_dtype::I8 => $self.$function::<i8>($($argument),*),
            stf_dtype::U16 => $self.$function::<u16>($($argument),*),
            stf_dtype::I16 => $self.$function::<i16>($($argument),*),
            stf_dtype::U32 => $self.$function::<u32>($($argument),*),
            stf_dtype::I32 => $self.$function::<i32>($($argument),*),
            stf_dtype::F32 => $self.$function::<f32>($($argument),*),
            stf_dtype::F64 => $self.$function::<f64>($($argument),*),
        }
    };
}

impl Pixels {
    /// (band, row, col).
    pub(crate) fn shape(&self) -> (usize, usize, usize) {
        (self.bands, self.rows, self.cols)
    }

    /// Fills `out` with the values of `region`, invalid ones `NaN`. Rows and columns of the region that the image does not
    /// have must not be asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Read`] when the caller's function fails.
    pub(crate) fn read(&self, region: Region, mut out: ArrayViewMut3<'_, f32>) -> Result<()> {
        debug_assert!(region.row + region.rows <= self.rows && region.col + region.cols <= self.cols);
        match &self.transfer {
            None => by_type!(self.dtype, self.read_as(region, &mut out)),
            Some(transfer) => {
                let mut buffer = self.buffer(region)?;
                let held = self.held(region, &mut buffer);
                transfer.call(region, held.data.cast(), ErrorKind::Read)?;
                by_type!(held.dtype, held.read_as(Region::whole(region.rows, region.cols), &mut out));
            }
        }
        if let Some(mask) = &self.mask {
            for row in 0..region.rows {
                for col in 0..region.cols {
                    if mask.is_set(region.row + row, region.col + col) {
                        out.slice_mut(ndarray::s![.., row, col]).fill(f32::NAN);
                    }
                }
            }
        }
        Ok(())
    }

    /// Memory for the pixels of a region, aligned for every type.
    fn buffer(&self, region: Region) -> Result<Vec<u64>> {
        let words = (self.bands * region.pixels() * self.dtype.bytes()).div_ceil(size_of::<u64>());
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(words).map_err(|_| {
            Error::new(ErrorKind::Memory, format!("no memory for {} x {} pixels", region.rows, region.cols))
                .with_hint("Lower the memory budget, so that tiles are smaller.")
        })?;
        buffer.resize(words, 0);
        Ok(buffer)
    }

    /// The pixels of a region alone, in a buffer of [`Pixels::buffer`].
    fn held(&self, region: Region, buffer: &mut [u64]) -> Pixels {
        let sizes = [self.bands, region.rows, region.cols];
        let strides = packed_strides([0; 3], sizes, self.dtype.bytes()).unwrap_or_default();
        let data = buffer.as_mut_ptr().cast();
        Pixels { data, rows: region.rows, cols: region.cols, strides, mask: None, transfer: None, ..self.clone() }
    }

    fn read_as<T: Stored>(&self, region: Region, out: &mut ArrayViewMut3<'_, f32>) {
        let nodata = self.stored_nodata::<T>();
        let plain = self.scale == 1.0 && self.offset == 0.0;
        for (band, mut plane) in out.outer_iter_mut().enumerate() {
            for (row, mut line) in plane.outer_iter_mut().enumerate() {
                let first = self.at(band, region.row + row, region.col);
                let stride = self.strides[2];
                if plain {
                    read_line::<T>(first, stride, nodata, &mut line, |v| v as f32);
                } else {
                    let (scale, offset) = (self.scale, self.offset);
                    read_line::<T>(first, stride, nodata, &mut line, |v| (v * scale + offset) as f32);
                }
            }
        }
    }

    /// Stores the values of `region`: rounded and saturated for whole numbers, nodata where `NaN`. A valid value that would
    /// be stored as nodata is stored beside it.
    ///
    /// # Errors
    /// [`ErrorKind::Write`] when the caller's function fails.
    pub(crate) fn write(&mut self, region: Region, image: ArrayView3<'_, f32>) -> Result<()> {
        debug_assert!(region.row + region.rows <= self.rows && region.col + region.cols <= self.cols);
        let Some(transfer) = &self.transfer else {
            by_type!(self.dtype, self.write_as(region, &image));
            return Ok(());
        };
        let mut buffer = self.buffer(region)?;
        let mut held = self.held(region, &mut buffer);
        by_type!(held.dtype, held.write_as(Region::whole(region.rows, region.cols), &image));
        transfer.call(region, held.data.cast(), ErrorKind::Write)
    }

    fn write_as<T: Stored>(&mut self, region: Region, image: &ArrayView3<'_, f32>) {
        let nodata = self.nodata.map(T::nearest);
        let invalid = nodata.unwrap_or_else(|| T::nearest(f64::NAN));
        for (band, plane) in image.outer_iter().enumerate() {
            for (row, line) in plane.outer_iter().enumerate() {
                let mut pixel = self.at(band, region.row + row, region.col).cast_mut();
                for &value in line {
                    let stored = if value.is_finite() {
                        let stored = T::nearest((f64::from(value) - self.offset) / self.scale);
                        if nodata.is_some_and(|n| n.value() == stored.value()) {
                            stored.beside()
                        } else {
                            stored
                        }
                    } else {
                        invalid
                    };
                    // SAFETY: the pixel lies inside the checked span of the caller's output, which nobody else uses.
                    unsafe { pixel.cast::<T>().write_unaligned(stored) };
                    pixel = pixel.wrapping_offset(self.strides[2]);
                }
            }
        }
    }

    /// The stored value that means nodata, if the type can hold it.
    fn stored_nodata<T: Stored>(&self) -> Option<f64> {
        let nodata = self.nodata?;
        let stored = T::nearest(nodata).value();
        // a nodata value of -3.4e38 in decimal must meet the nearest f32
        (T::IS_FLOAT || stored == nodata).then_some(stored)
    }

    fn at(&self, band: usize, row: usize, col: usize) -> *const u8 {
        // indices below the sizes cannot overflow: `address_span` checked the corners
        let offset = self.strides[0] * band as isize + self.strides[1] * row as isize + self.strides[2] * col as isize;
        self.data.wrapping_offset(offset).cast_const()
    }

    /// Fails unless the image can be written: no mask, nodata where it is needed, pixels apart, memory of its own.
    pub(crate) fn check_output(&self, name: &str, others: &[(String, (usize, usize))]) -> Result<()> {
        if self.mask.is_some() {
            return Err(
                argument(format!("{name}: an output takes no mask")).with_hint("Set mask to NULL; nodata marks what is invalid.")
            );
        }
        match self.nodata {
            None if !self.dtype.is_float() => {
                return Err(argument(format!("{name}: an output of whole numbers needs a nodata value"))
                    .with_hint("Set nodata and has_nodata: pixels that cannot be predicted get this value."));
            }
            Some(nodata) if !self.dtype.is_float() && !by_type!(self.dtype, self.holds(nodata)) => {
                return Err(argument(format!("{name}: nodata is {nodata}, which the type cannot hold"))
                    .with_hint("Set nodata to a value of the type."));
            }
            _ => {}
        }
        let mut axes: Vec<(usize, usize)> = self
            .strides
            .iter()
            .zip([self.bands, self.rows, self.cols])
            .filter(|&(_, size)| size > 1)
            .map(|(&stride, size)| (stride.unsigned_abs(), size))
            .collect();
        axes.sort_unstable();
        let mut extent = self.dtype.bytes();
        for (stride, size) in axes {
            if stride < extent {
                return Err(
                    argument(format!("{name}: its strides make pixels overlap")).with_hint("Give every pixel memory of its own.")
                );
            }
            extent += stride * (size - 1);
        }
        for (other, span) in others {
            if self.span.0 < span.1 && span.0 < self.span.1 {
                return Err(argument(format!("{name} overlaps {other} in memory"))
                    .with_hint("Give the output memory of its own, outside the span of every other image."));
            }
        }
        Ok(())
    }

    fn holds<T: Stored>(&self, value: f64) -> bool {
        T::nearest(value).value() == value
    }
}

impl Mask {
    fn is_set(&self, row: usize, col: usize) -> bool {
        let offset = self.row_stride * row as isize + self.col_stride * col as isize;
        // SAFETY: inside the checked span of the caller's mask, which is one byte per pixel.
        unsafe { *self.data.wrapping_offset(offset) != 0 }
    }
}

#[inline(always)]
fn read_line<T: Stored>(
    first: *const u8,
    stride: isize,
    nodata: Option<f64>,
    line: &mut ArrayViewMut1<'_, f32>,
    value: impl Fn(f64) -> f32,
) {
    // nothing equals NaN, so that one comparison serves both cases
    let nodata = nodata.unwrap_or(f64::NAN);
    let one = |pixel: *const u8| {
        // SAFETY: the pixel lies inside the checked span of the caller's image.
        let stored = unsafe { pixel.cast::<T>().read_unaligned() }.value();
        let value = value(stored);
        if stored == nodata || !value.is_finite() {
            f32::NAN
        } else {
            value
        }
    };
    match line.as_slice_mut() {
        Some(line) if stride == size_of::<T>() as isize => {
            for (k, out) in line.iter_mut().enumerate() {
                *out = one(first.wrapping_add(k * size_of::<T>()));
            }
        }
        _ => {
            let mut pixel = first;
            for out in line {
                *out = one(pixel);
                pixel = pixel.wrapping_offset(stride);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::stf_image;
    use ndarray::Array3;

    fn describe<T>(data: &mut [T], dtype: stf_dtype, shape: (usize, usize, usize)) -> stf_image {
        stf_image {
            struct_size: size_of::<stf_image>(),
            data: data.as_mut_ptr().cast(),
            dtype: dtype as i32,
            bands: shape.0,
            rows: shape.1,
            cols: shape.2,
            band_stride: 0,
            row_stride: 0,
            col_stride: 0,
            nodata: 0.0,
            has_nodata: 0,
            scale: 0.0,
            offset: 0.0,
            mask: std::ptr::null(),
            mask_row_stride: 0,
            mask_col_stride: 0,
            transfer: None,
            user: std::ptr::null_mut(),
        }
    }

    fn values(image: &stf_image, region: Region) -> Vec<f32> {
        let mut out = Array3::zeros((image.bands, region.rows, region.cols));
        Pixels::new(image, "image").unwrap().read(region, out.view_mut()).unwrap();
        out.into_raw_vec_and_offset().0
    }

    fn same(a: &[f32], b: &[f32]) -> bool {
        a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits()))
    }

    #[test]
    fn stored_values_are_unscaled_and_invalid_ones_are_nan() {
        let mut data: Vec<i16> = vec![100, -28672, 300, 400, 500, 600];
        let mut image = describe(&mut data, stf_dtype::I16, (1, 2, 3));
        let mask = [0u8, 0, 0, 0, 1, 0];
        (image.nodata, image.has_nodata, image.scale, image.offset, image.mask) = (-28672.0, 1, 0.5, 1.0, mask.as_ptr());
        let nan = f32::NAN;
        assert!(same(&values(&image, Region::whole(2, 3)), &[51.0, nan, 151.0, 201.0, nan, 301.0]));
    }

    #[test]
    fn strides_may_be_negative_odd_and_interleaved() {
        // two bands interleaved by pixel, upside down, one byte off any alignment
        let mut bytes = vec![0u8; 1 + 2 * 2 * 3 * 4];
        for row in 0..2usize {
            for col in 0..3usize {
                for band in 0..2usize {
                    let value = (band * 100 + row * 10 + col) as f32;
                    let at = 1 + (((1 - row) * 3 + col) * 2 + band) * 4;
                    bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
                }
            }
        }
        let mut image = describe(&mut bytes, stf_dtype::F32, (2, 2, 3));
        image.data = image.data.wrapping_byte_add(1 + 24);
        (image.band_stride, image.row_stride, image.col_stride) = (4, -24, 8);
        assert_eq!(values(&image, Region::new(0, 1, 2, 2)), [1.0, 2.0, 11.0, 12.0, 101.0, 102.0, 111.0, 112.0]);
    }

    #[test]
    fn outputs_are_rounded_saturated_and_keep_clear_of_nodata() {
        let mut data = [7i16; 6];
        let mut image = describe(&mut data, stf_dtype::I16, (1, 1, 6));
        (image.nodata, image.has_nodata, image.scale) = (-9999.0, 1, 0.0001);
        let values = Array3::from_shape_vec((1, 1, 6), vec![0.04256, f32::NAN, 9.0, -9.0, -0.9999, 0.0]).unwrap();
        let mut pixels = Pixels::new(&image, "prediction").unwrap();
        pixels.check_output("prediction", &[]).unwrap();
        pixels.write(Region::whole(1, 6), values.view()).unwrap();
        assert_eq!(data, [426, -9999, 32767, -32768, -10000, 0]);
    }

    #[test]
    fn outputs_that_cannot_be_written_are_refused() {
        let mut data = [0f32; 12];
        let refused = |image: stf_image| {
            let error = Pixels::new(&image, "prediction").unwrap().check_output("prediction", &[("the target".into(), (8, 9))]);
            error.unwrap_err().message().to_string()
        };
        let plain = describe(&mut data, stf_dtype::F32, (1, 3, 4));
        let span = Pixels::new(&plain, "prediction").unwrap().span;
        let error = Pixels::new(&plain, "prediction")
            .unwrap()
            .check_output("prediction", &[("the target".into(), (span.1 - 1, span.1 + 8))]);
        assert!(error.unwrap_err().message().contains("prediction overlaps the target"));
        assert!(refused(stf_image { row_stride: 12, ..plain }).contains("pixels overlap"));
        assert!(refused(stf_image { mask: [0u8; 12].as_ptr(), ..plain }).contains("takes no mask"));
        assert!(refused(stf_image { dtype: stf_dtype::U8 as i32, ..plain }).contains("needs a nodata value"));
        assert!(refused(stf_image { dtype: stf_dtype::U8 as i32, has_nodata: 1, nodata: -1.0, ..plain }).contains("nodata is -1"));
    }

    #[test]
    fn a_decimal_nodata_meets_the_nearest_single() {
        let mut data = [f32::MIN, 1.5, f32::INFINITY];
        let mut image = describe(&mut data, stf_dtype::F32, (1, 1, 3));
        (image.nodata, image.has_nodata) = (-3.402_823_466e38, 1);
        assert!(same(&values(&image, Region::whole(1, 3)), &[f32::NAN, 1.5, f32::NAN]));
    }
}
