//! Any bytes as an ONNX file: refused with a message that names the file, or read; then a graph for small images, or a refusal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stfusion_nn::onnx::{Extent, Model};

/// What extents that the file leaves open become.
const OPEN: usize = 8;

/// Larger graphs only cost time.
const MOST: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let model = match Model::from_bytes(bytes.to_vec(), "file") {
        Ok(model) => model,
        Err(error) => {
            assert!(error.message().starts_with("file: ") && error.hint().is_some(), "{error:?}");
            return;
        }
    };
    let shapes: Vec<(&str, Vec<usize>)> = model
        .inputs()
        .iter()
        .map(|input| {
            let extents = input.extents.iter().flatten();
            let shape = extents.map(|e| if let Extent::Fixed(n) = e { *n } else { OPEN }).collect();
            (input.name.as_str(), shape)
        })
        .collect();
    let shapes: Vec<(&str, &[usize])> = shapes.iter().map(|(name, shape)| (*name, shape.as_slice())).collect();
    match model.graph(&shapes) {
        Err(error) => assert!(error.message().starts_with("file: "), "{error:?}"),
        Ok(graph) => {
            let largest = graph.values().iter().map(|v| v.ty.shape.iter().fold(1_usize, |n, &d| n.saturating_mul(d))).max();
            assert_eq!(graph.outputs().len(), model.outputs().len());
            if largest.unwrap_or(0) <= MOST {
                assert!(graph.outputs().iter().all(|port| !graph.shape(port.value).contains(&0)));
            }
        }
    }
});
