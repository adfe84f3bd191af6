//! One tile: its input filled from the scene, its output computed by the method.

use ndarray::{Array3, Axis};
use stfusion_core::device::Queue;
use stfusion_core::method::{DeviceTiles, ExtraImage, Layer, PairTile, Prepared, Scene, SceneInfo, TileIn, TileOut};
use stfusion_core::{Cancel, Error, Exec, Region, Result};

use crate::support::{self, SUPPORT_BANDS};

/// The tiles of a scene, each on its own, in any order and from several threads.
pub(crate) struct Tiles<'a> {
    /// The scene.
    pub scene: &'a dyn Scene,
    /// Input needed around a tile, in fine pixels.
    pub halo_px: usize,
    /// Whether the support layer is wanted.
    pub support: bool,
}

/// What computes one tile after the other.
pub(crate) enum Computer<'a> {
    /// The processor.
    Cpu(&'a dyn Prepared),
    /// A queue of a GPU.
    Gpu(&'a dyn DeviceTiles, Box<dyn Queue>),
}

impl Computer<'_> {
    fn run(&mut self, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
        match self {
            Computer::Cpu(prepared) => prepared.run(tile, out, exec),
            Computer::Gpu(tiles, queue) => tiles.run(tile, out, queue.as_mut(), exec),
        }
    }
}

/// Images under one tile, in buffers that are used again for later tiles.
pub(crate) struct Filled {
    pub region: Region,
    pub padded: Region,
    pub layers: Vec<Array3<f32>>,
}

/// A computed tile.
pub(crate) struct Computed {
    pub region: Region,
    pub image: Array3<f32>,
    pub support: Option<Array3<f32>>,
}

impl Tiles<'_> {
    /// Reads the images under the tile `region`, into `buffers` of an earlier tile where they fit.
    ///
    /// # Errors
    /// Those of reading.
    pub fn fill(&self, region: Region, buffers: Vec<Array3<f32>>, cancel: &Cancel) -> Result<Filled> {
        let info = self.scene.info();
        let padded = region.grown(self.halo_px, info.rows, info.cols);
        let mut buffers = buffers.into_iter();
        let mut layers = Vec::new();
        for layer in layers_of(info) {
            cancel.check()?;
            let shape = (info.bands_of(layer), padded.rows, padded.cols);
            let mut image = match buffers.next() {
                Some(image) if image.dim() == shape => image,
                _ => Array3::from_elem(shape, f32::NAN),
            };
            self.scene.read(layer, padded, image.view_mut())?;
            layers.push(image);
        }
        Ok(Filled { region, padded, layers })
    }

    /// Computes a filled tile.
    ///
    /// # Errors
    /// Those of the method and of the device.
    pub fn compute(&self, tile: &Filled, computer: &mut Computer<'_>, exec: &Exec<'_>) -> Result<Computed> {
        let info = self.scene.info();
        let mut layers = tile.layers.iter();
        let mut next = || layers.next().map(|l| l.view()).ok_or_else(|| Error::internal("a tile lacks a layer"));
        let target = next()?;
        let mut pairs = Vec::with_capacity(info.pairs.len());
        for (k, pair) in info.pairs.iter().enumerate() {
            let (fine, coarse) = (next()?, next()?);
            let mut tile = PairTile { fine, coarse, classes: None, objects: None, pan: None, gap_days: info.gap_days(k) };
            for extra in &pair.extra_images {
                let image = Some(next()?.index_axis_move(Axis(0), 0));
                match extra {
                    ExtraImage::Classes => tile.classes = image,
                    ExtraImage::Objects => tile.objects = image,
                    ExtraImage::Panchromatic => tile.pan = image,
                }
            }
            pairs.push(tile);
        }
        let input = TileIn { region: tile.region, padded: tile.padded, pairs, target };
        let Region { rows, cols, .. } = tile.region;
        let mut image = Array3::from_elem((info.bands, rows, cols), f32::NAN);
        let mut support = self.support.then(|| Array3::from_elem((SUPPORT_BANDS.len(), rows, cols), f32::NAN));
        {
            let mut view = support.as_mut().map(|s| s.view_mut());
            let mut out = TileOut { image: image.view_mut(), support: view.as_mut().map(support::of_method) };
            computer.run(&input, &mut out, exec)?;
        }
        if let Some(support) = &mut support {
            support::complete(&input, &image.view(), &mut support.view_mut());
        }
        Ok(Computed { region: tile.region, image, support })
    }
}

/// Layers of a scene in the order in which tiles hold them: target, then fine, coarse and extra images of each pair.
pub(crate) fn layers_of(info: &SceneInfo) -> Vec<Layer> {
    let mut layers = vec![Layer::Target];
    for (k, pair) in info.pairs.iter().enumerate() {
        layers.extend([Layer::Fine(k), Layer::Coarse(k)]);
        layers.extend(pair.extra_images.iter().map(|extra| Layer::Extra(*extra, k)));
    }
    layers
}
