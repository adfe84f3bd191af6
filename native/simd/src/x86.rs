//! SSE2 (4 lanes), AVX2 with fused multiply-add (8 lanes) and AVX-512F (16 lanes).

use std::arch::x86_64::*;

use super::Simd;

/// SSE2, which every x86-64 processor has.
#[derive(Debug, Clone, Copy)]
pub struct Sse2;

/// An operation on registers, which a token allows.
macro_rules! allowed {
    ($e:expr) => {
        // SAFETY: the token `self` exists, so the processor has the instructions; no memory is touched.
        unsafe { $e }
    };
}

impl Simd for Sse2 {
    const WIDTH: usize = 4;
    type V = __m128;
    type I = __m128i;
    type M = __m128;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        allowed!(_mm_set1_ps(value))
    }
    #[inline(always)]
    fn splat_int(self, value: i32) -> Self::I {
        allowed!(_mm_set1_epi32(value))
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm_mul_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm_min_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm_max_ps(a, b))
    }
    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        allowed!(_mm_andnot_ps(_mm_set1_ps(-0.0), a))
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        allowed!(_mm_add_ps(_mm_mul_ps(a, b), c))
    }
    #[inline(always)]
    fn wrapped_more(self, a: Self::I, b: Self::I, c: Self::I) -> Self::M {
        allowed!(_mm_castsi128_ps(_mm_cmpgt_epi32(_mm_add_epi32(a, b), c)))
    }
    #[inline(always)]
    fn and_wrapped_more(self, m: Self::M, a: Self::I, b: Self::I, c: Self::I) -> Self::M {
        allowed!(_mm_and_ps(m, _mm_castsi128_ps(_mm_cmpgt_epi32(_mm_add_epi32(a, b), c))))
    }
    #[inline(always)]
    fn every(self) -> Self::M {
        allowed!(_mm_castsi128_ps(_mm_set1_epi32(-1)))
    }
    #[inline(always)]
    fn bits(self, m: Self::M) -> u32 {
        allowed!(_mm_movemask_ps(m)) as u32
    }
    #[inline(always)]
    fn less(self, a: Self::V, b: Self::V) -> Self::M {
        allowed!(_mm_cmplt_ps(a, b))
    }
    #[inline(always)]
    fn and_less(self, m: Self::M, a: Self::V, b: Self::V) -> Self::M {
        allowed!(_mm_and_ps(m, _mm_cmplt_ps(a, b)))
    }
    #[inline(always)]
    fn and_either_less(self, m: Self::M, a: Self::V, b: Self::V, c: Self::V, d: Self::V) -> Self::M {
        allowed!(_mm_and_ps(m, _mm_or_ps(_mm_cmplt_ps(a, b), _mm_cmplt_ps(c, d))))
    }
    #[inline(always)]
    fn mul_add_where(self, m: Self::M, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        allowed!(_mm_and_ps(m, _mm_add_ps(_mm_mul_ps(a, b), c)))
    }
    #[inline(always)]
    fn select(self, m: Self::M, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm_or_ps(_mm_and_ps(m, a), _mm_andnot_ps(m, b)))
    }
    #[inline(always)]
    fn keep_where(self, m: Self::M, a: Self::V) -> Self::V {
        allowed!(_mm_and_ps(m, a))
    }
    #[inline(always)]
    fn power_of_two(self, n: Self::V) -> Self::V {
        allowed!({
            let exponent = _mm_add_epi32(_mm_cvtps_epi32(n), _mm_set1_epi32(127));
            _mm_castsi128_ps(_mm_slli_epi32::<23>(exponent))
        })
    }
    #[inline(always)]
    fn interleaved(self, a: Self::V, b: Self::V) -> [Self::V; 2] {
        allowed!([_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b)])
    }
    #[inline(always)]
    fn parted(self, a: Self::V, b: Self::V) -> [Self::V; 2] {
        allowed!([_mm_shuffle_ps::<0x88>(a, b), _mm_shuffle_ps::<0xDD>(a, b)])
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller gives WIDTH readable values.
        unsafe { _mm_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn load_int(self, from: *const i32) -> Self::I {
        // SAFETY: the caller gives WIDTH readable values.
        unsafe { _mm_loadu_si128(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, a: Self::V) {
        // SAFETY: the caller gives WIDTH writable values.
        unsafe { _mm_storeu_ps(to, a) }
    }
}

/// AVX2 and FMA are available.
#[derive(Debug, Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// The token.
    ///
    /// # Safety
    /// The processor must have AVX2 and FMA.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Avx2(())
    }
}

/// AVX-512F is available.
#[derive(Debug, Clone, Copy)]
pub struct Avx512(());

impl Avx512 {
    /// The token.
    ///
    /// # Safety
    /// The processor must have AVX-512F.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Avx512(())
    }
}

impl Simd for Avx2 {
    const WIDTH: usize = 8;
    type V = __m256;
    type I = __m256i;
    type M = __m256;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        allowed!(_mm256_set1_ps(value))
    }
    #[inline(always)]
    fn splat_int(self, value: i32) -> Self::I {
        allowed!(_mm256_set1_epi32(value))
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        allowed!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a))
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        allowed!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn wrapped_more(self, a: Self::I, b: Self::I, c: Self::I) -> Self::M {
        allowed!(_mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_add_epi32(a, b), c)))
    }
    #[inline(always)]
    fn and_wrapped_more(self, m: Self::M, a: Self::I, b: Self::I, c: Self::I) -> Self::M {
        allowed!(_mm256_and_ps(m, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_add_epi32(a, b), c))))
    }
    #[inline(always)]
    fn every(self) -> Self::M {
        allowed!(_mm256_castsi256_ps(_mm256_set1_epi32(-1)))
    }
    #[inline(always)]
    fn bits(self, m: Self::M) -> u32 {
        allowed!(_mm256_movemask_ps(m)) as u32
    }
    #[inline(always)]
    fn less(self, a: Self::V, b: Self::V) -> Self::M {
        allowed!(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn and_less(self, m: Self::M, a: Self::V, b: Self::V) -> Self::M {
        allowed!(_mm256_and_ps(m, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)))
    }
    #[inline(always)]
    fn and_either_less(self, m: Self::M, a: Self::V, b: Self::V, c: Self::V, d: Self::V) -> Self::M {
        allowed!(_mm256_and_ps(m, _mm256_or_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b), _mm256_cmp_ps::<_CMP_LT_OQ>(c, d))))
    }
    #[inline(always)]
    fn mul_add_where(self, m: Self::M, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        allowed!(_mm256_and_ps(m, _mm256_fmadd_ps(a, b, c)))
    }
    #[inline(always)]
    fn select(self, m: Self::M, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm256_blendv_ps(b, a, m))
    }
    #[inline(always)]
    fn keep_where(self, m: Self::M, a: Self::V) -> Self::V {
        allowed!(_mm256_and_ps(m, a))
    }
    #[inline(always)]
    fn power_of_two(self, n: Self::V) -> Self::V {
        allowed!({
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        })
    }
    #[inline(always)]
    fn interleaved(self, a: Self::V, b: Self::V) -> [Self::V; 2] {
        // unpacking works within halves
        allowed!({
            let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            [_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high)]
        })
    }
    #[inline(always)]
    fn parted(self, a: Self::V, b: Self::V) -> [Self::V; 2] {
        allowed!({
            let (low, high) = (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b));
            [_mm256_shuffle_ps::<0x88>(low, high), _mm256_shuffle_ps::<0xDD>(low, high)]
        })
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller gives WIDTH readable values.
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn load_int(self, from: *const i32) -> Self::I {
        // SAFETY: the caller gives WIDTH readable values.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, a: Self::V) {
        // SAFETY: the caller gives WIDTH writable values.
        unsafe { _mm256_storeu_ps(to, a) }
    }
}

impl Simd for Avx512 {
    const WIDTH: usize = 16;
    type V = __m512;
    type I = __m512i;
    type M = __mmask16;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        allowed!(_mm512_set1_ps(value))
    }
    #[inline(always)]
    fn splat_int(self, value: i32) -> Self::I {
        allowed!(_mm512_set1_epi32(value))
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        allowed!(_mm512_abs_ps(a))
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        allowed!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn wrapped_more(self, a: Self::I, b: Self::I, c: Self::I) -> Self::M {
        allowed!(_mm512_cmpgt_epi32_mask(_mm512_add_epi32(a, b), c))
    }
    #[inline(always)]
    fn and_wrapped_more(self, m: Self::M, a: Self::I, b: Self::I, c: Self::I) -> Self::M {
        allowed!(_mm512_mask_cmpgt_epi32_mask(m, _mm512_add_epi32(a, b), c))
    }
    #[inline(always)]
    fn every(self) -> Self::M {
        !0
    }
    #[inline(always)]
    fn bits(self, m: Self::M) -> u32 {
        u32::from(m)
    }
    #[inline(always)]
    fn less(self, a: Self::V, b: Self::V) -> Self::M {
        allowed!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn and_less(self, m: Self::M, a: Self::V, b: Self::V) -> Self::M {
        allowed!(_mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(m, a, b))
    }
    #[inline(always)]
    fn and_either_less(self, m: Self::M, a: Self::V, b: Self::V, c: Self::V, d: Self::V) -> Self::M {
        let neither = allowed!(_mm512_mask_cmp_ps_mask::<_CMP_NLT_UQ>(m, a, b));
        let neither = allowed!(_mm512_mask_cmp_ps_mask::<_CMP_NLT_UQ>(neither, c, d));
        m & !neither
    }
    #[inline(always)]
    fn mul_add_where(self, m: Self::M, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        allowed!(_mm512_maskz_fmadd_ps(m, a, b, c))
    }
    #[inline(always)]
    fn select(self, m: Self::M, a: Self::V, b: Self::V) -> Self::V {
        allowed!(_mm512_mask_mov_ps(b, m, a))
    }
    #[inline(always)]
    fn keep_where(self, m: Self::M, a: Self::V) -> Self::V {
        allowed!(_mm512_maskz_mov_ps(m, a))
    }
    #[inline(always)]
    fn power_of_two(self, n: Self::V) -> Self::V {
        allowed!({
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        })
    }
    #[inline(always)]
    fn interleaved(self, a: Self::V, b: Self::V) -> [Self::V; 2] {
        allowed!({
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            [_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b)]
        })
    }
    #[inline(always)]
    fn parted(self, a: Self::V, b: Self::V) -> [Self::V; 2] {
        allowed!({
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            [_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b)]
        })
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller gives WIDTH readable values.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn load_int(self, from: *const i32) -> Self::I {
        // SAFETY: the caller gives WIDTH readable values.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, a: Self::V) {
        // SAFETY: the caller gives WIDTH writable values.
        unsafe { _mm512_storeu_ps(to, a) }
    }
}
