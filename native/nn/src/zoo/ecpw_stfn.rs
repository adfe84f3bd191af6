//! ECPW-STFN (Zhang et al. 2024): features of the wavelet bands of the fine reference image plus features of the bands of the
//! residual between the coarse target and it, joined again, decoded, and refined with the reference image beside.
//!
//! The four bands of a Haar transform (low, and details along rows, columns and diagonals) go through one encoder for the fine
//! image and one for the residual `C2 - F1`; the sums are the bands of the features that the inverse transform joins. The
//! refinement encodes the first prediction and the reference image; each of its layers is weighted by channel attention (mean and
//! largest value of the channel over the whole image, so that a prediction depends on the tile it was made in), then by spatial
//! attention. 3x3 convolutions replicate the edges.
//!
//! # As trained
//! * Inputs: `fine_t1`, `coarse_t2` (the authors' list begins with a coarse image of the reference date, which is never used)
//! * Scaling: reflectance, DN / 10000
//! * Patch: 200; even numbers of rows and columns are needed
//! * Coarse: on the fine grid
//!
//! # Quirks
//! The authors' code transforms copies that are cut off from the gradient, so that their two encoders kept their initial values.
//! That concerns training only.

use super::blocks::{pointwise, replicated, sizes};
use super::{attention, Network};
use crate::builder::{Builder, Scope, Var};

/// The network.
pub const ECPW_STFN: Network = Network {
    id: "ecpw-stfn",
    name: "ECPW-STFN",
    reference: "Zhang, Li, Tan, Li 2024, doi:10.1016/j.isprsjprs.2024.04.016",
    build,
};

/// Sum and differences of four values, halved: the Haar transform of a 2x2 block, row by row, which is its own inverse.
fn haar<'b>([a, b, c, d]: [Var<'b>; 4]) -> [Var<'b>; 4] {
    let (top, bottom) = ((a + b, a - b), (c + d, c - d));
    [top.0 + bottom.0, top.0 - bottom.0, top.1 + bottom.1, top.1 - bottom.1].map(|v| v * 0.5)
}

/// The bands of an image `(n, c, h, w)`, one after the other along the first axis: `(4 n, c, h / 2, w / 2)`.
fn bands<'b>(image: Var<'b>) -> Var<'b> {
    let (n, c, h, w) = (image.dim(0), image.dim(1), image.dim(2) / 2, image.dim(3) / 2);
    let pixels = image.pixel_unshuffle(2).reshape(&[n, c, 4, h, w]);
    let [low, rows, columns, diagonals] = haar([0, 1, 2, 3].map(|i| pixels.index(2, i)));
    low.concat(0, &[rows, columns, diagonals])
}

/// The image whose bands these are.
fn joined<'b>(bands: Var<'b>) -> Var<'b> {
    let (c, h, w) = (bands.dim(1), bands.dim(2), bands.dim(3));
    let [a, b, c_, d] = haar(bands.chunk::<4>(0)).map(|v| v.unsqueeze(2));
    a.concat(2, &[b, c_, d]).reshape(&[bands.dim(0) / 4, 4 * c, h, w]).pixel_shuffle(2)
}

/// 3x3 convolutions with ReLUs: layer `i` is named `2i`, and within it `1` (`0` pads the edges). Yields the number of layers too.
fn convolutions<'b>(scope: &Scope<'b>, mut x: Var<'b>) -> (Var<'b>, usize) {
    let layers = (0..).take_while(|i| scope.has(&format!("{}.1.weight", 2 * i))).count();
    for i in 0..layers {
        x = replicated(scope, &format!("{}.1", 2 * i), x, 1).relu();
    }
    (x, layers)
}

/// Convolutions, the last of single pixels.
fn decoder<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let (x, layers) = convolutions(scope, x);
    pointwise(scope, &(2 * layers).to_string(), x)
}

/// A layer of the refinement: convolution, channel attention, spatial attention.
fn attentive_layer<'b>(layer: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let x = replicated(layer, "residual.0.1", x, 1).relu();
    let x = x * attention::of_channels(layer, "ChannelA.0", x);
    x * attention::of_pixels(layer, "SpatialA.0.conv1", x)
}

fn build<'b>(b: &'b Builder<'b>) {
    let (fine, coarse) = (b.input("fine_t1"), b.input("coarse_t2"));
    sizes(b, fine, 2, 2);
    let of_reference = convolutions(&b.scope("Landsat_encoder"), bands(fine)).0;
    let of_residual = convolutions(&b.scope("MLRes_encoder"), bands(coarse - fine)).0;
    let first = decoder(&b.scope("decoder"), joined(of_reference + of_residual));

    let mut x = first.concat(1, &[fine]);
    for i in 0..b.count("RFEncoder.", ".residual.0.1.weight") {
        x = attentive_layer(&b.scope(&format!("RFEncoder.{i}")), x);
    }
    b.output("fine_t2", decoder(&b.scope("RFDecoder"), x));
}
