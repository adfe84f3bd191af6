//! Operators over single images: other sizes, and maxima and means of windows.

use rayon::prelude::*;
use stfusion_simd::{widened, Path};

use super::{with_scratch, Shared};
use crate::ops::{share, AdaptivePool, Pool, PoolKind, Resize};

/// Every channel resized: first along rows, then across them.
#[derive(Debug)]
pub(crate) struct Resized {
    path: Path,
    input: [usize; 2],
    output: [usize; 2],
    /// For every row of the result, rows of the operand with their weights; the same for columns.
    rows: Vec<Vec<(usize, f32)>>,
    columns: Vec<Vec<(usize, f32)>>,
}

impl Resized {
    /// The operator on an operand of `shape`, when it has one or two spatial axes.
    pub(crate) fn new(path: Path, op: &Resize, shape: &[usize]) -> Option<Self> {
        match shape[2..] {
            [n] => {
                Some(Resized { path, input: [1, n], output: [1, op.size[0]], rows: vec![vec![(0, 1.0)]], columns: op.taps(0, n) })
            }
            [h, w] => Some(Resized {
                path,
                input: [h, w],
                output: [op.size[0], op.size[1]],
                rows: op.taps(0, h),
                columns: op.taps(1, w),
            }),
            _ => None,
        }
    }

    /// Bytes that a run needs per thread beside its operands and results.
    pub(crate) fn scratch_bytes(&self) -> usize {
        4 * self.input[0] * self.output[1]
    }

    /// # Safety
    /// `y` must hold a value for every element of the result, and nobody else may touch it.
    pub(crate) unsafe fn run(&self, x: &[f32], y: Shared) {
        let ([h, w], [rows, columns]) = (self.input, self.output);
        (0..x.len() / (h * w)).into_par_iter().for_each(|image| {
            let x = &x[image * h * w..][..h * w];
            // SAFETY: every image is a part of its own.
            let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(image * rows * columns), rows * columns) };
            with_scratch(h * columns, |wide| {
                widened(
                    self.path,
                    #[inline(always)]
                    || {
                        for (x, wide) in x.chunks_exact(w).zip(wide.chunks_exact_mut(columns)) {
                            for (v, taps) in wide.iter_mut().zip(&self.columns) {
                                *v = taps.iter().fold(0.0, |sum, &(i, weight)| sum + x[i] * weight);
                            }
                        }
                        for (y, taps) in y.chunks_exact_mut(columns).zip(&self.rows) {
                            let (first, weight) = taps[0];
                            let row = |i: usize| &wide[i * columns..][..columns];
                            y.iter_mut().zip(row(first)).for_each(|(y, v)| *y = v * weight);
                            for &(i, weight) in taps[1..].iter().filter(|t| t.1 != 0.0) {
                                y.iter_mut().zip(row(i)).for_each(|(y, v)| *y += v * weight);
                            }
                        }
                    },
                );
            });
        });
    }
}

/// What becomes of windows of every channel.
#[derive(Debug)]
pub(crate) struct Pooled {
    kind: PoolKind,
    input: [usize; 2],
    output: [usize; 2],
    /// For every row of the result, the rows of its window, and how many count as its height; the same for columns.
    rows: Vec<(Vec<usize>, usize)>,
    columns: Vec<(Vec<usize>, usize)>,
}

fn two(lengths: &[usize]) -> Option<[usize; 2]> {
    match *lengths {
        [n] => Some([1, n]),
        [h, w] => Some([h, w]),
        _ => None,
    }
}

impl Pooled {
    /// Windows at regular distances over an operand of shape `x`, when it has one or two spatial axes.
    pub(crate) fn regular(op: &Pool, x: &[usize], y: &[usize]) -> Option<Self> {
        let (input, output) = (two(&x[2..])?, two(&y[2..])?);
        let windows = |axis: usize| -> Vec<(Vec<usize>, usize)> {
            let Some(a) = (axis + op.kernel.len()).checked_sub(2) else { return vec![(vec![0], 1)] };
            let (n, (before, after)) = (input[axis], op.pads[a]);
            let window = |i: usize| {
                let places = (0..op.kernel[a]).map(|k| i * op.stride[a] + k * op.dilation[a]);
                let counted = places.clone().filter(|&p| p < n + before + after).count();
                let inside: Vec<usize> = places.filter_map(|p| p.checked_sub(before).filter(|&p| p < n)).collect();
                let height = if op.kind == (PoolKind::Mean { count_pads: true }) { counted } else { inside.len() };
                (inside, height)
            };
            (0..output[axis]).map(window).collect()
        };
        Some(Pooled { kind: op.kind, input, output, rows: windows(0), columns: windows(1) })
    }

    /// Windows that share out an operand of shape `x`, when it has one or two spatial axes.
    pub(crate) fn adaptive(op: &AdaptivePool, x: &[usize]) -> Option<Self> {
        let (input, output) = (two(&x[2..])?, two(&op.size)?);
        let windows = |axis: usize| {
            let window = |i: usize| share(i, output[axis], input[axis]).collect::<Vec<_>>();
            (0..output[axis]).map(|i| (window(i), window(i).len())).collect()
        };
        Some(Pooled { kind: op.kind, input, output, rows: windows(0), columns: windows(1) })
    }

    /// # Safety
    /// `y` must hold a value for every element of the result, and nobody else may touch it.
    pub(crate) unsafe fn run(&self, x: &[f32], y: Shared) {
        let ([h, w], [rows, columns]) = (self.input, self.output);
        (0..x.len() / (h * w)).into_par_iter().for_each(|image| {
            let x = &x[image * h * w..][..h * w];
            // SAFETY: every image is a part of its own.
            let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(image * rows * columns), rows * columns) };
            let more = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
            with_scratch(w, |whole| {
                for (y, (from, height)) in y.chunks_exact_mut(columns).zip(&self.rows) {
                    let row = |r: usize| &x[r * w..][..w];
                    if self.kind == PoolKind::Max {
                        whole.fill(f32::NEG_INFINITY);
                        from.iter().for_each(|&r| whole.iter_mut().zip(row(r)).for_each(|(a, &b)| *a = more(*a, b)));
                        for (y, (places, _)) in y.iter_mut().zip(&self.columns) {
                            *y = places.iter().fold(f32::NEG_INFINITY, |a, &c| more(a, whole[c]));
                        }
                    } else {
                        whole.fill(0.0);
                        from.iter().for_each(|&r| whole.iter_mut().zip(row(r)).for_each(|(a, &b)| *a += b));
                        for (y, (places, width)) in y.iter_mut().zip(&self.columns) {
                            *y = places.iter().fold(0.0, |a, &c| a + whole[c]) / (height * width) as f32;
                        }
                    }
                }
            });
        });
    }
}
