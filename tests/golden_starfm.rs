//! STARFM against predictions that the author's program and ImageFusion made from the same images, with the rules made equal.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use stfusion_tests::{all_below, listed, rmsd, shared, stored, Files};

/// Rules that both programs share: integers in steps of 0.0001, and nothing special where a difference is zero.
const INTEGERS: &[(&str, &str)] = &[
    ("difference_unit", "0.0001"),
    ("zero_difference", "none"),
    ("filter", "loose"),
    ("bound", "min"),
    ("weighting", "inverse"),
    ("temporal_weight", "on"),
];

fn boreas(pairs: usize, test: &str) -> Option<Files> {
    let folder = shared(test, "data/04_boreas_estarfm")?;
    let mut files = Files::new(&folder, 1e-4, "coarse30m_2001-07-11.tif", None, "2001-07-11").unwrap();
    for day in &["2001-05-24", "2001-08-12"][..pairs] {
        files = files.with_pair(&format!("fine_{day}.tif"), &format!("coarse30m_{day}.tif"), None, day).unwrap();
    }
    Some(files)
}

/// Parameters as (id, text).
type Settings<'a> = &'a [(&'a str, &'a str)];

/// Difference from a golden image per band in stored units, after `round`ing our values as that program does.
fn difference(golden: &str, pairs: usize, more: Settings<'_>, round: fn(f64) -> f64) -> Option<Vec<f64>> {
    let files = boreas(pairs, golden)?;
    let folder = shared(golden, "golden/classical")?;
    let settings: Vec<_> =
        INTEGERS.iter().filter(|(id, _)| more.iter().all(|(other, _)| other != id)).chain(more).copied().collect();
    let ours = files.predict("starfm", &settings, false).unwrap().image.mapv(|v| round(f64::from(v) * 1e4));
    let differences = rmsd(&ours, &stored(&folder.join(format!("{golden}.tif"))).unwrap(), 1.0);
    println!("{golden}: RMSD {}", listed(&differences));
    Some(differences)
}

#[test]
fn imagefusion_is_reproduced_up_to_its_truncation() {
    let cases: [(&str, usize, Settings<'_>); 4] = [
        ("boreas400_if_starfm_1pair", 1, &[]),
        ("boreas400_if_starfm_1pair_auto_temporal", 1, &[("temporal_weight", "auto")]),
        ("boreas400_if_starfm_1pair_strict_log1", 1, &[("filter", "strict"), ("weighting", "logarithmic"), ("log_scale", "1")]),
        ("boreas400_if_starfm_2pairs", 2, &[]),
    ];
    for (golden, pairs, settings) in cases {
        let Some(differences) = difference(golden, pairs, settings, f64::trunc) else { return };
        assert!(all_below(&differences, &[0.5; 3]), "{golden}: {}", listed(&differences));
    }
}

#[test]
fn the_authors_program_differs_by_its_asymmetric_window_only() {
    let settings = [("temporal_weight", "auto"), ("spatial_importance", "25")];
    let round = |v: f64| (v + 0.5).trunc();
    for (golden, pairs, limits) in
        [("boreas400_starfm_c_1pair", 1, [1.5, 5.0, 8.0]), ("boreas400_starfm_c_2pairs", 2, [3.0, 6.5, 6.5])]
    {
        let Some(differences) = difference(golden, pairs, &settings, round) else { return };
        assert!(all_below(&differences, &limits), "{golden}: {}", listed(&differences));
    }
}
