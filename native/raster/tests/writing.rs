//! Outputs: what is stored, what is declared, and what is left behind when something goes wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it unwraps")]

mod common;

use std::process::Command;

use common::{bits, failure, field, listing, Raster};
use gdal::{Dataset, Metadata};
use ndarray::{s, Array3};
use stfusion_core::source::{Format, ImageSource, OutputOptions};
use stfusion_core::{ErrorKind, Grid, Region};
use stfusion_raster::{check_output, check_output_is_no_input, describe, write_text, Image, OutputSpec, Writer};
use tempfile::tempdir;

const PLACE: [f64; 6] = [500_000.0, 30.0, 0.0, 5_000_000.0, 0.0, -30.0];

fn options(format: Format) -> OutputOptions {
    OutputOptions { format: Some(format), ..OutputOptions::default() }
}

/// Writes an image in tiles of `side` pixels.
fn write(path: &str, spec: &OutputSpec, image: &Array3<f32>, side: usize) -> stfusion_core::Result<()> {
    let mut writer = Writer::create(path, spec)?;
    for part in Region::whole(spec.grid.rows, spec.grid.cols).blocks(side, side) {
        writer.write(part, image.slice(s![.., part.row..part.row + part.rows, part.col..part.col + part.cols]))?;
    }
    writer.finish(&mut |_| true)
}

#[test]
fn an_unchanged_image_is_stored_as_the_fine_image_was() {
    let folder = tempdir().unwrap();
    for (data_type, scale, offset, nodata) in [
        ("Int16", Some(1e-4), None, Some(-9999.0)),
        ("Int16", None, None, None),
        ("UInt16", Some(0.0000275), Some(-0.2), Some(0.0)),
        ("Byte", None, None, Some(0.0)),
        ("Int32", Some(0.01), None, None),
        ("UInt32", None, None, Some(0.0)),
        ("Float32", None, None, Some(f64::NAN)),
        ("Float64", None, None, Some(-1.0)),
    ] {
        for format in [Format::GTiff, Format::Cog] {
            let value = |b: usize, r: usize, c: usize| {
                if data_type == "Byte" {
                    1.0 + (field(b, r, c) % 250.0).floor()
                } else {
                    field(b, r, c)
                }
            };
            let invalid = nodata.filter(|n: &f64| !n.is_nan()).unwrap_or(f64::NAN);
            let hole = |r: usize, c: usize| nodata.is_some() && r > 300 && c < 40;
            let mut raster = Raster::new(data_type, (3, 310, 275), |b, r, c| if hole(r, c) { invalid } else { value(b, r, c) })
                .at(PLACE, "EPSG:32633")
                .names(&["green", "red", "nir"]);
            (raster.scale, raster.offset, raster.nodata) = (scale, offset, nodata);
            raster.colors = vec!["Green", "Red", "Undefined"];
            raster.band_metadata = vec![("wavelength".into(), "0.56".into()), ("STATISTICS_MEAN".into(), "7".into())];
            let source = ImageSource::file(raster.write(folder.path().join("fine.tif")));
            let fine = Image::open(&source).unwrap();
            let image = fine.read_all().unwrap();
            let (mut spec, warnings) = OutputSpec::like(fine.info(), &options(format)).unwrap();
            assert!(warnings.is_empty(), "{warnings:?}");
            spec.metadata = vec![("STFUSION_METHOD".into(), "starfm".into())];
            spec.overwrite = true;
            let path = folder.path().join("out.tif").to_str().unwrap().to_string();
            write(&path, &spec, &image, 100).unwrap();

            let out = Image::open(&ImageSource::file(path.as_str())).unwrap();
            assert_eq!(bits(out.read_all().unwrap().view()), bits(image.view()), "{data_type} {format:?}");
            let (a, b) = (fine.info(), out.info());
            assert_eq!((a.grid.transform, a.grid.rows, a.grid.cols), (b.grid.transform, b.grid.rows, b.grid.cols));
            assert!(b.grid.crs.as_ref().unwrap().contains("UTM zone 33N"));
            for (x, y) in a.bands.iter().zip(&b.bands) {
                assert_eq!(
                    (&x.description, &x.data_type, x.scale, x.offset, &x.color),
                    (&y.description, &y.data_type, y.scale, y.offset, &y.color)
                );
                assert_eq!(y.wavelength_um, Some(0.56));
                assert!(y.metadata.iter().all(|(k, _)| k != "STATISTICS_MEAN"), "{:?}", y.metadata);
                let expected = nodata.unwrap_or(-9999.0);
                assert!(
                    matches!(y.nodata.as_slice(), [n] if *n == expected || n.is_nan() && expected.is_nan()),
                    "{:?}",
                    y.nodata
                );
                assert!(y.block == (256, 256) || format == Format::Cog && y.block == (512, 512), "{:?}", y.block);
            }
            assert!(b.metadata.iter().any(|(k, v)| k == "STFUSION_METHOD" && v == "starfm"));
            assert_eq!(listing(folder.path()), ["fine.tif", "out.tif"], "{data_type} {format:?}");
            std::fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn tiles_of_any_size_give_the_same_pixels() {
    let folder = tempdir().unwrap();
    let image =
        Array3::from_shape_fn((2, 530, 601), |(b, r, c)| if (r + c) % 97 == 0 { f32::NAN } else { field(b, r, c) as f32 });
    let mut spec = OutputSpec::support(&Grid::pixels(530, 601), &["similar_pixels", "valid_fraction"], &OutputOptions::default());
    spec.threads = 2;
    for side in [1000, 256, 512, 100, 37] {
        let path = folder.path().join(format!("{side}.tif")).to_str().unwrap().to_string();
        write(&path, &spec, &image, side).unwrap();
        let out = Image::open(&ImageSource::file(path)).unwrap();
        assert_eq!(bits(out.read_all().unwrap().view()), bits(image.view()), "{side}");
        assert_eq!(out.info().bands[1].description, "valid_fraction");
    }
}

#[test]
fn a_cog_is_one_and_has_overviews() {
    let folder = tempdir().unwrap();
    let image = Array3::from_shape_fn((2, 1100, 1300), |(b, r, c)| field(b, r, c) as f32 * 1e-4);
    let fine =
        Raster::new("Int16", (2, 1100, 1300), field).scale(1e-4).at(PLACE, "EPSG:32633").write(folder.path().join("fine.tif"));
    let (spec, _) = OutputSpec::like(&describe(&ImageSource::file(fine)).unwrap(), &options(Format::Cog)).unwrap();
    let path = folder.path().join("out.tif").to_str().unwrap().to_string();
    write(&path, &spec, &image, 512).unwrap();
    let dataset = Dataset::open(&path).unwrap();
    assert_eq!(dataset.metadata_item("LAYOUT", "IMAGE_STRUCTURE").as_deref(), Some("COG"));
    assert_eq!(dataset.metadata_item("COMPRESSION", "IMAGE_STRUCTURE").as_deref(), Some("DEFLATE"));
    assert!(dataset.rasterband(1).unwrap().overview_count().unwrap() >= 1);
    match Command::new("gdalinfo").arg(&path).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains("LAYOUT=COG") && text.contains("Offset: 0,   Scale:0.0001"), "{text}");
        }
        Err(_) => println!("SKIP gdalinfo: not installed"),
    }
    assert_eq!(listing(folder.path()), ["fine.tif", "out.tif"]);
}

#[test]
fn a_stopped_or_dropped_output_leaves_nothing() {
    let folder = tempdir().unwrap();
    let image = Array3::from_shape_fn((3, 1200, 1200), |(b, r, c)| field(b, r, c) as f32);
    let path = folder.path().join("out.tif").to_str().unwrap().to_string();
    for format in [Format::GTiff, Format::Cog] {
        let spec = OutputSpec::support(&Grid::pixels(1200, 1200), &["a", "b", "c"], &options(format));
        let mut writer = Writer::create(&path, &spec).unwrap();
        writer.write(Region::new(0, 0, 256, 1200), image.slice(s![.., 0..256, ..])).unwrap();
        assert!(listing(folder.path()).iter().all(|n| n.starts_with(".out.tif.stfusion-")), "{:?}", listing(folder.path()));
        drop(writer);
        assert!(listing(folder.path()).is_empty(), "{format:?}: {:?}", listing(folder.path()));
        for stop_after in [0, 1, 3] {
            let mut writer = Writer::create(&path, &spec).unwrap();
            writer.write(Region::whole(1200, 1200), image.view()).unwrap();
            let mut calls = 0;
            let error = writer.finish(&mut |_| {
                calls += 1;
                calls <= stop_after
            });
            if format == Format::GTiff && stop_after == 3 {
                error.unwrap();
                std::fs::remove_file(&path).unwrap();
            } else {
                assert_eq!(error.unwrap_err().kind(), ErrorKind::Cancelled, "{format:?} {stop_after}");
            }
            assert!(listing(folder.path()).is_empty(), "{format:?} {stop_after}: {:?}", listing(folder.path()));
        }
    }
}

#[test]
fn progress_of_a_cog_rises_to_one() {
    let folder = tempdir().unwrap();
    let spec = OutputSpec::support(&Grid::pixels(900, 900), &["a"], &options(Format::Cog));
    let path = folder.path().join("out.tif").to_str().unwrap().to_string();
    let mut writer = Writer::create(&path, &spec).unwrap();
    writer.write(Region::whole(900, 900), Array3::from_elem((1, 900, 900), 1.0).view()).unwrap();
    let mut fractions = Vec::new();
    writer
        .finish(&mut |f| {
            fractions.push(f);
            true
        })
        .unwrap();
    assert!(fractions.len() > 2 && fractions.windows(2).all(|w| w[0] <= w[1]) && fractions.last() == Some(&1.0), "{fractions:?}");
}

#[test]
fn existing_files_are_replaced_only_when_asked_and_completely() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("out.tif").to_str().unwrap().to_string();
    let mut spec = OutputSpec::support(&Grid::pixels(10, 10), &["a"], &OutputOptions::default());
    let image = |v: f32| Array3::from_elem((1, 10, 10), v);
    write(&path, &spec, &image(1.0), 10).unwrap();
    let error = Writer::create(&path, &spec).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Exists, format!("{path} exists").as_str()));
    assert!(error.hint().unwrap().contains("--overwrite"));
    std::fs::write(format!("{path}.aux.xml"), "<PAMDataset/>").unwrap();
    spec.overwrite = true;
    write(&path, &spec, &image(2.0), 10).unwrap();
    assert_eq!(Image::open(&ImageSource::file(path.as_str())).unwrap().read_all().unwrap(), image(2.0));
    assert_eq!(listing(folder.path()), ["out.tif"]);
    let mut writer =
        Writer::create(folder.path().join("late.tif").to_str().unwrap(), &OutputSpec { overwrite: false, ..spec }).unwrap();
    writer.write(Region::whole(10, 10), image(3.0).view()).unwrap();
    std::fs::write(folder.path().join("late.tif"), "someone else's").unwrap();
    assert_eq!(writer.finish(&mut |_| true).unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(std::fs::read_to_string(folder.path().join("late.tif")).unwrap(), "someone else's");
}

#[test]
fn places_that_cannot_be_written_are_named_before_any_work() {
    let folder = tempdir().unwrap();
    let name = |n: &str| folder.path().join(n).to_str().unwrap().to_string();
    let (message, hint) = failure(check_output(&name("missing/out.tif"), false));
    assert_eq!(message, format!("{}: the folder {} does not exist", name("missing/out.tif"), name("missing")));
    assert!(hint.contains("Create the folder"));
    let (message, _) = failure(check_output(folder.path().to_str().unwrap(), true));
    assert!(message.ends_with("is a folder"), "{message}");
    std::fs::write(name("file"), "").unwrap();
    let (message, _) = failure(check_output(&name("file/out.tif"), false));
    assert!(message.contains("file is not a folder") || message.contains("cannot be used"), "{message}");
    assert_eq!(failure(check_output(" ", false)).0, "The output has no name");
    let (message, hint) = failure(check_output("/vsizip/out.zip/out.tif", false));
    assert!(message.contains("/vsizip/ cannot be written in place") && hint.contains("copy it there"), "{message}");
    // Nothing can be created here, not even by root.
    if cfg!(target_os = "linux") {
        let (message, hint) = failure(check_output("/proc/out.tif", false));
        assert!(message.starts_with("/proc/out.tif: nothing can be written in the folder /proc"), "{message}");
        assert!(hint.contains("may write to"), "{hint}");
    }
    check_output(&name("out.tif"), false).unwrap();
    assert_eq!(listing(folder.path()), ["file"]);
    let (message, hint) = failure(check_output_is_no_input(&name("file"), ["other.tif", &name("./file")]));
    assert!(message.contains("is an input of this job") && hint.contains("another name"), "{message}");
    check_output_is_no_input(&name("out.tif"), ["out.tif"]).unwrap();
}

#[test]
fn virtual_files_are_written_and_renamed() {
    let spec = OutputSpec::support(&Grid::pixels(20, 30), &["a"], &OutputOptions::default());
    let image = Array3::from_shape_fn((1, 20, 30), |(_, r, c)| (r * 30 + c) as f32);
    write("/vsimem/writing_test/out.tif", &spec, &image, 8).unwrap();
    let out = Image::open(&ImageSource::file("/vsimem/writing_test/out.tif")).unwrap();
    assert_eq!(out.read_all().unwrap(), image);
    assert_eq!(check_output("/vsimem/writing_test/out.tif", false).unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(gdal::vsi::read_dir("/vsimem/writing_test", false).unwrap(), [std::path::PathBuf::from("out.tif")]);
}

#[test]
fn types_and_nodata_can_be_chosen() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (1, 5, 5), field).scale(1e-4).nodata(-32768.0).write(folder.path().join("fine.tif"));
    let info = describe(&ImageSource::file(fine)).unwrap();
    let with = |data_type: &str, nodata: Option<f64>| {
        OutputSpec::like(&info, &OutputOptions { data_type: Some(data_type.into()), nodata, ..OutputOptions::default() })
    };
    let (spec, _) = with("Float32", None).unwrap();
    assert_eq!((spec.bands[0].scale, spec.nodata, spec.data_type.as_str()), (1.0, -32768.0, "Float32"));
    let (spec, _) = with("UInt16", None).unwrap();
    assert_eq!((spec.bands[0].scale, spec.nodata), (1e-4, 65535.0));
    let (message, hint) = failure(with("Byte", Some(-1.0)));
    assert_eq!(message, "The nodata value -1 does not fit the output's type Byte");
    assert!(hint.contains("255"), "{hint}");
    assert!(failure(with("Complex", None)).1.contains("Byte, UInt16, Int16, UInt32, Int32, Float32, Float64"));
    let fine = Raster::new("Float32", (1, 5, 5), |b, r, c| field(b, r, c) / 1e4).write(folder.path().join("f.tif"));
    let info = describe(&ImageSource::file(fine)).unwrap();
    let (_, warnings) =
        OutputSpec::like(&info, &OutputOptions { data_type: Some("Int16".into()), ..OutputOptions::default() }).unwrap();
    assert!(warnings[0].contains("values are rounded to whole units"), "{warnings:?}");
}

#[test]
fn creation_options_go_over_the_defaults_and_bad_ones_are_refused() {
    let folder = tempdir().unwrap();
    let mut spec = OutputSpec::support(&Grid::pixels(300, 300), &["a", "b"], &OutputOptions::default());
    let image = Array3::from_elem((2, 300, 300), 2.5f32);
    spec.creation_options =
        vec!["COMPRESS=LZW".into(), "INTERLEAVE=PIXEL".into(), "BLOCKXSIZE=128".into(), "BLOCKYSIZE=64".into()];
    let path = folder.path().join("a.tif").to_str().unwrap().to_string();
    assert_eq!(Writer::create(&path, &spec).unwrap().block(), (64, 128));
    write(&path, &spec, &image, 100).unwrap();
    assert_eq!(Image::open(&ImageSource::file(path.as_str())).unwrap().read_all().unwrap(), image);
    let dataset = Dataset::open(&path).unwrap();
    assert_eq!(dataset.metadata_item("COMPRESSION", "IMAGE_STRUCTURE").as_deref(), Some("LZW"));
    assert_eq!(dataset.metadata_item("INTERLEAVE", "IMAGE_STRUCTURE").as_deref(), Some("PIXEL"));
    spec.creation_options = vec!["TILED=NO".into()];
    let strips = folder.path().join("strips.tif").to_str().unwrap().to_string();
    write(&strips, &spec, &image, 100).unwrap();
    assert_eq!(Image::open(&ImageSource::file(strips)).unwrap().read_all().unwrap(), image);
    spec.creation_options = vec!["COMPRESS".into()];
    let error = Writer::create(&folder.path().join("b.tif").to_string_lossy(), &spec).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Parameter, "The creation option \"COMPRESS\" is not of the form KEY=VALUE")
    );
    for (format, option, driver) in [(Format::GTiff, "COMPRESS=NOSUCH", "GTiff"), (Format::Cog, "BLOCKXSIZE=128", "COG")] {
        let spec = OutputSpec { format, creation_options: vec![option.into()], ..spec.clone() };
        let (message, hint) = failure(Writer::create(&folder.path().join("c.tif").to_string_lossy(), &spec));
        assert!(message.starts_with("A creation option of the output is unusable: "), "{message}");
        assert!(message.contains(option.split('=').next().unwrap()), "{message}");
        assert!(hint.contains(&format!("gdalinfo --format {driver}")), "{hint}");
    }
    assert_eq!(listing(folder.path()), ["a.tif", "strips.tif"]);
}

#[test]
fn texts_are_written_whole() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("out.tif.stf").to_str().unwrap().to_string();
    for text in ["{\"stfusion\": 1}\n", "", "größer\n"] {
        write_text(&path, text).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_eq!(listing(folder.path()), ["out.tif.stf"]);
    }
    write_text("/vsimem/writing_test_text.stf", "x").unwrap();
    let (message, _) = failure(write_text(&folder.path().join("no/out.stf").to_string_lossy(), "x"));
    assert!(message.contains("does not exist"), "{message}");
}
