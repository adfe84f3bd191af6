//! The contract of a fusion method.
//!
//! A method is driven in four steps, each a type, so that none can be left out or come too early:
//!
//! ```text
//! Method::info ──> Method::plan(request) ──> Plan::prepare(scene) ──> Prepared::run(tile) for every tile
//!  who am I?        valid? what does it cost?   whole-scene statistics    pixels
//! ```
//!
//! **Invariants**, each a contract test that every registered method inherits:
//! the result does not depend on tile size, thread count or block order, bit for bit; identical coarse images at pair and
//! target return the fine image; constant in, constant out; invalid in, invalid out, and an invalid value is never used as
//! a neighbour; permuting the bands permutes the output; no infinity leaves a method, and `NaN` only where nothing can be
//! predicted.

use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3};

use crate::device::Queue;
use crate::param::{Kind, ParamSpec, Values};
use crate::source::Resampling;
use crate::{Date, Error, ErrorKind, Exec, Region, Result};

/// Family of a method, as the survey of the field names them; the group in dialogs and lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Yardsticks that any fusion should beat.
    Baseline,
    /// Weighted means over similar neighbours (STARFM and its descendants).
    WeightFunction,
    /// Class values from coarse mixtures.
    Unmixing,
    /// Several of these ideas in one method.
    Hybrid,
    /// Estimation from a statistical model.
    Bayesian,
    /// Dictionaries and regressions learned from the pairs.
    Learning,
    /// Networks.
    DeepLearning,
}

impl Family {
    /// Name shown to people.
    pub fn label(self) -> &'static str {
        match self {
            Family::Baseline => "Baselines",
            Family::WeightFunction => "Weight function",
            Family::Unmixing => "Unmixing",
            Family::Hybrid => "Hybrid",
            Family::Bayesian => "Bayesian",
            Family::Learning => "Learning",
            Family::DeepLearning => "Deep learning",
        }
    }
}

/// A publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Authors, year, title, journal.
    pub citation: &'static str,
    /// Digital object identifier without a resolver, or empty.
    pub doi: &'static str,
}

/// What a method is, independent of any job.
#[derive(Debug)]
pub struct MethodInfo {
    /// Frozen, lower-case ASCII with underscores.
    pub id: &'static str,
    /// Name shown to people.
    pub label: &'static str,
    /// One sentence without a full stop.
    pub summary: &'static str,
    /// Family it belongs to.
    pub family: Family,
    /// What people type when they look for it.
    pub tags: &'static [&'static str],
    /// Publications, the method's own first.
    pub references: &'static [Reference],
    /// Smallest number of pairs.
    pub min_pairs: usize,
    /// Largest number of pairs, if there is a limit.
    pub max_pairs: Option<usize>,
    /// Whether pairs and target need dates.
    pub needs_dates: bool,
    /// What a pair may come with beside its two images.
    pub extra_images: &'static [ExtraImage],
    /// How coarse images come onto the fine grid when the job does not say: methods that solve for coarse pixels want them
    /// as they are ([`Resampling::Nearest`]), moving windows want them smooth.
    pub coarse_resampling: Resampling,
    /// What its results promise beyond the invariants of every method.
    pub promises: Promises,
    /// Parameters.
    pub parameters: &'static [ParamSpec],
    /// The help page, Markdown.
    pub readme: &'static str,
}

impl MethodInfo {
    /// The parameter that names a file without which the method can do nothing, such as the weights of a network.
    pub fn required_file(&self) -> Option<&'static ParamSpec> {
        self.parameters.iter().find(|p| matches!(p.kind, Kind::File { required: true, .. }))
    }

    /// Whether a pair may come with such an image.
    pub fn accepts(&self, extra: ExtraImage) -> bool {
        self.extra_images.contains(&extra)
    }
}

/// Promises that some methods can make and others, by their nature, cannot; each is a contract test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promises {
    /// Identical coarse images at pair and target return the fine image. Methods that predict from the target alone, or
    /// smooth, cannot promise it.
    pub keeps_unchanged: bool,
    /// What it does was learned from other images: constant images need not give a constant, and the order of bands matters.
    pub trained_elsewhere: bool,
    /// Each band is predicted from that band alone, so permuting the bands permutes the prediction bit for bit; where bands
    /// decide together, their sums round differently.
    pub bands_apart: bool,
}

/// An image that may come with a pair beside its fine and its coarse one: one band on the fine grid, `NaN` where a pixel is invalid
/// or has no label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExtraImage {
    /// The class of every pixel, a whole number.
    Classes,
    /// The object (segment) that every pixel belongs to, a whole number.
    Objects,
    /// The panchromatic image of the day of the pair.
    Panchromatic,
}

impl ExtraImage {
    /// Every kind, in the order in which a tile holds them.
    pub const ALL: &'static [ExtraImage] = &[ExtraImage::Classes, ExtraImage::Objects, ExtraImage::Panchromatic];

    /// What people call it, such as "class map".
    pub fn label(self) -> &'static str {
        match self {
            ExtraImage::Classes => "class map",
            ExtraImage::Objects => "object map",
            ExtraImage::Panchromatic => "panchromatic image",
        }
    }

    /// The key of a pair in job files and on the command line.
    pub fn key(self) -> &'static str {
        match self {
            ExtraImage::Classes => "classes",
            ExtraImage::Objects => "objects",
            ExtraImage::Panchromatic => "pan",
        }
    }

    /// Whether its values are labels, which must stay as they are, rather than measurements.
    pub fn has_labels(self) -> bool {
        matches!(self, ExtraImage::Classes | ExtraImage::Objects)
    }
}

/// One image of a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Fine image of the pair with this index.
    Fine(usize),
    /// Coarse image of the pair with this index, on the fine grid.
    Coarse(usize),
    /// What the pair with this index has beside its images; one band.
    Extra(ExtraImage, usize),
    /// Coarse image of the target day, on the fine grid.
    Target,
}

/// What is known of a pair before any pixel is read.
#[derive(Debug, Clone, PartialEq)]
pub struct PairInfo {
    /// Day of the pair.
    pub date: Option<Date>,
    /// What the pair has beside its images, in the order of [`ExtraImage::ALL`].
    pub extra_images: Vec<ExtraImage>,
}

impl PairInfo {
    /// A pair of this day that has what `has` says beside its images.
    pub fn new(date: Option<Date>, has: impl Fn(ExtraImage) -> bool) -> Self {
        PairInfo { date, extra_images: ExtraImage::ALL.iter().copied().filter(|&extra| has(extra)).collect() }
    }

    /// Whether the pair has such an image.
    pub fn has(&self, extra: ExtraImage) -> bool {
        self.extra_images.contains(&extra)
    }
}

/// What is known of a scene before any pixel is read.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneInfo {
    /// Number of bands of every image (those that a pair has beside its two have one).
    pub bands: usize,
    /// Number of fine rows.
    pub rows: usize,
    /// Number of fine columns.
    pub cols: usize,
    /// Scale: fine pixels per coarse-pixel side, if known.
    pub scale: Option<f64>,
    /// The pairs, in the order of the job.
    pub pairs: Vec<PairInfo>,
    /// The day to predict.
    pub target_date: Option<Date>,
}

impl SceneInfo {
    /// Days from the target to pair `pair`: negative when the pair is earlier. `None` without both dates.
    pub fn gap_days(&self, pair: usize) -> Option<i32> {
        Some(self.target_date?.days_until(self.pairs.get(pair)?.date?))
    }

    /// Number of bands of a layer.
    pub fn bands_of(&self, layer: Layer) -> usize {
        match layer {
            Layer::Extra(..) => 1,
            _ => self.bands,
        }
    }
}

/// Read access to the whole scene, for statistics before the tiles. Every image is on the fine grid.
pub trait Scene: Sync {
    /// Shape, pairs and dates.
    fn info(&self) -> &SceneInfo;

    /// Fills `out` (band, row, col) with the part `region` of all bands of `layer`; invalid values are `NaN`.
    ///
    /// May be called from several threads at once.
    ///
    /// # Errors
    /// [`ErrorKind::Read`] when the image cannot be read.
    fn read(&self, layer: Layer, region: Region, out: ArrayViewMut3<'_, f32>) -> Result<()>;
}

/// What a method is asked for: its parameters and the scene.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Parameter values.
    pub values: &'a Values,
    /// The scene.
    pub scene: &'a SceneInfo,
}

/// What running a tile costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Input needed around a tile, in fine pixels.
    pub halo_px: usize,
    /// Working memory of `run` per input pixel of the tile (halo included), in bytes, beyond the input and output images.
    pub bytes_per_px: usize,
    /// Working memory of each thread that does not grow with the tile, in bytes.
    pub fixed_bytes: usize,
    /// Memory that [`Plan::prepare`] leaves behind for the whole scene, in bytes.
    pub prepared_bytes: usize,
}

/// What running a tile on a GPU costs there, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceCost {
    /// Memory per input pixel of the tile (halo included): images in, images out and whatever lies between.
    pub bytes_per_px: usize,
    /// Memory of each queue that does not grow with the tile.
    pub fixed_bytes: usize,
    /// Memory that [`Prepared::on_device`] leaves there.
    pub prepared_bytes: usize,
}

/// A fusion method. See the [module](self).
pub trait Method: Sync {
    /// Who it is and what it needs.
    fn info(&self) -> &'static MethodInfo;

    /// Validates everything that can be validated without touching a pixel.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] or [`ErrorKind::Data`], naming the parameter or the image and the remedy.
    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>>;

    /// How coarse images come onto the fine grid unless the job says otherwise: [`MethodInfo::coarse_resampling`], or as a network was trained,
    /// if the files of `values` are read and say that.
    fn coarse_resampling(&self, values: &Values) -> Resampling {
        let _ = values;
        self.info().coarse_resampling
    }
}

/// A validated request.
pub trait Plan: Send + Sync {
    /// What running a tile costs.
    fn cost(&self) -> Cost;

    /// What running a tile on a GPU costs.
    ///
    /// # Errors
    /// Why this method cannot run there with these parameters, as the rest of a sentence that begins with "it".
    fn device_cost(&self) -> std::result::Result<DeviceCost, &'static str> {
        Err("it has no GPU version")
    }

    /// Computes whole-scene statistics, if the method has any. Runs once, inside the thread pool of the context.
    ///
    /// # Errors
    /// Those of reading, [`ErrorKind::Data`] and [`ErrorKind::Cancelled`].
    fn prepare(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Box<dyn Prepared>>;
}

/// Contents of a file that a method makes and a job wants kept, such as a dictionary to use again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// Id of the `new_file` parameter that names the file.
    pub parameter: &'static str,
    /// What goes into the file.
    pub contents: Vec<u8>,
}

/// A method ready to compute tiles, in any order and from several threads.
pub trait Prepared: Send + Sync {
    /// Values that the method derived from the data (name, value), for the log and the provenance.
    fn derived(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Contents of the files that the job wants written: one for each `new_file` parameter that names a file.
    fn artefacts(&self) -> Vec<Artefact> {
        Vec::new()
    }

    /// Computes one tile. Single-threaded: tiles run in parallel.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`]; `exec.cancel` is checked at least every 50 ms.
    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()>;

    /// Puts what tiles need of the whole scene on the device of `queue`. Called once for each device, and only when
    /// [`Plan::device_cost`] has a cost.
    ///
    /// # Errors
    /// [`ErrorKind::Device`].
    fn on_device<'a>(&'a self, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
        Err(Error::internal(format!("a method without a GPU version was put on {}", queue.info().name)))
    }
}

/// A method ready to compute tiles on one GPU, in any order and from several threads, each with its own queue. The same meaning as
/// [`Prepared::run`]: decisions are equal, values agree within rounding.
pub trait DeviceTiles: Send + Sync {
    /// Computes one tile and waits for it.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] and [`ErrorKind::Cancelled`].
    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, queue: &mut dyn Queue, exec: &Exec<'_>) -> Result<()>;
}

/// Images of one pair under a tile, (band, row, col), C-contiguous, covering [`TileIn::padded`].
#[derive(Debug, Clone)]
pub struct PairTile<'a> {
    /// Fine image.
    pub fine: ArrayView3<'a, f32>,
    /// Coarse image on the fine grid.
    pub coarse: ArrayView3<'a, f32>,
    /// Class map, (row, col).
    pub classes: Option<ArrayView2<'a, f32>>,
    /// Object map, (row, col).
    pub objects: Option<ArrayView2<'a, f32>>,
    /// Panchromatic image, (row, col).
    pub pan: Option<ArrayView2<'a, f32>>,
    /// Days from the target to the pair, negative when the pair is earlier.
    pub gap_days: Option<i32>,
}

/// Input of one tile. Invalid values are `NaN`; all others are finite.
#[derive(Debug, Clone)]
pub struct TileIn<'a> {
    /// Pixels to compute, in scene coordinates.
    pub region: Region,
    /// Pixels given: `region` grown by the halo and clipped to the scene.
    pub padded: Region,
    /// The pairs, in the order of the job.
    pub pairs: Vec<PairTile<'a>>,
    /// Coarse image of the target day on the fine grid, covering `padded`.
    pub target: ArrayView3<'a, f32>,
}

impl TileIn<'_> {
    /// Row of `region` inside `padded`.
    pub fn row_offset(&self) -> usize {
        self.region.row - self.padded.row
    }

    /// Column of `region` inside `padded`.
    pub fn col_offset(&self) -> usize {
        self.region.col - self.padded.col
    }
}

/// Output of one tile, covering [`TileIn::region`].
#[derive(Debug)]
pub struct TileOut<'a> {
    /// The prediction, (band, row, col), C-contiguous; `NaN` where nothing can be predicted. Holds `NaN` everywhere before the run.
    pub image: ArrayViewMut3<'a, f32>,
    /// The part of the support layer that only the method knows, when it was asked for.
    pub support: Option<SupportOut<'a>>,
}

/// What a method says about the support of its prediction, (row, col).
#[derive(Debug)]
pub struct SupportOut<'a> {
    /// Number of similar pixels, over all pairs, in the band that has fewest. Methods without a neighbourhood write 1 where they predict.
    pub similar_pixels: ArrayViewMut2<'a, f32>,
    /// Valid part (0..1) of the samples inside the scene that the method could have used, over all pairs.
    pub valid_fraction: ArrayViewMut2<'a, f32>,
    /// Where the method had to leave its rule, the number of the [`Fallback`]; holds 0 everywhere before the run. Of several
    /// bands the largest number counts.
    pub fallback: ArrayViewMut2<'a, f32>,
}

/// Why a predicted pixel does not follow the method's full rule. The numbers are those of the support layer and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fallback {
    /// It does.
    None = 0,
    /// The prediction left the data range and was repaired.
    OutOfRange = 1,
    /// Too few similar pixels.
    FewSimilar = 2,
    /// Too few valid coarse pixels around for the unknowns.
    FewCoarse = 3,
    /// The pixel's class has no part in the coarse pixels around.
    ClassAbsent = 4,
    /// The equations have no unique solution.
    Singular = 5,
    /// The images of the pairs held nothing to learn from.
    NothingLearned = 6,
}

impl Fallback {
    /// Every reason, in the order of the numbers.
    pub const ALL: &'static [Fallback] = &[
        Fallback::None,
        Fallback::OutOfRange,
        Fallback::FewSimilar,
        Fallback::FewCoarse,
        Fallback::ClassAbsent,
        Fallback::Singular,
        Fallback::NothingLearned,
    ];

    /// What it means, in words.
    pub fn label(self) -> &'static str {
        match self {
            Fallback::None => "as the method says",
            Fallback::OutOfRange => "repaired: out of the data range",
            Fallback::FewSimilar => "too few similar pixels",
            Fallback::FewCoarse => "too few valid coarse pixels",
            Fallback::ClassAbsent => "class absent from the coarse pixels around",
            Fallback::Singular => "no unique solution",
            Fallback::NothingLearned => "nothing to learn from",
        }
    }

    /// The larger of the number in `layer` and this one's.
    pub fn mark(self, layer: &mut f32) {
        *layer = layer.max(f32::from(self as u8));
    }
}

/// Fails unless the number of pairs, and the dates, are what `info` asks for.
///
/// # Errors
/// [`ErrorKind::Data`] naming the method, the number got and the number needed.
pub fn check_needs(info: &MethodInfo, scene: &SceneInfo) -> Result<()> {
    let pairs = |n: usize| if n == 1 { "1 pair".to_string() } else { format!("{n} pairs") };
    let got = scene.pairs.len();
    let needed = match info.max_pairs {
        Some(max) if max == info.min_pairs => format!("exactly {}", pairs(max)),
        Some(max) => format!("{} to {}", info.min_pairs, pairs(max)),
        None => format!("at least {}", pairs(info.min_pairs)),
    };
    if got < info.min_pairs || info.max_pairs.is_some_and(|max| got > max) {
        return Err(Error::new(ErrorKind::Data, format!("{} needs {needed}; the job has {got}", info.label)).with_hint(
            if got < info.min_pairs {
                "Add a pair of fine and coarse images."
            } else {
                "Remove pairs, or choose another method."
            },
        ));
    }
    if info.needs_dates {
        if scene.target_date.is_none() {
            return Err(Error::new(ErrorKind::Data, format!("{} needs the target date; the job has none", info.label))
                .with_hint("Give the target a date (YYYY-MM-DD)."));
        }
        if let Some(k) = scene.pairs.iter().position(|p| p.date.is_none()) {
            return Err(Error::new(
                ErrorKind::Data,
                format!("{} needs the date of every pair; pair {} has none", info.label, k + 1),
            )
            .with_hint("Give each pair a date (YYYY-MM-DD)."));
        }
    }
    for extra in ExtraImage::ALL.iter().filter(|&&extra| !info.accepts(extra)) {
        if let Some(k) = scene.pairs.iter().position(|p| p.has(*extra)) {
            let name = extra.label();
            return Err(Error::new(ErrorKind::Data, format!("{} takes no {name}; pair {} has one", info.label, k + 1))
                .with_hint(format!("Remove the {name} from the job.")));
        }
    }
    Ok(())
}
