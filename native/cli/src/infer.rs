//! `infer`: a network run once on arrays.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ArgMatches;
use serde_json::json;
use stfusion_core::Cancel;
use stfusion_engine::{Choice, Context, ContextOptions, InferOptions, InferRequest};

use crate::failure::{Failure, Outcome};
use crate::request::{key_value, texts};
use crate::terminal::Terminal;

/// `stfusion infer`.
pub(crate) fn infer(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    let text = |id: &str| options.get_one::<String>(id).cloned();
    let missing = |what: &str| Failure::usage(format!("No {what} given"), "Run `stfusion infer --help`.");
    let pairs = |option: &str, id: &str| texts(options, id).map(|text| key_value(option, text)).collect::<Outcome<Vec<_>>>();
    let request = InferRequest {
        weights: text("file").ok_or_else(|| missing("weights file"))?.into(),
        options: InferOptions {
            network: text("network"),
            options: pairs("--set", "set")?.into_iter().map(|(k, v)| (k.to_string(), Choice::Word(v.to_string()))).collect(),
        },
        inputs: pairs("--input", "input")?.into_iter().map(|(k, v)| (k.to_string(), PathBuf::from(v))).collect(),
        output: text("output").ok_or_else(|| missing("output"))?.into(),
        overwrite: options.get_flag("overwrite"),
    };
    let threads = options.get_one::<u64>("threads").map_or(0, |&n| n as usize);
    let context = Context::new(ContextOptions { threads, log: Some(terminal.log()), ..ContextOptions::default() })?;
    let written = stfusion_engine::infer(&request, &context, &Cancel::new())?;
    if options.get_flag("json") {
        return Ok(terminal.result_json(&json!(written))?);
    }
    let lines = written.iter().map(|w| {
        let shape: Vec<String> = w.shape.iter().map(usize::to_string).collect();
        format!("{} ({}): {}\n", w.name, shape.join(" x "), w.file)
    });
    Ok(terminal.result(&lines.collect::<String>())?)
}
