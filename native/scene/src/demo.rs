//! The scene of `stfusion demo`: pairs, target and truth of one landscape, georeferenced.

use ndarray::{Array2, Array3, ArrayView3};

use crate::quicklook::Picture;
use crate::{Date, Landscape};

/// A georeferenced image in memory.
#[derive(Clone, Debug)]
pub struct Image {
    /// The day it shows.
    pub date: Date,
    /// Reflectance, `(band, row, col)`, bands as [`crate::BANDS`]; NaN where there is none.
    pub values: Array3<f32>,
    /// GDAL's six numbers: upper left x, pixel width, 0, upper left y, 0, minus pixel height, in metres.
    pub transform: [f64; 6],
    /// The coordinate reference system in a spelling that GDAL's `SetFromUserInput` reads: `EPSG:32633` or a PROJ string.
    pub crs: String,
}

/// What the demo consists of; [`Demo::generate`] makes the images.
#[derive(Clone, Debug)]
pub struct Demo {
    /// Rows of the fine image.
    pub rows: usize,
    /// Columns of the fine image.
    pub cols: usize,
    /// Seed of the landscape and of all noise.
    pub seed: u64,
    /// Dates of the pairs, in time order.
    pub pairs: Vec<Date>,
    /// The date to predict.
    pub target: Date,
    /// Whether a cloud and its shadow hide a part of the fine image of the first pair.
    pub cloud: bool,
}

/// Everything [`Demo::generate`] makes. All fine arrays share one grid, all coarse images another.
#[derive(Clone, Debug)]
pub struct DemoImages {
    /// Fine images of the pairs, in the order of [`Demo::pairs`]; the first one holds the cloud.
    pub fine_pairs: Vec<Image>,
    /// Landsat Collection 2 `QA_PIXEL` of each fine image of the pairs, `(row, col)`.
    pub fine_qa: Vec<Array2<u16>>,
    /// Coarse images of the pairs.
    pub coarse_pairs: Vec<Image>,
    /// Coarse image of the target date.
    pub coarse_target: Image,
    /// The fine image of the target date, which a prediction is compared with.
    pub truth: Image,
    /// `QA_PIXEL` of the truth.
    pub truth_qa: Array2<u16>,
    /// Fine pixels of the fields that are harvested between the first pair and the target.
    pub harvested: Array2<bool>,
    /// Fine pixels that are under water at the target and at no pair.
    pub flooded: Array2<bool>,
}

impl Default for Demo {
    /// 720 x 720 fine pixels, one pair (2022-05-09), target 2022-07-12, with the cloud.
    fn default() -> Self {
        Self { rows: 720, cols: 720, seed: 2022, pairs: vec![Date::new(2022, 5, 9)], target: Date::new(2022, 7, 12), cloud: true }
    }
}

impl Demo {
    /// The same demo with a second pair after the target, 2022-09-14.
    pub fn with_second_pair(mut self) -> Self {
        self.pairs.push(Date::new(2022, 9, 14));
        self
    }

    /// The landscape under the demo.
    pub fn landscape(&self) -> Landscape {
        todo!()
    }

    /// GDAL transform of the fine grid (UTM zone 33 north, 30 m).
    pub fn fine_transform(&self) -> [f64; 6] {
        todo!()
    }

    /// Makes all the images.
    pub fn generate(&self) -> DemoImages {
        todo!()
    }
}

impl DemoImages {
    /// A coarse image of the demo as seen on the fine grid: each fine pixel shows the coarse cell its centre lies in.
    pub fn coarse_view(&self, _coarse: &Image) -> Array3<f32> {
        todo!()
    }

    /// The contact sheet: first pair fine and coarse, coarse target, prediction, truth and error, with captions and legend.
    ///
    /// `prediction` is reflectance on the fine grid, NaN where nothing was predicted; `method` names it in the caption.
    pub fn overview(&self, _prediction: ArrayView3<f32>, _method: &str) -> Picture {
        todo!()
    }

    /// The single quick-looks: file stem and picture, among them the `overview`.
    pub fn quicklooks(&self, _prediction: ArrayView3<f32>, _method: &str) -> Vec<(String, Picture)> {
        todo!()
    }
}
