//! What every registered method promises, checked without any engine: a method inherits these tests by being in the registry.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its problem has failed")]

use ndarray::{Array3, Axis};
use stfusion_core::method::{Fallback, Method, Request, Scene};
use stfusion_core::param::{Kind, Values};
use stfusion_core::ErrorKind;
use stfusion_methods::cases::{self, Prediction, Problem};

/// Largest difference between predictions whose bands were summed in another order; the values are reflectance.
const ORDER_TOLERANCE: f64 = 1e-5;

/// Windows small enough for small problems; everything else as it comes.
fn small_values(method: &dyn Method) -> Values {
    let window = method.info().parameters.iter().any(|p| p.id == "window");
    cases::values_of(method, if window { &[("window", "7")] } else { &[] }).unwrap()
}

/// Days of the pairs that a method is tried with: as few as it takes, and some more.
fn pair_sets(method: &dyn Method) -> Vec<Vec<i16>> {
    let info = method.info();
    let days = [-16, 24, -40, 8];
    (1..=days.len())
        .filter(|n| (info.min_pairs..=info.max_pairs.unwrap_or(usize::MAX)).contains(n))
        .map(|n| days[..n].to_vec())
        .collect()
}

fn predict(method: &dyn Method, problem: &Problem, tile: (usize, usize)) -> Prediction {
    cases::predict(method, &small_values(method), &problem.clone().suited_to(method), tile, true).unwrap()
}

fn whole(method: &dyn Method, problem: &Problem) -> Prediction {
    let (_, rows, cols) = problem.dim();
    predict(method, problem, (rows, cols))
}

fn bits<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u32> {
    // every NaN is the same invalid value
    values.into_iter().map(|v| if v.is_nan() { u32::MAX } else { v.to_bits() }).collect()
}

/// Every method of the registry.
fn each_listed(check: impl Fn(&str, &dyn Method)) {
    for method in stfusion_methods::all() {
        check(method.info().id, *method);
    }
}

/// Every method that can be tried here. Networks are one piece of code; some of them have weights for tests.
fn each(check: impl Fn(&str, &dyn Method)) {
    each_listed(|id, method| {
        if cases::can_be_tried(method) {
            check(id, method);
        }
    });
}

/// Whether every image is valid at a position.
fn all_valid(problem: &Problem, at: (usize, usize, usize)) -> bool {
    !problem.target[at].is_nan() && problem.pairs.iter().all(|p| !p.fine[at].is_nan() && !p.coarse[at].is_nan())
}

#[test]
fn the_result_does_not_depend_on_the_tiles() {
    each(|id, method| {
        for pairs in pair_sets(method) {
            // gaps on diagonals cross the borders of tiles; 63 columns are three tiles of 21
            let problem = Problem::fields(2, 30, 63, 5, &pairs, 11).with_gaps(0.1, 12);
            let reference = whole(method, &problem);
            let (similar, fraction) = reference.support.as_ref().unwrap();
            for tile in [(30, 21), (13, 21), (7, 40), (1, 63), (30, 1), (1, 1)] {
                let other = predict(method, &problem, tile);
                assert_eq!(bits(&reference.image), bits(&other.image), "{id}, {} pairs, tiles {tile:?}", pairs.len());
                let (n, f) = other.support.as_ref().unwrap();
                assert_eq!((bits(similar), bits(fraction)), (bits(n), bits(f)), "{id}, support, tiles {tile:?}");
                assert_eq!(reference.fallback, other.fallback, "{id}, fallback, tiles {tile:?}");
            }
        }
    });
}

#[test]
fn identical_coarse_images_return_the_fine_image() {
    each(|id, method| {
        if method.info().min_pairs > 1 || !method.info().promises.keeps_unchanged {
            return;
        }
        let mut problem = Problem::fields(2, 25, 31, 5, &[-16], 3).with_gaps(0.1, 4);
        problem.target = problem.pairs[0].coarse.clone();
        let image = whole(method, &problem).image;
        for (at, &value) in image.indexed_iter() {
            if all_valid(&problem, at) {
                assert_eq!(value, problem.pairs[0].fine[at], "{id} at {at:?}");
            }
        }
    });
}

#[test]
fn constant_images_give_a_constant() {
    each(|id, method| {
        if method.info().promises.trained_elsewhere {
            return;
        }
        for pairs in pair_sets(method) {
            let mut problem = Problem::fields(2, 20, 24, 4, &pairs, 1);
            for pair in &mut problem.pairs {
                pair.fine.fill(0.31);
                pair.coarse.fill(0.27);
            }
            problem.target.fill(0.22);
            let image = whole(method, &problem).image;
            let first = image[(0, 0, 0)];
            assert!(image.iter().all(|v| (v - first).abs() <= 1e-6), "{id}, {} pairs: not constant near {first}", pairs.len());
            assert!((0.2..0.4).contains(&first), "{id}: {first} lies outside the images");
        }
    });
}

#[test]
fn what_is_invalid_everywhere_stays_invalid_and_spoils_nothing() {
    each(|id, method| {
        for pairs in pair_sets(method) {
            let holes = [(4, 5), (4, 6), (17, 0), (10, 23)];
            let punch = |image: &mut Array3<f32>, with: f32| {
                for mut band in image.axis_iter_mut(Axis(0)) {
                    for hole in holes {
                        band[hole] = with;
                    }
                }
            };
            let punched = |with: f32| {
                let mut problem = Problem::fields(2, 20, 24, 4, &pairs, 8);
                for pair in &mut problem.pairs {
                    punch(&mut pair.fine, with);
                    punch(&mut pair.coarse, with);
                }
                punch(&mut problem.target, with);
                whole(method, &problem).image
            };
            let image = punched(f32::NAN);
            for ((band, row, col), value) in image.indexed_iter() {
                assert_eq!(value.is_nan(), holes.contains(&(row, col)), "{id} at {:?}: {value}", (band, row, col));
            }
            for poison in [f32::INFINITY, f32::NEG_INFINITY, -f32::NAN] {
                assert_eq!(bits(&image), bits(&punched(poison)), "{id}: {poison} leaks");
            }
        }
    });
}

#[test]
fn a_prediction_exists_wherever_every_image_is_valid_and_is_finite() {
    each(|id, method| {
        for pairs in pair_sets(method) {
            let problem = Problem::fields(2, 26, 33, 5, &pairs, 21).with_gaps(0.35, 22);
            let prediction = whole(method, &problem);
            for (at, value) in prediction.image.indexed_iter() {
                assert!(!value.is_infinite(), "{id} at {at:?}");
                assert!(!value.is_nan() || !all_valid(&problem, at), "{id} at {at:?}: nothing predicted from valid images");
            }
            let (similar, fraction) = prediction.support.unwrap();
            assert!(similar.iter().all(|n| *n >= 0.0 && n.fract() == 0.0), "{id}: similar pixels are counts");
            assert!(fraction.iter().all(|f| (0.0..=1.0).contains(f)), "{id}: the valid fraction is a fraction");
            let known = |number: &f32| Fallback::ALL.iter().any(|f| f32::from(*f as u8) == *number);
            assert!(prediction.fallback.unwrap().iter().all(known), "{id}: a fallback without a number");
        }
    });
}

#[test]
fn enormous_values_never_become_infinite() {
    each(|id, method| {
        for pairs in pair_sets(method) {
            let mut problem = Problem::fields(2, 16, 16, 4, &pairs, 2);
            let huge = |image: &mut Array3<f32>, sign: f32| {
                image.indexed_iter_mut().for_each(|((_, r, c), v)| *v = if (r + c) % 3 == 0 { sign * 3e38 } else { -*v * 1e38 });
            };
            for pair in &mut problem.pairs {
                huge(&mut pair.fine, 1.0);
                huge(&mut pair.coarse, -1.0);
            }
            huge(&mut problem.target, 1.0);
            let image = whole(method, &problem).image;
            assert!(image.iter().all(|v| !v.is_infinite()), "{id}: infinite");
        }
    });
}

#[test]
fn permuting_bands_permutes_the_prediction() {
    each(|id, method| {
        if method.info().promises.trained_elsewhere {
            return;
        }
        for pairs in pair_sets(method) {
            let problem = Problem::fields(3, 18, 22, 4, &pairs, 31).with_gaps(0.1, 32);
            let order = [2, 0, 1];
            let permuted = |image: &Array3<f32>| image.select(Axis(0), &order);
            let mut other = problem.clone();
            other.target = permuted(&problem.target);
            for pair in &mut other.pairs {
                pair.fine = permuted(&pair.fine);
                pair.coarse = permuted(&pair.coarse);
            }
            let expected = permuted(&whole(method, &problem).image);
            let got = whole(method, &other).image;
            if method.info().promises.bands_apart {
                assert_eq!(bits(&expected), bits(&got), "{id}, {} pairs", pairs.len());
            } else {
                let difference = cases::largest_difference(got.view(), expected.mapv(f64::from).view()).unwrap();
                assert!(difference <= ORDER_TOLERANCE, "{id}, {} pairs: {difference}", pairs.len());
            }
        }
    });
}

#[test]
fn missing_pairs_and_dates_are_refused_in_words() {
    each_listed(|id, method| {
        let mut problem = Problem::fields(1, 9, 9, 3, &[-16, 16, 32], 1);
        let refusal = |problem: &Problem| {
            let scene = problem.scene().unwrap();
            let values = small_values(method);
            method.plan(&Request { values: &values, scene: scene.info() }).err()
        };
        if method.info().needs_dates {
            problem.pairs[1].gap_days = None;
            let error = refusal(&problem).unwrap_or_else(|| panic!("{id} takes a pair without a date"));
            assert!(error.message().ends_with("needs the date of every pair; pair 2 has none"), "{}", error.message());
        }
        problem.pairs.truncate(method.info().min_pairs - 1);
        let error = refusal(&problem).unwrap_or_else(|| panic!("{id} takes too few pairs"));
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().starts_with(method.info().label) && error.hint().is_some(), "{}", error.message());
    });
}

#[test]
fn the_registry_describes_itself() {
    let is_id = |id: &str| {
        !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') && !id.starts_with('_')
    };
    let mut ids: Vec<_> = stfusion_methods::all().iter().map(|m| m.info().id).collect();
    each_listed(|id, method| {
        let info = method.info();
        assert!(is_id(id), "{id:?}");
        assert!(!info.label.is_empty() && !info.summary.is_empty() && !info.summary.ends_with('.'), "{id}: summary");
        assert!(info.min_pairs >= 1 && info.max_pairs.is_none_or(|max| max >= info.min_pairs), "{id}: pairs");
        assert!(info.references.iter().all(|r| !r.citation.is_empty() && !r.doi.contains("http")), "{id}: references");
        let mut names: Vec<&str> = info.parameters.iter().flat_map(|p| p.aliases.iter().copied().chain([p.id])).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{id}: two parameters share a name");
        assert!(info.parameters.iter().filter(|p| !p.advanced).count() <= 8, "{id}: too many parameters for a first look");
        for p in info.parameters {
            let place = format!("{id}.{}", p.id);
            assert!(is_id(p.id) && p.aliases.iter().all(|a| is_id(a)), "{place}");
            assert!(p.label.starts_with(|c: char| c.is_uppercase()) && !p.label.ends_with('.'), "{place}: label {:?}", p.label);
            assert!(p.help.ends_with('.') && p.help.len() > 10, "{place}: help {:?}", p.help);
            if let Kind::Choice { options, default } = p.kind {
                assert!(options.len() > 1 && default < options.len(), "{place}: choices");
                assert!(options.iter().all(|o| is_id(o.id) && !o.help.is_empty() && !o.help.ends_with('.')), "{place}: choices");
            }
            assert_eq!(p.parse_json(&p.to_json(&p.default())).unwrap(), p.default(), "{place}: the default is not admitted");
        }
    });
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "two methods share an id");
}

#[test]
fn every_help_page_has_the_same_headings() {
    let headings = [
        "Idea",
        "Use it when",
        "Do not use it when",
        "Inputs",
        "Parameters",
        "Cost",
        "Notes on this implementation",
        "References",
    ];
    each_listed(|id, method| {
        let info = method.info();
        let page = info.readme;
        assert!(page.starts_with(&format!("# {}\n", info.label)), "{id}: the page starts with the label");
        let found: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix("## ")).collect();
        assert_eq!(found, headings, "{id}");
        let idea = page.split("## Idea").nth(1).unwrap().split("## ").next().unwrap();
        let words = idea.split_whitespace().count();
        assert!((20..=120).contains(&words), "{id}: the idea takes {words} words");
        for reference in info.references {
            assert!(page.contains(reference.doi), "{id}: the page lacks {}", reference.doi);
        }
    });
}
