//! Methods compared on the user's own pairs: each pair in turn is held back, predicted from the others by every method,
//! and its fine image is the truth.
//!
//! ```text
//! for each pair (a fold):   for each method   fuse_scene ──> Spool (a temporary without a name)
//!                           block by block    truth, all spools ──> one set of samples ──> an Assessor per method
//! over the folds:           Assessor::merge ──> scores, skill ──> Comparison ──> text, CSV, JSON, HTML
//! ```
//!
//! A prediction is made by the pipeline of `fuse`, so that its pixels, its time and its memory are those of a run. All methods
//! of a fold are scored on the same samples: those valid in the truth and in every prediction. The baselines are methods like
//! the others and always take part.

mod candidates;
mod clock;
mod figures;
mod folds;
mod page;
mod report;
mod scoring;
mod spool;
mod words;

pub use candidates::MethodChoice;
pub use report::{Comparison, Fold, FoldScores, LeftOut, MethodScores, Problem};

use std::time::Instant;

use serde::{Deserialize, Serialize};
use stfusion_core::method::{Request, Scene};
use stfusion_core::metrics::Assessor;
use stfusion_core::source::{GridOptions, TargetSource};
use stfusion_core::{Cancel, Error, ErrorKind, Result};
use stfusion_raster::RasterScene;

use crate::assess::data_range;
use crate::context::{Context, Progress};
use crate::fuse::{gap_warnings, open_on};
use crate::job::Job;
use crate::pipeline::{fuse_scene, supervise, SceneRequest};
use crate::resampling::coarse_resampling;
use candidates::Candidate;
use clock::Clock;
use figures::FoldFigures;
use folds::FoldScene;
use report::{Attempt, Facts, Outcome};
use scoring::{score, Scored, Truth};
use spool::Spool;

/// Share of the progress that opening and reading the truth take.
const OPENING: f64 = 0.04;
/// Share of a fold's progress that scoring takes.
const SCORING: f64 = 0.1;
/// Fewer compared samples than this part of the truth's are worth a warning.
const NARROW: f64 = 0.9;
/// A baseline's share of a fold's progress, in that of another method.
const BASELINE_WEIGHT: f64 = 0.05;

/// What to compare, and where to say it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareOptions {
    /// The methods, some perhaps with other settings; none: every registered method, that of the job with the job's parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<MethodChoice>,
    /// Name of the HTML report; `None`: not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Name of the table as CSV; `None`: not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<String>,
    /// Replace existing files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overwrite: bool,
    /// The range L of the values for SSIM and PSNR; `None`: 1, or the range of the fine images if they are not reflectance-like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_range: Option<f64>,
}

/// Compares methods on the pairs of a job: each pair in turn is held back and predicted from the others. The job's target and
/// output are not looked at.
///
/// A method that the remaining pairs do not satisfy is listed with the reason, one that fails on a fold with its error; the
/// others go on. Predictions lie in temporaries without a name, in the folder that `TMPDIR` says, until their fold is scored.
///
/// # Errors
/// [`ErrorKind::Data`] for fewer than two pairs, and when no method could be scored; [`ErrorKind::Parameter`] for methods and
/// parameters that do not exist or are listed twice; those of reading the images and of writing report and table;
/// [`ErrorKind::Cancelled`].
pub fn compare(job: &Job, options: &CompareOptions, context: &Context, progress: &mut Progress<'_>) -> Result<Comparison> {
    let start = Instant::now();
    let own = context.for_job(job.threads, job.memory)?;
    let context = own.as_ref().unwrap_or(context);
    check_pairs(job)?;
    let candidates = candidates::resolve(job, &options.methods)?;
    job.device.check()?;
    if let Some(range) = options.data_range {
        Assessor::new(1, 0, range)?;
    }
    check_outputs(job, options)?;
    let cache = context.limit_gdal_cache();
    let cancel = Cancel::new();
    let scenes =
        supervise(context, &cancel, progress, (0.0, 0.5 * OPENING), "Opening", |_| Scenes::open(job, &candidates, &cancel))?;

    let held_bytes = cache + scenes.held_bytes();
    let data_range = match options.data_range {
        Some(range) => range,
        None => supervise(context, &cancel, progress, (0.5 * OPENING, OPENING), "Reading the truth", |tell| {
            data_range(scenes.truth(), &cancel, tell)
        })?,
    };
    let run = Run {
        job,
        candidates: &candidates,
        scenes: &scenes,
        context,
        held_bytes,
        data_range,
        pictures: options.report.is_some(),
    };
    let (mut facts, figures) = run.folds(progress)?;
    facts.seconds = start.elapsed().as_secs_f64();
    let comparison = report::comparison(job, &candidates, facts)?;
    comparison.warnings.iter().for_each(|w| context.warn(w));
    if let Some(path) = &options.report {
        stfusion_raster::write_text(path, &page::html(&comparison, &figures))?;
    }
    if let Some(path) = &options.csv {
        stfusion_raster::write_text(path, &comparison.to_csv())?;
    }
    progress(1.0, "Done");
    Ok(comparison)
}

fn check_pairs(job: &Job) -> Result<()> {
    let hint =
        "Add pairs: a comparison needs at least two days on which both a fine and a coarse image were taken, and three or more \
                for methods that predict from two.";
    match job.pairs.len() {
        0 => return Err(Error::new(ErrorKind::Data, "The job has no pair to compare methods on").with_hint(hint)),
        1 => {
            let message = "The job has 1 pair: when it is held back as the truth, no pair is left to predict it from";
            return Err(Error::new(ErrorKind::Data, message).with_hint(hint));
        }
        _ => {}
    }
    // the target is no part of a comparison
    Job { target: target_of(job), method: "any".into(), ..job.clone() }.check_complete()
}

/// A target for opening the pairs alone: the coarse image of the first.
fn target_of(job: &Job) -> TargetSource {
    let first = job.pairs.first().cloned().unwrap_or_default();
    TargetSource { date: first.date, coarse: first.coarse, coarse_mask: first.coarse_mask }
}

fn check_outputs(job: &Job, options: &CompareOptions) -> Result<()> {
    if options.report.is_some() && options.report == options.csv {
        let name = options.report.as_deref().unwrap_or_default();
        return Err(Error::new(ErrorKind::Parameter, format!("{name}: report and table have the same name"))
            .with_hint("Give the table a name of its own."));
    }
    for path in options.report.iter().chain(&options.csv) {
        stfusion_raster::check_output(path, options.overwrite)?;
        stfusion_raster::check_output_is_no_input(path, job.input_names())?;
    }
    Ok(())
}

/// The images of the job, opened once for each way in which methods want their coarse images resampled.
struct Scenes {
    opened: Vec<RasterScene>,
    /// Index into `opened` of each candidate's.
    index: Vec<usize>,
}

impl Scenes {
    fn open(job: &Job, candidates: &[Candidate], cancel: &Cancel) -> Result<Scenes> {
        let mut scenes = Scenes { opened: Vec::new(), index: Vec::new() };
        let mut grids: Vec<GridOptions> = Vec::new();
        for candidate in candidates {
            let job = Job { method: candidate.id().into(), target: target_of(job), ..job.clone() };
            let resampling = coarse_resampling(&job, &candidate.values)?.used;
            let grid = GridOptions { coarse_resampling: Some(resampling), ..job.grid.clone() };
            let known = grids.iter().position(|g| *g == grid);
            scenes.index.push(known.unwrap_or(grids.len()));
            if known.is_none() {
                scenes.opened.push(open_on(&job, &grid, cancel)?);
                grids.push(grid);
            }
        }
        Ok(scenes)
    }

    /// The scene that a candidate reads.
    fn of(&self, candidate: usize) -> &RasterScene {
        &self.opened[self.index[candidate]]
    }

    /// The scene whose fine images are the truth; they are the same in all.
    fn truth(&self) -> &RasterScene {
        self.of(0)
    }

    fn held_bytes(&self) -> u64 {
        self.opened.iter().map(|s| s.held_bytes() as u64).sum()
    }
}

/// What a comparison works with.
struct Run<'a> {
    job: &'a Job,
    candidates: &'a [Candidate],
    scenes: &'a Scenes,
    context: &'a Context,
    held_bytes: u64,
    data_range: f64,
    pictures: bool,
}

impl Run<'_> {
    /// Runs every fold.
    fn folds(&self, progress: &mut Progress<'_>) -> Result<(Facts, Vec<FoldFigures>)> {
        let scene = self.scenes.truth();
        let count = scene.info().pairs.len();
        let mut facts = Facts {
            bands: scene.fine_info().band_labels(),
            info: scene.info().clone(),
            data_range: self.data_range,
            threads: self.context.threads(),
            seconds: 0.0,
            warnings: Vec::new(),
            folds: Vec::new(),
            attempts: Vec::new(),
        };
        self.scenes.opened.iter().for_each(|s| facts.warn(s.warnings().iter().cloned()));
        let shown = figures::folds_shown(count);
        let mut figures = Vec::new();
        for held in 0..count {
            let span = (1.0 - OPENING) / count as f64;
            let from = OPENING + span * held as f64;
            let fold = Fold::new(self.job, scene.info(), held);
            let label = format!("Fold {} of {count} ({})", held + 1, fold.label);
            let mut within = |f: f64, what: &str| progress(from + span * f, &format!("{label}: {what}"));
            figures.extend(self.fold(fold, held, shown.contains(&held), &mut facts, &mut within)?);
        }
        Ok((facts, figures))
    }

    /// Predicts a held-back pair with every method and scores the predictions; draws them when that is wanted.
    fn fold(
        &self,
        mut fold: Fold,
        held: usize,
        shown: bool,
        facts: &mut Facts,
        progress: &mut Progress<'_>,
    ) -> Result<Option<FoldFigures>> {
        let weight = |c: &Candidate| if c.is_baseline() { BASELINE_WEIGHT } else { 1.0 };
        let unit = (1.0 - SCORING) / self.candidates.iter().map(weight).sum::<f64>();
        let mut from = 0.0;
        let mut attempts = Vec::new();
        let mut spools: Vec<(usize, Spool)> = Vec::new();
        for (k, candidate) in self.candidates.iter().enumerate() {
            let span = unit * weight(candidate);
            // a method may be done before its run tells anything
            if !progress(from, &candidate.label) {
                return Err(Error::cancelled());
            }
            let scene = FoldScene::new(self.scenes.of(k), held, candidate.method.info());
            facts.warn(gap_warnings(scene.info()).into_iter().map(|w| format!("{}: {w}", fold.label)));
            let (attempt, spool) = self.attempt(candidate, &scene, &mut |f, _| progress(from + span * f, &candidate.label))?;
            attempts.push(attempt);
            spools.extend(spool.map(|s| (k, s)));
            from += span;
        }

        let truth = Truth { scene: self.scenes.truth(), held };
        let predictions: Vec<&Spool> = spools.iter().map(|(_, s)| s).collect();
        let cancel = Cancel::new();
        let budget = self.context.memory().saturating_sub(self.held_bytes) / 2;
        let scored = supervise(self.context, &cancel, progress, (1.0 - SCORING, 0.99), "Scoring", |tell| {
            score(truth, &predictions, self.data_range, budget, &cancel, tell)
        })?;
        (fold.truth_samples, fold.compared_samples) = (scored.truth, scored.compared);
        facts.warn(self.narrow(&fold, &scored, &spools));
        let drawn = (self.pictures && shown && scored.compared > 0).then(|| {
            let names: Vec<&str> = spools.iter().map(|(k, _)| self.candidates[*k].name.as_str()).collect();
            let wavelengths: Vec<_> = self.scenes.truth().fine_info().bands.iter().map(|b| b.wavelength_um).collect();
            supervise(self.context, &cancel, progress, (0.99, 1.0), "Drawing", |_| {
                figures::draw(truth, &wavelengths, &names, &predictions, &cancel)
            })
        });
        if scored.compared > 0 {
            for ((k, _), sums) in spools.iter().zip(scored.assessors.into_iter().zip(scored.valid)) {
                attempts[*k].sums = Some(sums);
            }
        }
        facts.folds.push(fold);
        facts.attempts.push(attempts);
        drawn.transpose()
    }

    /// Predicts a fold with one method. What is wrong with the method is part of the attempt; what ends the comparison is an error.
    fn attempt(
        &self,
        candidate: &Candidate,
        scene: &FoldScene<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<(Attempt, Option<Spool>)> {
        let clock = Clock::start();
        let mut attempt = Attempt {
            pairs: scene.pairs().to_vec(),
            outcome: Outcome::Predicted,
            cpu_seconds: None,
            seconds: 0.0,
            memory_bytes: 0,
            sums: None,
        };
        let info = scene.info();
        if let Err(reason) = candidate.method.plan(&Request { values: &candidate.values, scene: info }) {
            attempt.outcome = Outcome::Unfit(reason);
            return Ok((attempt, None));
        }
        let mut spool = Spool::new(info.bands, info.rows, info.cols)?;
        let request = SceneRequest {
            method: candidate.method,
            values: &candidate.values,
            device: &self.job.device,
            support: false,
            tile_px: None,
            held_bytes: self.held_bytes,
        };
        let outcome = fuse_scene(&request, scene, &mut spool, self.context, progress);
        (attempt.cpu_seconds, attempt.seconds) = (clock.cpu_seconds(), clock.seconds());
        match outcome {
            Ok(report) if report.predicted_fraction > 0.0 => {
                attempt.memory_bytes = report.memory_bytes.saturating_sub(self.held_bytes);
                Ok((attempt, Some(spool)))
            }
            Ok(_) => {
                attempt.outcome = Outcome::Failed(nothing_predicted());
                Ok((attempt, None))
            }
            Err(error) if ends_all(&error) => Err(error),
            Err(error) => {
                attempt.outcome = Outcome::Failed(error);
                Ok((attempt, None))
            }
        }
    }

    /// A warning when much less than the truth could be compared, naming the method that predicted least.
    fn narrow(&self, fold: &Fold, scored: &Scored, spools: &[(usize, Spool)]) -> Option<String> {
        let part = |n: u64| n as f64 / scored.truth as f64;
        let (least, (k, _)) = scored.valid.iter().zip(spools).min_by_key(|(valid, _)| **valid)?;
        (scored.truth > 0 && part(scored.compared) < NARROW).then(|| {
            format!(
                "{}: the methods are compared on {} of the truth's valid samples, where all of them predict; {} predicts least, {}",
                fold.label,
                report::percent(Some(part(scored.compared))),
                self.candidates[*k].label,
                report::percent(Some(part(*least)))
            )
        })
    }
}

fn nothing_predicted() -> Error {
    let message = "It predicted no pixel: nowhere are its pairs and the coarse image of the day valid together";
    Error::new(ErrorKind::Data, message)
        .with_hint("Check the masks, nodata values and valid ranges of the images (`stfusion info` shows them).")
}

/// Whether a failure is not the method's: the caller stopped the work, or a file or a temporary cannot be read or written.
fn ends_all(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Read | ErrorKind::Write)
}
