//! The spatial prediction: the coarse image of a day brought to fine pixels, coarse pixel by coarse pixel.

pub mod cuda;

use ndarray::{Array3, Axis};
use stfusion_core::{choices, Cancel, Error, ErrorKind, Result};

use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::cubic_convolution::CubicConvolution;
use crate::blocks::inverse_distance::InverseDistance;
use crate::blocks::thin_plate::{self, Scratch, ThinPlate};

choices! {
    /// How the coarse image of the target is brought to fine pixels.
    pub enum SpatialPrediction {
        /// Thin-plate spline.
        ThinPlate = "thin_plate": "Thin-plate spline through the coarse pixels",
        /// Inverse squared distance.
        InverseDistance = "inverse_distance": "Inverse squared distance within two coarse pixels",
        /// Cubic convolution.
        Cubic = "cubic": "Cubic convolution over 4 x 4 coarse pixels",
    }
}

impl SpatialPrediction {
    /// Fails for a scale that it cannot work with.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] naming the scale and the remedy.
    pub fn check(self, scale: usize) -> Result<()> {
        if self != SpatialPrediction::ThinPlate || scale <= thin_plate::MOST_SCALE {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Parameter,
            format!("The scale is {scale}; a thin-plate spline takes up to {}", thin_plate::MOST_SCALE),
        )
        .with_hint("Set spatial_prediction=inverse_distance, or check the scale."))
    }
}

/// Bytes that [`Spatial`] holds beside the coarse image.
pub fn bytes(kind: SpatialPrediction, scale: usize) -> usize {
    match kind {
        SpatialPrediction::ThinPlate => ThinPlate::bytes(scale),
        SpatialPrediction::InverseDistance => 25 * scale * scale * size_of::<f32>(),
        SpatialPrediction::Cubic => ThinPlate::bytes(1),
    }
}

/// A coarse image that can be brought to fine pixels.
pub enum Spatial {
    /// By a thin-plate spline, through the filled cells of every band; `None` for a band without any value.
    ThinPlate(ThinPlate, Vec<Option<Vec<f32>>>),
    /// By inverse distance, from the cells of every band.
    InverseDistance(InverseDistance, Vec<Vec<f32>>),
    /// By cubic convolution, from the filled cells of every band.
    Cubic(CubicConvolution, Vec<Option<Vec<f32>>>),
}

/// Memory of [`Spatial::predict`] of one image, and what it found.
#[derive(Debug)]
pub struct SpatialWork {
    /// Values of the fine pixels of the cell, `scale` x `scale`, row by row.
    pub values: Vec<f32>,
    /// One for each band.
    scratches: Vec<Scratch>,
    sums: Vec<f32>,
}

impl SpatialWork {
    /// For cells of `scale` x `scale` fine pixels.
    pub fn new(scale: usize) -> Self {
        SpatialWork { values: vec![f32::NAN; scale * scale], scratches: Vec::new(), sums: Vec::new() }
    }
}

impl Spatial {
    /// Of `image` (band, cell row, cell col; `NaN` is invalid). Cells without a value get that of the spline through those around.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`].
    pub fn new(kind: SpatialPrediction, grid: &CoarseGrid, image: &Array3<f32>, cancel: &Cancel) -> Result<Spatial> {
        let (rows, cols, scale) = (grid.rows, grid.cols, grid.scale);
        let bands = || image.axis_iter(Axis(0)).map(|band| band.iter().copied().collect::<Vec<f32>>());
        let filled = |spline: &ThinPlate| bands().map(|values| spline.filled(&values, cancel)).collect::<Result<Vec<_>>>();
        Ok(match kind {
            SpatialPrediction::ThinPlate => {
                let spline = ThinPlate::new(rows, cols, scale);
                let nodes = filled(&spline)?;
                Spatial::ThinPlate(spline, nodes)
            }
            SpatialPrediction::InverseDistance => {
                Spatial::InverseDistance(InverseDistance::new(rows, cols, scale), bands().collect())
            }
            // cells are filled alike whatever the scale
            SpatialPrediction::Cubic => {
                Spatial::Cubic(CubicConvolution::new(rows, cols, scale), filled(&ThinPlate::new(rows, cols, 1))?)
            }
        })
    }

    /// Values of a band at the fine pixels of a cell, into `work`; whether there are any.
    pub fn predict(&self, band: usize, cell: (usize, usize), work: &mut SpatialWork) -> bool {
        match self {
            Spatial::ThinPlate(spline, bands) => match &bands[band] {
                Some(nodes) => {
                    work.scratches.resize_with(bands.len().max(work.scratches.len()), Scratch::default);
                    spline.predict(nodes, cell, &mut work.values, &mut work.scratches[band]);
                }
                None => return false,
            },
            Spatial::InverseDistance(spread, values) => {
                spread.predict(&values[band], cell, &mut work.values, &mut work.sums);
            }
            Spatial::Cubic(convolution, nodes) => match &nodes[band] {
                Some(nodes) => convolution.predict(nodes, cell, &mut work.values),
                None => return false,
            },
        }
        true
    }
}
