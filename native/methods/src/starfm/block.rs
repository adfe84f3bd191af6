//! A block of output pixels of one band: its planes, its bounds, and the prediction from its totals.
//!
//! Blocks are small enough for the second-level cache and need no memory that grows with the tile. See [`super::window`] for the layout.

use stfusion_core::{Cancel, Region, Result};

use super::lines::{self, Differences};
use super::parameters::ZeroDifference;
use super::rules::{Rules, WeightLaw};
use super::window::{self, Outputs, Samples, Tests, GRAIN, PLANES};
use crate::blocks::box_sums::{self, RimmedPlane};
use crate::blocks::keys;
use crate::blocks::simd::Path;
use crate::blocks::tile_images::{PairImages, TileImages};

/// Most rows of a block.
pub const ROWS: usize = 128;
/// Most columns of a strip.
pub const STRIP: usize = 64;

/// What a tolerance is made from: one number per pair and band, or the window around each pixel.
#[derive(Debug, Clone, PartialEq)]
pub enum Tolerances {
    /// `[pair][band]`.
    Image(Vec<Vec<f64>>),
    /// Means of the images, `[pair][band]`, near which window statistics are taken.
    Window(Vec<Vec<f64>>),
}

/// What decides on candidates and their weights.
#[derive(Debug, Clone, Copy)]
pub struct Criteria<'a> {
    /// The rules.
    pub rules: &'a Rules,
    /// The window and its tests.
    pub tests: &'a Tests,
    /// Tolerances of similarity.
    pub tolerances: &'a Tolerances,
}

/// A block and its buffers, used for one block after the other.
#[derive(Debug)]
pub struct Block {
    path: Path,
    lanes: usize,
    /// The block, in pixels of the tile's `region`.
    region: Region,
    samples: Samples,
    outputs: Outputs,
    /// A row of each plane before it is cut into strips.
    line: Vec<i32>,
    /// A row of the outputs' layers before it is cut.
    bounds_s: Vec<f32>,
    bounds_t: Vec<f32>,
    low: Vec<i32>,
    least: Vec<i32>,
    /// Values of a key plane over the block and its rim.
    rimmed: Vec<f32>,
    deviations: Vec<f64>,
    /// Candidates and valid samples of each pixel, for the support.
    pub valid: Vec<u32>,
}

/// Bytes of the buffers for blocks of the largest size.
pub fn bytes(half: usize, key_planes: usize, lanes: usize) -> usize {
    let (rows, span) = (ROWS + 2 * half, STRIP + GRAIN + 2 * half);
    let outputs = ROWS * (STRIP + GRAIN) * lanes;
    let rimmed = rows * (STRIP * lanes + 2 * half);
    4 * rows * span * lanes * (PLANES - 1 + key_planes) + 4 * outputs * (2 * key_planes + 5) + 8 * rimmed + 12 * outputs
}

/// The blocks of an output of `rows` x `cols` pixels, of about equal size.
pub fn blocks(path: Path, rows: usize, cols: usize) -> Vec<Region> {
    let even = |length: usize, most: usize| length.div_ceil(length.div_ceil(most).max(1)).max(1);
    Region::whole(rows, cols).blocks(even(rows, ROWS), even(cols, STRIP * path.lanes()))
}

impl Block {
    /// Buffers without content.
    pub fn new(path: Path) -> Self {
        Block {
            path,
            lanes: path.lanes(),
            region: Region::new(0, 0, 0, 0),
            samples: Samples::default(),
            outputs: Outputs::default(),
            line: Vec::new(),
            bounds_s: Vec::new(),
            bounds_t: Vec::new(),
            low: Vec::new(),
            least: Vec::new(),
            rimmed: Vec::new(),
            deviations: Vec::new(),
            valid: Vec::new(),
        }
    }

    /// Moves to another block: totals and counts are zero.
    fn start(&mut self, region: Region, key_planes: usize, count: bool) {
        let span = region.cols.div_ceil(self.lanes).next_multiple_of(GRAIN);
        let layer = region.rows * span * self.lanes;
        let out = &mut self.outputs;
        (out.rows, out.span) = (region.rows, span);
        out.weight.set(layer, 0.0);
        out.value.set(layer, 0.0);
        out.count.set(if count { layer } else { 0 }, 0.0);
        out.bound_s.set(layer, 0.0);
        out.bound_t.set(layer, 0.0);
        out.low.set_len(key_planes * layer, 0);
        out.least.set_len(key_planes * layer, i32::MAX);
        self.valid.clear();
        self.valid.resize(if count { region.pixels() } else { 0 }, 0);
        self.region = region;
    }

    /// Calls `of` with (row, column, position in the layers of the outputs) of every pixel of the block.
    pub fn each_pixel(&self, of: impl FnMut(usize, usize, usize)) {
        each_pixel(self.region, self.outputs.span, self.lanes, of);
    }

    /// Computes the totals of `band` over the block `region` (pixels of the tile's region).
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Cancelled`].
    pub fn accumulate(
        &mut self,
        images: &TileImages<'_, '_>,
        band: usize,
        region: Region,
        criteria: Criteria<'_>,
        cancel: &Cancel,
    ) -> Result<()> {
        let Criteria { rules, tests, .. } = criteria;
        self.start(region, rules.similarity_bands.len().max(1), tests.count);
        self.set_bounds(images, band, rules);
        for k in 0..images.pairs.len() {
            cancel.check()?;
            self.load_pair(images, band, k, rules);
            self.set_ranges(images, band, k, criteria, cancel)?;
            window::add_pair(self.path, &self.samples, tests, &mut self.outputs, cancel)?;
            if tests.count {
                self.count_valid(rules.half, cancel)?;
            }
        }
        Ok(())
    }

    /// Bounds of the filter (equations 13 and 14): the smallest or largest difference at the centre over the pairs, plus its uncertainty.
    fn set_bounds(&mut self, images: &TileImages<'_, '_>, band: usize, rules: &Rules) {
        let (r0, c0) = (images.tile.row_offset() + self.region.row, images.tile.col_offset() + self.region.col);
        let limits = lines::Limits { sigma: rules.uncertainty[band], largest: rules.largest_bound };
        let width = self.outputs.span * self.lanes;
        self.bounds_s.resize(width, 0.0);
        self.bounds_t.resize(width, 0.0);
        for row in 0..self.region.rows {
            let (bounds_s, bounds_t) = (&mut self.bounds_s[..self.region.cols], &mut self.bounds_t[..self.region.cols]);
            let range = images.at(band, r0 + row, c0)..images.at(band, r0 + row, c0) + self.region.cols;
            limits.start(bounds_s, bounds_t);
            for pair in &images.pairs {
                let values = lines::Values {
                    fine: &pair.fine[range.clone()],
                    coarse: &pair.coarse[range.clone()],
                    target: &images.target[range.clone()],
                };
                lines::meet_differences(self.path, values, limits, bounds_s, bounds_t);
            }
            lines::finish_bounds(self.path, limits, bounds_s, bounds_t);
            let place = row * width..(row + 1) * width;
            cut_into_strips(&self.bounds_s, width, self.outputs.span, self.lanes, &mut self.outputs.bound_s[place.clone()]);
            cut_into_strips(&self.bounds_t, width, self.outputs.span, self.lanes, &mut self.outputs.bound_t[place]);
        }
    }

    /// Fills the planes of pair `k`.
    fn load_pair(&mut self, images: &TileImages<'_, '_>, band: usize, k: usize, rules: &Rules) {
        let PairImages { fine, coarse, classes, .. } = images.pairs[k];
        let half = rules.half;
        let (rows, span) = (self.region.rows + 2 * half, self.outputs.span + 2 * half);
        let width = self.outputs.span * self.lanes + 2 * half;
        let bands: &[usize] = if classes.is_some() { &[] } else { &rules.similarity_bands };
        let key_planes = bands.len().max(1);
        let law = WeightLaw::new(rules, band);
        let padded = images.tile.padded;
        // column 0 of a line is column `left` of the padded tile, possibly outside it
        let top = (images.tile.row_offset() + self.region.row) as isize - half as isize;
        let left = (images.tile.col_offset() + self.region.col) as isize - half as isize;
        let first = left.max(0) as usize;
        let end = ((left + (self.region.cols + 2 * half) as isize).max(0) as usize).min(padded.cols);
        let inset = (first as isize - left) as usize;

        let planes = PLANES - 1 + key_planes;
        self.samples.span = span;
        self.samples.planes = planes;
        self.samples.data.set_len(rows * span * planes * self.lanes, 0);
        self.line.clear();
        self.line.resize(planes * width, 0);
        self.line[window::KEY * width..][..width].fill(keys::key(f32::NAN));
        // rows of the padded tile that the block and its rim have
        let end_row = (padded.rows as isize - top).clamp(0, rows as isize) as usize;
        let rows_inside = ((-top).max(0) as usize).min(end_row)..end_row;
        self.samples.rows = rows_inside.clone();
        self.rimmed.clear();
        self.rimmed.resize(rows * (self.region.cols + 2 * half), f32::NAN);

        let n = end.saturating_sub(first);
        for row in rows_inside {
            let source = (top + row as isize) as usize;
            let range = |b: usize| images.at(b, source, first)..images.at(b, source, first) + n;
            let values =
                lines::Values { fine: &fine[range(band)], coarse: &coarse[range(band)], target: &images.target[range(band)] };
            let similar = match (classes, bands) {
                (Some(map), _) => &map[range(0)],
                (None, [b, ..]) => &fine[range(*b)],
                (None, []) => values.fine,
            };
            let mut all = self.line.chunks_exact_mut(width).map(|line| &mut line[inset..inset + n]);
            let mut next = || all.next().unwrap_or_default();
            let planes_of_line = lines::Planes { key: next(), s: next(), t: next(), a: next(), b: next(), v: next() };
            let rimmed = &mut self.rimmed[row * (self.region.cols + 2 * half) + inset..][..n];
            lines::fill_planes(self.path, values, similar, &law, planes_of_line, rimmed);
            for (&b, keys) in bands.iter().skip(1).zip(all) {
                for (key, &value) in keys.iter_mut().zip(&fine[range(b)]) {
                    *key = keys::key(value);
                }
            }
            let to = &mut self.samples.data[row * span * planes * self.lanes..][..span * planes * self.lanes];
            cut_into_strips(&self.line, width, self.outputs.span, self.lanes, to);
        }
    }

    /// Sets the range of similar keys of every output pixel for pair `k`, whose planes are loaded.
    fn set_ranges(
        &mut self,
        images: &TileImages<'_, '_>,
        band: usize,
        k: usize,
        criteria: Criteria<'_>,
        cancel: &Cancel,
    ) -> Result<()> {
        let Criteria { rules, tolerances, .. } = criteria;
        let PairImages { fine, classes, .. } = images.pairs[k];
        let own = [band];
        let bands: &[usize] = if rules.similarity_bands.is_empty() { &own } else { &rules.similarity_bands };
        let bands = if classes.is_some() { &own } else { bands };
        let half = rules.half;
        let width = self.region.cols + 2 * half;
        let layer = self.outputs.rows * self.outputs.span * self.lanes;
        let (r0, c0) = (images.tile.row_offset() + self.region.row, images.tile.col_offset() + self.region.col);
        // columns beyond the last one have no range
        let out_width = self.outputs.span * self.lanes;
        self.low.clear();
        self.low.resize(out_width, 0);
        self.least.clear();
        self.least.resize(out_width, i32::MAX);
        for (plane, &b) in bands.iter().enumerate() {
            let tolerance = match (classes, tolerances) {
                (Some(_), _) => 0.5,
                (None, Tolerances::Image(all)) => all[k][b],
                (None, Tolerances::Window(_)) => 0.0,
            };
            let local = match (classes, tolerances) {
                (None, Tolerances::Window(means)) => Some(means[k][b]),
                _ => None,
            };
            if let Some(mean) = local {
                self.window_deviations(images, b, fine, half, mean, cancel)?;
            }
            let cols = self.region.cols;
            for row in 0..self.region.rows {
                let centres = if plane == 0 {
                    &self.rimmed[(row + half) * width + half..][..cols]
                } else {
                    &fine[images.at(b, r0 + row, c0)..][..cols]
                };
                let (low, least) = (&mut self.low[..cols], &mut self.least[..cols]);
                if local.is_some() {
                    let deviations = &self.deviations[row * cols..][..cols];
                    for (i, (&centre, deviation)) in centres.iter().zip(deviations).enumerate() {
                        (low[i], least[i]) = keys::key_range(centre, 2.0 * deviation / rules.classes);
                    }
                } else {
                    lines::key_ranges(self.path, centres, tolerance, low, least);
                }
                let place = plane * layer + row * out_width..plane * layer + (row + 1) * out_width;
                cut_into_strips(&self.low, out_width, self.outputs.span, self.lanes, &mut self.outputs.low[place.clone()]);
                cut_into_strips(&self.least, out_width, self.outputs.span, self.lanes, &mut self.outputs.least[place]);
            }
        }
        Ok(())
    }

    /// Standard deviation of the fine values of a band in the window of every pixel.
    fn window_deviations(
        &mut self,
        images: &TileImages<'_, '_>,
        band: usize,
        fine: &[f32],
        half: usize,
        mean: f64,
        cancel: &Cancel,
    ) -> Result<()> {
        let (rows, cols) = (self.region.rows + 2 * half, self.region.cols + 2 * half);
        let padded = images.tile.padded;
        let top = (images.tile.row_offset() + self.region.row) as isize - half as isize;
        let left = (images.tile.col_offset() + self.region.col) as isize - half as isize;
        let mut plane = vec![f32::NAN; rows * cols];
        for row in 0..rows {
            for col in 0..cols {
                let (r, c) = (top + row as isize, left + col as isize);
                if r >= 0 && c >= 0 && (r as usize) < padded.rows && (c as usize) < padded.cols {
                    plane[row * cols + col] = fine[images.at(band, r as usize, c as usize)];
                }
            }
        }
        let plane = RimmedPlane { values: &plane, rows: self.region.rows, cols: self.region.cols, half };
        box_sums::standard_deviations(plane, mean, &mut self.deviations, cancel)
    }

    /// Adds the valid samples of the loaded pair to the counts.
    fn count_valid(&mut self, half: usize, cancel: &Cancel) -> Result<()> {
        let plane = RimmedPlane { values: &self.rimmed, rows: self.region.rows, cols: self.region.cols, half };
        box_sums::add_valid_counts(plane, &mut self.valid, cancel)
    }

    /// The prediction of the pixel (row, col, position) of the block from its totals; `NaN` where nothing can be predicted.
    pub fn prediction(
        &self,
        images: &TileImages<'_, '_>,
        band: usize,
        (row, col, o): (usize, usize, usize),
        rules: &Rules,
    ) -> f32 {
        let (r, c) = (images.tile.row_offset() + self.region.row + row, images.tile.col_offset() + self.region.col + col);
        let i = images.at(band, r, c);
        let target = images.target[i];
        let weight = self.outputs.weight[o];
        let (mut pairs, mut increments) = (0u32, 0.0f64);
        let (mut unchanged, mut copies, mut agrees) = (0u32, 0.0f64, false);
        for &PairImages { fine, coarse, .. } in &images.pairs {
            let Some(d) = Differences::of(fine[i], coarse[i], target) else { continue };
            pairs += 1;
            increments += f64::from(d.proposal);
            agrees |= d.s == 0.0;
            if d.t == 0.0 {
                unchanged += 1;
                copies += f64::from(fine[i]);
            }
        }
        if pairs == 0 {
            f32::NAN
        } else if unchanged > 0 && rules.zero_difference != ZeroDifference::None {
            (copies / f64::from(unchanged)) as f32
        } else if agrees && rules.zero_difference == ZeroDifference::Both {
            target
        } else if weight > 0.0 && (self.outputs.value[o] / weight).is_finite() {
            self.outputs.value[o] / weight
        } else {
            finite((increments / f64::from(pairs)) as f32)
        }
    }

    /// Number of candidates of the pixel at a position, when they were counted.
    pub fn candidates(&self, position: usize) -> f32 {
        self.outputs.count[position]
    }
}

/// Calls `of` with (row, column, position in the layers of the outputs) of every pixel of `region`, strip by strip.
#[inline(always)]
fn each_pixel(region: Region, span: usize, lanes: usize, mut of: impl FnMut(usize, usize, usize)) {
    for row in 0..region.rows {
        for (lane, first) in (0..region.cols).step_by(span).enumerate() {
            for c in 0..span.min(region.cols - first) {
                of(row, first + c, (row * span + c) * lanes + lane);
            }
        }
    }
}

/// `value`, or `NaN` where it overflowed.
fn finite(value: f32) -> f32 {
    if value.is_finite() {
        value
    } else {
        f32::NAN
    }
}

/// Writes the planes in `lines`, of `width` columns each, to `to`: column c of strip l, which is column `l * strip + c`, of plane p to
/// `(c * planes + p) * lanes + l`.
fn cut_into_strips<T: Copy>(lines: &[T], width: usize, strip: usize, lanes: usize, to: &mut [T]) {
    match lanes {
        4 => cut::<T, 4>(lines, width, strip, to),
        8 => cut::<T, 8>(lines, width, strip, to),
        16 => cut::<T, 16>(lines, width, strip, to),
        _ => {
            let planes = lines.len() / width;
            for (i, to) in to.iter_mut().enumerate() {
                let (vector, lane) = (i / lanes, i % lanes);
                *to = lines[vector % planes * width + lane * strip + vector / planes];
            }
        }
    }
}

fn cut<T: Copy, const W: usize>(lines: &[T], width: usize, strip: usize, to: &mut [T]) {
    let planes = lines.len() / width;
    let span = to.len() / (W * planes);
    for (p, line) in lines.chunks_exact(width).enumerate() {
        let strips: [&[T]; W] = std::array::from_fn(|l| &line[l * strip..][..span]);
        for (c, to) in to.chunks_exact_mut(W * planes).enumerate() {
            for (to, strip) in to[p * W..][..W].iter_mut().zip(&strips) {
                *to = strip[c];
            }
        }
    }
}
