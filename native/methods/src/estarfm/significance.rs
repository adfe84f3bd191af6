//! The F test of a regression with one slope: how probable it is that there is none.
//!
//! With `df` = number of values − 2, F = R² / (1 − R²) · df has the distribution F(1, df), and P(F' > F) = I_{1 − R²}(df / 2, 1 / 2),
//! where I is the regularised incomplete beta function. So a significance level is a least R² for each `df`.

/// Probability of an R² as large as this without any slope; `df` is at least 1.
pub fn probability(r2: f64, df: f64) -> f64 {
    incomplete_beta(df / 2.0, 0.5, (1.0 - r2).clamp(0.0, 1.0))
}

/// The least R² that is significant, for any number of degrees of freedom.
#[derive(Debug, Clone, PartialEq)]
pub struct LeastR2 {
    /// For 1, 2, ... degrees of freedom.
    table: Vec<f64>,
    /// Coefficients of t² in powers of 1 / df, for more degrees of freedom.
    beyond: [f64; 3],
}

const TABLE: usize = 400;

impl LeastR2 {
    /// For a significance level in 0..1; from 1 on, everything is significant.
    pub fn new(level: f64) -> Self {
        if level >= 1.0 {
            return LeastR2 { table: vec![0.0; TABLE], beyond: [0.0; 3] };
        }
        let exact = |df: f64| {
            let (mut low, mut high) = (0.0, 1.0);
            for _ in 0..64 {
                let middle = 0.5 * (low + high);
                if probability(middle, df) > level {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            high
        };
        // t² = F is a smooth function of 1 / df: the parabola through three points
        let points = [TABLE as f64, 3.0 * TABLE as f64, 12.0 * TABLE as f64].map(|df| {
            let r2 = exact(df);
            (1.0 / df, r2 / (1.0 - r2) * df)
        });
        LeastR2 { table: (1..=TABLE).map(|df| exact(df as f64)).collect(), beyond: parabola(points) }
    }

    /// The least R² for 1, 2, ... degrees of freedom, and for more of them the coefficients of t² in powers of 1 / df.
    pub fn numbers(&self) -> (&[f64], [f64; 3]) {
        (&self.table, self.beyond)
    }

    /// For `df` degrees of freedom, at least 1.
    pub fn at(&self, df: usize) -> f64 {
        match self.table.get(df.max(1) - 1) {
            Some(&r2) => r2,
            None => {
                let x = 1.0 / df as f64;
                let f = self.beyond[0] + x * (self.beyond[1] + x * self.beyond[2]);
                f / (f + df as f64)
            }
        }
    }
}

/// Coefficients of 1, x, x² of the parabola through three points (Newton's form).
fn parabola([(x0, y0), (x1, y1), (x2, y2)]: [(f64, f64); 3]) -> [f64; 3] {
    let (d01, d12) = ((y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1));
    let d = (d12 - d01) / (x2 - x0);
    [y0 - x0 * d01 + x0 * x1 * d, d01 - d * (x0 + x1), d]
}

/// I_x(a, b), by its continued fraction (Abramowitz and Stegun 26.5.8), evaluated with Lentz's algorithm.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    let front = (a * x.ln() + b * (-x).ln_1p() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const LEAST: f64 = 1e-300;
    let away = |v: f64| if v.abs() < LEAST { LEAST } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..2000 {
        let m = f64::from(m);
        for term in [
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        ] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            value *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    value
}

/// ln Γ(x) for x > 0, by Stirling's series from 10 on.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let i = 1.0 / x;
    let i2 = i * i;
    let series = i * (1.0 / 12.0 - i2 * (1.0 / 360.0 - i2 * (1.0 / 1260.0 - i2 * (1.0 / 1680.0 - i2 / 1188.0))));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - product.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estarfm::reference::regression_probability;

    #[test]
    fn published_quantiles_of_student_are_met() {
        // t for a two-sided level of 5 %
        let five_percent = LeastR2::new(0.05);
        for (df, t) in [
            (1, 12.706_205),
            (2, 4.302_653),
            (10, 2.228_139),
            (38, 2.024_394),
            (120, 1.979_930),
            (1000, 1.962_339),
            (1_000_000, 1.959_966),
        ] {
            let r2 = five_percent.at(df);
            let found = (r2 / (1.0 - r2) * df as f64).sqrt();
            assert!((found - t).abs() < 2e-6, "df {df}: {found} instead of {t}");
        }
    }

    #[test]
    fn probabilities_agree_with_the_finite_series_of_the_reference() {
        for df in [1, 2, 3, 4, 9, 38, 101, 1000, 5200] {
            for r2 in [0.0, 1e-6, 1e-3, 0.01, 0.1, 0.4, 0.75, 0.99, 1.0] {
                let (a, b) = (probability(r2, f64::from(df)), regression_probability(r2, df as usize));
                assert!((a - b).abs() < 1e-10, "df {df}, R² {r2}: {a} and {b}");
            }
        }
    }

    #[test]
    fn the_least_r2_has_the_probability_of_the_level() {
        for level in [1e-3, 0.01, 0.05, 0.5] {
            let least = LeastR2::new(level);
            for df in [1, 2, 17, 399, 400, 401, 1000, 5200, 100_000] {
                let p = regression_probability(least.at(df), df);
                assert!((p / level - 1.0).abs() < 1e-6, "level {level}, df {df}: {p}");
            }
        }
        assert_eq!(LeastR2::new(1.0).at(5000), 0.0);
    }
}
