//! SRSF-GAN: a super-resolution branch for the coarse image and a feature pyramid of one fine image, fused scale by scale.
//!
//! The coarse image is shrunk by 8 (bicubic, corners aligned), then enlarged in three steps by one transposed convolution; the fine
//! image is reduced in three steps by one strided convolution. At each of the four scales the two are mixed with weights from their
//! absolute difference (at the pixel and in the mean), and a dense residual block with channel attention passes the mixture on to the
//! next finer scale. `fine_t2` is the prediction; `coarse_branch` what the coarse branch alone makes of the target, for the loss.
//!
//! # As trained
//! * Inputs: `fine_t1`, `coarse_t2`
//! * Scaling: reflectance of DN times 1e-4
//! * Patch: 256, sides multiples of 8
//! * Coarse: on the fine grid
//!
//! # Quirks
//! * The layer `head` is published but never used; `head1` takes both images, `tail` makes both results, and one block fuses every
//!   scale.
//! * The discriminator judges every pixel; its layer `d4` is published but never used.

use super::blocks::sizes;
use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};

/// The generator.
pub const SRSF_GAN: Network = Network { id: "srsf-gan", name: "SRSF-GAN", reference: REFERENCE, build };

/// The discriminator: from `image` to the probability that each pixel is real.
pub const DISCRIMINATOR: Network =
    Network { id: "srsf-gan-discriminator", name: "discriminator of SRSF-GAN", reference: REFERENCE, build: discriminator };

const REFERENCE: &str = "as published by Sun, Cui, Liu, Yan 2026, doi:10.1016/j.inffus.2025.103675";

const SLOPE: f64 = 0.01;
const EPSILON: f64 = 1e-5;

/// How much smaller than the fine grid the network takes the coarse image to be, and how often it doubles it.
const SHRINKING: usize = 8;
const DOUBLINGS: usize = 3;

/// `act(conv3(act(conv3 x)) + x)`.
fn residual<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let conv = Conv::new(x.dim(1), 3).pad(1);
    let y = scope.conv("body.2", scope.conv("body.0", x, conv).leaky_relu(SLOPE), conv);
    (y + x).leaky_relu(SLOPE)
}

/// Residual blocks whose results are kept beside their operands, and attention to channels over kernels of different reach.
fn dense<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let x = ["r1", "r2", "r3"].iter().fold(x, |x, name| x.concat(1, &[residual(&scope.scope(name), x)]));
    let width = scope.size("g.body.0.weight", 0);
    let x = scope.conv("g.body.0", x, Conv::new(width, 1)).leaky_relu(SLOPE);
    let attention = scope.scope("ca");
    let mean = x.mean(&[2, 3], true);
    let reach = [("c1", 3), ("c2", 5), ("c3", 7)].map(|(name, dilation)| {
        let outputs = attention.size(&format!("{name}.body.0.weight"), 0);
        let conv = Conv::new(outputs, 3).dilation(dilation).pad(dilation);
        attention.conv(&format!("{name}.body.0"), mean, conv).leaky_relu(SLOPE)
    });
    x * attention.conv("c4.body.0", reach[0].concat(1, &reach[1..]), Conv::new(width, 3).pad(1)).sigmoid()
}

/// `fine` and `coarse` mixed; where they differ in the way the weights say, more of `coarse`.
fn mixed<'b>(scope: &Scope<'b>, fine: Var<'b>, coarse: Var<'b>) -> Var<'b> {
    let difference = (fine - coarse).abs();
    let score = |conv: &str, norm: &str, x| scope.batch_norm(norm, scope.conv(conv, x, Conv::new(1, 1)), EPSILON);
    let here = score("local_att.0", "local_att.1", difference);
    let everywhere = score("global_att.1", "global_att.2", difference.mean(&[2, 3], true));
    let weight = (here + everywhere).sigmoid();
    fine * (1.0 - weight) + coarse * weight
}

fn build<'b>(b: &'b Builder<'b>) {
    b.unused("head.weight");
    b.unused("head.bias");
    let net = b.root();
    let (fine, coarse) = (b.input("fine_t1"), b.input("coarse_t2"));
    sizes(b, fine, SHRINKING, SHRINKING);
    let width = net.size("head1.weight", 0);
    let head = |x| net.conv("head1", x, Conv::new(width, 1));
    let halved = |x| net.conv("Maxpool", x, Conv::new(width, 3).stride(2).pad(1));
    let doubled = |x| net.conv_transpose("Upsample", x, Conv::new(width, 3).stride(2).pad(1).output_pad(1));

    let mut fines = vec![residual(&net.scope("downlandsat1.0"), head(fine))];
    for level in 2..=DOUBLINGS + 1 {
        let coarser = halved(fines[level - 2]);
        fines.push(residual(&net.scope(&format!("downlandsat{level}.0")), coarser));
    }
    let small = coarse.resize_bicubic([fine.dim(2) / SHRINKING, fine.dim(3) / SHRINKING], true);
    let mut coarses = vec![residual(&net.scope("upmodis1.0"), head(small))];
    for level in 2..=DOUBLINGS + 1 {
        let finer = doubled(coarses[level - 2]);
        coarses.push(residual(&net.scope(&format!("upmodis{level}.0")), finer));
    }

    let fusion = net.scope("fusionblock.CA");
    let mut result = None;
    for (fine, &coarse) in fines.into_iter().rev().zip(&coarses) {
        let scale = mixed(&fusion, fine, coarse);
        result = Some(match result {
            None => dense(&net.scope("renet"), scale),
            Some(before) => {
                let both = doubled(before).concat(1, &[scale]);
                dense(&net.scope("re.1"), net.conv("re.0", both, Conv::new(width, 1)))
            }
        });
    }
    let bands = net.size("tail.weight", 0);
    let tail = |x| net.conv("tail", x, Conv::new(bands, 1));
    if let (Some(fused), Some(&coarse)) = (result, coarses.last()) {
        b.output("fine_t2", tail(fused));
        b.output("coarse_branch", tail(coarse));
    }
}

fn discriminator<'b>(b: &'b Builder<'b>) {
    for name in ["Conv_BN_ReLU_2.0", "Conv_BN_ReLU_2.1", "Conv_BN_ReLU_2.3", "Conv_BN_ReLU_2.4", "downsample.0", "downsample.1"] {
        for tensor in ["weight", "bias", "running_mean", "running_var"] {
            b.unused(&format!("d4.{name}.{tensor}"));
        }
    }
    let net = b.root();
    let image = b.input("image");
    sizes(b, image, SHRINKING, SHRINKING);
    // layers i and i + 1 of a block: a convolution and its normalisation
    let layer = |scope: &Scope<'b>, i: usize, x: Var<'b>, stride: usize| {
        let width = scope.size(&format!("{i}.weight"), 0);
        let y = scope.conv(&i.to_string(), x, Conv::new(width, 3).stride(stride).pad(1));
        scope.batch_norm(&(i + 1).to_string(), y, EPSILON).leaky_relu(SLOPE)
    };
    let pair = |scope: &Scope<'b>, x| layer(scope, 3, layer(scope, 0, x, 1), 1);

    let mut x = image;
    let mut skips = Vec::new();
    for level in 1..=DOUBLINGS {
        let block = net.scope(&format!("d{level}"));
        let kept = pair(&block.scope("Conv_BN_ReLU_2"), x);
        skips.push(kept);
        x = layer(&block.scope("downsample"), 0, kept, 2);
    }
    for (level, skip) in (2..).zip(skips.into_iter().rev()) {
        let block = net.scope(&format!("u{level}"));
        let y = pair(&block.scope("Conv_BN_ReLU_2"), x);
        let up = block.scope("upsample");
        let width = up.size("0.weight", 1);
        let y = up.conv_transpose("0", y, Conv::new(width, 3).stride(2).pad(1).output_pad(1));
        x = up.batch_norm("1", y, EPSILON).leaky_relu(SLOPE).concat(1, &[skip]);
    }
    let last = net.scope("o");
    b.output("probability", last.conv("6", pair(&last, x), Conv::new(1, 3).pad(1)).sigmoid());
}
