//! Jobs: from JSON, or piece by piece.

use std::ffi::{c_char, c_void};
use std::path::Path;

use serde_json::{json, Value as Json};
use stfusion_core::method::ExtraImage;
use stfusion_core::param::{Choices, Values};
use stfusion_core::source::{Format, GridOptions, ImageSource, MaskSource, OutputOptions, PairSource, ResamplingChoice};
use stfusion_core::{Date, Error, ErrorKind, Result};
use stfusion_engine::Job;

use crate::context::{stf_context, with_context, with_text};
use crate::ffi::{argument, borrow, check_pointer, destroy, into_handle, optional_text, text, Guarded, Handle, Out};
use crate::image::{pixels, stf_image};
use crate::scene::{Images, PairImages};
use crate::status::stf_status;

/// A method, its parameters, images with roles and dates, masks, an output. Use one from one thread at a time.
#[derive(Debug)]
pub struct stf_job(Guarded<JobState>);

impl Handle for stf_job {
    type Value = JobState;
    const NAME: &'static str = "stf_job";
    const TAG: u64 = 0x5354_4600_6a6f_6221;
    fn over(block: Guarded<JobState>) -> Self {
        stf_job(block)
    }
    fn block(&self) -> &Guarded<JobState> {
        &self.0
    }
}

/// Which image of a pair a call is about.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum stf_role {
    /// The fine image.
    Fine = 1,
    /// The coarse image.
    Coarse = 2,
}

/// What a job holds: the job of files, and the images in memory.
#[derive(Debug)]
pub(crate) struct JobState {
    pub(crate) job: Job,
    pub(crate) images: Images,
}

/// Names of the job's own options among the setters; all other names are parameters of the method.
pub(crate) const JOB_OPTIONS: [&str; 14] = [
    "output",
    "format",
    "support",
    "creation_option",
    "data_type",
    "nodata",
    "overwrite",
    "coarse_resampling",
    "bands",
    "ignore_units",
    "device",
    "memory",
    "threads",
    "coarse_scale",
];

fn wrong(name: &str, expectation: &str, got: &Json) -> Error {
    Error::new(ErrorKind::Parameter, format!("{name} must be {expectation}; got {got}"))
        .with_hint(format!("Set {name} to {expectation}."))
}

fn as_text<'a>(name: &str, value: &'a Json) -> Result<&'a str> {
    value.as_str().ok_or_else(|| wrong(name, "a text", value))
}

/// A number, also one written as text.
fn as_number(name: &str, value: &Json) -> Result<f64> {
    let number = match value {
        Json::String(text) => text.trim().parse().ok(),
        _ => value.as_f64(),
    };
    number.filter(|v: &f64| v.is_finite()).ok_or_else(|| wrong(name, "a number", value))
}

/// A yes or no, also as a number or text.
fn as_bool(name: &str, value: &Json) -> Result<bool> {
    let found = match value {
        Json::Bool(b) => Some(*b),
        Json::Number(n) => n.as_i64().and_then(|n| [false, true].get(usize::try_from(n).ok()?).copied()),
        Json::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    };
    found.ok_or_else(|| wrong(name, "true or false", value))
}

impl JobState {
    fn new(job: Job) -> Self {
        JobState { job, images: Images::default() }
    }

    fn output(&mut self) -> &mut OutputOptions {
        self.job.output.get_or_insert_default()
    }

    /// Sets an option of the job or a parameter of the method.
    fn set(&mut self, name: &str, value: &Json) -> Result<()> {
        let id = name.replace('-', "_");
        match id.as_str() {
            "output" => self.output().path = as_text(name, value)?.into(),
            "format" => self.output().format = Some(by_id::<Format>(name, value)?),
            "support" => self.output().support = Some(as_text(name, value)?.to_string()).filter(|s| !s.is_empty()),
            "creation_option" => {
                let option = as_text(name, value)?;
                if !option.contains('=') {
                    return Err(wrong(name, "KEY=VALUE", value));
                }
                self.output().creation_options.push(option.into());
            }
            "data_type" => self.output().data_type = Some(as_text(name, value)?.into()),
            "nodata" => self.output().nodata = Some(as_number(name, value)?),
            "overwrite" => self.output().overwrite = as_bool(name, value)?,
            "coarse_resampling" => self.grid().coarse_resampling = by_id::<ResamplingChoice>(name, value)?.of_job(),
            "bands" => {
                let expectation = "a list of pairs of fine and coarse bands such as [[1,1],[2,2]]";
                let map = serde_json::from_str(as_text(name, value)?).map_err(|_| wrong(name, expectation, value))?;
                self.grid().bands = Some(map);
            }
            "ignore_units" => self.grid().ignore_units = as_bool(name, value)?,
            "device" => self.job.device = as_text(name, value)?.parse()?,
            "memory" => {
                let size = value.as_str().map_or_else(|| value.to_string(), String::from);
                self.job.memory = size.parse()?;
            }
            "threads" => {
                let threads = as_number(name, value)?;
                if !(0.0..=1024.0).contains(&threads) || threads.fract() != 0.0 {
                    return Err(wrong(name, "a whole number between 0 and 1024", value));
                }
                self.job.threads = threads as usize;
            }
            "coarse_scale" => {
                let scale = as_number(name, value)?;
                if scale < 1.0 {
                    return Err(wrong(name, "a number of fine pixels of at least 1", value));
                }
                self.images.scale = Some(scale);
            }
            _ => self.set_parameter(&id, name, value)?,
        }
        Ok(())
    }

    fn grid(&mut self) -> &mut GridOptions {
        &mut self.job.grid
    }

    fn set_parameter(&mut self, id: &str, name: &str, value: &Json) -> Result<()> {
        let specs = self.job.method()?.info().parameters;
        let Some(spec) = specs.iter().find(|s| s.id == id || s.aliases.contains(&id)) else {
            let parameters: Vec<_> = specs.iter().map(|s| s.id).collect();
            let of_method = if parameters.is_empty() { String::new() } else { format!("{} (method); ", parameters.join(", ")) };
            return Err(Error::new(
                ErrorKind::Parameter,
                format!("{name:?} is not a parameter of {} nor an option of the job", self.job.method),
            )
            .with_hint(format!("Valid names: {of_method}{} (job).", JOB_OPTIONS.join(", "))));
        };
        let mut values = Values::default();
        match value {
            Json::String(text) => values.set_text(specs, spec.id, text)?,
            other => values.set_json(specs, spec.id, other)?,
        }
        self.job.parameters.insert(spec.id.into(), spec.to_json(&values.get(spec)));
        Ok(())
    }

    /// The pair with this number among `count`.
    fn check_pair(pair: usize, count: usize) -> Result<()> {
        if pair < count {
            return Ok(());
        }
        Err(argument(format!("pair is {pair}, but the job has {count} pairs"))
            .with_hint("Pairs are counted from 0 in the order in which they were added."))
    }

    fn expect_files(&self) -> Result<()> {
        if self.images.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Job, "The job has images in memory already, and cannot have files too")
            .with_hint("Use either the functions with _image in their name or those without, for all images of a job."))
    }

    fn expect_memory(&self) -> Result<()> {
        if self.job.pairs.is_empty() && self.job.target.coarse.paths.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Job, "The job has files already, and cannot have images in memory too")
            .with_hint("Use either the functions with _image in their name or those without, for all images of a job."))
    }

    /// The job, when its images are files.
    pub(crate) fn file_job(&self) -> Result<&Job> {
        if self.images.is_empty() {
            return Ok(&self.job);
        }
        Err(Error::new(ErrorKind::Job, "The images of this job lie in memory").with_hint("Run it with stf_job_run_image."))
    }
}

fn by_id<T: Choices>(name: &str, value: &Json) -> Result<T> {
    T::by_id(as_text(name, value)?).map_err(|e| e.at(name).with_hint(format!("Set {name} to one of the names in the message.")))
}

fn file_name<'a>(name: &str, text: &'a str) -> Result<&'a str> {
    if text.is_empty() {
        return Err(
            argument(format!("{name} is empty, expected the name of a file")).with_hint("Pass a name that GDAL can open.")
        );
    }
    Ok(text)
}

unsafe fn date(pointer: *const c_char) -> Result<Option<Date>> {
    // SAFETY: the caller's contract.
    match unsafe { optional_text(pointer, "date") }? {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some),
    }
}

fn mask(path: Option<&str>, preset: Option<&str>) -> Option<MaskSource> {
    path.filter(|p| !p.is_empty()).map(|p| MaskSource::file(p, preset.filter(|p| !p.is_empty())))
}

/// Runs the body of a function of a job.
fn with_job(context: *mut stf_context, job: *const stf_job, body: impl FnOnce(&mut JobState) -> Result<()>) -> stf_status {
    with_context(context, |_| body(&mut *borrow(job)?))
}

/// Makes a job that uses a method, such as "starfm". Destroy it with stf_job_destroy.
///
/// Fails with STF_STATUS_PARAMETER for a method that does not exist.
#[no_mangle]
pub unsafe extern "C" fn stf_job_create(context: *mut stf_context, method: *const c_char, out: *mut *mut stf_job) -> stf_status {
    with_context(context, |_| {
        let out = Out::new(out, "out")?;
        // SAFETY: the caller's contract.
        let job = Job { method: unsafe { text(method, "method") }?.into(), ..Job::default() };
        job.method()?;
        out.set(into_handle(JobState::new(job)));
        Ok(())
    })
}

/// Reads a job from JSON text. Relative file names are resolved against `folder`; NULL leaves them as they are.
///
/// Fails with STF_STATUS_JOB for text that is not a job, STF_STATUS_PARAMETER for a method or parameter that does not
/// exist or a value that is not admitted.
#[no_mangle]
pub unsafe extern "C" fn stf_job_from_json(
    context: *mut stf_context,
    json: *const c_char,
    folder: *const c_char,
    out: *mut *mut stf_job,
) -> stf_status {
    with_context(context, |_| {
        let out = Out::new(out, "out")?;
        // SAFETY: the caller's contract.
        let (json, folder) = unsafe { (text(json, "json")?, optional_text(folder, "folder")?) };
        out.set(into_handle(JobState::new(Job::from_json(json, folder.map(Path::new))?)));
        Ok(())
    })
}

/// Reads a job from a file. Relative file names in it are resolved against its folder.
///
/// Fails with STF_STATUS_READ when the file cannot be read, STF_STATUS_JOB for text that is not a job,
/// STF_STATUS_PARAMETER for a method or parameter that does not exist or a value that is not admitted.
#[no_mangle]
pub unsafe extern "C" fn stf_job_from_file(context: *mut stf_context, path: *const c_char, out: *mut *mut stf_job) -> stf_status {
    with_context(context, |_| {
        let out = Out::new(out, "out")?;
        // SAFETY: the caller's contract.
        let path = file_name("path", unsafe { text(path, "path") }?)?;
        let unreadable = |e: std::io::Error| {
            Error::new(ErrorKind::Read, format!("{path}: the job file cannot be read: {e}"))
                .with_hint("Check the name and the permissions of the job file.")
        };
        let json = std::fs::read_to_string(path).map_err(unreadable)?;
        let folder = Path::new(path).parent().filter(|p| !p.as_os_str().is_empty());
        let job = Job::from_json(&json, folder).map_err(|e| e.at(path))?;
        out.set(into_handle(JobState::new(job)));
        Ok(())
    })
}

/// Destroys a job. NULL is allowed. Images in memory stay the caller's.
#[no_mangle]
pub unsafe extern "C" fn stf_job_destroy(job: *mut stf_job) {
    destroy(job);
}

/// Sets a parameter of the method, or an option of the job, that is a whole number (see stf_job_set_string).
///
/// Fails with STF_STATUS_PARAMETER for a name that is not known or a value that is not admitted.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_int(
    context: *mut stf_context,
    job: *mut stf_job,
    name: *const c_char,
    value: i64,
) -> stf_status {
    // SAFETY: the caller's contract.
    with_job(context, job, |job| job.set(unsafe { text(name, "name") }?, &json!(value)))
}

/// Sets a parameter of the method, or an option of the job, that is a number (see stf_job_set_string).
///
/// Fails with STF_STATUS_PARAMETER for a name that is not known or a value that is not admitted.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_double(
    context: *mut stf_context,
    job: *mut stf_job,
    name: *const c_char,
    value: f64,
) -> stf_status {
    with_job(context, job, |job| {
        // SAFETY: the caller's contract.
        let name = unsafe { text(name, "name") }?;
        if !value.is_finite() {
            return Err(wrong(name, "a finite number", &json!(value.to_string())));
        }
        job.set(name, &json!(value))
    })
}

/// Sets a parameter of the method, or an option of the job, that is true (not 0) or false (0) (see stf_job_set_string).
///
/// Fails with STF_STATUS_PARAMETER for a name that is not known or a value that is not admitted.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_bool(
    context: *mut stf_context,
    job: *mut stf_job,
    name: *const c_char,
    value: i32,
) -> stf_status {
    // SAFETY: the caller's contract.
    with_job(context, job, |job| job.set(unsafe { text(name, "name") }?, &json!(value != 0)))
}

/// Sets a parameter of the method, or an option of the job, from text. Any kind may be written as text: "51", "0.5",
/// "true", "auto", a choice, a list as "0.01 0.02".
///
/// Options of every job: device ("auto", "cpu", "cuda:0"; stf_devices_json lists them), memory ("4GiB", "auto"), threads (0: as many as the context),
/// coarse_resampling ("auto", "nearest", "bilinear", "cubic").
/// Options of jobs of files: output (name), format ("GTiff", "COG"), support (name of the support layer's file),
/// creation_option (KEY=VALUE, may be set repeatedly), data_type ("Int16", ...), nodata, overwrite (true or false),
/// bands ("[[1,1],[2,2]]": fine and coarse band, counted from 1), ignore_units (true or false).
/// Option of jobs in memory: coarse_scale (fine pixels per coarse-pixel side; needed when coarse images are resampled already).
/// An unknown name is an error whose hint lists the valid ones.
///
/// Fails with STF_STATUS_PARAMETER for a name that is not known or a value that is not admitted.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_string(
    context: *mut stf_context,
    job: *mut stf_job,
    name: *const c_char,
    value: *const c_char,
) -> stf_status {
    with_job(context, job, |job| {
        // SAFETY: the caller's contract.
        let (name, value) = unsafe { (text(name, "name")?, text(value, "value")?) };
        job.set(name, &json!(value))
    })
}

/// Gives a parameter of the method that names a file to read, such as weights, the contents of that file instead: `size` bytes at
/// `data`, which are copied.
///
/// Fails with STF_STATUS_PARAMETER for a name that is not known or is not that of a file to read.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_contents(
    context: *mut stf_context,
    job: *mut stf_job,
    name: *const c_char,
    data: *const c_void,
    size: usize,
) -> stf_status {
    with_job(context, job, |job| {
        // SAFETY: the caller's contract.
        let name = unsafe { text(name, "name") }?;
        check_pointer(data.cast::<u8>(), "data")?;
        // SAFETY: not null; by contract `size` bytes can be read there.
        let contents = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) };
        job.job.set_contents(name, contents)
    })
}

/// Adds a pair of files: names that GDAL can open, and the day as "YYYY-MM-DD", or NULL to take it from names and metadata.
/// Pairs are counted from 0 in the order in which they are added.
///
/// Fails with STF_STATUS_PARAMETER for a date that is none, STF_STATUS_JOB when the job has images in memory. Files are
/// opened when the job runs.
#[no_mangle]
pub unsafe extern "C" fn stf_job_add_pair(
    context: *mut stf_context,
    job: *mut stf_job,
    date: *const c_char,
    fine: *const c_char,
    coarse: *const c_char,
) -> stf_status {
    with_job(context, job, |job| {
        job.expect_files()?;
        // SAFETY: the caller's contract.
        let (date, fine, coarse) = unsafe { (self::date(date)?, text(fine, "fine")?, text(coarse, "coarse")?) };
        job.job.pairs.push(PairSource {
            date,
            fine: ImageSource::file(file_name("fine", fine)?),
            coarse: ImageSource::file(file_name("coarse", coarse)?),
            ..PairSource::default()
        });
        Ok(())
    })
}

/// Sets the mask file of an image of a pair (`role`, one of stf_role); `preset` names a product whose values it has, such
/// as "landsat_c2", or is NULL when every value but 0 is invalid. A NULL `path` removes the mask.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_pair_mask(
    context: *mut stf_context,
    job: *mut stf_job,
    pair: usize,
    role: i32,
    path: *const c_char,
    preset: *const c_char,
) -> stf_status {
    with_job(context, job, |job| {
        // SAFETY: the caller's contract.
        let mask = unsafe { mask(optional_text(path, "path")?, optional_text(preset, "preset")?) };
        JobState::check_pair(pair, job.job.pairs.len())?;
        let pair = &mut job.job.pairs[pair];
        match role {
            r if r == stf_role::Fine as i32 => pair.fine_mask = mask,
            r if r == stf_role::Coarse as i32 => pair.coarse_mask = mask,
            other => {
                return Err(argument(format!("role is {other}, expected STF_ROLE_FINE (1) or STF_ROLE_COARSE (2)"))
                    .with_hint("Say which image of the pair the mask belongs to."))
            }
        }
        Ok(())
    })
}

/// Sets the class map file of a pair, for methods that take one. A NULL `path` removes it.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_pair_classes(
    context: *mut stf_context,
    job: *mut stf_job,
    pair: usize,
    path: *const c_char,
) -> stf_status {
    // SAFETY: the caller's contract.
    unsafe { set_extra_image(context, job, pair, ExtraImage::Classes, path) }
}

/// Sets the object map file (segment numbers) of a pair, for methods that take one. A NULL `path` removes it.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_pair_objects(
    context: *mut stf_context,
    job: *mut stf_job,
    pair: usize,
    path: *const c_char,
) -> stf_status {
    // SAFETY: the caller's contract.
    unsafe { set_extra_image(context, job, pair, ExtraImage::Objects, path) }
}

/// Sets the panchromatic image file of a pair, for methods that take one. A NULL `path` removes it.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_pair_pan(
    context: *mut stf_context,
    job: *mut stf_job,
    pair: usize,
    path: *const c_char,
) -> stf_status {
    // SAFETY: the caller's contract.
    unsafe { set_extra_image(context, job, pair, ExtraImage::Panchromatic, path) }
}

/// Sets or removes the file of an extra image.
///
/// # Safety
/// As the functions that call it.
unsafe fn set_extra_image(
    context: *mut stf_context,
    job: *mut stf_job,
    pair: usize,
    extra: ExtraImage,
    path: *const c_char,
) -> stf_status {
    with_job(context, job, |job| {
        // SAFETY: the caller's contract.
        let path = unsafe { optional_text(path, "path") }?;
        JobState::check_pair(pair, job.job.pairs.len())?;
        *job.job.pairs[pair].extra_image_mut(extra) = path.filter(|p| !p.is_empty()).map(ImageSource::file);
        Ok(())
    })
}

/// Sets the day to predict ("YYYY-MM-DD", or NULL to take it from the name and metadata) and its coarse file.
///
/// Fails with STF_STATUS_PARAMETER for a date that is none, STF_STATUS_JOB when the job has images in memory. Files are
/// opened when the job runs.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_target(
    context: *mut stf_context,
    job: *mut stf_job,
    date: *const c_char,
    coarse: *const c_char,
) -> stf_status {
    with_job(context, job, |job| {
        job.expect_files()?;
        // SAFETY: the caller's contract.
        let (date, coarse) = unsafe { (self::date(date)?, text(coarse, "coarse")?) };
        job.job.target.coarse = ImageSource::file(file_name("coarse", coarse)?);
        job.job.target.date = date;
        Ok(())
    })
}

/// Sets the mask file of the target's coarse image, as stf_job_set_pair_mask.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_target_mask(
    context: *mut stf_context,
    job: *mut stf_job,
    path: *const c_char,
    preset: *const c_char,
) -> stf_status {
    with_job(context, job, |job| {
        // SAFETY: the caller's contract.
        job.job.target.coarse_mask = unsafe { mask(optional_text(path, "path")?, optional_text(preset, "preset")?) };
        Ok(())
    })
}

/// The job as the text of a job file. Jobs of images in memory have none.
/// The text belongs to the context until it is destroyed or this function is called again.
///
/// Fails with STF_STATUS_UNSUPPORTED when the images of the job lie in memory.
#[no_mangle]
pub unsafe extern "C" fn stf_job_to_json(context: *mut stf_context, job: *const stf_job, out: *mut *const c_char) -> stf_status {
    with_text(context, out, "stf_job_to_json", |_| {
        let job = borrow(job)?;
        if !job.images.is_empty() {
            return Err(Error::new(ErrorKind::Unsupported, "A job whose images lie in memory cannot be written as a job file")
                .with_hint("Use files instead, or keep the parameters yourself."));
        }
        Ok(job.job.to_json())
    })
}

/// Adds a pair of images in memory, with the day as "YYYY-MM-DD" or NULL. All fine images of a job have one shape. A coarse
/// image has it too, or its rows and columns are those of the fine image divided by a whole number, the scale; then it is
/// aligned at the corner and resampled (coarse_resampling). The structures are copied; the pixels must stay in place,
/// unchanged, until the last run.
///
/// Fails with STF_STATUS_PARAMETER for a date that is none, STF_STATUS_JOB when the job has files.
#[no_mangle]
pub unsafe extern "C" fn stf_job_add_pair_image(
    context: *mut stf_context,
    job: *mut stf_job,
    date: *const c_char,
    fine: *const stf_image,
    coarse: *const stf_image,
) -> stf_status {
    with_job(context, job, |job| {
        job.expect_memory()?;
        // SAFETY: the caller's contract.
        let (date, fine, coarse) = unsafe { (self::date(date)?, pixels(fine, "fine")?, pixels(coarse, "coarse")?) };
        job.images.pairs.push(PairImages::new(date, fine, coarse));
        Ok(())
    })
}

/// Sets the class map of a pair in memory: one band on the fine grid, for methods that take one.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_pair_class_image(
    context: *mut stf_context,
    job: *mut stf_job,
    pair: usize,
    classes: *const stf_image,
) -> stf_status {
    // SAFETY: the caller's contract.
    unsafe { set_pixels_of_extra_image(context, job, pair, ExtraImage::Classes, classes) }
}

/// Sets the object map of a pair in memory: one band of segment numbers on the fine grid, for methods that take one.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_pair_object_image(
    context: *mut stf_context,
    job: *mut stf_job,
    pair: usize,
    objects: *const stf_image,
) -> stf_status {
    // SAFETY: the caller's contract.
    unsafe { set_pixels_of_extra_image(context, job, pair, ExtraImage::Objects, objects) }
}

/// Sets the panchromatic image of a pair in memory: one band on the fine grid, for methods that take one.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_pair_pan_image(
    context: *mut stf_context,
    job: *mut stf_job,
    pair: usize,
    pan: *const stf_image,
) -> stf_status {
    // SAFETY: the caller's contract.
    unsafe { set_pixels_of_extra_image(context, job, pair, ExtraImage::Panchromatic, pan) }
}

/// Sets an extra image in memory.
///
/// # Safety
/// As the functions that call it.
unsafe fn set_pixels_of_extra_image(
    context: *mut stf_context,
    job: *mut stf_job,
    pair: usize,
    extra: ExtraImage,
    image: *const stf_image,
) -> stf_status {
    with_job(context, job, |job| {
        // SAFETY: the caller's contract.
        let pixels = unsafe { pixels(image, extra.key()) }?;
        JobState::check_pair(pair, job.images.pairs.len())?;
        *job.images.pairs[pair].extra_image_mut(extra) = Some(pixels);
        Ok(())
    })
}

/// Sets the day to predict ("YYYY-MM-DD" or NULL) and its coarse image in memory, as in stf_job_add_pair_image. The structure
/// is copied; the pixels must stay in place, unchanged, until the last run.
///
/// Fails with STF_STATUS_PARAMETER for a date that is none, STF_STATUS_JOB when the job has files.
#[no_mangle]
pub unsafe extern "C" fn stf_job_set_target_image(
    context: *mut stf_context,
    job: *mut stf_job,
    date: *const c_char,
    coarse: *const stf_image,
) -> stf_status {
    with_job(context, job, |job| {
        job.expect_memory()?;
        // SAFETY: the caller's contract.
        job.images.target = Some(unsafe { (self::date(date)?, pixels(coarse, "coarse")?) });
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_method_has_a_parameter_named_like_an_option_of_the_job() {
        for method in stfusion_engine::spec()["methods"].as_array().unwrap() {
            for parameter in method["parameters"].as_array().unwrap() {
                let id = parameter["id"].as_str().unwrap();
                assert!(!JOB_OPTIONS.contains(&id), "{id} of {}", method["id"]);
            }
        }
    }

    #[test]
    fn every_option_of_the_job_is_set_and_checked() {
        let mut state = JobState::new(Job { method: "nearest_pair".into(), ..Job::default() });
        for name in JOB_OPTIONS {
            let value = match name {
                "format" => json!("COG"),
                "creation_option" => json!("COMPRESS=ZSTD"),
                "coarse_resampling" => json!("cubic"),
                "bands" => json!("[[2,1]]"),
                "overwrite" | "ignore_units" => json!(1),
                "nodata" => json!(-1.0),
                "threads" => json!("3"),
                "memory" => json!("1GiB"),
                "device" => json!("cpu"),
                "coarse_scale" => json!(16),
                _ => json!("text"),
            };
            state.set(name, &value).unwrap();
            let error = state.set(name, &json!([1])).unwrap_err();
            assert!(error.kind() == ErrorKind::Parameter && error.hint().is_some(), "{name}: {error}");
        }
        let written: Json = serde_json::from_str(&state.job.to_json()).unwrap();
        assert_eq!(
            written["output"],
            json!({ "path": "text", "format": "COG", "support": "text", "creation_options": ["COMPRESS=ZSTD"],
                    "data_type": "text", "nodata": -1.0, "overwrite": true })
        );
        assert_eq!(written["grid"], json!({ "coarse_resampling": "cubic", "bands": [[2, 1]], "ignore_units": true }));
        assert_eq!((&written["threads"], &written["memory"], state.images.scale), (&json!(3), &json!("1GiB"), Some(16.0)));
    }
}
