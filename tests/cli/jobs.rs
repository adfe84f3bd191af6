//! Job files: well-formed or not, relative names, options over values, printing, repeating.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::place::*;

const JOB: &str = r#"{ "stfusion": 1, "method": "coarse_increment",
  "pairs": [ { "date": "2001-11-25", "fine": "f1.tif", "coarse": "c1.tif" } ],
  "target": { "date": "2002-01-12", "coarse": "c2.tif" },
  "output": { "path": "out.tif" } }"#;

fn place_with_job(text: &str) -> Place {
    let place = Place::new();
    fs::write(place.path("job.stf"), text).unwrap();
    place
}

#[test]
fn a_job_file_runs_and_its_names_are_relative_to_it() {
    let place = place_with_job(JOB);
    let job = place.path("job.stf");
    let elsewhere = tempfile::tempdir().unwrap();
    let output = place.command().current_dir(elsewhere.path()).arg("fuse").arg(&job).output().unwrap();
    Run::from(output).succeeded();
    assert_eq!(stored(&place.path("out.tif"), 1).len(), FINE_PX * FINE_PX);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn extra_images_come_from_the_command_line_and_from_job_files() {
    let place = Place::new();
    let halves = |band: usize, _: f64, right: f64| (band + if right < 0.5 { 3 } else { 8 }) as f64;
    let map = |name: &str, value| Raster { bands: 1, nodata: None, value, ..fine() }.write(&place.path(name));
    map("objects.tif", halves);
    map("broken.tif", |_, down, _| if down > 0.9 { 2.5 } else { 1.0 });
    let with = |maps: &str| {
        let pair = format!("fine=f1.tif,coarse=c1.tif,date=2001-11-25{maps}");
        let images = ["--pair", &pair, "--target", IMAGES[3], "--param", "classes=2"];
        place.run(&[&["fuse", "--method", "obsum", "-o", "out.tif", "--overwrite"], &images[..]].concat())
    };
    with("").succeeded();
    let segmented = stored(&place.path("out.tif"), 1);
    with(",classes=objects.tif,objects=objects.tif").succeeded();
    let mapped = stored(&place.path("out.tif"), 1);
    assert_ne!(segmented, mapped);
    let job = fs::read_to_string(place.path("out.tif.stf")).unwrap();
    assert!(job.contains("\"objects\": \"") && job.contains("objects.tif\""), "{job}");
    fs::remove_file(place.path("out.tif")).unwrap();
    place.run(&["rerun", "out.tif.stf"]).succeeded();
    assert_eq!(stored(&place.path("out.tif"), 1), mapped);

    let place_of = "The object map of pair 1 has 2.5 at row 108, column 0; expected whole numbers from 0 to 16777215";
    with(",objects=broken.tif").refused(1, &[place_of], "nodata where a pixel has none");
    let refused = place.fuse(&["--pair", "fine=f1.tif,coarse=c1.tif,objects=objects.tif", "-o", "more.tif"]);
    refused.refused(1, &["Coarse increment takes no object map; pair 1 has one"], "Remove the object map");
    let refused = place.fuse(&["--pair", "fine=f1.tif,coarse=c1.tif,pan=objects.tif", "-o", "more.tif"]);
    refused.refused(1, &["Coarse increment takes no panchromatic image; pair 1 has one"], "Remove the panchromatic image");
}

#[test]
fn a_job_can_come_from_standard_input() {
    let place = Place::new();
    let mut command = place.command();
    let mut child = command
        .args(["fuse", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(JOB.as_bytes()).unwrap();
    let run = Run::from(child.wait_with_output().unwrap()).succeeded();
    assert_eq!(run.json()["files"][0], "out.tif");
}

#[test]
fn malformed_jobs_are_refused_with_place_and_expectation() {
    let cases = [
        (JOB.replace("\"target\"", "\"targt\""), "unknown field `targt`, expected one of"),
        (JOB.replace("\"fine\"", "\"fein\""), "unknown field `fein`"),
        (JOB.replace("\"c1.tif\"", "[1]"), "list of file names (one per band); got [1]"),
        (JOB.replace("[ {", "{ \"a\": {").replace("} ],", "} },"), "expected a sequence at line 2"),
        (JOB.replace("\"stfusion\": 1", "\"stfusion\": \"one\""), "expected u32 at line 1"),
        (JOB.replace("\"stfusion\": 1", "\"stfusion\": 2"), "format version 2 (\"stfusion\"), expected 1"),
        (JOB.replace("2001-11-25", "2001-11-31"), "\"2001-11-31\" is not a date"),
        (JOB.replace("\"out.tif\" }", "\"out.tif\""), "line 4"),
        ("[".repeat(100_000), "recursion limit"),
        ("[".repeat(10 << 20), "10 MiB of text, expected at most"),
        (String::new(), "EOF"),
        ("[]".into(), "braces"),
    ];
    for (text, expected) in cases {
        let place = place_with_job(&text);
        let before = place.names();
        place.run(&["fuse", "job.stf"]).refused(1, &["job.stf: ", "Not a stfusion job", expected], "docs/job.md");
        assert_eq!(place.names(), before);
    }
}

#[test]
fn values_of_a_job_are_checked_like_options() {
    let refused = |from: &str, to: &str, message: &str, hint: &str| {
        place_with_job(&JOB.replace(from, to)).run(&["fuse", "job.stf"]).refused(1, &["job.stf", message], hint);
    };
    refused("\"coarse_increment\"", "\"starfm\", \"parameters\": { \"window\": 50 }", "odd whole number; got 50", "window=51");
    refused("\"coarse_increment\"", "\"starfm\", \"parameters\": { \"windw\": 51 }", "\"windw\" is not a parameter", "window");
    refused("\"coarse_increment\"", "\"starfn\"", "\"starfn\" is not a method", "Did you mean \"starfm\"");
}

#[test]
fn a_job_file_that_cannot_be_read_is_named() {
    let place = Place::new();
    place.run(&["fuse", "nowhere.stf"]).refused(1, &["nowhere.stf", "no such file"], "name of the job file");
    place.run(&["fuse", "."]).refused(1, &["Job file ."], "");
    fs::write(place.path("binary.stf"), [0x7b, 0xff, 0xfe]).unwrap();
    place.run(&["fuse", "binary.stf"]).refused(1, &["binary.stf", "byte 1 is not UTF-8"], "JSON");
    place.run(&["fuse", "f1.tif"]).refused(1, &["f1.tif"], "JSON");
}

#[test]
fn options_win_over_the_job_file() {
    let place = place_with_job(JOB);
    let args = ["fuse", "job.stf", "--method", "nearest_pair", "-o", "other.tif", "--target", "date=2001-12-01", "--print-job"];
    let job = place.run(&args).succeeded().json();
    assert_eq!(job["method"], "nearest_pair");
    assert_eq!(job["output"]["path"], "other.tif");
    assert_eq!(job["target"]["date"], "2001-12-01");
    assert!(job["target"]["coarse"].as_str().unwrap().ends_with("c2.tif"));
    assert_eq!(place.names().len(), 4);
}

#[test]
fn a_printed_job_says_what_the_options_said() {
    let place = Place::new();
    let more = ["-o", "out.tif", "--of", "COG", "--co", "COMPRESS=LZW", "-r", "nearest", "--bands", "1=2,2=1", "--threads", "1"];
    let first = place.fuse(&[&more[..], &["--print-job"]].concat()).succeeded();
    assert!(!place.path("out.tif").exists());
    fs::write(place.path("job.stf"), &first.stdout).unwrap();
    let second = place.run(&["fuse", "job.stf", "--print-job"]).succeeded();
    assert_eq!(second.stdout, first.stdout);
    let checked = place.run(&["fuse", "job.stf", "--print-job", "--dry-run"]).succeeded();
    assert_eq!(checked.stdout, first.stdout);
    place.run(&["fuse", "job.stf"]).succeeded();
    assert!(place.path("out.tif").exists());
}

#[test]
fn a_run_is_repeated_from_its_record_from_anywhere() {
    let place = Place::new();
    fs::create_dir(place.path("results")).unwrap();
    place.fuse(&["-o", "results/out.tif", "--support", "support.tif"]).succeeded();
    let first = stored(&place.path("results/out.tif"), 2);
    let record = place.path("results/out.tif.stf");
    place.run(&["rerun", "results/out.tif.stf"]).refused(1, &["results/out.tif"], "overwrite");
    let elsewhere = tempfile::tempdir().unwrap();
    let again = elsewhere.path().join("again.tif");
    let output = place.command().current_dir(elsewhere.path()).arg("rerun").arg(&record).arg("-o").arg(&again).output().unwrap();
    Run::from(output).succeeded();
    assert_eq!(stored(&again, 2), first);
    fs::remove_file(place.path("results/out.tif")).unwrap();
    place.run(&["rerun", "results/out.tif.stf", "--overwrite"]).succeeded();
    assert_eq!(stored(&place.path("results/out.tif"), 2), first);
}

#[test]
fn a_job_to_start_from_names_every_parameter() {
    let place = Place::new();
    let job = place.run(&["job", "starfm"]).succeeded().json();
    let method = place.run(&["methods", "starfm", "--json"]).succeeded().json();
    let declared: Vec<_> = method["parameters"].as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect();
    let written: Vec<_> = job["parameters"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(written, declared);
    let schema = place.run(&["job", "--schema"]).succeeded().json();
    assert_eq!(schema["properties"]["stfusion"]["const"], 1);
}

#[test]
fn the_jobs_of_the_documentation_are_jobs() {
    let page = include_str!("../../docs/job.md");
    let blocks: Vec<&str> = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    let presets = stfusion_raster::presets().unwrap();
    for block in blocks {
        let job = stfusion_engine::Job::from_json(block, None).unwrap();
        for mask in job.pairs.iter().flat_map(|p| p.fine_mask.iter().chain(&p.coarse_mask)) {
            assert!(presets.iter().any(|p| Some(&p.id) == mask.preset.as_ref()), "{mask:?}");
        }
    }
}

/// A job of a method that learns, with two pairs that differ.
fn learning_place(parameters: &str) -> Place {
    let place = Place::new();
    Raster { value: third_day, ..fine() }.write(&place.path("f3.tif"));
    coarse(third_day).write(&place.path("c3.tif"));
    let text = JOB
        .replace("\"coarse_increment\"", &format!("\"spstfm\", \"parameters\": {{ {parameters} }}"))
        .replace("\"c1.tif\" }", "\"c1.tif\" }, { \"date\": \"2002-03-01\", \"fine\": \"f3.tif\", \"coarse\": \"c3.tif\" }");
    fs::write(place.path("job.stf"), text).unwrap();
    place
}

fn third_day(band: usize, down: f64, right: f64) -> f64 {
    second_day(band, down, right) + 0.1 * right * right + if right > 0.3 && down > 0.2 { 0.05 } else { 0.0 }
}

#[test]
fn a_dictionary_is_saved_beside_the_prediction_and_used_again() {
    let place = learning_place(r#""dictionary_size": 16, "training_patches": 64, "save_dictionary": "learned.stfdict""#);
    let elsewhere = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| Run::from(place.command().current_dir(elsewhere.path()).args(args).output().unwrap());
    let (job, learned) = (place.path("job.stf"), place.path("learned.stfdict"));
    let job = job.to_str().unwrap();
    let report = run(&["fuse", job, "--json"]).succeeded().json();
    assert_eq!(report["files"][2], learned.to_str().unwrap());
    assert!(report.get("artefacts").is_none(), "contents are no part of the report");
    let first = fs::read(&learned).unwrap();
    assert!(first.starts_with(b"STFDICT1"));
    let record: serde_json::Value = serde_json::from_str(&fs::read_to_string(place.path("out.tif.stf")).unwrap()).unwrap();
    assert_eq!(record["parameters"]["save_dictionary"], learned.to_str().unwrap());
    assert_eq!(record["parameters"]["dictionary"], serde_json::Value::Null);
    assert_eq!(record["provenance"]["files"], report["files"]);

    // neither file is replaced unasked
    run(&["fuse", job, "-o", "other.tif"]).refused(1, &["Save the dictionary", "learned.stfdict: exists"], "--overwrite");
    run(&["fuse", job, "-o", "other.tif", "--dry-run"]).refused(1, &["learned.stfdict: exists"], "--overwrite");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);

    // elsewhere, so that the name in the option is relative to the working folder
    fs::copy(&learned, elsewhere.path().join("old.stfdict")).unwrap();
    run(&["fuse", job, "-o", "again.tif", "--param", "dictionary=old.stfdict", "--param", "save_dictionary="]).succeeded();
    assert_eq!(stored(&elsewhere.path().join("again.tif"), 2), stored(&place.path("out.tif"), 2));

    // repeating a run repeats its files; to another place it makes the prediction alone
    let record = place.path("out.tif.stf");
    let record = record.to_str().unwrap();
    run(&["rerun", record, "--overwrite"]).succeeded();
    assert_eq!(fs::read(&learned).unwrap(), first);
    fs::remove_file(&learned).unwrap();
    run(&["rerun", record, "-o", "third.tif"]).succeeded();
    assert!(!learned.exists());
    assert_eq!(stored(&elsewhere.path().join("third.tif"), 2), stored(&place.path("out.tif"), 2));
}

#[test]
fn files_of_parameters_that_cannot_be_used_are_named_before_any_work() {
    let refused = |parameters: &str, message: &[&str], hint: &str| {
        let place = learning_place(parameters);
        fs::write(place.path("bad.stfdict"), "STFDICT1 and no more").unwrap();
        let before = place.names();
        place.run(&["fuse", "job.stf"]).refused(1, message, hint);
        place.run(&["fuse", "job.stf", "--dry-run"]).refused(1, message, hint);
        assert_eq!(place.names(), before);
    };
    refused(r#""dictionary": "none.stfdict""#, &["Dictionary none.stfdict: No such file"], "dictionary");
    refused(r#""dictionary": "bad.stfdict""#, &["Dictionary bad.stfdict: is damaged"], "learn");
    refused(r#""dictionary": "f1.tif""#, &["Dictionary f1.tif: is not a dictionary of stfusion"], "save_dictionary");
    refused(
        r#""save_dictionary": "no/learned.stfdict""#,
        &["Save the dictionary no/learned.stfdict", "does not exist"],
        "folder",
    );
    refused(r#""save_dictionary": "out.tif""#, &["out.tif", "have the same name"], "name of its own");
    refused(r#""save_dictionary": "f1.tif""#, &["f1.tif", "exists"], "overwrite");
    refused(r#""save_dictionary": 3"#, &["Save the dictionary must be the name of a file to write; got 3"], "file");
}
