//! Classes of fine pixels, from a class map of the job or from means of classes of fine values.
//!
//! Labels count from 0 without gaps; [`NO_CLASS`] marks a pixel without a class.

pub mod cuda;

use ndarray::{Array2, ArrayView2, ArrayView3};
use stfusion_core::method::{ExtraImage, Layer, Scene};
use stfusion_core::{Error, ErrorKind, Exec, Region, Result};

use crate::blocks::class_means::ClassMeans;
pub use crate::blocks::coarse_grid::NO_CLASS;
use crate::blocks::passes::{self, BLOCK_PX};

/// Where classes come from.
pub enum Classes {
    /// The class map of a pair; holds the values that occur in it, ascending. Label k is the k-th value.
    Map(Vec<i32>),
    /// Means of classes of the fine values.
    Model(ClassMeans),
}

/// Most classes that a class map may have.
const MOST_CLASSES: usize = 255;

impl Classes {
    /// The classes of the class map of pair `pair`.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when a value is no whole number or negative, when there are too many, or none; those of reading.
    pub fn of_map(scene: &dyn Scene, pair: usize, exec: &Exec<'_>) -> Result<Classes> {
        let info = scene.info();
        let blocks = Region::whole(info.rows, info.cols).blocks(BLOCK_PX, BLOCK_PX);
        let number = pair + 1;
        let parts = passes::map_blocks(scene, &blocks, &[Layer::Extra(ExtraImage::Classes, pair)], exec, |block, images| {
            let mut found: Vec<i32> = Vec::new();
            for ((_, row, col), &value) in images[0].indexed_iter() {
                if value.is_nan() {
                    continue;
                }
                if value.fract() != 0.0 || !(0.0..=65_535.0).contains(&value) {
                    let place = format!("row {}, column {}", block.row + row, block.col + col);
                    return Err(Error::new(
                        ErrorKind::Data,
                        format!("The class map of pair {number} has {value} at {place}; expected whole numbers from 0 to 65535"),
                    )
                    .with_hint("Give a map of class numbers, with nodata where a pixel has no class."));
                }
                if let Err(place) = found.binary_search(&(value as i32)) {
                    found.insert(place, value as i32);
                }
            }
            Ok(found)
        })?;
        let mut values: Vec<i32> = parts.into_iter().flatten().collect();
        values.sort_unstable();
        values.dedup();
        match values.len() {
            1..=MOST_CLASSES => Ok(Classes::Map(values)),
            0 => Err(Error::new(ErrorKind::Data, format!("The class map of pair {number} has no class"))
                .with_hint("Check the nodata value of the class map, or leave the map out.")),
            n => Err(Error::new(
                ErrorKind::Data,
                format!("The class map of pair {number} has {n} classes; at most {MOST_CLASSES} are possible"),
            )
            .with_hint("Merge classes; a map of objects or of continuous values is no class map.")),
        }
    }

    /// Number of classes.
    pub fn count(&self) -> usize {
        match self {
            Classes::Map(values) => values.len(),
            Classes::Model(model) => model.classes(),
        }
    }

    /// Labels of a part of the scene, (row, col): from the class map under it, or from the fine image (band, row, col), where a
    /// pixel with an invalid band has none.
    ///
    /// # Errors
    /// Internal, when the map is missing.
    pub fn labels(&self, fine: ArrayView3<'_, f32>, map: Option<ArrayView2<'_, f32>>) -> Result<Array2<u16>> {
        match self {
            Classes::Map(values) => {
                let map = map.ok_or_else(|| Error::internal("the class map of a pair is missing"))?;
                Ok(map.mapv(|v| {
                    let label = if v.is_nan() { None } else { values.binary_search(&(v as i32)).ok() };
                    label.map_or(NO_CLASS, |l| l as u16)
                }))
            }
            Classes::Model(model) => {
                let (bands, rows, cols) = fine.dim();
                let (mut pixel, mut memory) = (vec![0.0f32; bands], Vec::with_capacity(bands));
                Ok(Array2::from_shape_fn((rows, cols), |(row, col)| {
                    pixel.iter_mut().enumerate().for_each(|(b, v)| *v = fine[(b, row, col)]);
                    if pixel.iter().any(|v| v.is_nan()) {
                        NO_CLASS
                    } else {
                        model.class_of(&pixel, &mut memory)
                    }
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Problem;
    use ndarray::array;
    use stfusion_core::Cancel;

    fn of(map: Array2<f32>) -> Result<Classes> {
        let mut problem = Problem::fields(1, map.dim().0, map.dim().1, 2, &[-16], 1);
        problem.pairs[0].classes = Some(map);
        let cancel = Cancel::new();
        let scene = problem.scene()?;
        Classes::of_map(&scene, 0, &Exec::quiet(&cancel))
    }

    #[test]
    fn values_of_a_map_become_labels_without_gaps() {
        let map = array![[7.0, 3.0], [f32::NAN, 120.0]];
        let classes = of(map.clone()).unwrap();
        assert_eq!(classes.count(), 3);
        let fine = ndarray::Array3::zeros((1, 2, 2));
        assert_eq!(classes.labels(fine.view(), Some(map.view())).unwrap(), array![[1, 0], [NO_CLASS, 2]]);
    }

    #[test]
    fn maps_that_are_none_are_refused_with_the_place() {
        let message = |map| of(map).err().unwrap().message().to_string();
        assert_eq!(
            message(array![[1.0, 2.0], [1.5, 1.0]]),
            "The class map of pair 1 has 1.5 at row 1, column 0; expected whole numbers from 0 to 65535"
        );
        assert_eq!(message(array![[f32::NAN, f32::NAN]]), "The class map of pair 1 has no class");
        let many = Array2::from_shape_fn((20, 20), |(r, c)| (20 * r + c) as f32);
        assert_eq!(message(many), "The class map of pair 1 has 400 classes; at most 255 are possible");
    }
}
