//! Execution of a graph literally, operator by operator, in `f32` or `f64`: slow, and what everything else is held against.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use stfusion_core::{Error, ErrorKind, Result};

use crate::graph::{Graph, Origin};
use crate::tensor::{Data, Tensor};

/// A precision to compute in.
pub trait Real:
    Copy
    + PartialOrd
    + Debug
    + Default
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + 'static
{
    /// The nearest value to `v`.
    fn of(v: f64) -> Self;
    /// The value as `f64`.
    fn wide(self) -> f64;
    /// A function of the value, computed in `f64` and rounded.
    fn map(self, f: impl FnOnce(f64) -> f64) -> Self {
        Self::of(f(self.wide()))
    }
}

impl Real for f32 {
    fn of(v: f64) -> Self {
        v as f32
    }
    fn wide(self) -> f64 {
        self.into()
    }
}

impl Real for f64 {
    fn of(v: f64) -> Self {
        v
    }
    fn wide(self) -> f64 {
        self
    }
}

/// Values of an [`Array`].
#[derive(Debug, Clone, PartialEq)]
pub enum Values<T> {
    /// Numbers in the precision of the execution.
    Real(Vec<T>),
    /// Integers.
    I64(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
}

impl<T: Real> Values<T> {
    /// The values at `positions`; where there is none, `fill` (0 and false for other than numbers).
    pub(crate) fn pick(&self, positions: &[Option<usize>], fill: T) -> Self {
        fn at<E: Copy>(from: &[E], positions: &[Option<usize>], fill: E) -> Vec<E> {
            positions.iter().map(|p| p.map_or(fill, |p| from[p])).collect()
        }
        match self {
            Values::Real(v) => Values::Real(at(v, positions, fill)),
            Values::I64(v) => Values::I64(at(v, positions, 0)),
            Values::Bool(v) => Values::Bool(at(v, positions, false)),
        }
    }
}

/// A tensor in the precision of the execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Array<T> {
    /// Length of every axis.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Values<T>,
}

impl<T: Real> Array<T> {
    /// An array of numbers.
    pub fn new(shape: impl Into<Vec<usize>>, values: Vec<T>) -> Self {
        Array { shape: shape.into(), values: Values::Real(values) }
    }

    /// The number that `at` gives for every index.
    pub fn from_index(shape: impl Into<Vec<usize>>, at: impl FnMut(&[usize]) -> T) -> Self {
        let shape = shape.into();
        let values = positions(&shape, at);
        Array::new(shape, values)
    }

    /// The numbers.
    pub fn real(&self) -> &[T] {
        match &self.values {
            Values::Real(v) => v,
            _ => unreachable!("the graph has checked that these are numbers"),
        }
    }

    /// The integers.
    pub fn int(&self) -> &[i64] {
        match &self.values {
            Values::I64(v) => v,
            _ => unreachable!("the graph has checked that these are integers"),
        }
    }

    /// The truth values.
    pub fn truth(&self) -> &[bool] {
        match &self.values {
            Values::Bool(v) => v,
            _ => unreachable!("the graph has checked that these are truth values"),
        }
    }

    /// The number at an index.
    pub fn at(&self, index: &[usize]) -> T {
        self.real()[offset(&self.shape, index)]
    }

    /// From a tensor.
    pub fn from_tensor(tensor: &Tensor) -> Self {
        let values = match tensor.data() {
            Data::F32(v) => Values::Real(v.iter().map(|&v| T::of(v.into())).collect()),
            Data::I64(v) => Values::I64(v.clone()),
            Data::Bool(v) => Values::Bool(v.clone()),
        };
        Array { shape: tensor.shape().to_vec(), values }
    }
}

/// What `f` gives for every index of `shape`, in row-major order.
pub(crate) fn positions<R>(shape: &[usize], mut f: impl FnMut(&[usize]) -> R) -> Vec<R> {
    let count = shape.iter().product();
    let mut index = vec![0; shape.len()];
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        out.push(f(&index));
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

/// Place of an index in row-major order.
pub(crate) fn offset(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |at, (&n, &i)| at * n + i)
}

/// Distance between neighbours along every axis, in elements.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Runs `graph` on `inputs`, which are in the order of [`Graph::inputs`]; yields the results in the order of [`Graph::outputs`].
///
/// # Errors
/// The number, shape or type of the inputs is not what the graph was built for.
pub fn run<T: Real>(graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Array<T>>> {
    check_inputs(graph, inputs)?;
    let mut values: Vec<Option<Array<T>>> = graph
        .values()
        .iter()
        .map(|value| match value.origin {
            Origin::Input(i) => Some(Array::from_tensor(&inputs[i])),
            Origin::Parameter(i) => Some(Array::from_tensor(&graph.parameters()[i].tensor)),
            Origin::Constant(i) => Some(Array::from_tensor(&graph.constants()[i])),
            Origin::Node(..) => None,
        })
        .collect();
    let mut uses = vec![0usize; graph.values().len()];
    let ends = graph.outputs().iter().map(|p| p.value);
    for v in graph.nodes().iter().flat_map(|n| n.inputs.iter().copied()).chain(ends) {
        uses[v.index()] += 1;
    }
    for node in graph.nodes() {
        let operands: Vec<&Array<T>> = node.inputs.iter().filter_map(|v| values[v.index()].as_ref()).collect();
        let results = node.op.reference(&operands);
        for (id, result) in node.outputs.iter().zip(results) {
            values[id.index()] = Some(result);
        }
        for v in &node.inputs {
            uses[v.index()] -= 1;
            if uses[v.index()] == 0 {
                values[v.index()] = None;
            }
        }
    }
    Ok(graph.outputs().iter().filter_map(|p| values[p.value.index()].clone()).collect())
}

/// Fails unless `inputs` are what the graph was built for.
pub(crate) fn check_inputs(graph: &Graph, inputs: &[Tensor]) -> Result<()> {
    if inputs.len() != graph.inputs().len() {
        let message = format!("The network takes {} inputs, but {} were given", graph.inputs().len(), inputs.len());
        return Err(Error::new(ErrorKind::Argument, message));
    }
    for (port, tensor) in graph.inputs().iter().zip(inputs) {
        let ty = graph.ty(port.value);
        if ty.shape != tensor.shape() || ty.dtype != tensor.dtype() {
            let given = crate::graph::Type::new(tensor.dtype(), tensor.shape());
            let message = format!("Input {} of the network is {given}, but the network was built for {ty}", port.name);
            return Err(Error::new(ErrorKind::Argument, message));
        }
    }
    Ok(())
}
