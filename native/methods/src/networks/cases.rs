//! Small weights made of small numbers: for tests of everything around a network.

use stfusion_core::source::Resampling;
use stfusion_nn::weights::metadata::{CoarseGrid, Metadata, Tile};
use stfusion_nn::weights::{safetensors, Weight, Weights};
use stfusion_nn::Tensor;

/// Names and shapes of the tensors of a network for so many bands.
fn shapes(id: &str, bands: usize) -> Vec<(String, Vec<usize>)> {
    let mut all = Vec::new();
    let mut conv = |layer: &str, out: usize, of: usize, kernel: usize| {
        all.push((format!("{layer}.weight"), vec![out, of, kernel, kernel]));
        all.push((format!("{layer}.bias"), vec![out]));
    };
    match id {
        "edcstfn" => {
            for (part, first, widths) in
                [("encoder", bands, [3, 4, 4]), ("residual", 3 * bands, [3, 5, 4]), ("decoder", 4, [4, 3, 0])]
            {
                let mut of = first;
                for (i, out) in widths.into_iter().enumerate().filter(|(_, out)| *out > 0) {
                    conv(&format!("{part}.{}.1", 2 * i), out, of, 3);
                    of = out;
                }
            }
            conv("decoder.4", bands, 3, 1);
        }
        "stfnet" => {
            for direction in ["net.DCNN_mapping_1", "net.DCNN_mapping_2"] {
                conv(&format!("{direction}.feature_extraction_layer.0"), 4, 2 * bands, 9);
                conv(&format!("{direction}.nonlinear_mapping_layer.0"), 3, 4, 5);
                conv(&format!("{direction}.reconstruction_layer.0"), bands, 3, 5);
            }
        }
        "stfdcnn" => {
            for stage in ["model_stage_1", "model_stage_2"] {
                conv(&format!("{stage}.feature_extraction_layer.0"), 4, bands, 9);
                conv(&format!("{stage}.nonlinear_mapping_layer.0"), 3, 4, 5);
                conv(&format!("{stage}.reconstruction_layer.0"), bands, 3, 5);
            }
        }
        "densestf" => {
            let mut normalised = |layer: &str, out: usize, of: usize, kernel: usize| {
                all.push((format!("{layer}.kernel"), vec![out, of, kernel, kernel]));
                all.extend(["wn_g", "bias"].map(|name| (format!("{layer}.{name}"), vec![out])));
            };
            normalised("input_conv3x3", 2, 3 * bands, 3);
            normalised("input_conv7x7", 1, 3 * bands, 7);
            normalised("blocks.0.layers.0.conv1", 4, 3, 3);
            normalised("blocks.0.layers.0.conv3", 2, 4, 3);
            normalised("trans.0", 3, 5, 1);
            normalised("final_block.layers.0.conv1", 4, 3, 3);
            normalised("final_block.layers.0.conv3", 2, 4, 3);
            normalised("fc1", bands, 5, 4);
        }
        _ => {}
    }
    all
}

/// What the weights of tests say about their network: patches smaller than the images of tests.
pub fn description() -> Metadata {
    Metadata {
        coarse: Some(CoarseGrid::Fine { resampling: Resampling::Bilinear }),
        tile: Tile { size: Some(16), overlap: Some(8), multiple: Some(4), ..Tile::default() },
        licence: "CC0-1.0".into(),
        ..Metadata::default()
    }
}

/// The weights file of a network for two bands; `None` for a network of which none is made.
pub fn weights(id: &str) -> Option<Vec<u8>> {
    weights_with(id, 2, description())
}

/// As [`weights`], for so many bands and with another description.
pub fn weights_with(id: &str, bands: usize, description: Metadata) -> Option<Vec<u8>> {
    let shapes = shapes(id, bands);
    let mut weights = Weights::new("weights made for tests");
    let mut state = 1u64;
    for (name, shape) in &shapes {
        let count: usize = shape.iter().product();
        let fan = (count / shape[0]).max(1) as f32;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.4) * 1.5 / fan.sqrt()
        };
        let values: Vec<f32> = (0..count).map(|_| next()).collect();
        weights.insert(name.clone(), Weight::new(Tensor::from_f32(shape, values).ok()?));
    }
    weights.set_metadata(Metadata { network: id.into(), ..description });
    if shapes.is_empty() {
        return None;
    }
    safetensors::to_bytes(&weights).ok()
}
