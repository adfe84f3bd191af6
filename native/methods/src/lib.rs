//! The classical fusion methods, one folder each, the blocks that they share, and the registry.
//!
//! A method's folder holds `mod.rs` (identity, parameters, `impl Method`), `reference.rs` (slow, literal, `f64`, every line
//! with its equation; only tests call it), `cpu.rs` where pixels cost something, `cases.rs` (test problems and tolerances) and
//! `README.md` (the help page). Adding a method means adding its folder and one line to [`all`]; commands, dialogs, options,
//! documentation and the contract tests are derived from there.
#![deny(missing_docs)]

pub mod blocks;
pub mod cases;
pub mod coarse_increment;
pub mod estarfm;
pub mod fitfc;
pub mod fsdaf;
pub mod ifsdaf;
pub mod linear_in_time;
pub mod nearest_pair;
pub mod networks;
pub mod obsum;
pub mod sfsdaf;
pub mod spstfm;
pub mod starfm;
pub mod stdfa;
pub mod strum;
pub mod ubdf;

use std::sync::LazyLock;

use stfusion_core::method::Method;
use stfusion_core::{Error, ErrorKind, Result};

static METHODS: LazyLock<Vec<&'static dyn Method>> = LazyLock::new(|| {
    let networks = networks::ALL.iter().map(|n| n as &dyn Method).chain([&networks::rcan_fsdaf::RcanFsdaf as &dyn Method]);
    CLASSICAL.iter().copied().chain(networks).chain(BASELINES.iter().copied()).collect()
});

static CLASSICAL: &[&dyn Method] = &[
    &starfm::Starfm,
    &estarfm::Estarfm,
    &fitfc::FitFc,
    &fsdaf::Fsdaf,
    &sfsdaf::Sfsdaf,
    &ifsdaf::Ifsdaf,
    &ubdf::Ubdf,
    &stdfa::Stdfa,
    &strum::Strum,
    &obsum::Obsum,
    &spstfm::Spstfm,
];

static BASELINES: &[&dyn Method] =
    &[&nearest_pair::NearestPair, &linear_in_time::LinearInTime, &coarse_increment::CoarseIncrement];

/// Every method, in the order in which lists show them.
pub fn all() -> &'static [&'static dyn Method] {
    &METHODS
}

/// The method with this id.
///
/// # Errors
/// [`ErrorKind::Parameter`] listing the ids, with the one that looks most like `id` when there is such.
pub fn by_id(id: &str) -> Result<&'static dyn Method> {
    if let Some(method) = METHODS.iter().find(|m| m.info().id == id) {
        return Ok(*method);
    }
    let ids: Vec<&str> = METHODS.iter().map(|m| m.info().id).collect();
    let wanted = id.to_ascii_lowercase().replace(['-', ' '], "_");
    let nearest = ids.iter().map(|known| (edit_distance(&wanted, known), *known)).min();
    let suggestion = match nearest {
        Some((distance, known)) if distance <= known.len() / 3 => format!("Did you mean {known:?}? "),
        _ => String::new(),
    };
    Err(Error::new(ErrorKind::Parameter, format!("{id:?} is not a method"))
        .with_hint(format!("{suggestion}The methods are {}.", ids.join(", "))))
}

/// Number of characters to insert, delete or replace to turn `a` into `b` (Levenshtein).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_id_lists_the_methods_and_suggests_the_likeliest() {
        let error = by_id("Starfmm").err().unwrap();
        assert_eq!(error.message(), "\"Starfmm\" is not a method");
        let hint = error.hint().unwrap();
        assert!(hint.starts_with("Did you mean \"starfm\"? The methods are starfm, "), "{hint}");
        let hint = by_id("wavelets").err().unwrap().hint().unwrap().to_string();
        assert!(hint.starts_with("The methods are "), "{hint}");
        assert_eq!(by_id("nearest_pair").unwrap().info().label, "Nearest pair");
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!([edit_distance("", "abc"), edit_distance("abc", "abc"), edit_distance("kitten", "sitting")], [3, 0, 3]);
    }
}
