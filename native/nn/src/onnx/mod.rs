//! Networks of other authors: ONNX files become graphs of this crate's operators.
//!
//! ```text
//! file ──> Model: read, checked ──at the shapes of the inputs──> Graph: executed like any network of the zoo
//! ```
//!
//! [`Model`] is checked as far as can be without sizes: that every value is defined, that operators do not wait for each other, that
//! extents and bytes of weights agree, that every operator can be run. [`Model::graph`] then goes through the operators once. At
//! concrete shapes the arithmetic with which exporters compute shapes is arithmetic with known numbers: it is done on the spot, and
//! only what depends on images becomes part of the graph.
//!
//! Read are versions 13 to 18 of the operator set, and files that hold their weights themselves.

mod attributes;
mod import;
mod model;
mod operators;
mod proto;
#[cfg(test)]
mod tests;

pub use model::{Extent, Input, Model, OPSETS};
