//! OBSUM: object-based spatial unmixing (Guo, Ye, Xu and Jeon 2024).
//!
//! ```text
//! objects   of the fine image, from a map or by segmentation; each has the class of most of its pixels              step 1
//! class changes   m of every coarse pixel: min Σ_window (ΔC − Σ_c share_c m_c)²,  min ΔC ≤ m ≤ max ΔC           steps 2, 3
//! object change   mean of its class's m over its pixels                                                              step 4
//! object residual   weighted mean of the residual (a spline through those of the coarse pixels) over the pixels
//!                   that lie nearest to the middle of the object and of a coarse pixel                                step 5
//! pixel residual    weighted mean of what is left then over the most similar pixels of a window                       step 6
//! prediction = F + object change + object residual + pixel residual
//! ```
//! with ΔC the change of a coarse pixel. Everything but the last step is a number for each object or each coarse pixel, and is found
//! before the tiles; a tile finds the object of each pixel again. The README lists every choice and where it comes from.
//!
//! Edges: of several pairs the one nearest in time is used. A pixel is predicted where its fine value and both coarse values are
//! valid; without an object, or with one of which nothing is known, it gets the change of its own coarse values.

pub mod cases;
pub mod changes;
pub mod contents;
pub mod cpu;
pub mod cuda;
pub mod parameters;
pub mod reference;
pub mod residuals;

use ndarray::Array3;
use stfusion_core::method::{
    check_needs, Cost, DeviceCost, ExtraImage, Family, Layer, Method, MethodInfo, Plan, Prepared, Promises, Reference, Request,
    Scene, SceneInfo,
};
use stfusion_core::source::Resampling;
use stfusion_core::{Error, ErrorKind, Exec, Result};

use crate::blocks::classes::Classes;
use crate::blocks::classifiers::Classification;
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::nearest::{Norm, Search, Window};
use crate::blocks::objects::{most_objects, Objects};
use crate::blocks::pair_order;
use crate::blocks::simd::Path;
use crate::blocks::slic::Slic;
use crate::blocks::told::Told;
use changes::Unmixing;
use contents::Contents;
use parameters::{DistanceWeight, Residual};
use residuals::ObjectResiduals;

pub use parameters::Parameters;

static INFO: MethodInfo = MethodInfo {
    id: "obsum",
    label: "OBSUM",
    summary: "Unmixes the change of coarse pixels into that of classes, averages it over objects and distributes what is left over similar pixels",
    family: Family::Unmixing,
    tags: &["object-based spatial unmixing", "segmentation", "SLIC", "objects", "unmixing", "residual"],
    references: &[
        Reference {
            citation: "Guo, H., Ye, D., Xu, H., Jeon, G. (2024). OBSUM: An object-based spatial unmixing model for spatiotemporal fusion of \
                       remote sensing images. Remote Sensing of Environment 304, 114046",
            doi: "10.1016/j.rse.2024.114046",
        },
        Reference {
            citation: "Achanta, R., Shaji, A., Smith, K., Lucchi, A., Fua, P., Süsstrunk, S. (2012). SLIC superpixels compared to \
                       state-of-the-art superpixel methods. IEEE Transactions on Pattern Analysis and Machine Intelligence 34(11), 2274-2282",
            doi: "10.1109/TPAMI.2012.120",
        },
    ],
    min_pairs: 1,
    max_pairs: None,
    needs_dates: false,
    extra_images: &[ExtraImage::Classes, ExtraImage::Objects],
    coarse_resampling: Resampling::Nearest,
    promises: Promises { keeps_unchanged: true, trained_elsewhere: false, bands_apart: false },
    parameters: Parameters::SPECS,
    readme: include_str!("README.md"),
};

/// Part of a coarse pixel's fine pixels that must have a coarse value for it to count.
const LEAST_VALID: f64 = 0.5;

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Obsum;

impl Method for Obsum {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        check_needs(&INFO, request.scene)?;
        let parameters = Parameters::from_values(request.values)?;
        let (lower, upper) = limits(&parameters);
        if lower >= upper {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!("The lower limit {lower} is not below the upper limit {upper}"),
            )
            .with_hint("Set lower_limit to less than upper_limit, or leave one of them automatic."));
        }
        let grid = CoarseGrid::of_scene(request.scene, parameters.scale, INFO.label)?;
        let classification = classification(&parameters);
        let pair = pair_order::nearest_first(request.scene)[0];
        if !request.scene.pairs[pair].has(ExtraImage::Classes) {
            classification.check(request.scene, &grid)?;
        }
        Ok(Box::new(Planned { parameters, scene: request.scene.clone(), grid, pair }))
    }
}

fn limits(parameters: &Parameters) -> (f32, f32) {
    let lower = parameters.lower_limit.map_or(f32::NEG_INFINITY, |v| v as f32);
    (lower, parameters.upper_limit.map_or(f32::INFINITY, |v| v as f32))
}

fn classification(parameters: &Parameters) -> Classification {
    Classification::new(parameters.classification, parameters.classes, parameters.seed)
}

fn slic(parameters: &Parameters) -> Slic {
    Slic {
        side: parameters.segment_size as usize,
        compactness: parameters.compactness,
        iterations: parameters.iterations as usize,
    }
}

/// Weight of a similar pixel at a distance from the centre of a window with `half` pixels on each side.
fn weight(kind: DistanceWeight, half: usize, distance: f64) -> f64 {
    let half = half.max(1) as f64;
    match kind {
        DistanceWeight::Paper => 1.0 / (1.0 + distance / half),
        DistanceWeight::Program => 1.0 / (1.0 + (1.0 + distance / half) / half),
    }
}

#[derive(Debug)]
struct Planned {
    parameters: Parameters,
    scene: SceneInfo,
    grid: CoarseGrid,
    /// The pair that is used.
    pair: usize,
}

impl Planned {
    fn search(&self, path: Path) -> Search {
        let window = Window::new(self.parameters.similar_window as usize / 2);
        Search::new(window, self.parameters.similar_pixels as usize, Norm::Absolute, path)
    }

    /// Most objects that there may be, and the bytes that finding them takes for each.
    fn objects(&self) -> (usize, usize) {
        if self.scene.pairs[self.pair].has(ExtraImage::Objects) {
            (most_objects(&self.scene), 0)
        } else {
            let segments = slic(&self.parameters).segments(self.scene.rows, self.scene.cols);
            (segments, Slic::bytes_per_segment(self.scene.bands))
        }
    }

    /// Coarse images of the pair and of the target, and what residuals are counted from, (band, cell row, cell col).
    fn coarse_images(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<[Array3<f64>; 2]> {
        let base = match self.parameters.residual {
            Residual::Change => Layer::Coarse(self.pair),
            Residual::Level => Layer::Fine(self.pair),
        };
        let layers = [Layer::Target, Layer::Coarse(self.pair), base];
        let distinct = if base == layers[1] { &layers[..2] } else { &layers[..] };
        let images = self.grid.images(scene, distinct, LEAST_VALID, exec)?;
        let from_target = |image: &Array3<f32>| {
            let mut difference = images[0].mapv(f64::from);
            difference.zip_mut_with(image, |to, &from| *to -= f64::from(from));
            difference
        };
        Ok([from_target(&images[1]), from_target(&images[distinct.len() - 1])])
    }
}

impl Plan for Planned {
    fn cost(&self) -> Cost {
        let (bands, pixels) = (self.scene.bands, self.scene.rows * self.scene.cols);
        let (objects, of_object) = self.objects();
        let search = self.search(Path::widest());
        let of_object = of_object + contents::BYTES_PER_OBJECT + 5 * bands * size_of::<f64>() + 16;
        let of_cell = 8 * bands * size_of::<f64>() + 64;
        let of_indices = pixels as f64 * residuals::bytes_per_px(self.parameters.residual_pixels / 100.0);
        Cost {
            halo_px: search.window().half(),
            bytes_per_px: cpu::bytes_per_px(bands),
            fixed_bytes: search.bytes(bands),
            prepared_bytes: objects * of_object + self.grid.cells() * of_cell + of_indices as usize,
        }
    }

    fn device_cost(&self) -> std::result::Result<DeviceCost, &'static str> {
        let (most, half) = (self.parameters.similar_pixels as usize, self.parameters.similar_window as usize / 2);
        Ok(cuda::cost(self.scene.bands, most, half, self.objects().0, self.grid.cells()))
    }

    fn prepare(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Box<dyn Prepared>> {
        let (path, remark) = Path::from_environment();
        if let Some(remark) = remark {
            exec.warn(remark);
        }
        let (grid, pair, parameters) = (&self.grid, self.pair, &self.parameters);
        let progress = exec.progress;
        let exec = &Exec { progress: &|_| {}, ..*exec };
        let objects = Objects::of_pair(scene, pair, slic(parameters), exec)?;
        progress(0.5);
        let classes = classification(parameters).classes_of(scene, grid, pair, exec)?;
        let classes = classes.ok_or_else(|| {
            Error::new(ErrorKind::Data, format!("The fine image of pair {} has no valid pixel to classify", pair + 1))
                .with_hint("Check its mask and nodata value, or use another pair.")
        })?;
        let contents = Contents::of_pair(scene, grid, &objects, &classes, pair, exec)?;
        progress(0.7);
        let [change, residuals] = self.coarse_images(scene, exec)?;
        let unmixing = Unmixing::new(grid, &contents, &change, parameters.window as usize, parameters.border);
        let (mut changes, fallbacks) = unmixing.object_changes(exec)?;
        progress(0.8);
        let residuals = residuals::without_objects(grid, &contents, &residuals, &changes);
        let of_objects = ObjectResiduals {
            grid,
            objects: &objects,
            contents: &contents,
            residuals: &residuals,
            share: parameters.residual_pixels / 100.0,
        }
        .of_objects(scene, exec)?;
        changes.add(&of_objects);
        let residuals = residuals::without_objects(grid, &contents, &residuals, &of_objects);
        let derived = self.derived(&objects, &classes, path);
        let search = self.search(path);
        let half = search.window().half();
        let job = cpu::Job {
            pair,
            objects,
            changes,
            fallbacks,
            residuals: residuals::spline(grid, &residuals),
            weights: search.window().table(|distance| weight(parameters.distance_weight, half, distance) as f32),
            search,
            similar: parameters.similar_pixels as usize,
            border: parameters.border,
            limits: limits(parameters),
            grid: *grid,
            scene: (self.scene.rows, self.scene.cols),
        };
        Ok(Box::new(Told { job, derived, run: cpu::run, on_device: Some(cuda::on_device) }))
    }
}

impl Planned {
    fn derived(&self, objects: &Objects, classes: &Classes, path: Path) -> Vec<(String, String)> {
        let told = |name: &str, value: String| (name.to_string(), value);
        vec![
            told("pair", (self.pair + 1).to_string()),
            told("scale", self.grid.scale.to_string()),
            told("objects", objects.count().to_string()),
            told("classes", classes.count().to_string()),
            told("vectors", path.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{s, Array2, Axis};
    use proptest::prelude::*;
    use stfusion_core::method::Fallback;
    use stfusion_core::param::Values;
    use stfusion_core::{Cancel, Region};

    use super::*;
    use crate::blocks::objects::NO_OBJECT;
    use crate::cases::{self as shared, Problem};

    fn values(settings: &[(&str, &str)]) -> Values {
        shared::values_of(&Obsum, &[cases::SMALL, settings].concat()).unwrap()
    }

    /// Whole numbers of a map counted through.
    fn numbered(map: &Array2<f32>) -> Array2<Option<usize>> {
        let mut occurring: Vec<u32> = map.iter().filter(|v| !v.is_nan()).map(|&v| v as u32).collect();
        occurring.sort_unstable();
        occurring.dedup();
        map.mapv(|v| if v.is_nan() { None } else { occurring.binary_search(&(v as u32)).ok() })
    }

    fn compare(name: &str, problem: &Problem, settings: &[(&str, &str)]) {
        let values = values(settings);
        let got = shared::predict(&Obsum, &values, problem, (9, 13), false).unwrap();
        let maps = &problem.pairs[0];
        let (objects, classes) = (numbered(maps.objects.as_ref().unwrap()), numbered(maps.classes.as_ref().unwrap()));
        let expected = reference::predict(&Parameters::from_values(&values).unwrap(), problem, &objects, &classes);
        let difference = shared::largest_difference(got.image.view(), expected.view()).unwrap();
        assert!(difference <= cases::TOLERANCE, "{name}: {difference}");
    }

    #[test]
    fn every_case_agrees_with_the_reference() {
        for (name, problem) in cases::problems() {
            for (setting, settings) in cases::SETTINGS {
                compare(&format!("{name}, {setting}"), &problem, settings);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_scene_agrees_with_the_reference(
            seed in 0u32..10_000, rows in 1usize..22, cols in 1usize..22, scale in 2usize..7,
            gaps in prop_oneof![Just(0.0f32), 0.0f32..0.7], setting in 0..cases::SETTINGS.len(),
        ) {
            let problem = cases::mapped(rows, cols, scale, seed).with_gaps(gaps, seed);
            let maps = &problem.pairs[0];
            let any = |map: &Option<Array2<f32>>| map.as_ref().unwrap().iter().any(|v| !v.is_nan());
            let cells = rows.div_ceil(scale) * cols.div_ceil(scale);
            prop_assume!(any(&maps.objects) && any(&maps.classes) && cells >= 4);
            compare("random", &problem, cases::SETTINGS[setting].1);
        }
    }

    fn prepared(problem: &Problem, values: &Values) -> Result<Box<dyn Prepared>> {
        let cancel = Cancel::new();
        let scene = problem.scene()?;
        Obsum.plan(&Request { values, scene: scene.info() })?.prepare(&scene, &Exec::quiet(&cancel))
    }

    #[test]
    fn segments_and_classes_given_as_maps_predict_the_same() {
        let problem = Problem::fields(2, 33, 41, 5, &[-16], 12).with_gaps(0.05, 3);
        let values = values(&[("segment_size", "4"), ("classes", "4")]);
        let (parameters, cancel) = (Parameters::from_values(&values).unwrap(), Cancel::new());
        let scene = problem.scene().unwrap();
        let exec = Exec::quiet(&cancel);
        let objects = Objects::of_pair(&scene, 0, slic(&parameters), &exec).unwrap();
        let grid = CoarseGrid::of_scene(scene.info(), None, "").unwrap();
        let classes = classification(&parameters).classes_of(&scene, &grid, 0, &exec).unwrap().unwrap();
        let fine = problem.pairs[0].fine.view();
        let mut mapped = problem.clone();
        let map_of = |label: u32, none: u32| if label == none { f32::NAN } else { label as f32 };
        let whole = Region::whole(33, 41);
        mapped.pairs[0].objects = Some(objects.labels(fine, whole).mapv(|l| map_of(l, NO_OBJECT)));
        mapped.pairs[0].classes = Some(classes.labels(fine, None).unwrap().mapv(|l| map_of(l.into(), u16::MAX.into())));
        let predicted = |problem: &Problem| shared::predict(&Obsum, &values, problem, (11, 41), true).unwrap();
        let (with_maps, without) = (predicted(&mapped), predicted(&problem));
        let difference = shared::largest_difference(with_maps.image.view(), without.image.mapv(f64::from).view()).unwrap();
        assert_eq!(difference, 0.0);
        assert_eq!(with_maps.fallback, without.fallback);
    }

    #[test]
    fn only_the_nearest_pair_counts() {
        let problem = Problem::fields(2, 24, 24, 4, &[-40, 8, 32], 5);
        let mut alone = problem.clone();
        alone.pairs = vec![problem.pairs[1].clone()];
        let predicted = |problem: &Problem| shared::predict(&Obsum, &values(&[]), problem, (24, 24), false).unwrap().image;
        assert_eq!(predicted(&problem), predicted(&alone));
        let derived = prepared(&problem, &values(&[])).unwrap().derived();
        assert_eq!(derived[..2], [("pair".to_string(), "2".to_string()), ("scale".to_string(), "4".to_string())]);
    }

    #[test]
    fn a_uniform_change_reaches_every_pixel() {
        let mut problem = cases::mapped(24, 28, 4, 9);
        problem.target = &problem.pairs[0].coarse + 0.125;
        let image = shared::predict(&Obsum, &values(&[]), &problem, (24, 28), false).unwrap().image;
        let expected = problem.pairs[0].fine.mapv(|v| f64::from(v) + 0.125);
        assert!(shared::largest_difference(image.view(), expected.view()).unwrap() < 1e-6);
    }

    #[test]
    fn pixels_that_leave_the_rule_are_marked() {
        let mut problem = cases::mapped(24, 28, 4, 1);
        problem.pairs[0].objects.as_mut().unwrap().slice_mut(s![.., ..14]).fill(7.0);
        problem.pairs[0].classes.as_mut().unwrap().slice_mut(s![.., 14..]).fill(f32::NAN);
        problem.target.slice_mut(s![.., 20.., ..4]).fill(f32::NAN);
        let marks = |problem: &Problem, more: &[(&str, &str)]| {
            let mut settings = vec![("window", "1"), ("similar_pixels", "3")];
            settings.extend(more);
            shared::predict(&Obsum, &values(&settings), problem, (24, 28), true).unwrap().fallback.unwrap()
        };
        let number = |f: Fallback| f32::from(f as u8);
        let found = marks(&problem, &[]);
        assert_eq!(found[(3, 26)], number(Fallback::ClassAbsent), "no class in the object");
        assert_eq!(found[(3, 3)], number(Fallback::FewCoarse), "a coarse pixel of the object is invalid");
        let limited = marks(&cases::mapped(24, 28, 4, 1), &[("upper_limit", "0.1"), ("window", "5")]);
        assert!(limited.iter().any(|v| *v == number(Fallback::OutOfRange)));
        // one coarse pixel, two classes
        let mut few = Problem::fields(1, 4, 4, 4, &[-16], 3);
        few.pairs[0].objects = Some(Array2::from_shape_fn((4, 4), |(r, _)| (r / 2) as f32));
        few.pairs[0].classes = Some(Array2::zeros((4, 4)));
        assert!(marks(&few, &[]).iter().all(|v| *v == 0.0));
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let refusal = |problem: &Problem, settings: &[(&str, &str)]| prepared(problem, &values(settings)).err().unwrap();
        let mut problem = Problem::fields(1, 16, 16, 4, &[-16], 1);
        let error = refusal(&problem, &[("lower_limit", "1"), ("upper_limit", "0.5")]);
        assert_eq!(error.message(), "The lower limit 1 is not below the upper limit 0.5");
        problem.scale = None;
        let error = refusal(&problem, &[]);
        assert!(error.message().starts_with("OBSUM works on coarse pixels") && error.hint().unwrap().starts_with("Set scale to"));
        problem.scale = Some(4);
        problem.pairs[0].objects = Some(Array2::zeros((15, 16)));
        let error = problem.scene().err().unwrap();
        assert!(error.message().starts_with("The object map of pair 1 is [15, 16]"), "{}", error.message());
        problem.pairs[0].objects = None;
        problem.pairs[0].fine.fill(f32::NAN);
        assert_eq!(refusal(&problem, &[]).message(), "The fine image of pair 1 has no valid pixel to classify");
    }

    #[test]
    fn other_methods_take_no_object_map() {
        let problem = cases::mapped(16, 16, 4, 1);
        let scene = problem.scene().unwrap();
        let values = Values::default();
        let error = crate::starfm::Starfm.plan(&Request { values: &values, scene: scene.info() }).err().unwrap();
        assert_eq!(error.message(), "STARFM takes no object map; pair 1 has one");
        assert_eq!(error.hint(), Some("Remove the object map from the job."));
    }

    #[test]
    fn a_constant_fine_image_takes_the_coarse_change() {
        let mut problem = Problem::fields(1, 24, 24, 4, &[-16], 2);
        problem.pairs[0].fine.fill(0.25);
        problem.pairs[0].coarse.fill(0.25);
        problem.target.fill(0.5);
        let image = shared::predict(&Obsum, &values(&[]), &problem, (24, 24), false).unwrap().image;
        assert!(image.iter().all(|v| (v - 0.5).abs() < 1e-6), "{:?}", image.index_axis(Axis(0), 0));
    }

    #[test]
    fn a_stopped_run_says_so() {
        let problem = Problem::fields(1, 20, 20, 4, &[-16], 1);
        let scene = problem.scene().unwrap();
        let cancel = Cancel::new();
        cancel.request();
        let plan = Obsum.plan(&Request { values: &values(&[]), scene: scene.info() }).unwrap();
        assert_eq!(plan.prepare(&scene, &Exec::quiet(&cancel)).err().unwrap().kind(), ErrorKind::Cancelled);
    }
}
