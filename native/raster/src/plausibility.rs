//! Checks on a sample of the pixels, before any work: is anything valid, do the units agree, is a fill value undeclared.
//!
//! The sample is nine windows spread over the scene, so that a scene of any size is judged by reading a few blocks. Only an
//! image without a valid pixel in its sample is read further, until one is found.

use ndarray::Array3;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Cancel, Error, ErrorKind, Region, Result};

use crate::dataset::{BandInfo, ImageInfo};

/// Side of a sample window in pixels.
const WINDOW_PX: usize = 128;
/// Values kept per band.
const VALUES: usize = 16_000;
/// Units differ when medians and 98th percentiles of magnitudes differ by more than this factor.
const FACTOR: f64 = 30.0;
/// Stored values that products use as fill, and the part of the sample from which one is suspicious.
const FILLS: &[f64] = &[-32768.0, -28672.0, -9999.0, -3000.0, 32767.0, 65535.0];
const SUSPICIOUS_PART: f64 = 0.01;

/// Sorted valid values of every band of one image.
#[derive(Debug)]
pub(crate) struct Sample {
    bands: Vec<Vec<f32>>,
}

/// Windows spread over a scene of `rows` x `cols`, anchored at multiples of `block` where that leaves room.
pub(crate) fn windows(rows: usize, cols: usize, block: (usize, usize)) -> Vec<Region> {
    let starts = |length: usize, block: usize| -> Vec<(usize, usize)> {
        let side = WINDOW_PX.min(length);
        if length <= 3 * WINDOW_PX {
            return (0..length).step_by(side.max(1)).map(|s| (s, side.min(length - s))).collect();
        }
        let start = |k: usize| {
            let middle = length * (2 * k + 1) / 6 - side / 2;
            (middle / block.clamp(1, WINDOW_PX) * block.clamp(1, WINDOW_PX)).min(length - side)
        };
        (0..3).map(|k| (start(k), side)).collect()
    };
    let (down, across) = (starts(rows, block.0), starts(cols, block.1));
    down.iter().flat_map(|&(r, h)| across.iter().map(move |&(c, w)| Region::new(r, c, h, w))).collect()
}

impl Sample {
    /// Reads the sample of one layer; where a band has no valid value in it, reads on until one is found.
    pub(crate) fn read(scene: &dyn Scene, layer: Layer, windows: &[Region], cancel: &Cancel) -> Result<Sample> {
        let count = scene.info().bands_of(layer);
        let mut bands = vec![Vec::new(); count];
        let pixels: usize = windows.iter().map(Region::pixels).sum();
        // Odd, so that neither the rows of a window nor stripes of the sensor are in step with it.
        let step = (pixels / VALUES) | 1;
        for window in windows {
            cancel.check()?;
            let mut values = Array3::zeros((count, window.rows, window.cols));
            scene.read(layer, *window, values.view_mut())?;
            for (band, values) in bands.iter_mut().zip(values.outer_iter()) {
                band.extend(values.iter().step_by(step).filter(|v| !v.is_nan()));
            }
        }
        let mut sample = Sample { bands };
        if sample.bands.iter().any(Vec::is_empty) {
            sample.read_on(scene, layer, cancel)?;
        }
        sample.bands.iter_mut().for_each(|b| b.sort_unstable_by(f32::total_cmp));
        Ok(sample)
    }

    fn read_on(&mut self, scene: &dyn Scene, layer: Layer, cancel: &Cancel) -> Result<()> {
        let info = scene.info();
        let rows = ((1 << 20) / info.cols.max(1)).max(1);
        for part in Region::whole(info.rows, info.cols).blocks(rows, info.cols) {
            cancel.check()?;
            let mut values = Array3::zeros((self.bands.len(), part.rows, part.cols));
            scene.read(layer, part, values.view_mut())?;
            for (band, values) in self.bands.iter_mut().zip(values.outer_iter()).filter(|(b, _)| b.is_empty()) {
                band.extend(values.iter().filter(|v| !v.is_nan()).take(100));
            }
            if self.bands.iter().all(|b| !b.is_empty()) {
                break;
            }
        }
        Ok(())
    }

    /// Fails when no band has a valid pixel; says which bands have none otherwise.
    pub(crate) fn check_valid(&self, image: &ImageInfo, mask: Option<&str>, over: &str) -> Result<Option<String>> {
        let empty: Vec<String> = (1..).zip(&self.bands).filter(|(_, b)| b.is_empty()).map(|(n, _)| n.to_string()).collect();
        let name = image.name();
        if empty.is_empty() {
            return Ok(None);
        }
        if empty.len() < self.bands.len() {
            return Ok(Some(format!(
                "{name}: band {} has no valid pixel{over}; the prediction will have none either",
                empty.join(", ")
            )));
        }
        let cause = match mask {
            Some(mask) => format!("all are nodata, out of range, or ruled out by the mask {mask}"),
            None => "all are nodata or out of range".into(),
        };
        Err(Error::new(ErrorKind::Data, format!("{name}: no pixel{over} is valid: {cause}"))
            .with_hint("Choose another image, or check its nodata value, its valid_range and its mask in the job."))
    }

    /// A warning when a value that products use as fill is frequent at the end of the values, and no nodata is declared.
    pub(crate) fn undeclared_fill(&self, image: &ImageInfo) -> Option<String> {
        let suspicious = |band: &BandInfo, values: &[f32]| {
            if !band.nodata.is_empty() || band.has_mask {
                return None;
            }
            let (low, high) = (*values.first()?, *values.last()?);
            FILLS.iter().find_map(|&fill| {
                let unscaled = (fill * band.scale + band.offset) as f32;
                let count = values.iter().filter(|v| **v == unscaled).count();
                let part = count as f64 / values.len() as f64;
                let at_end = (unscaled == low || unscaled == high) && low < high;
                (at_end && part >= SUSPICIOUS_PART).then_some((fill, part))
            })
        };
        (1..).zip(image.bands.iter().zip(&self.bands)).find_map(|(n, (band, values))| {
            let (fill, part) = suspicious(band, values)?;
            Some(format!(
                "{}: {:.0} % of band {n} is {fill}, and no nodata value is declared; if it means nodata, give the image \"nodata\": {fill}",
                image.name(),
                100.0 * part
            ))
        })
    }

    fn quantile(&self, band: usize, q: f64) -> Option<f64> {
        let values = self.bands.get(band)?;
        let last = values.len().checked_sub(1)?;
        values.get((q * last as f64).round() as usize).map(|v| f64::from(*v))
    }

    /// Median and 98th percentile of magnitudes.
    fn magnitudes(&self, band: usize) -> Option<(f64, f64)> {
        let mut values: Vec<f32> = self.bands.get(band)?.iter().map(|v| v.abs()).collect();
        values.sort_unstable_by(f32::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |q: f64| f64::from(values[(q * last as f64).round() as usize]);
        Some((at(0.5), at(0.98)))
    }
}

/// Fails when two images of the same place are in different units.
///
/// # Errors
/// [`ErrorKind::Data`] with both ranges and the scale or offset that would bring them together.
pub(crate) fn check_units(a: &Sample, a_info: &ImageInfo, b: &Sample, b_info: &ImageInfo) -> Result<()> {
    let count = a.bands.len().min(b.bands.len());
    let factors: Vec<(usize, f64)> =
        (0..count).filter_map(|band| Some((band, factor(a.magnitudes(band)?, b.magnitudes(band)?)?))).collect();
    let differing: Vec<_> = factors.iter().filter(|(_, f)| f.abs().log10().abs() > FACTOR.log10()).collect();
    if differing.len() * 2 > count {
        let (band, factor) = *differing[0];
        let (larger, info) = if factor > 1.0 { (factor, b_info) } else { (1.0 / factor, a_info) };
        let power = 10f64.powi(larger.log10().round() as i32);
        let scale = info.bands.get(band).map_or(1.0, |b| b.scale) / power;
        return Err(unlike(a, a_info, b, b_info, band, &format!("a factor of about {power}")).with_hint(format!(
            "Give {} \"scale\": {} in the job if its values are stored times {power}. If the units are right, set \"grid\": \
             {{\"ignore_units\": true}}.",
            info.name(),
            tidy(scale)
        )));
    }
    for band in 0..count {
        let (Some(ma), Some(mb)) = (a.quantile(band, 0.5), b.quantile(band, 0.5)) else { continue };
        let is_kelvin = |v: f64| (180.0..350.0).contains(&v);
        let is_celsius = |v: f64| (-70.0..65.0).contains(&v);
        if is_kelvin(ma) && is_celsius(mb) && mb.abs() > 1.0 || is_kelvin(mb) && is_celsius(ma) && ma.abs() > 1.0 {
            let celsius = if is_celsius(ma) { a_info } else { b_info };
            let near = ((ma - mb).abs() - 273.15).abs() < 40.0;
            if near {
                return Err(unlike(a, a_info, b, b_info, band, "about 273, as between kelvin and degrees Celsius").with_hint(
                    format!(
                        "Give {} \"offset\": {} in the job. If the units are right, set \"grid\": {{\"ignore_units\": true}}.",
                        celsius.name(),
                        tidy(celsius.bands.get(band).map_or(0.0, |b| b.offset) + 273.15)
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// How many times larger the second magnitudes are, if medians and high percentiles agree on the direction.
fn factor(a: (f64, f64), b: (f64, f64)) -> Option<f64> {
    let (median, high) = (b.0 / a.0, b.1 / a.1);
    let usable = a.0 > 0.0 && b.0 > 0.0 && median.is_finite() && high.is_finite();
    usable.then(|| if median.ln().abs() < high.ln().abs() { median } else { high })
}

fn unlike(a: &Sample, a_info: &ImageInfo, b: &Sample, b_info: &ImageInfo, band: usize, difference: &str) -> Error {
    let range = |s: &Sample| {
        let at = |q: f64| s.quantile(band, q).map_or("?".to_string(), short);
        format!("{} to {}", at(0.02), at(0.98))
    };
    Error::new(
        ErrorKind::Data,
        format!(
            "The units of {} and {} differ: band {} is {} in the first and {} in the second (2nd to 98th percentile), {difference}",
            a_info.name(),
            b_info.name(),
            band + 1,
            range(a),
            range(b)
        ),
    )
}

/// Three significant digits.
fn short(v: f64) -> String {
    if v == 0.0 {
        return "0".into();
    }
    let digits = (2 - v.abs().log10().floor() as i32).clamp(0, 12) as usize;
    tidy(format!("{v:.digits$}").parse().unwrap_or(v))
}

/// The shortest decimal spelling, without the noise of a division.
fn tidy(v: f64) -> String {
    let text = format!("{v:.12}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "0" || text == "-0" {
        format!("{v:e}")
    } else {
        text.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stfusion_core::Grid;

    fn image(name: &str, scale: f64) -> ImageInfo {
        let band = BandInfo {
            raster: 0,
            number: 1,
            description: String::new(),
            data_type: "Int16".into(),
            nodata: Vec::new(),
            scale,
            offset: 0.0,
            has_mask: false,
            color: "Undefined".into(),
            wavelength_um: None,
            unit: String::new(),
            block: (1, 1),
            metadata: Vec::new(),
        };
        let (paths, grid) = (vec![name.into()], Grid::pixels(1, 1));
        ImageInfo { paths, driver: String::new(), grid, bands: vec![band], date: None, metadata: Vec::new() }
    }

    fn sample(values: impl Iterator<Item = f32>) -> Sample {
        let mut values: Vec<f32> = values.collect();
        values.sort_unstable_by(f32::total_cmp);
        Sample { bands: vec![values] }
    }

    fn ramp(low: f32, high: f32) -> Sample {
        sample((0..1000).map(|i| low + (high - low) * i as f32 / 999.0))
    }

    #[test]
    fn a_factor_of_ten_thousand_is_refused_with_the_scale() {
        let (f, c) = (image("f.tif", 1.0), image("c.tif", 1.0));
        let error = check_units(&ramp(0.02, 0.5), &f, &ramp(200.0, 5000.0), &c).unwrap_err();
        assert_eq!(
            error.message(),
            "The units of f.tif and c.tif differ: band 1 is 0.0296 to 0.49 in the first and 296 to 4904 in the second (2nd to 98th \
             percentile), a factor of about 10000"
        );
        assert!(error.hint().unwrap().starts_with("Give c.tif \"scale\": 0.0001 in the job"), "{:?}", error.hint());
        let error = check_units(&ramp(200.0, 5000.0), &f, &ramp(0.02, 0.5), &c).unwrap_err();
        assert!(error.hint().unwrap().starts_with("Give f.tif \"scale\": 0.0001"));
    }

    #[test]
    fn kelvin_and_celsius_are_told_apart() {
        let error = check_units(&ramp(280.0, 310.0), &image("f.tif", 1.0), &ramp(8.0, 35.0), &image("c.tif", 1.0)).unwrap_err();
        assert!(error.hint().unwrap().starts_with("Give c.tif \"offset\": 273.15"), "{:?}", error.hint());
    }

    #[test]
    fn like_units_pass() {
        let info = image("x.tif", 1.0);
        for (a, b) in
            [((0.01, 0.4), (0.02, 0.3)), ((280.0, 310.0), (275.0, 300.0)), ((-0.2, 0.9), (0.0, 0.1)), ((0.0, 0.0), (0.0, 0.5))]
        {
            assert!(check_units(&ramp(a.0, a.1), &info, &ramp(b.0, b.1), &info).is_ok(), "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_frequent_fill_value_is_reported() {
        let values = (0..100).map(|i| if i < 12 { -0.9999 } else { 0.001 * i as f32 });
        let warning = sample(values).undeclared_fill(&image("f.tif", 0.0001)).unwrap();
        assert_eq!(
            warning,
            "f.tif: 12 % of band 1 is -9999, and no nodata value is declared; if it means nodata, give the image \"nodata\": -9999"
        );
        assert_eq!(ramp(0.0, 0.5).undeclared_fill(&image("f.tif", 0.0001)), None);
    }

    #[test]
    fn windows_are_few_and_inside() {
        for (rows, cols) in [(1, 1), (400, 400), (769, 10_980), (10_980, 10_980), (3, 5000)] {
            let list = windows(rows, cols, (512, 512));
            assert!(!list.is_empty() && list.len() <= 9);
            assert!(list.iter().all(|w| w.row + w.rows <= rows && w.col + w.cols <= cols && w.pixels() > 0));
        }
    }
}
