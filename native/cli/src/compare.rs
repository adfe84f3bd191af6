//! `compare`: methods on the pairs of a job, each held back in turn.

use std::sync::Arc;

use clap::ArgMatches;
use serde_json::json;
use stfusion_engine::{CompareOptions, MethodChoice};

use crate::failure::{Failure, Outcome};
use crate::request;
use crate::signals;
use crate::terminal::Terminal;

/// `stfusion compare`.
pub(crate) fn compare(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    let job = request::job_of_pairs(options)?;
    if job.pairs.is_empty() {
        return Err(Failure::usage(
            "No pairs: give a job file, or --pair for each day with a fine and a coarse image",
            "Write pairs as --pair fine=f1.tif,coarse=c1.tif,date=2001-11-25; at least two are needed.",
        ));
    }
    let wanted = wanted(options)?;
    let context = request::context(options, terminal)?;
    signals::catch();
    let comparison = stfusion_engine::compare(&job, &wanted, &context, &mut terminal.progress())?;
    Ok(if options.get_flag("json") {
        terminal.result_json(&json!(comparison))
    } else {
        let files: String = wanted.report.iter().chain(&wanted.csv).map(|name| format!("\n{name}")).collect();
        terminal.result(&format!("{}{files}{}", comparison.to_text(), if files.is_empty() { "" } else { "\n" }))
    }?)
}

fn wanted(options: &ArgMatches) -> Outcome<CompareOptions> {
    let method = |text: &str| -> Outcome<MethodChoice> { text.parse().map_err(request::in_option("--method", text)) };
    Ok(CompareOptions {
        methods: request::texts(options, "method").map(method).collect::<Outcome<_>>()?,
        report: request::text(options, "report").map(String::from),
        csv: request::text(options, "csv").map(String::from),
        overwrite: options.get_flag("overwrite"),
        data_range: options.get_one("data-range").copied(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Outcome<CompareOptions> {
        let matches = crate::command().try_get_matches_from(line.split(' ')).unwrap();
        wanted(matches.subcommand().unwrap().1)
    }

    #[test]
    fn a_method_comes_with_settings_and_again_with_others() {
        let methods = parsed("stfusion compare job.stf -m starfm -m starfm:window=31,classes=6").unwrap().methods;
        assert_eq!(methods.len(), 2);
        assert_eq!(methods[1].parameters["window"], 31);
        assert_eq!(methods[1].parameters["classes"], 6.0);
    }

    #[test]
    fn a_wrong_method_is_a_usage_error_that_names_the_option() {
        for (text, expected) in [("starfn", "\"starfn\" is not a method"), ("starfm:window=50", "odd whole number; got 50")] {
            match parsed(&format!("stfusion compare job.stf --method {text}")) {
                Err(Failure::Usage(error)) => {
                    assert!(error.message().contains(&format!("--method {text}: ")), "{error}");
                    assert!(error.message().contains(expected), "{error}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
