//! CPU and GPU mean the same: every method that has a GPU version, on every problem and setting of its `cases.rs`, in whole images and in
//! tiles. Executors: the kernels' sources on the CPU with their threads in both orders and under AddressSanitizer, and the GPUs of this machine;
//! without one, `STFUSION_REQUIRE_CUDA=1` makes that a failure.
//!
//! A method inherits these tests by having a device cost, and a line in [`cases_of`].
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its problem has failed")]

use std::collections::BTreeSet;

use stfusion_core::device::Device;
use stfusion_core::method::{Method, Request, Scene};
use stfusion_core::param::Values;
use stfusion_cuda_on_cpu::{device, sanitized, Order};
use stfusion_gpu::Discovery;
use stfusion_methods::cases::{self, Prediction, Problem};
use stfusion_methods::{
    coarse_increment, estarfm, fitfc, fsdaf, ifsdaf, linear_in_time, nearest_pair, obsum, sfsdaf, spstfm, starfm, stdfa, strum,
    ubdf,
};

/// What a method is tried with.
struct Cases {
    problems: Vec<(&'static str, Problem)>,
    settings: &'static [(&'static str, &'static [(&'static str, &'static str)])],
    /// Whether a problem is tried with a setting, by their names.
    goes_with: fn(&str, &str) -> bool,
    /// Windows to try, one after the other; without any, what the settings say.
    windows: &'static [usize],
    /// Largest difference, relative to the largest fine value.
    tolerance: f64,
}

/// The cases of a method by its id.
fn cases_of(id: &str) -> Option<Cases> {
    macro_rules! of {
        ($method:ident, $windows:expr) => {
            Some(Cases {
                problems: $method::cases::problems(),
                settings: $method::cases::SETTINGS,
                goes_with: |_, _| true,
                windows: $windows,
                tolerance: $method::cases::TOLERANCE,
            })
        };
    }
    match id {
        "starfm" => of!(starfm, &[1, 7, 15]),
        "estarfm" => of!(estarfm, &[1, 13]),
        "fitfc" => of!(fitfc, &[]),
        "fsdaf" => of!(fsdaf, &[1, 9]).map(with_many_cells),
        "sfsdaf" => of!(sfsdaf, &[]),
        "ifsdaf" => of!(ifsdaf, &[]),
        "ubdf" => of!(ubdf, &[]),
        "stdfa" => of!(stdfa, &[]),
        "strum" => of!(strum, &[]),
        "obsum" => of!(obsum, &[]).map(|mut cases: Cases| {
            cases.problems.push(("segments", Problem::fields(2, 21, 26, 4, &[-40, 8], 12).with_gaps(0.05, 3)));
            cases
        }),
        "nearest_pair" => of!(nearest_pair, &[]),
        "coarse_increment" => of!(coarse_increment, &[]),
        "linear_in_time" => of!(linear_in_time, &[]),
        "spstfm" => Some(Cases {
            problems: spstfm::cases::large_problems(),
            settings: spstfm::cases::LARGE_SETTINGS,
            goes_with: |problem, setting| {
                problem != "many patches" || ["defaults", "least squares", "long codes"].contains(&setting)
            },
            windows: &[],
            tolerance: 0.0,
        }),
        // FSDAF on enlarged images
        "rcan_fsdaf" => {
            let mut cases = of!(fsdaf, &[1, 9])?;
            cases.settings = &cases.settings[..1];
            Some(cases)
        }
        _ => None,
    }
}

/// With a problem of so many coarse pixels that splines are a table of those around, or that of a square which is not the whole scene: no case of
/// the CPU, whose references know the spline of the whole scene.
fn with_many_cells(mut cases: Cases) -> Cases {
    cases.problems.push(("many cells", Problem::fields(5, 26, 40, 2, &[-16], 4)));
    cases
}

/// A case: what it is called, its images and its values.
struct Case {
    name: String,
    problem: Problem,
    values: Values,
    tolerance: f64,
}

/// Which windows of a case are tried.
#[derive(Clone, Copy, PartialEq)]
enum Windows {
    All,
    Largest,
}

/// Every case of every method that has a GPU version.
fn each_case(tried: Windows, check: impl Fn(&dyn Method, &Case)) {
    let mut methods = 0;
    for method in stfusion_methods::all().iter().filter(|m| cases::can_be_tried(**m)) {
        let id = method.info().id;
        let Some(cases) = cases_of(id) else {
            let problem = Problem::fields(2, 20, 20, 5, &[-16, 24][..method.info().min_pairs.max(1)], 1).suited_to(*method);
            let scene = problem.scene().unwrap();
            let values = cases::values_of(*method, small_window(*method)).unwrap();
            let plan = method.plan(&Request { values: &values, scene: scene.info() }).unwrap();
            assert!(plan.device_cost().is_err(), "{id} has a GPU version and no cases here");
            continue;
        };
        methods += 1;
        let (mut tried_here, mut refused) = (0, BTreeSet::new());
        for (problem_name, problem) in &cases.problems {
            let (_, rows, cols) = problem.dim();
            for (setting, settings) in cases.settings.iter().filter(|(setting, _)| (cases.goes_with)(problem_name, setting)) {
                let fitting = cases.windows.iter().filter(|&&w| w <= rows.max(cols)).map(|w| Some(w.to_string()));
                let windows: Vec<_> = if cases.windows.is_empty() { vec![None] } else { fitting.collect() };
                let first = if tried == Windows::Largest { windows.len() - 1 } else { 0 };
                for window in &windows[first..] {
                    let mut settings = settings.to_vec();
                    let mut name = format!("{id}, {problem_name}, {setting}");
                    if let Some(window) = window {
                        settings.push(("window", window));
                        name += &format!(", window {window}");
                    }
                    let values = cases::values_of(*method, &settings).unwrap();
                    let tolerance = cases.tolerance * problem.largest_fine();
                    let scene = problem.scene().unwrap();
                    let plan = method.plan(&Request { values: &values, scene: scene.info() }).unwrap();
                    if let Err(reason) = plan.device_cost() {
                        refused.insert(format!("{id}, {setting}: {reason}"));
                        continue;
                    }
                    tried_here += 1;
                    check(*method, &Case { name, problem: problem.clone(), values, tolerance });
                }
            }
        }
        println!("{id}: {tried_here} cases; not on GPUs: {refused:?}");
        assert!(tried_here > refused.len(), "{id}: too little of it is on GPUs");
    }
    assert!(methods > 0, "no method has a GPU version");
}

/// Settings for small scenes.
fn small_window(method: &dyn Method) -> &'static [(&'static str, &'static str)] {
    let window = method.info().parameters.iter().any(|p| p.id == "window");
    if window {
        &[("window", "7")]
    } else {
        &[]
    }
}

fn predict(device: Option<&dyn Device>, method: &dyn Method, case: &Case, tile: (usize, usize)) -> Prediction {
    let scene = case.problem.scene().unwrap();
    cases::predict_on(device, method, &case.values, &scene, tile, true)
        .unwrap_or_else(|e| panic!("{}: {}", case.name, e.message()))
}

fn whole(problem: &Problem) -> (usize, usize) {
    let (_, rows, cols) = problem.dim();
    (rows, cols)
}

fn bits<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u32> {
    // every NaN is the same invalid value
    values.into_iter().map(|v| if v.is_nan() { u32::MAX } else { v.to_bits() }).collect()
}

/// Panics unless the two are the same, bit for bit.
fn assert_same(name: &str, a: &Prediction, b: &Prediction) {
    assert_eq!(bits(&a.image), bits(&b.image), "{name}: image");
    assert_same_decisions(name, a, b);
}

/// Panics unless the same pixels were found similar, valid and beyond the rule.
fn assert_same_decisions(name: &str, a: &Prediction, b: &Prediction) {
    let ((similar_a, fraction_a), (similar_b, fraction_b)) = (a.support.as_ref().unwrap(), b.support.as_ref().unwrap());
    assert_eq!(bits(similar_a), bits(similar_b), "{name}: similar pixels");
    assert_eq!(bits(fraction_a), bits(fraction_b), "{name}: valid fraction");
    assert_eq!(a.fallback, b.fallback, "{name}: fallback");
}

/// Panics unless a device decides as the CPU and agrees within the tolerance; returns its prediction.
fn assert_parity(device: &dyn Device, method: &dyn Method, case: &Case) -> Prediction {
    let expected = predict(None, method, case, whole(&case.problem));
    let got = predict(Some(device), method, case, whole(&case.problem));
    assert_same_decisions(&case.name, &got, &expected);
    let difference = cases::largest_difference(got.image.view(), expected.image.mapv(f64::from).view())
        .unwrap_or_else(|e| panic!("{}: {}", case.name, e.message()));
    assert!(difference <= case.tolerance, "{}: {difference} > {}", case.name, case.tolerance);
    got
}

#[test]
fn kernels_decide_as_the_cpu_and_agree_within_rounding() {
    let (forward, reversed) = (device(Order::Forward), device(Order::Reversed));
    each_case(Windows::All, |method, case| {
        let got = assert_parity(forward.as_ref(), method, case);
        let other = predict(Some(reversed.as_ref()), method, case, whole(&case.problem));
        assert_same(&format!("{}, threads reversed", case.name), &got, &other);
    });
}

#[test]
fn gpus_decide_as_the_cpu_and_agree_within_rounding() {
    match stfusion_gpu::discover() {
        Discovery::Devices(devices) => {
            for device in devices {
                println!("on {}", device.info());
                each_case(Windows::All, |method, case| {
                    let got = assert_parity(device.as_ref(), method, case);
                    let tile = (7, 11);
                    assert_same(&case.name, &got, &predict(Some(device.as_ref()), method, case, tile));
                });
            }
        }
        Discovery::None(missing) => {
            println!("SKIP cuda: {missing}");
            assert!(std::env::var("STFUSION_REQUIRE_CUDA").as_deref() != Ok("1"), "{missing}");
        }
    }
}

#[test]
fn kernels_do_not_depend_on_tiles_nor_on_the_support() {
    let device = device(Order::Forward);
    each_case(Windows::Largest, |method, case| {
        let reference = predict(Some(device.as_ref()), method, case, whole(&case.problem));
        let tiled = predict(Some(device.as_ref()), method, case, (7, 11));
        assert_same(&format!("{}, tiles", case.name), &reference, &tiled);
        let scene = case.problem.scene().unwrap();
        let plain = cases::predict_on(Some(device.as_ref()), method, &case.values, &scene, whole(&case.problem), false).unwrap();
        assert_eq!(bits(&plain.image), bits(&reference.image), "{}: counting changed the image", case.name);
    });
}

#[test]
fn one_pixel_tiles_give_the_same_pixels() {
    let device = device(Order::Forward);
    let problem = Problem::fields(2, 9, 12, 3, &[-16, 24], 17).with_gaps(0.1, 18);
    for method in stfusion_methods::all().iter().filter(|m| cases_of(m.info().id).is_some()) {
        let case = Case {
            name: method.info().id.to_string(),
            values: cases::values_of(*method, small_window(*method)).unwrap(),
            problem: problem.clone(),
            tolerance: 0.0,
        };
        let reference = predict(Some(device.as_ref()), *method, &case, whole(&problem));
        assert_same(&case.name, &reference, &predict(Some(device.as_ref()), *method, &case, (1, 1)));
    }
}

#[test]
fn kernels_keep_to_their_memory() {
    let Some(device) = sanitized(Order::Reversed).unwrap() else {
        println!("SKIP sanitizer: the C++ compiler has none");
        return;
    };
    let reference = stfusion_cuda_on_cpu::device(Order::Forward);
    each_case(Windows::Largest, |method, case| {
        let expected = predict(Some(reference.as_ref()), method, case, whole(&case.problem));
        let tile = (11, 20);
        assert_same(&format!("{}, sanitizer", case.name), &expected, &predict(Some(device.as_ref()), method, case, tile));
    });
}
