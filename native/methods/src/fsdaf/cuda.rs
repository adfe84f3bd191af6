//! FSDAF on a GPU: similar pixels are searched and changes averaged there, which takes most of the time; own changes, classes and residuals are
//! computed on the CPU.

use stfusion_core::device::Queue;
use stfusion_core::method::DeviceTiles;
use stfusion_core::Result;

use super::cpu::{run_at, Job};
use crate::blocks::similar_changes::TilesOnDevice;

/// Puts the search of `job` on the device of `queue`.
///
/// # Errors
/// Those of the device.
pub fn on_device<'a>(job: &'a Job, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
    Ok(Box::new(TilesOnDevice { job, similar: job.similar.on_device(queue)?, run: run_at }))
}
