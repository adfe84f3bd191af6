//! Running jobs, looking at them, assessing predictions, and comparing methods.

use std::ffi::{c_char, CString};

use stfusion_core::method::Scene;
use stfusion_core::{Error, ErrorKind, Result};
use stfusion_engine::{
    check_written, coarse_resampling, fuse_scene, with_contents, write_artefacts, Pending, Report, SceneRequest,
};

use crate::context::{stf_context, to_json, with_context, with_text, State};
use crate::ffi::{borrow, c_string, destroy, into_handle, optional_text, text, Guarded, Handle, Out};
use crate::image::{pixels, stf_image};
use crate::job::{stf_job, JobState};
use crate::scene::{ImageScene, ImageSink};
use crate::status::stf_status;

/// What a run did.
#[derive(Debug)]
pub struct stf_report(Guarded<CString>);

impl Handle for stf_report {
    type Value = CString;
    const NAME: &'static str = "stf_report";
    const TAG: u64 = 0x5354_4672_6570_6f72;
    fn over(block: Guarded<CString>) -> Self {
        stf_report(block)
    }
    fn block(&self) -> &Guarded<CString> {
        &self.0
    }
}

fn hand_out(report: &Report, out: Option<Out<*mut stf_report>>) -> Result<()> {
    if let Some(out) = out {
        out.set(into_handle(c_string(&to_json(report)?)));
    }
    Ok(())
}

/// Runs a job of files: reads them, fuses, writes the output beside a record of what was done. `report` may be NULL;
/// otherwise destroy what it is set to with stf_report_destroy. Nothing is left under the output's name when it fails.
///
/// Fails with every status but STF_STATUS_OK: STF_STATUS_JOB when parts of the job are missing, STF_STATUS_READ and
/// STF_STATUS_DATA for images that cannot be opened or do not fit, STF_STATUS_WRITE and STF_STATUS_EXISTS for outputs,
/// STF_STATUS_CANCELLED when the progress function said so.
#[no_mangle]
pub unsafe extern "C" fn stf_job_run(context: *mut stf_context, job: *const stf_job, report: *mut *mut stf_report) -> stf_status {
    with_context(context, |state| {
        let report = Out::optional(report, "report")?;
        hand_out(&files::run(state, &*borrow(job)?)?, report)
    })
}

/// Runs a job of images in memory. `prediction` describes the memory to fill, of the fine images' shape, which overlaps no
/// other image; whole numbers are rounded and saturated, and pixels that cannot be predicted become nodata (NaN without
/// one). `support` may be NULL; otherwise it has 5 bands: number of similar pixels, valid fraction, days to the nearest
/// pair, extrapolated (1) or not (0), number of the fallback (0: none). `report` may be NULL. When it fails, the outputs hold anything.
///
/// Fails with STF_STATUS_JOB when images are missing or files, STF_STATUS_DATA for images that do not fit,
/// STF_STATUS_PARAMETER, STF_STATUS_MEMORY, STF_STATUS_DEVICE, STF_STATUS_CANCELLED when the progress function said so,
/// STF_STATUS_READ, STF_STATUS_WRITE and STF_STATUS_EXISTS for files that parameters name.
#[no_mangle]
pub unsafe extern "C" fn stf_job_run_image(
    context: *mut stf_context,
    job: *const stf_job,
    prediction: *const stf_image,
    support: *const stf_image,
    report: *mut *mut stf_report,
) -> stf_status {
    with_context(context, |state| {
        let report = Out::optional(report, "report")?;
        let job = borrow(job)?;
        // SAFETY: the caller's contract.
        let prediction = unsafe { pixels(prediction, "prediction") }?;
        let support = if support.is_null() {
            None
        } else {
            // SAFETY: the caller's contract.
            Some(unsafe { pixels(support, "support") }?)
        };
        hand_out(&run_in_memory(state, &job, prediction, support)?, report)
    })
}

fn run_in_memory(
    state: &mut State,
    job: &JobState,
    prediction: crate::pixels::Pixels,
    support: Option<crate::pixels::Pixels>,
) -> Result<Report> {
    if job.images.is_empty() && !job.job.input_names().is_empty() {
        return Err(Error::new(ErrorKind::Job, "The images of this job are files").with_hint("Run it with stf_job_run."));
    }
    let method = job.job.method()?;
    let values = with_contents(&job.job.values()?, method.info().parameters)?;
    let resampling = coarse_resampling(&job.job, &values)?;
    let scene = ImageScene::new(&job.images, resampling.used)?;
    let wants_support = support.is_some();
    let mut sink = ImageSink::new(&job.images, scene.info(), prediction, support)?;
    check_written(&values, method.info().parameters, job.job.output.as_ref().is_some_and(|o| o.overwrite))?;
    let device = &job.job.device;
    let request = SceneRequest { method, values: &values, device, support: wants_support, tile_px: None, held_bytes: 0 };
    let engine = state.engine()?;
    let of_job = engine.for_job(job.job.threads, job.job.memory)?;
    let engine = of_job.as_ref().unwrap_or(&engine);
    let mut progress = state.progress();
    let mut report = fuse_scene(&request, &scene, &mut sink, engine, &mut progress)?;
    report.warnings.extend(resampling.warning);
    report.warnings.iter().for_each(|warning| engine.warn(warning));
    let artefacts = write_artefacts(&values, method.info().parameters, &report.artefacts)?;
    report.files.extend(artefacts.iter().map(Pending::name));
    artefacts.into_iter().try_for_each(Pending::publish)?;
    progress(1.0, "Done");
    Ok(report)
}

/// What a job of files would do, without doing it: grids, dates, scale, warnings, memory, as JSON.
/// The text belongs to the context until it is destroyed or this function is called again.
///
/// Fails with STF_STATUS_JOB when parts of the job are missing or its images lie in memory, STF_STATUS_READ and
/// STF_STATUS_DATA for images that cannot be opened or do not fit, STF_STATUS_PARAMETER, STF_STATUS_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn stf_job_inspect_json(
    context: *mut stf_context,
    job: *const stf_job,
    out: *mut *const c_char,
) -> stf_status {
    with_text(context, out, "stf_job_inspect_json", |state| files::inspect(state, &*borrow(job)?))
}

/// Size, bands, grid, type, scale, nodata and date of an image file as JSON. `name` is one that GDAL can open.
/// The text belongs to the context until it is destroyed or this function is called again.
///
/// Fails with STF_STATUS_READ when the image cannot be opened, STF_STATUS_UNSUPPORTED in a build without GDAL.
#[no_mangle]
pub unsafe extern "C" fn stf_image_info_json(
    context: *mut stf_context,
    name: *const c_char,
    out: *mut *const c_char,
) -> stf_status {
    with_text(context, out, "stf_image_info_json", |_| {
        // SAFETY: the caller's contract.
        files::image_info(unsafe { text(name, "name") }?)
    })
}

/// What a weights file of a network is, as JSON: network, bands, inputs, scaling, parameters, training, licence, problems, and the same
/// as text for people. `path` names a safetensors or ONNX file. The text belongs to the context until it is destroyed or this
/// function is called again.
///
/// Fails with STF_STATUS_READ when the file cannot be read or is neither.
#[no_mangle]
pub unsafe extern "C" fn stf_weights_info_json(
    context: *mut stf_context,
    path: *const c_char,
    out: *mut *const c_char,
) -> stf_status {
    with_text(context, out, "stf_weights_info_json", |_| {
        // SAFETY: the caller's contract.
        to_json(&stfusion_engine::describe_weights(unsafe { text(path, "path") }?)?)
    })
}

/// Compares a prediction with the truth: accuracy per band and overall, and skill against the baselines, as JSON.
/// `request` is a JSON object with the images (prediction, truth) and, for the baselines, the pairs and the target.
/// The text belongs to the context until it is destroyed or this function is called again.
///
/// Fails with STF_STATUS_JOB for a request that is none, STF_STATUS_READ and STF_STATUS_DATA for images that cannot be
/// opened or do not fit, STF_STATUS_CANCELLED when the progress function said so.
#[no_mangle]
pub unsafe extern "C" fn stf_assess_json(
    context: *mut stf_context,
    request: *const c_char,
    out: *mut *const c_char,
) -> stf_status {
    with_text(context, out, "stf_assess_json", |state| {
        // SAFETY: the caller's contract.
        files::assess(state, unsafe { text(request, "request") }?)
    })
}

/// Compares methods on the pairs of a job of files: each pair is held back in turn, predicted from the others by every method, and
/// its fine image is the truth. The result is JSON: recommendation, skill against the baselines, accuracy by method, fold and
/// band, time and memory. The target and the output of the job are not looked at.
///
/// `options` is NULL or a JSON object: methods (a list of ids, ids with settings such as "starfm:window=31", or objects with method
/// and parameters; by default every method that the pairs satisfy), report and csv (names of the HTML report and of the
/// table, which are written), overwrite, data_range.
/// The text belongs to the context until it is destroyed or this function is called again.
///
/// Fails with STF_STATUS_JOB for options that are none, STF_STATUS_DATA when there are fewer pairs than a comparison
/// needs or images do not fit, STF_STATUS_PARAMETER, STF_STATUS_READ, STF_STATUS_WRITE, STF_STATUS_EXISTS,
/// STF_STATUS_MEMORY, STF_STATUS_CANCELLED when the progress function said so.
#[no_mangle]
pub unsafe extern "C" fn stf_job_compare_json(
    context: *mut stf_context,
    job: *const stf_job,
    options: *const c_char,
    out: *mut *const c_char,
) -> stf_status {
    with_text(context, out, "stf_job_compare_json", |state| {
        // SAFETY: the caller's contract.
        let options = unsafe { optional_text(options, "options") }?;
        files::compare(state, &*borrow(job)?, options)
    })
}

/// What a run did as JSON: method, device, size, predicted fraction, warnings, seconds. Never NULL; it belongs to the report.
#[no_mangle]
pub unsafe extern "C" fn stf_report_json(report: *const stf_report) -> *const c_char {
    match borrow(report) {
        Ok(json) => json.as_ptr(),
        Err(_) => c"{}".as_ptr(),
    }
}

/// Destroys a report. NULL is allowed.
#[no_mangle]
pub unsafe extern "C" fn stf_report_destroy(report: *mut stf_report) {
    destroy(report);
}

/// What needs files.
#[cfg(feature = "gdal")]
mod files {
    use stfusion_core::source::ImageSource;

    use super::{to_json, Error, ErrorKind, JobState, Report, Result, State};

    pub(super) fn run(state: &mut State, job: &JobState) -> Result<Report> {
        let engine = state.engine()?;
        stfusion_engine::fuse(job.file_job()?, &engine, &mut state.progress())
    }

    pub(super) fn inspect(state: &mut State, job: &JobState) -> Result<String> {
        let engine = state.engine()?;
        to_json(&stfusion_engine::inspect(job.file_job()?, &engine)?)
    }

    pub(super) fn image_info(name: &str) -> Result<String> {
        to_json(&stfusion_engine::describe_image(&ImageSource::file(name))?)
    }

    pub(super) fn assess(state: &mut State, request: &str) -> Result<String> {
        let request = serde_json::from_str(request).map_err(|e| {
            Error::new(ErrorKind::Job, format!("Not a request to assess: {e}"))
                .with_hint("Give an object with at least \"prediction\" and \"truth\".")
        })?;
        let engine = state.engine()?;
        to_json(&stfusion_engine::assess(&request, &engine, &mut state.progress())?)
    }

    pub(super) fn compare(state: &mut State, job: &JobState, options: Option<&str>) -> Result<String> {
        let options = serde_json::from_str(options.unwrap_or("{}")).map_err(|e| {
            Error::new(ErrorKind::Job, format!("Not options of a comparison: {e}")).with_hint(
                "Give an object such as {\"methods\": [\"starfm\", \"starfm:window=31\"], \"report\": \"comparison.html\"}.",
            )
        })?;
        let engine = state.engine()?;
        to_json(&stfusion_engine::compare(job.file_job()?, &options, &engine, &mut state.progress())?)
    }
}

/// What a library without GDAL answers.
#[cfg(not(feature = "gdal"))]
mod files {
    use super::{Error, ErrorKind, JobState, Report, Result, State};

    fn unsupported() -> Error {
        Error::new(ErrorKind::Unsupported, "This build of stfusion reads and writes no files: it was built without GDAL")
            .with_hint("Use stf_job_run_image with images in memory, or a build with GDAL.")
    }

    pub(super) fn run(_: &mut State, job: &JobState) -> Result<Report> {
        job.file_job()?;
        Err(unsupported())
    }

    pub(super) fn inspect(_: &mut State, job: &JobState) -> Result<String> {
        job.file_job()?;
        Err(unsupported())
    }

    pub(super) fn image_info(_: &str) -> Result<String> {
        Err(unsupported())
    }

    pub(super) fn assess(_: &mut State, _: &str) -> Result<String> {
        Err(unsupported())
    }

    pub(super) fn compare(_: &mut State, job: &JobState, _: Option<&str>) -> Result<String> {
        job.file_job()?;
        Err(unsupported())
    }
}
