//! Reading, computing and writing side by side.
//!
//! ```text
//! readers ──(bounded queue of filled tiles)──> workers ──(bounded queue)──> writer
//!    ^                                             |                          |
//!    └── buffers come back <───────────────────────┘                          v
//! calling thread: progress, cancel <───────────── tiles done ───────────── Sink
//! ```
//!
//! Workers are the threads of the context's pool. On GPUs they are a few threads for each, which wait for it: every one has its own queue of
//! work there, so that copies and kernels of different tiles overlap.
//!
//! The queues are bounded, so memory does not grow with the scene. The first failure, or a cancel, ends all threads: each
//! notices it at its next tile, and a method at its next row. The order in which tiles finish does not matter: a tile's
//! pixels depend on nothing but its input.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{sync_channel, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ndarray::{s, Array3, ArrayView3, ArrayViewMut3};
use stfusion_core::method::{Method, Prepared, Request, Scene};
use stfusion_core::param::Values;
use stfusion_core::{Cancel, Error, Exec, Region, Result};

use crate::context::{Context, Progress};
use crate::device::{computer, DeviceChoice, OnGpu};
use crate::named_files::with_contents;
use crate::report::Report;
use crate::tile::{Computed, Computer, Filled, Tiles};
use crate::tiles::{tiling, Tiling, Workers};

/// Shortest time between two calls of the caller's progress function.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

/// Where computed tiles go.
pub trait Sink: Send {
    /// Takes the pixels of `region`: the prediction (band, row, col), `NaN` where invalid, and the support layer if it was
    /// asked for. Called from one thread; regions come in any order, each once.
    ///
    /// # Errors
    /// Those of writing; they end the run.
    fn write(&mut self, region: Region, image: ArrayView3<'_, f32>, support: Option<ArrayView3<'_, f32>>) -> Result<()>;
}

/// A sink in memory, of any strides.
pub struct MemorySink<'a> {
    /// Takes the prediction, (band, row, col), the size of the scene.
    pub image: ArrayViewMut3<'a, f32>,
    /// Takes the support layer (bands of [`SUPPORT_BANDS`]), if it was asked for.
    pub support: Option<ArrayViewMut3<'a, f32>>,
}

impl Sink for MemorySink<'_> {
    fn write(&mut self, region: Region, image: ArrayView3<'_, f32>, support: Option<ArrayView3<'_, f32>>) -> Result<()> {
        let window = s![.., region.row..region.row + region.rows, region.col..region.col + region.cols];
        self.image.slice_mut(window).assign(&image);
        if let (Some(into), Some(support)) = (&mut self.support, support) {
            into.slice_mut(window).assign(&support);
        }
        Ok(())
    }
}

/// What to compute on a scene.
pub struct SceneRequest<'a> {
    /// The method.
    pub method: &'a dyn Method,
    /// Its parameters.
    pub values: &'a Values,
    /// What computes.
    pub device: &'a DeviceChoice,
    /// Whether the support layer is wanted.
    pub support: bool,
    /// Side of the tiles in fine pixels; `None`: chosen from the memory budget.
    pub tile_px: Option<usize>,
    /// Bytes of the budget that the scene and the sink hold.
    pub held_bytes: u64,
}

/// Runs a method over a scene, tile by tile, into a sink.
///
/// # Errors
/// Those of the method, the scene and the sink; [`stfusion_core::ErrorKind::Memory`] when the budget is too small;
/// [`stfusion_core::ErrorKind::Cancelled`] when `progress` returns false.
pub fn fuse_scene(
    request: &SceneRequest<'_>,
    scene: &dyn Scene,
    sink: &mut dyn Sink,
    context: &Context,
    progress: &mut Progress<'_>,
) -> Result<Report> {
    let start = Instant::now();
    let info = scene.info();
    let values = with_contents(request.values, request.method.info().parameters)?;
    let plan = request.method.plan(&Request { values: &values, scene: info })?;
    let log = context.log();
    let processors = request.device.for_plan(request.method.info(), plan.as_ref(), info, log)?;
    let workers = Workers::new(&processors, plan.cost(), context.threads());
    let tiling = tiling(info, &workers, request.support, context.memory(), request.held_bytes, request.tile_px)?;
    let cancel = Cancel::new();

    let prepared = supervise(context, &cancel, progress, (0.0, 0.05), "Preparing", |tell| {
        let exec = Exec { cancel: &cancel, log, progress: tell };
        plan.prepare(scene, &exec)
    })?;
    let derived = prepared.derived();
    for (name, value) in &derived {
        (log)(stfusion_core::Level::Info, &format!("{name}: {value}"));
    }

    let tiles = Tiles { scene, halo_px: plan.cost().halo_px, support: request.support };
    let run = Run { tiles, tiling: &tiling, cancel: &cancel, context };
    let on_gpus = supervise(context, &cancel, progress, (0.05, 0.05), "Preparing", |_| processors.place(prepared.as_ref()))?;
    let predicted = run.all(prepared.as_ref(), &on_gpus, sink, progress)?;
    let samples = info.bands * info.rows * info.cols;
    Ok(Report {
        method: request.method.info().id.into(),
        device: processors.name(),
        files: Vec::new(),
        bands: info.bands,
        rows: info.rows,
        cols: info.cols,
        predicted_fraction: predicted as f64 / samples as f64,
        derived,
        artefacts: prepared.artefacts(),
        warnings: Vec::new(),
        tile_px: tiling.side_px,
        threads: context.threads(),
        memory_bytes: tiling.bytes,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// Runs `work` in the context's pool while the calling thread tells the caller how far it is and listens for a cancel.
/// `span` is the part of the whole that `work` is.
pub(crate) fn supervise<T: Send>(
    context: &Context,
    cancel: &Cancel,
    progress: &mut Progress<'_>,
    span: (f64, f64),
    label: &str,
    work: impl FnOnce(&(dyn Fn(f64) + Send + Sync)) -> Result<T> + Send,
) -> Result<T> {
    let done_permille = AtomicUsize::new(0);
    let (sender, receiver) = sync_channel::<Result<T>>(1);
    let outcome = context.pool().in_place_scope(|scope| {
        let done = &done_permille;
        scope.spawn(move |_| {
            let tell = move |f: f64| {
                done.fetch_max((f.clamp(0.0, 1.0) * 1000.0) as usize, Ordering::Relaxed);
            };
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&tell)));
            // the receiver outlives the scope, and the channel has room for the one message
            let _ = sender.send(outcome.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))));
        });
        loop {
            match receiver.recv_timeout(PROGRESS_INTERVAL) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Disconnected) => return Err(Error::internal("a worker thread panicked")),
                Err(RecvTimeoutError::Timeout) => {
                    let fraction = done.load(Ordering::Relaxed) as f64 / 1000.0;
                    if !progress(span.0 + (span.1 - span.0) * fraction, label) {
                        cancel.request();
                    }
                }
            }
        }
    });
    if cancel.is_requested() {
        return Err(Error::cancelled());
    }
    outcome
}

struct Run<'a> {
    tiles: Tiles<'a>,
    tiling: &'a Tiling,
    cancel: &'a Cancel,
    context: &'a Context,
}

/// The first failure of a run; later ones are its consequences.
#[derive(Default)]
struct FirstError(Mutex<Option<Error>>);

impl FirstError {
    fn slot(&self) -> MutexGuard<'_, Option<Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps `error` if it is the first, and asks everything to stop.
    fn record(&self, error: Error, cancel: &Cancel) {
        self.slot().get_or_insert(error);
        cancel.request();
    }
}

impl Run<'_> {
    /// Computes every tile, on the GPUs if there are some; returns the number of predicted samples.
    fn all(
        &self,
        prepared: &dyn Prepared,
        on_gpus: &[OnGpu<'_>],
        sink: &mut dyn Sink,
        progress: &mut Progress<'_>,
    ) -> Result<usize> {
        let total = self.tiling.tiles.len();
        let workers = self.tiling.workers;
        let next = AtomicUsize::new(0);
        let first_error = FirstError::default();
        let predicted = AtomicUsize::new(0);

        let waiting = self.tiling.inputs_in_flight.saturating_sub(workers + self.tiling.readers).max(1);
        let (to_workers, filled) = sync_channel::<Filled>(waiting);
        let (to_writer, computed) = sync_channel::<Computed>(2);
        let (to_caller, done) = sync_channel::<()>(total + 1);
        let buffers: Mutex<Vec<Vec<Array3<f32>>>> = Mutex::new(Vec::new());

        let worker = |gpu: Option<&OnGpu<'_>>, filled: Arc<Mutex<Receiver<Filled>>>, to_writer: SyncSender<Computed>| {
            guarded(&first_error, self.cancel, || {
                let count = self.compute_tiles(computer(prepared, gpu)?, &filled, &to_writer, &buffers)?;
                predicted.fetch_add(count, Ordering::Relaxed);
                Ok(())
            });
        };
        let worker = &worker;

        std::thread::scope(|threads_scope| {
            for _ in 0..self.tiling.readers {
                let to_workers = to_workers.clone();
                let (next, buffers, first_error) = (&next, &buffers, &first_error);
                threads_scope.spawn(move || {
                    guarded(first_error, self.cancel, || self.read_tiles(next, buffers, &to_workers));
                });
            }
            drop(to_workers);
            {
                let first_error = &first_error;
                threads_scope.spawn(move || {
                    guarded(first_error, self.cancel, || write_tiles(&computed, sink, self.cancel, &to_caller));
                });
            }
            // every worker has a share, so that a reader whose queue nobody empties any more finds it closed
            let filled = Arc::new(Mutex::new(filled));
            if on_gpus.is_empty() {
                self.context.pool().in_place_scope(|scope| {
                    for _ in 0..workers {
                        let (filled, to_writer) = (filled.clone(), to_writer.clone());
                        scope.spawn(move |_| worker(None, filled, to_writer));
                    }
                    drop((filled, to_writer));
                    self.watch(&done, total, progress);
                });
            } else {
                for gpu in on_gpus.iter().cycle().take(workers) {
                    let (filled, to_writer) = (filled.clone(), to_writer.clone());
                    threads_scope.spawn(move || worker(Some(gpu), filled, to_writer));
                }
                drop((filled, to_writer));
                self.watch(&done, total, progress);
            }
        });

        if let Some(error) = first_error.slot().take() {
            return Err(error);
        }
        self.cancel.check()?;
        Ok(predicted.into_inner())
    }

    /// Tells the caller how many tiles are written until the writer is gone.
    fn watch(&self, done: &Receiver<()>, total: usize, progress: &mut Progress<'_>) {
        let (mut finished, mut told) = (0usize, Instant::now());
        loop {
            match done.recv_timeout(PROGRESS_INTERVAL) {
                Ok(()) => finished += 1,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if told.elapsed() >= PROGRESS_INTERVAL {
                told = Instant::now();
                if !progress(0.05 + 0.95 * finished as f64 / total as f64, "Fusing") {
                    self.cancel.request();
                }
            }
        }
    }

    fn read_tiles(
        &self,
        next: &AtomicUsize,
        buffers: &Mutex<Vec<Vec<Array3<f32>>>>,
        to_workers: &SyncSender<Filled>,
    ) -> Result<()> {
        loop {
            let Some(&region) = self.tiling.tiles.get(next.fetch_add(1, Ordering::Relaxed)) else { return Ok(()) };
            let used = buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
            let tile = self.tiles.fill(region, used, self.cancel)?;
            // a closed queue means that the workers ended; the reason is already recorded
            if to_workers.send(tile).is_err() {
                return Ok(());
            }
        }
    }

    fn compute_tiles(
        &self,
        mut computer: Computer<'_>,
        filled: &Mutex<Receiver<Filled>>,
        to_writer: &SyncSender<Computed>,
        buffers: &Mutex<Vec<Vec<Array3<f32>>>>,
    ) -> Result<usize> {
        let exec = Exec { cancel: self.cancel, log: self.context.log(), progress: &|_| {} };
        let mut predicted = 0;
        loop {
            let next = filled.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(tile) = next else { return Ok(predicted) };
            self.cancel.check()?;
            let Computed { region, image, support } = self.tiles.compute(&tile, &mut computer, &exec)?;
            buffers.lock().unwrap_or_else(PoisonError::into_inner).push(tile.layers);
            predicted += image.iter().filter(|v| !v.is_nan()).count();
            if to_writer.send(Computed { region, image, support }).is_err() {
                return Ok(predicted);
            }
        }
    }
}

fn write_tiles(computed: &Receiver<Computed>, sink: &mut dyn Sink, cancel: &Cancel, to_caller: &SyncSender<()>) -> Result<()> {
    while let Ok(tile) = computed.recv() {
        cancel.check()?;
        sink.write(tile.region, tile.image.view(), tile.support.as_ref().map(|s| s.view()))?;
        // the caller's queue has room for every tile
        let _ = to_caller.send(());
    }
    Ok(())
}

/// Runs the body of a thread; an error or a panic is recorded and stops the others.
fn guarded(first_error: &FirstError, cancel: &Cancel, body: impl FnOnce() -> Result<()>) {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => first_error.record(error, cancel),
        Err(panic) => first_error.record(panicked(panic.as_ref()), cancel),
    }
}

pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::internal(format!("A thread panicked: {}", text.unwrap_or("unknown reason")))
}
