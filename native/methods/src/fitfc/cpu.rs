//! Fit-FC on the CPU: regression and residual of a tile, then the mean over similar pixels, pair by pair until nothing is missing.

use std::borrow::Cow;

use ndarray::{s, Array2, Array3, ArrayView3};
use stfusion_core::method::{Fallback, PairTile, TileIn, TileOut};
use stfusion_core::{Error, Exec, Region, Result};

use super::coarse::Fitted;
use super::fine;
use super::parameters::Border;
use super::residual::Residual;
use crate::blocks::box_sums::{self, RimmedPlane};
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::nearest::{weighted_means, Plane, Planes, Search};

/// Where the lines of a pair come from.
#[derive(Debug, Clone)]
pub enum Lines {
    /// One for each coarse pixel, (band, cell row, cell col).
    Coarse(Array3<Fitted>),
    /// One for each fine pixel, from the pixels around it.
    Fine {
        /// Pixels on every side.
        half: usize,
    },
}

/// What was computed of a pair for the whole scene.
#[derive(Debug, Clone)]
pub struct PairLines {
    /// The pair.
    pub pair: usize,
    /// The lines.
    pub lines: Lines,
    /// What they leave unexplained, if it is added.
    pub residual: Option<Residual>,
}

/// Everything that does not depend on the tile.
#[derive(Debug, Clone)]
pub struct Job {
    /// The grid of the coarse pixels.
    pub grid: CoarseGrid,
    /// The pairs, in the order in which they are tried.
    pub pairs: Vec<PairLines>,
    /// The search for similar pixels.
    pub search: Search,
    /// Weight of every position of the window.
    pub weights: Vec<f32>,
    /// Bands by which pixels are compared, counted from 0.
    pub similarity_bands: Vec<usize>,
    /// What the window of similar pixels does at the border of the scene.
    pub border: Border,
    /// Rows and columns of the scene.
    pub scene: (usize, usize),
}

/// Computes one tile.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn run(job: &Job, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
    if let Some(support) = &mut out.support {
        support.similar_pixels.fill(0.0);
        support.valid_fraction.fill(0.0);
    }
    for lines in &job.pairs {
        let images = Images::new(tile, lines.pair)?;
        let fit = fit(job, lines, &images, exec)?;
        average(job, &fit, &images, out, exec)?;
        let missing = out.image.indexed_iter().any(|((band, row, col), v)| {
            v.is_nan() && !tile.target[(band, row + tile.row_offset(), col + tile.col_offset())].is_nan()
        });
        if !missing {
            break;
        }
    }
    Ok(())
}

/// Images of a tile and one of its pairs as slices, (band, row, col) of the padded tile.
struct Images<'t, 'a> {
    tile: &'t TileIn<'a>,
    fine: &'a [f32],
    coarse: &'a [f32],
    target: &'a [f32],
}

impl<'t, 'a> Images<'t, 'a> {
    fn new(tile: &'t TileIn<'a>, pair: usize) -> Result<Self> {
        let slice =
            |image: ArrayView3<'a, f32>| image.to_slice().ok_or_else(|| Error::internal("an image of a tile is not contiguous"));
        let PairTile { fine, coarse, .. } = tile.pairs[pair].clone();
        Ok(Images { tile, fine: slice(fine)?, coarse: slice(coarse)?, target: slice(tile.target)? })
    }

    /// One band of an image.
    fn band<'i>(&self, image: &'i [f32], band: usize) -> &'i [f32] {
        let pixels = self.tile.padded.pixels();
        &image[band * pixels..(band + 1) * pixels]
    }

    fn bands(&self) -> usize {
        self.tile.target.dim().0
    }
}

/// Regression and residual of one pair, for the pixels of a tile and those in their windows.
struct Fit {
    /// `a F1 + b`, plus the residual, (band, row, col) of the padded tile; `NaN` where one of the images is.
    predicted: Vec<f32>,
    /// Numbers of the fallbacks, (row, col) of the padded tile.
    fallback: Vec<f32>,
}

/// Equations 1, 2 and 7.
fn fit(job: &Job, lines: &PairLines, images: &Images<'_, '_>, exec: &Exec<'_>) -> Result<Fit> {
    let (padded, bands) = (images.tile.padded, images.bands());
    let around = images.tile.region.grown(job.search.window().half(), job.scene.0, job.scene.1);
    let inner = Region { row: around.row - padded.row, col: around.col - padded.col, ..around };
    let residual = match &lines.residual {
        Some(residual) => residual.at(around),
        None => Array3::zeros((bands, around.rows, around.cols)),
    };
    let mut fit = Fit { predicted: vec![f32::NAN; bands * padded.pixels()], fallback: vec![0.0; padded.pixels()] };
    let mut own = vec![None; inner.cols];
    for band in 0..bands {
        let (fine, pair, target) =
            (images.band(images.fine, band), images.band(images.coarse, band), images.band(images.target, band));
        let mut set = |row: usize, lines: &[Fitted]| {
            for (i, fitted) in lines.iter().enumerate() {
                let at = row * padded.cols + inner.col + i;
                let Some((line, varies)) = fitted else { continue };
                let value = line.slope * f64::from(fine[at]) + line.intercept + f64::from(residual[(band, row - inner.row, i)]);
                if !(pair[at] + target[at]).is_nan() && (value as f32).is_finite() {
                    fit.predicted[band * padded.pixels() + at] = value as f32;
                }
                if !varies {
                    Fallback::Singular.mark(&mut fit.fallback[at]);
                }
            }
        };
        match &lines.lines {
            Lines::Coarse(cells) => {
                for row in 0..inner.rows {
                    exec.cancel.check()?;
                    let cells = cells.slice(s![band, (around.row + row) / job.grid.scale, ..]);
                    for (i, own) in own.iter_mut().enumerate() {
                        *own = cells[(around.col + i) / job.grid.scale];
                    }
                    set(inner.row + row, &own);
                }
            }
            Lines::Fine { half } => {
                let images = fine::Images { pair, target, rows: padded.rows, cols: padded.cols };
                fine::each_row(images, *half, inner, exec.cancel, set)?;
            }
        }
    }
    Ok(fit)
}

/// Fills what `out` still misses with means over similar pixels (equations 3 to 6, and 8).
fn average(job: &Job, fit: &Fit, images: &Images<'_, '_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
    let tile = images.tile;
    let rim = match job.border {
        Border::Clip => Rim::default(),
        Border::Replicate => Rim::missing(tile, job.search.window().half()),
    };
    let with_rim = |plane| rim.filled(plane, tile.padded);
    let predicted: Vec<_> = (0..images.bands()).map(|band| with_rim(images.band(&fit.predicted, band))).collect();
    let predicted: Vec<&[f32]> = predicted.iter().map(|plane| &plane[..]).collect();
    let compared: Vec<_> = job.similarity_bands.iter().map(|&band| with_rim(images.band(images.fine, band))).collect();
    let (rows, cols) = rim.around(tile.padded);
    let planes =
        Planes { rows, cols, compared: compared.iter().map(|plane| Plane::plain(plane)).collect(), required: predicted.clone() };
    let inner = Region { row: tile.row_offset() + rim.top, col: tile.col_offset() + rim.left, ..tile.region };
    let fractions = match &out.support {
        Some(_) => Some(valid_fractions(job, &fit.predicted, tile, exec)?),
        None => None,
    };
    let steps = job.search.window().steps(cols);
    let mut means = vec![f32::NAN; predicted.len()];
    job.search.each(&planes, inner, exec.cancel, |chosen| {
        for (col, samples) in chosen.iter() {
            let at = chosen.row * cols + col;
            let in_fit = (chosen.row - rim.top) * tile.padded.cols + col - rim.left;
            let place = (chosen.row - inner.row, col - inner.col);
            weighted_means(samples, at, &steps, |s| job.weights[s.position()], &predicted, &mut means);
            let mut filled = false;
            for (band, (&mean, own)) in means.iter().zip(&predicted).enumerate() {
                let to = &mut out.image[(band, place.0, place.1)];
                if to.is_nan() && !own[at].is_nan() {
                    *to = if mean.is_finite() { mean } else { own[at] };
                    filled = true;
                }
            }
            if let (true, Some(support), Some(fractions)) = (filled, &mut out.support, &fractions) {
                support.similar_pixels[place] = samples.len() as f32;
                support.valid_fraction[place] = fractions[place];
                let number = &mut support.fallback[place];
                *number = number.max(fit.fallback[in_fit]);
                if samples.is_empty() {
                    Fallback::FewSimilar.mark(number);
                }
            }
        }
    })
}

/// Rows and columns around the images of a tile that lie outside the scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Rim {
    top: usize,
    left: usize,
    bottom: usize,
    right: usize,
}

impl Rim {
    /// What the windows of the tile's pixels have beyond the images.
    fn missing(tile: &TileIn<'_>, half: usize) -> Rim {
        let beyond =
            |before: usize, length: usize, of: usize| (half.saturating_sub(before), half.saturating_sub(of - before - length));
        let (top, bottom) = beyond(tile.row_offset(), tile.region.rows, tile.padded.rows);
        let (left, right) = beyond(tile.col_offset(), tile.region.cols, tile.padded.cols);
        Rim { top, left, bottom, right }
    }

    /// Rows and columns of the images with the rim.
    fn around(self, padded: Region) -> (usize, usize) {
        (self.top + padded.rows + self.bottom, self.left + padded.cols + self.right)
    }

    /// A plane with the rim, into which the pixels at its border are copied.
    fn filled(self, plane: &[f32], padded: Region) -> Cow<'_, [f32]> {
        if self == Rim::default() {
            return Cow::Borrowed(plane);
        }
        let (rows, cols) = self.around(padded);
        let mut filled = Vec::with_capacity(rows * cols);
        for row in 0..rows {
            let row = row.saturating_sub(self.top).min(padded.rows - 1);
            let line = &plane[row * padded.cols..][..padded.cols];
            filled.extend(std::iter::repeat_n(line[0], self.left));
            filled.extend_from_slice(line);
            filled.extend(std::iter::repeat_n(line[padded.cols - 1], self.right));
        }
        Cow::Owned(filled)
    }
}

/// Share of the pixels inside the scene that are predicted in every band, in the window of every pixel of a tile.
fn valid_fractions(job: &Job, predicted: &[f32], tile: &TileIn<'_>, exec: &Exec<'_>) -> Result<Array2<f32>> {
    let half = job.search.window().half();
    let Region { rows, cols, .. } = tile.region;
    let (width, padded) = (cols + 2 * half, tile.padded);
    let mut rimmed = vec![f32::NAN; (rows + 2 * half) * width];
    for (i, value) in rimmed.iter_mut().enumerate() {
        let row = (tile.row_offset() + i / width).wrapping_sub(half);
        let col = (tile.col_offset() + i % width).wrapping_sub(half);
        if row < padded.rows
            && col < padded.cols
            && predicted.chunks_exact(padded.pixels()).all(|p| !p[row * padded.cols + col].is_nan())
        {
            *value = 0.0;
        }
    }
    let mut counts = vec![0; rows * cols];
    box_sums::add_valid_counts(RimmedPlane { values: &rimmed, rows, cols, half }, &mut counts, exec.cancel)?;
    let inside = |at: usize, length: usize| (at + half + 1).min(length) - at.saturating_sub(half);
    Ok(Array2::from_shape_fn((rows, cols), |(r, c)| {
        let samples = inside(tile.region.row + r, job.scene.0) * inside(tile.region.col + c, job.scene.1);
        counts[r * cols + c] as f32 / samples as f32
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::blocks::simd::Path;
    use crate::cases::{self, Problem};
    use crate::fitfc::{cases as fitfc_cases, reference, FitFc, FitFcOn, Parameters};

    fn compare(name: &str, problem: &Problem, settings: &[(&str, &str)]) {
        let values = cases::values_of(&FitFc, settings).unwrap();
        let expected = reference::predict(&Parameters::from_values(&values).unwrap(), problem);
        let got = cases::predict(&FitFc, &values, problem, (problem.dim().1, problem.dim().2), true).unwrap();
        let expected = (&expected.image, &expected.similar_pixels, &expected.valid_fraction);
        cases::agree(name, problem, &got, expected, fitfc_cases::TOLERANCE).unwrap();
    }

    #[test]
    fn every_rule_agrees_with_the_reference() {
        for (problem_name, problem) in fitfc_cases::problems() {
            for (name, settings) in fitfc_cases::SETTINGS {
                compare(&format!("{problem_name}, {name}"), &problem, settings);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_scene_agrees_with_the_reference(
            seed in 0u32..1000, rows in 1usize..24, cols in 1usize..40, gaps in 0.0f32..0.4, scale in 2usize..9,
            pairs in prop::sample::subsequence(vec![-60i16, -16, 8, 40], 1..3), which in 0..fitfc_cases::SETTINGS.len(),
        ) {
            let problem = Problem::fields(2, rows, cols, scale, &pairs, seed).with_gaps(gaps, seed);
            let (name, settings) = fitfc_cases::SETTINGS[which];
            compare(name, &problem, settings);
        }

        #[test]
        fn paths_agree_bit_for_bit(seed in 0u32..1000, rows in 1usize..20, cols in 1usize..90, gaps in 0.0f32..0.4) {
            let problem = Problem::fields(3, rows, cols, 4, &[-16], seed).with_gaps(gaps, seed);
            let values = cases::values_of(&FitFc, &[("window", "9"), ("neighbours", "7")]).unwrap();
            let on = |path| cases::predict(&FitFcOn(path), &values, &problem, (rows, cols), true).unwrap();
            let first = on(Path::Baseline);
            let bits = |p: &cases::Prediction| p.image.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            for &path in Path::ALL.iter().filter(|p| p.is_available()) {
                let other = on(path);
                prop_assert_eq!(bits(&first), bits(&other), "{}", path);
                prop_assert_eq!(&first.support, &other.support, "{}", path);
            }
        }
    }
}
