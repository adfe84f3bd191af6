//! The compiled kernels are those of the sources.

use std::path::{Path, PathBuf};

use stfusion_xtask::ptx;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn compiled_kernels_are_not_older_than_their_sources() {
    let stale = ptx::stale(&root()).unwrap();
    assert!(stale.is_empty(), "stale: {stale:#?}\nrun `{}`", ptx::COMMAND);
}

#[test]
fn compiling_again_gives_the_same_bytes() {
    let tools = match ptx::fetch(&root().join("target/cuda")) {
        Ok(tools) => tools,
        Err(reason) => {
            eprintln!("SKIP: the pinned compiler is not to be had: {reason}");
            return;
        }
    };
    for file in ptx::compiled(&root(), &tools).unwrap() {
        let committed = std::fs::read_to_string(root().join(&file.path)).unwrap_or_default();
        assert!(committed == file.text, "{} is not what compiling gives; run `{}`", file.path, ptx::COMMAND);
    }
}
