//! Compiles the shim and every kernel of `cuda/` with the C++ compiler, twice: into an archive, and with AddressSanitizer into a
//! program that serves one device over its standard streams.
//!
//! Every `.cu` becomes the middle of a generated source that lists its `__global__` functions; nothing has to be registered by hand.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let cuda = fs::canonicalize(here.join("../../cuda"))?;
    println!("cargo:rerun-if-changed={}", cuda.display());
    println!("cargo:rerun-if-changed={}", here.join("probes.cu").display());
    println!("cargo:rerun-if-changed={}", here.join("server.cpp").display());

    let mut kernels = Vec::new();
    find_kernels(&cuda, &mut kernels)?;
    kernels.sort();
    kernels.push(here.join("probes.cu"));
    let mut sources = vec![cuda.join("shim/fibers.cpp")];
    let mut names = Vec::new();
    for path in &kernels {
        let name = path.strip_prefix(&cuda).unwrap_or(Path::new("probes.cu")).with_extension("");
        let name: String = name.to_string_lossy().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let to = out.join(format!("{name}.cpp"));
        fs::write(&to, wrapped(path, &name, &cuda)?)?;
        sources.push(to);
        names.push(name);
    }
    let table = out.join("table.cpp");
    fs::write(&table, table_of(&names)?)?;
    sources.push(table);

    compiler(&cuda).opt_level(2).files(&sources).try_compile("stf_cuda_on_cpu")?;
    println!("cargo:archive={}", out.join("libstf_cuda_on_cpu.a").display());
    println!("cargo:include={}", cuda.join("shim").display());

    let server = out.join("sanitized");
    let mut command = compiler(&cuda).opt_level(1).try_get_compiler()?.to_command();
    command
        .args(["-fsanitize=address", "-fno-omit-frame-pointer", "-g", "-o"])
        .arg(&server)
        .args(&sources)
        .arg(here.join("server.cpp"));
    // a compiler without the sanitizer leaves the path empty; the tests say so
    let built = command.output().is_ok_and(|o| o.status.success());
    println!("cargo:rustc-env=STF_SANITIZED_SERVER={}", if built { server.display().to_string() } else { String::new() });
    Ok(())
}

fn compiler(cuda: &Path) -> cc::Build {
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").pic(true).include(cuda.join("shim")).include(cuda);
    build.flag("-ffp-contract=off").flag("-Wno-unknown-pragmas").flag_if_supported("-fno-exceptions").flag("-fno-rtti");
    build
}

/// Every `.cu` below `folder`.
fn find_kernels(folder: &Path, found: &mut Vec<PathBuf>) -> Outcome<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_kernels(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "cu") {
            found.push(path);
        }
    }
    Ok(())
}

/// C++ source with the kernels of `path` and their list.
fn wrapped(path: &Path, name: &str, cuda: &Path) -> Outcome<String> {
    let mut text = format!("#include \"shim.hpp\"\n#include \"{}\"\nnamespace stf {{\n", path.display());
    let kernels = kernel_names(path, cuda)?;
    writeln!(text, "const Entry *source_{name}(int *count) {{\n    static const Entry entries[] = {{")?;
    for kernel in &kernels {
        writeln!(text, "        Unpacked<&{kernel}>::entry(\"{kernel}\"),")?;
    }
    write!(text, "    }};\n    *count = {};\n    return entries;\n}}\n}} // namespace stf\n", kernels.len())?;
    Ok(text)
}

/// Names of the `__global__` functions: after preprocessing, the last word before the parenthesis that follows a mark.
fn kernel_names(path: &Path, cuda: &Path) -> Outcome<Vec<String>> {
    let mut command = compiler(cuda).try_get_compiler()?.to_command();
    let output = command.args(["-E", "-P", "-x", "c++", "-DSTF_MARK_KERNELS", "-include", "shim.hpp"]).arg(path).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let source = String::from_utf8(output.stdout)?;
    let after_marks = source.split("stf_kernel_follows").skip(1);
    let names = after_marks.filter_map(|after| Some(after.split('(').next()?.split_whitespace().last()?.to_string()));
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        return Err(format!("{} has no __global__ function", path.display()).into());
    }
    Ok(names)
}

fn table_of(names: &[String]) -> Outcome<String> {
    let mut text = String::from("#include \"shim.hpp\"\nnamespace stf {\n");
    for name in names {
        writeln!(text, "const Entry *source_{name}(int *count);")?;
    }
    text.push_str("const Source sources[] = {");
    for name in names {
        write!(text, "source_{name}, ")?;
    }
    text.push_str("nullptr};\n} // namespace stf\n");
    Ok(text)
}
