//! FSDAF against the prediction of the author's program from the same images and class map, and against published errors.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use stfusion_core::method::ExtraImage;
use stfusion_tests::{all_below, listed, rmsd, shared, stored, Files};

#[test]
fn the_authors_program_is_reproduced_up_to_its_truncation() {
    let test = "the_authors_program_is_reproduced_up_to_its_truncation";
    let (Some(folder), Some(golden)) = (shared(test, "data/03_lgc_flood"), shared(test, "golden/classical")) else { return };
    let files = Files::new(&folder, 1e-4, "coarse_2004-12-28.tif", None, "2004-12-28")
        .and_then(|f| f.with_pair("fine_2004-11-26.tif", "coarse_2004-11-26.tif", None, "2004-11-26"))
        .map(|f| f.with_extra_image(ExtraImage::Classes, "class_2004-11-26.tif"))
        .unwrap();
    let rules = [("homogeneity_window", "window"), ("data_range", "0 1")];
    let ours = files.predict("fsdaf", &rules, false).unwrap().image.mapv(|v| (f64::from(v) * 1e4).trunc());
    let theirs = stored(&golden.join("lgc480_fsdaf_idl.tif")).unwrap();
    let differences = rmsd(&ours, &theirs, 1.0);
    let near = ours.iter().zip(&theirs).filter(|(a, b)| (*a - *b).abs() <= 1.0).count() as f64 / ours.len() as f64;
    println!("lgc480_fsdaf_idl: RMSD {}, {:.2} % of the pixels within 1", listed(&differences), 100.0 * near);
    assert!(all_below(&differences, &[0.4, 0.5, 0.8]), "{}", listed(&differences));
    assert!(near > 0.995, "{near}");
}

#[test]
fn fsdaf_is_near_the_published_error_and_better_than_the_increment() {
    let test = "fsdaf_is_near_the_published_error_and_better_than_the_increment";
    let Some(folder) = shared(test, "data/16_cia_fsdaf2016_window_50m") else { return };
    let files = Files::new(&folder, 1e-4, "coarse_sim500m_2002-01-12.tif", None, "2002-01-12")
        .and_then(|f| f.with_pair("fine_2001-11-25.tif", "coarse_sim500m_2001-11-25.tif", None, "2001-11-25"))
        .unwrap();
    let truth = files.unscaled("fine_2002-01-12.tif").unwrap();
    let error = |method| rmsd(&files.predict(method, &[], false).unwrap().image.mapv(f64::from), &truth, 1e4);
    let (errors, increment) = (error("fsdaf"), error("coarse_increment"));
    // Zhu et al. (2016), Table 3, row FSDAF, at 25 m; 15 % for the other resolution
    let limits = [0.014, 0.022, 0.034, 0.045, 0.044, 0.035].map(|v| v * 1.15 * 1e4);
    println!(
        "Coleambally: RMSE x 10^4 of FSDAF {} | limits {} | increment {}",
        listed(&errors),
        listed(&limits),
        listed(&increment)
    );
    assert!(all_below(&errors, &limits), "{} against {}", listed(&errors), listed(&limits));
    assert!(all_below(&errors, &increment), "{} against {}", listed(&errors), listed(&increment));
}
