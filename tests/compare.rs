//! Methods compared on real images, each pair held back in turn: the same figures as without the engine, and honest words.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::path::Path;

use stfusion_core::source::{ImageSource, PairSource};
use stfusion_engine::{compare, CompareOptions, Comparison, Context, ContextOptions, Job, MethodScores};
use stfusion_tests::{listed, rmsd, shared, Files};

fn pair(folder: &Path, date: &str, fine: &str, coarse: &str, band: Option<usize>, scale: f64) -> PairSource {
    let image = |name: &str, bands: Option<Vec<usize>>| ImageSource {
        scale: Some(scale),
        offset: Some(0.0),
        bands,
        ..ImageSource::file(folder.join(name).to_string_lossy())
    };
    PairSource {
        date: Some(date.parse().unwrap()),
        fine: image(fine, None),
        coarse: image(coarse, band.map(|b| vec![b])),
        ..PairSource::default()
    }
}

fn compared(pairs: Vec<PairSource>, methods: &[&str], memory: &str) -> Comparison {
    let job = Job { pairs, ..Job::default() };
    let methods = methods.iter().map(|m| m.parse().unwrap()).collect();
    let context = Context::new(ContextOptions { memory: memory.parse().unwrap(), ..ContextOptions::default() }).unwrap();
    compare(&job, &CompareOptions { methods, ..CompareOptions::default() }, &context, &mut |_, _| true).unwrap()
}

fn method<'a>(comparison: &'a Comparison, name: &str) -> &'a MethodScores {
    comparison.methods.iter().find(|m| m.name == name).unwrap()
}

/// RMSE of each band of one fold, times 10,000.
fn errors(comparison: &Comparison, name: &str, fold: usize) -> Vec<f64> {
    let scores = method(comparison, name).folds[fold].scores.as_ref().unwrap();
    scores.bands.iter().map(|b| b.scores.rmse.unwrap() * 1e4).collect()
}

fn near(found: &[f64], expected: &[f64], tolerance: f64) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= tolerance)
}

const BOREAS: [&str; 3] = ["2001-05-24", "2001-07-11", "2001-08-12"];

fn boreas(test: &str) -> Option<Vec<PairSource>> {
    let folder = shared(test, "data/04_boreas_estarfm")?;
    let pair = |day: &&str| pair(&folder, day, &format!("fine_{day}.tif"), &format!("coarse30m_{day}.tif"), None, 1e-4);
    Some(BOREAS.iter().map(pair).collect())
}

#[test]
fn a_fold_has_the_figures_of_a_prediction_without_the_engine() {
    let test = "a_fold_has_the_figures_of_a_prediction_without_the_engine";
    let Some(pairs) = boreas(test) else { return };
    let comparison = compared(pairs, &["starfm:window=31"], "auto");
    println!("{}", comparison.to_text());
    // the middle day from the two others, as in the ESTARFM paper
    let folder = shared(test, "data/04_boreas_estarfm").unwrap();
    let mut files = Files::new(&folder, 1e-4, "coarse30m_2001-07-11.tif", None, "2001-07-11").unwrap();
    for day in [BOREAS[0], BOREAS[2]] {
        files = files.with_pair(&format!("fine_{day}.tif"), &format!("coarse30m_{day}.tif"), None, day).unwrap();
    }
    let truth = files.unscaled("fine_2001-07-11.tif").unwrap();
    for (name, id, settings) in [
        ("starfm:window=31", "starfm", &[("window", "31")][..]),
        ("coarse_increment", "coarse_increment", &[]),
        ("linear_in_time", "linear_in_time", &[]),
    ] {
        let image = files.predict(id, settings, false).unwrap().image.mapv(f64::from);
        let (found, expected) = (errors(&comparison, name, 1), rmsd(&image, &truth, 1e4));
        assert!(near(&found, &expected, 1e-3), "{name}: {} against {}", listed(&found), listed(&expected));
    }
    // copying the nearer pair costs what the list of the images says
    assert!(near(&errors(&comparison, "nearest_pair", 1), &[75.0, 63.0, 168.0], 0.5));
}

#[test]
fn the_words_follow_the_figures_and_nothing_depends_on_the_memory() {
    let Some(pairs) = boreas("the_words_follow_the_figures_and_nothing_depends_on_the_memory") else { return };
    let comparison = compared(pairs.clone(), &["starfm"], "auto");
    let (best, rival) = (method(&comparison, "starfm"), method(&comparison, "coarse_increment"));
    let rmse = |m: &MethodScores| m.scores.as_ref().unwrap().overall.scores.rmse.unwrap();
    let skill = comparison.best_skill.unwrap();
    assert!((skill - (1.0 - rmse(best) / rmse(rival))).abs() < 1e-12, "{skill}");
    let words = match skill {
        s if s <= 0.0 => "no method beats the baseline coarse increment",
        s if s < 0.02 => "no method clearly beats the baseline coarse increment",
        _ => "STARFM has the smallest error",
    };
    assert!(comparison.recommendation.contains(words), "{skill}: {}", comparison.recommendation);
    assert!(
        comparison.warnings.iter().any(|w| w.starts_with("2001-05-24: The nearest pair is 48 days")),
        "{:?}",
        comparison.warnings
    );

    let little = compared(pairs, &["starfm"], "24MiB");
    for (a, b) in comparison.methods.iter().zip(&little.methods) {
        assert_eq!((&a.name, &a.scores), (&b.name, &b.scores));
    }
}

#[test]
fn every_method_is_scored_or_named_with_its_reason_on_images_with_gaps() {
    let Some(folder) = shared("every_method_is_scored_or_named_with_its_reason_on_images_with_gaps", "data/01_saltonsea_nir")
    else {
        return;
    };
    let coarse = "coarse_daily_20201001_20201231.tif";
    let pairs: Vec<PairSource> = [("2020-10-02", 2), ("2020-10-12", 12), ("2020-11-10", 41)]
        .iter()
        .map(|(day, band)| pair(&folder, day, &format!("fine_{day}.tif"), coarse, Some(*band), 1.0))
        .collect();
    let comparison = compared(pairs.clone(), &[], "auto");
    println!("{}", comparison.to_text());
    for id in stfusion_methods::all().iter().map(|m| m.info()).filter(|i| i.required_file().is_none()).map(|i| i.id) {
        let scored = comparison.methods.iter().any(|m| m.name == id && m.scores.is_some());
        let failed = comparison.methods.iter().any(|m| m.name == id && m.folds.iter().all(|f| f.error.is_some()));
        assert!(scored || failed || comparison.left_out.iter().any(|l| l.name == id), "{id}");
    }
    // the fine image of 2020-10-12 has 463 gaps: as a truth they do not count, as a pair they need not be predicted
    assert_eq!(comparison.folds[1].truth_samples, comparison.folds[0].truth_samples - 463);
    let compared_samples: u64 = comparison.folds.iter().map(|f| f.compared_samples).sum();
    for m in comparison.methods.iter().filter(|m| m.folds_scored == 3) {
        assert_eq!(m.scores.as_ref().unwrap().overall.scores.n, compared_samples, "{}", m.name);
    }

    // from one pair: the same figures on the pixels that all predict, which are fewer than those of a copy
    let two = compared(vec![pairs[0].clone(), pairs[2].clone()], &["starfm"], "auto");
    let files = Files::new(&folder, 1.0, coarse, Some(41), "2020-11-10")
        .and_then(|f| f.with_pair("fine_2020-10-02.tif", coarse, Some(2), "2020-10-02"))
        .unwrap();
    let ids = ["nearest_pair", "coarse_increment", "starfm"];
    let predictions = ids.map(|id| files.predict(id, &[], false).unwrap().image.mapv(f64::from));
    let mut truth = files.unscaled("fine_2020-11-10.tif").unwrap();
    let of_all = rmsd(&predictions[0], &truth, 1e4);
    predictions.iter().for_each(|p| truth.zip_mut_with(p, |t, p| *t += 0.0 * p));
    for (id, prediction) in ids.iter().zip(&predictions) {
        let (found, expected) = (errors(&two, id, 1), rmsd(prediction, &truth, 1e4));
        assert!(near(&found, &expected, 1e-3), "{id}: {} against {}", listed(&found), listed(&expected));
    }
    assert!(near(&of_all, &[716.0], 0.6) && errors(&two, "nearest_pair", 1)[0] < 700.0, "{}", listed(&of_all));
    assert!(two.recommendation.ends_with("add pairs for a surer answer."));
}
