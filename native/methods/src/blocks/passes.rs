//! Passes over a whole scene in blocks of bounded size, for what a method must know before its tiles.
//!
//! The blocks do not depend on the machine, each is read and worked on by one thread, and the results come in the order of the
//! blocks: whatever is merged from them in that order depends on the pixels alone.

use ndarray::Array3;
use rayon::prelude::*;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Exec, Region, Result};

/// Side of the blocks, in fine pixels, unless a grid asks for another.
pub const BLOCK_PX: usize = 512;

/// What `of` makes of every block: the block and its images, one array (band, row, col) for each of `layers`.
///
/// # Errors
/// Those of reading and of `of`, and [`stfusion_core::ErrorKind::Cancelled`].
pub fn map_blocks<T: Send>(
    scene: &dyn Scene,
    blocks: &[Region],
    layers: &[Layer],
    exec: &Exec<'_>,
    of: impl Fn(Region, &[Array3<f32>]) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let info = scene.info();
    blocks
        .par_iter()
        .map(|&block| {
            let images = layers
                .iter()
                .map(|&layer| {
                    exec.cancel.check()?;
                    let mut image = Array3::zeros((info.bands_of(layer), block.rows, block.cols));
                    scene.read(layer, block, image.view_mut())?;
                    Ok(image)
                })
                .collect::<Result<Vec<_>>>()?;
            exec.cancel.check()?;
            of(block, &images)
        })
        .collect()
}
