//! GPUs: which there are, and the [`Device`](stfusion_core::device::Device) and [`Queue`](stfusion_core::device::Queue) of each, over the driver of CUDA.
//!
//! ```text
//! discover ──> Device ──queue──> Queue: buffers from a pool, copies through pinned memory, launches of checked arguments
//!                └─ modules: embedded PTX, compiled by the driver when a kernel is first used
//! ```
//!
//! The driver is looked for when [`discover`] is called; nothing links to it. Without the feature `cuda` there are no devices, and [`discover`] says so.
#![deny(missing_docs)]

mod discovery;
pub mod modules;

#[cfg(feature = "cuda")]
mod cuda;

pub use discovery::{discover, discover_with, too_old, Discovery, Missing, DRIVER_NEEDED};
