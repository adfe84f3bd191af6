//! Operators over lines of an array: sums and extremes, normalisations and softmax. Sums run in interleaved parts over short blocks,
//! whose sums are added up in `f64`, so that they are exact enough at any length. All but softmax are plain loops that the compiler
//! widens, the same on every processor.

use std::ops::Range;

use rayon::prelude::*;
use stfusion_simd::{widened, Path, Simd};

use super::{elementwise, with_scratch, with_vectors, Shared, Vectorised};
use crate::ops::Reduction;

const PARTS: usize = 16;
const BLOCK: usize = 1024;
/// Sets that are normalised together at most.
const SETS: usize = 64;

/// The sum of `f` of every element.
#[inline(always)]
fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    const HALF: usize = PARTS / 2;
    let mut total = 0.0;
    for block in values.chunks(BLOCK) {
        let mut parts = [0.0f32; PARTS];
        let whole = block.chunks_exact(PARTS);
        let mut rest = whole.remainder();
        for group in whole {
            for (part, &v) in parts.iter_mut().zip(group) {
                *part += f(v);
            }
        }
        // what is left is added two by two
        let mut half = [0.0f32; HALF];
        for (i, half) in half.iter_mut().enumerate() {
            *half = parts[i] + parts[i + HALF];
        }
        if let Some((group, more)) = rest.split_at_checked(HALF) {
            half.iter_mut().zip(group).for_each(|(half, &v)| *half += f(v));
            rest = more;
        }
        let quarter = [half[0] + half[4], half[1] + half[5], half[2] + half[6], half[3] + half[7]];
        total += f64::from((quarter[0] + quarter[2]) + (quarter[1] + quarter[3]));
        total += rest.iter().map(|&v| f64::from(f(v))).sum::<f64>();
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
                widened(
                    self.path,
                    #[inline(always)]
                    || unsafe { *y.get().add(o) = self.line(&x[o * n..(o + 1) * n]) },
                );
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
            widened(
                self.path,
                #[inline(always)]
                || self.columns(n, row, y),
            );
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
        let (x, count) = (Shared(x.cast_mut()), len / self.set);
        // as many sets at a time as make their statistics worth computing side by side
        let together = (4096 / self.set).clamp(1, SETS);
        (0..count.div_ceil(together)).into_par_iter().for_each(|task| {
            let sets = task * together..((task + 1) * together).min(count);
            // SAFETY: every set is a part of its own, of operand and result; the result may be the operand.
            widened(
                self.path,
                #[inline(always)]
                || unsafe { self.sets(sets, x.get().cast_const(), affine, y.get()) },
            );
        });
    }

    /// # Safety
    /// As [`Normalised::run`], for some sets, at most [`SETS`].
    #[inline(always)]
    unsafe fn sets(&self, sets: Range<usize>, x: *const f32, affine: Option<(&[f32], &[f32])>, y: *mut f32) {
        let (mut means, mut variances, mut factors) = ([0.0f32; SETS], [0.0f64; SETS], [0.0f32; SETS]);
        let n = self.set as f64;
        for (i, (mean, variance)) in sets.clone().zip(means.iter_mut().zip(&mut variances)) {
            // SAFETY: as for this function.
            let values = unsafe { std::slice::from_raw_parts(x.add(i * self.set), self.set) };
            *mean = (sum(values, |v| v) / n) as f32;
            *variance = sum(values, |v| (v - *mean) * (v - *mean)) / n;
        }
        for (factor, variance) in factors.iter_mut().zip(&variances).take(sets.len()) {
            *factor = (1.0 / (variance + self.epsilon).sqrt()) as f32;
        }
        for (i, (&mean, &factor)) in sets.zip(means.iter().zip(&factors)) {
            // SAFETY: as for this function; every index is below the set's length.
            unsafe {
                let (x, y) = (x.add(i * self.set), y.add(i * self.set));
                match affine {
                    None => (0..self.set).for_each(|j| *y.add(j) = (*x.add(j) - mean) * factor),
                    Some((scale, shift)) if self.run == 1 => {
                        if x == y.cast_const() {
                            // one slice: the compiler need not ask whether two overlap
                            let values = std::slice::from_raw_parts_mut(y, self.set);
                            for ((v, scale), shift) in values.iter_mut().zip(scale).zip(shift) {
                                *v = (*v - mean) * factor * scale + shift;
                            }
                        } else {
                            for (j, (scale, shift)) in scale.iter().zip(shift).enumerate().take(self.set) {
                                *y.add(j) = (*x.add(j) - mean) * factor * scale + shift;
                            }
                        }
                    }
                    Some((scale, shift)) => {
                        let first = i * (self.set / self.run);
                        for r in 0..self.set / self.run {
                            let c = (first + r) % scale.len();
                            let (factor, shift) = (factor * scale[c], shift[c]);
                            for j in r * self.run..(r + 1) * self.run {
                                *y.add(j) = (*x.add(j) - mean) * factor + shift;
                            }
                        }
                    }
                }
            }
        }
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
            let together = ((1 << 12) / n).max(1);
            (0..outer.div_ceil(together)).into_par_iter().for_each(|task| {
                let first = task * together;
                let count = together.min(outer - first);
                // SAFETY: every line is a part of its own.
                let (x, y) = unsafe { (x.get().cast_const().add(first * n), y.get().add(first * n)) };
                with_vectors(self.path, SoftLines { log: self.log, n, count, x, y });
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
                widened(
                    self.path,
                    #[inline(always)]
                    || {
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
                    },
                );
            });
        });
    }
}

/// Softmax along neighbouring elements: so many lines of n.
struct SoftLines {
    log: bool,
    n: usize,
    count: usize,
    x: *const f32,
    y: *mut f32,
}

impl Vectorised for SoftLines {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for line in 0..self.count {
            // SAFETY: operand and result hold n values for every line, and this part of the result is this task's.
            unsafe {
                let (x, y) = (self.x.add(line * self.n), self.y.add(line * self.n));
                let most = most(s, x, self.n);
                let sum = powers(s, x, self.n, most, (!self.log).then_some(y));
                if self.log {
                    let sum = sum.ln() as f32;
                    (0..self.n).for_each(|i| *y.add(i) = *x.add(i) - most - sum);
                } else {
                    let factor = (1.0 / sum) as f32;
                    std::slice::from_raw_parts_mut(y, self.n).iter_mut().for_each(|v| *v *= factor);
                }
            }
        }
    }
}

/// A vector from place `i` of a line of n, -∞ beyond its end.
///
/// # Safety
/// `x` must hold n values.
#[inline(always)]
unsafe fn vector<S: Simd>(s: S, x: *const f32, i: usize, n: usize) -> S::V {
    // SAFETY: as for this function; the buffer is as long as the widest vector.
    unsafe {
        if i + S::WIDTH <= n {
            return s.load(x.add(i));
        }
        let mut part = [f32::NEG_INFINITY; 16];
        std::ptr::copy_nonoverlapping(x.add(i), part.as_mut_ptr(), n - i);
        s.load(part.as_ptr())
    }
}

/// The largest of a line.
///
/// # Safety
/// `x` must hold n values.
#[inline(always)]
unsafe fn most<S: Simd>(s: S, x: *const f32, n: usize) -> f32 {
    let mut most = s.splat(f32::NEG_INFINITY);
    let mut lanes = [f32::NEG_INFINITY; 16];
    // SAFETY: as for this function.
    unsafe {
        for i in (0..n).step_by(S::WIDTH) {
            most = s.max(most, vector(s, x, i, n));
        }
        s.store(lanes.as_mut_ptr(), most);
    }
    lanes.iter().fold(f32::NEG_INFINITY, |a, &v| if v > a { v } else { a })
}

/// The sum of `e` to the power of the elements of a line less the largest, and these powers in `y`, which may be `x`.
///
/// # Safety
/// `x` must hold n values, and so must `y`.
#[inline(always)]
unsafe fn powers<S: Simd>(s: S, x: *const f32, n: usize, most: f32, y: Option<*mut f32>) -> f64 {
    let most = s.splat(most);
    let mut total = 0.0;
    for block in (0..n).step_by(BLOCK) {
        let mut sums = s.splat(0.0);
        let mut lanes = [0.0f32; 16];
        // SAFETY: as for this function; the buffers are as long as the widest vector.
        unsafe {
            for i in (block..(block + BLOCK).min(n)).step_by(S::WIDTH) {
                let power = power(s, s.sub(vector(s, x, i, n), most));
                sums = s.add(sums, power);
                match y {
                    Some(y) if i + S::WIDTH <= n => s.store(y.add(i), power),
                    Some(y) => {
                        s.store(lanes.as_mut_ptr(), power);
                        std::ptr::copy_nonoverlapping(lanes.as_ptr(), y.add(i), n - i);
                    }
                    None => {}
                }
            }
            s.store(lanes.as_mut_ptr(), sums);
        }
        total += lanes[..S::WIDTH].iter().map(|&v| f64::from(v)).sum::<f64>();
    }
    total
}

/// `eˣ` of numbers that are not positive, as [`elementwise::exp`]; 0 where it would be below the normal range.
#[inline(always)]
fn power<S: Simd>(s: S, x: S::V) -> S::V {
    const LOWEST: f32 = -87.0;
    let lowest = s.splat(LOWEST);
    let round = s.splat(12_582_912.0);
    // NaN stays: the second operand is the one that is kept
    let cut = s.max(lowest, x);
    let n = s.sub(s.mul_add(cut, s.splat(std::f32::consts::LOG2_E), round), round);
    let r = s.mul_add(n, s.splat(-0.693_359_4), cut);
    let r = s.mul_add(n, s.splat(2.121_944_4e-4), r);
    let p = s.mul_add(s.splat(1.987_569_1e-4), r, s.splat(1.398_2e-3));
    let p = s.mul_add(p, r, s.splat(8.333_452e-3));
    let p = s.mul_add(p, r, s.splat(4.166_579_6e-2));
    let p = s.mul_add(p, r, s.splat(1.666_666_5e-1));
    let p = s.mul_add(p, r, s.splat(0.5));
    let y = s.add(s.mul_add(p, s.mul(r, r), r), s.splat(1.0));
    s.select(s.less(x, lowest), s.splat(0.0), s.mul(y, s.power_of_two(n)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_masked_has_no_share_and_nan_spoils_its_line() {
        const N: usize = 21;
        let mut x = vec![1.0f32; 3 * N];
        x[5] = f32::NEG_INFINITY;
        x[20] = -200.0;
        x[N + 20] = f32::NAN;
        for &path in Path::ALL.iter().filter(|p| p.is_available()) {
            let mut y = x.clone();
            // SAFETY: both are the same memory of three lines.
            unsafe { Soft { path, log: false, along: N, inner: 1 }.run(y.as_ptr(), y.len(), Shared(y.as_mut_ptr())) };
            let expected = |i: usize| if i == 5 || i == 20 { 0.0 } else { 1.0 / 19.0 };
            assert!((0..N).all(|i| (y[i] - expected(i)).abs() < 1e-8), "{path}: {y:?}");
            assert!(y[N..2 * N].iter().all(|v| v.is_nan()), "{path}: {y:?}");
            assert!(y[2 * N..].iter().all(|v| (v - 1.0 / 21.0).abs() < 1e-8), "{path}: {y:?}");
        }
    }
}
