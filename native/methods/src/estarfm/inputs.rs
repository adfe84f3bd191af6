//! What pixels are predicted from, and where they lie.

use super::block::Block;
use super::parameters::ThresholdScope;
use super::rules::Rules;
use super::window::{self, Area};
use crate::blocks::tile_images::TileImages;

/// Tolerances of the similarity test.
#[derive(Debug, Clone, PartialEq)]
pub struct Tolerances {
    /// Standard deviations of the whole fine images, by number of the image.
    pub deviations: Vec<f64>,
    /// Where deviations are taken from.
    pub scope: ThresholdScope,
}

/// What pixels are predicted from.
#[derive(Clone, Copy)]
pub struct Inputs<'a, 't, 'i> {
    /// Images of the tile.
    pub images: &'a TileImages<'t, 'i>,
    /// The block that is loaded.
    pub block: &'a Block,
    /// The rules.
    pub rules: &'a Rules,
    /// Tolerances of the similarity test.
    pub tolerances: &'a Tolerances,
    /// What was subtracted from the values of every band in the records.
    pub origin: &'a [f32],
}

/// A pixel of a block.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its number in the block.
    pub pixel: usize,
    /// Its position in the samples.
    pub sample: usize,
    /// Row in the padded tile.
    pub row: usize,
    /// Column in the padded tile.
    pub col: usize,
}

impl Inputs<'_, '_, '_> {
    /// The pixel (row, col) of the block.
    pub fn place(&self, row: usize, col: usize) -> Place {
        let (tile, region, reach) = (self.images.tile, self.block.region, self.rules.reach());
        Place {
            pixel: row * region.cols + col,
            sample: (row + reach) * self.block.samples.cols + col + reach,
            row: tile.row_offset() + region.row + row,
            col: tile.col_offset() + region.col + col,
        }
    }

    /// Fine value of image number `p`.
    pub fn fine(&self, p: usize, place: Place) -> f32 {
        self.images.pairs[p / self.rules.bands].fine[self.at(p, place)]
    }

    /// Coarse change from image number `p` to the target day.
    pub fn change(&self, p: usize, place: Place) -> f32 {
        let at = self.at(p, place);
        self.images.target[at] - self.images.pairs[p / self.rules.bands].coarse[at]
    }

    fn at(&self, p: usize, place: Place) -> usize {
        self.images.at(p % self.rules.bands, place.row, place.col)
    }

    /// Mean change of the coarse image over the valid samples of the window, or at the pixel itself where there are none.
    pub fn mean_change(&self, p: usize, place: Place) -> f64 {
        f64::from(if self.block.counts[place.pixel] > 0 {
            self.block.changes[p * self.block.region.pixels() + place.pixel]
        } else {
            self.change(p, place)
        })
    }

    /// Numbers of the images of a band.
    pub fn images_of(&self, band: usize) -> std::iter::StepBy<std::ops::Range<usize>> {
        (band..self.rules.planes()).step_by(self.rules.bands)
    }
}

/// Distances D from the centre of a window (equation 15): 1 + d / half window, `NaN` beyond the window, and [`window::WORD`] more.
pub fn distances(rules: &Rules) -> Vec<f32> {
    let (half, reach) = (rules.half as isize, rules.reach() as isize);
    let mut all = Vec::with_capacity((2 * rules.reach() + 1).pow(2));
    for dy in -reach..=reach {
        for dx in -reach..=reach {
            let d = ((dy * dy + dx * dx) as f64).sqrt();
            let inside = dy.abs() <= half && dx.abs() <= half;
            all.push(if inside { (1.0 + d / rules.half.max(1) as f64) as f32 } else { f32::NAN });
        }
    }
    all.resize(all.len() + window::WORD, f32::NAN);
    all
}

/// The window around a pixel, grown to whole coarse pixels where these have coefficients of their own and all similar pixels count.
pub fn search_area(inputs: Inputs<'_, '_, '_>, place: Place) -> Area {
    let (rules, cols) = (inputs.rules, inputs.block.samples.cols);
    let side = 2 * rules.half + 1;
    let window = Area { row: place.sample / cols - rules.half, col: place.sample % cols - rules.half, rows: side, cols: side };
    let Some(cell) = rules.cells.filter(|_| rules.nearest.is_none()) else { return window };
    let padded = inputs.images.tile.padded;
    let grown = |centre: usize| {
        let (first, end) = (centre.saturating_sub(rules.half), centre + rules.half + 1);
        (first % cell, end.next_multiple_of(cell) - end)
    };
    let ((top, bottom), (left, right)) = (grown(padded.row + place.row), grown(padded.col + place.col));
    Area { row: window.row - top, col: window.col - left, rows: side + top + bottom, cols: side + left + right }
}
