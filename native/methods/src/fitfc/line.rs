//! The line of a regression between two coarse images.

/// `target = slope · pair + intercept`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Slope a.
    pub slope: f64,
    /// Intercept b.
    pub intercept: f64,
}

/// Variance below this part of the mean square is rounding.
pub const ROUNDING: f64 = 1e-11;

/// Sums over the pixels of a window that are valid in both images.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sums {
    /// Number of pixels.
    pub count: f64,
    /// Of the values x of the pair.
    pub x: f64,
    /// Of the values y of the target.
    pub y: f64,
    /// Of x².
    pub xx: f64,
    /// Of x y.
    pub xy: f64,
}

impl Sums {
    /// Takes in a pixel, unless one of its values is `NaN`.
    pub fn add(&mut self, x: f32, y: f32) {
        let (x, y) = (f64::from(x), f64::from(y));
        if !(x + y).is_nan() {
            self.count += 1.0;
            self.x += x;
            self.y += y;
            self.xx += x * x;
            self.xy += x * y;
        }
    }

    /// The line of least squares, and whether it is one: where x does not vary it is the line of slope 1 through the means. `None` without pixels.
    #[inline(always)]
    pub fn line(self) -> Option<(Line, bool)> {
        if self.count == 0.0 {
            return None;
        }
        let (x, y) = (self.x / self.count, self.y / self.count);
        let (square, product) = (self.xx / self.count, self.xy / self.count);
        let variance = square - x * x;
        let slope = if variance > ROUNDING * square { (product - x * y) / variance } else { f64::NAN };
        let varies = slope.is_finite();
        let slope = if varies { slope } else { 1.0 };
        Some((Line { slope, intercept: y - slope * x }, varies))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(pixels: &[(f32, f32)]) -> Option<(Line, bool)> {
        let mut sums = Sums::default();
        pixels.iter().for_each(|&(x, y)| sums.add(x, y));
        sums.line()
    }

    proptest! {
        #[test]
        fn a_line_is_found_again(slope in -3.0f32..3.0, intercept in -1.0f32..1.0, xs in prop::collection::vec(-8i8..8, 2..30)) {
            let pixels: Vec<_> = xs.iter().map(|&x| (f32::from(x) / 8.0, slope * f32::from(x) / 8.0 + intercept)).collect();
            let (line, varies) = of(&pixels).unwrap();
            prop_assert_eq!(varies, xs.iter().any(|&x| x != xs[0]));
            if varies {
                prop_assert!((line.slope - f64::from(slope)).abs() < 1e-5, "{:?}", line);
                prop_assert!((line.intercept - f64::from(intercept)).abs() < 1e-5, "{:?}", line);
            }
        }
    }

    #[test]
    fn where_the_pair_does_not_vary_its_change_is_kept() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(f32::NAN, 1.0), (1.0, f32::NAN)]), None);
        let expected = (Line { slope: 1.0, intercept: 0.5 }, false);
        assert_eq!(of(&[(0.25, 0.75)]), Some(expected));
        assert_eq!(of(&[(0.25, 0.5), (0.25, 1.0), (f32::NAN, 9.0)]), Some(expected));
        assert_eq!(of(&[(0.0, 0.25), (0.0, 0.75)]), Some(expected));
    }

    #[test]
    fn equal_images_give_the_identity() {
        let (line, _) = of(&[(0.1, 0.1), (0.27, 0.27), (0.33, 0.33)]).unwrap();
        assert_eq!(line, Line { slope: 1.0, intercept: 0.0 });
    }

    #[test]
    fn enormous_values_give_finite_lines() {
        let (line, _) = of(&[(3e38, -3e38), (-3e38, 3e38), (1.0, 2.0)]).unwrap();
        assert!(line.slope.is_finite() && line.intercept.is_finite());
    }
}
