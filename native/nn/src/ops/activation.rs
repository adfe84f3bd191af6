//! Nonlinearities of single elements.
//!
//! Gradients: of the operand, or for `Relu`, `Sigmoid` and `Tanh` of the result alone.

use super::{operands, real, Operator, Rule};
use crate::graph::Type;
use crate::reference::{Array, Real};

/// A nonlinearity; one operand of `f32`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, else `slope x`.
    LeakyRelu(f64),
    /// `x` where positive, else `alpha (eˣ - 1)`.
    Elu(f64),
    /// `x Φ(x)` with the distribution function of the normal distribution.
    Gelu,
    /// Its approximation with `tanh` (Hendrycks and Gimpel 2016).
    GeluTanh,
    /// `x σ(x)`.
    Silu,
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `log(1 + eˣ)`.
    Softplus,
    /// `x` held between two values.
    Clamp(f64, f64),
    /// `alpha x + beta` held between 0 and 1.
    HardSigmoid(f64, f64),
}

impl Activation {
    /// The value at `x`.
    pub fn of(self, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        match self {
            Activation::Relu => clamp(x, 0.0, f64::INFINITY),
            Activation::LeakyRelu(slope) => {
                if x > 0.0 {
                    x
                } else {
                    slope * x
                }
            }
            Activation::Elu(alpha) => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x.exp_m1()
                }
            }
            Activation::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Activation::GeluTanh => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
            Activation::Silu => x * sigmoid(x),
            Activation::Sigmoid => sigmoid(x),
            Activation::Tanh => x.tanh(),
            Activation::Softplus => {
                if x > 30.0 {
                    x
                } else {
                    x.exp().ln_1p()
                }
            }
            Activation::Clamp(low, high) => clamp(x, low, high),
            Activation::HardSigmoid(alpha, beta) => clamp(alpha * x + beta, 0.0, 1.0),
        }
    }
}

/// `x` between `low` and `high`; `NaN` stays.
fn clamp(x: f64, low: f64, high: f64) -> f64 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

/// The error function, to the precision of `f64`: its series near zero, the continued fraction of its complement beyond.
pub(crate) fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..100 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    if a > 6.0 || a.is_nan() {
        return if a.is_nan() { x } else { x.signum() };
    }
    let fraction = (1..80).rev().fold(a, |f, k| a + f64::from(k) / 2.0 / f);
    x.signum() * (1.0 - (-a * a).exp() / (fraction * std::f64::consts::PI.sqrt()))
}

impl Operator for Activation {
    fn name(&self) -> &'static str {
        match self {
            Activation::Relu => "relu",
            Activation::LeakyRelu(_) => "leaky relu",
            Activation::Elu(_) => "elu",
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu (tanh)",
            Activation::Silu => "silu",
            Activation::Sigmoid => "sigmoid",
            Activation::Tanh => "tanh",
            Activation::Softplus => "softplus",
            Activation::Clamp(..) => "clamp",
            Activation::HardSigmoid(..) => "hard sigmoid",
        }
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        real(inputs)?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let x = inputs[0];
        vec![Array::new(x.shape.clone(), x.real().iter().map(|v| v.map(|v| self.of(v))).collect())]
    }
}

#[cfg(test)]
mod tests {
    use super::erf;

    #[test]
    fn the_error_function_is_that_of_the_tables() {
        // Abramowitz and Stegun, table 7.1 and 7.3
        for (x, expected) in
            [(0.5, 0.5204998778), (1.0, 0.8427007929), (2.0, 0.9953222650), (2.4, 0.9993114861), (3.0, 0.9999779095)]
        {
            assert!((erf(x) - expected).abs() < 1e-10, "{x}: {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
        assert!((erf(2.5 - 1e-12) - erf(2.5)).abs() < 1e-13);
    }
}
