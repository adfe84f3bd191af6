//! The contract of `core::method` through the real engine, for every method in the registry: the result does not depend on
//! tiles or threads, and stopping and failing end a run in order. The invariants of single tiles are tested beside the methods.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::time::{Duration, Instant};

use ndarray::{Array3, ArrayView3, ArrayViewMut3, Axis};
use stfusion_core::memory::{MemoryPair, MemoryScene};
use stfusion_core::method::{ExtraImage, Layer, Method, Scene, SceneInfo};
use stfusion_core::param::Values;
use stfusion_core::{Date, Error, ErrorKind, Region, Result};
use stfusion_engine::{fuse_scene, Context, ContextOptions, DeviceChoice, MemorySink, Report, SceneRequest, Sink, SUPPORT_BANDS};
use stfusion_methods::cases;

const SHAPE: (usize, usize, usize) = (2, 150, 170);

fn date(text: &str) -> Option<Date> {
    Some(text.parse().unwrap())
}

/// A smooth image with detail, and invalid areas that cross the borders of tiles of 50 pixels.
fn image(seed: usize, holes: bool) -> Array3<f32> {
    Array3::from_shape_fn(SHAPE, |(b, r, c)| {
        let hole = holes && ((40..60).contains(&r) && (90..110).contains(&c) || (r + seed) % 61 == 50 && c % 7 == 3);
        let noise = ((r * 7919 + c * 104_729 + b * 31 + seed * 17) % 1009) as f32 / 1009.0;
        if hole {
            f32::NAN
        } else {
            0.2 + 0.1 * ((r / 12 + c / 9 + seed) % 3) as f32 + 0.05 * (b as f32) + 0.02 * noise
        }
    })
}

fn images() -> Vec<Array3<f32>> {
    vec![image(1, true), image(2, false), image(3, false), image(4, true), image(5, true)]
}

/// The images as a scene for a method; the first band of a fine image stands for a panchromatic one.
fn scene<'a>(images: &'a [Array3<f32>], method: &dyn Method) -> MemoryScene<'a> {
    let pan = method.info().accepts(ExtraImage::Panchromatic);
    let pair = |day, fine: &'_ usize, coarse: &'_ usize| MemoryPair {
        date: date(day),
        fine: images[*fine].view(),
        coarse: images[*coarse].view(),
        classes: None,
        objects: None,
        pan: pan.then(|| images[*fine].index_axis(Axis(0), 0)),
    };
    MemoryScene::new(
        vec![pair("2020-05-01", &0, &1), pair("2020-07-20", &3, &2)],
        date("2020-06-10"),
        images[4].view(),
        Some(10.0),
    )
    .unwrap()
}

fn context(threads: usize) -> Context {
    Context::new(ContextOptions { threads, ..ContextOptions::default() }).unwrap()
}

/// Values that keep the test fast: a small window for methods that have one.
fn values(method: &dyn Method) -> Values {
    let window = method.info().parameters.iter().any(|p| p.id == "window");
    cases::values_of(method, if window { &[("window", "21")] } else { &[] }).unwrap()
}

fn run(method: &dyn Method, scene: &dyn Scene, threads: usize, tile_px: Option<usize>) -> (Array3<f32>, Array3<f32>, Report) {
    let (bands, rows, cols) = SHAPE;
    let mut image = Array3::from_elem((bands, rows, cols), f32::NAN);
    let mut support = Array3::from_elem((SUPPORT_BANDS.len(), rows, cols), f32::NAN);
    let values = values(method);
    let request = SceneRequest { method, values: &values, device: &DeviceChoice::Cpu, support: true, tile_px, held_bytes: 0 };
    let mut sink = MemorySink { image: image.view_mut(), support: Some(support.view_mut()) };
    let report = fuse_scene(&request, scene, &mut sink, &context(threads), &mut |_, _| true).unwrap();
    (image, support, report)
}

fn bits(image: &Array3<f32>) -> Vec<u32> {
    image.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn tiles_and_threads_do_not_change_a_bit() {
    let images = images();
    for method in stfusion_methods::all().iter().filter(|m| cases::can_be_tried(**m)) {
        let scene = scene(&images, *method);
        let id = method.info().id;
        let (image, support, report) = run(*method, &scene, 1, Some(1000));
        assert!(report.predicted_fraction > 0.9 && report.predicted_fraction < 1.0, "{id}: {}", report.predicted_fraction);
        for threads in [1, 2, 5] {
            for tile_px in [Some(16), Some(50), Some(64), None] {
                let (other, other_support, _) = run(*method, &scene, threads, tile_px);
                assert!(bits(&image) == bits(&other), "{id}: {threads} threads, tiles {tile_px:?}: image");
                assert!(bits(&support) == bits(&other_support), "{id}: {threads} threads, tiles {tile_px:?}: support");
            }
        }
    }
}

#[test]
fn the_support_layer_does_not_change_the_prediction() {
    let images = images();
    for method in stfusion_methods::all().iter().filter(|m| cases::can_be_tried(**m)) {
        let scene = scene(&images, *method);
        let (with, _, _) = run(*method, &scene, 2, None);
        let mut without = Array3::from_elem(SHAPE, f32::NAN);
        let values = values(*method);
        let request = SceneRequest {
            method: *method,
            values: &values,
            device: &DeviceChoice::Cpu,
            support: false,
            tile_px: None,
            held_bytes: 0,
        };
        let mut sink = MemorySink { image: without.view_mut(), support: None };
        fuse_scene(&request, &scene, &mut sink, &context(2), &mut |_, _| true).unwrap();
        assert!(bits(&with) == bits(&without), "{}", method.info().id);
    }
}

#[test]
fn the_support_layer_says_what_a_prediction_stands_on() {
    let images = images();
    for method in stfusion_methods::all().iter().filter(|m| cases::can_be_tried(**m)) {
        let scene = scene(&images, *method);
        let id = method.info().id;
        let (image, support, _) = run(*method, &scene, 2, None);
        for ((_, r, c), v) in image.indexed_iter().filter(|((b, _, _), _)| *b == 0) {
            let at = |band: usize| support[(band, r, c)];
            if (0..SHAPE.0).all(|b| image[(b, r, c)].is_nan()) {
                assert!((0..4).all(|b| at(b).is_nan()), "{id}: support of an unpredicted pixel");
                continue;
            }
            assert!(v.is_finite() && at(0) >= 0.0 && (0.0..=1.0).contains(&at(1)), "{id} ({r}, {c})");
            let both = !images[0][(0, r, c)].is_nan() && !images[3][(0, r, c)].is_nan();
            assert_eq!((at(2), at(3)), if both { (40.0, 0.0) } else { (40.0, 1.0) }, "{id} ({r}, {c})");
        }
    }
}

/// A scene that fails after some reads.
struct Failing<'a>(MemoryScene<'a>, std::sync::atomic::AtomicUsize);

impl Scene for Failing<'_> {
    fn info(&self) -> &SceneInfo {
        self.0.info()
    }
    fn read(&self, layer: Layer, region: Region, out: ArrayViewMut3<'_, f32>) -> Result<()> {
        if self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 40 {
            return Err(Error::new(ErrorKind::Read, "f1.tif: block 7 is damaged"));
        }
        self.0.read(layer, region, out)
    }
}

/// A sink that fails after some tiles.
struct Full(usize);

impl Sink for Full {
    fn write(&mut self, _: Region, _: ArrayView3<'_, f32>, _: Option<ArrayView3<'_, f32>>) -> Result<()> {
        self.0 += 1;
        if self.0 > 3 {
            return Err(Error::new(ErrorKind::Write, "out.tif: the disk is full"));
        }
        Ok(())
    }
}

#[test]
fn a_failure_of_reading_or_writing_ends_the_run_with_its_own_message() {
    let images = images();
    for method in stfusion_methods::all().iter().filter(|m| cases::can_be_tried(**m)) {
        for threads in [1, 3] {
            let values = values(*method);
            let request = SceneRequest {
                method: *method,
                values: &values,
                device: &DeviceChoice::Cpu,
                support: false,
                tile_px: Some(16),
                held_bytes: 0,
            };
            let failing = Failing(scene(&images, *method), 0.into());
            let mut out = Array3::zeros(SHAPE);
            let mut sink = MemorySink { image: out.view_mut(), support: None };
            let error = fuse_scene(&request, &failing, &mut sink, &context(threads), &mut |_, _| true).unwrap_err();
            assert_eq!(error.message(), "f1.tif: block 7 is damaged");
            let error =
                fuse_scene(&request, &scene(&images, *method), &mut Full(0), &context(threads), &mut |_, _| true).unwrap_err();
            assert_eq!(error.message(), "out.tif: the disk is full");
        }
    }
}

/// A scene whose images are computed, so that it can be large, for runs that are stopped.
struct Endless(SceneInfo);

impl Scene for Endless {
    fn info(&self) -> &SceneInfo {
        &self.0
    }
    fn read(&self, layer: Layer, region: Region, mut out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let seed = if layer == Layer::Target { 3 } else { 1 };
        for ((b, r, c), v) in out.indexed_iter_mut() {
            *v = 0.1 + ((region.row + r) * 31 + (region.col + c) * 17 + b + seed) as f32 % 97.0 / 970.0;
        }
        Ok(())
    }
}

struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, _: Region, _: ArrayView3<'_, f32>, _: Option<ArrayView3<'_, f32>>) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_cancelled_run_ends_as_cancelled_and_progress_stays_on_the_calling_thread() {
    let images = images();
    let caller = std::thread::current().id();
    for method in stfusion_methods::all().iter().filter(|m| cases::can_be_tried(**m)) {
        let pairs = scene(&images, *method).info().pairs.clone();
        let info = SceneInfo { bands: 2, rows: 20_000, cols: 20_000, scale: Some(20.0), pairs, target_date: date("2020-06-10") };
        let values = values(*method);
        let request = SceneRequest {
            method: *method,
            values: &values,
            device: &DeviceChoice::Cpu,
            support: true,
            tile_px: None,
            held_bytes: 0,
        };
        let (start, mut last, mut calls) = (Instant::now(), 0.0, 0);
        let mut progress = |fraction: f64, _: &str| {
            assert_eq!(std::thread::current().id(), caller);
            assert!(fraction >= last, "{}: progress went back from {last} to {fraction}", method.info().id);
            last = fraction;
            calls += 1;
            start.elapsed() < Duration::from_millis(300)
        };
        let pairs = info.pairs[..method.info().min_pairs].to_vec();
        let error = fuse_scene(&request, &Endless(SceneInfo { pairs, ..info.clone() }), &mut Nowhere, &context(2), &mut progress)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{}: {error}", method.info().id);
        assert!(calls >= 2, "{}: {calls} calls", method.info().id);
    }
}
