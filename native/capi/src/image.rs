//! Images in the caller's memory: the C structure, and the checks that turn it into something that can be read.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use stfusion_core::{Error, Result};

use crate::ffi::{argument, caught, check_pointer, Out};
use crate::pixels::{Mask, Pixels, Transfer};
use crate::status::stf_status;

/// Type of a stored pixel. The numbers are those of GDALDataType.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum stf_dtype {
    /// Unsigned, 8 bit.
    U8 = 1,
    /// Unsigned, 16 bit.
    U16 = 2,
    /// Signed, 16 bit.
    I16 = 3,
    /// Unsigned, 32 bit.
    U32 = 4,
    /// Signed, 32 bit.
    I32 = 5,
    /// IEEE single precision.
    F32 = 6,
    /// IEEE double precision.
    F64 = 7,
    /// Signed, 8 bit.
    I8 = 14,
}

impl stf_dtype {
    const ALL: [stf_dtype; 8] = [
        stf_dtype::U8,
        stf_dtype::U16,
        stf_dtype::I16,
        stf_dtype::U32,
        stf_dtype::I32,
        stf_dtype::F32,
        stf_dtype::F64,
        stf_dtype::I8,
    ];

    /// Bytes of one pixel.
    pub(crate) fn bytes(self) -> usize {
        match self {
            stf_dtype::U8 | stf_dtype::I8 => 1,
            stf_dtype::U16 | stf_dtype::I16 => 2,
            stf_dtype::U32 | stf_dtype::I32 | stf_dtype::F32 => 4,
            stf_dtype::F64 => 8,
        }
    }

    /// Whether a pixel can be NaN.
    pub(crate) fn is_float(self) -> bool {
        matches!(self, stf_dtype::F32 | stf_dtype::F64)
    }
}

/// Moves a rectangle of an image between the caller's storage, such as a file, and `pixels`: all bands, (band, row, col)
/// without gaps, of the image's type. For an input it fills `pixels`; for an output it takes them. Returns 0 when it failed,
/// which ends the run, and anything else to go on.
///
/// Called from worker threads, never twice at a time for one image. Rectangles come in any order; those of inputs overlap,
/// and come again. It must not use the context or the job that are running, and must not throw or jump out.
pub type stf_transfer_fn = Option<
    unsafe extern "C" fn(row: usize, col: usize, rows: usize, cols: usize, pixels: *mut c_void, user: *mut c_void) -> c_int,
>;

/// An image in the caller's memory, order (band, row, col), or behind the caller's function. The library owns nothing of it.
///
/// Set every field, or start from stf_image_init. Pixels may lie at any byte stride, negative ones included, and need no
/// alignment. A stored value v means v * scale + offset.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct stf_image {
    /// sizeof(stf_image), so that the structure can grow.
    pub struct_size: usize,
    /// The pixel (band 0, row 0, col 0); NULL when `transfer` is set.
    pub data: *mut c_void,
    /// Type of the pixels, one of stf_dtype.
    pub dtype: i32,
    /// Number of bands, at least 1.
    pub bands: usize,
    /// Number of rows, at least 1.
    pub rows: usize,
    /// Number of columns, at least 1.
    pub cols: usize,
    /// Bytes from a band to the next; 0 means rows * row_stride.
    pub band_stride: isize,
    /// Bytes from a row to the next; 0 means cols * col_stride.
    pub row_stride: isize,
    /// Bytes from a column to the next; 0 means the size of a pixel.
    pub col_stride: isize,
    /// Stored value that means nodata. NaN and infinity always mean nodata.
    pub nodata: f64,
    /// Whether nodata is set: 0 or 1. An output of whole numbers needs it.
    pub has_nodata: i32,
    /// Factor from stored values to values; 0 means 1.
    pub scale: f64,
    /// Summand from stored values to values.
    pub offset: f64,
    /// Mask of one byte per pixel for all bands, not 0 where the image is invalid; NULL for none. NULL for outputs.
    pub mask: *const u8,
    /// Bytes from a mask row to the next; 0 means cols * mask_col_stride.
    pub mask_row_stride: isize,
    /// Bytes from a mask column to the next; 0 means 1.
    pub mask_col_stride: isize,
    /// Function that the pixels are asked of, or given to, piece by piece; NULL when they lie at `data`. Strides are 0 then.
    pub transfer: stf_transfer_fn,
    /// Handed to `transfer` as it is.
    pub user: *mut c_void,
}

/// Sizes that the structure has had, the last one being today's.
const KNOWN_SIZES: [usize; 2] = [std::mem::offset_of!(stf_image, transfer), std::mem::size_of::<stf_image>()];

/// A structure larger than this is a mistake rather than a later version.
const ABSURD_SIZE: usize = 4096;

/// Fills `out` with the description of an image without gaps: bands of rows of columns, no nodata, no mask, scale 1. With NULL
/// as `data`, set `transfer` afterwards. `struct_size` is sizeof(stf_image): no more than that is written.
#[no_mangle]
pub unsafe extern "C" fn stf_image_init(
    data: *mut c_void,
    dtype: i32,
    bands: usize,
    rows: usize,
    cols: usize,
    struct_size: usize,
    out: *mut stf_image,
) -> stf_status {
    let filled = caught(|| {
        let out = Out::new(out, "out")?;
        check_size(struct_size, "")?;
        let image = stf_image { struct_size, data, dtype, bands, rows, cols, scale: 1.0, ..EMPTY };
        // whether there is a function instead of memory is known when the image is used
        let placed = stf_image { data: if data.is_null() { std::ptr::dangling_mut::<u8>().cast() } else { data }, ..image };
        Pixels::new(&placed, "The image")?;
        // SAFETY: checked above; by contract it points to `struct_size` writable bytes, and no more than the image has are read.
        unsafe {
            let (known, out) = (std::mem::size_of::<stf_image>(), out.pointer().cast::<u8>());
            std::ptr::copy_nonoverlapping((&raw const image).cast::<u8>(), out, struct_size.min(known));
            out.add(struct_size.min(known)).write_bytes(0, struct_size.saturating_sub(known));
        }
        Ok(())
    });
    match filled {
        Ok(()) => stf_status::Ok,
        Err(error) => error.kind().into(),
    }
}

const EMPTY: stf_image = stf_image {
    struct_size: 0,
    data: std::ptr::null_mut(),
    dtype: 0,
    bands: 0,
    rows: 0,
    cols: 0,
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
};

/// Reads the caller's structure, whichever version it has, and checks that every pixel can be addressed.
///
/// # Safety
/// `image` is null, or points to readable memory of the size that its first field says.
pub(crate) unsafe fn pixels(image: *const stf_image, name: &str) -> Result<Pixels> {
    // SAFETY: the caller's contract.
    let image = unsafe { read_struct(image, name) }?;
    Pixels::new(&image, name)
}

fn wrong_size(size: usize, place: &str, why: &str) -> Error {
    argument(format!("{place}struct_size is {size}, expected {}{why}", std::mem::size_of::<stf_image>()))
        .with_hint("Set struct_size to sizeof(stf_image), or start from stf_image_init.")
}

/// Fails for a size that no version of the structure has or could have.
fn check_size(size: usize, place: &str) -> Result<()> {
    if size > ABSURD_SIZE || size < std::mem::size_of::<stf_image>() && !KNOWN_SIZES.contains(&size) {
        return Err(wrong_size(size, place, ""));
    }
    Ok(())
}

unsafe fn read_struct(image: *const stf_image, name: &str) -> Result<stf_image> {
    check_pointer(image, name)?;
    let known = std::mem::size_of::<stf_image>();
    // SAFETY: not null, aligned; the first field exists in every version.
    let size = unsafe { image.cast::<usize>().read() };
    check_size(size, &format!("{name}: "))?;
    if size > known {
        // SAFETY: by contract the structure is `size` bytes long.
        let rest = unsafe { std::slice::from_raw_parts(image.cast::<u8>().add(known), size - known) };
        if rest.iter().any(|&b| b != 0) {
            return Err(wrong_size(
                size,
                &format!("{name}: "),
                ": it uses fields that this version of the library does not know",
            ));
        }
    }
    let mut copy = EMPTY;
    // SAFETY: both are at least that long, and the fields are plain numbers and pointers, valid for any bytes.
    unsafe { std::ptr::copy_nonoverlapping(image.cast::<u8>(), (&raw mut copy).cast::<u8>(), size.min(known)) };
    Ok(copy)
}

fn data_error(message: String, hint: &str) -> Error {
    argument(message).with_hint(hint)
}

impl Pixels {
    /// Checks a description: type, sizes, strides, and that the pixels fit the address space.
    pub(crate) fn new(image: &stf_image, name: &str) -> Result<Pixels> {
        let dtype = stf_dtype::ALL.into_iter().find(|&t| t as i32 == image.dtype).ok_or_else(|| {
            data_error(
                format!(
                    "{name}: dtype is {}, expected one of STF_DTYPE_U8 (1) to STF_DTYPE_F64 (7), or STF_DTYPE_I8 (14)",
                    image.dtype
                ),
                "Set dtype to the type of the pixels.",
            )
        })?;
        let (bands, rows, cols) = (image.bands, image.rows, image.cols);
        if bands == 0 || rows == 0 || cols == 0 {
            return Err(data_error(
                format!("{name} is empty: {bands} bands, {rows} rows, {cols} columns"),
                "Give an image with at least one band, row and column.",
            ));
        }
        if image.data.is_null() && image.transfer.is_none() {
            return Err(data_error(
                format!("{name}: data is NULL"),
                "Point data to the pixel (band 0, row 0, col 0), or set transfer to a function.",
            ));
        }
        if image.transfer.is_some()
            && !(image.data.is_null() && [image.band_stride, image.row_stride, image.col_stride] == [0; 3])
        {
            return Err(data_error(
                format!("{name}: transfer is set, and data or a stride too"),
                "Set data to NULL and strides to 0 for an image behind a function; its pixels have no gaps.",
            ));
        }
        if !matches!(image.has_nodata, 0 | 1) {
            return Err(data_error(
                format!("{name}: has_nodata is {}, expected 0 or 1", image.has_nodata),
                "Set has_nodata to 0 or 1.",
            ));
        }
        if !image.scale.is_finite() || !image.offset.is_finite() {
            return Err(data_error(
                format!("{name}: scale is {} and offset {}, expected finite numbers", image.scale, image.offset),
                "Set scale to 1 and offset to 0 when values are stored as they are.",
            ));
        }
        let strides = packed_strides([image.band_stride, image.row_stride, image.col_stride], [bands, rows, cols], dtype.bytes())
            .ok_or_else(|| too_large(name))?;
        let span =
            address_span(image.data.addr(), &strides, &[bands, rows, cols], dtype.bytes()).ok_or_else(|| too_large(name))?;
        let mask = if image.mask.is_null() {
            None
        } else {
            let mask_name = format!("The mask of {name}");
            let [_, row, col] = packed_strides([0, image.mask_row_stride, image.mask_col_stride], [1, rows, cols], 1)
                .ok_or_else(|| too_large(&mask_name))?;
            let span = address_span(image.mask.addr(), &[row, col], &[rows, cols], 1).ok_or_else(|| too_large(&mask_name))?;
            Some(Mask { data: image.mask, row_stride: row, col_stride: col, span })
        };
        Ok(Pixels {
            data: image.data.cast(),
            dtype,
            bands,
            rows,
            cols,
            strides,
            nodata: (image.has_nodata == 1).then_some(image.nodata),
            scale: if image.scale == 0.0 { 1.0 } else { image.scale },
            offset: image.offset,
            mask,
            span: if image.transfer.is_some() { (0, 0) } else { span },
            transfer: image.transfer.map(|function| Arc::new(Transfer::new(function, image.user))),
        })
    }
}

fn too_large(name: &str) -> Error {
    data_error(
        format!("{name}: its sizes and strides reach outside the address space"),
        "Give sizes in pixels and strides in bytes that describe memory you own.",
    )
}

/// Strides with those that are 0 made packed; `None` when they overflow.
pub(crate) fn packed_strides(given: [isize; 3], sizes: [usize; 3], pixel_bytes: usize) -> Option<[isize; 3]> {
    let or_packed = |stride: isize, inner: isize, count: usize| {
        if stride == 0 {
            inner.checked_mul(isize::try_from(count).ok()?)
        } else {
            Some(stride)
        }
    };
    let col = or_packed(given[2], isize::try_from(pixel_bytes).ok()?, 1)?;
    let row = or_packed(given[1], col, sizes[2])?;
    let band = or_packed(given[0], row, sizes[1])?;
    Some([band, row, col])
}

/// First address and the one after the last of an array, if they exist and no index overflows.
fn address_span(start: usize, strides: &[isize], sizes: &[usize], pixel_bytes: usize) -> Option<(usize, usize)> {
    let (mut low, mut high) = (0isize, 0isize);
    for (&stride, &size) in strides.iter().zip(sizes) {
        let reach = stride.checked_mul(isize::try_from(size - 1).ok()?)?;
        if reach < 0 {
            low = low.checked_add(reach)?;
        } else {
            high = high.checked_add(reach)?;
        }
    }
    let high = high.checked_add(isize::try_from(pixel_bytes).ok()?)?;
    // the distance between any two pixels must be an isize too
    high.checked_sub(low)?;
    Some((start.checked_add_signed(low)?, start.checked_add_signed(high)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_left_out_are_packed_and_negative_ones_reach_back() {
        assert_eq!(packed_strides([0, 0, 0], [2, 3, 5], 4), Some([60, 20, 4]));
        assert_eq!(packed_strides([0, -40, 8], [2, 3, 5], 4), Some([-120, -40, 8]));
        assert_eq!(address_span(1000, &[60, -20, 4], &[2, 3, 5], 4), Some((960, 1080)));
    }

    #[test]
    fn arrays_that_leave_the_address_space_are_refused() {
        assert_eq!(packed_strides([0, 0, 0], [1, 2, usize::MAX / 2], 8), None);
        assert_eq!(address_span(8, &[-4], &[4], 4), None);
        assert_eq!(address_span(usize::MAX - 8, &[4], &[4], 4), None);
        assert_eq!(address_span(1 << 40, &[isize::MAX, isize::MIN], &[2, 2], 4), None);
        assert_eq!(address_span(1 << 40, &[isize::MIN], &[3], 4), None);
    }
}
