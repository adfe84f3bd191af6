//! A prediction in a temporary file without a name: it vanishes with its owner, even when the process is killed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use ndarray::{s, ArrayView3, ArrayViewMut3};
use stfusion_core::{Error, ErrorKind, Region, Result};

use crate::pipeline::Sink;

const VALUE_BYTES: usize = std::mem::size_of::<f32>();

/// An image of (band, row, col) in `f32`, row after row of band after band.
pub(super) struct Spool {
    file: Mutex<File>,
    bands: usize,
    rows: usize,
    cols: usize,
}

impl Spool {
    /// Room for an image.
    ///
    /// # Errors
    /// [`ErrorKind::Write`] naming the folder of temporaries.
    pub fn new(bands: usize, rows: usize, cols: usize) -> Result<Spool> {
        let spool = |file| Spool { file: Mutex::new(file), bands, rows, cols };
        tempfile::tempfile().map(spool).map_err(|e| failed(&e, bands * rows * cols))
    }

    /// Fills `out` with the part `region` of all bands.
    ///
    /// # Errors
    /// [`ErrorKind::Write`] when the temporary cannot be read.
    pub fn read(&self, region: Region, mut out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let mut bytes = vec![0; region.cols * VALUE_BYTES];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        for band in 0..self.bands {
            for row in 0..region.rows {
                let read = file
                    .seek(SeekFrom::Start(self.position(band, region.row + row, region.col)))
                    .and_then(|_| file.read_exact(&mut bytes));
                read.map_err(|e| self.failed(&e))?;
                let values = bytes.chunks_exact(VALUE_BYTES).map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
                out.slice_mut(s![band, row, ..]).iter_mut().zip(values).for_each(|(o, v)| *o = v);
            }
        }
        Ok(())
    }

    fn position(&self, band: usize, row: usize, col: usize) -> u64 {
        (((band * self.rows + row) * self.cols + col) * VALUE_BYTES) as u64
    }

    fn failed(&self, error: &io::Error) -> Error {
        failed(error, self.bands * self.rows * self.cols)
    }
}

fn failed(error: &io::Error, values: usize) -> Error {
    let folder = std::env::temp_dir();
    let mib = (values * VALUE_BYTES).div_ceil(1 << 20);
    Error::new(ErrorKind::Write, format!("A temporary in {} cannot be used: {error}", folder.display())).with_hint(format!(
        "Each compared method needs about {mib} MiB there: make room, set TMPDIR to a folder with more, or compare fewer methods."
    ))
}

impl Sink for Spool {
    fn write(&mut self, region: Region, image: ArrayView3<'_, f32>, _: Option<ArrayView3<'_, f32>>) -> Result<()> {
        let mut bytes = Vec::with_capacity(region.cols * VALUE_BYTES);
        for band in 0..self.bands {
            for row in 0..region.rows {
                bytes.clear();
                bytes.extend(image.slice(s![band, row, ..]).iter().flat_map(|v| v.to_ne_bytes()));
                let position = self.position(band, region.row + row, region.col);
                let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
                let written = file.seek(SeekFrom::Start(position)).and_then(|_| file.write_all(&bytes));
                written.map_err(|e| self.failed(&e))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn what_is_written_by_tiles_is_read_by_other_regions_bit_for_bit() {
        let image =
            Array3::from_shape_fn((2, 7, 9), |(b, r, c)| if (r, c) == (3, 4) { f32::NAN } else { (b * 100 + r * 10 + c) as f32 });
        let mut spool = Spool::new(2, 7, 9).unwrap();
        for tile in Region::whole(7, 9).blocks(3, 4) {
            let part = image.slice(s![.., tile.row..tile.row + tile.rows, tile.col..tile.col + tile.cols]);
            spool.write(tile, part, None).unwrap();
        }
        for region in [Region::whole(7, 9), Region::new(2, 3, 4, 5), Region::new(6, 8, 1, 1)] {
            let mut found = Array3::zeros((2, region.rows, region.cols));
            spool.read(region, found.view_mut()).unwrap();
            let expected = image.slice(s![.., region.row..region.row + region.rows, region.col..region.col + region.cols]);
            assert!(found.iter().zip(&expected).all(|(f, e)| f.to_bits() == e.to_bits()), "{region:?}");
        }
    }

    #[test]
    fn a_failure_names_the_folder_and_the_room_that_is_needed() {
        let spool = Spool::new(1, 1000, 1000).unwrap();
        let error = spool.failed(&io::Error::from(io::ErrorKind::StorageFull));
        assert!(error.message().contains(&std::env::temp_dir().display().to_string()), "{error}");
        assert!(error.hint().unwrap().contains("about 4 MiB") && error.hint().unwrap().contains("TMPDIR"), "{:?}", error.hint());
    }
}
