//! GDAL's messages, captured instead of printed.
//!
//! GDAL reports through a stack of error handlers that belongs to the calling thread. [`Capture`] pushes a handler that
//! collects failures and warnings, and pops it when dropped; while it lives, nothing is printed and nobody else's handler is called.

use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_void, CStr};
use std::marker::PhantomData;

use gdal_sys::CPLErr;

/// Messages collected on this thread.
#[derive(Debug, Default)]
struct Messages {
    failures: Vec<String>,
    warnings: Vec<String>,
}

/// Collects GDAL's failures and warnings on this thread while it lives.
#[derive(Debug)]
pub(crate) struct Capture {
    messages: Box<RefCell<Messages>>,
    // The handler stack is the thread's: the guard must be dropped where it was made.
    not_send: PhantomData<*const ()>,
}

unsafe extern "C" fn collect(class: CPLErr::Type, _number: c_int, text: *const c_char) {
    let is_failure = class == CPLErr::CE_Failure || class == CPLErr::CE_Fatal;
    if !is_failure && class != CPLErr::CE_Warning || text.is_null() {
        return;
    }
    // SAFETY: GDAL passes a string that ends in NUL; the user data is the box of the guard that is still alive, as
    // the handler is popped before the box is freed.
    unsafe {
        let user = gdal_sys::CPLGetErrorHandlerUserData().cast::<RefCell<Messages>>();
        if let Some(Ok(mut messages)) = user.as_ref().map(RefCell::try_borrow_mut) {
            let list = if is_failure { &mut messages.failures } else { &mut messages.warnings };
            list.push(CStr::from_ptr(text).to_string_lossy().trim().to_string());
        }
    }
}

impl Capture {
    /// Starts collecting.
    pub(crate) fn start() -> Capture {
        let messages = Box::<RefCell<Messages>>::default();
        let user = std::ptr::from_ref::<RefCell<Messages>>(&messages).cast_mut().cast::<c_void>();
        // SAFETY: the handler and its user data outlive the push: `drop` pops it before the box is freed.
        unsafe {
            gdal_sys::CPLErrorReset();
            gdal_sys::CPLPushErrorHandlerEx(Some(collect), user);
        }
        Capture { messages, not_send: PhantomData }
    }

    /// Whether GDAL reported a failure.
    pub(crate) fn failed(&self) -> bool {
        !self.messages.borrow().failures.is_empty()
    }

    /// The failures as one line, the first two of them; `None` when there was none.
    pub(crate) fn text(&self) -> Option<String> {
        let messages = self.messages.borrow();
        let mut lines: Vec<&str> = messages.failures.iter().map(|s| s.trim_end_matches('.')).collect();
        lines.dedup();
        lines.truncate(2);
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    /// The first warning.
    pub(crate) fn warning(&self) -> Option<String> {
        self.messages.borrow().warnings.first().map(|s| s.trim_end_matches('.').to_string())
    }

    /// The failures as one line, or words that say there were none.
    pub(crate) fn reason(&self) -> String {
        self.text().unwrap_or_else(|| "GDAL gives no reason".into())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // SAFETY: pops the handler that `start` pushed on this thread (the guard is not `Send`).
        unsafe {
            gdal_sys::CPLPopErrorHandler();
            gdal_sys::CPLErrorReset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raise(text: &str) {
        let text = std::ffi::CString::new(text).unwrap();
        // SAFETY: a format without arguments and one string.
        unsafe { gdal_sys::CPLError(CPLErr::CE_Failure, 1, c"%s".as_ptr(), text.as_ptr()) };
    }

    #[test]
    fn failures_are_collected_per_guard_and_nested() {
        let outer = Capture::start();
        raise("first.");
        {
            let inner = Capture::start();
            assert!(!inner.failed());
            raise("inside");
            assert_eq!(inner.text().as_deref(), Some("inside"));
        }
        raise("second");
        assert_eq!(outer.text().as_deref(), Some("first; second"));
    }

    #[test]
    fn threads_do_not_see_each_other() {
        let here = Capture::start();
        std::thread::spawn(|| {
            let there = Capture::start();
            raise("there");
            assert!(there.failed());
        })
        .join()
        .unwrap();
        assert_eq!(here.reason(), "GDAL gives no reason");
    }
}
