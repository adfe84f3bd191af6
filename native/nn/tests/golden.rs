//! The networks against the reference cases: one line per case in [`CASES`]. Each case is held to its own tolerance, and then run
//! once more at an odd, non-square size against an execution of the same graph in `f64`.

#![allow(clippy::unwrap_used, reason = "test code: a malformed reference file fails the test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use stfusion_core::exec::Cancel;
use stfusion_nn::cpu::Program;
use stfusion_nn::zoo;
use stfusion_nn::{reference, DType, Graph, Tensor, Tensors};
use stfusion_simd::Path;
use support::{compare, golden, json, numbers, recipe, shape, tensors};

/// A reference case of a network.
struct Case {
    /// Id in the zoo.
    network: &'static str,
    /// Folder and file of the case.
    case: &'static str,
    /// Names of the case's inputs and what they are in the zoo; where a name is the same it is left out. An input whose bands are
    /// those of several images is `a|b`; one that the network does not read is nothing.
    inputs: &'static [(&'static str, &'static str)],
    /// The same for outputs.
    outputs: &'static [(&'static str, &'static str)],
    /// Options of the network.
    options: &'static [(&'static str, &'static str)],
    /// Rows and columns by which inputs grow for the odd size, per input row and column: multiples that the network needs.
    odd: Odd,
}

/// What the odd size is.
#[derive(Clone, Copy)]
enum Odd {
    /// The last two axes of every input become these.
    Same(usize, usize),
    /// Each input (by the zoo's name) becomes its own.
    Each(&'static [(&'static str, usize, usize)]),
    /// The network takes no other size, and another case of it runs in `f64`.
    None,
}

const T123: &[(&str, &str)] = &[
    ("c1", "coarse_t1"),
    ("c2", "coarse_t2"),
    ("c3", "coarse_t3"),
    ("f1", "fine_t1"),
    ("f3", "fine_t3"),
    ("f1l", "low_t1"),
    ("f3l", "low_t3"),
];
const LIBSTF: &[(&str, &str)] = &[("LR_t1", "coarse_t1"), ("LR_t2", "coarse_t2"), ("HR_t1", "fine_t1")];
const STFNET: &[(&str, &str)] = &[("d12", "change_12"), ("d23", "change_23"), ("d13", "change_13")];
const IMAGE: &[(&str, &str)] = &[("x", "image")];
const JUDGEMENT: &[(&str, &str)] = &[("output", "judgement")];
const SAME_IMAGE: &[(&str, &str)] = &[("output", "image")];
const GAN_STFM: &[(&str, &str)] = &[("fine_ref", "fine_t1")];
// the re-implementation reads its first two images only
const GAN_STFM_LIBSTF: &[(&str, &str)] = &[("LR_t1", "coarse_t2"), ("HR_t1", "fine_t1"), ("LR_t2", "")];
const ECPW_STFN: &[(&str, &str)] = &[("fine_ref", "fine_t1"), ("coarse_pred", "coarse_t2")];
const MUSTFN: &[(&str, &str)] = &[("x", "fine_t1|fine_t3"), ("x2", "coarse_t1|coarse_t2|coarse_t3")];
const SDCS: &[(&str, &str)] = &[("CSBS", "estimate_t2"), ("LR_t2", "coarse_t2"), ("HR_t1", "fine_t1")];
const SWIN_STFM: &[(&str, &str)] = &[("c0", "coarse_t1"), ("f0", "fine_t1"), ("c1", "coarse_t2")];
const MAPS: &[(&str, &str)] =
    &[("0", "fine_t2"), ("1.0", "map_0"), ("1.1", "map_1"), ("1.2", "map_2"), ("1.3", "map_3"), ("1.4", "map_4")];
const ALIGNED: &[(&str, &str)] = &[("0", "fine_t2"), ("1", "aligned_0"), ("2", "aligned_1"), ("3", "aligned_2")];
const DIFFSTF: &[(&str, &str)] = &[("fine_ref", "fine_t1"), ("x_t", "noisy"), ("t", "time")];
const LAYERS: &[(&str, &str)] =
    &[("0", "features_0"), ("1", "features_1"), ("2", "features_2"), ("3", "features_3"), ("4", "judgement")];
const FINE: &[(&str, &str)] = &[("output", "fine_t2")];
const SMALL: Odd = Odd::Same(13, 22);
const ON_COARSE: Odd =
    Odd::Each(&[("coarse_t1", 2, 3), ("coarse_t2", 2, 3), ("coarse_t3", 2, 3), ("fine_t1", 19, 35), ("fine_t3", 19, 35)]);
const BY_2: Odd = Odd::Same(14, 22);
const BY_8: Odd = Odd::Same(24, 40);
const BY_16: Odd = Odd::Same(32, 48);
const COARSE_16: Odd = Odd::Each(&[("coarse_t1", 1, 2), ("coarse_t2", 1, 2), ("fine_t1", 16, 32)]);
const LOW: Odd = Odd::Each(&[
    ("coarse_t1", 3, 5),
    ("coarse_t2", 3, 5),
    ("coarse_t3", 3, 5),
    ("low_t1", 3, 5),
    ("low_t3", 3, 5),
    ("fine_t1", 21, 35),
    ("fine_t3", 21, 35),
]);

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { network: "edcstfn", case: "EDCSTFN/official_1ref_b4_default", inputs: &[], outputs: FINE, options: &[], odd: ON_COARSE },
    Case { network: "edcstfn", case: "EDCSTFN/official_1ref_b6_default", inputs: &[], outputs: FINE, options: &[], odd: ON_COARSE },
    Case { network: "edcstfn", case: "EDCSTFN/official_2ref_b6_default", inputs: &[], outputs: FINE, options: &[], odd: ON_COARSE },
    Case { network: "edcstfn", case: "EDCSTFN/libstf_1ref_b4_odd", inputs: LIBSTF, outputs: FINE, options: &[], odd: SMALL },
    Case { network: "edcstfn", case: "EDCSTFN/libstf_1ref_b6_odd", inputs: LIBSTF, outputs: FINE, options: &[], odd: SMALL },
    Case { network: "edcstfn-features", case: "EDCSTFN/pretrained_encoder_b6", inputs: &[("x", "image")], outputs: &[("output", "features")], options: &[], odd: SMALL },
    Case { network: "stfdcnn", case: "STFDCNN/net_b1_default", inputs: &[("coarse_input", "image")], outputs: &[("output", "image")], options: &[], odd: SMALL },
    Case { network: "stfdcnn", case: "STFDCNN/net_b6_default", inputs: &[("coarse_input", "image")], outputs: &[("output", "image")], options: &[], odd: SMALL },
    Case { network: "stfdcnn", case: "STFDCNN/two_stage_pipeline_b6_small", inputs: T123, outputs: &[("stage1", "low_t2"), ("final", "fine_t2")], options: &[], odd: LOW },
    Case { network: "stfnet", case: "STFNet/full_b4_default", inputs: T123, outputs: STFNET, options: &[], odd: SMALL },
    Case { network: "stfnet", case: "STFNet/full_b6_default", inputs: T123, outputs: STFNET, options: &[], odd: SMALL },
    Case { network: "dcstfn", case: "DCSTFN/default_b1", inputs: &[], outputs: FINE, options: &[], odd: COARSE_16 },
    Case { network: "ecpw-stfn", case: "ECPW-STFN/b4_default", inputs: ECPW_STFN, outputs: FINE, options: &[], odd: BY_2 },
    Case { network: "ecpw-stfn", case: "ECPW-STFN/b6_default", inputs: ECPW_STFN, outputs: FINE, options: &[], odd: BY_2 },
    Case { network: "gan-stfm", case: "GAN-STFM/generator_b4_default", inputs: GAN_STFM, outputs: FINE, options: &[], odd: SMALL },
    Case { network: "gan-stfm", case: "GAN-STFM/generator_b6_default", inputs: GAN_STFM, outputs: FINE, options: &[], odd: SMALL },
    Case { network: "gan-stfm", case: "GAN-STFM/libstf_generator_b6", inputs: GAN_STFM_LIBSTF, outputs: FINE, options: &[], odd: SMALL },
    Case { network: "gan-stfm-discriminator", case: "GAN-STFM/discriminator_b6_default", inputs: IMAGE, outputs: JUDGEMENT, options: &[], odd: Odd::Same(37, 90) },
    Case { network: "gan-stfm-features", case: "GAN-STFM/autoencoder_pretrained_b6", inputs: IMAGE, outputs: SAME_IMAGE, options: &[], odd: BY_8 },
    Case { network: "mlff-gan", case: "MLFF-GAN/generator_b4_reduced", inputs: &[], outputs: FINE, options: &[], odd: BY_16 },
    Case { network: "mlff-gan", case: "MLFF-GAN/generator_b6_reduced", inputs: &[], outputs: FINE, options: &[], odd: BY_16 },
    Case { network: "mlff-gan", case: "MLFF-GAN/generator_b6_default", inputs: &[], outputs: FINE, options: &[], odd: BY_16 },
    Case { network: "mlff-gan", case: "MLFF-GAN/generator_b6_reduced_options", inputs: &[("coarse_t1", "")], outputs: MAPS, options: &[("adain", "false"), ("two_inputs", "true"), ("maps", "true")], odd: BY_16 },
    Case { network: "mlff-gan-discriminator", case: "MLFF-GAN/discriminator_b6_ndf16", inputs: IMAGE, outputs: LAYERS, options: &[], odd: SMALL },
    // made for 64 pixels by replacing 64 by 16, and then 16 by 4, in the authors' code
    Case { network: "mustfn", case: "MUSTFN/scaled_64", inputs: MUSTFN, outputs: FINE, options: &[("blocks", "4,8,4")], odd: Odd::Same(16, 48) },
    Case { network: "mustfn", case: "MUSTFN/default_256", inputs: MUSTFN, outputs: FINE, options: &[], odd: Odd::Same(16, 32) },
    Case { network: "rsfn", case: "RSFN/generator_b4_default", inputs: &[], outputs: FINE, options: &[], odd: SMALL },
    Case { network: "rsfn", case: "RSFN/generator_b6_default", inputs: &[], outputs: FINE, options: &[], odd: SMALL },
    Case { network: "rsfn-discriminator", case: "RSFN/discriminator_b6", inputs: IMAGE, outputs: JUDGEMENT, options: &[], odd: Odd::Same(67, 130) },
    Case { network: "rsfn-features", case: "RSFN/autoencoder_pretrained_b6", inputs: IMAGE, outputs: SAME_IMAGE, options: &[], odd: BY_8 },
    Case { network: "sdcs", case: "SDCS/b4_reduced", inputs: SDCS, outputs: FINE, options: &[], odd: BY_16 },
    Case { network: "sdcs", case: "SDCS/b6_reduced", inputs: SDCS, outputs: FINE, options: &[], odd: BY_16 },
    Case { network: "sdcs", case: "SDCS/b6_default_other", inputs: SDCS, outputs: FINE, options: &[], odd: BY_16 },
    Case { network: "sdcs", case: "SDCS/b6_default_cia", inputs: SDCS, outputs: FINE, options: &[("variant", "cia")], odd: BY_16 },
    Case { network: "swinstfm", case: "SwinSTFM/tiny_b6_img64_dim8_hd8", inputs: SWIN_STFM, outputs: FINE, options: &[], odd: Odd::Same(64, 64) },
    Case { network: "swinstfm", case: "SwinSTFM/tiny_b4_img128_dim8_hd8", inputs: SWIN_STFM, outputs: FINE, options: &[], odd: Odd::Same(128, 128) },
    Case { network: "swinstfm", case: "SwinSTFM/reduced_b6_img64_dim32", inputs: SWIN_STFM, outputs: FINE, options: &[], odd: Odd::Same(64, 64) },
    Case { network: "swinstfm", case: "SwinSTFM/reduced_b4_img128_dim32", inputs: SWIN_STFM, outputs: FINE, options: &[], odd: Odd::None },
    Case { network: "swinstfm", case: "SwinSTFM/official_default_b6_img256", inputs: SWIN_STFM, outputs: FINE, options: &[], odd: Odd::None },
    Case { network: "cig-stf", case: "CIG-STF/spec", inputs: &[], outputs: &[("0", "fine_t2"), ("1", "change")], options: &[], odd: SMALL },
    Case { network: "ctstfm", case: "CTSTFM/spec", inputs: GAN_STFM, outputs: FINE, options: &[], odd: SMALL },
    Case { network: "dcdgan-stf", case: "DCDGAN-STF/spec", inputs: &[], outputs: ALIGNED, options: &[], odd: SMALL },
    Case { network: "diffstf", case: "DiffSTF/spec", inputs: DIFFSTF, outputs: &[("output", "estimate")], options: &[("groups", "8")], odd: Odd::Each(&[("fine_t1", 16, 40), ("coarse_t2", 16, 40), ("noisy", 16, 40)]) },
    Case { network: "hplts-gan", case: "HPLTS-GAN/spec", inputs: GAN_STFM, outputs: FINE, options: &[], odd: SMALL },
    Case { network: "mlknet", case: "MLKNet/spec", inputs: &[], outputs: FINE, options: &[], odd: SMALL },
    Case { network: "msfusion", case: "MSFusion/spec", inputs: &[], outputs: FINE, options: &[], odd: SMALL },
    Case { network: "ss-stfm", case: "SS-STFM/spec", inputs: GAN_STFM, outputs: FINE, options: &[], odd: SMALL },
];

/// The zoo's name of what a case calls `name`.
fn known(names: &[(&str, &str)], name: &str) -> String {
    names.iter().find(|n| n.0 == name).map_or(name, |n| n.1).to_string()
}

/// The images whose bands are those of an input, by the zoo's names, with as many bands each.
fn images_of(names: &str, input: &Arc<Tensor>) -> Vec<(String, Arc<Tensor>)> {
    match names.split('|').count() {
        1 if names.is_empty() => vec![],
        // the steps of a diffusion are integers in the cases and numbers in the zoo
        1 if input.i64s().is_some() => {
            let values = numbers(input).into_iter().map(|v| v as f32).collect();
            vec![(names.to_string(), Arc::new(Tensor::from_f32(input.shape(), values).unwrap()))]
        }
        1 => vec![(names.to_string(), input.clone())],
        count => {
            let mut shape = input.shape().to_vec();
            shape[1] /= count;
            let values = input.f32s().unwrap();
            let parts = values.chunks(values.len() / count).map(|v| Arc::new(Tensor::from_f32(&shape, v.to_vec()).unwrap()));
            names.split('|').map(str::to_string).zip(parts).collect()
        }
    }
}

/// The weights of a case, from its file or by the recipe.
fn weights(meta: &Json, file: &BTreeMap<String, Arc<Tensor>>) -> BTreeMap<String, Arc<Tensor>> {
    if meta["weight_recipe"].is_null() {
        return file.iter().filter_map(|(name, t)| Some((name.strip_prefix("weights.")?.to_string(), t.clone()))).collect();
    }
    let seed = meta["weight_recipe"]["seed"].as_u64().unwrap();
    let number = |v: &Json| v.as_f64().unwrap() as f32;
    let mut weights = BTreeMap::new();
    for t in meta["weight_recipe"]["tensors"].as_array().unwrap() {
        let name = t["name"].as_str().unwrap();
        let made =
            (t["add"].is_number()).then(|| recipe(name, seed, &shape(&t["shape"]), number(&t["add"]), number(&t["scale"])));
        let stored = file.get(&format!("weights.{name}")).cloned();
        if let (Some(made), Some(stored)) = (&made, &stored) {
            assert_eq!(made, &**stored, "{name}: the recipe gives what is stored");
        }
        // what is neither stored nor made follows from the architecture: zeros show that the network does not read it
        let dtype = if t["dtype"] == "int64" { DType::I64 } else { DType::F32 };
        let tensor = stored.or(made.map(Arc::new)).unwrap_or_else(|| Tensor::zeros(&shape(&t["shape"]), dtype).into());
        weights.insert(name.to_string(), tensor);
    }
    weights
}

fn graph(case: &Case, weights: &dyn Tensors, images: &[(String, Vec<usize>)]) -> Graph {
    let images: Vec<(&str, Vec<usize>)> = images.iter().map(|(n, s)| (n.as_str(), s.clone())).collect();
    let options = case.options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let network = zoo::network(case.network).unwrap();
    network.graph(weights, &images, &options).unwrap_or_else(|e| panic!("{}: {e}", case.case))
}

fn run(graph: &Graph, images: &BTreeMap<String, Arc<Tensor>>) -> Vec<Tensor> {
    let inputs: Vec<Tensor> = graph.inputs().iter().map(|p| (*images[&p.name]).clone()).collect();
    let program = Program::compile(graph, Path::from_environment().0).unwrap();
    program.run(&inputs, &Cancel::new()).unwrap()
}

/// The case at its own size: the largest differences of its outputs.
fn at_its_size(case: &Case, meta: &Json, file: &BTreeMap<String, Arc<Tensor>>, weights: &dyn Tensors) -> Result<f64, String> {
    let mut images = BTreeMap::new();
    for (name, about) in meta["inputs"].as_object().unwrap() {
        let stored = file.get(&format!("input.{name}")).cloned();
        let tensor = stored.unwrap_or_else(|| {
            let made = &meta["input_recipe"];
            let range = if made[name].is_object() { &made[name] } else { made };
            let number = |key: &str| range[key].as_f64().unwrap() as f32;
            let (low, high) = (number("lo"), number("hi"));
            let seed = made["seed"].as_u64().unwrap();
            Arc::new(recipe(&format!("input.{name}"), seed, &shape(&about["shape"]), (low + high) / 2.0, (high - low) / 2.0))
        });
        images.extend(images_of(&known(case.inputs, name), &tensor));
    }
    let shapes: Vec<(String, Vec<usize>)> = images.iter().map(|(n, t)| (n.clone(), t.shape().to_vec())).collect();
    let graph = graph(case, weights, &shapes);
    let results = run(&graph, &images);
    let tolerance = |key: &str| meta["tolerance"][key].as_f64().unwrap();
    let mut largest = 0.0f64;
    for (key, expected) in file.iter().filter(|(k, _)| k.starts_with("output")) {
        let name = known(case.outputs, key.strip_prefix("output.").unwrap_or(key));
        let i = graph.outputs().iter().position(|p| p.name == name).ok_or(format!("no output {name}"))?;
        if results[i].shape() != expected.shape() {
            return Err(format!("{name} is {:?}, not {:?}", results[i].shape(), expected.shape()));
        }
        let difference = compare(&numbers(&results[i]), &numbers(expected), tolerance("atol"), tolerance("rtol"));
        largest = largest.max(difference.map_err(|e| format!("{name}: {e}"))?);
    }
    Ok(largest)
}

/// Images of any values for a case, by the zoo's names, of another size.
fn images_of_size(case: &Case, meta: &Json, odd_size: Odd) -> BTreeMap<String, Arc<Tensor>> {
    let mut images = BTreeMap::new();
    for (name, about) in meta["inputs"].as_object().unwrap() {
        let name = known(case.inputs, name);
        let mut size = shape(&about["shape"]);
        let axes = size.len();
        let odd = match odd_size {
            Odd::Same(rows, columns) => Some((rows, columns)),
            Odd::Each(list) => list.iter().find(|o| o.0 == name).map(|o| (o.1, o.2)),
            Odd::None => None,
        };
        if let Some((rows, columns)) = odd {
            (size[axes - 2], size[axes - 1]) = (rows, columns);
        }
        images.extend(images_of(&name, &Arc::new(recipe(&name, 5, &size, 0.25, 0.25))));
    }
    images
}

/// The case at its odd size against `f64`.
fn at_odd_size(case: &Case, meta: &Json, weights: &dyn Tensors) -> Result<f64, String> {
    let images = images_of_size(case, meta, case.odd);
    let shapes: Vec<(String, Vec<usize>)> = images.iter().map(|(n, t)| (n.clone(), t.shape().to_vec())).collect();
    let graph = graph(case, weights, &shapes);
    let results = run(&graph, &images);
    let inputs: Vec<Tensor> = graph.inputs().iter().map(|p| (*images[&p.name]).clone()).collect();
    let wide = reference::run::<f64>(&graph, &inputs).unwrap();
    let tolerance = |key: &str| meta["tolerance"][key].as_f64().unwrap();
    let mut worst = 0.0f64;
    for (port, (got, expected)) in graph.outputs().iter().zip(results.iter().zip(&wide)) {
        let expected = support::array_numbers(expected);
        let largest = expected.iter().fold(0.0f64, |a, v| a.max(v.abs()));
        let atol = tolerance("atol").max(2e-5 * largest);
        let difference = compare(&numbers(got), &expected, atol, tolerance("rtol"));
        worst = worst.max(difference.map_err(|e| format!("{}: {e}", port.name))?);
    }
    Ok(worst)
}

#[test]
fn networks_give_their_authors_numbers() {
    let Some(folder) = golden("networks", "networks_give_their_authors_numbers") else { return };
    let mut failures = Vec::new();
    // one network alone, for whoever works on it
    let only = std::env::var("STFUSION_NETWORK").unwrap_or_default();
    for case in CASES.iter().filter(|case| case.case.contains(&only)) {
        let (meta, file) = (
            json(&folder.join(case.case).with_extension("json")),
            tensors(&folder.join(case.case).with_extension("safetensors")),
        );
        let weights = weights(&meta, &file);
        let mut outcomes = vec![("its size", at_its_size(case, &meta, &file, &weights))];
        if !matches!(case.odd, Odd::None) {
            outcomes.push(("odd size", at_odd_size(case, &meta, &weights)));
        }
        for (what, outcome) in outcomes {
            match outcome {
                Ok(largest) => println!("{:40} {what}: largest difference {largest:.2e}", case.case),
                Err(e) => failures.push(format!("{} at {what}: {e}", case.case)),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A size that a network cannot take: the case whose weights it gets, rows and columns of its inputs by the case's names, and
/// what it says.
#[rustfmt::skip]
const REFUSED: &[(&str, Odd, &str)] = &[
    ("DCSTFN/default_b1", Odd::Each(&[("coarse_t1", 2, 3), ("coarse_t2", 2, 3), ("fine_t1", 32, 40)]),
     "DCSTFN: a fine image of 32 x 40 pixels with a coarse one of 2 x 3; rows and columns must be 16 times those of the coarse image"),
    ("DiffSTF/spec", Odd::Each(&[("fine_t1", 16, 20), ("coarse_t2", 16, 20), ("noisy", 16, 20)]),
     "DiffSTF: images of 16 x 20 pixels; rows and columns must be multiples of 8"),
    ("ECPW-STFN/b4_default", Odd::Same(13, 22), "ECPW-STFN: images of 13 x 22 pixels; rows and columns must be multiples of 2"),
    ("GAN-STFM/generator_b4_default", Odd::Same(1, 9), "GAN-STFM: images of 1 x 9 pixels; 2 rows and columns are the least"),
    ("GAN-STFM/discriminator_b6_default", Odd::Same(257, 64),
     "discriminator of GAN-STFM: an image of 257 x 64 pixels has 2, 1 and 1 judgements at the three scales; they must be as many"),
    ("GAN-STFM/autoencoder_pretrained_b6", Odd::Same(24, 20),
     "autoencoder of GAN-STFM: images of 24 x 20 pixels; rows and columns must be multiples of 8"),
    ("MLFF-GAN/generator_b4_reduced", Odd::Same(40, 48), "MLFF-GAN: images of 40 x 48 pixels; rows and columns must be multiples of 16"),
    ("MLFF-GAN/generator_b4_reduced", Odd::Same(16, 48), "MLFF-GAN: images of 16 x 48 pixels; 32 rows and columns are the least"),
    ("MUSTFN/scaled_64", Odd::Same(24, 32), "MUSTFN: images of 24 x 32 pixels; rows and columns must be multiples of 16"),
    ("RSFN/discriminator_b6", Odd::Same(40, 70), "discriminator of RSFN: images of 40 x 70 pixels; 64 rows and columns are the least"),
    ("RSFN/autoencoder_pretrained_b6", Odd::Same(20, 24),
     "autoencoder of RSFN: images of 20 x 24 pixels; rows and columns must be multiples of 8"),
    ("SDCS/b4_reduced", Odd::Same(48, 40), "SDCS: images of 48 x 40 pixels; rows and columns must be multiples of 16"),
    ("SwinSTFM/tiny_b6_img64_dim8_hd8", Odd::Same(64, 128),
     "SwinSTFM: images of 64 x 128 pixels; these weights take images of 64 x 64 pixels only"),
];

#[test]
fn sizes_that_a_network_cannot_take_are_told() {
    let Some(folder) = golden("networks", "sizes_that_a_network_cannot_take_are_told") else { return };
    for &(name, odd, message) in REFUSED {
        let case = CASES.iter().find(|case| case.case == name).unwrap();
        let meta = json(&folder.join(name).with_extension("json"));
        let weights = weights(&meta, &tensors(&folder.join(name).with_extension("safetensors")));
        let images = images_of_size(case, &meta, odd);
        let images: Vec<(&str, Vec<usize>)> = images.iter().map(|(n, t)| (n.as_str(), t.shape().to_vec())).collect();
        let options = case.options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let e = zoo::network(case.network).unwrap().graph(&weights, &images, &options).unwrap_err();
        assert_eq!(e.message(), message);
    }
}

#[test]
fn options_that_make_no_sense_are_told() {
    let Some(folder) = golden("networks", "options_that_make_no_sense_are_told") else { return };
    for (name, option, value, message) in [
        ("CTSTFM/spec", "heads", "3", "CTSTFM: 3 heads do not share out 16 channels"),
        ("CTSTFM/spec", "groups", "none", "CTSTFM: option groups is none; it must be a positive number"),
        ("MLFF-GAN/generator_b4_reduced", "adain", "no", "MLFF-GAN: option adain is no; it must be true or false"),
        ("MUSTFN/scaled_64", "blocks", "4,8", "MUSTFN: option blocks is 4,8; it must be three numbers like 64,32,16"),
        ("SDCS/b4_reduced", "variant", "lgc", "SDCS: option variant is lgc; the only variant is cia"),
    ] {
        let case = CASES.iter().find(|case| case.case == name).unwrap();
        let meta = json(&folder.join(name).with_extension("json"));
        let weights = weights(&meta, &tensors(&folder.join(name).with_extension("safetensors")));
        let images = images_of_size(case, &meta, Odd::None);
        let images: Vec<(&str, Vec<usize>)> = images.iter().map(|(n, t)| (n.as_str(), t.shape().to_vec())).collect();
        let options = BTreeMap::from([(option.to_string(), value.to_string())]);
        let e = zoo::network(case.network).unwrap().graph(&weights, &images, &options).unwrap_err();
        assert_eq!(e.message(), message);
    }
}

/// Networks that add what they make to an image: the case, their last layers, the image that is left when these are zero, and inputs
/// that are to be the same as others for that, as where nothing changed.
type Residual = (&'static str, &'static [&'static str], &'static str, &'static [(&'static str, &'static str)]);

#[rustfmt::skip]
const RESIDUAL: &[Residual] = &[
    ("CIG-STF/spec", &["out"], "fine_t1", &[]),
    ("STFDCNN/net_b6_default", &["reconstruction_layer.0"], "image", &[]),
    ("STFDCNN/two_stage_pipeline_b6_small", &["model_stage_1.reconstruction_layer.0", "model_stage_2.reconstruction_layer.0"], "fine_t1",
     &[("coarse_t2", "coarse_t1"), ("coarse_t3", "coarse_t1"), ("low_t3", "low_t1"), ("fine_t3", "fine_t1")]),
    ("STFNet/full_b6_default", &["net.DCNN_mapping_1.reconstruction_layer.0", "net.DCNN_mapping_2.reconstruction_layer.0"], "fine_t1",
     &[("fine_t3", "fine_t1")]),
];

#[test]
fn a_residual_network_without_its_last_layer_returns_the_image() {
    let Some(folder) = golden("networks", "a_residual_network_without_its_last_layer_returns_the_image") else { return };
    for &(name, layers, image, same) in RESIDUAL {
        let case = CASES.iter().find(|case| case.case == name).unwrap();
        let meta = json(&folder.join(name).with_extension("json"));
        let mut weights = weights(&meta, &tensors(&folder.join(name).with_extension("safetensors")));
        for tensor in layers.iter().flat_map(|layer| ["weight", "bias"].map(|tensor| format!("{layer}.{tensor}"))) {
            let tensor = weights.get_mut(&tensor).unwrap();
            *tensor = Arc::new(Tensor::zeros(tensor.shape(), DType::F32));
        }
        let mut images = images_of_size(case, &meta, case.odd);
        for (changed, kept) in same {
            let kept = images[*kept].clone();
            images.insert((*changed).into(), kept);
        }
        let shapes = images.iter().map(|(n, t)| (n.clone(), t.shape().to_vec())).collect::<Vec<_>>();
        let graph = graph(case, &weights, &shapes);
        let output = graph.outputs().iter().position(|port| ["fine_t2", "image"].contains(&port.name.as_str())).unwrap();
        let results = run(&graph, &images);
        compare(&numbers(&results[output]), &numbers(&images[image]), 1e-6, 0.0).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn swinstfm_makes_the_buffers_that_its_weights_hold() {
    let Some(folder) = golden("networks", "swinstfm_makes_the_buffers_that_its_weights_hold") else { return };
    let case = CASES.iter().find(|case| case.case == "SwinSTFM/tiny_b6_img64_dim8_hd8").unwrap();
    let meta = json(&folder.join(case.case).with_extension("json"));
    let stored = tensors(&folder.join(case.case).with_extension("safetensors"));
    let shapes = images_of_size(case, &meta, Odd::None).into_iter().map(|(n, t)| (n, t.shape().to_vec()));
    let graph = graph(case, &weights(&meta, &stored), &shapes.collect::<Vec<_>>());
    let buffers = |kind: &str| -> Vec<Vec<f64>> {
        stored.iter().filter(|(name, _)| name.ends_with(kind)).map(|(_, t)| numbers(t)).collect()
    };
    assert!(!buffers("attn_mask").is_empty() && !buffers("relative_position_index").is_empty());
    let made: Vec<Vec<f64>> = graph.constants().iter().map(|t| numbers(t)).collect();
    for buffer in buffers("attn_mask").iter().chain(&buffers("relative_position_index")) {
        assert!(made.contains(buffer), "a buffer of {} elements", buffer.len());
    }
}

#[test]
fn weights_that_do_not_fit_are_all_named() {
    let mut weights: BTreeMap<String, Arc<Tensor>> = BTreeMap::new();
    for (layer, outputs, inputs, kernel) in
        [("feature_extraction_layer", 8, 2, 9), ("nonlinear_mapping_layer", 4, 8, 5), ("reconstruction_layer", 2, 4, 5)]
    {
        weights.insert(format!("{layer}.0.weight"), Arc::new(recipe(layer, 1, &[outputs, inputs, kernel, kernel], 0.0, 0.1)));
        weights.insert(format!("{layer}.0.bias"), Arc::new(recipe(layer, 2, &[outputs], 0.0, 0.1)));
    }
    let network = zoo::network("stfdcnn").unwrap();
    let images = [("image", vec![1, 2, 12, 12])];
    network.graph(&weights, &images, &BTreeMap::new()).unwrap();

    weights.remove("reconstruction_layer.0.bias");
    weights.remove("nonlinear_mapping_layer.0.bias");
    weights.insert("feature_extraction_layer.0.weight".into(), Arc::new(recipe("x", 1, &[8, 3, 9, 9], 0.0, 0.1)));
    weights.insert("head.weight".into(), Arc::new(recipe("x", 1, &[3], 0.0, 0.1)));
    weights.insert("bn.num_batches_tracked".into(), Arc::new(Tensor::from_i64(&[], vec![3]).unwrap()));
    let e = network.graph(&weights, &images, &BTreeMap::new()).unwrap_err();
    assert_eq!(
        e.message(),
        "The weights do not fit STFDCNN\n  missing (2): nonlinear_mapping_layer.0.bias [4]; reconstruction_layer.0.bias [2]\
         \n  of the wrong shape (1): feature_extraction_layer.0.weight is [8, 3, 9, 9], not [8, 2, 9, 9]\
         \n  superfluous (1): head.weight"
    );
    weights.clear();
    let e = network.graph(&weights, &images, &BTreeMap::new()).unwrap_err();
    assert!(e.message().contains("missing (6): feature_extraction_layer.0.bias; feature_extraction_layer.0.weight;"), "{e}");
}
