//! Smooth fine images from coarse ones: the cubic spline through the values of the coarse pixels at their centres.
//!
//! A B-spline of third degree whose coefficients are found by a recursive filter (Unser, Aldroubi and Eden 1993, IEEE Trans. Signal
//! Processing 41:821-833), the image continued by reflection at its outer coarse pixels; values are limited to the range of the coarse
//! image, as by `resize` of scikit-image with order 3. Coefficients are as many as coarse pixels; each fine value is a sum over 4 x 4 of
//! them.

use ndarray::{Array3, ArrayView3, ArrayViewMut2, Axis};
use stfusion_core::Region;

use super::coarse_grid::CoarseGrid;

/// The pole of the filter, √3 − 2.
const POLE: f64 = -0.267_949_192_431_122_7;

/// Splines of the bands of a coarse image.
#[derive(Debug, Clone)]
pub struct CubicSpline {
    scale: usize,
    coefficients: Array3<f32>,
    /// Smallest and largest value of each band.
    limits: Vec<(f32, f32)>,
}

impl CubicSpline {
    /// Through `values` (band, cell row, cell col), all of them finite.
    pub fn through(grid: &CoarseGrid, values: ArrayView3<'_, f64>) -> Self {
        let mut coefficients = values.to_owned();
        for lanes in [1, 2] {
            for mut lane in coefficients.lanes_mut(Axis(lanes)) {
                let mut line = lane.to_vec();
                filter(&mut line);
                lane.iter_mut().zip(line).for_each(|(to, value)| *to = value);
            }
        }
        let limits = values
            .outer_iter()
            .map(|band| band.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v as f32), h.max(v as f32))))
            .collect();
        CubicSpline { scale: grid.scale, coefficients: coefficients.mapv(|v| v as f32), limits }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        4 * self.coefficients.len()
    }

    /// The coefficients, (band, cell row, cell col).
    pub fn coefficients(&self) -> &Array3<f32> {
        &self.coefficients
    }

    /// Smallest and largest value of each band.
    pub fn limits(&self) -> &[(f32, f32)] {
        &self.limits
    }

    /// Writes the values of band `band` at the fine pixels of `region`, (row, col).
    pub fn fill(&self, band: usize, region: Region, mut out: ArrayViewMut2<'_, f32>) {
        let coefficients = self.coefficients.index_axis(Axis(0), band);
        let (rows, cols) = coefficients.dim();
        let (low, high) = self.limits[band];
        let along: Vec<_> = (region.col..region.col + region.cols).map(|c| self.weights(c, cols)).collect();
        // only the coarse columns under the region are summed over rows
        let first = along.iter().flat_map(|(at, _)| at).copied().min().unwrap_or(0);
        let last = along.iter().flat_map(|(at, _)| at).copied().max().unwrap_or(0);
        let mut sums = vec![0.0f32; last + 1 - first];
        for (row, mut line) in out.outer_iter_mut().enumerate() {
            let (at, weights) = self.weights(region.row + row, rows);
            for (sum, col) in sums.iter_mut().zip(first..) {
                *sum = weighted(weights, at.map(|row| coefficients[(row, col)]));
            }
            for (value, (at, weights)) in line.iter_mut().zip(&along) {
                *value = weighted(*weights, at.map(|col| sums[col - first])).max(low).min(high);
            }
        }
    }

    /// The values of all bands at the fine pixels of `region`, (band, row, col).
    pub fn image(&self, region: Region) -> Array3<f32> {
        let mut image = Array3::zeros((self.limits.len(), region.rows, region.cols));
        for (band, out) in image.outer_iter_mut().enumerate() {
            self.fill(band, region, out);
        }
        image
    }

    /// Coefficients (of `count`) and weights for the fine pixel `i` of a row or column.
    fn weights(&self, i: usize, count: usize) -> ([usize; 4], [f32; 4]) {
        let position = (i as f64 + 0.5) / self.scale as f64 - 0.5;
        let whole = position.floor();
        let t = position - whole;
        let u = 1.0 - t;
        let weights = [u * u * u, 4.0 - 6.0 * t * t + 3.0 * t * t * t, 4.0 - 6.0 * u * u + 3.0 * u * u * u, t * t * t];
        let at = [-1, 0, 1, 2].map(|step| reflected(whole as i64 + step, count));
        (at, weights.map(|w| (w / 6.0) as f32))
    }
}

fn weighted(weights: [f32; 4], values: [f32; 4]) -> f32 {
    weights[0] * values[0] + weights[1] * values[1] + weights[2] * values[2] + weights[3] * values[3]
}

/// The place in `0..count` that a place beyond an end is reflected to, the end itself not repeated: −1 becomes 1.
pub fn reflected(place: i64, count: usize) -> usize {
    if count <= 1 {
        return 0;
    }
    let period = 2 * (count as i64 - 1);
    let place = place.rem_euclid(period);
    place.min(period - place) as usize
}

/// Turns values into coefficients.
fn filter(line: &mut [f64]) {
    let n = line.len();
    if n < 2 {
        return;
    }
    // the sum over the reflected line to the left, which is periodic
    let period = 2 * (n - 1);
    let mut power = 1.0;
    let mut first = 0.0;
    for k in 0..period {
        first += power * line[k.min(period - k)];
        power *= POLE;
    }
    line[0] = first / (1.0 - power);
    for k in 1..n {
        line[k] += POLE * line[k - 1];
    }
    line[n - 1] = POLE / (POLE * POLE - 1.0) * (line[n - 1] + POLE * line[n - 2]);
    for k in (0..n - 1).rev() {
        line[k] = POLE * (line[k + 1] - line[k]);
    }
    line.iter_mut().for_each(|v| *v *= 6.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array;
    use proptest::prelude::*;

    fn of(grid: &CoarseGrid, values: Vec<f64>) -> CubicSpline {
        CubicSpline::through(grid, Array::from_shape_vec((1, grid.rows, grid.cols), values).unwrap().view())
    }

    proptest! {
        #[test]
        fn the_spline_goes_through_the_centres_and_stays_in_the_range(
            rows in 1usize..7, cols in 1usize..7, values in prop::collection::vec(-3.0f64..3.0, 36),
        ) {
            let grid = CoarseGrid::new(3 * rows, 3 * cols, 3);
            let values = values[..rows * cols].to_vec();
            let image = of(&grid, values.clone()).image(Region::whole(3 * rows, 3 * cols));
            let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
            for (i, v) in values.iter().enumerate() {
                let centre = f64::from(image[(0, i / cols * 3 + 1, i % cols * 3 + 1)]);
                prop_assert!((centre - v).abs() < 1e-5, "{} and {}", centre, v);
            }
            prop_assert!(image.iter().all(|v| (low - 1e-6..high + 1e-6).contains(&f64::from(*v)) || low == high));
        }

        #[test]
        fn a_part_is_the_part_of_the_whole(
            values in prop::collection::vec(-3.0f64..3.0, 12), row in 0usize..10, col in 0usize..13,
        ) {
            let grid = CoarseGrid::new(11, 15, 4);
            let spline = of(&grid, values);
            let part = spline.image(Region::new(row, col, 1, 2));
            let whole = spline.image(Region::whole(11, 15));
            prop_assert_eq!(part, whole.slice(ndarray::s![.., row..row + 1, col..col + 2]));
        }
    }

    #[test]
    fn values_are_those_of_scikit_image() {
        // skimage.transform.resize([[1, 4, 2], [0, -1, 5]], (4, 6), order=3)
        let grid = CoarseGrid::new(4, 6, 2);
        let image = of(&grid, vec![1.0, 4.0, 2.0, 0.0, -1.0, 5.0]).image(Region::whole(4, 6));
        #[rustfmt::skip]
        let expected = [
            1.15771, 1.15771, 2.67626, 3.27294, 2.64306, 2.64306,
            1.15771, 1.15771, 2.67626, 3.27294, 2.64306, 2.64306,
            -0.05615, -0.05615, -0.62158, 0.98486, 3.94287, 3.94287,
            -0.05615, -0.05615, -0.62158, 0.98486, 3.94287, 3.94287,
        ];
        for (value, expected) in image.iter().zip(expected) {
            assert!((value - expected).abs() < 2e-5, "{value} and {expected}");
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let grid = CoarseGrid::new(20, 20, 4);
        assert!(of(&grid, vec![0.0; 25]).image(Region::whole(20, 20)).iter().all(|v| *v == 0.0));
    }

    #[test]
    fn places_are_reflected_without_repeating_the_end() {
        assert_eq!([-2, -1, 0, 2, 3, 4, 5].map(|i| reflected(i, 3)), [2, 1, 0, 2, 1, 0, 1]);
        assert_eq!(reflected(-7, 1), 0);
    }
}
