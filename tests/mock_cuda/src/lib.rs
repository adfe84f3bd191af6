//! A driver of CUDA that computes on the processor (`tests/cuda/driver.cpp`), so that the real host code runs in tests without a GPU.
//!
//! In a test's own process [`install`] loads it before anything looks for a driver. Other processes find it through `LD_LIBRARY_PATH` with
//! [`folder`], and take settings from the environment variable [`SETTINGS`].

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libloading::{Library, Symbol};

/// Environment variable with the settings, as in `devices=2 memory=1000000`; `tests/cuda/driver.cpp` lists them.
pub const SETTINGS: &str = "STF_MOCK_CUDA";

/// The library.
pub fn path() -> PathBuf {
    Path::new(env!("OUT_DIR")).join("libcuda.so")
}

/// The folder that holds it and nothing else that a loader could want.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("OUT_DIR"))
}

/// The mock driver of this process, for one test at a time.
pub struct Mock {
    library: &'static Library,
    _alone: MutexGuard<'static, ()>,
}

/// Loads the mock driver into this process, forgets what earlier tests set, and applies `settings`. Other callers wait until the value is gone.
///
/// # Panics
/// When the library cannot be loaded.
pub fn install(settings: &str) -> Mock {
    static ALONE: Mutex<()> = Mutex::new(());
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let library = LIBRARY.get_or_init(|| {
        // SAFETY: the library has no initialiser that depends on anything
        unsafe { Library::new(path()) }.unwrap_or_else(|e| panic!("the mock driver cannot be loaded: {e}"))
    });
    let mock = Mock { library, _alone: alone };
    mock.set("reset");
    mock.set(settings);
    mock
}

impl Mock {
    /// Changes settings.
    pub fn set(&self, settings: &str) {
        let text = CString::new(settings).unwrap_or_default();
        // SAFETY: the signature is that of tests/cuda/driver.cpp
        unsafe {
            let configure: Symbol<'_, unsafe extern "C" fn(*const std::ffi::c_char)> = self.symbol("stf_mock_configure");
            configure(text.as_ptr());
        }
    }

    /// How often something happened since the driver was installed, or how much of it is there now; `tests/cuda/driver.cpp` lists the names.
    pub fn count(&self, what: &str) -> i64 {
        let text = CString::new(what).unwrap_or_default();
        // SAFETY: the signature is that of tests/cuda/driver.cpp
        unsafe {
            let count: Symbol<'_, unsafe extern "C" fn(*const std::ffi::c_char) -> i64> = self.symbol("stf_mock_count");
            count(text.as_ptr())
        }
    }

    /// # Safety
    /// `T` must be the type of the symbol.
    unsafe fn symbol<T>(&self, name: &str) -> Symbol<'_, T> {
        // SAFETY: the caller knows the type
        unsafe { self.library.get(name) }.unwrap_or_else(|e| panic!("{name} is not in the mock driver: {e}"))
    }
}
