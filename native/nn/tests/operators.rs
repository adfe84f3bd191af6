//! Every operator case of the reference data, forward: literally in `f32` and `f64`, and as a program of the CPU.
#![allow(clippy::unwrap_used, reason = "test code: a malformed reference file fails the test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use stfusion_nn::builder::{Builder, Conv, Var, Window};
use stfusion_nn::ops::{
    Activation, BatchNorm, Border, Cell, Coordinates, Cumulative, DeformableConvolution, Fold, GridSample, GroupNorm, LayerNorm,
    Linear, PadMode, Recurrent, Resize, Resizing, Rounding, Softmax, TransposedConvolution, Unfold,
};
use stfusion_nn::{reference, DType, Graph, Tensor};
use support::{compare, golden, json, numbers, tensors};

/// What a case computes, in the order of its `out0`, `out1`, …; nothing for a name that is not known.
fn outputs<'b>(b: &'b Builder<'b>, op: &str, attributes: &Json, given: &BTreeMap<String, Arc<Tensor>>) -> Vec<Var<'b>> {
    let input = |name: &str| {
        let tensor = &given[&format!("{op}/{}", if op.starts_with("pywt") { name.into() } else { format!("in.{name}") })];
        b.input_of(name, tensor.dtype())
    };
    let has = |name: &str| given.contains_key(&format!("{op}/in.{name}"));
    let number = |key: &str, default: usize| attributes[key].as_u64().map_or(default, |n| n as usize);
    let numbers_of = |key: &str| -> Vec<i64> {
        attributes[key].as_array().map_or(vec![], |a| a.iter().map(|v| v.as_i64().unwrap()).collect())
    };
    let one = |v| vec![v];
    let bias = || has("bias").then(|| input("bias"));
    let epsilon = attributes["eps"].as_f64().unwrap_or(1e-5);
    let channels = |v: Var<'b>| {
        let n = v.dim(0);
        v.reshape(&[1, n, 1, 1])
    };
    let family = op.split('.').next().unwrap();
    match (family, op) {
        (_, "conv2d.k15") => one(input("x").conv(input("weight"), bias(), Conv::new(4, [1, 5]).pad([0, 2]))),
        (_, "conv2d.k51") => one(input("x").conv(input("weight"), None, Conv::new(4, [5, 1]).pad([2, 0]))),
        // 13 x 10 with stride 2: TensorFlow pads one row before and after, and one column after
        (_, "conv2d.tf_same_s2") => {
            one(input("x").conv(input("weight"), None, Conv::new(4, 3).stride(2).pad([1, 0]).pad_after([1, 1])))
        }
        ("conv2d", _) => {
            let mode = match attributes["padding_mode"].as_str().unwrap() {
                "reflect" => PadMode::Reflect,
                "replicate" => PadMode::Replicate,
                "circular" => PadMode::Circular,
                _ => PadMode::Zeros,
            };
            let conv = Conv::new(0, 0).stride(number("stride", 1)).pad(number("padding", 0)).dilation(number("dilation", 1));
            one(input("x").conv(input("weight"), bias(), conv.groups(number("groups", 1)).mode(mode)))
        }
        ("conv1d", _) => one(input("x").conv(input("weight"), bias(), Conv::new(0, 0).dilation(2).pad(4).pad_after(0))),
        ("conv3d", _) => {
            let stride = if op == "conv3d.k3" { [1, 1, 1] } else { [1, 2, 2] };
            one(input("x").conv(input("weight"), bias(), Conv::new(0, 0).pad(1).stride(stride)))
        }
        ("conv_transpose2d" | "conv_transpose3d", _) => {
            let axes = if family == "conv_transpose2d" { 2 } else { 3 };
            let stride = if axes == 2 { vec![number("stride", 1); 2] } else { vec![1, 2, 2] };
            let op = TransposedConvolution {
                stride,
                dilation: vec![1; axes],
                pads: vec![(number("padding", 0), number("padding", 0)); axes],
                output_pads: vec![number("output_padding", 0); axes],
                groups: 1,
            };
            one(input("x").apply(op, &[input("weight"), input("bias")]))
        }
        ("deform_conv2d", _) => {
            let op = DeformableConvolution { stride: [1; 2], dilation: [1; 2], pads: [(1, 1); 2], masked: true };
            one(input("x").apply(op, &[input("offset"), input("weight"), input("mask"), input("bias")]))
        }
        ("pad2d", _) => {
            let p = numbers_of("pad_lrtb");
            let mode = match op {
                "pad2d.reflect" => PadMode::Reflect,
                "pad2d.replicate" => PadMode::Replicate,
                "pad2d.circular" => PadMode::Circular,
                _ => PadMode::Zeros,
            };
            let mut pad = stfusion_nn::ops::Pad { pads: vec![(0, 0), (0, 0), (p[2], p[3]), (p[0], p[1])], mode, value: 0.0 };
            if op == "pad2d.constant" {
                pad.value = numbers(&given["pad2d.constant/out0"])[0];
            }
            one(input("x").apply(pad, &[]))
        }
        (_, "linear") => one(input("x").apply(Linear, &[input("weight"), input("bias")])),
        ("matmul", _) => one(input("a").matmul(input("b"))),
        ("einsum", _) => {
            let (a, b) = (input("a"), input("b"));
            one(a.unsqueeze(1).matmul(b))
        }
        (_, "attention.bias") => {
            let (q, k, v) = (input("q"), input("k"), input("v"));
            one(((q * 0.5).matmul(k.transpose(2, 3)) + input("bias")).softmax(3).matmul(v))
        }
        (_, "batch_norm.eval") => {
            let statistics = [input("weight"), input("bias"), input("rm"), input("rv")];
            one(input("x").apply(BatchNorm { epsilon }, &statistics))
        }
        (_, "batch_norm.train") => {
            let x = input("x");
            let variance = x.variance(&[0, 2, 3], false, true);
            let normal = (x - x.mean(&[0, 2, 3], true)) * (variance + 1e-5).rsqrt();
            let _ = (input("rm"), input("rv"));
            one(normal * channels(input("weight")) + channels(input("bias")))
        }
        (_, "layer_norm") => one(input("x").apply(LayerNorm { axes: 1, epsilon }, &[input("weight"), input("bias")])),
        ("group_norm", _) => one(input("x").apply(GroupNorm { groups: 4, epsilon }, &[input("weight"), input("bias")])),
        (_, "instance_norm") => one(input("x").instance_norm(epsilon)),
        ("switch_norm2d", _) => {
            let x = input("x");
            let (mean_in, variance_in) = (x.mean(&[2, 3], true), x.variance(&[2, 3], true, true));
            let moment = variance_in + mean_in.square();
            let over = |axis: usize| {
                let mean = mean_in.mean(&[axis], true);
                (mean, moment.mean(&[axis], true) - mean.square())
            };
            let running = (channels(input("rm")), channels(input("rv")));
            let batch = if op == "switch_norm2d.eval" { running } else { over(0) };
            let layer = over(1);
            let mix = |weights: Var<'b>, values: [Var<'b>; 3]| {
                let w = weights.softmax(0);
                w.index(0, 0) * values[0] + w.index(0, 1) * values[1] + w.index(0, 2) * values[2]
            };
            let mean = mix(input("mean_weight"), [mean_in, layer.0, batch.0]);
            let variance = mix(input("var_weight"), [variance_in, layer.1, batch.1]);
            one((x - mean) / (variance + 1e-5).sqrt() * channels(input("weight")) + channels(input("bias")))
        }
        (_, "adain.unbiased") => {
            let (c, s) = (input("c"), input("s"));
            let deviation = |x: Var<'b>| (x.variance(&[2, 3], true, true) + 1e-5).sqrt();
            one((c - c.mean(&[2, 3], true)) / deviation(c) * deviation(s) + s.mean(&[2, 3], true))
        }
        (_, "weight_standardise") => {
            let w = input("weight");
            let w = (w - w.mean(&[1, 2, 3], true)) * (w.variance(&[1, 2, 3], false, true) + 1e-5).rsqrt();
            one(input("x").conv(w, None, Conv::new(0, 0).pad(1)))
        }
        (_, "weight_norm_tf") => {
            let v = input("v");
            let w = v / v.square().sum(&[1, 2, 3], true).sqrt() * input("g").reshape(&[5, 1, 1, 1]);
            one(input("x").conv(w, None, Conv::new(0, 0)))
        }
        (_, "spectral_norm.one_iter") => {
            let w = input("w_bar").reshape(&[5, 36]);
            let unit = |x: Var<'b>| x / (x.square().sum(&[0, 1], true).sqrt() + 1e-12);
            let _ = input("v");
            let v = unit(w.transpose(0, 1).matmul(input("u").reshape(&[5, 1])));
            let u = unit(w.matmul(v));
            let sigma = u.transpose(0, 1).matmul(w).matmul(v);
            let y = input("x").conv((w / sigma).reshape(&[5, 4, 3, 3]), None, Conv::new(0, 0).pad(1));
            vec![y, u.reshape(&[5]), v.reshape(&[36])]
        }
        (_, "layernorm_channels") => {
            let normal =
                input("x").permute(&[0, 2, 3, 1]).apply(LayerNorm { axes: 1, epsilon }, &[input("weight"), input("bias")]);
            one(normal.permute(&[0, 3, 1, 2]))
        }
        (_, "revin") => {
            let x = input("x");
            one((x - x.mean(&[1], true)) / (x.variance(&[1], false, true) + 1e-5).sqrt())
        }
        (_, "rms_l2norm") => {
            let x = input("x");
            one(x / x.square().sum(&[1], true).sqrt().maximum(b.number(1e-12)))
        }
        ("act", _) => one(activation(b, op, input("x"))),
        ("resize", _) => {
            let x = input("x");
            let (h, w) = (x.dim(2), x.dim(3));
            let factor = attributes["scale_factor"].as_f64();
            let size = match factor {
                Some(f) => vec![(h as f64 * f) as usize, (w as f64 * f) as usize],
                None => numbers_of("size").iter().map(|&n| n as usize).collect(),
            };
            let aligned = attributes["align_corners"].as_bool().unwrap_or(false);
            let coordinates = if aligned { Coordinates::AlignCorners } else { Coordinates::HalfPixel };
            let antialiased = attributes["antialias"].as_bool().unwrap_or(false);
            let (mode, coordinates) = match attributes["mode"].as_str().unwrap() {
                "nearest" => (Resizing::Nearest(Rounding::Floor), Coordinates::Asymmetric),
                "nearest-exact" => (Resizing::Nearest(Rounding::HalfUp), Coordinates::HalfPixel),
                "bicubic" => (Resizing::Cubic, coordinates),
                "area" => (Resizing::Area, coordinates),
                _ if antialiased => (Resizing::LinearAntialiased, coordinates),
                _ => (Resizing::Linear, coordinates),
            };
            let again = attributes["recompute_scale_factor"].as_bool().unwrap_or(false);
            let factors = factor.filter(|_| !again).map(|f| vec![f; 2]);
            one(x.apply(Resize { size, mode, coordinates, factors }, &[]))
        }
        ("pixel_shuffle", _) => one(input("x").pixel_shuffle(2)),
        ("pixel_unshuffle", _) => one(input("x").pixel_unshuffle(2)),
        (_, "max_pool2d.2") => one(input("x").max_pool(Window::new(2))),
        (_, "max_pool2d.3s2p1") => one(input("x").max_pool(Window::new(3).stride(2).pad(1))),
        (_, "avg_pool2d.2") => one(input("x").mean_pool(Window::new(2))),
        (_, "avg_pool2d.3s1p1") => one(input("x").mean_pool(Window::new(3).stride(1).pad(1))),
        ("adaptive_avg", _) => one(input("x").adaptive_mean_pool([4, 3])),
        ("adaptive_max", _) => one(input("x").adaptive_max_pool(1)),
        ("unfold", _) => one(input("x").unfold(Unfold { kernel: [3; 2], stride: [1; 2], dilation: [1; 2], pads: [1; 2] })),
        ("fold", _) => {
            let op = Fold { size: [6, 5], kernel: [3; 2], stride: [1; 2], dilation: [1; 2], pads: [1; 2] };
            one(input("x").fold(op))
        }
        (_, "roll") => one(input("x").roll(&[(2, -2), (3, 3)])),
        ("grid_sample", _) => {
            let bordered = op == "grid_sample.border";
            let border = if bordered { Border::Edge } else { Border::Zeros };
            one(input("x").grid_sample(input("g"), GridSample { nearest: false, border, align_corners: !bordered }))
        }
        (_, "haar_dwt2") => one(haar(input("x"))),
        ("pywt_haar" | "pywt_haar_odd", _) => {
            let x = input("x");
            let (rows, cols) = ((x.dim(0) % 2) as i64, (x.dim(1) % 2) as i64);
            let even = x.pad(&[(0, rows), (0, cols)], PadMode::Replicate);
            let (h, w) = (even.dim(0), even.dim(1));
            haar(even.reshape(&[1, 1, h, w])).chunk::<4>(1).map(|part| part.squeeze(0).squeeze(0)).to_vec()
        }
        ("rnn", _) => {
            let cell = if op == "rnn.gru" { Cell::Gru } else { Cell::Lstm };
            let layer = |x: Var<'b>, suffix: &str| {
                let weights = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|name| input(&format!("{name}_{suffix}")));
                let op = Recurrent { cell, reverse: suffix.ends_with("reverse"), bias: true, initial: false };
                x.apply_all(op, &weights)[0]
            };
            let mut x = input("x").transpose(0, 1);
            if op == "rnn.bilstm2" {
                for l in ["l0", "l1"] {
                    x = layer(x, l).concat(2, &[layer(x, &format!("{l}_reverse"))]);
                }
            } else {
                x = layer(x, "l0");
            }
            one(x.transpose(0, 1))
        }
        ("loss", _) => one(loss(op, input("a"), input("b"))),
        (_, "reduce.mean") => one(input("x").mean(&[2, 3], false)),
        (_, "reduce.amax") => one(input("x").max(&[1], true)),
        (_, "reduce.var_unbiased") => one(input("x").variance(&[2, 3], true, false)),
        (_, "reduce.std_unbiased") => one(input("x").variance(&[2, 3], true, false).sqrt()),
        (_, "reduce.norm") => one(input("x").square().sum(&[1], false).sqrt()),
        (_, "reduce.argmax") => one(input("x").arg_max(1)),
        (_, "cumprod") => one(input("x").apply(Cumulative { axis: 0, product: true }, &[])),
        (_, "where") => {
            let (a, b) = (input("a"), input("b"));
            one(a.greater(b).select(a, b * 2.0))
        }
        (_, "gather") => {
            let at = b.constant(Tensor::from_i64(&[1, 4], vec![0, 2, 1, 1]).unwrap());
            one(input("x").gather_elements(1, at))
        }
        (_, "sinusoidal_embed") => {
            let frequencies = (0..8).map(|k| (-(k as f32) * (1e4f32.ln() / 7.0)).exp()).collect();
            let t = input("t").unsqueeze(1) * b.constant(Tensor::from_f32(&[1, 8], frequencies).unwrap());
            one(t.sin().concat(1, &[t.cos()]))
        }
        _ => vec![],
    }
}

fn activation<'b>(b: &'b Builder<'b>, op: &str, x: Var<'b>) -> Var<'b> {
    match op {
        "act.relu" => x.relu(),
        "act.leaky_relu_001" => x.leaky_relu(0.01),
        "act.leaky_relu_02" => x.leaky_relu(0.2),
        "act.gelu" => x.gelu(),
        "act.gelu_tanh" => x.apply(Activation::GeluTanh, &[]),
        "act.silu" => x.silu(),
        "act.sigmoid" => x.sigmoid(),
        "act.tanh" => x.tanh(),
        "act.elu" => x.elu(1.0),
        "act.softplus" => x.softplus(),
        "act.hardtanh" => x.clamp(-1.0, 1.0),
        "act.softmax1" => x.softmax(1),
        "act.log_softmax1" => x.apply(Softmax { axis: 1, log: true }, &[]),
        "act.exp" => x.exp(),
        "act.sin" => x.sin(),
        "act.cos" => x.cos(),
        "act.abs" => x.abs(),
        "act.clamp" => x.clamp(-0.5, 0.7),
        "act.sqrt_eps" => (x.square() + 1e-6).sqrt(),
        "act.prelu" => x.relu() + x.minimum(b.number(0.0)) * 0.25,
        "act.square" => x.square(),
        "act.pow125" => (x.abs() + 0.1).pow(b.number(1.25)),
        "act.log" => (x + 4.0).log(),
        "act.acos" => x.clamp(-0.95, 0.95).acos(),
        _ => panic!("{op} is not known"),
    }
}

fn loss<'b>(op: &str, a: Var<'b>, b: Var<'b>) -> Var<'b> {
    let d = a - b;
    let all = |x: Var<'b>| x.mean(&(0..x.axes()).collect::<Vec<_>>(), false);
    let cosine = |a: Var<'b>, b: Var<'b>| {
        let length = |x: Var<'b>| x.square().sum(&[1], false).sqrt();
        (a * b).sum(&[1], false) / (length(a) * length(b))
    };
    match op {
        "loss.mse" => all(d.square()),
        "loss.l1" => all(d.abs()),
        "loss.huber" | "loss.smooth_l1" => {
            let near = d.abs().less(d.builder().number(1.0));
            all(near.select(d.square() * 0.5, d.abs() - 0.5))
        }
        "loss.charbonnier" => all((d.square() + 1e-6).sqrt()),
        "loss.cosine" => all(cosine(a, b)),
        "loss.bce_logits" => all(a.relu() - a * b.sigmoid() + (-a.abs()).softplus()),
        "loss.kl" => {
            let log = |x: Var<'b>| x.apply(Softmax { axis: 1, log: true }, &[]);
            (b.softmax(1) * (log(b) - log(a))).sum(&[0, 1, 2, 3], false) / 2.0
        }
        "loss.sam" => all(cosine(a, b).clamp(-1.0 + 1e-6, 1.0 - 1e-6).acos()),
        _ => panic!("{op} is not known"),
    }
}

/// The four subbands of the Haar wavelet, one after the other.
fn haar(x: Var<'_>) -> Var<'_> {
    let (h, w) = (x.dim(2), x.dim(3));
    let part = |row, col| x.slice_step(2, row, h / 2, 2).slice_step(3, col, w / 2, 2);
    let (a, b, c, d) = (part(0, 0), part(0, 1), part(1, 0), part(1, 1));
    let low = (a + b + c + d) / 2.0;
    low.concat(1, &[(a - b + c - d) / 2.0, (a + b - c - d) / 2.0, (a - b - c + d) / 2.0])
}

fn graph(op: &str, attributes: &Json, given: &BTreeMap<String, Arc<Tensor>>) -> Graph {
    let key = |name: &str| if op.starts_with("pywt") { format!("{op}/{name}") } else { format!("{op}/in.{name}") };
    let images: Vec<(&str, Vec<usize>)> = given
        .iter()
        .filter_map(|(k, t)| Some((k.strip_prefix(&key(""))?, t.shape().to_vec())))
        .filter(|(name, _)| !op.starts_with("pywt") || *name == "x")
        .collect();
    let weights = BTreeMap::new();
    let b = Builder::new(op, &weights, &images);
    for (i, output) in outputs(&b, op, attributes, given).into_iter().enumerate() {
        b.output(&format!("out{i}"), output);
    }
    b.finish().unwrap_or_else(|e| panic!("{op}: {e}"))
}

#[test]
fn operators_give_the_reference_values() {
    let Some(folder) = golden("ops", "operators_give_the_reference_values") else { return };
    let (attributes, given) = (json(&folder.join("ops.json")), tensors(&folder.join("ops.safetensors")));
    let mut failures = Vec::new();
    let mut compared = 0;
    for (op, entry) in attributes.as_object().unwrap() {
        let graph = graph(op, &entry["attrs"], &given);
        let inputs: Vec<Tensor> = graph
            .inputs()
            .iter()
            .map(|p| {
                let key = if op.starts_with("pywt") { format!("{op}/{}", p.name) } else { format!("{op}/in.{}", p.name) };
                (*given[&key]).clone()
            })
            .collect();
        let literal = reference::run::<f32>(&graph, &inputs).unwrap();
        let wide = reference::run::<f64>(&graph, &inputs).unwrap();
        let names = match op.as_str() {
            "pywt_haar" | "pywt_haar_odd" => vec!["cA", "cV", "cH", "cD"],
            _ => vec!["out0", "out1", "out2"],
        };
        assert!(!literal.is_empty(), "{op} is not known");
        for (i, name) in names.iter().enumerate().take(literal.len()) {
            let expected = &given[&format!("{op}/{name}")];
            assert_eq!(literal[i].shape, expected.shape(), "{op}");
            let expected = numbers(expected);
            let largest = expected.iter().fold(0.0f64, |a, v| a.max(v.abs()));
            let atol = (2e-5 * largest).max(20.0 * entry["f32_vs_f64"].as_f64().unwrap_or(0.0));
            for (how, got) in [("f32", support::array_numbers(&literal[i])), ("f64", support::array_numbers(&wide[i]))] {
                if let Err(e) = compare(&got, &expected, atol, 1e-4) {
                    failures.push(format!("{op} {name} in {how}: {e}"));
                }
            }
            compared += 1;
        }
        let given_outputs = given.keys().filter(|k| k.starts_with(&format!("{op}/out"))).count();
        assert!(op.starts_with("pywt") || given_outputs == literal.len(), "{op}");
    }
    println!("{compared} results of {} cases compared", attributes.as_object().unwrap().len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(attributes.as_object().unwrap().len(), 132);
}

#[test]
fn types_are_checked_before_anything_runs() {
    let weights = BTreeMap::new();
    let b = Builder::new("example", &weights, &[("x", vec![1, 2, 5, 5]), ("y", vec![1, 3, 5, 5])]);
    let (x, y) = (b.input("x"), b.input("y"));
    b.output("z", x + y);
    let e = b.finish().unwrap_err();
    assert_eq!(e.message(), "add cannot take [1, 2, 5, 5], [1, 3, 5, 5]: lengths 2 and 3 of an axis cannot be combined");
    let b = Builder::new("example", &weights, &[("x", vec![1, 2, 5, 5])]);
    let x = b.input_of("x", DType::F32);
    b.output("z", x.pad(&[(5, 0)], PadMode::Reflect));
    let e = b.finish().unwrap_err();
    assert!(e.message().contains("5 elements cannot be mirrored at the edge of an axis of length 5"), "{e}");
}
