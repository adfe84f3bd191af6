//! Softmax along an axis.
//!
//! Gradients: the result.

use super::{along_axis, Operator, Rule};
use crate::graph::Type;
use crate::reference::{Array, Real};

/// `eˣ / Σ eˣ` along an axis, or its logarithm; one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Softmax {
    /// The axis.
    pub axis: usize,
    /// Whether the logarithm is wanted.
    pub log: bool,
}

impl Operator for Softmax {
    fn name(&self) -> &'static str {
        if self.log {
            "log softmax"
        } else {
            "softmax"
        }
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        along_axis(inputs, self.axis)?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let (n, inner) = (x.shape[self.axis], x.shape[self.axis + 1..].iter().product::<usize>());
        let mut y = x.real().to_vec();
        for block in y.chunks_exact_mut(n * inner) {
            for i in 0..inner {
                let largest =
                    (0..n).map(|j| block[j * inner + i]).fold(T::of(f64::NEG_INFINITY), |a, b| if b > a { b } else { a });
                let sum = (0..n).fold(T::of(0.0), |sum, j| sum + (block[j * inner + i] - largest).map(f64::exp));
                for j in 0..n {
                    let v = block[j * inner + i] - largest;
                    block[j * inner + i] = if self.log { v - sum.map(f64::ln) } else { v.map(f64::exp) / sum };
                }
            }
        }
        vec![Array::new(x.shape.clone(), y)]
    }
}
