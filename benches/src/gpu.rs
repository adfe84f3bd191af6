//! Methods on a GPU: every kernel by the clock of the device, and whole scenes from memory to memory beside the processor.
//!
//! The first table runs tiles one after the other on one queue that waits after every kernel, so a kernel's time is its own. The second runs the
//! engine as a job would, several queues at once, so copies, kernels and the processor's part overlap.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ndarray::Array3;
use serde_json::json;
use stfusion_core::device::{Arg, Buffer, Device, DeviceInfo, Kernel, Launch, Queue};
use stfusion_core::method::{Layer, Method, PairTile, Request, Scene, TileIn, TileOut};
use stfusion_core::param::Values;
use stfusion_core::{Cancel, Exec, Region, Result};
use stfusion_engine::{fuse_scene, Context, ContextOptions, DeviceChoice, MemorySize, SceneRequest};
use stfusion_gpu::{discover, Discovery};

use crate::clock::fastest;
use crate::images::{RepeatedScene, SumSink, BANDS};
use crate::record::Section;
use crate::starfm::window_samples;
use crate::Failure;

/// What to measure.
pub struct Options<'a> {
    /// One method alone.
    pub only: Option<&'a str>,
    /// Rows and columns of the scene.
    pub rows: usize,
    /// See `rows`.
    pub cols: usize,
    /// Window in fine pixels.
    pub window: usize,
    /// Side of the tile of the first table.
    pub tile: usize,
    /// Threads of the processor that the GPU is compared with; 0: all.
    pub threads: usize,
    /// Part of the rows that the processor computes, one in so many.
    pub cpu_part: usize,
    /// Runs of each measurement.
    pub repeat: usize,
}

/// Instructions that one sample of the window loop of a kernel is issued as, counted in its machine code (`cuda/README.md`); a sample is one
/// position of the window for one output pixel, band and pair.
const INSTRUCTIONS_PER_SAMPLE: &[(&str, f64)] = &[
    ("starfm_window_strict", 6.75),
    ("starfm_window_loose", 6.75),
    ("starfm_window_strict_within", 7.75),
    ("starfm_window_loose_within", 7.75),
    ("starfm_window_strict_count", 8.5),
    ("starfm_window_loose_count", 8.5),
    ("starfm_window_strict_within_count", 9.6),
    ("starfm_window_loose_within_count", 9.6),
];

/// The tables of `stfusion-bench gpu`; without a GPU, the reason.
///
/// # Errors
/// Those of the device.
pub fn sections(options: &Options<'_>) -> Result<Vec<Section>, Failure> {
    let devices = match discover() {
        Discovery::Devices(devices) => devices,
        Discovery::None(missing) => {
            let mut section = Section::new("gpu", "not measured");
            section.remark(format!("No GPU: {missing}. {}", missing.remedy()));
            return Ok(vec![section]);
        }
    };
    let mut sections = Vec::new();
    for method in stfusion_methods::all().iter().filter(|m| options.only.is_none_or(|id| id == m.info().id)) {
        let pairs = method.info().min_pairs;
        let scene = RepeatedScene::new(options.rows, options.cols, pairs);
        let values = values_of(*method, options.window)?;
        let Ok(plan) = method.plan(&Request { values: &values, scene: scene.info() }) else { continue };
        if plan.device_cost().is_err() {
            continue;
        }
        sections.push(kernels(*method, &values, &scene, devices[0].as_ref(), options)?);
        sections.push(end_to_end(*method, &values, &scene, &devices, options)?);
    }
    Ok(sections)
}

fn values_of(method: &dyn Method, window: usize) -> Result<Values, Failure> {
    let parameters = method.info().parameters;
    let mut values = Values::default();
    if parameters.iter().any(|p| p.id == "window") {
        values.set_text(parameters, "window", &window.to_string())?;
    }
    Ok(values)
}

/// What a kernel took.
#[derive(Debug, Default, Clone, Copy)]
struct Taken {
    launches: usize,
    seconds: f64,
}

/// A queue that times every kernel and counts the bytes that are copied.
struct Timed {
    queue: Box<dyn Queue>,
    kernels: BTreeMap<&'static str, Taken>,
    bytes_in: usize,
    bytes_out: usize,
}

impl Timed {
    fn new(device: &dyn Device) -> Result<Timed> {
        Ok(Timed { queue: device.queue()?, kernels: BTreeMap::new(), bytes_in: 0, bytes_out: 0 })
    }
}

impl Queue for Timed {
    fn info(&self) -> &DeviceInfo {
        self.queue.info()
    }

    fn buffer(&mut self, bytes: usize) -> Result<Buffer> {
        self.queue.buffer(bytes)
    }

    fn write(&mut self, to: &Buffer, at: usize, from: &[u8]) -> Result<()> {
        self.bytes_in += from.len();
        self.queue.write(to, at, from)
    }

    fn fill(&mut self, to: &Buffer, byte: u8) -> Result<()> {
        self.queue.fill(to, byte)
    }

    fn launch(&mut self, kernel: Kernel, launch: Launch, arguments: &[Arg<'_>]) -> Result<()> {
        self.timed_launch(kernel, launch, arguments).map(drop)
    }

    fn timed_launch(&mut self, kernel: Kernel, launch: Launch, arguments: &[Arg<'_>]) -> Result<f64> {
        let seconds = self.queue.timed_launch(kernel, launch, arguments)?;
        let taken = self.kernels.entry(kernel.function).or_default();
        taken.launches += 1;
        taken.seconds += seconds;
        Ok(seconds)
    }

    fn read(&mut self, from: &Buffer, at: usize, to: &mut [u8]) -> Result<()> {
        self.bytes_out += to.len();
        self.queue.read(from, at, to)
    }

    fn wait(&mut self) -> Result<()> {
        self.queue.wait()
    }
}

/// Images under a tile.
struct Images {
    region: Region,
    padded: Region,
    pairs: Vec<[Array3<f32>; 2]>,
    target: Array3<f32>,
}

impl Images {
    /// In the middle of the scene.
    fn read(scene: &RepeatedScene, side: usize, halo: usize) -> Result<Images> {
        let info = scene.info();
        let (rows, cols) = (side.min(info.rows), side.min(info.cols));
        let region = Region::new((info.rows - rows) / 2, (info.cols - cols) / 2, rows, cols);
        let padded = region.grown(halo, info.rows, info.cols);
        let read = |layer| -> Result<Array3<f32>> {
            let mut image = Array3::zeros((info.bands, padded.rows, padded.cols));
            scene.read(layer, padded, image.view_mut())?;
            Ok(image)
        };
        let pairs = (0..info.pairs.len()).map(|k| Ok([read(Layer::Fine(k))?, read(Layer::Coarse(k))?])).collect::<Result<_>>()?;
        Ok(Images { region, padded, pairs, target: read(Layer::Target)? })
    }

    fn tile<'a>(&'a self, scene: &RepeatedScene) -> TileIn<'a> {
        let pair = |(k, [fine, coarse]): (usize, &'a [Array3<f32>; 2])| PairTile {
            fine: fine.view(),
            coarse: coarse.view(),
            classes: None,
            objects: None,
            pan: None,
            gap_days: scene.info().gap_days(k),
        };
        TileIn {
            region: self.region,
            padded: self.padded,
            pairs: self.pairs.iter().enumerate().map(pair).collect(),
            target: self.target.view(),
        }
    }
}

/// Every kernel of one tile.
fn kernels(
    method: &dyn Method,
    values: &Values,
    scene: &RepeatedScene,
    device: &dyn Device,
    options: &Options<'_>,
) -> Result<Section, Failure> {
    let (info, limits) = (device.info(), device.limits());
    let label = method.info().label;
    let cancel = Cancel::new();
    let exec = Exec::quiet(&cancel);
    let plan = method.plan(&Request { values, scene: scene.info() })?;
    let prepared = plan.prepare(scene, &exec)?;
    let images = Images::read(scene, options.tile, plan.cost().halo_px)?;
    let tile = images.tile(scene);
    let mut image = Array3::from_elem((BANDS, images.region.rows, images.region.cols), f32::NAN);
    let mut first = Timed::new(device)?;
    let tiles = prepared.on_device(&mut first)?;
    first.wait()?;
    let mut best: Option<(Timed, f64)> = None;
    for _ in 0..options.repeat.max(1) {
        let mut queue = Timed::new(device)?;
        let start = Instant::now();
        tiles.run(&tile, &mut TileOut { image: image.view_mut(), support: None }, &mut queue, &exec)?;
        let wall = start.elapsed().as_secs_f64();
        let total = |q: &Timed| q.kernels.values().map(|k| k.seconds).sum::<f64>();
        if best.as_ref().is_none_or(|(fastest, _)| total(&queue) < total(fastest)) {
            best = Some((queue, wall));
        }
    }
    let Some((queue, wall)) = best else { return Ok(Section::new("gpu", "nothing was run")) };
    let all: f64 = queue.kernels.values().map(|k| k.seconds).sum();
    let pixels = images.region.pixels() as f64;
    let samples = pixels * (options.window * options.window * BANDS * scene.info().pairs.len()) as f64;
    let mut section = Section::new(
        "gpu_kernels",
        format!(
            "{label} on {info}, a tile of {} x {} x {BANDS}, window {}; seconds of the device",
            images.region.rows, images.region.cols, options.window
        ),
    );
    for (name, taken) in &queue.kernels {
        let counted = INSTRUCTIONS_PER_SAMPLE.iter().find(|(of, _)| of == name).map(|(_, n)| n);
        let of_limit = counted.zip(limits).map(|(n, l)| samples * n / 32.0 / taken.seconds / l.issues_per_second);
        section.row(json!({
            "kernel": name,
            "launches": taken.launches,
            "seconds": taken.seconds,
            "share": taken.seconds / all,
            "gsamples_per_s": counted.map(|_| samples / taken.seconds * 1e-9),
            "of_issue_limit": of_limit,
        }));
    }
    section.row(json!({
        "kernel": "all",
        "launches": queue.kernels.values().map(|k| k.launches).sum::<usize>(),
        "seconds": all,
        "share": 1.0,
        "gsamples_per_s": samples / all * 1e-9,
        "of_issue_limit": null,
    }));
    section.remark(format!(
        "Copied in {:.1} MB, out {:.1} MB; wall-clock {wall:.4} s with a wait after every kernel.",
        queue.bytes_in as f64 * 1e-6,
        queue.bytes_out as f64 * 1e-6
    ));
    if let Some(l) = limits {
        section.remark(format!(
            "Limits by the device's clocks: {:.0} MHz, {:.0} G warp instructions/s, {:.0} GB/s of memory.",
            l.clock_hz * 1e-6,
            l.issues_per_second * 1e-9,
            l.memory_bytes_per_second * 1e-9
        ));
    }
    Ok(section)
}

/// A whole scene through the engine, on each choice of devices and on the processor.
fn end_to_end(
    method: &dyn Method,
    values: &Values,
    scene: &RepeatedScene,
    devices: &[Arc<dyn Device>],
    options: &Options<'_>,
) -> Result<Section, Failure> {
    let info = scene.info();
    let mut section = Section::new(
        "gpu_scene",
        format!(
            "{}, {} x {} x {BANDS}, window {}, from memory to memory; wall-clock seconds",
            method.info().label,
            info.rows,
            info.cols,
            options.window
        ),
    );
    let context = Context::new(ContextOptions {
        threads: options.threads,
        memory: MemorySize(Some(16 << 30)),
        ..ContextOptions::default()
    })?;
    let run = |scene: &RepeatedScene, device: &DeviceChoice| -> Result<f64, Failure> {
        let mut sink = SumSink::default();
        let request = SceneRequest { method, values, device, support: false, tile_px: None, held_bytes: 0 };
        fuse_scene(&request, scene, &mut sink, &context, &mut |_, _| true)?;
        Ok(sink.sum)
    };
    let planes = info.bands * (2 * info.pairs.len() + 2);
    let bytes = (info.rows * info.cols * planes * 4) as f64;
    let samples = |rows: usize| {
        let along = |n: usize| window_samples(n, options.window).sqrt();
        along(rows) * along(info.cols) * (BANDS * info.pairs.len()) as f64
    };
    let mut choices = vec![DeviceChoice::Cuda(vec![0])];
    if devices.len() > 1 {
        choices.push(DeviceChoice::Cuda((0..devices.len()).collect()));
    }
    let mut fastest_gpu = f64::INFINITY;
    for choice in choices {
        let (_, seconds) = fastest(options.repeat, || run(scene, &choice))?;
        fastest_gpu = fastest_gpu.min(seconds.wall);
        section.row(json!({
            "device": choice.to_string(),
            "rows": info.rows,
            "seconds": seconds.wall,
            "cpu": seconds.cpu,
            "gsamples_per_s": samples(info.rows) / seconds.wall * 1e-9,
            "gb_per_s": bytes / seconds.wall * 1e-9,
            "x_cpu": null,
        }));
    }
    // the processor computes some rows only, which is enough: its time is linear in pixels
    let rows = (info.rows / options.cpu_part.max(1)).max(options.window);
    let part = RepeatedScene::new(rows, info.cols, info.pairs.len());
    let (_, seconds) = fastest(1, || run(&part, &DeviceChoice::Cpu))?;
    let whole = seconds.wall * samples(info.rows) / samples(rows);
    section.row(json!({
        "device": format!("cpu, {} threads", context.threads()),
        "rows": rows,
        "seconds": seconds.wall,
        "cpu": seconds.cpu,
        "gsamples_per_s": samples(rows) / seconds.wall * 1e-9,
        "gb_per_s": bytes * rows as f64 / info.rows as f64 / seconds.wall * 1e-9,
        "x_cpu": whole / fastest_gpu,
    }));
    section.remark("gb_per_s: bytes of the images in and out, over the time. x_cpu: time of the processor for the whole scene, by samples, over that of the fastest choice of GPUs.");
    Ok(section)
}
