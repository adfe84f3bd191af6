//! Published fusion networks as methods: a weights file and a job.
//!
//! ```text
//! plan:     weights file ──> Source ──at the size of a patch──> program; patches are laid over the scene
//! prepare:  means over the scene, for networks whose images are less them
//! run tile: for every patch under the tile:  images ──scaled, without gaps──> program ──scaled back──> blended
//! ```
//! A network that predicts the pixel in the middle of its patch alone is run once for every pixel of the tile instead.
//!
//! What a weights file does not say about the preparation of images is what was published about the network
//! ([`stfusion_nn::weights::published`]). Patches have the size that the network was trained on and a grid of their own
//! ([`patches`]), so that the prediction does not depend on the tiles of a run.
//!
//! Edges: a band of a pixel is predicted where it is valid in every image that the network is fed. Inside a patch, gaps are filled with the mean of what
//! is valid there; a patch without a valid pixel is not computed.

pub mod cases;
mod diffusion;
mod enlargement;
mod entries;
mod images;
mod patches;
mod program;
pub mod rcan_fsdaf;
mod run;

use std::sync::Arc;

use stfusion_core::method::{check_needs, Cost, Method, MethodInfo, Plan, Prepared, Request, Scene, SceneInfo};
use stfusion_core::param::{File, Values};
use stfusion_core::source::Resampling;
use stfusion_core::{params, Error, ErrorKind, Exec, Result};
use stfusion_nn::weights::metadata::{Blend, CoarseGrid, Input, Metadata, Role};
use stfusion_simd::Path;

use diffusion::Diffusion;
use images::{zoo_name, Preparation};
use patches::Axis;
use program::{Origin, Predicted, Ready, Source};

pub use entries::ALL;

/// Side of patches when neither the weights nor the user say anything.
const PATCH_PX: usize = 256;
/// Patches that are kept for the next tiles take at most so many bytes.
const KEPT_BYTES: usize = 128 << 20;

params! {
    /// Parameters of every network.
    pub struct Parameters {
        weights: file { label: "Weights",
            help: "The trained network: a safetensors file (tools/convert_weights.py makes one from a checkpoint), or an ONNX file for the method onnx.",
            suffix: "safetensors", required: true },
        description: file { label: "Description of the weights",
            help: "JSON with what the weights file does not say: order of inputs, scaling, patch size. Its parts win over those of the file.",
            suffix: "json", advanced: true },
        patch: int { label: "Patch size", help: "Side of the patches that the network sees at once; 0 takes the size it was trained on.",
            unit: "pixels", min: 0, max: 4096, default: 0, advanced: true },
        overlap: int { label: "Overlap of patches",
            help: "What neighbouring patches share, so that no seam is visible; -1 takes what the weights say, or a quarter of the patch.",
            unit: "pixels", min: -1, max: 2048, default: -1, advanced: true },
        steps: int { label: "Steps", help: "Steps of a diffusion network; 0 takes what the weights say. Fewer are faster. Other networks have none.",
            min: 0, max: 10000, default: 0, advanced: true },
        seed: int { label: "Seed", help: "Which noise a diffusion network begins with: the same seed gives the same image. Other networks have none.",
            min: 0, max: 2147483647, default: 0, advanced: true },
    }
}

/// A network as a method. See the [module](self).
pub struct FusionNetwork {
    info: MethodInfo,
    origin: Origin,
}

impl Method for FusionNetwork {
    fn info(&self) -> &'static MethodInfo {
        // every network is one of the list, which is static
        ALL.iter().map(|network| &network.info).find(|info| info.id == self.info.id).unwrap_or(&ALL[0].info)
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        let scene = request.scene;
        let label = self.info.label;
        check_needs(self.info(), scene)?;
        let parameters = Parameters::from_values(request.values)?;
        let file = parameters.weights.as_ref().ok_or_else(|| needs_weights(label))?;
        let contents = file.shared()?;
        let source = self.origin.read(&contents, file.name())?;
        let mut metadata = self.metadata(&source, &parameters, scene).map_err(|e| e.at(file.name()))?;
        let declared = declared_size(&mut metadata, &source);
        let preparation = Preparation::new(&metadata, scene, label)?;
        let diffusion = Diffusion::new(&metadata, &parameters, &preparation).map_err(|e| e.at(file.name()))?;
        let grid = Grid::new((&metadata, declared), &parameters, scene, preparation.factor, label)?;
        let size = (grid.rows.size, grid.cols.size);
        let (path, remark) = Path::from_environment();
        let shapes = preparation.shapes(scene.bands, size);
        let of_bands = |e: Error| match self.origin {
            Origin::Zoo(_) => e.at(format!("{} with images of {} bands", file.name(), scene.bands)),
            Origin::Onnx => e,
        };
        let ready = source.program(&contents, &shapes, &metadata.option_texts(), path).map_err(of_bands)?;
        let predicted = ready.predicted(file.name(), scene.bands, size, diffusion.is_some())?;
        Ok(Box::new(Planned { preparation, diffusion, grid, ready, predicted, source, remark, metadata, scene: scene.clone() }))
    }

    fn coarse_resampling(&self, values: &Values) -> Resampling {
        // what is wrong with the weights is told by the plan
        let metadata = || -> Option<Metadata> {
            let parameters = Parameters::from_values(values).ok()?;
            let file = parameters.weights.as_ref()?;
            let source = self.origin.read(&file.shared().ok()?, file.name()).ok()?;
            let metadata = described(self.origin, self.info.label, &source, parameters.description.as_ref()).ok()?;
            Some(metadata.with_references(source.references()).completed())
        };
        match metadata().and_then(|metadata| metadata.coarse) {
            Some(CoarseGrid::Fine { resampling }) => resampling,
            Some(CoarseGrid::Coarse { .. }) => Resampling::Nearest,
            None => self.info.coarse_resampling,
        }
    }
}

impl FusionNetwork {
    /// What is known about the preparation of images: what the user says, then the file, then what was published.
    fn metadata(&self, source: &Source, parameters: &Parameters, scene: &SceneInfo) -> Result<Metadata> {
        let pairs = source.references().or_else(|| (scene.pairs.len() > 1).then_some(2));
        let metadata = described(self.origin, self.info.label, source, parameters.description.as_ref())?;
        let metadata = metadata.with_references(pairs).completed();
        if !metadata.bands.is_empty() && metadata.bands.len() != scene.bands {
            return Err(Error::new(
                ErrorKind::Data,
                format!(
                    "the network was trained with {} bands ({}); the images have {}",
                    metadata.bands.len(),
                    metadata.bands.join(", "),
                    scene.bands
                ),
            )
            .with_hint("Choose these bands with grid.bands in the job, or other weights."));
        }
        self.named(metadata, source)
    }

    /// With a name for every input; those of an ONNX file are told from their names where nothing else tells them.
    fn named(&self, mut metadata: Metadata, source: &Source) -> Result<Metadata> {
        let Some(names) = source.input_names() else {
            // networks of the zoo take every image by its own name
            let roles = metadata.inputs.iter().flat_map(|input| input.images.clone());
            metadata.inputs = roles.map(|role| Input { name: String::new(), images: vec![role] }).collect();
            return Ok(metadata);
        };
        if metadata.inputs.is_empty() {
            let role = |name: &str| Role::ALL.iter().copied().find(|r| r.id() == name || zoo_name(*r) == Some(name));
            for name in &names {
                let Some(role) = role(name) else {
                    return Err(Error::new(
                        ErrorKind::Data,
                        format!("what the inputs {} are is said nowhere", names.join(", ")),
                    )
                    .with_hint(
                        "Name them in a description: {\"schema\": 1, \"inputs\": [{\"name\": …, \"images\": [\"fine_pair1\"]}, …]}; tools/README.md has the keys.",
                    ));
                };
                metadata.inputs.push(Input { name: name.clone(), images: vec![role] });
            }
        }
        for (input, name) in metadata.inputs.iter_mut().zip(&names) {
            if input.name.is_empty() {
                input.name.clone_from(name);
            }
        }
        Ok(metadata)
    }
}

fn needs_weights(label: &str) -> Error {
    Error::new(ErrorKind::Parameter, format!("{label} needs weights"))
        .with_hint("Set weights to the file of the trained network; tools/convert_weights.py makes one from a checkpoint.")
}

/// What the user says about the preparation of images, then what the file says.
fn described(origin: Origin, label: &str, source: &Source, description: Option<&File>) -> Result<Metadata> {
    let mut metadata = source.metadata().cloned().unwrap_or_default();
    if let Some(file) = description {
        let text = std::str::from_utf8(file.contents()?)
            .map_err(|e| Error::new(ErrorKind::Data, format!("it is not UTF-8: {e}")).at(file.name()))?;
        metadata = Metadata::from_json(text).map_err(|e| e.at(file.name()))?.over(&metadata);
    }
    if let Origin::Zoo(network) = origin {
        let own = network.id_in_files();
        if !metadata.network.is_empty() && metadata.network != own {
            return Err(Error::new(ErrorKind::Data, format!("these are weights of {}, not of {label}", metadata.network))
                .with_hint(format!("Choose the method {}, or other weights.", metadata.network)));
        }
        metadata.network = own;
    }
    Ok(metadata)
}

/// Patches over the scene.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grid {
    rows: Axis,
    cols: Axis,
}

impl Grid {
    /// With patches as `metadata` says; `declared` rows and columns leave no choice.
    fn new(
        (metadata, declared): (&Metadata, Option<(usize, usize)>),
        parameters: &Parameters,
        scene: &SceneInfo,
        factor: usize,
        label: &str,
    ) -> Result<Grid> {
        let tile = &metadata.tile;
        let fixed = tile.fixed.unwrap_or(false) || declared.is_some();
        let trained = declared.map(|(rows, cols)| rows.min(cols)).or(tile.size).unwrap_or(PATCH_PX);
        let multiple = least_common(tile.multiple.unwrap_or(1), factor);
        let refuse = |message: String, hint: String| Err(Error::new(ErrorKind::Parameter, message).with_hint(hint));
        let wanted = parameters.patch as usize;
        if wanted > 0 && fixed && wanted != trained {
            return refuse(format!("Patch size is {wanted}; {label} runs at {trained} only"), "Leave patch at 0.".into());
        }
        let size = if wanted > 0 { wanted } else { trained.next_multiple_of(if fixed { 1 } else { multiple }) };
        if size % multiple != 0 {
            let hint = format!("Set patch={} or another multiple.", size.next_multiple_of(multiple));
            return refuse(format!("Patch size is {size}; {label} needs a multiple of {multiple}"), hint);
        }
        let overlap = match parameters.overlap {
            -1 => tile.overlap.unwrap_or(size / 4),
            given => given as usize,
        };
        if overlap > size / 2 {
            let hint = format!("Set overlap={} or less.", size / 2);
            return refuse(format!("Overlap of patches is {overlap}; patches of {size} share at most half"), hint);
        }
        let blend = tile.blend.unwrap_or(Blend::Linear);
        let axis = |length: usize, declared: Option<usize>| {
            // a scene smaller than a patch is one patch
            let size = declared.unwrap_or(if fixed { size } else { size.min(length.next_multiple_of(multiple)) });
            Axis::new(length, size, overlap.min(size / 2), factor, blend)
        };
        Ok(Grid { rows: axis(scene.rows, declared.map(|d| d.0)), cols: axis(scene.cols, declared.map(|d| d.1)) })
    }

    fn longest(&self) -> usize {
        self.rows.size.max(self.cols.size)
    }
}

/// Rows and columns of patches that a file's own graph takes, if it takes no others; what that says of the coarse grid is added to
/// `metadata`.
fn declared_size(metadata: &mut Metadata, source: &Source) -> Option<(usize, usize)> {
    let size = |fine: bool| {
        let of_kind = |role: &Role| role.is_on_coarse_grid() != fine;
        metadata.inputs.iter().filter(|input| input.images.iter().all(of_kind)).find_map(|input| source.size_of(&input.name))
    };
    let (fine, coarse) = (size(true)?, size(false));
    if let (None, Some(coarse)) = (metadata.coarse, coarse) {
        if coarse.0 > 0 && fine.0 % coarse.0 == 0 && fine.0 > coarse.0 {
            metadata.coarse = Some(CoarseGrid::Coarse { factor: fine.0 / coarse.0 });
        }
    }
    Some(fine)
}

/// The smallest number that both divide.
fn least_common(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x.max(1) * b
}

struct Planned {
    preparation: Preparation,
    diffusion: Option<Diffusion>,
    grid: Grid,
    ready: Arc<Ready>,
    predicted: Predicted,
    source: Arc<Source>,
    remark: Option<String>,
    metadata: Metadata,
    scene: SceneInfo,
}

impl Planned {
    /// Bytes of a patch of the prediction.
    fn patch_bytes(&self) -> usize {
        self.scene.bands * self.grid.rows.size * self.grid.cols.size * size_of::<f32>()
    }

    /// Number of patches that are kept: two rows of them if they fit, and at least one.
    fn kept_patches(&self) -> usize {
        (2 * (self.grid.cols.starts.len() + 1)).min(KEPT_BYTES / self.patch_bytes()).max(1)
    }
}

impl Plan for Planned {
    fn cost(&self) -> Cost {
        Cost {
            halo_px: match self.predicted {
                Predicted::Patch => self.grid.longest() - 1,
                Predicted::Pixel => self.grid.longest() / 2,
            },
            bytes_per_px: self.scene.bands * size_of::<f32>(),
            fixed_bytes: self.ready.bytes(),
            prepared_bytes: self.source.bytes() + self.kept_patches() * self.patch_bytes(),
        }
    }

    fn prepare(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Box<dyn Prepared>> {
        if let Some(remark) = &self.remark {
            exec.warn(remark);
        }
        if let (Some(CoarseGrid::Coarse { factor }), Some(scale)) = (self.metadata.coarse, self.scene.scale) {
            let ratio = scale / factor as f64;
            if !(0.8..=1.25).contains(&ratio) && !self.preparation.has_low_images() {
                exec.warn(format!(
                    "The network was trained with coarse pixels of {factor} fine pixels; those of these images have {scale:.1}"
                ));
            }
        }
        let preparation = self.preparation.clone().with_means(scene, exec)?;
        Ok(Box::new(run::Network::new(self, preparation)))
    }
}

#[cfg(test)]
mod tests;
