//! Seconds of the wall and of the processors.

use std::time::Instant;

/// Wall-clock and CPU seconds of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seconds {
    /// Wall-clock seconds.
    pub wall: f64,
    /// CPU seconds of all threads of the process.
    pub cpu: f64,
}

impl Seconds {
    /// The smaller of both figures of two runs.
    pub fn fastest(self, other: Seconds) -> Seconds {
        Seconds { wall: self.wall.min(other.wall), cpu: self.cpu.min(other.cpu) }
    }
}

/// CPU seconds that this process has used.
pub fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec that lives in this function.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Runs `work` once.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Seconds) {
    let (cpu, wall) = (cpu_seconds(), Instant::now());
    let result = work();
    (result, Seconds { wall: wall.elapsed().as_secs_f64(), cpu: cpu_seconds() - cpu })
}

/// Runs `work` `repeat` times (at least once) and keeps the fastest.
///
/// # Errors
/// The first error of `work`.
pub fn fastest<T, E>(repeat: usize, mut work: impl FnMut() -> Result<T, E>) -> Result<(T, Seconds), E> {
    let (result, mut best) = measure(&mut work);
    let mut result = result?;
    for _ in 1..repeat {
        let (next, seconds) = measure(&mut work);
        result = next?;
        best = best.fastest(seconds);
    }
    Ok((result, best))
}
