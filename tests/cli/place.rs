//! A folder with images in it, and the command run there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use gdal::raster::{Buffer, GdalType, RasterCreationOptions};
use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset, DriverManager, Metadata};
use tempfile::TempDir;

/// Upper-left corner of every image that has a place, in UTM zone 33 north.
pub const CORNER: (f64, f64) = (500_000.0, 5_400_000.0);
/// Fine pixels per coarse-pixel side.
pub const SCALE: usize = 15;
/// Rows and columns of the fine images.
pub const FINE_PX: usize = 120;

/// A raster to write.
#[derive(Clone)]
pub struct Raster {
    pub rows: usize,
    pub cols: usize,
    pub bands: usize,
    /// Side of a pixel in metres; `None`: no georeference.
    pub pixel_m: Option<f64>,
    pub corner: (f64, f64),
    pub epsg: Option<u32>,
    pub nodata: Option<f64>,
    /// Value at band, and fraction of the way down and right.
    pub value: fn(usize, f64, f64) -> f64,
}

/// Reflectance of a smooth scene with an edge; the second day is brighter.
pub fn first_day(band: usize, down: f64, right: f64) -> f64 {
    0.05 + 0.02 * band as f64 + 0.1 * right + if down > 0.5 { 0.1 } else { 0.0 }
}
pub fn second_day(band: usize, down: f64, right: f64) -> f64 {
    first_day(band, down, right) + 0.03 + 0.02 * down
}

/// A fine image of the first day.
pub fn fine() -> Raster {
    Raster {
        rows: FINE_PX,
        cols: FINE_PX,
        bands: 2,
        pixel_m: Some(30.0),
        corner: CORNER,
        epsg: Some(32633),
        nodata: Some(-9999.0),
        value: first_day,
    }
}

/// A coarse image of the given day over the fine one.
pub fn coarse(value: fn(usize, f64, f64) -> f64) -> Raster {
    let px = FINE_PX / SCALE;
    Raster { rows: px, cols: px, pixel_m: Some(30.0 * SCALE as f64), value, ..fine() }
}

impl Raster {
    /// Writes it as a `Float32` GeoTIFF.
    pub fn write(&self, path: &Path) {
        self.write_as(path, |v| v as f32);
    }

    /// Writes it as an `Int16` GeoTIFF, values times `factor`, without saying so in the metadata.
    pub fn write_int16(&self, path: &Path, factor: f64) {
        self.write_as(path, |v| (v * factor).round() as i16);
    }

    fn write_as<T: GdalType + Copy>(&self, path: &Path, stored: impl Fn(f64) -> T) {
        let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
        let options = RasterCreationOptions::from_iter(["COMPRESS=DEFLATE"]);
        let mut file =
            driver.create_with_band_type_with_options::<T, _>(path, self.cols, self.rows, self.bands, &options).unwrap();
        if let Some(side) = self.pixel_m {
            file.set_geo_transform(&[self.corner.0, side, 0.0, self.corner.1, 0.0, -side]).unwrap();
        }
        if let Some(code) = self.epsg.filter(|_| self.pixel_m.is_some()) {
            file.set_spatial_ref(&SpatialRef::from_epsg(code).unwrap()).unwrap();
        }
        for b in 0..self.bands {
            let mut values = Vec::with_capacity(self.rows * self.cols);
            for r in 0..self.rows {
                for c in 0..self.cols {
                    let at = ((r as f64 + 0.5) / self.rows as f64, (c as f64 + 0.5) / self.cols as f64);
                    values.push(stored((self.value)(b, at.0, at.1)));
                }
            }
            let mut band = file.rasterband(b + 1).unwrap();
            if self.nodata.is_some() {
                band.set_no_data_value(self.nodata).unwrap();
            }
            band.write((0, 0), (self.cols, self.rows), &mut Buffer::new((self.cols, self.rows), values)).unwrap();
        }
        file.flush_cache().unwrap();
    }
}

/// What a run left.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// The run succeeded.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// The run ended with `code` and one error whose message holds every one of `message`, and whose hint holds `hint`.
    #[track_caller]
    pub fn refused(self, code: i32, message: &[&str], hint: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "nothing is a result");
        let error = self.stderr.split("stfusion: error: ").nth(1).unwrap_or_else(|| panic!("no error in {self:?}"));
        let (text, remedy) = error.split_once("  hint: ").unwrap_or_else(|| panic!("no hint in {self:?}"));
        for part in message {
            assert!(text.contains(part), "{part:?} is not in the message {text:?}");
        }
        assert!(remedy.contains(hint), "{hint:?} is not in the hint {remedy:?}");
        self
    }

    /// stdout as JSON, which must be all of it.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A temporary folder with the images of one pair and a target: `f1.tif`, `c1.tif`, `c2.tif`.
pub struct Place {
    folder: TempDir,
}

/// The job of the images of a [`Place`], without its method.
pub const IMAGES: &[&str] = &["--pair", "fine=f1.tif,coarse=c1.tif,date=2001-11-25", "--target", "coarse=c2.tif,date=2002-01-12"];

impl Place {
    /// The folder with its three images.
    pub fn new() -> Self {
        let place = Place { folder: TempDir::new().unwrap() };
        fine().write(&place.path("f1.tif"));
        coarse(first_day).write(&place.path("c1.tif"));
        coarse(second_day).write(&place.path("c2.tif"));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Names in the folder, hidden ones included.
    pub fn names(&self) -> BTreeSet<String> {
        fs::read_dir(self.root()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The command in this folder, without the user's environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stfusion-under-test"));
        command.current_dir(self.root()).stdin(Stdio::null());
        for name in ["STFUSION_DEBUG", "STFUSION_DEVICE", "STFUSION_NUM_THREADS", "GDAL_NUM_THREADS", "CPL_DEBUG"] {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.command().args(args).output().unwrap().into()
    }

    /// `fuse` with a fast method on the images of the folder, and more options; pairs among them replace the folder's.
    pub fn fuse(&self, more: &[&str]) -> Run {
        let images = if more.contains(&"--pair") { &IMAGES[2..] } else { IMAGES };
        self.run(&[&["fuse", "--method", "coarse_increment"], images, more].concat())
    }

    /// [`Place::fuse`] to `out.tif`, with the files of the folder before and after the same.
    #[track_caller]
    pub fn refuses(&self, more: &[&str], code: i32, message: &[&str], hint: &str) -> Run {
        let before = self.names();
        let run = self.fuse(&[&["-o", "out.tif"], more].concat()).refused(code, message, hint);
        assert_eq!(self.names(), before, "nothing may be left behind");
        run
    }
}

/// All values of a band, in rows, as stored.
pub fn stored(path: &Path, band: usize) -> Vec<f64> {
    let file = Dataset::open(path).unwrap();
    let (cols, rows) = file.raster_size();
    let band = file.rasterband(band).unwrap();
    band.read_as::<f64>((0, 0), (cols, rows), (cols, rows), None).unwrap().data().to_vec()
}

/// A metadata item of the default domain.
pub fn metadata(path: &Path, key: &str) -> Option<String> {
    Dataset::open(path).unwrap().metadata_item(key, "")
}
