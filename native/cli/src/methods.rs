//! `methods` and `job`: what can be run, and a job file to start from.

use std::fmt::Write as _;
use std::sync::Arc;

use clap::ArgMatches;
use serde_json::Value as Json;
use stfusion_core::method::{ExtraImage, MethodInfo};
use stfusion_core::param::{Kind, ParamSpec, Values};
use stfusion_core::source::{ImageSource, OutputOptions, PairSource, TargetSource};
use stfusion_core::Date;
use stfusion_engine::Job;

use crate::failure::Outcome;
use crate::request;
use crate::terminal::Terminal;

/// Columns that help is wrapped to.
const WIDTH: usize = 100;

/// `stfusion methods`.
pub(crate) fn methods(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    let id = options.get_one::<String>("id");
    if options.get_flag("json") {
        let mut spec = stfusion_engine::spec();
        if let Some(id) = id {
            let all = spec["methods"].as_array_mut().map(std::mem::take).unwrap_or_default();
            spec = all.into_iter().find(|m| m["id"] == id.as_str()).unwrap_or(Json::Null);
        }
        return Ok(terminal.result_json(&spec)?);
    }
    let text = match id {
        Some(id) => described(stfusion_methods::by_id(id)?.info()),
        None => listed(),
    };
    Ok(terminal.result(&text)?)
}

/// `stfusion job`.
pub(crate) fn job(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    let Some(id) = options.get_one::<String>("id").or_else(|| options.get_one("method")) else {
        return Ok(terminal.result_json(&stfusion_engine::job_schema())?);
    };
    let info = stfusion_methods::by_id(id)?.info();
    let mut job = request::job_to_write(options, id, || template(info))?;
    let Some(file) = options.get_one::<String>("output") else { return Ok(terminal.result(&job.to_json())?) };
    stfusion_raster::check_output(file, options.get_flag("overwrite"))?;
    stfusion_raster::check_output_is_no_input(file, job.input_names())?;
    // names were given relative to the working folder, those of a job file are relative to its own
    let is_elsewhere = std::path::Path::new(file).parent().is_some_and(|folder| !folder.as_os_str().is_empty());
    if let (true, Ok(here)) = (is_elsewhere && options.contains_id("pair"), std::env::current_dir()) {
        job.resolve(&here);
    }
    stfusion_raster::write_text(file, &job.to_json())?;
    if !terminal.is_quiet() {
        terminal.result(&format!("{file}\n"))?;
    }
    Ok(())
}

/// A job of the method with every parameter at its default and names to replace.
fn template(info: &MethodInfo) -> Job {
    let mut job = Job { method: info.id.into(), ..Job::default() };
    if let Json::Object(parameters) = Values::default().to_json(info.parameters) {
        job.parameters = parameters;
    }
    let days = [(2020, 5, 9), (2020, 9, 14)];
    for (k, (y, m, d)) in days.into_iter().take(info.min_pairs.max(1)).enumerate() {
        job.pairs.push(PairSource {
            date: Date::from_ymd(y, m, d),
            fine: ImageSource::file(format!("fine_{}.tif", k + 1)),
            coarse: ImageSource::file(format!("coarse_{}.tif", k + 1)),
            ..PairSource::default()
        });
    }
    job.target =
        TargetSource { date: Date::from_ymd(2020, 7, 12), coarse: ImageSource::file("coarse_target.tif"), coarse_mask: None };
    job.output = Some(OutputOptions { path: "prediction.tif".into(), ..OutputOptions::default() });
    job
}

fn listed() -> String {
    let infos: Vec<_> = stfusion_methods::all().iter().map(|m| m.info()).collect();
    let width = infos.iter().map(|i| i.id.len()).max().unwrap_or(0);
    let mut families = Vec::new();
    for info in &infos {
        if !families.contains(&info.family) {
            families.push(info.family);
        }
    }
    let mut text = String::new();
    for family in families {
        // writing to a String cannot fail
        let _ = writeln!(text, "{}", family.label());
        for info in infos.iter().filter(|i| i.family == family) {
            let _ = writeln!(text, "  {:width$}  {}", info.id, info.summary);
        }
    }
    text.push_str("\nDescribe one: stfusion methods ID\n");
    text
}

fn described(info: &MethodInfo) -> String {
    let mut text = format!("{} - {} ({})\n\n{}\n\n", info.id, info.label, info.family.label(), wrapped(info.summary, 0));
    let pairs = match info.max_pairs {
        Some(max) if max == info.min_pairs => format!("{max}"),
        Some(max) => format!("{} to {max}", info.min_pairs),
        None => format!("{} or more", info.min_pairs),
    };
    let yes = |b: bool| if b { "yes" } else { "no" };
    let _ = writeln!(
        text,
        "Pairs: {pairs}\nDates needed: {}\nClass maps accepted: {}\nObject maps accepted: {}\nPanchromatic images accepted: {}\n",
        yes(info.needs_dates),
        yes(info.accepts(ExtraImage::Classes)),
        yes(info.accepts(ExtraImage::Objects)),
        yes(info.accepts(ExtraImage::Panchromatic))
    );
    if info.parameters.is_empty() {
        text.push_str("No parameters.\n");
    } else {
        text.push_str("Parameters (--param NAME=VALUE)\n");
    }
    for spec in info.parameters {
        let _ = writeln!(text, "\n  {} = {}; default {}", spec.id, spec.expectation(), default_text(spec));
        let _ = writeln!(text, "{}", wrapped(&format!("{}. {}", spec.label, spec.help), 6));
        if let Kind::Choice { options, .. } = spec.kind {
            for option in options {
                let _ = writeln!(text, "{}", wrapped(&format!("{}: {}", option.id, option.help), 8));
            }
        }
    }
    if !info.references.is_empty() {
        text.push_str("\nReferences\n");
    }
    for reference in info.references {
        let doi = if reference.doi.is_empty() { String::new() } else { format!(" doi:{}", reference.doi) };
        let _ = writeln!(text, "{}", wrapped(&format!("{}{doi}", reference.citation), 2));
    }
    text
}

/// The default of a parameter, as `--param` takes it.
pub fn default_text(spec: &ParamSpec) -> String {
    let number = |json: &Json| json.as_f64().map_or_else(|| json.to_string(), |v| v.to_string());
    match spec.to_json(&spec.default()) {
        Json::String(s) => s,
        Json::Null => "none".into(),
        Json::Array(list) if list.is_empty() => "none".into(),
        Json::Array(list) => list.iter().map(number).collect::<Vec<_>>().join(" "),
        other => number(&other),
    }
}

/// `text` broken at spaces into lines of at most [`WIDTH`] characters, each behind `indent` spaces.
fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |l| l.chars().count());
        if line > 0 && indent + line + 1 + word.chars().count() > WIDTH {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.iter().map(|l| format!("{:indent$}{l}", "")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_behind_their_indent() {
        let text = wrapped(&"word ".repeat(60), 4);
        assert!(text.lines().count() > 2);
        assert!(text.lines().all(|l| l.starts_with("    word") && l.len() <= WIDTH));
    }

    #[test]
    fn every_method_is_listed_and_described_with_its_parameters() {
        for method in stfusion_methods::all() {
            let info = method.info();
            assert!(listed().contains(info.id));
            let text = described(info);
            assert!(info.parameters.iter().all(|p| text.contains(&format!("\n  {} = ", p.id))), "{text}");
        }
    }

    #[test]
    fn the_job_to_start_from_is_a_job() {
        for method in stfusion_methods::all() {
            let job = template(method.info());
            assert_eq!(Job::from_json(&job.to_json(), None).unwrap(), job);
        }
    }
}
