//! DCDGAN-STF (Zhang et al. 2024), the student's generator: coarse features of the reference date are aligned to the target date
//! by deformable convolutions, scale by scale, and decoded together with the features of the fine image.
//!
//! The authors' code is not in what this project knows. What their figure shows is built as it shows it; sizes and details it
//! does not show are those of this project's specification, so weights that others have trained may not fit. From the coarsest
//! scale on, the offsets and weights of the taps follow from the features of both dates and the offsets of the scale before. The
//! teacher is the same network with other images in the places: `coarse_t1` the fine reference, `coarse_t2` the fine target,
//! `fine_t1` the coarse reference.
//!
//! # As trained
//! * Inputs: `coarse_t1`, `coarse_t2`, `fine_t1`
//! * Scaling: reflectance, DN / 10000
//! * Patch: any size
//! * Coarse: on the fine grid
//!
//! # Beside the prediction
//! Outputs beside the prediction are the aligned features `aligned_0` (the finest) to `aligned_2`, which the distillation
//! compares.

use super::blocks::padded;
use super::Network;
use crate::builder::{Builder, Scope, Var};
use crate::ops::DeformableConvolution;

/// The generator.
pub const DCDGAN_STF: Network = Network {
    id: "dcdgan-stf",
    name: "DCDGAN-STF",
    reference: "Zhang, Fan, Duan, Dong, Lei 2024, doi:10.1109/JSTARS.2024.3476153",
    build,
};

/// The slope of leaky ReLUs below zero.
const SLOPE: f64 = 0.1;

/// Taps of a deformable convolution.
const TAPS: usize = 9;

/// Features at every scale, the finest first.
fn encoder<'b>(scope: &Scope<'b>, image: Var<'b>) -> [Var<'b>; 3] {
    let mut x = image;
    [0, 1, 2].map(|i| {
        x = padded(scope, &format!("c.{i}"), x, if i == 0 { 1 } else { 2 }).leaky_relu(SLOPE);
        x
    })
}

/// A convolution whose taps move, and weigh, as `guide` says.
fn deformable<'b>(scope: &Scope<'b>, x: Var<'b>, guide: Var<'b>) -> Var<'b> {
    let channels = x.dim(1);
    let guide = padded(scope, "om", guide, 1);
    let (offsets, weights) = (guide.slice(1, 0..2 * TAPS), guide.slice(1, 2 * TAPS..3 * TAPS).sigmoid());
    let op = DeformableConvolution { stride: [1; 2], dilation: [1; 2], pads: [(1, 1); 2], masked: true };
    let (kernel, bias) = (scope.weight("weight", &[channels, channels, 3, 3]), scope.weight("bias", &[channels]));
    x.apply(op, &[offsets, kernel, weights, bias])
}

fn size<'b>(x: Var<'b>) -> [usize; 2] {
    [x.dim(2), x.dim(3)]
}

/// The features `from`, aligned to `to`.
fn aligned<'b>(b: &'b Builder<'b>, from: [Var<'b>; 3], to: [Var<'b>; 3]) -> [Var<'b>; 3] {
    let root = b.root();
    let layer = |name: &str, i: usize, x| padded(&root, &format!("{name}.{i}"), x, 1).leaky_relu(SLOPE);
    let moved = |i: usize, guide| deformable(&b.scope(&format!("dcn.{i}")), from[i], guide);
    let mut guide = layer("of", 2, from[2].concat(1, &[to[2]]));
    let mut aligned = [moved(2, guide).leaky_relu(SLOPE); 3];
    for i in [1, 0] {
        let own = layer("of", i, from[i].concat(1, &[to[i]]));
        // distances in pixels are twice as many at twice the resolution
        let coarser = guide.resize_bilinear(size(own), false) * 2.0;
        guide = layer("of2", i, own.concat(1, &[coarser]));
        let here = moved(i, guide);
        let coarser = aligned[i + 1].resize_bilinear(size(here), false);
        aligned[i] = layer("fu", i, here.concat(1, &[coarser]));
    }
    aligned
}

fn build<'b>(b: &'b Builder<'b>) {
    let [coarse_1, coarse_2, fine] = ["coarse_t1", "coarse_t2", "fine_t1"].map(|name| b.input(name));
    let [from, to] = [coarse_1, coarse_2].map(|image| encoder(&b.scope("em"), image));
    let fine = encoder(&b.scope("el"), fine);
    let aligned = aligned(b, from, to);

    let root = b.root();
    let mut x = padded(&root, "d3", aligned[2].concat(1, &[fine[2]]), 1).leaky_relu(SLOPE);
    for (name, i) in [("d2", 1), ("d1", 0)] {
        let enlarged = x.resize_nearest(size(aligned[i]));
        x = padded(&root, name, enlarged.concat(1, &[aligned[i], fine[i]]), 1).leaky_relu(SLOPE);
    }
    b.output("fine_t2", padded(&root, "out", x, 1));
    aligned.iter().enumerate().for_each(|(i, &x)| b.output(&format!("aligned_{i}"), x));
}
