//! Fit-FC on a GPU: the kernels of `cuda/methods/fitfc.cu` and the search of `blocks/nearest`. Lines and residuals of coarse pixels are
//! those that the CPU fitted for the scene; everything that costs something for each fine pixel runs on the device.

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::{Arg, Buffer, Kernel, Queue};
use stfusion_core::method::{DeviceCost, DeviceTiles, TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::coarse::Fitted;
use super::cpu::{Job, Lines};
use super::parameters::Border;
use super::residual;
use crate::blocks::nearest::cuda as nearest;
use crate::blocks::on_device::{buffer_of, optional, over_pixels, room_for, threads_for, Outputs, SHARED_BYTES, THREADS};
use crate::blocks::tile_images::TileImages;

/// `FitfcTile` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Tile {
    rows: i32,
    cols: i32,
    row: i32,
    col: i32,
    fit_rows: i32,
    fit_cols: i32,
    fit_row: i32,
    fit_col: i32,
    scene_rows: i32,
    scene_cols: i32,
    bands: i32,
    scale: i32,
    cell_rows: i32,
    cell_cols: i32,
    residual_rows: i32,
    residual_cols: i32,
    residual_margin: i32,
    reach: i32,
}

/// `FitfcLine` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Line {
    slope: f64,
    intercept: f64,
    kind: i32,
    unused: i32,
}

impl Line {
    fn of(fitted: Fitted) -> Line {
        match fitted {
            Some((line, varies)) => Line { slope: line.slope, intercept: line.intercept, kind: 1 + i32::from(varies), unused: 0 },
            None => Line::zeroed(),
        }
    }
}

/// Threads of a block of fine regression with `reach` pixels on every side, if shared memory holds the sums of their columns.
fn threads_of_regression(reach: usize) -> Option<usize> {
    [128, 64, 32].into_iter().find(|threads| shared_of_regression(*threads, reach) <= SHARED_BYTES)
}

/// Bytes of these sums.
fn shared_of_regression(threads: usize, reach: usize) -> usize {
    5 * size_of::<f64>() * (threads + 2 * reach)
}

/// What the cost of a tile depends on.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Bands of the images.
    pub bands: usize,
    /// Pairs of the job.
    pub pairs: usize,
    /// Bands by which pixels are compared.
    pub compared: usize,
    /// Pixels wanted of every window.
    pub most: usize,
    /// Pixels on every side of the window.
    pub half: usize,
    /// Coarse pixels of the scene.
    pub cells: usize,
    /// Pixels on every side of the window of fine regression; 0 for coarse regression.
    pub reach: usize,
}

/// What a tile costs on a GPU.
///
/// # Errors
/// As [`stfusion_core::method::Plan::device_cost`].
pub fn cost(size: Size) -> std::result::Result<DeviceCost, &'static str> {
    let Size { bands, pairs, compared, most, half, cells, reach } = size;
    if threads_of_regression(reach).is_none() {
        return Err("it fits lines to so large a window of fine pixels only on the CPU");
    }
    Ok(DeviceCost {
        // images of the pairs and the target, predictions, result; fallback and support
        bytes_per_px: 4 * bands * (1 + 2 * pairs + 2) + 4 + 16 + nearest::bytes_per_px(compared, most),
        fixed_bytes: 4,
        prepared_bytes: pairs * bands * cells * (size_of::<Line>() + 4) + nearest::bytes(half),
    })
}

/// A kernel of this method.
fn kernel(function: &'static str) -> Kernel {
    Kernel { module: "methods/fitfc", function }
}

/// What was computed of a pair for the whole scene.
struct PairOnDevice {
    pair: usize,
    /// Lines of coarse pixels, if they are fitted there.
    lines: Option<Buffer>,
    residual: Option<Buffer>,
    /// Rows and columns of the residuals.
    residual_size: (usize, usize),
}

struct OnDevice<'a> {
    job: &'a Job,
    pairs: Vec<PairOnDevice>,
    search: nearest::OnDevice,
    planes: Vec<nearest::PlaneRule>,
    weights: Buffer,
}

/// Puts lines, residuals and the window of `job` on the device of `queue`.
///
/// # Errors
/// Those of the device.
pub fn on_device<'a>(job: &'a Job, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
    let mut pairs = Vec::new();
    for pair in &job.pairs {
        let lines = match &pair.lines {
            Lines::Coarse(cells) => Some(buffer_of(queue, &cells.iter().map(|&l| Line::of(l)).collect::<Vec<_>>())?),
            Lines::Fine { .. } => None,
        };
        let (residual, residual_size) = match &pair.residual {
            Some(residual) => {
                let cells = residual.mirrored();
                let (_, rows, cols) = cells.dim();
                (Some(buffer_of(queue, &cells.iter().copied().collect::<Vec<_>>())?), (rows, cols))
            }
            None => (None, (0, 0)),
        };
        pairs.push(PairOnDevice { pair: pair.pair, lines, residual, residual_size });
    }
    let replicate = job.border == Border::Replicate;
    Ok(Box::new(OnDevice {
        job,
        pairs,
        search: nearest::OnDevice::new(&job.search, replicate, queue)?,
        planes: job.similarity_bands.iter().map(|&band| nearest::PlaneRule::plain(band)).collect(),
        weights: buffer_of(queue, &job.weights)?,
    }))
}

impl OnDevice<'_> {
    fn tile(&self, tile: &TileIn<'_>, reach: usize, residual_size: (usize, usize)) -> Tile {
        let around = tile.region.grown(self.job.search.window().half(), self.job.scene.0, self.job.scene.1);
        let number = |n: usize| n as i32;
        let grid = &self.job.grid;
        Tile {
            rows: number(tile.padded.rows),
            cols: number(tile.padded.cols),
            row: number(tile.padded.row),
            col: number(tile.padded.col),
            fit_rows: number(around.rows),
            fit_cols: number(around.cols),
            fit_row: number(around.row - tile.padded.row),
            fit_col: number(around.col - tile.padded.col),
            scene_rows: number(self.job.scene.0),
            scene_cols: number(self.job.scene.1),
            bands: number(tile.target.dim().0),
            scale: number(grid.scale),
            cell_rows: number(grid.rows),
            cell_cols: number(grid.cols),
            residual_rows: number(residual_size.0),
            residual_cols: number(residual_size.1),
            residual_margin: number(residual::MARGIN),
            reach: number(reach),
        }
    }
}

impl DeviceTiles for OnDevice<'_> {
    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, queue: &mut dyn Queue, exec: &Exec<'_>) -> Result<()> {
        exec.cancel.check()?;
        let input = TileImages::new(tile)?;
        let bands = tile.target.dim().0;
        let inside = tile.padded.pixels();
        let over_padded =
            |threads: usize, shared_bytes: usize| over_pixels((1, tile.padded.rows, tile.padded.cols), threads, 1, shared_bytes);
        let threads = threads_for(tile.region.cols, THREADS);
        let over_outputs = |shared_bytes: usize| over_pixels((1, tile.region.rows, tile.region.cols), threads, 1, shared_bytes);
        let shape = self.search.shape(
            (tile.padded.rows, tile.padded.cols),
            (tile.row_offset(), tile.col_offset()),
            (tile.region.rows, tile.region.cols),
        );
        let shape_bytes = Arg::Bytes(bytemuck::bytes_of(&shape));

        let target = buffer_of(queue, input.target)?;
        let predicted = room_for::<f32>(queue, bands * inside)?;
        let fallback = room_for::<f32>(queue, inside)?;
        let outputs = Outputs::new(queue, out)?;
        // every bit set is NaN
        queue.fill(&outputs.image, 0xff)?;
        let fraction = match &outputs.support {
            Some(layers) => {
                queue.fill(layers, 0)?;
                Some(room_for::<f32>(queue, tile.region.pixels())?)
            }
            None => None,
        };
        let missing = room_for::<i32>(queue, 1)?;
        for (tried, lines) in self.pairs.iter().enumerate() {
            exec.cancel.check()?;
            let pair = &input.pairs[lines.pair];
            let (fine, coarse) = (buffer_of(queue, pair.fine)?, buffer_of(queue, pair.coarse)?);
            let images = [Arg::Buffer(&fine), Arg::Buffer(&coarse), Arg::Buffer(&target)];
            let reach = match self.job.pairs[tried].lines {
                Lines::Coarse(_) => 0,
                Lines::Fine { half } => half,
            };
            let whole = self.tile(tile, reach, lines.residual_size);
            let tile_bytes = Arg::Bytes(bytemuck::bytes_of(&whole));
            let residual = optional(lines.residual.as_ref());
            let (to, left) = (Arg::Buffer(&predicted), Arg::Buffer(&fallback));
            if let Some(lines) = &lines.lines {
                let arguments = [images[0], images[1], images[2], Arg::Buffer(lines), residual, to, left, tile_bytes];
                queue.launch(kernel("fitfc_fit"), over_padded(threads_for(tile.padded.cols, THREADS), 0), &arguments)?;
            } else {
                let threads = threads_of_regression(reach).unwrap_or(32);
                let arguments = [images[0], images[1], images[2], residual, to, left, tile_bytes];
                let launch = over_padded(threads, shared_of_regression(threads, reach));
                queue.launch(kernel("fitfc_fit_fine"), launch, &arguments)?;
            }
            let lists = self.search.lists(queue, &fine, &self.planes, (&predicted, bands), shape)?;
            if let Some(fraction) = &fraction {
                queue.launch(
                    kernel("fitfc_valid"),
                    over_outputs(4 * (threads + 2 * self.job.search.window().half())),
                    &[Arg::Buffer(&predicted), Arg::Buffer(fraction), tile_bytes, shape_bytes],
                )?;
            }
            queue.fill(&missing, 0)?;
            queue.launch(
                kernel("fitfc_average"),
                over_outputs(0),
                &[
                    Arg::Buffer(&predicted),
                    Arg::Buffer(&fallback),
                    Arg::Buffer(&target),
                    Arg::Buffer(&lists.samples),
                    Arg::Buffer(&lists.counts),
                    Arg::Buffer(&self.search.offsets),
                    Arg::Buffer(&self.weights),
                    optional(fraction.as_ref()),
                    Arg::Buffer(&outputs.image),
                    optional(outputs.support.as_ref()),
                    Arg::Buffer(&missing),
                    tile_bytes,
                    shape_bytes,
                ],
            )?;
            if tried + 1 < self.pairs.len() {
                let mut misses = [0i32];
                queue.read(&missing, 0, bytemuck::cast_slice_mut(&mut misses))?;
                if misses == [0] {
                    break;
                }
            }
        }
        outputs.read(queue, out, exec)
    }
}
