//! From class values to fine pixels.

use ndarray::{Array2, Array3};
use stfusion_core::device::Queue;
use stfusion_core::method::{
    check_needs, Cost, DeviceCost, DeviceTiles, ExtraImage, Fallback, Layer, MethodInfo, PairTile, Prepared, Scene, SceneInfo,
    TileIn, TileOut,
};
use stfusion_core::{Error, Exec, Result};

use super::class_values::{bytes_per_cell, ClassValues, Question};
use super::cuda;
use super::mixtures::{Mixtures, LEAST_VALID};
use crate::blocks::classes::{Classes, NO_CLASS};
use crate::blocks::classifiers::Classification;
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::pair_order::ByDate;

/// What class values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The prediction itself; a pixel without one gets its coarse value of the target day. The fine image and the coarse image of
    /// the pair do not enter.
    Value,
    /// The change since the pair; a pixel without one gets that of its coarse values.
    Change,
}

/// Classes that are counted on in the memory of a class map, whose number is not known before it is read.
const CLASSES_OF_MAP: usize = 32;

/// A job of a method of this family.
#[derive(Debug, Clone)]
pub struct Unmixing {
    /// The scene.
    pub scene: SceneInfo,
    /// Its coarse pixels.
    pub grid: CoarseGrid,
    /// Where classes come from.
    pub classification: Classification,
    /// What class values are.
    pub meaning: Meaning,
}

impl Unmixing {
    /// The job that the method `info` is asked for; `scale` is its parameter.
    ///
    /// # Errors
    /// Those of [`check_needs`], [`CoarseGrid::of_scene`] and [`Classification::check`].
    pub fn new(
        info: &MethodInfo,
        scene: &SceneInfo,
        scale: Option<f64>,
        classification: Classification,
        meaning: Meaning,
    ) -> Result<Unmixing> {
        check_needs(info, scene)?;
        let grid = CoarseGrid::of_scene(scene, scale, info.label)?;
        classification.check(scene, &grid)?;
        Ok(Unmixing { scene: scene.clone(), grid, classification, meaning })
    }

    /// What a tile costs, with `days` sides for each band.
    pub fn cost(&self, days: usize) -> Cost {
        let bands = self.scene.bands;
        let of_pair = |classes: usize| self.grid.cells() * bytes_per_cell(classes, bands, days * bands);
        Cost {
            bytes_per_px: 2 * self.scene.pairs.len(),
            fixed_bytes: self.scene.cols * (8 + 1) * self.scene.pairs.len(),
            prepared_bytes: self.classes_of_pairs().map(of_pair).sum(),
            ..Cost::default()
        }
    }

    /// What a tile costs on a GPU.
    pub fn device_cost(&self) -> DeviceCost {
        cuda::cost(self.scene.bands, self.grid.cells(), self.classes_of_pairs())
    }

    /// Classes of every pair that memory is counted for.
    fn classes_of_pairs(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.scene.pairs.iter().map(|p| if p.has(ExtraImage::Classes) { CLASSES_OF_MAP } else { self.classification.classes })
    }

    /// Finds the classes of every pair and answers its question. A pair without a valid fine pixel takes no part.
    ///
    /// # Errors
    /// Those of the classes and of reading, and [`stfusion_core::ErrorKind::Cancelled`].
    pub fn prepare(
        &self,
        scene: &dyn Scene,
        exec: &Exec<'_>,
        question: impl Fn(usize, Mixtures) -> Result<Question>,
    ) -> Result<Box<dyn Prepared>> {
        let pairs = self.scene.pairs.len();
        let mut answers = Vec::with_capacity(pairs);
        for k in 0..pairs {
            let classes = self.classification.classes_of(scene, &self.grid, k, exec)?;
            answers.push(match classes {
                Some(classes) => {
                    let mixtures = Mixtures::of_pair(scene, self.grid, &classes, k, exec)?;
                    Some(Answer { values: question(k, mixtures)?.answer(exec)?, classes })
                }
                None => {
                    exec.warn(format!("The fine image of pair {} has no valid pixel to classify; the pair takes no part", k + 1));
                    None
                }
            });
            (exec.progress)((k + 1) as f64 / pairs as f64);
        }
        Ok(Box::new(Assigned { grid: self.grid, meaning: self.meaning, by_date: ByDate::new(&self.scene), answers }))
    }

    /// A coarse image, (band, cell row, cell col), with the rule of this family for gaps.
    ///
    /// # Errors
    /// Those of reading, and [`stfusion_core::ErrorKind::Cancelled`].
    pub fn coarse(&self, scene: &dyn Scene, layer: Layer, exec: &Exec<'_>) -> Result<Array3<f64>> {
        let images = self.grid.images(scene, &[layer], LEAST_VALID, exec)?;
        let image = images.into_iter().next().ok_or_else(|| Error::internal("a coarse image is missing"))?;
        Ok(image.mapv(f64::from))
    }
}

/// What was found of a pair.
pub(super) struct Answer {
    pub(super) classes: Classes,
    pub(super) values: ClassValues,
}

/// Ready to assign. Each pair predicts by itself; [`ByDate`] says how they are combined.
pub(super) struct Assigned {
    pub(super) grid: CoarseGrid,
    pub(super) meaning: Meaning,
    pub(super) by_date: ByDate,
    pub(super) answers: Vec<Option<Answer>>,
}

impl Prepared for Assigned {
    fn derived(&self) -> Vec<(String, String)> {
        let count = |answer: &Option<Answer>| answer.as_ref().map_or(0, |a| a.values.classes()).to_string();
        let classes: Vec<String> = self.answers.iter().map(count).collect();
        vec![
            ("classes".to_string(), classes.join(" ")),
            ("coarse_pixels".to_string(), format!("{} x {}", self.grid.rows, self.grid.cols)),
        ]
    }

    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
        let labels = self.labels(tile)?;
        let (bands, rows, cols) = out.image.dim();
        let mut lines: Vec<Line> = tile.pairs.iter().map(|_| Line::new(cols)).collect();
        let columns: Vec<usize> = (0..cols).map(|col| (tile.region.col + col) / self.grid.scale).collect();
        let mut cells = vec![0; cols];
        for row in 0..rows {
            exec.cancel.check()?;
            let first = (tile.region.row + row) / self.grid.scale * self.grid.cols;
            cells.iter_mut().zip(&columns).for_each(|(cell, column)| *cell = first + column);
            if let Some(support) = &mut out.support {
                support.similar_pixels.row_mut(row).fill(f32::MAX);
                for (fraction, &cell) in support.valid_fraction.row_mut(row).iter_mut().zip(&cells) {
                    let valid: f32 = self.answers.iter().flatten().map(|a| a.values.valid(cell)).sum();
                    *fraction = (valid / tile.pairs.len() as f32).clamp(0.0, 1.0);
                }
            }
            for band in 0..bands {
                for (k, line) in lines.iter_mut().enumerate() {
                    self.predict_line(tile, k, (band, row), (&cells, &labels[k]), line);
                }
                for (col, &cell) in cells.iter().enumerate() {
                    let chosen = self.by_date.choose(|k| !lines[k].predicted[col].is_nan());
                    let value = chosen.combined(|k| lines[k].predicted[col]).unwrap_or(f64::NAN) as f32;
                    out.image[(band, row, col)] = if value.is_finite() { value } else { f32::NAN };
                    if let Some(support) = &mut out.support {
                        let at = (row, col);
                        let mut holders = 0.0;
                        for k in chosen.pairs() {
                            support.fallback[at] = support.fallback[at].max(f32::from(lines[k].marks[col]));
                            holders += self.holders(k, cell, labels[k][at]);
                        }
                        support.similar_pixels[at] = support.similar_pixels[at].min(holders);
                    }
                }
            }
        }
        Ok(())
    }

    fn on_device<'a>(&'a self, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
        cuda::on_device(self, queue)
    }
}

/// What one pair predicts of one row and band.
struct Line {
    predicted: Vec<f64>,
    marks: Vec<u8>,
}

impl Line {
    fn new(cols: usize) -> Line {
        Line { predicted: vec![f64::NAN; cols], marks: vec![0; cols] }
    }
}

impl Assigned {
    /// Labels of every pair, (row, col) of the tile.
    fn labels(&self, tile: &TileIn<'_>) -> Result<Vec<Array2<u16>>> {
        let of = |pair: &PairTile<'_>, answer: &Option<Answer>| match answer {
            Some(answer) => answer.classes.labels(pair.fine, pair.classes),
            None => Ok(Array2::from_elem((tile.region.rows, tile.region.cols), NO_CLASS)),
        };
        tile.pairs.iter().zip(&self.answers).map(|(pair, answer)| of(pair, answer)).collect()
    }

    /// Fills `line` with what pair `k` predicts of a row; `cells` holds the coarse pixel of every column.
    fn predict_line(
        &self,
        tile: &TileIn<'_>,
        k: usize,
        (band, row): (usize, usize),
        (cells, labels): (&[usize], &Array2<u16>),
        line: &mut Line,
    ) {
        let pair = &tile.pairs[k];
        let all = self.answers[k].as_ref().map(|a| (&a.values, a.values.of_band(band)));
        for (col, (predicted, mark)) in line.predicted.iter_mut().zip(&mut line.marks).enumerate() {
            let at = (band, row, col);
            let (fine, target, label) = (f64::from(pair.fine[at]), f64::from(tile.target[at]), labels[(row, col)]);
            (*predicted, *mark) = (f64::NAN, 0);
            let (start, coarse) = match self.meaning {
                Meaning::Value if label != NO_CLASS || !fine.is_nan() => (0.0, 0.0),
                Meaning::Value => continue,
                Meaning::Change => (fine, f64::from(pair.coarse[at])),
            };
            let instead = start + (target - coarse);
            if instead.is_nan() {
                continue;
            }
            let own = all.filter(|_| label != NO_CLASS).map(|(values, of_band)| {
                let class = usize::from(label);
                (f64::from(of_band[cells[col] * values.classes() + class]), values.mark(cells[col], class))
            });
            let (value, reason) = own.unwrap_or((f64::NAN, Fallback::ClassAbsent as u8));
            (*predicted, *mark) =
                if value.is_finite() { (start + value, reason) } else { (instead, reason.max(Fallback::OutOfRange as u8)) };
        }
    }

    fn holders(&self, k: usize, cell: usize, label: u16) -> f32 {
        match &self.answers[k] {
            Some(answer) if label != NO_CLASS => f32::from(answer.values.holders(cell, usize::from(label))),
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ndarray::s;
    use stfusion_core::method::{Method, Request};
    use stfusion_core::{Cancel, ErrorKind, Level};

    use super::*;
    use crate::cases::{predict, values_of, Prediction, Problem};
    use crate::stdfa::Stdfa;
    use crate::strum::Strum;
    use crate::ubdf::Ubdf;

    const SCALE: usize = 4;

    /// Two classes in patches that fill some coarse pixels, a value for each class on both days and the detail of the fine image; coarse images are their means.
    fn patches(rows: usize, cols: usize) -> Problem {
        let mut problem = Problem::fields(1, rows, cols, SCALE, &[-16], 3);
        let class = |r: usize, c: usize| (r / 5 + c / 9) % 2;
        let detail = |r: usize, c: usize| ((r * 7 + c * 3) % 5) as f32 / 128.0;
        let at = |day: usize, r: usize, c: usize| [[0.125, 0.5], [0.25, 0.375]][day][class(r, c)] + detail(r, c);
        let mean = |day: usize, r: usize, c: usize| {
            let (r0, c0) = (r / SCALE * SCALE, c / SCALE * SCALE);
            let rows = r0..(r0 + SCALE).min(rows);
            let sum: f32 =
                rows.clone().flat_map(|y| (c0..(c0 + SCALE).min(cols)).map(move |x| at(day, y, x) - detail(y, x))).sum();
            sum / (rows.len() * (cols.min(c0 + SCALE) - c0)) as f32
        };
        let image = |of: &dyn Fn(usize, usize) -> f32| Array3::from_shape_fn((1, rows, cols), |(_, r, c)| of(r, c));
        problem.pairs[0].fine = image(&|r, c| at(0, r, c));
        problem.pairs[0].coarse = image(&|r, c| mean(0, r, c));
        problem.pairs[0].classes = Some(Array2::from_shape_fn((rows, cols), |(r, c)| 5.0 + class(r, c) as f32));
        problem.target = image(&|r, c| mean(1, r, c));
        problem
    }

    fn run(method: &dyn Method, settings: &[(&str, &str)], problem: &Problem) -> Prediction {
        predict(method, &values_of(method, settings).unwrap(), problem, (7, 9), true).unwrap()
    }

    type Settings = &'static [(&'static str, &'static str)];

    fn all() -> [(&'static dyn Method, Settings); 4] {
        [(&Ubdf, &[]), (&Stdfa, &[]), (&Strum, &[("prior_ratio", "0.0001")]), (&Strum, &[("solution", "bounded")])]
    }

    #[test]
    fn mixtures_are_taken_apart_exactly() {
        let problem = patches(24, 30);
        for (method, settings) in all() {
            let settings = [settings, &[("window", "5")]].concat();
            let prediction = run(method, &settings, &problem);
            let keeps_detail = method.info().id != "ubdf";
            for ((_, r, c), value) in prediction.image.indexed_iter() {
                let class = (r / 5 + c / 9) % 2;
                let detail = if keeps_detail { ((r * 7 + c * 3) % 5) as f32 / 128.0 } else { 0.0 };
                let expected = [0.25, 0.375][class] + detail;
                assert!((value - expected).abs() < 1e-5, "{} at {r}, {c}: {value}, expected {expected}", method.info().id);
            }
            assert!(prediction.fallback.unwrap().iter().all(|f| *f == 0.0), "{}", method.info().id);
            assert!(prediction.support.unwrap().0.iter().all(|n| *n >= 4.0), "coarse pixels that hold the class");
        }
    }

    #[test]
    fn a_shift_of_all_values_shifts_the_prediction() {
        // reflectance and kelvin are solved alike
        let problem = Problem::fields(2, 40, 40, SCALE, &[-16], 6).with_gaps(0.05, 7);
        let mut warm = problem.clone();
        warm.target += 256.0;
        warm.pairs[0].fine += 256.0;
        warm.pairs[0].coarse += 256.0;
        // the same classes for both, since they are told by values with fewer digits
        let map = Array2::from_shape_fn((40, 40), |(r, c)| ((r / 7 + c / 5) % 3) as f32);
        for (method, settings) in all() {
            let predicted = |mut problem: Problem| {
                problem.pairs[0].classes = Some(map.clone());
                run(method, settings, &problem).image
            };
            let (cold, warm) = (predicted(problem.clone()), predicted(warm.clone()) - 256.0);
            for (at, (a, b)) in cold.indexed_iter().zip(&warm).map(|((at, a), b)| (at, (a, b))) {
                assert!((a.is_nan() && b.is_nan()) || (a - b).abs() < 2e-3, "{} at {at:?}: {a} and {b}", method.info().id);
            }
        }
    }

    #[test]
    fn pixels_without_a_class_value_follow_their_coarse_pixel_and_say_why() {
        let mut problem = patches(64, 64);
        let map = problem.pairs[0].classes.as_mut().unwrap();
        map[(2, 2)] = f32::NAN; // no class
        map.slice_mut(s![0..4, 20..24]).fill(9.0); // a class of one coarse pixel, whose value is missing
        problem.target.slice_mut(s![0, 0..4, 21..24]).fill(f32::NAN);
        problem.target.slice_mut(s![0, 16..64, 0..44]).fill(f32::NAN); // a hole larger than any window, but for one pixel
        problem.target[(0, 63, 0)] = 0.75;
        for (method, settings) in all() {
            let prediction = run(method, settings, &problem);
            let (fallback, (holders, valid)) = (prediction.fallback.unwrap(), prediction.support.unwrap());
            let followed = |row: usize, col: usize| {
                let (fine, coarse) = (problem.pairs[0].fine[(0, row, col)], problem.pairs[0].coarse[(0, row, col)]);
                problem.target[(0, row, col)] + if method.info().id == "ubdf" { 0.0 } else { fine - coarse }
            };
            let id = method.info().id;
            assert_eq!((fallback[(2, 2)], fallback[(0, 20)]), (4.0, 4.0), "{id}");
            assert!((prediction.image[(0, 2, 2)] - followed(2, 2)).abs() < 1e-6, "{id}");
            assert!(!prediction.image[(0, 0, 20)].is_nan() && prediction.image[(0, 0, 21)].is_nan(), "{id}");
            assert_eq!((fallback[(63, 0)], holders[(63, 0)], valid[(63, 0)]), (3.0, 0.0, 0.0), "{id}");
            assert!((prediction.image[(0, 63, 0)] - followed(63, 0)).abs() < 1e-6, "{id}");
        }
    }

    #[test]
    fn what_the_equations_leave_open_is_marked_and_stays_near_the_coarse_pixel() {
        // both classes have the same share everywhere
        let mut problem = patches(24, 24);
        problem.pairs[0].classes = Some(Array2::from_shape_fn((24, 24), |(_, c)| (c % 2) as f32));
        problem.target.fill(0.5);
        for method in [&Ubdf as &dyn Method, &Stdfa] {
            let prediction = run(method, &[], &problem);
            assert!(prediction.fallback.unwrap().iter().all(|f| *f == 5.0), "{}", method.info().id);
            let ubdf = run(&Ubdf, &[], &problem).image;
            assert!(ubdf.iter().all(|v| (v - 0.5).abs() < 1e-5));
        }
    }

    #[test]
    fn a_pair_without_a_valid_pixel_takes_no_part_and_is_told() {
        let mut problem = Problem::fields(1, 24, 24, SCALE, &[-16, 16], 2);
        problem.pairs[0].fine.fill(f32::NAN);
        let mut alone = problem.clone();
        alone.pairs.remove(0);
        let none = Problem { pairs: vec![problem.pairs[0].clone()], ..problem.clone() };
        for (method, settings) in all() {
            assert_eq!(run(method, settings, &problem).image, run(method, settings, &alone).image);
            assert!(run(method, settings, &none).image.iter().all(|v| v.is_nan()));
        }
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let cancel = Cancel::new();
        let sink = move |level: Level, text: &str| heard.lock().unwrap().push((level, text.to_string()));
        let exec = Exec { cancel: &cancel, log: &sink, progress: &|_| {} };
        let scene = problem.scene().unwrap();
        let values = values_of(&Ubdf, &[]).unwrap();
        let plan = Ubdf.plan(&Request { values: &values, scene: scene.info() }).unwrap();
        let prepared = plan.prepare(&scene, &exec).unwrap();
        assert_eq!(prepared.derived()[0], ("classes".to_string(), "0 4".to_string()));
        let told = told.lock().unwrap();
        assert_eq!(
            *told,
            [(Level::Warning, "The fine image of pair 1 has no valid pixel to classify; the pair takes no part".to_string())]
        );
    }

    #[test]
    fn what_cannot_be_unmixed_is_refused_before_any_pixel() {
        let mut problem = patches(8, 8);
        problem.pairs[0].classes = None;
        for (method, label) in [(&Ubdf as &dyn Method, "UBDF"), (&Stdfa, "STDFA"), (&Strum, "STRUM")] {
            let refusal = |problem: &Problem| {
                let values = values_of(method, &[("classes", "5")]).unwrap();
                method.plan(&Request { values: &values, scene: problem.scene().unwrap().info() }).err().unwrap()
            };
            let error = refusal(&problem);
            assert_eq!(error.message(), "5 classes cannot be told apart by 4 coarse pixels (2 x 2)");
            let error = refusal(&Problem { scale: None, ..problem.clone() });
            assert!(error.message().starts_with(label) && error.message().ends_with("so their scale is unknown"));
            assert_eq!(error.kind(), ErrorKind::Parameter);
        }
    }

    #[test]
    fn stopping_stops_the_windows() {
        let problem = Problem::fields(1, 40, 40, SCALE, &[-16], 2);
        let cancel = Cancel::new();
        let scene = problem.scene().unwrap();
        let values = values_of(&Stdfa, &[]).unwrap();
        let plan = Stdfa.plan(&Request { values: &values, scene: scene.info() }).unwrap();
        cancel.request();
        assert_eq!(plan.prepare(&scene, &Exec::quiet(&cancel)).err().unwrap().kind(), ErrorKind::Cancelled);
    }
}
