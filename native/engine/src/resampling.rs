//! How the coarse images of a job come onto the fine grid.

use stfusion_core::param::{Choices, Values};
use stfusion_core::source::Resampling;
use stfusion_core::Result;

use crate::job::Job;

/// How coarse images are resampled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenResampling {
    /// As the job says, else as its method wants them.
    pub used: Resampling,
    /// When the job says other than what a network was trained with.
    pub warning: Option<String>,
}

/// How the coarse images of a job are resampled with these values of its method, whose files are read ([`crate::with_contents`]).
///
/// # Errors
/// [`stfusion_core::ErrorKind::Job`] when the method does not exist.
pub fn coarse_resampling(job: &Job, values: &Values) -> Result<ChosenResampling> {
    let method = job.method()?;
    let wanted = method.coarse_resampling(values);
    let used = job.grid.coarse_resampling.unwrap_or(wanted);
    let warning = (method.info().promises.trained_elsewhere && used != wanted).then(|| {
        format!(
            "The network was trained with coarse images resampled by {} interpolation; this job resamples them by {} (leave grid.coarse_resampling out, or set it to {})",
            wanted.id(),
            used.id(),
            wanted.id()
        )
    });
    Ok(ChosenResampling { used, warning })
}
