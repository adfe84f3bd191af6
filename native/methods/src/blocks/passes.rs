//! Passes over a whole scene in blocks of bounded size, for what a method must know before its tiles.
//!
//! The blocks do not depend on the machine, each is read and worked on by one thread, and the results come in the order of the
//! blocks: whatever is merged from them in that order depends on the pixels alone.

use ndarray::Array3;
use rayon::prelude::*;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Exec, Region, Result};

/// Side of the blocks, in fine pixels, unless a grid asks for another.
pub const BLOCK_PX: usize = 256;

/// Blocks whose results are merged before the next ones are read, where results take much memory.
pub const WAVE: usize = 64;

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
    map_padded(scene, blocks, 0, layers, exec, |block, _, images| of(block, images))
}

/// As [`map_blocks`], with images of the block grown by `halo` pixels and clipped to the scene: `of` gets the block, what it was grown
/// to, and the images of that.
///
/// # Errors
/// As [`map_blocks`].
pub fn map_padded<T: Send>(
    scene: &dyn Scene,
    blocks: &[Region],
    halo: usize,
    layers: &[Layer],
    exec: &Exec<'_>,
    of: impl Fn(Region, Region, &[Array3<f32>]) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let info = scene.info();
    blocks
        .par_iter()
        .map(|&block| {
            let padded = block.grown(halo, info.rows, info.cols);
            let images = layers
                .iter()
                .map(|&layer| {
                    exec.cancel.check()?;
                    let mut image = Array3::zeros((info.bands_of(layer), padded.rows, padded.cols));
                    scene.read(layer, padded, image.view_mut())?;
                    Ok(image)
                })
                .collect::<Result<Vec<_>>>()?;
            exec.cancel.check()?;
            of(block, padded, &images)
        })
        .collect()
}
