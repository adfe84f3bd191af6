//! The functions of the driver that are called, each checked, with handles that threads may share.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::ptr::null_mut;

use cudarc::driver::sys;

/// What the driver answered instead of success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Function that failed.
    pub call: &'static str,
    /// The driver's number.
    pub code: u32,
}

/// Number of an allocation that failed.
const OUT_OF_MEMORY: u32 = 2;
/// Number of a driver without devices.
const NO_DEVICE: u32 = 100;
/// Numbers after which a context is of no use: memory errors, address and instruction faults, timeouts, a destroyed context.
const FATAL: [u32; 13] = [214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721];

impl Failure {
    /// Whether memory was missing.
    pub fn is_out_of_memory(self) -> bool {
        self.code == OUT_OF_MEMORY
    }

    /// Whether there is no device.
    pub fn is_no_device(self) -> bool {
        self.code == NO_DEVICE
    }

    /// Whether nothing can be done on the device any more.
    pub fn is_fatal(self) -> bool {
        FATAL.contains(&self.code)
    }
}

/// `an illegal memory access was encountered (CUDA_ERROR_ILLEGAL_ADDRESS in cuStreamSynchronize)`.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        type Describe = unsafe extern "C" fn(u32, *mut *const c_char) -> u32;
        // the numbers go through the library itself: one that the bindings do not list has no value of their type
        let text = |name: &str| {
            // SAFETY: the library is there, since it gave the number; the signature is that of both functions
            unsafe {
                let describe = sys::culib().get::<Describe>(name.as_bytes()).ok()?;
                let mut text = std::ptr::null();
                (describe(self.code, &mut text) == 0 && !text.is_null())
                    .then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
            }
        };
        let name = text("cuGetErrorName").unwrap_or_else(|| format!("error {}", self.code));
        match text("cuGetErrorString") {
            Some(words) => write!(f, "{words} ({name} in {})", self.call),
            None => write!(f, "{name} in {}", self.call),
        }
    }
}

pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Calls a function of the driver and checks its answer.
macro_rules! call {
    ($function:ident($($argument:expr),* $(,)?)) => {
        match sys::$function($($argument),*) as u32 {
            0 => Ok(()),
            code => Err(Failure { call: stringify!($function), code }),
        }
    };
}

/// Whether the library of the driver can be loaded. No other function may be called where it cannot.
pub(crate) fn is_present() -> bool {
    // SAFETY: loads the library, whose initialisers do nothing
    unsafe { sys::is_culib_present() }
}

/// Starts the driver.
pub(crate) fn init() -> Outcome {
    // SAFETY: no requirement
    unsafe { call!(cuInit(0)) }
}

/// Highest version of CUDA that the driver knows, (major, minor). Needs no start.
pub(crate) fn version() -> Outcome<(u32, u32)> {
    let mut version: c_int = 0;
    // SAFETY: the pointer is to a local value
    unsafe { call!(cuDriverGetVersion(&mut version)) }?;
    Ok((version as u32 / 1000, version as u32 % 1000 / 10))
}

/// Number of devices.
pub(crate) fn device_count() -> Outcome<usize> {
    let mut count: c_int = 0;
    // SAFETY: the pointer is to a local value
    unsafe { call!(cuDeviceGetCount(&mut count)) }?;
    Ok(count as usize)
}

/// A number about a device.
pub(crate) type Attribute = sys::CUdevice_attribute;

/// A device by the driver's number for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ordinal(sys::CUdevice);

impl Ordinal {
    pub fn of(index: usize) -> Outcome<Ordinal> {
        let mut device = 0;
        // SAFETY: the pointer is to a local value
        unsafe { call!(cuDeviceGet(&mut device, index as c_int)) }?;
        Ok(Ordinal(device))
    }

    pub fn name(self) -> Outcome<String> {
        let mut name = [0 as c_char; 256];
        // SAFETY: the driver writes at most so many characters, the last of them 0
        unsafe {
            call!(cuDeviceGetName(name.as_mut_ptr(), name.len() as c_int, self.0))?;
            Ok(CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned())
        }
    }

    pub fn memory_bytes(self) -> Outcome<u64> {
        let mut bytes = 0usize;
        // SAFETY: the pointer is to a local value
        unsafe { call!(cuDeviceTotalMem_v2(&mut bytes, self.0)) }?;
        Ok(bytes as u64)
    }

    pub fn attribute(self, attribute: Attribute) -> Outcome<usize> {
        let mut value: c_int = 0;
        // SAFETY: the pointer is to a local value
        unsafe { call!(cuDeviceGetAttribute(&mut value, attribute, self.0)) }?;
        Ok(value as usize)
    }
}

/// The primary context of a device, which all libraries of a process share; released when dropped.
#[derive(Debug)]
pub(crate) struct Context {
    handle: sys::CUcontext,
    device: Ordinal,
}

// SAFETY: the driver's contexts may be used from any thread
unsafe impl Send for Context {}
// SAFETY: and from several at once
unsafe impl Sync for Context {}

impl Context {
    pub fn retain(device: Ordinal) -> Outcome<Context> {
        let mut handle = null_mut();
        // SAFETY: the pointer is to a local value
        unsafe { call!(cuDevicePrimaryCtxRetain(&mut handle, device.0)) }?;
        Ok(Context { handle, device })
    }

    /// Makes it the context of this thread until the returned value is dropped; then it is again what it was.
    pub fn enter(&self) -> Outcome<Entered<'_>> {
        // SAFETY: the handle lives as long as `self`
        unsafe { call!(cuCtxPushCurrent_v2(self.handle)) }?;
        Ok(Entered(std::marker::PhantomData))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was retained once; that a driver that is shutting down refuses changes nothing
        let _ = unsafe { call!(cuDevicePrimaryCtxRelease_v2(self.device.0)) };
    }
}

/// Proof that the calling thread works in a context. Everything below needs one: handles belong to the context in which they were made.
pub(crate) struct Entered<'a>(std::marker::PhantomData<(&'a Context, *const ())>);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut left = null_mut();
        // SAFETY: pops what `enter` pushed, on the same thread, because the value cannot leave it
        let _ = unsafe { call!(cuCtxPopCurrent_v2(&mut left)) };
    }
}

impl Entered<'_> {
    /// Free bytes of the device.
    pub fn free_bytes(&self) -> Outcome<u64> {
        let (mut free, mut total) = (0usize, 0usize);
        // SAFETY: the pointers are to local values
        unsafe { call!(cuMemGetInfo_v2(&mut free, &mut total)) }?;
        Ok(free as u64)
    }

    /// Waits for everything on the device.
    pub fn synchronize(&self) -> Outcome {
        // SAFETY: no requirement
        unsafe { call!(cuCtxSynchronize()) }
    }

    /// Device memory; whoever allocates it frees it.
    pub fn allocate(&self, bytes: usize) -> Outcome<u64> {
        let mut address = 0;
        // SAFETY: the pointer is to a local value
        unsafe { call!(cuMemAlloc_v2(&mut address, bytes)) }?;
        Ok(address)
    }

    /// Frees memory of [`Entered::allocate`] once the device has done everything that was queued.
    pub fn free(&self, address: u64) -> Outcome {
        // SAFETY: an address that the driver does not know is refused
        unsafe { call!(cuMemFree_v2(address)) }
    }

    /// A module from PTX; on failure also the driver's log of compiling it.
    pub fn load(&self, ptx: &str) -> Result<Module, (Failure, String)> {
        use sys::CUjit_option::{CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
        use sys::CUjit_option::{CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES};
        const LOG_BYTES: usize = 16 << 10;
        let text = CString::new(ptx).unwrap_or_default();
        let (mut info, mut error) = (vec![0u8; LOG_BYTES], vec![0u8; LOG_BYTES]);
        let mut options = [
            CU_JIT_INFO_LOG_BUFFER,
            CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
            CU_JIT_ERROR_LOG_BUFFER,
            CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
        ];
        // sizes are passed as if they were pointers
        let size = LOG_BYTES as *mut c_void;
        let mut values = [info.as_mut_ptr().cast(), size, error.as_mut_ptr().cast(), size];
        let mut handle = null_mut();
        // SAFETY: the text ends with 0; options and values have the same length, and the buffers the sizes that are told
        let outcome = unsafe {
            call!(cuModuleLoadDataEx(
                &mut handle,
                text.as_ptr().cast(),
                options.len() as u32,
                options.as_mut_ptr(),
                values.as_mut_ptr()
            ))
        };
        outcome.map(|()| Module(handle)).map_err(|failure| {
            let words =
                |log: &[u8]| CStr::from_bytes_until_nul(log).map(|t| t.to_string_lossy().trim().to_string()).unwrap_or_default();
            let log = [words(&error), words(&info)];
            (failure, log.into_iter().filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n"))
        })
    }

    /// Pinned host memory; freed with [`Entered::free_pinned`].
    pub fn pinned(&self, bytes: usize) -> Outcome<Pinned> {
        let mut start = null_mut();
        // SAFETY: the pointer is to a local value
        unsafe { call!(cuMemHostAlloc(&mut start, bytes, 0)) }?;
        Ok(Pinned { start: start.cast(), bytes })
    }

    /// Frees pinned memory that no copy uses any more.
    pub fn free_pinned(&self, memory: Pinned) {
        // SAFETY: it came from `pinned`; a lost device refuses, and then the memory goes with its context
        let _ = unsafe { call!(cuMemFreeHost(memory.start.cast())) };
    }

    /// A stream that does not wait for the default stream.
    pub fn stream(&self) -> Outcome<Stream> {
        let mut handle = null_mut();
        // SAFETY: the pointer is to a local value
        unsafe { call!(cuStreamCreate(&mut handle, sys::CUstream_flags::CU_STREAM_NON_BLOCKING as u32)) }?;
        Ok(Stream(handle))
    }

    /// An event without a time.
    pub fn event(&self) -> Outcome<Event> {
        self.event_as(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)
    }

    /// An event that notes the time.
    pub fn timed_event(&self) -> Outcome<Event> {
        self.event_as(sys::CUevent_flags::CU_EVENT_DEFAULT)
    }

    fn event_as(&self, flags: sys::CUevent_flags) -> Outcome<Event> {
        let mut handle = null_mut();
        // SAFETY: the pointer is to a local value
        unsafe { call!(cuEventCreate(&mut handle, flags as u32)) }?;
        Ok(Event(handle))
    }
}

/// A module on a device, as long as its context.
#[derive(Debug)]
pub(crate) struct Module(sys::CUmodule);

// SAFETY: handles of the driver may be used from any thread that is in their context
unsafe impl Send for Module {}
// SAFETY: and from several at once
unsafe impl Sync for Module {}

impl Module {
    pub fn function(&self, _in: &Entered<'_>, name: &str) -> Outcome<Function> {
        let text = CString::new(name).unwrap_or_default();
        let mut handle = null_mut();
        // SAFETY: the module lives as long as its context
        unsafe { call!(cuModuleGetFunction(&mut handle, self.0, text.as_ptr())) }?;
        Ok(Function(handle))
    }

    pub fn unload(self, _in: &Entered<'_>) {
        // SAFETY: a module is unloaded once, since it is consumed
        let _ = unsafe { call!(cuModuleUnload(self.0)) };
    }
}

/// A kernel on a device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Function(sys::CUfunction);

// SAFETY: handles of the driver may be used from any thread that is in their context
unsafe impl Send for Function {}
// SAFETY: and from several at once
unsafe impl Sync for Function {}

impl Function {
    /// Lets blocks ask for so much dynamic shared memory.
    pub fn allow_shared(self, _in: &Entered<'_>, bytes: usize) -> Outcome {
        let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: the function lives as long as its module
        unsafe { call!(cuFuncSetAttribute(self.0, attribute, bytes as c_int)) }
    }
}

/// Host memory from which and to which a device copies by itself. Whoever has it reads and writes it, except while a copy does.
#[derive(Debug)]
pub(crate) struct Pinned {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: it is memory of the process
unsafe impl Send for Pinned {}

impl Pinned {
    /// Its bytes.
    ///
    /// # Safety
    /// No copy between it and a device may be under way.
    pub unsafe fn contents(&mut self) -> &mut [u8] {
        // SAFETY: the memory is as long, and by the caller's word nothing else uses it
        unsafe { std::slice::from_raw_parts_mut(self.start, self.bytes) }
    }
}

/// Work in its order.
#[derive(Debug)]
pub(crate) struct Stream(sys::CUstream);

// SAFETY: handles of the driver may be used from any thread that is in their context
unsafe impl Send for Stream {}

impl Stream {
    pub fn synchronize(&self, _in: &Entered<'_>) -> Outcome {
        // SAFETY: the stream lives as long as `self`
        unsafe { call!(cuStreamSynchronize(self.0)) }
    }

    /// Queues a copy of `bytes` bytes from the start of `from`.
    ///
    /// # Safety
    /// `from` stays as it is until the copy is done; `to` has room.
    pub unsafe fn copy_to_device(&self, _in: &Entered<'_>, to: u64, from: &Pinned, bytes: usize) -> Outcome {
        // SAFETY: the caller's word
        unsafe { call!(cuMemcpyHtoDAsync_v2(to, from.start.cast(), bytes.min(from.bytes), self.0)) }
    }

    /// Queues a copy of `bytes` bytes to the start of `to`.
    ///
    /// # Safety
    /// Nobody looks at `to` until the copy is done; `from` has as many bytes.
    pub unsafe fn copy_to_host(&self, _in: &Entered<'_>, to: &Pinned, from: u64, bytes: usize) -> Outcome {
        // SAFETY: the caller's word
        unsafe { call!(cuMemcpyDtoHAsync_v2(to.start.cast(), from, bytes.min(to.bytes), self.0)) }
    }

    /// Queues filling.
    ///
    /// # Safety
    /// `bytes` bytes at `to` belong to the caller.
    pub unsafe fn fill(&self, _in: &Entered<'_>, to: u64, byte: u8, bytes: usize) -> Outcome {
        // SAFETY: the caller's word
        unsafe { call!(cuMemsetD8Async(to, byte, bytes, self.0)) }
    }

    /// Queues a kernel.
    ///
    /// # Safety
    /// `arguments` points to as many values as the kernel has parameters, each as long as the parameter; what they point to on the device is what
    /// the kernel expects.
    pub unsafe fn launch(
        &self,
        _in: &Entered<'_>,
        function: Function,
        launch: &stfusion_core::device::Launch,
        arguments: &mut [*mut c_void],
    ) -> Outcome {
        let ([gx, gy, gz], [bx, by, bz]) = (launch.blocks, launch.threads);
        let shared = launch.shared_bytes as u32;
        // SAFETY: the caller's word
        unsafe { call!(cuLaunchKernel(function.0, gx, gy, gz, bx, by, bz, shared, self.0, arguments.as_mut_ptr(), null_mut())) }
    }

    pub fn destroy(self, _in: &Entered<'_>) {
        // SAFETY: a stream is destroyed once, since it is consumed
        let _ = unsafe { call!(cuStreamDestroy_v2(self.0)) };
    }
}

/// A point in the work of a stream.
#[derive(Debug)]
pub(crate) struct Event(sys::CUevent);

// SAFETY: handles of the driver may be used from any thread that is in their context
unsafe impl Send for Event {}

impl Event {
    /// Moves it to the end of what is queued now.
    pub fn record(&self, _in: &Entered<'_>, stream: &Stream) -> Outcome {
        // SAFETY: both handles live
        unsafe { call!(cuEventRecord(self.0, stream.0)) }
    }

    /// Waits until the work before it is done; an event that was never recorded is.
    pub fn synchronize(&self, _in: &Entered<'_>) -> Outcome {
        // SAFETY: the handle lives
        unsafe { call!(cuEventSynchronize(self.0)) }
    }

    /// Seconds from `start` to this event, both of them timed and done.
    pub fn seconds_since(&self, _in: &Entered<'_>, start: &Event) -> Outcome<f64> {
        let mut milliseconds = 0.0f32;
        // SAFETY: both handles live, and the pointer is to a local value
        unsafe { call!(cuEventElapsedTime(&mut milliseconds, start.0, self.0)) }?;
        Ok(f64::from(milliseconds) * 1e-3)
    }

    pub fn destroy(self, _in: &Entered<'_>) {
        // SAFETY: an event is destroyed once, since it is consumed
        let _ = unsafe { call!(cuEventDestroy_v2(self.0)) };
    }
}
