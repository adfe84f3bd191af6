//! Quick-look pictures.

use std::io;
use std::path::Path;

/// An RGB picture of 8 bits a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Writes the picture as PNG.
    ///
    /// # Errors
    /// Whatever creating or writing the file fails with.
    pub fn write_png(&self, _path: &Path) -> io::Result<()> {
        let _ = &self.rgb;
        todo!()
    }
}
