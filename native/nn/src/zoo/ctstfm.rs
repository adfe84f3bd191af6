//! CTSTFM (Jiang & Shao 2024): convolutions and transformers together; the coarse target image and one fine image of any date are
//! encoded by blocks with kernels of three sizes, exchange what they know by attention in windows, and are decoded together.
//!
//! The authors published a figure but no code. What it shows is built as it shows it; sizes and details it does not show are
//! those of this project's specification, so weights that others have trained will not fit. Windows have 8 x 8 pixels; images
//! that do not hold whole windows are padded with zeros below and to the right. Group normalisation and channel attention look at
//! the whole image, so that a prediction depends on the tile it was made in.
//!
//! # As trained
//! * Inputs: `coarse_t2`, `fine_t1`
//! * Scaling: reflectance, DN / 10000
//! * Patch: any size
//! * Coarse: on the fine grid
//!
//! # Options
//! Options, which shapes of weights cannot tell: `groups` of normalisation (4), `heads` of attention (4).

use super::blocks::{number, padded, pointwise};
use super::{attention, Network};
use crate::builder::{Builder, Conv, Scope, Var};
use crate::ops::PadMode;

/// The network.
pub const CTSTFM: Network =
    Network { id: "ctstfm", name: "CTSTFM", reference: "Jiang, Shao 2024, doi:10.1109/JSTARS.2024.3435739", build };

/// What keeps the divisor of a normalisation from zero.
const EPSILON: f64 = 1e-5;

/// Rows and columns of a window.
const WINDOW: usize = 8;

/// What shapes of weights cannot tell.
#[derive(Clone, Copy)]
struct Shape {
    groups: usize,
    heads: usize,
}

fn residual<'b>(block: &Scope<'b>, x: Var<'b>, shape: Shape) -> Var<'b> {
    let y = block.group_norm("n1", padded(block, "c1", x, 1), shape.groups, EPSILON).gelu();
    x + padded(block, "c2", y, 1)
}

/// The sum of convolutions with several kernels, `name.0`, `name.1`, ….
fn many_kernels<'b>(block: &Scope<'b>, name: &str, x: Var<'b>, outputs: usize, groups: usize) -> Var<'b> {
    let conv = |i: usize| {
        let layer = format!("{name}.{i}");
        let kernel = block.size(&format!("{layer}.weight"), 2);
        block.conv(&layer, x, Conv::new(outputs, kernel).pad(kernel / 2).groups(groups))
    };
    (1..block.count(&format!("{name}."), ".weight")).fold(conv(0), |sum, i| sum + conv(i))
}

/// A block of the encoders: channels, then pixels are weighted by what kernels of several sizes see.
fn encoder_block<'b>(block: &Scope<'b>, x: Var<'b>, shape: Shape) -> Var<'b> {
    let y = residual(&block.scope("brb"), x, shape);
    let channels = y.dim(1);
    let y = y * attention::of_channels(block, "ca", many_kernels(block, "dw", y, channels, channels));
    x + y * many_kernels(block, "sp", attention::extremes(y), 1, 1).sigmoid()
}

/// What `x` finds in `other` within windows.
fn window_attention<'b>(block: &Scope<'b>, x: Var<'b>, other: Var<'b>, heads: usize) -> Var<'b> {
    let (n, channels, rows, columns) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
    let [down, right] = [rows, columns].map(|size| size.div_ceil(WINDOW));
    let lacking = [(0, (down * WINDOW - rows) as i64), (0, (right * WINDOW - columns) as i64)];
    let windows = |x: Var<'b>| {
        let whole = x.pad(&lacking, PadMode::Zeros).reshape(&[n, channels, down, WINDOW, right, WINDOW]);
        whole.permute(&[0, 2, 4, 3, 5, 1]).reshape(&[n * down * right, WINDOW * WINDOW, channels])
    };
    let per_head = |x: Var<'b>| x.reshape(&[n * down * right, WINDOW * WINDOW, heads, channels / heads.max(1)]).transpose(1, 2);
    let query = per_head(block.linear("q", windows(x), channels));
    let [key, value] = block.linear("kv", windows(other), 2 * channels).chunk::<2>(2).map(per_head);
    let scale = ((channels / heads.max(1)) as f32).sqrt();
    let found = (query.matmul(key.transpose(2, 3)) / scale).softmax(3).matmul(value);
    let found = found.transpose(1, 2).reshape(&[n * down * right, WINDOW * WINDOW, channels]);
    let found = block.linear("o", found, channels).reshape(&[n, down, right, WINDOW, WINDOW, channels]);
    let found = found.permute(&[0, 5, 1, 3, 2, 4]).reshape(&[n, channels, down * WINDOW, right * WINDOW]);
    found.slice(2, 0..rows).slice(3, 0..columns)
}

/// A transformer block: `x` with what it finds in `other`, and a perceptron.
fn transformer<'b>(block: &Scope<'b>, x: Var<'b>, other: Var<'b>, heads: usize) -> Var<'b> {
    let norm = |name: &str, x: Var<'b>| {
        let last = x.permute(&[0, 2, 3, 1]);
        block.layer_norm(&format!("{name}.ln"), last, EPSILON).permute(&[0, 3, 1, 2])
    };
    let x = x + window_attention(&block.scope("att"), norm("na", x), norm("nb", other), heads);
    x + pointwise(block, "m2", pointwise(block, "m1", norm("nm", x)).gelu())
}

/// A block of the fusion: both streams look at each other, then at their mixture.
fn fusion_block<'b>(block: &Scope<'b>, coarse: Var<'b>, fine: Var<'b>, shape: Shape) -> [Var<'b>; 2] {
    let of = |name: &str| block.scope(name);
    let (x, y) = (residual(&of("ba"), coarse, shape), residual(&of("bb"), fine, shape));
    let (x, y) = (transformer(&of("ca"), x, y, shape.heads), transformer(&of("cb"), y, x, shape.heads));
    let mixture = pointwise(block, "mix", x.concat(1, &[y]));
    [coarse + transformer(&of("fa"), x, mixture, shape.heads), fine + transformer(&of("fb"), y, mixture, shape.heads)]
}

fn build<'b>(b: &'b Builder<'b>) {
    let root = b.root();
    let shape = Shape { groups: number(b, "groups", 4), heads: number(b, "heads", 4) };
    let width = b.size("ic.weight", 0);
    if !width.is_multiple_of(shape.heads) {
        b.refuse(format!("{} heads do not share out {width} channels", shape.heads));
    }
    let (mut coarse, mut fine) = (pointwise(&root, "ic", b.input("coarse_t2")), pointwise(&root, "jf", b.input("fine_t1")));
    for i in 0..b.count("ec.", ".brb.c1.weight") {
        coarse = encoder_block(&b.scope(&format!("ec.{i}")), coarse, shape);
        fine = encoder_block(&b.scope(&format!("ef.{i}")), fine, shape);
    }
    for i in 0..b.count("fus.", ".mix.weight") {
        [coarse, fine] = fusion_block(&b.scope(&format!("fus.{i}")), coarse, fine, shape);
    }
    let norm = |name: &str, x| root.group_norm(name, x, shape.groups, EPSILON).gelu();
    let x = norm("n1", pointwise(&root, "d1", coarse.concat(1, &[fine])));
    b.output("fine_t2", pointwise(&root, "d3", norm("n2", padded(&root, "d2", x, 1))));
}
