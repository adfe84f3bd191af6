//! Which objects lie in which coarse pixel, and the class of every object (step 1).

use stfusion_core::method::{ExtraImage, Layer, Scene};
use stfusion_core::{Exec, Result};

use crate::blocks::classes::{Classes, NO_CLASS};
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::objects::{Objects, NO_OBJECT};
use crate::blocks::passes::{self, WAVE};

/// Pixels of one object in one coarse pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The object.
    pub object: u32,
    /// Number of its pixels.
    pub pixels: u32,
}

/// The objects of every coarse pixel, and the class of every object.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Parts of cell i are `starts[i]..starts[i + 1]`.
    starts: Vec<usize>,
    parts: Vec<Part>,
    /// Class of every object, the one of most of its pixels and of two the lower one; [`NO_CLASS`] when none has one.
    pub class_of: Vec<u16>,
}

/// Bytes of each object in [`Contents`] while it is found: an object of average size lies in four coarse pixels, and has pixels of
/// three classes.
pub const BYTES_PER_OBJECT: usize = 2 * (4 * size_of::<Part>() + 3 * size_of::<(u64, u32)>());

impl Contents {
    /// Counts the pixels of a pair.
    ///
    /// # Errors
    /// Those of reading, and [`stfusion_core::ErrorKind::Cancelled`].
    pub fn of_pair(
        scene: &dyn Scene,
        grid: &CoarseGrid,
        objects: &Objects,
        classes: &Classes,
        pair: usize,
        exec: &Exec<'_>,
    ) -> Result<Contents> {
        let mut layers = vec![Layer::Fine(pair), objects.layer()];
        layers.extend(scene.info().pairs[pair].has(ExtraImage::Classes).then_some(Layer::Extra(ExtraImage::Classes, pair)));
        let mut of_cells: Vec<Vec<Part>> = vec![Vec::new(); grid.cells()];
        let mut of_classes: Vec<(u64, u32)> = Vec::new();
        for wave in grid.blocks().chunks(WAVE) {
            let found = passes::map_blocks(scene, wave, &layers, exec, |block, images| {
                let labels = objects.labels(images[1].view(), block);
                let map = images.get(2).map(|map| map.index_axis(ndarray::Axis(0), 0));
                let classes = classes.labels(images[0].view(), map)?;
                let both = labels.iter().zip(&classes).filter(|(&object, &class)| object != NO_OBJECT && class != NO_CLASS);
                let of_classes = counted(both.map(|(&object, &class)| u64::from(object) << 16 | u64::from(class)));
                let cells = grid.cells_under(block);
                let mut of_cells = Vec::with_capacity(cells.pixels());
                for row in cells.row..cells.row + cells.rows {
                    for col in cells.col..cells.col + cells.cols {
                        let place = grid.fine_region(row, col);
                        let (r, c) = (place.row - block.row, place.col - block.col);
                        let inside = labels.slice(ndarray::s![r..r + place.rows, c..c + place.cols]);
                        let numbers = inside.iter().filter(|&&object| object != NO_OBJECT);
                        let parts = counted(numbers.map(|&object| u64::from(object)));
                        let parts: Vec<Part> =
                            parts.into_iter().map(|(object, pixels)| Part { object: object as u32, pixels }).collect();
                        of_cells.push((row * grid.cols + col, parts));
                    }
                }
                Ok((of_cells, of_classes))
            })?;
            for (cells, more) in found {
                cells.into_iter().for_each(|(cell, parts)| of_cells[cell] = parts);
                of_classes.extend(more);
            }
            merge(&mut of_classes);
        }
        let mut class_of = vec![NO_CLASS; objects.count()];
        let mut most = vec![0u32; objects.count()];
        for (key, pixels) in of_classes {
            let object = (key >> 16) as usize;
            if pixels > most[object] {
                most[object] = pixels;
                class_of[object] = (key & 0xffff) as u16;
            }
        }
        let mut starts = vec![0];
        let mut parts = Vec::with_capacity(of_cells.iter().map(Vec::len).sum());
        for cell in of_cells {
            parts.extend(cell);
            starts.push(parts.len());
        }
        Ok(Contents { starts, parts, class_of })
    }

    /// Objects in the cell with this index (row by row), ascending.
    pub fn of_cell(&self, cell: usize) -> &[Part] {
        &self.parts[self.starts[cell]..self.starts[cell + 1]]
    }

    /// Number of coarse pixels.
    pub fn cells(&self) -> usize {
        self.starts.len() - 1
    }
}

/// How often each key occurs, by ascending key.
pub fn counted(keys: impl Iterator<Item = u64>) -> Vec<(u64, u32)> {
    let mut runs: Vec<(u64, u32)> = Vec::new();
    for key in keys {
        match runs.last_mut() {
            Some((last, count)) if *last == key => *count += 1,
            _ => runs.push((key, 1)),
        }
    }
    merge(&mut runs);
    runs
}

/// Sorts by key and adds up the counts of equal ones.
pub fn merge(runs: &mut Vec<(u64, u32)>) {
    runs.sort_unstable_by_key(|(key, _)| *key);
    runs.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 += if same { next.1 } else { 0 };
        same
    });
}
