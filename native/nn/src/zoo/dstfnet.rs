//! DSTFNet (Cai et al. 2023): fields and their boundaries, from an image of very high resolution and a series of coarser ones.
//!
//! The image goes through a ResNet, the series through convolutional LSTMs in both directions of time, of which an attention over time
//! makes one image, and on through strided convolutions. At five scales both are merged with attention to channels and pixels; a decoder
//! with attention at every scale goes up; three heads tell the extent of fields, the distance to their boundary, and the boundary.
//!
//! # As trained
//! * Inputs: `image` (batch, band, row, column), `series` (batch, step, band, row, column) at an eighth of the image's rows and columns
//! * Scaling: of the user's choice
//! * Patch: 256; sides of the image multiples of 128
//! * Coarse: on its own grid
//!
//! # Quirks
//! * The attention of the coarsest scale uses its layer for pooled rows twice; that for pooled columns (`cab5`) is never used.

use super::blocks::{pointwise, sizes};
use super::lunet::{nothing, remembered};
use super::Network;
use crate::builder::{Builder, Conv, Scope, Var, Window};

/// The dual-branch network.
pub const DSTFNET: Network = Network {
    id: "dstfnet",
    name: "DSTFNet",
    reference: "Cai, Hu, Zhang, Yang, Wei, Wang, Zeng, Yin, Li, You, Xu, Shi 2023, doi:10.1016/j.isprsjprs.2023.09.021",
    build,
};

const EPSILON: f64 = 1e-5;

/// What the sides of the image must be multiples of.
const STEP: usize = 128;

/// A convolution as wide and large as its weights, edges padded with zeros so that stride 1 keeps the size.
fn conv<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>, stride: usize, dilation: usize) -> Var<'b> {
    let weight = format!("{name}.weight");
    let kernel = [scope.size(&weight, 2), scope.size(&weight, 3)];
    let conv = Conv::new(scope.size(&weight, 0), kernel).stride(stride).dilation(dilation);
    scope.conv(name, x, conv.pad(kernel.map(|k| dilation * (k / 2))).bias(scope.has(&format!("{name}.bias"))))
}

/// Layers `first` and the next of `scope`: a convolution and its normalisation.
fn normal<'b>(scope: &Scope<'b>, first: usize, x: Var<'b>, stride: usize, dilation: usize) -> Var<'b> {
    scope.batch_norm(&(first + 1).to_string(), conv(scope, &first.to_string(), x, stride, dilation), EPSILON)
}

/// A bottleneck of a ResNet; the 3x3 convolution has the stride.
fn bottleneck<'b>(scope: &Scope<'b>, x: Var<'b>, stride: usize) -> Var<'b> {
    let layer =
        |i: usize, x, stride| scope.batch_norm(&format!("bn{i}"), conv(scope, &format!("conv{i}"), x, stride, 1), EPSILON);
    let y = layer(3, layer(2, layer(1, x, 1).relu(), stride).relu(), 1);
    let around = scope.scope("downsample");
    (y + if around.has("0.weight") { normal(&around, 0, x, stride, 1) } else { x }).relu()
}

/// Features of the image at five scales.
fn of_image<'b>(scope: &Scope<'b>, image: Var<'b>) -> Vec<Var<'b>> {
    let first = ["conv_3", "conv_5", "conv_7"].map(|name| conv(&scope.scope("conv1"), name, image, 2, 1));
    let first = scope.batch_norm("bn1", first[0] + first[1] + first[2], EPSILON).relu();
    let mut scales = vec![first];
    let mut x = first.max_pool(Window::new(3).stride(2).pad(1));
    for level in 1..=4 {
        let layer = scope.scope(&format!("layer{level}"));
        for i in 0..layer.count("", ".conv1.weight") {
            x = bottleneck(&layer.scope(&i.to_string()), x, if level > 1 && i == 0 { 2 } else { 1 });
        }
        scales.push(x);
    }
    scales
}

/// States of stacked convolutional LSTMs over `images`.
fn states<'b>(scope: &Scope<'b>, mut images: Vec<Var<'b>>) -> Vec<Var<'b>> {
    for i in 0..scope.count("cell_list.", ".conv.weight") {
        let cell = scope.scope(&format!("cell_list.{i}"));
        let width = cell.size("conv.weight", 0) / 4;
        let mut state = None;
        for image in &mut images {
            let [hidden, memory] = state.unwrap_or([nothing(*image, width); 2]);
            let next = remembered(memory, conv(&cell, "conv", image.concat(1, &[hidden]), 1, 1).chunk(1));
            *image = next[0];
            state = Some(next);
        }
    }
    images
}

/// Features of the series at five scales, and the weights of its steps `(n, step, 1, row, column)`.
fn of_series<'b>(scope: &Scope<'b>, series: Var<'b>) -> Option<(Vec<Var<'b>>, Var<'b>)> {
    let images: Vec<Var> = (0..series.dim(1)).map(|step| series.index(1, step)).collect();
    let rnn = scope.scope("temporal_encoder");
    let mut forward = states(&rnn.scope("forward_rnn"), images.clone());
    if rnn.has("backward_rnn.cell_list.0.conv.weight") {
        let backward = states(&rnn.scope("backward_rnn"), images.into_iter().rev().collect());
        forward = forward.into_iter().zip(backward.into_iter().rev()).map(|(a, b)| a.concat(1, &[b])).collect();
    }
    let scores: Vec<Var> =
        forward.iter().map(|&x| normal(&scope.scope("temporal_aggregator.conv"), 0, x, 1, 1).unsqueeze(1)).collect();
    let (&first, others) = scores.split_first()?;
    let weights = first.concat(1, others).softmax(1);
    let seen = forward.iter().enumerate().map(|(step, &x)| weights.index(1, step) * x).reduce(|sum, x| sum + x)?;

    let mut scales = vec![seen];
    for level in 1..=4 {
        let layer = scope.scope(&format!("layer{level}"));
        let block = |name: &str, x, stride| normal(&layer.scope(name), 0, x, stride, 1).relu();
        let y = block("conv1", block("down", scales[level - 1], 2), 1);
        scales.push(y + block("conv2", y, 1));
    }
    let names = ["uplayer", "uplayer2", "uplayer3", "uplayer4", "uplayer5"];
    let larger = |(name, x): (&str, Var<'b>)| {
        let x = x.resize_bilinear([4 * x.dim(2), 4 * x.dim(3)], true);
        normal(&scope.scope(&format!("{name}.uplayer")), 1, x, 1, 1).relu()
    };
    Some((names.into_iter().zip(scales).map(larger).collect(), weights))
}

/// Image and series merged at one scale, with attention to channels, then to pixels.
fn merged<'b>(scope: &Scope<'b>, image: Var<'b>, series: Var<'b>) -> Var<'b> {
    let mut x = image.concat(1, &[series]);
    let channels = scope.scope("channel_attn.channel_attn_block");
    if channels.has("0.weight") {
        let score = |x| pointwise(&channels, "2", pointwise(&channels, "0", x).relu());
        x = x * (score(x.max(&[2, 3], true)) + score(x.mean(&[2, 3], true))).sigmoid();
        let both = x.mean(&[1], true).concat(1, &[x.max(&[1], true)]);
        x = x * normal(&scope.scope("spatial_attn.conv"), 0, both, 1, 1).sigmoid();
    }
    normal(&scope.scope("fuse_conv"), 0, x, 1, 1).relu()
}

/// Strips of several reach and pooled rows, beside each other, added to the whole.
fn context<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    scope.unused("cab5.conv.0.weight");
    scope.unused("cab5.conv.0.bias");
    let strips = |name: &str| {
        let block = scope.scope(name);
        let parts = [("conv1", 1), ("conv2", 2), ("conv3", 4)]
            .map(|(conv, dilation)| normal(&block.scope(conv), 0, x, 1, dilation).relu());
        parts[0] + parts[1] + parts[2]
    };
    let pooled =
        pointwise(&scope.scope("cab4.conv"), "0", x.mean(&[2], true)).relu().resize_bilinear([x.dim(2), x.dim(3)], false);
    let parts = strips("cab2").concat(1, &[strips("cab3"), pooled, pooled]);
    normal(&scope.scope("conv"), 0, normal(&scope.scope("cab1"), 0, x, 1, 1).relu() + parts, 1, 1).relu()
}

/// A scale merged with what came from the coarser one.
fn with_coarser<'b>(scope: &Scope<'b>, coarser: Var<'b>, own: Var<'b>) -> Var<'b> {
    let point = |name: &str, x| normal(&scope.scope(name), 0, x, 1, 1);
    let weight = point("psi", (point("W_g", coarser) + point("W_x", own)).relu()).sigmoid();
    point("conv", coarser.concat(1, &[own * weight])).relu()
}

/// Twice the size, and a residual block.
fn doubled<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let x = normal(&scope.scope("conv"), 0, x.resize_bilinear([2 * x.dim(2), 2 * x.dim(3)], true), 1, 1);
    let inner = scope.scope("res_conv");
    (x + normal(&inner, 3, normal(&inner, 0, x, 1, 1).relu(), 1, 1)).relu()
}

fn build<'b>(b: &'b Builder<'b>) {
    let net = b.root();
    let (image, series) = (b.input("image"), b.input("series"));
    sizes(b, image, STEP, STEP);
    let (rows, columns) = (image.dim(2), image.dim(3));
    if series.axes() != 5 || (8 * series.dim(3), 8 * series.dim(4)) != (rows, columns) {
        return b.refuse(format!(
            "a series of images of {} x {} pixels beside an image of {rows} x {columns}; its sides must be an eighth of the image's",
            series.dim(3),
            series.dim(4)
        ));
    }
    let of_image = of_image(&net.scope("spatial_encoder"), image);
    let Some((of_series, weights)) = of_series(&net.scope("temporal_encoder"), series) else { return };
    let decoder = net.scope("decoder");
    let scales = (1..).zip(of_image.into_iter().zip(of_series));
    let scales = scales.map(|(i, (a, b))| merged(&decoder.scope(&format!("branchfusion.branchfusion{i}")), a, b));
    let scales: Vec<Var> = scales.collect();
    let Some((&coarsest, finer)) = scales.split_last() else { return };

    let up = decoder.scope("upblock_1");
    let mut x = doubled(&up.scope("resblock"), context(&up.scope("cam"), coarsest));
    for (i, &own) in (2..).zip(finer.iter().rev()) {
        let up = decoder.scope(&format!("upblock_{i}"));
        x = doubled(&up.scope("resblock"), with_coarser(&up.scope("scalefusion"), x, own));
    }

    let heads = decoder.scope("semantic_seg_block");
    let extent = heads.scope("extent_conv.conv");
    let classes = pointwise(&extent, "3", normal(&extent, 0, x, 1, 1).relu());
    b.output("extent", if classes.dim(1) > 1 { classes.softmax(1) } else { classes.sigmoid() });
    let distance = heads.scope("distance_conv.conv");
    let y = normal(&distance, 3, normal(&distance, 0, x, 1, 1).relu(), 1, 1).relu();
    b.output("distance", pointwise(&distance, "6", y).sigmoid());
    let boundary = heads.scope("boundary_conv");
    let strips = ["conv_v", "conv_h"].map(|name| {
        let scope = boundary.scope(name);
        normal(&scope, 3, normal(&scope, 0, x, 1, 1).relu(), 1, 1).relu()
    });
    b.output("boundary", pointwise(&boundary, "out_conv", strips[0] + strips[1]).sigmoid());
    b.output("weights_of_steps", weights);
}
