//! More or fewer elements at the edges of an array, and the ways in which what lies beyond an edge is made up.
//!
//! Gradients: nothing of the forward run; the gradient of an element is the sum over all places that it was copied to.

use super::{operands, Operator, Rule};
use crate::graph::Type;
use crate::reference::{offset, positions, Array, Real};

/// What lies beyond the edge of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PadMode {
    /// Zeros, or another constant value.
    Zeros,
    /// The element at the edge.
    Replicate,
    /// The mirror image, the element at the edge not repeated.
    Reflect,
    /// The other end of the axis.
    Circular,
}

impl PadMode {
    /// The element of an axis of length `n` that stands at place `i`; none where zeros do.
    #[inline]
    pub fn source(self, i: isize, n: usize) -> Option<usize> {
        let last = n as isize - 1;
        if (0..=last).contains(&i) {
            return Some(i as usize);
        }
        match self {
            PadMode::Zeros => None,
            PadMode::Replicate => Some(i.clamp(0, last) as usize),
            PadMode::Reflect => {
                let period = 2 * last.max(1);
                let i = i.rem_euclid(period);
                Some(if i > last { period - i } else { i }.clamp(0, last) as usize)
            }
            PadMode::Circular => Some(i.rem_euclid(n as isize) as usize),
        }
    }

    /// Fails when an axis of length `n` is too short for `pad` elements beyond its edge.
    pub(crate) fn check(self, pad: usize, n: usize) -> Result<(), String> {
        match self {
            PadMode::Reflect if pad >= n => {
                Err(format!("{pad} elements cannot be mirrored at the edge of an axis of length {n}"))
            }
            PadMode::Circular if pad > n => Err(format!("{pad} elements cannot be wrapped around an axis of length {n}")),
            _ => Ok(()),
        }
    }
}

/// Adds elements at the edges, or takes them away where a number is negative; one operand.
#[derive(Debug, Clone, PartialEq)]
pub struct Pad {
    /// Elements before and after, for every axis.
    pub pads: Vec<(i64, i64)>,
    /// What the new elements are.
    pub mode: PadMode,
    /// The value of [`PadMode::Zeros`].
    pub value: f64,
}

impl Pad {
    /// For every element of the result, its place in an operand of `shape`.
    pub(crate) fn sources(&self, shape: &[usize]) -> Vec<Option<usize>> {
        positions(&self.shape(shape).unwrap_or_default(), |index| {
            let mut from = Vec::with_capacity(index.len());
            for ((&i, &n), &(before, _)) in index.iter().zip(shape).zip(&self.pads) {
                from.push(self.mode.source(i as isize - before as isize, n)?);
            }
            Some(offset(shape, &from))
        })
    }

    fn shape(&self, shape: &[usize]) -> Result<Vec<usize>, String> {
        if self.pads.len() != shape.len() {
            return Err(format!("{} axes are padded", self.pads.len()));
        }
        let padded = shape.iter().zip(&self.pads).map(|(&n, &(before, after))| {
            for pad in [before, after] {
                self.mode.check(usize::try_from(pad).unwrap_or(0), n)?;
            }
            let length = i64::try_from(n).ok().and_then(|n| n.checked_add(before)?.checked_add(after));
            match length.map(usize::try_from) {
                Some(Ok(m)) if m > 0 => Ok(m),
                _ => Err(format!("padding {before} before and {after} after leaves nothing of length {n}")),
            }
        });
        padded.collect()
    }
}

impl Operator for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        Ok(vec![Type::new(inputs[0].dtype, self.shape(&inputs[0].shape)?)])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let values = x.values.pick(&self.sources(&x.shape), T::of(self.value));
        vec![Array { shape: self.shape(&x.shape).unwrap_or_default(), values }]
    }
}
