//! The registry and the job format described as JSON, for dialogs, documentation and validation outside this library.

use serde_json::{json, Map, Value as Json};
use stfusion_core::method::{ExtraImage, Fallback, Method};
use stfusion_core::param::{ChoiceOption, Choices, Kind, ParamSpec};
use stfusion_core::source::{Format, ResamplingChoice};

use crate::job::JOB_FORMAT;
use crate::support::SUPPORT_BANDS;

stfusion_core::params! {
    /// Options of a job that are not parameters of its method.
    pub struct JobOptions {
        coarse_resampling: choice(ResamplingChoice) {
            label: "Coarse resampling",
            help: "How the coarse images are brought onto the fine grid.",
            default: ResamplingChoice::Auto
        },
        ignore_units: bool {
            label: "Ignore units",
            help: "Go on although the values of fine and coarse images look as if they were in different units.",
            advanced: true, default: false
        },
        format: choice(Format) {
            label: "Format",
            help: "File format of the output.",
            advanced: true, default: Format::GTiff
        },
        threads: int {
            label: "Threads",
            help: "Number of threads that compute. With 0 all processors that the process may use.",
            advanced: true, min: 0, max: 1024, default: 0
        },
    }
}

/// Methods, job options and mask presets as JSON: what the QGIS plugin ships and `stf_spec_json` returns.
pub fn spec() -> Json {
    let mut options: Vec<Json> = JobOptions::SPECS.iter().map(ParamSpec::describe).collect();
    let text = |id: &str, label: &str, help: &str, default: &str| json!({ "id": id, "label": label, "help": help, "unit": "", "advanced": true, "kind": "text", "default": default });
    options.push(text(
        "memory",
        "Memory budget",
        "Memory of the run, such as 2GiB. With auto half of what is available, at most 4 GiB.",
        "auto",
    ));
    options.push(text("device", "Device", "What computes: auto, cpu, cuda, cuda:N or cuda:N,M.", "auto"));
    #[cfg(feature = "gdal")]
    let presets = stfusion_raster::presets().unwrap_or_default();
    #[cfg(not(feature = "gdal"))]
    let presets: [Json; 0] = [];
    json!({
        "version": crate::VERSION,
        "abi": crate::ABI,
        "job_format": JOB_FORMAT,
        "methods": stfusion_methods::all().iter().map(|m| method(*m)).collect::<Vec<_>>(),
        "options": options,
        "mask_presets": presets,
        "support_bands": SUPPORT_BANDS,
        "fallbacks": Fallback::ALL.iter().map(|f| f.label()).collect::<Vec<_>>(),
    })
}

fn method(method: &dyn Method) -> Json {
    let info = method.info();
    json!({
        "id": info.id,
        "label": info.label,
        "summary": info.summary,
        "family": info.family.label(),
        "tags": info.tags,
        "references": info.references.iter().map(|r| json!({ "citation": r.citation, "doi": r.doi })).collect::<Vec<_>>(),
        "min_pairs": info.min_pairs,
        "max_pairs": info.max_pairs,
        "needs_dates": info.needs_dates,
        "accepts_classes": info.accepts(ExtraImage::Classes),
        "accepts_objects": info.accepts(ExtraImage::Objects),
        "accepts_pan": info.accepts(ExtraImage::Panchromatic),
        "coarse_resampling": info.coarse_resampling.id(),
        "parameters": info.parameters.iter().map(ParamSpec::describe).collect::<Vec<_>>(),
        "readme": info.readme,
    })
}

fn choice(options: &[ChoiceOption]) -> Json {
    json!({ "enum": options.iter().map(|o| o.id).collect::<Vec<_>>() })
}

/// The JSON schema (2020-12) of the job file.
pub fn job_schema() -> Json {
    let text = json!({ "type": "string" });
    let date = json!({ "type": "string", "description": "YYYY-MM-DD, YYYYMMDD or YYYY-DDD (day of year)" });
    let closed = |required: &[&str], properties: Json| json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties });
    let names = json!({ "oneOf": [
        { "type": "string", "minLength": 1 },
        { "type": "array", "minItems": 1, "items": { "type": "string", "minLength": 1 }, "description": "one raster per band" } ] });
    let image = json!({ "oneOf": [
        { "$ref": "#/$defs/names" },
        closed(&["path"], json!({
            "path": { "$ref": "#/$defs/names" },
            "bands": { "type": "array", "items": { "type": "integer", "minimum": 1 } },
            "scale": { "type": "number" }, "offset": { "type": "number" }, "nodata": { "type": "number" },
            "valid_range": { "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 } })) ] });
    let mask = json!({ "oneOf": [
        { "type": "string", "minLength": 1 },
        closed(&["path"], json!({
            "path": text, "preset": text, "dilate_px": { "type": "integer", "minimum": 0 },
            "band": { "type": "integer", "minimum": 1 }, "valid_is_nonzero": { "type": "boolean" } })) ] });
    let reference = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "stfusion job",
        "type": "object",
        "additionalProperties": false,
        "required": ["stfusion", "method", "pairs", "target"],
        "properties": {
            "stfusion": { "const": JOB_FORMAT },
            "method": { "enum": stfusion_methods::all().iter().map(|m| m.info().id).collect::<Vec<_>>() },
            "parameters": { "type": "object" },
            "pairs": { "type": "array", "items": closed(&["fine", "coarse"], json!({
                "date": date, "fine": reference("image"), "coarse": reference("image"),
                "fine_mask": reference("mask"), "coarse_mask": reference("mask"),
                "classes": reference("image"), "objects": reference("image"), "pan": reference("image") })) },
            "target": closed(&["coarse"], json!({ "date": date, "coarse": reference("image"), "coarse_mask": reference("mask") })),
            "grid": closed(&[], json!({
                "coarse_resampling": choice(ResamplingChoice::OPTIONS),
                "bands": { "type": "array", "items": { "type": "array", "items": { "type": "integer", "minimum": 1 },
                           "minItems": 2, "maxItems": 2 }, "description": "pairs of (fine band, coarse band)" },
                "ignore_units": { "type": "boolean" } })),
            "output": closed(&[], json!({
                "path": text, "format": choice(Format::OPTIONS), "support": text,
                "creation_options": { "type": "array", "items": text }, "data_type": text,
                "nodata": { "type": "number" }, "overwrite": { "type": "boolean" } })),
            "device": { "type": "string", "pattern": "^(auto|cpu|cuda(:[0-9]+(,[0-9]+)*)?)$" },
            "memory": { "type": ["string", "integer"] },
            "threads": { "type": "integer", "minimum": 0 },
        },
        "$defs": { "names": names, "image": image, "mask": mask },
        "allOf": stfusion_methods::all().iter().map(|m| parameters_of(*m)).collect::<Vec<_>>(),
    })
}

fn parameters_of(method: &dyn Method) -> Json {
    let info = method.info();
    let properties: Map<String, Json> = info.parameters.iter().map(|p| (p.id.to_string(), parameter(p))).collect();
    json!({
        "if": { "properties": { "method": { "const": info.id } } },
        "then": { "properties": { "parameters": { "additionalProperties": false, "properties": properties } } },
    })
}

fn parameter(spec: &ParamSpec) -> Json {
    let described = spec.describe();
    let limits = |kind: &str| {
        let mut out = json!({ "type": kind });
        for (key, name) in [("min", "minimum"), ("max", "maximum")] {
            if described[key].is_number() {
                out[name] = described[key].clone();
            }
        }
        out
    };
    let many = |item: Json| json!([item.clone(), { "type": "array", "items": item }]);
    let mut out = match spec.kind {
        Kind::Int { .. } => limits("integer"),
        Kind::Float { .. } => limits("number"),
        Kind::AutoFloat { .. } => json!({ "anyOf": [limits("number"), { "enum": ["auto", null] }] }),
        Kind::Bool { .. } => json!({ "type": "boolean" }),
        Kind::Choice { options, .. } => choice(options),
        Kind::Ints { .. } => json!({ "anyOf": many(limits("integer")) }),
        Kind::File { .. } => json!({ "type": ["string", "null"] }),
        Kind::Floats { .. } => {
            let mut any = many(limits("number"));
            if let Some(list) = any.as_array_mut() {
                list.push(json!({ "enum": ["auto", null] }));
            }
            json!({ "anyOf": any })
        }
    };
    out["description"] = json!(spec.help);
    out["default"] = described["default"].clone();
    out
}
