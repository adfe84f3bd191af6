//! Test problems of STARFM, the settings to try on them, and how far the result may be from the reference.

use ndarray::Array2;

use crate::cases::Problem;

/// Largest difference from the reference, relative to the largest value: sums of some hundred weighted values in `f32`.
pub const TOLERANCE: f64 = 4e-6;

/// Largest relative difference between two vector paths, which round multiply-add differently.
pub const PATH_TOLERANCE: f64 = 4e-6;

/// Settings (id, text) that reach every rule.
pub const SETTINGS: &[(&str, &[(&str, &str)])] = &[
    ("defaults", &[]),
    (
        "author's program",
        &[
            ("filter", "loose"),
            ("bound", "min"),
            ("weighting", "inverse"),
            ("temporal_weight", "auto"),
            ("zero_difference", "none"),
        ],
    ),
    (
        "imagefusion",
        &[
            ("filter", "loose"),
            ("bound", "min"),
            ("weighting", "inverse"),
            ("temporal_weight", "on"),
            ("zero_difference", "none"),
        ],
    ),
    (
        "paper",
        &[("weighting", "inverse"), ("temporal_weight", "on"), ("difference_offset", "0"), ("within_uncertainty", "false")],
    ),
    ("paper's logarithm", &[("log_offset", "1"), ("log_scale", "0.1"), ("temporal_weight", "off")]),
    ("logarithm with time", &[("log_scale", "3"), ("temporal_weight", "on"), ("filter", "loose")]),
    ("local threshold", &[("weighting", "inverse"), ("threshold_scope", "window"), ("classes", "4")]),
    ("bands together", &[("similarity_bands", "2 1"), ("classes", "3"), ("weighting", "inverse")]),
    ("one other band", &[("similarity_bands", "2"), ("threshold_scope", "window"), ("classes", "6")]),
    (
        "narrow distance",
        &[("spatial_importance", "1.5"), ("difference_unit", "0.01"), ("zero_difference", "both"), ("weighting", "inverse")],
    ),
    (
        "own uncertainties",
        &[
            ("uncertainty_fine", "0.002 0.01"),
            ("uncertainty_coarse", "0.02"),
            ("weighting", "inverse"),
            ("temporal_weight", "off"),
        ],
    ),
];

/// Problems with one, two and three pairs, with gaps, with a class map, smaller than a vector and wider than a block.
pub fn problems() -> Vec<(&'static str, Problem)> {
    let fields = |rows, cols, pairs: &[i16], seed| Problem::fields(2, rows, cols, 6, pairs, seed);
    let mut classed = fields(17, 26, &[-16, 16], 5).with_gaps(0.05, 9);
    classed.pairs[1].classes = Some(Array2::from_shape_fn((17, 26), |(r, c)| match (r / 7 + c / 5) % 4 {
        3 if r % 5 == 0 => f32::NAN,
        class => class as f32,
    }));
    vec![
        ("one pair", fields(21, 33, &[-16], 1)),
        ("one pair with gaps", fields(21, 33, &[-16], 2).with_gaps(0.1, 7)),
        ("two pairs with gaps", fields(19, 24, &[-16, 32], 3).with_gaps(0.15, 8)),
        ("three pairs", fields(15, 18, &[-32, -16, 8], 4)),
        ("class map on one of two pairs", classed),
        ("narrow", fields(30, 3, &[-16], 6).with_gaps(0.1, 1)),
        ("one pixel", fields(1, 1, &[-16], 6)),
    ]
}
