//! Samples of an image at places that another value gives.
//!
//! Gradients: both operands.

use super::{operands, real, Operator, PadMode, Rule};
use crate::graph::Type;
use crate::reference::{Array, Real};

/// What samples beyond the edges are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Border {
    /// Zero.
    Zeros,
    /// The nearest element at the edge.
    Edge,
    /// The mirror image.
    Reflection,
}

/// Samples at places; operands: x `(n, c, h, w)`, grid `(n, oh, ow, 2)` of (column, row) between -1 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GridSample {
    /// The nearest element instead of linear interpolation.
    pub nearest: bool,
    /// What lies beyond the edges.
    pub border: Border,
    /// Whether -1 and 1 are the centres of the outermost elements, not their outer edges.
    pub align_corners: bool,
}

/// The image `x` between its elements: place (`row`, `col`) in elements, neighbours beyond the edges as `source` says.
pub(crate) fn bilinear<T: Real>(
    x: &Array<T>,
    n: usize,
    c: usize,
    row: T,
    col: T,
    source: impl Fn(isize, usize) -> Option<usize>,
) -> T {
    let (top, left) = (row.map(f64::floor), col.map(f64::floor));
    let (down, right) = (row - top, col - left);
    let one = T::of(1.0);
    let mut sum = T::of(0.0);
    for (dr, wr) in [(0, one - down), (1, down)] {
        for (dc, wc) in [(0, one - right), (1, right)] {
            let at = (source(top.wide() as isize + dr, x.shape[2]), source(left.wide() as isize + dc, x.shape[3]));
            if let (Some(r), Some(c2)) = at {
                sum += x.at(&[n, c, r, c2]) * wr * wc;
            }
        }
    }
    sum
}

impl GridSample {
    /// The place in elements that a coordinate between -1 and 1 means.
    fn place<T: Real>(&self, g: T, n: usize) -> T {
        let (n, one, half) = (T::of(n as f64), T::of(1.0), T::of(0.5));
        let place = if self.align_corners { (g + one) * half * (n - one) } else { ((g + one) * n - one) * half };
        match self.border {
            Border::Zeros => place,
            Border::Edge => place.map(|p| p.max(0.0).min(n.wide() - 1.0)),
            Border::Reflection => place.map(|p| {
                let (low, span) = if self.align_corners { (0.0, n.wide() - 1.0) } else { (-0.5, n.wide()) };
                if span <= 0.0 {
                    return 0.0;
                }
                let p = (p - low).rem_euclid(2.0 * span);
                (if p > span { 2.0 * span - p } else { p } + low).clamp(0.0, n.wide() - 1.0)
            }),
        }
    }
}

impl Operator for GridSample {
    fn name(&self) -> &'static str {
        "grid sample"
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        operands(inputs, 2..=2)?;
        real(inputs)?;
        let (x, grid) = (&inputs[0].shape, &inputs[1].shape);
        if x.len() != 4 || grid.len() != 4 || grid[0] != x[0] || grid[3] != 2 {
            return Err("an image (n, c, h, w) and places (n, rows, columns, 2) are needed".into());
        }
        Ok(vec![Type::f32([x[0], x[1], grid[1], grid[2]])])
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, grid) = (inputs[0], inputs[1]);
        vec![Array::from_index([x.shape[0], x.shape[1], grid.shape[1], grid.shape[2]], |y| {
            let mut col = self.place(grid.at(&[y[0], y[2], y[3], 0]), x.shape[3]);
            let mut row = self.place(grid.at(&[y[0], y[2], y[3], 1]), x.shape[2]);
            if self.nearest {
                (col, row) = (col.map(f64::round_ties_even), row.map(f64::round_ties_even));
            }
            bilinear(x, y[0], y[1], row, col, |i, n| PadMode::Zeros.source(i, n))
        })]
    }
}
