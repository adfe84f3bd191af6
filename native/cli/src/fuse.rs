//! `fuse` and `rerun`: a job is run, checked, or printed.

use std::sync::Arc;

use clap::ArgMatches;
use serde_json::json;
use stfusion_engine::{Context, Job, Report};

use crate::failure::{Failure, Outcome};
use crate::request;
use crate::signals;
use crate::terminal::Terminal;

/// `stfusion fuse`.
pub(crate) fn fuse(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    act(&request::job(options)?, options, terminal)
}

/// `stfusion rerun`: the job in the record beside a prediction, perhaps to another place.
pub(crate) fn rerun(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    let record: &String = options
        .get_one("record")
        .ok_or_else(|| Failure::usage("No record given", "Name the .stf file beside the prediction."))?;
    let mut job = request::read_job(record)?;
    job.provenance = None;
    if let (Some(output), Some(_)) = (&mut job.output, options.get_one::<String>("output")) {
        output.support = None;
        job.forget_written_files();
    }
    request::set_output_and_running(&mut job, options)?;
    act(&job, options, terminal)
}

fn act(job: &Job, options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    let dry = options.get_flag("dry-run");
    let print = options.get_flag("print-job");
    signals::catch();
    if print && !dry {
        return Ok(terminal.result(&job.to_json())?);
    }
    let context = request::context(options, terminal)?;
    if dry {
        job.check_outputs()?;
        let inspection = stfusion_engine::inspect(job, &context)?;
        return Ok(if print {
            terminal.result(&job.to_json())
        } else if options.get_flag("json") {
            terminal.result_json(&json!(inspection))
        } else {
            terminal.result(&inspection.to_text())
        }?);
    }
    let report = run(job, &context, terminal)?;
    if options.get_flag("json") {
        terminal.result_json(&json!(report))?;
    } else if !terminal.is_quiet() {
        terminal.result(&summary(&report))?;
    }
    Ok(())
}

/// Runs a job with the progress bar.
pub(crate) fn run(job: &Job, context: &Context, terminal: &Arc<Terminal>) -> Outcome<Report> {
    let report = stfusion_engine::fuse(job, context, &mut terminal.progress())?;
    terminal.info(&format!(
        "{} on {} with {} threads, tiles of {} pixels, about {} MiB of memory",
        report.method,
        report.device,
        report.threads,
        report.tile_px,
        report.memory_bytes.div_ceil(1 << 20)
    ));
    Ok(report)
}

/// The result line for people.
fn summary(report: &Report) -> String {
    let Report { method, bands, rows, cols, predicted_fraction, seconds, files, .. } = report;
    let mut text = format!(
        "{method}: {cols} x {rows} pixels, {bands} {}, {:.1} % predicted, {seconds:.1} s\n",
        if *bands == 1 { "band" } else { "bands" },
        predicted_fraction * 100.0
    );
    for file in files {
        text.push_str(&format!("{file}\n"));
    }
    text
}
