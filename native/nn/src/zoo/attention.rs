//! Attention that weights channels and pixels of an image (Woo et al. 2018, CBAM), in the form that several published networks
//! share.

use crate::builder::{Conv, Scope, Var};

/// A weight for every channel, from its mean and its largest value over the image: `name.fc1`, `name.fc2`, shared by both and
/// without bias.
pub(super) fn of_channels<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    let layer = scope.scope(name);
    let hidden = layer.size("fc1.weight", 0);
    let opinion = |pooled: Var<'b>| {
        let pooled = layer.conv("fc1", pooled, Conv::new(hidden, 1).bias(false)).relu();
        layer.conv("fc2", pooled, Conv::new(x.dim(1), 1).bias(false))
    };
    (opinion(x.mean(&[2, 3], true)) + opinion(x.max(&[2, 3], true))).sigmoid()
}

/// The mean and the largest value of every pixel over the channels.
pub(super) fn extremes<'b>(x: Var<'b>) -> Var<'b> {
    x.mean(&[1], true).concat(1, &[x.max(&[1], true)])
}

/// A weight for every pixel, from [`extremes`]: the convolution `name`, without bias.
pub(super) fn of_pixels<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    let kernel = scope.size(&format!("{name}.weight"), 2);
    scope.conv(name, extremes(x), Conv::new(1, kernel).pad(kernel / 2).bias(false)).sigmoid()
}

/// `x` weighted by channels, then by pixels: `name.ca`, `name.sa`.
pub(super) fn of_both<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    let layer = scope.scope(name);
    let x = x * of_channels(&layer, "ca", x);
    x * of_pixels(&layer, "sa.conv", x)
}
