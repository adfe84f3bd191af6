//! Convolutions over one, two or three spatial axes. Values are `(batch, channel, spatial axes…)`.
//!
//! Gradients: of the operand from the weights, of the weights from the operand, of the bias from nothing. The gradient of a
//! convolution's operand is a transposed convolution and the other way round; padding other than zeros folds back as in
//! [`super::Pad`]. A deformable convolution needs all its operands.

use super::{operands, real, shaped, Operator, PadMode, Rule};
use crate::graph::Type;
use crate::reference::{positions, Array, Real};

/// Correlation with a kernel; operands: x `(n, c, spatial…)`, weight `(outputs, c / groups, kernel…)`, optionally bias `(outputs)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Convolution {
    /// Distance between results, for every spatial axis.
    pub stride: Vec<usize>,
    /// Distance between taps, for every spatial axis.
    pub dilation: Vec<usize>,
    /// Elements beyond the edges before and after, for every spatial axis.
    pub pads: Vec<(usize, usize)>,
    /// What lies beyond the edges.
    pub pad_mode: PadMode,
    /// Channels and outputs are shared out into so many independent convolutions.
    pub groups: usize,
}

/// The number of results along an axis of length `n`.
fn results(n: usize, kernel: usize, stride: usize, dilation: usize, pads: (usize, usize)) -> Result<usize, String> {
    if stride == 0 || dilation == 0 || kernel == 0 {
        return Err("stride, dilation and kernel must be at least 1".into());
    }
    let (padded, reach) = (n + pads.0 + pads.1, dilation * (kernel - 1) + 1);
    if padded < reach {
        return Err(format!(
            "an axis of length {n} with {} more at its edges is shorter than the kernel's reach {reach}",
            pads.0 + pads.1
        ));
    }
    Ok((padded - reach) / stride + 1)
}

fn spatial_attributes(axes: usize, lengths: [usize; 3]) -> Result<(), String> {
    if lengths.iter().all(|&n| n == axes) && (1..=3).contains(&axes) {
        return Ok(());
    }
    Err(format!("stride, dilation and pads are given for {lengths:?} spatial axes, but there are {axes} (1 to 3 are possible)"))
}

/// Fails unless there are operand and weights of the same spatial axes, and perhaps a bias; all real.
fn operand_and_weights(inputs: &[&Type]) -> Result<(), String> {
    operands(inputs, 2..=3)?;
    real(inputs)?;
    let (x, weight) = (&inputs[0].shape, &inputs[1].shape);
    if x.len() < 3 || weight.len() != x.len() {
        return Err("operand and weights need batch, channel and the same 1 to 3 spatial axes".into());
    }
    Ok(())
}

fn check_bias(inputs: &[&Type], at: usize, outputs: usize) -> Result<(), String> {
    inputs.get(at).map_or(Ok(()), |bias| shaped("bias", bias, &[outputs]))
}

impl Operator for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operand_and_weights(inputs)?;
        let (x, weight) = (&inputs[0].shape, &inputs[1].shape);
        spatial_attributes(x.len() - 2, [self.stride.len(), self.dilation.len(), self.pads.len()])?;
        if self.groups == 0 || weight[1] * self.groups != x[1] || weight[0] % self.groups != 0 {
            return Err(format!(
                "weights for {} channels in {} groups do not fit {} channels",
                weight[1] * self.groups,
                self.groups,
                x[1]
            ));
        }
        check_bias(inputs, 2, weight[0])?;
        let mut shape = vec![x[0], weight[0]];
        for axis in 0..x.len() - 2 {
            let (n, pads) = (x[2 + axis], self.pads[axis]);
            self.pad_mode.check(pads.0.max(pads.1), n)?;
            shape.push(results(n, weight[2 + axis], self.stride[axis], self.dilation[axis], pads)?);
        }
        Ok(vec![Type::f32(shape)])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, weight) = (inputs[0], inputs[1]);
        let types: Vec<Type> = inputs.iter().map(|a| Type::f32(a.shape.clone())).collect();
        let shape = self.outputs(&types.iter().collect::<Vec<_>>()).map(|t| t[0].shape.clone()).unwrap_or_default();
        let (per_group, outputs) = (weight.shape[1], weight.shape[0] / self.groups);
        // spatial axes as three, those that lack of length one
        let three = |lengths: &[usize]| -> [usize; 3] {
            let lacking = 3 - lengths.len();
            std::array::from_fn(|axis| if axis < lacking { 1 } else { lengths[axis - lacking] })
        };
        let (from, kernel, to) = (three(&x.shape[2..]), three(&weight.shape[2..]), three(&shape[2..]));
        let lacking = 5 - x.shape.len();
        // for every tap along an axis: pairs of result and element
        let pairs: Vec<Vec<Vec<(usize, usize)>>> = (0..3)
            .map(|axis: usize| {
                let pair = |tap: usize, y: usize| match axis.checked_sub(lacking) {
                    None => Some((0, 0)),
                    Some(axis) => {
                        let i = (y * self.stride[axis] + tap * self.dilation[axis]) as isize - self.pads[axis].0 as isize;
                        self.pad_mode.source(i, x.shape[2 + axis]).map(|i| (y, i))
                    }
                };
                (0..kernel[axis]).map(|tap| (0..to[axis]).filter_map(|y| pair(tap, y)).collect()).collect()
            })
            .collect();
        let (image, plane) = (from.iter().product::<usize>(), to.iter().product::<usize>());
        let mut y = vec![T::of(0.0); shape.iter().product()];
        for (p, y) in y.chunks_exact_mut(plane).enumerate() {
            let (n, output) = (p / shape[1], p % shape[1]);
            y.fill(inputs.get(2).map_or(T::of(0.0), |bias| bias.real()[output]));
            let weights = &weight.real()[output * weight.shape[1..].iter().product::<usize>()..];
            let mut weights = weights.iter().copied();
            for c in 0..per_group {
                let x = &x.real()[(n * x.shape[1] + output / outputs * per_group + c) * image..][..image];
                for (i, j, k) in (0..kernel[0])
                    .flat_map(|i| (0..kernel[1]).map(move |j| (i, j)))
                    .flat_map(|(i, j)| (0..kernel[2]).map(move |k| (i, j, k)))
                {
                    let w = weights.next().unwrap_or_default();
                    for &(y0, x0) in &pairs[0][i] {
                        for &(y1, x1) in &pairs[1][j] {
                            let (x, y) = (&x[(x0 * from[1] + x1) * from[2]..], &mut y[(y0 * to[1] + y1) * to[2]..]);
                            for &(y2, x2) in &pairs[2][k] {
                                y[y2] += x[x2] * w;
                            }
                        }
                    }
                }
            }
        }
        let y = Array::new(shape, y);
        vec![y]
    }

    fn multiply_adds(&self, inputs: &[&Type], output: &Type) -> u64 {
        output.len() as u64 * inputs[1].shape[1..].iter().product::<usize>() as u64
    }
}

/// The transpose of a convolution; operands: x `(n, c, spatial…)`, weight `(c, outputs / groups, kernel…)`, optionally bias
/// `(outputs)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TransposedConvolution {
    /// Distance that neighbours of x have in the result, for every spatial axis.
    pub stride: Vec<usize>,
    /// Distance between taps, for every spatial axis.
    pub dilation: Vec<usize>,
    /// Elements cut off before and after, for every spatial axis.
    pub pads: Vec<(usize, usize)>,
    /// Elements added after, for every spatial axis.
    pub output_pads: Vec<usize>,
    /// Channels and outputs are shared out into so many independent convolutions.
    pub groups: usize,
}

impl Operator for TransposedConvolution {
    fn name(&self) -> &'static str {
        "transposed convolution"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operand_and_weights(inputs)?;
        let (x, weight) = (&inputs[0].shape, &inputs[1].shape);
        let axes = x.len() - 2;
        spatial_attributes(axes, [self.stride.len(), self.dilation.len(), self.pads.len()])?;
        if self.groups == 0 || weight[0] != x[1] || x[1] % self.groups != 0 || self.output_pads.len() != axes {
            return Err(format!("weights for {} channels in {} groups do not fit {} channels", weight[0], self.groups, x[1]));
        }
        check_bias(inputs, 2, weight[1] * self.groups)?;
        let mut shape = vec![x[0], weight[1] * self.groups];
        for axis in 0..axes {
            let (n, k, s, d) = (x[2 + axis], weight[2 + axis], self.stride[axis], self.dilation[axis]);
            let full = (n - 1) * s + d * k.saturating_sub(1) + 1 + self.output_pads[axis];
            let cut = self.pads[axis].0 + self.pads[axis].1;
            if full <= cut || s == 0 || d == 0 || k == 0 {
                return Err(format!("cutting {cut} elements off leaves nothing of {full}"));
            }
            shape.push(full - cut);
        }
        Ok(vec![Type::f32(shape)])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, weight) = (inputs[0], inputs[1]);
        let types: Vec<Type> = inputs.iter().map(|a| Type::f32(a.shape.clone())).collect();
        let shape = self.outputs(&types.iter().collect::<Vec<_>>()).map(|t| t[0].shape.clone()).unwrap_or_default();
        let (outputs, channels) = (weight.shape[1], weight.shape[0] / self.groups);
        let taps = positions(&weight.shape[2..], |tap| tap.to_vec());
        let y = Array::from_index(shape, |y| {
            let mut sum = inputs.get(2).map_or(T::of(0.0), |bias| bias.real()[y[1]]);
            let group = y[1] / outputs;
            for tap in &taps {
                let mut from = vec![y[0], 0];
                for axis in 0..tap.len() {
                    let reached = y[2 + axis] + self.pads[axis].0;
                    let i = reached.checked_sub(tap[axis] * self.dilation[axis]);
                    let i = i.filter(|i| i % self.stride[axis] == 0).map(|i| i / self.stride[axis]);
                    from.extend(i.filter(|&i| i < x.shape[2 + axis]));
                }
                if from.len() < x.shape.len() {
                    continue;
                }
                for c in group * channels..(group + 1) * channels {
                    from[1] = c;
                    let mut at = vec![c, y[1] % outputs];
                    at.extend(tap);
                    sum += x.at(&from) * weight.at(&at);
                }
            }
            sum
        });
        vec![y]
    }

    fn multiply_adds(&self, inputs: &[&Type], _: &Type) -> u64 {
        inputs[0].len() as u64 * inputs[1].shape[1..].iter().product::<usize>() as u64
    }
}

/// A convolution over two axes whose taps are moved by offsets (Zhu et al. 2019, modulated when a mask is given); operands: x
/// `(n, c, h, w)`, offset `(n, 2 taps, oh, ow)` (rows, columns per tap), weight `(outputs, c, kh, kw)`, mask `(n, taps, oh, ow)`
/// where `masked`, optionally bias `(outputs)`. Beyond the edges are zeros.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeformableConvolution {
    /// Distance between results.
    pub stride: [usize; 2],
    /// Distance between taps.
    pub dilation: [usize; 2],
    /// Elements beyond the edges before and after.
    pub pads: [(usize, usize); 2],
    /// Whether every tap has a weight of its own per result.
    pub masked: bool,
}

impl Operator for DeformableConvolution {
    fn name(&self) -> &'static str {
        "deformable convolution"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        let least = 3 + usize::from(self.masked);
        operands(inputs, least..=least + 1)?;
        real(inputs)?;
        let (x, weight) = (&inputs[0].shape, &inputs[2].shape);
        if x.len() != 4 || weight.len() != 4 || weight[1] != x[1] {
            return Err("an image (n, c, h, w) and weights (outputs, c, rows, columns) are needed".into());
        }
        let mut size = [0; 2];
        for axis in 0..2 {
            size[axis] = results(x[2 + axis], weight[2 + axis], self.stride[axis], self.dilation[axis], self.pads[axis])?;
        }
        let taps = weight[2] * weight[3];
        shaped("offset", inputs[1], &[x[0], 2 * taps, size[0], size[1]])?;
        if self.masked {
            shaped("mask", inputs[3], &[x[0], taps, size[0], size[1]])?;
        }
        check_bias(inputs, least, weight[0])?;
        Ok(vec![Type::f32([x[0], weight[0], size[0], size[1]])])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, offsets, weight) = (inputs[0], inputs[1], inputs[2]);
        let bias = inputs.get(3 + usize::from(self.masked));
        let (kernel, size) = ([weight.shape[2], weight.shape[3]], [offsets.shape[2], offsets.shape[3]]);
        let y = Array::from_index([x.shape[0], weight.shape[0], size[0], size[1]], |y| {
            let mut sum = bias.map_or(T::of(0.0), |b| b.real()[y[1]]);
            for tap in 0..kernel[0] * kernel[1] {
                let place = |axis: usize, k: usize| {
                    let fixed = (y[2 + axis] * self.stride[axis] + k * self.dilation[axis]) as f64 - self.pads[axis].0 as f64;
                    T::of(fixed) + offsets.at(&[y[0], 2 * tap + axis, y[2], y[3]])
                };
                let (row, col) = (place(0, tap / kernel[1]), place(1, tap % kernel[1]));
                let scale = if self.masked { inputs[3].at(&[y[0], tap, y[2], y[3]]) } else { T::of(1.0) };
                for c in 0..x.shape[1] {
                    let sample = super::sampling::bilinear(x, y[0], c, row, col, |i, n| PadMode::Zeros.source(i, n));
                    sum += sample * scale * weight.at(&[y[1], c, tap / kernel[1], tap % kernel[1]]);
                }
            }
            sum
        });
        vec![y]
    }

    fn multiply_adds(&self, inputs: &[&Type], output: &Type) -> u64 {
        output.len() as u64 * inputs[2].shape[1..].iter().product::<usize>() as u64
    }
}
