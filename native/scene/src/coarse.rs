//! Coarse images of a landscape.

use ndarray::{Array3, ArrayView3};

use crate::{Date, Landscape};

/// The mean over blocks of `ratio` x `ratio` fine pixels: the coarse image of an ideal, aligned sensor, `(band, row, col)`.
///
/// Rows and columns that do not fill a block are left out. Sums are taken in `f64`, in row order; NaN makes a block NaN.
pub fn block_mean(_fine: ArrayView3<f32>, _ratio: usize) -> Array3<f32> {
    todo!()
}

/// A part of the global MODIS sinusoidal grid (463.3127 m, sphere of 6,371,007.181 m).
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
    /// The smallest part of the global grid that covers a fine grid (UTM zone `zone` north), with one cell to spare.
    pub fn covering(_rows: usize, _cols: usize, _fine_transform: [f64; 6], _zone: u8) -> Self {
        todo!()
    }

    /// The coarse image of `date`, `(band, row, col)`: the noise-free surface under a MODIS-like point-spread function,
    /// with the sensor's own gain, offset and noise. Every cell is valid.
    pub fn observe(&self, _landscape: &Landscape, _date: Date, _fine_transform: [f64; 6], _zone: u8) -> Array3<f32> {
        todo!()
    }
}
