//! A block of output pixels: its samples, and the statistics of the window of every pixel.
//!
//! Blocks are small, so that the records of a window stay in the second-level cache, and need no memory that grows with the tile.

use stfusion_core::{Cancel, Region, Result};

use super::rules::Rules;
use super::window::{Layout, Samples};
use crate::blocks::box_sums::{self, RimmedPlane};
use crate::blocks::keys;
use crate::blocks::simd::Path;
use crate::blocks::tile_images::TileImages;

/// Most rows of a block.
pub const ROWS: usize = 192;
/// Most columns of a block: few, so that the similar pixels of a row of windows stay in the second-level cache.
pub const COLS: usize = 64;

/// What the samples of a scene are made with.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// A number near the values of each band. It keeps squares small.
    pub origin: Vec<f64>,
    /// Means of the fine images, one for each image of the similarity test.
    pub means: Vec<f64>,
}

/// A block and its buffers, used for one block after the other.
#[derive(Debug)]
pub struct Block {
    /// Vectors to use.
    pub path: Path,
    /// The block, in pixels of the tile's `region`.
    pub region: Region,
    /// Its samples, with a rim of [`Rules::reach`].
    pub samples: Samples,
    /// Whether a sample is valid in every image.
    valid: Vec<bool>,
    /// Mean coarse change in the window of every pixel, one layer per image, `NaN` in windows without valid samples.
    pub changes: Vec<f32>,
    /// Valid samples in the window of every pixel.
    pub counts: Vec<u32>,
    /// Standard deviation of the fine values in the window of every pixel, one layer per image, when they were asked for.
    pub deviations: Vec<Vec<f64>>,
    /// Values of a plane over the block and a rim of half a window.
    rimmed: Vec<f32>,
    sums: Vec<f64>,
}

/// Bytes of the buffers for blocks of the largest size.
pub fn bytes(rules: &Rules, lanes: usize) -> usize {
    let layout = Layout::new(rules.planes(), rules.bands, lanes);
    let (rows, cols) = (ROWS + 2 * rules.reach(), COLS + 2 * rules.reach());
    let per_sample = 4 * (layout.record() + rules.planes()) + 1;
    rows * cols * per_sample + ROWS * COLS * (12 * rules.planes() + 12) + (2 * rules.reach() + 1).pow(2) * 40
}

/// The blocks of an output of `rows` x `cols` pixels, of about equal size.
pub fn blocks(rows: usize, cols: usize) -> Vec<Region> {
    let even = |length: usize, most: usize| length.div_ceil(length.div_ceil(most).max(1)).max(1);
    Region::whole(rows, cols).blocks(even(rows, ROWS), even(cols, COLS))
}

/// The part of a row of a block with its rim that lies inside the padded tile.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// Row of the block with its rim.
    row: usize,
    /// First column.
    col: usize,
    /// Number of columns.
    cols: usize,
    /// Row of the padded tile.
    tile_row: usize,
    /// First column in the padded tile.
    tile_col: usize,
}

impl Block {
    /// Buffers without content.
    pub fn new(path: Path, rules: &Rules) -> Self {
        let layout = Layout::new(rules.planes(), rules.bands, path.lanes());
        let samples = Samples { planes: rules.planes(), layout, ..Samples::default() };
        Block {
            path,
            region: Region::new(0, 0, 0, 0),
            samples,
            valid: Vec::new(),
            changes: Vec::new(),
            counts: Vec::new(),
            deviations: Vec::new(),
            rimmed: Vec::new(),
            sums: Vec::new(),
        }
    }

    /// Rows of the block `region` with a rim of `rim` pixels, as far as the padded tile has them.
    fn spans(&self, images: &TileImages<'_, '_>, rim: usize) -> impl Iterator<Item = Span> {
        let (tile, region) = (images.tile, self.region);
        let outside = |offset: usize, start: usize| rim.saturating_sub(offset + start);
        let (row, col) = (outside(tile.row_offset(), region.row), outside(tile.col_offset(), region.col));
        let (tile_row, tile_col) = (tile.row_offset() + region.row + row - rim, tile.col_offset() + region.col + col - rim);
        let rows = (region.rows + 2 * rim - row).min(tile.padded.rows - tile_row);
        let cols = (region.cols + 2 * rim - col).min(tile.padded.cols - tile_col);
        (0..rows).map(move |r| Span { row: row + r, col, cols, tile_row: tile_row + r, tile_col })
    }

    /// Moves to the block `region` (pixels of the tile's region). With `local`, window statistics of the fine values are computed too.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Cancelled`].
    pub fn load(
        &mut self,
        images: &TileImages<'_, '_>,
        region: Region,
        rules: &Rules,
        reference: &Reference,
        local: bool,
        cancel: &Cancel,
    ) -> Result<()> {
        self.region = region;
        let reach = rules.reach();
        self.samples.resize(region.rows + 2 * reach, region.cols + 2 * reach);
        self.valid.clear();
        self.valid.resize(self.samples.len(), false);
        self.samples.keys.fill(keys::key(f32::NAN));
        for span in self.spans(images, reach) {
            cancel.check()?;
            self.load_row(images, span, rules, reference);
        }
        self.load_windows(images, rules, reference, local, cancel)
    }

    /// Fills a row of samples.
    fn load_row(&mut self, images: &TileImages<'_, '_>, span: Span, rules: &Rules, reference: &Reference) {
        let (bands, planes) = (rules.bands, rules.planes());
        let first = span.row * self.samples.cols + span.col;
        let range = |b: usize| {
            let start = images.at(b, span.tile_row, span.tile_col);
            start..start + span.cols
        };
        let image = |p: usize| (&images.pairs[p / bands], range(p % bands));
        let fine: Vec<&[f32]> = (0..planes).map(image).map(|(pair, range)| &pair.fine[range]).collect();
        let coarse: Vec<&[f32]> = (0..planes).map(image).map(|(pair, range)| &pair.coarse[range]).collect();
        let target: Vec<&[f32]> = (0..bands).map(|b| &images.target[range(b)]).collect();

        let valid = &mut self.valid[first..first + span.cols];
        valid.fill(true);
        for p in 0..planes {
            for (i, valid) in valid.iter_mut().enumerate() {
                // neither invalid nor too large to be subtracted
                *valid &= (target[p % bands][i] - coarse[p][i]).is_finite() & !fine[p][i].is_nan();
            }
        }
        for (p, fine) in fine.iter().enumerate() {
            let keys = &mut self.samples.keys_of(span.row, p)[span.col..][..span.cols];
            for ((key, &value), &valid) in keys.iter_mut().zip(*fine).zip(&*valid) {
                *key = keys::key(if valid { value } else { f32::NAN });
            }
        }
        let origin: Vec<f32> = reference.origin.iter().map(|&o| o as f32).collect();
        let (layout, record) = (self.samples.layout, self.samples.layout.record());
        let (mut f, mut c) = (vec![0.0; planes], vec![0.0; planes]);
        for (i, _) in valid.iter().enumerate().filter(|(_, valid)| **valid) {
            let to = &mut self.samples.records[(first + i) * record..][..record];
            let (to_fine, rest) = to.split_at_mut(layout.images);
            let (to_coarse, to_target) = rest.split_at_mut(layout.images);
            for p in 0..planes {
                (f[p], c[p]) = (fine[p][i], coarse[p][i]);
                (to_fine[p], to_coarse[p]) = (f[p] - origin[p % bands], c[p] - origin[p % bands]);
            }
            for b in 0..bands {
                to_target[b] = target[b][i] - origin[b];
            }
            to_target[layout.one] = 1.0;
            to_target[layout.one + 1] = rules.dissimilarity(&f, &c) as f32;
        }
    }

    /// Computes the statistics of the window of every pixel.
    fn load_windows(
        &mut self,
        images: &TileImages<'_, '_>,
        rules: &Rules,
        reference: &Reference,
        local: bool,
        cancel: &Cancel,
    ) -> Result<()> {
        let pixels = self.region.pixels();
        self.counts.clear();
        self.counts.resize(pixels, 0);
        self.sums.resize(pixels, 0.0);
        self.changes.resize(rules.planes() * pixels, 0.0);
        self.deviations.resize_with(if local { rules.planes() } else { 0 }, Vec::new);
        for p in 0..rules.planes() {
            let (pair, b) = (images.pairs[p / rules.bands], p % rules.bands);
            self.fill_rimmed(images, rules, true, |r, c| images.target[images.at(b, r, c)] - pair.coarse[images.at(b, r, c)]);
            let plane = rimmed_plane(&self.rimmed, self.region, rules.half);
            if p == 0 {
                box_sums::add_valid_counts(plane, &mut self.counts, cancel)?;
            }
            box_sums::sums(plane, &mut self.sums, cancel)?;
            for ((change, sum), &count) in self.changes[p * pixels..].iter_mut().zip(&self.sums).zip(&self.counts) {
                *change = (sum / f64::from(count)) as f32;
            }
            if local {
                self.fill_rimmed(images, rules, false, |r, c| pair.fine[images.at(b, r, c)]);
                let plane = rimmed_plane(&self.rimmed, self.region, rules.half);
                box_sums::standard_deviations(plane, reference.means[p], &mut self.deviations[p], cancel)?;
            }
        }
        Ok(())
    }

    /// Fills the rimmed plane with a value of each pixel (row, column of the padded tile), `NaN` outside and, if wanted, where a sample
    /// is not valid.
    fn fill_rimmed(&mut self, images: &TileImages<'_, '_>, rules: &Rules, valid_only: bool, of: impl Fn(usize, usize) -> f32) {
        let (half, reach) = (rules.half, rules.reach());
        let width = self.region.cols + 2 * half;
        let mut rimmed = std::mem::take(&mut self.rimmed);
        rimmed.clear();
        rimmed.resize((self.region.rows + 2 * half) * width, f32::NAN);
        for span in self.spans(images, half) {
            let valid = &self.valid[(span.row + reach - half) * self.samples.cols + span.col + reach - half..][..span.cols];
            let to = &mut rimmed[span.row * width + span.col..][..span.cols];
            for (i, (to, &valid)) in to.iter_mut().zip(valid).enumerate() {
                if valid || !valid_only {
                    *to = of(span.tile_row, span.tile_col + i);
                }
            }
        }
        self.rimmed = rimmed;
    }
}

fn rimmed_plane(values: &[f32], region: Region, half: usize) -> RimmedPlane<'_> {
    RimmedPlane { values, rows: region.rows, cols: region.cols, half }
}
