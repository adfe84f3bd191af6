//! What the benchmarks ran on.

use serde_json::{json, Value as Json};
use stfusion_methods::blocks::simd::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|l| l.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

/// Model of the processor as the system names it.
pub fn cpu_model() -> String {
    field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_string())
}

/// Processors waiting or running over the last minute.
pub fn load_average() -> f64 {
    read("/proc/loadavg").split_whitespace().next().and_then(|v| v.parse().ok()).unwrap_or(f64::NAN)
}

/// Model, family and model numbers, processors, memory, system, SIMD paths.
pub fn describe() -> Json {
    let cpu = read("/proc/cpuinfo");
    let release = read("/proc/sys/kernel/osrelease");
    let kib = field(&read("/proc/meminfo"), "MemTotal").and_then(|v| v.split_whitespace().next()?.parse::<u64>().ok());
    json!({
        "cpu": cpu_model(),
        "cpu_family_model": format!("{}/{}", field(&cpu, "cpu family").unwrap_or_default(), field(&cpu, "model\t").unwrap_or_default()),
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
        "memory_mib": kib.map(|k| k >> 10),
        "system": format!("{} {}", std::env::consts::OS, release.split('.').take(2).collect::<Vec<_>>().join(".")),
        "paths": Path::ALL.iter().filter(|p| p.is_available()).map(|p| p.id()).collect::<Vec<_>>(),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
    })
}
