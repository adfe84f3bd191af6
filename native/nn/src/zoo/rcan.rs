//! RCAN (Zhang et al. 2018): super-resolution by groups of residual blocks with attention to channels.
//!
//! RCAN-FSDAF enlarges the coarse images with it, in stages of 2 and of 4, and fuses them with FSDAF afterwards. A block is
//! `x + y sigmoid(conv1(relu(conv1(mean y))))` with `y = conv3(relu(conv3 x))`; blocks make a group, groups a body, each with a way
//! around and a convolution at its end. The tail enlarges by pixel shuffling: once by 3, or as often by 2 as the weights have layers.
//!
//! # As trained
//! * Inputs: `image`, three bands
//! * Scaling: 0 to 255; `sub_mean` and `add_mean` take off and put back the mean of the training images
//! * Patch: 48 pixels of the small image; any size
//! * Coarse: on its own grid

use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};

/// The network, from a small `image` to a large one.
pub const RCAN: Network = Network {
    id: "rcan",
    name: "RCAN",
    reference: "Zhang, Li, Li, Wang, Zhong, Fu 2018, doi:10.1007/978-3-030-01234-2_18; RCAN-FSDAF: Cui, Wang, Zhao, Zhang 2024, doi:10.1109/JSTARS.2024.3382136",
    build,
};

/// A 3x3 convolution.
fn conv<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    scope.conv(name, x, Conv::new(scope.size(&format!("{name}.weight"), 0), 3).pad(1))
}

/// A 1x1 convolution.
fn point<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    scope.conv(name, x, Conv::new(scope.size(&format!("{name}.weight"), 0), 1))
}

fn block<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let y = conv(scope, "2", conv(scope, "0", x).relu());
    let attention = point(scope, "3.conv_du.0", y.mean(&[2, 3], true)).relu();
    y * point(scope, "3.conv_du.2", attention).sigmoid() + x
}

fn build<'b>(b: &'b Builder<'b>) {
    let net = b.root();
    let head = conv(&net, "head.0", point(&net, "sub_mean", b.input("image")));
    let groups = net.count("body.", ".body.0.body.0.weight");
    let mut x = head;
    for g in 0..groups {
        let group = net.scope(&format!("body.{g}.body"));
        let blocks = group.count("", ".body.0.weight");
        let y = (0..blocks).fold(x, |y, i| block(&group.scope(&format!("{i}.body")), y));
        x = conv(&group, &blocks.to_string(), y) + x;
    }
    let mut y = conv(&net, &format!("body.{groups}"), x) + head;
    // the tail's convolutions are numbered with a shuffling after each
    let tail = net.scope("tail.0");
    for i in (0..).step_by(2).take_while(|i| tail.has(&format!("{i}.weight"))) {
        let factor = (tail.size(&format!("{i}.weight"), 0) / y.dim(1).max(1)).isqrt();
        y = conv(&tail, &i.to_string(), y).pixel_shuffle(factor.max(1));
    }
    b.output("image", point(&net, "add_mean", conv(&net, "tail.1", y)));
}
