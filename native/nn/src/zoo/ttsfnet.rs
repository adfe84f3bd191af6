//! TTSFNet (Mu et al. 2024): the structure of the ocean below a point, from twelve months of sea-surface variables at the point and a
//! window of them around it.
//!
//! The series goes through causal convolutions, a bidirectional LSTM and layers of a transformer; the window through separable
//! convolutions with attention to channels and pixels, group by group. Both, beside each other, are weighted by an attention of their
//! own and mapped to the depths.
//!
//! # As trained
//! * Inputs: `series` (point, month, variable), `window` (point, variable, row, column) of the last month
//! * Scaling: standardised
//! * Patch: windows of 20 x 20, 12 months
//! * Coarse: none
//!
//! # Quirks
//! * The layers' names are those of the conversion from Keras; its normalisations have an epsilon of 1e-3.
//! * Option `heads` (default 8): heads of the transformer, which shapes cannot tell.

use super::Network;
use crate::builder::{Builder, Conv, Scope, Var, Window};
use crate::tensor::Tensor;

/// From `series` and `window` to the `profile` of every point.
pub const TTSFNET: Network =
    Network { id: "ttsfnet", name: "TTSFNet", reference: "Mu, Yang, Wang, Jia 2024, doi:10.1109/TGRS.2024.3446805", build };

const EPSILON: f64 = 1e-3;

/// A linear layer as wide as its weights.
fn linear<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    scope.linear(name, x, scope.size(&format!("{name}.weight"), 0))
}

/// A 1x1 convolution as wide as its weights.
fn point<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    scope.conv(name, x, Conv::new(scope.size(&format!("{name}.weight"), 0), 1))
}

/// Sines at even and cosines at odd places, of the step at falling frequencies: `(steps, width)`.
fn positions(steps: usize, width: usize) -> Vec<f32> {
    let wave = |step: usize, i: usize| {
        let angle = step as f64 / 10000f64.powf((i / 2 * 2) as f64 / width as f64);
        if i.is_multiple_of(2) {
            angle.sin()
        } else {
            angle.cos()
        }
    };
    (0..steps).flat_map(|step| (0..width).map(move |i| wave(step, i) as f32)).collect()
}

/// A layer of the transformer on `(n, step, width)`.
fn layer<'b>(scope: &Scope<'b>, x: Var<'b>, heads: usize) -> Var<'b> {
    let (n, steps, width) = (x.dim(0), x.dim(1), x.dim(2));
    let head = width / heads;
    let split = |name: &str| {
        let y = scope.linear_unbiased(&format!("attention.{name}"), x, width);
        y.reshape(&[n, steps, heads, head]).transpose(1, 2)
    };
    let (q, k, v) = (split("W_q"), split("W_k"), split("W_v"));
    let scores = q.matmul(k.transpose(2, 3)) / (head as f32).sqrt();
    let seen = scores.softmax(3).matmul(v).transpose(1, 2).reshape(&[n, steps, width]);
    let y = scope.layer_norm("ln1", scope.linear_unbiased("attention.W_o", seen, width) + x, EPSILON);
    scope.layer_norm("ln2", linear(scope, "dense2", linear(scope, "dense1", y).relu()) + y, EPSILON)
}

/// A vector and what an attention takes of it.
fn weighted<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    x + x * linear(scope, "fc2", linear(scope, "fc1", x).relu()).softmax(1)
}

/// Convolution of channels on their own, then of pixels.
fn separable<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let channels = x.dim(1);
    let weight = scope.weight("depthwise.weight", &[channels, 1, 3, 3]);
    point(scope, "pointwise", x.conv(weight, None, Conv::new(channels, 3).pad(1).groups(channels)))
}

/// Layer normalisation over the channels of an image.
fn channel_norm<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    scope.layer_norm("ln", x.permute(&[0, 2, 3, 1]), EPSILON).permute(&[0, 3, 1, 2])
}

/// Attention to channels, then to pixels, for groups of channels on their own, and a perceptron.
fn attending<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let (n, channels, rows, columns) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
    let by_channel = scope.scope("mca");
    let group = by_channel.size("fc1.weight", 1);
    let groups = n * channels / group;
    let split = |x: Var<'b>| x.reshape(&[groups, group, rows, columns]);

    let y = split(point(&by_channel, "conv1", x));
    let both = y.mean(&[2, 3], false).unsqueeze(1).concat(1, &[y.max(&[2, 3], false).unsqueeze(1)]);
    let weight = linear(&by_channel, "fc2", linear(&by_channel, "fc1", both).relu()).sum(&[1], false).sigmoid();
    let y = point(&by_channel, "conv2", (y * weight.reshape(&[groups, group, 1, 1])).reshape(&x.shape()));

    let by_pixel = scope.scope("msa");
    let y = split(point(&by_pixel, "conv1", y));
    let both = y.mean(&[1], true).concat(1, &[y.max(&[1], true)]);
    let kernel = by_pixel.size("att.weight", 2);
    let weight = by_pixel.conv("att", both, Conv::new(1, kernel).pad(kernel / 2).bias(false)).sigmoid();
    let y = point(&by_pixel, "conv2", (y * weight).reshape(&x.shape()));

    let y = channel_norm(&scope.scope("norm1"), y + x);
    let hidden = point(scope, "ffn1", y).relu();
    channel_norm(&scope.scope("norm2"), separable(&scope.scope("ffn2"), hidden) + y)
}

/// Features of the series, `(n, width)`.
fn of_series<'b>(net: &Scope<'b>, series: Var<'b>, heads: usize) -> Var<'b> {
    let x = series.transpose(1, 2);
    let causal = |name: &str, dilation: usize| {
        let (width, kernel) = (net.size(&format!("{name}.weight"), 0), net.size(&format!("{name}.weight"), 2));
        let before = dilation * (kernel - 1);
        net.conv(name, x, Conv::new(width, kernel).dilation(dilation).pad(before).pad_after(0)).relu()
    };
    let steps = (causal("tc1", 1) + causal("tc2", 2)).permute(&[2, 0, 1]);
    let units = net.size("lstm.weight_hh_l0", 1);
    let [forward, ..] = net.lstm("lstm", "l0", steps, units, false);
    let [backward, ..] = net.lstm("lstm", "l0_reverse", steps, units, true);
    let states = forward.concat(2, &[backward]).transpose(0, 1).relu();
    let skip = point(net, "tskip", x).transpose(1, 2);
    let mut y = (states + skip) * (states.dim(2) as f32).sqrt();
    if let Ok(places) = Tensor::from_f32(&[y.dim(1), y.dim(2)], positions(y.dim(1), y.dim(2))) {
        y = y + y.constant(places);
    }
    for i in 0..net.count("enc.", ".ln1.weight") {
        y = layer(&net.scope(&format!("enc.{i}")), y, heads);
    }
    weighted(&net.scope("ca_t"), linear(net, "fc_t", y.reshape(&[y.dim(0), y.dim(1) * y.dim(2)])).relu())
}

/// Features of the window, `(n, width)`.
fn of_window<'b>(net: &Scope<'b>, window: Var<'b>) -> Var<'b> {
    let normal = |name: &str, x| net.batch_norm(name, x, EPSILON);
    let long = |name: &str, kernel: [usize; 2]| {
        let conv = Conv::new(net.size(&format!("{name}.weight"), 0), kernel).pad([kernel[0] / 2, kernel[1] / 2]);
        net.conv(name, window, conv)
    };
    let length = net.size("c15.weight", 3);
    let across = normal("bn15", long("c15", [1, length])).relu();
    let along = normal("bn51", long("c51", [length, 1])).relu();
    let skip = normal("bnskip", point(net, "skip", window));
    let x = skip + normal("bnsep", separable(&net.scope("sep"), (across + along).relu())).relu();
    let x = attending(&net.scope("cnn"), x.max_pool(Window::new(2)));
    let valid = |name: &str, x| net.conv(name, x, Conv::new(net.size(&format!("{name}.weight"), 0), 3));
    valid("c4", normal("bn3", valid("c3", x)).relu()).mean(&[2, 3], false)
}

fn build<'b>(b: &'b Builder<'b>) {
    let net = b.root();
    let (series, window) = (b.input("series"), b.input("window"));
    let width = net.size("lstm.weight_ih_l0", 1);
    let heads = match b.option("heads").unwrap_or("8").parse::<usize>() {
        Ok(heads) if heads > 0 && width.is_multiple_of(heads) => heads,
        _ => return b.refuse(format!("the number of heads must divide {width}, the width of the layers")),
    };
    // twelve months times the width
    let months = net.size("fc_t.weight", 1) / width;
    if series.dim(1) != months {
        return b.refuse(format!("series of {} months; these weights are for {months}", series.dim(1)));
    }
    let both = of_series(&net, series, heads).concat(1, &[of_window(&net, window)]);
    let y = weighted(&net.scope("ca"), linear(&net, "fc", both).relu());
    b.output("profile", linear(&net, "out", y));
}
