//! The `stfusion` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(stfusion_cli::run(std::env::args_os()))
}
