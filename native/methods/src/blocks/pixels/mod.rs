//! Methods without a neighbourhood: one output value from the values at the same pixel.

pub mod cuda;

use stfusion_core::method::{TileIn, TileOut};
use stfusion_core::{Exec, Result};

/// What one pixel of one band holds; `NaN` is invalid.
#[derive(Debug, Clone, Copy)]
pub struct PixelValues<'a> {
    /// Fine value of every pair.
    pub fine: &'a [f32],
    /// Coarse value of every pair.
    pub coarse: &'a [f32],
    /// Coarse value of the target day.
    pub target: f32,
}

/// Fills a tile with `predict(values)` of every pixel and band (`NaN` where it overflows), and its support: one "similar pixel" where every band is
/// predicted, and the share of `usable` pairs, averaged over the bands.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn predict_each(
    tile: &TileIn<'_>,
    out: &mut TileOut<'_>,
    exec: &Exec<'_>,
    predict: impl Fn(PixelValues<'_>) -> f32,
    usable: impl Fn(PixelValues<'_>, usize) -> bool,
) -> Result<()> {
    let (bands, rows, cols) = out.image.dim();
    let (row_offset, col_offset) = (tile.row_offset(), tile.col_offset());
    let pairs = tile.pairs.len();
    let (mut fine, mut coarse) = (vec![f32::NAN; pairs], vec![f32::NAN; pairs]);
    for row in 0..rows {
        exec.cancel.check()?;
        for col in 0..cols {
            let (mut predicted, mut used) = (0, 0);
            for band in 0..bands {
                let at = (band, row + row_offset, col + col_offset);
                for (k, pair) in tile.pairs.iter().enumerate() {
                    fine[k] = pair.fine[at];
                    coarse[k] = pair.coarse[at];
                }
                let values = PixelValues { fine: &fine, coarse: &coarse, target: tile.target[at] };
                let value = predict(values);
                let value = if value.is_finite() { value } else { f32::NAN };
                out.image[(band, row, col)] = value;
                predicted += usize::from(!value.is_nan());
                if out.support.is_some() {
                    used += (0..pairs).filter(|&k| usable(values, k)).count();
                }
            }
            if let Some(support) = &mut out.support {
                support.similar_pixels[(row, col)] = if predicted == bands { 1.0 } else { 0.0 };
                support.valid_fraction[(row, col)] = used as f32 / (bands * pairs) as f32;
            }
        }
    }
    Ok(())
}
