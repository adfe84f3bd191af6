//! STFormer (Wang et al. 2023): the frames of a video, from one image in which each was summed through a mask of its own.
//!
//! A first estimate spreads the measurement over the masks. 3-D convolutions make tokens of it at half the size; units of a transformer
//! attend in windows of each frame and, pixel by pixel, along time, both added, and end in convolutions of two halves of the channels,
//! the second of which sees the first. A transposed convolution and three more make the frames.
//!
//! # As trained
//! * Inputs: `measurement` (1, 1, row, column), `masks` (1, frame, row, column), `mask_sum` (1, 1, row, column; ones where no mask is)
//! * Scaling: [0, 1]
//! * Patch: 128 or 256; even sides of 16 or more
//! * Coarse: none

use super::blocks::sizes;
use super::windows::{attending, side_and_heads};
use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};
use crate::ops::PadMode;
use crate::tensor::Tensor;

/// The network for grey video.
pub const STFORMER: Network =
    Network { id: "stformer", name: "STFormer", reference: "Wang, Cao, Zhong, Yuan 2023, doi:10.1109/TPAMI.2022.3225382", build };

const EPSILON: f64 = 1e-5;
const SLOPE: f64 = 0.01;

/// A 3-D convolution as wide and large as its weights; the last two axes have the stride.
fn conv<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>, stride: usize) -> Var<'b> {
    let size = |axis| scope.size(&format!("{name}.weight"), axis);
    let kernel = [size(2), size(3), size(4)];
    scope.conv(name, x, Conv::new(size(0), kernel).pad(kernel.map(|k| k / 2)).stride([1, stride, stride]))
}

/// Attention of every pixel of `(n, frame, row, column, channel)` along the frames.
fn along_time<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    scope.unused("relative_position_index");
    let (n, frames, rows, columns, c) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3), x.dim(4));
    let (places, heads) = (scope.size("relative_position_bias_table", 0), scope.size("relative_position_bias_table", 1));
    let (width, count) = (scope.size("qkv.weight", 0) / 3, n * rows * columns);
    let pixels = x.permute(&[0, 2, 3, 1, 4]).reshape(&[count, frames, c]);
    let [q, k, v] = scope
        .linear("qkv", pixels, 3 * width)
        .reshape(&[count, frames, 3, heads, width / heads])
        .permute(&[2, 0, 3, 1, 4])
        .chunk::<3>(0)
        .map(|x| x.squeeze(0));
    // the scale is that of heads as wide as the tokens allow, though queries are narrower
    let mut scores = (q * ((c / heads) as f32).powf(-0.5)).matmul(k.transpose(2, 3));
    let row = |a: usize, b: usize| (a + places.div_ceil(2) - 1) as i64 - b as i64;
    let rows_of_table = (0..frames).flat_map(|a| (0..frames).map(move |b| row(a, b))).collect();
    if let Ok(index) = Tensor::from_i64(&[frames * frames], rows_of_table) {
        let table = scope.weight("relative_position_bias_table", &[places, heads]);
        scores = scores + table.gather(0, x.constant(index)).reshape(&[frames, frames, heads]).permute(&[2, 0, 1]);
    }
    let seen = scores.softmax(3).matmul(v).transpose(1, 2).reshape(&[count, frames, width]);
    scope.linear("proj", seen, c).reshape(&[n, rows, columns, frames, c]).permute(&[0, 3, 1, 2, 4])
}

/// Convolutions of both halves of the channels, with ways around; the second half sees the first.
fn halves<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let around = |name: &str, x| {
        let part = scope.scope(name);
        x + conv(&part, "2", conv(&part, "0", x, 1).leaky_relu(SLOPE), 1)
    };
    let [a, b] = x.permute(&[0, 4, 1, 2, 3]).chunk(1);
    let a = around("part1", a);
    a.concat(1, &[around("part2", b + a)]).permute(&[0, 2, 3, 4, 1])
}

/// A block on `(n, frame, row, column, channel)`.
fn block<'b>(scope: &Scope<'b>, x: Var<'b>, shifted: bool) -> Var<'b> {
    let (n, frames, rows, columns, c) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3), x.dim(4));
    let attention = scope.scope("attn");
    let (side, _) = side_and_heads(&attention);
    let missing = |n: usize| (n.next_multiple_of(side) - n) as i64;
    let normal = scope.layer_norm("norm1", x, EPSILON);
    let whole = normal.pad(&[(0, missing(rows)), (0, missing(columns)), (0, 0)], PadMode::Zeros);
    let (h, w) = (whole.dim(2), whole.dim(3));
    let images = whole.reshape(&[n * frames, h, w, c]);
    let in_space = attending(&attention, images, if shifted { side / 2 } else { 0 }).reshape(&[n, frames, h, w, c]);
    let in_time = along_time(&scope.scope("time_attn"), whole);
    let x = x + (in_time + in_space).slice(2, 0..rows).slice(3, 0..columns);
    x + halves(&scope.scope("ff"), scope.layer_norm("norm2", x, EPSILON))
}

fn build<'b>(b: &'b Builder<'b>) {
    let net = b.root();
    let (measurement, masks, mask_sum) = (b.input("measurement"), b.input("masks"), b.input("mask_sum"));
    let (side, _) = side_and_heads(&net.scope("layers.0.blocks.0.attn"));
    // half of a side must be more than a window
    sizes(b, measurement, 2, 2 * (side + 1));
    let most = net.size("layers.0.blocks.0.time_attn.relative_position_bias_table", 0).div_ceil(2);
    if masks.dim(1) > most && masks.axes() == 4 {
        return b.refuse(format!("{} frames; these weights are for {most} at most", masks.dim(1)));
    }

    let spread = measurement * masks;
    let again = (spread * masks).sum(&[1], true);
    let first = spread + (measurement - again) / mask_sum * masks;

    let mut x = first.unsqueeze(1);
    let tokens = net.scope("token_gen");
    for (i, stride) in [1, 1, 1, 2, 1].into_iter().enumerate() {
        x = conv(&tokens, &(2 * i).to_string(), x, stride).leaky_relu(SLOPE);
    }
    let mut y = x.permute(&[0, 2, 3, 4, 1]);
    for unit in 0..net.count("layers.", ".blocks.0.norm1.weight") {
        let blocks = net.scope(&format!("layers.{unit}.blocks"));
        for i in 0..blocks.count("", ".norm1.weight") {
            y = block(&blocks.scope(&i.to_string()), y, i % 2 == 1);
        }
    }
    let last = net.scope("conv2");
    let up = Conv::new(last.size("0.weight", 1), [1, 3, 3]).stride([1, 2, 2]).pad([0, 1, 1]).output_pad([0, 1, 1]);
    let mut x = last.conv_transpose("0", y.permute(&[0, 4, 1, 2, 3]), up);
    for i in [2, 4, 6] {
        x = conv(&last, &i.to_string(), x.leaky_relu(SLOPE), 1);
    }
    b.output("frames", x.squeeze(1));
}
