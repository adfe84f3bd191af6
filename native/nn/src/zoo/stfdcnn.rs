//! STFDCNN (Song et al. 2018): one network maps coarse images to fine images of low resolution, a second one those to fine images;
//! between them, and after, changes are added to the reference images.
//!
//! Each network is `x + conv5(relu(conv5(relu(conv9(x)))))`. After each, the two predictions `F1 + (N(2) - N(1))` and
//! `F3 + (N(2) - N(3))` are averaged with weights inverse to the change at the pixel. That is the public re-implementation; the paper
//! modulates high frequencies instead of adding changes.
//!
//! With the weights of one network alone (no prefix `model_stage_1`) the graph is that network, from `image` to `image`.

use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};

/// Both stages, or one network.
pub const STFDCNN: Network = Network {
    id: "stfdcnn",
    name: "STFDCNN",
    reference: "Song, Liu, Wang, Hang, Huang 2018, doi:10.1109/JSTARS.2018.2797894",
    build,
};

/// What keeps the inverse of a change finite.
const LEAST_CHANGE: f32 = 1e-8;

fn mapping<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let conv = |layer: &str, x, kernel| {
        let outputs = scope.size(&format!("{layer}.weight"), 0);
        scope.conv(layer, x, Conv::new(outputs, kernel).pad(kernel / 2))
    };
    let features = conv("feature_extraction_layer.0", x, 9).relu();
    let mapped = conv("nonlinear_mapping_layer.0", features, 5).relu();
    x + conv("reconstruction_layer.0", mapped, 5)
}

/// The mean of the predictions from both references, weighted with the inverse of the change since each.
fn fused<'b>(references: [Var<'b>; 2], transitions: [Var<'b>; 3]) -> Var<'b> {
    let [at_1, at_2, at_3] = transitions;
    let (change_1, change_3) = (at_2 - at_1, at_2 - at_3);
    let closeness = |change: Var<'b>| (change.abs() + LEAST_CHANGE).reciprocal();
    let weight = closeness(change_1) / (closeness(change_1) + closeness(change_3));
    weight * (references[0] + change_1) + (1.0 - weight) * (references[1] + change_3)
}

fn build<'b>(b: &'b Builder<'b>) {
    if !b.has("model_stage_1.feature_extraction_layer.0.weight") {
        b.output("image", mapping(&b.root(), b.input("image")));
        return;
    }
    let coarse = ["coarse_t1", "coarse_t2", "coarse_t3"].map(|name| b.input(name));
    let low = ["low_t1", "low_t3"].map(|name| b.input(name));
    let fine = ["fine_t1", "fine_t3"].map(|name| b.input(name));

    let stage_1 = |x| mapping(&b.scope("model_stage_1"), x);
    let low_2 = fused(low, coarse.map(stage_1));

    let size = [fine[0].dim(2), fine[0].dim(3)];
    let stage_2 = |x: Var<'b>| mapping(&b.scope("model_stage_2"), x.resize_nearest(size));
    b.output("low_t2", low_2);
    b.output("fine_t2", fused(fine, [low[0], low_2, low[1]].map(stage_2)));
}
