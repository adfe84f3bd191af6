//! Which GPUs there are, or why there is none.

use std::fmt;
use std::sync::{Arc, OnceLock};

use stfusion_core::device::{Device, DeviceInfo};

use crate::modules::{self, Module, Target};

/// Version of CUDA that the driver must know: that of the compiled kernels. The first such driver is 525.
pub const DRIVER_NEEDED: (u32, u32) = (12, 0);

/// What was found.
#[derive(Clone)]
pub enum Discovery {
    /// GPUs, in the order of their numbers. Some may be [`too_old`].
    Devices(Vec<Arc<dyn Device>>),
    /// None.
    None(Missing),
}

/// Why there is no GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// This build cannot use one.
    Build,
    /// The library of the driver is not installed.
    Driver,
    /// The driver knows CUDA up to this version only, (major, minor).
    NewDriver((u32, u32)),
    /// The driver is there, but no device.
    Device,
    /// The driver does not start; what it says.
    Start(String),
}

impl Missing {
    /// What the user can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Missing::Build => "Use a build of stfusion with the feature cuda.",
            Missing::Driver => "Install NVIDIA's driver (version 525 or newer); CUDA itself is not needed. In a container, make the host's driver visible.",
            Missing::NewDriver(_) => "Update NVIDIA's driver to version 525 or newer.",
            Missing::Device => "Check that nvidia-smi lists a GPU, and that CUDA_VISIBLE_DEVICES does not hide it.",
            Missing::Start(_) => "Check that nvidia-smi works; a restart is needed after the driver was updated.",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Build => f.write_str("this build of stfusion has no GPU support"),
            Missing::Driver => f.write_str("NVIDIA's driver is not installed (libcuda was not found)"),
            Missing::NewDriver((major, minor)) => {
                let needed = format!("{}.{}", DRIVER_NEEDED.0, DRIVER_NEEDED.1);
                write!(f, "NVIDIA's driver is too old: it knows CUDA {major}.{minor}, and {needed} is needed")
            }
            Missing::Device => f.write_str("NVIDIA's driver found no GPU"),
            Missing::Start(text) => write!(f, "NVIDIA's driver does not start: {text}"),
        }
    }
}

impl Discovery {
    /// The devices; none is an empty list.
    pub fn devices(&self) -> &[Arc<dyn Device>] {
        match self {
            Discovery::Devices(devices) => devices,
            Discovery::None(_) => &[],
        }
    }
}

/// Why a device cannot run the kernels of stfusion, as the rest of a sentence that begins with its name; `None` when it can.
pub fn too_old(device: &DeviceInfo) -> Option<String> {
    let (major, minor) = device.compute_capability;
    let runs = Target::ALL.iter().any(|t| t.runs_on((major, minor)));
    (!runs).then(|| format!("has compute capability {major}.{minor}, and 7.5 is needed (GeForce RTX 20 series, T4 or newer)"))
}

/// The GPUs of this machine. The driver is asked once; later calls return the same devices, with the kernels that they compiled.
pub fn discover() -> Discovery {
    static FOUND: OnceLock<Discovery> = OnceLock::new();
    FOUND.get_or_init(|| discover_with(modules::ALL)).clone()
}

/// The GPUs of this machine, asked for anew, which compute with the kernels of `modules`.
pub fn discover_with(modules: &'static [Module]) -> Discovery {
    #[cfg(feature = "cuda")]
    {
        crate::cuda::devices(modules).map_or_else(Discovery::None, Discovery::Devices)
    }
    #[cfg(not(feature = "cuda"))]
    {
        let _ = modules;
        Discovery::None(Missing::Build)
    }
}
