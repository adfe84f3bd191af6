//! Tiles of this family on a GPU: the labels of `blocks/classes`, and the kernel of `cuda/blocks/unmixing.cu`. The same values as on
//! the CPU, bit for bit.

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::{Arg, Buffer, Kernel, Queue};
use stfusion_core::method::{DeviceCost, DeviceTiles, TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::assigned::{Assigned, Meaning};
use crate::blocks::classes::cuda as classes;
use crate::blocks::on_device::{buffer_of, optional, over_pixels, room_for, threads_for, Outputs, PairInTime, THREADS};
use crate::blocks::tile_images::TileImages;

/// `UnmixingPair` of the kernel: addresses, 0 where there is nothing.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Pair {
    fine: u64,
    coarse: u64,
    values: u64,
    marks: u64,
    holders: u64,
    valid: u64,
    classes: i32,
    unused: i32,
}

/// `UnmixingTile` of the kernel.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Tile {
    rows: i32,
    cols: i32,
    row: i32,
    col: i32,
    bands: i32,
    pairs: i32,
    scale: i32,
    cell_cols: i32,
    cells: i32,
    change: i32,
}

/// What a tile costs with so many bands, coarse pixels of the scene, and `classes` of every pair.
pub fn cost(bands: usize, cells: usize, classes: impl ExactSizeIterator<Item = usize>) -> DeviceCost {
    let pairs = classes.len();
    DeviceCost {
        // fine images with labels, class maps, coarse images; target, prediction and support
        bytes_per_px: 4 * (pairs * (2 * bands + 2) + 2 * bands + 3),
        fixed_bytes: pairs * size_of::<Pair>(),
        prepared_bytes: classes.map(|n| cells * (n * (4 * bands + 3) + 4)).sum(),
    }
}

/// What was found of a pair, on a device.
struct Answer {
    classes: classes::OnDevice,
    values: Buffer,
    marks: Buffer,
    holders: Buffer,
    valid: Buffer,
}

struct OnDevice<'a> {
    job: &'a Assigned,
    answers: Vec<Option<Answer>>,
    order: Buffer,
}

/// Puts classes and class values of `job` on the device of `queue`.
///
/// # Errors
/// Those of the device.
pub fn on_device<'a>(job: &'a Assigned, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
    let mut answers = Vec::with_capacity(job.answers.len());
    for answer in &job.answers {
        let Some(answer) = answer else {
            answers.push(None);
            continue;
        };
        let values = &answer.values;
        let bands = values.values().len() / values.marks().len().max(1);
        answers.push(Some(Answer {
            classes: classes::OnDevice::new(&answer.classes, bands, queue)?,
            values: buffer_of(queue, values.values())?,
            marks: buffer_of(queue, values.marks())?,
            holders: buffer_of(queue, values.all_holders())?,
            valid: buffer_of(queue, values.valid_parts())?,
        }));
    }
    let order: Vec<_> = job.by_date.pairs().map(|(k, gap)| PairInTime::new(k, gap)).collect();
    Ok(Box::new(OnDevice { job, answers, order: buffer_of(queue, &order)? }))
}

impl DeviceTiles for OnDevice<'_> {
    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, queue: &mut dyn Queue, exec: &Exec<'_>) -> Result<()> {
        exec.cancel.check()?;
        let input = TileImages::new(tile)?;
        let (bands, rows, cols) = tile.target.dim();
        let change = self.job.meaning == Meaning::Change;
        let mut pairs = Vec::with_capacity(tile.pairs.len());
        // the memory of the images, until the kernel has run
        let mut images = Vec::with_capacity(2 * tile.pairs.len());
        for (pair, answer) in input.pairs.iter().zip(&self.answers) {
            let fine = room_for::<f32>(queue, (bands + 1) * rows * cols)?;
            queue.write(&fine, 0, bytemuck::cast_slice(pair.fine))?;
            let mut entry = Pair { fine: fine.address(), ..Pair::zeroed() };
            if let Some(answer) = answer {
                answer.classes.labels(queue, (rows, cols), &fine, pair.classes)?;
                entry.values = answer.values.address();
                entry.marks = answer.marks.address();
                entry.holders = answer.holders.address();
                entry.valid = answer.valid.address();
                entry.classes = answer.classes.count();
            }
            images.push(fine);
            if change {
                let coarse = buffer_of(queue, pair.coarse)?;
                entry.coarse = coarse.address();
                images.push(coarse);
            }
            pairs.push(entry);
        }
        let pairs = buffer_of(queue, &pairs)?;
        let target = buffer_of(queue, input.target)?;
        let outputs = Outputs::new(queue, out)?;
        let number = |n: usize| n as i32;
        let grid = &self.job.grid;
        let shape = Tile {
            rows: number(rows),
            cols: number(cols),
            row: number(tile.region.row),
            col: number(tile.region.col),
            bands: number(bands),
            pairs: number(tile.pairs.len()),
            scale: number(grid.scale),
            cell_cols: number(grid.cols),
            cells: number(grid.cells()),
            change: i32::from(change),
        };
        queue.launch(
            Kernel { module: "blocks/unmixing", function: "unmixing_assign" },
            over_pixels((1, rows, cols), threads_for(cols, THREADS), 1, 0),
            &[
                Arg::Buffer(&pairs),
                Arg::Buffer(&self.order),
                Arg::Buffer(&target),
                Arg::Buffer(&outputs.image),
                optional(outputs.support.as_ref()),
                Arg::Bytes(bytemuck::bytes_of(&shape)),
            ],
        )?;
        outputs.read(queue, out, exec)
    }
}
