//! A convolution in the way that suits it: by squares of results where that is possible and sooner done, else tap by tap.

use stfusion_simd::Path;

use super::convolution::Prepared;
use super::rows::Finish;
use super::squares::Squares;
use super::Shared;
use crate::ops::Convolution;

/// A convolution with prepared weights for an operand of one shape.
#[derive(Debug)]
pub(crate) enum Convolved {
    /// Tap by tap.
    Taps(Prepared),
    /// By squares of 2x2 results.
    Squares(Squares),
}

impl Convolved {
    /// A convolution of x (shape `x`) with `weight` (shape `w`) into shape `y`, as the graph has checked.
    pub(crate) fn new(
        path: Path,
        op: &Convolution,
        [x, w, y]: [&[usize]; 3],
        weight: &[f32],
        bias: Option<&[f32]>,
        finish: Finish,
    ) -> Self {
        if Squares::suit(path, op, x, w, y) {
            return Convolved::Squares(Squares::new(path, op, [x, w, y], weight, bias, finish));
        }
        let mut taps = Prepared::new(path, op, x, w, weight, bias, y);
        taps.finish = finish;
        Convolved::Taps(taps)
    }

    /// Bytes that a run needs per thread beside its operands and result.
    pub(crate) fn scratch_bytes(&self) -> usize {
        match self {
            Convolved::Taps(c) => c.scratch_bytes(),
            Convolved::Squares(c) => c.scratch_bytes(),
        }
    }

    /// Runs on `x` into `y`; `residual`, of the shape of `y` and possibly the same memory, is added before the nonlinearity.
    ///
    /// # Safety
    /// `y` and `residual` must hold a value for every element of the result, and nobody else may touch `y`.
    pub(crate) unsafe fn run(&self, x: &[f32], residual: Option<*const f32>, y: Shared) {
        // SAFETY: as for this function.
        unsafe {
            match self {
                Convolved::Taps(c) => c.run(x, residual, y),
                Convolved::Squares(c) => c.run(x, residual, y),
            }
        }
    }
}
