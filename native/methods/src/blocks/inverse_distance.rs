//! Interpolation of coarse values at fine pixels by inverse squared distance.
//!
//! A fine pixel gets the mean of the coarse values whose centres lie within two coarse pixels of it, weighted by `1 / distance²`; a fine
//! pixel at a centre gets that centre's value. Missing values are left out. Smoother methods follow trends; this one never leaves
//! the range of the values around.

/// Coarse pixels on every side that may lie within reach.
const REACH: usize = 2;
const SIDE: usize = 2 * REACH + 1;

/// Weights of the coarse pixels around each fine pixel of a coarse pixel, `[neighbour][row][col]`.
#[derive(Debug, Clone)]
pub struct InverseDistance {
    rows: usize,
    cols: usize,
    scale: usize,
    weights: Vec<f32>,
}

impl InverseDistance {
    /// For a scene of `rows` x `cols` coarse pixels of `scale` x `scale` fine pixels.
    pub fn new(rows: usize, cols: usize, scale: usize) -> InverseDistance {
        // in half fine pixels, whole numbers
        let apart = |neighbour: usize, index: usize| {
            let (centre, pixel) = (2 * neighbour * scale + scale, 2 * REACH * scale + 2 * index + 1);
            centre.abs_diff(pixel).pow(2)
        };
        let reach = (2 * REACH * scale).pow(2);
        let mut weights = Vec::with_capacity(SIDE * SIDE * scale * scale);
        for neighbour in 0..SIDE * SIDE {
            for pixel in 0..scale * scale {
                let squared = apart(neighbour / SIDE, pixel / scale) + apart(neighbour % SIDE, pixel % scale);
                let inverse = reach as f64 / squared as f64;
                // a centre outweighs everything else beyond f32's precision
                let weight = if squared > reach { 0.0 } else { inverse.min(1e12) };
                weights.push(weight as f32);
            }
        }
        InverseDistance { rows, cols, scale, weights }
    }

    /// Weights of the coarse pixels around each fine pixel of a coarse pixel, `[neighbour][row][col]`.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Values at the fine pixels of the coarse pixel at (`row`, `col`), into `out` (`scale` x `scale`, row by row); `NaN` where no
    /// coarse value is within reach. `values` is (row, col), `NaN` where missing.
    pub fn predict(&self, values: &[f32], (row, col): (usize, usize), out: &mut [f32], sums: &mut Vec<f32>) {
        let pixels = self.scale * self.scale;
        debug_assert_eq!((values.len(), out.len()), (self.rows * self.cols, pixels));
        sums.clear();
        sums.resize(pixels, 0.0);
        out.fill(0.0);
        // deviations from one value, so that a constant stays one
        let origin = values[row * self.cols + col];
        let mut origin = if origin.is_nan() { None } else { Some(origin) };
        for (neighbour, weights) in self.weights.chunks_exact(pixels).enumerate() {
            let place = |i: usize, offset: usize, n: usize| (i + offset).checked_sub(REACH).filter(|i| *i < n);
            let (Some(r), Some(c)) = (place(row, neighbour / SIDE, self.rows), place(col, neighbour % SIDE, self.cols)) else {
                continue;
            };
            let value = values[r * self.cols + c];
            if value.is_nan() {
                continue;
            }
            let deviation = value - *origin.get_or_insert(value);
            for ((sum, total), weight) in out.iter_mut().zip(&mut *sums).zip(weights) {
                *sum += weight * deviation;
                *total += weight;
            }
        }
        let origin = origin.unwrap_or(f32::NAN);
        for (value, total) in out.iter_mut().zip(&*sums) {
            let mean = origin + *value / total;
            *value = if *total == 0.0 {
                f32::NAN
            } else if mean.is_finite() {
                mean
            } else {
                origin
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, pixel by pixel.
    fn literal(values: &[f32], (rows, cols, scale): (usize, usize, usize), y: f64, x: f64) -> f64 {
        let (mut sum, mut total) = (0.0, 0.0);
        for r in 0..rows {
            for c in 0..cols {
                let middle = |i: usize| i as f64 * scale as f64 + (scale as f64 - 1.0) / 2.0;
                let squared = (middle(r) - y).powi(2) + (middle(c) - x).powi(2);
                let value = f64::from(values[r * cols + c]);
                if value.is_nan() || squared > (4 * scale * scale) as f64 {
                    continue;
                }
                if squared == 0.0 {
                    return value;
                }
                sum += value / squared;
                total += 1.0 / squared;
            }
        }
        sum / total
    }

    proptest! {
        #[test]
        fn every_pixel_agrees_with_the_definition(
            values in prop::collection::vec(prop::option::weighted(0.8, -5.0f32..5.0), 20), scale in 1usize..7, row in 0usize..4, col in 0usize..5,
        ) {
            let values: Vec<f32> = values.into_iter().map(|v| v.unwrap_or(f32::NAN)).collect();
            let spread = InverseDistance::new(4, 5, scale);
            let mut out = vec![0.0; scale * scale];
            spread.predict(&values, (row, col), &mut out, &mut Vec::new());
            for (i, v) in out.iter().enumerate() {
                let expected = literal(&values, (4, 5, scale), (row * scale + i / scale) as f64, (col * scale + i % scale) as f64);
                prop_assert!(v.is_nan() == expected.is_nan() && (v.is_nan() || (f64::from(*v) - expected).abs() < 1e-4), "{} and {}", v, expected);
            }
        }
    }

    #[test]
    fn a_constant_stays_one() {
        let spread = InverseDistance::new(3, 3, 4);
        let mut out = [0.0; 16];
        spread.predict(&[0.37; 9], (1, 0), &mut out, &mut Vec::new());
        assert_eq!(out, [0.37; 16]);
    }
}
