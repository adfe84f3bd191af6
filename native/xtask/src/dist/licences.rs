//! Which licences crates may have, and the texts that travel with the binaries.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use spdx::{Expression, ParseMode};

use super::crates::{Crate, Crates};
use crate::Result;

/// Licences of crates that get into a binary: all ask for no more than their text beside it.
const ALLOWED: &[&str] =
    &["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Unlicense", "Zlib"];

/// Licences of crates that only write generated files or run tests, beside the allowed ones.
const ALLOWED_TOOLS: &[&str] = &["MPL-2.0"];

/// Files with a name that begins like this, in capitals, hold a licence.
const LICENCE_FILES: &[&str] = &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// Checks every crate against the lists.
///
/// # Errors
/// All crates that fail, each with its licence.
pub(super) fn check(crates: &Crates) -> Result<()> {
    let bad: Vec<String> =
        crates.all.iter().filter_map(|c| refusal(c).map(|why| format!("  {} {}: {why}", c.name, c.version))).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(format!(
        "Crates under licences that are not allowed:\n{}\nReplace them, or allow the licence in {}.",
        bad.join("\n"),
        file!()
    ))
}

fn refusal(c: &Crate) -> Option<String> {
    if c.licence.is_empty() {
        return Some("its manifest names no licence".into());
    }
    let allowed = |id: &str| ALLOWED.contains(&id) || (!c.shipped && ALLOWED_TOOLS.contains(&id));
    match parsed(c) {
        Err(why) => Some(why),
        Ok(expression) => {
            (!expression.evaluate(|r| r.license.id().is_some_and(|id| allowed(id.name)))).then(|| c.licence.clone())
        }
    }
}

fn parsed(c: &Crate) -> Result<Expression> {
    Expression::parse_mode(&c.licence, ParseMode::LAX)
        .map_err(|e| format!("\"{}\" is no SPDX expression: {}", c.licence, e.reason))
}

/// The list of shipped crates and their licence texts, each text once.
///
/// # Errors
/// When a crate comes without a text, and its licence has no standard one.
pub(super) fn texts(crates: &Crates) -> Result<String> {
    let mut list = String::new();
    let mut by_text: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for c in crates.shipped() {
        let name = format!("{} {}", c.name, c.version);
        // writing to a String cannot fail
        let _ = writeln!(list, "  {name}: {}", c.licence);
        for text in of(c)? {
            by_text.entry(text).or_default().push(name.clone());
        }
    }
    let mut parts: Vec<(Vec<String>, String)> = by_text.into_iter().map(|(text, names)| (names, text)).collect();
    parts.sort();
    let mut page = format!(
        "Third-party software in stfusion {}\n\nThe binaries of stfusion contain these crates. Their licences follow, each text once.\n\n{list}",
        env!("CARGO_PKG_VERSION")
    );
    for (names, text) in parts {
        let _ = write!(page, "\n{}\n{}\n\n{text}\n", "=".repeat(100), names.join(", "));
    }
    Ok(page)
}

/// The licence texts of a crate: its own files, else the standard texts of the licences it names.
fn of(c: &Crate) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for path in files(c)? {
        let bytes = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        texts.push(tidy(&String::from_utf8_lossy(&bytes)));
    }
    if texts.is_empty() {
        let expression = parsed(c).map_err(|why| format!("{} {}: {why}", c.name, c.version))?;
        let authors = if c.authors.is_empty() { format!("The authors of {}", c.name) } else { c.authors.join(", ") };
        for requirement in expression.requirements() {
            if let Some(id) = requirement.req.license.id() {
                texts.push(tidy(&format!("{}, by {authors}:\n\n{}", id.full_name, id.text())));
            }
        }
    }
    if texts.is_empty() {
        return Err(format!("{} {}: no licence text comes with it, and {} has no standard one", c.name, c.version, c.licence));
    }
    Ok(texts)
}

/// Files of the crate's folder that hold a licence, sorted by name.
fn files(c: &Crate) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(&c.folder).map_err(|e| format!("{}: {e}", c.folder.display()))?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|e| {
            let name = e.file_name().to_string_lossy().to_uppercase();
            e.path().is_file() && LICENCE_FILES.iter().any(|start| name.starts_with(start))
        })
        .map(|e| e.path())
        .chain(c.licence_file.iter().map(|f| c.folder.join(f)))
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn made(licence: &str, shipped: bool, folder: PathBuf) -> Crate {
        Crate {
            name: "some".into(),
            version: "1.2.3".into(),
            licence: licence.into(),
            licence_file: None,
            authors: vec!["A. Nobody".into()],
            description: None,
            folder,
            checksum: None,
            shipped,
            needs: BTreeSet::new(),
        }
    }

    #[test]
    fn a_licence_outside_the_list_is_refused_by_name() {
        let check = |licence: &str, shipped| {
            check(&Crates { all: vec![made(licence, shipped, PathBuf::new())], direct: BTreeSet::new() })
        };
        for good in
            ["MIT", "MIT/Apache-2.0", "(MIT OR GPL-3.0-only) AND Unicode-3.0", "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only"]
        {
            assert_eq!(check(good, true), Ok(()), "{good}");
        }
        for bad in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "MPL-2.0"] {
            let error = check(bad, true).unwrap_err();
            assert!(error.contains(&format!("some 1.2.3: {bad}")) && error.contains("licences.rs"), "{error}");
        }
        assert_eq!(check("MPL-2.0", false), Ok(()));
        assert!(check("", true).unwrap_err().contains("names no licence"));
        assert!(check("My own", true).unwrap_err().contains("\"My own\" is no SPDX expression"));
    }

    #[test]
    fn files_come_first_and_standard_texts_fill_in() {
        let folder = tempfile::tempdir().unwrap();
        let bare = of(&made("MIT OR Zlib", true, folder.path().into())).unwrap();
        assert_eq!(bare.len(), 2);
        assert!(
            bare[0].starts_with("MIT License, by A. Nobody:") && bare[0].contains("THE SOFTWARE IS PROVIDED \"AS IS\""),
            "{}",
            bare[0]
        );
        fs::write(folder.path().join("License-mine.md"), "Do as you like. \r\n").unwrap();
        fs::write(folder.path().join("README.md"), "nothing").unwrap();
        assert_eq!(of(&made("MIT OR Zlib", true, folder.path().into())).unwrap(), ["Do as you like."]);
        let custom = of(&made("LicenseRef-own", true, folder.path().join("none"))).unwrap_err();
        assert!(custom.contains("none"), "{custom}");
    }
}
