//! Input that cannot be used: each message names the file, the value, the expectation and the remedy, and nothing is left.

use std::fs;

use crate::place::*;

#[test]
fn a_missing_file_is_named() {
    let place = Place::new();
    place.refuses(&["--pair", "fine=f1.tif,coarse=nowhere.tif"], 1, &["nowhere.tif"], "");
    place.refuses(&["--target", "coarse=/vsizip/nowhere.zip/c.tif"], 1, &["/vsizip/nowhere.zip/c.tif"], "");
}

#[test]
fn a_file_that_is_no_raster_is_named() {
    let place = Place::new();
    fs::write(place.path("notes.txt"), "not an image").unwrap();
    place.refuses(&["--pair", "fine=notes.txt,coarse=c1.tif"], 1, &["notes.txt"], "");
}

#[test]
fn different_numbers_of_bands_are_refused_with_both() {
    let place = Place::new();
    Raster { bands: 3, ..coarse(first_day) }.write(&place.path("three.tif"));
    place.refuses(&["--pair", "fine=f1.tif,coarse=three.tif"], 1, &["f1.tif", "2", "three.tif", "3"], "bands");
    place.refuses(&["--target", "coarse=three.tif"], 1, &["three.tif", "3", "2"], "bands");
}

#[test]
fn a_band_that_does_not_exist_is_named() {
    let place = Place::new();
    place.refuses(&["--bands", "1=1,2=7"], 1, &["7", "2"], "");
}

#[test]
fn images_without_overlap_are_refused() {
    let place = Place::new();
    Raster { corner: (CORNER.0 + 1e6, CORNER.1), ..coarse(second_day) }.write(&place.path("far.tif"));
    place.refuses(&["--target", "coarse=far.tif"], 1, &["far.tif", "f1.tif", "no pixel in common", "x 1500000 to 1503600"], "");
}

#[test]
fn images_without_place_must_have_a_whole_ratio() {
    let place = Place::new();
    Raster { pixel_m: None, ..fine() }.write(&place.path("f.tif"));
    Raster { pixel_m: None, rows: 7, cols: 7, ..coarse(first_day) }.write(&place.path("c.tif"));
    let images = ["--pair", "fine=f.tif,coarse=c.tif", "--target", "coarse=c.tif"];
    place.refuses(&images, 1, &["c.tif", "7 x 7", "120 x 120"], "georeference");
    Raster { pixel_m: None, ..coarse(first_day) }.write(&place.path("c.tif"));
    place.fuse(&[&images[..], &["-o", "out.tif"]].concat()).succeeded();
}

#[test]
fn a_wrong_crs_is_refused() {
    let place = Place::new();
    // metres called degrees
    Raster { epsg: Some(4326), ..coarse(second_day) }.write(&place.path("degrees.tif"));
    place.refuses(&["--target", "coarse=degrees.tif"], 1, &["degrees.tif"], "CRS");
    Raster { epsg: Some(32634), ..fine() }.write(&place.path("other_zone.tif"));
    place.refuses(
        &["--pair", "fine=f1.tif,coarse=c1.tif", "--pair", "fine=other_zone.tif,coarse=c1.tif"],
        1,
        &["other_zone.tif", "f1.tif"],
        "",
    );
}

#[test]
fn images_of_nodata_alone_are_refused() {
    let place = Place::new();
    Raster { value: |_, _, _| -9999.0, ..coarse(first_day) }.write(&place.path("empty.tif"));
    place.refuses(&["--target", "coarse=empty.tif"], 1, &["empty.tif"], "nodata");
    Raster { value: |_, _, _| -9999.0, ..fine() }.write(&place.path("empty.tif"));
    place.refuses(&["--pair", "fine=empty.tif,coarse=c1.tif"], 1, &["empty.tif"], "nodata");
}

#[test]
fn dates_that_do_not_exist_are_refused() {
    let place = Place::new();
    for date in ["2001-02-30", "2001-366", "tomorrow", "12001-01-01"] {
        let target = format!("coarse=c2.tif,date={date}");
        place.refuses(&["--target", &target], 2, &["--target", date, "is not a date"], "YYYY-MM-DD");
    }
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let place = Place::new();
    for (window, expected) in
        [("50", "odd whole number; got 50"), ("-3", "got -3"), ("0", "got 0"), ("501", "301 fine pixels; got 501")]
    {
        let parameter = format!("window={window}");
        place.refuses(&["--method", "starfm", "--param", &parameter], 2, &["--param", "Window size", expected], "window=");
    }
}

#[test]
fn a_window_larger_than_the_image_is_refused() {
    let place = Place::new();
    let options = ["--method", "starfm", "--param", "window=301"];
    place.refuses(&options, 1, &["Window size 301", "120 x 120 fine pixels"], "window=119");
    let options = ["--method", "starfm", "--param", "window=119", "-o", "out.tif"];
    place.fuse(&options).succeeded();
    assert!(stored(&place.path("out.tif"), 1).iter().all(|v| (0.0..1.0).contains(v)));
}

#[test]
fn one_pixel_is_an_image() {
    let place = Place::new();
    let value = |_, _, _| 0.25;
    Raster { rows: 1, cols: 1, value, ..fine() }.write(&place.path("f.tif"));
    Raster { rows: 1, cols: 1, value, ..coarse(value) }.write(&place.path("c.tif"));
    let images = ["--pair", "fine=f.tif,coarse=c.tif", "--target", "coarse=c.tif"];
    let starfm = [&["--method", "starfm"], &images[..]].concat();
    place.refuses(&starfm, 1, &["Window size 51", "1 x 1 fine pixels"], "window=1 ");
    for method in [&["coarse_increment"][..], &["nearest_pair"], &["starfm", "--param", "window=1"]] {
        let options = [&images[..], &["-o", "out.tif", "--overwrite", "--method"], method].concat();
        place.fuse(&options).succeeded();
        assert_eq!(stored(&place.path("out.tif"), 1), [0.25], "{method:?}");
    }
}

#[test]
fn an_image_smaller_than_a_coarse_pixel_is_predicted() {
    let place = Place::new();
    Raster { rows: 4, cols: 5, ..fine() }.write(&place.path("small.tif"));
    place.fuse(&["--pair", "fine=small.tif,coarse=c1.tif", "-o", "out.tif"]).succeeded();
    let predicted = stored(&place.path("out.tif"), 1);
    assert_eq!(predicted.len(), 20);
    assert!(predicted.iter().all(|v| (0.0..1.0).contains(v)), "{predicted:?}");
}

#[test]
fn nan_and_infinity_are_invalid_and_stay_where_they_are() {
    let place = Place::new();
    let value = |band, down: f64, right: f64| match (down, right) {
        (down, right) if down < 0.1 && right < 0.1 => f64::NAN,
        (down, right) if down > 0.9 && right > 0.9 => f64::INFINITY,
        _ => first_day(band, down, right),
    };
    Raster { value, ..fine() }.write(&place.path("holes.tif"));
    place.fuse(&["--method", "starfm", "-p", "window=21", "--pair", "fine=holes.tif,coarse=c1.tif", "-o", "out.tif"]).succeeded();
    let predicted = stored(&place.path("out.tif"), 1);
    let holes = predicted.iter().filter(|v| !(0.0..1.0).contains(*v)).collect::<Vec<_>>();
    assert_eq!(holes.len(), 2 * 12 * 12);
    assert!(holes.iter().all(|v| **v == -9999.0), "{:?}", holes[0]);
}

#[test]
fn the_fill_of_modis_products_is_no_value() {
    let place = Place::new();
    let value = |band, down: f64, right: f64| if down < 0.2 { -2.8672 } else { second_day(band, down, right) };
    let filled = Raster { nodata: None, value, ..coarse(second_day) };
    filled.write_int16(&place.path("undeclared.tif"), 10_000.0);
    Raster { nodata: Some(-28672.0), ..filled }.write_int16(&place.path("declared.tif"), 10_000.0);
    coarse(first_day).write_int16(&place.path("c.tif"), 10_000.0);
    fine().write_int16(&place.path("f.tif"), 10_000.0);
    let pair = "fine=f.tif,coarse=c.tif";
    place.refuses(
        &["--pair", pair, "--target", "coarse=undeclared.tif"],
        1,
        &["undeclared.tif", "-28672", "nodata"],
        "a_nodata -28672",
    );
    place.fuse(&["--pair", pair, "--target", "coarse=declared.tif", "-o", "out.tif"]).succeeded();
    let predicted = stored(&place.path("out.tif"), 1);
    let holes: Vec<_> = predicted.iter().filter(|v| !(0.0..10_000.0).contains(*v)).collect();
    assert!(!holes.is_empty() && holes.len() < predicted.len() / 2, "{}", holes.len());
    assert!(holes.iter().all(|v| **v == -9999.0), "{holes:?}");
}

#[test]
fn units_that_differ_stop_the_job_with_the_fix() {
    let place = Place::new();
    Raster { nodata: None, ..coarse(first_day) }.write_int16(&place.path("c1k.tif"), 10_000.0);
    Raster { nodata: None, ..coarse(second_day) }.write_int16(&place.path("c2k.tif"), 10_000.0);
    let images = ["--pair", "fine=f1.tif,coarse=c1k.tif", "--target", "coarse=c2k.tif"];
    let run = place.refuses(&images, 1, &["c1k.tif", "f1.tif"], "0.0001");
    assert!(run.stderr.contains("ignore"), "{run:?}");
    let run = place.fuse(&[&images[..], &["--ignore-units", "-o", "out.tif"]].concat()).succeeded();
    assert!(run.stderr.contains("warning"), "{run:?}");
}

#[test]
fn masks_and_presets_that_do_not_exist_are_named() {
    let place = Place::new();
    let pair = "fine=f1.tif,coarse=c1.tif,fine_mask=nomask.tif";
    place.refuses(&["--pair", pair], 1, &["nomask.tif"], "");
    let pair = "fine=f1.tif,coarse=c1.tif,fine_mask=f1.tif,fine_mask_preset=spot";
    place.refuses(&["--pair", pair], 1, &["spot"], "landsat_c2");
    let pair = "fine=f1.tif,coarse=c1.tif,fine_mask_preset=landsat_c2";
    place.refuses(&["--pair", pair], 2, &["fine_mask_preset"], "fine_mask=FILE");
}

#[test]
fn what_the_command_line_lacks_is_a_usage_error() {
    let place = Place::new();
    place.run(&["fuse"]).refused(2, &["No method"], "starfm");
    place.run(&["fuse", "--method", "starfm"]).refused(2, &["No pair"], "--pair fine=");
    place.run(&["fuse", "--method", "starfm", "--pair", "fine=f1.tif,coarse=c1.tif"]).refused(
        2,
        &["No target"],
        "--target coarse=",
    );
    place.fuse(&[]).refused(2, &["No output"], "-o FILE");
    place.fuse(&["-o", "out.tif", "--device", "abacus"]).refused(2, &["--device abacus", "cuda:N"], "auto");
    place.fuse(&["-o", "out.tif", "--memory", "3"]).refused(2, &["--memory 3", "1 MiB"], "GiB");
    place.fuse(&["-o", "out.tif", "--ot", "Int12"]).refused(1, &["Int12"], "");
    for wrong in [&["fuse", "--windwo", "3"][..], &["fuze"], &["fuse", "--method", "starfmm"], &["fuse", "--of", "PNG"], &[]] {
        let run = place.run(wrong);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:?}");
    }
    assert!(place.run(&["fuze"]).stderr.starts_with("stfusion: error: unrecognized subcommand 'fuze'"));
    assert_eq!(place.names().len(), 3);
}
