//! The pixel grid as an immutable value, and rectangles of it.

use serde::Serialize;

/// A rectangle of pixels of a scene: `rows` x `cols` pixels whose first one is at (`row`, `col`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Region {
    /// First row, counted from the top of the scene.
    pub row: usize,
    /// First column, counted from the left of the scene.
    pub col: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
}

impl Region {
    /// The rectangle of `rows` x `cols` pixels at (`row`, `col`).
    pub fn new(row: usize, col: usize, rows: usize, cols: usize) -> Self {
        Region { row, col, rows, cols }
    }

    /// A whole scene.
    pub fn whole(rows: usize, cols: usize) -> Self {
        Region { row: 0, col: 0, rows, cols }
    }

    /// Number of pixels.
    pub fn pixels(&self) -> usize {
        self.rows * self.cols
    }

    /// The rectangle grown by `halo` pixels on every side and clipped to a scene of `rows` x `cols`.
    pub fn grown(&self, halo: usize, rows: usize, cols: usize) -> Region {
        let row = self.row.saturating_sub(halo);
        let col = self.col.saturating_sub(halo);
        Region {
            row,
            col,
            rows: (self.row + self.rows + halo).min(rows) - row,
            cols: (self.col + self.cols + halo).min(cols) - col,
        }
    }

    /// The blocks of at most `side_rows` x `side_cols` pixels that cover this rectangle, row by row, anchored at its corner.
    pub fn blocks(&self, side_rows: usize, side_cols: usize) -> Vec<Region> {
        let mut blocks = Vec::new();
        for row in (0..self.rows).step_by(side_rows.max(1)) {
            for col in (0..self.cols).step_by(side_cols.max(1)) {
                blocks.push(Region {
                    row: self.row + row,
                    col: self.col + col,
                    rows: side_rows.min(self.rows - row),
                    cols: side_cols.min(self.cols - col),
                });
            }
        }
        blocks
    }
}

/// Where the pixels of an image lie on the Earth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grid {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// GDAL's affine transform (x of the corner, x per column, x per row, y of the corner, y per column, y per row), if known.
    pub transform: Option<[f64; 6]>,
    /// Coordinate reference system as WKT, if known.
    pub crs: Option<String>,
}

impl Grid {
    /// A grid of `rows` x `cols` pixels without a place on the Earth.
    pub fn pixels(rows: usize, cols: usize) -> Self {
        Grid { rows, cols, transform: None, crs: None }
    }

    /// The grid over the same extent whose pixels are `factor` times as large along both sides, or a little less where the size is
    /// no multiple of `factor`: that of an overview.
    #[must_use]
    pub fn reduced(&self, factor: usize) -> Grid {
        let (rows, cols) = (self.rows.div_ceil(factor.max(1)), self.cols.div_ceil(factor.max(1)));
        let (down, across) = (self.rows as f64 / rows as f64, self.cols as f64 / cols as f64);
        let transform = self.transform.map(|t| [t[0], t[1] * across, t[2] * down, t[3], t[4] * across, t[5] * down]);
        Grid { rows, cols, transform, crs: self.crs.clone() }
    }

    /// Size of a pixel along (row, col), in units of the CRS.
    pub fn pixel_size(&self) -> Option<(f64, f64)> {
        self.transform.map(|t| (t[4].hypot(t[5]), t[1].hypot(t[2])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_is_clipped_at_every_side() {
        assert_eq!(Region::new(0, 5, 4, 4).grown(3, 6, 20), Region::new(0, 2, 6, 10));
        assert_eq!(Region::new(2, 18, 4, 2).grown(3, 6, 20), Region::new(0, 15, 6, 5));
    }

    #[test]
    fn a_reduced_grid_covers_the_same_extent() {
        let transform = Some([500.0, 30.0, 0.0, 900.0, 0.0, -30.0]);
        let grid = Grid { rows: 10, cols: 7, transform, crs: None };
        let reduced = grid.reduced(4);
        assert_eq!((reduced.rows, reduced.cols), (3, 2));
        assert_eq!(reduced.transform, Some([500.0, 105.0, 0.0, 900.0, 0.0, -100.0]));
        assert_eq!(grid.reduced(1), grid);
    }

    #[test]
    fn blocks_cover_every_pixel_once() {
        let mut seen = vec![0; 7 * 10];
        for block in Region::whole(7, 10).blocks(3, 4) {
            for r in block.row..block.row + block.rows {
                for c in block.col..block.col + block.cols {
                    seen[r * 10 + c] += 1;
                }
            }
        }
        assert!(seen.iter().all(|&n| n == 1));
    }
}
