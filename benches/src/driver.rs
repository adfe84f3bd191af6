//! A job read through the GDAL driver beside the same job run by `fuse`, and looked at from afar.

use gdal::raster::RasterCreationOptions;
use gdal::{Dataset, DriverManager};
use serde_json::json;
use stfusion_engine::Job;

use crate::clock::{fastest, Seconds};
use crate::files::{Files, Run};
use crate::memory::workplace;
use crate::record::Section;
use crate::starfm::context;
use crate::Failure;

/// Memory budget of both.
const MIB: usize = 4096;
/// How much smaller the view from afar is.
const ZOOM: usize = 16;
/// Both write the same file: tiled, not compressed.
const OPTIONS: [&str; 4] = ["TILED=YES", "COMPRESS=NONE", "BLOCKXSIZE=256", "BLOCKYSIZE=256"];

/// The table of `stfusion-bench driver`; `plugins` is the folder with `gdal_STFUSION.so`, unless GDAL knows it already.
pub fn section(run: &Run, side: usize, repeat: usize, plugins: Option<&str>, folder: Option<&str>) -> Result<Section, Failure> {
    if let Some(plugins) = plugins {
        gdal::config::set_config_option("GDAL_DRIVER_PATH", plugins)?;
    }
    DriverManager::get_driver_by_name("STFUSION")
        .map_err(|_| "GDAL has no driver STFUSION: build it (docs/gdal.md) and name its folder with --plugins")?;
    let (folder, _guard) = workplace(folder)?;
    let files = Files::write(&folder, side)?;
    let name = |stem: &str| folder.join(stem).to_string_lossy().into_owned();
    let mut content = files.job(run, &name("prediction.tif"), MIB);
    content["output"]["creation_options"] = json!(OPTIONS);
    let job_file = name("driver.stf");
    std::fs::write(&job_file, content.to_string())?;
    let job = Job::from_json(&content.to_string(), None)?;
    let context = context(run.threads)?;

    let mut best: [Option<Seconds>; 4] = [None; 4];
    for _ in 0..repeat.max(1) {
        let (view, opening) = fastest(1, || Dataset::open(&job_file))?;
        let rounds = [
            fastest(1, || stfusion_engine::fuse(&job, &context, &mut |_, _| true).map(|_| ()).map_err(Failure::from))?.1,
            fastest(1, || copy(&job_file, &name("copy.tif")))?.1,
            opening,
            fastest(1, || look(&view))?.1,
        ];
        for (best, seconds) in best.iter_mut().zip(rounds) {
            *best = Some(best.map_or(seconds, |b| b.fastest(seconds)));
        }
    }
    let mut section = Section::new("driver", format!("{}, fastest of {repeat} alternating runs; seconds", run.describe(side)));
    if let [Some(fuse), Some(driver), Some(opening), Some(view)] = best {
        section.row(json!({ "what": "fuse", "wall": fuse.wall, "cpu": fuse.cpu }));
        section.row(json!({
            "what": "copy through the driver", "wall": driver.wall, "cpu": driver.cpu,
            "wall_of_fuse": driver.wall / fuse.wall, "cpu_of_fuse": driver.cpu / fuse.cpu,
        }));
        section.row(json!({ "what": "open", "wall": opening.wall, "cpu": opening.cpu }));
        section.row(json!({
            "what": format!("view at 1/{ZOOM}"), "wall": view.wall, "cpu": view.cpu,
            "full_of_view": driver.wall / view.wall, "cpu_full_of_view": driver.cpu / view.cpu,
        }));
    }
    section.remark(
        "fuse and the copy (open the job, GDALCreateCopy) write the same uncompressed GeoTIFF. The view reads the whole image of a job that \
         was opened just now into a buffer of a sixteenth of its width and height. full_of_view: how many times faster than the copy it is.",
    );
    for stem in ["prediction.tif", "prediction.tif.stf", "copy.tif"] {
        std::fs::remove_file(name(stem))?;
    }
    Ok(section)
}

fn copy(job: &str, to: &str) -> Result<(), Failure> {
    let driver = DriverManager::get_driver_by_name("GTiff")?;
    let source = Dataset::open(job)?;
    source.create_copy(&driver, to, &RasterCreationOptions::from_iter(OPTIONS))?.close()?;
    Ok(())
}

fn look(source: &Dataset) -> Result<(), Failure> {
    let (cols, rows) = source.raster_size();
    for band in 1..=source.raster_count() {
        source.rasterband(band)?.read_as::<i16>((0, 0), (cols, rows), (cols / ZOOM, rows / ZOOM), None)?;
    }
    Ok(())
}
