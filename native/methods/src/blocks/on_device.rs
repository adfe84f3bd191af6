//! Tiles on a GPU: images there, launches over pixels, layers back.

use bytemuck::{Pod, Zeroable};
use ndarray::{ArrayViewMut2, ArrayViewMut3};
use stfusion_core::device::{Arg, Buffer, Launch, Queue};
use stfusion_core::method::{SupportOut, TileIn, TileOut};
use stfusion_core::{Error, Exec, Result};

use super::tile_images::TileImages;

/// Shared memory that every GPU gives a block, in bytes.
pub const SHARED_BYTES: usize = 48 * 1024;

/// Most threads of a block.
pub const THREADS: usize = 256;

/// Where a tile lies: what the structures of window kernels have in common, in their order.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct TilePlace {
    // pixels of the padded tile
    rows: i32,
    cols: i32,
    bands: i32,
    pairs: i32,
    // pixels to compute, and where they begin in the padded tile
    out_rows: i32,
    out_cols: i32,
    row_offset: i32,
    col_offset: i32,
    // the same in the scene
    scene_row: i32,
    scene_col: i32,
    scene_rows: i32,
    scene_cols: i32,
    // half window
    half: i32,
}

impl TilePlace {
    /// Of `tile`, with `bands` bands, in a scene of (rows, columns), for windows with `half` pixels on each side.
    pub fn new(tile: &TileIn<'_>, bands: usize, scene: (usize, usize), half: usize) -> TilePlace {
        let number = |n: usize| n as i32;
        TilePlace {
            rows: number(tile.padded.rows),
            cols: number(tile.padded.cols),
            bands: number(bands),
            pairs: number(tile.pairs.len()),
            out_rows: number(tile.region.rows),
            out_cols: number(tile.region.cols),
            row_offset: number(tile.row_offset()),
            col_offset: number(tile.col_offset()),
            scene_row: number(tile.region.row),
            scene_col: number(tile.region.col),
            scene_rows: number(scene.0),
            scene_cols: number(scene.1),
            half: number(half),
        }
    }
}

/// `PairInTime` of the kernels: a pair, and the days from the target to it; 0 where days do not count.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct PairInTime {
    number: i32,
    gap: i32,
}

impl PairInTime {
    /// Of the pair with this number.
    pub fn new(number: usize, gap: i32) -> Self {
        PairInTime { number: number as i32, gap }
    }
}

/// Threads of a block that computes a row of `cols` pixels: whole warps, at most `most`.
pub fn threads_for(cols: usize, most: usize) -> usize {
    cols.next_power_of_two().clamp(32, most)
}

/// As [`threads_for`], where each thread has `bytes` bytes of shared memory: fewer than a warp where these are very many.
pub fn threads_sharing(cols: usize, most: usize, bytes: usize) -> usize {
    let room = (SHARED_BYTES / bytes.max(1)).clamp(1, most);
    threads_for(cols, (1 << room.ilog2()).max(32)).min(room)
}

/// A launch over `planes` planes of `rows` x `cols` pixels: x columns, y rows, z planes. A thread owns `rows_of_thread` rows of a column.
pub fn over_pixels(
    (planes, rows, cols): (usize, usize, usize),
    threads: usize,
    rows_of_thread: usize,
    shared_bytes: usize,
) -> Launch {
    let blocks = [cols.div_ceil(threads), rows.div_ceil(rows_of_thread), planes];
    Launch { blocks: blocks.map(|n| n as u32), threads: [threads as u32, 1, 1], shared_bytes }
}

/// The argument for a buffer that the kernel may find null.
pub fn optional(buffer: Option<&Buffer>) -> Arg<'_> {
    buffer.map_or(Arg::NoBuffer, Arg::Buffer)
}

/// A buffer with these values; with room for one where there are none.
///
/// # Errors
/// Those of the device.
pub fn buffer_of<T: bytemuck::NoUninit>(queue: &mut dyn Queue, values: &[T]) -> Result<Buffer> {
    let bytes: &[u8] = bytemuck::cast_slice(values);
    let buffer = queue.buffer(bytes.len().max(size_of::<T>()))?;
    queue.write(&buffer, 0, bytes)?;
    Ok(buffer)
}

/// Room for `count` values.
///
/// # Errors
/// Those of the device.
pub fn room_for<T>(queue: &mut dyn Queue, count: usize) -> Result<Buffer> {
    queue.buffer(count.max(1) * size_of::<T>())
}

/// The images of a tile one behind the other: target, then fine and coarse image of the pairs with these numbers.
///
/// # Errors
/// Those of the device.
pub fn images_of(
    queue: &mut dyn Queue,
    images: &TileImages<'_, '_>,
    pairs: impl ExactSizeIterator<Item = usize>,
) -> Result<Buffer> {
    let bytes = size_of_val(images.target);
    let all = queue.buffer((1 + 2 * pairs.len()) * bytes)?;
    let of_pairs = pairs.map(|k| &images.pairs[k]).flat_map(|pair| [pair.fine, pair.coarse]);
    let parts = std::iter::once(images.target).chain(of_pairs);
    for (i, part) in parts.enumerate() {
        queue.write(&all, i * bytes, bytemuck::cast_slice(part))?;
    }
    Ok(all)
}

/// What a tile gets, on a device.
pub struct Outputs {
    /// The prediction, (band, row, col).
    pub image: Buffer,
    /// Similar pixels, valid fractions and fallbacks, one layer behind the other, if they were asked for.
    pub support: Option<Buffer>,
}

impl Outputs {
    /// Room for `out`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(queue: &mut dyn Queue, out: &TileOut<'_>) -> Result<Outputs> {
        let (bands, rows, cols) = out.image.dim();
        let image = room_for::<f32>(queue, bands * rows * cols)?;
        let support = match &out.support {
            Some(_) => Some(room_for::<f32>(queue, 3 * rows * cols)?),
            None => None,
        };
        Ok(Outputs { image, support })
    }

    /// Waits and reads both.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Cancelled`], those of the device; internal when the image of `out` is not C-contiguous.
    pub fn read(&self, queue: &mut dyn Queue, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
        if let (Some(to), Some(support)) = (&mut out.support, &self.support) {
            read_support(queue, support, to)?;
        }
        exec.cancel.check()?;
        read_image(queue, &self.image, &mut out.image)
    }
}

/// Waits and reads an image that covers `to`.
///
/// # Errors
/// Those of the device; internal when `to` is not C-contiguous.
pub fn read_image(queue: &mut dyn Queue, from: &Buffer, to: &mut ArrayViewMut3<'_, f32>) -> Result<()> {
    let to = to.as_slice_mut().ok_or_else(|| Error::internal("the output of a tile is not contiguous"))?;
    queue.read(from, 0, bytemuck::cast_slice_mut(to))
}

/// Waits and reads a layer that covers `to`.
///
/// # Errors
/// Those of the device.
pub fn read_layer(queue: &mut dyn Queue, from: &Buffer, to: &mut ArrayViewMut2<'_, f32>) -> Result<()> {
    let mut values = vec![0.0f32; to.len()];
    queue.read(from, 0, bytemuck::cast_slice_mut(&mut values))?;
    to.iter_mut().zip(values).for_each(|(to, value)| *to = value);
    Ok(())
}

/// Waits and reads similar pixels, valid fractions and fallbacks, one layer behind the other.
///
/// # Errors
/// Those of the device.
pub fn read_support(queue: &mut dyn Queue, from: &Buffer, to: &mut SupportOut<'_>) -> Result<()> {
    let mut values = vec![0.0f32; 3 * to.fallback.len()];
    queue.read(from, 0, bytemuck::cast_slice_mut(&mut values))?;
    let layers = [&mut to.similar_pixels, &mut to.valid_fraction, &mut to.fallback];
    for (layer, values) in layers.into_iter().zip(values.chunks_exact(values.len() / 3)) {
        layer.iter_mut().zip(values).for_each(|(to, &value)| *to = value);
    }
    Ok(())
}
