//! Shares of the classes in every coarse pixel, and which classes look alike.

use std::cmp::Ordering;

use ndarray::{s, Array2, ArrayView3, Axis};
use stfusion_core::method::{ExtraImage, Layer, Scene};
use stfusion_core::{Exec, Result};

use crate::blocks::classes::Classes;
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::passes;

/// Part of a coarse pixel's area that must have classes, and a coarse value, for its equation to count.
pub const LEAST_VALID: f64 = 0.5;

/// What every coarse pixel is mixed from. See the [module](self).
#[derive(Debug, Clone, PartialEq)]
pub struct Mixtures {
    /// The coarse pixels.
    pub grid: CoarseGrid,
    /// Number of classes.
    pub classes: usize,
    /// Pixels of each class, cell by cell; all 0 where too little of the cell has a class.
    counts: Vec<u32>,
    /// For each class the others, the most similar first.
    similar: Vec<Vec<usize>>,
}

/// Sum and number of the values of one class in one band.
type Sum = (f64, u64);

impl Mixtures {
    /// Of the classes of pair `pair`.
    ///
    /// # Errors
    /// Those of reading, and [`stfusion_core::ErrorKind::Cancelled`].
    pub fn of_pair(scene: &dyn Scene, grid: CoarseGrid, classes: &Classes, pair: usize, exec: &Exec<'_>) -> Result<Mixtures> {
        let (count, bands) = (classes.count(), scene.info().bands);
        let mut layers = vec![Layer::Fine(pair)];
        if matches!(classes, Classes::Map(_)) {
            layers.push(Layer::Extra(ExtraImage::Classes, pair));
        }
        let blocks = grid.blocks();
        let parts = passes::map_blocks(scene, &blocks, &layers, exec, |block, images| {
            let map = images.get(1).map(|map| map.slice(s![0, .., ..]));
            let labels = classes.labels(images[0].view(), map)?;
            let counts = grid.class_counts(block, labels.view(), count);
            Ok((counts, class_sums(images[0].view(), &labels, count)))
        })?;
        let mut counts = vec![0; grid.cells() * count];
        let mut sums: Vec<Sum> = vec![(0.0, 0); count * bands];
        for (block, (part, part_sums)) in blocks.iter().zip(parts) {
            let cells = grid.cells_under(*block);
            for ((row, col), &labelled) in part.sum_axis(Axis(0)).indexed_iter() {
                if f64::from(labelled) >= LEAST_VALID * (grid.scale * grid.scale) as f64 {
                    let cell = (cells.row + row) * grid.cols + cells.col + col;
                    let own = &mut counts[cell * count..(cell + 1) * count];
                    own.iter_mut().zip(part.slice(s![.., row, col])).for_each(|(to, from)| *to = *from);
                }
            }
            for (sum, more) in sums.iter_mut().zip(part_sums) {
                *sum = (sum.0 + more.0, sum.1 + more.1);
            }
        }
        let means: Vec<f64> = sums.iter().map(|(sum, count)| sum / (*count).max(1) as f64).collect();
        Ok(Mixtures { grid, classes: count, counts, similar: similar_classes(&means, bands) })
    }

    fn counts(&self, cell: usize) -> &[u32] {
        &self.counts[cell * self.classes..(cell + 1) * self.classes]
    }

    /// Whether a cell's shares are known.
    pub fn is_known(&self, cell: usize) -> bool {
        self.counts(cell).iter().any(|count| *count > 0)
    }

    /// Shares of the classes, cell by cell; those of a known cell add up to 1, those of others are 0.
    pub fn shares(&self) -> Vec<f64> {
        let mut shares = Vec::with_capacity(self.counts.len());
        for counts in self.counts.chunks_exact(self.classes.max(1)) {
            let total = f64::from(counts.iter().sum::<u32>().max(1));
            shares.extend(counts.iter().map(|count| f64::from(*count) / total));
        }
        shares
    }

    /// The other classes, those most similar to `class` first.
    pub fn similar(&self, class: usize) -> &[usize] {
        &self.similar[class]
    }

    /// Without small shares: while the smallest share of a cell that is not 0 is below `threshold`, it goes to the most similar
    /// class of the cell (Wu et al. 2012, authors' program). Of equally small shares that of the first class goes first.
    pub fn merge_small_shares(&mut self, threshold: f64) {
        for counts in self.counts.chunks_exact_mut(self.classes.max(1)) {
            let total = f64::from(counts.iter().sum::<u32>());
            loop {
                let present = (0..counts.len()).filter(|&c| counts[c] > 0);
                let Some(smallest) = present.min_by_key(|&c| counts[c]) else { break };
                if f64::from(counts[smallest]) / total >= threshold {
                    break;
                }
                let Some(&other) = self.similar[smallest].iter().find(|&&c| counts[c] > 0) else { break };
                counts[other] += counts[smallest];
                counts[smallest] = 0;
            }
        }
    }
}

/// Sums of the values of each class (class by class, band by band).
fn class_sums(fine: ArrayView3<'_, f32>, labels: &Array2<u16>, classes: usize) -> Vec<Sum> {
    let bands = fine.dim().0;
    let mut sums: Vec<Sum> = vec![(0.0, 0); classes * bands];
    for (band, plane) in fine.outer_iter().enumerate() {
        for (&label, &value) in labels.iter().zip(plane) {
            if usize::from(label) < classes && !value.is_nan() {
                let sum = &mut sums[usize::from(label) * bands + band];
                *sum = (sum.0 + f64::from(value), sum.1 + 1);
            }
        }
    }
    sums
}

/// For each class the others by descending cosine between the class means (class by class), or, where there is only one band and
/// every cosine is 1, by ascending distance; of equals the first one first.
fn similar_classes(means: &[f64], bands: usize) -> Vec<Vec<usize>> {
    let of = |class: usize| &means[class * bands..(class + 1) * bands];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let unlike = |a: usize, b: usize| {
        if bands == 1 {
            return (means[a] - means[b]).abs();
        }
        let lengths = dot(of(a), of(a)).sqrt() * dot(of(b), of(b)).sqrt();
        if lengths > 0.0 {
            -dot(of(a), of(b)) / lengths
        } else {
            0.0
        }
    };
    (0..means.len() / bands.max(1))
        .map(|class| {
            let mut others: Vec<usize> = (0..means.len() / bands).filter(|&c| c != class).collect();
            others.sort_by(|&a, &b| unlike(class, a).partial_cmp(&unlike(class, b)).unwrap_or(Ordering::Equal).then(a.cmp(&b)));
            others
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Problem;
    use stfusion_core::Cancel;

    fn of_map(problem: &Problem) -> Mixtures {
        let cancel = Cancel::new();
        let exec = Exec::quiet(&cancel);
        let scene = problem.scene().unwrap();
        let classes = Classes::of_map(&scene, 0, &exec).unwrap();
        let grid = CoarseGrid::new(problem.dim().1, problem.dim().2, 4);
        Mixtures::of_pair(&scene, grid, &classes, 0, &exec).unwrap()
    }

    #[test]
    fn cells_that_are_cut_off_or_unlabelled_do_not_count() {
        let mut problem = Problem::fields(1, 9, 10, 4, &[-16], 1); // 3 x 3 cells; the last row has 1 of 4 rows, the last column 2
        let mut map = Array2::from_shape_fn((9, 10), |(_, c)| (c % 2) as f32);
        map.slice_mut(s![0..4, 0..3]).fill(f32::NAN);
        problem.pairs[0].classes = Some(map);
        let mixtures = of_map(&problem);
        let known: Vec<bool> = (0..9).map(|cell| mixtures.is_known(cell)).collect();
        assert_eq!(known, [false, true, true, true, true, true, false, false, false]);
        assert_eq!(mixtures.shares()[2..4], [0.5, 0.5]);
    }

    #[test]
    fn classes_are_alike_by_direction_and_with_one_band_by_distance() {
        let means = [1.0, 0.0, /**/ 5.0, 1.0, /**/ 0.0, 2.0, /**/ 1.0, 1.0];
        assert_eq!(similar_classes(&means, 2), [vec![1, 3, 2], vec![0, 3, 2], vec![3, 1, 0], vec![1, 0, 2]]);
        assert_eq!(similar_classes(&[0.1, 0.9, 0.3], 1), [vec![2, 1], vec![2, 0], vec![0, 1]]);
        assert_eq!(similar_classes(&[0.0; 6], 2), [vec![1, 2], vec![0, 2], vec![0, 1]]);
    }

    #[test]
    fn small_shares_go_to_the_most_similar_class_of_the_cell() {
        let grid = CoarseGrid::new(10, 20, 10);
        let counts = vec![50, 3, 4, 43, 0, 4, 96, 0];
        let mut mixtures = Mixtures { grid, classes: 4, counts, similar: similar_classes(&[0.1, 0.2, 0.25, 0.9], 1) };
        mixtures.merge_small_shares(0.05);
        // 1 is most like 2, which then has 0.07 and stays
        assert_eq!(mixtures.shares(), [0.5, 0.0, 0.07, 0.43, 0.0, 0.0, 1.0, 0.0]);
    }
}
