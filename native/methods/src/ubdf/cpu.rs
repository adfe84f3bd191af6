//! What UBDF asks of every window.

use ndarray::Axis;
use stfusion_core::method::{Layer, Prepared, Scene};
use stfusion_core::{Exec, Result};

use super::Parameters;
use crate::blocks::unmixing::assigned::Unmixing;
use crate::blocks::unmixing::class_values::{Prior, Question};

/// Class values of the target day for the classes of every pair.
///
/// # Errors
/// Those of [`Unmixing::prepare`].
pub fn prepare(parameters: &Parameters, job: &Unmixing, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Box<dyn Prepared>> {
    let target = job.coarse(scene, Layer::Target, exec)?;
    job.prepare(scene, exec, |_, mixtures| {
        Ok(Question {
            least_cells: mixtures.classes,
            mixtures,
            bounds: target.axis_iter(Axis(0)).map(|band| parameters.bounds.of(band.iter())).collect(),
            sides: target.clone(),
            change: false,
            radius: (parameters.window / 2) as usize,
            border: parameters.border,
            least_share: 0.0,
            prior: Prior::Centre,
        })
    })
}
