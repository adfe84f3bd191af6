//! Images as a network takes them: which image each input is fed, scaled, on which grid, without gaps.

use ndarray::{ArrayView3, Axis};
use stfusion_core::method::{SceneInfo, TileIn};
use stfusion_core::{Error, ErrorKind, Result};
use stfusion_nn::graph::Graph;
use stfusion_nn::tensor::Tensor;
use stfusion_nn::weights::metadata::{CoarseGrid, Metadata, Role, ValueRange};

use super::patches;
use crate::blocks::pair_order::nearest_first;

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

/// Whether it is a fine image.
pub fn is_fine(role: Role) -> bool {
    matches!(role, Role::FinePair1 | Role::FinePair2)
}

/// Whether a sampler makes it.
fn is_sampled(role: Role) -> bool {
    matches!(role, Role::NoisyTarget | Role::Step)
}

fn is_second(role: Role) -> bool {
    matches!(role, Role::FinePair2 | Role::CoarsePair2)
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
    /// Fine pixels per pixel of a coarse image as the network takes it.
    pub factor: usize,
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
            if let Some(other) = input.images.iter().find(|role| zoo_name(**role).is_none()) {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("{label} takes {}, which is none of the images of a fusion job", other.id()),
                )
                .with_hint("A job feeds fine_pair1, coarse_pair1, fine_pair2, coarse_pair2 and coarse_target."));
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
        Ok(Preparation {
            feeds,
            sampled: noisy.zip(step),
            pairs: pairs(scene, two, label)?,
            fine: metadata.scaling.fine.clone().unwrap_or_default(),
            coarse: metadata.scaling.coarse.clone().unwrap_or_default(),
            factor,
        })
    }

    /// The shape of every input for patches of `rows` x `cols` fine pixels.
    pub fn shapes(&self, bands: usize, (rows, cols): (usize, usize)) -> Vec<(&str, Vec<usize>)> {
        let of = |feed: &Feed| {
            let factor = self.factor_of(feed);
            vec![1, bands * feed.images.len(), rows / factor, cols / factor]
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
        if feed.images.iter().any(|role| is_fine(*role)) {
            1
        } else {
            self.factor
        }
    }

    fn image<'a>(&self, tile: &'a TileIn<'_>, role: Role) -> ArrayView3<'a, f32> {
        let second = self.pairs.1.unwrap_or(self.pairs.0);
        match role {
            Role::FinePair1 => tile.pairs[self.pairs.0].fine,
            Role::CoarsePair1 => tile.pairs[self.pairs.0].coarse,
            Role::FinePair2 => tile.pairs[second].fine,
            Role::CoarsePair2 => tile.pairs[second].coarse,
            _ => tile.target,
        }
    }

    /// The inputs for the patch that begins at pixel `at` of the scene. Pixels beyond the scene's end repeat its last ones; what is
    /// invalid becomes the mean of what is valid in its band of the patch.
    ///
    /// # Errors
    /// An internal error when the tile does not hold the patch.
    pub fn feed(&self, tile: &TileIn<'_>, at: (usize, usize), axes: (&patches::Axis, &patches::Axis)) -> Result<Fed> {
        let (rows, cols) = (axes.0.size, axes.1.size);
        let inside = |start: usize, axis: &patches::Axis, from: usize| -> Vec<usize> {
            (start..start + axis.size).map(|i| i.min(axis.length - 1) - from).collect()
        };
        let (from_rows, from_cols) = (inside(at.0, axes.0, tile.padded.row), inside(at.1, axes.1, tile.padded.col));
        if from_rows.iter().any(|&r| r >= tile.padded.rows) || from_cols.iter().any(|&c| c >= tile.padded.cols) {
            return Err(Error::internal("a tile does not hold a patch"));
        }
        let pixels = rows * cols;
        let mut valid = vec![true; tile.target.dim().0 * pixels];
        let mut inputs = Vec::with_capacity(self.feeds.len());
        for feed in &self.feeds {
            let factor = self.factor_of(feed);
            let (high, wide) = (rows / factor, cols / factor);
            let mut values = Vec::new();
            for &role in &feed.images {
                let range = if is_fine(role) { &self.fine } else { &self.coarse };
                for (band, plane) in self.image(tile, role).axis_iter(Axis(0)).enumerate() {
                    let first = values.len();
                    let (mut sums, mut counts) = (vec![0.0f64; high * wide], vec![0u32; high * wide]);
                    for (y, &row) in from_rows.iter().enumerate() {
                        let line = plane.row(row);
                        for (x, &col) in from_cols.iter().enumerate() {
                            let value = line[col];
                            if value.is_nan() {
                                valid[band * pixels + y * cols + x] = false;
                            } else {
                                let to = y / factor * wide + x / factor;
                                sums[to] += range.forward(band, f64::from(value));
                                counts[to] += 1;
                            }
                        }
                    }
                    let mean = |sum: f64, count: u32| sum / f64::from(count);
                    let known: u32 = counts.iter().sum();
                    let fill = if known > 0 { mean(sums.iter().sum(), known) } else { 0.0 };
                    let of_cell = |(sum, count): (&f64, &u32)| if *count > 0 { mean(*sum, *count) as f32 } else { fill as f32 };
                    values.extend(sums.iter().zip(&counts).map(of_cell));
                    debug_assert_eq!(values.len(), first + high * wide);
                }
            }
            let channels = values.len() / (high * wide);
            inputs.push(Tensor::from_f32(&[1, channels, high, wide], values)?);
        }
        let (high, wide) = (rows.min(axes.0.length - at.0), cols.min(axes.1.length - at.1));
        // a pixel counts where all its bands are valid
        let inner = (0..high).flat_map(|y| (0..wide).map(move |x| y * cols + x));
        let count = inner.filter(|at| valid.iter().skip(*at).step_by(pixels).all(|v| *v)).count();
        Ok(Fed { inputs, valid_part: count as f32 / (high * wide) as f32, valid })
    }

    /// The unscaled value of the network's `value` in `band`.
    pub fn unscaled(&self, band: usize, value: f32) -> f32 {
        let value = self.fine.back(band, f64::from(value)) as f32;
        if value.is_finite() {
            value
        } else {
            f32::NAN
        }
    }
}
