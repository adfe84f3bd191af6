//! Values of a network under construction, with the operators that need no parameters.

use std::ops::{Add, Div, Mul, Neg, Range, Sub};

use super::layers::{Extent, Window};
use super::Builder;
use crate::graph::{Type, ValueId};
use crate::ops::{
    Activation, AdaptivePool, ArgMax, Binary, Cast, Comparison, Concat, Coordinates, Cumulative, Expand, Flip, Fold, Gather,
    GatherElements, GridSample, GroupNorm, LayerNorm, MatMul, Op, Pad, PadMode, PixelShuffle, PixelUnshuffle, Pool, PoolKind,
    Reduce, Reduction, Reshape, Resize, Resizing, Roll, Rounding, Select, Slice, Softmax, Transpose, Unary, Unfold,
};
use crate::tensor::{DType, Tensor};

/// A value. It is a small handle and can be used any number of times.
#[derive(Clone, Copy)]
pub struct Var<'b> {
    pub(super) builder: &'b Builder<'b>,
    /// None after a failure.
    pub(super) id: Option<ValueId>,
}

impl<'b> Var<'b> {
    /// What is known of it; none after a failure.
    pub fn ty(self) -> Option<Type> {
        self.id.map(|id| self.builder.state.borrow().graph.ty(id).clone())
    }

    /// Its shape; empty after a failure.
    pub fn shape(self) -> Vec<usize> {
        self.ty().map(|t| t.shape).unwrap_or_default()
    }

    /// The number of its axes.
    pub fn axes(self) -> usize {
        self.shape().len()
    }

    /// The length of an axis; 1 where there is none.
    pub fn dim(self, axis: usize) -> usize {
        self.shape().get(axis).copied().unwrap_or(1)
    }

    /// The length of an axis counted from the last, which is 0; 1 where there is none.
    pub fn dim_back(self, axis: usize) -> usize {
        self.shape().iter().rev().nth(axis).copied().unwrap_or(1)
    }

    /// The value in the graph, for operators without a method here; none after a failure.
    pub fn id(self) -> Option<ValueId> {
        self.id
    }

    /// The result of any operator of one result, this value its first operand.
    pub fn apply(self, op: impl Into<Op>, others: &[Var<'b>]) -> Var<'b> {
        self.builder.one(op, &[&[self], others].concat())
    }

    /// The results of any operator, this value its first operand.
    pub fn apply_all(self, op: impl Into<Op>, others: &[Var<'b>]) -> Vec<Var<'b>> {
        self.builder.add(op, &[&[self], others].concat())
    }

    /// The builder.
    pub fn builder(self) -> &'b Builder<'b> {
        self.builder
    }

    fn number(self, value: f32) -> Var<'b> {
        self.builder.number(value)
    }
}

/// Methods without arguments: nonlinearities and functions of single elements.
macro_rules! of_one {
    ($($(#[$doc:meta])* $name:ident = $op:expr;)*) => {
        impl<'b> Var<'b> {
            $($(#[$doc])* pub fn $name(self) -> Var<'b> { self.apply($op, &[]) })*
        }
    };
}

of_one! {
    /// `max(x, 0)`.
    relu = Activation::Relu;
    /// `x Φ(x)`.
    gelu = Activation::Gelu;
    /// `x σ(x)`.
    silu = Activation::Silu;
    /// `1 / (1 + e⁻ˣ)`.
    sigmoid = Activation::Sigmoid;
    /// Hyperbolic tangent.
    tanh = Activation::Tanh;
    /// `log(1 + eˣ)`.
    softplus = Activation::Softplus;
    /// `|x|`.
    abs = Unary::Abs;
    /// Square root.
    sqrt = Unary::Sqrt;
    /// `1 / √x`.
    rsqrt = Unary::Rsqrt;
    /// `1 / x`.
    reciprocal = Unary::Reciprocal;
    /// `eˣ`.
    exp = Unary::Exp;
    /// Natural logarithm.
    log = Unary::Log;
    /// Sine.
    sin = Unary::Sin;
    /// Cosine.
    cos = Unary::Cos;
    /// Arc cosine.
    acos = Unary::Acos;
    /// The error function.
    erf = Unary::Erf;
    /// The largest integer that is not larger.
    floor = Unary::Floor;
    /// -1, 0 or 1.
    sign = Unary::Sign;
}

/// Methods with one other operand, broadcast.
macro_rules! of_two {
    ($($(#[$doc:meta])* $name:ident = $op:expr;)*) => {
        impl<'b> Var<'b> {
            $($(#[$doc])* pub fn $name(self, other: Var<'b>) -> Var<'b> { self.apply($op, &[other]) })*
        }
    };
}

of_two! {
    /// The larger.
    maximum = Binary::Max;
    /// The smaller.
    minimum = Binary::Min;
    /// `aᵇ`.
    pow = Binary::Pow;
    /// `a = b`.
    equal = Comparison::Equal;
    /// `a < b`.
    less = Comparison::Less;
    /// `a ≤ b`.
    less_or_equal = Comparison::LessOrEqual;
    /// `a > b`.
    greater = Comparison::Greater;
    /// `a ≥ b`.
    greater_or_equal = Comparison::GreaterOrEqual;
    /// Both.
    and = Binary::And;
    /// Either.
    or = Binary::Or;
    /// The product of matrices over the last two axes.
    matmul = MatMul;
}

impl<'b> Var<'b> {
    /// `x` where positive, else `slope x`.
    pub fn leaky_relu(self, slope: f64) -> Var<'b> {
        self.apply(Activation::LeakyRelu(slope), &[])
    }

    /// `x` where positive, else `alpha (eˣ - 1)`.
    pub fn elu(self, alpha: f64) -> Var<'b> {
        self.apply(Activation::Elu(alpha), &[])
    }

    /// `x` held between two values.
    pub fn clamp(self, low: f64, high: f64) -> Var<'b> {
        self.apply(Activation::Clamp(low, high), &[])
    }

    /// `x²`.
    pub fn square(self) -> Var<'b> {
        self * self
    }

    /// The other truth value.
    pub fn negated(self) -> Var<'b> {
        self.apply(Unary::Not, &[])
    }

    /// `a` where this holds, else `b`.
    pub fn select(self, a: Var<'b>, b: Var<'b>) -> Var<'b> {
        self.apply(Select, &[a, b])
    }

    /// The elements as another type.
    pub fn cast(self, dtype: DType) -> Var<'b> {
        self.apply(Cast(dtype), &[])
    }

    /// Softmax along an axis.
    pub fn softmax(self, axis: usize) -> Var<'b> {
        self.apply(Softmax { axis, log: false }, &[])
    }

    /// The same elements in another shape.
    pub fn reshape(self, shape: &[usize]) -> Var<'b> {
        self.apply(Reshape { shape: shape.to_vec() }, &[])
    }

    /// Axis `i` of the result is axis `axes[i]` of this.
    pub fn permute(self, axes: &[usize]) -> Var<'b> {
        self.apply(Transpose { axes: axes.to_vec() }, &[])
    }

    /// Two axes exchanged.
    pub fn transpose(self, a: usize, b: usize) -> Var<'b> {
        let mut axes: Vec<usize> = (0..self.axes()).collect();
        if a < axes.len() && b < axes.len() {
            axes.swap(a, b);
        }
        self.permute(&axes)
    }

    /// A new axis of length one at `axis`.
    pub fn unsqueeze(self, axis: usize) -> Var<'b> {
        let mut shape = self.shape();
        shape.insert(axis.min(shape.len()), 1);
        self.reshape(&shape)
    }

    /// Without the axis `axis`, whose length is one.
    pub fn squeeze(self, axis: usize) -> Var<'b> {
        let mut shape = self.shape();
        if axis < shape.len() {
            shape.remove(axis);
        }
        self.reshape(&shape)
    }

    /// This and `others` one after the other along an axis.
    pub fn concat(self, axis: usize, others: &[Var<'b>]) -> Var<'b> {
        self.apply(Concat { axis }, others)
    }

    /// A range of an axis.
    pub fn slice(self, axis: usize, range: Range<usize>) -> Var<'b> {
        self.slice_step(axis, range.start, range.len(), 1)
    }

    /// `count` elements of an axis from `start` on, every `step`-th; backwards where `step` is negative.
    pub fn slice_step(self, axis: usize, start: usize, count: usize, step: isize) -> Var<'b> {
        let mut op = Slice { start: vec![0; self.axes()], count: self.shape(), step: vec![1; self.axes()] };
        if axis < op.start.len() {
            (op.start[axis], op.count[axis], op.step[axis]) = (start, count, step);
        }
        self.apply(op, &[])
    }

    /// One element of an axis, which goes.
    pub fn index(self, axis: usize, i: usize) -> Var<'b> {
        self.slice(axis, i..i + 1).squeeze(axis)
    }

    /// `N` equal parts of an axis.
    pub fn chunk<const N: usize>(self, axis: usize) -> [Var<'b>; N] {
        let n = self.dim(axis) / N.max(1);
        std::array::from_fn(|i| self.slice(axis, i * n..(i + 1) * n))
    }

    /// Elements moved along some axes, those that leave one end entering the other.
    pub fn roll(self, shifts: &[(usize, isize)]) -> Var<'b> {
        let mut all = vec![0; self.axes()];
        for &(axis, shift) in shifts {
            if let Some(s) = all.get_mut(axis) {
                *s = shift;
            }
        }
        self.apply(Roll { shifts: all }, &[])
    }

    /// Elements in reverse along some axes.
    pub fn flip(self, axes: &[usize]) -> Var<'b> {
        self.apply(Flip { axes: axes.to_vec() }, &[])
    }

    /// Axes of length one repeated.
    pub fn expand(self, shape: &[usize]) -> Var<'b> {
        self.apply(Expand { shape: shape.to_vec() }, &[])
    }

    /// Slices of an axis at `indices`.
    pub fn gather(self, axis: usize, indices: Var<'b>) -> Var<'b> {
        self.apply(Gather { axis }, &[indices])
    }

    /// Elements of an axis at `indices`, which have the axes of this.
    pub fn gather_elements(self, axis: usize, indices: Var<'b>) -> Var<'b> {
        self.apply(GatherElements { axis }, &[indices])
    }

    /// Channels to pixels.
    pub fn pixel_shuffle(self, factor: usize) -> Var<'b> {
        self.apply(PixelShuffle { factor }, &[])
    }

    /// Pixels to channels.
    pub fn pixel_unshuffle(self, factor: usize) -> Var<'b> {
        self.apply(PixelUnshuffle { factor }, &[])
    }

    /// More or fewer elements at the edges of the last axes, one pair for each of them.
    pub fn pad(self, last: &[(i64, i64)], mode: PadMode) -> Var<'b> {
        let mut pads = vec![(0, 0); self.axes().saturating_sub(last.len())];
        pads.extend(last);
        self.apply(Pad { pads, mode, value: 0.0 }, &[])
    }

    fn pool(self, kind: PoolKind, window: Window) -> Var<'b> {
        let axes = self.axes().saturating_sub(2);
        let op = Pool {
            kind,
            kernel: window.kernel.of(axes),
            stride: window.stride.unwrap_or(window.kernel).of(axes),
            dilation: vec![1; axes],
            pads: window.pad.of(axes).into_iter().map(|p| (p, p)).collect(),
            ceil: window.ceil,
        };
        self.apply(op, &[])
    }

    /// The largest element of windows.
    pub fn max_pool(self, window: Window) -> Var<'b> {
        self.pool(PoolKind::Max, window)
    }

    /// The mean of windows, zeros beyond the edges counted.
    pub fn mean_pool(self, window: Window) -> Var<'b> {
        self.pool(PoolKind::Mean { count_pads: true }, window)
    }

    /// The mean of windows that share out the spatial axes into a given number.
    pub fn adaptive_mean_pool(self, size: impl Into<Extent>) -> Var<'b> {
        let size = size.into().of(self.axes().saturating_sub(2));
        self.apply(AdaptivePool { kind: PoolKind::Mean { count_pads: false }, size }, &[])
    }

    /// The largest element of windows that share out the spatial axes into a given number.
    pub fn adaptive_max_pool(self, size: impl Into<Extent>) -> Var<'b> {
        let size = size.into().of(self.axes().saturating_sub(2));
        self.apply(AdaptivePool { kind: PoolKind::Max, size }, &[])
    }

    /// Another size of the spatial axes; see [`Resize`] for what the arguments mean.
    pub fn resize(self, size: impl Into<Extent>, mode: Resizing, coordinates: Coordinates) -> Var<'b> {
        let size = size.into().of(self.axes().saturating_sub(2));
        self.apply(Resize { size, mode, coordinates, factors: None }, &[])
    }

    /// Bilinear resizing, centres of the corners aligned or outer edges.
    pub fn resize_bilinear(self, size: impl Into<Extent>, align_corners: bool) -> Var<'b> {
        self.resize(size, Resizing::Linear, if align_corners { Coordinates::AlignCorners } else { Coordinates::HalfPixel })
    }

    /// Bicubic resizing, centres of the corners aligned or outer edges.
    pub fn resize_bicubic(self, size: impl Into<Extent>, align_corners: bool) -> Var<'b> {
        self.resize(size, Resizing::Cubic, if align_corners { Coordinates::AlignCorners } else { Coordinates::HalfPixel })
    }

    /// Every element the nearest one, as PyTorch's `nearest`.
    pub fn resize_nearest(self, size: impl Into<Extent>) -> Var<'b> {
        self.resize(size, Resizing::Nearest(Rounding::Floor), Coordinates::Asymmetric)
    }

    fn reduce(self, kind: Reduction, axes: &[usize], keep: bool) -> Var<'b> {
        self.apply(Reduce { kind, axes: axes.to_vec(), keep }, &[])
    }

    /// The sum over axes, which stay with length one where `keep`.
    pub fn sum(self, axes: &[usize], keep: bool) -> Var<'b> {
        self.reduce(Reduction::Sum, axes, keep)
    }

    /// The mean over axes.
    pub fn mean(self, axes: &[usize], keep: bool) -> Var<'b> {
        self.reduce(Reduction::Mean, axes, keep)
    }

    /// The largest element over axes.
    pub fn max(self, axes: &[usize], keep: bool) -> Var<'b> {
        self.reduce(Reduction::Max, axes, keep)
    }

    /// The smallest element over axes.
    pub fn min(self, axes: &[usize], keep: bool) -> Var<'b> {
        self.reduce(Reduction::Min, axes, keep)
    }

    /// The variance over axes; `unbiased` divides by one less than the number.
    pub fn variance(self, axes: &[usize], unbiased: bool, keep: bool) -> Var<'b> {
        self.reduce(Reduction::Variance { unbiased }, axes, keep)
    }

    /// The index of the largest element along an axis, which goes.
    pub fn arg_max(self, axis: usize) -> Var<'b> {
        self.apply(ArgMax { axis, keep: false }, &[])
    }

    /// Running sums along an axis.
    pub fn cumulative_sum(self, axis: usize) -> Var<'b> {
        self.apply(Cumulative { axis, product: false }, &[])
    }

    /// Layer normalisation over the last axes without scale and shift.
    pub fn normalised(self, axes: usize, epsilon: f64) -> Var<'b> {
        self.apply(LayerNorm { axes, epsilon }, &[])
    }

    /// Instance normalisation without scale and shift: every channel of every image to mean 0 and variance 1.
    pub fn instance_norm(self, epsilon: f64) -> Var<'b> {
        self.apply(GroupNorm { groups: self.dim(1), epsilon }, &[])
    }

    /// Group normalisation without scale and shift.
    pub fn group_normalised(self, groups: usize, epsilon: f64) -> Var<'b> {
        self.apply(GroupNorm { groups, epsilon }, &[])
    }

    /// Windows as columns; see [`Unfold`].
    pub fn unfold(self, op: Unfold) -> Var<'b> {
        self.apply(op, &[])
    }

    /// Columns summed into an image; see [`Fold`].
    pub fn fold(self, op: Fold) -> Var<'b> {
        self.apply(op, &[])
    }

    /// Samples at places; see [`GridSample`].
    pub fn grid_sample(self, grid: Var<'b>, op: GridSample) -> Var<'b> {
        self.apply(op, &[grid])
    }

    /// A tensor of the architecture beside this value.
    pub fn constant(self, tensor: Tensor) -> Var<'b> {
        self.builder.constant(tensor)
    }
}

/// Arithmetic between values and with numbers on either side.
macro_rules! arithmetic {
    ($($trait:ident $method:ident;)*) => {$(
        impl<'b> $trait for Var<'b> {
            type Output = Var<'b>;
            fn $method(self, other: Var<'b>) -> Var<'b> {
                self.apply(Binary::$trait, &[other])
            }
        }

        impl<'b> $trait<f32> for Var<'b> {
            type Output = Var<'b>;
            fn $method(self, other: f32) -> Var<'b> {
                self.$method(self.number(other))
            }
        }

        impl<'b> $trait<Var<'b>> for f32 {
            type Output = Var<'b>;
            fn $method(self, other: Var<'b>) -> Var<'b> {
                other.number(self).$method(other)
            }
        }
    )*};
}

arithmetic! {
    Add add;
    Sub sub;
    Mul mul;
    Div div;
}

impl<'b> Neg for Var<'b> {
    type Output = Var<'b>;
    fn neg(self) -> Var<'b> {
        self.apply(Unary::Neg, &[])
    }
}
