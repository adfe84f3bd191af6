//! A scene over the caller's images: tiles are converted as they are read, so no image is copied as a whole.

use ndarray::{Array3, ArrayView3, ArrayViewMut3};
use stfusion_core::method::{ExtraImage, Layer, PairInfo, Scene, SceneInfo};
use stfusion_core::resample::{margin, resample, Window};
use stfusion_core::source::Resampling;
use stfusion_core::{Date, Error, ErrorKind, Region, Result};
use stfusion_engine::Sink;

use crate::pixels::Pixels;

/// Images of a job in the caller's memory.
#[derive(Debug, Default)]
pub(crate) struct Images {
    pub(crate) pairs: Vec<PairImages>,
    pub(crate) target: Option<(Option<Date>, Pixels)>,
    /// Fine pixels per coarse-pixel side, if the caller says so.
    pub(crate) scale: Option<f64>,
}

/// Images of one pair.
#[derive(Debug)]
pub(crate) struct PairImages {
    pub(crate) date: Option<Date>,
    pub(crate) fine: Pixels,
    pub(crate) coarse: Pixels,
    pub(crate) classes: Option<Pixels>,
    pub(crate) objects: Option<Pixels>,
    pub(crate) pan: Option<Pixels>,
}

impl PairImages {
    pub(crate) fn new(date: Option<Date>, fine: Pixels, coarse: Pixels) -> Self {
        PairImages { date, fine, coarse, classes: None, objects: None, pan: None }
    }

    /// The place of an extra image.
    pub(crate) fn extra_image_mut(&mut self, extra: ExtraImage) -> &mut Option<Pixels> {
        match extra {
            ExtraImage::Classes => &mut self.classes,
            ExtraImage::Objects => &mut self.objects,
            ExtraImage::Panchromatic => &mut self.pan,
        }
    }

    fn extra_image(&self, extra: ExtraImage) -> Option<&Pixels> {
        match extra {
            ExtraImage::Classes => self.classes.as_ref(),
            ExtraImage::Objects => self.objects.as_ref(),
            ExtraImage::Panchromatic => self.pan.as_ref(),
        }
    }

    /// The extra images that the pair has.
    fn extra_images(&self) -> impl Iterator<Item = (ExtraImage, &Pixels)> {
        ExtraImage::ALL.iter().filter_map(|&extra| Some((extra, self.extra_image(extra)?)))
    }
}

impl Images {
    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.target.is_none()
    }

    /// Name and address span of every image and mask.
    pub(crate) fn spans(&self) -> Vec<(String, (usize, usize))> {
        let mut spans = Vec::new();
        let mut add = |name: String, pixels: &Pixels| {
            if let Some(mask) = &pixels.mask {
                spans.push((format!("the mask of {name}"), mask.span));
            }
            spans.push((name, pixels.span));
        };
        for (k, pair) in self.pairs.iter().enumerate() {
            add(format!("the fine image of pair {k}"), &pair.fine);
            add(format!("the coarse image of pair {k}"), &pair.coarse);
            for (extra, pixels) in pair.extra_images() {
                add(format!("the {} of pair {k}", extra.label()), pixels);
            }
        }
        if let Some((_, target)) = &self.target {
            add("the target's coarse image".into(), target);
        }
        spans
    }
}

/// The scene of a job whose images lie in memory.
#[derive(Debug)]
pub(crate) struct ImageScene<'a> {
    info: SceneInfo,
    pairs: &'a [PairImages],
    target: &'a Pixels,
    resampling: Resampling,
}

impl<'a> ImageScene<'a> {
    /// Brings the images together: the fine image of the first pair is the grid. A coarse image has its size, or that size
    /// divided by a whole number, the scale; then it is aligned at the corner and resampled as it is read.
    ///
    /// # Errors
    /// [`ErrorKind::Job`] without a target or a pair; [`ErrorKind::Data`] when shapes do not fit, naming the image and both.
    pub(crate) fn new(images: &'a Images, resampling: Resampling) -> Result<Self> {
        let (target_date, target) = images.target.as_ref().map(|(date, target)| (*date, target)).ok_or_else(|| {
            Error::new(ErrorKind::Job, "The job has no target image").with_hint("Call stf_job_set_target_image first.")
        })?;
        let first = images.pairs.first().ok_or_else(|| {
            Error::new(ErrorKind::Job, "The job has no pair of images")
                .with_hint("Add a pair: a fine and a coarse image of the same day (stf_job_add_pair_image).")
        })?;
        let (bands, rows, cols) = first.fine.shape();
        let check_fine = |name: String, pixels: &Pixels, bands: usize| {
            let (shape, expected) = (pixels.shape(), (bands, rows, cols));
            if shape == expected {
                return Ok(());
            }
            Err(misfit(&name, shape, format!("{} as the fine image of pair 0", by(expected)))
                .with_hint("Give images of the same area with the same bands."))
        };
        let mut scale = None;
        let mut check_coarse = |name: String, pixels: &Pixels| {
            let found = ratio((rows, cols), pixels).filter(|_| pixels.bands == bands);
            let Some(found) = found else {
                let expected = format!(
                    "{} as the fine image of pair 0, or its rows and columns divided by the scale",
                    by((bands, rows, cols))
                );
                return Err(misfit(&name, pixels.shape(), expected)
                    .with_hint("Cut the images to whole coarse pixels, or resample the coarse image onto the fine grid."));
            };
            if found > 1 && *scale.get_or_insert(found) != found {
                return Err(misfit(&name, pixels.shape(), "the size of the other coarse images".into())
                    .with_hint("Give coarse images of one scale."));
            }
            Ok(())
        };
        check_coarse("The target's coarse image".into(), target)?;
        for (k, pair) in images.pairs.iter().enumerate() {
            check_fine(format!("The fine image of pair {k}"), &pair.fine, bands)?;
            check_coarse(format!("The coarse image of pair {k}"), &pair.coarse)?;
            for (extra, pixels) in pair.extra_images() {
                check_fine(format!("The {} of pair {k}", extra.label()), pixels, 1)?;
            }
        }
        let info = SceneInfo {
            bands,
            rows,
            cols,
            scale: images.scale.or(scale.map(|s| s as f64)),
            pairs: images.pairs.iter().map(|p| PairInfo::new(p.date, |extra| p.extra_image(extra).is_some())).collect(),
            target_date,
        };
        Ok(ImageScene { info, pairs: &images.pairs, target, resampling })
    }

    fn read_coarse(&self, pixels: &Pixels, region: Region, out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let scale = self.info.rows / pixels.rows;
        if scale == 1 {
            return pixels.read(region, out);
        }
        let margin = margin(self.resampling);
        let around = |first: usize, count: usize, length: usize| {
            let start = (first / scale).saturating_sub(margin);
            (start, ((first + count - 1) / scale + 1 + margin).min(length) - start)
        };
        let (row, rows) = around(region.row, region.rows, pixels.rows);
        let (col, cols) = around(region.col, region.cols, pixels.cols);
        let needed = Region::new(row, col, rows, cols);
        let mut values = Array3::zeros((pixels.bands, rows, cols));
        pixels.read(needed, values.view_mut())?;
        let window = Window { values, region: needed, rows: pixels.rows, cols: pixels.cols };
        let step = 1.0 / scale as f64;
        let positions = |row: usize, col: usize, cols: &mut [f64], rows: &mut [f64]| {
            for (k, (c, r)) in cols.iter_mut().zip(rows).enumerate() {
                (*c, *r) = (step * ((col + k) as f64 + 0.5), step * (row as f64 + 0.5));
            }
        };
        resample(&window, positions, self.resampling, region, out);
        Ok(())
    }
}

/// Fine pixels per coarse-pixel side, if it is the same whole number along rows and columns.
fn ratio((rows, cols): (usize, usize), coarse: &Pixels) -> Option<usize> {
    let along = |fine: usize, coarse: usize| fine.is_multiple_of(coarse).then(|| fine / coarse);
    along(rows, coarse.rows).filter(|&r| r > 0 && along(cols, coarse.cols) == Some(r))
}

fn misfit(name: &str, shape: (usize, usize, usize), expected: String) -> Error {
    Error::new(ErrorKind::Data, format!("{name} has {} (bands x rows x columns), expected {expected}", by(shape)))
}

fn by((bands, rows, cols): (usize, usize, usize)) -> String {
    format!("{bands} x {rows} x {cols}")
}

/// An image of a scene, for messages.
fn layer_name(layer: Layer) -> String {
    match layer {
        Layer::Target => "The target's coarse image".into(),
        Layer::Fine(k) => format!("The fine image of pair {k}"),
        Layer::Coarse(k) => format!("The coarse image of pair {k}"),
        Layer::Extra(extra, k) => format!("The {} of pair {k}", extra.label()),
    }
}

impl Scene for ImageScene<'_> {
    fn info(&self) -> &SceneInfo {
        &self.info
    }

    fn read(&self, layer: Layer, region: Region, out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let missing = || Error::internal(format!("the scene has no {layer:?}"));
        let pair = |k: usize| self.pairs.get(k).ok_or_else(missing);
        let read = match layer {
            Layer::Target => self.read_coarse(self.target, region, out),
            Layer::Coarse(k) => self.read_coarse(&pair(k)?.coarse, region, out),
            Layer::Fine(k) => pair(k)?.fine.read(region, out),
            Layer::Extra(extra, k) => pair(k)?.extra_image(extra).ok_or_else(missing)?.read(region, out),
        };
        read.map_err(|e| e.at(layer_name(layer)))
    }
}

/// Computed tiles on their way into the caller's memory.
#[derive(Debug)]
pub(crate) struct ImageSink {
    prediction: Pixels,
    support: Option<Pixels>,
}

impl ImageSink {
    /// Checks the outputs against the inputs and each other.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] or [`ErrorKind::Data`] naming the output.
    pub(crate) fn new(images: &Images, info: &SceneInfo, prediction: Pixels, support: Option<Pixels>) -> Result<Self> {
        let mut spans = images.spans();
        let mut check = |name: &str, pixels: &Pixels, bands: usize| {
            let expected = (bands, info.rows, info.cols);
            if pixels.shape() != expected {
                return Err(Error::new(
                    ErrorKind::Data,
                    format!("{name} has {} (bands x rows x columns), expected {}", by(pixels.shape()), by(expected)),
                )
                .with_hint("Give the output the rows and columns of the fine images."));
            }
            pixels.check_output(name, &spans)?;
            spans.push((name.to_string(), pixels.span));
            Ok(())
        };
        check("prediction", &prediction, info.bands)?;
        if let Some(support) = &support {
            check("support", support, stfusion_engine::SUPPORT_BANDS.len())?;
        }
        Ok(ImageSink { prediction, support })
    }
}

impl Sink for ImageSink {
    fn write(&mut self, region: Region, image: ArrayView3<'_, f32>, support: Option<ArrayView3<'_, f32>>) -> Result<()> {
        self.prediction.write(region, image).map_err(|e| e.at("The prediction"))?;
        match (&mut self.support, support) {
            (Some(pixels), Some(support)) => pixels.write(region, support).map_err(|e| e.at("The support layer")),
            _ => Ok(()),
        }
    }
}
