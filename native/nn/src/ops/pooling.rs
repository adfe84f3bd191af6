//! Maximum and mean of windows. Values are `(batch, channel, spatial axes…)`.
//!
//! Gradients: the mean needs nothing, the maximum its operand (the first of equal elements gets the gradient).

use super::{operands, real, Operator, Rule};
use crate::graph::Type;
use crate::reference::{positions, Array, Real};

/// What becomes of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// Its largest element; what lies beyond the edges does not count.
    Max,
    /// Its mean.
    Mean {
        /// Whether the zeros beyond the edges count.
        count_pads: bool,
    },
}

/// Windows at regular distances; one operand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pool {
    /// What becomes of a window.
    pub kind: PoolKind,
    /// Size of the window, for every spatial axis.
    pub kernel: Vec<usize>,
    /// Distance between windows, for every spatial axis.
    pub stride: Vec<usize>,
    /// Distance between the elements of a window, for every spatial axis.
    pub dilation: Vec<usize>,
    /// Elements beyond the edges before and after, for every spatial axis.
    pub pads: Vec<(usize, usize)>,
    /// Whether a last window that is not whole counts.
    pub ceil: bool,
}

impl Pool {
    fn size(&self, spatial: &[usize]) -> Result<Vec<usize>, String> {
        let axes = spatial.len();
        let lengths = [self.kernel.len(), self.stride.len(), self.dilation.len(), self.pads.len()];
        if axes == 0 || lengths.iter().any(|&n| n != axes) {
            return Err(format!("the window is given for {lengths:?} spatial axes, but there are {axes}"));
        }
        (0..axes)
            .map(|axis| {
                let (k, s, d, (before, after)) = (self.kernel[axis], self.stride[axis], self.dilation[axis], self.pads[axis]);
                if k == 0 || s == 0 || d == 0 || before > d * (k - 1) || after > d * (k - 1) {
                    return Err("window, stride and dilation must be at least 1, and pads smaller than the window".into());
                }
                let (padded, reach) = (spatial[axis] + before + after, d * (k - 1) + 1);
                if padded < reach {
                    return Err(format!("the window's reach {reach} is longer than an axis of {padded} with its pads"));
                }
                let mut n = (padded - reach) / s + 1;
                if self.ceil && (padded - reach) % s != 0 && n * s < spatial[axis] + before {
                    n += 1;
                }
                Ok(n)
            })
            .collect()
    }
}

/// Largest element or sum and count of the elements that `counts` as inside.
fn pooled<T: Real>(kind: PoolKind, elements: impl Iterator<Item = T>, divisor: usize) -> T {
    match kind {
        PoolKind::Max => elements.fold(T::of(f64::NEG_INFINITY), |a, b| if b > a || b.wide().is_nan() { b } else { a }),
        PoolKind::Mean { .. } => elements.fold(T::of(0.0), |a, b| a + b) / T::of(divisor as f64),
    }
}

impl Operator for Pool {
    fn name(&self) -> &'static str {
        match self.kind {
            PoolKind::Max => "max pooling",
            PoolKind::Mean { .. } => "mean pooling",
        }
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        real(inputs)?;
        let shape = &inputs[0].shape;
        if shape.len() < 3 {
            return Err("batch, channel and spatial axes are needed".into());
        }
        Ok(vec![Type::f32([&shape[..2], &self.size(&shape[2..])?].concat())])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let spatial = &x.shape[2..];
        let size = self.size(spatial).unwrap_or_default();
        let taps = positions(&self.kernel, |tap| tap.to_vec());
        vec![Array::from_index([&x.shape[..2], &size].concat(), |y| {
            let (mut inside, mut padded) = (Vec::new(), 0);
            for tap in &taps {
                let places: Vec<usize> = (0..tap.len()).map(|a| y[2 + a] * self.stride[a] + tap[a] * self.dilation[a]).collect();
                padded += usize::from((0..tap.len()).all(|a| places[a] < spatial[a] + self.pads[a].0 + self.pads[a].1));
                let from: Vec<usize> =
                    (0..tap.len()).filter_map(|a| places[a].checked_sub(self.pads[a].0).filter(|&i| i < spatial[a])).collect();
                if from.len() == tap.len() {
                    inside.push(x.at(&[&y[..2], &from].concat()));
                }
            }
            let divisor = if self.kind == (PoolKind::Mean { count_pads: true }) { padded } else { inside.len() };
            pooled(self.kind, inside.into_iter(), divisor)
        })]
    }
}

/// Windows that share out the image into a given number: window `i` of `m` over length `n` is `⌊i n / m⌋ .. ⌈(i + 1) n / m⌉`; one
/// operand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AdaptivePool {
    /// What becomes of a window.
    pub kind: PoolKind,
    /// The number of windows, for every spatial axis.
    pub size: Vec<usize>,
}

/// The window `i` of `m` over length `n`.
pub(crate) fn share(i: usize, m: usize, n: usize) -> std::ops::Range<usize> {
    i * n / m..((i + 1) * n).div_ceil(m)
}

impl Operator for AdaptivePool {
    fn name(&self) -> &'static str {
        match self.kind {
            PoolKind::Max => "adaptive max pooling",
            PoolKind::Mean { .. } => "adaptive mean pooling",
        }
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        real(inputs)?;
        let shape = &inputs[0].shape;
        if shape.len() < 3 || self.size.len() != shape.len() - 2 || self.size.contains(&0) {
            return Err(format!("it yields {:?}, one number for every spatial axis", self.size));
        }
        Ok(vec![Type::f32([&shape[..2], &self.size].concat())])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        vec![Array::from_index([&x.shape[..2], &self.size].concat(), |y| {
            let windows: Vec<_> = (0..self.size.len()).map(|a| share(y[2 + a], self.size[a], x.shape[2 + a])).collect();
            let lengths: Vec<usize> = windows.iter().map(|w| w.len()).collect();
            let elements = positions(&lengths, |at| {
                let from: Vec<usize> = at.iter().zip(&windows).map(|(i, w)| w.start + i).collect();
                x.at(&[&y[..2], &from].concat())
            });
            let count = elements.len();
            pooled(self.kind, elements.into_iter(), count)
        })]
    }
}
