//! L-UNet: changes in a series of images, by a U-Net whose levels remember.
//!
//! Two networks of this name. That of Papadomanolaki et al. 2021 convolves every image of the series on its own; at each level a
//! convolutional LSTM runs over the images, and its last state is what the decoder sees; with its second task a decoder of its own maps
//! the first and the last image to buildings. That of Sun et al. 2022 has no public code; here it follows a specification: each level is
//! a convolutional LSTM, whose states, halved, are the next level's images.
//!
//! # As trained
//! * Inputs: `series`: (step, batch, band, row, column) for the first, (batch, step, band, row, column) for the second
//! * Scaling: of the user's choice
//! * Patch: 32 for the first; here sides that are multiples of 16 (first) or of 8 (second)
//! * Coarse: none

use super::blocks::sizes;
use super::Network;
use crate::builder::{Builder, Conv, Scope, Var, Window};
use crate::tensor::{DType, Tensor};

/// L-UNet of Papadomanolaki et al., for change alone or with buildings.
pub const LUNET: Network = Network {
    id: "l-unet",
    name: "L-UNet",
    reference: "Papadomanolaki, Vakalopoulou, Karantzalos 2021, doi:10.1109/TGRS.2021.3055584",
    build,
};

/// L-UNet of Sun et al., by a specification.
pub const LUNET_SUN: Network = Network {
    id: "l-unet-sun",
    name: "L-UNet (Sun et al.)",
    reference:
        "specification after Sun et al. 2022, IEEE Geoscience and Remote Sensing Letters 19; basis: doi:10.1109/TGRS.2021.3055584",
    build: build_sun,
};

const EPSILON: f64 = 1e-5;

/// A 3x3 convolution as wide as its weights.
fn conv<'b>(scope: &Scope<'b>, name: &str, x: Var<'b>) -> Var<'b> {
    scope.conv(name, x, Conv::new(scope.size(&format!("{name}.weight"), 0), 3).pad(1))
}

/// Layers `first` and the next of `scope`: a convolution and its normalisation.
fn layer<'b>(scope: &Scope<'b>, first: usize, x: Var<'b>) -> Var<'b> {
    scope.batch_norm(&(first + 1).to_string(), conv(scope, &first.to_string(), x), EPSILON).relu()
}

fn pair<'b>(scope: &Scope<'b>, x: Var<'b>) -> Var<'b> {
    let scope = scope.scope("conv");
    layer(&scope, 3, layer(&scope, 0, x))
}

fn doubled<'b>(x: Var<'b>) -> Var<'b> {
    x.resize_nearest([2 * x.dim(2), 2 * x.dim(3)])
}

/// An LSTM of images: state and memory after `x`, from `gates` (input, forget, output, cell, before their nonlinearities).
pub(super) fn remembered<'b>(memory: Var<'b>, [input, forget, output, cell]: [Var<'b>; 4]) -> [Var<'b>; 2] {
    let memory = forget.sigmoid() * memory + input.sigmoid() * cell.tanh();
    [output.sigmoid() * memory.tanh(), memory]
}

/// Zeros of so many channels for an image of the size of `x`.
pub(super) fn nothing<'b>(x: Var<'b>, channels: usize) -> Var<'b> {
    x.constant(Tensor::zeros(&[x.dim(0), channels, x.dim(2), x.dim(3)], DType::F32))
}

/// The last state of an LSTM of images that runs over `images`.
fn last_state<'b>(scope: &Scope<'b>, images: &[Var<'b>]) -> Option<Var<'b>> {
    let first = *images.first()?;
    let width = scope.size("in_gate.weight", 0);
    let mut state = [nothing(first, width); 2];
    for &image in images {
        let both = image.concat(1, &[state[0]]);
        let gates = ["in_gate", "forget_gate", "out_gate", "cell_gate"].map(|name| conv(scope, name, both));
        state = remembered(state[1], gates);
    }
    Some(state[0])
}

/// From the levels' images, the finest first, to classes; the layers' names end with `suffix`.
fn decoder<'b>(net: &Scope<'b>, suffix: &str, levels: &[Var<'b>]) -> Option<Var<'b>> {
    let (&deepest, others) = levels.split_last()?;
    let mut x = deepest;
    for (i, &skip) in others.iter().enumerate().rev() {
        let level = i + 2;
        let up = layer(&net.scope(&format!("Up{level}{suffix}.up")), 1, doubled(x));
        x = pair(&net.scope(&format!("Up_conv{level}{suffix}")), up.concat(1, &[skip]));
    }
    let name = format!("Conv_1x1{suffix}");
    Some(net.conv(&name, x, Conv::new(net.size(&format!("{name}.weight"), 0), 1)))
}

fn build<'b>(b: &'b Builder<'b>) {
    let net = b.root();
    let series = b.input("series");
    let levels = (1..).take_while(|i| net.has(&format!("Conv{i}.conv.0.weight"))).count();
    let mut images: Vec<Var> = (0..series.dim(0)).map(|step| series.index(0, step)).collect();
    let (Some(&first), false) = (images.first(), levels == 0) else { return };
    let multiple = 1 << (levels - 1).min(16);
    sizes(b, first, multiple, multiple);

    let (mut states, mut firsts, mut lasts) = (Vec::new(), Vec::new(), Vec::new());
    for level in 1..=levels {
        let block = net.scope(&format!("Conv{level}"));
        for image in &mut images {
            let x = if level > 1 { image.max_pool(Window::new(2)) } else { *image };
            *image = pair(&block, x);
        }
        states.extend(last_state(&net.scope(&format!("set{level}.RCell")), &images));
        firsts.extend(images.first());
        lasts.extend(images.last());
    }
    if let Some(change) = decoder(&net, "", &states) {
        b.output("change", change);
    }
    if net.has("Conv_1x1_segm.weight") {
        for (name, levels) in [("buildings_first", firsts), ("buildings_last", lasts)] {
            if let Some(buildings) = decoder(&net, "_segm", &levels) {
                b.output(name, buildings);
            }
        }
    }
}

fn build_sun<'b>(b: &'b Builder<'b>) {
    let net = b.root();
    let series = b.input("series");
    let levels = net.count("cell.", ".conv.weight");
    let mut images: Vec<Var> = (0..series.dim(1)).map(|step| series.index(1, step)).collect();
    let (Some(&first), false) = (images.first(), levels == 0) else { return };
    let multiple = 1 << (levels - 1).min(16);
    sizes(b, first, multiple, multiple);

    let mut states = Vec::new();
    for level in 0..levels {
        let cell = net.scope(&format!("cell.{level}"));
        let width = cell.size("conv.weight", 0) / 4;
        let mut state: Option<[Var; 2]> = None;
        for image in &mut images {
            let x = if level > 0 { image.max_pool(Window::new(2)) } else { *image };
            let [hidden, memory] = state.unwrap_or([nothing(x, width); 2]);
            let next = remembered(memory, conv(&cell, "conv", x.concat(1, &[hidden])).chunk(1));
            *image = next[0];
            state = Some(next);
        }
        states.extend(state.map(|[hidden, _]| hidden));
    }
    let Some((&deepest, others)) = states.split_last() else { return };
    let mut x = deepest;
    for (level, &skip) in others.iter().enumerate().rev() {
        let up = conv(&net, &format!("up.{level}"), doubled(x)).relu();
        x = conv(&net, &format!("mg.{level}"), up.concat(1, &[skip])).relu();
    }
    b.output("change", net.conv("out", x, Conv::new(net.size("out.weight", 0), 1)));
}
