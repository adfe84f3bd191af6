//! The landscape.

use ndarray::{Array2, Array3};

use crate::Date;

/// A window of the plane in fine pixels. Row 0, column 0 is the upper left pixel of the scene; negative numbers are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First row.
    pub row: i64,
    /// First column.
    pub col: i64,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
}

impl Region {
    /// The window of `rows` x `cols` pixels whose upper left pixel is (`row`, `col`).
    pub const fn new(row: i64, col: i64, rows: usize, cols: usize) -> Self {
        Self { row, col, rows, cols }
    }
}

/// What grows or stands on a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cover {
    /// Arable land or meadow.
    Field,
    /// River, oxbow or pond.
    Water,
    /// Woodland, riparian forest included.
    Forest,
    /// Rough grazing.
    Rangeland,
    /// Town, village or road.
    Built,
    /// Gravel pit and other permanently bare ground.
    Bare,
}

/// An abrupt change between 2022-05-09 and 2022-07-12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Crops that were cut: vegetation becomes stubble and soil.
    Harvested,
    /// A floodplain under water in July only.
    Flooded,
}

/// A made-up landscape, defined for every pixel of the plane and every day of a year.
#[derive(Clone, Debug)]
pub struct Landscape {
    seed: u64,
    rows: usize,
    cols: usize,
}

impl Landscape {
    /// The landscape of a scene of `rows` x `cols` fine pixels. The size places the town, the river and the change areas
    /// (from about 240 pixels up they all lie inside); the landscape itself goes on beyond the edge.
    pub fn new(seed: u64, rows: usize, cols: usize) -> Self {
        Self { seed, rows, cols }
    }

    /// The same landscape with a cloud and its shadow over the fine image of `date`.
    pub fn with_cloud(self, _date: Date) -> Self {
        todo!()
    }

    /// The whole scene as a region.
    pub fn extent(&self) -> Region {
        Region::new(0, 0, self.rows, self.cols)
    }

    /// Surface reflectance without cloud and noise, `(band, row, col)`.
    pub fn surface(&self, _date: Date, _region: Region) -> Array3<f32> {
        todo!()
    }

    /// The fine image: the surface with clouds, shadows and sensor noise, `(band, row, col)`.
    pub fn fine(&self, _date: Date, _region: Region) -> Array3<f32> {
        todo!()
    }

    /// Landsat Collection 2 `QA_PIXEL` of the fine image, `(row, col)`.
    pub fn fine_qa(&self, _date: Date, _region: Region) -> Array2<u16> {
        let _ = self.seed;
        todo!()
    }

    /// The pixels of a change area, `(row, col)`.
    pub fn change_mask(&self, _change: Change, _region: Region) -> Array2<bool> {
        todo!()
    }

    /// Land cover, `(row, col)`.
    pub fn cover(&self, _region: Region) -> Array2<Cover> {
        todo!()
    }
}
