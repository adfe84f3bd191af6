//! What opening a scene refuses, warns of, and finds out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it unwraps")]

mod common;

use common::{failure, field, job, layer, open, open_with, region, Raster};
use ndarray::s;
use stfusion_core::method::{ExtraImage, Layer, Scene};
use stfusion_core::source::{GridOptions, ImageSource, MaskSource, PairSource, TargetSource};
use stfusion_core::{Cancel, Date, ErrorKind, Region};
use stfusion_raster::{RasterScene, SceneSource};
use tempfile::tempdir;

const FINE_CRS: &str = "EPSG:32633";
const PLACE: [f64; 6] = [500_000.0, 30.0, 0.0, 5_000_000.0, 0.0, -30.0];

#[test]
fn units_that_differ_by_ten_thousand_are_refused_unless_told_otherwise() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Float32", (2, 40, 40), |b, r, c| field(b, r, c) / 1e4).write(folder.path().join("f.tif"));
    let coarse = Raster::new("Int16", (2, 4, 4), field).write(folder.path().join("c.tif"));
    let (mut pairs, mut target) = job(&fine, &coarse, &coarse);
    let (message, hint) = failure(open(&pairs, &target));
    assert!(message.contains("f.tif and ") && message.contains("c.tif differ: band 1 is 0.0"), "{message}");
    assert!(message.ends_with("a factor of about 10000"), "{message}");
    assert!(hint.starts_with(&format!("Give {coarse} \"scale\": 0.0001 in the job")), "{hint}");
    let ignoring = GridOptions { ignore_units: true, ..GridOptions::default() };
    assert!(open_with(&pairs, &target, &ignoring).is_ok());
    pairs[0].coarse.scale = Some(1e-4);
    let (message, hint) = failure(open(&pairs, &target));
    assert!(
        message.contains("c.tif differ") && hint.starts_with(&format!("Give {coarse} \"scale\": 0.0001")),
        "{message} {hint}"
    );
    target.coarse.scale = Some(1e-4);
    assert!(open(&pairs, &target).is_ok());
}

#[test]
fn an_image_without_a_valid_pixel_is_refused() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (1, 40, 40), field).nodata(-9999.0).write(folder.path().join("f.tif"));
    let empty = Raster::new("Int16", (1, 40, 40), |_, _, _| -9999.0).nodata(-9999.0).write(folder.path().join("empty.tif"));
    let coarse = Raster::new("Int16", (1, 4, 4), field).write(folder.path().join("c.tif"));
    let nothing = Raster::new("Float32", (1, 4, 4), |_, _, _| f64::NAN).write(folder.path().join("nan.tif"));
    let clouds = Raster::new("Byte", (1, 40, 40), |_, _, _| 1.0).write(folder.path().join("clouds.tif"));
    let (pairs, target) = job(&empty, &coarse, &coarse);
    let (message, hint) = failure(open(&pairs, &target));
    assert_eq!(message, format!("{empty}: no pixel is valid: all are nodata or out of range"));
    assert!(hint.contains("valid_range"));
    let (pairs, target) = job(&fine, &coarse, &nothing);
    assert_eq!(
        failure(open(&pairs, &target)).0,
        format!("{nothing}: no pixel over the fine image is valid: all are nodata or out of range")
    );
    let (mut pairs, target) = job(&fine, &coarse, &coarse);
    pairs[0].fine_mask = Some(MaskSource::file(clouds.as_str(), None));
    let (message, _) = failure(open(&pairs, &target));
    assert_eq!(message, format!("{fine}: no pixel is valid: all are nodata, out of range, or ruled out by the mask {clouds}"));
}

#[test]
fn a_single_valid_pixel_far_from_the_sample_is_found() {
    let folder = tempdir().unwrap();
    let fine =
        Raster::new("Int16", (2, 1200, 900), |b, r, c| if (b, r, c) == (0, 399, 899) || b == 1 { 1500.0 } else { -9999.0 })
            .nodata(-9999.0)
            .write(folder.path().join("f.tif"));
    let half = Raster::new("Int16", (2, 1200, 900), |b, _, _| if b == 0 { 1500.0 } else { -9999.0 })
        .nodata(-9999.0)
        .write(folder.path().join("half.tif"));
    let coarse = Raster::new("Int16", (2, 12, 9), |_, _, _| 1400.0).write(folder.path().join("c.tif"));
    let (pairs, target) = job(&fine, &coarse, &coarse);
    assert!(open(&pairs, &target).is_ok());
    let (pairs, target) = job(&half, &coarse, &coarse);
    let scene = open(&pairs, &target).unwrap();
    let expected = format!("{half}: band 2 has no valid pixel; the prediction will have none either");
    assert!(scene.warnings().contains(&expected), "{:?}", scene.warnings());
}

#[test]
fn modis_fill_without_nodata_stops_the_scene() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (1, 40, 40), field).write(folder.path().join("f.tif"));
    let coarse = Raster::new("Int16", (1, 4, 4), |b, r, c| if r == 0 && c == 0 { -28672.0 } else { field(b, r, c) })
        .write(folder.path().join("c.tif"));
    let (mut pairs, mut target) = job(&fine, &coarse, &coarse);
    let (message, hint) = failure(open(&pairs, &target));
    assert!(message.contains("c.tif: band 1 holds -28672") && hint.contains("\"nodata\": -28672"), "{message}");
    pairs[0].coarse.nodata = Some(-28672.0);
    target.coarse.nodata = Some(-28672.0);
    let values = layer(&open(&pairs, &target).unwrap(), Layer::Target);
    assert!(values.slice(s![0, ..10, ..10]).iter().all(|v| v.is_nan()) && values.iter().all(|v| v.is_nan() || *v >= 0.0));
}

#[test]
fn bands_are_matched_mapped_or_refused() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (3, 20, 20), |b, _, _| [500.0, 800.0, 2500.0][b])
        .names(&["green", "red", "nir"])
        .write(folder.path().join("f.tif"));
    let modis = Raster::new("Int16", (4, 2, 2), |b, _, _| [810.0, 2510.0, 300.0, 510.0][b]);
    let known = modis.write(folder.path().join("MOD09GA.A2020186.tif"));
    let named =
        Raster { names: ["sur_refl_b01", "sur_refl_b02", "sur_refl_b03", "sur_refl_b04"].map(String::from).to_vec(), ..modis };
    let named = named.write(folder.path().join("MOD09GA.A2020187.tif"));
    let first = |path: &str, grid: &GridOptions| {
        let (pairs, target) = job(&fine, path, path);
        open_with(&pairs, &target, grid)
            .map(|scene| region(&scene, Layer::Target, Region::new(3, 3, 1, 1)).into_raw_vec_and_offset().0)
    };
    assert_eq!(first(&named, &GridOptions::default()).unwrap(), [510.0, 810.0, 2510.0]);
    let (message, hint) = failure(first(&known, &GridOptions::default()));
    assert!(
        message.ends_with("has 4 bands, and nothing says which belong together") && hint.contains("\"grid\": {\"bands\""),
        "{message}"
    );
    let map = GridOptions { bands: Some(vec![[3, 2], [1, 4]]), ..GridOptions::default() };
    assert_eq!(first(&known, &map).unwrap(), [2510.0, 510.0]);
    let (pairs, target) = job(&fine, &known, &known);
    let scene = open_with(&pairs, &target, &map).unwrap();
    assert_eq!(scene.fine_info().bands.iter().map(|b| b.description.as_str()).collect::<Vec<_>>(), ["nir", "green"]);
    assert_eq!(scene.info().bands, 2);
    assert_eq!(region(&scene, Layer::Fine(0), Region::new(0, 0, 1, 1)).into_raw_vec_and_offset().0, [2500.0, 500.0]);
    let (mut pairs, mut target) = job(&fine, &known, &known);
    pairs[0].coarse.bands = Some(vec![4, 1, 2]);
    target.coarse.bands = Some(vec![4, 1, 2]);
    let scene = open(&pairs, &target).unwrap();
    assert!(scene.warnings().iter().any(|w| w.contains("are taken in their order")), "{:?}", scene.warnings());
    assert_eq!(region(&scene, Layer::Target, Region::new(0, 0, 1, 1)).into_raw_vec_and_offset().0, [510.0, 810.0, 2510.0]);
}

#[test]
fn fine_images_must_share_one_grid() {
    let folder = tempdir().unwrap();
    let at = |name: &str, x: f64, n: usize| {
        let place = [x, 30.0, 0.0, 5_000_000.0, 0.0, -30.0];
        Raster::new("Int16", (1, n, n), field).at(place, FINE_CRS).write(folder.path().join(name))
    };
    let coarse = Raster::new("Int16", (1, 20, 20), field)
        .at([499_000.0, 300.0, 0.0, 5_001_000.0, 0.0, -300.0], FINE_CRS)
        .write(folder.path().join("c.tif"));
    let (first, moved, larger) = (at("f1.tif", 500_000.0, 50), at("f2.tif", 500_015.0, 50), at("f3.tif", 500_000.0, 60));
    let nearly = at("f4.tif", 500_000.2, 50);
    let with = |second: &str| {
        let (mut pairs, target) = job(&first, &coarse, &coarse);
        pairs.push(PairSource {
            fine: ImageSource::file(second),
            coarse: ImageSource::file(coarse.as_str()),
            ..PairSource::default()
        });
        open(&pairs, &target)
    };
    assert_eq!(with(&nearly).unwrap().info().pairs.len(), 2);
    let (message, hint) = failure(with(&moved));
    assert_eq!(message, format!("{moved} has the size of the first fine image, {first}, but lies elsewhere"));
    assert!(hint.contains("gdalwarp -t_srs … -te 500000 4998500 501500 5000000 -ts 50 50"), "{hint}");
    let (message, _) = failure(with(&larger));
    assert_eq!(message, format!("{larger} is 60 x 60 pixels (columns x rows), but the first fine image, {first}, is 50 x 50"));
}

#[test]
fn days_come_from_the_job_the_names_or_the_metadata() {
    let folder = tempdir().unwrap();
    let mut fine = Raster::new("Int16", (1, 20, 20), field);
    fine.metadata = vec![("ACQUISITION_DATE".into(), "2020-07-04".into())];
    let fine = fine.write(folder.path().join("fine.tif"));
    let coarse = Raster::new("Int16", (1, 2, 2), field);
    let (c1, c2) = (coarse.write(folder.path().join("c_20200705.tif")), coarse.write(folder.path().join("c.A2020200.tif")));
    let (mut pairs, target) = job(&fine, &c1, &c2);
    let scene = open(&pairs, &target).unwrap();
    let day = |text: &str| text.parse::<Date>().ok();
    assert_eq!((scene.info().pairs[0].date, scene.info().target_date), (day("2020-07-04"), day("2020-07-18")));
    assert_eq!(scene.info().gap_days(0), Some(-14));
    assert_eq!(scene.warnings(), [format!("{c1} seems to be of 2020-07-05, but its pair {fine} of 2020-07-04")]);
    pairs[0].date = day("2020-07-06");
    let scene = open(&pairs, &TargetSource { date: day("2020-08-01"), ..target }).unwrap();
    assert_eq!((scene.info().pairs[0].date, scene.info().target_date), (day("2020-07-06"), day("2020-08-01")));
    assert_eq!(scene.warnings(), [format!("{fine} seems to be of 2020-07-04, but the job says 2020-07-06")]);
}

#[test]
fn masks_of_another_grid_are_read_by_position_and_dilated_on_their_own_grid() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (2, 60, 60), field).at(PLACE, FINE_CRS).write(folder.path().join("f.tif"));
    let coarse = Raster::new("Int16", (2, 6, 6), field)
        .at([500_000.0, 300.0, 0.0, 5_000_000.0, 0.0, -300.0], FINE_CRS)
        .write(folder.path().join("c.tif"));
    // 20 x 20 mask pixels of 90 m; cloud (bit 3) in one of them, Landsat's clear code elsewhere.
    let mask = Raster::new("UInt16", (1, 20, 20), |_, r, c| if (r, c) == (7, 11) { 22280.0 } else { 21824.0 })
        .at([500_000.0, 90.0, 0.0, 5_000_000.0, 0.0, -90.0], FINE_CRS)
        .write(folder.path().join("qa.tif"));
    for dilate_px in [0usize, 2] {
        let (mut pairs, target) = job(&fine, &coarse, &coarse);
        pairs[0].fine_mask = Some(MaskSource { dilate_px, ..MaskSource::file(mask.as_str(), Some("landsat_c2")) });
        let scene = open(&pairs, &target).unwrap();
        let whole = layer(&scene, Layer::Fine(0));
        for ((_, r, c), v) in whole.indexed_iter() {
            let masked = (r / 3).abs_diff(7) <= dilate_px && (c / 3).abs_diff(11) <= dilate_px;
            assert_eq!(v.is_nan(), masked, "{dilate_px}: {r} {c}");
        }
        for part in Region::whole(60, 60).blocks(7, 9) {
            let piece = region(&scene, Layer::Fine(0), part);
            let window = s![.., part.row..part.row + part.rows, part.col..part.col + part.cols];
            assert_eq!(common::bits(piece.view()), common::bits(whole.slice(window)), "{part:?}");
        }
    }
}

#[test]
fn masks_say_what_is_wrong_with_them() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (1, 60, 60), field).write(folder.path().join("f.tif"));
    let coarse = Raster::new("Int16", (1, 6, 6), field).write(folder.path().join("c.tif"));
    let mask = Raster::new("Byte", (1, 60, 60), |_, r, _| if r < 30 { 1.0 } else { 0.0 }).write(folder.path().join("m.tif"));
    let odd = Raster::new("Byte", (1, 50, 60), |_, _, _| 0.0).write(folder.path().join("odd.tif"));
    let with = |mask: MaskSource| {
        let (mut pairs, target) = job(&fine, &coarse, &coarse);
        pairs[0].fine_mask = Some(mask);
        open(&pairs, &target)
    };
    let plain = MaskSource::file(mask.as_str(), None);
    let upper = layer(&with(plain.clone()).unwrap(), Layer::Fine(0));
    assert!(upper.indexed_iter().all(|((_, r, _), v)| v.is_nan() == (r < 30)));
    let lower = layer(&with(MaskSource { valid_is_nonzero: true, ..plain.clone() }).unwrap(), Layer::Fine(0));
    assert!(lower.indexed_iter().all(|((_, r, _), v)| v.is_nan() == (r >= 30)));
    let unknown = with(MaskSource { preset: Some("landsat".into()), ..plain.clone() }).unwrap_err();
    assert_eq!(
        (unknown.kind(), unknown.message()),
        (ErrorKind::Parameter, format!("{mask}: \"landsat\" is no mask preset").as_str())
    );
    assert!(unknown.hint().unwrap().contains("landsat_c2") && unknown.hint().unwrap().contains("hls_fmask"));
    let (message, _) = failure(with(MaskSource { valid_is_nonzero: true, preset: Some("s2_scl".into()), ..plain.clone() }));
    assert!(message.contains("valid_is_nonzero and a preset exclude each other"), "{message}");
    let (message, _) = failure(with(MaskSource { band: 2, ..plain }));
    assert!(message.ends_with("band 2 was asked for, but there are 1 band"), "{message}");
    let (message, _) = failure(with(MaskSource::file(odd.as_str(), None)));
    assert!(message.contains("f.tif is 60 x 60") && message.contains("odd.tif is 60 x 50"), "{message}");
}

#[test]
fn a_panchromatic_image_is_brought_onto_the_fine_grid_with_its_scale() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (2, 30, 30), field).write(folder.path().join("f.tif"));
    let coarse = Raster::new("Int16", (2, 3, 3), field).write(folder.path().join("c.tif"));
    // pixels of two fine ones
    let pan = Raster::new("Int16", (2, 15, 15), |b, r, c| (1000 * b + 20 * r + 2 * c) as f64).write(folder.path().join("p.tif"));
    let (mut pairs, target) = job(&fine, &coarse, &coarse);
    let source = ImageSource { scale: Some(0.5), ..ImageSource::file(pan.as_str()) };
    pairs[0].pan = Some(source.clone());
    let scene = open(&pairs, &target).unwrap();
    assert!(scene.info().pairs[0].has(ExtraImage::Panchromatic));
    let values = layer(&scene, Layer::Extra(ExtraImage::Panchromatic, 0));
    assert_eq!(values.dim(), (1, 30, 30));
    for r in 1..29 {
        for c in 1..29 {
            // linear between the centres of its pixels
            let at = |fine: usize| (fine as f32 - 0.5) / 2.0;
            let expected = 0.5 * (20.0 * at(r) + 2.0 * at(c));
            assert!((values[(0, r, c)] - expected).abs() < 1e-4, "{r} {c}: {} instead of {expected}", values[(0, r, c)]);
        }
    }
    pairs[0].pan = Some(ImageSource { bands: Some(vec![1, 2]), ..source });
    let (message, _) = failure(open(&pairs, &target));
    assert!(message.ends_with("2 bands were chosen for the panchromatic image"), "{message}");
}

#[test]
fn label_maps_are_read_as_they_are() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (2, 30, 30), field).write(folder.path().join("f.tif"));
    let coarse = Raster::new("Int16", (2, 3, 3), field).write(folder.path().join("c.tif"));
    let classes = Raster::new("Byte", (1, 30, 30), |_, r, c| ((r / 7 + c / 5) % 4) as f64)
        .nodata(3.0)
        .scale(0.1)
        .write(folder.path().join("k.tif"));
    let (mut pairs, target) = job(&fine, &coarse, &coarse);
    let objects =
        Raster::new("UInt32", (1, 30, 30), |_, r, c| (16_777_000 + 10 * r + c / 10) as f64).write(folder.path().join("o.tif"));
    pairs[0].classes = Some(ImageSource::file(classes));
    pairs[0].objects = Some(ImageSource::file(objects));
    let scene = open(&pairs, &target).unwrap();
    assert!(scene.info().pairs[0].has(ExtraImage::Classes) && scene.info().pairs[0].has(ExtraImage::Objects));
    let objects = layer(&scene, Layer::Extra(ExtraImage::Objects, 0));
    assert!(objects.indexed_iter().all(|((_, r, c), v)| *v == (16_777_000 + 10 * r + c / 10) as f32));
    let values = layer(&scene, Layer::Extra(ExtraImage::Classes, 0));
    for ((_, r, c), v) in values.indexed_iter() {
        let class = ((r / 7 + c / 5) % 4) as f32;
        assert!(if class == 3.0 { v.is_nan() } else { *v == class }, "{r} {c}: {v}");
    }
}

#[test]
fn a_job_without_pairs_and_a_cancelled_opening() {
    let (pairs, target) = job("f.tif", "c.tif", "c.tif");
    assert_eq!(failure(open(&[], &target)).0, "The job has no pair");
    assert_eq!(failure(open(&pairs, &target)).0, "f.tif: no such file");
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (1, 20, 20), field).write(folder.path().join("f.tif"));
    let coarse = Raster::new("Int16", (1, 2, 2), field).write(folder.path().join("c.tif"));
    let (pairs, target) = job(&fine, &coarse, &coarse);
    let cancel = Cancel::new();
    cancel.request();
    let source = SceneSource { pairs: &pairs, target: &target, grid: &GridOptions::default() };
    assert_eq!(RasterScene::open(&source, &cancel).unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn threads_read_a_scene_alike() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (2, 400, 300), field).at(PLACE, FINE_CRS).write(folder.path().join("f.tif"));
    let coarse = Raster::new("Int16", (2, 60, 60), field)
        .at([1_176_000.0, 463.3127, 0.0, 5_022_500.0, 0.0, -463.3127], common::SINUSOIDAL)
        .write(folder.path().join("c.tif"));
    let (pairs, target) = job(&fine, &coarse, &coarse);
    let scene = open(&pairs, &target).unwrap();
    let expected = [Layer::Fine(0), Layer::Target].map(|l| layer(&scene, l));
    std::thread::scope(|scope| {
        for t in 0..6usize {
            let (scene, expected) = (&scene, &expected);
            scope.spawn(move || {
                for k in 0..30usize {
                    let part = Region::new((t * 41 + k * 13) % 300, (t * 29 + k * 37) % 200, 71, 83);
                    let window = s![.., part.row..part.row + part.rows, part.col..part.col + part.cols];
                    for (l, whole) in [Layer::Fine(0), Layer::Target].into_iter().zip(expected) {
                        assert_eq!(common::bits(region(scene, l, part).view()), common::bits(whole.slice(window)));
                    }
                }
            });
        }
    });
}
