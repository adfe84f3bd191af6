//! Everything about files: GDAL opens, reads, masks, aligns and writes here and nowhere else.
//!
//! ```text
//! names of a job ──> Image (described, pooled handles) ──> RasterScene: every image on the fine grid, f32, NaN = invalid
//! prediction ──> Writer: the fine image's type, scale and nodata, a temporary beside the target, renamed when complete
//! ```
//!
//! Edges: names are opaque strings that GDAL understands, never tested with the file system; no job is parsed and no
//! method is known here. GDAL's messages are captured per thread and become part of the errors; nothing is printed.
#![deny(missing_docs)]

mod align;
mod arrays;
mod bands;
mod dataset;
mod dates;
mod errors;
mod image;
mod masks;
mod mesh;
mod output;
mod plausibility;
mod scene;
mod stored;
mod writer;

pub use align::Alignment;
pub use arrays::{read_array, write_arrays, Array};
pub use dataset::{describe, BandInfo, ImageInfo};
pub use dates::{date_in_metadata, date_in_name};
pub use image::Image;
pub use masks::{presets, BitField, Preset, ValueRule};
pub use output::{check_output, check_output_is_no_input, read_text, write_text};
pub use scene::{RasterScene, SceneSource};
pub use stored::Buffer;
pub use writer::{BandSpec, Complete, OutputSpec, Writer};

/// GDAL's release name, such as `3.6.2`.
pub fn version() -> String {
    gdal::version::VersionInfo::release_name()
}

/// A configuration option of GDAL, set by its functions, its configuration file or the environment.
pub fn config_option(name: &str) -> Option<String> {
    gdal::config::get_config_option(name, "").ok().filter(|value| !value.is_empty())
}

/// Limits GDAL's block cache, which all open rasters of the program share.
pub fn set_cache_limit(bytes: usize) {
    // SAFETY: sets a number under GDAL's own lock.
    unsafe { gdal_sys::GDALSetCacheMax64(i64::try_from(bytes).unwrap_or(i64::MAX)) };
}
