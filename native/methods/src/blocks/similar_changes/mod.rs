//! The changes of fine pixels averaged over similar pixels and added to the fine image (Zhu et al. 2016, equations 21 to 24).
//!
//! Edges: a pixel is predicted where its fine value and both coarse values of its cell (coarse pixel) are valid. Similar pixels are
//! valid in every band and have a change. A pixel without similar pixels gets its own change, and the coarse change where it has none.
//! A prediction outside the range becomes the fine value plus the coarse change, within the range.

pub mod cuda;

use ndarray::{s, Array2, Array3, ArrayView2};
use stfusion_core::method::{Fallback, PairTile, TileIn, TileOut};
use stfusion_core::{choices, Error, ErrorKind, Exec, Region, Result};

use crate::blocks::box_sums::{self, RimmedPlane};
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::nearest::{weighted_means, DistanceLaw, Plane, Planes, Sample, Search, Term, Tolerance, Window};
use crate::blocks::statistics::Moments;

choices! {
    /// What orders similar pixels.
    pub enum SimilarityOrder {
        /// Difference and distance.
        DifferenceAndDistance = "difference_and_distance": "Spectral difference times a factor that grows with the distance (the author's program)",
        /// Difference alone.
        Difference = "difference": "Spectral difference (the paper)",
    }
}

choices! {
    /// What similar pixels are weighted by.
    pub enum SimilarityWeight {
        /// Distance and difference.
        DistanceAndDifference = "distance_and_difference": "Inverse distance and inverse spectral difference (the author's program)",
        /// Distance alone.
        Distance = "distance": "Inverse distance (the paper)",
    }
}

/// Offset of the relative difference, so that a fine value of 0 does not divide: far below any value.
pub const SMALLEST_VALUE: f32 = 1e-12;
/// Added to the difference before the distance counts.
const ADDED_DIFFERENCE: f32 = 1e-5;

/// Difference that similar pixels are below in a band with these moments: twice its standard deviation, divided by a number of classes.
pub fn tolerance(moments: Moments, classes: f64) -> f32 {
    let deviation = (moments.squares / (moments.count.max(2) - 1) as f64).sqrt();
    (2.0 * deviation / classes) as f32
}

/// The order of similar pixels by difference and distance, in windows with `half` pixels on each side: `(difference + 1e-5) · (10 + d / w)`.
pub fn distance_law(half: usize) -> DistanceLaw {
    DistanceLaw {
        added: ADDED_DIFFERENCE,
        factors: Window::new(half).table(|distance| (10.0 + distance / half.max(1) as f64) as f32),
    }
}

/// Changes of the fine pixels of a padded tile.
#[derive(Debug)]
pub struct Changes {
    /// (band, row, col), `NaN` where there is none.
    values: Array3<f32>,
    /// `NaN` where no band has a change.
    usable: Array2<f32>,
}

impl Changes {
    /// From (band, row, col) of the padded tile, `NaN` where there is none.
    pub fn new(values: Array3<f32>) -> Self {
        let (_, rows, cols) = values.dim();
        let mut usable = Array2::from_elem((rows, cols), f32::NAN);
        for band in values.outer_iter() {
            usable.zip_mut_with(&band, |u, v| *u = if v.is_nan() { *u } else { 0.0 });
        }
        Changes { values, usable }
    }
}

/// How changes are averaged. See the [module](self).
#[derive(Debug)]
pub struct SimilarChanges {
    /// The cells.
    pub grid: CoarseGrid,
    /// The search for similar pixels.
    pub search: Search,
    /// Its law of the distance, if the distance orders them too.
    pub law: Option<DistanceLaw>,
    /// Whether differences are relative to the magnitude of the centre's value.
    pub relative: bool,
    /// Whether similar pixels have the class of the centre.
    pub same_class: bool,
    /// What they are weighted by.
    pub weight: SimilarityWeight,
    /// Distance, in fine pixels, at which the weight of the distance is one half.
    pub half_weight_px: f64,
    /// Smallest and largest possible value.
    pub range: (f64, f64),
    /// Pairs in use.
    pub pairs: usize,
    /// Rows and columns of the scene.
    pub scene: (usize, usize),
}

/// What is known of a pair beside the changes of a tile.
#[derive(Debug, Clone, Copy)]
pub struct PairFacts<'a> {
    /// Coarse value of the target minus that of the pair, (band, cell row, cell col); `NaN` where one is missing.
    pub coarse_changes: &'a Array3<f32>,
    /// Differences that similar pixels are below, band by band, if there are such limits.
    pub tolerances: Option<&'a [f32]>,
}

/// Working memory of [`SimilarChanges::predict`] and [`Changes`] for each pixel of a padded tile.
pub fn bytes_per_px(bands: usize) -> usize {
    // changes and factors; usable pixels, labels as planes, their rim and the counts of the support
    (2 * bands + 4) * size_of::<f32>()
}

/// The part `part` of the scene in the padded tile.
pub fn inside(tile: &TileIn<'_>, part: Region) -> Region {
    Region::new(part.row - tile.padded.row, part.col - tile.padded.col, part.rows, part.cols)
}

/// Smallest and largest possible value from the parameter `data_range`: two ascending numbers, or none for no limits.
///
/// # Errors
/// [`ErrorKind::Parameter`] naming what was given and the remedy.
pub fn data_range(given: &[f64]) -> Result<(f64, f64)> {
    match *given {
        [] => Ok((f64::NEG_INFINITY, f64::INFINITY)),
        [low, high] if low < high => Ok((low, high)),
        _ => {
            let given: Vec<String> = given.iter().map(f64::to_string).collect();
            Err(Error::new(
                ErrorKind::Parameter,
                format!("data_range is {:?}; expected the smallest and the largest value", given.join(" ")),
            )
            .with_hint("Give two ascending numbers, such as \"0 1\" for reflectance, or auto for no limits."))
        }
    }
}

/// Fine pixels around a tile that its prediction depends on: windows of similar pixels, and around their pixels whole cells whose
/// pixels look `inner_half` pixels further.
pub fn halo(half: usize, inner_half: usize, scale: usize) -> usize {
    half + inner_half + scale - 1
}

impl SimilarChanges {
    /// The cells that the changes of a tile are needed in: those under the windows of its pixels.
    pub fn cells_needed(&self, tile: &TileIn<'_>) -> Region {
        self.grid.cells_under(tile.region.grown(self.search.window().half(), self.scene.0, self.scene.1))
    }

    /// Weight of the distance at every position of the window.
    fn nearness(&self) -> Vec<f32> {
        self.search.window().table(|d| (1.0 / (1.0 + d / self.half_weight_px)) as f32)
    }

    /// Averages the changes over similar pixels and adds them to the fine image. `labels` covers the padded tile; `trouble(band, label, cell)`
    /// says why the change of a pixel leaves the rule.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`].
    pub fn predict(
        &self,
        facts: PairFacts<'_>,
        (tile, pair): (&TileIn<'_>, &PairTile<'_>),
        (changes, labels): (&Changes, ArrayView2<'_, u16>),
        trouble: impl Fn(usize, u16, (usize, usize)) -> Fallback,
        out: &mut TileOut<'_>,
        exec: &Exec<'_>,
    ) -> Result<()> {
        let (bands, _, cols) = pair.fine.dim();
        let half = self.search.window().half();
        let region = inside(tile, tile.region);
        let fine = pair.fine.to_slice().ok_or_else(|| Error::internal("a tile is not contiguous"))?;
        let pixels = fine.len() / bands;
        let class_plane: Vec<f32> = if self.same_class { labels.iter().map(|l| f32::from(*l)).collect() } else { Vec::new() };
        let valid_counts = out.support.is_some().then(|| valid_counts(&changes.usable, region, half, exec)).transpose()?;
        // predicts the pixel (row, col) of the padded tile from the mean changes of `count` similar pixels
        let finish = |(row, col): (usize, usize), count: usize, means: &[f32]| {
            let at = row * cols + col;
            let scene = (tile.padded.row + row, tile.padded.col + col);
            let cell = (scene.0 / self.grid.scale, scene.1 / self.grid.scale);
            let to = (row - region.row, col - region.col);
            let mut predicts = false;
            let mut fallback = if count == 0 { Fallback::FewSimilar } else { Fallback::None };
            for band in 0..bands {
                let (value, coarse_change) = (fine[band * pixels + at], facts.coarse_changes[(band, cell.0, cell.1)]);
                let own = changes.values[(band, row, col)];
                let change = if !means[band].is_nan() {
                    means[band]
                } else if !own.is_nan() {
                    own
                } else {
                    coarse_change
                };
                // a cell without coarse values is not predicted from its neighbours
                let mut predicted = if coarse_change.is_nan() { f32::NAN } else { value + change };
                if f64::from(predicted) < self.range.0 || f64::from(predicted) > self.range.1 {
                    predicted = (f64::from(value) + f64::from(coarse_change)).max(self.range.0).min(self.range.1) as f32;
                    fallback = fallback.max(Fallback::OutOfRange);
                }
                let predicted = if predicted.is_finite() { predicted } else { f32::NAN };
                out.image[(band, to.0, to.1)] = predicted;
                predicts |= !predicted.is_nan();
                fallback = fallback.max(trouble(band, labels[(row, col)], cell));
            }
            let Some(support) = &mut out.support else { return };
            let used = self.pairs as f32;
            let side = |i: usize, n: usize| (i + half + 1).min(n) - i.saturating_sub(half);
            let all = side(scene.0, self.scene.0) * side(scene.1, self.scene.1);
            let valid = valid_counts.as_ref().map_or(0, |counts| counts[to.0 * region.cols + to.1]);
            support.valid_fraction[to] += valid as f32 / all as f32 / used;
            if predicts {
                support.similar_pixels[to] += count as f32;
                fallback.mark(&mut support.fallback[to]);
            }
        };
        let images = Compared { fine, class_plane: &class_plane, tolerances: facts.tolerances, changes, region };
        self.average(images, exec, finish)
    }

    /// Calls `of` with every pixel of the region, the number of its similar pixels, and their mean change in every band.
    fn average(&self, images: Compared<'_>, exec: &Exec<'_>, mut of: impl FnMut((usize, usize), usize, &[f32])) -> Result<()> {
        let Compared { fine, class_plane, changes, region, .. } = images;
        let (bands, rows, cols) = changes.values.dim();
        let pixels = rows * cols;
        let factors: Vec<f32> =
            if self.relative { fine.iter().map(|v| 1.0 / (v.abs() + SMALLEST_VALUE)).collect() } else { Vec::new() };
        let mut compared: Vec<Plane<'_>> = (0..bands)
            .map(|band| Plane {
                values: &fine[band * pixels..(band + 1) * pixels],
                factor: self.relative.then(|| Term::PerPixel(&factors[band * pixels..(band + 1) * pixels])),
                tolerance: images.tolerances.map(|t| Tolerance::Below(Term::Constant(t[band]))),
            })
            .collect();
        if self.same_class {
            let only_own = Some(Tolerance::Below(Term::Constant(ONE_CLASS)));
            compared.push(Plane { values: class_plane, factor: Some(Term::Constant(0.0)), tolerance: only_own });
        }
        let usable = changes.usable.as_slice().unwrap_or_default();
        let planes = Planes { rows, cols, compared, required: vec![usable] };
        let change_planes: Vec<&[f32]> = changes.values.outer_iter().filter_map(|band| band.to_slice()).collect();

        let steps = self.search.window().steps(cols);
        let nearness = self.nearness();
        let weight = |sample: Sample| {
            let undone = |law: &DistanceLaw| sample.key() / law.factors[sample.position()] - law.added;
            let difference = self.law.as_ref().map_or(sample.key(), undone);
            nearness[sample.position()] * if self.by_difference() { 1.0 / (difference + 1.0) } else { 1.0 }
        };
        let mut means = vec![0.0f32; bands];
        self.search.each(&planes, region, exec.cancel, |chosen| {
            for (col, samples) in chosen.iter() {
                weighted_means(samples, chosen.row * cols + col, &steps, weight, &change_planes, &mut means);
                of((chosen.row, col), samples.len(), &means);
            }
        })
    }

    /// Whether the difference weighs too.
    fn by_difference(&self) -> bool {
        self.weight == SimilarityWeight::DistanceAndDifference
    }
}

/// Labels of one class differ by less than this.
const ONE_CLASS: f32 = 0.5;

/// Planes of a padded tile by which pixels are compared, and what is averaged.
#[derive(Clone, Copy)]
struct Compared<'a> {
    /// Fine values, (band, row, col).
    fine: &'a [f32],
    /// Labels, when similar pixels have the class of the centre.
    class_plane: &'a [f32],
    tolerances: Option<&'a [f32]>,
    changes: &'a Changes,
    /// Pixels to compute.
    region: Region,
}

/// Number of pixels in the window of each pixel of `region` that have a change.
fn valid_counts(usable: &Array2<f32>, region: Region, half: usize, exec: &Exec<'_>) -> Result<Vec<u32>> {
    let (rows, cols) = usable.dim();
    let mut rimmed = Array2::from_elem((region.rows + 2 * half, region.cols + 2 * half), f32::NAN);
    let given = region.grown(half, rows, cols);
    let (top, left) = (given.row + half - region.row, given.col + half - region.col);
    rimmed
        .slice_mut(s![top..top + given.rows, left..left + given.cols])
        .assign(&usable.slice(s![given.row..given.row + given.rows, given.col..given.col + given.cols]));
    let mut counts = vec![0; region.pixels()];
    let values = rimmed.as_slice().unwrap_or_default();
    let plane = RimmedPlane { values, rows: region.rows, cols: region.cols, half };
    box_sums::add_valid_counts(plane, &mut counts, exec.cancel)?;
    Ok(counts)
}
