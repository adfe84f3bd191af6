//! SFSDAF: spatiotemporal fusion with sub-pixel class fraction change (Li, Foody, Boyd, Ge, Zhang, Du and Ling 2020).
//!
//! ```text
//! fine pixels:    fractions  f1 ~ 1 / squared Mahalanobis distance from the means of k-means classes                     step 1
//! cells:          means of f1; change ΔE of each class from the coarse changes of the purest cells;
//!                 fractions of the target by unmixing C_p within 0..1 with sum 1, Δf = new − old                           steps 2 to 4
//! fine pixels:    Δf by cubic convolution, averaged over the pixels of most similar fractions; f2 = f1 + Δf               step 5
//!                 F_TP = F + Σ_c (E1 + ΔE) f2 − E1 f1, with E1 the values of the classes in the fine image                step 6
//! cells:          R = (C_p − C) − mean(F_TP − F), distributed with w ~ |F_SP − F_TP| · HI + |R| (1 − HI), mean 1        step 7
//! prediction:     F + weighted mean of F_TP + w R − F over the most similar pixels                                         step 8
//! ```
//! where a cell is a coarse pixel, F_SP the coarse image of the target at fine pixels and HI the share of a pixel's class around it. The
//! README lists every choice and where it comes from.
//!
//! Edges: those of [`crate::blocks::similar_changes`].

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod model;
pub mod parameters;
pub mod reference;
pub mod soft_classes;

use stfusion_core::method::{
    check_needs, Cost, DeviceCost, Family, Layer, Method, MethodInfo, Plan, Prepared, Promises, Reference, Request, Scene,
    SceneInfo,
};
use stfusion_core::source::Resampling;
use stfusion_core::{Error, ErrorKind, Exec, Result};

use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::nearest::{Norm, Search, Window};
use crate::blocks::pair_weights::{self, pair_weights, PairJob};
use crate::blocks::pixel_sample::MOST_PIXELS;
use crate::blocks::purest_cells;
use crate::blocks::residual_weights::ResidualWeights;
use crate::blocks::simd::Path;
use crate::blocks::similar_changes::{self, data_range, SimilarChanges, SimilarityWeight};
use crate::blocks::spatial_prediction::{self, Spatial, SpatialPrediction};
use crate::blocks::told::{self, Told};
use cpu::Job;
use model::PairModel;

pub use parameters::Parameters;

static INFO: MethodInfo = MethodInfo {
    id: "sfsdaf",
    label: "SFSDAF",
    summary: "FSDAF with fractions of classes in every fine pixel that change with the coarse image, for land cover that changes within a coarse pixel",
    family: Family::Hybrid,
    tags: &["sub-pixel class fraction change", "FSDAF", "Landsat", "MODIS", "unmixing", "land cover change", "soft classification"],
    references: &[Reference {
        citation: "Li, X., Foody, G. M., Boyd, D. S., Ge, Y., Zhang, Y., Du, Y., Ling, F. (2020). SFSDAF: An enhanced FSDAF that \
                   incorporates sub-pixel class fraction change information for spatio-temporal image fusion. Remote Sensing of Environment 237, 111537",
        doi: "10.1016/j.rse.2019.111537",
    }],
    min_pairs: 1,
    max_pairs: None,
    needs_dates: false,
    extra_images: &[],
    coarse_resampling: Resampling::Nearest,
    promises: Promises { keeps_unchanged: true, trained_elsewhere: false, bands_apart: false },
    parameters: Parameters::SPECS,
    readme: include_str!("README.md"),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Sfsdaf;

impl Method for Sfsdaf {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        check_needs(&INFO, request.scene)?;
        let parameters = Parameters::from_values(request.values)?;
        data_range(&parameters.data_range)?;
        purest_cells::quantiles(&parameters.change_quantiles)?;
        let grid = CoarseGrid::of_scene(request.scene, parameters.scale, INFO.label)?;
        parameters.spatial_prediction.check(grid.scale)?;
        let half = half_window(parameters.window, grid.scale)?;
        Ok(Box::new(Planned { parameters, half, grid, scene: request.scene.clone() }))
    }
}

/// Half the window of similar pixels; automatic: a coarse pixel.
fn half_window(window: Option<f64>, scale: usize) -> Result<usize> {
    match window {
        None => Ok(scale),
        Some(side) if side % 2.0 == 1.0 => Ok(side as usize / 2),
        Some(side) => Err(Error::new(ErrorKind::Parameter, format!("window is {side}; expected an odd whole number"))
            .with_hint(format!("Set window={}, or auto for {}.", 2 * (side as usize / 2) + 1, 2 * scale + 1))),
    }
}

#[derive(Debug)]
struct Planned {
    parameters: Parameters,
    half: usize,
    grid: CoarseGrid,
    scene: SceneInfo,
}

impl Planned {
    fn search(&self, half: usize) -> Search {
        let (path, _) = Path::from_environment();
        Search::new(Window::new(half), self.parameters.similar_pixels as usize, Norm::Absolute, path)
    }

    /// Half the windows of homogeneity and of similar fractions: together a coarse pixel.
    fn inner_half(&self) -> usize {
        self.grid.scale / 2
    }
}

impl Plan for Planned {
    fn cost(&self) -> Cost {
        let (bands, pairs) = (self.scene.bands, self.parameters.pairs.used(&self.scene).len());
        let (float, scale, classes) = (size_of::<f32>(), self.grid.scale, self.parameters.classes as usize);
        let combined = if pairs > 1 { pair_weights::bytes_per_px(bands) } else { 0 };
        // coarse images, changes and weights; fractions, their changes and those filled, of each pair
        let of_cells = 2 * bands + 2 + pairs * (2 * bands + classes) + 3 * classes;
        let splines = spatial_prediction::bytes(self.parameters.spatial_prediction, scale)
            + pairs * spatial_prediction::bytes(SpatialPrediction::Cubic, scale);
        Cost {
            halo_px: similar_changes::halo(self.half, self.inner_half(), scale),
            bytes_per_px: similar_changes::bytes_per_px(bands) + cpu::bytes_per_px(bands, classes) + combined,
            fixed_bytes: self.search(self.half).bytes(bands)
                + self.search(self.inner_half()).bytes(classes)
                + 8 * scale * scale * float,
            prepared_bytes: self.grid.cells() * of_cells * float + splines + MOST_PIXELS * (2 * bands + classes + 6) * float,
        }
    }

    fn device_cost(&self) -> std::result::Result<DeviceCost, &'static str> {
        let (bands, pairs) = (self.scene.bands, self.parameters.pairs.used(&self.scene).len());
        let (most, classes, scale) = (self.parameters.similar_pixels as usize, self.parameters.classes as usize, self.grid.scale);
        let cost = similar_changes::cuda::device_cost(bands, most, self.half, pairs > 1);
        Ok(DeviceCost {
            bytes_per_px: cost.bytes_per_px
                + cuda::bytes_per_px(bands, classes, most)
                + spatial_prediction::cuda::bytes_per_px(scale),
            fixed_bytes: cost.fixed_bytes + spatial_prediction::cuda::fixed_bytes(bands),
            // coarse changes, weights and changes of fractions of each pair, and the target; classes; the window of similar fractions
            prepared_bytes: cost.prepared_bytes
                + 4 * self.grid.cells() * (pairs * (2 * bands + classes) + bands)
                + 8 * pairs * classes * bands * (bands + 4)
                + 16 * (2 * self.inner_half() + 1).pow(2)
                + spatial_prediction::bytes(self.parameters.spatial_prediction, scale),
        })
    }

    fn prepare(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Box<dyn Prepared>> {
        if let (_, Some(remark)) = Path::from_environment() {
            exec.warn(remark);
        }
        let target = self.grid.images(scene, &[Layer::Target], 0.0, exec)?.remove(0);
        if target.iter().all(|v| v.is_nan()) {
            return Err(Error::new(ErrorKind::Data, "The coarse image of the target has no valid pixel")
                .with_hint("Check its nodata value and mask, or choose another day."));
        }
        let mut pairs = Vec::new();
        let mut derived = vec![("scale".to_string(), self.grid.scale.to_string())];
        let used = self.parameters.pairs.used(&self.scene);
        for &k in &used {
            let model = PairModel::new(scene, &self.grid, &self.parameters, k, &target, exec)?;
            if model.coarse_changes.iter().all(|v| v.is_nan()) {
                exec.warn(format!("Pair {} has no coarse pixel that is valid at the target too; it predicts nothing", k + 1));
            }
            let found = [("class_values", &model.class_values[..]), ("class_changes", &model.class_changes)];
            derived.extend(told::of_classes(k, model.soft.count(), &found));
            let weights = (used.len() > 1).then(|| pair_weights(&model.coarse_changes, &self.grid, 1));
            pairs.push(PairJob { index: k, model, weights });
            (exec.progress)(pairs.len() as f64 / used.len() as f64);
        }
        let half_weight_px = self.grid.scale as f64 / 2.0;
        let job = Job {
            similar: SimilarChanges {
                grid: self.grid,
                search: self.search(self.half),
                law: None,
                relative: false,
                same_class: false,
                weight: SimilarityWeight::Distance,
                half_weight_px,
                range: data_range(&self.parameters.data_range)?,
                pairs: pairs.len(),
                scene: (self.scene.rows, self.scene.cols),
            },
            pairs,
            spatial: Spatial::new(self.parameters.spatial_prediction, &self.grid, &target, exec.cancel)?,
            residuals: ResidualWeights { sign_rule: self.parameters.sign_rule, cap: f64::INFINITY },
            homogeneity_half: self.inner_half(),
            fraction_search: self.search(self.inner_half()),
            half_weight_px,
        };
        Ok(Box::new(Told { job, derived, run: cpu::run, on_device: Some(cuda::on_device) }))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{s, Array2, Array3};
    use stfusion_core::method::Fallback;

    use super::*;
    use crate::cases::{self as shared, Prediction, Problem};

    fn predicted(problem: &Problem, settings: &[(&str, &str)]) -> Prediction {
        shared::predict(&Sfsdaf, &shared::values_of(&Sfsdaf, settings).unwrap(), problem, (64, 64), true).unwrap()
    }

    fn refusal(problem: &Problem, settings: &[(&str, &str)]) -> Error {
        let values = shared::values_of(&Sfsdaf, settings).unwrap();
        shared::predict(&Sfsdaf, &values, problem, (64, 64), false).unwrap_err()
    }

    /// Two classes of which one changes, and a part of the scene that is the other at the target; exact coarse images (cells of 8).
    fn changed_cover() -> (Problem, Array3<f32>) {
        let mut problem = Problem::fields(2, 64, 64, 8, &[-16], 1);
        let water = |r: usize, c: usize| c < 16 || c < 48 && (r / 3 + c / 3).is_multiple_of(3);
        let grain = |b: usize, r: usize, c: usize| 0.002 * ((5 * r + 3 * c + b) % 7) as f32;
        let image = |values: [[f32; 2]; 2], flooded: bool| {
            Array3::from_shape_fn((2, 64, 64), |(b, r, c)| {
                let wet = water(r, c) || flooded && (24..40).contains(&r) && c >= 48;
                values[usize::from(wet)][b] + grain(b, r, c)
            })
        };
        let coarse = |fine: &Array3<f32>| {
            Array3::from_shape_fn((2, 64, 64), |(b, r, c)| {
                let (r, c) = (r / 8 * 8, c / 8 * 8);
                fine.slice(s![b, r..r + 8, c..c + 8]).mean().unwrap()
            })
        };
        let (before, after) = (image([[0.1, 0.4], [0.05, 0.03]], false), image([[0.15, 0.5], [0.05, 0.03]], true));
        problem.pairs[0].coarse = coarse(&before);
        problem.pairs[0].fine = before;
        problem.target = coarse(&after);
        (problem, after)
    }

    fn error(prediction: &Prediction, truth: &Array3<f32>) -> f64 {
        let squares = prediction.image.iter().zip(truth).map(|(a, b)| f64::from(a - b).powi(2));
        (squares.sum::<f64>() / truth.len() as f64).sqrt()
    }

    #[test]
    fn changed_land_cover_is_followed() {
        let (problem, truth) = changed_cover();
        let copied = (&problem.pairs[0].fine - &truth).mapv(|v| f64::from(v).powi(2)).mean().unwrap().sqrt();
        let follows = error(&predicted(&problem, &[("classes", "2")]), &truth);
        assert!(follows < 0.5 * copied, "{follows} and {copied}");
    }

    #[test]
    fn a_constant_fine_image_gets_the_coarse_change() {
        let mut problem = Problem::fields(1, 24, 24, 6, &[-16], 1);
        problem.pairs[0].fine.fill(0.25);
        problem.pairs[0].coarse.fill(0.25);
        problem.target.fill(0.375);
        let got = predicted(&problem, &[]);
        assert!(got.image.iter().all(|v| (v - 0.375).abs() < 1e-6), "{}", got.image);
    }

    #[test]
    fn a_prediction_out_of_range_is_repaired_and_said_to_be() {
        let (problem, _) = changed_cover();
        let got = predicted(&problem, &[("data_range", "0.06 0.4")]);
        assert!(got.image.iter().all(|v| (0.06..=0.4).contains(v)));
        assert!(got.fallback.unwrap().iter().any(|f| *f == f32::from(Fallback::OutOfRange as u8)));
    }

    #[test]
    fn too_few_cells_for_the_classes_are_said_to_be() {
        let problem = Problem::fields(2, 8, 16, 8, &[-16], 1);
        let got = predicted(&problem, &[("classes", "4")]);
        assert!(got.image.iter().all(|v| v.is_finite()));
        assert!(got.fallback.unwrap().iter().all(|f| *f == f32::from(Fallback::FewCoarse as u8)));
    }

    #[test]
    fn a_pixel_with_an_invalid_band_gets_the_coarse_change_in_the_others() {
        let (mut problem, _) = changed_cover();
        problem.pairs[0].fine[(0, 20, 20)] = f32::NAN;
        let got = predicted(&problem, &[("classes", "2")]);
        let at = (1, 20, 20);
        let cell = (problem.pairs[0].coarse[at], problem.target[at]);
        assert!(got.image[(0, 20, 20)].is_nan());
        assert!((got.image[at] - (problem.pairs[0].fine[at] + cell.1 - cell.0)).abs() < 1e-6);
        assert_eq!(got.fallback.unwrap()[(20, 20)], f32::from(Fallback::ClassAbsent as u8));
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_place() {
        let mut problem = Problem::fields(2, 12, 12, 4, &[-16], 1);
        assert_eq!(refusal(&problem, &[("window", "8")]).message(), "window is 8; expected an odd whole number");
        assert_eq!(refusal(&problem, &[("window", "8.5")]).hint().unwrap(), "Set window=9, or auto for 9.");
        assert!(refusal(&problem, &[("data_range", "1 0")]).message().starts_with("data_range is \"1 0\""));
        assert!(refusal(&problem, &[("change_quantiles", "0.5")]).message().starts_with("change_quantiles is \"0.5\""));
        problem.pairs[0].classes = Some(Array2::zeros((12, 12)));
        assert_eq!(refusal(&problem, &[]).message(), "SFSDAF takes no class map; pair 1 has one");
        problem.pairs[0].classes = None;
        problem.pairs[0].fine.slice_mut(s![0, .., ..]).fill(f32::NAN);
        assert_eq!(refusal(&problem, &[]).message(), "The fine image of pair 1 has no pixel that is valid in every band");
        problem.target.fill(f32::NAN);
        assert_eq!(refusal(&problem, &[]).message(), "The coarse image of the target has no valid pixel");
        problem.scale = None;
        assert!(refusal(&problem, &[]).message().starts_with("SFSDAF works on coarse pixels"));
    }
}
