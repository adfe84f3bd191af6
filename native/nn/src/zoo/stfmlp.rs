//! StfMLP (Chen et al. 2023): perceptrons over channels and over pixels, at four resolutions side by side, map a coarse change and a fine image to the fine
//! change.
//!
//! Like HRNet: a branch of every resolution goes on to the end, and each stage begins one more, at fewer pixels. The way to fewer pixels
//! is itself a perceptron, along the axis of all pixels of the patch, so the patch is of the size the network was trained for. At the
//! end the branches are enlarged (bilinear) and mapped to the bands. Two networks, one for each direction in time.
//!
//! The prediction is `a (F1 + D12) + (1 - a) (F3 - D23)`. `a` is inverse to the absolute mean change of the coarse images over the whole
//! patch; where the two differ by more than 0.2, the side that changed less counts alone.
//!
//! # As trained
//! * Inputs: `coarse_t1`, `coarse_t2`, `coarse_t3`, `fine_t1`, `fine_t3`
//! * Scaling: reflectance of DN times 1e-4
//! * Patch: 40 x 40, and no other size
//! * Coarse: on the fine grid

use super::Network;
use crate::builder::{Builder, Scope, Var};

/// Both directions.
pub const STFMLP: Network = Network {
    id: "stfmlp",
    name: "StfMLP",
    reference: "Chen, Lu, Di, Li, Emam, Jing 2023, doi:10.1109/LGRS.2022.3230720",
    build,
};

const EPSILON: f64 = 1e-5;

/// What keeps the inverse of a change finite: nothing in the authors' code, where a change of exactly zero gives no number.
const LEAST_CHANGE: f32 = 1e-8;

/// The difference of mean changes beyond which the side with the smaller one counts alone.
const DECISIVE: f32 = 0.2;

fn perceptron<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let hidden = scope.linear("fc1", x, scope.size("fc1.weight", 0)).gelu();
    scope.linear("fc2", hidden, scope.size("fc2.weight", 0))
}

/// Normalisation and perceptron, one after the other without a way around.
fn stage<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    (0..scope.count("", ".layernorm.weight")).fold(x, |x, i| {
        let block = scope.scope(&i.to_string());
        perceptron(&block.scope("mlp"), block.layer_norm("layernorm", x, EPSILON))
    })
}

/// From `(n, channel, row, column)` to `(n, pixel, band)`.
fn pixels<'b>(x: Var<'b>) -> Var<'b> {
    x.reshape(&[x.dim(0), x.dim(1), x.dim(2) * x.dim(3)]).transpose(1, 2)
}

/// The fine change.
fn network<'b>(scope: &Scope<'b>, coarse_change: Var<'b>, fine: Var<'b>) -> Var<'b> {
    let (n, rows, columns) = (fine.dim(0), fine.dim(2), fine.dim(3));
    let first = perceptron(&scope.scope("fistlayer.proj"), pixels(coarse_change.concat(1, &[fine])));
    // branches from fine to coarse; stage s + 1 carries on the two coarsest
    let mut branches = vec![stage(&scope.scope("stage1"), first)];
    for s in 1..=transitions(scope) {
        let Some(&finer) = branches.last() else { return fine };
        let along = perceptron(&scope.scope(&format!("transition{s}.proj")), finer.transpose(1, 2)).transpose(1, 2);
        let stages = scope.scope(&format!("stage{}", s + 1));
        if s > 1 {
            branches[s - 1] = stage(&stages.scope(&(s - 1).to_string()), finer);
        }
        branches.push(stage(&stages.scope(&s.to_string()), along));
    }
    let images: Vec<Var> = branches
        .into_iter()
        .map(|branch| {
            let (count, width) = (branch.dim(1), branch.dim(2));
            let side = (count as f64).sqrt().round() as usize;
            let (h, w) = if count == rows * columns { (rows, columns) } else { (side, side) };
            let image = branch.transpose(1, 2).reshape(&[n, width, h, w]);
            if (h, w) == (rows, columns) {
                image
            } else {
                image.resize_bilinear([rows, columns], false)
            }
        })
        .collect();
    let change = perceptron(&scope.scope("lastlayer.proj"), pixels(images[0].concat(1, &images[1..])));
    change.transpose(1, 2).reshape(&[n, change.dim(2), rows, columns])
}

/// How many times there are fewer pixels; the published names count from one.
fn transitions(scope: &Scope<'_>) -> usize {
    (1..).take_while(|s| scope.has(&format!("transition{s}.proj.fc1.weight"))).count()
}

fn build<'b>(b: &'b Builder<'b>) {
    let [coarse_1, coarse_2, coarse_3] = ["coarse_t1", "coarse_t2", "coarse_t3"].map(|name| b.input(name));
    let [fine_1, fine_3] = ["fine_t1", "fine_t3"].map(|name| b.input(name));
    let needed = b.size("n1.transition1.proj.fc1.weight", 1);
    let side = (needed as f64).sqrt().round() as usize;
    let (rows, columns) = (fine_1.dim(2), fine_1.dim(3));
    if (rows, columns) != (side, side) && b.has("n1.transition1.proj.fc1.weight") {
        return b.refuse(format!("an image of {rows} x {columns} pixels; these weights are for {side} x {side}"));
    }
    let (n1, n2) = (b.scope("n1"), b.scope("n2"));
    let (change_12, change_23) = (coarse_2 - coarse_1, coarse_3 - coarse_2);
    let change_13 = coarse_3 - coarse_1;
    let (fine_12, fine_23) = (network(&n1, change_12, fine_1), network(&n2, change_23, fine_3));
    b.output("change_13_from_1", network(&n1, change_13, fine_1));
    b.output("change_13_from_3", network(&n2, change_13, fine_3));
    b.output("change_12", fine_12);
    b.output("change_23", fine_23);

    let mean = |change: Var<'b>| change.mean(&[1, 2, 3], true).abs();
    let (mean_12, mean_23) = (mean(change_12), mean(change_23));
    let closeness = |change: Var<'b>| (change + LEAST_CHANGE).reciprocal();
    let inverse = closeness(mean_12) / (closeness(mean_12) + closeness(mean_23));
    let weight = (mean_23 - mean_12).greater(b.number(DECISIVE)).select(b.number(1.0), inverse);
    let weight = (mean_12 - mean_23).greater(b.number(DECISIVE)).select(b.number(0.0), weight);
    b.output("fine_t2", weight * (fine_1 + fine_12) + (1.0 - weight) * (fine_3 - fine_23));
}
