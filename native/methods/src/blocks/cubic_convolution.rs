//! Coarse values at fine pixels by cubic convolution (Keys 1981, a = -1/2): a sum over the 4 x 4 coarse pixels around.
//!
//! The border is repeated outwards. Unlike a spline it needs no equations, and reaches two coarse pixels only.

/// Coarse pixels on every side of one that its fine pixels depend on.
const REACH: usize = 2;
const SIDE: usize = 2 * REACH + 1;

/// Weights for a scene of `rows` x `cols` coarse pixels of `scale` x `scale` fine pixels.
#[derive(Debug, Clone)]
pub struct CubicConvolution {
    rows: usize,
    cols: usize,
    scale: usize,
    /// For every fine row (or column) of a coarse pixel the weights of the coarse rows around it.
    weights: Vec<[f32; SIDE]>,
}

/// The kernel at a distance in coarse pixels.
fn kernel(distance: f64) -> f64 {
    match distance.abs() {
        d if d < 1.0 => (1.5 * d - 2.5) * d * d + 1.0,
        d if d < 2.0 => ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0,
        _ => 0.0,
    }
}

impl CubicConvolution {
    /// For a scene of `rows` x `cols` coarse pixels of `scale` x `scale` fine pixels; all at least 1.
    pub fn new(rows: usize, cols: usize, scale: usize) -> Self {
        let of = |i: usize| {
            let place = (i as f64 + 0.5) / scale as f64 - 0.5;
            std::array::from_fn(|n| kernel(place - (n as f64 - REACH as f64)) as f32)
        };
        CubicConvolution { rows, cols, scale, weights: (0..scale).map(of).collect() }
    }

    /// For every fine row (or column) of a coarse pixel the weights of the five coarse rows around it.
    pub fn weights(&self) -> &[[f32; SIDE]] {
        &self.weights
    }

    /// Values at the fine pixels of the coarse pixel at (`row`, `col`), into `out` (`scale` x `scale`, row by row). `values` is
    /// (row, col) of all coarse pixels, without `NaN`.
    pub fn predict(&self, values: &[f32], (row, col): (usize, usize), out: &mut [f32]) {
        debug_assert_eq!((values.len(), out.len()), (self.rows * self.cols, self.scale * self.scale));
        let near = |i: usize, n: usize, length: usize| (i + n).saturating_sub(REACH).min(length - 1);
        // deviations from the value in the middle, so that a constant stays one
        let middle = values[row * self.cols + col];
        let around: [[f32; SIDE]; SIDE] = std::array::from_fn(|y| {
            let line = near(row, y, self.rows) * self.cols;
            std::array::from_fn(|x| values[line + near(col, x, self.cols)] - middle)
        });
        for (line, down) in out.chunks_exact_mut(self.scale).zip(&self.weights) {
            let sums: [f32; SIDE] = std::array::from_fn(|x| (0..SIDE).map(|y| down[y] * around[y][x]).sum());
            for (value, along) in line.iter_mut().zip(&self.weights) {
                let sum = middle + sums.iter().zip(along).map(|(sum, weight)| sum * weight).sum::<f32>();
                *value = if sum.is_finite() { sum } else { middle };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn planes_are_continued_between_coarse_pixels(scale in 1usize..8, level in -1.0f32..1.0, down in -1.0f32..1.0, right in -1.0f32..1.0) {
            let values: Vec<f32> = (0..35).map(|i| level + down * (i / 7) as f32 + right * (i % 7) as f32).collect();
            let mut out = vec![0.0; scale * scale];
            CubicConvolution::new(5, 7, scale).predict(&values, (2, 3), &mut out);
            for (i, value) in out.iter().enumerate() {
                let at = |i: usize| (i as f32 + 0.5) / scale as f32 - 0.5;
                let expected = level + down * (2.0 + at(i / scale)) + right * (3.0 + at(i % scale));
                prop_assert!((value - expected).abs() < 1e-5, "{} and {}", value, expected);
            }
        }

        #[test]
        fn centres_keep_their_value(values in prop::collection::vec(-3.0f32..3.0, 12), row in 0usize..3, col in 0usize..4) {
            let mut out = vec![0.0; 25];
            CubicConvolution::new(3, 4, 5).predict(&values, (row, col), &mut out);
            prop_assert!((out[12] - values[row * 4 + col]).abs() < 1e-5);
        }
    }

    #[test]
    fn between_two_pixels_the_weights_are_those_of_keys() {
        // halfway: (−1 9 9 −1) / 16; with an even scale no fine pixel lies there, a quarter away one does
        assert_eq!([kernel(1.5), kernel(0.5), kernel(0.25)], [-0.0625, 0.5625, 0.8671875]);
        let mut out = vec![0.0; 4];
        CubicConvolution::new(1, 4, 2).predict(&[0.0, 0.0, 1.0, 0.0], (0, 2), &mut out);
        assert_eq!(out, [0.8671875; 4]);
        CubicConvolution::new(1, 1, 2).predict(&[0.3], (0, 0), &mut out);
        assert_eq!(out, [0.3; 4]);
    }
}
