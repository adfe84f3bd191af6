//! What computes a job: the processor, or GPUs.
//!
//! `auto` takes a GPU when there is one that can run the method, and says in one line of the log why not when it takes the processor. A GPU
//! that was asked for by name is used, or the job fails.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{json, Value as Json};
use stfusion_core::device::{Device, DeviceInfo};
use stfusion_core::method::{DeviceCost, DeviceTiles, MethodInfo, Plan, Prepared, SceneInfo};
use stfusion_core::{Error, ErrorKind, Level, LogSink, Result};
use stfusion_gpu::{discover, too_old, Discovery};

use crate::context::processor;
use crate::tile::Computer;
use crate::tiles::smallest_tile_px;

/// Queues of a GPU: while one tile is computed, the next is copied there and the last one back.
const QUEUES_PER_DEVICE: usize = 2;

/// Environment variable that says what `auto` means.
const VARIABLE: &str = "STFUSION_DEVICE";

/// What computes: `auto`, `cpu`, `cuda`, `cuda:N`, `cuda:N,M`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The best device that can run the method.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// These GPUs; none named means the first.
    Cuda(Vec<usize>),
}

impl FromStr for DeviceChoice {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(ErrorKind::Parameter, format!("Device must be auto, cpu, cuda, cuda:N or cuda:N,M; got {text:?}"))
                .with_hint("Set device to auto to let stfusion choose.")
        };
        match text.trim() {
            "auto" | "" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(Vec::new())),
            other => {
                let list = other.strip_prefix("cuda:").ok_or_else(wrong)?;
                let ids = list.split(',').map(|n| n.parse().map_err(|_| wrong())).collect::<Result<Vec<_>>>()?;
                match (1..ids.len()).find(|&k| ids[..k].contains(&ids[k])) {
                    None => Ok(DeviceChoice::Cuda(ids)),
                    Some(k) => Err(Error::new(ErrorKind::Parameter, format!("Device {text:?} names GPU {} twice", ids[k]))
                        .with_hint("Name each GPU once.")),
                }
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(ids) if ids.is_empty() => f.write_str("cuda"),
            DeviceChoice::Cuda(ids) => {
                write!(f, "cuda:{}", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl Serialize for DeviceChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeviceChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl DeviceChoice {
    /// Fails when a GPU is asked for that is not there, before any image is opened.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] naming the reason; [`ErrorKind::Parameter`] when `STFUSION_DEVICE` is not a device.
    pub fn check(&self) -> Result<()> {
        self.meant()?.named_gpus().map(drop)
    }

    /// What computes `plan` of a method on a scene. The log is told when that is not a GPU that could have been meant.
    ///
    /// # Errors
    /// Those of [`DeviceChoice::check`]; when GPUs were asked for also [`ErrorKind::Unsupported`] with the method's reason against them, and
    /// [`ErrorKind::Device`] when one lacks memory.
    pub(crate) fn for_plan(&self, method: &MethodInfo, plan: &dyn Plan, scene: &SceneInfo, log: &LogSink) -> Result<Processors> {
        let meant = self.meant()?;
        match &meant {
            DeviceChoice::Cpu => Ok(Processors::Cpu),
            DeviceChoice::Auto => Ok(first_gpu(plan, scene).map_or_else(
                |reason| {
                    log(Level::Info, &format!("{} is computed on the CPU: {reason}", method.label));
                    Processors::Cpu
                },
                Processors::Gpus,
            )),
            DeviceChoice::Cuda(_) => {
                let devices = meant.named_gpus()?;
                let cost = plan.device_cost().map_err(|reason| {
                    Error::new(
                        ErrorKind::Unsupported,
                        format!("Device {meant} was asked for, but {} cannot use it: {reason}", method.label),
                    )
                    .with_hint("Set device to auto or cpu.")
                })?;
                Ok(Processors::Gpus(Gpus::new(devices, cost, plan.cost().halo_px, scene)?))
            }
        }
    }

    /// This choice, or for `auto` that of the environment.
    fn meant(&self) -> Result<DeviceChoice> {
        match (self, std::env::var(VARIABLE)) {
            (DeviceChoice::Auto, Ok(text)) => text.parse::<DeviceChoice>().map_err(|e| e.at(VARIABLE)),
            (chosen, _) => Ok(chosen.clone()),
        }
    }

    /// The GPUs that this choice names.
    fn named_gpus(&self) -> Result<Vec<Arc<dyn Device>>> {
        let DeviceChoice::Cuda(ids) = self else { return Ok(Vec::new()) };
        let refused = |reason: String, hint: String| {
            Error::new(ErrorKind::Device, format!("Device {self} was asked for, but {reason}")).with_hint(hint)
        };
        let devices = match discover() {
            Discovery::Devices(devices) => devices,
            Discovery::None(missing) => {
                return Err(refused(missing.to_string(), format!("{} Or set device to auto or cpu.", missing.remedy())));
            }
        };
        let named = if ids.is_empty() { &[0][..] } else { ids };
        let gpu = |&id: &usize| {
            let device = devices.get(id).ok_or_else(|| {
                let all: Vec<String> = devices.iter().map(|d| d.info().to_string()).collect();
                refused(format!("there is no GPU {id}"), format!("Choose among {}.", all.join(", ")))
            })?;
            match too_old(device.info()) {
                None => Ok(Arc::clone(device)),
                Some(reason) => Err(refused(format!("{} {reason}", device.info()), "Set device to auto or cpu.".into())),
            }
        };
        named.iter().map(gpu).collect()
    }
}

/// What computes the tiles of a run.
pub(crate) enum Processors {
    /// The processor, on the threads of the context.
    Cpu,
    /// GPUs.
    Gpus(Gpus),
}

/// GPUs that have the memory for a method's tiles.
pub(crate) struct Gpus {
    devices: Vec<Arc<dyn Device>>,
    /// What a tile costs there.
    cost: DeviceCost,
    /// Memory that is free on each.
    free_bytes: u64,
}

/// A method on one GPU.
pub(crate) struct OnGpu<'a> {
    device: Arc<dyn Device>,
    tiles: Box<dyn DeviceTiles + 'a>,
}

/// What a worker computes tiles with: a queue of its own on `gpu`, or the processor.
///
/// # Errors
/// [`ErrorKind::Device`].
pub(crate) fn computer<'a>(prepared: &'a dyn Prepared, gpu: Option<&'a OnGpu<'a>>) -> Result<Computer<'a>> {
    Ok(match gpu {
        Some(gpu) => Computer::Gpu(gpu.tiles.as_ref(), gpu.device.queue()?),
        None => Computer::Cpu(prepared),
    })
}

impl Processors {
    /// Puts on each GPU what tiles need of the whole scene; none where the processor computes.
    ///
    /// # Errors
    /// [`ErrorKind::Device`].
    pub fn place<'a>(&self, prepared: &'a dyn Prepared) -> Result<Vec<OnGpu<'a>>> {
        match self {
            Processors::Cpu => Ok(Vec::new()),
            Processors::Gpus(gpus) => gpus.place(prepared),
        }
    }

    /// Workers that compute at once, on a pool of `threads` threads.
    pub fn workers(&self, threads: usize) -> usize {
        match self {
            Processors::Cpu => threads,
            Processors::Gpus(gpus) => gpus.queues(),
        }
    }

    /// For the report and the provenance: `cpu`, or `cuda:0 NVIDIA H100`.
    pub fn name(&self) -> String {
        match self {
            Processors::Cpu => "cpu".into(),
            Processors::Gpus(gpus) => gpus.devices.iter().map(|d| d.info().to_string()).collect::<Vec<_>>().join(", "),
        }
    }
}

impl Gpus {
    /// `devices`, when each has the memory for the smallest tiles.
    fn new(devices: Vec<Arc<dyn Device>>, cost: DeviceCost, halo_px: usize, scene: &SceneInfo) -> Result<Gpus> {
        let mut gpus = Gpus { devices, cost, free_bytes: u64::MAX };
        let needed = gpus.bytes_of(smallest_tile_px(scene, halo_px));
        for device in &gpus.devices {
            let free = device.free_bytes()?;
            if needed > usable(free) {
                let (free, needed) = (free >> 20, ((needed / 4 * 5) >> 20) + 1);
                return Err(Error::new(
                    ErrorKind::Device,
                    format!("{} has {free} MiB of free memory, and {needed} MiB are needed", device.info()),
                )
                .with_hint("End other programs that use the GPU, or set device to auto or cpu."));
            }
            gpus.free_bytes = gpus.free_bytes.min(free);
        }
        Ok(gpus)
    }

    /// Queues, each with a thread that serves it.
    fn queues(&self) -> usize {
        QUEUES_PER_DEVICE * self.devices.len()
    }

    fn place<'a>(&self, prepared: &'a dyn Prepared) -> Result<Vec<OnGpu<'a>>> {
        let place = |device: &Arc<dyn Device>| {
            let mut queue = device.queue()?;
            let tiles = prepared.on_device(queue.as_mut())?;
            // other queues do not wait for this one
            queue.wait()?;
            Ok(OnGpu { device: Arc::clone(device), tiles })
        };
        self.devices.iter().map(place).collect()
    }

    /// Whether tiles of so many pixels, halo included, fit the memory of each GPU.
    pub fn fit(&self, padded_px: u64) -> bool {
        self.bytes_of(padded_px) <= usable(self.free_bytes)
    }

    /// What the tiles of all queues of a GPU take there.
    fn bytes_of(&self, padded_px: u64) -> u64 {
        let DeviceCost { bytes_per_px, fixed_bytes, prepared_bytes } = self.cost;
        QUEUES_PER_DEVICE as u64 * (padded_px * bytes_per_px as u64 + fixed_bytes as u64) + prepared_bytes as u64
    }
}

/// The first GPU that can compute `plan`, or why none can. The driver is not asked when the method cannot use it.
fn first_gpu(plan: &dyn Plan, scene: &SceneInfo) -> std::result::Result<Gpus, String> {
    let cost = plan.device_cost()?;
    let devices = match discover() {
        Discovery::Devices(devices) => devices,
        Discovery::None(missing) => return Err(missing.to_string()),
    };
    let mut reason = String::new();
    for device in devices {
        let info = device.info().to_string();
        reason = match too_old(device.info()) {
            Some(age) => format!("{info} {age}"),
            None => match Gpus::new(vec![device], cost, plan.cost().halo_px, scene) {
                Ok(gpus) => return Ok(gpus),
                Err(error) => error.message().to_string(),
            },
        };
    }
    Err(reason)
}

/// The part of free memory that tiles may take: the rest is for the compiled kernels, and for what sizes of buffers are rounded up to.
fn usable(free_bytes: u64) -> u64 {
    free_bytes / 5 * 4
}

/// The devices of this machine: `devices` lists the processor and every GPU, `gpu` says why there is none and what to do, or is null.
pub fn devices() -> Json {
    let found = discover();
    let mut devices = vec![json!({ "id": "cpu", "name": processor(), "threads": crate::context::default_threads() })];
    devices.extend(found.devices().iter().map(|device| described(device.info())));
    let gpu = match &found {
        Discovery::Devices(_) => Json::Null,
        Discovery::None(missing) => json!({ "missing": missing.to_string(), "remedy": missing.remedy() }),
    };
    json!({ "devices": devices, "gpu": gpu })
}

fn described(info: &DeviceInfo) -> Json {
    let version = |(major, minor): (u32, u32)| format!("{major}.{minor}");
    json!({
        "id": info.id(),
        "name": info.name,
        "compute_capability": version(info.compute_capability),
        "memory_bytes": info.memory_bytes,
        "multiprocessors": info.multiprocessors,
        "shared_bytes_per_block": info.shared_bytes_per_block,
        "driver_cuda": version(info.driver),
        "unusable": too_old(info),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_survive_the_round_trip() {
        for text in ["auto", "cpu", "cuda", "cuda:1", "cuda:0,1"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        for (text, words) in
            [("gpu", "must be auto"), ("cuda:", "must be auto"), ("cuda:x", "must be auto"), ("cuda:0,1,0", "names GPU 0 twice")]
        {
            let error = text.parse::<DeviceChoice>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Parameter);
            assert!(error.message().contains(words), "{error}");
        }
    }
}
