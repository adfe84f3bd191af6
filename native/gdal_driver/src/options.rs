//! Open options: the method and its parameters, and what a job leaves to whoever runs it. They replace what the job says.

use std::fmt::Write as _;

use stfusion_core::param::{Choices, Kind, ParamSpec};
use stfusion_core::source::{OutputOptions, ResamplingChoice};
use stfusion_core::{Error, ErrorKind, Result};
use stfusion_engine::Job;

/// Sets what `options` (`KEY=VALUE`) say in the job.
///
/// # Errors
/// [`ErrorKind::Parameter`] naming the option.
pub(crate) fn apply(options: &[String], job: &mut Job) -> Result<()> {
    // the method first: the parameters are its own
    let is_method = |option: &&String| option.get(..7).is_some_and(|k| k.eq_ignore_ascii_case("METHOD="));
    let (method, others): (Vec<_>, Vec<_>) = options.iter().partition(is_method);
    for option in method.into_iter().chain(others) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        set(job, &key.to_ascii_lowercase(), value.trim()).map_err(|e| e.at(format!("Open option {option}")))?;
    }
    Ok(())
}

fn set(job: &mut Job, key: &str, value: &str) -> Result<()> {
    let wrong = |expected: &str| {
        Error::new(ErrorKind::Parameter, format!("expected {expected}; got {value:?}"))
            .with_hint("gdalinfo --format STFUSION lists the options and their values.")
    };
    let output = || job.output.clone().unwrap_or_default();
    match key {
        "method" => {
            stfusion_methods::by_id(value)?;
            job.method = value.into();
        }
        "coarse_resampling" => job.grid.coarse_resampling = ResamplingChoice::by_id(value)?.of_job(),
        "ignore_units" => {
            job.grid.ignore_units = match value.to_ascii_lowercase().as_str() {
                "yes" | "true" | "on" | "1" => true,
                "no" | "false" | "off" | "0" => false,
                _ => return Err(wrong("YES or NO")),
            }
        }
        "threads" => job.threads = value.parse().map_err(|_| wrong("a whole number"))?,
        "memory" => job.memory = value.parse()?,
        "device" => job.device = value.parse()?,
        "data_type" => job.output = Some(OutputOptions { data_type: Some(value.into()), ..output() }),
        "nodata" => {
            let nodata = Some(value.parse().map_err(|_| wrong("a number"))?);
            job.output = Some(OutputOptions { nodata, ..output() });
        }
        parameter => job.set_parameter(parameter, value)?,
    }
    Ok(())
}

/// What an output says about values, without the place and form of its file.
pub(crate) fn without_place(output: OutputOptions) -> OutputOptions {
    OutputOptions { data_type: output.data_type, nodata: output.nodata, ..OutputOptions::default() }
}

/// The list of open options as GDAL's drivers describe it: options of every job, then the parameters of all methods.
pub(crate) fn open_options() -> String {
    let mut xml = String::from("<OpenOptionList>");
    let ids: Vec<String> = stfusion_methods::all().iter().map(|m| m.info().id.to_string()).collect();
    option(&mut xml, "METHOD", "Method, instead of the job's", &Shape { values: ids, ..Shape::of("string-select") });
    let ways = ResamplingChoice::OPTIONS.iter().map(|o| o.id.to_string()).collect();
    let resampling = Shape { values: ways, ..Shape::of("string-select") };
    option(&mut xml, "COARSE_RESAMPLING", "How the coarse images are brought onto the fine grid", &resampling);
    option(
        &mut xml,
        "IGNORE_UNITS",
        "Go on although fine and coarse values look as if they were in different units",
        &Shape::of("boolean"),
    );
    let types = ["Byte", "UInt16", "Int16", "UInt32", "Int32", "Float32", "Float64"].map(String::from).to_vec();
    option(
        &mut xml,
        "DATA_TYPE",
        "Type of the values; by default the fine image's",
        &Shape { values: types, ..Shape::of("string-select") },
    );
    option(&mut xml, "NODATA", "Nodata value; by default the fine image's, or one that fits the type", &Shape::of("float"));
    option(&mut xml, "THREADS", "Number of threads; by default GDAL_NUM_THREADS, or all processors", &Shape::of("int"));
    option(
        &mut xml,
        "MEMORY",
        "Memory budget, such as 2GiB; auto is half of what is available, at most 4 GiB",
        &Shape::of("string"),
    );
    option(&mut xml, "DEVICE", "What computes: auto, cpu, cuda, cuda:N or cuda:N,M", &Shape::of("string"));

    let mut parameters: Vec<(&'static ParamSpec, Vec<&'static str>, Shape)> = Vec::new();
    for info in stfusion_methods::all().iter().map(|m| m.info()) {
        for spec in info.parameters {
            match parameters.iter_mut().find(|(known, ..)| known.id == spec.id) {
                Some((_, labels, shape)) => {
                    labels.push(info.label);
                    shape.widen(&Shape::of_parameter(spec));
                }
                None => parameters.push((spec, vec![info.label], Shape::of_parameter(spec))),
            }
        }
    }
    for (spec, labels, shape) in &parameters {
        let unit = if spec.unit.is_empty() { String::new() } else { format!(" ({})", spec.unit) };
        let text = format!("{}{unit}. {} [{}]", spec.label, spec.help, labels.join(", "));
        option(&mut xml, &spec.id.to_ascii_uppercase(), &text, shape);
    }
    xml.push_str("</OpenOptionList>");
    xml
}

/// Type, limits and choices of an option.
#[derive(Debug, Clone, PartialEq)]
struct Shape {
    kind: &'static str,
    limits: Option<(String, String)>,
    default: Option<String>,
    values: Vec<String>,
}

impl Shape {
    fn of(kind: &'static str) -> Shape {
        Shape { kind, limits: None, default: None, values: Vec::new() }
    }

    fn of_parameter(spec: &ParamSpec) -> Shape {
        let default = match spec.to_json(&spec.default()) {
            json if json.is_string() => json.as_str().map(String::from),
            json if json.is_array() => None,
            json => Some(json.to_string()),
        };
        let (kind, limits) = match spec.kind {
            Kind::Int { min, max, .. } => ("int", Some((min.to_string(), max.to_string()))),
            Kind::Float { min, max, .. } => ("float", finite(min, max)),
            Kind::Bool { .. } => ("boolean", None),
            Kind::Choice { .. } => ("string-select", None),
            Kind::AutoFloat { .. } | Kind::Floats { .. } | Kind::Ints { .. } | Kind::File { .. } => ("string", None),
        };
        let values = match spec.kind {
            Kind::Choice { options, .. } => options.iter().map(|o| o.id.to_string()).collect(),
            _ => Vec::new(),
        };
        Shape { kind, limits, default, values }
    }

    /// Admits what another method's parameter of the same name admits.
    fn widen(&mut self, other: &Shape) {
        if self.kind != other.kind {
            *self = Shape::of("string");
        }
        if self.limits != other.limits {
            self.limits = None;
        }
        if self.default != other.default {
            self.default = None;
        }
        let new: Vec<String> = other.values.iter().filter(|v| !self.values.contains(v)).cloned().collect();
        self.values.extend(new);
    }
}

fn finite(min: f64, max: f64) -> Option<(String, String)> {
    (min.is_finite() && max.is_finite()).then(|| (min.to_string(), max.to_string()))
}

fn option(xml: &mut String, name: &str, text: &str, shape: &Shape) {
    let limits = shape.limits.as_ref().map(|(min, max)| format!(" min='{min}' max='{max}'")).unwrap_or_default();
    let default = shape.default.as_ref().map(|d| format!(" default='{}'", escaped(d))).unwrap_or_default();
    // writing to a String cannot fail
    let _ = write!(xml, "<Option name='{name}' type='{}' description='{}'{limits}{default}", shape.kind, escaped(text));
    if shape.values.is_empty() {
        xml.push_str("/>");
    } else {
        xml.push('>');
        shape.values.iter().for_each(|v| {
            let _ = write!(xml, "<Value>{}</Value>", escaped(v));
        });
        xml.push_str("</Option>");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&apos;")
}
