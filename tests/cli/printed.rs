//! What is printed, and where: results on stdout, diagnostics on stderr, the bar on a terminal only.

use std::fs;
use std::process::{Command, Stdio};

use crate::place::*;

const BAR: &str = "0...10...20...30...40...50...60...70...80...90...100 - done.";

#[test]
fn json_is_all_there_is_on_stdout() {
    let place = Place::new();
    fs::write(place.path("job.stf"), place.fuse(&["-o", "out.tif", "--print-job"]).stdout).unwrap();
    let report = place.fuse(&["-o", "out.tif", "--json", "-v"]).succeeded();
    assert_eq!(report.json()["method"], "coarse_increment");
    assert_eq!(report.json()["predicted_fraction"], 1.0);
    for args in [
        &["info", "job.stf", "--json"][..],
        &["info", "f1.tif", "--json"],
        &["methods", "--json"],
        &["check", "--json"],
        &["assess", "out.tif", "f1.tif", "--json"],
        &["assess", "out.tif", "f1.tif", "--fine", "f1.tif", "--coarse-pair", "c1.tif", "--coarse-target", "c2.tif", "--json"],
    ] {
        assert!(place.run(args).succeeded().json().is_object(), "{args:?}");
    }
}

#[test]
fn the_bar_is_drawn_on_a_terminal_and_nowhere_else() {
    let place = Place::new();
    let plain = place.fuse(&["-o", "out.tif"]).succeeded();
    assert!(!plain.stderr.contains("..."), "{plain:?}");
    for (option, drawn) in [("--overwrite", true), ("--overwrite -q", false)] {
        let line = format!(
            "'{}' fuse --method coarse_increment {} -o out.tif {option}",
            env!("CARGO_BIN_EXE_stfusion-under-test"),
            IMAGES.join(" ")
        );
        let output =
            Command::new("script").args(["-qec", &line, "/dev/null"]).current_dir(place.root()).stdin(Stdio::null()).output();
        let Ok(output) = output else {
            println!("SKIP the_bar_is_drawn_on_a_terminal_and_nowhere_else: the program `script` is not there");
            return;
        };
        let run = Run::from(output).succeeded();
        assert_eq!(run.stdout.contains(BAR), drawn, "{run:?}");
        assert_eq!(run.stdout.is_empty(), !drawn, "{run:?}");
    }
}

#[test]
fn quiet_is_quiet_and_verbose_says_what_was_chosen() {
    let place = Place::new();
    let quiet = place.fuse(&["-o", "out.tif", "-q"]).succeeded();
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let normal = place.fuse(&["-o", "out.tif", "--overwrite"]).succeeded();
    assert!(normal.stdout.starts_with("coarse_increment: 120 x 120 pixels, 2 bands, 100.0 % predicted"), "{normal:?}");
    assert!(normal.stdout.ends_with("out.tif\nout.tif.stf\n"), "{normal:?}");
    let verbose = place.fuse(&["--method", "starfm", "-p", "window=5", "-o", "out.tif", "--overwrite", "-v"]).succeeded();
    assert!(verbose.stderr.lines().count() > normal.stderr.lines().count(), "{verbose:?}");
    assert!(verbose.stderr.lines().all(|line| line.starts_with("stfusion: ")), "{verbose:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_one_is() {
    let place = Place::new();
    let mut child = place.command().args(["methods", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let run = Run::from(child.wait_with_output().unwrap()).succeeded();
    assert_eq!(run.stderr, "");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = place.command().args(["methods"]).stdout(full).output().unwrap();
    Run::from(output).refused(1, &["Standard output cannot be written"], "space");
}

#[test]
fn every_sub_command_has_a_page_of_help() {
    let place = Place::new();
    let help = place.run(&["--help"]).succeeded().stdout;
    for name in ["fuse", "methods", "info", "assess", "compare", "rerun", "job", "demo", "check"] {
        assert!(help.contains(&format!("\n  {name} ")), "{name}");
        let page = place.run(&[name, "--help"]).succeeded();
        assert!(page.stdout.contains(&format!("Usage: stfusion {name}")) && page.stderr.is_empty(), "{page:?}");
    }
    let version = place.run(&["--version"]).succeeded().stdout;
    assert_eq!(version, format!("stfusion {}\n", stfusion_engine::VERSION));
}

#[test]
fn images_are_described_with_what_fusion_needs() {
    let place = Place::new();
    fs::copy(place.path("c1.tif"), place.path("MOD09GA.A2020186.tif")).unwrap();
    let json = place.run(&["info", "MOD09GA.A2020186.tif", "--json"]).succeeded().json();
    assert_eq!(json["date"], "2020-07-04");
    assert_eq!((json["grid"]["rows"].as_u64(), json["grid"]["cols"].as_u64()), (Some(8), Some(8)));
    assert_eq!(json["bands"][1]["nodata"][0], -9999.0);
    let text = place.run(&["info", "f1.tif"]).succeeded().stdout;
    assert!(text.contains("120 x 120 pixels, 2 bands") && text.contains("Float32"), "{text}");
    place.run(&["info", "nowhere.tif"]).refused(1, &["nowhere.tif"], "");
}

#[test]
fn the_assessment_is_of_the_files_named() {
    let place = Place::new();
    Raster { value: second_day, ..fine() }.write(&place.path("truth.tif"));
    place.fuse(&["-o", "out.tif"]).succeeded();
    let images = ["--fine", "f1.tif", "--coarse-pair", "c1.tif", "--coarse-target", "c2.tif"];
    let json = place.run(&[&["assess", "out.tif", "truth.tif", "--json"], &images[..]].concat()).succeeded().json();
    let skill = |baseline: &str| {
        let all = json["skill"].as_array().unwrap();
        all.iter().find(|s| s["baseline"] == baseline).unwrap_or_else(|| panic!("{baseline}: {all:?}"))["skill"].as_f64().unwrap()
    };
    assert!(skill("coarse_increment").abs() < 1e-6, "it is the coarse increment");
    assert!(skill("nearest_pair") > 0.9, "the second day is brighter by 0.03 to 0.05, which the increment knows");
    let same = place.run(&["assess", "truth.tif", "truth.tif", "--json"]).succeeded().json();
    assert_eq!(same["overall"]["rmse"], 0.0);
    let text = place.run(&[&["assess", "out.tif", "truth.tif"], &images[..]].concat()).succeeded().stdout;
    assert!(text.find("nearest_pair").unwrap() < text.find("Accuracy").unwrap(), "skill first: {text}");
    Raster { rows: 60, ..fine() }.write(&place.path("half.tif"));
    place.run(&["assess", "out.tif", "half.tif"]).refused(1, &["out.tif", "half.tif", "120 x 120", "120 x 60"], "same");
}

#[test]
fn the_demo_runs_from_nothing() {
    let place = Place::new();
    let run = place.run(&["demo", "demo", "--size", "128", "-p", "window=21", "--run"]).succeeded();
    for name in
        ["fine_2022-05-09.tif", "fine_2022-05-09_qa.tif", "truth_2022-07-12.tif", "job.stf", "README.txt", "prediction.tif"]
    {
        assert!(place.path("demo").join(name).exists(), "{name}");
        assert!(run.stdout.contains(&format!("demo/{name}\n")), "{name}: {run:?}");
    }
    let png = fs::read(place.path("demo/overview.png")).unwrap();
    assert_eq!(&png[1..4], b"PNG");
    let scores: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(place.path("demo/assessment.json")).unwrap()).unwrap();
    let skill = scores["skill"].as_array().unwrap().iter().find(|s| s["baseline"] == "nearest_pair").unwrap();
    assert!(skill["skill"].as_f64().unwrap() > 0.0, "better than no change: {skill}");
    place.run(&["demo", "demo", "--size", "128"]).refused(1, &["fine_2022-05-09.tif"], "overwrite");
    place.run(&["demo", "f1.tif"]).refused(1, &["f1.tif"], "folder");
}

#[test]
fn the_demo_is_the_same_each_time() {
    let place = Place::new();
    for folder in ["one", "two"] {
        place.run(&["demo", folder, "--size", "64", "--seed", "5"]).succeeded();
    }
    assert_eq!(stored(&place.path("one/fine_2022-05-09.tif"), 4), stored(&place.path("two/fine_2022-05-09.tif"), 4));
    assert_eq!(fs::read(place.path("one/job.stf")).unwrap(), fs::read(place.path("two/job.stf")).unwrap());
}
