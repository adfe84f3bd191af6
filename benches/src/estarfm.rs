//! The two loops of ESTARFM: which pixels of the window are similar, and their sums.
//!
//! A *sample* is one position of the window of one output pixel, counted only inside the image; every image (band of a pair) is
//! tested there. Operations are those that the method asks for: two comparisons for each sample and image, and for each similar
//! pixel three for its weight, an addition for each of the 4 bands + images sums of the regressions, and a multiply-add for each of
//! the images + 1 weighted sums.

use serde_json::json;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::param::Values;
use stfusion_core::Region;
use stfusion_engine::{fuse_scene, Context, DeviceChoice, SceneRequest};
use stfusion_methods::blocks::simd::{path, Path};
use stfusion_methods::cases::{self, Problem, ProblemPair};
use stfusion_methods::estarfm::{reference, Estarfm, Parameters};

use crate::clock::{fastest, measure};
use crate::images::{RepeatedScene, SumSink, BANDS};
use crate::peak::multiply_add_gflops;
use crate::record::Section;
use crate::starfm::{context, window_samples};
use crate::Failure;

/// Settings of a row, as (id, text).
type Settings = &'static [(&'static str, &'static str)];

const VARIANTS: &[(&str, Settings)] = &[("all similar", &[]), ("20 nearest", &[("selection", "nearest")])];

/// Side of the corner on which similar pixels are counted.
const COUNTED_SIDE: usize = 200;

/// Side of the image that the reference computes.
const REFERENCE_SIDE: usize = 64;

fn corner(scene: &RepeatedScene, side: usize) -> Result<Problem, Failure> {
    let read = |layer| -> Result<ndarray::Array3<f32>, Failure> {
        let mut image = ndarray::Array3::from_elem((BANDS, side, side), f32::NAN);
        scene.read(layer, Region::whole(side, side), image.view_mut())?;
        Ok(image)
    };
    let pairs = (0..scene.info().pairs.len())
        .map(|k| {
            Ok(ProblemPair {
                gap_days: None,
                fine: read(Layer::Fine(k))?,
                coarse: read(Layer::Coarse(k))?,
                classes: None,
                objects: None,
                pan: None,
            })
        })
        .collect::<Result<_, Failure>>()?;
    Ok(Problem { pairs, target: read(Layer::Target)?, scale: None })
}

fn values(settings: Settings, window: usize) -> Result<Values, Failure> {
    let window = window.to_string();
    let all: Vec<_> = settings.iter().copied().chain([("window", window.as_str())]).collect();
    Ok(cases::values_of(&Estarfm, &all)?)
}

/// Share of the samples that are similar, on a corner of the scene.
fn similar_share(scene: &RepeatedScene, window: usize) -> Result<f64, Failure> {
    let side = COUNTED_SIDE.max(window);
    let prediction = cases::predict(&Estarfm, &values(&[], window)?, &corner(scene, side)?, (side, side), true)?;
    let similar: f64 = prediction.support.map_or(0.0, |(n, _)| n.iter().map(|&n| f64::from(n)).sum());
    Ok(similar / window_samples(side, window))
}

fn predict(scene: &dyn Scene, values: &Values, context: &Context) -> Result<f64, Failure> {
    let mut sink = SumSink::default();
    let request =
        SceneRequest { method: &Estarfm, values, device: &DeviceChoice::Cpu, support: false, tile_px: None, held_bytes: 0 };
    fuse_scene(&request, scene, &mut sink, context, &mut |_, _| true)?;
    Ok(sink.sum)
}

/// The table of `stfusion-bench estarfm`.
pub fn section(side: usize, window: usize, threads: usize, repeat: usize) -> Result<Section, Failure> {
    let mut section = Section::new(
        "estarfm",
        format!("{side} x {side} x {BANDS}, two pairs, window {window}, fastest of {repeat} runs; cpu and wall in seconds"),
    );
    let before = std::env::var_os(path::VARIABLE);
    let scene = RepeatedScene::new(side, side, 2);
    let (samples, images) = (window_samples(side, window), 2 * BANDS);
    let share = similar_share(&scene, window)?;
    let small = corner(&scene, REFERENCE_SIDE.max(window))?;
    let parameters = Parameters::from_values(&values(&[], window)?)?;
    let (_, seconds) = measure(|| std::hint::black_box(reference::predict(&parameters, &small)));
    let reference = seconds.cpu * 1e9 / window_samples(REFERENCE_SIDE.max(window), window);
    section.row(json!({ "selection": "all similar", "path": "reference", "threads": 1, "ns_per_sample": reference }));
    for &(selection, settings) in VARIANTS {
        let values = values(settings, window)?;
        let similar = if settings.is_empty() { share * samples } else { 20.0 * (side * side) as f64 };
        let operations = samples * 2.0 * images as f64 + similar * (3 + 4 * BANDS + images + 2 * (images + 1)) as f64;
        for &path in Path::ALL.iter().filter(|p| p.is_available()) {
            std::env::set_var(path::VARIABLE, path.id());
            let peak = multiply_add_gflops(path);
            let mut alone = None;
            for n in [1, threads] {
                let context = context(n)?;
                let (_, seconds) = fastest(repeat, || predict(&scene, &values, &context))?;
                let single = *alone.get_or_insert(seconds);
                let ns = seconds.cpu * 1e9 / samples;
                section.row(json!({
                    "selection": selection,
                    "path": path.id(),
                    "threads": n,
                    "cpu": seconds.cpu,
                    "wall": seconds.wall,
                    "ns_per_sample": ns,
                    "of_peak": operations / seconds.cpu / (peak * 1e9),
                    "x_threads": (n > 1).then(|| single.wall / seconds.wall),
                    "x_reference": (settings.is_empty()).then(|| reference / ns),
                }));
            }
        }
    }
    match before {
        Some(value) => std::env::set_var(path::VARIABLE, value),
        None => std::env::remove_var(path::VARIABLE),
    }
    section.remark(format!(
        "{:.1} % of the samples are similar. ns_per_sample: all CPU time over all samples, {images} images tested in each. of_peak: \
         operations that the method asks for, in all CPU time, over the multiply-add peak of the same path.",
        100.0 * share
    ));
    Ok(section)
}
