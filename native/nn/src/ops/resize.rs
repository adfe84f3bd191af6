//! Images of another size. Values are `(batch, channel, spatial axes…)`; every spatial axis is interpolated on its own.
//!
//! Gradients: nothing of the forward run; the transposed taps.

use super::{operands, pooling::share, real, Operator, Rule};
use crate::graph::Type;
use crate::reference::{Array, Real};

/// Which place of the operand an element `i` of the result stands for; `s` is the operand's length over the result's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coordinates {
    /// Outer edges coincide: `(i + ½) s - ½`.
    HalfPixel,
    /// Centres of the outermost elements coincide: `i (n - 1) / (m - 1)`.
    AlignCorners,
    /// The first elements coincide: `i s`.
    Asymmetric,
}

/// Which neighbour is the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// The one before.
    Floor,
    /// The one after.
    Ceil,
    /// The nearer; of two equally near ones the first.
    HalfDown,
    /// The nearer; of two equally near ones the second.
    HalfUp,
}

/// How values between elements come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resizing {
    /// The nearest element.
    Nearest(Rounding),
    /// Linear interpolation between two neighbours.
    Linear,
    /// Cubic convolution of four neighbours with a = -0.75.
    Cubic,
    /// Linear, with the window widened by the factor of a reduction.
    LinearAntialiased,
    /// The mean of the elements that share out the operand.
    Area,
}

/// Another size; one operand.
#[derive(Debug, Clone, PartialEq)]
pub struct Resize {
    /// Length of every spatial axis of the result.
    pub size: Vec<usize>,
    /// How values between elements come about.
    pub mode: Resizing,
    /// Which place an element stands for.
    pub coordinates: Coordinates,
    /// Factors of enlargement where they, not the lengths, give the distance between places; one for every spatial axis.
    pub factors: Option<Vec<f64>>,
}

impl Resize {
    /// For every element of an axis of the result, the elements of the operand it is made of, with their weights.
    pub(crate) fn taps<T: Real>(&self, axis: usize, n: usize) -> Vec<Vec<(usize, T)>> {
        let m = self.size[axis];
        let real = |v: usize| T::of(v as f64);
        let step = match (&self.factors, self.coordinates) {
            (_, Coordinates::AlignCorners) if m > 1 => real(n - 1) / real(m - 1),
            (_, Coordinates::AlignCorners) => T::of(0.0),
            (Some(factors), _) => T::of(1.0 / factors[axis]),
            (None, _) => real(n) / real(m),
        };
        let half = T::of(0.5);
        let place = |i: usize| match self.coordinates {
            Coordinates::HalfPixel => (real(i) + half) * step - half,
            _ => real(i) * step,
        };
        let held = |i: f64| i.clamp(0.0, (n - 1) as f64) as usize;
        (0..m)
            .map(|i| match self.mode {
                Resizing::Nearest(rounding) => {
                    // the choice of an element is the same in every precision
                    let step = step.wide() as f32;
                    let edge = (i as f32 + 0.5) * step;
                    let p = if self.coordinates == Coordinates::HalfPixel { edge - 0.5 } else { i as f32 * step };
                    let nearest = match rounding {
                        Rounding::Floor => p.floor(),
                        Rounding::Ceil => p.ceil(),
                        Rounding::HalfDown => (p - 0.5).ceil(),
                        Rounding::HalfUp if self.coordinates == Coordinates::HalfPixel => edge.floor(),
                        Rounding::HalfUp => (p + 0.5).floor(),
                    };
                    vec![(held(nearest.into()), T::of(1.0))]
                }
                Resizing::Linear => {
                    let p = place(i);
                    let p = if p < T::of(0.0) { T::of(0.0) } else { p };
                    let first = p.map(f64::floor);
                    let t = p - first;
                    vec![(held(first.wide()), T::of(1.0) - t), (held(first.wide() + 1.0), t)]
                }
                Resizing::Cubic => {
                    let p = place(i);
                    let first = p.map(f64::floor);
                    let t = p - first;
                    let one = T::of(1.0);
                    [(-1.0, t + one), (0.0, t), (1.0, one - t), (2.0, T::of(2.0) - t)]
                        .map(|(d, distance)| (held(first.wide() + d), cubic(distance)))
                        .to_vec()
                }
                Resizing::LinearAntialiased => {
                    let reach = step.map(|s| s.max(1.0));
                    let centre = (real(i) + half) * step;
                    let first = (centre - reach + half).wide().max(0.0) as usize;
                    let end = ((centre + reach + half).wide() as usize).min(n);
                    let weight = |j: usize| ((real(j) - centre + half) / reach).map(|d| (1.0 - d.abs()).max(0.0));
                    let sum = (first..end).fold(T::of(0.0), |sum, j| sum + weight(j));
                    (first..end).map(|j| (j, weight(j) / sum)).collect()
                }
                Resizing::Area => {
                    let window = share(i, m, n);
                    let weight = T::of(1.0) / real(window.len());
                    window.map(|j| (j, weight)).collect()
                }
            })
            .collect()
    }
}

/// The kernel of cubic convolution (Keys 1981) with a = -0.75 at a distance.
fn cubic<T: Real>(d: T) -> T {
    let a = T::of(-0.75);
    let v = |x: f64| T::of(x);
    if d <= v(1.0) {
        ((a + v(2.0)) * d - (a + v(3.0))) * d * d + v(1.0)
    } else {
        ((a * d - v(5.0) * a) * d + v(8.0) * a) * d - v(4.0) * a
    }
}

impl Operator for Resize {
    fn name(&self) -> &'static str {
        "resize"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 1..=1)?;
        real(inputs)?;
        let shape = &inputs[0].shape;
        let axes = self.size.len();
        if axes == 0 || shape.len() != axes + 2 || self.factors.as_ref().is_some_and(|f| f.len() != axes) {
            return Err(format!("it yields {:?}, one length for every spatial axis", self.size));
        }
        if self.factors.iter().flatten().any(|&f| !(f.is_finite() && f > 0.0)) {
            return Err("factors must be positive".into());
        }
        Ok(vec![Type::f32([&shape[..2], &self.size].concat())])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let mut x = inputs[0].clone();
        for axis in 0..self.size.len() {
            let taps = self.taps::<T>(axis, x.shape[2 + axis]);
            let mut shape = x.shape.clone();
            shape[2 + axis] = self.size[axis];
            x = Array::from_index(shape, |y| {
                let mut from = y.to_vec();
                taps[y[2 + axis]].iter().fold(T::of(0.0), |sum, &(i, weight)| {
                    from[2 + axis] = i;
                    sum + x.at(&from) * weight
                })
            });
        }
        vec![x]
    }
}
