//! Reference cases of the published networks: weights from the case or by the recipe, inputs and tolerance from the case.
//!
//! One line a case, run by the CPU executor. `wide` cases take minutes and run when `STFUSION_WIDE_CASES` is set.

#![allow(clippy::unwrap_used, reason = "test code: a malformed reference file fails the test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use stfusion_core::exec::Cancel;
use stfusion_nn::cpu::Program;
use stfusion_nn::sampler::{Estimate, Noise, Rule, Sampler, Schedule, Variance};
use stfusion_nn::zoo::{self, Network};
use stfusion_nn::{reference, Graph, Tensor};
use stfusion_simd::Path;
use support::{array_numbers, compare, golden, json, numbers, recipe, shape, tensors};

type Weights = BTreeMap<String, Arc<Tensor>>;
type Options = BTreeMap<String, String>;

/// A reference case.
struct Case {
    network: &'static Network,
    /// Folder and file.
    name: &'static str,
    /// The case's inputs with the network's names for them.
    inputs: &'static [(&'static str, &'static str)],
    /// Names of the network's results in the order of the case's.
    outputs: &'static [&'static str],
    options: &'static [(&'static str, &'static str)],
}

/// Weights, inputs by the network's names, and what the case says should come out.
struct Loaded {
    weights: Weights,
    given: Weights,
    expected: Vec<Arc<Tensor>>,
    atol: f64,
    rtol: f64,
}

fn load(folder: &std::path::Path, name: &str) -> Loaded {
    let file = tensors(&folder.join(format!("{name}.safetensors")));
    let about = json(&folder.join(format!("{name}.json")));
    let about_weights = &about["weight_recipe"];
    let seed = about_weights["seed"].as_u64().unwrap();
    let mut weights = Weights::new();
    for t in about_weights["tensors"].as_array().unwrap() {
        let name = t["name"].as_str().unwrap();
        let tensor = match (file.get(&format!("weights.{name}")), t["add"].as_f64(), t["scale"].as_f64()) {
            (Some(stored), ..) => stored.clone(),
            (None, Some(add), Some(scale)) => Arc::new(recipe(name, seed, &shape(&t["shape"]), add as f32, scale as f32)),
            _ => continue,
        };
        weights.insert(name.into(), tensor);
    }
    let mut given = Weights::new();
    for (name, tensor) in &file {
        if let Some(name) = name.strip_prefix("input.") {
            given.insert(name.into(), tensor.clone());
        }
    }
    let made = &about["input_recipe"];
    for (name, input) in about["inputs"].as_object().unwrap() {
        if !given.contains_key(name) {
            let range = &made["range"];
            let (low, high) = (range[0].as_f64().unwrap() as f32, range[1].as_f64().unwrap() as f32);
            let seed = made["seed"].as_u64().unwrap();
            let tensor = recipe(&format!("input.{name}"), seed, &shape(&input["shape"]), (low + high) / 2.0, (high - low) / 2.0);
            given.insert(name.clone(), Arc::new(tensor));
        }
    }
    let expected: Vec<_> = about["outputs"].as_object().unwrap().keys().map(|name| file[name].clone()).collect();
    let tolerance = |key: &str| about["tolerance"][key].as_f64().unwrap();
    Loaded { weights, given, expected, atol: tolerance("atol"), rtol: tolerance("rtol") }
}

/// Numbers of any type as `f32`, which is what networks take.
fn real(tensor: &Tensor) -> Tensor {
    Tensor::from_f32(tensor.shape(), numbers(tensor).into_iter().map(|v| v as f32).collect()).unwrap()
}

/// The results of the CPU executor.
fn executed(graph: &Graph, inputs: &[Tensor]) -> Vec<Tensor> {
    Program::compile(graph, Path::from_environment().0).unwrap().run(inputs, &Cancel::new()).unwrap()
}

/// The results by name.
fn run(network: &Network, weights: &Weights, given: &[(&str, Tensor)], options: &[(&str, &str)]) -> BTreeMap<String, Vec<f64>> {
    let shapes: Vec<_> = given.iter().map(|(name, tensor)| (*name, tensor.shape().to_vec())).collect();
    let options = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let graph = network.graph(weights, &shapes, &options).unwrap_or_else(|e| panic!("{}: {e}", network.id));
    let find = |name: &str| given.iter().find(|(n, _)| *n == name).unwrap().1.clone();
    let inputs: Vec<_> = graph.inputs().iter().map(|port| find(&port.name)).collect();
    let results = executed(&graph, &inputs);
    graph.outputs().iter().zip(&results).map(|(port, tensor)| (port.name.clone(), numbers(tensor))).collect()
}

/// The input `patches`, which holds the bands of three images, as those images.
fn apart(given: Vec<(&str, Tensor)>) -> Vec<(&str, Tensor)> {
    let [("patches", all)] = &given[..] else { return given };
    let [n, bands, rows, columns] = all.shape() else { panic!("patches are images") };
    let plane = bands / 3 * rows * columns;
    let part = |which: usize| {
        let values = all.f32s().unwrap().chunks_exact(plane).skip(which).step_by(3).flatten().copied().collect();
        Tensor::from_f32(&[*n, bands / 3, *rows, *columns], values).unwrap()
    };
    ["fine_t1", "coarse_t1", "coarse_t2"].into_iter().zip(0..).map(|(name, which)| (name, part(which))).collect()
}

impl Case {
    fn check(&self) {
        let Some(folder) = golden("networks", self.name) else { return };
        let case = load(&folder, self.name);
        let given: Vec<_> = self.inputs.iter().map(|(theirs, ours)| (*ours, real(&case.given[*theirs]))).collect();
        let given = apart(given);
        let results = run(self.network, &case.weights, &given, self.options);
        assert_eq!(self.outputs.len(), case.expected.len(), "{}", self.name);
        for (name, expected) in self.outputs.iter().zip(&case.expected) {
            match compare(&results[*name], &numbers(expected), case.atol, case.rtol) {
                Ok(largest) => println!("{}: {name} differs by at most {largest:.1e}, tolerance {:.1e}", self.name, case.atol),
                Err(wrong) => panic!("{}: {name}: {wrong}", self.name),
            }
        }
    }
}

/// Whether cases that take minutes were asked for.
fn wide(name: &str) -> bool {
    let asked = std::env::var_os("STFUSION_WIDE_CASES").is_some();
    if !asked {
        println!("SKIP {name}: set STFUSION_WIDE_CASES to run cases that take minutes");
    }
    asked
}

/// One test a line; `wide` ones run when asked for.
macro_rules! cases {
    ($($test:ident: $network:expr, $name:literal, [$($theirs:literal => $ours:literal),*], [$($output:literal),*] $(, {$($key:literal: $value:literal),*})? $(, $wide:ident)?;)*) => {$(
        #[test]
        fn $test() {
            $(if !$wide($name) { return })?
            Case {
                network: &$network,
                name: $name,
                inputs: &[$(($theirs, $ours)),*],
                outputs: &[$($output),*],
                options: &[$($(($key, $value)),*)?],
            }
            .check();
        }
    )*};
}

cases! {
    stfdiff: zoo::stfdiff::STFDIFF, "STFDiff/official_step_b6_dim16",
        ["coarse_img_01" => "coarse_t1", "coarse_img_02" => "coarse_t2", "fine_img_01" => "fine_t1", "noisy_fine_img_02" => "noisy", "time" => "time"],
        ["estimate"];
    stfdiff_four_bands: zoo::stfdiff::STFDIFF, "STFDiff/official_step_b4_dim16",
        ["coarse_img_01" => "coarse_t1", "coarse_img_02" => "coarse_t2", "fine_img_01" => "fine_t1", "noisy_fine_img_02" => "noisy", "time" => "time"],
        ["estimate"];
    stfdiff_published: zoo::stfdiff::STFDIFF, "STFDiff/official_step_b6_default",
        ["coarse_img_01" => "coarse_t1", "coarse_img_02" => "coarse_t2", "fine_img_01" => "fine_t1", "noisy_fine_img_02" => "noisy", "time" => "time"],
        ["estimate"];
    stfdiff_libstf: zoo::stfdiff::STFDIFF, "STFDiff/libstf_step_b6_dim16",
        ["coarse_img_01" => "coarse_t1", "coarse_img_02" => "coarse_t2", "fine_img_01" => "fine_t1", "noisy_fine_img_02" => "noisy", "time" => "time"],
        ["estimate"], {"activation": "silu"};
    // the case calls the noisy image fine_img_03, and the second fine image noisy_fine_img_02
    stfdiff_of_two_pairs: zoo::stfdiff::STFDIFF, "STFDiff/bi_step_b6_dim16",
        ["coarse_img_01" => "coarse_t1", "coarse_img_02" => "coarse_t2", "coarse_img_03" => "coarse_t3", "fine_img_01" => "fine_t1",
         "noisy_fine_img_02" => "fine_t3", "fine_img_03" => "noisy", "time" => "time"],
        ["estimate"];
    diffstsf: zoo::diffstsf::DIFFSTSF, "DiffSTSF/unet_step_n64_ch32",
        ["x" => "noisy", "timesteps" => "time", "low_res" => "coarse_t2", "pan_res" => "pan_t1", "ms_res" => "fine_t1"], ["estimate"];
    diffstsf_published: zoo::diffstsf::DIFFSTSF, "DiffSTSF/unet_step_default",
        ["x" => "noisy", "timesteps" => "time", "low_res" => "coarse_t2", "pan_res" => "pan_t1", "ms_res" => "fine_t1"], ["estimate"], wide;
    srsf_gan: zoo::srsf_gan::SRSF_GAN, "SRSF-GAN/generator_b6_w16", ["landsat1" => "fine_t1", "modis1" => "coarse_t2"],
        ["fine_t2", "coarse_branch"];
    srsf_gan_four_bands: zoo::srsf_gan::SRSF_GAN, "SRSF-GAN/generator_b4_w16", ["landsat1" => "fine_t1", "modis1" => "coarse_t2"],
        ["fine_t2", "coarse_branch"];
    srsf_gan_published: zoo::srsf_gan::SRSF_GAN, "SRSF-GAN/generator_b6_default", ["landsat1" => "fine_t1", "modis1" => "coarse_t2"],
        ["fine_t2", "coarse_branch"];
    srsf_gan_discriminator: zoo::srsf_gan::DISCRIMINATOR, "SRSF-GAN/discriminator_b6_default", ["x" => "image"], ["probability"];
    stfmlp: zoo::stfmlp::STFMLP, "StfMLP/reduced_b6",
        ["c1" => "coarse_t1", "c2" => "coarse_t2", "c3" => "coarse_t3", "f1" => "fine_t1", "f3" => "fine_t3"],
        ["change_13_from_1", "change_13_from_3", "change_12", "change_23"];
    stfmlp_four_bands: zoo::stfmlp::STFMLP, "StfMLP/reduced_b4",
        ["c1" => "coarse_t1", "c2" => "coarse_t2", "c3" => "coarse_t3", "f1" => "fine_t1", "f3" => "fine_t3"],
        ["change_13_from_1", "change_13_from_3", "change_12", "change_23"];
    stfmlp_published: zoo::stfmlp::STFMLP, "StfMLP/default_b6_40",
        ["c1" => "coarse_t1", "c2" => "coarse_t2", "c3" => "coarse_t3", "f1" => "fine_t1", "f3" => "fine_t3"],
        ["change_13_from_1", "change_13_from_3", "change_12", "change_23"];
    opgan: zoo::opgan::OPGAN, "OPGAN/generator_b6_default",
        ["coarse_img_01" => "coarse_t1", "coarse_img_02" => "coarse_t2", "fine_img_01" => "fine_t1"], ["fine_t2", "change_12"];
    stfgan: zoo::stfgan::STFGAN, "STFGAN/generator_b6_default",
        ["coarse_img_01" => "coarse_t1", "coarse_img_02" => "coarse_t2", "coarse_img_03" => "coarse_t3", "fine_img_01" => "fine_t1", "fine_img_03" => "fine_t3"],
        ["fine_t2"];
    stfgan_discriminator: zoo::stfgan::DISCRIMINATOR, "STFGAN/discriminator_b6_default", ["x" => "image"], ["realness"];
    stm_stfnet: zoo::stm_stfnet::STM_STFNET, "STM-STFNet/default_b6_img128",
        ["c1" => "coarse_t1", "f1" => "fine_t1", "c3" => "coarse_t3", "f3" => "fine_t3", "c2" => "coarse_t2"],
        ["fine_t2", "forward", "backward"];
    rcan_by_two: zoo::rcan::RCAN, "RCAN-FSDAF/rcan_x2_reduced", ["x" => "image"], ["image"];
    rcan_by_four: zoo::rcan::RCAN, "RCAN-FSDAF/rcan_x4_reduced", ["x" => "image"], ["image"];
    rcan_published: zoo::rcan::RCAN, "RCAN-FSDAF/rcan_x4_default", ["x" => "image"], ["image"];
    densestf: zoo::densestf::DENSESTF, "DenseSTF/port_reduced_b6_n32", ["x" => "patches"], ["fine_t2"];
    ttsfnet: zoo::ttsfnet::TTSFNET, "TTSFNet/port_default", ["series" => "series", "window" => "window"], ["profile"];
    mgsfformer: zoo::mgsfformer::MGSFFORMER, "MGSFformer/reduced", ["history_data" => "history"], ["forecast"];
    mgsfformer_published: zoo::mgsfformer::MGSFFORMER, "MGSFformer/default_like", ["history_data" => "history"], ["forecast"];
    lunet: zoo::lunet::LUNET, "L-UNet_Papadomanolaki/change_only", ["x" => "series"], ["change"];
    lunet_of_two_tasks: zoo::lunet::LUNET, "L-UNet_Papadomanolaki/multitask", ["x" => "series"],
        ["change", "buildings_first", "buildings_last"];
    lunet_by_specification: zoo::lunet::LUNET_SUN, "L-UNet/spec", ["x" => "series"], ["change"];
    dstfnet: zoo::dstfnet::DSTFNET, "DSTFNet/dual_width8th_T8", ["spatial" => "image", "temporal" => "series"],
        ["extent", "distance", "boundary", "weights_of_steps"];
    stformer: zoo::stformer::STFORMER, "STFormer/small_units2_dim8", ["y" => "measurement", "Phi" => "masks", "Phi_s" => "mask_sum"], ["frames"];
    cfformer: zoo::cfformer::CFFORMER, "CFFormer/tiny_dual", ["x1" => "image", "x2" => "other"], ["classes"], {"heads": "1,2,2,4"};
    densestf_published: zoo::densestf::DENSESTF, "DenseSTF/port_default_b6_n64", ["x" => "patches"], ["fine_t2"];
}

/// An image of a shape, from a name.
fn image(name: &str, shape: &[usize]) -> Tensor {
    recipe(name, 5, shape, 0.25, 0.25)
}

/// A network of reference weights at another size: what it says in single and in double precision, as the largest difference beside
/// the largest value.
fn at_another_size(network: &Network, case: &str, options: &Options, images: &[(&str, &[usize])]) {
    let Some(folder) = golden("networks", case) else { return };
    let weights = load(&folder, case).weights;
    let shapes: Vec<_> = images.iter().map(|(name, shape)| (*name, shape.to_vec())).collect();
    let graph = network.graph(&weights, &shapes, options).unwrap_or_else(|e| panic!("{}: {e}", network.id));
    let given: Vec<_> = graph.inputs().iter().map(|port| image(&port.name, graph.shape(port.value))).collect();
    let single = executed(&graph, &given);
    let double = reference::run::<f64>(&graph, &given).unwrap();
    for ((port, single), double) in graph.outputs().iter().zip(&single).zip(&double) {
        let (single, double) = (numbers(single), array_numbers(double));
        let largest = double.iter().map(|v| v.abs()).fold(0.0, f64::max);
        assert!(largest > 1e-3, "{}: {} is nothing but {largest}", network.id, port.name);
        if let Err(wrong) = compare(&single, &double, 1e-4 * largest, 1e-4) {
            panic!("{}: {}: {wrong}", network.id, port.name);
        }
    }
}

/// The message when a network is asked for images of an illegal size.
fn refusal(network: &Network, case: &str, options: &Options, images: &[(&str, &[usize])]) -> Option<String> {
    let folder = golden("networks", case)?;
    let weights = load(&folder, case).weights;
    let shapes: Vec<_> = images.iter().map(|(name, shape)| (*name, shape.to_vec())).collect();
    Some(network.graph(&weights, &shapes, options).unwrap_err().to_string())
}

macro_rules! sizes {
    ($($test:ident: $network:expr, $name:literal, [$($image:literal $shape:expr),*] $(, {$($key:literal: $value:literal),*})? $(, refuses [$($bad:literal $bad_shape:expr),*]: $words:expr)?;)*) => {$(
        #[test]
        fn $test() {
            let options: Options = [$($(($key.to_string(), $value.to_string())),*)?].into();
            at_another_size(&$network, $name, &options, &[$(($image, &$shape)),*]);
            $(
                let Some(message) = refusal(&$network, $name, &options, &[$(($bad, &$bad_shape)),*]) else { return };
                for word in $words {
                    assert!(message.contains(word), "{message}");
                }
            )?
        }
    )*};
}

sizes! {
    stfdiff_at_another_size: zoo::stfdiff::STFDIFF, "STFDiff/official_step_b4_dim16",
        ["coarse_t1" [1, 4, 12, 20], "coarse_t2" [1, 4, 12, 20], "fine_t1" [1, 4, 12, 20], "noisy" [1, 4, 12, 20], "time" [1]],
        refuses ["coarse_t1" [1, 4, 10, 20], "coarse_t2" [1, 4, 10, 20], "fine_t1" [1, 4, 10, 20], "noisy" [1, 4, 10, 20], "time" [1]]:
        ["10 x 20", "multiples of 4"];
    diffstsf_at_another_size: zoo::diffstsf::DIFFSTSF, "DiffSTSF/unet_step_n64_ch32",
        ["coarse_t2" [1, 4, 32, 64], "pan_t1" [1, 1, 32, 64], "fine_t1" [1, 4, 32, 64], "noisy" [1, 4, 32, 64], "time" [1]],
        refuses ["coarse_t2" [1, 4, 48, 64], "pan_t1" [1, 1, 48, 64], "fine_t1" [1, 4, 48, 64], "noisy" [1, 4, 48, 64], "time" [1]]:
        ["48 x 64", "multiples of 32"];
    srsf_gan_at_another_size: zoo::srsf_gan::SRSF_GAN, "SRSF-GAN/generator_b4_w16",
        ["fine_t1" [1, 4, 24, 40], "coarse_t2" [1, 4, 24, 40]],
        refuses ["fine_t1" [1, 4, 24, 41], "coarse_t2" [1, 4, 24, 41]]: ["24 x 41", "multiples of 8"];
    srsf_gan_discriminator_at_another_size: zoo::srsf_gan::DISCRIMINATOR, "SRSF-GAN/discriminator_b6_default",
        ["image" [1, 6, 8, 24]],
        refuses ["image" [1, 6, 12, 24]]: ["12 x 24", "multiples of 8"];
    stfmlp_of_another_batch: zoo::stfmlp::STFMLP, "StfMLP/reduced_b4",
        ["coarse_t1" [3, 4, 16, 16], "coarse_t2" [3, 4, 16, 16], "coarse_t3" [3, 4, 16, 16], "fine_t1" [3, 4, 16, 16], "fine_t3" [3, 4, 16, 16]],
        refuses ["coarse_t1" [1, 4, 16, 20], "coarse_t2" [1, 4, 16, 20], "coarse_t3" [1, 4, 16, 20], "fine_t1" [1, 4, 16, 20], "fine_t3" [1, 4, 16, 20]]:
        ["16 x 20", "16 x 16"];
    opgan_at_another_size: zoo::opgan::OPGAN, "OPGAN/generator_b6_default",
        ["coarse_t1" [1, 6, 5, 9], "coarse_t2" [1, 6, 5, 9], "fine_t1" [1, 6, 5, 9]];
    stfgan_at_another_size: zoo::stfgan::STFGAN, "STFGAN/generator_b6_default",
        ["coarse_t1" [1, 6, 2, 3], "coarse_t2" [1, 6, 2, 3], "coarse_t3" [1, 6, 2, 3], "fine_t1" [1, 6, 8, 12], "fine_t3" [1, 6, 8, 12]],
        refuses ["coarse_t1" [1, 6, 2, 3], "coarse_t2" [1, 6, 2, 3], "coarse_t3" [1, 6, 2, 3], "fine_t1" [1, 6, 8, 13], "fine_t3" [1, 6, 8, 13]]:
        ["8 x 13", "2 x 3", "4 times"];
    stfgan_discriminator_at_another_size: zoo::stfgan::DISCRIMINATOR, "STFGAN/discriminator_b6_default", ["image" [1, 6, 17, 9]];
    rcan_at_another_size: zoo::rcan::RCAN, "RCAN-FSDAF/rcan_x4_reduced", ["image" [1, 3, 5, 11]];
    ttsfnet_of_another_window: zoo::ttsfnet::TTSFNET, "TTSFNet/port_default",
        ["series" [2, 12, 8], "window" [2, 8, 14, 18]],
        refuses ["series" [2, 11, 8], "window" [2, 8, 20, 20]]: ["11 months", "for 12"];
    mgsfformer_of_another_batch: zoo::mgsfformer::MGSFFORMER, "MGSFformer/reduced", ["history" [3, 72, 7, 1]],
        refuses ["history" [1, 70, 7, 1]]: ["70 steps", "72 steps"];
    lunet_at_another_size: zoo::lunet::LUNET, "L-UNet_Papadomanolaki/multitask", ["series" [2, 1, 5, 16, 48]],
        refuses ["series" [2, 1, 5, 24, 32]]: ["24 x 32", "multiples of 16"];
    lunet_by_specification_at_another_size: zoo::lunet::LUNET_SUN, "L-UNet/spec", ["series" [1, 4, 3, 8, 40]],
        refuses ["series" [1, 4, 3, 12, 40]]: ["12 x 40", "multiples of 8"];
    dstfnet_of_another_series: zoo::dstfnet::DSTFNET, "DSTFNet/dual_width8th_T8",
        ["image" [1, 4, 128, 256], "series" [1, 3, 4, 16, 32]],
        refuses ["image" [1, 4, 128, 192], "series" [1, 3, 4, 16, 24]]: ["128 x 192", "multiples of 128"];
    stformer_at_another_size: zoo::stformer::STFORMER, "STFormer/small_units2_dim8",
        ["measurement" [1, 1, 16, 34], "masks" [1, 3, 16, 34], "mask_sum" [1, 1, 16, 34]],
        refuses ["measurement" [1, 1, 17, 34], "masks" [1, 4, 17, 34], "mask_sum" [1, 1, 17, 34]]: ["17 x 34", "multiples of 2"];
    cfformer_at_another_size: zoo::cfformer::CFFORMER, "CFFormer/tiny_dual",
        ["image" [1, 4, 96, 32], "other" [1, 1, 96, 32]], {"heads": "1,2,2,4"},
        refuses ["image" [1, 4, 48, 32], "other" [1, 1, 48, 32]]: ["48 x 32", "multiples of 32"];
    densestf_of_another_batch: zoo::densestf::DENSESTF, "DenseSTF/port_reduced_b6_n32",
        ["fine_t1" [3, 6, 32, 32], "coarse_t1" [3, 6, 32, 32], "coarse_t2" [3, 6, 32, 32]],
        refuses ["fine_t1" [1, 6, 32, 33], "coarse_t1" [1, 6, 32, 33], "coarse_t2" [1, 6, 32, 33]]: ["32 x 33", "32 x 32"];
}

#[test]
fn stm_stfnet_refuses_other_sizes() {
    let bad: Vec<_> =
        ["coarse_t1", "fine_t1", "coarse_t3", "fine_t3", "coarse_t2"].map(|name| (name, &[1, 6, 128, 192][..])).to_vec();
    let Some(message) = refusal(&zoo::stm_stfnet::STM_STFNET, "STM-STFNet/default_b6_img128", &Options::new(), &bad) else {
        return;
    };
    assert!(message.contains("128 x 192") && message.contains("multiples of 128"), "{message}");
}

/// A change that the last layer makes nothing of leaves the fine image.
#[test]
fn stfmlp_without_its_last_layer_returns_the_fine_image() {
    let name = "StfMLP/reduced_b4";
    let Some(folder) = golden("networks", name) else { return };
    let mut weights = load(&folder, name).weights;
    for (name, tensor) in weights.iter_mut().filter(|(name, _)| name.contains("lastlayer.proj.fc2")) {
        assert!(name.starts_with('n'));
        *tensor = Arc::new(Tensor::zeros(tensor.shape(), stfusion_nn::DType::F32));
    }
    let shape = [1, 4, 16, 16];
    let fine = image("fine", &shape);
    let given: Vec<_> = ["coarse_t1", "coarse_t2", "coarse_t3"].map(|name| (name, image(name, &shape))).into_iter().collect();
    let given = [given, vec![("fine_t1", fine.clone()), ("fine_t3", fine.clone())]].concat();
    let results = run(&zoo::stfmlp::STFMLP, &weights, &given, &[]);
    compare(&results["fine_t2"], &numbers(&fine), 1e-6, 0.0).unwrap();
}

/// The noise of a case, from its draw `first` on.
struct Given {
    draws: Arc<Tensor>,
    first: usize,
}

impl Noise for Given {
    fn draw(&self, draw: usize, shape: &[usize]) -> stfusion_core::Result<Tensor> {
        let count: usize = shape.iter().product();
        let values = self.draws.f32s().unwrap()[(draw - self.first) * count..][..count].to_vec();
        Tensor::from_f32(shape, values)
    }
}

/// The estimates of a network whose images but `noisy` and `time` are given.
fn estimates<'a>(
    network: &Network,
    case: &'a Loaded,
    names: &[(&str, &'a str)],
    shape: &[usize],
) -> impl FnMut(&Tensor, usize) -> stfusion_core::Result<Tensor> + 'a {
    let given: Vec<(&str, Tensor)> = names.iter().map(|(theirs, ours)| (*ours, real(&case.given[*theirs]))).collect();
    let mut shapes: Vec<_> = given.iter().map(|(name, tensor)| (*name, tensor.shape().to_vec())).collect();
    shapes.extend([("noisy", shape.to_vec()), ("time", vec![1])]);
    let graph = network.graph(&case.weights, &shapes, &BTreeMap::new()).unwrap();
    move |x, time| {
        let input = |name: &str| match name {
            "noisy" => x.clone(),
            "time" => Tensor::from_f32(&[1], vec![time as f32]).unwrap(),
            name => given.iter().find(|(n, _)| *n == name).unwrap().1.clone(),
        };
        let inputs: Vec<_> = graph.inputs().iter().map(|port| input(&port.name)).collect();
        Ok(executed(&graph, &inputs).swap_remove(0))
    }
}

const STFDIFF: &[(&str, &str)] = &[("coarse_img_01", "coarse_t1"), ("coarse_img_02", "coarse_t2"), ("fine_img_01", "fine_t1")];

fn holds(case: &Loaded, name: &str, got: &Tensor, which: usize) {
    match compare(&numbers(got), &numbers(&case.expected[which]), case.atol, case.rtol) {
        Ok(largest) => println!("{name}: result {which} differs by at most {largest:.1e}, tolerance {:.1e}", case.atol),
        Err(wrong) => panic!("{name}: result {which}: {wrong}"),
    }
}

fn sampled(name: &str, sampler: &Sampler) {
    let Some(folder) = golden("networks", name) else { return };
    let case = load(&folder, name);
    let shape = case.expected[0].shape().to_vec();
    let noise = Given { draws: case.given["noise"].clone(), first: 0 };
    let image = sampler.image(&shape, &noise, estimates(&zoo::stfdiff::STFDIFF, &case, STFDIFF, &shape)).unwrap();
    holds(&case, name, &image, 0);
}

#[test]
fn stfdiff_sampled_by_ddim() {
    let schedule = Schedule::cosine(100).unwrap();
    let steps = schedule.spread(5).unwrap();
    let rule = Rule::Implicit { eta: 0.0, rederived: false };
    sampled("STFDiff/ddim5_predx0_eta0_b6", &Sampler::new(schedule, steps, Estimate::Clean, rule).unwrap());
}

#[test]
fn stfdiff_sampled_by_ddim_with_new_noise() {
    let schedule = Schedule::cosine(100).unwrap();
    let steps = schedule.spread(5).unwrap();
    let rule = Rule::Implicit { eta: 1.0, rederived: false };
    sampled("STFDiff/ddim5_prednoise_eta1_b4", &Sampler::new(schedule, steps, Estimate::Noise, rule).unwrap());
}

#[test]
fn stfdiff_sampled_by_ddpm() {
    let schedule = Schedule::cosine(5).unwrap();
    let steps = schedule.all();
    let rule = Rule::Ancestral(Variance::Posterior);
    sampled("STFDiff/ddpm5_predx0_cosine_b6", &Sampler::new(schedule, steps, Estimate::Clean, rule).unwrap());
}

#[test]
fn stfdiff_one_step_of_ddpm() {
    let name = "STFDiff/p_sample_t7_prednoise_linear_b6";
    let Some(folder) = golden("networks", name) else { return };
    let case = load(&folder, name);
    let schedule = Schedule::linear(20).unwrap();
    let steps = schedule.all();
    let i = steps.iter().position(|&step| step == 7).unwrap();
    let sampler = Sampler::new(schedule, steps, Estimate::Noise, Rule::Ancestral(Variance::Posterior)).unwrap();
    let x = real(&case.given["x_t"]);
    let estimate = estimates(&zoo::stfdiff::STFDIFF, &case, STFDIFF, x.shape())(&x, 7).unwrap();
    let step = sampler.step(i, &x, &estimate, &Given { draws: case.given["noise"].clone(), first: i + 1 }).unwrap();
    let order: Vec<_> = json(&folder.join(format!("{name}.json")))["outputs"].as_object().unwrap().keys().cloned().collect();
    for (which, output) in order.iter().enumerate() {
        holds(&case, name, if output == "output.x0" { &step.clean } else { &step.next }, which);
    }
}

#[test]
fn stfdiff_loss_of_a_noised_image() {
    let name = "STFDiff/p_losses_predx0_b6";
    let Some(folder) = golden("networks", name) else { return };
    let case = load(&folder, name);
    let clean = real(&case.given["fine_img_02"]);
    let noise = Given { draws: case.given["noise"].clone(), first: 0 }.draw(0, clean.shape()).unwrap();
    let time = numbers(&case.given["t"])[0] as usize;
    let x = Schedule::cosine(100).unwrap().noised(&clean, &noise, time).unwrap();
    let estimate = estimates(&zoo::stfdiff::STFDIFF, &case, STFDIFF, x.shape())(&x, time).unwrap();
    let (estimate, clean) = (numbers(&estimate), numbers(&clean));
    let loss = estimate.iter().zip(&clean).map(|(e, c)| (e - c).abs()).sum::<f64>() / clean.len() as f64;
    holds(&case, name, &Tensor::scalar(loss as f32), 0);
}

fn diffstsf_loop(name: &str, rule: Rule) {
    let Some(folder) = golden("networks", name) else { return };
    let case = load(&folder, name);
    let schedule = Schedule::cosine(1000).unwrap();
    let steps = schedule.strided(5).unwrap();
    let sampler = Sampler::new(schedule, steps.clone(), Estimate::Noise, rule).unwrap();
    let noise = Given { draws: case.given["noise"].clone(), first: 0 };
    let mut x = noise.draw(0, case.expected[0].shape()).unwrap();
    let names = [("low_res", "coarse_t2"), ("pan_res", "pan_t1"), ("ms_res", "fine_t1")];
    let shape = x.shape().to_vec();
    let mut network = estimates(&zoo::diffstsf::DIFFSTSF, &case, &names, &shape);
    for (i, step) in steps.into_iter().enumerate() {
        let estimate = network(&x, step).unwrap();
        x = sampler.step(i, &x, &estimate, &noise).unwrap().next;
        holds(&case, name, &x, i);
    }
}

#[test]
fn diffstsf_sampled_by_ddim() {
    if wide("DiffSTSF/ddim_loop_5_n64_ch32") {
        diffstsf_loop("DiffSTSF/ddim_loop_5_n64_ch32", Rule::Implicit { eta: 0.0, rederived: true });
    }
}

#[test]
fn diffstsf_sampled_with_learnt_variance() {
    if wide("DiffSTSF/p_sample_loop_ddim5_n64_ch32") {
        diffstsf_loop("DiffSTSF/p_sample_loop_ddim5_n64_ch32", Rule::Ancestral(Variance::Learnt));
    }
}

#[test]
fn cfformer_asks_for_heads_that_fit() {
    let images: [(&str, &[usize]); 2] = [("image", &[1, 4, 64, 96]), ("other", &[1, 1, 64, 96])];
    let options: Options = [("heads".to_string(), "1,2,3".to_string())].into();
    let Some(message) = refusal(&zoo::cfformer::CFFORMER, "CFFormer/tiny_dual", &options, &images) else { return };
    assert!(message.contains("heads") && message.contains("[1, 2, 3]"), "{message}");
}

/// Without the change that the decoder makes and the details of the pyramids, identical coarse images return the fine one.
#[test]
fn stm_stfnet_without_its_last_layers_returns_the_fine_image() {
    let name = "STM-STFNet/default_b6_img128";
    let Some(folder) = golden("networks", name) else { return };
    let mut weights = load(&folder, name).weights;
    let last = |name: &str| name.starts_with("fine_up.outc.4") || name.contains("conv_cat");
    for (_, tensor) in weights.iter_mut().filter(|(name, _)| last(name)) {
        *tensor = Arc::new(Tensor::zeros(tensor.shape(), stfusion_nn::DType::F32));
    }
    let shape = [1, 6, 128, 128];
    let (fine, coarse) = (image("fine", &shape), image("coarse", &shape));
    let given = ["coarse_t1", "coarse_t2", "coarse_t3"].map(|name| (name, coarse.clone()));
    let given = [given.to_vec(), vec![("fine_t1", fine.clone()), ("fine_t3", fine.clone())]].concat();
    let results = run(&zoo::stm_stfnet::STM_STFNET, &weights, &given, &[]);
    compare(&results["fine_t2"], &numbers(&fine), 1e-6, 0.0).unwrap();
}
