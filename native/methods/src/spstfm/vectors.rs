//! Sums of products, in one order on every processor.

/// `to += factor · values`, each element on its own.
#[inline(always)]
pub fn add_scaled(to: &mut [f64], factor: f64, values: &[f64]) {
    for (t, v) in to.iter_mut().zip(values) {
        *t += factor * v;
    }
}

/// Sum of the products, from the first to the last.
#[inline(always)]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Scales to unit length and returns the length it had; a zero vector stays.
#[inline(always)]
pub fn normalise(values: &mut [f64]) -> f64 {
    let length = dot(values, values).sqrt();
    if length > 0.0 {
        values.iter_mut().for_each(|v| *v /= length);
    }
    length
}
