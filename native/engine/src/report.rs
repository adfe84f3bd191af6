//! What a run did, for the caller, the log and the provenance.

use serde::Serialize;
use stfusion_core::method::Artefact;

/// What a run did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Id of the method.
    pub method: String,
    /// Device that computed: `cpu`, or GPUs by number and name.
    pub device: String,
    /// Files written.
    pub files: Vec<String>,
    /// Number of bands.
    pub bands: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// Part (0..1) of the samples that were predicted.
    pub predicted_fraction: f64,
    /// Values that the method derived from the data.
    pub derived: Vec<(String, String)>,
    /// What the method handed out for files that the job wants written; whoever called writes them.
    #[serde(skip)]
    pub artefacts: Vec<Artefact>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Side of the tiles in fine pixels.
    pub tile_px: usize,
    /// Threads that computed.
    pub threads: usize,
    /// Estimated memory of the run in bytes.
    pub memory_bytes: u64,
    /// Wall-clock seconds.
    pub seconds: f64,
}
