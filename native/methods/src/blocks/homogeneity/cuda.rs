//! Homogeneity on a GPU: the kernel of `cuda/blocks/homogeneity.cu`. The same shares as on the CPU, bit for bit.

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::{Arg, Buffer, Kernel, Queue};
use stfusion_core::{Region, Result};

use crate::blocks::on_device::{over_pixels, room_for, threads_for, SHARED_BYTES};

/// `HomogeneityTile` of the kernel.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Tile {
    rows: i32,
    cols: i32,
    out_rows: i32,
    out_cols: i32,
    row: i32,
    col: i32,
    half: i32,
    classes: i32,
    batch: i32,
    plane: i32,
}

/// Most threads of a block.
const THREADS: usize = 128;
/// Rows of a thread.
const STRIP: usize = 16;

/// As [`super::homogeneity`], for the labels in plane `plane` of `planes` of (rows, cols) pixels. Shares lie at the places of their
/// pixels in such a plane; elsewhere it is undefined.
///
/// # Errors
/// Those of the device.
pub fn homogeneity(
    queue: &mut dyn Queue,
    (planes, plane): (&Buffer, usize),
    (rows, cols): (usize, usize),
    (classes, half): (i32, usize),
    region: Region,
) -> Result<Buffer> {
    let shares = room_for::<f32>(queue, rows * cols)?;
    let threads = threads_for(region.cols, THREADS);
    let of_class = size_of::<u16>() * (threads + 2 * half);
    // half of the shared memory, so that blocks overlap; one place is for all classes together
    let batch = (SHARED_BYTES / 2 / of_class).saturating_sub(1).clamp(1, classes.max(1) as usize);
    let number = |n: usize| n as i32;
    let tile = Tile {
        rows: number(rows),
        cols: number(cols),
        out_rows: number(region.rows),
        out_cols: number(region.cols),
        row: number(region.row),
        col: number(region.col),
        half: number(half),
        classes,
        batch: number(batch),
        plane: number(plane),
    };
    queue.launch(
        Kernel { module: "blocks/homogeneity", function: "homogeneity_shares" },
        over_pixels((1, region.rows, region.cols), threads, STRIP, (batch + 1) * of_class),
        &[Arg::Buffer(planes), Arg::Buffer(&shares), Arg::Bytes(bytemuck::bytes_of(&tile))],
    )?;
    Ok(shares)
}
