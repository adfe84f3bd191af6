//! `weights`: a weights file described and checked.

use std::sync::Arc;

use clap::ArgMatches;
use serde_json::json;
use stfusion_core::{Error, ErrorKind};

use crate::failure::{Failure, Outcome};
use crate::terminal::Terminal;

/// `stfusion weights`.
pub(crate) fn weights(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    let name: &String = options.get_one("file").ok_or_else(|| Failure::usage("No name given", "Name a weights file."))?;
    let weights = stfusion_engine::describe_weights(name)?;
    if options.get_flag("json") { terminal.result_json(&json!(weights.facts)) } else { terminal.result(&weights.text) }?;
    match weights.facts.problems.len() {
        0 => Ok(()),
        count => {
            let problems = if count == 1 { "a problem".into() } else { format!("{count} problems") };
            Err(Error::new(ErrorKind::Data, format!("{name} has {problems}"))
                .with_hint("The description ends with them; tools/README.md says how to describe weights.")
                .into())
        }
    }
}
