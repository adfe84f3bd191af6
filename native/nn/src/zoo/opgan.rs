//! OPGAN (Song et al. 2020): three residual branches, for the temporal change, for what distinguishes the sensors, and for the fine image itself.
//!
//! Each branch is a 9x9 convolution, residual blocks and a convolution with a way around them. The features of the change
//! (`C2 - C1`) and of the difference of sensors (`F1 - C1`) together give the fine change; with the features of `F1` they give the
//! prediction.
//!
//! This is the public re-implementation.
//!
//! # As trained
//! * Inputs: `coarse_t1`, `coarse_t2`, `fine_t1`
//! * Scaling: [-1, 1]
//! * Patch: any size
//! * Coarse: on the fine grid

use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};

/// The generator.
pub const OPGAN: Network =
    Network { id: "opgan", name: "OPGAN", reference: "Song, Zhang, Zhang 2020, doi:10.1109/IGARSS39084.2020.9324101", build };

const EPSILON: f64 = 1e-5;

/// `x + tail(blocks(x))` of `x = relu(head image)`; the layers' names begin with `NAME_RBs`.
pub(super) fn branch<'b>(net: &Scope<'b>, name: &str, image: Var<'b>) -> Var<'b> {
    let conv = |layer: &str, x: Var<'b>| {
        let (width, kernel) = (net.size(&format!("{layer}.weight"), 0), net.size(&format!("{layer}.weight"), 2));
        net.conv(layer, x, Conv::new(width, kernel).pad(kernel / 2))
    };
    let norm = |layer: &str, x| net.batch_norm(layer, x, EPSILON);
    let head = conv(&format!("{name}_RBs_head.0"), image).relu();
    let blocks = net.count(&format!("{name}_RBs."), ".conv1.weight");
    let y = (0..blocks).fold(head, |x, i| {
        let block = format!("{name}_RBs.{i}");
        let y = norm(&format!("{block}.bn1"), conv(&format!("{block}.conv1"), x)).relu();
        norm(&format!("{block}.bn2"), conv(&format!("{block}.conv2"), y)) + x
    });
    head + norm(&format!("{name}_RBs_tail.1"), conv(&format!("{name}_RBs_tail.0"), y))
}

fn build<'b>(b: &'b Builder<'b>) {
    let net = b.root();
    let (coarse_1, coarse_2, fine_1) = (b.input("coarse_t1"), b.input("coarse_t2"), b.input("fine_t1"));
    let change = branch(&net, "TCCB", coarse_2 - coarse_1) + branch(&net, "SDEB", fine_1 - coarse_1);
    let base = branch(&net, "BILB", fine_1);
    let tail = |name: &str, x| {
        let (bands, kernel) = (net.size(&format!("{name}.weight"), 0), net.size(&format!("{name}.weight"), 2));
        net.conv(name, x, Conv::new(bands, kernel).pad(kernel / 2)).tanh()
    };
    b.output("fine_t2", tail("tail.0", change + base));
    b.output("change_12", tail("temporal_change_tail.0", change));
}
