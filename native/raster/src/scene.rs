//! A job's images on the fine grid.
//!
//! ```text
//! fine image ─────────────────────────────> mask ──> values
//! coarse image ──> its mask, on its grid ──> position of every fine pixel (align) ──> resample ──> values
//! ```
//!
//! The fine grid is that of the first pair's fine image. A coarse image's mask is applied before resampling. Small coarse
//! images are kept in memory once read; larger ones are read by window. What is read depends neither on the region asked
//! for nor on the thread that asks.

use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{s, Array3, ArrayViewMut3};
use stfusion_core::method::{ExtraImage, Layer, PairInfo, Scene, SceneInfo};
use stfusion_core::resample::{margin, resample, Window};
use stfusion_core::source::{GridOptions, ImageSource, MaskSource, PairSource, Resampling, TargetSource};
use stfusion_core::{Cancel, Date, Error, ErrorKind, Grid, Region, Result};

use crate::align::{Alignment, Mapping, Named, Placer};
use crate::bands::match_bands;
use crate::dataset::ImageInfo;
use crate::image::Image;
use crate::masks::Mask;
use crate::plausibility::{check_units, windows, Sample};

/// Coarse images whose part under the scene is at most this large are kept in memory.
const CACHED_BYTES: usize = 32 << 20;
/// Fine pixels handled at once, so that buffers stay small whatever region is asked for.
const CHUNK_PIXELS: usize = 1 << 20;
/// A coarse pixel must be at least this many fine pixels wide; less means that the images are swapped.
const SMALLEST_SCALE: f64 = 0.6;

/// What a job's images are, before opening: borrowed from the job.
#[derive(Debug, Clone, Copy)]
pub struct SceneSource<'a> {
    /// The pairs.
    pub pairs: &'a [PairSource],
    /// The target.
    pub target: &'a TargetSource,
    /// How they are brought together.
    pub grid: &'a GridOptions,
}

/// The images of a job, opened, checked against each other and readable on the grid of the first pair's fine image.
#[derive(Debug)]
pub struct RasterScene {
    info: SceneInfo,
    fine: Vec<FineImage>,
    /// Of the pairs, then of the target.
    coarse: Vec<CoarseImage>,
    extras: Vec<(Layer, CoarseImage)>,
    warnings: Vec<String>,
    alignments: Vec<Alignment>,
}

#[derive(Debug)]
struct FineImage {
    image: Image,
    mask: Option<Mask>,
}

/// An image on a grid of its own.
#[derive(Debug)]
struct CoarseImage {
    image: Image,
    mask: Option<Mask>,
    mapping: Mapping,
    resampling: Resampling,
    cache: Option<Arc<Cache>>,
}

#[derive(Debug)]
struct Cache {
    region: Region,
    bytes: usize,
    window: Mutex<Option<Arc<Window>>>,
}

impl RasterScene {
    /// Opens all images and checks everything that can be checked on a sample of the pixels.
    ///
    /// # Errors
    /// [`ErrorKind::Read`] when a name cannot be opened or read; [`ErrorKind::Data`] when the images do not fit each other
    /// (bands, grids, overlap, units) or hold no valid pixel; [`ErrorKind::Parameter`] for an unknown preset;
    /// [`ErrorKind::Cancelled`].
    pub fn open(source: &SceneSource<'_>, cancel: &Cancel) -> Result<RasterScene> {
        let Some(first) = source.pairs.first() else {
            return Err(
                Error::new(ErrorKind::Data, "The job has no pair").with_hint("Give at least one pair of fine and coarse images.")
            );
        };
        let mut template = Image::open(&first.fine)?;
        let reference = template.info().clone();
        let named = Named { name: reference.name(), grid: &reference.grid };
        let map = source.grid.bands.as_deref();
        let resampling = source.grid.coarse_resampling.unwrap_or(Resampling::Bilinear);
        let mut warnings = Warnings::default();

        let coarse_sources = || {
            let of_pairs = source.pairs.iter().map(|p| (&p.coarse, p.coarse_mask.as_ref()));
            of_pairs.chain([(&source.target.coarse, source.target.coarse_mask.as_ref())])
        };
        let mut placer = Placer::new(named);
        let mut coarse = Vec::new();
        let mut alignments = Vec::new();
        let mut kept_fine = Vec::new();
        for (image, mask) in coarse_sources() {
            cancel.check()?;
            let mut image = Image::open(image)?;
            let bands = match_bands(&reference, image.info(), map)?;
            warnings.extend(bands.warning);
            image.keep_bands(&bands.coarse);
            kept_fine = bands.fine;
            let (placed, alignment) = place_coarse(&mut placer, &image, resampling, &mut warnings)?;
            alignments.push(alignment);
            let cache = Cache::new(&image, &placed, resampling, &reference.grid);
            let mask = open_mask(mask, &image)?;
            coarse.push(CoarseImage { image, mask, mapping: placed, resampling, cache });
        }
        template.keep_bands(&kept_fine);

        let mut fine = vec![FineImage { mask: open_mask(first.fine_mask.as_ref(), &template)?, image: template }];
        for pair in &source.pairs[1..] {
            cancel.check()?;
            fine.push(open_fine(pair, &reference, map, &kept_fine, &mut placer, &mut warnings)?);
        }
        let mut extras = Vec::new();
        for (k, pair) in source.pairs.iter().enumerate() {
            for (extra, source) in pair.extra_images() {
                extras.push((Layer::Extra(extra, k), open_extra(extra, source, &mut placer, &reference.grid)?));
            }
        }

        let info = SceneInfo {
            bands: kept_fine.len(),
            rows: reference.grid.rows,
            cols: reference.grid.cols,
            scale: alignments.iter().find(|a| !a.same_grid).map(|a| (a.scale.0 * a.scale.1).sqrt()),
            pairs: pair_infos(source.pairs, &fine, &coarse, &mut warnings),
            target_date: source.target.date.or_else(|| coarse.last().and_then(|c| c.image.info().date)),
        };
        let mut scene = RasterScene { info, fine, coarse, extras, warnings: Vec::new(), alignments };
        scene.check_samples(source.grid.ignore_units, &mut warnings, cancel)?;
        scene.warnings = warnings.0;
        Ok(scene)
    }

    /// The same scene with fine pixels `factor` times as large, as for an overview: of every `factor` x `factor` pixels of an image one
    /// is read, or those of an overview that its file has. Coarse images stay as they are while their pixels are larger than the
    /// new fine ones. An approximation: means and noise are not those of larger pixels.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when a transform between two CRS bends too much for so large pixels.
    pub fn reduced(&self, factor: usize) -> Result<RasterScene> {
        let full = &self.fine_info().grid;
        let grid = full.reduced(factor);
        let reduce_fine = |fine: &FineImage| -> Result<FineImage> {
            Ok(FineImage {
                image: fine.image.reduced(factor),
                mask: fine.mask.as_ref().map(|m| m.reduced(full, &grid)).transpose()?,
            })
        };
        let reduce_coarse = |coarse: &CoarseImage| coarse.reduced(full, &grid, factor);
        let coarse = self.coarse.iter().map(reduce_coarse).collect::<Result<Vec<_>>>()?;
        let scale = coarse.iter().map(|c| &c.mapping).find(|m| !matches!(m, Mapping::Same)).map(|mapping| {
            let (down, across) = mapping.scale(&grid);
            (down * across).sqrt()
        });
        Ok(RasterScene {
            info: SceneInfo { rows: grid.rows, cols: grid.cols, scale, ..self.info.clone() },
            fine: self.fine.iter().map(reduce_fine).collect::<Result<_>>()?,
            coarse,
            extras: self.extras.iter().map(|(layer, image)| Ok((*layer, reduce_coarse(image)?))).collect::<Result<_>>()?,
            warnings: Vec::new(),
            alignments: self.alignments.clone(),
        })
    }

    /// The first pair's fine image, with the bands of the job in the job's order: the template of the output.
    pub fn fine_info(&self) -> &ImageInfo {
        self.fine[0].image.info()
    }

    /// What the user should know: assumed band orders, assumed CRS, uncovered parts, dates that disagree, ….
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How the coarse images lie on the fine grid: those of the pairs in order, then the target's.
    pub fn alignments(&self) -> &[Alignment] {
        &self.alignments
    }

    /// Most bytes that the scene itself will hold, whatever is read: coordinate meshes and cached coarse images.
    /// GDAL's block cache is not counted.
    pub fn held_bytes(&self) -> usize {
        let of_mask = |m: &Option<Mask>| m.as_ref().map_or(0, Mask::bytes);
        let of_coarse = |c: &CoarseImage| c.cache.as_ref().map_or(0, |c| c.bytes) + c.mapping.bytes() + of_mask(&c.mask);
        let coarse: usize = self.coarse.iter().chain(self.extras.iter().map(|(_, image)| image)).map(of_coarse).sum();
        coarse + self.fine.iter().map(|f| of_mask(&f.mask)).sum::<usize>()
    }

    /// Rows and columns of the blocks in which the fine image is stored: regions along them read fastest.
    pub fn block(&self) -> (usize, usize) {
        self.fine_info().bands.first().map_or((256, 256), |b| b.block)
    }

    fn check_samples(&self, ignore_units: bool, warnings: &mut Warnings, cancel: &Cancel) -> Result<()> {
        let windows = windows(self.info.rows, self.info.cols, self.block());
        let mut read = |layer: Layer, image: &Image, mask: &Option<Mask>| -> Result<Sample> {
            let over = if matches!(layer, Layer::Fine(_)) { "" } else { " over the fine image" };
            let sample = Sample::read(self, layer, &windows, cancel)?;
            warnings.extend(sample.check_valid(image.info(), mask.as_ref().map(Mask::name), over)?);
            warnings.extend(sample.undeclared_fill(image.info()));
            Ok(sample)
        };
        let mut fine = Vec::new();
        for (k, image) in self.fine.iter().enumerate() {
            fine.push(read(Layer::Fine(k), &image.image, &image.mask)?);
        }
        let mut coarse = Vec::new();
        for (k, image) in self.coarse.iter().enumerate() {
            let layer = if k < self.fine.len() { Layer::Coarse(k) } else { Layer::Target };
            coarse.push(read(layer, &image.image, &image.mask)?);
        }
        if ignore_units {
            return Ok(());
        }
        let fine_info = |k: usize| self.fine[k].image.info();
        let coarse_info = |k: usize| self.coarse[k].image.info();
        for k in 0..fine.len() {
            check_units(&fine[k], fine_info(k), &coarse[k], coarse_info(k))?;
            check_units(&fine[0], fine_info(0), &fine[k], fine_info(k))?;
        }
        for k in 1..coarse.len() {
            check_units(&coarse[0], coarse_info(0), &coarse[k], coarse_info(k))?;
        }
        Ok(())
    }

    fn read_part(&self, layer: Layer, region: Region, out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let missing = || Error::internal(format!("the scene has no {layer:?}"));
        match layer {
            Layer::Fine(k) => {
                let fine = self.fine.get(k).ok_or_else(missing)?;
                read_masked(&fine.image, fine.mask.as_ref(), region, out)
            }
            Layer::Coarse(k) if k < self.fine.len() => self.coarse.get(k).ok_or_else(missing)?.read(region, out),
            Layer::Coarse(_) => Err(missing()),
            Layer::Target => self.coarse.last().ok_or_else(missing)?.read(region, out),
            Layer::Extra(..) => self.extras.iter().find(|(of, _)| *of == layer).ok_or_else(missing)?.1.read(region, out),
        }
    }
}

impl Scene for RasterScene {
    fn info(&self) -> &SceneInfo {
        &self.info
    }

    fn read(&self, layer: Layer, region: Region, mut out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let expected = (self.info.bands_of(layer), region.rows, region.cols);
        let inside = region.row + region.rows <= self.info.rows && region.col + region.cols <= self.info.cols;
        if !inside || out.dim() != expected {
            return Err(Error::internal(format!("{layer:?}: {region:?} into {:?}", out.dim())));
        }
        let block = self.block().0.min(1024);
        let rows = (CHUNK_PIXELS / region.cols.max(1) / block).max(1) * block;
        for part in region.blocks(rows, region.cols) {
            let first = part.row - region.row;
            self.read_part(layer, part, out.slice_mut(s![.., first..first + part.rows, ..]))?;
        }
        Ok(())
    }
}

impl CoarseImage {
    /// The image for a scene whose fine grid is `reduced` by `factor` from `fine`.
    fn reduced(&self, fine: &Grid, reduced: &Grid, factor: usize) -> Result<CoarseImage> {
        let grid = &self.image.info().grid;
        // a coarse pixel stays at least as large as a fine one
        let own = ((factor as f64 / self.mapping.scale(fine).0 - 1e-6).ceil() as usize).max(1);
        let image = self.image.reduced(own);
        let mapping = self.mapping.reduced((fine, reduced), (grid, &image.info().grid)).map_err(|e| e.at(image.info().name()))?;
        let cache = match own {
            1 => self.cache.clone(),
            _ => Cache::new(&image, &mapping, self.resampling, reduced),
        };
        let mask = self.mask.as_ref().map(|m| m.reduced(grid, &image.info().grid)).transpose()?;
        Ok(CoarseImage { image, mask, mapping, resampling: self.resampling, cache })
    }

    fn read(&self, region: Region, mut out: ArrayViewMut3<'_, f32>) -> Result<()> {
        if matches!(self.mapping, Mapping::Same) {
            return read_masked(&self.image, self.mask.as_ref(), region, out);
        }
        let grid = &self.image.info().grid;
        let Some(needed) = self.mapping.footprint(region, grid.rows, grid.cols, margin(self.resampling)) else {
            out.fill(f32::NAN);
            return Ok(());
        };
        let window = match &self.cache {
            Some(cache) => self.cached(cache)?,
            None => Arc::new(self.load(needed)?),
        };
        let positions = |row: usize, col: usize, c: &mut [f64], r: &mut [f64]| self.mapping.positions(row, col, c, r);
        resample(&window, positions, self.resampling, region, out);
        Ok(())
    }

    fn cached(&self, cache: &Cache) -> Result<Arc<Window>> {
        let mut held = cache.window.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = held.as_ref() {
            return Ok(Arc::clone(window));
        }
        let window = Arc::new(self.load(cache.region)?);
        *held = Some(Arc::clone(&window));
        Ok(window)
    }

    fn load(&self, region: Region) -> Result<Window> {
        let grid = &self.image.info().grid;
        let mut values = Array3::zeros((self.image.info().bands.len(), region.rows, region.cols));
        read_masked(&self.image, self.mask.as_ref(), region, values.view_mut())?;
        Ok(Window { values, region, rows: grid.rows, cols: grid.cols })
    }
}

impl Cache {
    fn new(image: &Image, mapping: &Mapping, resampling: Resampling, fine: &Grid) -> Option<Arc<Cache>> {
        if matches!(mapping, Mapping::Same) {
            return None;
        }
        let grid = &image.info().grid;
        let region = mapping.footprint(Region::whole(fine.rows, fine.cols), grid.rows, grid.cols, margin(resampling))?;
        let bytes = region.pixels() * image.info().bands.len() * std::mem::size_of::<f32>();
        (bytes <= CACHED_BYTES).then(|| Arc::new(Cache { region, bytes, window: Mutex::new(None) }))
    }
}

fn read_masked(image: &Image, mask: Option<&Mask>, region: Region, mut out: ArrayViewMut3<'_, f32>) -> Result<()> {
    image.read(region, out.view_mut())?;
    let Some(mask) = mask else { return Ok(()) };
    let invalid = mask.read(region)?;
    for mut band in out.outer_iter_mut() {
        for (v, m) in band.iter_mut().zip(&invalid) {
            if *m == 1 {
                *v = f32::NAN;
            }
        }
    }
    Ok(())
}

fn open_mask(source: Option<&MaskSource>, image: &Image) -> Result<Option<Mask>> {
    source.map(|m| Mask::open(m, Named { name: image.info().name(), grid: &image.info().grid })).transpose()
}

fn place_coarse(
    placer: &mut Placer<'_>,
    image: &Image,
    resampling: Resampling,
    warnings: &mut Warnings,
) -> Result<(Mapping, Alignment)> {
    let info = image.info();
    let placed = placer.place(Named { name: info.name(), grid: &info.grid })?;
    if placed.scale.0 < SMALLEST_SCALE && placed.scale.1 < SMALLEST_SCALE {
        return Err(Error::new(
            ErrorKind::Data,
            format!(
                "{}: a coarse pixel is only {:.2} x {:.2} fine pixels; a coarse image has the larger pixels",
                info.name(),
                placed.scale.1,
                placed.scale.0
            ),
        )
        .with_hint("Check whether the fine and the coarse image are swapped."));
    }
    warnings.extend(placed.warning);
    if placed.coverage < 1.0 {
        warnings.add(format!(
            "{} covers {:.1} % of the fine image; the rest cannot be predicted from it",
            info.name(),
            (100.0 * placed.coverage).min(99.9)
        ));
    }
    let same_grid = matches!(placed.mapping, Mapping::Same);
    let alignment = Alignment {
        image: info.name().to_string(),
        scale: placed.scale,
        crs_differs: placed.crs_differs,
        by_corner: placed.by_corner,
        same_grid,
        resampling: (!same_grid).then_some(resampling),
        coverage: placed.coverage,
    };
    Ok((placed.mapping, alignment))
}

fn open_fine(
    pair: &PairSource,
    reference: &ImageInfo,
    map: Option<&[[usize; 2]]>,
    kept: &[usize],
    placer: &mut Placer<'_>,
    warnings: &mut Warnings,
) -> Result<FineImage> {
    let mut image = Image::open(&pair.fine)?;
    let info = image.info();
    let grid = &info.grid;
    let reference_grid = &reference.grid;
    let unlike = |what: String| {
        let command = reference_grid.transform.filter(|t| t[2] == 0.0 && t[4] == 0.0).map(|t| {
            let (x, y) = (t[0] + t[1] * reference_grid.cols as f64, t[3] + t[5] * reference_grid.rows as f64);
            let extent = format!("{} {} {} {}", t[0].min(x), t[3].min(y), t[0].max(x), t[3].max(y));
            format!(
                ": gdalwarp -t_srs … -te {extent} -ts {} {} {} OUT.tif",
                reference_grid.cols,
                reference_grid.rows,
                info.name()
            )
        });
        Error::new(ErrorKind::Data, what).with_hint(format!(
            "All fine images must be on one grid; bring this one onto that of the first{}",
            command.unwrap_or_default()
        ))
    };
    if (grid.rows, grid.cols) != (reference_grid.rows, reference_grid.cols) {
        return Err(unlike(format!(
            "{} is {} x {} pixels (columns x rows), but the first fine image, {}, is {} x {}",
            info.name(),
            grid.cols,
            grid.rows,
            reference.name(),
            reference_grid.cols,
            reference_grid.rows
        )));
    }
    let placed = placer.place(Named { name: info.name(), grid })?;
    if !matches!(placed.mapping, Mapping::Same) {
        return Err(unlike(format!(
            "{} has the size of the first fine image, {}, but lies elsewhere",
            info.name(),
            reference.name()
        )));
    }
    if map.is_some() {
        if let Some(missing) = kept.iter().find(|&&k| k >= info.bands.len()) {
            return Err(Error::new(
                ErrorKind::Data,
                format!("The band map names fine band {}, but {} has {}", missing + 1, info.name(), info.bands.len()),
            )
            .with_hint(
                "All fine images must have the bands of the map in the same order; select them with \"bands\" in the image.",
            ));
        }
        image.keep_bands(kept);
    } else {
        let bands = match_bands(reference, info, None)?;
        warnings.extend(bands.warning);
        image.keep_bands(&bands.coarse);
    }
    let mask = open_mask(pair.fine_mask.as_ref(), &image)?;
    Ok(FineImage { image, mask })
}

/// What a pair has beside its images: of a label map stored values as they are and the nearest pixel, of a measured image unscaled values,
/// linear between pixels. The first band counts unless the job says otherwise.
fn open_extra(extra: ExtraImage, source: &ImageSource, placer: &mut Placer<'_>, fine: &Grid) -> Result<CoarseImage> {
    let mut source = source.clone();
    source.bands.get_or_insert_with(|| vec![1]);
    let resampling = if extra.has_labels() {
        source.scale.get_or_insert(1.0);
        source.offset.get_or_insert(0.0);
        Resampling::Nearest
    } else {
        Resampling::Bilinear
    };
    let image = Image::open(&source)?;
    let info = image.info();
    if info.bands.len() != 1 {
        let message = format!("{}: {} bands were chosen for the {}", info.name(), info.bands.len(), extra.label());
        return Err(Error::new(ErrorKind::Data, message).with_hint("Choose one band, such as \"bands\": [1]."));
    }
    let mapping = placer.place(Named { name: info.name(), grid: &info.grid })?.mapping;
    let cache = if extra.has_labels() { None } else { Cache::new(&image, &mapping, resampling, fine) };
    Ok(CoarseImage { image, mask: None, mapping, resampling, cache })
}

/// Days of the pairs: the job's, else the fine image's, else the coarse one's.
fn pair_infos(pairs: &[PairSource], fine: &[FineImage], coarse: &[CoarseImage], warnings: &mut Warnings) -> Vec<PairInfo> {
    let mut infos = Vec::new();
    for ((pair, fine), coarse) in pairs.iter().zip(fine).zip(coarse) {
        let (fine, coarse) = (fine.image.info(), coarse.image.info());
        let seems = |image: &ImageInfo, found: Date, said: Date, by: &str| {
            format!("{} seems to be of {found}, but {by} {said}", image.name())
        };
        match (pair.date, fine.date, coarse.date) {
            (Some(said), Some(found), _) if said != found => warnings.add(seems(fine, found, said, "the job says")),
            (None, Some(of_fine), Some(found)) if found != of_fine => {
                warnings.add(seems(coarse, found, of_fine, &format!("its pair {} of", fine.name())));
            }
            _ => {}
        }
        let date = pair.date.or(fine.date).or(coarse.date);
        infos.push(PairInfo { date, extra_images: pair.extra_images().map(|(extra, _)| extra).collect() });
    }
    infos
}

/// Messages, each once.
#[derive(Debug, Default)]
struct Warnings(Vec<String>);

impl Warnings {
    fn add(&mut self, text: String) {
        if !self.0.contains(&text) {
            self.0.push(text);
        }
    }

    fn extend(&mut self, text: Option<String>) {
        if let Some(text) = text {
            self.add(text);
        }
    }
}
