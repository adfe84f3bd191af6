//! Buffers that begin at a cache line, so that vectors read from them do not straddle two.

use std::ops::{Deref, DerefMut};

const LINE_BYTES: usize = 64;

/// A growable array of numbers whose first element lies at the start of a cache line.
#[derive(Debug, Default)]
pub struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy> Aligned<T> {
    /// An empty one.
    pub fn new() -> Self {
        Aligned { data: Vec::new(), start: 0, len: 0 }
    }

    /// Makes it `len` elements long; elements that were not there before are `value`, the others may be anything.
    pub fn set_len(&mut self, len: usize, value: T) {
        let spare = LINE_BYTES / size_of::<T>().max(1);
        self.data.resize(len + spare, value);
        let start = self.data.as_ptr().align_offset(LINE_BYTES);
        self.start = if start <= spare { start } else { 0 };
        self.len = len;
    }

    /// Makes it `len` elements of `value`.
    pub fn set(&mut self, len: usize, value: T) {
        self.set_len(len, value);
        self.fill(value);
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_starts_at_a_line() {
        let mut buffer = Aligned::new();
        for len in [1, 7, 4096, 100_000, 3] {
            buffer.set(len, 2.0f32);
            assert_eq!((buffer.len(), buffer.as_ptr() as usize % LINE_BYTES), (len, 0));
            assert!(buffer.iter().all(|&v| v == 2.0));
        }
    }
}
