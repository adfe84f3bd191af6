//! SwinSTFM (Chen et al. 2022): transformers over windows encode the coarse images and the fine one at five scales; attention
//! that must hold in space and in time moves what changed between the coarse images to where the fine image has it.
//!
//! One encoder for both coarse images, one for the fine image. At each scale, from the coarsest on, the change `V` of coarse
//! features is gathered with the weights `A = softmax(q(C1) k(F1)) · softmax(q2(C1) k2(C2))`, divided by their sums, and added to
//! the fine features; with the coarse target's features and the enlarged result of the scale before it goes through a layer and
//! more blocks. Every second block shifts its windows by half, around the edges; a mask keeps pixels apart that are no
//! neighbours.
//!
//! # As trained
//! * Inputs: `coarse_t1`, `fine_t1`, `coarse_t2`
//! * Scaling: 2 DN / 10000 - 1, between -1 and 1; so is the prediction (tanh)
//! * Patch: 256, no other size; the authors predict tiles of 256 at distances of 128 and keep their middles
//! * Coarse: on the fine grid
//!
//! # Quirks
//! What the published code does and the weights have learnt to live with, so that this does it too:
//! * Where windows are not shifted, `A` is divided by its sums over the queries, not over the keys.
//! * What the heads gathered is laid down head by head over all windows, and read as if it lay window by window: a pixel gets
//!   channels of other pixels and windows, and which depends on the number of windows. So the size of images is that of training,
//!   and no other (the authors' code takes no other either); the shape of the first `attn_mask` tells it.
//!
//! The buffers `relative_position_index` and `attn_mask` follow from the windows and are made anew; that a block has a mask says
//! that it shifts. The published code also computes the differences of fine and coarse features, and never uses them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};
use crate::Tensor;

/// The network.
pub const SWIN_STFM: Network = Network {
    id: "swinstfm",
    name: "SwinSTFM",
    reference: "Chen, Jiao, Hu, Xiao, Ye 2022, doi:10.1109/TGRS.2022.3182809",
    build,
};

/// What keeps the divisor of a normalisation from zero.
const EPSILON: f64 = 1e-5;

/// What is added to the product of two attentions, so that no sum of them is zero.
const LEAST_ATTENTION: f32 = 1e-6;

/// What a mask adds to the attention between pixels that are no neighbours.
const APART: f32 = -100.0;

/// The constants of attention in windows, each made once. Features are images `(n, row, column, channel)`.
struct Attention<'b> {
    builder: &'b Builder<'b>,
    masks: RefCell<BTreeMap<[usize; 4], Var<'b>>>,
    offsets: RefCell<BTreeMap<usize, Var<'b>>>,
}

/// The windows of one block: their side, their shift, and what is added to attention, `(windows or 1, heads, pixels, pixels)`.
struct Windows<'b> {
    side: usize,
    shift: usize,
    heads: usize,
    bias: Var<'b>,
}

/// The side of the windows of a block, from its table of `(2 side - 1)²` relative positions.
fn side(block: &Scope<'_>) -> usize {
    block.size("attn.relative_position_bias_table", 0).isqrt().div_ceil(2)
}

/// For every pair of pixels of a window, the row of the table for their distance.
fn offsets(side: usize) -> Vec<i64> {
    let pixels = || (0..side * side).map(|p| (p / side, p % side));
    let row = |(a, b): ((usize, usize), (usize, usize))| {
        let (rows, columns) = (a.0 + side - 1 - b.0, a.1 + side - 1 - b.1);
        (rows * (2 * side - 1) + columns) as i64
    };
    pixels().flat_map(|a| pixels().map(move |b| row((a, b)))).collect()
}

/// For every window of an image of this size that was shifted, and every pair of its pixels, 0 where they are neighbours before
/// the shift and [`APART`] where they came from opposite edges.
fn mask(size: [usize; 2], side: usize, shift: usize) -> Vec<f32> {
    // an axis falls into what is not moved around the edge, the rest of the last window, and what is
    let part = |i: usize, n: usize| usize::from(i + side >= n) + usize::from(i + shift >= n);
    let region = |row, column| 3 * part(row, size[0]) + part(column, size[1]);
    let mut mask = Vec::with_capacity(size[0] * size[1] * side * side);
    for row in (0..size[0]).step_by(side) {
        for column in (0..size[1]).step_by(side) {
            let regions: Vec<usize> = (0..side * side).map(|p| region(row + p / side, column + p % side)).collect();
            mask.extend(regions.iter().flat_map(|a| regions.iter().map(move |b| if a == b { 0.0 } else { APART })));
        }
    }
    mask
}

impl<'b> Attention<'b> {
    fn new(builder: &'b Builder<'b>) -> Self {
        Attention { builder, masks: RefCell::default(), offsets: RefCell::default() }
    }

    fn constant(&self, tensor: stfusion_core::Result<Tensor>) -> Var<'b> {
        match tensor {
            Ok(tensor) => self.builder.constant(tensor),
            Err(e) => {
                self.builder.refuse(e.message());
                self.builder.number(0.0)
            }
        }
    }

    fn windows(&self, block: &Scope<'b>, x: Var<'b>) -> Windows<'b> {
        const TABLE: &str = "attn.relative_position_bias_table";
        let (side, heads) = (side(block), block.size(TABLE, 1));
        let (pixels, size) = (side * side, [x.dim(1), x.dim(2)]);
        block.unused("attn.relative_position_index");
        let shift = if block.has("attn_mask") { side / 2 } else { 0 };
        block.unused("attn_mask");

        let offsets = *self
            .offsets
            .borrow_mut()
            .entry(side)
            .or_insert_with(|| self.constant(Tensor::from_i64(&[pixels * pixels], offsets(side))));
        let table = block.weight(TABLE, &[(2 * side - 1) * (2 * side - 1), heads]);
        let mut bias = table.gather(0, offsets).reshape(&[pixels, pixels, heads]).permute(&[2, 0, 1]).unsqueeze(0);
        if shift > 0 && size.iter().all(|n| n % side == 0) {
            let images = x.dim(0);
            let make = || {
                let windows = images * (size[0] / side) * (size[1] / side);
                self.constant(Tensor::from_f32(&[windows, 1, pixels, pixels], mask(size, side, shift).repeat(images)))
            };
            bias = bias + *self.masks.borrow_mut().entry([images, size[0], size[1], side]).or_insert_with(make);
        }
        Windows { side, shift, heads, bias }
    }
}

impl<'b> Windows<'b> {
    /// Shifts an image and cuts it into windows `(windows, pixels, channel)`.
    fn cut(&self, x: Var<'b>) -> Var<'b> {
        let (n, rows, columns, channels, w) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3), self.side);
        let back = -(self.shift as isize);
        let shifted = if self.shift > 0 { x.roll(&[(1, back), (2, back)]) } else { x };
        let parts = shifted.reshape(&[n, rows / w, w, columns / w, w, channels]).permute(&[0, 1, 3, 2, 4, 5]);
        parts.reshape(&[n * (rows / w) * (columns / w), w * w, channels])
    }

    /// The image of the shape `shape` whose windows these are.
    fn joined(&self, windows: Var<'b>, shape: &[usize]) -> Var<'b> {
        let &[n, rows, columns, channels] = shape else { return windows };
        let (w, shift) = (self.side, self.shift as isize);
        let parts = windows.reshape(&[n, rows / w, columns / w, w, w, channels]).permute(&[0, 1, 3, 2, 4, 5]);
        let x = parts.reshape(shape);
        if shift > 0 {
            x.roll(&[(1, shift), (2, shift)])
        } else {
            x
        }
    }

    /// `(windows, pixels, channel)` to `(windows, head, pixels, channel of the head)`.
    fn per_head(&self, x: Var<'b>) -> Var<'b> {
        x.reshape(&[x.dim(0), x.dim(1), self.heads, x.dim(2) / self.heads.max(1)]).permute(&[0, 2, 1, 3])
    }

    /// The weights of values: softmax of how queries agree with keys.
    fn weights(&self, query: Var<'b>, key: Var<'b>) -> Var<'b> {
        let (query, key) = (self.per_head(query), self.per_head(key));
        let scale = (query.dim(3) as f32).sqrt().recip();
        ((query * scale).matmul(key.transpose(2, 3)) + self.bias).softmax(3)
    }

    /// The values gathered with these weights, heads side by side again.
    fn gathered(&self, weights: Var<'b>, value: Var<'b>) -> Var<'b> {
        weights.matmul(self.per_head(value)).permute(&[0, 2, 1, 3]).reshape(&value.shape())
    }
}

/// `x W + b` with as many outputs as the weights have.
fn linear<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    scope.linear(name, x, scope.size(&format!("{name}.weight"), 0))
}

/// `x` and what the two layers of a block make of its normalised values.
fn with_mlp<'b>(block: &Scope<'b>, norm: &str, x: Var<'b>) -> Var<'b> {
    x + linear(block, "mlp.fc2", linear(block, "mlp.fc1", block.layer_norm(norm, x, EPSILON)).gelu())
}

/// A block of attention within an image.
fn block<'b>(attention: &Attention<'b>, block: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let windows = attention.windows(block, x);
    let parts = linear(block, "attn.qkv", windows.cut(block.layer_norm("norm1", x, EPSILON)));
    let [query, key, value] = parts.chunk::<3>(2);
    let gathered = windows.gathered(windows.weights(query, key), value);
    let x = x + windows.joined(linear(block, "attn.proj", gathered), &x.shape());
    with_mlp(block, "norm2", x)
}

fn blocks<'b>(attention: &Attention<'b>, layer: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let depth = layer.count("blocks.", ".norm1.weight");
    (0..depth).fold(x, |x, i| block(attention, &layer.scope(&format!("blocks.{i}")), x))
}

/// A block that moves a change to where both attentions say.
fn moving_block<'b>(attention: &Attention<'b>, block: &Scope<'b>, change: Var<'b>, beside: [Var<'b>; 3]) -> Var<'b> {
    let windows = attention.windows(block, change);
    let [coarse_1, fine, coarse_2] = beside.map(|x| windows.cut(x));
    let of = |name: &str, x| linear(block, &format!("attn.{name}"), x);
    let in_space = windows.weights(of("q", coarse_1), of("k", fine));
    let in_time = windows.weights(of("q2", coarse_1), of("k2", coarse_2));
    let both = in_space * in_time + LEAST_ATTENTION;
    let (queries, keys) = (2, 3);
    let weights = both / both.sum(&[if windows.shift > 0 { keys } else { queries }], true);
    let value = of("v", windows.cut(block.layer_norm("norm1", change, EPSILON)));
    let by_head = weights.matmul(windows.per_head(value)).permute(&[1, 0, 2, 3]);
    let gathered = by_head.reshape(&value.shape());
    let x = change + windows.joined(linear(block, "attn.proj", gathered), &change.shape());
    with_mlp(block, "norm3", x)
}

/// The coarse change of one scale, moved to the fine image.
fn moved<'b>(attention: &Attention<'b>, layer: &Scope<'b>, change: Var<'b>, features: [Var<'b>; 3]) -> Var<'b> {
    let [coarse_1, fine, coarse_2] = features;
    let norm = |name: &str, x| layer.layer_norm(name, x, EPSILON);
    let beside = [norm("norm1", coarse_1), norm("norm2", fine), norm("norm3", coarse_2)];
    let depth = layer.count("blocks.", ".norm1.weight");
    (0..depth).fold(change, |x, i| moving_block(attention, &layer.scope(&format!("blocks.{i}")), x, beside))
}

/// `(n, channel, row, column)` to `(n, row, column, channel)`.
fn channels_last<'b>(x: Var<'b>) -> Var<'b> {
    x.permute(&[0, 2, 3, 1])
}

/// `(n, row, column, channel)` to `(n, channel, row, column)`.
fn channels_first<'b>(x: Var<'b>) -> Var<'b> {
    x.permute(&[0, 3, 1, 2])
}

fn convolution<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    scope.conv(name, x, Conv::new(scope.size(&format!("{name}.weight"), 0), 3).pad(1))
}

/// Features at every scale, the finest first.
fn encoder<'b>(attention: &Attention<'b>, encoder: &Scope<'b>, image: Var<'b>) -> Vec<Var<'b>> {
    let (width, patch) = (encoder.size("inc.proj.weight", 0), encoder.size("inc.proj.weight", 2));
    let x = channels_last(encoder.conv("inc.proj", image, Conv::new(width, patch).stride(patch)));
    let mut features = vec![encoder.layer_norm("inc.norm", x, EPSILON)];
    for i in 1..=scales(encoder) {
        let down = encoder.scope(&format!("down{i}"));
        let x = blocks(attention, &down.scope("layer"), features[i - 1]);
        // the four pixels of a block side by side, down the columns
        let (n, rows, columns, channels) = (x.dim(0), x.dim(1) / 2, x.dim(2) / 2, x.dim(3));
        let merged = x.reshape(&[n, rows, 2, columns, 2, channels]).permute(&[0, 1, 3, 4, 2, 5]);
        let merged = down.layer_norm("downsample.norm", merged.reshape(&[n, rows, columns, 4 * channels]), EPSILON);
        features.push(down.linear_unbiased("downsample.reduction", merged, down.size("downsample.reduction.weight", 0)));
    }
    features
}

/// How often an encoder halves the resolution of its patches.
fn scales(encoder: &Scope<'_>) -> usize {
    (1..).take_while(|i| encoder.has(&format!("down{i}.downsample.reduction.weight"))).count()
}

/// Rows and columns of the images that the network was trained with, from the number of windows of its first shifted block.
fn trained_size(b: &Builder<'_>) -> usize {
    let block = b.scope("coarse_down.down1.layer.blocks.1");
    let patch = b.size("coarse_down.inc.proj.weight", 2);
    block.size("attn_mask", 0).isqrt() * side(&block) * patch
}

fn build<'b>(b: &'b Builder<'b>) {
    let [coarse_1, fine, coarse_2] = ["coarse_t1", "fine_t1", "coarse_t2"].map(|name| b.input(name));
    let (size, rows, columns) = (trained_size(b), fine.dim(2), fine.dim(3));
    if [rows, columns] != [size, size] {
        b.refuse(format!("images of {rows} x {columns} pixels; these weights take images of {size} x {size} pixels only"));
    }
    let attention = Attention::new(b);
    let coarse_encoder = b.scope("coarse_down");
    let [coarse_1, coarse_2] = [coarse_1, coarse_2].map(|image| encoder(&attention, &coarse_encoder, image));
    let fine = encoder(&attention, &b.scope("fine_down"), fine);

    let up = b.scope("fine_up");
    let at = |layer: &Scope<'b>, i: usize| {
        let change = coarse_2[i] - coarse_1[i];
        moved(&attention, layer, change, [coarse_1[i], fine[i], coarse_2[i]]) + fine[i]
    };
    let scales = fine.len() - 1;
    let mut x = at(&up.scope("layer"), scales);
    for i in (0..scales).rev() {
        let scale = up.scope(&format!("up{}", scales - i));
        let enlarged = channels_last(convolution(&scale, "up.0", channels_first(x)).pixel_shuffle(2));
        let all = coarse_2[i].concat(3, &[at(&scale.scope("layer"), i), enlarged]);
        x = blocks(&attention, &scale.scope("layer2"), linear(&scale, "proj1", all));
    }
    let x = convolution(&up, "outc.0", channels_first(x)).pixel_shuffle(2);
    b.output("fine_t2", convolution(&up, "outc.2", x).tanh());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_a_window_of_two() {
        assert_eq!(offsets(2), [4, 3, 1, 0, 5, 4, 2, 1, 7, 6, 4, 3, 8, 7, 5, 4]);
    }

    #[test]
    fn a_mask_parts_what_the_shift_brought_together() {
        // one window of 2 x 2 after a shift by 1: every pixel came from another corner
        let apart = |a: usize, b: usize| if a == b { 0.0 } else { APART };
        let expected: Vec<f32> = (0..16).map(|i| apart(i / 4, i % 4)).collect();
        assert_eq!(mask([2, 2], 2, 1), expected);
        // of two windows side by side the first has pixels of two rows of windows only
        let first = &mask([2, 4], 2, 1)[..16];
        let rows: Vec<f32> = (0..16).map(|i| apart(i / 8, i % 4 / 2)).collect();
        assert_eq!(first, rows);
    }
}
