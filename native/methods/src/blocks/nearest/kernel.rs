//! Keys of a row of output pixels over a stretch of window positions, and those of them that may be among the smallest.
//!
//! One call takes `V` vectors of neighbouring output pixels and goes through the positions `G` at a time:
//!
//! ```text
//! for each G positions
//!   for each plane                                  centre, factor, tolerance: loaded once for the G positions
//!     d = sample − centre                           V x G independent chains in registers
//!     keep = keep and |d| < tolerance
//!     key += |d| or d², times factor
//!   key = (key + added) * position's factor
//!   where keep and key < bound: note position, keys and lanes
//! ```
//! The note is written always, and kept only when some lane passed, so nothing is branched on; bounds are those of the beginning of
//! the stretch, and whoever reads the notes compares again. A sample that is `NaN` makes its key `NaN`, which passes no comparison.
//!
//! Every multiplication and addition is rounded for itself, in this order, on every path.

use crate::blocks::simd::Simd;

/// Vectors of output pixels at once.
pub const V: usize = 2;
/// Positions at once.
pub const G: usize = 2;
/// Most positions of a stretch, a multiple of [`G`].
pub const STRETCH: usize = 64;
/// Lanes of the widest vector.
pub const LANES: usize = 16;

/// What one vector of output pixels noted over a stretch.
#[derive(Debug, Clone)]
pub struct Notes {
    /// Number of notes.
    pub len: usize,
    /// Position of each note.
    pub positions: [u32; STRETCH + 1],
    /// Bit l: lane l passed.
    pub passed: [u32; STRETCH + 1],
    /// Keys, as many a note as a vector has lanes.
    pub keys: [f32; (STRETCH + 1) * LANES],
}

impl Notes {
    /// None.
    pub const fn new() -> Self {
        Notes { len: 0, positions: [0; STRETCH + 1], passed: [0; STRETCH + 1], keys: [0.0; (STRETCH + 1) * LANES] }
    }
}

/// Where the kernel reads.
#[derive(Debug, Clone, Copy)]
pub struct Sources {
    /// The first plane's sample in the upper-left corner of the window of the first output pixel.
    pub corner: *const f32,
    /// From a plane to the next one.
    pub plane_step: usize,
    /// Number of planes.
    pub planes: usize,
    /// First plane's value at the first output pixel.
    pub centres: *const f32,
    /// The same of factors, if `FACTOR`.
    pub factors: *const f32,
    /// The same of tolerances, if `TOLERANCE`.
    pub tolerances: *const f32,
    /// From a plane to the next one in the three above.
    pub centre_step: usize,
}

/// The window.
#[derive(Debug, Clone, Copy)]
pub struct Sweep<'a> {
    /// From the corner to every position, padded to a multiple of [`G`].
    pub steps: &'a [usize],
    /// Factor of the key at every position, padded likewise.
    pub position_factors: Option<&'a [f32]>,
    /// Added to every key before that.
    pub added: f32,
}

/// Notes the positions `from..to` (multiples of [`G`]) whose keys are below `bounds`, of `V` vectors of output pixels.
///
/// # Safety
/// `to` must not exceed `sweep.steps.len()` nor `from + STRETCH`; samples must be readable at every step and plane, centres (and factors,
/// tolerances as far as they are used) at every plane, for all `V * WIDTH` output pixels; there are as many bounds.
#[inline(always)]
pub unsafe fn scan<X: Simd, const SQUARED: bool, const FACTOR: bool, const TOLERANCE: bool>(
    x: X,
    sources: Sources,
    sweep: Sweep<'_>,
    (from, to): (usize, usize),
    bounds: *const f32,
    notes: &mut [Notes; V],
) {
    let (ps, cs) = (sources.plane_step, sources.centre_step);
    // SAFETY: by the contract of this function; a stretch makes at most `STRETCH` notes, and one more is written over.
    unsafe {
        let bound: [X::V; V] = std::array::from_fn(|v| x.load(bounds.add(v * X::WIDTH)));
        let mut len = [0; V];
        for position in (from..to).step_by(G) {
            let sample: [*const f32; G] = std::array::from_fn(|g| sources.corner.add(*sweep.steps.get_unchecked(position + g)));
            let mut key = [[x.splat(0.0); V]; G];
            let mut keep = [[x.every(); V]; G];
            for p in 0..sources.planes {
                let of = |first: *const f32, v: usize| x.load(first.add(p * cs + v * X::WIDTH));
                for v in 0..V {
                    let centre = of(sources.centres, v);
                    for g in 0..G {
                        let d = x.sub(x.load(sample[g].add(p * ps + v * X::WIDTH)), centre);
                        if TOLERANCE {
                            keep[g][v] = x.and_less(keep[g][v], x.abs(d), of(sources.tolerances, v));
                        }
                        let more = if SQUARED { x.mul(d, d) } else { x.abs(d) };
                        let more = if FACTOR { x.mul(more, of(sources.factors, v)) } else { more };
                        key[g][v] = x.add(key[g][v], more);
                    }
                }
            }
            for g in 0..G {
                for v in 0..V {
                    if let Some(factors) = sweep.position_factors {
                        let factor = x.splat(*factors.get_unchecked(position + g));
                        key[g][v] = x.mul(x.add(key[g][v], x.splat(sweep.added)), factor);
                    }
                    let passed = x.bits(x.and_less(keep[g][v], key[g][v], bound[v]));
                    let notes = &mut notes[v];
                    x.store(notes.keys.as_mut_ptr().add(len[v] * X::WIDTH), key[g][v]);
                    *notes.positions.get_unchecked_mut(len[v]) = (position + g) as u32;
                    *notes.passed.get_unchecked_mut(len[v]) = passed;
                    len[v] += usize::from(passed != 0);
                }
            }
        }
        for v in 0..V {
            notes[v].len = len[v];
        }
    }
}
