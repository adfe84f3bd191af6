//! Results as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{json, Map, Value as Json};

use crate::machine;

/// One benchmark: a title, rows of named figures in one order, and remarks.
#[derive(Debug, Clone)]
pub struct Section {
    /// Name of the sub-command.
    pub name: &'static str,
    /// What was measured, with its sizes.
    pub title: String,
    rows: Vec<Map<String, Json>>,
    remarks: Vec<String>,
}

impl Section {
    /// An empty section.
    pub fn new(name: &'static str, title: impl Into<String>) -> Self {
        Section { name, title: title.into(), rows: Vec::new(), remarks: Vec::new() }
    }

    /// Adds a row: a JSON object, whose keys are the columns.
    pub fn row(&mut self, row: Json) {
        if let Json::Object(row) = row {
            self.rows.push(row);
        }
    }

    /// Adds a sentence under the table.
    pub fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    /// Title, aligned table, remarks.
    pub fn to_text(&self) -> String {
        let mut columns: Vec<&String> = self.rows.iter().max_by_key(|r| r.len()).map(|r| r.keys().collect()).unwrap_or_default();
        for key in self.rows.iter().flat_map(|r| r.keys()) {
            if !columns.contains(&key) {
                columns.push(key);
            }
        }
        let mut cells: Vec<Vec<String>> = vec![columns.iter().map(|c| c.to_string()).collect()];
        cells.extend(self.rows.iter().map(|row| columns.iter().map(|c| cell(row.get(*c))).collect()));
        let widths: Vec<usize> =
            (0..columns.len()).map(|c| cells.iter().map(|r| r[c].chars().count()).max().unwrap_or(0)).collect();
        let mut text = format!("{}: {}\n\n", self.name, self.title);
        for row in &cells {
            let line = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect::<Vec<_>>().join("  ");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "\n{remark}");
        }
        text
    }
}

fn cell(value: Option<&Json>) -> String {
    match value {
        None | Some(Json::Null) => "-".into(),
        Some(Json::String(s)) => s.clone(),
        Some(Json::Number(n)) => match n.as_f64() {
            Some(v) if !(n.is_u64() || n.is_i64()) => significant(v),
            _ => n.to_string(),
        },
        Some(other) => other.to_string(),
    }
}

/// Four significant digits, without an exponent.
fn significant(v: f64) -> String {
    let decimals = if v == 0.0 { 1 } else { (3.0 - v.abs().log10().floor()).clamp(0.0, 9.0) as usize };
    format!("{v:.decimals$}")
}

/// All benchmarks of one call of the program.
#[derive(Debug)]
pub struct Record {
    date: String,
    load_before: f64,
    sections: Vec<Section>,
}

impl Record {
    /// Notes date and load.
    pub fn begin() -> Self {
        let date = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Record { date, load_before: machine::load_average(), sections: Vec::new() }
    }

    /// What the results stand under.
    pub fn heading(&self) -> String {
        let m = machine::describe();
        let text = |key: &str| m[key].as_str().map_or_else(|| m[key].to_string(), String::from);
        let load = significant(self.load_before);
        format!(
            "stfusion {} ({} build), {}\n{} (family/model {}), {} processors, {} MiB, {}, load {load}\n",
            stfusion_engine::VERSION,
            text("build"),
            self.date,
            text("cpu"),
            text("cpu_family_model"),
            text("processors"),
            text("memory_mib"),
            text("system"),
        )
    }

    /// Takes in one benchmark.
    pub fn add(&mut self, section: Section) {
        self.sections.push(section);
    }

    /// Everything, for `--json`.
    pub fn to_json(&self) -> String {
        let sections: Vec<Json> = self
            .sections
            .iter()
            .map(|s| json!({ "name": s.name, "title": s.title, "rows": s.rows, "remarks": s.remarks }))
            .collect();
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let all = json!({
            "stfusion": stfusion_engine::VERSION,
            "date": self.date,
            "command": format!("stfusion-bench {}", arguments.join(" ")),
            "machine": machine::describe(),
            "load_average": { "before": self.load_before, "after": machine::load_average() },
            "sections": sections,
        });
        format!("{all:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_keep_the_order_of_the_columns() {
        let mut section = Section::new("peak", "two rows");
        section.row(json!({ "path": "avx2", "gflops": 98.7654, "n": 12 }));
        section.row(json!({ "path": "baseline", "gflops": Json::Null, "n": 1234 }));
        section.remark("Done.");
        assert_eq!(
            section.to_text(),
            "peak: two rows\n\n    path  gflops     n\n    avx2   98.77    12\nbaseline       -  1234\n\nDone.\n"
        );
    }

    #[test]
    fn figures_keep_four_digits() {
        assert_eq!(
            [significant(0.012_345_6), significant(123_456.7), significant(0.0), significant(-1.0)],
            ["0.01235", "123457", "0.0", "-1.000"]
        );
    }
}
