//! Reference cases: safetensors files, the bit-exact recipe of weights and inputs, and the comparison with a tolerance.
#![allow(dead_code)] // every test file uses its part

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;
use stfusion_nn::reference::{Array, Values};
use stfusion_nn::{Data, Tensor};

/// The folder of reference cases, when it is there; `test` names who does without it.
pub fn golden(folder: &str, test: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    println!("SKIP {test}: ../shared/golden is not there");
    None
}

/// Every tensor of a file.
pub fn tensors(path: &PathBuf) -> BTreeMap<String, Arc<Tensor>> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let read = |(name, view): (String, safetensors::tensor::TensorView)| {
        let words = view.data();
        let data = match view.dtype() {
            Dtype::F32 => Data::F32(words.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()),
            Dtype::F64 => Data::F32(words.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap()) as f32).collect()),
            Dtype::I64 => Data::I64(words.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()),
            Dtype::BOOL => Data::Bool(words.iter().map(|&b| b != 0).collect()),
            other => panic!("{name} is {other:?}"),
        };
        (name, Arc::new(Tensor::new(view.shape(), data).unwrap()))
    };
    file.tensors().into_iter().map(read).collect()
}

/// A JSON file.
pub fn json(path: &PathBuf) -> Json {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The tensor `name` of the recipe with this seed: `add + scale t`, t between -1 and 1.
pub fn recipe(name: &str, seed: u64, shape: &[usize], add: f32, scale: f32) -> Tensor {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, c| (h ^ u64::from(c)).wrapping_mul(0x100_0000_01b3));
    let key = hash ^ seed.wrapping_mul(GOLDEN);
    let value = |i: u64| {
        let z = key.wrapping_add((i + 1).wrapping_mul(GOLDEN));
        let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ z >> 31;
        let u = (z >> 40) as f32 / (1 << 24) as f32;
        add + scale * (2.0 * u - 1.0)
    };
    let n: usize = shape.iter().product();
    Tensor::from_f32(shape, (0..n as u64).map(value).collect()).unwrap()
}

/// A shape in JSON.
pub fn shape(json: &Json) -> Vec<usize> {
    json.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

/// Values of any type, as numbers.
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    match tensor.data() {
        Data::F32(v) => v.iter().map(|&v| v.into()).collect(),
        Data::I64(v) => v.iter().map(|&v| v as f64).collect(),
        Data::Bool(v) => v.iter().map(|&v| f64::from(u8::from(v))).collect(),
    }
}

/// Values of any type, as numbers.
pub fn array_numbers<T: stfusion_nn::reference::Real>(array: &Array<T>) -> Vec<f64> {
    match &array.values {
        Values::Real(v) => v.iter().map(|v| v.wide()).collect(),
        Values::I64(v) => v.iter().map(|&v| v as f64).collect(),
        Values::Bool(v) => v.iter().map(|&v| f64::from(u8::from(v))).collect(),
    }
}

/// What is wrong with `got`, which should be `expected` within `atol + rtol |expected|`; else the largest difference.
pub fn compare(got: &[f64], expected: &[f64], atol: f64, rtol: f64) -> Result<f64, String> {
    if got.len() != expected.len() {
        return Err(format!("{} values instead of {}", got.len(), expected.len()));
    }
    let mut largest = 0.0f64;
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let difference = (g - e).abs();
        if difference.is_nan() || difference > atol + rtol * e.abs() {
            return Err(format!("element {i} is {g}, not {e} (tolerance {atol:e} + {rtol:e} of it)"));
        }
        largest = largest.max(difference);
    }
    Ok(largest)
}
