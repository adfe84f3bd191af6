//! STRUM, literally and in `f64`; only tests call it.

use ndarray::{Array2, Array3, Axis};

use super::{Parameters, Solution};
use crate::blocks::border::Border;
use crate::blocks::linear_system::Lu;
use crate::blocks::unmixing::reference::{bounded_minimum, by_date, changed, joined, largest_radius, similar, Cells, Equation};
use crate::blocks::unmixing::Bounds;
use crate::cases::Problem;
use crate::stdfa::reference::merged;

/// e of Eq. 4 and 5 with σ_r = 1: `precision` is the diagonal of Σ_0⁻¹.
fn posterior(equations: &[Equation], precision: &[f64], e_0: &[f64]) -> Vec<f64> {
    let n = e_0.len();
    let product = |c: usize, d: usize| equations.iter().map(|(f, _)| f[c] * f[d]).sum::<f64>();
    let matrix: Vec<f64> =
        (0..n * n).map(|i| product(i % n, i / n) + if i % n == i / n { precision[i % n] } else { 0.0 }).collect();
    let mut e: Vec<f64> = (0..n).map(|c| equations.iter().map(|(f, r)| f[c] * r).sum::<f64>() + precision[c] * e_0[c]).collect();
    if let Some(system) = Lu::new(matrix, n) {
        system.solve(&mut e);
    }
    e
}

/// The prediction, (band, row, col), for the labels of every pair and their number of classes.
pub fn predict(parameters: &Parameters, problem: &Problem, labels: &[(Array2<u16>, usize)], scale: usize) -> Array3<f64> {
    let cells = Cells::new(problem, scale);
    let bayesian = parameters.solution == Solution::Bayesian;
    let of_pair = |k: usize, band: usize| {
        let (map, classes) = (&labels[k].0, labels[k].1);
        let pair = &problem.pairs[k];
        let (c_b, c_p) = (pair.coarse.index_axis(Axis(0), band), problem.target.index_axis(Axis(0), band));
        let alike = similar(&pair.fine, map, classes);
        // Eq. 7: the change is unmixed
        let r = |cell| cells.mean(c_p, cell) - cells.mean(c_b, cell);
        let all: Vec<f64> = cells.all().map(r).collect();
        let bounds = Bounds::Widened.of(all.iter());
        let threshold = if bayesian { 0.0 } else { parameters.abundance_threshold };
        let shares = |cell| cells.counts(map, classes, cell).map(|s| merged(s, &alike, threshold));
        let valid = |cell| !r(cell).is_nan() && shares(cell).is_some();
        let least = if bayesian { 1 } else { classes + 1 };
        let change = cells.all().map(|cell| {
            let radii = (parameters.window / 2, largest_radius(parameters.window / 2, least));
            let window = cells.window(cell, radii, Border::Clip, least, valid);
            let equations: Vec<Equation> = window.iter().filter_map(|&c| Some((shares(c)?, r(c)))).collect();
            // the coarse pixel with the highest abundance of each class
            let purest = |class: usize| {
                let highest = equations.iter().fold(0.0f64, |m, e| m.max(e.0[class]));
                (highest, equations.iter().find(|e| e.0[class] == highest).map_or(f64::NAN, |e| e.1))
            };
            let highest = (0..classes).fold(0.0f64, |m, c| m.max(purest(c).0));
            // classes whose fraction never exceeds the least abundance are dropped
            let least_share = if bayesian { parameters.least_abundance.min(highest) } else { 0.0 };
            let kept: Vec<bool> = (0..classes).map(|c| purest(c).0 > 0.0 && purest(c).0 >= least_share).collect();
            let purest: Vec<(f64, f64)> = (0..classes).map(purest).collect();
            let (equations, to) = joined(&equations, &kept, &alike);
            let solution = if equations.is_empty() {
                Vec::new()
            } else if bayesian {
                let ratio = parameters.prior_ratio.powi(2);
                let precision = |c: usize| ratio * if parameters.precision_by_purity && kept[c] { purest[c].0 } else { 1.0 };
                let precision: Vec<f64> = (0..classes).map(precision).collect();
                let e_0: Vec<f64> = (0..classes).map(|c| if kept[c] { purest[c].1 } else { 0.0 }).collect();
                posterior(&equations, &precision, &e_0)
            } else {
                let mean = equations.iter().map(|e| e.1).sum::<f64>() / equations.len() as f64;
                bounded_minimum(&equations, bounds, if valid(cell) { r(cell) } else { mean })
            };
            to.iter().map(|class| solution.get(*class).copied().unwrap_or(f64::NAN)).collect::<Vec<f64>>()
        });
        let change: Vec<Vec<f64>> = change.collect();
        // Eq. 8
        changed(&cells, problem, (k, band), map, &change)
    };
    by_date(problem, of_pair)
}
