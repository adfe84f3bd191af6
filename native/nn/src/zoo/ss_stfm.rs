//! SS-STFM (Weng et al. 2024): a conditional generator of two encoders and a decoder, trained against a discriminator of patches;
//! predictions are made in blocks with margins, of which only the middles are kept, so that no seams are seen.
//!
//! The authors published a figure but no code. What it shows is built as it shows it; sizes and details it does not show are
//! those of this project's specification, so weights that others have trained will not fit. At every scale the features of both
//! encoders are joined side by side.
//!
//! # As trained
//! * Inputs: `coarse_t2`, `fine_t1`
//! * Scaling: reflectance, DN / 10000
//! * Patch: any size
//! * Coarse: on the fine grid

use super::{twin_encoders, Network};
use crate::builder::Builder;

/// The generator.
pub const SS_STFM: Network = Network {
    id: "ss-stfm",
    name: "SS-STFM",
    reference: "Weng, Zhan, Gu, Yang, Liu, Guo, Lian, Zhang, Wang, Zhao 2024, doi:10.1109/JSTARS.2024.3381185",
    build,
};

fn build<'b>(b: &'b Builder<'b>) {
    twin_encoders::build(b, |_, coarse, fine| coarse.concat(1, &[fine]));
}
