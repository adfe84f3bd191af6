//! Objects: groups of fine pixels, from an object map of the job or from segmentation.
//!
//! Objects count from 0; [`NO_OBJECT`] marks a pixel without one. The numbers of a map may have gaps: they are counted through.

use ndarray::{Array2, ArrayView3, Axis};
use stfusion_core::method::{ExtraImage, Layer, Scene, SceneInfo};
use stfusion_core::{Error, ErrorKind, Exec, Region, Result};

use super::passes::{self, BLOCK_PX, WAVE};
use super::slic::{Segments, Slic};

/// Mark of a pixel without an object.
pub const NO_OBJECT: u32 = u32::MAX;

/// The largest number of an object, the last whole number before 2²⁴, up to which `f32` tells all of them apart.
pub const LARGEST_NUMBER: u32 = (1 << 24) - 1;

/// A map may have one object for this many pixels, and [`ALWAYS_POSSIBLE`] anyhow.
const LEAST_PIXELS: usize = 8;
const ALWAYS_POSSIBLE: usize = 1 << 16;

/// Most objects that a scene may have when they come from a map.
pub fn most_objects(scene: &SceneInfo) -> usize {
    let pixels = scene.rows * scene.cols;
    (pixels / LEAST_PIXELS).max(ALWAYS_POSSIBLE).min(pixels).min(LARGEST_NUMBER as usize + 1)
}

/// The objects of a pair.
#[derive(Debug, Clone)]
pub struct Objects {
    pair: usize,
    source: Source,
}

/// Where the objects of a pair come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// An object map with these numbers.
    Map(Numbers),
    /// Segments of the fine image.
    Segments(Segments),
}

/// The numbers that occur in a map: a bit for each possible one, and how many come before each 64 of them.
#[derive(Debug, Clone)]
pub struct Numbers {
    bits: Vec<u64>,
    before: Vec<u32>,
    count: usize,
}

impl Numbers {
    fn of(found: impl Iterator<Item = u32>) -> Self {
        let mut bits: Vec<u64> = Vec::new();
        for number in found {
            let word = number as usize / 64;
            if word >= bits.len() {
                bits.resize(word + 1, 0);
            }
            bits[word] |= 1 << (number % 64);
        }
        let mut count = 0;
        let before = bits
            .iter()
            .map(|word| {
                count += word.count_ones();
                count - word.count_ones()
            })
            .collect();
        Numbers { bits, before, count: count as usize }
    }

    /// The bits, 64 numbers in a word, and how many numbers come before each word.
    pub fn words(&self) -> (&[u64], &[u32]) {
        (&self.bits, &self.before)
    }

    fn index(&self, value: f32) -> u32 {
        if value.is_nan() {
            return NO_OBJECT;
        }
        let number = value as usize;
        let word = self.bits.get(number / 64).copied().unwrap_or(0);
        let bit = 1u64 << (number % 64);
        if word & bit == 0 {
            return NO_OBJECT;
        }
        self.before[number / 64] + (word & (bit - 1)).count_ones()
    }
}

impl Objects {
    /// The objects of pair `pair`: those of its object map, or the segments of its fine image.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when a number of the map is fractional or out of range, or there are too many objects, or none; those of
    /// reading; [`ErrorKind::Cancelled`].
    pub fn of_pair(scene: &dyn Scene, pair: usize, slic: Slic, exec: &Exec<'_>) -> Result<Objects> {
        let source = if scene.info().pairs[pair].has(ExtraImage::Objects) {
            Source::Map(numbers(scene, pair, exec)?)
        } else {
            Source::Segments(slic.segments_of(scene, Layer::Fine(pair), exec)?)
        };
        Ok(Objects { pair, source })
    }

    /// Number of objects; segments without a pixel count.
    pub fn count(&self) -> usize {
        match &self.source {
            Source::Map(numbers) => numbers.count,
            Source::Segments(segments) => segments.count(),
        }
    }

    /// Where they come from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The layer that [`Objects::labels`] needs.
    pub fn layer(&self) -> Layer {
        match self.source {
            Source::Map(_) => Layer::Extra(ExtraImage::Objects, self.pair),
            Source::Segments(_) => Layer::Fine(self.pair),
        }
    }

    /// Objects of the pixels of `region`, (row, col), from [`Objects::layer`] there, (band, row, col).
    pub fn labels(&self, image: ArrayView3<'_, f32>, region: Region) -> Array2<u32> {
        match &self.source {
            Source::Map(numbers) => image.index_axis(Axis(0), 0).mapv(|v| numbers.index(v)),
            Source::Segments(segments) => segments.labels(image, region),
        }
    }
}

fn numbers(scene: &dyn Scene, pair: usize, exec: &Exec<'_>) -> Result<Numbers> {
    let info = scene.info();
    let blocks = Region::whole(info.rows, info.cols).blocks(BLOCK_PX, BLOCK_PX);
    let name = format!("The object map of pair {}", pair + 1);
    let mut found: Vec<u32> = Vec::new();
    for wave in blocks.chunks(WAVE) {
        let parts = passes::map_blocks(scene, wave, &[Layer::Extra(ExtraImage::Objects, pair)], exec, |block, images| {
            let mut found: Vec<u32> = Vec::new();
            for ((_, row, col), &value) in images[0].indexed_iter() {
                if value.is_nan() {
                    continue;
                }
                if value.fract() != 0.0 || !(0.0..=LARGEST_NUMBER as f32).contains(&value) {
                    let place = format!("row {}, column {}", block.row + row, block.col + col);
                    return Err(Error::new(
                        ErrorKind::Data,
                        format!("{name} has {value} at {place}; expected whole numbers from 0 to {LARGEST_NUMBER}"),
                    )
                    .with_hint(
                        "Give a map of segment numbers, counted through if need be, with nodata where a pixel has none.",
                    ));
                }
                if found.last() != Some(&(value as u32)) {
                    found.push(value as u32);
                }
            }
            found.sort_unstable();
            found.dedup();
            Ok(found)
        })?;
        found.extend(parts.into_iter().flatten());
        found.sort_unstable();
        found.dedup();
    }
    let most = most_objects(info);
    match found.len() {
        0 => Err(Error::new(ErrorKind::Data, format!("{name} has no object"))
            .with_hint("Check the nodata value of the object map, or leave the map out.")),
        n if n > most => Err(Error::new(
            ErrorKind::Data,
            format!("{name} has {n} objects; at most {most} are possible, one for {LEAST_PIXELS} pixels"),
        )
        .with_hint("Merge small segments; a map of continuous values is no object map.")),
        _ => Ok(Numbers::of(found.into_iter())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Problem;
    use ndarray::array;
    use proptest::prelude::*;
    use stfusion_core::Cancel;

    const SLIC: Slic = Slic { side: 3, compactness: 0.3, iterations: 1 };

    fn of(map: &Array2<f32>) -> Result<Objects> {
        let mut problem = Problem::fields(1, map.dim().0, map.dim().1, 2, &[-16], 1);
        problem.pairs[0].objects = Some(map.clone());
        let cancel = Cancel::new();
        let scene = problem.scene()?;
        Objects::of_pair(&scene, 0, SLIC, &Exec::quiet(&cancel))
    }

    proptest! {
        #[test]
        fn numbers_are_counted_through(numbers in prop::collection::vec(prop::option::weighted(0.9, 0u32..=LARGEST_NUMBER), 1..40)) {
            let mut occurring: Vec<u32> = numbers.iter().copied().flatten().collect();
            occurring.sort_unstable();
            occurring.dedup();
            prop_assume!(!occurring.is_empty());
            let map = Array2::from_shape_fn((1, numbers.len()), |(_, i)| numbers[i].map_or(f32::NAN, |n| n as f32));
            let objects = of(&map).unwrap();
            prop_assert_eq!(objects.count(), occurring.len());
            let labels = objects.labels(map.view().insert_axis(Axis(0)), Region::whole(1, numbers.len()));
            for (label, number) in labels.iter().zip(&numbers) {
                let expected = number.map_or(NO_OBJECT, |n| occurring.binary_search(&n).unwrap() as u32);
                prop_assert_eq!(*label, expected);
            }
        }
    }

    #[test]
    fn maps_that_are_none_are_refused_with_the_place() {
        let message = |map: Array2<f32>| of(&map).err().unwrap().message().to_string();
        let range = "expected whole numbers from 0 to 16777215";
        let fractional = message(array![[1.0, 2.0], [0.5, 1.0]]);
        assert_eq!(fractional, format!("The object map of pair 1 has 0.5 at row 1, column 0; {range}"));
        let large = message(array![[1.0, 16_777_216.0]]);
        assert_eq!(large, format!("The object map of pair 1 has 16777216 at row 0, column 1; {range}"));
        assert!(message(array![[-1.0]]).contains("has -1 at row 0, column 0"));
        assert_eq!(message(array![[f32::NAN]]), "The object map of pair 1 has no object");
        let scattered = Array2::from_shape_fn((300, 300), |(r, c)| (300 * r + c) as f32);
        assert_eq!(
            message(scattered),
            "The object map of pair 1 has 90000 objects; at most 65536 are possible, one for 8 pixels"
        );
    }

    #[test]
    fn without_a_map_the_image_is_segmented() {
        let problem = Problem::fields(1, 9, 9, 3, &[-16], 1);
        let cancel = Cancel::new();
        let objects = Objects::of_pair(&problem.scene().unwrap(), 0, SLIC, &Exec::quiet(&cancel)).unwrap();
        assert_eq!((objects.count(), objects.layer()), (9, Layer::Fine(0)));
    }
}
