//! STFDiff (Huang et al. 2024): a diffusion model whose network sees the noisy prediction beside the reference images, and works on what
//! distinguishes them.
//!
//! This file is one evaluation of the network: from the noisy image at a step (`noisy`, `time`) to the estimate of the clean image or of
//! the noise, whichever it was trained for. [`crate::sampler`] calls it until an image has come out. Two encoders of the same form, one
//! of the noisy image and one of the references, are subtracted level by level; a decoder goes up on the differences. A block is
//! `act2(norm2(conv2(silu(norm1(conv1 x) (1 + scale) + shift)))) + x`, scale and shift from the time, conv1 with standardised weights;
//! the encoder of the references does not see the time.
//!
//! # As trained
//! * Inputs: `coarse_t1`, `coarse_t2`, `fine_t1`, with weights of two pairs `coarse_t3` and `fine_t3` as well; `noisy`, `time` (one number
//!   for every image of the batch)
//! * Scaling: [-1, 1]
//! * Patch: 256, sides multiples of 2 for every level but the last
//! * Coarse: on the fine grid
//! * Sampling: 100 steps of training with the cosine schedule, estimate of the clean image, 50 steps of DDIM, eta 0
//!
//! # Quirks
//! * Option `activation`: `relu` (the authors; default) or `silu` (LibSTFv1).
//! * `init_conv` is published but never used.
//! * Weights of the whole diffusion model have the prefix `model.` and carry the schedule, of which the network needs nothing.

use super::blocks::sizes;
use super::Network;
use crate::builder::{Builder, Conv, Scope, Tensors, Var};
use crate::tensor::Tensor;

/// One evaluation of the network.
pub const STFDIFF: Network = Network {
    id: "stfdiff",
    name: "STFDiff",
    reference: "Huang, He, Zhang, Xia, Zhang 2024, doi:10.1016/j.inffus.2024.102505",
    build,
};

/// What keeps a standardised weight finite; in single precision.
const LEAST_VARIANCE: f32 = 1e-5;
const EPSILON: f64 = 1e-5;
const GROUPS: usize = 8;

/// Tensors of a diffusion schedule that are kept beside the network's.
pub(super) const SCHEDULE: [&str; 13] = [
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
    "p2_loss_weight",
];

/// Pairs that the weights were trained with: one image of a pair in the fine first layer beside the noisy one's.
pub(super) fn references(weights: &dyn Tensors) -> Option<usize> {
    let channels = |name: &str| {
        let of = |prefix: &str| weights.tensor(&format!("{prefix}{name}.weight"))?.shape().get(1).copied();
        of("").or_else(|| of("model."))
    };
    let (fine, noisy) = (channels("fine_init_conv")?, channels("noisy_init_conv")?);
    fine.checked_div(noisy)
}

/// The time as angles at `width / 2` frequencies from 1 down, in steps of `10000^(-1 / steps)`: `(n, width / 2)`.
pub(super) fn angles<'b>(time: Var<'b>, width: usize, steps: usize) -> Var<'b> {
    let half = (width / 2).max(1);
    let frequencies = (0..half).map(|k| (-(10000f64.ln()) * k as f64 / steps.max(1) as f64).exp() as f32).collect();
    let Ok(frequencies) = Tensor::from_f32(&[1, half], frequencies) else { return time };
    time.reshape(&[time.dim(0), 1]) * time.constant(frequencies)
}

/// The nonlinearity after the second normalisation of a block.
#[derive(Clone, Copy)]
enum Second {
    Relu,
    Silu,
}

/// A convolution with weights of mean 0 and variance 1 for every output.
fn standardised<'b>(scope: &Scope<'b>, x: Var<'b>, width: usize) -> Var<'b> {
    let conv = Conv::new(width, 3).pad(1);
    let weight = scope.conv_weight(x, conv);
    let axes = [1, 2, 3];
    let normal = (weight - weight.mean(&axes, true)) * (weight.variance(&axes, false, true) + LEAST_VARIANCE).rsqrt();
    x.conv(normal, Some(scope.weight("bias", &[width])), conv)
}

fn block<'b>(scope: &Scope<'b>, x: Var<'b>, time: Option<Var<'b>>, second: Second) -> Var<'b> {
    let width = scope.size("conv_1.weight", 0);
    let mut y = scope.group_norm("norm_1", standardised(&scope.scope("conv_1"), x, width), GROUPS, EPSILON);
    if let Some(time) = time {
        let [scale, shift] = scope.linear("mlp.1", time.silu(), 2 * width).unsqueeze(2).unsqueeze(3).chunk(1);
        y = y * (scale + 1.0) + shift;
    }
    let y = scope.group_norm("norm_2", scope.conv("conv_2", y.silu(), Conv::new(width, 3).pad(1)), GROUPS, EPSILON);
    let y = match second {
        Second::Relu => y.relu(),
        Second::Silu => y.silu(),
    };
    y + if scope.has("res_conv.weight") { scope.conv("res_conv", x, Conv::new(width, 1)) } else { x }
}

fn build<'b>(b: &'b Builder<'b>) {
    let net = if b.has("model.final_conv.weight") {
        SCHEDULE.iter().for_each(|name| b.unused(name));
        b.scope("model")
    } else {
        b.root()
    };
    net.unused("init_conv.weight");
    net.unused("init_conv.bias");
    let second = match b.option("activation") {
        None | Some("relu") => Second::Relu,
        Some("silu") => Second::Silu,
        Some(other) => return b.refuse(format!("the second activation is relu or silu, not {other}")),
    };
    let head = |name: &str, x: Var<'b>, kernel: usize| {
        let width = net.size(&format!("{name}.weight"), 0);
        net.conv(name, x, Conv::new(width, kernel).pad(kernel / 2))
    };
    let levels = net.count("noisy_downs.", ".0.conv_1.weight");

    let (coarse_1, coarse_2, fine_1) = (b.input("coarse_t1"), b.input("coarse_t2"), b.input("fine_t1"));
    let noisy = b.input("noisy");
    let time = b.input("time");
    // the second pair: the same network with wider first layers
    let (fine, coarse) = if b.has_input("coarse_t3") || b.has_input("fine_t3") {
        let (coarse_3, fine_3) = (b.input("coarse_t3"), b.input("fine_t3"));
        (fine_1.concat(1, &[fine_3]), coarse_1.concat(1, &[coarse_2, coarse_3]))
    } else {
        (fine_1, coarse_1.concat(1, &[coarse_2]))
    };
    let multiple = 1 << levels.saturating_sub(1).min(16);
    sizes(b, noisy, multiple, multiple);

    let clean = head("clean_init_conv", head("fine_init_conv", fine, 3).concat(1, &[head("coarse_init_conv", coarse, 3)]), 1);
    let noisy = head("noisy_init_conv", noisy, 3);
    let time = {
        let width = net.size("time_mlp.1.weight", 1);
        let angles = angles(time, width, (width / 2).saturating_sub(1));
        let waves = angles.sin().concat(1, &[angles.cos()]);
        let inner = net.linear("time_mlp.1", waves, net.size("time_mlp.1.weight", 0));
        net.linear("time_mlp.3", inner.gelu(), net.size("time_mlp.3.weight", 0))
    };

    // a level's way to the next one: halved, but for the last
    let down = |encoder: &str, level: usize, x: Var<'b>| {
        let name = format!("{encoder}.{level}.1");
        let width = net.size(&format!("{name}.weight"), 0);
        let conv = if level + 1 < levels { Conv::new(width, 4).stride(2).pad(1) } else { Conv::new(width, 3).pad(1) };
        net.conv(&name, x, conv)
    };
    let (mut c, mut x) = (clean, noisy);
    let mut skips = Vec::new();
    for level in 0..levels {
        c = block(&net.scope(&format!("clean_downs.{level}.0")), c, None, second);
        x = block(&net.scope(&format!("noisy_downs.{level}.0")), x, Some(time), second);
        skips.push(x - c);
        (c, x) = (down("clean_downs", level, c), down("noisy_downs", level, x));
    }
    let c = block(&net.scope("clean_mid_block"), c, None, second);
    let x = block(&net.scope("noisy_mid_block"), x, Some(time), second);

    let mut y = x - c;
    for level in 0..levels {
        let up = net.scope(&format!("noise_ups.{level}"));
        if let Some(skip) = skips.pop() {
            y = y.concat(1, &[skip]);
        }
        y = block(&up.scope("0"), y, Some(time), second);
        let name = if level + 1 < levels { "1.1" } else { "1" };
        if level + 1 < levels {
            y = y.resize_nearest([2 * y.dim(2), 2 * y.dim(3)]);
        }
        y = up.conv(name, y, Conv::new(up.size(&format!("{name}.weight"), 0), 3).pad(1));
    }
    let y = block(&net.scope("final_res_block"), y.concat(1, &[noisy - clean]), Some(time), second);
    b.output("estimate", net.conv("final_conv", y, Conv::new(net.size("final_conv.weight", 0), 1)));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn first_layers_show_the_number_of_pairs() {
        let weights = |prefix: &str, fine: usize| -> BTreeMap<String, Arc<Tensor>> {
            let layer = |name: &str, channels: usize| {
                let tensor = Tensor::from_f32(&[8, channels, 3, 3], vec![0.0; 72 * channels]).unwrap();
                (format!("{prefix}{name}.weight"), Arc::new(tensor))
            };
            [layer("fine_init_conv", fine), layer("noisy_init_conv", 6)].into()
        };
        assert_eq!(references(&weights("", 6)), Some(1));
        assert_eq!(references(&weights("", 12)), Some(2));
        assert_eq!(references(&weights("model.", 12)), Some(2));
        assert_eq!(references(&BTreeMap::new()), None);
    }
}
