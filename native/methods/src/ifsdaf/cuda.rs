//! IFSDAF on a GPU: the kernel of `cuda/methods/ifsdaf.cu` and those of blocks. Changes of classes and weights of increments are those that
//! the CPU found for the scene; everything of a tile is computed on the device.

use stfusion_core::device::{Arg, Buffer, Kernel, Queue};
use stfusion_core::method::{DeviceTiles, TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::cpu::Job;
use crate::blocks::on_device::buffer_of;
use crate::blocks::similar_changes::cuda::{self as similar, Marks, PairFacts};
use crate::blocks::spatial_prediction::cuda as spatial;

/// What is kept of a pair.
struct OfPair<'a> {
    class_changes: Buffer,
    temporal_weights: Buffer,
    spatial: spatial::OnDevice<'a>,
}

struct OnDevice<'a> {
    job: &'a Job,
    similar: similar::OnDevice<'a>,
    pairs: Vec<similar::Pair<OfPair<'a>>>,
}

/// Puts `job` on the device of `queue`.
///
/// # Errors
/// Those of the device.
pub fn on_device<'a>(job: &'a Job, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
    let mut pairs = Vec::new();
    for pair in &job.pairs {
        let model = &pair.model;
        let own = OfPair {
            class_changes: buffer_of(queue, model.class_changes.values())?,
            temporal_weights: buffer_of(queue, &model.temporal_weights.iter().copied().collect::<Vec<_>>())?,
            spatial: spatial::OnDevice::new(&model.spatial, &job.similar.grid, queue)?,
        };
        let facts = PairFacts {
            classes: &model.classes,
            coarse_changes: &model.coarse_changes,
            tolerances: Some(&model.tolerances),
            marks: Marks::OfCells(model.class_changes.marks()),
        };
        pairs.push(similar::Pair::new(&job.similar, pair, facts, own, queue)?);
    }
    Ok(Box::new(OnDevice { job, similar: similar::OnDevice::new(&job.similar, job.homogeneity_half, queue)?, pairs }))
}

impl DeviceTiles for OnDevice<'_> {
    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, queue: &mut dyn Queue, exec: &Exec<'_>) -> Result<()> {
        let rule = self.job.residuals.on_device();
        self.similar.run(&self.pairs, (tile, out), queue, exec, |queue, pair| {
            let spatial = pair.own.spatial.predict(queue, &pair.cells)?;
            queue.launch(
                Kernel { module: "methods/ifsdaf", function: "ifsdaf_changes" },
                pair.cells.over_cells(),
                &[
                    Arg::Buffer(pair.fine),
                    Arg::Buffer(pair.homogeneity),
                    Arg::Buffer(&spatial),
                    Arg::Buffer(&pair.own.class_changes),
                    Arg::Buffer(&pair.own.temporal_weights),
                    Arg::Buffer(pair.coarse_changes),
                    Arg::Buffer(pair.changes),
                    Arg::Bytes(bytemuck::bytes_of(&pair.cells)),
                    Arg::Bytes(bytemuck::bytes_of(&rule)),
                    Arg::Int(pair.classes),
                ],
            )
        })
    }
}
