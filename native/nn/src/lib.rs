//! Networks: a graph of operators with checked shapes, its execution on the CPU, and the published fusion networks.
//!
//! A network is written with the [`builder`], which takes its parameters from a weights file by their published names and yields a
//! [`graph::Graph`]: operators as data, every shape known. [`cpu::Program`] runs a graph; [`mod@reference`] runs it slowly and literally
//! in `f32` or `f64`, which is what the fast kernels are held against. [`zoo`] holds one file per published network.
//!
//! Arrays are row-major; images are `(batch, channel, row, column)`.

pub mod builder;
pub mod cpu;
pub mod graph;
pub mod inspection;
pub mod onnx;
pub mod ops;
pub mod reference;
pub mod sampler;
pub mod tensor;
pub mod weights;
pub mod zoo;

pub use builder::{Builder, Scope, Tensors, Var};
pub use graph::{Graph, Type};
pub use ops::Op;
pub use tensor::{DType, Data, Tensor};
pub use weights::Weights;
