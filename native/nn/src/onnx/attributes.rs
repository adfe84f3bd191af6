//! Attributes of a node, by name and kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::import::MOST_EXTENT;
use crate::tensor::Tensor;

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// A number.
    Float(f32),
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
    /// A tensor.
    Tensor(Arc<Tensor>),
    /// Numbers.
    Floats(Vec<f32>),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// Texts.
    Texts(Vec<String>),
}

impl Attribute {
    fn kind(&self) -> &'static str {
        match self {
            Attribute::Float(_) => "a number",
            Attribute::Int(_) => "a whole number",
            Attribute::Text(_) => "a text",
            Attribute::Tensor(_) => "a tensor",
            Attribute::Floats(_) => "a list of numbers",
            Attribute::Ints(_) => "a list of whole numbers",
            Attribute::Texts(_) => "a list of texts",
        }
    }
}

/// All attributes of a node. Messages are to be completed with the node's name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes(pub(crate) BTreeMap<String, Attribute>);

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $expected:literal, $ty:ty, $value:ident => $out:expr) => {
        $(#[$doc])*
        pub fn $name(&self, name: &str) -> Result<Option<$ty>, String> {
            match self.0.get(name) {
                None => Ok(None),
                Some(Attribute::$variant($value)) => Ok(Some($out)),
                Some(other) => Err(format!("its attribute {name} is {}, not {}", other.kind(), $expected)),
            }
        }
    };
}

impl Attributes {
    getter! {
        /// The whole number `name`.
        int, Int, "a whole number", i64, v => *v
    }
    getter! {
        /// The number `name`.
        float, Float, "a number", f32, v => *v
    }
    getter! {
        /// The text `name`.
        text, Text, "a text", &str, v => v.as_str()
    }
    getter! {
        /// The tensor `name`.
        tensor, Tensor, "a tensor", &Arc<Tensor>, v => v
    }
    getter! {
        /// The whole numbers `name`.
        ints, Ints, "a list of whole numbers", &[i64], v => v.as_slice()
    }
    getter! {
        /// The numbers `name`.
        floats, Floats, "a list of numbers", &[f32], v => v.as_slice()
    }
    getter! {
        /// The texts `name`.
        texts, Texts, "a list of texts", &[String], v => v.as_slice()
    }

    /// The whole number `name` as a truth value; `default` when it is absent.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, String> {
        Ok(self.int(name)?.map_or(default, |v| v != 0))
    }

    /// The whole numbers `name`, none negative or beyond any extent; `None` when they are absent.
    pub fn counts(&self, name: &str) -> Result<Option<Vec<usize>>, String> {
        let Some(ints) = self.ints(name)? else { return Ok(None) };
        let counts: Option<Vec<usize>> = ints.iter().map(|&v| usize::try_from(v).ok().filter(|&v| v <= MOST_EXTENT)).collect();
        counts.map(Some).ok_or_else(|| format!("its attribute {name} is {ints:?}; 0 to {MOST_EXTENT} are possible"))
    }
}
