//! The kernels' sources on the CPU against the methods on the CPU, on crops of real images: rounding, gaps and flat water as they come.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use ndarray::Array3;
use stfusion_core::method::Scene;
use stfusion_cuda_on_cpu::{device, Order};
use stfusion_methods::cases::{self, Problem, ProblemPair};
use stfusion_methods::{estarfm, fitfc, fsdaf, obsum, starfm, stdfa};
use stfusion_tests::{shared, stored};

/// Rows and columns of a crop.
const CROP: (usize, usize) = (48, 64);

/// Files of a place.
struct Place {
    name: &'static str,
    folder: &'static str,
    /// Fine image, coarse image, days from the target.
    pairs: &'static [(&'static str, &'static str, i16)],
    target: &'static str,
    /// Fine pixels per side of a pixel of the coarse files.
    scale: usize,
    /// Row and column of the crop: whole coarse pixels.
    corner: (usize, usize),
}

/// The crop of a place; zero is what these images have where they have nothing.
fn crop(test: &str, place: &Place) -> Option<Problem> {
    let folder = shared(test, place.folder)?;
    let read = |name: &str, scale: usize| -> Array3<f32> {
        let image = stored(&folder.join(name)).unwrap();
        let ((row, col), bands) = (place.corner, image.dim().0);
        Array3::from_shape_fn((bands, CROP.0, CROP.1), |(b, r, c)| match image[(b, (row + r) / scale, (col + c) / scale)] {
            v if v > 0.0 => (v * 1e-4) as f32,
            _ => f32::NAN,
        })
    };
    let pair = |&(fine, coarse, gap)| ProblemPair {
        gap_days: Some(gap),
        fine: read(fine, 1),
        coarse: read(coarse, place.scale),
        classes: None,
        objects: None,
        pan: None,
    };
    let target = read(place.target, place.scale);
    Some(Problem { pairs: place.pairs.iter().map(pair).collect(), target, scale: Some(place.scale.max(10)) })
}

/// Panics unless decisions are equal and values within `tolerance` of the largest fine value.
fn check(name: &str, method: &str, problem: &Problem, settings: &[(&str, &str)], tolerance: f64) {
    let method = stfusion_methods::by_id(method).unwrap();
    let values = cases::values_of(method, settings).unwrap();
    let scene = problem.scene().unwrap();
    let size = (scene.info().rows, scene.info().cols);
    let expected = cases::predict_scene(method, &values, &scene, size, true).unwrap();
    let kernels = device(Order::Forward);
    let got = cases::predict_on(Some(kernels.as_ref()), method, &values, &scene, (31, 40), true).unwrap();
    assert_eq!((&got.support, &got.fallback), (&expected.support, &expected.fallback), "{name}: decisions");
    let difference = cases::largest_difference(got.image.view(), expected.image.mapv(f64::from).view()).unwrap();
    let limit = tolerance * problem.largest_fine();
    println!("{name}: largest difference {difference:.2e} of {limit:.2e}");
    assert!(difference <= limit, "{name}: {difference} > {limit}");
}

fn check_place(test: &str, place: &Place) {
    let Some(problem) = crop(test, place) else { return };
    for (rules, settings) in [
        ("defaults", &[("window", "31")][..]),
        ("author's rules", &[("window", "31"), ("filter", "loose"), ("bound", "min"), ("weighting", "inverse")]),
        ("window threshold", &[("window", "21"), ("threshold_scope", "window"), ("similarity_bands", "2 3")]),
    ] {
        let name = format!("{}, STARFM, {rules}", place.name);
        check(&name, "starfm", &problem, settings, starfm::cases::TOLERANCE);
    }
    check(&format!("{}, Fit-FC", place.name), "fitfc", &problem, &[], fitfc::cases::TOLERANCE);
    check(&format!("{}, FSDAF", place.name), "fsdaf", &problem, &[("window", "21")], fsdaf::cases::TOLERANCE);
    check(&format!("{}, OBSUM", place.name), "obsum", &problem, &[("similar_window", "15")], obsum::cases::TOLERANCE);
    for method in ["ubdf", "stdfa", "strum"] {
        check(&format!("{}, {method}", place.name), method, &problem, &[], stdfa::cases::TOLERANCE);
    }
    if problem.pairs.len() > 1 {
        for (rules, settings) in [
            ("defaults", &[("window", "35")][..]),
            ("the nearest", &[("window", "21"), ("selection", "nearest")]),
            ("coarse pixels", &[("window", "15"), ("conversion", "coarse_pixel"), ("significance_test", "blend")]),
        ] {
            let name = format!("{}, ESTARFM, {rules}", place.name);
            check(&name, "estarfm", &problem, settings, estarfm::cases::TOLERANCE);
        }
        // as many atoms as there are patches
        let settings = [("dictionary_size", "1000"), ("training_patches", "1000"), ("max_iterations", "10")];
        check(&format!("{}, SPSTFM", place.name), "spstfm", &problem, &settings, 0.0);
    }
}

#[test]
fn kernels_agree_with_the_cpu_on_two_pairs() {
    let place = Place {
        name: "Boreas",
        folder: "data/04_boreas_estarfm",
        pairs: &[
            ("fine_2001-05-24.tif", "coarse30m_2001-05-24.tif", -48),
            ("fine_2001-08-12.tif", "coarse30m_2001-08-12.tif", 32),
        ],
        target: "coarse30m_2001-07-11.tif",
        scale: 1,
        corner: (100, 60),
    };
    check_place("kernels_agree_with_the_cpu_on_two_pairs", &place);
}

#[test]
fn kernels_agree_with_the_cpu_on_a_flood() {
    let place = Place {
        name: "Lower Gwydir",
        folder: "data/03_lgc_flood",
        pairs: &[("fine_2004-11-26.tif", "coarse_2004-11-26.tif", -32)],
        target: "coarse_2004-12-28.tif",
        scale: 16,
        corner: (160, 192),
    };
    check_place("kernels_agree_with_the_cpu_on_a_flood", &place);
}

#[test]
fn kernels_agree_with_the_cpu_on_small_fields_in_six_bands() {
    let place = Place {
        name: "Coleambally",
        folder: "data/16_cia_fsdaf2016_window_50m",
        pairs: &[("fine_2001-11-25.tif", "coarse_sim500m_2001-11-25.tif", -48)],
        target: "coarse_sim500m_2002-01-12.tif",
        scale: 10,
        corner: (120, 200),
    };
    check_place("kernels_agree_with_the_cpu_on_small_fields_in_six_bands", &place);
}
