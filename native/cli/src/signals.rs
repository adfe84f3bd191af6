//! Ctrl-C: the first one asks the work to stop, the second one ends the process.

use std::sync::atomic::{AtomicI32, Ordering};

static RECEIVED: AtomicI32 = AtomicI32::new(0);

extern "C" fn remember(signal: libc::c_int) {
    RECEIVED.store(signal, Ordering::Relaxed);
}

/// From now on SIGINT and SIGTERM are remembered once; a second one has its usual effect. A signal that the parent
/// process made this one ignore stays ignored.
pub(crate) fn catch() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: `action` and `before` are valid for the calls, and the handler only stores to an atomic.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &mut before);
            if before.sa_sigaction == libc::SIG_IGN {
                continue;
            }
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = remember as extern "C" fn(libc::c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESETHAND | libc::SA_RESTART;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// The signal that came, if one did.
pub(crate) fn received() -> Option<u8> {
    u8::try_from(RECEIVED.load(Ordering::Relaxed)).ok().filter(|&s| s != 0)
}
