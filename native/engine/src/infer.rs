//! A network run once on arrays: for networks whose inputs are no images of a fusion job, and for whoever wants to see what one does.
//!
//! Arrays are files ([`infer`]) or the caller's ([`infer_arrays`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stfusion_core::{Cancel, Error, ErrorKind, Result};
use stfusion_nn::cpu::Program;
use stfusion_nn::inspection;
use stfusion_nn::onnx::Model;
use stfusion_nn::weights::metadata::Choice;
use stfusion_nn::weights::Metadata;
use stfusion_nn::{zoo, DType, Data, Graph, Tensor, Weights};
use stfusion_simd::Path as Vectors;

use crate::array_files;
use crate::context::Context;

/// What the weights file does not say, or says otherwise.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InferOptions {
    /// Id of the network, where the file does not say it.
    pub network: Option<String>,
    /// Options of the network that win over those of the file.
    pub options: BTreeMap<String, Choice>,
}

/// What to run on files.
#[derive(Debug, Clone, Default)]
pub struct InferRequest {
    /// Weights file: safetensors or ONNX.
    pub weights: PathBuf,
    /// What it does not say.
    pub options: InferOptions,
    /// Arrays by the names of the network's inputs.
    pub inputs: Vec<(String, PathBuf)>,
    /// Where the result goes; with several, the name of each is put before the ending, unless it is a netCDF file.
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

/// An array of the caller's, or for the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedArray {
    /// Name of the input or the result in the network.
    pub name: String,
    /// Extent of every axis.
    pub shape: Vec<usize>,
    /// The values in C order.
    pub values: Vec<f32>,
}

/// Where weights are.
#[derive(Debug, Clone, Copy)]
pub enum WeightsSource<'a> {
    /// In a file.
    File(&'a Path),
    /// In memory, with the name that messages call them.
    Memory(&'a str, &'a [u8]),
}

impl WeightsSource<'_> {
    fn name(&self) -> String {
        match self {
            WeightsSource::File(path) => path.display().to_string(),
            WeightsSource::Memory(name, _) => (*name).to_owned(),
        }
    }

    /// The graph that an ONNX file holds; `None` for other files.
    fn model(&self) -> Result<Option<Model>> {
        Ok(match self {
            WeightsSource::File(path) if inspection::is_onnx_file(path) => Some(Model::read(path)?),
            WeightsSource::Memory(name, bytes) if inspection::is_onnx(bytes, name) => {
                Some(Model::from_bytes(bytes.to_vec(), name)?)
            }
            _ => None,
        })
    }

    fn weights(&self) -> Result<Weights> {
        match self {
            WeightsSource::File(path) => Weights::read(path),
            WeightsSource::Memory(name, bytes) => Weights::from_bytes(bytes, name),
        }
    }
}

/// Runs a network on arrays of files and writes its results.
///
/// # Errors
/// Those of reading weights and arrays; [`ErrorKind::Data`] when arrays and network do not fit; [`ErrorKind::Exists`] and
/// [`ErrorKind::Write`] for the results; [`ErrorKind::Cancelled`].
pub fn infer(request: &InferRequest, context: &Context, cancel: &Cancel) -> Result<Vec<Inferred>> {
    let given: Vec<(&str, Tensor)> =
        request.inputs.iter().map(|(name, path)| Ok((name.as_str(), array_files::read(path, name)?))).collect::<Result<_>>()?;
    let graph = graph(WeightsSource::File(&request.weights), &request.options, &given)?;
    let names: Vec<&str> = graph.outputs().iter().map(|port| port.name.as_str()).collect();
    let files = array_files::files_of(&request.output, &names);
    if let Some(existing) = files.iter().find(|file| !request.overwrite && file.exists()) {
        return Err(Error::new(ErrorKind::Exists, format!("{} exists", existing.display()))
            .with_hint("Choose another name, or ask to overwrite it (--overwrite)."));
    }
    let results = results(&graph, &given, context, cancel)?;
    array_files::write(&files, &results)?;
    let inferred = |((name, tensor), file): ((String, Tensor), &PathBuf)| Inferred {
        name,
        shape: tensor.shape().to_vec(),
        file: file.display().to_string(),
    };
    Ok(results.into_iter().zip(&files).map(inferred).collect())
}

/// Runs a network on the caller's arrays.
///
/// # Errors
/// Those of reading weights; [`ErrorKind::Data`] when arrays and network do not fit; [`ErrorKind::Cancelled`].
pub fn infer_arrays(
    weights: WeightsSource<'_>,
    options: &InferOptions,
    inputs: &[NamedArray],
    context: &Context,
    cancel: &Cancel,
) -> Result<Vec<NamedArray>> {
    let tensor = |input: &NamedArray| Tensor::from_f32(&input.shape, input.values.clone());
    let given: Vec<(&str, Tensor)> =
        inputs.iter().map(|input| Ok((input.name.as_str(), tensor(input)?))).collect::<Result<_>>()?;
    let graph = graph(weights, options, &given)?;
    let results = results(&graph, &given, context, cancel)?;
    let array = |(name, tensor): (String, Tensor)| NamedArray {
        shape: tensor.shape().to_vec(),
        values: array_files::numbers(&tensor),
        name,
    };
    Ok(results.into_iter().map(array).collect())
}

/// What the graph makes of the arrays, by the names of its outputs.
fn results(graph: &Graph, given: &[(&str, Tensor)], context: &Context, cancel: &Cancel) -> Result<Vec<(String, Tensor)>> {
    let program = Program::compile(graph, Vectors::from_environment().0)?;
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
    Ok(graph.outputs().iter().map(|port| port.name.clone()).zip(results).collect())
}

/// The graph for arrays of these shapes.
fn graph(source: WeightsSource<'_>, options: &InferOptions, given: &[(&str, Tensor)]) -> Result<Graph> {
    let shapes: Vec<(&str, Vec<usize>)> = given.iter().map(|(name, tensor)| (*name, tensor.shape().to_vec())).collect();
    if let Some(model) = source.model()? {
        let shapes: Vec<(&str, &[usize])> = shapes.iter().map(|(name, shape)| (*name, shape.as_slice())).collect();
        return model.graph(&shapes);
    }
    let weights = source.weights()?;
    let said = options.network.clone().or_else(|| weights.metadata().map(|m| m.network.clone())).unwrap_or_default();
    let network = zoo::network(&said).ok_or_else(|| {
        let known: Vec<&str> = zoo::NETWORKS.iter().map(|n| n.id).collect();
        let what = if said.is_empty() {
            "does not say which network it belongs to".into()
        } else {
            format!("is for {said}, which is not known")
        };
        Error::new(ErrorKind::Data, format!("{}: {what}", source.name()))
            .with_hint(format!("Name the network (--network): {}.", known.join(", ")))
    })?;
    let described = weights.metadata().map(Metadata::completed).unwrap_or_default();
    let own = Metadata { options: options.options.clone(), ..Metadata::default() };
    network.graph(&weights, &shapes, &own.over(&described).option_texts()).map_err(|e| {
        let hint = e.hint().unwrap_or("Give an array for every input of the network, of a shape that it takes.").to_owned();
        e.at(source.name()).with_hint(hint)
    })
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
