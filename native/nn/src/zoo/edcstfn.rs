//! EDCSTFN (Tan et al. 2019): features of the fine reference image plus features of what changed, decoded into the prediction.
//!
//! `decoder(encoder(F1) + residual(C1 | F1 | C2))`, all of 3x3 convolutions with replicated edges. With a second pair the two sums of
//! features are averaged before they are decoded, each weighted with the inverse of how much changed. Coarse images that are smaller
//! than the fine one are enlarged inside the network (bilinear, corners aligned), as the authors' code does; images on the fine grid
//! are taken as they are.

use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};
use crate::ops::PadMode;

/// The generator, with one or two pairs.
pub const EDCSTFN: Network =
    Network { id: "edcstfn", name: "EDCSTFN", reference: "Tan, Di, Zhang, Guo, Gao 2019, doi:10.3390/rs11242898", build };

/// The encoder whose features the loss compares.
pub const FEATURES: Network = Network {
    id: "edcstfn-features",
    name: "feature encoder of EDCSTFN",
    reference: "Tan, Di, Zhang, Guo, Gao 2019, doi:10.3390/rs11242898",
    build: features,
};

/// What keeps the inverse of a change finite.
const LEAST_CHANGE: f32 = 1e-8;

/// Convolutions with 3x3 kernels, a nonlinearity between them; layer `i` is named `2i`, and within it `1` (`0` pads the edges).
fn convolutions<'b>(scope: &Scope<'b>, mut x: Var<'b>, strides: &[usize]) -> Var<'b> {
    for (i, &stride) in strides.iter().enumerate() {
        let layer = scope.scope(&(2 * i).to_string());
        let outputs = layer.size("1.weight", 0);
        let conv = Conv::new(outputs, 3).pad(1).mode(PadMode::Replicate).stride(stride);
        x = if i == 0 { x } else { x.relu() };
        x = layer.conv("1", x, conv);
    }
    x
}

/// `coarse` on the grid of `fine`.
fn enlarged<'b>(coarse: Var<'b>, fine: Var<'b>) -> Var<'b> {
    let size = [fine.dim(2), fine.dim(3)];
    if size == [coarse.dim(2), coarse.dim(3)] {
        coarse
    } else {
        coarse.resize_bilinear(size, true)
    }
}

fn build<'b>(b: &'b Builder<'b>) {
    let encoder = |fine| convolutions(&b.scope("encoder"), fine, &[1; 3]).relu();
    let residual = |coarse, fine: Var<'b>, target| {
        convolutions(&b.scope("residual"), enlarged(coarse, fine).concat(1, &[fine, target]), &[1; 3])
    };
    let decoder = |features| {
        let scope = b.scope("decoder");
        let x = convolutions(&scope, features, &[1; 2]).relu();
        scope.conv("4", x, Conv::new(scope.size("4.weight", 0), 1))
    };

    let (coarse_1, fine_1) = (b.input("coarse_t1"), b.input("fine_t1"));
    let target = enlarged(b.input("coarse_t2"), fine_1);
    let change_1 = residual(coarse_1, fine_1, target);
    let features = if b.has_input("coarse_t3") || b.has_input("fine_t3") {
        let (coarse_3, fine_3) = (b.input("coarse_t3"), b.input("fine_t3"));
        let change_3 = residual(coarse_3, fine_3, target);
        let closeness_1 = 1.0 / (change_1.abs() + LEAST_CHANGE);
        let closeness_3 = 1.0 / (change_3.abs() + LEAST_CHANGE);
        let weight = (closeness_1 / (closeness_1 + closeness_3)).clamp(0.0, 1.0);
        weight * (encoder(fine_1) + change_1) + (1.0 - weight) * (encoder(fine_3) + change_3)
    } else {
        encoder(fine_1) + change_1
    };
    b.output("fine_t2", decoder(features));
}

fn features<'b>(b: &'b Builder<'b>) {
    let image = b.input("image");
    b.output("features", convolutions(&b.root(), image, &[1, 1, 2, 1]).relu());
}
