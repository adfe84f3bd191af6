//! A chosen pixel.

/// A chosen pixel of a window.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    key: f32,
    position: u32,
}

impl Sample {
    /// The pixel at `position` with `key`.
    #[inline(always)]
    pub fn new(key: f32, position: u32) -> Self {
        Sample { key, position }
    }

    /// How little it resembles the output pixel.
    #[inline(always)]
    pub fn key(self) -> f32 {
        self.key
    }

    /// Its position in the [`Window`](super::Window).
    #[inline(always)]
    pub fn position(self) -> usize {
        self.position as usize
    }
}
