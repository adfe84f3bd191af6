//! SPSTFM: sparse-representation-based spatiotemporal reflectance fusion (Huang and Song 2012).
//!
//! ```text
//! learn, for every band:  H = F_3 − F_1,  L = C_3 − C_1 over the scene, divided by their scales
//!     patches of H and L where they vary most ──> dictionaries D_H, D_L with corresponding atoms        equations 5 to 9
//! predict, for every patch, for k = 1, 3:
//!     α_k = sparse code of C_2 − C_k over D_L,  h_k = D_H α_k                                          equations 10, 11
//!     prediction = w_1 (F_1 + h_1) + w_3 (F_3 + h_3),  w_k ∝ 1 / mean|C_2 − C_k|                       equations 12 to 14
//! overlapping patches are averaged
//! ```
//!
//! Edges: a pair takes part at a pixel where its F and C and the target's C are valid there; gaps inside a patch count as the
//! mean of the patch while it is coded; a pixel that neither pair covers is not predicted. Where a band gives nothing to learn
//! from (no contrast, or no patch that is valid enough), h_k is the coarse change itself.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod dictionary;
pub mod differences;
pub mod file;
pub mod parameters;
pub mod patches;
pub mod reference;
pub mod samples;
pub mod sparse_code;
pub mod training;
mod vectors;

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use stfusion_core::device::Queue;
use stfusion_core::method::{
    check_needs, Artefact, Cost, DeviceCost, DeviceTiles, Family, Method, MethodInfo, Plan, Prepared, Promises, Reference,
    Request, Scene, SceneInfo, TileIn, TileOut,
};
use stfusion_core::source::Resampling;
use stfusion_core::{Error, ErrorKind, Exec, Result};

use crate::blocks::pair_order;
use crate::blocks::simd::Path;
use cpu::{Job, Learned, Weigh};
use dictionary::{BandDictionary, Dictionaries, DictionaryPair, Scales};
use differences::{Differences, Sides};
use parameters::{Debiasing, DictionaryMode, Normalisation, Sampling, Weighting};
use sparse_code::{Codebook, Coder, Debias, Rule};
use training::Training;

pub use parameters::Parameters;

static INFO: MethodInfo = MethodInfo {
    id: "spstfm",
    label: "SPSTFM",
    summary: "Codes the coarse change in a dictionary learned from two pairs and reads the fine change from its twin",
    family: Family::Learning,
    tags: &["sparse representation", "dictionary learning", "K-SVD", "patches", "two pairs", "Landsat", "MODIS"],
    references: &[
        Reference {
            citation:
                "Huang, B., Song, H. (2012). Spatiotemporal reflectance fusion via sparse representation. IEEE Transactions on \
                       Geoscience and Remote Sensing 50(10), 3707-3716",
            doi: "10.1109/TGRS.2012.2186638",
        },
        Reference {
            citation:
                "Aharon, M., Elad, M., Bruckstein, A. (2006). K-SVD: an algorithm for designing overcomplete dictionaries for \
                       sparse representation. IEEE Transactions on Signal Processing 54(11), 4311-4322",
            doi: "10.1109/TSP.2006.881199",
        },
        Reference {
            citation:
                "Efron, B., Hastie, T., Johnstone, I., Tibshirani, R. (2004). Least angle regression. The Annals of Statistics \
                       32(2), 407-499",
            doi: "10.1214/009053604000000067",
        },
    ],
    min_pairs: 2,
    max_pairs: None,
    needs_dates: false,
    extra_images: &[],
    coarse_resampling: Resampling::Bilinear,
    promises: Promises { keeps_unchanged: true, trained_elsewhere: false, bands_apart: true },
    parameters: Parameters::SPECS,
    readme: include_str!("README.md"),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Spstfm;

impl Method for Spstfm {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        plan(request, None)
    }
}

/// SPSTFM on a chosen path, whatever the environment says: for tests that compare paths. The path must be available.
#[derive(Debug, Clone, Copy)]
pub struct SpstfmOn(pub Path);

impl Method for SpstfmOn {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        plan(request, Some(self.0))
    }
}

fn plan(request: &Request<'_>, path: Option<Path>) -> Result<Box<dyn Plan>> {
    let scene = request.scene;
    check_needs(&INFO, scene)?;
    let parameters = Parameters::from_values(request.values)?;
    check_parameters(&parameters, scene)?;
    let given = match &parameters.dictionary {
        Some(file) => {
            let place = format!("Dictionary {}", file.name());
            Some(file::decoded(file.contents()?, parameters.patch as usize, scene.bands).map_err(|e| e.at(place))?)
        }
        None => None,
    };
    Ok(Box::new(Planned { sides: sides(scene)?, parameters, scene: scene.clone(), given, path }))
}

fn check_parameters(p: &Parameters, scene: &SceneInfo) -> Result<()> {
    let refuse = |message: String, hint: String| Err(Error::new(ErrorKind::Parameter, message).with_hint(hint));
    let smallest = scene.rows.min(scene.cols);
    if p.patch as usize > smallest {
        return refuse(
            format!("Patch size {} is larger than the image ({} x {} fine pixels)", p.patch, scene.rows, scene.cols),
            if smallest < 2 { "Give larger images.".into() } else { format!("Set patch={smallest} or smaller.") },
        );
    }
    if 2 * p.overlap > p.patch {
        return refuse(
            format!("Overlap {} is more than half the patch size {}", p.overlap, p.patch),
            format!("Set overlap={} or smaller.", p.patch / 2),
        );
    }
    if p.dictionary_size > p.training_patches {
        return refuse(
            format!("{} atoms cannot be learned from {} patches", p.dictionary_size, p.training_patches),
            format!("Set training_patches={} or larger.", 8 * p.dictionary_size),
        );
    }
    if p.min_iterations > p.max_iterations {
        return refuse(
            format!("min_iterations={} is larger than max_iterations={}", p.min_iterations, p.max_iterations),
            format!("Set max_iterations={} or larger.", p.min_iterations),
        );
    }
    if p.weighting == Weighting::BuiltUp {
        let bands = scene.bands as i64;
        if p.index_bands.len() != 3 || p.index_bands.iter().any(|&b| b > bands) {
            return refuse(
                format!(
                    "Weighting by built-up area needs three of the {bands} bands; index_bands has {:?}",
                    p.index_bands.as_slice()
                ),
                "Give index_bands the numbers of the red, near-infrared and shortwave-infrared band, or choose another weighting."
                    .into(),
            );
        }
    }
    Ok(())
}

/// The pair before and the pair after the target day: of several the nearest ones. Where all lie on one side, the two nearest;
/// without dates the two pairs in the order of the job.
fn sides(scene: &SceneInfo) -> Result<Sides> {
    let order = pair_order::nearest_first(scene);
    let Some(gaps) = pair_order::gaps(scene) else {
        if scene.pairs.len() > 2 {
            let undated = scene.pairs.iter().position(|p| p.date.is_none());
            let which = undated.map_or("the target has none".into(), |k| format!("pair {} has none", k + 1));
            let count = scene.pairs.len();
            return Err(Error::new(ErrorKind::Data, format!("SPSTFM needs dates to choose two of {count} pairs; {which}"))
                .with_hint("Give the target and each pair a date (YYYY-MM-DD), or give two pairs."));
        }
        return Ok(Sides { before: 0, after: 1 });
    };
    let nearest = |later: bool| order.iter().copied().find(|&k| (gaps[k] > 0) == later);
    let (a, b) = match (nearest(false), nearest(true)) {
        (Some(before), Some(after)) => (before, after),
        _ => (order[0], order[1]),
    };
    Ok(if gaps[a] <= gaps[b] { Sides { before: a, after: b } } else { Sides { before: b, after: a } })
}

#[derive(Debug)]
struct Planned {
    parameters: Parameters,
    scene: SceneInfo,
    sides: Sides,
    /// Dictionaries of every band that an earlier job saved.
    given: Option<Dictionaries>,
    /// `None`: what the environment allows.
    path: Option<Path>,
}

#[derive(Debug)]
struct Ready {
    job: Job,
    derived: Vec<(String, String)>,
    /// The dictionaries as a file, if the job wants them saved.
    saved: Option<Vec<u8>>,
}

/// Parts of the preparation, as fractions of its progress.
const KNOWN: f64 = 0.05;
const CHOSEN: f64 = 0.15;

impl Plan for Planned {
    fn cost(&self) -> Cost {
        let p = &self.parameters;
        let (pixels, atoms) = ((p.patch * p.patch) as usize, p.dictionary_size as usize);
        let samples = 2 * p.training_patches as usize * pixels * size_of::<f64>();
        let dictionary = Codebook::bytes(atoms, pixels) + atoms * pixels * size_of::<f64>();
        Cost {
            halo_px: p.patch as usize - 1,
            bytes_per_px: cpu::BYTES_PER_PX,
            fixed_bytes: Coder::bytes(atoms, pixels),
            // while it learns it holds the samples of every band, and what the codes leave of them
            prepared_bytes: self.scene.bands * (dictionary + 2 * samples),
        }
    }

    fn device_cost(&self) -> std::result::Result<DeviceCost, &'static str> {
        let p = &self.parameters;
        let given = self.given.iter().flatten().flatten().map(|band| band.pair.atoms()).max();
        Ok(cuda::cost(cuda::Size {
            bands: self.scene.bands,
            patch: p.patch as usize,
            stride: (p.patch - p.overlap) as usize,
            atoms: given.unwrap_or(0).max(p.dictionary_size as usize),
        }))
    }

    fn prepare(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Box<dyn Prepared>> {
        let p = &self.parameters;
        let (path, remark) = self.path.map_or_else(Path::from_environment, |path| (path, None));
        if let Some(remark) = remark {
            exec.warn(remark);
        }
        self.warn_of_one_side(exec);
        let differences = differences::differences(scene, self.sides, exec)?;
        if self.given.is_none() {
            self.check_overlap(&differences)?;
        }
        (exec.progress)(KNOWN);
        let how = Training {
            rule: self.rule(),
            min_iterations: p.min_iterations as usize,
            max_iterations: p.max_iterations as usize,
            path,
        };
        let (dictionaries, mut derived) = match &self.given {
            Some(given) if p.dictionary_mode == DictionaryMode::Use => (given.clone(), Vec::new()),
            _ => self.learn(scene, &differences, &how, exec)?,
        };
        self.warn_of_nothing(&differences, &dictionaries, exec);
        derived.push(("atoms".into(), listed(&dictionaries, |d| d.as_ref().map_or(0, |d| d.pair.atoms()).to_string())));
        let saved = p.save_dictionary.as_ref().map(|_| file::encoded(p.patch as usize, &dictionaries));
        let learned = dictionaries
            .into_par_iter()
            .map(|band| {
                let Some(band) = band else { return Ok(None) };
                let book = Codebook::new(&band.pair.coarse, band.pair.pixels, exec.cancel)?;
                Ok(Some(Learned { book, fine: band.pair.fine, scales: band.scales }))
            })
            .collect::<Result<_>>()?;
        derived.push(("pairs".into(), format!("{} {}", self.sides.before + 1, self.sides.after + 1)));
        derived.push(("vectors".into(), path.to_string()));
        let job = Job {
            sides: self.sides,
            patch: p.patch as usize,
            grid: self.grid(),
            learned,
            rule: how.rule,
            weigh: self.weigh(&differences),
            threshold: p.weight_threshold,
            path,
        };
        Ok(Box::new(Ready { job, derived, saved }))
    }
}

impl Planned {
    fn warn_of_one_side(&self, exec: &Exec<'_>) {
        let gap = |k| self.scene.gap_days(k);
        if let (Some(a), Some(b)) = (gap(self.sides.before), gap(self.sides.after)) {
            if (a > 0) == (b > 0) && a != 0 && b != 0 {
                exec.warn("Both pairs lie on one side of the target date; SPSTFM is made for a target between them");
            }
        }
    }

    /// Fails where the pairs have no valid pixel in common.
    fn check_overlap(&self, differences: &[Differences]) -> Result<()> {
        if differences.iter().any(|d| d.fine.count > 0 && d.coarse.count > 0) {
            return Ok(());
        }
        let (a, b) = (self.sides.before + 1, self.sides.after + 1);
        Err(Error::new(
            ErrorKind::Data,
            format!("Nothing can be learned: the images of pair {a} and pair {b} have no valid pixel in common"),
        )
        .with_hint("Give pairs whose clear areas overlap, or choose a method that needs one pair."))
    }

    fn grid(&self) -> (patches::Axis, patches::Axis) {
        let axis = |length| patches::Axis::new(length, self.parameters.patch as usize, self.parameters.overlap as usize);
        (axis(self.scene.rows), axis(self.scene.cols))
    }

    fn rule(&self) -> Rule {
        let debias = match self.parameters.debiasing {
            Debiasing::Off => Debias::Off,
            Debiasing::Partial => Debias::Partial,
            Debiasing::Full => Debias::Full,
        };
        Rule { sparsity: self.parameters.sparsity, debias }
    }

    /// What the differences of a band are divided by: as in the dictionary that was given, else by their standard deviations;
    /// `None` where one of them has no contrast.
    fn scales(&self, number: usize, band: &Differences) -> Option<Scales> {
        if let Some(given) = self.given(number) {
            return Some(given.scales);
        }
        let (fine, coarse) = (band.fine.standard_deviation(), band.coarse.standard_deviation());
        (fine > 0.0 && coarse > 0.0).then_some(match self.parameters.normalisation {
            Normalisation::Common => Scales { fine, coarse: fine },
            Normalisation::Separate => Scales { fine, coarse },
        })
    }

    fn weigh(&self, differences: &[Differences]) -> Weigh {
        match self.parameters.weighting {
            Weighting::Change => Weigh::Change { largest: differences.iter().map(|d| d.largest_change).collect() },
            Weighting::BuiltUp => {
                let band = |i: usize| self.parameters.index_bands.get(i).map_or(0, |&b| b as usize - 1);
                Weigh::BuiltUp { bands: [band(0), band(1), band(2)] }
            }
            Weighting::Equal => Weigh::Equal,
        }
    }

    /// What was given for a band.
    fn given(&self, band: usize) -> Option<&BandDictionary> {
        self.given.as_ref()?.get(band)?.as_ref()
    }

    /// Learns the dictionaries of every band, starting from those given; also what is worth telling about them.
    fn learn(
        &self,
        scene: &dyn Scene,
        differences: &[Differences],
        how: &Training,
        exec: &Exec<'_>,
    ) -> Result<(Dictionaries, Vec<(String, String)>)> {
        let p = &self.parameters;
        let choice = samples::Choice {
            patch: p.patch as usize,
            grid: self.grid(),
            wanted: p.training_patches as usize,
            max_invalid: p.max_invalid,
            seed: (p.sampling == Sampling::Random).then_some(p.seed as u64),
        };
        let scales: Vec<Option<Scales>> = differences.iter().enumerate().map(|(b, d)| self.scales(b, d)).collect();
        let samples = samples::choose(scene, self.sides, &choice, &scales, exec)?;
        (exec.progress)(CHOSEN);
        let bands = samples.len();
        let done = Mutex::new(vec![0.0; bands]);
        let trained = samples
            .par_iter()
            .zip(scales)
            .enumerate()
            .map(|(band, (samples, scales))| {
                let (Some(scales), 1..) = (scales, samples.count()) else {
                    return Ok((self.given(band).cloned(), None));
                };
                let start = match self.given(band) {
                    Some(given) => given.pair.clone(),
                    None => DictionaryPair::from_samples(samples, self.atoms(samples.count())),
                };
                let tell = |fraction: f64| {
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done[band] = fraction;
                    (exec.progress)(CHOSEN + (1.0 - CHOSEN) * done.iter().sum::<f64>() / bands as f64);
                };
                let trained = training::train(start, samples, how, exec.cancel, &tell)?;
                let (error, iterations) = (trained.error, trained.iterations);
                Ok((Some(BandDictionary { scales, pair: trained.pair }), Some((error, iterations))))
            })
            .collect::<Result<Vec<_>>>()?;
        let (dictionaries, outcomes): (Vec<_>, Vec<_>) = trained.into_iter().unzip();
        let derived = vec![
            ("training_patches".into(), listed(&samples, |s| s.count().to_string())),
            ("training_error".into(), listed(&outcomes, |o| o.map_or("-".into(), |(error, _)| format!("{error:.4}")))),
            ("iterations".into(), listed(&outcomes, |o| o.map_or(0, |(_, iterations)| iterations).to_string())),
        ];
        Ok((dictionaries, derived))
    }

    /// Number of atoms that `samples` patches are enough for: as many for each patch as was asked for, and at least one.
    fn atoms(&self, samples: usize) -> usize {
        let (asked, patches) = (self.parameters.dictionary_size as usize, self.parameters.training_patches as usize);
        (asked * samples / patches).clamp(1, samples)
    }

    fn warn_of_nothing(&self, differences: &[Differences], dictionaries: &[Option<BandDictionary>], exec: &Exec<'_>) {
        for (band, difference) in differences.iter().enumerate().filter(|(b, _)| dictionaries[*b].is_none()) {
            let why = if self.given.is_some() && self.parameters.dictionary_mode == DictionaryMode::Use {
                "the dictionary given has none for it".to_string()
            } else if self.scales(band, difference).is_none() {
                "the difference between the pairs has no contrast".to_string()
            } else {
                format!("no patch has at most {} % invalid pixels", self.parameters.max_invalid * 100.0)
            };
            exec.warn(format!("Band {}: nothing to learn from, {why}; the coarse change is added as it is", band + 1));
        }
    }
}

/// What `text` says of every item, with spaces between.
fn listed<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(" ")
}

impl Prepared for Ready {
    fn derived(&self) -> Vec<(String, String)> {
        self.derived.clone()
    }

    fn artefacts(&self) -> Vec<Artefact> {
        self.saved.iter().map(|contents| Artefact { parameter: "save_dictionary", contents: contents.clone() }).collect()
    }

    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
        cpu::run(&self.job, tile, out, exec)
    }

    fn on_device<'a>(&'a self, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
        cuda::on_device(&self.job, queue)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::Array3;
    use stfusion_core::param::Values;
    use stfusion_core::{Cancel, Level};

    use super::*;
    use crate::cases::{self as shared, Problem};

    const SMALL: &[(&str, &str)] =
        &[("dictionary_size", "8"), ("training_patches", "40"), ("max_iterations", "3"), ("min_iterations", "1")];

    fn values(more: &[(&str, &str)]) -> Values {
        let mut all: Vec<_> = SMALL.iter().filter(|(id, _)| more.iter().all(|(other, _)| other != id)).copied().collect();
        all.extend_from_slice(more);
        shared::values_of(&Spstfm, &all).unwrap()
    }

    fn refusal(problem: &Problem, settings: &[(&str, &str)]) -> Error {
        let (scene, values) = (problem.scene().unwrap(), values(settings));
        Spstfm.plan(&Request { values: &values, scene: scene.info() }).err().unwrap()
    }

    fn predicted(problem: &Problem, settings: &[(&str, &str)]) -> shared::Prediction {
        shared::predict(&Spstfm, &values(settings), problem, (32, 32), true).unwrap()
    }

    /// What `prepare` derives and warns of.
    fn prepared(problem: &Problem, settings: &[(&str, &str)]) -> (Vec<(String, String)>, Vec<String>) {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let heard = warnings.clone();
        let log = move |level: Level, message: &str| {
            if level == Level::Warning {
                heard.lock().unwrap().push(message.to_string());
            }
        };
        let (scene, values, cancel) = (problem.scene().unwrap(), values(settings), Cancel::new());
        let exec = Exec { log: &log, ..Exec::quiet(&cancel) };
        let plan = Spstfm.plan(&Request { values: &values, scene: scene.info() }).unwrap();
        let derived = plan.prepare(&scene, &exec).unwrap().derived();
        let warnings = warnings.lock().unwrap().clone();
        (derived, warnings)
    }

    fn derived<'a>(all: &'a [(String, String)], name: &str) -> &'a str {
        all.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).unwrap()
    }

    #[test]
    fn parameters_that_do_not_fit_are_refused_with_some_that_do() {
        let problem = Problem::fields(2, 9, 12, 3, &[-16, 24], 1);
        type Settings<'a> = &'a [(&'a str, &'a str)];
        let cases: [(Settings<'_>, &str, &str); 6] = [
            (&[("patch", "10")], "Patch size 10 is larger than the image (9 x 12 fine pixels)", "Set patch=9 or smaller."),
            (&[("overlap", "4")], "Overlap 4 is more than half the patch size 7", "Set overlap=3 or smaller."),
            (
                &[("dictionary_size", "64"), ("training_patches", "30")],
                "64 atoms cannot be learned from 30 patches",
                "Set training_patches=512 or larger.",
            ),
            (
                &[("min_iterations", "9"), ("max_iterations", "4")],
                "min_iterations=9 is larger than max_iterations=4",
                "Set max_iterations=9 or larger.",
            ),
            (
                &[("weighting", "built_up")],
                "Weighting by built-up area needs three of the 2 bands; index_bands has []",
                "Give index_bands the numbers of the red, near-infrared and shortwave-infrared band, or choose another weighting.",
            ),
            (
                &[("weighting", "built_up"), ("index_bands", "1 2 3")],
                "Weighting by built-up area needs three of the 2 bands; index_bands has [1, 2, 3]",
                "Give index_bands the numbers of the red, near-infrared and shortwave-infrared band, or choose another weighting.",
            ),
        ];
        for (settings, message, hint) in cases {
            let error = refusal(&problem, settings);
            assert_eq!((error.kind(), error.message(), error.hint()), (ErrorKind::Parameter, message, Some(hint)));
        }
    }

    #[test]
    fn more_than_two_pairs_need_dates_and_the_nearest_on_either_side_are_used() {
        let mut problem = Problem::fields(1, 20, 20, 2, &[-60, 40, -10, 20], 1);
        assert_eq!(derived(&prepared(&problem, &[]).0, "pairs"), "3 4");
        let two = Problem { pairs: vec![problem.pairs[2].clone(), problem.pairs[3].clone()], ..problem.clone() };
        let swapped = Problem { pairs: vec![problem.pairs[3].clone(), problem.pairs[2].clone()], ..problem.clone() };
        assert_eq!(predicted(&problem, &[]).image, predicted(&two, &[]).image);
        assert_eq!(predicted(&problem, &[]).image, predicted(&swapped, &[]).image);
        problem.pairs[1].gap_days = None;
        let error = refusal(&problem, &[]);
        assert_eq!(error.message(), "SPSTFM needs dates to choose two of 4 pairs; pair 2 has none");
    }

    #[test]
    fn two_pairs_without_dates_are_taken_as_they_come() {
        let mut problem = Problem::fields(1, 20, 20, 2, &[-10, 20], 1);
        let dated = predicted(&problem, &[]).image;
        problem.pairs.iter_mut().for_each(|p| p.gap_days = None);
        assert_eq!(dated, predicted(&problem, &[]).image);
    }

    #[test]
    fn pairs_on_one_side_are_worth_a_warning() {
        let warnings = |gaps: &[i16]| prepared(&Problem::fields(1, 20, 20, 2, gaps, 1), &[]).1;
        assert_eq!(
            warnings(&[-30, -10]),
            ["Both pairs lie on one side of the target date; SPSTFM is made for a target between them"]
        );
        assert!(warnings(&[-30, 10]).is_empty());
    }

    #[test]
    fn the_dictionary_shrinks_with_the_patches() {
        let problem = Problem::fields(1, 22, 27, 1, &[-16, 24], 1);
        // 4 x 5 patches of 7, 2 pixels shared
        let all = prepared(&problem, &[]).0;
        assert_eq!((derived(&all, "training_patches"), derived(&all, "atoms")), ("20", "4"));
        let few = prepared(&problem, &[("dictionary_size", "3"), ("training_patches", "2000")]).0;
        assert_eq!(derived(&few, "atoms"), "1");
    }

    #[test]
    fn a_band_without_contrast_adds_the_coarse_change_and_says_so() {
        let mut problem = Problem::fields(2, 20, 20, 2, &[-16, 24], 1);
        for pair in &mut problem.pairs {
            pair.coarse.index_axis_mut(ndarray::Axis(0), 1).fill(0.25);
        }
        problem.target.index_axis_mut(ndarray::Axis(0), 1).fill(0.5);
        let (_, warnings) = prepared(&problem, &[]);
        assert_eq!(
            warnings,
            ["Band 2: nothing to learn from, the difference between the pairs has no contrast; the coarse change is added as it is"]
        );
        let prediction = predicted(&problem, &[("weighting", "equal")]);
        for ((band, row, col), v) in prediction.image.indexed_iter().filter(|((band, ..), _)| *band == 1) {
            let expected = 0.5 * (problem.pairs[0].fine[(band, row, col)] + problem.pairs[1].fine[(band, row, col)]) + 0.25;
            assert!((v - expected).abs() < 1e-6);
        }
        assert!(prediction.fallback.unwrap().iter().all(|f| *f == 6.0));
        assert!(predicted(&Problem::fields(1, 20, 20, 2, &[-16, 24], 1), &[]).fallback.unwrap().iter().all(|f| *f == 0.0));
    }

    #[test]
    fn pairs_that_share_no_pixel_are_refused() {
        let mut problem = Problem::fields(1, 20, 20, 2, &[-16, 24], 1);
        problem.pairs[0].fine.slice_mut(ndarray::s![.., ..10, ..]).fill(f32::NAN);
        problem.pairs[1].fine.slice_mut(ndarray::s![.., 10.., ..]).fill(f32::NAN);
        let error = shared::predict(&Spstfm, &values(&[]), &problem, (20, 20), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(error.message(), "Nothing can be learned: the images of pair 1 and pair 2 have no valid pixel in common");
    }

    #[test]
    fn one_pair_alone_predicts_where_the_other_is_invalid() {
        let mut problem = Problem::fields(1, 24, 24, 2, &[-16, 24], 1);
        problem.pairs[1].fine.slice_mut(ndarray::s![.., ..8, ..]).fill(f32::NAN);
        problem.target.slice_mut(ndarray::s![.., .., 20..]).fill(f32::NAN);
        let prediction = predicted(&problem, &[]);
        let (_, fraction) = prediction.support.unwrap();
        for ((_, row, col), v) in prediction.image.indexed_iter() {
            assert_eq!(v.is_nan(), col >= 20, "row {row}, column {col}: {v}");
        }
        assert!(fraction[(2, 2)] < 0.6 && fraction[(20, 2)] == 1.0, "{} {}", fraction[(2, 2)], fraction[(20, 2)]);
    }

    #[test]
    fn an_unchanged_coarse_image_returns_the_fine_image() {
        let mut problem = Problem::fields(2, 24, 24, 2, &[-16, 24], 1);
        problem.target = problem.pairs[1].coarse.clone();
        assert_eq!(predicted(&problem, &[]).image, problem.pairs[1].fine);
    }

    #[test]
    fn a_change_that_was_seen_before_is_predicted_in_detail() {
        // every coarse pixel holds a light and a dark half, which change apart: the target is half-way
        let at = |part: f32| {
            Array3::from_shape_fn((1, 60, 60), |(_, r, c)| {
                let strength = 0.1 + 0.05 * ((r / 6 * 7 + c / 6 * 3) % 5) as f32;
                0.2 + part * strength * if c % 6 < 3 { 1.0 } else { 0.2 }
            })
        };
        let coarse = |fine: &Array3<f32>| {
            Array3::from_shape_fn((1, 60, 60), |(_, r, c)| {
                let (r, c) = (r / 6 * 6, c / 6 * 6);
                fine.slice(ndarray::s![0, r..r + 6, c..c + 6]).mean().unwrap()
            })
        };
        let mut problem = Problem::fields(1, 60, 60, 6, &[-16, 24], 1);
        for (pair, part) in problem.pairs.iter_mut().zip([0.0, 1.0]) {
            pair.fine = at(part);
            pair.coarse = coarse(&pair.fine);
        }
        let truth = at(0.5);
        problem.target = coarse(&truth);
        let error = |image: &Array3<f32>| image.iter().zip(&truth).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        let increment =
            shared::predict(&crate::coarse_increment::CoarseIncrement, &Values::default(), &problem, (60, 60), false).unwrap();
        let settings =
            [("dictionary_size", "64"), ("training_patches", "144"), ("patch", "6"), ("overlap", "1"), ("weighting", "equal")];
        let (ours, theirs) = (error(&predicted(&problem, &settings).image), error(&increment.image));
        assert!(ours < 0.1 * theirs, "{ours} against {theirs}");
    }

    /// Values with a dictionary file of these contents.
    fn with_dictionary(contents: Vec<u8>, more: &[(&str, &str)]) -> Values {
        let mut values = values(&[more, &[("dictionary", "old.stfdict")]].concat());
        values.attach("dictionary", contents);
        values
    }

    /// The dictionary that a job saves.
    fn saved(problem: &Problem, values: &Values) -> Vec<u8> {
        let (scene, cancel) = (problem.scene().unwrap(), Cancel::new());
        let plan = Spstfm.plan(&Request { values, scene: scene.info() }).unwrap();
        let mut artefacts = plan.prepare(&scene, &Exec::quiet(&cancel)).unwrap().artefacts();
        assert_eq!((artefacts.len(), artefacts[0].parameter), (1, "save_dictionary"));
        artefacts.remove(0).contents
    }

    const SAVE: (&str, &str) = ("save_dictionary", "new.stfdict");

    #[test]
    fn a_saved_dictionary_gives_the_same_prediction() {
        let problem = Problem::fields(2, 24, 28, 2, &[-16, 24], 1).with_gaps(0.02, 4);
        assert!(prepared(&problem, &[]).0.iter().all(|(name, _)| name != "save_dictionary"));
        let contents = saved(&problem, &values(&[SAVE]));
        let with = shared::predict(&Spstfm, &with_dictionary(contents.clone(), &[]), &problem, (32, 32), false).unwrap();
        assert!(with.image.iter().zip(&predicted(&problem, &[]).image).all(|(a, b)| a.to_bits() == b.to_bits()));
        assert_eq!(saved(&problem, &with_dictionary(contents.clone(), &[SAVE])), contents, "saved again it is the same file");
    }

    #[test]
    fn a_dictionary_goes_on_learning_from_other_images() {
        let first = Problem::fields(1, 24, 28, 2, &[-16, 24], 1);
        let second = Problem::fields(1, 24, 28, 2, &[-30, 10], 2);
        let old = saved(&first, &values(&[SAVE]));
        let improved = saved(&second, &with_dictionary(old.clone(), &[SAVE, ("dictionary_mode", "improve")]));
        assert_eq!(improved.len(), old.len(), "as many atoms");
        assert_ne!(improved, old);
        assert_ne!(improved, saved(&second, &values(&[SAVE])));
        assert_eq!(improved, saved(&second, &with_dictionary(old.clone(), &[SAVE, ("dictionary_mode", "improve")])));
        // without an iteration nothing is learned
        let none = [SAVE, ("dictionary_mode", "improve"), ("min_iterations", "0"), ("max_iterations", "0")];
        assert_eq!(saved(&second, &with_dictionary(old.clone(), &none)), old);
    }

    #[test]
    fn a_dictionary_serves_pairs_that_have_nothing_to_learn_from() {
        let dictionary = saved(&Problem::fields(1, 24, 28, 2, &[-16, 24], 1), &values(&[SAVE]));
        let problem = Problem::fields(1, 20, 20, 2, &[-16, 24], 3).with_gaps(0.3, 5);
        let predict = |values: &Values| shared::predict(&Spstfm, values, &problem, (20, 20), true).unwrap();
        assert!(predict(&values(&[])).fallback.unwrap().iter().any(|f| *f == 6.0));
        for mode in ["use", "improve"] {
            let prediction = predict(&with_dictionary(dictionary.clone(), &[("dictionary_mode", mode)]));
            assert!(prediction.fallback.unwrap().iter().all(|f| *f == 0.0), "{mode}");
        }
    }

    #[test]
    fn a_file_that_does_not_fit_is_named() {
        let problem = Problem::fields(2, 24, 28, 2, &[-16, 24], 1);
        let one_band = saved(&Problem::fields(1, 24, 28, 2, &[-16, 24], 1), &values(&[SAVE]));
        let refusal = |contents: &[u8], more: &[(&str, &str)]| {
            let (scene, values) = (problem.scene().unwrap(), with_dictionary(contents.to_vec(), more));
            Spstfm.plan(&Request { values: &values, scene: scene.info() }).err().unwrap()
        };
        let error = refusal(&one_band, &[]);
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(error.message(), "Dictionary old.stfdict: has 1 bands; the images have 2");
        let error = refusal(&one_band, &[("patch", "5")]);
        assert_eq!(error.message(), "Dictionary old.stfdict: is for patches of 7 pixels; the patch size is 5");
        assert_eq!(error.hint(), Some("Set patch=7, or learn a dictionary for 5."));
        assert_eq!(refusal(b"nonsense", &[]).message(), "Dictionary old.stfdict: is not a dictionary of stfusion");
    }

    #[test]
    fn a_stopped_run_says_so() {
        let problem = Problem::fields(1, 20, 20, 4, &[-16, 24], 1);
        let (scene, values, cancel) = (problem.scene().unwrap(), values(&[]), Cancel::new());
        cancel.request();
        let plan = Spstfm.plan(&Request { values: &values, scene: scene.info() }).unwrap();
        assert_eq!(plan.prepare(&scene, &Exec::quiet(&cancel)).err().unwrap().kind(), ErrorKind::Cancelled);
    }
}
