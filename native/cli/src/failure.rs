//! How a command ends when it does not succeed.

use stfusion_core::{Error, ErrorKind};

/// Why a command ended.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong; nothing was tried.
    Usage(Error),
    /// The work failed or was stopped.
    Failed(Error),
}

/// What a command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A wrong command line: what is wrong with it, and what to write instead.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure::Usage(Error::new(ErrorKind::Parameter, message).with_hint(hint))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Failed(error)
    }
}
