//! Everything in the repository that is generated, and from what.
//!
//! ```text
//! registry of methods ──> spec.json, job.schema.json, docs/methods/
//! clap::Command       ──> docs/reference/cli.md, docs/man/, docs/completions/
//! C ABI crate         ──> include/stfusion/stfusion.h ──> docs/reference/c/, packaging/debian/libstfusion0.symbols
//! python's _abi.py    ──> qgis_plugin/stfusion/abi.py
//! ```
//!
//! Each file says in its first line that it is generated and by which command. The files are committed, and a test fails
//! when one is stale. The same input gives the same bytes everywhere. [`ptx`] compiles the kernels of `cuda/`; [`dist`] makes what is
//! not committed: the source tarball.
#![deny(missing_docs)]

pub mod abi;
mod c_reference;
pub mod dist;
mod header;
mod pages;
pub mod ptx;
mod reference;
mod surface;
mod symbols;

use std::fs;
use std::path::Path;

use serde_json::{Map, Value as Json};

/// The command that makes the generated files.
pub const COMMAND: &str = "cargo xtask gen";

/// What can go wrong, in words.
pub type Result<T> = std::result::Result<T, String>;

/// A generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// Its path below the root of the repository.
    pub path: String,
    /// What it holds.
    pub text: String,
}

impl Generated {
    fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Generated { path: path.into(), text: text.into() }
    }
}

/// The C ABI in Python. The QGIS plugin must not depend on a package that QGIS lacks, so it carries a copy of its own.
const PYTHON_ABI: &str = "python/stfusion/_abi.py";
const PLUGIN_ABI: &str = "qgis_plugin/stfusion/abi.py";

/// Every generated file, in memory.
///
/// # Errors
/// When a source is malformed, such as a method's README without a place for its parameters, or the environment would get in.
pub fn generated(root: &Path) -> Result<Vec<Generated>> {
    if std::env::var_os("STFUSION_PRESETS").is_some() {
        return Err("STFUSION_PRESETS is set, and its presets would get into spec.json: unset it".into());
    }
    let header = header::generate(root)?;
    let mut files = vec![
        symbols::list(root, &header)?,
        Generated::new(header::PATH, header),
        Generated::new("qgis_plugin/stfusion/spec.json", marked_json(stfusion_engine::spec())),
        Generated::new("docs/job.schema.json", marked_json(stfusion_engine::job_schema())),
        Generated::new(PLUGIN_ABI, marked_copy(root, PYTHON_ABI)?),
    ];
    files.extend(pages::methods()?);
    files.extend(reference::all()?);
    files.extend(c_reference::all(root)?);
    Ok(files)
}

/// The paths of those generated files that are missing or not what they would be, and of files in generated folders that
/// nothing generates.
///
/// # Errors
/// Those of [`generated`].
pub fn stale(root: &Path) -> Result<Vec<String>> {
    let files = generated(root)?;
    let mut stale: Vec<String> = files
        .iter()
        .filter(|f| fs::read_to_string(root.join(&f.path)).ok().as_ref() != Some(&f.text))
        .map(|f| f.path.clone())
        .collect();
    stale.extend(leftovers(root, &files).into_iter().map(|path| format!("{path} (nothing generates it)")));
    Ok(stale)
}

/// Writes the stale files and removes leftovers; returns the paths touched.
///
/// # Errors
/// Those of [`generated`], and when a file cannot be written.
pub fn write(root: &Path) -> Result<Vec<String>> {
    let files = generated(root)?;
    let mut touched = write_changed(root, &files)?;
    for path in leftovers(root, &files) {
        fs::remove_file(root.join(&path)).map_err(|e| format!("{path}: {e}"))?;
        touched.push(format!("{path} (removed)"));
    }
    Ok(touched)
}

/// Writes those of `files` that are not already what they should be; returns their paths.
fn write_changed(root: &Path, files: &[Generated]) -> Result<Vec<String>> {
    let mut touched = Vec::new();
    for file in files {
        let path = root.join(&file.path);
        if fs::read_to_string(&path).ok().as_ref() == Some(&file.text) {
            continue;
        }
        let folder = path.parent().map(fs::create_dir_all);
        folder.unwrap_or(Ok(())).and_then(|()| fs::write(&path, &file.text)).map_err(|e| format!("{}: {e}", file.path))?;
        touched.push(file.path.clone());
    }
    Ok(touched)
}

/// Folders that hold generated files only.
const GENERATED_FOLDERS: &[&str] = &["docs/methods", "docs/man", "docs/completions", "docs/reference", "docs/reference/c"];

fn leftovers(root: &Path, files: &[Generated]) -> Vec<String> {
    let mut found = Vec::new();
    for folder in GENERATED_FOLDERS {
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_file() && files.iter().all(|f| f.path != path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The Python file `source`, under a first line that says it is generated.
fn marked_copy(root: &Path, source: &str) -> Result<String> {
    let text = fs::read_to_string(root.join(source)).map_err(|e| format!("{source}: {e}"))?;
    Ok(format!("# Generated by `{COMMAND}` from {source}: do not edit.\n{text}"))
}

/// JSON text whose first key says that it is generated.
fn marked_json(json: Json) -> String {
    let mut all = Map::new();
    all.insert("generated".into(), Json::from(COMMAND));
    if let Json::Object(entries) = json {
        all.extend(entries);
    }
    format!("{:#}\n", Json::Object(all))
}

/// The first line of a generated Markdown page.
fn marked_markdown(text: &str) -> String {
    format!("<!-- Generated by `{COMMAND}`: do not edit. -->\n\n{}\n", text.trim_end())
}
