//! The spectral angle between prediction and truth.

use ndarray::{s, Axis};

use super::moments::sum;
use super::Block;

/// Sum of spectral angles (radians) over the pixels that have one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Angles {
    pub n: u64,
    pub sum: f64,
}

impl Angles {
    /// Angles of the pixels of the block's region whose first pixel is (`top`, `left`) of the padded block.
    ///
    /// Kahan's form 2 atan2(| |t|p − |p|t |, | |t|p + |p|t |): exact at small angles, where the arc cosine is not.
    pub fn of(block: &Block<'_>, top: usize, left: usize) -> Self {
        let (rows, cols) = (block.region.rows, block.region.cols);
        let window = s![.., top..top + rows, left..left + cols];
        let (prediction, truth) = (block.prediction.slice(window), block.truth.slice(window));
        let baselines: Vec<_> = block.baselines.iter().map(|b| b.slice(window)).collect();
        let mut total = Angles::default();
        let mut norm_p = vec![0.0; cols];
        let mut norm_t = vec![0.0; cols];
        let mut apart = vec![0.0; cols];
        let mut along = vec![0.0; cols];
        for row in 0..rows {
            [&mut norm_p, &mut norm_t, &mut apart, &mut along].into_iter().for_each(|v| v.fill(0.0));
            let (p_row, t_row) = (prediction.index_axis(Axis(1), row), truth.index_axis(Axis(1), row));
            for (p, t) in p_row.outer_iter().zip(t_row.outer_iter()) {
                for (j, (&p, &t)) in p.iter().zip(t).enumerate() {
                    norm_p[j] += f64::from(p) * f64::from(p);
                    norm_t[j] += f64::from(t) * f64::from(t);
                }
            }
            for baseline in &baselines {
                for band in baseline.index_axis(Axis(1), row).outer_iter() {
                    for (j, &b) in band.iter().enumerate() {
                        norm_p[j] = if b.is_finite() { norm_p[j] } else { f64::NAN };
                    }
                }
            }
            norm_p.iter_mut().chain(&mut norm_t).for_each(|v| *v = v.sqrt());
            for (p, t) in p_row.outer_iter().zip(t_row.outer_iter()) {
                for (j, (&p, &t)) in p.iter().zip(t).enumerate() {
                    let (p, t) = (f64::from(p) * norm_t[j], f64::from(t) * norm_p[j]);
                    apart[j] += (p - t) * (p - t);
                    along[j] += (p + t) * (p + t);
                }
            }
            let mut n = 0;
            for j in 0..cols {
                let scale = norm_p[j] * norm_t[j];
                if scale > 0.0 && scale.is_finite() {
                    apart[n] = 2.0 * apart[j].sqrt().atan2(along[j].sqrt());
                    n += 1;
                }
            }
            total.merge(&Angles { n: n as u64, sum: sum(&apart[..n]) });
        }
        total
    }

    pub fn merge(&mut self, other: &Angles) {
        self.n += other.n;
        self.sum += other.sum;
    }

    /// Mean angle in degrees.
    pub fn mean_deg(&self) -> Option<f64> {
        (self.n > 0).then(|| (self.sum / self.n as f64).to_degrees())
    }
}
