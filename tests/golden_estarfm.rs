//! ESTARFM against predictions that the author's programs and ImageFusion made from the same images, with the rules made equal.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use stfusion_tests::{all_below, listed, rmsd, shared, stored, Files};

/// Parameters as (id, text).
type Settings<'a> = &'a [(&'a str, &'a str)];

/// Rules of the author's program, in reflectance.
const AUTHOR: Settings<'_> = &[
    ("data_range", "0 1"),
    ("regression_gate", "change"),
    ("conversion", "window"),
    ("significance_test", "gate"),
    ("few_similar", "increment"),
];

/// What ImageFusion writes where a fine value is outside its data range; here such a value is a value.
const NODATA: f64 = -9999.0;

fn boreas(test: &str) -> Option<Files> {
    let folder = shared(test, "data/04_boreas_estarfm")?;
    let mut files = Files::new(&folder, 1e-4, "coarse30m_2001-07-11.tif", None, "2001-07-11").unwrap();
    for day in ["2001-05-24", "2001-08-12"] {
        files = files.with_pair(&format!("fine_{day}.tif"), &format!("coarse30m_{day}.tif"), None, day).unwrap();
    }
    Some(files)
}

/// Difference from a golden image per band in stored units, after `round`ing our values as that program does.
fn difference(golden: &str, settings: Settings<'_>, more: Settings<'_>, round: fn(f64) -> f64) -> Option<Vec<f64>> {
    let files = boreas(golden)?;
    let folder = shared(golden, "golden/classical")?;
    let settings: Vec<_> = settings.iter().chain(more).copied().collect();
    let ours = files.predict("estarfm", &settings, false).unwrap().image.mapv(|v| round(f64::from(v) * 1e4));
    let golden_image = stored(&folder.join(format!("{golden}.tif"))).unwrap().mapv(|v| if v == NODATA { f64::NAN } else { v });
    let differences = rmsd(&ours, &golden_image, 1.0);
    let largest = ours.iter().zip(&golden_image).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(golden_image.iter().filter(|v| v.is_nan()).count() < 100);
    println!("{golden}: RMSD {}, largest difference {largest}", listed(&differences));
    Some(differences)
}

#[test]
fn the_authors_program_is_reproduced_up_to_its_truncation() {
    let Some(differences) = difference("boreas400_estarfm_idl", AUTHOR, &[], f64::trunc) else { return };
    assert!(all_below(&differences, &[1.0; 3]), "{}", listed(&differences));
}

#[test]
fn the_fast_variant_is_reproduced_up_to_ties() {
    let nearest = [("selection", "nearest"), ("similar_pixels", "20")];
    let Some(differences) = difference("boreas400_estarfm_fast_py", AUTHOR, &nearest, |v| v) else { return };
    assert!(all_below(&differences, &[1.0; 3]), "{}", listed(&differences));
}

/// Rules of ImageFusion, without a data range.
const IMAGEFUSION: Settings<'_> =
    &[("classes", "4"), ("inclusive", "true"), ("flat_correlation", "1"), ("significance_test", "gate"), ("few_similar", "copy")];

#[test]
fn imagefusion_is_reproduced_up_to_its_truncation() {
    let cases: [(&str, Settings<'_>); 2] = [
        ("boreas400_if_estarfm", &[("regression_gate", "none")]),
        ("boreas400_if_estarfm_range_0_10000", &[("regression_gate", "deviation"), ("data_range", "0 1")]),
    ];
    for (golden, settings) in cases {
        let Some(differences) = difference(golden, IMAGEFUSION, settings, f64::trunc) else { return };
        assert!(all_below(&differences, &[1.0; 3]), "{golden}: {}", listed(&differences));
    }
}
