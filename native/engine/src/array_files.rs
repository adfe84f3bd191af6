//! Arrays as files: `.npy`, and the variables of netCDF files.
//!
//! `.npy` files hold `f32`, `f64`, whole numbers or truth values in C order; results are `f32`. The variable of a netCDF file is the one
//! that is named after the file (`file.nc:variable`), or the one of the wanted name, or the only one.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use npyz::WriterBuilder;
use stfusion_core::{Error, ErrorKind, Result};
use stfusion_nn::{Data, Tensor};

use crate::named_files::Pending;

/// Whether a name is that of a netCDF file.
fn is_netcdf(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".nc")
}

/// The array that `path` names, for the input `name`.
///
/// # Errors
/// [`ErrorKind::Read`] naming the file and what is wrong with it; [`ErrorKind::Unsupported`] for netCDF in a build without GDAL.
pub(crate) fn read(path: &Path, name: &str) -> Result<Tensor> {
    let text = path.to_string_lossy();
    if is_netcdf(&text) {
        return netcdf::read(path, None, name);
    }
    match text.rsplit_once(':') {
        Some((file, variable)) if is_netcdf(file) => netcdf::read(Path::new(file), Some(variable), name),
        _ => read_npy(path),
    }
}

/// The files that results of these names go to, where `output` is what was asked for: a netCDF file takes them all; of several
/// others each has its name before the ending.
pub(crate) fn files_of(output: &Path, names: &[&str]) -> Vec<PathBuf> {
    if names.len() == 1 || is_netcdf(&output.to_string_lossy()) {
        return vec![output.to_path_buf(); names.len()];
    }
    let stem = output.file_stem().unwrap_or_default().to_string_lossy();
    names.iter().map(|name| output.with_file_name(format!("{stem}.{name}.npy"))).collect()
}

/// Writes results, each into its own of `files`; they have their names when all are complete.
///
/// # Errors
/// [`ErrorKind::Write`] naming the file and the reason; [`ErrorKind::Unsupported`] for netCDF in a build without GDAL.
pub(crate) fn write(files: &[PathBuf], results: &[(String, Tensor)]) -> Result<()> {
    let pending = match files.first() {
        Some(file) if is_netcdf(&file.to_string_lossy()) => {
            vec![Pending::made(file, "Result", |temporary| netcdf::write(temporary, results))?]
        }
        _ => files
            .iter()
            .zip(results)
            .map(|(file, (_, tensor))| Pending::write(file, "Result", &npy(tensor)?))
            .collect::<Result<_>>()?,
    };
    pending.into_iter().try_for_each(Pending::publish)
}

/// The values of a tensor as numbers.
pub(crate) fn numbers(tensor: &Tensor) -> Vec<f32> {
    match tensor.data() {
        Data::F32(v) => v.clone(),
        Data::I64(v) => v.iter().map(|v| *v as f32).collect(),
        Data::Bool(v) => v.iter().map(|v| f32::from(u8::from(*v))).collect(),
    }
}

#[cfg(feature = "gdal")]
mod netcdf {
    use std::path::Path;

    use stfusion_core::Result;
    use stfusion_nn::Tensor;
    use stfusion_raster::{read_array, write_arrays, Array};

    pub(super) fn read(path: &Path, variable: Option<&str>, name: &str) -> Result<Tensor> {
        let Array { shape, values } = read_array(path, variable, name)?;
        Tensor::from_f32(&shape, values)
    }

    pub(super) fn write(path: &Path, results: &[(String, Tensor)]) -> Result<()> {
        let array = |tensor: &Tensor| Array { shape: tensor.shape().to_vec(), values: super::numbers(tensor) };
        let arrays: Vec<_> = results.iter().map(|(name, tensor)| (name.as_str(), array(tensor))).collect();
        write_arrays(path, &arrays)
    }
}

#[cfg(not(feature = "gdal"))]
mod netcdf {
    use std::path::Path;

    use stfusion_core::{Error, ErrorKind, Result};
    use stfusion_nn::Tensor;

    fn unsupported(path: &Path) -> Error {
        Error::new(ErrorKind::Unsupported, format!("{}: netCDF was built without GDAL", path.display()))
            .with_hint("Use .npy files, or an stfusion that was built with GDAL.")
    }

    pub(super) fn read(path: &Path, _variable: Option<&str>, _name: &str) -> Result<Tensor> {
        Err(unsupported(path))
    }

    pub(super) fn write(path: &Path, _results: &[(String, Tensor)]) -> Result<()> {
        Err(unsupported(path))
    }
}

fn read_npy(path: &Path) -> Result<Tensor> {
    let fail = |reason: String| {
        Error::new(ErrorKind::Read, format!("{}: {reason}", path.display())).with_hint(
            "Arrays are .npy files of numbers in C order, as numpy.save writes them, or variables of netCDF files (.nc).",
        )
    };
    let file = File::open(path).map_err(|e| fail(e.to_string()))?;
    let held = file.metadata().map_or(0, |m| m.len());
    let array = npyz::NpyFile::new(BufReader::new(file)).map_err(|e| fail(format!("is not a .npy file: {e}")))?;
    let shape: Vec<usize> = array.shape().iter().map(|n| *n as usize).collect();
    if array.order() != npyz::Order::C && shape.len() > 1 {
        return Err(fail("is in Fortran order".into()));
    }
    let npyz::DType::Plain(ty) = array.dtype() else { return Err(fail("holds records, not numbers".into())) };
    let bytes = array.len().saturating_mul(ty.num_bytes().unwrap_or(1) as u64);
    if bytes > held {
        return Err(fail(format!("says it holds {} numbers, but has {held} bytes", array.len())));
    }
    let cut = |e: std::io::Error| fail(format!("cannot be read: {e}"));
    let kind = (ty.type_char(), ty.num_bytes().unwrap_or(0));
    let data = match kind {
        (npyz::TypeChar::Float, 4) => Data::F32(array.into_vec::<f32>().map_err(cut)?),
        (npyz::TypeChar::Float, 8) => Data::F32(array.into_vec::<f64>().map_err(cut)?.into_iter().map(|v| v as f32).collect()),
        (npyz::TypeChar::Bool, _) => Data::Bool(array.into_vec::<bool>().map_err(cut)?),
        (npyz::TypeChar::Int, 8) => Data::I64(array.into_vec::<i64>().map_err(cut)?),
        (npyz::TypeChar::Int, 4) => Data::I64(array.into_vec::<i32>().map_err(cut)?.into_iter().map(i64::from).collect()),
        (npyz::TypeChar::Int, 2) => Data::I64(array.into_vec::<i16>().map_err(cut)?.into_iter().map(i64::from).collect()),
        (npyz::TypeChar::Uint, 2) => Data::I64(array.into_vec::<u16>().map_err(cut)?.into_iter().map(i64::from).collect()),
        (npyz::TypeChar::Uint, 1) => Data::I64(array.into_vec::<u8>().map_err(cut)?.into_iter().map(i64::from).collect()),
        _ => return Err(fail(format!("holds numbers of the type {ty}"))),
    };
    Tensor::new(&shape, data).map_err(|e| fail(e.message().to_owned()))
}

/// A `.npy` file.
fn npy(tensor: &Tensor) -> Result<Vec<u8>> {
    let shape: Vec<u64> = tensor.shape().iter().map(|n| *n as u64).collect();
    let mut bytes = Vec::new();
    let written = (|| {
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd()?;
        writer.extend(numbers(tensor))?;
        writer.finish()
    })();
    written.map_err(|e: std::io::Error| Error::internal(format!("an array cannot be put into bytes: {e}")))?;
    Ok(bytes)
}
