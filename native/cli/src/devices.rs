//! `devices`: what can compute, and why no GPU can.

use std::sync::Arc;

use clap::ArgMatches;
use serde_json::Value as Json;

use crate::failure::Outcome;
use crate::terminal::Terminal;

/// `stfusion devices`.
pub(crate) fn devices(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    let devices = stfusion_engine::devices();
    Ok(if options.get_flag("json") { terminal.result_json(&devices) } else { terminal.result(&text(&devices)) }?)
}

/// A line for each device, as `--device` names it, and the reason when there is no GPU.
fn text(devices: &Json) -> String {
    let mut text = String::new();
    for device in devices["devices"].as_array().into_iter().flatten() {
        text.push_str(&format!("{}: {}\n", word(&device["id"]), description(device)));
    }
    if let Some(reason) = devices["gpu"]["missing"].as_str() {
        text.push_str(&format!("no GPU: {reason}\n  {}\n", word(&devices["gpu"]["remedy"])));
    }
    text
}

fn description(device: &Json) -> String {
    let name = device["name"].as_str().unwrap_or("unknown");
    match (device["memory_bytes"].as_u64(), device["unusable"].as_str()) {
        (None, _) => format!("{name}, {} threads", device["threads"]),
        (_, Some(reason)) => format!("{name} cannot be used: it {reason}"),
        (Some(bytes), None) => format!(
            "{name}, {:.1} GiB, compute capability {}, {} multiprocessors, driver for CUDA {}",
            bytes as f64 / f64::from(1 << 30),
            word(&device["compute_capability"]),
            device["multiprocessors"],
            word(&device["driver_cuda"])
        ),
    }
}

fn word(value: &Json) -> &str {
    value.as_str().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_has_its_line() {
        let gpu = serde_json::json!({
            "id": "cuda:0", "name": "NVIDIA T4", "compute_capability": "7.5", "memory_bytes": 15u64 << 30, "multiprocessors": 40,
            "driver_cuda": "12.4", "unusable": null
        });
        let mut old = gpu.clone();
        old["unusable"] = "has compute capability 6.1".into();
        let json = serde_json::json!({ "devices": [{ "id": "cpu", "name": "Zen", "threads": 8 }, gpu, old], "gpu": null });
        assert_eq!(
            text(&json),
            "cpu: Zen, 8 threads\n\
             cuda:0: NVIDIA T4, 15.0 GiB, compute capability 7.5, 40 multiprocessors, driver for CUDA 12.4\n\
             cuda:0: NVIDIA T4 cannot be used: it has compute capability 6.1\n"
        );
        let none = serde_json::json!({ "devices": [], "gpu": { "missing": "no driver", "remedy": "Install one." } });
        assert_eq!(text(&none), "no GPU: no driver\n  Install one.\n");
    }
}
