//! Weights: named tensors read from a file or from memory, and what the file says about the network they belong to.
//!
//! ```text
//! bytes ──header──> names, formats, shapes, places ──checked──> values, one tensor after the other ──> Weights
//!           └─ `stfusion` ──> Metadata ──with what was published about the network──> what a method needs
//! ```
//!
//! The file format is safetensors: eight bytes that say how long the header is, a header in JSON, then nothing but numbers.
//! Nothing in it can run, and nothing is allocated that the file does not hold.
//! Everything is checked before the first value is read ([`safetensors`]); values that are not finite are refused.

pub mod dtype;
pub mod metadata;
pub mod published;
pub mod safetensors;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use stfusion_core::Result;

use crate::builder::Tensors;
use crate::tensor::Tensor;

pub use dtype::Dtype;
pub use metadata::Metadata;

/// One tensor of a weights file: floating-point numbers are `f32`, integers `i64`, whatever they were stored in.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// The format it was stored in.
    pub stored: Dtype,
    /// Its shape and values.
    pub tensor: Arc<Tensor>,
}

impl Weight {
    /// A tensor that will be stored as it is.
    pub fn new(tensor: Tensor) -> Self {
        Weight { stored: Dtype::of(tensor.dtype()), tensor: Arc::new(tensor) }
    }
}

/// All tensors of a network by their published names, with what the file says about them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Weight>,
    metadata: Option<Metadata>,
    remarks: BTreeMap<String, String>,
    origin: String,
}

impl Weights {
    /// No tensors yet; messages will call them `origin`.
    pub fn new(origin: impl Into<String>) -> Self {
        Weights { origin: origin.into(), ..Weights::default() }
    }

    /// Reads a safetensors file.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Read`] naming the file, the tensor and what is wrong when it cannot be read or is not such a file,
    /// [`stfusion_core::ErrorKind::Data`] when values are not finite, [`stfusion_core::ErrorKind::Unsupported`] for formats that cannot be used.
    pub fn read(path: &Path) -> Result<Self> {
        safetensors::read(path)
    }

    /// Reads a safetensors file that lies in memory; messages call it `origin`.
    ///
    /// # Errors
    /// As [`Weights::read`].
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<Self> {
        safetensors::from_bytes(bytes, origin)
    }

    /// Writes a safetensors file. It appears under its name when it is complete; an existing one is replaced.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Write`] naming the file and the reason.
    pub fn write(&self, path: &Path) -> Result<()> {
        safetensors::write(self, path)
    }

    /// Adds a tensor, replacing one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, weight: Weight) {
        self.tensors.insert(name.into(), weight);
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Weight> {
        self.tensors.get(name)
    }

    /// All tensors, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Weight)> {
        self.tensors.iter().map(|(name, weight)| (name.as_str(), weight))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Number of floating-point numbers in all tensors: the network's parameters and running statistics.
    pub fn parameters(&self) -> usize {
        self.tensors.values().filter_map(|w| w.tensor.f32s()).map(<[f32]>::len).sum()
    }

    /// What the file says about the network; `None` when it says nothing, as files that other programs wrote.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Sets what is said about the network.
    pub fn set_metadata(&mut self, metadata: Metadata) {
        self.metadata = Some(metadata);
    }

    /// Other texts of the header, by their keys.
    pub fn remarks(&self) -> &BTreeMap<String, String> {
        &self.remarks
    }

    /// The file's name, or what the caller called the bytes.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl Tensors for Weights {
    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn tensor(&self, name: &str) -> Option<Arc<Tensor>> {
        self.tensors.get(name).map(|weight| Arc::clone(&weight.tensor))
    }
}
