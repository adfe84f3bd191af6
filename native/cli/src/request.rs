//! Options of the command line as parts of a job.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use clap::ArgMatches;
use stfusion_core::param::Choices;
use stfusion_core::source::{Format, ImageSource, MaskSource, OutputOptions, PairSource, ResamplingChoice, TargetSource};
use stfusion_core::{Date, Error, ErrorKind, Result};
use stfusion_engine::{Context, ContextOptions, Job, MemorySize};

use crate::failure::{Failure, Outcome};
use crate::terminal::Terminal;
use std::sync::Arc;

/// No job file comes near this size; what is larger is not read to its end.
const MAX_JOB_BYTES: u64 = 64 << 20;

/// Splits `KEY=VALUE`.
pub(crate) fn key_value<'a>(option: &str, text: &'a str) -> Outcome<(&'a str, &'a str)> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim(), value)),
        _ => Err(Failure::usage(
            format!("{option} {text}: expected KEY=VALUE, got {text:?}"),
            format!("Write it as {option} KEY=VALUE."),
        )),
    }
}

pub(crate) fn text<'a>(options: &'a ArgMatches, id: &str) -> Option<&'a str> {
    options.get_one::<String>(id).map(String::as_str)
}

pub(crate) fn texts<'a>(options: &'a ArgMatches, id: &str) -> impl Iterator<Item = &'a str> {
    options.get_many::<String>(id).into_iter().flatten().map(String::as_str)
}

/// An error in the value of an option.
pub(crate) fn in_option(option: &str, value: &str) -> impl Fn(Error) -> Failure {
    let place = format!("{option} {value}");
    move |error| Failure::Usage(error.at(&place))
}

/// Reads a text file, or standard input when `name` is `-`.
pub(crate) fn read_text(name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let read = if name == "-" {
        io::stdin().lock().take(MAX_JOB_BYTES).read_to_end(&mut bytes)
    } else {
        File::open(name).and_then(|file| file.take(MAX_JOB_BYTES).read_to_end(&mut bytes))
    };
    read.map_err(|e| {
        let reason = match e.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_string(),
            io::ErrorKind::PermissionDenied => "it may not be read".to_string(),
            _ => e.to_string(),
        };
        Error::new(ErrorKind::Read, format!("Job file {name} cannot be read: {reason}"))
            .with_hint("Check the name of the job file.")
    })?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::new(ErrorKind::Job, format!("{name}: not a stfusion job: byte {at} is not UTF-8 text"))
            .with_hint("A job file is JSON; `stfusion job METHOD` prints one to start from.")
    })
}

/// Reads a job file; names in it are relative to its folder.
pub(crate) fn read_job(name: &str) -> Result<Job> {
    let folder = if name == "-" { None } else { Path::new(name).parent() };
    Job::from_json(&read_text(name)?, folder).map_err(|e| e.at(name))
}

/// The job of `fuse`: the job file, if there is one, with what the options replace.
pub(crate) fn job(options: &ArgMatches) -> Outcome<Job> {
    let mut job = match text(options, "job") {
        Some(name) => read_job(name)?,
        None => Job::default(),
    };
    if let Some(method) = text(options, "method") {
        job.method = method.into();
    }
    set_fusion(&mut job, options)?;
    set_output_and_running(&mut job, options)?;
    Ok(job)
}

/// Sets what `fuse` and `job` have in common: images, and how they are fused.
fn set_fusion(job: &mut Job, options: &ArgMatches) -> Outcome {
    if job.method.is_empty() {
        let ids: Vec<_> = stfusion_methods::all().iter().map(|m| m.info().id).collect();
        return Err(Failure::usage("No method: give a job file or --method ID", format!("The methods are {}.", ids.join(", "))));
    }
    set_pairs(job, options)?;
    if let Some(target) = text(options, "target") {
        set_target(&mut job.target, target)?;
    }
    if job.pairs.is_empty() {
        return Err(Failure::usage("No pair: the job needs a fine and a coarse image of the same day", PAIR_EXAMPLE));
    }
    if job.target.coarse.paths.is_empty() {
        return Err(Failure::usage("No target: the job needs the coarse image of the day to predict", TARGET_EXAMPLE));
    }
    set_way(job, options)
}

/// Sets what a fusion says beside its images.
fn set_way(job: &mut Job, options: &ArgMatches) -> Outcome {
    set_parameters(job, options)?;
    set_grid(job, options)
}

/// The job of `compare`: the pairs of the job file or of the options; method, target and output stay as they are.
pub(crate) fn job_of_pairs(options: &ArgMatches) -> Outcome<Job> {
    let mut job = match text(options, "job") {
        Some(name) => read_job(name)?,
        None => Job::default(),
    };
    set_pairs(&mut job, options)?;
    set_grid(&mut job, options)?;
    set_running(&mut job, options)?;
    Ok(job)
}

fn set_pairs(job: &mut Job, options: &ArgMatches) -> Outcome {
    let pairs = texts(options, "pair").map(pair).collect::<Outcome<Vec<_>>>()?;
    if !pairs.is_empty() {
        job.pairs = pairs;
    }
    Ok(())
}

fn set_grid(job: &mut Job, options: &ArgMatches) -> Outcome {
    if let Some(id) = text(options, "resampling") {
        job.grid.coarse_resampling = ResamplingChoice::by_id(id)?.of_job();
    }
    if let Some(list) = text(options, "bands") {
        job.grid.bands = Some(bands(list)?);
    }
    job.grid.ignore_units |= options.get_flag("ignore-units");
    Ok(())
}

/// The job of `job`: what the options say where they name images, else `template` with what they set beside images.
pub(crate) fn job_to_write(options: &ArgMatches, method: &str, template: impl FnOnce() -> Job) -> Outcome<Job> {
    let names_images = ["pair", "target"].iter().any(|id| options.contains_id(id));
    let mut job = if names_images { Job { method: method.into(), ..Job::default() } } else { template() };
    if names_images {
        set_fusion(&mut job, options)?;
    } else {
        set_way(&mut job, options)?;
    }
    let stored = OutputOptions {
        data_type: text(options, "ot").map(String::from),
        nodata: options.get_one("nodata").copied(),
        ..job.output.clone().unwrap_or_default()
    };
    job.output = Some(stored).filter(|o| *o != OutputOptions::default());
    set_running(&mut job, options)?;
    Ok(job)
}

/// Sets the parameters that `--param` and `--weights` name.
pub(crate) fn set_parameters(job: &mut Job, options: &ArgMatches) -> Outcome {
    for parameter in texts(options, "param") {
        let (name, value) = key_value("--param", parameter)?;
        job.set_parameter(name, value).map_err(in_option("--param", parameter))?;
    }
    if let Some(file) = options.try_get_one::<String>("weights").ok().flatten() {
        job.set_parameter("weights", file).map_err(in_option("--weights", file))?;
    }
    Ok(())
}

/// Sets what `fuse` and `rerun` have in common.
pub(crate) fn set_output_and_running(job: &mut Job, options: &ArgMatches) -> Outcome {
    let mut output = job.output.take().unwrap_or_default();
    if let Some(path) = text(options, "output") {
        output.path = path.into();
    }
    if let Some(path) = text(options, "support") {
        output.support = Some(path.into());
    }
    if let Some(id) = text(options, "of") {
        output.format = Some(Format::by_id(id)?);
    }
    for option in texts(options, "co") {
        key_value("--co", option)?;
        output.creation_options.push(option.into());
    }
    if let Some(name) = text(options, "ot") {
        output.data_type = Some(name.into());
    }
    if let Some(&value) = options.get_one::<f64>("nodata") {
        output.nodata = Some(value);
    }
    output.overwrite |= options.get_flag("overwrite");
    let only_checks = options.get_flag("dry-run") || options.get_flag("print-job");
    if !output.path.is_empty() {
        job.output = Some(output);
    } else if !only_checks {
        return Err(Failure::usage(
            "No output: the job names no file for the prediction",
            "Give -o FILE, such as -o prediction.tif.",
        ));
    }
    set_running(job, options)
}

fn set_running(job: &mut Job, options: &ArgMatches) -> Outcome {
    if let Some(&threads) = options.get_one::<u64>("threads") {
        job.threads = threads as usize;
    }
    if let Some(memory) = text(options, "memory") {
        job.memory = memory.parse().map_err(in_option("--memory", memory))?;
    }
    if let Some(device) = text(options, "device") {
        job.device = device.parse().map_err(in_option("--device", device))?;
    }
    Ok(())
}

/// A context for commands: it owns the process, so GDAL's cache may be limited.
pub(crate) fn context(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome<Context> {
    let memory = match text(options, "memory") {
        Some(memory) => memory.parse().map_err(in_option("--memory", memory))?,
        None => MemorySize::default(),
    };
    let threads = options.get_one::<u64>("threads").map_or(0, |&n| n as usize);
    Ok(Context::new(ContextOptions { threads, memory, limit_gdal_cache: true, log: Some(terminal.log()) })?)
}

const PAIR_EXAMPLE: &str = "Write it as --pair fine=f1.tif,coarse=c1.tif,date=2001-11-25.";
const TARGET_EXAMPLE: &str = "Write it as --target coarse=c2.tif,date=2002-01-12.";

const PAIR_KEYS: &[&str] = &[
    "fine",
    "coarse",
    "date",
    "fine_mask",
    "fine_mask_preset",
    "coarse_mask",
    "coarse_mask_preset",
    "classes",
    "objects",
    "pan",
];
const TARGET_KEYS: &[&str] = &["coarse", "date", "coarse_mask", "coarse_mask_preset"];

/// The values of one `--pair` or `--target`, key by key in the order written.
struct Keys<'a> {
    option: &'static str,
    text: &'a str,
    values: Vec<(&'a str, &'a str)>,
}

impl<'a> Keys<'a> {
    fn parse(option: &'static str, text: &'a str, known: &[&str]) -> Outcome<Self> {
        let mut values = Vec::new();
        for part in text.split(',') {
            let Some((key, value)) = part.split_once('=').filter(|(key, value)| known.contains(&key.trim()) && !value.is_empty())
            else {
                return Err(Failure::usage(
                    format!("{option} {text}: expected KEY=VALUE with a key of {}; got {part:?}", known.join(", ")),
                    "A name that holds a comma goes into a job file; `stfusion job METHOD` prints one to start from.",
                ));
            };
            values.push((key.trim(), value));
        }
        Ok(Keys { option, text, values })
    }

    fn all(&self, key: &str) -> Vec<&'a str> {
        self.values.iter().filter(|(k, _)| *k == key).map(|(_, v)| *v).collect()
    }

    fn one(&self, key: &str) -> Outcome<Option<&'a str>> {
        match self.all(key).as_slice() {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(Failure::usage(
                format!("{} {}: {key} is given more than once", self.option, self.text),
                format!("Give {key} once."),
            )),
        }
    }

    fn image(&self, key: &str) -> Option<ImageSource> {
        let paths: Vec<String> = self.all(key).into_iter().map(String::from).collect();
        (!paths.is_empty()).then(|| ImageSource { paths, ..ImageSource::default() })
    }

    fn date(&self) -> Outcome<Option<Date>> {
        self.one("date")?.map(|d| d.parse().map_err(in_option(self.option, self.text))).transpose()
    }

    fn mask(&self, key: &str, preset_key: &str) -> Outcome<Option<MaskSource>> {
        match (self.one(key)?, self.one(preset_key)?) {
            (Some(path), preset) => Ok(Some(MaskSource::file(path, preset))),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Failure::usage(
                format!("{} {}: {preset_key} is given without {key}", self.option, self.text),
                format!("Add {key}=FILE, the mask raster that the preset is for."),
            )),
        }
    }
}

fn pair(text: &str) -> Outcome<PairSource> {
    let keys = Keys::parse("--pair", text, PAIR_KEYS)?;
    let image =
        |key| keys.image(key).ok_or_else(|| Failure::usage(format!("--pair {text}: the {key} image is missing"), PAIR_EXAMPLE));
    Ok(PairSource {
        date: keys.date()?,
        fine: image("fine")?,
        coarse: image("coarse")?,
        fine_mask: keys.mask("fine_mask", "fine_mask_preset")?,
        coarse_mask: keys.mask("coarse_mask", "coarse_mask_preset")?,
        classes: keys.one("classes")?.map(ImageSource::file),
        objects: keys.one("objects")?.map(ImageSource::file),
        pan: keys.one("pan")?.map(ImageSource::file),
    })
}

fn set_target(target: &mut TargetSource, text: &str) -> Outcome {
    let keys = Keys::parse("--target", text, TARGET_KEYS)?;
    if let Some(date) = keys.date()? {
        target.date = Some(date);
    }
    if let Some(coarse) = keys.image("coarse") {
        target.coarse = coarse;
    }
    if let Some(mask) = keys.mask("coarse_mask", "coarse_mask_preset")? {
        target.coarse_mask = Some(mask);
    }
    Ok(())
}

/// `1=3,2=4`: pairs of (fine band, coarse band), counted from 1.
fn bands(text: &str) -> Outcome<Vec<[usize; 2]>> {
    let number = |s: &str| s.trim().parse::<usize>().ok().filter(|&n| n > 0);
    text.split(',')
        .map(|part| {
            let (fine, coarse) = part.split_once('=')?;
            Some([number(fine)?, number(coarse)?])
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| {
            Failure::usage(
                format!("--bands {text}: expected FINE=COARSE,... with band numbers counted from 1; got {text:?}"),
                "Write it as --bands 1=1,2=2,3=4.",
            )
        })
}

#[cfg(test)]
mod tests {
    use stfusion_core::source::Resampling;

    use super::*;

    fn options(line: &str) -> ArgMatches {
        let matches = crate::command().try_get_matches_from(line.split(' ')).unwrap();
        matches.subcommand().unwrap().1.clone()
    }

    fn refused(line: &str) -> Error {
        match job(&options(line)) {
            Err(Failure::Usage(error)) => error,
            other => panic!("{line}: {other:?}"),
        }
    }

    const LINE: &str =
        "stfusion fuse --method starfm --pair fine=f1.tif,coarse=c1.tif,date=2001-11-25 --target coarse=c2.tif,date=2002-01-12";

    #[test]
    fn options_and_job_file_say_the_same() {
        let line = format!("{LINE} --param window=31 -o out.tif --of COG --nodata -9999 --bands 1=1,2=3 -r cubic --memory 2GiB");
        let text = r#"{ "stfusion": 1, "method": "starfm", "parameters": { "window": 31 },
            "pairs": [ { "date": "2001-11-25", "fine": "f1.tif", "coarse": "c1.tif" } ],
            "target": { "date": "2002-01-12", "coarse": "c2.tif" },
            "grid": { "coarse_resampling": "cubic", "bands": [[1, 1], [2, 3]] },
            "output": { "path": "out.tif", "format": "COG", "nodata": -9999 }, "memory": "2GiB" }"#;
        assert_eq!(job(&options(&line)).unwrap(), Job::from_json(text, None).unwrap());
    }

    #[test]
    fn job_writes_what_fuse_runs() {
        let line = format!("{LINE} --param window=31 --bands 1=1,2=3 -r cubic --memory 2GiB --nodata -9999 --ot Int16");
        let mut fused = job(&options(&format!("{line} -o out.tif"))).unwrap();
        let same = options(&line.replace("fuse --method starfm", "job starfm"));
        let written = job_to_write(&same, "starfm", || unreachable!()).unwrap();
        fused.output.as_mut().unwrap().path.clear();
        assert_eq!(written, fused);
        assert_eq!(Job::from_json(&written.to_json(), None).unwrap(), written);
        let template = || Job { method: "starfm".into(), ..Job::default() };
        let begun = job_to_write(&options("stfusion job -m starfm -p window=31 -r cubic"), "starfm", template).unwrap();
        assert_eq!((begun.parameters["window"].as_i64(), begun.grid.coarse_resampling), (Some(31), Some(Resampling::Cubic)));
    }

    #[test]
    fn repeated_keys_are_one_raster_per_band_and_masks_have_presets() {
        let pair = pair("fine=b1.tif,fine=b2.tif,coarse=NETCDF:c.nc:x,fine_mask=qa.tif,fine_mask_preset=landsat_c2").unwrap();
        assert_eq!(pair.fine.paths, ["b1.tif", "b2.tif"]);
        assert_eq!(pair.coarse.name(), "NETCDF:c.nc:x");
        assert_eq!(pair.fine_mask, Some(MaskSource::file("qa.tif", Some("landsat_c2"))));
    }

    #[test]
    fn wrong_options_name_the_option_the_value_and_the_remedy() {
        let tail = "-o out.tif";
        let cases = [
            (format!("{LINE} --param window=50 {tail}"), "--param window=50", "odd whole number; got 50", "window=51"),
            (format!("{LINE} --param windw=51 {tail}"), "--param windw=51", "not a parameter", "window"),
            (format!("{LINE} --param window {tail}"), "--param window", "expected KEY=VALUE", "KEY=VALUE"),
            (format!("{LINE} --memory lots {tail}"), "--memory lots", "such as 4GiB", "unit"),
            (format!("{LINE} --device gpu {tail}"), "--device gpu", "cuda:N", "auto"),
            (format!("{LINE} --bands 0=1 {tail}"), "--bands 0=1", "counted from 1", "1=1,2=2"),
            (format!("{LINE} --co TILED {tail}"), "--co TILED", "KEY=VALUE", "--co KEY=VALUE"),
            (
                LINE.replace("2001-11-25", "2001-11-31") + " " + tail,
                "--pair fine=f1.tif",
                "\"2001-11-31\" is not a date",
                "YYYY-MM-DD",
            ),
            (
                LINE.replace("coarse=c1.tif,", "") + " " + tail,
                "--pair fine=f1.tif",
                "the coarse image is missing",
                "coarse=c1.tif",
            ),
            (LINE.replace("date=2001", "day=2001") + " " + tail, "--pair fine=f1.tif", "got \"day=2001-11-25\"", "job file"),
            (LINE.to_string(), "No output", "no file for the prediction", "-o FILE"),
        ];
        for (line, place, message, hint) in cases {
            let error = refused(&line);
            assert!(error.message().contains(place) && error.message().contains(message), "{line}: {error}");
            assert!(error.hint().unwrap().contains(hint), "{line}: {:?}", error.hint());
        }
    }
}
