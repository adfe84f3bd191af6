//! The published networks, one file each.
//!
//! A network's file holds one [`Network`] and one function that builds its graph: structured and named like the paper, with the
//! published parameter names. Widths, depths and bands come from the shapes of the weights ([`crate::Builder::size`],
//! [`crate::Builder::count`]); what shapes cannot tell comes from options ([`crate::Builder::option`]).
//!
//! Inputs have the same names in every network: `coarse_t1`, `fine_t1`, `coarse_t2` (the target), `coarse_t3`, `fine_t3`; an image
//! that stands alone is `image`. The prediction is the output `fine_t2`. A network with inputs of another kind names them like its
//! paper.

use std::collections::BTreeMap;

use stfusion_core::Result;

use crate::builder::{Builder, Tensors};
use crate::graph::Graph;

mod attention;
mod blocks;
pub mod cfformer;
pub mod cig_stf;
pub mod ctstfm;
pub mod dcdgan_stf;
pub mod dcstfn;
pub mod densestf;
pub mod diffstf;
pub mod diffstsf;
pub mod dstfnet;
pub mod ecpw_stfn;
pub mod edcstfn;
pub mod gan_stfm;
pub mod hplts_gan;
pub mod lunet;
pub mod mgsfformer;
pub mod mlff_gan;
pub mod mlknet;
pub mod msfusion;
pub mod mustfn;
pub mod opgan;
mod pyramid;
pub mod rcan;
pub mod rsfn;
pub mod sdcs;
pub mod srsf_gan;
pub mod ss_stfm;
pub mod stfdcnn;
pub mod stfdiff;
pub mod stfgan;
pub mod stfmlp;
pub mod stfnet;
pub mod stformer;
pub mod stm_stfnet;
pub mod swin_stfm;
pub mod ttsfnet;
mod twin_encoders;
mod windows;

/// A published network.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// Id in weights files and on the command line.
    pub id: &'static str,
    /// Name in the paper.
    pub name: &'static str,
    /// The paper: authors, year, DOI.
    pub reference: &'static str,
    /// Builds the graph; what goes wrong is kept by the builder.
    pub build: for<'b> fn(&'b Builder<'b>),
}

/// Every network.
pub const NETWORKS: &[&Network] = &[
    &cfformer::CFFORMER,
    &cig_stf::CIG_STF,
    &ctstfm::CTSTFM,
    &dcdgan_stf::DCDGAN_STF,
    &dcstfn::DCSTFN,
    &densestf::DENSESTF,
    &diffstf::DIFFSTF,
    &diffstsf::DIFFSTSF,
    &dstfnet::DSTFNET,
    &ecpw_stfn::ECPW_STFN,
    &edcstfn::EDCSTFN,
    &edcstfn::FEATURES,
    &gan_stfm::GAN_STFM,
    &gan_stfm::DISCRIMINATOR,
    &gan_stfm::FEATURES,
    &hplts_gan::HPLTS_GAN,
    &lunet::LUNET,
    &lunet::LUNET_SUN,
    &mgsfformer::MGSFFORMER,
    &mlff_gan::MLFF_GAN,
    &mlff_gan::DISCRIMINATOR,
    &mlknet::MLKNET,
    &msfusion::MSFUSION,
    &mustfn::MUSTFN,
    &opgan::OPGAN,
    &rcan::RCAN,
    &rsfn::RSFN,
    &rsfn::DISCRIMINATOR,
    &rsfn::FEATURES,
    &sdcs::SDCS,
    &srsf_gan::SRSF_GAN,
    &srsf_gan::DISCRIMINATOR,
    &ss_stfm::SS_STFM,
    &stfdcnn::STFDCNN,
    &stfdiff::STFDIFF,
    &stfgan::STFGAN,
    &stfgan::DISCRIMINATOR,
    &stfmlp::STFMLP,
    &stfnet::STFNET,
    &stformer::STFORMER,
    &stm_stfnet::STM_STFNET,
    &swin_stfm::SWIN_STFM,
    &ttsfnet::TTSFNET,
];

/// The network of this id, in its own form or in that of weights files.
pub fn network(id: &str) -> Option<&'static Network> {
    NETWORKS.iter().find(|n| n.id == id || n.id_in_files() == id).copied()
}

impl Network {
    /// Its id in weights files and among methods, where words are joined by `_`.
    pub fn id_in_files(&self) -> String {
        self.id.replace('-', "_")
    }

    /// Pairs that these weights are for, where they alone decide: STFDiff was trained with one, or with two.
    pub fn references(&self, weights: &dyn Tensors) -> Option<usize> {
        if self.id == stfdiff::STFDIFF.id {
            stfdiff::references(weights)
        } else {
            None
        }
    }

    /// The network for images of these names and shapes `(batch, band, row, column)`.
    ///
    /// # Errors
    /// The weights are not those of the network, an image is missing or superfluous, or the network cannot take images of this
    /// size.
    pub fn graph(
        &self,
        weights: &dyn Tensors,
        images: &[(&str, Vec<usize>)],
        options: &BTreeMap<String, String>,
    ) -> Result<Graph> {
        let builder = Builder::new(self.name, weights, images).with_options(options.clone());
        (self.build)(&builder);
        builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_found() {
        for n in NETWORKS {
            assert_eq!(network(n.id).map(|found| found.name), Some(n.name));
            assert_eq!(network(&n.id_in_files()).map(|found| found.name), Some(n.name));
            assert!(n.reference.len() > 10, "{}: a paper, or where it was published", n.id);
            assert!(n.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{}", n.id);
        }
        assert!(network("nothing").is_none());
    }
}
