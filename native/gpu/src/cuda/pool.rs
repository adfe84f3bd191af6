//! Device memory that is used again: allocating waits for the whole device, so buffers of similar sizes share what was allocated once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stfusion_core::device::{Buffer, Home};
use stfusion_core::Result;

use super::driver::Entered;
use super::gpu::Inner;

/// Smallest size that is handed out, in bytes.
const SMALLEST: usize = 512;

/// The buffers of one queue. What is given back may still be in use by work of the queue, and goes to work that is queued behind it.
#[derive(Debug)]
pub(crate) struct Shelf {
    device: Arc<Inner>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The queue is gone: nothing is kept any more.
    closed: bool,
    /// Addresses by size.
    free: BTreeMap<usize, Vec<u64>>,
}

/// What is allocated for `bytes` bytes: the next of eight steps between two powers of two, so that at most an eighth is lost.
fn size_class(bytes: usize) -> usize {
    let bytes = bytes.max(SMALLEST);
    let step = bytes.next_power_of_two() / 16;
    bytes.div_ceil(step) * step
}

impl Shelf {
    pub fn new(device: Arc<Inner>) -> Shelf {
        Shelf { device, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer of `bytes` bytes.
    ///
    /// # Errors
    /// Those of [`Inner::allocate`].
    pub fn buffer(self: &Arc<Self>, bytes: usize) -> Result<Buffer> {
        let class = size_class(bytes);
        let kept = self.state().free.get_mut(&class).and_then(Vec::pop);
        let address = match kept {
            Some(address) => address,
            None => self.device.allocate(class)?,
        };
        Ok(Buffer::new(address, bytes, Arc::clone(self) as Arc<dyn Home>))
    }

    /// Frees everything that lies here.
    pub fn empty(&self, entered: &Entered<'_>) {
        let free = std::mem::take(&mut self.state().free);
        for address in free.into_values().flatten() {
            // a lost device frees its memory with its context
            let _ = entered.free(address);
        }
    }

    /// Frees everything, now and from now on, because the queue ends.
    pub fn close(&self, entered: &Entered<'_>) {
        self.state().closed = true;
        self.empty(entered);
    }
}

impl Home for Shelf {
    fn take_back(&self, address: u64, bytes: usize) {
        let mut state = self.state();
        if !state.closed {
            state.free.entry(size_class(bytes)).or_default().push(address);
            return;
        }
        drop(state);
        if let Some(entered) = self.device.enter_to_free() {
            // a lost device frees its memory with its context
            let _ = entered.free(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_hold_what_is_asked_and_lose_an_eighth_at_most() {
        let sizes = (1..5000).chain((1usize..40).map(|k| k * 1_234_567));
        for bytes in sizes {
            let class = size_class(bytes);
            assert!(class >= bytes && (bytes <= SMALLEST || class - bytes <= bytes / 8), "{bytes}: {class}");
            assert_eq!(class, size_class(class), "{bytes}");
        }
        assert_eq!([1, 512, 513, 1 << 20, (1 << 20) + 1].map(size_class), [512, 512, 576, 1 << 20, (1 << 20) + (1 << 17)]);
    }
}
