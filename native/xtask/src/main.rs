//! `cargo xtask`: see [`stfusion_xtask`].

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "cargo xtask gen [--check]

  gen           write every generated file: C header, the plugin's spec.json and abi.py, job schema, reference, method pages,
                man pages, completions
  gen --check   write nothing, and fail when one of them is not what it would be";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let outcome = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["gen"] => stfusion_xtask::write(&root).map(|changed| match changed.as_slice() {
            [] => "Everything is up to date.".to_string(),
            files => format!("Written:\n  {}", files.join("\n  ")),
        }),
        ["gen", "--check"] => stfusion_xtask::stale(&root).and_then(|stale| match stale.as_slice() {
            [] => Ok("Everything is up to date.".to_string()),
            files => Err(format!("Stale:\n  {}\nRun `{}`.", files.join("\n  "), stfusion_xtask::COMMAND)),
        }),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
