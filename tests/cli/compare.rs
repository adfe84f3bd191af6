//! `compare`: every pair held back in turn, figures, report, table, and what is refused.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value as Json;

use crate::place::*;

fn third_day(band: usize, down: f64, right: f64) -> f64 {
    first_day(band, down, right) + 0.05 * right
}

/// A place with three pairs.
fn place() -> Place {
    let place = Place::new();
    for (number, value) in [(2, second_day as fn(usize, f64, f64) -> f64), (3, third_day)] {
        Raster { value, ..fine() }.write(&place.path(&format!("f{number}.tif")));
        coarse(value).write(&place.path(&format!("c{number}.tif")));
    }
    place
}

const DAYS: [&str; 3] = ["2001-11-25", "2002-01-12", "2002-01-28"];

/// The options of the first `count` pairs.
fn pairs(count: usize) -> Vec<String> {
    let pair = |k: usize| ["--pair".to_string(), format!("fine=f{0}.tif,coarse=c{0}.tif,date={1}", k + 1, DAYS[k])];
    (0..count).flat_map(pair).collect()
}

fn compare(place: &Place, count: usize, more: &[&str]) -> Run {
    let pairs = pairs(count);
    let words = std::iter::once("compare").chain(pairs.iter().map(String::as_str)).chain(more.iter().copied());
    place.run(&words.collect::<Vec<_>>())
}

fn method<'a>(json: &'a Json, name: &str) -> &'a Json {
    let all = json["methods"].as_array().unwrap();
    all.iter().find(|m| m["name"] == name).unwrap_or_else(|| panic!("{name} is not in {all:?}"))
}

fn rmsd(place: &Place, a: &str, b: &str) -> f64 {
    let squares: Vec<f64> = (1..=2)
        .flat_map(|band| stored(&place.path(a), band).into_iter().zip(stored(&place.path(b), band)).map(|(x, y)| (x - y).powi(2)))
        .collect();
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

#[test]
fn every_pair_is_held_back_and_the_figures_are_those_of_the_images() {
    let place = place();
    let before = place.names();
    let json = compare(&place, 3, &["-m", "starfm:window=9", "--json"]).succeeded().json();
    assert_eq!(place.names(), before, "predictions vanish");
    let names: Vec<&str> = json["methods"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    let folds: Vec<&str> = json["folds"].as_array().unwrap().iter().map(|f| f["label"].as_str().unwrap()).collect();
    assert_eq!(folds, DAYS);
    // the nearest other pair, as a copy
    let expected = [("f1.tif", "f2.tif"), ("f2.tif", "f3.tif"), ("f3.tif", "f2.tif")].map(|(a, b)| rmsd(&place, a, b));
    let nearest = method(&json, "nearest_pair");
    for (fold, expected) in expected.iter().enumerate() {
        let found = nearest["folds"][fold]["scores"]["overall"]["rmse"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-6, "fold {fold}: {found}, expected {expected}");
    }
    let all = (expected.iter().map(|e| e * e).sum::<f64>() / 3.0).sqrt();
    let pooled = nearest["scores"]["overall"]["rmse"].as_f64().unwrap();
    assert!((pooled - all).abs() < 1e-6, "{pooled}, expected {all}");
    assert_eq!(nearest["scores"]["overall"]["n"], 3 * 2 * FINE_PX * FINE_PX);
    let starfm = method(&json, "starfm:window=9");
    let skill = starfm["scores"]["skill"].as_array().unwrap().iter().find(|s| s["baseline"] == "nearest_pair").unwrap();
    let own = starfm["scores"]["overall"]["rmse"].as_f64().unwrap();
    assert!((skill["skill"].as_f64().unwrap() - (1.0 - own / pooled)).abs() < 1e-9);
    assert_eq!(starfm["parameters"]["window"], 9);
    assert_eq!(starfm["folds"][1]["pairs"], serde_json::json!([1, 3]));
    assert!(starfm["cpu_seconds"].as_f64().unwrap() > 0.0 && starfm["memory_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn the_figures_are_the_same_as_those_of_fuse_and_assess() {
    let place = place();
    let json = compare(&place, 3, &["-m", "starfm:window=9", "--json"]).succeeded().json();
    let images = pairs(3);
    let others = ["fuse", "--method", "starfm", "-p", "window=9", &images[0], &images[1], &images[4], &images[5]];
    let target = ["--target", "coarse=c2.tif,date=2002-01-12", "-o", "out.tif"];
    place.run(&[&others[..], &target].concat()).succeeded();
    let assessed = place.run(&["assess", "out.tif", "f2.tif", "--json"]).succeeded().json();
    let fold = &method(&json, "starfm:window=9")["folds"][1]["scores"];
    for figure in ["n", "rmse", "mae", "bias", "r", "ssim"] {
        let (a, b) = (fold["overall"][figure].as_f64().unwrap(), assessed["overall"][figure].as_f64().unwrap());
        assert!((a - b).abs() <= 1e-9 * b.abs().max(1e-3), "{figure}: {a} and {b}");
    }
}

#[test]
fn the_text_has_skill_first_and_ends_with_what_was_written() {
    let place = place();
    let more = ["-m", "starfm:window=9", "--report", "out.html", "--csv", "out.csv"];
    let text = compare(&place, 3, &more).succeeded().stdout;
    assert!(text.starts_with("Leave-one-pair-out comparison: 3 pairs, 2 bands, 120 x 120 pixels\n\nOn your 3 pairs, "), "{text}");
    let places =
        ["Skill (1 - RMSE", "Skill against ", "Accuracy (all bands", "RMSE, band by band", "by the pair held back", "CPU s"];
    let found: Vec<usize> = places.iter().map(|p| text.find(p).unwrap_or_else(|| panic!("{p}: {text}"))).collect();
    assert!(found.is_sorted(), "{text}");
    assert!(text.ends_with("\nout.html\nout.csv\n"), "{text}");
    let csv = fs::read_to_string(place.path("out.csv")).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 4 * (1 + 3) * (1 + 2), "methods x (all, folds) x (overall, bands)");
    let fields = lines[0].split(',').count();
    assert!(lines.iter().all(|l| l.split(',').count() == fields), "{csv}");
    assert!(lines[0].starts_with("fold,method,band,n,rmse,") && lines[1].starts_with("all,"), "{csv}");
}

#[test]
fn the_report_needs_nothing_else_and_takes_names_as_text() {
    let place = place();
    let odd = "<i>&'f1'.tif";
    fs::copy(place.path("f1.tif"), place.path(odd)).unwrap();
    let images = pairs(3).join(" ").replace("fine=f1.tif", &format!("fine={odd}"));
    let words: Vec<&str> = images.split(' ').chain(["-m", "starfm:window=9", "--report", "out.html"]).collect();
    place.run(&[&["compare"], &words[..]].concat()).succeeded();
    let html = fs::read_to_string(place.path("out.html")).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</body></html>\n"));
    for part in ["<script", "@import", "url(", "<link", "<i>&"] {
        assert!(!html.contains(part), "{part}");
    }
    assert!(html.contains("&lt;i&gt;&amp;&#39;f1&#39;.tif"));
    let sources: Vec<&str> = html.split("src=\"").skip(1).collect();
    assert!(sources.iter().all(|s| s.starts_with("data:image/png;base64,iVBORw0KGgo")));
    // truth: two bands; methods: a prediction, two error maps and two plots each; three folds
    assert_eq!(sources.len(), 3 * (2 + 4 * (1 + 2 + 2)));
    assert!(html.split("href=\"").skip(1).all(|s| s.starts_with("https://doi.org/")));
    assert!(html.find("Skill against simple baselines").unwrap() < html.find("<h2>Accuracy").unwrap());
    let tags = |name: &str| {
        (
            html.matches(&format!("<{name}>")).count() + html.matches(&format!("<{name} ")).count(),
            html.matches(&format!("</{name}>")).count(),
        )
    };
    for name in ["table", "tr", "td", "th", "div", "figure", "figcaption", "h2", "h3", "p", "ul", "li", "svg", "span", "b"] {
        let (opened, closed) = tags(name);
        assert_eq!(opened, closed, "{name}");
    }
}

#[test]
fn a_job_file_says_what_to_compare_and_its_method_keeps_its_parameters() {
    let place = place();
    let pair = |k: usize| format!(r#"{{ "date": "{}", "fine": "f{n}.tif", "coarse": "c{n}.tif" }}"#, DAYS[k], n = k + 1);
    let job = format!(
        r#"{{ "stfusion": 1, "method": "starfm", "parameters": {{ "window": 5 }}, "pairs": [ {}, {}, {} ] }}"#,
        pair(0),
        pair(1),
        pair(2)
    );
    fs::write(place.path("job.stf"), job).unwrap();
    let json = place.run(&["compare", "job.stf", "--json"]).succeeded().json();
    let listed: usize = json["methods"].as_array().unwrap().len() + json["left_out"].as_array().unwrap().len();
    let without_file = stfusion_methods::all().iter().filter(|m| m.info().required_file().is_none()).count();
    assert_eq!(listed, without_file, "every method that needs no file is compared or left out with its reason");
    method(&json, "starfm:window=5");
    let json = place.run(&["compare", "job.stf", "-m", "starfm", "--json"]).succeeded().json();
    assert_eq!(method(&json, "starfm")["parameters"]["window"], 51);
}

#[test]
fn methods_that_the_pairs_do_not_satisfy_are_left_out_with_the_reason() {
    let place = place();
    let json = compare(&place, 2, &["--json"]).succeeded().json();
    for info in stfusion_methods::all().iter().map(|m| m.info()).filter(|i| i.required_file().is_none()) {
        let left_out = json["left_out"].as_array().unwrap().iter().find(|l| l["name"] == info.id);
        assert_eq!(left_out.is_some(), info.min_pairs > 1, "{}", info.id);
        if let Some(left_out) = left_out {
            assert!(left_out["reason"]["message"].as_str().unwrap().contains("the job has 1"), "{left_out}");
        }
    }
    // without dates what needs them is named
    let undated =
        ["compare", "--pair", "fine=f1.tif,coarse=c1.tif", "--pair", "fine=f2.tif,coarse=c2.tif", "-m", "linear_in_time"];
    let text = place.run(&undated).succeeded().stdout;
    assert!(text.contains("linear_in_time was left out: Linear in time needs the target date"), "{text}");
    assert!(!text.contains("\nlinear_in_time  "), "{text}");
}

#[test]
fn a_method_that_fails_is_reported_and_the_others_go_on() {
    let place = place();
    let more = ["-m", "starfm:window=119", "--memory", "2MiB", "--threads", "1", "--report", "out.html"];
    let text = compare(&place, 2, &more).succeeded().stdout;
    assert!(text.contains("starfm:window=119 failed on 2001-11-25: The memory budget of 2 MiB is too small"), "{text}");
    assert!(text.contains("\ncoarse_increment  "), "{text}");
    assert!(text.contains("only baselines could be compared in every fold"), "{text}");
    let html = fs::read_to_string(place.path("out.html")).unwrap();
    assert!(html.contains("<b>starfm:window=119 failed on 2002-01-12</b>: The memory budget"));
}

#[test]
fn methods_are_compared_on_the_pixels_that_all_of_them_predict() {
    let place = place();
    // no fine pixel in the upper half of the third pair, no coarse pixel in its lower half
    let upper = |_: usize, down: f64, _: f64| if down < 0.5 { -9999.0 } else { 0.2 };
    let lower = |_: usize, down: f64, _: f64| if down > 0.5 { -9999.0 } else { 0.2 };
    Raster { value: upper, ..fine() }.write(&place.path("f3.tif"));
    Raster { value: lower, ..coarse(first_day) }.write(&place.path("c3.tif"));
    let run = compare(&place, 3, &["-m", "starfm:window=9", "--json", "--report", "out.html"]).succeeded();
    let json = run.json();
    let compared: Vec<u64> = json["folds"].as_array().unwrap().iter().map(|f| f["compared_samples"].as_u64().unwrap()).collect();
    assert!(compared[0] > 0 && compared[1] > 0 && compared[2] == 0, "{compared:?}");
    for method in json["methods"].as_array().unwrap() {
        assert_eq!(method["scores"]["overall"]["n"], compared[0] + compared[1], "{}", method["name"]);
        assert!(method["folds"][2]["scores"].is_null());
    }
    let fold = format!("{}: the methods are compared on 0.0 % of the truth's valid samples", DAYS[2]);
    assert!(run.stderr.contains(&fold), "{}", run.stderr);
    let html = fs::read_to_string(place.path("out.html")).unwrap();
    assert!(html.contains(&fold.replace('\'', "&#39;")));
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_remedy() {
    let place = place();
    let before = place.names();
    compare(&place, 1, &["--report", "out.html"]).refused(1, &["1 pair", "held back"], "Add pairs");
    compare(&place, 0, &[]).refused(2, &["No pairs"], "--pair fine=f1.tif");
    compare(&place, 2, &["-m", "starfn"]).refused(2, &["--method starfn", "not a method"], "Did you mean \"starfm\"");
    compare(&place, 2, &["-m", "starfm:window=50"]).refused(2, &["odd whole number; got 50"], "window=51");
    compare(&place, 2, &["-m", "starfm", "-m", "starfm:window=51"]).refused(1, &["starfm is listed twice"], "other settings");
    compare(&place, 2, &["--report", "no/such/out.html"]).refused(1, &["no/such/out.html", "does not exist"], "folder");
    compare(&place, 2, &["--report", "/proc/out.html"]).refused(1, &["/proc/out.html"], "");
    compare(&place, 2, &["--report", "f1.tif", "--overwrite"]).refused(1, &["f1.tif is an input"], "another name");
    compare(&place, 2, &["--report", "out", "--csv", "out"]).refused(1, &["out: report and table"], "of its own");
    compare(&place, 2, &["--data-range=-1"]).refused(1, &["data range must be a positive number; got -1"], "1 for reflectance");
    Raster { value: |_, _, _| -9999.0, ..fine() }.write(&place.path("f3.tif"));
    compare(&place, 3, &["--report", "out.html"]).refused(1, &["f3.tif: no pixel is valid"], "Choose another image");
    assert_eq!(place.names(), before);
}

#[test]
fn existing_files_are_kept_unless_overwriting_was_asked_for() {
    let place = place();
    for (option, name) in [("--report", "out.html"), ("--csv", "out.csv")] {
        fs::write(place.path(name), "precious").unwrap();
        compare(&place, 2, &["-m", "nearest_pair", option, name]).refused(1, &[name, "exists"], "overwrite");
        assert_eq!(fs::read_to_string(place.path(name)).unwrap(), "precious");
        compare(&place, 2, &["-m", "nearest_pair", option, name, "--overwrite"]).succeeded();
        assert_ne!(fs::read_to_string(place.path(name)).unwrap(), "precious");
    }
}

#[test]
fn an_interrupted_comparison_leaves_nothing() {
    let place = Place::new();
    for (number, value) in [(1, first_day as fn(usize, f64, f64) -> f64), (2, second_day)] {
        Raster { rows: 2400, cols: 2400, value, ..fine() }.write(&place.path(&format!("f{number}.tif")));
        Raster { rows: 160, cols: 160, ..coarse(value) }.write(&place.path(&format!("c{number}.tif")));
    }
    let temporaries = tempfile::tempdir().unwrap();
    let before = place.names();
    let mut command = place.command();
    command.arg("compare").args(pairs(2)).args(["-m", "starfm:window=301", "--report", "out.html", "--csv", "out.csv"]);
    let child = command.env("TMPDIR", temporaries.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    // SAFETY: a signal to a child of our own that has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stdout.as_str()), (Some(130), ""), "{run:?}");
    assert_eq!(place.names(), before);
    assert_eq!(fs::read_dir(temporaries.path()).unwrap().count(), 0);
}
