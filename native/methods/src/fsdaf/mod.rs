//! FSDAF: flexible spatiotemporal data fusion (Zhu, Helmer, Gao, Liu, Chen and Lefsky 2016).
//!
//! ```text
//! for the scene:  classes of the fine image; change of each class from the coarse changes of the purest cells    equations 1 to 4
//! in each cell:   temporal prediction  F_TP = F + change of the class                                            equation 5
//!                 residual             R = (C_p − C) − mean(F_TP − F)                                            equation 9
//!                 spatial prediction   F_SP = thin-plate spline through C_p                                      equations 10 to 13
//!                 weights              w ~ |F_SP − F_TP| · HI + |R| (1 − HI), mean 1                             equations 14 to 18
//!                 change               F_TP + w R − F                                                            equations 19, 20
//! for each pixel: prediction           F + weighted mean of the changes of the most similar pixels               equations 21 to 24
//! ```
//! where a cell is a coarse pixel and HI the share of pixels of a pixel's class around it. The README lists every choice and where
//! it comes from.
//!
//! Edges: a pixel is predicted where its fine value and both coarse values of its cell are valid. Similar pixels are valid in every
//! band and have a class. A pixel without similar pixels gets its own change, and the coarse change where it has none.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod model;
pub mod parameters;
pub mod reference;

use stfusion_core::method::{
    check_needs, Cost, DeviceCost, ExtraImage, Family, Layer, Method, MethodInfo, Plan, Prepared, Promises, Reference, Request,
    Scene, SceneInfo,
};
use stfusion_core::source::Resampling;
use stfusion_core::{Error, ErrorKind, Exec, Result};

use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::nearest::{DistanceLaw, Norm, Search, Window};
use crate::blocks::pair_weights::{self, pair_weights, PairJob};
use crate::blocks::pixel_sample::MOST_PIXELS;
use crate::blocks::purest_cells;
use crate::blocks::residual_weights::ResidualWeights;
use crate::blocks::simd::Path;
use crate::blocks::similar_changes::{self, data_range, distance_law, SimilarChanges, SimilarityOrder};
use crate::blocks::spatial_prediction::{self, Spatial};
use crate::blocks::told::{self, Told};
use cpu::Job;
use model::PairModel;
use parameters::HomogeneityWindow;

pub use parameters::Parameters;

/// The paper.
pub const REFERENCE: Reference = Reference {
    citation:
        "Zhu, X., Helmer, E. H., Gao, F., Liu, D., Chen, J., Lefsky, M. A. (2016). A flexible spatiotemporal method for fusing \
               satellite images with different resolutions. Remote Sensing of Environment 172, 165-177",
    doi: "10.1016/j.rse.2015.11.016",
};

static INFO: MethodInfo = MethodInfo {
    id: "fsdaf",
    label: "FSDAF",
    summary: "Class changes from the purest coarse pixels, what they leave unexplained spread by a spline, averaged over similar pixels",
    family: Family::Hybrid,
    tags: &["flexible spatiotemporal data fusion", "Landsat", "MODIS", "unmixing", "land cover change", "thin plate spline", "flood"],
    references: &[REFERENCE],
    min_pairs: 1,
    max_pairs: None,
    needs_dates: false,
    extra_images: &[ExtraImage::Classes],
    coarse_resampling: Resampling::Nearest,
    promises: Promises { keeps_unchanged: true, trained_elsewhere: false, bands_apart: false },
    parameters: Parameters::SPECS,
    readme: include_str!("README.md"),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Fsdaf;

impl Method for Fsdaf {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        check_needs(&INFO, request.scene)?;
        let parameters = Parameters::from_values(request.values)?;
        check(&parameters)?;
        let grid = CoarseGrid::of_scene(request.scene, parameters.scale, INFO.label)?;
        parameters.spatial_prediction.check(grid.scale)?;
        Ok(Box::new(Planned { parameters, grid, scene: request.scene.clone() }))
    }
}

fn check(parameters: &Parameters) -> Result<()> {
    data_range(&parameters.data_range)?;
    purest_cells::quantiles(&parameters.change_quantiles)?;
    if parameters.min_classes > parameters.max_classes {
        return Err(Error::new(
            ErrorKind::Parameter,
            format!("min_classes ({}) is larger than max_classes ({})", parameters.min_classes, parameters.max_classes),
        )
        .with_hint("Set max_classes to at least min_classes."));
    }
    Ok(())
}

#[derive(Debug)]
struct Planned {
    parameters: Parameters,
    grid: CoarseGrid,
    scene: SceneInfo,
}

impl Planned {
    fn half(&self) -> usize {
        (self.parameters.window / 2) as usize
    }

    fn law(&self) -> Option<DistanceLaw> {
        let by_distance = self.parameters.similarity_order == SimilarityOrder::DifferenceAndDistance;
        by_distance.then(|| distance_law(self.half()))
    }

    fn search(&self) -> Search {
        let (path, _) = Path::from_environment();
        let most = self.parameters.similar_pixels as usize;
        let search = Search::new(Window::new(self.half()), most, Norm::Absolute, path);
        match self.law() {
            Some(law) => search.with_law(law),
            None => search,
        }
    }

    fn homogeneity_half(&self) -> usize {
        match self.parameters.homogeneity_window {
            HomogeneityWindow::Window => self.half(),
            HomogeneityWindow::CoarsePixel => self.grid.scale / 2,
        }
    }
}

impl Plan for Planned {
    fn cost(&self) -> Cost {
        let (bands, pairs) = (self.scene.bands, self.parameters.pairs.used(&self.scene).len());
        let (float, scale) = (size_of::<f32>(), self.grid.scale);
        let combined = if pairs > 1 { pair_weights::bytes_per_px(bands) } else { 0 };
        let classes = self.parameters.max_classes as usize;
        let of_cells = bands * (3 * pairs + 2) + classes + 1;
        Cost {
            halo_px: similar_changes::halo(self.half(), self.homogeneity_half(), scale),
            // labels and homogeneity beside the rest
            bytes_per_px: similar_changes::bytes_per_px(bands) + 2 * float + combined,
            fixed_bytes: self.search().bytes(bands + 1) + 8 * scale * scale * float,
            prepared_bytes: self.grid.cells() * of_cells * float
                + spatial_prediction::bytes(self.parameters.spatial_prediction, scale)
                + 2 * MOST_PIXELS * bands * float,
        }
    }

    fn device_cost(&self) -> std::result::Result<DeviceCost, &'static str> {
        let (bands, pairs) = (self.scene.bands, self.parameters.pairs.used(&self.scene).len());
        let most = self.parameters.similar_pixels as usize;
        let cost = similar_changes::cuda::device_cost(bands, most, self.half(), pairs > 1);
        let (scale, classes) = (self.grid.scale, self.parameters.max_classes as usize);
        Ok(DeviceCost {
            bytes_per_px: cost.bytes_per_px + spatial_prediction::cuda::bytes_per_px(scale),
            fixed_bytes: cost.fixed_bytes + spatial_prediction::cuda::fixed_bytes(bands),
            // coarse changes, residuals and weights of each pair, and the target; class changes
            prepared_bytes: cost.prepared_bytes
                + 4 * bands * ((3 * pairs + 1) * self.grid.cells() + 3 * pairs * classes)
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
            derived.extend(told::of_classes(k, model.classes.count(), &[("class_changes", &model.class_changes)]));
            let weights = (used.len() > 1).then(|| pair_weights(&model.coarse_changes, &self.grid, 1));
            pairs.push(PairJob { index: k, model, weights });
            (exec.progress)(pairs.len() as f64 / used.len() as f64);
        }
        let job = Job {
            similar: SimilarChanges {
                grid: self.grid,
                search: self.search(),
                law: self.law(),
                relative: true,
                same_class: self.parameters.same_class,
                weight: self.parameters.similarity_weight,
                half_weight_px: self.half().max(1) as f64,
                range: data_range(&self.parameters.data_range)?,
                pairs: pairs.len(),
                scene: (self.scene.rows, self.scene.cols),
            },
            pairs,
            spatial: Spatial::new(self.parameters.spatial_prediction, &self.grid, &target, exec.cancel)?,
            residuals: ResidualWeights { sign_rule: self.parameters.sign_rule, cap: self.parameters.weight_cap },
            homogeneity_half: self.homogeneity_half(),
            path: Path::from_environment().0,
        };
        Ok(Box::new(Told { job, derived, run: cpu::run, on_device: Some(cuda::on_device) }))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{s, Array2};
    use stfusion_core::method::Fallback;
    use stfusion_core::Cancel;

    use super::*;
    use crate::cases::{self as shared, Prediction, Problem};

    fn predicted(problem: &Problem, settings: &[(&str, &str)]) -> Prediction {
        let mut all = vec![("window", "7")];
        all.extend_from_slice(settings);
        shared::predict(&Fsdaf, &shared::values_of(&Fsdaf, &all).unwrap(), problem, (64, 64), true).unwrap()
    }

    fn refusal(problem: &Problem, settings: &[(&str, &str)]) -> Error {
        let values = shared::values_of(&Fsdaf, settings).unwrap();
        shared::predict(&Fsdaf, &values, problem, (64, 64), false).unwrap_err()
    }

    /// Two classes whose changes differ, apart at the sides and mixed between them, and their exact coarse images (cells of 8).
    fn two_classes() -> (Problem, ndarray::Array3<f32>) {
        let mut problem = Problem::fields(1, 64, 64, 8, &[-16], 1);
        let wet = |r: usize, c: usize| c < 16 || c < 48 && (r / 3 + c / 3).is_multiple_of(3);
        let of =
            |dry: f32, water: f32| ndarray::Array3::from_shape_fn((1, 64, 64), |(_, r, c)| if wet(r, c) { water } else { dry });
        let coarse = |fine: &ndarray::Array3<f32>| {
            ndarray::Array3::from_shape_fn((1, 64, 64), |(_, r, c)| {
                let (r, c) = (r / 8 * 8, c / 8 * 8);
                fine.slice(s![0, r..r + 8, c..c + 8]).mean().unwrap()
            })
        };
        let (before, after) = (of(0.3, 0.1), of(0.5, 0.125));
        problem.pairs[0].coarse = coarse(&before);
        problem.pairs[0].fine = before;
        problem.target = coarse(&after);
        (problem, after)
    }

    #[test]
    fn classes_that_change_differently_are_told_apart() {
        let (problem, truth) = two_classes();
        let got = predicted(&problem, &[("min_classes", "2"), ("max_classes", "2")]);
        let difference = shared::largest_difference(got.image.view(), truth.mapv(f64::from).view()).unwrap();
        assert!(difference < 1e-4, "{difference}");
        assert!(got.fallback.unwrap().iter().all(|f| *f == 0.0));
        assert!(got.support.unwrap().0.iter().all(|n| (1.0..=20.0).contains(n)));
    }

    #[test]
    fn a_prediction_out_of_range_is_repaired_and_said_to_be() {
        let (problem, _) = two_classes();
        let got = predicted(&problem, &[("min_classes", "2"), ("max_classes", "2"), ("data_range", "0.11 0.4")]);
        assert!(got.image.iter().all(|v| (0.11..=0.4).contains(v)));
        let repaired = f32::from(Fallback::OutOfRange as u8);
        assert!(got.fallback.unwrap().iter().any(|f| *f == repaired));
    }

    #[test]
    fn a_class_that_no_complete_cell_knows_changes_as_the_scene_does() {
        let (mut problem, _) = two_classes();
        // a third class in one cell, where a pixel has no class
        let class = |r: usize, c: usize| match (r, c) {
            (7, 7) => f32::NAN,
            (0..4, 0..4) => 9.0,
            _ => ((r / 3 + c / 3) % 3) as f32,
        };
        problem.pairs[0].classes = Some(Array2::from_shape_fn((64, 64), |(r, c)| class(r, c)));
        let got = predicted(&problem, &[]);
        assert!(got.image.iter().all(|v| v.is_finite()));
        let fallback = got.fallback.unwrap();
        let absent = f32::from(Fallback::ClassAbsent as u8);
        for ((row, col), found) in fallback.indexed_iter() {
            let expected = if (row < 4 && col < 4) || (row, col) == (7, 7) { absent } else { 0.0 };
            assert_eq!(*found, expected, "row {row}, column {col}");
        }
    }

    #[test]
    fn too_few_cells_for_the_classes_are_said_to_be() {
        let mut problem = Problem::fields(1, 8, 8, 8, &[-16], 1);
        problem.pairs[0].classes = Some(Array2::from_shape_fn((8, 8), |(r, c)| f32::from(((r + c) % 3) as u8)));
        let got = predicted(&problem, &[]);
        assert!(got.image.iter().all(|v| v.is_finite()));
        assert!(got.fallback.unwrap().iter().all(|f| *f == f32::from(Fallback::FewCoarse as u8)));
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
    fn of_two_pairs_the_one_that_changed_less_counts_more() {
        let mut problem = Problem::fields(1, 24, 24, 6, &[-16, 40], 1);
        for (pair, (fine, coarse)) in problem.pairs.iter_mut().zip([(0.25, 0.3), (0.25, 0.2)]) {
            pair.fine.fill(fine);
            pair.coarse.fill(coarse);
        }
        problem.target.fill(0.325);
        // the first predicts 0.275 with weight 1 / 0.025, the second 0.375 with weight 1 / 0.125
        let got = predicted(&problem, &[]);
        let expected = (0.275 * 40.0 + 0.375 * 8.0) / 48.0;
        assert!(got.image.iter().all(|v| (f64::from(*v) - expected).abs() < 1e-5), "{}", got.image[(0, 0, 0)]);
        let nearest = predicted(&problem, &[("pairs", "nearest")]);
        assert!(nearest.image.iter().all(|v| (v - 0.275).abs() < 1e-6));
    }

    #[test]
    fn parameters_that_contradict_are_refused() {
        let problem = Problem::fields(1, 12, 12, 4, &[-16], 1);
        assert_eq!(
            refusal(&problem, &[("data_range", "1 0")]).message(),
            "data_range is \"1 0\"; expected the smallest and the largest value"
        );
        assert_eq!(
            refusal(&problem, &[("change_quantiles", "0.5")]).message(),
            "change_quantiles is \"0.5\"; expected two quantiles"
        );
        assert_eq!(refusal(&problem, &[("max_classes", "3")]).message(), "min_classes (4) is larger than max_classes (3)");
    }

    #[test]
    fn data_that_cannot_be_used_are_refused_with_the_place() {
        let mut problem = Problem::fields(2, 12, 12, 4, &[-16], 1);
        problem.scale = None;
        assert!(refusal(&problem, &[]).message().starts_with("FSDAF works on coarse pixels"));
        assert_eq!(refusal(&problem, &[("scale", "200")]).message(), "The scale is 200; a thin-plate spline takes up to 128");
        problem.scale = Some(4);
        problem.pairs[0].classes = Some(Array2::from_elem((12, 12), 1.5));
        assert_eq!(
            refusal(&problem, &[]).message(),
            "The class map of pair 1 has 1.5 at row 0, column 0; expected whole numbers from 0 to 65535"
        );
        problem.pairs[0].classes = None;
        problem.pairs[0].fine.slice_mut(s![0, .., ..]).fill(f32::NAN);
        assert_eq!(refusal(&problem, &[]).message(), "The fine image of pair 1 has no pixel that is valid in every band");
        problem.target.fill(f32::NAN);
        assert_eq!(refusal(&problem, &[]).message(), "The coarse image of the target has no valid pixel");
    }

    #[test]
    fn what_was_derived_is_told_and_a_stopped_run_says_so() {
        let (problem, _) = two_classes();
        let values = shared::values_of(&Fsdaf, &[("min_classes", "2"), ("max_classes", "2")]).unwrap();
        let scene = problem.scene().unwrap();
        let cancel = Cancel::new();
        let plan = Fsdaf.plan(&Request { values: &values, scene: scene.info() }).unwrap();
        let derived = plan.prepare(&scene, &Exec::quiet(&cancel)).unwrap().derived();
        let expected = [("scale", "8"), ("classes_1", "2"), ("class_changes_1", "0.025000 0.200000")];
        assert_eq!(derived, expected.map(|(name, value)| (name.to_string(), value.to_string())));
        cancel.request();
        assert_eq!(plan.prepare(&scene, &Exec::quiet(&cancel)).err().unwrap().kind(), ErrorKind::Cancelled);
    }
}
