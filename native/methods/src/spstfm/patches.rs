//! The grid of overlapping patches over a scene, and the values under a patch.
//!
//! The grid belongs to the scene, not to a tile: patches are `patch - overlap` pixels apart and lie symmetrically about the
//! scene, so that the outermost ones reach beyond it by at most that distance in all.

use std::ops::Range;

use ndarray::ArrayView2;

/// Positions of patches along rows or columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Pixels of the scene.
    length: usize,
    patch: usize,
    stride: usize,
    /// Pixels by which the first patch begins before the scene.
    lead: usize,
    /// Number of patches.
    pub count: usize,
}

impl Axis {
    /// Patches of `patch` pixels that share `overlap` with the next, over `length` pixels. `overlap < patch`.
    pub fn new(length: usize, patch: usize, overlap: usize) -> Self {
        let stride = patch - overlap;
        let count = length.saturating_sub(overlap).div_ceil(stride).max(1);
        let lead = (count * stride + overlap).saturating_sub(length) / 2;
        Axis { length, patch, stride, lead, count }
    }

    /// Pixels of the scene.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Pixels from a patch to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// First pixel of patch `index`, which may lie before the scene.
    pub fn start(&self, index: usize) -> isize {
        (index * self.stride) as isize - self.lead as isize
    }

    /// The pixels of patch `index` that lie in the scene.
    pub fn inside(&self, index: usize) -> Range<usize> {
        let start = self.start(index);
        start.max(0) as usize..((start + self.patch as isize) as usize).min(self.length)
    }

    /// The patches that hold a pixel of `pixels`.
    pub fn touching(&self, pixels: Range<usize>) -> Range<usize> {
        let first = (pixels.start + self.lead + 1).saturating_sub(self.patch).div_ceil(self.stride);
        let end = (pixels.end + self.lead).div_ceil(self.stride).min(self.count);
        first..end.max(first)
    }
}

/// Where an image that is given in part lies in the scene: (row, col) of its first pixel.
pub type Origin = (usize, usize);

/// Fills `out` (patch x patch) with `later - earlier` under the patch at (row, col) of the scene; `NaN` where one of the two
/// is invalid, and outside the images, which begin at `origin`.
pub fn difference(
    (earlier, later): (&ArrayView2<'_, f32>, &ArrayView2<'_, f32>),
    origin: Origin,
    (row, col): (isize, isize),
    patch: usize,
    out: &mut [f64],
) {
    let (rows, cols) = later.dim();
    let place = |p: isize, origin: usize, length: usize| usize::try_from(p - origin as isize).ok().filter(|&p| p < length);
    out.fill(f64::NAN);
    for (i, line) in out.chunks_exact_mut(patch).enumerate() {
        let Some(r) = place(row + i as isize, origin.0, rows) else { continue };
        for (j, value) in line.iter_mut().enumerate() {
            if let Some(c) = place(col + j as isize, origin.1, cols) {
                *value = f64::from(later[(r, c)]) - f64::from(earlier[(r, c)]);
            }
        }
    }
}

/// Replaces `NaN` by the mean of the other values, or by 0 where there is none, and returns how many were replaced.
pub fn fill_gaps(values: &mut [f64]) -> usize {
    let (mut sum, mut valid) = (0.0, 0usize);
    for &v in values.iter().filter(|v| !v.is_nan()) {
        sum += v;
        valid += 1;
    }
    let mean = if valid > 0 { sum / valid as f64 } else { 0.0 };
    values.iter_mut().filter(|v| v.is_nan()).for_each(|v| *v = mean);
    values.len() - valid
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_pixel_is_covered_and_found(
            length in 1usize..60, patch in 2usize..9, share in 0usize..5, from in 0usize..60, count in 1usize..20,
        ) {
            let overlap = share.min(patch / 2);
            let axis = Axis::new(length, patch, overlap);
            let holds = |i: usize, p: usize| axis.start(i) <= p as isize && (p as isize) < axis.start(i) + patch as isize;
            for p in 0..length {
                prop_assert!((0..axis.count).any(|i| holds(i, p)), "pixel {} of {}", p, length);
            }
            for i in 0..axis.count {
                let inside = axis.inside(i);
                prop_assert!(!inside.is_empty() && (0..length).filter(|&p| holds(i, p)).eq(inside));
            }
            let pixels = from.min(length - 1)..(from + count).min(length).max(from.min(length - 1) + 1);
            let touching: Vec<usize> = (0..axis.count).filter(|&i| pixels.clone().any(|p| holds(i, p))).collect();
            prop_assert_eq!(touching, axis.touching(pixels).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_grid_lies_symmetrically_about_the_scene() {
        let axis = Axis::new(400, 7, 2);
        assert_eq!((axis.count, axis.start(0), axis.start(79)), (80, -1, 394));
    }

    #[test]
    fn differences_are_invalid_outside_and_where_a_value_is() {
        let (earlier, later) = (array![[1.0f32, 2.0], [3.0, f32::NAN]], array![[5.0f32, 5.0], [5.0, 5.0]]);
        let mut out = [0.0; 9];
        difference((&earlier.view(), &later.view()), (10, 20), (9, 20), 3, &mut out);
        let expected = [f64::NAN, f64::NAN, f64::NAN, 4.0, 3.0, f64::NAN, 2.0, f64::NAN, f64::NAN];
        assert!(out.iter().zip(expected).all(|(a, b)| *a == b || (a.is_nan() && b.is_nan())), "{out:?}");
    }

    #[test]
    fn gaps_become_the_mean() {
        let mut values = [1.0, f64::NAN, 3.0, f64::NAN];
        fill_gaps(&mut values);
        assert_eq!(values, [1.0, 2.0, 3.0, 2.0]);
        let mut nothing = [f64::NAN; 2];
        fill_gaps(&mut nothing);
        assert_eq!(nothing, [0.0; 2]);
    }
}
