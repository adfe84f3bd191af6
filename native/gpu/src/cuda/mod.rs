//! Devices over the driver of CUDA.

mod arguments;
mod driver;
mod gpu;
mod pool;
mod queue;
mod staging;

use std::sync::Arc;

use stfusion_core::device::Device;

use crate::discovery::{Missing, DRIVER_NEEDED};
use crate::modules::Module;
use gpu::Gpu;

/// The GPUs of this machine, or why there is none.
pub(crate) fn devices(modules: &'static [Module]) -> Result<Vec<Arc<dyn Device>>, Missing> {
    if !driver::is_present() {
        return Err(Missing::Driver);
    }
    let start = |failure: driver::Failure| match failure.is_no_device() {
        true => Missing::Device,
        false => Missing::Start(failure.to_string()),
    };
    // a driver that is too old may not start at all, and then its version says more
    let version = driver::version().map_err(start)?;
    if version < DRIVER_NEEDED {
        return Err(Missing::NewDriver(version));
    }
    driver::init().map_err(start)?;
    let count = driver::device_count().map_err(start)?;
    if count == 0 {
        return Err(Missing::Device);
    }
    (0..count)
        .map(|index| Ok(Arc::new(Gpu::new(index, version, modules)?) as Arc<dyn Device>))
        .collect::<Result<_, _>>()
        .map_err(start)
}
