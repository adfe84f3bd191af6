//! The coarse pixels of a scene: blocks of `scale` x `scale` fine pixels anchored at its corner.
//!
//! Every image that a method sees lies on the fine grid. Methods that solve for coarse pixels average it back over these blocks,
//! as the authors' programs do; a block at the right or lower border may be cut off. Where the coarse image's own pixels are not
//! aligned with the fine ones, nearest resampling makes such a mean the area-weighted mean of the coarse pixels under the block.
//! Images on the coarse grid are small (1 / scale² of the scene) and are held as a whole.

use ndarray::{s, Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut2, Axis};
use stfusion_core::method::{Layer, Scene, SceneInfo};
use stfusion_core::{Error, ErrorKind, Exec, Region, Result};

use super::passes::{self, BLOCK_PX};

/// Label of a fine pixel without a class.
pub const NO_CLASS: u16 = u16::MAX;

/// The grid. A *cell* is a coarse pixel; regions of cells are counted in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoarseGrid {
    /// Fine pixels per side of a cell.
    pub scale: usize,
    /// Rows of cells.
    pub rows: usize,
    /// Columns of cells.
    pub cols: usize,
    /// Rows of fine pixels.
    pub fine_rows: usize,
    /// Columns of fine pixels.
    pub fine_cols: usize,
}

impl CoarseGrid {
    /// The grid of a scene of `fine_rows` x `fine_cols` fine pixels.
    pub fn new(fine_rows: usize, fine_cols: usize, scale: usize) -> Self {
        let scale = scale.max(1);
        CoarseGrid { scale, rows: fine_rows.div_ceil(scale), cols: fine_cols.div_ceil(scale), fine_rows, fine_cols }
    }

    /// The grid of `scene` for the method `label`: the scale is `given` (the parameter `scale`) or that of the images, rounded.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] when neither is known or it is below 2, naming the remedy.
    pub fn of_scene(scene: &SceneInfo, given: Option<f64>, label: &str) -> Result<Self> {
        let scale = given.or(scene.scale).map(f64::round);
        match scale {
            Some(s) if s >= 2.0 => Ok(CoarseGrid::new(scene.rows, scene.cols, s.min(1e6) as usize)),
            Some(s) => Err(Error::new(
                ErrorKind::Parameter,
                format!("{label} works on coarse pixels, but the scale is {s} (fine pixels per coarse-pixel side)"),
            )
            .with_hint("Set scale to how many fine pixels a side of a coarse pixel has, 2 or more.")),
            None => Err(Error::new(
                ErrorKind::Parameter,
                format!("{label} works on coarse pixels, but the coarse images lie on the fine grid, so their scale is unknown"),
            )
            .with_hint("Set scale to how many fine pixels a side of a coarse pixel has, such as 16 for MODIS and Landsat.")),
        }
    }

    /// Number of cells.
    pub fn cells(&self) -> usize {
        self.rows * self.cols
    }

    /// The fine pixels of the cell (row, col): `scale` x `scale`, fewer at the right and lower border.
    pub fn fine_region(&self, row: usize, col: usize) -> Region {
        let (r, c) = (row * self.scale, col * self.scale);
        Region::new(r, c, self.scale.min(self.fine_rows - r), self.scale.min(self.fine_cols - c))
    }

    /// The cells that have a fine pixel in `region` (fine pixels of the scene).
    pub fn cells_under(&self, region: Region) -> Region {
        let (row, col) = (region.row / self.scale, region.col / self.scale);
        let end = |first: usize, count: usize| (first + count).div_ceil(self.scale);
        Region::new(row, col, end(region.row, region.rows) - row, end(region.col, region.cols) - col)
    }

    /// The fine pixels of a region of cells.
    pub fn fine_of(&self, cells: Region) -> Region {
        let (row, col) = (cells.row * self.scale, cells.col * self.scale);
        let end = |first: usize, count: usize, length: usize| ((first + count) * self.scale).min(length);
        Region::new(row, col, end(cells.row, cells.rows, self.fine_rows) - row, end(cells.col, cells.cols, self.fine_cols) - col)
    }

    /// The cells within `radius` cells of (row, col), clipped to the scene.
    pub fn window(&self, row: usize, col: usize, radius: usize) -> Region {
        Region::new(row, col, 1, 1).grown(radius, self.rows, self.cols)
    }

    /// Blocks of fine pixels that cover the scene and hold whole cells, for [`passes::map_blocks`].
    pub fn blocks(&self) -> Vec<Region> {
        let side = (BLOCK_PX / self.scale).max(1) * self.scale;
        Region::whole(self.fine_rows, self.fine_cols).blocks(side, side)
    }

    /// Means of the cells under `block`, whose corner must be a cell's, over the valid pixels of `image` (band, row, col);
    /// `NaN` where fewer than `least_valid` (0..1] of a cell's pixels are valid.
    pub fn means(&self, block: Region, image: ArrayView3<'_, f32>, least_valid: f64) -> Array3<f32> {
        let cells = self.cells_under(block);
        Array3::from_shape_fn((image.dim().0, cells.rows, cells.cols), |(band, row, col)| {
            let part = self.fine_region(cells.row + row, cells.col + col);
            let (r, c) = (part.row - block.row, part.col - block.col);
            let values = image.slice(s![band, r..r + part.rows, c..c + part.cols]);
            let (mut sum, mut count) = (0.0f64, 0usize);
            for v in values.iter().filter(|v| !v.is_nan()) {
                sum += f64::from(*v);
                count += 1;
            }
            if count > 0 && count as f64 >= least_valid * part.pixels() as f64 {
                (sum / count as f64) as f32
            } else {
                f32::NAN
            }
        })
    }

    /// Means of every cell for each of `layers`, as [`CoarseGrid::means`].
    ///
    /// # Errors
    /// Those of reading, and [`ErrorKind::Cancelled`].
    pub fn images(&self, scene: &dyn Scene, layers: &[Layer], least_valid: f64, exec: &Exec<'_>) -> Result<Vec<Array3<f32>>> {
        let blocks = self.blocks();
        let parts = passes::map_blocks(scene, &blocks, layers, exec, |block, images| {
            Ok(images.iter().map(|image| self.means(block, image.view(), least_valid)).collect::<Vec<_>>())
        })?;
        Ok((0..layers.len())
            .map(|l| {
                let bands = scene.info().bands_of(layers[l]);
                self.assembled(bands, blocks.iter().copied().zip(parts.iter().map(|part| part[l].view())))
            })
            .collect())
    }

    /// An image of all cells from the parts of blocks (fine pixels): (plane, cell row, cell col).
    pub fn assembled<'a>(&self, planes: usize, parts: impl Iterator<Item = (Region, ArrayView3<'a, f32>)>) -> Array3<f32> {
        let mut whole = Array3::from_elem((planes, self.rows, self.cols), f32::NAN);
        for (block, part) in parts {
            let cells = self.cells_under(block);
            whole.slice_mut(s![.., cells.row..cells.row + cells.rows, cells.col..cells.col + cells.cols]).assign(&part);
        }
        whole
    }

    /// Number of pixels of each class in the cells under `block`, (class, cell row, cell col). `labels` covers the block;
    /// [`NO_CLASS`] counts nowhere.
    pub fn class_counts(&self, block: Region, labels: ArrayView2<'_, u16>, classes: usize) -> Array3<u32> {
        let cells = self.cells_under(block);
        let mut counts = Array3::<u32>::zeros((classes, cells.rows, cells.cols));
        let mut own = vec![0u32; classes];
        for row in 0..cells.rows {
            for col in 0..cells.cols {
                let part = self.fine_region(cells.row + row, cells.col + col);
                let (r, c) = (part.row - block.row, part.col - block.col);
                own.fill(0);
                for label in labels.slice(s![r..r + part.rows, c..c + part.cols]) {
                    if let Some(count) = own.get_mut(*label as usize) {
                        *count += 1;
                    }
                }
                counts.slice_mut(s![.., row, col]).iter_mut().zip(&own).for_each(|(to, from)| *to = *from);
            }
        }
        counts
    }

    /// Shares of each class among the labelled pixels of the cells under `block`, (class, cell row, cell col), and the share of
    /// pixels that are labelled, (cell row, cell col). `labels` covers the block; [`NO_CLASS`] has none. Shares of a cell
    /// without labels are 0.
    pub fn class_shares(&self, block: Region, labels: ArrayView2<'_, u16>, classes: usize) -> (Array3<f32>, Array2<f32>) {
        let cells = self.cells_under(block);
        let counts = self.class_counts(block, labels, classes);
        let totals = counts.sum_axis(Axis(0));
        let labelled = Array2::from_shape_fn(totals.dim(), |(row, col)| {
            totals[(row, col)] as f32 / self.fine_region(cells.row + row, cells.col + col).pixels() as f32
        });
        let of = |(class, row, col)| counts[(class, row, col)] as f32 / totals[(row, col)].max(1) as f32;
        (Array3::from_shape_fn(counts.dim(), of), labelled)
    }

    /// Writes to every fine pixel of `region` the value of its cell in `coarse`, (cell row, cell col) of the whole scene.
    pub fn spread(&self, coarse: ArrayView2<'_, f32>, region: Region, mut out: ArrayViewMut2<'_, f32>) {
        for (row, mut line) in out.outer_iter_mut().enumerate() {
            let cells = coarse.row((region.row + row) / self.scale);
            for (col, value) in line.iter_mut().enumerate() {
                *value = cells[(region.col + col) / self.scale];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Problem;
    use stfusion_core::Cancel;

    #[test]
    fn cut_off_cells_belong_to_the_grid() {
        let grid = CoarseGrid::new(10, 13, 4);
        assert_eq!((grid.rows, grid.cols, grid.cells()), (3, 4, 12));
        assert_eq!(grid.fine_region(2, 3), Region::new(8, 12, 2, 1));
        assert_eq!(grid.cells_under(Region::new(3, 4, 2, 4)), Region::new(0, 1, 2, 1));
        assert_eq!(grid.fine_of(Region::new(1, 2, 2, 2)), Region::new(4, 8, 6, 5));
        assert_eq!(grid.window(0, 3, 1), Region::new(0, 2, 2, 2));
    }

    #[test]
    fn images_are_means_over_valid_pixels_of_enough() {
        let mut problem = Problem::fields(2, 1030, 523, 16, &[-16], 1);
        problem.target.fill(2.0);
        problem.target.slice_mut(s![1, 0..16, 0..8]).fill(f32::NAN);
        problem.target.slice_mut(s![1, 16..32, 0..9]).fill(f32::NAN);
        problem.target[(0, 1029, 522)] = 47.0;
        let grid = CoarseGrid::new(1030, 523, 16);
        let scene = problem.scene().unwrap();
        let cancel = Cancel::new();
        let images = grid.images(&scene, &[Layer::Coarse(0), Layer::Target], 0.5, &Exec::quiet(&cancel)).unwrap();
        assert_eq!(images[1].dim(), (2, 65, 33));
        assert_eq!((images[1][(1, 0, 0)], images[1][(1, 1, 0)].is_nan()), (2.0, true));
        // the last cell has 6 rows of 11 pixels
        assert!((images[1][(0, 64, 32)] - (2.0 + 45.0 / 66.0)).abs() < 1e-6);
        assert!((images[0][(0, 40, 20)] - problem.pairs[0].coarse[(0, 650, 330)]).abs() < 1e-6);
    }

    #[test]
    fn shares_count_labelled_pixels() {
        let grid = CoarseGrid::new(4, 6, 4);
        let labels = Array2::from_shape_fn((4, 6), |(r, c)| match (r, c) {
            (0, 0..4) => NO_CLASS,
            (_, 4..) => 2,
            (1, _) => 1,
            _ => 0,
        });
        let (shares, labelled) = grid.class_shares(Region::whole(4, 6), labels.view(), 3);
        assert_eq!(labelled, ndarray::array![[0.75, 1.0]]);
        assert_eq!(shares.slice(s![.., 0, 0]).to_vec(), [8.0 / 12.0, 4.0 / 12.0, 0.0]);
        assert_eq!(shares.slice(s![.., 0, 1]).to_vec(), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn an_unknown_scale_is_refused_with_the_remedy() {
        let mut problem = Problem::fields(1, 8, 8, 4, &[-16], 1);
        let of = |problem: &Problem, given| CoarseGrid::of_scene(problem.scene().unwrap().info(), given, "FSDAF");
        assert_eq!(of(&problem, None).unwrap().scale, 4);
        assert_eq!(of(&problem, Some(2.0)).unwrap().scale, 2);
        problem.scale = None;
        let error = of(&problem, None).unwrap_err();
        assert!(error.message().starts_with("FSDAF works on coarse pixels") && error.hint().unwrap().starts_with("Set scale to"));
        assert!(of(&problem, Some(1.0)).unwrap_err().message().ends_with("the scale is 1 (fine pixels per coarse-pixel side)"));
    }
}
