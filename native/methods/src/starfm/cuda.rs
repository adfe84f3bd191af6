//! STARFM on a GPU: the kernels of `cuda/methods/starfm.cu` in their order. The same candidates as on the CPU; weights are summed in the
//! same order, but, unless some may weigh 1 whatever their distance, rounded elsewhere: a proposal is multiplied by its weight before the distance enters.
//! Proposals beyond 1e32 can overflow by that, and the mean of the proposals at the pixel stands in then.

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::{Arg, Buffer, Kernel, Queue};
use stfusion_core::method::{DeviceCost, DeviceTiles, ExtraImage, SceneInfo, TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::block::Tolerances;
use super::cpu::Job;
use super::parameters::{Parameters, Weighting, ZeroDifference};
use super::rules::WeightLaw;
use crate::blocks::on_device::{
    buffer_of, images_of, optional, over_pixels, read_image, read_layer, room_for, threads_for, TilePlace, SHARED_BYTES, THREADS,
};
use crate::blocks::tile_images::TileImages;

/// Output pixels of a thread of the window kernels.
const ROWS: usize = 8;
/// The same where several planes of keys decide.
const ROWS_MANY_KEYS: usize = 4;

/// Rows of a slab take no more shared memory than this if they can, so that several blocks share a multiprocessor.
const SLAB_BYTES: usize = 32 * 1024;
/// Most rows of a slab.
const SLAB_ROWS: usize = 8;

/// `StarfmTile` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Tile {
    place: TilePlace,
    more_keys: i32,
    largest_bound: i32,
    logarithmic: i32,
    temporal: i32,
    zero_difference: i32,
}

/// `StarfmBand` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Band {
    spectral: f64,
    temporal: f64,
    scale: f32,
    offset: f32,
    smallest: f32,
    within: f32,
}

/// How a window kernel is launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WindowShape {
    threads: usize,
    rows_of_thread: usize,
    slab_rows: usize,
    shared_bytes: usize,
}

impl WindowShape {
    /// The shape for rows of `cols` pixels, half a window and planes of keys beyond the first. `None` where a single row of a slab does not
    /// fit into shared memory.
    fn new(cols: usize, half: usize, more_keys: usize, wide_proposals: bool) -> Option<WindowShape> {
        let rows_of_thread = if more_keys > 0 { ROWS_MANY_KEYS } else { ROWS };
        let of = |threads: usize, slab_rows: usize| {
            let (side, span) = (2 * half + 1, threads + 2 * half);
            let proposals = if wide_proposals { 8 * slab_rows * span } else { 4 * (slab_rows * span).next_multiple_of(2) };
            let keys = more_keys * (rows_of_thread * threads * 8 + slab_rows * span * 4);
            let shared_bytes = slab_rows * (side * rows_of_thread * 4 + span * 16) + proposals + keys;
            WindowShape { threads, rows_of_thread, slab_rows, shared_bytes }
        };
        let mut threads = threads_for(cols, THREADS);
        while threads > 32 && of(threads, 1).shared_bytes > SHARED_BYTES {
            threads /= 2;
        }
        (1..=SLAB_ROWS)
            .rev()
            .map(|rows| of(threads, rows))
            .find(|shape| shape.shared_bytes <= if shape.slab_rows == 1 { SHARED_BYTES } else { SLAB_BYTES })
    }
}

/// What a tile costs on a GPU.
///
/// # Errors
/// As [`stfusion_core::method::Plan::device_cost`].
pub fn cost(parameters: &Parameters, scene: &SceneInfo) -> std::result::Result<DeviceCost, &'static str> {
    let (bands, pairs) = (scene.bands, scene.pairs.len());
    let more_keys = parameters.similarity_bands.len().saturating_sub(1);
    let half = (parameters.window / 2) as usize;
    if WindowShape::new(THREADS, half, more_keys, true).is_none() {
        return Err("it compares so many similarity bands in so large a window only on the CPU");
    }
    let maps = scene.pairs.iter().filter(|p| p.has(ExtraImage::Classes)).count();
    let images = 4 * (bands * (1 + 2 * pairs) + maps);
    let samples = bands * (16 + 8) + 4 * more_keys;
    // bounds, totals, counts, valid samples, prediction; ranges; support
    let outputs = bands * (8 + 8 + 4 + 4 + 4) + 8 * (bands + more_keys) + 8;
    let side = 2 * half + 1;
    let prepared_bytes = 4 * side * side + bands * (size_of::<Band>() + 4 + 8 * pairs);
    Ok(DeviceCost { bytes_per_px: images + samples + outputs, fixed_bytes: 0, prepared_bytes })
}

/// A kernel of this method.
fn kernel(function: &'static str) -> Kernel {
    Kernel { module: "methods/starfm", function }
}

/// The window kernel of a kind.
fn window_kernel(strict: bool, many_keys: bool, within: bool, count: bool) -> Kernel {
    kernel(match (strict, many_keys, within, count) {
        (true, true, ..) => "starfm_window_strict_many_keys",
        (false, true, ..) => "starfm_window_loose_many_keys",
        (true, false, false, false) => "starfm_window_strict",
        (true, false, false, true) => "starfm_window_strict_count",
        (true, false, true, false) => "starfm_window_strict_within",
        (true, false, true, true) => "starfm_window_strict_within_count",
        (false, false, false, false) => "starfm_window_loose",
        (false, false, false, true) => "starfm_window_loose_count",
        (false, false, true, false) => "starfm_window_loose_within",
        (false, false, true, true) => "starfm_window_loose_within_count",
    })
}

/// A job whose tables lie on a device.
struct OnDevice<'a> {
    job: &'a Job,
    bands: Buffer,
    inverse_distances: Buffer,
    /// Tolerances or means, one for each pair and band.
    tolerances: Buffer,
    similarity_bands: Option<Buffer>,
}

/// Puts the tables of `job` on the device of `queue`.
///
/// # Errors
/// Those of the device.
pub fn on_device<'a>(job: &'a Job, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
    let rules = &job.rules;
    let bands: Vec<Band> = (0..job.bands)
        .map(|b| {
            let (law, sigma) = (WeightLaw::new(rules, b), rules.uncertainty[b]);
            let WeightLaw { scale, offset, smallest, within, .. } = law;
            Band { spectral: sigma.spectral, temporal: sigma.temporal, scale, offset, smallest, within }
        })
        .collect();
    let (Tolerances::Image(table) | Tolerances::Window(table)) = &job.tolerances;
    let similarity: Vec<i32> = rules.similarity_bands.iter().map(|&b| b as i32).collect();
    Ok(Box::new(OnDevice {
        job,
        bands: buffer_of(queue, &bands)?,
        inverse_distances: buffer_of(queue, &job.inverse_distance)?,
        tolerances: buffer_of(queue, &table.concat())?,
        similarity_bands: if similarity.is_empty() { None } else { Some(buffer_of(queue, &similarity)?) },
    }))
}

impl OnDevice<'_> {
    fn tile(&self, tile: &TileIn<'_>) -> Tile {
        let rules = &self.job.rules;
        let number = |n: usize| n as i32;
        Tile {
            place: TilePlace::new(tile, self.job.bands, self.job.scene, rules.half),
            more_keys: number(rules.similarity_bands.len().saturating_sub(1)),
            largest_bound: i32::from(rules.largest_bound),
            logarithmic: i32::from(rules.weighting == Weighting::Logarithmic),
            temporal: i32::from(rules.temporal),
            zero_difference: match rules.zero_difference {
                ZeroDifference::None => 0,
                ZeroDifference::Temporal => 1,
                ZeroDifference::Both => 2,
            },
        }
    }
}

impl DeviceTiles for OnDevice<'_> {
    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, queue: &mut dyn Queue, exec: &Exec<'_>) -> Result<()> {
        exec.cancel.check()?;
        let input = TileImages::new(tile)?;
        let rules = &self.job.rules;
        let bands = self.job.bands;
        let more_keys = rules.similarity_bands.len().saturating_sub(1);
        let (count, within) = (out.support.is_some(), rules.within_uncertainty || more_keys > 0);
        let (padded, region) = ((bands, tile.padded.rows, tile.padded.cols), (bands, tile.region.rows, tile.region.cols));
        let (inside, pixels) = (tile.padded.pixels(), tile.region.pixels());

        let images = images_of(queue, &input, 0..input.pairs.len())?;
        let bounds = room_for::<[f32; 2]>(queue, bands * pixels)?;
        let samples = room_for::<[i32; 4]>(queue, bands * inside)?;
        let proposals = room_for::<f32>(queue, if within { 2 } else { 1 } * bands * inside)?;
        let keys = if more_keys > 0 { Some(room_for::<i32>(queue, more_keys * inside)?) } else { None };
        let ranges = room_for::<[i32; 2]>(queue, (bands + more_keys) * pixels)?;
        let totals = room_for::<[f32; 2]>(queue, bands * pixels)?;
        let prediction = room_for::<f32>(queue, bands * pixels)?;
        // kernels for many keys always count
        let counts = if count || more_keys > 0 { Some(room_for::<i32>(queue, bands * pixels)?) } else { None };
        let valid = if count { Some(room_for::<i32>(queue, bands * pixels)?) } else { None };

        let whole = self.tile(tile);
        let over_samples = |planes: usize| over_pixels((planes, padded.1, padded.2), threads_for(padded.2, THREADS), 1, 0);
        let threads = threads_for(region.2, THREADS);
        let over_outputs = |planes: usize, bytes_per_column: usize| {
            over_pixels((planes, region.1, region.2), threads, 1, bytes_per_column * (threads + 2 * rules.half))
        };
        let tile_bytes = Arg::Bytes(bytemuck::bytes_of(&whole));
        queue.launch(
            kernel("starfm_bounds"),
            over_outputs(bands, 0),
            &[Arg::Buffer(&images), Arg::Buffer(&self.bands), Arg::Buffer(&bounds), tile_bytes],
        )?;

        for (k, pair) in input.pairs.iter().enumerate() {
            exec.cancel.check()?;
            let number = Arg::Int(k as i32);
            let classes = match pair.classes {
                Some(map) => Some(buffer_of(queue, map)?),
                None => None,
            };
            // a class map takes the place of all similarity bands
            let mut here = whole;
            let similarity_bands = match classes {
                Some(_) => {
                    here.more_keys = 0;
                    None
                }
                None => self.similarity_bands.as_ref(),
            };
            let here_bytes = Arg::Bytes(bytemuck::bytes_of(&here));
            let first_similarity = match rules.similarity_bands.first() {
                Some(&band) if classes.is_none() => band as i32,
                _ => -1,
            };
            queue.launch(
                kernel(if within { "starfm_planes_within" } else { "starfm_planes" }),
                over_samples(bands),
                &[
                    Arg::Buffer(&images),
                    optional(classes.as_ref()),
                    Arg::Buffer(&self.bands),
                    Arg::Buffer(&samples),
                    Arg::Buffer(&proposals),
                    here_bytes,
                    number,
                    Arg::Int(first_similarity),
                ],
            )?;
            if let (Some(keys), Some(similarity_bands)) = (&keys, similarity_bands) {
                queue.launch(
                    kernel("starfm_keys"),
                    over_samples(more_keys),
                    &[Arg::Buffer(&images), Arg::Buffer(similarity_bands), Arg::Buffer(keys), here_bytes, number],
                )?;
            }
            let local = classes.is_none() && matches!(self.job.tolerances, Tolerances::Window(_));
            let tolerances = if classes.is_some() { Arg::NoBuffer } else { Arg::Buffer(&self.tolerances) };
            let mut arguments = vec![
                Arg::Buffer(&images),
                optional(similarity_bands),
                tolerances,
                Arg::Buffer(&samples),
                Arg::Buffer(&ranges),
                here_bytes,
                number,
            ];
            let planes = bands + here.more_keys as usize;
            let number_of_classes = [rules.classes];
            if local {
                // a structure of one number: `double` has no kind of argument of its own
                arguments.push(Arg::Bytes(bytemuck::cast_slice(&number_of_classes)));
                queue.launch(kernel("starfm_ranges_local"), over_outputs(planes, 3 * 8), &arguments)?;
            } else {
                queue.launch(kernel("starfm_ranges"), over_outputs(planes, 0), &arguments)?;
            }
            if let Some(valid) = &valid {
                queue.launch(
                    kernel("starfm_valid"),
                    over_outputs(bands, 4),
                    &[Arg::Buffer(&samples), Arg::Buffer(valid), here_bytes, number],
                )?;
            }
            let shape = WindowShape::new(region.2, rules.half, more_keys, within)
                .ok_or_else(|| stfusion_core::Error::internal("a window was planned that shared memory cannot hold"))?;
            queue.launch(
                window_kernel(self.job.strict, more_keys > 0, within, count),
                over_pixels(region, shape.threads, shape.rows_of_thread, shape.shared_bytes),
                &[
                    Arg::Buffer(&samples),
                    Arg::Buffer(&proposals),
                    optional(keys.as_ref()),
                    Arg::Buffer(&ranges),
                    Arg::Buffer(&bounds),
                    Arg::Buffer(&self.inverse_distances),
                    Arg::Buffer(&totals),
                    optional(counts.as_ref()),
                    here_bytes,
                    number,
                    Arg::Int(shape.slab_rows as i32),
                ],
            )?;
        }
        queue.launch(
            kernel("starfm_finish"),
            over_outputs(bands, 0),
            &[Arg::Buffer(&images), Arg::Buffer(&totals), Arg::Buffer(&prediction), tile_bytes],
        )?;
        if let (Some(support), Some(counts), Some(valid)) = (&mut out.support, &counts, &valid) {
            let (fewest, fraction) = (room_for::<f32>(queue, pixels)?, room_for::<f32>(queue, pixels)?);
            queue.launch(
                kernel("starfm_support"),
                over_outputs(1, 0),
                &[
                    Arg::Buffer(&prediction),
                    Arg::Buffer(counts),
                    Arg::Buffer(valid),
                    Arg::Buffer(&fewest),
                    Arg::Buffer(&fraction),
                    tile_bytes,
                ],
            )?;
            read_layer(queue, &fewest, &mut support.similar_pixels)?;
            read_layer(queue, &fraction, &mut support.valid_fraction)?;
        }
        exec.cancel.check()?;
        read_image(queue, &prediction, &mut out.image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_window_fits_into_the_memory_that_every_gpu_has() {
        for cols in [1, 40, 100, 5000] {
            for half in [0, 3, 25, 150] {
                for (more_keys, wide) in [(0, false), (0, true), (1, true), (6, true)] {
                    let shape = WindowShape::new(cols, half, more_keys, wide).unwrap();
                    assert!(shape.shared_bytes <= SHARED_BYTES && shape.slab_rows >= 1, "{shape:?}");
                }
            }
        }
        assert_eq!(WindowShape::new(5000, 150, 100, true), None);
    }

    #[test]
    fn the_usual_window_leaves_room_for_a_second_block() {
        let shape = WindowShape::new(5000, 25, 0, false).unwrap();
        assert_eq!((shape.threads, shape.slab_rows), (256, 4));
        assert!(shape.shared_bytes <= SLAB_BYTES);
    }
}
