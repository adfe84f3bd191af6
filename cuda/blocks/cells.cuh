// Where the coarse pixels (cells) of a tile lie. The twin of native/methods/src/blocks/coarse_grid.rs for a tile.
#ifndef STF_BLOCKS_CELLS
#define STF_BLOCKS_CELLS

// As in native/methods/src/blocks/cells_of_tile.rs.
struct CellsOfTile {
    // pixels of the padded tile, and where it begins in the scene
    int rows, cols, row, col;
    int scene_rows, scene_cols;
    // pixels along a side of a cell
    int scale;
    // cells of the scene
    int grid_rows, grid_cols;
    // cells to compute, and the first of them
    int cell_rows, cell_cols, cell_row, cell_col;
    int bands;
};

// Pixels of a plane of the padded tile.
__device__ __forceinline__ long long pixels(const CellsOfTile &t) { return (long long)t.rows * t.cols; }

// Cells of a plane of the scene.
__device__ __forceinline__ long long cells(const CellsOfTile &t) { return (long long)t.grid_rows * t.grid_cols; }

// Number of the cell that holds the pixel (row, col) of the padded tile.
__device__ __forceinline__ long long cell_at(const CellsOfTile &t, int row, int col) {
    return (long long)((t.row + row) / t.scale) * t.grid_cols + (t.col + col) / t.scale;
}

#endif
