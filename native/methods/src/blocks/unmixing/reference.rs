//! Pieces of the literal references of this family, in `f64`; only tests call them.

use ndarray::{Array2, Array3, ArrayView2};

use super::mixtures::LEAST_VALID;
use crate::blocks::border::Border;
use crate::blocks::bounded_least_squares::SMALLEST_RIDGE;
use crate::blocks::linear_system::Lu;
use crate::cases::Problem;

/// Coarse pixels of a problem, by (row, col).
pub struct Cells {
    /// Fine pixels per side.
    pub scale: usize,
    /// Rows of cells.
    pub rows: i64,
    /// Columns of cells.
    pub cols: i64,
}

/// A cell.
pub type Cell = (i64, i64);

/// An equation: shares of the classes, and the coarse value.
pub type Equation = (Vec<f64>, f64);

impl Cells {
    /// Of a problem with a known scale.
    pub fn new(problem: &Problem, scale: usize) -> Cells {
        let (_, rows, cols) = problem.dim();
        Cells { scale, rows: rows.div_ceil(scale) as i64, cols: cols.div_ceil(scale) as i64 }
    }

    /// Values of a fine-grid image in a cell.
    fn values<T: Copy>(&self, image: ArrayView2<'_, T>, cell: Cell) -> Vec<T> {
        let (r0, c0) = (cell.0 as usize * self.scale, cell.1 as usize * self.scale);
        let inside = |start: usize, length: usize| start..(start + self.scale).min(length);
        let mut values = Vec::new();
        for r in inside(r0, image.dim().0) {
            values.extend(inside(c0, image.dim().1).map(|c| image[(r, c)]));
        }
        values
    }

    /// Mean of the valid values of a cell, `NaN` where fewer than half are valid.
    pub fn mean(&self, image: ArrayView2<'_, f32>, cell: Cell) -> f64 {
        let values = self.values(image, cell);
        let valid: Vec<f64> = values.iter().filter(|v| !v.is_nan()).map(|v| f64::from(*v)).collect();
        if !valid.is_empty() && valid.len() as f64 >= LEAST_VALID * values.len() as f64 {
            valid.iter().sum::<f64>() / valid.len() as f64
        } else {
            f64::NAN
        }
    }

    /// Pixels of the classes in a cell; `None` where fewer than half of scale² pixels have one.
    pub fn counts(&self, labels: &Array2<u16>, classes: usize, cell: Cell) -> Option<Vec<f64>> {
        let labels: Vec<u16> = self.values(labels.view(), cell).into_iter().filter(|l| usize::from(*l) < classes).collect();
        let count = |class: usize| labels.iter().filter(|l| usize::from(**l) == class).count() as f64;
        let enough = labels.len() as f64 >= LEAST_VALID * (self.scale * self.scale) as f64;
        enough.then(|| (0..classes).map(count).collect())
    }

    /// Shares of the classes in a cell, as [`Cells::counts`].
    pub fn shares(&self, labels: &Array2<u16>, classes: usize, cell: Cell) -> Option<Vec<f64>> {
        self.counts(labels, classes, cell).map(shares_of)
    }

    /// Cells within `radius`, and those of them that are inside the scene once each.
    fn around(&self, (row, col): Cell, radius: i64, border: Border) -> (Vec<Cell>, Vec<Cell>) {
        let offsets = || (-radius..=radius).flat_map(|y| (-radius..=radius).map(move |x| (y, x)));
        let inside = |(r, c): &Cell| (0..self.rows).contains(r) && (0..self.cols).contains(c);
        let own: Vec<Cell> = offsets().map(|(y, x)| (row + y, col + x)).filter(inside).collect();
        if border == Border::Clip {
            return (own.clone(), own);
        }
        // 0 1 2 1 0 1 2 … on both sides
        let mirrored = |mut at: i64, length: i64| {
            while length > 1 && !(0..length).contains(&at) {
                at = if at < 0 { -at } else { 2 * (length - 1) - at };
            }
            if length > 1 {
                at
            } else {
                0
            }
        };
        (offsets().map(|(y, x)| (mirrored(row + y, self.rows), mirrored(col + x, self.cols))).collect(), own)
    }

    /// Valid cells of the window around a cell, grown while fewer than `least` are valid, up to `largest` radius.
    pub fn window(
        &self,
        cell: Cell,
        (radius, largest): (i64, i64),
        border: Border,
        least: usize,
        valid: impl Fn(Cell) -> bool,
    ) -> Vec<Cell> {
        let mut radius = radius;
        loop {
            let (all, own) = self.around(cell, radius, border);
            let enough = own.iter().filter(|&&c| valid(c)).count() >= least;
            if enough || radius >= largest || own.len() as i64 == self.rows * self.cols {
                return all.into_iter().filter(|&c| valid(c)).collect();
            }
            radius += 1;
        }
    }

    /// The cell of a fine pixel.
    pub fn of_pixel(&self, row: usize, col: usize) -> Cell {
        ((row / self.scale) as i64, (col / self.scale) as i64)
    }

    /// All cells.
    pub fn all(&self) -> impl Iterator<Item = Cell> + '_ {
        (0..self.rows).flat_map(|r| (0..self.cols).map(move |c| (r, c)))
    }
}

/// Counts over their sum.
pub fn shares_of(counts: Vec<f64>) -> Vec<f64> {
    let total: f64 = counts.iter().sum();
    counts.into_iter().map(|count| count / total).collect()
}

/// Twice the radius that would hold `least` cells without gaps, plus one: where growing ends.
pub fn largest_radius(radius: i64, least: usize) -> i64 {
    let enough = (radius..).find(|r| ((2 * r + 1) * (2 * r + 1)) as usize >= least).unwrap_or(radius);
    2 * enough + 1
}

/// For each class the others, those with the largest cosine between the class means first; with one band the nearest first.
pub fn similar(fine: &Array3<f32>, labels: &Array2<u16>, classes: usize) -> Vec<Vec<usize>> {
    let mean = |class: usize, band: usize| {
        let plane = fine.index_axis(ndarray::Axis(0), band);
        let own = labels.iter().zip(plane).filter(|(l, v)| usize::from(**l) == class && !v.is_nan());
        let values: Vec<f64> = own.map(|(_, v)| f64::from(*v)).collect();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    };
    let bands = fine.dim().0;
    let means: Vec<Vec<f64>> = (0..classes).map(|c| (0..bands).map(|b| mean(c, b)).collect()).collect();
    let dot = |a: usize, b: usize| means[a].iter().zip(&means[b]).map(|(x, y)| x * y).sum::<f64>();
    let unlike = |a: usize, b: usize| {
        if bands == 1 {
            (means[a][0] - means[b][0]).abs()
        } else {
            -dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
        }
    };
    (0..classes)
        .map(|class| {
            let mut others: Vec<usize> = (0..classes).filter(|c| *c != class).collect();
            others.sort_by(|a, b| unlike(class, *a).total_cmp(&unlike(class, *b)));
            others
        })
        .collect()
}

/// Equations in which the shares of classes that are not `kept` are those of the most similar kept class, and the class that
/// each class became.
pub fn joined(equations: &[Equation], kept: &[bool], similar: &[Vec<usize>]) -> (Vec<Equation>, Vec<usize>) {
    let to: Vec<usize> = (0..kept.len())
        .map(|class| if kept[class] { class } else { similar[class].iter().copied().find(|c| kept[*c]).unwrap_or(class) })
        .collect();
    let moved = |shares: &[f64]| {
        let mut sums = vec![0.0; shares.len()];
        shares.iter().zip(&to).for_each(|(share, class)| sums[*class] += share);
        sums
    };
    (equations.iter().map(|(shares, value)| (moved(shares), *value)).collect(), to)
}

/// argmin Σ_i (C_i − Σ_c f_ic m_c)² within bounds, by trying every way to fix unknowns at a bound; what the equations leave open is
/// as near to `prior` as they admit, by a ridge of [`SMALLEST_RIDGE`].
pub fn bounded_minimum(equations: &[Equation], (lower, upper): (f64, f64), prior: f64) -> Vec<f64> {
    let n = equations.first().map_or(0, |(shares, _)| shares.len());
    let product = |c: usize, d: usize| equations.iter().map(|(f, _)| f[c] * f[d]).sum::<f64>();
    let ridge = SMALLEST_RIDGE * (0..n).fold(0.0f64, |m, c| m.max(product(c, c)));
    // unknowns are counted from the prior, so that the cost of what is open does not drown in that of the rest
    let rest = |f: &[f64], value: f64, x: &[f64]| value - prior * f.iter().sum::<f64>() - dot(f, x);
    let cost = |x: &[f64]| equations.iter().map(|(f, v)| rest(f, *v, x).powi(2)).sum::<f64>() + ridge * dot(x, x);
    let mut best = (f64::INFINITY, vec![0.0; n]);
    for code in 0..3usize.pow(n as u32) {
        let place = |c: usize| code / 3usize.pow(c as u32) % 3;
        let mut x: Vec<f64> = (0..n).map(|c| [0.0, lower - prior, upper - prior][place(c)]).collect();
        let free: Vec<usize> = (0..n).filter(|c| place(*c) == 0).collect();
        if x.iter().any(|v| v.is_infinite()) {
            continue;
        }
        let matrix = free.iter().flat_map(|&d| free.iter().map(move |&c| (c, d)));
        let matrix: Vec<f64> = matrix.map(|(c, d)| product(c, d) + if c == d { ridge } else { 0.0 }).collect();
        let mut right: Vec<f64> = free.iter().map(|&c| equations.iter().map(|(f, v)| f[c] * rest(f, *v, &x)).sum()).collect();
        if !free.is_empty() {
            let Some(system) = Lu::new(matrix, free.len()) else { continue };
            system.solve(&mut right);
            free.iter().zip(right).for_each(|(&c, value)| x[c] = value);
        }
        let inside = x.iter().all(|v| lower - prior - 1e-7 <= *v && *v <= upper - prior + 1e-7);
        if inside && cost(&x) < best.0 {
            best = (cost(&x), x);
        }
    }
    best.1.into_iter().map(|v| v + prior).collect()
}

/// Σ a b.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// The change of every fine pixel's class in its cell (cell by cell, class by class), or of its coarse value where there is none, added
/// to the fine value.
pub fn changed(
    cells: &Cells,
    problem: &Problem,
    (k, band): (usize, usize),
    map: &Array2<u16>,
    change: &[Vec<f64>],
) -> Array2<f64> {
    let pair = &problem.pairs[k];
    Array2::from_shape_fn(map.dim(), |(row, col)| {
        let at = (band, row, col);
        let cell = cells.of_pixel(row, col);
        let own = change[(cell.0 * cells.cols + cell.1) as usize].get(usize::from(map[(row, col)])).copied();
        let of_cell = f64::from(problem.target[at]) - f64::from(pair.coarse[at]);
        f64::from(pair.fine[at]) + own.filter(|own| !own.is_nan() && !of_cell.is_nan()).unwrap_or(of_cell)
    })
}

/// Predictions (pair, band) of the pairs combined by date: the nearest valid one on or before the day and the one after it,
/// weighted by the inverse of their days; one of the day itself alone.
pub fn by_date(problem: &Problem, predicted: impl Fn(usize, usize) -> Array2<f64>) -> Array3<f64> {
    let mut image = Array3::from_elem(problem.dim(), f64::NAN);
    for (band, mut plane) in image.outer_iter_mut().enumerate() {
        let predicted: Vec<Array2<f64>> = (0..problem.pairs.len()).map(|k| predicted(k, band)).collect();
        plane.indexed_iter_mut().for_each(|(at, v)| *v = at_date(problem, &predicted.iter().map(|p| p[at]).collect::<Vec<_>>()));
    }
    image
}

fn at_date(problem: &Problem, predicted: &[f64]) -> f64 {
    let mut dated: Vec<(f64, f64)> = problem
        .pairs
        .iter()
        .zip(predicted)
        .filter(|(_, v)| !v.is_nan())
        .map(|(p, v)| (f64::from(p.gap_days.unwrap_or(0)), *v))
        .collect();
    dated.sort_by(|a, b| a.0.total_cmp(&b.0));
    dated.dedup_by(|later, kept| later.0 == kept.0);
    let before = dated.iter().rev().find(|v| v.0 <= 0.0);
    let after = dated.iter().find(|v| v.0 > 0.0);
    match (before, after) {
        (Some(&(0.0, value)), _) => value,
        (Some(&(a, va)), Some(&(b, vb))) => (va / -a + vb / b) / (1.0 / -a + 1.0 / b),
        (Some(&(_, value)), None) | (None, Some(&(_, value))) => value,
        (None, None) => f64::NAN,
    }
}
