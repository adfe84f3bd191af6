//! Class values of every coarse pixel, from the mixtures in the window around it.
//!
//! ```text
//! for every coarse pixel j and side (band, and day where two days are asked for):
//!     window = valid cells around j, grown while they are fewer than least_cells
//!     class c of the window is kept if its largest share there is at least least_share; the others join the most similar kept class
//!     minimise Σ_i (C_i − Σ_c f_ic m_c)² + r Σ_c w_c (m_c − p_c)²     within the bounds
//! ```
//! With [`Prior::Centre`] `r` is as good as 0 and `p` the coarse value of the central cell: it decides only what the equations
//! leave open, so the solution is unique with any number of equations. With [`Prior::Purest`] it is the Gaussian prior of STRUM.

use ndarray::Array3;
use rayon::prelude::*;
use stfusion_core::method::Fallback;
use stfusion_core::{Exec, Region, Result};

use super::mixtures::Mixtures;
use super::windows::{append_cells, largest_radius};
use crate::blocks::border::Border;
use crate::blocks::bounded_least_squares::BoundedLeastSquares;

/// What class values are drawn to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prior {
    /// The coarse value of the central cell (the mean of the window where it has none), where the equations leave a class open.
    Centre,
    /// The coarse value of the window's cell with the largest share of the class.
    Purest {
        /// `r`, the squared ratio of the standard deviations of coarse values and prior.
        ridge: f64,
        /// Whether `w_c` is that largest share, instead of 1.
        by_purity: bool,
    },
}

/// What is asked of every window. See the [module](self).
#[derive(Debug, Clone)]
pub struct Question {
    /// Shares of the classes.
    pub mixtures: Mixtures,
    /// Coarse values, (side, cell row, cell col); `NaN` is invalid.
    pub sides: Array3<f64>,
    /// Whether the second half of the sides minus the first half is the answer.
    pub change: bool,
    /// Radius of the window in cells.
    pub radius: usize,
    /// What the window does at the border.
    pub border: Border,
    /// Number of valid cells that a window should have.
    pub least_cells: usize,
    /// Largest share in the window below which a class joins another.
    pub least_share: f64,
    /// Lower and upper bound of every side.
    pub bounds: Vec<(f64, f64)>,
    /// What class values are drawn to.
    pub prior: Prior,
}

/// The answer for every cell.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassValues {
    classes: usize,
    cells: usize,
    /// Band by band, cell by cell, class by class; `NaN` where there is none.
    values: Vec<f32>,
    /// Cell by cell, class by class: number of the [`Fallback`], the largest over the bands.
    marks: Vec<u8>,
    /// As `marks`: valid cells of the window with a share of the class, in the band that has fewest.
    holders: Vec<u16>,
    /// Cell by cell: valid part of the window, mean over the bands.
    valid: Vec<f32>,
}

/// Bytes of [`ClassValues`], and of what is held beside it while it is computed, per cell.
pub fn bytes_per_cell(classes: usize, bands: usize, sides: usize) -> usize {
    let kept = classes * (4 * bands + 3) + 4;
    let meanwhile = (4 + 8) * classes + (8 + 2 * 4) * sides + kept;
    kept + meanwhile
}

impl ClassValues {
    /// Values of one band, cell by cell, class by class.
    pub fn of_band(&self, band: usize) -> &[f32] {
        &self.values[band * self.cells * self.classes..(band + 1) * self.cells * self.classes]
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Values, band by band, cell by cell, class by class.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Numbers of the fallbacks, cell by cell, class by class.
    pub fn marks(&self) -> &[u8] {
        &self.marks
    }

    /// Cells that hold a class, cell by cell, class by class.
    pub fn all_holders(&self) -> &[u16] {
        &self.holders
    }

    /// Valid parts of the windows, cell by cell.
    pub fn valid_parts(&self) -> &[f32] {
        &self.valid
    }

    /// Number of the fallback of a class in a cell.
    pub fn mark(&self, cell: usize, class: usize) -> u8 {
        self.marks[cell * self.classes + class]
    }

    /// Valid cells of the window of a cell that have a share of a class.
    pub fn holders(&self, cell: usize, class: usize) -> u16 {
        self.holders[cell * self.classes + class]
    }

    /// Valid part of the window of a cell.
    pub fn valid(&self, cell: usize) -> f32 {
        self.valid[cell]
    }
}

impl Question {
    /// Solves every window.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Cancelled`].
    pub fn answer(&self, exec: &Exec<'_>) -> Result<ClassValues> {
        let (grid, classes) = (self.mixtures.grid, self.mixtures.classes);
        let bands = self.bands();
        let groups = self.groups();
        let shares = self.mixtures.shares();
        let rows = (0..grid.rows)
            .into_par_iter()
            .map(|row| {
                let mut line = Line::new(grid.cols, classes, bands);
                let mut solvers: Vec<Solver<'_>> = groups.iter().map(|group| Solver::new(self, &shares, group)).collect();
                for col in 0..grid.cols {
                    exec.cancel.check()?;
                    for solver in &mut solvers {
                        solver.solve(row, col, &mut line);
                    }
                }
                Ok(line)
            })
            .collect::<Result<Vec<Line>>>()?;
        let mut all = ClassValues {
            classes,
            cells: grid.cells(),
            values: Vec::new(),
            marks: Vec::new(),
            holders: Vec::new(),
            valid: Vec::new(),
        };
        let width = grid.cols * classes;
        for band in 0..bands {
            rows.iter().for_each(|line| all.values.extend(&line.values[band * width..(band + 1) * width]));
        }
        for line in rows {
            all.marks.extend(line.marks);
            all.holders.extend(line.holders);
            all.valid.extend(line.valid);
        }
        Ok(all)
    }

    fn bands(&self) -> usize {
        self.sides.dim().0 / if self.change { 2 } else { 1 }
    }

    /// The bands, those that are valid in the same cells together: they share the matrix.
    fn groups(&self) -> Vec<Group> {
        let grid = self.mixtures.grid;
        let at = |cell: usize| (cell / grid.cols, cell % grid.cols);
        let mut groups: Vec<Group> = Vec::new();
        for band in 0..self.bands() {
            let planes: Vec<usize> = (band..self.sides.dim().0).step_by(self.bands()).collect();
            let missing = |cell: usize| planes.iter().any(|&p| self.sides[(p, at(cell).0, at(cell).1)].is_nan());
            let valid: Vec<bool> = (0..grid.cells()).map(|cell| self.mixtures.is_known(cell) && !missing(cell)).collect();
            match groups.iter_mut().find(|group| group.valid == valid) {
                Some(group) => group.bands.push(band),
                None => groups.push(Group { bands: vec![band], planes: Vec::new(), valid, known: Vec::new() }),
            }
        }
        for group in &mut groups {
            let days = self.sides.dim().0 / self.bands();
            group.planes = (0..days).flat_map(|day| group.bands.iter().map(move |band| day * self.bands() + band)).collect();
            for cell in 0..grid.cells() {
                group.known.extend(group.planes.iter().map(|&p| self.sides[(p, at(cell).0, at(cell).1)]));
            }
        }
        groups
    }
}

/// Bands that are valid in the same cells.
struct Group {
    bands: Vec<usize>,
    /// Their sides: all bands of one day, then of the other.
    planes: Vec<usize>,
    valid: Vec<bool>,
    /// Coarse values of the sides, cell by cell.
    known: Vec<f64>,
}

impl Group {
    fn values(&self, cell: usize) -> &[f64] {
        &self.known[cell * self.planes.len()..(cell + 1) * self.planes.len()]
    }
}

/// Answers of one row of cells.
struct Line {
    cols: usize,
    classes: usize,
    bands: usize,
    values: Vec<f32>,
    marks: Vec<u8>,
    holders: Vec<u16>,
    valid: Vec<f32>,
}

impl Line {
    fn new(cols: usize, classes: usize, bands: usize) -> Line {
        Line {
            cols,
            classes,
            bands,
            values: vec![f32::NAN; bands * cols * classes],
            marks: vec![0; cols * classes],
            holders: vec![u16::MAX; cols * classes],
            valid: vec![0.0; cols],
        }
    }

    /// What the bands of a group have in common.
    fn note(&mut self, col: usize, class: usize, reason: Fallback, holders: usize) {
        let at = col * self.classes + class;
        self.marks[at] = self.marks[at].max(reason as u8);
        self.holders[at] = self.holders[at].min(holders.min(usize::from(u16::MAX)) as u16);
    }
}

/// Solves the windows of one group of bands; holds its memory.
struct Solver<'a> {
    question: &'a Question,
    /// Shares of the classes, cell by cell.
    shares: &'a [f64],
    group: &'a Group,
    /// By the number of unknowns.
    systems: Vec<Option<BoundedLeastSquares>>,
    cells: Vec<usize>,
    /// The cell with the largest share of each class, and that share.
    purest: Vec<(usize, f64)>,
    /// The classes of the window that are solved for.
    kept: Vec<usize>,
    /// The unknown (index into `kept`) whose value each class gets.
    joined: Vec<usize>,
    /// Cells that hold a share of each unknown, and the last one that was counted.
    holders: Vec<(usize, usize)>,
    /// Square root of `w_c` of every unknown, as the next four.
    root: Vec<f64>,
    coefficients: Vec<f64>,
    prior: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    solution: Vec<f64>,
}

impl<'a> Solver<'a> {
    fn new(question: &'a Question, shares: &'a [f64], group: &'a Group) -> Solver<'a> {
        let n = question.mixtures.classes;
        let sides = group.planes.len();
        Solver {
            question,
            shares,
            group,
            systems: vec![None; n + 1],
            cells: Vec::new(),
            purest: vec![(0, 0.0); n],
            kept: Vec::with_capacity(n),
            joined: vec![0; n],
            holders: vec![(0, 0); n],
            root: vec![1.0; n],
            coefficients: vec![0.0; n],
            prior: vec![0.0; n],
            lower: vec![0.0; n],
            upper: vec![0.0; n],
            solution: vec![0.0; n * sides],
        }
    }

    fn solve(&mut self, row: usize, col: usize, line: &mut Line) {
        let n = self.question.mixtures.classes;
        let part = self.group.bands.len() as f32 / line.bands as f32;
        let (window, valid) = self.window(row, col);
        line.valid[col] += part * valid as f32 / window.pixels() as f32;
        if self.cells.is_empty() {
            (0..n).for_each(|class| line.note(col, class, Fallback::FewCoarse, 0));
            return;
        }
        self.keep_classes();
        self.count_holders(window);
        let unknowns = self.kept.len();
        let mut system =
            self.systems[unknowns].take().unwrap_or_else(|| BoundedLeastSquares::new(unknowns, self.group.planes.len()));
        self.add_equations(&mut system);
        for side in 0..self.group.planes.len() {
            self.solve_side(&mut system, side, row * self.question.mixtures.grid.cols + col);
        }
        self.write(&system, col, valid, line);
        self.systems[unknowns] = Some(system);
    }

    /// Fills `cells`; returns the window inside the scene and the number of its valid cells.
    fn window(&mut self, row: usize, col: usize) -> (Region, usize) {
        let question = self.question;
        let grid = question.mixtures.grid;
        let count = |window: Region| -> usize {
            let rows = window.row..window.row + window.rows;
            rows.map(|r| {
                let first = r * grid.cols + window.col;
                self.group.valid[first..first + window.cols].iter().filter(|valid| **valid).count()
            })
            .sum()
        };
        let largest = largest_radius(question.radius, question.least_cells);
        let mut radius = question.radius;
        let mut window = grid.window(row, col, radius);
        let mut valid = count(window);
        while valid < question.least_cells && radius < largest && window.pixels() < grid.cells() {
            radius += 1;
            window = grid.window(row, col, radius);
            valid = count(window);
        }
        self.cells.clear();
        append_cells(&grid, (row, col), radius, question.border, &mut self.cells);
        self.cells.retain(|&cell| self.group.valid[cell]);
        (window, valid)
    }

    fn shares(&self, cell: usize) -> &'a [f64] {
        let n = self.question.mixtures.classes;
        &self.shares[cell * n..(cell + 1) * n]
    }

    /// Finds the purest cells and decides which classes are solved for and whose value the others get.
    fn keep_classes(&mut self) {
        self.purest.fill((0, 0.0));
        for &cell in &self.cells {
            let shares = self.shares(cell);
            for (purest, &share) in self.purest.iter_mut().zip(shares) {
                if share > purest.1 {
                    *purest = (cell, share);
                }
            }
        }
        let largest = self.purest.iter().fold(0.0f64, |m, p| m.max(p.1));
        let least = self.question.least_share.min(largest);
        self.kept.clear();
        for (class, purest) in self.purest.iter().enumerate() {
            self.joined[class] = usize::MAX;
            if purest.1 > 0.0 && purest.1 >= least {
                self.joined[class] = self.kept.len();
                self.kept.push(class);
            }
        }
        for class in 0..self.joined.len() {
            if self.joined[class] == usize::MAX {
                let similar = self.question.mixtures.similar(class).iter();
                let nearest = similar.copied().find(|&c| self.purest[c].1 > 0.0 && self.purest[c].1 >= least);
                self.joined[class] = nearest.map_or(0, |c| self.joined[c]);
            }
        }
    }

    /// Counts the valid cells of the window that hold each unknown.
    fn count_holders(&mut self, window: Region) {
        self.holders.fill((0, usize::MAX));
        for r in window.row..window.row + window.rows {
            let first = r * self.question.mixtures.grid.cols;
            for cell in (first + window.col..first + window.col + window.cols).filter(|&cell| self.group.valid[cell]) {
                let shares = self.shares(cell);
                for (&unknown, _) in self.joined.iter().zip(shares).filter(|(_, share)| **share > 0.0) {
                    let (count, last) = self.holders[unknown];
                    if last != cell {
                        self.holders[unknown] = (count + 1, cell);
                    }
                }
            }
        }
    }

    fn add_equations(&mut self, system: &mut BoundedLeastSquares) {
        let unknowns = self.kept.len();
        let (ridge, by_purity) = match self.question.prior {
            Prior::Centre => (0.0, false),
            Prior::Purest { ridge, by_purity } => (ridge, by_purity),
        };
        for (root, &class) in self.root.iter_mut().zip(&self.kept) {
            *root = if by_purity { self.purest[class].1.sqrt() } else { 1.0 };
        }
        system.clear();
        for &cell in &self.cells {
            self.coefficients.fill(0.0);
            let shares = self.shares(cell);
            for (&unknown, &share) in self.joined.iter().zip(shares) {
                self.coefficients[unknown] += share;
            }
            // unknowns are √w m, so that every class has the same ridge
            self.coefficients.iter_mut().zip(&self.root[..unknowns]).for_each(|(f, root)| *f /= root);
            system.add(&self.coefficients[..unknowns], self.group.values(cell), 1.0);
        }
        system.finish(ridge);
    }

    fn solve_side(&mut self, system: &mut BoundedLeastSquares, side: usize, centre: usize) {
        let (n, unknowns) = (self.question.mixtures.classes, self.kept.len());
        let of_cell = |cell: usize| self.group.values(cell)[side];
        let middle = if self.group.valid[centre] {
            of_cell(centre)
        } else {
            self.cells.iter().map(|&cell| of_cell(cell)).sum::<f64>() / self.cells.len() as f64
        };
        let (lower, upper) = self.question.bounds[self.group.planes[side]];
        for (i, (&class, &root)) in self.kept.iter().zip(&self.root).enumerate() {
            let prior = match self.question.prior {
                Prior::Centre => middle,
                Prior::Purest { .. } => of_cell(self.purest[class].0),
            };
            (self.prior[i], self.lower[i], self.upper[i]) = (root * prior, root * lower, root * upper);
        }
        let solution = &mut self.solution[side * n..side * n + unknowns];
        system.solve(side, &self.lower[..unknowns], &self.upper[..unknowns], &self.prior[..unknowns], solution);
        solution.iter_mut().zip(&self.root).for_each(|(value, root)| *value /= root);
    }

    fn write(&self, system: &BoundedLeastSquares, col: usize, valid: usize, line: &mut Line) {
        let (question, n) = (self.question, self.question.mixtures.classes);
        let bands = self.group.bands.len();
        for (class, &unknown) in self.joined.iter().enumerate() {
            for (i, band) in self.group.bands.iter().enumerate() {
                let value = |side: usize| self.solution[side * n + unknown];
                let answer = if question.change { value(bands + i) - value(i) } else { value(i) };
                line.values[(band * line.cols + col) * n + class] = answer as f32;
            }
            let reason = if question.prior == Prior::Centre && system.undetermined()[unknown] {
                Fallback::Singular
            } else if self.kept[unknown] != class {
                Fallback::ClassAbsent
            } else if valid < question.least_cells {
                Fallback::FewCoarse
            } else {
                Fallback::None
            };
            line.note(col, class, reason, self.holders[unknown].0);
        }
    }
}
