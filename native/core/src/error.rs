//! The one error type: a kind, a message in the user's words and, where one exists, the remedy.

/// Result of everything that can fail in stfusion.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, one to one with `stf_status` of the C ABI. The numbers are frozen and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument of a function is unusable: a null pointer, a wrong structure size, text that is not UTF-8.
    Argument = 1,
    /// A method's or job's parameter is unknown, of the wrong type or out of range.
    Parameter = 2,
    /// The job is malformed: not JSON, unknown keys, missing parts.
    Job = 3,
    /// The images do not fit each other or the method (grids, bands, dates, units, all nodata).
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
    /// This build, or this method, cannot do what was asked.
    Unsupported = 10,
    /// The caller stopped the work.
    Cancelled = 11,
    /// A defect in stfusion itself.
    Internal = 12,
}

impl ErrorKind {
    /// The number of this kind in the C ABI; never zero, which means success.
    pub fn status(self) -> i32 {
        self as i32
    }

    /// Every kind, in the order of its number.
    pub const ALL: &'static [ErrorKind] = &[
        ErrorKind::Argument,
        ErrorKind::Parameter,
        ErrorKind::Job,
        ErrorKind::Data,
        ErrorKind::Read,
        ErrorKind::Write,
        ErrorKind::Exists,
        ErrorKind::Memory,
        ErrorKind::Device,
        ErrorKind::Unsupported,
        ErrorKind::Cancelled,
        ErrorKind::Internal,
    ];
}

/// A failure: `message` says what, where, which value and what was expected; `hint` what the user can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

impl Error {
    /// An error without a remedy.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), hint: None }
    }

    /// The same error with what the user can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error with `place` (a file, a parameter, a pair) put in front of its message.
    #[must_use]
    pub fn at(mut self, place: impl std::fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What, where, which value, what was expected.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The caller stopped the work.
    pub fn cancelled() -> Self {
        Error::new(ErrorKind::Cancelled, "Cancelled")
    }

    /// A defect in stfusion itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Internal, message).with_hint("This is a defect in stfusion; please report it with the job file.")
    }
}
