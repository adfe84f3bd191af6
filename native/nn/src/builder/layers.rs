//! Layers: operators with their parameters, named as PyTorch names them (`weight`, `bias`, `running_mean`, …).

use super::{Scope, Var};
use crate::graph::MAX_AXES;
use crate::ops::{BatchNorm, Cell, Convolution, GroupNorm, LayerNorm, Linear, PadMode, Recurrent, TransposedConvolution};

/// A length for every spatial axis: one for all, or one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The same for all.
    All(usize),
    /// One each; the first so many count.
    Each([usize; MAX_AXES], usize),
}

impl Extent {
    /// The lengths of `axes` axes.
    pub fn of(&self, axes: usize) -> Vec<usize> {
        match self {
            Extent::All(n) => vec![*n; axes],
            Extent::Each(n, count) => n[..*count].to_vec(),
        }
    }
}

impl From<usize> for Extent {
    fn from(n: usize) -> Self {
        Extent::All(n)
    }
}

impl<const N: usize> From<[usize; N]> for Extent {
    fn from(n: [usize; N]) -> Self {
        let mut all = [0; MAX_AXES];
        all.iter_mut().zip(n).for_each(|(a, n)| *a = n);
        Extent::Each(all, N.min(MAX_AXES))
    }
}

/// Options of a convolution: `Conv::new(64, 3).pad(1).stride(2)`. It has a bias, stride 1 and no pads unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv {
    pub(super) outputs: usize,
    pub(super) kernel: Extent,
    pub(super) stride: Extent,
    pub(super) dilation: Extent,
    pub(super) pad: Extent,
    pub(super) pad_after: Option<Extent>,
    pub(super) output_pad: Extent,
    pub(super) mode: PadMode,
    pub(super) groups: usize,
    pub(super) bias: bool,
}

impl Conv {
    /// A convolution with so many outputs and a kernel of this size.
    pub fn new(outputs: usize, kernel: impl Into<Extent>) -> Self {
        Conv {
            outputs,
            kernel: kernel.into(),
            stride: Extent::All(1),
            dilation: Extent::All(1),
            pad: Extent::All(0),
            pad_after: None,
            output_pad: Extent::All(0),
            mode: PadMode::Zeros,
            groups: 1,
            bias: true,
        }
    }

    /// Distance between results.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Extent>) -> Self {
        self.stride = stride.into();
        self
    }

    /// Distance between taps.
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<Extent>) -> Self {
        self.dilation = dilation.into();
        self
    }

    /// Elements beyond the edges, before and after alike (of a transposed convolution: cut off).
    #[must_use]
    pub fn pad(mut self, pad: impl Into<Extent>) -> Self {
        self.pad = pad.into();
        self
    }

    /// Elements beyond the edges after the last, where they are not as many as before.
    #[must_use]
    pub fn pad_after(mut self, pad: impl Into<Extent>) -> Self {
        self.pad_after = Some(pad.into());
        self
    }

    /// What lies beyond the edges; zeros unless told otherwise.
    #[must_use]
    pub fn mode(mut self, mode: PadMode) -> Self {
        self.mode = mode;
        self
    }

    /// Elements that a transposed convolution adds after the last.
    #[must_use]
    pub fn output_pad(mut self, pad: impl Into<Extent>) -> Self {
        self.output_pad = pad.into();
        self
    }

    /// Channels and outputs are shared out into so many independent convolutions.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Without a bias, or with one as the condition says.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    fn pads(&self, axes: usize) -> Vec<(usize, usize)> {
        let before = self.pad.of(axes);
        let after = self.pad_after.map_or_else(|| before.clone(), |p| p.of(axes));
        before.into_iter().zip(after).collect()
    }
}

/// Options of a pooling: `Window::new(2)`; the stride is the window's size unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    pub(super) kernel: Extent,
    pub(super) stride: Option<Extent>,
    pub(super) pad: Extent,
    pub(super) ceil: bool,
}

impl Window {
    /// A window of this size.
    pub fn new(kernel: impl Into<Extent>) -> Self {
        Window { kernel: kernel.into(), stride: None, pad: Extent::All(0), ceil: false }
    }

    /// Distance between windows.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Extent>) -> Self {
        self.stride = Some(stride.into());
        self
    }

    /// Elements beyond the edges, before and after alike.
    #[must_use]
    pub fn pad(mut self, pad: impl Into<Extent>) -> Self {
        self.pad = pad.into();
        self
    }

    /// A last window that is not whole counts.
    #[must_use]
    pub fn ceil(mut self) -> Self {
        self.ceil = true;
        self
    }
}

impl<'b> Scope<'b> {
    /// A convolution over the one to three spatial axes of `x` `(n, c, spatial…)`; `name.weight` `(outputs, c / groups, kernel…)`,
    /// `name.bias` `(outputs)`.
    pub fn conv(&self, name: &str, x: Var<'b>, conv: Conv) -> Var<'b> {
        let layer = self.enter(name);
        let weight = layer.conv_weight(x, conv);
        let bias = conv.bias.then(|| layer.weight("bias", &[conv.outputs]));
        x.conv(weight, bias, conv)
    }

    /// The weight of [`Scope::conv`], for networks that change it before use (spectral norm, standardisation): pass it to
    /// [`Var::conv`].
    pub fn conv_weight(&self, x: Var<'b>, conv: Conv) -> Var<'b> {
        let axes = x.axes().saturating_sub(2).max(1);
        let shape = [&[conv.outputs, x.dim(1) / conv.groups.max(1)], &conv.kernel.of(axes)[..]].concat();
        self.weight("weight", &shape)
    }

    /// A transposed convolution; `name.weight` `(c, outputs / groups, kernel…)`, `name.bias` `(outputs)`.
    pub fn conv_transpose(&self, name: &str, x: Var<'b>, conv: Conv) -> Var<'b> {
        let layer = self.enter(name);
        let axes = x.axes().saturating_sub(2).max(1);
        let shape = [&[x.dim(1), conv.outputs / conv.groups.max(1)], &conv.kernel.of(axes)[..]].concat();
        let weight = layer.weight("weight", &shape);
        let bias = conv.bias.then(|| layer.weight("bias", &[conv.outputs]));
        let op = TransposedConvolution {
            stride: conv.stride.of(axes),
            dilation: conv.dilation.of(axes),
            pads: conv.pads(axes),
            output_pads: conv.output_pad.of(axes),
            groups: conv.groups,
        };
        let inputs: Vec<Var> = [Some(x), Some(weight), bias].into_iter().flatten().collect();
        self.builder.one(op, &inputs)
    }

    /// `x Wᵀ + b` along the last axis; `name.weight` `(outputs, inputs)`, `name.bias` `(outputs)`.
    pub fn linear(&self, name: &str, x: Var<'b>, outputs: usize) -> Var<'b> {
        let layer = self.enter(name);
        let bias = layer.weight("bias", &[outputs]);
        let weight = layer.weight("weight", &[outputs, x.dim_back(0)]);
        self.builder.one(Linear, &[x, weight, bias])
    }

    /// [`Scope::linear`] without a bias.
    pub fn linear_unbiased(&self, name: &str, x: Var<'b>, outputs: usize) -> Var<'b> {
        let layer = self.enter(name);
        let weight = layer.weight("weight", &[outputs, x.dim_back(0)]);
        self.builder.one(Linear, &[x, weight])
    }

    /// Normalisation of every channel with the running statistics of training; `name.weight`, `bias`, `running_mean`, `running_var`.
    pub fn batch_norm(&self, name: &str, x: Var<'b>, epsilon: f64) -> Var<'b> {
        let layer = self.enter(name);
        let c = [x.dim(1)];
        let (scale, shift) = (layer.weight("weight", &c), layer.weight("bias", &c));
        let (mean, variance) = (layer.buffer("running_mean", &c), layer.buffer("running_var", &c));
        self.builder.one(BatchNorm { epsilon }, &[x, scale, shift, mean, variance])
    }

    /// Normalisation over the last axis; `name.weight`, `name.bias`.
    pub fn layer_norm(&self, name: &str, x: Var<'b>, epsilon: f64) -> Var<'b> {
        self.layer_norm_over(name, x, 1, epsilon)
    }

    /// Normalisation over so many of the last axes; `name.weight`, `name.bias` of their shape.
    pub fn layer_norm_over(&self, name: &str, x: Var<'b>, axes: usize, epsilon: f64) -> Var<'b> {
        let layer = self.enter(name);
        let shape: Vec<usize> = (0..axes).rev().map(|i| x.dim_back(i)).collect();
        let (scale, shift) = (layer.weight("weight", &shape), layer.weight("bias", &shape));
        self.builder.one(LayerNorm { axes, epsilon }, &[x, scale, shift])
    }

    /// Normalisation of groups of channels; `name.weight`, `name.bias` `(c)`.
    pub fn group_norm(&self, name: &str, x: Var<'b>, groups: usize, epsilon: f64) -> Var<'b> {
        let layer = self.enter(name);
        let (scale, shift) = (layer.weight("weight", &[x.dim(1)]), layer.weight("bias", &[x.dim(1)]));
        self.builder.one(GroupNorm { groups, epsilon }, &[x, scale, shift])
    }

    /// `x` where positive, else `a x` with a learnt `name.weight`, of length 1 or one for every channel.
    pub fn prelu(&self, name: &str, x: Var<'b>) -> Var<'b> {
        let layer = self.enter(name);
        let count = layer.size("weight", 0);
        let slope = layer.weight("weight", &[count]);
        let mut shape = vec![1; x.axes()];
        if let Some(n) = shape.get_mut(1) {
            *n = count;
        }
        x.relu() + slope.reshape(&shape) * x.minimum(self.builder.number(0.0))
    }

    /// A table of vectors, one for every index of `indices` (i64); `name.weight` `(count, width)`.
    pub fn embedding(&self, name: &str, indices: Var<'b>, count: usize, width: usize) -> Var<'b> {
        let layer = self.enter(name);
        layer.weight("weight", &[count, width]).gather(0, indices)
    }

    /// An LSTM over a sequence `(steps, n, inputs)`, of one layer and direction; `name.weight_ih_SUFFIX`, `weight_hh_SUFFIX`,
    /// `bias_ih_SUFFIX`, `bias_hh_SUFFIX` (PyTorch's suffixes: `l0`, `l1_reverse`). Yields the states `(steps, n, units)`, the last
    /// hidden and the last cell state.
    pub fn lstm(&self, name: &str, suffix: &str, x: Var<'b>, units: usize, reverse: bool) -> [Var<'b>; 3] {
        let r = self.recurrent(Cell::Lstm, name, suffix, x, units, reverse);
        [r[0], r[1], r[2]]
    }

    /// A GRU, as [`Scope::lstm`]; yields the states and the last state.
    pub fn gru(&self, name: &str, suffix: &str, x: Var<'b>, units: usize, reverse: bool) -> [Var<'b>; 2] {
        let r = self.recurrent(Cell::Gru, name, suffix, x, units, reverse);
        [r[0], r[1]]
    }

    fn recurrent(&self, cell: Cell, name: &str, suffix: &str, x: Var<'b>, units: usize, reverse: bool) -> Vec<Var<'b>> {
        let layer = self.enter(name);
        let rows = cell.gates() * units;
        let inputs = [
            x,
            layer.weight(&format!("weight_ih_{suffix}"), &[rows, x.dim(2)]),
            layer.weight(&format!("weight_hh_{suffix}"), &[rows, units]),
            layer.weight(&format!("bias_ih_{suffix}"), &[rows]),
            layer.weight(&format!("bias_hh_{suffix}"), &[rows]),
        ];
        self.builder.add(Recurrent { cell, reverse, bias: true, initial: false }, &inputs)
    }
}

impl<'b> Var<'b> {
    /// A convolution with a weight `(outputs, c / groups, kernel…)` and bias that were computed; only stride, dilation, pads and
    /// groups of `conv` count.
    pub fn conv(self, weight: Var<'b>, bias: Option<Var<'b>>, conv: Conv) -> Var<'b> {
        let axes = self.axes().saturating_sub(2);
        let op = Convolution {
            stride: conv.stride.of(axes),
            dilation: conv.dilation.of(axes),
            pads: conv.pads(axes),
            pad_mode: conv.mode,
            groups: conv.groups,
        };
        let inputs: Vec<Var> = [Some(self), Some(weight), bias].into_iter().flatten().collect();
        self.builder.one(op, &inputs)
    }
}
