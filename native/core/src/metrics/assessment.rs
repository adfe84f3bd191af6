//! The finished scores as a value, and as text.

use std::fmt::Write as _;

use serde::Serialize;

use super::moments::Moments;
use super::Assessor;
use crate::text::{decimals, number, table};

/// Scores of one band, or of all. `None` (null in JSON) where undefined: no sample, no window, a constant image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// Number of samples that count.
    pub n: u64,
    /// Root mean square error.
    pub rmse: Option<f64>,
    /// Mean absolute error.
    pub mae: Option<f64>,
    /// Mean of prediction − truth.
    pub bias: Option<f64>,
    /// RMSE / |mean of the truth|, a ratio.
    pub rrmse: Option<f64>,
    /// Pearson's correlation.
    pub r: Option<f64>,
    /// Coefficient of determination, 1 − SSE / SST.
    pub r2: Option<f64>,
    /// Structural similarity, mean over its windows.
    pub ssim: Option<f64>,
    /// Peak signal-to-noise ratio in decibels; infinite (null in JSON) for identical images.
    pub psnr: Option<f64>,
    /// Universal image quality index.
    pub uiqi: Option<f64>,
}

/// Scores of one band.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BandScores {
    /// Label of the band.
    pub label: String,
    /// Its scores.
    #[serde(flatten)]
    pub scores: Scores,
}

/// Scores of all bands together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overall {
    /// Errors and PSNR over the samples of all bands; R, R², SSIM and UIQI the mean over the bands.
    #[serde(flatten)]
    pub scores: Scores,
    /// Mean spectral angle in degrees; `None` with a single band.
    pub sam_deg: Option<f64>,
    /// ERGAS with h/l = 1/scale; `None` without a scale.
    pub ergas: Option<f64>,
}

/// The prediction against one baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Skill {
    /// Label of the baseline.
    pub baseline: String,
    /// 1 − RMSE / RMSE of the baseline, over the samples of all bands; `None` when the baseline is without error.
    pub skill: Option<f64>,
    /// The same for every band.
    pub skill_per_band: Vec<Option<f64>>,
    /// RMSE of the baseline over the samples of all bands.
    pub rmse: Option<f64>,
    /// The same for every band.
    pub rmse_per_band: Vec<Option<f64>>,
}

/// Accuracy of a prediction against the truth; the [module](super) defines every figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assessment {
    /// Skill against the baselines, in the order in which they were given.
    pub skill: Vec<Skill>,
    /// All bands together.
    pub overall: Overall,
    /// Every band.
    pub bands: Vec<BandScores>,
    /// L of SSIM and PSNR.
    pub data_range: f64,
    /// Fine pixels per coarse-pixel side, if known.
    pub scale: Option<f64>,
}

fn defined(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

/// `a / b`, undefined when `b` is zero.
fn ratio(a: f64, b: f64) -> Option<f64> {
    if b == 0.0 {
        None
    } else {
        defined(a / b)
    }
}

fn mean_of(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let known: Vec<f64> = values.flatten().collect();
    ratio(known.iter().sum(), known.len() as f64)
}

fn errors(n: u64, squares: f64, absolute: f64, difference: f64, sum_t: f64, data_range: f64) -> Scores {
    let count = n as f64;
    let rmse = ratio(squares, count).map(f64::sqrt);
    Scores {
        n,
        rmse,
        mae: ratio(absolute, count),
        bias: ratio(difference, count),
        rrmse: rmse.and_then(|e| ratio(e, (sum_t / count).abs())),
        r: None,
        r2: None,
        ssim: None,
        psnr: rmse.map(|e| 20.0 * (data_range / e).log10()),
        uiqi: None,
    }
}

fn band_scores(m: &Moments, ssim: Option<f64>, data_range: f64) -> Scores {
    let power = m.mean_p * m.mean_p + m.mean_t * m.mean_t;
    Scores {
        r: ratio(m.product, (m.square_p * m.square_t).sqrt()),
        r2: ratio(m.squares, m.square_t).map(|q| 1.0 - q),
        ssim,
        uiqi: ratio(4.0 * m.product * m.mean_p * m.mean_t, (m.square_p + m.square_t) * power),
        ..errors(m.n, m.squares, m.absolute, m.difference, m.mean_t * m.n as f64, data_range)
    }
}

fn label(given: &[String], index: usize, what: &str) -> String {
    given.get(index).cloned().unwrap_or_else(|| format!("{what} {}", index + 1))
}

pub(super) fn finish(sums: &Assessor, bands: &[String], baselines: &[String], scale: Option<f64>) -> Assessment {
    let l = sums.data_range;
    let moments = &sums.moments;
    let per_band: Vec<BandScores> = moments
        .iter()
        .zip(&sums.ssim)
        .enumerate()
        .map(|(b, (m, ssim))| BandScores { label: label(bands, b, "band"), scores: band_scores(m, ssim.mean(), l) })
        .collect();
    let total = |f: &dyn Fn(&Moments) -> f64| moments.iter().map(f).sum::<f64>();
    let n = moments.iter().map(|m| m.n).sum();
    let mean = |f: fn(&Scores) -> Option<f64>| mean_of(per_band.iter().map(|b| f(&b.scores)));
    let scores = Scores {
        r: mean(|s| s.r),
        r2: mean(|s| s.r2),
        ssim: mean(|s| s.ssim),
        uiqi: mean(|s| s.uiqi),
        ..errors(n, total(&|m| m.squares), total(&|m| m.absolute), total(&|m| m.difference), total(&|m| m.mean_t * m.n as f64), l)
    };
    let relative: Option<Vec<f64>> = per_band.iter().map(|b| b.scores.rrmse.map(|e| e * e)).collect();
    let ergas = scale.zip(relative).and_then(|(scale, e)| Some(100.0 / scale * ratio(e.iter().sum(), e.len() as f64)?.sqrt()));
    let skill = (0..sums.baselines())
        .map(|k| {
            let rmse = |squares: f64, n: u64| ratio(squares, n as f64).map(f64::sqrt);
            let against = |own: Option<f64>, other: Option<f64>| own.zip(other).and_then(|(a, b)| ratio(a, b)).map(|q| 1.0 - q);
            let rmse_per_band: Vec<_> = moments.iter().map(|m| rmse(m.baseline_squares[k], m.n)).collect();
            let all = rmse(total(&|m| m.baseline_squares[k]), n);
            Skill {
                baseline: label(baselines, k, "baseline"),
                skill: against(scores.rmse, all),
                skill_per_band: per_band.iter().zip(&rmse_per_band).map(|(b, r)| against(b.scores.rmse, *r)).collect(),
                rmse: all,
                rmse_per_band,
            }
        })
        .collect();
    Assessment {
        skill,
        overall: Overall { scores, sam_deg: sums.angles.mean_deg(), ergas },
        bands: per_band,
        data_range: l,
        scale,
    }
}

impl Assessment {
    /// The assessment as a table for a terminal or a log: skill first, then the scores; plain ASCII but for the labels.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if !self.skill.is_empty() {
            text.push_str("Skill (1 - RMSE / RMSE of the baseline: 1 is perfect, below 0 the baseline is better)\n\n");
            text.push_str(&self.skill_table());
            text.push('\n');
        }
        text.push_str("Accuracy (prediction against truth)\n\n");
        text.push_str(&self.score_table());
        let _ = write!(text, "\nSAM {} degrees   ERGAS {}", number(self.overall.sam_deg, 3), number(self.overall.ergas, 3));
        let _ = match self.scale {
            Some(scale) => write!(text, " (scale {})", (scale * 100.0).round() / 100.0),
            None => write!(text, " (scale unknown)"),
        };
        let _ = writeln!(text, "   data range of SSIM and PSNR {}", self.data_range);
        text
    }

    fn skill_table(&self) -> String {
        let mut rows =
            vec![std::iter::once("band".into()).chain(self.skill.iter().map(|s| s.baseline.clone())).collect::<Vec<_>>()];
        for (b, band) in self.bands.iter().enumerate() {
            let cells = self.skill.iter().map(|s| number(s.skill_per_band[b], 3));
            rows.push(std::iter::once(band.label.clone()).chain(cells).collect());
        }
        rows.push(std::iter::once("overall".into()).chain(self.skill.iter().map(|s| number(s.skill, 3))).collect());
        table(&rows)
    }

    fn score_table(&self) -> String {
        let all: Vec<(&str, &Scores)> = self
            .bands
            .iter()
            .map(|b| (b.label.as_str(), &b.scores))
            .chain(std::iter::once(("overall", &self.overall.scores)))
            .collect();
        let errors: Vec<Option<f64>> = all.iter().flat_map(|(_, s)| [s.rmse, s.mae, s.bias]).collect();
        let d = decimals(&errors);
        let header = ["band", "n", "RMSE", "MAE", "bias", "rRMSE", "R", "R2", "SSIM", "PSNR", "UIQI"];
        let mut rows = vec![header.map(String::from).to_vec()];
        for (label, s) in all {
            rows.push(vec![
                label.into(),
                s.n.to_string(),
                number(s.rmse, d),
                number(s.mae, d),
                number(s.bias, d),
                number(s.rrmse, 4),
                number(s.r, 4),
                number(s.r2, 4),
                number(s.ssim, 4),
                number(s.psnr, 2),
                number(s.uiqi, 4),
            ]);
        }
        table(&rows)
    }
}
