//! SSIM of a block, row by row.
//!
//! ```text
//! for each row:   x, y  ->  x, y, x²+y², xy  ->  11 taps along the row  ->  ring of 11 rows
//! with 11 rows:   11 taps down the columns   ->  μx, μy, E(x²+y²), E(xy)  ->  SSIM of the windows centred 5 rows up
//! ```
//!
//! An invalid sample is NaN and makes NaN of every window that holds it; those windows are not counted.

use std::ops::Range;

use super::moments::sum;
use crate::Region;

/// Half of the window's side.
pub(super) const RADIUS: usize = 5;
const SIDE: usize = 2 * RADIUS + 1;
const SIGMA: f64 = 1.5;
const PLANES: usize = 4;
/// Elements computed at once.
const GROUP: usize = 8;

/// Weights of the window's row at distance 0..=5 from its centre; both halves together sum to 1.
fn weights() -> [f64; RADIUS + 1] {
    let mut w = [0.0; RADIUS + 1];
    for (k, w) in w.iter_mut().enumerate() {
        *w = (-((k * k) as f64) / (2.0 * SIGMA * SIGMA)).exp();
    }
    let total = w[0] + 2.0 * w[1..].iter().sum::<f64>();
    w.map(|w| w / total)
}

/// Sum of SSIM over the windows that have one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ssim {
    pub n: u64,
    pub sum: f64,
}

impl Ssim {
    pub fn merge(&mut self, other: &Ssim) {
        self.n += other.n;
        self.sum += other.sum;
    }

    /// Mean over the windows.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }
}

/// The windows of one band of one block.
#[derive(Debug)]
pub(super) struct Filter {
    taps: [f64; RADIUS + 1],
    c1: f64,
    c2: f64,
    /// Rows of the padded block at which windows are centred.
    rows: Range<usize>,
    /// Columns of the padded block at which windows are centred.
    cols: Range<usize>,
    next_row: usize,
    ring: Vec<f64>,
    products: [Vec<f64>; 2],
    means: [Vec<f64>; PLANES],
    total: Ssim,
}

impl Filter {
    /// For the block `region`, whose first pixel is (`top`, `left`) of `padded`, and the data range `l`.
    pub fn new(top: usize, left: usize, region: Region, padded: Region, l: f64) -> Self {
        let centres = |start: usize, len: usize, given: usize| {
            let first = start.max(RADIUS);
            first..(start + len).min(given.saturating_sub(RADIUS)).max(first)
        };
        let mut rows = centres(top, region.rows, padded.rows);
        let cols = centres(left, region.cols, padded.cols);
        if cols.is_empty() {
            rows.end = rows.start;
        }
        let n = cols.len();
        Filter {
            taps: weights(),
            c1: (0.01 * l) * (0.01 * l),
            c2: (0.03 * l) * (0.03 * l),
            rows,
            cols,
            next_row: 0,
            ring: vec![0.0; SIDE * PLANES * n],
            products: std::array::from_fn(|_| vec![0.0; n + 2 * RADIUS]),
            means: std::array::from_fn(|_| vec![0.0; n]),
            total: Ssim::default(),
        }
    }

    /// Begins another band.
    pub fn restart(&mut self) {
        self.next_row = 0;
        self.total = Ssim::default();
    }

    /// Takes the next row of the padded block.
    #[inline(always)]
    pub fn push(&mut self, prediction: &[f64], truth: &[f64]) {
        let row = self.next_row;
        self.next_row += 1;
        if self.rows.is_empty() || row + RADIUS < self.rows.start || row >= self.rows.end + RADIUS {
            return;
        }
        let n = self.cols.len();
        let x = &prediction[self.cols.start - RADIUS..self.cols.end + RADIUS];
        let y = &truth[self.cols.start - RADIUS..self.cols.end + RADIUS];
        let [squares, product] = &mut self.products;
        for j in 0..n + 2 * RADIUS {
            squares[j] = x[j] * x[j] + y[j] * y[j];
            product[j] = x[j] * y[j];
        }
        let slot = &mut self.ring[row % SIDE * PLANES * n..][..PLANES * n];
        for (plane, out) in [x, y, &squares[..], &product[..]].into_iter().zip(slot.chunks_exact_mut(n)) {
            let parts: [&[f64]; SIDE] = std::array::from_fn(|k| &plane[k..k + n]);
            symmetric_taps(&self.taps, parts, out);
        }
        let first = self.rows.start - RADIUS;
        if row < first + SIDE - 1 {
            return;
        }
        let ring = &self.ring;
        for (p, out) in self.means.iter_mut().enumerate() {
            let parts: [&[f64]; SIDE] = std::array::from_fn(|k| &ring[((row + 1 + k) % SIDE * PLANES + p) * n..][..n]);
            symmetric_taps(&self.taps, parts, out);
        }
        self.count_windows();
    }

    /// Wang et al. (2004), eq. 13, of the windows of one row.
    #[inline(always)]
    fn count_windows(&mut self) {
        let (c1, c2) = (self.c1, self.c2);
        let [mx, my, squares, product] = &mut self.means;
        let n = mx.len();
        let (my, squares, product) = (&my[..n], &squares[..n], &product[..n]);
        let mut counted = 0;
        for j in 0..n {
            let (x, y) = (mx[j], my[j]);
            let (cross, power) = (x * y, x * x + y * y);
            let value = ((2.0 * cross + c1) * (2.0 * (product[j] - cross) + c2)) / ((power + c1) * (squares[j] - power + c2));
            counted += u64::from(!value.is_nan());
            mx[j] = if value.is_nan() { 0.0 } else { value };
        }
        self.total.merge(&Ssim { n: counted, sum: sum(mx) });
    }

    /// Sum over the windows of this band.
    pub fn total(&self) -> Ssim {
        self.total
    }
}

/// `out = taps[0] parts[5] + taps[1] (parts[4] + parts[6]) + …`, in this order for every element.
#[inline(always)]
fn symmetric_taps(taps: &[f64; RADIUS + 1], parts: [&[f64]; SIDE], out: &mut [f64]) {
    let n = out.len();
    let (groups, rest) = out.as_chunks_mut::<GROUP>();
    let count = groups.len();
    let split = parts.map(|p| p[..n].as_chunks::<GROUP>());
    let grouped = split.map(|(groups, _)| &groups[..count]);
    for (g, out) in groups.iter_mut().enumerate() {
        let mut total = grouped[RADIUS][g].map(|v| taps[0] * v);
        for k in 1..=RADIUS {
            let (before, after) = (&grouped[RADIUS - k][g], &grouped[RADIUS + k][g]);
            for j in 0..GROUP {
                total[j] += taps[k] * (before[j] + after[j]);
            }
        }
        *out = total;
    }
    for (j, out) in rest.iter_mut().enumerate() {
        let mut total = taps[0] * split[RADIUS].1[j];
        for k in 1..=RADIUS {
            total += taps[k] * (split[RADIUS - k].1[j] + split[RADIUS + k].1[j]);
        }
        *out = total;
    }
}
