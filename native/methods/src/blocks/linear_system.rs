//! Dense systems of linear equations: LU factorisation with partial pivoting, in `f64`.

/// A factorised square matrix.
#[derive(Debug, Clone)]
pub struct Lu {
    n: usize,
    /// L (below the diagonal, its diagonal is 1) and U, column by column.
    factors: Vec<f64>,
    /// Row that was exchanged with row k in step k.
    pivots: Vec<usize>,
}

/// A pivot below this part of the largest matrix element counts as zero.
const SMALLEST_PIVOT: f64 = 1e-13;

impl Lu {
    /// Factorises the `n` x `n` matrix given column by column. `None` when it is singular, or when an element is not finite.
    pub fn new(mut matrix: Vec<f64>, n: usize) -> Option<Lu> {
        debug_assert_eq!(matrix.len(), n * n);
        let largest = matrix.iter().fold(0.0f64, |m, v| if v.is_finite() { m.max(v.abs()) } else { f64::INFINITY });
        if !largest.is_finite() {
            return None;
        }
        let mut pivots = Vec::with_capacity(n);
        for k in 0..n {
            let column = &matrix[k * n..(k + 1) * n];
            let mut pivot = k;
            for row in k + 1..n {
                if column[row].abs() > column[pivot].abs() {
                    pivot = row;
                }
            }
            if column[pivot].abs() <= SMALLEST_PIVOT * largest {
                return None;
            }
            pivots.push(pivot);
            for column in matrix.chunks_exact_mut(n) {
                column.swap(k, pivot);
            }
            let (left, right) = matrix.split_at_mut((k + 1) * n);
            let column = &mut left[k * n..];
            let diagonal = column[k];
            column[k + 1..].iter_mut().for_each(|v| *v /= diagonal);
            for other in right.chunks_exact_mut(n) {
                let factor = other[k];
                subtract(&mut other[k + 1..], factor, &column[k + 1..]);
            }
        }
        Some(Lu { n, factors: matrix, pivots })
    }

    /// L (below the diagonal, its diagonal is 1) and U, column by column.
    pub fn factors(&self) -> &[f64] {
        &self.factors
    }

    /// The row of the right-hand side that each row of L and U belongs to.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.n).collect();
        for (k, &pivot) in self.pivots.iter().enumerate() {
            order.swap(k, pivot);
        }
        order
    }

    /// Replaces `values` (the right-hand side) by the solution.
    #[inline]
    pub fn solve(&self, values: &mut [f64]) {
        debug_assert_eq!(values.len(), self.n);
        for (k, &pivot) in self.pivots.iter().enumerate() {
            values.swap(k, pivot);
        }
        for (k, column) in self.factors.chunks_exact(self.n).enumerate() {
            let (head, tail) = values.split_at_mut(k + 1);
            subtract(tail, head[k], &column[k + 1..]);
        }
        for (k, column) in self.factors.chunks_exact(self.n).enumerate().rev() {
            let (head, tail) = values.split_at_mut(k);
            tail[0] /= column[k];
            subtract(head, tail[0], &column[..k]);
        }
    }
}

/// `values -= factor * other`.
#[inline(always)]
fn subtract(values: &mut [f64], factor: f64, other: &[f64]) {
    for (v, o) in values.iter_mut().zip(other) {
        *v -= factor * o;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_solution_satisfies_the_equations(elements in prop::collection::vec(-1.0f64..1.0, 36), right in prop::collection::vec(-9.0f64..9.0, 6)) {
            let Some(lu) = Lu::new(elements.clone(), 6) else { return Ok(()) };
            let mut x = right.clone();
            lu.solve(&mut x);
            let size = x.iter().fold(1.0f64, |m, v| m.max(v.abs()));
            for row in 0..6 {
                let left: f64 = (0..6).map(|col| elements[col * 6 + row] * x[col]).sum();
                prop_assert!((left - right[row]).abs() <= 1e-11 * size, "row {}: {} and {}", row, left, right[row]);
            }
        }

        #[test]
        fn equal_columns_are_singular(mut elements in prop::collection::vec(-1.0f64..1.0, 25), a in 0usize..5, b in 0usize..5) {
            prop_assume!(a != b);
            elements.copy_within(a * 5..a * 5 + 5, b * 5);
            prop_assert!(Lu::new(elements, 5).is_none());
        }
    }

    #[test]
    fn rows_are_exchanged_and_what_is_not_finite_is_refused() {
        let lu = Lu::new(vec![0.0, 2.0, 1.0, 0.0], 2).unwrap(); // y = right 0, 2 x = right 1
        let mut x = [3.0, 8.0];
        lu.solve(&mut x);
        assert_eq!(x, [4.0, 3.0]);
        assert!(Lu::new(vec![f64::NAN], 1).is_none() && Lu::new(vec![f64::INFINITY], 1).is_none());
    }
}
