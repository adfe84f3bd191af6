//! Linear in time, literally and in `f64`; only tests call it.

use ndarray::Array3;

use crate::cases::Problem;

/// The prediction, (band, row, col). Every pair needs `gap_days`.
pub fn predict(problem: &Problem) -> Array3<f64> {
    Array3::from_shape_fn(problem.dim(), |at| {
        let valid = problem.pairs.iter().filter(|p| !p.fine[at].is_nan());
        let mut days: Vec<(f64, f64)> = valid.map(|p| (f64::from(p.gap_days.unwrap_or(0)), f64::from(p.fine[at]))).collect();
        days.sort_by(|a, b| a.0.total_cmp(&b.0));
        // of several pairs of one day the first of the job
        days.dedup_by(|later, kept| later.0 == kept.0);
        let before = days.iter().rev().find(|d| d.0 <= 0.0);
        let after = days.iter().find(|d| d.0 > 0.0);
        match (before, after) {
            (Some(&(a, fa)), Some(&(b, fb))) => fa + (fb - fa) * (0.0 - a) / (b - a),
            (Some(&(_, f)), None) | (None, Some(&(_, f))) => f,
            (None, None) => f64::NAN,
        }
    })
}
