//! The graph of a network: values, and the operators between them.
//!
//! A graph is built for concrete input shapes. [`Graph::add`] checks an operator against its inputs before it is added, so that
//! whoever runs the graph need not. Operators are data ([`Op`]): the CPU executor, a CUDA executor and training read the same graph,
//! and none of them may change its meaning. There is no fusion here; that is an executor's business.
//!
//! Nodes are in an order in which every value exists before it is used.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use stfusion_core::{Error, ErrorKind, Result};

use crate::ops::Op;
use crate::tensor::{DType, Shape, Tensor};

/// The most axes that a value may have.
pub const MAX_AXES: usize = 8;

/// What is known of a value before anything runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Type {
    /// What its elements are.
    pub dtype: DType,
    /// Length of every axis, outermost first.
    pub shape: Vec<usize>,
}

impl Type {
    /// A type.
    pub fn new(dtype: DType, shape: impl Into<Vec<usize>>) -> Self {
        Type { dtype, shape: shape.into() }
    }

    /// A type of `f32`.
    pub fn f32(shape: impl Into<Vec<usize>>) -> Self {
        Type::new(DType::F32, shape)
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all elements.
    pub fn bytes(&self) -> usize {
        self.len() * self.dtype.bytes()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dtype != DType::F32 {
            write!(f, "{} ", self.dtype)?;
        }
        write!(f, "{}", Shape(&self.shape))
    }
}

/// A value of a graph, by its place in [`Graph::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(crate) u32);

impl ValueId {
    /// Place in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The caller; place in [`Graph::inputs`].
    Input(usize),
    /// The weights; place in [`Graph::parameters`].
    Parameter(usize),
    /// The graph itself; place in [`Graph::constants`].
    Constant(usize),
    /// An operator; place in [`Graph::nodes`] and among its outputs.
    Node(usize, usize),
}

/// A value: its type and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// What is known of it.
    pub ty: Type,
    /// Where it comes from.
    pub origin: Origin,
}

/// An operator with its operands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// Operands, in the order that the operator documents.
    pub inputs: Vec<ValueId>,
    /// Results.
    pub outputs: Vec<ValueId>,
    /// The layer it belongs to, for messages: `encoder.0.1`.
    pub path: String,
}

/// What a parameter is to training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Learnt.
    Weight,
    /// Kept with the weights but not learnt: running statistics, index tables.
    Buffer,
}

/// A tensor from the weights file.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its published name.
    pub name: String,
    /// What training does with it.
    pub role: Role,
    /// Its values.
    pub tensor: Arc<Tensor>,
    /// The value that holds it.
    pub value: ValueId,
}

/// A named end of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name, unique among the inputs or among the outputs.
    pub name: String,
    /// The value.
    pub value: ValueId,
}

/// A network for inputs of given shapes.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    values: Vec<Value>,
    nodes: Vec<Node>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    parameters: Vec<Parameter>,
    constants: Vec<Arc<Tensor>>,
}

impl Graph {
    /// A graph without anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input that the caller provides.
    ///
    /// # Errors
    /// The name is taken, or the type has no elements or too many axes.
    pub fn input(&mut self, name: &str, ty: Type) -> Result<ValueId> {
        check_port(&self.inputs, name, "input")?;
        check_type(&ty).map_err(|m| Error::new(ErrorKind::Data, format!("Input {name}: {m}")))?;
        let value = self.value(ty, Origin::Input(self.inputs.len()));
        self.inputs.push(Port { name: name.into(), value });
        Ok(value)
    }

    /// Adds a tensor of the weights under its published name.
    pub fn parameter(&mut self, name: &str, role: Role, tensor: Arc<Tensor>) -> ValueId {
        let ty = Type::new(tensor.dtype(), tensor.shape());
        let value = self.value(ty, Origin::Parameter(self.parameters.len()));
        self.parameters.push(Parameter { name: name.into(), role, tensor, value });
        value
    }

    /// Adds a tensor that belongs to the architecture.
    pub fn constant(&mut self, tensor: Tensor) -> ValueId {
        let ty = Type::new(tensor.dtype(), tensor.shape());
        let value = self.value(ty, Origin::Constant(self.constants.len()));
        self.constants.push(Arc::new(tensor));
        value
    }

    /// Adds an operator and returns all its results. `path` names the layer in messages.
    ///
    /// # Errors
    /// The operator cannot take inputs of these types; the message names the layer, the operator and the shapes.
    pub fn add(&mut self, path: &str, op: Op, inputs: &[ValueId]) -> Result<Vec<ValueId>> {
        let types: Vec<&Type> = inputs.iter().map(|&v| &self.values[v.index()].ty).collect();
        let outputs = op.outputs(&types).and_then(|outputs| outputs.iter().try_for_each(check_type).map(|()| outputs));
        let outputs = outputs.map_err(|message| {
            let shapes: Vec<String> = types.iter().map(|t| t.to_string()).collect();
            let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
            let message = format!("{place}{} cannot take {}: {message}", op.name(), shapes.join(", "));
            Error::new(ErrorKind::Data, message)
                .with_hint("Check that the images have the sizes that the network and its weights expect.")
        })?;
        let node = self.nodes.len();
        let ids: Vec<ValueId> = outputs.into_iter().enumerate().map(|(i, ty)| self.value(ty, Origin::Node(node, i))).collect();
        self.nodes.push(Node { op, inputs: inputs.to_vec(), outputs: ids.clone(), path: path.into() });
        Ok(ids)
    }

    /// Names a value as a result of the graph.
    ///
    /// # Errors
    /// The name is taken.
    pub fn output(&mut self, name: &str, value: ValueId) -> Result<()> {
        check_port(&self.outputs, name, "output")?;
        self.outputs.push(Port { name: name.into(), value });
        Ok(())
    }

    fn value(&mut self, ty: Type, origin: Origin) -> ValueId {
        self.values.push(Value { ty, origin });
        ValueId((self.values.len() - 1) as u32)
    }

    /// What is known of a value.
    pub fn ty(&self, value: ValueId) -> &Type {
        &self.values[value.index()].ty
    }

    /// Length of every axis of a value.
    pub fn shape(&self, value: ValueId) -> &[usize] {
        &self.ty(value).shape
    }

    /// The tensor behind a parameter or constant.
    pub fn known(&self, value: ValueId) -> Option<&Arc<Tensor>> {
        match self.values[value.index()].origin {
            Origin::Parameter(i) => Some(&self.parameters[i].tensor),
            Origin::Constant(i) => Some(&self.constants[i]),
            _ => None,
        }
    }

    /// All values.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// All operators, each after those whose results it takes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What the caller provides, in the order of a run's arguments.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// What a run yields, in its order.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// The tensors of the weights that the graph uses.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The tensors that belong to the architecture.
    pub fn constants(&self) -> &[Arc<Tensor>] {
        &self.constants
    }

    /// Multiplications with addition that convolutions and matrix products of one run take.
    pub fn multiply_adds(&self) -> u64 {
        self.nodes.iter().map(|n| self.node_multiply_adds(n)).sum()
    }

    /// The same of one node.
    pub fn node_multiply_adds(&self, node: &Node) -> u64 {
        let types: Vec<&Type> = node.inputs.iter().map(|&v| self.ty(v)).collect();
        node.op.multiply_adds(&types, self.ty(node.outputs[0]))
    }
}

fn check_port(ports: &[Port], name: &str, what: &str) -> Result<()> {
    let names: HashSet<&str> = ports.iter().map(|p| p.name.as_str()).collect();
    if names.contains(name) {
        return Err(Error::new(ErrorKind::Data, format!("Two {what}s of the network are named {name}")));
    }
    Ok(())
}

fn check_type(ty: &Type) -> Result<(), String> {
    if ty.shape.len() > MAX_AXES {
        return Err(format!("{} has {} axes, but at most {MAX_AXES} are possible", Shape(&ty.shape), ty.shape.len()));
    }
    let bytes = ty.shape.iter().try_fold(ty.dtype.bytes(), |n, &d| n.checked_mul(d));
    match bytes {
        Some(0) => Err(format!("{} has no elements", Shape(&ty.shape))),
        Some(b) if b <= isize::MAX as usize / 4 => Ok(()),
        _ => Err(format!("{} is larger than any memory", Shape(&ty.shape))),
    }
}
