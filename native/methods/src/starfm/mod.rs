//! STARFM: spatial and temporal adaptive reflectance fusion model (Gao et al. 2006).

pub mod parameters;

use stfusion_core::method::{check_needs, Family, Method, MethodInfo, Plan, Reference, Request};
use stfusion_core::{Error, ErrorKind, Result};

pub use parameters::Parameters;

static INFO: MethodInfo = MethodInfo {
    id: "starfm",
    label: "STARFM",
    summary: "Weighted mean over similar neighbours of fine value plus coarse change: the classical fusion of Landsat and MODIS",
    family: Family::WeightFunction,
    tags: &["spatial and temporal adaptive reflectance fusion model", "Landsat", "MODIS", "blending", "similar pixels", "moving window"],
    references: &[Reference {
        citation: "Gao, F., Masek, J., Schwaller, M., Hall, F. (2006). On the blending of the Landsat and MODIS surface reflectance: \
                   predicting daily Landsat surface reflectance. IEEE Transactions on Geoscience and Remote Sensing 44(8), 2207-2218",
        doi: "10.1109/TGRS.2006.872081",
    }],
    min_pairs: 1,
    max_pairs: None,
    needs_dates: false,
    accepts_classes: true,
    parameters: Parameters::SPECS,
    readme: include_str!("README.md"),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Starfm;

impl Method for Starfm {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        check_needs(&INFO, request.scene)?;
        Err(Error::new(ErrorKind::Unsupported, "STARFM cannot be run yet"))
    }
}
