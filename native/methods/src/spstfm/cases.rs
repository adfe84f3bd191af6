//! Test problems of SPSTFM, the settings to try on them, and how far the result may be from the reference.

use crate::cases::Problem;

/// Largest difference from the reference, relative to the largest value: one rounding to `f32`, and dictionaries whose atoms
/// converged to nine digits.
pub const TOLERANCE: f64 = 2e-6;

/// Settings (id, text) that reach every rule; small dictionaries, since the reference is slow.
pub const SETTINGS: &[(&str, &[(&str, &str)])] = &[
    ("defaults", &[]),
    ("no training", &[("min_iterations", "0"), ("max_iterations", "0")]),
    ("ImageFusion's rules", &[("normalisation", "separate"), ("debiasing", "partial")]),
    ("least squares", &[("debiasing", "full"), ("sparsity", "0.3")]),
    ("random patches", &[("sampling", "random"), ("seed", "7"), ("patch", "5"), ("overlap", "0")]),
    ("both alike", &[("weighting", "equal"), ("patch", "4"), ("overlap", "2")]),
    ("built-up area", &[("weighting", "built_up"), ("index_bands", "1 3 2"), ("weight_threshold", "0.05")]),
    ("never one side alone", &[("weight_threshold", "1"), ("patch", "3"), ("overlap", "1")]),
    ("gaps are learned from", &[("max_invalid", "0.6")]),
];

/// Problems with two pairs, with gaps, with a single row of patches, and without contrast.
pub fn problems() -> Vec<(&'static str, Problem)> {
    let fields = |rows, cols, seed| Problem::fields(3, rows, cols, 2, &[-16, 24], seed);
    let mut flat = fields(9, 10, 5);
    for pair in &mut flat.pairs {
        pair.coarse.fill(0.25);
    }
    vec![
        ("two pairs", fields(14, 17, 1)),
        ("two pairs with gaps", fields(13, 15, 2).with_gaps(0.04, 7)),
        ("many gaps", fields(11, 12, 3).with_gaps(0.3, 8)),
        ("one row of patches", fields(7, 18, 4)),
        ("no contrast", flat),
    ]
}
