//! What one thread of this machine can do at best: multiply-add in registers, and streaming through memory.

use serde_json::json;
use stfusion_methods::blocks::simd::peak::multiply_add;
use stfusion_methods::blocks::simd::Path;

use crate::clock::{measure, Seconds};
use crate::record::Section;

/// CPU seconds that one trial should take, and the number of trials of which the best counts.
const TRIAL_SECONDS: f64 = 0.1;
const TRIALS: usize = 5;

/// Floating-point operations per nanosecond (GFLOP/s) of independent single-precision multiply-adds on `path`, one thread.
/// Where the path has no fused instruction, a multiplication and an addition.
pub fn multiply_add_gflops(path: Path) -> f64 {
    let mut rounds = 1u64 << 16;
    loop {
        let (_, Seconds { cpu, .. }) = measure(|| std::hint::black_box(multiply_add(path, rounds)));
        if cpu >= TRIAL_SECONDS / 4.0 {
            rounds = (rounds as f64 * TRIAL_SECONDS / cpu).ceil() as u64;
            break;
        }
        rounds *= 4;
    }
    let trial = |_| {
        let ((operations, _), seconds) = measure(|| std::hint::black_box(multiply_add(path, rounds)));
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
