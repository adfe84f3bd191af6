//! A cloud and its shadow in a fine image, and the Landsat Collection 2 `QA_PIXEL` band that marks them.
//!
//! A cloud is an opacity: 0 outside, rising smoothly to nearly 1 inside a fractal outline. Its shadow is the same shape
//! thrown to the north-west, away from the morning sun. `QA_PIXEL` is derived from the same opacities, so that every pixel
//! the cloud touches is marked as cloud, dilated cloud or shadow.

use crate::hash::{fractal, length, smoothstep};
use crate::spectra::{self, Spectrum};
use crate::Date;

/// Bits of `QA_PIXEL` (Landsat 8-9 Collection 2 Level 2 Science Product Guide, table 6-3).
pub mod qa {
    /// Fill.
    pub const FILL: u16 = 1;
    /// Within a few pixels of a cloud.
    pub const DILATED_CLOUD: u16 = 1 << 1;
    /// Cirrus, high confidence.
    pub const CIRRUS: u16 = 1 << 2;
    /// Cloud, high confidence.
    pub const CLOUD: u16 = 1 << 3;
    /// Cloud shadow, high confidence.
    pub const SHADOW: u16 = 1 << 4;
    /// Snow, high confidence.
    pub const SNOW: u16 = 1 << 5;
    /// Neither cloud nor dilated cloud.
    pub const CLEAR: u16 = 1 << 6;
    /// Water.
    pub const WATER: u16 = 1 << 7;
    /// First bit of the cloud confidence (1 low, 2 medium, 3 high).
    pub const CLOUD_CONFIDENCE: u32 = 8;
    /// First bit of the shadow confidence (1 low, 3 high).
    pub const SHADOW_CONFIDENCE: u32 = 10;
    /// First bit of the snow confidence (1 low, 3 high).
    pub const SNOW_CONFIDENCE: u32 = 12;
    /// First bit of the cirrus confidence (1 low, 3 high).
    pub const CIRRUS_CONFIDENCE: u32 = 14;
}

/// A cloud over the fine image of one date.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cloud {
    pub(crate) date: Date,
    seed: u64,
    x: f64,
    y: f64,
    radius: f64,
    /// Where the shadow lies, seen from the cloud, in fine pixels.
    shadow: (f64, f64),
}

/// Opacity above which a pixel is marked as cloud or as shadow.
const MARKED: f64 = 0.015;
/// How far around a cloud pixels are marked as dilated cloud, in fine pixels.
const DILATION_PX: f64 = 3.0;

impl Cloud {
    pub(crate) fn over(seed: u64, date: Date, rows: f64, cols: f64) -> Self {
        let radius = (0.105 * rows.min(cols)).clamp(12.0, 160.0);
        Self {
            date,
            seed: seed ^ 0xC10D,
            x: 0.50 * cols,
            y: 0.17 * rows,
            radius,
            shadow: (-0.85 * radius - 8.0, -0.62 * radius - 6.0),
        }
    }

    /// How much of the ground the cloud hides at (`x`, `y`), 0 to 1.
    fn opacity(&self, x: f64, y: f64) -> f64 {
        let (dx, dy) = ((x - self.x) / self.radius, (y - self.y) / self.radius);
        let distance = length(dx, 1.3 * dy);
        if distance > 2.2 {
            return 0.0;
        }
        let shape = 1.0 - distance + 0.95 * fractal(self.seed, dx * 1.7, dy * 1.7, 5);
        smoothstep(0.02, 0.42, shape)
    }

    fn shade(&self, x: f64, y: f64) -> f64 {
        self.opacity(x - self.shadow.0, y - self.shadow.1)
    }

    /// What the sensor sees of a surface at (`x`, `y`).
    pub(crate) fn over_surface(&self, surface: Spectrum, x: f64, y: f64) -> Spectrum {
        const SKYLIGHT: Spectrum = [0.52, 0.46, 0.40, 0.36, 0.30, 0.28];
        let (opacity, shade) = (self.opacity(x, y) as f32, self.shade(x, y) as f32);
        let mut out = surface;
        if shade > 0.0 {
            for (o, sky) in out.iter_mut().zip(SKYLIGHT) {
                *o *= 1.0 - 0.92 * shade * (1.0 - sky);
            }
        }
        if opacity > 0.0 {
            let billows = fractal(self.seed ^ 1, x / 11.0, y / 11.0, 3) as f32;
            let white = spectra::times(spectra::CLOUD, 0.72 + 0.25 * opacity + 0.30 * billows);
            out = spectra::blend(out, white, 0.97 * opacity);
        }
        out
    }
}

/// `QA_PIXEL` at (`x`, `y`) under these clouds.
pub(crate) fn qa_pixel(clouds: &[&Cloud], x: f64, y: f64, water: bool) -> u16 {
    let (mut cloudy, mut near, mut shaded) = (false, false, false);
    for cloud in clouds {
        let reach = 2.6 * cloud.radius + length(cloud.shadow.0, cloud.shadow.1) + DILATION_PX;
        if length(x - cloud.x, y - cloud.y) > reach {
            continue;
        }
        cloudy |= cloud.opacity(x, y) > MARKED;
        let around = |of: &dyn Fn(f64, f64) -> f64| {
            (0..12).any(|k| {
                let (sin, cos) = (f64::from(k) * std::f64::consts::TAU / 12.0).sin_cos();
                of(x + DILATION_PX * cos, y + DILATION_PX * sin) > MARKED
            })
        };
        near |= around(&|x, y| cloud.opacity(x, y));
        shaded |= cloud.shade(x, y) > MARKED || around(&|x, y| cloud.shade(x, y));
    }
    let mut bits = 1 << qa::SNOW_CONFIDENCE | 1 << qa::CIRRUS_CONFIDENCE;
    bits |= if cloudy { 3 } else { 1 } << qa::CLOUD_CONFIDENCE;
    shaded &= !cloudy;
    bits |= if shaded { 3 } else { 1 } << qa::SHADOW_CONFIDENCE;
    if cloudy {
        bits |= qa::CLOUD;
    } else if near {
        bits |= qa::DILATED_CLOUD;
    } else {
        bits |= qa::CLEAR;
    }
    if shaded {
        bits |= qa::SHADOW;
    }
    if water {
        bits |= qa::WATER;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_product_guide() {
        assert_eq!(qa_pixel(&[], 0.0, 0.0, false), 21_824);
        assert_eq!(qa_pixel(&[], 0.0, 0.0, true), 21_952);
        let cloud = Cloud::over(1, Date::new(2022, 5, 9), 400.0, 400.0);
        let mut seen = std::collections::BTreeSet::new();
        for y in 0..400 {
            for x in 0..400 {
                seen.insert(qa_pixel(&[&cloud], f64::from(x) + 0.5, f64::from(y) + 0.5, false));
            }
        }
        let expected = [21_762, 21_824, 22_280, 23_826, 23_888];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
    }
}
