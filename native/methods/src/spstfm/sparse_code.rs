//! Sparse codes: the minimiser of `½ ‖y − D α‖² + τ ‖α‖₁` with `τ = sparsity · ‖Dᵀ y‖_∞` (Huang and Song 2012, equation 8),
//! found by following its path from the empty code.
//!
//! ```text
//! λ = ‖Dᵀ y‖_∞;  S = the atom that attains it
//! while λ > τ:
//!     d = (D_Sᵀ D_S)⁻¹ sign(c_S),  a = Dᵀ D_S d              along which all |c_S| stay equal to λ
//!     γ = the smallest step at which an atom outside reaches λ, a coefficient of S reaches 0, or λ reaches τ
//!     α_S += γ d,  c −= γ a,  λ −= γ;  the atom joins or leaves S
//! ```
//! The path is piecewise linear, so its corners are the only points to compute: some tens of small triangular solves for a
//! patch, where iterations on the 256 unknowns need thousands of products. Which atom joins or leaves is decided in `f64`,
//! nothing fused, by the lowest index where two tie, so codes are the same bit for bit on every processor.

use rayon::prelude::*;
use stfusion_core::{Cancel, Result};

use super::vectors::add_scaled;
use crate::blocks::simd::{widened, Path};

/// A joining atom must have at least this part of its squared length outside the span of the others.
const COLLINEAR: f64 = 1e-10;

/// A code that needs more corners than this many per pixel of a patch is cut off there: it is then that of a larger τ.
const CORNERS_PER_PIXEL: usize = 8;

/// A dictionary prepared for coding.
#[derive(Debug, Clone)]
pub struct Codebook {
    /// Number of atoms.
    pub atoms: usize,
    /// Number of pixels of a patch.
    pub pixels: usize,
    /// Value of every atom at a pixel, one pixel after the other.
    rows: Vec<f64>,
    /// Dᵀ D.
    gram: Vec<f64>,
}

impl Codebook {
    /// From atoms of `pixels` values, one after the other.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Cancelled`].
    pub fn new(atoms: &[f64], pixels: usize, cancel: &Cancel) -> Result<Self> {
        let count = atoms.len() / pixels.max(1);
        let mut rows = vec![0.0; atoms.len()];
        for (k, atom) in atoms.chunks_exact(pixels.max(1)).enumerate() {
            for (p, &v) in atom.iter().enumerate() {
                rows[p * count + k] = v;
            }
        }
        let mut gram = vec![0.0; count * count];
        gram.par_chunks_mut(count.max(1)).enumerate().try_for_each(|(k, products)| {
            cancel.check()?;
            rows.chunks_exact(count).for_each(|row| add_scaled(products, row[k], row));
            Ok(())
        })?;
        Ok(Codebook { atoms: count, pixels, rows, gram })
    }

    /// Bytes that one of this size holds.
    pub fn bytes(atoms: usize, pixels: usize) -> usize {
        (atoms * pixels + atoms * atoms) * size_of::<f64>()
    }

    /// Value of every atom at a pixel, one pixel after the other.
    pub fn rows(&self) -> &[f64] {
        &self.rows
    }

    /// Products of all atoms with all atoms, row by row.
    pub fn gram(&self) -> &[f64] {
        &self.gram
    }

    fn gram_row(&self, atom: usize) -> &[f64] {
        &self.gram[atom * self.atoms..(atom + 1) * self.atoms]
    }
}

/// How the coefficients on the chosen atoms are freed from the shrinkage that the penalty brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Debias {
    /// Not at all.
    Off,
    /// Conjugate gradients towards the least squares on the chosen atoms, until the squared gradient is a tenth.
    Partial,
    /// Least squares on the chosen atoms.
    Full,
}

/// The squared gradient at which partial debiasing stops, as a part of the one it starts from.
const DEBIASED: f64 = 0.1;

/// What a code is made with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// τ as a part (0..1) of ‖Dᵀ y‖_∞.
    pub sparsity: f64,
    /// What follows.
    pub debias: Debias,
}

/// Computes codes, one after the other, in buffers that it keeps.
#[derive(Debug)]
pub struct Coder {
    path: Path,
    /// Dᵀ y, and Dᵀ (y − D α).
    start: Vec<f64>,
    correlation: Vec<f64>,
    /// How fast every correlation falls along the path.
    rate: Vec<f64>,
    /// Step at which every atom would join.
    step: Vec<f64>,
    /// 0 where an atom may join.
    barred: Vec<f64>,
    active: Vec<usize>,
    sign: Vec<f64>,
    coefficient: Vec<f64>,
    direction: Vec<f64>,
    /// What solves `L x = sign` for the factor L: it grows with L.
    forward: Vec<f64>,
    /// Lower triangle of the Cholesky factor of D_Sᵀ D_S, row by row, `pixels` apart.
    factor: Vec<f64>,
    tau: f64,
}

impl Coder {
    /// With the vectors of `path`, which must be available.
    pub fn new(path: Path) -> Self {
        Coder {
            path,
            start: Vec::new(),
            correlation: Vec::new(),
            rate: Vec::new(),
            step: Vec::new(),
            barred: Vec::new(),
            active: Vec::new(),
            sign: Vec::new(),
            coefficient: Vec::new(),
            direction: Vec::new(),
            forward: Vec::new(),
            factor: Vec::new(),
            tau: 0.0,
        }
    }

    /// Bytes of the buffers for a dictionary of this size.
    pub fn bytes(atoms: usize, pixels: usize) -> usize {
        (5 * atoms + pixels * (pixels + 6)) * size_of::<f64>()
    }

    /// Codes `signal` (one value per pixel, finite). Read the code with [`Coder::atoms`] and [`Coder::coefficients`].
    pub fn code(&mut self, book: &Codebook, signal: &[f64], rule: Rule) {
        widened(
            self.path,
            #[inline(always)]
            || self.code_in_place(book, signal, rule),
        );
    }

    /// The atoms of the last code.
    pub fn atoms(&self) -> &[usize] {
        &self.active
    }

    /// Their coefficients.
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficient
    }

    /// τ of the last code; 0 where the signal has no part in any atom.
    pub fn tau(&self) -> f64 {
        self.tau
    }

    #[inline(always)]
    fn code_in_place(&mut self, book: &Codebook, signal: &[f64], rule: Rule) {
        self.begin(book, signal);
        self.follow(book, rule.sparsity);
        match rule.debias {
            Debias::Off => {}
            Debias::Partial => self.descend(book),
            Debias::Full => self.least_squares(book),
        }
    }

    #[inline(always)]
    fn begin(&mut self, book: &Codebook, signal: &[f64]) {
        let n = book.atoms;
        for buffer in [&mut self.start, &mut self.rate, &mut self.step, &mut self.barred] {
            buffer.clear();
            buffer.resize(n, 0.0);
        }
        for (row, &y) in book.rows.chunks_exact(n.max(1)).zip(signal) {
            add_scaled(&mut self.start, y, row);
        }
        self.correlation.clone_from(&self.start);
        self.factor.resize(book.pixels * book.pixels, 0.0);
        self.active.clear();
        self.sign.clear();
        self.coefficient.clear();
        self.forward.clear();
    }

    #[inline(always)]
    fn follow(&mut self, book: &Codebook, sparsity: f64) {
        let mut joining = 0;
        for (k, c) in self.correlation.iter().enumerate() {
            if c.abs() > self.correlation[joining].abs() {
                joining = k;
            }
        }
        let mut lambda = self.correlation.get(joining).map_or(0.0, |c| c.abs());
        self.tau = sparsity * lambda;
        if !(lambda > 0.0 && lambda.is_finite()) {
            self.tau = 0.0;
            return;
        }
        self.join(book, joining);
        let mut dropped = None;
        for _ in 0..CORNERS_PER_PIXEL * book.pixels {
            if self.active.is_empty() {
                return;
            }
            self.turn(book);
            let (atom, join_step) = self.next_to_join(lambda, dropped);
            let (place, drop_step) = self.next_to_leave();
            let end = lambda - self.tau;
            let step = join_step.min(drop_step).min(end);
            for (a, d) in self.coefficient.iter_mut().zip(&self.direction) {
                *a += step * d;
            }
            if step >= end {
                return;
            }
            for (c, r) in self.correlation.iter_mut().zip(&self.rate) {
                *c -= step * r;
            }
            lambda -= step;
            dropped = None;
            if drop_step <= join_step {
                dropped = Some((self.active[place], self.sign[place]));
                self.leave(book, place);
            } else {
                self.join(book, atom);
            }
        }
    }

    /// Direction of the coefficients and rates of all correlations for the present atoms.
    #[inline(always)]
    fn turn(&mut self, book: &Codebook) {
        for i in self.forward.len()..self.active.len() {
            self.forward.push(forward_step(&self.factor, book.pixels, &self.forward, self.sign[i]));
        }
        self.direction.clone_from(&self.forward);
        solve_back(&self.factor, book.pixels, &mut self.direction);
        self.rate.fill(0.0);
        for (&k, &d) in self.active.iter().zip(&self.direction) {
            add_scaled(&mut self.rate, d, book.gram_row(k));
        }
    }

    /// The atom outside that reaches λ first, and the step at which it does: `(λ − c) / (1 − r)` where it meets λ, and
    /// `(λ + c) / (1 + r)` where it meets −λ; the first is the smaller one where `c > λ r`. One that was let go just now is at λ with its `sign`
    /// and moves away from it: it can reach λ on the other side only.
    #[inline(always)]
    fn next_to_join(&mut self, lambda: f64, dropped: Option<(usize, f64)>) -> (usize, f64) {
        let n = self.step.len();
        let (c, r, barred) = (&self.correlation[..n], &self.rate[..n], &self.barred[..n]);
        for k in 0..n {
            // where the two are equal both are λ, which is beyond the end of the path
            let above = c[k] > lambda * r[k];
            let distance = if above { lambda - c[k] } else { lambda + c[k] };
            let speed = if above { 1.0 - r[k] } else { 1.0 + r[k] };
            // rounding may have carried a correlation past λ
            let distance = if distance > 0.0 { distance } else { 0.0 };
            self.step[k] = if speed > 0.0 && barred[k] == 0.0 { distance / speed } else { f64::INFINITY };
        }
        if let Some((k, sign)) = dropped {
            let towards = 1.0 + sign * r[k];
            self.step[k] = if towards > 0.0 { (lambda + sign * c[k]) / towards } else { f64::INFINITY };
        }
        let mut best = (0, f64::INFINITY);
        for (k, &step) in self.step.iter().enumerate() {
            if step < best.1 {
                best = (k, step);
            }
        }
        best
    }

    /// The place among the active atoms whose coefficient reaches 0 first, and the step at which it does.
    #[inline(always)]
    fn next_to_leave(&self) -> (usize, f64) {
        let mut best = (0, f64::INFINITY);
        for (i, (&a, &d)) in self.coefficient.iter().zip(&self.direction).enumerate() {
            let step = -a / d;
            if a * d < 0.0 && step < best.1 {
                best = (i, step);
            }
        }
        best
    }

    /// Takes an atom in, unless it lies in the span of the others; either way it is not offered again.
    #[inline(always)]
    fn join(&mut self, book: &Codebook, atom: usize) {
        self.barred[atom] = 1.0;
        if self.extend_factor(book, self.active.len(), atom) {
            self.active.push(atom);
            self.sign.push(if self.correlation[atom] < 0.0 { -1.0 } else { 1.0 });
            self.coefficient.push(0.0);
        }
    }

    /// Writes row `place` of the factor for `atom`; false where it would have no length.
    #[inline(always)]
    fn extend_factor(&mut self, book: &Codebook, place: usize, atom: usize) -> bool {
        let stride = book.pixels;
        if place >= stride {
            return false;
        }
        let gram = book.gram_row(atom);
        let mut rest = gram[atom];
        let (above, row) = self.factor.split_at_mut(place * stride);
        for i in 0..place {
            let known = &above[i * stride..i * stride + i + 1];
            let mut sum = gram[self.active[i]];
            for j in 0..i {
                sum -= row[j] * known[j];
            }
            row[i] = sum / known[i];
            rest -= row[i] * row[i];
        }
        row[place] = rest.max(0.0).sqrt();
        rest > COLLINEAR * gram[atom]
    }

    /// Lets the atom at `place` go; atoms that lay in the span of the others are offered again.
    #[inline(always)]
    fn leave(&mut self, book: &Codebook, place: usize) {
        self.active.remove(place);
        self.sign.remove(place);
        self.coefficient.remove(place);
        self.forward.truncate(place);
        self.barred.fill(0.0);
        for i in place..self.active.len() {
            // a part of independent atoms is independent
            self.extend_factor(book, i, self.active[i]);
        }
        for &k in &self.active {
            self.barred[k] = 1.0;
        }
    }

    fn least_squares(&mut self, book: &Codebook) {
        for (a, &k) in self.coefficient.iter_mut().zip(&self.active) {
            *a = self.start[k];
        }
        solve(&self.factor, book.pixels, &mut self.coefficient);
    }

    /// Conjugate gradients on the normal equations of the active atoms.
    fn descend(&mut self, book: &Codebook) {
        let n = self.active.len();
        let product = |x: &[f64], i: usize| -> f64 {
            let gram = book.gram_row(self.active[i]);
            self.active.iter().zip(x).map(|(&k, v)| gram[k] * v).sum()
        };
        let mut residual: Vec<f64> = (0..n).map(|i| self.start[self.active[i]] - product(&self.coefficient, i)).collect();
        let mut direction = residual.clone();
        let mut square: f64 = residual.iter().map(|r| r * r).sum();
        let goal = DEBIASED * square;
        for _ in 0..n {
            if square <= goal {
                return;
            }
            let moved: Vec<f64> = (0..n).map(|i| product(&direction, i)).collect();
            let curvature: f64 = direction.iter().zip(&moved).map(|(d, m)| d * m).sum();
            if curvature <= 0.0 {
                return;
            }
            let step = square / curvature;
            for i in 0..n {
                self.coefficient[i] += step * direction[i];
                residual[i] -= step * moved[i];
            }
            let next: f64 = residual.iter().map(|r| r * r).sum();
            let turn = next / square;
            direction.iter_mut().zip(&residual).for_each(|(d, r)| *d = r + turn * *d);
            square = next;
        }
    }
}

/// Solves `L Lᵀ x = b` in place for the leading rows of a lower triangle whose rows are `stride` apart.
#[inline(always)]
fn solve(factor: &[f64], stride: usize, x: &mut [f64]) {
    for i in 0..x.len() {
        let (solved, rest) = x.split_at_mut(i);
        rest[0] = forward_step(factor, stride, solved, rest[0]);
    }
    solve_back(factor, stride, x);
}

/// The next number of the solution of `L x = b`, from those before it and its number of `b`.
#[inline(always)]
fn forward_step(factor: &[f64], stride: usize, solved: &[f64], b: f64) -> f64 {
    let i = solved.len();
    let row = &factor[i * stride..i * stride + i + 1];
    let sum = row.iter().zip(solved).fold(b, |sum, (l, x)| sum - l * x);
    sum / row[i]
}

/// Solves `Lᵀ x = b` in place.
#[inline(always)]
fn solve_back(factor: &[f64], stride: usize, x: &mut [f64]) {
    for i in (0..x.len()).rev() {
        let row = &factor[i * stride..i * stride + i + 1];
        x[i] /= row[i];
        let v = x[i];
        for (j, r) in row[..i].iter().enumerate() {
            x[j] -= r * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spstfm::reference;
    use crate::spstfm::vectors::{dot, normalise};

    /// Atoms of unit length that are alike to a degree: smooth ones, noise, and copies of others.
    fn dictionary() -> impl Strategy<Value = (usize, Vec<f64>)> {
        (2usize..20, 1usize..40, 0.0f64..1.0, prop::collection::vec(-1.0f64..1.0, 40 * 20), any::<bool>()).prop_map(
            |(pixels, count, likeness, noise, copies)| {
                let mut atoms = Vec::new();
                for k in 0..count {
                    let mut atom: Vec<f64> = (0..pixels)
                        .map(|p| likeness * (1.0 + p as f64 / pixels as f64) + (1.0 - likeness) * noise[k * 20 + p])
                        .collect();
                    if copies && k % 5 == 4 {
                        atom.copy_from_slice(&atoms[(k - 2) * pixels..(k - 1) * pixels]);
                    }
                    normalise(&mut atom);
                    atoms.extend(atom);
                }
                (pixels, atoms)
            },
        )
    }

    fn code(path: Path, atoms: &[f64], signal: &[f64], rule: Rule) -> (Vec<f64>, f64) {
        let book = Codebook::new(atoms, signal.len(), &Cancel::new()).unwrap();
        let mut coder = Coder::new(path);
        // buffers that hold another code must not matter
        coder.code(&book, &vec![1.0; signal.len()], rule);
        coder.code(&book, signal, rule);
        let mut all = vec![0.0; book.atoms];
        coder.atoms().iter().zip(coder.coefficients()).for_each(|(&k, &a)| all[k] = a);
        (all, coder.tau())
    }

    fn rest(atoms: &[f64], code: &[f64], signal: &[f64]) -> Vec<f64> {
        let mut rest = signal.to_vec();
        atoms.chunks_exact(signal.len()).zip(code).for_each(|(d, &a)| add_scaled(&mut rest, -a, d));
        rest
    }

    const PLAIN: Rule = Rule { sparsity: 0.1, debias: Debias::Off };

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_code_is_the_minimiser(
            (pixels, atoms) in dictionary(), signal in prop::collection::vec(-3.0f64..3.0, 20), sparsity in 0.01f64..0.9,
        ) {
            let signal = &signal[..pixels];
            let (code, tau) = code(Path::widest(), &atoms, signal, Rule { sparsity, ..PLAIN });
            // the subgradient of a convex function holds 0 at its minimum, and only there
            let rest = rest(&atoms, &code, signal);
            for (k, (d, &a)) in atoms.chunks_exact(pixels).zip(&code).enumerate() {
                let c = dot(d, &rest);
                prop_assert!(c.abs() <= tau * (1.0 + 1e-6) + 1e-12, "atom {}: {} beyond {}", k, c, tau);
                prop_assert!(a == 0.0 || (c - a.signum() * tau).abs() <= 1e-6 * tau, "atom {}: {} with coefficient {}", k, c, a);
            }
        }

        #[test]
        fn the_objective_is_that_of_coordinate_descent(
            (pixels, atoms) in dictionary(), signal in prop::collection::vec(-3.0f64..3.0, 20), sparsity in 0.05f64..0.9,
        ) {
            let signal = &signal[..pixels];
            let (fast, tau) = code(Path::widest(), &atoms, signal, Rule { sparsity, ..PLAIN });
            let columns: Vec<Vec<f64>> = atoms.chunks_exact(pixels).map(<[f64]>::to_vec).collect();
            let (slow, slow_tau) = reference::sparse_code(&columns, signal, sparsity);
            let objective = |code: &[f64]| {
                let rest = rest(&atoms, code, signal);
                0.5 * dot(&rest, &rest) + tau * code.iter().map(|a| a.abs()).sum::<f64>()
            };
            prop_assert!((tau - slow_tau).abs() <= 1e-12 * tau);
            prop_assert!(objective(&fast) <= objective(&slow) * (1.0 + 1e-9) + 1e-12, "{} > {}", objective(&fast), objective(&slow));
        }

        #[test]
        fn least_squares_leaves_nothing_along_the_chosen_atoms(
            (pixels, atoms) in dictionary(), signal in prop::collection::vec(-3.0f64..3.0, 20),
        ) {
            let signal = &signal[..pixels];
            let [off, partial, full] = [Debias::Off, Debias::Partial, Debias::Full]
                .map(|debias| code(Path::widest(), &atoms, signal, Rule { debias, ..PLAIN }).0);
            let square = |code: &[f64]| {
                let rest = rest(&atoms, code, signal);
                dot(&rest, &rest)
            };
            let left = rest(&atoms, &full, signal);
            for (d, _) in atoms.chunks_exact(pixels).zip(&full).filter(|(_, &a)| a != 0.0) {
                prop_assert!(dot(d, &left).abs() < 1e-4, "{}", dot(d, &left));
            }
            prop_assert!(square(&full) <= square(&partial) + 1e-9 && square(&partial) <= square(&off) + 1e-9);
        }

        #[test]
        fn every_path_gives_the_same_bits((pixels, atoms) in dictionary(), signal in prop::collection::vec(-3.0f64..3.0, 20)) {
            let rule = Rule { debias: Debias::Partial, ..PLAIN };
            let bits = |path| {
                let (code, tau) = code(path, &atoms, &signal[..pixels], rule);
                code.iter().chain([&tau]).map(|v| v.to_bits()).collect::<Vec<_>>()
            };
            let first = bits(Path::Baseline);
            for &path in Path::ALL.iter().filter(|p| p.is_available()) {
                prop_assert_eq!(&first, &bits(path), "{}", path);
            }
        }
    }

    #[test]
    fn a_signal_without_a_part_in_any_atom_has_an_empty_code() {
        let atoms = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        assert_eq!(code(Path::widest(), &atoms, &[0.0, 0.0, 3.0], PLAIN), (vec![0.0, 0.0], 0.0));
        assert_eq!(code(Path::widest(), &[0.0; 6], &[1.0, 2.0, 3.0], PLAIN), (vec![0.0, 0.0], 0.0));
    }

    #[test]
    fn orthogonal_atoms_are_shrunk_one_by_one() {
        let (code, tau) = code(Path::widest(), &[1.0, 0.0, 0.0, 1.0], &[4.0, -1.0], Rule { sparsity: 0.5, ..PLAIN });
        assert_eq!((code, tau), (vec![2.0, 0.0], 2.0));
    }
}
