//! The scene of `stfusion demo`: pairs, target and truth of one landscape, georeferenced.

use ndarray::{Array2, Array3, ArrayView3, Axis};

use crate::cloud::qa;
use crate::projection::{Sinusoidal, Utm};
use crate::quicklook::{
    coloured, composite, contact_sheet, mean_absolute_error, ColourMap, Legend, Mark, Panel, Picture, Stretch, TRUE_COLOUR,
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

/// The mean absolute error that the error maps show brightest, in reflectance.
const LARGE_ERROR: f64 = 0.10;

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
        let stretch = self.natural();
        let marks: Vec<Mark> = [(&self.harvested, "harvested"), (&self.flooded, "flooded")]
            .into_iter()
            .filter_map(|(mask, label)| Mark::around(mask.view(), 3, label))
            .collect();
        let plain =
            |title: String, note: String, picture: Picture| Panel { title, note, picture, marks: marks.clone(), legend: None };
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
            title: "Absolute error of the prediction".into(),
            note: "reflectance, mean of the six bands".into(),
            picture: self.error(prediction),
            marks: marks.clone(),
            legend: Some(Legend { map: ColourMap::Heat, low: 0.0, high: LARGE_ERROR }),
        });
        contact_sheet("", &panels, 3, 400)
    }

    fn natural(&self) -> Stretch {
        self.stretch(TRUE_COLOUR).joined().with_gamma(0.72)
    }

    fn error(&self, prediction: ArrayView3<f32>) -> Picture {
        let error = mean_absolute_error(prediction, self.truth.values.view());
        coloured(error.view(), ColourMap::Heat, 0.0, LARGE_ERROR as f32)
    }

    /// The single quick-looks at the fine image's size, and the `overview`: file stem and picture.
    pub fn quicklooks(&self, prediction: ArrayView3<f32>, method: &str) -> Vec<(String, Picture)> {
        let stretch = self.natural();
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
        out.push((format!("error_{target}"), self.error(prediction)));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Demo {
        Demo { rows: 250, cols: 300, ..Demo::default() }.with_second_pair()
    }

    #[test]
    fn images_share_their_grids_and_name_their_crs() {
        let images = small().generate();
        assert_eq!(images.fine_pairs.len(), 2);
        assert_eq!(images.truth.values.dim(), (6, 250, 300));
        assert_eq!(images.truth.crs, "EPSG:32633");
        assert_eq!(images.coarse_target.crs, "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs");
        for image in &images.coarse_pairs {
            assert_eq!(image.transform, images.coarse_target.transform);
            assert_eq!(image.values.dim(), images.coarse_target.values.dim());
        }
        assert_eq!(images.fine_pairs[1].date.to_string(), "2022-09-14");
        assert!(images.coarse_target.values.iter().all(|v| v.is_finite() && *v > 0.0));
        assert!(images.hidden(0).iter().any(|h| *h) && !images.hidden(1).iter().any(|h| *h));
        assert_eq!(images.hidden(2).dim(), (0, 0));
    }

    #[test]
    fn coarse_and_fine_show_the_same_land() {
        let images = small().generate();
        let view = images.coarse_view(&images.coarse_target);
        let truth = &images.truth.values;
        for band in 0..6 {
            let (mut sum, mut n) = ((0.0f64, 0.0f64), 0.0);
            for r in 0..250 {
                for c in 0..300 {
                    sum.0 += f64::from(view[[band, r, c]]);
                    sum.1 += f64::from(truth[[band, r, c]]);
                    n += 1.0;
                }
            }
            let (gain, offset) = (f64::from(crate::coarse::GAIN[band]), f64::from(crate::coarse::OFFSET[band]));
            let (coarse, expected) = (sum.0 / n, gain * sum.1 / n + offset);
            assert!((coarse - expected).abs() < 0.004, "band {band}: {coarse} and {expected}");
        }
    }

    #[test]
    fn quicklooks_have_the_right_sizes() {
        let images = Demo { rows: 240, cols: 240, ..Demo::default() }.generate();
        let looks = images.quicklooks(images.truth.values.view(), "the truth itself");
        let names: Vec<&str> = looks.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "overview",
                "fine_2022-05-09",
                "coarse_2022-05-09",
                "coarse_2022-07-12",
                "prediction_2022-07-12",
                "truth_2022-07-12",
                "error_2022-07-12"
            ]
        );
        for (name, picture) in &looks[1..] {
            assert_eq!((picture.width(), picture.height()), (240, 240), "{name}");
        }
        let (overview, error) = (&looks[0].1, &looks[6].1);
        assert!(overview.width() > 3 * 400 && overview.height() > 2 * 400);
        assert_eq!(looks[4].1, looks[5].1, "prediction and truth share their stretch");
        assert_eq!(error.get(0, 0), Some(ColourMap::Heat.rgb(0.0)), "no error is the darkest colour");
    }

    #[test]
    fn stored_values_are_scaled_integers() {
        let values = ndarray::arr3(&[[[0.0425f32, f32::NAN, 0.00004, -0.5]]]);
        let stored = crate::to_int16(values.view());
        assert_eq!(stored.as_slice(), Some(&[425, crate::NODATA, 0, -5000][..]));
    }
}
