//! DiffSTSF (Wei et al. 2024): a diffusion model for the Gaofen-1 cameras, whose network sees the noisy prediction beside the wide-field
//! image of the target and the panchromatic and multispectral images of the reference day.
//!
//! This file is one evaluation of the network: from the noisy image at a step (`noisy`, `time`) to the estimate of the noise and, in as
//! many further bands, of the variance; [`crate::sampler`] calls it until an image has come out. A U-Net of residual blocks that see the
//! time. On its way down, blocks attend from the details of the panchromatic image (sums of absolute Haar coefficients) and the shrunk
//! wide-field image to themselves; in the middle a block attends to itself.
//!
//! # As trained
//! * Inputs: `coarse_t2` (wide field), `pan_t1` (one band), `fine_t1` (multispectral), all on the fine grid; `noisy`, `time`
//! * Scaling: unscaled reflectance as it is (stored integers by 10,000)
//! * Patch: 128; here sides that are multiples of two for every halving
//! * Coarse: on the fine grid
//! * Sampling: 1000 steps of training with the cosine schedule, estimate of the noise, learnt variance between the posterior's and
//!   beta's; every fourth step, as the authors' program samples
//!
//! # Quirks
//! * The wide-field image is scaled by 0.1 twice on its way to the attention.
//! * Option `heads` (default 1): heads of the attention, which shapes cannot tell.

use super::blocks::sizes;
use super::stfdiff::angles;
use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};

/// One evaluation of the network.
pub const DIFFSTSF: Network = Network {
    id: "diffstsf",
    name: "DiffSTSF",
    reference: "Wei, Gan, Tang, Li, Song 2024, doi:10.1016/j.jag.2024.103752",
    build,
};

const EPSILON: f64 = 1e-5;
const GROUPS: usize = 32;

/// What the shrunk wide-field image is multiplied with, twice.
const SCALE: f32 = 0.1;

fn norm<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    scope.group_norm(name, x, GROUPS, EPSILON)
}

/// A convolution over all axes of `x`, as wide and large as its weights.
fn conv<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    let (width, kernel) = (scope.size(&format!("{name}.weight"), 0), scope.size(&format!("{name}.weight"), 2));
    scope.conv(name, x, Conv::new(width, kernel).pad(kernel / 2))
}

/// A residual block that sees the time, as an addition or as scale and shift, whichever the weights are for.
fn block<'b>(scope: &Scope<'b>, x: Var<'b>, time: Var<'b>) -> Var<'b> {
    let y = conv(scope, "in_layers.2", norm(scope, "in_layers.0", x).silu());
    let width = y.dim(1);
    let outputs = scope.size("emb_layers.1.weight", 0);
    let time = scope.linear("emb_layers.1", time.silu(), outputs).unsqueeze(2).unsqueeze(3);
    let y = if outputs == 2 * width {
        let [scale, shift] = time.chunk(1);
        norm(scope, "out_layers.0", y) * (scale + 1.0) + shift
    } else {
        norm(scope, "out_layers.0", y + time)
    };
    let skip = if scope.has("skip_connection.weight") { conv(scope, "skip_connection", x) } else { x };
    skip + conv(scope, "out_layers.3", y.silu())
}

/// Channels of every pixel, `(n, channel, pixel)`.
fn flat<'b>(x: Var<'b>) -> Var<'b> {
    x.reshape(&[x.dim(0), x.dim(1), x.dim(2) * x.dim(3)])
}

/// Attention between pixels: `q`, `k`, `v` are `(n times heads, channel, pixel)`.
fn attention<'b>([q, k, v]: [Var<'b>; 3]) -> Var<'b> {
    // the root of the usual scale on either side, as the authors do
    let scale = (q.dim(1) as f32).powf(-0.25);
    let scores = (q * scale).transpose(1, 2).matmul(k * scale).softmax(2);
    v.matmul(scores.transpose(1, 2))
}

/// Attention of an image to itself, or from `details`.
fn attending<'b>(scope: &Scope<'b>, x: Var<'b>, details: Option<Var<'b>>, heads: usize) -> Var<'b> {
    let (n, pixels) = (x.dim(0), x.dim(2) * x.dim(3));
    let (flat_x, width) = (flat(x), x.dim(1));
    let split = |x: Var<'b>| x.reshape(&[n * heads, x.dim(1) / heads, pixels]);
    let normal = norm(scope, "norm", flat_x);
    let parts = match details {
        None => split(conv(scope, "qkv", normal)).chunk::<3>(1),
        Some(details) => {
            let [k, v] = split(conv(scope, "kv", normal)).chunk::<2>(1);
            [split(norm(scope, "norm1", conv(scope, "q", flat(details)))), k, v]
        }
    };
    let seen = attention(parts).reshape(&[n, width, pixels]);
    (flat_x + conv(scope, "proj_out", seen)).reshape(&x.shape())
}

/// One level of the Haar transform of an image of one band: what is left, and the sum of the absolute details.
fn haar<'b>(x: Var<'b>) -> (Var<'b>, Var<'b>) {
    let (rows, columns) = (x.dim(2) / 2, x.dim(3) / 2);
    let every = |row: usize, column: usize| x.slice_step(2, row, rows, 2).slice_step(3, column, columns, 2);
    let (a, b, c, d) = (every(0, 0), every(0, 1), every(1, 0), every(1, 1));
    let details = (a + b - c - d).abs() + (a - b + c - d).abs() + (a - b - c + d).abs();
    ((a + b + c + d) * 0.5, details * 0.5)
}

/// Three convolutions one after the other, the results of all beside each other.
fn chain<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    let first = conv(scope, &format!("{name}1"), x);
    let second = conv(scope, &format!("{name}2"), first);
    first.concat(1, &[second, conv(scope, &format!("{name}3"), second)])
}

fn build<'b>(b: &'b Builder<'b>) {
    let net = b.root();
    let heads = match b.option("heads").map(str::parse::<usize>) {
        None => 1,
        Some(Ok(heads)) if heads > 0 => heads,
        Some(_) => return b.refuse("the number of heads must be a number from 1 on"),
    };
    let (wide, pan, fine) = (b.input("coarse_t2"), b.input("pan_t1"), b.input("fine_t1"));
    let (noisy, time) = (b.input("noisy"), b.input("time"));

    let blocks = (1..).take_while(|i| {
        net.has(&format!("input_blocks.{i}.0.in_layers.0.weight")) || net.has(&format!("input_blocks.{i}.0.op.weight"))
    });
    let blocks = blocks.count();
    let halves = |i: usize| net.has(&format!("input_blocks.{i}.0.op.weight"));
    let halvings = (1..=blocks).filter(|&i| halves(i)).count();
    sizes(b, noisy, 1 << halvings.min(16), 1);

    let width = net.size("time_embed.0.weight", 1);
    let angles = angles(time, width, width / 2);
    let waves = angles.cos().concat(1, &[angles.sin()]);
    let inner = net.linear("time_embed.0", waves, net.size("time_embed.0.weight", 0));
    let time = net.linear("time_embed.2", inner.silu(), net.size("time_embed.2.weight", 0));

    let start = net.scope("input_blocks.0");
    let parts = [chain(&start, "pan", pan), chain(&start, "ms", fine), chain(&start, "wfv", wide)];
    let mut x = conv(&start, "all_conv", conv(&start, "xt", noisy).concat(1, &parts));
    let mut skips = vec![x];
    let mut left = pan;
    let mut details = None;
    for i in 1..=blocks {
        let scope = net.scope(&format!("input_blocks.{i}"));
        if halves(i) {
            x = scope.conv("0.op", x, Conv::new(scope.size("0.op.weight", 0), 3).stride(2).pad(1));
            let (rest, edges) = haar(left);
            left = rest;
            let small = wide.resize_bilinear([x.dim(2), x.dim(3)], true);
            details = Some(edges.concat(1, &[small * SCALE * SCALE]));
        } else {
            x = block(&scope.scope("0"), x, time);
            if scope.has("1.kv.weight") {
                x = attending(&scope.scope("1"), x, details, heads);
            }
        }
        skips.push(x);
    }
    let middle = net.scope("middle_block");
    x = block(&middle.scope("0"), x, time);
    x = attending(&middle.scope("1"), x, None, heads);
    x = block(&middle.scope("2"), x, time);
    for (i, skip) in skips.into_iter().rev().enumerate() {
        let scope = net.scope(&format!("output_blocks.{i}"));
        x = block(&scope.scope("0"), x.concat(1, &[skip]), time);
        if scope.has("1.conv.weight") {
            x = conv(&scope, "1.conv", x.resize_nearest([2 * x.dim(2), 2 * x.dim(3)]));
        }
    }
    b.output("estimate", conv(&net, "out.2", norm(&net, "out.0", x).silu()));
}
