//! Generated scenes with truth: what a Landsat-like and a MODIS-like sensor see of one made-up landscape.
//!
//! A [`Landscape`] is a function of the seed, the date and the pixel, defined on the whole plane: any window of a scene
//! of any size is generated on its own, in parallel, and is identical bit for bit to the same window cut out of a larger
//! one. It holds fields with crop phenology, a river with its riparian forest, a town and villages, roads, forest,
//! rangeland, a gravel pit, and two abrupt changes between the dates of the demo: fields that are harvested and a
//! floodplain that is under water.
//!
//! ```text
//! Landscape --surface(date, region)--> noise-free reflectance --+--> + cloud, shadow, noise = fine image + QA_PIXEL
//!                                                               +--> point-spread function  = coarse image, sinusoidal
//!                                                               +--> block means            = coarse image, aligned
//! ```
//!
//! * [`Demo`] is the scene of `stfusion demo`: one or two pairs, a target and its truth, georeferenced.
//! * [`block_mean`] makes the simple coarse image of tests and benchmarks: aligned, an exact mean.
//! * [`quicklook`] renders images as PNG, and the contact sheet of the README.
//!
//! Everything here is computation in memory; only [`quicklook::Picture::write_png`] touches a file. Values are unscaled
//! reflectance, the axes are always `(band, row, col)`, and the bands are [`BANDS`].

pub mod cloud;
pub mod coarse;
pub mod date;
pub mod demo;
mod fields;
mod hash;
pub mod landscape;
pub mod projection;
pub mod quicklook;
mod relief;
mod river;
mod season;
mod settlement;
mod spectra;

pub use coarse::{block_mean, CoarseGrid};
pub use date::Date;
pub use demo::{Demo, DemoImages, Image};
pub use landscape::{Change, Cover, Landscape, Region};

/// Names of the six bands, in the order of every image of this crate.
pub const BANDS: [&str; 6] = ["blue", "green", "red", "nir", "swir1", "swir2"];

/// Centre wavelengths of [`BANDS`] in micrometres, those of Landsat 8 OLI bands 2 to 7.
pub const WAVELENGTHS_UM: [f64; 6] = [0.482, 0.561, 0.655, 0.865, 1.609, 2.201];

/// The value that stands for "no data" in [`to_int16`] images.
pub const NODATA: i16 = -9999;

/// The factor that turns a stored [`to_int16`] value into reflectance.
pub const SCALE: f64 = 0.0001;

/// Reflectance as it is stored in files: multiplied by 10,000 and rounded; NaN becomes [`NODATA`].
pub fn to_int16(reflectance: ndarray::ArrayView3<f32>) -> ndarray::Array3<i16> {
    reflectance.mapv(|v| if v.is_nan() { NODATA } else { (v * 10_000.0).round().clamp(-9998.0, 32_000.0) as i16 })
}
