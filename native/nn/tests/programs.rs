//! Programs of random graphs: whatever is fused, done in place or laid in the same memory, a program yields what the graph says, for
//! every set of vectors and, bit for bit, for any number of threads.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its problem has failed")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use stfusion_core::exec::Cancel;
use stfusion_nn::builder::{Builder, Conv, Var, Window};
use stfusion_nn::cpu::Program;
use stfusion_nn::ops::{BatchNorm, GroupNorm, LayerNorm, Linear, PadMode, TransposedConvolution};
use stfusion_nn::{reference, Graph, Tensor};
use stfusion_simd::Path;
use support::{compare, numbers, recipe};

/// One operator of a random graph: which, on which earlier values, and a number that its attributes come from.
type Choice = (u8, prop::sample::Index, prop::sample::Index, u8);

/// The value of a choice, always `(2, 4, h, w)` and of moderate size.
fn value<'b>(values: &[Var<'b>], choice: &Choice, weight: &dyn Fn(&[usize]) -> Var<'b>) -> Var<'b> {
    let (kind, x, y, detail) = choice;
    let (x, y, detail) = (values[x.index(values.len())], values[y.index(values.len())], usize::from(*detail));
    let (h, w) = (x.dim(2), x.dim(3));
    let same = |v: Var<'b>| if [v.dim(2), v.dim(3)] == [h, w] { v } else { v.resize_nearest([h, w]) };
    let mode = [PadMode::Zeros, PadMode::Replicate, PadMode::Reflect, PadMode::Circular][detail % 4];
    let per_channel = |v: Var<'b>| v.reshape(&[1, 4, 1, 1]);
    match kind % 30 {
        0 => x.conv(weight(&[4, 4, 3, 3]), Some(weight(&[4])), Conv::new(4, 3).pad(1).mode(mode)).tanh(),
        1 => x.conv(weight(&[4, 4, 1, 1]), None, Conv::new(4, 1)).relu(),
        2 => (x.conv(weight(&[4, 4, 3, 3]), None, Conv::new(4, 3).pad(1)) + same(y)).leaky_relu(0.2) * 0.5,
        3 => {
            let normal = x.conv(weight(&[4, 2, 3, 3]), Some(weight(&[4])), Conv::new(4, 3).pad(1).groups(2));
            let variance = weight(&[4]).square() + 0.5;
            normal.apply(BatchNorm { epsilon: 1e-5 }, &[weight(&[4]), weight(&[4]), weight(&[4]), variance]).sigmoid()
        }
        4 => x.pad(&[(1, 1), (1, 1)], mode).conv(weight(&[4, 4, 3, 3]), None, Conv::new(4, 3)).tanh(),
        5 => (x + same(y)) * 0.5,
        6 => x - same(y).abs() * 0.5,
        7 => x * per_channel(weight(&[4])) + per_channel(weight(&[4])),
        // continuous where both are equal: precisions may differ in which is the greater
        8 => x.greater(same(y)).select(x * 0.5, same(y) * 0.5),
        9 => same(y).mean(&[2, 3], true) * x,
        10 => x.max(&[1], true) * 0.25 + same(y) * 0.5,
        11 => x.softmax(1 + detail % 3) + x * 0.5,
        12 => x.apply(GroupNorm { groups: [1, 2, 4][detail % 3], epsilon: 1e-3 }, &[weight(&[4]), weight(&[4])]).tanh(),
        13 => x.permute(&[0, 2, 3, 1]).apply(LayerNorm { axes: 1, epsilon: 1e-3 }, &[]).permute(&[0, 3, 1, 2]) * 0.5,
        14 => {
            let rows = x.permute(&[0, 2, 3, 1]).apply(Linear, &[weight(&[4, 4]), weight(&[4])]).gelu();
            rows.permute(&[0, 3, 1, 2])
        }
        15 => {
            let (a, b) = (x.reshape(&[2, 4, h * w]), same(y).reshape(&[2, 4, h * w]));
            let weights = (a.matmul(b.transpose(1, 2)) * 0.1).softmax(2);
            weights.matmul(b).reshape(&[2, 4, h, w])
        }
        16 => x.roll(&[(2, detail as isize % 5 - 2), (3, detail as isize % 7 - 3)]),
        17 => x.flip(&[2 + detail % 2]),
        18 => x.chunk::<2>(1)[1].concat(1, &[same(y).chunk::<2>(1)[0]]),
        19 => x.max_pool(Window::new(2)).resize_bilinear([h, w], detail % 2 == 0),
        20 => x.resize_bicubic([h + detail % 3, w + detail % 2], detail % 2 == 0) * 0.5,
        21 => {
            let op = TransposedConvolution {
                stride: vec![2; 2],
                dilation: vec![1; 2],
                pads: vec![(1, 1); 2],
                output_pads: vec![0; 2],
                groups: 1,
            };
            let small = x.conv(weight(&[4, 4, 3, 3]), None, Conv::new(4, 3).pad(1).stride(2)).tanh();
            small.apply(op, &[weight(&[4, 4, 4, 4]), weight(&[4])]).slice(2, 0..h).slice(3, 0..w).tanh()
        }
        22 => x.concat(1, &[x, x, x]).pixel_shuffle(2).pixel_unshuffle(2).slice(1, 4..8),
        23 => x.variance(&[2, 3], true, true).sqrt() * 0.25 + x * 0.5,
        24 => x.exp() / (x.exp() + same(y).exp()),
        25 => x.adaptive_mean_pool([1 + detail % 3, 2]).resize_nearest([h, w]),
        26 => x.pad(&[(1, 0), (0, 2)], mode).slice(2, 0..h).slice(3, 0..w),
        27 => x.reshape(&[2, 4 * h * w]).reshape(&[2, 4, h, w]),
        28 => x.minimum(same(y)).clamp(-0.5, 0.75),
        _ => (x.square() + same(y).square() + 0.01).rsqrt() * x,
    }
}

fn graph(choices: &[Choice], size: (usize, usize), outputs: usize) -> Graph {
    let mut weights: BTreeMap<String, Arc<Tensor>> = BTreeMap::new();
    // tensors are made for the shapes that a first pass asks for
    loop {
        let b = Builder::new("random", &weights, &[("a", vec![2, 4, size.0, size.1]), ("b", vec![2, 4, size.0, size.1])]);
        let mut values = vec![b.input("a"), b.input("b")];
        let asked = std::cell::RefCell::new(BTreeMap::new());
        let weight = |shape: &[usize]| {
            let name = format!("w{}", asked.borrow().len());
            asked.borrow_mut().insert(name.clone(), shape.to_vec());
            b.root().weight(&name, shape)
        };
        for choice in choices {
            values.push(value(&values, choice, &weight));
        }
        for (i, v) in values.iter().rev().take(outputs).enumerate() {
            b.output(&i.to_string(), *v);
        }
        if weights.len() == asked.borrow().len() {
            drop(values);
            return b.finish().unwrap();
        }
        let made = asked.into_inner();
        drop(values);
        drop(b);
        weights = made.into_iter().map(|(n, s)| (n.clone(), Arc::new(recipe(&n, 3, &s, 0.1, 0.4)))).collect();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn programs_yield_what_the_graph_says(
        choices in prop::collection::vec(any::<Choice>(), 1..14), size in (3usize..14, 3usize..20), outputs in 1usize..4,
    ) {
        let graph = graph(&choices, size, outputs);
        let inputs: Vec<Tensor> = graph.inputs().iter().map(|p| recipe(&p.name, 9, graph.shape(p.value), 0.0, 1.0)).collect();
        let expected = reference::run::<f64>(&graph, &inputs).unwrap();
        for &path in Path::ALL.iter().filter(|p| p.is_available()) {
            let program = Program::compile(&graph, path).unwrap();
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| program.run(&inputs, &Cancel::new())).unwrap()
            };
            let results = run(1);
            prop_assert_eq!(&results, &run(3), "{} with more threads", path);
            prop_assert_eq!(&results, &run(2), "{} again, in used memory", path);
            for (got, expected) in results.iter().zip(&expected) {
                let outcome = compare(&numbers(got), &support::array_numbers(expected), 2e-3, 1e-3);
                prop_assert!(outcome.is_ok(), "{}: {:?}", path, outcome);
            }
        }
    }
}

/// Shapes beyond the blocks that kernels work in, which the random graphs are too small for.
#[test]
fn long_lines_and_large_matrices_agree_with_the_reference() {
    type Build = for<'b> fn(Var<'b>, Var<'b>) -> Var<'b>;
    let operators: &[(&str, Build)] = &[
        ("mean of planes", |x, _| x.mean(&[2, 3], false)),
        ("mean of everything", |x, _| x.mean(&[0, 1, 2, 3], false)),
        ("mean of channels", |x, _| x.mean(&[1], true)),
        ("sum over separate axes", |x, _| x.sum(&[0, 2], false)),
        ("variance of planes", |x, _| x.variance(&[2, 3], true, false)),
        ("variance of channels", |x, _| x.variance(&[1], false, false)),
        ("largest of planes", |x, _| x.max(&[2, 3], false)),
        ("smallest of channels", |x, _| x.min(&[1], false)),
        ("softmax of channels", |x, _| x.softmax(1)),
        ("softmax of rows", |x, _| x.softmax(3)),
        ("instance normalisation", |x, _| x.instance_norm(1e-5)),
        ("group normalisation", |x, _| x.group_normalised(2, 1e-5)),
        ("layer normalisation", |x, _| x.normalised(2, 1e-5)),
        ("mean pooling", |x, _| x.mean_pool(Window::new(3).stride(2).pad(1))),
        ("uneven pooling", |x, _| x.adaptive_mean_pool([7, 5])),
        ("ceiling pooling", |x, _| x.max_pool(Window::new([3, 2]).stride([2, 3]).ceil())),
        ("bicubic resize", |x, _| x.resize_bicubic([50, 91], false)),
        ("product", |_, y| y.matmul(y.transpose(1, 2)) * 0.05),
        ("product with one matrix", |_, y| y.matmul(y.index(0, 0).transpose(0, 1)) * 0.05),
        ("transposition", |x, _| x.permute(&[3, 1, 0, 2])),
        ("turned inside out", |x, _| x.permute(&[0, 2, 3, 1]).roll(&[(1, 11), (2, -7)]).flip(&[0, 3])),
        ("broadcast chain", |x, _| (x - x.mean(&[1], true)).gelu() * x.max(&[2, 3], true) + x.mean(&[0], true).sigmoid()),
        ("cubic chain", |x, _| (x * x * x + 0.5).tanh() - x.exp() * 0.25),
    ];
    let weights: BTreeMap<String, Arc<Tensor>> = BTreeMap::new();
    let shapes = [vec![3, 6, 41, 67], vec![5, 53, 700]];
    for (name, build) in operators {
        let b = Builder::new(name, &weights, &[("x", shapes[0].clone()), ("y", shapes[1].clone())]);
        let (x, y) = (b.input("x"), b.input("y"));
        b.output("z", build(x, y));
        let graph = b.finish().unwrap();
        let inputs = [recipe("x", 1, &shapes[0], 0.25, 1.0), recipe("y", 2, &shapes[1], 0.0, 1.0)];
        let expected = support::array_numbers(&reference::run::<f64>(&graph, &inputs).unwrap()[0]);
        for &path in Path::ALL.iter().filter(|p| p.is_available()) {
            let program = Program::compile(&graph, path).unwrap();
            let got = program.run(&inputs, &Cancel::new()).unwrap();
            // places between elements are told in single precision, as PyTorch does
            let tolerance = if name.contains("resize") { 2e-5 } else { 3e-6 };
            let outcome = compare(&numbers(&got[0]), &expected, tolerance, tolerance);
            assert!(outcome.is_ok(), "{name}, {path}: {outcome:?}");
        }
    }
}

#[test]
fn a_run_stops_when_it_is_asked_to() {
    let weights: BTreeMap<String, Arc<Tensor>> = BTreeMap::new();
    let b = Builder::new("example", &weights, &[("x", vec![1, 1, 4, 4])]);
    b.output("y", b.input("x").relu());
    let program = Program::compile(&b.finish().unwrap(), Path::from_environment().0).unwrap();
    let cancel = Cancel::new();
    let x = [recipe("x", 1, &[1, 1, 4, 4], 0.0, 1.0)];
    assert!(program.run(&x, &cancel).is_ok());
    cancel.request();
    assert_eq!(program.run(&x, &cancel).unwrap_err().kind(), stfusion_core::ErrorKind::Cancelled);
    let other = [recipe("x", 1, &[1, 1, 4, 5], 0.0, 1.0)];
    let e = program.run(&other, &Cancel::new()).unwrap_err();
    assert_eq!(e.message(), "Input x of the network is [1, 1, 4, 5], but the network was built for [1, 1, 4, 4]");
}

#[test]
fn memory_is_known_before_a_run_and_reused_within_it() {
    let mut weights: BTreeMap<String, Arc<Tensor>> = BTreeMap::new();
    weights.insert("c.weight".into(), Arc::new(recipe("c", 1, &[4, 4, 3, 3], 0.0, 0.1)));
    let b = Builder::new("example", &weights, &[("x", vec![1, 4, 64, 64])]);
    let mut x = b.input("x");
    for _ in 0..20 {
        x = b.root().conv("c", x, Conv::new(4, 3).pad(1).bias(false)).relu();
    }
    b.output("y", x);
    let program = Program::compile(&b.finish().unwrap(), Path::from_environment().0).unwrap();
    // of twenty results never more than two are alive
    assert_eq!(program.arena_bytes(), 2 * 4 * 4 * 64 * 64);
}
