//! `weights`: a weights file described and checked.

use std::path::Path;
use std::sync::Arc;

use clap::ArgMatches;
use serde_json::json;
use stfusion_nn::inspection;

use crate::failure::{Failure, Outcome};
use crate::terminal::Terminal;

/// `stfusion weights`.
pub(crate) fn weights(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    let name: &String = options.get_one("file").ok_or_else(|| Failure::usage("No name given", "Name a weights file."))?;
    let inspection = inspection::inspect(Path::new(name))?;
    Ok(if options.get_flag("json") { terminal.result_json(&json!(inspection)) } else { terminal.result(&inspection.to_text()) }?)
}
