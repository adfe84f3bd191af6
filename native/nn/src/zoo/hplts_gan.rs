//! HPLTS-GAN (Lei et al. 2024): a generator that adjusts the spatial distribution of a fine image of any date to the coarse
//! target image, trained against a discriminator; it is meant to depend little on the date of the fine image.
//!
//! The authors published a figure but no code. What it shows is built as it shows it; sizes and details it does not show are
//! those of this project's specification, so weights that others have trained will not fit. At every scale the features of the
//! fine image are normalised per channel over the image, so that a prediction depends on the tile it was made in, and then scaled
//! and shifted, pixel by pixel, as convolutions of the coarse features say.
//!
//! # As trained
//! * Inputs: `coarse_t2`, `fine_t1`
//! * Scaling: reflectance, DN / 10000
//! * Patch: any size
//! * Coarse: on the fine grid

use super::blocks::padded;
use super::{twin_encoders, Network};
use crate::builder::Builder;

/// The generator.
pub const HPLTS_GAN: Network = Network {
    id: "hplts-gan",
    name: "HPLTS-GAN",
    reference: "Lei, Zhu, Li, Tan, Wang, Zhou, Zhang 2024, doi:10.1109/TGRS.2024.3416152",
    build,
};

/// What keeps the divisor of a normalisation from zero.
const EPSILON: f64 = 1e-5;

fn build<'b>(b: &'b Builder<'b>) {
    let root = b.root();
    twin_encoders::build(b, |i, coarse, fine| {
        let scale = 1.0 + padded(&root, &format!("g.{i}"), coarse, 1);
        fine.instance_norm(EPSILON) * scale + padded(&root, &format!("bt.{i}"), coarse, 1)
    });
}
