//! Independent chains of multiply-add: what the processor could do at best, for benchmarks to compare with.

use super::{Path, Portable, Simd};

/// Chains of one vector each; more than the latency of a multiply-add times the number of units that do it.
const CHAINS: usize = 12;

#[inline(always)]
fn chains<S: Simd>(simd: S, rounds: u64) -> f32 {
    let (a, b) = (simd.splat(0.999_9), simd.splat(1e-4));
    let mut x = [a; CHAINS];
    for (i, v) in x.iter_mut().enumerate() {
        *v = simd.splat(i as f32);
    }
    for _ in 0..std::hint::black_box(rounds) {
        for v in &mut x {
            *v = simd.mul_add(*v, a, b);
        }
    }
    let mut sum = simd.splat(0.0);
    for v in x {
        sum = simd.add(sum, v);
    }
    let mut lanes = [0.0f32; 16];
    debug_assert!(S::WIDTH <= lanes.len());
    // SAFETY: no path has more than 16 lanes.
    unsafe { simd.store(lanes.as_mut_ptr(), sum) };
    lanes.iter().sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn chains_avx2(rounds: u64) -> f32 {
    // SAFETY: this function needs AVX2 and FMA itself.
    chains(unsafe { super::Avx2::new() }, rounds)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn chains_avx512(rounds: u64) -> f32 {
    // SAFETY: this function needs AVX-512F itself.
    chains(unsafe { super::Avx512::new() }, rounds)
}

/// Runs `rounds` rounds of multiply-add on `path` and returns (floating-point operations done, a number that depends on
/// them all). The plainest path is run when the processor lacks `path`.
pub fn multiply_add(path: Path, rounds: u64) -> (f64, f32) {
    let operations = |width: usize| 2.0 * (width * CHAINS) as f64 * rounds as f64;
    #[cfg(target_arch = "x86_64")]
    {
        if path == Path::Avx512 && path.is_available() {
            // SAFETY: the processor has AVX-512F.
            return (operations(super::Avx512::WIDTH), unsafe { chains_avx512(rounds) });
        }
        if path == Path::Avx2 && path.is_available() {
            // SAFETY: the processor has AVX2 and FMA.
            return (operations(super::Avx2::WIDTH), unsafe { chains_avx2(rounds) });
        }
    }
    let _ = path;
    (operations(Portable::WIDTH), chains(Portable, rounds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_does_the_work_it_claims() {
        // x -> 0.9999 x + 0.0001 has the fixed point 1; after many rounds every chain is there
        for &path in Path::ALL.iter().filter(|p| p.is_available()) {
            let (operations, sum) = multiply_add(path, 200_000);
            let lanes = operations / (2.0 * CHAINS as f64 * 200_000.0);
            assert!((f64::from(sum) - lanes * CHAINS as f64).abs() < 0.2 * lanes, "{path}: {sum} of {lanes} lanes");
        }
    }
}
