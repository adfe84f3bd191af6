//! Test problems of SFSDAF, the settings to try on them, and how far the result may be from the reference.

use crate::cases::Problem;

/// Largest difference from the reference, relative to the largest value: weighted means in `f32` of changes rounded to `f32`.
pub const TOLERANCE: f64 = 4e-6;

/// Settings (id, text) that reach every rule.
pub const SETTINGS: &[(&str, &[(&str, &str)])] = &[
    ("defaults", &[]),
    ("authors' program", &[("fraction_change", "degraded"), ("fraction_prior", "0"), ("sign_rule", "false"), ("classes", "4")]),
    ("firm fractions", &[("fraction_prior", "10"), ("spatial_prediction", "thin_plate"), ("classes", "3")]),
    ("range", &[("data_range", "0.1 0.3"), ("spatial_prediction", "inverse_distance"), ("window", "9")]),
    (
        "few of everything",
        &[
            ("similar_pixels", "3"),
            ("pure_pixels", "4"),
            ("endmember_pixels", "3"),
            ("fine_pixels", "7"),
            ("change_quantiles", "0.1 0.9"),
            ("window", "1"),
            ("seed", "9"),
        ],
    ),
    ("one class", &[("classes", "1"), ("pairs", "nearest")]),
];

/// Problems with one and several pairs, with gaps, with cells that the scene cuts off, smaller than a cell.
pub fn problems() -> Vec<(&'static str, Problem)> {
    let fields = |bands, rows, cols, pairs: &[i16], seed| Problem::fields(bands, rows, cols, 4, pairs, seed);
    vec![
        ("one pair", fields(2, 24, 36, &[-16], 1)),
        ("one band with gaps", fields(1, 24, 33, &[-16], 2).with_gaps(0.1, 7)),
        ("three pairs with gaps", fields(3, 18, 21, &[-16, 32, 8], 3).with_gaps(0.15, 8)),
        ("narrow", fields(2, 30, 3, &[-16], 6).with_gaps(0.1, 1)),
        ("one pixel", fields(2, 1, 1, &[-16], 6)),
    ]
}
