//! Test problems of ESTARFM, the settings to try on them, and how far the result may be from the reference.

use crate::cases::Problem;

/// Largest difference from the reference, relative to the largest value: sums of some hundred values in `f32`, and the slope of a
/// regression over values that spread little.
pub const TOLERANCE: f64 = 2e-5;

/// Largest share of pixels whose regression or selection may be decided too closely to be compared.
pub const CLOSE_SHARE: f64 = 0.05;

/// Settings (id, text) that reach every rule.
pub const SETTINGS: &[(&str, &[(&str, &str)])] = &[
    ("defaults", &[]),
    ("one band apart", &[("one_band", "correlation"), ("flat_correlation", "1")]),
    ("data range", &[("data_range", "0.05 0.2"), ("classes", "2")]),
    ("regression everywhere", &[("regression_gate", "none"), ("significance_test", "none"), ("classes", "2")]),
    ("blended regression", &[("regression_gate", "none"), ("significance_test", "blend"), ("largest_coefficient", "2")]),
    ("significant regression", &[("regression_gate", "none"), ("significance_level", "0.3"), ("classes", "1.5")]),
    ("spread enough", &[("regression_gate", "deviation"), ("coarse_uncertainty", "0.004"), ("few_similar", "copy")]),
    ("changed enough", &[("least_change", "0.01"), ("least_similar", "2"), ("inclusive", "true")]),
    ("no regression", &[("conversion", "none"), ("few_similar", "copy"), ("least_similar", "12")]),
    ("coarse pixels", &[("conversion", "coarse_pixel"), ("scale", "4"), ("regression_gate", "none"), ("classes", "1.5")]),
    (
        "changed coarse pixels",
        &[("conversion", "coarse_pixel"), ("scale", "auto"), ("least_change", "0.005"), ("significance_test", "none")],
    ),
    ("local threshold", &[("threshold_scope", "window"), ("classes", "2"), ("inclusive", "true")]),
    ("the nearest", &[("selection", "nearest"), ("similar_pixels", "7"), ("classes", "1.5"), ("regression_gate", "none")]),
    (
        "the nearest of coarse pixels",
        &[
            ("selection", "nearest"),
            ("conversion", "coarse_pixel"),
            ("scale", "5"),
            ("regression_gate", "none"),
            ("classes", "1"),
        ],
    ),
];

/// Problems with two to four pairs, with gaps, with one band, with constant images, smaller than a vector and wider than a block.
pub fn problems() -> Vec<(&'static str, Problem)> {
    let fields = |bands, rows, cols, pairs: &[i16], seed| Problem::fields(bands, rows, cols, 6, pairs, seed);
    let mut flat = fields(2, 16, 19, &[-16, 16], 9);
    for pair in &mut flat.pairs {
        pair.fine.index_axis_mut(ndarray::Axis(0), 1).fill(0.31);
        pair.coarse.fill(0.27);
    }
    vec![
        ("two pairs", fields(2, 21, 33, &[-60, 48], 1)),
        ("two pairs with gaps", fields(2, 19, 24, &[-16, 64], 3).with_gaps(0.1, 8)),
        ("three pairs with gaps", fields(3, 15, 18, &[-90, -16, 80], 4).with_gaps(0.03, 5)),
        ("four pairs of one band", fields(1, 17, 14, &[-90, -40, 30, 80], 5)),
        ("one band with gaps", fields(1, 18, 23, &[-40, 30], 6).with_gaps(0.15, 5)),
        ("constant values", flat),
        ("wider than a block", fields(1, 4, 150, &[-80, 60], 7).with_gaps(0.05, 2)),
        ("narrow", fields(2, 30, 3, &[-16, 40], 6).with_gaps(0.1, 1)),
        ("one pixel", fields(2, 1, 1, &[-16, 16], 6)),
        // more images than a GPU sums at once
        ("nine bands of four pairs", fields(9, 4, 6, &[-60, -30, 30, 80], 8).with_gaps(0.01, 3)),
    ]
}
