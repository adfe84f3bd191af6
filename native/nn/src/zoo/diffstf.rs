//! DiffSTF (Ma, Wang & Wei 2024): a diffusion model whose network tells the noise in an image from the fine reference image, the
//! coarse target image and the step.
//!
//! This file is one evaluation of the network; [`crate::sampler`] calls it until an image has come out. A U-Net of residual
//! blocks: two on each level down, a block of attention over all pixels between two more in the middle, three on each level up
//! with the features of the way down beside. Every block normalises groups of channels over the image and adds what it makes of
//! the time. The authors published a figure, which shows all of this, but no code; weights that others have trained may not fit.
//!
//! # As trained
//! * Inputs: `fine_t1`, `coarse_t2`; `noisy`, `time` (the number of the step)
//! * Scaling: between -1 and 1
//! * Patch: rows and columns must be multiples of 8 (with three halvings)
//! * Coarse: on the fine grid
//! * Sampling: the network estimates the noise; 1000 steps of training with a linear schedule from 0.0001 to 0.02
//!
//! # Options
//! Option `groups` of the normalisations, which shapes of weights cannot tell: 32 unless told otherwise.

use super::blocks::{number, padded, pointwise, sizes};
use super::stfdiff::angles;
use super::Network;
use crate::builder::{Builder, Scope, Var};

/// One evaluation of the network.
pub const DIFFSTF: Network =
    Network { id: "diffstf", name: "DiffSTF", reference: "Ma, Wang, Wei 2024, doi:10.1109/LGRS.2024.3378715", build };

/// What keeps the divisor of a normalisation from zero.
const EPSILON: f64 = 1e-5;

fn residual_block<'b>(block: &Scope<'b>, x: Var<'b>, time: Var<'b>, groups: usize) -> Var<'b> {
    let normal = |name: &str, x| block.group_norm(name, x, groups, EPSILON).silu();
    let width = block.size("t.weight", 0);
    let of_time = block.linear("t", time.silu(), width).reshape(&[time.dim(0), width, 1, 1]);
    let y = padded(block, "c1", normal("n1", x), 1) + of_time;
    let y = padded(block, "c2", normal("n2", y), 1);
    let skip = if block.has("sk.weight") { pointwise(block, "sk", x) } else { x };
    skip + y
}

/// Attention of every pixel to every other.
fn attention<'b>(block: &Scope<'b>, x: Var<'b>, groups: usize) -> Var<'b> {
    let (n, channels, pixels) = (x.dim(0), x.dim(1), x.dim(2) * x.dim(3));
    let all = pointwise(block, "qkv", block.group_norm("n", x, groups, EPSILON)).reshape(&[n, 3 * channels, pixels]);
    let [query, key, value] = all.chunk::<3>(1);
    let weights = (query.transpose(1, 2).matmul(key) / (channels as f32).sqrt()).softmax(2);
    x + pointwise(block, "o", value.matmul(weights.transpose(1, 2)).reshape(&x.shape()))
}

fn build<'b>(b: &'b Builder<'b>) {
    let [fine, coarse, noisy] = ["fine_t1", "coarse_t2", "noisy"].map(|name| b.input(name));
    let root = b.root();
    let groups = number(b, "groups", 32);
    let halvings = b.count("ds.", ".weight");
    sizes(b, fine, 1 << halvings, 1 << halvings);

    let width = b.size("inp.weight", 0);
    let angles = angles(b.input("time"), width, width / 2);
    let linear = |name: &str, x| root.linear(name, x, b.size(&format!("{name}.weight"), 0));
    let time = linear("t2", linear("t1", angles.sin().concat(1, &[angles.cos()])).silu());
    let block = |name: String, x| residual_block(&b.scope(&name), x, time, groups);

    let mut x = padded(&root, "inp", fine.concat(1, &[coarse, noisy]), 1);
    let mut beside = vec![x];
    let levels = halvings + 1;
    let per_level = b.count("down.", ".c1.weight") / levels;
    for level in 0..levels {
        for i in 0..per_level {
            x = block(format!("down.{}", level * per_level + i), x);
            beside.push(x);
        }
        if level < halvings {
            x = padded(&root, &format!("ds.{level}"), x, 2);
            beside.push(x);
        }
    }
    x = block("m1".into(), x);
    x = attention(&b.scope("ma"), x, groups);
    x = block("m2".into(), x);
    for level in 0..levels {
        for i in 0..=per_level {
            let below: Vec<Var<'b>> = beside.pop().into_iter().collect();
            x = block(format!("up.{}", level * (per_level + 1) + i), x.concat(1, &below));
        }
        if level < halvings {
            let enlarged = x.resize_nearest([2 * x.dim(2), 2 * x.dim(3)]);
            x = padded(&root, &format!("us.{level}"), enlarged, 1);
        }
    }
    b.output("estimate", padded(&root, "out", root.group_norm("gn", x, groups, EPSILON).silu(), 1));
}
