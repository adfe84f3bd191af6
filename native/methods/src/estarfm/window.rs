//! The two loops over the window of an output pixel: which samples are similar, and their sums.
//!
//! ```text
//! for each row of the window                                     (lanes are neighbouring samples)
//!   for some neighbouring output pixels, which share the row in the first-level cache
//!     keep = low < key < high for every band of every pair       three instructions, one with a load, per vector and image
//!     one bit per sample
//! for some rows of the window, for the same output pixels
//!   for each similar pixel                                       (lanes are the images of one sample)
//!     Σx, Σy, Σx², Σxy, Σy² += its coarse and fine values;  Σw += weight * its coarse values
//! ```
//! What is summed lies side by side in the *record* of a sample, so that the second loop touches the similar pixels only, a fifth of
//! the window with the usual four classes, and wastes no lane on others.
//!
//! A subtotal holds at most [`CHUNK`] similar pixels. Every quantity has its lane and its order of additions, and no multiplication is
//! fused with an addition, so every path gives the same bits.

use std::ops::Range;

use super::rules::LEAST_DISTANCE;
use crate::blocks::aligned::Aligned;
use crate::blocks::simd::{Baseline, Path, Simd};

/// Similar pixels that have a subtotal of their own.
pub const CHUNK: usize = 160;

/// Most vectors that a kernel holds in registers.
const GROUP: usize = 8;

/// Bits of a word.
pub const WORD: usize = 64;

/// The samples of a block with its rim, row by row.
#[derive(Debug, Default)]
pub struct Samples {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Images in the similarity test.
    pub planes: usize,
    /// [`crate::blocks::keys`] of the fine values; that of `NaN` where a sample is not valid. A row of every image follows the other.
    pub keys: Aligned<i32>,
    /// Where the numbers of a record lie.
    pub layout: Layout,
    /// The records.
    pub records: Aligned<f32>,
}

/// Where the numbers of a record lie: fine values, coarse values, coarse values of the target day with a one and 1 − S; each part in
/// whole vectors.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Layout {
    /// Length of the fine and of the coarse part.
    pub images: usize,
    /// Length of the last part.
    pub target: usize,
    /// Position of the one in the last part; 1 − S follows.
    pub one: usize,
}

/// Sums over pairs of values that [`add_records`] makes for every image: Σx, Σy, Σx², Σxy, Σy².
pub const MOMENTS: usize = 5;

impl Layout {
    /// For `planes` images, `bands` of each pair, and vectors of `lanes`.
    pub fn new(planes: usize, bands: usize, lanes: usize) -> Self {
        Layout { images: planes.next_multiple_of(lanes), target: (bands + 2).next_multiple_of(lanes), one: bands }
    }

    /// Numbers of a record.
    pub fn record(&self) -> usize {
        2 * self.images + self.target
    }

    /// Numbers of the weighted sums: coarse values, target, and the weights themselves.
    pub fn weighted(&self) -> usize {
        self.images + self.target
    }
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.rows * self.cols
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room for `rows` x `cols` samples; their content may be anything.
    pub fn resize(&mut self, rows: usize, cols: usize) {
        (self.rows, self.cols) = (rows, cols);
        self.keys.set_len(self.planes * self.len() + WORD, 0);
        self.records.set_len(self.len() * self.layout.record(), 0.0);
    }

    /// The keys of a row in an image.
    pub fn keys_of(&mut self, row: usize, plane: usize) -> &mut [i32] {
        &mut self.keys[(row * self.planes + plane) * self.cols..][..self.cols]
    }

    /// The record of the sample at a position.
    pub fn record(&self, position: u32) -> &[f32] {
        &self.records[position as usize * self.layout.record()..][..self.layout.record()]
    }
}

/// A rectangle of samples.
#[derive(Debug, Clone, Copy)]
pub struct Area {
    /// First row.
    pub row: usize,
    /// First column.
    pub col: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// Which samples of the windows of neighbouring output pixels are similar: for each output pixel and row of its window some words, whose
/// bits are the samples of the row, the first one lowest.
#[derive(Debug, Default)]
pub struct Similar {
    words: Vec<u64>,
    /// Samples in a word.
    width: usize,
    area: Option<Area>,
}

impl Similar {
    /// Number of similar samples of output pixel number `pixel`.
    pub fn count(&self, pixel: usize) -> usize {
        let rows = self.area.map_or(0, |area| area.rows);
        self.words(pixel, 0..rows).iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Words of each row of a window.
    fn per_row(&self) -> usize {
        self.area.map_or(0, |area| area.cols.div_ceil(self.width))
    }

    /// The words of some rows.
    fn words(&self, pixel: usize, rows: Range<usize>) -> &[u64] {
        let (per_row, all) = (self.per_row(), self.area.map_or(0, |area| area.rows));
        &self.words[(pixel * all + rows.start) * per_row..(pixel * all + rows.end) * per_row]
    }
}

/// Some rows of the window of an output pixel.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// The similar samples of the window and of others.
    pub similar: &'a Similar,
    /// Number of the output pixel in them.
    pub pixel: usize,
    /// Rows of the window.
    pub rows: Range<usize>,
    /// Position of the first sample of these rows.
    pub first: usize,
    /// Distances of these rows, the first one at its start, and as many more as a word has bits.
    pub distances: &'a [f32],
    /// Length of a row of distances.
    pub side: usize,
}

/// Samples with a distance or weight each.
#[derive(Debug, Default)]
pub struct List {
    positions: Vec<u32>,
    weights: Vec<f32>,
    len: usize,
}

/// Entries of a list that are written at once, wanted or not, so that no branch depends on how many are wanted.
const AT_ONCE: usize = 8;

impl List {
    /// Positions of the samples.
    pub fn positions(&self) -> &[u32] {
        &self.positions[..self.len]
    }

    /// What each has.
    pub fn weights(&self) -> &[f32] {
        &self.weights[..self.len]
    }

    /// Replaces the content.
    pub fn set(&mut self, content: impl Iterator<Item = (u32, f32)>) {
        self.len = 0;
        for (position, weight) in content {
            self.make_room(self.len + 1);
            (self.positions[self.len], self.weights[self.len]) = (position, weight);
            self.len += 1;
        }
    }

    fn make_room(&mut self, len: usize) {
        if self.positions.len() < len {
            self.positions.resize(2 * len, 0);
            self.weights.resize(2 * len, 0.0);
        }
    }
}

/// Lists the similar samples of `part`, row by row, with their distances.
#[inline(always)]
fn list_part(samples: &Samples, part: &Part<'_>, list: &mut List) {
    let (per_row, width) = (part.similar.per_row(), part.similar.width);
    let words = part.similar.words(part.pixel, part.rows.clone());
    list.make_room(words.iter().map(|w| w.count_ones() as usize).sum::<usize>() + AT_ONCE);
    let mut found = 0;
    for (row, words) in words.chunks_exact(per_row.max(1)).enumerate() {
        for (i, &word) in words.iter().enumerate() {
            let position = part.first + row * samples.cols + i * width;
            let distances = &part.distances[row * part.side + i * width..][..WORD];
            let end = found + word.count_ones() as usize;
            let mut bits = word;
            for start in (found..end).step_by(AT_ONCE) {
                let positions = &mut list.positions[start..start + AT_ONCE];
                let weights = &mut list.weights[start..start + AT_ONCE];
                for (to, weight) in positions.iter_mut().zip(weights) {
                    let bit = (bits | 1 << (WORD - 1)).trailing_zeros() as usize;
                    (*to, *weight) = ((position + bit) as u32, distances[bit]);
                    bits &= bits.wrapping_sub(1);
                }
            }
            found = end;
        }
    }
    list.len = found;
}

/// Turns distances into weights before division by their sum (equations 16 and 17); 0 for `NaN`.
///
/// # Safety
/// Every position of the list must be one of the samples.
#[inline(always)]
unsafe fn weigh_list(samples: &Samples, list: &mut List) {
    let step = samples.layout.record();
    let place = 2 * samples.layout.images + samples.layout.one + 1;
    let weights = &mut list.weights[..list.len];
    for (weight, &position) in weights.iter_mut().zip(&list.positions) {
        // SAFETY: by the contract of this function the record exists.
        let dissimilarity = unsafe { *samples.records.get_unchecked(position as usize * step + place) };
        *weight = dissimilarity * *weight + LEAST_DISTANCE;
    }
    for weight in weights {
        *weight = if weight.is_nan() { 0.0 } else { 1.0 / *weight };
    }
}

/// Lists and weighs the similar samples of `part`, and adds their records.
///
/// # Safety
/// The part must lie inside the samples, and the totals must be complete.
#[inline(always)]
unsafe fn add_part<X: Simd>(
    x: X,
    samples: &Samples,
    part: &Part<'_>,
    list: &mut List,
    weighted: &mut [f32],
    moments: &mut [f32],
) {
    list_part(samples, part, list);
    // SAFETY: the listed samples lie in the part; the rest is passed on from the caller.
    unsafe {
        weigh_list(samples, list);
        add_all(x, samples, list.positions(), list.weights(), weighted, moments);
    }
}

/// Whether the samples of `N` vectors from `key` on are in the range of every image, one bit each.
///
/// # Safety
/// `N * X::WIDTH` keys must be readable from `key`, and from every multiple of `step` behind it that has a range.
#[inline(always)]
unsafe fn similar_bits<X: Simd, const N: usize>(x: X, key: *const i32, step: usize, ranges: &[(i32, i32)]) -> u64 {
    let Some((&(low, least), more)) = ranges.split_first() else { return 0 };
    // SAFETY: passed on from the caller.
    unsafe {
        let (low, least) = (x.splat_int(low), x.splat_int(least));
        let mut keep: [X::M; N] = std::array::from_fn(|n| x.wrapped_more(x.load_int(key.add(n * X::WIDTH)), low, least));
        for (p, &(low, least)) in more.iter().enumerate() {
            let line = key.add((p + 1) * step);
            let (low, least) = (x.splat_int(low), x.splat_int(least));
            for (n, keep) in keep.iter_mut().enumerate() {
                *keep = x.and_wrapped_more(*keep, x.load_int(line.add(n * X::WIDTH)), low, least);
            }
        }
        (0..N).fold(0, |word, n| word | u64::from(x.bits(keep[n])) << (n * X::WIDTH))
    }
}

/// The similar samples of `area` for the first output pixel, and of the areas to the right of it for the next ones; each has as many
/// ranges as there are images.
///
/// # Safety
/// The areas must lie inside the samples, and the buffers of these must have their sizes.
#[inline(always)]
unsafe fn find<X: Simd>(x: X, samples: &Samples, ranges: &[(i32, i32)], area: Area, similar: &mut Similar) {
    let vectors = area.cols.div_ceil(X::WIDTH).min(GROUP).min(WORD / X::WIDTH);
    let width = vectors * X::WIDTH;
    let per_row = area.cols.div_ceil(width);
    let pixels = ranges.len() / samples.planes;
    (similar.width, similar.area) = (width, Some(area));
    similar.words.clear();
    similar.words.resize(pixels * area.rows * per_row, 0);
    for row in 0..area.rows {
        for word in 0..per_row {
            let left = area.cols - word * width;
            let inside = if left < WORD { (1 << left) - 1 } else { u64::MAX };
            for (pixel, ranges) in ranges.chunks_exact(samples.planes).enumerate() {
                let first = (area.row + row) * samples.planes * samples.cols + area.col + pixel + word * width;
                // SAFETY: vectors may reach beyond the area, but not beyond the spare keys at the end.
                let bits = unsafe {
                    let key = samples.keys.as_ptr().add(first);
                    match left.div_ceil(X::WIDTH).min(vectors) {
                        1 => similar_bits::<X, 1>(x, key, samples.cols, ranges),
                        2 => similar_bits::<X, 2>(x, key, samples.cols, ranges),
                        3 => similar_bits::<X, 3>(x, key, samples.cols, ranges),
                        4 => similar_bits::<X, 4>(x, key, samples.cols, ranges),
                        5 => similar_bits::<X, 5>(x, key, samples.cols, ranges),
                        6 => similar_bits::<X, 6>(x, key, samples.cols, ranges),
                        7 => similar_bits::<X, 7>(x, key, samples.cols, ranges),
                        _ => similar_bits::<X, 8>(x, key, samples.cols, ranges),
                    }
                };
                similar.words[(pixel * area.rows + row) * per_row + word] = bits & inside;
            }
        }
    }
}

/// Adds the lanes of `sums` to `totals`.
#[inline(always)]
fn flush<X: Simd, const N: usize>(x: X, sums: [X::V; N], totals: &mut [f32]) {
    for (total, sum) in totals.chunks_exact_mut(X::WIDTH).zip(sums) {
        // SAFETY: a part of `totals` has the length of a vector.
        unsafe { x.store(total.as_mut_ptr(), x.add(x.load(total.as_ptr()), sum)) };
    }
}

/// Adds the moments of `N` vectors of images, beginning with image number `from`, to `totals`, one layer for each moment.
///
/// # Safety
/// Every position of the chunk must be one of the samples.
#[inline(always)]
unsafe fn add_moments<X: Simd, const N: usize>(x: X, samples: &Samples, from: usize, chunk: &[u32], totals: &mut [f32]) {
    let (layout, step) = (samples.layout, samples.layout.record());
    let zero = [x.splat(0.0); N];
    let (mut sx, mut sy, mut sxx, mut sxy, mut syy) = (zero, zero, zero, zero, zero);
    for &position in chunk {
        for n in 0..N {
            // SAFETY: the images of the vectors lie inside the record of a sample.
            let (vx, vy) = unsafe {
                let fine = samples.records.as_ptr().add(position as usize * step + from + n * X::WIDTH);
                (x.load(fine.add(layout.images)), x.load(fine))
            };
            sx[n] = x.add(sx[n], vx);
            sy[n] = x.add(sy[n], vy);
            sxx[n] = x.add(sxx[n], x.mul(vx, vx));
            sxy[n] = x.add(sxy[n], x.mul(vx, vy));
            syy[n] = x.add(syy[n], x.mul(vy, vy));
        }
    }
    for (totals, sums) in totals.chunks_exact_mut(layout.images).zip([sx, sy, sxx, sxy, syy]) {
        flush::<X, N>(x, sums, &mut totals[from..]);
    }
}

/// Adds `N` vectors of the weighted part, beginning with number `from`, to `totals`.
///
/// # Safety
/// Every position of the chunk must be one of the samples.
#[inline(always)]
unsafe fn add_weighted<X: Simd, const N: usize>(
    x: X,
    samples: &Samples,
    from: usize,
    chunk: &[u32],
    weights: &[f32],
    totals: &mut [f32],
) {
    let step = samples.layout.record();
    let mut sums = [x.splat(0.0); N];
    for (&position, &weight) in chunk.iter().zip(weights) {
        let weight = x.splat(weight);
        for (n, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the vectors lie inside the record of a sample.
            let value = unsafe {
                x.load(samples.records.as_ptr().add(position as usize * step + samples.layout.images + from + n * X::WIDTH))
            };
            *sum = x.add(*sum, x.mul(weight, value));
        }
    }
    flush::<X, N>(x, sums, &mut totals[from..]);
}

/// Adds the records of the samples in `list` to weighted sums, and to moments if `moments` is not empty.
///
/// # Safety
/// Every position of the list must be one of the samples, and the totals must be complete.
#[inline(always)]
unsafe fn add_all<X: Simd>(x: X, samples: &Samples, list: &[u32], weights: &[f32], weighted: &mut [f32], moments: &mut [f32]) {
    let (layout, pair) = (samples.layout, 2 * X::WIDTH);
    for (chunk, weights) in list.chunks(CHUNK).zip(weights.chunks(CHUNK)) {
        // SAFETY: passed on from the caller; the parts are whole vectors.
        unsafe {
            if !moments.is_empty() {
                for from in (0..layout.images).step_by(pair) {
                    if from + pair <= layout.images {
                        add_moments::<X, 2>(x, samples, from, chunk, moments);
                    } else {
                        add_moments::<X, 1>(x, samples, from, chunk, moments);
                    }
                }
            }
            for from in (0..layout.weighted()).step_by(4 * X::WIDTH) {
                match (layout.weighted() - from) / X::WIDTH {
                    1 => add_weighted::<X, 1>(x, samples, from, chunk, weights, weighted),
                    2 => add_weighted::<X, 2>(x, samples, from, chunk, weights, weighted),
                    3 => add_weighted::<X, 3>(x, samples, from, chunk, weights, weighted),
                    _ => add_weighted::<X, 4>(x, samples, from, chunk, weights, weighted),
                }
            }
        }
    }
}

/// Defines `$name(path, ...)`, which runs `$body(x, ...)` with the vectors of the path.
macro_rules! on_vectors {
    ($name:ident = $body:ident ( $($arg:ident : $type:ty),* )) => {
        /// # Safety
        /// The processor must have the instructions of the path; the rest as for the function that it runs.
        unsafe fn $name(path: Path, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,bmi1,bmi2,popcnt")]
            unsafe fn avx2($($arg: $type),*) {
                // SAFETY: this function needs what AVX2 stands for itself; the rest is passed on from the caller.
                unsafe { $body(crate::blocks::simd::Avx2::new(), $($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,bmi1,bmi2,popcnt")]
            unsafe fn avx512($($arg: $type),*) {
                // SAFETY: this function needs AVX-512F itself; the rest is passed on from the caller.
                unsafe { $body(crate::blocks::simd::Avx512::new(), $($arg),*) }
            }
            // SAFETY: passed on from the caller.
            unsafe {
                match path {
                    #[cfg(target_arch = "x86_64")]
                    Path::Avx2 => avx2($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    Path::Avx512 => avx512($($arg),*),
                    _ => $body(Baseline, $($arg),*),
                }
            }
        }
    };
}

#[inline(always)]
fn list_only<X: Simd>(_: X, samples: &Samples, part: &Part<'_>, list: &mut List) {
    list_part(samples, part, list);
}

on_vectors!(find_on = find(samples: &Samples, ranges: &[(i32, i32)], area: Area, similar: &mut Similar));
on_vectors!(list_on = list_only(samples: &Samples, part: &Part<'_>, list: &mut List));
on_vectors!(
    add_part_on =
        add_part(samples: &Samples, part: &Part<'_>, list: &mut List, weighted: &mut [f32], moments: &mut [f32])
);
on_vectors!(
    add_all_on = add_all(samples: &Samples, list: &[u32], weights: &[f32], weighted: &mut [f32], moments: &mut [f32])
);

/// Which samples of `area` are in the ranges of the first output pixel, and which of the areas one, two, ... columns to the right of it
/// in those of the next ones; each output pixel has a range for every image. `path` must be available.
pub fn find_similar(path: Path, samples: &Samples, ranges: &[(i32, i32)], area: Area, similar: &mut Similar) {
    assert!(path.is_available(), "the path was clamped to what the processor has");
    assert!(samples.planes > 0 && ranges.len().is_multiple_of(samples.planes), "every image has a range");
    assert!(samples.keys.len() >= samples.planes * samples.len() + WORD, "layers of keys are complete");
    let pixels = ranges.len() / samples.planes;
    assert!(area.row + area.rows <= samples.rows && area.col + area.cols + pixels <= samples.cols + 1, "areas lie inside");
    // SAFETY: checked above.
    unsafe { find_on(path, samples, ranges, area, similar) }
}

/// Panics unless `weighted` and `moments` are complete.
fn check_totals(path: Path, samples: &Samples, weighted: &[f32], moments: &[f32]) {
    let layout = samples.layout;
    assert!(path.is_available(), "the path was clamped to what the processor has");
    assert!([layout.images, layout.target].iter().all(|n| n.is_multiple_of(path.lanes())), "records are whole vectors");
    assert!(samples.records.len() >= samples.len() * layout.record(), "records are complete");
    assert!(weighted.len() == layout.weighted() && [0, MOMENTS * layout.images].contains(&moments.len()), "totals are complete");
}

/// Lists the similar samples of `part`, row by row, with their distances. `path` must be available.
pub fn list_similar(path: Path, samples: &Samples, part: &Part<'_>, list: &mut List) {
    assert!(path.is_available(), "the path was clamped to what the processor has");
    // SAFETY: checked above.
    unsafe { list_on(path, samples, part, list) }
}

/// Turns the distances of listed samples into weights, before division by their sum (equations 16 and 17); 0 for `NaN`.
pub fn weigh(samples: &Samples, list: &mut List) {
    assert!(list.positions().iter().all(|&position| (position as usize) < samples.len()), "the list names samples");
    assert!(samples.records.len() >= samples.len() * samples.layout.record(), "records are complete");
    // SAFETY: checked above.
    unsafe { weigh_list(samples, list) }
}

/// Lists and weighs the similar samples of `part`, and adds their records as [`add_records`] does. `path` must be available.
pub fn add_similar(path: Path, samples: &Samples, part: &Part<'_>, list: &mut List, weighted: &mut [f32], moments: &mut [f32]) {
    check_totals(path, samples, weighted, moments);
    let cols = part.similar.area.map_or(0, |area| area.cols);
    assert!(part.rows.is_empty() || part.first + (part.rows.len() - 1) * samples.cols + cols <= samples.len(), "it lies inside");
    // SAFETY: checked above.
    unsafe { add_part_on(path, samples, part, list, weighted, moments) }
}

/// Adds the records of the samples in `list`: with weights, the coarse part and the target part to `weighted` ([`Layout::weighted`]
/// numbers); without, the [`MOMENTS`] of every image to `moments`, unless it is empty. `path` must be available.
pub fn add_records(path: Path, samples: &Samples, list: &[u32], weights: &[f32], weighted: &mut [f32], moments: &mut [f32]) {
    check_totals(path, samples, weighted, moments);
    let last = list.iter().fold(0, |last, &position| last.max(position));
    assert!(list.is_empty() || (last as usize) < samples.len(), "the list names samples");
    // SAFETY: checked above.
    unsafe { add_all_on(path, samples, list, weights, weighted, moments) }
}
