//! Images as a network takes them: which image each input is fed, made of which images of the job, scaled, on which grid, without
//! gaps.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{ArrayView3, Axis};
use stfusion_core::method::{ExtraImage, Layer, Scene, SceneInfo, TileIn};
use stfusion_core::{Error, ErrorKind, Exec, Region, Result};
use stfusion_nn::graph::Graph;
use stfusion_nn::tensor::Tensor;
use stfusion_nn::weights::metadata::{CoarseGrid, Metadata, Role, ValueRange};

use crate::blocks::pair_order::nearest_first;
use crate::blocks::passes::{map_blocks, BLOCK_PX};

/// An input of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// Its name in the graph.
    pub name: String,
    /// The images that it is fed, along the channels.
    pub images: Vec<Role>,
}

/// The input of networks of the zoo that is fed such an image, or by a sampler.
pub fn zoo_name(role: Role) -> Option<&'static str> {
    match role {
        Role::NoisyTarget => Some("noisy"),
        Role::Step => Some("time"),
        image => image.zoo_input(),
    }
}

/// Whether a sampler makes it.
fn is_sampled(role: Role) -> bool {
    matches!(role, Role::NoisyTarget | Role::Step)
}

fn is_second(role: Role) -> bool {
    matches!(role, Role::FinePair2 | Role::CoarsePair2 | Role::LowPair2)
}

/// The images of a job whose sum, with these signs, is an image of this kind.
fn terms(role: Role) -> &'static [(f32, Role)] {
    match role {
        Role::FinePair1 | Role::LowPair1 => &[(1.0, Role::FinePair1)],
        Role::FinePair2 | Role::LowPair2 => &[(1.0, Role::FinePair2)],
        Role::CoarsePair1 => &[(1.0, Role::CoarsePair1)],
        Role::CoarsePair2 => &[(1.0, Role::CoarsePair2)],
        Role::CoarseTarget => &[(1.0, Role::CoarseTarget)],
        Role::SharpenedTarget => &[(1.0, Role::FinePair1), (1.0, Role::CoarseTarget), (-1.0, Role::CoarsePair1)],
        Role::PanchromaticPair1 => &[(1.0, Role::PanchromaticPair1)],
        Role::CoarseImage | Role::NoisyTarget | Role::Step => &[],
    }
}

/// The pairs that stand for the first and the second one of a network: the nearest one alone, or the nearest before the target day
/// and the nearest after it; two on one side in the order of their dates.
///
/// # Errors
/// [`ErrorKind::Data`] when there are fewer than two and two are needed.
pub fn pairs(scene: &SceneInfo, two: bool, label: &str) -> Result<(usize, Option<usize>)> {
    let order = nearest_first(scene);
    let few = || {
        Error::new(ErrorKind::Data, format!("{label} needs 2 pairs; the job has {}", scene.pairs.len()))
            .with_hint("Add a pair of fine and coarse images, best one before and one after the target date.")
    };
    let first = *order.first().ok_or_else(few)?;
    if !two {
        return Ok((first, None));
    }
    let gap = |k: usize| scene.gap_days(k).unwrap_or(k as i32);
    let dated = scene.gap_days(first).is_some();
    let across = order.iter().copied().find(|&k| k != first && (!dated || (gap(k) > 0) != (gap(first) > 0)));
    let second = across.or_else(|| order.get(1).copied()).ok_or_else(few)?;
    Ok(if gap(first) <= gap(second) { (first, Some(second)) } else { (second, Some(first)) })
}

/// How images become the inputs of a network.
#[derive(Debug, Clone)]
pub struct Preparation {
    /// The inputs that are fed images.
    pub feeds: Vec<Feed>,
    /// Names of the inputs that a sampler feeds: the noisy image and the step.
    sampled: Option<(String, String)>,
    pairs: (usize, Option<usize>),
    fine: ValueRange,
    coarse: ValueRange,
    /// Whether images are less their means.
    centred: bool,
    /// The scaled mean of every band of the images that are less it, once the scene has been read.
    means: BTreeMap<Role, Vec<f64>>,
    /// Fine pixels per pixel of a coarse image as the network takes it.
    pub factor: usize,
}

/// What a network sees at once: the rows and columns of the scene that lie under its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// A row of the scene for every row.
    pub rows: Vec<usize>,
    /// A column of the scene for every column.
    pub cols: Vec<usize>,
}

/// What a patch of the scene gives a network.
#[derive(Debug)]
pub struct Fed {
    /// The inputs, in the order of [`Preparation::feeds`].
    pub inputs: Vec<Tensor>,
    /// Which values of the prediction are valid, (band, row, col): those of a band that is valid in every image there.
    pub valid: Vec<bool>,
    /// Valid part of what the patch holds of the scene, 0..1.
    pub valid_part: f32,
}

impl Preparation {
    /// As `metadata` says, for a scene.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when pairs are missing; [`ErrorKind::Unsupported`] when the network wants images that a job has not.
    pub fn new(metadata: &Metadata, scene: &SceneInfo, label: &str) -> Result<Preparation> {
        let (mut feeds, mut noisy, mut step) = (Vec::new(), None, None);
        for (k, input) in metadata.inputs.iter().enumerate() {
            if let Some(other) = input.images.iter().find(|role| !is_sampled(**role) && terms(**role).is_empty()) {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("{label} takes {}, which is none of the images of a fusion job", other.id()),
                )
                .with_hint(
                    "A job feeds fine_pair1, coarse_pair1, fine_pair2, coarse_pair2, coarse_target, panchromatic_pair1, low_pair1, low_pair2 and sharpened_target.",
                ));
            }
            let alone = match input.images[..] {
                [role] => zoo_name(role).map(String::from),
                _ => None,
            };
            let name =
                if input.name.is_empty() { alone.unwrap_or_else(|| format!("input {}", k + 1)) } else { input.name.clone() };
            match input.images[..] {
                [Role::NoisyTarget] => noisy = Some(name),
                [Role::Step] => step = Some(name),
                _ if input.images.iter().any(|role| is_sampled(*role)) => {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        format!("{label} takes a noisy image or its step together with other images in one input"),
                    )
                    .with_hint("A network is fed noisy_target and step by themselves."));
                }
                _ => feeds.push(Feed { name, images: input.images.clone() }),
            }
        }
        let two = feeds.iter().any(|feed| feed.images.iter().any(|role| is_second(*role)));
        let factor = match metadata.coarse {
            Some(CoarseGrid::Coarse { factor }) => factor,
            _ => 1,
        };
        let pairs = pairs(scene, two, label)?;
        let wants_pan = feeds.iter().any(|feed| feed.images.contains(&Role::PanchromaticPair1));
        if wants_pan && !scene.pairs[pairs.0].has(ExtraImage::Panchromatic) {
            return Err(Error::new(
                ErrorKind::Data,
                format!("{label} needs the panchromatic image of pair {}; the job has none", pairs.0 + 1),
            )
            .with_hint("Give the pair its panchromatic image (pan), on the fine grid."));
        }
        Ok(Preparation {
            feeds,
            sampled: noisy.zip(step),
            pairs,
            fine: metadata.scaling.fine.clone().unwrap_or_default(),
            coarse: metadata.scaling.coarse.clone().unwrap_or_default(),
            centred: metadata.scaling.centred.unwrap_or(false),
            means: BTreeMap::new(),
            factor,
        })
    }

    /// With the means over the whole scene, where images are less them.
    ///
    /// # Errors
    /// Those of reading.
    pub fn with_means(mut self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Preparation> {
        if !self.centred {
            return Ok(self);
        }
        let info = scene.info();
        let roles: BTreeSet<Role> = self.feeds.iter().flat_map(|feed| feed.images.iter().copied()).collect();
        let layers: Vec<Role> = roles.iter().flat_map(|role| terms(*role).iter().map(|term| term.1)).collect();
        let blocks = Region::whole(info.rows, info.cols).blocks(BLOCK_PX, BLOCK_PX);
        let read: Vec<Layer> = layers.iter().map(|role| self.layer(*role)).collect();
        let sums = map_blocks(scene, &blocks, &read, exec, |_, images| {
            let image = |role: Role| layers.iter().zip(images).find(|(own, _)| **own == role).map(|(_, image)| image.view());
            let mut sums: Vec<(f64, u64)> = Vec::with_capacity(roles.len() * info.bands);
            for &role in &roles {
                let terms = terms_of(role, image)?;
                for band in 0..role.bands(info.bands) {
                    let values = (0..images[0].dim().1).flat_map(|row| (0..images[0].dim().2).map(move |col| (band, row, col)));
                    let known = values.map(|at| sum_at(&terms, at)).filter(|value| !value.is_nan());
                    sums.push(known.fold((0.0, 0), |(sum, count), value| (sum + self.scaled(role, band, value), count + 1)));
                }
            }
            Ok(sums)
        })?;
        let mut first = 0;
        for &role in &roles {
            let of_band = |band: usize| {
                let parts = sums.iter().map(|block| block[first + band]);
                let (sum, count) = parts.fold((0.0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
                sum / (count.max(1) as f64)
            };
            let bands = role.bands(info.bands);
            self.means.insert(role, (0..bands).map(of_band).collect());
            first += bands;
        }
        Ok(self)
    }

    /// The network's value, before its mean is taken off, of the unscaled `value` in `band`.
    fn scaled(&self, role: Role, band: usize, value: f32) -> f64 {
        let range = if role.has_fine_values() { &self.fine } else { &self.coarse };
        range.forward(band, f64::from(value))
    }

    /// What is taken off a band of an image.
    fn mean(&self, role: Role, band: usize) -> f64 {
        self.means.get(&role).map_or(0.0, |means| means[band])
    }

    /// Whether the network has fine images on its coarse grid, which then is one between the fine and the coarse pixels.
    pub fn has_low_images(&self) -> bool {
        self.feeds.iter().any(|feed| feed.images.iter().any(|role| matches!(role, Role::LowPair1 | Role::LowPair2)))
    }

    /// The shape of every input for patches of `rows` x `cols` fine pixels.
    pub fn shapes(&self, bands: usize, (rows, cols): (usize, usize)) -> Vec<(&str, Vec<usize>)> {
        let of = |feed: &Feed| {
            let factor = self.factor_of(feed);
            let channels = feed.images.iter().map(|role| role.bands(bands)).sum();
            vec![1, channels, rows / factor, cols / factor]
        };
        let mut all: Vec<_> = self.feeds.iter().map(|feed| (feed.name.as_str(), of(feed))).collect();
        if let Some((noisy, step)) = &self.sampled {
            all.extend([(noisy.as_str(), vec![1, bands, rows, cols]), (step.as_str(), vec![1])]);
        }
        all
    }

    /// Whether a sampler is to be run.
    pub fn is_diffusion(&self) -> bool {
        self.sampled.is_some()
    }

    /// The inputs in the order of `graph`, of which `fed` are the images and `sampled` what a sampler feeds.
    ///
    /// # Errors
    /// An internal error when the graph has an input that is not fed.
    pub fn ordered(&self, graph: &Graph, fed: &[Tensor], sampled: Option<[&Tensor; 2]>) -> Result<Vec<Tensor>> {
        let by_name = |name: &str| {
            let own = self.feeds.iter().zip(fed).find(|(feed, _)| feed.name == name).map(|(_, tensor)| tensor);
            let of_sampler = || {
                let ((noisy, step), [x, t]) = self.sampled.as_ref().zip(sampled)?;
                [(noisy, x), (step, t)].into_iter().find(|(own, _)| *own == name).map(|(_, tensor)| tensor)
            };
            own.or_else(of_sampler).cloned()
        };
        let missing = |name: &str| Error::internal(format!("the input {name} of the network is not fed"));
        graph.inputs().iter().map(|port| by_name(&port.name).ok_or_else(|| missing(&port.name))).collect()
    }

    /// Numbers of the pairs in use, counted from 0.
    pub fn pairs_used(&self) -> impl Iterator<Item = usize> {
        [Some(self.pairs.0), self.pairs.1].into_iter().flatten()
    }

    fn factor_of(&self, feed: &Feed) -> usize {
        if feed.images.iter().all(|role| role.is_on_coarse_grid()) {
            self.factor
        } else {
            1
        }
    }

    /// The image of the job that stands for a role that is one.
    fn layer(&self, role: Role) -> Layer {
        let second = self.pairs.1.unwrap_or(self.pairs.0);
        match role {
            Role::FinePair1 => Layer::Fine(self.pairs.0),
            Role::CoarsePair1 => Layer::Coarse(self.pairs.0),
            Role::FinePair2 => Layer::Fine(second),
            Role::CoarsePair2 => Layer::Coarse(second),
            Role::PanchromaticPair1 => Layer::Extra(ExtraImage::Panchromatic, self.pairs.0),
            _ => Layer::Target,
        }
    }

    fn image<'a>(&self, tile: &'a TileIn<'_>, role: Role) -> Option<ArrayView3<'a, f32>> {
        match self.layer(role) {
            Layer::Fine(pair) => Some(tile.pairs[pair].fine),
            Layer::Coarse(pair) => Some(tile.pairs[pair].coarse),
            Layer::Extra(_, pair) => tile.pairs[pair].pan.map(|pan| pan.insert_axis(Axis(0))),
            Layer::Target => Some(tile.target),
        }
    }

    /// The inputs for what a network sees at once. What is invalid becomes the mean of what is valid in its band there.
    ///
    /// # Errors
    /// An internal error when the tile does not hold all of it.
    pub fn feed(&self, tile: &TileIn<'_>, window: &Window) -> Result<Fed> {
        let Window { rows, cols } = window;
        let outside = || Error::internal("a tile does not hold a patch");
        let inside = |pixels: &[usize], from: usize, count: usize| -> Result<Vec<usize>> {
            pixels.iter().map(|p| p.checked_sub(from).filter(|i| *i < count).ok_or_else(outside)).collect()
        };
        let from_rows = inside(rows, tile.padded.row, tile.padded.rows)?;
        let from_cols = inside(cols, tile.padded.col, tile.padded.cols)?;
        let pixels = rows.len() * cols.len();
        let bands = tile.target.dim().0;
        let mut valid = vec![true; bands * pixels];
        let mut inputs = Vec::with_capacity(self.feeds.len());
        for feed in &self.feeds {
            let factor = self.factor_of(feed);
            let (high, wide) = (rows.len() / factor, cols.len() / factor);
            let mut values = Vec::new();
            for &role in &feed.images {
                let terms = terms_of(role, |image| self.image(tile, image))?;
                for band in 0..role.bands(bands) {
                    let mean_of_band = self.mean(role, band);
                    let (mut sums, mut counts) = (vec![0.0f64; high * wide], vec![0u32; high * wide]);
                    for (y, &row) in from_rows.iter().enumerate() {
                        for (x, &col) in from_cols.iter().enumerate() {
                            let value = sum_at(&terms, (band, row, col));
                            if value.is_nan() {
                                let at = y * cols.len() + x;
                                // the one band of a panchromatic image counts for all
                                let of = if role == Role::PanchromaticPair1 { 0..bands } else { band..band + 1 };
                                of.for_each(|band| valid[band * pixels + at] = false);
                            } else {
                                let to = y / factor * wide + x / factor;
                                sums[to] += self.scaled(role, band, value) - mean_of_band;
                                counts[to] += 1;
                            }
                        }
                    }
                    let mean = |sum: f64, count: u32| sum / f64::from(count);
                    let known: u32 = counts.iter().sum();
                    let fill = if known > 0 { mean(sums.iter().sum(), known) } else { 0.0 };
                    let of_cell = |(sum, count): (&f64, &u32)| if *count > 0 { mean(*sum, *count) as f32 } else { fill as f32 };
                    values.extend(sums.iter().zip(&counts).map(of_cell));
                }
            }
            let channels = values.len() / (high * wide);
            inputs.push(Tensor::from_f32(&[1, channels, high, wide], values)?);
        }
        // a pixel of the scene counts once, where all its bands are valid
        let firsts = |pixels: &[usize]| (0..pixels.len()).filter(|&i| i == 0 || pixels[i] != pixels[i - 1]).collect::<Vec<_>>();
        let (high, wide) = (firsts(rows), firsts(cols));
        let inner = high.iter().flat_map(|y| wide.iter().map(move |x| y * cols.len() + x));
        let count = inner.filter(|at| valid.iter().skip(*at).step_by(pixels).all(|v| *v)).count();
        Ok(Fed { inputs, valid_part: count as f32 / (high.len() * wide.len()) as f32, valid })
    }

    /// The unscaled value of the network's `value` in `band`.
    pub fn unscaled(&self, band: usize, value: f32) -> f32 {
        let value = self.fine.back(band, f64::from(value) + self.mean(Role::FinePair1, band)) as f32;
        if value.is_finite() {
            value
        } else {
            f32::NAN
        }
    }
}

/// The images whose sum an image of this kind is, with their signs.
fn terms_of<'a>(role: Role, image: impl Fn(Role) -> Option<ArrayView3<'a, f32>>) -> Result<Vec<(f32, ArrayView3<'a, f32>)>> {
    let missing = || Error::internal(format!("{} is made of images that were not read", role.id()));
    terms(role).iter().map(|(sign, part)| Ok((*sign, image(*part).ok_or_else(missing)?))).collect()
}

/// The sum at a place (band, row, col); `NaN` where one of the images is invalid.
fn sum_at(terms: &[(f32, ArrayView3<'_, f32>)], at: (usize, usize, usize)) -> f32 {
    terms.iter().map(|(sign, image)| sign * image[at]).sum()
}
