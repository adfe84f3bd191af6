//! Where patches lie: a grid anchored at the scene's corner, and what each patch contributes to a pixel.
//!
//! Layers that look at a whole patch (attention, instance normalisation) make its result depend on where it lies, so the grid belongs
//! to the method: tiles of a run, threads and memory do not move it. Along an axis, patch k owns the pixels between the middles of
//! what it shares with its neighbours; linear blending passes from one to the next around these.

use std::ops::Range;

use stfusion_nn::weights::metadata::Blend;

/// Patches along one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// Pixels of the scene.
    pub length: usize,
    /// Pixels of a patch; one that is larger than the scene, or aligned, may reach beyond its end.
    pub size: usize,
    /// First pixel of every patch.
    pub starts: Vec<usize>,
    /// First pixel that every patch owns, and the end of the last one's.
    bounds: Vec<usize>,
    /// Pixels on both sides of a bound over which weights pass.
    ramp: usize,
}

impl Axis {
    /// Patches of `size` pixels, multiples of `align` apart, that share at least `overlap` with the next one, which is less than `size`.
    pub fn new(length: usize, size: usize, overlap: usize, align: usize, blend: Blend) -> Axis {
        let stride = ((size - overlap) / align).max(1) * align;
        let last = length.saturating_sub(size).div_ceil(align) * align;
        let mut starts: Vec<usize> = (0..last).step_by(stride).collect();
        starts.push(last);
        let mut bounds = vec![0];
        bounds.extend(starts.windows(2).map(|pair| (pair[0] + size + pair[1]) / 2));
        bounds.push(length);
        let narrowest = bounds.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(0);
        let ramp = match blend {
            Blend::Centre => 0,
            Blend::Linear => (overlap / 4).min(narrowest / 2),
        };
        Axis { length, size, starts, bounds, ramp }
    }

    /// The pixel of the scene under every pixel of a patch; those beyond the scene's end repeat its last one.
    pub fn pixels(&self, patch: usize) -> Vec<usize> {
        let start = self.starts[patch];
        (start..start + self.size).map(|pixel| pixel.min(self.length - 1)).collect()
    }

    /// As [`Axis::pixels`], for a patch around `pixel`, which is the first one of its second half; both ends of the scene repeat.
    pub fn pixels_around(&self, pixel: usize) -> Vec<usize> {
        (0..self.size).map(|i| (pixel + i).saturating_sub(self.size / 2).min(self.length - 1)).collect()
    }

    /// Patches that contribute to some of the pixels.
    pub fn under(&self, pixels: Range<usize>) -> Range<usize> {
        let first = (0..self.starts.len()).find(|&k| self.reach(k).end > pixels.start).unwrap_or(self.starts.len());
        let end = (first..self.starts.len()).find(|&k| self.reach(k).start >= pixels.end).unwrap_or(self.starts.len());
        first..end
    }

    /// Pixels that a patch contributes to.
    pub fn reach(&self, patch: usize) -> Range<usize> {
        let (start, end) = (self.bounds[patch], self.bounds[patch + 1]);
        let inner = |at: usize| at > 0 && at < self.length;
        let ramp = |at: usize| if inner(at) { self.ramp } else { 0 };
        start - ramp(start)..end + ramp(end)
    }

    /// What a patch contributes to a pixel; the weights of all patches add up to one.
    pub fn weight(&self, patch: usize, pixel: usize) -> f32 {
        self.begun(patch, pixel) * (1.0 - self.begun(patch + 1, pixel))
    }

    /// The patch that owns a pixel.
    pub fn owner(&self, pixel: usize) -> usize {
        self.bounds.partition_point(|&bound| bound <= pixel).saturating_sub(1).min(self.starts.len() - 1)
    }

    /// How far the passage into a patch has gone at a pixel, 0 to 1.
    fn begun(&self, patch: usize, pixel: usize) -> f32 {
        if patch == 0 {
            return 1.0;
        }
        if patch == self.starts.len() {
            return 0.0;
        }
        let (at, bound) = (pixel as f32 + 0.5, self.bounds[patch] as f32);
        match self.ramp {
            0 => f32::from(u8::from(at > bound)),
            ramp => ((at - bound + ramp as f32) / (2 * ramp) as f32).clamp(0.0, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_pixel_gets_one_whole_from_patches_that_hold_it(
            length in 1usize..400, size in 1usize..9, align in 1usize..17, part in 0usize..8, linear: bool,
        ) {
            let size = size * align * 4;
            let blend = if linear { Blend::Linear } else { Blend::Centre };
            let axis = Axis::new(length, size, size * part / 8, align, blend);
            prop_assert!(axis.starts.iter().all(|s| s % align == 0));
            prop_assert!(axis.starts.last().unwrap() + size >= length && axis.starts.last().unwrap() + size < length.max(size) + align);
            for pixel in 0..length {
                let holding: Vec<usize> = (0..axis.starts.len()).filter(|&k| axis.weight(k, pixel) > 0.0).collect();
                let sum: f32 = holding.iter().map(|&k| axis.weight(k, pixel)).sum();
                prop_assert!((sum - 1.0).abs() < 1e-6, "{sum} at {pixel}");
                for &k in &holding {
                    prop_assert!((axis.starts[k]..axis.starts[k] + size).contains(&pixel));
                    prop_assert!(axis.reach(k).contains(&pixel), "{k} at {pixel}: {:?}", axis.reach(k));
                }
                prop_assert!(axis.weight(axis.owner(pixel), pixel) >= 0.5);
            }
        }

        #[test]
        fn patches_under_pixels_are_those_that_contribute(length in 1usize..300, start in 0usize..300, count in 1usize..80, linear: bool) {
            let (start, blend) = (start % length, if linear { Blend::Linear } else { Blend::Centre });
            let pixels = start..(start + count).min(length);
            let axis = Axis::new(length, 32, 12, 1, blend);
            let expected: Vec<usize> =
                (0..axis.starts.len()).filter(|&k| pixels.clone().any(|p| axis.reach(k).contains(&p))).collect();
            prop_assert_eq!(axis.under(pixels).collect::<Vec<_>>(), expected);
        }
    }
}
