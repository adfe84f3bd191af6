//! Changes of objects from those of coarse pixels (steps 2 to 4): class changes by unmixing in windows, averaged over each object.

use ndarray::Array3;
use rayon::prelude::*;
use stfusion_core::method::Fallback;
use stfusion_core::{Exec, Result};

use super::contents::Contents;
use crate::blocks::border::Border;
use crate::blocks::bounded_least_squares::BoundedLeastSquares;
use crate::blocks::classes::NO_CLASS;
use crate::blocks::coarse_grid::CoarseGrid;

/// Rows of coarse pixels that are solved before their results are added up.
const ROWS_AT_ONCE: usize = 64;

/// A number for each band of each object.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectValues {
    bands: usize,
    values: Vec<f64>,
}

impl ObjectValues {
    /// The same value for all.
    pub fn new(objects: usize, bands: usize, value: f64) -> Self {
        ObjectValues { bands, values: vec![value; objects * bands] }
    }

    /// The values of all objects, band by band of each.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The values of one object.
    pub fn of(&self, object: u32) -> &[f64] {
        &self.values[object as usize * self.bands..][..self.bands]
    }

    /// The place of the values of one object.
    pub fn of_mut(&mut self, object: u32) -> &mut [f64] {
        &mut self.values[object as usize * self.bands..][..self.bands]
    }

    /// Adds the values of another one.
    pub fn add(&mut self, other: &ObjectValues) {
        self.values.iter_mut().zip(&other.values).for_each(|(value, more)| *value += more);
    }

    /// Every value divided by that of `counts`, or `otherwise` where that is 0.
    #[must_use]
    pub fn over(mut self, counts: &ObjectValues, otherwise: f64) -> ObjectValues {
        for (value, count) in self.values.iter_mut().zip(&counts.values) {
            *value = if *count == 0.0 { otherwise } else { *value / count };
        }
        self
    }
}

/// Shares of the classes of every coarse pixel among its pixels that have one, ascending by class.
#[derive(Debug)]
struct Shares {
    starts: Vec<usize>,
    shares: Vec<(u16, f64)>,
}

impl Shares {
    fn of(contents: &Contents) -> Shares {
        let mut shares = Shares { starts: vec![0], shares: Vec::new() };
        let mut counts: Vec<(u16, f64)> = Vec::new();
        for cell in 0..contents.cells() {
            counts.clear();
            let classes = contents.of_cell(cell).iter().map(|part| (contents.class_of[part.object as usize], part.pixels));
            for (class, pixels) in classes.filter(|(class, _)| *class != NO_CLASS) {
                match counts.binary_search_by_key(&class, |(c, _)| *c) {
                    Ok(place) => counts[place].1 += f64::from(pixels),
                    Err(place) => counts.insert(place, (class, f64::from(pixels))),
                }
            }
            let all: f64 = counts.iter().map(|(_, pixels)| pixels).sum();
            shares.shares.extend(counts.iter().map(|(class, pixels)| (*class, pixels / all)));
            shares.starts.push(shares.shares.len());
        }
        shares
    }

    fn of_cell(&self, cell: usize) -> &[(u16, f64)] {
        &self.shares[self.starts[cell]..self.starts[cell + 1]]
    }
}

/// Unmixing of the change of coarse pixels.
#[derive(Debug)]
pub struct Unmixing<'a> {
    grid: &'a CoarseGrid,
    contents: &'a Contents,
    /// (band, cell row, cell col); `NaN` is invalid.
    change: &'a Array3<f64>,
    /// Half the window, in coarse pixels.
    half: usize,
    border: Border,
    shares: Shares,
    /// Smallest and largest change of each band.
    limits: Vec<(f64, f64)>,
}

/// Changes of the classes of one coarse pixel.
struct ClassChanges {
    /// Classes of the coarse pixel.
    classes: Vec<u16>,
    /// Change of each class in each band; `NaN` when nothing is known.
    changes: Vec<f64>,
    fallback: Fallback,
}

impl<'a> Unmixing<'a> {
    /// Of `change` (band, cell row, cell col; `NaN` is invalid) in windows of `window` x `window` coarse pixels.
    pub fn new(grid: &'a CoarseGrid, contents: &'a Contents, change: &'a Array3<f64>, window: usize, border: Border) -> Self {
        let limits = change.outer_iter().map(|band| {
            let valid = band.iter().filter(|v| !v.is_nan());
            valid.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
        });
        let limits = limits.collect();
        Unmixing { grid, contents, change, half: window / 2, border, shares: Shares::of(contents), limits }
    }

    /// The change of every object, `NaN` where nothing is known of it, and why it leaves the rule.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Cancelled`].
    pub fn object_changes(&self, exec: &Exec<'_>) -> Result<(ObjectValues, Vec<Fallback>)> {
        let (bands, objects) = (self.limits.len(), self.contents.class_of.len());
        let mut sums = ObjectValues::new(objects, bands, 0.0);
        let mut pixels = ObjectValues::new(objects, bands, 0.0);
        let mut fallbacks = vec![Fallback::None; objects];
        for first in (0..self.grid.rows).step_by(ROWS_AT_ONCE) {
            let rows = first..(first + ROWS_AT_ONCE).min(self.grid.rows);
            let solved: Vec<Vec<ClassChanges>> =
                rows.clone().into_par_iter().map(|row| self.row(row, exec)).collect::<Result<_>>()?;
            for (cell, found) in (first * self.grid.cols..).zip(solved.iter().flatten()) {
                for part in self.contents.of_cell(cell) {
                    let class = self.contents.class_of[part.object as usize];
                    let Ok(place) = found.classes.binary_search(&class) else { continue };
                    let (sum, count) = (sums.of_mut(part.object), pixels.of_mut(part.object));
                    for band in 0..bands {
                        let change = found.changes[place * bands + band];
                        if !change.is_nan() {
                            sum[band] += f64::from(part.pixels) * change;
                            count[band] += f64::from(part.pixels);
                        }
                    }
                    let fallback = &mut fallbacks[part.object as usize];
                    *fallback = (*fallback).max(found.fallback);
                }
            }
        }
        Ok((sums.over(&pixels, f64::NAN), fallbacks))
    }

    fn row(&self, row: usize, exec: &Exec<'_>) -> Result<Vec<ClassChanges>> {
        let mut solver = Solver::new(1, 1);
        (0..self.grid.cols)
            .map(|col| {
                exec.cancel.check()?;
                Ok(self.cell(row, col, &mut solver))
            })
            .collect()
    }

    /// The cells of the window around one, in order; with reflection some come twice.
    fn window(&self, row: usize, col: usize) -> Vec<usize> {
        let along = |centre: usize, count: usize| {
            let places = self.border.places(centre as i64 - self.half as i64, 2 * self.half + 1, count);
            places.collect::<Vec<_>>()
        };
        let cols = along(col, self.grid.cols);
        along(row, self.grid.rows).into_iter().flat_map(|r| cols.iter().map(move |c| r * self.grid.cols + c)).collect()
    }

    fn valid(&self, band: usize, cell: usize) -> bool {
        !self.change[(band, cell / self.grid.cols, cell % self.grid.cols)].is_nan()
    }

    fn cell(&self, row: usize, col: usize, solver: &mut Solver) -> ClassChanges {
        let bands = self.limits.len();
        let classes: Vec<u16> = self.shares.of_cell(row * self.grid.cols + col).iter().map(|(class, _)| *class).collect();
        let mut found = ClassChanges { changes: vec![f64::NAN; classes.len() * bands], classes, fallback: Fallback::None };
        if found.classes.is_empty() {
            return found;
        }
        let mut window = self.window(row, col);
        window.retain(|&cell| !self.shares.of_cell(cell).is_empty());
        let mut unknowns: Vec<u16> = window.iter().flat_map(|&cell| self.shares.of_cell(cell)).map(|(class, _)| *class).collect();
        unknowns.sort_unstable();
        unknowns.dedup();
        // bands that are valid in the same coarse pixels share their equations
        let mut open: Vec<usize> = (0..bands).collect();
        while let Some(&first) = open.first() {
            let alike = |band: &usize| window.iter().all(|&cell| self.valid(*band, cell) == self.valid(first, cell));
            let (now, later): (Vec<usize>, Vec<usize>) = open.into_iter().partition(alike);
            let usable: Vec<usize> = window.iter().copied().filter(|&cell| self.valid(first, cell)).collect();
            self.solve(&now, &usable, &unknowns, solver, &mut found);
            open = later;
        }
        found
    }

    /// Solves for the class changes of some bands from the coarse pixels `usable`, which have shares of the classes `unknowns`.
    fn solve(&self, bands: &[usize], usable: &[usize], unknowns: &[u16], solver: &mut Solver, found: &mut ClassChanges) {
        let (n, all_bands) = (unknowns.len(), self.limits.len());
        if usable.len() < n {
            found.fallback = found.fallback.max(Fallback::FewCoarse);
        }
        if usable.is_empty() {
            return;
        }
        if (solver.unknowns, solver.sides) != (n, bands.len()) {
            *solver = Solver::new(n, bands.len());
        }
        let Solver { system, coefficients, values, .. } = solver;
        system.clear();
        let mut means = vec![0.0; bands.len()];
        for &cell in usable {
            coefficients.fill(0.0);
            for (class, share) in self.shares.of_cell(cell) {
                if let Ok(place) = unknowns.binary_search(class) {
                    coefficients[place] = *share;
                }
            }
            for ((value, mean), &band) in values.iter_mut().zip(&mut means).zip(bands) {
                *value = self.change[(band, cell / self.grid.cols, cell % self.grid.cols)];
                *mean += *value / usable.len() as f64;
            }
            system.add(coefficients, values, 1.0);
        }
        system.finish(0.0);
        let places: Vec<usize> = found.classes.iter().filter_map(|class| unknowns.binary_search(class).ok()).collect();
        if places.iter().any(|&place| system.undetermined()[place]) {
            found.fallback = found.fallback.max(if usable.len() < n { Fallback::FewCoarse } else { Fallback::Singular });
        }
        let mut solution = vec![0.0; n];
        for (side, &band) in bands.iter().enumerate() {
            let (low, high) = self.limits[band];
            system.solve(side, &vec![low; n], &vec![high; n], &vec![means[side]; n], &mut solution);
            for (class, &place) in places.iter().enumerate() {
                found.changes[class * all_bands + band] = solution[place];
            }
        }
    }
}

/// Equations that are used again while their size is the same.
struct Solver {
    unknowns: usize,
    sides: usize,
    system: BoundedLeastSquares,
    coefficients: Vec<f64>,
    values: Vec<f64>,
}

impl Solver {
    fn new(unknowns: usize, sides: usize) -> Self {
        let system = BoundedLeastSquares::new(unknowns, sides);
        Solver { unknowns, sides, system, coefficients: vec![0.0; unknowns], values: vec![0.0; sides] }
    }
}
