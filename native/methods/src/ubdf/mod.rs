//! UBDF: unmixing-based data fusion (Zurita-Milla, Clevers and Schaepman 2008, after the multisensor multiresolution technique of
//! Zhukov, Oertel, Lanzl and Reinhäckel 1999).
//!
//! ```text
//! classes of the fine image; f_jc = share of class c in coarse pixel j
//! for every coarse pixel and band:
//!     m = argmin Σ_j (C_p(j) − Σ_c f_jc m_c)²    over the coarse pixels j of the window, within bounds
//!     every fine pixel of the coarse pixel gets the m of its class
//! ```
//! Edges: where the equations leave a class open it takes the value nearest to the coarse pixel's own; a pixel without a class
//! value gets its coarse value; see `blocks::unmixing`.

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
    id: "ubdf",
    label: "UBDF",
    summary: "Unmixes the coarse image of the target day with the classes of the fine image: every class gets one value per coarse pixel",
    family: Family::Unmixing,
    tags: &["unmixing-based data fusion", "MMT", "spatial unmixing", "constrained linear unmixing", "class map", "MERIS", "Landsat"],
    references: &[
        Reference {
            citation: "Zurita-Milla, R., Clevers, J. G. P. W., Schaepman, M. E. (2008). Unmixing-based Landsat TM and MERIS FR data \
                       fusion. IEEE Geoscience and Remote Sensing Letters 5(3), 453-457",
            doi: "10.1109/LGRS.2008.919685",
        },
        Reference {
            citation: "Zhukov, B., Oertel, D., Lanzl, F., Reinhäckel, G. (1999). Unmixing-based multisensor multiresolution image \
                       fusion. IEEE Transactions on Geoscience and Remote Sensing 37(3), 1212-1226",
            doi: "10.1109/36.763276",
        },
    ],
    min_pairs: 1,
    max_pairs: None,
    needs_dates: false,
    extra_images: &[ExtraImage::Classes],
    coarse_resampling: Resampling::Nearest,
    promises: Promises { keeps_unchanged: false, trained_elsewhere: false, bands_apart: false },
    parameters: Parameters::SPECS,
    readme: include_str!("README.md"),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Ubdf;

impl Method for Ubdf {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        let parameters = Parameters::from_values(request.values)?;
        let classification = Classification::new(parameters.classification, parameters.classes, parameters.seed);
        let unmixing = Unmixing::new(&INFO, request.scene, parameters.scale, classification, Meaning::Value)?;
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

    crate::blocks::unmixing::cases::agrees_with_reference!(Ubdf);
}
