//! How homogeneous the classes around a pixel are (Zhu et al. 2016, equation 16).

pub mod cuda;

use ndarray::{Array2, ArrayView2};
use stfusion_core::{Cancel, Region, Result};

/// Share, among the labelled pixels of the window of `2 half + 1` rows and columns around each pixel of `region`, of those with the
/// class of the pixel itself; `NaN` for a pixel without a class. `labels` are below `classes` where there is a class; the window is
/// clipped to them.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn homogeneity(
    labels: ArrayView2<'_, u16>,
    classes: usize,
    half: usize,
    region: Region,
    cancel: &Cancel,
) -> Result<Array2<f32>> {
    let (rows, cols) = labels.dim();
    let mut share = Array2::from_elem((region.rows, region.cols), f32::NAN);
    // pixels of each class in each column of the rows of the window
    let mut columns = vec![0i32; classes * cols];
    let add = |row: usize, by: i32, columns: &mut [i32]| {
        for (col, label) in labels.row(row).iter().enumerate().filter(|(_, label)| usize::from(**label) < classes) {
            columns[usize::from(*label) * cols + col] += by;
        }
    };
    let first = region.row.saturating_sub(half);
    (first..(region.row + half).min(rows)).for_each(|row| add(row, 1, &mut columns));
    let mut own = vec![0i32; region.cols];
    let mut all = vec![0i32; region.cols];
    for row in 0..region.rows {
        cancel.check()?;
        let centre = region.row + row;
        if centre + half < rows {
            add(centre + half, 1, &mut columns);
        }
        if row > 0 && centre > half {
            add(centre - half - 1, -1, &mut columns);
        }
        all.fill(0);
        for (class, columns) in columns.chunks_exact(cols).enumerate() {
            let mut count: i32 = columns[region.col.saturating_sub(half)..(region.col + half).min(cols)].iter().sum();
            for col in 0..region.cols {
                let at = region.col + col;
                if at + half < cols {
                    count += columns[at + half];
                }
                if col > 0 && at > half {
                    count -= columns[at - half - 1];
                }
                all[col] += count;
                if usize::from(labels[(centre, at)]) == class {
                    own[col] = count;
                }
            }
        }
        for (col, value) in share.row_mut(row).iter_mut().enumerate() {
            if usize::from(labels[(centre, region.col + col)]) < classes {
                *value = (f64::from(own[col]) / f64::from(all[col])) as f32;
            }
        }
    }
    Ok(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_are_those_of_the_window(
            labels in prop::collection::vec(0u16..5, 9 * 11), half in 0usize..6, row in 0usize..9, col in 0usize..11, rows in 1usize..9, cols in 1usize..11,
        ) {
            let none = |label: u16| if label == 4 { crate::blocks::classes::NO_CLASS } else { label };
            let labels = Array2::from_shape_fn((9, 11), |(r, c)| none(labels[r * 11 + c]));
            let region = Region::new(row, col, rows.min(9 - row), cols.min(11 - col));
            let got = homogeneity(labels.view(), 4, half, region, &Cancel::new()).unwrap();
            for ((r, c), share) in got.indexed_iter() {
                let (y, x) = (row + r, col + c);
                let near = |i: usize, n: usize| i.saturating_sub(half)..(i + half + 1).min(n);
                let window: Vec<u16> = near(y, 9).flat_map(|r| near(x, 11).map(move |c| (r, c))).map(|at| labels[at]).collect();
                let labelled = window.iter().filter(|l| **l < 4).count() as f64;
                let own = window.iter().filter(|l| **l == labels[(y, x)]).count() as f64;
                let expected = if labels[(y, x)] < 4 { (own / labelled) as f32 } else { f32::NAN };
                prop_assert!(*share == expected || share.is_nan() && expected.is_nan(), "{} and {} at {:?}", share, expected, (y, x));
            }
        }
    }
}
