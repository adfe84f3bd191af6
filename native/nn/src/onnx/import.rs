//! From the operators of an ONNX file to a [`Graph`], at concrete shapes of the inputs.
//!
//! Every value is either known or live. An operator on known values is computed at once with its reference, as long as it is small
//! (shape arithmetic, masks); anything else is added to the graph, known values as parameters under their names or as constants.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use stfusion_core::{Error, ErrorKind, Result};

use super::attributes::Attributes;
use super::model::{Extent, Input, Model, Node};
use super::operators;
use crate::graph::{Graph, Role, Type, ValueId};
use crate::ops::Op;
use crate::reference::{Array, Values};
use crate::tensor::{DType, Data, Tensor};

/// Most numbers that an operator on known values takes or gives to be computed at once.
const MOST_AT_ONCE: usize = 1 << 16;

/// Most numbers that a known value may have, and that all made during an import may have together.
const MOST_KNOWN: usize = 1 << 24;

/// Largest extent that a file or a caller may ask for.
pub(crate) const MOST_EXTENT: usize = i32::MAX as usize;

/// A value on the way into the graph.
#[derive(Debug, Clone)]
pub(crate) enum Operand {
    /// Its numbers are known; those of the file have names.
    Known(Arc<Tensor>, Option<String>),
    /// It is computed when the graph runs.
    Live(ValueId),
}

/// Why an operator cannot be imported.
#[derive(Debug)]
pub(crate) enum Stop {
    /// What is wrong, to be completed with the operator's name.
    Words(String),
    /// The graph's own error, complete.
    Whole(Error),
}

impl From<String> for Stop {
    fn from(words: String) -> Self {
        Stop::Words(words)
    }
}

impl From<&str> for Stop {
    fn from(words: &str) -> Self {
        Stop::Words(words.into())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Whole(error)
    }
}

/// What an operator's import returns.
pub(crate) type Step<T> = Result<T, Stop>;

/// An operator of the file with its operands.
pub(crate) struct Call<'a> {
    pub node: &'a Node,
    operands: Vec<Option<Operand>>,
}

impl Call<'_> {
    /// The attributes.
    pub fn attributes(&self) -> &Attributes {
        &self.node.attributes
    }

    /// An operand that must be there, counted from 0.
    pub fn operand(&self, k: usize) -> Step<&Operand> {
        self.optional(k).ok_or_else(|| Stop::Words(format!("its operand {} is missing", k + 1)))
    }

    /// An operand that may be left out, counted from 0.
    pub fn optional(&self, k: usize) -> Option<&Operand> {
        self.operands.get(k).and_then(Option::as_ref)
    }

    /// All operands, none left out, at least one.
    pub fn all(&self) -> Step<Vec<Operand>> {
        if self.operands.is_empty() {
            return Err("it has no operands".into());
        }
        (0..self.operands.len()).map(|k| self.operand(k).cloned()).collect()
    }

    /// Whether the file uses result `k`, counted from 0.
    pub fn wants(&self, k: usize) -> bool {
        self.node.outputs.get(k).is_some_and(|name| !name.is_empty())
    }

    /// Number of results that the file names.
    pub fn results(&self) -> usize {
        self.node.outputs.len()
    }
}

/// The graph as far as it is built.
pub(crate) struct Importer {
    graph: Graph,
    place: String,
    by_name: HashMap<String, ValueId>,
    by_tensor: HashMap<*const Tensor, (Arc<Tensor>, ValueId)>,
    known: usize,
}

impl Importer {
    /// The element type and the extents of a value.
    pub fn ty(&self, operand: &Operand) -> Type {
        match operand {
            Operand::Known(tensor, _) => Type::new(tensor.dtype(), tensor.shape()),
            Operand::Live(id) => self.graph.ty(*id).clone(),
        }
    }

    /// The extents of a value.
    pub fn shape(&self, operand: &Operand) -> Vec<usize> {
        self.ty(operand).shape
    }

    /// A known value, within what may be known.
    pub fn known(&mut self, shape: &[usize], data: Data) -> Step<Operand> {
        self.known += data.len();
        if self.known > MOST_KNOWN {
            return Err(format!("the network's constants take more than {MOST_KNOWN} numbers").into());
        }
        Ok(Operand::Known(Arc::new(Tensor::new(shape, data)?), None))
    }

    /// One known floating-point number.
    pub fn scalar(&mut self, value: f32) -> Step<Operand> {
        self.known(&[], Data::F32(vec![value]))
    }

    /// A known value of `shape` in which every number is that of `value`, which has one.
    pub fn filled(&mut self, shape: &[usize], value: &Tensor) -> Step<Operand> {
        let count = elements(shape)
            .filter(|&n| n <= MOST_KNOWN)
            .ok_or_else(|| format!("its result would be {shape:?}, more than {MOST_KNOWN} numbers"))?;
        let data = match value.data() {
            Data::F32(v) if v.len() == 1 => Data::F32(vec![v[0]; count]),
            Data::I64(v) if v.len() == 1 => Data::I64(vec![v[0]; count]),
            Data::Bool(v) if v.len() == 1 => Data::Bool(vec![v[0]; count]),
            other => return Err(format!("its value must be one number, not {}", other.len()).into()),
        };
        self.known(shape, data)
    }

    /// The tensor behind a value that must be known; `what` names it in messages.
    pub fn fixed<'a>(&self, operand: &'a Operand, what: &str) -> Step<&'a Arc<Tensor>> {
        match operand {
            Operand::Known(tensor, _) => Ok(tensor),
            Operand::Live(_) => Err(format!("its {what} depends on the values of the images").into()),
        }
    }

    /// The integers behind a value that must be known.
    pub fn ints(&self, operand: &Operand, what: &str) -> Step<Vec<i64>> {
        let tensor = self.fixed(operand, what)?;
        let ints = tensor.i64s().ok_or_else(|| format!("its {what} must be integers, not {}", tensor.dtype()))?;
        Ok(ints.to_vec())
    }

    /// The floating-point numbers behind a value that must be known.
    pub fn floats(&self, operand: &Operand, what: &str) -> Step<Vec<f32>> {
        let tensor = self.fixed(operand, what)?;
        let floats = tensor.f32s().ok_or_else(|| format!("its {what} must be floating-point numbers, not {}", tensor.dtype()))?;
        Ok(floats.to_vec())
    }

    /// Adds an operator, or computes it, and returns all its results.
    pub fn apply(&mut self, op: impl Into<Op>, operands: &[Operand]) -> Step<Vec<Operand>> {
        let op = op.into();
        if let Some(results) = self.computed(&op, operands)? {
            return Ok(results);
        }
        let ids = operands.iter().map(|o| self.live(o)).collect::<Step<Vec<_>>>()?;
        Ok(self.graph.add(&self.place, op, &ids)?.into_iter().map(Operand::Live).collect())
    }

    /// The only, or first, result of [`Importer::apply`].
    pub fn one(&mut self, op: impl Into<Op>, operands: &[Operand]) -> Step<Operand> {
        let first = self.apply(op, operands)?.into_iter().next();
        first.ok_or_else(|| Error::internal("an operator has no result").into())
    }

    /// The only, or first, result of an operator of one operand.
    pub fn on(&mut self, op: impl Into<Op>, operand: &Operand) -> Step<Operand> {
        self.one(op, std::slice::from_ref(operand))
    }

    /// The results of an operator whose operands are known and small.
    fn computed(&mut self, op: &Op, operands: &[Operand]) -> Step<Option<Vec<Operand>>> {
        let mut tensors = Vec::with_capacity(operands.len());
        for operand in operands {
            match operand {
                Operand::Known(tensor, _) if tensor.data().len() <= MOST_AT_ONCE => tensors.push(tensor),
                _ => return Ok(None),
            }
        }
        let types: Vec<Type> = operands.iter().map(|o| self.ty(o)).collect();
        let types: Vec<&Type> = types.iter().collect();
        let results = op.outputs(&types).map_err(|words| {
            let shapes: Vec<_> = types.iter().map(|t| t.to_string()).collect();
            format!("{} cannot take {}: {words}", op.name(), shapes.join(", "))
        })?;
        let counts: Option<Vec<usize>> = results.iter().map(|t| elements(&t.shape)).collect();
        let Some(counts) = counts.filter(|c| c.iter().all(|&n| n <= MOST_AT_ONCE)) else { return Ok(None) };
        if counts.iter().all(|&n| n == 0) {
            let empty = results.iter().map(|ty| {
                let data = match ty.dtype {
                    DType::F32 => Data::F32(Vec::new()),
                    DType::I64 => Data::I64(Vec::new()),
                    DType::Bool => Data::Bool(Vec::new()),
                };
                self.known(&ty.shape, data)
            });
            return empty.collect::<Step<Vec<_>>>().map(Some);
        }
        if tensors.iter().any(|t| t.data().is_empty()) {
            return Err(format!("{} cannot take a tensor without elements", op.name()).into());
        }
        let arrays: Vec<Array<f32>> = tensors.iter().map(|t| Array::from_tensor(t)).collect();
        let arrays: Vec<&Array<f32>> = arrays.iter().collect();
        let results = op.reference(&arrays).into_iter().map(|array| {
            let data = match array.values {
                Values::Real(v) => Data::F32(v),
                Values::I64(v) => Data::I64(v),
                Values::Bool(v) => Data::Bool(v),
            };
            self.known(&array.shape, data)
        });
        results.collect::<Step<Vec<_>>>().map(Some)
    }

    /// The value in the graph.
    pub fn live(&mut self, operand: &Operand) -> Step<ValueId> {
        let (tensor, name) = match operand {
            Operand::Live(id) => return Ok(*id),
            Operand::Known(tensor, name) => (tensor, name),
        };
        if tensor.data().is_empty() {
            return Err(format!("a tensor without elements, {:?}, cannot be computed with", tensor.shape()).into());
        }
        if let Some(name) = name {
            if let Some(&id) = self.by_name.get(name) {
                return Ok(id);
            }
            let role = if tensor.dtype() == DType::F32 { Role::Weight } else { Role::Buffer };
            let id = self.graph.parameter(name, role, Arc::clone(tensor));
            self.by_name.insert(name.clone(), id);
            return Ok(id);
        }
        if let Some((_, id)) = self.by_tensor.get(&Arc::as_ptr(tensor)) {
            return Ok(*id);
        }
        let id = self.graph.constant(tensor.as_ref().clone());
        // the tensor is kept, so that its address stays its own
        self.by_tensor.insert(Arc::as_ptr(tensor), (Arc::clone(tensor), id));
        Ok(id)
    }
}

/// The product of extents, if it is a number.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d))
}

impl Model {
    /// The graph for inputs of these shapes, named as in the file. An input that is not listed has the shape that the file declares.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when an input is unknown, missing or has other extents than the file declares, or when shapes do not fit
    /// an operator; [`ErrorKind::Unsupported`] for variants of operators that cannot be run. The message names file and operator.
    pub fn graph(&self, shapes: &[(&str, &[usize])]) -> Result<Graph> {
        self.imported(shapes).map_err(|e| e.at(&self.origin))
    }

    fn imported(&self, shapes: &[(&str, &[usize])]) -> Result<Graph> {
        for (name, _) in shapes {
            if self.inputs.iter().all(|i| i.name != *name) {
                let known: Vec<_> = self.inputs.iter().map(|i| i.name.as_str()).collect();
                return Err(Error::new(ErrorKind::Data, format!("the network has no input {name:?}"))
                    .with_hint(format!("Its inputs are: {}.", known.join(", "))));
            }
        }
        let mut importer =
            Importer { graph: Graph::new(), place: String::new(), by_name: HashMap::new(), by_tensor: HashMap::new(), known: 0 };
        let mut values: HashMap<&str, Operand> = HashMap::new();
        for input in &self.inputs {
            let given = shapes.iter().find(|(name, _)| *name == input.name).map(|(_, shape)| *shape);
            let ty = Type::new(input.dtype, shape_of(input, given)?);
            values.insert(&input.name, Operand::Live(importer.graph.input(&input.name, ty)?));
        }
        for (name, tensor) in &self.initialisers {
            values.insert(name, Operand::Known(Arc::clone(tensor), Some(name.clone())));
        }
        for node in self.needed() {
            importer.place = node.place();
            let results = self.step(&mut importer, node, &values).map_err(|stop| match stop {
                Stop::Whole(error) => error,
                Stop::Words(words) => Error::new(ErrorKind::Unsupported, format!("{}: {words}", node.place())).with_hint(
                    "Export the network for inference with opset_version=17, at the size of the tiles if sizes are fixed.",
                ),
            })?;
            for (name, result) in node.outputs.iter().zip(results) {
                values.insert(name, result);
            }
        }
        for name in &self.outputs {
            let value = values.get(name.as_str()).ok_or_else(|| Error::internal(format!("output {name:?} was not made")))?;
            importer.place = format!("output {name:?}");
            let id = importer.live(value).map_err(|stop| match stop {
                Stop::Whole(error) => error,
                Stop::Words(words) => Error::new(ErrorKind::Unsupported, format!("output {name:?}: {words}")),
            })?;
            importer.graph.output(name, id)?;
        }
        Ok(importer.graph)
    }

    fn step(&self, importer: &mut Importer, node: &Node, values: &HashMap<&str, Operand>) -> Step<Vec<Operand>> {
        let operands = node.inputs.iter().map(|name| values.get(name.as_str()).cloned()).collect();
        let import = operators::by_name(&node.op).ok_or_else(|| Error::internal(format!("{} was not checked", node.op)))?;
        let results = import(importer, &Call { node, operands })?;
        if let Some(missing) = node.outputs.iter().skip(results.len()).find(|name| !name.is_empty()) {
            return Err(format!("its result {missing:?} is not computed here").into());
        }
        Ok(results)
    }

    /// The operators that the outputs depend on.
    fn needed(&self) -> Vec<&Node> {
        let mut wanted: HashSet<&str> = self.outputs.iter().map(String::as_str).collect();
        let mut nodes = Vec::new();
        for node in self.nodes.iter().rev() {
            if node.outputs.iter().any(|o| wanted.contains(o.as_str())) {
                wanted.extend(node.inputs.iter().map(String::as_str));
                nodes.push(node);
            }
        }
        nodes.reverse();
        nodes
    }
}

/// The shape of an input, as given and as the file declares it.
fn shape_of(input: &Input, given: Option<&[usize]>) -> Result<Vec<usize>> {
    let declared = input.extents.as_ref();
    let words =
        declared.map_or("anything".into(), |d| format!("({})", d.iter().map(Extent::to_string).collect::<Vec<_>>().join(", ")));
    let place = format!("input {:?}", input.name);
    let Some(given) = given else {
        let fixed = declared.and_then(|d| d.iter().map(|e| if let Extent::Fixed(n) = e { Some(*n) } else { None }).collect());
        return fixed.ok_or_else(|| {
            Error::new(ErrorKind::Data, format!("{place} has no shape of its own: it takes {words}"))
                .with_hint("Give the shape of the images that it is run on.")
        });
    };
    let fits = |(extent, n): (&Extent, &usize)| !matches!(extent, Extent::Fixed(m) if m != n);
    if declared.is_some_and(|d| d.len() != given.len() || !d.iter().zip(given).all(fits)) {
        return Err(Error::new(ErrorKind::Data, format!("{place} is given {given:?}; the network takes {words}")).with_hint(
            "Use the bands and the tile size that the network was exported for, or export it again with dynamic axes.",
        ));
    }
    if let Some(extent) = given.iter().find(|&&n| n > MOST_EXTENT) {
        return Err(Error::new(ErrorKind::Data, format!("{place} is given {given:?}; {extent} is too large"))
            .with_hint("Use smaller tiles."));
    }
    Ok(given.to_vec())
}
