//! Which band of the coarse image belongs to which band of the fine one.
//!
//! By the job's map; else by wavelength, when both images know it and every fine band has one nearest coarse band; else by
//! the bands' names, when they are the same; else by order, with a warning. MODIS stores red before blue, so order alone
//! is a trap.

use stfusion_core::{Error, ErrorKind, Result};

use crate::dataset::{BandInfo, ImageInfo};

/// Two wavelengths belong together when they differ by at most this part of the smaller one.
const TOLERANCE: f64 = 0.12;

/// Indices (counted from 0) of the fine and of the coarse bands that belong together, and how that was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BandMap {
    pub(crate) fine: Vec<usize>,
    pub(crate) coarse: Vec<usize>,
    pub(crate) warning: Option<String>,
}

/// Matches the bands of a pair.
///
/// # Errors
/// [`ErrorKind::Data`] when the map names bands that do not exist, or there is no map and the counts differ.
pub(crate) fn match_bands(fine: &ImageInfo, coarse: &ImageInfo, map: Option<&[[usize; 2]]>) -> Result<BandMap> {
    if let Some(map) = map {
        return mapped(fine, coarse, map);
    }
    let count = fine.bands.len();
    let in_order = |warning: Option<String>| BandMap { fine: (0..count).collect(), coarse: (0..count).collect(), warning };
    if let Some(indices) = by_wavelength(&fine.bands, &coarse.bands).or_else(|| by_name(&fine.bands, &coarse.bands)) {
        let reordered = indices.iter().enumerate().any(|(i, &j)| i != j) || count != coarse.bands.len();
        let warning = reordered.then(|| {
            let pairs: Vec<String> = indices.iter().enumerate().map(|(i, j)| format!("{}-{}", i + 1, j + 1)).collect();
            format!(
                "The bands of {} and {} are matched by their wavelengths or names (fine-coarse): {}",
                fine.name(),
                coarse.name(),
                pairs.join(", ")
            )
        });
        return Ok(BandMap { fine: (0..count).collect(), coarse: indices, warning });
    }
    if count != coarse.bands.len() {
        return Err(Error::new(
            ErrorKind::Data,
            format!(
                "{} has {} and {} has {}, and nothing says which belong together",
                fine.name(),
                bands_in_words(count),
                coarse.name(),
                bands_in_words(coarse.bands.len())
            ),
        )
        .with_hint(
            "Say it in the job: \"grid\": {\"bands\": [[1, 1], [2, 3]]} pairs fine band 1 with coarse band 1 and fine band 2 with \
             coarse band 3. Or select the bands of each image: \"coarse\": {\"path\": …, \"bands\": [1, 3]}.",
        ));
    }
    Ok(in_order((count > 1).then(|| order_warning(fine, coarse))))
}

fn bands_in_words(count: usize) -> String {
    format!("{count} band{}", if count == 1 { "" } else { "s" })
}

fn order_warning(fine: &ImageInfo, coarse: &ImageInfo) -> String {
    let disagree = fine.bands.iter().zip(&coarse.bands).enumerate().find_map(|(i, (f, c))| {
        let (f, c) = (f.wavelength_um?, c.wavelength_um?);
        (!near(f, c)).then(|| format!("band {} is at {f} µm in the fine and {c} µm in the coarse image; ", i + 1))
    });
    format!(
        "The bands of {} and {} are taken in their order, since their wavelengths do not match them: {}check that the order is the \
         same (MODIS stores red, near infrared, blue, green, …), or give the map \"grid\": {{\"bands\": …}}",
        fine.name(),
        coarse.name(),
        disagree.unwrap_or_default()
    )
}

fn mapped(fine: &ImageInfo, coarse: &ImageInfo, map: &[[usize; 2]]) -> Result<BandMap> {
    if map.is_empty() {
        return Err(Error::new(ErrorKind::Data, "The band map \"grid\": {\"bands\": []} is empty")
            .with_hint("Name at least one pair of bands, or leave the map out."));
    }
    let index = |image: &ImageInfo, role: &str, number: usize| {
        number.checked_sub(1).filter(|&i| i < image.bands.len()).ok_or_else(|| {
            Error::new(
                ErrorKind::Data,
                format!(
                    "The band map names {role} band {number}, but {} has {}",
                    image.name(),
                    bands_in_words(image.bands.len())
                ),
            )
            .with_hint(format!("Use band numbers from 1 to {}; they count the bands selected for the image.", image.bands.len()))
        })
    };
    let mut result = BandMap { fine: Vec::new(), coarse: Vec::new(), warning: None };
    for [f, c] in map {
        let f_index = index(fine, "fine", *f)?;
        if result.fine.contains(&f_index) {
            return Err(Error::new(ErrorKind::Data, format!("The band map names fine band {f} twice"))
                .with_hint("Give every fine band one coarse band."));
        }
        result.fine.push(f_index);
        result.coarse.push(index(coarse, "coarse", *c)?);
    }
    Ok(result)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= TOLERANCE * a.min(b)
}

fn by_wavelength(fine: &[BandInfo], coarse: &[BandInfo]) -> Option<Vec<usize>> {
    let coarse: Vec<f64> = coarse.iter().map(|b| b.wavelength_um).collect::<Option<_>>()?;
    let mut used = Vec::new();
    for band in fine {
        let wanted = band.wavelength_um?;
        let distance = |j: usize| (coarse[j] - wanted).abs();
        let best = (0..coarse.len()).min_by(|&a, &b| distance(a).total_cmp(&distance(b)))?;
        let tie = (0..coarse.len()).any(|j| j != best && distance(j) == distance(best));
        if tie || used.contains(&best) || !near(coarse[best], wanted) {
            return None;
        }
        used.push(best);
    }
    Some(used)
}

fn by_name(fine: &[BandInfo], coarse: &[BandInfo]) -> Option<Vec<usize>> {
    let names = |bands: &[BandInfo]| -> Option<Vec<String>> {
        let names: Vec<String> = bands.iter().map(|b| b.description.trim().to_lowercase()).collect();
        let distinct = names.iter().enumerate().all(|(i, n)| !n.is_empty() && !names[..i].contains(n));
        distinct.then_some(names)
    };
    let coarse = names(coarse)?;
    names(fine)?.iter().map(|n| coarse.iter().position(|c| c == n)).collect()
}

/// Centre wavelengths of the bands of known products, in micrometres, by the product's name and the band's.
struct Sensor {
    /// What the raster's file name starts with, or holds.
    names: &'static [&'static str],
    /// Lower-case ends of band names, and wavelengths.
    bands: &'static [(&'static str, f64)],
}

const OLI: &[(&str, f64)] = &[
    ("b1", 0.443),
    ("b2", 0.482),
    ("b3", 0.561),
    ("b4", 0.655),
    ("b5", 0.865),
    ("b6", 1.609),
    ("b7", 2.201),
    ("b9", 1.373),
    ("b10", 10.9),
    ("b11", 12.0),
];
const TM: &[(&str, f64)] = &[("b1", 0.485), ("b2", 0.56), ("b3", 0.66), ("b4", 0.83), ("b5", 1.65), ("b7", 2.22), ("b6", 11.45)];
const MSI: &[(&str, f64)] = &[
    ("b1", 0.443),
    ("b2", 0.492),
    ("b3", 0.56),
    ("b4", 0.665),
    ("b5", 0.704),
    ("b6", 0.741),
    ("b7", 0.783),
    ("b8", 0.833),
    ("b8a", 0.865),
    ("b9", 0.945),
    ("b10", 1.375),
    ("b11", 1.614),
    ("b12", 2.202),
];
const MODIS: &[(&str, f64)] =
    &[("b1", 0.645), ("b2", 0.858), ("b3", 0.469), ("b4", 0.555), ("b5", 1.24), ("b6", 1.64), ("b7", 2.13)];
const SENSORS: &[Sensor] = &[
    Sensor { names: &["HLS.S30", "HLS_S30", "S2A_", "S2B_", "S2C_"], bands: MSI },
    Sensor { names: &["HLS.L30", "HLS_L30", "LC08", "LC09", "LC8", "LC9"], bands: OLI },
    Sensor { names: &["LE07", "LT05", "LT04", "LE7", "LT5", "LT4"], bands: TM },
    Sensor { names: &["MOD09", "MYD09", "MCD43", "MOD13", "MYD13"], bands: MODIS },
];
/// Names of bands that mean the same whatever the sensor.
const NAMES: &[(&str, f64)] = &[
    ("coastal", 0.443),
    ("coastalaerosol", 0.443),
    ("blue", 0.48),
    ("green", 0.56),
    ("red", 0.66),
    ("nir", 0.86),
    ("nir08", 0.86),
    ("nearinfrared", 0.86),
    ("swir1", 1.61),
    ("swir16", 1.61),
    ("swir2", 2.2),
    ("swir22", 2.2),
];

/// The centre wavelength of a band in micrometres: from its metadata, the word that its description is, the name of a known
/// product's band in its description, or the band's file name.
pub(crate) fn wavelength_um<'a>(
    description: &str,
    metadata: impl Iterator<Item = &'a (String, String)>,
    path: &str,
) -> Option<f64> {
    let metadata: Vec<_> = metadata.collect();
    let value = |wanted: &str| metadata.iter().find(|(k, _)| k.eq_ignore_ascii_case(wanted)).map(|(_, v)| v.trim());
    let plausible = |um: f64| (0.2..=50.0).contains(&um).then_some(um);
    let stated = value("CENTRAL_WAVELENGTH_UM").and_then(|v| v.parse().ok()).and_then(plausible).or_else(|| {
        let length: f64 = value("wavelength").or_else(|| value("center_wavelength"))?.parse().ok()?;
        let unit = value("wavelength_units").or_else(|| value("wavelength_unit")).unwrap_or_default().to_ascii_lowercase();
        let is_nm = unit.starts_with("nano") || unit == "nm" || unit.is_empty() && length > 100.0;
        plausible(if is_nm { length / 1000.0 } else { length })
    });
    stated.or_else(|| named(description)).or_else(|| of_product(description, path))
}

fn named(description: &str) -> Option<f64> {
    let word: String = description.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    NAMES.iter().find(|(n, _)| *n == word).map(|(_, um)| *um)
}

fn of_product(description: &str, path: &str) -> Option<f64> {
    let upper = path.to_ascii_uppercase();
    let sensor = SENSORS.iter().find(|s| s.names.iter().any(|n| upper.contains(n)))?;
    let is_modis = std::ptr::eq(sensor.bands, MODIS);
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let texts = [description, stem];
    texts
        .into_iter()
        .find_map(|text| band_token(text, is_modis))
        .and_then(|token| sensor.bands.iter().find(|(n, _)| *n == token).map(|(_, um)| *um))
}

/// The band that a text ends with or is: `SR_B4`, `B04`, `B8A`, `sur_refl_b01_1`, `Nadir_Reflectance_Band1`, as `b4`.
fn band_token(text: &str, is_modis: bool) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    lower.split(['_', '.', ' ', ':', '-', '"']).rev().find_map(|field| {
        let number = field.strip_prefix("band").or_else(|| field.strip_prefix('b'))?;
        let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
        let rest = &number[digits.len()..];
        let is_band = !digits.is_empty() && digits.len() <= 2 && (rest.is_empty() || rest == "a" && !is_modis);
        is_band.then(|| format!("b{}{rest}", digits.trim_start_matches('0')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use stfusion_core::Grid;

    fn image(name: &str, bands: &[(&str, Option<f64>)]) -> ImageInfo {
        let band = |(description, wavelength_um): &(&str, Option<f64>)| BandInfo {
            raster: 0,
            number: 1,
            description: (*description).into(),
            data_type: "Int16".into(),
            nodata: Vec::new(),
            scale: 1.0,
            offset: 0.0,
            has_mask: false,
            color: "Undefined".into(),
            wavelength_um: *wavelength_um,
            unit: String::new(),
            block: (1, 1),
            metadata: Vec::new(),
        };
        ImageInfo {
            paths: vec![name.into()],
            driver: "GTiff".into(),
            grid: Grid::pixels(1, 1),
            bands: bands.iter().map(band).collect(),
            date: None,
            metadata: Vec::new(),
        }
    }

    #[test]
    fn wavelengths_of_products_and_names() {
        let table = [
            ("SR_B4", "LC08_L2SP_193029_20200704_20200913_02_T1_SR_B4.TIF", Some(0.655)),
            ("", "LC08_L2SP_193029_20200704_20200913_02_T1_SR_B4.TIF", Some(0.655)),
            ("", "LE07_L2SP_193029_20020704_20200913_02_T1_SR_B4.TIF", Some(0.83)),
            ("", "HLS.S30.T32TPR.2020186T101559.v2.0.B8A.tif", Some(0.865)),
            ("B04", "S2A_MSIL2A_20200704.tif", Some(0.665)),
            (
                "sur_refl_b01_1",
                "HDF4_EOS:EOS_GRID:\"MOD09GA.A2020186.h18v04.061.hdf\":MODIS_Grid_500m_2D:sur_refl_b01_1",
                Some(0.645),
            ),
            ("Nadir_Reflectance_Band2", "MCD43A4.A2020186.tif", Some(0.858)),
            ("nir", "any.tif", Some(0.86)),
            ("Red", "any.tif", Some(0.66)),
            ("B04", "any.tif", None),
            ("ndvi", "MOD13Q1.A2020177.tif", None),
            ("", "fine.tif", None),
        ];
        for (description, path, um) in table {
            assert_eq!(wavelength_um(description, std::iter::empty(), path), um, "{description} {path}");
        }
        let stated = [("wavelength".to_string(), "858".to_string()), ("wavelength_units".into(), "Nanometers".into())];
        assert_eq!(wavelength_um("B1", stated.iter(), "x.tif"), Some(0.858));
        let stated = [("CENTRAL_WAVELENGTH_UM".to_string(), "0.655".to_string())];
        assert_eq!(wavelength_um("nir", stated.iter(), "x.tif"), Some(0.655));
    }

    #[test]
    fn modis_order_is_undone_by_wavelength() {
        let fine = image("f", &[("blue", Some(0.48)), ("green", Some(0.56)), ("red", Some(0.66)), ("nir", Some(0.86))]);
        let modis = [0.645, 0.858, 0.469, 0.555, 1.24, 1.64, 2.13].map(|um| ("", Some(um)));
        let map = match_bands(&fine, &image("c", &modis), None).unwrap();
        assert_eq!(map.coarse, [2, 3, 0, 1]);
        assert!(map.warning.unwrap().contains("1-3, 2-4, 3-1, 4-2"));
    }

    #[test]
    fn bands_without_wavelengths_go_by_name_or_by_order_with_a_warning() {
        let fine = image("f.tif", &[("evi", None), ("ndvi", None)]);
        assert_eq!(match_bands(&fine, &image("c", &[("NDVI", None), ("EVI", None)]), None).unwrap().coarse, [1, 0]);
        let map = match_bands(&fine, &image("c.tif", &[("", None), ("", None)]), None).unwrap();
        assert_eq!(map.coarse, [0, 1]);
        assert!(map.warning.unwrap().contains("f.tif and c.tif are taken in their order"));
        let single = match_bands(&image("f", &[("a", None)]), &image("c", &[("b", None)]), None).unwrap();
        assert_eq!(single.warning, None);
    }

    #[test]
    fn a_wavelength_that_no_coarse_band_has_is_not_guessed() {
        let fine = image("f", &[("red", Some(0.66)), ("nir", Some(0.86))]);
        let coarse = image("c", &[("", Some(0.858)), ("", Some(1.64))]);
        let map = match_bands(&fine, &coarse, None).unwrap();
        assert_eq!(map.coarse, [0, 1]);
        assert!(map.warning.unwrap().contains("band 1 is at 0.66 µm in the fine and 0.858 µm in the coarse image"));
    }

    #[test]
    fn different_counts_and_bad_maps_name_the_remedy() {
        let (fine, coarse) = (image("f.tif", &[("", None); 6]), image("c.tif", &[("", None); 7]));
        let error = match_bands(&fine, &coarse, None).unwrap_err();
        assert_eq!(error.message(), "f.tif has 6 bands and c.tif has 7 bands, and nothing says which belong together");
        assert!(error.hint().unwrap().contains("\"grid\": {\"bands\": [[1, 1], [2, 3]]}"));
        let map = match_bands(&fine, &coarse, Some(&[[2, 7], [1, 1]])).unwrap();
        assert_eq!((map.fine, map.coarse), (vec![1, 0], vec![6, 0]));
        let error = match_bands(&fine, &coarse, Some(&[[7, 1]])).unwrap_err();
        assert_eq!(error.message(), "The band map names fine band 7, but f.tif has 6 bands");
        assert!(match_bands(&fine, &coarse, Some(&[[1, 1], [1, 2]])).unwrap_err().message().contains("fine band 1 twice"));
        assert!(match_bands(&fine, &coarse, Some(&[[0, 1]])).unwrap_err().message().contains("fine band 0"));
    }
}
