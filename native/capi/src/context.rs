//! Contexts: threads, memory, callbacks, and the text of the last failure.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void, CString};
use std::sync::Arc;

use stfusion_core::{Error, ErrorKind, Level, LogSink, Result};
use stfusion_engine::{Context, ContextOptions, MemorySize};

use crate::ffi::{argument, borrow, c_string, caught, destroy, into_handle, Guarded, Handle, Out};
use crate::status::stf_status;

/// Threads, memory budget, callbacks and last error of a sequence of calls.
///
/// Use one from one thread at a time; contexts are independent of each other, so each thread may have its own.
#[derive(Debug)]
pub struct stf_context(Guarded<State>);

impl Handle for stf_context {
    type Value = State;
    const NAME: &'static str = "stf_context";
    const TAG: u64 = 0x5354_4663_6f6e_7478;
    fn over(block: Guarded<State>) -> Self {
        stf_context(block)
    }
    fn block(&self) -> &Guarded<State> {
        &self.0
    }
}

/// Told the finished fraction (0 to 1) of the work and what is being done; returns 0 to stop the work, anything else to
/// go on. It has the signature of GDAL's progress functions. Called only on the thread that runs the job, at most 20
/// times a second, and not again once it returned 0. It must not use the context or the job that are running, and must
/// not throw or jump out.
pub type stf_progress_fn = Option<unsafe extern "C" fn(fraction: f64, message: *const c_char, user: *mut c_void) -> c_int>;

/// Told a log message; level 1 is a warning, 2 information, 3 for developers. May be called from worker threads, several
/// at a time. It must not use the context, and must not throw or jump out. The message lives until it returns.
pub type stf_log_fn = Option<unsafe extern "C" fn(level: c_int, message: *const c_char, user: *mut c_void)>;

/// What a context holds.
#[derive(Default)]
pub(crate) struct State {
    threads: usize,
    memory: MemorySize,
    progress: Option<ProgressHandler>,
    log: Option<LogHandler>,
    engine: Option<Arc<Context>>,
    error: CString,
    hint: CString,
    texts: BTreeMap<&'static str, CString>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("threads", &self.threads).field("memory", &self.memory).finish_non_exhaustive()
    }
}

/// The caller's progress function.
#[derive(Clone, Copy)]
pub(crate) struct ProgressHandler {
    function: unsafe extern "C" fn(f64, *const c_char, *mut c_void) -> c_int,
    user: *mut c_void,
}

impl ProgressHandler {
    /// Whether to go on.
    pub(crate) fn tell(&self, fraction: f64, message: &str) -> bool {
        let message = c_string(message);
        // SAFETY: the caller's function, given what its type promises, on the caller's thread.
        unsafe { (self.function)(fraction, message.as_ptr(), self.user) != 0 }
    }
}

#[derive(Clone, Copy)]
struct LogHandler {
    function: unsafe extern "C" fn(c_int, *const c_char, *mut c_void),
    user: *mut c_void,
}

// SAFETY: the header says that the log function is called from worker threads with this pointer.
unsafe impl Send for LogHandler {}
// SAFETY: as above.
unsafe impl Sync for LogHandler {}

impl LogHandler {
    fn tell(&self, level: Level, message: &str) {
        let message = c_string(message);
        // SAFETY: the caller's function, given what its type promises.
        unsafe { (self.function)(level as c_int, message.as_ptr(), self.user) }
    }
}

impl State {
    /// The engine's context with the threads, memory and log set so far; made on first use and again after a change.
    pub(crate) fn engine(&mut self) -> Result<Arc<Context>> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let log = self.log.map(|handler| -> Arc<LogSink> { Arc::new(move |level, message: &str| handler.tell(level, message)) });
        let options = ContextOptions { threads: self.threads, memory: self.memory, limit_gdal_cache: false, log };
        let engine = Arc::new(Context::new(options)?);
        self.engine = Some(engine.clone());
        Ok(engine)
    }

    /// The progress function of one run.
    pub(crate) fn progress(&self) -> impl FnMut(f64, &str) -> bool {
        let handler = self.progress;
        let mut go_on = true;
        move |fraction, message| {
            // a function that said stop is not asked again
            go_on = go_on && handler.is_none_or(|h| h.tell(fraction, message));
            go_on
        }
    }

    /// Keeps `text` for the caller under the name of the function that hands it out.
    pub(crate) fn keep_text(&mut self, function: &'static str, text: &str) -> *const c_char {
        let kept = self.texts.entry(function).or_default();
        *kept = c_string(text);
        kept.as_ptr()
    }

    fn keep_error(&mut self, error: &Error) -> stf_status {
        self.error = c_string(error.message());
        self.hint = c_string(error.hint().unwrap_or_default());
        error.kind().into()
    }
}

/// Runs the body of a function of a context: the text of a failure stays in the context.
pub(crate) fn with_context(context: *const stf_context, body: impl FnOnce(&mut State) -> Result<()>) -> stf_status {
    // without a context there is nowhere to keep the text
    let Ok(mut state) = borrow(context) else { return stf_status::Argument };
    match caught(|| body(&mut state)) {
        Ok(()) => {
            state.error = CString::default();
            state.hint = CString::default();
            stf_status::Ok
        }
        Err(error) => state.keep_error(&error),
    }
}

/// Makes a context. Destroy it with stf_context_destroy.
#[no_mangle]
pub unsafe extern "C" fn stf_context_create(out: *mut *mut stf_context) -> stf_status {
    match caught(|| {
        Out::new(out, "out")?.set(into_handle(State::default()));
        Ok(())
    }) {
        Ok(()) => stf_status::Ok,
        Err(error) => error.kind().into(),
    }
}

/// Destroys a context and all text it owns. NULL is allowed. Jobs and reports made with it live on.
#[no_mangle]
pub unsafe extern "C" fn stf_context_destroy(context: *mut stf_context) {
    destroy(context);
}

/// Sets the number of threads; 0, the default, means STFUSION_NUM_THREADS, else GDAL_NUM_THREADS, else as many as the
/// process may use.
///
/// Fails with STF_STATUS_PARAMETER unless `threads` is between 0 and 1024.
#[no_mangle]
pub unsafe extern "C" fn stf_context_set_threads(context: *mut stf_context, threads: i32) -> stf_status {
    with_context(context, |state| {
        let wanted = usize::try_from(threads).ok().filter(|&n| n <= 1024).ok_or_else(|| {
            Error::new(ErrorKind::Parameter, format!("Threads must be between 0 and 1024; got {threads}"))
                .with_hint("Set threads to 0 to use all processors.")
        })?;
        state.threads = wanted;
        state.engine = None;
        Ok(())
    })
}

/// Sets the memory budget of a run in bytes; 0, the default, lets the library choose.
///
/// Fails with STF_STATUS_PARAMETER for less than 1 MiB.
#[no_mangle]
pub unsafe extern "C" fn stf_context_set_memory(context: *mut stf_context, bytes: u64) -> stf_status {
    with_context(context, |state| {
        state.memory = if bytes == 0 { MemorySize(None) } else { bytes.to_string().parse()? };
        state.engine = None;
        Ok(())
    })
}

/// Sets the function that is told how far the work is and can stop it; NULL for none. `user` is handed to it as it is.
#[no_mangle]
pub unsafe extern "C" fn stf_context_set_progress(
    context: *mut stf_context,
    function: stf_progress_fn,
    user: *mut c_void,
) -> stf_status {
    with_context(context, |state| {
        state.progress = function.map(|function| ProgressHandler { function, user });
        Ok(())
    })
}

/// Sets the function that is told log messages; NULL for none. `user` is handed to it as it is, from any thread.
#[no_mangle]
pub unsafe extern "C" fn stf_context_set_log(context: *mut stf_context, function: stf_log_fn, user: *mut c_void) -> stf_status {
    with_context(context, |state| {
        state.log = function.map(|function| LogHandler { function, user });
        state.engine = None;
        Ok(())
    })
}

/// What went wrong in the last call with this context: what, where, which value, what was expected. Empty when it
/// succeeded. Never NULL; valid until the next call with the context, other than this one and stf_context_last_hint.
#[no_mangle]
pub unsafe extern "C" fn stf_context_last_error(context: *const stf_context) -> *const c_char {
    last_text(context, |state| &state.error)
}

/// What the user can do about the last failure. Empty when there is nothing to say. Never NULL; valid until the next call
/// with the context, other than this one and stf_context_last_error.
#[no_mangle]
pub unsafe extern "C" fn stf_context_last_hint(context: *const stf_context) -> *const c_char {
    last_text(context, |state| &state.hint)
}

fn last_text(context: *const stf_context, of: impl FnOnce(&State) -> &CString) -> *const c_char {
    match borrow(context) {
        Ok(state) => of(&state).as_ptr(),
        Err(_) if context.is_null() => c"The context is NULL".as_ptr(),
        Err(_) => c"The context is in use by another call, or is none".as_ptr(),
    }
}

/// A text of the library itself, kept in the context.
pub(crate) fn with_text(
    context: *mut stf_context,
    out: *mut *const c_char,
    function: &'static str,
    text: impl FnOnce(&mut State) -> Result<String>,
) -> stf_status {
    with_context(context, |state| {
        let out = Out::new(out, "out")?;
        let text = text(state)?;
        out.set(state.keep_text(function, &text));
        Ok(())
    })
}

/// A value as JSON text.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| argument(format!("the result cannot be written as JSON: {e}")))
}
