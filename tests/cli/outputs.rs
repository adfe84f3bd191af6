//! Where the prediction goes: habits of GDAL, places that cannot be written, disks that are full.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use gdal::Dataset;

use crate::place::*;

#[test]
fn an_existing_output_is_kept_unless_overwriting_is_asked_for() {
    let place = Place::new();
    for name in ["out.tif", "support.tif"] {
        fs::write(place.path(name), "precious").unwrap();
        let other = if name == "out.tif" { "free.tif" } else { "out2.tif" };
        let names = if name == "out.tif" { [name, other] } else { [other, name] };
        let before = place.names();
        place.fuse(&["-o", names[0], "--support", names[1]]).refused(1, &[name, "exists"], "overwrite");
        assert_eq!(place.names(), before);
        assert_eq!(fs::read_to_string(place.path(name)).unwrap(), "precious");
    }
    place.fuse(&["-o", "out.tif", "--overwrite"]).succeeded();
    assert_eq!(stored(&place.path("out.tif"), 1).len(), FINE_PX * FINE_PX);
}

#[test]
fn an_input_is_never_the_output() {
    let place = Place::new();
    let before = fs::read(place.path("f1.tif")).unwrap();
    place.fuse(&["-o", "f1.tif", "--overwrite"]).refused(1, &["f1.tif"], "");
    place.fuse(&["-o", "./f1.tif", "--overwrite"]).refused(1, &["f1.tif"], "");
    assert_eq!(fs::read(place.path("f1.tif")).unwrap(), before);
}

#[test]
fn a_folder_that_is_missing_or_no_folder_is_named() {
    let place = Place::new();
    let before = place.names();
    place.fuse(&["-o", "no/such/out.tif"]).refused(1, &["no/such"], "folder");
    place.fuse(&["-o", "f1.tif/out.tif"]).refused(1, &["f1.tif"], "folder");
    place.fuse(&["-o", "/proc/out.tif"]).refused(1, &["/proc"], "folder");
    place.fuse(&["-o", "out.tif", "--support", "no/such/s.tif"]).refused(1, &["no/such"], "folder");
    assert_eq!(place.names(), before);
}

#[test]
fn a_read_only_folder_is_named() {
    let place = Place::new();
    fs::create_dir(place.path("locked")).unwrap();
    fs::set_permissions(place.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(place.path("locked/probe"), "").is_ok() {
        println!("SKIP a_read_only_folder_is_named: this user may write anywhere");
        return;
    }
    place.fuse(&["-o", "locked/out.tif"]).refused(1, &["locked"], "folder");
    assert_eq!(fs::read_dir(place.path("locked")).unwrap().count(), 0);
}

/// A file system of its own, unmounted when dropped.
struct Mount(std::path::PathBuf);

impl Mount {
    fn new(place: &Place, name: &str, options: &str) -> Option<Mount> {
        let path = place.path(name);
        fs::create_dir(&path).unwrap();
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).output();
        status.is_ok_and(|o| o.status.success()).then_some(Mount(path))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_read_only_file_system_is_named() {
    let place = Place::new();
    let Some(_mount) = Mount::new(&place, "ro", "size=1m,ro") else {
        println!("SKIP a_read_only_file_system_is_named: mounting needs root");
        return;
    };
    place.fuse(&["-o", "ro/out.tif"]).refused(1, &["ro"], "folder");
}

#[test]
fn a_full_disk_is_reported_and_left_clean() {
    let place = Place::new();
    let Some(mount) = Mount::new(&place, "small", "size=400k") else {
        println!("SKIP a_full_disk_is_reported_and_left_clean: mounting needs root");
        return;
    };
    // noise does not compress
    let value = |b: usize, y: f64, x: f64| (((y * 7919.0 + x * 104_729.0 + b as f64) * 12.9898).sin() * 43758.5453).fract().abs();
    let noisy = Raster { rows: 240, cols: 240, value, ..fine() };
    noisy.write(&place.path("noisy.tif"));
    Raster { rows: 16, cols: 16, ..coarse(first_day) }.write(&place.path("c.tif"));
    for format in ["GTiff", "COG"] {
        let images = ["--pair", "fine=noisy.tif,coarse=c.tif", "--target", "coarse=c.tif", "--of", format];
        let outputs = ["-o", "small/out.tif", "--support", "small/support.tif"];
        place.fuse(&[&images[..], &outputs].concat()).refused(1, &["small/"], "free in small: make room");
        let left: Vec<_> = fs::read_dir(&mount.0).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{format}: {left:?}");
    }
}

#[test]
fn gdals_options_shape_the_output_in_both_spellings() {
    let place = Place::new();
    let long = ["--of", "GTiff", "--co", "COMPRESS=LZW", "--ot", "Int16", "--nodata", "-32768"];
    let short = ["-of", "GTiff", "-co", "COMPRESS=LZW", "-ot", "Int16", "-a_nodata", "-32768", "--config", "GDAL_CACHEMAX", "64"];
    for (name, options) in [("long.tif", &long[..]), ("short.tif", &short[..])] {
        place.fuse(&[&["-o", name], options].concat()).succeeded();
        let file = Dataset::open(place.path(name)).unwrap();
        let band = file.rasterband(1).unwrap();
        assert_eq!(band.band_type().name(), "Int16");
        assert_eq!(band.no_data_value(), Some(-32768.0));
        let compression = gdal::Metadata::metadata_item(&file, "COMPRESSION", "IMAGE_STRUCTURE");
        assert_eq!(compression.as_deref(), Some("LZW"));
    }
}

#[test]
fn a_cog_is_a_cog() {
    let place = Place::new();
    place.fuse(&["-of", "COG", "-o", "out.tif"]).succeeded();
    let file = Dataset::open(place.path("out.tif")).unwrap();
    assert_eq!(gdal::Metadata::metadata_item(&file, "LAYOUT", "IMAGE_STRUCTURE").as_deref(), Some("COG"));
}

#[test]
fn the_output_says_where_it_comes_from() {
    let place = Place::new();
    place.fuse(&["-o", "out.tif"]).succeeded();
    assert_eq!(metadata(&place.path("out.tif"), "STFUSION_METHOD").as_deref(), Some("coarse_increment"));
    assert_eq!(metadata(&place.path("out.tif"), "STFUSION_TARGET_DATE").as_deref(), Some("2002-01-12"));
    let record: serde_json::Value = serde_json::from_str(&fs::read_to_string(place.path("out.tif.stf")).unwrap()).unwrap();
    assert_eq!(record["stfusion"], 1);
    assert!(record["provenance"]["version"].is_string());
    let expected = ["c1.tif", "c2.tif", "f1.tif", "out.tif", "out.tif.stf"];
    assert_eq!(place.names().into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_dry_run_describes_the_job_and_writes_nothing() {
    let place = Place::new();
    let before = place.names();
    let run = place.fuse(&["--dry-run", "-o", "out.tif", "--support", "s.tif"]).succeeded();
    assert!(run.stdout.contains("2002-01-12") && run.stdout.contains("120 x 120"), "{run:?}");
    let json = place.fuse(&["--dry-run", "--json"]).succeeded().json();
    assert_eq!(json["scale"], 15.0);
    place.fuse(&["--dry-run", "-o", "no/such/out.tif"]).refused(1, &["no/such"], "folder");
    place.fuse(&["--dry-run", "--target", "coarse=nowhere.tif"]).refused(1, &["nowhere.tif"], "");
    assert_eq!(place.names(), before);
}
