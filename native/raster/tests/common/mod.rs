//! Rasters made for the tests, with GDAL's own functions.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};

use gdal::raster::{Buffer, ColorInterpretation, RasterCreationOptions};
use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset, DriverManager, Metadata};
use ndarray::{Array3, ArrayView3};
use stfusion_core::method::{Layer, Scene};
use stfusion_core::source::{GridOptions, ImageSource, PairSource, TargetSource};
use stfusion_core::{Cancel, Region, Result};
use stfusion_raster::{RasterScene, SceneSource};

/// UTM zone 33 north, fields of the Po plain: a scene of 30 m pixels.
pub const UTM: u32 = 32633;
/// The sphere and projection of MODIS land products.
pub const SINUSOIDAL: &str = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs";

/// A raster to be made: stored values, (band, row, col), and what is declared about them.
pub struct Raster {
    pub stored: Array3<f64>,
    pub data_type: &'static str,
    pub transform: Option<[f64; 6]>,
    pub crs: Option<String>,
    pub nodata: Option<f64>,
    pub scale: Option<f64>,
    pub offset: Option<f64>,
    pub names: Vec<String>,
    pub colors: Vec<&'static str>,
    pub band_metadata: Vec<(String, String)>,
    pub metadata: Vec<(String, String)>,
    pub options: Vec<&'static str>,
}

impl Raster {
    pub fn new(
        data_type: &'static str,
        (bands, rows, cols): (usize, usize, usize),
        f: impl Fn(usize, usize, usize) -> f64,
    ) -> Raster {
        Raster {
            stored: Array3::from_shape_fn((bands, rows, cols), |(b, r, c)| f(b, r, c)),
            data_type,
            transform: None,
            crs: None,
            nodata: None,
            scale: None,
            offset: None,
            names: Vec::new(),
            colors: Vec::new(),
            band_metadata: Vec::new(),
            metadata: Vec::new(),
            options: Vec::new(),
        }
    }

    pub fn at(mut self, transform: [f64; 6], crs: &str) -> Raster {
        self.transform = Some(transform);
        self.crs = Some(crs.to_string());
        self
    }

    pub fn nodata(mut self, nodata: f64) -> Raster {
        self.nodata = Some(nodata);
        self
    }

    pub fn scale(mut self, scale: f64) -> Raster {
        self.scale = Some(scale);
        self
    }

    pub fn names(mut self, names: &[&str]) -> Raster {
        self.names = names.iter().map(|n| (*n).to_string()).collect();
        self
    }

    /// Writes it, and returns the name.
    pub fn write(&self, path: impl AsRef<Path>) -> String {
        let path = path.as_ref();
        let (bands, rows, cols) = self.stored.dim();
        let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
        let options = RasterCreationOptions::from_iter(self.options.iter().copied());
        macro_rules! create {
            ($($name:literal => $t:ty),*) => {
                match self.data_type {
                    $($name => {
                        let d = driver.create_with_band_type_with_options::<$t, _>(path, cols, rows, bands, &options).unwrap();
                        for b in 0..bands {
                            let values = self.stored.index_axis(ndarray::Axis(0), b).iter().map(|v| *v as $t).collect();
                            d.rasterband(b + 1).unwrap().write((0, 0), (cols, rows), &mut Buffer::new((cols, rows), values)).unwrap();
                        }
                        d
                    })*
                    other => panic!("no test raster of type {other}"),
                }
            };
        }
        let mut dataset: Dataset = create!("Byte" => u8, "UInt16" => u16, "Int16" => i16, "UInt32" => u32, "Int32" => i32, "Float32" => f32, "Float64" => f64);
        if let Some(transform) = self.transform {
            dataset.set_geo_transform(&transform).unwrap();
        }
        if let Some(crs) = &self.crs {
            dataset.set_spatial_ref(&SpatialRef::from_definition(crs).unwrap()).unwrap();
        }
        for (key, value) in &self.metadata {
            dataset.set_metadata_item(key, value, "").unwrap();
        }
        for b in 0..bands {
            let mut band = dataset.rasterband(b + 1).unwrap();
            if self.nodata.is_some() {
                band.set_no_data_value(self.nodata).unwrap();
            }
            if let Some(scale) = self.scale {
                band.set_scale(scale).unwrap();
            }
            if let Some(offset) = self.offset {
                band.set_offset(offset).unwrap();
            }
            if let Some(name) = self.names.get(b) {
                band.set_description(name).unwrap();
            }
            if let Some(color) = self.colors.get(b) {
                band.set_color_interpretation(ColorInterpretation::from_name(color).unwrap()).unwrap();
            }
            for (key, value) in &self.band_metadata {
                band.set_metadata_item(key, value, "").unwrap();
            }
        }
        dataset.close().unwrap();
        path.to_str().unwrap().to_string()
    }
}

/// A smooth, positive field that differs between bands.
pub fn field(b: usize, r: usize, c: usize) -> f64 {
    let (y, x) = (r as f64, c as f64);
    1000.0 + 300.0 * b as f64 + 200.0 * (x / 9.0).sin() + 150.0 * (y / 7.0).cos() + ((r * 31 + c * 17) % 23) as f64
}

/// A pair and a target from three names.
pub fn job(fine: &str, coarse: &str, target: &str) -> (Vec<PairSource>, TargetSource) {
    let pair = PairSource { fine: ImageSource::file(fine), coarse: ImageSource::file(coarse), ..PairSource::default() };
    (vec![pair], TargetSource { coarse: ImageSource::file(target), ..TargetSource::default() })
}

pub fn open_with(pairs: &[PairSource], target: &TargetSource, grid: &GridOptions) -> Result<RasterScene> {
    RasterScene::open(&SceneSource { pairs, target, grid }, &Cancel::new())
}

pub fn open(pairs: &[PairSource], target: &TargetSource) -> Result<RasterScene> {
    open_with(pairs, target, &GridOptions::default())
}

/// A layer of a scene, whole.
pub fn layer(scene: &RasterScene, layer: Layer) -> Array3<f32> {
    let info = scene.info();
    region(scene, layer, Region::whole(info.rows, info.cols))
}

pub fn region(scene: &RasterScene, layer: Layer, region: Region) -> Array3<f32> {
    let mut out = Array3::zeros((scene.info().bands_of(layer), region.rows, region.cols));
    scene.read(layer, region, out.view_mut()).unwrap();
    out
}

/// The bits of values, so that NaN equals NaN and nothing else is forgiven.
pub fn bits(values: ArrayView3<'_, f32>) -> Vec<u32> {
    values.iter().map(|v| if v.is_nan() { u32::MAX } else { v.to_bits() }).collect()
}

/// The error of a fallible value that must fail: message and hint.
pub fn failure<T>(result: Result<T>) -> (String, String) {
    match result {
        Ok(_) => panic!("this must fail"),
        Err(e) => (e.message().to_string(), e.hint().unwrap_or_default().to_string()),
    }
}

/// The folder of real images, or a line that says the test is skipped.
pub fn real_data(test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIP {test}: ../shared/data is not there");
    None
}

/// Names of everything in a folder, hidden files included.
pub fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
