//! Operators over lines of an array: sums and extremes, normalisations and softmax. Plain loops that the compiler widens; sums run in
//! sixteen interleaved parts over short blocks, which are added up in `f64`, so that they are exact enough at any length and the same
//! on every processor.

use rayon::prelude::*;
use stfusion_simd::{widened, Path};

use super::{elementwise, with_scratch, Shared};
use crate::ops::Reduction;

const PARTS: usize = 16;
const BLOCK: usize = 1024;

/// The sum of `f` of every element.
#[inline(always)]
fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0;
    for block in values.chunks(BLOCK) {
        let mut parts = [0.0f32; PARTS];
        let whole = block.chunks_exact(PARTS);
        let rest = whole.remainder();
        for group in whole {
            for (part, &v) in parts.iter_mut().zip(group) {
                *part += f(v);
            }
        }
        total += parts.iter().map(|&p| f64::from(p)).sum::<f64>() + rest.iter().map(|&v| f64::from(f(v))).sum::<f64>();
    }
    total
}

/// The largest of `f` of every element.
#[inline(always)]
fn largest(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut parts = [f32::NEG_INFINITY; PARTS];
    let whole = values.chunks_exact(PARTS);
    let more = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
    let rest = whole.remainder().iter().fold(f32::NEG_INFINITY, |a, &v| more(a, f(v)));
    for group in whole {
        for (part, &v) in parts.iter_mut().zip(group) {
            *part = more(*part, f(v));
        }
    }
    parts.iter().fold(rest, |a, &v| more(a, v))
}

/// One number of the elements of every line. An operand is `(outer, along, inner)`; a line runs along the middle.
#[derive(Debug)]
pub(crate) struct Reduced {
    pub path: Path,
    pub kind: Reduction,
    pub outer: usize,
    pub along: usize,
    pub inner: usize,
}

impl Reduced {
    /// The reduction of an operand of `shape` over `axes`, when those lie side by side.
    pub(crate) fn new(path: Path, kind: Reduction, axes: &[usize], shape: &[usize]) -> Option<Self> {
        let first = axes.iter().copied().filter(|&a| shape[a] != 1).min().unwrap_or(0);
        let last = axes.iter().copied().filter(|&a| shape[a] != 1).max().unwrap_or(0);
        let gap = (first..=last).any(|a| !axes.contains(&a) && shape[a] != 1);
        let product = |range: std::ops::Range<usize>| shape[range].iter().product();
        (!gap && !axes.is_empty() && kind != Reduction::Product).then(|| Reduced {
            path,
            kind,
            outer: product(0..first),
            along: product(first..last + 1),
            inner: product(last + 1..shape.len()),
        })
    }

    /// # Safety
    /// `y` must hold a value for every line, and nobody else may touch it.
    pub(crate) unsafe fn run(&self, x: &[f32], y: Shared) {
        let (n, inner) = (self.along, self.inner);
        if inner == 1 {
            (0..self.outer).into_par_iter().with_min_len((1 << 13) / n.min(1 << 13)).for_each(|o| {
                // SAFETY: every line has a place of its own.
                widened(self.path, || unsafe { *y.get().add(o) = self.line(&x[o * n..(o + 1) * n]) });
            });
            return;
        }
        const WIDE: usize = 512;
        let parts = inner.div_ceil(WIDE);
        (0..self.outer * parts).into_par_iter().for_each(|task| {
            let (o, first) = (task / parts, task % parts * WIDE);
            let count = WIDE.min(inner - first);
            // SAFETY: every task has a part of its own.
            let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(o * inner + first), count) };
            let row = |l: usize| &x[(o * n + l) * inner + first..][..count];
            widened(self.path, || self.columns(n, row, y));
        });
    }

    #[inline(always)]
    fn line(&self, line: &[f32]) -> f32 {
        let n = line.len() as f64;
        match self.kind {
            Reduction::Sum => sum(line, |v| v) as f32,
            Reduction::Mean => (sum(line, |v| v) / n) as f32,
            Reduction::Max => largest(line, |v| v),
            Reduction::Min => -largest(line, |v| -v),
            _ => {
                let mean = (sum(line, |v| v) / n) as f32;
                let unbiased = self.kind == Reduction::Variance { unbiased: true };
                (sum(line, |v| (v - mean) * (v - mean)) / (n - f64::from(u8::from(unbiased)))) as f32
            }
        }
    }

    #[inline(always)]
    fn columns<'x>(&self, n: usize, row: impl Fn(usize) -> &'x [f32], y: &mut [f32]) {
        let add = |y: &mut [f32]| {
            y.fill(0.0);
            (0..n).for_each(|l| y.iter_mut().zip(row(l)).for_each(|(y, v)| *y += v));
        };
        let scale = |y: &mut [f32], divisor: f32| y.iter_mut().for_each(|v| *v /= divisor);
        match self.kind {
            Reduction::Sum => add(y),
            Reduction::Mean => {
                add(y);
                scale(y, n as f32);
            }
            Reduction::Max | Reduction::Min => {
                y.copy_from_slice(row(0));
                for l in 1..n {
                    for (y, &v) in y.iter_mut().zip(row(l)) {
                        let more = if self.kind == Reduction::Max { v > *y } else { v < *y };
                        *y = if more || v.is_nan() { v } else { *y };
                    }
                }
            }
            _ => {
                let mut means = [0.0f32; 512];
                let means = &mut means[..y.len()];
                add(means);
                scale(means, n as f32);
                y.fill(0.0);
                (0..n).for_each(|l| {
                    y.iter_mut().zip(row(l)).zip(&*means).for_each(|((y, v), m)| *y += (v - m) * (v - m));
                });
                let unbiased = self.kind == Reduction::Variance { unbiased: true };
                scale(y, n as f32 - f32::from(u8::from(unbiased)));
            }
        }
    }
}

/// Sets of neighbouring elements to mean 0 and variance 1, then scaled and shifted.
#[derive(Debug)]
pub(crate) struct Normalised {
    pub path: Path,
    /// Elements of a set.
    pub set: usize,
    /// Neighbours that share a scale and shift.
    pub run: usize,
    pub epsilon: f64,
}

impl Normalised {
    /// Scale and shift repeat after their length.
    ///
    /// # Safety
    /// `y` must hold a value for every element, and nobody else may touch it.
    pub(crate) unsafe fn run(&self, x: *const f32, len: usize, affine: Option<(&[f32], &[f32])>, y: Shared) {
        let x = Shared(x.cast_mut());
        (0..len / self.set).into_par_iter().with_min_len((1 << 12) / self.set.min(1 << 12)).for_each(|i| {
            // SAFETY: every set is a part of its own, of operand and result; the result may be the operand.
            widened(self.path, || unsafe {
                let values = std::slice::from_raw_parts(x.get().cast_const().add(i * self.set), self.set);
                let n = self.set as f64;
                let mean = (sum(values, |v| v) / n) as f32;
                let variance = sum(values, |v| (v - mean) * (v - mean)) / n;
                let factor = (1.0 / (variance + self.epsilon).sqrt()) as f32;
                let to = y.get().add(i * self.set);
                match affine {
                    None => (0..self.set).for_each(|j| *to.add(j) = (*x.get().add(i * self.set + j) - mean) * factor),
                    Some((scale, shift)) if self.run == 1 => {
                        for (j, (scale, shift)) in scale.iter().zip(shift).enumerate().take(self.set) {
                            *to.add(j) = (*x.get().add(i * self.set + j) - mean) * factor * scale + shift;
                        }
                    }
                    Some((scale, shift)) => {
                        let first = i * (self.set / self.run);
                        for r in 0..self.set / self.run {
                            let c = (first + r) % scale.len();
                            let (factor, shift) = (factor * scale[c], shift[c]);
                            for j in r * self.run..(r + 1) * self.run {
                                *to.add(j) = (*x.get().add(i * self.set + j) - mean) * factor + shift;
                            }
                        }
                    }
                }
            });
        });
    }
}

/// Softmax along lines of an operand `(outer, along, inner)`.
#[derive(Debug)]
pub(crate) struct Soft {
    pub path: Path,
    pub log: bool,
    pub along: usize,
    pub inner: usize,
}

impl Soft {
    /// # Safety
    /// `x` and `y` must hold `len` values; nobody else may touch `y`, which may be `x`.
    pub(crate) unsafe fn run(&self, x: *const f32, len: usize, y: Shared) {
        let (n, inner, x) = (self.along, self.inner, Shared(x.cast_mut()));
        let outer = len / n / inner;
        if inner == 1 {
            (0..outer).into_par_iter().with_min_len((1 << 12) / n.min(1 << 12)).for_each(|o| {
                // SAFETY: every line is a part of its own.
                let line = unsafe {
                    std::ptr::copy(x.get().cast_const().add(o * n), y.get().add(o * n), n);
                    std::slice::from_raw_parts_mut(y.get().add(o * n), n)
                };
                widened(self.path, || self.line(line));
            });
            return;
        }
        const WIDE: usize = 256;
        let parts = inner.div_ceil(WIDE);
        (0..outer * parts).into_par_iter().for_each(|task| {
            let (o, first) = (task / parts, task % parts * WIDE);
            let count = WIDE.min(inner - first);
            with_scratch(2 * WIDE, |scratch| {
                let (most, sums) = scratch.split_at_mut(WIDE);
                let (most, sums) = (&mut most[..count], &mut sums[..count]);
                widened(self.path, || {
                    most.fill(f32::NEG_INFINITY);
                    sums.fill(0.0);
                    // SAFETY: every part is its task's own.
                    let at = |l: usize, p: Shared| unsafe { p.get().add((o * n + l) * inner + first) };
                    for l in 0..n {
                        for (i, m) in most.iter_mut().enumerate() {
                            // SAFETY: below `count`.
                            let v = unsafe { *at(l, x).add(i) };
                            *m = if v > *m { v } else { *m };
                        }
                    }
                    for l in 0..n {
                        for i in 0..count {
                            // SAFETY: below `count`.
                            let v = unsafe { *at(l, x).add(i) } - most[i];
                            let e = elementwise::exp(v);
                            sums[i] += e;
                            // SAFETY: as above.
                            unsafe { *at(l, y).add(i) = if self.log { v } else { e } };
                        }
                    }
                    for sum in sums.iter_mut() {
                        *sum = if self.log { sum.ln() } else { 1.0 / *sum };
                    }
                    for l in 0..n {
                        for (i, sum) in sums.iter().enumerate() {
                            // SAFETY: as above.
                            let v = unsafe { &mut *at(l, y).add(i) };
                            *v = if self.log { *v - sum } else { *v * sum };
                        }
                    }
                });
            });
        });
    }

    #[inline(always)]
    fn line(&self, line: &mut [f32]) {
        let most = largest(line, |v| v);
        if self.log {
            let sum = sum(line, |v| elementwise::exp(v - most)).ln() as f32;
            line.iter_mut().for_each(|v| *v = *v - most - sum);
        } else {
            line.iter_mut().for_each(|v| *v = elementwise::exp(*v - most));
            let factor = (1.0 / sum(line, |v| v)) as f32;
            line.iter_mut().for_each(|v| *v *= factor);
        }
    }
}
