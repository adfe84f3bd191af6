//! Fit-FC: regression model fitting, spatial filtering and residual compensation (Wang and Atkinson 2018).
//!
//! ```text
//! for every coarse pixel and band:   C2 = a C1 + b + R  by least squares over the coarse pixels around        equation 1
//! for every fine pixel:              F_RM = a F1 + b                    regression model fitting (RM)         equation 2
//!     n most similar pixels i of its window: smallest Σ_bands (F1(i) − F1)²
//!     F_SF = Σ W_i F_RM(i),  W_i ~ 1 / (1 + d_i / A)                    spatial filtering (SF)                equations 3 to 6
//!     r = R interpolated,  F = F_SF + Σ W_i r(i)                        residual compensation (RC)            equations 7, 8
//! ```
//! The sums over F_RM and r are one sum over F_RM + r. A variant fits lines to fine pixels, as ImageFusion does.
//!
//! Edges: windows end at the border of the scene, unless it is asked to be repeated. A pixel is predicted where its F1, C1 and C2 are valid, from the pair nearest in time
//! for which they are. A neighbour counts where all of its bands are predicted. A pixel that is invalid in one of the similarity bands
//! keeps F_RM + r. Where C1 does not vary, a is 1.

pub mod cases;
pub mod coarse;
pub mod cpu;
pub mod cuda;
pub mod fine;
pub mod line;
pub mod parameters;
pub mod reference;
pub mod residual;

use stfusion_core::method::{
    check_needs, Cost, DeviceCost, Family, Method, MethodInfo, Plan, Prepared, Promises, Reference, Request, Scene, SceneInfo,
};
use stfusion_core::source::Resampling;
use stfusion_core::{Exec, Result};

use crate::blocks::checks;
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::nearest::{Norm, Search, Window};
use crate::blocks::pair_order;
use crate::blocks::simd::Path;
use crate::blocks::told::Told;
use cpu::{Lines, PairLines};
use parameters::{Border, Regression, Ties};
use residual::Residual;

pub use parameters::Parameters;

static INFO: MethodInfo = MethodInfo {
    id: "fitfc",
    label: "Fit-FC",
    summary: "Local regression between the coarse images, applied to the fine image, averaged over similar pixels, residuals added",
    family: Family::WeightFunction,
    tags: &["regression model fitting", "spatial filtering", "residual compensation", "Sentinel-2", "Sentinel-3", "similar pixels"],
    references: &[Reference {
        citation: "Wang, Q., Atkinson, P. M. (2018). Spatio-temporal fusion for daily Sentinel-2 images. Remote Sensing of Environment 204, \
                   31-42",
        doi: "10.1016/j.rse.2017.10.046",
    }],
    min_pairs: 1,
    max_pairs: None,
    needs_dates: false,
    extra_images: &[],
    coarse_resampling: Resampling::Nearest,
    promises: Promises { keeps_unchanged: false, trained_elsewhere: false, bands_apart: false },
    parameters: Parameters::SPECS,
    readme: include_str!("README.md"),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct FitFc;

impl Method for FitFc {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        plan(request, None)
    }
}

/// Fit-FC on a chosen path, whatever the environment says: for tests that compare paths. The path must be available.
#[derive(Debug, Clone, Copy)]
pub struct FitFcOn(pub Path);

impl Method for FitFcOn {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        plan(request, Some(self.0))
    }
}

fn plan(request: &Request<'_>, path: Option<Path>) -> Result<Box<dyn Plan>> {
    let scene = request.scene;
    check_needs(&INFO, scene)?;
    let parameters = Parameters::from_values(request.values)?;
    let grid = CoarseGrid::of_scene(scene, parameters.scale, INFO.label)?;
    checks::similarity_bands_exist(&parameters.similarity_bands, scene.bands)?;
    Ok(Box::new(Planned { parameters, grid, scene: scene.clone(), path }))
}

#[derive(Debug)]
struct Planned {
    parameters: Parameters,
    grid: CoarseGrid,
    scene: SceneInfo,
    /// `None`: what the environment allows.
    path: Option<Path>,
}

impl Planned {
    fn half(&self) -> usize {
        (self.parameters.window / 2) as usize
    }

    /// Pixels on every side of the regression window: coarse or fine ones.
    fn reach(&self) -> usize {
        let side = self.parameters.regression_window;
        match self.parameters.regression {
            Regression::Coarse => (side / 2.0) as usize,
            Regression::Fine => ((side * self.grid.scale as f64 - 1.0) / 2.0).round() as usize,
        }
    }

    fn similarity_bands(&self) -> Vec<usize> {
        match self.parameters.similarity_bands.as_slice() {
            [] => (0..self.scene.bands).collect(),
            bands => bands.iter().map(|&b| b as usize - 1).collect(),
        }
    }

    fn search(&self, path: Path) -> Search {
        let window = match self.parameters.ties {
            Ties::Nearest => Window::new(self.half()),
            Ties::Columns => Window::by_columns(self.half()),
        };
        Search::new(window, self.parameters.neighbours as usize, Norm::Squared, path)
    }

    /// Lines and residuals of one pair.
    fn lines(&self, scene: &dyn Scene, pair: usize, exec: &Exec<'_>) -> Result<PairLines> {
        let (lines, residuals) = match self.parameters.regression {
            Regression::Coarse => {
                let (first, target) = coarse::images(&self.grid, scene, pair, exec)?;
                let fitted = coarse::fit(&self.grid, first.view(), target.view(), self.reach(), exec.cancel)?;
                (Lines::Coarse(fitted.lines), Some(fitted.residuals))
            }
            Regression::Fine => {
                let residuals = match self.parameters.residual {
                    true => Some(fine::residuals(&self.grid, scene, pair, self.reach(), exec)?),
                    false => None,
                };
                (Lines::Fine { half: self.reach() }, residuals)
            }
        };
        let residual = residuals.filter(|_| self.parameters.residual).map(|cells| Residual::new(cells.view(), self.grid.scale));
        Ok(PairLines { pair, lines, residual })
    }
}

impl Plan for Planned {
    fn cost(&self) -> Cost {
        let (bands, pairs, cells) = (self.scene.bands, self.scene.pairs.len(), self.grid.cells());
        let rim = if self.parameters.regression == Regression::Fine { self.reach() } else { 0 };
        Cost {
            halo_px: self.half() + rim,
            // predictions, interpolated residuals, fallbacks, the support's layer of valid pixels, and copies with a repeated border
            bytes_per_px: if self.parameters.border == Border::Replicate { 16 } else { 8 } * bands + 8,
            fixed_bytes: self.search(Path::Baseline).bytes(self.similarity_bands().len()),
            prepared_bytes: pairs * bands * cells * (size_of::<coarse::Fitted>() + size_of::<f32>()),
        }
    }

    fn device_cost(&self) -> std::result::Result<DeviceCost, &'static str> {
        cuda::cost(cuda::Size {
            bands: self.scene.bands,
            pairs: self.scene.pairs.len(),
            compared: self.similarity_bands().len(),
            most: self.parameters.neighbours as usize,
            half: self.half(),
            cells: self.grid.cells(),
            reach: if self.parameters.regression == Regression::Fine { self.reach() } else { 0 },
        })
    }

    fn prepare(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Box<dyn Prepared>> {
        let (path, remark) = self.path.map_or_else(Path::from_environment, |path| (path, None));
        if let Some(remark) = remark {
            exec.warn(remark);
        }
        let order = pair_order::nearest_first(&self.scene);
        let mut pairs = Vec::new();
        for (done, &pair) in order.iter().enumerate() {
            (exec.progress)(done as f64 / order.len() as f64);
            pairs.push(self.lines(scene, pair, exec)?);
        }
        let importance = self.parameters.spatial_importance.unwrap_or(self.parameters.window as f64 / 2.0);
        let search = self.search(path);
        let numbers: Vec<String> = order.iter().map(|k| (k + 1).to_string()).collect();
        let derived = vec![
            ("scale".to_string(), self.grid.scale.to_string()),
            ("pairs".to_string(), numbers.join(" ")),
            ("vectors".to_string(), path.to_string()),
        ];
        let job = cpu::Job {
            grid: self.grid,
            pairs,
            weights: search.window().table(|d| (1.0 / (1.0 + d / importance)) as f32),
            search,
            similarity_bands: self.similarity_bands(),
            border: self.parameters.border,
            scene: (self.scene.rows, self.scene.cols),
        };
        Ok(Box::new(Told { job, derived, run: cpu::run, on_device: Some(cuda::on_device) }))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{s, Array3};
    use stfusion_core::method::Fallback;
    use stfusion_core::Cancel;
    use stfusion_core::{Error, ErrorKind};

    use super::*;
    use crate::cases::{self as shared, Prediction, Problem};

    fn predicted(problem: &Problem, settings: &[(&str, &str)]) -> Prediction {
        let values = shared::values_of(&FitFc, settings).unwrap();
        shared::predict(&FitFc, &values, problem, (16, 16), true).unwrap()
    }

    fn refusal(problem: &Problem, settings: &[(&str, &str)]) -> Error {
        let values = shared::values_of(&FitFc, settings).unwrap();
        FitFc.plan(&Request { values: &values, scene: problem.scene().unwrap().info() }).err().unwrap()
    }

    #[test]
    fn bands_and_scale_must_exist() {
        let mut problem = Problem::fields(3, 9, 9, 3, &[-16], 1);
        let error = refusal(&problem, &[("similarity_bands", "3 4")]);
        assert_eq!(error.message(), "Similarity band 4 does not exist; the images have 3 bands");
        assert_eq!(error.hint(), Some("Give similarity_bands numbers between 1 and 3, or leave it empty."));
        problem.scale = None;
        assert!(refusal(&problem, &[]).message().starts_with("Fit-FC works on coarse pixels"));
    }

    #[test]
    fn a_change_that_is_one_line_everywhere_is_predicted_exactly() {
        let mut problem = Problem::fields(2, 24, 36, 4, &[-16], 2);
        problem.target = problem.pairs[0].coarse.mapv(|v| 0.5 * v + 0.125);
        let expected = problem.pairs[0].fine.mapv(|v| 0.5 * f64::from(v) + 0.125);
        let image = predicted(&problem, &[("neighbours", "1")]).image;
        let difference = shared::largest_difference(image.view(), expected.view()).unwrap();
        assert!(difference < 1e-6, "{difference}");
    }

    #[test]
    fn the_prediction_agrees_with_the_coarse_image_when_the_residual_is_added() {
        let problem = Problem::fields(1, 60, 60, 6, &[-16], 3);
        let misfit = |residual| {
            let image = predicted(&problem, &[("neighbours", "1"), ("residual", residual)]).image;
            let part = |image: &Array3<f32>, r, c| image.slice(s![0, r..r + 6, c..c + 6]).mean().unwrap();
            let cells = (0..10).flat_map(|r| (0..10).map(move |c| (6 * r, 6 * c)));
            cells.map(|(r, c)| (part(&image, r, c) - part(&problem.target, r, c)).powi(2)).sum::<f32>()
        };
        assert!(misfit("true") < 0.2 * misfit("false"), "{} {}", misfit("true"), misfit("false"));
    }

    #[test]
    fn what_leaves_the_rule_is_marked() {
        let mut problem = Problem::fields(2, 20, 20, 5, &[-16], 4);
        problem.pairs[0].coarse.fill(0.25);
        let all = |n: Fallback| move |v: &f32| *v == f32::from(n as u8);
        assert!(predicted(&problem, &[]).fallback.unwrap().iter().all(all(Fallback::Singular)));
        let mut problem = Problem::fields(2, 20, 20, 5, &[-16], 4);
        problem.pairs[0].fine[(1, 7, 8)] = f32::NAN;
        let prediction = predicted(&problem, &[]);
        let fallback = prediction.fallback.unwrap();
        assert_eq!((fallback[(7, 8)], fallback[(7, 9)]), (f32::from(Fallback::FewSimilar as u8), 0.0));
        assert!(prediction.image[(1, 7, 8)].is_nan() && !prediction.image[(0, 7, 8)].is_nan());
    }

    #[test]
    fn another_pair_fills_what_the_nearest_lacks_and_nothing_else() {
        let both = Problem::fields(1, 24, 24, 4, &[-16, 40], 5);
        let mut gappy = both.clone();
        gappy.pairs[0].fine.slice_mut(s![0, 3..9, 4..20]).fill(f32::NAN);
        let (image, mut alone) = (predicted(&gappy, &[]).image, gappy.clone());
        alone.pairs.remove(1);
        let first = predicted(&alone, &[]).image;
        alone = gappy.clone();
        alone.pairs.remove(0);
        let second = predicted(&alone, &[]).image;
        for (at, &value) in image.indexed_iter() {
            assert_eq!(value, if first[at].is_nan() { second[at] } else { first[at] }, "{at:?}");
        }
        assert!(first.iter().any(|v| v.is_nan()));
    }

    #[test]
    fn what_was_derived_is_told_and_a_stopped_run_says_so() {
        let problem = Problem::fields(1, 20, 20, 4, &[-16, 8], 1);
        let (values, scene, cancel) = (Default::default(), problem.scene().unwrap(), Cancel::new());
        let plan = FitFcOn(Path::Baseline).plan(&Request { values: &values, scene: scene.info() }).unwrap();
        let derived = plan.prepare(&scene, &Exec::quiet(&cancel)).unwrap().derived();
        let told: Vec<(&str, &str)> = derived.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(told, [("scale", "4"), ("pairs", "2 1"), ("vectors", "baseline")]);
        cancel.request();
        assert_eq!(plan.prepare(&scene, &Exec::quiet(&cancel)).err().unwrap().kind(), ErrorKind::Cancelled);
    }
}
