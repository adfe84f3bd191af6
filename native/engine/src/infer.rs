//! A network run once on arrays: for networks whose inputs are no images of a fusion job, and for whoever wants to see what one does.
//!
//! Arrays are `.npy` files: of `f32`, `f64`, whole numbers or truth values, in C order; results are `f32`. Files appear under their
//! names when they are complete.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use npyz::WriterBuilder;
use serde::Serialize;
use stfusion_core::{Cancel, Error, ErrorKind, Result};
use stfusion_nn::cpu::Program;
use stfusion_nn::inspection;
use stfusion_nn::onnx::Model;
use stfusion_nn::weights::Metadata;
use stfusion_nn::{zoo, DType, Data, Graph, Tensor, Weights};
use stfusion_simd::Path as Vectors;

use crate::context::Context;
use crate::named_files::Pending;

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct InferRequest {
    /// Weights file: safetensors or ONNX.
    pub weights: PathBuf,
    /// Id of the network, where the file does not say it.
    pub network: Option<String>,
    /// Options that win over those of the file.
    pub options: BTreeMap<String, String>,
    /// Arrays by the names of the network's inputs.
    pub inputs: Vec<(String, PathBuf)>,
    /// Where the result goes; with several, the name of each is put before the ending.
    pub output: PathBuf,
    /// Whether existing files may be replaced.
    pub overwrite: bool,
}

/// A result that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inferred {
    /// Name of the result in the network.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The file.
    pub file: String,
}

/// Runs a network on arrays and writes its results.
///
/// # Errors
/// Those of reading weights and arrays; [`ErrorKind::Data`] when arrays and network do not fit; [`ErrorKind::Exists`] and
/// [`ErrorKind::Write`] for the results; [`ErrorKind::Cancelled`].
pub fn infer(request: &InferRequest, context: &Context, cancel: &Cancel) -> Result<Vec<Inferred>> {
    let given: Vec<(&str, Tensor)> =
        request.inputs.iter().map(|(name, path)| Ok((name.as_str(), read(path)?))).collect::<Result<_>>()?;
    let graph = graph(request, &given)?;
    let files: Vec<PathBuf> =
        graph.outputs().iter().map(|port| file_of(&request.output, &port.name, graph.outputs().len())).collect();
    if let Some(existing) = files.iter().find(|file| !request.overwrite && file.exists()) {
        return Err(Error::new(ErrorKind::Exists, format!("{} exists", existing.display()))
            .with_hint("Choose another name, or ask to overwrite it (--overwrite)."));
    }
    let program = Program::compile(&graph, Vectors::from_environment().0)?;
    let inputs: Vec<Tensor> = graph
        .inputs()
        .iter()
        .map(|port| {
            let found = given.iter().find(|(name, _)| *name == port.name).map(|(_, tensor)| tensor);
            found
                .map(|tensor| as_type(tensor, graph.ty(port.value).dtype))
                .unwrap_or_else(|| Err(Error::internal("an input is missing")))
        })
        .collect::<Result<_>>()?;
    let results = context.pool().install(|| program.run(&inputs, cancel))?;
    let mut written = Vec::new();
    let pending = files.iter().zip(&results).map(|(file, tensor)| Pending::write(file, "Result", &npy(tensor)?));
    pending.collect::<Result<Vec<_>>>()?.into_iter().try_for_each(Pending::publish)?;
    for ((port, tensor), file) in graph.outputs().iter().zip(&results).zip(&files) {
        written.push(Inferred { name: port.name.clone(), shape: tensor.shape().to_vec(), file: file.display().to_string() });
    }
    Ok(written)
}

/// The graph for arrays of these shapes.
fn graph(request: &InferRequest, given: &[(&str, Tensor)]) -> Result<Graph> {
    let shapes: Vec<(&str, Vec<usize>)> = given.iter().map(|(name, tensor)| (*name, tensor.shape().to_vec())).collect();
    if inspection::is_onnx_file(&request.weights) {
        let shapes: Vec<(&str, &[usize])> = shapes.iter().map(|(name, shape)| (*name, shape.as_slice())).collect();
        return Model::read(&request.weights)?.graph(&shapes);
    }
    let weights = Weights::read(&request.weights)?;
    let said = request.network.clone().or_else(|| weights.metadata().map(|m| m.network.clone())).unwrap_or_default();
    let network = zoo::network(&said).ok_or_else(|| {
        let known: Vec<&str> = zoo::NETWORKS.iter().map(|n| n.id).collect();
        let what = if said.is_empty() {
            "does not say which network it belongs to".into()
        } else {
            format!("is for {said}, which is not known")
        };
        Error::new(ErrorKind::Data, format!("{}: {what}", request.weights.display()))
            .with_hint(format!("Name the network (--network): {}.", known.join(", ")))
    })?;
    let described = weights.metadata().map(Metadata::completed).unwrap_or_default();
    let mut options = described.option_texts();
    options.extend(request.options.clone());
    network.graph(&weights, &shapes, &options).map_err(|e| {
        let hint = e.hint().unwrap_or("Give an array for every input of the network, of a shape that it takes.").to_owned();
        e.at(request.weights.display()).with_hint(hint)
    })
}

/// The file of a result: that of the request, with the result's name before the ending where there are several.
fn file_of(output: &Path, name: &str, count: usize) -> PathBuf {
    if count == 1 {
        return output.to_path_buf();
    }
    let stem = output.file_stem().unwrap_or_default().to_string_lossy();
    output.with_file_name(format!("{stem}.{name}.npy"))
}

fn as_type(tensor: &Tensor, dtype: DType) -> Result<Tensor> {
    let data = match (tensor.data(), dtype) {
        (Data::F32(v), DType::I64) => Data::I64(v.iter().map(|v| *v as i64).collect()),
        (Data::I64(v), DType::F32) => Data::F32(v.iter().map(|v| *v as f32).collect()),
        (Data::Bool(v), DType::F32) => Data::F32(v.iter().map(|v| f32::from(u8::from(*v))).collect()),
        (Data::F32(v), DType::Bool) => Data::Bool(v.iter().map(|v| *v != 0.0).collect()),
        (Data::I64(v), DType::Bool) => Data::Bool(v.iter().map(|v| *v != 0).collect()),
        (Data::Bool(v), DType::I64) => Data::I64(v.iter().map(|v| i64::from(*v)).collect()),
        _ => return Ok(tensor.clone()),
    };
    Tensor::new(tensor.shape(), data)
}

fn read(path: &Path) -> Result<Tensor> {
    let fail = |reason: String| {
        Error::new(ErrorKind::Read, format!("{}: {reason}", path.display()))
            .with_hint("Arrays are .npy files of numbers in C order, as numpy.save writes them.")
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
    let values: Vec<f32> = match tensor.data() {
        Data::F32(v) => v.clone(),
        Data::I64(v) => v.iter().map(|v| *v as f32).collect(),
        Data::Bool(v) => v.iter().map(|v| f32::from(u8::from(*v))).collect(),
    };
    let mut bytes = Vec::new();
    let written = (|| {
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd()?;
        writer.extend(values)?;
        writer.finish()
    })();
    written.map_err(|e: std::io::Error| Error::internal(format!("an array cannot be put into bytes: {e}")))?;
    Ok(bytes)
}
