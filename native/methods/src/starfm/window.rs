//! The window loop: for every output pixel, the sum of weights and of weighted proposals over the candidates of its window.
//!
//! ```text
//! for each pair                                                      (planes over the block and its rim: see `block`)
//!   for each R output rows, for each sample row that one of their windows has
//!     for each C output columns
//!       for each sample column that one of their windows has:        (registers only)
//!         key, s, t, a, b, v = planes at (sample row, sample column)  6 loads, shared by the R x C outputs
//!         keep   = low < key < high  and  (s < bound_s or|and t < bound_t)
//!         weight = keep ? a / D(dy, dx) + b : 0
//!         W += weight;  P += weight * v
//!       totals += W, P
//! ```
//! **Lanes.** A block is cut into as many vertical strips as a vector has lanes, and lane l works on strip l. The planes are
//! stored so that the values of one column of all strips are neighbours, one plane after the other: every load is aligned whatever
//! the offset in the window (in the plain layout, almost half of them would straddle two cache lines), one pointer reaches all
//! planes, and one load serves neighbouring outputs.
//!
//! **Similarity** |f − f_centre| < tolerance is tested on keys, integers in the order of the values: `key − (low + 1)` as an unsigned
//! number is below `high − low − 1` if and only if the key lies between; one addition and one comparison when keys are stored
//! complemented and the rest is folded into the two ends. `low` and `high` are rounded outwards, so the decision is that of exact arithmetic.
//!
//! Per vector and output: 10 arithmetic instructions on AVX2 (integer add and compare, 2 compares, or, and, multiply-add, and,
//! add, multiply-add), 8 on AVX-512, where masks live in registers of their own; per sample 9 operations that the method asks for
//! (subtract, 3 compares, multiply, add, add, multiply, add), and 24 / (R C) + 20 bytes from the first-level cache.
//!
//! Every pixel adds its candidates in one order (pairs, rows, columns; one subtotal per row), whatever tile, block, strip or
//! register tile it falls in, so the result does not depend on them.

use std::ops::Range;

use stfusion_core::{Cancel, Result};

use crate::blocks::aligned::Aligned;
use crate::blocks::simd::{Baseline, Path, Simd};

/// Key of what similarity is judged by.
pub const KEY: usize = 0;
/// |F − C|.
pub const S: usize = 1;
/// |C − C_p|.
pub const T: usize = 2;
/// Weight at distance factor 1, for candidates outside the uncertainty; else 0.
pub const A: usize = 3;
/// Weight that does not depend on the distance, for candidates within the uncertainty; else 0.
pub const B: usize = 4;
/// Proposal F + C_p − C.
pub const V: usize = 5;
/// Number of planes that every sample has; keys of further similarity bands follow.
pub const PLANES: usize = 6;

/// Columns of a strip are padded to a multiple of this, the widest register tile.
pub const GRAIN: usize = 2;

/// Planes of one pair and band over a block and its rim of half a window. Vector (row r, column c of the strips, plane p) starts
/// at `((r * span + c) * planes + p) * lanes`.
#[derive(Debug, Default)]
pub struct Samples {
    /// Columns of a strip with its rim and padding.
    pub span: usize,
    /// Number of planes, at least [`PLANES`].
    pub planes: usize,
    /// Rows that hold samples; the others, which lie outside the scene, are not looked at.
    pub rows: Range<usize>,
    /// Keys, and the bits of the values.
    pub data: Aligned<i32>,
}

/// What the output pixels of a block bring along and collect. Vector (row r, column c of the strips) starts at `(r * span + c) * lanes`.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Rows.
    pub rows: usize,
    /// Columns of a strip with padding: a multiple of [`GRAIN`].
    pub span: usize,
    /// First part of [`key_range`](crate::blocks::keys::key_range), one layer per key plane.
    pub low: Aligned<i32>,
    /// Second part of [`key_range`](crate::blocks::keys::key_range), one layer per key plane.
    pub least: Aligned<i32>,
    /// Bound of S.
    pub bound_s: Aligned<f32>,
    /// Bound of T.
    pub bound_t: Aligned<f32>,
    /// Sum of weights.
    pub weight: Aligned<f32>,
    /// Sum of weighted proposals.
    pub value: Aligned<f32>,
    /// Number of candidates, when [`Tests::count`].
    pub count: Aligned<f32>,
}

/// The window and its tests.
#[derive(Debug, Clone)]
pub struct Tests {
    /// Half window: the window has `2 * half + 1` rows and columns.
    pub half: usize,
    /// Whether a candidate must pass both bounds instead of one.
    pub strict: bool,
    /// Whether candidates are counted.
    pub count: bool,
    /// 1 / D, `(2 * half + 1)²` values in window order.
    pub inverse_distance: Vec<f32>,
}

/// One row of samples for `R` output rows.
#[derive(Clone, Copy)]
struct RowJob<'a> {
    samples: &'a Samples,
    tests: &'a Tests,
    /// First output row.
    row: usize,
    /// Sample row.
    sample_row: usize,
}

/// Adds one sample row to `R` output rows, `C` (1 or 2) output columns at once.
///
/// # Safety
/// The buffers must have the sizes that [`check`] asks for, and the sample row must lie in the window of all `R` output rows.
#[inline(always)]
unsafe fn add_row<X: Simd, const R: usize, const C: usize, const STRICT: bool, const GENERAL: bool>(
    x: X,
    job: RowJob<'_>,
    out: &mut Outputs,
) {
    let RowJob { samples, tests, row, sample_row } = job;
    let side = 2 * tests.half + 1;
    let out_span = out.span * X::WIDTH;
    let layer = out.rows * out_span;
    let planes = if GENERAL { samples.planes } else { PLANES };
    let one = x.splat(1.0);
    // SAFETY: by the contract of this function every pointer below stays inside its buffer: sample columns run to
    // out.span + 2 * half, which `check` compared with samples.span.
    unsafe {
        let line = samples.data.as_ptr().add(sample_row * samples.span * planes * X::WIDTH);
        let mut distance = [tests.inverse_distance.as_ptr(); R];
        for (i, d) in distance.iter_mut().enumerate() {
            *d = d.add((sample_row - row - i) * side);
        }
        for col in (0..out.span).step_by(C) {
            let first = row * out_span + col * X::WIDTH;
            let (low, least) = (out.low.as_ptr().add(first), out.least.as_ptr().add(first));
            let (bound_s, bound_t) = (out.bound_s.as_ptr().add(first), out.bound_t.as_ptr().add(first));
            let zero = [[x.splat(0.0); C]; R];
            let (mut weight, mut value, mut count) = (zero, zero, zero);
            // sample column `q` of the window of the first output column meets output columns `j`
            macro_rules! meet {
                ($q:expr, $($j:literal)+) => {{
                    let sample = line.add((col + $q) * planes * X::WIDTH);
                    let plane = |p: usize| x.load(sample.add(p * X::WIDTH).cast());
                    let k = x.load_int(sample.add(KEY * X::WIDTH));
                    let (s, t, a, b, v) = (plane(S), plane(T), plane(A), plane(B), plane(V));
                    for i in 0..R {
                        $(
                            let o = i * out_span + $j * X::WIDTH;
                            let mut keep = x.wrapped_more(k, x.load_int(low.add(o)), x.load_int(least.add(o)));
                            if GENERAL {
                                for p in PLANES..planes {
                                    let more = x.load_int(sample.add(p * X::WIDTH));
                                    let o = (p - PLANES + 1) * layer + o;
                                    keep = x.and_wrapped_more(keep, more, x.load_int(low.add(o)), x.load_int(least.add(o)));
                                }
                            }
                            let (bs, bt) = (x.load(bound_s.add(o)), x.load(bound_t.add(o)));
                            keep = if STRICT {
                                x.and_less(x.and_less(keep, s, bs), t, bt)
                            } else {
                                x.and_either_less(keep, s, bs, t, bt)
                            };
                            let w = x.mul_add_where(keep, a, x.splat(*distance[i].add($q - $j)), b);
                            weight[i][$j] = x.add(weight[i][$j], w);
                            value[i][$j] = x.mul_add(w, v, value[i][$j]);
                            if GENERAL {
                                count[i][$j] = x.add(count[i][$j], x.keep_where(keep, one));
                            }
                        )+
                    }
                }};
            }
            if C == 1 {
                for q in 0..side {
                    meet!(q, 0);
                }
            } else {
                meet!(0, 0);
                for q in 1..side {
                    meet!(q, 0 1);
                }
                meet!(side, 1);
            }
            for i in 0..R {
                for j in 0..C {
                    let o = first + i * out_span + j * X::WIDTH;
                    let add = |total: *mut f32, more: X::V| x.store(total, x.add(x.load(total), more));
                    add(out.weight.as_mut_ptr().add(o), weight[i][j]);
                    add(out.value.as_mut_ptr().add(o), value[i][j]);
                    if GENERAL && tests.count {
                        add(out.count.as_mut_ptr().add(o), count[i][j]);
                    }
                }
            }
        }
    }
}

/// Panics unless the buffers fit each other and the window for vectors of `lanes`; every pointer of [`add_row`] stays inside them then.
fn check(lanes: usize, samples: &Samples, tests: &Tests, out: &Outputs) {
    let side = 2 * tests.half + 1;
    let layer = out.rows * out.span * lanes;
    let rows = out.rows + 2 * tests.half;
    assert!(out.span.is_multiple_of(GRAIN), "output columns are padded to the register tile");
    assert!(samples.span >= out.span + 2 * tests.half, "sample columns have a rim");
    assert!(samples.planes >= PLANES, "every sample has the common planes");
    assert!(samples.data.len() >= rows * samples.span * samples.planes * lanes, "sample rows have a rim");
    assert!(tests.inverse_distance.len() >= side * side, "every offset of the window has a distance");
    assert!(
        [&out.low, &out.least].iter().all(|v| v.len() >= (1 + samples.planes - PLANES) * layer),
        "every key plane has a range"
    );
    assert!([&out.bound_s, &out.bound_t, &out.weight, &out.value].iter().all(|v| v.len() >= layer), "output layers are complete");
    assert!(!tests.count || out.count.len() >= layer, "candidates that are counted have a layer");
}

/// Adds all sample rows, in their order, to output rows `row` and the `R - 1` that follow, as far as there are such.
///
/// # Safety
/// As [`add_row`].
#[inline(always)]
unsafe fn add_rows<X: Simd, const R: usize, const C: usize, const STRICT: bool, const GENERAL: bool>(
    x: X,
    samples: &Samples,
    tests: &Tests,
    row: usize,
    out: &mut Outputs,
) {
    let rows = R.min(out.rows - row);
    for sample_row in row.max(samples.rows.start)..(row + rows + 2 * tests.half).min(samples.rows.end) {
        let first = sample_row.saturating_sub(2 * tests.half).max(row);
        let last = sample_row.min(row + rows - 1);
        // SAFETY: passed on from the caller; the sample row is in the window of output rows first..=last.
        unsafe {
            if last + 1 - first == R {
                add_row::<X, R, C, STRICT, GENERAL>(x, RowJob { samples, tests, row, sample_row }, out);
            } else {
                for row in first..=last {
                    add_row::<X, 1, C, STRICT, GENERAL>(x, RowJob { samples, tests, row, sample_row }, out);
                }
            }
        }
    }
}

/// [`add_rows`] of the kind that the tests ask for.
///
/// # Safety
/// As [`add_row`].
#[inline(always)]
unsafe fn add_rows_as<X: Simd, const R: usize, const C: usize>(
    x: X,
    samples: &Samples,
    tests: &Tests,
    row: usize,
    out: &mut Outputs,
) {
    let general = tests.count || samples.planes > PLANES;
    // SAFETY: passed on from the caller.
    unsafe {
        match (tests.strict, general) {
            (false, false) => add_rows::<X, R, C, false, false>(x, samples, tests, row, out),
            (true, false) => add_rows::<X, R, C, true, false>(x, samples, tests, row, out),
            (false, true) => add_rows::<X, R, 1, false, true>(x, samples, tests, row, out),
            (true, true) => add_rows::<X, R, 1, true, true>(x, samples, tests, row, out),
        }
    }
}

const BASELINE: (usize, usize) = (1, 2);
const AVX2: (usize, usize) = (2, 1);
const AVX512: (usize, usize) = (2, 2);

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn add_rows_avx2(samples: &Samples, tests: &Tests, row: usize, out: &mut Outputs) {
    // SAFETY: this function needs AVX2 and FMA itself; the rest is passed on from the caller.
    unsafe { add_rows_as::<_, { AVX2.0 }, { AVX2.1 }>(crate::blocks::simd::Avx2::new(), samples, tests, row, out) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn add_rows_avx512(samples: &Samples, tests: &Tests, row: usize, out: &mut Outputs) {
    // SAFETY: this function needs AVX-512F itself; the rest is passed on from the caller.
    unsafe { add_rows_as::<_, { AVX512.0 }, { AVX512.1 }>(crate::blocks::simd::Avx512::new(), samples, tests, row, out) }
}

/// Adds all candidates of one pair to the totals of a block. `path` must be available.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn add_pair(path: Path, samples: &Samples, tests: &Tests, out: &mut Outputs, cancel: &Cancel) -> Result<()> {
    check(path.lanes(), samples, tests, out);
    assert!(path.is_available(), "the path was clamped to what the processor has");
    let shared_rows = match path {
        Path::Baseline => BASELINE.0,
        Path::Avx2 => AVX2.0,
        Path::Avx512 => AVX512.0,
    };
    for row in (0..out.rows).step_by(shared_rows) {
        cancel.check()?;
        // SAFETY: `check` passed, and the processor has the instructions of the path.
        unsafe {
            match path {
                #[cfg(target_arch = "x86_64")]
                Path::Avx2 => add_rows_avx2(samples, tests, row, out),
                #[cfg(target_arch = "x86_64")]
                Path::Avx512 => add_rows_avx512(samples, tests, row, out),
                _ => add_rows_as::<_, { BASELINE.0 }, { BASELINE.1 }>(Baseline, samples, tests, row, out),
            }
        }
    }
    Ok(())
}
