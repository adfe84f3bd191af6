//! Class values of a whole scene from the coarse pixels in which classes are purest (Zhu et al. 2016, equations 2 to 4).
//!
//! ```text
//! for every class the cells with the largest share of it, of these the ones whose value lies between two quantiles
//! minimise Σ_cells (C − Σ_c share_c x_c)²     within the range of C, widened on demand
//! ```
//! A *cell* is a coarse pixel. What the equations leave open (a class that is nowhere pure enough, too few valid cells) is the mean of
//! the scene, and is said to be.

use ndarray::{Array3, ArrayView2};
use stfusion_core::method::Fallback;
use stfusion_core::{Error, ErrorKind, Result};

use super::bounded_least_squares::BoundedLeastSquares;
use super::statistics::Moments;

/// Share of a cell's pixels that must have a class for the cell to take part; the next one when there are fewer such cells than
/// classes.
const COMPLETE: [f32; 3] = [0.999, 0.5, 0.0];
/// Share of a class in a cell below which the cell says nothing of it.
const LEAST_SHARE: f32 = 0.01;

/// Two quantiles from the parameter `change_quantiles`.
///
/// # Errors
/// [`ErrorKind::Parameter`] naming what was given and the remedy.
pub fn quantiles(given: &[f64]) -> Result<(f64, f64)> {
    match *given {
        [low, high] if low < high => Ok((low, high)),
        _ => {
            let given: Vec<String> = given.iter().map(f64::to_string).collect();
            Err(Error::new(ErrorKind::Parameter, format!("change_quantiles is {:?}; expected two quantiles", given.join(" ")))
                .with_hint("Give two ascending numbers between 0 and 1, such as \"0.1 0.9\"."))
        }
    }
}

/// Which cells take part, and between which bounds the values may lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PurestCells {
    /// Number of cells with the largest share of each class.
    pub most: usize,
    /// Quantiles (0..1) of their values between which those that take part lie; `None`: all do.
    pub quantiles: Option<(f64, f64)>,
    /// Whether the quantiles are those of the magnitudes.
    pub by_magnitude: bool,
    /// Whether a cell that is among the purest of several classes counts once only.
    pub once: bool,
    /// Sample standard deviations by which the bounds lie outside the range of the values.
    pub widened: f64,
}

impl PurestCells {
    /// Value of every class, and what is wrong with it. `shares` is (class, cell row, cell col), `labelled` the share of pixels
    /// that have a class, `coarse` the values, `NaN` where there is none.
    pub fn class_values(
        &self,
        shares: &Array3<f32>,
        labelled: ArrayView2<'_, f32>,
        coarse: ArrayView2<'_, f32>,
    ) -> (Vec<f64>, Vec<Fallback>) {
        let classes = shares.dim().0;
        let cols = coarse.dim().1;
        let valid: Vec<usize> = coarse.iter().enumerate().filter(|(_, v)| !v.is_nan()).map(|(i, _)| i).collect();
        if valid.is_empty() {
            return (vec![0.0; classes], vec![Fallback::FewCoarse; classes]);
        }
        let at = |i: usize| (i / cols, i % cols);
        let value = |i: usize| f64::from(coarse[at(i)]);
        let moments =
            valid.iter().fold(Moments::default(), |sum, &i| sum.merged(Moments { count: 1, mean: value(i), squares: 0.0 }));
        let beyond = self.widened * (moments.squares / (moments.count.max(2) - 1) as f64).sqrt();
        let low = valid.iter().fold(f64::INFINITY, |low, &i| low.min(value(i))) - beyond;
        let high = valid.iter().fold(f64::NEG_INFINITY, |high, &i| high.max(value(i))) + beyond;

        let complete =
            COMPLETE.iter().map(|least| valid.iter().copied().filter(|&i| labelled[at(i)] > *least).collect::<Vec<usize>>());
        let cells = complete.reduce(|kept, next| if kept.len() < classes { next } else { kept }).unwrap_or_default();
        let mut system = BoundedLeastSquares::new(classes, 1);
        let mut row = vec![0.0; classes];
        let mut absent = vec![false; classes];
        let mut taken = vec![false; if self.once { coarse.len() } else { 0 }];
        for class in 0..classes {
            let share = |i: usize| shares[(class, at(i).0, at(i).1)];
            let mut purest: Vec<usize> = cells.iter().copied().filter(|&i| share(i) > LEAST_SHARE).collect();
            // of equally pure cells the later ones, as in the author's program of FSDAF
            purest.sort_unstable_by(|&i, &j| share(j).total_cmp(&share(i)).then(j.cmp(&i)));
            purest.truncate(self.most);
            absent[class] = purest.is_empty();
            self.keep_between_quantiles(&mut purest, value);
            for &i in &purest {
                if self.once && std::mem::replace(&mut taken[i], true) {
                    continue;
                }
                row.iter_mut().enumerate().for_each(|(c, f)| *f = f64::from(shares[(c, at(i).0, at(i).1)]));
                system.add(&row, &[value(i)], 1.0);
            }
        }
        system.finish(0.0);
        let mut values = vec![0.0; classes];
        system.solve(0, &vec![low; classes], &vec![high; classes], &vec![moments.mean; classes], &mut values);
        let open = system.undetermined().iter().zip(absent);
        let troubles = open.map(|(&open, absent)| match (open, absent) {
            (false, _) => Fallback::None,
            (_, true) => Fallback::ClassAbsent,
            _ if cells.len() < classes => Fallback::FewCoarse,
            _ => Fallback::Singular,
        });
        (values, troubles.collect())
    }

    fn keep_between_quantiles(&self, cells: &mut Vec<usize>, value: impl Fn(usize) -> f64) {
        let Some((low, high)) = self.quantiles else { return };
        let ranked = |i: usize| if self.by_magnitude { value(i).abs() } else { value(i) };
        let mut sorted: Vec<f64> = cells.iter().map(|&i| ranked(i)).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let quantile = |q: f64| sorted[((q * sorted.len() as f64) as usize).min(sorted.len() - 1)];
        if !sorted.is_empty() {
            cells.retain(|&i| (quantile(low)..=quantile(high)).contains(&ranked(i)));
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{array, Array2};
    use proptest::prelude::*;

    use super::*;

    const ALL: PurestCells = PurestCells { most: 100, quantiles: None, by_magnitude: false, once: true, widened: 0.0 };

    proptest! {
        #[test]
        fn exact_mixtures_return_what_was_mixed(
            shares in prop::collection::vec(0.0f32..1.0, 12), low in -1.0f64..0.0, high in 0.0f64..1.0,
        ) {
            // two pure cells hold the range that the solution may have
            let of_first = |i: usize| match i { 0 => 1.0, 1 => 0.0, _ => shares[i - 2] };
            let both = Array3::from_shape_fn((2, 2, 7), |(class, r, c)| {
                let first = of_first(7 * r + c);
                if class == 0 { first } else { 1.0 - first }
            });
            let coarse = Array2::from_shape_fn((2, 7), |(r, c)| {
                (f64::from(both[(0, r, c)]) * low + f64::from(both[(1, r, c)]) * high) as f32
            });
            let (values, troubles) = ALL.class_values(&both, Array2::ones((2, 7)).view(), coarse.view());
            prop_assert!((values[0] - low).abs() < 1e-5 && (values[1] - high).abs() < 1e-5, "{:?}", values);
            prop_assert_eq!(troubles, vec![Fallback::None; 2]);
        }
    }

    #[test]
    fn quantiles_leave_out_the_outlier_by_value_or_by_magnitude() {
        let shares = Array3::ones((1, 1, 5));
        let coarse = array![[-9.0, 1.0, 2.0, 3.0, 4.0]];
        let of = |quantiles, by_magnitude| {
            let rule = PurestCells { quantiles: Some(quantiles), by_magnitude, ..ALL };
            rule.class_values(&shares, Array2::ones((1, 5)).view(), coarse.view()).0[0]
        };
        assert!((of((0.2, 1.0), false) - 2.5).abs() < 1e-8); // 1, 2, 3, 4
        assert!((of((0.0, 0.6), true) - 2.5).abs() < 1e-8); // all but −9
        assert!((of((0.0, 0.2), false) + 4.0).abs() < 1e-8); // −9 and 1
    }

    #[test]
    fn a_cell_counts_for_every_class_unless_it_counts_once() {
        // the middle cell is among the two purest of both classes
        let shares = array![[[1.0, 0.5, 0.0]], [[0.0, 0.5, 1.0]]];
        let coarse = array![[0.0, 0.6, 1.0]];
        let of = |once| {
            let rule = PurestCells { most: 2, once, widened: 1.0, ..ALL };
            rule.class_values(&shares, Array2::ones((1, 3)).view(), coarse.view()).0[0]
        };
        // with the middle cell w times, 2 d² + w (0.1 − d)² is least, where d is how far both values are from 0 and 1
        let expected = |w: f64| 0.1 * w / (2.0 + w);
        assert!((of(true) - expected(1.0)).abs() < 1e-6, "{}", of(true));
        assert!((of(false) - expected(2.0)).abs() < 1e-6, "{}", of(false));
    }

    #[test]
    fn what_stays_open_is_the_mean_and_is_said_to_be() {
        let coarse = array![[1.0, 3.0]];
        let labelled = Array2::ones((1, 2));
        let of = |shares: &Array3<f32>, coarse: &Array2<f32>| ALL.class_values(shares, labelled.view(), coarse.view());
        assert_eq!(of(&array![[[1.0, 1.0]], [[0.0, 0.0]]], &coarse).1, [Fallback::None, Fallback::ClassAbsent]);
        let (values, troubles) = of(&array![[[0.5, 0.5]], [[0.5, 0.5]]], &coarse);
        assert_eq!(troubles, [Fallback::Singular; 2]);
        assert!(values.iter().all(|v| (v - 2.0).abs() < 1e-4), "{values:?}");
        let three = array![[[0.4, 0.2]], [[0.3, 0.5]], [[0.3, 0.3]]];
        assert_eq!(of(&three, &coarse).1, [Fallback::FewCoarse; 3]);
        assert_eq!(of(&three, &array![[f32::NAN, f32::NAN]]), (vec![0.0; 3], vec![Fallback::FewCoarse; 3]));
    }
}
