//! The images of a tile as slices, for loops that cannot afford strides.

use ndarray::ArrayView2;
use stfusion_core::method::TileIn;
use stfusion_core::{Error, Result};

/// Images of one pair as slices.
#[derive(Debug, Clone, Copy)]
pub struct PairImages<'a> {
    /// Fine image.
    pub fine: &'a [f32],
    /// Coarse image.
    pub coarse: &'a [f32],
    /// Class map.
    pub classes: Option<&'a [f32]>,
    /// Object map.
    pub objects: Option<&'a [f32]>,
}

/// Images of a tile as slices, (band, row, col) of the padded tile.
pub struct TileImages<'t, 'a> {
    /// The tile.
    pub tile: &'t TileIn<'a>,
    /// Images of each pair.
    pub pairs: Vec<PairImages<'a>>,
    /// Coarse image of the target day.
    pub target: &'a [f32],
}

impl<'t, 'a> TileImages<'t, 'a> {
    /// The images of `tile`.
    ///
    /// # Errors
    /// Internal, when one is not C-contiguous.
    pub fn new(tile: &'t TileIn<'a>) -> Result<Self> {
        let contiguous = || Error::internal("an image of a tile is not contiguous");
        let pairs = tile
            .pairs
            .iter()
            .map(|p| {
                let map = |map: &Option<ArrayView2<'a, f32>>| match map {
                    Some(map) => map.to_slice().ok_or_else(contiguous).map(Some),
                    None => Ok(None),
                };
                let (classes, objects) = (map(&p.classes)?, map(&p.objects)?);
                let (fine, coarse) = (p.fine.to_slice().ok_or_else(contiguous)?, p.coarse.to_slice().ok_or_else(contiguous)?);
                Ok(PairImages { fine, coarse, classes, objects })
            })
            .collect::<Result<_>>()?;
        Ok(TileImages { tile, pairs, target: tile.target.to_slice().ok_or_else(contiguous)? })
    }

    /// Position of a pixel of `band` in the slices.
    pub fn at(&self, band: usize, row: usize, col: usize) -> usize {
        (band * self.tile.padded.rows + row) * self.tile.padded.cols + col
    }
}
