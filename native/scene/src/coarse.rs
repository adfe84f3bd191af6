//! Coarse images of a landscape: a MODIS-like sensor on the sinusoidal grid, and exact block means on an aligned grid.
//!
//! A whiskbroom sensor sees more than its cell: along the scan the response is a triangle of two cells' width, along the
//! track a box of one cell (Tan et al. 2006, "The impact of gridding artifacts on the local spatial properties of MODIS
//! data"). A cell of [`CoarseGrid::observe`] is the mean of the noise-free fine surface under that response, each fine
//! pixel projected to the sphere by its centre:
//!
//! ```text
//! u, v   = cell coordinates of the fine pixel's centre           (UTM -> longitude, latitude -> sinusoidal)
//! weight = max(0, 1 - |u - (col + 1/2)|) * overlap of the fine pixel with [row, row + 1] along v
//! value  = gain * sum(weight * surface) / sum(weight) + offset + noise
//! ```

use ndarray::{s, Array3, ArrayView3};
use rayon::prelude::*;

use crate::hash::{hash2, mix, normal};
use crate::projection::{Sinusoidal, Utm};
use crate::{Date, Landscape, Region};

/// The mean over blocks of `ratio` x `ratio` fine pixels: the coarse image of an ideal, aligned sensor, `(band, row, col)`.
///
/// Rows and columns that do not fill a block are left out, and a `ratio` of 0 is taken as 1. Sums are taken in `f64`, in
/// row order; a NaN makes its block NaN.
pub fn block_mean(fine: ArrayView3<f32>, ratio: usize) -> Array3<f32> {
    let ratio = ratio.max(1);
    let (bands, rows, cols) = fine.dim();
    Array3::from_shape_fn((bands, rows / ratio, cols / ratio), |(b, r, c)| {
        let block = fine.slice(s![b, r * ratio..(r + 1) * ratio, c * ratio..(c + 1) * ratio]);
        let sum: f64 = block.iter().map(|v| f64::from(*v)).sum();
        (sum / (ratio * ratio) as f64) as f32
    })
}

/// Side of a cell of the global MODIS grid in metres.
pub const CELL_M: f64 = 463.312_716_527_5;
/// Upper left corner of the global MODIS grid in metres.
const GLOBAL_ORIGIN: (f64, f64) = (-20_015_109.354, 10_007_554.677);

/// The coarse sensor's gain against the fine one, by band.
pub const GAIN: [f32; 6] = [1.021, 1.014, 1.018, 0.986, 1.012, 1.024];
/// The coarse sensor's offset against the fine one in reflectance, by band.
pub const OFFSET: [f32; 6] = [0.0026, 0.0020, 0.0018, 0.0040, 0.0020, -0.0012];
/// Standard deviation of the coarse sensor's noise in reflectance, by band.
pub const COARSE_NOISE: [f32; 6] = [0.0009, 0.0009, 0.0010, 0.0022, 0.0018, 0.0016];

/// Coarse rows that are simulated from one window of the landscape.
const STRIP_ROWS: usize = 8;
/// Fine columns between two exact projections; in between the coordinates are interpolated, wrong by less than 2 cm.
const PROJECTION_STEP: usize = 32;

/// A part of the global MODIS sinusoidal grid (cells of 463.3127 m on the sphere of 6,371,007.181 m).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CoarseGrid {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// GDAL's six numbers, in metres.
    pub transform: [f64; 6],
}

impl CoarseGrid {
    /// The smallest part of the global grid that covers a fine grid of `rows` x `cols` pixels (GDAL transform in metres,
    /// north up, UTM) with a cell to spare on each side.
    pub fn covering(rows: usize, cols: usize, fine_transform: [f64; 6], zone: Utm) -> Self {
        let (mut low, mut high) = ((f64::INFINITY, f64::INFINITY), (f64::NEG_INFINITY, f64::NEG_INFINITY));
        for (x, y) in outline(0.0, 0.0, cols as f64, rows as f64) {
            let (u, v) = global_cell(fine_transform, zone, x, y);
            low = (low.0.min(u), low.1.min(v));
            high = (high.0.max(u), high.1.max(v));
        }
        let (col, row) = (low.0.floor() - 1.0, low.1.floor() - 1.0);
        Self {
            rows: (high.1.ceil() + 1.0 - row) as usize,
            cols: (high.0.ceil() + 1.0 - col) as usize,
            transform: [GLOBAL_ORIGIN.0 + col * CELL_M, CELL_M, 0.0, GLOBAL_ORIGIN.1 - row * CELL_M, 0.0, -CELL_M],
        }
    }

    /// Row and column of the first cell in the global grid.
    fn first_cell(&self) -> (i64, i64) {
        let row = ((GLOBAL_ORIGIN.1 - self.transform[3]) / CELL_M).round();
        let col = ((self.transform[0] - GLOBAL_ORIGIN.0) / CELL_M).round();
        (row as i64, col as i64)
    }

    /// Row and column, with fractions, of a point of a fine grid given in fine pixels from its upper left corner.
    pub fn cell_of(&self, fine_transform: [f64; 6], zone: Utm, x: f64, y: f64) -> (f64, f64) {
        let (row, col) = self.first_cell();
        let (u, v) = global_cell(fine_transform, zone, x, y);
        (v - row as f64, u - col as f64)
    }

    /// The coarse image of `date`, `(band, row, col)`: the noise-free surface under the response of the sensor, with its
    /// own [`GAIN`], [`OFFSET`] and [`COARSE_NOISE`]. The landscape goes on beyond the fine image, so every cell is valid.
    pub fn observe(&self, landscape: &Landscape, date: Date, fine_transform: [f64; 6], zone: Utm) -> Array3<f32> {
        let mut out = self.mean_under_response(fine_transform, zone, |region| landscape.surface(date, region));
        let (row, col) = self.first_cell();
        let stream = mix(landscape.seed() ^ mix(date.number()) ^ 0xC0A5);
        for ((b, r, c), value) in out.indexed_iter_mut() {
            let noise = normal(hash2(stream.wrapping_add(b as u64), row + r as i64, col + c as i64));
            *value = (GAIN[b % 6] * *value + OFFSET[b % 6] + COARSE_NOISE[b % 6] * noise).max(0.0005);
        }
        out
    }

    /// The weighted mean of any fine image, given as a function of the region, under each cell's response.
    pub(crate) fn mean_under_response(
        &self,
        fine_transform: [f64; 6],
        zone: Utm,
        surface: impl Fn(Region) -> Array3<f32> + Sync,
    ) -> Array3<f32> {
        let strips: Vec<Vec<[f64; 7]>> = (0..self.rows.div_ceil(STRIP_ROWS))
            .into_par_iter()
            .map(|strip| {
                let first = strip * STRIP_ROWS;
                let rows = STRIP_ROWS.min(self.rows - first);
                let region = self.region_under(first, rows, fine_transform, zone);
                self.gather(first, rows, region, &surface(region), fine_transform, zone)
            })
            .collect();
        let cells: Vec<[f64; 7]> = strips.into_iter().flatten().collect();
        Array3::from_shape_fn((6, self.rows, self.cols), |(b, r, c)| {
            let cell = &cells[r * self.cols + c];
            (cell[b] / cell[6]) as f32
        })
    }

    /// The fine pixels that coarse rows `first` to `first + rows` respond to.
    fn region_under(&self, first: usize, rows: usize, fine_transform: [f64; 6], zone: Utm) -> Region {
        let (mut low, mut high) = ((f64::INFINITY, f64::INFINITY), (f64::NEG_INFINITY, f64::NEG_INFINITY));
        for (u, v) in outline(-0.5, first as f64 - 0.1, self.cols as f64 + 0.5, (first + rows) as f64 + 0.1) {
            let at = Sinusoidal::inverse(self.transform[0] + u * CELL_M, self.transform[3] - v * CELL_M);
            let (easting, northing) = zone.forward(at);
            let x = (easting - fine_transform[0]) / fine_transform[1];
            let y = (northing - fine_transform[3]) / fine_transform[5];
            low = (low.0.min(x), low.1.min(y));
            high = (high.0.max(x), high.1.max(y));
        }
        let (row, col) = (low.1.floor() as i64 - 1, low.0.floor() as i64 - 1);
        Region::new(row, col, (high.1.ceil() as i64 + 1 - row) as usize, (high.0.ceil() as i64 + 1 - col) as usize)
    }

    /// Weighted sums of the six bands, and of the weights, for each cell of some coarse rows.
    fn gather(
        &self,
        first: usize,
        rows: usize,
        region: Region,
        fine: &Array3<f32>,
        fine_transform: [f64; 6],
        zone: Utm,
    ) -> Vec<[f64; 7]> {
        let mut sums = vec![[0.0; 7]; rows * self.cols];
        let half = 0.5 * fine_transform[1] / CELL_M;
        for r in 0..region.rows {
            let y = (region.row + r as i64) as f64 + 0.5;
            let cell = |c: usize| self.cell_of(fine_transform, zone, (region.col + c as i64) as f64 + 0.5, y);
            let (mut from, mut to) = (cell(0), cell(0));
            for c in 0..region.cols {
                let step = c % PROJECTION_STEP;
                if step == 0 {
                    (from, to) = (if c == 0 { from } else { to }, cell(c + PROJECTION_STEP));
                }
                let t = step as f64 / PROJECTION_STEP as f64;
                let v = from.0 + (to.0 - from.0) * t - first as f64;
                let u = from.1 + (to.1 - from.1) * t;
                let pixel: [f32; 6] = std::array::from_fn(|b| fine[[b, r, c]]);
                let (left, top) = ((u - 0.5).floor(), (v - half).floor());
                for (row, high) in [(top, (top + 1.0).min(v + half) - (v - half)), (top + 1.0, v + half - top - 1.0)] {
                    if high <= 0.0 || row < 0.0 || row >= rows as f64 {
                        continue;
                    }
                    for (col, wide) in [(left, left + 1.5 - u), (left + 1.0, u - left - 0.5)] {
                        if col < 0.0 || col >= self.cols as f64 {
                            continue;
                        }
                        let weight = wide * high / (2.0 * half);
                        let sum = &mut sums[row as usize * self.cols + col as usize];
                        for (s, value) in sum.iter_mut().zip(pixel) {
                            *s += weight * f64::from(value);
                        }
                        sum[6] += weight;
                    }
                }
            }
        }
        sums
    }
}

/// Column and row in the global grid of a point given in fine pixels.
fn global_cell(fine_transform: [f64; 6], zone: Utm, x: f64, y: f64) -> (f64, f64) {
    let at = zone.inverse(fine_transform[0] + x * fine_transform[1], fine_transform[3] + y * fine_transform[5]);
    let (sx, sy) = Sinusoidal::forward(at);
    ((sx - GLOBAL_ORIGIN.0) / CELL_M, (GLOBAL_ORIGIN.1 - sy) / CELL_M)
}

/// Points along the outline of a rectangle, close enough for its image under a projection.
fn outline(x0: f64, y0: f64, x1: f64, y1: f64) -> impl Iterator<Item = (f64, f64)> {
    const STEPS: usize = 64;
    (0..=STEPS).flat_map(move |k| {
        let t = k as f64 / STEPS as f64;
        let (x, y) = (x0 + (x1 - x0) * t, y0 + (y1 - y0) * t);
        [(x, y0), (x, y1), (x0, y), (x1, y)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array;

    const FINE: [f64; 6] = [540_000.0, 30.0, 0.0, 5_340_000.0, 0.0, -30.0];

    #[test]
    fn block_mean_is_exact() {
        let fine = Array::from_shape_fn((2, 7, 9), |(b, r, c)| (b * 1000 + r * 16 + c) as f32);
        let coarse = block_mean(fine.view(), 3);
        assert_eq!(coarse.dim(), (2, 2, 3));
        for ((b, r, c), value) in coarse.indexed_iter() {
            assert_eq!(*value, (b * 1000 + (3 * r + 1) * 16 + 3 * c + 1) as f32);
        }
        assert_eq!(block_mean(fine.view(), 1), fine);
        let mut gap = fine.clone();
        gap[[0, 4, 4]] = f32::NAN;
        let coarse = block_mean(gap.view(), 3);
        assert_eq!(coarse.iter().filter(|v| v.is_nan()).count(), 1);
        assert!(coarse[[0, 1, 1]].is_nan());
    }

    #[test]
    fn grid_covers_the_fine_image_on_the_global_grid() {
        let zone = Utm::north(33);
        let grid = CoarseGrid::covering(720, 720, FINE, zone);
        for (x, y) in [(0.0, 0.0), (720.0, 0.0), (0.0, 720.0), (720.0, 720.0)] {
            let (row, col) = grid.cell_of(FINE, zone, x, y);
            assert!(row >= 1.0 && row <= grid.rows as f64 - 1.0, "{row}");
            assert!(col >= 1.0 && col <= grid.cols as f64 - 1.0, "{col}");
        }
        assert!((48..60).contains(&grid.rows), "{}", grid.rows);
        let tile_18 = (grid.transform[0] / (2400.0 * CELL_M)).floor();
        assert_eq!(tile_18, 1.0, "horizontal tile 19 of MODIS, the second east of Greenwich");
        let offset = (grid.transform[0] / CELL_M).fract();
        assert!(offset.abs() < 1e-6 || offset.abs() > 1.0 - 1e-6, "{offset}");
    }

    #[test]
    fn response_preserves_a_constant_and_the_mean() {
        let zone = Utm::north(33);
        let grid = CoarseGrid::covering(100, 130, FINE, zone);
        let flat = grid.mean_under_response(FINE, zone, |region| Array3::from_elem((6, region.rows, region.cols), 0.25));
        assert!(flat.iter().all(|v| *v == 0.25));
        let ramp = |region: Region| {
            Array3::from_shape_fn((6, region.rows, region.cols), |(_, r, c)| {
                (0.001 * (region.row + r as i64) as f64 + 0.002 * (region.col + c as i64) as f64) as f32
            })
        };
        let coarse = grid.mean_under_response(FINE, zone, ramp);
        let (row, col) = (grid.rows / 2, grid.cols / 2);
        let at =
            Sinusoidal::inverse(grid.transform[0] + (col as f64 + 0.5) * CELL_M, grid.transform[3] - (row as f64 + 0.5) * CELL_M);
        let (easting, northing) = zone.forward(at);
        let centre = 0.001 * ((FINE[3] - northing) / 30.0 - 0.5) + 0.002 * ((easting - FINE[0]) / 30.0 - 0.5);
        let got = f64::from(coarse[[3, row, col]]);
        assert!((got - centre).abs() < 2e-4, "a linear ramp keeps its value at the cell's centre: {got} and {centre}");
    }

    #[test]
    fn response_reaches_one_cell_to_each_side_of_the_centre() {
        let zone = Utm::north(33);
        let grid = CoarseGrid::covering(200, 200, FINE, zone);
        let point = |region: Region| {
            let mut image = Array3::zeros((6, region.rows, region.cols));
            let (r, c) = (100 - region.row, 100 - region.col);
            if r >= 0 && c >= 0 && (r as usize) < region.rows && (c as usize) < region.cols {
                image[[0, r as usize, c as usize]] = 1.0;
            }
            image
        };
        let coarse = grid.mean_under_response(FINE, zone, point);
        let (v, u) = grid.cell_of(FINE, zone, 100.5, 100.5);
        for r in 0..grid.rows {
            for c in 0..grid.cols {
                let across = (u - c as f64 - 0.5).abs();
                let inside = across < 0.999 && v.floor() as usize == r;
                let outside = across > 1.0 || (v - r as f64 - 0.5).abs() > 0.54;
                let value = coarse[[0, r, c]];
                assert!(!inside || value > 0.0, "row {r} col {c}: {value}");
                assert!(!outside || value == 0.0, "row {r} col {c}: {value}");
            }
        }
    }
}
