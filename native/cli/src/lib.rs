//! The command line of stfusion: flags in, a job to the engine, text or JSON out.
//!
//! ```text
//! argv ─spelling─> clap ─request─> Job ──> engine ──> stdout: the result        exit 0
//!                    └─ usage error: stderr, exit 2     └─> stderr: diagnostics  exit 1, 130
//! ```
//!
//! * stdout carries the result and nothing else, so that `--json` can be piped; everything said about the work goes to stderr.
//! * The progress bar is GDAL's, and appears only when stderr is a terminal.
//! * File names are opaque: GDAL decides what they mean.
//!
//! [`command`] is the only declaration of the flags: parser, help, man pages, completions and the reference page come from it.
#![deny(missing_docs)]

mod args;
mod assess;
mod check;
mod compare;
mod demo;
mod devices;
mod failure;
mod fuse;
mod infer;
mod info;
mod methods;
mod request;
mod signals;
mod spelling;
mod terminal;
mod weights;

use std::ffi::OsString;
use std::sync::Arc;

pub use args::command;
use clap::error::ErrorKind as ClapKind;
use clap::ArgMatches;
pub use methods::default_text;
use stfusion_core::ErrorKind;

use crate::failure::{Failure, Outcome};
use crate::terminal::Terminal;

/// Exit code of a run that failed.
pub const EXIT_FAILURE: u8 = 1;
/// Exit code of a command line that could not be understood.
pub const EXIT_USAGE: u8 = 2;

/// Runs the command line `args`, the program's name first, and returns the exit code of the process:
/// 0 success, 1 failure, 2 a wrong command line, 130 interrupted.
pub fn run<I>(args: I) -> u8
where
    I: IntoIterator<Item = OsString>,
{
    let matches = match command().try_get_matches_from(spelling::translate(args)) {
        Ok(matches) => matches,
        Err(error) => return refuse(&error),
    };
    let Some((name, options)) = matches.subcommand() else {
        return EXIT_USAGE;
    };
    let terminal = Arc::new(Terminal::new(options));
    let outcome = set_config(options).and_then(|()| dispatch(name, options, &terminal));
    match outcome {
        Ok(()) => 0,
        Err(Failure::Usage(error)) => {
            terminal.error(&error);
            terminal.note(&format!("Run `stfusion {name} --help` for the options."));
            EXIT_USAGE
        }
        Err(Failure::Failed(error)) => match signals::received() {
            Some(signal) if error.kind() == ErrorKind::Cancelled => {
                terminal.note("interrupted; no output was written");
                128 + signal
            }
            _ => {
                terminal.error(&error);
                EXIT_FAILURE
            }
        },
    }
}

fn dispatch(name: &str, options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    match name {
        "fuse" => fuse::fuse(options, terminal),
        "rerun" => fuse::rerun(options, terminal),
        "methods" => methods::methods(options, terminal),
        "job" => methods::job(options, terminal),
        "info" => info::info(options, terminal),
        "assess" => assess::assess(options, terminal),
        "compare" => compare::compare(options, terminal),
        "demo" => demo::demo(options, terminal),
        "weights" => weights::weights(options, terminal),
        "infer" => infer::infer(options, terminal),
        "devices" => devices::devices(options, terminal),
        "check" => check::check(options, terminal),
        _ => Err(Failure::usage(format!("{name:?} is not a sub-command"), "Run `stfusion --help` for the list.")),
    }
}

/// Prints what clap has to say: help and version to stdout, complaints to stderr in stfusion's form.
fn refuse(error: &clap::Error) -> u8 {
    match error.kind() {
        ClapKind::DisplayHelp | ClapKind::DisplayVersion => {
            if terminal::print(&error.render().to_string()).is_err() {
                return EXIT_FAILURE;
            }
            0
        }
        ClapKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            terminal::complain(&error.render().to_string());
            EXIT_USAGE
        }
        _ => {
            terminal::complain(&format!("stfusion: {}", error.render()));
            EXIT_USAGE
        }
    }
}

/// Sets the GDAL configuration options of `--config`.
fn set_config(options: &ArgMatches) -> Outcome {
    for pair in options.get_many::<String>("config").into_iter().flatten() {
        let (key, value) = request::key_value("--config", pair)?;
        gdal::config::set_config_option(key, value)
            .map_err(|e| Failure::usage(format!("--config {pair}: {e}"), "Write it as --config KEY=VALUE."))?;
    }
    Ok(())
}
