//! The encoder and decoder that MLFF-GAN and SDCS share: features at scales that halve, and the way back.
//!
//! Layers are named `conv1`, `conv2`, …: in the encoder from the finest scale on, in the decoder from the coarsest; the last of
//! the decoder yields the image. Every layer ends in a residual block with mirrored edges.

use super::blocks::{pointwise, sizes};
use crate::builder::{Builder, Conv, Scope, Var};
use crate::ops::PadMode;

/// The slope of leaky ReLUs below zero.
pub(super) const SLOPE: f64 = 0.01;

/// The number of scales that an encoder has.
pub(super) fn scales(encoder: &Scope<'_>) -> usize {
    (1..).take_while(|i| encoder.has(&format!("conv{i}.0.weight"))).count()
}

/// Refuses images that cannot be halved down to the coarsest scale, or leave less than the two pixels there that mirroring needs.
pub(super) fn halvable<'b>(b: &'b Builder<'b>, image: Var<'b>, scales: usize) {
    let step = 1 << scales.saturating_sub(1);
    sizes(b, image, step, 2 * step);
}

/// `x` plus two convolutions of it with a leaky ReLU between; `second` is the name of the second one, which a dropout moves.
pub(super) fn residual<'b>(block: &Scope<'b>, x: Var<'b>, second: &str) -> Var<'b> {
    let conv = |name: &str, x: Var<'b>| {
        let outputs = block.size(&format!("residual.{name}.weight"), 0);
        block.conv(&format!("residual.{name}"), x, Conv::new(outputs, 3).pad(1).mode(PadMode::Reflect))
    };
    x + conv(second, conv("1", x).leaky_relu(SLOPE))
}

/// Features at every scale, the finest first.
pub(super) fn encoder<'b>(encoder: &Scope<'b>, image: Var<'b>, second: &str) -> Vec<Var<'b>> {
    let mut x = image;
    let scale = |i: usize| {
        let layer = encoder.scope(&format!("conv{i}"));
        let outputs = layer.size("0.weight", 0);
        let conv = if i == 1 { Conv::new(outputs, 7).pad(3) } else { Conv::new(outputs, 3).pad(1).stride(2) };
        x = residual(&layer.scope("1"), layer.conv("0", x, conv), second);
        x
    };
    (1..=scales(encoder)).map(scale).collect()
}

/// The image from features at every scale, the finest first, and what stands beside the coarsest ones.
pub(super) fn decoder<'b>(decoder: &Scope<'b>, features: &[Var<'b>], beside: Var<'b>, second: &str) -> Var<'b> {
    let mut x = beside;
    for (i, features) in features.iter().rev().enumerate() {
        let layer = decoder.scope(&format!("conv{}", i + 1));
        x = features.concat(1, &[x]);
        if layer.has("0.deconv.weight") {
            let outputs = layer.size("0.deconv.weight", 1);
            let up = layer.conv_transpose("0.deconv", x, Conv::new(outputs, 4).stride(2).pad(1)).leaky_relu(SLOPE);
            x = residual(&layer.scope("1"), up, second);
        } else {
            x = pointwise(&layer, "1", residual(&layer.scope("0"), x, second));
            x = pointwise(&layer, "3", residual(&layer.scope("2"), x, second));
        }
    }
    x
}
