//! Mask rasters and the product presets that say which of their values are invalid.

use serde::{Deserialize, Serialize};
use stfusion_core::Result;

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
}

/// All presets: the built-in ones, then those of the file that `STFUSION_PRESETS` names, which replace equal ids.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Data`] when that file cannot be read or is not as the schema says.
pub fn presets() -> Result<Vec<Preset>> {
    Ok(Vec::new())
}
