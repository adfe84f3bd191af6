//! Test problems of Fit-FC, the settings to try on them, and how far the result may be from the reference.

use ndarray::s;

use crate::cases::Problem;

/// Largest difference from the reference, relative to the largest value: means of some values in `f32`.
pub const TOLERANCE: f64 = 4e-6;

/// Settings (id, text) that reach every rule.
pub const SETTINGS: &[(&str, &[(&str, &str)])] = &[
    ("few neighbours", &[("neighbours", "6")]),
    ("more neighbours than a window has", &[("window", "3"), ("neighbours", "12")]),
    ("regression alone", &[("neighbours", "1"), ("residual", "false"), ("regression_window", "3")]),
    ("one band decides", &[("similarity_bands", "2"), ("neighbours", "9"), ("window", "7"), ("scale", "3")]),
    ("author's order", &[("ties", "columns"), ("neighbours", "4"), ("window", "9"), ("regression_window", "5")]),
    ("repeated border", &[("border", "replicate"), ("neighbours", "9"), ("window", "9")]),
    ("near", &[("spatial_importance", "0.5"), ("neighbours", "20"), ("window", "15")]),
    ("each coarse pixel alone", &[("regression_window", "1"), ("neighbours", "5"), ("window", "5")]),
    ("fine regression", &[("regression", "fine"), ("regression_window", "1.6"), ("neighbours", "10"), ("window", "9")]),
    (
        "fine regression without residual",
        &[("regression", "fine"), ("regression_window", "3"), ("residual", "false"), ("window", "5")],
    ),
];

/// Problems with one, two and three pairs, with gaps, without contrast, with a single valid coarse pixel, and of odd shapes.
pub fn problems() -> Vec<(&'static str, Problem)> {
    let fields = |rows, cols, pairs: &[i16], seed| Problem::fields(2, rows, cols, 6, pairs, seed);
    let mut flat = fields(20, 20, &[-16], 7);
    flat.pairs[0].coarse.fill(0.25);
    let mut lonely = fields(19, 22, &[-16], 8);
    for image in [&mut lonely.pairs[0].coarse, &mut lonely.target] {
        let valid = image.slice(s![.., 6..12, 6..12]).to_owned();
        image.fill(f32::NAN);
        image.slice_mut(s![.., 6..12, 6..12]).assign(&valid);
    }
    let mut undated = fields(17, 23, &[-16, 16, 40], 9).with_gaps(0.3, 4);
    undated.pairs[1].gap_days = None;
    vec![
        ("one pair", fields(21, 33, &[-16], 1)),
        ("one pair with gaps", fields(21, 33, &[-16], 2).with_gaps(0.1, 7)),
        ("two pairs with gaps", fields(19, 24, &[32, -16], 3).with_gaps(0.25, 8)),
        ("three pairs, one without a date", undated),
        ("no contrast", flat),
        ("one valid coarse pixel", lonely),
        ("narrow", fields(30, 3, &[-16], 6).with_gaps(0.1, 1)),
        ("one pixel", fields(1, 1, &[-16], 6)),
    ]
}
