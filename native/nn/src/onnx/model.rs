//! An ONNX file, read and checked: what can be known before the sizes of the inputs are.
//!
//! ```text
//! bytes ──prost──> messages ──sizes, names, order, operators checked──> Model ──at the inputs' shapes──> Graph
//! ```
//!
//! Nothing is allocated for a tensor before its extents and its bytes agree.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use prost::bytes::Bytes;
use prost::Message as _;
use stfusion_core::{Error, ErrorKind, Result};

use super::attributes::{Attribute, Attributes};
use super::operators;
use super::proto::{self, kind};
use crate::tensor::{DType, Data, Tensor};
use crate::weights::dtype::{append_f32, append_i64};
use crate::weights::safetensors::METADATA_KEY;
use crate::weights::{Dtype, Metadata};

/// Versions of the operator set that are read.
pub const OPSETS: std::ops::RangeInclusive<i64> = 13..=18;

/// An extent of an input or output as the file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// A number.
    Fixed(usize),
    /// Any number; those of one name are the same.
    Free(String),
}

impl std::fmt::Display for Extent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Extent::Fixed(n) => write!(f, "{n}"),
            Extent::Free(name) if name.is_empty() => f.write_str("?"),
            Extent::Free(name) => f.write_str(name),
        }
    }
}

/// An input that the caller provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub dtype: DType,
    /// Its extents; `None` when the file does not say how many there are.
    pub extents: Option<Vec<Extent>>,
}

/// An operator with the names of its operands and results.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub op: String,
    pub name: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: Attributes,
}

impl Node {
    /// The node in messages: `Conv "/encoder/0/Conv"`, or `Conv of "x"` where it has no name.
    pub(crate) fn place(&self) -> String {
        if self.name.is_empty() {
            format!("{} that makes {:?}", self.op, self.outputs.first().map_or("nothing", String::as_str))
        } else {
            format!("{} {:?}", self.op, self.name)
        }
    }
}

/// A network from an ONNX file, ready to become a graph for any shapes of its inputs.
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) origin: String,
    pub(crate) opset: i64,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<String>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) initialisers: HashMap<String, Arc<Tensor>>,
    producer: String,
    metadata: Option<Metadata>,
    remarks: BTreeMap<String, String>,
}

/// A file that is not as the format demands.
fn malformed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Read, message).with_hint("Copy or download the file again, or export the network again.")
}

impl Model {
    /// Reads an ONNX file.
    ///
    /// # Errors
    /// [`ErrorKind::Read`] when it cannot be read or is malformed (cut off, tensors whose bytes and extents disagree, cycles, names
    /// that nothing defines), [`ErrorKind::Unsupported`] for other versions of the operator set, weights in other files and
    /// operators that cannot be run, all of them named with how often they are used, [`ErrorKind::Data`] for weights that are not finite.
    pub fn read(path: &Path) -> Result<Self> {
        let origin = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| {
            let reason = e.to_string();
            Error::new(ErrorKind::Read, format!("{origin}: {}", reason.split(" (os error").next().unwrap_or_default()))
                .with_hint("Check the name of the ONNX file and its permissions.")
        })?;
        Self::from_bytes(bytes, &origin)
    }

    /// Reads an ONNX file that lies in memory; messages call it `origin`.
    ///
    /// # Errors
    /// As [`Model::read`].
    pub fn from_bytes(bytes: impl Into<Bytes>, origin: &str) -> Result<Self> {
        Self::decode(bytes.into(), origin).map_err(|e| e.at(origin))
    }

    fn decode(bytes: Bytes, origin: &str) -> Result<Self> {
        let file = proto::Model::decode(bytes).map_err(|e| malformed(format!("is not an ONNX file, or was cut off: {e}")))?;
        let Some(graph) = file.graph else {
            return Err(malformed("is not an ONNX file, or was cut off: it holds no graph"));
        };
        let opset = opset(&file.opset_import)?;
        check_operators(&graph.node)?;
        check_tensors(&graph)?;
        let metadata = match file.metadata_props.iter().find(|e| e.key == METADATA_KEY) {
            Some(entry) => Some(Metadata::from_json(&entry.value)?),
            None => None,
        };
        let remarks = file.metadata_props.into_iter().filter(|e| e.key != METADATA_KEY).map(|e| (e.key, e.value)).collect();
        let mut initialisers = HashMap::with_capacity(graph.initializer.len());
        for tensor in graph.initializer {
            let place = format!("initialiser {:?}", tensor.name);
            let values = values(&tensor, &place)?;
            check_finite(&values, &place)?;
            if initialisers.insert(tensor.name, Arc::new(values)).is_some() {
                return Err(malformed(format!("{place} is there twice")));
            }
        }
        let inputs =
            graph.input.into_iter().filter(|i| !initialisers.contains_key(&i.name)).map(input).collect::<Result<Vec<_>>>()?;
        let outputs: Vec<String> = graph.output.into_iter().map(|o| o.name).collect();
        let nodes = graph.node.into_iter().map(node).collect::<Result<Vec<_>>>()?;
        let nodes = in_order(nodes, &inputs, &initialisers)?;
        check_outputs(&outputs, &nodes, &inputs, &initialisers)?;
        let producer = format!("{} {}", file.producer_name, file.producer_version).trim().to_owned();
        Ok(Model { origin: origin.to_owned(), opset, inputs, outputs, nodes, initialisers, producer, metadata, remarks })
    }

    /// What the caller provides, in the graph's order.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Names of the results, in the graph's order.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// Version of the operator set.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// Program that wrote the file.
    pub fn producer(&self) -> &str {
        &self.producer
    }

    /// The file's name, or what the caller called the bytes.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Number of operators.
    pub fn operators(&self) -> usize {
        self.nodes.len()
    }

    /// Number of initialisers.
    pub fn initialisers(&self) -> usize {
        self.initialisers.len()
    }

    /// Number of floating-point numbers in the initialisers.
    pub fn parameters(&self) -> usize {
        self.initialisers.values().filter_map(|t| t.f32s()).map(<[f32]>::len).sum()
    }

    /// What the file says about the network; `None` when it says nothing.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Other texts of the file, by their keys.
    pub fn remarks(&self) -> &BTreeMap<String, String> {
        &self.remarks
    }
}

fn opset(sets: &[proto::OperatorSet]) -> Result<i64> {
    let Some(set) = sets.iter().find(|s| s.domain.is_empty() || s.domain == "ai.onnx") else {
        return Err(malformed("does not say which version of the operator set it uses"));
    };
    if OPSETS.contains(&set.version) {
        return Ok(set.version);
    }
    let (least, most) = (OPSETS.start(), OPSETS.end());
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("uses version {} of the operator set; {least} to {most} are read", set.version),
    )
    .with_hint("Export the network again with opset_version=17."))
}

/// Fails when operators cannot be run: all are named, with how often they are used.
fn check_operators(nodes: &[proto::Node]) -> Result<()> {
    let mut unknown = BTreeMap::new();
    for node in nodes {
        let own = matches!(node.domain.as_str(), "" | "ai.onnx");
        if !own || !operators::is_known(&node.op_type) {
            let name = if own { node.op_type.clone() } else { format!("{}.{}", node.domain, node.op_type) };
            *unknown.entry(name).or_insert(0_usize) += 1;
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = unknown.iter().map(|(name, count)| format!("{name} ({count} times)")).collect();
    Err(Error::new(ErrorKind::Unsupported, format!("uses operators that cannot be run: {}", list.join(", ")))
        .with_hint("Export the network for inference with standard operators (opset_version=17, constant folding on)."))
}

/// Fails when a tensor's extents and bytes disagree, or its values are not in the file.
fn check_tensors(graph: &proto::Graph) -> Result<()> {
    if !graph.sparse_initializer.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, "has sparse initialisers, which are not read")
            .with_hint("Export the network with dense weights."));
    }
    for tensor in &graph.initializer {
        checked(tensor, &format!("initialiser {:?}", tensor.name))?;
    }
    for node in &graph.node {
        for attribute in &node.attribute {
            if let Some(tensor) = &attribute.t {
                checked(tensor, &format!("tensor {} of {} {:?}", attribute.name, node.op_type, node.name))?;
            }
        }
    }
    Ok(())
}

/// The format of a tensor and its shape.
fn checked(tensor: &proto::Tensor, place: &str) -> Result<(Dtype, Vec<usize>)> {
    if tensor.data_location == proto::EXTERNAL || !tensor.external_data.is_empty() {
        let file = tensor.external_data.iter().find(|e| e.key == "location").map_or("?", |e| e.value.as_str());
        return Err(Error::new(ErrorKind::Unsupported, format!("{place} lies in another file, {file:?}; only the file itself is read"))
            .with_hint("Export the network into one file: torch.onnx.export(..., external_data=False), or save it again with onnx.save(model, name, save_as_external_data=False)."));
    }
    let dtype = dtype(tensor.data_type).ok_or_else(|| not_a_number(tensor.data_type, place))?;
    let dims = &tensor.dims;
    let shape: Option<Vec<usize>> = dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let Some(shape) = shape else {
        return Err(malformed(format!("{place} has a negative extent: {dims:?}")));
    };
    let size = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)).and_then(|n| Some((n, n.checked_mul(dtype.bytes())?)));
    let Some((count, bytes)) = size else {
        return Err(malformed(format!("{place} is too large: {dims:?}")));
    };
    let (held, needed, unit) = if tensor.raw_data.is_empty() {
        let listed = match dtype {
            Dtype::F32 => tensor.float_data.len(),
            Dtype::F64 => tensor.double_data.len(),
            Dtype::I64 => tensor.int64_data.len(),
            Dtype::U32 | Dtype::U64 => tensor.uint64_data.len(),
            _ => tensor.int32_data.len(),
        };
        (listed, count, "values")
    } else {
        (tensor.raw_data.len(), bytes, "bytes")
    };
    if held != needed {
        return Err(malformed(format!(
            "{place} is declared as {} {dims:?}, {needed} {unit}, but the file holds {held}",
            dtype.name()
        )));
    }
    Ok((dtype, shape))
}

fn not_a_number(data_type: i32, place: &str) -> Error {
    let name = match data_type {
        8 => "texts".into(),
        14 | 15 => "complex numbers".into(),
        17..=20 => "numbers of 8 bits with an exponent".into(),
        other => format!("values of type {other}"),
    };
    Error::new(ErrorKind::Unsupported, format!("{place} holds {name}, which are not read"))
        .with_hint("Export the network in single precision.")
}

/// The number format behind ONNX's number for it.
fn dtype(data_type: i32) -> Option<Dtype> {
    Some(match data_type {
        1 => Dtype::F32,
        2 => Dtype::U8,
        3 => Dtype::I8,
        4 => Dtype::U16,
        5 => Dtype::I16,
        6 => Dtype::I32,
        7 => Dtype::I64,
        9 => Dtype::Bool,
        10 => Dtype::F16,
        11 => Dtype::F64,
        12 => Dtype::U32,
        13 => Dtype::U64,
        16 => Dtype::Bf16,
        _ => return None,
    })
}

/// What a network computes with where ONNX's type is `data_type`.
pub(crate) fn computed(data_type: i64) -> Option<DType> {
    i32::try_from(data_type).ok().and_then(dtype).map(Dtype::computed)
}

/// The values of a tensor.
fn values(tensor: &proto::Tensor, place: &str) -> Result<Tensor> {
    let (dtype, shape) = checked(tensor, place)?;
    let count: usize = shape.iter().product();
    let too_large = || malformed(format!("{place} holds an integer larger than {}", i64::MAX));
    let raw = &tensor.raw_data;
    let data = match dtype.computed() {
        DType::F32 => {
            let mut values = Vec::with_capacity(count);
            match dtype {
                _ if !raw.is_empty() => append_f32(dtype, raw, &mut values),
                Dtype::F32 => values.extend(&tensor.float_data),
                Dtype::F64 => values.extend(tensor.double_data.iter().map(|&v| v as f32)),
                // the bits of each number in the lower half of an integer
                _ => {
                    let bits: Vec<u8> = tensor.int32_data.iter().flat_map(|v| (*v as u16).to_le_bytes()).collect();
                    append_f32(dtype, &bits, &mut values);
                }
            }
            Data::F32(values)
        }
        DType::I64 => {
            let mut values = Vec::with_capacity(count);
            match dtype {
                _ if !raw.is_empty() => {
                    if !append_i64(dtype, raw, &mut values) {
                        return Err(too_large());
                    }
                }
                Dtype::I64 => values.extend(&tensor.int64_data),
                Dtype::U32 | Dtype::U64 => {
                    for &value in &tensor.uint64_data {
                        values.push(i64::try_from(value).map_err(|_| too_large())?);
                    }
                }
                _ => values.extend(tensor.int32_data.iter().map(|&v| i64::from(v))),
            }
            Data::I64(values)
        }
        DType::Bool if raw.is_empty() => Data::Bool(tensor.int32_data.iter().map(|&v| v != 0).collect()),
        DType::Bool => Data::Bool(raw.iter().map(|&b| b != 0).collect()),
    };
    Tensor::new(&shape, data)
}

fn check_finite(tensor: &Tensor, place: &str) -> Result<()> {
    let Some(values) = tensor.f32s() else { return Ok(()) };
    // infinities stand for what attention must not see
    let count = values.iter().filter(|v| v.is_nan()).count();
    if count == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Data, format!("{place} holds {count} of {} values that are not numbers", values.len()))
        .with_hint("The training that made them has diverged, or the file is damaged: export an earlier checkpoint, or fetch the file again."))
}

fn input(info: proto::ValueInfo) -> Result<Input> {
    let place = format!("input {:?}", info.name);
    let Some(ty) = info.ty.and_then(|t| t.tensor) else {
        return Err(Error::new(ErrorKind::Unsupported, format!("{place} is not a tensor"))
            .with_hint("Export the network with tensors as inputs."));
    };
    let dtype = dtype(ty.elem_type).ok_or_else(|| not_a_number(ty.elem_type, &place))?.computed();
    let extents = match ty.shape {
        None => None,
        Some(shape) => {
            let extents = shape.dim.into_iter().map(|d| match d.dim_value {
                Some(value) => usize::try_from(value)
                    .map(Extent::Fixed)
                    .map_err(|_| malformed(format!("{place} has a negative extent: {value}"))),
                None => Ok(Extent::Free(d.dim_param.unwrap_or_default())),
            });
            Some(extents.collect::<Result<Vec<_>>>()?)
        }
    };
    Ok(Input { name: info.name, dtype, extents })
}

fn node(node: proto::Node) -> Result<Node> {
    let mut attributes = BTreeMap::new();
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    for attribute in node.attribute {
        let place = || format!("attribute {:?} of {} {:?}", attribute.name, node.op_type, node.name);
        let value = match attribute.kind {
            kind::FLOAT => Attribute::Float(attribute.f.unwrap_or_default()),
            kind::INT => Attribute::Int(attribute.i.unwrap_or_default()),
            kind::STRING => Attribute::Text(attribute.s.as_ref().map(text).unwrap_or_default()),
            kind::TENSOR => match &attribute.t {
                Some(tensor) => Attribute::Tensor(Arc::new(values(tensor, &place())?)),
                None => return Err(malformed(format!("{} has no value", place()))),
            },
            kind::FLOATS => Attribute::Floats(attribute.floats),
            kind::INTS => Attribute::Ints(attribute.ints),
            kind::STRINGS => Attribute::Texts(attribute.strings.iter().map(text).collect()),
            other => return Err(malformed(format!("{} is of the unknown kind {other}", place()))),
        };
        attributes.insert(attribute.name, value);
    }
    Ok(Node { op: node.op_type, name: node.name, inputs: node.input, outputs: node.output, attributes: Attributes(attributes) })
}

/// The nodes in an order in which every value exists before it is used: the file's, where that is such an order.
fn in_order(nodes: Vec<Node>, inputs: &[Input], initialisers: &HashMap<String, Arc<Tensor>>) -> Result<Vec<Node>> {
    let given: HashSet<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
    if given.len() < inputs.len() {
        return Err(malformed("two inputs have the same name"));
    }
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (k, node) in nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|o| !o.is_empty()) {
            let is_given = initialisers.contains_key(output) || given.contains(output.as_str());
            if is_given || makers.insert(output, k).is_some() {
                return Err(malformed(format!("the value {output:?} is made twice, the second time by {}", node.place())));
            }
        }
    }
    let mut waiting = vec![0_usize; nodes.len()];
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (k, node) in nodes.iter().enumerate() {
        for name in node.inputs.iter().filter(|i| !i.is_empty()) {
            match makers.get(name.as_str()) {
                Some(&maker) => {
                    waiting[k] += 1;
                    users[maker].push(k);
                }
                None if given.contains(name.as_str()) || initialisers.contains_key(name) => {}
                None => {
                    return Err(malformed(format!(
                        "{} takes the value {name:?}, which nothing in the file defines",
                        node.place()
                    )));
                }
            }
        }
    }
    let mut ready: VecDeque<usize> = (0..nodes.len()).filter(|&k| waiting[k] == 0).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(k) = ready.pop_front() {
        order.push(k);
        for &user in &users[k] {
            waiting[user] -= 1;
            if waiting[user] == 0 {
                ready.push_back(user);
            }
        }
    }
    if order.len() < nodes.len() {
        let stuck: Vec<_> = (0..nodes.len()).filter(|&k| waiting[k] > 0).map(|k| nodes[k].place()).collect();
        let shown = stuck.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(malformed(format!(
            "its operators wait for each other in a cycle ({} of them, among them {shown})",
            stuck.len()
        )));
    }
    let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|k| nodes[k].take()).collect())
}

fn check_outputs(
    outputs: &[String],
    nodes: &[Node],
    inputs: &[Input],
    initialisers: &HashMap<String, Arc<Tensor>>,
) -> Result<()> {
    if outputs.is_empty() {
        return Err(malformed("declares no outputs"));
    }
    let made: HashSet<&String> = nodes.iter().flat_map(|n| &n.outputs).chain(inputs.iter().map(|i| &i.name)).collect();
    let mut seen = HashSet::new();
    for output in outputs {
        if !made.contains(output) && !initialisers.contains_key(output) {
            return Err(malformed(format!("the output {output:?} is made by no operator")));
        }
        if !seen.insert(output) {
            return Err(malformed(format!("the output {output:?} is declared twice")));
        }
    }
    Ok(())
}
