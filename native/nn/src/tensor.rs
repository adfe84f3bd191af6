//! Arrays in memory: a shape and its values in row-major order.

use std::fmt;

use stfusion_core::{Error, ErrorKind, Result};

/// What the values of a tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// Single precision.
    F32,
    /// Integers: indices and the arithmetic of shapes.
    I64,
    /// Truth values: masks.
    Bool,
}

impl DType {
    /// Bytes of one value.
    pub fn bytes(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::I64 => 8,
            DType::Bool => 1,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::I64 => "i64",
            DType::Bool => "bool",
        })
    }
}

/// Values, all of one type.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Single precision.
    F32(Vec<f32>),
    /// Integers.
    I64(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
}

impl Data {
    /// The type of the values.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::I64(_) => DType::I64,
            Data::Bool(_) => DType::Bool,
        }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::I64(v) => v.len(),
            Data::Bool(v) => v.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A contiguous array. A tensor without axes holds one value.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// A tensor of `shape`.
    ///
    /// # Errors
    /// `data` does not hold the product of `shape` many values.
    pub fn new(shape: &[usize], data: Data) -> Result<Self> {
        let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if count != Some(data.len()) {
            let message = format!("A tensor of shape {} cannot hold {} values", Shape(shape), data.len());
            return Err(Error::new(ErrorKind::Data, message));
        }
        Ok(Tensor { shape: shape.to_vec(), data })
    }

    /// A tensor of `f32`.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn from_f32(shape: &[usize], values: Vec<f32>) -> Result<Self> {
        Self::new(shape, Data::F32(values))
    }

    /// A tensor of `i64`.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn from_i64(shape: &[usize], values: Vec<i64>) -> Result<Self> {
        Self::new(shape, Data::I64(values))
    }

    /// One value without axes.
    pub fn scalar(value: f32) -> Self {
        Tensor { shape: Vec::new(), data: Data::F32(vec![value]) }
    }

    /// `shape` filled with zeros (false for truth values).
    pub fn zeros(shape: &[usize], dtype: DType) -> Self {
        let n = shape.iter().product();
        let data = match dtype {
            DType::F32 => Data::F32(vec![0.0; n]),
            DType::I64 => Data::I64(vec![0; n]),
            DType::Bool => Data::Bool(vec![false; n]),
        };
        Tensor { shape: shape.to_vec(), data }
    }

    /// Length of every axis, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What the values are.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// The values, in row-major order.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The values, in row-major order.
    pub fn into_data(self) -> Data {
        self.data
    }

    /// The values, when they are `f32`.
    pub fn f32s(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(v) => Some(v),
            _ => None,
        }
    }

    /// The values, when they are `i64`.
    pub fn i64s(&self) -> Option<&[i64]> {
        match &self.data {
            Data::I64(v) => Some(v),
            _ => None,
        }
    }
}

/// Writes a shape as `[2, 3]`.
pub(crate) struct Shape<'a>(pub &'a [usize]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_holds_what_its_shape_says() {
        let t = Tensor::from_f32(&[2, 3], vec![0.0; 6]).unwrap();
        assert_eq!((t.shape(), t.dtype(), t.data().len()), (&[2, 3][..], DType::F32, 6));
        let e = Tensor::from_i64(&[2, 3], vec![0; 5]).unwrap_err();
        assert_eq!(e.message(), "A tensor of shape [2, 3] cannot hold 5 values");
        assert!(Tensor::from_i64(&[usize::MAX, 2], vec![]).is_err());
    }
}
