//! What a method keeps on GPUs between reads.

use std::sync::Arc;

use stfusion_core::method::Prepared;
use stfusion_core::Result;

use crate::device::{OnGpu, Processors};

/// A prepared method with what it put on the GPUs, which stays there as long as the value lives.
pub(crate) struct Placed {
    // borrows from `prepared`, and goes before it: fields are dropped in their order
    on_gpus: Vec<OnGpu<'static>>,
    prepared: Arc<dyn Prepared>,
}

impl Placed {
    /// Puts `prepared` on the GPUs of `processors`, if they are some.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Device`].
    pub fn new(processors: &Processors, prepared: Box<dyn Prepared>) -> Result<Placed> {
        let prepared: Arc<dyn Prepared> = prepared.into();
        // SAFETY: what is borrowed lives as long as the `Arc`, which `Placed` keeps until after `on_gpus` and never changes;
        // nobody gets the borrow for longer than that of the value (see `on_gpus`).
        let borrowed: &'static dyn Prepared = unsafe { &*Arc::as_ptr(&prepared) };
        Ok(Placed { on_gpus: processors.place(borrowed)?, prepared })
    }

    /// The method.
    pub fn prepared(&self) -> &dyn Prepared {
        self.prepared.as_ref()
    }

    /// The method on each GPU; none where the processor computes.
    pub fn on_gpus(&self) -> &[OnGpu<'_>] {
        &self.on_gpus
    }
}
