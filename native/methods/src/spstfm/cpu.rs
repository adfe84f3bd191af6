//! Prediction of a tile: every patch that touches it is coded, and what overlapping patches say is averaged.
//!
//! ```text
//! for every patch, for the pair before (1) and the pair after (3):
//!     h_k = D_H · code(C_2 − C_k)
//!     prediction = w_1 (F_1 + h_1) + w_3 (F_3 + h_3)        one side alone at pixels where the other pair is invalid
//! ```

use std::ops::Range;

use ndarray::{ArrayView2, ArrayView3, Axis};
use stfusion_core::method::{Fallback, TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::dictionary::Scales;
use super::differences::Sides;
use super::patches::{self, fill_gaps};
use super::sparse_code::{Codebook, Coder, Rule};
use super::vectors::add_scaled;
use crate::blocks::simd::Path;

/// What was learned for one band, ready for coding.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The coarse dictionary.
    pub book: Codebook,
    /// Atoms of the fine difference, one after the other.
    pub fine: Vec<f64>,
    /// What the differences are divided by.
    pub scales: Scales,
}

/// How the two sides are weighed.
#[derive(Debug, Clone, PartialEq)]
pub enum Weigh {
    /// By the mean coarse change over the largest one of the band.
    Change {
        /// Largest change of every band.
        largest: Vec<f64>,
    },
    /// By the part of the pixels that became or ceased to be built-up.
    BuiltUp {
        /// Bands of red, near and shortwave infrared, counted from 0.
        bands: [usize; 3],
    },
    /// Alike.
    Equal,
}

/// Everything that does not depend on the tile.
#[derive(Debug, Clone)]
pub struct Job {
    /// The pairs.
    pub sides: Sides,
    /// Side of a patch.
    pub patch: usize,
    /// Grid along rows and columns.
    pub grid: (patches::Axis, patches::Axis),
    /// Dictionaries of every band; `None` where there was nothing to learn from: the coarse change is then taken as it is.
    pub learned: Vec<Option<Learned>>,
    /// Rule of the sparse codes.
    pub rule: Rule,
    /// How the sides are weighed.
    pub weigh: Weigh,
    /// Relative changes that differ by more leave one side alone.
    pub threshold: f64,
    /// Vectors to use.
    pub path: Path,
}

/// Weights of both sides from their relative changes, `None` where nothing of a side is valid.
pub fn weights(before: Option<f64>, after: Option<f64>, threshold: f64) -> [f64; 2] {
    match (before, after) {
        (Some(_), None) => [1.0, 0.0],
        (None, _) => [0.0, 1.0],
        (Some(a), Some(b)) if a == b => [0.5, 0.5],
        (Some(a), Some(b)) if a == 0.0 || b == 0.0 || (a - b).abs() > threshold => {
            if a < b {
                [1.0, 0.0]
            } else {
                [0.0, 1.0]
            }
        }
        // 1 / a over 1 / a + 1 / b
        (Some(a), Some(b)) => [b / (a + b), a / (a + b)],
    }
}

/// Whether a pixel is built-up: the normalised difference of shortwave and near infrared exceeds that of near infrared and
/// red. `None` where a value is invalid or a sum is 0.
pub fn built_up([red, near, short]: [f64; 3]) -> Option<bool> {
    let index = (short - near) / (short + near) - (near - red) / (near + red);
    (!index.is_nan()).then_some(index > 0.0)
}

/// Computes one tile.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn run(job: &Job, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
    let region = tile.region;
    let bands = job.learned.len();
    let mut work = Work::new(job, tile, out.support.is_some());
    if let Some(support) = &mut out.support {
        support.similar_pixels.fill(1.0);
        support.valid_fraction.fill(0.0);
    }
    for band in 0..bands {
        work.begin(region.pixels());
        let images = Band::new(tile, job.sides, band);
        for i in job.grid.0.touching(region.row..region.row + region.rows) {
            for j in job.grid.1.touching(region.col..region.col + region.cols) {
                exec.cancel.check()?;
                work.add_patch(&images, band, (i, j));
            }
        }
        for (p, sums) in work.sums.iter().enumerate() {
            let at = (p / region.cols, p % region.cols);
            let value = (sums.prediction / sums.patches) as f32;
            let value = if value.is_finite() { value } else { f32::NAN };
            out.image[(band, at.0, at.1)] = value;
            let Some(support) = &mut out.support else { continue };
            if value.is_nan() {
                support.similar_pixels[at] = 0.0;
            } else if job.learned[band].is_none() {
                Fallback::NothingLearned.mark(&mut support.fallback[at]);
            }
            support.valid_fraction[at] += (sums.valid / sums.patches / bands as f64) as f32;
        }
    }
    Ok(())
}

/// Images of one band under a tile.
struct Band<'a> {
    fine: [ArrayView2<'a, f32>; 2],
    coarse: [ArrayView2<'a, f32>; 2],
    target: ArrayView2<'a, f32>,
}

impl<'a> Band<'a> {
    fn new(tile: &'a TileIn<'_>, sides: Sides, band: usize) -> Self {
        let pairs = [sides.before, sides.after].map(|k| &tile.pairs[k]);
        Band {
            fine: pairs.map(|p| p.fine.index_axis(Axis(0), band)),
            coarse: pairs.map(|p| p.coarse.index_axis(Axis(0), band)),
            target: tile.target.index_axis(Axis(0), band),
        }
    }
}

/// Sums over the patches that hold a pixel.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    prediction: f64,
    /// Valid parts of the patches.
    valid: f64,
    patches: f64,
}

/// Bytes of the sums of a pixel.
pub const BYTES_PER_PX: usize = size_of::<Sums>();

/// A patch at work: its first pixel in the scene, and its rows and columns inside the scene.
#[derive(Debug, Clone)]
struct Place {
    start: (isize, isize),
    inside: (Range<usize>, Range<usize>),
}

impl Place {
    /// The pixels of the patch within `rows` and `cols` of the scene: place in the patch, and (row, col) of the scene.
    fn pixels(&self, patch: usize, rows: Range<usize>, cols: Range<usize>) -> impl Iterator<Item = (usize, (usize, usize))> {
        let common = |a: &Range<usize>, b: Range<usize>| a.start.max(b.start)..a.end.min(b.end);
        let (rows, cols) = (common(&self.inside.0, rows), common(&self.inside.1, cols));
        let start = self.start;
        rows.flat_map(move |row| {
            let line = (row as isize - start.0) as usize * patch;
            cols.clone().map(move |col| (line + (col as isize - start.1) as usize, (row, col)))
        })
    }
}

/// Buffers of a tile.
struct Work<'a, 't> {
    job: &'a Job,
    tile: &'a TileIn<'t>,
    /// Whether valid parts are counted.
    support: bool,
    coder: Coder,
    sums: Vec<Sums>,
    /// Coarse change from either pair to the target under the patch.
    change: [Vec<f64>; 2],
    /// Fine change predicted from it.
    predicted: [Vec<f64>; 2],
    signal: Vec<f64>,
}

impl<'a, 't> Work<'a, 't> {
    fn new(job: &'a Job, tile: &'a TileIn<'t>, support: bool) -> Self {
        let zeros = || vec![0.0; job.patch * job.patch];
        Work {
            job,
            tile,
            support,
            coder: Coder::new(job.path),
            sums: Vec::new(),
            change: [zeros(), zeros()],
            predicted: [zeros(), zeros()],
            signal: zeros(),
        }
    }

    fn begin(&mut self, pixels: usize) {
        self.sums.clear();
        self.sums.resize(pixels, Sums::default());
    }

    /// (row, col) of the scene in the images of the tile.
    fn in_images(&self, (row, col): (usize, usize)) -> (usize, usize) {
        (row - self.tile.padded.row, col - self.tile.padded.col)
    }

    /// The pixels of a patch in the tile.
    fn in_tile(&self, place: &Place) -> impl Iterator<Item = (usize, (usize, usize))> {
        let region = self.tile.region;
        place.pixels(self.job.patch, region.row..region.row + region.rows, region.col..region.col + region.cols)
    }

    /// Adds what the patch at this place of the grid says.
    fn add_patch(&mut self, images: &Band<'_>, band: usize, (i, j): (usize, usize)) {
        let (rows, cols) = self.job.grid;
        let place = Place { start: (rows.start(i), cols.start(j)), inside: (rows.inside(i), cols.inside(j)) };
        let origin = (self.tile.padded.row, self.tile.padded.col);
        for (coarse, change) in images.coarse.iter().zip(&mut self.change) {
            patches::difference((coarse, &images.target), origin, place.start, self.job.patch, change);
        }
        let weights = self.weights(band, &place);
        for side in [0, 1] {
            if weights[side] > 0.0 || self.is_alone(images, side, &place) {
                self.predict(band, side);
            }
        }
        let valid = if self.support { self.valid_part(images, &place) } else { 0.0 };
        self.add(images, weights, valid, &place);
    }

    fn weights(&self, band: usize, place: &Place) -> [f64; 2] {
        let relative = |side: usize| {
            let (mut count, mut sum) = (0usize, 0.0);
            for v in self.change[side].iter().filter(|v| !v.is_nan()) {
                count += 1;
                sum += v.abs();
            }
            if count == 0 {
                return None;
            }
            Some(match &self.job.weigh {
                Weigh::Change { largest } if largest[band] > 0.0 => sum / count as f64 / largest[band],
                Weigh::Change { .. } | Weigh::Equal => 0.0,
                Weigh::BuiltUp { bands } => self.built_up_change(side, *bands, place),
            })
        };
        weights(relative(0), relative(1), self.job.threshold)
    }

    /// Part of the pixels that are built-up on one of the two days only; 0 where no pixel has an index on both.
    fn built_up_change(&self, side: usize, bands: [usize; 3], place: &Place) -> f64 {
        let pair = &self.tile.pairs[[self.job.sides.before, self.job.sides.after][side]];
        let (mut changed, mut count) = (0usize, 0usize);
        let (rows, cols) = place.inside.clone();
        for (_, at) in place.pixels(self.job.patch, rows, cols) {
            let (row, col) = self.in_images(at);
            let of = |image: &ArrayView3<'_, f32>| built_up(bands.map(|b| f64::from(image[(b, row, col)])));
            if let (Some(then), Some(now)) = (of(&pair.coarse), of(&self.tile.target)) {
                count += 1;
                changed += usize::from(then != now);
            }
        }
        changed as f64 / count.max(1) as f64
    }

    fn is_valid(&self, images: &Band<'_>, side: usize, p: usize, at: (usize, usize)) -> bool {
        !images.fine[side][at].is_nan() && !self.change[side][p].is_nan()
    }

    /// Whether a side alone is valid at some pixel.
    fn is_alone(&self, images: &Band<'_>, side: usize, place: &Place) -> bool {
        self.in_tile(place).any(|(p, at)| {
            let at = self.in_images(at);
            self.is_valid(images, side, p, at) && !self.is_valid(images, 1 - side, p, at)
        })
    }

    /// Valid part of the samples of both sides inside the scene.
    fn valid_part(&self, images: &Band<'_>, place: &Place) -> f64 {
        let (rows, cols) = place.inside.clone();
        let all = 2 * rows.len() * cols.len();
        let mut valid = 0usize;
        for (p, at) in place.pixels(self.job.patch, rows, cols) {
            let at = self.in_images(at);
            valid += [0, 1].into_iter().filter(|&side| self.is_valid(images, side, p, at)).count();
        }
        valid as f64 / all as f64
    }

    /// The fine change of a side from its coarse change.
    fn predict(&mut self, band: usize, side: usize) {
        let predicted = &mut self.predicted[side];
        let Some(learned) = &self.job.learned[band] else {
            predicted.copy_from_slice(&self.change[side]);
            return;
        };
        self.signal.clear();
        self.signal.extend(self.change[side].iter().map(|v| v / learned.scales.coarse));
        fill_gaps(&mut self.signal);
        self.coder.code(&learned.book, &self.signal, self.job.rule);
        predicted.fill(0.0);
        let n = learned.book.pixels;
        for (&k, &a) in self.coder.atoms().iter().zip(self.coder.coefficients()) {
            add_scaled(predicted, a * learned.scales.fine, &learned.fine[k * n..(k + 1) * n]);
        }
    }

    fn add(&mut self, images: &Band<'_>, weights: [f64; 2], valid: f64, place: &Place) {
        let region = self.tile.region;
        for (p, at) in self.in_tile(place) {
            let sum = (at.0 - region.row) * region.cols + (at.1 - region.col);
            let at = self.in_images(at);
            let value = |side: usize| f64::from(images.fine[side][at]) + self.predicted[side][p];
            let sides = [0, 1].map(|side| self.is_valid(images, side, p, at));
            let prediction = match sides {
                [true, true] if weights[1] == 0.0 => value(0),
                [true, true] if weights[0] == 0.0 => value(1),
                [true, true] => weights[0] * value(0) + weights[1] * value(1),
                [true, false] => value(0),
                [false, true] => value(1),
                [false, false] => f64::NAN,
            };
            let sums = &mut self.sums[sum];
            sums.prediction += prediction;
            sums.valid += valid;
            sums.patches += 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cases::{self, Problem};
    use crate::spstfm::parameters::Parameters;
    use crate::spstfm::{cases as own, reference, Spstfm, SpstfmOn};

    fn settings_for(settings: &[(&str, &str)]) -> stfusion_core::param::Values {
        let mut all =
            vec![("dictionary_size", "7"), ("training_patches", "16"), ("min_iterations", "2"), ("max_iterations", "3")];
        all.retain(|(id, _)| settings.iter().all(|(other, _)| other != id));
        all.extend_from_slice(settings);
        cases::values_of(&Spstfm, &all).unwrap()
    }

    fn compare(name: &str, problem: &Problem, settings: &[(&str, &str)]) {
        let values = settings_for(settings);
        let sides = Sides { before: 0, after: 1 };
        let expected = reference::predict(&Parameters::from_values(&values).unwrap(), problem, sides).unwrap();
        let got = cases::predict(&Spstfm, &values, problem, (9, 11), false).unwrap();
        let difference = cases::largest_difference(got.image.view(), expected.view()).unwrap();
        assert!(difference <= own::TOLERANCE, "{name}: {difference}");
    }

    #[test]
    fn every_rule_agrees_with_the_reference() {
        for (problem_name, problem) in own::problems() {
            for (name, settings) in own::SETTINGS {
                compare(&format!("{problem_name}, {name}"), &problem, settings);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_scene_agrees_with_the_reference(
            seed in 0u32..1000, rows in 7usize..15, cols in 7usize..15, gaps in 0.0f32..0.2, which in 0..own::SETTINGS.len(),
        ) {
            let problem = Problem::fields(3, rows, cols, 2, &[-16, 24], seed).with_gaps(gaps, seed);
            let (name, settings) = own::SETTINGS[which];
            compare(name, &problem, settings);
        }

        #[test]
        fn every_path_gives_the_same_bits(seed in 0u32..1000, gaps in 0.0f32..0.1, which in 0..own::SETTINGS.len()) {
            let problem = Problem::fields(3, 20, 24, 5, &[-16, 24], seed).with_gaps(gaps, seed);
            let values = settings_for(own::SETTINGS[which].1);
            let on = |path: Path| {
                let image = cases::predict(&SpstfmOn(path), &values, &problem, (20, 24), false).unwrap().image;
                image.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
            };
            let first = on(Path::Baseline);
            for &path in Path::ALL.iter().filter(|p| p.is_available()) {
                prop_assert_eq!(&first, &on(path), "{}", path);
            }
        }
    }

    #[test]
    fn weights_follow_the_smaller_change() {
        assert_eq!(weights(Some(0.1), Some(0.3), 0.5), [0.3 / 0.4, 0.1 / 0.4]);
        assert_eq!(weights(Some(0.1), Some(0.4), 0.2), [1.0, 0.0]);
        assert_eq!(weights(Some(0.4), Some(0.1), 0.2), [0.0, 1.0]);
        assert_eq!(weights(Some(0.0), Some(0.1), 0.2), [1.0, 0.0]);
        assert_eq!(weights(Some(0.0), Some(0.0), 0.2), [0.5, 0.5]);
        assert_eq!(weights(Some(0.1), None, 0.2), [1.0, 0.0]);
        assert_eq!(weights(None, Some(0.1), 0.2), [0.0, 1.0]);
    }

    #[test]
    fn built_up_is_bright_in_the_shortwave_and_not_green() {
        assert_eq!(built_up([0.2, 0.25, 0.4]), Some(true));
        assert_eq!(built_up([0.05, 0.4, 0.2]), Some(false));
        assert_eq!(built_up([0.05, f64::NAN, 0.2]), None);
        assert_eq!(built_up([0.0, 0.0, 0.2]), None);
    }
}
