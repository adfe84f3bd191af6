//! Lines between coarse pixels: one for each coarse pixel, from the coarse pixels around it, and what they leave unexplained.

use ndarray::{s, Array3, ArrayView3};
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Cancel, Exec, Result};

use super::line::{Line, Sums};
use crate::blocks::coarse_grid::CoarseGrid;

/// A line and whether the coarse pixels around it varied.
pub type Fitted = Option<(Line, bool)>;

/// Lines and residuals of one pair, (band, cell row, cell col).
#[derive(Debug, Clone)]
pub struct CoarseLines {
    /// The lines (equation 1).
    pub lines: Array3<Fitted>,
    /// C2 − (a C1 + b) of the cell itself.
    pub residuals: Array3<f32>,
}

/// Coarse images of a pair and of the target; a cell is valid where one of its pixels is.
///
/// # Errors
/// Those of reading, and [`stfusion_core::ErrorKind::Cancelled`].
pub fn images(grid: &CoarseGrid, scene: &dyn Scene, pair: usize, exec: &Exec<'_>) -> Result<(Array3<f32>, Array3<f32>)> {
    let images = grid.images(scene, &[Layer::Coarse(pair), Layer::Target], 0.0, exec)?;
    let mut images = images.into_iter();
    Ok((images.next().unwrap_or_default(), images.next().unwrap_or_default()))
}

/// The lines of `target` on `pair` in windows of `radius` cells on every side, which end at the borders.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn fit(
    grid: &CoarseGrid,
    pair: ArrayView3<'_, f32>,
    target: ArrayView3<'_, f32>,
    radius: usize,
    cancel: &Cancel,
) -> Result<CoarseLines> {
    let mut lines = Array3::from_elem(pair.dim(), None);
    for ((band, row, col), line) in lines.indexed_iter_mut() {
        if col == 0 {
            cancel.check()?;
        }
        let cells = grid.window(row, col, radius);
        let (r, c) = (cells.row..cells.row + cells.rows, cells.col..cells.col + cells.cols);
        let mut sums = Sums::default();
        for (&x, &y) in pair.slice(s![band, r.clone(), c.clone()]).iter().zip(&target.slice(s![band, r, c])) {
            sums.add(x, y);
        }
        *line = sums.line();
    }
    let residuals = Array3::from_shape_fn(pair.dim(), |at| match lines[at] {
        Some((line, _)) => residual(line, pair[at], target[at]),
        None => f32::NAN,
    });
    Ok(CoarseLines { lines, residuals })
}

/// y − (a x + b), `NaN` where it overflows.
pub fn residual(line: Line, x: f32, y: f32) -> f32 {
    let residual = (f64::from(y) - (line.slope * f64::from(x) + line.intercept)) as f32;
    if residual.is_finite() {
        residual
    } else {
        f32::NAN
    }
}
