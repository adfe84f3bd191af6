//! Descriptions of a job's inputs and output, as written in a job file: names only, nothing is opened here.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

use crate::method::ExtraImage;
use crate::{choices, Date};

/// An image: one raster with all bands, or one raster per band, and what its metadata lacks or has wrong.
///
/// In JSON a name, a list of names (one per band), or an object `{"path": …, "bands": …, "scale": …, …}`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageSource {
    /// Names that GDAL can open; opaque, never tested with the file system. One, or one per band.
    pub paths: Vec<String>,
    /// Bands to use, counted from 1, in this order; with one raster per band, its band 1. `None`: all.
    pub bands: Option<Vec<usize>>,
    /// Factor from stored to unscaled values; `None`: the raster's own.
    pub scale: Option<f64>,
    /// Summand after `scale`; `None`: the raster's own.
    pub offset: Option<f64>,
    /// Stored value that means nodata, in addition to the raster's own.
    pub nodata: Option<f64>,
    /// Unscaled values outside these closed limits are invalid.
    pub valid_range: Option<[f64; 2]>,
}

impl ImageSource {
    /// One raster with all bands.
    pub fn file(path: impl Into<String>) -> Self {
        ImageSource { paths: vec![path.into()], ..Self::default() }
    }

    /// The name shown to people: the path, or the first of several.
    pub fn name(&self) -> &str {
        self.paths.first().map_or("(no file)", String::as_str)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageObject {
    path: Json,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bands: Option<Vec<usize>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nodata: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_range: Option<[f64; 2]>,
}

fn paths_of(json: &Json) -> Result<Vec<String>, String> {
    let text = |j: &Json| j.as_str().filter(|s| !s.is_empty()).map(String::from);
    match json {
        Json::String(_) => text(json).map(|s| vec![s]),
        Json::Array(list) if !list.is_empty() => list.iter().map(text).collect(),
        _ => None,
    }
    .ok_or_else(|| format!("an image must be a file name, or a list of file names (one per band); got {json}"))
}

fn json_of(paths: &[String]) -> Json {
    match paths {
        [one] => Json::from(one.as_str()),
        many => many.iter().map(|p| Json::from(p.as_str())).collect(),
    }
}

impl<'de> Deserialize<'de> for ImageSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        if !json.is_object() {
            return Ok(ImageSource { paths: paths_of(&json).map_err(D::Error::custom)?, ..Self::default() });
        }
        let o: ImageObject = serde_json::from_value(json).map_err(D::Error::custom)?;
        let paths = paths_of(&o.path).map_err(D::Error::custom)?;
        Ok(ImageSource { paths, bands: o.bands, scale: o.scale, offset: o.offset, nodata: o.nodata, valid_range: o.valid_range })
    }
}

impl Serialize for ImageSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ImageSource { paths, bands, scale, offset, nodata, valid_range } = self.clone();
        if bands.is_none() && scale.is_none() && offset.is_none() && nodata.is_none() && valid_range.is_none() {
            return json_of(&paths).serialize(serializer);
        }
        ImageObject { path: json_of(&paths), bands, scale, offset, nodata, valid_range }.serialize(serializer)
    }
}

/// A mask raster of an image, on the image's own grid or one that can be warped to it.
///
/// In JSON a name (then non-zero is invalid, the raster's nodata is invalid), or an object with a preset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MaskSource {
    /// Name that GDAL can open.
    pub path: String,
    /// Id of the product preset that says which values are invalid; `None`: every non-zero value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Grow invalid areas by this many mask pixels.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dilate_px: usize,
    /// Band of the raster, counted from 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub band: usize,
    /// Whether non-zero means valid instead; only without a preset.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub valid_is_nonzero: bool,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}
fn is_one(n: &usize) -> bool {
    *n == 1
}
fn one() -> usize {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaskObject {
    path: String,
    #[serde(default)]
    preset: Option<String>,
    #[serde(default)]
    dilate_px: usize,
    #[serde(default = "one")]
    band: usize,
    #[serde(default)]
    valid_is_nonzero: bool,
}

impl MaskSource {
    /// A mask raster read through a preset, or as "non-zero is invalid".
    pub fn file(path: impl Into<String>, preset: Option<&str>) -> Self {
        MaskSource { path: path.into(), preset: preset.map(String::from), dilate_px: 0, band: 1, valid_is_nonzero: false }
    }
}

impl<'de> Deserialize<'de> for MaskSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        if let Some(path) = json.as_str() {
            return Ok(MaskSource::file(path, None));
        }
        let o: MaskObject = serde_json::from_value(json).map_err(D::Error::custom)?;
        Ok(MaskSource {
            path: o.path,
            preset: o.preset,
            dilate_px: o.dilate_px,
            band: o.band,
            valid_is_nonzero: o.valid_is_nonzero,
        })
    }
}

/// A pair of images of the same day.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairSource {
    /// Day of the pair; `None`: from names and metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// Fine image.
    pub fine: ImageSource,
    /// Coarse image.
    pub coarse: ImageSource,
    /// Mask of the fine image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fine_mask: Option<MaskSource>,
    /// Mask of the coarse image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse_mask: Option<MaskSource>,
    /// Class map on the fine grid, for methods that take one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ImageSource>,
    /// Object map (segment numbers) on the fine grid, for methods that take one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ImageSource>,
    /// Panchromatic image of the same day, for methods that take one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pan: Option<ImageSource>,
}

impl PairSource {
    /// What the pair has beside its images.
    pub fn extra_images(&self) -> impl Iterator<Item = (ExtraImage, &ImageSource)> {
        let of = |extra: ExtraImage| match extra {
            ExtraImage::Classes => &self.classes,
            ExtraImage::Objects => &self.objects,
            ExtraImage::Panchromatic => &self.pan,
        };
        ExtraImage::ALL.iter().filter_map(move |&extra| Some((extra, of(extra).as_ref()?)))
    }

    /// The place of such an image.
    pub fn extra_image_mut(&mut self, extra: ExtraImage) -> &mut Option<ImageSource> {
        match extra {
            ExtraImage::Classes => &mut self.classes,
            ExtraImage::Objects => &mut self.objects,
            ExtraImage::Panchromatic => &mut self.pan,
        }
    }
}

/// The day to predict.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSource {
    /// The day; `None`: from names and metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// Coarse image.
    pub coarse: ImageSource,
    /// Mask of the coarse image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse_mask: Option<MaskSource>,
}

choices! {
    /// How coarse images are brought onto the fine grid.
    pub enum Resampling {
        /// The coarse pixel under the fine pixel's centre.
        Nearest = "nearest": "The coarse pixel under the fine pixel",
        /// Linear between the four coarse pixels around.
        Bilinear = "bilinear": "Linear between the four coarse pixels around",
        /// Cubic convolution over sixteen coarse pixels.
        Cubic = "cubic": "Cubic convolution over the sixteen coarse pixels around",
    }
}

choices! {
    /// [`Resampling`] as people choose it.
    pub enum ResamplingChoice {
        /// Left to the method.
        Auto = "auto": "What the method works best with",
        /// [`Resampling::Nearest`].
        Nearest = "nearest": "The coarse pixel under the fine pixel",
        /// [`Resampling::Bilinear`].
        Bilinear = "bilinear": "Linear between the four coarse pixels around",
        /// [`Resampling::Cubic`].
        Cubic = "cubic": "Cubic convolution over the sixteen coarse pixels around",
    }
}

impl ResamplingChoice {
    /// The choice as a job holds it: `None` leaves it to the method.
    pub fn of_job(self) -> Option<Resampling> {
        match self {
            ResamplingChoice::Auto => None,
            ResamplingChoice::Nearest => Some(Resampling::Nearest),
            ResamplingChoice::Bilinear => Some(Resampling::Bilinear),
            ResamplingChoice::Cubic => Some(Resampling::Cubic),
        }
    }
}

choices! {
    /// File format of the output.
    pub enum Format {
        /// Tiled, compressed GeoTIFF.
        GTiff = "GTiff": "Tiled, compressed GeoTIFF",
        /// Cloud-optimised GeoTIFF.
        Cog = "COG": "Cloud-optimised GeoTIFF with overviews",
    }
}

macro_rules! serde_by_id {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(crate::param::Choices::id(*self))
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let id = String::deserialize(deserializer)?;
                <$name as crate::param::Choices>::by_id(&id).map_err(D::Error::custom)
            }
        }
    };
}
serde_by_id!(Resampling);
serde_by_id!(ResamplingChoice);
serde_by_id!(Format);

fn resampling_of_job<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Resampling>, D::Error> {
    Ok(Option::<ResamplingChoice>::deserialize(deserializer)?.and_then(ResamplingChoice::of_job))
}

/// How the images are brought together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridOptions {
    /// How coarse images are brought onto the fine grid; `None` (in JSON also `"auto"`): as the method works best
    /// ([`crate::method::MethodInfo::coarse_resampling`]), bilinear where no method is involved.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "resampling_of_job")]
    pub coarse_resampling: Option<Resampling>,
    /// Pairs of (fine band, coarse band), counted from 1. `None`: by order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bands: Option<Vec<[usize; 2]>>,
    /// Go on although the units of fine and coarse images look different.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_units: bool,
}

/// Where the prediction goes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputOptions {
    /// Name of the file; empty where the job leaves it to whoever runs it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// File format; `None`: GeoTIFF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Name of the support layer's file; `None`: not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support: Option<String>,
    /// GDAL creation options (`KEY=VALUE`) over the defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub creation_options: Vec<String>,
    /// GDAL name of the stored type (`Int16`, `Float32`, …); `None`: the fine image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_type: Option<String>,
    /// Stored nodata value; `None`: the fine image's, or one that fits the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodata: Option<f64>,
    /// Replace existing files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overwrite: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_keeps_its_shortest_spelling() {
        for text in [r#""f.tif""#, r#"["b1.tif","b2.tif"]"#, r#"{"path":"f.tif","bands":[3,2],"scale":0.0001}"#] {
            let image: ImageSource = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&image).unwrap(), text);
        }
    }

    #[test]
    fn malformed_descriptions_say_what_was_expected() {
        let message = |text: &str| serde_json::from_str::<PairSource>(text).unwrap_err().to_string();
        assert!(message(r#"{"fine": 3, "coarse": "c.tif"}"#).contains("list of file names (one per band); got 3"));
        assert!(
            message(r#"{"fine": "f.tif", "coarse": "c.tif", "day": 1}"#).contains("unknown field `day`, expected one of `date`")
        );
        assert!(message(r#"{"fine": "f.tif", "coarse": "c.tif", "fine_mask": {"path": "q", "bits": 1}}"#)
            .contains("unknown field `bits`"));
        let grid = serde_json::from_str::<GridOptions>(r#"{"coarse_resampling": "sinc"}"#).unwrap_err().to_string();
        assert!(grid.contains("\"sinc\" is not one of auto, nearest, bilinear, cubic"), "{grid}");
        let auto = serde_json::from_str::<GridOptions>(r#"{"coarse_resampling": "auto"}"#).unwrap();
        assert_eq!(auto, GridOptions::default());
    }
}
