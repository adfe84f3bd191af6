//! The generator that SS-STFM and HPLTS-GAN share: encoders of three scales for the coarse target image and for a fine image, and
//! a decoder that goes up again with the features of every scale beside.

use super::blocks::padded;
use crate::builder::{Builder, Var};

/// The slope of leaky ReLUs below zero.
const SLOPE: f64 = 0.2;

/// The graph, where `joined` makes one set of features of those of both encoders, given the number of the scale.
pub(super) fn build<'b>(b: &'b Builder<'b>, joined: impl Fn(usize, Var<'b>, Var<'b>) -> Var<'b>) {
    let root = b.root();
    let layer = |name: &str, x, stride| padded(&root, name, x, stride).leaky_relu(SLOPE);
    let (mut coarse, mut fine) = (b.input("coarse_t2"), b.input("fine_t1"));
    let features = [0, 1, 2].map(|i| {
        let stride = if i == 0 { 1 } else { 2 };
        coarse = layer(&format!("ec.{i}"), coarse, stride);
        fine = layer(&format!("ef.{i}"), fine, stride);
        joined(i, coarse, fine)
    });
    let mut x = layer("b", features[2], 1);
    for (name, beside) in [("u2", features[1]), ("u1", features[0])] {
        let enlarged = x.resize_nearest([beside.dim(2), beside.dim(3)]);
        x = layer(name, enlarged.concat(1, &[beside]), 1);
    }
    b.output("fine_t2", padded(&root, "out", x, 1));
}
