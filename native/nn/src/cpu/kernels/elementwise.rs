//! Functions of single elements, as plain loops that the compiler widens: the same bits on every processor.

use crate::ops::Activation;

/// `eˣ` to about one unit in the last place: 2ⁿ times a polynomial of the rest.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // beyond these the result is 0 or infinite anyway
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it leaves the nearest integer in the last bits
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, the first with few enough bits that its product is exact
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4 * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    // 2ⁿ in two factors, so that results below the normal range are rounded, not lost
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = n >> 1;
    let power = |n: i32| f32::from_bits(((n + 127) << 23) as u32);
    y * power(half) * power(n - half)
}

/// The error function to 4e-7: its series near zero, formula 7.1.26 of Abramowitz and Stegun beyond.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let p = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    let far = 1.0 - p * exp(-a * a);
    let s = a * a;
    let series = a
        * (std::f32::consts::FRAC_2_SQRT_PI
            + s * (-0.376_126_4 + s * (0.112_837_92 + s * (-0.026_866_17 + s * (0.005_223_978 + s * -0.000_854_833)))));
    let y = if a < 0.5 { series } else { far };
    if x < 0.0 {
        -y
    } else {
        y
    }
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let e = exp(-2.0 * a);
    let far = (1.0 - e) / (1.0 + e);
    // near zero the quotient above loses digits
    let s = x * x;
    let near = a * (1.0 + s * (-0.333_333_34 + s * (0.133_333_33 + s * (-0.053_968_254 + s * 0.021_869_488))));
    let y = if a < 0.25 { near } else { far };
    if x < 0.0 {
        -y
    } else {
        y
    }
}

/// Applies a nonlinearity to every element.
#[inline(always)]
pub(crate) fn activate(activation: Activation, values: &mut [f32]) {
    #[inline(always)]
    fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
        for v in values {
            *v = f(*v);
        }
    }
    match activation {
        Activation::Relu => each(values, |x| if x < 0.0 { 0.0 } else { x }),
        Activation::LeakyRelu(slope) => {
            let slope = slope as f32;
            each(values, |x| if x > 0.0 { x } else { slope * x });
        }
        Activation::Elu(alpha) => {
            let alpha = alpha as f32;
            each(values, |x| if x > 0.0 { x } else { alpha * (exp(x) - 1.0) });
        }
        Activation::Gelu => each(values, |x| 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))),
        Activation::GeluTanh => each(values, |x| 0.5 * x * (1.0 + tanh(0.797_884_6 * (x + 0.044_715 * x * x * x)))),
        Activation::Silu => each(values, |x| x * sigmoid(x)),
        Activation::Sigmoid => each(values, sigmoid),
        Activation::Tanh => each(values, tanh),
        Activation::Softplus => each(values, |x| if x > 30.0 { x } else { exp(x).ln_1p() }),
        Activation::Clamp(low, high) => {
            let (low, high) = (low as f32, high as f32);
            each(values, |x| {
                if x < low {
                    low
                } else if x > high {
                    high
                } else {
                    x
                }
            });
        }
        Activation::HardSigmoid(alpha, beta) => {
            let (alpha, beta) = (alpha as f32, beta as f32);
            each(values, |x| (alpha * x + beta).clamp(0.0, 1.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_close_to_those_of_the_reference() {
        type Function = (&'static str, fn(f32) -> f32, fn(f64) -> f64);
        let functions: [Function; 4] = [
            ("exp", exp, f64::exp),
            ("erf", erf, crate::ops::erf),
            ("sigmoid", sigmoid, |x| Activation::Sigmoid.of(x)),
            ("tanh", tanh, f64::tanh),
        ];
        for (name, fast, exact) in functions {
            for i in -88_000..88_000 {
                let x = i as f32 / 1000.0;
                let (got, expected) = (f64::from(fast(x)), exact(x.into()));
                assert!(
                    (got - expected).abs() < 4e-7 * expected.abs().max(if name == "exp" { 1e-30 } else { 1.0 }),
                    "{name}({x}) = {got}, not {expected}"
                );
            }
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-200.0), 0.0);
        assert!(exp(1000.0) > 3e38 && exp(f32::NAN).is_nan());
        for activation in [
            Activation::Relu,
            Activation::LeakyRelu(0.2),
            Activation::Elu(1.0),
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Silu,
            Activation::Sigmoid,
            Activation::Tanh,
            Activation::Softplus,
            Activation::Clamp(-0.5, 0.7),
            Activation::HardSigmoid(0.2, 0.5),
        ] {
            let mut values: Vec<f32> = (-4000..4000).map(|i| i as f32 / 400.0).collect();
            let expected: Vec<f64> = values.iter().map(|&x| activation.of(x.into())).collect();
            activate(activation, &mut values);
            for (got, expected) in values.iter().zip(expected) {
                assert!((f64::from(*got) - expected).abs() < 2e-6, "{activation:?}: {got}, not {expected}");
            }
        }
    }
}
