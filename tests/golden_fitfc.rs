//! Fit-FC against predictions that the author's MATLAB program and ImageFusion made from the same images, with the rules made equal.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use ndarray::{s, Array3};
use stfusion_tests::{all_below, listed, rmsd, shared, stored, Files};

/// The author's rules: similarity in red and near infrared, 20 of 41 x 41 pixels.
const AUTHOR: &[(&str, &str)] =
    &[("regression", "coarse"), ("regression_window", "5"), ("window", "41"), ("similarity_bands", "2 3")];

fn lower_gwydir(test: &str) -> Option<Files> {
    let folder = shared(test, "data/03_lgc_flood")?;
    let files = Files::new(&folder, 1.0, "coarse_2004-12-28.tif", None, "2004-12-28").unwrap();
    Some(files.with_pair("fine_2004-11-26.tif", "coarse_2004-11-26.tif", None, "2004-11-26").unwrap())
}

/// The prediction in stored units, from images in stored units: integers, among which equally similar pixels are frequent.
fn ours(files: &Files, settings: &[(&str, &str)]) -> Array3<f64> {
    files.predict("fitfc", settings, false).unwrap().image.mapv(f64::from)
}

/// The image without a rim.
fn interior(image: &Array3<f64>, rim: usize) -> Array3<f64> {
    let (_, rows, cols) = image.dim();
    image.slice(s![.., rim..rows - rim, rim..cols - rim]).to_owned()
}

#[test]
fn the_authors_program_is_reproduced() {
    let test = "the_authors_program_is_reproduced";
    let (Some(files), Some(folder)) = (lower_gwydir(test), shared(test, "golden/classical")) else { return };
    type Settings<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Settings<'_>); 3] = [
        ("Z1", &[("neighbours", "1"), ("residual", "false")]),
        ("Z2", &[("neighbours", "1")]),
        ("Z", &[("neighbours", "20"), ("ties", "columns"), ("border", "replicate")]),
    ];
    for (name, settings) in cases {
        let settings: Vec<_> = AUTHOR.iter().chain(settings).copied().collect();
        let (ours, golden) = (ours(&files, &settings), stored(&folder.join(format!("lgc480_fitfc_matlab_{name}.tif"))).unwrap());
        let difference = rmsd(&ours, &golden, 1.0);
        println!("{name}: RMSD {}", listed(&difference));
        assert!(all_below(&difference, &[0.01; 3]), "{name}: {}", listed(&difference));
    }
}

#[test]
fn imagefusion_differs_little() {
    let test = "imagefusion_differs_little";
    let (Some(data), Some(folder)) = (shared(test, "data/04_boreas_estarfm"), shared(test, "golden/classical")) else { return };
    let files = Files::new(&data, 1.0, "coarse30m_2001-07-11.tif", None, "2001-07-11").unwrap();
    let files = files.with_pair("fine_2001-05-24.tif", "coarse30m_2001-05-24.tif", None, "2001-05-24").unwrap();
    let settings =
        [("regression", "fine"), ("regression_window", "1.7"), ("window", "51"), ("neighbours", "10"), ("scale", "30")];
    let (ours, golden) = (ours(&files, &settings), stored(&folder.join("boreas400_if_fitfc.tif")).unwrap());
    // two cells: there the two ways of interpolating the residual towards the border meet
    let rim = 60;
    let (all, inner) = (rmsd(&ours, &golden, 1.0), rmsd(&interior(&ours, rim), &interior(&golden, rim), 1.0));
    println!("ImageFusion: RMSD {}, without a rim of {rim} pixels {}", listed(&all), listed(&inner));
    assert!(all_below(&inner, &[1.5, 2.0, 4.5]), "{}", listed(&inner));
    assert!(all_below(&all, &[2.5, 2.5, 9.0]), "{}", listed(&all));
}
