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
            "{pairs}, no method beats {}, which only needs the images themselves: the best of them, {}, has {}. \
             By these figures fusion is not worth running here; other settings, better masks, co-registered images or nearer pairs may change that.",
            the(rival),
            fusion.label,
            if skill == 0.0 { "the same error".into() } else { format!("an error {} larger", percent(-skill)) }
        )),
        (Some(fusion), Some(rival), Some(skill)) if skill < TIE => text.push_str(&format!(
            "{pairs}, no method clearly beats {}: the error of the best of them, {}, is only {} smaller.",
            the(rival),
            fusion.label,
            percent(skill)
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
