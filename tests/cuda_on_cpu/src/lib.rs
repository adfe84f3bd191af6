//! The CUDA kernels of `cuda/` on the CPU, for tests without a GPU: core's [`Device`] over the shim, without any driver.
//!
//! ```text
//! kernels (.cu) + cuda/shim ─C++─> archive ─────> Place::InProcess   forward or reversed order of threads
//!                           └────> program ─────> Place::Sanitized   the same, a process of its own with AddressSanitizer
//! ```
//! Fresh memory is full of bytes 0xff, which are `NaN`. In process, guards around every buffer are checked when it goes back.
//! Crates that depend on this one link the archive in their build script: `DEP_STF_CUDA_ON_CPU_ARCHIVE`.
#![deny(missing_docs)]

mod memory;
mod server;

use std::ffi::CString;
use std::sync::Arc;
use std::time::Instant;

use stfusion_core::device::{Arg, Buffer, Device, DeviceInfo, Home, Kernel, Launch, Queue};
use stfusion_core::{Error, ErrorKind, Result};

use memory::Memory;
use server::Server;

/// In which order the threads of a block, and the blocks, run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// That of their numbers.
    Forward,
    /// The last first.
    Reversed,
}

/// Most shared memory that kernels may ask for, in bytes: what every GPU gives without being asked.
pub const SHARED_BYTES: usize = 48 * 1024;

/// The kernels on the CPU, in this process.
pub fn device(order: Order) -> Box<dyn Device> {
    Box::new(OnCpu { info: info("kernels on the CPU"), place: Place::InProcess(Arc::new(Memory::default())), order })
}

/// The kernels on the CPU under AddressSanitizer, in a process of their own; `None` where the compiler has no sanitizer.
///
/// # Errors
/// When the process cannot be started.
pub fn sanitized(order: Order) -> Result<Option<Box<dyn Device>>> {
    let program = env!("STF_SANITIZED_SERVER");
    if program.is_empty() {
        return Ok(None);
    }
    let place = Place::Sanitized(Arc::new(Server::start(program)?));
    Ok(Some(Box::new(OnCpu { info: info("kernels on the CPU under AddressSanitizer"), place, order })))
}

fn info(name: &str) -> DeviceInfo {
    DeviceInfo {
        index: 0,
        name: name.to_string(),
        compute_capability: (7, 5),
        memory_bytes: 1 << 32,
        multiprocessors: 1,
        shared_bytes_per_block: SHARED_BYTES,
        driver: (12, 0),
    }
}

/// Where kernels run and buffers lie.
#[derive(Debug, Clone)]
enum Place {
    InProcess(Arc<Memory>),
    Sanitized(Arc<Server>),
}

#[derive(Debug, Clone)]
struct OnCpu {
    info: DeviceInfo,
    place: Place,
    order: Order,
}

impl Device for OnCpu {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn free_bytes(&self) -> Result<u64> {
        Ok(self.info.memory_bytes)
    }

    fn queue(&self) -> Result<Box<dyn Queue>> {
        Ok(Box::new(self.clone()))
    }
}

/// An error of this device.
fn fault(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Device, message)
}

/// Name and sizes of the parameters of a kernel of the archive.
fn parameters_of(kernel: Kernel) -> Result<(CString, Vec<u32>)> {
    let name = CString::new(kernel.function).map_err(|_| fault(format!("{:?} is no name", kernel.function)))?;
    let mut sizes = [0u32; 64];
    // SAFETY: the name ends with a zero byte and `sizes` has room for as many numbers as said.
    let count = unsafe { stf_shim_parameters(name.as_ptr(), sizes.as_mut_ptr(), sizes.len() as i32) };
    match usize::try_from(count) {
        Ok(count) if count <= sizes.len() => Ok((name, sizes[..count].to_vec())),
        Ok(count) => Err(fault(format!("kernel {} has {count} parameters", kernel.function))),
        Err(_) => Err(fault(format!("no kernel {} in {}", kernel.function, kernel.module))),
    }
}

/// Bytes of an argument.
fn bytes_of(argument: &Arg<'_>) -> Vec<u8> {
    match argument {
        Arg::Buffer(buffer) => buffer.address().to_ne_bytes().to_vec(),
        Arg::NoBuffer => 0u64.to_ne_bytes().to_vec(),
        Arg::Int(v) => v.to_ne_bytes().to_vec(),
        Arg::Long(v) => v.to_ne_bytes().to_vec(),
        Arg::Float(v) => v.to_ne_bytes().to_vec(),
        Arg::Bytes(bytes) => bytes.to_vec(),
    }
}

/// Fails unless `bytes` bytes from `at` on lie in the buffer.
fn check_range(buffer: &Buffer, at: usize, bytes: usize) -> Result<()> {
    if at.checked_add(bytes).is_none_or(|end| end > buffer.bytes()) {
        return Err(fault(format!("{bytes} bytes at {at} do not lie in a buffer of {} bytes", buffer.bytes())));
    }
    Ok(())
}

impl Queue for OnCpu {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn buffer(&mut self, bytes: usize) -> Result<Buffer> {
        if bytes == 0 {
            return Err(fault("a buffer of no bytes was asked for"));
        }
        let (address, home): (u64, Arc<dyn Home>) = match &self.place {
            Place::InProcess(memory) => (memory.take(bytes), memory.clone()),
            Place::Sanitized(server) => (server.take(bytes)?, server.clone()),
        };
        Ok(Buffer::new(address, bytes, home))
    }

    fn write(&mut self, to: &Buffer, at: usize, from: &[u8]) -> Result<()> {
        check_range(to, at, from.len())?;
        match &self.place {
            Place::InProcess(_) => {
                // SAFETY: the range lies in a live buffer of this process, which `from` cannot overlap.
                unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), (to.address() as *mut u8).add(at), from.len()) };
                Ok(())
            }
            Place::Sanitized(server) => server.write(to.address(), at, from),
        }
    }

    fn fill(&mut self, to: &Buffer, byte: u8) -> Result<()> {
        self.write(to, 0, &vec![byte; to.bytes()])
    }

    fn launch(&mut self, kernel: Kernel, launch: Launch, arguments: &[Arg<'_>]) -> Result<()> {
        let (name, sizes) = parameters_of(kernel)?;
        let values: Vec<Vec<u8>> = arguments.iter().map(bytes_of).collect();
        let got: Vec<u32> = values.iter().map(|v| v.len() as u32).collect();
        if got != sizes {
            return Err(fault(format!("kernel {} takes arguments of {sizes:?} bytes, not {got:?}", kernel.function)));
        }
        if launch.shared_bytes > SHARED_BYTES {
            return Err(fault(format!("kernel {} asks for {} bytes of shared memory", kernel.function, launch.shared_bytes)));
        }
        let reversed = self.order == Order::Reversed;
        let status = match &self.place {
            Place::InProcess(_) => {
                // arguments of eight bytes must be aligned
                let mut aligned: Vec<Vec<u64>> = values
                    .iter()
                    .map(|v| {
                        v.chunks(8).map(|c| u64::from_ne_bytes(std::array::from_fn(|i| c.get(i).copied().unwrap_or(0)))).collect()
                    })
                    .collect();
                let mut pointers: Vec<*mut u64> = aligned.iter_mut().map(|v| v.as_mut_ptr()).collect();
                // SAFETY: every pointer leads to an argument of the size that the kernel takes; buffers live as long as `arguments`.
                unsafe {
                    stf_shim_launch_ordered(
                        name.as_ptr(),
                        launch.blocks.as_ptr(),
                        launch.threads.as_ptr(),
                        launch.shared_bytes as u32,
                        pointers.as_mut_ptr().cast(),
                        i32::from(reversed),
                    )
                }
            }
            Place::Sanitized(server) => server.launch(kernel.function, launch, reversed, &values)?,
        };
        match status {
            0 => Ok(()),
            1 => Err(fault(format!("no kernel {} in {}", kernel.function, kernel.module))),
            _ => Err(fault(format!("kernel {} cannot be launched as {launch:?}", kernel.function))),
        }
    }

    fn timed_launch(&mut self, kernel: Kernel, launch: Launch, arguments: &[Arg<'_>]) -> Result<f64> {
        let start = Instant::now();
        self.launch(kernel, launch, arguments)?;
        Ok(start.elapsed().as_secs_f64())
    }

    fn read(&mut self, from: &Buffer, at: usize, to: &mut [u8]) -> Result<()> {
        check_range(from, at, to.len())?;
        match &self.place {
            Place::InProcess(_) => {
                // SAFETY: the range lies in a live buffer of this process, which `to` cannot overlap.
                unsafe { std::ptr::copy_nonoverlapping((from.address() as *const u8).add(at), to.as_mut_ptr(), to.len()) };
                Ok(())
            }
            Place::Sanitized(server) => server.read(from.address(), at, to),
        }
    }

    fn wait(&mut self) -> Result<()> {
        Ok(())
    }
}

extern "C" {
    fn stf_shim_launch_ordered(
        kernel: *const std::ffi::c_char,
        grid: *const u32,
        block: *const u32,
        shared_bytes: u32,
        arguments: *mut *mut std::ffi::c_void,
        reversed: i32,
    ) -> i32;
    fn stf_shim_parameters(kernel: *const std::ffi::c_char, sizes: *mut u32, room: i32) -> i32;
}
