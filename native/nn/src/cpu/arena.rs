//! The memory that the values of a run lie in.

use std::alloc::{alloc, dealloc, Layout};
use std::ptr::NonNull;

/// Size of a large page. Planes of a few megabytes that are walked side by side need thousands of small ones, more than a processor
/// keeps track of; convolutions of 256x256 images take a sixth less time on large ones.
const LARGE_PAGE: usize = 2 << 20;

/// Memory of one run, zero at first.
pub(super) struct Arena {
    memory: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory is owned, and whoever runs a program has the arena for itself.
unsafe impl Send for Arena {}

impl Arena {
    /// So many bytes at least; none where the system has no more.
    pub(super) fn new(bytes: usize) -> Option<Arena> {
        let alignment = if bytes < LARGE_PAGE { super::plan::ALIGNMENT } else { LARGE_PAGE };
        let layout = Layout::from_size_align(bytes.max(1).next_multiple_of(alignment), alignment).ok()?;
        // SAFETY: the layout is not empty.
        let memory = NonNull::new(unsafe { alloc(layout) })?;
        #[cfg(target_os = "linux")]
        if alignment == LARGE_PAGE {
            // SAFETY: whole pages of our own. Where the system does not follow the advice, nothing changes.
            unsafe { libc::madvise(memory.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE) };
        }
        // SAFETY: as many bytes as were allocated.
        unsafe { memory.as_ptr().write_bytes(0, layout.size()) };
        Some(Arena { memory, layout })
    }

    /// The first byte.
    pub(super) fn pointer(&self) -> *mut u8 {
        self.memory.as_ptr()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_zero_and_of_its_size() {
        for bytes in [0, 1, 100, LARGE_PAGE - 1, 3 * LARGE_PAGE + 5] {
            let arena = Arena::new(bytes).unwrap();
            assert!(arena.layout.size() >= bytes);
            assert_eq!(arena.pointer() as usize % 64, 0);
            // SAFETY: within the arena.
            assert!(unsafe { std::slice::from_raw_parts(arena.pointer(), bytes) }.iter().all(|&b| b == 0));
        }
        assert!(Arena::new(usize::MAX / 2).is_none());
    }
}
