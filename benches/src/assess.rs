//! The cost of scores: blocks in memory, one thread.

use ndarray::Array3;
use serde_json::json;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::metrics::{Assessor, Block, HALO};
use stfusion_core::Region;

use crate::clock::fastest;
use crate::images::{RepeatedScene, BANDS};
use crate::record::Section;
use crate::Failure;

/// Side of the blocks.
const BLOCK_PX: usize = 512;

/// The table of `stfusion-bench assess`.
pub fn section(side: usize, repeat: usize) -> Result<Section, Failure> {
    let mut section = Section::new(
        "assess",
        format!("{side} x {side} x {BANDS} in blocks of {BLOCK_PX}, one thread, fastest of {repeat} runs; cpu in seconds"),
    );
    let scene = RepeatedScene::new(side, side, 2);
    let read = |layer| -> Result<Array3<f32>, Failure> {
        let mut image = Array3::from_elem((BANDS, side, side), f32::NAN);
        scene.read(layer, Region::whole(side, side), image.view_mut())?;
        Ok(image)
    };
    let (truth, prediction, other) = (read(Layer::Fine(0))?, read(Layer::Fine(1))?, read(Layer::Coarse(0))?);
    for baselines in [0, 3] {
        let run = || -> Result<(), Failure> {
            let mut total = Assessor::new(BANDS, baselines, 1.0)?;
            for region in Region::whole(side, side).blocks(BLOCK_PX, BLOCK_PX) {
                let padded = region.grown(HALO, side, side);
                let window = ndarray::s![.., padded.row..padded.row + padded.rows, padded.col..padded.col + padded.cols];
                total.add(&Block {
                    region,
                    padded,
                    prediction: prediction.slice(window),
                    truth: truth.slice(window),
                    baselines: vec![other.slice(window); baselines],
                })?;
            }
            std::hint::black_box(total.finish(&[], &[], None));
            Ok(())
        };
        let ((), seconds) = fastest(repeat, run)?;
        let samples = (side * side * BANDS) as f64;
        section.row(json!({ "baselines": baselines, "cpu": seconds.cpu, "ns_per_sample": seconds.cpu * 1e9 / samples }));
    }
    Ok(section)
}
