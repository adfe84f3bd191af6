//! The ABI's snapshot: what compiled programs depend on, one line each, and what a difference asks for.
//!
//! ```text
//! header ──> lines ──compared with──> native/capi/abi.txt           (what was committed: must be the same)
//!                  └─compared with──> native/capi/abi_released.txt  (what users have: numbers must have been raised)
//! ```
//!
//! Names of parameters, comments and the values of version macros are no part of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::surface::{Kind, Member, Surface};
use crate::{header, Result};

/// The snapshot of the sources as they are committed.
pub const CURRENT: &str = "native/capi/abi.txt";
/// The snapshot of the last release; there is none before the first.
pub const RELEASED: &str = "native/capi/abi_released.txt";
/// Where the numbers and the rule stand.
const VERSIONS: &str = "Version.txt";

const HEAD: &str = "# The C interface of libstfusion as compiled programs see it, on systems with 64-bit pointers.
# Written by `cargo xtask abi`; a test fails when the sources differ from it. The rule for its numbers: Version.txt.
# After the bar: the version of the library that has it first, in this form.
";

/// The two numbers of `Version.txt`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Numbers {
    library: String,
    abi: u32,
}

impl Numbers {
    fn read(text: &str, name: &str) -> Result<Numbers> {
        let of = |key: &str| {
            text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(' ')).ok_or(format!("{name}: no line \"{key} ...\""))
        };
        let abi = of("abi")?.trim();
        Ok(Numbers {
            library: of("library")?.trim().into(),
            abi: abi.parse().map_err(|_| format!("{name}: abi is {abi}, expected a whole number"))?,
        })
    }

    /// Major, minor.
    fn library_numbers(&self) -> (u32, u32) {
        let mut parts = self.library.split('.').map(|n| n.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }
}

/// What is the same in two snapshots as long as no program can tell them apart: each line's key, what it is, since when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Snapshot {
    numbers: Numbers,
    entries: BTreeMap<String, Entry>,
    /// Keys in the order of the header.
    order: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    is: String,
    since: String,
}

impl Snapshot {
    /// That of a header; entries that `before` has in the same form keep their version.
    fn of(surface: &Surface, numbers: Numbers, before: Option<&Snapshot>) -> Result<Snapshot> {
        let mut snapshot = Snapshot { numbers, entries: BTreeMap::new(), order: Vec::new() };
        for (key, is) in lines(surface)? {
            let known = before.and_then(|b| b.entries.get(&key)).filter(|e| e.is == is);
            let since = known.map_or_else(|| snapshot.numbers.library.clone(), |e| e.since.clone());
            snapshot.order.push(key.clone());
            if snapshot.entries.insert(key.clone(), Entry { is, since }).is_some() {
                return Err(format!("{key} is declared twice"));
            }
        }
        Ok(snapshot)
    }

    fn read(text: &str, name: &str) -> Result<Snapshot> {
        let mut snapshot = Snapshot { numbers: Numbers::read(text, name)?, entries: BTreeMap::new(), order: Vec::new() };
        let of_interface =
            |l: &&str| !(l.is_empty() || l.starts_with(['#', ' ']) || l.starts_with("library ") || l.starts_with("abi "));
        for line in text.lines().filter(of_interface) {
            let parts = line.split_once(": ").and_then(|(key, rest)| Some((key, rest.rsplit_once(" | ")?)));
            let (key, (is, since)) = parts.ok_or_else(|| format!("{name}: not a line of a snapshot: {line}"))?;
            snapshot.order.push(key.into());
            snapshot.entries.insert(key.into(), Entry { is: is.into(), since: since.into() });
        }
        Ok(snapshot)
    }

    fn has_struct(&self, name: &str) -> bool {
        self.entries.contains_key(&format!("struct {name}"))
    }

    fn to_text(&self) -> String {
        let mut text = format!("{HEAD}library {}\nabi {}\n\n", self.numbers.library, self.numbers.abi);
        for key in &self.order {
            if let Some(Entry { is, since }) = self.entries.get(key) {
                // writing to a String cannot fail
                let _ = writeln!(text, "{key}: {is} | {since}");
            }
        }
        text
    }
}

/// Keys and what they stand for.
fn lines(surface: &Surface) -> Result<Vec<(String, String)>> {
    let mut lines = Vec::new();
    for item in &surface.items {
        let name = &item.name;
        match &item.kind {
            // the numbers of the version stand in the head of the snapshot
            Kind::Macro { .. } if name == "STF_ABI_VERSION" || name.starts_with("STF_VERSION") => {
                lines.push((format!("macro {name}"), "the version".into()));
            }
            Kind::Macro { value } => lines.push((format!("macro {name}"), value.clone())),
            Kind::Enum { values } => {
                lines.push((format!("enum {name}"), "int".into()));
                lines.extend(values.iter().map(|v| (format!("value {}", v.name), format!("{name} {}", v.is))));
            }
            Kind::Handle => lines.push((format!("handle {name}"), "opaque".into())),
            Kind::Callback(signature) => lines.push((format!("callback {name}"), signature.types())),
            Kind::Function(signature) => lines.push((format!("function {name}"), signature.types())),
            Kind::Struct { fields } => {
                let (places, size, alignment) = layout(fields).map_err(|e| format!("{name}.{e}"))?;
                lines.push((format!("struct {name}"), format!("size {size}, alignment {alignment}")));
                let of_field = |(f, at): (&Member, &usize)| (format!("field {name}.{}", f.name), format!("{} at {at}", f.is));
                lines.extend(fields.iter().zip(&places).map(of_field));
            }
        }
    }
    Ok(lines)
}

/// Offsets, size and alignment of a structure where pointers have 64 bits. `tests/capi/run` has the C compiler confirm them.
fn layout(fields: &[Member]) -> Result<(Vec<usize>, usize, usize)> {
    let (mut places, mut end, mut alignment) = (Vec::new(), 0usize, 1);
    for field in fields {
        let bytes = match field.is.as_str() {
            pointer if pointer.ends_with('*') || pointer.ends_with("_fn") => 8,
            "size_t" | "ptrdiff_t" | "uint64_t" | "int64_t" | "double" => 8,
            "int32_t" | "uint32_t" | "float" | "int" => 4,
            "int16_t" | "uint16_t" => 2,
            "int8_t" | "uint8_t" | "char" => 1,
            other => return Err(format!("{}: the size of {other} is not known to native/xtask/src/abi.rs", field.name)),
        };
        let at = end.next_multiple_of(bytes);
        places.push(at);
        (end, alignment) = (at + bytes, alignment.max(bytes));
    }
    Ok((places, end.next_multiple_of(alignment), alignment))
}

/// How a snapshot differs from an earlier one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
}

/// What a difference asks for, the lesser first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Raise {
    Nothing,
    Library,
    Abi,
}

impl Difference {
    fn between(before: &Snapshot, now: &Snapshot) -> Difference {
        let mut difference = Difference::default();
        for key in &now.order {
            match (before.entries.get(key), &now.entries[key]) {
                (None, new) => match key.strip_prefix("field ").and_then(|f| f.split_once('.')) {
                    Some((name, _)) if before.has_struct(name) && !grows_at_its_end(name, before, now) => {
                        difference.changed.push(format!("{key}: {}, new, but not behind what {name} was", new.is));
                    }
                    _ => difference.added.push(format!("{key}: {}", new.is)),
                },
                (Some(old), new)
                    if old.is != new.is && key.strip_prefix("struct ").is_some_and(|n| grows_at_its_end(n, before, now)) =>
                {
                    difference.added.push(format!("{key}: {}, was {}", new.is, old.is));
                }
                (Some(old), new) if old.is != new.is => {
                    difference.changed.push(format!("{key}: {}, was {}", new.is, old.is));
                }
                _ => {}
            }
        }
        let gone = before.order.iter().filter(|k| !now.entries.contains_key(*k));
        difference.removed = gone.map(|k| format!("{k}: was {}", before.entries[k].is)).collect();
        difference
    }

    fn is_empty(&self) -> bool {
        self.raise() == Raise::Nothing
    }

    fn raise(&self) -> Raise {
        match (self.added.is_empty(), self.changed.is_empty() && self.removed.is_empty()) {
            (_, false) => Raise::Abi,
            (false, true) => Raise::Library,
            (true, true) => Raise::Nothing,
        }
    }

    fn to_text(&self) -> String {
        let of = |what: &str, list: &[String]| list.iter().map(|l| format!("  {what:8} {l}\n")).collect::<String>();
        of("added", &self.added) + &of("changed", &self.changed) + &of("removed", &self.removed)
    }
}

/// Whether a structure that says its size has become larger, with its earlier fields where they were and new ones behind
/// them: programs that know the shorter one notice nothing.
fn grows_at_its_end(name: &str, before: &Snapshot, now: &Snapshot) -> bool {
    let prefix = format!("field {name}.");
    let fields = |s: &Snapshot| -> Vec<(String, String)> {
        s.order.iter().filter(|k| k.starts_with(&prefix)).map(|k| (k.clone(), s.entries[k].is.clone())).collect()
    };
    let size = |s: &Snapshot| s.entries.get(&format!("struct {name}")).map(|e| e.is.clone());
    let (old, new) = (fields(before), fields(now));
    old.first().is_some_and(|f| f.0.ends_with(".struct_size")) && new.starts_with(&old) && size(before) != size(now)
}

/// The numbers that `released` must have been raised to, in words, if `now` has not raised them.
fn missing_raise(raise: Raise, released: &Numbers, now: &Numbers) -> Option<String> {
    let ((major, minor), found) = (released.library_numbers(), now.library_numbers());
    let breaking = raise == Raise::Abi;
    let needed = if breaking && major > 0 { (major + 1, 0) } else { (major, minor + 1) };
    let mut missing = Vec::new();
    if breaking && now.abi <= released.abi {
        missing.push(format!("the ABI number, and with it the name libstfusion.so.{}, to {}", released.abi, released.abi + 1));
    }
    if raise > Raise::Nothing && found < needed {
        missing.push(format!("the library's version to {}.{}.0", needed.0, needed.1));
    }
    (!missing.is_empty()).then(|| missing.join(", and "))
}

/// Compares the sources with both snapshots.
struct Comparison {
    now: Snapshot,
    /// What differs from the committed snapshot; its absence counts as an empty one.
    uncommitted: Difference,
    stale: bool,
    /// What has to be raised because of the difference from the last release.
    missing: Option<String>,
    released: Option<(Numbers, Difference)>,
}

impl Comparison {
    fn new(root: &Path) -> Result<Comparison> {
        let file = |name: &str| fs::read_to_string(root.join(name)).map_err(|e| format!("{name}: {e}"));
        let snapshot = |name: &str| root.join(name).exists().then(|| Snapshot::read(&file(name)?, name)).transpose();
        let numbers = Numbers::read(&file(VERSIONS)?, VERSIONS)?;
        let surface = Surface::read(&header::generate(root)?)?;
        check_numbers(&surface, &numbers)?;
        Comparison::of(&surface, numbers, snapshot(CURRENT)?, snapshot(RELEASED)?)
    }

    fn of(surface: &Surface, numbers: Numbers, committed: Option<Snapshot>, released: Option<Snapshot>) -> Result<Comparison> {
        let now = Snapshot::of(surface, numbers, committed.as_ref())?;
        let empty = Snapshot { numbers: now.numbers.clone(), entries: BTreeMap::new(), order: Vec::new() };
        let uncommitted = Difference::between(committed.as_ref().unwrap_or(&empty), &now);
        let released = released.map(|r| (Difference::between(&r, &now), r.numbers)).map(|(d, n)| (n, d));
        let missing = released.as_ref().and_then(|(numbers, d)| missing_raise(d.raise(), numbers, &now.numbers));
        Ok(Comparison { stale: committed.as_ref() != Some(&now), now, uncommitted, missing, released })
    }

    /// What has to be done before the snapshot may be written.
    fn refusal(&self) -> Option<String> {
        let (missing, (numbers, difference)) = (self.missing.as_ref()?, self.released.as_ref()?);
        Some(format!(
            "The C interface differs from that of release {} (ABI {}):\n{}Raise {missing}: {VERSIONS} says where. Then run `cargo xtask abi`.",
            numbers.library,
            numbers.abi,
            difference.to_text()
        ))
    }

    /// What is wrong, if something is.
    fn verdict(&self) -> Option<String> {
        if let Some(refusal) = self.refusal() {
            return Some(refusal);
        }
        if !self.stale {
            return None;
        }
        let asks = match (self.uncommitted.raise(), &self.released) {
            (Raise::Nothing, _) => "Numbers or order differ.",
            (_, Some(_)) => "The numbers have been raised for that since the last release.",
            (Raise::Library, None) => {
                "After a release, additions raise the library's minor version; nothing has been released yet, so no number need be raised."
            }
            (Raise::Abi, None) => {
                "After a release, changes and removals raise the ABI number, and with it the soname; nothing has been released yet, so no \
                 number need be raised."
            }
        };
        Some(format!(
            "The C interface is not the one in {CURRENT}:\n{}{asks}\nIf this is meant, run `cargo xtask abi` and commit {CURRENT} with the change.",
            self.uncommitted.to_text()
        ))
    }
}

/// Fails when the numbers in the sources are not those of `Version.txt`.
fn check_numbers(surface: &Surface, numbers: &Numbers) -> Result<()> {
    let value = |name: &str| {
        surface.items.iter().find_map(|i| match &i.kind {
            Kind::Macro { value } if i.name == name => Some(value.as_str()),
            _ => None,
        })
    };
    let expected = [("STF_ABI_VERSION", numbers.abi.to_string()), ("STF_VERSION", format!("\"{}\"", numbers.library))];
    for (name, expected) in expected {
        let found = value(name).unwrap_or("missing");
        if found != expected {
            return Err(format!("{name} is {found}, but by {VERSIONS} it is {expected}: make them the same"));
        }
    }
    Ok(())
}

/// What is wrong with the ABI's snapshot; nothing when it is that of the sources and the numbers have been raised as the rule asks.
///
/// # Errors
/// When a source cannot be read.
pub fn check(root: &Path) -> Result<Option<String>> {
    Ok(Comparison::new(root)?.verdict())
}

/// Writes the snapshot; returns what it says of the difference.
///
/// # Errors
/// When numbers have to be raised first: nothing is written then.
pub fn write(root: &Path) -> Result<String> {
    let comparison = Comparison::new(root)?;
    if let Some(refusal) = comparison.refusal() {
        return Err(refusal);
    }
    if !comparison.stale {
        return Ok(format!("{CURRENT} is up to date."));
    }
    fs::write(root.join(CURRENT), comparison.now.to_text()).map_err(|e| format!("{CURRENT}: {e}"))?;
    let difference = match comparison.uncommitted.is_empty() {
        true => "  numbers or order alone\n".into(),
        false => comparison.uncommitted.to_text(),
    };
    Ok(format!("Written: {CURRENT}\n{difference}Now run `{}`: the reference tells the versions.", crate::COMMAND))
}

/// Makes the committed snapshot that of the last release.
///
/// # Errors
/// When it is not that of the sources.
pub fn release(root: &Path) -> Result<String> {
    if let Some(verdict) = check(root)? {
        return Err(verdict);
    }
    fs::copy(root.join(CURRENT), root.join(RELEASED)).map_err(|e| format!("{RELEASED}: {e}"))?;
    Ok(format!("Written: {RELEASED}"))
}

/// The version that a name of the interface has been there since, by the committed snapshot.
pub(crate) struct Since(Option<Snapshot>);

impl Since {
    pub fn read(root: &Path) -> Result<Since> {
        let text = fs::read_to_string(root.join(CURRENT)).ok();
        text.map(|t| Snapshot::read(&t, CURRENT)).transpose().map(Since)
    }

    #[cfg(test)]
    pub fn none() -> Since {
        Since(None)
    }

    /// `None` when the snapshot does not have it.
    pub fn of(&self, key: &str) -> Option<&str> {
        self.0.as_ref()?.entries.get(key).map(|e| e.since.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::tests::SMALL;

    fn numbers(library: &str, abi: u32) -> Numbers {
        Numbers { library: library.into(), abi }
    }

    fn snapshot(header: &str, numbers: Numbers) -> Snapshot {
        Snapshot::of(&Surface::read(header).unwrap(), numbers, None).unwrap()
    }

    /// The difference of `SMALL` with some text replaced.
    fn difference(from: &str, to: &str) -> Difference {
        assert!(SMALL.contains(from), "{from}");
        Difference::between(&snapshot(SMALL, numbers("1.0.0", 3)), &snapshot(&SMALL.replacen(from, to, 1), numbers("1.0.0", 3)))
    }

    #[test]
    fn a_snapshot_survives_the_round_trip_and_says_what_programs_depend_on() {
        let snapshot = snapshot(SMALL, numbers("1.2.0", 3));
        let text = snapshot.to_text();
        assert_eq!(Snapshot::read(&text, "abi.txt").unwrap(), snapshot);
        for line in [
            "library 1.2.0",
            "abi 3",
            "macro STF_ABI_VERSION: the version | 1.2.0",
            "value STF_KIND_TWO: stf_kind 2 | 1.2.0",
            "handle stf_thing: opaque | 1.2.0",
            "callback stf_told: int (double, const char *, void *) | 1.2.0",
            "struct stf_plain: size 32, alignment 8 | 1.2.0",
            "field stf_plain.dtype: int32_t at 16 | 1.2.0",
            "field stf_plain.factor: double at 24 | 1.2.0",
            "function stf_thing_create: stf_kind (const char *, stf_thing **) | 1.2.0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(Snapshot::read("library 1.0.0\nabi 1\nfunction without colon\n", "abi.txt").is_err());
        assert!(Snapshot::read("library 1.0.0\nabi one\n", "abi.txt").unwrap_err().contains("abi is one"));
    }

    #[test]
    fn additions_changes_and_removals_are_told_apart_and_named() {
        let none = difference("const char *name,", "const char *label,");
        assert!(none.is_empty(), "the name of a parameter is no part of the ABI: {none:?}");
        assert!(difference("/** The version. */", "/** The version, in words. */").is_empty());

        let version = "const char *stf_version(void);";
        let cases = [
            (
                version,
                "const char *stf_version(void);\nint stf_new(void);",
                Raise::Library,
                "added    function stf_new: int (void)",
            ),
            (
                "STF_KIND_TWO = 2,",
                "STF_KIND_TWO = 2,\nSTF_KIND_MORE = 3,",
                Raise::Library,
                "added    value STF_KIND_MORE: stf_kind 3",
            ),
            (
                "  double factor;\n",
                "  double factor;\n  double more;\n",
                Raise::Library,
                "added    struct stf_plain: size 40, alignment 8, was size 32, alignment 8",
            ),
            (version, "", Raise::Abi, "removed  function stf_version: was const char * (void)"),
            (version, "int stf_version(void);", Raise::Abi, "changed  function stf_version: int (void), was const char * (void)"),
            (
                "double fraction",
                "float fraction",
                Raise::Abi,
                "changed  callback stf_told: int (float, const char *, void *), was int (double, const char *, void *)",
            ),
            ("STF_KIND_TWO = 2", "STF_KIND_TWO = 4", Raise::Abi, "changed  value STF_KIND_TWO: stf_kind 4, was stf_kind 2"),
            ("STF_KIND_ONE = 1", "STF_KIND_UNO = 1", Raise::Abi, "removed  value STF_KIND_ONE: was stf_kind 1"),
            (
                "  int32_t dtype;\n",
                "  int32_t dtype;\n  double new;\n",
                Raise::Abi,
                "changed  field stf_plain.factor: double at 32, was double at 24",
            ),
            // it moves nothing, but old programs leave that gap unset, and the structure's size does not tell
            (
                "  int32_t dtype;\n",
                "  int32_t dtype;\n  int32_t gap;\n",
                Raise::Abi,
                "changed  field stf_plain.gap: int32_t at 20, new, but not behind what stf_plain was",
            ),
            ("  size_t struct_size;\n", "", Raise::Abi, "removed  field stf_plain.struct_size: was size_t at 0"),
            ("typedef struct stf_thing stf_thing;", "", Raise::Abi, "removed  handle stf_thing: was opaque"),
        ];
        for (from, to, raise, line) in cases {
            let found = difference(from, to);
            assert_eq!(found.raise(), raise, "{from} -> {to}: {found:?}");
            assert!(found.to_text().contains(&format!("  {line}\n")), "{line}\n{}", found.to_text());
        }
    }

    #[test]
    fn additions_ask_for_a_minor_version_and_the_rest_for_an_abi_number_too() {
        let missing = |raise, released: (&str, u32), now: (&str, u32)| {
            missing_raise(raise, &numbers(released.0, released.1), &numbers(now.0, now.1)).unwrap_or_default()
        };
        assert_eq!(missing(Raise::Nothing, ("1.2.0", 3), ("1.2.0", 3)), "");
        assert_eq!(missing(Raise::Library, ("1.2.0", 3), ("1.2.9", 3)), "the library's version to 1.3.0");
        assert_eq!(missing(Raise::Library, ("1.2.0", 3), ("1.3.0", 3)), "");
        assert_eq!(missing(Raise::Library, ("0.1.0", 0), ("0.1.1", 0)), "the library's version to 0.2.0");
        let both = "the ABI number, and with it the name libstfusion.so.3, to 4, and the library's version to 2.0.0";
        assert_eq!(missing(Raise::Abi, ("1.2.0", 3), ("1.3.0", 3)), both);
        assert_eq!(missing(Raise::Abi, ("1.2.0", 3), ("1.3.0", 4)), "the library's version to 2.0.0");
        assert_eq!(missing(Raise::Abi, ("1.2.0", 3), ("2.0.0", 4)), "");
        assert_eq!(missing(Raise::Abi, ("0.1.0", 0), ("0.2.0", 1)), "");
        assert!(missing(Raise::Abi, ("0.1.0", 0), ("0.2.0", 0)).contains("libstfusion.so.0, to 1"));
    }

    #[test]
    fn the_verdict_names_the_difference_the_raise_and_the_way_to_accept_it() {
        let more = SMALL.replace("const char *stf_version(void);", "int stf_version(void);\nint stf_new(void);");
        let verdict = |header: &str, now, released: Option<Snapshot>| {
            let committed = snapshot(SMALL, numbers("1.2.0", 3));
            let comparison = Comparison::of(&Surface::read(header).unwrap(), now, Some(committed), released).unwrap();
            (comparison.refusal().is_some(), comparison.verdict().unwrap_or_default())
        };
        let released = || Some(snapshot(SMALL, numbers("1.2.0", 3)));
        assert_eq!(verdict(SMALL, numbers("1.2.0", 3), released()), (false, String::new()));

        let (refused, text) = verdict(&more, numbers("1.3.0", 3), released());
        assert!(refused);
        for part in [
            "release 1.2.0 (ABI 3)",
            "changed  function stf_version",
            "added    function stf_new",
            "to 4",
            "2.0.0",
            "Version.txt",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let (refused, text) = verdict(&more, numbers("2.0.0", 4), released());
        assert!(!refused && text.contains("run `cargo xtask abi`") && text.contains("added    function stf_new"), "{text}");
        let (refused, text) = verdict(&more, numbers("1.2.0", 3), None);
        assert!(!refused && text.contains("nothing has been released yet"), "{text}");
        let (_, text) = verdict(SMALL, numbers("1.2.1", 3), None);
        assert!(text.contains("Numbers or order differ"), "{text}");
    }

    #[test]
    fn what_stays_keeps_its_version_and_what_is_new_gets_todays() {
        let more = SMALL.replace("const char *stf_version(void);", "const char *stf_version(void);\nint stf_new(void);");
        let before = snapshot(SMALL, numbers("1.2.0", 3));
        let now = Snapshot::of(&Surface::read(&more).unwrap(), numbers("1.3.0", 3), Some(&before)).unwrap();
        let since = |key: &str| now.entries[key].since.as_str();
        assert_eq!((since("function stf_version"), since("function stf_new")), ("1.2.0", "1.3.0"));
    }

    #[test]
    fn numbers_that_disagree_are_found() {
        let surface = Surface::read(SMALL).unwrap();
        let error = check_numbers(&surface, &numbers("1.0.0", 4)).unwrap_err();
        assert!(error.contains("STF_ABI_VERSION is 3, but by Version.txt it is 4"), "{error}");
    }

    #[test]
    fn the_committed_snapshot_is_that_of_the_sources() {
        let verdict = check(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))).unwrap();
        assert!(verdict.is_none(), "{}", verdict.unwrap_or_default());
    }
}
