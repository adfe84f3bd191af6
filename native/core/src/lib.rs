//! The vocabulary of stfusion: values and contracts that every other crate speaks.
//!
//! No file is opened here and no GDAL is known. The words, used everywhere (QGIS included):
//!
//! * **fine** / **coarse** image: the sharp, rare one (Landsat, Sentinel-2) and the blurred, frequent one (MODIS, VIIRS).
//! * **pair**: a fine and a coarse image of the same day.
//! * **target**: the day to predict, of which only the coarse image exists.
//! * **prediction**, **truth**: the fine image computed for the target day, and the one really taken.
//! * **window**, **similar pixels**: the neighbourhood of a pixel, and those of its pixels that look like it.
//! * **class**: an integer label per fine pixel.
//! * **scale**: fine pixels per coarse-pixel side, greater than one.
//! * **tile**, **halo**: the block of output computed at once, and the rim of input it needs around it.
//! * **support**: the quality layer beside a prediction.
//! * **device**: what computes, the processor or a GPU; **queue**: work in its order on one GPU.
//!
//! Array order is always `(band, row, col)`. Values in memory are unscaled (reflectance 0.0425, not 425) `f32`; an
//! invalid value (nodata, masked, out of range, infinite) is `NaN`, and every `NaN` is an invalid value.
//! Distances are in fine pixels, time in days.
#![deny(missing_docs)]

pub mod date;
pub mod device;
pub mod error;
pub mod exec;
pub mod grid;
pub mod memory;
pub mod method;
pub mod metrics;
pub mod param;
pub mod resample;
pub mod source;
pub mod text;

pub use date::Date;
pub use error::{Error, ErrorKind, Result};
pub use exec::{Cancel, Exec, Level, LogSink};
pub use grid::{Grid, Region};
