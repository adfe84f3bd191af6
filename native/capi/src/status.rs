//! Status numbers.

use std::ffi::c_char;

use stfusion_core::ErrorKind;

/// Outcome of a function. The numbers are frozen and never reused.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum stf_status {
    /// The function did what it was asked for.
    Ok = 0,
    /// An argument is unusable: NULL, a wrong structure size, text that is not UTF-8, a handle in use by another call.
    Argument = 1,
    /// A parameter of the method or the job is unknown, of the wrong type or out of range.
    Parameter = 2,
    /// The job is malformed: not JSON, unknown keys, missing parts.
    Job = 3,
    /// The images do not fit each other or the method (shapes, grids, bands, dates, units, all nodata).
    Data = 4,
    /// A file cannot be opened or read.
    Read = 5,
    /// A file cannot be created or written.
    Write = 6,
    /// The output exists and overwriting was not asked for.
    Exists = 7,
    /// The memory budget is too small for the job, or the system has no more.
    Memory = 8,
    /// The requested device is missing or failed.
    Device = 9,
    /// This build of the library, or this method, cannot do what was asked.
    Unsupported = 10,
    /// The progress function stopped the work.
    Cancelled = 11,
    /// A defect in stfusion itself; please report the text of the error.
    Internal = 12,
}

impl From<ErrorKind> for stf_status {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Argument => stf_status::Argument,
            ErrorKind::Parameter => stf_status::Parameter,
            ErrorKind::Job => stf_status::Job,
            ErrorKind::Data => stf_status::Data,
            ErrorKind::Read => stf_status::Read,
            ErrorKind::Write => stf_status::Write,
            ErrorKind::Exists => stf_status::Exists,
            ErrorKind::Memory => stf_status::Memory,
            ErrorKind::Device => stf_status::Device,
            ErrorKind::Unsupported => stf_status::Unsupported,
            ErrorKind::Cancelled => stf_status::Cancelled,
            _ => stf_status::Internal,
        }
    }
}

/// Name of a status in lower case, such as "parameter"; "unknown" for a number that is none. Never NULL, lives forever.
#[no_mangle]
pub extern "C" fn stf_status_name(status: i32) -> *const c_char {
    let name = match status {
        0 => c"ok",
        1 => c"argument",
        2 => c"parameter",
        3 => c"job",
        4 => c"data",
        5 => c"read",
        6 => c"write",
        7 => c"exists",
        8 => c"memory",
        9 => c"device",
        10 => c"unsupported",
        11 => c"cancelled",
        12 => c"internal",
        _ => c"unknown",
    };
    name.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn statuses_are_the_error_kinds_by_number_and_name() {
        for &kind in ErrorKind::ALL {
            assert_eq!(stf_status::from(kind) as i32, kind.status());
            // SAFETY: the function returns a constant string.
            let name = unsafe { CStr::from_ptr(stf_status_name(kind.status())) };
            assert_eq!(name.to_str().unwrap(), format!("{kind:?}").to_lowercase());
        }
    }
}
