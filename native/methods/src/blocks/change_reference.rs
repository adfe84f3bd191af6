//! What the references of FSDAF, SFSDAF and IFSDAF share, literally and in `f64`; only tests call it. Equation numbers are those of
//! Zhu et al. (2016).
//!
//! The filling of missing cells comes from the blocks. The order of similar pixels is decided in `f32`, as the search defines it.

use ndarray::{s, Array2, Array3};
use stfusion_core::{Cancel, Result};

use super::coarse_grid::CoarseGrid;
use super::linear_system::Lu;
use super::residual_weights::ResidualWeights;
use super::similar_changes::{SimilarityOrder, SimilarityWeight, SMALLEST_VALUE};
use super::spatial_prediction::SpatialPrediction;
use super::thin_plate::ThinPlate;

/// A prediction with its support.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The prediction, (band, row, col).
    pub image: Array3<f64>,
    /// Number of similar pixels over the pairs that predict a band.
    pub similar_pixels: Array2<f64>,
    /// Pixels with a change over pixels of the window inside the scene, over all pairs.
    pub valid_fraction: Array2<f64>,
    /// The change of every cell, (band, cell row, cell col).
    pub coarse_changes: Array3<f64>,
}

/// Mean of the values that are not `NaN`, which it is without any.
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.filter(|v| !v.is_nan()).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample standard deviation.
pub fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values.iter().copied());
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len().max(2) - 1) as f64).sqrt()
}

/// Means of an image over cells.
pub fn cell_means(grid: &CoarseGrid, image: &Array3<f32>) -> Array3<f64> {
    Array3::from_shape_fn((image.dim().0, grid.rows, grid.cols), |(b, r, c)| {
        let p = grid.fine_region(r, c);
        mean(image.slice(s![b, p.row..p.row + p.rows, p.col..p.col + p.cols]).iter().map(|v| f64::from(*v)))
    })
}

/// Eq. 10 to 13: the exact spline through all cells at the fine pixel (row, col); the centre of a cell is that of a whole one.
fn thin_plate(grid: &CoarseGrid, values: &[f64]) -> impl Fn(usize, usize) -> f64 {
    let (rows, cols, scale) = (grid.rows, grid.cols, grid.scale as f64);
    let nodes: Vec<(f64, f64)> = (0..rows * cols).map(|i| ((i / cols) as f64, (i % cols) as f64)).collect();
    let kernel = |a: (f64, f64), b: (f64, f64)| {
        let r2 = (a.0 - b.0).powi(2) + (a.1 - b.1).powi(2);
        if r2 > 0.0 {
            r2 * r2.ln()
        } else {
            0.0
        }
    };
    // a slope across a single row or column of nodes is 0
    let plane = move |p: (f64, f64)| [1.0, if rows > 1 { p.0 } else { 0.0 }, if cols > 1 { p.1 } else { 0.0 }];
    let n = nodes.len();
    let mut matrix = vec![0.0; (n + 3) * (n + 3)];
    let mut solution = values.to_vec();
    solution.extend([0.0; 3]);
    for (i, p) in nodes.iter().enumerate() {
        for (j, q) in nodes.iter().enumerate() {
            matrix[j * (n + 3) + i] = kernel(*p, *q);
        }
        for (t, term) in plane(*p).into_iter().enumerate() {
            matrix[(n + t) * (n + 3) + i] = term;
            matrix[i * (n + 3) + n + t] = term;
        }
    }
    for (t, there) in [true, rows > 1, cols > 1].into_iter().enumerate() {
        if !there {
            matrix[(n + t) * (n + 3) + n + t] = 1.0;
        }
    }
    let solved = Lu::new(matrix, n + 3).map(|lu| lu.solve(&mut solution)).is_some();
    let first = values[0];
    move |row, col| {
        let at = ((row as f64 + 0.5) / scale - 0.5, (col as f64 + 0.5) / scale - 0.5);
        let plane: f64 = plane(at).iter().zip(&solution[n..]).map(|(t, a)| t * a).sum();
        if solved {
            plane + nodes.iter().zip(&solution).map(|(p, b)| b * kernel(at, *p)).sum::<f64>()
        } else {
            first
        }
    }
}

/// Mean of the cells within two cells of a fine pixel, weighted with 1 / d².
fn inverse_distance(grid: &CoarseGrid, values: &[f64], row: usize, col: usize) -> f64 {
    // in half fine pixels, whole numbers
    let apart = |fine: usize, cell: usize| ((2 * fine + 1) as f64 - ((2 * cell + 1) * grid.scale) as f64).powi(2);
    let (mut sum, mut total) = (0.0, 0.0);
    for (i, value) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
        let d2 = apart(row, i / grid.cols) + apart(col, i % grid.cols);
        if d2 == 0.0 {
            return *value;
        }
        if d2 <= (4.0 * grid.scale as f64).powi(2) {
            sum += value / d2;
            total += 1.0 / d2;
        }
    }
    sum / total
}

/// How a coarse image (band, cell row, cell col) is brought to fine pixels: the value of (band, row, col).
pub fn spatial_prediction<'a>(
    kind: SpatialPrediction,
    grid: &'a CoarseGrid,
    image: &'a Array3<f64>,
) -> Result<impl Fn(usize, usize, usize) -> f64 + 'a> {
    let cancel = Cancel::new();
    let mut bands: Vec<Box<dyn Fn(usize, usize) -> f64 + 'a>> = Vec::new();
    for band in image.outer_iter() {
        let nodes: Vec<f64> = band.iter().copied().collect();
        let single: Vec<f32> = nodes.iter().map(|v| *v as f32).collect();
        let filled = ThinPlate::new(grid.rows, grid.cols, 1).filled(&single, &cancel)?.unwrap_or(single);
        let filled: Vec<f64> = nodes.iter().zip(filled).map(|(v, f)| if v.is_nan() { f64::from(f) } else { *v }).collect();
        bands.push(match kind {
            SpatialPrediction::ThinPlate => Box::new(thin_plate(grid, &filled)),
            SpatialPrediction::InverseDistance => Box::new(move |row, col| inverse_distance(grid, &nodes, row, col)),
            SpatialPrediction::Cubic => Box::new(move |row, col| cubic(grid, &filled, row, col)),
        });
    }
    Ok(move |band: usize, row, col| bands[band](row, col))
}

/// Cubic convolution (Keys 1981, a = -1/2) with the border repeated.
fn cubic(grid: &CoarseGrid, values: &[f64], row: usize, col: usize) -> f64 {
    let weight = |fine: usize, cell: i64| {
        let d = ((fine as f64 + 0.5) / grid.scale as f64 - 0.5 - cell as f64).abs();
        match d {
            d if d < 1.0 => 1.5 * d.powi(3) - 2.5 * d.powi(2) + 1.0,
            d if d < 2.0 => -0.5 * d.powi(3) + 2.5 * d.powi(2) - 4.0 * d + 2.0,
            _ => 0.0,
        }
    };
    let mut sum = 0.0;
    for r in -2..grid.rows as i64 + 2 {
        for c in -2..grid.cols as i64 + 2 {
            let at = |i: i64, n: usize| i.clamp(0, n as i64 - 1) as usize;
            sum += weight(row, r) * weight(col, c) * values[at(r, grid.rows) * grid.cols + at(c, grid.cols)];
        }
    }
    sum
}

/// Pixels within `half` of (row, col).
pub fn window((rows, cols): (usize, usize), row: usize, col: usize, half: usize) -> impl Iterator<Item = (usize, usize)> {
    let near = move |i: usize, n: usize| i.saturating_sub(half)..(i + half + 1).min(n);
    near(row, rows).flat_map(move |y| near(col, cols).map(move |x| (y, x)))
}

/// Eq. 16, over the pixels that have one of `classes` classes; (row, col) has one.
pub fn homogeneity(labels: &Array2<u16>, classes: usize, half: usize, row: usize, col: usize) -> f64 {
    let near: Vec<u16> =
        window(labels.dim(), row, col, half).map(|at| labels[at]).filter(|l| usize::from(*l) < classes).collect();
    near.iter().filter(|l| **l == labels[(row, col)]).count() as f64 / near.len() as f64
}

/// Eq. 14, 15, 17, 18: weights with mean 1 of pixels whose (F_SP − F_TP, HI) are given.
pub fn residual_weights(rule: &ResidualWeights, residual: f64, pixels: &[(f64, f64)]) -> Vec<f64> {
    let weight = |&(e, hi): &(f64, f64)| {
        let against = rule.sign_rule && (residual <= 0.0 && e > 0.0 || residual > 0.0 && e < 0.0);
        let e = if against { 0.0 } else { e.abs() };
        e * hi + residual.abs() * (1.0 - hi) + 1e-8 * residual.abs() + f64::MIN_POSITIVE
    };
    let weights: Vec<f64> = pixels.iter().map(weight).collect();
    let m = mean(weights.iter().copied());
    let capped: Vec<f64> = weights.iter().map(|v| if *v / m > rule.cap { 1.0 } else { *v / m }).collect();
    let m = mean(capped.iter().copied());
    capped.iter().map(|v| v / m).collect()
}

/// How changes are averaged over similar pixels.
#[derive(Debug, Clone)]
pub struct Averaging {
    /// Half the window.
    pub half: usize,
    /// Number of similar pixels.
    pub most: usize,
    /// Whether differences are relative.
    pub relative: bool,
    /// Largest differences, band by band.
    pub tolerance: Vec<f32>,
    /// Whether similar pixels have the class of the centre.
    pub same_class: bool,
    /// What orders them.
    pub order: SimilarityOrder,
    /// What weights them.
    pub weight: SimilarityWeight,
    /// Distance at which the weight of the distance is one half.
    pub half_weight: f64,
    /// Smallest and largest possible value.
    pub range: (f64, f64),
}

impl Averaging {
    /// Eq. 21 to 24: the prediction from the changes of fine pixels and of cells, (band, row, col).
    pub fn prediction(
        &self,
        fine: &Array3<f32>,
        labels: &Array2<u16>,
        change: &Array3<f64>,
        (grid, delta_c): (&CoarseGrid, &Array3<f64>),
    ) -> Outcome {
        let (bands, rows, cols) = fine.dim();
        let (low, high) = self.range;
        let usable = |r: usize, c: usize| (0..bands).any(|b| !change[(b, r, c)].is_nan());
        let mut outcome = Outcome {
            image: Array3::from_elem((bands, rows, cols), f64::NAN),
            similar_pixels: Array2::zeros((rows, cols)),
            valid_fraction: Array2::zeros((rows, cols)),
            coarse_changes: delta_c.clone(),
        };
        for r in 0..rows {
            for c in 0..cols {
                let all: Vec<(usize, usize)> = window((rows, cols), r, c, self.half).collect();
                let used = all.iter().filter(|(y, x)| usable(*y, *x)).count();
                outcome.valid_fraction[(r, c)] = used as f64 / all.len() as f64;
                // Eq. 21: candidates with their keys
                let mut similar: Vec<(f32, usize, usize, usize, f64)> = Vec::new();
                for (y, x) in all {
                    let d = |b: usize| (fine[(b, y, x)] - fine[(b, r, c)]).abs();
                    let near = (0..bands).all(|b| d(b) < self.tolerance[b]);
                    if !near || !usable(y, x) || self.same_class && labels[(y, x)] != labels[(r, c)] {
                        continue;
                    }
                    let mut key = 0.0f32;
                    for b in 0..bands {
                        key += d(b) * if self.relative { 1.0 / (fine[(b, r, c)].abs() + SMALLEST_VALUE) } else { 1.0 };
                    }
                    let squared = y.abs_diff(r).pow(2) + x.abs_diff(c).pow(2);
                    let distance = (squared as f64).sqrt();
                    let difference = f64::from(key);
                    if self.order == SimilarityOrder::DifferenceAndDistance {
                        key = (key + 1e-5) * (10.0 + distance / self.half.max(1) as f64) as f32;
                    }
                    // Eq. 22, 23
                    let weight = match self.weight {
                        SimilarityWeight::Distance => 1.0 / (1.0 + distance / self.half_weight),
                        SimilarityWeight::DistanceAndDifference => {
                            1.0 / ((1.0 + distance / self.half_weight) * (difference + 1.0))
                        }
                    };
                    similar.push((key, squared, y, x, weight));
                }
                similar.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
                similar.truncate(self.most);
                for b in 0..bands {
                    let coarse_change = delta_c[(b, r / grid.scale, c / grid.scale)];
                    if coarse_change.is_nan() {
                        continue;
                    }
                    // Eq. 24
                    let valid = || similar.iter().filter(|(_, _, y, x, _)| !change[(b, *y, *x)].is_nan());
                    let total: f64 = valid().map(|s| s.4).sum();
                    let mean = valid().map(|s| s.4 * change[(b, s.2, s.3)]).sum::<f64>() / total;
                    let own = if change[(b, r, c)].is_nan() { coarse_change } else { change[(b, r, c)] };
                    let before = f64::from(fine[(b, r, c)]);
                    let value = before + if total > 0.0 { mean } else { own };
                    let outside = value < low || value > high;
                    if !value.is_nan() {
                        outcome.similar_pixels[(r, c)] = similar.len() as f64;
                    }
                    outcome.image[(b, r, c)] = if outside { (before + coarse_change).max(low).min(high) } else { value };
                }
            }
        }
        outcome
    }
}

/// The outcomes of several pairs combined: each weighted with 1 / mean |C_p − C_k| over the cells within `radius`.
pub fn combined(grid: &CoarseGrid, outcomes: &[Outcome], radius: usize) -> Outcome {
    let mut whole = outcomes[0].clone();
    let count = outcomes.len() as f64;
    whole.similar_pixels = outcomes.iter().fold(whole.similar_pixels * 0.0, |sum, o| sum + &o.similar_pixels);
    whole.valid_fraction = outcomes.iter().fold(whole.valid_fraction * 0.0, |sum, o| sum + &o.valid_fraction / count);
    if outcomes.len() > 1 {
        let weights = outcomes.iter().map(|outcome| {
            let change = &outcome.coarse_changes;
            Array3::from_shape_fn(change.dim(), |(b, r, c)| {
                let near = grid.window(r, c, radius);
                let part = change.slice(s![b, near.row..near.row + near.rows, near.col..near.col + near.cols]);
                1.0 / mean(part.iter().map(|v| v.abs())).max(1e-30)
            })
        });
        let weights: Vec<Array3<f64>> = weights.collect();
        for (at, value) in whole.image.indexed_iter_mut() {
            let cell = (at.0, at.1 / grid.scale, at.2 / grid.scale);
            let valid = || outcomes.iter().zip(&weights).filter(|(o, _)| !o.image[at].is_nan());
            let total: f64 = valid().map(|(_, w)| w[cell]).sum();
            *value = valid().map(|(o, w)| w[cell] * o.image[at]).sum::<f64>() / total;
        }
    }
    whole
}
