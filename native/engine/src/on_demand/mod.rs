//! A prediction that is computed where somebody looks at it: a job opened once, and its pixels block by block.
//!
//! ```text
//! read(region) ──> blocks ──held──────────────────────────────> delivered on the calling thread
//!                    └──missing──> tiles ──pool: fill, compute, store──┘ └──> kept, least recently used ones go
//! ```
//!
//! The pixels are those that [`crate::fuse`] would write, bit for bit. Besides full resolution there are levels of 2, 4, 8, …
//! times larger pixels for looking from afar: images are read at that resolution, lengths among the method's parameters shrink
//! accordingly, and statistics of the whole scene are taken anew. They are approximations.
//!
//! One value serves any number of threads. Tiles are read and computed by the context's pool, so that every thread that opens
//! files lives as long as the value, and handles are not opened anew with every request.

mod cache;
mod level;
mod placed;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{sync_channel, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ndarray::{s, Array3};
use stfusion_core::method::Scene;
use stfusion_core::{Cancel, Error, Exec, Region, Result};
use stfusion_raster::OutputSpec;

pub use cache::Block;

use crate::context::{Context, ContextOptions, Progress};
use crate::device::{computer, OnGpu};
use crate::fuse::{metadata, open, resolved_job, Opened};
use crate::job::Job;
use crate::named_files::with_contents;
use crate::pipeline::panicked;
use crate::support::SUPPORT_BANDS;
use crate::tile::{Computed, Computer, Tiles};
use crate::tiles::{tiling, worthwhile_px, Workers};
use cache::{Cache, Claim, Key};
use level::{Level, Ready};

/// Shortest time between two calls of the caller's progress function.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);
/// Sides of blocks in fine pixels: the smallest that is several times the halo is used.
const BLOCKS: [usize; 2] = [256, 512];
/// Levels are made until one is at most this many pixels long and wide.
const SMALLEST_LEVEL_PX: usize = 64;
/// Tiles of a request per thread, as long as they are larger than blocks.
const TILES_PER_THREAD: usize = 8;

/// Takes one block of a part.
pub type Take<'a> = dyn FnMut(&Arc<Block>) -> Result<()> + 'a;

/// What can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Product {
    /// The predicted image.
    Prediction,
    /// The support layer, bands of [`SUPPORT_BANDS`].
    Support,
}

/// One resolution of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// Fine pixels per pixel side, about: 1 at full resolution.
    pub factor: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
}

/// A part of a product to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// What.
    pub product: Product,
    /// Position among [`OnDemand::resolutions`].
    pub level: usize,
    /// Pixels of that level.
    pub region: Region,
}

/// See the [module](self).
pub struct OnDemand {
    context: Context,
    prediction: OutputSpec,
    support: OutputSpec,
    inputs: Vec<String>,
    warnings: Vec<String>,
    levels: Vec<Level>,
    block_px: usize,
    /// Largest side of a tile that fits the memory budget.
    tile_px: usize,
    cache: Cache,
}

impl OnDemand {
    /// Opens the images of a job and checks everything that can be checked before computing. What the job says about its
    /// output file is ignored, except type and nodata value. `options` gives what the job leaves open.
    ///
    /// # Errors
    /// Those that [`crate::fuse`] would have before its first tile, except those of the output.
    pub fn open(job: &Job, options: ContextOptions) -> Result<OnDemand> {
        let context = Context::new(options)?;
        let own = context.for_job(job.threads, job.memory)?;
        let context = own.unwrap_or(context);
        job.check_complete()?;
        let method = job.method()?;
        let values = with_contents(&job.values()?, method.info().parameters)?;
        job.device.check()?;
        let Opened { scene, grid, mut warnings } = open(job, &values, &Cancel::new())?;
        let info = scene.info().clone();

        let output = job.output.clone().unwrap_or_default();
        let (mut prediction, spec_warnings) = OutputSpec::like(scene.fine_info(), &output)?;
        warnings.extend(spec_warnings);
        let resolved = resolved_job(job, &values, grid, &info)?;
        prediction.metadata.extend(metadata(&resolved, &info, method.info()));
        let mut support = OutputSpec::support(&prediction.grid, &SUPPORT_BANDS, &output);
        support.metadata.clone_from(&prediction.metadata);

        let held = scene.held_bytes() as u64;
        let full = Level::full(scene, method, &values, job.device.clone())?;
        let processors = full.processors(context.log())?;
        let budget = context.memory();
        let workers = Workers::new(&processors, full.cost(), context.threads());
        let cut = |budget: u64| tiling(&info, &workers, true, budget, held, None);
        // blocks get half of the budget, or what tiles leave of it
        let tiling = cut(budget / 2).or_else(|_| cut(budget))?;
        let of_levels = budget / 16;
        let capacity = (budget / 2).min(budget.saturating_sub(tiling.bytes)).saturating_sub(2 * of_levels);
        let wanted = BLOCKS.into_iter().find(|&b| b >= 4 * full.cost().halo_px).unwrap_or(BLOCKS[BLOCKS.len() - 1]);
        let block_px = BLOCKS[0].max(wanted).min(1 << tiling.side_px.ilog2());
        let mut levels = vec![full];
        while let Some(factor) = next_factor(&levels, info.rows.max(info.cols)) {
            match Level::reduced(&levels[0], factor, &values, of_levels) {
                Ok(level) => levels.push(level),
                Err(error) => {
                    (context.log())(stfusion_core::Level::Info, &format!("No overview of 1/{factor}: {error}"));
                    break;
                }
            }
        }
        Ok(OnDemand {
            inputs: job.input_names().into_iter().map(String::from).collect(),
            context,
            prediction,
            support,
            warnings,
            levels,
            block_px,
            tile_px: tiling.side_px.max(block_px),
            cache: Cache::new(capacity as usize),
        })
    }

    /// How a product looks: grid, bands, type, scale, nodata, metadata.
    pub fn spec(&self, product: Product) -> &OutputSpec {
        match product {
            Product::Prediction => &self.prediction,
            Product::Support => &self.support,
        }
    }

    /// What the user should know.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Names of all inputs.
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// Full resolution, then those of larger pixels.
    pub fn resolutions(&self) -> Vec<Resolution> {
        let of = |level: &Level| Resolution { factor: level.factor, rows: level.info().rows, cols: level.info().cols };
        self.levels.iter().map(of).collect()
    }

    /// Side of the blocks in which pixels are computed and kept, in pixels of their level.
    pub fn block_px(&self) -> usize {
        self.block_px
    }

    /// Whether the blocks under a part can be kept all together.
    pub fn can_keep(&self, part: Part) -> bool {
        self.bytes(part) <= self.cache.capacity()
    }

    /// What the blocks under a part hold at most.
    fn bytes(&self, part: Part) -> usize {
        self.keys(part).len() * self.block_px * self.block_px * self.spec(part.product).bytes_per_px()
    }

    /// Hands every block under a part to `take`, in any order, each once, on the calling thread. `progress` is told how
    /// far the computation is, on the calling thread too, and answers whether to go on.
    ///
    /// # Errors
    /// Those of reading and of the method; [`stfusion_core::ErrorKind::Cancelled`] when `progress` answers false; those of `take`.
    pub fn read(&self, part: Part, progress: &mut Progress<'_>, take: &mut Take<'_>) -> Result<()> {
        // a thread of another pool, for which this job is an input, would do other work of its pool while it waits for this one
        if rayon::current_thread_index().is_some() {
            return self.read_elsewhere(part, take);
        }
        let level = self.levels.get(part.level).ok_or_else(|| Error::internal("a resolution that the job has not"))?;
        let (mut mine, mut others) = (Claims { cache: &self.cache, keys: Vec::new() }, Vec::new());
        for key in self.keys(part) {
            match self.cache.claim(key) {
                Claim::Held(block) => take(&block)?,
                Claim::Granted => mine.keys.push(key),
                Claim::Taken => others.push(key),
            }
        }
        if let (false, Some(ahead)) = (mine.keys.is_empty(), self.ahead(level, part)) {
            let granted = |key: &Key| matches!(self.cache.claim(*key), Claim::Granted);
            mine.keys.extend(self.keys(ahead).into_iter().filter(granted));
        }
        self.compute(level, part, &mut mine, progress, take)?;
        for key in others {
            match self.awaited(key, progress)? {
                Some(block) => take(&block)?,
                None => {
                    mine.keys.push(key);
                    self.compute(level, part, &mut mine, progress, take)?;
                }
            }
        }
        Ok(())
    }

    /// As [`OnDemand::read`], from a thread without a pool.
    fn read_elsewhere(&self, part: Part, take: &mut Take<'_>) -> Result<()> {
        std::thread::scope(|scope| {
            let (sender, blocks) = sync_channel::<Arc<Block>>(1);
            let gone = |_| Error::cancelled();
            let reader =
                scope.spawn(move || self.read(part, &mut |_, _| true, &mut |block| sender.send(Arc::clone(block)).map_err(gone)));
            for block in blocks {
                take(&block)?;
            }
            reader.join().unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
        })
    }

    /// A block that somebody else was computing; `None` when that failed and it is to be computed here.
    fn awaited(&self, key: Key, progress: &mut Progress<'_>) -> Result<Option<Arc<Block>>> {
        loop {
            match self.cache.wait(key, PROGRESS_INTERVAL) {
                Claim::Held(block) => return Ok(Some(block)),
                Claim::Granted => return Ok(None),
                Claim::Taken if progress(0.0, "Waiting") => {}
                Claim::Taken => return Err(Error::cancelled()),
            }
        }
    }

    fn keys(&self, part: Part) -> Vec<Key> {
        let Region { row, col, rows, cols } = part.region;
        if rows == 0 || cols == 0 {
            return Vec::new();
        }
        let side = self.block_px;
        let columns = col / side..=(col + cols - 1) / side;
        let of_row = |j: usize| columns.clone().map(move |i| (part.product, part.level, j, i));
        (row / side..=(row + rows - 1) / side).flat_map(of_row).collect()
    }

    /// What is computed along with a part, to be kept for the next request: who reads rows in their whole length goes on below
    /// them, and rows as high as a tile cost far less halo than one row of blocks after the other.
    fn ahead(&self, level: &Level, part: Part) -> Option<Part> {
        let Region { row, col, rows, cols } = part.region;
        let info = level.info();
        let end = (row / self.block_px * self.block_px + self.tile_px).min(info.rows);
        let of = |row, end| Part { region: Region::new(row, col, end - row, cols), ..part };
        // what is kept for the next request must not go before it comes
        let worthwhile = cols == info.cols && end > row + rows && self.bytes(of(row, end)) <= self.cache.capacity() / 2;
        worthwhile.then(|| of(row + rows, end))
    }

    fn compute(
        &self,
        level: &Level,
        part: Part,
        claims: &mut Claims<'_>,
        progress: &mut Progress<'_>,
        take: &mut Take<'_>,
    ) -> Result<()> {
        if claims.keys.is_empty() {
            return Ok(());
        }
        let ready = level.ready(&self.context, progress)?;
        let tiles = self.tiles(level, &claims.keys);
        let work =
            Work { of: self, ready: &ready, part, cancel: Cancel::new(), next: AtomicUsize::new(0), buffers: Mutex::default() };
        let on_gpus = ready.placed.on_gpus();
        let workers = ready.processors.workers(self.context.threads()).min(tiles.len());
        let (sender, computed) = sync_channel::<Result<Vec<Block>>>(workers);
        let (total, mut done, mut told) = (tiles.len(), 0usize, Instant::now());
        let mut outcome = Ok(());
        self.context.pool().in_place_scope(|scope| {
            for k in 0..workers {
                let (work, tiles, sender) = (&work, &tiles, sender.clone());
                let gpu = on_gpus.get(k % on_gpus.len().max(1));
                scope.spawn(move |_| work.run(tiles, gpu, &sender));
            }
            drop(sender);
            // the channel is emptied to its end, so that nobody waits in front of it
            loop {
                match computed.recv_timeout(PROGRESS_INTERVAL) {
                    Ok(blocks) => {
                        done += 1;
                        let taken =
                            blocks.and_then(|blocks| blocks.into_iter().try_for_each(|b| self.deliver(b, part, claims, take)));
                        if let (Err(error), true) = (taken, outcome.is_ok()) {
                            work.cancel.request();
                            outcome = Err(error);
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                if told.elapsed() >= PROGRESS_INTERVAL {
                    told = Instant::now();
                    if outcome.is_ok() && !progress(0.05 + 0.95 * done as f64 / total as f64, "Fusing") {
                        work.cancel.request();
                        outcome = Err(Error::cancelled());
                    }
                }
            }
        });
        outcome
    }

    fn deliver(&self, block: Block, part: Part, claims: &mut Claims<'_>, take: &mut Take<'_>) -> Result<()> {
        let key = (part.product, part.level, block.region.row / self.block_px, block.region.col / self.block_px);
        let block = Arc::new(block);
        self.cache.insert(key, Arc::clone(&block));
        claims.keys.retain(|k| *k != key);
        let is_ahead = block.region.row >= part.region.row + part.region.rows;
        if is_ahead {
            Ok(())
        } else {
            take(&block)
        }
    }

    /// Tiles over blocks that are to be computed: rectangles of them as large as the memory and the number of threads suggest.
    fn tiles(&self, level: &Level, keys: &[Key]) -> Vec<Region> {
        let side = self.block_px;
        let side_of = |tiles: usize| ((keys.len() * side * side / tiles) as f64).sqrt() as usize;
        let threads = self.context.threads();
        let balanced = side_of(threads * TILES_PER_THREAD).max(worthwhile_px(level.cost()).min(side_of(threads)));
        let blocks = (balanced.min(self.tile_px) / side).max(1);
        let info = level.info();
        let region = |row: usize, col: usize, high: usize, wide: usize| {
            let (top, left) = (row * side, col * side);
            Region::new(top, left, (high * side).min(info.rows - top), (wide * side).min(info.cols - left))
        };
        let missing: std::collections::BTreeSet<(usize, usize)> = keys.iter().map(|k| (k.2, k.3)).collect();
        let ends = |of: fn(&(usize, usize)) -> usize| (missing.iter().map(of).min(), missing.iter().map(of).max());
        let ((Some(top), Some(bottom)), (Some(left), Some(right))) = (ends(|b| b.0), ends(|b| b.1)) else { return Vec::new() };
        let mut tiles = Vec::new();
        for row in (top..=bottom).step_by(blocks) {
            for col in (left..=right).step_by(blocks) {
                let (high, wide) = (blocks.min(bottom + 1 - row), blocks.min(right + 1 - col));
                let cells = (row..row + high).flat_map(|j| (col..col + wide).map(move |i| (j, i)));
                let here: Vec<(usize, usize)> = cells.filter(|cell| missing.contains(cell)).collect();
                if here.len() == high * wide {
                    tiles.push(region(row, col, high, wide));
                } else {
                    tiles.extend(here.into_iter().map(|(j, i)| region(j, i, 1, 1)));
                }
            }
        }
        tiles
    }
}

/// The factor of the level after the last of `levels`, unless that is small enough.
fn next_factor(levels: &[Level], longest: usize) -> Option<usize> {
    let last = levels.last()?.factor;
    (longest.div_ceil(last) > SMALLEST_LEVEL_PX).then_some(2 * last)
}

/// Blocks that this request has to compute; what is left of them when it ends is for others to compute.
struct Claims<'a> {
    cache: &'a Cache,
    keys: Vec<Key>,
}

impl Drop for Claims<'_> {
    fn drop(&mut self) {
        self.cache.abandon(&self.keys);
    }
}

/// Tiles being computed for one request.
struct Work<'a> {
    of: &'a OnDemand,
    ready: &'a Ready,
    part: Part,
    cancel: Cancel,
    next: AtomicUsize,
    buffers: Mutex<Vec<Vec<Array3<f32>>>>,
}

impl Work<'_> {
    /// Computes tiles until there are no more, or one fails, which stops the others.
    fn run(&self, tiles: &[Region], gpu: Option<&OnGpu<'_>>, done: &SyncSender<Result<Vec<Block>>>) {
        let mut computer = match computer(self.ready.placed.prepared(), gpu) {
            Ok(computer) => computer,
            Err(error) => {
                // nobody listens any more when another worker failed before
                let _ = done.send(Err(error));
                return;
            }
        };
        while let Some(&region) = tiles.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let blocks = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.blocks(region, &mut computer)))
                .unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
            let failed = blocks.is_err();
            if done.send(blocks).is_err() || failed {
                return;
            }
        }
    }

    fn blocks(&self, region: Region, computer: &mut Computer<'_>) -> Result<Vec<Block>> {
        let support = self.part.product == Product::Support;
        let tiles = Tiles { scene: self.ready.scene(), halo_px: self.ready.cost.halo_px, support };
        let used = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let filled = tiles.fill(region, used, &self.cancel)?;
        let exec = Exec { cancel: &self.cancel, log: self.of.context.log(), progress: &|_| {} };
        let Computed { image, support, .. } = tiles.compute(&filled, computer, &exec)?;
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(filled.layers);
        let (values, spec) = (support.unwrap_or(image), self.of.spec(self.part.product));
        region.blocks(self.of.block_px, self.of.block_px).into_iter().map(|block| stored(&values, region, block, spec)).collect()
    }
}

/// The part `block` of a computed tile as it would be stored.
fn stored(values: &Array3<f32>, tile: Region, block: Region, spec: &OutputSpec) -> Result<Block> {
    let (row, col) = (block.row - tile.row, block.col - tile.col);
    let part = values.slice(s![.., row..row + block.rows, col..col + block.cols]);
    let bands = part.outer_iter().enumerate().map(|(band, values)| spec.stored(band, values)).collect::<Result<_>>()?;
    Ok(Block { region: block, bands })
}
