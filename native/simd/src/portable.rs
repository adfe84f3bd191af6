//! Four lanes in plain Rust, for every processor; compilers turn them into the vectors of the target's baseline.

use super::Simd;

/// Needs nothing.
#[derive(Debug, Clone, Copy)]
pub struct Portable;

const W: usize = 4;

/// All bits set where true.
type Mask = [u32; W];

#[inline(always)]
fn mask(f: impl Fn(usize) -> bool) -> Mask {
    std::array::from_fn(|i| (f(i) as u32).wrapping_neg())
}

impl Simd for Portable {
    const WIDTH: usize = W;
    type V = [f32; W];
    type I = [i32; W];
    type M = Mask;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; W]
    }
    #[inline(always)]
    fn splat_int(self, value: i32) -> Self::I {
        [value; W]
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i].abs())
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn wrapped_more(self, a: Self::I, b: Self::I, c: Self::I) -> Self::M {
        mask(|i| a[i].wrapping_add(b[i]) > c[i])
    }
    #[inline(always)]
    fn and_wrapped_more(self, m: Self::M, a: Self::I, b: Self::I, c: Self::I) -> Self::M {
        let l = self.wrapped_more(a, b, c);
        std::array::from_fn(|i| m[i] & l[i])
    }
    #[inline(always)]
    fn every(self) -> Self::M {
        [u32::MAX; W]
    }
    #[inline(always)]
    fn bits(self, m: Self::M) -> u32 {
        (0..W).map(|i| m[i] & (1 << i)).sum()
    }
    #[inline(always)]
    fn less(self, a: Self::V, b: Self::V) -> Self::M {
        mask(|i| a[i] < b[i])
    }
    #[inline(always)]
    fn and_less(self, m: Self::M, a: Self::V, b: Self::V) -> Self::M {
        let l = mask(|i| a[i] < b[i]);
        std::array::from_fn(|i| m[i] & l[i])
    }
    #[inline(always)]
    fn and_either_less(self, m: Self::M, a: Self::V, b: Self::V, c: Self::V, d: Self::V) -> Self::M {
        let (l, k) = (mask(|i| a[i] < b[i]), mask(|i| c[i] < d[i]));
        std::array::from_fn(|i| m[i] & (l[i] | k[i]))
    }
    #[inline(always)]
    fn mul_add_where(self, m: Self::M, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        self.keep_where(m, self.mul_add(a, b, c))
    }
    #[inline(always)]
    fn select(self, m: Self::M, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| f32::from_bits(m[i] & a[i].to_bits() | !m[i] & b[i].to_bits()))
    }
    #[inline(always)]
    fn keep_where(self, m: Self::M, a: Self::V) -> Self::V {
        std::array::from_fn(|i| f32::from_bits(m[i] & a[i].to_bits()))
    }
    #[inline(always)]
    fn power_of_two(self, n: Self::V) -> Self::V {
        std::array::from_fn(|i| f32::from_bits(((n[i] as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn interleaved(self, a: Self::V, b: Self::V) -> [Self::V; 2] {
        [[a[0], b[0], a[1], b[1]], [a[2], b[2], a[3], b[3]]]
    }
    #[inline(always)]
    fn parted(self, a: Self::V, b: Self::V) -> [Self::V; 2] {
        [[a[0], a[2], b[0], b[2]], [a[1], a[3], b[1], b[3]]]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller gives WIDTH readable values.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_int(self, from: *const i32) -> Self::I {
        // SAFETY: the caller gives WIDTH readable values.
        unsafe { from.cast::<Self::I>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, a: Self::V) {
        // SAFETY: the caller gives WIDTH writable values.
        unsafe { to.cast::<Self::V>().write_unaligned(a) }
    }
}
