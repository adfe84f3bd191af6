//! Operators, one file per family. Each file holds the attributes, the rule for the shapes of the results, and a short literal
//! reference that is generic over the precision; the fast kernels are in [`crate::cpu`].
//!
//! Attributes are plain data. The module of a family says what the gradient of its operators needs of the forward run, so that a
//! training executor knows what to keep.

use crate::graph::Type;
use crate::reference::{Array, Real};

mod activation;
mod convolution;
mod elementwise;
mod indexing;
mod layout;
mod matmul;
mod normalisation;
mod pad;
mod pooling;
mod recurrent;
mod reduction;
mod resize;
mod sampling;
mod softmax;

#[cfg(test)]
pub(crate) use activation::erf;
pub use activation::Activation;
pub use convolution::{Convolution, DeformableConvolution, TransposedConvolution};
pub use elementwise::{broadcast, Binary, Cast, Comparison, Select, Unary};
pub(crate) use elementwise::{broadcast_positions, broadcast_strides};
pub use indexing::{Gather, GatherElements, ScatterElements, ScatterNd};
pub use layout::{Concat, Expand, Flip, Fold, PixelShuffle, PixelUnshuffle, Reshape, Roll, Slice, Transpose, Unfold};
pub use matmul::{Linear, MatMul};
pub use normalisation::{BatchNorm, GroupNorm, LayerNorm};
pub use pad::{Pad, PadMode};
pub(crate) use pooling::share;
pub use pooling::{AdaptivePool, Pool, PoolKind};
pub use recurrent::{Cell, Recurrent};
pub use reduction::{ArgMax, Cumulative, Reduce, Reduction};
pub use resize::{Coordinates, Resize, Resizing, Rounding};
pub use sampling::{Border, GridSample};
pub use softmax::Softmax;

/// The types of an operator's results, or why it cannot take its operands.
pub type Rule = Result<Vec<Type>, String>;

/// What every operator knows of itself.
pub trait Operator {
    /// Name in messages and tables.
    fn name(&self) -> &'static str;

    /// The types of the results.
    ///
    /// # Errors
    /// What is wrong with the operands, in words that continue "… cannot take SHAPES:".
    fn outputs(&self, inputs: &[&Type]) -> Rule;

    /// The results, computed literally. The operands are as [`Operator::outputs`] accepts them.
    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>>;

    /// Multiplications with addition, of operators whose cost they are.
    fn multiply_adds(&self, _inputs: &[&Type], _output: &Type) -> u64 {
        0
    }
}

/// Lists the operators once: the enum and what dispatches over it.
macro_rules! operators {
    ($($(#[$doc:meta])* $name:ident $family:literal),* $(,)?) => {
        /// An operator with its attributes.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Op {
            $($(#[$doc])* $name($name)),*
        }

        impl Op {
            /// Name in messages and tables.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$name(op) => op.name()),* }
            }

            /// The family that timings are told by.
            pub fn family(&self) -> &'static str {
                match self { $(Op::$name(_) => $family),* }
            }

            /// The types of the results.
            ///
            /// # Errors
            /// What is wrong with the operands.
            pub fn outputs(&self, inputs: &[&Type]) -> Rule {
                match self { $(Op::$name(op) => op.outputs(inputs)),* }
            }

            /// The results, computed literally.
            pub fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
                match self { $(Op::$name(op) => op.reference(inputs)),* }
            }

            /// Multiplications with addition, of operators whose cost they are.
            pub fn multiply_adds(&self, inputs: &[&Type], output: &Type) -> u64 {
                match self { $(Op::$name(op) => op.multiply_adds(inputs, output)),* }
            }
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Op {
                Op::$name(op)
            }
        })*
    };
}

operators! {
    /// Correlation with a kernel.
    Convolution "convolution",
    /// The transpose of a convolution.
    TransposedConvolution "convolution",
    /// A convolution whose taps move.
    DeformableConvolution "convolution",
    /// Product of matrices.
    MatMul "matmul",
    /// `x Wᵀ + b`.
    Linear "matmul",
    /// A function of each element.
    Unary "elementwise",
    /// A nonlinearity of each element.
    Activation "activation",
    /// A function of two elements.
    Binary "elementwise",
    /// A truth value of two elements.
    Comparison "elementwise",
    /// One of two elements.
    Select "elementwise",
    /// Another type of element.
    Cast "elementwise",
    /// Normalisation with given statistics.
    BatchNorm "normalisation",
    /// Normalisation over the last axes.
    LayerNorm "normalisation",
    /// Normalisation over groups of channels.
    GroupNorm "normalisation",
    /// Softmax along an axis.
    Softmax "softmax",
    /// Maximum or mean of windows.
    Pool "pooling",
    /// Maximum or mean of windows that share out the image.
    AdaptivePool "pooling",
    /// Another size of image.
    Resize "resize",
    /// More or fewer elements at the edges.
    Pad "pad",
    /// The same elements in another shape.
    Reshape "layout",
    /// Axes in another order.
    Transpose "layout",
    /// Operands one after the other.
    Concat "layout",
    /// Every n-th element of a range.
    Slice "layout",
    /// Elements moved around an axis.
    Roll "layout",
    /// Elements in reverse.
    Flip "layout",
    /// Axes of length one repeated.
    Expand "layout",
    /// Channels to pixels.
    PixelShuffle "layout",
    /// Pixels to channels.
    PixelUnshuffle "layout",
    /// Windows as columns.
    Unfold "layout",
    /// Columns summed into windows.
    Fold "layout",
    /// Slices at given indices.
    Gather "indexing",
    /// Elements at given indices.
    GatherElements "indexing",
    /// Elements put at given indices.
    ScatterElements "indexing",
    /// Slices put at given indices.
    ScatterNd "indexing",
    /// Samples at given places.
    GridSample "sampling",
    /// Sums, means and the like over axes.
    Reduce "reduction",
    /// The index of the largest element.
    ArgMax "reduction",
    /// Running sums and products.
    Cumulative "reduction",
    /// LSTM and GRU over a sequence.
    Recurrent "recurrent",
}

/// Fails unless the number of operands is among `counts`.
pub(crate) fn operands(inputs: &[&Type], counts: std::ops::RangeInclusive<usize>) -> Result<(), String> {
    if counts.contains(&inputs.len()) {
        return Ok(());
    }
    let expected = if counts.start() == counts.end() {
        counts.start().to_string()
    } else {
        format!("{} to {}", counts.start(), counts.end())
    };
    Err(format!("{} operands were given, {expected} are needed", inputs.len()))
}

/// Fails unless all operands are `f32`.
pub(crate) fn real(inputs: &[&Type]) -> Result<(), String> {
    match inputs.iter().find(|t| t.dtype != crate::DType::F32) {
        None => Ok(()),
        Some(t) => Err(format!("operands must be f32, not {}", t.dtype)),
    }
}

/// Fails unless `what` is the shape `expected`.
pub(crate) fn shaped(what: &str, ty: &Type, expected: &[usize]) -> Result<(), String> {
    if ty.shape == expected {
        return Ok(());
    }
    Err(format!("the {what} is {}, but {} is needed", crate::tensor::Shape(&ty.shape), crate::tensor::Shape(expected)))
}

/// Fails unless there is one real operand, which has the axis.
pub(crate) fn along_axis(inputs: &[&Type], axis: usize) -> Result<(), String> {
    operands(inputs, 1..=1)?;
    real(inputs)?;
    axis_of(axis, inputs[0].shape.len()).map(|_| ())
}

/// `axis`, when a value of `axes` axes has it.
pub(crate) fn axis_of(axis: usize, axes: usize) -> Result<usize, String> {
    if axis < axes {
        Ok(axis)
    } else {
        Err(format!("there is no axis {axis}"))
    }
}
