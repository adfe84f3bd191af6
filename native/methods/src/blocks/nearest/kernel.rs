//! The window loop of the search, for `V` vectors of neighbouring output pixels at once.
//!
//! ```text
//! for each stretch of window positions, from the centre outwards
//!   for each position                                                [`scan`]: registers, nothing branched on
//!     for each plane, each vector
//!       d = sample − centre;  keep = keep and |d| < tolerance;  key += (|d| or d²) · factor
//!     key = (key + added) · position's factor, ∞ where not kept
//!     each vector: store key; note the position; keep the note if a lane's key < bound
//!   for each vector, each of its notes                               [`Lists::put`]
//!     insert the key into the sorted lists of all lanes
//! ```
//! The bound of a lane is the last key of its full list; it is looked at anew for each stretch, so that a note can be in vain. A list is a
//! column of vectors: inserting moves, in every lane, what is greater than the new key down by one. A lane whose list ends
//! below the new key, or whose new key is `NaN` or infinite, keeps its list. Equal keys stay in the order of their positions.
//!
//! Every multiplication and addition of a key is rounded for itself, in one order, on every path.

use super::Sample;
use crate::blocks::aligned::Aligned;
use crate::blocks::simd::Simd;

/// Vectors of output pixels at once.
pub const V: usize = 4;
/// Most positions of a stretch.
pub const STRETCH: usize = 64;
/// Lanes of the widest vector.
pub const LANES: usize = 16;

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
    /// From the corner to every position.
    pub steps: &'a [usize],
    /// Factor of the key at every position.
    pub position_factors: Option<&'a [f32]>,
    /// Added to every key before that.
    pub added: f32,
}

/// Keys of a stretch, and which positions to look at.
#[derive(Debug, Clone)]
pub struct Notes {
    /// Vector v of the i-th position of the stretch starts at `(i * V + v) * WIDTH`.
    keys: [f32; STRETCH * V * LANES],
    /// For each vector, places in the stretch; one more is written over.
    places: [[u32; STRETCH + 1]; V],
    /// For each vector, their number.
    len: [usize; V],
}

impl Default for Notes {
    fn default() -> Self {
        Notes { keys: [0.0; STRETCH * V * LANES], places: [[0; STRETCH + 1]; V], len: [0; V] }
    }
}

/// Notes the positions `from..to` with a key below a bound.
///
/// # Safety
/// `to` must not exceed `sweep.steps.len()` (nor that of the factors) nor `from + STRETCH`; samples must be readable at every step and plane, centres
/// (and factors, tolerances as far as they are used) at every plane, for all `V * WIDTH` output pixels.
#[inline(always)]
unsafe fn scan<X: Simd, const SQUARED: bool, const FACTOR: bool, const TOLERANCE: bool>(
    x: X,
    sources: Sources,
    sweep: Sweep<'_>,
    (from, to): (usize, usize),
    bounds: [X::V; V],
    notes: &mut Notes,
) {
    let (ps, cs) = (sources.plane_step, sources.centre_step);
    let mut len = [0; V];
    // SAFETY: by the contract of this function; a vector makes at most one note for each of at most `STRETCH` positions.
    unsafe {
        for place in 0..to - from {
            let sample = sources.corner.add(*sweep.steps.get_unchecked(from + place));
            let mut key = [x.splat(0.0); V];
            let mut keep = [x.every(); V];
            for p in 0..sources.planes {
                let of = |first: *const f32, v: usize| x.load(first.add(p * cs + v * X::WIDTH));
                for v in 0..V {
                    let d = x.sub(x.load(sample.add(p * ps + v * X::WIDTH)), of(sources.centres, v));
                    if TOLERANCE {
                        keep[v] = x.and_less(keep[v], x.abs(d), of(sources.tolerances, v));
                    }
                    let more = if SQUARED { x.mul(d, d) } else { x.abs(d) };
                    let more = if FACTOR { x.mul(more, of(sources.factors, v)) } else { more };
                    key[v] = x.add(key[v], more);
                }
            }
            if let Some(factors) = sweep.position_factors {
                let factor = x.splat(*factors.get_unchecked(from + place));
                for key in &mut key {
                    *key = x.mul(x.add(*key, x.splat(sweep.added)), factor);
                }
            }
            for v in 0..V {
                if TOLERANCE {
                    key[v] = x.select(keep[v], key[v], x.splat(f32::INFINITY));
                }
                x.store(notes.keys.as_mut_ptr().add((place * V + v) * X::WIDTH), key[v]);
                *notes.places[v].get_unchecked_mut(len[v]) = place as u32;
                len[v] += usize::from(x.bits(x.less(key[v], bounds[v])) != 0);
            }
        }
    }
    notes.len = len;
}

/// The sorted lists of `V` vectors of output pixels: keys and positions of the smallest keys so far.
#[derive(Debug, Default)]
pub struct Lists {
    most: usize,
    /// Vector j of vector v of output pixels starts at `(v * most + j) * WIDTH`.
    keys: Aligned<f32>,
    /// The bits of positions.
    positions: Aligned<f32>,
}

impl Lists {
    /// Room for lists of `most` (at least one) pixels.
    pub fn new(most: usize) -> Self {
        let mut lists = Lists { most, ..Lists::default() };
        lists.keys.set(V * most * LANES, f32::INFINITY);
        lists.positions.set(V * most * LANES, 0.0);
        lists
    }

    /// Fills the lists of `V * WIDTH` output pixels.
    ///
    /// # Safety
    /// Samples must be readable at every step of the sweep and at every plane, centres (and factors, tolerances as far as they are used) at
    /// every plane, for all these output pixels; position factors, if any, are as many as steps.
    #[inline(always)]
    pub unsafe fn fill<X: Simd, const SQUARED: bool, const FACTOR: bool, const TOLERANCE: bool>(
        &mut self,
        x: X,
        sources: Sources,
        sweep: Sweep<'_>,
        notes: &mut Notes,
    ) {
        self.keys.fill(f32::INFINITY);
        let mut bounds = [x.splat(f32::INFINITY); V];
        let mut from = 0;
        while from < sweep.steps.len() {
            let to = (from + stretch(from)).min(sweep.steps.len());
            // SAFETY: a stretch stays within the sweep; the rest is passed on from the caller.
            unsafe { scan::<X, SQUARED, FACTOR, TOLERANCE>(x, sources, sweep, (from, to), bounds, notes) };
            for (v, bound) in bounds.iter_mut().enumerate() {
                *bound = self.put(x, v, from, notes);
            }
            from = to;
        }
    }

    /// Inserts what vector `v` noted of the stretch that begins at position `from`, and returns its bounds.
    #[inline(always)]
    fn put<X: Simd>(&mut self, x: X, v: usize, from: usize, notes: &Notes) -> X::V {
        let place = v * self.most * X::WIDTH..(v + 1) * self.most * X::WIDTH;
        let keys = self.keys[place.clone()].as_mut_ptr();
        let positions = self.positions[place].as_mut_ptr();
        // SAFETY: a list has `most` vectors from there, and notes lie within the stretch.
        unsafe {
            for &noted in &notes.places[v][..notes.len[v]] {
                let key = x.load(notes.keys.as_ptr().add((noted as usize * V + v) * X::WIDTH));
                let position = x.splat(f32::from_bits((from + noted as usize) as u32));
                let mut below = x.load(keys.add((self.most - 1) * X::WIDTH));
                let mut below_position = x.load(positions.add((self.most - 1) * X::WIDTH));
                let mut smaller = x.less(key, below);
                let key = x.select(smaller, key, x.splat(f32::INFINITY));
                for j in (1..self.most).rev() {
                    let above = x.load(keys.add((j - 1) * X::WIDTH));
                    let above_position = x.load(positions.add((j - 1) * X::WIDTH));
                    let smaller_than_above = x.less(key, above);
                    x.store(keys.add(j * X::WIDTH), x.max(above, x.min(below, key)));
                    let here = x.select(smaller, position, below_position);
                    x.store(positions.add(j * X::WIDTH), x.select(smaller_than_above, above_position, here));
                    (below, below_position, smaller) = (above, above_position, smaller_than_above);
                }
                x.store(keys, x.min(below, key));
                x.store(positions, x.select(smaller, position, below_position));
            }
            x.load(keys.add((self.most - 1) * X::WIDTH))
        }
    }

    /// Copies the lists of vectors of `lanes`: to each output pixel `most` elements of `samples` and its number of chosen pixels.
    pub fn copy_to(&self, lanes: usize, samples: &mut [Sample], counts: &mut [u32]) {
        for (i, (to, count)) in samples.chunks_exact_mut(self.most).zip(counts).enumerate() {
            let (v, lane) = (i / lanes, i % lanes);
            let from = v * self.most * lanes + lane;
            let keys = self.keys[from..].iter().step_by(lanes);
            let positions = self.positions[from..].iter().step_by(lanes);
            *count = 0;
            for ((to, &key), position) in to.iter_mut().zip(keys).zip(positions) {
                *to = Sample::new(key, position.to_bits());
                *count += u32::from(key < f32::INFINITY);
            }
        }
    }
}

/// Positions of the stretch that begins at a position: few at first, when bounds fall fast.
#[inline(always)]
fn stretch(from: usize) -> usize {
    (from / 4).clamp(8, STRETCH)
}
