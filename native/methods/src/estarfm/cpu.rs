//! ESTARFM on the CPU: tiles cut into blocks, one pixel after the other.

use stfusion_core::method::{TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::block::{self, Block, Reference};
use super::inputs::{Inputs, Tolerances};
use super::parameters::ThresholdScope;
use super::pixel::{Pixels, COLS, ROWS};
use super::rules::Rules;
use crate::blocks::simd::Path;
use crate::blocks::tile_images::TileImages;

/// Everything that does not depend on the tile.
#[derive(Debug, Clone)]
pub struct Job {
    /// The rules.
    pub rules: Rules,
    /// Tolerances of the similarity test.
    pub tolerances: Tolerances,
    /// What samples are made with.
    pub reference: Reference,
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
    let local = job.tolerances.scope == ThresholdScope::Window;
    let mut block = Block::new(job.path, rules);
    let mut pixels = Pixels::new(&block, rules);
    let origin: Vec<f32> = job.reference.origin.iter().map(|&o| o as f32).collect();
    for region in block::blocks(tile.region.rows, tile.region.cols) {
        block.load(&images, region, rules, &job.reference, local, exec.cancel)?;
        let inputs = Inputs { images: &images, block: &block, rules, tolerances: &job.tolerances, origin: &origin };
        for row in (0..region.rows).step_by(ROWS) {
            for col in (0..region.cols).step_by(COLS) {
                exec.cancel.check()?;
                pixels.predict(inputs, (row, col), |row, col, outcome| {
                    let at = (region.row + row, region.col + col);
                    for (b, &value) in outcome.values.iter().enumerate() {
                        out.image[(b, at.0, at.1)] = value;
                    }
                    let Some(support) = &mut out.support else { return };
                    let inside =
                        |start: usize, length: usize| (start + rules.half + 1).min(length) - start.saturating_sub(rules.half);
                    let samples = inside(tile.region.row + at.0, job.scene.0) * inside(tile.region.col + at.1, job.scene.1);
                    let complete = outcome.values.iter().all(|v| !v.is_nan());
                    outcome.fallback.mark(&mut support.fallback[at]);
                    support.similar_pixels[at] = if complete { outcome.similar as f32 } else { 0.0 };
                    support.valid_fraction[at] = (f64::from(block.counts[row * region.cols + col]) / samples as f64) as f32;
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use proptest::prelude::*;

    use super::*;
    use crate::cases::{self, Problem};
    use crate::estarfm::parameters::Parameters;
    use crate::estarfm::{cases as estarfm_cases, reference, Estarfm, EstarfmOn};

    fn settings_for(settings: &[(&str, &str)], window: usize) -> stfusion_core::param::Values {
        let window = window.to_string();
        let mut all = vec![("window", window.as_str())];
        all.extend_from_slice(settings);
        cases::values_of(&Estarfm, &all).unwrap()
    }

    /// Compares with the reference; returns the share of predictions that were decided too closely for that.
    fn compare(name: &str, problem: &Problem, settings: &[(&str, &str)], window: usize) -> f64 {
        let values = settings_for(settings, window);
        let expected = reference::predict(&Parameters::from_values(&values).unwrap(), problem);
        let got = cases::predict(&Estarfm, &values, problem, (problem.dim().1, problem.dim().2), true).unwrap();
        let tolerance = estarfm_cases::TOLERANCE * problem.largest_fine();
        for ((at, &value), &wanted) in got.image.indexed_iter().zip(&expected.image) {
            assert_eq!(value.is_nan(), wanted.is_nan(), "{name}, window {window}, at {at:?}: {value} instead of {wanted}");
            let far = (f64::from(value) - wanted).abs() > tolerance;
            assert!(!far || expected.close[at], "{name}, window {window}, at {at:?}: {value} instead of {wanted}");
        }
        let fallback = got.fallback.unwrap();
        for (at, &wanted) in expected.fallback.indexed_iter() {
            let close = (0..problem.dim().0).any(|b| expected.close[(b, at.0, at.1)]);
            assert!(
                close || fallback[at] == f32::from(wanted as u8),
                "{name}, window {window}, at {at:?}: {} instead of {wanted:?}",
                fallback[at]
            );
        }
        let (similar, fraction) = got.support.unwrap();
        assert_eq!(similar, expected.similar_pixels.mapv(|v| v as f32), "{name}, window {window}: similar pixels");
        let difference = cases::largest_difference_2d(fraction.view(), expected.valid_fraction.view()).unwrap();
        assert!(difference < 1e-6, "{name}, window {window}: valid fraction differs by {difference}");
        let close = expected.close.iter().filter(|c| **c).count();
        close as f64 / expected.close.len() as f64
    }

    fn bits(image: &Array3<f32>) -> Vec<u32> {
        image.iter().map(|v| v.to_bits()).collect()
    }

    #[test]
    fn every_rule_agrees_with_the_reference() {
        let mut shares = Vec::new();
        for (problem_name, problem) in estarfm_cases::problems() {
            for (name, settings) in estarfm_cases::SETTINGS {
                let longest = problem.dim().1.max(problem.dim().2);
                for window in [1, 7, 15].into_iter().filter(|&w| w <= longest) {
                    let name = format!("{problem_name}, {name}");
                    let share = compare(&name, &problem, settings, window);
                    shares.push((share, name));
                }
            }
        }
        let mean = shares.iter().map(|s| s.0).sum::<f64>() / shares.len() as f64;
        assert!(mean < estarfm_cases::CLOSE_SHARE, "{mean} of the decisions were too close");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_scene_agrees_with_the_reference(
            seed in 0u32..1000, bands in 1usize..4, rows in 5usize..20, cols in 5usize..30, half in 0usize..3, gaps in 0.0f32..0.2,
            pairs in prop::sample::subsequence(vec![-90i16, -16, 40, 80], 2..4), which in 0..estarfm_cases::SETTINGS.len(),
        ) {
            let problem = Problem::fields(bands, rows, cols, 4, &pairs, seed).with_gaps(gaps, seed);
            let (name, settings) = estarfm_cases::SETTINGS[which];
            compare(name, &problem, settings, 2 * half + 1);
        }

        #[test]
        fn paths_give_the_same_bits(
            seed in 0u32..1000, bands in 1usize..4, rows in 1usize..20, cols in 1usize..90, gaps in 0.0f32..0.2,
            which in 0..estarfm_cases::SETTINGS.len(),
        ) {
            let problem = Problem::fields(bands, rows, cols, 4, &[-60, 54], seed).with_gaps(gaps, seed);
            let longest = rows.max(cols);
            let values = settings_for(estarfm_cases::SETTINGS[which].1, 9.min(longest - (longest + 1) % 2));
            let predicted = |path| cases::predict(&EstarfmOn(path), &values, &problem, (rows, cols), true).unwrap();
            let first = predicted(Path::Baseline);
            for &path in Path::ALL.iter().filter(|p| p.is_available()) {
                let other = predicted(path);
                prop_assert_eq!(bits(&first.image), bits(&other.image), "{}", path);
                prop_assert_eq!(&first.support, &other.support, "{}", path);
            }
        }
    }
}
