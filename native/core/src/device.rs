//! What a method may ask of a GPU.
//!
//! A method that has a kernel says so in [`Plan::device_cost`](crate::method::Plan::device_cost), puts what the whole scene needs on the device in
//! [`Prepared::on_device`](crate::method::Prepared::on_device), and computes tiles on a [`Queue`]: images there, kernels, image back. The crate `gpu`
//! implements these traits with the driver of CUDA; methods know this page only, so they need no driver to be compiled.
//!
//! Kernels are named, not passed: module `methods/starfm` is the file `cuda/methods/starfm.cu`, compiled ahead of time.

use std::sync::Arc;

use crate::Result;

/// A device as it presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Number by which people choose it, as in `cuda:0`.
    pub index: usize,
    /// Name that its maker gave it.
    pub name: String,
    /// Compute capability, (major, minor).
    pub compute_capability: (u32, u32),
    /// Memory of the device in bytes.
    pub memory_bytes: u64,
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// Most shared memory that a block may ask for, in bytes.
    pub shared_bytes_per_block: usize,
    /// Highest version of CUDA that the driver knows, (major, minor).
    pub driver: (u32, u32),
}

impl DeviceInfo {
    /// How people choose it: `cuda:0`.
    pub fn id(&self) -> String {
        format!("cuda:{}", self.index)
    }
}

/// `cuda:0 NVIDIA H100`.
impl std::fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cuda:{} {}", self.index, self.name)
    }
}

/// What a device can do at best, by its own clocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeviceLimits {
    /// Clock of the multiprocessors, in Hz.
    pub clock_hz: f64,
    /// Instructions of a warp (32 threads) that the whole device issues in a second.
    pub issues_per_second: f64,
    /// Bytes that its memory moves in a second.
    pub memory_bytes_per_second: f64,
}

/// Memory on a device, given back to the pool of its device when dropped. Its contents are undefined until written.
#[derive(Debug)]
pub struct Buffer {
    address: u64,
    bytes: usize,
    home: Arc<dyn Home>,
}

/// Where the memory of buffers comes from and goes to.
pub trait Home: std::fmt::Debug + Send + Sync {
    /// Takes back `bytes` bytes at `address`. Work that uses them may still be queued: the home gives them to the same queue only,
    /// or waits.
    fn take_back(&self, address: u64, bytes: usize);
}

impl Buffer {
    /// `bytes` bytes at `address` that go back to `home`.
    pub fn new(address: u64, bytes: usize, home: Arc<dyn Home>) -> Buffer {
        Buffer { address, bytes, home }
    }

    /// Address on the device.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.take_back(self.address, self.bytes);
    }
}

/// A kernel by the names of its module (the path below `cuda/` without `.cu`) and its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Such as `methods/starfm`.
    pub module: &'static str,
    /// Such as `starfm_window`.
    pub function: &'static str,
}

/// How many threads run a kernel, and the shared memory of each block beyond what the kernel declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Blocks along x, y and z.
    pub blocks: [u32; 3],
    /// Threads of a block along x, y and z.
    pub threads: [u32; 3],
    /// Dynamic shared memory of a block in bytes.
    pub shared_bytes: usize,
}

/// An argument of a kernel. The number and the sizes of arguments are checked against the compiled kernel.
#[derive(Debug, Clone, Copy)]
pub enum Arg<'a> {
    /// A pointer to the start of a buffer.
    Buffer(&'a Buffer),
    /// A pointer that the kernel may find null.
    NoBuffer,
    /// `int`.
    Int(i32),
    /// `long long`.
    Long(i64),
    /// `float`.
    Float(f32),
    /// A structure passed by value: its bytes, laid out as in C.
    Bytes(&'a [u8]),
}

/// A GPU. Shared by all threads.
pub trait Device: Send + Sync {
    /// What it is.
    fn info(&self) -> &DeviceInfo;

    /// Memory that is free now, in bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Device`](crate::ErrorKind::Device).
    fn free_bytes(&self) -> Result<u64>;

    /// What it can do at best, for benchmarks; `None` where that is not known.
    fn limits(&self) -> Option<DeviceLimits> {
        None
    }

    /// A new queue on the device.
    ///
    /// # Errors
    /// [`ErrorKind::Device`](crate::ErrorKind::Device).
    fn queue(&self) -> Result<Box<dyn Queue>>;
}

/// Work in its order on one device (a stream): copies and kernels of several queues overlap. One thread at a time uses it.
///
/// Every error is an [`ErrorKind::Device`](crate::ErrorKind::Device) that names the device; after a kernel failed, the device is lost and every
/// call fails.
pub trait Queue: Send {
    /// The device.
    fn info(&self) -> &DeviceInfo;

    /// Memory for `bytes` bytes, at least one.
    ///
    /// # Errors
    /// Also when the device has not so much left.
    fn buffer(&mut self, bytes: usize) -> Result<Buffer>;

    /// Copies `from` to the buffer, `at` bytes from its start. `from` may change when the call returns; the copy to the device goes on
    /// while the caller does other things.
    ///
    /// # Errors
    /// Those of the device; also when the buffer ends before.
    fn write(&mut self, to: &Buffer, at: usize, from: &[u8]) -> Result<()>;

    /// Fills the buffer with a byte.
    ///
    /// # Errors
    /// Those of the device.
    fn fill(&mut self, to: &Buffer, byte: u8) -> Result<()>;

    /// Runs a kernel.
    ///
    /// # Errors
    /// Those of the device; also when the kernel does not exist, or the arguments or the shared memory do not fit it.
    fn launch(&mut self, kernel: Kernel, launch: Launch, arguments: &[Arg<'_>]) -> Result<()>;

    /// Runs a kernel as [`Queue::launch`] does, waits for it, and returns the seconds that it took by the clock of the device.
    ///
    /// # Errors
    /// Those of the device, of everything queued before, and of [`Queue::launch`].
    fn timed_launch(&mut self, kernel: Kernel, launch: Launch, arguments: &[Arg<'_>]) -> Result<f64>;

    /// Waits for everything queued and copies the buffer from `at` bytes after its start to `to`.
    ///
    /// # Errors
    /// Those of the device, of everything queued before; also when the buffer ends before.
    fn read(&mut self, from: &Buffer, at: usize, to: &mut [u8]) -> Result<()>;

    /// Waits for everything queued.
    ///
    /// # Errors
    /// Those of everything queued.
    fn wait(&mut self) -> Result<()>;
}
