//! ISODATA: classes whose number follows from the data (Ball and Hall 1965), between a minimum and a maximum.
//!
//! ```text
//! begin with max_classes means (seeds as in k-means); in each round
//!     assign every pixel to the nearest mean; drop classes with too few pixels; take the means anew
//!     split the widest class, if its deviation is too large and there are fewer than max_classes
//!     or merge the nearest pairs of means that are too near, while there are more than min_classes
//! until few pixels change and nothing was split or merged; then two rounds of assignment
//! ```
//! A class is split into two means one deviation apart from each other along its widest band (bands that are equally wide move
//! together, so that the outcome does not depend on their order). Everything else is exact, as in k-means.

use stfusion_core::{Exec, Result};

use super::class_means::{assigned, distance, ClassMeans, Members};
use super::k_means::seeds;
use super::pixel_sample::PixelSample;

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Isodata {
    /// Fewest classes, where the image has as many different pixels.
    pub min_classes: usize,
    /// Most classes.
    pub max_classes: usize,
    /// Most rounds.
    pub iterations: usize,
    /// Part of the pixels (0..1) that may change in the last round.
    pub change_threshold: f64,
    /// Part of the pixels (0..1) below which a class is dropped.
    pub least_share: f64,
    /// Standard deviation above which a class is split, in the unit of the image.
    pub split_deviation: f64,
    /// Distance of two means below which they are merged, in the unit of the image.
    pub merge_distance: f64,
    /// Most pairs merged in a round.
    pub merge_pairs: usize,
    /// Picks the first means.
    pub seed: u64,
}

impl Isodata {
    /// The classes of a sample; `None` when it has no pixel.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Cancelled`].
    pub fn fit(&self, sample: &PixelSample, exec: &Exec<'_>) -> Result<Option<ClassMeans>> {
        let pixels = sample.pixels();
        if pixels == 0 {
            return Ok(None);
        }
        let mut means = seeds(sample, self.max_classes.max(1), self.seed, exec)?;
        let mut labels = vec![u16::MAX; pixels];
        for _ in 0..self.iterations {
            exec.cancel.check()?;
            let (members, changed) = assigned(sample, &means, &mut labels);
            let kept = self.large_enough(members, pixels);
            means = kept.iter().map(Members::mean).collect();
            let restructured = self.split(sample, &kept, &mut means) || self.merge(sample, &kept, &mut means);
            if !restructured && changed as f64 <= self.change_threshold * pixels as f64 {
                break;
            }
        }
        for _ in 0..2 {
            exec.cancel.check()?;
            let (members, _) = assigned(sample, &means, &mut labels);
            means = members.iter().filter(|m| m.count > 0).map(Members::mean).collect();
        }
        Ok(Some(ClassMeans::new(sample, means)))
    }

    /// Without the smallest classes that are too small, but as many as there must be.
    fn large_enough(&self, mut members: Vec<Members>, pixels: usize) -> Vec<Members> {
        members.retain(|m| m.count > 0);
        while members.len() > self.min_classes.max(1) {
            let Some(smallest) = (0..members.len()).min_by_key(|&c| members[c].count) else { break };
            if members[smallest].count as f64 >= self.least_share * pixels as f64 {
                break;
            }
            members.remove(smallest);
        }
        members
    }

    fn split(&self, sample: &PixelSample, members: &[Members], means: &mut Vec<Vec<i32>>) -> bool {
        if members.len() >= self.max_classes {
            return false;
        }
        let least = 2.0 * self.least_share * sample.pixels() as f64;
        let mut widest: Option<(usize, f64)> = None;
        for (class, own) in members.iter().enumerate().filter(|(_, m)| m.count as f64 > least) {
            let deviation = own.deviations().into_iter().fold(0.0, f64::max);
            if deviation > widest.map_or(0.0, |(_, most)| most) {
                widest = Some((class, deviation));
            }
        }
        let must = members.len() < self.min_classes;
        let Some((class, deviation)) = widest.filter(|(_, d)| must || *d * sample.unit > self.split_deviation) else {
            return false;
        };
        let step = (deviation / 2.0).ceil() as i32;
        let (mut low, mut high) = (means[class].clone(), means[class].clone());
        for (band, d) in members[class].deviations().into_iter().enumerate() {
            if d == deviation {
                low[band] = low[band].saturating_sub(step);
                high[band] = high[band].saturating_add(step);
            }
        }
        means[class] = low;
        means.push(high);
        true
    }

    fn merge(&self, sample: &PixelSample, members: &[Members], means: &mut Vec<Vec<i32>>) -> bool {
        let limit = self.merge_distance / sample.unit;
        let mut pairs: Vec<(u64, usize, usize)> = Vec::new();
        for a in 0..means.len() {
            for b in a + 1..means.len() {
                let d = distance(&means[a], &means[b]);
                if (d as f64).sqrt() < limit {
                    pairs.push((d, a, b));
                }
            }
        }
        pairs.sort_unstable();
        let most = self.merge_pairs.min(means.len().saturating_sub(self.min_classes.max(1)));
        let mut gone = vec![false; means.len()];
        let mut merged = 0;
        for (_, a, b) in pairs {
            if merged == most || gone[a] || gone[b] {
                continue;
            }
            let (n, m) = (members[a].count, members[b].count);
            let sums = members[a].sums.iter().zip(&members[b].sums).map(|(x, y)| x + y).collect();
            means.push(Members { count: n + m, sums, squares: Vec::new() }.mean());
            (gone[a], gone[b]) = (true, true);
            merged += 1;
        }
        let mut gone = gone.into_iter();
        means.retain(|_| !gone.next().unwrap_or(false));
        merged > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use stfusion_core::Cancel;

    const RULES: Isodata = Isodata {
        min_classes: 2,
        max_classes: 6,
        iterations: 20,
        change_threshold: 0.05,
        least_share: 0.02,
        split_deviation: 0.05,
        merge_distance: 0.05,
        merge_pairs: 2,
        seed: 1,
    };

    fn fit(rules: Isodata, bands: usize, pixels: &[f32]) -> ClassMeans {
        let cancel = Cancel::new();
        rules.fit(&PixelSample::of_pixels(bands, pixels), &Exec::quiet(&cancel)).unwrap().unwrap()
    }

    proptest! {
        #[test]
        fn the_number_of_clusters_is_found(noise in prop::collection::vec(-0.01f32..0.01, 160), clusters in 2usize..5, seed in 0u64..200) {
            let centres = [[0.1f32, 0.1], [0.5, 0.2], [0.3, 0.8], [0.9, 0.9]];
            let pixels: Vec<f32> =
                noise.chunks_exact(2).enumerate().flat_map(|(i, n)| [0, 1].map(|b| centres[i % clusters][b] + n[b])).collect();
            let model = fit(Isodata { seed, ..RULES }, 2, &pixels);
            prop_assert_eq!(model.classes(), clusters);
            for (i, pixel) in pixels.chunks_exact(2).enumerate() {
                prop_assert_eq!(usize::from(model.class_of(pixel, &mut Vec::new())), i % clusters); // centres ascend in brightness
            }
        }

        #[test]
        fn the_number_of_classes_keeps_its_bounds(pixels in prop::collection::vec(-1.0f32..1.0, 40..200), min in 1usize..4, more in 0usize..4) {
            let rules = Isodata { min_classes: min, max_classes: min + more, ..RULES };
            let classes = fit(rules, 1, &pixels).classes();
            prop_assert!((min..=min + more).contains(&classes), "{}", classes);
        }

        #[test]
        fn permuted_bands_have_permuted_means(pixels in prop::collection::vec(-1.0f32..1.0, 180), seed in 0u64..1000) {
            let order = [2, 0, 1];
            let permuted: Vec<f32> = pixels.chunks_exact(3).flat_map(|p| order.map(|b| p[b])).collect();
            let rules = Isodata { seed, ..RULES };
            let (a, b) = (fit(rules, 3, &pixels), fit(rules, 3, &permuted));
            prop_assert_eq!(a.classes(), b.classes());
            for class in 0..a.classes() {
                let mean = a.mean(class);
                prop_assert_eq!(order.map(|band| mean[band]).to_vec(), b.mean(class));
            }
        }
    }

    #[test]
    fn a_constant_image_has_one_class() {
        assert_eq!(fit(RULES, 2, &[0.4; 30]).classes(), 1);
    }

    #[test]
    fn wide_classes_are_split_and_near_ones_merged() {
        let ramp: Vec<f32> = (0..400).map(|i| i as f32 / 400.0).collect();
        let narrow = fit(Isodata { split_deviation: 0.06, merge_distance: 0.01, min_classes: 1, ..RULES }, 1, &ramp).classes();
        let wide = fit(Isodata { split_deviation: 0.5, merge_distance: 0.3, min_classes: 1, ..RULES }, 1, &ramp).classes();
        assert!(narrow >= 5 && wide <= 3, "{narrow} and {wide}");
    }
}
