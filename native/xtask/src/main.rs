//! `cargo xtask`: see [`stfusion_xtask`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use stfusion_xtask::{dist, ptx};

const USAGE: &str = "cargo xtask gen [--check] | abi [--check | --release] | ptx [--check] | dist [FOLDER] | notices FOLDER

  gen           write every generated file: C header and its reference, the plugin's spec.json and abi.py, job schema,
                command reference, method pages, man pages, completions, symbols of the Debian package
  gen --check   write nothing, and fail when one of them is not what it would be
  abi           say how the C interface differs from native/capi/abi.txt, and write that file anew; refused as long as the
                numbers of Version.txt have not been raised as far as the difference from the last release asks for
  abi --check   write nothing, and fail when there is a difference
  abi --release keep the snapshot as that of a release: part of releasing a version
  ptx           compile the kernels of cuda/ with the pinned compiler, which pip fetches into target/cuda
  ptx --check   write nothing, and fail when a compiled kernel is older than its sources
  dist          pack HEAD, with every crate that it needs, into FOLDER (target/dist): the source tarball and its checksum
  notices       write THIRD-PARTY-LICENSES and the bill of materials stfusion.cdx.json into FOLDER";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let outcome = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["gen"] => stfusion_xtask::write(&root).map(|changed| touched(&changed)),
        ["gen", "--check"] => stfusion_xtask::stale(&root).and_then(|stale| up_to_date(&stale, stfusion_xtask::COMMAND)),
        ["ptx"] => ptx::fetch(&root.join("target/cuda")).and_then(|tools| ptx::write(&root, &tools)).map(|paths| touched(&paths)),
        ["ptx", "--check"] => ptx::stale(&root).and_then(|stale| up_to_date(&stale, ptx::COMMAND)),
        ["dist"] => packed(&root, &root.join("target/dist")),
        ["dist", folder] => packed(&root, Path::new(folder)),
        ["notices", folder] => dist::notices(&root, Path::new(folder)).map(|paths| written(&paths)),
        ["abi"] => stfusion_xtask::abi::write(&root),
        ["abi", "--check"] => stfusion_xtask::abi::check(&root)
            .and_then(|wrong| wrong.map_or_else(|| Ok("The C interface is the one in its snapshot.".to_string()), Err)),
        ["abi", "--release"] => stfusion_xtask::abi::release(&root),
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

const UP_TO_DATE: &str = "Everything is up to date.";

fn touched(paths: &[String]) -> String {
    if paths.is_empty() {
        return UP_TO_DATE.to_string();
    }
    format!("Written:\n  {}", paths.join("\n  "))
}

fn up_to_date(stale: &[String], command: &str) -> stfusion_xtask::Result<String> {
    if stale.is_empty() {
        return Ok(UP_TO_DATE.to_string());
    }
    Err(format!("Stale:\n  {}\nRun `{command}`.", stale.join("\n  ")))
}

fn packed(root: &Path, folder: &Path) -> stfusion_xtask::Result<String> {
    dist::tarball(root, folder).map(|path| written(&[path]))
}

fn written(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    format!("Written:\n  {}", paths.join("\n  "))
}
