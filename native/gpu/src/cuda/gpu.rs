//! One device: its context, the kernels that it compiled, and whether it still works.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use stfusion_core::device::{Device, DeviceInfo, DeviceLimits, Kernel, Queue};
use stfusion_core::{Error, ErrorKind, Result};

use super::driver::{self, Attribute, Context, Entered, Failure, Function, Ordinal, Outcome};
use super::pool::Shelf;
use super::queue::CudaQueue;
use crate::discovery::too_old;
use crate::modules::{KernelFacts, Module};

/// Dynamic shared memory that a kernel may ask for without being allowed to.
const SHARED_BYTES_ALWAYS: usize = 48 << 10;

/// Schedulers of a multiprocessor, each of which issues one instruction of a warp in a clock (compute capability 7.0 and newer).
const SCHEDULERS: u32 = 4;

/// A device; the context is made with the first queue.
pub(crate) struct Gpu {
    inner: Arc<Inner>,
}

/// What a device shares with its queues and buffers.
#[derive(Debug)]
pub(crate) struct Inner {
    info: DeviceInfo,
    ordinal: Ordinal,
    modules: &'static [Module],
    /// Retained once; a failure is not kept, so that the next caller tries again.
    context: OnceLock<Context>,
    loaded: Mutex<Loaded>,
    shelves: Mutex<Vec<Weak<Shelf>>>,
    /// Why it was lost.
    lost: OnceLock<String>,
}

/// What was compiled so far.
#[derive(Debug, Default)]
struct Loaded {
    modules: HashMap<&'static str, driver::Module>,
    kernels: HashMap<Kernel, Compiled>,
}

/// A kernel ready to be launched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compiled {
    pub function: Function,
    pub facts: &'static KernelFacts,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gpu {
    /// The device of this number, which computes with the kernels of `modules`.
    pub fn new(index: usize, driver: (u32, u32), modules: &'static [Module]) -> Outcome<Gpu> {
        let ordinal = Ordinal::of(index)?;
        let number = |attribute| ordinal.attribute(attribute);
        let major = number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)? as u32;
        let minor = number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)? as u32;
        let info = DeviceInfo {
            index,
            name: ordinal.name()?,
            compute_capability: (major, minor),
            memory_bytes: ordinal.memory_bytes()?,
            multiprocessors: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as u32,
            shared_bytes_per_block: number(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
            driver,
        };
        let inner = Inner {
            info,
            ordinal,
            modules,
            context: OnceLock::new(),
            loaded: Mutex::default(),
            shelves: Mutex::default(),
            lost: OnceLock::new(),
        };
        Ok(Gpu { inner: Arc::new(inner) })
    }
}

impl Device for Gpu {
    fn info(&self) -> &DeviceInfo {
        &self.inner.info
    }

    fn limits(&self) -> Option<DeviceLimits> {
        let number = |attribute| self.inner.ordinal.attribute(attribute).ok().filter(|n| *n > 0).map(|n| n as f64);
        let clock_hz = 1e3 * number(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?;
        let memory_hz = 1e3 * number(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)?;
        let bus_bits = number(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)?;
        Some(DeviceLimits {
            clock_hz,
            issues_per_second: f64::from(self.inner.info.multiprocessors * SCHEDULERS) * clock_hz,
            // two transfers in a clock
            memory_bytes_per_second: 2.0 * memory_hz * bus_bits / 8.0,
        })
    }

    fn free_bytes(&self) -> Result<u64> {
        let entered = self.inner.enter()?;
        self.inner.told(entered.free_bytes())
    }

    fn queue(&self) -> Result<Box<dyn Queue>> {
        if let Some(reason) = too_old(&self.inner.info) {
            return Err(Error::new(ErrorKind::Device, format!("{} {reason}", self.inner.info)).with_hint("Set device to cpu."));
        }
        Ok(Box::new(CudaQueue::new(&self.inner)?))
    }
}

impl Inner {
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Enters the context of the device, which is made if this is the first time.
    ///
    /// # Errors
    /// [`ErrorKind::Device`]: the device is lost, or the driver refuses a context.
    pub fn enter(&self) -> Result<Entered<'_>> {
        self.check()?;
        let context = match self.context.get() {
            Some(context) => context,
            // of two threads that come first, one retains in vain, and its drop releases that
            None => {
                let made = self.told(Context::retain(self.ordinal))?;
                self.context.get_or_init(|| made)
            }
        };
        self.told(context.enter())
    }

    /// Enters the context whatever happened to the device, to give things back; `None` where there is none.
    pub fn enter_to_free(&self) -> Option<Entered<'_>> {
        self.context.get()?.enter().ok()
    }

    /// Fails when the device is lost.
    pub fn check(&self) -> Result<()> {
        match self.lost.get() {
            None => Ok(()),
            Some(reason) => Err(Error::new(ErrorKind::Device, format!("{} is lost: {reason}", self.info))
                .with_hint("Restart the program to use the device again, or set device to cpu.")),
        }
    }

    /// The outcome of a call of the driver in the user's words; a fatal one loses the device.
    pub fn told<T>(&self, outcome: Outcome<T>) -> Result<T> {
        self.told_of(outcome, None)
    }

    /// As [`Inner::told`], after `kernel` was launched.
    pub fn told_of<T>(&self, outcome: Outcome<T>, kernel: Option<Kernel>) -> Result<T> {
        outcome.map_err(|failure| {
            let after = kernel.map(|k| format!(", after kernel {}:{} was launched", k.module, k.function)).unwrap_or_default();
            if failure.is_fatal() {
                self.lost.get_or_init(|| format!("{failure}{after}"));
                if let Err(error) = self.check() {
                    return error;
                }
            }
            Error::new(ErrorKind::Device, format!("{}: {failure}{after}", self.info))
                .with_hint("Set device to cpu to compute without the GPU.")
        })
    }

    /// A shelf for the buffers of one queue.
    pub fn shelf(self: &Arc<Self>) -> Arc<Shelf> {
        let shelf = Arc::new(Shelf::new(Arc::clone(self)));
        let mut shelves = locked(&self.shelves);
        shelves.retain(|s| s.strong_count() > 0);
        shelves.push(Arc::downgrade(&shelf));
        shelf
    }

    /// New memory. When there is none left, the shelves of all queues are emptied and it is tried again.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] naming the bytes wanted and free.
    pub fn allocate(&self, bytes: usize) -> Result<u64> {
        let entered = self.enter()?;
        let again = |failure: Failure| match failure.is_out_of_memory() {
            true => {
                // what lies on a shelf may still be in use by its queue
                entered.synchronize()?;
                let shelves: Vec<_> = locked(&self.shelves).iter().filter_map(Weak::upgrade).collect();
                shelves.iter().for_each(|shelf| shelf.empty(&entered));
                entered.allocate(bytes)
            }
            false => Err(failure),
        };
        match entered.allocate(bytes).or_else(again) {
            Err(failure) if failure.is_out_of_memory() => {
                let mib = |bytes: u64| bytes.div_ceil(1 << 20);
                let free = entered.free_bytes().unwrap_or(0);
                Err(Error::new(
                    ErrorKind::Device,
                    format!(
                        "{} has no memory left for {} MiB: {} MiB of {} MiB are free",
                        self.info,
                        mib(bytes as u64),
                        free >> 20,
                        mib(self.info.memory_bytes)
                    ),
                )
                .with_hint("End other programs that use the GPU, or set device to cpu."))
            }
            outcome => self.told(outcome),
        }
    }

    /// The kernel, compiled when it is first asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] for a kernel that does not exist, [`ErrorKind::Device`] with the driver's log when it cannot be compiled.
    pub fn kernel(&self, entered: &Entered<'_>, kernel: Kernel) -> Result<Compiled> {
        let mut loaded = locked(&self.loaded);
        if let Some(compiled) = loaded.kernels.get(&kernel) {
            return Ok(*compiled);
        }
        let Kernel { module: name, function: wanted } = kernel;
        let module = self.modules.iter().find(|m| m.name == name);
        let module = module.ok_or_else(|| Error::internal(format!("there is no module {name} for GPUs")))?;
        let facts = module.kernels.iter().find(|k| k.name == wanted);
        let facts = facts.ok_or_else(|| Error::internal(format!("module {name} has no kernel {wanted}")))?;
        if !loaded.modules.contains_key(name) {
            let compiled = self.compile(entered, module)?;
            loaded.modules.insert(module.name, compiled);
        }
        let function = self.told(loaded.modules[name].function(entered, facts.name))?;
        let allowed = self.info.shared_bytes_per_block.saturating_sub(facts.shared_bytes);
        if allowed > SHARED_BYTES_ALWAYS {
            self.told(function.allow_shared(entered, allowed))?;
        }
        let compiled = Compiled { function, facts };
        loaded.kernels.insert(kernel, compiled);
        Ok(compiled)
    }

    fn compile(&self, entered: &Entered<'_>, module: &Module) -> Result<driver::Module> {
        let (major, minor) = self.info.compute_capability;
        let missing =
            || Error::internal(format!("module {} was not compiled for compute capability {major}.{minor}", module.name));
        let ptx = module.ptx_for((major, minor)).ok_or_else(missing)?;
        entered.load(ptx).map_err(|(failure, log)| {
            let log = if log.is_empty() { String::new() } else { format!("\n{log}") };
            Error::new(ErrorKind::Device, format!("{} cannot compile {}: {failure}{log}", self.info, module.name))
                .with_hint("Update NVIDIA's driver, or set device to cpu.")
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(entered) = self.enter_to_free() {
            let loaded = std::mem::take(&mut *locked(&self.loaded));
            loaded.modules.into_values().for_each(|module| module.unload(&entered));
        }
    }
}
