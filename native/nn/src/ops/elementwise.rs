//! Functions of single elements, and of pairs of elements whose shapes are broadcast: aligned at the last axis, an axis of length one
//! repeats.
//!
//! Gradients: products, quotients and powers need their operands; sums and differences nothing; gradients of broadcast operands are
//! summed over the repeated axes. `Select` needs its condition.

use super::{activation::erf, operands, real, Operator, Rule};
use crate::graph::Type;
use crate::reference::{positions, Array, Real, Values};
use crate::tensor::DType;

/// A function of each element; one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    /// `-x`.
    Neg,
    /// `|x|`.
    Abs,
    /// -1, 0 or 1.
    Sign,
    /// Square root.
    Sqrt,
    /// `1 / √x`.
    Rsqrt,
    /// `1 / x`.
    Reciprocal,
    /// `eˣ`.
    Exp,
    /// Natural logarithm.
    Log,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Arc cosine.
    Acos,
    /// The error function.
    Erf,
    /// The largest integer that is not larger.
    Floor,
    /// The smallest integer that is not smaller.
    Ceil,
    /// The nearest integer, halves to even.
    Round,
    /// The other truth value.
    Not,
}

impl Unary {
    /// The value at `x`.
    pub fn of(self, x: f64) -> f64 {
        match self {
            Unary::Neg => -x,
            Unary::Abs => x.abs(),
            Unary::Sign => {
                if x > 0.0 {
                    1.0
                } else if x < 0.0 {
                    -1.0
                } else {
                    x
                }
            }
            Unary::Sqrt => x.sqrt(),
            Unary::Rsqrt => 1.0 / x.sqrt(),
            Unary::Reciprocal => 1.0 / x,
            Unary::Exp => x.exp(),
            Unary::Log => x.ln(),
            Unary::Sin => x.sin(),
            Unary::Cos => x.cos(),
            Unary::Acos => x.acos(),
            Unary::Erf => erf(x),
            Unary::Floor => x.floor(),
            Unary::Ceil => x.ceil(),
            Unary::Round => x.round_ties_even(),
            Unary::Not => f64::from(u8::from(x == 0.0)),
        }
    }
}

impl Operator for Unary {
    fn name(&self) -> &'static str {
        match self {
            Unary::Neg => "neg",
            Unary::Abs => "abs",
            Unary::Sign => "sign",
            Unary::Sqrt => "sqrt",
            Unary::Rsqrt => "rsqrt",
            Unary::Reciprocal => "reciprocal",
            Unary::Exp => "exp",
            Unary::Log => "log",
            Unary::Sin => "sin",
            Unary::Cos => "cos",
            Unary::Acos => "acos",
            Unary::Erf => "erf",
            Unary::Floor => "floor",
            Unary::Ceil => "ceil",
            Unary::Round => "round",
            Unary::Not => "not",
        }
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        match (self, inputs[0].dtype) {
            (Unary::Not, DType::Bool) | (Unary::Neg | Unary::Abs | Unary::Sign, DType::I64) => {}
            (Unary::Not, other) => return Err(format!("truth values are needed, not {other}")),
            _ => real(inputs)?,
        }
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let values = match &inputs[0].values {
            Values::Real(v) => Values::Real(v.iter().map(|v| v.map(|v| self.of(v))).collect()),
            Values::I64(v) => Values::I64(
                v.iter()
                    .map(|&v| match self {
                        Unary::Neg => v.wrapping_neg(),
                        Unary::Abs => v.wrapping_abs(),
                        _ => v.signum(),
                    })
                    .collect(),
            ),
            Values::Bool(v) => Values::Bool(v.iter().map(|v| !v).collect()),
        };
        vec![Array { shape: inputs[0].shape.clone(), values }]
    }
}

/// A function of two elements of the same type; two operands, broadcast. Integers wrap; a division by the integer 0 is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a b`.
    Mul,
    /// `a / b`.
    Div,
    /// `aᵇ`.
    Pow,
    /// The larger.
    Max,
    /// The smaller.
    Min,
    /// What is left of `a` after division by `b`, with the sign of `b`.
    Mod,
    /// Both (truth values).
    And,
    /// Either (truth values).
    Or,
    /// Just one (truth values).
    Xor,
}

impl Binary {
    /// The value at `a` and `b`, numbers.
    pub fn of<T: Real>(self, a: T, b: T) -> T {
        let nan = |v: T| v.wide().is_nan();
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Pow => T::of(a.wide().powf(b.wide())),
            Binary::Max => {
                if a > b || nan(a) {
                    a
                } else {
                    b
                }
            }
            Binary::Min => {
                if a < b || nan(a) {
                    a
                } else {
                    b
                }
            }
            Binary::Mod => T::of(a.wide() - (a.wide() / b.wide()).floor() * b.wide()),
            Binary::And | Binary::Or | Binary::Xor => unreachable!("the graph has checked that these are truth values"),
        }
    }

    fn of_int(self, a: i64, b: i64) -> i64 {
        match self {
            Binary::Add => a.wrapping_add(b),
            Binary::Sub => a.wrapping_sub(b),
            Binary::Mul => a.wrapping_mul(b),
            Binary::Div => a.checked_div(b).unwrap_or(0),
            Binary::Pow => u32::try_from(b).map_or(0, |b| a.wrapping_pow(b)),
            Binary::Max => a.max(b),
            Binary::Min => a.min(b),
            Binary::Mod => a.checked_rem(b).map_or(0, |r| if r != 0 && (r < 0) != (b < 0) { r.wrapping_add(b) } else { r }),
            Binary::And | Binary::Or | Binary::Xor => unreachable!("the graph has checked that these are truth values"),
        }
    }

    fn of_bool(self, a: bool, b: bool) -> bool {
        match self {
            Binary::And => a & b,
            Binary::Or => a | b,
            _ => a ^ b,
        }
    }
}

/// The shape that all of `shapes` are broadcast to.
///
/// # Errors
/// Two lengths of an axis differ and neither is one.
pub fn broadcast(shapes: &[&[usize]]) -> Result<Vec<usize>, String> {
    let axes = shapes.iter().map(|s| s.len()).max().unwrap_or(0);
    let mut out = vec![1; axes];
    for shape in shapes {
        for (have, &n) in out[axes - shape.len()..].iter_mut().zip(*shape) {
            if *have == 1 {
                *have = n;
            } else if n != 1 && n != *have {
                return Err(format!("lengths {} and {n} of an axis cannot be combined", *have));
            }
        }
    }
    Ok(out)
}

/// Distance between neighbours along every axis of `to` in an operand of shape `from`: zero where it repeats.
pub(crate) fn broadcast_strides(from: &[usize], to: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; to.len()];
    let mut step = 1;
    for (axis, &n) in from.iter().enumerate().rev() {
        if n != 1 {
            strides[to.len() - from.len() + axis] = step;
        }
        step *= n;
    }
    strides
}

/// For every element of `to`, its place in an operand of shape `from`.
pub(crate) fn broadcast_positions(from: &[usize], to: &[usize]) -> Vec<usize> {
    let strides = broadcast_strides(from, to);
    positions(to, |index| index.iter().zip(&strides).map(|(i, s)| i * s).sum())
}

fn pairs<E: Copy, R>(a: &[E], b: &[E], at: &[(usize, usize)], f: impl Fn(E, E) -> R) -> Vec<R> {
    at.iter().map(|&(i, j)| f(a[i], b[j])).collect()
}

/// Shape of the result and, for every element, where its operands are.
fn paired<T: Real>(inputs: &[&Array<T>]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let shapes: Vec<&[usize]> = inputs.iter().map(|a| &a.shape[..]).collect();
    let shape = broadcast(&shapes).unwrap_or_default();
    let (a, b) = (broadcast_positions(shapes[0], &shape), broadcast_positions(shapes[1], &shape));
    (shape, a.into_iter().zip(b).collect())
}

fn same_types(inputs: &[&Type]) -> Result<(), String> {
    match inputs.iter().find(|t| t.dtype != inputs[0].dtype) {
        None => Ok(()),
        Some(t) => Err(format!("operands must be of one type, not {} and {}", inputs[0].dtype, t.dtype)),
    }
}

impl Operator for Binary {
    fn name(&self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Div => "div",
            Binary::Pow => "pow",
            Binary::Max => "max",
            Binary::Min => "min",
            Binary::Mod => "mod",
            Binary::And => "and",
            Binary::Or => "or",
            Binary::Xor => "xor",
        }
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 2..=2)?;
        same_types(inputs)?;
        let of_truth = matches!(self, Binary::And | Binary::Or | Binary::Xor);
        if of_truth != (inputs[0].dtype == DType::Bool) {
            return Err(format!("it is not defined for {}", inputs[0].dtype));
        }
        Ok(vec![Type::new(inputs[0].dtype, broadcast(&[&inputs[0].shape, &inputs[1].shape])?)])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (shape, at) = paired(inputs);
        let values = match (&inputs[0].values, &inputs[1].values) {
            (Values::Real(a), Values::Real(b)) => Values::Real(pairs(a, b, &at, |a, b| self.of(a, b))),
            (Values::I64(a), Values::I64(b)) => Values::I64(pairs(a, b, &at, |a, b| self.of_int(a, b))),
            _ => Values::Bool(pairs(inputs[0].truth(), inputs[1].truth(), &at, |a, b| self.of_bool(a, b))),
        };
        vec![Array { shape, values }]
    }
}

/// A truth value of two elements; two operands, broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `a = b`.
    Equal,
    /// `a ≠ b`.
    NotEqual,
    /// `a < b`.
    Less,
    /// `a ≤ b`.
    LessOrEqual,
    /// `a > b`.
    Greater,
    /// `a ≥ b`.
    GreaterOrEqual,
}

impl Comparison {
    fn of<E: PartialOrd>(self, a: E, b: E) -> bool {
        match self {
            Comparison::Equal => a == b,
            Comparison::NotEqual => a != b,
            Comparison::Less => a < b,
            Comparison::LessOrEqual => a <= b,
            Comparison::Greater => a > b,
            Comparison::GreaterOrEqual => a >= b,
        }
    }
}

impl Operator for Comparison {
    fn name(&self) -> &'static str {
        match self {
            Comparison::Equal => "equal",
            Comparison::NotEqual => "not equal",
            Comparison::Less => "less",
            Comparison::LessOrEqual => "less or equal",
            Comparison::Greater => "greater",
            Comparison::GreaterOrEqual => "greater or equal",
        }
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 2..=2)?;
        same_types(inputs)?;
        Ok(vec![Type::new(DType::Bool, broadcast(&[&inputs[0].shape, &inputs[1].shape])?)])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (shape, at) = paired(inputs);
        let values = match (&inputs[0].values, &inputs[1].values) {
            (Values::Real(a), Values::Real(b)) => pairs(a, b, &at, |a, b| self.of(a, b)),
            (Values::I64(a), Values::I64(b)) => pairs(a, b, &at, |a, b| self.of(a, b)),
            _ => pairs(inputs[0].truth(), inputs[1].truth(), &at, |a, b| self.of(a, b)),
        };
        vec![Array { shape, values: Values::Bool(values) }]
    }
}

/// `a` where the condition holds, else `b`; operands: condition (truth values), a, b, all broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Select;

impl Operator for Select {
    fn name(&self) -> &'static str {
        "where"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 3..=3)?;
        if inputs[0].dtype != DType::Bool {
            return Err(format!("the condition must be truth values, not {}", inputs[0].dtype));
        }
        same_types(&inputs[1..])?;
        Ok(vec![Type::new(inputs[1].dtype, broadcast(&[&inputs[0].shape, &inputs[1].shape, &inputs[2].shape])?)])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        fn choose<E: Copy>(c: &[bool], a: &[E], b: &[E], at: [&[usize]; 3]) -> Vec<E> {
            (0..at[0].len()).map(|i| if c[at[0][i]] { a[at[1][i]] } else { b[at[2][i]] }).collect()
        }
        let shapes: Vec<&[usize]> = inputs.iter().map(|a| &a.shape[..]).collect();
        let shape = broadcast(&shapes).unwrap_or_default();
        let at: Vec<Vec<usize>> = shapes.iter().map(|s| broadcast_positions(s, &shape)).collect();
        let (c, at) = (inputs[0].truth(), [&at[0][..], &at[1][..], &at[2][..]]);
        let values = match (&inputs[1].values, &inputs[2].values) {
            (Values::Real(a), Values::Real(b)) => Values::Real(choose(c, a, b, at)),
            (Values::I64(a), Values::I64(b)) => Values::I64(choose(c, a, b, at)),
            _ => Values::Bool(choose(c, inputs[1].truth(), inputs[2].truth(), at)),
        };
        vec![Array { shape, values }]
    }
}

/// The elements as another type: integers are cut off towards zero, a truth value is whether an element is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cast(pub DType);

impl Operator for Cast {
    fn name(&self) -> &'static str {
        "cast"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        Ok(vec![Type::new(self.0, inputs[0].shape.clone())])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let values = match (&x.values, self.0) {
            (Values::Real(v), DType::I64) => Values::I64(v.iter().map(|v| v.wide() as i64).collect()),
            (Values::Real(v), DType::Bool) => Values::Bool(v.iter().map(|v| v.wide() != 0.0).collect()),
            (Values::I64(v), DType::F32) => Values::Real(v.iter().map(|&v| T::of(v as f64)).collect()),
            (Values::I64(v), DType::Bool) => Values::Bool(v.iter().map(|&v| v != 0).collect()),
            (Values::Bool(v), DType::F32) => Values::Real(v.iter().map(|&v| T::of(f64::from(u8::from(v)))).collect()),
            (Values::Bool(v), DType::I64) => Values::I64(v.iter().map(|&v| v.into()).collect()),
            (same, _) => same.clone(),
        };
        vec![Array { shape: x.shape.clone(), values }]
    }
}
