//! The spectral angle between prediction and truth.

use ndarray::s;

use super::moments::{read_row, sum};
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
    #[inline(always)]
    pub fn of(block: &Block<'_>, top: usize, left: usize) -> Self {
        let (bands, rows, cols) = (block.truth.dim().0, block.region.rows, block.region.cols);
        let window = s![.., top..top + rows, left..left + cols];
        let (prediction, truth) = (block.prediction.slice(window), block.truth.slice(window));
        let baselines: Vec<_> = block.baselines.iter().map(|b| b.slice(window)).collect();
        let mut total = Angles::default();
        let buffer = || vec![0.0; cols];
        let (mut norm_p, mut norm_t, mut apart, mut along) = (buffer(), buffer(), buffer(), buffer());
        let (mut p_row, mut t_row) = (buffer(), buffer());
        for row in 0..rows {
            [&mut norm_p, &mut norm_t, &mut apart, &mut along].into_iter().for_each(|v| v.fill(0.0));
            for band in 0..bands {
                read_row(prediction.slice(s![band, row, ..]), &mut p_row);
                read_row(truth.slice(s![band, row, ..]), &mut t_row);
                norm_p.iter_mut().zip(&p_row).for_each(|(n, p)| *n += p * p);
                norm_t.iter_mut().zip(&t_row).for_each(|(n, t)| *n += t * t);
                for baseline in &baselines {
                    read_row(baseline.slice(s![band, row, ..]), &mut p_row);
                    norm_p.iter_mut().zip(&p_row).for_each(|(n, b)| *n = if b.is_finite() { *n } else { f64::NAN });
                }
            }
            norm_p.iter_mut().chain(&mut norm_t).for_each(|v| *v = v.sqrt());
            for band in 0..bands {
                read_row(prediction.slice(s![band, row, ..]), &mut p_row);
                read_row(truth.slice(s![band, row, ..]), &mut t_row);
                let samples = p_row.iter().zip(&t_row).zip(norm_p.iter().zip(&norm_t));
                for ((apart, along), ((p, t), (np, nt))) in apart.iter_mut().zip(&mut along).zip(samples) {
                    let (p, t) = (p * nt, t * np);
                    *apart += (p - t) * (p - t);
                    *along += (p + t) * (p + t);
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
