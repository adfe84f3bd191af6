//! Mask rasters and the product presets that say which of their values are invalid.
//!
//! The presets are data: `presets/presets.json` of this crate, and a file of the same form that the environment variable
//! `STFUSION_PRESETS` names, whose presets replace built-in ones of the same id. A preset lists values that mean fill, bit
//! fields with the numbers that are invalid, and whole values that are invalid. Snow is masked by all of them: it is a
//! surface that comes and goes between the dates.
//!
//! Without a preset every non-zero value is invalid. In every case the mask raster's own nodata and values that are not
//! numbers are invalid. Invalid areas grow by `dilate_px` mask pixels in all eight directions, on the mask's own grid,
//! before the mask is brought to its image's grid (the pixel that holds the image pixel's centre). Where the mask raster
//! ends, its image is invalid.

use serde::{Deserialize, Serialize};
use stfusion_core::resample::is_inside;
use stfusion_core::source::{ImageSource, MaskSource};
use stfusion_core::{Error, ErrorKind, Grid, Region, Result};

use crate::align::{Mapping, Named, Placer};
use crate::image::Image;

/// The environment variable that names a file of further presets.
const PRESETS_VARIABLE: &str = "STFUSION_PRESETS";

/// Mask pixels read at once.
const CHUNK_PIXELS: usize = 1 << 20;

/// One product preset, as written in `presets.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// What a job writes.
    pub id: String,
    /// Name shown to people.
    pub label: String,
    /// One sentence: what it masks.
    pub description: String,
    /// Sensors whose products have it.
    #[serde(default)]
    pub sensor: String,
    /// Values that mean fill: always invalid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fill: Vec<u64>,
    /// Bit fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bits: Vec<BitField>,
    /// Whole values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<ValueRule>,
}

/// Some consecutive bits of a value, read as a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitField {
    /// First bit; 0 is the least significant one.
    pub first: u32,
    /// Number of bits.
    #[serde(default = "one")]
    pub count: u32,
    /// What it says.
    pub name: String,
    /// Numbers that make the pixel invalid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<u64>,
    /// If not empty, any other number makes the pixel invalid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid_unless: Vec<u64>,
}

/// Whole values that are invalid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueRule {
    /// What they mean.
    pub name: String,
    /// Values that make the pixel invalid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<u64>,
    /// Values above this one make the pixel invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<u64>,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresetFile {
    presets: Vec<Preset>,
}

/// All presets: the built-in ones, then those of the file that `STFUSION_PRESETS` names, which replace equal ids.
///
/// # Errors
/// [`ErrorKind::Data`] when that file cannot be read or is not as the schema says.
pub fn presets() -> Result<Vec<Preset>> {
    let mut all = parse(include_str!("../presets/presets.json")).map_err(|e| Error::internal(e).at("presets.json"))?;
    let Some(path) = std::env::var_os(PRESETS_VARIABLE).filter(|p| !p.is_empty()) else { return Ok(all) };
    let place = format!("{} (named by {PRESETS_VARIABLE})", path.to_string_lossy());
    let fail = |text: String| {
        Error::new(ErrorKind::Data, format!("{place}: {text}"))
            .with_hint(format!("Correct the file, or unset {PRESETS_VARIABLE}. Its form is that of the built-in presets."))
    };
    let text = std::fs::read_to_string(&path).map_err(|e| fail(format!("cannot be read: {}", crate::output::plain(&e))))?;
    for preset in parse(&text).map_err(fail)? {
        match all.iter_mut().find(|p| p.id == preset.id) {
            Some(old) => *old = preset,
            None => all.push(preset),
        }
    }
    Ok(all)
}

fn parse(text: &str) -> Result<Vec<Preset>, String> {
    let file: PresetFile = serde_json::from_str(text).map_err(|e| e.to_string())?;
    for preset in &file.presets {
        if let Some(field) = preset.bits.iter().find(|b| b.count == 0 || b.first + b.count > 32) {
            return Err(format!("preset {:?}: bits {} + {} are not within 32 bits", preset.id, field.first, field.count));
        }
    }
    Ok(file.presets)
}

fn preset(id: &str) -> Result<Preset> {
    let all = presets()?;
    let ids: Vec<&str> = all.iter().map(|p| p.id.as_str()).collect();
    let unknown = || {
        Error::new(ErrorKind::Parameter, format!("{id:?} is no mask preset"))
            .with_hint(format!("Use one of {}; or leave it out for a mask in which non-zero is invalid.", ids.join(", ")))
    };
    all.iter().find(|p| p.id == id).cloned().ok_or_else(unknown)
}

impl Preset {
    /// Whether a stored value is invalid.
    pub fn is_invalid(&self, value: u64) -> bool {
        let in_field = |f: &BitField| {
            let number = (value >> f.first) & ((1u64 << f.count) - 1);
            f.invalid.contains(&number) || !f.invalid_unless.is_empty() && !f.invalid_unless.contains(&number)
        };
        let by_value = |r: &ValueRule| r.invalid.contains(&value) || r.above.is_some_and(|limit| value > limit);
        self.fill.contains(&value) || self.bits.iter().any(in_field) || self.values.iter().any(by_value)
    }
}

#[derive(Debug, Clone)]
enum Rule {
    Preset(Preset),
    NonZero { is_valid: bool },
}

/// A mask raster, placed on its image's grid.
#[derive(Debug)]
pub(crate) struct Mask {
    image: Image,
    rule: Rule,
    dilate_px: usize,
    mapping: Mapping,
}

impl Mask {
    /// Opens a mask and places it on the grid of its image.
    ///
    /// # Errors
    /// Those of [`Image::open`]; [`ErrorKind::Parameter`] for an unknown preset; [`ErrorKind::Data`] when the raster does not
    /// lie on the image, or `valid_is_nonzero` is combined with a preset.
    pub(crate) fn open(source: &MaskSource, of: Named<'_>) -> Result<Mask> {
        let rule = match &source.preset {
            Some(_) if source.valid_is_nonzero => {
                return Err(Error::new(
                    ErrorKind::Data,
                    format!("{}: valid_is_nonzero and a preset exclude each other", source.path),
                )
                .with_hint("Remove one of the two: a preset already says which values are valid."))
            }
            Some(id) => Rule::Preset(preset(id).map_err(|e| e.at(&source.path))?),
            None => Rule::NonZero { is_valid: source.valid_is_nonzero },
        };
        let bands = Some(vec![source.band]);
        let image = Image::open(&ImageSource { bands, ..ImageSource::file(source.path.as_str()) })?;
        let placed = Placer::new(of).place(Named { name: image.info().name(), grid: &image.info().grid })?;
        Ok(Mask { image, rule, dilate_px: source.dilate_px, mapping: placed.mapping })
    }

    /// The mask of the reduced image whose grid is `reduced`, where that of the image itself is `of`.
    ///
    /// # Errors
    /// Those of [`Mapping::reduced`].
    pub(crate) fn reduced(&self, of: &Grid, reduced: &Grid) -> Result<Mask> {
        let grid = &self.image.info().grid;
        // mask pixels stay at most as large as those of the image
        let image_px = self.mapping.scale(of).0;
        let factor = ((of.rows as f64 / reduced.rows as f64 / image_px + 1e-6) as usize).max(1);
        let image = self.image.reduced(factor);
        let mapping = self.mapping.reduced((of, reduced), (grid, &image.info().grid)).map_err(|e| e.at(self.name()))?;
        let dilate_px = (self.dilate_px as f64 / factor as f64).round() as usize;
        Ok(Mask { image, rule: self.rule.clone(), dilate_px, mapping })
    }

    /// Name of the raster.
    pub(crate) fn name(&self) -> &str {
        self.image.info().name()
    }

    /// Memory that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.mapping.bytes()
    }

    /// 1 for every invalid pixel of `region` of the image that the mask belongs to, row by row.
    pub(crate) fn read(&self, region: Region) -> Result<Vec<u8>> {
        let grid = &self.image.info().grid;
        let Some(needed) = self.mapping.footprint(region, grid.rows, grid.cols, 0) else { return Ok(vec![1; region.pixels()]) };
        let padded = needed.grown(self.dilate_px, grid.rows, grid.cols);
        let mut mask = Vec::with_capacity(padded.pixels());
        for part in padded.blocks((CHUNK_PIXELS / padded.cols.max(1)).max(1), padded.cols) {
            let values = self.image.read_stored(0, part)?;
            mask.extend(values.iter().map(|v| u8::from(self.is_invalid(*v))));
        }
        dilate(&mut mask, padded.rows, padded.cols, self.dilate_px);
        let mut out = vec![1; region.pixels()];
        nearest_mask(&mask, padded, &self.mapping, region, grid.rows, grid.cols, &mut out);
        Ok(out)
    }

    fn is_invalid(&self, value: f64) -> bool {
        if !value.is_finite() || self.image.info().bands.iter().any(|b| b.nodata.contains(&value)) {
            return true;
        }
        match &self.rule {
            Rule::NonZero { is_valid } => (value != 0.0) != *is_valid,
            // Negative numbers are bit patterns of signed types: Int16 -1 is 65535.
            Rule::Preset(preset) if value < 0.0 => {
                let wide = self.image.info().bands.iter().any(|b| b.data_type == "Int32");
                let bits = value as i64 as u64;
                preset.is_invalid(if wide { bits & 0xffff_ffff } else { bits & 0xffff })
            }
            Rule::Preset(preset) => preset.is_invalid(value as u64),
        }
    }
}

/// Grows the ones of a mask by `radius` pixels in all eight directions.
fn dilate(mask: &mut [u8], rows: usize, cols: usize, radius: usize) {
    if radius == 0 || cols == 0 {
        return;
    }
    let grow = |line: &mut [u8]| {
        let mut since = usize::MAX;
        for v in line.iter_mut() {
            since = if *v == 1 { 0 } else { since.saturating_add(1) };
            if since <= radius {
                *v |= 2;
            }
        }
        since = usize::MAX;
        for v in line.iter_mut().rev() {
            since = if *v & 1 == 1 { 0 } else { since.saturating_add(1) };
            *v = u8::from(since <= radius || *v != 0);
        }
    };
    mask.chunks_exact_mut(cols).for_each(grow);
    let mut column = vec![0; rows];
    for c in 0..cols {
        for (r, v) in column.iter_mut().enumerate() {
            *v = mask[r * cols + c];
        }
        grow(&mut column);
        for (r, v) in column.iter().enumerate() {
            mask[r * cols + c] = *v;
        }
    }
}

/// Whether a pixel of a mask (1 = invalid) holds each position of a row; positions outside are invalid.
fn nearest_mask(mask: &[u8], region: Region, mapping: &Mapping, of: Region, rows: usize, cols: usize, out: &mut [u8]) {
    let (mut c, mut r) = (vec![0.0; of.cols], vec![0.0; of.cols]);
    for (k, out) in out.chunks_exact_mut(of.cols.max(1)).enumerate() {
        mapping.positions(of.row + k, of.col, &mut c, &mut r);
        for ((o, c), r) in out.iter_mut().zip(&c).zip(&r) {
            *o = if is_inside(*c, *r, rows, cols) {
                let (j, i) = (r.floor() as usize, c.floor() as usize);
                let index = j
                    .checked_sub(region.row)
                    .zip(i.checked_sub(region.col))
                    .filter(|(j, i)| *j < region.rows && *i < region.cols);
                index.map_or(1, |(j, i)| mask[j * region.cols + i])
            } else {
                1
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalid(id: &str, value: u64) -> bool {
        preset(id).unwrap().is_invalid(value)
    }

    #[test]
    fn presets_know_the_products_codes() {
        // Typical QA_PIXEL codes of Landsat 8: fill, clear land, clear water, high-confidence cloud, shadow, snow, cirrus.
        for (value, is_invalid) in
            [(1, true), (21824, false), (21952, false), (22280, true), (23888, true), (30048, true), (54596, true)]
        {
            assert_eq!(invalid("landsat_c2", value), is_invalid, "QA_PIXEL {value}");
        }
        for (value, is_invalid) in
            [(0, false), (8, false), (1, true), (2, true), (3, false), (4, true), (1 << 8, false), (2 << 8, true)]
        {
            assert_eq!(invalid("mod09_state_1km", value), is_invalid, "state_1km {value}");
        }
        for bit in [10, 12, 13, 15] {
            assert!(invalid("mod09_state_1km", 1 << bit));
        }
        assert!(invalid("mod09_state_1km", 65535) && !invalid("mod09_state_1km", 1 << 11));
        let scl: Vec<u64> = (0..12).filter(|v| invalid("s2_scl", *v)).collect();
        assert_eq!(scl, [0, 1, 3, 8, 9, 10, 11]);
        for (value, is_invalid) in
            [(64, false), (32, false), (2, true), (4, true), (8, true), (16, true), (255, true), (224, false)]
        {
            assert_eq!(invalid("hls_fmask", value), is_invalid, "Fmask {value}");
        }
        let quality: Vec<u64> = [0, 1, 2, 255].into_iter().filter(|v| invalid("mcd43_quality", *v)).collect();
        assert_eq!(quality, [2, 255]);
        assert!(invalid("landsat_c2_radsat", 4) && invalid("landsat_c2_radsat", 512) && !invalid("landsat_c2_radsat", 0));
        let classes: Vec<u64> = [0, 1, 2, 3, 4, 255].into_iter().filter(|v| invalid("fmask", *v)).collect();
        assert_eq!(classes, [2, 3, 4, 255]);
    }

    #[test]
    fn preset_ids_are_unique_ascii_and_described() {
        let all = presets().unwrap();
        for (i, p) in all.iter().enumerate() {
            assert!(p.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{}", p.id);
            assert!(all[..i].iter().all(|q| q.id != p.id) && !p.label.is_empty() && p.description.ends_with('.'), "{}", p.id);
        }
    }

    #[test]
    fn an_unknown_preset_lists_the_known_ones() {
        let error = preset("landsat").unwrap_err();
        assert_eq!(error.message(), "\"landsat\" is no mask preset");
        assert!(error.hint().unwrap().contains("landsat_c2, landsat_c2_radsat, mod09_state_1km"), "{:?}", error.hint());
    }

    #[test]
    fn a_malformed_preset_file_says_where() {
        assert!(parse(r#"{"presets": [{"id": "a"}]}"#).unwrap_err().contains("missing field `label`"));
        let wide =
            r#"{"presets": [{"id": "a", "label": "", "description": "", "bits": [{"first": 31, "count": 2, "name": ""}]}]}"#;
        assert!(parse(wide).unwrap_err().contains("not within 32 bits"));
    }

    #[test]
    fn dilation_grows_by_a_square() {
        let (rows, cols) = (9, 12);
        for radius in [0, 1, 3, 20] {
            let mut mask = vec![0u8; rows * cols];
            let seeds = [(0usize, 0usize), (4, 6), (4, 7), (8, 11)];
            seeds.iter().for_each(|(r, c)| mask[r * cols + c] = 1);
            dilate(&mut mask, rows, cols, radius);
            for r in 0..rows {
                for c in 0..cols {
                    let near = seeds.iter().any(|(y, x)| r.abs_diff(*y) <= radius && c.abs_diff(*x) <= radius);
                    assert_eq!(mask[r * cols + c], u8::from(near), "{radius}: {r} {c}");
                }
            }
        }
    }
}
