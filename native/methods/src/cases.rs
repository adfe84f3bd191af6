//! Test problems shared by all methods, and a driver that runs a method over them tile by tile in memory.
//!
//! Part of the library so that the tests of other crates and the benchmarks can use the same problems; no method calls it.

use ndarray::{s, Array2, Array3, ArrayView1, ArrayView2, ArrayView3, Axis};
use stfusion_core::device::Device;
use stfusion_core::memory::{MemoryPair, MemoryScene};
use stfusion_core::method::{ExtraImage, Layer, Method, PairTile, Request, Scene, SupportOut, TileIn, TileOut};
use stfusion_core::param::Values;
use stfusion_core::{Cancel, Date, Error, Exec, Region, Result};

use crate::networks;

/// One pair of a [`Problem`], (band, row, col); `NaN` is invalid.
#[derive(Debug, Clone, PartialEq)]
pub struct ProblemPair {
    /// Days from the target to the pair, negative when the pair is earlier; `None`: without a date. -150 to 150.
    pub gap_days: Option<i16>,
    /// Fine image.
    pub fine: Array3<f32>,
    /// Coarse image on the fine grid.
    pub coarse: Array3<f32>,
    /// Class map, (row, col).
    pub classes: Option<Array2<f32>>,
    /// Object map, (row, col).
    pub objects: Option<Array2<f32>>,
    /// Panchromatic image, (row, col).
    pub pan: Option<Array2<f32>>,
}

/// Images of a whole problem in memory. The target day is day 180 of 2001.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The pairs.
    pub pairs: Vec<ProblemPair>,
    /// Coarse image of the target day, (band, row, col).
    pub target: Array3<f32>,
    /// Fine pixels per coarse-pixel side, if known.
    pub scale: Option<usize>,
}

/// A prediction and its support.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The image, (band, row, col).
    pub image: Array3<f32>,
    /// Similar pixels and valid fraction, (row, col), if asked for.
    pub support: Option<(Array2<f32>, Array2<f32>)>,
    /// Numbers of the fallbacks, (row, col), if the support was asked for.
    pub fallback: Option<Array2<f32>>,
}

const TARGET_DAY: i16 = 180;

/// Deterministic numbers in 0..1 from a position and a seed (a 32-bit integer hash).
fn noise(seed: u32, a: usize, b: usize, c: usize) -> f32 {
    let mut h =
        seed ^ (a as u32).wrapping_mul(0x9e37_79b1) ^ (b as u32).wrapping_mul(0x85eb_ca77) ^ (c as u32).wrapping_mul(0xc2b2_ae3d);
    for _ in 0..2 {
        h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
        h = (h ^ (h >> 13)).wrapping_mul(0x297a_2d39);
    }
    ((h ^ (h >> 16)) >> 8) as f32 / (1 << 24) as f32
}

impl Problem {
    /// Largest magnitude of a fine value.
    pub fn largest_fine(&self) -> f64 {
        self.pairs.iter().flat_map(|p| p.fine.iter()).filter(|v| !v.is_nan()).fold(0.0, |m, &v| m.max(f64::from(v).abs()))
    }

    /// Fields of several crops with noise, reflectance-like; `pairs` gives the days from the target to each pair. The coarse
    /// images are block means of `scale` x `scale` fine pixels. Values are multiples of 2⁻¹⁴, so that differences are exact.
    pub fn fields(bands: usize, rows: usize, cols: usize, scale: usize, pairs: &[i16], seed: u32) -> Problem {
        let grain = |v: f32| (v * 16384.0).round() / 16384.0;
        let fine_at = |day: i16| {
            Array3::from_shape_fn((bands, rows, cols), |(b, r, c)| {
                let field = noise(seed, 99, r / 7, c / 5);
                let season = (f32::from(day) / 365.0 * (0.5 + field)).sin();
                let base = 0.04 + 0.05 * (b as f32 + 1.0) * (0.3 + field);
                grain(base * (1.0 + 0.8 * season) + 0.01 * noise(seed.wrapping_add(day as u32), b, r, c))
            })
        };
        let coarse_of = |fine: &Array3<f32>| {
            Array3::from_shape_fn((bands, rows, cols), |(b, r, c)| {
                let (r0, c0) = (r / scale * scale, c / scale * scale);
                let block = fine.slice(s![b, r0..(r0 + scale).min(rows), c0..(c0 + scale).min(cols)]);
                grain(block.mean().unwrap_or(0.0))
            })
        };
        let pairs = pairs
            .iter()
            .map(|&gap| {
                let fine = fine_at(TARGET_DAY + gap);
                ProblemPair { gap_days: Some(gap), coarse: coarse_of(&fine), fine, classes: None, objects: None, pan: None }
            })
            .collect();
        Problem { pairs, target: coarse_of(&fine_at(TARGET_DAY)), scale: Some(scale) }
    }

    /// The same problem with about `share` of the pixels of every image invalid: single pixels, a diagonal band that crosses
    /// every tile border, and the corner pixel in all images.
    #[must_use]
    pub fn with_gaps(mut self, share: f32, seed: u32) -> Problem {
        let punch = |image: &mut Array3<f32>, salt: u32| {
            for ((b, r, c), v) in image.indexed_iter_mut() {
                let stripe = (r + 2 * c + 11 * salt as usize) % 37 < 2;
                if stripe || (r, c) == (0, 0) || noise(seed ^ salt, b, r, c) < share {
                    *v = f32::NAN;
                }
            }
        };
        for (k, pair) in self.pairs.iter_mut().enumerate() {
            punch(&mut pair.fine, 2 * k as u32 + 1);
            punch(&mut pair.coarse, 2 * k as u32 + 2);
        }
        punch(&mut self.target, 0);
        self
    }

    /// The same problem with a panchromatic image of every pair: the mean over the valid bands of its fine image.
    #[must_use]
    pub fn with_pan(mut self) -> Problem {
        for pair in &mut self.pairs {
            let mean = |values: ArrayView1<'_, f32>| {
                let valid = values.iter().filter(|v| v.is_finite());
                valid.clone().sum::<f32>() / valid.count() as f32
            };
            pair.pan = Some(pair.fine.map_axis(Axis(0), mean));
        }
        self
    }

    /// The same problem with a panchromatic image where `method` takes one.
    #[must_use]
    pub fn suited_to(self, method: &dyn Method) -> Problem {
        if method.info().accepts(ExtraImage::Panchromatic) {
            self.with_pan()
        } else {
            self
        }
    }

    /// Number of (bands, rows, cols).
    pub fn dim(&self) -> (usize, usize, usize) {
        self.target.dim()
    }

    /// The problem as a scene.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn scene(&self) -> Result<MemoryScene<'_>> {
        let day = |gap: i16| Date::from_day_of_year(2001, TARGET_DAY + gap);
        let pairs = self
            .pairs
            .iter()
            .map(|p| MemoryPair {
                date: p.gap_days.and_then(day),
                fine: p.fine.view(),
                coarse: p.coarse.view(),
                classes: p.classes.as_ref().map(|c| c.view()),
                objects: p.objects.as_ref().map(|o| o.view()),
                pan: p.pan.as_ref().map(|pan| pan.view()),
            })
            .collect();
        let dated = self.pairs.iter().any(|p| p.gap_days.is_some());
        MemoryScene::new(pairs, if dated { day(0) } else { None }, self.target.view(), self.scale.map(|s| s as f64))
    }
}

/// Plans and prepares `method`, and runs it over `problem` in tiles of at most `tile` (rows, cols), last tile first.
///
/// # Errors
/// Those of the method.
pub fn predict(
    method: &dyn Method,
    values: &Values,
    problem: &Problem,
    tile: (usize, usize),
    support: bool,
) -> Result<Prediction> {
    let scene = problem.scene()?;
    predict_scene(method, values, &scene, tile, support)
}

/// As [`predict`], for any scene that fits into memory.
///
/// # Errors
/// Those of the method and of reading.
pub fn predict_scene(
    method: &dyn Method,
    values: &Values,
    scene: &dyn Scene,
    tile: (usize, usize),
    support: bool,
) -> Result<Prediction> {
    predict_on(None, method, values, scene, tile, support)
}

/// As [`predict_scene`], on a GPU when one is given. The method must have a GPU version.
///
/// # Errors
/// Those of the method, of reading and of the device.
pub fn predict_on(
    device: Option<&dyn Device>,
    method: &dyn Method,
    values: &Values,
    scene: &dyn Scene,
    tile: (usize, usize),
    support: bool,
) -> Result<Prediction> {
    let blocks = Region::whole(scene.info().rows, scene.info().cols).blocks(tile.0, tile.1);
    predict_tiles((device, method), values, scene, blocks.into_iter().rev(), support)
}

/// As [`predict_scene`], in these tiles, one after the other; other pixels of the prediction are `NaN`.
///
/// # Errors
/// Those of the method and of reading.
pub fn predict_regions(
    method: &dyn Method,
    values: &Values,
    scene: &dyn Scene,
    regions: impl IntoIterator<Item = Region>,
    support: bool,
) -> Result<Prediction> {
    predict_tiles((None, method), values, scene, regions, support)
}

fn predict_tiles(
    (device, method): (Option<&dyn Device>, &dyn Method),
    values: &Values,
    scene: &dyn Scene,
    regions: impl IntoIterator<Item = Region>,
    support: bool,
) -> Result<Prediction> {
    let cancel = Cancel::new();
    let exec = Exec::quiet(&cancel);
    let info = scene.info();
    let plan = method.plan(&Request { values, scene: info })?;
    let halo = plan.cost().halo_px;
    let prepared = plan.prepare(scene, &exec)?;
    let mut on_device = match device {
        Some(device) => {
            let mut queue = device.queue()?;
            let tiles = prepared.on_device(queue.as_mut())?;
            Some((tiles, queue))
        }
        None => None,
    };
    let (bands, rows, cols) = (info.bands, info.rows, info.cols);
    let mut image = Array3::from_elem((bands, rows, cols), f32::NAN);
    let mut layers = support.then(|| (Array2::from_elem((rows, cols), f32::NAN), Array2::from_elem((rows, cols), f32::NAN)));
    let mut fallback = Array2::zeros((rows, cols));
    for region in regions {
        let padded = region.grown(halo, rows, cols);
        let read = |layer: Layer| -> Result<Array3<f32>> {
            let mut out = Array3::zeros((info.bands_of(layer), padded.rows, padded.cols));
            scene.read(layer, padded, out.view_mut())?;
            Ok(out)
        };
        let target = read(Layer::Target)?;
        let pairs = info
            .pairs
            .iter()
            .enumerate()
            .map(|(k, p)| {
                let extra = |extra| if p.has(extra) { read(Layer::Extra(extra, k)).map(Some) } else { Ok(None) };
                let extras = [extra(ExtraImage::Classes)?, extra(ExtraImage::Objects)?, extra(ExtraImage::Panchromatic)?];
                Ok((read(Layer::Fine(k))?, read(Layer::Coarse(k))?, extras))
            })
            .collect::<Result<Vec<_>>>()?;
        let input = TileIn {
            region,
            padded,
            pairs: pairs
                .iter()
                .enumerate()
                .map(|(k, (fine, coarse, extras))| {
                    let [classes, objects, pan] =
                        extras.each_ref().map(|extra| extra.as_ref().map(|image| image.slice(s![0, .., ..])));
                    PairTile { fine: fine.view(), coarse: coarse.view(), classes, objects, pan, gap_days: info.gap_days(k) }
                })
                .collect(),
            target: target.view(),
        };
        let shape = (region.rows, region.cols);
        let mut part = Array3::from_elem((bands, shape.0, shape.1), f32::NAN);
        let mut part_fallback = Array2::zeros(shape);
        let mut part_support = support.then(|| (Array2::from_elem(shape, f32::NAN), Array2::from_elem(shape, f32::NAN)));
        let mut output = TileOut {
            image: part.view_mut(),
            support: part_support.as_mut().map(|(n, v)| SupportOut {
                similar_pixels: n.view_mut(),
                valid_fraction: v.view_mut(),
                fallback: part_fallback.view_mut(),
            }),
        };
        match &mut on_device {
            Some((tiles, queue)) => tiles.run(&input, &mut output, queue.as_mut(), &exec)?,
            None => prepared.run(&input, &mut output, &exec)?,
        }
        let (r, c) = (region.row..region.row + region.rows, region.col..region.col + region.cols);
        image.slice_mut(s![.., r.clone(), c.clone()]).assign(&part);
        if let (Some((n, v)), Some((pn, pv))) = (&mut layers, &part_support) {
            n.slice_mut(s![r.clone(), c.clone()]).assign(pn);
            v.slice_mut(s![r.clone(), c.clone()]).assign(pv);
            fallback.slice_mut(s![r, c]).assign(&part_fallback);
        }
    }
    Ok(Prediction { image, support: layers, fallback: support.then_some(fallback) })
}

/// Parameter values from (id, text) pairs. A network gets the small weights for two bands that are made for tests, if there are such.
///
/// # Errors
/// Those of [`Values::set_text`].
pub fn values_of(method: &dyn Method, settings: &[(&str, &str)]) -> Result<Values> {
    let mut values = Values::default();
    for (id, text) in settings {
        values.set_text(method.info().parameters, id, text)?;
    }
    if let (Some(file), Some(weights)) = (method.info().required_file(), networks::cases::weights(method.info().id)) {
        values.set_text(method.info().parameters, file.id, "weights made for tests")?;
        values.attach(file.id, weights);
    }
    Ok(values)
}

/// Whether a method can be tried without files from elsewhere.
pub fn can_be_tried(method: &dyn Method) -> bool {
    method.info().required_file().is_none() || networks::cases::weights(method.info().id).is_some()
}

/// Largest |a − b|, where one of them may not be `NaN` alone.
///
/// # Errors
/// When the shapes differ or only one of two values is `NaN`, naming the place.
pub fn largest_difference(a: ArrayView3<'_, f32>, b: ArrayView3<'_, f64>) -> Result<f64> {
    if a.dim() != b.dim() {
        return Err(Error::internal(format!("shapes differ: {:?} and {:?}", a.dim(), b.dim())));
    }
    let mut largest = 0.0f64;
    for ((at, &x), &y) in a.indexed_iter().zip(b.iter()) {
        if x.is_nan() != y.is_nan() {
            return Err(Error::internal(format!("at {at:?} (band, row, col) one value is {x}, the other {y}")));
        }
        if !x.is_nan() {
            largest = largest.max((f64::from(x) - y).abs());
        }
    }
    Ok(largest)
}

/// Fails unless a prediction with its support is that of a reference: values within `tolerance` (relative to the largest fine value
/// of the problem), numbers of similar pixels equal, valid fractions within rounding.
///
/// # Errors
/// Telling what differs and by how much, after `name`.
pub fn agree(
    name: &str,
    problem: &Problem,
    got: &Prediction,
    (image, similar_pixels, valid_fraction): (&Array3<f64>, &Array2<f64>, &Array2<f64>),
    tolerance: f64,
) -> Result<()> {
    let differs = |what: String| Err(Error::internal(format!("{name}: {what}")));
    let (difference, tolerance) = (largest_difference(got.image.view(), image.view())?, tolerance * problem.largest_fine());
    let within = difference <= tolerance;
    if !within {
        return differs(format!("{difference} > {tolerance}"));
    }
    let Some((similar, fraction)) = &got.support else { return differs("no support was asked for".into()) };
    if *similar != similar_pixels.mapv(|v| v as f32) {
        return differs(format!("similar pixels {similar} and {similar_pixels}"));
    }
    let difference = largest_difference_2d(fraction.view(), valid_fraction.view())?;
    let within = difference < 1e-6;
    if !within {
        return differs(format!("valid fraction differs by {difference}"));
    }
    Ok(())
}

/// As [`largest_difference`], for one layer.
///
/// # Errors
/// As [`largest_difference`].
pub fn largest_difference_2d(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f64>) -> Result<f64> {
    largest_difference(a.insert_axis(ndarray::Axis(0)), b.insert_axis(ndarray::Axis(0)))
}

/// Largest difference from a reference, relative to the largest value of the problem, of a method that rounds to `f32` once.
pub const ONE_ROUNDING: f64 = 1e-7;

/// Settings (id, text) of a method without parameters.
pub const DEFAULTS: &[(&str, &[(&str, &str)])] = &[("defaults", &[])];

/// Problems for methods that combine pairs by their dates: pairs on both sides, on one side, on the target day itself, several
/// of one day; with and without gaps.
pub fn by_date() -> Vec<(&'static str, Problem)> {
    let fields = |pairs: &[i16]| Problem::fields(2, 23, 31, 4, pairs, 7);
    vec![
        ("one pair", fields(&[-16])),
        ("two sides", fields(&[-16, 32])),
        ("two sides with gaps", fields(&[-16, 32]).with_gaps(0.2, 3)),
        ("four pairs with gaps", fields(&[24, -40, -8, 8]).with_gaps(0.4, 4)),
        ("target day among the pairs", fields(&[-16, 0, 16]).with_gaps(0.3, 5)),
        ("two pairs of one day", fields(&[-16, -16, 20]).with_gaps(0.3, 6)),
    ]
}

/// Tests that a method which combines pairs by their dates agrees with its reference, on its cases and on any dates and gaps.
#[cfg(test)]
macro_rules! agrees_with_reference_by_date {
    ($method:expr) => {
        fn compare(name: &str, problem: &crate::cases::Problem) {
            let got = crate::cases::predict(&$method, &Default::default(), problem, (5, 7), false).unwrap();
            let expected = super::reference::predict(problem);
            let difference = crate::cases::largest_difference(got.image.view(), expected.view()).unwrap();
            assert!(difference <= super::cases::TOLERANCE, "{name}: {difference}");
        }

        #[test]
        fn every_case_agrees_with_the_reference() {
            for (name, problem) in super::cases::problems() {
                compare(name, &problem);
            }
        }

        proptest::proptest! {
            #![proptest_config(proptest::test_runner::Config { cases: 64, failure_persistence: None, ..Default::default() })]
            #[test]
            fn any_dates_and_gaps_agree_with_the_reference(
                days in proptest::collection::vec(-60i16..60, 1..6), gaps in 0.0f32..0.9, seed in 0u32..1000,
            ) {
                compare("random", &crate::cases::Problem::fields(2, 9, 11, 3, &days, seed).with_gaps(gaps, seed));
            }
        }
    };
}
#[cfg(test)]
pub(crate) use agrees_with_reference_by_date;
