//! Names of datasets: `job.stf`, `STFUSION:job.stf`, `STFUSION:{ inline JSON }`, and `STFUSION:support:` before either.

use std::path::{Path, PathBuf};

use stfusion_core::{Error, ErrorKind, Result};
use stfusion_engine::{Job, Product};

const PREFIX: &str = "STFUSION:";
const SUPPORT: &str = "support:";

/// A job file larger than this is no job; the engine says so.
const MAX_BYTES: usize = 16 << 20;

/// What a name asks for.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) product: Product,
    /// A file name, or the job itself.
    source: String,
}

impl Name {
    pub(crate) fn parse(text: &str) -> Name {
        let rest = without_prefix(text, PREFIX).unwrap_or(text);
        let (product, source) = match without_prefix(rest, SUPPORT) {
            Some(source) if rest.len() < text.len() => (Product::Support, source),
            _ => (Product::Prediction, rest),
        };
        Name { product, source: source.to_string() }
    }

    fn is_inline(&self) -> bool {
        self.source.trim_start().starts_with('{')
    }

    /// The job file's name; `None` for a job given inline.
    pub(crate) fn file(&self) -> Option<&str> {
        (!self.is_inline()).then_some(self.source.as_str())
    }

    /// The name of the support layer beside this one.
    pub(crate) fn support(&self) -> String {
        format!("{PREFIX}{SUPPORT}{}", self.source)
    }

    /// Reads the job. Relative names in it become absolute, so that they mean the same whatever the working folder is later.
    ///
    /// # Errors
    /// Those of reading, and of [`Job::from_json`].
    pub(crate) fn job(&self) -> Result<Job> {
        let Some(file) = self.file() else { return Job::from_json(&self.source, Some(&absolute(Path::new("")))) };
        if file.trim().is_empty() {
            return Err(Error::new(ErrorKind::Read, "STFUSION: names no job")
                .with_hint("Write STFUSION:job.stf, or the job itself in braces."));
        }
        let text = stfusion_raster::read_text(file, MAX_BYTES)?;
        let folder = absolute(Path::new(file).parent().unwrap_or(Path::new("")));
        let job = Job::from_json(&text, Some(&folder)).map_err(|e| e.at(file))?;
        Ok(Job { provenance: None, ..job })
    }
}

fn absolute(folder: &Path) -> PathBuf {
    std::env::current_dir().map_or_else(|_| folder.to_path_buf(), |here| here.join(folder))
}

fn without_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}
