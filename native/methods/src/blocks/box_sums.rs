//! Counts, sums and standard deviations over the window of every pixel, in two passes (down the columns, then along the rows).
//!
//! Each pixel's sums are taken afresh in one order, top to bottom and left to right, so they do not depend on where the block
//! around it begins. Planes have a rim of `half` pixels on every side; pixels outside the scene are `NaN` like invalid ones.

use stfusion_core::{Cancel, Result};

/// A plane of `rows + 2 half` x `cols + 2 half` values, row by row.
#[derive(Debug, Clone, Copy)]
pub struct RimmedPlane<'a> {
    /// The values; `NaN` is invalid.
    pub values: &'a [f32],
    /// Rows without the rim.
    pub rows: usize,
    /// Columns without the rim.
    pub cols: usize,
    /// Width of the rim and half window.
    pub half: usize,
}

/// Sum over the window of each pixel of `N` numbers made from a value.
fn window_sums<const N: usize>(
    plane: RimmedPlane<'_>,
    cancel: &Cancel,
    of: impl Fn(f32) -> [f64; N],
    mut to: impl FnMut(usize, [f64; N]),
) -> Result<()> {
    let RimmedPlane { values, rows, cols, half } = plane;
    let (side, width) = (2 * half + 1, cols + 2 * half);
    let (mut columns, mut sums) = (vec![[0.0f64; N]; width], vec![[0.0f64; N]; cols]);
    for row in 0..rows {
        cancel.check()?;
        columns.fill([0.0; N]);
        for line in values[row * width..].chunks_exact(width).take(side) {
            for (sum, &value) in columns.iter_mut().zip(line) {
                let more = of(value);
                for n in 0..N {
                    sum[n] += more[n];
                }
            }
        }
        sums.fill([0.0; N]);
        for first in 0..side {
            for (sum, more) in sums.iter_mut().zip(&columns[first..]) {
                for n in 0..N {
                    sum[n] += more[n];
                }
            }
        }
        for (col, &sum) in sums.iter().enumerate() {
            to(row * cols + col, sum);
        }
    }
    Ok(())
}

/// Adds the number of valid values in the window of each pixel to `counts` (row by row).
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn add_valid_counts(plane: RimmedPlane<'_>, counts: &mut [u32], cancel: &Cancel) -> Result<()> {
    window_sums(plane, cancel, |v| [f64::from(u8::from(!v.is_nan()))], |i, [n]| counts[i] += n as u32)
}

/// Sum of the valid values in the window of each pixel, row by row.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn sums(plane: RimmedPlane<'_>, out: &mut [f64], cancel: &Cancel) -> Result<()> {
    window_sums(plane, cancel, |v| [if v.is_nan() { 0.0 } else { f64::from(v) }], |i, [sum]| out[i] = sum)
}

/// Population standard deviation of the valid values in the window of each pixel, row by row; 0 where there are none. `origin`
/// is any number near the values; it keeps the squares small.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn standard_deviations(plane: RimmedPlane<'_>, origin: f64, out: &mut Vec<f64>, cancel: &Cancel) -> Result<()> {
    out.clear();
    let parts = |v: f32| {
        let d = f64::from(v) - origin;
        if v.is_nan() {
            [0.0; 3]
        } else {
            [1.0, d, d * d]
        }
    };
    window_sums(plane, cancel, parts, |_, [n, sum, squares]| {
        let mean = if n > 0.0 { sum / n } else { 0.0 };
        let variance = if n > 0.0 { squares / n - mean * mean } else { 0.0 };
        out.push(variance.max(0.0).sqrt());
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_are_those_of_the_window(
            values in prop::collection::vec(prop::option::weighted(0.8, -50.0f32..50.0), 7 * 9), half in 0usize..3,
        ) {
            let values: Vec<f32> = values.into_iter().map(|v| v.unwrap_or(f32::NAN)).collect();
            let (rows, cols) = (7 - 2 * half, 9 - 2 * half);
            let plane = RimmedPlane { values: &values, rows, cols, half };
            let mut counts = vec![0; rows * cols];
            add_valid_counts(plane, &mut counts, &Cancel::new()).unwrap();
            let mut totals = vec![0.0; rows * cols];
            sums(plane, &mut totals, &Cancel::new()).unwrap();
            let mut deviations = Vec::new();
            standard_deviations(plane, 3.0, &mut deviations, &Cancel::new()).unwrap();
            for row in 0..rows {
                for col in 0..cols {
                    let window: Vec<f64> = (0..=2 * half)
                        .flat_map(|r| (0..=2 * half).map(move |c| (r, c)))
                        .map(|(r, c)| f64::from(values[(row + r) * 9 + col + c]))
                        .filter(|v| !v.is_nan())
                        .collect();
                    let n = window.len() as f64;
                    prop_assert!((totals[row * cols + col] - window.iter().sum::<f64>()).abs() < 1e-9);
                    let mean = window.iter().sum::<f64>() / n.max(1.0);
                    let variance = window.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n.max(1.0);
                    prop_assert_eq!(counts[row * cols + col] as usize, window.len());
                    prop_assert!((deviations[row * cols + col] - variance.sqrt()).abs() < 1e-5);
                }
            }
        }
    }
}
