//! Values as they are stored in a file: scaled, rounded to nearest, saturated to the type.

use gdal_sys::GDALDataType;
use ndarray::ArrayView2;
use stfusion_core::{Error, ErrorKind, Result};

/// A type that outputs can be stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredType {
    U8,
    U16,
    I16,
    U32,
    I32,
    F32,
    F64,
}

const ALL: [StoredType; 7] =
    [StoredType::U8, StoredType::U16, StoredType::I16, StoredType::U32, StoredType::I32, StoredType::F32, StoredType::F64];

impl StoredType {
    /// GDAL's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            StoredType::U8 => "Byte",
            StoredType::U16 => "UInt16",
            StoredType::I16 => "Int16",
            StoredType::U32 => "UInt32",
            StoredType::I32 => "Int32",
            StoredType::F32 => "Float32",
            StoredType::F64 => "Float64",
        }
    }

    /// GDAL's number.
    pub(crate) fn code(self) -> GDALDataType::Type {
        match self {
            StoredType::U8 => GDALDataType::GDT_Byte,
            StoredType::U16 => GDALDataType::GDT_UInt16,
            StoredType::I16 => GDALDataType::GDT_Int16,
            StoredType::U32 => GDALDataType::GDT_UInt32,
            StoredType::I32 => GDALDataType::GDT_Int32,
            StoredType::F32 => GDALDataType::GDT_Float32,
            StoredType::F64 => GDALDataType::GDT_Float64,
        }
    }

    /// Bytes of a value.
    pub(crate) fn bytes(self) -> usize {
        match self {
            StoredType::U8 => 1,
            StoredType::U16 | StoredType::I16 => 2,
            StoredType::U32 | StoredType::I32 | StoredType::F32 => 4,
            StoredType::F64 => 8,
        }
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, StoredType::F32 | StoredType::F64)
    }

    /// Smallest and largest value; infinite for floating point.
    fn limits(self) -> (f64, f64) {
        match self {
            StoredType::U8 => (0.0, 255.0),
            StoredType::U16 => (0.0, 65535.0),
            StoredType::I16 => (-32768.0, 32767.0),
            StoredType::U32 => (0.0, f64::from(u32::MAX)),
            StoredType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
            StoredType::F32 | StoredType::F64 => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// A nodata value that measurements rarely need.
    pub(crate) fn spare_value(self) -> f64 {
        match self {
            StoredType::F32 | StoredType::F64 => f64::NAN,
            StoredType::I16 | StoredType::I32 => -9999.0,
            StoredType::U8 | StoredType::U16 | StoredType::U32 => self.limits().1,
        }
    }
}

/// The type of that GDAL name, in any case.
///
/// # Errors
/// [`ErrorKind::Parameter`] listing the types.
pub(crate) fn type_by_name(name: &str) -> Result<StoredType> {
    ALL.into_iter().find(|t| t.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|t| t.name()).collect();
        Error::new(ErrorKind::Parameter, format!("Outputs cannot be stored as {name:?}"))
            .with_hint(format!("Set the output's data_type to one of {}.", names.join(", ")))
    })
}

/// Whether a type can store a nodata value.
pub(crate) fn nodata_fits(data_type: StoredType, value: f64) -> bool {
    let (low, high) = data_type.limits();
    data_type.is_float() || value.fract() == 0.0 && (low..=high).contains(&value)
}

/// The bytes of one block of `block` (rows, cols) pixels, of which `values` fill the upper left part; the rest is nodata.
/// The buffer is aligned for every type.
pub(crate) fn stored_bytes(
    data_type: StoredType,
    values: ArrayView2<'_, f32>,
    block: (usize, usize),
    scale: f64,
    offset: f64,
    nodata: f64,
) -> Buffer {
    let (low, high) = data_type.limits();
    // Adding and taking away 1.5 * 2^52 rounds to a whole number, ties to even, in two additions.
    const ROUNDER: f64 = 6_755_399_441_055_744.0;
    let beside = if nodata < high { nodata + 1.0 } else { nodata - 1.0 };
    let whole = |v: f32| {
        let stored = ((f64::from(v) - offset) / scale).clamp(low, high);
        let rounded = (stored + ROUNDER) - ROUNDER;
        let rounded = if rounded == nodata { beside } else { rounded };
        if v.is_nan() {
            nodata
        } else {
            rounded
        }
    };
    let as_is = scale == 1.0 && offset == 0.0;
    let real = |v: f32| {
        let stored = if as_is { f64::from(v) } else { (f64::from(v) - offset) / scale };
        if v.is_nan() {
            nodata
        } else {
            stored
        }
    };
    match data_type {
        StoredType::U8 => Buffer::filled(values, block, nodata as u8, |v| whole(v) as u8),
        StoredType::U16 => Buffer::filled(values, block, nodata as u16, |v| whole(v) as u16),
        StoredType::I16 => Buffer::filled(values, block, nodata as i16, |v| whole(v) as i16),
        StoredType::U32 => Buffer::filled(values, block, nodata as u32, |v| whole(v) as u32),
        StoredType::I32 => Buffer::filled(values, block, nodata as i32, |v| whole(v) as i32),
        StoredType::F32 => Buffer::filled(values, block, nodata as f32, |v| real(v) as f32),
        StoredType::F64 => Buffer::filled(values, block, nodata, real),
    }
}

/// Values of one of the stored types in the machine's byte order, in memory aligned for every one of them.
#[derive(Debug)]
pub struct Buffer {
    words: Vec<u64>,
    bytes: usize,
}

impl Buffer {
    pub(crate) fn as_mut_ptr(&mut self) -> *mut u64 {
        self.words.as_mut_ptr()
    }

    /// The values, row by row.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the words hold at least that many bytes.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.bytes) }
    }

    fn filled<T: Copy>(values: ArrayView2<'_, f32>, (rows, cols): (usize, usize), fill: T, stored: impl Fn(f32) -> T) -> Buffer {
        let bytes = rows * cols * std::mem::size_of::<T>();
        let mut buffer = Buffer { words: vec![0; bytes.div_ceil(8)], bytes };
        // SAFETY: the memory holds rows x cols values of `T`, a number of at most 8 bytes, for which it is aligned, and any
        // bits are such a number.
        let cells = unsafe { std::slice::from_raw_parts_mut(buffer.words.as_mut_ptr().cast::<T>(), rows * cols) };
        let mut lines = cells.chunks_exact_mut(cols);
        for (row, line) in values.rows().into_iter().zip(lines.by_ref()) {
            let (inside, outside) = line.split_at_mut(row.len());
            match row.as_slice() {
                Some(row) => inside.iter_mut().zip(row).for_each(|(c, v)| *c = stored(*v)),
                None => inside.iter_mut().zip(row).for_each(|(c, v)| *c = stored(*v)),
            }
            outside.fill(fill);
        }
        lines.for_each(|line| line.fill(fill));
        buffer
    }

    #[cfg(test)]
    fn read<T: Copy>(&self, count: usize) -> Vec<T> {
        // SAFETY: as in `filled`, with the type that it was filled with.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast::<T>(), count) }.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn values_are_rounded_saturated_and_kept_off_nodata() {
        let values = array![[0.0425f32, 0.04254, 9.9, -9.9], [f32::NAN, -0.9999, 0.0, 3.2767]];
        let buffer = stored_bytes(StoredType::I16, values.view(), (3, 5), 1e-4, 0.0, -9999.0);
        let expected: [i16; 15] =
            [425, 425, 32767, -32768, -9999, -9999, -9998, 0, 32767, -9999, -9999, -9999, -9999, -9999, -9999];
        assert_eq!(buffer.read::<i16>(15), expected);
        let buffer = stored_bytes(StoredType::U8, array![[0.0f32, 254.6, -3.0, 2.4]].view(), (1, 4), 1.0, 0.0, 255.0);
        assert_eq!(buffer.read::<u8>(4), [0, 254, 0, 2]);
        let buffer = stored_bytes(StoredType::U16, array![[300.15f32, f32::NAN]].view(), (1, 2), 0.02, 273.15, 0.0);
        assert_eq!(buffer.read::<u16>(2), [1350, 0]);
    }

    #[test]
    fn every_int16_value_survives_the_round_trip_through_its_scale() {
        for (scale, offset) in [(1e-4, 0.0), (0.0000275, -0.2), (1.0, 0.0), (0.02, 273.15)] {
            let stored: Vec<i16> = (i16::MIN..=i16::MAX).filter(|v| *v != -9999).collect();
            let values =
                ndarray::Array2::from_shape_fn((1, stored.len()), |(_, i)| (f64::from(stored[i]) * scale + offset) as f32);
            let buffer = stored_bytes(StoredType::I16, values.view(), (1, stored.len()), scale, offset, -9999.0);
            assert_eq!(buffer.read::<i16>(stored.len()), stored, "{scale} {offset}");
        }
    }

    #[test]
    fn floats_are_stored_as_they_are() {
        let values = array![[0.1f32, f32::NAN, -3e38]];
        let bits: Vec<u32> = stored_bytes(StoredType::F32, values.view(), (1, 3), 1.0, 0.0, -9999.0)
            .read::<f32>(3)
            .iter()
            .map(|v| v.to_bits())
            .collect();
        assert_eq!(bits, [0.1f32.to_bits(), (-9999f32).to_bits(), (-3e38f32).to_bits()]);
        assert!(stored_bytes(StoredType::F64, values.view(), (1, 3), 1.0, 0.0, f64::NAN).read::<f64>(2)[1].is_nan());
    }

    #[test]
    fn unknown_types_and_unfit_nodata_are_refused() {
        let error = type_by_name("Int7").unwrap_err();
        assert_eq!(error.message(), "Outputs cannot be stored as \"Int7\"");
        assert!(error.hint().unwrap().contains("Byte, UInt16, Int16"));
        assert_eq!(type_by_name("float32").unwrap(), StoredType::F32);
        assert!(
            !nodata_fits(StoredType::U8, -1.0) && !nodata_fits(StoredType::I16, 0.5) && !nodata_fits(StoredType::I16, f64::NAN)
        );
        assert!(nodata_fits(StoredType::F32, f64::NAN) && nodata_fits(StoredType::U16, 65535.0));
    }
}
