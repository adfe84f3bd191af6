//! The most similar pixels of the window of every pixel: those with the smallest keys.
//!
//! ```text
//! key(y) = (Σ_p factor_p(x) · |f_p(y) − f_p(x)|  + added) · factor(y − x)       or with squared differences
//! y may be chosen where |f_p(y) − f_p(x)| is within the tolerance of every plane p
//! ```
//! for an output pixel x and the pixels y of its window, which ends at the borders of the planes. A plane is one band of one image;
//! factors and tolerances are numbers, or planes that are read at x. Pixels with a `NaN` in one of the planes, or with an infinite key, are
//! never chosen; around an output pixel that has a `NaN` itself none is.
//!
//! The choice is exact: keys are `f32`, planes are added in their order from zero, every operation is rounded for itself, and equal keys are told
//! apart by their positions in the [`Window`]: by distance, then row, then column. So it depends on the planes alone, not on the processor, the tile or the thread.
//!
//! How it is found ([`kernel`]): for some vectors of neighbouring output pixels at once, window positions are swept from the centre outwards;
//! keys below the largest one chosen so far go into sorted lists. About n (1 + ln(N / n)) of N positions get that far when n are
//! wanted, so sorting is the smaller part.

pub mod cuda;
pub mod kernel;
mod means;
mod sample;
mod window;

use stfusion_core::{Cancel, Region, Result};

use self::kernel::{Lists, Notes, Sources, Sweep, LANES, V};
use crate::blocks::aligned::Aligned;
use crate::blocks::simd::{Baseline, Path, Simd};

pub use means::weighted_means;
pub use sample::Sample;
pub use window::Window;

/// Columns of a block of output pixels: with the rim of a usual window, six planes of it fit into the second-level cache.
const BLOCK_COLS: usize = 128;
/// The same, padded to whole groups of vectors.
const PADDED_COLS: usize = BLOCK_COLS.next_multiple_of(V * LANES);
/// Rows of a block.
const BLOCK_ROWS: usize = 64;

/// Floats of a row of one plane of a block with its rim.
fn width(half: usize) -> usize {
    PADDED_COLS + (2 * half).next_multiple_of(LANES)
}

/// How differences count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// By their magnitude.
    Absolute,
    /// By their square.
    Squared,
}

/// A number for all output pixels, or one for each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Term<'a> {
    /// The same everywhere.
    Constant(f32),
    /// Read at the output pixel, in a plane like the others.
    PerPixel(&'a [f32]),
}

/// How far a pixel may be from the output pixel in one plane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance<'a> {
    /// |d| < tolerance.
    Below(Term<'a>),
    /// |d| ≤ tolerance.
    UpTo(Term<'a>),
}

/// A plane by which pixels are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plane<'a> {
    /// Its values, row by row; `NaN` is invalid.
    pub values: &'a [f32],
    /// Factor of the difference (or of its square).
    pub factor: Option<Term<'a>>,
    /// Largest difference of a pixel that may be chosen.
    pub tolerance: Option<Tolerance<'a>>,
}

impl<'a> Plane<'a> {
    /// A plane whose differences count as they are, whatever their size.
    pub fn plain(values: &'a [f32]) -> Self {
        Plane { values, factor: None, tolerance: None }
    }
}

/// The planes of a tile.
#[derive(Debug, Clone)]
pub struct Planes<'a> {
    /// Rows of every plane.
    pub rows: usize,
    /// Columns of every plane.
    pub cols: usize,
    /// Planes by which pixels are compared, in the order in which their differences are added; at least one.
    pub compared: Vec<Plane<'a>>,
    /// Planes in which a chosen pixel must be valid as well; the output pixel need not.
    pub required: Vec<&'a [f32]>,
}

/// What every key goes through last: `(key + added) * factors[position]`.
#[derive(Debug, Clone, PartialEq)]
pub struct DistanceLaw {
    /// Added to the sum over the planes.
    pub added: f32,
    /// Factor of every position of the window, not negative ([`Window::table`]).
    pub factors: Vec<f32>,
}

/// The chosen pixels of a run of output pixels in one row.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// Row of the output pixels in the planes.
    pub row: usize,
    /// Column of the first one.
    pub col: usize,
    counts: &'a [u32],
    samples: &'a [Sample],
    most: usize,
}

impl<'a> Chosen<'a> {
    /// (Column, chosen pixels) of every output pixel; the chosen ones by ascending key.
    pub fn iter(self) -> impl Iterator<Item = (usize, &'a [Sample])> {
        let lists = self.samples.chunks_exact(self.most);
        self.counts.iter().zip(lists).enumerate().map(move |(i, (&n, list))| (self.col + i, &list[..n as usize]))
    }
}

/// A search for the most similar pixels. See the [module](self).
#[derive(Debug, Clone)]
pub struct Search {
    window: Window,
    most: usize,
    norm: Norm,
    law: Option<DistanceLaw>,
    path: Path,
}

impl Search {
    /// For up to `most` (at least one) pixels of `window`.
    pub fn new(window: Window, most: usize, norm: Norm, path: Path) -> Self {
        assert!(most > 0, "at least one pixel is chosen");
        assert!(path.is_available(), "the path was clamped to what the processor has");
        Search { window, most, norm, law: None, path }
    }

    /// With a law for the distance.
    #[must_use]
    pub fn with_law(mut self, law: DistanceLaw) -> Self {
        assert_eq!(law.factors.len(), self.window.offsets().len(), "every position of the window has a factor");
        self.law = Some(law);
        self
    }

    /// The window.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Bytes of the buffers of a search over `planes` planes.
    pub fn bytes(&self, planes: usize) -> usize {
        let rimmed = (BLOCK_ROWS + 2 * self.window.half()) * width(self.window.half()) * planes;
        let lists = (PADDED_COLS + V * LANES) * self.most * size_of::<Sample>();
        4 * rimmed + 12 * PADDED_COLS * planes + lists + 8 * self.window.offsets().len() + size_of::<Notes>()
    }

    /// Calls `of` with the chosen pixels of every output pixel of `region` (in pixels of the planes), some of a row at a time.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Cancelled`].
    pub fn each(&self, planes: &Planes<'_>, region: Region, cancel: &Cancel, mut of: impl FnMut(Chosen<'_>)) -> Result<()> {
        check(planes, region);
        let mut block = Block::new(self, planes);
        for part in region.blocks(BLOCK_ROWS, BLOCK_COLS) {
            cancel.check()?;
            block.load(planes, part);
            for row in 0..part.rows {
                cancel.check()?;
                block.set_centres(planes, row);
                block.choose(self, row);
                of(Chosen {
                    row: part.row + row,
                    col: part.col,
                    counts: &block.counts[..part.cols],
                    samples: &block.samples[..part.cols * self.most],
                    most: self.most,
                });
            }
        }
        Ok(())
    }
}

/// Panics unless every plane has its size and the region lies within them.
fn check(planes: &Planes<'_>, region: Region) {
    let pixels = planes.rows * planes.cols;
    assert!(!planes.compared.is_empty(), "pixels are compared by something");
    assert!(
        region.row + region.rows <= planes.rows && region.col + region.cols <= planes.cols,
        "output pixels lie in the planes"
    );
    let terms = planes.compared.iter().flat_map(|p| [p.factor, p.tolerance.map(Tolerance::term)]).flatten();
    let per_pixel = terms.filter_map(|t| if let Term::PerPixel(values) = t { Some(values) } else { None });
    let all = planes.compared.iter().map(|p| p.values).chain(planes.required.iter().copied()).chain(per_pixel);
    assert!(all.into_iter().all(|plane| plane.len() == pixels), "every plane has rows x cols values");
}

impl<'a> Tolerance<'a> {
    fn term(self) -> Term<'a> {
        match self {
            Tolerance::Below(term) | Tolerance::UpTo(term) => term,
        }
    }

    /// Fills `to` with numbers that the allowed differences are below.
    fn fill(self, first: usize, to: &mut [f32]) {
        self.term().fill(first, to);
        if let Tolerance::UpTo(_) = self {
            to.iter_mut().for_each(|t| *t = t.next_up());
        }
    }
}

impl Term<'_> {
    /// Fills `to` with the numbers of the pixels `first`...
    fn fill(self, first: usize, to: &mut [f32]) {
        match self {
            Term::Constant(value) => to.fill(value),
            Term::PerPixel(values) => to.copy_from_slice(&values[first..first + to.len()]),
        }
    }
}

/// Samples of a block of output pixels and its rim, and the lists of one of its rows.
#[derive(Debug)]
struct Block {
    region: Region,
    half: usize,
    planes: usize,
    /// Floats of a row of one plane.
    width: usize,
    /// Plane p of row r starts at `(r * planes + p) * width`; outside the planes everything is `NaN`.
    values: Aligned<f32>,
    /// Plane p starts at `p * PADDED_COLS`, and so in the next two.
    centres: Aligned<f32>,
    factors: Aligned<f32>,
    tolerances: Aligned<f32>,
    has_factors: bool,
    has_tolerances: bool,
    steps: Vec<usize>,
    lists: Lists,
    notes: Box<Notes>,
    counts: Vec<u32>,
    samples: Vec<Sample>,
}

impl Block {
    fn new(search: &Search, planes: &Planes<'_>) -> Self {
        let half = search.window.half();
        let width = width(half);
        let count = planes.compared.len();
        let h = half as isize;
        let step = |&(dy, dx): &(isize, isize)| (dy + h) as usize * count * width + (dx + h) as usize;
        let mut block = Block {
            region: Region::new(0, 0, 0, 0),
            half,
            planes: count,
            width,
            values: Aligned::new(),
            centres: Aligned::new(),
            factors: Aligned::new(),
            tolerances: Aligned::new(),
            has_factors: planes.compared.iter().any(|p| p.factor.is_some()),
            has_tolerances: planes.compared.iter().any(|p| p.tolerance.is_some()),
            steps: search.window.offsets().iter().map(step).collect(),
            lists: Lists::new(search.most),
            notes: Box::new(Notes::default()),
            counts: vec![0; PADDED_COLS],
            samples: vec![Sample::default(); PADDED_COLS * search.most],
        };
        block.values.set((BLOCK_ROWS + 2 * half) * count * width, f32::NAN);
        block.centres.set(count * PADDED_COLS, f32::NAN);
        block.factors.set(if block.has_factors { count * PADDED_COLS } else { 0 }, 1.0);
        block.tolerances.set(if block.has_tolerances { count * PADDED_COLS } else { 0 }, f32::INFINITY);
        block
    }

    /// Reads the samples that the output pixels of `region` need.
    fn load(&mut self, planes: &Planes<'_>, region: Region) {
        self.region = region;
        self.values.fill(f32::NAN);
        self.centres.fill(f32::NAN);
        let given = region.grown(self.half, planes.rows, planes.cols);
        let (top, left) = (given.row + self.half - region.row, given.col + self.half - region.col);
        for row in 0..given.rows {
            let from = (given.row + row) * planes.cols + given.col;
            let line = &mut self.values[(top + row) * self.planes * self.width..][..self.planes * self.width];
            for (plane, to) in planes.compared.iter().zip(line.chunks_exact_mut(self.width)) {
                to[left..left + given.cols].copy_from_slice(&plane.values[from..from + given.cols]);
            }
            for plane in &planes.required {
                for (to, value) in line[left..].iter_mut().zip(&plane[from..from + given.cols]) {
                    *to = if value.is_nan() { f32::NAN } else { *to };
                }
            }
        }
    }

    /// Reads what the output pixels of a row bring along.
    fn set_centres(&mut self, planes: &Planes<'_>, row: usize) {
        let first = (self.region.row + row) * planes.cols + self.region.col;
        let cols = self.region.cols;
        for (p, plane) in planes.compared.iter().enumerate() {
            let place = p * PADDED_COLS..p * PADDED_COLS + cols;
            self.centres[place.clone()].copy_from_slice(&plane.values[first..first + cols]);
            if let Some(factor) = plane.factor {
                factor.fill(first, &mut self.factors[place.clone()]);
            }
            if let Some(tolerance) = plane.tolerance {
                tolerance.fill(first, &mut self.tolerances[place]);
            }
        }
    }

    /// Makes the lists of a row.
    fn choose(&mut self, search: &Search, row: usize) {
        // SAFETY: the buffers were made in `new` for blocks of the largest size, and the processor has the instructions of the path.
        unsafe {
            match search.path {
                #[cfg(target_arch = "x86_64")]
                Path::Avx2 => choose_avx2(self, search, row),
                #[cfg(target_arch = "x86_64")]
                Path::Avx512 => choose_avx512(self, search, row),
                _ => choose_with(Baseline, self, search, row),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn choose_avx2(block: &mut Block, search: &Search, row: usize) {
    // SAFETY: this function needs AVX2 and FMA itself; the rest is passed on from the caller.
    unsafe { choose_with(crate::blocks::simd::Avx2::new(), block, search, row) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn choose_avx512(block: &mut Block, search: &Search, row: usize) {
    // SAFETY: this function needs AVX-512F itself; the rest is passed on from the caller.
    unsafe { choose_with(crate::blocks::simd::Avx512::new(), block, search, row) }
}

/// Makes the lists of a row, with the kernel that the planes ask for.
///
/// # Safety
/// The buffers of `block` must be those of [`Block::new`].
#[inline(always)]
unsafe fn choose_with<X: Simd>(x: X, block: &mut Block, search: &Search, row: usize) {
    // SAFETY: passed on from the caller.
    unsafe {
        match (search.norm, block.has_factors, block.has_tolerances) {
            (Norm::Absolute, false, false) => choose_as::<X, false, false, false>(x, block, search, row),
            (Norm::Absolute, false, true) => choose_as::<X, false, false, true>(x, block, search, row),
            (Norm::Absolute, true, false) => choose_as::<X, false, true, false>(x, block, search, row),
            (Norm::Absolute, true, true) => choose_as::<X, false, true, true>(x, block, search, row),
            (Norm::Squared, false, false) => choose_as::<X, true, false, false>(x, block, search, row),
            (Norm::Squared, false, true) => choose_as::<X, true, false, true>(x, block, search, row),
            (Norm::Squared, true, false) => choose_as::<X, true, true, false>(x, block, search, row),
            (Norm::Squared, true, true) => choose_as::<X, true, true, true>(x, block, search, row),
        }
    }
}

/// Makes the lists of a row.
///
/// # Safety
/// As [`choose_with`].
#[inline(always)]
unsafe fn choose_as<X: Simd, const SQUARED: bool, const FACTOR: bool, const TOLERANCE: bool>(
    x: X,
    block: &mut Block,
    search: &Search,
    row: usize,
) {
    let sweep = Sweep {
        steps: &block.steps,
        position_factors: search.law.as_ref().map(|law| &law.factors[..]),
        added: search.law.as_ref().map_or(0.0, |law| law.added),
    };
    let group = V * X::WIDTH;
    for col in (0..block.region.cols).step_by(group) {
        let sources = Sources {
            corner: block.values[row * block.planes * block.width + col..].as_ptr(),
            plane_step: block.width,
            planes: block.planes,
            centres: block.centres[col..].as_ptr(),
            factors: block.factors.as_ptr().wrapping_add(col),
            tolerances: block.tolerances.as_ptr().wrapping_add(col),
            centre_step: PADDED_COLS,
        };
        // SAFETY: `Block::new` made rows and columns of values for the windows of all output pixels of a block padded to whole groups, and
        // centres, factors and tolerances for these pixels; `with_law` compared the number of position factors with the window.
        unsafe { block.lists.fill::<X, SQUARED, FACTOR, TOLERANCE>(x, sources, sweep, &mut block.notes) };
        let samples = &mut block.samples[col * search.most..(col + group) * search.most];
        block.lists.copy_to(X::WIDTH, samples, &mut block.counts[col..col + group]);
    }
}

#[cfg(test)]
mod tests;
