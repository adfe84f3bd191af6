//! A job from files to files.

use std::time::Instant;

use ndarray::ArrayView3;
use serde_json::{json, Value as Json};
use stfusion_core::method::{MethodInfo, Scene, SceneInfo};
use stfusion_core::param::Values;
use stfusion_core::source::{GridOptions, OutputOptions};
use stfusion_core::{Cancel, Error, ErrorKind, Grid, Region, Result};
use stfusion_raster::{OutputSpec, RasterScene, SceneSource, Writer};

use crate::context::{Context, Progress};
use crate::job::Job;
use crate::named_files::{with_contents, write_artefacts, Pending};
use crate::pipeline::{fuse_scene, supervise, SceneRequest, Sink};
use crate::report::Report;
use crate::resampling::coarse_resampling;
use crate::support::SUPPORT_BANDS;

/// A pair further away than this is worth a warning: little of its detail may still hold.
const LONG_GAP_DAYS: i32 = 40;

/// Runs a job: reads its images, predicts the target day, writes the output, the support layer if one is named, and beside
/// the output a job file `<output>.stf` that repeats the run and says how it came about.
///
/// Nothing appears under the final names before it is complete.
///
/// # Errors
/// Every kind but [`ErrorKind::Argument`]; see [`ErrorKind`].
pub fn fuse(job: &Job, context: &Context, progress: &mut Progress<'_>) -> Result<Report> {
    let start = Instant::now();
    let own = context.for_job(job.threads, job.memory)?;
    let context = own.as_ref().unwrap_or(context);
    job.check_complete()?;
    let method = job.method()?;
    let values = with_contents(&job.values()?, method.info().parameters)?;
    job.device.check()?;
    let output = job.output.as_ref().filter(|o| !o.path.is_empty()).ok_or_else(|| {
        Error::new(ErrorKind::Job, "The job names no output").with_hint("Give the output a file name, such as prediction.tif.")
    })?;
    job.check_outputs()?;
    let cache = context.limit_gdal_cache();

    let cancel = Cancel::new();
    let opened = supervise(context, &cancel, progress, (0.0, 0.02), "Opening", |_| open(job, &values, &cancel))?;
    let Opened { scene, grid, mut warnings } = opened;
    let info = scene.info().clone();
    // lives as long as the run, whose own plan shares what this one has read
    let _checked = method.plan(&stfusion_core::method::Request { values: &values, scene: &info })?;

    let (mut spec, spec_warnings) = OutputSpec::like(scene.fine_info(), output)?;
    warnings.extend(spec_warnings);
    warnings.iter().for_each(|w| context.warn(w));
    spec.threads = context.threads();
    let resolved = resolved_job(job, &values, grid, &info)?;
    spec.metadata.extend(metadata(&resolved, &info, method.info()));
    let mut files = Files {
        image: Writer::create(&output.path, &spec)?,
        support: output.support.as_ref().map(|path| create_support(path, &scene.fine_info().grid, output, &spec)).transpose()?,
    };

    let held = scene.held_bytes() as u64 + cache;
    let request = SceneRequest {
        method,
        values: &values,
        device: &job.device,
        support: output.support.is_some(),
        tile_px: None,
        held_bytes: held,
    };
    let mut report = fuse_scene(&request, &scene, &mut files, context, &mut |f, label| progress(0.02 + 0.94 * f, label))?;
    report.warnings = warnings;
    let artefacts = write_artefacts(&values, method.info().parameters, &report.artefacts)?;
    report.files =
        [Some(output.path.clone()), output.support.clone(), Some(provenance_path(&output.path))].into_iter().flatten().collect();
    report.files.extend(artefacts.iter().map(Pending::name));
    if report.predicted_fraction == 0.0 {
        return Err(nothing_predicted(job));
    }

    let mut record = Job { provenance: Some(provenance(&report, &info, method.info())), ..resolved };
    // the record lies beside the output, while relative names mean the working folder
    if let Ok(folder) = std::env::current_dir() {
        record.resolve(&folder);
    }
    let text = record.to_json();
    // nothing gets its name before everything is complete
    let complete_support = |writer: Writer| writer.complete(&mut |f| progress(0.96 + 0.01 * f, "Writing the support layer"));
    let support = files.support.map(complete_support).transpose()?;
    let image = files.image.complete(&mut |f| progress(0.97 + 0.03 * f, "Writing"))?;
    stfusion_raster::write_text(&provenance_path(&output.path), &text)?;
    artefacts.into_iter().try_for_each(Pending::publish)?;
    if let Some(support) = support {
        support.publish()?;
    }
    image.publish()?;
    report.seconds = start.elapsed().as_secs_f64();
    progress(1.0, "Done");
    Ok(report)
}

/// The images of a job, opened.
pub(crate) struct Opened {
    pub scene: RasterScene,
    /// The grid options of the job, with what it leaves to the method filled in.
    pub grid: GridOptions,
    /// About the images, their dates and their resampling.
    pub warnings: Vec<String>,
}

/// Opens the images of a job and checks them against each other.
pub(crate) fn open(job: &Job, values: &Values, cancel: &Cancel) -> Result<Opened> {
    let resampling = coarse_resampling(job, values)?;
    let grid = GridOptions { coarse_resampling: Some(resampling.used), ..job.grid.clone() };
    let scene = open_on(job, &grid, cancel)?;
    let mut warnings = scene.warnings().to_vec();
    warnings.extend(gap_warnings(scene.info()));
    warnings.extend(resampling.warning);
    Ok(Opened { scene, grid, warnings })
}

/// Opens the images of a job on a grid.
pub(crate) fn open_on(job: &Job, grid: &GridOptions, cancel: &Cancel) -> Result<RasterScene> {
    RasterScene::open(&SceneSource { pairs: &job.pairs, target: &job.target, grid }, cancel)
}

fn provenance_path(output: &str) -> String {
    format!("{output}.stf")
}

/// Warnings about pairs that are far from the target day; empty when a near one exists or dates are unknown.
pub(crate) fn gap_warnings(info: &SceneInfo) -> Vec<String> {
    let mut warnings = Vec::new();
    let gaps: Vec<i32> = (0..info.pairs.len()).filter_map(|k| info.gap_days(k)).map(i32::abs).collect();
    if let Some(nearest) = gaps.iter().min().filter(|&&g| g > LONG_GAP_DAYS) {
        warnings.push(format!(
            "The nearest pair is {nearest} days from the target date; beyond {LONG_GAP_DAYS} days a prediction is often no better than the pair itself"
        ));
    }
    if gaps.len() < info.pairs.len() {
        warnings.push("Not all dates are known; the support layer cannot tell the days to the nearest pair".into());
    }
    warnings
}

fn nothing_predicted(job: &Job) -> Error {
    Error::new(
        ErrorKind::Data,
        format!(
            "No pixel could be predicted: nowhere are a fine image, its coarse image and {} valid together",
            job.target.coarse.name()
        ),
    )
    .with_hint("Check the masks, nodata values and valid ranges of the images (`stfusion info` shows them).")
}

fn create_support(path: &str, grid: &Grid, output: &OutputOptions, image: &OutputSpec) -> Result<Writer> {
    let mut spec = OutputSpec::support(grid, &SUPPORT_BANDS, output);
    spec.threads = image.threads;
    spec.metadata.clone_from(&image.metadata);
    Writer::create(path, &spec)
}

/// The job with every default spelled out and the dates that were found, so that it repeats this run.
pub(crate) fn resolved_job(job: &Job, values: &Values, grid: GridOptions, info: &SceneInfo) -> Result<Job> {
    let mut job = Job { grid, ..job.clone() };
    if let Json::Object(all) = values.to_json(job.method()?.info().parameters) {
        job.parameters = all;
    }
    job.pairs.iter_mut().zip(&info.pairs).for_each(|(pair, found)| pair.date = found.date);
    job.target.date = info.target_date;
    Ok(job)
}

pub(crate) fn metadata(job: &Job, info: &SceneInfo, method: &MethodInfo) -> Vec<(String, String)> {
    let mut metadata = vec![
        ("STFUSION_VERSION".to_string(), crate::VERSION.to_string()),
        ("STFUSION_METHOD".into(), method.id.into()),
        ("STFUSION_PARAMETERS".into(), Json::Object(job.parameters.clone()).to_string()),
        ("TIFFTAG_SOFTWARE".into(), format!("stfusion {}", crate::VERSION)),
    ];
    let references: Vec<_> = method.references.iter().map(|r| r.citation).collect();
    if !references.is_empty() {
        metadata.push(("STFUSION_REFERENCES".into(), references.join(" | ")));
    }
    if let Some(date) = info.target_date {
        let (year, month, day) = date.ymd();
        metadata.push(("STFUSION_TARGET_DATE".into(), date.to_string()));
        metadata.push(("TIFFTAG_DATETIME".into(), format!("{year:04}:{month:02}:{day:02} 00:00:00")));
    }
    for (k, pair) in job.pairs.iter().enumerate() {
        let date = pair.date.map(|d| format!("{d} ")).unwrap_or_default();
        metadata
            .push((format!("STFUSION_PAIR_{}", k + 1), format!("{date}fine={} coarse={}", pair.fine.name(), pair.coarse.name())));
    }
    metadata.push(("STFUSION_TARGET".into(), format!("coarse={}", job.target.coarse.name())));
    metadata
}

fn provenance(report: &Report, info: &SceneInfo, method: &MethodInfo) -> Json {
    json!({
        "version": crate::VERSION,
        "gdal": stfusion_raster::version(),
        "created": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "device": report.device,
        "scale": info.scale,
        "derived": report.derived.iter().map(|(k, v)| (k.clone(), json!(v))).collect::<serde_json::Map<_, _>>(),
        "predicted_fraction": report.predicted_fraction,
        "files": report.files,
        "warnings": report.warnings,
        "references": method.references.iter().map(|r| json!({ "citation": r.citation, "doi": r.doi })).collect::<Vec<_>>(),
    })
}

/// The files of a run.
struct Files {
    image: Writer,
    support: Option<Writer>,
}

impl Sink for Files {
    fn write(&mut self, region: Region, image: ArrayView3<'_, f32>, support: Option<ArrayView3<'_, f32>>) -> Result<()> {
        self.image.write(region, image)?;
        match (&mut self.support, support) {
            (Some(writer), Some(support)) => writer.write(region, support),
            _ => Ok(()),
        }
    }
}
