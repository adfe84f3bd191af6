//! UBDF, literally and in `f64`; only tests call it.

use ndarray::{Array2, Array3, Axis};

use super::Parameters;
use crate::blocks::unmixing::reference::{bounded_minimum, by_date, joined, largest_radius, similar, Cells, Equation};
use crate::cases::Problem;

/// The prediction, (band, row, col), for the labels of every pair and their number of classes.
pub fn predict(parameters: &Parameters, problem: &Problem, labels: &[(Array2<u16>, usize)], scale: usize) -> Array3<f64> {
    let cells = Cells::new(problem, scale);
    let radius = parameters.window / 2;
    let of_pair = |k: usize, band: usize| {
        let (map, classes) = &labels[k];
        let target = problem.target.index_axis(Axis(0), band);
        let coarse = |cell| cells.mean(target, cell);
        let coarse_values: Vec<f64> = cells.all().map(coarse).collect();
        let bounds = parameters.bounds.of(coarse_values.iter());
        let alike = similar(&problem.pairs[k].fine, map, *classes);
        let valid = |cell| !coarse(cell).is_nan() && cells.shares(map, *classes, cell).is_some();
        let values = cells.all().map(|cell| {
            // the window: C(j) = Σ_c f_jc m_c for its coarse pixels j (Zurita-Milla et al. 2008, Eq. 1)
            let radii = (radius, largest_radius(radius, *classes));
            let window = cells.window(cell, radii, parameters.border, *classes, valid);
            let equation = |&c| -> Option<Equation> { Some((cells.shares(map, *classes, c)?, coarse(c))) };
            let equations: Vec<Equation> = window.iter().filter_map(equation).collect();
            let centre =
                if valid(cell) { coarse(cell) } else { equations.iter().map(|e| e.1).sum::<f64>() / equations.len() as f64 };
            let present: Vec<bool> = (0..*classes).map(|c| equations.iter().any(|e| e.0[c] > 0.0)).collect();
            let (equations, to) = joined(&equations, &present, &alike);
            let solution = bounded_minimum(&equations, bounds, centre);
            to.iter().map(|class| solution.get(*class).copied().unwrap_or(f64::NAN)).collect::<Vec<f64>>()
        });
        let values: Vec<Vec<f64>> = values.collect();
        Array2::from_shape_fn(target.dim(), |(row, col)| {
            let at = (band, row, col);
            let label = usize::from(map[(row, col)]);
            let (fine, own) = (problem.pairs[k].fine[at], f64::from(target[(row, col)]));
            if own.is_nan() || (label >= *classes && fine.is_nan()) {
                return f64::NAN;
            }
            let cell = cells.of_pixel(row, col);
            let value = values[(cell.0 * cells.cols + cell.1) as usize].get(label).copied().unwrap_or(f64::NAN);
            if value.is_nan() {
                own
            } else {
                value
            }
        })
    };
    by_date(problem, of_pair)
}
