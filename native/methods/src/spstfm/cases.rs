//! Test problems of SPSTFM, the settings to try on them, and how far the result may be from the reference.

use ndarray::s;

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

const ATOMS: (&str, &str) = ("dictionary_size", "1024");
const PATCHES: (&str, &str) = ("training_patches", "1024");
const LEAST: (&str, &str) = ("min_iterations", "0");
const MOST: (&str, &str) = ("max_iterations", "1");

/// The same rules with dictionaries of as many atoms as there are patches, for comparing two executors: with more than 256
/// atoms, and with codes of more atoms than a GPU holds in shared memory.
pub const LARGE_SETTINGS: &[(&str, &[(&str, &str)])] = &[
    ("defaults", &[ATOMS, PATCHES, LEAST, MOST]),
    ("no training", &[ATOMS, PATCHES, ("min_iterations", "0"), ("max_iterations", "0")]),
    (
        "ImageFusion's rules",
        &[ATOMS, PATCHES, LEAST, MOST, ("normalisation", "separate"), ("debiasing", "partial"), ("sparsity", "0.02")],
    ),
    ("least squares", &[ATOMS, PATCHES, LEAST, MOST, ("debiasing", "full"), ("sparsity", "0.3"), ("patch", "5")]),
    ("random patches", &[("sampling", "random"), ("seed", "7"), ("patch", "5"), ("overlap", "0")]),
    ("both alike", &[ATOMS, PATCHES, LEAST, MOST, ("weighting", "equal"), ("patch", "4"), ("overlap", "2")]),
    (
        "built-up area",
        &[ATOMS, PATCHES, LEAST, MOST, ("weighting", "built_up"), ("index_bands", "1 3 2"), ("weight_threshold", "0.05")],
    ),
    ("never one side alone", &[ATOMS, PATCHES, LEAST, MOST, ("weight_threshold", "1"), ("patch", "3"), ("overlap", "1")]),
    ("gaps are learned from", &[ATOMS, PATCHES, LEAST, MOST, ("max_invalid", "0.6")]),
    ("long codes", &[ATOMS, PATCHES, LEAST, MOST, ("sparsity", "0.001"), ("patch", "6"), ("overlap", "3")]),
];

/// The problems, and one with several hundred different patches that need many atoms, and an area that one pair alone covers.
pub fn large_problems() -> Vec<(&'static str, Problem)> {
    let mut large = Problem::fields(3, 38, 40, 2, &[-16, 24], 6);
    for pair in &mut large.pairs {
        pair.coarse.clone_from(&pair.fine);
    }
    large.pairs[1].fine.slice_mut(s![.., 20..29, 3..12]).fill(f32::NAN);
    let mut all = problems();
    all.push(("many patches", large));
    all
}

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
