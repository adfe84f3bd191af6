//! SDCS, second stage (Liu et al. 2024): a first estimate of the fine target image (from compressed sensing, the first stage),
//! the coarse target image and the fine reference image, fused at five scales by a nonlinearity that looks at all of them.
//!
//! At each scale features of the first estimate `L` (its mean with those of the fine image, convolved) and of the fine image `F`
//! take on mean and deviation (of a sample) of the coarse image's features `C`: `A` and `D`. Where `A` is not negative the result
//! is `A + L`, or `0.1 A + L` where `D` is negative; else `0.1 A`, or `0.1 A + C` where `D` is negative. Statistics are those of
//! the whole image, so that a prediction depends on the tile it was made in.
//!
//! # As trained
//! * Inputs: `estimate_t2` (result of the first stage, whose code is not public), `coarse_t2`, `fine_t1`
//! * Scaling: reflectance, DN / 10000
//! * Patch: 256; rows and columns must be multiples of 16, from 32 on
//! * Coarse: on the fine grid
//!
//! # Options
//! For the data of Coleambally (CIA) the authors take the features of the estimate without those of the fine image: option
//! `variant` = `cia`. The tensors are the same, so the weights cannot tell.

use super::{pyramid, Network};
use crate::builder::{Builder, Conv, Scope, Var};

/// The second stage.
pub const SDCS: Network =
    Network { id: "sdcs", name: "SDCS", reference: "Liu, Wang, Chen, Cui 2024, doi:10.1109/JSTARS.2024.3463750", build };

/// The second convolution of a residual block.
const SECOND: &str = "4";

/// What keeps the divisor of batch normalisation from zero.
const EPSILON: f64 = 1e-5;

/// What keeps a deviation from zero.
const LEAST_DEVIATION: f32 = 1e-6;

/// What is left of a value where a condition does not hold.
const REST: f32 = 0.1;

/// Mean and deviation of every channel.
fn moments<'b>(x: Var<'b>) -> (Var<'b>, Var<'b>) {
    (x.mean(&[2, 3], true), x.variance(&[2, 3], true, true).sqrt() + LEAST_DEVIATION)
}

/// `x` with the mean and deviation that every channel of `style` has.
fn adapted<'b>(x: Var<'b>, style: Var<'b>) -> Var<'b> {
    let ((mean, deviation), (style_mean, style_deviation)) = (moments(x), moments(style));
    style_deviation * (x - mean) / deviation + style_mean
}

/// A convolution of single pixels with batch normalisation.
fn mixed<'b>(block: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    let outputs = block.size(&format!("{name}.0.weight"), 0);
    block.batch_norm(&format!("{name}.1"), block.conv(&format!("{name}.0"), x, Conv::new(outputs, 1)), EPSILON)
}

fn build<'b>(b: &'b Builder<'b>) {
    let (estimate, coarse, fine) = (b.input("estimate_t2"), b.input("coarse_t2"), b.input("fine_t1"));
    let with_fine = match b.option("variant") {
        None => true,
        Some("cia") => false,
        Some(other) => {
            b.refuse(format!("option variant is {other}; the only variant is cia"));
            true
        }
    };
    let encoder = b.scope("CSBSNet");
    pyramid::halvable(b, fine, pyramid::scales(&encoder));
    let estimates = pyramid::encoder(&encoder, estimate, SECOND);
    let coarse = pyramid::encoder(&b.scope("LSNet"), coarse, SECOND);
    let fine = pyramid::encoder(&b.scope("HSNet"), fine, SECOND);

    let mut fused = Vec::new();
    for (i, ((&estimate, &coarse), &fine)) in estimates.iter().zip(&coarse).zip(&fine).enumerate() {
        let block = b.scope(&format!("fusion_blocks.{i}"));
        let first = mixed(&block, "conv1", if with_fine { estimate * 0.5 + fine * 0.5 } else { estimate });
        let (change, detail) = (adapted(first, coarse), adapted(fine, coarse));
        let zero = b.number(0.0);
        let (rest, certain) = (change * REST, detail.greater_or_equal(zero));
        let rising = certain.select(change + first, rest + first);
        let falling = certain.select(rest, rest + coarse);
        fused.push(mixed(&block, "conv2", change.greater_or_equal(zero).select(rising, falling)));
    }
    if let Some(&coarsest) = estimates.last() {
        b.output("fine_t2", pyramid::decoder(&b.root(), &fused, coarsest, SECOND));
    } else {
        b.size("CSBSNet.conv1.0.weight", 0);
    }
}
