//! CFFormer: land cover from an optical image and one of another sensor (radar, heights), by two transformers that correct each other.
//!
//! Each image goes through a SegFormer of four scales. At each scale the features of one correct those of the other, with weights for
//! pixels, then for channels; the corrected ones go on to the next scale, and are merged there by attention from each image to the
//! other. The merged scales are enlarged (bilinear), and mapped to classes, which are enlarged to the size of the image.
//!
//! # As trained
//! * Inputs: `image` (optical), `other` (the other sensor), of the same rows and columns
//! * Scaling: of the user's choice
//! * Patch: sides multiples of 32
//! * Coarse: none
//!
//! # Quirks
//! * Option `heads`: heads of the attention at the four scales, which shapes cannot tell; default `1,2,5,8`.

use super::blocks::{pointwise, sizes};
use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};

/// The network.
pub const CFFORMER: Network =
    Network { id: "cfformer", name: "CFFormer", reference: "as published at github.com/masurq/CFFormer", build };

const EPSILON: f64 = 1e-5;

/// That of the normalisations within and after the blocks of a scale.
const SMALL_EPSILON: f64 = 1e-6;

/// What keeps the shares of two corrections finite.
const LEAST_WEIGHT: f32 = 1e-8;

/// What the sides of the images must be multiples of.
const STEP: usize = 32;

/// An image as rows of vectors, `(n, pixel, channel)`.
fn tokens<'b>(x: Var<'b>) -> Var<'b> {
    x.reshape(&[x.dim(0), x.dim(1), x.dim(2) * x.dim(3)]).transpose(1, 2)
}

fn image<'b>(x: Var<'b>, [rows, columns]: [usize; 2]) -> Var<'b> {
    x.transpose(1, 2).reshape(&[x.dim(0), x.dim(2), rows, columns])
}

/// A convolution of each channel on its own, as large as its weights.
fn depthwise<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>, stride: usize) -> Var<'b> {
    let kernel = scope.size(&format!("{name}.weight"), 2);
    scope.conv(name, x, Conv::new(x.dim(1), kernel).stride(stride).pad(kernel / 2).groups(x.dim(1)))
}

/// A linear layer as wide as its weights, with a bias where they have one.
fn linear<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    let width = scope.size(&format!("{name}.weight"), 0);
    if scope.has(&format!("{name}.bias")) {
        scope.linear(name, x, width)
    } else {
        scope.linear_unbiased(name, x, width)
    }
}

/// `(n, token, width)` as `(n, head, token, width / heads)`.
fn split<'b>(x: Var<'b>, heads: usize) -> Var<'b> {
    x.reshape(&[x.dim(0), x.dim(1), heads, x.dim(2) / heads.max(1)]).transpose(1, 2)
}

/// What the queries see, `(n, token, width)`; `kv` holds keys, then values.
fn seen<'b>(q: Var<'b>, kv: Var<'b>, heads: usize) -> Var<'b> {
    let (n, count, width) = (q.dim(0), q.dim(1), q.dim(2));
    let [k, v] = kv.chunk::<2>(2).map(|x| split(x, heads));
    let scores = split(q, heads).matmul(k.transpose(2, 3)) * ((width / heads.max(1)) as f32).powf(-0.5);
    scores.softmax(3).matmul(v).transpose(1, 2).reshape(&[n, count, width])
}

/// A block of a SegFormer on `(n, token, width)`; keys and values come from a smaller image.
fn block<'b>(scope: &Scope<'b>, x: Var<'b>, size: [usize; 2], heads: usize) -> Var<'b> {
    let attention = scope.scope("attn");
    let normal = scope.layer_norm("norm1", x, SMALL_EPSILON);
    let few = if attention.has("sr.weight") {
        let factor = attention.size("sr.weight", 2);
        let small = attention.conv("sr", image(normal, size), Conv::new(x.dim(2), factor).stride(factor));
        attention.layer_norm("norm", tokens(small), EPSILON)
    } else {
        normal
    };
    let x = x + linear(&attention, "proj", seen(linear(&attention, "q", normal), linear(&attention, "kv", few), heads));
    let mlp = scope.scope("mlp");
    let hidden = image(linear(&mlp, "fc1", scope.layer_norm("norm2", x, SMALL_EPSILON)), size);
    x + linear(&mlp, "fc2", tokens(depthwise(&mlp, "dwconv.dwconv", hidden, 1)).gelu())
}

/// One scale of one image: patches, blocks, normalisation; the layers' names begin with `prefix`.
fn scale<'b>(net: &Scope<'b>, prefix: &str, level: usize, x: Var<'b>, heads: usize) -> Var<'b> {
    let embedding = net.scope(&format!("{prefix}patch_embed{level}"));
    let kernel = embedding.size("proj.weight", 2);
    let conv = Conv::new(embedding.size("proj.weight", 0), kernel).stride(if level == 1 { 4 } else { 2 }).pad(kernel / 2);
    let x = embedding.conv("proj", x, conv);
    let size = [x.dim(2), x.dim(3)];
    let mut y = embedding.layer_norm("norm", tokens(x), EPSILON);
    let blocks = net.scope(&format!("{prefix}block{level}"));
    for i in 0..blocks.count("", ".norm1.weight") {
        y = block(&blocks.scope(&i.to_string()), y, size, heads);
    }
    image(net.layer_norm(&format!("{prefix}norm{level}"), y, SMALL_EPSILON), size)
}

/// Each image with a share of the other, weighted for pixels, then for channels.
fn corrected<'b>(scope: &Scope<'b>, [a, b]: [Var<'b>; 2]) -> [Var<'b>; 2] {
    let (n, width) = (a.dim(0), a.dim(1));
    let shares = scope.weight("weights", &[2]).relu();
    let shares = shares / (shares.sum(&[0], true) + LEAST_WEIGHT);
    let add = |[a, b]: [Var<'b>; 2], share: usize, [for_a, for_b]: [Var<'b>; 2]| {
        let share = shares.slice(0, share..share + 1);
        [a + b * (for_b * share), b + a * (for_a * share)]
    };
    let pixels = scope.scope("spatial_weights.mlp");
    let weights = pointwise(&pixels, "2", pointwise(&pixels, "0", a.concat(1, &[b])).relu()).sigmoid();
    let [a, b] = add([a, b], 0, weights.chunk(1));

    let both = a.concat(1, &[b]);
    let statistics = [both.variance(&[2, 3], true, false).sqrt(), both.max(&[2, 3], false)];
    let all = both.mean(&[2, 3], false).concat(1, &statistics);
    let channels = scope.scope("channel_weights.mlp");
    let weights = linear(&channels, "2", linear(&channels, "0", all).relu()).sigmoid();
    add([a, b], 1, weights.reshape(&[n, 2 * width, 1, 1]).chunk(1))
}

/// Both images merged, after each has attended to the other.
fn merged<'b>(scope: &Scope<'b>, images: [Var<'b>; 2], heads: usize) -> Var<'b> {
    let size = [images[0].dim(2), images[0].dim(3)];
    let cross = scope.scope("cross");
    let attention = cross.scope("cross_attn");
    let flat = images.map(tokens);
    // one half of the channels stays, the other attends
    let halves: [[Var; 2]; 2] =
        std::array::from_fn(|i| linear(&cross, &format!("channel_proj{}", i + 1), flat[i]).relu().chunk(2));
    let kv: [Var; 2] = std::array::from_fn(|i| {
        let (own, name) = (halves[i][1], format!("sr{}", i + 1));
        let few = if attention.has(&format!("{name}.weight")) {
            // as the authors choose it: the kernel reaches one pixel beyond the stride
            let stride = attention.size(&format!("{name}.weight"), 2) - 1;
            let small = depthwise(&attention, &name, image(own, size), stride.max(1));
            attention.layer_norm(&format!("norm{}", i + 1), tokens(small), EPSILON)
        } else {
            own
        };
        linear(&attention, &format!("kv{}", i + 1), few)
    });
    let after: [Var; 2] = std::array::from_fn(|i| {
        let q = linear(&attention, &format!("q{}", i + 1), halves[i][1]);
        let both = halves[i][0].concat(2, &[seen(q, kv[1 - i], heads)]);
        let end = linear(&cross, &format!("end_proj{}", i + 1), both);
        cross.layer_norm(&format!("norm{}", i + 1), flat[i] + end, EPSILON)
    });
    let x = image(after[0].concat(2, &[after[1]]), size);

    let channels = scope.scope("channel_emb");
    let around = channels.conv("residual", x, Conv::new(channels.size("residual.weight", 0), 1).bias(false));
    let inner = channels.scope("channel_embed");
    let y = pointwise(&inner, "3", depthwise(&inner, "1", pointwise(&inner, "0", x), 1).relu());
    channels.batch_norm("norm", around + inner.batch_norm("4", y, EPSILON), EPSILON)
}

fn build<'b>(b: &'b Builder<'b>) {
    let net = b.root();
    let (optical, other) = (b.input("image"), b.input("other"));
    let size = [optical.dim(2), optical.dim(3)];
    sizes(b, optical, STEP, STEP);
    let backbone = net.scope("backbone");
    let levels = backbone.count("FFMs.", ".cross.channel_proj1.weight");
    let heads: Vec<usize> = b.option("heads").unwrap_or("1,2,5,8").split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let fits = |(level, &heads): (usize, &usize)| {
        heads > 0 && backbone.size(&format!("norm{}.weight", level + 1), 0).is_multiple_of(heads)
    };
    if heads.len() != levels || !heads.iter().enumerate().all(fits) {
        return b
            .refuse(format!("the option heads must give {levels} numbers that divide the widths of the scales, not {heads:?}"));
    }

    let mut images = [optical, other];
    let mut scales = Vec::new();
    for (level, &heads) in (1..).zip(&heads) {
        let own = [("", images[0]), ("extra_", images[1])].map(|(prefix, x)| scale(&backbone, prefix, level, x, heads));
        images = corrected(&backbone.scope(&format!("FCMs.{}", level - 1)), own);
        scales.push(merged(&backbone.scope(&format!("FFMs.{}", level - 1)), images, heads));
    }

    let head = net.scope("decode_head");
    let Some(finest) = scales.first().map(|x| [x.dim(2), x.dim(3)]) else { return };
    let mut parts: Vec<Var> = (1..)
        .zip(&scales)
        .map(|(level, &x)| {
            let own = [x.dim(2), x.dim(3)];
            let y = image(linear(&head, &format!("linear_c{level}.proj"), tokens(x)), own);
            if own == finest {
                y
            } else {
                y.resize_bilinear(finest, false)
            }
        })
        .collect();
    parts.reverse();
    let fused = pointwise(&head, "linear_fuse.0", parts[0].concat(1, &parts[1..]));
    let fused = head.batch_norm("linear_fuse.1", fused, EPSILON).relu();
    b.output("classes", pointwise(&head, "linear_pred", fused).resize_bilinear(size, false));
}
