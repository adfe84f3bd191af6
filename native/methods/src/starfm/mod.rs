//! STARFM: spatial and temporal adaptive reflectance fusion model (Gao, Masek, Schwaller and Hall 2006).
//!
//! ```text
//! for every pixel and band, over the candidates i of its window in every pair k:
//!     prediction = Σ W (F_k + C_p − C_k) / Σ W                                     equation 5
//!     similar:   |F_k(i) − F_k(centre)| < 2 sd / classes, or the same class
//!     kept:      S < S(centre) + σ_S  or|and  T < T(centre) + σ_T                  equations 13 to 16
//!     W = 1 / (S · T · D),  S = |F_k − C_k|,  T = |C_k − C_p|,  D = 1 + d / A      equations 6 to 10
//! ```
//! where the differences are counted in units of `difference_unit` with an offset, or go through a logarithm (equation 11).
//! The README lists every choice and where it comes from.
//!
//! Edges: a sample counts where F_k, C_k and C_p are valid and the window lies inside the scene; a pair takes part at a pixel
//! where its F_k and C_k are valid; a pixel without C_p or without such a pair is not predicted; one without candidates gets
//! the mean of F_k + C_p − C_k over its pairs.

pub mod block;
pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod lines;
pub mod parameters;
pub mod reference;
pub mod rules;
pub mod window;

use stfusion_core::method::{
    check_needs, Cost, DeviceCost, ExtraImage, Family, Layer, Method, MethodInfo, Plan, Prepared, Promises, Reference, Request,
    Scene, SceneInfo,
};
use stfusion_core::source::Resampling;
use stfusion_core::{Error, ErrorKind, Exec, Result};

use crate::blocks::checks;
use crate::blocks::simd::Path;
use crate::blocks::statistics::{self, Moments};
use crate::blocks::told::Told;
use block::Tolerances;
use parameters::{Filter, ThresholdScope};
use rules::Rules;

pub use parameters::Parameters;

static INFO: MethodInfo = MethodInfo {
    id: "starfm",
    label: "STARFM",
    summary: "Weighted mean over similar neighbours of fine value plus coarse change: the classical fusion of Landsat and MODIS",
    family: Family::WeightFunction,
    tags: &["spatial and temporal adaptive reflectance fusion model", "Landsat", "MODIS", "blending", "similar pixels", "moving window"],
    references: &[Reference {
        citation: "Gao, F., Masek, J., Schwaller, M., Hall, F. (2006). On the blending of the Landsat and MODIS surface reflectance: \
                   predicting daily Landsat surface reflectance. IEEE Transactions on Geoscience and Remote Sensing 44(8), 2207-2218",
        doi: "10.1109/TGRS.2006.872081",
    }],
    min_pairs: 1,
    max_pairs: None,
    needs_dates: false,
    extra_images: &[ExtraImage::Classes],
    coarse_resampling: Resampling::Bilinear,
    promises: Promises { keeps_unchanged: true, trained_elsewhere: false, bands_apart: true },
    parameters: Parameters::SPECS,
    readme: include_str!("README.md"),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Starfm;

impl Method for Starfm {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        plan(request, None)
    }
}

/// STARFM on a chosen path, whatever the environment says: for tests and benchmarks that compare paths. The path must be available.
#[derive(Debug, Clone, Copy)]
pub struct StarfmOn(pub Path);

impl Method for StarfmOn {
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
    let bands = request.scene.bands;
    for (name, values) in
        [("uncertainty_fine", &parameters.uncertainty_fine), ("uncertainty_coarse", &parameters.uncertainty_coarse)]
    {
        if values.len() > 1 && values.len() != bands {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!("{name} has {} values; the images have {bands} bands", values.len()),
            )
            .with_hint(format!("Give {name} one value, or one for each of the {bands} bands.")));
        }
    }
    checks::similarity_bands_exist(&parameters.similarity_bands, bands)?;
    Ok(Box::new(Planned { parameters, scene: request.scene.clone(), path }))
}

#[derive(Debug)]
struct Planned {
    parameters: Parameters,
    scene: SceneInfo,
    /// `None`: what the environment allows.
    path: Option<Path>,
}

impl Plan for Planned {
    fn cost(&self) -> Cost {
        let half = (self.parameters.window / 2) as usize;
        let lanes = Path::widest().lanes();
        let key_planes = self.parameters.similarity_bands.len().max(1);
        Cost { halo_px: half, fixed_bytes: block::bytes(half, key_planes, lanes), ..Cost::default() }
    }

    fn device_cost(&self) -> std::result::Result<DeviceCost, &'static str> {
        cuda::cost(&self.parameters, &self.scene)
    }

    fn prepare(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Box<dyn Prepared>> {
        let (path, remark) = self.path.map_or_else(Path::from_environment, |path| (path, None));
        if let Some(remark) = remark {
            exec.warn(remark);
        }
        let pairs = self.scene.pairs.len();
        let layers: Vec<Layer> = (0..pairs).map(Layer::Fine).collect();
        let moments = statistics::moments(scene, &layers, exec)?;
        let unit = self.parameters.difference_unit.unwrap_or_else(|| difference_unit(&moments));
        let rules = Rules::new(&self.parameters, self.scene.bands, pairs, unit);
        let table = |of: &dyn Fn(&Moments) -> f64| -> Vec<Vec<f64>> {
            moments.iter().map(|pair| pair.iter().map(of).collect()).collect()
        };
        let tolerances = match self.parameters.threshold_scope {
            ThresholdScope::Image => Tolerances::Image(table(&|m| 2.0 * m.standard_deviation() / rules.classes)),
            ThresholdScope::Window => Tolerances::Window(table(&|m| m.mean)),
        };
        let deviations: Vec<String> = moments.iter().flatten().map(|m| format!("{:.6}", m.standard_deviation())).collect();
        let derived = vec![
            ("difference_unit".to_string(), format!("{unit}")),
            ("standard_deviation".to_string(), deviations.join(" ")),
            ("vectors".to_string(), path.to_string()),
        ];
        let job = cpu::Job {
            strict: self.parameters.filter == Filter::Strict,
            inverse_distance: rules.inverse_distances(),
            rules,
            tolerances,
            bands: self.scene.bands,
            scene: (self.scene.rows, self.scene.cols),
            path,
        };
        Ok(Box::new(Told { job, derived, run: cpu::run, on_device: Some(cuda::on_device) }))
    }
}

/// The power of ten nearest to a 700th of the largest standard deviation: 0.0001 for reflectance, 1 for reflectance times 10,000.
fn difference_unit(moments: &[Vec<Moments>]) -> f64 {
    let largest = moments.iter().flatten().map(|m| m.standard_deviation()).fold(0.0, f64::max);
    if largest > 0.0 {
        10f64.powi((largest / 700.0).log10().round() as i32)
    } else {
        1e-4
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use stfusion_core::param::Values;
    use stfusion_core::Cancel;

    use super::*;
    use crate::cases::{self as shared, Problem};

    fn refusal(bands: usize, rows: usize, cols: usize, settings: &[(&str, &str)]) -> Error {
        let problem = Problem::fields(bands, rows, cols, 3, &[-16], 1);
        let values = shared::values_of(&Starfm, settings).unwrap();
        let scene = problem.scene().unwrap();
        Starfm.plan(&Request { values: &values, scene: scene.info() }).err().unwrap()
    }

    #[test]
    fn a_window_larger_than_the_image_is_refused_with_the_largest_that_fits() {
        let error = refusal(1, 40, 30, &[]);
        assert_eq!(error.kind(), ErrorKind::Parameter);
        assert_eq!(error.message(), "Window size 51 is larger than the image (40 x 30 fine pixels)");
        assert_eq!(error.hint(), Some("Set window=39 or smaller."));
        assert_eq!(refusal(1, 1, 1, &[]).hint(), Some("Set window=1 or smaller."));
    }

    #[test]
    fn lists_must_fit_the_bands() {
        let error = refusal(3, 9, 9, &[("window", "5"), ("uncertainty_fine", "0.01 0.02")]);
        assert_eq!(error.message(), "uncertainty_fine has 2 values; the images have 3 bands");
        let error = refusal(3, 9, 9, &[("window", "5"), ("similarity_bands", "3 4")]);
        assert_eq!(error.message(), "Similarity band 4 does not exist; the images have 3 bands");
    }

    fn predicted(problem: &Problem, values: &Values) -> ndarray::Array3<f32> {
        shared::predict(&Starfm, values, problem, (32, 32), false).unwrap().image
    }

    #[test]
    fn ten_thousand_times_the_values_give_ten_thousand_times_the_prediction() {
        let values = shared::values_of(&Starfm, &[("window", "9")]).unwrap();
        let problem = Problem::fields(2, 24, 30, 5, &[-16, 16], 4).with_gaps(0.1, 5);
        let mut scaled = problem.clone();
        let factor = 10_000.0;
        scaled.target *= factor;
        for pair in &mut scaled.pairs {
            pair.fine *= factor;
            pair.coarse *= factor;
        }
        let (small, large) = (predicted(&problem, &values), predicted(&scaled, &values));
        let difference = shared::largest_difference((large / factor).view(), small.mapv(f64::from).view()).unwrap();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn the_unit_follows_the_contrast() {
        let unit = |sd: f64| difference_unit(&[vec![Moments { count: 4, mean: 0.0, squares: 4.0 * sd * sd }]]);
        assert_eq!([unit(0.07), unit(700.0), unit(0.0)], [1e-4, 1.0, 1e-4]);
    }

    #[test]
    fn a_class_map_admits_pixels_of_the_class_only() {
        // two classes with different changes, side by side; the fine values say nothing
        let mut problem = Problem::fields(1, 12, 12, 3, &[-16], 1);
        let east = |c: usize| c >= 6;
        problem.pairs[0].fine.fill(0.3);
        problem.pairs[0].coarse.fill(0.3);
        problem.target.indexed_iter_mut().for_each(|((_, _, c), v)| *v = if east(c) { 0.5 } else { 0.31 });
        problem.pairs[0].classes = Some(Array2::from_shape_fn((12, 12), |(_, c)| f32::from(u8::from(east(c)))));
        let values = shared::values_of(&Starfm, &[("window", "7"), ("temporal_weight", "off")]).unwrap();
        let image = predicted(&problem, &values);
        for ((_, row, col), v) in image.indexed_iter() {
            let expected = if east(col) { 0.5 } else { 0.31 };
            assert!((v - expected).abs() < 1e-6, "row {row}, column {col}: {v}");
        }
    }

    #[test]
    fn a_stopped_run_says_so() {
        let problem = Problem::fields(1, 20, 20, 4, &[-16], 1);
        let values = shared::values_of(&Starfm, &[("window", "7")]).unwrap();
        let scene = problem.scene().unwrap();
        let cancel = Cancel::new();
        cancel.request();
        let plan = Starfm.plan(&Request { values: &values, scene: scene.info() }).unwrap();
        let error = plan.prepare(&scene, &Exec::quiet(&cancel)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn what_was_derived_is_told() {
        let problem = Problem::fields(1, 20, 20, 4, &[-16], 1);
        let values = shared::values_of(&Starfm, &[("window", "7")]).unwrap();
        let scene = problem.scene().unwrap();
        let cancel = Cancel::new();
        let plan = StarfmOn(Path::Baseline).plan(&Request { values: &values, scene: scene.info() }).unwrap();
        let derived = plan.prepare(&scene, &Exec::quiet(&cancel)).unwrap().derived();
        assert_eq!(derived[0], ("difference_unit".to_string(), "0.0001".to_string()));
        assert_eq!(derived[2], ("vectors".to_string(), "baseline".to_string()));
    }
}
