//! A scene over the caller's images: tiles are converted as they are read, so no image is copied as a whole.

use ndarray::{ArrayView3, ArrayViewMut3};
use stfusion_core::method::{Layer, PairInfo, Scene, SceneInfo};
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
            if let Some(classes) = &pair.classes {
                add(format!("the class map of pair {k}"), classes);
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
}

impl<'a> ImageScene<'a> {
    /// Brings the images together.
    ///
    /// # Errors
    /// [`ErrorKind::Job`] without a target; [`ErrorKind::Data`] when shapes differ, naming the image and both shapes.
    pub(crate) fn new(images: &'a Images) -> Result<Self> {
        let (target_date, target) = images.target.as_ref().map(|(date, target)| (*date, target)).ok_or_else(|| {
            Error::new(ErrorKind::Job, "The job has no target image").with_hint("Call stf_job_set_target_image first.")
        })?;
        let (bands, rows, cols) = target.shape();
        let check = |name: String, pixels: &Pixels, bands: usize| {
            let shape = pixels.shape();
            if shape == (bands, rows, cols) {
                return Ok(());
            }
            Err(Error::new(
                ErrorKind::Data,
                format!(
                    "{name} has {} (bands x rows x columns), expected {} as the target's coarse image",
                    by(shape),
                    by((bands, rows, cols))
                ),
            )
            .with_hint("In memory every image must be on the fine grid: resample coarse images onto it first, or use files."))
        };
        for (k, pair) in images.pairs.iter().enumerate() {
            check(format!("The fine image of pair {k}"), &pair.fine, bands)?;
            check(format!("The coarse image of pair {k}"), &pair.coarse, bands)?;
            if let Some(classes) = &pair.classes {
                check(format!("The class map of pair {k}"), classes, 1)?;
            }
        }
        let info = SceneInfo {
            bands,
            rows,
            cols,
            scale: images.scale,
            pairs: images.pairs.iter().map(|p| PairInfo { date: p.date, has_classes: p.classes.is_some() }).collect(),
            target_date,
        };
        Ok(ImageScene { info, pairs: &images.pairs, target })
    }
}

fn by((bands, rows, cols): (usize, usize, usize)) -> String {
    format!("{bands} x {rows} x {cols}")
}

impl Scene for ImageScene<'_> {
    fn info(&self) -> &SceneInfo {
        &self.info
    }

    fn read(&self, layer: Layer, region: Region, out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let missing = || Error::internal(format!("the scene has no {layer:?}"));
        let pair = |k: usize| self.pairs.get(k).ok_or_else(missing);
        let pixels = match layer {
            Layer::Target => self.target,
            Layer::Fine(k) => &pair(k)?.fine,
            Layer::Coarse(k) => &pair(k)?.coarse,
            Layer::Classes(k) => pair(k)?.classes.as_ref().ok_or_else(missing)?,
        };
        pixels.read(region, out);
        Ok(())
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
                .with_hint("Give the output the shape of the target's coarse image."));
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
        self.prediction.write(region, image);
        if let (Some(pixels), Some(support)) = (&mut self.support, support) {
            pixels.write(region, support);
        }
        Ok(())
    }
}
