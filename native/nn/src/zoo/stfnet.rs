//! STFNet (Liu et al. 2019): for each of two directions in time, a network predicts the fine change from the coarse change and the fine
//! reference image.
//!
//! `D12 = N1(C2 - C1 | F1)`, `D23 = N2(C3 - C2 | F3)`; the prediction is the mean of `F1 + D12` and `F3 - D23`. The weights of the mean
//! are, per band, inverse to the mean absolute coarse change since each reference; where one side changed by more than 0.2 less, it
//! counts alone.

use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};

/// Both directions.
pub const STFNET: Network = Network {
    id: "stfnet",
    name: "STFNet",
    reference: "Liu, Deng, Chanussot, Hong, Zhao 2019, doi:10.1109/TGRS.2019.2907310",
    build,
};

/// What keeps the inverse of a change finite.
const LEAST_CHANGE: f32 = 1e-8;

/// The difference of mean changes beyond which the side with the smaller one counts alone.
const DECISIVE: f32 = 0.2;

fn mapping<'b>(scope: &Scope<'b>, coarse_change: Var<'b>, fine: Var<'b>) -> Var<'b> {
    let conv = |layer: &str, x, kernel| {
        let outputs = scope.size(&format!("{layer}.weight"), 0);
        scope.conv(layer, x, Conv::new(outputs, kernel).pad(kernel / 2))
    };
    let features = conv("feature_extraction_layer.0", coarse_change.concat(1, &[fine]), 9).relu();
    let mapped = conv("nonlinear_mapping_layer.0", features, 5).relu();
    conv("reconstruction_layer.0", mapped, 5)
}

fn build<'b>(b: &'b Builder<'b>) {
    let [coarse_1, coarse_2, coarse_3] = ["coarse_t1", "coarse_t2", "coarse_t3"].map(|name| b.input(name));
    let [fine_1, fine_3] = ["fine_t1", "fine_t3"].map(|name| b.input(name));

    let (coarse_12, coarse_23) = (coarse_2 - coarse_1, coarse_3 - coarse_2);
    let fine_12 = mapping(&b.scope("net.DCNN_mapping_1"), coarse_12, fine_1);
    let fine_23 = mapping(&b.scope("net.DCNN_mapping_2"), coarse_23, fine_3);
    b.output("change_12", fine_12);
    b.output("change_23", fine_23);
    b.output("change_13", fine_12 + fine_23);

    let mean_change = |change: Var<'b>| change.abs().mean(&[0, 2, 3], true);
    let (mean_12, mean_23) = (mean_change(coarse_12), mean_change(coarse_23));
    let closeness = |change: Var<'b>| (change + LEAST_CHANGE).reciprocal();
    let inverse = closeness(mean_12) / (closeness(mean_12) + closeness(mean_23));
    let weight = (mean_23 - mean_12).greater(b.number(DECISIVE)).select(b.number(1.0), inverse);
    let weight = (mean_12 - mean_23).greater(b.number(DECISIVE)).select(b.number(0.0), weight);
    b.output("fine_t2", weight * (fine_1 + fine_12) + (1.0 - weight) * (fine_3 - fine_23));
}
