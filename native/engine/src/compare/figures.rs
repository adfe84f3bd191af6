//! The pictures of a report: maps of truth, predictions and errors, and density plots of prediction against truth, as PNG in
//! data URIs.
//!
//! A picture shows a sample: every n-th row and column, counted from the corner of the scene, so that it depends on nothing but
//! the images. All methods of a fold share the colour scales of each band. A fold is drawn when it is scored, so that one fold's
//! sample is in memory at a time.

use ndarray::{Array2, Array3, ArrayView2, Axis};
use stfusion_core::{Cancel, Error, Region, Result};
use stfusion_scene::quicklook::{coloured, composite, ColourMap, Picture, Rgb, Stretch};

use super::scoring::Truth;
use super::spool::Spool;

/// Most folds that are drawn, so that a report stays a size that can be sent.
const MOST_FOLDS: usize = 6;
/// Most bands that are drawn.
const MOST_BANDS: usize = 6;
/// Side of a density plot in cells.
const PLOT_PX: usize = 72;
/// Shades of grey and of errors: more would not be seen, and would make the report larger.
const SHADES: f32 = 40.0;
/// Colours of a composite, for the same reason.
const COLOURS: usize = 255;
/// Part of the values beyond each end of a colour scale.
const BEYOND: f64 = 0.01;

/// The pictures of one fold.
pub(super) struct FoldFigures {
    /// Index of the pair held back.
    pub held: usize,
    /// Rows and columns of the scene between two that are shown.
    pub step: usize,
    /// The bands of the composites as red, green and blue; `None` with fewer than three bands.
    pub rgb: Option<[usize; 3]>,
    /// The bands drawn one by one.
    pub bands: Vec<BandScale>,
    /// The truth: as composite, and band by band.
    pub truth: Maps,
    /// The methods that predicted: name, the prediction, its errors, its density plots.
    pub methods: Vec<MethodFigures>,
}

/// Colour scales of one band of a fold.
pub(super) struct BandScale {
    /// Index of the band.
    pub band: usize,
    /// Values shown black and white.
    pub values: (f32, f32),
    /// Ends of both axes of the density plots.
    pub axes: (f32, f32),
    /// Error shown in the strongest colours.
    pub error: f32,
}

/// Maps of one image.
pub(super) struct Maps {
    /// In natural or false colours.
    pub composite: Option<String>,
    /// In greys, band by band.
    pub bands: Vec<String>,
}

/// Pictures of one method.
pub(super) struct MethodFigures {
    /// Name of the method.
    pub name: String,
    /// The prediction; bands only where there is no composite.
    pub prediction: Maps,
    /// Prediction minus truth, band by band.
    pub errors: Vec<String>,
    /// Prediction against truth, band by band.
    pub plots: Vec<String>,
}

/// Which of `count` folds are drawn: all, or some spread over them.
pub(super) fn folds_shown(count: usize) -> Vec<usize> {
    let shown = count.min(MOST_FOLDS);
    (0..shown).map(|k| k * count / shown).collect()
}

/// Longest side of a map, so that rows of maps fit on a page.
fn map_px(bands: usize) -> usize {
    match bands {
        1 => 320,
        2 | 3 => 240,
        _ => 160,
    }
}

/// Draws one fold. `wavelengths`: of the bands, in micrometres, where known; `names`: of the predictions.
///
/// # Errors
/// Those of reading, and [`stfusion_core::ErrorKind::Cancelled`].
pub(super) fn draw(
    truth: Truth<'_>,
    wavelengths: &[Option<f64>],
    names: &[&str],
    predictions: &[&Spool],
    cancel: &Cancel,
) -> Result<FoldFigures> {
    let info = truth.scene.info();
    let bands: Vec<usize> = (0..info.bands).take(MOST_BANDS).collect();
    let step = info.rows.max(info.cols).div_ceil(map_px(bands.len()));
    let sample = |read: &dyn Fn(Region) -> Result<Array3<f32>>| sample(info.bands, (info.rows, info.cols), step, cancel, read);
    let truth_image = sample(&|region| truth.read(region))?;
    let mut images = Vec::new();
    for prediction in predictions {
        images.push(sample(&|region| {
            let mut row = Array3::from_elem((info.bands, region.rows, region.cols), f32::NAN);
            prediction.read(region, row.view_mut())?;
            Ok(row)
        })?);
    }

    let scales: Vec<BandScale> = bands.iter().map(|&band| scale_of(band, &truth_image, &images)).collect();
    let rgb = composite_bands(wavelengths);
    let stretch = rgb.map(|bands| Stretch::percentiles(&[truth_image.view()], bands, 1.0, 99.0));
    let maps = |image: &Array3<f32>, all: bool| -> Result<Maps> {
        let composite = stretch.as_ref().map(|s| data_uri(&composite(image.view(), s).reduced(COLOURS))).transpose()?;
        let greys = scales.iter().filter(|_| all || stretch.is_none());
        let bands = greys.map(|s| data_uri(&grey(image.index_axis(Axis(0), s.band), s.values))).collect::<Result<_>>()?;
        Ok(Maps { composite, bands })
    };
    let truth_maps = maps(&truth_image, true)?;
    let mut methods = Vec::new();
    for (name, image) in names.iter().zip(&images) {
        cancel.check()?;
        let mut figures =
            MethodFigures { name: (*name).into(), prediction: maps(image, false)?, errors: Vec::new(), plots: Vec::new() };
        for scale in &scales {
            let (p, t) = (image.index_axis(Axis(0), scale.band), truth_image.index_axis(Axis(0), scale.band));
            figures.errors.push(data_uri(&error_map(p, t, scale.error))?);
            figures.plots.push(data_uri(&density(p, t, scale.axes))?);
        }
        methods.push(figures);
    }
    Ok(FoldFigures { held: truth.held, step, rgb, bands: scales, truth: truth_maps, methods })
}

/// Every `step`-th row and column of an image, read a row at a time.
fn sample(
    bands: usize,
    (rows, cols): (usize, usize),
    step: usize,
    cancel: &Cancel,
    read: &dyn Fn(Region) -> Result<Array3<f32>>,
) -> Result<Array3<f32>> {
    let mut out = Array3::from_elem((bands, rows.div_ceil(step), cols.div_ceil(step)), f32::NAN);
    for (r, mut line) in out.axis_iter_mut(Axis(1)).enumerate() {
        cancel.check()?;
        let row = read(Region::new(r * step, 0, 1, cols))?;
        for ((b, c), value) in line.indexed_iter_mut() {
            *value = row[(b, 0, c * step)];
        }
    }
    Ok(out)
}

/// Scales of one band: greys from the truth, axes from truth and predictions, errors from those of all methods together.
fn scale_of(band: usize, truth: &Array3<f32>, images: &[Array3<f32>]) -> BandScale {
    let truth = truth.index_axis(Axis(0), band);
    let mut errors = Vec::new();
    let mut values: Vec<f32> = truth.iter().copied().filter(|v| v.is_finite()).collect();
    let ends = |values: &mut Vec<f32>, beyond: f64| {
        let (low, high) = (quantile(values, beyond), quantile(values, 1.0 - beyond));
        (low, high.max(low + smallest_step(low, high)))
    };
    let greys = ends(&mut values, BEYOND);
    for image in images {
        let image = image.index_axis(Axis(0), band);
        values.extend(image.iter().filter(|v| v.is_finite()));
        errors.extend(image.iter().zip(truth).map(|(p, t)| (p - t).abs()).filter(|d| d.is_finite()));
    }
    let error = quantile(&mut errors, 1.0 - 2.0 * BEYOND).max(smallest_step(greys.0, greys.1));
    BandScale { band, values: greys, axes: ends(&mut values, 0.5 * BEYOND), error }
}

/// A step that tells values between `low` and `high` apart.
fn smallest_step(low: f32, high: f32) -> f32 {
    f32::EPSILON.max(1e-6 * low.abs().max(high.abs()))
}

/// The value at a part (0..1) of the sorted values; 0 when there is none.
fn quantile(values: &mut [f32], part: f64) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((part * last as f64).round() as usize).copied().unwrap_or(0.0)
}

/// Bands shown as red, green and blue: near infrared, red and green where the wavelengths are known, else those that lie there
/// in images with bands from short to long wavelengths.
fn composite_bands(wavelengths: &[Option<f64>]) -> Option<[usize; 3]> {
    let count = wavelengths.len();
    let nearest = |um: f64| {
        let distance = |k: usize| wavelengths[k].map(|w| (w - um).abs()).filter(|d| *d < 0.1);
        (0..count).filter_map(|k| Some((distance(k)?, k))).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, k)| k)
    };
    let known = [nearest(0.86), nearest(0.65), nearest(0.56)];
    match (known, count) {
        ([Some(nir), Some(red), Some(green)], _) if nir != red && red != green => Some([nir, red, green]),
        (_, 0..=2) => None,
        (_, 3) => Some([2, 1, 0]),
        _ => Some([3, 2, 1]),
    }
}

/// `value` between `low` and `high`, as a whole number of shades.
fn shade(value: f32, low: f32, high: f32) -> f32 {
    (((value - low) / (high - low)).clamp(0.0, 1.0) * SHADES).round() / SHADES
}

fn grey(band: ArrayView2<'_, f32>, (low, high): (f32, f32)) -> Picture {
    let shades = band.mapv(|v| shade(v, low, high)).insert_axis(Axis(0));
    composite(shades.view(), &Stretch { bands: [0; 3], low: [0.0; 3], high: [1.0; 3], gamma: 1.0 })
}

fn error_map(prediction: ArrayView2<'_, f32>, truth: ArrayView2<'_, f32>, largest: f32) -> Picture {
    let error = (&prediction - &truth).mapv(|e| shade(e, -largest, largest));
    coloured(error.view(), ColourMap::Difference, 0.0, 1.0)
}

/// How many samples have which truth (to the right) and prediction (upwards), from few (pale) to many (dark); the line is where
/// both are equal. Samples beyond the ends of the axes are left away.
fn density(prediction: ArrayView2<'_, f32>, truth: ArrayView2<'_, f32>, (low, high): (f32, f32)) -> Picture {
    const PAPER: Rgb = [255; 3];
    const LINE: Rgb = [170; 3];
    let mut counts = Array2::<u32>::zeros((PLOT_PX, PLOT_PX));
    let cell = |v: f32| {
        let place = (v - low) / (high - low);
        (0.0..=1.0).contains(&place).then(|| ((place * PLOT_PX as f32) as usize).min(PLOT_PX - 1))
    };
    for (p, t) in prediction.iter().zip(truth) {
        if let (Some(p), Some(t)) = (cell(*p), cell(*t)) {
            counts[(PLOT_PX - 1 - p, t)] += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f32;
    Picture::from_fn(PLOT_PX, PLOT_PX, |r, c| match counts[(r, c)] {
        0 if r + c == PLOT_PX - 1 => LINE,
        0 => PAPER,
        n => ColourMap::Heat.rgb(0.92 - 0.92 * shade((n as f32).ln_1p(), 0.0, most.ln_1p())),
    })
}

/// A picture as the `src` of an image.
fn data_uri(picture: &Picture) -> Result<String> {
    let mut png = Vec::new();
    picture.encode_png(&mut png).map_err(|e| Error::internal(format!("a picture of the report: {e}")))?;
    Ok(format!("data:image/png;base64,{}", base64(&png)))
}

/// Base 64 (RFC 4648) with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |k: usize| u32::from(chunk.get(k).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for k in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * k) & 63) as usize] as char;
            text.push(if k <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let coded: Vec<String> = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|t| base64(t.as_bytes())).to_vec();
        assert_eq!(coded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn many_folds_are_shown_in_part_spread_over_all() {
        assert_eq!(folds_shown(3), [0, 1, 2]);
        assert_eq!(folds_shown(12), [0, 2, 4, 6, 8, 10]);
        assert_eq!(folds_shown(7).len(), MOST_FOLDS);
    }

    #[test]
    fn composites_use_what_is_known_of_the_bands() {
        assert_eq!(composite_bands(&[None, None]), None);
        assert_eq!(composite_bands(&[None; 3]), Some([2, 1, 0]));
        assert_eq!(composite_bands(&[None; 6]), Some([3, 2, 1]));
        let modis = [0.645, 0.858, 0.469, 0.555, 1.24].map(Some);
        assert_eq!(composite_bands(&modis), Some([1, 0, 3]));
    }

    #[test]
    fn a_density_plot_puts_truth_to_the_right_and_prediction_upwards() {
        let truth = Array2::from_elem((3, 3), 0.25f32);
        let mut prediction = Array2::from_elem((3, 3), 0.75f32);
        prediction[(0, 0)] = f32::NAN;
        prediction[(0, 1)] = 7.0;
        let plot = density(prediction.view(), truth.view(), (0.0, 1.0));
        let (row, col) = (PLOT_PX - 1 - 3 * PLOT_PX / 4, PLOT_PX / 4);
        let inked: Vec<_> = (0..PLOT_PX * PLOT_PX)
            .map(|k| (k / PLOT_PX, k % PLOT_PX))
            .filter(|&(r, c)| r + c != PLOT_PX - 1 && plot.get(r, c) != Some([255; 3]))
            .collect();
        assert_eq!(inked, [(row, col)]);
    }

    #[test]
    fn scales_are_shared_and_survive_images_of_one_value_and_of_none() {
        let truth = Array3::from_elem((1, 4, 4), 0.3f32);
        let far = truth.mapv(|v| v + 0.2);
        let scale = scale_of(0, &truth, &[truth.clone(), far]);
        assert!((scale.error - 0.2).abs() < 1e-6 && scale.values.0 < scale.values.1);
        let none = Array3::from_elem((1, 4, 4), f32::NAN);
        let scale = scale_of(0, &none, std::slice::from_ref(&none));
        assert!(scale.values.0 < scale.values.1 && scale.error > 0.0);
    }
}
