//! Elements taken from, or put at, places that another value gives.
//!
//! An index below zero counts from the end. Indices are not checked while a network runs: one beyond an axis is held at its end.
//!
//! Gradients: the indices; taking and putting are each other's gradient.

use super::{axis_of, operands, Operator, Rule};
use crate::graph::Type;
use crate::reference::{offset, positions, Array, Real, Values};
use crate::tensor::DType;

/// The element of an axis of length `n` that `index` means.
pub(crate) fn held(index: i64, n: usize) -> usize {
    let n = n as i64;
    (if index < 0 { index + n } else { index }).clamp(0, n - 1) as usize
}

fn check_indices(ty: &Type) -> Result<(), String> {
    if ty.dtype == DType::I64 {
        return Ok(());
    }
    Err(format!("indices must be i64, not {}", ty.dtype))
}

fn picked<T: Real>(x: &Array<T>, shape: Vec<usize>, sources: Vec<usize>) -> Vec<Array<T>> {
    let sources: Vec<Option<usize>> = sources.into_iter().map(Some).collect();
    vec![Array { shape, values: x.values.pick(&sources, T::of(0.0)) }]
}

/// Slices of an axis; operands: x `(a…, n, b…)`, indices `(i…)`; the result is `(a…, i…, b…)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gather {
    /// The axis of length n.
    pub axis: usize,
}

impl Gather {
    fn shape(&self, x: &[usize], indices: &[usize]) -> Vec<usize> {
        [&x[..self.axis], indices, &x[self.axis + 1..]].concat()
    }
}

impl Operator for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 2..=2)?;
        check_indices(inputs[1])?;
        axis_of(self.axis, inputs[0].shape.len())?;
        Ok(vec![Type::new(inputs[0].dtype, self.shape(&inputs[0].shape, &inputs[1].shape))])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, indices) = (inputs[0], inputs[1]);
        let shape = self.shape(&x.shape, &indices.shape);
        let sources = positions(&shape, |y| {
            let (before, rest) = y.split_at(self.axis);
            let (at, after) = rest.split_at(indices.shape.len());
            let index = held(indices.int()[offset(&indices.shape, at)], x.shape[self.axis]);
            offset(&x.shape, &[before, &[index], after].concat())
        });
        picked(x, shape, sources)
    }
}

fn elements(inputs: &[&Type], axis: usize) -> Result<(), String> {
    check_indices(inputs[1])?;
    let (x, indices) = (&inputs[0].shape, &inputs[1].shape);
    axis_of(axis, x.len())?;
    if indices.len() != x.len() || (0..x.len()).any(|a| a != axis && indices[a] > x[a]) {
        return Err(format!("indices must have its axes and, but for axis {axis}, lengths"));
    }
    Ok(())
}

/// Elements of an axis; operands: x, indices of the same axes; element `i` of the result is that of x with `i[axis]` replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GatherElements {
    /// The axis.
    pub axis: usize,
}

impl Operator for GatherElements {
    fn name(&self) -> &'static str {
        "gather elements"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 2..=2)?;
        elements(inputs, self.axis)?;
        Ok(vec![Type::new(inputs[0].dtype, inputs[1].shape.clone())])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, indices) = (inputs[0], inputs[1]);
        let mut index = indices.int().iter();
        let sources = positions(&indices.shape, |y| {
            let mut from = y.to_vec();
            from[self.axis] = index.next().map_or(0, |&i| held(i, x.shape[self.axis]));
            offset(&x.shape, &from)
        });
        picked(x, indices.shape.clone(), sources)
    }
}

/// `x` with `updates` put, in their order, at the places `sources` (or added to what is there).
fn put<T: Real>(x: &Array<T>, updates: &Array<T>, places: &[usize], add: bool) -> Vec<Array<T>> {
    fn set<E: Copy>(to: &mut [E], from: &[E], places: &[usize], join: impl Fn(E, E) -> E) {
        for (&place, &v) in places.iter().zip(from) {
            to[place] = join(to[place], v);
        }
    }
    let mut values = x.values.clone();
    match (&mut values, &updates.values) {
        (Values::Real(to), Values::Real(from)) => set(to, from, places, |a, b| if add { a + b } else { b }),
        (Values::I64(to), Values::I64(from)) => set(to, from, places, |a, b| if add { a.wrapping_add(b) } else { b }),
        (Values::Bool(to), Values::Bool(from)) => set(to, from, places, |a, b| b | (add & a)),
        _ => unreachable!("the graph has checked the types"),
    }
    vec![Array { shape: x.shape.clone(), values }]
}

/// Elements put at places of an axis; operands: x, indices, updates (the shape of the indices). Later updates win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScatterElements {
    /// The axis.
    pub axis: usize,
    /// Whether updates are added to what is there.
    pub add: bool,
}

impl Operator for ScatterElements {
    fn name(&self) -> &'static str {
        "scatter elements"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 3..=3)?;
        elements(inputs, self.axis)?;
        if inputs[2].dtype != inputs[0].dtype || inputs[2].shape != inputs[1].shape {
            return Err("updates must have the indices' shape and its type".into());
        }
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, indices) = (inputs[0], inputs[1]);
        let mut index = indices.int().iter();
        let places = positions(&indices.shape, |y| {
            let mut to = y.to_vec();
            to[self.axis] = index.next().map_or(0, |&i| held(i, x.shape[self.axis]));
            offset(&x.shape, &to)
        });
        put(x, inputs[2], &places, self.add)
    }
}

/// Slices put at places; operands: x, indices `(i…, k)` of the first k axes, updates `(i…, the other axes of x…)`. Later updates win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScatterNd {
    /// Whether updates are added to what is there.
    pub add: bool,
}

impl Operator for ScatterNd {
    fn name(&self) -> &'static str {
        "scatter"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 3..=3)?;
        check_indices(inputs[1])?;
        let x = &inputs[0].shape;
        let Some((&k, places)) = inputs[1].shape.split_last() else { return Err("indices need an axis".into()) };
        if k > x.len() || inputs[2].shape != [places, &x[k..]].concat() || inputs[2].dtype != inputs[0].dtype {
            return Err(format!("updates must be one slice beyond the first {k} axes for every index, and of its type"));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, indices) = (inputs[0], inputs[1]);
        let k = indices.shape.last().copied().unwrap_or(0);
        let slice: usize = x.shape[k..].iter().product();
        let starts = indices.int().chunks_exact(k).map(|index| {
            let at: Vec<usize> = index.iter().zip(&x.shape).map(|(&i, &n)| held(i, n)).collect();
            offset(&x.shape[..k], &at) * slice
        });
        let places: Vec<usize> = starts.flat_map(|start| start..start + slice).collect();
        put(x, inputs[2], &places, self.add)
    }
}
