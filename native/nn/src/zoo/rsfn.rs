//! RSFN (Tan et al. 2022): two fine images, each weighted by an attention map that says where it resembles the coarse image of
//! the target date, and the coarse image itself, decoded into the prediction.
//!
//! `decoder(tweak(A1 encoder(F1) + A3 encoder(F3)) | encoder(C2))` of residual blocks. The encoder of fine images and the
//! attention maps have twice the resolution of the images; `tweak` goes back. The attention network normalises every channel over
//! the whole image, so that a prediction depends on the tile it was made in. Any size is possible: where strides leave sizes that
//! differ, images are resampled bilinearly.
//!
//! # As trained
//! * Inputs: `fine_t1`, `fine_t3`, `coarse_t2`
//! * Scaling: reflectance, DN / 10000
//! * Patch: 256, any size of 2 or more is possible
//! * Coarse: on the fine grid
//!
//! # Beside the generator
//! The discriminator judges `image`, a fine image with the coarse one behind it: one judgement for every 64 x 64 pixels. The
//! feature network of the loss is an autoencoder of `image`.

use super::blocks::{pointwise, replicated, sizes, spectral};
use super::Network;
use crate::builder::{Builder, Scope, Var, Window};

const REFERENCE: &str = "Tan, Gao, Yuan, Jiang, Duan 2022, doi:10.1109/TGRS.2022.3145086";

/// The generator.
pub const RSFN: Network = Network { id: "rsfn", name: "RSFN", reference: REFERENCE, build };

/// The discriminator of training.
pub const DISCRIMINATOR: Network =
    Network { id: "rsfn-discriminator", name: "discriminator of RSFN", reference: REFERENCE, build: discriminator };

/// The autoencoder whose features the loss compares.
pub const FEATURES: Network =
    Network { id: "rsfn-features", name: "autoencoder of RSFN", reference: REFERENCE, build: autoencoder };

/// The slope of leaky ReLUs below zero.
const SLOPE: f64 = 0.01;

/// What keeps the divisor of a normalisation from zero.
const EPSILON: f64 = 1e-5;

/// What a block does to the size of its operand.
#[derive(Clone, Copy, PartialEq)]
enum Sampling {
    Same,
    Half,
    Twice,
}

fn resized<'b>(x: Var<'b>, size: [usize; 2]) -> Var<'b> {
    if [x.dim(2), x.dim(3)] == size {
        x
    } else {
        x.resize_bilinear(size, false)
    }
}

/// A residual block; with normalisation after each convolution where `normal`. Layers are numbered in the order of the branch,
/// the enlargement and the normalisations counted.
fn residual_block<'b>(block: &Scope<'b>, x: Var<'b>, sampling: Sampling, normal: bool) -> Var<'b> {
    let residual = block.scope("residual");
    let norm = |x: Var<'b>| if normal { x.instance_norm(EPSILON) } else { x };
    let first = usize::from(sampling == Sampling::Twice);
    let x = if first == 1 { resized(x, [2 * x.dim(2), 2 * x.dim(3)]) } else { x };
    let stride = if sampling == Sampling::Half { 2 } else { 1 };

    let trunk = norm(replicated(&residual, &format!("{first}.1"), x, stride)).leaky_relu(SLOPE);
    let trunk = norm(pointwise(&residual, &(first + 2 + usize::from(normal)).to_string(), trunk));
    let alone = first == 0 && !normal;
    let lateral = norm(pointwise(block, &if alone { "transform".into() } else { format!("transform.{first}") }, x));
    trunk + resized(lateral, [trunk.dim(2), trunk.dim(3)])
}

fn build<'b>(b: &'b Builder<'b>) {
    let (fine_1, fine_3, coarse) = (b.input("fine_t1"), b.input("fine_t3"), b.input("coarse_t2"));
    sizes(b, fine_1, 1, 2);
    let blocks = |name: &str| b.count(&format!("{name}."), ".residual.0.1.weight");
    let chain = |name: &str, mut x, range: std::ops::Range<usize>, sampling, normal| {
        for i in range {
            x = residual_block(&b.scope(&format!("{name}.{i}")), x, sampling, normal);
        }
        x
    };
    let fine_features = |fine| {
        let same = blocks("fencoder");
        chain("fencoder", chain("fencoder", fine, 0..same, Sampling::Same, false), same..same + 1, Sampling::Twice, false)
    };
    let attention = |fine: Var<'b>| {
        let halves = blocks("attention");
        let twice = (halves..).take_while(|i| b.has(&format!("attention.{i}.residual.1.1.weight"))).count();
        let x = chain("attention", fine.concat(1, &[coarse]), 0..halves, Sampling::Half, true);
        let map = chain("attention", x, halves..halves + twice, Sampling::Twice, true).sigmoid();
        resized(map, [2 * fine.dim(2), 2 * fine.dim(3)])
    };
    let reference = fine_features(fine_1) * attention(fine_1) + fine_features(fine_3) * attention(fine_3);
    let reference = residual_block(&b.scope("tweak"), reference, Sampling::Half, false);
    let coarse_features = chain("cencoder", coarse, 0..blocks("cencoder"), Sampling::Same, false);

    let decoders = blocks("decoder");
    let x = chain("decoder", reference.concat(1, &[coarse_features]), 0..decoders, Sampling::Same, false);
    b.output("fine_t2", pointwise(&b.scope("decoder"), &decoders.to_string(), x));
}

fn discriminator<'b>(b: &'b Builder<'b>) {
    let mut x = b.input("image");
    let blocks = b.count("", ".transform.0.w_bar");
    sizes(b, x, 1, 1 << blocks);
    for i in 0..blocks {
        let block = b.scope(&i.to_string());
        let halved = |x: Var<'b>| x.max_pool(Window::new(2));
        let y = block.batch_norm("residual.0", x, EPSILON).leaky_relu(SLOPE);
        let y = halved(spectral(&block, "residual.2", y, 3, 1));
        let y = block.batch_norm("residual.4", y, EPSILON).leaky_relu(SLOPE);
        x = halved(spectral(&block, "transform.0", x, 1, 1)) + spectral(&block, "residual.6", y, 1, 1);
    }
    let x = spectral(&b.root(), &blocks.to_string(), x, 1, 1);
    b.output("judgement", x.reshape(&[x.shape().iter().product()]));
}

fn autoencoder<'b>(b: &'b Builder<'b>) {
    let image = b.input("image");
    sizes(b, image, 8, 8);
    let block = |name: &str, x, sampling| residual_block(&b.scope(name), x, sampling, false);
    let l1 = block("conv1", image, Sampling::Same);
    let l2 = block("conv2", l1, Sampling::Half);
    let l3 = block("conv3", l2, Sampling::Half);
    let l5 = block("conv5", block("conv4", l3, Sampling::Half), Sampling::Twice);
    let l6 = block("conv6", l3.concat(1, &[l5]), Sampling::Twice);
    let l7 = block("conv7", l2.concat(1, &[l6]), Sampling::Twice);
    b.output("image", pointwise(&b.root(), "conv8", l1.concat(1, &[l7])));
}
