//! MGSFformer (Yu et al. 2025): the air quality of the coming hours at many stations, from their past at several granularities.
//!
//! The history of each station, normalised over time, is averaged over windows of several lengths. Each granularity is embedded, in
//! segments, and what the coarser ones have said is taken off; then it attends over time, over stations, and from stations to time,
//! and is mapped to the hours to come. A last attention weighs the granularities, and the normalisation is undone.
//!
//! # As trained
//! * Inputs: `history` (batch, step, station, 1)
//! * Scaling: none; normalised inside
//! * Patch: as many steps and stations as the weights are for
//! * Coarse: none
//!
//! # Quirks
//! * Heads repeat one another: each is the same attention, and the layer after them weighs equals.
//! * Granularities 3 and 4 use the normalisations of 1 and 2; those named 4 and 5 and two of the three attentions at the end are
//!   published but never used, the last one's parts all being the first.

use super::Network;
use crate::builder::{Builder, Conv, Scope, Var};

/// From `history` to `forecast`.
pub const MGSFFORMER: Network = Network {
    id: "mgsfformer",
    name: "MGSFformer",
    reference: "Yu, Wang, Wang, Shao, Sun, Yao, Xu 2025, doi:10.1016/j.inffus.2024.102607",
    build,
};

const EPSILON: f64 = 1e-5;

/// The normalisation of every granularity, as the published code calls them.
const NORMS: [&str; 5] = ["lay_norm1", "lay_norm2", "lay_norm1", "lay_norm2", "lay_norm3"];

/// Attention with scores between the rows of the last but one axis, repeated for every head and weighed by the layer `output`.
fn attention<'b>(scope: &Scope<'b>, output: &str, [q, k, v]: [Var<'b>; 3], width: usize) -> Var<'b> {
    let heads = scope.size(&format!("{output}.weight"), 1);
    let scores = q.matmul(k.transpose(2, 3)) / (width as f32 / heads as f32).sqrt();
    let seen = scores.softmax(3).matmul(v).unsqueeze(4);
    let repeated = if heads > 1 { seen.concat(4, &vec![seen; heads - 1]) } else { seen };
    scope.linear(output, repeated, 1).squeeze(4)
}

/// Query, key and value of `(n, width, station, segment)`, as `(n, station, width, segment)`.
fn points<'b>(scope: &Scope<'b>, q: Var<'b>, x: Var<'b>) -> [Var<'b>; 3] {
    [("query", q), ("key", x), ("value", x)].map(|(name, x)| {
        let width = scope.size(&format!("{name}.weight"), 0);
        scope.conv(name, x, Conv::new(width, 1)).transpose(1, 2)
    })
}

/// Attention over time, over stations, and from stations to time, of `(n, station, segment, width)`; the hours to come
/// `(n, station, hour)`.
fn block<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let (n, stations, segments, width) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
    let time = scope.scope("Time_att");
    let y = x.permute(&[0, 3, 1, 2]);
    let seen = attention(&time, "output", points(&time, y, y), width).transpose(1, 2);
    let in_time = time.layer_norm("laynorm", y + seen, EPSILON);

    let space = scope.scope("space_att");
    let z = x.permute(&[0, 2, 3, 1]);
    let parts = ["query", "key", "value"].map(|name| space.linear(name, z, stations));
    let in_space = attention(&space, "linear1", parts, width).permute(&[0, 2, 3, 1]);

    let cross = scope.scope("cross_att");
    let seen = attention(&cross, "output", points(&cross, in_space, in_time), width);
    let both = cross.layer_norm("laynorm", in_time.transpose(1, 2) + seen, EPSILON);
    let flat = both.reshape(&[n, stations, width * segments]).transpose(1, 2);
    scope.conv("linear", flat, Conv::new(scope.size("linear.weight", 0), 1)).transpose(1, 2)
}

fn build<'b>(b: &'b Builder<'b>) {
    let net = b.root();
    for name in ["lay_norm4", "lay_norm5", "DF_block.att2.QK", "DF_block.att3.QK"] {
        net.unused(&format!("{name}.weight"));
        net.unused(&format!("{name}.bias"));
    }
    let history = b.input("history");
    let (n, steps, stations) = (history.dim(0), history.dim(1), history.dim(2));
    let segments = net.size("lay_norm1.weight", 1);
    let (needed, finest) = (net.size("RevIN.affine_weight", 0), net.size("IE_block5.output.weight", 1));
    if history.axes() == 4 && net.has("RevIN.affine_weight") && (stations != needed || steps != segments * finest) {
        return b.refuse(format!(
            "a history of {steps} steps at {stations} stations; these weights are for {} steps at {needed} stations",
            segments * finest
        ));
    }

    let x = history.reshape(&[n, steps, stations]);
    let (scale, shift) = (net.weight("RevIN.affine_weight", &[stations]), net.weight("RevIN.affine_bias", &[stations]));
    let mean = x.mean(&[1], true);
    let deviation = (x.variance(&[1], false, true) + EPSILON as f32).sqrt();
    let normal = ((x - mean) / deviation * scale + shift).transpose(1, 2);

    let mut rest: Option<Var> = None;
    let mut hours = Vec::new();
    for (i, norm) in (1..).zip(NORMS) {
        let embedding = format!("IE_block{i}.output");
        let length = net.size(&format!("{embedding}.weight"), 1);
        let window = (steps / (segments * length).max(1)).max(1);
        let pooled = normal.reshape(&[n, stations, steps / window, window]).mean(&[3], false);
        let parts = pooled.reshape(&[n, stations, segments, length]);
        let embedded = net.linear(&embedding, parts, net.size(&format!("{embedding}.weight"), 0));
        let embedded = net.layer_norm_over(norm, embedded, 3, EPSILON);
        let own = rest.map_or(embedded, |coarser| embedded - coarser);
        rest = Some(own);
        hours.push(block(&net.scope(&format!("ST_block{i}")), own).unsqueeze(3));
    }
    let all = hours[0].concat(3, &hours[1..]);
    let weights = net.linear("DF_block.att1.QK", all, all.dim(3)).softmax(3);
    let normal = (all * weights).sum(&[3], false).transpose(1, 2);
    let forecast = (normal - shift) / (scale + LEAST_SCALE) * deviation + mean;
    b.output("forecast", forecast.unsqueeze(3));
}

/// What keeps the normalisation from being undone with a division by zero.
const LEAST_SCALE: f32 = 1e-10;
