//! What SFSDAF knows of a pair before the first tile: fractions of classes in every cell and how they changed, and the value of each
//! class on both days. A *cell* is a coarse pixel.

use ndarray::{s, Array2, Array3, ArrayView1, ArrayView3, Axis};
use stfusion_core::method::{Fallback, Layer, Scene};
use stfusion_core::{Cancel, Error, ErrorKind, Exec, Region, Result};

use super::parameters::{FractionChange, Parameters};
use super::soft_classes::SoftClasses;
use crate::blocks::bounded_least_squares::BoundedLeastSquares;
use crate::blocks::class_means::ClassMeans;
use crate::blocks::classes::Classes;
use crate::blocks::classifiers::{Classification, ClassifierKind};
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::passes;
use crate::blocks::pixel_sample::{PixelSample, MOST_PIXELS};
use crate::blocks::purest_cells::{quantiles, PurestCells};
use crate::blocks::spatial_prediction::{Spatial, SpatialPrediction};

/// Least weight of the old fractions: it decides what the bands leave open.
const LEAST_PRIOR: f64 = 1e-6;

/// See the [module](self).
pub struct PairModel {
    /// Fractions of a fine pixel.
    pub soft: SoftClasses,
    /// The class that a fine pixel is most like.
    pub hard: Classes,
    /// Fine value of each class at the pair, `[band][class]`.
    pub class_values: Vec<Vec<f64>>,
    /// Its change until the target, `[band][class]`.
    pub class_changes: Vec<Vec<f64>>,
    /// Why a class change is not what the equations say, `[band][class]`.
    pub troubles: Vec<Vec<Fallback>>,
    /// Change of the fractions of every cell, as an image of classes.
    pub fraction_changes: Spatial,
    /// Coarse value of the target minus that of the pair, (band, cell row, cell col); `NaN` where one is missing.
    pub coarse_changes: Array3<f32>,
}

/// Fractions of the classes in cells.
pub struct Fractions {
    /// Means over the pixels that have fractions, (class, cell row, cell col).
    pub means: Array3<f32>,
    /// Share of pixels that have fractions.
    pub known: Array2<f32>,
}

impl PairModel {
    /// Of pair `pair`; `target` is the target's coarse image on the cells.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when nothing can be classified, those of reading and [`ErrorKind::Cancelled`].
    pub fn new(
        scene: &dyn Scene,
        grid: &CoarseGrid,
        parameters: &Parameters,
        pair: usize,
        target: &Array3<f32>,
        exec: &Exec<'_>,
    ) -> Result<PairModel> {
        let sample = PixelSample::of_image(scene, Layer::Fine(pair), MOST_PIXELS, parameters.seed as u64, exec)?;
        let hard = class_means(parameters, pair, &sample, exec)?;
        let soft = SoftClasses::of_sample(&sample, &hard);
        let fractions = cell_fractions(scene, grid, pair, &soft, exec)?;
        let coarse = grid.images(scene, &[Layer::Coarse(pair)], 0.0, exec)?.remove(0);
        let mut coarse_changes = target - &coarse;
        coarse_changes.mapv_inplace(|v| if v.is_finite() { v } else { f32::NAN });
        let of_changes = PurestCells {
            most: parameters.pure_pixels as usize,
            quantiles: Some(quantiles(&parameters.change_quantiles)?),
            by_magnitude: true,
            once: true,
            widened: 1.0,
        };
        let (mut class_changes, mut troubles) = (Vec::new(), Vec::new());
        for change in coarse_changes.outer_iter() {
            exec.cancel.check()?;
            let (changes, trouble) = of_changes.class_values(&fractions.means, fractions.known.view(), change);
            class_changes.push(changes);
            troubles.push(trouble);
        }
        let changes = fraction_changes(parameters, &fractions, &coarse, target, exec)?;
        Ok(PairModel {
            class_values: fine_values(&sample, &soft, parameters.fine_pixels as usize),
            soft,
            hard: Classes::Model(hard),
            class_changes,
            troubles,
            fraction_changes: Spatial::new(SpatialPrediction::Cubic, grid, &changes, exec.cancel)?,
            coarse_changes,
        })
    }
}

/// The classes that k-means finds in a sample of the fine image.
///
/// # Errors
/// As [`PairModel::new`].
pub fn class_means(parameters: &Parameters, pair: usize, sample: &PixelSample, exec: &Exec<'_>) -> Result<ClassMeans> {
    let classification = Classification::new(ClassifierKind::KMeans, parameters.classes, parameters.seed);
    classification.fit(sample, exec)?.ok_or_else(|| {
        Error::new(ErrorKind::Data, format!("The fine image of pair {} has no pixel that is valid in every band", pair + 1))
            .with_hint("Check its nodata value and mask, or leave out the band that is empty.")
    })
}

/// Fractions of the fine pixels of an image (band, row, col): (class, row, col), `NaN` where a band is invalid.
///
/// # Errors
/// [`ErrorKind::Cancelled`].
pub fn fine_fractions(soft: &SoftClasses, fine: ArrayView3<'_, f32>, cancel: &Cancel) -> Result<Array3<f32>> {
    let (bands, rows, cols) = fine.dim();
    let count = soft.count();
    let mut all = Array3::from_elem((count, rows, cols), f32::NAN);
    let (mut pixel, mut own) = (vec![0.0f32; bands], vec![0.0f32; count]);
    for row in 0..rows {
        cancel.check()?;
        for col in 0..cols {
            pixel.iter_mut().enumerate().for_each(|(band, v)| *v = fine[(band, row, col)]);
            if pixel.iter().any(|v| v.is_nan()) {
                continue;
            }
            soft.fractions(&pixel, &mut own);
            own.iter().enumerate().for_each(|(class, fraction)| all[(class, row, col)] = *fraction);
        }
    }
    Ok(all)
}

/// Fractions of every cell.
///
/// # Errors
/// Those of reading, and [`ErrorKind::Cancelled`].
pub fn cell_fractions(
    scene: &dyn Scene,
    grid: &CoarseGrid,
    pair: usize,
    soft: &SoftClasses,
    exec: &Exec<'_>,
) -> Result<Fractions> {
    let blocks = grid.blocks();
    let parts = passes::map_blocks(scene, &blocks, &[Layer::Fine(pair)], exec, |block: Region, images| {
        let fractions = fine_fractions(soft, images[0].view(), exec.cancel)?;
        let valid = fractions.slice(s![..1, .., ..]).mapv(|v| f32::from(u8::from(!v.is_nan())));
        Ok((grid.means(block, fractions.view(), 0.0), grid.means(block, valid.view(), 0.0)))
    })?;
    let means = grid.assembled(soft.count(), blocks.iter().copied().zip(parts.iter().map(|part| part.0.view())));
    let known = grid.assembled(1, blocks.iter().copied().zip(parts.iter().map(|part| part.1.view())));
    // a cell without fractions has shares of nothing
    Ok(Fractions { means: means.mapv(|v| if v.is_nan() { 0.0 } else { v }), known: known.index_axis_move(Axis(0), 0) })
}

/// Change of the fractions of every cell, (class, cell row, cell col); 0 where nothing is known of it.
///
/// # Errors
/// [`ErrorKind::Cancelled`].
pub fn fraction_changes(
    parameters: &Parameters,
    fractions: &Fractions,
    coarse: &Array3<f32>,
    target: &Array3<f32>,
    exec: &Exec<'_>,
) -> Result<Array3<f32>> {
    let after = Unmixing::new(parameters, fractions, target);
    let before = (parameters.fraction_change == FractionChange::Unmixed).then(|| Unmixing::new(parameters, fractions, coarse));
    let (_, rows, cols) = target.dim();
    let mut changes = Array3::zeros(fractions.means.dim());
    let mut solver = Solver::new(fractions.means.dim().0);
    for row in 0..rows {
        exec.cancel.check()?;
        for col in 0..cols {
            let old = fractions.means.slice(s![.., row, col]);
            let (first, second) = (coarse.slice(s![.., row, col]), target.slice(s![.., row, col]));
            let bands: Vec<usize> = (0..first.len()).filter(|&b| !first[b].is_nan() && !second[b].is_nan()).collect();
            if bands.is_empty() || fractions.known[(row, col)] == 0.0 {
                continue;
            }
            let new = solver.fractions(&after, second, &bands, old);
            let compared = match &before {
                Some(before) => solver.fractions(before, first, &bands, old),
                None => old.iter().map(|f| f64::from(*f)).collect(),
            };
            for (class, (new, old)) in new.iter().zip(compared).enumerate() {
                changes[(class, row, col)] = (new - old) as f32;
            }
        }
    }
    Ok(changes)
}

/// Coarse values of the classes on one day.
struct Unmixing {
    /// `[band][class]`.
    values: Vec<Vec<f64>>,
    /// Weight of the old fractions.
    prior: f64,
}

impl Unmixing {
    fn new(parameters: &Parameters, fractions: &Fractions, coarse: &Array3<f32>) -> Unmixing {
        let rule = PurestCells {
            most: parameters.endmember_pixels as usize,
            quantiles: None,
            by_magnitude: false,
            once: true,
            widened: 0.0,
        };
        let values: Vec<Vec<f64>> =
            coarse.outer_iter().map(|band| rule.class_values(&fractions.means, fractions.known.view(), band).0).collect();
        // squared distance of the classes from their mean: what a change of a whole fraction may explain
        let spread = values.iter().map(|band| {
            let mean = band.iter().sum::<f64>() / band.len() as f64;
            band.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / band.len() as f64
        });
        let spread: f64 = spread.sum();
        let prior = parameters.fraction_prior.max(LEAST_PRIOR) * if spread > 0.0 { spread } else { 1.0 };
        Unmixing { values, prior }
    }
}

/// Solves for the fractions of a cell.
struct Solver {
    system: BoundedLeastSquares,
    row: Vec<f64>,
}

impl Solver {
    fn new(classes: usize) -> Self {
        Solver { system: BoundedLeastSquares::new(classes, 1), row: vec![0.0; classes] }
    }

    /// Fractions (0..1, together 1) that explain the values of `bands` best, as near to the `old` ones as these leave them.
    fn fractions(
        &mut self,
        unmixing: &Unmixing,
        values: ArrayView1<'_, f32>,
        bands: &[usize],
        old: ArrayView1<'_, f32>,
    ) -> Vec<f64> {
        self.system.clear();
        for &band in bands {
            self.system.add(&unmixing.values[band], &[f64::from(values[band])], 1.0);
        }
        for (class, fraction) in old.iter().enumerate() {
            self.row.fill(0.0);
            self.row[class] = 1.0;
            self.system.add(&self.row, &[f64::from(*fraction)], unmixing.prior);
        }
        self.system.finish(0.0);
        let mut found = vec![0.0; self.row.len()];
        self.system.solve_shares(0, &mut found);
        found
    }
}

/// Fine value of every class, `[band][class]`: least squares over the `most` pixels of a sample with the largest fraction of each class,
/// within the range of the values.
pub fn fine_values(sample: &PixelSample, soft: &SoftClasses, most: usize) -> Vec<Vec<f64>> {
    let (classes, bands) = (soft.count(), sample.bands);
    let fractions = soft.of_pixels(sample);
    let of_pixel = |i: usize| &fractions[i * classes..(i + 1) * classes];
    let mut chosen = vec![false; sample.pixels()];
    for class in 0..classes {
        let mut order: Vec<usize> = (0..sample.pixels()).collect();
        let most = most.min(order.len());
        let purest = |i: &usize, j: &usize| of_pixel(*j)[class].total_cmp(&of_pixel(*i)[class]).then(i.cmp(j));
        if most < order.len() {
            order.select_nth_unstable_by(most, purest);
        }
        order[..most].iter().for_each(|&i| chosen[i] = true);
    }
    let mut system = BoundedLeastSquares::new(classes, bands);
    let (mut row, mut values) = (vec![0.0; classes], vec![0.0; bands]);
    let mut limits = vec![(f64::INFINITY, f64::NEG_INFINITY); bands];
    let mut sums = vec![0.0; bands];
    for (i, pixel) in sample.iter().enumerate() {
        values.iter_mut().zip(pixel).for_each(|(v, units)| *v = f64::from(*units) * sample.unit);
        for ((limits, sum), v) in limits.iter_mut().zip(&mut sums).zip(&values) {
            *limits = (limits.0.min(*v), limits.1.max(*v));
            *sum += v;
        }
        if chosen[i] {
            row.iter_mut().zip(of_pixel(i)).for_each(|(to, from)| *to = f64::from(*from));
            system.add(&row, &values, 1.0);
        }
    }
    system.finish(0.0);
    (0..bands)
        .map(|band| {
            let mut found = vec![0.0; classes];
            let ((low, high), mean) = (limits[band], sums[band] / sample.pixels() as f64);
            system.solve(band, &vec![low; classes], &vec![high; classes], &vec![mean; classes], &mut found);
            found
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::cases;
    use crate::sfsdaf::Sfsdaf;

    fn changes(settings: &[(&str, &str)], target: f32) -> Vec<f32> {
        let settings = [&[("endmember_pixels", "1")], settings].concat();
        let parameters = Parameters::from_values(&cases::values_of(&Sfsdaf, &settings).unwrap()).unwrap();
        // two pure cells and one of both, and one of which nothing is known
        let means = array![[[1.0, 0.0, 0.5, 0.0]], [[0.0, 1.0, 0.5, 0.0]]];
        let fractions = Fractions { means, known: array![[1.0, 1.0, 1.0, 0.0]] };
        let (coarse, target) = (array![[[0.1, 0.5, 0.35, 0.2]]], array![[[0.1, 0.5, target, 0.2]]]);
        let cancel = Cancel::new();
        let changes = fraction_changes(&parameters, &fractions, &coarse, &target, &Exec::quiet(&cancel)).unwrap();
        assert!(changes.slice(s![.., 0, 3]).iter().all(|v| *v == 0.0));
        changes.slice(s![.., 0, 2]).to_vec()
    }

    fn near(got: &[f32], expected: f32, tolerance: f32) {
        assert!((got[0] - expected).abs() < tolerance && (got[1] + expected).abs() < tolerance, "{got:?} and {expected}");
    }

    #[test]
    fn fractions_follow_the_mixture_and_errors_of_unmixing_cancel() {
        // the pair unmixes to 0.375 and 0.625, whatever the fine image says
        near(&changes(&[("fraction_prior", "0")], 0.25), 0.25, 1e-3);
        near(&changes(&[("fraction_prior", "0"), ("fraction_change", "degraded")], 0.25), 0.125, 1e-3);
        near(&changes(&[("fraction_prior", "1000000")], 0.25), 0.0, 1e-3);
        assert_eq!(changes(&[], 0.35), [0.0, 0.0]);
        // beyond the classes: the whole cell
        near(&changes(&[("fraction_prior", "0")], -0.3), 0.625, 1e-3);
    }

    #[test]
    fn values_of_classes_lie_within_those_of_the_image() {
        let cancel = Cancel::new();
        let sample = PixelSample::of_pixels(1, &[0.1, 0.1, 0.102, 0.5, 0.5, 0.498]);
        let settings = cases::values_of(&Sfsdaf, &[("classes", "2")]).unwrap();
        let hard = class_means(&Parameters::from_values(&settings).unwrap(), 0, &sample, &Exec::quiet(&cancel)).unwrap();
        let values = fine_values(&sample, &SoftClasses::of_sample(&sample, &hard), 2);
        assert!((values[0][0] - 0.1).abs() < 2e-3 && (values[0][1] - 0.5).abs() < 2e-3, "{values:?}");
        assert!(values[0][0] >= 0.1 - 1e-6 && values[0][1] <= 0.5 + 1e-6, "{values:?}");
    }
}
