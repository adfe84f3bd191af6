//! The support layer: what a prediction stands on, pixel by pixel.

use ndarray::{ArrayViewMut3, Axis};
use stfusion_core::method::{SupportOut, TileIn};

/// Names of the bands of a support layer, in their order. A pixel that is not predicted is `NaN` in all of them.
pub const SUPPORT_BANDS: [&str; 5] = ["similar_pixels", "valid_fraction", "days_to_nearest_pair", "extrapolated", "fallback"];

/// Position of the band of [`stfusion_core::method::Fallback`] numbers.
const FALLBACK: usize = 4;

/// The three bands that the method fills.
pub(crate) fn of_method<'a>(support: &'a mut ArrayViewMut3<'_, f32>) -> SupportOut<'a> {
    let (similar, rest) = support.view_mut().split_at(Axis(0), 1);
    let (valid, rest) = rest.split_at(Axis(0), 1);
    let (_, fallback) = rest.split_at(Axis(0), FALLBACK - 2);
    let band = |part: ArrayViewMut3<'a, f32>| part.index_axis_move(Axis(0), 0);
    let mut fallback = band(fallback);
    fallback.fill(0.0);
    SupportOut { similar_pixels: band(similar), valid_fraction: band(valid), fallback }
}

/// Fills the bands that follow from dates and validity alone: days to the nearest pair that is valid at the pixel in every
/// band (`NaN` without dates), and 1 where all such pairs lie on one side of the target date, else 0. Blanks pixels
/// whose prediction, `image`, is invalid in every band.
pub(crate) fn complete(tile: &TileIn<'_>, image: &ndarray::ArrayView3<'_, f32>, support: &mut ArrayViewMut3<'_, f32>) {
    let (bands, rows, cols) = image.dim();
    let (row0, col0) = (tile.row_offset(), tile.col_offset());
    for row in 0..rows {
        for col in 0..cols {
            if (0..bands).all(|b| image[(b, row, col)].is_nan()) {
                for layer in 0..SUPPORT_BANDS.len() {
                    support[(layer, row, col)] = f32::NAN;
                }
                continue;
            }
            let (mut nearest, mut before, mut after) = (None::<i32>, false, false);
            for pair in &tile.pairs {
                let at = (row0 + row, col0 + col);
                let valid = (0..bands).all(|b| !pair.fine[(b, at.0, at.1)].is_nan() && !pair.coarse[(b, at.0, at.1)].is_nan());
                if let (true, Some(gap)) = (valid, pair.gap_days) {
                    nearest = Some(nearest.map_or(gap.abs(), |n| n.min(gap.abs())));
                    before |= gap <= 0;
                    after |= gap >= 0;
                }
            }
            support[(2, row, col)] = nearest.map_or(f32::NAN, |n| n as f32);
            support[(3, row, col)] = match nearest {
                Some(_) if before && after => 0.0,
                Some(_) => 1.0,
                None => f32::NAN,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;
    use stfusion_core::method::PairTile;
    use stfusion_core::Region;

    #[test]
    fn days_and_sides_follow_the_pairs_valid_at_the_pixel() {
        let whole = Region::whole(1, 3);
        let ones = Array3::<f32>::ones((1, 1, 3));
        let mut early = ones.clone();
        early[(0, 0, 1)] = f32::NAN;
        let pair =
            |fine, gap| PairTile { fine, coarse: ones.view(), classes: None, objects: None, pan: None, gap_days: Some(gap) };
        let tile = TileIn {
            region: whole,
            padded: whole,
            pairs: vec![pair(early.view(), -8), pair(ones.view(), 16)],
            target: ones.view(),
        };
        let mut image = ones.clone();
        image[(0, 0, 2)] = f32::NAN;
        let mut support = Array3::<f32>::zeros((5, 1, 3));
        complete(&tile, &image.view(), &mut support.view_mut());
        assert_eq!((support[(2, 0, 0)], support[(3, 0, 0)]), (8.0, 0.0));
        assert_eq!((support[(2, 0, 1)], support[(3, 0, 1)]), (16.0, 1.0));
        assert!((0..5).all(|b| support[(b, 0, 2)].is_nan()));
    }
}
