//! GAN-STFM (Tan et al. 2022): a generator that predicts from the coarse image of the target date and one fine image of any date,
//! trained against a discriminator at three scales.
//!
//! The encoder carries two streams, the coarse and the fine image. In each of its blocks the coarse stream is transformed (two
//! convolutions), the fine stream is normalised, activated and convolved twice, and what becomes of the coarse stream is added to
//! it. The decoder, four residual blocks, fuses both. 3x3 convolutions replicate the edges; leaky ReLUs have slope 0.01.
//!
//! Switchable normalisation (Luo et al. 2019) mixes statistics of the channel, of all channels, and of the training by two
//! softmaxes; variances are those of a sample (divided by n - 1). The statistics of channels are taken over the whole image, so
//! that a prediction depends on the tile it was made in.
//!
//! # As trained
//! * Inputs: `coarse_t2`, `fine_t1`
//! * Scaling: reflectance, DN / 10000
//! * Patch: 256, any size is possible
//! * Coarse: on the fine grid
//!
//! # Quirks
//! The authors' code takes the list coarse, fine. A later re-implementation (LibSTFv1) passes the coarse image of the reference
//! date in the place of `coarse_t2` and ignores that of the target date; a network trained with it knows nothing of the target
//! date.
//!
//! # Beside the generator
//! The discriminator judges `image`, a fine image with the coarse one behind it, by networks for the image itself and every
//! second and every fourth pixel of it; its output is the mean judgement. The feature network of the loss is an autoencoder of
//! `image`.

use super::blocks::{pointwise, replicated, sizes, spectral};
use super::Network;
use crate::builder::{Builder, Scope, Var};
use crate::ops::{Coordinates, Resize, Resizing, Rounding};

const REFERENCE: &str = "Tan, Gao, Li, Jiang 2022, doi:10.1109/TGRS.2021.3050551";

/// The generator.
pub const GAN_STFM: Network = Network { id: "gan-stfm", name: "GAN-STFM", reference: REFERENCE, build };

/// The discriminator of training.
pub const DISCRIMINATOR: Network =
    Network { id: "gan-stfm-discriminator", name: "discriminator of GAN-STFM", reference: REFERENCE, build: discriminator };

/// The autoencoder whose features the loss compares.
pub const FEATURES: Network =
    Network { id: "gan-stfm-features", name: "autoencoder of GAN-STFM", reference: REFERENCE, build: autoencoder };

/// What keeps the divisor of a normalisation from zero.
const EPSILON: f32 = 1e-5;

/// The slope of leaky ReLUs below zero.
const SLOPE: f64 = 0.01;

/// What keeps the divisor of batch normalisation from zero.
const BATCH_EPSILON: f64 = 1e-5;

/// Switchable normalisation with the statistics of training.
fn switch_norm<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    let layer = scope.scope(name);
    let channels = x.dim(1);
    let shares = |name: &str| {
        let shares = layer.weight(name, &[3]).softmax(0);
        [0, 1, 2].map(|i| shares.slice(0, i..i + 1))
    };
    let trained = |name: &str| layer.buffer(name, &[1, channels, 1]).reshape(&[1, channels, 1, 1]);
    let mixed = |shares: [Var<'b>; 3], of: [Var<'b>; 3]| shares[0] * of[0] + shares[1] * of[1] + shares[2] * of[2];

    let (mean, variance) = (x.mean(&[2, 3], true), x.variance(&[2, 3], true, true));
    let mean_of_all = mean.mean(&[1], true);
    let variance_of_all = (variance + mean.square()).mean(&[1], true) - mean_of_all.square();
    let mean = mixed(shares("mean_weight"), [mean, mean_of_all, trained("running_mean")]);
    let variance = mixed(shares("var_weight"), [variance, variance_of_all, trained("running_var")]);
    let affine = |name: &str| layer.weight(name, &[1, channels, 1, 1]);
    (x - mean) / (variance + EPSILON).sqrt() * affine("weight") + affine("bias")
}

fn build<'b>(b: &'b Builder<'b>) {
    let (mut coarse, mut fine) = (b.input("coarse_t2"), b.input("fine_t1"));
    sizes(b, fine, 1, 2);
    for i in 0..b.count("encoder.", ".transform.1.weight") {
        let (residual, transform) = (b.scope(&format!("encoder.{i}.residual")), b.scope(&format!("encoder.{i}.transform")));
        let trunk = replicated(&residual, "2.1", switch_norm(&residual, "0", fine).leaky_relu(SLOPE), 1);
        let trunk = pointwise(&residual, "5", switch_norm(&residual, "3", trunk).leaky_relu(SLOPE));
        coarse = pointwise(&transform, "1", replicated(&transform, "0.1", coarse, 1)).leaky_relu(SLOPE);
        fine = trunk + coarse;
    }
    let decoder = b.scope("decoder");
    let blocks = b.count("decoder.", ".transform.weight");
    let mut x = coarse.concat(1, &[fine]);
    for i in 0..blocks {
        let block = decoder.scope(&i.to_string());
        let residual = pointwise(&block, "residual.2", replicated(&block, "residual.0.1", x, 1).leaky_relu(SLOPE));
        x = residual + pointwise(&block, "transform", x);
    }
    b.output("fine_t2", pointwise(&decoder, &blocks.to_string(), x));
}

fn discriminator<'b>(b: &'b Builder<'b>) {
    let image = b.input("image");
    let judgements = |scale: usize| {
        let network = b.scope(&format!("d{}", scale + 1));
        let every = 1 << scale;
        let size = [image.dim(2) / every, image.dim(3) / every];
        let mut x = image.apply(
            Resize {
                size: size.to_vec(),
                mode: Resizing::Nearest(Rounding::Floor),
                coordinates: Coordinates::Asymmetric,
                factors: Some(vec![1.0 / every as f64; 2]),
            },
            &[],
        );
        let blocks = network.count("", ".transform.w_bar");
        for i in 0..blocks {
            let block = network.scope(&i.to_string());
            let y = block.batch_norm("residual.0", x, BATCH_EPSILON).leaky_relu(SLOPE);
            let y = spectral(&block, "residual.2", y, 3, 2);
            let y = block.batch_norm("residual.3", y, BATCH_EPSILON).leaky_relu(SLOPE);
            x = spectral(&block, "transform", x, 1, 2) + spectral(&block, "residual.5", y, 1, 1);
        }
        let x = spectral(&network, &blocks.to_string(), x, 1, 1);
        x.reshape(&[x.shape().iter().product()])
    };
    sizes(b, image, 1, 4);
    let [one, two, three] = [0, 1, 2].map(judgements);
    if one.dim(0) != two.dim(0) || one.dim(0) != three.dim(0) {
        let (rows, columns) = (image.dim(2), image.dim(3));
        b.refuse(format!(
            "an image of {rows} x {columns} pixels has {}, {} and {} judgements at the three scales; they must be as many",
            one.dim(0),
            two.dim(0),
            three.dim(0)
        ));
    }
    b.output("judgement", one.concat(0, &[two, three]).mean(&[0], false));
}

fn autoencoder<'b>(b: &'b Builder<'b>) {
    let image = b.input("image");
    sizes(b, image, 8, 8);
    let root = b.root();
    let down = |name: &str, x, stride| replicated(&root, &format!("{name}.0.1"), x, stride).leaky_relu(SLOPE);
    let up = |name: &str, x: Var<'b>| {
        let x = x.resize_nearest([2 * x.dim(2), 2 * x.dim(3)]);
        replicated(&root, &format!("{name}.1.1"), x, 1).leaky_relu(SLOPE)
    };
    let l1 = down("conv1", image, 1);
    let l2 = down("conv2", l1, 2);
    let l3 = down("conv3", l2, 2);
    let l5 = up("conv5", down("conv4", l3, 2));
    let l6 = up("conv6", l3.concat(1, &[l5]));
    let l7 = up("conv7", l2.concat(1, &[l6]));
    b.output("image", pointwise(&root, "conv8", l1.concat(1, &[l7])));
}
