//! IFSDAF: improved flexible spatiotemporal data fusion (Liu, Yang, Zhu, Chen, Chen, Yang and Helmer 2019).
//!
//! ```text
//! for every pair k and every coarse pixel (cell), ΔC = C_p − C_k:
//!     time-dependent increment   ΔF_T = change of the class, unmixed from ΔC in a window of cells
//!     space-dependent increment  ΔF_S = thin-plate spline through ΔC, which is that of C_p minus that of C_k
//!     weights                    0 ≤ w ≤ 1 for which w mean(ΔF_T) + (1 − w) mean(ΔF_S) is nearest to ΔC in a window of cells
//!     increment                  ΔF = w ΔF_T + (1 − w) ΔF_S
//!     residual                   R = ΔC − mean(ΔF), distributed with v ~ |ΔF_S − ΔF| · HI + |R| (1 − HI), mean 1
//!     prediction                 F_k + weighted mean of ΔF + v R over the most similar pixels
//! pairs combined with the inverse of the mean |ΔC| of the cells around as weight
//! ```
//! where HI is the share of pixels of a pixel's class around it. The README lists every choice and where it comes from.
//!
//! Edges: those of [`crate::blocks::similar_changes`]; a pixel that one pair cannot predict gets its value from the others.

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
use crate::blocks::residual_weights::ResidualWeights;
use crate::blocks::simd::Path;
use crate::blocks::similar_changes::{self, data_range, distance_law, SimilarChanges, SimilarityOrder};
use crate::blocks::spatial_prediction;
use crate::blocks::told::Told;
use crate::blocks::unmixing::class_values;
use cpu::Job;
use model::{classification, mean_weight, PairModel};

pub use parameters::Parameters;

static INFO: MethodInfo = MethodInfo {
    id: "ifsdaf",
    label: "IFSDAF",
    summary: "Class changes unmixed around each coarse pixel and the smooth coarse change, weighted by how well either explains it, averaged over similar pixels",
    family: Family::Hybrid,
    tags: &["improved flexible spatiotemporal data fusion", "NDVI", "time series", "FSDAF", "Landsat", "MODIS", "unmixing", "thin plate spline"],
    references: &[Reference {
        citation: "Liu, M., Yang, W., Zhu, X., Chen, J., Chen, X., Yang, L., Helmer, E. H. (2019). An Improved Flexible Spatiotemporal DAta \
                   Fusion (IFSDAF) method for producing high spatiotemporal resolution normalized difference vegetation index time series. \
                   Remote Sensing of Environment 227, 74-89",
        doi: "10.1016/j.rse.2019.03.012",
    }],
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
pub struct Ifsdaf;

impl Method for Ifsdaf {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        check_needs(&INFO, request.scene)?;
        let parameters = Parameters::from_values(request.values)?;
        data_range(&parameters.data_range)?;
        let grid = CoarseGrid::of_scene(request.scene, parameters.scale, INFO.label)?;
        parameters.spatial_prediction.check(grid.scale)?;
        classification(&parameters).check(request.scene, &grid)?;
        Ok(Box::new(Planned { parameters, grid, scene: request.scene.clone() }))
    }
}

#[derive(Debug)]
struct Planned {
    parameters: Parameters,
    grid: CoarseGrid,
    scene: SceneInfo,
}

/// Classes that are counted on in the memory of a class map, whose number is not known before it is read.
const CLASSES_OF_MAP: usize = 32;

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
        let search = Search::new(Window::new(self.half()), self.parameters.similar_pixels as usize, Norm::Absolute, path);
        match self.law() {
            Some(law) => search.with_law(law),
            None => search,
        }
    }

    /// Classes that are counted on in pair `k`.
    fn classes_of(&self, k: usize) -> usize {
        if self.scene.pairs[k].has(ExtraImage::Classes) {
            CLASSES_OF_MAP
        } else {
            self.parameters.classes as usize
        }
    }

    fn homogeneity_half(&self) -> usize {
        self.grid.scale / 2
    }
}

impl Plan for Planned {
    fn cost(&self) -> Cost {
        let (bands, scale, float) = (self.scene.bands, self.grid.scale, size_of::<f32>());
        let used = self.parameters.pairs.used(&self.scene);
        let combined = if used.len() > 1 { pair_weights::bytes_per_px(bands) } else { 0 };
        let of_pair = |k: usize| {
            // changes, those filled, the weights of increments and of pairs
            let of_cell = class_values::bytes_per_cell(self.classes_of(k), bands, bands) + 4 * bands * float;
            self.grid.cells() * of_cell + spatial_prediction::bytes(self.parameters.spatial_prediction, scale)
        };
        Cost {
            halo_px: similar_changes::halo(self.half(), self.homogeneity_half(), scale),
            // labels and homogeneity beside the rest
            bytes_per_px: similar_changes::bytes_per_px(bands) + 2 * float + combined,
            fixed_bytes: self.search().bytes(bands + 1) + 8 * scale * scale * float,
            prepared_bytes: used.into_iter().map(of_pair).sum::<usize>() + 2 * MOST_PIXELS * bands * float,
        }
    }

    fn device_cost(&self) -> std::result::Result<DeviceCost, &'static str> {
        let (bands, scale) = (self.scene.bands, self.grid.scale);
        let used = self.parameters.pairs.used(&self.scene);
        let cost =
            similar_changes::cuda::device_cost(bands, self.parameters.similar_pixels as usize, self.half(), used.len() > 1);
        // coarse changes, those filled, weights of increments and of pairs; class changes and their marks
        let of_pair = |k: usize| {
            let of_cell = 16 * bands + self.classes_of(k) * (4 * bands + 1);
            self.grid.cells() * of_cell + spatial_prediction::bytes(self.parameters.spatial_prediction, scale)
        };
        Ok(DeviceCost {
            bytes_per_px: cost.bytes_per_px + spatial_prediction::cuda::bytes_per_px(scale),
            fixed_bytes: cost.fixed_bytes + spatial_prediction::cuda::fixed_bytes(bands),
            prepared_bytes: cost.prepared_bytes + used.into_iter().map(of_pair).sum::<usize>(),
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
        for (i, &k) in used.iter().enumerate() {
            let Some(model) = PairModel::new(scene, &self.grid, &self.parameters, k, &target, exec)? else {
                exec.warn(format!("The fine image of pair {} has no valid pixel to classify; the pair takes no part", k + 1));
                continue;
            };
            if model.coarse_changes.iter().all(|v| v.is_nan()) {
                exec.warn(format!("Pair {} has no coarse pixel that is valid at the target too; it predicts nothing", k + 1));
            }
            let weights: Vec<String> = (0..self.scene.bands).map(|band| format!("{:.3}", mean_weight(&model, band))).collect();
            derived.push((format!("classes_{}", k + 1), model.classes.count().to_string()));
            derived.push((format!("temporal_weight_{}", k + 1), weights.join(" ")));
            let radius = self.parameters.pair_window as usize / 2;
            let weights = (used.len() > 1).then(|| pair_weights(&model.coarse_changes, &self.grid, radius));
            pairs.push(PairJob { index: k, model, weights });
            (exec.progress)((i + 1) as f64 / used.len() as f64);
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
                pairs: used.len(),
                scene: (self.scene.rows, self.scene.cols),
            },
            pairs,
            residuals: ResidualWeights { sign_rule: self.parameters.sign_rule, cap: f64::INFINITY },
            homogeneity_half: self.homogeneity_half(),
        };
        Ok(Box::new(Told { job, derived, run: cpu::run, on_device: Some(cuda::on_device) }))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{s, Array2, Array3};
    use stfusion_core::method::Fallback;
    use stfusion_core::Cancel;

    use super::*;
    use crate::cases::{self as shared, Prediction, Problem};

    fn predicted(problem: &Problem, settings: &[(&str, &str)]) -> Prediction {
        let all = [&[("window", "7")], settings].concat();
        shared::predict(&Ifsdaf, &shared::values_of(&Ifsdaf, &all).unwrap(), problem, (64, 64), true).unwrap()
    }

    fn refusal(problem: &Problem, settings: &[(&str, &str)]) -> Error {
        let values = shared::values_of(&Ifsdaf, settings).unwrap();
        shared::predict(&Ifsdaf, &values, problem, (64, 64), false).unwrap_err()
    }

    /// Mean weights of the time-dependent increment.
    fn temporal_weight(problem: &Problem, settings: &[(&str, &str)]) -> f64 {
        let values = shared::values_of(&Ifsdaf, settings).unwrap();
        let scene = problem.scene().unwrap();
        let cancel = Cancel::new();
        let plan = Ifsdaf.plan(&Request { values: &values, scene: scene.info() }).unwrap();
        let derived = plan.prepare(&scene, &Exec::quiet(&cancel)).unwrap().derived();
        assert_eq!(derived[1].0, "classes_1");
        derived.iter().find(|(name, _)| name == "temporal_weight_1").unwrap().1.parse().unwrap()
    }

    /// A fine image of two classes in blocks of 5, and exact coarse images (cells of 8) before and after a change.
    fn two_classes(change: impl Fn(bool, usize, usize) -> f32) -> (Problem, Array3<f32>) {
        let mut problem = Problem::fields(1, 96, 96, 8, &[-16], 1);
        let crop = |r: usize, c: usize| (r / 5 * 7 + c / 5 * 3 + (r / 5) * (c / 5)) % 5 < 2;
        let before = Array3::from_shape_fn((1, 96, 96), |(_, r, c)| if crop(r, c) { 0.3 } else { 0.1 });
        let after = Array3::from_shape_fn((1, 96, 96), |(_, r, c)| before[(0, r, c)] + change(crop(r, c), r, c));
        let coarse = |fine: &Array3<f32>| {
            Array3::from_shape_fn((1, 96, 96), |(_, r, c)| {
                let (r, c) = (r / 8 * 8, c / 8 * 8);
                fine.slice(s![0, r..r + 8, c..c + 8]).mean().unwrap()
            })
        };
        problem.pairs[0].coarse = coarse(&before);
        problem.pairs[0].fine = before;
        problem.target = coarse(&after);
        (problem, after)
    }

    #[test]
    fn the_increment_that_explains_the_change_counts() {
        let (by_class, truth) = two_classes(|crop, _, _| if crop { 0.2 } else { 0.0 });
        assert!(temporal_weight(&by_class, &[("classes", "2")]) > 0.99);
        let got = predicted(&by_class, &[("classes", "2")]);
        let difference = shared::largest_difference(got.image.view(), truth.mapv(f64::from).view()).unwrap();
        assert!(difference < 0.02, "{difference}");
        let (by_place, _) = two_classes(|_, r, c| 0.1 * ((r as f32) / 15.0).sin() * ((c as f32) / 20.0).cos());
        assert!(temporal_weight(&by_place, &[("classes", "2")]) < 0.3);
    }

    #[test]
    fn a_pixel_that_is_cloudy_in_one_pair_gets_its_value_from_the_other() {
        let mut problem = Problem::fields(1, 24, 24, 6, &[-16, 40], 1);
        for (pair, (fine, coarse)) in problem.pairs.iter_mut().zip([(0.25, 0.3), (0.25, 0.2)]) {
            pair.fine.fill(fine);
            pair.coarse.fill(coarse);
        }
        problem.target.fill(0.325);
        problem.pairs[0].fine.slice_mut(s![.., ..12, ..]).fill(f32::NAN);
        // the first predicts 0.275 with weight 1 / 0.025, the second 0.375 with weight 1 / 0.125
        let got = predicted(&problem, &[("classes", "1")]);
        let both = (0.275 * 40.0 + 0.375 * 8.0) / 48.0;
        for ((_, row, _), value) in got.image.indexed_iter() {
            let expected = if row < 12 { 0.375 } else { both };
            assert!((f64::from(*value) - expected).abs() < 1e-5, "{value} at row {row}");
        }
        let nearest = predicted(&problem, &[("classes", "1"), ("pairs", "nearest")]);
        assert!(nearest.image.slice(s![0, ..12, ..]).iter().all(|v| v.is_nan()));
    }

    #[test]
    fn a_pair_without_a_valid_fine_pixel_takes_no_part() {
        let mut problem = Problem::fields(2, 24, 24, 6, &[-16, 40], 1);
        problem.pairs[1].fine.fill(f32::NAN);
        let both = predicted(&problem, &[]);
        problem.pairs.truncate(1);
        let one = predicted(&problem, &[]);
        let difference = shared::largest_difference(both.image.view(), one.image.mapv(f64::from).view()).unwrap();
        assert!(difference < 1e-6, "{difference}");
    }

    #[test]
    fn classes_that_the_window_does_not_hold_and_few_cells_are_said_so() {
        let mut problem = Problem::fields(1, 24, 24, 8, &[-16], 1);
        // the class 3 has its pixels in a cell that is mostly without class
        let class = |r: usize, c: usize| match (r, c) {
            (0..2, 0..2) => 3.0,
            (0..8, 0..8) => f32::NAN,
            _ => f32::from((r / 3 + c / 3).is_multiple_of(2)),
        };
        problem.pairs[0].classes = Some(Array2::from_shape_fn((24, 24), |(r, c)| class(r, c)));
        let got = predicted(&problem, &[]);
        assert!(got.image.iter().all(|v| v.is_finite()));
        let fallback = got.fallback.unwrap();
        let absent = f32::from(Fallback::ClassAbsent as u8);
        assert_eq!([fallback[(0, 0)], fallback[(5, 5)], fallback[(20, 20)]], [absent, absent, 0.0]);
        let small = Problem::fields(1, 8, 16, 8, &[-16], 1);
        let got = predicted(&small, &[("classes", "2")]);
        assert!(got.image.iter().all(|v| v.is_finite()));
        assert!(got.fallback.unwrap().iter().all(|f| *f >= f32::from(Fallback::FewCoarse as u8)));
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_remedy() {
        let mut problem = Problem::fields(1, 12, 12, 4, &[-16], 1);
        let error = refusal(&problem, &[("classes", "10")]);
        assert_eq!(error.message(), "10 classes cannot be told apart by 9 coarse pixels (3 x 3)");
        assert!(refusal(&problem, &[("data_range", "1 0")]).message().starts_with("data_range is \"1 0\""));
        assert_eq!(
            refusal(&problem, &[("scale", "200"), ("classes", "1")]).message(),
            "The scale is 200; a thin-plate spline takes up to 128"
        );
        problem.target.fill(f32::NAN);
        assert_eq!(refusal(&problem, &[]).message(), "The coarse image of the target has no valid pixel");
        problem.scale = None;
        assert!(refusal(&problem, &[]).message().starts_with("IFSDAF works on coarse pixels"));
    }
}
