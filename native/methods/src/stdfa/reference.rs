//! STDFA, literally and in `f64`; only tests call it.

use ndarray::{Array2, Array3, Axis};

use super::Parameters;
use crate::blocks::border::Border;
use crate::blocks::unmixing::reference::{
    bounded_minimum, by_date, changed, joined, largest_radius, shares_of, similar, Cells, Equation,
};
use crate::cases::Problem;

/// Shares of counts of which, while the smallest share that is not 0 is below the threshold, it goes to the most similar class
/// that is there.
pub(crate) fn merged(mut counts: Vec<f64>, alike: &[Vec<usize>], threshold: f64) -> Vec<f64> {
    let total: f64 = counts.iter().sum();
    loop {
        let present: Vec<usize> = (0..counts.len()).filter(|c| counts[*c] > 0.0).collect();
        let smallest = present.iter().copied().min_by(|a, b| counts[*a].total_cmp(&counts[*b]));
        let Some(smallest) = smallest.filter(|c| counts[*c] / total < threshold) else { return shares_of(counts) };
        let Some(other) = alike[smallest].iter().find(|c| counts[**c] > 0.0) else { return shares_of(counts) };
        counts[*other] += counts[smallest];
        counts[smallest] = 0.0;
    }
}

/// The prediction, (band, row, col), for the labels of every pair and their number of classes.
pub fn predict(parameters: &Parameters, problem: &Problem, labels: &[(Array2<u16>, usize)], scale: usize) -> Array3<f64> {
    let cells = Cells::new(problem, scale);
    let of_pair = |k: usize, band: usize| {
        let (map, classes) = (&labels[k].0, labels[k].1);
        let pair = &problem.pairs[k];
        let (c_b, c_p) = (pair.coarse.index_axis(Axis(0), band), problem.target.index_axis(Axis(0), band));
        let alike = similar(&pair.fine, map, classes);
        let both = |cell| !(cells.mean(c_b, cell) + cells.mean(c_p, cell)).is_nan();
        let bounds = [c_b, c_p].map(|day| {
            let values: Vec<f64> = cells.all().filter(|c| both(*c)).map(|c| cells.mean(day, c)).collect();
            parameters.bounds.of(values.iter())
        });
        let shares = |cell| cells.counts(map, classes, cell).map(|s| merged(s, &alike, parameters.abundance_threshold));
        let valid = |cell| both(cell) && shares(cell).is_some();
        let change = cells.all().map(|cell| {
            // the window, enlarged until it holds more coarse pixels than classes
            let radii = (parameters.window / 2, largest_radius(parameters.window / 2, classes + 1));
            let window = cells.window(cell, radii, Border::Clip, classes + 1, valid);
            // C_t = A x for both days; x is the class values of the central coarse pixel
            let unmixed = [c_b, c_p].into_iter().zip(bounds).map(|(day, bounds)| {
                let equation = |&c| -> Option<Equation> { Some((shares(c)?, cells.mean(day, c))) };
                let equations: Vec<Equation> = window.iter().filter_map(equation).collect();
                let centre = if valid(cell) {
                    cells.mean(day, cell)
                } else {
                    equations.iter().map(|e| e.1).sum::<f64>() / equations.len() as f64
                };
                let present: Vec<bool> = (0..classes).map(|c| equations.iter().any(|e| e.0[c] > 0.0)).collect();
                // a class that is nowhere in the window is relabelled to the most similar one that is
                let (equations, to) = joined(&equations, &present, &alike);
                let solution = bounded_minimum(&equations, bounds, centre);
                to.iter().map(|class| solution.get(*class).copied().unwrap_or(f64::NAN)).collect::<Vec<f64>>()
            });
            let days: Vec<Vec<f64>> = unmixed.collect();
            days[1].iter().zip(&days[0]).map(|(p, b)| p - b).collect::<Vec<f64>>()
        });
        let change: Vec<Vec<f64>> = change.collect();
        // Eq. 8: r(k, c, t_p) = r̄(c, t_p) − r̄(c, t_b) + r(k, c, t_b)
        changed(&cells, problem, (k, band), map, &change)
    };
    by_date(problem, of_pair)
}
