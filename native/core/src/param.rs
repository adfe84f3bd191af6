//! Parameters, declared once: the typed structure, the default, the range and the help all come from one `params!` block.
//!
//! ```
//! use stfusion_core::{choices, param::Values, params};
//!
//! choices! {
//!     /// How candidates are kept.
//!     pub enum Filter {
//!         /// One test is enough.
//!         Loose = "loose": "Keep a candidate that passes one of the two tests",
//!         /// Both tests are needed.
//!         Strict = "strict": "Keep a candidate that passes both tests",
//!     }
//! }
//! params! {
//!     /// Parameters of an example.
//!     pub struct Parameters {
//!         window: int { label: "Window size", help: "Side of the window.", unit: "fine pixels", min: 1, max: 301, odd: true, default: 51 },
//!         filter: choice(Filter) { label: "Filter", help: "Which candidates stay.", default: Filter::Loose },
//!     }
//! }
//!
//! let mut values = Values::default();
//! values.set_text(Parameters::SPECS, "window", "31").unwrap();
//! let parameters = Parameters::from_values(&values).unwrap();
//! assert_eq!((parameters.window, parameters.filter), (31, Filter::Loose));
//! assert_eq!(
//!     values.set_text(Parameters::SPECS, "window", "500").unwrap_err().message(),
//!     "Window size must be between 1 and 301 fine pixels; got 500"
//! );
//! ```
//!
//! | kind | JSON | text | Rust |
//! |---|---|---|---|
//! | `int` | whole number | `51` | `i64` |
//! | `float` | number | `0.5` | `f64` |
//! | `auto_float` | number, `"auto"` or null | `0.5`, `auto` | `Option<f64>` |
//! | `bool` | true, false | `true`, `yes`, `on`, `1`, … | `bool` |
//! | `choice(Enum)` | string | its id | the enum |
//! | `floats` | list of numbers, a single one, or `"auto"` | `0.01 0.01 0.02` | `Vec<f64>`, empty when automatic |
//! | `ints` | list of whole numbers, or a single one | `3 4` | `Vec<i64>` |
//! | `file` | name of a file to read, or null | its name | `Option<File>` |
//! | `new_file` | name of a file to write, or null | its name | `Option<File>` |
//!
//! Methods open no files. Whoever runs one reads the file of a `file` parameter into the value ([`Values::attach`]) before it plans,
//! and writes what the method hands out for a `new_file` parameter ([`crate::method::Prepared::artefacts`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{json, Value as Json};

use crate::{Error, ErrorKind, Result};

/// One choice of a `choice` parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChoiceOption {
    /// Frozen, lower-case ASCII.
    pub id: &'static str,
    /// What it means, one sentence without a full stop.
    pub help: &'static str,
}

/// An enum that a `choice` parameter can have; made by [`crate::choices!`].
pub trait Choices: Copy + Sized + 'static {
    /// The choices, in the order of the enum.
    const OPTIONS: &'static [ChoiceOption];
    /// Every value, in the order of the enum.
    const ALL: &'static [Self];
    /// Position of a value among the choices.
    fn index(self) -> usize;
    /// Id of a value.
    fn id(self) -> &'static str {
        Self::OPTIONS[self.index()].id
    }
    /// The value with this id.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] listing the valid ids.
    fn by_id(id: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|v| v.id() == id).ok_or_else(|| {
            let ids: Vec<_> = Self::OPTIONS.iter().map(|o| o.id).collect();
            Error::new(ErrorKind::Parameter, format!("{id:?} is not one of {}", ids.join(", ")))
        })
    }
}

/// Type, range and default of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A whole number in `min..=max`, odd if `odd`.
    Int {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
        /// Whether even values are refused.
        odd: bool,
        /// Value when not given.
        default: i64,
    },
    /// A number in `min..=max`.
    Float {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
        /// Value when not given.
        default: f64,
    },
    /// A number in `min..=max`, or automatic, which is the default.
    AutoFloat {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// Yes or no.
    Bool {
        /// Value when not given.
        default: bool,
    },
    /// One of several.
    Choice {
        /// The choices.
        options: &'static [ChoiceOption],
        /// Position of the value when not given.
        default: usize,
    },
    /// Numbers in `min..=max`; none means automatic.
    Floats {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
        /// Values when not given.
        default: &'static [f64],
    },
    /// Whole numbers in `min..=max`.
    Ints {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
        /// Values when not given.
        default: &'static [i64],
    },
    /// A file, or none, which is the default.
    File {
        /// Whether the file is written instead of read.
        written: bool,
        /// End of its name without the dot, for dialogs.
        suffix: &'static str,
        /// Whether the method can do nothing without it.
        required: bool,
    },
}

/// A file that a parameter names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    name: String,
    contents: Option<Arc<[u8]>>,
}

impl File {
    /// A file of this name, not read yet.
    pub fn named(name: impl Into<String>) -> Self {
        File { name: name.into(), contents: None }
    }

    /// Its name, as the job gives it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its contents are there.
    pub fn is_read(&self) -> bool {
        self.contents.is_some()
    }

    /// Its contents.
    ///
    /// # Errors
    /// An internal error when whoever runs the method has not read it.
    pub fn contents(&self) -> Result<&[u8]> {
        self.contents.as_deref().ok_or_else(|| Error::internal(format!("{} has not been read", self.name)))
    }

    /// Its contents, shared.
    ///
    /// # Errors
    /// As [`File::contents`].
    pub fn shared(&self) -> Result<Arc<[u8]>> {
        self.contents.clone().ok_or_else(|| Error::internal(format!("{} has not been read", self.name)))
    }
}

/// Declaration of one parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParamSpec {
    /// Frozen, lower-case ASCII with underscores.
    pub id: &'static str,
    /// Name in dialogs and messages, starting with a capital.
    pub label: &'static str,
    /// Full sentences.
    pub help: &'static str,
    /// Unit of the value, empty if it has none.
    pub unit: &'static str,
    /// Whether dialogs hide it at first.
    pub advanced: bool,
    /// Earlier names that stay accepted.
    pub aliases: &'static [&'static str],
    /// Type, range and default.
    pub kind: Kind,
}

/// The value of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Chosen by the method.
    Auto,
    /// Yes or no.
    Bool(bool),
    /// Position among the choices.
    Choice(usize),
    /// Numbers.
    Floats(Vec<f64>),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// A file, or none.
    File(Option<File>),
}

impl ParamSpec {
    /// The value when none is given.
    pub fn default(&self) -> Value {
        match self.kind {
            Kind::Int { default, .. } => Value::Int(default),
            Kind::Float { default, .. } => Value::Float(default),
            Kind::AutoFloat { .. } => Value::Auto,
            Kind::Bool { default } => Value::Bool(default),
            Kind::Choice { default, .. } => Value::Choice(default),
            Kind::Floats { default: &[], .. } => Value::Auto,
            Kind::Floats { default, .. } => Value::Floats(default.to_vec()),
            Kind::Ints { default, .. } => Value::Ints(default.to_vec()),
            Kind::File { .. } => Value::File(None),
        }
    }

    /// The value as JSON, the spelling of the job file.
    pub fn to_json(&self, value: &Value) -> Json {
        match value {
            Value::Int(v) => json!(v),
            Value::Float(v) => json!(v),
            Value::Auto => json!("auto"),
            Value::Bool(v) => json!(v),
            Value::Choice(i) => match self.kind {
                Kind::Choice { options, .. } => json!(options.get(*i).map(|o| o.id)),
                _ => Json::Null,
            },
            Value::Floats(v) => json!(v),
            Value::Ints(v) => json!(v),
            Value::File(v) => json!(v.as_ref().map(File::name)),
        }
    }

    /// Reads a value from the job file.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] naming the label, the range and the value got.
    pub fn parse_json(&self, json: &Json) -> Result<Value> {
        let wrong = || self.refuse(json.to_string().trim_matches('"'));
        let float = |j: &Json| j.as_f64().filter(|v| v.is_finite());
        // 51.0 is a whole number to every JSON writer that has only one number type
        let int = |j: &Json| j.as_i64().or_else(|| float(j).filter(|v| v.fract() == 0.0 && v.abs() < 9e15).map(|v| v as i64));
        let auto = |j: &Json| j.is_null() || j.as_str() == Some("auto");
        let value = match self.kind {
            Kind::Int { .. } => Value::Int(int(json).ok_or_else(wrong)?),
            Kind::Float { .. } => Value::Float(float(json).ok_or_else(wrong)?),
            Kind::AutoFloat { .. } if auto(json) => Value::Auto,
            Kind::AutoFloat { .. } => Value::Float(float(json).ok_or_else(wrong)?),
            Kind::Bool { .. } => Value::Bool(json.as_bool().ok_or_else(wrong)?),
            Kind::Choice { options, .. } => {
                let id = json.as_str().ok_or_else(wrong)?;
                Value::Choice(options.iter().position(|o| o.id == id).ok_or_else(wrong)?)
            }
            Kind::Floats { .. } if auto(json) => Value::Auto,
            Kind::Floats { .. } => match json.as_array() {
                Some(list) => Value::Floats(list.iter().map(float).collect::<Option<_>>().ok_or_else(wrong)?),
                None => Value::Floats(vec![float(json).ok_or_else(wrong)?]),
            },
            Kind::Ints { .. } => match json.as_array() {
                Some(list) => Value::Ints(list.iter().map(int).collect::<Option<_>>().ok_or_else(wrong)?),
                None => Value::Ints(vec![int(json).ok_or_else(wrong)?]),
            },
            Kind::File { .. } if json.is_null() => Value::File(None),
            Kind::File { .. } => {
                let name = json.as_str().filter(|name| !name.contains('\0')).ok_or_else(wrong)?;
                Value::File(Some(name).filter(|name| !name.is_empty()).map(File::named))
            }
        };
        if self.admits(&value) {
            Ok(value)
        } else {
            Err(wrong())
        }
    }

    /// Reads a value as written on a command line or in a GDAL open option; lists are separated by spaces, commas or semicolons.
    ///
    /// # Errors
    /// As [`ParamSpec::parse_json`].
    pub fn parse_text(&self, text: &str) -> Result<Value> {
        let text = text.trim();
        let number = |s: &str| serde_json::from_str::<serde_json::Number>(s).map_or_else(|_| json!(s), Json::Number);
        let json = match self.kind {
            Kind::Bool { .. } => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => json!(true),
                "false" | "no" | "off" | "0" => json!(false),
                _ => json!(text),
            },
            Kind::Choice { .. } | Kind::File { .. } => json!(text),
            Kind::Floats { .. } if text == "auto" => json!(text),
            Kind::Floats { .. } | Kind::Ints { .. } => {
                Json::Array(text.split([' ', ',', ';']).filter(|s| !s.is_empty()).map(number).collect())
            }
            _ if text == "auto" => json!(text),
            _ => match text.parse::<f64>() {
                Ok(v) if v.is_finite() && !text.contains(['.', 'e', 'E']) => number(text.trim_start_matches('+')),
                Ok(v) if v.is_finite() => json!(v),
                _ => json!(text),
            },
        };
        self.parse_json(&json)
    }

    fn admits(&self, value: &Value) -> bool {
        match (self.kind, value) {
            (Kind::Int { min, max, odd, .. }, Value::Int(v)) => (min..=max).contains(v) && (!odd || v % 2 != 0),
            (Kind::Float { min, max, .. } | Kind::AutoFloat { min, max }, Value::Float(v)) => (min..=max).contains(v),
            (Kind::Floats { min, max, .. }, Value::Floats(v)) => v.iter().all(|v| (min..=max).contains(v)),
            (Kind::Ints { min, max, .. }, Value::Ints(v)) => v.iter().all(|v| (min..=max).contains(v)),
            _ => true,
        }
    }

    /// What the parameter accepts, as the end of a sentence: "an odd whole number between 1 and 301 fine pixels".
    pub fn expectation(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        match self.kind {
            Kind::Int { min, max, odd, .. } => {
                format!("{} between {min} and {max}{unit}", if odd { "an odd whole number" } else { "a whole number" })
            }
            Kind::Float { min, max, .. } => format!("a number {}{unit}", span(min, max)),
            Kind::AutoFloat { min, max } => format!("a number {}{unit}, or \"auto\"", span(min, max)),
            Kind::Bool { .. } => "true or false".into(),
            Kind::Choice { options, .. } => {
                format!("one of {}", options.iter().map(|o| o.id).collect::<Vec<_>>().join(", "))
            }
            Kind::Floats { min, max, default: &[] } => format!("numbers {}{unit}, or \"auto\"", span(min, max)),
            Kind::Floats { min, max, .. } => format!("numbers {}{unit}", span(min, max)),
            Kind::Ints { min, max, .. } => format!("whole numbers between {min} and {max}{unit}"),
            Kind::File { written: false, .. } => "the name of a file".into(),
            Kind::File { written: true, .. } => "the name of a file to write".into(),
        }
    }

    fn refuse(&self, got: &str) -> Error {
        let got: String = got.chars().take(60).collect();
        let in_range = |min: f64, max: f64| got.parse::<f64>().is_ok_and(|v| (min..=max).contains(&v));
        let message = match self.kind {
            Kind::Int { min, max, odd: true, .. } if in_range(min as f64, max as f64) => {
                format!("{} must be an odd whole number; got {got}", self.label)
            }
            Kind::Int { min, max, .. } if got.parse::<i64>().is_ok() => {
                let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
                format!("{} must be between {min} and {max}{unit}; got {got}", self.label)
            }
            _ => format!("{} must be {}; got {got}", self.label, self.expectation()),
        };
        let hint = match (self.kind, got.parse::<i64>()) {
            (Kind::Int { odd: true, min, max, .. }, Ok(v)) => {
                let v = v.clamp(min, max);
                format!("Set {}={}.", self.id, if v % 2 != 0 { v } else { (v + 1).min(max) })
            }
            _ => format!("Set {} to {}.", self.id, self.expectation()),
        };
        Error::new(ErrorKind::Parameter, message).with_hint(hint)
    }

    /// The declaration as JSON, for dialogs and documentation outside this library.
    pub fn describe(&self) -> Json {
        let mut out =
            json!({ "id": self.id, "label": self.label, "help": self.help, "unit": self.unit, "advanced": self.advanced });
        let more = match self.kind {
            Kind::Int { min, max, odd, default } => {
                json!({ "kind": "int", "min": min, "max": max, "odd": odd, "default": default })
            }
            Kind::Float { min, max, default } => {
                json!({ "kind": "float", "min": limit(min), "max": limit(max), "default": default })
            }
            Kind::AutoFloat { min, max } => {
                json!({ "kind": "auto_float", "min": limit(min), "max": limit(max), "default": "auto" })
            }
            Kind::Bool { default } => json!({ "kind": "bool", "default": default }),
            Kind::Choice { options, default } => json!({
                "kind": "choice", "default": options[default].id,
                "options": options.iter().map(|o| json!({ "id": o.id, "help": o.help })).collect::<Vec<_>>(),
            }),
            Kind::Floats { min, max, .. } => {
                json!({ "kind": "floats", "min": limit(min), "max": limit(max), "default": self.to_json(&self.default()) })
            }
            Kind::Ints { min, max, default } => json!({ "kind": "ints", "min": min, "max": max, "default": default }),
            Kind::File { written, suffix, required } => {
                json!({ "kind": if written { "new_file" } else { "file" }, "suffix": suffix, "required": required, "default": null })
            }
        };
        if let (Json::Object(out), Json::Object(more)) = (&mut out, more) {
            out.extend(more);
            if !self.aliases.is_empty() {
                out.insert("aliases".into(), json!(self.aliases));
            }
        }
        out
    }
}

/// A limit as JSON: null where there is none.
fn limit(value: f64) -> Json {
    if value.abs() < f64::MAX {
        json!(value)
    } else {
        Json::Null
    }
}

fn span(min: f64, max: f64) -> String {
    match (min.abs() < f64::MAX, max.abs() < f64::MAX) {
        (true, true) => format!("between {min} and {max}"),
        (true, false) => format!("of at least {min}"),
        (false, true) => format!("of at most {max}"),
        (false, false) => "of any size".into(),
    }
}

/// Parameter values by id; ids that are absent have their default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values(BTreeMap<&'static str, Value>);

impl Values {
    fn spec(specs: &'static [ParamSpec], id: &str) -> Result<&'static ParamSpec> {
        let wanted = id.replace('-', "_");
        specs.iter().find(|s| s.id == wanted || s.aliases.contains(&wanted.as_str())).ok_or_else(|| {
            let names: Vec<_> = specs.iter().map(|s| s.id).collect();
            let hint = if names.is_empty() {
                "This method has no parameters.".to_string()
            } else {
                format!("Valid names: {}.", names.join(", "))
            };
            Error::new(ErrorKind::Parameter, format!("{id:?} is not a parameter of this method")).with_hint(hint)
        })
    }

    /// Sets a parameter from its text form.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for an unknown id (listing the valid ones) or a value that is not admitted.
    pub fn set_text(&mut self, specs: &'static [ParamSpec], id: &str, text: &str) -> Result<()> {
        let spec = Self::spec(specs, id)?;
        self.0.insert(spec.id, spec.parse_text(text)?);
        Ok(())
    }

    /// Sets a parameter from its JSON form.
    ///
    /// # Errors
    /// As [`Values::set_text`].
    pub fn set_json(&mut self, specs: &'static [ParamSpec], id: &str, json: &Json) -> Result<()> {
        let spec = Self::spec(specs, id)?;
        self.0.insert(spec.id, spec.parse_json(json)?);
        Ok(())
    }

    /// The value of a parameter: the one set, else its default.
    pub fn get(&self, spec: &ParamSpec) -> Value {
        self.0.get(spec.id).cloned().unwrap_or_else(|| spec.default())
    }

    /// The files that are named, each with the declaration of its parameter.
    pub fn files(&self, specs: &'static [ParamSpec]) -> impl Iterator<Item = (&'static ParamSpec, &File)> {
        specs.iter().filter_map(|spec| match self.0.get(spec.id) {
            Some(Value::File(Some(file))) => Some((spec, file)),
            _ => None,
        })
    }

    /// Gives the file that parameter `id` names its contents; nothing happens where it names none.
    pub fn attach(&mut self, id: &str, contents: impl Into<Arc<[u8]>>) {
        if let Some(Value::File(Some(file))) = self.0.get_mut(id) {
            file.contents = Some(contents.into());
        }
    }

    /// All values, defaults included, as the `parameters` object of a job file.
    pub fn to_json(&self, specs: &[ParamSpec]) -> Json {
        specs.iter().map(|s| (s.id.to_string(), s.to_json(&self.get(s)))).collect::<serde_json::Map<_, _>>().into()
    }
}

#[doc(hidden)]
pub fn next_value(specs: &mut std::slice::Iter<'_, ParamSpec>, values: &Values) -> Result<Value> {
    specs.next().map(|s| values.get(s)).ok_or_else(|| Error::internal("more parameters than declarations"))
}

#[doc(hidden)]
pub fn wrong_kind<T>() -> Result<T> {
    Err(Error::internal("a parameter value is not of the declared kind"))
}

/// The fields that a declaration in [`crate::params!`] may name; those it leaves out have the values of `NONE`.
pub mod decl {
    use super::{Choices, Kind, ParamSpec};

    macro_rules! declaration {
        ($(#[$meta:meta])* $name:ident { $($field:ident : $type:ty = $none:expr, $doc:literal;)* } => $self:ident $kind:expr) => {
            $(#[$meta])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name {
                /// Name in dialogs and messages.
                pub label: &'static str,
                /// Full sentences.
                pub help: &'static str,
                /// Unit of the value.
                pub unit: &'static str,
                /// Whether dialogs hide it at first.
                pub advanced: bool,
                /// Earlier names that stay accepted.
                pub aliases: &'static [&'static str],
                $( #[doc = $doc] pub $field: $type, )*
            }
            impl $name {
                /// Nothing said.
                pub const NONE: Self =
                    $name { label: "", help: "", unit: "", advanced: false, aliases: &[], $( $field: $none, )* };
                /// The complete declaration.
                pub const fn spec($self, id: &'static str) -> ParamSpec {
                    ParamSpec {
                        id,
                        label: $self.label,
                        help: $self.help,
                        unit: $self.unit,
                        advanced: $self.advanced,
                        aliases: $self.aliases,
                        kind: $kind,
                    }
                }
            }
        };
    }

    declaration! {
        /// A whole number.
        Int { min: i64 = i64::MIN, "Smallest value."; max: i64 = i64::MAX, "Largest value."; odd: bool = false, "Whether even values are refused.";
              default: i64 = 0, "Value when not given."; }
        => self Kind::Int { min: self.min, max: self.max, odd: self.odd, default: self.default }
    }
    declaration! {
        /// A number.
        Float { min: f64 = f64::MIN, "Smallest value."; max: f64 = f64::MAX, "Largest value."; default: f64 = 0.0, "Value when not given."; }
        => self Kind::Float { min: self.min, max: self.max, default: self.default }
    }
    declaration! {
        /// A number, or automatic.
        AutoFloat { min: f64 = f64::MIN, "Smallest value."; max: f64 = f64::MAX, "Largest value."; }
        => self Kind::AutoFloat { min: self.min, max: self.max }
    }
    declaration! {
        /// Yes or no.
        Bool { default: bool = false, "Value when not given."; }
        => self Kind::Bool { default: self.default }
    }
    declaration! {
        /// Numbers, or automatic.
        Floats { min: f64 = f64::MIN, "Smallest value."; max: f64 = f64::MAX, "Largest value.";
                 default: &'static [f64] = &[], "Values when not given; none means automatic."; }
        => self Kind::Floats { min: self.min, max: self.max, default: self.default }
    }
    declaration! {
        /// Whole numbers.
        Ints { min: i64 = i64::MIN, "Smallest value."; max: i64 = i64::MAX, "Largest value."; default: &'static [i64] = &[], "Values when not given."; }
        => self Kind::Ints { min: self.min, max: self.max, default: self.default }
    }

    declaration! {
        /// A file that is read.
        File { suffix: &'static str = "", "End of its name without the dot, for dialogs.";
               required: bool = false, "Whether the method can do nothing without it."; }
        => self Kind::File { written: false, suffix: self.suffix, required: self.required }
    }
    declaration! {
        /// A file that is written.
        NewFile { suffix: &'static str = "", "End of its name without the dot, for dialogs."; }
        => self Kind::File { written: true, suffix: self.suffix, required: false }
    }

    /// One of several.
    #[derive(Debug, Clone, Copy)]
    pub struct Choice<T: Choices> {
        /// Name in dialogs and messages.
        pub label: &'static str,
        /// Full sentences.
        pub help: &'static str,
        /// Whether dialogs hide it at first.
        pub advanced: bool,
        /// Earlier names that stay accepted.
        pub aliases: &'static [&'static str],
        /// Value when not given.
        pub default: T,
    }

    impl<T: Choices> Choice<T> {
        /// Nothing said; the first choice is the default.
        pub const NONE: Self = Choice { label: "", help: "", advanced: false, aliases: &[], default: T::ALL[0] };
    }
}

/// Declares an enum whose values a `choice` parameter can have. See the [module](crate::param).
#[macro_export]
macro_rules! choices {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $( $(#[$vmeta:meta])* $variant:ident = $id:literal : $help:literal ),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name { $( $(#[$vmeta])* $variant ),+ }
        impl $crate::param::Choices for $name {
            const OPTIONS: &'static [$crate::param::ChoiceOption] =
                &[$( $crate::param::ChoiceOption { id: $id, help: $help } ),+];
            const ALL: &'static [Self] = &[$( Self::$variant ),+];
            fn index(self) -> usize { self as usize }
        }
    };
}

/// Declares the parameters of a method. See the [module](crate::param).
#[macro_export]
macro_rules! params {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $( $id:ident : $kind:ident $(($choice:ty))? { $($body:tt)* } ),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name { $( #[doc = concat!("See the declaration of `", stringify!($id), "`.")] pub $id: $crate::params!(@type $kind $($choice)?) ),* }
        impl $name {
            /// The declarations, in the order in which they are shown.
            pub const SPECS: &'static [$crate::param::ParamSpec] =
                &[$( $crate::params!(@spec $id $kind $(($choice))? { $($body)* }) ),*];

            /// The typed form of `values`.
            ///
            /// # Errors
            /// An internal error when a value is not of the declared kind, which `Values` prevents.
            #[allow(unused_variables, unused_mut, unused_assignments)]
            pub fn from_values(values: &$crate::param::Values) -> $crate::Result<Self> {
                let mut specs = Self::SPECS.iter();
                $( let $id = $crate::params!(@extract $kind $(($choice))?, $crate::param::next_value(&mut specs, values)?); )*
                Ok($name { $( $id ),* })
            }
        }
    };
    (@type int) => { i64 };
    (@type float) => { f64 };
    (@type auto_float) => { Option<f64> };
    (@type bool) => { bool };
    (@type choice $choice:ty) => { $choice };
    (@type floats) => { Vec<f64> };
    (@type ints) => { Vec<i64> };
    (@type file) => { Option<$crate::param::File> };
    (@type new_file) => { Option<$crate::param::File> };

    (@extract int, $value:expr) => { match $value { $crate::param::Value::Int(v) => v, _ => return $crate::param::wrong_kind() } };
    (@extract float, $value:expr) => { match $value { $crate::param::Value::Float(v) => v, _ => return $crate::param::wrong_kind() } };
    (@extract auto_float, $value:expr) => {
        match $value { $crate::param::Value::Float(v) => Some(v), $crate::param::Value::Auto => None, _ => return $crate::param::wrong_kind() }
    };
    (@extract bool, $value:expr) => { match $value { $crate::param::Value::Bool(v) => v, _ => return $crate::param::wrong_kind() } };
    (@extract choice($choice:ty), $value:expr) => {
        match $value {
            $crate::param::Value::Choice(i) if i < <$choice as $crate::param::Choices>::ALL.len() => <$choice as $crate::param::Choices>::ALL[i],
            _ => return $crate::param::wrong_kind(),
        }
    };
    (@extract floats, $value:expr) => {
        match $value { $crate::param::Value::Floats(v) => v, $crate::param::Value::Auto => Vec::new(), _ => return $crate::param::wrong_kind() }
    };
    (@extract ints, $value:expr) => { match $value { $crate::param::Value::Ints(v) => v, _ => return $crate::param::wrong_kind() } };
    (@extract file, $value:expr) => { match $value { $crate::param::Value::File(v) => v, _ => return $crate::param::wrong_kind() } };
    (@extract new_file, $value:expr) => { match $value { $crate::param::Value::File(v) => v, _ => return $crate::param::wrong_kind() } };

    (@spec $id:ident int { $($body:tt)* }) => { $crate::param::decl::Int { $($body)*, ..$crate::param::decl::Int::NONE }.spec(stringify!($id)) };
    (@spec $id:ident float { $($body:tt)* }) => { $crate::param::decl::Float { $($body)*, ..$crate::param::decl::Float::NONE }.spec(stringify!($id)) };
    (@spec $id:ident auto_float { $($body:tt)* }) => { $crate::param::decl::AutoFloat { $($body)*, ..$crate::param::decl::AutoFloat::NONE }.spec(stringify!($id)) };
    (@spec $id:ident bool { $($body:tt)* }) => { $crate::param::decl::Bool { $($body)*, ..$crate::param::decl::Bool::NONE }.spec(stringify!($id)) };
    (@spec $id:ident choice($choice:ty) { $($body:tt)* }) => {{
        const DECLARED: $crate::param::decl::Choice<$choice> =
            $crate::param::decl::Choice { $($body)*, ..$crate::param::decl::Choice::<$choice>::NONE };
        $crate::param::ParamSpec {
            id: stringify!($id),
            label: DECLARED.label,
            help: DECLARED.help,
            unit: "",
            advanced: DECLARED.advanced,
            aliases: DECLARED.aliases,
            kind: $crate::param::Kind::Choice {
                options: <$choice as $crate::param::Choices>::OPTIONS,
                default: DECLARED.default as usize,
            },
        }
    }};
    (@spec $id:ident floats { $($body:tt)* }) => { $crate::param::decl::Floats { $($body)*, ..$crate::param::decl::Floats::NONE }.spec(stringify!($id)) };
    (@spec $id:ident ints { $($body:tt)* }) => { $crate::param::decl::Ints { $($body)*, ..$crate::param::decl::Ints::NONE }.spec(stringify!($id)) };
    (@spec $id:ident file { $($body:tt)* }) => { $crate::param::decl::File { $($body)*, ..$crate::param::decl::File::NONE }.spec(stringify!($id)) };
    (@spec $id:ident new_file { $($body:tt)* }) => { $crate::param::decl::NewFile { $($body)*, ..$crate::param::decl::NewFile::NONE }.spec(stringify!($id)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::params! {
        /// Files.
        struct Named {
            weights: file { label: "Weights", help: "Read these.", suffix: "bin", aliases: &["network"] },
            keep: new_file { label: "Keep", help: "Write these." },
        }
    }

    #[test]
    fn files_are_names_until_they_are_read() {
        let mut values = Values::default();
        assert_eq!(Named::from_values(&values).unwrap(), Named { weights: None, keep: None });
        values.set_text(Named::SPECS, "network", " a b.bin ").unwrap();
        values.set_json(Named::SPECS, "keep", &json!("out.bin")).unwrap();
        assert_eq!(values.to_json(Named::SPECS), json!({ "weights": "a b.bin", "keep": "out.bin" }));
        let named: Vec<_> = values.files(Named::SPECS).map(|(spec, file)| (spec.id, file.name().to_string())).collect();
        assert_eq!(named, [("weights", "a b.bin".to_string()), ("keep", "out.bin".to_string())]);

        let weights = |values: &Values| Named::from_values(values).unwrap().weights.unwrap();
        assert_eq!(weights(&values).contents().unwrap_err().kind(), ErrorKind::Internal);
        values.attach("weights", vec![1, 2]);
        values.attach("nothing", vec![3]);
        assert_eq!(weights(&values).contents().unwrap(), [1, 2]);
    }

    #[test]
    fn no_file_is_null_or_an_empty_text_and_others_are_refused() {
        let mut values = Values::default();
        values.set_text(Named::SPECS, "keep", "x").unwrap();
        values.set_text(Named::SPECS, "keep", "").unwrap();
        values.set_json(Named::SPECS, "weights", &Json::Null).unwrap();
        assert_eq!(values.files(Named::SPECS).count(), 0);
        assert_eq!(values.to_json(Named::SPECS), json!({ "weights": null, "keep": null }));
        let error = values.set_json(Named::SPECS, "weights", &json!(3)).unwrap_err();
        assert_eq!(error.message(), "Weights must be the name of a file; got 3");
        let error = values.set_json(Named::SPECS, "keep", &json!(["a"])).unwrap_err();
        assert!(error.message().starts_with("Keep must be the name of a file to write; got "), "{error}");
    }

    #[test]
    fn dialogs_learn_which_files_are_written() {
        let described: Vec<Json> = Named::SPECS.iter().map(ParamSpec::describe).collect();
        assert_eq!((&described[0]["kind"], &described[0]["suffix"]), (&json!("file"), &json!("bin")));
        assert_eq!((&described[1]["kind"], &described[1]["default"]), (&json!("new_file"), &Json::Null));
    }
}
