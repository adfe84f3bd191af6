//! STARFM on the CPU: tiles cut into blocks, one band after the other.

use stfusion_core::method::{TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::block::{self, Block, Criteria, Tolerances};
use super::rules::Rules;
use super::window::Tests;
use crate::blocks::simd::Path;
use crate::blocks::tile_images::TileImages;

/// Everything that does not depend on the tile.
#[derive(Debug, Clone)]
pub struct Job {
    /// The rules.
    pub rules: Rules,
    /// Whether a candidate must pass both bounds instead of one.
    pub strict: bool,
    /// Tolerances of the similarity test.
    pub tolerances: Tolerances,
    /// 1 / D of every offset of the window.
    pub inverse_distance: Vec<f32>,
    /// Number of bands.
    pub bands: usize,
    /// Rows and columns of the scene.
    pub scene: (usize, usize),
    /// Vectors to use.
    pub path: Path,
}

/// Computes one tile.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn run(job: &Job, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
    let images = TileImages::new(tile)?;
    let rules = &job.rules;
    let tests = Tests {
        half: rules.half,
        strict: job.strict,
        count: out.support.is_some(),
        inverse_distance: job.inverse_distance.clone(),
    };
    let criteria = Criteria { rules, tests: &tests, tolerances: &job.tolerances };
    let mut buffers = Block::new(job.path);
    let pairs = images.pairs.len();
    for region in block::blocks(job.path, tile.region.rows, tile.region.cols) {
        for band in 0..job.bands {
            buffers.accumulate(&images, band, region, criteria, exec.cancel)?;
            let image = &mut out.image;
            let support = &mut out.support;
            buffers.each_pixel(|row, col, position| {
                let at = (region.row + row, region.col + col);
                let value = buffers.prediction(&images, band, (row, col, position), rules);
                image[(band, at.0, at.1)] = value;
                let Some(support) = support else { return };
                let candidates = if value.is_nan() { 0.0 } else { buffers.candidates(position) };
                let inside =
                    |start: usize, length: usize| (start + rules.half + 1).min(length) - start.saturating_sub(rules.half);
                let samples = inside(tile.region.row + at.0, job.scene.0) * inside(tile.region.col + at.1, job.scene.1);
                let valid = f64::from(buffers.valid[row * region.cols + col]) / (samples * pairs * job.bands) as f64;
                let (fewest, fraction) = (&mut support.similar_pixels[at], &mut support.valid_fraction[at]);
                *fewest = if band == 0 { candidates } else { fewest.min(candidates) };
                *fraction = if band == 0 { valid as f32 } else { *fraction + valid as f32 };
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::cases::{self, Problem};
    use crate::starfm::parameters::Parameters;
    use crate::starfm::{cases as starfm_cases, reference, Starfm};
    use proptest::prelude::*;

    fn settings_for(settings: &[(&str, &str)], window: usize) -> stfusion_core::param::Values {
        let window = window.to_string();
        let mut all = vec![("window", window.as_str())];
        all.extend_from_slice(settings);
        cases::values_of(&Starfm, &all).unwrap()
    }

    fn compare(name: &str, problem: &Problem, settings: &[(&str, &str)], window: usize) {
        let values = settings_for(settings, window);
        let expected = reference::predict(&Parameters::from_values(&values).unwrap(), problem).unwrap();
        let got = cases::predict(&Starfm, &values, problem, (problem.dim().1, problem.dim().2), true).unwrap();
        let expected = (&expected.image, &expected.similar_pixels, &expected.valid_fraction);
        cases::agree(&format!("{name}, window {window}"), problem, &got, expected, starfm_cases::TOLERANCE).unwrap();
        let plain = cases::predict(&Starfm, &values, problem, (problem.dim().1, problem.dim().2), false).unwrap();
        assert_eq!(bits(&plain.image), bits(&got.image), "{name}: counting changed the image");
    }

    fn bits(image: &Array3<f32>) -> Vec<u32> {
        image.iter().map(|v| v.to_bits()).collect()
    }

    #[test]
    fn every_rule_agrees_with_the_reference() {
        for (problem_name, problem) in starfm_cases::problems() {
            for (name, settings) in starfm_cases::SETTINGS {
                let longest = problem.dim().1.max(problem.dim().2);
                for window in [1, 7, 15].into_iter().filter(|&w| w <= longest) {
                    compare(&format!("{problem_name}, {name}"), &problem, settings, window);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_scene_agrees_with_the_reference(
            seed in 0u32..1000, rows in 5usize..24, cols in 5usize..40, half in 0usize..3, gaps in 0.0f32..0.4,
            pairs in prop::sample::subsequence(vec![-60i16, -16, 8, 40], 1..4), which in 0..starfm_cases::SETTINGS.len(),
        ) {
            let problem = Problem::fields(2, rows, cols, 4, &pairs, seed).with_gaps(gaps, seed);
            let (name, settings) = starfm_cases::SETTINGS[which];
            compare(name, &problem, settings, 2 * half + 1);
        }

        #[test]
        fn paths_decide_alike_and_agree_within_rounding(seed in 0u32..1000, rows in 1usize..20, cols in 1usize..90, strict: bool, gaps in 0.0f32..0.4) {
            let problem = Problem::fields(1, rows, cols, 4, &[-16, 24], seed).with_gaps(gaps, seed);
            let filter = if strict { "strict" } else { "loose" };
            let values = settings_for(&[("filter", filter)], 7.min(rows.max(cols) - (rows.max(cols) + 1) % 2));
            let mut outcomes = Vec::new();
            for &path in Path::ALL.iter().filter(|p| p.is_available()) {
                outcomes.push((path, cases::predict(&crate::starfm::StarfmOn(path), &values, &problem, (rows, cols), true).unwrap()));
            }
            let (_, first) = &outcomes[0];
            for (path, other) in &outcomes[1..] {
                prop_assert_eq!(&first.support, &other.support, "{}", path);
                let wide = first.image.mapv(f64::from);
                let difference = cases::largest_difference(other.image.view(), wide.view()).unwrap();
                prop_assert!(difference <= starfm_cases::PATH_TOLERANCE * problem.largest_fine().max(1e-3), "{}: {}", path, difference);
            }
        }
    }
}
