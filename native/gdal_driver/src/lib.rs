//! The Rust side of the GDAL driver: names of datasets become jobs, jobs become predictions that are computed where GDAL
//! reads. The C++ side (`cpp/`) is GDAL's classes and nothing else; between them lies the bridge of this file.
//!
//! Errors reach GDAL's users through `CPLError`, in the library's words; what the bridge returns says only that there was one.
#![deny(missing_docs)]

mod fusion;
mod messages;
mod name;
mod options;
mod shared;

use fusion::{describe, open, Fusion};
use options::open_options;

/// What C++ and Rust say to each other.
#[allow(clippy::too_many_arguments, reason = "a rectangle has four numbers")]
#[cxx::bridge(namespace = "stfusion")]
mod ffi {
    /// An entry of the metadata.
    struct Item {
        key: String,
        value: String,
    }

    /// One band.
    struct Band {
        name: String,
        scale: f64,
        offset: f64,
        color: String,
        unit: String,
        metadata: Vec<Item>,
    }

    /// One resolution.
    struct Size {
        rows: usize,
        cols: usize,
    }

    /// A dataset as GDAL shows it.
    struct Description {
        /// Full resolution, then those of the overviews.
        sizes: Vec<Size>,
        /// Six numbers, or none.
        transform: Vec<f64>,
        crs: String,
        data_type: String,
        nodata: f64,
        bands: Vec<Band>,
        metadata: Vec<Item>,
        /// Side of the blocks.
        block_px: usize,
        /// Name of the job file; empty for a job given inline.
        job_file: String,
        /// Names of the inputs.
        inputs: Vec<String>,
        /// Whether this is the support layer.
        is_support: bool,
        /// Name and description of the support layer as a dataset.
        support_name: String,
        support_label: String,
    }

    extern "Rust" {
        type Fusion;

        /// Opens the dataset of that name with options (`KEY=VALUE`).
        fn open(name: &str, options: Vec<String>) -> Result<Box<Fusion>>;
        /// What was opened.
        fn describe(fusion: &Fusion) -> Description;
        /// Brings every block under a rectangle of pixels of one resolution to the destination.
        fn read(
            self: &Fusion,
            size: usize,
            row: usize,
            col: usize,
            rows: usize,
            cols: usize,
            to: Pin<&mut Destination>,
        ) -> Result<()>;
        /// Computes the blocks under a rectangle on all threads, so that they are there when they are read one by one; does
        /// nothing when they are more than are kept.
        fn fetch(
            self: &Fusion,
            size: usize,
            row: usize,
            col: usize,
            rows: usize,
            cols: usize,
            to: Pin<&mut Destination>,
        ) -> Result<()>;
        /// The list of open options, XML.
        fn open_options() -> String;
    }

    unsafe extern "C++" {
        include!("destination.h");
        type Destination;
        fn take(self: Pin<&mut Destination>, band: usize, row: usize, col: usize, rows: usize, cols: usize, values: &[u8]);
        fn goes_on(self: Pin<&mut Destination>, fraction: f64) -> bool;
    }
}
