//! The patches to learn from: the best of all patches of the scene, found in one pass whose memory does not grow with it.
//!
//! Patches are ranked by score, then by place; of patches with the same coarse values only the best counts. Both are total
//! orders over the scene, so it does not matter in which order the blocks are read, and each block passes on only what can
//! still be among the best.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use ndarray::{Array3, Axis};
use rayon::prelude::*;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Exec, Region, Result};

use super::dictionary::{Samples, Scales};
use super::differences::Sides;
use super::patches::{self, fill_gaps};

/// How patches are chosen.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// Side of a patch.
    pub patch: usize,
    /// Grid along rows and columns.
    pub grid: (patches::Axis, patches::Axis),
    /// Number of patches wanted in each band.
    pub wanted: usize,
    /// Largest part of a patch that may be invalid.
    pub max_invalid: f64,
    /// Draws at random with this seed instead of ranking by contrast.
    pub seed: Option<u64>,
}

/// Rank of a patch: higher scores first, then the place in the grid, row by row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rank {
    score: f64,
    place: u64,
}

impl Eq for Rank {}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.place.cmp(&other.place))
    }
}

/// A patch with its rank; values are normalised.
struct Candidate {
    rank: Rank,
    fine: Vec<f64>,
    coarse: Vec<f64>,
}

/// The best patches so far.
struct Best {
    wanted: usize,
    /// Rank, and the bits of the coarse values by which it is found in `kept`.
    ranks: BTreeSet<(Rank, Vec<u64>)>,
    kept: HashMap<Vec<u64>, Candidate>,
}

impl Best {
    fn new(wanted: usize) -> Self {
        Best { wanted, ranks: BTreeSet::new(), kept: HashMap::new() }
    }

    /// Whether a patch of this rank could be among the best.
    fn admits(&self, rank: Rank) -> bool {
        self.ranks.len() < self.wanted || self.ranks.last().is_some_and(|(worst, _)| rank < *worst)
    }

    fn offer(&mut self, candidate: Candidate) {
        if !self.admits(candidate.rank) {
            return;
        }
        let key: Vec<u64> = candidate.coarse.iter().map(|v| v.to_bits()).collect();
        if let Some(twin) = self.kept.get(&key) {
            if twin.rank < candidate.rank {
                return;
            }
            self.ranks.remove(&(twin.rank, key.clone()));
        } else if self.ranks.len() >= self.wanted {
            if let Some((_, worst)) = self.ranks.pop_last() {
                self.kept.remove(&worst);
            }
        }
        self.ranks.insert((candidate.rank, key.clone()));
        self.kept.insert(key, candidate);
    }

    fn into_candidates(mut self) -> Vec<Candidate> {
        self.ranks.iter().filter_map(|(_, key)| self.kept.remove(key)).collect()
    }
}

/// Rows and columns of patches in a block.
const BLOCK: usize = 64;

/// The best patches of every band; none in bands without `scales`.
///
/// # Errors
/// Those of reading, and [`stfusion_core::ErrorKind::Cancelled`].
pub fn choose(
    scene: &dyn Scene,
    sides: Sides,
    choice: &Choice,
    scales: &[Option<Scales>],
    exec: &Exec<'_>,
) -> Result<Vec<Samples>> {
    let blocks = Region::whole(choice.grid.0.count, choice.grid.1.count).blocks(BLOCK, BLOCK);
    let mut best: Vec<Best> = scales.iter().map(|_| Best::new(choice.wanted)).collect();
    for group in blocks.chunks(2 * rayon::current_num_threads()) {
        let parts: Vec<Vec<Vec<Candidate>>> =
            group.par_iter().map(|&block| of_block(scene, sides, choice, scales, &best, block, exec)).collect::<Result<_>>()?;
        for part in parts {
            for (best, candidates) in best.iter_mut().zip(part) {
                candidates.into_iter().for_each(|c| best.offer(c));
            }
        }
    }
    let pixels = choice.patch * choice.patch;
    Ok(best
        .into_iter()
        .map(|best| {
            let mut samples = Samples { pixels, ..Samples::default() };
            for candidate in best.into_candidates() {
                samples.fine.extend(candidate.fine);
                samples.coarse.extend(candidate.coarse);
            }
            samples
        })
        .collect())
}

/// Candidates of every band among the patches of a block of the grid.
fn of_block(
    scene: &dyn Scene,
    sides: Sides,
    choice: &Choice,
    scales: &[Option<Scales>],
    best: &[Best],
    block: Region,
    exec: &Exec<'_>,
) -> Result<Vec<Vec<Candidate>>> {
    exec.cancel.check()?;
    let (rows, cols) = choice.grid;
    let span = |axis: patches::Axis, first: usize, count: usize| {
        let (begin, end) = (axis.inside(first).start, axis.inside(first + count - 1).end);
        (begin, end - begin)
    };
    let ((row, height), (col, width)) = (span(rows, block.row, block.rows), span(cols, block.col, block.cols));
    let region = Region::new(row, col, height, width);
    let layers = [Layer::Fine(sides.before), Layer::Coarse(sides.before), Layer::Fine(sides.after), Layer::Coarse(sides.after)];
    let mut images = Vec::with_capacity(layers.len());
    for layer in layers {
        exec.cancel.check()?;
        let mut image = Array3::zeros((scales.len(), height, width));
        scene.read(layer, region, image.view_mut())?;
        images.push(image);
    }
    let n = choice.patch * choice.patch;
    let (mut fine, mut coarse) = (vec![0.0; n], vec![0.0; n]);
    let mut all = Vec::with_capacity(scales.len());
    for (band, scale) in scales.iter().enumerate() {
        let mut best_of_block = Best::new(choice.wanted);
        let [f1, c1, f3, c3] = [0, 1, 2, 3].map(|i| images[i].index_axis(Axis(0), band));
        let Some(scale) = scale else {
            all.push(Vec::new());
            continue;
        };
        for i in block.row..block.row + block.rows {
            exec.cancel.check()?;
            for j in block.col..block.col + block.cols {
                let at = (rows.start(i), cols.start(j));
                patches::difference((&f1, &f3), (row, col), at, choice.patch, &mut fine);
                patches::difference((&c1, &c3), (row, col), at, choice.patch, &mut coarse);
                let invalid = fine.iter().zip(&coarse).filter(|(f, c)| f.is_nan() || c.is_nan()).count();
                if invalid as f64 > choice.max_invalid * n as f64 {
                    continue;
                }
                let place = (i * cols.count + j) as u64;
                let score = match choice.seed {
                    Some(seed) => random(seed, place),
                    None => deviation(&fine) / scale.fine + deviation(&coarse) / scale.coarse,
                };
                let rank = Rank { score, place };
                if !best[band].admits(rank) || !best_of_block.admits(rank) {
                    continue;
                }
                let normalised = |values: &[f64], scale: f64| {
                    let mut values: Vec<f64> = values.iter().map(|v| v / scale).collect();
                    fill_gaps(&mut values);
                    values
                };
                best_of_block.offer(Candidate {
                    rank,
                    fine: normalised(&fine, scale.fine),
                    coarse: normalised(&coarse, scale.coarse),
                });
            }
        }
        all.push(best_of_block.into_candidates());
    }
    Ok(all)
}

/// Standard deviation of the values that are not `NaN`.
fn deviation(values: &[f64]) -> f64 {
    let valid = || values.iter().filter(|v| !v.is_nan());
    let count = valid().count().max(1) as f64;
    let mean = valid().sum::<f64>() / count;
    (valid().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count).sqrt()
}

/// A number in 0..1 that a place and a seed determine (the finaliser of a 64-bit hash).
pub fn random(seed: u64, place: u64) -> f64 {
    let mut h = place ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for _ in 0..2 {
        h = (h ^ (h >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    ((h ^ (h >> 32)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use stfusion_core::Cancel;

    use super::*;
    use crate::cases::Problem;

    const SIDES: Sides = Sides { before: 0, after: 1 };

    fn chosen(problem: &Problem, choice: &Choice) -> Samples {
        let scene = problem.scene().unwrap();
        let scales = [Some(Scales { fine: 2.0, coarse: 4.0 })];
        choose(&scene, SIDES, choice, &scales, &Exec::quiet(&Cancel::new())).unwrap().remove(0)
    }

    fn choice(problem: &Problem, wanted: usize, seed: Option<u64>) -> Choice {
        let (_, rows, cols) = problem.dim();
        Choice {
            patch: 2,
            grid: (patches::Axis::new(rows, 2, 1), patches::Axis::new(cols, 2, 1)),
            wanted,
            max_invalid: 0.0,
            seed,
        }
    }

    /// Scores of the chosen patches, in their order.
    fn scores(samples: &Samples) -> Vec<f64> {
        let of = |i: usize| deviation(&samples.fine[4 * i..4 * i + 4]) + deviation(&samples.coarse[4 * i..4 * i + 4]);
        (0..samples.count()).map(of).collect()
    }

    #[test]
    fn a_few_of_a_scene_of_many_blocks_are_the_first_of_all() {
        // two blocks along the rows and three along the columns
        let problem = Problem::fields(1, 90, 150, 1, &[-16, 24], 3);
        let all = chosen(&problem, &choice(&problem, 100_000, None));
        let scores = scores(&all);
        assert!(scores.windows(2).all(|w| w[0] >= w[1] - 1e-12), "not sorted");
        let few = chosen(&problem, &choice(&problem, 37, None));
        assert_eq!(few.coarse, all.coarse[..4 * 37]);
        assert_eq!(few.fine, all.fine[..4 * 37]);
    }

    #[test]
    fn patches_with_the_same_coarse_values_count_once() {
        let mut problem = Problem::fields(1, 20, 30, 1, &[-16, 24], 3);
        problem.pairs[0].coarse.fill(0.0);
        problem.pairs[1].coarse.indexed_iter_mut().for_each(|((_, r, c), v)| *v = ((r * 3 + c) % 4) as f32);
        let samples = chosen(&problem, &choice(&problem, 1000, None));
        assert_eq!(samples.count(), 4);
        // of those with the same coarse values the one with the largest contrast
        let mut largest = [0.0f64; 4];
        let (a, b) = (&problem.pairs[0].fine, &problem.pairs[1].fine);
        for r in 0..19 {
            for c in 0..29 {
                let patch: Vec<f64> = [(0, 0), (0, 1), (1, 0), (1, 1)]
                    .iter()
                    .map(|(i, j)| f64::from(b[(0, r + i, c + j)]) - f64::from(a[(0, r + i, c + j)]))
                    .collect();
                let kind = (r * 3 + c) % 4;
                largest[kind] = largest[kind].max(deviation(&patch) / 2.0);
            }
        }
        let mut found: Vec<f64> = (0..4).map(|i| deviation(&samples.fine[4 * i..4 * i + 4])).collect();
        found.sort_by(f64::total_cmp);
        largest.sort_by(f64::total_cmp);
        assert!(found.iter().zip(largest).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {largest:?}");
    }

    #[test]
    fn random_patches_repeat_with_the_seed_and_change_with_it() {
        let problem = Problem::fields(1, 40, 40, 1, &[-16, 24], 3);
        let with = |seed| chosen(&problem, &choice(&problem, 20, Some(seed)));
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
    }

    #[test]
    fn invalid_patches_are_left_out() {
        let mut problem = Problem::fields(1, 12, 12, 1, &[-16, 24], 3);
        problem.pairs[0].fine.slice_mut(ndarray::s![.., .., ..6]).fill(f32::NAN);
        let samples = chosen(&problem, &choice(&problem, 1000, None));
        assert_eq!(samples.count(), 11 * 5);
        assert!(samples.fine.iter().all(|v| v.is_finite()));
    }
}
