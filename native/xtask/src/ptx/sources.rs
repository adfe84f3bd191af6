//! The files of `cuda/` that are compiled, and which includes which.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

/// A file of device code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path below the root of the repository, such as `cuda/methods/starfm.cu`.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// Whether it is a module of its own rather than a part of others.
    pub fn is_module(&self) -> bool {
        self.path.ends_with(".cu")
    }

    /// The name by which it is included, and as a module without its extension: the path below `cuda/`.
    pub fn name(&self) -> &str {
        self.path.trim_start_matches("cuda/")
    }

    /// Name of the module, such as `methods/starfm`.
    pub fn module(&self) -> &str {
        self.name().trim_end_matches(".cu")
    }

    fn includes(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter_map(|line| line.trim().strip_prefix("#include \"")?.strip_suffix('"'))
    }
}

/// Files below `folder` whose name ends in `.extension`, in the order of their paths; none where there is no such folder.
pub fn files_below(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(found) };
    for entry in entries {
        let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
        if path.is_dir() {
            found.extend(files_below(&path, extension)?);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Every `.cu` and `.cuh` file below `cuda`.
pub fn all(cuda: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in files_below(cuda, "cu")?.into_iter().chain(files_below(cuda, "cuh")?) {
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let below = path.strip_prefix(cuda).unwrap_or(&path);
        sources.push(Source { path: format!("cuda/{}", below.display()), text });
    }
    Ok(sources)
}

/// What `source` includes, directly or not, in the order of the first mention.
///
/// # Errors
/// When an included file does not exist.
pub fn included<'a>(source: &Source, all: &'a [Source]) -> Result<Vec<&'a Source>> {
    let mut found: Vec<&Source> = Vec::new();
    let mut open: Vec<&str> = source.includes().collect();
    open.reverse();
    while let Some(name) = open.pop() {
        if found.iter().any(|s| s.name() == name) {
            continue;
        }
        let file = all
            .iter()
            .find(|s| s.name() == name)
            .ok_or_else(|| format!("{}: there is no cuda/{name}; files are included by their path below cuda/", source.path))?;
        found.push(file);
        let mut inner: Vec<&str> = file.includes().collect();
        inner.reverse();
        open.extend(inner);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    #[test]
    fn includes_are_followed_once() {
        let all = [
            source("cuda/methods/m.cu", "#include \"blocks/a.cuh\"\n#include \"blocks/b.cuh\"\n"),
            source("cuda/blocks/a.cuh", "#include \"blocks/c.cuh\"\n"),
            source("cuda/blocks/b.cuh", "#include \"blocks/c.cuh\"\n// #include \"blocks/d.cuh\"\n"),
            source("cuda/blocks/c.cuh", ""),
        ];
        let names: Vec<&str> = included(&all[0], &all).unwrap().iter().map(|s| s.name()).collect();
        assert_eq!(names, ["blocks/a.cuh", "blocks/c.cuh", "blocks/b.cuh"]);
        assert_eq!((all[0].module(), all[0].is_module(), all[1].is_module()), ("methods/m", true, false));
    }

    #[test]
    fn a_missing_file_is_named() {
        let all = [source("cuda/methods/m.cu", "#include \"a.cuh\"\n")];
        let error = included(&all[0], &all).unwrap_err();
        assert_eq!(error, "cuda/methods/m.cu: there is no cuda/a.cuh; files are included by their path below cuda/");
    }
}
