//! Arrays of any number of axes in netCDF files, through GDAL's multidimensional interface.
//!
//! What is read are unscaled numbers, `NaN` where the file says that none is known. What is written are variables of `f32`, each
//! with axes of its own.

use std::ffi::{c_void, CString};
use std::path::Path;
use std::ptr::{null, null_mut};

use gdal::cpl::CslStringList;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags};
use gdal_sys::{GDALDimensionH, GDALExtendedDataTypeH, GDALGroupH, GDALMDArrayH};
use stfusion_core::{Error, ErrorKind, Result};

use crate::errors::Capture;

/// An array in C order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Extent of every axis.
    pub shape: Vec<usize>,
    /// As many values as the product of the extents.
    pub values: Vec<f32>,
}

/// An object of GDAL's that is released when it goes.
struct Owned<T: Copy> {
    handle: T,
    release: unsafe extern "C" fn(T),
}

impl<T: Copy> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the handle is one that GDAL gave away, not null, and is released once.
        unsafe { (self.release)(self.handle) }
    }
}

fn owned<T>(handle: *mut T, release: unsafe extern "C" fn(*mut T)) -> Option<Owned<*mut T>> {
    (!handle.is_null()).then_some(Owned { handle, release })
}

/// A type of numbers.
fn type_of(number: gdal_sys::GDALDataType::Type) -> Option<Owned<GDALExtendedDataTypeH>> {
    // SAFETY: makes an object from a number of GDAL's enumeration.
    owned(unsafe { gdal_sys::GDALExtendedDataTypeCreate(number) }, gdal_sys::GDALExtendedDataTypeRelease)
}

/// Reads a variable of the file `path`: `variable`, or if none is named `preferred`, or else the only one that the file has beside the
/// coordinates of its axes.
///
/// # Errors
/// [`ErrorKind::Read`] naming the file and, where it has no such variable, those that it has; [`ErrorKind::Memory`] for one that
/// does not fit into memory.
pub fn read_array(path: &Path, variable: Option<&str>, preferred: &str) -> Result<Array> {
    let capture = Capture::start();
    let fail = |reason: String, hint: &str| Error::new(ErrorKind::Read, format!("{}: {reason}", path.display())).with_hint(hint);
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_MULTIDIM_RASTER,
        allowed_drivers: Some(&["netCDF", "HDF5"]),
        ..DatasetOptions::default()
    };
    let dataset = Dataset::open_ex(path, options)
        .map_err(|_| fail(capture.reason(), "Check the name; arrays lie in .npy or netCDF files."))?;
    let unreadable = || fail(capture.reason(), "Check the file with `gdalmdiminfo`.");
    let group = dataset.root_group().map_err(|_| unreadable())?;
    // single numbers are left out otherwise
    let names = group.array_names(CslStringList::from_iter(["SHOW_ZERO_DIM=YES"]));
    let described = |name: &str| -> Option<(bool, Vec<usize>)> {
        let array = group.open_md_array(name, Default::default()).ok()?;
        let axes = array.dimensions().ok()?;
        let coordinates = axes.len() == 1 && axes[0].name() == name;
        Some((coordinates, axes.iter().map(gdal::raster::Dimension::size).collect()))
    };
    let own: Vec<&String> = names.iter().filter(|name| described(name).is_some_and(|(coordinates, _)| !coordinates)).collect();
    let named = |name: &str| names.iter().find(|own| *own == name);
    let found = match (variable, &own[..]) {
        (Some(name), _) => named(name),
        (None, [only]) => named(preferred).or(Some(*only)),
        (None, _) => named(preferred),
    };
    let Some(name) = found else {
        let wanted = variable.unwrap_or(preferred);
        let all: Vec<&str> = own.iter().map(|name| name.as_str()).collect();
        return Err(fail(
            format!("has no variable {wanted}; it has: {}", all.join(", ")),
            "Name one of them after the file, like file.nc:variable.",
        ));
    };
    let (_, shape) = described(name).ok_or_else(unreadable)?;
    let mut values = Vec::<f64>::new();
    let count = shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
    let count = count.filter(|n| values.try_reserve_exact(*n).is_ok()).ok_or_else(|| {
        Error::new(ErrorKind::Memory, format!("{}: {name} with the shape {shape:?} does not fit into memory", path.display()))
            .with_hint("Give a smaller array.")
    })?;
    values.resize(count, 0.0);

    let c_name = CString::new(name.as_str()).map_err(|_| unreadable())?;
    // SAFETY: the dataset is open and outlives the group and the array, which are released at the end of this function.
    let handle = unsafe { gdal_sys::GDALDatasetGetRootGroup(dataset.c_dataset()) };
    let root = owned(handle, gdal_sys::GDALGroupRelease).ok_or_else(unreadable)?;
    // SAFETY: a live group, and a name that ends in NUL.
    let handle = unsafe { gdal_sys::GDALGroupOpenMDArray(root.handle, c_name.as_ptr(), null_mut()) };
    let array: Owned<GDALMDArrayH> = owned(handle, gdal_sys::GDALMDArrayRelease).ok_or_else(unreadable)?;
    let double = type_of(gdal_sys::GDALDataType::GDT_Float64).ok_or_else(unreadable)?;
    let starts = vec![0u64; shape.len()];
    // SAFETY: starts and counts have as many numbers as the array has axes; the buffer has room for the product of the counts, in
    // the type that is named.
    let read = unsafe {
        let buffer = values.as_mut_ptr().cast::<c_void>();
        gdal_sys::GDALMDArrayRead(
            array.handle,
            starts.as_ptr(),
            shape.as_ptr(),
            null(),
            null(),
            double.handle,
            buffer,
            buffer.cast_const(),
            size_of_val(values.as_slice()),
        )
    };
    if read == 0 {
        return Err(fail(format!("{name} cannot be read: {}", capture.reason()), "Variables must hold numbers."));
    }
    let number = |get: unsafe extern "C" fn(GDALMDArrayH, *mut i32) -> f64| {
        let mut known = 0;
        // SAFETY: a live array and a variable of ours.
        let number = unsafe { get(array.handle, &mut known) };
        (known != 0).then_some(number)
    };
    let nodata = number(gdal_sys::GDALMDArrayGetNoDataValueAsDouble);
    let scale = number(gdal_sys::GDALMDArrayGetScale).unwrap_or(1.0);
    let offset = number(gdal_sys::GDALMDArrayGetOffset).unwrap_or(0.0);
    let unscaled = |stored: f64| if nodata == Some(stored) { f32::NAN } else { (stored * scale + offset) as f32 };
    Ok(Array { shape, values: values.into_iter().map(unscaled).collect() })
}

/// Writes arrays as the variables of a new netCDF file. A `/` in a name becomes `_`.
///
/// # Errors
/// [`ErrorKind::Write`] naming the file and GDAL's reason; [`ErrorKind::Unsupported`] when GDAL has no netCDF.
pub fn write_arrays(path: &Path, arrays: &[(&str, Array)]) -> Result<()> {
    let capture = Capture::start();
    let fail = || {
        Error::new(ErrorKind::Write, format!("{}: {}", path.display(), capture.reason()))
            .with_hint("Check the free space and the permissions of the folder.")
    };
    let text = |text: &str| CString::new(text).map_err(|_| fail());
    let name = text(&path.to_string_lossy())?;
    // the HDF5 library would print its own messages about a file that cannot be made
    std::fs::File::create(path).map_err(|e| {
        Error::new(ErrorKind::Write, format!("{}: {e}", path.display()))
            .with_hint("Name a file in a folder that exists and can be written to.")
    })?;
    // SAFETY: registering twice does nothing; the name ends in NUL.
    let driver = unsafe {
        gdal_sys::GDALAllRegister();
        gdal_sys::GDALGetDriverByName(c"netCDF".as_ptr())
    };
    if driver.is_null() {
        return Err(Error::new(ErrorKind::Unsupported, "This GDAL writes no netCDF")
            .with_hint("Write .npy files, or install GDAL's netCDF driver."));
    }
    unsafe extern "C" fn close(dataset: gdal_sys::GDALDatasetH) {
        // what closing meets is reported by GDAL, and captured
        // SAFETY: a dataset of ours, closed once.
        unsafe {
            gdal_sys::GDALClose(dataset);
        }
    }
    // SAFETY: a driver of GDAL's, a name that ends in NUL, no options.
    let handle = unsafe { gdal_sys::GDALCreateMultiDimensional(driver, name.as_ptr(), null_mut(), null_mut()) };
    let dataset = owned(handle, close).ok_or_else(fail)?;
    {
        // SAFETY: a live dataset.
        let handle = unsafe { gdal_sys::GDALDatasetGetRootGroup(dataset.handle) };
        let root = owned(handle, gdal_sys::GDALGroupRelease).ok_or_else(fail)?;
        for (name, array) in arrays {
            write_array(&root, &text(&name.replace('/', "_"))?, array).ok_or_else(fail)?;
        }
    }
    drop(dataset);
    if capture.failed() {
        return Err(fail());
    }
    Ok(())
}

/// One variable of a group; `None` when GDAL reported a failure.
fn write_array(group: &Owned<GDALGroupH>, name: &CString, array: &Array) -> Option<()> {
    let mut axes: Vec<Owned<GDALDimensionH>> = Vec::new();
    for (k, extent) in array.shape.iter().enumerate() {
        let axis = CString::new(format!("{}_axis_{k}", name.to_string_lossy())).ok()?;
        // SAFETY: a live group and texts that end in NUL.
        let handle = unsafe {
            gdal_sys::GDALGroupCreateDimension(
                group.handle,
                axis.as_ptr(),
                c"".as_ptr(),
                c"".as_ptr(),
                u64::try_from(*extent).ok()?,
                null_mut(),
            )
        };
        axes.push(owned(handle, gdal_sys::GDALDimensionRelease)?);
    }
    let mut handles: Vec<GDALDimensionH> = axes.iter().map(|axis| axis.handle).collect();
    let single = type_of(gdal_sys::GDALDataType::GDT_Float32)?;
    // SAFETY: a live group, type and axes, as many as are said.
    let handle = unsafe {
        gdal_sys::GDALGroupCreateMDArray(
            group.handle,
            name.as_ptr(),
            handles.len(),
            handles.as_mut_ptr(),
            single.handle,
            null_mut(),
        )
    };
    let variable = owned(handle, gdal_sys::GDALMDArrayRelease)?;
    if array.values.is_empty() {
        return Some(());
    }
    let starts = vec![0u64; array.shape.len()];
    let buffer = array.values.as_ptr().cast::<c_void>();
    // SAFETY: starts and counts have as many numbers as there are axes; by contract of `Array` the buffer holds the product of the
    // counts, in the type that is named.
    let written = unsafe {
        gdal_sys::GDALMDArrayWrite(
            variable.handle,
            starts.as_ptr(),
            array.shape.as_ptr(),
            null(),
            null(),
            single.handle,
            buffer,
            buffer,
            size_of_val(array.values.as_slice()),
        )
    };
    (written != 0).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize]) -> Array {
        let count: usize = shape.iter().product();
        Array { shape: shape.to_vec(), values: (0..count).map(|i| i as f32 * 0.5 - 3.0).collect() }
    }

    #[test]
    fn arrays_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.nc");
        let all = [("first", array(&[2, 3, 4, 5])), ("a/b", array(&[7])), ("number", array(&[]))];
        write_arrays(&path, &all).unwrap();
        for (name, (_, written)) in ["first", "a_b", "number"].iter().zip(&all) {
            assert_eq!(&read_array(&path, Some(name), "x").unwrap(), written);
            assert_eq!(&read_array(&path, None, name).unwrap(), written);
        }
        let error = read_array(&path, None, "second").unwrap_err();
        assert!(error.message().ends_with("a.nc: has no variable second; it has: first, a_b, number"), "{error}");
        write_arrays(&path, &all[..1]).unwrap();
        assert_eq!(read_array(&path, None, "second").unwrap(), all[0].1, "the only one");
        assert!(read_array(&path, Some("second"), "first").is_err(), "not the one that was named");
    }

    #[test]
    fn files_that_are_none_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.nc");
        let error = read_array(&path, None, "x").unwrap_err();
        assert!(error.kind() == ErrorKind::Read && error.message().contains("a.nc"), "{error}");
        std::fs::write(&path, b"CDF\x01nothing more").unwrap();
        assert_eq!(read_array(&path, None, "x").unwrap_err().kind(), ErrorKind::Read);
        let error = write_arrays(&folder.path().join("none/b.nc"), &[("x", array(&[2]))]).unwrap_err();
        assert!(error.kind() == ErrorKind::Write && error.message().contains("b.nc"), "{error}");
    }
}
