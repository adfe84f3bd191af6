//! Test problems of OBSUM, the settings to try on them, and how far the result may be from the reference.

use ndarray::Array2;

use crate::cases::Problem;

/// Largest difference from the reference on reflectance. Class changes that their equations leave nearly open are known to a
/// millionth only.
pub const TOLERANCE: f64 = 2e-5;

/// Settings that suit scenes of some coarse pixels, and more after them.
macro_rules! small {
    ($($id:literal: $text:literal),*) => {
        &[
            ("window", "3"), ("similar_window", "7"), ("similar_pixels", "6"), ("residual_pixels", "20"),
            ("segment_size", "4"), ("classes", "4"), $(($id, $text)),*
        ]
    };
}

/// Settings (id, text) that reach every rule, for scenes of some coarse pixels; of two with the same id the last counts.
pub const SETTINGS: &[(&str, &[(&str, &str)])] = &[
    ("defaults in small windows", small!()),
    ("clipped windows", small!("border": "clip", "window": "5")),
    ("authors' program", small!("residual": "level", "distance_weight": "program", "lower_limit": "0.05", "upper_limit": "0.3")),
    ("all pixels of an object", small!("residual_pixels": "100", "similar_pixels": "1")),
    ("the best pixel of an object", small!("residual_pixels": "0", "similar_pixels": "49", "window": "1")),
];

/// The settings for small scenes alone.
pub const SMALL: &[(&str, &str)] = SETTINGS[0].1;

/// A problem with one pair, of `scale` fine pixels per coarse-pixel side, with object map and class map: patches of which some are
/// scattered, some have no number, and one has no class.
pub fn mapped(rows: usize, cols: usize, scale: usize, seed: u32) -> Problem {
    let mut problem = Problem::fields(2, rows, cols, scale, &[-16], seed);
    let shift = seed as usize % 5;
    let objects = Array2::from_shape_fn((rows, cols), |(r, c)| match ((r + shift) / 6, (c + 2 * shift) / 5) {
        (i, j) if (i + 2 * j) % 11 == 7 => f32::NAN,
        (i, _) if i == 2 && (r + c) % 3 == 0 => 3.0,
        (i, j) => (40 * i + 3 * j + 9) as f32,
    });
    let classes = Array2::from_shape_fn((rows, cols), |(r, c)| match (r / 7 + c / 5) % 4 {
        3 if (r + 3 * c) % 4 < 2 => f32::NAN,
        class => (2 * class + 1) as f32,
    });
    problem.pairs[0].classes = Some(classes);
    problem.pairs[0].objects = Some(objects);
    problem
}

/// Problems with and without gaps, with cut-off coarse pixels, odd and even scales, and fewer pixels than a window.
pub fn problems() -> Vec<(&'static str, Problem)> {
    let mut lone = mapped(20, 24, 4, 5);
    if let Some(classes) = &mut lone.pairs[0].classes {
        classes.slice_mut(ndarray::s![..12, ..11]).fill(f32::NAN);
    }
    vec![
        ("whole coarse pixels", mapped(24, 28, 4, 1)),
        ("cut-off coarse pixels, odd scale", mapped(23, 31, 5, 2)),
        ("gaps", mapped(23, 26, 4, 3).with_gaps(0.1, 4)),
        ("many gaps", mapped(18, 21, 3, 4).with_gaps(0.45, 5)),
        ("objects without a class", lone),
        ("narrow", mapped(30, 3, 4, 6)),
        ("one coarse pixel", mapped(4, 4, 4, 7)),
    ]
}
