//! MLFF-GAN (Song et al. 2022): at each of five scales, features of the fine reference image take on the statistics of the coarse
//! target image, and a map of where the coarse images differ mixes them with the features of the coarse target.
//!
//! One encoder for both coarse images, one for the fine image. Features `S` of the fine image are normalised per channel and take
//! mean and deviation (of a sample) of the coarse target's; the map is `M = σ(conv(conv1(L2) - conv2(L1)))`, batch-normalised
//! after each convolution, and the fused features are `M L2 + (1 - M) S`. Statistics are those of the whole image, so that a
//! prediction depends on the tile it was made in.
//!
//! # As trained
//! * Inputs: `coarse_t1`, `fine_t1`, `coarse_t2`
//! * Scaling: reflectance, DN / 10000
//! * Patch: 256; rows and columns must be multiples of 16, from 32 on
//! * Coarse: on the fine grid
//!
//! # Options
//! Options for the authors' ablations: `adain` = `false` takes the features of the fine image as they are; `two_inputs` = `true`
//! compares the coarse target with the fine image instead of the coarse reference, which is no input then; `maps` = `true` yields
//! the maps too, the finest first.
//!
//! # Beside the generator
//! The discriminator judges patches of `image`, a fine image with the coarse one behind it; its outputs are the features of every
//! layer, the last of which are the judgements.

use super::{pyramid, Network};
use crate::builder::{Builder, Conv, Scope, Var};

const REFERENCE: &str = "Song, Liu, Li, Wang, Zhang, He, Chen, Liu 2022, doi:10.1109/TGRS.2022.3169916";

/// The generator.
pub const MLFF_GAN: Network = Network { id: "mlff-gan", name: "MLFF-GAN", reference: REFERENCE, build };

/// The discriminator of training.
pub const DISCRIMINATOR: Network =
    Network { id: "mlff-gan-discriminator", name: "discriminator of MLFF-GAN", reference: REFERENCE, build: discriminator };

/// The second convolution of a residual block.
const SECOND: &str = "5";

/// What keeps the divisor of a normalisation from zero.
const EPSILON: f64 = 1e-5;

/// `x` with the mean and deviation that every channel of `style` has.
fn adapted<'b>(x: Var<'b>, style: Var<'b>) -> Var<'b> {
    let moments = |v: Var<'b>| (v.mean(&[2, 3], true), (v.variance(&[2, 3], true, true) + EPSILON as f32).sqrt());
    let ((mean, deviation), (style_mean, style_deviation)) = (moments(x), moments(style));
    (x - mean) / deviation * style_deviation + style_mean
}

/// Where two sets of features differ, between 0 and 1.
fn difference_map<'b>(block: &Scope<'b>, target: Var<'b>, reference: Var<'b>) -> Var<'b> {
    let layer = |name: &str, x| {
        let outputs = block.size(&format!("{name}.0.weight"), 0);
        block.batch_norm(&format!("{name}.1"), block.conv(&format!("{name}.0"), x, Conv::new(outputs, 1)), EPSILON)
    };
    layer("conv", layer("conv1", target) - layer("conv2", reference)).sigmoid()
}

fn build<'b>(b: &'b Builder<'b>) {
    let chosen = |option: &str, default: bool| match b.option(option) {
        None => default,
        Some("true") => true,
        Some("false") => false,
        Some(other) => {
            b.refuse(format!("option {option} is {other}; it must be true or false"));
            default
        }
    };
    let (fine, coarse_2) = (b.input("fine_t1"), b.input("coarse_t2"));
    let coarse_1 = (!chosen("two_inputs", false)).then(|| b.input("coarse_t1"));
    let coarse_encoder = b.scope("LSNet");
    pyramid::halvable(b, fine, pyramid::scales(&coarse_encoder));

    let coarse_features = |image| pyramid::encoder(&coarse_encoder, image, SECOND);
    let target = coarse_features(coarse_2);
    let fine = pyramid::encoder(&b.scope("HSNet"), fine, SECOND);
    let reference = coarse_1.map_or_else(|| fine.clone(), coarse_features);

    let adain = chosen("adain", true);
    let (mut fused, mut maps) = (Vec::new(), Vec::new());
    for (i, ((&target, &fine), &reference)) in target.iter().zip(&fine).zip(&reference).enumerate() {
        let map = difference_map(&b.scope(&format!("SignE_List.{i}")), target, reference);
        let fine = if adain { adapted(fine, target) } else { fine };
        fused.push(target * map + fine * (1.0 - map));
        maps.push(map);
    }
    if let Some(&coarsest) = target.last() {
        b.output("fine_t2", pyramid::decoder(&b.root(), &fused, coarsest, SECOND));
    } else {
        b.size("LSNet.conv1.0.weight", 0);
    }
    if chosen("maps", false) {
        maps.iter().enumerate().for_each(|(i, &map)| b.output(&format!("map_{i}"), map));
    }
}

fn discriminator<'b>(b: &'b Builder<'b>) {
    let mut x = b.input("image");
    let layers = b.count("model", ".0.weight");
    for i in 0..layers {
        let layer = b.scope(&format!("model{i}"));
        let stride = if i + 2 < layers { 2 } else { 1 };
        x = layer.conv("0", x, Conv::new(layer.size("0.weight", 0), 4).pad(2).stride(stride));
        if layer.has("1.weight") {
            x = layer.batch_norm("1", x, EPSILON);
        }
        if i + 1 < layers {
            x = x.leaky_relu(0.2);
            b.output(&format!("features_{i}"), x);
        }
    }
    b.output("judgement", x);
}
