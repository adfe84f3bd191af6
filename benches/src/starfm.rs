//! The window loop of STARFM, from one thread and the plainest instructions to all threads and the widest.
//!
//! A *sample* is one candidate position of one output pixel in one band of one pair, counted only where the window lies inside
//! the image. Per sample the loop needs 9 floating-point operations, two of them twice: the subtraction and 3 comparisons of
//! the tests, a multiply-add for the weight, an addition to the sum of weights, a multiply-add to the weighted sum
//! (4 + 2 + 1 + 2); a magnitude, which clears a bit, and the masks are not counted.

use ndarray::{s, Array3};
use serde_json::json;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::param::Values;
use stfusion_core::Region;
use stfusion_engine::{fuse_scene, Context, ContextOptions, DeviceChoice, MemorySize, SceneRequest};
use stfusion_methods::blocks::simd::{path, Path};
use stfusion_methods::cases::{Problem, ProblemPair};
use stfusion_methods::starfm::{reference, Parameters};

use crate::clock::{fastest, measure, Seconds};
use crate::images::{RepeatedScene, SumSink, BANDS};
use crate::peak::multiply_add_gflops;
use crate::record::Section;
use crate::Failure;

const METHOD: &str = "starfm";

/// Floating-point operations per sample.
const OPERATIONS: f64 = 9.0;

/// Samples of one band and pair of a `side` x `side` image.
pub fn window_samples(side: usize, window: usize) -> f64 {
    let half = window / 2;
    let along: usize = (0..side).map(|i| (i + half + 1).min(side) - i.saturating_sub(half)).sum();
    (along as f64) * (along as f64)
}

/// A context with `threads` threads and the memory of a large machine.
pub fn context(threads: usize) -> Result<Context, Failure> {
    Ok(Context::new(ContextOptions { threads, memory: MemorySize(Some(4 << 30)), ..ContextOptions::default() })?)
}

/// Runs a method over a scene in memory and returns the sum of the prediction. `window` counts for methods that have one.
pub fn predict(scene: &dyn Scene, method: &str, window: usize, context: &Context) -> Result<f64, Failure> {
    let method = stfusion_methods::by_id(method)?;
    let parameters = method.info().parameters;
    let mut values = Values::default();
    if parameters.iter().any(|p| p.id == "window") {
        values.set_text(parameters, "window", &window.to_string())?;
    }
    let mut sink = SumSink::default();
    let request =
        SceneRequest { method, values: &values, device: &DeviceChoice::Cpu, support: false, tile_px: None, held_bytes: 0 };
    fuse_scene(&request, scene, &mut sink, context, &mut |_, _| true)?;
    Ok(sink.sum)
}

/// Side of the image that the reference computes.
const REFERENCE_SIDE: usize = 128;

/// CPU nanoseconds per sample of the literal reference on one band of a corner of `scene`.
fn reference_ns(scene: &RepeatedScene, window: usize) -> Result<f64, Failure> {
    let side = REFERENCE_SIDE.max(window);
    let mut values = Values::default();
    values.set_text(Parameters::SPECS, "window", &window.to_string())?;
    let parameters = Parameters::from_values(&values)?;
    let read = |layer| -> Result<Array3<f32>, Failure> {
        let mut image = Array3::from_elem((BANDS, side, side), f32::NAN);
        scene.read(layer, Region::whole(side, side), image.view_mut())?;
        Ok(image.slice_move(s![..1, .., ..]))
    };
    let pairs = (0..scene.info().pairs.len())
        .map(|k| {
            let gap_days = scene.info().gap_days(k).and_then(|d| i16::try_from(d).ok());
            Ok(ProblemPair {
                gap_days,
                fine: read(Layer::Fine(k))?,
                coarse: read(Layer::Coarse(k))?,
                classes: None,
                objects: None,
                pan: None,
            })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let samples = window_samples(side, window) * pairs.len() as f64;
    let problem = Problem { pairs, target: read(Layer::Target)?, scale: None };
    let (outcome, seconds) = measure(|| reference::predict(&parameters, &problem));
    outcome?;
    Ok(seconds.cpu * 1e9 / samples)
}

/// The table of `stfusion-bench starfm`.
pub fn section(side: usize, window: usize, threads: usize, repeat: usize) -> Result<Section, Failure> {
    let mut section = Section::new(
        "starfm",
        format!("{side} x {side} x {BANDS}, window {window}, fastest of {repeat} runs; cpu and wall in seconds"),
    );
    let before = std::env::var_os(path::VARIABLE);
    for pairs in [1, 2] {
        let scene = RepeatedScene::new(side, side, pairs);
        let samples_of = |window| window_samples(side, window) * (BANDS * pairs) as f64;
        let (samples, narrow) = (samples_of(window), (window / 3) | 1);
        let reference = reference_ns(&scene, window)?;
        section.row(json!({ "pairs": pairs, "path": "reference", "threads": 1, "ns_per_sample": reference }));
        let mut plain: Option<Seconds> = None;
        for &path in Path::ALL.iter().filter(|p| p.is_available()) {
            std::env::set_var(path::VARIABLE, path.id());
            let gflops = multiply_add_gflops(path);
            let mut alone: Option<Seconds> = None;
            for n in [1, threads] {
                let context = context(n)?;
                let (_, seconds) = fastest(repeat, || predict(&scene, METHOD, window, &context))?;
                let (_, small) = fastest(repeat, || predict(&scene, METHOD, narrow, &context))?;
                let loop_ns = (seconds.cpu - small.cpu) * 1e9 / (samples - samples_of(narrow));
                let ns = seconds.cpu * 1e9 / samples;
                let single = *alone.get_or_insert(seconds);
                let baseline = *plain.get_or_insert(single);
                section.row(json!({
                    "pairs": pairs,
                    "path": path.id(),
                    "threads": n,
                    "cpu": seconds.cpu,
                    "wall": seconds.wall,
                    "ns_per_sample": ns,
                    "ns_in_loop": loop_ns,
                    "of_peak": OPERATIONS / loop_ns / gflops,
                    "ns_at_100_gflops": loop_ns * gflops / 100.0,
                    "x_threads": (n > 1).then(|| single.wall / seconds.wall),
                    "x_baseline": baseline.cpu / seconds.cpu,
                    "x_reference": reference / ns,
                }));
            }
        }
    }
    match before {
        Some(value) => std::env::set_var(path::VARIABLE, value),
        None => std::env::remove_var(path::VARIABLE),
    }
    section.remark(format!(
        "ns_per_sample: all CPU time over all samples. ns_in_loop: what one more sample costs, from a run with window {}. of_peak: \
         {OPERATIONS} operations in ns_in_loop over the multiply-add peak of the same path. ns_at_100_gflops: ns_in_loop scaled to a \
         peak of 100 GFLOP/s.",
        (window / 3) | 1
    ));
    Ok(section)
}
