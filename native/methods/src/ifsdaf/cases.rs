//! Test problems of IFSDAF, the settings to try on them, and how far the result may be from the reference.

use ndarray::Array2;

use crate::cases::Problem;

/// Largest difference from the reference, relative to the largest value. Class changes that their equations leave nearly open are known
/// to a millionth only.
pub const TOLERANCE: f64 = 2e-5;

/// Settings (id, text) that reach every rule.
pub const SETTINGS: &[(&str, &[(&str, &str)])] = &[
    ("defaults", &[("classes", "4")]),
    ("paper", &[("increment_weights", "fitted"), ("sign_rule", "false"), ("same_class", "true"), ("classes", "3")]),
    (
        "difference and distance alone",
        &[("similarity_order", "difference"), ("similarity_weight", "distance"), ("classification", "isodata"), ("classes", "3")],
    ),
    ("cubic", &[("spatial_prediction", "cubic"), ("weight_window", "1"), ("unmixing_window", "3"), ("classes", "2")]),
    ("range", &[("data_range", "0.1 0.3"), ("spatial_prediction", "inverse_distance"), ("classes", "3")]),
    ("one class", &[("classes", "1"), ("pairs", "nearest"), ("similar_pixels", "3")]),
    ("pairs over wide windows", &[("pair_window", "5"), ("weight_window", "9"), ("classes", "2"), ("seed", "9")]),
];

/// Problems with one and several pairs, with gaps, with a class map, with cells that the scene cuts off, with one cell.
pub fn problems() -> Vec<(&'static str, Problem)> {
    let fields = |rows, cols, pairs: &[i16], seed| Problem::fields(2, rows, cols, 4, pairs, seed);
    let mut classed = fields(22, 26, &[-16], 5).with_gaps(0.05, 9);
    classed.pairs[0].classes = Some(Array2::from_shape_fn((22, 26), |(r, c)| match (r / 7 + c / 5) % 4 {
        3 if r % 5 == 0 => f32::NAN,
        class => 2.0 * class as f32 + 1.0,
    }));
    let mut cloudy = fields(20, 24, &[-16, 24], 8);
    cloudy.pairs[0].fine.slice_mut(ndarray::s![.., 4..15, 3..17]).fill(f32::NAN);
    cloudy.pairs[1].coarse.slice_mut(ndarray::s![.., 12.., ..8]).fill(f32::NAN);
    vec![
        ("one pair", fields(24, 36, &[-16], 1)),
        ("one pair with gaps", fields(24, 33, &[-16], 2).with_gaps(0.1, 7)),
        ("three pairs with gaps", fields(18, 21, &[-16, 32, 8], 3).with_gaps(0.15, 8)),
        ("two cloudy pairs", cloudy),
        ("class map", classed),
        ("narrow", fields(30, 4, &[-16], 6).with_gaps(0.1, 1)),
    ]
}
