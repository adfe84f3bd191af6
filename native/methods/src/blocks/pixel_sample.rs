//! A bounded sample of the valid pixels of an image, the same whatever the tiles and threads, for what is fitted to pixels.
//!
//! The scene is cut into squares just large enough, and one pixel of each, picked by a hash of its place and the seed, belongs to
//! the sample when all its bands are valid. Values are held as whole numbers, multiples of [`PixelSample::unit`]: sums of them and of
//! their squares are exact, so that whatever is decided from them does not depend on the order of pixels or bands.

use rayon::prelude::*;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Exec, Region, Result};

use super::passes::{self, BLOCK_PX};

/// Most pixels of a sample.
pub const MOST_PIXELS: usize = 200_000;

/// Fewest rows that are read at once.
const LEAST_ROWS: usize = 64;

/// The largest value of a sample is about this number of units.
const LEVELS: f64 = (1u32 << 20) as f64;

/// Sampled pixels. See the [module](self).
#[derive(Debug, Clone, PartialEq)]
pub struct PixelSample {
    /// Number of bands.
    pub bands: usize,
    /// Size of one unit, greater than 0.
    pub unit: f64,
    /// Values in units, pixel by pixel, all bands of one after the other.
    pub values: Vec<i32>,
}

impl PixelSample {
    /// From pixels, all bands of one after the other, none of them `NaN`.
    pub fn of_pixels(bands: usize, pixels: &[f32]) -> PixelSample {
        let pixels = pixels.par_iter().with_min_len(BLOCK_PX * BLOCK_PX / 4);
        let largest = pixels.clone().fold(|| 0.0f64, |m, v| m.max(f64::from(v.abs()))).reduce(|| 0.0, f64::max);
        let unit = if largest > 0.0 { largest / LEVELS } else { 1.0 };
        PixelSample { bands, unit, values: pixels.map(|v| in_units(*v, unit)).collect() }
    }

    /// About `most` pixels (at most) of an image.
    ///
    /// # Errors
    /// Those of reading, and [`stfusion_core::ErrorKind::Cancelled`].
    pub fn of_image(scene: &dyn Scene, layer: Layer, most: usize, seed: u64, exec: &Exec<'_>) -> Result<PixelSample> {
        let info = scene.info();
        let bands = info.bands_of(layer);
        let squares = |step: usize| info.rows.div_ceil(step) * info.cols.div_ceil(step);
        let mut step = 1;
        while squares(step) > most.max(1) {
            step += 1;
        }
        // strips, so that pixels come in the order of the scene whatever the size of a part
        let rows = (BLOCK_PX * BLOCK_PX / info.cols.max(1)).max(LEAST_ROWS).div_ceil(step) * step;
        let blocks = Region::whole(info.rows, info.cols).blocks(rows, info.cols.max(1));
        let parts = passes::map_blocks(scene, &blocks, &[layer], exec, |block, images| {
            let mut pixels = Vec::new();
            for square in block.blocks(step, step) {
                let picked = (hash(seed, square.row as u64, square.col as u64) % square.pixels() as u64) as usize;
                let (row, col) = (square.row - block.row + picked / square.cols, square.col - block.col + picked % square.cols);
                let length = pixels.len();
                pixels.extend((0..bands).map(|b| images[0][(b, row, col)]));
                if pixels[length..].iter().any(|v| v.is_nan()) {
                    pixels.truncate(length);
                }
            }
            Ok(pixels)
        })?;
        Ok(PixelSample::of_pixels(bands, &parts.concat()))
    }

    /// Number of pixels.
    pub fn pixels(&self) -> usize {
        self.values.len() / self.bands.max(1)
    }

    /// The pixels, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[i32]> {
        self.values.chunks_exact(self.bands.max(1))
    }
}

/// A value in units, rounded half away from zero; values beyond ±2³⁰ units are taken as such.
pub fn in_units(value: f32, unit: f64) -> i32 {
    const MOST: f64 = (1u32 << 30) as f64;
    let units = (f64::from(value) / unit).clamp(-MOST, MOST);
    // a conversion cuts the fraction off; `f64::round` is a call on processors without SSE4.1
    (units + 0.5f64.copysign(units)) as i32
}

/// Evenly spread 64-bit numbers from three (splitmix64 steps).
pub fn hash(seed: u64, a: u64, b: u64) -> u64 {
    let mix = |mut h: u64| {
        h = h.wrapping_add(0x9e37_79b9_7f4a_7c15);
        h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        h ^ (h >> 31)
    };
    mix(mix(mix(seed) ^ a) ^ b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Problem;
    use stfusion_core::Cancel;

    fn sample(problem: &Problem, most: usize, seed: u64) -> PixelSample {
        let cancel = Cancel::new();
        PixelSample::of_image(&problem.scene().unwrap(), Layer::Fine(0), most, seed, &Exec::quiet(&cancel)).unwrap()
    }

    #[test]
    fn small_images_are_taken_whole_without_their_gaps() {
        let mut problem = Problem::fields(2, 9, 11, 3, &[-16], 1);
        problem.pairs[0].fine[(1, 4, 4)] = f32::NAN;
        let all = sample(&problem, 99, 7);
        assert_eq!((all.bands, all.pixels()), (2, 98));
        let first = all.iter().next().unwrap();
        for (b, units) in first.iter().enumerate() {
            let value = f64::from(problem.pairs[0].fine[(b, 0, 0)]);
            assert!((f64::from(*units) * all.unit - value).abs() <= all.unit / 2.0);
        }
    }

    #[test]
    fn large_images_give_one_pixel_of_each_square_and_the_seed_picks_it() {
        let problem = Problem::fields(1, 1100, 530, 10, &[-16], 1);
        let some = sample(&problem, 5000, 7);
        // 1100 x 530 pixels in squares of 11 x 11
        assert_eq!(some.pixels(), 100 * 49);
        assert_eq!(some, sample(&problem, 5000, 7));
        assert_ne!(some, sample(&problem, 5000, 8));
    }

    #[test]
    fn constant_zero_has_a_unit() {
        let sample = PixelSample::of_pixels(1, &[0.0, 0.0]);
        assert_eq!((sample.unit, sample.values.as_slice()), (1.0, &[0, 0][..]));
        assert_eq!(in_units(f32::MAX, 1e-3), 1 << 30);
    }
}
