//! Opening, describing and reading single images.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it unwraps")]

mod common;

use common::{bits, failure, Raster};
use ndarray::{array, s, Array3};
use stfusion_core::source::ImageSource;
use stfusion_core::{ErrorKind, Region};
use stfusion_raster::{describe, Image};
use tempfile::tempdir;

fn read(source: &ImageSource) -> Array3<f32> {
    Image::open(source).unwrap().read_all().unwrap()
}

#[test]
fn missing_files_folders_and_texts_are_told_apart() {
    let folder = tempdir().unwrap();
    let text = folder.path().join("notes.tif");
    std::fs::write(&text, "not a raster").unwrap();
    let missing = folder.path().join("missing.tif").to_str().unwrap().to_string();
    let (message, hint) = failure(describe(&ImageSource::file(missing.clone())));
    assert_eq!(message, format!("{missing}: no such file"));
    assert!(hint.contains("Check the name"), "{hint}");
    let (message, hint) = failure(describe(&ImageSource::file(text.to_str().unwrap())));
    assert!(message.contains("notes.tif: cannot be opened as a raster: ") && message.contains("not recognized"), "{message}");
    assert!(hint.contains("gdalinfo"), "{hint}");
    let (message, _) = failure(describe(&ImageSource::file(folder.path().to_str().unwrap())));
    assert!(message.contains("is a folder"), "{message}");
    let (message, _) = failure(describe(&ImageSource::file("/vsizip/nothing.zip/a.tif")));
    assert!(message.contains("/vsizip/nothing.zip/a.tif: no such file"), "{message}");
    let (message, hint) = failure(describe(&ImageSource::file("NETCDF:nothing.nc:v")));
    assert!(message.contains("NETCDF:nothing.nc:v: cannot be opened as a raster") && hint.contains("sub-dataset"), "{message}");
    for odd in ["", " ", "a\0b.tif"] {
        let error = describe(&ImageSource::file(odd)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Read, "{odd:?}");
    }
    assert_eq!(describe(&ImageSource::default()).unwrap_err().message(), "An image has no file name");
}

#[test]
fn a_truncated_file_names_the_rows_that_cannot_be_read() {
    let folder = tempdir().unwrap();
    let path = Raster::new("Int16", (1, 600, 600), |_, r, c| (r * c % 3000) as f64).write(folder.path().join("cut.tif"));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    match Image::open(&ImageSource::file(path.as_str())) {
        Ok(image) => {
            let error = image.read_all().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Read);
            assert!(error.message().contains("cut.tif: cannot be read at rows"), "{error}");
            assert!(error.hint().unwrap().contains("damaged or incomplete"));
        }
        Err(error) => assert!(error.message().contains("cut.tif: cannot be opened as a raster"), "{error}"),
    }
}

#[test]
fn values_are_unscaled_and_invalid_ones_are_nan() {
    let folder = tempdir().unwrap();
    let stored = [425.0, -9999.0, 10000.0, 3000.0];
    let path = Raster::new("Int16", (1, 2, 2), |_, r, c| stored[r * 2 + c])
        .nodata(-9999.0)
        .scale(0.0001)
        .write(folder.path().join("a.tif"));
    let own = ImageSource::file(path.as_str());
    assert_eq!(bits(read(&own).view()), bits(array![[[0.0425f32, f32::NAN], [1.0, 0.3]]].view()));
    let other = ImageSource { scale: Some(0.5), offset: Some(1.0), nodata: Some(3000.0), ..own.clone() };
    assert_eq!(bits(read(&other).view()), bits(array![[[213.5f32, f32::NAN], [5001.0, f32::NAN]]].view()));
    let limited = ImageSource { valid_range: Some([0.0, 0.3]), ..own.clone() };
    assert_eq!(bits(read(&limited).view()), bits(array![[[0.0425f32, f32::NAN], [f32::NAN, 0.3]]].view()));
    let info = describe(&other).unwrap();
    assert_eq!((info.bands[0].scale, info.bands[0].offset, info.bands[0].nodata.clone()), (0.5, 1.0, vec![-9999.0, 3000.0]));
    let (message, _) = failure(describe(&ImageSource { scale: Some(0.0), ..own.clone() }));
    assert!(message.contains("a.tif: scale Some(0.0)"), "{message}");
    let (message, _) = failure(describe(&ImageSource { valid_range: Some([1.0, 0.0]), ..own }));
    assert!(message.contains("valid_range [1, 0] holds no value"), "{message}");
}

#[test]
fn infinities_and_huge_nodata_are_invalid() {
    let folder = tempdir().unwrap();
    let stored = [1.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::from(f32::MIN), 2.5];
    let raster = Raster::new("Float32", (1, 1, 6), |_, _, c| stored[c]).nodata(-3.402_823e38);
    let path = raster.write(folder.path().join("a.tif"));
    let expected = array![[[1.5f32, f32::NAN, f32::NAN, f32::NAN, f32::NAN, 2.5]]];
    assert_eq!(bits(read(&ImageSource::file(path)).view()), bits(expected.view()));
}

#[test]
fn wide_types_keep_their_digits() {
    let folder = tempdir().unwrap();
    let stored = [16_777_217.0, 2_000_000_001.0, -5.0];
    let path = Raster::new("Int32", (1, 1, 3), |_, _, c| stored[c]).nodata(2_000_000_001.0).write(folder.path().join("a.tif"));
    let source = ImageSource { offset: Some(-16_777_216.0), ..ImageSource::file(path) };
    assert_eq!(bits(read(&source).view()), bits(array![[[1.0f32, f32::NAN, -16_777_221.0]]].view()));
    let path = Raster::new("Float64", (1, 1, 2), |_, _, c| [1e300, 0.1][c]).nodata(1e300).write(folder.path().join("b.tif"));
    assert_eq!(bits(read(&ImageSource::file(path)).view()), bits(array![[[f32::NAN, 0.1f32]]].view()));
}

#[test]
fn masks_and_alpha_bands_rule_pixels_out() {
    let folder = tempdir().unwrap();
    let mut raster =
        Raster::new(
            "Byte",
            (4, 2, 3),
            |b, r, c| if b == 3 { [0.0, 255.0, 128.0][c] * (1 - r) as f64 } else { (10 * b + c) as f64 },
        );
    raster.colors = vec!["Red", "Green", "Blue", "Alpha"];
    let path = raster.write(folder.path().join("rgba.tif"));
    let source = ImageSource::file(path.as_str());
    let info = describe(&source).unwrap();
    assert_eq!(info.bands.iter().map(|b| b.color.as_str()).collect::<Vec<_>>(), ["Red", "Green", "Blue"]);
    assert!(info.bands.iter().all(|b| b.has_mask));
    let values = read(&source);
    assert_eq!(
        bits(values.slice(s![1..2, .., ..])),
        bits(array![[[f32::NAN, 11.0, 12.0], [f32::NAN, f32::NAN, f32::NAN]]].view())
    );

    let masked = Raster::new("Byte", (2, 2, 2), |_, r, c| (r * 2 + c) as f64).write(folder.path().join("masked.tif"));
    let dataset = gdal::Dataset::open_ex(
        &masked,
        gdal::DatasetOptions { open_flags: gdal::GdalOpenFlags::GDAL_OF_UPDATE, ..Default::default() },
    )
    .unwrap();
    let mut band = dataset.rasterband(1).unwrap();
    band.create_mask_band(true).unwrap();
    band.open_mask_band()
        .unwrap()
        .write((0, 0), (2, 2), &mut gdal::raster::Buffer::new((2, 2), vec![255u8, 0, 255, 255]))
        .unwrap();
    dataset.close().unwrap();
    let values = read(&ImageSource::file(masked));
    assert_eq!(bits(values.slice(s![0..1, .., ..])), bits(array![[[0.0f32, f32::NAN], [2.0, 3.0]]].view()));
}

#[test]
fn one_file_per_band_is_one_image() {
    let folder = tempdir().unwrap();
    let band = |n: usize, rows: usize| {
        let raster = Raster::new("Int16", (1, rows, 5), move |_, r, c| (100 * n + r * 5 + c) as f64).scale(0.01);
        raster.write(folder.path().join(format!("b{n}_{rows}.tif")))
    };
    let paths = vec![band(1, 4), band(2, 4), band(3, 4)];
    let source = ImageSource { paths: paths.clone(), bands: Some(vec![3, 1]), ..ImageSource::default() };
    let values = read(&source);
    assert_eq!((values.dim(), values[[0, 0, 0]], values[[1, 3, 4]]), ((2, 4, 5), 3.0, 1.19));
    let mixed = ImageSource { paths: vec![band(1, 4), band(2, 6)], ..ImageSource::default() };
    let (message, hint) = failure(describe(&mixed));
    assert!(message.contains("b2_6.tif: 5 x 6 pixels (columns x rows), but") && message.contains("has 5 x 4"), "{message}");
    assert!(hint.contains("on one grid"));
    let (message, hint) = failure(describe(&ImageSource { bands: Some(vec![4]), ..source }));
    assert!(message.ends_with("band 4 was asked for, but there are 3 files") && hint.contains("1 to 3"), "{message}");
    let (message, _) = failure(describe(&ImageSource { bands: Some(vec![2]), ..ImageSource::file(paths[0].as_str()) }));
    assert!(message.ends_with("band 2 was asked for, but there are 1 band"), "{message}");
}

#[test]
fn virtual_files_archives_and_subdatasets_open_by_name() {
    let folder = tempdir().unwrap();
    let raster = Raster::new("Int16", (2, 6, 5), |b, r, c| (100 * b + r * 5 + c) as f64);
    let memory = raster.write("/vsimem/reading_test.tif");
    assert_eq!(read(&ImageSource::file(memory.as_str()))[[1, 5, 4]], 129.0);
    let zip = format!("/vsizip/{}/inside/a.tif", folder.path().join("a.zip").display());
    let plain = raster.write(folder.path().join("plain.tif"));
    let python = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1], 'w'); z.write(sys.argv[2], 'inside/a.tif'); z.close()";
    let archive = folder.path().join("a.zip");
    let made = std::process::Command::new("python3").args(["-c", python]).arg(&archive).arg(&plain).status();
    if made.is_ok_and(|s| s.success()) {
        assert_eq!(read(&ImageSource::file(zip))[[0, 1, 1]], 6.0);
    } else {
        println!("SKIP the archive: no python3");
    }
    let directory = format!("GTIFF_DIR:1:{plain}");
    assert_eq!(read(&ImageSource::file(directory))[[1, 0, 0]], 100.0);
}

#[test]
fn modis_fill_without_nodata_is_refused_with_the_remedy() {
    let folder = tempdir().unwrap();
    let path = Raster::new("Int16", (1, 3, 3), |_, r, c| if r == 2 && c == 1 { -28672.0 } else { 1200.0 })
        .write(folder.path().join("mod.tif"));
    let source = ImageSource::file(path.as_str());
    let error = Image::open(&source).unwrap().read_all().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(error.message(), format!("{path}: band 1 holds -28672, the fill value of MODIS, but declares no nodata value"));
    assert!(error.hint().unwrap().contains("\"nodata\": -28672"));
    let declared = read(&ImageSource { nodata: Some(-28672.0), ..source.clone() });
    assert_eq!(declared.iter().filter(|v| v.is_nan()).count(), 1);
    let limited = read(&ImageSource { valid_range: Some([-100.0, 16000.0]), ..source });
    assert_eq!(limited.iter().filter(|v| v.is_nan()).count(), 1);
}

#[test]
fn complex_bands_are_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("complex.vrt");
    std::fs::write(
        &path,
        "<VRTDataset rasterXSize=\"2\" rasterYSize=\"2\"><VRTRasterBand dataType=\"CFloat32\" band=\"1\"/></VRTDataset>",
    )
    .unwrap();
    let (message, _) = failure(describe(&ImageSource::file(path.to_str().unwrap())));
    assert!(message.contains("band 1 holds complex values (CFloat32)"), "{message}");
}

#[test]
fn many_threads_read_virtual_rasters_alike() {
    let folder = tempdir().unwrap();
    let mut raster = Raster::new("Int16", (3, 500, 400), |b, r, c| ((r * 7 + c * 3 + b * 11) % 5000) as f64);
    raster.options = vec!["COMPRESS=DEFLATE", "TILED=YES", "BLOCKXSIZE=64", "BLOCKYSIZE=64"];
    let plain = raster.write(folder.path().join("plain.tif"));
    let vrt = folder.path().join("all.vrt");
    let mut bands = String::new();
    for b in 1..=3 {
        bands += &format!(
            "<VRTRasterBand dataType=\"Int16\" band=\"{b}\"><SimpleSource><SourceFilename>{plain}</SourceFilename><SourceBand>{b}</SourceBand></SimpleSource></VRTRasterBand>"
        );
    }
    std::fs::write(&vrt, format!("<VRTDataset rasterXSize=\"400\" rasterYSize=\"500\">{bands}</VRTDataset>")).unwrap();
    let expected = read(&ImageSource::file(plain));
    let image = Image::open(&ImageSource::file(vrt.to_str().unwrap())).unwrap();
    std::thread::scope(|scope| {
        for t in 0..8usize {
            let (image, expected) = (&image, &expected);
            scope.spawn(move || {
                for k in 0..40usize {
                    let region = Region::new((t * 53 + k * 17) % 400, (t * 31 + k * 29) % 300, 90, 97);
                    let mut out = Array3::zeros((3, region.rows, region.cols));
                    image.read(region, out.view_mut()).unwrap();
                    let window = s![.., region.row..region.row + region.rows, region.col..region.col + region.cols];
                    assert_eq!(out, expected.slice(window));
                }
            });
        }
    });
}
