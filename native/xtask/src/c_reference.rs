//! The reference of the C interface: a page for each function, one for each type, and their index, from the header.
//!
//! Signatures and prose are the header's. What follows from the types alone (who owns a result, which threads may call) is
//! said by rule; what the parameters that recur in many functions mean stands in [`PARAMETERS`] once.

use std::fmt::Write as _;
use std::path::Path;

use crate::abi::Since;
use crate::surface::{Item, Kind, Signature, Surface};
use crate::{header, marked_markdown, Generated, Result};

const FOLDER: &str = "docs/reference/c";

/// What a parameter means, by its name or, where a name means something else in one function, by `function.name`.
const PARAMETERS: &[(&str, &str)] = &[
    ("bands", "Number of bands, at least 1."),
    ("bytes", "The budget in bytes; 0 lets the library choose."),
    ("classes", "The class map: one band, rows and columns of the fine images."),
    ("coarse", "Name of the coarse image, one that GDAL can open."),
    ("cols", "Number of columns, at least 1."),
    ("context", "The context: its threads, memory and callbacks are used, and it keeps the text of a failure."),
    ("data", "The pixel (band 0, row 0, col 0)."),
    ("date", "The day as `\"YYYY-MM-DD\"`. May be NULL."),
    ("dtype", "Type of the pixels, one of stf_dtype."),
    ("fine", "Name of the fine image, one that GDAL can open."),
    ("folder", "Folder that relative file names in the job mean. May be NULL."),
    ("function", "Your function; NULL removes the present one."),
    ("job", "The job."),
    ("json", "Text of a job file."),
    ("method", "Id of a method; stf_methods_json lists them."),
    ("name", "Name of a parameter of the method or of an option of the job, with `_` or `-`."),
    ("objects", "The object map: one band, rows and columns of the fine images."),
    ("pan", "The panchromatic image: one band, rows and columns of the fine images."),
    ("options", "What to compare, as a JSON object. May be NULL."),
    ("out", "Where the result goes; written on success only."),
    ("pair", "Number of the pair, counted from 0."),
    ("path", "Name of a file that GDAL can open. NULL removes it."),
    ("prediction", "The memory to fill."),
    ("preset", "Name of a mask preset, such as `\"landsat_c2\"`; stf_spec_json lists them. May be NULL."),
    ("report", "Where the report goes; written on success only. May be NULL."),
    ("request", "What to compare, as a JSON object."),
    ("role", "Whose mask it is, one of stf_role."),
    ("rows", "Number of rows, at least 1."),
    ("stf_context_destroy.context", "The context, or NULL."),
    ("stf_context_last_error.context", "The context of the call that failed."),
    ("stf_context_last_hint.context", "The context of the call that failed."),
    ("stf_image_info_json.name", "Name of an image, one that GDAL can open."),
    ("stf_job_add_pair_image.coarse", "The coarse image."),
    ("stf_job_add_pair_image.fine", "The fine image."),
    ("size", "Number of bytes."),
    ("stf_job_set_contents.data", "The bytes."),
    ("stf_job_set_contents.name", "Name of a parameter of the method, with `_` or `-`."),
    ("stf_job_destroy.job", "The job, or NULL."),
    ("stf_job_from_file.path", "Name of the job file."),
    ("stf_job_set_target_image.coarse", "The coarse image of the day to predict."),
    ("stf_weights_info_json.path", "Name of a safetensors or ONNX file."),
    ("stf_report_destroy.report", "The report, or NULL."),
    ("stf_report_json.report", "The report."),
    ("arrays", "The arrays."),
    ("axes", "Where the number of axes goes."),
    ("contents", "The bytes of the weights file. May be NULL."),
    ("index", "Number of the array, counted from 0."),
    ("inputs", "The arrays that the network takes."),
    ("shape", "Where the extents of the axes go."),
    ("stf_arrays_add.axes", "Number of axes."),
    ("stf_arrays_add.name", "Name of an input of the network."),
    ("stf_arrays_add.shape", "The extents of the axes. May be NULL for a single number."),
    ("stf_arrays_add.values", "The values, in C order."),
    ("stf_arrays_destroy.arrays", "The arrays, or NULL."),
    ("stf_arrays_get.name", "Where the name goes."),
    ("stf_infer.options", "Network and options, as a JSON object. May be NULL."),
    ("stf_infer.size", "Number of bytes at `contents`."),
    ("values", "Where the values go."),
    ("weights", "Name of a safetensors or ONNX file, or of the bytes at `contents`."),
    ("status", "A status, such as one that a function returned."),
    ("struct_size", "`sizeof(stf_image)` as your program was compiled."),
    ("support", "The memory to fill with the support layer. May be NULL."),
    ("threads", "Number of threads; 0 for the default."),
    ("user", "Handed to the function with each call; the library does not look at it."),
    ("value", "The value."),
];

/// The beginning of the paragraph that names the statuses of a function.
const FAILS: &str = "Fails with ";

/// The pages of the header of the repository.
///
/// # Errors
/// When the header cannot be made or read, an item of it has no comment, or a parameter has no meaning in [`PARAMETERS`].
pub(crate) fn all(root: &Path) -> Result<Vec<Generated>> {
    let surface = Surface::read(&header::generate(root)?)?;
    match surface.undocumented().as_slice() {
        [] => pages(&surface, &Since::read(root)?),
        bare => Err(format!("{}: no documentation above {}", header::PATH, bare.join(", "))),
    }
}

fn pages(surface: &Surface, since: &Since) -> Result<Vec<Generated>> {
    let links = Links(surface);
    let mut files = vec![Generated::new(format!("{FOLDER}/README.md"), marked_markdown(&index(surface, &links)))];
    for item in surface.items.iter().filter(|i| !matches!(i.kind, Kind::Macro { .. })) {
        let mut page = format!("# {}\n\n```c\n{}\n```\n", item.name, without_comments(&item.text));
        match &item.kind {
            Kind::Function(signature) => function(item, signature, &links, &mut page)?,
            _ => of_type(item, surface, &links, &mut page),
        }
        let kind = match item.kind {
            Kind::Function(_) => "function",
            Kind::Enum { .. } => "enum",
            Kind::Struct { .. } => "struct",
            Kind::Handle => "handle",
            Kind::Callback(_) | Kind::Macro { .. } => "callback",
        };
        let version = since.of(&format!("{kind} {}", item.name)).unwrap_or(env!("CARGO_PKG_VERSION"));
        let _ = write!(page, "\nSince {version}, `<stfusion/stfusion.h>`. [All functions and types](README.md)\n");
        files.push(Generated::new(page_of(&item.name), marked_markdown(&page)));
    }
    Ok(files)
}

fn page_of(name: &str) -> String {
    format!("{FOLDER}/{name}.md")
}

fn function(item: &Item, signature: &Signature, links: &Links<'_>, page: &mut String) -> Result<()> {
    let (fails, prose): (Vec<&str>, Vec<&str>) = item.doc.split("\n\n").partition(|p| p.starts_with(FAILS));
    let _ = write!(page, "\n{}\n", links.of_text(&prose.join("\n\n"), &item.name));
    if !signature.parameters.is_empty() {
        let _ = write!(page, "\n## Parameters\n\n| name | type | meaning |\n|---|---|---|\n");
        for parameter in &signature.parameters {
            let meaning = meaning(&item.name, &parameter.name)
                .ok_or_else(|| format!("{}: PARAMETERS in c_reference.rs lacks its parameter {}", item.name, parameter.name))?;
            let of_type = links.of_type(&parameter.of_type);
            let _ = writeln!(page, "| `{}` | {of_type} | {} |", parameter.name, links.of_text(meaning, &item.name));
        }
    }
    let result = match signature.result.as_str() {
        "stf_status" => {
            let always =
                "STF_STATUS_OK; STF_STATUS_ARGUMENT for an argument that is unusable as such; STF_STATUS_INTERNAL for a \
                          defect of the library.";
            [&[always], fails.as_slice()].concat().join(" ")
        }
        "void" => "Nothing.".into(),
        // the prose says what
        _ => String::new(),
    };
    if !result.is_empty() {
        let _ = write!(page, "\n## Returns\n\n{}\n", links.of_text(&result, &item.name));
    }
    let _ = write!(page, "\n## Ownership\n\n{}\n", links.of_text(&ownership(signature), &item.name));
    let _ = write!(page, "\n## Threads\n\n{}\n", links.of_text(&threads(signature), &item.name));
    Ok(())
}

fn meaning(function: &str, parameter: &str) -> Option<&'static str> {
    let of = |key: &str| PARAMETERS.iter().find(|(k, _)| *k == key).map(|(_, meaning)| *meaning);
    of(&format!("{function}.{parameter}")).or_else(|| of(parameter))
}

/// Who owns what goes in and comes out: it follows from the types.
fn ownership(signature: &Signature) -> String {
    let mut rules = Vec::new();
    let mut kept = false;
    for parameter in &signature.parameters {
        let name = &parameter.name;
        match parameter.of_type.as_str() {
            "const char **" => rules.push(format!(
                "The text at `*{name}` belongs to the context. Do not free it; copy it to keep it beyond the next call of this function."
            )),
            handle if handle.ends_with(" **") => {
                let handle = handle.trim_end_matches(" **");
                rules.push(format!("`*{name}` is yours: end it with {handle}_destroy."));
            }
            "const stf_image *" => rules.push(format!("The pixels of `{name}` are and stay yours.")),
            "void *" if name == "user" => {
                rules.push(format!("`{name}` stays yours, and must be good for as long as the function may be called."));
            }
            "const char *" => kept = true,
            _ => {}
        }
    }
    if signature.result == "const char *" {
        rules.push("Do not free the text.".into());
    }
    if signature.result == "void" {
        rules.push("The handle must not be used any more.".into());
    }
    if kept {
        rules.push("Texts that you pass are copied where they are needed.".into());
    }
    if rules.is_empty() {
        rules.push("Nothing changes hands.".into());
    }
    rules.join(" ")
}

/// Who may call when: it follows from the handles.
fn threads(signature: &Signature) -> String {
    let handle = |of_type: &str| ["stf_context *", "stf_job *", "stf_report *"].contains(&of_type.trim_start_matches("const "));
    let handles: Vec<_> = signature.parameters.iter().filter(|p| handle(&p.of_type)).map(|p| format!("`{}`", p.name)).collect();
    match handles.as_slice() {
        [] => "From any thread, at any time.".into(),
        handles => format!(
            "From any thread, while no other call uses {}. Calls with other handles may run at the same time.",
            handles.join(" or ")
        ),
    }
}

fn of_type(item: &Item, surface: &Surface, links: &Links<'_>, page: &mut String) {
    let _ = write!(page, "\n{}\n", links.of_text(&item.doc, &item.name));
    let members = item.members();
    if !members.is_empty() {
        let is_struct = matches!(item.kind, Kind::Struct { .. });
        let head = if is_struct { "| field | type | meaning |" } else { "| name | number | meaning |" };
        let _ = write!(page, "\n{head}\n|---|---|---|\n");
        for member in members {
            let is = if is_struct { links.of_type(&member.is) } else { member.is.clone() };
            let _ =
                writeln!(page, "| `{}` | {is} | {} |", member.name, links.of_text(&member.doc, &item.name).replace('\n', " "));
        }
    }
    let users: Vec<_> = surface.functions().filter(|(_, s)| s.parameters.iter().any(|p| names(&p.of_type, &item.name))).collect();
    let users: Vec<_> = users.iter().map(|(function, _)| format!("[{0}]({0}.md)", function.name)).collect();
    if !users.is_empty() {
        let _ = write!(page, "\nTaken by {}.\n", users.join(", "));
    }
}

/// Whether a type in C is built from that name.
fn names(of_type: &str, name: &str) -> bool {
    of_type.split([' ', '*']).any(|word| word == name)
}

/// A declaration without the comments of its members, which the page has in a table.
fn without_comments(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, comment)) = rest.split_once("/*") {
        plain.push_str(before.trim_end());
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    plain + rest
}

fn index(surface: &Surface, links: &Links<'_>) -> String {
    let mut text = format!(
        "# C interface\n\n{}\n\nThe way through it, with two programs: [C and C++](../../c_api.md). In C++ use `stfusion.hpp`, which has these \
         functions as members of `stfusion::context` and `stfusion::job`.\n",
        links.of_text(&surface.introduction, "")
    );
    for title in GROUPS {
        let _ = write!(text, "\n## {title}\n\n| function | |\n|---|---|\n");
        for (item, _) in surface.functions().filter(|(item, _)| group(&item.name) == title) {
            let _ = writeln!(text, "| [{0}]({0}.md) | {1} |", item.name, links.of_text(&first_sentence(&item.doc), &item.name));
        }
    }
    let _ = write!(text, "\n## Types\n\n| type | |\n|---|---|\n");
    for item in &surface.items {
        if !matches!(item.kind, Kind::Function(_) | Kind::Macro { .. }) {
            let _ = writeln!(text, "| [{0}]({0}.md) | {1} |", item.name, links.of_text(&first_sentence(&item.doc), &item.name));
        }
    }
    let _ = write!(text, "\n## Macros\n\n| macro | value | |\n|---|---|---|\n");
    for item in &surface.items {
        if let Kind::Macro { value } = &item.kind {
            let _ = writeln!(text, "| `{}` | `{value}` | {} |", item.name, item.doc.replace('\n', " "));
        }
    }
    text
}

const GROUPS: [&str; 5] = ["Library", "Contexts", "Images", "Jobs", "Running and assessing"];

/// The part of the index that a function belongs to.
fn group(function: &str) -> &'static str {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|p| function.starts_with(p));
    let [library, contexts, images, jobs, running] = GROUPS;
    match () {
        () if starts(&["stf_job_schema_json"]) => library,
        () if starts(&["stf_job_run", "stf_report_", "stf_assess_", "stf_job_inspect_", "stf_job_compare_"]) => running,
        () if starts(&["stf_job_"]) => jobs,
        () if starts(&["stf_context_"]) => contexts,
        () if starts(&["stf_image_"]) => images,
        () => library,
    }
}

/// Up to the first full stop that ends a sentence, in one line.
fn first_sentence(doc: &str) -> String {
    let paragraph = doc.split("\n\n").next().unwrap_or_default();
    let end = [". ", ".\n"].iter().filter_map(|stop| paragraph.find(stop)).min();
    end.map_or(paragraph, |end| &paragraph[..=end]).replace('\n', " ")
}

/// Names of the interface as links to their pages.
struct Links<'a>(&'a Surface);

impl Links<'_> {
    /// Where a name is explained.
    fn target(&self, name: &str) -> Option<String> {
        let item = self
            .0
            .items
            .iter()
            .find(|i| i.name == name || i.members().iter().any(|m| m.name == name && name.starts_with("STF_")))?;
        (!matches!(item.kind, Kind::Macro { .. })).then(|| format!("{}.md", item.name))
    }

    /// A text in which names of the interface, other than `own`, are links; text in code marks stays as it is.
    fn of_text(&self, text: &str, own: &str) -> String {
        let mut linked = String::new();
        for (k, part) in text.split('`').enumerate() {
            if k > 0 {
                linked.push('`');
            }
            if k % 2 == 1 {
                linked.push_str(part);
                continue;
            }
            let mut word = String::new();
            for c in part.chars().chain(['\0']) {
                if c.is_ascii_alphanumeric() || c == '_' {
                    word.push(c);
                    continue;
                }
                match self.target(&word).filter(|_| word != own) {
                    Some(target) => {
                        let _ = write!(linked, "[{word}]({target})");
                    }
                    None => linked.push_str(&word),
                }
                word.clear();
                if c == '<' {
                    linked.push('\\');
                }
                if c != '\0' {
                    linked.push(c);
                }
            }
        }
        linked
    }

    /// A type in C, in code marks, as a link if it is one of the interface.
    fn of_type(&self, of_type: &str) -> String {
        match of_type.split([' ', '*']).find_map(|word| self.target(word)) {
            Some(target) => format!("[`{of_type}`]({target})"),
            None => format!("`{of_type}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surface() -> Surface {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        Surface::read(&header::generate(root).unwrap()).unwrap()
    }

    #[test]
    fn every_function_has_a_page_with_all_that_a_caller_asks() {
        let surface = surface();
        let pages = pages(&surface, &Since::none()).unwrap();
        for (item, signature) in surface.functions() {
            let page = &pages.iter().find(|p| p.path == page_of(&item.name)).unwrap().text;
            for part in ["```c\n", "\n## Ownership\n", "\n## Threads\n", "\nSince "] {
                assert!(page.contains(part), "{} lacks {part}", item.name);
            }
            assert_eq!(page.contains("\n## Returns\n\n[STF_STATUS_OK]"), signature.result == "stf_status", "{}", item.name);
            for parameter in &signature.parameters {
                assert!(page.contains(&format!("| `{}` | ", parameter.name)), "{} {}", item.name, parameter.name);
            }
        }
    }

    #[test]
    fn the_index_lists_every_item_once() {
        let surface = surface();
        let index = index(&surface, &Links(&surface));
        for item in &surface.items {
            let rows = [format!("\n| [{0}]({0}.md) | ", item.name), format!("\n| `{}` | ", item.name)];
            assert_eq!(rows.iter().map(|r| index.matches(r.as_str()).count()).sum::<usize>(), 1, "{}", item.name);
        }
    }

    #[test]
    fn every_meaning_of_a_parameter_is_used() {
        let surface = surface();
        for (key, _) in PARAMETERS {
            let used = surface.functions().any(|(item, signature)| {
                signature.parameters.iter().any(|p| {
                    let own = format!("{}.{}", item.name, p.name);
                    own == *key || p.name == *key && PARAMETERS.iter().all(|(k, _)| *k != own)
                })
            });
            assert!(used, "{key}");
        }
    }

    #[test]
    fn names_become_links_outside_of_code_and_on_other_pages() {
        let surface = surface();
        let links = Links(&surface);
        assert_eq!(links.of_text("see stf_job_run.", ""), "see [stf_job_run](stf_job_run.md).");
        assert_eq!(links.of_text("see `stf_job_run`, stf_job_run", "stf_job_run"), "see `stf_job_run`, stf_job_run");
        assert_eq!(links.of_text("STF_STATUS_DATA", ""), "[STF_STATUS_DATA](stf_status.md)");
        assert_eq!(links.of_type("const stf_image *"), "[`const stf_image *`](stf_image.md)");
        assert_eq!(links.of_type("const char **"), "`const char **`");
    }
}
