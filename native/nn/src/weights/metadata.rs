//! What a weights file says about its network: how images are prepared for it, how it was trained, under which licence it may be used.
//!
//! It lies as JSON under the key `stfusion` of a safetensors header's `__metadata__`, or of an ONNX file's `metadata_props`.
//! Every part may be absent; what is absent is filled from what was published about the network ([`Metadata::completed`]).
//! Unknown keys are errors, so that a misspelt one is not passed over.
//!
//! ```json
//! {
//!   "schema": 1,
//!   "network": "edcstfn",
//!   "options": { "references": 1 },
//!   "bands": ["blue", "green", "red", "nir", "swir1", "swir2"],
//!   "scaling": { "fine": { "scale": 2, "offset": -1, "clip": [0, 1] }, "coarse": { "scale": 2, "offset": -1, "clip": [0, 1] } },
//!   "inputs": [ { "name": "c1", "images": ["coarse_pair1"] }, { "images": ["fine_pair1"] }, { "images": ["coarse_target"] } ],
//!   "coarse": { "grid": "fine", "resampling": "bilinear" },
//!   "tile": { "size": 256, "fixed": true, "multiple": 16, "overlap": 64, "blend": "centre" },
//!   "training": { "data_set": "CIA", "sensors": "Landsat 7 ETM+ and MODIS", "date": "2024-05-01", "notes": "60 epochs" },
//!   "licence": "Apache-2.0",
//!   "reference": { "citation": "Tan et al. 2019", "doi": "10.3390/rs11242898" },
//!   "source": "https://example.org/edcstfn.pth"
//! }
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use stfusion_core::source::Resampling;
use stfusion_core::{Error, ErrorKind, Result};

use super::published;

/// Version of the schema that this build writes, and the newest that it reads.
pub const SCHEMA: u32 = 1;

/// Longest text that is read, so that a damaged header cannot fill the memory.
const MAX_BYTES: usize = 1 << 20;

/// What a weights file says about its network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Version of the schema.
    pub schema: u32,
    /// Id of the network: its file in the zoo, or `onnx` for a graph that the file brings itself. Empty if not said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub network: String,
    /// What the shapes of the tensors do not tell: variants, activations, steps of a sampler. Each network documents its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, Choice>,
    /// Names of the bands, in the order of the network's channels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bands: Vec<String>,
    /// From unscaled values to the network's, and back.
    #[serde(default, skip_serializing_if = "Scaling::is_empty")]
    pub scaling: Scaling,
    /// The network's inputs in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// On which grid the network takes coarse images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse: Option<CoarseGrid>,
    /// Size and seams of the tiles that the network is run on.
    #[serde(default, skip_serializing_if = "Tile::is_empty")]
    pub tile: Tile,
    /// What it was trained on.
    #[serde(default, skip_serializing_if = "Training::is_empty")]
    pub training: Training,
    /// Licence of the weights, as SPDX names it where it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub licence: String,
    /// The publication.
    #[serde(default, skip_serializing_if = "Reference::is_empty")]
    pub reference: Reference,
    /// Where the weights came from: a name, an address, a commit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

impl Default for Metadata {
    fn default() -> Self {
        Metadata {
            schema: SCHEMA,
            network: String::new(),
            options: BTreeMap::new(),
            bands: Vec::new(),
            scaling: Scaling::default(),
            inputs: Vec::new(),
            coarse: None,
            tile: Tile::default(),
            training: Training::default(),
            licence: String::new(),
            reference: Reference::default(),
            source: String::new(),
        }
    }
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Choice {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Count(u64),
    /// Any number.
    Number(f64),
    /// A word.
    Word(String),
    /// Several numbers.
    Numbers(Vec<f64>),
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Choice::Flag(flag) => write!(f, "{flag}"),
            Choice::Count(count) => write!(f, "{count}"),
            Choice::Number(number) => write!(f, "{number}"),
            Choice::Word(word) => f.write_str(word),
            Choice::Numbers(numbers) => f.write_str(&numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")),
        }
    }
}

/// How values of fine and coarse images become the network's. The output is scaled back as fine images are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Of fine images, and of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fine: Option<ValueRange>,
    /// Of coarse images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse: Option<ValueRange>,
    /// Whether every band of every image, once scaled, is less its mean over the whole image; the output gets that of the first
    /// fine image back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centred: Option<bool>,
}

impl Scaling {
    fn is_empty(&self) -> bool {
        *self == Scaling::default()
    }
}

/// `network value = scale * limited + offset`, where `limited` is the unscaled value (reflectance 0.0425) within `clip`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueRange {
    /// Factor, not zero: one for all bands, or one for each.
    #[serde(default = "PerBand::one")]
    pub scale: PerBand,
    /// What is added: one for all bands, or one for each.
    #[serde(default = "PerBand::zero")]
    pub offset: PerBand,
    /// Least and greatest unscaled value; values beyond are moved to them first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<[f64; 2]>,
}

impl Default for ValueRange {
    /// Values as they are.
    fn default() -> Self {
        ValueRange { scale: PerBand::one(), offset: PerBand::zero(), clip: None }
    }
}

impl ValueRange {
    /// The network's value of the unscaled `value` in `band`, counted from 0; an invalid value stays so.
    pub fn forward(&self, band: usize, value: f64) -> f64 {
        let limited = match self.clip {
            Some([low, _]) if value < low => low,
            Some([_, high]) if value > high => high,
            _ => value,
        };
        self.scale.of(band) * limited + self.offset.of(band)
    }

    /// The unscaled value of the network's `value` in `band`, counted from 0.
    pub fn back(&self, band: usize, value: f64) -> f64 {
        (value - self.offset.of(band)) / self.scale.of(band)
    }

    fn check(&self, image: &str, bands: usize) -> Result<()> {
        for (name, numbers) in [("scale", &self.scale), ("offset", &self.offset)] {
            let place = format!("scaling.{image}.{name}");
            let numbers = match numbers {
                PerBand::All(number) => std::slice::from_ref(number),
                PerBand::Each(numbers) => {
                    if numbers.is_empty() || bands > 0 && numbers.len() != bands {
                        return Err(wrong(
                            format!("{place} has {} numbers for {bands} bands", numbers.len()),
                            "Give one number for all bands, or one for each.",
                        ));
                    }
                    numbers
                }
            };
            if let Some(number) = numbers.iter().find(|n| !n.is_finite() || name == "scale" && **n == 0.0) {
                return Err(wrong(format!("{place} is {number}"), "Give a finite number; a scale must not be 0."));
            }
        }
        match self.clip {
            Some([low, high]) if low.partial_cmp(&high) != Some(std::cmp::Ordering::Less) => {
                Err(wrong(format!("scaling.{image}.clip is [{low}, {high}]"), "Give the least value, then the greatest."))
            }
            _ => Ok(()),
        }
    }
}

/// One number for all bands, or one for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerBand {
    /// The same for all.
    All(f64),
    /// In the order of the bands.
    Each(Vec<f64>),
}

impl PerBand {
    fn one() -> Self {
        PerBand::All(1.0)
    }

    fn zero() -> Self {
        PerBand::All(0.0)
    }

    /// The number of `band`, counted from 0; the last one for bands beyond those listed.
    pub fn of(&self, band: usize) -> f64 {
        match self {
            PerBand::All(number) => *number,
            PerBand::Each(numbers) => numbers.get(band).or(numbers.last()).copied().unwrap_or(f64::NAN),
        }
    }
}

/// One input of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name in an ONNX graph; networks of the zoo take theirs by order.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What is fed to it: one image, or several along the channels.
    pub images: Vec<Role>,
}

/// What a network is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Fine image of the first pair.
    FinePair1,
    /// Coarse image of the first pair.
    CoarsePair1,
    /// Fine image of the second pair.
    FinePair2,
    /// Coarse image of the second pair.
    CoarsePair2,
    /// Coarse image of the target.
    CoarseTarget,
    /// A coarse image of any day, by itself: what a network that enlarges images takes.
    CoarseImage,
    /// Fine image of the first pair as means over the pixels of the network's coarse grid.
    LowPair1,
    /// Fine image of the second pair as means over the pixels of the network's coarse grid.
    LowPair2,
    /// A first estimate of the target: the fine image of the first pair plus the change of the coarse images since.
    SharpenedTarget,
    /// Panchromatic fine image of the first pair.
    PanchromaticPair1,
    /// What a diffusion sampler has so far.
    NoisyTarget,
    /// Number of the sampler's step.
    Step,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Role] = &[
        Role::FinePair1,
        Role::CoarsePair1,
        Role::FinePair2,
        Role::CoarsePair2,
        Role::CoarseTarget,
        Role::CoarseImage,
        Role::LowPair1,
        Role::LowPair2,
        Role::SharpenedTarget,
        Role::PanchromaticPair1,
        Role::NoisyTarget,
        Role::Step,
    ];

    /// The input that networks of the zoo feed such an image, if it is one of a fusion job or made of those.
    pub fn zoo_input(self) -> Option<&'static str> {
        match self {
            Role::FinePair1 => Some("fine_t1"),
            Role::CoarsePair1 => Some("coarse_t1"),
            Role::FinePair2 => Some("fine_t3"),
            Role::CoarsePair2 => Some("coarse_t3"),
            Role::CoarseTarget => Some("coarse_t2"),
            Role::CoarseImage => Some("image"),
            Role::LowPair1 => Some("low_t1"),
            Role::LowPair2 => Some("low_t3"),
            Role::SharpenedTarget => Some("estimate_t2"),
            Role::PanchromaticPair1 => Some("pan_t1"),
            Role::NoisyTarget | Role::Step => None,
        }
    }

    /// Whether its values are those of a fine image, and scaled like them.
    pub fn has_fine_values(self) -> bool {
        matches!(
            self,
            Role::FinePair1 | Role::FinePair2 | Role::LowPair1 | Role::LowPair2 | Role::SharpenedTarget | Role::PanchromaticPair1
        )
    }

    /// Whether it lies on the coarse grid of a network that has one of its own.
    pub fn is_on_coarse_grid(self) -> bool {
        matches!(
            self,
            Role::CoarsePair1 | Role::CoarsePair2 | Role::CoarseTarget | Role::CoarseImage | Role::LowPair1 | Role::LowPair2
        )
    }

    /// Number of its bands, where images have so many.
    pub fn bands(self, bands: usize) -> usize {
        match self {
            Role::PanchromaticPair1 => 1,
            _ => bands,
        }
    }

    /// Its name in the file.
    pub fn id(self) -> &'static str {
        match self {
            Role::FinePair1 => "fine_pair1",
            Role::CoarsePair1 => "coarse_pair1",
            Role::FinePair2 => "fine_pair2",
            Role::CoarsePair2 => "coarse_pair2",
            Role::CoarseTarget => "coarse_target",
            Role::CoarseImage => "coarse_image",
            Role::LowPair1 => "low_pair1",
            Role::LowPair2 => "low_pair2",
            Role::SharpenedTarget => "sharpened_target",
            Role::PanchromaticPair1 => "panchromatic_pair1",
            Role::NoisyTarget => "noisy_target",
            Role::Step => "step",
        }
    }
}

/// On which grid a network takes coarse images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "grid", rename_all = "snake_case", deny_unknown_fields)]
pub enum CoarseGrid {
    /// Resampled onto the fine grid.
    Fine {
        /// How: `nearest`, `bilinear` or `cubic`.
        resampling: Resampling,
    },
    /// On a grid of its own, whose pixels are `factor` fine pixels wide; the network brings them together.
    Coarse {
        /// Fine pixels per coarse-pixel side.
        factor: usize,
    },
}

/// Size and seams of the tiles that a network is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tile {
    /// Fine pixels per side of the patches it was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Whether it runs at no other size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<bool>,
    /// Number that rows and columns must be multiples of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple: Option<usize>,
    /// Fine pixels that neighbouring tiles share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<usize>,
    /// What becomes of shared pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blend: Option<Blend>,
}

impl Tile {
    fn is_empty(&self) -> bool {
        *self == Tile::default()
    }
}

/// What becomes of the pixels that neighbouring tiles share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blend {
    /// Each comes from the tile whose centre is nearer.
    Centre,
    /// Weights fall linearly towards each tile's edge.
    Linear,
}

/// What a network was trained on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Name of the data set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data_set: String,
    /// The fine and the coarse sensor.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sensors: String,
    /// Day of the training, or of the publication of the weights.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub date: String,
    /// Anything else a user should know: epochs, losses, regions, accuracy.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

impl Training {
    fn is_empty(&self) -> bool {
        *self == Training::default()
    }
}

/// A publication.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Authors, year, title.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub citation: String,
    /// Its DOI.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doi: String,
}

impl Reference {
    fn is_empty(&self) -> bool {
        *self == Reference::default()
    }
}

fn wrong(message: String, hint: &str) -> Error {
    Error::new(ErrorKind::Data, format!("its description of the network: {message}")).with_hint(hint)
}

impl Metadata {
    /// Reads and checks the JSON text.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] naming the key or value; [`ErrorKind::Unsupported`] for a newer schema.
    pub fn from_json(text: &str) -> Result<Self> {
        const HINT: &str = "tools/README.md describes the keys.";
        if text.len() > MAX_BYTES {
            return Err(wrong(format!("it has {} bytes; at most {MAX_BYTES} are read", text.len()), HINT));
        }
        let json: Json = serde_json::from_str(text).map_err(|e| wrong(e.to_string(), HINT))?;
        match json.get("schema").and_then(Json::as_u64) {
            Some(schema) if schema > u64::from(SCHEMA) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("its description has schema {schema}; this build reads up to {SCHEMA}"),
                )
                .with_hint("Install a newer stfusion, or convert the weights again."));
            }
            Some(1..) => {}
            _ => return Err(wrong("\"schema\" is missing; it is the number of the version, 1".into(), HINT)),
        }
        let metadata: Metadata = serde_json::from_value(json).map_err(|e| wrong(e.to_string(), HINT))?;
        metadata.check()?;
        Ok(metadata)
    }

    /// The JSON text, on one line.
    pub fn to_json(&self) -> String {
        // keys are texts and numbers finite, of which nothing can fail
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The same with the number of pairs, `references`, where it says none.
    #[must_use]
    pub fn with_references(mut self, pairs: Option<usize>) -> Self {
        if let Some(pairs) = pairs {
            self.options.entry("references".into()).or_insert(Choice::Count(pairs as u64));
        }
        self
    }

    /// The same with what is absent filled from what was published about the network; unchanged for networks that are not known.
    #[must_use]
    pub fn completed(&self) -> Self {
        match published::by_id(&self.network) {
            Some(network) => self.over(&network.metadata(self.options.get("references"))),
            None => self.clone(),
        }
    }

    /// The same with what is absent filled from `other`.
    #[must_use]
    pub fn over(&self, other: &Metadata) -> Self {
        let mut all = self.clone();
        if all.bands.is_empty() {
            all.bands.clone_from(&other.bands);
        }
        if all.training.is_empty() {
            all.training.clone_from(&other.training);
        }
        for (name, choice) in &other.options {
            all.options.entry(name.clone()).or_insert_with(|| choice.clone());
        }
        let text = |own: &mut String, other: &String| {
            if own.is_empty() {
                own.clone_from(other);
            }
        };
        all.scaling.fine = all.scaling.fine.or_else(|| other.scaling.fine.clone());
        all.scaling.coarse = all.scaling.coarse.or_else(|| other.scaling.coarse.clone());
        all.scaling.centred = all.scaling.centred.or(other.scaling.centred);
        if all.inputs.is_empty() {
            all.inputs.clone_from(&other.inputs);
        }
        all.coarse = all.coarse.or(other.coarse);
        all.tile = Tile {
            size: all.tile.size.or(other.tile.size),
            fixed: all.tile.fixed.or(other.tile.fixed),
            multiple: all.tile.multiple.or(other.tile.multiple),
            overlap: all.tile.overlap.or(other.tile.overlap),
            blend: all.tile.blend.or(other.tile.blend),
        };
        text(&mut all.network, &other.network);
        text(&mut all.licence, &other.licence);
        text(&mut all.source, &other.source);
        text(&mut all.reference.citation, &other.reference.citation);
        text(&mut all.reference.doi, &other.reference.doi);
        all
    }

    fn check(&self) -> Result<()> {
        for (image, range) in [("fine", &self.scaling.fine), ("coarse", &self.scaling.coarse)] {
            if let Some(range) = range {
                range.check(image, self.bands.len())?;
            }
        }
        let mut seen = BTreeSet::new();
        for input in &self.inputs {
            if input.images.is_empty() {
                return Err(wrong(
                    format!("input {:?} has no images", input.name),
                    "List what is fed to it, such as \"fine_pair1\".",
                ));
            }
            if let Some(twice) = input.images.iter().find(|role| !seen.insert(**role)) {
                return Err(wrong(format!("{} is fed to two inputs", twice.id()), "Name each image once."));
            }
        }
        let tile = &self.tile;
        let zero = [("size", tile.size), ("multiple", tile.multiple)].into_iter().find(|(_, n)| *n == Some(0));
        if let Some((name, _)) = zero {
            return Err(wrong(format!("tile.{name} is 0"), "Give a positive number of fine pixels."));
        }
        if let (Some(size), Some(overlap)) = (tile.size, tile.overlap) {
            if overlap >= size {
                return Err(wrong(
                    format!("tile.overlap is {overlap} for tiles of {size}"),
                    "Let tiles share less than their size.",
                ));
            }
        }
        if let (Some(size), Some(multiple)) = (tile.size, tile.multiple) {
            if size % multiple != 0 {
                return Err(wrong(
                    format!("tile.size {size} is no multiple of {multiple}"),
                    "Give a size that the network accepts.",
                ));
            }
        }
        if let Some(CoarseGrid::Coarse { factor: 0 }) = self.coarse {
            return Err(wrong("coarse.factor is 0".into(), "Give the fine pixels per coarse-pixel side."));
        }
        Ok(())
    }

    /// All options as the networks of the zoo take them.
    pub fn option_texts(&self) -> BTreeMap<String, String> {
        self.options.iter().map(|(name, choice)| (name.clone(), choice.to_string())).collect()
    }

    /// The option `name` as one of `words`; `None` when it is not set.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] naming the option and the words.
    pub fn word(&self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>> {
        let Some(choice) = self.options.get(name) else { return Ok(None) };
        let found = words.iter().find(|word| matches!(choice, Choice::Word(w) if w == *word));
        found.map(|word| Some(*word)).ok_or_else(|| {
            wrong(format!("the option {name} of {} is {choice}", self.network), &format!("It is one of: {}.", words.join(", ")))
        })
    }

    /// The option `name` as a whole number; `None` when it is not set.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] naming the option.
    pub fn count(&self, name: &str) -> Result<Option<usize>> {
        match self.options.get(name) {
            None => Ok(None),
            Some(Choice::Count(count)) => usize::try_from(*count).map(Some).map_err(|_| self.not_a(name, "whole number")),
            Some(_) => Err(self.not_a(name, "whole number")),
        }
    }

    /// The option `name` as a number; `None` when it is not set.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] naming the option.
    pub fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.options.get(name) {
            None => Ok(None),
            Some(Choice::Count(count)) => Ok(Some(*count as f64)),
            Some(Choice::Number(number)) => Ok(Some(*number)),
            Some(_) => Err(self.not_a(name, "number")),
        }
    }

    /// The option `name` as yes or no; `None` when it is not set.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] naming the option.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.options.get(name) {
            None => Ok(None),
            Some(Choice::Flag(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.not_a(name, "truth value")),
        }
    }

    fn not_a(&self, name: &str, kind: &str) -> Error {
        let choice = self.options.get(name).map(Choice::to_string).unwrap_or_default();
        wrong(format!("the option {name} of {} is {choice}", self.network), &format!("It is a {kind}."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{
        "schema": 1, "network": "swinstfm", "options": { "references": 1, "activation": "silu", "eta": 0.5, "ema": true, "betas": [0.9, 0.99] },
        "bands": ["blue", "green"],
        "scaling": { "fine": { "scale": [2, 3], "offset": -1, "clip": [0, 1] } },
        "inputs": [ { "name": "x", "images": ["coarse_pair1", "fine_pair1"] }, { "images": ["coarse_target"] } ],
        "coarse": { "grid": "coarse", "factor": 16 },
        "tile": { "size": 256, "fixed": true, "multiple": 16, "overlap": 64, "blend": "linear" },
        "training": { "data_set": "CIA", "sensors": "ETM+ and MODIS", "date": "2024-05-01", "notes": "60 epochs" },
        "licence": "MIT", "reference": { "citation": "Chen 2022", "doi": "10.1/x" }, "source": "swinstfm.pth" }"#;

    #[test]
    fn everything_survives_being_written_and_read() {
        let metadata = Metadata::from_json(FULL).unwrap();
        assert_eq!(Metadata::from_json(&metadata.to_json()).unwrap(), metadata);
        assert_eq!(metadata.inputs[0].images, [Role::CoarsePair1, Role::FinePair1]);
        assert_eq!(metadata.coarse, Some(CoarseGrid::Coarse { factor: 16 }));
        let empty = Metadata::from_json(r#"{"schema":1}"#).unwrap();
        assert_eq!(empty, Metadata::default());
        assert_eq!(empty.to_json(), r#"{"schema":1}"#);
        for &role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.id());
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("{}", "\"schema\" is missing"),
            (r#"{"schema":0}"#, "\"schema\" is missing"),
            (r#"{"schema":2}"#, "has schema 2; this build reads up to 1"),
            (r#"{"schema":1,"bandz":[]}"#, "unknown field `bandz`"),
            (r#"{"schema":1,"tile":{"siez":1}}"#, "unknown field `siez`"),
            (r#"{"schema":1,"coarse":{"grid":"fine","resampling":"mean"}}"#, "mean"),
            (r#"{"schema":1,"coarse":{"grid":"coarse","factor":0}}"#, "coarse.factor is 0"),
            (r#"{"schema":1,"inputs":[{"images":["fine_pair3"]}]}"#, "fine_pair3"),
            (r#"{"schema":1,"inputs":[{"images":[]}]}"#, "has no images"),
            (r#"{"schema":1,"inputs":[{"images":["step"]},{"images":["step"]}]}"#, "step is fed to two inputs"),
            (
                r#"{"schema":1,"bands":["a","b"],"scaling":{"fine":{"scale":[1]}}}"#,
                "scaling.fine.scale has 1 numbers for 2 bands",
            ),
            (r#"{"schema":1,"scaling":{"coarse":{"scale":0}}}"#, "scaling.coarse.scale is 0"),
            (r#"{"schema":1,"scaling":{"coarse":{"clip":[1,0]}}}"#, "scaling.coarse.clip is [1, 0]"),
            (r#"{"schema":1,"tile":{"size":64,"overlap":64}}"#, "tile.overlap is 64 for tiles of 64"),
            (r#"{"schema":1,"tile":{"size":40,"multiple":16}}"#, "tile.size 40 is no multiple of 16"),
            (r#"{"schema":1,"tile":{"multiple":0}}"#, "tile.multiple is 0"),
            (r#"{"schema":1,"options":{"a":{}}}"#, "options"),
            ("nonsense", "expected"),
        ] {
            let error = Metadata::from_json(text).unwrap_err();
            if expected != "options" {
                assert!(error.message().contains(expected), "{text}: {error}");
            }
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn options_are_of_their_kind() {
        let metadata = Metadata::from_json(FULL).unwrap();
        assert_eq!(metadata.word("activation", &["relu", "silu"]).unwrap(), Some("silu"));
        assert_eq!(metadata.word("absent", &["relu"]).unwrap(), None);
        assert_eq!(metadata.count("references").unwrap(), Some(1));
        assert_eq!(metadata.flag("ema").unwrap(), Some(true));
        assert_eq!((metadata.number("eta").unwrap(), metadata.number("references").unwrap()), (Some(0.5), Some(1.0)));
        let error = metadata.word("activation", &["relu", "gelu"]).unwrap_err();
        assert!(error.message().contains("the option activation of swinstfm is silu"), "{error}");
        assert_eq!(error.hint(), Some("It is one of: relu, gelu."));
        assert!(metadata.count("activation").unwrap_err().message().contains("activation of swinstfm is silu"));
        assert!(metadata.flag("eta").unwrap_err().message().contains("eta of swinstfm is 0.5"));
    }

    #[test]
    fn values_go_forward_and_back() {
        let range = Metadata::from_json(FULL).unwrap().scaling.fine.unwrap();
        assert_eq!(range.forward(0, 0.25), -0.5);
        assert_eq!(range.forward(1, 0.25), -0.25);
        assert_eq!(range.forward(0, 7.0), 1.0);
        assert_eq!(range.back(1, -0.25), 0.25);
        assert_eq!(range.forward(0, -7.0), -1.0);
        assert!(range.forward(0, f64::NAN).is_nan());
    }

    #[test]
    fn what_is_said_wins_over_what_was_published() {
        let own = Metadata::from_json(FULL).unwrap();
        let all = own.completed();
        assert_eq!((&all.inputs, all.coarse, &all.scaling.fine), (&own.inputs, own.coarse, &own.scaling.fine));
        assert!(all.scaling.coarse.is_some(), "the coarse scaling was published");
        let stranger = Metadata { network: "stranger".into(), ..Metadata::default() };
        assert_eq!(stranger.completed(), stranger);
    }
}
