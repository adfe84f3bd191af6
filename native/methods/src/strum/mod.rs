//! STRUM: spatial and temporal reflectance unmixing model (Gevaert and García-Haro 2015).
//!
//! ```text
//! classes of the fine image; A = shares of the classes in the coarse pixels of a window; r = their change C_p − C_k
//! for every coarse pixel and band:
//!     Σ_e = (Σ_0⁻¹ + Aᵀ Σ_r⁻¹ A)⁻¹        e = Σ_e (Aᵀ Σ_r⁻¹ r + Σ_0⁻¹ e_0)                       equations 4 and 5
//!     e_0(c) = change of the coarse pixel with the largest share of c       Σ_0 = σ_0² I, Σ_r = σ_r² I
//! F_p = F_k + e_class                                                                             equation 8
//! ```
//! which is the least squares of A e = r and (σ_r / σ_0) e = (σ_r / σ_0) e_0 together. Edges: as STDFA's.

pub mod cases;
pub mod cpu;
pub mod parameters;
pub mod reference;

use stfusion_core::method::{
    Cost, DeviceCost, ExtraImage, Family, Method, MethodInfo, Plan, Prepared, Promises, Reference, Request, Scene,
};
use stfusion_core::source::Resampling;
use stfusion_core::{Exec, Result};

use crate::blocks::classifiers::Classification;
use crate::blocks::unmixing::assigned::{Meaning, Unmixing};

pub use parameters::{Parameters, Solution};

static INFO: MethodInfo = MethodInfo {
    id: "strum",
    label: "STRUM",
    summary: "Unmixes the coarse change by the classes of the fine image, with a prior from the purest coarse pixels, and adds it to the pixels of each class",
    family: Family::Unmixing,
    tags: &["spatial and temporal reflectance unmixing model", "Bayesian unmixing", "spatial unmixing", "ISTRUM", "class map"],
    references: &[Reference {
        citation: "Gevaert, C. M., García-Haro, F. J. (2015). A comparison of STARFM and an unmixing-based algorithm for Landsat and \
                   MODIS data fusion. Remote Sensing of Environment 156, 34-44",
        doi: "10.1016/j.rse.2014.09.012",
    }],
    min_pairs: 1,
    max_pairs: None,
    needs_dates: false,
    extra_images: &[ExtraImage::Classes],
    coarse_resampling: Resampling::Nearest,
    promises: Promises { keeps_unchanged: true, trained_elsewhere: false, bands_apart: false },
    parameters: Parameters::SPECS,
    readme: include_str!("README.md"),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Strum;

impl Method for Strum {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        let parameters = Parameters::from_values(request.values)?;
        let classification = Classification::new(parameters.classification, parameters.classes, parameters.seed);
        let unmixing = Unmixing::new(&INFO, request.scene, parameters.scale, classification, Meaning::Change)?;
        Ok(Box::new(Planned { parameters, unmixing }))
    }
}

#[derive(Debug)]
struct Planned {
    parameters: Parameters,
    unmixing: Unmixing,
}

impl Plan for Planned {
    fn cost(&self) -> Cost {
        self.unmixing.cost(1)
    }

    fn device_cost(&self) -> std::result::Result<DeviceCost, &'static str> {
        Ok(self.unmixing.device_cost())
    }

    fn prepare(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Box<dyn Prepared>> {
        cpu::prepare(&self.parameters, &self.unmixing, scene, exec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::blocks::unmixing::cases::agrees_with_reference!(Strum);
}
