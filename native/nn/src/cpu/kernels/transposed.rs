//! Transposed convolution: one ordinary convolution for every phase of the result.
//!
//! Along an axis of stride s, results whose place has the same remainder r meet the same taps r, r + s, …; they are a convolution of the
//! operand with those taps in reverse. The phases are computed one after the other beside the result and put into their places.

use stfusion_simd::Path;

use super::convolution::{Prepared, Size};
use super::copy::Copy;
use super::Shared;
use crate::ops::TransposedConvolution;
use crate::reference::{positions, strides};

/// A transposed convolution with packed weights for an operand of one shape.
#[derive(Debug)]
pub(crate) struct Transposed {
    phases: Vec<Phase>,
    /// Values of the largest phase.
    scratch: usize,
}

#[derive(Debug)]
struct Phase {
    /// None where no tap meets the phase.
    convolution: Option<Prepared>,
    bias: Vec<f32>,
    /// From the phase to the result.
    copy: Copy,
    len: usize,
    /// Values of one output of one image.
    plane: usize,
}

/// The results of one remainder along an axis.
#[derive(Debug, Clone, Copy)]
struct Remainder {
    /// The first of the taps and how many there are.
    tap: usize,
    taps: usize,
    /// The first of the results and how many there are.
    first: usize,
    count: usize,
    /// Elements before the operand's first that the first result meets.
    before: isize,
}

fn remainders(kernel: usize, stride: usize, cut: usize, length: usize) -> Vec<Remainder> {
    let of = |first: usize| {
        let (tap, quotient) = ((first + cut) % stride, (first + cut) / stride);
        let taps = kernel.saturating_sub(tap).div_ceil(stride);
        let count = (length - first).div_ceil(stride);
        Remainder { tap, taps, first, count, before: taps as isize - 1 - quotient as isize }
    };
    (0..stride.min(length)).map(of).collect()
}

impl Transposed {
    /// A transposed convolution of x (shape `x`) with `weight` (shape `w`) into shape `y`, as the graph has checked; none where taps lie
    /// apart.
    pub(crate) fn new(
        path: Path,
        op: &TransposedConvolution,
        x: &[usize],
        w: &[usize],
        weight: &[f32],
        bias: Option<&[f32]>,
        y: &[usize],
    ) -> Option<Self> {
        if op.dilation.iter().any(|&d| d != 1) {
            return None;
        }
        let axes = x.len() - 2;
        let (outputs, channels) = (w[1], w[0] / op.groups);
        let bias = bias.map_or(vec![0.0; outputs * op.groups], <[f32]>::to_vec);
        let along: Vec<Vec<Remainder>> = (0..axes).map(|a| remainders(w[2 + a], op.stride[a], op.pads[a].0, y[2 + a])).collect();
        let counts: Vec<usize> = along.iter().map(Vec::len).collect();
        let phases: Vec<Phase> = positions(&counts, |index| {
            let parts: Vec<Remainder> = index.iter().zip(&along).map(|(&i, a)| a[i]).collect();
            let taps: Vec<usize> = parts.iter().map(|p| p.taps).collect();
            let size: Vec<usize> = parts.iter().map(|p| p.count).collect();
            let shape = [&[y[0], y[1]], &size[..]].concat();
            let kernel = [&[outputs * op.groups, channels], &taps[..]].concat();
            let steps = strides(w);
            let weights = positions(&kernel, |k| {
                let (group, output) = (k[0] / outputs, k[0] % outputs);
                let taps = (0..axes).map(|a| {
                    let tap = parts[a].tap + (parts[a].taps - 1 - k[2 + a]) * op.stride[a];
                    tap * steps[2 + a]
                });
                weight[(group * channels + k[1]) * steps[0] + output * steps[1] + taps.sum::<usize>()]
            });
            let before: Vec<isize> = parts.iter().map(|p| p.before).collect();
            let size = Size { x, kernel: &kernel, before: &before, y: &shape };
            let convolution = (!taps.contains(&0)).then(|| Prepared::plain(path, op.groups, size, &weights, Some(&bias)));
            let (from, to) = (strides(&shape), strides(y));
            let step = |a: usize| if a < 2 { 1 } else { op.stride[a - 2] };
            let axes = (0..shape.len()).map(|a| (shape[a], from[a] as isize, (to[a] * step(a)) as isize)).collect();
            let first = parts.iter().zip(&to[2..]).map(|(p, t)| p.first * t).sum();
            let copy = Copy { operand: 0, from: 0, to: first, axes }.collapsed();
            Phase { convolution, bias: bias.clone(), copy, len: shape.iter().product(), plane: shape[2..].iter().product() }
        });
        let scratch = phases.iter().map(|p| p.len).max().unwrap_or(0);
        Some(Transposed { phases, scratch })
    }

    /// Values that a run needs beside operand and result.
    pub(crate) fn scratch(&self) -> usize {
        self.scratch
    }

    /// Bytes that a run needs per thread beside its operands and results.
    pub(crate) fn scratch_bytes(&self) -> usize {
        self.phases.iter().filter_map(|p| p.convolution.as_ref()).map(Prepared::scratch_bytes).max().unwrap_or(0)
    }

    /// # Safety
    /// `y` must hold a value for every element of the result, `scratch` [`Transposed::scratch`] values; nobody else may touch them.
    pub(crate) unsafe fn run(&self, x: &[f32], scratch: Shared, y: Shared) {
        for phase in &self.phases {
            // SAFETY: every phase fits the scratch memory, and its places lie within the result.
            unsafe {
                match &phase.convolution {
                    Some(convolution) => convolution.run(x, None, scratch),
                    None => {
                        let values = std::slice::from_raw_parts_mut(scratch.get(), phase.len);
                        for (i, values) in values.chunks_exact_mut(phase.plane).enumerate() {
                            values.fill(phase.bias[i % phase.bias.len()]);
                        }
                    }
                }
                phase.copy.run(std::slice::from_raw_parts(scratch.get(), phase.len), y);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::Type;
    use crate::ops::Operator;
    use crate::reference::Array;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn images_of_any_size_are_spread(
            (n, c, o, groups) in (1usize..3, 1usize..5, 1usize..8, 1usize..3), size in (1usize..12, 1usize..20),
            kernel in (1usize..6, 1usize..6), stride in (1usize..5, 1usize..5), cut in (0usize..4, 0usize..4, 0usize..4, 0usize..4),
            more in (0usize..3, 0usize..3),
        ) {
            let op = TransposedConvolution {
                stride: vec![stride.0, stride.1], dilation: vec![1; 2], pads: vec![(cut.0, cut.1), (cut.2, cut.3)],
                output_pads: vec![more.0, more.1], groups,
            };
            let (x, w) = ([n, c * groups, size.0, size.1], [c * groups, o, kernel.0, kernel.1]);
            let types = [Type::f32(x), Type::f32(w), Type::f32([o * groups])];
            let Ok(y) = op.outputs(&types.iter().collect::<Vec<_>>()) else { return Ok(()) };
            let noise = |n: usize, seed: usize| (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect::<Vec<f32>>();
            let (xs, ws, bs) = (noise(x.iter().product(), 1), noise(w.iter().product(), 2), noise(o * groups, 3));
            let wide = |shape: &[usize], v: &[f32]| Array::<f64>::new(shape, v.iter().map(|&v| v.into()).collect());
            let expected = op.reference(&[&wide(&x, &xs), &wide(&w, &ws), &wide(&[o * groups], &bs)]);
            for &path in Path::ALL.iter().filter(|p| p.is_available()) {
                let t = Transposed::new(path, &op, &x, &w, &ws, Some(&bs), &y[0].shape).unwrap();
                let (mut scratch, mut got) = (vec![0.0f32; t.scratch()], vec![f32::NAN; y[0].len()]);
                // SAFETY: both are of the sizes needed.
                unsafe { t.run(&xs, Shared(scratch.as_mut_ptr()), Shared(got.as_mut_ptr())) };
                for (got, expected) in got.iter().zip(expected[0].real()) {
                    prop_assert!((f64::from(*got) - expected).abs() < 1e-5, "{} {:?}: {} {}", path, op, got, expected);
                }
            }
        }
    }
}
