//! Errors, warnings and remarks in GDAL's channels.

use std::ffi::CString;
use std::fmt;

use gdal_sys::CPLErr;
use stfusion_core::{Error, ErrorKind, Level, Result};

/// An error that GDAL has been told of.
#[derive(Debug)]
pub(crate) struct Told;

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the error has been reported")
    }
}

/// Numbers of `cpl_error.h`.
fn number(kind: ErrorKind) -> i32 {
    match kind {
        ErrorKind::Memory => 2,
        ErrorKind::Read => 4,
        ErrorKind::Argument | ErrorKind::Parameter => 5,
        ErrorKind::Unsupported | ErrorKind::Device => 6,
        ErrorKind::Cancelled => 9,
        _ => 1,
    }
}

/// Runs `work`; its error, or its panic, becomes an error of GDAL.
pub(crate) fn reported<T>(work: impl FnOnce() -> Result<T>) -> Result<T, Told> {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Error::internal(format!("The driver panicked: {}", text.unwrap_or("unknown reason"))))
    });
    outcome.map_err(|error| {
        let hint = error.hint().map(|h| format!(". {h}")).unwrap_or_default();
        raise(CPLErr::CE_Failure, number(error.kind()), &format!("{}{hint}", error.message()));
        Told
    })
}

/// A log message of the engine.
pub(crate) fn log(level: Level, message: &str) {
    match level {
        Level::Warning => raise(CPLErr::CE_Warning, 1, message),
        // SAFETY: a format with one string that ends in NUL.
        _ => unsafe { gdal_sys::CPLDebug(c"STFUSION".as_ptr(), c"%s".as_ptr(), text(message).as_ptr()) },
    }
}

fn raise(class: CPLErr::Type, number: i32, message: &str) {
    // SAFETY: a format with one string that ends in NUL.
    unsafe { gdal_sys::CPLError(class, number, c"%s".as_ptr(), text(message).as_ptr()) };
}

fn text(message: &str) -> CString {
    CString::new(message.replace('\0', " ")).unwrap_or_default()
}
