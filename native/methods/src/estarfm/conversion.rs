//! The conversion coefficient V: by how much a fine pixel changes when the coarse image changes by one (section 3.4).
//!
//! V is the slope of the regression of the fine on the coarse values of the similar pixels, all pairs together, or 1 where there is no
//! reason to try (the gate), no significant slope, or none in 0..largest.

use super::parameters::SignificanceTest;
use super::significance::{probability, LeastR2};

/// A variance this much smaller than the mean square is rounding.
pub const SINGULAR: f64 = 1e-6;

/// Where a regression is tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gate {
    /// Where the mean coarse values of two pairs differ by at least this.
    Change(f64),
    /// Where the sample standard deviation of the coarse values is above this.
    Deviation(f64),
    /// Everywhere.
    None,
}

/// What becomes of an insignificant slope.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// It becomes 1.
    Gate(LeastR2),
    /// A mean of it and 1, weighted by one minus the probability.
    Blend,
    /// It is taken.
    None,
}

/// Sums over similar pixels of the coarse value x and fine value y of one band.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sums {
    /// Number of similar pixels.
    pub count: f64,
    /// Of y over all pairs.
    pub y: f64,
    /// Of x².
    pub xx: f64,
    /// Of x y.
    pub xy: f64,
    /// Of y².
    pub yy: f64,
}

/// How coefficients are made from sums.
#[derive(Debug, Clone, PartialEq)]
pub struct Regression {
    /// Where one is tried.
    pub gate: Gate,
    /// What becomes of an insignificant slope.
    pub test: Test,
    /// Larger coefficients become 1.
    pub largest: f64,
}

impl Regression {
    /// With a significance `level`, and coefficients of at most `largest`.
    pub fn new(gate: Gate, test: SignificanceTest, level: f64, largest: f64) -> Self {
        let test = match test {
            SignificanceTest::Gate => Test::Gate(LeastR2::new(level)),
            SignificanceTest::Blend => Test::Blend,
            SignificanceTest::None => Test::None,
        };
        Regression { gate, test, largest }
    }

    /// The coefficient from the sums of a band and the sum of x of each pair.
    pub fn coefficient(&self, sums: &Sums, x: impl Iterator<Item = f64> + Clone) -> f64 {
        let pairs = x.clone().count() as f64;
        let n = sums.count * pairs;
        if n < 3.0 {
            return 1.0;
        }
        if let Gate::Change(least) = self.gate {
            let (low, high) = x.clone().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
            if (high - low) / sums.count < least {
                return 1.0;
            }
        }
        let sum: f64 = x.sum();
        let xx = sums.xx - sum * sum / n;
        if let Gate::Deviation(least) = self.gate {
            if xx <= least * least * (n - 1.0) {
                return 1.0;
            }
        }
        let xy = sums.xy - sum * sums.y / n;
        let slope = xy / xx;
        if !(xx > SINGULAR * sums.xx && slope > 0.0 && slope <= self.largest) {
            return 1.0;
        }
        let yy = sums.yy - sums.y * sums.y / n;
        let r2 = if yy > 0.0 { (xy * slope / yy).min(1.0) } else { 1.0 };
        match &self.test {
            Test::None => slope,
            Test::Gate(least) if r2 < least.at(n as usize - 2) => 1.0,
            Test::Gate(_) => slope,
            Test::Blend => {
                let p = probability(r2, n - 2.0);
                slope * (1.0 - p) + p
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coefficient(gate: Gate, test: SignificanceTest, values: &[[(f64, f64); 2]]) -> f64 {
        let mut sums = Sums { count: values.len() as f64, ..Sums::default() };
        let mut x = [0.0; 2];
        for pixel in values {
            for (sum, &(c, f)) in x.iter_mut().zip(pixel) {
                *sum += c;
                sums.y += f;
                sums.xx += c * c;
                sums.xy += c * f;
                sums.yy += f * f;
            }
        }
        Regression::new(gate, test, 0.05, 5.0).coefficient(&sums, x.into_iter())
    }

    const RISING: [[(f64, f64); 2]; 3] = [[(0.1, 0.2), (0.2, 0.4)], [(0.12, 0.24), (0.25, 0.5)], [(0.1, 0.2), (0.3, 0.6)]];

    #[test]
    fn a_line_gives_its_slope_through_an_open_gate() {
        for test in [SignificanceTest::Gate, SignificanceTest::Blend, SignificanceTest::None] {
            for gate in [Gate::None, Gate::Change(0.1), Gate::Deviation(0.05)] {
                assert!((coefficient(gate, test, &RISING) - 2.0).abs() < 1e-12);
            }
            for gate in [Gate::Change(0.2), Gate::Deviation(0.2)] {
                assert_eq!(coefficient(gate, test, &RISING), 1.0);
            }
        }
    }

    #[test]
    fn slopes_that_mean_nothing_become_one() {
        let one =
            |values: &[[(f64, f64); 2]]| assert_eq!(coefficient(Gate::None, SignificanceTest::None, values), 1.0, "{values:?}");
        one(&RISING.map(|p| p.map(|(c, f)| (c, -f))));
        one(&RISING.map(|p| p.map(|(c, f)| (c, 3.0 * f))));
        one(&RISING.map(|p| p.map(|(_, f)| (0.3, f))));
        one(&RISING.map(|p| p.map(|(c, _)| (c, 0.3))));
        one(&RISING[..1]);
    }

    #[test]
    fn an_insignificant_slope_becomes_one_or_a_mean() {
        let noise = [[(0.1, 0.5), (0.2, 0.1)], [(0.3, 0.4), (0.4, 0.2)], [(0.5, 0.45), (0.6, 0.5)]];
        let slope = coefficient(Gate::None, SignificanceTest::None, &noise);
        assert!((0.0..0.5).contains(&slope), "{slope}");
        assert_eq!(coefficient(Gate::None, SignificanceTest::Gate, &noise), 1.0);
        let blend = coefficient(Gate::None, SignificanceTest::Blend, &noise);
        assert!(blend > slope && blend < 1.0, "{blend}");
    }
}
