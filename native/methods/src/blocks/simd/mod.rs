//! Vectors of `f32` on whatever the processor has, chosen at run time.
//!
//! A kernel is written once, generic over [`Simd`], as an `#[inline(always)]` function; one small function per [`Path`] with the
//! right `#[target_feature]` calls it. A value of a `Simd` type can exist only where its instructions do, so its operations are
//! safe; only loads and stores, which take pointers, are not.
//!
//! Comparisons give the same answer on every path. `mul_add` rounds once where the processor has fused multiply-add and twice
//! elsewhere, so sums differ between paths in the last bits.

pub mod path;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use path::Path;
pub use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// Operations on vectors of [`Simd::WIDTH`] values.
pub trait Simd: Copy {
    /// Values in a vector.
    const WIDTH: usize;
    /// A vector of `f32`.
    type V: Copy;
    /// A vector of `i32`, as many as of `f32`.
    type I: Copy;
    /// One truth value per lane.
    type M: Copy;

    /// The same value in every lane.
    fn splat(self, value: f32) -> Self::V;
    /// The same integer in every lane.
    fn splat_int(self, value: i32) -> Self::I;
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller of `a` and `b`, neither of which is `NaN`.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger of `a` and `b`, neither of which is `NaN`.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `|a|`.
    fn abs(self, a: Self::V) -> Self::V;
    /// `a * b + c`.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a + b > c`, where the addition wraps around.
    fn wrapped_more(self, a: Self::I, b: Self::I, c: Self::I) -> Self::M;
    /// `m` and `a + b > c`, where the addition wraps around.
    fn and_wrapped_more(self, m: Self::M, a: Self::I, b: Self::I, c: Self::I) -> Self::M;
    /// True in every lane.
    fn every(self) -> Self::M;
    /// Bit i is lane i of `m`.
    fn bits(self, m: Self::M) -> u32;
    /// `a < b`; false for `NaN`.
    fn less(self, a: Self::V, b: Self::V) -> Self::M;
    /// `m` and `a < b`.
    fn and_less(self, m: Self::M, a: Self::V, b: Self::V) -> Self::M;
    /// `m`, and `a < b` or `c < d`. Nothing may be `NaN` where `m` holds.
    fn and_either_less(self, m: Self::M, a: Self::V, b: Self::V, c: Self::V, d: Self::V) -> Self::M;
    /// `a * b + c` where `m`, else 0.
    fn mul_add_where(self, m: Self::M, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a` where `m`, else `b`, bit for bit.
    fn select(self, m: Self::M, a: Self::V, b: Self::V) -> Self::V;
    /// `a` where `m`, else 0.
    fn keep_where(self, m: Self::M, a: Self::V) -> Self::V;

    /// Reads a vector.
    ///
    /// # Safety
    /// [`Simd::WIDTH`] values must be readable at `from`; no alignment is needed.
    unsafe fn load(self, from: *const f32) -> Self::V;

    /// Reads a vector of integers.
    ///
    /// # Safety
    /// As [`Simd::load`].
    unsafe fn load_int(self, from: *const i32) -> Self::I;

    /// Writes a vector.
    ///
    /// # Safety
    /// [`Simd::WIDTH`] values must be writable at `to`; no alignment is needed.
    unsafe fn store(self, to: *mut f32, a: Self::V);
}
