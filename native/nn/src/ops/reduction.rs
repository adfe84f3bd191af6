//! One number of many: sums, means, extremes and variances over axes, the place of the largest, and running sums.
//!
//! Gradients: sums and means nothing; extremes operand and result (equal elements share the gradient); variances operand and mean;
//! products operand and result; running products operand and result.

use super::{along_axis, axis_of, operands, Operator, Rule};
use crate::graph::Type;
use crate::reference::{offset, positions, Array, Real, Values};
use crate::tensor::DType;

/// What becomes of the elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// Their product.
    Product,
    /// Their mean squared distance from their mean; `unbiased` divides by one less than their number.
    Variance {
        /// Whether the divisor is one less than the number.
        unbiased: bool,
    },
}

/// One number of the elements along some axes; one operand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// What becomes of the elements.
    pub kind: Reduction,
    /// The axes, in any order.
    pub axes: Vec<usize>,
    /// Whether the axes stay, with length one.
    pub keep: bool,
}

impl Reduce {
    fn shape(&self, shape: &[usize], keep: bool) -> Vec<usize> {
        let axes = shape.iter().enumerate();
        axes.filter_map(|(a, &n)| if !self.axes.contains(&a) { Some(n) } else { keep.then_some(1) }).collect()
    }
}

impl Operator for Reduce {
    fn name(&self) -> &'static str {
        match self.kind {
            Reduction::Sum => "sum",
            Reduction::Mean => "mean",
            Reduction::Max => "max",
            Reduction::Min => "min",
            Reduction::Product => "product",
            Reduction::Variance { .. } => "variance",
        }
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        let shape = &inputs[0].shape;
        for (i, &a) in self.axes.iter().enumerate() {
            axis_of(a, shape.len())?;
            if self.axes[..i].contains(&a) {
                return Err(format!("axis {a} is named twice"));
            }
        }
        match (inputs[0].dtype, self.kind) {
            (DType::F32, _) | (DType::I64, Reduction::Sum | Reduction::Max | Reduction::Min | Reduction::Product) => {}
            (other, _) => return Err(format!("it is not defined for {other}")),
        }
        Ok(vec![Type::new(inputs[0].dtype, self.shape(shape, self.keep))])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let along: Vec<usize> = self.axes.iter().map(|&a| x.shape[a]).collect();
        let sets = positions(&self.shape(&x.shape, true), |y| {
            positions(&along, |i| {
                let mut from = y.to_vec();
                self.axes.iter().zip(i).for_each(|(&a, &i)| from[a] = i);
                offset(&x.shape, &from)
            })
        });
        let values = match &x.values {
            Values::I64(v) => Values::I64(sets.iter().map(|set| self.of_int(set.iter().map(|&i| v[i]))).collect()),
            _ => Values::Real(sets.iter().map(|set| self.of(set.iter().map(|&i| x.real()[i]).collect())).collect()),
        };
        vec![Array { shape: self.shape(&x.shape, self.keep), values }]
    }
}

impl Reduce {
    fn of<T: Real>(&self, set: Vec<T>) -> T {
        let n = T::of(set.len() as f64);
        let sum = |set: &[T]| set.iter().fold(T::of(0.0), |sum, &v| sum + v);
        match self.kind {
            Reduction::Sum => sum(&set),
            Reduction::Mean => sum(&set) / n,
            Reduction::Max => set.into_iter().reduce(|a, b| if b > a || b.wide().is_nan() { b } else { a }).unwrap_or(n),
            Reduction::Min => set.into_iter().reduce(|a, b| if b < a || b.wide().is_nan() { b } else { a }).unwrap_or(n),
            Reduction::Product => set.into_iter().fold(T::of(1.0), |p, v| p * v),
            Reduction::Variance { unbiased } => {
                let mean = sum(&set) / n;
                let squares: Vec<T> = set.iter().map(|&v| (v - mean) * (v - mean)).collect();
                sum(&squares) / if unbiased { n - T::of(1.0) } else { n }
            }
        }
    }

    fn of_int(&self, set: impl Iterator<Item = i64>) -> i64 {
        match self.kind {
            Reduction::Max => set.fold(i64::MIN, i64::max),
            Reduction::Min => set.fold(i64::MAX, i64::min),
            Reduction::Product => set.fold(1, i64::wrapping_mul),
            _ => set.fold(0, i64::wrapping_add),
        }
    }
}

/// The index of the largest element along an axis, the first of equal ones; one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArgMax {
    /// The axis.
    pub axis: usize,
    /// Whether the axis stays, with length one.
    pub keep: bool,
}

impl Operator for ArgMax {
    fn name(&self) -> &'static str {
        "index of the largest"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        along_axis(inputs, self.axis)?;
        let mut shape = inputs[0].shape.clone();
        if self.keep {
            shape[self.axis] = 1;
        } else {
            shape.remove(self.axis);
        }
        Ok(vec![Type::new(DType::I64, shape)])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let mut shape = x.shape.clone();
        shape[self.axis] = 1;
        let values = positions(&shape, |y| {
            let mut from = y.to_vec();
            let mut best = 0;
            for i in 1..x.shape[self.axis] {
                from[self.axis] = i;
                let v = x.at(&from);
                from[self.axis] = best;
                if v > x.at(&from) {
                    best = i;
                }
            }
            best as i64
        });
        if !self.keep {
            shape.remove(self.axis);
        }
        vec![Array { shape, values: Values::I64(values) }]
    }
}

/// Sums, or products, of all elements up to each along an axis; one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cumulative {
    /// The axis.
    pub axis: usize,
    /// Products instead of sums.
    pub product: bool,
}

impl Operator for Cumulative {
    fn name(&self) -> &'static str {
        if self.product {
            "running product"
        } else {
            "running sum"
        }
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        along_axis(inputs, self.axis)?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let inner: usize = x.shape[self.axis + 1..].iter().product();
        let mut y = x.real().to_vec();
        for i in 0..y.len() {
            let first = (i / inner).is_multiple_of(x.shape[self.axis]);
            if !first {
                y[i] = if self.product { y[i] * y[i - inner] } else { y[i] + y[i - inner] };
            }
        }
        vec![Array::new(x.shape.clone(), y)]
    }
}
