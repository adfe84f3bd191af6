//! Predictions of several pairs combined: each counts more where the coarse value changed less since.

use ndarray::{s, Array3, ArrayView3, ArrayViewMut3, Axis, Zip};
use stfusion_core::method::{PairTile, SceneInfo, TileIn, TileOut};
use stfusion_core::{choices, Region, Result};

use super::coarse_grid::CoarseGrid;
use super::pair_order::nearest_first;

choices! {
    /// Which pairs are used.
    pub enum Pairs {
        /// All of them.
        Combined = "combined": "All: each predicts, and counts more where its coarse values changed less",
        /// The nearest one.
        Nearest = "nearest": "The one nearest in time alone",
    }
}

impl Pairs {
    /// Indices of the pairs that are used.
    pub fn used(self, scene: &SceneInfo) -> Vec<usize> {
        match self {
            Pairs::Combined => (0..scene.pairs.len()).collect(),
            Pairs::Nearest => nearest_first(scene).into_iter().take(1).collect(),
        }
    }
}

/// Weights of a pair's cells where pairs are combined: the inverse of the mean change of the coarse value over the cells within
/// `radius`; (band, cell row, cell col), `NaN` where no change is known.
pub fn pair_weights(coarse_changes: &Array3<f32>, grid: &CoarseGrid, radius: usize) -> Array3<f32> {
    let mut weights = coarse_changes.clone();
    for (mut band, changes) in weights.outer_iter_mut().zip(coarse_changes.axis_iter(Axis(0))) {
        for ((row, col), weight) in band.indexed_iter_mut() {
            let near = grid.window(row, col, radius);
            let (mut sum, mut count) = (0.0f64, 0.0);
            for v in
                changes.slice(s![near.row..near.row + near.rows, near.col..near.col + near.cols]).iter().filter(|v| !v.is_nan())
            {
                sum += f64::from(v.abs());
                count += 1.0;
            }
            *weight = if count > 0.0 { (1.0 / (sum / count).max(1e-30)) as f32 } else { f32::NAN };
        }
    }
    weights
}

/// A pair in use, and what a method knows of it.
pub struct PairJob<M> {
    /// Its index in the job.
    pub index: usize,
    /// What is known of it.
    pub model: M,
    /// [Weights](pair_weights) of its predictions, (band, cell row, cell col), where pairs are combined.
    pub weights: Option<Array3<f32>>,
}

/// Predicts a tile from each of `pairs` with `predict`, which adds to the support, and combines the predictions. Cells have `scale` fine
/// pixels along a side.
///
/// # Errors
/// Those of `predict`.
pub fn predict_combined<M>(
    pairs: &[PairJob<M>],
    scale: usize,
    tile: &TileIn<'_>,
    out: &mut TileOut<'_>,
    mut predict: impl FnMut(&M, &PairTile<'_>, &mut TileOut<'_>) -> Result<()>,
) -> Result<()> {
    if let Some(support) = &mut out.support {
        support.similar_pixels.fill(0.0);
        support.valid_fraction.fill(0.0);
    }
    let mut combined = (pairs.len() > 1).then(|| Combined::new(out.image.dim().0, tile.region, scale));
    for PairJob { index, model, weights } in pairs {
        predict(model, &tile.pairs[*index], out)?;
        if let (Some(combined), Some(weights)) = (&mut combined, weights) {
            combined.add(out.image.view(), weights);
        }
    }
    if let Some(combined) = combined {
        combined.write(out.image.view_mut());
    }
    Ok(())
}

/// The weighted mean of the predictions of a tile by several pairs. A pair takes part in every pixel that it predicts.
#[derive(Debug)]
struct Combined {
    scale: usize,
    region: Region,
    sum: Array3<f64>,
    total: Array3<f64>,
}

/// Bytes for each pixel of a tile that combining pairs takes.
pub fn bytes_per_px(bands: usize) -> usize {
    2 * bands * size_of::<f64>()
}

impl Combined {
    /// No prediction yet, of the pixels `region` of a scene with cells of `scale`.
    fn new(bands: usize, region: Region, scale: usize) -> Self {
        let zeros = Array3::zeros((bands, region.rows, region.cols));
        Combined { scale, region, sum: zeros.clone(), total: zeros }
    }

    /// Adds the prediction of a pair with these [weights](pair_weights).
    fn add(&mut self, image: ArrayView3<'_, f32>, weights: &Array3<f32>) {
        for ((band, row, col), value) in image.indexed_iter().filter(|(_, v)| !v.is_nan()) {
            let (r, c) = ((self.region.row + row) / self.scale, (self.region.col + col) / self.scale);
            let weight = f64::from(weights[(band, r, c)]);
            self.sum[(band, row, col)] += weight * f64::from(*value);
            self.total[(band, row, col)] += weight;
        }
    }

    /// Writes the mean.
    fn write(&self, mut image: ArrayViewMut3<'_, f32>) {
        Zip::from(&mut image).and(&self.sum).and(&self.total).for_each(|value, sum, total| {
            let mean = (sum / total) as f32;
            *value = if mean.is_finite() { mean } else { f32::NAN };
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn weights_are_inverse_mean_changes_of_the_valid_cells_around() {
        let grid = CoarseGrid::new(2, 8, 2);
        let changes = array![[[0.5, -0.25, f32::NAN, f32::NAN]]];
        let weights = pair_weights(&changes, &grid, 1);
        assert_eq!(weights.as_slice().unwrap()[..3], [1.0 / 0.375, 1.0 / 0.375, 4.0]);
        assert!(weights[(0, 0, 3)].is_nan());
        assert_eq!(pair_weights(&changes, &grid, 0)[(0, 0, 1)], 4.0);
        assert_eq!(pair_weights(&array![[[0.0, 0.0, 0.0, 0.0]]], &grid, 1)[(0, 0, 0)], 1e30);
    }

    #[test]
    fn a_pixel_that_one_pair_does_not_predict_gets_its_value_from_the_others() {
        let mut combined = Combined::new(1, Region::new(0, 2, 1, 4), 2);
        combined.add(array![[[1.0, 1.0, f32::NAN, f32::NAN]]].view(), &array![[[9.0, 3.0, 3.0]]]);
        combined.add(array![[[2.0, f32::NAN, 2.0, f32::NAN]]].view(), &array![[[9.0, 1.0, 1.0]]]);
        let mut image = Array3::zeros((1, 1, 4));
        combined.write(image.view_mut());
        assert_eq!(image.as_slice().unwrap()[..3], [1.25, 1.0, 2.0]);
        assert!(image[(0, 0, 3)].is_nan());
    }
}
