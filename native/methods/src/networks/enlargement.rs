//! Coarse images enlarged by networks of super-resolution, one stage after another.
//!
//! ```text
//! for every stage:                      a weights file; its tensors say the factor and the number of channels
//!     for every patch of the image:     values scaled, without gaps ──> network ──> scaled back ──> blended
//! the last stage's pixels are averaged over the cells that are wanted
//! ```
//! A network with as many channels as the images have bands sees all bands at once; one with fewer sees them in groups. The mean over a
//! patch is part of such networks, so patches have the size of training and lie on a grid anchored at the image's corner.
//!
//! Edges: an enlarged pixel is valid where the pixel it comes from is. Inside a patch, gaps are filled with the mean of what is valid
//! in their band there.

use std::sync::Arc;

use ndarray::{Array3, Axis as Along};
use stfusion_core::param::File;
use stfusion_core::{Error, ErrorKind, Exec, Result};
use stfusion_nn::weights::metadata::{Blend, Choice, Metadata, Scaling};
use stfusion_nn::{zoo, Tensor};
use stfusion_simd::Path;

use super::patches::Axis;
use super::program::{Origin, Ready, Source};

/// Side of the patches of the image to enlarge, where neither the weights nor the user say anything: that of RCAN's training.
const PATCH_PX: usize = 48;

/// A network that enlarges images, read and checked.
pub struct Enlarger {
    name: String,
    contents: Arc<[u8]>,
    source: Arc<Source>,
    metadata: Metadata,
    /// Channels that it takes.
    channels: usize,
    /// What it multiplies rows and columns with.
    pub factor: usize,
}

impl Enlarger {
    /// The weights of `network` in `file`; `described` completes what the file says.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when the tensors are not those of such a network; those of reading and of `described`.
    pub fn read(
        network: &'static zoo::Network,
        file: &File,
        described: impl Fn(&Source) -> Result<Metadata>,
    ) -> Result<Enlarger> {
        let contents = file.shared()?;
        let source = Origin::Zoo(network).read(&contents, file.name())?;
        let metadata = described(&source).map_err(|e| e.at(file.name()))?;
        let no_network = |what: String| {
            Error::new(ErrorKind::Data, format!("{}: {what}", file.name()))
                .with_hint(format!("Give the weights of {}; stfusion weights tells what is wrong with a file.", network.name))
        };
        let channels = source.shape_of("head.0.weight").and_then(|shape| shape.get(1).copied()).unwrap_or(1);
        let shapes = [("image", vec![1, channels, PATCH_PX, PATCH_PX])];
        let graph = source.graph(&shapes, &metadata.option_texts()).map_err(|e| e.at(file.name()))?;
        let shape = graph.outputs().first().map(|port| graph.shape(port.value).to_vec()).unwrap_or_default();
        let factor = match shape[..] {
            [1, c, rows, cols] if c == channels && rows == cols && rows % PATCH_PX == 0 => rows / PATCH_PX,
            _ => 0,
        };
        if factor < 2 {
            return Err(no_network(format!(
                "it makes an image of shape {shape:?} of one of {channels} x {PATCH_PX} x {PATCH_PX}"
            )));
        }
        if !metadata.bands.is_empty() && metadata.bands.len() != channels {
            return Err(no_network(format!("it names {} bands, but its tensors have {channels}", metadata.bands.len())));
        }
        Ok(Enlarger { name: file.name().into(), contents, source, metadata, channels, factor })
    }

    /// What is known of the weights.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Bytes that are held of the file.
    pub fn bytes(&self) -> usize {
        self.source.bytes()
    }

    /// Ready for images of this size. `patch` pixels of the image per side of a patch, or 0 for those of training; neighbouring patches
    /// share `overlap`, or by default a quarter.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when the bands cannot be fed to it; [`ErrorKind::Parameter`] for patches that share more than half; those of
    /// compiling.
    pub fn stage(
        &self,
        bands: usize,
        (rows, cols): (usize, usize),
        (patch, overlap): (usize, Option<usize>),
        path: Path,
    ) -> Result<Stage> {
        let tile = &self.metadata.tile;
        let trained = tile.size.map_or(PATCH_PX, |size| size / self.factor).max(1);
        let size = if patch > 0 { patch } else { trained };
        let overlap = overlap.or(tile.overlap.map(|own| own / self.factor)).unwrap_or(size / 4);
        if overlap > size / 2 {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!("Overlap of patches is {overlap}; patches of {size} coarse pixels share at most half"),
            )
            .with_hint(format!("Set overlap={} or less.", size / 2)));
        }
        let axis = |length: usize| {
            // an image smaller than a patch is one patch
            let size = size.min(length);
            let blend = tile.blend.unwrap_or(Blend::Linear);
            Axis::new(length * self.factor, size * self.factor, overlap.min(size / 2) * self.factor, self.factor, blend)
        };
        let (rows, cols) = (axis(rows), axis(cols));
        let groups = groups(&self.metadata, bands, self.channels).map_err(|e| e.at(&self.name))?;
        let shapes = [("image", vec![1, self.channels, rows.size / self.factor, cols.size / self.factor])];
        let ready = self.source.program(&self.contents, &shapes, &self.metadata.option_texts(), path)?;
        Ok(Stage { ready, factor: self.factor, groups, scaling: self.metadata.scaling.clone(), rows, cols })
    }
}

/// The bands that a network sees at once.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    /// The band of every channel.
    bands: Vec<usize>,
    /// Whether the network's prediction of it is kept: a band of several groups comes from the first.
    kept: Vec<bool>,
}

/// Groups of `channels` bands: those of the option `groups` (`"3 2 1, 4 3 2"`, bands counted from 1), or one after the other, the last
/// one moved back where too few bands are left.
fn groups(metadata: &Metadata, bands: usize, channels: usize) -> Result<Vec<Group>> {
    let refuse = |message: String, hint: String| Err(Error::new(ErrorKind::Data, message).with_hint(hint));
    let listed: Vec<Vec<usize>> = match metadata.options.get("groups") {
        Some(choice) => {
            let text = match choice {
                Choice::Word(text) => text.clone(),
                other => other.to_string(),
            };
            let number = |word: &str| word.parse::<usize>().ok().filter(|band| (1..=bands).contains(band)).map(|band| band - 1);
            let group = |part: &str| part.split_whitespace().map(number).collect::<Option<Vec<_>>>();
            match text.split(',').map(group).collect::<Option<Vec<_>>>() {
                Some(all) if all.iter().all(|group| group.len() == channels) => all,
                _ => {
                    return refuse(
                        format!("the option groups is {text:?} for a network of {channels} bands and images of {bands}"),
                        format!("Give lists of {channels} numbers of bands, counted from 1, such as \"3 2 1, 4 3 2\"."),
                    )
                }
            }
        }
        None if bands < channels => {
            return refuse(
                format!("the network takes {channels} bands at once; the images have {bands}"),
                "Choose bands with grid.bands in the job, or other weights; the option groups can name a band twice.".into(),
            )
        }
        None => {
            (0..bands).step_by(channels).map(|first| first.min(bands - channels)).map(|b| (b..b + channels).collect()).collect()
        }
    };
    let mut seen = vec![false; bands];
    let groups = listed.into_iter().map(|group| {
        let kept = group.iter().map(|&band| !std::mem::replace(&mut seen[band], true)).collect();
        Group { bands: group, kept }
    });
    let groups = groups.collect();
    match seen.iter().position(|seen| !seen) {
        None => Ok(groups),
        Some(band) => refuse(format!("the option groups leaves out band {}", band + 1), "Name every band once or more.".into()),
    }
}

/// A network for images of one size.
pub struct Stage {
    ready: Arc<Ready>,
    factor: usize,
    groups: Vec<Group>,
    scaling: Scaling,
    /// Patches, counted in pixels of the enlarged image.
    rows: Axis,
    cols: Axis,
}

impl Stage {
    /// Memory of a run beside image and result.
    pub fn bytes(&self) -> usize {
        self.ready.bytes()
    }

    /// Rows and columns of the enlarged image.
    pub fn size(&self) -> (usize, usize) {
        (self.rows.length, self.cols.length)
    }

    /// `image` (band, row, col) enlarged and averaged over cells of `side` x `side` of its new pixels, of which there are `cells` (rows,
    /// columns); what lies beyond them does not count. `NaN` where no pixel of a cell is valid.
    ///
    /// # Errors
    /// Those of the network, and [`ErrorKind::Cancelled`].
    pub fn run(&self, image: &Array3<f32>, side: usize, cells: (usize, usize), exec: &Exec<'_>) -> Result<Array3<f32>> {
        let bands = image.dim().0;
        let mut sums = Array3::<f32>::zeros((bands, cells.0, cells.1));
        let mut weights = Array3::<f32>::zeros(sums.dim());
        for (j, i) in (0..self.rows.starts.len()).flat_map(|j| (0..self.cols.starts.len()).map(move |i| (j, i))) {
            exec.cancel.check()?;
            for group in &self.groups {
                let Some(values) = self.enlarged(image, group, (j, i), exec)? else { continue };
                for (channel, &band) in group.bands.iter().enumerate().filter(|(channel, _)| group.kept[*channel]) {
                    let plane = &values[channel * self.rows.size * self.cols.size..];
                    for row in self.rows.reach(j).filter(|row| row / side < cells.0) {
                        for col in self.cols.reach(i).filter(|col| col / side < cells.1) {
                            let value = plane[(row - self.rows.starts[j]) * self.cols.size + col - self.cols.starts[i]];
                            let weight = self.rows.weight(j, row) * self.cols.weight(i, col);
                            let comes_from = image[(band, row / self.factor, col / self.factor)];
                            if weight > 0.0 && value.is_finite() && !comes_from.is_nan() {
                                sums[(band, row / side, col / side)] += weight * value;
                                weights[(band, row / side, col / side)] += weight;
                            }
                        }
                    }
                }
            }
        }
        // nothing divided by nothing is NaN
        sums.zip_mut_with(&weights, |sum, weight| *sum /= weight);
        Ok(sums)
    }

    /// The unscaled values that the network gives the bands of a group in a patch, (channel, row, col); `None` where nothing is valid.
    fn enlarged(&self, image: &Array3<f32>, group: &Group, at: (usize, usize), exec: &Exec<'_>) -> Result<Option<Vec<f32>>> {
        let (top, left) = (self.rows.starts[at.0] / self.factor, self.cols.starts[at.1] / self.factor);
        let (high, wide) = (self.rows.size / self.factor, self.cols.size / self.factor);
        let (coarse, fine) = (self.scaling.coarse.clone().unwrap_or_default(), self.scaling.fine.clone().unwrap_or_default());
        let (mut values, mut any) = (Vec::with_capacity(group.bands.len() * high * wide), false);
        for (channel, &band) in group.bands.iter().enumerate() {
            let plane = image.index_axis(Along(0), band);
            let part = plane.slice(ndarray::s![top..top + high, left..left + wide]);
            let scaled = part.iter().map(|v| coarse.forward(channel, f64::from(*v)));
            let (sum, count) = scaled.clone().filter(|v| !v.is_nan()).fold((0.0, 0u32), |(sum, n), v| (sum + v, n + 1));
            let fill = if count > 0 { sum / f64::from(count) } else { 0.0 };
            values.extend(scaled.map(|v| if v.is_nan() { fill as f32 } else { v as f32 }));
            any |= count > 0;
        }
        if !any {
            return Ok(None);
        }
        let input = Tensor::from_f32(&[1, group.bands.len(), high, wide], values)?;
        let results = self.ready.program.run(&[input], exec.cancel)?;
        let missing = || Error::internal("the network has no enlarged image");
        let result = results.get(self.ready.output).and_then(Tensor::f32s).ok_or_else(missing)?;
        let pixels = self.rows.size * self.cols.size;
        Ok(Some(result.iter().enumerate().map(|(i, v)| fine.back(i / pixels, f64::from(*v)) as f32).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(option: Option<&str>, bands: usize, channels: usize) -> Result<Vec<(Vec<usize>, Vec<bool>)>> {
        let options = option.map(|text| ("groups".to_owned(), Choice::Word(text.into()))).into_iter().collect();
        let found = groups(&Metadata { options, ..Metadata::default() }, bands, channels)?;
        Ok(found.into_iter().map(|group| (group.bands, group.kept)).collect())
    }

    #[test]
    fn bands_go_in_groups_and_each_is_kept_once() {
        assert_eq!(of(None, 3, 3).unwrap(), [(vec![0, 1, 2], vec![true; 3])]);
        assert_eq!(of(None, 2, 1).unwrap(), [(vec![0], vec![true]), (vec![1], vec![true])]);
        let four = [(vec![0, 1, 2], vec![true; 3]), (vec![1, 2, 3], vec![false, false, true])];
        assert_eq!(of(None, 4, 3).unwrap(), four);
        let own = [(vec![2, 1, 0], vec![true; 3]), (vec![3, 2, 1], vec![true, false, false])];
        assert_eq!(of(Some("3 2 1, 4 3 2"), 4, 3).unwrap(), own);
        assert_eq!(of(Some("1 1 2"), 2, 3).unwrap(), [(vec![0, 0, 1], vec![true, false, true])]);
    }

    #[test]
    fn groups_that_cannot_be_are_refused() {
        for (option, bands, expected) in [
            (None, 2, "the network takes 3 bands at once; the images have 2"),
            (Some("1 2 3"), 4, "the option groups leaves out band 4"),
            (Some("1 2"), 4, "the option groups is \"1 2\" for a network of 3 bands and images of 4"),
            (Some("1 2 5"), 4, "the option groups is \"1 2 5\" for a network of 3 bands and images of 4"),
        ] {
            let error = of(option, bands, 3).unwrap_err();
            assert_eq!((error.kind(), error.message()), (ErrorKind::Data, expected));
            assert!(error.hint().is_some());
        }
    }
}
