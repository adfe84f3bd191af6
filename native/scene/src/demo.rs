//! The scene of `stfusion demo`: pairs, target and truth of one landscape, georeferenced.

use ndarray::{Array2, Array3, ArrayView3, Axis};

use crate::cloud::qa;
use crate::projection::{Sinusoidal, Utm};
use crate::quicklook::{
    coloured, composite, contact_sheet, mean_absolute_error, ColourMap, Legend, Panel, Picture, Rgb, Stretch, FALSE_COLOUR,
    TRUE_COLOUR,
};
use crate::{Change, CoarseGrid, Date, Landscape};

/// A georeferenced image in memory.
#[derive(Clone, Debug)]
pub struct Image {
    /// The day it shows.
    pub date: Date,
    /// Reflectance, `(band, row, col)`, bands as [`crate::BANDS`].
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
    /// Fine pixels of the fields that are harvested between 2022-05-09 and 2022-07-12.
    pub harvested: Array2<bool>,
    /// Fine pixels of the fields that are under water on 2022-07-12.
    pub flooded: Array2<bool>,
    coarse_grid: CoarseGrid,
}

const ZONE: u8 = 33;
/// Upper left corner of the fine grid, UTM zone 33 north: 48.2 degrees north, 15.5 degrees east.
const ORIGIN: (f64, f64) = (537_000.0, 5_340_000.0);
const PIXEL_M: f64 = 30.0;

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

    /// The landscape under the demo, the cloud included.
    pub fn landscape(&self) -> Landscape {
        let landscape = Landscape::new(self.seed, self.rows, self.cols);
        match self.pairs.first() {
            Some(date) if self.cloud => landscape.with_cloud(*date),
            _ => landscape,
        }
    }

    /// GDAL transform of the fine grid (UTM zone 33 north, 30 m).
    pub fn fine_transform(&self) -> [f64; 6] {
        [ORIGIN.0, PIXEL_M, 0.0, ORIGIN.1, 0.0, -PIXEL_M]
    }

    /// The coarse grid over the fine one.
    pub fn coarse_grid(&self) -> CoarseGrid {
        CoarseGrid::covering(self.rows, self.cols, self.fine_transform(), Utm::north(ZONE))
    }

    /// Makes all the images.
    pub fn generate(&self) -> DemoImages {
        let landscape = self.landscape();
        let (grid, extent) = (self.coarse_grid(), landscape.extent());
        let fine = |date: Date| Image {
            date,
            values: landscape.fine(date, extent),
            transform: self.fine_transform(),
            crs: Utm::north(ZONE).crs(),
        };
        let coarse = |date: Date| Image {
            date,
            values: grid.observe(&landscape, date, self.fine_transform(), Utm::north(ZONE)),
            transform: grid.transform,
            crs: Sinusoidal::CRS.to_string(),
        };
        DemoImages {
            fine_pairs: self.pairs.iter().map(|date| fine(*date)).collect(),
            fine_qa: self.pairs.iter().map(|date| landscape.fine_qa(*date, extent)).collect(),
            coarse_pairs: self.pairs.iter().map(|date| coarse(*date)).collect(),
            coarse_target: coarse(self.target),
            truth: fine(self.target),
            truth_qa: landscape.fine_qa(self.target, extent),
            harvested: landscape.change_mask(Change::Harvested, extent),
            flooded: landscape.change_mask(Change::Flooded, extent),
            coarse_grid: grid,
        }
    }
}

const WHITE: Rgb = [255, 255, 255];

impl DemoImages {
    /// A coarse image of the demo as seen on the fine grid: each fine pixel shows the coarse cell its centre lies in.
    pub fn coarse_view(&self, coarse: &Image) -> Array3<f32> {
        let (bands, rows, cols) = self.truth.values.dim();
        let mut out = Array3::from_elem((bands, rows, cols), f32::NAN);
        for r in 0..rows {
            for c in 0..cols {
                let at = (c as f64 + 0.5, r as f64 + 0.5);
                let (row, col) = self.coarse_grid.cell_of(self.truth.transform, Utm::north(ZONE), at.0, at.1);
                for b in 0..bands {
                    if let Some(value) = coarse.values.get((b, row as usize, col as usize)) {
                        out[[b, r, c]] = *value;
                    }
                }
            }
        }
        out
    }

    /// The pixels of a pair's fine image that its `QA_PIXEL` calls cloud, dilated cloud or shadow, `(row, col)`.
    pub fn hidden(&self, pair: usize) -> Array2<bool> {
        let bits = qa::CLOUD | qa::DILATED_CLOUD | qa::SHADOW;
        self.fine_qa.get(pair).map_or_else(|| Array2::default((0, 0)), |qa| qa.mapv(|v| v & bits != 0))
    }

    /// The stretch that all composites of the demo share: percentiles 1 and 99 of the clear fine pixels of both dates.
    pub fn stretch(&self, bands: [usize; 3]) -> Stretch {
        let mut images = vec![self.truth.values.clone()];
        if let Some(fine) = self.fine_pairs.first() {
            let (mut clear, hidden) = (fine.values.clone(), self.hidden(0));
            for mut band in clear.axis_iter_mut(Axis(0)) {
                band.zip_mut_with(&hidden, |v, hidden| {
                    if *hidden {
                        *v = f32::NAN;
                    }
                });
            }
            images.push(clear);
        }
        let views: Vec<ArrayView3<f32>> = images.iter().map(|image| image.view()).collect();
        Stretch::percentiles(&views, bands, 1.0, 99.0)
    }

    /// The contact sheet: first pair fine and coarse, coarse target, prediction, truth and error, with captions and legend.
    ///
    /// `prediction` is reflectance on the fine grid, NaN where nothing was predicted; `method` names it in the caption.
    pub fn overview(&self, prediction: ArrayView3<f32>, method: &str) -> Picture {
        let stretch = self.stretch(FALSE_COLOUR);
        let (error, legend) = self.error(prediction);
        let plain = |title: String, note: String, picture: Picture| Panel { title, note, picture, legend: None };
        let target = self.truth.date;
        let mut panels = Vec::new();
        if let (Some(fine), Some(coarse)) = (self.fine_pairs.first(), self.coarse_pairs.first()) {
            panels.push(plain(
                format!("Fine, {}", fine.date),
                "30 m, the pair's Landsat-like image".into(),
                composite(fine.values.view(), &stretch),
            ));
            panels.push(plain(
                format!("Coarse, {}", coarse.date),
                "463 m, the pair's MODIS-like image".into(),
                composite(self.coarse_view(coarse).view(), &stretch),
            ));
        }
        panels.push(plain(
            format!("Coarse, {target}"),
            "463 m, all that is known of the target".into(),
            composite(self.coarse_view(&self.coarse_target).view(), &stretch),
        ));
        panels.push(plain(format!("Prediction, {target}"), format!("30 m, {method}"), composite(prediction, &stretch)));
        panels.push(plain(
            format!("Truth, {target}"),
            "30 m, kept back for comparison".into(),
            composite(self.truth.values.view(), &stretch),
        ));
        panels.push(Panel {
            title: "Absolute error".into(),
            note: "mean of six bands; white: harvest, flood".into(),
            picture: error,
            legend: Some(legend),
        });
        contact_sheet("", &panels, 3, 400)
    }

    /// The error map with the change areas outlined, and its legend.
    fn error(&self, prediction: ArrayView3<f32>) -> (Picture, Legend) {
        let error = mean_absolute_error(prediction, self.truth.values.view());
        let high = 0.10;
        let mut picture = coloured(error.view(), ColourMap::Heat, 0.0, high as f32);
        picture.outline(self.harvested.view(), WHITE);
        picture.outline(self.flooded.view(), WHITE);
        (picture, Legend { map: ColourMap::Heat, low: 0.0, high, unit: "reflectance".into() })
    }

    /// The single quick-looks at the fine image's size, and the `overview`: file stem and picture.
    pub fn quicklooks(&self, prediction: ArrayView3<f32>, method: &str) -> Vec<(String, Picture)> {
        let stretch = self.stretch(TRUE_COLOUR).joined().with_gamma(0.72);
        let look = |values: ArrayView3<f32>| composite(values, &stretch);
        let mut out = vec![("overview".to_string(), self.overview(prediction, method))];
        for (fine, coarse) in self.fine_pairs.iter().zip(&self.coarse_pairs) {
            out.push((format!("fine_{}", fine.date), look(fine.values.view())));
            out.push((format!("coarse_{}", coarse.date), look(self.coarse_view(coarse).view())));
        }
        let target = self.truth.date;
        out.push((format!("coarse_{target}"), look(self.coarse_view(&self.coarse_target).view())));
        out.push((format!("prediction_{target}"), look(prediction)));
        out.push((format!("truth_{target}"), look(self.truth.values.view())));
        out.push((format!("error_{target}"), self.error(prediction).0));
        out
    }
}
