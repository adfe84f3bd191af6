//! Guards at the boundary: handles, text, out-pointers, panics.
//!
//! A handle is a heap block that starts with a tag and a busy flag. The tag tells a context from a job and a live handle
//! from most dead ones; the busy flag turns concurrent or re-entrant use into an error instead of two mutable references.

use std::cell::UnsafeCell;
use std::ffi::{c_char, CStr, CString};
use std::ops::{Deref, DerefMut};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use stfusion_core::{Error, ErrorKind, Result};

const DEAD: u64 = 0;

/// The block behind a handle.
#[derive(Debug)]
pub(crate) struct Guarded<T> {
    tag: AtomicU64,
    busy: AtomicBool,
    value: UnsafeCell<T>,
}

/// An opaque C type over a [`Guarded`] value.
pub(crate) trait Handle: Sized {
    /// What the handle holds.
    type Value;
    /// The C type, for messages.
    const NAME: &'static str;
    /// Marks a live block of this type.
    const TAG: u64;
    /// The C type over its block.
    fn over(block: Guarded<Self::Value>) -> Self;
    /// The block under the C type.
    fn block(&self) -> &Guarded<Self::Value>;
}

/// The value of a handle, for the one call that borrowed it.
pub(crate) struct Borrowed<'a, T>(&'a Guarded<T>);

impl<T> Deref for Borrowed<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the busy flag was free when `self` was made and is taken until it is dropped.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Borrowed<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; `&mut self` excludes other references made through this borrow.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Borrowed<'_, T> {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

pub(crate) fn argument(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Argument, message)
}

/// A new handle on the heap.
pub(crate) fn into_handle<H: Handle>(value: H::Value) -> *mut H {
    let block = Guarded { tag: AtomicU64::new(H::TAG), busy: AtomicBool::new(false), value: UnsafeCell::new(value) };
    Box::into_raw(Box::new(H::over(block)))
}

/// Borrows the value of a handle for the duration of one call.
pub(crate) fn borrow<'a, H: Handle + 'a>(handle: *const H) -> Result<Borrowed<'a, H::Value>> {
    let name = H::NAME;
    check_pointer(handle, name)?;
    // SAFETY: not null and aligned; by contract it came from this library, and the tag below is checked before use.
    let block = unsafe { &*handle }.block();
    if block.tag.load(Ordering::Acquire) != H::TAG {
        return Err(argument(format!("The pointer is not a live {name}"))
            .with_hint("Pass a handle that this library made and that was not destroyed."));
    }
    if block.busy.swap(true, Ordering::Acquire) {
        return Err(argument(format!("The {name} is in use by another call"))
            .with_hint("Use a handle from one thread at a time, and not inside its own callbacks."));
    }
    Ok(Borrowed(block))
}

/// Destroys a handle. NULL, foreign and dead handles are left alone, and so is one that a running call uses: it leaks
/// rather than vanish under that call.
pub(crate) fn destroy<H: Handle>(handle: *mut H) {
    let Ok(borrowed) = borrow(handle.cast_const()) else { return };
    borrowed.0.tag.store(DEAD, Ordering::Release);
    std::mem::forget(borrowed);
    // SAFETY: the tag says that the block came from `into_handle` and was not destroyed; the busy flag stays taken.
    let owned = unsafe { Box::from_raw(handle) };
    // a destructor's panic must not cross the boundary, and there is nobody to tell
    let _ = catch_unwind(AssertUnwindSafe(move || drop(owned)));
}

/// Fails when a pointer to a structure is null or misaligned.
pub(crate) fn check_pointer<T>(pointer: *const T, name: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(argument(format!("{name} is NULL")).with_hint("Pass a valid pointer."));
    }
    if !pointer.is_aligned() {
        let (address, alignment) = (pointer.addr(), std::mem::align_of::<T>());
        return Err(argument(format!("{name} is misaligned: address {address:#x}, expected a multiple of {alignment}"))
            .with_hint("Pass a pointer to a variable of the type in the header."));
    }
    Ok(())
}

/// An out-pointer that is neither null nor misaligned.
#[derive(Debug)]
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    pub(crate) fn new(pointer: *mut T, name: &str) -> Result<Self> {
        check_pointer(pointer.cast_const(), name)?;
        Ok(Out(pointer))
    }

    /// An out-pointer that the caller may leave NULL.
    pub(crate) fn optional(pointer: *mut T, name: &str) -> Result<Option<Self>> {
        if pointer.is_null() {
            return Ok(None);
        }
        Out::new(pointer, name).map(Some)
    }

    /// The pointer itself, for a structure of which the caller may have an earlier version.
    pub(crate) fn pointer(&self) -> *mut T {
        self.0
    }

    pub(crate) fn set(self, value: T) {
        // SAFETY: checked by `new`; by contract it points to writable memory. `write` drops nothing.
        unsafe { self.0.write(value) }
    }
}

/// A C string as text.
///
/// # Safety
/// `pointer` is null or points to a string that ends with a zero byte and outlives `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    if pointer.is_null() {
        return Err(argument(format!("{name} is NULL")).with_hint("Pass a string."));
    }
    // SAFETY: not null; the rest is the caller's contract.
    let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
    std::str::from_utf8(bytes).map_err(|e| {
        let shown: String = String::from_utf8_lossy(bytes).chars().take(60).collect();
        argument(format!("{name} is not UTF-8 at byte {}: {shown:?}", e.valid_up_to())).with_hint("Pass text encoded as UTF-8.")
    })
}

/// A C string that may be left NULL.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn optional_text<'a>(pointer: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's contract.
    unsafe { text(pointer, name) }.map(Some)
}

/// Text as a C string; a zero byte, which C cannot hold, becomes a space.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

/// Runs `body`; a panic becomes an error.
pub(crate) fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let error = Error::internal(format!("Panic: {}", text.unwrap_or("unknown reason")));
        // dropping a payload may panic in its turn
        std::mem::forget(panic);
        Err(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number(Guarded<i32>);
    impl Handle for Number {
        type Value = i32;
        const NAME: &'static str = "number";
        const TAG: u64 = 7;
        fn over(block: Guarded<i32>) -> Self {
            Number(block)
        }
        fn block(&self) -> &Guarded<i32> {
            &self.0
        }
    }

    #[test]
    fn a_handle_serves_one_call_at_a_time() {
        let handle = into_handle::<Number>(5);
        let first = borrow(handle.cast_const()).unwrap();
        assert!(borrow(handle.cast_const()).err().unwrap().message().contains("in use by another call"));
        destroy(handle);
        drop(first);
        assert_eq!(*borrow(handle.cast_const()).unwrap(), 5, "a busy handle survives its destruction");
        destroy(handle);
    }

    #[test]
    fn a_panic_becomes_an_internal_error_with_its_text() {
        let error = caught::<()>(|| panic!("window {} of nothing", 3)).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "Panic: window 3 of nothing"));
        assert!(error.hint().unwrap().contains("report"));
    }
}
