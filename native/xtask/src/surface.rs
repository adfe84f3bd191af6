//! What the C header declares, read from its text: the ABI snapshot, the reference pages and the check of the documentation
//! look at the same items.
//!
//! The header is cbindgen's, so its layout is known, and whatever this reader does not know is an error.

/// The header's text at its head, and everything that it declares, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Surface {
    /// The comment that holds for all of it.
    pub introduction: String,
    /// Declarations.
    pub items: Vec<Item>,
}

/// A declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub name: String,
    /// Its comment; empty when there is none.
    pub doc: String,
    /// As it stands in the header.
    pub text: String,
    pub kind: Kind,
}

/// What is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A macro and what it stands for.
    Macro { value: String },
    /// An enumeration and its numbers.
    Enum { values: Vec<Member> },
    /// A structure and its fields.
    Struct { fields: Vec<Member> },
    /// A structure that only the library knows.
    Handle,
    /// The type of a function of the caller.
    Callback(Signature),
    /// An exported function.
    Function(Signature),
}

/// A field with its type, or a constant with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub name: String,
    pub doc: String,
    pub is: String,
}

/// Result and parameters of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    pub result: String,
    pub parameters: Vec<Parameter>,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub name: String,
    pub of_type: String,
}

impl Signature {
    /// The types alone, which is what a compiled program depends on.
    pub fn types(&self) -> String {
        let types: Vec<_> = self.parameters.iter().map(|p| p.of_type.as_str()).collect();
        format!("{} ({})", self.result, if types.is_empty() { "void".into() } else { types.join(", ") })
    }
}

impl Surface {
    /// Reads the text of a header.
    ///
    /// # Errors
    /// A declaration that is none of [`Kind`], with its text.
    pub fn read(header: &str) -> Result<Surface, String> {
        let mut surface = Surface { introduction: String::new(), items: Vec::new() };
        let (mut doc, mut rest) = (String::new(), header);
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return Ok(surface);
            }
            if rest.starts_with("/*") {
                let (comment, after) = rest.split_once("*/").ok_or("a comment has no end")?;
                doc = comment.strip_prefix("/**").map(comment_text).unwrap_or_default();
                rest = after;
            } else if rest.starts_with("//") {
                rest = rest.split_once('\n').map_or("", |(_, after)| after);
            } else if rest.starts_with('#') {
                let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
                let doc = std::mem::take(&mut doc);
                rest = after;
                let words = line.strip_prefix("#define ").map(|l| l.split_once(' ').unwrap_or((l, "")));
                match words {
                    Some((name, value)) if name.starts_with("STF_") => surface.items.push(Item {
                        name: name.into(),
                        doc,
                        text: line.into(),
                        kind: Kind::Macro { value: value.into() },
                    }),
                    _ if surface.items.is_empty() && surface.introduction.is_empty() => surface.introduction = doc,
                    _ => {}
                }
            } else if let Some(after) = rest.strip_prefix("extern \"C\" {") {
                rest = after;
            } else if let Some(after) = rest.strip_prefix('}') {
                // the end of extern "C"
                rest = after;
            } else {
                let length = end_of_declaration(rest).ok_or_else(|| format!("no declaration: {rest}"))?;
                let (text, after) = rest.split_at(length);
                surface.items.push(item(text, std::mem::take(&mut doc))?);
                rest = after;
            }
        }
    }

    /// Names of items and members that have no comment.
    pub fn undocumented(&self) -> Vec<String> {
        let mut found = Vec::new();
        for item in &self.items {
            if item.doc.is_empty() {
                found.push(item.name.clone());
            }
            let bare = item.members().iter().filter(|m| m.doc.is_empty());
            found.extend(bare.map(|m| format!("{} of {}", m.name, item.name)));
        }
        found
    }

    /// The functions that the library exports.
    pub fn functions(&self) -> impl Iterator<Item = (&Item, &Signature)> {
        self.items.iter().filter_map(|item| match &item.kind {
            Kind::Function(signature) => Some((item, signature)),
            _ => None,
        })
    }
}

impl Item {
    /// Fields or numbers.
    pub fn members(&self) -> &[Member] {
        match &self.kind {
            Kind::Struct { fields: members } | Kind::Enum { values: members } => members,
            _ => &[],
        }
    }
}

/// The length of a declaration: to its semicolon outside of braces and comments.
fn end_of_declaration(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0);
    while let Some(c) = text[at..].chars().next() {
        if text[at..].starts_with("/*") {
            at += text[at..].find("*/")? + 2;
            continue;
        }
        at += c.len_utf8();
        match c {
            '{' => depth += 1,
            '}' => depth = depth.checked_sub(1)?,
            ';' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// A comment without its stars; lines stay lines.
fn comment_text(comment: &str) -> String {
    let plain = |line: &str| {
        let line = line.trim();
        line.strip_prefix("* ").or(line.strip_prefix('*')).unwrap_or(line).trim_end().to_string()
    };
    comment.lines().map(plain).collect::<Vec<_>>().join("\n").trim().to_string()
}

fn item(text: &str, doc: String) -> Result<Item, String> {
    let unknown = || format!("not a declaration that the header is known to have: {text}");
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (name, kind) = if let Some(body) = text.strip_prefix("typedef enum {") {
        let (body, name) = body.rsplit_once('}').ok_or_else(unknown)?;
        let value = |name: &str, value: &str| (name.to_string(), value.to_string());
        let values = members(body, ',', |m| m.split_once(" = ").map(|(n, v)| value(n, v))).ok_or_else(unknown)?;
        (name, Kind::Enum { values })
    } else if let Some(body) = text.strip_prefix("typedef struct {") {
        let (body, name) = body.rsplit_once('}').ok_or_else(unknown)?;
        let fields = members(body, ';', |m| typed(m).map(|p| (p.name, p.of_type))).ok_or_else(unknown)?;
        (name, Kind::Struct { fields })
    } else if let Some(names) = one_line.strip_prefix("typedef struct ") {
        (names.split(' ').next_back().ok_or_else(unknown)?, Kind::Handle)
    } else if let Some(pointer) = one_line.strip_prefix("typedef ") {
        let (result, rest) = pointer.split_once("(*").ok_or_else(unknown)?;
        let (name, parameters) = rest.split_once(')').ok_or_else(unknown)?;
        (name, Kind::Callback(signature(result, parameters).ok_or_else(unknown)?))
    } else {
        let (head, parameters) = one_line.split_once('(').ok_or_else(unknown)?;
        let head = typed(head).ok_or_else(unknown)?;
        let signature = signature(&head.of_type, &format!("({parameters}")).ok_or_else(unknown)?;
        return Ok(Item { name: head.name, doc, text: text.into(), kind: Kind::Function(signature) });
    };
    Ok(Item { name: name.trim_matches([';', ' ']).into(), doc, text: text.into(), kind })
}

/// Members, each behind its comment, if it has one.
fn members(body: &str, end: char, read: impl Fn(&str) -> Option<(String, String)>) -> Option<Vec<Member>> {
    let (mut found, mut rest) = (Vec::new(), body.trim());
    while !rest.is_empty() {
        let mut doc = String::new();
        if let Some(comment) = rest.strip_prefix("/**") {
            let (comment, after) = comment.split_once("*/")?;
            (doc, rest) = (comment_text(comment), after.trim_start());
        }
        let (member, after) = rest.split_once(end)?;
        let (name, is) = read(member.trim())?;
        found.push(Member { name, doc, is });
        rest = after.trim();
    }
    Some(found)
}

/// `const char *name`: the name is what follows the last space or star.
fn typed(text: &str) -> Option<Parameter> {
    let text = text.trim();
    let at = text.rfind([' ', '*'])? + 1;
    let (of_type, name) = text.split_at(at);
    (!name.is_empty()).then(|| Parameter { name: name.into(), of_type: of_type.trim().into() })
}

fn signature(result: &str, parameters: &str) -> Option<Signature> {
    let inside = parameters.trim().trim_end_matches(';').strip_prefix('(')?.strip_suffix(')')?;
    let parameters = match inside {
        "void" => Vec::new(),
        _ => inside.split(',').map(typed).collect::<Option<_>>()?,
    };
    Some(Signature { result: result.trim().into(), parameters })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A header in little, with each kind of declaration.
    pub(crate) const SMALL: &str = r#"/* Generated */
/**
 * For all.
 */
#ifndef STFUSION_STFUSION_H
#define STFUSION_STFUSION_H
/** A number. */
#define STF_ABI_VERSION 3
/** A choice. */
typedef enum {
  /** One. */
  STF_KIND_ONE = 1,
  /**
   * Two, with a semicolon; and a comma.
   */
  STF_KIND_TWO = 2,
} stf_kind;
/** Only the library knows. */
typedef struct stf_thing stf_thing;
/** Told. */
typedef int (*stf_told)(double fraction, const char *message, void *user);
/** Fields. */
typedef struct {
  /** Bytes. */
  size_t struct_size;
  /** Pixels. */
  const void *data;
  /** Type. */
  int32_t dtype;
  /** Factor. */
  double factor;
} stf_plain;
extern "C" {
/**
 * Makes.
 *
 * More of it.
 */
stf_kind stf_thing_create(const char *name,
                          stf_thing **out);
/** The version. */
const char *stf_version(void);
} // extern "C"
#endif
"#;

    #[test]
    fn every_kind_of_declaration_is_read() {
        let surface = Surface::read(SMALL).unwrap();
        assert_eq!(surface.introduction, "For all.");
        let names: Vec<_> = surface.items.iter().map(|i| i.name.as_str()).collect();
        let expected = ["STF_ABI_VERSION", "stf_kind", "stf_thing", "stf_told", "stf_plain", "stf_thing_create", "stf_version"];
        assert_eq!(names, expected);
        let functions: Vec<_> = surface.functions().map(|(item, s)| (item.doc.as_str(), s.types())).collect();
        assert_eq!(functions[0], ("Makes.\n\nMore of it.", "stf_kind (const char *, stf_thing **)".to_string()));
        assert_eq!(functions[1], ("The version.", "const char * (void)".to_string()));
        let Kind::Callback(told) = &surface.items[3].kind else { panic!("{:?}", surface.items[3]) };
        assert_eq!(told.types(), "int (double, const char *, void *)");
        assert_eq!(surface.items[1].members()[1].doc, "Two, with a semicolon; and a comma.");
        let field = &surface.items[4].members()[1];
        assert_eq!((field.name.as_str(), field.is.as_str()), ("data", "const void *"));
        assert!(Surface::read("union { int a; } stf_other;").is_err());
    }

    #[test]
    fn a_missing_comment_is_found_whatever_it_is_missing_from() {
        assert!(Surface::read(SMALL).unwrap().undocumented().is_empty());
        for (comment, name) in [
            ("/** A number. */\n", "STF_ABI_VERSION"),
            ("/** A choice. */\n", "stf_kind"),
            ("/** One. */\n", "STF_KIND_ONE of stf_kind"),
            ("/** Only the library knows. */\n", "stf_thing"),
            ("/** Told. */\n", "stf_told"),
            ("/** Fields. */\n", "stf_plain"),
            ("/** Type. */\n", "dtype of stf_plain"),
            ("/** The version. */\n", "stf_version"),
        ] {
            let without = SMALL.replacen(comment, "", 1);
            assert_eq!(Surface::read(&without).unwrap().undocumented(), [name]);
        }
    }
}
