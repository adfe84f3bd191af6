//! `check`: the installation described, for a report of a problem.

use std::sync::Arc;

use clap::ArgMatches;
use serde_json::Value as Json;

use crate::failure::Outcome;
use crate::terminal::Terminal;

/// `stfusion check`.
pub(crate) fn check(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    let installation = stfusion_engine::installation();
    Ok(if options.get_flag("json") { terminal.result_json(&installation) } else { terminal.result(&text(&installation)) }?)
}

/// One line for each entry: `memory available: 12.3 GiB`.
fn text(installation: &Json) -> String {
    let mut text = String::new();
    for (key, value) in installation.as_object().into_iter().flatten() {
        let shown = match value.as_u64() {
            Some(bytes) if key.starts_with("memory") => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
            _ if key == "gpu" && value.is_null() => continue,
            _ => shown(value),
        };
        text.push_str(&format!("{}: {shown}\n", key.replace('_', " ")));
    }
    text
}

fn shown(value: &Json) -> String {
    match value {
        Json::Null => "unknown".into(),
        Json::String(s) => s.clone(),
        Json::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join(", "),
        Json::Object(map) if map.contains_key("id") => format!("{} {}", shown(&map["id"]), shown(&map["name"])),
        Json::Object(map) => map.values().map(shown).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_its_line() {
        let json = serde_json::json!({
            "version": "1.2.3", "gdal": null, "memory_available": 3u64 << 29, "devices": [{ "id": "cpu", "name": "Zen", "threads": 4 }], "gpu": null, "methods": ["a", "b"]
        });
        assert_eq!(text(&json), "version: 1.2.3\ngdal: unknown\nmemory available: 1.5 GiB\ndevices: cpu Zen\nmethods: a, b\n");
    }
}
