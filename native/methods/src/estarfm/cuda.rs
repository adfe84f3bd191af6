//! ESTARFM on a GPU: the kernels of `cuda/methods/estarfm.cu` in their order. The same similar pixels, sums and regressions as on the CPU.

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::{Arg, Buffer, Kernel, Queue};
use stfusion_core::method::{DeviceCost, DeviceTiles, TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::conversion::{Gate, Test};
use super::cpu::Job;
use super::inputs::distances;
use super::parameters::ThresholdScope;
use super::rules::Rules;
use crate::blocks::on_device::{
    buffer_of, images_of, optional, over_pixels, read_image, read_support, room_for, threads_for, TilePlace,
};
use crate::blocks::tile_images::TileImages;

/// Most threads of a block.
const THREADS: usize = 128;
/// Threads that gather the similar pixels of one pixel.
const WARP: usize = 32;
/// `EstarfmTile::test` of regressions that are blended.
const BLENDED: i32 = 2;

/// `EstarfmTile` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Tile {
    largest: f64,
    gate_least: f64,
    range_low: f64,
    range_high: f64,
    classes: f64,
    flat_correlation: f64,
    place: TilePlace,
    inclusive: i32,
    relative_difference: i32,
    has_range: i32,
    copy_few: i32,
    least_similar: i32,
    gate: i32,
    test: i32,
    table: i32,
    nearest: i32,
    cell: i32,
    reach: i32,
    group: i32,
    unused: i32,
}

/// Bands whose images a warp sums: an image a lane.
fn bands_of_warp(rules: &Rules) -> usize {
    (WARP / rules.pairs).min(rules.bands)
}

/// What a tile costs on a GPU.
///
/// # Errors
/// As [`stfusion_core::method::Plan::device_cost`].
pub fn cost(rules: &Rules) -> std::result::Result<DeviceCost, &'static str> {
    let (planes, bands) = (rules.planes(), rules.bands);
    if rules.pairs > WARP {
        return Err("it compares more than 32 pairs only on the CPU");
    }
    let images = bands * (1 + 2 * rules.pairs);
    let records = planes + 2 * planes + bands + 1;
    // of a pixel: ranges and centres of every image, changes, sums in double precision, counts; prediction and support
    let outputs = 2 * planes + 2 * planes + planes + 2 * 2 * (planes + 1) + 2 + bands + 3;
    Ok(DeviceCost {
        bytes_per_px: 4 * (images + records + outputs),
        fixed_bytes: 0,
        prepared_bytes: 4 * distances(rules).len() + 8 * (2 * planes + bands + 1000),
    })
}

/// A kernel of this method.
fn kernel(function: &'static str) -> Kernel {
    Kernel { module: "methods/estarfm", function }
}

/// A job whose tables lie on a device.
struct OnDevice<'a> {
    job: &'a Job,
    origins: Buffer,
    /// Standard deviations of the images, or means near which those of windows are taken.
    statistics: Buffer,
    distances: Buffer,
    /// Least R² for each number of degrees of freedom, and the parabola for more.
    least_r2: Buffer,
    /// What does not depend on the tile.
    rules: Tile,
}

/// Puts the tables of `job` on the device of `queue`.
///
/// # Errors
/// Those of the device.
pub fn on_device<'a>(job: &'a Job, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
    let rules = &job.rules;
    let origins: Vec<f32> = job.reference.origin.iter().map(|&o| o as f32).collect();
    let regression = rules.regression.as_ref();
    let (test, (table, beyond)) = match regression.map(|r| &r.test) {
        Some(Test::Gate(least)) => (1, least.numbers()),
        Some(Test::Blend) => (BLENDED, (&[][..], [0.0; 3])),
        Some(Test::None) | None => (0, (&[][..], [0.0; 3])),
    };
    let (gate, gate_least) = match regression.map(|r| r.gate) {
        None => (0, 0.0),
        Some(Gate::None) => (1, 0.0),
        Some(Gate::Change(least)) => (2, least),
        Some(Gate::Deviation(least)) => (3, least),
    };
    let (low, high) = rules.data_range.unwrap_or_default();
    let whole = Tile {
        largest: regression.map_or(0.0, |r| r.largest),
        gate_least,
        range_low: low,
        range_high: high,
        classes: rules.classes,
        flat_correlation: rules.flat_correlation,
        inclusive: i32::from(rules.inclusive),
        relative_difference: i32::from(rules.relative_difference),
        has_range: i32::from(rules.data_range.is_some()),
        copy_few: i32::from(rules.copy_few),
        least_similar: rules.least_similar as i32,
        gate,
        test,
        table: table.len() as i32,
        nearest: rules.nearest.unwrap_or(0) as i32,
        cell: rules.cells.unwrap_or(0) as i32,
        reach: rules.reach() as i32,
        group: bands_of_warp(rules) as i32,
        ..Tile::zeroed()
    };
    let statistics = match job.tolerances.scope {
        ThresholdScope::Image => &job.tolerances.deviations,
        ThresholdScope::Window => &job.reference.means,
    };
    Ok(Box::new(OnDevice {
        job,
        origins: buffer_of(queue, &origins)?,
        statistics: buffer_of(queue, statistics)?,
        distances: buffer_of(queue, &distances(rules))?,
        least_r2: buffer_of(queue, &[table, &beyond].concat())?,
        rules: whole,
    }))
}

impl OnDevice<'_> {
    fn tile(&self, tile: &TileIn<'_>) -> Tile {
        let rules = &self.job.rules;
        Tile { place: TilePlace::new(tile, rules.bands, self.job.scene, rules.half), ..self.rules }
    }
}

impl DeviceTiles for OnDevice<'_> {
    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, queue: &mut dyn Queue, exec: &Exec<'_>) -> Result<()> {
        exec.cancel.check()?;
        let input = TileImages::new(tile)?;
        let rules = &self.job.rules;
        let (planes, bands) = (rules.planes(), rules.bands);
        let (inside, pixels) = (tile.padded.pixels(), tile.region.pixels());
        let region = |z: usize| (z, tile.region.rows, tile.region.cols);
        let threads = threads_for(tile.region.cols, THREADS);
        let sums_of_columns = |numbers: usize| size_of::<f64>() * numbers * (threads + 2 * rules.half);
        let whole = self.tile(tile);
        let tile_bytes = Arg::Bytes(bytemuck::bytes_of(&whole));

        let images = images_of(queue, &input, 0..input.pairs.len())?;
        let keys = room_for::<i32>(queue, planes * inside)?;
        let records = room_for::<f32>(queue, (2 * planes + bands + 1) * inside)?;
        queue.launch(
            kernel("estarfm_samples"),
            over_pixels((1, tile.padded.rows, tile.padded.cols), threads_for(tile.padded.cols, THREADS), 1, 0),
            &[Arg::Buffer(&images), Arg::Buffer(&self.origins), Arg::Buffer(&keys), Arg::Buffer(&records), tile_bytes],
        )?;
        let changes = room_for::<f32>(queue, planes * pixels)?;
        let counts = room_for::<i32>(queue, pixels)?;
        queue.launch(
            kernel("estarfm_changes"),
            over_pixels(region(planes), threads, 1, sums_of_columns(2)),
            &[Arg::Buffer(&images), Arg::Buffer(&keys), Arg::Buffer(&changes), Arg::Buffer(&counts), tile_bytes],
        )?;
        let ranges = room_for::<[i32; 2]>(queue, planes * pixels)?;
        let centres = match rules.nearest {
            Some(_) => Some(room_for::<[f32; 2]>(queue, planes * pixels)?),
            None => None,
        };
        let (ranges_kernel, shared_bytes) = match self.job.tolerances.scope {
            ThresholdScope::Image => ("estarfm_ranges", 0),
            ThresholdScope::Window => ("estarfm_ranges_local", sums_of_columns(3)),
        };
        queue.launch(
            kernel(ranges_kernel),
            over_pixels(region(planes), threads, 1, shared_bytes),
            &[
                Arg::Buffer(&images),
                Arg::Buffer(&self.origins),
                Arg::Buffer(&self.statistics),
                Arg::Buffer(&ranges),
                optional(centres.as_ref()),
                tile_bytes,
            ],
        )?;
        exec.cancel.check()?;

        let changed = room_for::<f64>(queue, (planes + 1) * pixels)?;
        let similar = room_for::<i32>(queue, pixels)?;
        let fine_sums = match rules.data_range {
            Some(_) => Some(room_for::<f64>(queue, (planes + 1) * pixels)?),
            None => None,
        };
        let samples = [
            Arg::Buffer(&keys),
            Arg::Buffer(&records),
            Arg::Buffer(&ranges),
            Arg::Buffer(&self.distances),
            Arg::Buffer(&self.least_r2),
        ];
        let groups = bands.div_ceil(bands_of_warp(rules));
        let lists = THREADS * size_of::<(i32, f32)>();
        let over_warps = over_pixels((groups, tile.region.rows, WARP * tile.region.cols), THREADS, 1, lists);
        let usual = centres.is_none() && fine_sums.is_none() && rules.cells.is_none() && self.rules.test != BLENDED;
        let (gather, more) = if usual {
            ("estarfm_gather", vec![Arg::Buffer(&changed), Arg::Buffer(&similar), tile_bytes])
        } else {
            let (origins, centres) = (Arg::Buffer(&self.origins), optional(centres.as_ref()));
            let to = [Arg::Buffer(&changed), optional(fine_sums.as_ref()), Arg::Buffer(&similar), tile_bytes];
            ("estarfm_gather_by_rules", [&[origins, centres], &to[..]].concat())
        };
        queue.launch(kernel(gather), over_warps, &[&samples[..], &more[..]].concat())?;
        let prediction = room_for::<f32>(queue, bands * pixels)?;
        let layers = room_for::<f32>(queue, 3 * pixels)?;
        queue.launch(
            kernel("estarfm_finish"),
            over_pixels(region(1), threads, 1, 0),
            &[
                Arg::Buffer(&images),
                Arg::Buffer(&self.origins),
                Arg::Buffer(&changed),
                optional(fine_sums.as_ref()),
                Arg::Buffer(&changes),
                Arg::Buffer(&counts),
                Arg::Buffer(&similar),
                Arg::Buffer(&prediction),
                Arg::Buffer(&layers),
                tile_bytes,
            ],
        )?;
        if let Some(support) = &mut out.support {
            read_support(queue, &layers, support)?;
        }
        exec.cancel.check()?;
        read_image(queue, &prediction, &mut out.image)
    }
}
