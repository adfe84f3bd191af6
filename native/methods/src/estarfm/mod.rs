//! ESTARFM: enhanced spatial and temporal adaptive reflectance fusion model (Zhu, Chen, Gao, Chen and Masek 2010).
//!
//! ```text
//! for every pixel, over the similar pixels i of its window:
//!     similar:  |F_k(i) − F_k(centre)| < 2 sd / classes in all bands of all pairs k            equation 13
//!     W = 1 / ((1 − S) D),  S = correlation of F and C over bands and pairs, D = 1 + d / (w/2)  equations 14 to 17
//!     V = slope of the regression of F on C over the similar pixels of all pairs, in each band  section 3.4
//!     F_k' = F_k(centre) + V Σ W (C_p − C_k) / Σ W                                             equation 11
//!     prediction = Σ T F_k' / Σ T,  T = 1 / |mean of C_p − C_k over the window|                 equations 18 and 19
//! ```
//! The README lists every choice and where it comes from.
//!
//! Edges: a sample counts where every image is valid in every band and the window lies inside the scene; images that are invalid at
//! the centre are left out of the test; a pair takes part at a pixel and band where its F_k and C_k and the C_p are valid; a pixel
//! without such a pair is not predicted; one with fewer than `least_similar` similar pixels gets its F_k plus the mean of C_p − C_k
//! over the window, or over itself where the window has no valid sample.

pub mod block;
pub mod cases;
pub mod conversion;
pub mod cpu;
pub mod cuda;
pub mod inputs;
pub mod parameters;
pub mod pixel;
pub mod reference;
pub mod rules;
pub mod significance;
pub mod window;

use stfusion_core::method::{
    check_needs, Cost, DeviceCost, Family, Layer, Method, MethodInfo, Plan, Prepared, Promises, Reference, Request, Scene,
    SceneInfo,
};
use stfusion_core::source::Resampling;
use stfusion_core::{Error, ErrorKind, Exec, Result};

use crate::blocks::checks;
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::simd::Path;
use crate::blocks::statistics;
use crate::blocks::told::Told;
use inputs::Tolerances;
use parameters::Conversion;
use rules::Rules;

pub use parameters::Parameters;

static INFO: MethodInfo = MethodInfo {
    id: "estarfm",
    label: "ESTARFM",
    summary: "Change between two or more pairs, converted from coarse to fine by regression over similar pixels: for mixed landscapes",
    family: Family::WeightFunction,
    tags: &["enhanced spatial and temporal adaptive reflectance fusion model", "enhanced STARFM", "Landsat", "MODIS", "conversion coefficient", "similar pixels", "two pairs", "ESTARFM FAST"],
    references: &[Reference {
        citation: "Zhu, X., Chen, J., Gao, F., Chen, X., Masek, J.G. (2010). An enhanced spatial and temporal adaptive reflectance fusion \
                   model for complex heterogeneous regions. Remote Sensing of Environment 114(11), 2610-2623",
        doi: "10.1016/j.rse.2010.05.032",
    }],
    min_pairs: 2,
    max_pairs: None,
    needs_dates: false,
    extra_images: &[],
    coarse_resampling: Resampling::Bilinear,
    promises: Promises { keeps_unchanged: false, trained_elsewhere: false, bands_apart: false },
    parameters: Parameters::SPECS,
    readme: include_str!("README.md"),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Estarfm;

impl Method for Estarfm {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        plan(request, None)
    }
}

/// ESTARFM on a chosen path, whatever the environment says: for tests and benchmarks that compare paths. The path must be available.
#[derive(Debug, Clone, Copy)]
pub struct EstarfmOn(pub Path);

impl Method for EstarfmOn {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        plan(request, Some(self.0))
    }
}

fn plan(request: &Request<'_>, path: Option<Path>) -> Result<Box<dyn Plan>> {
    check_needs(&INFO, request.scene)?;
    let parameters = Parameters::from_values(request.values)?;
    checks::window_fits(parameters.window, request.scene)?;
    match parameters.data_range.as_slice() {
        [] => {}
        [low, high] if low < high => {}
        [low, high] => {
            return Err(Error::new(ErrorKind::Parameter, format!("data_range starts at {low} and ends at {high}"))
                .with_hint("Give the smallest value first, for example data_range=\"0 1\"."));
        }
        other => {
            return Err(Error::new(ErrorKind::Parameter, format!("data_range has {} numbers; it needs two", other.len()))
                .with_hint(
                    "Give the smallest and the largest possible value, for example data_range=\"0 1\", or leave it automatic.",
                ));
        }
    }
    let cells = match parameters.conversion {
        Conversion::CoarsePixel => Some(CoarseGrid::of_scene(request.scene, parameters.scale, "conversion=coarse_pixel")?.scale),
        _ => None,
    };
    Ok(Box::new(Planned { parameters, cells, scene: request.scene.clone(), path }))
}

#[derive(Debug)]
struct Planned {
    parameters: Parameters,
    /// Side of the coarse pixels that have a coefficient each.
    cells: Option<usize>,
    scene: SceneInfo,
    /// `None`: what the environment allows.
    path: Option<Path>,
}

impl Plan for Planned {
    fn cost(&self) -> Cost {
        let rules = self.rules(&[]);
        Cost { halo_px: rules.reach(), fixed_bytes: block::bytes(&rules, Path::widest().lanes()), ..Cost::default() }
    }

    fn device_cost(&self) -> std::result::Result<DeviceCost, &'static str> {
        cuda::cost(&self.rules(&[]))
    }

    fn prepare(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Box<dyn Prepared>> {
        let (path, remark) = self.path.map_or_else(Path::from_environment, |path| (path, None));
        if let Some(remark) = remark {
            exec.warn(remark);
        }
        let (pairs, bands) = (self.scene.pairs.len(), self.scene.bands);
        let layers: Vec<Layer> = (0..pairs).map(Layer::Fine).collect();
        let moments = statistics::moments(scene, &layers, exec)?;
        let rules = self.rules(&moments);
        let each = |of: fn(&statistics::Moments) -> f64| moments.iter().flatten().map(of).collect::<Vec<f64>>();
        let (deviations, means) = (each(|m| m.standard_deviation()), each(|m| m.mean));
        let origin = (0..bands).map(|b| moments.iter().map(|pair| pair[b].mean).sum::<f64>() / pairs as f64).collect();
        let listed: Vec<String> = deviations.iter().map(|d| format!("{d:.6}")).collect();
        let derived = vec![
            ("full_scale".to_string(), format!("{}", rules.full_scale)),
            ("standard_deviation".to_string(), listed.join(" ")),
            ("vectors".to_string(), path.to_string()),
        ];
        let job = cpu::Job {
            rules,
            tolerances: Tolerances { deviations, scope: self.parameters.threshold_scope },
            reference: block::Reference { origin, means },
            scene: (self.scene.rows, self.scene.cols),
            path,
        };
        Ok(Box::new(Told { job, derived, run: cpu::run, on_device: Some(cuda::on_device) }))
    }
}

impl Planned {
    fn rules(&self, moments: &[Vec<statistics::Moments>]) -> Rules {
        Rules::new(&self.parameters, self.scene.bands, self.scene.pairs.len(), self.cells, moments)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Axis};
    use stfusion_core::Cancel;

    use super::*;
    use crate::cases::{self as shared, Problem};

    const PAIRS: [i16; 2] = [-60, 48];

    fn refusal(settings: &[(&str, &str)]) -> Error {
        let problem = Problem { scale: None, ..Problem::fields(1, 40, 30, 3, &PAIRS, 1) };
        let values = shared::values_of(&Estarfm, settings).unwrap();
        let scene = problem.scene().unwrap();
        Estarfm.plan(&Request { values: &values, scene: scene.info() }).err().unwrap()
    }

    #[test]
    fn what_does_not_fit_the_images_is_refused_with_a_remedy() {
        let error = refusal(&[]);
        assert_eq!(error.message(), "Window size 51 is larger than the image (40 x 30 fine pixels)");
        assert_eq!(error.hint(), Some("Set window=39 or smaller."));
        let error = refusal(&[("window", "7"), ("data_range", "1")]);
        assert_eq!(error.message(), "data_range has 1 numbers; it needs two");
        assert_eq!(refusal(&[("window", "7"), ("data_range", "1 0")]).message(), "data_range starts at 1 and ends at 0");
        let error = refusal(&[("window", "7"), ("conversion", "coarse_pixel")]);
        assert!(error.message().starts_with("conversion=coarse_pixel works on coarse pixels"), "{}", error.message());
        assert!(error.hint().unwrap().starts_with("Set scale"));
    }

    fn predicted(problem: &Problem, settings: &[(&str, &str)]) -> Array3<f32> {
        let values = shared::values_of(&Estarfm, settings).unwrap();
        shared::predict(&Estarfm, &values, problem, (32, 32), false).unwrap().image
    }

    #[test]
    fn ten_thousand_times_the_values_give_ten_thousand_times_the_prediction() {
        let problem = Problem::fields(2, 24, 30, 5, &PAIRS, 4).with_gaps(0.05, 5);
        let mut scaled = problem.clone();
        let factor = 10_000.0;
        scaled.target *= factor;
        for pair in &mut scaled.pairs {
            pair.fine *= factor;
            pair.coarse *= factor;
        }
        let settings = [("window", "9"), ("classes", "2")];
        let (small, large) = (predicted(&problem, &settings), predicted(&scaled, &settings));
        let difference = shared::largest_difference((large / factor).view(), small.mapv(f64::from).view()).unwrap();
        assert!(difference < 1e-5, "{difference}");
    }

    /// A surface that changes twice as much as the coarse image above it, between surfaces that do not change.
    fn mixed() -> (Problem, Array3<f32>) {
        let grows = |c: usize| c.is_multiple_of(2);
        let fine = |t: f32| {
            Array3::from_shape_fn((1, 24, 24), |(_, r, c)| if grows(c) { 0.1 + 0.2 * t } else { 0.5 } + 0.001 * (r % 3) as f32)
        };
        let coarse = |t: f32| Array3::from_shape_fn((1, 24, 24), |(_, r, _)| 0.3 + 0.1 * t + 0.0005 * (r % 5) as f32);
        let mut problem = Problem::fields(1, 24, 24, 4, &PAIRS, 1);
        for (pair, t) in problem.pairs.iter_mut().zip([0.0, 1.0]) {
            (pair.fine, pair.coarse) = (fine(t), coarse(t));
        }
        problem.target = coarse(1.5);
        (problem, fine(1.5))
    }

    #[test]
    fn the_coefficient_turns_a_coarse_change_into_that_of_the_surface() {
        let (problem, truth) = mixed();
        let worst = |settings: &[(&str, &str)]| {
            let image = predicted(&problem, settings);
            let growing = image.axis_iter(Axis(2)).zip(truth.axis_iter(Axis(2))).step_by(2);
            growing.flat_map(|(a, b)| (&a - &b).mapv(f32::abs).into_iter().collect::<Vec<_>>()).fold(0.0, f32::max)
        };
        let (with, without) = (worst(&[("window", "11")]), worst(&[("window", "11"), ("conversion", "none")]));
        assert!(with < 0.005 && without > 0.05, "{with} with a coefficient, {without} without");
    }

    #[test]
    fn a_pair_that_lacks_a_pixel_leaves_it_to_the_others() {
        let mut problem = Problem::fields(2, 20, 20, 5, &PAIRS, 3);
        for band in 0..2 {
            problem.pairs[0].fine[(band, 7, 9)] = f32::NAN;
        }
        let image = predicted(&problem, &[("window", "9")]);
        assert!(image.iter().all(|v| v.is_finite()));
        // the pixel itself is no sample, so its coarse value of the second pair plays no part
        let mut other = problem.clone();
        for band in 0..2 {
            other.pairs[1].coarse[(band, 7, 9)] += 0.3;
        }
        assert_eq!(image, predicted(&other, &[("window", "9")]));
    }

    #[test]
    fn a_constant_band_does_not_keep_pixels_apart() {
        let mut problem = Problem::fields(2, 20, 20, 5, &PAIRS, 3);
        for pair in &mut problem.pairs {
            pair.fine.index_axis_mut(Axis(0), 1).fill(0.2);
        }
        let values = shared::values_of(&Estarfm, &[("window", "9"), ("classes", "2")]).unwrap();
        let prediction = shared::predict(&Estarfm, &values, &problem, (20, 20), true).unwrap();
        let similar = prediction.support.unwrap().0;
        assert!(similar.iter().all(|&n| n >= 1.0) && similar.mean().unwrap() > 6.0, "{similar}");
    }

    #[test]
    fn a_stopped_run_says_so() {
        let problem = Problem::fields(1, 20, 20, 4, &PAIRS, 1);
        let values = shared::values_of(&Estarfm, &[("window", "7")]).unwrap();
        let scene = problem.scene().unwrap();
        let cancel = Cancel::new();
        cancel.request();
        let plan = Estarfm.plan(&Request { values: &values, scene: scene.info() }).unwrap();
        assert_eq!(plan.prepare(&scene, &Exec::quiet(&cancel)).err().unwrap().kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn what_was_derived_is_told() {
        let problem = Problem::fields(1, 20, 20, 4, &PAIRS, 1);
        let values = shared::values_of(&Estarfm, &[("window", "7")]).unwrap();
        let scene = problem.scene().unwrap();
        let cancel = Cancel::new();
        let plan = EstarfmOn(Path::Baseline).plan(&Request { values: &values, scene: scene.info() }).unwrap();
        let derived = plan.prepare(&scene, &Exec::quiet(&cancel)).unwrap().derived();
        assert_eq!(derived[0], ("full_scale".to_string(), "1".to_string()));
        assert_eq!(derived[2], ("vectors".to_string(), "baseline".to_string()));
    }
}
