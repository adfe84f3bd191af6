//! SPSTFM against the output and the error of ImageFusion on the same images.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use stfusion_tests::{all_below, listed, rmsd, shared, stored, Files};

/// RMSE of ImageFusion's prediction, in stored units.
const PEER: [f64; 3] = [62.9, 58.1, 151.6];

fn boreas(test: &str) -> Option<Files> {
    let folder = shared(test, "data/04_boreas_estarfm")?;
    let mut files = Files::new(&folder, 1e-4, "coarse30m_2001-07-11.tif", None, "2001-07-11").unwrap();
    for day in ["2001-05-24", "2001-08-12"] {
        files = files.with_pair(&format!("fine_{day}.tif"), &format!("coarse30m_{day}.tif"), None, day).unwrap();
    }
    Some(files)
}

#[test]
fn the_error_is_below_that_of_imagefusion_with_the_same_parameters() {
    let test = "the_error_is_below_that_of_imagefusion_with_the_same_parameters";
    let (Some(files), Some(folder)) = (boreas(test), shared(test, "golden/classical")) else { return };
    let golden = stored(&folder.join("boreas400_if_spstfm.tif")).unwrap();
    let truth = files.unscaled("fine_2001-07-11.tif").unwrap();
    let theirs = rmsd(&(&golden * 1e-4), &truth, 1e4);
    assert!(theirs.iter().zip(PEER).all(|(a, b)| (a - b).abs() < 0.1), "{}", listed(&theirs));
    let settings = [("dictionary_size", "256"), ("training_patches", "2000"), ("patch", "7"), ("overlap", "2")];
    let image = files.predict("spstfm", &settings, false).unwrap().image.mapv(f64::from);
    assert!(image.iter().all(|v| v.is_finite()));
    let errors = rmsd(&image, &truth, 1e4);
    let difference = rmsd(&(&image * 1e4), &golden, 1.0);
    println!("RMSE {} | of ImageFusion {} | RMSD between them {}", listed(&errors), listed(&theirs), listed(&difference));
    assert!(all_below(&errors, &PEER), "{}", listed(&errors));
    // the two agree far better with each other than either with the truth
    assert!(all_below(&difference, &[25.0, 25.0, 100.0]), "{}", listed(&difference));
}

#[test]
fn the_error_is_below_that_of_copying_either_pair() {
    let Some(files) = boreas("the_error_is_below_that_of_copying_either_pair") else { return };
    let truth = files.unscaled("fine_2001-07-11.tif").unwrap();
    let image = files.predict("spstfm", &[], false).unwrap().image.mapv(f64::from);
    let errors = rmsd(&image, &truth, 1e4);
    for day in ["2001-05-24", "2001-08-12"] {
        let copy = rmsd(&files.unscaled(&format!("fine_{day}.tif")).unwrap(), &truth, 1e4);
        assert!(all_below(&errors, &copy), "{} against copying {day}: {}", listed(&errors), listed(&copy));
    }
}

#[test]
fn vegetation_index_of_cloudy_images_is_predicted_better_than_by_copying() {
    let test = "vegetation_index_of_cloudy_images_is_predicted_better_than_by_copying";
    let Some(folder) = shared(test, "data/08_shennongjia_ndvi") else { return };
    let coarse = "coarse_mod13_ndvi_240m_23x16day_2015.tif";
    // day of year, and the 16-day composite that holds it
    for [before, target, after] in [[191, 216, 248], [216, 248, 287], [216, 287, 360]] {
        let composite = |day: usize| Some((day - 1) / 16 + 1);
        let date = |day: usize| format!("2015-{day:03}");
        let mut files = Files::new(&folder, 1e-4, coarse, composite(target), &date(target)).unwrap();
        for day in [before, after] {
            files = files.with_pair(&format!("fine_ndvi_2015{day}.tif"), coarse, composite(day), &date(day)).unwrap();
            if day != 287 {
                files = files.with_mask(&format!("fine_fmask_2015{day}.tif"));
            }
        }
        let mut truth = files.unscaled(&format!("fine_ndvi_2015{target}.tif")).unwrap();
        if target != 287 {
            let mask = stored(&folder.join(format!("fine_fmask_2015{target}.tif"))).unwrap();
            truth.zip_mut_with(&mask, |value, &class| *value = if class == 0.0 { *value } else { f64::NAN });
        }
        let error = |method: &str| {
            let image = files.predict(method, &[], false).unwrap().image.mapv(f64::from);
            rmsd(&image, &truth, 1e4)
        };
        let [ours, copy, line, increment] = ["spstfm", "nearest_pair", "linear_in_time", "coarse_increment"].map(error);
        println!(
            "day {target} from {before} and {after}: RMSE x 10^4 {} | nearest pair {} | linear in time {} | increment {}",
            listed(&ours),
            listed(&copy),
            listed(&line),
            listed(&increment)
        );
        assert!(all_below(&ours, &copy) && all_below(&ours, &line), "day {target}: {}", listed(&ours));
    }
}
