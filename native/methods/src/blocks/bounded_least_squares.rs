//! Small least squares with bounds: class values from coarse mixtures.
//!
//! ```text
//! minimise  Σ_i w_i (b_i − Σ_c f_ic x_c)²  +  r Σ_c (x_c − p_c)²     subject to  lower ≤ x ≤ upper,
//!                                                                    or to       x ≥ 0, Σ x = 1
//! ```
//! There is no intercept. Equations are added one at a time to the normal equations, so a window of any size needs no memory of
//! its own; several right-hand sides (bands) share one matrix. `r` is never less than [`SMALLEST_RIDGE`] of the largest diagonal
//! element of the matrix: the minimum is unique with fewer equations than unknowns too, and an unknown (or a combination of
//! unknowns) that the equations say nothing of takes the value nearest to the prior `p`. [`BoundedLeastSquares::undetermined`]
//! tells which those are.
//!
//! The minimum is found by an active-set method (Stark and Parker 1995, Computational Statistics 10, 129-141, on the normal
//! equations; unknowns leave their bound in the order of their gradient). Every step lowers the sum, so it ends.
//!
//! Edges: coefficients and right-hand sides must be finite; `lower ≤ upper`, both may be infinite. Bounds that are equal fix the
//! unknown. Without any equation the result is the prior, moved inside the bounds.

/// Ridge, relative to the largest diagonal element of the normal matrix, that makes every problem unique.
pub const SMALLEST_RIDGE: f64 = 1e-10;

/// A pivot of the normal matrix below this part of its largest diagonal element counts as zero when unknowns are judged.
const RANK_TOLERANCE: f64 = 1e-9;

/// An unknown is a combination of others when its share is above this.
const SMALLEST_SHARE: f64 = 1e-6;

/// A gradient below this part of the terms it is made of counts as zero.
const GRADIENT_TOLERANCE: f64 = 1e-11;

/// Where an unknown is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Free,
    Lower,
    Upper,
}

/// Normal equations of one matrix and several right-hand sides, and the memory to solve them. See the [module](self).
#[derive(Debug, Clone)]
pub struct BoundedLeastSquares {
    unknowns: usize,
    equations: usize,
    /// Σ w f_c f_d, row by row.
    products: Vec<f64>,
    /// Σ w f_c b, one row for each right-hand side.
    right: Vec<f64>,
    /// `products` with the ridge, once factorised.
    normal: Vec<f64>,
    ridge: f64,
    undetermined: Vec<bool>,
    search: Search,
    /// Bounds of shares.
    zeros: Vec<f64>,
    open: Vec<f64>,
}

/// Memory of the active-set search.
#[derive(Debug, Clone, Default)]
struct Search {
    right: Vec<f64>,
    places: Vec<Place>,
    free: Vec<usize>,
    factor: Vec<f64>,
    step: Vec<f64>,
    reduced: Vec<f64>,
    held: Vec<bool>,
}

impl BoundedLeastSquares {
    /// No equations yet, in `unknowns` unknowns and for `sides` right-hand sides.
    pub fn new(unknowns: usize, sides: usize) -> Self {
        BoundedLeastSquares {
            unknowns,
            equations: 0,
            products: vec![0.0; unknowns * unknowns],
            right: vec![0.0; unknowns * sides],
            normal: vec![0.0; unknowns * unknowns],
            ridge: 0.0,
            undetermined: vec![true; unknowns],
            search: Search::default(),
            zeros: vec![0.0; unknowns],
            open: vec![f64::INFINITY; unknowns],
        }
    }

    /// Forgets all equations.
    pub fn clear(&mut self) {
        self.equations = 0;
        self.products.fill(0.0);
        self.right.fill(0.0);
    }

    /// Number of equations added since the last [`clear`](Self::clear).
    pub fn equations(&self) -> usize {
        self.equations
    }

    /// Adds `Σ_c coefficients[c] x_c = values[side]` with a weight (1 is usual) to every right-hand side.
    pub fn add(&mut self, coefficients: &[f64], values: &[f64], weight: f64) {
        let n = self.unknowns;
        debug_assert_eq!((coefficients.len(), values.len() * n), (n, self.right.len()));
        self.equations += 1;
        for (row, &f) in self.products.chunks_exact_mut(n).zip(coefficients) {
            let f = weight * f;
            for (sum, g) in row.iter_mut().zip(coefficients) {
                *sum += f * g;
            }
        }
        for (row, &b) in self.right.chunks_exact_mut(n).zip(values) {
            let b = weight * b;
            for (sum, f) in row.iter_mut().zip(coefficients) {
                *sum += f * b;
            }
        }
    }

    /// Ends the adding of equations: fixes the ridge `r` (0: the smallest) and finds the undetermined unknowns.
    pub fn finish(&mut self, ridge: f64) {
        let n = self.unknowns;
        let largest = (0..n).fold(0.0f64, |m, c| m.max(self.products[c * n + c]));
        self.ridge = ridge.max(if largest > 0.0 { SMALLEST_RIDGE * largest } else { 1.0 });
        self.normal.copy_from_slice(&self.products);
        for c in 0..n {
            self.normal[c * n + c] += self.ridge;
        }
        self.find_undetermined(RANK_TOLERANCE * largest);
    }

    /// Whether the equations leave each unknown open, so that only ridge, prior and bounds decide it. After [`finish`](Self::finish).
    pub fn undetermined(&self) -> &[bool] {
        &self.undetermined
    }

    /// Gauss-Jordan elimination with the largest diagonal element next. What is left when the pivots are used up belongs to
    /// unknowns that depend on others: those, and the ones they are a combination of, are undetermined.
    fn find_undetermined(&mut self, tolerance: f64) {
        let n = self.unknowns;
        let matrix = &mut self.search.factor;
        matrix.clear();
        matrix.extend_from_slice(&self.products);
        let dependent = &mut self.undetermined;
        dependent.fill(true);
        for _ in 0..n {
            let mut pivot = None;
            for c in 0..n {
                let diagonal = matrix[c * n + c];
                if dependent[c] && diagonal > tolerance && pivot.is_none_or(|p: usize| diagonal > matrix[p * n + p]) {
                    pivot = Some(c);
                }
            }
            let Some(p) = pivot else { break };
            dependent[p] = false;
            let diagonal = matrix[p * n + p];
            for c in 0..n {
                matrix[p * n + c] /= diagonal;
            }
            for row in (0..n).filter(|&row| row != p) {
                let factor = matrix[row * n + p];
                for c in 0..n {
                    matrix[row * n + c] -= factor * matrix[p * n + c];
                }
            }
        }
        self.search.held.clear();
        self.search.held.extend_from_slice(dependent);
        for (row, found) in matrix.chunks_exact(n).zip(dependent.iter_mut()).filter(|(_, dependent)| !**dependent) {
            *found = row.iter().zip(&self.search.held).any(|(share, &open)| open && share.abs() > SMALLEST_SHARE);
        }
    }

    /// The unknowns of right-hand side `side` within bounds, into `x`. `prior` may be empty (all 0). After [`finish`](Self::finish).
    pub fn solve(&mut self, side: usize, lower: &[f64], upper: &[f64], prior: &[f64], x: &mut [f64]) {
        self.begin(side, prior);
        let n = self.unknowns;
        self.search.places.resize(n, Place::Free);
        self.search.places.fill(Place::Free);
        self.search.solve_free(&self.normal, n, x, None);
        let mut outside = false;
        for c in 0..n {
            let value = self.search.step[c];
            let (place, inside) = if value < lower[c] {
                (Place::Lower, lower[c])
            } else if value > upper[c] {
                (Place::Upper, upper[c])
            } else {
                (Place::Free, value)
            };
            self.search.places[c] = place;
            outside |= place != Place::Free;
            x[c] = inside;
        }
        if outside {
            self.search.run(&self.normal, n, (lower, upper), x, None);
        }
    }

    /// The unknowns of right-hand side `side` with `x ≥ 0` and `Σ x = 1` (shares), into `x`. After [`finish`](Self::finish).
    pub fn solve_shares(&mut self, side: usize, x: &mut [f64]) {
        self.begin(side, &[]);
        let n = self.unknowns;
        // the best single unknown to start with
        let cost = |c: usize| self.normal[c * n + c] - 2.0 * self.search.right[c];
        let first = (1..n).fold(0, |best, c| if cost(c) < cost(best) { c } else { best });
        x.fill(0.0);
        x[first] = 1.0;
        self.search.places.clear();
        self.search.places.resize(n, Place::Lower);
        self.search.places[first] = Place::Free;
        self.search.run(&self.normal, n, (&self.zeros, &self.open), x, Some(1.0));
    }

    fn begin(&mut self, side: usize, prior: &[f64]) {
        let n = self.unknowns;
        debug_assert!(prior.is_empty() || prior.len() == n);
        self.search.right.clear();
        self.search.right.extend_from_slice(&self.right[side * n..(side + 1) * n]);
        for (value, p) in self.search.right.iter_mut().zip(prior) {
            *value += self.ridge * p;
        }
    }
}

impl Search {
    /// From a feasible `x` to the minimum.
    fn run(&mut self, normal: &[f64], n: usize, bounds: (&[f64], &[f64]), x: &mut [f64], sum: Option<f64>) {
        self.held.clear();
        self.held.resize(n, false);
        // each round lowers the sum; the limit is for rounding alone
        for _ in 0..20 * (n + 1) {
            self.settle(normal, n, bounds, x, sum);
            let Some(next) = self.leaving(normal, n, x, sum) else { return };
            let before = x[next];
            self.places[next] = Place::Free;
            self.settle(normal, n, bounds, x, sum);
            // pushed back where it came from by rounding: not again before something else has moved
            self.held[next] = self.places[next] != Place::Free && x[next] == before;
            if !self.held[next] {
                self.held.fill(false);
            }
        }
    }

    /// Moves the free unknowns to their minimum, fixing those that meet a bound on the way.
    fn settle(&mut self, normal: &[f64], n: usize, bounds: (&[f64], &[f64]), x: &mut [f64], sum: Option<f64>) {
        let (lower, upper) = bounds;
        loop {
            self.solve_free(normal, n, x, sum);
            let mut length = 1.0f64;
            let mut meets = None;
            for &c in &self.free {
                let target = self.step[c];
                let (bound, place) = if target < lower[c] {
                    (lower[c], Place::Lower)
                } else if target > upper[c] {
                    (upper[c], Place::Upper)
                } else {
                    continue;
                };
                let possible = ((bound - x[c]) / (target - x[c])).max(0.0);
                if meets.is_none() || possible < length {
                    length = possible;
                    meets = Some((c, bound, place));
                }
            }
            for &c in &self.free {
                let moved = if meets.is_none() { self.step[c] } else { x[c] + length * (self.step[c] - x[c]) };
                x[c] = moved.max(lower[c]).min(upper[c]);
            }
            let Some((c, bound, place)) = meets else { return };
            x[c] = bound;
            self.places[c] = place;
        }
    }

    /// Minimum over the free unknowns with the others at `x` (and their sum kept), into `step`.
    fn solve_free(&mut self, normal: &[f64], n: usize, x: &[f64], sum: Option<f64>) {
        self.free.clear();
        self.free.extend((0..n).filter(|&c| self.places[c] == Place::Free));
        let m = self.free.len();
        self.step.resize(n, 0.0);
        self.factor.resize(n * n, 0.0);
        let mut fixed = 0.0;
        for c in (0..n).filter(|&c| self.places[c] != Place::Free) {
            fixed += x[c];
        }
        // Cholesky factor of the free part, and its solution by forward and back substitution
        let (factor, free) = (&mut self.factor, &self.free);
        for i in 0..m {
            for j in 0..=i {
                let mut value = normal[free[i] * n + free[j]];
                for k in 0..j {
                    value -= factor[i * m + k] * factor[j * m + k];
                }
                // the ridge keeps pivots positive up to rounding
                factor[i * m + j] = if i == j { value.max(f64::MIN_POSITIVE).sqrt() } else { value / factor[j * m + j] };
            }
        }
        let substitute = |values: &mut [f64]| {
            for i in 0..m {
                for k in 0..i {
                    values[i] -= factor[i * m + k] * values[k];
                }
                values[i] /= factor[i * m + i];
            }
            for i in (0..m).rev() {
                for k in i + 1..m {
                    values[i] -= factor[k * m + i] * values[k];
                }
                values[i] /= factor[i * m + i];
            }
        };
        let mut reduced = std::mem::take(&mut self.reduced);
        reduced.clear();
        for &c in free {
            let mut value = self.right[c];
            for d in (0..n).filter(|&d| self.places[d] != Place::Free) {
                value -= normal[c * n + d] * x[d];
            }
            reduced.push(value);
        }
        substitute(&mut reduced);
        if let Some(total) = sum {
            reduced.resize(2 * m, 1.0);
            let (solution, ones) = reduced.split_at_mut(m);
            substitute(ones);
            let excess = solution.iter().sum::<f64>() - (total - fixed);
            let factor = excess / ones.iter().sum::<f64>();
            solution.iter_mut().zip(ones).for_each(|(s, o)| *s -= factor * *o);
        }
        for (&c, &value) in free.iter().zip(&reduced) {
            self.step[c] = value;
        }
        self.reduced = reduced;
    }

    /// The fixed unknown whose move inside lowers the sum most, if any does.
    fn leaving(&self, normal: &[f64], n: usize, x: &[f64], sum: Option<f64>) -> Option<usize> {
        let gradient = |c: usize| {
            let (mut value, mut size) = (self.right[c], self.right[c].abs());
            for d in 0..n {
                let term = normal[c * n + d] * x[d];
                value -= term;
                size += term.abs();
            }
            (value, size)
        };
        // with a fixed sum a move takes from the free unknowns, whose gradients are equal at their minimum
        let level = match sum {
            Some(_) => self.free.iter().map(|&c| gradient(c).0).sum::<f64>() / self.free.len().max(1) as f64,
            None => 0.0,
        };
        let mut best = None;
        for c in (0..n).filter(|&c| self.places[c] != Place::Free && !self.held[c]) {
            let (value, size) = gradient(c);
            let inward = if self.places[c] == Place::Lower { value - level } else { level - value };
            if inward > GRADIENT_TOLERANCE * (size + level.abs()) && best.is_none_or(|(_, most)| inward > most) {
                best = Some((c, inward));
            }
        }
        best.map(|(c, _)| c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Equations with shares as coefficients (few different values, so that columns depend on each other often).
    fn equations(n: usize) -> impl Strategy<Value = Vec<(Vec<f64>, f64)>> {
        let coefficient = prop_oneof![Just(0.0), Just(0.25), Just(0.5), Just(1.0), 0.0..1.0f64];
        prop::collection::vec((prop::collection::vec(coefficient, n), -5.0..5.0f64), 0..9)
    }

    fn system(n: usize, equations: &[(Vec<f64>, f64)], ridge: f64) -> BoundedLeastSquares {
        let mut system = BoundedLeastSquares::new(n, 1);
        for (coefficients, value) in equations {
            system.add(coefficients, &[*value], 1.0);
        }
        system.finish(ridge);
        system
    }

    fn cost(system: &BoundedLeastSquares, equations: &[(Vec<f64>, f64)], prior: &[f64], x: &[f64]) -> f64 {
        let dot = |f: &[f64]| f.iter().zip(x).map(|(f, x)| f * x).sum::<f64>();
        let ridge: f64 = x.iter().zip(prior).map(|(x, p)| (x - p).powi(2)).sum();
        equations.iter().map(|(f, b)| (b - dot(f)).powi(2)).sum::<f64>() + system.ridge * ridge
    }

    /// Least cost over all ways to fix unknowns at bounds, with `Σ x = sum` if given: the literal definition.
    fn best_of_all(
        system: &BoundedLeastSquares,
        equations: &[(Vec<f64>, f64)],
        prior: &[f64],
        bounds: (&[f64], &[f64]),
        sum: Option<f64>,
    ) -> f64 {
        let n = prior.len();
        let mut best = f64::INFINITY;
        for mut code in 0..3usize.pow(n as u32) {
            let mut x = vec![0.0; n];
            let mut free = Vec::new();
            for (c, value) in x.iter_mut().enumerate() {
                match code % 3 {
                    0 => free.push(c),
                    1 => *value = bounds.0[c],
                    _ => *value = bounds.1[c],
                }
                code /= 3;
            }
            if x.iter().any(|v| v.is_infinite()) {
                continue;
            }
            // stationarity of the free unknowns, and the multiplier of the sum
            let m = free.len() + usize::from(sum.is_some());
            let mut matrix = vec![0.0; m * m];
            let mut right = vec![0.0; m];
            for (i, &c) in free.iter().enumerate() {
                for (j, &d) in free.iter().enumerate() {
                    let product: f64 = equations.iter().map(|(f, _)| f[c] * f[d]).sum();
                    matrix[j * m + i] = product + if c == d { system.ridge } else { 0.0 };
                }
                let rest = |f: &[f64]| f.iter().zip(&x).map(|(f, x)| f * x).sum::<f64>();
                right[i] = equations.iter().map(|(f, b)| f[c] * (b - rest(f))).sum::<f64>() + system.ridge * prior[c];
                if sum.is_some() {
                    matrix[i * m + m - 1] = 1.0;
                    matrix[(m - 1) * m + i] = 1.0;
                }
            }
            if let Some(total) = sum {
                right[m - 1] = total - x.iter().sum::<f64>();
            }
            if m > 0 {
                let Some(lu) = crate::blocks::linear_system::Lu::new(matrix, m) else { continue };
                lu.solve(&mut right);
            }
            free.iter().zip(&right).for_each(|(&c, &v)| x[c] = v);
            let admitted = (0..n).all(|c| x[c] >= bounds.0[c] - 1e-9 && x[c] <= bounds.1[c] + 1e-9);
            if admitted && sum.is_none_or(|total| (x.iter().sum::<f64>() - total).abs() < 1e-9) {
                best = best.min(cost(system, equations, prior, &x));
            }
        }
        best
    }

    proptest! {
        #[test]
        fn no_way_to_fix_unknowns_is_better(
            equations in equations(4), lower in prop::collection::vec(-3.0..0.5f64, 4), width in prop::collection::vec(0.0..4.0f64, 4),
            prior in prop::collection::vec(-2.0..2.0f64, 4), ridge in prop_oneof![Just(0.0), 0.001..2.0f64],
        ) {
            let upper: Vec<f64> = lower.iter().zip(&width).map(|(l, w)| l + w).collect();
            let mut system = system(4, &equations, ridge);
            let mut x = [0.0; 4];
            system.solve(0, &lower, &upper, &prior, &mut x);
            prop_assert!((0..4).all(|c| lower[c] <= x[c] && x[c] <= upper[c]), "{:?}", x);
            let best = best_of_all(&system, &equations, &prior, (&lower, &upper), None);
            let found = cost(&system, &equations, &prior, &x);
            prop_assert!(found <= best + 1e-8 * (1.0 + best), "{} > {} at {:?}", found, best, x);
        }

        #[test]
        fn the_gradient_points_outside_at_bounds_and_vanishes_inside(
            equations in equations(7), lower in prop::collection::vec(-3.0..0.5f64, 7), width in prop::collection::vec(0.0..4.0f64, 7),
        ) {
            let upper: Vec<f64> = lower.iter().zip(&width).map(|(l, w)| l + w).collect();
            let mut system = system(7, &equations, 0.0);
            let mut x = [0.0; 7];
            system.solve(0, &lower, &upper, &[], &mut x);
            for c in 0..7 {
                let dot = |f: &[f64]| f.iter().zip(&x).map(|(f, x)| f * x).sum::<f64>();
                let downhill = equations.iter().map(|(f, b)| f[c] * (b - dot(f))).sum::<f64>() - system.ridge * x[c];
                prop_assert!(downhill < 1e-7 || x[c] == upper[c], "{}: {} at {:?}", c, downhill, x);
                prop_assert!(downhill > -1e-7 || x[c] == lower[c], "{}: {} at {:?}", c, downhill, x);
            }
        }

        #[test]
        fn shares_are_the_best_that_sum_to_one(equations in equations(4)) {
            let mut system = system(4, &equations, 0.0);
            let mut x = [0.0; 4];
            system.solve_shares(0, &mut x);
            prop_assert!(x.iter().all(|v| (0.0..=1.0 + 1e-9).contains(v)) && (x.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{:?}", x);
            let bounds = (&[0.0; 4][..], &[f64::INFINITY; 4][..]);
            let best = best_of_all(&system, &equations, &[0.0; 4], bounds, Some(1.0));
            let found = cost(&system, &equations, &[0.0; 4], &x);
            prop_assert!(found <= best + 1e-8 * (1.0 + best), "{} > {} at {:?}", found, best, x);
        }

        #[test]
        fn exact_mixtures_return_what_was_mixed_and_sides_do_not_mix(
            rows in prop::collection::vec(prop::collection::vec(0.0..1.0f64, 3), 8..20), values in prop::collection::vec(-1.0..1.0f64, 6),
        ) {
            let mut system = BoundedLeastSquares::new(3, 2);
            for row in &rows {
                let mixed = |side: usize| (0..3).map(|c| row[c] * values[side * 3 + c]).sum::<f64>();
                system.add(row, &[mixed(0), mixed(1)], 2.0);
            }
            system.finish(0.0);
            prop_assume!(system.undetermined() == [false; 3]);
            for side in 0..2 {
                let mut x = [0.0; 3];
                system.solve(side, &[-2.0; 3], &[2.0; 3], &[], &mut x);
                prop_assert!((0..3).all(|c| (x[c] - values[side * 3 + c]).abs() < 1e-4), "{:?} and {:?}", x, values);
            }
        }
    }

    #[test]
    fn what_the_equations_leave_open_is_told_and_stays_at_the_prior() {
        // x0 + x1 is known, x2 alone is known, x3 never occurs
        let mut system = system(4, &[(vec![0.5, 0.5, 0.0, 0.0], 2.0), (vec![0.0, 0.0, 1.0, 0.0], 3.0)], 0.0);
        assert_eq!(system.undetermined(), [true, true, false, true]);
        let mut x = [0.0; 4];
        let (lower, upper) = ([f64::NEG_INFINITY; 4], [f64::INFINITY; 4]);
        system.solve(0, &lower, &upper, &[0.0, 1.0, 0.0, 7.0], &mut x);
        let expected = [1.5, 2.5, 3.0, 7.0]; // the nearest to the prior with x0 + x1 = 4
        assert!(x.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{x:?}");
    }

    #[test]
    fn without_equations_the_prior_moves_inside_the_bounds() {
        let mut system = system(2, &[], 0.0);
        assert_eq!((system.equations(), system.undetermined()), (0, &[true, true][..]));
        let mut x = [0.0; 2];
        system.solve(0, &[-1.0, 2.0], &[1.0, 3.0], &[5.0, 0.0], &mut x);
        assert_eq!(x, [1.0, 2.0]);
        system.solve_shares(0, &mut x);
        assert!((x[0] - 0.5).abs() < 1e-9 && (x[1] - 0.5).abs() < 1e-9, "{x:?}");
    }

    #[test]
    fn clearing_forgets_every_equation() {
        let mut used = system(2, &[(vec![1.0, 0.3], 9.0)], 0.0);
        used.clear();
        used.add(&[0.0, 1.0], &[4.0], 1.0);
        used.finish(0.0);
        let mut x = [0.0; 2];
        used.solve(0, &[-9.0; 2], &[9.0; 2], &[], &mut x);
        assert_eq!((used.equations(), used.undetermined()), (1, &[true, false][..]));
        assert!(x[0] == 0.0 && (x[1] - 4.0).abs() < 1e-6, "{x:?}");
    }
}
