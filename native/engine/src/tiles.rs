//! How a scene is cut into tiles so that all of a run fits its memory budget.

use stfusion_core::method::{Cost, SceneInfo};
use stfusion_core::{Error, ErrorKind, Region, Result};

use crate::device::{Gpus, Processors};
use crate::support::SUPPORT_BANDS;

/// Sides of tiles, in fine pixels, from the largest; all are whole multiples or parts of the blocks of the output file.
const SIDES: [usize; 12] = [2048, 1536, 1024, 768, 512, 384, 256, 192, 128, 64, 32, 16];

/// Tiles are made small enough that every thread gets at least this many, as long as their halo stays a small part.
const TILES_PER_THREAD: usize = 8;

/// Threads that read for GPUs, at most.
const GPU_READERS: usize = 4;

/// The tiles of a run and what they hold in memory.
#[derive(Debug, Clone)]
pub(crate) struct Tiling {
    /// Side of a tile in fine pixels; tiles at the right and lower border are smaller.
    pub side_px: usize,
    /// The tiles, row by row.
    pub tiles: Vec<Region>,
    /// Threads that read.
    pub readers: usize,
    /// Threads that compute, or serve the queues of GPUs.
    pub workers: usize,
    /// Tiles whose input is in memory at once.
    pub inputs_in_flight: usize,
    /// Estimated memory of the run in bytes.
    pub bytes: u64,
}

/// Side of tiles, in fine pixels, whose halo is a small part of them.
pub(crate) fn worthwhile_px(cost: Cost) -> usize {
    (4 * cost.halo_px).max(128)
}

/// Bytes of the input of one tile.
fn input_bytes(scene: &SceneInfo, pixels: u64) -> u64 {
    let planes: usize = scene.bands + scene.pairs.iter().map(|p| 2 * scene.bands + p.extra_images.len()).sum::<usize>();
    pixels * planes as u64 * 4
}

/// Pixels of the smallest tile that a scene is cut into, halo included.
pub(crate) fn smallest_tile_px(scene: &SceneInfo, halo_px: usize) -> u64 {
    padded_px(scene, halo_px, SIDES[SIDES.len() - 1])
}

/// Pixels of a tile of side `side`, halo included.
fn padded_px(scene: &SceneInfo, halo_px: usize, side: usize) -> u64 {
    (side + 2 * halo_px).min(scene.rows) as u64 * (side + 2 * halo_px).min(scene.cols) as u64
}

/// Who computes the tiles and what a tile costs.
pub(crate) struct Workers<'a> {
    count: usize,
    readers: usize,
    /// On the host.
    cost: Cost,
    gpus: Option<&'a Gpus>,
}

impl<'a> Workers<'a> {
    /// The workers of a run with `threads` threads.
    pub fn new(processors: &'a Processors, cost: Cost, threads: usize) -> Workers<'a> {
        let count = processors.workers(threads);
        match processors {
            Processors::Cpu => Workers { count, readers: if threads > 1 { 2 } else { 1 }, cost, gpus: None },
            // a GPU waits for files rather than the other way round
            Processors::Gpus(gpus) => Workers {
                count,
                readers: threads.clamp(1, GPU_READERS),
                cost: Cost { bytes_per_px: 0, fixed_bytes: 0, ..cost },
                gpus: Some(gpus),
            },
        }
    }
}

/// Cuts the scene of `scene` into tiles so that the run stays within `budget` bytes, of which `held` are taken already, and
/// within the memory of GPUs. `side_px` overrides the side of the tiles.
///
/// # Errors
/// [`ErrorKind::Memory`] naming the budget, and the smallest one that would do.
pub(crate) fn tiling(
    scene: &SceneInfo,
    workers: &Workers<'_>,
    support: bool,
    budget: u64,
    held: u64,
    side_px: Option<usize>,
) -> Result<Tiling> {
    let Workers { count: threads, readers, cost, gpus } = *workers;
    // every worker holds one tile, every reader one more, and as many wait in the queue
    let inputs = threads + 2 * readers;
    // every worker fills one output, a few wait for the writer, and the writer holds one
    let outputs = threads + 3;
    let out_planes = (scene.bands + if support { SUPPORT_BANDS.len() } else { 0 }) as u64;
    let bytes_of = |side: usize| {
        let padded = padded_px(scene, cost.halo_px, side);
        let inner = side.min(scene.rows) as u64 * side.min(scene.cols) as u64;
        inputs as u64 * input_bytes(scene, padded)
            + threads as u64 * (padded * cost.bytes_per_px as u64 + cost.fixed_bytes as u64)
            + outputs as u64 * inner * out_planes * 4
            + cost.prepared_bytes as u64
            + held
    };
    let side = match side_px {
        Some(side) => side.max(1),
        None => {
            let smallest = SIDES[SIDES.len() - 1];
            let on_gpus = |side: usize| gpus.is_none_or(|g| g.fit(padded_px(scene, cost.halo_px, side)));
            let fits = SIDES.into_iter().filter(|&s| bytes_of(s) <= budget && on_gpus(s));
            let largest = fits.clone().next().ok_or_else(|| {
                let mib = |b: u64| b.div_ceil(1 << 20);
                Error::new(
                    ErrorKind::Memory,
                    format!(
                        "The memory budget of {} MiB is too small for this job ({} bands, {} pairs, halo {} px, {threads} threads); it needs at least {} MiB",
                        mib(budget), scene.bands, scene.pairs.len(), cost.halo_px, mib(bytes_of(smallest))
                    ),
                )
                .with_hint(format!("Set memory to {}MiB or more, use fewer threads, or a smaller window.", mib(bytes_of(smallest))))
            })?;
            let count = |side: usize| scene.rows.div_ceil(side) * scene.cols.div_ceil(side);
            let suits = |&side: &usize| count(side) >= threads * TILES_PER_THREAD || side <= worthwhile_px(cost);
            fits.clone().find(suits).unwrap_or(largest)
        }
    };
    Ok(Tiling {
        side_px: side,
        tiles: Region::whole(scene.rows, scene.cols).blocks(side, side),
        readers,
        workers: threads,
        inputs_in_flight: inputs,
        bytes: bytes_of(side),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use stfusion_core::method::PairInfo;

    fn scene(rows: usize, cols: usize) -> SceneInfo {
        let pair = PairInfo { date: None, extra_images: Vec::new() };
        SceneInfo { bands: 6, rows, cols, scale: None, pairs: vec![pair], target_date: None }
    }

    const COST: Cost = Cost { halo_px: 25, bytes_per_px: 24, fixed_bytes: 1 << 20, prepared_bytes: 1 << 20 };

    fn two() -> Workers<'static> {
        Workers::new(&Processors::Cpu, COST, 2)
    }

    #[test]
    fn the_budget_holds_whatever_the_size_of_the_scene() {
        for side in [100, 1000, 10_980, 60_000] {
            for budget in [64 << 20, 256 << 20, 2u64 << 30] {
                let t = tiling(&scene(side, side), &two(), true, budget, 0, None).unwrap();
                assert!(t.bytes <= budget, "{side} {budget}: {t:?}");
                assert_eq!(t.tiles.iter().map(Region::pixels).sum::<usize>(), side * side);
            }
        }
    }

    #[test]
    fn a_budget_that_cannot_do_is_refused_with_one_that_can() {
        let refused = tiling(&scene(5000, 5000), &two(), true, 2 << 20, 0, None).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Memory);
        let named = refused.hint().unwrap().split("memory to ").nth(1).unwrap().split("MiB").next().unwrap();
        let budget = named.parse::<u64>().unwrap() << 20;
        assert!(tiling(&scene(5000, 5000), &two(), true, budget, 0, None).is_ok(), "{refused}");
    }

    #[test]
    fn small_scenes_are_shared_among_the_threads() {
        let t = tiling(&scene(1000, 1000), &two(), false, 2 << 30, 0, None).unwrap();
        assert!(t.tiles.len() >= 12, "{}", t.tiles.len());
    }
}
