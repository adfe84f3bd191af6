//! Labels of classes on a GPU: the kernels of `cuda/blocks/classes.cu`. The same labels as on the CPU.

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::{Arg, Buffer, Kernel, Queue};
use stfusion_core::{Error, Result};

use super::Classes;
use crate::blocks::on_device::{buffer_of, over_pixels, threads_for, threads_sharing, THREADS};

/// `ClassesTile` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Tile {
    unit: f64,
    rows: i32,
    cols: i32,
    bands: i32,
    classes: i32,
}

/// Classes on a device.
pub struct OnDevice {
    classes: i32,
    bands: usize,
    /// Unit of the means; `None` for a class map.
    unit: Option<f64>,
    /// Means of the classes, or the values that occur in the class map.
    values: Buffer,
}

impl OnDevice {
    /// Puts `classes` of images with `bands` bands on the device of `queue`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(classes: &Classes, bands: usize, queue: &mut dyn Queue) -> Result<OnDevice> {
        let (unit, values) = match classes {
            Classes::Map(values) => (None, &values[..]),
            Classes::Model(means) => (Some(means.unit()), means.in_units()),
        };
        Ok(OnDevice { classes: classes.count() as i32, bands, unit, values: buffer_of(queue, values)? })
    }

    /// Number of classes.
    pub fn count(&self) -> i32 {
        self.classes
    }

    /// Writes the labels of the (`rows`, `cols`) pixels of `image` (band, row, col) behind its bands, from it or from its class map.
    ///
    /// # Errors
    /// Those of the device; internal, when the map is missing.
    pub fn labels(&self, queue: &mut dyn Queue, (rows, cols): (usize, usize), image: &Buffer, map: Option<&[f32]>) -> Result<()> {
        let number = |n: usize| n as i32;
        let tile = Tile {
            unit: self.unit.unwrap_or(1.0),
            rows: number(rows),
            cols: number(cols),
            bands: number(self.bands),
            classes: self.classes,
        };
        let bytes = Arg::Bytes(bytemuck::bytes_of(&tile));
        if self.unit.is_some() {
            let of_thread = self.bands * size_of::<i32>();
            let threads = threads_sharing(cols, THREADS, of_thread);
            let launch = over_pixels((1, rows, cols), threads, 1, threads * of_thread);
            return queue.launch(kernel("classes_of_means"), launch, &[Arg::Buffer(image), Arg::Buffer(&self.values), bytes]);
        }
        let map = map.ok_or_else(|| Error::internal("the class map of a pair is missing"))?;
        let map = buffer_of(queue, map)?;
        let launch = over_pixels((1, rows, cols), threads_for(cols, THREADS), 1, 0);
        queue.launch(kernel("classes_of_map"), launch, &[Arg::Buffer(image), Arg::Buffer(&map), Arg::Buffer(&self.values), bytes])
    }
}

/// A kernel of labels.
fn kernel(function: &'static str) -> Kernel {
    Kernel { module: "blocks/classes", function }
}
