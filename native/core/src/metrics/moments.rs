//! Errors and centred second moments of one band, built row by row and merged.

use std::ops::Range;

use ndarray::ArrayView1;

use super::Block;

const LANES: usize = 8;

/// Sum of `term(i)` for `i` in `0..n`, always in the same order: eight interleaved partial sums, then pairs.
#[inline(always)]
fn lane_sums<const K: usize>(n: usize, term: impl Fn(usize) -> [f64; K]) -> [f64; K] {
    let mut lanes = [[0.0; LANES]; K];
    for start in (0..n).step_by(LANES) {
        let width = LANES.min(n - start);
        if width == LANES {
            add_lanes(&mut lanes, LANES, |lane| term(start + lane));
        } else {
            add_lanes(&mut lanes, width, |lane| term(start + lane));
        }
    }
    lanes.map(|l| ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7])))
}

#[inline(always)]
fn add_lanes<const K: usize>(lanes: &mut [[f64; LANES]; K], width: usize, term: impl Fn(usize) -> [f64; K]) {
    for lane in 0..width {
        for (lanes, value) in lanes.iter_mut().zip(term(lane)) {
            lanes[lane] += value;
        }
    }
}

/// Sum of `values` in the fixed order of [`lane_sums`].
#[inline(always)]
pub(super) fn sum(values: &[f64]) -> f64 {
    lane_sums(values.len(), |i| [values[i]])[0]
}

/// Moments of the valid samples of one band: `p` prediction, `t` truth.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    pub n: u64,
    pub mean_p: f64,
    pub mean_t: f64,
    /// Σ(p − mean p)².
    pub square_p: f64,
    /// Σ(t − mean t)².
    pub square_t: f64,
    /// Σ(p − mean p)(t − mean t).
    pub product: f64,
    /// Σ|p − t|.
    pub absolute: f64,
    /// Σ(p − t).
    pub difference: f64,
    /// Σ(p − t)².
    pub squares: f64,
    /// Σ(b − t)² of every baseline b.
    pub baseline_squares: Vec<f64>,
}

impl Moments {
    pub fn new(baselines: usize) -> Self {
        Moments {
            n: 0,
            mean_p: 0.0,
            mean_t: 0.0,
            square_p: 0.0,
            square_t: 0.0,
            product: 0.0,
            absolute: 0.0,
            difference: 0.0,
            squares: 0.0,
            baseline_squares: vec![0.0; baselines],
        }
    }

    /// Of the samples `p` and `t`, and those of every baseline, in the same order.
    #[inline(always)]
    fn of<'a>(p: &[f64], t: &[f64], baselines: impl ExactSizeIterator<Item = &'a [f64]>) -> Self {
        let n = p.len();
        let t = &t[..n];
        if n == 0 {
            return Moments::new(baselines.len());
        }
        let [sum_p, sum_t, absolute, difference, squares] = lane_sums(n, |i| {
            let d = p[i] - t[i];
            [p[i], t[i], d.abs(), d, d * d]
        });
        let (mean_p, mean_t) = (sum_p / n as f64, sum_t / n as f64);
        let [square_p, square_t, product] = lane_sums(n, |i| {
            let (a, b) = (p[i] - mean_p, t[i] - mean_t);
            [a * a, b * b, a * b]
        });
        let square_error = |b: &[f64]| {
            let b = &b[..n];
            lane_sums(n, |i| [(b[i] - t[i]) * (b[i] - t[i])])[0]
        };
        let baseline_squares = baselines.map(square_error).collect();
        Moments { n: n as u64, mean_p, mean_t, square_p, square_t, product, absolute, difference, squares, baseline_squares }
    }

    /// Chan, Golub & LeVeque (1983), eq. 1.5, for two variables.
    pub fn merge(&mut self, other: &Moments) {
        if other.n == 0 {
            return;
        }
        if self.n == 0 {
            self.clone_from(other);
            return;
        }
        let (a, b) = (self.n as f64, other.n as f64);
        let n = a + b;
        let (dp, dt) = (other.mean_p - self.mean_p, other.mean_t - self.mean_t);
        self.square_p += other.square_p + dp * dp * (a * b / n);
        self.square_t += other.square_t + dt * dt * (a * b / n);
        self.product += other.product + dp * dt * (a * b / n);
        self.mean_p += dp * (b / n);
        self.mean_t += dt * (b / n);
        self.absolute += other.absolute;
        self.difference += other.difference;
        self.squares += other.squares;
        self.baseline_squares.iter_mut().zip(&other.baseline_squares).for_each(|(x, y)| *x += y);
        self.n += other.n;
    }
}

/// One row of one band: as it lies (invalid samples NaN in both images), and its valid samples packed.
#[derive(Debug)]
pub(super) struct RowBuffers {
    prediction: Vec<f64>,
    truth: Vec<f64>,
    baselines: Vec<Vec<f64>>,
    packed_prediction: Vec<f64>,
    packed_truth: Vec<f64>,
    packed_baselines: Vec<Vec<f64>>,
}

impl RowBuffers {
    pub fn new(cols: usize, baselines: usize) -> Self {
        let row = vec![0.0; cols];
        let many = vec![row.clone(); baselines];
        RowBuffers {
            prediction: row.clone(),
            truth: row.clone(),
            baselines: many.clone(),
            packed_prediction: row.clone(),
            packed_truth: row,
            packed_baselines: many,
        }
    }

    /// Reads row `row` (of the padded block) of band `band`.
    #[inline(always)]
    pub fn read(&mut self, block: &Block<'_>, band: usize, row: usize) {
        let line = |image: &ndarray::ArrayView3<'_, f32>, out: &mut [f64]| {
            read_row(image.index_axis(ndarray::Axis(0), band).index_axis(ndarray::Axis(0), row), out);
        };
        line(&block.prediction, &mut self.prediction);
        line(&block.truth, &mut self.truth);
        for (image, out) in block.baselines.iter().zip(&mut self.baselines) {
            line(image, out);
            for ((b, p), t) in out.iter().zip(&mut self.prediction).zip(&mut self.truth) {
                if !b.is_finite() {
                    (*p, *t) = (f64::NAN, f64::NAN);
                }
            }
        }
        for (p, t) in self.prediction.iter_mut().zip(&mut self.truth) {
            if !(p.is_finite() && t.is_finite()) {
                (*p, *t) = (f64::NAN, f64::NAN);
            }
        }
    }

    /// The prediction's row, NaN where any image is invalid.
    pub fn prediction(&self) -> &[f64] {
        &self.prediction
    }

    /// The truth's row, NaN where any image is invalid.
    pub fn truth(&self) -> &[f64] {
        &self.truth
    }

    /// Moments of the valid samples in columns `cols`.
    #[inline(always)]
    pub fn moments(&mut self, cols: Range<usize>) -> Moments {
        let truth = &self.truth[cols.clone()];
        let n = truth.iter().filter(|t| !t.is_nan()).count();
        if n == truth.len() {
            let baselines = self.baselines.iter().map(|b| &b[cols.clone()]);
            return Moments::of(&self.prediction[cols.clone()], truth, baselines);
        }
        let pack = |from: &[f64], to: &mut [f64]| {
            let mut next = 0;
            for (v, t) in from[cols.clone()].iter().zip(truth) {
                to[next] = *v;
                next += usize::from(!t.is_nan());
            }
        };
        pack(&self.prediction, &mut self.packed_prediction);
        pack(&self.truth, &mut self.packed_truth);
        for (from, to) in self.baselines.iter().zip(&mut self.packed_baselines) {
            pack(from, to);
        }
        let baselines = self.packed_baselines.iter().map(|b| &b[..n]);
        Moments::of(&self.packed_prediction[..n], &self.packed_truth[..n], baselines)
    }
}

/// Reads a row as `f64`.
#[inline(always)]
pub(super) fn read_row(row: ArrayView1<'_, f32>, out: &mut [f64]) {
    match row.as_slice() {
        Some(slice) => slice.iter().zip(out).for_each(|(v, o)| *o = f64::from(*v)),
        None => row.iter().zip(out).for_each(|(v, o)| *o = f64::from(*v)),
    }
}
