//! Where the coarse pixels (cells) of a tile lie, as kernels see them.

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::Launch;
use stfusion_core::method::TileIn;
use stfusion_core::Region;

use super::coarse_grid::CoarseGrid;
use super::on_device::{over_pixels, threads_for, THREADS};

/// `CellsOfTile` of the kernels: planes of a padded tile, and cells to compute.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct CellsOfTile {
    rows: i32,
    cols: i32,
    row: i32,
    col: i32,
    scene_rows: i32,
    scene_cols: i32,
    scale: i32,
    grid_rows: i32,
    grid_cols: i32,
    cell_rows: i32,
    cell_cols: i32,
    cell_row: i32,
    cell_col: i32,
    bands: i32,
}

/// Threads that share a cell where its pixels are summed.
const LANES_OF_CELL: usize = 8;

impl CellsOfTile {
    /// The cells `cells` of `grid`, whose pixels lie in the padded tile as far as they are asked for, in `bands` planes.
    pub fn new(grid: &CoarseGrid, tile: &TileIn<'_>, cells: Region, bands: usize) -> CellsOfTile {
        let number = |n: usize| n as i32;
        CellsOfTile {
            rows: number(tile.padded.rows),
            cols: number(tile.padded.cols),
            row: number(tile.padded.row),
            col: number(tile.padded.col),
            scene_rows: number(grid.fine_rows),
            scene_cols: number(grid.fine_cols),
            scale: number(grid.scale),
            grid_rows: number(grid.rows),
            grid_cols: number(grid.cols),
            cell_rows: number(cells.rows),
            cell_cols: number(cells.cols),
            cell_row: number(cells.row),
            cell_col: number(cells.col),
            bands: number(bands),
        }
    }

    /// The cells.
    pub fn cells(&self) -> Region {
        let number = |n: i32| n as usize;
        Region::new(number(self.cell_row), number(self.cell_col), number(self.cell_rows), number(self.cell_cols))
    }

    /// Planes.
    pub fn bands(&self) -> usize {
        self.bands as usize
    }

    /// Pixels of a plane.
    pub fn pixels(&self) -> usize {
        self.rows as usize * self.cols as usize
    }

    /// A launch over the pixels of the padded tile, of all planes at once.
    pub fn over_tile(&self) -> Launch {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        over_pixels((1, rows, cols), threads_for(cols, THREADS), 1, 0)
    }

    /// A launch over the pixels of whole cells, plane by plane.
    pub fn over_pixels_of_cells(&self) -> Launch {
        let scale = self.scale as usize;
        let (rows, cols) = (self.cell_rows as usize * scale, self.cell_cols as usize * scale);
        over_pixels((self.bands(), rows, cols), threads_for(cols, THREADS), 1, 0)
    }

    /// A launch of eight threads for each cell, plane by plane.
    pub fn over_cells(&self) -> Launch {
        let cells = self.cells();
        let threads = cells.cols * LANES_OF_CELL;
        over_pixels((self.bands(), cells.rows, threads), threads_for(threads, THREADS / 2), 1, 0)
    }
}
