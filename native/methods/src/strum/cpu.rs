//! What STRUM asks of every window.

use ndarray::Axis;
use stfusion_core::method::{Layer, Prepared, Scene};
use stfusion_core::{Exec, Result};

use super::{Parameters, Solution};
use crate::blocks::border::Border;
use crate::blocks::unmixing::assigned::Unmixing;
use crate::blocks::unmixing::class_values::{Prior, Question};
use crate::blocks::unmixing::Bounds;

/// Changes of the classes from the day of every pair to the target day.
///
/// # Errors
/// Those of [`Unmixing::prepare`].
pub fn prepare(parameters: &Parameters, job: &Unmixing, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Box<dyn Prepared>> {
    let target = job.coarse(scene, Layer::Target, exec)?;
    job.prepare(scene, exec, |k, mut mixtures| {
        let change = &target - &job.coarse(scene, Layer::Coarse(k), exec)?;
        let (bounds, least_cells, least_share, prior) = match parameters.solution {
            Solution::Bayesian => {
                let prior = Prior::Purest { ridge: parameters.prior_ratio.powi(2), by_purity: parameters.precision_by_purity };
                (Bounds::None, 1, parameters.least_abundance, prior)
            }
            Solution::Bounded => {
                mixtures.merge_small_shares(parameters.abundance_threshold);
                (Bounds::Widened, mixtures.classes + 1, 0.0, Prior::Centre)
            }
        };
        Ok(Question {
            mixtures,
            bounds: change.axis_iter(Axis(0)).map(|band| bounds.of(band.iter())).collect(),
            sides: change,
            change: false,
            radius: (parameters.window / 2) as usize,
            border: Border::Clip,
            least_cells,
            least_share,
            prior,
        })
    })
}
