//! Segments of similar neighbouring pixels (SLIC, simple linear iterative clustering; Achanta et al. 2012, IEEE TPAMI 34:2274-2282),
//! for scenes of any size.
//!
//! ```text
//! one centre for each square of side x side pixels, beginning with the square's mean and middle
//! some times:  every pixel joins the nearest centre among those of its own square and the eight around
//!              every centre moves to the mean of its pixels
//! distance² = Σ_bands ((f − centre) / (sd √bands))²  +  (compactness · pixels apart / side)²
//! ```
//! `sd` is the standard deviation of the band in the whole image, so neither the unit nor the number of bands matters. Of equally
//! near centres the one with the lower index is taken. Only the centres are held: the segment of a pixel follows from its values, its
//! position and the centres, so every tile finds it again. The squares are anchored at the scene's corner.
//!
//! Edges: a pixel with an invalid band belongs to no segment; a band that is constant does not count. Segments may have several
//! parts and may be empty: what other implementations do to prevent that needs the whole label image.

use ndarray::{s, Array2, ArrayView3};
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Exec, Region, Result};

use super::coarse_grid::CoarseGrid;
use super::objects::NO_OBJECT;
use super::passes::{self, BLOCK_PX, WAVE};
use super::statistics;

/// How an image is cut into segments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slic {
    /// Side of the squares, in fine pixels: the side of an average segment.
    pub side: usize,
    /// Weight of the distance in space; the larger, the squarer the segments.
    pub compactness: f64,
    /// Number of times that pixels are assigned and centres moved.
    pub iterations: usize,
}

/// The centres of the segments of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Segments {
    /// The squares.
    squares: CoarseGrid,
    /// Factor of the differences of each band.
    factors: Vec<f32>,
    /// Factor of the squared distance in space.
    distance_factor: f32,
    /// Of each centre: values of all bands, row and column from its square's corner. A square without a valid pixel has `NaN`.
    centres: Vec<f32>,
}

impl Slic {
    /// Number of segments of a scene of `rows` x `cols` pixels.
    pub fn segments(&self, rows: usize, cols: usize) -> usize {
        CoarseGrid::new(rows, cols, self.side).cells()
    }

    /// Bytes that finding segments takes for each of them.
    pub fn bytes_per_segment(bands: usize) -> usize {
        (bands + 2) * 4 + (bands + 3) * 8
    }

    /// The segments of an image of a scene.
    ///
    /// # Errors
    /// Those of reading, and [`stfusion_core::ErrorKind::Cancelled`].
    pub fn segments_of(&self, scene: &dyn Scene, layer: Layer, exec: &Exec<'_>) -> Result<Segments> {
        let info = scene.info();
        let squares = CoarseGrid::new(info.rows, info.cols, self.side);
        let moments = statistics::moments(scene, &[layer], exec)?;
        let bands = info.bands_of(layer);
        let factor = |sd: f64| if sd > 0.0 { (1.0 / (sd * (bands as f64).sqrt())) as f32 } else { 0.0 };
        let means = squares.images(scene, &[layer], f64::MIN_POSITIVE, exec)?.swap_remove(0);
        let mut centres = Vec::with_capacity(squares.cells() * (bands + 2));
        for row in 0..squares.rows {
            for col in 0..squares.cols {
                let square = squares.fine_region(row, col);
                centres.extend(means.slice(s![.., row, col]));
                centres.extend([(square.rows - 1) as f32 / 2.0, (square.cols - 1) as f32 / 2.0]);
            }
        }
        let mut segments = Segments {
            squares,
            factors: moments[0].iter().map(|m| factor(m.standard_deviation())).collect(),
            distance_factor: (self.compactness / self.side as f64).powi(2) as f32,
            centres,
        };
        let blocks = Region::whole(info.rows, info.cols).blocks(BLOCK_PX, BLOCK_PX);
        for _ in 0..self.iterations {
            let mut sums = vec![0.0f64; squares.cells() * (bands + 3)];
            for wave in blocks.chunks(WAVE) {
                let parts =
                    passes::map_blocks(scene, wave, &[layer], exec, |block, images| Ok(segments.sums(images[0].view(), block)))?;
                for (reach, part) in parts {
                    segments.add(&mut sums, reach, &part);
                }
            }
            segments.move_centres(&sums);
        }
        Ok(segments)
    }
}

impl Segments {
    /// Number of segments, those without a pixel included.
    pub fn count(&self) -> usize {
        self.squares.cells()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.centres[..])
    }

    /// The squares that have a centre each.
    pub fn squares(&self) -> &CoarseGrid {
        &self.squares
    }

    /// Of each centre: values of all bands, row and column from its square's corner.
    pub fn centres(&self) -> &[f32] {
        &self.centres
    }

    /// Factor of the differences of each band, and of the squared distance in space.
    pub fn factors(&self) -> (&[f32], f32) {
        (&self.factors, self.distance_factor)
    }

    /// The segment of every pixel of `region`, whose values are in `image` (band, row, col); [`NO_OBJECT`] without one.
    pub fn labels(&self, image: ArrayView3<'_, f32>, region: Region) -> Array2<u32> {
        let side = self.squares.scale;
        let bands = self.factors.len();
        let mut labels = Array2::from_elem((region.rows, region.cols), NO_OBJECT);
        let mut distances = vec![0.0f32; side];
        let mut nearest = vec![0.0f32; side];
        let mut chosen = vec![NO_OBJECT; side];
        let image = image.as_standard_layout();
        let pixels = region.rows * region.cols;
        let values = image.as_slice().unwrap_or_default();
        for (row, mut line) in labels.outer_iter_mut().enumerate() {
            let mut col = 0;
            while col < region.cols {
                // the pixels of one square in this row have the same centres to choose from
                let square = ((region.row + row) / side, (region.col + col) / side);
                let length = ((square.1 + 1) * side - region.col).min(region.cols) - col;
                let (distances, nearest) = (&mut distances[..length], &mut nearest[..length]);
                let chosen = &mut chosen[..length];
                nearest.fill(f32::INFINITY);
                chosen.fill(NO_OBJECT);
                let around = self.squares.window(square.0, square.1, 1);
                for centre_row in around.row..around.row + around.rows {
                    for centre_col in around.col..around.col + around.cols {
                        let label = centre_row * self.squares.cols + centre_col;
                        let centre = &self.centres[label * (bands + 2)..][..bands + 2];
                        let down = ((region.row + row) as i64 - (centre_row * side) as i64) as f32 - centre[bands];
                        let first = (region.col + col) as i64 - (centre_col * side) as i64;
                        for (i, distance) in distances.iter_mut().enumerate() {
                            let right = (first + i as i64) as i32 as f32 - centre[bands + 1];
                            *distance = (down * down + right * right) * self.distance_factor;
                        }
                        for (band, (&value, &factor)) in centre.iter().zip(&self.factors).enumerate() {
                            let values = &values[band * pixels + row * region.cols + col..][..length];
                            for (distance, &pixel) in distances.iter_mut().zip(values) {
                                let d = (pixel - value) * factor;
                                *distance += d * d;
                            }
                        }
                        for ((chosen, near), &distance) in chosen.iter_mut().zip(nearest.iter_mut()).zip(distances.iter()) {
                            let nearer = distance < *near;
                            *near = if nearer { distance } else { *near };
                            *chosen = if nearer { label as u32 } else { *chosen };
                        }
                    }
                }
                line.slice_mut(s![col..col + length]).iter_mut().zip(&*chosen).for_each(|(to, label)| *to = *label);
                col += length;
            }
        }
        labels
    }

    /// Of the centres that pixels of `block` may join (a region of squares): sums of the values, rows and columns of their pixels
    /// there, and number of those.
    fn sums(&self, image: ArrayView3<'_, f32>, block: Region) -> (Region, Vec<f64>) {
        let bands = self.factors.len();
        let reach = self.squares.cells_under(block).grown(1, self.squares.rows, self.squares.cols);
        let mut sums = vec![0.0f64; reach.pixels() * (bands + 3)];
        for ((row, col), &label) in self.labels(image, block).indexed_iter() {
            if label == NO_OBJECT {
                continue;
            }
            let (of_row, of_col) = (label as usize / self.squares.cols, label as usize % self.squares.cols);
            let place = (of_row - reach.row) * reach.cols + of_col - reach.col;
            let sum = &mut sums[place * (bands + 3)..][..bands + 3];
            for (band, sum) in sum[..bands].iter_mut().enumerate() {
                *sum += f64::from(image[(band, row, col)]);
            }
            sum[bands] += (block.row + row) as f64 - (of_row * self.squares.scale) as f64;
            sum[bands + 1] += (block.col + col) as f64 - (of_col * self.squares.scale) as f64;
            sum[bands + 2] += 1.0;
        }
        (reach, sums)
    }

    /// Adds the sums of the centres of `reach` to those of all centres.
    fn add(&self, sums: &mut [f64], reach: Region, part: &[f64]) {
        let width = self.factors.len() + 3;
        for (row, line) in part.chunks_exact(reach.cols * width).enumerate() {
            let first = ((reach.row + row) * self.squares.cols + reach.col) * width;
            for (sum, more) in sums[first..].iter_mut().zip(line) {
                *sum += more;
            }
        }
    }

    /// Moves every centre that has pixels to their mean.
    fn move_centres(&mut self, sums: &[f64]) {
        let width = self.factors.len() + 2;
        for (centre, sum) in self.centres.chunks_exact_mut(width).zip(sums.chunks_exact(width + 1)) {
            let count = sum[width];
            if count > 0.0 {
                for (value, sum) in centre.iter_mut().zip(sum) {
                    *value = (sum / count) as f32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Problem;
    use ndarray::Array3;
    use proptest::prelude::*;
    use stfusion_core::Cancel;

    fn segments(problem: &Problem, slic: Slic) -> Segments {
        let cancel = Cancel::new();
        slic.segments_of(&problem.scene().unwrap(), Layer::Fine(0), &Exec::quiet(&cancel)).unwrap()
    }

    fn whole(problem: &Problem) -> Region {
        Region::whole(problem.dim().1, problem.dim().2)
    }

    /// The segments by the words of the module, over all centres, in `f64`: label and distance of every pixel, and the second
    /// smallest distance.
    fn literal(image: &Array3<f32>, slic: Slic) -> Vec<Option<(usize, f64, f64)>> {
        let (bands, rows, cols) = image.dim();
        let (down, across) = (rows.div_ceil(slic.side), cols.div_ceil(slic.side));
        let pixel = |r: usize, c: usize| -> Vec<f64> { (0..bands).map(|b| f64::from(image[(b, r, c)])).collect() };
        let valid = |r: usize, c: usize| pixel(r, c).iter().all(|v| !v.is_nan());
        let mut deviations = Vec::new();
        for band in image.outer_iter() {
            let values: Vec<f64> = band.iter().filter(|v| !v.is_nan()).map(|&v| f64::from(v)).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            deviations.push((values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt());
        }
        let mut centres: Vec<Option<(Vec<f64>, f64, f64)>> = Vec::new();
        for i in 0..down * across {
            let (r0, c0) = (i / across * slic.side, i % across * slic.side);
            let (r1, c1) = ((r0 + slic.side).min(rows), (c0 + slic.side).min(cols));
            let mean = |b: usize| {
                let values: Vec<f64> =
                    (r0..r1).flat_map(|r| (c0..c1).map(move |c| f64::from(image[(b, r, c)]))).filter(|v| !v.is_nan()).collect();
                (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
            };
            let values: Option<Vec<f64>> = (0..bands).map(mean).collect();
            centres.push(values.map(|v| (v, (r0 + r1 - 1) as f64 / 2.0, (c0 + c1 - 1) as f64 / 2.0)));
        }
        let assign = |centres: &[Option<(Vec<f64>, f64, f64)>]| -> Vec<Option<(usize, f64, f64)>> {
            let of_pixel = |r: usize, c: usize| {
                let mut all: Vec<(f64, usize)> = Vec::new();
                for (i, centre) in centres.iter().enumerate() {
                    let near = (i / across).abs_diff(r / slic.side) <= 1 && (i % across).abs_diff(c / slic.side) <= 1;
                    if let Some((values, row, col)) = centre.as_ref().filter(|_| near) {
                        let spectral: f64 = (0..bands)
                            .filter(|&b| deviations[b] > 0.0)
                            .map(|b| ((pixel(r, c)[b] - values[b]) / deviations[b]).powi(2))
                            .sum();
                        let space = (r as f64 - row).powi(2) + (c as f64 - col).powi(2);
                        all.push((spectral / bands as f64 + space * (slic.compactness / slic.side as f64).powi(2), i));
                    }
                }
                all.sort_by(|a, b| a.partial_cmp(b).unwrap());
                (all[0].1, all[0].0, all.get(1).map_or(f64::INFINITY, |a| a.0))
            };
            (0..rows * cols).map(|i| (i / cols, i % cols)).map(|(r, c)| valid(r, c).then(|| of_pixel(r, c))).collect()
        };
        for _ in 0..slic.iterations {
            let labels = assign(&centres);
            for (i, centre) in centres.iter_mut().enumerate() {
                let members: Vec<(usize, usize)> =
                    (0..rows * cols).filter(|&p| labels[p].is_some_and(|l| l.0 == i)).map(|p| (p / cols, p % cols)).collect();
                let mean =
                    |of: &dyn Fn(usize, usize) -> f64| members.iter().map(|&(r, c)| of(r, c)).sum::<f64>() / members.len() as f64;
                if !members.is_empty() {
                    let values = (0..bands).map(|b| mean(&|r, c| f64::from(image[(b, r, c)]))).collect();
                    *centre = Some((values, mean(&|r, _| r as f64), mean(&|_, c| c as f64)));
                }
            }
        }
        assign(&centres)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn every_pixel_is_in_the_segment_of_the_literal_definition(
            seed in 0u32..10_000, rows in 1usize..24, cols in 1usize..24, side in 2usize..8, compactness in 0.05f64..2.0,
            iterations in 0usize..4, gaps in prop_oneof![Just(0.0f32), 0.0f32..0.6],
        ) {
            let problem = Problem::fields(2, rows, cols, 4, &[-16], seed).with_gaps(gaps, seed);
            let slic = Slic { side, compactness, iterations };
            let labels = segments(&problem, slic).labels(problem.pairs[0].fine.view(), whole(&problem));
            let expected = literal(&problem.pairs[0].fine, slic);
            // pixels between two centres may fall to either in single precision, and what they join moves
            let sure = expected.iter().flatten().all(|(_, nearest, second)| second - nearest > 1e-4);
            for (label, expected) in labels.iter().zip(&expected) {
                prop_assert_eq!(*label == NO_OBJECT, expected.is_none());
                if sure || iterations == 0 {
                    if let Some((i, nearest, second)) = expected {
                        prop_assert!(*label as usize == *i || second - nearest < 1e-4, "{} and {}", label, i);
                    }
                }
            }
        }

        #[test]
        fn a_part_of_the_image_has_the_labels_of_the_whole(seed in 0u32..1000, row in 0usize..20, col in 0usize..30) {
            let problem = Problem::fields(2, 25, 37, 4, &[-16], seed).with_gaps(0.1, seed);
            let segments = segments(&problem, Slic { side: 6, compactness: 0.4, iterations: 2 });
            let fine = &problem.pairs[0].fine;
            let all = segments.labels(fine.view(), whole(&problem));
            let part = segments.labels(fine.slice(s![.., row..row + 5, col..col + 7]), Region::new(row, col, 5, 7));
            prop_assert_eq!(part, all.slice(s![row..row + 5, col..col + 7]));
        }
    }

    #[test]
    fn segments_follow_edges_and_centres_their_pixels() {
        // an edge at column 7, inside the second square of four
        let mut problem = Problem::fields(1, 8, 16, 4, &[-16], 1);
        problem.pairs[0].fine = Array3::from_shape_fn((1, 8, 16), |(_, _, c)| if c < 7 { 0.1 } else { 0.4 });
        let segments = segments(&problem, Slic { side: 4, compactness: 0.2, iterations: 5 });
        let labels = segments.labels(problem.pairs[0].fine.view(), whole(&problem));
        for row in labels.outer_iter() {
            assert!(row.slice(s![..7]).iter().all(|l| !row.slice(s![7..]).iter().any(|m| m == l)), "{row}");
        }
        assert_eq!(segments.count(), 8);
    }

    #[test]
    fn a_constant_image_has_square_segments_and_gaps_have_none() {
        let mut problem = Problem::fields(2, 9, 10, 3, &[-16], 1);
        problem.pairs[0].fine.fill(0.25);
        problem.pairs[0].fine[(1, 4, 4)] = f32::NAN;
        let labels = segments(&problem, Slic { side: 5, compactness: 0.3, iterations: 3 })
            .labels(problem.pairs[0].fine.view(), whole(&problem));
        for ((r, c), &label) in labels.indexed_iter() {
            assert_eq!(label, if (r, c) == (4, 4) { NO_OBJECT } else { (r / 5 * 2 + c / 5) as u32 }, "{r} {c}");
        }
    }
}
