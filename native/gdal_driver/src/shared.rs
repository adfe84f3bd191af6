//! Predictions that are open in this process, so that all datasets of one job compute, prepare and keep once; and the jobs
//! that this thread is opening, so that a job whose inputs lead back to itself is refused.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use stfusion_core::{Error, ErrorKind, Result};
use stfusion_engine::{ContextOptions, DeviceChoice, Job, MemorySize, OnDemand};

use crate::messages::log;

/// Jobs whose inputs are jobs whose inputs are jobs…
const MOST_NESTED: usize = 8;

static OPEN: Mutex<Vec<(String, Weak<OnDemand>)>> = Mutex::new(Vec::new());

thread_local! {
    static OPENING: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The prediction of a job: the one that is open already, if neither job nor inputs have changed since.
///
/// # Errors
/// Those of [`OnDemand::open`]; [`ErrorKind::Job`] when the job is an input of itself.
pub(crate) fn prediction(job: &Job, name: &str) -> Result<Arc<OnDemand>> {
    let text = job.to_json();
    let _guard = Opening::begin(&text, name)?;
    let threads = threads();
    let key = stamps(job).map(|stamps| format!("{text}{threads}{stamps}"));
    if let Some(found) = key.as_deref().and_then(registered) {
        return Ok(found);
    }
    let options = ContextOptions { threads, memory: MemorySize::default(), limit_gdal_cache: false, log: Some(Arc::new(log)) };
    let opened = Arc::new(OnDemand::open(job, options)?);
    opened.warnings().iter().for_each(|w| log(stfusion_core::Level::Warning, w));
    if let Some(key) = key {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, prediction)| prediction.strong_count() > 0);
        open.push((key, Arc::downgrade(&opened)));
    }
    Ok(opened)
}

/// Size and time of every input; `None` when one is not a plain file, of which one cannot know whether it has changed.
fn stamps(job: &Job) -> Option<String> {
    let of_input = |name: &str| {
        let metadata = std::fs::metadata(name).ok().filter(std::fs::Metadata::is_file)?;
        Some((metadata.len(), metadata.modified().ok()?))
    };
    let stamps = job.input_names().into_iter().map(of_input).collect::<Option<Vec<_>>>()?;
    Some(format!("{stamps:?}"))
}

fn registered(key: &str) -> Option<Arc<OnDemand>> {
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.iter().find(|(other, _)| other == key).and_then(|(_, prediction)| prediction.upgrade())
}

/// Threads that GDAL's configuration asks for; 0 leaves it to the engine.
fn threads() -> usize {
    let named = |option| stfusion_raster::config_option(option).and_then(|text| text.trim().parse::<usize>().ok());
    named("STFUSION_NUM_THREADS").or_else(|| named("GDAL_NUM_THREADS")).unwrap_or(0)
}

/// Sets what GDAL's configuration says and neither the job nor its open options do: the device.
///
/// # Errors
/// [`ErrorKind::Parameter`] when the configuration option names no device.
pub(crate) fn configure(job: &mut Job) -> Result<()> {
    if let (DeviceChoice::Auto, Some(text)) = (&job.device, stfusion_raster::config_option("STFUSION_DEVICE")) {
        job.device = text.parse().map_err(|e: Error| e.at("STFUSION_DEVICE"))?;
    }
    Ok(())
}

/// While it lives, this thread is opening a job.
struct Opening;

impl Opening {
    fn begin(job: &str, name: &str) -> Result<Opening> {
        OPENING.with_borrow_mut(|opening| {
            let refused = |message: String| Err(Error::new(ErrorKind::Job, message).with_hint("Name other images in the job."));
            if opening.iter().any(|other| other == job) {
                return refused(format!("{name}: the job has itself among its inputs"));
            }
            if opening.len() >= MOST_NESTED {
                return refused(format!("{name}: more than {MOST_NESTED} jobs are inputs of each other"));
            }
            opening.push(job.to_string());
            Ok(Opening)
        })
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        OPENING.with_borrow_mut(|opening| opening.pop());
    }
}
