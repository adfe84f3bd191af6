//! Class values from coarse mixtures: what UBDF, STDFA and STRUM share.
//!
//! ```text
//! classes of the fine image ──> shares of the classes in every coarse pixel          mixtures
//! coarse values of a window of coarse pixels = Σ shares · class values                windows, class_values
//! every fine pixel of the central coarse pixel gets the value of its class            assigned
//! ```
//! The class values of the whole scene are computed before the tiles, so that tiles only assign and need no halo. What differs
//! between the methods is a [`class_values::Question`] and whether the class value is the prediction or a change.

pub mod assigned;
pub mod cases;
pub mod class_values;
mod cuda;
pub mod mixtures;
pub mod reference;
pub mod windows;

use stfusion_core::choices;

use super::statistics::Moments;

choices! {
    /// Between which values class values may lie.
    pub enum Bounds {
        /// The coarse values of the band.
        Range = "range": "The smallest and the largest coarse value of the band",
        /// One standard deviation more.
        Widened = "widened": "One standard deviation of the coarse values below the smallest and above the largest",
        /// UBDF's program.
        ZeroToMax = "zero_to_max": "Zero and the largest coarse value of the band (the author's program of UBDF)",
        /// STDFA's program.
        ZeroToOne = "zero_to_one": "Zero and one, for reflectance (the authors' program of STDFA)",
        /// None.
        None = "none": "No bounds",
    }
}

impl Bounds {
    /// The bounds for a band with these coarse values (any number, `NaN` invalid): (lower, upper).
    pub fn of<'a>(self, coarse: impl Iterator<Item = &'a f64> + Clone) -> (f64, f64) {
        let valid = || coarse.clone().copied().filter(|v| !v.is_nan());
        let (least, most) = valid().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let (lower, upper) = match self {
            Bounds::Range => (least, most),
            Bounds::Widened => {
                let values: Vec<f32> = valid().map(|v| v as f32).collect();
                let deviation = Moments::of(values.iter()).standard_deviation();
                (least - deviation, most + deviation)
            }
            Bounds::ZeroToMax => (0.0, most.max(0.0)),
            Bounds::ZeroToOne => (0.0, 1.0),
            Bounds::None => (f64::NEG_INFINITY, f64::INFINITY),
        };
        if lower <= upper {
            (lower, upper)
        } else {
            (f64::NEG_INFINITY, f64::INFINITY)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_follow_the_coarse_values() {
        let values = [-1.0, f64::NAN, 3.0];
        let of = |bounds: Bounds| bounds.of(values.iter());
        assert_eq!(of(Bounds::Range), (-1.0, 3.0));
        assert_eq!(of(Bounds::Widened), (-3.0, 5.0));
        assert_eq!(of(Bounds::ZeroToMax), (0.0, 3.0));
        assert_eq!(of(Bounds::ZeroToOne), (0.0, 1.0));
        assert_eq!(of(Bounds::None), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn bounds_stay_bounds_for_values_below_zero_and_for_none() {
        assert_eq!(Bounds::ZeroToMax.of([-2.0, -1.0].iter()), (0.0, 0.0));
        assert_eq!(Bounds::Range.of([f64::NAN].iter()), (f64::NEG_INFINITY, f64::INFINITY));
    }
}
