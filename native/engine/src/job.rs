//! The job: everything a user can ask for, as a value that reads and writes as JSON.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use stfusion_core::method::{ExtraImage, Method};
use stfusion_core::param::{Kind, ParamSpec, Values};
use stfusion_core::source::{GridOptions, ImageSource, MaskSource, OutputOptions, PairSource, TargetSource};
use stfusion_core::{Error, ErrorKind, Result};

use crate::context::MemorySize;
use crate::device::DeviceChoice;
#[cfg(feature = "gdal")]
use crate::named_files::check_written;
use crate::named_files::is_written;

/// Version of the job format that this library writes and reads.
pub const JOB_FORMAT: u32 = 1;

/// Years in which an image of the Earth's surface can have been taken; others are typing errors.
const FIRST_YEAR: i16 = 1950;
const LAST_YEAR: i16 = 2100;

/// A job file larger than this is refused: no honest job comes near it.
const MAX_BYTES: usize = 4 << 20;

/// A fusion job: method, parameters, images with roles and dates, output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Version of the format: [`JOB_FORMAT`].
    pub stfusion: u32,
    /// Id of the method.
    pub method: String,
    /// Parameters by id; those left out have their default.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Json>,
    /// Pairs of fine and coarse images.
    #[serde(default)]
    pub pairs: Vec<PairSource>,
    /// The day to predict.
    #[serde(default, skip_serializing_if = "is_default")]
    pub target: TargetSource,
    /// How the images are brought together.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grid: GridOptions,
    /// Where the prediction goes; may be left to the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputOptions>,
    /// What computes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub device: DeviceChoice,
    /// Memory budget.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory: MemorySize,
    /// Number of threads; 0: as many as the context has.
    #[serde(default, skip_serializing_if = "is_default")]
    pub threads: usize,
    /// In the job file beside an output: how that output came about. Running the job ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Json>,
    /// Contents of files, by the ids of the parameters that would name them.
    #[serde(skip)]
    pub contents: BTreeMap<&'static str, Arc<[u8]>>,
}

/// What a parameter says whose file lies in memory.
const IN_MEMORY: &str = "(in memory)";

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Job {
    fn default() -> Self {
        Job {
            stfusion: JOB_FORMAT,
            method: String::new(),
            parameters: Map::new(),
            pairs: Vec::new(),
            target: TargetSource::default(),
            grid: GridOptions::default(),
            output: None,
            device: DeviceChoice::default(),
            memory: MemorySize::default(),
            threads: 0,
            provenance: None,
            contents: BTreeMap::new(),
        }
    }
}

impl Job {
    /// Reads a job from JSON. Relative file names are resolved against `folder`, the folder of the job file.
    ///
    /// # Errors
    /// [`ErrorKind::Job`] with line and column for text that is not JSON, unknown keys and wrong types; [`ErrorKind::Parameter`]
    /// for unknown methods and parameters. Paths are not looked at.
    pub fn from_json(text: &str, folder: Option<&Path>) -> Result<Job> {
        let malformed = |message: String| {
            Error::new(ErrorKind::Job, format!("Not a stfusion job: {message}"))
                .with_hint("See `stfusion job --schema` or docs/job.md for the format; `stfusion job` writes one.")
        };
        if text.len() > MAX_BYTES {
            return Err(malformed(format!("{} MiB of text, expected at most {} MiB", text.len() >> 20, MAX_BYTES >> 20)));
        }
        let object = serde_json::from_str::<Json>(text).map_err(|e| malformed(e.to_string()))?;
        if !object.is_object() {
            return Err(malformed("expected an object in braces".into()));
        }
        // read again from the text, whose errors have line and column
        let mut job: Job = serde_json::from_str(text).map_err(|e| malformed(e.to_string()))?;
        if job.stfusion != JOB_FORMAT {
            return Err(malformed(format!("format version {} (\"stfusion\"), expected {JOB_FORMAT}", job.stfusion)));
        }
        if let Some(folder) = folder {
            job.resolve(folder);
        }
        job.values()?;
        Ok(job)
    }

    /// The job as JSON, indented, ending with a line feed.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The method of the job.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] listing the methods there are.
    pub fn method(&self) -> Result<&'static dyn Method> {
        stfusion_methods::by_id(&self.method)
    }

    /// The parameters, checked against the method's declarations.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for an unknown method or parameter, or a value that is not admitted.
    pub fn values(&self) -> Result<Values> {
        let specs = self.method()?.info().parameters;
        let mut values = Values::default();
        for (id, json) in &self.parameters {
            values.set_json(specs, id, json)?;
        }
        for (id, contents) in &self.contents {
            values.attach(id, Arc::clone(contents));
        }
        Ok(values)
    }

    /// Sets a parameter of the method from its text form, as on a command line.
    ///
    /// # Errors
    /// As [`Job::values`].
    pub fn set_parameter(&mut self, id: &str, text: &str) -> Result<()> {
        let specs = self.method()?.info().parameters;
        let mut values = Values::default();
        values.set_text(specs, id, text)?;
        for spec in specs {
            if spec.id == id.replace('-', "_") || spec.aliases.contains(&id) {
                self.parameters.insert(spec.id.into(), spec.to_json(&values.get(spec)));
            }
        }
        Ok(())
    }

    /// Gives a parameter that names a file to read the contents of that file.
    ///
    /// # Errors
    /// As [`Job::values`]; [`ErrorKind::Parameter`] for a parameter that names no file to read.
    pub fn set_contents(&mut self, id: &str, contents: impl Into<Arc<[u8]>>) -> Result<()> {
        self.set_parameter(id, IN_MEMORY)?;
        let specs = self.method()?.info().parameters;
        let named = |spec: &&ParamSpec| spec.id == id.replace('-', "_") || spec.aliases.contains(&id);
        match specs.iter().find(named).filter(|spec| matches!(spec.kind, Kind::File { written: false, .. })) {
            Some(spec) => {
                self.contents.insert(spec.id, contents.into());
                Ok(())
            }
            None => {
                self.parameters.remove(id);
                Err(Error::new(ErrorKind::Parameter, format!("{id} names no file that is read"))
                    .with_hint("Set it to a value or a name instead."))
            }
        }
    }

    /// Resolves relative file names against `folder`; names that are not plain paths (`/vsi…`, `NETCDF:…`, inline XML) stay.
    pub fn resolve(&mut self, folder: &Path) {
        for pair in &mut self.pairs {
            resolve_image(&mut pair.fine, folder);
            resolve_image(&mut pair.coarse, folder);
            resolve_mask(&mut pair.fine_mask, folder);
            resolve_mask(&mut pair.coarse_mask, folder);
            for extra in ExtraImage::ALL {
                if let Some(image) = pair.extra_image_mut(*extra) {
                    resolve_image(image, folder);
                }
            }
        }
        resolve_image(&mut self.target.coarse, folder);
        resolve_mask(&mut self.target.coarse_mask, folder);
        self.each_file_parameter(|_, name| resolve_name(name, folder));
        if let Some(output) = &mut self.output {
            resolve_name(&mut output.path, folder);
            if let Some(support) = &mut output.support {
                resolve_name(support, folder);
            }
        }
    }

    /// Calls `visit` with every parameter that names a file, and that name.
    fn each_file_parameter(&mut self, mut visit: impl FnMut(&ParamSpec, &mut String)) {
        let Ok(method) = self.method() else { return };
        for (id, json) in &mut self.parameters {
            let id = id.replace('-', "_");
            let spec = method.info().parameters.iter().find(|s| s.id == id || s.aliases.contains(&id.as_str()));
            if let (Some(spec @ ParamSpec { kind: Kind::File { .. }, .. }), Json::String(name)) = (spec, json) {
                visit(spec, name);
            }
        }
    }

    /// The job without the files that its parameters would have written.
    pub fn forget_written_files(&mut self) {
        self.each_file_parameter(|spec, name| {
            if is_written(spec) {
                name.clear();
            }
        });
    }

    /// Fails when an output could not be written, is an input, or has the name of another: before any work.
    ///
    /// # Errors
    /// [`ErrorKind::Exists`], [`ErrorKind::Write`] and [`ErrorKind::Job`] naming the file.
    #[cfg(feature = "gdal")]
    pub fn check_outputs(&self) -> Result<()> {
        let Some(output) = &self.output else { return Ok(()) };
        let (specs, values) = (self.method()?.info().parameters, self.values()?);
        check_written(&values, specs, output.overwrite)?;
        let (written, read): (Vec<_>, Vec<_>) = values.files(specs).partition(|(spec, _)| is_written(spec));
        let inputs = || self.input_names().into_iter().chain(read.iter().map(|(_, file)| file.name()));
        let images = [("prediction", Some(&output.path)), ("support layer", output.support.as_ref())];
        let images = images.into_iter().filter_map(|(what, path)| Some((what, path?.as_str())));
        let mut names: Vec<(&str, &str)> = Vec::new();
        for (what, path) in images.clone().chain(written.iter().map(|(spec, file)| (spec.label, file.name()))) {
            if let Some((other, _)) = names.iter().find(|(_, name)| *name == path) {
                return Err(Error::new(ErrorKind::Job, format!("{path}: {other} and {what} have the same name"))
                    .with_hint(format!("Give the {what} a name of its own.")));
            }
            names.push((what, path));
            stfusion_raster::check_output_is_no_input(path, inputs())?;
        }
        images.into_iter().try_for_each(|(_, path)| stfusion_raster::check_output(path, output.overwrite))
    }

    /// Fails unless the job has a method, at least one pair and a target, before anything is opened.
    ///
    /// # Errors
    /// [`ErrorKind::Job`] naming what is missing.
    pub fn check_complete(&self) -> Result<()> {
        let missing =
            |what: &str, remedy: &str| Err(Error::new(ErrorKind::Job, format!("The job has no {what}")).with_hint(remedy));
        if self.method.is_empty() {
            return missing("method", "Name one; `stfusion methods` lists them.");
        }
        if self.pairs.is_empty() {
            return missing("pair of fine and coarse images", "Add a pair: a fine and a coarse image of the same day.");
        }
        for (k, pair) in self.pairs.iter().enumerate() {
            if pair.fine.paths.is_empty() {
                return missing(&format!("fine image in pair {}", k + 1), "Name the fine image of the pair.");
            }
            if pair.coarse.paths.is_empty() {
                return missing(&format!("coarse image in pair {}", k + 1), "Name the coarse image of the pair.");
            }
        }
        if self.target.coarse.paths.is_empty() {
            return missing("coarse image of the target day", "Name the coarse image of the day to predict.");
        }
        let dates = self.pairs.iter().enumerate().map(|(k, p)| (format!("pair {}", k + 1), p.date));
        for (name, date) in dates.chain([("the target".to_string(), self.target.date)]) {
            if let Some(date) = date.filter(|d| !(FIRST_YEAR..=LAST_YEAR).contains(&d.ymd().0)) {
                let message = format!("The date of {name} is {date}; expected a day of the years {FIRST_YEAR} to {LAST_YEAR}");
                return Err(Error::new(ErrorKind::Job, message).with_hint("Correct the date; it is written YYYY-MM-DD."));
            }
        }
        Ok(())
    }

    /// Every image and mask that is read, for checks that the output is not one of them.
    pub fn input_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for pair in &self.pairs {
            names.extend(pair.fine.paths.iter().map(String::as_str));
            names.extend(pair.coarse.paths.iter().map(String::as_str));
            names.extend(pair.fine_mask.iter().chain(&pair.coarse_mask).map(|m| m.path.as_str()));
            names.extend(pair.extra_images().flat_map(|(_, image)| image.paths.iter().map(String::as_str)));
        }
        names.extend(self.target.coarse.paths.iter().map(String::as_str));
        names.extend(self.target.coarse_mask.iter().map(|m| m.path.as_str()));
        names
    }
}

fn resolve_image(image: &mut ImageSource, folder: &Path) {
    for path in &mut image.paths {
        resolve_name(path, folder);
    }
}

fn resolve_mask(mask: &mut Option<MaskSource>, folder: &Path) {
    if let Some(mask) = mask {
        resolve_name(&mut mask.path, folder);
    }
}

fn resolve_name(name: &mut String, folder: &Path) {
    let opaque = name.is_empty() || name.starts_with(['/', '<', '{']) || name.contains(':');
    if !opaque {
        *name = folder.join(&*name).to_string_lossy().into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{ "stfusion": 1, "method": "nearest_pair",
        "pairs": [ { "date": "2001-11-25", "fine": "f1.tif", "coarse": "/vsizip/c.zip/c1.tif" } ],
        "target": { "date": "2002-01-12", "coarse": "NETCDF:c2.nc:b1" }, "output": { "path": "out.tif" } }"#;

    fn refused(text: &str) -> Error {
        Job::from_json(text, None).unwrap_err()
    }

    #[test]
    fn a_job_survives_the_round_trip() {
        let job = Job::from_json(TEXT, None).unwrap();
        assert_eq!(Job::from_json(&job.to_json(), None).unwrap(), job);
    }

    #[test]
    fn plain_names_are_relative_to_the_job_file_and_others_stay() {
        let job = Job::from_json(TEXT, Some(Path::new("/data/jobs"))).unwrap();
        assert_eq!(job.pairs[0].fine.name(), "/data/jobs/f1.tif");
        assert_eq!(job.pairs[0].coarse.name(), "/vsizip/c.zip/c1.tif");
        assert_eq!(job.target.coarse.name(), "NETCDF:c2.nc:b1");
        assert_eq!(job.output.unwrap().path, "/data/jobs/out.tif");
    }

    #[test]
    fn files_that_parameters_name_are_relative_to_the_job_file_too() {
        let text = TEXT.replace("nearest_pair", "spstfm").replace(
            "\"pairs\"",
            r#""parameters": { "dictionary": "a.stfdict", "save-dictionary": "/b.stfdict", "patch": 5 }, "pairs""#,
        );
        let mut job = Job::from_json(&text, Some(Path::new("/data/jobs"))).unwrap();
        let named = |job: &Job| {
            let values = job.values().unwrap();
            let files = values.files(job.method().unwrap().info().parameters);
            files.map(|(spec, file)| format!("{}={}", spec.id, file.name())).collect::<Vec<_>>()
        };
        assert_eq!(named(&job), ["dictionary=/data/jobs/a.stfdict", "save_dictionary=/b.stfdict"]);
        assert_eq!(
            job.input_names(),
            ["f1.tif", "/vsizip/c.zip/c1.tif", "NETCDF:c2.nc:b1"].map(|n| match n {
                "f1.tif" => "/data/jobs/f1.tif",
                other => other,
            })
        );
        job.forget_written_files();
        assert_eq!(named(&job), ["dictionary=/data/jobs/a.stfdict"]);
    }

    #[test]
    fn malformed_jobs_are_refused_with_place_and_expectation() {
        let cases = [
            (TEXT.replace("\"target\"", "\"targt\""), "unknown field `targt`"),
            (TEXT.replace("\"2001-11-25\"", "\"2001-11-31\""), "is not a date"),
            (TEXT.replace("\"stfusion\": 1", "\"stfusion\": 7"), "format version 7"),
            (TEXT.replace("[ { \"date\"", "{ \"a\": { \"date\""), "line 2"),
            ("[".repeat(100_000), "recursion limit"),
            ("[".repeat(10 << 20), "10 MiB of text"),
        ];
        for (text, expected) in cases {
            let error = refused(&text);
            assert_eq!(error.kind(), ErrorKind::Job, "{error}");
            assert!(error.message().contains(expected), "{expected}: {error}");
        }
        let odd = Job::from_json(&TEXT.replace("2001-11-25", "0201-11-25"), None).unwrap().check_complete().unwrap_err();
        assert_eq!(odd.message(), "The date of pair 1 is 0201-11-25; expected a day of the years 1950 to 2100");
        assert!(refused(&TEXT.replace("nearest_pair", "nearest")).hint().unwrap().contains("nearest_pair"));
    }
}
