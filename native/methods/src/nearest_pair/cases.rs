//! Test problems of this method, and how far it may be from its reference.

use crate::cases::Problem;

/// Largest difference from the reference, relative to the largest value of the problem: one rounding to `f32`.
pub const TOLERANCE: f64 = 1e-7;

/// Pairs on both sides, on one side, on the target day itself, several of one day; with and without gaps.
pub fn problems() -> Vec<(&'static str, Problem)> {
    let fields = |pairs: &[i16]| Problem::fields(2, 23, 31, 4, pairs, 7);
    vec![
        ("one pair", fields(&[-16])),
        ("two sides", fields(&[-16, 32])),
        ("two sides with gaps", fields(&[-16, 32]).with_gaps(0.2, 3)),
        ("four pairs with gaps", fields(&[24, -40, -8, 8]).with_gaps(0.4, 4)),
        ("target day among the pairs", fields(&[-16, 0, 16]).with_gaps(0.3, 5)),
        ("two pairs of one day", fields(&[-16, -16, 20]).with_gaps(0.3, 6)),
    ]
}
