//! The outcome of a comparison as a value, as a table for people and as CSV.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{json, Value as Json};
use stfusion_core::method::SceneInfo;
use stfusion_core::metrics::{Assessment, Assessor, Scores, Skill};
use stfusion_core::text::{decimals, number, table};
use stfusion_core::{Date, Error, ErrorKind, Result};

use super::candidates::Candidate;
use super::words;
use crate::job::Job;

/// An error or a reason, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// The remedy, if there is one.
    pub hint: Option<String>,
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Problem { message: error.message().into(), hint: error.hint().map(String::from) }
    }
}

/// One pair held back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fold {
    /// Its day, or its number where that is unknown.
    pub label: String,
    /// Its day.
    pub date: Option<Date>,
    /// Name of its fine image, the truth.
    pub fine: String,
    /// Name of its coarse image, the target.
    pub coarse: String,
    /// Samples (one band of one pixel) that are valid in the truth.
    pub truth_samples: u64,
    /// Samples valid in the truth and in every prediction: those that all methods are scored on.
    pub compared_samples: u64,
}

impl Fold {
    pub(super) fn new(job: &Job, info: &SceneInfo, held: usize) -> Self {
        let date = info.pairs[held].date;
        Fold {
            label: date.map_or_else(|| format!("pair {}", held + 1), |d| d.to_string()),
            date,
            fine: job.pairs[held].fine.name().into(),
            coarse: job.pairs[held].coarse.name().into(),
            truth_samples: 0,
            compared_samples: 0,
        }
    }
}

/// What a method made of one fold.
#[derive(Debug, Clone, Serialize)]
pub struct FoldScores {
    /// Pairs it predicted from, counted from 1 in the order of the job.
    pub pairs: Vec<usize>,
    /// Accuracy, and skill against the baselines of the same fold; `None` when it failed or nothing could be compared.
    pub scores: Option<Assessment>,
    /// Part (0..1) of the truth's valid samples that it predicted.
    pub valid_fraction: Option<f64>,
    /// Processor seconds of all threads, where the system counts them.
    pub cpu_seconds: Option<f64>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Estimated memory of the run in bytes, without what all methods share: GDAL's cache and the coarse images.
    pub memory_bytes: u64,
    /// Why there is no prediction.
    pub error: Option<Problem>,
}

/// A method over all folds.
#[derive(Debug, Clone, Serialize)]
pub struct MethodScores {
    /// Id, with the settings that differ from the default: `starfm:window=31`.
    pub name: String,
    /// Label with the same.
    pub label: String,
    /// Id of the method.
    pub method: String,
    /// All parameters.
    pub parameters: Json,
    /// Whether it is one of the baselines.
    pub baseline: bool,
    /// Publications, the method's own first: citation and DOI.
    pub references: Vec<Json>,
    /// Number of folds whose samples are in `scores`.
    pub folds_scored: usize,
    /// Accuracy over the samples of all its folds together, and skill against the baselines over the same folds.
    pub scores: Option<Assessment>,
    /// Part (0..1) of the truth's valid samples that it predicted.
    pub valid_fraction: Option<f64>,
    /// Processor seconds of a prediction, mean over the folds.
    pub cpu_seconds: Option<f64>,
    /// Wall-clock seconds of a prediction, mean over the folds.
    pub seconds: Option<f64>,
    /// Estimated memory of a prediction in bytes, the largest of the folds; see [`FoldScores::memory_bytes`].
    pub memory_bytes: Option<u64>,
    /// Fold by fold.
    pub folds: Vec<FoldScores>,
}

impl MethodScores {
    /// RMSE over all bands and its folds.
    pub(super) fn rmse(&self) -> Option<f64> {
        self.scores.as_ref().and_then(|s| s.overall.scores.rmse)
    }
}

/// A method that the pairs do not satisfy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeftOut {
    /// As in [`MethodScores::name`].
    pub name: String,
    /// As in [`MethodScores::label`].
    pub label: String,
    /// What is missing.
    pub reason: Problem,
}

/// Methods compared on the pairs of a job.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// What follows from the figures, in sentences.
    pub recommendation: String,
    /// Name of the method, baselines included, with the smallest error over all bands and folds.
    pub best: Option<String>,
    /// Skill of the best method that is no baseline against the best baseline; below 0 no method beats it.
    pub best_skill: Option<f64>,
    /// Names of the baselines that were scored.
    pub baselines: Vec<String>,
    /// The methods, the smallest error first; those without all folds, then those without any, at the end.
    pub methods: Vec<MethodScores>,
    /// Methods that the pairs do not satisfy.
    pub left_out: Vec<LeftOut>,
    /// The pairs held back, in the order of the job.
    pub folds: Vec<Fold>,
    /// Labels of the bands.
    pub bands: Vec<String>,
    /// Number of fine rows.
    pub rows: usize,
    /// Number of fine columns.
    pub cols: usize,
    /// Fine pixels per coarse-pixel side, if known.
    pub scale: Option<f64>,
    /// L of SSIM and PSNR.
    pub data_range: f64,
    /// Threads that computed.
    pub threads: usize,
    /// Wall-clock seconds of the comparison.
    pub seconds: f64,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Versions, the day, and the job.
    pub provenance: Json,
}

/// How a prediction went.
pub(super) enum Outcome {
    /// It was made.
    Predicted,
    /// The method's needs are not met; nothing was computed.
    Unfit(Error),
    /// It failed.
    Failed(Error),
}

/// One method on one fold, as it happened.
pub(super) struct Attempt {
    pub pairs: Vec<usize>,
    pub outcome: Outcome,
    pub cpu_seconds: Option<f64>,
    pub seconds: f64,
    pub memory_bytes: u64,
    /// Sums of its scores and the number of truth samples that it predicted, once scored.
    pub sums: Option<(Assessor, u64)>,
}

/// Everything that happened.
pub(super) struct Facts {
    pub bands: Vec<String>,
    pub info: SceneInfo,
    pub data_range: f64,
    pub threads: usize,
    pub seconds: f64,
    pub warnings: Vec<String>,
    pub folds: Vec<Fold>,
    /// By fold, then by candidate.
    pub attempts: Vec<Vec<Attempt>>,
}

impl Facts {
    /// Adds warnings, each once.
    pub fn warn(&mut self, warnings: impl IntoIterator<Item = String>) {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    fn pooled(&self, candidate: usize, folds: &[usize]) -> Option<Assessor> {
        let mut sums = folds.iter().filter_map(|&f| self.attempts[f][candidate].sums.as_ref().map(|(a, _)| a));
        let mut all = sums.next()?.clone();
        sums.for_each(|s| all.merge(s));
        Some(all)
    }

    fn scored_folds(&self, candidate: usize) -> Vec<usize> {
        (0..self.folds.len()).filter(|&f| self.attempts[f][candidate].sums.is_some()).collect()
    }

    /// The scores of a candidate over `folds`, with its skill against each baseline over those of them that the baseline has.
    fn assessment(&self, candidate: usize, folds: &[usize], baselines: &[(usize, &str)]) -> Option<Assessment> {
        let finish = |sums: &Assessor| sums.finish(&self.bands, &[], self.info.scale);
        let mut own = finish(&self.pooled(candidate, folds)?);
        for &(baseline, name) in baselines {
            let of_baseline = self.scored_folds(baseline);
            let shared: Vec<usize> = folds.iter().copied().filter(|f| of_baseline.contains(f)).collect();
            let both = self.pooled(candidate, &shared).zip(self.pooled(baseline, &shared));
            own.skill.extend(both.map(|(a, b)| skill(name, &finish(&a), &finish(&b))));
        }
        Some(own)
    }
}

fn skill(name: &str, own: &Assessment, baseline: &Assessment) -> Skill {
    let against = |own: &Scores, other: &Scores| own.rmse.zip(other.rmse).filter(|(_, b)| *b > 0.0).map(|(a, b)| 1.0 - a / b);
    Skill {
        baseline: name.into(),
        skill: against(&own.overall.scores, &baseline.overall.scores),
        skill_per_band: own.bands.iter().zip(&baseline.bands).map(|(a, b)| against(&a.scores, &b.scores)).collect(),
        rmse: baseline.overall.scores.rmse,
        rmse_per_band: baseline.bands.iter().map(|b| b.scores.rmse).collect(),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Puts together what happened.
///
/// # Errors
/// The first failure when no method could be scored on any fold.
pub(super) fn comparison(job: &Job, candidates: &[Candidate], facts: Facts) -> Result<Comparison> {
    let baselines: Vec<(usize, &str)> = (candidates.iter().enumerate())
        .filter(|(k, c)| c.is_baseline() && !facts.scored_folds(*k).is_empty())
        .map(|(k, c)| (k, c.name.as_str()))
        .collect();
    let mut methods = Vec::new();
    let mut left_out = Vec::new();
    for (k, candidate) in candidates.iter().enumerate() {
        let attempts = facts.attempts.iter().map(|fold| &fold[k]);
        match attempts.clone().map(|a| &a.outcome).collect::<Vec<_>>().as_slice() {
            [Outcome::Unfit(reason), rest @ ..] if rest.iter().all(|o| matches!(o, Outcome::Unfit(_))) => {
                left_out.push(LeftOut {
                    name: candidate.name.clone(),
                    label: candidate.label.clone(),
                    reason: Problem::from(reason),
                });
            }
            _ => methods.push(method_scores(candidate, k, &facts, &baselines)),
        }
    }
    if methods.iter().all(|m| m.scores.is_none()) {
        let failures = facts.attempts.iter().flatten().filter_map(|a| match &a.outcome {
            Outcome::Failed(error) => Some(error.clone()),
            _ => None,
        });
        return Err(failures.into_iter().next().unwrap_or_else(nothing_compared));
    }
    methods.sort_by(|a, b| {
        let key = |m: &MethodScores| (std::cmp::Reverse(m.folds_scored), m.rmse().unwrap_or(f64::INFINITY));
        let (x, y) = (key(a), key(b));
        x.0.cmp(&y.0).then(x.1.total_cmp(&y.1))
    });
    let verdict = words::verdict(&methods, &facts.folds, &facts.bands);
    Ok(Comparison {
        recommendation: verdict.text,
        best: verdict.best,
        best_skill: verdict.best_skill,
        baselines: baselines.iter().map(|(_, name)| name.to_string()).collect(),
        methods,
        left_out,
        provenance: provenance(job),
        folds: facts.folds,
        bands: facts.bands,
        rows: facts.info.rows,
        cols: facts.info.cols,
        scale: facts.info.scale,
        data_range: facts.data_range,
        threads: facts.threads,
        seconds: facts.seconds,
        warnings: facts.warnings,
    })
}

fn nothing_compared() -> Error {
    Error::new(
        ErrorKind::Data,
        "Nothing can be compared: in no fold is a sample valid in the fine image held back and in every prediction",
    )
    .with_hint("Check the masks, nodata values and valid ranges of the images, or compare fewer methods.")
}

fn method_scores(candidate: &Candidate, k: usize, facts: &Facts, baselines: &[(usize, &str)]) -> MethodScores {
    let info = candidate.method.info();
    let scored = facts.scored_folds(k);
    let ran = || facts.attempts.iter().map(|fold| &fold[k]).filter(|a| matches!(a.outcome, Outcome::Predicted));
    let folds = (facts.attempts.iter().enumerate()).map(|(f, fold)| {
        let attempt = &fold[k];
        FoldScores {
            pairs: attempt.pairs.iter().map(|p| p + 1).collect(),
            scores: facts.assessment(k, &[f], baselines),
            valid_fraction: attempt.sums.as_ref().map(|(_, valid)| *valid as f64 / facts.folds[f].truth_samples as f64),
            cpu_seconds: attempt.cpu_seconds,
            seconds: attempt.seconds,
            memory_bytes: attempt.memory_bytes,
            error: match &attempt.outcome {
                Outcome::Predicted => None,
                Outcome::Unfit(error) | Outcome::Failed(error) => Some(Problem::from(error)),
            },
        }
    });
    let valid: u64 = scored.iter().filter_map(|&f| facts.attempts[f][k].sums.as_ref().map(|(_, valid)| *valid)).sum();
    let truth: u64 = scored.iter().map(|&f| facts.folds[f].truth_samples).sum();
    MethodScores {
        name: candidate.name.clone(),
        label: candidate.label.clone(),
        method: info.id.into(),
        parameters: candidate.values.to_json(info.parameters),
        baseline: candidate.is_baseline(),
        references: info.references.iter().map(|r| json!({ "citation": r.citation, "doi": r.doi })).collect(),
        folds_scored: scored.len(),
        scores: facts.assessment(k, &scored, baselines),
        valid_fraction: (truth > 0).then(|| valid as f64 / truth as f64),
        cpu_seconds: mean(ran().filter_map(|a| a.cpu_seconds)),
        seconds: mean(ran().map(|a| a.seconds)),
        memory_bytes: ran().map(|a| a.memory_bytes).max(),
        folds: folds.collect(),
    }
}

fn provenance(job: &Job) -> Json {
    let mut job = job.clone();
    (job.output, job.provenance) = (None, None);
    json!({
        "version": crate::VERSION,
        "gdal": stfusion_raster::version(),
        "created": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "pairs": job.pairs,
        "grid": job.grid,
    })
}

impl Comparison {
    /// The comparison for a terminal or a log: the recommendation, skill first, then accuracy, then what it cost.
    pub fn to_text(&self) -> String {
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let mut text = format!(
            "Leave-one-pair-out comparison: {}, {}, {} x {} pixels\n\n{}\n",
            count(self.folds.len(), "pair"),
            count(self.bands.len(), "band"),
            self.cols,
            self.rows,
            self.recommendation
        );
        let mut section = |title: &str, rows: Vec<Vec<String>>| {
            let _ = write!(text, "\n{title}\n\n{}", table(&rows));
        };
        section("Skill (1 - RMSE / RMSE of the baseline: 1 is perfect, below 0 the baseline is better)", self.skill_rows());
        if let (Some(strongest), true) = (self.strongest_baseline(), self.bands.len() > 1) {
            section(&format!("Skill against {strongest}, band by band"), self.band_skill_rows(&strongest));
        }
        section("Accuracy (all bands and folds)", self.accuracy_rows());
        if self.bands.len() > 1 {
            section("RMSE, band by band", self.band_rmse_rows());
        }
        section("RMSE of all bands, by the pair held back", self.fold_rows());
        section("Cost of a prediction", self.cost_rows());
        for (name, reason) in self.problems() {
            let hint = reason.hint.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
            let _ = write!(text, "\n{name}: {}{hint}", reason.message);
        }
        if !self.problems().is_empty() {
            text.push('\n');
        }
        text
    }

    /// What went wrong or could not be tried, in words, by method and fold.
    pub(super) fn problems(&self) -> Vec<(String, &Problem)> {
        let mut all: Vec<(String, &Problem)> =
            self.left_out.iter().map(|l| (format!("{} was left out", l.name), &l.reason)).collect();
        for method in &self.methods {
            for (fold, scores) in self.folds.iter().zip(&method.folds) {
                if let Some(error) = &scores.error {
                    all.push((format!("{} failed on {}", method.name, fold.label), error));
                }
            }
        }
        all
    }

    /// Methods with scores.
    pub(super) fn scored(&self) -> impl Iterator<Item = (&MethodScores, &Assessment)> {
        self.methods.iter().filter_map(|m| m.scores.as_ref().map(|s| (m, s)))
    }

    /// Name of the baseline with the smallest error.
    pub(super) fn strongest_baseline(&self) -> Option<String> {
        self.methods.iter().find(|m| m.baseline && m.scores.is_some()).map(|m| m.name.clone())
    }

    fn rows(
        &self,
        header: impl IntoIterator<Item = String>,
        cells: impl Fn(&MethodScores, &Assessment) -> Vec<String>,
    ) -> Vec<Vec<String>> {
        let mut rows = vec![std::iter::once("method".to_string()).chain(header).collect::<Vec<_>>()];
        rows.extend(self.scored().map(|(m, s)| std::iter::once(m.name.clone()).chain(cells(m, s)).collect()));
        rows
    }

    fn skill_rows(&self) -> Vec<Vec<String>> {
        let of = |s: &Assessment, name: &String| number(skill_of(s, name).and_then(|s| s.skill), 3);
        self.rows(self.baselines.clone(), |_, s| self.baselines.iter().map(|b| of(s, b)).collect())
    }

    fn band_skill_rows(&self, baseline: &str) -> Vec<Vec<String>> {
        let of = |s: &Assessment, b: usize| number(skill_of(s, baseline).and_then(|s| s.skill_per_band[b]), 3);
        self.rows(self.bands.clone(), |_, s| (0..self.bands.len()).map(|b| of(s, b)).collect())
    }

    /// Decimals for errors in the unit of the images.
    pub(super) fn decimals(&self) -> usize {
        decimals(&self.scored().map(|(m, _)| m.rmse()).collect::<Vec<_>>())
    }

    fn accuracy_rows(&self) -> Vec<Vec<String>> {
        let d = self.decimals();
        let header = ["folds", "predicted", "RMSE", "MAE", "bias", "rRMSE", "R", "R2", "SSIM", "PSNR", "UIQI", "SAM", "ERGAS"];
        self.rows(header.map(String::from), |m, a| {
            let s = &a.overall.scores;
            let mut cells = vec![m.folds_scored.to_string(), percent(m.valid_fraction)];
            cells.extend([s.rmse, s.mae, s.bias].map(|v| number(v, d)));
            cells.extend([s.rrmse, s.r, s.r2, s.ssim].map(|v| number(v, 4)));
            cells.push(number(s.psnr, 2));
            cells.push(number(s.uiqi, 4));
            cells.extend([a.overall.sam_deg, a.overall.ergas].map(|v| number(v, 3)));
            cells
        })
    }

    fn band_rmse_rows(&self) -> Vec<Vec<String>> {
        let d = decimals(&self.scored().flat_map(|(_, a)| a.bands.iter().map(|b| b.scores.rmse)).collect::<Vec<_>>());
        self.rows(self.bands.clone(), |_, a| a.bands.iter().map(|b| number(b.scores.rmse, d)).collect())
    }

    fn fold_rows(&self) -> Vec<Vec<String>> {
        let d = self.decimals();
        self.rows(self.folds.iter().map(|f| f.label.clone()), |m, _| {
            m.folds.iter().map(|f| number(f.scores.as_ref().and_then(|s| s.overall.scores.rmse), d)).collect()
        })
    }

    fn cost_rows(&self) -> Vec<Vec<String>> {
        self.rows(["CPU s", "wall s", "memory MiB"].map(String::from), |m, _| {
            vec![number(m.cpu_seconds, 2), number(m.seconds, 2), mib(m.memory_bytes)]
        })
    }

    /// One line for each fold, method and band, and for all of each together: for spreadsheets.
    pub fn to_csv(&self) -> String {
        let figures = "n,rmse,mae,bias,rrmse,r,r2,ssim,psnr,uiqi,sam_deg,ergas";
        let skills: String = self.baselines.iter().map(|b| format!(",skill_{b}")).collect();
        let mut csv = format!("fold,method,band,{figures}{skills},valid_fraction,cpu_seconds,seconds,memory_bytes,error\n");
        let mut lines = |fold: &str, m: &MethodScores, scores: Option<&Assessment>, cost: [String; 4], error: &str| {
            let names = |band: &str| [fold, &m.name, band].map(quoted).join(",");
            let tail = format!("{},{}", cost.join(","), quoted(error));
            let Some(a) = scores else {
                let empty = ",".repeat(figures.split(',').count() + self.baselines.len());
                let _ = writeln!(csv, "{}{empty},{tail}", names("overall"));
                return;
            };
            let overall = (None, "overall", &a.overall.scores, [a.overall.sam_deg, a.overall.ergas]);
            let bands = a.bands.iter().enumerate().map(|(b, band)| (Some(b), band.label.as_str(), &band.scores, [None; 2]));
            for (band, label, s, whole) in std::iter::once(overall).chain(bands) {
                let figures = [s.rmse, s.mae, s.bias, s.rrmse, s.r, s.r2, s.ssim, s.psnr, s.uiqi];
                let skill = |name: &String| skill_of(a, name).and_then(|s| band.map_or(s.skill, |b| s.skill_per_band[b]));
                let cells = figures.into_iter().chain(whole).chain(self.baselines.iter().map(skill)).map(plain);
                let _ = writeln!(csv, "{},{},{},{tail}", names(label), s.n, cells.collect::<Vec<_>>().join(","));
            }
        };
        for m in &self.methods {
            let cost = [plain(m.valid_fraction), plain(m.cpu_seconds), plain(m.seconds), plain(m.memory_bytes.map(|b| b as f64))];
            lines("all", m, m.scores.as_ref(), cost, "");
            for (fold, f) in self.folds.iter().zip(&m.folds) {
                let cost = [plain(f.valid_fraction), plain(f.cpu_seconds), plain(Some(f.seconds)), f.memory_bytes.to_string()];
                lines(&fold.label, m, f.scores.as_ref(), cost, f.error.as_ref().map_or("", |e| &e.message));
            }
        }
        csv
    }
}

/// The skill of an assessment against the baseline with this name.
pub(super) fn skill_of<'a>(assessment: &'a Assessment, baseline: &str) -> Option<&'a Skill> {
    assessment.skill.iter().find(|s| s.baseline == baseline)
}

pub(super) fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "-".into(), |f| format!("{:.1} %", 100.0 * f))
}

pub(super) fn mib(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".into(), |b| b.div_ceil(1 << 20).to_string())
}

/// A figure in full; nothing where it is undefined or infinite.
fn plain(value: Option<f64>) -> String {
    value.filter(|v| v.is_finite()).map(|v| v.to_string()).unwrap_or_default()
}

/// A field of a CSV file (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}
