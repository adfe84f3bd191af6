//! Rows of images on their way into a convolution and out of it.

use stfusion_simd::Simd;

use super::elementwise;
use crate::ops::{Activation, PadMode};

/// What happens to a sum before it is stored, beside adding the bias.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Finish {
    /// Nothing.
    Plain,
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, else a multiple (at most 1) of it.
    Leaky(f32),
    /// Another nonlinearity, in a pass of its own over the row.
    Other(Activation),
}

impl From<Activation> for Finish {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Relu => Finish::Relu,
            Activation::LeakyRelu(slope) if (0.0..=1.0).contains(&slope) => Finish::Leaky(slope as f32),
            other => Finish::Other(other),
        }
    }
}

impl Finish {
    /// Adds the residual to a row of sums, applies the nonlinearity and stores the row.
    ///
    /// # Safety
    /// `y` must be writable, `residual` readable for a row.
    #[inline(always)]
    pub(super) unsafe fn row<S: Simd>(self, s: S, sums: &mut [f32], residual: Option<*const f32>, y: *mut f32) {
        let n = sums.len();
        // SAFETY: every index is below n.
        unsafe {
            if let Some(residual) = residual {
                for (i, v) in sums.iter_mut().enumerate() {
                    *v += *residual.add(i);
                }
            }
            if let Finish::Other(activation) = self {
                elementwise::activate(activation, sums);
            }
            let zero = s.splat(0.0);
            let mut i = 0;
            while i + S::WIDTH <= n {
                let v = s.load(sums.as_ptr().add(i));
                let v = match self {
                    Finish::Plain | Finish::Other(_) => v,
                    Finish::Relu => s.max(zero, v),
                    Finish::Leaky(slope) => s.max(s.mul(s.splat(slope), v), v),
                };
                s.store(y.add(i), v);
                i += S::WIDTH;
            }
            while i < n {
                let v = sums[i];
                *y.add(i) = match self {
                    Finish::Relu if v < 0.0 => 0.0,
                    Finish::Leaky(slope) if v < 0.0 => slope * v,
                    _ => v,
                };
                i += 1;
            }
        }
    }
}

/// Copies the elements of a row from place `left` on, padded.
#[inline(always)]
pub(super) fn padded(mode: PadMode, from: &[f32], left: isize, to: &mut [f32]) {
    let before = usize::try_from(-left).unwrap_or(0).min(to.len());
    let skip = usize::try_from(left).unwrap_or(0).min(from.len());
    let inside = (from.len() - skip).min(to.len() - before);
    to[before..before + inside].copy_from_slice(&from[skip..skip + inside]);
    let made_up = |i: usize| mode.source(left + i as isize, from.len()).map_or(0.0, |c| from[c]);
    for i in (0..before).chain(before + inside..to.len()) {
        to[i] = made_up(i);
    }
}

/// Asks for `count` values from `from` on, which will be needed soon; the memory need not exist. Rows of many planes are walked side by
/// side, more streams than a processor foresees.
#[inline(always)]
pub(super) fn ahead(from: *const f32, count: usize) {
    #[cfg(target_arch = "x86_64")]
    for i in (0..count).step_by(16) {
        // SAFETY: a prefetch never fails.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(from.wrapping_add(i).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, count);
}
