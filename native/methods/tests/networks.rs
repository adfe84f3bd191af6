//! Networks as methods against the reference cases of their authors' code: the images of a case as a scene of one patch.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its problem has failed")]

#[path = "../../nn/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ndarray::{s, Array3};
use stfusion_core::method::Method;
use stfusion_core::param::Values;
use stfusion_core::{Cancel, Region};
use stfusion_methods::cases::{self, Problem};
use stfusion_nn::weights::metadata::{Blend, Choice, CoarseGrid, Metadata, PerBand, Scaling, Tile, ValueRange};
use stfusion_nn::weights::{safetensors, Weight, Weights};
use stfusion_nn::{cpu::Program, zoo, Tensor};
use support::{golden, json, recipe, shape, tensors};

/// (method, case, what its inputs are, options of the network).
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static [(&'static str, &'static str)]);

const LIBSTF: &[(&str, &str)] = &[("LR_t1", "coarse_t1"), ("LR_t2", "coarse_t2"), ("HR_t1", "fine_t1")];
const SAME: &[(&str, &str)] = &[
    ("coarse_t1", "coarse_t1"),
    ("coarse_t2", "coarse_t2"),
    ("coarse_t3", "coarse_t3"),
    ("fine_t1", "fine_t1"),
    ("fine_t3", "fine_t3"),
];
const PROWDIY: &[(&str, &str)] = &[
    ("coarse_img_01", "coarse_t1"),
    ("coarse_img_02", "coarse_t2"),
    ("coarse_img_03", "coarse_t3"),
    ("fine_img_01", "fine_t1"),
    ("fine_img_03", "fine_t3"),
];

const SDCS: &[(&str, &str)] = &[("CSBS", "estimate_t2"), ("LR_t2", "coarse_t2"), ("HR_t1", "fine_t1")];

const CASES: &[Case] = &[
    ("edcstfn", "EDCSTFN/official_1ref_b6_default", SAME, &[]),
    ("edcstfn", "EDCSTFN/official_2ref_b6_default", SAME, &[]),
    ("edcstfn", "EDCSTFN/libstf_1ref_b4_odd", LIBSTF, &[]),
    ("gan_stfm", "GAN-STFM/generator_b6_default", &[("coarse_t2", "coarse_t2"), ("fine_ref", "fine_t1")], &[]),
    ("swinstfm", "SwinSTFM/reduced_b6_img64_dim32", &[("c0", "coarse_t1"), ("f0", "fine_t1"), ("c1", "coarse_t2")], &[]),
    ("mlff_gan", "MLFF-GAN/generator_b6_reduced", SAME, &[]),
    ("ecpw_stfn", "ECPW-STFN/b6_default", &[("fine_ref", "fine_t1"), ("coarse_pred", "coarse_t2")], &[]),
    ("rsfn", "RSFN/generator_b6_default", SAME, &[]),
    ("dcstfn", "DCSTFN/default_b1", SAME, &[]),
    ("srsf_gan", "SRSF-GAN/generator_b6_w16", &[("landsat1", "fine_t1"), ("modis1", "coarse_t2")], &[]),
    ("opgan", "OPGAN/generator_b6_default", PROWDIY, &[]),
    ("stfgan", "STFGAN/generator_b6_default", PROWDIY, &[]),
    ("sdcs", "SDCS/b4_reduced", SDCS, &[]),
    ("sdcs", "SDCS/b6_default_cia", SDCS, &[("variant", "cia")]),
];

/// A plane-by-plane copy of an image `(1, band, row, col)`, every pixel repeated so that it has `rows` x `cols`.
fn enlarged(image: &Tensor, rows: usize, cols: usize) -> Array3<f32> {
    let [_, bands, high, wide] = *image.shape() else { panic!("an image has four axes") };
    let values = image.f32s().unwrap();
    Array3::from_shape_fn((bands, rows, cols), |(b, r, c)| values[(b * high + r * high / rows) * wide + c * wide / cols])
}

/// The weights of a case: stored, or made by its recipe.
fn weights_of(case: &str, about: &serde_json::Value, file: &BTreeMap<String, Arc<Tensor>>) -> Weights {
    let mut weights = Weights::new(case);
    for (name, tensor) in file.iter().filter_map(|(name, t)| Some((name.strip_prefix("weights.")?, t))) {
        weights.insert(name, Weight::new(tensor.as_ref().clone()));
    }
    for tensor in about["weight_recipe"]["tensors"].as_array().unwrap() {
        let name = tensor["name"].as_str().unwrap();
        let number = |key: &str| tensor[key].as_f64().map(|v| v as f32);
        if let (None, Some((add, scale))) = (weights.get(name), number("add").zip(number("scale"))) {
            let seed = about["weight_recipe"]["seed"].as_u64().unwrap();
            weights.insert(name, Weight::new(recipe(name, seed, &shape(&tensor["shape"]), add, scale)));
        }
        // what follows from the architecture is not read, only its shape
        if weights.get(name).is_none() {
            let dtype = if tensor["dtype"] == "int64" { stfusion_nn::DType::I64 } else { stfusion_nn::DType::F32 };
            weights.insert(name, Weight::new(Tensor::zeros(&shape(&tensor["shape"]), dtype)));
        }
    }
    weights
}

/// The description and the tensors of a case.
fn case_of(folder: &Path, case: &str) -> (serde_json::Value, BTreeMap<String, Arc<Tensor>>) {
    let path = folder.join(case);
    (json(&path.with_extension("json")), tensors(&path.with_extension("safetensors")))
}

/// Images as they are, patches of `side` pixels that share nothing.
fn plain(network: &str, side: usize) -> Metadata {
    let range = || Some(ValueRange { scale: PerBand::All(1.0), offset: PerBand::All(0.0), clip: None });
    Metadata {
        network: network.into(),
        scaling: Scaling { fine: range(), coarse: range(), centred: None },
        coarse: Some(CoarseGrid::Fine { resampling: stfusion_core::source::Resampling::Bilinear }),
        tile: Tile { size: Some(side), fixed: Some(false), multiple: Some(1), overlap: Some(0), blend: Some(Blend::Linear) },
        ..Metadata::default()
    }
}

/// Values with these weights.
fn values_with(method: &dyn Method, weights: &Weights) -> Values {
    let mut values = Values::default();
    values.set_text(method.info().parameters, "weights", weights.origin()).unwrap();
    values.attach("weights", safetensors::to_bytes(weights).unwrap());
    values
}

fn check(&(method, case, names, options): &Case, folder: &Path) {
    let (about, file) = case_of(folder, case);
    let mut weights = weights_of(case, &about, &file);
    let images: BTreeMap<&str, &Arc<Tensor>> =
        names.iter().filter_map(|(theirs, ours)| Some((*ours, file.get(&format!("input.{theirs}"))?))).collect();
    let fine = images["fine_t1"].shape().to_vec();
    let (rows, cols) = (fine[2], fine[3]);
    let problem = problem(&images);

    let factor = fine[2] / images["coarse_t2"].shape()[2];
    let mut metadata = plain(method, rows.max(cols).next_multiple_of(factor));
    metadata.options = options.iter().map(|(name, word)| ((*name).to_owned(), Choice::Word((*word).to_owned()))).collect();
    if factor > 1 {
        metadata.coarse = Some(CoarseGrid::Coarse { factor });
    }
    weights.set_metadata(metadata);
    let found = stfusion_methods::by_id(method).unwrap();
    let got = cases::predict(found, &values_with(found, &weights), &problem, (rows, cols), false)
        .unwrap_or_else(|e| panic!("{case}: {e}"))
        .image;

    let expected = file.get("output").or(file.get("output.0")).unwrap();
    let tolerance = |key: &str| about["tolerance"][key].as_f64().unwrap();
    let got: Vec<f64> = got.iter().map(|v| f64::from(*v)).collect();
    let largest = support::compare(&got, &support::numbers(expected), tolerance("atol"), tolerance("rtol"));
    println!("{method}: {case} within {:.1e} of the authors' code", largest.unwrap_or_else(|e| panic!("{case}: {e}")));
}

/// The images of a case as a scene.
fn problem(images: &BTreeMap<&str, &Arc<Tensor>>) -> Problem {
    let fine = images["fine_t1"].shape().to_vec();
    let (bands, rows, cols) = (fine[1], fine[2], fine[3]);
    let image = |name: &str| images.get(name).map_or(Array3::zeros((bands, rows, cols)), |t| enlarged(t, rows, cols));
    let days: &[i16] = if images.contains_key("fine_t3") { &[-16, 16] } else { &[-16] };
    let mut problem = Problem::fields(bands, rows, cols, 4, days, 1);
    for (pair, when) in problem.pairs.iter_mut().zip(["t1", "t3"]) {
        (pair.fine, pair.coarse) = (image(&format!("fine_{when}")), image(&format!("coarse_{when}")));
    }
    problem.target = image("coarse_t2");
    if images.contains_key("estimate_t2") {
        // the coarse image of the pair with which the first estimate is the case's
        problem.pairs[0].coarse = &problem.pairs[0].fine + &problem.target - image("estimate_t2");
    }
    problem
}

#[test]
fn an_exported_graph_is_a_method_that_knows_its_inputs_by_their_names() {
    let Some(folder) = golden("onnx", "an_exported_graph_is_a_method_that_knows_its_inputs_by_their_names") else { return };
    let method = stfusion_methods::by_id("onnx").unwrap();
    for case in ["EDCSTFN__official_1ref_b6_default", "EDCSTFN__official_2ref_b6_default", "MLFF-GAN__generator_b6_reduced"] {
        let file = tensors(&folder.join(format!("{case}.safetensors")));
        let images: BTreeMap<&str, &Arc<Tensor>> =
            file.iter().filter_map(|(name, t)| Some((name.strip_prefix("input.")?, t))).collect();
        let problem = problem(&images);
        let mut values = Values::default();
        values.set_text(method.info().parameters, "weights", case).unwrap();
        values.attach("weights", std::fs::read(folder.join(format!("{case}.onnx"))).unwrap());
        let (_, rows, cols) = problem.dim();
        let got = cases::predict(method, &values, &problem, (rows, cols), false).unwrap_or_else(|e| panic!("{case}: {e}")).image;
        let expected = support::numbers(file.iter().find(|(name, _)| name.starts_with("output")).unwrap().1);
        let largest = expected.iter().fold(0.0f64, |a, b| a.max(b.abs()));
        let got: Vec<f64> = got.iter().map(|v| f64::from(*v)).collect();
        support::compare(&got, &expected, 2e-5 * largest, 1e-4).unwrap_or_else(|e| panic!("{case}: {e}"));
    }
}

#[test]
fn networks_as_methods_give_their_authors_images() {
    let Some(folder) = golden("networks", "networks_as_methods_give_their_authors_images") else { return };
    CASES.iter().for_each(|case| check(case, &folder));
}

#[test]
fn a_network_from_patches_to_pixels_gives_its_authors_pixel() {
    let Some(folder) = golden("networks", "a_network_from_patches_to_pixels_gives_its_authors_pixel") else { return };
    let (about, file) = case_of(&folder, "DenseSTF/port_reduced_b6_n32");
    let mut weights = weights_of("DenseSTF", &about, &file);
    weights.set_metadata(plain("densestf", 32));
    let method = stfusion_methods::by_id("densestf").unwrap();
    let patches = file["input.x"].f32s().unwrap();
    let expected = support::numbers(&file["output"]);
    for k in 0..2 {
        // a patch above what is opposite to it: images whose means are zero
        let image = |first: usize| {
            Array3::from_shape_fn((6, 64, 32), |(band, row, col)| {
                let value = patches[((k * 18 + first + band) * 32 + row % 32) * 32 + col];
                if row < 32 {
                    value
                } else {
                    -value
                }
            })
        };
        let mut problem = Problem::fields(6, 64, 32, 4, &[-16], 1);
        (problem.pairs[0].fine, problem.pairs[0].coarse, problem.target) = (image(0), image(6), image(12));
        let (values, scene, pixel) = (values_with(method, &weights), problem.scene().unwrap(), Region::new(16, 16, 1, 1));
        let got = cases::predict_regions(method, &values, &scene, [pixel], false).unwrap().image;
        let got: Vec<f64> = got.slice(s![.., 16, 16]).iter().map(|v| f64::from(*v)).collect();
        support::compare(&got, &expected[k * 6..(k + 1) * 6], 1e-5, 1e-4).unwrap();
    }
}

#[test]
fn mustfn_as_a_method_is_the_network_on_both_pairs() {
    let Some(folder) = golden("networks", "mustfn_as_a_method_is_the_network_on_both_pairs") else { return };
    let (about, file) = case_of(&folder, "MUSTFN/scaled_64");
    let mut weights = weights_of("MUSTFN", &about, &file);
    // the published weights are for seven coarse bands; these are for as many as the fine images have
    let name = "feature_net.deep_conv1_3.conv.weight";
    let (shape, values) =
        (weights.get(name).unwrap().tensor.shape().to_vec(), support::numbers(&weights.get(name).unwrap().tensor));
    let kept = values.chunks_exact(shape[1] * 9).flat_map(|kernel| &kernel[..18 * 9]).map(|v| *v as f32).collect();
    weights.insert(name, Weight::new(Tensor::from_f32(&[shape[0], 18, 3, 3], kept).unwrap()));
    weights.set_metadata(plain("mustfn", 64));
    let method = stfusion_methods::by_id("mustfn").unwrap();
    let problem = Problem::fields(6, 64, 64, 8, &[-16, 16], 3);
    let got = cases::predict(method, &values_with(method, &weights), &problem, (64, 64), false).unwrap().image;

    let [before, after] = &problem.pairs[..] else { panic!("two pairs") };
    let images = BTreeMap::from([
        ("fine_t1", &before.fine),
        ("fine_t3", &after.fine),
        ("coarse_t1", &before.coarse),
        ("coarse_t2", &problem.target),
        ("coarse_t3", &after.coarse),
    ]);
    let shapes: Vec<_> = images.keys().map(|name| (*name, vec![1, 6, 64, 64])).collect();
    let graph = zoo::network("mustfn").unwrap().graph(&weights, &shapes, &BTreeMap::new()).unwrap();
    let inputs: Vec<Tensor> = graph
        .inputs()
        .iter()
        .map(|port| Tensor::from_f32(&[1, 6, 64, 64], images[port.name.as_str()].iter().copied().collect()).unwrap())
        .collect();
    let results =
        Program::compile(&graph, stfusion_simd::Path::from_environment().0).unwrap().run(&inputs, &Cancel::new()).unwrap();
    let got: Vec<f64> = got.iter().map(|v| f64::from(*v)).collect();
    support::compare(&got, &support::numbers(&results[0]), 1e-6, 0.0).unwrap();
    assert!(got.iter().any(|v| (v - got[0]).abs() > 1e-3), "an image");
}
