//! What FSDAF knows of a pair before the first tile: classes, their changes, and what they leave unexplained in every cell.
//!
//! Everything is taken over the whole scene, in passes over fixed blocks. A *cell* is a coarse pixel.

use ndarray::{s, Array2, Array3, Axis};
use stfusion_core::method::{ExtraImage, Fallback, Layer, Scene};
use stfusion_core::{Error, ErrorKind, Exec, Result};

use super::parameters::Parameters;
use crate::blocks::classes::Classes;
use crate::blocks::classifiers::Classification;
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::passes;
use crate::blocks::pixel_sample::{PixelSample, MOST_PIXELS};
use crate::blocks::purest_cells::{quantiles, PurestCells};
use crate::blocks::similar_changes::{data_range, tolerance};
use crate::blocks::statistics::Moments;

/// See the [module](self).
pub struct PairModel {
    /// Its classes.
    pub classes: Classes,
    /// Change of each class, `[band][class]`.
    pub class_changes: Vec<Vec<f64>>,
    /// Why a class change is not what the equations say, `[band][class]`.
    pub troubles: Vec<Vec<Fallback>>,
    /// Coarse value of the target minus that of the pair, (band, cell row, cell col); `NaN` where one is missing.
    pub coarse_changes: Array3<f32>,
    /// Part of it that the class changes do not explain (equation 9).
    pub residuals: Array3<f32>,
    /// What fine values are drawn in to before class changes are added, band by band.
    pub extremes: Vec<(f32, f32)>,
    /// Smallest and largest value that a pixel may have after its own change, band by band.
    pub limits: Vec<(f64, f64)>,
    /// Differences that similar pixels are below, band by band.
    pub tolerances: Vec<f32>,
}

/// What a pass over the fine image finds.
struct FineFacts {
    /// (class, cell row, cell col).
    shares: Array3<f32>,
    /// Share of pixels that have a class.
    labelled: Array2<f32>,
    moments: Vec<Moments>,
    /// Smallest and largest value of each class, `[band][class]`.
    ranges: Vec<Vec<(f32, f32)>>,
}

impl PairModel {
    /// Of pair `pair`; `target` is the target's coarse image on the cells.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when nothing can be classified or a class map is none, those of reading and [`ErrorKind::Cancelled`].
    pub fn new(
        scene: &dyn Scene,
        grid: &CoarseGrid,
        parameters: &Parameters,
        pair: usize,
        target: &Array3<f32>,
        exec: &Exec<'_>,
    ) -> Result<PairModel> {
        let sample = PixelSample::of_image(scene, Layer::Fine(pair), MOST_PIXELS, parameters.seed as u64, exec)?;
        let classes = classes(scene, parameters, pair, &sample, exec)?;
        let facts = fine_facts(scene, grid, pair, &classes, exec)?;
        let coarse = grid.images(scene, &[Layer::Coarse(pair)], 0.0, exec)?.remove(0);
        let mut coarse_changes = target - &coarse;
        coarse_changes.mapv_inplace(|v| if v.is_finite() { v } else { f32::NAN });
        let extremes = extremes(&sample, parameters.extreme_share);
        let mut model = PairModel {
            classes,
            class_changes: Vec::new(),
            troubles: Vec::new(),
            residuals: coarse_changes.clone(),
            coarse_changes,
            extremes,
            limits: Vec::new(),
            tolerances: Vec::new(),
        };
        let purest = PurestCells {
            most: parameters.pure_pixels as usize,
            quantiles: Some(quantiles(&parameters.change_quantiles)?),
            by_magnitude: false,
            once: false,
            widened: 1.0,
        };
        let (least, most) = data_range(&parameters.data_range)?;
        for band in 0..target.dim().0 {
            exec.cancel.check()?;
            let coarse_change = model.coarse_changes.index_axis(Axis(0), band);
            let (changes, troubles) = purest.class_values(&facts.shares, facts.labelled.view(), coarse_change);
            for (class, change) in changes.iter().enumerate() {
                let shares = facts.shares.index_axis(Axis(0), class);
                model.residuals.slice_mut(s![band, .., ..]).zip_mut_with(&shares, |r, f| *r -= (f64::from(*f) * change) as f32);
            }
            let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
            let mut reach = |value: f64| (low, high) = (low.min(value), high.max(value));
            target.index_axis(Axis(0), band).iter().filter(|v| !v.is_nan()).for_each(|v| reach(f64::from(*v)));
            for ((smallest, largest), change) in
                facts.ranges[band].iter().zip(&changes).filter(|((smallest, largest), _)| smallest <= largest)
            {
                reach(drawn_in(*smallest, model.extremes[band]) + change);
                reach(drawn_in(*largest, model.extremes[band]) + change);
            }
            model.limits.push((low.max(least), high.min(most)));
            let number = parameters.similarity_classes.unwrap_or(model.classes.count() as f64);
            model.tolerances.push(tolerance(facts.moments[band], number));
            model.class_changes.push(changes);
            model.troubles.push(troubles);
        }
        Ok(model)
    }
}

/// A fine value drawn in to the extremes of its band.
pub fn drawn_in(value: f32, (low, high): (f32, f32)) -> f64 {
    f64::from(value.max(low).min(high))
}

/// The classes of a pair: of its class map, or fitted to its fine image.
///
/// # Errors
/// As [`PairModel::new`].
pub fn classes(
    scene: &dyn Scene,
    parameters: &Parameters,
    pair: usize,
    sample: &PixelSample,
    exec: &Exec<'_>,
) -> Result<Classes> {
    if scene.info().pairs[pair].has(ExtraImage::Classes) {
        return Classes::of_map(scene, pair, exec);
    }
    let classification = Classification {
        kind: parameters.classification,
        least_classes: parameters.min_classes as usize,
        classes: parameters.max_classes as usize,
        seed: parameters.seed as u64,
    };
    let model = classification.fit(sample, exec)?;
    let model = model.ok_or_else(|| {
        Error::new(ErrorKind::Data, format!("The fine image of pair {} has no pixel that is valid in every band", pair + 1))
            .with_hint("Check its nodata value and mask, or leave out the band that is empty.")
    })?;
    Ok(Classes::Model(model))
}

/// Values at `share` from either end of the sorted sample, band by band; all values lie between them for a share of 0.
pub fn extremes(sample: &PixelSample, share: f64) -> Vec<(f32, f32)> {
    let count = sample.pixels();
    let rank = (share * count as f64) as usize;
    (0..sample.bands)
        .map(|band| {
            if rank == 0 {
                return (f32::NEG_INFINITY, f32::INFINITY);
            }
            let mut values: Vec<i32> = sample.iter().map(|pixel| pixel[band]).collect();
            values.sort_unstable();
            let value = |i: usize| (f64::from(values[i]) * sample.unit) as f32;
            (value(rank), value(count - 1 - rank))
        })
        .collect()
}

fn fine_facts(scene: &dyn Scene, grid: &CoarseGrid, pair: usize, classes: &Classes, exec: &Exec<'_>) -> Result<FineFacts> {
    let bands = scene.info().bands;
    let mut layers = vec![Layer::Fine(pair)];
    layers.extend(scene.info().pairs[pair].has(ExtraImage::Classes).then_some(Layer::Extra(ExtraImage::Classes, pair)));
    let count = classes.count();
    let blocks = grid.blocks();
    let parts = passes::map_blocks(scene, &blocks, &layers, exec, |block, images| {
        let fine = images[0].view();
        let labels = classes.labels(fine, images.get(1).map(|map| map.index_axis(Axis(0), 0)))?;
        let (shares, labelled) = grid.class_shares(block, labels.view(), count);
        let mut ranges = vec![vec![(f32::INFINITY, f32::NEG_INFINITY); count]; bands];
        for (band, ranges) in ranges.iter_mut().enumerate() {
            for (value, label) in fine.index_axis(Axis(0), band).iter().zip(&labels).filter(|(v, _)| !v.is_nan()) {
                if let Some(range) = ranges.get_mut(usize::from(*label)) {
                    *range = (range.0.min(*value), range.1.max(*value));
                }
            }
        }
        let moments: Vec<Moments> = fine.axis_iter(Axis(0)).map(|band| Moments::of(band.iter())).collect();
        Ok(FineFacts { shares, labelled: labelled.clone(), moments, ranges })
    })?;
    let mut all = FineFacts {
        shares: grid.assembled(count, blocks.iter().copied().zip(parts.iter().map(|p| p.shares.view()))),
        labelled: Array2::zeros((grid.rows, grid.cols)),
        moments: vec![Moments::default(); bands],
        ranges: vec![vec![(f32::INFINITY, f32::NEG_INFINITY); count]; bands],
    };
    for (block, part) in blocks.iter().zip(parts) {
        let cells = grid.cells_under(*block);
        let place = s![cells.row..cells.row + cells.rows, cells.col..cells.col + cells.cols];
        all.labelled.slice_mut(place).assign(&part.labelled);
        for band in 0..bands {
            all.moments[band] = all.moments[band].merged(part.moments[band]);
            for (range, more) in all.ranges[band].iter_mut().zip(&part.ranges[band]) {
                *range = (range.0.min(more.0), range.1.max(more.1));
            }
        }
    }
    Ok(all)
}
