//! Test problems of FSDAF, the settings to try on them, and how far the result may be from the reference.

use ndarray::Array2;

use crate::cases::Problem;

/// Largest difference from the reference, relative to the largest value: weighted means in `f32` of changes rounded to `f32`.
pub const TOLERANCE: f64 = 4e-6;

/// Settings (id, text) that reach every rule.
pub const SETTINGS: &[(&str, &[(&str, &str)])] = &[
    ("defaults", &[]),
    ("author's program", &[("homogeneity_window", "window")]),
    (
        "paper",
        &[
            ("sign_rule", "false"),
            ("weight_cap", "1000000000"),
            ("extreme_share", "0"),
            ("same_class", "true"),
            ("similarity_classes", "0.000001"),
            ("similarity_order", "difference"),
            ("similarity_weight", "distance"),
            ("change_quantiles", "0.25 0.75"),
        ],
    ),
    (
        "inverse distance",
        &[("spatial_prediction", "inverse_distance"), ("classification", "k_means"), ("max_classes", "3"), ("min_classes", "2")],
    ),
    ("cubic convolution", &[("spatial_prediction", "cubic")]),
    ("range", &[("data_range", "0.1 0.3"), ("extreme_share", "0.02"), ("weight_cap", "2")]),
    (
        "few of everything",
        &[
            ("homogeneity_window", "window"),
            ("similar_pixels", "3"),
            ("pure_pixels", "4"),
            ("seed", "9"),
            ("similarity_weight", "distance"),
        ],
    ),
    ("one class", &[("min_classes", "1"), ("max_classes", "1"), ("similarity_classes", "3"), ("pairs", "nearest")]),
];

/// Problems with one and several pairs, with gaps, with a class map, with cells that the scene cuts off, smaller than a cell.
pub fn problems() -> Vec<(&'static str, Problem)> {
    let fields = |rows, cols, pairs: &[i16], seed| Problem::fields(2, rows, cols, 4, pairs, seed);
    let mut classed = fields(22, 26, &[-16], 5).with_gaps(0.05, 9);
    classed.pairs[0].classes = Some(Array2::from_shape_fn((22, 26), |(r, c)| match (r / 7 + c / 5) % 4 {
        3 if r % 5 == 0 => f32::NAN,
        class => 2.0 * class as f32 + 1.0,
    }));
    vec![
        ("one pair", fields(24, 36, &[-16], 1)),
        ("one pair with gaps", fields(24, 33, &[-16], 2).with_gaps(0.1, 7)),
        ("three pairs with gaps", fields(18, 21, &[-16, 32, 8], 3).with_gaps(0.15, 8)),
        ("class map", classed),
        ("narrow", fields(30, 3, &[-16], 6).with_gaps(0.1, 1)),
        ("one pixel", fields(1, 1, &[-16], 6)),
    ]
}
