//! What the tests of the whole share: the reference data beside the repository, and methods run over files without an engine.

use std::path::{Path, PathBuf};

use gdal::Dataset;
use ndarray::{Array2, Array3, ArrayView2, Axis};
use stfusion_core::method::ExtraImage;
use stfusion_core::param::Values;
use stfusion_core::source::{GridOptions, ImageSource, MaskSource, PairSource, Resampling, TargetSource};
use stfusion_core::{Cancel, Error, ErrorKind, Result};
use stfusion_methods::cases::{self, Prediction};
use stfusion_raster::{RasterScene, SceneSource};

/// The folder `name` of the reference data; prints why `test` is skipped when it is absent.
pub fn shared(test: &str, name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIP {test}: ../shared/{name} is not there");
    None
}

/// All bands of a raster as stored.
///
/// # Errors
/// [`ErrorKind::Read`] naming the file.
pub fn stored(path: &Path) -> Result<Array3<f64>> {
    let failed = |e: gdal::errors::GdalError| Error::new(ErrorKind::Read, e.to_string()).at(path.display());
    let dataset = Dataset::open(path).map_err(failed)?;
    let (cols, rows) = dataset.raster_size();
    let mut bands = Vec::new();
    for number in 1..=dataset.raster_count() {
        let band = dataset.rasterband(number).map_err(failed)?;
        let values = band.read_as::<f64>((0, 0), (cols, rows), (cols, rows), None).map_err(failed)?.data().to_vec();
        bands.push(Array2::from_shape_vec((rows, cols), values).map_err(|e| Error::internal(e.to_string()))?);
    }
    let views: Vec<_> = bands.iter().map(|b| b.view()).collect();
    ndarray::stack(Axis(0), &views).map_err(|e| Error::internal(e.to_string()))
}

/// Files of a job in `folder`, whose stored values times `scale` are the unscaled ones.
#[derive(Debug, Clone)]
pub struct Files {
    folder: PathBuf,
    scale: f64,
    pairs: Vec<PairSource>,
    target: TargetSource,
    /// How coarse images come onto the fine grid; `None`: as the method works best.
    pub resampling: Option<Resampling>,
}

impl Files {
    /// A target without pairs; `band` picks one band, counted from 1.
    pub fn new(folder: &Path, scale: f64, target: &str, band: Option<usize>, date: &str) -> Result<Self> {
        let mut files =
            Files { folder: folder.to_path_buf(), scale, pairs: Vec::new(), target: TargetSource::default(), resampling: None };
        files.target = TargetSource { date: Some(date.parse()?), coarse: files.image(target, band), coarse_mask: None };
        Ok(files)
    }

    /// The same with one more pair.
    ///
    /// # Errors
    /// When `date` is not a date.
    pub fn with_pair(mut self, fine: &str, coarse: &str, band: Option<usize>, date: &str) -> Result<Self> {
        let pair = PairSource {
            date: Some(date.parse()?),
            fine: self.image(fine, None),
            coarse: self.image(coarse, band),
            ..PairSource::default()
        };
        self.pairs.push(pair);
        Ok(self)
    }

    /// The same with a mask, non-zero where invalid, on the fine image of the last pair.
    #[must_use]
    pub fn with_mask(mut self, name: &str) -> Self {
        let mask = MaskSource::file(self.folder.join(name).to_string_lossy(), None);
        if let Some(pair) = self.pairs.last_mut() {
            pair.fine_mask = Some(mask);
        }
        self
    }

    /// The same with an extra image of the last pair: a file of the folder, or any file by its full name.
    #[must_use]
    pub fn with_extra_image(mut self, extra: ExtraImage, name: &str) -> Self {
        let path = self.folder.join(name).to_string_lossy().into_owned();
        if let Some(pair) = self.pairs.last_mut() {
            *pair.extra_image_mut(extra) = Some(ImageSource::file(path));
        }
        self
    }

    fn image(&self, name: &str, band: Option<usize>) -> ImageSource {
        let mut image = ImageSource::file(self.folder.join(name).to_string_lossy());
        image.scale = Some(self.scale);
        image.offset = Some(0.0);
        image.bands = band.map(|b| vec![b]);
        image
    }

    /// The prediction of a method with settings (id, text), in unscaled values, with its support if asked for.
    ///
    /// # Errors
    /// Those of opening, planning and running.
    pub fn predict(&self, method: &str, settings: &[(&str, &str)], support: bool) -> Result<Prediction> {
        let method = stfusion_methods::by_id(method)?;
        let resampling = self.resampling.unwrap_or(method.info().coarse_resampling);
        let grid = GridOptions { coarse_resampling: Some(resampling), ..GridOptions::default() };
        let source = SceneSource { pairs: &self.pairs, target: &self.target, grid: &grid };
        let scene = RasterScene::open(&source, &Cancel::new())?;
        let values: Values = cases::values_of(method, settings)?;
        cases::predict_scene(method, &values, &scene, (512, 512), support)
    }

    /// A raster of the folder in unscaled values.
    ///
    /// # Errors
    /// As [`stored`].
    pub fn unscaled(&self, name: &str) -> Result<Array3<f64>> {
        Ok(stored(&self.folder.join(name))? * self.scale)
    }
}

/// Root mean square difference of each band over the pixels that are valid in both, times `factor`.
pub fn rmsd(a: &Array3<f64>, b: &Array3<f64>, factor: f64) -> Vec<f64> {
    let of_band = |a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>| {
        let squares: Vec<f64> = a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).filter(|d| d.is_finite()).collect();
        (squares.iter().sum::<f64>() / squares.len() as f64).sqrt() * factor
    };
    a.outer_iter().zip(b.outer_iter()).map(|(a, b)| of_band(a, b)).collect()
}

/// Whether every value is below the limit of its band.
pub fn all_below(values: &[f64], limits: &[f64]) -> bool {
    values.len() == limits.len() && values.iter().zip(limits).all(|(v, l)| v < l)
}

/// Numbers in a line of text.
pub fn listed(values: &[f64]) -> String {
    values.iter().map(|v| format!("{v:.2}")).collect::<Vec<_>>().join(" ")
}
