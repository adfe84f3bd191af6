//! What STDFA asks of every window.

use ndarray::{concatenate, Array3, Axis, Zip};
use stfusion_core::method::{Layer, Prepared, Scene};
use stfusion_core::{Error, Exec, Result};

use super::Parameters;
use crate::blocks::border::Border;
use crate::blocks::unmixing::assigned::Unmixing;
use crate::blocks::unmixing::class_values::{Prior, Question};

/// Change of the class values from the day of every pair to the target day.
///
/// # Errors
/// Those of [`Unmixing::prepare`].
pub fn prepare(parameters: &Parameters, job: &Unmixing, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Box<dyn Prepared>> {
    let target = job.coarse(scene, Layer::Target, exec)?;
    job.prepare(scene, exec, |k, mut mixtures| {
        mixtures.merge_small_shares(parameters.abundance_threshold);
        let sides = both_days(job.coarse(scene, Layer::Coarse(k), exec)?, target.clone())?;
        Ok(Question {
            least_cells: mixtures.classes + 1,
            mixtures,
            bounds: sides.axis_iter(Axis(0)).map(|band| parameters.bounds.of(band.iter())).collect(),
            sides,
            change: true,
            radius: (parameters.window / 2) as usize,
            border: Border::Clip,
            least_share: 0.0,
            prior: Prior::Centre,
        })
    })
}

/// The bands of both days, where both are valid.
fn both_days(mut pair: Array3<f64>, mut target: Array3<f64>) -> Result<Array3<f64>> {
    Zip::from(&mut pair).and(&mut target).for_each(|a, b| {
        if a.is_nan() || b.is_nan() {
            (*a, *b) = (f64::NAN, f64::NAN);
        }
    });
    concatenate(Axis(0), &[pair.view(), target.view()]).map_err(|e| Error::internal(e.to_string()))
}
