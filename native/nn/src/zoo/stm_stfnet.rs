//! STM-STFNet: differences between coarse and fine images through a Swin transformer, and a second way from the coarse image of the
//! target day itself, for either direction in time.
//!
//! For each pair the prediction is the mean of two: the fine image plus a change that an encoder of `C2 | C | F` and a decoder yield
//! (from the pair after, the change is subtracted), and the coarse image of the target plus a detail that pyramids of dilated
//! convolutions draw from `F - C`, with attention to channels and pixels from the coarse change. The result is the mean of both
//! directions. The encoders differ, the decoder is shared.
//!
//! # As trained
//! * Inputs: `coarse_t1`, `fine_t1`, `coarse_t3`, `fine_t3`, `coarse_t2`
//! * Scaling: reflectance of DN times 1e-4
//! * Patch: 128, and no other size with the published code; here sides that are multiples of 128 (an embedding of 2 x 2 pixels, three
//!   halvings, windows of 8)
//! * Coarse: on the fine grid

use super::blocks::sizes;
use super::windows::{attending, side_and_heads, Tokens};
use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};
use crate::ops::{Reduce, Reduction};

/// Both directions.
pub const STM_STFNET: Network =
    Network { id: "stm-stfnet", name: "STM-STFNet", reference: "as published at github.com/zhonhua/STM-STFNet", build };

const EPSILON: f64 = 1e-5;

/// From `(n, channel, row, column)`.
fn tokens<'b>(x: Var<'b>) -> Tokens<'b> {
    x.permute(&[0, 2, 3, 1])
}

fn image<'b>(x: Tokens<'b>) -> Var<'b> {
    x.permute(&[0, 3, 1, 2])
}

/// A block of a Swin transformer, windows shifted by half their side when `shifted`.
fn block<'b>(scope: &Scope<'b>, x: Tokens<'b>, shifted: bool) -> Tokens<'b> {
    let attention = scope.scope("attn");
    scope.unused("attn_mask");
    let w = side_and_heads(&attention).0;
    // images no larger than a window are one window
    let shift = if shifted && x.dim(1).min(x.dim(2)) > w { w / 2 } else { 0 };
    let x = x + attending(&attention, scope.layer_norm("norm1", x, EPSILON), shift);
    let hidden = scope.linear("mlp.fc1", scope.layer_norm("norm2", x, EPSILON), scope.size("mlp.fc1.weight", 0)).gelu();
    x + scope.linear("mlp.fc2", hidden, x.dim(3))
}

fn layer<'b>(scope: &Scope<'b>, x: Tokens<'b>) -> Tokens<'b> {
    (0..scope.count("blocks.", ".norm1.weight")).fold(x, |x, i| block(&scope.scope(&format!("blocks.{i}")), x, i % 2 == 1))
}

/// Four neighbours become one token.
fn merged<'b>(scope: &Scope<'b>, x: Tokens<'b>) -> Tokens<'b> {
    let (rows, columns) = (x.dim(1) / 2, x.dim(2) / 2);
    let every = |row: usize, column: usize| x.slice_step(1, row, rows, 2).slice_step(2, column, columns, 2);
    let four = every(0, 0).concat(3, &[every(1, 0), every(0, 1), every(1, 1)]);
    scope.linear_unbiased("reduction", scope.layer_norm("norm", four, EPSILON), scope.size("reduction.weight", 0))
}

/// Tokens of every scale, the finest first.
fn encoder<'b>(scope: &Scope<'b>, x: Var<'b>) -> Vec<Tokens<'b>> {
    let (width, patch) = (scope.size("inc.proj.weight", 0), scope.size("inc.proj.weight", 2));
    let embedded = scope.conv("inc.proj", x, Conv::new(width, patch).stride(patch));
    let mut scales = vec![scope.layer_norm("inc.norm", tokens(embedded), EPSILON)];
    let levels = (1..).take_while(|i| scope.has(&format!("down{i}.downsample.reduction.weight"))).count();
    for i in 1..=levels {
        let down = scope.scope(&format!("down{i}"));
        scales.push(merged(&down.scope("downsample"), layer(&down.scope("layer"), scales[i - 1])));
    }
    scales
}

/// The fine change.
fn decoder<'b>(scope: &Scope<'b>, mut scales: Vec<Tokens<'b>>) -> Option<Var<'b>> {
    let mut x = scales.pop()?;
    for (i, skip) in (1..).zip(scales.into_iter().rev()) {
        let up = scope.scope(&format!("up{i}"));
        let larger = up.conv("up.0", image(x), Conv::new(up.size("up.0.weight", 0), 3).pad(1)).pixel_shuffle(2);
        let width = up.size("proj1.weight", 0);
        x = layer(&up.scope("layer2"), up.linear("proj1", tokens(larger), width)) + up.linear("proj2", skip, width);
    }
    let last = scope.scope("outc");
    let conv = |name: &str, x, kernel: usize| {
        last.conv(name, x, Conv::new(last.size(&format!("{name}.weight"), 0), kernel).pad(kernel / 2))
    };
    Some(conv("4", conv("2", conv("0", image(x), 3).pixel_shuffle(2), 3).relu(), 1))
}

/// Four convolutions of different reach, beside each other.
fn pyramid<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let branches = [0, 2, 3, 4].map(|dilation: usize| {
        let branch = scope.scope(&format!("branch{}", dilation.max(1)));
        let width = branch.size("0.weight", 0);
        let conv = if dilation == 0 { Conv::new(width, 1) } else { Conv::new(width, 3).dilation(dilation).pad(dilation) };
        branch.batch_norm("1", branch.conv("0", x, conv), EPSILON).relu()
    });
    branches[0].concat(1, &branches[1..])
}

/// Detail for the coarse image of the target, from the detail of a pair.
fn detail<'b>(scope: &Scope<'b>, pair: Var<'b>, change: Var<'b>, target: Var<'b>) -> Var<'b> {
    let seen = pyramid(&scope.scope("branch1"), change);
    let reduce = |kind, axes: &[usize]| seen.apply(Reduce { kind, axes: axes.to_vec(), keep: true }, &[]);
    let channels = |x: Var<'b>| {
        let hidden = scope.linear("channel.mlp.1", x.reshape(&[x.dim(0), x.dim(1)]), scope.size("channel.mlp.1.weight", 0));
        scope.linear("channel.mlp.3", hidden.relu(), x.dim(1))
    };
    let by_channel = (channels(reduce(Reduction::Mean, &[2, 3])) + channels(reduce(Reduction::Max, &[2, 3]))).sigmoid();
    let by_channel = by_channel.unsqueeze(2).unsqueeze(3);
    let squeezed = reduce(Reduction::Max, &[1]).concat(1, &[reduce(Reduction::Mean, &[1])]);
    let kernel = scope.size("spatial1.spatial.conv.weight", 2);
    let score = scope.conv("spatial1.spatial.conv", squeezed, Conv::new(1, kernel).pad(kernel / 2).bias(false));
    let by_pixel = scope.batch_norm("spatial1.spatial.bn", score, EPSILON).sigmoid();

    let target = pyramid(&scope.scope("branch2"), target);
    let own = pyramid(&scope.scope("branch3"), pair);
    let both = (own * (by_channel * by_pixel)).concat(1, &[target]);
    let y = scope.conv("conv2.0", both, Conv::new(scope.size("conv2.0.weight", 0), 3).pad(1));
    let y = scope.batch_norm("conv2.1", y, EPSILON).relu();
    scope.conv("conv_cat.0", y + own, Conv::new(scope.size("conv_cat.0.weight", 0), 1)) + pair
}

fn build<'b>(b: &'b Builder<'b>) {
    let [coarse_1, fine_1, coarse_3, fine_3, coarse_2] =
        ["coarse_t1", "fine_t1", "coarse_t3", "fine_t3", "coarse_t2"].map(|name| b.input(name));
    let net = b.root();
    let (side, _) = side_and_heads(&net.scope("residual_down.down1.layer.blocks.0.attn"));
    let levels = (1..).take_while(|i| net.has(&format!("residual_down.down{i}.downsample.reduction.weight"))).count();
    let multiple = (net.size("residual_down.inc.proj.weight", 2) * side) << levels.saturating_sub(1).min(16);
    sizes(b, fine_1, multiple, multiple);
    let change = |name: &str, coarse: Var<'b>, fine: Var<'b>| {
        decoder(&net.scope("fine_up"), encoder(&net.scope(name), coarse_2.concat(1, &[coarse, fine])))
    };
    let (Some(change_1), Some(change_3)) = (change("residual_down", coarse_1, fine_1), change("diff_down", coarse_3, fine_3))
    else {
        return;
    };
    let from_1 = detail(&net.scope("ca1"), fine_1 - coarse_1, coarse_2 - coarse_1, coarse_2) + coarse_2;
    let from_3 = detail(&net.scope("ca2"), fine_3 - coarse_3, coarse_3 - coarse_2, coarse_2) + coarse_2;
    let forward = (fine_1 + change_1) * 0.5 + from_1 * 0.5;
    let backward = (fine_3 - change_3) * 0.5 + from_3 * 0.5;
    b.output("fine_t2", forward * 0.5 + backward * 0.5);
    b.output("forward", forward);
    b.output("backward", backward);
}
