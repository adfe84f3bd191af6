//! Convolution with 3x3 taps and stride 1 by squares of 2x2 results, each from 4x4 elements, with 16 multiplications instead of 36:
//! F(2x2, 3x3) of Lavin and Gray 2016, "Fast algorithms for convolutional neural networks", section 4.1. More taps are cut into
//! patches of 3x3, each of which sees the channel from another place; a patch that the taps do not fill leaves the first or last row or
//! column of places out. So 5x5 taps take 49 multiplications instead of 100, 9x9 take 144 instead of 324. Patches an even number of taps
//! apart see the same squares, some squares on: a cut into such patches transforms each element once, and has a margin in turn.
//!
//! ```text
//! a plane is a channel seen from one place; a place is one of the 16 of a square
//! U[place][output][plane] = (G g Gᵀ)[place] of the taps g               beforehand
//! for every task (image, rows and columns of squares, outputs):         tasks run in parallel
//!     V[place][plane][square] = (Bᵀ d B)[place] of the elements d
//!     for some outputs at a time:
//!         M[place][output][square] = Σ over planes U · V                16 products of matrices by register tiles
//!         Aᵀ M A + bias + residual, nonlinearity -> result
//! ```
//!
//! B and A hold only 0, 1 and -1, G halves as well, and the sums over planes are nine times shorter than those of the plain
//! convolution: with 16 to 256 channels of images between 0 and 1 the rounding errors are half as large (root mean square of either
//! against `f64`). What is held of V and M fits the second cache. Every element is computed by the same operations whatever the task;
//! an infinite element or NaN may spread to its whole square.

use std::ops::Range;

use rayon::prelude::*;
use stfusion_simd::{Path, Simd};

use super::convolution::{blocks, most_outputs, Block, Tile};
use super::rows::{ahead, padded, Finish};
use super::{with_scratch, with_vectors, Shared, Vectorised};
use crate::ops::{Convolution, PadMode};

/// Places of a square.
const PLACES: usize = 16;
/// Squares of a task: what 16 places of all channels of them fill.
const ELEMENT_BYTES: usize = 256 << 10;
/// Bytes of the sums that are held at a time.
const SUM_BYTES: usize = 96 << 10;
/// Tasks that a convolution is cut into at least, where its size allows.
const TASKS: usize = 24;
/// Outputs that make the transformation of a task's elements worth its time.
const WORTH: usize = 48;

/// A convolution with transformed weights for an operand of one shape.
#[derive(Debug)]
pub(crate) struct Squares {
    path: Path,
    batch: usize,
    channels: usize,
    outputs: usize,
    input: [usize; 2],
    output: [usize; 2],
    before: [isize; 2],
    mode: PadMode,
    blocks: Vec<Block>,
    /// Place, block, plane, output of the block.
    weights: Vec<f32>,
    bias: Vec<f32>,
    places: Vec<Place>,
    layout: Layout,
    finish: Finish,
}

/// At most 3x3 taps of a convolution.
#[derive(Debug, Clone, PartialEq)]
struct Patch {
    /// Row and column where its 3x3 places for taps begin.
    at: [usize; 2],
    /// Rows and columns of the taps in them.
    taps: [Range<usize>; 2],
}

impl Patch {
    /// Whether its taps, whatever they are, have a weight in a place: the first ones alone have one in the first places, the third in the
    /// fourth.
    fn fills(&self, place: usize) -> bool {
        [place / 4, place % 4].into_iter().zip(self.at).zip(&self.taps).all(|((place, at), taps)| match place {
            0 => taps.start == at,
            3 => taps.end == at + 3,
            _ => true,
        })
    }

    /// `G g Gᵀ` of its taps `g`; `width` is how many taps of the convolution lie in a row.
    fn transformed(&self, taps: &[f32], width: usize) -> [f32; PLACES] {
        let line = |a: f64, b: f64, c: f64| [a, (a + b + c) / 2.0, (a - b + c) / 2.0, c];
        let g = |r: usize, c: usize| {
            let (r, c) = (self.at[0] + r, self.at[1] + c);
            if self.taps[0].contains(&r) && self.taps[1].contains(&c) {
                f64::from(taps[r * width + c])
            } else {
                0.0
            }
        };
        let columns = [0, 1, 2].map(|c| line(g(0, c), g(1, c), g(2, c)));
        let mut places = [0.0; PLACES];
        for (row, places) in places.chunks_exact_mut(4).enumerate() {
            let values = line(columns[0][row], columns[1][row], columns[2][row]);
            places.iter_mut().zip(values).for_each(|(p, v)| *p = v as f32);
        }
        places
    }
}

/// The taps of a convolution in patches.
#[derive(Debug, Clone)]
struct Cut {
    patches: Vec<Patch>,
    /// Whether all patches see one plane, some squares on; else each has its own.
    shared: bool,
}

impl Cut {
    /// Rows and columns of taps in patches that share their plane or do not.
    fn new([height, width]: [usize; 2], shared: bool) -> Cut {
        let along = |n: usize| -> Vec<(usize, Range<usize>)> {
            if shared {
                // three taps, then two each, behind a place that stays empty
                let first = |at: usize| if at == 0 { 0 } else { at + 1 };
                (0..n).step_by(2).map(|at| (at, first(at)..n.min(at + 3))).filter(|(_, taps)| !taps.is_empty()).collect()
            } else {
                (0..n).step_by(3).map(|at| (at, at..n.min(at + 3))).collect()
            }
        };
        let across = along(width);
        let patch = |(r, rows): &(usize, Range<usize>), (c, columns): &(usize, Range<usize>)| Patch {
            at: [*r, *c],
            taps: [rows.clone(), columns.clone()],
        };
        let patches = along(height).iter().flat_map(|row| across.iter().map(move |column| patch(row, column))).collect();
        Cut { patches, shared }
    }

    /// Multiplications for a square of results of one channel.
    fn multiplications(&self) -> usize {
        self.patches.iter().map(|patch| (0..PLACES).filter(|&place| patch.fills(place)).count()).sum()
    }

    /// Planes of every channel: where they begin.
    fn planes(&self) -> &[Patch] {
        if self.shared {
            &self.patches[..1]
        } else {
            &self.patches
        }
    }

    /// Plane of a patch among those of its channel, and rows and columns of squares from there to what it sees.
    fn seen(&self, patch: usize) -> (usize, [usize; 2]) {
        if self.shared {
            (0, self.patches[patch].at.map(|at| at / 2))
        } else {
            (patch, [0, 0])
        }
    }

    /// Rows and columns of squares that a task needs beyond its own.
    fn margin(&self) -> [usize; 2] {
        self.seen(self.patches.len() - 1).1
    }
}

/// One of the 16 products of matrices.
#[derive(Debug)]
struct Place {
    /// Where its weights begin.
    weights: usize,
    /// Where the squares of the planes begin that have weights here.
    offsets: Vec<u32>,
}

/// How the work is cut up.
#[derive(Debug, Clone)]
struct Layout {
    cut: Cut,
    /// Rows and columns of squares of a task.
    tile: [usize; 2],
    /// Blocks of outputs of a task.
    part: usize,
    /// Blocks whose sums are held at a time.
    group: usize,
    /// Squares from a row of a plane to the next.
    across: usize,
    /// Squares of a line of M, register tiles filled up.
    results: usize,
    /// Squares of a line of V.
    elements: usize,
    /// What it takes, in multiplications.
    work: usize,
}

/// Values from the first of so many lines of squares of one place to that of the next place: planes a power of two apart would share few
/// sets of a cache. At least 16 values beyond the last line may be written.
fn apart(lines: usize, squares: usize) -> usize {
    16 * (((lines * squares).div_ceil(16) + 1) | 1)
}

impl Layout {
    /// The cut and the tasks that take the least work.
    fn new(path: Path, batch: usize, [channels, outputs]: [usize; 2], taps: [usize; 2], size: [usize; 2]) -> Self {
        let [apart, shared] =
            [false, true].map(|shared| Layout::of(path, batch, [channels, outputs], Cut::new(taps, shared), size));
        if shared.work < apart.work {
            shared
        } else {
            apart
        }
    }

    fn of(path: Path, batch: usize, [channels, outputs]: [usize; 2], cut: Cut, [height, width]: [usize; 2]) -> Self {
        let pixels = 2 * path.lanes();
        let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
        let (planes, margin) = (channels * cut.planes().len(), cut.margin());
        // a margin weighs less in a larger task
        let bytes = if margin == [0, 0] { ELEMENT_BYTES } else { ELEMENT_BYTES / 2 * 3 };
        let most = (bytes / (4 * PLACES * planes)).clamp(2 * pixels, 8 * pixels);
        // what transforms a square of a plane and of a result takes the time of some multiplications
        let of_square = channels * outputs * cut.multiplications();
        let (of_element, of_result) = (16 * PLACES * planes, 6 * PLACES * outputs);
        let work = |&[r, c]: &[usize; 2]| {
            let tasks = rows.div_ceil(r) * columns.div_ceil(c);
            let (across, filled) = (c + margin[1], (r * (c + margin[1])).next_multiple_of(pixels));
            // a little for every task
            tasks * (of_square * (filled + pixels / 4) + of_element * (r + margin[0]) * across + of_result * r * c)
        };
        let held = |r: usize, c: usize| (r + margin[0]) * (c + margin[1]);
        let widths = (1..=columns).map(|n| columns.div_ceil(n)).skip_while(|&c| held(1, c) > most && c > 1).take(4);
        let tiles = widths.flat_map(|c| (1..=rows).take_while(move |&r| r == 1 || held(r, c) <= most).map(move |r| [r, c]));
        let tile = tiles.min_by_key(work).unwrap_or([1, 1]);
        let tasks = batch * rows.div_ceil(tile[0]) * columns.div_ceil(tile[1]);
        let (parts, of_block) = (TASKS.div_ceil(tasks).min(outputs.div_ceil(WORTH)), most_outputs(path));
        let part = outputs.div_ceil(of_block).div_ceil(parts);
        let across = tile[1] + margin[1];
        let results = (tile[0] * across).next_multiple_of(pixels);
        let elements = (results + margin[0] * across + margin[1]).next_multiple_of(pixels);
        let group = (SUM_BYTES / (4 * PLACES * results * of_block)).clamp(1, part);
        let work = batch * work(&tile);
        Layout { cut, tile, part, group, across, results, elements, work }
    }
}

impl Squares {
    /// Whether a convolution of x (shape `x`) with weights of shape `w` into shape `y` can be done this way, and sooner than tap by tap.
    pub(crate) fn suit(path: Path, op: &Convolution, x: &[usize], w: &[usize], y: &[usize]) -> bool {
        let plain = op.groups == 1 && op.stride.iter().chain(&op.dilation).all(|&n| n == 1);
        let (&[_, channels, ..], &[_, _, height, width], &[outputs, _, down, across]) = (x, y, w) else { return false };
        if !plain || channels.min(outputs) < 4 || down.min(across) < 3 {
            return false;
        }
        let layout = Layout::new(path, x[0], [channels, outputs], [down, across], [height, width]);
        // what walks a channel takes the time of some multiplications
        let pixel = channels * (outputs * down * across + 40);
        layout.work < pixel * x[0] * height * width.next_multiple_of(2 * path.lanes())
    }

    /// A convolution of x (shape `x`) with `weight` (shape `w`), which [`Squares::suit`].
    pub(crate) fn new(
        path: Path,
        op: &Convolution,
        [x, w, y]: [&[usize]; 3],
        weight: &[f32],
        bias: Option<&[f32]>,
        finish: Finish,
    ) -> Self {
        let (channels, outputs, output, taps) = (x[1], y[1], [y[2], y[3]], [w[2], w[3]]);
        let (blocks, layout) = (blocks(path, outputs), Layout::new(path, x[0], [channels, outputs], taps, output));
        let cut = &layout.cut;
        let mut begin = 0;
        let of_place = |place| {
            let offset = |channel: usize, patch: usize| {
                let (plane, [down, right]) = cut.seen(patch);
                ((channel * cut.planes().len() + plane) * layout.elements + down * layout.across + right) as u32
            };
            let filled =
                |channel| (0..cut.patches.len()).filter(|&p| cut.patches[p].fills(place)).map(move |p| offset(channel, p));
            let offsets: Vec<_> = (0..channels).flat_map(filled).collect();
            let weights = begin;
            begin += outputs * offsets.len();
            Place { weights, offsets }
        };
        let places: Vec<_> = (0..PLACES).map(of_place).collect();
        let mut weights = vec![0.0; begin];
        for block in &blocks {
            for output in 0..block.count {
                let mut at = [0; PLACES];
                let of_output = &weight[(block.first + output) * channels * taps[0] * taps[1]..];
                for channel in of_output.chunks_exact(taps[0] * taps[1]).take(channels) {
                    for patch in &cut.patches {
                        for (place, value) in patch.transformed(channel, taps[1]).into_iter().enumerate() {
                            if patch.fills(place) {
                                let Place { weights: first, offsets } = &places[place];
                                weights[first + block.first * offsets.len() + at[place] * block.count + output] = value;
                                at[place] += 1;
                            }
                        }
                    }
                }
            }
        }
        Squares {
            path,
            batch: x[0],
            channels,
            outputs,
            input: [x[2], x[3]],
            output,
            before: [op.pads[0].0 as isize, op.pads[1].0 as isize],
            mode: op.pad_mode,
            blocks,
            weights,
            bias: bias.map_or(vec![0.0; outputs], <[f32]>::to_vec),
            places,
            layout,
            finish,
        }
    }

    /// Values of a line of every second element: those of the squares, one more, and what is read beyond.
    fn line(&self) -> usize {
        (self.layout.across + 1).next_multiple_of(16) + 16
    }

    /// Values that a task needs beside operands and result: V, M, and eight lines and two rows.
    fn scratch(&self) -> [usize; 3] {
        let Layout { cut, group, results, elements, .. } = &self.layout;
        let v = apart(self.channels * cut.planes().len(), *elements);
        let m = apart(group * most_outputs(self.path), *results);
        [PLACES * v, PLACES * m, 10 * self.line()]
    }

    /// Bytes that a run needs per thread beside its operands and result.
    pub(crate) fn scratch_bytes(&self) -> usize {
        4 * self.scratch().iter().sum::<usize>()
    }

    /// Runs on `x` into `y`; `residual`, of the shape of `y` and possibly the same memory, is added before the nonlinearity.
    ///
    /// # Safety
    /// `y` and `residual` must hold a value for every element of the result, and nobody else may touch `y`.
    pub(crate) unsafe fn run(&self, x: &[f32], residual: Option<*const f32>, y: Shared) {
        let &Layout { tile, part, .. } = &self.layout;
        let (rows, columns) = (self.output[0].div_ceil(2), self.output[1].div_ceil(2));
        let (down, across, parts) = (rows.div_ceil(tile[0]), columns.div_ceil(tile[1]), self.blocks.len().div_ceil(part));
        let residual = residual.map(|r| Shared(r.cast_mut()));
        (0..self.batch * down * across * parts).into_par_iter().for_each(|task| {
            let (part_index, rest) = (task % parts, task / parts);
            let (column, rest) = (rest % across * tile[1], rest / across);
            let (row, image) = (rest % down * tile[0], rest / down);
            let blocks = part_index * part..((part_index + 1) * part).min(self.blocks.len());
            let size = [tile[0].min(rows - row), tile[1].min(columns - column)];
            let at = Task { image, row, column, size, blocks };
            with_scratch(self.scratch().iter().sum(), |scratch| {
                with_vectors(self.path, Work { convolution: self, at, x, residual, y, scratch });
            });
        });
    }

    /// # Safety
    /// No other task may write the same part of `y`, which must be of the output's size.
    #[inline(always)]
    unsafe fn task<S: Simd>(&self, s: S, at: &Task, x: &[f32], residual: Option<Shared>, y: Shared, scratch: &mut [f32]) {
        let squares = self.layout.results;
        let needed = ((at.size[0] - 1) * self.layout.across + at.size[1]).next_multiple_of(2 * S::WIDTH);
        let [v, m, _] = self.scratch();
        let (v, rest) = scratch.split_at_mut(v);
        let (m, lines) = rest.split_at_mut(m);
        self.elements(s, at, x, v, lines);
        let (v_apart, m_apart) = (v.len() / PLACES, m.len() / PLACES);
        for blocks in self.blocks[at.blocks.clone()].chunks(self.layout.group) {
            let first = blocks[0].first;
            for (place, Place { weights, offsets }) in self.places.iter().enumerate() {
                let (v, m, k) = (&v[place * v_apart..], &mut m[place * m_apart..], offsets.len());
                for block in blocks {
                    let w = &self.weights[weights + block.first * k..];
                    for column in (0..needed).step_by(2 * S::WIDTH) {
                        let x = &v[column..];
                        let sums = &mut m[(block.first - first) * squares + column..];
                        // SAFETY: the weights hold a value for every plane of the place and output of the block, V a line of squares for
                        // every plane, M one for every output of the group.
                        unsafe {
                            Tile { k, offsets, x, w, bias: Some(&[0.0; 16]) }.run(s, block.count, sums.as_mut_ptr(), squares)
                        };
                    }
                }
            }
            for output in 0..blocks.iter().map(|b| b.count).sum() {
                // SAFETY: as for this function; M holds every output of the group.
                unsafe { self.results(s, at, first + output, &m[output * squares..], m_apart, lines, residual, y) };
            }
        }
    }

    /// `Bᵀ d B` for every plane and square.
    #[inline(always)]
    fn elements<S: Simd>(&self, s: S, at: &Task, x: &[f32], v: &mut [f32], lines: &mut [f32]) {
        let ([height, width], margin) = (self.input, self.layout.cut.margin());
        let [rows, columns] = [at.size[0] + margin[0], at.size[1] + margin[1]];
        let line = self.line();
        let (lines, wide) = lines.split_at_mut(8 * line);
        let needed = 2 * columns + 2;
        let (&Layout { across, elements: squares, .. }, apart) = (&self.layout, v.len() / PLACES);
        let planes = (0..self.channels).flat_map(|c| self.layout.cut.planes().iter().map(move |patch| (c, patch.at)));
        for (plane, (channel, first)) in planes.enumerate() {
            let image = &x[(at.image * self.channels + channel) * height * width..][..height * width];
            let left = (2 * at.column + first[1]) as isize - self.before[1];
            for row in 0..rows {
                let top = (2 * (at.row + row) + first[0]) as isize - self.before[0];
                for r in if row == 0 { 0..4 } else { 2..4 } {
                    let to = &mut lines[(2 * row + r) % 4 * 2 * line..][..2 * line];
                    let Some(source) = self.mode.source(top + r as isize, height) else {
                        to.fill(0.0);
                        continue;
                    };
                    let from = &image[source * width..][..width];
                    // the same row two channels on
                    ahead(from.as_ptr().wrapping_add(2 * height * width).wrapping_offset(left), needed);
                    let inside = usize::try_from(left).ok().and_then(|left| from.get(left..left + needed));
                    let from = match inside {
                        Some(from) => from,
                        None => {
                            padded(self.mode, from, left, &mut wide[..needed]);
                            &wide[..needed]
                        }
                    };
                    let (even, odd) = to.split_at_mut(line);
                    let mut i = 0;
                    while 2 * (i + S::WIDTH) <= needed {
                        // SAFETY: the loop's condition; the lines are longer than a half of what is needed.
                        unsafe {
                            let from = from.as_ptr().add(2 * i);
                            let [a, b] = s.parted(s.load(from), s.load(from.add(S::WIDTH)));
                            s.store(even.as_mut_ptr().add(i), a);
                            s.store(odd.as_mut_ptr().add(i), b);
                        }
                        i += S::WIDTH;
                    }
                    while i <= columns {
                        (even[i], odd[i]) = (from[2 * i], from[2 * i + 1]);
                        i += 1;
                    }
                }
                let to = &mut v[plane * squares + row * across..];
                let d = |r: usize| lines[(2 * row + r) % 4 * 2 * line..].as_ptr();
                let d = [d(0), d(1), d(2), d(3)];
                for i in (0..columns).step_by(S::WIDTH) {
                    debug_assert!(15 * apart + i + S::WIDTH <= to.len());
                    // SAFETY: a line holds a vector beyond its last square; so does V, where the next line is written later or nothing is.
                    unsafe {
                        let [a, b, c, d] = [
                            columns_of(s, d[0].add(i), line),
                            columns_of(s, d[1].add(i), line),
                            columns_of(s, d[2].add(i), line),
                            columns_of(s, d[3].add(i), line),
                        ];
                        let to = to.as_mut_ptr().add(i);
                        spread(s, differences(s, a, c), to, apart);
                        spread(s, sums(s, b, c), to.add(4 * apart), apart);
                        spread(s, differences(s, c, b), to.add(8 * apart), apart);
                        spread(s, differences(s, b, d), to.add(12 * apart), apart);
                    }
                }
            }
            for place in 0..PLACES {
                v[place * apart + plane * squares..][(rows - 1) * across + columns..squares].fill(0.0);
            }
        }
    }

    /// `Aᵀ M A`, finished, for one output; its first line of M is `m`.
    ///
    /// # Safety
    /// As for [`Squares::task`].
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    unsafe fn results<S: Simd>(
        &self,
        s: S,
        at: &Task,
        output: usize,
        m: &[f32],
        apart: usize,
        lines: &mut [f32],
        residual: Option<Shared>,
        y: Shared,
    ) {
        let ([height, width], [rows, columns]) = (self.output, at.size);
        let line = self.line();
        let (lines, wide) = lines.split_at_mut(8 * line);
        let bias = s.splat(self.bias[output]);
        let valid = (2 * columns).min(width - 2 * at.column);
        for row in 0..rows {
            for i in (0..columns).step_by(S::WIDTH) {
                debug_assert!(15 * apart + row * self.layout.across + i + S::WIDTH <= m.len());
                // SAFETY: M and the lines hold a vector beyond the last square.
                unsafe {
                    let m = m.as_ptr().add(row * self.layout.across + i);
                    let [a, b, c, d] = [
                        places(s, m, apart),
                        places(s, m.add(4 * apart), apart),
                        places(s, m.add(8 * apart), apart),
                        places(s, m.add(12 * apart), apart),
                    ];
                    let top = sums(s, sums(s, a, b), c);
                    let bottom = differences(s, differences(s, b, c), d);
                    let to = lines.as_mut_ptr().add(i);
                    for (half, w) in [top, bottom].into_iter().enumerate() {
                        let to = to.add(2 * half * line);
                        s.store(to, s.add(s.add(s.add(w[0], w[1]), w[2]), bias));
                        s.store(to.add(line), s.add(s.sub(s.sub(w[1], w[2]), w[3]), bias));
                    }
                }
            }
            for half in 0..2.min(height - 2 * (at.row + row)) {
                let (even, odd) = lines[2 * half * line..][..2 * line].split_at(line);
                for i in (0..columns).step_by(S::WIDTH) {
                    // SAFETY: the lines hold a vector beyond the last square, and the row twice as much.
                    unsafe {
                        let [a, b] = s.interleaved(s.load(even.as_ptr().add(i)), s.load(odd.as_ptr().add(i)));
                        let to = wide.as_mut_ptr().add(2 * i);
                        s.store(to, a);
                        s.store(to.add(S::WIDTH), b);
                    }
                }
                let place = ((at.image * self.outputs + output) * height + 2 * (at.row + row) + half) * width + 2 * at.column;
                // SAFETY: this part of the result is this task's; the residual is laid out like it.
                unsafe {
                    let residual = residual.map(|r| r.get().cast_const().add(place));
                    self.finish.row(s, &mut wide[..valid], residual, y.get().add(place));
                }
            }
        }
    }
}

/// The four elements of one row of some neighbouring squares; odd places lie `line` behind even ones.
///
/// # Safety
/// A vector and one more value must be readable at `row` and at `row + line`.
#[inline(always)]
unsafe fn columns_of<S: Simd>(s: S, row: *const f32, line: usize) -> [S::V; 4] {
    // SAFETY: as for this function.
    unsafe { [s.load(row), s.load(row.add(line)), s.load(row.add(1)), s.load(row.add(line + 1))] }
}

/// Four places of some neighbouring squares.
///
/// # Safety
/// A vector must be readable at each.
#[inline(always)]
unsafe fn places<S: Simd>(s: S, first: *const f32, apart: usize) -> [S::V; 4] {
    // SAFETY: as for this function.
    unsafe { [s.load(first), s.load(first.add(apart)), s.load(first.add(2 * apart)), s.load(first.add(3 * apart))] }
}

/// Stores `w B` in four places.
///
/// # Safety
/// A vector must be writable at each.
#[inline(always)]
unsafe fn spread<S: Simd>(s: S, w: [S::V; 4], to: *mut f32, apart: usize) {
    // SAFETY: as for this function.
    unsafe {
        s.store(to, s.sub(w[0], w[2]));
        s.store(to.add(apart), s.add(w[1], w[2]));
        s.store(to.add(2 * apart), s.sub(w[2], w[1]));
        s.store(to.add(3 * apart), s.sub(w[1], w[3]));
    }
}

#[inline(always)]
fn sums<S: Simd>(s: S, a: [S::V; 4], b: [S::V; 4]) -> [S::V; 4] {
    [s.add(a[0], b[0]), s.add(a[1], b[1]), s.add(a[2], b[2]), s.add(a[3], b[3])]
}

#[inline(always)]
fn differences<S: Simd>(s: S, a: [S::V; 4], b: [S::V; 4]) -> [S::V; 4] {
    [s.sub(a[0], b[0]), s.sub(a[1], b[1]), s.sub(a[2], b[2]), s.sub(a[3], b[3])]
}

/// A part of the result: rows and columns count squares.
struct Task {
    image: usize,
    row: usize,
    column: usize,
    size: [usize; 2],
    blocks: Range<usize>,
}

/// A task with its operands.
struct Work<'a> {
    convolution: &'a Squares,
    at: Task,
    x: &'a [f32],
    residual: Option<Shared>,
    y: Shared,
    scratch: &'a mut [f32],
}

impl Vectorised for Work<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // SAFETY: tasks differ in image, place or outputs, so they write disjoint parts of y.
        unsafe { self.convolution.task(s, &self.at, self.x, self.residual, self.y, self.scratch) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::convolution::tests::compare;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn images_of_any_size_are_convolved(
            (n, c, o) in (1usize..3, 1usize..40, 1usize..60), size in (1usize..24, 1usize..90), taps in (3usize..10, 3usize..10),
            pads in (0usize..4, 0usize..4, 0usize..4, 0usize..4), mode in 0usize..4,
        ) {
            let op = Convolution {
                stride: vec![1; 2], dilation: vec![1; 2], pads: vec![(pads.0, pads.1), (pads.2, pads.3)],
                pad_mode: [PadMode::Zeros, PadMode::Replicate, PadMode::Reflect, PadMode::Circular][mode], groups: 1,
            };
            let (x, w) = ([n, c, size.0, size.1], [o, c, taps.0, taps.1]);
            compare(&op, &x, &w, |given, y| {
                let shapes = [&x[..], &w[..], given.y];
                let squares = Squares::new(given.path, &op, shapes, given.weight, Some(given.bias), given.finish);
                // SAFETY: both are of the result's size.
                unsafe { squares.run(given.x, Some(given.residual.as_ptr()), y) };
            })?;
        }

        #[test]
        fn tasks_fit_the_caches(
            batch in 1usize..3, channels in 1usize..600, outputs in 1usize..600, taps in (3usize..12, 3usize..12), size in (1usize..300, 1usize..300),
        ) {
            for &path in Path::ALL {
                let layout = Layout::new(path, batch, [channels, outputs], [taps.0, taps.1], [size.0, size.1]);
                let [rows, columns] = layout.tile;
                prop_assert!(rows > 0 && columns > 0 && layout.part > 0 && layout.group > 0 && layout.group <= layout.part);
                let held = (rows + layout.cut.margin()[0]) * layout.across;
                prop_assert!(held <= 16 * path.lanes() || rows == 1, "{layout:?}");
                prop_assert!(layout.results <= 16 * path.lanes().max(columns), "{layout:?}");
            }
        }
    }

    #[test]
    fn taps_are_transformed_as_published() {
        // the middle tap alone: the outer product of the middle column of G with itself
        let mut taps = [0.0; 9];
        taps[4] = 1.0;
        let line = [0.0, 0.5, -0.5, 0.0];
        let expected: Vec<f32> = (0..16).map(|i| line[i / 4] * line[i % 4]).collect();
        assert_eq!(Cut::new([3, 3], false).patches[0].transformed(&taps, 3)[..], expected[..]);
    }

    #[test]
    fn multiplications_are_as_few_as_stated() {
        let of = |taps, shared| Cut::new(taps, shared).multiplications();
        assert_eq!([[3, 3], [5, 5], [9, 9], [3, 5]].map(|taps| of(taps, false)), [16, 49, 144, 28]);
        assert_eq!([[3, 3], [5, 5], [9, 9], [3, 5]].map(|taps| of(taps, true)), [16, 49, 169, 28]);
    }

    #[test]
    fn every_tap_is_in_one_patch() {
        for taps in [[3, 3], [4, 6], [5, 5], [7, 8], [9, 11]] {
            for shared in [false, true] {
                let cut = Cut::new(taps, shared);
                let mut seen = vec![0; taps[0] * taps[1]];
                for patch in &cut.patches {
                    let [rows, columns] = patch.taps.clone();
                    assert!(rows.end <= patch.at[0] + 3 && columns.end <= patch.at[1] + 3, "{patch:?}");
                    rows.for_each(|r| columns.clone().for_each(|c| seen[r * taps[1] + c] += 1));
                }
                assert!(seen.iter().all(|&n| n == 1), "{taps:?} {shared} {seen:?}");
            }
        }
    }
}
