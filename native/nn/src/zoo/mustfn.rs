//! MUSTFN (Qin et al. 2022): three coarse images and two fine ones, of sensors that may differ in bands, fused by features at
//! three scales, pooled features and features of dilated convolutions.
//!
//! Features at full resolution, at half of it through means over ever larger blocks, and at a quarter through convolutions
//! dilated by 2, 4 and 8, all enlarged (bilinear, corners aligned), are weighted by channel attention (over the whole image, so
//! that a prediction depends on the tile it was made in), and three convolutions and a sigmoid yield the prediction: it lies
//! between 0 and 1. Convolutions have no bias but batch normalisation, and replicate the edges.
//!
//! # As trained
//! * Inputs: `fine_t1`, `fine_t3` (6 bands), `coarse_t1`, `coarse_t2`, `coarse_t3` (7 bands)
//! * Scaling: reflectance between 0 and 1
//! * Patch: 256, written into the authors' code; here multiples of 16
//! * Coarse: on the fine grid
//!
//! # Options
//! The means are over 64, 32 and 16 blocks per side of the 256 pixels; of other sizes over blocks as large, which have 4, 8 and
//! 16 pixels. Option `blocks` gives the numbers per side that a network was trained with where they are others, like `64,32,16`.
//!
//! # Quirks
//! The layer `feature_net.deep_conv1_4` is published but never used.

use super::blocks::sizes;
use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};
use crate::ops::PadMode;

/// The network.
pub const MUSTFN: Network =
    Network { id: "mustfn", name: "MUSTFN", reference: "Qin, Huang, Tang, Wang, Liu 2022, doi:10.1016/j.jag.2022.103113", build };

/// What keeps the divisor of batch normalisation from zero.
const EPSILON: f64 = 1e-5;

/// Pixels of the image along the side of a block whose mean is a feature.
const PIXELS_OF_BLOCKS: [usize; 3] = [4, 8, 16];

/// Convolution, batch normalisation, ReLU.
fn layer<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>, with: impl FnOnce(Conv) -> Conv, kernel: usize) -> Var<'b> {
    let layer = scope.scope(name);
    let conv = Conv::new(layer.size("conv.weight", 0), kernel).pad(kernel / 2).mode(PadMode::Replicate).bias(false);
    layer.batch_norm("bn", layer.conv("conv", x, with(conv)), EPSILON).relu()
}

fn plain<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>, kernel: usize) -> Var<'b> {
    layer(scope, name, x, |conv| conv, kernel)
}

fn dilated<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>, rate: usize, stride: usize) -> Var<'b> {
    layer(scope, name, x, |conv| conv.pad(rate).dilation(rate).stride(stride), 3)
}

/// Single pixels, 3x3, single pixels; the middle one per channel where its weights are.
fn bottleneck<'b>(block: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let x = plain(block, "0", x, 1);
    let groups = if block.size("1.conv.weight", 1) == 1 { x.dim(1) } else { 1 };
    plain(block, "2", layer(block, "1", x, |conv| conv.groups(groups), 3), 1)
}

/// The blocks, along rows and columns, whose means are features.
fn blocks(b: &Builder<'_>, size: [usize; 2]) -> [[usize; 2]; 3] {
    let in_proportion = PIXELS_OF_BLOCKS.map(|pixels| size.map(|n| n / pixels));
    let Some(option) = b.option("blocks") else { return in_proportion };
    let numbers: Vec<usize> = option.split(',').filter_map(|n| n.trim().parse().ok()).filter(|&n| n > 0).collect();
    match numbers[..] {
        [a, b, c] => [a, b, c].map(|n| [n, n]),
        _ => {
            b.refuse(format!("option blocks is {option}; it must be three numbers like 64,32,16"));
            in_proportion
        }
    }
}

fn build<'b>(b: &'b Builder<'b>) {
    let fine = b.input("fine_t1").concat(1, &[b.input("fine_t3")]);
    let coarse = b.input("coarse_t1").concat(1, &[b.input("coarse_t2"), b.input("coarse_t3")]);
    sizes(b, fine, 16, 16);
    let size = [fine.dim(2), fine.dim(3)];
    let full = |x: Var<'b>| x.resize_bilinear(size, true);

    let blocks = blocks(b, size);

    let net = b.scope("feature_net");
    for tensor in ["conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"] {
        net.unused(&format!("deep_conv1_4.{tensor}"));
    }
    let fine = plain(&net, "deep_conv1_2", plain(&net, "deep_conv1", fine, 3), 3);
    let x = fine.concat(1, &[plain(&net, "deep_conv1_3", coarse, 3)]);
    let at_full = x.concat(1, &[bottleneck(&net.scope("conv_feature1"), x)]);
    let x = dilated(&net, "deep_conv2", at_full, 2, 2);
    let at_half = x + bottleneck(&net.scope("conv_feature2"), x);
    let x = dilated(&net, "deep_conv3", at_half, 2, 2);
    let at_quarter = x + bottleneck(&net.scope("conv_feature3"), x);

    let net = b.scope("pool");
    let pooled = |i: usize| full(plain(&net, &format!("conv{}", i + 2), at_half.adaptive_mean_pool(blocks[i]), 1));
    let of_blocks = plain(&net, "conv1", pooled(0).concat(1, &[pooled(1), pooled(2)]), 1);

    let net = b.scope("dilate");
    let reach = |name: &str, rate| dilated(&net, name, at_quarter, rate, 1);
    let far = reach("d2", 2).concat(1, &[reach("d3", 4), reach("d4", 8)]);
    let of_far = full(plain(&net, "conv1", far, 1));

    let x = at_full.concat(1, &[of_blocks, of_far]);
    let net = b.scope("attention2");
    let single = |scope: &Scope<'b>, name: &str, x| {
        let outputs = scope.size(&format!("{name}.weight"), 0);
        scope.conv(name, x, Conv::new(outputs, 1).bias(false))
    };
    let hidden = single(&net, "conv1_2", single(&net, "conv1", x.mean(&[2, 3], true)).relu());
    let x = x * single(&net, "conv2", hidden).sigmoid();
    let x = plain(&b.root(), "conv2", plain(&b.root(), "conv1", x, 3), 3);
    b.output("fine_t2", single(&b.root(), "conv3", x).sigmoid());
}
