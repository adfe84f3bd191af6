//! Days written in file names and metadata.

use stfusion_core::Date;

/// The day in a file's name, if it holds exactly one that is plausible.
pub fn date_in_name(name: &str) -> Option<Date> {
    let _ = name;
    None
}

/// The day in a raster's metadata, if the well-known keys agree on one.
pub fn date_in_metadata(metadata: &[(String, String)]) -> Option<Date> {
    let _ = metadata;
    None
}
