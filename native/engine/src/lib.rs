//! Jobs and how they run: every door (command line, C ABI, QGIS, GDAL driver) builds a [`Job`] or a scene in memory and
//! hands it to this crate, which plans tiles within a memory budget, reads, computes and writes them side by side, and
//! tells the caller how far it is.
//!
//! ```text
//! Job ──> fuse ──> RasterScene ─┐                       ┌─> Writer (file, renamed when complete)
//!         fuse_scene ── Scene ──┴─> readers -> workers ─┴─> Sink (memory)
//! ```
#![deny(missing_docs)]

mod array_files;
mod context;
mod device;
mod job;
mod named_files;
mod pipeline;
mod report;
mod resampling;
mod spec;
mod support;
mod tile;
mod tiles;

#[cfg(feature = "gdal")]
mod assess;
#[cfg(feature = "gdal")]
mod compare;
#[cfg(feature = "gdal")]
mod fuse;
mod infer;
#[cfg(feature = "gdal")]
mod inspect;
#[cfg(feature = "gdal")]
mod on_demand;
mod weights;

#[cfg(feature = "gdal")]
pub use assess::{assess, AssessRequest, DatedImage};
#[cfg(feature = "gdal")]
pub use compare::{compare, CompareOptions, Comparison, Fold, FoldScores, LeftOut, MethodChoice, MethodScores, Problem};
pub use context::{installation, Context, ContextOptions, MemorySize, Progress};
pub use device::{devices, DeviceChoice};
#[cfg(feature = "gdal")]
pub use fuse::fuse;
pub use infer::{infer, infer_arrays, InferOptions, InferRequest, Inferred, NamedArray, WeightsSource};
#[cfg(feature = "gdal")]
pub use inspect::{describe_image, inspect, ImageDescription, Inspection};
pub use job::{Job, JOB_FORMAT};
pub use named_files::{check_written, with_contents, write_artefacts, Pending};
#[cfg(feature = "gdal")]
pub use on_demand::{Block, OnDemand, Part, Product, Resolution, Take};
pub use pipeline::{fuse_scene, MemorySink, SceneRequest, Sink};
pub use report::Report;
pub use resampling::{coarse_resampling, ChosenResampling};
pub use spec::{job_schema, spec};
pub use stfusion_nn::weights::metadata::Choice;
pub use support::SUPPORT_BANDS;
pub use weights::{describe_weights, WeightsDescription};

/// Number of the C ABI; the SONAME carries it. Raised by every incompatible change of the C interface.
pub const ABI: u32 = 0;

/// Version of the library.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
