//! How the coarse images of a job come onto the fine grid.

use stfusion_core::param::{Choices, Values};
#[cfg(feature = "gdal")]
use stfusion_core::source::GridOptions;
use stfusion_core::source::Resampling;
use stfusion_core::Result;

use crate::job::Job;

/// As the job says, else as its method wants them with these values, whose files are read ([`crate::with_contents`]).
///
/// # Errors
/// [`stfusion_core::ErrorKind::Job`] when the method does not exist.
pub fn coarse_resampling(job: &Job, values: &Values) -> Result<Resampling> {
    Ok(match job.grid.coarse_resampling {
        Some(resampling) => resampling,
        None => job.method()?.coarse_resampling(values),
    })
}

#[cfg(feature = "gdal")]
/// The grid options of a job, with what it leaves to the method filled in.
pub(crate) fn resolved_grid(job: &Job, values: &Values) -> Result<GridOptions> {
    Ok(GridOptions { coarse_resampling: Some(coarse_resampling(job, values)?), ..job.grid.clone() })
}

/// A warning when the job says other than what a network was trained with.
///
/// # Errors
/// As for [`coarse_resampling`].
pub fn resampling_warning(job: &Job, values: &Values) -> Result<Option<String>> {
    let method = job.method()?;
    let trained = method.coarse_resampling(values);
    let other = job.grid.coarse_resampling.filter(|used| method.info().promises.trained_elsewhere && *used != trained);
    Ok(other.map(|used| {
        format!(
            "The network was trained with coarse images resampled by {} interpolation; this job resamples them by {} (leave grid.coarse_resampling out, or set it to {})",
            trained.id(),
            used.id(),
            trained.id()
        )
    }))
}
