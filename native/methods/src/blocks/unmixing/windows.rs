//! Windows of coarse pixels around one of them.

use crate::blocks::border::Border;
use crate::blocks::coarse_grid::CoarseGrid;

/// Appends the cells within `radius` of (row, col) to `cells`, row by row; a cell is `row * columns + col`. With reflection cells
/// occur as often as they are mirrored, so that every window has the same number.
pub fn append_cells(grid: &CoarseGrid, (row, col): (usize, usize), radius: usize, border: Border, cells: &mut Vec<usize>) {
    match border {
        Border::Clip => {
            let window = grid.window(row, col, radius);
            for r in window.row..window.row + window.rows {
                cells.extend((window.col..window.col + window.cols).map(|c| r * grid.cols + c));
            }
        }
        Border::Reflect => {
            let side = 2 * radius + 1;
            for i in 0..side {
                let r = mirrored(row + i, radius, grid.rows);
                cells.extend((0..side).map(|j| r * grid.cols + mirrored(col + j, radius, grid.cols)));
            }
        }
    }
}

/// Position `shifted - radius` mirrored into 0..length at its first and last element, which are not repeated.
fn mirrored(shifted: usize, radius: usize, length: usize) -> usize {
    let period = (2 * (length - 1)).max(1);
    // a multiple of the period keeps the difference from going below zero
    let position = (shifted + radius.div_ceil(period) * period - radius) % period;
    if position < length {
        position
    } else {
        period - position
    }
}

/// Largest radius to which a window of `radius` may grow in search of `needed` valid cells: twice what would do without gaps.
pub fn largest_radius(radius: usize, needed: usize) -> usize {
    let mut enough = radius;
    while (2 * enough + 1).pow(2) < needed {
        enough += 1;
    }
    2 * enough + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(grid: &CoarseGrid, at: (usize, usize), radius: usize, border: Border) -> Vec<(usize, usize)> {
        let mut cells = Vec::new();
        append_cells(grid, at, radius, border, &mut cells);
        cells.into_iter().map(|cell| (cell / grid.cols, cell % grid.cols)).collect()
    }

    #[test]
    fn windows_are_clipped_or_mirrored_without_the_border_pixel() {
        let grid = CoarseGrid::new(12, 16, 4); // 3 x 4 cells
        assert_eq!(cells(&grid, (0, 3), 1, Border::Clip), [(0, 2), (0, 3), (1, 2), (1, 3)]);
        let rows = [1, 0, 1];
        let cols = [2, 3, 2];
        let expected: Vec<_> = rows.iter().flat_map(|&r| cols.iter().map(move |&c| (r, c))).collect();
        assert_eq!(cells(&grid, (0, 3), 1, Border::Reflect), expected);
    }

    #[test]
    fn windows_larger_than_the_scene_are_mirrored_again_and_again() {
        let line: Vec<usize> = (0..15).map(|i| mirrored(i, 7, 3)).collect();
        assert_eq!(line, [1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]);
        assert!((0..9).all(|i| mirrored(i, 4, 1) == 0));
    }

    #[test]
    fn growth_is_limited_by_what_is_needed() {
        assert_eq!([largest_radius(1, 4), largest_radius(1, 10), largest_radius(3, 5)], [3, 5, 7]);
    }
}
