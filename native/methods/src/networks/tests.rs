use std::collections::BTreeMap;

use ndarray::Array3;
use stfusion_core::method::{Method, PairTile, TileIn};
use stfusion_core::param::Values;
use stfusion_core::{Cancel, ErrorKind, Region};
use stfusion_nn::cpu::Program;
use stfusion_nn::sampler::{Estimate, Rule, Sampler, Schedule, SeededNoise, Variance};
use stfusion_nn::weights::metadata::{Choice, CoarseGrid, PerBand, Tile, ValueRange};
use stfusion_nn::{Tensor, Weights};

use super::*;
use crate::cases::{self, Problem};

fn method(id: &str) -> &'static FusionNetwork {
    ALL.iter().find(|n| n.info.id == id).unwrap()
}

/// Values with these weights.
fn values(id: &str, contents: Vec<u8>, settings: &[(&str, &str)]) -> Values {
    let mut all = cases::values_of(method(id), settings).unwrap();
    all.set_text(Parameters::SPECS, "weights", "test.safetensors").unwrap();
    all.attach("weights", contents);
    all
}

fn described(id: &str, description: Metadata) -> Vec<u8> {
    super::cases::weights_with(id, 2, description).unwrap()
}

fn predicted(id: &str, values: &Values, problem: &Problem) -> Array3<f32> {
    let (_, rows, cols) = problem.dim();
    cases::predict(method(id), values, problem, (rows, cols), true).unwrap().image
}

fn refused(id: &str, values: &Values, problem: &Problem) -> Error {
    let scene = problem.scene().unwrap();
    method(id).plan(&Request { values, scene: scene.info() }).err().unwrap()
}

fn tile(size: usize, overlap: usize, blend: Blend) -> Tile {
    Tile { size: Some(size), overlap: Some(overlap), blend: Some(blend), ..Tile::default() }
}

/// What the network says about images of these names, without this module.
fn run_on(id: &str, contents: &[u8], images: &[(&str, Array3<f32>)]) -> Vec<f32> {
    let weights = Weights::from_bytes(contents, "test").unwrap();
    let shape = |image: &Array3<f32>| vec![1, image.dim().0, image.dim().1, image.dim().2];
    let shapes: Vec<_> = images.iter().map(|(name, image)| (*name, shape(image))).collect();
    let graph = stfusion_nn::zoo::network(id).unwrap().graph(&weights, &shapes, &BTreeMap::new()).unwrap();
    let tensor = |image: &Array3<f32>| Tensor::from_f32(&shape(image), image.iter().copied().collect()).unwrap();
    let input = |name: &str| tensor(&images.iter().find(|(own, _)| *own == name).unwrap().1);
    let inputs: Vec<_> = graph.inputs().iter().map(|port| input(&port.name)).collect();
    let result = graph.outputs().iter().position(|port| port.name == "fine_t2").unwrap();
    let program = Program::compile(&graph, Path::Baseline).unwrap();
    program.run(&inputs, &Cancel::new()).unwrap()[result].f32s().unwrap().to_vec()
}

/// What a network for one pair says about a whole problem, without this module.
fn by_hand(id: &str, contents: &[u8], problem: &Problem, scaled: impl Fn(f32) -> f32) -> Vec<f32> {
    let pair = &problem.pairs[0];
    let images = [("coarse_t1", &pair.coarse), ("fine_t1", &pair.fine), ("coarse_t2", &problem.target)];
    run_on(id, contents, &images.map(|(name, image)| (name, image.mapv(&scaled))))
}

/// Means over blocks of `side` x `side` pixels.
fn blocks(image: &Array3<f32>, side: usize) -> Array3<f32> {
    let (bands, rows, cols) = image.dim();
    Array3::from_shape_fn((bands, rows / side, cols / side), |(band, row, col)| {
        let (from, to) = ((row * side, col * side), ((row + 1) * side, (col + 1) * side));
        image.slice(ndarray::s![band, from.0..to.0, from.1..to.1]).mean().unwrap()
    })
}

fn near(got: &Array3<f32>, expected: &[f32], tolerance: f32) {
    for (at, (a, b)) in got.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "{a} instead of {b} at {at}");
    }
}

#[test]
fn a_scene_of_one_patch_is_what_the_network_says() {
    let problem = Problem::fields(2, 16, 16, 4, &[-16], 5);
    let contents = super::cases::weights("edcstfn").unwrap();
    let got = predicted("edcstfn", &values("edcstfn", contents.clone(), &[]), &problem);
    near(&got, &by_hand("edcstfn", &contents, &problem, |v| v), 1e-5);
}

#[test]
fn values_are_scaled_for_the_network_and_back() {
    let problem = Problem::fields(2, 16, 16, 4, &[-16], 5);
    let range = ValueRange { scale: PerBand::All(2.0), offset: PerBand::Each(vec![-1.0, -1.0]), clip: Some([0.05, 0.3]) };
    let mut description = super::cases::description();
    (description.scaling.fine, description.scaling.coarse) = (Some(range.clone()), Some(range));
    let contents = described("edcstfn", description);
    let got = predicted("edcstfn", &values("edcstfn", contents.clone(), &[]), &problem);
    let expected = by_hand("edcstfn", &contents, &problem, |v| 2.0 * v.clamp(0.05, 0.3) - 1.0);
    near(&got, &expected.iter().map(|v| (v + 1.0) / 2.0).collect::<Vec<_>>(), 1e-5);
}

/// Mean change of `image` from the column before to each of `columns`.
fn jumps(image: &Array3<f32>, columns: impl Iterator<Item = usize>) -> f32 {
    let all: Vec<f32> = columns
        .flat_map(|col| {
            image
                .outer_iter()
                .flat_map(move |b| (0..b.nrows()).map(move |r| (b[(r, col)] - b[(r, col - 1)]).abs()).collect::<Vec<_>>())
        })
        .collect();
    all.iter().sum::<f32>() / all.len() as f32
}

#[test]
fn no_seam_shows_between_patches() {
    let problem = Problem::fields(2, 64, 96, 8, &[-16], 5);
    let of = |tile: Tile| {
        let contents = described("edcstfn", Metadata { tile, ..super::cases::description() });
        predicted("edcstfn", &values("edcstfn", contents, &[]), &problem)
    };
    let whole = of(tile(96, 0, Blend::Centre));
    let seam = |image: Array3<f32>| {
        let difference = &image - &whole;
        // patches of 32 that share 16 meet in the middle of what they share, those that share nothing at their ends
        jumps(&difference, (8..96).step_by(8)) / jumps(&whole, (8..96).step_by(8))
    };
    let (linear, centre, none) =
        (seam(of(tile(32, 16, Blend::Linear))), seam(of(tile(32, 16, Blend::Centre))), seam(of(tile(32, 0, Blend::Centre))));
    println!("jumps at seams as a part of the image's own: {linear} linear, {centre} centre, {none} without overlap");
    assert!(linear < 0.01 && centre < 0.01 && none > 0.02, "{linear} {centre} {none}");
}

#[test]
fn coarse_images_on_their_own_grid_are_means_of_their_pixels() {
    let mut description = super::cases::description();
    description.coarse = Some(CoarseGrid::Coarse { factor: 8 });
    description.tile = tile(32, 16, Blend::Linear);
    let contents = described("edcstfn", description);
    // 40 x 52 pixels: the last cells are cut off
    let mut problem = Problem::fields(2, 40, 52, 8, &[-16], 5);
    let got = predicted("edcstfn", &values("edcstfn", contents.clone(), &[]), &problem);
    assert!(got.iter().all(|v| v.is_finite()));
    let mut blocks = problem.clone();
    for image in [&mut blocks.target, &mut blocks.pairs[0].coarse] {
        let (bands, rows, cols) = image.dim();
        for (band, row, col) in
            (0..bands).flat_map(|b| (0..rows).step_by(8).flat_map(move |r| (0..cols).step_by(8).map(move |c| (b, r, c))))
        {
            let mut cell = image.slice_mut(ndarray::s![band, row..rows.min(row + 8), col..cols.min(col + 8)]);
            let mean = cell.mean().unwrap();
            cell.fill(mean);
        }
    }
    let again = predicted("edcstfn", &values("edcstfn", contents.clone(), &[]), &blocks);
    // cells at the end repeat their last pixels, which the means above do not
    let inner = |image: &Array3<f32>| image.slice(ndarray::s![.., ..24, ..24]).to_owned();
    near(&inner(&got), inner(&again).as_slice().unwrap(), 1e-5);
    problem.target[(0, 3, 3)] += 0.5;
    assert!(predicted("edcstfn", &values("edcstfn", contents, &[]), &problem) != got);
}

#[test]
fn two_pairs_are_the_nearest_before_and_after_the_target() {
    let chosen = |days: &[i16], two: bool| {
        let problem = Problem::fields(1, 8, 8, 4, days, 1);
        images::pairs(problem.scene().unwrap().info(), two, "X").unwrap()
    };
    assert_eq!(chosen(&[-40, -8, 16, 30], false), (1, None));
    assert_eq!(chosen(&[-40, -8, 16, 30], true), (1, Some(2)));
    assert_eq!(chosen(&[16, -40], true), (1, Some(0)));
    assert_eq!(chosen(&[-8, -40], true), (1, Some(0)), "both before: in the order of time");
    let problem = Problem::fields(1, 8, 8, 4, &[-8], 1);
    let error = images::pairs(problem.scene().unwrap().info(), true, "X").unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Data, "X needs 2 pairs; the job has 1"));
}

#[test]
fn what_is_wrong_with_weights_is_said_before_anything_runs() {
    let problem = Problem::fields(2, 16, 16, 4, &[-16], 5);
    let good = || super::cases::weights("edcstfn").unwrap();
    let error = refused("edcstfn", &Values::default(), &problem);
    assert_eq!((error.kind(), error.message()), (ErrorKind::Parameter, "EDCSTFN needs weights"));
    let error = refused("edcstfn", &values("edcstfn", good()[..500].to_vec(), &[]), &problem);
    assert_eq!(error.kind(), ErrorKind::Read);
    assert!(error.message().starts_with("test.safetensors: "), "{error}");
    let error = refused("edcstfn", &values("edcstfn", super::cases::weights("stfnet").unwrap(), &[]), &problem);
    assert_eq!(error.message(), "test.safetensors: these are weights of stfnet, not of EDCSTFN");
    assert_eq!(error.hint(), Some("Choose the method stfnet, or other weights."));
    let three = Problem::fields(3, 16, 16, 4, &[-16], 5);
    let error = refused("edcstfn", &values("edcstfn", good(), &[]), &three);
    assert!(error.message().starts_with("test.safetensors with images of 3 bands: "), "{error}");
    let bands = Metadata { bands: vec!["red".into(), "nir".into()], ..super::cases::description() };
    let error = refused("edcstfn", &values("edcstfn", described("edcstfn", bands), &[]), &three);
    assert_eq!(error.message(), "test.safetensors: the network was trained with 2 bands (red, nir); the images have 3");
    for (settings, expected) in [
        ([("patch", "18"), ("overlap", "0")], "Patch size is 18; EDCSTFN needs a multiple of 4"),
        ([("patch", "16"), ("overlap", "9")], "Overlap of patches is 9; patches of 16 share at most half"),
    ] {
        let error = refused("edcstfn", &values("edcstfn", good(), &settings), &problem);
        assert_eq!((error.kind(), error.message()), (ErrorKind::Parameter, expected));
    }
}

#[test]
fn a_description_beside_the_file_wins() {
    let problem = Problem::fields(2, 24, 24, 4, &[-16], 5);
    let mut all = values("edcstfn", super::cases::weights("edcstfn").unwrap(), &[]);
    all.set_text(Parameters::SPECS, "description", "d.json").unwrap();
    all.attach("description", br#"{"schema": 1, "tile": {"size": 24}, "bands": ["a"]}"#.to_vec());
    let error = refused("edcstfn", &all, &problem);
    assert_eq!(error.message(), "test.safetensors: the network was trained with 1 bands (a); the images have 2");
    all.attach("description", br#"{"schema": 1, "tile": {"size": 24, "multiple": 7}}"#.to_vec());
    assert!(refused("edcstfn", &all, &problem).message().contains("24 is no multiple of 7"));
}

#[test]
fn programs_are_shared_while_they_are_in_use() {
    let problem = Problem::fields(2, 16, 16, 4, &[-16], 5);
    let scene = problem.scene().unwrap();
    let all = values("edcstfn", super::cases::weights("edcstfn").unwrap(), &[]);
    let parameters = Parameters::from_values(&all).unwrap();
    let contents = parameters.weights.unwrap().shared().unwrap();
    let source = method("edcstfn").origin.read(&contents, "test").unwrap();
    assert!(Arc::ptr_eq(&source, &method("edcstfn").origin.read(&contents, "test").unwrap()));
    let shape = vec![1, 2, 16, 16];
    let shapes = [("coarse_t1", shape.clone()), ("fine_t1", shape.clone()), ("coarse_t2", shape)];
    let program = || source.program(&contents, &shapes, &BTreeMap::new(), Path::Baseline).unwrap();
    let first = program();
    assert!(Arc::ptr_eq(&first, &program()));
    assert_eq!(first.output_shape(), [1, 2, 16, 16]);
    assert!(method("edcstfn").plan(&Request { values: &all, scene: scene.info() }).is_ok());
}

#[test]
fn fine_images_are_brought_to_the_resolution_between() {
    let problem = Problem::fields(2, 32, 48, 16, &[-16, 16], 5);
    let description =
        Metadata { coarse: Some(CoarseGrid::Coarse { factor: 8 }), tile: tile(48, 0, Blend::Centre), ..Metadata::default() };
    let contents = described("stfdcnn", description);
    let got = predicted("stfdcnn", &values("stfdcnn", contents.clone(), &[]), &problem);
    let [before, after] = &problem.pairs[..] else { panic!("two pairs") };
    let images = [
        ("coarse_t1", blocks(&before.coarse, 8)),
        ("coarse_t2", blocks(&problem.target, 8)),
        ("coarse_t3", blocks(&after.coarse, 8)),
        ("low_t1", blocks(&before.fine, 8)),
        ("low_t3", blocks(&after.fine, 8)),
        ("fine_t1", before.fine.clone()),
        ("fine_t3", after.fine.clone()),
    ];
    near(&got, &run_on("stfdcnn", &contents, &images), 1e-5);
}

#[test]
fn images_are_less_their_means_over_the_scene_and_the_prediction_is_not() {
    // gaps, and more than one block of a pass
    let problem = Problem::fields(2, 20, 300, 4, &[-16], 5).with_gaps(0.05, 2);
    let contents = super::cases::weights("densestf").unwrap();
    let got = predicted("densestf", &values("densestf", contents.clone(), &[]), &problem);
    let pair = &problem.pairs[0];
    let means = |image: &Array3<f32>| -> Vec<f32> {
        let mean = |known: Vec<f64>| known.iter().sum::<f64>() / known.len() as f64;
        image.outer_iter().map(|band| mean(band.iter().filter(|v| !v.is_nan()).map(|v| f64::from(*v)).collect()) as f32).collect()
    };
    let fine = means(&pair.fine);
    let (row, col) = (3, 290);
    let at = |image: &Array3<f32>| {
        let means = means(image);
        let of = |band: usize| {
            let value = |y: usize, x: usize| {
                let value = image[(band, (row + y).saturating_sub(8).min(19), (col + x).saturating_sub(8).min(299))];
                (value / 0.6) - means[band] / 0.6
            };
            let all: Vec<f32> = (0..256).map(|i| value(i / 16, i % 16)).collect();
            let known: Vec<f32> = all.iter().copied().filter(|v| !v.is_nan()).collect();
            let mean = known.iter().sum::<f32>() / known.len() as f32;
            all.into_iter().map(move |v| if v.is_nan() { mean } else { v }).collect::<Vec<_>>()
        };
        Array3::from_shape_vec((2, 16, 16), (0..2).flat_map(of).collect()).unwrap()
    };
    let images = [("fine_t1", at(&pair.fine)), ("coarse_t1", at(&pair.coarse)), ("coarse_t2", at(&problem.target))];
    let expected = run_on("densestf", &contents, &images);
    for band in 0..2 {
        let (value, expected) = (got[(band, row, col)], 0.6 * expected[band] + fine[band]);
        assert!((value - expected).abs() < 1e-5, "{value} instead of {expected} in band {band}");
    }
    let all_of = |band: usize| [&pair.fine, &pair.coarse, &problem.target].iter().all(|i| !i[(band, 10, 100)].is_nan());
    for band in 0..2 {
        assert_eq!(!got[(band, 10, 100)].is_nan(), all_of(band));
    }
}

/// What a diffusion network makes of a scene of one patch, without this module.
fn sampled_by_hand(contents: &[u8], problem: &Problem, seed: u64, rule: Rule) -> Vec<f32> {
    let schedule = Schedule::cosine(1000).unwrap();
    let steps = schedule.strided(2).unwrap();
    let sampler = Sampler::new(schedule, steps, Estimate::Noise, rule).unwrap();
    let pair = &problem.pairs[0];
    let pan = pair.pan.clone().unwrap().insert_axis(ndarray::Axis(0));
    let weights = Weights::from_bytes(contents, "test").unwrap();
    let images = [("pan_t1", &pan), ("fine_t1", &pair.fine), ("coarse_t2", &problem.target)];
    let shape = |image: &Array3<f32>| vec![1, image.dim().0, 16, 16];
    let mut shapes: Vec<_> = images.iter().map(|(name, image)| (*name, shape(image))).collect();
    shapes.extend([("noisy", shape(&pair.fine)), ("time", vec![1])]);
    let graph = stfusion_nn::zoo::network("diffstsf").unwrap().graph(&weights, &shapes, &BTreeMap::new()).unwrap();
    let program = Program::compile(&graph, Path::Baseline).unwrap();
    let of_image = |image: &Array3<f32>| Tensor::from_f32(&shape(image), image.iter().copied().collect()).unwrap();
    let noise = SeededNoise { seed, row: 0, column: 0 };
    let network = |x: &Tensor, step: usize| {
        let time = Tensor::from_f32(&[1], vec![step as f32])?;
        let input = |name: &str| match name {
            "noisy" => x.clone(),
            "time" => time.clone(),
            image => of_image(images.iter().find(|(own, _)| *own == image).unwrap().1),
        };
        let inputs: Vec<_> = graph.inputs().iter().map(|port| input(&port.name)).collect();
        Ok(program.run(&inputs, &Cancel::new())?.remove(0))
    };
    sampler.image(&shape(&pair.fine), &noise, network).unwrap().f32s().unwrap().to_vec()
}

#[test]
fn a_diffusion_network_is_fed_the_panchromatic_image_at_every_step() {
    let problem = Problem::fields(2, 16, 16, 4, &[-16], 5).with_pan();
    let contents = super::cases::weights("diffstsf").unwrap();
    let of = |settings: &[(&str, &str)]| predicted("diffstsf", &values("diffstsf", contents.clone(), settings), &problem);
    let image = of(&[("seed", "7")]);
    near(&image, &sampled_by_hand(&contents, &problem, 7, Rule::Ancestral(Variance::Learnt)), 1e-4);
    assert!(image.iter().all(|v| (-1.0..=1.0).contains(v)));
    assert_eq!(image, of(&[("seed", "7")]));
    assert_ne!(image, of(&[("seed", "8")]));
    assert_ne!(image, of(&[("seed", "7"), ("steps", "4")]));

    let mut description = super::cases::description();
    for (name, word) in [("sampler", "ddim"), ("put_back", "rederived")] {
        description.options.insert(name.into(), Choice::Word(word.into()));
    }
    description.options.insert("steps".into(), Choice::Count(2));
    let contents = described("diffstsf", description);
    let implicit = predicted("diffstsf", &values("diffstsf", contents.clone(), &[]), &problem);
    near(&implicit, &sampled_by_hand(&contents, &problem, 0, Rule::Implicit { eta: 0.0, rederived: true }), 1e-4);
}

#[test]
fn a_panchromatic_image_is_asked_for_and_its_gaps_count_in_every_band() {
    let mut problem = Problem::fields(2, 16, 16, 4, &[-16], 5);
    let all = values("diffstsf", super::cases::weights("diffstsf").unwrap(), &[]);
    let error = refused("diffstsf", &all, &problem);
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(error.message(), "DiffSTSF needs the panchromatic image of pair 1; the job has none");
    problem = problem.with_pan();
    problem.pairs[0].pan.as_mut().unwrap()[(3, 4)] = f32::NAN;
    for ((_, row, col), value) in predicted("diffstsf", &all, &problem).indexed_iter() {
        assert_eq!(value.is_nan(), (row, col) == (3, 4));
    }
    let error =
        refused("diffstsf", &values("diffstsf", super::cases::weights("diffstsf").unwrap(), &[("steps", "999")]), &problem);
    assert!(error.message().contains("cannot be cut to 999 at a whole distance"), "{error}");
}

#[test]
fn a_first_estimate_is_the_fine_image_and_the_coarse_change() {
    let problem = Problem::fields(2, 16, 16, 4, &[-16], 5);
    let scene = problem.scene().unwrap();
    let inputs = vec![Input { name: String::new(), images: vec![Role::SharpenedTarget] }];
    let preparation = Preparation::new(&Metadata { inputs, ..Metadata::default() }, scene.info(), "X").unwrap();
    let pair = &problem.pairs[0];
    let tile = TileIn {
        region: Region::whole(16, 16),
        padded: Region::whole(16, 16),
        pairs: vec![PairTile {
            fine: pair.fine.view(),
            coarse: pair.coarse.view(),
            classes: None,
            objects: None,
            pan: None,
            gap_days: None,
        }],
        target: problem.target.view(),
    };
    let pixels: Vec<usize> = (0..16).collect();
    let fed = preparation.feed(&tile, &images::Window { rows: pixels.clone(), cols: pixels }).unwrap();
    near(&(&pair.fine + &problem.target - &pair.coarse), fed.inputs[0].f32s().unwrap(), 1e-6);
}
