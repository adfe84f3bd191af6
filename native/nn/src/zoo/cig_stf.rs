//! CIG-STF (You et al. 2024): where the land cover changed between the coarse images, found from their features, guides how a
//! first fusion of all images is enhanced.
//!
//! The authors published neither code nor, in what this project knows of it, a figure. What the text says is built; sizes and
//! details it does not give are those of this project's specification, so weights that others have trained will not fit. Features
//! come from convolutions with three dilations, of both coarse images by the same weights; the result is added to the fine image.
//!
//! # As trained
//! * Inputs: `coarse_t1`, `coarse_t2`, `fine_t1`
//! * Scaling: reflectance, DN / 10000
//! * Patch: any size
//! * Coarse: on the fine grid
//!
//! # Beside the prediction
//! The map of change, between 0 and 1, is the second output, `change`.

use super::blocks::{padded, pointwise};
use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};

/// The network.
pub const CIG_STF: Network = Network {
    id: "cig-stf",
    name: "CIG-STF",
    reference: "You et al. 2024, IEEE Transactions on Geoscience and Remote Sensing 62",
    build,
};

/// Features seen at three distances.
fn encoder<'b>(scope: &Scope<'b>, image: Var<'b>) -> Var<'b> {
    let x = padded(scope, "h", image, 1).relu();
    let at = |i: usize| {
        let (name, distance) = (format!("d.{i}"), 1 << i);
        let outputs = scope.size(&format!("{name}.weight"), 0);
        scope.conv(&name, x, Conv::new(outputs, 3).pad(distance).dilation(distance)).relu()
    };
    let others: Vec<Var<'b>> = (1..scope.count("d.", ".weight")).map(at).collect();
    x + pointwise(scope, "f", at(0).concat(1, &others))
}

fn build<'b>(b: &'b Builder<'b>) {
    let [coarse_1, coarse_2, fine] = ["coarse_t1", "coarse_t2", "fine_t1"].map(|name| b.input(name));
    let root = b.root();
    let layer = |name: &str, x| padded(&root, name, x, 1);
    let [before, after] = [coarse_1, coarse_2].map(|image| encoder(&b.scope("ec"), image));
    let detail = encoder(&b.scope("ef"), fine);

    let difference = after - before;
    let change = layer("k2", layer("k1", difference.abs()).relu()).sigmoid();
    let first = layer("fu", before.concat(1, &[after, detail])).relu();
    let enhancement = layer("en2", layer("en1", first.concat(1, &[difference])).relu());
    b.output("fine_t2", fine + layer("out", first + change * enhancement));
    b.output("change", change);
}
