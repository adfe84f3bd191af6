//! Normalisations. Every other one is a composition of [`super::Reduce`] and element-wise operators (instance normalisation is
//! [`GroupNorm`] with as many groups as channels).
//!
//! Gradients: the operand, its mean and the reciprocal of its deviation per normalised set, and the scale.

use super::{operands, real, shaped, Operator, Rule};
use crate::graph::Type;
use crate::reference::{Array, Real};

/// `(x - mean) / √(variance + ε) · scale + shift` per channel with given statistics; operands: x `(n, c, …)`, scale, shift, mean,
/// variance, all `(c)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm {
    /// ε, which keeps the divisor from zero.
    pub epsilon: f64,
}

impl Operator for BatchNorm {
    fn name(&self) -> &'static str {
        "batch normalisation"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 5..=5)?;
        real(inputs)?;
        let Some(&channels) = inputs[0].shape.get(1) else { return Err("an operand (n, c, …) is needed".into()) };
        for (what, ty) in ["scale", "shift", "mean", "variance"].iter().zip(&inputs[1..]) {
            shaped(what, ty, &[channels])?;
        }
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let inner: usize = x.shape[2..].iter().product();
        let [scale, shift, mean, variance] = [1, 2, 3, 4].map(|i| inputs[i].real());
        let y = x.real().iter().enumerate().map(|(i, &v)| {
            let c = i / inner % x.shape[1];
            (v - mean[c]) / (variance[c] + T::of(self.epsilon)).map(f64::sqrt) * scale[c] + shift[c]
        });
        vec![Array::new(x.shape.clone(), y.collect())]
    }
}

/// Mean and biased variance.
fn moments<T: Real>(set: &[T]) -> (T, T) {
    let n = T::of(set.len() as f64);
    let mean = set.iter().fold(T::of(0.0), |sum, &v| sum + v) / n;
    (mean, set.iter().fold(T::of(0.0), |sum, &v| sum + (v - mean) * (v - mean)) / n)
}

/// Scale and shift of element `i`, when they were given.
fn affine<T: Real>(inputs: &[&Array<T>], i: usize, v: T) -> T {
    match inputs {
        [_, scale, shift] => v * scale.real()[i] + shift.real()[i],
        _ => v,
    }
}

fn affine_operands(inputs: &[&Type], shape: &[usize]) -> Result<(), String> {
    operands(inputs, 1..=3)?;
    real(inputs)?;
    if inputs.len() == 2 {
        return Err("a scale needs a shift".into());
    }
    for (what, ty) in ["scale", "shift"].iter().zip(&inputs[1..]) {
        shaped(what, ty, shape)?;
    }
    Ok(())
}

/// Each set of the last axes to mean 0 and variance 1 (biased), then scaled and shifted; operands: x, optionally scale and shift of
/// the shape of those axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNorm {
    /// How many of the last axes form a set.
    pub axes: usize,
    /// ε, which keeps the divisor from zero.
    pub epsilon: f64,
}

impl Operator for LayerNorm {
    fn name(&self) -> &'static str {
        "layer normalisation"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=3)?;
        let shape = &inputs[0].shape;
        if self.axes == 0 || self.axes > shape.len() {
            return Err(format!("{} axes are to be normalised", self.axes));
        }
        affine_operands(inputs, &shape[shape.len() - self.axes..])?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let size = x.shape[x.shape.len() - self.axes..].iter().product();
        let mut y = Vec::with_capacity(x.real().len());
        for set in x.real().chunks_exact(size) {
            let (mean, variance) = moments(set);
            let deviation = (variance + T::of(self.epsilon)).map(f64::sqrt);
            y.extend(set.iter().enumerate().map(|(i, &v)| affine(inputs, i, (v - mean) / deviation)));
        }
        vec![Array::new(x.shape.clone(), y)]
    }
}

/// Each group of channels of an image to mean 0 and variance 1 (biased), then scaled and shifted per channel; operands: x
/// `(n, c, …)`, optionally scale and shift `(c)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNorm {
    /// Channels are shared out into so many sets.
    pub groups: usize,
    /// ε, which keeps the divisor from zero.
    pub epsilon: f64,
}

impl Operator for GroupNorm {
    fn name(&self) -> &'static str {
        "group normalisation"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=3)?;
        let channels = inputs[0].shape.get(1).copied().unwrap_or(0);
        if self.groups == 0 || channels == 0 || !channels.is_multiple_of(self.groups) {
            return Err(format!("{channels} channels cannot be shared out into {} groups", self.groups));
        }
        affine_operands(inputs, &[channels])?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let (per_group, inner) = (x.shape[1] / self.groups, x.shape[2..].iter().product::<usize>());
        let mut y = Vec::with_capacity(x.real().len());
        for (g, set) in x.real().chunks_exact(per_group * inner).enumerate() {
            let (mean, variance) = moments(set);
            let deviation = (variance + T::of(self.epsilon)).map(f64::sqrt);
            let first = g % self.groups * per_group;
            y.extend(set.iter().enumerate().map(|(i, &v)| affine(inputs, first + i / inner, (v - mean) / deviation)));
        }
        vec![Array::new(x.shape.clone(), y)]
    }
}
