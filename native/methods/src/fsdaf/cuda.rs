//! FSDAF on a GPU: the kernel of `cuda/methods/fsdaf.cu` and those of blocks. Changes of classes and residuals of cells are those that the
//! CPU found for the scene; everything of a tile is computed on the device.

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::{Arg, Buffer, Kernel, Queue};
use stfusion_core::method::{DeviceTiles, TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::cpu::Job;
use crate::blocks::on_device::buffer_of;
use crate::blocks::similar_changes::cuda::{self as similar, Marks, PairFacts};
use crate::blocks::spatial_prediction::cuda as spatial;

/// `FsdafBand` of the kernel.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Band {
    least: f64,
    most: f64,
    low: f32,
    high: f32,
}

/// What is kept of a pair.
struct OfPair {
    class_changes: Buffer,
    residuals: Buffer,
    bands: Buffer,
}

struct OnDevice<'a> {
    job: &'a Job,
    similar: similar::OnDevice<'a>,
    spatial: spatial::OnDevice<'a>,
    pairs: Vec<similar::Pair<OfPair>>,
}

/// Puts `job` on the device of `queue`.
///
/// # Errors
/// Those of the device.
pub fn on_device<'a>(job: &'a Job, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
    let mut pairs = Vec::new();
    for pair in &job.pairs {
        let model = &pair.model;
        let bands = model.limits.iter().zip(&model.extremes);
        let bands = bands.map(|(&(least, most), &(low, high))| Band { least, most, low, high });
        let own = OfPair {
            class_changes: buffer_of(queue, &model.class_changes.concat())?,
            residuals: buffer_of(queue, &model.residuals.iter().copied().collect::<Vec<_>>())?,
            bands: buffer_of(queue, &bands.collect::<Vec<_>>())?,
        };
        let facts = PairFacts {
            classes: &model.classes,
            coarse_changes: &model.coarse_changes,
            tolerances: Some(&model.tolerances),
            marks: Marks::OfClasses(&model.troubles),
        };
        pairs.push(similar::Pair::new(&job.similar, pair, facts, own, queue)?);
    }
    Ok(Box::new(OnDevice {
        job,
        similar: similar::OnDevice::new(&job.similar, job.homogeneity_half, queue)?,
        spatial: spatial::OnDevice::new(&job.spatial, &job.similar.grid, queue)?,
        pairs,
    }))
}

impl DeviceTiles for OnDevice<'_> {
    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, queue: &mut dyn Queue, exec: &Exec<'_>) -> Result<()> {
        let spatial = self.spatial.predict(queue, &self.similar.cells(tile))?;
        let rule = self.job.residuals.on_device();
        self.similar.run(&self.pairs, (tile, out), queue, exec, |queue, pair| {
            queue.launch(
                Kernel { module: "methods/fsdaf", function: "fsdaf_changes" },
                pair.cells.over_cells(),
                &[
                    Arg::Buffer(pair.fine),
                    Arg::Buffer(pair.homogeneity),
                    Arg::Buffer(&spatial),
                    Arg::Buffer(&pair.own.class_changes),
                    Arg::Buffer(&pair.own.residuals),
                    Arg::Buffer(&pair.own.bands),
                    Arg::Buffer(pair.changes),
                    Arg::Bytes(bytemuck::bytes_of(&pair.cells)),
                    Arg::Bytes(bytemuck::bytes_of(&rule)),
                    Arg::Int(pair.classes),
                ],
            )
        })
    }
}
