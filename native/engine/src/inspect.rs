//! What a job or an image is, without running anything.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value as Json;
use stfusion_core::method::{Request, Scene};
use stfusion_core::source::ImageSource;
use stfusion_core::{Cancel, Date, Grid, Result};
use stfusion_raster::Alignment;

use crate::context::Context;
use crate::fuse::{open, Opened};
use crate::job::Job;
use crate::named_files::with_contents;
use crate::tiles::{tiling, Workers};

/// One band of an image, described.
#[derive(Debug, Clone, Serialize)]
pub struct BandDescription {
    /// Name, empty when it has none.
    pub name: String,
    /// GDAL's name of the stored type.
    pub data_type: String,
    /// Stored values that mean nodata.
    pub nodata: Vec<f64>,
    /// Factor from stored to unscaled values.
    pub scale: f64,
    /// Summand after `scale`.
    pub offset: f64,
    /// Centre wavelength in micrometres.
    pub wavelength_um: Option<f64>,
}

/// An image, described.
#[derive(Debug, Clone, Serialize)]
pub struct ImageDescription {
    /// Names it was opened from.
    pub paths: Vec<String>,
    /// GDAL's short name of the driver.
    pub driver: String,
    /// Size, place and CRS.
    pub grid: Grid,
    /// Day found in metadata or name.
    pub date: Option<Date>,
    /// The bands.
    pub bands: Vec<BandDescription>,
}

/// What running a job would mean.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// Id of the method.
    pub method: String,
    /// Parameters, defaults included.
    pub parameters: Json,
    /// The fine image of the first pair: grid and bands of the output.
    pub output: ImageDescription,
    /// How the coarse images lie on the fine grid: those of the pairs, then the target's.
    pub alignments: Vec<Alignment>,
    /// Fine pixels per coarse-pixel side.
    pub scale: Option<f64>,
    /// Dates of the pairs.
    pub pair_dates: Vec<Option<Date>>,
    /// Date of the target.
    pub target_date: Option<Date>,
    /// Number of tiles and their side in fine pixels.
    pub tiles: (usize, usize),
    /// Estimated memory in bytes.
    pub memory_bytes: u64,
    /// Threads that would compute.
    pub threads: usize,
    /// Device that would compute: `cpu`, or GPUs by number and name.
    pub device: String,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Opens and checks everything a job names, plans its tiles, and computes nothing.
///
/// # Errors
/// Those that `fuse` would have before its first tile, except those of the output.
pub fn inspect(job: &Job, context: &Context) -> Result<Inspection> {
    let own = context.for_job(job.threads, job.memory)?;
    let context = own.as_ref().unwrap_or(context);
    job.check_complete()?;
    let method = job.method()?;
    let values = with_contents(&job.values()?, method.info().parameters)?;
    job.device.check()?;
    let Opened { scene, warnings, .. } = open(job, &values, &Cancel::new())?;
    let info = scene.info();
    let plan = method.plan(&Request { values: &values, scene: info })?;
    let support = job.output.as_ref().is_some_and(|o| o.support.is_some());
    let processors = job.device.for_plan(method.info(), plan.as_ref(), info, context.log())?;
    let tiling = tiling(
        info,
        &Workers::new(&processors, plan.cost(), context.threads()),
        support,
        context.memory(),
        scene.held_bytes() as u64 + context.gdal_cache_bytes(),
        None,
    )?;
    Ok(Inspection {
        method: method.info().id.into(),
        parameters: values.to_json(method.info().parameters),
        output: described(scene.fine_info()),
        alignments: scene.alignments().to_vec(),
        scale: info.scale,
        pair_dates: info.pairs.iter().map(|p| p.date).collect(),
        target_date: info.target_date,
        tiles: (tiling.tiles.len(), tiling.side_px),
        memory_bytes: tiling.bytes,
        threads: context.threads(),
        device: processors.name(),
        warnings,
    })
}

/// Describes an image.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Read`] when it cannot be opened.
pub fn describe_image(source: &ImageSource) -> Result<ImageDescription> {
    Ok(described(&stfusion_raster::describe(source)?))
}

fn described(info: &stfusion_raster::ImageInfo) -> ImageDescription {
    let band = |b: &stfusion_raster::BandInfo| BandDescription {
        name: b.description.clone(),
        data_type: b.data_type.clone(),
        nodata: b.nodata.clone(),
        scale: b.scale,
        offset: b.offset,
        wavelength_um: b.wavelength_um,
    };
    ImageDescription {
        paths: info.paths.clone(),
        driver: info.driver.clone(),
        grid: info.grid.clone(),
        date: info.date,
        bands: info.bands.iter().map(band).collect(),
    }
}

fn dated(date: Option<Date>) -> String {
    date.map_or_else(|| "date unknown".into(), |d| d.to_string())
}

impl ImageDescription {
    /// The description as a person would read it.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let Grid { rows, cols, .. } = self.grid;
        // writing to a String cannot fail
        let _ = writeln!(text, "Image: {} ({})", self.paths.join(", "), self.driver);
        let _ = writeln!(text, "Size: {cols} x {rows} pixels, {} bands, {}", self.bands.len(), dated(self.date));
        match (self.grid.transform, self.grid.pixel_size()) {
            (Some(t), Some((height, width))) => {
                let _ = writeln!(text, "Upper-left corner: {}, {}; pixel: {width} x {height}", t[0], t[3]);
            }
            _ => text.push_str("No georeference\n"),
        }
        if let Some(name) = self.grid.crs.as_deref().and_then(crs_name) {
            let _ = writeln!(text, "CRS: {name}");
        }
        for (k, b) in self.bands.iter().enumerate() {
            let _ = write!(
                text,
                "Band {}: {}{}",
                k + 1,
                if b.name.is_empty() { "" } else { b.name.as_str() },
                if b.name.is_empty() { "" } else { ", " }
            );
            let _ = write!(text, "{}, scale {}, offset {}", b.data_type, b.scale, b.offset);
            if !b.nodata.is_empty() {
                let _ = write!(text, ", nodata {}", b.nodata.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            }
            if let Some(um) = b.wavelength_um {
                let _ = write!(text, ", {um} um");
            }
            text.push('\n');
        }
        text
    }
}

/// The name in a WKT text: its first quoted string.
fn crs_name(wkt: &str) -> Option<&str> {
    wkt.split('"').nth(1).or(Some(wkt)).filter(|s| !s.is_empty())
}

impl Inspection {
    /// The inspection as a person would read it.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "Method: {} {}", self.method, self.parameters);
        let _ = writeln!(text, "Target: {}", dated(self.target_date));
        for (k, date) in self.pair_dates.iter().enumerate() {
            let gap = date.zip(self.target_date).map(|(d, t)| format!(" ({} days from the target)", t.days_until(d).abs()));
            let _ = writeln!(text, "Pair {}: {}{}", k + 1, dated(*date), gap.unwrap_or_default());
        }
        text.push_str("\nOutput grid, from the fine image of the first pair\n");
        text.push_str(&self.output.to_text());
        text.push_str("\nCoarse images\n");
        for alignment in &self.alignments {
            let _ = writeln!(text, "{alignment}");
        }
        if let Some(scale) = self.scale {
            let _ = writeln!(text, "Scale: {scale:.2} fine pixels per coarse pixel");
        }
        let _ = writeln!(
            text,
            "\nTiles: {} of at most {} x {} pixels on {} with {} threads, about {} MiB of memory",
            self.tiles.0,
            self.tiles.1,
            self.tiles.1,
            self.device,
            self.threads,
            self.memory_bytes.div_ceil(1 << 20)
        );
        for warning in &self.warnings {
            let _ = writeln!(text, "Warning: {warning}");
        }
        text
    }
}
