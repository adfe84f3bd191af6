//! Networks as methods against the reference cases of their authors' code: the images of a case as a scene of one patch.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its problem has failed")]

#[path = "../../nn/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::Array3;
use stfusion_core::param::Values;
use stfusion_methods::cases::{self, Problem};
use stfusion_nn::weights::metadata::{Blend, CoarseGrid, Metadata, PerBand, Scaling, Tile, ValueRange};
use stfusion_nn::weights::{safetensors, Weight, Weights};
use stfusion_nn::Tensor;
use support::{golden, json, recipe, shape, tensors};

/// (method, case, what its inputs are).
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

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

const CASES: &[Case] = &[
    ("edcstfn", "EDCSTFN/official_1ref_b6_default", SAME),
    ("edcstfn", "EDCSTFN/official_2ref_b6_default", SAME),
    ("edcstfn", "EDCSTFN/libstf_1ref_b4_odd", LIBSTF),
    ("gan_stfm", "GAN-STFM/generator_b6_default", &[("coarse_t2", "coarse_t2"), ("fine_ref", "fine_t1")]),
    ("swinstfm", "SwinSTFM/reduced_b6_img64_dim32", &[("c0", "coarse_t1"), ("f0", "fine_t1"), ("c1", "coarse_t2")]),
    ("mlff_gan", "MLFF-GAN/generator_b6_reduced", SAME),
    ("ecpw_stfn", "ECPW-STFN/b6_default", &[("fine_ref", "fine_t1"), ("coarse_pred", "coarse_t2")]),
    ("rsfn", "RSFN/generator_b6_default", SAME),
    ("dcstfn", "DCSTFN/default_b1", SAME),
    ("srsf_gan", "SRSF-GAN/generator_b6_w16", &[("landsat1", "fine_t1"), ("modis1", "coarse_t2")]),
    ("opgan", "OPGAN/generator_b6_default", PROWDIY),
    ("stfgan", "STFGAN/generator_b6_default", PROWDIY),
];

/// A plane-by-plane copy of an image `(1, band, row, col)`, every pixel repeated so that it has `rows` x `cols`.
fn enlarged(image: &Tensor, rows: usize, cols: usize) -> Array3<f32> {
    let [_, bands, high, wide] = *image.shape() else { panic!("an image has four axes") };
    let values = image.f32s().unwrap();
    Array3::from_shape_fn((bands, rows, cols), |(b, r, c)| values[(b * high + r * high / rows) * wide + c * wide / cols])
}

fn check(&(method, case, names): &Case, folder: &std::path::Path) {
    let path = folder.join(case);
    let about = json(&path.with_extension("json"));
    let file = tensors(&path.with_extension("safetensors"));
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
    let images: BTreeMap<&str, &Arc<Tensor>> =
        names.iter().filter_map(|(theirs, ours)| Some((*ours, file.get(&format!("input.{theirs}"))?))).collect();
    let fine = images["fine_t1"].shape().to_vec();
    let (rows, cols) = (fine[2], fine[3]);
    let problem = problem(&images);

    let factor = fine[2] / images["coarse_t2"].shape()[2];
    let plain = || Some(ValueRange { scale: PerBand::All(1.0), offset: PerBand::All(0.0), clip: None });
    let side = rows.max(cols).next_multiple_of(factor);
    weights.set_metadata(Metadata {
        network: method.into(),
        scaling: Scaling { fine: plain(), coarse: plain() },
        coarse: (factor > 1)
            .then_some(CoarseGrid::Coarse { factor })
            .or(Some(CoarseGrid::Fine { resampling: stfusion_core::source::Resampling::Bilinear })),
        tile: Tile { size: Some(side), fixed: Some(false), multiple: Some(1), overlap: Some(0), blend: Some(Blend::Linear) },
        ..Metadata::default()
    });
    let mut values = Values::default();
    let found = stfusion_methods::by_id(method).unwrap();
    values.set_text(found.info().parameters, "weights", case).unwrap();
    values.attach("weights", safetensors::to_bytes(&weights).unwrap());
    let got = cases::predict(found, &values, &problem, (rows, cols), false).unwrap_or_else(|e| panic!("{case}: {e}")).image;

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
