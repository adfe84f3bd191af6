//! STFGAN (Zhang et al. 2021): the three coarse images and the two fine ones, each through a residual network, the coarse features
//! enlarged by 4, both merged by one convolution.
//!
//! This is the public re-implementation.
//!
//! # As trained
//! * Inputs: `coarse_t1`, `coarse_t2`, `coarse_t3`, `fine_t1`, `fine_t3`
//! * Scaling: [-1, 1]
//! * Patch: any size, fine sides multiples of 4
//! * Coarse: on a grid four times coarser than the fine one (two pixel shuffles by 2)

use super::opgan::branch;
use super::Network;
use crate::builder::{Builder, Conv};

/// The generator.
pub const STFGAN: Network = Network { id: "stfgan", name: "STFGAN", reference: REFERENCE, build };

/// The discriminator: from `image` to one number, larger where it looks real.
pub const DISCRIMINATOR: Network =
    Network { id: "stfgan-discriminator", name: "discriminator of STFGAN", reference: REFERENCE, build: discriminator };

const REFERENCE: &str = "Zhang, Song, Han, Zhang 2021, doi:10.1109/TGRS.2020.3010530";

const EPSILON: f64 = 1e-5;
const SLOPE: f64 = 0.2;

fn build<'b>(b: &'b Builder<'b>) {
    let net = b.root();
    let [coarse_1, coarse_2, coarse_3] = ["coarse_t1", "coarse_t2", "coarse_t3"].map(|name| b.input(name));
    let [fine_1, fine_3] = ["fine_t1", "fine_t3"].map(|name| b.input(name));
    let layers: Vec<usize> = (0..).step_by(3).take_while(|i| net.has(&format!("CIFEB_upsample.{i}.weight"))).collect();
    let factor = 1 << layers.len().min(16);
    let (rows, columns) = (fine_1.dim(2), fine_1.dim(3));
    if (rows, columns) != (factor * coarse_1.dim(2), factor * coarse_1.dim(3)) {
        let (h, w) = (coarse_1.dim(2), coarse_1.dim(3));
        return b.refuse(format!(
            "fine images of {rows} x {columns} and coarse ones of {h} x {w} pixels; fine sides must be {factor} times the coarse ones"
        ));
    }
    let mut coarse = branch(&net, "CIFEB", coarse_1.concat(1, &[coarse_2, coarse_3]));
    for i in layers {
        let layer = format!("CIFEB_upsample.{i}");
        coarse = net.conv(&layer, coarse, Conv::new(net.size(&format!("{layer}.weight"), 0), 3).pad(1)).pixel_shuffle(2).relu();
    }
    let fine = branch(&net, "FIFEB", fine_1.concat(1, &[fine_3]));
    let (bands, kernel) = (net.size("TBF_conv.weight", 0), net.size("TBF_conv.weight", 2));
    b.output("fine_t2", net.conv("TBF_conv", coarse.concat(1, &[fine]), Conv::new(bands, kernel).pad(kernel / 2)).tanh());
}

fn discriminator<'b>(b: &'b Builder<'b>) {
    let net = b.scope("net");
    let width = |i: usize| net.size(&format!("{i}.weight"), 0);
    let mut x = net.conv("0", b.input("image"), Conv::new(width(0), 3).pad(1)).leaky_relu(SLOPE);
    // convolutions from layer 2 on, each followed by its normalisation and a nonlinearity; every other one halves
    let mut i = 2;
    while net.has(&format!("{}.running_mean", i + 1)) {
        let stride = if i % 2 == 0 { 2 } else { 1 };
        let y = net.conv(&i.to_string(), x, Conv::new(width(i), 3).stride(stride).pad(1));
        x = net.batch_norm(&(i + 1).to_string(), y, EPSILON).leaky_relu(SLOPE);
        i += 3;
    }
    // layer i is the mean over the image
    let y = net.conv(&(i + 1).to_string(), x.mean(&[2, 3], true), Conv::new(width(i + 1), 1)).leaky_relu(SLOPE);
    b.output("realness", net.conv(&(i + 3).to_string(), y, Conv::new(width(i + 3), 1)));
}
