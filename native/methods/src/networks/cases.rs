//! Small weights made of small numbers: for tests of everything around a network.

use stfusion_core::source::Resampling;
use stfusion_nn::weights::metadata::{Choice, CoarseGrid, Metadata, Tile};
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
        "rcan_fsdaf" => {
            conv("sub_mean", bands, bands, 1);
            conv("add_mean", bands, bands, 1);
            conv("head.0", 4, bands, 3);
            for layer in ["body.0.body.0.body.0", "body.0.body.0.body.2", "body.0.body.1", "body.1"] {
                conv(layer, 4, 4, 3);
            }
            conv("body.0.body.0.body.3.conv_du.0", 2, 4, 1);
            conv("body.0.body.0.body.3.conv_du.2", 4, 2, 1);
            conv("tail.0.0", 16, 4, 3);
            conv("tail.1", bands, 4, 3);
        }
        "diffstsf" => {
            // one level down and up, attention below, 32 features because they are normalised in 32 groups
            let mut put = |name: &str, shape: &[usize]| {
                all.push((format!("{name}.weight"), shape.to_vec()));
                all.push((format!("{name}.bias"), vec![shape[0]]));
            };
            put("time_embed.0", &[32, 32]);
            put("time_embed.2", &[32, 32]);
            for (image, of) in [("pan", 1), ("ms", bands), ("wfv", bands)] {
                put(&format!("input_blocks.0.{image}1"), &[2, of, 3, 3]);
                put(&format!("input_blocks.0.{image}2"), &[2, 2, 3, 3]);
                put(&format!("input_blocks.0.{image}3"), &[2, 2, 3, 3]);
            }
            put("input_blocks.0.xt", &[2, bands, 3, 3]);
            put("input_blocks.0.all_conv", &[32, 20, 3, 3]);
            let blocks = ["input_blocks.1.0", "input_blocks.3.0", "middle_block.0", "middle_block.2"].map(|name| (name, 32));
            let up = ["output_blocks.0.0", "output_blocks.1.0", "output_blocks.2.0", "output_blocks.3.0"].map(|name| (name, 64));
            for (block, of) in blocks.into_iter().chain(up) {
                put(&format!("{block}.in_layers.0"), &[of]);
                put(&format!("{block}.in_layers.2"), &[32, of, 1, 1]);
                put(&format!("{block}.emb_layers.1"), &[32, 32]);
                put(&format!("{block}.out_layers.0"), &[32]);
                put(&format!("{block}.out_layers.3"), &[32, 32, 1, 1]);
                if of > 32 {
                    put(&format!("{block}.skip_connection"), &[32, of, 1, 1]);
                }
            }
            put("input_blocks.2.0.op", &[32, 32, 3, 3]);
            put("output_blocks.1.1.conv", &[32, 32, 3, 3]);
            put("input_blocks.3.1.q", &[32, bands + 1, 1]);
            put("input_blocks.3.1.kv", &[64, 32, 1]);
            put("middle_block.1.qkv", &[96, 32, 1]);
            for attention in ["input_blocks.3.1", "middle_block.1"] {
                put(&format!("{attention}.norm"), &[32]);
                put(&format!("{attention}.proj_out"), &[32, 32, 1]);
            }
            put("input_blocks.3.1.norm1", &[32]);
            put("out.0", &[32]);
            put("out.2", &[2 * bands, 32, 3, 3]);
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

/// The weights file of a method for two bands; `None` for a network of which none is made.
pub fn weights(id: &str) -> Option<Vec<u8>> {
    let mut description = description();
    if id == "diffstsf" {
        description.options.insert("steps".into(), Choice::Count(2));
    }
    weights_with(id, 2, description)
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
    let network = if id == "rcan_fsdaf" { "rcan" } else { id };
    weights.set_metadata(Metadata { network: network.into(), ..description });
    if shapes.is_empty() {
        return None;
    }
    safetensors::to_bytes(&weights).ok()
}
