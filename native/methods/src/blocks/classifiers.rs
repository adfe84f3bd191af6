//! How a method gets its classes: from the class map of the job or, without one, from a classifier of the fine image.

use stfusion_core::method::{ExtraImage, Layer, Scene, SceneInfo};
use stfusion_core::{choices, Error, ErrorKind, Exec, Result};

use super::class_means::ClassMeans;
use super::classes::Classes;
use super::coarse_grid::CoarseGrid;
use super::isodata::Isodata;
use super::k_means::KMeans;
use super::pixel_sample::{PixelSample, MOST_PIXELS};

choices! {
    /// What finds the classes of a fine image.
    pub enum ClassifierKind {
        /// k-means.
        KMeans = "k_means": "k-means on the fine image, with the largest number of classes",
        /// ISODATA.
        Isodata = "isodata": "ISODATA on the fine image: the number of classes follows from the data",
    }
}

/// Rounds of k-means, which mostly ends earlier.
const K_MEANS_ROUNDS: usize = 50;
/// Rounds of ISODATA, and part of the pixels that may change in the last one: as in the author's program of FSDAF, like the next three.
const ISODATA_ROUNDS: (usize, f64) = (20, 0.05);
/// Part of the range of values above which ISODATA splits a deviation, and below which it merges a distance.
const ISODATA_RANGE: f64 = 0.05;
/// Part of the pixels below which ISODATA drops a class.
const ISODATA_LEAST_SHARE: f64 = 0.001;
/// Pairs that ISODATA merges in a round.
const ISODATA_MERGED: usize = 2;

/// The choice, as parameters give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classification {
    /// What finds the classes.
    pub kind: ClassifierKind,
    /// Fewest classes that ISODATA may find.
    pub least_classes: usize,
    /// Number of classes; the most that ISODATA may find.
    pub classes: usize,
    /// Picks the first means.
    pub seed: u64,
}

impl Classification {
    /// From the parameters `classification`, `classes` and `seed`; ISODATA finds at least two thirds of that number.
    pub fn new(kind: ClassifierKind, classes: i64, seed: i64) -> Self {
        let classes = classes.max(1) as usize;
        Classification { kind, least_classes: (2 * classes).div_ceil(3), classes, seed: seed as u64 }
    }

    /// Fails when a pair without a class map is to have more classes than the scene has coarse pixels.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] naming both numbers and the remedy.
    pub fn check(&self, scene: &SceneInfo, grid: &CoarseGrid) -> Result<()> {
        let cells = grid.cells();
        if self.classes <= cells || scene.pairs.iter().all(|p| p.has(ExtraImage::Classes)) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Parameter,
            format!("{} classes cannot be told apart by {} coarse pixels ({} x {})", self.classes, cells, grid.rows, grid.cols),
        )
        .with_hint(format!("Set classes={cells} or fewer, set the right scale (it is {}), or use a larger image.", grid.scale)))
    }

    /// The classes of pair `pair`: those of its class map, or of its fine image. `None` when that has no valid pixel.
    ///
    /// # Errors
    /// Those of [`Classes::of_map`] and of reading; [`ErrorKind::Data`] when a map has more classes than the scene has coarse
    /// pixels; [`ErrorKind::Cancelled`].
    pub fn classes_of(&self, scene: &dyn Scene, grid: &CoarseGrid, pair: usize, exec: &Exec<'_>) -> Result<Option<Classes>> {
        if scene.info().pairs[pair].has(ExtraImage::Classes) {
            let classes = Classes::of_map(scene, pair, exec)?;
            if classes.count() > grid.cells() {
                return Err(Error::new(
                    ErrorKind::Data,
                    format!(
                        "The class map of pair {} has {} classes; {} coarse pixels ({} x {}) cannot tell them apart",
                        pair + 1,
                        classes.count(),
                        grid.cells(),
                        grid.rows,
                        grid.cols
                    ),
                )
                .with_hint(format!("Merge classes, set the right scale (it is {}), or use a larger image.", grid.scale)));
            }
            return Ok(Some(classes));
        }
        let sample = PixelSample::of_image(scene, Layer::Fine(pair), MOST_PIXELS, self.seed, exec)?;
        let model = self.fit(&sample, exec)?;
        Ok(model.map(Classes::Model))
    }

    /// The classes of a sample; `None` when it has no pixel.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`].
    pub fn fit(&self, sample: &PixelSample, exec: &Exec<'_>) -> Result<Option<ClassMeans>> {
        match self.kind {
            ClassifierKind::KMeans => {
                KMeans { classes: self.classes, iterations: K_MEANS_ROUNDS, seed: self.seed }.fit(sample, exec)
            }
            ClassifierKind::Isodata => self.isodata(sample).fit(sample, exec),
        }
    }

    fn isodata(&self, sample: &PixelSample) -> Isodata {
        let limits = sample.values.iter().fold((i32::MAX, i32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        let range = (f64::from(limits.1) - f64::from(limits.0)).max(0.0) * sample.unit;
        let (iterations, change_threshold) = ISODATA_ROUNDS;
        Isodata {
            min_classes: self.least_classes,
            max_classes: self.classes,
            iterations,
            change_threshold,
            least_share: ISODATA_LEAST_SHARE,
            split_deviation: ISODATA_RANGE * range,
            merge_distance: ISODATA_RANGE * range,
            merge_pairs: ISODATA_MERGED,
            seed: self.seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Problem;
    use ndarray::Array2;
    use stfusion_core::Cancel;

    fn classes_of(problem: &Problem, kind: ClassifierKind, classes: i64) -> Result<Option<Classes>> {
        let cancel = Cancel::new();
        let grid = CoarseGrid::new(problem.dim().1, problem.dim().2, 4);
        let scene = problem.scene()?;
        Classification::new(kind, classes, 1).classes_of(&scene, &grid, 0, &Exec::quiet(&cancel))
    }

    #[test]
    fn both_classifiers_keep_their_number_of_classes() {
        let problem = Problem::fields(2, 40, 40, 4, &[-16], 1);
        let count = |kind| classes_of(&problem, kind, 6).unwrap().unwrap().count();
        assert_eq!(count(ClassifierKind::KMeans), 6);
        assert!((4..=6).contains(&count(ClassifierKind::Isodata)));
    }

    #[test]
    fn a_map_comes_before_the_classifier() {
        let mut problem = Problem::fields(1, 8, 8, 4, &[-16], 1);
        problem.pairs[0].classes = Some(Array2::from_shape_fn((8, 8), |(r, _)| (r / 4) as f32));
        assert_eq!(classes_of(&problem, ClassifierKind::KMeans, 4).unwrap().unwrap().count(), 2);
        problem.pairs[0].classes = Some(Array2::from_shape_fn((8, 8), |(r, _)| r as f32));
        let error = classes_of(&problem, ClassifierKind::KMeans, 4).err().unwrap();
        assert_eq!(error.message(), "The class map of pair 1 has 8 classes; 4 coarse pixels (2 x 2) cannot tell them apart");
    }

    #[test]
    fn an_image_without_a_valid_pixel_has_no_classes() {
        let mut problem = Problem::fields(1, 8, 8, 4, &[-16], 1);
        problem.pairs[0].fine.fill(f32::NAN);
        assert!(classes_of(&problem, ClassifierKind::KMeans, 3).unwrap().is_none());
    }

    #[test]
    fn more_classes_than_coarse_pixels_are_refused_with_the_number_that_is_possible() {
        let mut problem = Problem::fields(1, 8, 8, 4, &[-16], 1);
        let grid = CoarseGrid::new(8, 8, 4);
        let check =
            |problem: &Problem| Classification::new(ClassifierKind::KMeans, 5, 1).check(problem.scene().unwrap().info(), &grid);
        let error = check(&problem).unwrap_err();
        assert_eq!(error.message(), "5 classes cannot be told apart by 4 coarse pixels (2 x 2)");
        assert!(error.hint().unwrap().starts_with("Set classes=4 or fewer"));
        problem.pairs[0].classes = Some(Array2::zeros((8, 8)));
        assert!(check(&problem).is_ok());
    }
}
