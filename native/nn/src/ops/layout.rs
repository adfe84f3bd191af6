//! The same elements in another arrangement.
//!
//! Gradients: nothing of the forward run; every element's gradient goes back to where it came from (summed where it came to several
//! places: [`Expand`], [`Unfold`]).

use super::{axis_of, operands, real, Operator, Rule};
use crate::graph::Type;
use crate::reference::{offset, positions, strides, Array, Real, Values};

/// The result of an operator that copies elements of one operand: `sources` gives the place of each.
fn copied<T: Real>(x: &Array<T>, shape: Vec<usize>, sources: Vec<usize>) -> Vec<Array<T>> {
    let sources: Vec<Option<usize>> = sources.into_iter().map(Some).collect();
    vec![Array { shape, values: x.values.pick(&sources, T::of(0.0)) }]
}

/// Fails unless `perm` names every one of `axes` axes once.
fn check_permutation(perm: &[usize], axes: usize) -> Result<(), String> {
    let mut seen = vec![false; axes];
    perm.iter().for_each(|&p| {
        if let Some(s) = seen.get_mut(p) {
            *s = true
        }
    });
    if perm.len() == axes && seen.iter().all(|&s| s) {
        return Ok(());
    }
    Err(format!("{perm:?} is no order of its axes"))
}

/// The same elements in another shape; one operand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reshape {
    /// The shape.
    pub shape: Vec<usize>,
}

impl Operator for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        let count = self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if count != Some(inputs[0].len()) {
            return Err(format!("{:?} does not hold its {} elements", self.shape, inputs[0].len()));
        }
        Ok(vec![Type::new(inputs[0].dtype, self.shape.clone())])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        vec![Array { shape: self.shape.clone(), values: inputs[0].values.clone() }]
    }
}

/// Axes in another order: axis `i` of the result is axis `axes[i]` of the operand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Transpose {
    /// The order.
    pub axes: Vec<usize>,
}

impl Operator for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        let shape = &inputs[0].shape;
        check_permutation(&self.axes, shape.len())?;
        Ok(vec![Type::new(inputs[0].dtype, self.axes.iter().map(|&a| shape[a]).collect::<Vec<_>>())])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let steps = strides(&x.shape);
        let shape: Vec<usize> = self.axes.iter().map(|&a| x.shape[a]).collect();
        let sources = positions(&shape, |y| y.iter().zip(&self.axes).map(|(i, &a)| i * steps[a]).sum());
        copied(x, shape, sources)
    }
}

/// Operands one after the other along an axis; one operand or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Concat {
    /// The axis.
    pub axis: usize,
}

impl Operator for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=usize::MAX)?;
        let mut out = inputs[0].clone();
        axis_of(self.axis, out.shape.len())?;
        for ty in &inputs[1..] {
            let fits = ty.shape.len() == out.shape.len()
                && (0..out.shape.len()).all(|a| a == self.axis || ty.shape[a] == out.shape[a])
                && ty.dtype == out.dtype;
            if !fits {
                return Err(format!("they differ beyond axis {}", self.axis));
            }
            out.shape[self.axis] += ty.shape[self.axis];
        }
        Ok(vec![out])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        fn join<E: Copy>(parts: &[(&[E], usize)], outer: usize) -> Vec<E> {
            (0..outer).flat_map(|o| parts.iter().flat_map(move |&(v, n)| v[o * n..(o + 1) * n].iter().copied())).collect()
        }
        let mut shape = inputs[0].shape.clone();
        shape[self.axis] = inputs.iter().map(|x| x.shape[self.axis]).sum();
        let outer = shape[..self.axis].iter().product();
        let size = |x: &Array<T>| x.shape[self.axis..].iter().product();
        let values = match &inputs[0].values {
            Values::Real(_) => Values::Real(join(&inputs.iter().map(|x| (x.real(), size(x))).collect::<Vec<_>>(), outer)),
            Values::I64(_) => Values::I64(join(&inputs.iter().map(|x| (x.int(), size(x))).collect::<Vec<_>>(), outer)),
            Values::Bool(_) => Values::Bool(join(&inputs.iter().map(|x| (x.truth(), size(x))).collect::<Vec<_>>(), outer)),
        };
        vec![Array { shape, values }]
    }
}

/// Every `step`-th element from `start` on, `count` of them, along every axis; one operand. A negative step goes backwards.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slice {
    /// First element, for every axis.
    pub start: Vec<usize>,
    /// Number of elements, for every axis.
    pub count: Vec<usize>,
    /// Distance between elements, for every axis.
    pub step: Vec<isize>,
}

impl Operator for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        let shape = &inputs[0].shape;
        if [self.start.len(), self.count.len(), self.step.len()] != [shape.len(); 3] {
            return Err(format!("{} axes are cut", self.start.len()));
        }
        for (axis, &n) in shape.iter().enumerate() {
            let (start, count, step) = (self.start[axis], self.count[axis], self.step[axis]);
            let last =
                isize::try_from(count.saturating_sub(1)).ok().and_then(|c| c.checked_mul(step)?.checked_add_unsigned(start));
            if start >= n || !last.is_some_and(|l| (0..n as isize).contains(&l)) {
                return Err(format!("{count} elements from {start} on in steps of {step} do not lie within axis {axis}"));
            }
        }
        Ok(vec![Type::new(inputs[0].dtype, self.count.clone())])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let sources = positions(&self.count, |y| {
            let from: Vec<usize> =
                (0..y.len()).map(|a| self.start[a].wrapping_add_signed(y[a] as isize * self.step[a])).collect();
            offset(&x.shape, &from)
        });
        copied(x, self.count.clone(), sources)
    }
}

/// Elements moved along axes by `shifts`, those that leave one end entering the other; one operand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Roll {
    /// Places that elements move, for every axis.
    pub shifts: Vec<isize>,
}

impl Operator for Roll {
    fn name(&self) -> &'static str {
        "roll"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        if self.shifts.len() != inputs[0].shape.len() {
            return Err(format!("{} axes are shifted", self.shifts.len()));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let sources = positions(&x.shape, |y| {
            let from: Vec<usize> =
                (0..y.len()).map(|a| (y[a] as isize - self.shifts[a]).rem_euclid(x.shape[a] as isize) as usize).collect();
            offset(&x.shape, &from)
        });
        copied(x, x.shape.clone(), sources)
    }
}

/// Elements in reverse along some axes; one operand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Flip {
    /// The axes.
    pub axes: Vec<usize>,
}

impl Operator for Flip {
    fn name(&self) -> &'static str {
        "flip"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        self.axes.iter().try_for_each(|&a| axis_of(a, inputs[0].shape.len()).map(drop))?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let sources = positions(&x.shape, |y| {
            let mut from = y.to_vec();
            self.axes.iter().for_each(|&a| from[a] = x.shape[a] - 1 - y[a]);
            offset(&x.shape, &from)
        });
        copied(x, x.shape.clone(), sources)
    }
}

/// Axes of length one repeated, and new axes in front; one operand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Expand {
    /// The shape.
    pub shape: Vec<usize>,
}

impl Operator for Expand {
    fn name(&self) -> &'static str {
        "expand"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        if super::broadcast(&[&inputs[0].shape, &self.shape]).as_ref() != Ok(&self.shape) {
            return Err(format!("it cannot become {:?}", self.shape));
        }
        Ok(vec![Type::new(inputs[0].dtype, self.shape.clone())])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let sources = super::elementwise::broadcast_positions(&inputs[0].shape, &self.shape);
        copied(inputs[0], self.shape.clone(), sources)
    }
}

/// Channels `(n, c f², h, w)` to pixels `(n, c, h f, w f)`; channel `c f² + i f + j` becomes row `i`, column `j` of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PixelShuffle {
    /// f.
    pub factor: usize,
}

impl Operator for PixelShuffle {
    fn name(&self) -> &'static str {
        "pixel shuffle"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        let f = self.factor;
        match inputs[0].shape[..] {
            [n, c, h, w] if f > 0 && c % (f * f) == 0 => Ok(vec![Type::new(inputs[0].dtype, [n, c / (f * f), h * f, w * f])]),
            _ => Err(format!("an image (n, c, h, w) with a multiple of {f}² channels is needed")),
        }
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, f) = (inputs[0], self.factor);
        let shape = vec![x.shape[0], x.shape[1] / (f * f), x.shape[2] * f, x.shape[3] * f];
        let sources = positions(&shape, |y| offset(&x.shape, &[y[0], (y[1] * f + y[2] % f) * f + y[3] % f, y[2] / f, y[3] / f]));
        copied(x, shape, sources)
    }
}

/// The inverse of [`PixelShuffle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PixelUnshuffle {
    /// f.
    pub factor: usize,
}

impl Operator for PixelUnshuffle {
    fn name(&self) -> &'static str {
        "pixel unshuffle"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        let f = self.factor;
        match inputs[0].shape[..] {
            [n, c, h, w] if f > 0 && h % f == 0 && w % f == 0 => {
                Ok(vec![Type::new(inputs[0].dtype, [n, c * f * f, h / f, w / f])])
            }
            _ => Err(format!("an image (n, c, h, w) with rows and columns in multiples of {f} is needed")),
        }
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, f) = (inputs[0], self.factor);
        let shape = vec![x.shape[0], x.shape[1] * f * f, x.shape[2] / f, x.shape[3] / f];
        let sources =
            positions(&shape, |y| offset(&x.shape, &[y[0], y[1] / (f * f), y[2] * f + y[1] / f % f, y[3] * f + y[1] % f]));
        copied(x, shape, sources)
    }
}

/// The windows of [`Unfold`] and [`Fold`], for rows and columns.
fn windows(
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    pads: [usize; 2],
) -> Result<[usize; 2], String> {
    let mut count = [0; 2];
    for a in 0..2 {
        if kernel[a] == 0 || stride[a] == 0 || dilation[a] == 0 {
            return Err("window, stride and dilation must be at least 1".into());
        }
        let (padded, reach) = (size[a] + 2 * pads[a], dilation[a] * (kernel[a] - 1) + 1);
        if padded < reach {
            return Err(format!("the window's reach {reach} is longer than an axis of {padded} with its pads"));
        }
        count[a] = (padded - reach) / stride[a] + 1;
    }
    Ok(count)
}

/// The windows of an image `(n, c, h, w)` as columns: `(n, c kh kw, windows)`; beyond the edges are zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Unfold {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Distance between windows.
    pub stride: [usize; 2],
    /// Distance between elements of a window.
    pub dilation: [usize; 2],
    /// Elements beyond the edges, before and after alike.
    pub pads: [usize; 2],
}

impl Operator for Unfold {
    fn name(&self) -> &'static str {
        "unfold"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        real(inputs)?;
        let [n, c, h, w] = inputs[0].shape[..] else { return Err("an image (n, c, h, w) is needed".into()) };
        let [rows, cols] = windows([h, w], self.kernel, self.stride, self.dilation, self.pads)?;
        Ok(vec![Type::f32([n, c * self.kernel[0] * self.kernel[1], rows * cols])])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        let (h, w, [kh, kw]) = (x.shape[2], x.shape[3], self.kernel);
        let [rows, cols] = windows([h, w], self.kernel, self.stride, self.dilation, self.pads).unwrap_or_default();
        vec![Array::from_index([x.shape[0], x.shape[1] * kh * kw, rows * cols], |y| {
            let (c, tap) = (y[1] / (kh * kw), y[1] % (kh * kw));
            let row = (y[2] / cols * self.stride[0] + tap / kw * self.dilation[0]).checked_sub(self.pads[0]);
            let col = (y[2] % cols * self.stride[1] + tap % kw * self.dilation[1]).checked_sub(self.pads[1]);
            match (row.filter(|&r| r < h), col.filter(|&c| c < w)) {
                (Some(row), Some(col)) => x.at(&[y[0], c, row, col]),
                _ => T::of(0.0),
            }
        })]
    }
}

/// The columns of [`Unfold`] summed back into an image `(n, c, h, w)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fold {
    /// Rows and columns of the image.
    pub size: [usize; 2],
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Distance between windows.
    pub stride: [usize; 2],
    /// Distance between elements of a window.
    pub dilation: [usize; 2],
    /// Elements beyond the edges, before and after alike.
    pub pads: [usize; 2],
}

impl Operator for Fold {
    fn name(&self) -> &'static str {
        "fold"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        real(inputs)?;
        let [rows, cols] = windows(self.size, self.kernel, self.stride, self.dilation, self.pads)?;
        let taps = self.kernel[0] * self.kernel[1];
        match inputs[0].shape[..] {
            [n, c, l] if c % taps == 0 && l == rows * cols => Ok(vec![Type::f32([n, c / taps, self.size[0], self.size[1]])]),
            _ => Err(format!("columns (n, c {taps}, {}) are needed", rows * cols)),
        }
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, [kh, kw]) = (inputs[0], self.kernel);
        let [rows, cols] = windows(self.size, self.kernel, self.stride, self.dilation, self.pads).unwrap_or_default();
        let channels = x.shape[1] / (kh * kw);
        vec![Array::from_index([x.shape[0], channels, self.size[0], self.size[1]], |y| {
            let window = |a: usize, tap: usize, count: usize| {
                let at = (y[2 + a] + self.pads[a]).checked_sub(tap * self.dilation[a])?;
                (at % self.stride[a] == 0 && at / self.stride[a] < count).then_some(at / self.stride[a])
            };
            let mut sum = T::of(0.0);
            for tap in 0..kh * kw {
                if let (Some(r), Some(c)) = (window(0, tap / kw, rows), window(1, tap % kw, cols)) {
                    sum += x.at(&[y[0], y[1] * kh * kw + tap, r * cols + c]);
                }
            }
            sum
        })]
    }
}
