//! Predictions on demand against the files that `fuse` writes, for every method of the registry: the same bits, whatever is
//! read first; overviews; threads; stopping; images that disappear.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

use gdal::Dataset;
use stfusion_core::{ErrorKind, Region};
use stfusion_engine::{Context, ContextOptions, Job, MemorySize, OnDemand, Part, Product};

const SIDE: usize = 300;

/// The folder and the job of a generated scene: two pairs, masks, `method` with a small window if it has one.
fn demo(method: &str) -> (tempfile::TempDir, Job) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scene");
    let arguments = ["stfusion", "demo", path.to_str().unwrap(), "--two-pairs", "--size", "300", "-q"];
    assert_eq!(stfusion_cli::run(arguments.map(OsString::from)), 0);
    let text = std::fs::read_to_string(path.join("job.stf")).unwrap();
    let mut job = Job::from_json(&text, Some(&path)).unwrap();
    job.method = method.into();
    job.parameters.clear();
    if stfusion_methods::by_id(method).unwrap().info().parameters.iter().any(|p| p.id == "window") {
        job.set_parameter("window", "21").unwrap();
    }
    job.memory = MemorySize(Some(256 << 20));
    job.threads = 2;
    (folder, job)
}

fn open(job: &Job) -> OnDemand {
    OnDemand::open(job, ContextOptions::default()).unwrap()
}

fn stored(path: &str) -> Vec<f64> {
    let dataset = Dataset::open(Path::new(path)).unwrap();
    let size = dataset.raster_size();
    let band = |n| dataset.rasterband(n).unwrap().read_as::<f64>((0, 0), size, size, None).unwrap().data().to_vec();
    (1..=dataset.raster_count()).flat_map(band).collect()
}

/// Pixels of a product as numbers, (band, row, col), read part by part in the order of `parts`.
fn read(of: &OnDemand, product: Product, level: usize, parts: &[Region]) -> Vec<f64> {
    let size = of.resolutions()[level];
    let spec = of.spec(product);
    let mut out = vec![f64::INFINITY; spec.bands.len() * size.rows * size.cols];
    for &region in parts {
        let mut seen = HashMap::new();
        of.read(Part { product, level, region }, &mut |_, _| true, &mut |block| {
            *seen.entry((block.region.row, block.region.col)).or_insert(0) += 1;
            for (band, values) in block.bands.iter().enumerate() {
                for (i, value) in numbers(&spec.data_type, values.as_bytes()).into_iter().enumerate() {
                    let (row, col) = (block.region.row + i / block.region.cols, block.region.col + i % block.region.cols);
                    out[(band * size.rows + row) * size.cols + col] = value;
                }
            }
            Ok(())
        })
        .unwrap();
        assert!(seen.values().all(|&n| n == 1), "each block once: {seen:?}");
    }
    out
}

fn numbers(data_type: &str, bytes: &[u8]) -> Vec<f64> {
    match data_type {
        "Int16" => bytes.chunks_exact(2).map(|b| f64::from(i16::from_ne_bytes([b[0], b[1]]))).collect(),
        "Float32" => bytes.chunks_exact(4).map(|b| f64::from(f32::from_ne_bytes([b[0], b[1], b[2], b[3]]))).collect(),
        other => panic!("{other}"),
    }
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn every_method_gives_the_pixels_that_fuse_writes() {
    for method in stfusion_methods::all().iter().filter(|m| m.info().required_file().is_none()) {
        let id = method.info().id;
        let (folder, mut job) = demo(id);
        if method.info().max_pairs.is_some_and(|most| most < job.pairs.len()) {
            job.pairs.truncate(method.info().max_pairs.unwrap());
        }
        let name = |stem: &str| folder.path().join(stem).to_string_lossy().into_owned();
        let output = job.output.get_or_insert_default();
        (output.path, output.support) = (name("out.tif"), Some(name("support.tif")));
        let context = Context::new(ContextOptions::default()).unwrap();
        stfusion_engine::fuse(&job, &context, &mut |_, _| true).unwrap();
        let of = open(&job);
        // the lower right first, then a row of blocks across it, then everything
        let parts = [Region::new(SIDE - 1, SIDE - 1, 1, 1), Region::new(200, 0, 100, SIDE), Region::whole(SIDE, SIDE)];
        let prediction = read(&of, Product::Prediction, 0, &parts);
        assert_eq!(bits(&prediction), bits(&stored(&name("out.tif"))), "{id}");
        let support = read(&of, Product::Support, 0, &parts[2..]);
        assert_eq!(bits(&support), bits(&stored(&name("support.tif"))), "{id}");
    }
}

#[test]
fn an_overview_is_made_of_the_pixels_in_the_middle_of_its_own() {
    let (_folder, job) = demo("nearest_pair");
    let of = open(&job);
    let sizes: Vec<_> = of.resolutions().iter().map(|r| (r.factor, r.rows, r.cols)).collect();
    assert_eq!(sizes, [(1, SIDE, SIDE), (2, 150, 150), (4, 75, 75), (8, 38, 38)]);
    let full = read(&of, Product::Prediction, 0, &[Region::whole(SIDE, SIDE)]);
    let half = read(&of, Product::Prediction, 1, &[Region::whole(150, 150)]);
    for (i, value) in half.iter().enumerate() {
        let (band, row, col) = (i / (150 * 150), i / 150 % 150, i % 150);
        assert_eq!(*value, full[(band * SIDE + 2 * row + 1) * SIDE + 2 * col + 1], "band {band}, row {row}, column {col}");
    }
}

#[test]
fn an_overview_of_a_window_method_is_close_to_the_prediction() {
    let (_folder, job) = demo("starfm");
    let of = open(&job);
    let full = read(&of, Product::Prediction, 0, &[Region::whole(SIDE, SIDE)]);
    let half = read(&of, Product::Prediction, 1, &[Region::whole(150, 150)]);
    let nodata = of.spec(Product::Prediction).nodata;
    let (mut sum, mut change, mut count) = (0.0, 0.0, 0.0);
    for (i, value) in half.iter().enumerate() {
        let (band, row, col) = (i / (150 * 150), i / 150 % 150, i % 150);
        let at = |r: usize, c: usize| full[(band * SIDE + r) * SIDE + c];
        let (here, beside) = (at(2 * row + 1, 2 * col + 1), at((2 * row + 41) % SIDE, 2 * col + 1));
        if ![*value, here, beside].contains(&nodata) {
            sum += (value - here).abs();
            change += (beside - here).abs();
            count += 1.0;
        }
    }
    assert!(
        count > 100_000.0 && sum < 0.25 * change,
        "{} against {} between places 20 pixels apart",
        sum / count,
        change / count
    );
}

#[test]
fn threads_that_read_the_same_parts_get_the_same_pixels() {
    let (_folder, mut job) = demo("starfm");
    let expected = bits(&read(&open(&job), Product::Prediction, 0, &[Region::whole(SIDE, SIDE)]));
    // room for a few blocks only
    job.memory = MemorySize(Some(32 << 20));
    let of = open(&job);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|k| {
                let of = &of;
                scope.spawn(move || {
                    let mut parts = Region::whole(SIDE, SIDE).blocks(70, 90);
                    parts.rotate_left(3 * k);
                    bits(&read(of, Product::Prediction, 0, &parts))
                })
            })
            .collect();
        for reader in readers {
            assert!(reader.join().unwrap() == expected);
        }
    });
}

#[test]
fn a_read_that_was_stopped_can_be_repeated() {
    let (_folder, mut job) = demo("starfm");
    job.set_parameter("window", "101").unwrap();
    job.threads = 1;
    let of = open(&job);
    let part = Part { product: Product::Prediction, level: 0, region: Region::whole(SIDE, SIDE) };
    let error = of.read(part, &mut |_, _| false, &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let mut blocks = 0;
    of.read(part, &mut |_, _| true, &mut |_| {
        blocks += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(blocks, 300usize.div_ceil(of.block_px()).pow(2));
}

#[test]
fn rows_below_those_that_were_read_are_ready() {
    let (_folder, mut job) = demo("starfm");
    job.set_parameter("window", "101").unwrap();
    job.threads = 1;
    let of = open(&job);
    let side = of.block_px();
    let rows = |first: usize| {
        let region = Region::new(first, 0, side.min(SIDE - first), SIDE);
        Part { product: Product::Prediction, level: 0, region }
    };
    let mut taken = Vec::new();
    let mut take = |block: &std::sync::Arc<stfusion_engine::Block>| {
        taken.push((block.region.row, block.region.col));
        Ok(())
    };
    of.read(rows(0), &mut |_, _| true, &mut take).unwrap();
    // computing anything would be stopped
    of.read(rows(side), &mut |_, _| false, &mut take).unwrap();
    let error = of.read(rows(2 * side), &mut |_, _| false, &mut take).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    taken.sort_unstable();
    let expected: Vec<_> = (0..2).flat_map(|j| (0..SIDE.div_ceil(side)).map(move |i| (j * side, i * side))).collect();
    assert_eq!(taken, expected);
}

#[test]
fn an_image_that_disappeared_is_named() {
    let (folder, job) = demo("coarse_increment");
    let of = open(&job);
    std::fs::remove_dir_all(folder.path().join("scene")).unwrap();
    let part = Part { product: Product::Prediction, level: 0, region: Region::whole(SIDE, SIDE) };
    let error = of.read(part, &mut |_, _| true, &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Read);
    assert!(error.message().ends_with("no such file"), "{error}");
}
