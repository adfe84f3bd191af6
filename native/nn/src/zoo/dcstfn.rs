//! DCSTFN (Tan et al. 2018): features of the fine reference image, less those of the coarse image of its date, plus those of the
//! coarse image of the target date, decoded into the prediction.
//!
//! The coarse images come on their own grid and are enlarged to half the fine grid by transposed convolutions; the fine image is
//! pooled to it. The last transposed convolution leads to the fine grid, two linear layers to the band. Convolutions pad with
//! zeros.
//!
//! # As trained
//! * Inputs: `coarse_t1`, `fine_t1`, `coarse_t2`, of one band: one network for every band
//! * Scaling: reflectance, DN / 10000
//! * Patch: any size; coarse images have a sixteenth of the rows and columns (a transposed convolution more or less doubles or
//!   halves that)
//! * Coarse: on its own grid

use super::Network;
use crate::builder::{Builder, Conv, Scope, Var, Window};

/// The network.
pub const DCSTFN: Network =
    Network { id: "dcstfn", name: "DCSTFN", reference: "Tan, Yue, Di, Tang 2018, doi:10.3390/rs10071066", build };

fn convolution<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    let outputs = scope.size(&format!("{name}.weight"), 0);
    scope.conv(name, x, Conv::new(outputs, 3).pad(1)).relu()
}

/// Twice the rows and columns.
fn doubled<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    let outputs = scope.size(&format!("{name}.weight"), 1);
    scope.conv_transpose(name, x, Conv::new(outputs, 3).stride(2).pad(1).output_pad(1)).relu()
}

fn build<'b>(b: &'b Builder<'b>) {
    let (coarse_1, fine, coarse_2) = (b.input("coarse_t1"), b.input("fine_t1"), b.input("coarse_t2"));
    let doublings = b.count("coarse_net.deconvs.", ".weight");
    let factor = 2 << doublings;
    for coarse in [coarse_1, coarse_2] {
        if [fine.dim(2), fine.dim(3)] != [coarse.dim(2) * factor, coarse.dim(3) * factor] {
            b.refuse(format!(
                "a fine image of {} x {} pixels with a coarse one of {} x {}; rows and columns must be {factor} times those of the \
                 coarse image",
                fine.dim(2),
                fine.dim(3),
                coarse.dim(2),
                coarse.dim(3)
            ));
        }
    }
    let coarse_features = |x| {
        let net = b.scope("coarse_net");
        let x = convolution(&net, "conv2", convolution(&net, "conv1", x));
        let x = (0..doublings).fold(x, |x, i| doubled(&net, &format!("deconvs.{i}"), x));
        convolution(&net, "conv3", x)
    };
    let fine_features = {
        let net = b.scope("fine_net");
        let x = convolution(&net, "conv2", convolution(&net, "conv1", fine)).max_pool(Window::new(2));
        convolution(&net, "conv4", convolution(&net, "conv3", x))
    };
    let features = fine_features - coarse_features(coarse_1) + coarse_features(coarse_2);

    let net = b.scope("reconstruct_net");
    let x = doubled(&net, "deconv", features).permute(&[0, 2, 3, 1]);
    let x = net.linear("dense1", x, net.size("dense1.weight", 0)).relu();
    let x = net.linear("dense2", x, net.size("dense2.weight", 0));
    b.output("fine_t2", x.permute(&[0, 3, 1, 2]));
}
