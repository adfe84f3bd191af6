//! Test problems of this family, and how its methods are compared with their references.

use ndarray::{s, Array2, Array3, Axis};
use stfusion_core::method::{Fallback, Method, Scene};
use stfusion_core::{Cancel, Error, Exec, Result};

use crate::blocks::classes::NO_CLASS;
use crate::blocks::classifiers::Classification;
use crate::blocks::coarse_grid::CoarseGrid;
use crate::cases::{self, Problem};

/// Fine pixels per coarse-pixel side of the problems.
pub const SCALE: usize = 4;

/// Largest difference from the reference where the equations decide, relative to the largest value: normal equations in `f64`,
/// coarse values and class values rounded to `f32`.
pub const TOLERANCE: f64 = 2e-6;

/// The same where they leave a class open: the ridge decides, which is 10⁻¹⁰ of the equations.
pub const OPEN_TOLERANCE: f64 = 1e-3;

/// With a class map of `classes` patches on the first pair, some without a class.
fn mapped(mut problem: Problem, classes: usize) -> Problem {
    let (_, rows, cols) = problem.dim();
    problem.pairs[0].classes =
        Some(Array2::from_shape_fn((rows, cols), |(r, c)| match (r / 3 + 2 * (c / 5) + r * c / 40) % classes {
            1 if c % 11 == 0 => f32::NAN,
            class => 3.0 * class as f32,
        }));
    problem
}

/// Problems with class maps and without, with gaps, several pairs, cut-off cells, and cells that are nearly all invalid.
pub fn problems() -> Vec<(&'static str, Problem)> {
    let fields = |bands, rows, cols, pairs: &[i16], seed| Problem::fields(bands, rows, cols, SCALE, pairs, seed);
    let mut hole = mapped(fields(2, 40, 36, &[-16], 4), 3);
    hole.target.slice_mut(s![1, 0..24, 0..20]).fill(f32::NAN);
    let mut lonely = mapped(fields(2, 24, 24, &[-16], 5), 3);
    lonely.target.slice_mut(s![.., .., 0..20]).fill(f32::NAN);
    lonely.target.slice_mut(s![.., 4.., ..]).fill(f32::NAN);
    let mut one_band = mapped(fields(1, 30, 33, &[-16], 6), 4);
    one_band.target.mapv_inplace(|v| v - 0.2);
    vec![
        ("class map", mapped(fields(2, 36, 44, &[-16], 1), 4)),
        ("k-means", fields(3, 36, 44, &[-16], 2)),
        ("cut-off cells and gaps", mapped(fields(2, 37, 42, &[-16], 3), 4).with_gaps(0.1, 3)),
        ("three pairs with gaps", fields(2, 30, 31, &[-16, 24, -40], 7).with_gaps(0.1, 8)),
        ("a hole in one band", hole),
        ("one valid coarse pixel", lonely),
        ("one band, values below zero", one_band),
        ("many classes", mapped(fields(1, 32, 32, &[-16], 9), 6)),
    ]
}

/// Labels of every pair, and their number of classes.
///
/// # Errors
/// Those of the classes.
pub fn labels(classification: &Classification, problem: &Problem) -> Result<Vec<(Array2<u16>, usize)>> {
    let cancel = Cancel::new();
    let exec = Exec::quiet(&cancel);
    let scene = problem.scene()?;
    let info = scene.info();
    let grid = CoarseGrid::new(info.rows, info.cols, SCALE);
    (0..problem.pairs.len())
        .map(|k| {
            let pair = &problem.pairs[k];
            match classification.classes_of(&scene, &grid, k, &exec)? {
                Some(classes) => {
                    let map = pair.classes.as_ref().map(|map| map.view());
                    Ok((classes.labels(pair.fine.view(), map)?, classes.count()))
                }
                None => Ok((Array2::from_elem((info.rows, info.cols), NO_CLASS), 0)),
            }
        })
        .collect()
}

/// Largest difference of a method from its `reference`, relative to the largest value of the target: where the equations decide, and
/// where they leave a class open.
///
/// # Errors
/// Those of the method, and a place where one of them predicts alone.
pub fn differences(
    method: &dyn Method,
    settings: &[(&str, &str)],
    problem: &Problem,
    reference: &Array3<f64>,
) -> Result<(f64, f64)> {
    let values = cases::values_of(method, settings)?;
    let got = cases::predict(method, &values, problem, (9, 14), true)?;
    let fallback = got.fallback.ok_or_else(|| Error::internal("no support"))?;
    let largest = problem.target.iter().filter(|v| !v.is_nan()).fold(1e-3f64, |m, v| m.max(f64::from(v.abs())));
    let open = |at: (usize, usize)| fallback[at] == f32::from(Fallback::Singular as u8);
    let (mut decided, mut left_open) = (0.0f64, 0.0f64);
    for (band, expected) in reference.axis_iter(Axis(0)).enumerate() {
        for ((row, col), &b) in expected.indexed_iter() {
            let a = f64::from(got.image[(band, row, col)]);
            if a.is_nan() != b.is_nan() {
                return Err(Error::internal(format!("at band {band}, row {row}, column {col}: {a}, the reference {b}")));
            }
            let worst = if open((row, col)) { &mut left_open } else { &mut decided };
            if !a.is_nan() {
                *worst = worst.max((a - b).abs() / largest);
            }
        }
    }
    Ok((decided, left_open))
}

/// Tests that a method of this family agrees with its reference: on every problem with every setting, and on any scene.
#[cfg(test)]
macro_rules! agrees_with_reference {
    ($method:expr) => {
        fn compare(name: &str, problem: &crate::cases::Problem, settings: &[(&str, &str)]) {
            use crate::blocks::unmixing::cases;
            let values = crate::cases::values_of(&$method, settings).unwrap();
            let parameters = Parameters::from_values(&values).unwrap();
            let classification = Classification::new(parameters.classification, parameters.classes, parameters.seed);
            let labels = cases::labels(&classification, problem).unwrap();
            let expected = reference::predict(&parameters, problem, &labels, cases::SCALE);
            let (decided, open) = cases::differences(&$method, settings, problem, &expected).unwrap();
            assert!(decided <= cases::TOLERANCE && open <= cases::OPEN_TOLERANCE, "{name}: {decided} and {open}");
        }

        #[test]
        fn every_case_agrees_with_the_reference() {
            for (name, problem) in crate::blocks::unmixing::cases::problems() {
                for (which, settings) in self::cases::SETTINGS {
                    compare(&format!("{name}, {which}"), &problem, settings);
                }
            }
        }

        proptest::proptest! {
            #![proptest_config(proptest::test_runner::Config { cases: 24, failure_persistence: None, ..Default::default() })]
            #[test]
            fn any_scene_agrees_with_the_reference(
                seed in 0u32..1000, rows in 8usize..40, cols in 8usize..40, gaps in 0.0f32..0.2, classes in 1usize..5,
                pairs in proptest::sample::subsequence(vec![-60i16, -16, 8, 40], 1..3), which in 0..self::cases::SETTINGS.len(),
            ) {
                let problem = crate::cases::Problem::fields(2, rows, cols, crate::blocks::unmixing::cases::SCALE, &pairs, seed);
                let (name, settings) = self::cases::SETTINGS[which];
                let count = classes.to_string();
                let settings: Vec<_> = settings.iter().copied().filter(|s| s.0 != "classes").chain([("classes", count.as_str())]).collect();
                compare(name, &problem.with_gaps(gaps, seed), &settings);
            }
        }
    };
}
#[cfg(test)]
pub(crate) use agrees_with_reference;
