//! SFSDAF on a GPU: the kernels of `cuda/methods/sfsdaf.cu` and those of blocks. Classes, their values and changes, and the change of the
//! fractions of cells are those that the CPU found for the scene; everything of a tile is computed on the device.

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::{Arg, Buffer, Kernel, Queue};
use stfusion_core::method::{DeviceTiles, TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::cpu::Job;
use crate::blocks::cells_of_tile::CellsOfTile;
use crate::blocks::nearest::cuda::{self as nearest, PlaneRule};
use crate::blocks::on_device::{buffer_of, over_pixels, room_for, threads_sharing, THREADS};
use crate::blocks::similar_changes::cuda::{self as similar, Marks, PairFacts, PairOfTile};
use crate::blocks::similar_changes::inside;
use crate::blocks::spatial_prediction::cuda as spatial;

/// `SfsdafClasses` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Classes {
    unit: f64,
    classes: i32,
    bands: i32,
}

/// What is kept of a pair.
struct OfPair<'a> {
    classes: Classes,
    means: Buffer,
    whitening: Buffer,
    class_values: Buffer,
    class_changes: Buffer,
    fraction_changes: spatial::OnDevice<'a>,
}

struct OnDevice<'a> {
    job: &'a Job,
    similar: similar::OnDevice<'a>,
    spatial: spatial::OnDevice<'a>,
    fraction_search: nearest::OnDevice,
    /// Weight of the distance at every position of the window of similar fractions.
    nearness: Buffer,
    pairs: Vec<similar::Pair<OfPair<'a>>>,
}

/// Bytes for each pixel of a padded tile: fractions, their changes and means of these, temporal changes, and the search with `most` similar
/// pixels.
pub fn bytes_per_px(bands: usize, classes: usize, most: usize) -> usize {
    4 * (3 * classes + bands) + nearest::bytes_per_px(classes, most)
}

/// Puts `job` on the device of `queue`.
///
/// # Errors
/// Those of the device.
pub fn on_device<'a>(job: &'a Job, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
    let grid = &job.similar.grid;
    let mut pairs = Vec::new();
    for pair in &job.pairs {
        let model = &pair.model;
        let soft = model.soft.parts();
        let number = |n: usize| n as i32;
        let own = OfPair {
            classes: Classes { unit: soft.unit, classes: number(model.soft.count()), bands: number(soft.bands) },
            means: buffer_of(queue, soft.means)?,
            whitening: buffer_of(queue, &soft.whitening.concat())?,
            class_values: buffer_of(queue, &model.class_values.concat())?,
            class_changes: buffer_of(queue, &model.class_changes.concat())?,
            fraction_changes: spatial::OnDevice::new(&model.fraction_changes, grid, queue)?,
        };
        let facts = PairFacts {
            classes: &model.hard,
            coarse_changes: &model.coarse_changes,
            tolerances: None,
            marks: Marks::OfClasses(&model.troubles),
        };
        pairs.push(similar::Pair::new(&job.similar, pair, facts, own, queue)?);
    }
    Ok(Box::new(OnDevice {
        job,
        similar: similar::OnDevice::new(&job.similar, job.homogeneity_half, queue)?,
        spatial: spatial::OnDevice::new(&job.spatial, grid, queue)?,
        fraction_search: nearest::OnDevice::new(&job.fraction_search, false, queue)?,
        nearness: buffer_of(queue, &job.fraction_nearness())?,
        pairs,
    }))
}

impl OnDevice<'_> {
    /// Temporal prediction minus fine value of the pixels of the cells of a tile, (band, row, col) of the padded tile.
    fn temporal_changes(&self, queue: &mut dyn Queue, tile: &TileIn<'_>, pair: &PairOfTile<'_, OfPair<'_>>) -> Result<Buffer> {
        let (own, grid) = (pair.own, &self.job.similar.grid);
        let count = own.classes.classes as usize;
        let tile_bytes = Arg::Bytes(bytemuck::bytes_of(&pair.cells));
        let fractions = room_for::<f32>(queue, count * pair.cells.pixels())?;
        let of_thread = size_of::<f64>() * (pair.cells.bands() + count);
        let threads = threads_sharing(tile.padded.cols, THREADS / 2, of_thread);
        queue.launch(
            kernel("sfsdaf_fractions"),
            over_pixels((1, tile.padded.rows, tile.padded.cols), threads, 1, threads * of_thread),
            &[
                Arg::Buffer(pair.fine),
                Arg::Buffer(&own.means),
                Arg::Buffer(&own.whitening),
                Arg::Buffer(&fractions),
                tile_bytes,
                Arg::Bytes(bytemuck::bytes_of(&own.classes)),
            ],
        )?;
        let everywhere = CellsOfTile::new(grid, tile, grid.cells_under(tile.padded), count);
        let changes = own.fraction_changes.predict(queue, &everywhere)?;

        let needed = inside(tile, grid.fine_of(pair.cells.cells()));
        let planes: Vec<PlaneRule> = (0..count).map(PlaneRule::plain).collect();
        let search = &self.fraction_search;
        let shape = search.shape((tile.padded.rows, tile.padded.cols), (needed.row, needed.col), (needed.rows, needed.cols));
        let lists = search.lists(queue, &fractions, &planes, (&fractions, 0), shape)?;
        let means = search.means(queue, (&changes, count), &lists, (&self.nearness, false), shape)?;

        let temporal = room_for::<f32>(queue, pair.cells.bands() * pair.cells.pixels())?;
        let of_thread = size_of::<f64>() * count;
        let threads = threads_sharing(needed.cols, THREADS / 2, of_thread);
        queue.launch(
            kernel("sfsdaf_temporal"),
            over_pixels((1, needed.rows, needed.cols), threads, 1, threads * of_thread),
            &[
                Arg::Buffer(&fractions),
                Arg::Buffer(&means),
                Arg::Buffer(&lists.counts),
                Arg::Buffer(&own.class_values),
                Arg::Buffer(&own.class_changes),
                Arg::Buffer(&temporal),
                tile_bytes,
                Arg::Bytes(bytemuck::bytes_of(&shape)),
                Arg::Int(own.classes.classes),
            ],
        )?;
        Ok(temporal)
    }
}

impl DeviceTiles for OnDevice<'_> {
    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, queue: &mut dyn Queue, exec: &Exec<'_>) -> Result<()> {
        let spatial = self.spatial.predict(queue, &self.similar.cells(tile))?;
        let rule = self.job.residuals.on_device();
        self.similar.run(&self.pairs, (tile, out), queue, exec, |queue, pair| {
            let temporal = self.temporal_changes(queue, tile, &pair)?;
            queue.launch(
                kernel("sfsdaf_changes"),
                pair.cells.over_cells(),
                &[
                    Arg::Buffer(pair.fine),
                    Arg::Buffer(pair.homogeneity),
                    Arg::Buffer(&spatial),
                    Arg::Buffer(&temporal),
                    Arg::Buffer(pair.coarse_changes),
                    Arg::Buffer(pair.changes),
                    Arg::Bytes(bytemuck::bytes_of(&pair.cells)),
                    Arg::Bytes(bytemuck::bytes_of(&rule)),
                ],
            )
        })
    }
}

/// A kernel of this method.
fn kernel(function: &'static str) -> Kernel {
    Kernel { module: "methods/sfsdaf", function }
}
