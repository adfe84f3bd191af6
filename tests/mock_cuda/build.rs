//! Compiles the mock driver, and the kernels for the processor with it, to one shared library.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file name that the loader looks for first, and the library's own name, so that one that is loaded already is found by it.
const NAME: &str = "libcuda.so";

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = PathBuf::from(variable("OUT_DIR"));
    let folder = root.join("tests/cuda");
    println!("cargo:rerun-if-changed={}", folder.display());
    let sources = ["driver.cpp", "kernels.cpp"].map(|name| folder.join(name));
    let compiler = cc::Build::new().cpp(true).std("c++17").opt_level(2).warnings(false).get_compiler();
    let mut command: Command = compiler.to_command();
    // the kernels of `cuda/`
    let archive = variable("DEP_STF_CUDA_ON_CPU_ARCHIVE");
    let include = format!("-I{}", variable("DEP_STF_CUDA_ON_CPU_INCLUDE"));
    println!("cargo:rerun-if-changed={archive}");
    command.args(["-shared", "-fPIC", "-pthread", &include, &format!("-Wl,-soname,{NAME}"), "-o"]).arg(out.join(NAME));
    command.args(sources).arg(archive);
    match command.status() {
        Ok(status) if status.success() => {}
        outcome => panic!("the mock driver was not built: {outcome:?}"),
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}
