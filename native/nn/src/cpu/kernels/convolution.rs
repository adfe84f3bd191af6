//! Convolution by register tiles.
//!
//! ```text
//! for every task (image, group, rows, columns, outputs):           tasks run in parallel
//!     for every row:
//!         copy what it needs and the row before did not, padded, into a strip that holds the kernel's height and goes round;
//!             columns of stride s apart lie side by side
//!         for every chunk of channels, every pair of vectors along the row, every block of outputs:
//!             sums[outputs][2 vectors] += weight[k][output] · strip[place + offset of tap k]   for every k = (channel, tap)
//!         sums + residual, nonlinearity -> result
//! ```
//!
//! What the innermost loop reads of a chunk fits the first cache, the strip and the sums of a row the second. Offsets of taps are a
//! table, so one inner loop serves every kernel, stride, dilation and number of spatial axes. Every element's sum runs over k in one
//! order, whatever the task. Lines of the strip and of the sums lie an odd number of cache lines apart: planes of an image often lie a
//! power of two apart, and then their columns would share few places in a cache.

use std::ops::Range;

use rayon::prelude::*;
use stfusion_simd::{Path, Simd};

use super::rows::{ahead, padded, Finish};
use super::{with_scratch, with_vectors, Shared, Vectorised};
use crate::ops::{Convolution, PadMode};

/// Bytes of the strip that a register tile should find in the first cache, and of the whole strip in the second.
const NEAR_BYTES: usize = 24 << 10;
const STRIP_BYTES: usize = 200 << 10;
/// Tasks that a convolution is cut into at least, where its size allows.
const TASKS: usize = 24;

/// Outputs that are computed together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub first: usize,
    pub count: usize,
}

/// Outputs shared out among blocks of about the same size, each no more than a register tile has.
pub(super) fn blocks(path: Path, outputs: usize) -> Vec<Block> {
    let count = outputs.div_ceil(most_outputs(path));
    let block = |b: usize| {
        let first = b * outputs / count;
        Block { first, count: (b + 1) * outputs / count - first }
    };
    (0..count).map(block).collect()
}

/// A convolution with packed weights for an operand of one shape.
#[derive(Debug)]
pub(crate) struct Prepared {
    path: Path,
    batch: usize,
    groups: usize,
    /// Per group.
    channels: usize,
    /// Per group.
    outputs: usize,
    input: [usize; 3],
    output: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    dilation: [usize; 3],
    before: [isize; 3],
    mode: PadMode,
    /// Channels that are summed at a time.
    chunk: usize,
    blocks: Vec<Block>,
    /// Group, chunk, block, k, output of the block.
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// Places of taps in the strip, for every k of a chunk.
    offsets: Vec<u32>,
    /// Rows and columns of a task.
    tile: [usize; 2],
    /// Blocks of a task.
    task_blocks: usize,
    /// Values from one line of the strip to the next.
    line: usize,
    /// Rows of the strip per channel and depth: the reach of the kernel.
    rows: usize,
    pub(crate) finish: Finish,
}

/// The shapes of a convolution: operand, weight, elements made up before the operand's first (fewer than none: left out), result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size<'a> {
    pub x: &'a [usize],
    pub kernel: &'a [usize],
    pub before: &'a [isize],
    pub y: &'a [usize],
}

/// The most outputs of a register tile: with two vectors each, two for the operand and one for a weight, what the registers hold.
pub(super) fn most_outputs(path: Path) -> usize {
    if path == Path::Avx512 {
        12
    } else {
        6
    }
}

/// Spatial attributes with three axes, those in front of length one.
fn three(lengths: &[usize], fill: usize) -> [usize; 3] {
    let mut out = [fill; 3];
    out[3 - lengths.len()..].copy_from_slice(lengths);
    out
}

impl Prepared {
    /// A convolution of x (shape `x`) with `weight` (shape `w`), as the graph has checked.
    pub(crate) fn new(
        path: Path,
        op: &Convolution,
        x: &[usize],
        w: &[usize],
        weight: &[f32],
        bias: Option<&[f32]>,
        y: &[usize],
    ) -> Self {
        let before: Vec<isize> = op.pads.iter().map(|p| p.0 as isize).collect();
        let mut p = Self::plain_parts(path, op.groups, Size { x, kernel: w, before: &before, y }, bias);
        p.stride = three(&op.stride, 1);
        p.dilation = three(&op.dilation, 1);
        p.mode = op.pad_mode;
        if p.kernel == [1; 3] && p.stride == [1; 3] && p.input == p.output && p.before == [0; 3] {
            // all places are alike: one long row
            p.input = [1, 1, p.input.iter().product()];
            p.output = p.input;
        }
        p.lay_out();
        p.pack(weight);
        p
    }

    /// A convolution of stride 1 with zeros beyond the edges, for a result of any size.
    pub(crate) fn plain(path: Path, groups: usize, size: Size<'_>, weight: &[f32], bias: Option<&[f32]>) -> Self {
        let mut p = Self::plain_parts(path, groups, size, bias);
        p.lay_out();
        p.pack(weight);
        p
    }

    /// The same without layout and weights.
    fn plain_parts(path: Path, groups: usize, size: Size<'_>, bias: Option<&[f32]>) -> Self {
        let Size { x, kernel, before, y } = size;
        let mut three_before = [0; 3];
        three_before[3 - before.len()..].copy_from_slice(before);
        Prepared {
            path,
            batch: x[0],
            groups,
            channels: kernel[1],
            outputs: kernel[0] / groups,
            input: three(&x[2..], 1),
            output: three(&y[2..], 1),
            kernel: three(&kernel[2..], 1),
            stride: [1; 3],
            dilation: [1; 3],
            before: three_before,
            mode: PadMode::Zeros,
            chunk: 0,
            blocks: Vec::new(),
            weights: Vec::new(),
            bias: bias.map_or(vec![0.0; kernel[0]], <[f32]>::to_vec),
            offsets: Vec::new(),
            tile: [0; 2],
            task_blocks: 0,
            line: 0,
            rows: 0,
            finish: Finish::Plain,
        }
    }

    /// Columns beyond those of the results that a row of the strip needs.
    fn extra(&self) -> usize {
        (self.kernel[2] - 1) * self.dilation[2] / self.stride[2]
    }

    /// Chooses chunk, tile and blocks.
    fn lay_out(&mut self) {
        let pixels = 2 * self.path.lanes();
        let (extra, phases) = (self.extra(), self.stride[2].min((self.kernel[2] - 1) * self.dilation[2] + 1));
        let near = self.kernel[0] * self.kernel[1] * phases * (pixels + extra).div_ceil(16) * 64;
        let most = (NEAR_BYTES / near).clamp(4, self.channels.max(4));
        self.chunk = self.channels.div_ceil(self.channels.div_ceil(most));
        self.blocks = blocks(self.path, self.outputs);
        let [_, height, width] = self.output;
        let reach = (self.kernel[1] - 1) * self.dilation[1] + 1;
        let line = |columns: usize| 16 * ((columns + extra).div_ceil(16) | 1);
        let row_bytes = |columns: usize| 4 * line(columns) * self.stride[2] * self.channels * self.kernel[0];
        let mut widest = 8 * pixels;
        while widest > 2 * pixels && row_bytes(widest) * reach > STRIP_BYTES {
            widest /= 2;
        }
        let columns = width.div_ceil(width.div_ceil(widest)).next_multiple_of(pixels);
        self.line = line(columns);
        self.rows = reach;
        let tasks = |rows: usize| self.batch * self.groups * self.output[0] * height.div_ceil(rows) * width.div_ceil(columns);
        let mut rows = height;
        while rows > 8 && tasks(rows) < TASKS {
            rows = rows.div_ceil(2);
        }
        rows = height.div_ceil(height.div_ceil(rows));
        self.tile = [rows, columns];
        let parts = TASKS.div_ceil(tasks(rows)).min(self.blocks.len().div_ceil(2)).max(1);
        self.task_blocks = self.blocks.len().div_ceil(parts);
        let [kd, kh, kw] = self.kernel;
        self.offsets.clear();
        // one table for every row of the strip that the kernel's first may be in
        for turn in 0..self.rows {
            for c in 0..self.chunk {
                for z in 0..kd {
                    for y in 0..kh {
                        for x in 0..kw {
                            let row = (c * kd + z) * self.rows + (turn + y * self.dilation[1]) % self.rows;
                            let column = x * self.dilation[2];
                            let line = row * self.stride[2] + column % self.stride[2];
                            self.offsets.push((line * self.line + column / self.stride[2]) as u32);
                        }
                    }
                }
            }
        }
    }

    /// Values of the strip.
    fn strip(&self) -> usize {
        self.channels * self.kernel[0] * self.rows * self.stride[2] * self.line
    }

    /// Values from one output's sums to the next's.
    fn sums_line(&self) -> usize {
        16 * (self.tile[1].div_ceil(16) | 1)
    }

    /// Values that a task needs beside operands and result: the strip, with what is read beyond its end, and the sums of a row.
    fn scratch(&self) -> usize {
        self.strip() + 64 + self.task_blocks * most_outputs(self.path) * self.sums_line()
    }

    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    fn pack(&mut self, weight: &[f32]) {
        let (taps, channels) = (self.taps(), self.channels);
        self.weights = Vec::with_capacity(weight.len());
        for g in 0..self.groups {
            for first in (0..channels).step_by(self.chunk) {
                let end = (first + self.chunk).min(channels);
                for block in &self.blocks {
                    for k in first * taps..end * taps {
                        let output = |m: usize| (g * self.outputs + block.first + m) * channels * taps + k;
                        self.weights.extend((0..block.count).map(|m| weight[output(m)]));
                    }
                }
            }
        }
    }

    /// Bytes that a run needs per thread beside its operands and result.
    pub(crate) fn scratch_bytes(&self) -> usize {
        4 * self.scratch()
    }

    /// Runs on `x` into `y`; `residual`, of the shape of `y` and possibly the same memory, is added before the nonlinearity.
    ///
    /// # Safety
    /// `y` and `residual` must hold a value for every element of the result, and nobody else may touch `y`.
    pub(crate) unsafe fn run(&self, x: &[f32], residual: Option<*const f32>, y: Shared) {
        let [depth, height, width] = self.output;
        let (rows, columns) = (height.div_ceil(self.tile[0]), width.div_ceil(self.tile[1]));
        let parts = self.blocks.len().div_ceil(self.task_blocks);
        let tasks = self.batch * self.groups * depth * rows * columns * parts;
        let residual = residual.map(|r| Shared(r.cast_mut()));
        (0..tasks).into_par_iter().for_each(|task| {
            let (part, rest) = (task % parts, task / parts);
            let (column, rest) = (rest % columns, rest / columns);
            let (row, rest) = (rest % rows, rest / rows);
            let (z, rest) = (rest % depth, rest / depth);
            let (group, image) = (rest % self.groups, rest / self.groups);
            let blocks = part * self.task_blocks..((part + 1) * self.task_blocks).min(self.blocks.len());
            let at = Task { image, group, z, row: row * self.tile[0], column: column * self.tile[1], blocks };
            with_scratch(self.scratch(), |scratch| {
                with_vectors(self.path, Work { convolution: self, at, x, residual, y, scratch });
            });
        });
    }

    /// # Safety
    /// No other task may write the same part of `y`, which must be of the output's size.
    #[inline(always)]
    unsafe fn task<S: Simd>(&self, s: S, at: &Task, x: &[f32], residual: Option<Shared>, y: Shared, scratch: &mut [f32]) {
        let [depth, height, width] = self.output;
        let plane = depth * height * width;
        let pixels = 2 * S::WIDTH;
        let (rows, columns) = (self.tile[0].min(height - at.row), self.tile[1].min(width - at.column));
        let (taps, line) = (self.taps(), self.sums_line());
        let blocks = &self.blocks[at.blocks.clone()];
        let (first, outputs) = (blocks[0].first, blocks.iter().map(|b| b.count).sum::<usize>());
        let channels = (at.image * self.groups + at.group) * self.outputs + first;
        let group_weights = &self.weights[at.group * self.outputs * self.channels * taps..];
        let (strip, sums) = scratch.split_at_mut(self.strip() + 64);
        for row in 0..rows {
            // rows of the operand, counted from the task's first
            let (top, bottom) = (row * self.stride[1], row * self.stride[1] + self.rows);
            let had = if row == 0 { 0 } else { bottom - self.stride[1] };
            self.fill(at, x, top.max(had)..bottom, columns, strip);
            let offsets = &self.offsets[top % self.rows * self.chunk * taps..];
            for output in 0..outputs {
                let place = (channels + output) * plane + (at.z * height + at.row + row) * width + at.column;
                ahead(y.get().wrapping_add(place), columns);
            }
            for channel in (0..self.channels).step_by(self.chunk) {
                let count = self.chunk.min(self.channels - channel);
                let chunk_weights = &group_weights[channel * taps * self.outputs..];
                let place = channel * self.kernel[0] * self.rows * self.stride[2] * self.line;
                for column in (0..columns).step_by(pixels) {
                    for block in blocks {
                        let tile = Tile {
                            k: count * taps,
                            offsets,
                            x: &strip[place + column..],
                            w: &chunk_weights[block.first * count * taps..],
                            bias: (channel == 0).then(|| &self.bias[at.group * self.outputs + block.first..]),
                        };
                        let sums = &mut sums[(block.first - first) * line + column..];
                        // SAFETY: the strip holds every tap of every place of the task, with a pair of vectors beyond; the weights a
                        // value for every term and output; the sums a line for every output.
                        unsafe { tile.run(s, block.count, sums.as_mut_ptr(), line) };
                    }
                }
            }
            for output in 0..outputs {
                let place = (channels + output) * plane + (at.z * height + at.row + row) * width + at.column;
                // SAFETY: this part of the result is this task's; the residual is laid out like it.
                unsafe {
                    let residual = residual.map(|r| r.get().cast_const().add(place));
                    self.finish.row(s, &mut sums[output * line..][..columns], residual, y.get().add(place));
                }
            }
        }
    }

    /// Copies rows of the operand, counted from the task's first, into the strip.
    #[inline(always)]
    fn fill(&self, at: &Task, x: &[f32], rows: Range<usize>, columns: usize, strip: &mut [f32]) {
        let [depth, height, width] = self.input;
        let s = self.stride[2];
        let needed = columns + self.extra();
        let left = (at.column * s) as isize - self.before[2];
        let lines = self.rows * s;
        for c in 0..self.channels {
            let image = &x[((at.image * self.groups + at.group) * self.channels + c) * depth * height * width..]
                [..depth * height * width];
            for kz in 0..self.kernel[0] {
                let z = (at.z * self.stride[0] + kz * self.dilation[0]) as isize - self.before[0];
                let z = self.mode.source(z, depth);
                for r in rows.clone() {
                    let row = (at.row * self.stride[1] + r) as isize - self.before[1];
                    let to = &mut strip[((c * self.kernel[0] + kz) * lines + r % self.rows * s) * self.line..][..s * self.line];
                    let source = z.zip(self.mode.source(row, height));
                    let Some((z, row)) = source else {
                        to.fill(0.0);
                        continue;
                    };
                    let from = &image[(z * height + row) * width..][..width];
                    ahead(from.as_ptr().wrapping_add(self.stride[1] * width).wrapping_offset(left), columns * s);
                    if s == 1 {
                        padded(self.mode, from, left, &mut to[..needed]);
                    } else {
                        for phase in 0..s {
                            let to = &mut to[phase * self.line..][..needed];
                            let start = left + phase as isize;
                            // elements from the first that is in the row to the last
                            let first = usize::try_from(-start).unwrap_or(0).div_ceil(s).min(needed);
                            let begin = start + (first * s) as isize;
                            let inside = usize::try_from(width as isize - begin).unwrap_or(0).div_ceil(s).min(needed - first);
                            if inside > 0 {
                                let from = &from[begin as usize..];
                                to[first..first + inside].iter_mut().zip(from.iter().step_by(s)).for_each(|(to, v)| *to = *v);
                            }
                            for j in (0..first).chain(first + inside..needed) {
                                to[j] = self.mode.source(start + (j * s) as isize, width).map_or(0.0, |c| from[c]);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A task with its operands.
struct Work<'a> {
    convolution: &'a Prepared,
    at: Task,
    x: &'a [f32],
    residual: Option<Shared>,
    y: Shared,
    scratch: &'a mut [f32],
}

impl Vectorised for Work<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // SAFETY: tasks differ in image, group, place or outputs, so they write disjoint parts of y.
        unsafe { self.convolution.task(s, &self.at, self.x, self.residual, self.y, self.scratch) }
    }
}

/// A part of the result.
struct Task {
    image: usize,
    group: usize,
    z: usize,
    row: usize,
    column: usize,
    blocks: std::ops::Range<usize>,
}

/// A register tile: some outputs at some neighbouring places.
pub(super) struct Tile<'a> {
    /// Terms of the sum.
    pub k: usize,
    /// Place of every term's operand, from the first of `x`.
    pub offsets: &'a [u32],
    pub x: &'a [f32],
    /// For every term, a weight for every output.
    pub w: &'a [f32],
    /// Where the sums start; from what they are where there is none.
    pub bias: Option<&'a [f32]>,
}

impl Tile<'_> {
    /// Adds to the sums of so many outputs, `line` values apart, for two vectors of places.
    ///
    /// # Safety
    /// Every field must hold what the terms and outputs need, and `sums` two vectors for every output.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&self, s: S, outputs: usize, sums: *mut f32, line: usize) {
        macro_rules! by_outputs {
            ($($n:literal)*) => {
                match outputs {
                    // SAFETY: as for this function.
                    $($n => unsafe { self.of::<S, $n>(s, sums, line) },)*
                    _ => unreachable!("a block has at most 12 outputs"),
                }
            };
        }
        if S::WIDTH == 16 {
            by_outputs!(1 2 3 4 5 6 7 8 9 10 11 12)
        } else {
            by_outputs!(1 2 3 4 5 6)
        }
    }

    #[inline(always)]
    unsafe fn of<S: Simd, const N: usize>(&self, s: S, to: *mut f32, line: usize) {
        // SAFETY: as for `run`.
        unsafe {
            let mut sums = [[s.splat(0.0); 2]; N];
            for (n, sum) in sums.iter_mut().enumerate() {
                *sum = match self.bias {
                    Some(bias) => [s.splat(*bias.get_unchecked(n)); 2],
                    None => [s.load(to.add(n * line)), s.load(to.add(n * line + S::WIDTH))],
                };
            }
            let (mut w, offsets, x) = (self.w.as_ptr(), self.offsets.as_ptr(), self.x.as_ptr());
            for k in 0..self.k {
                let x = x.add(*offsets.add(k) as usize);
                let (a, b) = (s.load(x), s.load(x.add(S::WIDTH)));
                for (n, sum) in sums.iter_mut().enumerate() {
                    let weight = s.splat(*w.add(n));
                    sum[0] = s.mul_add(weight, a, sum[0]);
                    sum[1] = s.mul_add(weight, b, sum[1]);
                }
                w = w.add(N);
            }
            for (n, sum) in sums.iter().enumerate() {
                s.store(to.add(n * line), sum[0]);
                s.store(to.add(n * line + S::WIDTH), sum[1]);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::Type;
    use crate::ops::{Activation, Operator};
    use crate::reference::Array;

    fn noise(n: usize, seed: u64) -> Vec<f32> {
        let at = |i: usize| (i as u64 + 1).wrapping_mul(seed * 2 + 0x9E37_79B9_7F4A_7C15) >> 40;
        (0..n).map(|i| at(i) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    /// What a convolution is run with.
    pub(in crate::cpu::kernels) struct Given<'a> {
        pub path: Path,
        pub x: &'a [f32],
        pub weight: &'a [f32],
        pub bias: &'a [f32],
        pub residual: &'a [f32],
        /// The shape of the result.
        pub y: &'a [usize],
        pub finish: Finish,
    }

    /// Compares what `run` makes of operands of any values with the reference.
    pub(in crate::cpu::kernels) fn compare(
        op: &Convolution,
        x: &[usize],
        w: &[usize],
        run: impl Fn(&Given<'_>, Shared),
    ) -> Result<(), TestCaseError> {
        let types = [Type::f32(x), Type::f32(w), Type::f32([w[0]])];
        let Ok(y) = op.outputs(&types.iter().collect::<Vec<_>>()) else { return Ok(()) };
        let (n_x, n_w) = (x.iter().product(), w.iter().product());
        let (xs, ws, bs) = (noise(n_x, 1), noise(n_w, 2), noise(w[0], 3));
        let wide = |shape: &[usize], v: &[f32]| Array::<f64>::new(shape, v.iter().map(|&v| v.into()).collect());
        let expected = op.reference(&[&wide(x, &xs), &wide(w, &ws), &wide(&[w[0]], &bs)]);
        let residual = noise(y[0].len(), 4);
        let terms = (n_w / w[0]) as f64;
        for &path in Path::ALL.iter().filter(|p| p.is_available()) {
            for finish in [Finish::Plain, Finish::Relu, Finish::Leaky(0.1), Finish::Other(Activation::Tanh)] {
                let mut got = vec![f32::NAN; y[0].len()];
                let given = Given { path, x: &xs, weight: &ws, bias: &bs, residual: &residual, y: &y[0].shape, finish };
                run(&given, Shared(got.as_mut_ptr()));
                for (i, (&g, &e)) in got.iter().zip(expected[0].real()).enumerate() {
                    let e = e + f64::from(residual[i]);
                    // rounding of a running sum grows with the number of terms and with the sum
                    let bound = 2e-7 * (terms + 4.0) + 4e-6 * e.abs();
                    let e = match finish {
                        Finish::Plain => e,
                        Finish::Relu => e.max(0.0),
                        Finish::Leaky(slope) => e.max(f64::from(slope) * e),
                        Finish::Other(activation) => activation.of(e),
                    };
                    prop_assert!((f64::from(g) - e).abs() < bound, "{} {:?} {}: {} {}", path, op, i, g, e);
                }
            }
        }
        Ok(())
    }

    fn check(op: &Convolution, x: &[usize], w: &[usize]) -> Result<(), TestCaseError> {
        compare(op, x, w, |given, y| {
            let mut p = Prepared::new(given.path, op, x, w, given.weight, Some(given.bias), given.y);
            p.finish = given.finish;
            // SAFETY: both are of the result's size.
            unsafe { p.run(given.x, Some(given.residual.as_ptr()), y) };
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn images_of_any_size_are_convolved(
            (n, c, o, groups) in (1usize..3, 1usize..9, 1usize..15, 1usize..3),
            size in (1usize..40, 1usize..70), kernel in (1usize..6, 1usize..6),
            stride in (1usize..4, 1usize..4), dilation in (1usize..3, 1usize..3),
            pads in (0usize..4, 0usize..4, 0usize..4, 0usize..4), mode in 0usize..4,
        ) {
            let op = Convolution {
                stride: vec![stride.0, stride.1], dilation: vec![dilation.0, dilation.1], pads: vec![(pads.0, pads.1), (pads.2, pads.3)],
                pad_mode: [PadMode::Zeros, PadMode::Replicate, PadMode::Reflect, PadMode::Circular][mode], groups,
            };
            check(&op, &[n, c * groups, size.0, size.1], &[o * groups, c, kernel.0, kernel.1])?;
        }

        #[test]
        fn sequences_and_volumes_are_convolved(
            (c, o) in (1usize..70, 1usize..8), size in (1usize..6, 1usize..8, 1usize..40), kernel in (1usize..4, 1usize..4, 1usize..4),
            stride in 1usize..3, pad in 0usize..2, flat in any::<bool>(),
        ) {
            let axes = if flat { 1 } else { 3 };
            let op = Convolution {
                stride: vec![stride; axes], dilation: vec![1; axes], pads: vec![(pad, pad); axes], pad_mode: PadMode::Zeros, groups: 1,
            };
            if flat {
                check(&op, &[2, c, size.2], &[o, c, kernel.2])?;
            } else {
                check(&op, &[1, c.min(5), size.0, size.1, size.2], &[o, c.min(5), kernel.0, kernel.1, kernel.2])?;
            }
        }

        #[test]
        fn many_channels_are_summed_in_chunks(c in 30usize..200, o in 1usize..40, size in (1usize..9, 1usize..40), kernel in 1usize..4) {
            let op = Convolution {
                stride: vec![1; 2], dilation: vec![1; 2], pads: vec![(1, 1); 2], pad_mode: PadMode::Zeros, groups: 1,
            };
            check(&op, &[1, c, size.0, size.1], &[o, c, kernel, kernel])?;
        }
    }
}
