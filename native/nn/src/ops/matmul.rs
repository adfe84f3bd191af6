//! Products of matrices.
//!
//! Gradients: of each operand from the other.

use super::{broadcast, elementwise::broadcast_positions, operands, real, shaped, Operator, Rule};
use crate::graph::Type;
use crate::reference::{Array, Real};

/// Products over the last two axes; operands: a `(…, m, k)`, b `(…, k, n)`, the axes before broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MatMul;

impl Operator for MatMul {
    fn name(&self) -> &'static str {
        "matrix product"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 2..=2)?;
        real(inputs)?;
        let (a, b) = (&inputs[0].shape, &inputs[1].shape);
        let (Some((&[m, k], before_a)), Some((&[k2, n], before_b))) = (split(a), split(b)) else {
            return Err("matrices need two axes at least".into());
        };
        if k != k2 {
            return Err(format!("rows of {k} do not fit columns of {k2}"));
        }
        let mut shape = broadcast(&[before_a, before_b])?;
        shape.extend([m, n]);
        Ok(vec![Type::f32(shape)])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (a, b) = (inputs[0], inputs[1]);
        let (Some((&[m, k], before_a)), Some((&[_, n], before_b))) = (split(&a.shape), split(&b.shape)) else {
            unreachable!("the graph has checked the axes");
        };
        let mut shape = broadcast(&[before_a, before_b]).unwrap_or_default();
        let (at_a, at_b) = (broadcast_positions(before_a, &shape), broadcast_positions(before_b, &shape));
        let mut y = Vec::with_capacity(at_a.len() * m * n);
        for (p, q) in at_a.into_iter().zip(at_b) {
            let (a, b) = (&a.real()[p * m * k..], &b.real()[q * k * n..]);
            for i in 0..m {
                y.extend((0..n).map(|j| (0..k).fold(T::of(0.0), |sum, l| sum + a[i * k + l] * b[l * n + j])));
            }
        }
        shape.extend([m, n]);
        vec![Array::new(shape, y)]
    }

    fn multiply_adds(&self, inputs: &[&Type], output: &Type) -> u64 {
        output.len() as u64 * inputs[0].shape.last().copied().unwrap_or(0) as u64
    }
}

/// The last two axes and those before.
fn split(shape: &[usize]) -> Option<(&[usize; 2], &[usize])> {
    shape.split_last_chunk::<2>().map(|(before, last)| (last, before))
}

/// `x Wᵀ + b`; operands: x `(…, k)`, weight `(n, k)`, optionally bias `(n)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Linear;

impl Operator for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 2..=3)?;
        real(inputs)?;
        let (x, weight) = (&inputs[0].shape, &inputs[1].shape);
        let (Some((k, before)), [n, k2]) = (x.split_last(), &weight[..]) else {
            return Err("an operand (…, k) and weights (n, k) are needed".into());
        };
        if k != k2 {
            return Err(format!("rows of {k} do not fit weights for {k2}"));
        }
        inputs.get(2).map_or(Ok(()), |bias| shaped("bias", bias, &[*n]))?;
        Ok(vec![Type::f32([before, &[*n]].concat())])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, weight) = (inputs[0], inputs[1]);
        let (n, k) = (weight.shape[0], weight.shape[1]);
        let mut y = Vec::with_capacity(x.real().len() / k * n);
        for row in x.real().chunks_exact(k) {
            for (j, w) in weight.real().chunks_exact(k).enumerate() {
                let bias = inputs.get(2).map_or(T::of(0.0), |b| b.real()[j]);
                y.push(row.iter().zip(w).fold(bias, |sum, (&x, &w)| sum + x * w));
            }
        }
        let before = &x.shape[..x.shape.len() - 1];
        vec![Array::new([before, &[n]].concat(), y)]
    }

    fn multiply_adds(&self, inputs: &[&Type], output: &Type) -> u64 {
        output.len() as u64 * inputs[1].shape[1] as u64
    }
}
