//! The methods of a comparison with their settings.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value as Json};
use stfusion_core::method::{Family, Method};
use stfusion_core::param::Values;
use stfusion_core::{Error, ErrorKind, Result};

use crate::job::Job;
use crate::named_files::{is_written, with_contents};

/// A method to compare, perhaps with settings: in JSON an object, or text such as `starfm:window=31,classes=6`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct MethodChoice {
    /// Id of the method.
    pub method: String,
    /// Parameters by id; those left out have their default.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Json>,
}

impl FromStr for MethodChoice {
    type Err = Error;

    /// Reads `ID` or `ID:NAME=VALUE,NAME=VALUE`; values of a list are separated by blanks or semicolons.
    fn from_str(text: &str) -> Result<Self> {
        let (id, settings) = text.split_once(':').unwrap_or((text, ""));
        let mut job = Job { method: id.trim().into(), ..Job::default() };
        job.method()?;
        for setting in settings.split(',').filter(|s| !s.trim().is_empty()) {
            let (name, value) = setting.split_once('=').ok_or_else(|| {
                Error::new(ErrorKind::Parameter, format!("{text}: expected NAME=VALUE, got {setting:?}"))
                    .with_hint("Write a method with settings as starfm:window=31,classes=6.")
            })?;
            job.set_parameter(name.trim(), value)?;
        }
        Ok(MethodChoice { method: job.method, parameters: job.parameters })
    }
}

impl<'de> Deserialize<'de> for MethodChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Object {
            method: String,
            #[serde(default)]
            parameters: Map<String, Json>,
        }
        match Json::deserialize(deserializer)? {
            Json::String(text) => text.parse().map_err(|e: Error| D::Error::custom(with_hint(&e))),
            other => {
                let Object { method, parameters } = serde_json::from_value(other).map_err(D::Error::custom)?;
                Ok(MethodChoice { method, parameters })
            }
        }
    }
}

/// Message and remedy in one, for errors that can carry only one text.
fn with_hint(error: &Error) -> String {
    error.hint().map_or_else(|| error.message().to_string(), |hint| format!("{} ({hint})", error.message()))
}

/// A method with its settings, named.
pub(super) struct Candidate {
    pub method: &'static dyn Method,
    pub values: Values,
    /// Id with the settings that differ from the default: `starfm:window=31`.
    pub name: String,
    /// Label with the same: `STARFM (window=31)`.
    pub label: String,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Candidate {
    fn new(method: &'static dyn Method, parameters: &Map<String, Json>) -> Result<Candidate> {
        let info = method.info();
        let mut values = Values::default();
        for (id, json) in parameters {
            values.set_json(info.parameters, id, json).map_err(|e| e.at(info.id))?;
        }
        // a comparison keeps nothing that its folds learn
        for spec in info.parameters.iter().filter(|s| is_written(s)) {
            values.set_json(info.parameters, spec.id, &Json::Null)?;
        }
        let values = with_contents(&values, info.parameters).map_err(|e| e.at(info.id))?;
        let differs = |spec: &&stfusion_core::param::ParamSpec| values.get(spec) != spec.default();
        let settings: Vec<String> = (info.parameters.iter().filter(differs))
            .map(|spec| format!("{}={}", spec.id, plain(&spec.to_json(&values.get(spec)))))
            .collect();
        let (name, label) = if settings.is_empty() {
            (info.id.to_string(), info.label.to_string())
        } else {
            (format!("{}:{}", info.id, settings.join(",")), format!("{} ({})", info.label, settings.join(", ")))
        };
        Ok(Candidate { method, values, name, label })
    }

    pub fn id(&self) -> &'static str {
        self.method.info().id
    }

    pub fn is_baseline(&self) -> bool {
        self.method.info().family == Family::Baseline
    }
}

/// A value as the text form of a method takes it.
fn plain(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(";"),
        // 6.0 is written 6
        Json::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        other => other.to_string(),
    }
}

/// The methods to compare, in the order asked for, then the baselines that were not. Where none is asked for, all take part that need no
/// file, and that of the job.
///
/// # Errors
/// [`ErrorKind::Parameter`] for methods and parameters that do not exist, and for a method listed twice with the same settings.
pub(super) fn resolve(job: &Job, choices: &[MethodChoice]) -> Result<Vec<Candidate>> {
    let none = Map::new();
    let mut candidates: Vec<Candidate> = Vec::new();
    if choices.is_empty() {
        for method in stfusion_methods::all().iter().filter(|m| m.info().family != Family::Baseline) {
            let own = method.info().id == job.method;
            if !own && method.info().required_file().is_some() {
                continue;
            }
            candidates.push(Candidate::new(*method, if own { &job.parameters } else { &none })?);
        }
    }
    for choice in choices {
        let candidate = Candidate::new(stfusion_methods::by_id(&choice.method)?, &choice.parameters)?;
        if candidates.iter().any(|c| c.name == candidate.name) {
            return Err(Error::new(ErrorKind::Parameter, format!("{} is listed twice with the same settings", candidate.name))
                .with_hint(format!("Remove one of the two, or give it other settings, such as {}:NAME=VALUE.", candidate.id())));
        }
        candidates.push(candidate);
    }
    for method in stfusion_methods::all().iter().filter(|m| m.info().family == Family::Baseline) {
        if !candidates.iter().any(|c| c.name == method.info().id) {
            candidates.push(Candidate::new(*method, &none)?);
        }
    }
    Ok(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(job: &Job, texts: &[&str]) -> Result<Vec<String>> {
        let choices = texts.iter().map(|t| t.parse()).collect::<Result<Vec<_>>>()?;
        Ok(resolve(job, &choices)?.into_iter().map(|c| c.name).collect())
    }

    #[test]
    fn every_method_takes_part_unless_some_are_named_and_the_baselines_always() {
        let infos = stfusion_methods::all().iter().map(|m| m.info());
        let all: Vec<&str> = infos.filter(|i| i.required_file().is_none()).map(|i| i.id).collect();
        let found = names(&Job::default(), &[]).unwrap();
        assert_eq!(found.len(), all.len());
        assert!(all.iter().all(|id| found.iter().any(|f| f == id)), "{found:?}");
        let found = names(&Job::default(), &["linear_in_time", "starfm"]).unwrap();
        assert_eq!(found, ["linear_in_time", "starfm", "nearest_pair", "coarse_increment"]);
    }

    #[test]
    fn files_of_settings_are_read_and_none_is_written() {
        let found = names(&Job::default(), &["spstfm:save_dictionary=/no/such/folder/new.stfdict"]).unwrap();
        assert_eq!(found[0], "spstfm");
        let error = names(&Job::default(), &["spstfm:dictionary=/no/such/old.stfdict"]).unwrap_err();
        assert_eq!(error.message(), "spstfm: Dictionary /no/such/old.stfdict: No such file or directory");
    }

    #[test]
    fn settings_are_part_of_the_name_unless_they_are_the_default() {
        let found = names(&Job::default(), &["starfm", "starfm:window=31", "starfm: classes=6 , window = 21"]).unwrap();
        assert_eq!(found[..3], ["starfm", "starfm:window=31", "starfm:window=21,classes=6"]);
        let again = names(&Job::default(), &found.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!(again, found, "a name is a valid choice");
        let labels: Vec<String> =
            resolve(&Job::default(), &["starfm:window=31".parse().unwrap()]).unwrap().into_iter().map(|c| c.label).collect();
        assert_eq!(labels[0], "STARFM (window=31)");
        let mut job = Job { method: "starfm".into(), ..Job::default() };
        job.set_parameter("window", "31").unwrap();
        assert!(names(&job, &[]).unwrap().contains(&"starfm:window=31".to_string()), "the job's method has the job's parameters");
        assert!(names(&job, &["starfm"]).unwrap().contains(&"starfm".to_string()), "unless it is named");
    }

    #[test]
    fn what_does_not_exist_or_is_listed_twice_is_refused_in_words() {
        let refused = |texts: &[&str]| names(&Job::default(), texts).unwrap_err();
        assert!(refused(&["starfn"]).hint().unwrap().starts_with("Did you mean \"starfm\"?"));
        assert!(refused(&["starfm:windw=3"]).message().contains("windw"));
        assert_eq!(refused(&["starfm:window=50"]).message(), "Window size must be an odd whole number; got 50");
        assert!(refused(&["starfm:window"]).message().contains("expected NAME=VALUE, got \"window\""));
        let error = refused(&["starfm", "starfm:window=51"]);
        assert_eq!(error.message(), "starfm is listed twice with the same settings");
    }

    #[test]
    fn a_choice_is_text_or_an_object() {
        let read = |text: &str| serde_json::from_str::<MethodChoice>(text);
        assert_eq!(read("\"starfm:window=31\"").unwrap(), read(r#"{"method": "starfm", "parameters": {"window": 31}}"#).unwrap());
        assert!(read("\"starfn\"").unwrap_err().to_string().contains("Did you mean"));
        assert!(read(r#"{"method": "starfm", "window": 31}"#).unwrap_err().to_string().contains("unknown field `window`"));
        let choice: MethodChoice = "starfm:window=31".parse().unwrap();
        assert_eq!(serde_json::to_string(&choice).unwrap(), r#"{"method":"starfm","parameters":{"window":31}}"#);
    }
}
