//! Methods on real images: better than copying, near what has been published, and open about the coarse increment.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use ndarray::Array3;
use stfusion_core::method::Family;
use stfusion_core::source::Resampling;
use stfusion_tests::{all_below, listed, rmsd, shared, Files};

/// A place: the job, the truth, and the fine images that a copy could take.
struct Place {
    name: &'static str,
    files: Files,
    truth: Array3<f64>,
    copies: Vec<Array3<f64>>,
    /// Whether the coarse images come resampled, so that the resampling makes no difference.
    on_fine_grid: bool,
}

fn place(name: &'static str, files: Files, truth: &str, copies: &[&str]) -> Place {
    let truth = files.unscaled(truth).unwrap();
    let copies = copies.iter().map(|c| files.unscaled(c).unwrap()).collect();
    Place { name, files, truth, copies, on_fine_grid: false }
}

fn lower_gwydir(test: &str) -> Option<Place> {
    let folder = shared(test, "data/03_lgc_flood")?;
    let files = Files::new(&folder, 1e-4, "coarse_2004-12-28.tif", None, "2004-12-28")
        .and_then(|f| f.with_pair("fine_2004-11-26.tif", "coarse_2004-11-26.tif", None, "2004-11-26"))
        .unwrap();
    Some(place("Lower Gwydir, flood", files, "fine_2004-12-28.tif", &["fine_2004-11-26.tif"]))
}

fn coleambally(test: &str) -> Option<Place> {
    let folder = shared(test, "data/16_cia_fsdaf2016_window_50m")?;
    let files = Files::new(&folder, 1e-4, "coarse_sim500m_2002-01-12.tif", None, "2002-01-12")
        .and_then(|f| f.with_pair("fine_2001-11-25.tif", "coarse_sim500m_2001-11-25.tif", None, "2001-11-25"))
        .unwrap();
    Some(place("Coleambally", files, "fine_2002-01-12.tif", &["fine_2001-11-25.tif"]))
}

fn boreas(test: &str) -> Option<Place> {
    let folder = shared(test, "data/04_boreas_estarfm")?;
    let days = ["2001-05-24", "2001-08-12"];
    let mut files = Files::new(&folder, 1e-4, "coarse30m_2001-07-11.tif", None, "2001-07-11").unwrap();
    for day in days {
        files = files.with_pair(&format!("fine_{day}.tif"), &format!("coarse30m_{day}.tif"), None, day).unwrap();
    }
    let place = place("Boreas, two pairs", files, "fine_2001-07-11.tif", &["fine_2001-05-24.tif", "fine_2001-08-12.tif"]);
    Some(Place { on_fine_grid: true, ..place })
}

const SALTON_SEA_COARSE: &str = "coarse_daily_20201001_20201231.tif";

fn salton_sea(test: &str, pair: &str, band: usize) -> Option<Files> {
    let folder = shared(test, "data/01_saltonsea_nir")?;
    let files = Files::new(&folder, 1.0, SALTON_SEA_COARSE, Some(41), "2020-11-10")
        .and_then(|f| f.with_pair(&format!("fine_{pair}.tif"), SALTON_SEA_COARSE, Some(band), pair))
        .unwrap();
    Some(files)
}

fn shennongjia(test: &str) -> Option<Place> {
    let folder = shared(test, "data/08_shennongjia_ndvi")?;
    let coarse = "coarse_mod13_ndvi_240m_23x16day_2015.tif";
    let mut files = Files::new(&folder, 1e-4, coarse, Some(18), "2015-10-14").unwrap();
    for (day, band, date) in [("2015216", 14, "2015-08-04"), ("2015360", 23, "2015-12-26")] {
        files = files
            .with_pair(&format!("fine_ndvi_{day}.tif"), coarse, Some(band), date)
            .map(|f| f.with_mask(&format!("fine_fmask_{day}.tif")))
            .unwrap();
    }
    Some(place("Shennongjia NDVI, two pairs", files, "fine_ndvi_2015287.tif", &["fine_ndvi_2015216.tif"]))
}

/// RMSE of a method's defaults per band, times 10,000.
fn error(place: &Place, method: &str) -> Vec<f64> {
    let image = place.files.predict(method, &[], false).unwrap().image.mapv(f64::from);
    rmsd(&image, &place.truth, 1e4)
}

/// Fails where a method's error is not below that of copying in some band; prints how it stands against the increment.
fn check_against_copying(place: &Place, method: &str) {
    let copies: Vec<Vec<f64>> = place.copies.iter().map(|c| rmsd(c, &place.truth, 1e4)).collect();
    let (errors, increment) = (error(place, method), error(place, "coarse_increment"));
    let skill: Vec<f64> = errors.iter().zip(&increment).map(|(e, i)| 1.0 - e / i).collect();
    let how = place.files.resampling.map_or("default resampling".to_string(), |r| format!("{r:?}"));
    println!(
        "{}, {how}: RMSE x 10^4 of {method} {} | increment {} | skill against it {}",
        place.name,
        listed(&errors),
        listed(&increment),
        listed(&skill)
    );
    for copy in &copies {
        assert!(all_below(&errors, copy), "{}, {how}: {method} {} against copying {}", place.name, listed(&errors), listed(copy));
    }
}

/// Ids of the methods that are no baselines and whose fewest pairs `pairs` admits.
fn fusions(pairs: impl Fn(usize) -> bool) -> Vec<&'static str> {
    let infos = stfusion_methods::all().iter().map(|m| m.info()).filter(|i| i.required_file().is_none());
    infos.filter(|i| i.family != Family::Baseline && pairs(i.min_pairs)).map(|i| i.id).collect()
}

#[test]
fn every_method_for_one_pair_beats_copying_in_every_band() {
    let test = "every_method_for_one_pair_beats_copying_in_every_band";
    let (Some(a), Some(b)) = (lower_gwydir(test), coleambally(test)) else { return };
    for place in [a, b] {
        fusions(|least| least == 1).iter().for_each(|method| check_against_copying(&place, method));
    }
}

#[test]
fn every_method_for_two_pairs_beats_copying_in_every_band() {
    let test = "every_method_for_two_pairs_beats_copying_in_every_band";
    let (Some(a), Some(b)) = (boreas(test), shennongjia(test)) else { return };
    for place in [a, b] {
        fusions(|least| least == 2).iter().for_each(|method| check_against_copying(&place, method));
    }
}

#[test]
fn starfm_beats_copying_however_the_coarse_images_are_resampled() {
    let test = "starfm_beats_copying_however_the_coarse_images_are_resampled";
    let (Some(a), Some(b), Some(c)) = (lower_gwydir(test), coleambally(test), boreas(test)) else { return };
    let Some(files) = salton_sea(test, "2020-10-02", 2) else { return };
    let d = place("Salton Sea", files, "fine_2020-11-10.tif", &["fine_2020-10-02.tif"]);
    for mut place in [a, b, c, d] {
        let ways: &[_] = if place.on_fine_grid { &[None] } else { &[None, Some(Resampling::Nearest), Some(Resampling::Cubic)] };
        for &resampling in ways {
            place.files.resampling = resampling;
            check_against_copying(&place, "starfm");
        }
    }
}

#[test]
fn starfm_is_near_the_published_error() {
    let Some(place) = coleambally("starfm_is_near_the_published_error") else { return };
    // Zhu et al. (2016), Table 3, row STARFM, at 25 m; 15 % for the other resolution
    let limits = [0.018, 0.028, 0.045, 0.061, 0.052, 0.041].map(|v| v * 1.15 * 1e4);
    let errors = error(&place, "starfm");
    println!("{}: RMSE x 10^4 of STARFM {} | limits {}", place.name, listed(&errors), listed(&limits));
    assert!(all_below(&errors, &limits), "{} against {}", listed(&errors), listed(&limits));
}

#[test]
fn gaps_of_the_pair_stay_gaps_and_lower_the_valid_fraction() {
    // the fine image of 2020-10-12 has 463 invalid pixels
    let Some(files) = salton_sea("gaps_of_the_pair_stay_gaps_and_lower_the_valid_fraction", "2020-10-12", 12) else { return };
    let fine = files.unscaled("fine_2020-10-12.tif").unwrap();
    let prediction = files.predict("starfm", &[("window", "15")], true).unwrap();
    let (similar, fraction) = prediction.support.unwrap();
    let gaps = fine.iter().filter(|v| v.is_nan()).count();
    assert_eq!(gaps, 463);
    let (_, rows, cols) = fine.dim();
    for row in 0..rows {
        for col in 0..cols {
            let at = (row, col);
            if fine[(0, row, col)].is_nan() {
                assert!(prediction.image[(0, row, col)].is_nan() && similar[at] == 0.0, "{at:?} is a gap");
            }
            let near = |n: usize, length: usize| n.saturating_sub(7)..(n + 8).min(length);
            let touched = near(row, rows).any(|r| near(col, cols).any(|c| fine[(0, r, c)].is_nan()));
            assert!(!touched || fraction[at] < 1.0, "{at:?}: the window holds a gap, the valid fraction is {}", fraction[at]);
        }
    }
}

#[test]
fn an_outlier_as_second_pair_costs_accuracy_which_only_the_truth_can_tell() {
    // 2020-11-26 is no image of the surface; the support layer counts it like any pair, since it knows dates and validity only
    let test = "an_outlier_as_second_pair_costs_accuracy_which_only_the_truth_can_tell";
    let Some(one) = salton_sea(test, "2020-10-02", 2) else { return };
    let both = salton_sea(test, "2020-10-02", 2)
        .and_then(|f| f.with_pair("fine_2020-11-26.tif", SALTON_SEA_COARSE, Some(57), "2020-11-26").ok())
        .unwrap();
    let outlier = salton_sea(test, "2020-11-26", 57).unwrap();
    let truth = one.unscaled("fine_2020-11-10.tif").unwrap();
    let error = |files: &Files| {
        let image = files.predict("starfm", &[], false).unwrap().image.mapv(f64::from);
        assert!(image.iter().all(|v| !v.is_infinite()));
        rmsd(&image, &truth, 1e4)[0]
    };
    let errors = [error(&one), error(&both), error(&outlier)];
    println!("Salton Sea, RMSE x 10^4 of STARFM: one pair, with the outlier, the outlier alone {}", listed(&errors));
    assert!(errors[1] < 0.6 * errors[2], "candidates of the good pair hold against the outlier: {}", listed(&errors));
    let (similar, fraction) = both.predict("starfm", &[], true).unwrap().support.unwrap();
    let (of_one, _) = one.predict("starfm", &[], true).unwrap().support.unwrap();
    let median = |values: ndarray::Array2<f32>| {
        let mut values: Vec<f32> = values.into_iter().filter(|v| v.is_finite()).collect();
        values.sort_by(f32::total_cmp);
        values[values.len() / 2]
    };
    assert!(median(similar) > median(of_one) && median(fraction) > 0.9);
}
