//! Values of an image at positions between its pixels.
//!
//! * nearest: the pixel that holds the position.
//! * bilinear: linear between the four pixel centres around, the border repeated outwards.
//! * cubic: cubic convolution (Keys 1981, a = -1/2) over sixteen pixels; where one of them is invalid or beyond the border,
//!   bilinear.
//!
//! The result is invalid where the pixel that holds the position is invalid or outside; other invalid pixels are left out
//! and the weights of the rest are scaled up. Each result depends on its position and the image alone, not on the window
//! or the region at hand. The bilinear form `a + (b - a) t` returns a constant exactly.

use ndarray::{Array3, ArrayViewMut1, ArrayViewMut3};

use crate::source::Resampling;
use crate::Region;

/// A part of an image in memory.
#[derive(Debug, Clone)]
pub struct Window {
    /// Values, (band, row, col), C-contiguous; invalid ones are `NaN`.
    pub values: Array3<f32>,
    /// Where they lie in the image.
    pub region: Region,
    /// Number of rows of the whole image.
    pub rows: usize,
    /// Number of columns of the whole image.
    pub cols: usize,
}

/// Pixels needed around the footprint of the positions.
pub fn margin(resampling: Resampling) -> usize {
    match resampling {
        Resampling::Nearest => 0,
        Resampling::Bilinear => 1,
        Resampling::Cubic => 2,
    }
}

/// Fills `out` (band, row, col) with the values at the positions of the reference pixels of `region`.
///
/// `positions(row, col, cols, rows)` fills the continuous positions (col, row) in the image, in pixels from its corner, of
/// the centres of the reference pixels `col`.. of row `row`. The window must hold the pixels at these positions, and those
/// around them up to [`margin`]; positions that it does not hold are invalid.
pub fn resample(
    window: &Window,
    positions: impl Fn(usize, usize, &mut [f64], &mut [f64]),
    resampling: Resampling,
    region: Region,
    mut out: ArrayViewMut3<'_, f32>,
) {
    let values = window.values.as_standard_layout();
    let Some(all) = values.as_slice() else { return };
    let plane = window.region.pixels();
    let (mut cols, mut rows) = (vec![0.0; region.cols], vec![0.0; region.cols]);
    let mut taps: Vec<Tap> = Vec::with_capacity(region.cols);
    for r in 0..region.rows {
        positions(region.row + r, region.col, &mut cols, &mut rows);
        taps.clear();
        taps.extend(cols.iter().zip(&rows).map(|(&c, &r)| Tap::new(window, c, r)));
        for (band, mut plane_out) in out.outer_iter_mut().enumerate() {
            let values = &all[band * plane..(band + 1) * plane];
            let row = plane_out.row_mut(r);
            match resampling {
                Resampling::Nearest => fill(row, &taps, |t| values[t.nearest as usize]),
                Resampling::Bilinear => fill(row, &taps, |t| bilinear(values, t)),
                Resampling::Cubic => fill(row, &taps, |t| cubic(values, t, window.region.cols)),
            }
        }
    }
}

/// Whether an image of `rows` x `cols` holds a continuous position, in pixels from its corner; false for `NaN`.
#[inline]
pub fn is_inside(col: f64, row: f64, rows: usize, cols: usize) -> bool {
    col >= 0.0 && row >= 0.0 && col < cols as f64 && row < rows as f64
}

#[inline]
fn fill(row: ArrayViewMut1<'_, f32>, taps: &[Tap], value: impl Fn(&Tap) -> f32) {
    for (o, tap) in row.into_iter().zip(taps) {
        *o = if tap.nearest == OUTSIDE { f32::NAN } else { value(tap) };
    }
}

/// Stands for no pixel.
const OUTSIDE: u32 = u32::MAX;

/// The pixels around a position, as indices into a plane of the window. Small, since a row of them is read for every band.
#[derive(Debug, Clone, Copy)]
struct Tap {
    nearest: u32,
    /// Upper-left of the four pixels around.
    first: u32,
    /// Step to the lower one; 0 at the border.
    below: u32,
    /// Distance from the upper-left one's centre, 0 to 1.
    tx: f32,
    ty: f32,
    /// Step to the right one; 0 at the border.
    right: u8,
    /// Whether all sixteen pixels around are pixels of the image.
    inner: bool,
}

impl Tap {
    #[inline]
    fn new(window: &Window, col: f64, row: f64) -> Tap {
        let outside = Tap { nearest: OUTSIDE, first: 0, below: 0, tx: 0.0, ty: 0.0, right: 0, inner: false };
        if !is_inside(col, row, window.rows, window.cols) {
            return outside;
        }
        let region = &window.region;
        // Truncation is a floor for numbers that are not negative, and needs no call.
        let (i, j) = ((col + 0.5) as isize - 1, (row + 0.5) as isize - 1);
        let (tx, ty) = (col - 0.5 - i as f64, row - 0.5 - j as f64);
        let clamp = |v: isize, length: usize| v.clamp(0, length as isize - 1) as usize;
        let (i0, i1) = (clamp(i, window.cols), clamp(i + 1, window.cols));
        let (j0, j1) = (clamp(j, window.rows), clamp(j + 1, window.rows));
        let at = |j: usize, i: usize| ((j - region.row) * region.cols + (i - region.col)) as u32;
        let within = |j: usize, i: usize| j.wrapping_sub(region.row) < region.rows && i.wrapping_sub(region.col) < region.cols;
        let (nj, ni) = (row as usize, col as usize);
        if !within(nj, ni) {
            return outside;
        }
        let nearest = at(nj, ni);
        if !within(j0, i0) || !within(j1, i1) {
            // A window without a margin serves the nearest pixel alone.
            return Tap { nearest, first: nearest, ..outside };
        }
        let inner = i >= 1 && j >= 1 && i + 2 < window.cols as isize && j + 2 < window.rows as isize;
        let below = ((j1 - j0) * region.cols) as u32;
        Tap { nearest, first: at(j0, i0), below, tx: tx as f32, ty: ty as f32, right: (i1 - i0) as u8, inner }
    }
}

#[inline]
fn bilinear(values: &[f32], t: &Tap) -> f32 {
    let (first, right, below) = (t.first as usize, t.right as usize, t.below as usize);
    let (a, b) = (values[first], values[first + right]);
    let (c, d) = (values[first + below], values[first + below + right]);
    let upper = a + (b - a) * t.tx;
    let lower = c + (d - c) * t.tx;
    let value = upper + (lower - upper) * t.ty;
    if value.is_nan() {
        bilinear_of_valid([a, b, c, d], values[t.nearest as usize], t)
    } else {
        value
    }
}

#[cold]
fn bilinear_of_valid(corners: [f32; 4], nearest: f32, t: &Tap) -> f32 {
    if nearest.is_nan() {
        return f32::NAN;
    }
    let (tx, ty) = (f64::from(t.tx), f64::from(t.ty));
    let weights = [(1.0 - tx) * (1.0 - ty), tx * (1.0 - ty), (1.0 - tx) * ty, tx * ty];
    let (mut sum, mut total) = (0.0, 0.0);
    for (v, w) in corners.into_iter().zip(weights).filter(|(v, w)| !v.is_nan() && *w > 0.0) {
        sum += w * f64::from(v);
        total += w;
    }
    (sum / total) as f32
}

/// Keys's weights of the four pixels around a distance of 0 to 1 from the second.
fn keys(t: f64) -> [f64; 4] {
    [((-0.5 * t + 1.0) * t - 0.5) * t, (1.5 * t - 2.5) * t * t + 1.0, ((-1.5 * t + 2.0) * t + 0.5) * t, (0.5 * t - 0.5) * t * t]
}

#[inline]
fn cubic(values: &[f32], t: &Tap, stride: usize) -> f32 {
    let corner = match (t.first as usize).checked_sub(stride + 1) {
        Some(corner) if t.inner => corner,
        _ => return bilinear(values, t),
    };
    let (wx, wy) = (keys(f64::from(t.tx)), keys(f64::from(t.ty)));
    let mut sum = 0.0;
    for (j, wy) in wy.into_iter().enumerate() {
        let row = &values[corner + j * stride..corner + j * stride + 4];
        sum +=
            wy * (wx[0] * f64::from(row[0]) + wx[1] * f64::from(row[1]) + wx[2] * f64::from(row[2]) + wx[3] * f64::from(row[3]));
    }
    if sum.is_nan() {
        bilinear(values, t)
    } else {
        sum as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::ArrayView3;

    const NAN: f32 = f32::NAN;

    /// A whole image as a window.
    fn whole(values: ArrayView3<'_, f32>) -> Window {
        let (_, rows, cols) = values.dim();
        Window { values: values.to_owned(), region: Region::whole(rows, cols), rows, cols }
    }

    /// Positions of reference pixels whose side is `scale` pixels of the image, the first column's edge being at `origin`.
    fn scaled(origin: f64, scale: f64) -> impl Fn(usize, usize, &mut [f64], &mut [f64]) {
        move |row, col, cols, rows| {
            for (k, (c, r)) in cols.iter_mut().zip(rows).enumerate() {
                (*c, *r) = (origin + scale * ((col + k) as f64 + 0.5), scale * (row as f64 + 0.5));
            }
        }
    }

    fn at(image: &Array3<f32>, resampling: Resampling, scale: f64, rows: usize, cols: usize) -> Array3<f32> {
        let mut out = Array3::zeros((image.dim().0, rows, cols));
        resample(&whole(image.view()), scaled(0.0, scale), resampling, Region::whole(rows, cols), out.view_mut());
        out
    }

    #[test]
    fn planes_are_reproduced_between_centres() {
        let image = Array3::from_shape_fn((2, 8, 8), |(b, r, c)| (b + 1) as f32 * (r as f32 * 10.0 + c as f32));
        for resampling in [Resampling::Bilinear, Resampling::Cubic] {
            let out = at(&image, resampling, 0.25, 32, 32);
            for ((b, r, c), v) in out.indexed_iter() {
                let (y, x) = ((r as f32 + 0.5) / 4.0 - 0.5, (c as f32 + 0.5) / 4.0 - 0.5);
                let inner = (1.0..=6.0).contains(&x) && (1.0..=6.0).contains(&y);
                let expected = (b + 1) as f32 * (y.clamp(0.0, 7.0) * 10.0 + x.clamp(0.0, 7.0));
                assert!(!inner && resampling == Resampling::Cubic || (v - expected).abs() < 1e-4, "{b} {r} {c}: {v} {expected}");
            }
        }
    }

    #[test]
    fn a_constant_is_returned_exactly() {
        let value = 0.123_456_79_f32;
        let mut image = Array3::from_elem((1, 7, 7), value);
        image[[0, 3, 3]] = NAN;
        for resampling in [Resampling::Nearest, Resampling::Bilinear, Resampling::Cubic] {
            let out = at(&image, resampling, 0.3, 23, 23);
            assert!(out.iter().all(|v| v.is_nan() || *v == value), "{resampling:?}");
            assert_eq!(
                out.iter().filter(|v| v.is_nan()).count(),
                at(&image, Resampling::Nearest, 0.3, 23, 23).iter().filter(|v| v.is_nan()).count()
            );
        }
    }

    #[test]
    fn invalid_pixels_are_left_out_and_their_own_area_is_invalid() {
        let image = ndarray::array![[[1.0, NAN, 3.0], [1.0, 1.0, 3.0], [1.0, 1.0, 3.0]]];
        let out = at(&image, Resampling::Bilinear, 0.5, 6, 6);
        assert!(out[[0, 0, 2]].is_nan() && out[[0, 1, 3]].is_nan());
        assert_eq!((out[[0, 0, 1]], out[[0, 0, 4]]), (1.0, 3.0));
        assert!(out[[0, 2, 2]] == 1.0 && out[[0, 2, 3]] > 1.0);
    }

    #[test]
    fn positions_outside_are_invalid() {
        let mut out = Array3::zeros((1, 2, 8));
        resample(
            &whole(Array3::from_elem((1, 1, 2), 5.0).view()),
            scaled(-1.0, 0.5),
            Resampling::Bilinear,
            Region::whole(2, 8),
            out.view_mut(),
        );
        let valid: Vec<bool> = out.row_iter_first();
        assert_eq!(valid, [false, false, true, true, true, true, false, false]);
    }

    trait FirstRow {
        fn row_iter_first(&self) -> Vec<bool>;
    }
    impl FirstRow for Array3<f32> {
        fn row_iter_first(&self) -> Vec<bool> {
            self.slice(ndarray::s![0, 0, ..]).iter().map(|v| !v.is_nan()).collect()
        }
    }

    #[test]
    fn keys_weights_sum_to_one_and_interpolate() {
        for t in [0.0, 0.1, 0.5, 0.9] {
            assert!((keys(t).iter().sum::<f64>() - 1.0).abs() < 1e-15);
        }
        assert_eq!(keys(0.0), [0.0, 1.0, 0.0, 0.0]);
    }
}
