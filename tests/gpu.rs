//! Methods on GPUs through the whole engine: the real host code over the mock driver of `tests/cuda`, which runs the kernels of `cuda/` on the
//! processor. Whether a kernel means what the CPU version means is tested beside the methods; here it is what the engine makes of it.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use ndarray::{Array3, Axis};
use stfusion_core::memory::{MemoryPair, MemoryScene};
use stfusion_core::method::{Method, Request, Scene};
use stfusion_core::param::Values;
use stfusion_core::{Date, ErrorKind, Region, Result};
use stfusion_engine::{
    fuse, fuse_scene, Context, ContextOptions, DeviceChoice, Job, MemorySink, MemorySize, OnDemand, Part, Product, Report,
    SceneRequest, SUPPORT_BANDS,
};
use stfusion_methods::cases;
use stfusion_mock_cuda::{install, Mock};

/// Sides that no tile divides.
const SHAPE: (usize, usize, usize) = (2, 93, 107);

/// The mock driver with two devices, which the whole process keeps.
fn two_devices() -> Mock {
    let mock = install("devices=2");
    assert_eq!(stfusion_gpu::discover().devices().len(), 2);
    mock
}

fn date(text: &str) -> Option<Date> {
    Some(text.parse().unwrap())
}

/// A smooth image with detail and holes.
fn image(seed: usize) -> Array3<f32> {
    Array3::from_shape_fn(SHAPE, |(b, r, c)| {
        let hole = (40..52).contains(&r) && (60..75).contains(&c) || (r + seed) % 31 == 20 && c % 7 == 3;
        let noise = ((r * 7919 + c * 104_729 + b * 31 + seed * 17) % 1009) as f32 / 1009.0;
        let value = 0.2 + 0.1 * ((r / 12 + c / 9 + seed) % 3) as f32 + 0.05 * (b as f32) + 0.02 * noise;
        if hole {
            f32::NAN
        } else {
            value
        }
    })
}

fn images() -> Vec<Array3<f32>> {
    (1..=5).map(image).collect()
}

fn scene(images: &[Array3<f32>]) -> MemoryScene<'_> {
    let pair = |day, fine: usize, coarse: usize| MemoryPair {
        date: date(day),
        fine: images[fine].view(),
        coarse: images[coarse].view(),
        classes: None,
        objects: None,
        pan: None,
    };
    let pairs = vec![pair("2020-05-01", 0, 1), pair("2020-07-20", 3, 2)];
    MemoryScene::new(pairs, date("2020-06-10"), images[4].view(), Some(10.0)).unwrap()
}

fn values(method: &dyn Method) -> Values {
    let window = method.info().parameters.iter().any(|p| p.id == "window");
    cases::values_of(method, if window { &[("window", "13")] } else { &[] }).unwrap()
}

/// Methods that compute on a GPU with these values.
fn methods(scene: &MemoryScene<'_>) -> Vec<&'static dyn Method> {
    let on_gpu = |method: &&dyn Method| {
        let values = values(*method);
        let plan = method.plan(&Request { values: &values, scene: scene.info() });
        plan.is_ok_and(|plan| plan.device_cost().is_ok())
    };
    let found: Vec<_> = stfusion_methods::all().iter().copied().filter(|m| cases::can_be_tried(*m)).filter(on_gpu).collect();
    assert!(found.iter().any(|m| m.info().id == "starfm"), "STARFM has a GPU version");
    found
}

/// Prediction and support layer, one above the other.
fn run(method: &dyn Method, device: &str, tile_px: Option<usize>, log: &Log) -> Result<(Array3<f32>, Report)> {
    let images = images();
    let scene = scene(&images);
    let (bands, rows, cols) = SHAPE;
    let mut image = Array3::from_elem((bands, rows, cols), f32::NAN);
    let mut support = Array3::from_elem((SUPPORT_BANDS.len(), rows, cols), f32::NAN);
    let (values, device) = (values(method), device.parse::<DeviceChoice>()?);
    let request = SceneRequest { method, values: &values, device: &device, support: true, tile_px, held_bytes: 0 };
    let mut sink = MemorySink { image: image.view_mut(), support: Some(support.view_mut()) };
    let report = fuse_scene(&request, &scene, &mut sink, &log.context(), &mut |_, _| true)?;
    Ok((ndarray::concatenate(Axis(0), &[image.view(), support.view()]).unwrap(), report))
}

/// What a context was told.
#[derive(Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn context(&self) -> Context {
        let lines = Arc::clone(&self.0);
        let log = Arc::new(move |_, text: &str| lines.lock().unwrap().push(text.to_string()));
        Context::new(ContextOptions { threads: 2, log: Some(log), ..ContextOptions::default() }).unwrap()
    }

    fn has(&self, words: &str) -> bool {
        self.0.lock().unwrap().iter().any(|line| line.contains(words))
    }
}

fn bits(image: &Array3<f32>) -> Vec<u32> {
    image.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn tiles_devices_and_when_work_is_done_do_not_change_a_bit() {
    let mock = two_devices();
    let images = images();
    for method in methods(&scene(&images)) {
        let id = method.info().id;
        let (whole, report) = run(method, "cuda:0", Some(1000), &Log::default()).unwrap();
        assert_eq!(report.device, "cuda:0 Mock GPU");
        let (on_cpu, _) = run(method, "cpu", None, &Log::default()).unwrap();
        for (k, (gpu, cpu)) in whole.iter().zip(&on_cpu).enumerate() {
            assert!(
                gpu.is_nan() && cpu.is_nan() || (gpu - cpu).abs() <= 1e-4 * cpu.abs().max(1.0),
                "{id}: {k}: {gpu}, CPU {cpu}"
            );
        }
        for deferred in ["deferred=1", "deferred=0"] {
            mock.set(deferred);
            for (device, name) in [("cuda:0", "cuda:0 Mock GPU"), ("cuda:0,1", "cuda:0 Mock GPU, cuda:1 Mock GPU")] {
                for tile_px in [Some(16), Some(37), None] {
                    let (other, report) = run(method, device, tile_px, &Log::default()).unwrap();
                    assert!(bits(&whole) == bits(&other), "{id} on {device}, {deferred}, tiles {tile_px:?}");
                    assert_eq!(report.device, name);
                }
            }
        }
    }
    assert_eq!((mock.count("live_blocks"), mock.count("streams"), mock.count("pinned_blocks")), (0, 0, 0));
}

#[test]
fn tiles_fit_the_memory_of_the_device() {
    let mock = two_devices();
    let method = stfusion_methods::by_id("starfm").unwrap();
    let auto = Log::default();
    let (large, report) = run(method, "auto", None, &auto).unwrap();
    assert_eq!(report.device, "cuda:0 Mock GPU");
    assert!(!auto.has("on the CPU"));
    let mut memory = 64 << 20;
    // less and less memory: smaller tiles, the same pixels, never more memory than there is
    let mut sides = vec![report.tile_px];
    let refused = loop {
        mock.set(&format!("memory={memory}"));
        match run(method, "cuda:0", None, &Log::default()) {
            Ok((image, report)) => {
                assert!(bits(&image) == bits(&large), "{memory} bytes");
                sides.push(report.tile_px);
            }
            Err(error) => break error,
        }
        memory /= 2;
    };
    assert!(sides.len() > 2 && sides.windows(2).all(|s| s[1] <= s[0]) && sides.last() < sides.first(), "{sides:?}");
    assert_eq!(refused.kind(), ErrorKind::Device);
    let text = refused.message();
    assert!(text.starts_with("cuda:0 Mock GPU has ") && text.contains("MiB of free memory, and"), "{text}");
    // auto takes the processor then, and says why
    let auto = Log::default();
    let (_, report) = run(method, "auto", None, &auto).unwrap();
    assert_eq!(report.device, "cpu");
    assert!(auto.has("STARFM is computed on the CPU: cuda:1 Mock GPU has "), "{:?}", auto.0.lock().unwrap());
}

/// The job of a scene of `size` x `size` pixels in `folder`, on both devices.
fn job_on_devices(folder: &Path, size: &str, window: &str) -> Job {
    let path = folder.join("scene");
    let arguments = ["stfusion", "demo", path.to_str().unwrap(), "--two-pairs", "--size", size, "-q"];
    assert_eq!(stfusion_cli::run(arguments.map(Into::into)), 0);
    let text = std::fs::read_to_string(path.join("job.stf")).unwrap();
    let mut job = Job::from_json(&text, Some(&path)).unwrap();
    job.set_parameter("window", window).unwrap();
    (job.device, job.memory) = ("cuda:0,1".parse().unwrap(), MemorySize(Some(256 << 20)));
    job
}

#[test]
fn what_was_put_on_the_devices_stays_until_a_prediction_on_demand_is_closed() {
    let mock = two_devices();
    let folder = tempfile::tempdir().unwrap();
    let job = job_on_devices(folder.path(), "600", "3");
    let idle = mock.count("live_bytes");
    let prediction = OnDemand::open(&job, ContextOptions { threads: 2, ..ContextOptions::default() }).unwrap();
    let read = |row: usize, col: usize| {
        let (copies, launches) = (mock.count("copies"), mock.count("launches"));
        let part = Part { product: Product::Prediction, level: 0, region: Region::new(row, col, 1, 1) };
        prediction.read(part, &mut |_, _| true, &mut |_| Ok(())).unwrap();
        (mock.count("copies") - copies, mock.count("launches") - launches)
    };
    // three blocks of pixels, each computed when it is asked for
    let [(first, _), second, third] = [read(0, 0), read(0, 300), read(300, 0)];
    assert!(second.1 > 0, "a block was computed");
    assert_eq!(second, third);
    assert!(first > second.0, "{first} copies for the first request, {} for another", second.0);
    let kept = mock.count("live_bytes") - idle;
    assert!(kept > 0, "{kept}");
    drop(prediction);
    assert_eq!(mock.count("live_bytes"), idle);
}

#[test]
fn files_and_predictions_on_demand_are_those_of_the_device() {
    let mock = two_devices();
    let folder = tempfile::tempdir().unwrap();
    let job = job_on_devices(folder.path(), "200", "13");
    mock.set("deferred=1");
    let report = fuse(&job, &Log::default().context(), &mut |_, _| true).unwrap();
    let output = job.output.as_ref().unwrap().path.clone();
    let record = std::fs::read_to_string(format!("{output}.stf")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["provenance"]["device"], "cuda:0 Mock GPU, cuda:1 Mock GPU");
    assert_eq!(report.device, "cuda:0 Mock GPU, cuda:1 Mock GPU");

    let before = mock.count("launches");
    let prediction = OnDemand::open(&job, ContextOptions { threads: 2, ..ContextOptions::default() }).unwrap();
    let file = gdal::Dataset::open(&output).unwrap();
    for level in 0..prediction.resolutions().len() {
        let size = prediction.resolutions()[level];
        let region = Region::whole(size.rows, size.cols);
        let part = Part { product: Product::Prediction, level, region };
        prediction
            .read(part, &mut |_, _| true, &mut |block| {
                if level == 0 {
                    let (at, extent) = (block.region, (block.region.cols, block.region.rows));
                    for (band, values) in block.bands.iter().enumerate() {
                        let band = file.rasterband(band + 1).unwrap();
                        let stored = band.read_as::<i16>((at.col as isize, at.row as isize), extent, extent, None).unwrap();
                        let stored: Vec<u8> = stored.data().iter().flat_map(|v| v.to_ne_bytes()).collect();
                        assert!(values.as_bytes() == stored, "{at:?}");
                    }
                }
                Ok(())
            })
            .unwrap();
        assert!(mock.count("launches") > before);
    }
}
