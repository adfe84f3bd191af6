//! The residual of the regression between the centres of the coarse pixels (equation 7): cubic convolution with the image mirrored at its
//! borders.

use ndarray::{Array3, ArrayView3};
use stfusion_core::resample::{self, Window};
use stfusion_core::source::Resampling;
use stfusion_core::Region;

/// Cells that are added on every side.
pub const MARGIN: usize = 2;

/// Residuals on the coarse grid, ready to be interpolated.
#[derive(Debug, Clone)]
pub struct Residual {
    mirrored: Window,
    scale: f64,
}

impl Residual {
    /// Of residuals (band, cell row, cell col); a cell has `scale` fine pixels a side.
    pub fn new(cells: ArrayView3<'_, f32>, scale: usize) -> Self {
        let (bands, rows, cols) = cells.dim();
        let (more_rows, more_cols) = (rows + 2 * MARGIN, cols + 2 * MARGIN);
        let values =
            Array3::from_shape_fn((bands, more_rows, more_cols), |(b, r, c)| cells[(b, mirrored(r, rows), mirrored(c, cols))]);
        let region = Region::whole(more_rows, more_cols);
        Residual { mirrored: Window { values, region, rows: more_rows, cols: more_cols }, scale: scale as f64 }
    }

    /// The residuals with their margin, (band, row, col).
    pub fn mirrored(&self) -> &Array3<f32> {
        &self.mirrored.values
    }

    /// At the fine pixels of `region` of the scene, (band, row, col); invalid where the pixel's own cell is.
    pub fn at(&self, region: Region) -> Array3<f32> {
        let mut out = Array3::from_elem((self.mirrored.values.dim().0, region.rows, region.cols), f32::NAN);
        let place = |pixel: usize| (pixel as f64 + 0.5) / self.scale + MARGIN as f64;
        let positions = |row: usize, col: usize, cols: &mut [f64], rows: &mut [f64]| {
            rows.fill(place(row));
            cols.iter_mut().enumerate().for_each(|(i, c)| *c = place(col + i));
        };
        resample::resample(&self.mirrored, positions, Resampling::Cubic, region, out.view_mut());
        out
    }
}

/// The cell at index `i` of a row of `n` cells with [`MARGIN`] mirrored ones on both sides.
fn mirrored(i: usize, n: usize) -> usize {
    let i = i as isize - MARGIN as isize;
    let folded = if i < 0 { -1 - i } else { i.min(2 * n as isize - 1 - i) };
    folded.clamp(0, n as isize - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_mirrored() {
        assert_eq!((0..8).map(|i| mirrored(i, 4)).collect::<Vec<_>>(), [1, 0, 0, 1, 2, 3, 3, 2]);
        assert_eq!((0..5).map(|i| mirrored(i, 1)).collect::<Vec<_>>(), [0; 5]);
    }

    #[test]
    fn a_slope_is_followed_between_the_centres() {
        let cells = Array3::from_shape_fn((1, 7, 9), |(_, r, c)| 2.0 * r as f32 - c as f32);
        let fine = Residual::new(cells.view(), 4).at(Region::new(8, 9, 10, 12));
        for ((_, r, c), v) in fine.indexed_iter() {
            let place = |pixel: usize| (pixel as f32 + 0.5) / 4.0 - 0.5;
            assert!((v - (2.0 * place(r + 8) - place(c + 9))).abs() < 1e-5, "{r} {c}");
        }
        assert_eq!(Residual::new(cells.slice(ndarray::s![.., 3..4, 3..4]), 4).at(Region::whole(4, 4))[(0, 0, 3)], 3.0);
    }
}
