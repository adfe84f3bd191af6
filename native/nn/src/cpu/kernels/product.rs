//! Products of matrices by register tiles: the columns of one matrix are packed in panels of two vectors, the rows of the other are
//! read where they lie.

use std::borrow::Cow;

use rayon::prelude::*;
use stfusion_simd::{Path, Simd};

use super::{with_scratch, with_vectors, Shared, Vectorised};

/// Rows that a task works on.
const ROWS: usize = 48;

/// Many products `a b + bias` of one size.
#[derive(Debug)]
pub(crate) struct Product {
    path: Path,
    rows: usize,
    inner: usize,
    columns: usize,
    /// Places of every product's matrices in the operands.
    pairs: Vec<(usize, usize)>,
    /// Whether b is given by its columns: `(columns, inner)`.
    transposed: bool,
    /// b, where it is known: `[panel][inner][column]`.
    packed: Option<Vec<f32>>,
    bias: Option<Vec<f32>>,
}

impl Product {
    /// Products of `(rows, inner)` and `(inner, columns)` at the places `pairs`.
    pub(crate) fn new(path: Path, [rows, inner, columns]: [usize; 3], pairs: Vec<(usize, usize)>) -> Self {
        Product { path, rows, inner, columns, pairs, transposed: false, packed: None, bias: None }
    }

    /// One product with a known matrix `(columns, inner)` and a bias.
    pub(crate) fn linear(path: Path, size: [usize; 3], weight: &[f32], bias: Option<&[f32]>) -> Self {
        let mut product = Product { transposed: true, ..Product::new(path, size, vec![(0, 0)]) };
        let mut packed = vec![0.0; product.packed_len()];
        product.pack(weight, &mut packed);
        product.packed = Some(packed);
        product.bias = bias.map(|b| {
            let mut bias = b.to_vec();
            bias.resize(size[2].next_multiple_of(product.panel()), 0.0);
            bias
        });
        product
    }

    fn panel(&self) -> usize {
        2 * self.path.lanes()
    }

    fn packed_len(&self) -> usize {
        self.columns.next_multiple_of(self.panel()) * self.inner
    }

    /// Bytes that a run needs per thread beside its operands and results.
    pub(crate) fn scratch_bytes(&self) -> usize {
        if self.packed.is_some() {
            0
        } else {
            4 * self.packed_len()
        }
    }

    fn pack(&self, b: &[f32], to: &mut [f32]) {
        let (panel, k) = (self.panel(), self.inner);
        for (p, to) in to.chunks_exact_mut(panel * k).enumerate() {
            let first = p * panel;
            let count = panel.min(self.columns - first);
            for (l, to) in to.chunks_exact_mut(panel).enumerate() {
                if self.transposed {
                    (0..count).for_each(|j| to[j] = b[(first + j) * k + l]);
                } else {
                    to[..count].copy_from_slice(&b[l * self.columns + first..][..count]);
                }
                to[count..].fill(0.0);
            }
        }
    }

    /// All products, one after the other, into `y`. `b` may be empty where it is known.
    ///
    /// # Safety
    /// `y` must hold a value for every element of the result, and nobody else may touch it.
    pub(crate) unsafe fn run(&self, a: &[f32], b: &[f32], y: Shared) {
        let size = self.rows * self.columns;
        let of = |i: usize, packed: &[f32], rows: std::ops::Range<usize>| {
            let a = &a[self.pairs[i].0..][..self.rows * self.inner];
            // SAFETY: products and rows lie apart in the result.
            let y = Shared(unsafe { y.get().add(i * size) });
            with_vectors(self.path, Rows { product: self, a, packed, y, rows });
        };
        if self.packed.is_none() && self.pairs.len() > 3 {
            (0..self.pairs.len()).into_par_iter().for_each(|i| {
                with_scratch(self.packed_len(), |packed| {
                    self.pack(&b[self.pairs[i].1..][..self.inner * self.columns], packed);
                    of(i, packed, 0..self.rows);
                });
            });
            return;
        }
        for i in 0..self.pairs.len() {
            let packed = self.packed.as_deref().map_or_else(
                || {
                    let mut packed = vec![0.0; self.packed_len()];
                    self.pack(&b[self.pairs[i].1..][..self.inner * self.columns], &mut packed);
                    Cow::Owned(packed)
                },
                Cow::Borrowed,
            );
            (0..self.rows.div_ceil(ROWS)).into_par_iter().for_each(|t| of(i, &packed, t * ROWS..((t + 1) * ROWS).min(self.rows)));
        }
    }
}

/// Some rows of one product.
struct Rows<'a> {
    product: &'a Product,
    a: &'a [f32],
    packed: &'a [f32],
    y: Shared,
    rows: std::ops::Range<usize>,
}

impl Vectorised for Rows<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (k, n, panel) = (self.product.inner, self.product.columns, 2 * S::WIDTH);
        for (p, columns) in self.packed.chunks_exact(panel * k).enumerate() {
            let bias = self.product.bias.as_deref().map(|b| &b[p * panel..][..panel]);
            let mut row = self.rows.start;
            while row < self.rows.end {
                let count = (self.rows.end - row).min(6);
                let a = &self.a[row * k..][..count * k];
                let valid = panel.min(n - p * panel);
                // SAFETY: the rows of a and the columns of the panel hold k values each; this part of the result is this task's.
                unsafe {
                    let y = self.y.get().add(row * n + p * panel);
                    match count {
                        1 => tile::<S, 1>(s, k, a, columns, bias, y, n, valid),
                        2 => tile::<S, 2>(s, k, a, columns, bias, y, n, valid),
                        3 => tile::<S, 3>(s, k, a, columns, bias, y, n, valid),
                        4 => tile::<S, 4>(s, k, a, columns, bias, y, n, valid),
                        5 => tile::<S, 5>(s, k, a, columns, bias, y, n, valid),
                        _ => tile::<S, 6>(s, k, a, columns, bias, y, n, valid),
                    }
                }
                row += count;
            }
        }
    }
}

/// # Safety
/// `a` must hold N rows of k values, `b` k rows of two vectors, `y` N rows of `valid` values, `n` apart.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn tile<S: Simd, const N: usize>(
    s: S,
    k: usize,
    a: &[f32],
    b: &[f32],
    bias: Option<&[f32]>,
    y: *mut f32,
    n: usize,
    valid: usize,
) {
    // SAFETY: as for this function.
    unsafe {
        let start = match bias {
            Some(bias) => [s.load(bias.as_ptr()), s.load(bias.as_ptr().add(S::WIDTH))],
            None => [s.splat(0.0); 2],
        };
        let mut sums = [start; N];
        let (a, mut b) = (a.as_ptr(), b.as_ptr());
        for l in 0..k {
            let (u, v) = (s.load(b), s.load(b.add(S::WIDTH)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let w = s.splat(*a.add(i * k + l));
                sum[0] = s.mul_add(w, u, sum[0]);
                sum[1] = s.mul_add(w, v, sum[1]);
            }
            b = b.add(2 * S::WIDTH);
        }
        for (i, sum) in sums.iter().enumerate() {
            if valid == 2 * S::WIDTH {
                s.store(y.add(i * n), sum[0]);
                s.store(y.add(i * n + S::WIDTH), sum[1]);
            } else {
                let mut part = [0.0f32; 32];
                s.store(part.as_mut_ptr(), sum[0]);
                s.store(part.as_mut_ptr().add(S::WIDTH), sum[1]);
                std::ptr::copy_nonoverlapping(part.as_ptr(), y.add(i * n), valid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ops::{Linear, MatMul, Operator};
    use crate::reference::Array;

    fn noise(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
    }

    proptest! {
        #[test]
        fn products_of_any_size(batch in 1usize..6, m in 1usize..70, k in 1usize..50, n in 1usize..40) {
            let (a, b, bias) = (noise(batch * m * k, 1), noise(batch * k * n, 2), noise(n, 3));
            let wide = |shape: &[usize], v: &[f32]| Array::<f64>::new(shape, v.iter().map(|&v| v.into()).collect());
            for &path in Path::ALL.iter().filter(|p| p.is_available()) {
                let pairs = (0..batch).map(|i| (i * m * k, i * k * n)).collect();
                let mut y = vec![f32::NAN; batch * m * n];
                // SAFETY: y is of the result's size.
                unsafe { Product::new(path, [m, k, n], pairs).run(&a, &b, Shared(y.as_mut_ptr())) };
                let expected = MatMul.reference(&[&wide(&[batch, m, k], &a), &wide(&[batch, k, n], &b)]);
                for (got, expected) in y.iter().zip(expected[0].real()) {
                    prop_assert!((f64::from(*got) - expected).abs() < 1e-5, "{} {} {}", path, got, expected);
                }
                let mut y = vec![f32::NAN; m * n];
                // SAFETY: y is of the result's size.
                unsafe { Product::linear(path, [m, k, n], &b[..n * k], Some(&bias)).run(&a[..m * k], &[], Shared(y.as_mut_ptr())) };
                let expected = Linear.reference(&[&wide(&[m, k], &a[..m * k]), &wide(&[n, k], &b[..n * k]), &wide(&[n], &bias)]);
                for (got, expected) in y.iter().zip(expected[0].real()) {
                    prop_assert!((f64::from(*got) - expected).abs() < 1e-5, "{} {} {}", path, got, expected);
                }
            }
        }
    }
}
