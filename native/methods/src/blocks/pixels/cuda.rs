//! Methods without a neighbourhood on a GPU: the kernel of `cuda/blocks/pixels.cu`. The same values as on the CPU, bit for bit.

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::{Arg, Buffer, Kernel, Queue};
use stfusion_core::method::{DeviceCost, DeviceTiles, SceneInfo, TileIn, TileOut};
use stfusion_core::{Exec, Result};

use crate::blocks::on_device::{buffer_of, optional, over_pixels, threads_for, Outputs, PairInTime, THREADS};
use crate::blocks::tile_images::TileImages;

/// What the value of a pixel is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Rule {
    /// The fine value.
    Copy = 0,
    /// The fine value and the change of the coarse one.
    Increment = 1,
    /// The line through two fine values.
    Line = 2,
}

/// `PixelsTile` of the kernel.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Tile {
    rows: i32,
    cols: i32,
    bands: i32,
    pairs: i32,
    rule: i32,
}

/// A method of this kind.
#[derive(Debug, Clone)]
pub struct PixelMethod {
    rule: Rule,
    bands: usize,
    /// The nearest first.
    pairs: Vec<PairInTime>,
}

impl PixelMethod {
    /// By a rule, with the pairs of a scene, the nearest first.
    pub fn new(rule: Rule, scene: &SceneInfo, pairs: Vec<PairInTime>) -> Self {
        PixelMethod { rule, bands: scene.bands, pairs }
    }

    /// Images of every pair.
    fn images(&self) -> usize {
        if self.rule == Rule::Increment {
            2
        } else {
            1
        }
    }

    /// What a tile costs.
    pub fn cost(&self) -> DeviceCost {
        let images = self.pairs.len() * self.images() + 2;
        DeviceCost { bytes_per_px: 4 * (self.bands * images + 3), fixed_bytes: 0, prepared_bytes: size_of_val(&self.pairs[..]) }
    }

    /// Puts the order of the pairs on the device of `queue`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn on_device<'a>(&'a self, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
        Ok(Box::new(OnDevice { method: self, order: buffer_of(queue, &self.pairs)? }))
    }
}

struct OnDevice<'a> {
    method: &'a PixelMethod,
    order: Buffer,
}

impl DeviceTiles for OnDevice<'_> {
    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, queue: &mut dyn Queue, exec: &Exec<'_>) -> Result<()> {
        exec.cancel.check()?;
        let input = TileImages::new(tile)?;
        let (bands, rows, cols) = tile.target.dim();
        let number = |n: usize| n as i32;
        let shape = Tile {
            rows: number(rows),
            cols: number(cols),
            bands: number(bands),
            pairs: number(tile.pairs.len()),
            rule: self.method.rule as i32,
        };
        let bytes = size_of_val(input.target);
        let fine = queue.buffer(tile.pairs.len() * bytes)?;
        let (coarse, target) = match self.method.rule {
            Rule::Increment => (Some(queue.buffer(tile.pairs.len() * bytes)?), Some(buffer_of(queue, input.target)?)),
            Rule::Copy | Rule::Line => (None, None),
        };
        for (k, pair) in input.pairs.iter().enumerate() {
            queue.write(&fine, k * bytes, bytemuck::cast_slice(pair.fine))?;
            if let Some(coarse) = &coarse {
                queue.write(coarse, k * bytes, bytemuck::cast_slice(pair.coarse))?;
            }
        }
        let outputs = Outputs::new(queue, out)?;
        queue.launch(
            Kernel { module: "blocks/pixels", function: "pixels_predict" },
            over_pixels((1, rows, cols), threads_for(cols, THREADS), 1, 0),
            &[
                Arg::Buffer(&fine),
                optional(coarse.as_ref()),
                optional(target.as_ref()),
                Arg::Buffer(&self.order),
                Arg::Buffer(&outputs.image),
                optional(outputs.support.as_ref()),
                Arg::Bytes(bytemuck::bytes_of(&shape)),
            ],
        )?;
        outputs.read(queue, out, exec)
    }
}
