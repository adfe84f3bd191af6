//! MLKNet (Jiang et al. 2024): features of the coarse change and of the fine reference image, four stages each, fused stage by
//! stage; those of the change go through attention with large kernels first.
//!
//! The authors published a figure but no code. What it shows is built as it shows it; sizes and details it does not show are
//! those of this project's specification, so weights that others have trained will not fit. Everything happens at full
//! resolution: a stage is a residual block, large-kernel attention multiplies features with 5x5 and dilated 7x7 convolutions of
//! each channel, a fusion weights channels by their mean over the image, so that a prediction depends on the tile it was made in.
//!
//! # As trained
//! * Inputs: `coarse_t1`, `coarse_t2`, `fine_t1`
//! * Scaling: reflectance, DN / 10000
//! * Patch: any size
//! * Coarse: on the fine grid

use super::blocks::{padded, pointwise};
use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};

/// The network.
pub const MLKNET: Network =
    Network { id: "mlknet", name: "MLKNet", reference: "Jiang, Qian, Yang, Liu 2024, doi:10.1109/JSTARS.2023.3338978", build };

fn residual<'b>(block: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    x + padded(block, "conv2", padded(block, "conv1", x, 1).relu(), 1)
}

/// Attention with large kernels: a chain of convolutions of each channel weights the channels that it came from.
fn large_kernel_attention<'b>(block: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let y = pointwise(block, "p1", x).gelu();
    let channels = y.dim(1);
    let near = block.conv("dw", y, Conv::new(channels, 5).pad(2).groups(channels));
    let far = block.conv("dwd", near, Conv::new(channels, 7).pad(9).dilation(3).groups(channels));
    x + pointwise(block, "p2", y * pointwise(block, "pw", far))
}

fn build<'b>(b: &'b Builder<'b>) {
    let [coarse_1, coarse_2, fine] = ["coarse_t1", "coarse_t2", "fine_t1"].map(|name| b.input(name));
    let root = b.root();
    let (mut change, mut reference) = (padded(&root, "t0", coarse_2 - coarse_1, 1), padded(&root, "r0", fine, 1));
    let mut fused: Option<Var<'b>> = None;
    for i in 0..b.count("t.", ".conv1.weight") {
        change = residual(&b.scope(&format!("t.{i}")), change);
        reference = residual(&b.scope(&format!("r.{i}")), reference);
        let attended = large_kernel_attention(&b.scope(&format!("lam.{i}")), change);
        let all = match fused {
            None => attended.concat(1, &[reference]),
            Some(before) => before.concat(1, &[attended, reference]),
        };
        let y = padded(&root, &format!("f.{i}"), all, 1).relu();
        fused = Some(y * pointwise(&root, &format!("g.{i}"), y.mean(&[2, 3], true)).sigmoid());
    }
    let skip = pointwise(&root, "skip", fine);
    let all = fused.map_or(skip, |fused| fused + skip);
    b.output("fine_t2", padded(&root, "d2", padded(&root, "d1", all, 1).relu(), 1));
}
