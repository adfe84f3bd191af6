//! STDFA: spatial temporal data fusion approach (Wu, Niu, Wang, Wu and Wang 2012).
//!
//! ```text
//! classes of the fine image; shares f_jc of the classes in coarse pixel j, small ones joined to the most similar class
//! for every coarse pixel and band, on both days t:
//!     m_c(t) = argmin Σ_j (C_t(j) − Σ_c f_jc m_c)²    over the coarse pixels j of the window, within bounds
//! F_p = F_k + m_class(p) − m_class(k)                                                                    equations 7 and 8
//! ```
//! Edges: as UBDF's; a pixel without a class value changes as its coarse pixel does.

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

pub use parameters::Parameters;

static INFO: MethodInfo = MethodInfo {
    id: "stdfa",
    label: "STDFA",
    summary: "Unmixes the coarse images of both days by the classes of the fine image and adds each class's change to its pixels",
    family: Family::Unmixing,
    tags: &["spatial temporal data fusion approach", "STDFM", "ESTDFM", "ISTDFA", "spatial unmixing", "disaggregation", "class map"],
    references: &[Reference {
        citation: "Wu, M., Niu, Z., Wang, C., Wu, C., Wang, L. (2012). Use of MODIS and Landsat time series data to generate \
                   high-resolution temporal synthetic Landsat data using a spatial and temporal reflectance fusion model. Journal of \
                   Applied Remote Sensing 6(1), 063507",
        doi: "10.1117/1.JRS.6.063507",
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
pub struct Stdfa;

impl Method for Stdfa {
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
        self.unmixing.cost(2)
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

    crate::blocks::unmixing::cases::agrees_with_reference!(Stdfa);
}
