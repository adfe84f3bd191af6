//! Pieces that published networks share: convolutions with usual pads, spectral normalisation, what a network asks of the size of
//! its images, and numbers that options give.

use crate::builder::{Builder, Conv, Scope, Var};
use crate::ops::PadMode;

/// A 3x3 convolution whose edges are replicated, with as many outputs as its weights have.
pub(super) fn replicated<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>, stride: usize) -> Var<'b> {
    let outputs = scope.size(&format!("{name}.weight"), 0);
    scope.conv(name, x, Conv::new(outputs, 3).pad(1).mode(PadMode::Replicate).stride(stride))
}

/// A convolution of single pixels, with as many outputs as its weights have.
pub(super) fn pointwise<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    let outputs = scope.size(&format!("{name}.weight"), 0);
    scope.conv(name, x, Conv::new(outputs, 1))
}

/// A convolution whose weights are divided by an estimate of their largest singular value (Miyato et al. 2018): `name.w_bar`,
/// `name.module.bias`, and the vector `name.u`, from which one step of the power iteration is made, as the published code does on
/// every run. `name.v` is made anew in that step. `conv` says everything but the number of outputs.
pub(super) fn spectral<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>, kernel: usize, stride: usize) -> Var<'b> {
    /// What keeps a vector of zeros from a division by zero.
    const LEAST_NORM: f32 = 1e-12;
    let layer = scope.scope(name);
    let (outputs, channels) = (layer.size("w_bar", 0), x.dim(1));
    let weight = layer.weight("w_bar", &[outputs, channels, kernel, kernel]);
    let matrix = weight.reshape(&[outputs, channels * kernel * kernel]);
    let unit = |v: Var<'b>| v / (v.square().sum(&[0, 1], true).sqrt() + LEAST_NORM);
    layer.unused("v");
    let right = unit(layer.buffer("u", &[outputs]).reshape(&[1, outputs]).matmul(matrix));
    let image = right.matmul(matrix.transpose(0, 1));
    let largest = (unit(image) * image).sum(&[0, 1], false);
    let conv = Conv::new(outputs, kernel).pad(kernel / 2).stride(stride);
    x.conv(weight / largest, Some(layer.weight("module.bias", &[outputs])), conv)
}

/// Refuses images whose rows or columns are not a multiple of `step`, or fewer than `least`.
pub(super) fn sizes<'b>(b: &'b Builder<'b>, image: Var<'b>, step: usize, least: usize) {
    let (rows, columns) = (image.dim(2), image.dim(3));
    if image.axes() != 4 {
        return;
    }
    if rows % step != 0 || columns % step != 0 {
        b.refuse(format!("images of {rows} x {columns} pixels; rows and columns must be multiples of {step}"));
    } else if rows < least || columns < least {
        b.refuse(format!("images of {rows} x {columns} pixels; {least} rows and columns are the least"));
    }
}

/// A convolution with zeros beyond the edges and results at every `stride`-th pixel, with as many outputs, and the kernel, that
/// its weights have.
pub(super) fn padded<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>, stride: usize) -> Var<'b> {
    let weight = format!("{name}.weight");
    let kernel = scope.size(&weight, 2);
    scope.conv(name, x, Conv::new(scope.size(&weight, 0), kernel).pad(kernel / 2).stride(stride))
}

/// A positive number that an option gives.
pub(super) fn number(b: &Builder<'_>, option: &str, default: usize) -> usize {
    match b.option(option).map(str::parse) {
        None => default,
        Some(Ok(n)) if n > 0 => n,
        Some(_) => {
            b.refuse(format!("option {option} is {}; it must be a positive number", b.option(option).unwrap_or_default()));
            default
        }
    }
}
