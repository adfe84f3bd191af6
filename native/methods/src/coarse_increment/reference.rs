//! Coarse increment, literally and in `f64`; only tests call it.

use ndarray::Array3;

use crate::cases::Problem;

/// The prediction, (band, row, col).
pub fn predict(problem: &Problem) -> Array3<f64> {
    let dated = problem.pairs.iter().all(|p| p.gap_days.is_some());
    Array3::from_shape_fn(problem.dim(), |at| {
        // I_k = F_k + C_p - C_k
        let increments = problem.pairs.iter().filter_map(|p| {
            let i = f64::from(p.fine[at]) + f64::from(problem.target[at]) - f64::from(p.coarse[at]);
            (!i.is_nan()).then_some((f64::from(p.gap_days.unwrap_or(0)), i))
        });
        let mut increments: Vec<(f64, f64)> = increments.collect();
        if !dated {
            return increments.last().map_or(f64::NAN, |i| i.1);
        }
        increments.sort_by(|a, b| a.0.total_cmp(&b.0));
        increments.dedup_by(|later, kept| later.0 == kept.0);
        let before = increments.iter().rev().find(|i| i.0 <= 0.0);
        let after = increments.iter().find(|i| i.0 > 0.0);
        match (before, after) {
            (Some(&(0.0, i)), _) => i,
            (Some(&(a, ia)), Some(&(b, ib))) => (ia / -a + ib / b) / (1.0 / -a + 1.0 / b),
            (Some(&(_, i)), None) | (None, Some(&(_, i))) => i,
            (None, None) => f64::NAN,
        }
    })
}
