//! Networks through the engine and the command line: weights as files, tiles, threads, budgets, reading on demand, mistakes.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use gdal::Dataset;
use stfusion_core::source::{ImageSource, Resampling};
use stfusion_core::{ErrorKind, Region};
use stfusion_engine::{Context, ContextOptions, Job, MemorySize, OnDemand, Part, Product};
use stfusion_methods::networks::cases;
use stfusion_nn::weights::metadata::{CoarseGrid, Metadata};

const SIDE: usize = 200;
const BANDS: usize = 6;

struct Place {
    folder: tempfile::TempDir,
    job: Job,
}

/// A generated scene with two pairs, and the job that runs a network with the weights of tests on it.
fn place(method: &str) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scene");
    let arguments = ["stfusion", "demo", path.to_str().unwrap(), "--two-pairs", "--size", "200", "-q"];
    assert_eq!(stfusion_cli::run(arguments.map(OsString::from)), 0);
    let text = std::fs::read_to_string(path.join("job.stf")).unwrap();
    let mut job = Job::from_json(&text, Some(&path)).unwrap();
    job.method = method.into();
    job.parameters.clear();
    let weights = folder.path().join("w.safetensors");
    std::fs::write(&weights, cases::weights_with(method, BANDS, cases::description()).unwrap()).unwrap();
    job.set_parameter("weights", weights.to_str().unwrap()).unwrap();
    if method == "diffstsf" {
        job.set_parameter("steps", "2").unwrap();
        for pair in &mut job.pairs {
            // a band of the fine image stands for a panchromatic one
            pair.pan = Some(ImageSource { bands: Some(vec![2]), ..pair.fine.clone() });
        }
    }
    Place { folder, job }
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The pixels of a run with so many threads and so much memory.
    fn fused(&self, name: &str, threads: usize, mib: u64) -> Vec<f64> {
        let mut job = self.job.clone();
        (job.threads, job.memory) = (threads, MemorySize(Some(mib << 20)));
        let output = job.output.get_or_insert_default();
        (output.path, output.support) = (self.path(name).to_string_lossy().into_owned(), None);
        let context = Context::new(ContextOptions::default()).unwrap();
        stfusion_engine::fuse(&job, &context, &mut |_, _| true).unwrap();
        pixels(&self.path(name))
    }
}

fn pixels(path: &Path) -> Vec<f64> {
    let dataset = Dataset::open(path).unwrap();
    let size = dataset.raster_size();
    let band = |n| dataset.rasterband(n).unwrap().read_as::<f64>((0, 0), size, size, None).unwrap().data().to_vec();
    (1..=dataset.raster_count()).flat_map(band).collect()
}

#[test]
fn tiles_threads_and_memory_do_not_change_a_pixel() {
    for method in ["edcstfn", "stfnet", "rcan_fsdaf", "diffstsf"] {
        let place = place(method);
        let all = place.fused("a.tif", 2, 1024);
        let distinct = all.iter().map(|v| v.to_bits()).collect::<std::collections::HashSet<_>>().len();
        assert!(distinct > 500, "{method}: an image");
        assert!(all == place.fused("b.tif", 1, 64), "{method}: one thread and little memory");
        let of = OnDemand::open(&place.job, ContextOptions::default()).unwrap();
        let nodata = of.spec(Product::Prediction).nodata;
        let mut blocks = 0;
        let region = Region::new(150, 60, 50, 90);
        of.read(Part { product: Product::Prediction, level: 0, region }, &mut |_, _| true, &mut |block| {
            blocks += 1;
            let values: Vec<f64> =
                block.bands[0].as_bytes().chunks_exact(2).map(|b| f64::from(i16::from_ne_bytes([b[0], b[1]]))).collect();
            for (i, value) in values.into_iter().enumerate() {
                let (row, col) = (block.region.row + i / block.region.cols, block.region.col + i % block.region.cols);
                let expected = all[row * SIDE + col];
                assert!(
                    value == expected || (expected.is_nan() && value == nodata),
                    "{method} at {row}, {col}: {value}, not {expected}"
                );
            }
            Ok(())
        })
        .unwrap();
        assert!(blocks > 0);
        // seen from afar it is another run at that resolution
        let (last, half) = (of.resolutions().len() - 1, of.resolutions()[1]);
        assert!(last >= 1 && half.rows == SIDE / 2);
        let whole = Region::whole(half.rows, half.cols);
        of.read(Part { product: Product::Prediction, level: 1, region: whole }, &mut |_, _| true, &mut |_| Ok(())).unwrap();
    }
}

#[test]
fn mistakes_with_weights_are_named_and_leave_no_file() {
    let place = place("edcstfn");
    let context = Context::new(ContextOptions::default()).unwrap();
    let refused = |change: &dyn Fn(&mut Job)| {
        let mut job = place.job.clone();
        job.output.get_or_insert_default().path = place.path("never.tif").to_string_lossy().into_owned();
        change(&mut job);
        let error = stfusion_engine::fuse(&job, &context, &mut |_, _| true).unwrap_err();
        assert!(!place.path("never.tif").exists());
        error
    };
    let error = refused(&|job| job.parameters.clear());
    assert_eq!((error.kind(), error.message()), (ErrorKind::Parameter, "EDCSTFN needs weights"));
    let error = refused(&|job| job.set_parameter("weights", "/no/such/file.safetensors").unwrap());
    assert_eq!(error.message(), "Weights /no/such/file.safetensors: No such file or directory");
    let three = place.path("three.safetensors");
    std::fs::write(&three, cases::weights_with("edcstfn", 3, cases::description()).unwrap()).unwrap();
    let error = refused(&|job| job.set_parameter("weights", three.to_str().unwrap()).unwrap());
    assert!(error.message().contains("three.safetensors with images of 6 bands: "), "{error}");
    assert!(error.message().contains("encoder.0.1.weight is [3, 3, 3, 3], not [3, 6, 3, 3]"), "{error}");
    let error = refused(&|job| job.memory = MemorySize(Some(1 << 20)));
    assert_eq!(error.kind(), ErrorKind::Memory);
}

#[test]
fn coarse_images_are_resampled_as_in_training_unless_the_job_says_otherwise() {
    let place = place("edcstfn");
    let description = Metadata { coarse: Some(CoarseGrid::Fine { resampling: Resampling::Cubic }), ..cases::description() };
    std::fs::write(place.path("w.safetensors"), cases::weights_with("edcstfn", BANDS, description).unwrap()).unwrap();
    let run = |used: Option<Resampling>| {
        let mut job = place.job.clone();
        job.grid.coarse_resampling = used;
        let output = job.output.get_or_insert_default();
        (output.path, output.support, output.overwrite) = (place.path("w.tif").to_string_lossy().into_owned(), None, true);
        let context = Context::new(ContextOptions::default()).unwrap();
        let report = stfusion_engine::fuse(&job, &context, &mut |_, _| true).unwrap();
        let record = std::fs::read_to_string(place.path("w.tif.stf")).unwrap();
        let warnings: Vec<_> = report.warnings.into_iter().filter(|w| w.contains("trained")).collect();
        (pixels(&place.path("w.tif")), record, warnings)
    };
    let (trained, record, warnings) = run(None);
    assert_eq!(warnings, [""; 0]);
    assert!(record.contains("\"coarse_resampling\": \"cubic\""), "{record}");
    let (cubic, _, warnings) = run(Some(Resampling::Cubic));
    assert_eq!(warnings, [""; 0]);
    assert_eq!(cubic, trained);
    let (bilinear, _, warnings) = run(Some(Resampling::Bilinear));
    assert_ne!(bilinear, trained);
    assert_eq!(
        warnings,
        ["The network was trained with coarse images resampled by cubic interpolation; this job resamples them by bilinear (leave grid.coarse_resampling out, or set it to cubic)"]
    );
}

#[test]
fn the_command_line_takes_weights_by_their_own_option() {
    let place = place("edcstfn");
    let run =
        |arguments: &[&str]| stfusion_cli::run(std::iter::once("stfusion").chain(arguments.iter().copied()).map(OsString::from));
    let name = |file: &str| place.path(file).to_string_lossy().into_owned();
    let (job, out) = (name("scene/job.stf"), name("out.tif"));
    assert_eq!(run(&["fuse", &job, "-m", "edcstfn", "--weights", &name("w.safetensors"), "-o", &out, "-q"]), 0);
    assert_eq!(pixels(Path::new(&out)), place.fused("same.tif", 2, 1024));
    let record = std::fs::read_to_string(format!("{out}.stf")).unwrap();
    assert!(record.contains("\"licence of the weights\": \"CC0-1.0\""), "{record}");
}
