//! Lines between fine pixels of the coarse images: one for each fine pixel, from its window.
//!
//! Each window's sums are taken afresh, down the columns and then along the rows, so they do not depend on where a tile begins.

use ndarray::{Array3, ArrayView3};
use rayon::prelude::*;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Cancel, Exec, Region, Result};

use super::coarse::{residual, Fitted};
use super::line::Sums;
use crate::blocks::coarse_grid::CoarseGrid;

/// Two planes of `rows` x `cols` pixels, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    /// Coarse image of the pair.
    pub pair: &'a [f32],
    /// Coarse image of the target day.
    pub target: &'a [f32],
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// Number of sums in [`Sums`].
const SUMS: usize = 5;

/// Adds the five parts of every pixel of a row to the sums of its column.
fn add_row(images: Images<'_>, row: usize, columns: &mut [Vec<f64>; SUMS], rim: usize) {
    let range = row * images.cols..(row + 1) * images.cols;
    let [count, xs, ys, xx, xy] = columns;
    let inner = rim..rim + images.cols;
    let sums = count[inner.clone()].iter_mut().zip(&mut xs[inner.clone()]).zip(&mut ys[inner.clone()]);
    let sums = sums.zip(&mut xx[inner.clone()]).zip(&mut xy[inner]);
    let values = images.pair[range.clone()].iter().zip(&images.target[range]);
    for (((((count, sx), sy), sxx), sxy), (&x, &y)) in sums.zip(values) {
        let (x, y) = (f64::from(x), f64::from(y));
        let valid = !(x + y).is_nan();
        let (x, y) = if valid { (x, y) } else { (0.0, 0.0) };
        *count += if valid { 1.0 } else { 0.0 };
        *sx += x;
        *sy += y;
        *sxx += x * x;
        *sxy += x * y;
    }
}

/// Calls `of` with every row of `region` (pixels of the images) and the lines of its pixels, in windows of `half` pixels on every side, which
/// end at the borders of the images.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn each_row(
    images: Images<'_>,
    half: usize,
    region: Region,
    cancel: &Cancel,
    mut of: impl FnMut(usize, &[Fitted]),
) -> Result<()> {
    let mut columns: [Vec<f64>; SUMS] = std::array::from_fn(|_| vec![0.0; images.cols + 2 * half]);
    let mut sums: [Vec<f64>; SUMS] = std::array::from_fn(|_| vec![0.0; region.cols]);
    let mut lines = vec![None; region.cols];
    for row in region.row..region.row + region.rows {
        cancel.check()?;
        columns.iter_mut().for_each(|c| c.fill(0.0));
        for r in row.saturating_sub(half)..(row + half + 1).min(images.rows) {
            add_row(images, r, &mut columns, half);
        }
        for (column, sum) in columns.iter().zip(&mut sums) {
            sum.fill(0.0);
            for k in 0..2 * half + 1 {
                for (sum, more) in sum.iter_mut().zip(&column[region.col + k..]) {
                    *sum += more;
                }
            }
        }
        for (i, line) in lines.iter_mut().enumerate() {
            let [count, x, y, xx, xy] = sums.each_ref().map(|s| s[i]);
            *line = Sums { count, x, y, xx, xy }.line();
        }
        of(row, &lines);
    }
    Ok(())
}

/// What the lines leave unexplained, averaged over the cells of `grid`, (band, cell row, cell col).
///
/// # Errors
/// Those of reading, and [`stfusion_core::ErrorKind::Cancelled`].
pub fn residuals(grid: &CoarseGrid, scene: &dyn Scene, pair: usize, half: usize, exec: &Exec<'_>) -> Result<Array3<f32>> {
    let info = scene.info();
    let blocks = grid.blocks();
    let parts: Vec<Array3<f32>> = blocks
        .par_iter()
        .map(|&block| {
            let around = block.grown(half, info.rows, info.cols);
            let read = |layer| {
                let mut image = Array3::zeros((info.bands, around.rows, around.cols));
                scene.read(layer, around, image.view_mut())?;
                Ok(image)
            };
            let (x, y) = (read(Layer::Coarse(pair))?, read(Layer::Target)?);
            Ok(grid.means(block, residuals_of(x.view(), y.view(), half, around, block, exec.cancel)?.view(), 0.0))
        })
        .collect::<Result<_>>()?;
    Ok(grid.assembled(info.bands, blocks.iter().copied().zip(parts.iter().map(|p| p.view()))))
}

/// The same for every fine pixel of `block`, from images of `around`.
fn residuals_of(
    pair: ArrayView3<'_, f32>,
    target: ArrayView3<'_, f32>,
    half: usize,
    around: Region,
    block: Region,
    cancel: &Cancel,
) -> Result<Array3<f32>> {
    let mut out = Array3::from_elem((pair.dim().0, block.rows, block.cols), f32::NAN);
    let inner = Region { row: block.row - around.row, col: block.col - around.col, ..block };
    for ((x, y), mut plane) in pair.outer_iter().zip(target.outer_iter()).zip(out.outer_iter_mut()) {
        let (Some(x), Some(y)) = (x.to_slice(), y.to_slice()) else { continue };
        let images = Images { pair: x, target: y, rows: around.rows, cols: around.cols };
        each_row(images, half, inner, cancel, |row, lines| {
            let at = row * around.cols + inner.col;
            for (i, (line, to)) in lines.iter().zip(plane.row_mut(row - inner.row)).enumerate() {
                *to = line.map_or(f32::NAN, |(line, _)| residual(line, x[at + i], y[at + i]));
            }
        })?;
    }
    Ok(out)
}
