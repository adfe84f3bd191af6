//! DenseSTF (Ao et al. 2022): a patch around each pixel of the two coarse images and the fine one, through a densely connected network, gives the
//! pixel.
//!
//! Two strided convolutions of different reach side by side, then dense blocks: each layer is `conv3(relu(conv3 x))`, its result kept
//! beside its operand; between blocks a 1x1 convolution and maximum pooling. The last convolution covers what is left of the patch.
//! All weights are `g v / |v|`, for every output. A batch of patches gives as many pixels.
//!
//! # As trained
//! * Inputs: `fine_t1`, `coarse_t1`, `coarse_t2`, patches around the pixel
//! * Scaling: reflectance times 1/0.6, each minus its mean over the whole image, band by band; the fine mean is added to the result
//! * Patch: 64 x 64 (the size of the last kernel times 16)
//! * Coarse: on the fine grid
//!
//! # Quirks
//! * TensorFlow pads strided convolutions by one more after than before.
//! * The layers' names are those of the conversion from TensorFlow, which has none of its own.

use super::Network;
use crate::builder::{Builder, Conv, Scope, Var, Window};

/// From patches to their central pixels.
pub const DENSESTF: Network =
    Network { id: "densestf", name: "DenseSTF", reference: "Ao, Sun, Pan, Xin 2022, doi:10.1109/TGRS.2022.3154406", build };

/// A convolution whose kernel has the length `wn_g` for every output. `conv` says all but the width and the kernel's size.
fn normalised<'b>(scope: &Scope<'b>, x: Var<'b>, conv: Conv) -> Var<'b> {
    let (width, side) = (scope.size("kernel", 0), scope.size("kernel", 2));
    let kernel = scope.weight("kernel", &[width, x.dim(1), side, side]);
    let length = kernel.square().sum(&[1, 2, 3], true).rsqrt();
    let wanted = scope.weight("wn_g", &[width]).reshape(&[width, 1, 1, 1]);
    x.conv(kernel * (wanted * length), Some(scope.weight("bias", &[width])), conv)
}

fn dense<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let same = Conv::new(0, 0).pad(1);
    (0..scope.count("layers.", ".conv1.kernel")).fold(x, |x, i| {
        let layer = scope.scope(&format!("layers.{i}"));
        let y = normalised(&layer.scope("conv1"), x, same).relu();
        x.concat(1, &[normalised(&layer.scope("conv3"), y, same)])
    })
}

fn build<'b>(b: &'b Builder<'b>) {
    let net = b.root();
    let x = b.input("fine_t1").concat(1, &[b.input("coarse_t1"), b.input("coarse_t2")]);
    let blocks = net.count("blocks.", ".layers.0.conv1.kernel");
    let needed = net.size("fc1.kernel", 2) << (blocks + 1).min(16);
    let (rows, columns) = (x.dim(2), x.dim(3));
    if (rows, columns) != (needed, needed) && net.has("fc1.kernel") {
        return b.refuse(format!("patches of {rows} x {columns} pixels; these weights are for {needed} x {needed}"));
    }
    // as many results as half the patch's side: one more pixel after than before where the sum is odd
    let strided = |name: &str| {
        let layer = net.scope(name);
        let around = layer.size("kernel", 2).saturating_sub(2);
        normalised(&layer, x, Conv::new(0, 0).stride(2).pad(around / 2).pad_after(around - around / 2))
    };
    let mut y = strided("input_conv3x3").concat(1, &[strided("input_conv7x7")]);
    for i in 0..blocks {
        y = dense(&net.scope(&format!("blocks.{i}")), y);
        y = normalised(&net.scope(&format!("trans.{i}")), y, Conv::new(0, 0)).max_pool(Window::new(2));
    }
    let y = dense(&net.scope("final_block"), y).relu();
    b.output("fine_t2", normalised(&net.scope("fc1"), y, Conv::new(0, 0)));
}
