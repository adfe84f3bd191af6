//! What running code may ask of its caller: whether to stop, where to log, whom to tell of progress.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use crate::{Error, Result};

/// A request to stop, shared between the caller and the workers.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A request that has not been made.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the work to stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the work was asked to stop.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails with [`crate::ErrorKind::Cancelled`] when the work was asked to stop. Long loops call this at least every 50 ms.
    pub fn check(&self) -> Result<()> {
        if self.is_requested() {
            Err(Error::cancelled())
        } else {
            Ok(())
        }
    }
}

/// Weight of a log message; the numbers are those of the C ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// Something the user should act on, though the work goes on.
    Warning = 1,
    /// What the work found or chose.
    Info = 2,
    /// For developers.
    Debug = 3,
}

/// Where log messages go. Libraries never print.
pub type LogSink = dyn Fn(Level, &str) + Send + Sync;

/// The surroundings of running code. Work that a method does in parallel uses rayon's current pool, which the engine has set.
#[derive(Clone, Copy)]
pub struct Exec<'a> {
    /// The request to stop.
    pub cancel: &'a Cancel,
    /// Where messages go.
    pub log: &'a LogSink,
    /// Told the finished fraction (0..1) of the step at hand; may be called from any thread.
    pub progress: &'a (dyn Fn(f64) + Send + Sync),
}

impl Exec<'_> {
    /// Surroundings that never stop, log nowhere and tell nobody: for tests and small inner calls.
    pub fn quiet(cancel: &Cancel) -> Exec<'_> {
        Exec { cancel, log: &|_, _| {}, progress: &|_| {} }
    }

    /// Logs what the user should act on.
    pub fn warn(&self, message: impl AsRef<str>) {
        (self.log)(Level::Warning, message.as_ref());
    }

    /// Logs what the work found or chose.
    pub fn info(&self, message: impl AsRef<str>) {
        (self.log)(Level::Info, message.as_ref());
    }

    /// Logs for developers.
    pub fn debug(&self, message: impl AsRef<str>) {
        (self.log)(Level::Debug, message.as_ref());
    }
}
