//! Wall-clock time, and the processor time of the whole process.

use std::time::Instant;

/// A started measurement.
pub(super) struct Clock {
    started: Instant,
    cpu: Option<f64>,
}

impl Clock {
    pub fn start() -> Clock {
        Clock { started: Instant::now(), cpu: process_seconds() }
    }

    /// Wall-clock seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Processor seconds of all threads since the start, where the system counts them.
    pub fn cpu_seconds(&self) -> Option<f64> {
        Some(process_seconds()? - self.cpu?)
    }
}

#[cfg(unix)]
fn process_seconds() -> Option<f64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for the call, which writes to it alone.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    (status == 0).then_some(time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9)
}

#[cfg(not(unix))]
fn process_seconds() -> Option<f64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn work_takes_processor_time() {
        let clock = Clock::start();
        let sum = (0..20_000_000).fold(0.0_f64, |sum, k| (sum + f64::from(k)).sqrt());
        assert!(sum > 0.0 && clock.cpu_seconds().unwrap() > 0.0 && clock.seconds() > 0.0);
    }
}
