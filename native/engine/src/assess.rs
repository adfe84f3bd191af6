//! A prediction against the truth, and against what simple baselines make of the same images.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::Array3;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use stfusion_core::method::{Layer, PairTile, Prepared, Request, Scene, TileIn, TileOut};
use stfusion_core::metrics::{Assessment, Assessor, Block, RangeAccumulator, HALO};
use stfusion_core::param::Values;
use stfusion_core::source::{GridOptions, ImageSource, MaskSource, PairSource, TargetSource};
use stfusion_core::{Cancel, Date, Error, ErrorKind, Exec, Region, Result};
use stfusion_raster::{Image, RasterScene, SceneSource};

use crate::context::{Context, Progress};
use crate::pipeline::supervise;

/// Side of the blocks in which images are read and assessed, in fine pixels.
const BLOCK_PX: usize = 512;

/// An image and its day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatedImage {
    /// The day; `None`: from names and metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// The image.
    pub image: ImageSource,
    /// Mask of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskSource>,
}

/// What to assess. `fine`, `coarse` and `target` give the baselines: with fine images alone the nearest pair (and, with
/// dates, linear in time), with the coarse images of the pairs and the target also the coarse increment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssessRequest {
    /// The prediction.
    pub prediction: ImageSource,
    /// The fine image really taken on the target day.
    pub truth: ImageSource,
    /// Mask of the truth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth_mask: Option<MaskSource>,
    /// Fine images of the pairs.
    #[serde(default)]
    pub fine: Vec<DatedImage>,
    /// Coarse images of the pairs, in the order of `fine`; none or as many.
    #[serde(default)]
    pub coarse: Vec<ImageSource>,
    /// Coarse image of the target day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<DatedImage>,
    /// The range L of the values for SSIM and PSNR; `None`: 1, or the range of the truth if it is not reflectance-like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_range: Option<f64>,
    /// How the images are brought together.
    #[serde(default)]
    pub grid: GridOptions,
}

struct Baseline {
    label: String,
    prepared: Box<dyn Prepared>,
}

/// Assesses a prediction.
///
/// # Errors
/// [`ErrorKind::Read`] and [`ErrorKind::Data`] naming the image; [`ErrorKind::Cancelled`].
pub fn assess(request: &AssessRequest, context: &Context, progress: &mut Progress<'_>) -> Result<Assessment> {
    context.limit_gdal_cache();
    let prediction = Image::open(&request.prediction)?;
    let (truth, baselines) = open_scene(request)?;
    let info = prediction.info();
    let (rows, cols, bands) = (info.grid.rows, info.grid.cols, info.bands.len());
    let scene = truth.info();
    if (scene.rows, scene.cols) != (rows, cols) || scene.bands != bands {
        return Err(Error::new(
            ErrorKind::Data,
            format!(
                "{} has {bands} bands of {cols} x {rows} pixels, but {} has {} of {} x {}",
                info.name(),
                request.truth.name(),
                scene.bands,
                scene.cols,
                scene.rows
            ),
        )
        .with_hint("Prediction and truth must have the same bands and size; choose bands with {\"path\": …, \"bands\": […]}."));
    }
    let labels = info.band_labels();
    let cancel = Cancel::new();
    let blocks = Region::whole(rows, cols).blocks(BLOCK_PX, BLOCK_PX);
    let done = |n: &AtomicUsize| (n.fetch_add(1, Ordering::Relaxed) + 1) as f64 / blocks.len() as f64;

    let data_range = match request.data_range {
        Some(range) => range,
        None => {
            supervise(context, &cancel, progress, (0.0, 0.15), "Reading the truth", |tell| data_range(&truth, &cancel, tell))?
        }
    };

    let names: Vec<String> = baselines.iter().flat_map(|b| b.methods.iter().map(|m| m.label.clone())).collect();
    let scale = baselines.iter().find_map(|b| b.scene.info().scale);
    supervise(context, &cancel, progress, (0.15, 1.0), "Assessing", |tell| {
        let count = AtomicUsize::new(0);
        let one = |&region: &Region| -> Result<Assessor> {
            cancel.check()?;
            let padded = region.grown(HALO, rows, cols);
            let shape = (bands, padded.rows, padded.cols);
            let empty = || Array3::from_elem(shape, f32::NAN);
            let (mut p, mut t) = (empty(), empty());
            prediction.read(padded, p.view_mut())?;
            truth.read(Layer::Fine(0), padded, t.view_mut())?;
            let mut others = Vec::with_capacity(names.len());
            for source in &baselines {
                others.extend(source.predict(padded, &cancel, context)?);
            }
            let mut assessor = Assessor::new(bands, names.len(), data_range)?;
            let views = others.iter().map(|o| o.view()).collect();
            assessor.add(&Block { region, padded, prediction: p.view(), truth: t.view(), baselines: views })?;
            tell(done(&count));
            Ok(assessor)
        };
        let mut total = Assessor::new(bands, names.len(), data_range)?;
        // a row of blocks at a time bounds the memory; merging in order keeps the sums the same for any number of threads
        for some in blocks.chunks(4 * context.threads().max(1)) {
            let parts = some.par_iter().map(one).collect::<Result<Vec<_>>>()?;
            parts.iter().for_each(|part| total.merge(part));
        }
        Ok(total.finish(&labels, &names, scale))
    })
}

/// L of SSIM and PSNR from all fine images of a scene.
pub(crate) fn data_range(scene: &dyn Scene, cancel: &Cancel, tell: &(dyn Fn(f64) + Send + Sync)) -> Result<f64> {
    let info = scene.info();
    let of_pair = |k| Region::whole(info.rows, info.cols).blocks(BLOCK_PX, BLOCK_PX).into_iter().map(move |region| (k, region));
    let blocks: Vec<(usize, Region)> = (0..info.pairs.len()).flat_map(of_pair).collect();
    let count = AtomicUsize::new(0);
    let read = |&(pair, region): &(usize, Region)| -> Result<RangeAccumulator> {
        cancel.check()?;
        let mut part = Array3::from_elem((info.bands, region.rows, region.cols), f32::NAN);
        scene.read(Layer::Fine(pair), region, part.view_mut())?;
        let mut range = RangeAccumulator::new();
        range.add(part.view());
        tell((count.fetch_add(1, Ordering::Relaxed) + 1) as f64 / blocks.len() as f64);
        Ok(range)
    };
    let ranges = blocks.par_iter().map(read).collect::<Result<Vec<_>>>()?;
    let mut all = RangeAccumulator::new();
    ranges.iter().for_each(|r| all.merge(r));
    Ok(all.data_range())
}

/// A scene that baselines predict from.
struct BaselineScene {
    scene: RasterScene,
    methods: Vec<Baseline>,
}

impl BaselineScene {
    fn new(scene: RasterScene, ids: &[&str]) -> Result<Self> {
        let cancel = Cancel::new();
        let values = Values::default();
        let methods = ids
            .iter()
            .map(|id| {
                let method = stfusion_methods::by_id(id)?;
                let plan = method.plan(&Request { values: &values, scene: scene.info() })?;
                let prepared = plan.prepare(&scene, &Exec::quiet(&cancel))?;
                Ok(Baseline { label: (*id).to_string(), prepared })
            })
            .collect::<Result<_>>()?;
        Ok(BaselineScene { scene, methods })
    }

    /// What the baselines predict for `region`.
    fn predict(&self, region: Region, cancel: &Cancel, context: &Context) -> Result<Vec<Array3<f32>>> {
        let info = self.scene.info();
        let shape = (info.bands, region.rows, region.cols);
        let read = |layer| -> Result<Array3<f32>> {
            let mut image = Array3::from_elem(shape, f32::NAN);
            self.scene.read(layer, region, image.view_mut())?;
            Ok(image)
        };
        let target = read(Layer::Target)?;
        let pairs =
            (0..info.pairs.len()).map(|k| Ok((read(Layer::Fine(k))?, read(Layer::Coarse(k))?))).collect::<Result<Vec<_>>>()?;
        let tile = TileIn {
            region,
            padded: region,
            pairs: (pairs.iter().enumerate())
                .map(|(k, (fine, coarse))| PairTile {
                    fine: fine.view(),
                    coarse: coarse.view(),
                    classes: None,
                    objects: None,
                    pan: None,
                    gap_days: info.gap_days(k),
                })
                .collect(),
            target: target.view(),
        };
        let exec = Exec { cancel, log: context.log(), progress: &|_| {} };
        self.methods
            .iter()
            .map(|m| {
                let mut image = Array3::from_elem(shape, f32::NAN);
                m.prepared.run(&tile, &mut TileOut { image: image.view_mut(), support: None }, &exec)?;
                Ok(image)
            })
            .collect()
    }
}

/// The truth as the fine image of a scene of its own, so that it can have a mask, and the baselines.
fn open_scene(request: &AssessRequest) -> Result<(RasterScene, Vec<BaselineScene>)> {
    let open = |pairs: &[PairSource], target: &TargetSource, grid: &GridOptions| {
        RasterScene::open(&SceneSource { pairs, target, grid }, &Cancel::new())
    };
    let alone = |image: &ImageSource, mask: &Option<MaskSource>, date: Option<Date>| PairSource {
        date,
        fine: image.clone(),
        coarse: image.clone(),
        fine_mask: mask.clone(),
        ..PairSource::default()
    };
    let own = GridOptions { bands: None, ..request.grid.clone() };
    let truth_pair = alone(&request.truth, &request.truth_mask, None);
    let itself = TargetSource { date: None, coarse: request.truth.clone(), coarse_mask: None };
    let truth = open(&[truth_pair], &itself, &own)?;

    if !request.coarse.is_empty() && request.coarse.len() != request.fine.len() {
        return Err(Error::new(
            ErrorKind::Data,
            format!("{} fine and {} coarse images of pairs were given", request.fine.len(), request.coarse.len()),
        )
        .with_hint("Give one coarse image for each fine image, in the same order, or none."));
    }
    let mut baselines = Vec::new();
    let target_date = request.target.as_ref().and_then(|t| t.date);
    let fine_only: Vec<PairSource> = request.fine.iter().map(|f| alone(&f.image, &f.mask, f.date)).collect();
    if let Some(first) = request.fine.first() {
        let date = target_date.or_else(|| truth.info().pairs.first().and_then(|p| p.date));
        let scene = open(&fine_only, &TargetSource { date, coarse: first.image.clone(), coarse_mask: None }, &own)?;
        let info = scene.info();
        let dated = info.target_date.is_some() && info.pairs.iter().all(|p| p.date.is_some());
        let ids: &[&str] = if dated && info.pairs.len() > 1 { &["nearest_pair", "linear_in_time"] } else { &["nearest_pair"] };
        baselines.push(BaselineScene::new(scene, ids)?);
    }
    if let (Some(target), false) = (&request.target, request.coarse.is_empty()) {
        let pairs: Vec<PairSource> = (request.fine.iter().zip(&request.coarse))
            .map(|(fine, coarse)| PairSource {
                date: fine.date,
                fine: fine.image.clone(),
                coarse: coarse.clone(),
                fine_mask: fine.mask.clone(),
                ..PairSource::default()
            })
            .collect();
        let target = TargetSource { date: target.date, coarse: target.image.clone(), coarse_mask: target.mask.clone() };
        baselines.push(BaselineScene::new(open(&pairs, &target, &request.grid)?, &["coarse_increment"])?);
    }
    Ok((truth, baselines))
}
