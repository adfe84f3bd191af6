//! What follows from the figures, in sentences.

use super::report::{Fold, MethodScores};

/// Errors that differ by less than this part are as good as equal: other dates would turn the order.
const TIE: f64 = 0.02;
/// A method that is as good and takes this many times less processor time is worth a sentence.
const MUCH_FASTER: f64 = 3.0;

/// The outcome of a comparison.
pub(super) struct Verdict {
    pub text: String,
    /// Name of the method with the smallest error.
    pub best: Option<String>,
    /// Skill of the best method that is no baseline against the best baseline.
    pub best_skill: Option<f64>,
}

/// `methods` come with the smallest error first, those that lack a fold at the end.
pub(super) fn verdict(methods: &[MethodScores], folds: &[Fold], bands: &[String]) -> Verdict {
    let scored = folds.iter().filter(|f| f.compared_samples > 0).count();
    let ranked: Vec<&MethodScores> = methods.iter().filter(|m| m.folds_scored == scored && m.rmse().is_some()).collect();
    let fusion = ranked.iter().find(|m| !m.baseline).copied();
    let rival = ranked.iter().find(|m| m.baseline).copied();
    let skill = fusion.zip(rival).and_then(|(f, r)| relative(f, r)).map(|r| 1.0 - r);
    let mut text = String::new();
    let pairs = format!("On your {} pairs", folds.len());
    match (fusion, rival, skill) {
        (Some(fusion), Some(rival), Some(skill)) if skill <= 0.0 => text.push_str(&format!(
            "{pairs}, no method beats {}: the best of them, {}, has {}. \
             By these figures fusion is not worth running here; other settings, better masks, co-registered images or nearer pairs may change that.",
            the(rival),
            fusion.label,
            if skill == 0.0 { "the same error".into() } else { format!("an error {} larger", percent(-skill)) }
        )),
        (Some(fusion), Some(rival), Some(skill)) if skill < TIE => text.push_str(&format!(
            "{pairs}, no method clearly beats {}: the error of the best of them, {}, is only {} smaller; it is best {}.",
            the(rival),
            fusion.label,
            percent(skill),
            where_best(fusion, &ranked, folds, bands)
        )),
        (Some(fusion), _, _) => text.push_str(&praise(&pairs, fusion, &ranked, folds, bands)),
        (None, Some(rival), _) => text.push_str(&format!(
            "{pairs}, only baselines could be compared in every fold; the smallest error has {}.",
            the(rival)
        )),
        (None, None, _) => text.push_str(&format!("{pairs}, no method could be compared in every fold.")),
    }
    if let Some(fusion) = fusion {
        text.push_str(&equals(fusion, &ranked));
        text.push_str(&best_elsewhere(fusion, &ranked, bands));
    }
    if folds.len() == 2 {
        text.push_str(
            " With two pairs each prediction rests on one of them and there are two to judge from: add pairs for a surer answer.",
        );
    }
    Verdict { text, best: ranked.first().map(|m| m.name.clone()), best_skill: skill }
}

/// The RMSE of `a` over that of `b`.
fn relative(a: &MethodScores, b: &MethodScores) -> Option<f64> {
    a.rmse().zip(b.rmse()).filter(|(_, b)| *b > 0.0).map(|(a, b)| a / b)
}

fn praise(pairs: &str, fusion: &MethodScores, ranked: &[&MethodScores], folds: &[Fold], bands: &[String]) -> String {
    let won_folds = (0..folds.len()).filter(|&f| best_of(ranked, |m| fold_rmse(m, f)) == Some(fusion.name.as_str())).count();
    let won_bands = won_bands(fusion, ranked, bands);
    let band = if bands.len() > 1 { format!("in {won_bands} of {} bands and ", bands.len()) } else { String::new() };
    let mut text =
        format!("{pairs}, {} has the smallest error and is best {band}in {won_folds} of {} folds.", fusion.label, folds.len());
    let beaten: Vec<String> = (ranked.iter().filter(|m| m.baseline))
        .filter_map(|b| relative(fusion, b).map(|r| format!("{} by {}", the(b), percent(1.0 - r))))
        .collect();
    if !beaten.is_empty() {
        text.push_str(&format!(" It beats {}.", listed(&beaten)));
    }
    text
}

/// In how many bands and folds a method is the best.
fn where_best(method: &MethodScores, ranked: &[&MethodScores], folds: &[Fold], bands: &[String]) -> String {
    let won = (0..folds.len()).filter(|&f| best_of(ranked, |m| fold_rmse(m, f)) == Some(method.name.as_str())).count();
    let of_folds = format!("in {won} of {} folds", folds.len());
    if bands.len() == 1 {
        return of_folds;
    }
    format!("in {} of {} bands and {of_folds}", won_bands(method, ranked, bands), bands.len())
}

/// Other methods whose error is as good as the same.
fn equals(fusion: &MethodScores, ranked: &[&MethodScores]) -> String {
    let near: Vec<&&MethodScores> = (ranked.iter())
        .filter(|m| !m.baseline && m.name != fusion.name && relative(m, fusion).is_some_and(|r| r < 1.0 + TIE))
        .collect();
    if near.is_empty() {
        return String::new();
    }
    let names: Vec<String> = near.iter().map(|m| m.label.clone()).collect();
    let are = if near.len() == 1 { "is" } else { "are" };
    let mut text = format!(" {} {are} within {} of {}.", listed(&names), percent(TIE), fusion.label);
    let faster = |m: &&&MethodScores| {
        fusion
            .cpu_seconds
            .zip(m.cpu_seconds)
            .filter(|(own, other)| *other > 0.0 && own / other >= MUCH_FASTER)
            .map(|(a, b)| a / b)
    };
    if let Some((times, method)) = near.iter().filter_map(|m| Some((faster(m)?, m))).max_by(|a, b| a.0.total_cmp(&b.0)) {
        text.push_str(&format!(" {} takes {times:.0} times less processor time.", method.label));
    }
    text
}

/// The method that is best in most bands, when that is another one.
fn best_elsewhere(fusion: &MethodScores, ranked: &[&MethodScores], bands: &[String]) -> String {
    let own = won_bands(fusion, ranked, bands);
    let most = ranked.iter().map(|m| (won_bands(m, ranked, bands), m)).max_by_key(|(won, _)| *won);
    match most {
        Some((won, method)) if won > own && bands.len() > 1 => {
            format!(" In single bands {} is best more often: in {won} of {}.", the(method), bands.len())
        }
        _ => String::new(),
    }
}

fn won_bands(method: &MethodScores, ranked: &[&MethodScores], bands: &[String]) -> usize {
    (0..bands.len()).filter(|&b| best_of(ranked, |m| band_rmse(m, b)) == Some(method.name.as_str())).count()
}

pub(super) fn band_rmse(method: &MethodScores, band: usize) -> Option<f64> {
    method.scores.as_ref()?.bands.get(band)?.scores.rmse
}

fn fold_rmse(method: &MethodScores, fold: usize) -> Option<f64> {
    method.folds.get(fold)?.scores.as_ref()?.overall.scores.rmse
}

/// Name of the method with the smallest figure; of equal ones the first.
fn best_of<'a>(methods: &[&'a MethodScores], figure: impl Fn(&MethodScores) -> Option<f64>) -> Option<&'a str> {
    let known = methods.iter().filter_map(|m| figure(m).map(|v| (v, m.name.as_str())));
    known.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// The label of a method inside a sentence.
fn the(method: &MethodScores) -> String {
    if !method.baseline {
        return method.label.clone();
    }
    let mut letters = method.label.chars();
    let first = letters.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    format!("the baseline {first}{}", letters.as_str())
}

fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

fn percent(part: f64) -> String {
    if part.abs() < 0.0995 {
        format!("{:.1} %", 100.0 * part)
    } else {
        format!("{:.0} %", 100.0 * part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::report::FoldScores;
    use ndarray::Array3;
    use stfusion_core::metrics::{assess, Assessment, Block};

    /// Scores whose RMSE in each band is the one given.
    fn scores(rmse: &[f64]) -> Assessment {
        let truth = Array3::from_shape_fn((rmse.len(), 4, 4), |(_, r, c)| 0.1 + 0.01 * (r * 4 + c) as f32);
        let mut prediction = truth.clone();
        for (b, e) in rmse.iter().enumerate() {
            prediction.index_axis_mut(ndarray::Axis(0), b).mapv_inplace(|v| v + *e as f32);
        }
        assess(&Block::whole(prediction.view(), truth.view(), Vec::new()), &[], &[], None, None).unwrap()
    }

    fn method<const B: usize>(label: &str, baseline: bool, cpu: f64, folds: &[[f64; B]]) -> MethodScores {
        let fold = |rmse: &[f64; B]| FoldScores {
            pairs: vec![1],
            scores: Some(scores(rmse)),
            valid_fraction: Some(1.0),
            cpu_seconds: Some(cpu),
            seconds: cpu,
            memory_bytes: 0,
            error: None,
        };
        let mean: Vec<f64> = (0..B).map(|b| folds.iter().map(|f| f[b]).sum::<f64>() / folds.len() as f64).collect();
        MethodScores {
            name: label.to_lowercase(),
            label: label.into(),
            method: label.to_lowercase(),
            parameters: serde_json::json!({}),
            baseline,
            references: Vec::new(),
            folds_scored: folds.len(),
            scores: Some(scores(&mean)),
            valid_fraction: Some(1.0),
            cpu_seconds: Some(cpu),
            seconds: Some(cpu),
            memory_bytes: Some(0),
            folds: folds.iter().map(fold).collect(),
        }
    }

    fn said(mut methods: Vec<MethodScores>) -> Verdict {
        methods.sort_by(|a, b| a.rmse().partial_cmp(&b.rmse()).unwrap());
        let fold = |k: usize| Fold {
            label: format!("day {k}"),
            date: None,
            fine: String::new(),
            coarse: String::new(),
            truth_samples: 1,
            compared_samples: 1,
        };
        let folds: Vec<Fold> = (0..methods[0].folds.len()).map(fold).collect();
        let bands: Vec<String> = (0..methods[0].folds[0].scores.as_ref().unwrap().bands.len()).map(|b| format!("b{b}")).collect();
        verdict(&methods, &folds, &bands)
    }

    #[test]
    fn a_winner_is_named_with_what_it_beats_and_where() {
        let increment = method("Coarse increment", true, 0.1, &[[0.02, 0.04], [0.02, 0.04], [0.02, 0.04]]);
        let best = method("STARFM", false, 9.0, &[[0.01, 0.03], [0.01, 0.03], [0.03, 0.05]]);
        let near = method("UBDF", false, 1.0, &[[0.0188, 0.0365], [0.0188, 0.0365], [0.0188, 0.0365]]);
        let verdict = said(vec![increment, best, near]);
        let start = "On your 3 pairs, STARFM has the smallest error and is best in 1 of 2 bands and in 2 of 3 folds. \
                     It beats the baseline coarse increment by 9.9 %.";
        assert!(verdict.text.starts_with(start), "{}", verdict.text);
        assert!(
            verdict.text.contains("UBDF is within 2.0 % of STARFM. UBDF takes 9 times less processor time."),
            "{}",
            verdict.text
        );
        assert_eq!(verdict.best.as_deref(), Some("starfm"));
        assert!(verdict.best_skill.unwrap() > 0.0);
    }

    #[test]
    fn a_baseline_that_is_not_beaten_is_said_to_be_so() {
        let increment = method("Coarse increment", true, 0.1, &[[0.02, 0.02]; 3]);
        let worse = method("STARFM", false, 1.0, &[[0.01, 0.03]; 3]);
        let verdict = said(vec![increment, worse]);
        assert!(verdict.text.contains("no method beats the baseline coarse increment"), "{}", verdict.text);
        assert!(verdict.text.contains("the best of them, STARFM, has an error 12 % larger"), "{}", verdict.text);
        assert_eq!(verdict.best.as_deref(), Some("coarse increment"));
        assert!((verdict.best_skill.unwrap() + 0.118).abs() < 0.001, "{:?}", verdict.best_skill);
    }

    #[test]
    fn a_small_lead_is_no_lead_and_two_pairs_are_few() {
        let increment = method("Coarse increment", true, 0.1, &[[0.0200]; 2]);
        let best = method("STARFM", false, 1.0, &[[0.0199]; 2]);
        let text = said(vec![increment, best]).text;
        assert!(text.starts_with("On your 2 pairs, no method clearly beats the baseline coarse increment"), "{text}");
        assert!(text.contains("is only 0.5 % smaller; it is best in 2 of 2 folds."), "{text}");
        assert!(text.contains("With two pairs each prediction rests on one of them"), "{text}");
    }

    #[test]
    fn a_method_that_wins_more_bands_is_mentioned() {
        let increment = method("Coarse increment", true, 0.1, &[[0.05, 0.05, 0.09]; 3]);
        let best = method("STARFM", false, 1.0, &[[0.02, 0.02, 0.02]; 3]);
        let bands = method("UBDF", false, 1.0, &[[0.01, 0.01, 0.08]; 3]);
        let text = said(vec![increment, best, bands]).text;
        assert!(text.contains("STARFM has the smallest error and is best in 1 of 3 bands and in 3 of 3 folds."), "{text}");
        assert!(text.ends_with("In single bands UBDF is best more often: in 2 of 3."), "{text}");
    }
}
