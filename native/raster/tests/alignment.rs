//! Coarse images of another grid or CRS on the fine grid.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it unwraps")]

mod common;

use std::process::Command;

use common::{bits, failure, field, job, layer, open, open_with, real_data, region, Raster, SINUSOIDAL};
use ndarray::{s, Array3};
use stfusion_core::method::{Layer, Scene};
use stfusion_core::source::{GridOptions, ImageSource, MaskSource, Resampling};
use stfusion_core::Region;
use stfusion_raster::{Image, RasterScene};
use tempfile::{tempdir, TempDir};

const FINE_CRS: &str = "EPSG:32633";

/// A fine image of 30 m in UTM and coarse ones of 463.3 m in MODIS's sinusoidal projection around it, with a hole.
struct Sinusoidal {
    _folder: TempDir,
    fine: String,
    coarse: String,
}

fn sinusoidal(rows: usize, cols: usize) -> Sinusoidal {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (2, rows, cols), field)
        .at([500_000.0, 30.0, 0.0, 5_000_000.0, 0.0, -30.0], FINE_CRS)
        .nodata(-9999.0)
        .write(folder.path().join("fine.tif"));
    // 15 degrees east, 45.15 degrees north in sinusoidal coordinates.
    let (x, y) = (1_176_000.0, 5_022_500.0);
    let side = 463.312_716_5;
    let hole = |r: usize, c: usize| (18..20).contains(&r) && (22..24).contains(&c);
    let coarse = Raster::new("Int16", (2, 90, 120), |b, r, c| if hole(r, c) { -28672.0 } else { field(b, r, c) })
        .at([x, side, 0.0, y, 0.0, -side], SINUSOIDAL)
        .nodata(-28672.0)
        .write(folder.path().join("coarse.tif"));
    Sinusoidal { _folder: folder, fine, coarse }
}

fn scene(images: &Sinusoidal, resampling: Resampling) -> RasterScene {
    let (pairs, target) = job(&images.fine, &images.coarse, &images.coarse);
    let grid = GridOptions { coarse_resampling: Some(resampling), ..GridOptions::default() };
    open_with(&pairs, &target, &grid).unwrap()
}

#[test]
fn the_result_does_not_depend_on_the_region_asked_for() {
    let images = sinusoidal(301, 417);
    for resampling in [Resampling::Nearest, Resampling::Bilinear, Resampling::Cubic] {
        let whole = layer(&scene(&images, resampling), Layer::Target);
        assert!(whole.iter().any(|v| v.is_nan()), "the hole must be seen");
        for (rows, cols) in [(1, 417), (301, 1), (7, 5), (64, 64), (100, 333)] {
            let scene = scene(&images, resampling);
            let mut pieces = Array3::zeros(whole.dim());
            for part in Region::whole(301, 417).blocks(rows, cols).into_iter().rev() {
                let window = s![.., part.row..part.row + part.rows, part.col..part.col + part.cols];
                pieces.slice_mut(window).assign(&region(&scene, Layer::Target, part));
            }
            assert_eq!(bits(pieces.view()), bits(whole.view()), "{resampling:?} {rows} x {cols}");
        }
    }
}

#[test]
fn warping_agrees_with_gdalwarp() {
    if Command::new("gdalwarp").arg("--version").output().is_err() {
        println!("SKIP warping_agrees_with_gdalwarp: no gdalwarp");
        return;
    }
    let images = sinusoidal(301, 417);
    for (resampling, name, largest, allowed) in [
        (Resampling::Nearest, "near", 0.0, 0.001),
        (Resampling::Bilinear, "bilinear", 0.02, 0.0),
        (Resampling::Cubic, "cubic", 0.02, 0.0),
    ] {
        let warped = images._folder.path().join(format!("{name}.tif"));
        let status = Command::new("gdalwarp")
            .args([
                "-q",
                "-overwrite",
                "-et",
                "0",
                "-t_srs",
                FINE_CRS,
                "-tr",
                "30",
                "30",
                "-te",
                "500000",
                "4990970",
                "512510",
                "5000000",
            ])
            .args(["-r", name, "-ot", "Float32", "-dstnodata", "nan", &images.coarse, warped.to_str().unwrap()])
            .status()
            .unwrap();
        assert!(status.success());
        let expected = Image::open(&ImageSource::file(warped.to_str().unwrap())).unwrap().read_all().unwrap();
        let ours = layer(&scene(&images, resampling), Layer::Target);
        assert_eq!(ours.dim(), expected.dim());
        let (mut different, mut worst, mut compared) = (0usize, 0.0f32, 0usize);
        for (a, b) in ours.iter().zip(&expected) {
            match (a.is_nan(), b.is_nan()) {
                (true, true) => {}
                (false, false) => {
                    compared += 1;
                    if (a - b).abs() > largest {
                        different += 1;
                    }
                    worst = worst.max((a - b).abs());
                }
                _ => different += 1,
            }
        }
        // A centre on the border of two coarse pixels may fall to either.
        let part = different as f64 / ours.len() as f64;
        println!("{name}: {compared} compared, largest difference {worst}, {:.3} % beyond {largest}", 100.0 * part);
        assert!(compared > ours.len() * 9 / 10 && part <= allowed, "{name}: {part} differ, worst {worst}");
    }
}

#[test]
fn alignment_is_reported() {
    let images = sinusoidal(301, 417);
    let scene = scene(&images, Resampling::Bilinear);
    let alignment = &scene.alignments()[0];
    assert!(alignment.crs_differs && !alignment.by_corner && !alignment.same_grid && alignment.coverage == 1.0);
    // The projection is sheared away from its central meridian: a step of 30 m east is 30 m in x, one north moves x too.
    assert!((alignment.scale.1 - 463.3127 / 30.0).abs() < 0.1, "{alignment:?}");
    let text = alignment.to_string();
    assert!(text.contains("one coarse pixel is 15.4") && text.ends_with("in another CRS, bilinear resampling"), "{text}");
    assert!(scene.info().scale.is_some_and(|s| (12.0..16.0).contains(&s)), "{:?}", scene.info().scale);
    assert!(scene.held_bytes() > 0 && scene.held_bytes() < 1 << 20, "{}", scene.held_bytes());
}

#[test]
fn a_whole_ratio_without_georeference_is_linear_between_centres() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Float32", (1, 12, 16), |_, r, c| 50.0 + (r * 16 + c) as f64).write(folder.path().join("f.tif"));
    let coarse = Raster::new("Float32", (1, 3, 4), |_, r, c| 50.0 + (r * 64 + c * 4) as f64).write(folder.path().join("c.tif"));
    let (pairs, target) = job(&fine, &coarse, &coarse);
    let scene = open(&pairs, &target).unwrap();
    assert_eq!(scene.info().scale, Some(4.0));
    assert!(scene.alignments()[0]
        .to_string()
        .ends_with("is 4 x 4 fine pixels, aligned at the upper-left corner, bilinear resampling"));
    let values = layer(&scene, Layer::Target);
    for ((_, r, c), v) in values.indexed_iter() {
        let (y, x) = (((r as f32 + 0.5) / 4.0 - 0.5).clamp(0.0, 2.0), ((c as f32 + 0.5) / 4.0 - 0.5).clamp(0.0, 3.0));
        assert!((v - (50.0 + y * 64.0 + x * 4.0)).abs() < 1e-4, "{r} {c}: {v}");
    }
    let grid = GridOptions { coarse_resampling: Some(Resampling::Nearest), ..GridOptions::default() };
    let values = layer(&open_with(&pairs, &target, &grid).unwrap(), Layer::Coarse(0));
    assert!(values.indexed_iter().all(|((_, r, c), v)| *v == 50.0 + (r / 4 * 64 + c / 4 * 4) as f32));
}

#[test]
fn a_coarse_image_on_the_fine_grid_is_used_as_it_is() {
    let folder = tempdir().unwrap();
    let place = [600_000.0, 30.0, 0.0, 4_900_000.0, 0.0, -30.0];
    let moved = [600_000.1, 30.0, 0.0, 4_899_999.9, 0.0, -30.0];
    let fine = Raster::new("Int16", (1, 40, 30), field).at(place, FINE_CRS).write(folder.path().join("f.tif"));
    let coarse = Raster::new("Float32", (1, 40, 30), |b, r, c| field(b, r, c) * 1.01 + 0.1)
        .at(moved, FINE_CRS)
        .write(folder.path().join("c.tif"));
    let (pairs, target) = job(&fine, &coarse, &coarse);
    let scene = open(&pairs, &target).unwrap();
    assert!(scene.alignments()[0].same_grid && scene.info().scale.is_none());
    let stored = Image::open(&ImageSource::file(coarse)).unwrap().read_all().unwrap();
    assert_eq!(layer(&scene, Layer::Target), stored);
}

#[test]
fn a_mask_of_the_coarse_image_acts_before_resampling() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (1, 80, 80), field).write(folder.path().join("f.tif"));
    let cloud = |r: usize, c: usize| r == 4 && c == 5;
    let coarse = Raster::new("Int16", (1, 8, 8), |b, r, c| if cloud(r, c) { 9000.0 } else { 900.0 + field(b, r, c) % 7.0 })
        .write(folder.path().join("c.tif"));
    let mask =
        Raster::new("UInt16", (1, 8, 8), |_, r, c| f64::from(u8::from(cloud(r, c)))).write(folder.path().join("state.tif"));
    let (mut pairs, mut target) = job(&fine, &coarse, &coarse);
    let source = MaskSource::file(mask, Some("mod09_state_1km"));
    pairs[0].coarse_mask = Some(source.clone());
    target.coarse_mask = Some(source);
    let values = layer(&open(&pairs, &target).unwrap(), Layer::Target);
    for ((_, r, c), v) in values.indexed_iter() {
        assert_eq!(v.is_nan(), cloud(r / 10, c / 10), "{r} {c}");
        assert!(v.is_nan() || (899.0..910.0).contains(v), "the cloud reaches {r} {c}: {v}");
    }
}

#[test]
fn uncovered_pixels_are_invalid_and_counted() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (1, 60, 60), field)
        .at([0.0, 30.0, 0.0, 1800.0, 0.0, -30.0], FINE_CRS)
        .write(folder.path().join("f.tif"));
    let coarse = Raster::new("Int16", (1, 6, 6), field)
        .at([450.0, 300.0, 0.0, 1800.0, 0.0, -300.0], FINE_CRS)
        .write(folder.path().join("c.tif"));
    let (pairs, target) = job(&fine, &coarse, &coarse);
    let scene = open(&pairs, &target).unwrap();
    let warning = format!("{coarse} covers 75.0 % of the fine image; the rest cannot be predicted from it");
    assert_eq!(scene.warnings(), [warning]);
    let values = layer(&scene, Layer::Coarse(0));
    assert!(values.indexed_iter().all(|((_, _, c), v)| v.is_nan() == (c < 15)));
    assert!(scene.alignments()[0].to_string().ends_with("covers 75.0 % of the fine image"));
}

#[test]
fn images_that_cannot_be_brought_together_say_why() {
    let folder = tempdir().unwrap();
    let at = |x: f64, crs: &str, name: &str, side: f64, n: usize| {
        Raster::new("Int16", (1, n, n), field).at([x, side, 0.0, 5_000_000.0, 0.0, -side], crs).write(folder.path().join(name))
    };
    let fine = at(500_000.0, FINE_CRS, "f.tif", 30.0, 100);
    let far = at(700_000.0, FINE_CRS, "far.tif", 300.0, 10);
    let (pairs, target) = job(&fine, &far, &far);
    let (message, hint) = failure(open(&pairs, &target));
    assert!(
        message.contains("f.tif and ")
            && message.contains("far.tif have no pixel in common: the first covers x 500000 to 503000"),
        "{message}"
    );
    assert!(message.contains("WGS 84 / UTM zone 33N (longitude 15.00 to 15.04, latitude 45.13 to 45.15)"), "{message}");
    assert!(hint.contains("wrong CRS or georeference"), "{hint}");

    let wrong = at(500_000.0, "EPSG:32733", "wrong.tif", 300.0, 10);
    let (pairs, target) = job(&fine, &wrong, &wrong);
    let (message, _) = failure(open(&pairs, &target));
    assert!(message.contains("no pixel in common") && message.contains("WGS 84 / UTM zone 33S"), "{message}");

    let plain = Raster::new("Int16", (1, 33, 33), field).write(folder.path().join("plain.tif"));
    let (pairs, target) = job(&fine, &plain, &plain);
    let (message, hint) = failure(open(&pairs, &target));
    assert!(
        message.contains("f.tif is 100 x 100 pixels (columns x rows) and") && message.contains("plain.tif has no georeference"),
        "{message}"
    );
    assert!(hint.contains("whole number of fine pixels"));

    let local = at(500_000.0, "LOCAL_CS[\"a plan\",UNIT[\"metre\",1]]", "local.tif", 300.0, 10);
    let (pairs, target) = job(&fine, &local, &local);
    let (message, hint) = failure(open(&pairs, &target));
    assert!(
        message.contains("local.tif (a plan) cannot be brought onto the grid of") && hint.contains("gdal_edit.py -a_srs"),
        "{message}"
    );

    let (pairs, target) = job(&at(500_000.0, FINE_CRS, "coarse.tif", 300.0, 10), &fine, &fine);
    let (message, hint) = failure(open(&pairs, &target));
    assert!(message.contains("a coarse pixel is only 0.10 x 0.10 fine pixels") && hint.contains("swapped"), "{message}");
}

#[test]
fn a_missing_crs_is_taken_from_the_other_image_with_a_warning() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (1, 60, 60), field)
        .at([0.0, 30.0, 0.0, 1800.0, 0.0, -30.0], FINE_CRS)
        .write(folder.path().join("f.tif"));
    let mut coarse = Raster::new("Int16", (1, 6, 6), field).at([0.0, 300.0, 0.0, 1800.0, 0.0, -300.0], FINE_CRS);
    coarse.crs = None;
    let coarse = coarse.write(folder.path().join("c.tif"));
    let (pairs, target) = job(&fine, &coarse, &coarse);
    let scene = open(&pairs, &target).unwrap();
    assert_eq!(scene.warnings(), [format!("{coarse} does not say its CRS: taken to be that of {fine}")]);
    assert!((scene.info().scale.unwrap() - 10.0).abs() < 1e-12);
}

#[test]
fn longitudes_may_count_from_zero_to_360() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (1, 50, 50), field)
        .at([-75.0, 0.001, 0.0, 40.0, 0.0, -0.001], "EPSG:4326")
        .write(folder.path().join("f.tif"));
    // NAD27 differs from WGS 84, so that the two are really transformed.
    let coarse = Raster::new("Int16", (1, 30, 30), field)
        .at([284.9, 0.01, 0.0, 40.1, 0.0, -0.01], "EPSG:4267")
        .write(folder.path().join("c.tif"));
    let (pairs, target) = job(&fine, &coarse, &coarse);
    let scene = open(&pairs, &target).unwrap();
    assert!((scene.info().scale.unwrap() - 10.0).abs() < 0.01);
    assert!(layer(&scene, Layer::Target).iter().all(|v| v.is_finite()));
}

#[test]
fn tiny_images_work() {
    let folder = tempdir().unwrap();
    for (rows, cols) in [(1, 1), (1, 7), (5, 3)] {
        let fine = Raster::new("Int16", (1, rows, cols), field)
            .at([500_000.0, 30.0, 0.0, 5_000_000.0, 0.0, -30.0], FINE_CRS)
            .write(folder.path().join("f.tif"));
        let coarse = Raster::new("Int16", (1, 3, 3), |_, _, _| 1234.0)
            .at([499_500.0, 500.0, 0.0, 5_000_500.0, 0.0, -500.0], FINE_CRS)
            .write(folder.path().join("c.tif"));
        let (pairs, target) = job(&fine, &coarse, &coarse);
        let scene = open(&pairs, &target).unwrap();
        assert!(layer(&scene, Layer::Target).iter().all(|v| *v == 1234.0), "{rows} x {cols}");
    }
}

#[test]
fn real_coarse_images_lie_where_their_manifest_says() {
    let Some(data) = real_data("real_coarse_images_lie_where_their_manifest_says") else { return };
    let name = |p: &str| data.join(p).to_str().unwrap().to_string();
    for (fine, coarse, bands, scale) in [
        ("01_saltonsea_nir/fine_2020-10-02.tif", "01_saltonsea_nir/coarse_daily_20201001_20201231.tif", Some(vec![2]), 7.0),
        ("03_lgc_flood/fine_2004-11-26.tif", "03_lgc_flood/coarse_2004-11-26.tif", None, 16.0),
        ("07_cia_tssstf_r20/fine_t1.tif", "07_cia_tssstf_r20/coarse_t1.tif", None, 20.0),
        (
            "08_shennongjia_ndvi/fine_ndvi_2015287.tif",
            "08_shennongjia_ndvi/coarse_mod13_ndvi_240m_23x16day_2015.tif",
            Some(vec![18]),
            8.0,
        ),
        ("10_lst_yanco/fine_2016-02-05.tif", "10_lst_yanco/coarse_2016-02-05.tif", None, 10.0),
        (
            "16_cia_fsdaf2016_window_50m/fine_2001-11-25.tif",
            "16_cia_fsdaf2016_window_50m/coarse_sim500m_2001-11-25.tif",
            None,
            10.0,
        ),
    ] {
        let (mut pairs, mut target) = job(&name(fine), &name(coarse), &name(coarse));
        pairs[0].coarse.bands.clone_from(&bands);
        target.coarse.bands = bands;
        let scene = open(&pairs, &target).unwrap();
        assert_eq!(scene.info().scale.map(|s| (s * 1e9).round() / 1e9), Some(scale), "{fine}");
        assert_eq!(scene.alignments()[0].coverage, 1.0);
        // The fine image averaged over coarse pixels is close to the coarse image: the two are of the same place.
        let grid = GridOptions { coarse_resampling: Some(Resampling::Nearest), ..GridOptions::default() };
        let scene = open_with(&pairs, &target, &grid).unwrap();
        let (f, c) = (layer(&scene, Layer::Fine(0)), layer(&scene, Layer::Coarse(0)));
        let r = scale as usize;
        let mut means = Vec::new();
        for (fb, cb) in f.outer_iter().zip(c.outer_iter()) {
            for block in Region::whole(fb.nrows(), fb.ncols()).blocks(r, r) {
                let values = fb.slice(s![block.row..block.row + block.rows, block.col..block.col + block.cols]);
                let (mean, coarse) = (values.mean().unwrap(), cb[[block.row, block.col]]);
                if mean.is_finite() && coarse.is_finite() {
                    means.push((f64::from(mean), f64::from(coarse)));
                }
            }
        }
        let n = means.len() as f64;
        let (mx, my) = (means.iter().map(|m| m.0).sum::<f64>() / n, means.iter().map(|m| m.1).sum::<f64>() / n);
        let (sxy, sxx, syy) = means.iter().fold((0.0, 0.0, 0.0), |(a, b, c), (x, y)| {
            (a + (x - mx) * (y - my), b + (x - mx) * (x - mx), c + (y - my) * (y - my))
        });
        let correlation = sxy / (sxx * syy).sqrt();
        println!("{fine}: correlation {correlation:.3}");
        assert!(correlation > 0.6, "{fine}: {correlation}");
    }
}
