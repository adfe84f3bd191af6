//! `info`: a job or an image described.

use std::sync::Arc;

use clap::ArgMatches;
use serde_json::json;
use stfusion_core::source::ImageSource;

use crate::failure::{Failure, Outcome};
use crate::request;
use crate::terminal::Terminal;

/// `stfusion info`.
pub(crate) fn info(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    let name: &String = options.get_one("name").ok_or_else(|| Failure::usage("No name given", "Name a job file or an image."))?;
    let as_json = options.get_flag("json");
    let (json, text) = if is_job(name) {
        let inspection = stfusion_engine::inspect(&request::read_job(name)?, &request::context(options, terminal)?)?;
        (json!(inspection), inspection.to_text())
    } else {
        let image = stfusion_engine::describe_image(&ImageSource::file(name.as_str()))?;
        (json!(image), image.to_text())
    };
    Ok(if as_json { terminal.result_json(&json) } else { terminal.result(&text) }?)
}

/// Whether a name is a job file's: by its ending, since names of images are opaque.
fn is_job(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    name == "-" || ((lower.ends_with(".stf") || lower.ends_with(".json")) && !lower.starts_with("/vsi"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_told_from_images_by_their_ending() {
        assert!(["job.stf", "out.tif.stf", "JOB.STF.JSON", "-"].iter().all(|n| is_job(n)));
        assert!(!["f.tif", "NETCDF:c.nc:b1", "/vsizip/a.zip/b.json", "stf"].iter().any(|n| is_job(n)));
    }
}
