//! What one thread of this machine can do at best: multiply-add in registers, and streaming through memory.

use serde_json::json;
use stfusion_methods::blocks::simd::Path;

use crate::clock::{measure, Seconds};
use crate::record::Section;

/// CPU seconds that one trial should take, and the number of trials of which the best counts.
const TRIAL_SECONDS: f64 = 0.1;
const TRIALS: usize = 5;

/// Chains of one vector each: more than the latency of a multiply-add times the units that do it, and with two constants
/// no more than the 16 registers of the narrower paths.
const CHAINS: usize = 12;

/// A function that runs `x = a x + b` in [`CHAINS`] vectors and returns a number that depends on all of them. No closures: it must
/// become a loop over registers whatever the inliner thinks of it.
#[cfg(target_arch = "x86_64")]
macro_rules! chains {
    ($name:ident, $features:literal, $splat:ident, ($x:ident, $a:ident, $b:ident) => $step:expr, $sum:ident => $first:expr) => {
        #[target_feature(enable = $features)]
        fn $name(rounds: u64) -> f32 {
            let ($a, $b) = ($splat(0.999_9), $splat(1e-4));
            let mut all = [$splat(1.5); CHAINS];
            for (i, x) in all.iter_mut().enumerate() {
                *x = $splat(i as f32);
            }
            for _ in 0..rounds {
                for x in &mut all {
                    let $x = *x;
                    *x = $step;
                }
            }
            let mut $sum = $splat(0.0);
            for $x in all {
                let $b = $sum;
                $sum = $step;
            }
            $first
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        _mm256_cvtss_f32, _mm256_fmadd_ps, _mm256_set1_ps, _mm512_cvtss_f32, _mm512_fmadd_ps, _mm512_set1_ps, _mm_add_ps,
        _mm_cvtss_f32, _mm_mul_ps, _mm_set1_ps,
    };

    use stfusion_methods::blocks::simd::Path;

    use super::CHAINS;

    chains!(baseline, "sse,sse2", _mm_set1_ps, (x, a, b) => _mm_add_ps(_mm_mul_ps(x, a), b), sum => _mm_cvtss_f32(sum));
    chains!(avx2, "avx2,fma", _mm256_set1_ps, (x, a, b) => _mm256_fmadd_ps(x, a, b), sum => _mm256_cvtss_f32(sum));
    chains!(avx512, "avx512f", _mm512_set1_ps, (x, a, b) => _mm512_fmadd_ps(x, a, b), sum => _mm512_cvtss_f32(sum));

    /// Runs `rounds` rounds on `path`, which must be available: (operations done, a number that depends on them).
    pub(super) fn run(path: Path, rounds: u64) -> (f64, f32) {
        assert!(path.is_available(), "{path} was chosen among the available paths");
        // SAFETY: the processor has the instructions of the path.
        let (lanes, sum) = unsafe {
            match path {
                Path::Baseline => (4, baseline(rounds)),
                Path::Avx2 => (8, avx2(rounds)),
                Path::Avx512 => (16, avx512(rounds)),
            }
        };
        (2.0 * (lanes * CHAINS) as f64 * rounds as f64, sum)
    }
}

#[cfg(target_arch = "x86_64")]
use x86::run as chains;

/// Elsewhere there is one path, which the compiler makes vectors of.
#[cfg(not(target_arch = "x86_64"))]
fn chains(_: Path, rounds: u64) -> (f64, f32) {
    let mut all: [[f32; 4]; CHAINS] = std::array::from_fn(|i| [i as f32; 4]);
    for _ in 0..rounds {
        for x in all.iter_mut().flatten() {
            *x = *x * 0.999_9 + 1e-4;
        }
    }
    (2.0 * (4 * CHAINS) as f64 * rounds as f64, all.iter().map(|x| x[0]).sum())
}

/// Floating-point operations per nanosecond (GFLOP/s) of independent single-precision multiply-adds on `path`, one thread.
/// Where the path has no fused instruction, a multiplication and an addition.
pub fn multiply_add_gflops(path: Path) -> f64 {
    let mut rounds = 1u64 << 16;
    loop {
        let (_, Seconds { cpu, .. }) = measure(|| std::hint::black_box(chains(path, std::hint::black_box(rounds))));
        if cpu >= TRIAL_SECONDS / 4.0 {
            rounds = (rounds as f64 * TRIAL_SECONDS / cpu).ceil() as u64;
            break;
        }
        rounds *= 4;
    }
    let trial = |_| {
        let ((operations, _), seconds) = measure(|| std::hint::black_box(chains(path, std::hint::black_box(rounds))));
        operations / seconds.cpu * 1e-9
    };
    (0..TRIALS).map(trial).fold(0.0, f64::max)
}

/// Bytes per nanosecond (GB/s) of a[i] = b[i] + 3 c[i] over arrays of 256 MiB, counting two reads and one write, one thread.
pub fn triad_gb_per_s() -> f64 {
    let n = 64usize << 20;
    let (mut a, b, c) = (vec![1.0f32; n], vec![2.0f32; n], vec![0.5f32; n]);
    let mut trial = || {
        let ((), seconds) = measure(|| {
            for ((a, b), c) in a.iter_mut().zip(&b).zip(&c) {
                *a = b + 3.0 * c;
            }
            std::hint::black_box(&mut a);
        });
        12.0 * n as f64 / seconds.cpu * 1e-9
    };
    (0..TRIALS).map(|_| trial()).fold(0.0, f64::max)
}

/// The table of `stfusion-bench peak`.
pub fn section() -> Section {
    let mut section = Section::new("peak", "one thread, single precision");
    for &path in Path::ALL.iter().filter(|p| p.is_available()) {
        section.row(json!({ "what": format!("multiply-add, {path}"), "value": multiply_add_gflops(path), "unit": "GFLOP/s" }));
    }
    section.row(json!({ "what": "triad", "value": triad_gb_per_s(), "unit": "GB/s" }));
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_does_the_work_it_claims() {
        // x -> 0.9999 x + 0.0001 has the fixed point 1, at which every chain arrives
        for &path in Path::ALL.iter().filter(|p| p.is_available()) {
            let (operations, sum) = chains(path, 200_000);
            assert!((sum - 12.0).abs() < 0.5, "{path}: {sum}");
            assert_eq!(operations % (2.0 * 12.0 * 200_000.0), 0.0, "{path}");
        }
    }
}
