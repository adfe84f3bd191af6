//! OBSUM against the prediction that the authors' program made from the same images, classes and objects.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::path::Path;

use gdal::raster::Buffer;
use gdal::DriverManager;
use stfusion_core::method::ExtraImage;
use stfusion_tests::{all_below, listed, rmsd, shared, stored, Files};

/// Rows and columns of an array of 32-bit integers in NumPy's format, and its values.
fn read_npy(path: &Path) -> ((usize, usize), Vec<i32>) {
    let bytes = std::fs::read(path).unwrap();
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
    assert!(header.contains("'<i4'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split('(').nth(1).unwrap().split(')').next().unwrap();
    let shape: Vec<usize> = shape.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let values = bytes[10 + length..].chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    ((shape[0], shape[1]), values)
}

/// Writes the objects as a raster, as a user would give them.
fn write_objects(npy: &Path, to: &Path) {
    let ((rows, cols), values) = read_npy(npy);
    let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
    let dataset = driver.create_with_band_type::<i32, _>(to, cols, rows, 1).unwrap();
    let mut buffer = Buffer::new((cols, rows), values);
    dataset.rasterband(1).unwrap().write((0, 0), (cols, rows), &mut buffer).unwrap();
}

#[test]
fn the_authors_program_is_reproduced_up_to_its_order_of_equal_neighbours() {
    let test = "the_authors_program_is_reproduced_up_to_its_order_of_equal_neighbours";
    let (Some(data), Some(golden)) = (shared(test, "data/03_lgc_flood"), shared(test, "golden/classical")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects.tif");
    write_objects(&golden.join("lgc480_obsum_objects.npy"), &objects);
    let files = Files::new(&data, 1e-4, "coarse_2004-12-28.tif", None, "2004-12-28")
        .and_then(|f| f.with_pair("fine_2004-11-26.tif", "coarse_2004-11-26.tif", None, "2004-11-26"))
        .unwrap()
        .with_extra_image(ExtraImage::Classes, "class_2004-11-26.tif")
        .with_extra_image(ExtraImage::Objects, &objects.to_string_lossy());
    let settings = [("residual", "level"), ("distance_weight", "program"), ("lower_limit", "0"), ("upper_limit", "1")];
    let ours = files.predict("obsum", &settings, false).unwrap().image.mapv(f64::from);
    let theirs = stored(&golden.join("lgc480_obsum.tif")).unwrap() * 1e-4;
    let truth = files.unscaled("fine_2004-12-28.tif").unwrap();
    let differences = rmsd(&ours, &theirs, 1e4);
    println!(
        "lgc480_obsum: RMSD {} | RMSE of ours {} of theirs {}",
        listed(&differences),
        listed(&rmsd(&ours, &truth, 1e4)),
        listed(&rmsd(&theirs, &truth, 1e4))
    );
    // two arbitrary orders of equally similar pixels differ by 1.5, 2.1 and 5.4
    assert!(all_below(&differences, &[2.0, 3.5, 5.0]), "{}", listed(&differences));
}
