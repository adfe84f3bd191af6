//! MSFusion (Yang et al. 2022): features of the coarse change and of the fine reference image at four scales; at the two coarsest
//! ones the change fetches textures of the reference that resemble it, and from there on features are fused scale by scale.
//!
//! The authors published a figure but no code. What it shows is built as it shows it; sizes and details it does not show are
//! those of this project's specification, so weights that others have trained will not fit. The texture transformer compares 3x3
//! patches of all pixels with all others of the image, takes for each the most similar one, and weights what it brings by that
//! similarity: memory grows with the square of the number of pixels at a quarter of the resolution, and a prediction depends on
//! the tile it was made in.
//!
//! # As trained
//! * Inputs: `coarse_t1`, `coarse_t2`, `fine_t1`
//! * Scaling: reflectance, DN / 10000
//! * Patch: any size
//! * Coarse: on the fine grid

use super::attention;
use super::blocks::padded;
use super::Network;
use crate::builder::{Builder, Scope, Var};
use crate::ops::{Fold, Unfold};

/// The network.
pub const MSFUSION: Network = Network {
    id: "msfusion",
    name: "MSFusion",
    reference: "Yang, Qian, Liu, Tang, Qi, Lu, Geng 2022, doi:10.1109/JSTARS.2022.3179415",
    build,
};

/// The length below which a patch counts as empty.
const LEAST_LENGTH: f32 = 1e-12;

/// Features at every scale, the finest first.
fn encoder<'b>(scope: &Scope<'b>, image: Var<'b>) -> Vec<Var<'b>> {
    let mut x = image;
    let layer = |i| {
        x = padded(scope, &format!("c.{i}"), x, if i == 0 { 1 } else { 2 }).relu();
        x
    };
    (0..scope.count("c.", ".weight")).map(layer).collect()
}

/// `query` and what the most similar patches of `image` add to it.
fn texture_transformer<'b>(scope: &Scope<'b>, query: Var<'b>, image: Var<'b>) -> Var<'b> {
    let (n, rows, columns) = (query.dim(0), query.dim(2), query.dim(3));
    let patches = |x: Var<'b>| x.unfold(Unfold { kernel: [3; 2], stride: [1; 2], dilation: [1; 2], pads: [1; 2] });
    let unit = |p: Var<'b>| p / p.square().sum(&[1], true).sqrt().maximum(p.builder().number(LEAST_LENGTH));
    let (of_query, of_image) = (patches(query), patches(image));
    let similarity = unit(of_image).transpose(1, 2).matmul(unit(of_query));
    let nearest = similarity.arg_max(1).unsqueeze(1).expand(&of_image.shape());
    let fetched = of_image.gather_elements(2, nearest);
    let fetched =
        fetched.fold(Fold { size: [rows, columns], kernel: [3; 2], stride: [1; 2], dilation: [1; 2], pads: [1; 2] }) / 9.0;
    let trust = similarity.max(&[1], false).reshape(&[n, 1, rows, columns]);
    query + padded(scope, "conv", query.concat(1, &[fetched]), 1) * trust
}

/// Features of the scale before, enlarged, with what this scale adds.
fn fused<'b>(scope: &Scope<'b>, coarser: Var<'b>, change: Var<'b>, reference: Var<'b>) -> Var<'b> {
    let enlarged = coarser.resize_bilinear([reference.dim(2), reference.dim(3)], false);
    let all = padded(scope, "conv", enlarged.concat(1, &[change, reference]), 1).relu();
    enlarged + attention::of_both(scope, "att", all)
}

fn build<'b>(b: &'b Builder<'b>) {
    let [coarse_1, coarse_2, fine] = ["coarse_t1", "coarse_t2", "fine_t1"].map(|name| b.input(name));
    let change = encoder(&b.scope("em"), coarse_2 - coarse_1);
    let reference = encoder(&b.scope("el"), fine);
    let (Some(&[m1, m2, m3, m4]), Some(&[x1, x2, x3, x4])) = (change.first_chunk::<4>(), reference.first_chunk::<4>()) else {
        b.size("em.c.3.weight", 0);
        b.size("el.c.3.weight", 0);
        return;
    };
    let mut x = x4 + texture_transformer(&b.scope("t4"), m4, x4);
    x = fused(&b.scope("f3"), x, texture_transformer(&b.scope("t3"), m3, x3), x3);
    x = fused(&b.scope("f2"), x, m2, x2);
    x = fused(&b.scope("f1"), x, m1, x1);
    b.output("fine_t2", padded(&b.root(), "d2", padded(&b.root(), "d1", x, 1).relu(), 1));
}
