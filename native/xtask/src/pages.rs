//! The pages of the methods: each one's README with the table of its parameters filled in, and the list of all.

use std::fmt::Write as _;

use stfusion_core::method::MethodInfo;
use stfusion_core::param::{Kind, ParamSpec};

use crate::{marked_markdown, Generated, Result};

/// The line of a README that the table of parameters replaces.
const MARK: &str = "<!-- generated: parameters -->";

/// Headings of a README, in their order.
const HEADINGS: &[&str] =
    &["Idea", "Use it when", "Do not use it when", "Inputs", "Parameters", "Cost", "Notes on this implementation", "References"];

/// One page for each method, and their list.
///
/// # Errors
/// When a README lacks a heading, has them in another order, or has no place for the parameters.
pub(crate) fn methods() -> Result<Vec<Generated>> {
    let infos: Vec<_> = stfusion_methods::all().iter().map(|m| m.info()).collect();
    let mut files = vec![Generated::new("docs/methods/README.md", marked_markdown(&index(&infos)))];
    for info in infos {
        files.push(Generated::new(format!("docs/methods/{}.md", info.id), marked_markdown(&page(info)?)));
    }
    Ok(files)
}

fn index(infos: &[&MethodInfo]) -> String {
    let mut text = String::from("# Methods\n\n| id | name | family | pairs | in one sentence |\n|---|---|---|---|---|\n");
    for info in infos {
        let pairs = match info.max_pairs {
            Some(max) if max == info.min_pairs => max.to_string(),
            Some(max) => format!("{} to {max}", info.min_pairs),
            None => format!("{} or more", info.min_pairs),
        };
        // writing to a String cannot fail
        let _ = writeln!(
            text,
            "| [`{0}`]({0}.md) | {1} | {2} | {pairs} | {3} |",
            info.id,
            cell(info.label),
            info.family.label(),
            cell(info.summary)
        );
    }
    text
}

fn page(info: &MethodInfo) -> Result<String> {
    let wrong = |what: String| format!("native/methods/src/{}/README.md: {what}", info.id);
    let found: Vec<&str> = info.readme.lines().filter_map(|l| l.strip_prefix("## ")).map(str::trim).collect();
    if found != HEADINGS {
        return Err(wrong(format!("has the headings {}; expected {}", found.join(", "), HEADINGS.join(", "))));
    }
    if info.readme.matches(MARK).count() != 1 {
        return Err(wrong(format!("expected one line {MARK} under Parameters")));
    }
    Ok(info.readme.replace(MARK, parameters(info.parameters).trim_end()))
}

fn parameters(specs: &[ParamSpec]) -> String {
    if specs.is_empty() {
        return "None.".into();
    }
    let mut text = String::from("| name | value | default | meaning |\n|---|---|---|---|\n");
    for spec in specs {
        let default = stfusion_cli::default_text(spec);
        let mut help = format!("**{}.** {}", spec.label, spec.help);
        let value = match spec.kind {
            Kind::Choice { options, .. } => {
                for option in options {
                    let _ = write!(help, "<br>`{}`: {}", option.id, option.help);
                }
                "a choice".into()
            }
            _ => spec.expectation(),
        };
        let _ = writeln!(text, "| `{}` | {} | `{default}` | {} |", spec.id, cell(&value), cell(&help));
    }
    text
}

/// Text that stays in its cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_in_the_page_of_its_method() {
        for method in stfusion_methods::all() {
            let info = method.info();
            let page = page(info).unwrap();
            assert!(!page.contains(MARK));
            for spec in info.parameters {
                assert!(page.contains(&format!("\n| `{}` | ", spec.id)), "{} {}", info.id, spec.id);
            }
        }
    }
}
