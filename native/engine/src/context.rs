//! Where a job runs: threads, memory budget, log.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{json, Value as Json};
use stfusion_core::{Error, ErrorKind, LogSink, Result};

use crate::device::devices;

/// Told the finished fraction (0..1) and what is being done, on the calling thread, at most 20 times a second; returns whether to go on.
pub type Progress<'a> = dyn FnMut(f64, &str) -> bool + 'a;

/// A memory budget: `auto`, or bytes written as `4GiB`, `500 MB`, `1073741824`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemorySize(pub Option<u64>);

impl FromStr for MemorySize {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() || text.eq_ignore_ascii_case("auto") {
            return Ok(MemorySize(None));
        }
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let factor = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "k" | "kib" => 1024.0,
            "kb" => 1e3,
            "m" | "mib" => 1024.0 * 1024.0,
            "mb" => 1e6,
            "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
            "gb" => 1e9,
            "t" | "tib" => 1024f64.powi(4),
            "tb" => 1e12,
            _ => f64::NAN,
        };
        let bytes = number.parse::<f64>().unwrap_or(f64::NAN) * factor;
        if (1024.0 * 1024.0..1e18).contains(&bytes) {
            return Ok(MemorySize(Some(bytes as u64)));
        }
        Err(Error::new(
            ErrorKind::Parameter,
            format!("Memory must be a size of at least 1 MiB, such as 4GiB or 500MB; got {text:?}"),
        )
        .with_hint("Set memory to a number with a unit (MiB, GiB), or to auto."))
    }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("auto"),
            Some(b) if b % (1 << 30) == 0 => write!(f, "{}GiB", b >> 30),
            Some(b) if b % (1 << 20) == 0 => write!(f, "{}MiB", b >> 20),
            Some(b) => write!(f, "{b}"),
        }
    }
}

impl Serialize for MemorySize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MemorySize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Json::deserialize(deserializer)? {
            Json::String(s) => s,
            other => other.to_string(),
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Part of the memory budget that GDAL's block cache may have.
#[cfg(feature = "gdal")]
const CACHE_PART: u64 = 8;

/// How a context is made.
#[derive(Default)]
pub struct ContextOptions {
    /// Number of threads; 0: `STFUSION_NUM_THREADS`, else `GDAL_NUM_THREADS`, else as many as the process may use.
    pub threads: usize,
    /// Memory budget of one run.
    pub memory: MemorySize,
    /// Whether GDAL's block cache, which the whole process shares, may be limited to a part of the budget.
    /// A program of its own says yes; a library inside another program says no.
    pub limit_gdal_cache: bool,
    /// Where log messages go; `None`: nowhere.
    pub log: Option<Arc<LogSink>>,
}

/// Threads, memory budget and log of runs. One run at a time per context; contexts are independent.
pub struct Context {
    pool: rayon::ThreadPool,
    memory: u64,
    limit_gdal_cache: bool,
    log: Arc<LogSink>,
}

impl Context {
    /// Makes a context with its own thread pool.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for a number of threads that makes no sense, [`ErrorKind::Memory`] when threads cannot be started.
    pub fn new(options: ContextOptions) -> Result<Context> {
        let threads = if options.threads == 0 { default_threads() } else { options.threads };
        if threads > 1024 {
            return Err(Error::new(ErrorKind::Parameter, format!("Threads must be between 0 and 1024; got {threads}"))
                .with_hint("Set threads to 0 to use all processors."));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("stfusion-{i}"))
            .build()
            .map_err(|e| Error::new(ErrorKind::Memory, format!("{threads} threads cannot be started: {e}")))?;
        let memory = options.memory.0.unwrap_or_else(default_memory);
        let log = options.log.unwrap_or_else(|| Arc::new(|_, _| {}));
        Ok(Context { pool, memory, limit_gdal_cache: options.limit_gdal_cache, log })
    }

    /// A context with the same log whose threads and memory are those that `job` asks for, or `None` when it asks for nothing else.
    pub fn for_job(&self, threads: usize, memory: MemorySize) -> Result<Option<Context>> {
        let other_threads = threads != 0 && threads != self.threads();
        if !other_threads && memory.0.is_none_or(|m| m == self.memory) {
            return Ok(None);
        }
        Context::new(ContextOptions {
            threads: if threads == 0 { self.threads() } else { threads },
            memory: MemorySize(Some(memory.0.unwrap_or(self.memory))),
            limit_gdal_cache: self.limit_gdal_cache,
            log: Some(self.log.clone()),
        })
        .map(Some)
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Memory budget in bytes.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    pub(crate) fn pool(&self) -> &rayon::ThreadPool {
        &self.pool
    }

    /// Limits GDAL's block cache to a part of the budget, if this context may; returns the bytes of the budget that it takes.
    #[cfg(feature = "gdal")]
    pub(crate) fn limit_gdal_cache(&self) -> u64 {
        let bytes = self.gdal_cache_bytes();
        if bytes > 0 {
            stfusion_raster::set_cache_limit(bytes as usize);
        }
        bytes
    }

    /// Bytes of the budget that GDAL's block cache takes in a run: none where the cache is another program's.
    #[cfg(feature = "gdal")]
    pub(crate) fn gdal_cache_bytes(&self) -> u64 {
        if self.limit_gdal_cache {
            self.memory / CACHE_PART
        } else {
            0
        }
    }

    /// Where log messages go.
    pub fn log(&self) -> &LogSink {
        &*self.log
    }

    /// Logs a warning.
    pub fn warn(&self, message: &str) {
        (self.log)(stfusion_core::Level::Warning, message);
    }
}

pub(crate) fn default_threads() -> usize {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let named = |name: &str| std::env::var(name).ok().and_then(|v| v.trim().parse::<usize>().ok()).filter(|&n| n > 0);
    named("STFUSION_NUM_THREADS").or_else(|| named("GDAL_NUM_THREADS")).unwrap_or(available).min(1024)
}

/// Half of the memory the process can have, at most 4 GiB.
fn default_memory() -> u64 {
    (available_memory() / 2).clamp(256 << 20, 4 << 30)
}

/// Bytes this process may still use: what the system has available, within the limit of its control group.
fn available_memory() -> u64 {
    let number = |path: &str| std::fs::read_to_string(path).ok().and_then(|s| s.trim().parse::<u64>().ok());
    let system = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
    });
    let group = number("/sys/fs/cgroup/memory.max")
        .zip(number("/sys/fs/cgroup/memory.current"))
        .or_else(|| {
            number("/sys/fs/cgroup/memory/memory.limit_in_bytes").zip(number("/sys/fs/cgroup/memory/memory.usage_in_bytes"))
        })
        .map(|(limit, used)| limit.saturating_sub(used));
    system.unwrap_or(2 << 30).min(group.unwrap_or(u64::MAX))
}

/// What is installed, for "Check installation" and bug reports.
pub fn installation() -> Json {
    let devices = devices();
    #[cfg(feature = "gdal")]
    let gdal = Json::from(stfusion_raster::version());
    #[cfg(not(feature = "gdal"))]
    let gdal = Json::Null;
    json!({
        "version": crate::VERSION,
        "gdal": gdal,
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "cpu": processor(),
        "cpu_features": cpu_features(),
        "threads": default_threads(),
        "memory_available": available_memory(),
        "memory_default": default_memory(),
        "devices": devices["devices"],
        "gpu": devices["gpu"],
        "methods": stfusion_methods::all().iter().map(|m| m.info().id).collect::<Vec<_>>(),
    })
}

/// Name of the processor, where the system tells it.
pub(crate) fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    text.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_string()))
}

/// The instruction sets that kernels choose from and this processor has.
fn cpu_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let has = [
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ];
        has.into_iter().filter_map(|(name, present)| present.then_some(name)).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_sizes_are_read_with_their_units() {
        let size = |s: &str| s.parse::<MemorySize>().unwrap();
        assert_eq!(size("4GiB"), MemorySize(Some(4 << 30)));
        assert_eq!(size("1.5 GB"), MemorySize(Some(1_500_000_000)));
        assert_eq!(size("auto"), MemorySize(None));
        assert_eq!(size("512m").to_string(), "512MiB");
        for text in ["4 parsecs", "-1GiB", "12", "GiB", "1e3"] {
            assert!(text.parse::<MemorySize>().unwrap_err().message().contains("at least 1 MiB"), "{text}");
        }
    }
}
