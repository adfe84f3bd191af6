//! The landscape of [`crate::images`] as files, and jobs over them.

use std::path::Path;

use gdal::raster::{Buffer, RasterCreationOptions};
use gdal::spatial_ref::SpatialRef;
use gdal::DriverManager;
use ndarray::ArrayView3;
use stfusion_scene::{to_int16, NODATA, SCALE};

use crate::images::{RepeatedScene, BANDS, DAYS, RATIO, SIDE, TARGET};
use crate::Failure;

/// Names of the files of a job with one pair.
#[derive(Debug, Clone)]
pub struct Files {
    /// Fine image of the pair.
    pub fine: String,
    /// Coarse image of the pair.
    pub coarse: String,
    /// Coarse image of the target day.
    pub target: String,
}

impl Files {
    /// Writes the repeated landscape as tiled, compressed GeoTIFFs (int16, scale 0.0001): `side` x `side` fine pixels of 30 m and
    /// coarse pixels of 600 m. Files that are there already are kept.
    pub fn write(folder: &Path, side: usize) -> Result<Files, Failure> {
        let scene = RepeatedScene::new(SIDE, SIDE, 1);
        let name = |what: &str| folder.join(format!("{what}_{side}.tif")).to_string_lossy().into_owned();
        let files = Files { fine: name("fine_20220509"), coarse: name("coarse_20220509"), target: name("coarse_20220712") };
        write_repeated(&files.fine, to_int16(scene.fine[0].view()).view(), side, 30.0)?;
        for (path, k) in [(&files.coarse, 0), (&files.target, TARGET)] {
            write_repeated(path, to_int16(scene.coarse[k].view()).view(), side.div_ceil(RATIO), 30.0 * RATIO as f64)?;
        }
        Ok(files)
    }

    /// The job (JSON) that predicts the target day into `output`.
    pub fn job(&self, run: &Run, output: &str, mib: usize) -> serde_json::Value {
        let (pair, target) = (DAYS[0], DAYS[TARGET]);
        let day = |(y, m, d): (i32, u32, u32)| format!("{y:04}-{m:02}-{d:02}");
        let mut parameters = if run.has_window() { serde_json::json!({ "window": run.window }) } else { serde_json::json!({}) };
        if let Some(weights) = &run.weights {
            parameters["weights"] = weights.as_str().into();
        }
        serde_json::json!({
            "stfusion": stfusion_engine::JOB_FORMAT,
            "method": run.method,
            "parameters": parameters,
            "pairs": [{ "date": day(pair), "fine": self.fine, "coarse": self.coarse }],
            "target": { "date": day(target), "coarse": self.target },
            "output": { "path": output, "overwrite": true },
            "memory": format!("{mib}MiB"),
            "threads": run.threads,
        })
    }
}

/// What runs, and how.
#[derive(Debug, Clone)]
pub struct Run {
    /// Id of the method.
    pub method: String,
    /// Window in fine pixels, for methods that have one.
    pub window: usize,
    /// Number of threads.
    pub threads: usize,
    /// The file of a network's weights.
    pub weights: Option<String>,
}

impl Run {
    fn has_window(&self) -> bool {
        stfusion_methods::by_id(&self.method).is_ok_and(|m| m.info().parameters.iter().any(|p| p.id == "window"))
    }

    /// Method, size, window and threads, for titles.
    pub fn describe(&self, side: usize) -> String {
        let window = if self.has_window() { format!(", window {}", self.window) } else { String::new() };
        format!("{}, one pair, {side} x {side} x {BANDS}{window}, {} threads", self.method, self.threads)
    }
}

fn write_repeated(path: &str, tile: ArrayView3<'_, i16>, side: usize, pixel_m: f64) -> Result<(), Failure> {
    if Path::new(path).exists() {
        return Ok(());
    }
    let partial = format!("{path}.partial");
    let options =
        RasterCreationOptions::from_iter(["TILED=YES", "COMPRESS=DEFLATE", "ZLEVEL=1", "PREDICTOR=2", "BIGTIFF=IF_SAFER"]);
    let driver = DriverManager::get_driver_by_name("GTiff")?;
    let mut file = driver.create_with_band_type_with_options::<i16, _>(&partial, side, side, BANDS, &options)?;
    file.set_geo_transform(&[500_000.0, pixel_m, 0.0, 5_340_000.0, 0.0, -pixel_m])?;
    file.set_spatial_ref(&SpatialRef::from_epsg(32633)?)?;
    const ROWS: usize = 256;
    let (_, tile_rows, tile_cols) = tile.dim();
    for row in (0..side).step_by(ROWS) {
        let rows = ROWS.min(side - row);
        for band in 0..BANDS {
            let at = |i: usize| tile[[band, (row + i / side) % tile_rows, i % side % tile_cols]];
            let mut buffer = Buffer::new((side, rows), (0..rows * side).map(at).collect::<Vec<i16>>());
            file.rasterband(band + 1)?.write((0, row as isize), (side, rows), &mut buffer)?;
        }
    }
    for band in 1..=BANDS {
        let mut band = file.rasterband(band)?;
        band.set_no_data_value(Some(f64::from(NODATA)))?;
        band.set_scale(SCALE)?;
    }
    file.close()?;
    std::fs::rename(&partial, path)?;
    Ok(())
}
