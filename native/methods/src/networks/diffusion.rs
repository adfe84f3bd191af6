//! The sampler of a diffusion network, as its weights describe it.

use stfusion_core::{Error, ErrorKind, Result};
use stfusion_nn::sampler::{Estimate, Rule, Sampler, Schedule, SeededNoise, Variance};
use stfusion_nn::weights::Metadata;

use super::images::Preparation;
use super::Parameters;

/// How an image comes of noise.
#[derive(Debug, Clone)]
pub struct Diffusion {
    /// The sampler.
    pub sampler: Sampler,
    seed: u64,
}

impl Diffusion {
    /// As the options of `metadata` say; `None` for a network that takes no noisy image.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] for an option that is missing or means nothing; [`ErrorKind::Argument`] for more steps than there are.
    pub fn new(metadata: &Metadata, parameters: &Parameters, preparation: &Preparation) -> Result<Option<Diffusion>> {
        if !preparation.is_diffusion() {
            return Ok(None);
        }
        let trained = metadata.count("train_steps")?.ok_or_else(|| {
            Error::new(ErrorKind::Data, "the number of steps it was trained with is said nowhere")
                .with_hint("Give the option train_steps in a description of the weights.")
        })?;
        let schedule = match metadata.word("schedule", &["cosine", "linear"])? {
            Some("linear") => Schedule::linear(trained)?,
            _ => Schedule::cosine(trained)?,
        };
        let wanted = match parameters.steps {
            0 => metadata.count("steps")?.unwrap_or(trained),
            steps => steps as usize,
        };
        let steps = match metadata.word("spacing", &["spread", "strided"])? {
            _ if wanted == trained => schedule.all(),
            Some("strided") => schedule.strided(wanted)?,
            _ => schedule.spread(wanted)?,
        };
        let estimate = match metadata.word("objective", &["pred_x0", "pred_noise"])? {
            Some("pred_noise") => Estimate::Noise,
            _ => Estimate::Clean,
        };
        let rule = match metadata.word("sampler", &["ddim", "ddpm"])? {
            Some("ddpm") => match metadata.word("variance", &["posterior", "learnt"])? {
                Some("learnt") => Rule::Ancestral(Variance::Learnt),
                _ => Rule::Ancestral(Variance::Posterior),
            },
            _ => {
                let rederived = metadata.word("put_back", &["estimated", "rederived"])? == Some("rederived");
                Rule::Implicit { eta: metadata.number("eta")?.unwrap_or(0.0), rederived }
            }
        };
        Ok(Some(Diffusion { sampler: Sampler::new(schedule, steps, estimate, rule)?, seed: parameters.seed as u64 }))
    }

    /// The noise of a patch that begins at a pixel of the scene.
    pub fn noise(&self, (row, column): (usize, usize)) -> SeededNoise {
        SeededNoise { seed: self.seed, row, column }
    }
}
