//! Vectors of `f32` on whatever the processor has, chosen at run time.
//!
//! A kernel is written once, generic over [`Simd`], as an `#[inline(always)]` function; one small function per [`Path`] with the
//! right `#[target_feature]` calls it. A value of a `Simd` type can exist only where its instructions do, so its operations are
//! safe; only loads and stores, which take pointers, are not.
//!
//! Comparisons give the same answer on every path. `mul_add` rounds once where the processor has fused multiply-add and twice
//! elsewhere, so sums differ between paths in the last bits.

pub mod path;
#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use path::Path;
#[cfg(not(target_arch = "x86_64"))]
pub use portable::Portable as Baseline;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512, Sse2 as Baseline};

/// Runs plain loops with the wider vectors that `path` allows. Their results do not depend on the path: the compiler never fuses
/// or reorders floating-point operations. Only what is inlined is widened: `work` must be `#[inline(always)]`, and so must what it
/// calls in its loops.
#[inline]
pub fn widened<R>(path: Path, work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn wide<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        if path != Path::Baseline && Path::Avx2.is_available() {
            // SAFETY: the processor has AVX2.
            return unsafe { wide(work) };
        }
    }
    let _ = path;
    work()
}

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
    /// The larger of `a` and `b`; `b` where either is `NaN`.
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
    /// 2 to the power of whole numbers between -126 and 127.
    fn power_of_two(self, n: Self::V) -> Self::V;
    /// The lanes of `a` and `b` in turn, from the first ones on.
    fn interleaved(self, a: Self::V, b: Self::V) -> [Self::V; 2];
    /// The even and the odd lanes of `a` followed by those of `b`: the inverse of [`Simd::interleaved`].
    fn parted(self, a: Self::V, b: Self::V) -> [Self::V; 2];

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::portable::Portable;
    use super::*;

    /// Every operation on the first lanes of `f` and `i`: what each lane becomes.
    fn outcomes<X: Simd>(x: X, f: &[[f32; 16]; 4], i: &[[i32; 16]; 3]) -> Vec<Vec<u32>> {
        // SAFETY: every array has at least as many lanes as the widest vector.
        let (a, b, c, d) =
            unsafe { (x.load(f[0].as_ptr()), x.load(f[1].as_ptr()), x.load(f[2].as_ptr()), x.load(f[3].as_ptr())) };
        // SAFETY: as above.
        let (p, q, r) = unsafe { (x.load_int(i[0].as_ptr()), x.load_int(i[1].as_ptr()), x.load_int(i[2].as_ptr())) };
        let lanes = |v: X::V| {
            let mut out = [0.0f32; 16];
            // SAFETY: as above.
            unsafe { x.store(out.as_mut_ptr(), v) };
            out[..X::WIDTH].iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        let truths = |m: X::M| (0..X::WIDTH).map(|lane| x.bits(m) >> lane & 1).collect::<Vec<_>>();
        let less = x.less(a, b);
        vec![
            lanes(x.splat(f[0][0])),
            lanes(x.add(a, b)),
            lanes(x.sub(a, b)),
            lanes(x.mul(a, b)),
            lanes(x.min(a, b)),
            lanes(x.max(a, b)),
            lanes(x.abs(a)),
            lanes(x.mul_add(a, b, c)),
            lanes(x.mul_add_where(less, a, b, c)),
            lanes(x.select(less, c, d)),
            lanes(x.keep_where(less, c)),
            lanes(x.power_of_two(a)),
            truths(x.every()),
            truths(less),
            truths(x.and_less(less, c, d)),
            truths(x.and_either_less(less, b, c, c, d)),
            truths(x.wrapped_more(p, q, r)),
            truths(x.and_wrapped_more(less, p, q, x.splat_int(i[2][0]))),
        ]
    }

    /// Lanes in turn, and parted again; what becomes of NaN.
    fn shuffled<X: Simd>(x: X) {
        let numbers: [f32; 32] = std::array::from_fn(|i| i as f32);
        let mut got = [0.0f32; 32];
        let w = X::WIDTH;
        // SAFETY: the arrays hold two vectors of the widest kind.
        unsafe {
            let (a, b) = (x.load(numbers.as_ptr()), x.load(numbers[w..].as_ptr()));
            let [low, high] = x.interleaved(a, b);
            x.store(got.as_mut_ptr(), low);
            x.store(got[w..].as_mut_ptr(), high);
            let expected: Vec<f32> = (0..2 * w).map(|i| numbers[i % 2 * w + i / 2]).collect();
            assert_eq!(got[..2 * w], expected[..]);
            x.store(got.as_mut_ptr(), x.max(a, x.splat(f32::NAN)));
            assert!(got[..w].iter().all(|v| v.is_nan()));
            x.store(got.as_mut_ptr(), x.max(x.splat(f32::NAN), b));
            assert_eq!(got[..w], numbers[w..2 * w]);
            let [even, odd] = x.parted(low, high);
            x.store(got.as_mut_ptr(), even);
            x.store(got[w..].as_mut_ptr(), odd);
            assert_eq!(got[..2 * w], numbers[..2 * w]);
        }
    }

    #[test]
    fn lanes_are_interleaved_and_parted_and_the_second_number_wins_over_nan() {
        shuffled(Portable);
        shuffled(Baseline);
        #[cfg(target_arch = "x86_64")]
        {
            if Path::Avx2.is_available() {
                // SAFETY: the processor has AVX2 and FMA.
                shuffled(unsafe { Avx2::new() });
            }
            if Path::Avx512.is_available() {
                // SAFETY: the processor has AVX-512F.
                shuffled(unsafe { Avx512::new() });
            }
        }
    }

    proptest! {
        #[test]
        fn every_path_does_what_plain_rust_does(
            f in prop::array::uniform4(prop::array::uniform16(-8i8..8)), i in prop::array::uniform3(prop::array::uniform16(any::<i32>())),
        ) {
            // small whole numbers: fused and separate rounding give the same
            let f = f.map(|lanes| lanes.map(f32::from));
            let compare = |name: &str, width: usize, got: Vec<Vec<u32>>| {
                for first in (0..width).step_by(Portable::WIDTH) {
                    let floats = f.map(|mut lanes| { lanes.rotate_left(first); lanes });
                    let integers = i.map(|mut lanes| { lanes.rotate_left(first); lanes });
                    let expected = outcomes(Portable, &floats, &integers);
                    for (op, (got, expected)) in got.iter().zip(&expected).enumerate() {
                        // numbers that are the same for all lanes come from the first one
                        if matches!(op, 0 | 17) && first > 0 { continue }
                        prop_assert_eq!(&got[first..first + Portable::WIDTH], &expected[..], "{}, operation {}", name, op);
                    }
                }
                Ok(())
            };
            compare("baseline", Baseline::WIDTH, outcomes(Baseline, &f, &i))?;
            #[cfg(target_arch = "x86_64")]
            {
                if Path::Avx2.is_available() {
                    // SAFETY: the processor has AVX2 and FMA.
                    compare("avx2", Avx2::WIDTH, outcomes(unsafe { Avx2::new() }, &f, &i))?;
                }
                if Path::Avx512.is_available() {
                    // SAFETY: the processor has AVX-512F.
                    compare("avx512", Avx512::WIDTH, outcomes(unsafe { Avx512::new() }, &f, &i))?;
                }
            }
        }
    }
}
