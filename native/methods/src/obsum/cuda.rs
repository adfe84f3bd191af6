//! OBSUM on a GPU: the kernels of `cuda/methods/obsum.cu` and the search of `blocks/nearest`. What was found for the scene, objects, their
//! changes and the spline through the residuals, comes from the CPU; everything of a tile is computed on the device.

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::{Arg, Buffer, Kernel, Queue};
use stfusion_core::method::{DeviceCost, DeviceTiles, TileIn, TileOut};
use stfusion_core::{Error, Exec, Result};

use super::cpu::{Around, Job};
use crate::blocks::nearest::cuda as nearest;
use crate::blocks::objects::Source;
use crate::blocks::on_device::{buffer_of, optional, over_pixels, room_for, threads_for, Outputs, TilePlace, THREADS};
use crate::blocks::tile_images::TileImages;

/// `ObsumTile` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Tile {
    place: TilePlace,
    around_rows: i32,
    around_cols: i32,
    scale: i32,
    cell_rows: i32,
    cell_cols: i32,
    similar: i32,
    low: f32,
    high: f32,
}

/// `ObsumSquares` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Squares {
    side: i32,
    rows: i32,
    cols: i32,
    distance_factor: f32,
}

/// What a tile costs with so many bands, `most` similar pixels, `half` pixels on every side of their window, and objects and coarse pixels
/// of the scene.
pub fn cost(bands: usize, most: usize, half: usize, objects: usize, cells: usize) -> DeviceCost {
    // numbers of a map take a bit and half a number each, centres of segments more
    let of_object = 8 * bands + 1 + 4 * (bands + 2) + 2;
    DeviceCost {
        // three images, fine values and residuals with a rim that is at most as large again, map and objects; prediction and support
        bytes_per_px: 4 * (3 * bands + 2 * 2 * bands + 2 + bands + 4) + nearest::bytes_per_px(bands, most),
        fixed_bytes: 0,
        prepared_bytes: objects * of_object + 4 * bands * cells + nearest::bytes(half),
    }
}

/// A kernel of this method.
fn kernel(function: &'static str) -> Kernel {
    Kernel { module: "methods/obsum", function }
}

/// What tells the object of a pixel.
enum Objects {
    Numbers { bits: Buffer, before: Buffer, words: i32 },
    Segments { centres: Buffer, factors: Buffer, squares: Squares },
}

struct OnDevice<'a> {
    job: &'a Job,
    objects: Objects,
    changes: Buffer,
    fallbacks: Buffer,
    coefficients: Buffer,
    limits: Buffer,
    weights: Buffer,
    search: nearest::OnDevice,
}

/// Puts what `job` knows of the scene on the device of `queue`.
///
/// # Errors
/// Those of the device.
pub fn on_device<'a>(job: &'a Job, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
    let objects = match job.objects.source() {
        Source::Map(numbers) => {
            let (bits, before) = numbers.words();
            Objects::Numbers { bits: buffer_of(queue, bits)?, before: buffer_of(queue, before)?, words: bits.len() as i32 }
        }
        Source::Segments(segments) => {
            let (grid, (factors, distance_factor)) = (segments.squares(), segments.factors());
            let number = |n: usize| n as i32;
            let squares = Squares { side: number(grid.scale), rows: number(grid.rows), cols: number(grid.cols), distance_factor };
            Objects::Segments { centres: buffer_of(queue, segments.centres())?, factors: buffer_of(queue, factors)?, squares }
        }
    };
    let fallbacks: Vec<u8> = job.fallbacks.iter().map(|&f| f as u8).collect();
    let coefficients: Vec<f32> = job.residuals.coefficients().iter().copied().collect();
    let limits: Vec<[f32; 2]> = job.residuals.limits().iter().map(|&(low, high)| [low, high]).collect();
    Ok(Box::new(OnDevice {
        job,
        objects,
        changes: buffer_of(queue, job.changes.values())?,
        fallbacks: buffer_of(queue, &fallbacks)?,
        coefficients: buffer_of(queue, &coefficients)?,
        limits: buffer_of(queue, &limits)?,
        weights: buffer_of(queue, &job.weights)?,
        search: nearest::OnDevice::new(&job.search, false, queue)?,
    }))
}

impl OnDevice<'_> {
    /// The object of every pixel to compute.
    fn labels(
        &self,
        queue: &mut dyn Queue,
        fine: &Buffer,
        map: Option<&[f32]>,
        whole: &Tile,
        tile: &TileIn<'_>,
    ) -> Result<Buffer> {
        let (rows, cols) = (tile.region.rows, tile.region.cols);
        let labels = room_for::<i32>(queue, rows * cols)?;
        let launch = over_pixels((1, rows, cols), threads_for(cols, THREADS), 1, 0);
        let tile_bytes = Arg::Bytes(bytemuck::bytes_of(whole));
        match &self.objects {
            Objects::Numbers { bits, before, words } => {
                let map = map.ok_or_else(|| Error::internal("the object map of a pair is missing"))?;
                let map = buffer_of(queue, map)?;
                let numbers = [Arg::Buffer(&map), Arg::Buffer(bits), Arg::Buffer(before)];
                let to = [Arg::Buffer(&labels), tile_bytes, Arg::Int(*words)];
                queue.launch(kernel("obsum_numbers"), launch, &[numbers, to].concat())?;
            }
            Objects::Segments { centres, factors, squares } => {
                let centres = [Arg::Buffer(fine), Arg::Buffer(centres), Arg::Buffer(factors)];
                let to = [Arg::Buffer(&labels), tile_bytes, Arg::Bytes(bytemuck::bytes_of(squares))];
                queue.launch(kernel("obsum_segments"), launch, &[centres, to].concat())?;
            }
        }
        Ok(labels)
    }
}

impl DeviceTiles for OnDevice<'_> {
    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, queue: &mut dyn Queue, exec: &Exec<'_>) -> Result<()> {
        exec.cancel.check()?;
        let job = self.job;
        let input = TileImages::new(tile)?;
        let pair = &input.pairs[job.pair];
        let bands = tile.target.dim().0;
        let number = |n: usize| n as i32;
        let numbers = |all: &[usize]| all.iter().map(|&n| number(n)).collect::<Vec<i32>>();
        let half = job.search.window().half();
        let around = Around::new(job, tile);
        let (around_rows, around_cols) = (around.rows.len(), around.cols.len());
        let whole = Tile {
            place: TilePlace::new(tile, bands, job.scene, half),
            around_rows: number(around_rows),
            around_cols: number(around_cols),
            scale: number(job.grid.scale),
            cell_rows: number(job.grid.rows),
            cell_cols: number(job.grid.cols),
            similar: number(job.similar),
            low: job.limits.0,
            high: job.limits.1,
        };
        let tile_bytes = Arg::Bytes(bytemuck::bytes_of(&whole));
        let (rows, cols) = (tile.region.rows, tile.region.cols);
        let threads = threads_for(cols, THREADS);
        let over_outputs = |shared_bytes: usize| over_pixels((1, rows, cols), threads, 1, shared_bytes);

        let fine = buffer_of(queue, pair.fine)?;
        let coarse = buffer_of(queue, pair.coarse)?;
        let target = buffer_of(queue, input.target)?;
        let images = [Arg::Buffer(&fine), Arg::Buffer(&coarse), Arg::Buffer(&target)];
        let labels = self.labels(queue, &fine, pair.objects, &whole, tile)?;

        let fine_around = room_for::<f32>(queue, bands * around_rows * around_cols)?;
        let residuals = room_for::<f32>(queue, bands * around_rows * around_cols)?;
        let (row_table, col_table) = (buffer_of(queue, &numbers(&around.rows))?, buffer_of(queue, &numbers(&around.cols))?);
        let spline = [
            Arg::Buffer(&row_table),
            Arg::Buffer(&col_table),
            Arg::Buffer(&self.coefficients),
            Arg::Buffer(&self.limits),
            Arg::Buffer(&fine_around),
            Arg::Buffer(&residuals),
            tile_bytes,
        ];
        queue.launch(
            kernel("obsum_around"),
            over_pixels((1, around_rows, around_cols), threads_for(around_cols, THREADS), 1, 0),
            &[&images[..], &spline[..]].concat(),
        )?;
        let shape = self.search.shape((around_rows, around_cols), (around.row, around.col), (rows, cols));
        let planes: Vec<_> = (0..bands).map(nearest::PlaneRule::plain).collect();
        let lists = self.search.lists(queue, &fine_around, &planes, (&residuals, bands), shape)?;
        exec.cancel.check()?;

        let outputs = Outputs::new(queue, out)?;
        let fraction = match &outputs.support {
            Some(_) => Some(room_for::<f32>(queue, rows * cols)?),
            None => None,
        };
        if let Some(fraction) = &fraction {
            let shared_bytes = size_of::<i32>() * (threads + 2 * half);
            let arguments = [images[0], images[1], images[2], Arg::Buffer(fraction), tile_bytes];
            queue.launch(kernel("obsum_valid"), over_outputs(shared_bytes), &arguments)?;
        }
        let found = [
            Arg::Buffer(&residuals),
            Arg::Buffer(&lists.samples),
            Arg::Buffer(&lists.counts),
            Arg::Buffer(&self.search.offsets),
            Arg::Buffer(&self.weights),
            Arg::Buffer(&labels),
            Arg::Buffer(&self.changes),
            Arg::Buffer(&self.fallbacks),
            optional(fraction.as_ref()),
            Arg::Buffer(&outputs.image),
            optional(outputs.support.as_ref()),
            tile_bytes,
            Arg::Bytes(bytemuck::bytes_of(&shape)),
        ];
        queue.launch(kernel("obsum_predict"), over_outputs(0), &[&images[..], &found[..]].concat())?;
        outputs.read(queue, out, exec)
    }
}
