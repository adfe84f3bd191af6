//! A queue: a stream with its buffers and its pinned memory.

use std::sync::Arc;

use stfusion_core::device::{Arg, Buffer, DeviceInfo, Kernel, Launch, Queue};
use stfusion_core::{Error, Result};

use super::arguments::{check, Arguments};
use super::driver::{Event, Stream};
use super::gpu::Inner;
use super::pool::Shelf;
use super::staging::Staging;

pub(super) struct CudaQueue {
    device: Arc<Inner>,
    shelf: Arc<Shelf>,
    /// There until the queue is dropped.
    stream: Option<Stream>,
    /// Made with the first copy.
    staging: Option<Staging>,
    /// The kernel that was launched last: the likely reason of a later failure.
    last: Option<Kernel>,
}

impl CudaQueue {
    pub fn new(device: &Arc<Inner>) -> Result<CudaQueue> {
        let entered = device.enter()?;
        let stream = device.told(entered.stream())?;
        let (device, shelf) = (Arc::clone(device), device.shelf());
        Ok(CudaQueue { device, shelf, stream: Some(stream), staging: None, last: None })
    }
}

/// The stream of a queue that is not dropped.
fn live(stream: &Option<Stream>) -> Result<&Stream> {
    stream.as_ref().ok_or_else(|| Error::internal("a queue was used after its end"))
}

/// Fails unless `bytes` bytes from `at` lie in the buffer.
fn check_range(buffer: &Buffer, at: usize, bytes: usize, what: &str) -> Result<()> {
    match at.checked_add(bytes) {
        Some(end) if end <= buffer.bytes() => Ok(()),
        _ => Err(Error::internal(format!("{bytes} bytes were {what} at {at} of a buffer of {}", buffer.bytes()))),
    }
}

impl Queue for CudaQueue {
    fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    fn buffer(&mut self, bytes: usize) -> Result<Buffer> {
        self.device.check()?;
        self.shelf.buffer(bytes)
    }

    fn write(&mut self, to: &Buffer, at: usize, from: &[u8]) -> Result<()> {
        check_range(to, at, from.len(), "written")?;
        let entered = self.device.enter()?;
        let staging = match &mut self.staging {
            Some(staging) => staging,
            none => none.insert(self.device.told(Staging::new(&entered))?),
        };
        // SAFETY: the range lies in the buffer
        let outcome = unsafe { staging.write(&entered, live(&self.stream)?, to.address() + at as u64, from) };
        self.device.told_of(outcome, self.last)
    }

    fn fill(&mut self, to: &Buffer, byte: u8) -> Result<()> {
        let entered = self.device.enter()?;
        // SAFETY: the range is the buffer
        let outcome = unsafe { live(&self.stream)?.fill(&entered, to.address(), byte, to.bytes()) };
        self.device.told_of(outcome, self.last)
    }

    fn launch(&mut self, kernel: Kernel, launch: Launch, arguments: &[Arg<'_>]) -> Result<()> {
        let entered = self.device.enter()?;
        let compiled = self.device.kernel(&entered, kernel)?;
        check(kernel, compiled.facts, &launch, arguments, self.device.info())?;
        let mut values = Arguments::new(arguments);
        self.last = Some(kernel);
        // SAFETY: number and sizes are those of the kernel; what its pointers mean is between the caller and the kernel
        let outcome = unsafe { live(&self.stream)?.launch(&entered, compiled.function, &launch, &mut values.pointers()) };
        self.device.told_of(outcome, self.last)
    }

    fn timed_launch(&mut self, kernel: Kernel, launch: Launch, arguments: &[Arg<'_>]) -> Result<f64> {
        // the first launch of a kernel compiles it, which is not the kernel's time
        self.device.kernel(&self.device.enter()?, kernel)?;
        let device = Arc::clone(&self.device);
        let entered = device.enter()?;
        let start = device.told(entered.timed_event())?;
        let end = match entered.timed_event() {
            Ok(end) => end,
            Err(failure) => {
                start.destroy(&entered);
                return device.told(Err(failure));
            }
        };
        let note = |event: &Event, queue: &Self| device.told_of(event.record(&entered, live(&queue.stream)?), queue.last);
        let mut timed = || {
            note(&start, self)?;
            self.launch(kernel, launch, arguments)?;
            note(&end, self)?;
            let seconds = end.synchronize(&entered).and_then(|()| end.seconds_since(&entered, &start));
            device.told_of(seconds, self.last)
        };
        let outcome = timed();
        start.destroy(&entered);
        end.destroy(&entered);
        outcome
    }

    fn read(&mut self, from: &Buffer, at: usize, to: &mut [u8]) -> Result<()> {
        check_range(from, at, to.len(), "read")?;
        let entered = self.device.enter()?;
        let staging = match &mut self.staging {
            Some(staging) => staging,
            none => none.insert(self.device.told(Staging::new(&entered))?),
        };
        // SAFETY: the range lies in the buffer
        let outcome = unsafe { staging.read(&entered, live(&self.stream)?, from.address() + at as u64, to) };
        self.device.told_of(outcome, self.last)
    }

    fn wait(&mut self) -> Result<()> {
        let entered = self.device.enter()?;
        let outcome = live(&self.stream)?.synchronize(&entered);
        self.device.told_of(outcome, self.last)
    }
}

impl Drop for CudaQueue {
    fn drop(&mut self) {
        let Some(entered) = self.device.enter_to_free() else { return };
        if let Some(stream) = self.stream.take() {
            // what is still queued uses the buffers and the pinned memory; on a lost device nothing runs any more
            let _ = stream.synchronize(&entered);
            stream.destroy(&entered);
        }
        if let Some(staging) = self.staging.take() {
            staging.release(&entered);
        }
        self.shelf.close(&entered);
    }
}
