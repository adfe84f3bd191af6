//! Residuals of coarse pixels and of objects (step 5).
//!
//! An object's residual is taken where it is surest: in pixels whose surroundings belong to the object and which lie near the middle of
//! a coarse pixel. Which pixels those are is decided exactly, without holding a number for every pixel: a first pass keeps of each
//! object only as many of its highest indices as can be above the percentile, a second one sums over the pixels that are.

use ndarray::{s, Array2, Array3, ArrayView2};
use stfusion_core::method::{Scene, SceneInfo};
use stfusion_core::{Error, Exec, Region, Result};

use super::changes::ObjectValues;
use super::contents::{counted, merge, Contents};
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::cubic_spline::{reflected, CubicSpline};
use crate::blocks::objects::{Objects, NO_OBJECT};
use crate::blocks::passes::{self, WAVE};

/// The residuals of coarse pixels (band, cell row, cell col) without what objects predict of them: their mean change there. A coarse
/// pixel of whose objects nothing is known keeps none (`NaN`).
pub fn without_objects(grid: &CoarseGrid, contents: &Contents, residuals: &Array3<f64>, changes: &ObjectValues) -> Array3<f64> {
    let mut left = residuals.clone();
    let bands = left.dim().0;
    let (mut sums, mut counts) = (vec![0.0; bands], vec![0.0; bands]);
    for cell in 0..grid.cells() {
        sums.fill(0.0);
        counts.fill(0.0);
        for part in contents.of_cell(cell) {
            for (band, &change) in changes.of(part.object).iter().enumerate().filter(|(_, change)| !change.is_nan()) {
                sums[band] += f64::from(part.pixels) * change;
                counts[band] += f64::from(part.pixels);
            }
        }
        for band in 0..bands {
            left[(band, cell / grid.cols, cell % grid.cols)] -= sums[band] / counts[band];
        }
    }
    left
}

/// The spline through residuals; a coarse pixel without one counts as zero.
pub fn spline(grid: &CoarseGrid, residuals: &Array3<f64>) -> CubicSpline {
    CubicSpline::through(grid, residuals.mapv(|v| if v.is_finite() { v } else { 0.0 }).view())
}

/// What the residuals of objects need to know.
#[derive(Debug)]
pub struct ObjectResiduals<'a> {
    /// The coarse pixels.
    pub grid: &'a CoarseGrid,
    /// The objects.
    pub objects: &'a Objects,
    /// Where they lie.
    pub contents: &'a Contents,
    /// Residuals of the coarse pixels, (band, cell row, cell col); `NaN` where there is none.
    pub residuals: &'a Array3<f64>,
    /// Part (0..1) of an object's pixels that its residual is taken from.
    pub share: f64,
}

/// Bytes for each fine pixel that the indices of the first pass take at most, for a part of the pixels.
pub fn bytes_per_px(share: f64) -> f64 {
    2.0 * share * size_of::<(u64, u32)>() as f64
}

impl ObjectResiduals<'_> {
    /// The residual of every object, 0 where nothing is known of it.
    ///
    /// # Errors
    /// Those of reading, and [`stfusion_core::ErrorKind::Cancelled`].
    pub fn of_objects(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<ObjectValues> {
        let thresholds = self.thresholds(scene, exec)?;
        let spline = spline(self.grid, self.residuals);
        let bands = self.residuals.dim().0;
        let mut sums = ObjectValues::new(thresholds.len(), bands, 0.0);
        let mut weights = ObjectValues::new(thresholds.len(), bands, 0.0);
        for wave in self.grid.blocks().chunks(WAVE) {
            let parts = self.map(scene, wave, exec, |block, labels, index| {
                let image = spline.image(block);
                let mut chosen: Vec<(u32, u32)> = Vec::new();
                for (i, (&object, &index)) in labels.iter().zip(index).enumerate() {
                    if object != NO_OBJECT && f64::from(index) >= thresholds[object as usize] {
                        chosen.push((object, i as u32));
                    }
                }
                chosen.sort_unstable(); // by object, then in the order of the pixels
                let sums = |own: &[(u32, u32)]| {
                    let mut sums = vec![0.0; 2 * bands];
                    for &(_, i) in own {
                        let (row, col) = (i as usize / block.cols, i as usize % block.cols);
                        let cell = ((block.row + row) / self.grid.scale, (block.col + col) / self.grid.scale);
                        let weight = f64::from(index[(row, col)]);
                        for band in (0..bands).filter(|&band| self.residuals[(band, cell.0, cell.1)].is_finite()) {
                            sums[band] += weight * f64::from(image[(band, row, col)]);
                            sums[bands + band] += weight;
                        }
                    }
                    sums
                };
                chosen.chunk_by(|a, b| a.0 == b.0).map(|own| (own[0].0, sums(own))).collect::<Vec<_>>()
            })?;
            for (object, found) in parts.into_iter().flatten() {
                sums.of_mut(object).iter_mut().zip(&found[..bands]).for_each(|(sum, more)| *sum += more);
                weights.of_mut(object).iter_mut().zip(&found[bands..]).for_each(|(sum, more)| *sum += more);
            }
        }
        Ok(sums.over(&weights, 0.0))
    }

    /// The index that a pixel of each object must reach: the percentile of the indices of its pixels, linear between two of them.
    fn thresholds(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Vec<f64>> {
        let pixels = self.pixels_with_residual();
        let place = |object: usize| (1.0 - self.share) * (pixels[object].max(1) - 1) as f64;
        // the percentile lies between the highest indices of this and of the number before
        let wanted = |object: usize| pixels[object] - place(object).floor() as u64;
        let mut highest: Vec<(u64, u32)> = Vec::new();
        for wave in self.grid.blocks().chunks(WAVE) {
            let parts = self.map(scene, wave, exec, |_, labels, index| {
                let both = labels.iter().zip(index).filter(|(&object, index)| object != NO_OBJECT && !index.is_nan());
                let mut found = counted(both.map(|(&object, &index)| key(object, index)));
                keep_highest(&mut found, wanted);
                found
            })?;
            highest.extend(parts.into_iter().flatten());
            merge(&mut highest);
            keep_highest(&mut highest, wanted);
        }
        let mut thresholds = vec![f64::INFINITY; pixels.len()];
        for own in highest.chunk_by(|a, b| object_of(a.0) == object_of(b.0)) {
            let object = object_of(own[0].0);
            let (lower, between) = (nth_highest(own, wanted(object)), place(object).fract());
            let upper = if between > 0.0 { nth_highest(own, wanted(object) - 1) } else { lower };
            thresholds[object] = lower + between * (upper - lower);
        }
        Ok(thresholds)
    }

    /// Pixels of every object in coarse pixels that have a residual in some band.
    fn pixels_with_residual(&self) -> Vec<u64> {
        let mut pixels = vec![0u64; self.contents.class_of.len()];
        for cell in 0..self.grid.cells() {
            if self.has_residual(cell / self.grid.cols, cell % self.grid.cols) {
                self.contents.of_cell(cell).iter().for_each(|part| pixels[part.object as usize] += u64::from(part.pixels));
            }
        }
        pixels
    }

    fn has_residual(&self, row: usize, col: usize) -> bool {
        self.residuals.slice(s![.., row, col]).iter().any(|v| v.is_finite())
    }

    /// What `of` makes of every block: the block, its objects and the indices of its pixels.
    fn map<T: Send>(
        &self,
        scene: &dyn Scene,
        blocks: &[Region],
        exec: &Exec<'_>,
        of: impl Fn(Region, ArrayView2<'_, u32>, &Array2<f32>) -> T + Sync,
    ) -> Result<Vec<T>> {
        let layer = self.objects.layer();
        passes::map_padded(scene, blocks, self.grid.scale, &[layer], exec, |block, padded, images| {
            let labels = self.objects.labels(images[0].view(), padded);
            let (row, col) = (block.row - padded.row, block.col - padded.col);
            let own = labels.slice(s![row..row + block.rows, col..col + block.cols]);
            let rimmed = self.rimmed(&labels, padded, block, scene.info());
            let index = self.indices(own, &rimmed, block, exec)?;
            Ok(of(block, own, &index))
        })
    }

    /// Labels of `block` and of as many pixels around it as the window of the index needs, reflected at the scene's border.
    fn rimmed(&self, labels: &Array2<u32>, padded: Region, block: Region, scene: &SceneInfo) -> Array2<u32> {
        let (before, around) = (self.grid.scale as i64 / 2, self.grid.scale - 1);
        let along = |first: usize, count: usize, all: usize, origin: usize| -> Vec<usize> {
            let places = first as i64 - before..(first + count + around) as i64 - before;
            places.map(|place| reflected(place, all) - origin).collect()
        };
        let rows = along(block.row, block.rows, scene.rows, padded.row);
        let cols = along(block.col, block.cols, scene.cols, padded.col);
        Array2::from_shape_fn((rows.len(), cols.len()), |(row, col)| labels[(rows[row], cols[col])])
    }

    /// Of every pixel the share of its object in a window of a coarse pixel's size (homogeneity), divided by 1 + its distance from
    /// the middle of its coarse pixel in half sides of that; `NaN` in a coarse pixel without residual.
    fn indices(&self, own: ArrayView2<'_, u32>, rimmed: &Array2<u32>, block: Region, exec: &Exec<'_>) -> Result<Array2<f32>> {
        let (scale, cols) = (self.grid.scale, block.cols);
        let half = (scale / 2) as f64;
        let area = (scale * scale) as f64;
        let divisors = Array2::from_shape_fn((scale, scale), |(row, col)| {
            let (down, right) = (row as f64 - half, col as f64 - half);
            1.0 + (down * down + right * right).sqrt() / half
        });
        let width = rimmed.dim().1;
        let rimmed = rimmed.as_slice().ok_or_else(|| Error::internal("labels are not in one piece"))?;
        let mut index = Array2::from_elem(own.dim(), f32::NAN);
        let mut counts = vec![0u32; cols];
        for (row, mut line) in index.outer_iter_mut().enumerate() {
            exec.cancel.check()?;
            counts.fill(0);
            let centres = own.row(row).to_vec();
            for around in rimmed[row * width..].chunks_exact(width).take(scale) {
                for samples in around.windows(cols) {
                    for ((count, sample), centre) in counts.iter_mut().zip(samples).zip(&centres) {
                        *count += u32::from(sample == centre);
                    }
                }
            }
            let (cell_row, row_in) = ((block.row + row) / scale, (block.row + row) % scale);
            for (col, value) in line.iter_mut().enumerate() {
                let (cell_col, col_in) = ((block.col + col) / scale, (block.col + col) % scale);
                if self.has_residual(cell_row, cell_col) {
                    *value = (f64::from(counts[col]) / area / divisors[(row_in, col_in)]) as f32;
                }
            }
        }
        Ok(index)
    }
}

/// A key that sorts by object, and within one by descending index (which is not negative).
fn key(object: u32, index: f32) -> u64 {
    u64::from(object) << 32 | u64::from(!index.to_bits())
}

fn object_of(key: u64) -> usize {
    (key >> 32) as usize
}

/// Drops of every object the keys that come after as many pixels as are wanted.
fn keep_highest(runs: &mut Vec<(u64, u32)>, wanted: impl Fn(usize) -> u64) {
    let (mut object, mut before) = (usize::MAX, 0u64);
    runs.retain(|&(key, count)| {
        if object_of(key) != object {
            (object, before) = (object_of(key), 0);
        }
        let keep = before < wanted(object);
        before += u64::from(count);
        keep
    });
}

/// The index that comes `nth` (from 1) among those of one object, the highest first.
fn nth_highest(runs: &[(u64, u32)], nth: u64) -> f64 {
    let mut before = 0u64;
    let found = runs.iter().find(|(_, count)| {
        before += u64::from(*count);
        before >= nth
    });
    found.map_or(f64::INFINITY, |(key, _)| f64::from(f32::from_bits(!(*key as u32))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_kept_holds_the_highest_indices(
            indices in prop::collection::vec((0u32..4, 0u8..6), 1..60), wanted in prop::collection::vec(1u64..12, 4), cut in 0usize..60,
        ) {
            let key_of = |&(object, index): &(u32, u8)| key(object, f32::from(index) / 8.0);
            let wanted = |object: usize| wanted[object];
            let (first, second) = indices.split_at(cut.min(indices.len()));
            let mut runs = Vec::new();
            for part in [first, second] {
                let mut more = counted(part.iter().map(key_of));
                keep_highest(&mut more, wanted);
                runs.extend(more);
            }
            merge(&mut runs);
            keep_highest(&mut runs, wanted);
            for object in 0..4 {
                let mut expected: Vec<f64> =
                    indices.iter().filter(|(o, _)| *o == object).map(|(_, i)| f64::from(*i) / 8.0).collect();
                expected.sort_by(|a, b| b.total_cmp(a));
                let own: Vec<_> = runs.iter().copied().filter(|(key, _)| object_of(*key) == object as usize).collect();
                for (i, value) in expected.iter().take(wanted(object as usize) as usize).enumerate() {
                    prop_assert_eq!(nth_highest(&own, i as u64 + 1), *value);
                }
            }
        }
    }
}
