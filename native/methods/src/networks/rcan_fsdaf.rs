//! RCAN-FSDAF: coarse images enlarged by a network, then fused by FSDAF on the finer coarse grid (Cui, Wang, Zhao and Zhang 2024).
//!
//! ```text
//! plan:     weights files ──> one or two stages that enlarge by s1 and s2;  s = s1 s2
//!           coarse pixels of R fine pixels ──> enlarged pixels of R / s ──> FSDAF's coarse pixels (parameter block)
//! prepare:  coarse images as means over R x R fine pixels ──network──> enlarged ──mean──> FSDAF's coarse images ──> FSDAF prepares
//! run tile: FSDAF
//! ```
//! FSDAF sees a [`Scene`] whose coarse images are the enlarged ones, and is otherwise itself: its parameters are those of this method.
//!
//! Edges: those of FSDAF on the finer grid. A coarse pixel that has a valid value has enlarged ones.

use ndarray::{Array3, ArrayViewMut3, Axis};
use stfusion_core::device::Queue;
use stfusion_core::method::{
    check_needs, Cost, DeviceCost, DeviceTiles, ExtraImage, Family, Layer, Method, MethodInfo, Plan, Prepared, Promises,
    Reference, Request, Scene, SceneInfo, TileIn, TileOut,
};
use stfusion_core::param::ParamSpec;
use stfusion_core::source::Resampling;
use stfusion_core::{params, Error, ErrorKind, Exec, Region, Result};
use stfusion_nn::zoo::rcan::RCAN;
use stfusion_simd::Path;

use super::enlargement::{Enlarger, Stage};
use super::program::Origin;
use super::{described, needs_weights};
use crate::blocks::coarse_grid::CoarseGrid;
use crate::fsdaf::{self, Fsdaf};

/// Side of FSDAF's coarse pixels where enlarged pixels are as small as fine ones.
const BLOCK_PX: usize = 4;

params! {
    /// Parameters of the enlargement; those of FSDAF follow them.
    pub struct Parameters {
        weights: file { label: "Weights",
            help: "The trained network that enlarges coarse images: a safetensors file (tools/convert_weights.py makes one from a checkpoint).",
            suffix: "safetensors", required: true },
        weights_2: file { label: "Weights of a second stage",
            help: "A network that enlarges what the first one made, such as one by 4 after one by 2. None: one stage.",
            suffix: "safetensors", advanced: true },
        description: file { label: "Description of the weights",
            help: "JSON with what the weights files do not say: scaling, groups of bands, patch size. Its parts win over those of the files.",
            suffix: "json", advanced: true },
        block: int { label: "Coarse pixels of FSDAF",
            help: "Side of the coarse pixels that FSDAF works on, a multiple of the enlarged pixels' side. 0: the enlarged pixels themselves, or 4 where these are as small as fine pixels.",
            unit: "fine pixels", min: 0, max: 128, default: 0, advanced: true },
        patch: int { label: "Patch size", help: "Side of the patches of the coarse image that the network sees at once; 0 takes the size it was trained on.",
            unit: "coarse pixels", min: 0, max: 4096, default: 0, advanced: true },
        overlap: int { label: "Overlap of patches",
            help: "What neighbouring patches share, so that no seam is visible; -1 takes what the weights say, or a quarter of the patch.",
            unit: "coarse pixels", min: -1, max: 2048, default: -1, advanced: true },
    }
}

const OWN: usize = Parameters::SPECS.len();

/// The parameters of the enlargement, then FSDAF's.
static SPECS: [ParamSpec; OWN + fsdaf::Parameters::SPECS.len()] = {
    let mut all = [Parameters::SPECS[0]; OWN + fsdaf::Parameters::SPECS.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = if i < OWN { Parameters::SPECS[i] } else { fsdaf::Parameters::SPECS[i - OWN] };
        i += 1;
    }
    all
};

static INFO: MethodInfo = MethodInfo {
    id: "rcan_fsdaf",
    label: "RCAN-FSDAF",
    summary: "A super-resolution network enlarges the coarse images in one or two stages; FSDAF fuses them on the finer coarse grid",
    family: Family::DeepLearning,
    tags: &["super-resolution", "residual channel attention network", "downscaling", "deep learning", "CNN", "Landsat", "MODIS", "FSDAF"],
    references: &[
        Reference {
            citation: "Cui, D., Wang, S., Zhao, C., Zhang, H. (2024). A novel remote sensing spatiotemporal data fusion framework based on the combination of deep-learning downscaling and traditional fusion algorithm. IEEE Journal of Selected Topics in Applied Earth Observations and Remote Sensing 17",
            doi: "10.1109/JSTARS.2024.3382136",
        },
        Reference {
            citation: "Zhang, Y., Li, K., Li, K., Wang, L., Zhong, B., Fu, Y. (2018). Image super-resolution using very deep residual channel attention networks. European Conference on Computer Vision",
            doi: "10.1007/978-3-030-01234-2_18",
        },
        fsdaf::REFERENCE,
    ],
    min_pairs: 1,
    max_pairs: None,
    needs_dates: false,
    extra_images: &[ExtraImage::Classes],
    coarse_resampling: Resampling::Nearest,
    promises: Promises { keeps_unchanged: true, trained_elsewhere: true, bands_apart: false },
    parameters: &SPECS,
    readme: include_str!("rcan_fsdaf.md"),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct RcanFsdaf;

impl Method for RcanFsdaf {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        let scene = request.scene;
        check_needs(&INFO, scene)?;
        let parameters = Parameters::from_values(request.values)?;
        let first = parameters.weights.as_ref().ok_or_else(|| needs_weights(INFO.label))?;
        let enlargers = [Some(first), parameters.weights_2.as_ref()].into_iter().flatten().map(|file| {
            Enlarger::read(&RCAN, file, |source| {
                let metadata = described(Origin::Zoo(&RCAN), INFO.label, source, parameters.description.as_ref())?;
                Ok(metadata.completed())
            })
        });
        let enlargers = enlargers.collect::<Result<Vec<_>>>()?;
        let factors: Vec<usize> = enlargers.iter().map(|e| e.factor).collect();
        let own = fsdaf::Parameters::from_values(request.values)?;
        let scale = CoarseGrid::of_scene(scene, own.scale, INFO.label)?.scale;
        let sides = Sides::new(scale, factors.iter().product(), parameters.block as usize)?;

        let grid = CoarseGrid::new(scene.rows, scene.cols, sides.coarse);
        let path = Path::from_environment().0;
        let overlap = usize::try_from(parameters.overlap).ok();
        let mut stages: Vec<Stage> = Vec::with_capacity(enlargers.len());
        for enlarger in &enlargers {
            let size = stages.last().map_or((grid.rows, grid.cols), Stage::size);
            stages.push(enlarger.stage(scene.bands, size, (parameters.patch as usize, overlap), path)?);
        }
        let mut values = request.values.clone();
        values.set_text(fsdaf::Parameters::SPECS, "scale", &sides.block.to_string())?;
        let enlarged = SceneInfo { scale: Some(sides.block as f64), ..scene.clone() };
        let fsdaf = Fsdaf.plan(&Request { values: &values, scene: &enlarged })?;
        let mut layers: Vec<Layer> = own.pairs.used(scene).into_iter().map(Layer::Coarse).collect();
        layers.push(Layer::Target);
        Ok(Box::new(Planned { enlargers, stages, fsdaf, layers, sides, scale, grid, enlarged }))
    }
}

/// Sides of pixels, in fine pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sides {
    /// Of what the network takes.
    coarse: usize,
    /// Of what it makes.
    enlarged: usize,
    /// Of what FSDAF takes.
    block: usize,
}

impl Sides {
    /// For coarse pixels of `scale` fine pixels that are enlarged by `factor`: the nearest multiple of it. `block`: what the user says, or 0.
    fn new(scale: usize, factor: usize, block: usize) -> Result<Sides> {
        let enlarged = ((scale as f64 / factor as f64).round() as usize).max(1);
        let coarse = enlarged * factor;
        let block = match block {
            0 if enlarged > 1 => enlarged,
            0 => BLOCK_PX.min(coarse),
            given => given,
        };
        if block < 2 || block % enlarged != 0 {
            let multiple = block.next_multiple_of(enlarged).max(2);
            return Err(Error::new(
                ErrorKind::Parameter,
                format!("FSDAF's coarse pixels have {block} fine pixels a side; the enlarged ones have {enlarged}"),
            )
            .with_hint(format!("Set block={multiple} or another multiple of {enlarged} that is 2 or more.")));
        }
        Ok(Sides { coarse, enlarged, block })
    }
}

struct Planned {
    enlargers: Vec<Enlarger>,
    stages: Vec<Stage>,
    fsdaf: Box<dyn Plan>,
    /// The coarse images that FSDAF uses.
    layers: Vec<Layer>,
    sides: Sides,
    /// Fine pixels per side of the coarse pixels of the images.
    scale: usize,
    /// What the network takes.
    grid: CoarseGrid,
    /// What FSDAF is told of the scene.
    enlarged: SceneInfo,
}

impl Planned {
    /// FSDAF's coarse pixels.
    fn cells(&self) -> CoarseGrid {
        CoarseGrid::new(self.enlarged.rows, self.enlarged.cols, self.sides.block)
    }

    /// A coarse image on FSDAF's coarse grid.
    fn image(&self, coarse: Array3<f32>, exec: &Exec<'_>) -> Result<Array3<f32>> {
        let mut image = coarse;
        for (k, stage) in self.stages.iter().enumerate() {
            let last = k + 1 == self.stages.len();
            let cells = self.cells();
            let (side, size) =
                if last { (self.sides.block / self.sides.enlarged, (cells.rows, cells.cols)) } else { (1, stage.size()) };
            image = stage.run(&image, side, size, exec)?;
        }
        Ok(image)
    }
}

impl Plan for Planned {
    fn cost(&self) -> Cost {
        let cost = self.fsdaf.cost();
        // what is held while the images are enlarged: all of them on both grids, and the stages between twice
        let between = self.stages.split_last().map_or(0, |(_, before)| before.iter().map(|s| 2 * s.size().0 * s.size().1).sum());
        let cells = self.layers.len() * (self.grid.cells() + self.cells().cells()) + self.cells().cells() + between;
        let enlarging = self.enlarged.bands * cells * size_of::<f32>() + self.stages.iter().map(Stage::bytes).max().unwrap_or(0);
        let files: usize = self.enlargers.iter().map(Enlarger::bytes).sum();
        Cost { prepared_bytes: cost.prepared_bytes + enlarging + files, ..cost }
    }

    fn device_cost(&self) -> std::result::Result<DeviceCost, &'static str> {
        self.fsdaf.device_cost()
    }

    fn prepare(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<Box<dyn Prepared>> {
        let (coarse, factors) = (self.sides.coarse, self.enlargers.iter().map(|e| e.factor));
        let by = factors.map(|f| f.to_string()).collect::<Vec<_>>().join(" x ");
        if !(0.8..=1.25).contains(&(self.scale as f64 / coarse as f64)) {
            exec.warn(format!(
                "Coarse pixels have {} fine pixels a side; enlarged by {by} they are taken as {coarse}",
                self.scale
            ));
        }
        let coarse_images = self.grid.images(scene, &self.layers, 0.0, exec)?;
        let mut images = Vec::with_capacity(self.layers.len());
        for (layer, image) in self.layers.iter().zip(coarse_images) {
            images.push((*layer, self.image(image, exec)?));
        }
        let enlarged = Enlarged { scene, info: &self.enlarged, cells: self.cells(), images };
        let fsdaf = self.fsdaf.prepare(&enlarged, exec)?;
        let mut derived = vec![
            ("enlarged".into(), format!("coarse pixels of {coarse} fine pixels by {by}")),
            ("coarse pixels of FSDAF".into(), format!("{} fine pixels", self.sides.block)),
        ];
        for (k, metadata) in self.enlargers.iter().map(Enlarger::metadata).enumerate() {
            let told = [("licence of the weights", &metadata.licence), ("source of the weights", &metadata.source)];
            let told = told.into_iter().filter(|(_, text)| !text.is_empty());
            derived.extend(told.map(|(name, text)| (format!("{name} {}", k + 1), text.clone())));
        }
        derived.extend(fsdaf.derived());
        Ok(Box::new(Ready { fsdaf, derived }))
    }
}

/// A scene with enlarged coarse images.
struct Enlarged<'a> {
    scene: &'a dyn Scene,
    info: &'a SceneInfo,
    cells: CoarseGrid,
    images: Vec<(Layer, Array3<f32>)>,
}

impl Scene for Enlarged<'_> {
    fn info(&self) -> &SceneInfo {
        self.info
    }

    fn read(&self, layer: Layer, region: Region, mut out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let Some((_, image)) = self.images.iter().find(|(own, _)| *own == layer) else {
            return self.scene.read(layer, region, out);
        };
        for (band, to) in out.axis_iter_mut(Axis(0)).enumerate() {
            self.cells.spread(image.index_axis(Axis(0), band), region, to);
        }
        Ok(())
    }
}

/// FSDAF, prepared on the enlarged images. Its tiles look at fine images alone.
struct Ready {
    fsdaf: Box<dyn Prepared>,
    derived: Vec<(String, String)>,
}

impl Prepared for Ready {
    fn derived(&self) -> Vec<(String, String)> {
        self.derived.clone()
    }

    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
        self.fsdaf.run(tile, out, exec)
    }

    fn on_device<'a>(&'a self, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
        self.fsdaf.on_device(queue)
    }
}

#[cfg(test)]
mod tests {
    use stfusion_core::param::Values;
    use stfusion_core::Cancel;
    use stfusion_nn::weights::metadata::{Metadata, PerBand, Scaling, Tile, ValueRange};
    use stfusion_nn::weights::{safetensors, Weight, Weights};
    use stfusion_nn::Tensor;

    use super::*;
    use crate::cases::{self, Problem};

    /// Weights of a network of one channel and one feature that repeats every pixel `factor` times.
    fn repeating(factor: usize) -> Vec<u8> {
        let mut weights = Weights::new("repeating");
        let mut put = |name: &str, shape: &[usize], value: &dyn Fn(usize) -> f32| {
            let count = shape.iter().product();
            let tensor = Tensor::from_f32(shape, (0..count).map(value).collect()).unwrap();
            weights.insert(format!("{name}.weight"), Weight::new(tensor));
            weights.insert(format!("{name}.bias"), Weight::new(Tensor::from_f32(&shape[..1], vec![0.0; shape[0]]).unwrap()));
        };
        let centre = |i: usize| f32::from(u8::from(i % 9 == 4));
        for name in ["sub_mean", "add_mean", "body.0.body.0.body.3.conv_du.0", "body.0.body.0.body.3.conv_du.2"] {
            put(name, &[1, 1, 1, 1], &|_| 1.0);
        }
        for name in ["body.0.body.0.body.0", "body.0.body.0.body.2", "body.0.body.1", "body.1"] {
            put(name, &[1, 1, 3, 3], &|_| 0.0);
        }
        put("head.0", &[1, 1, 3, 3], &centre);
        for i in 0..factor.ilog2() as usize {
            put(&format!("tail.0.{}", 2 * i), &[4, 1, 3, 3], &centre);
        }
        put("tail.1", &[1, 1, 3, 3], &centre);
        let range = || Some(ValueRange { scale: PerBand::All(1.0), offset: PerBand::All(0.0), clip: None });
        weights.set_metadata(Metadata {
            network: "rcan".into(),
            scaling: Scaling { fine: range(), coarse: range(), centred: None },
            tile: Tile { size: Some(8), ..Tile::default() },
            ..Metadata::default()
        });
        safetensors::to_bytes(&weights).unwrap()
    }

    fn values(files: &[(&str, Vec<u8>)], settings: &[(&str, &str)]) -> Values {
        let mut values = Values::default();
        for (id, text) in settings {
            values.set_text(&SPECS, id, text).unwrap();
        }
        for (id, contents) in files {
            values.set_text(&SPECS, id, id).unwrap();
            values.attach(id, contents.clone());
        }
        values
    }

    fn predicted(method: &dyn Method, values: &Values, problem: &Problem) -> Array3<f32> {
        cases::predict(method, values, problem, (64, 64), false).unwrap().image
    }

    fn refused(values: &Values, problem: &Problem) -> Error {
        let scene = problem.scene().unwrap();
        RcanFsdaf.plan(&Request { values, scene: scene.info() }).err().unwrap()
    }

    /// FSDAF alone, with coarse pixels of `scale` fine pixels.
    fn fsdaf_at(scale: &str, problem: &Problem) -> Array3<f32> {
        predicted(&Fsdaf, &cases::values_of(&Fsdaf, &[("window", "9"), ("scale", scale)]).unwrap(), problem)
    }

    fn near(a: &Array3<f32>, b: &Array3<f32>) {
        let difference = cases::largest_difference(a.view(), b.mapv(f64::from).view()).unwrap();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn a_network_that_repeats_pixels_leaves_fsdaf_as_it_is() {
        // cells at the border are cut off
        let problem = Problem::fields(3, 38, 60, 8, &[-16, 24], 5).with_gaps(0.02, 3);
        let twice = [("weights", repeating(2))];
        let all_of = |settings: &[(&str, &str)]| predicted(&RcanFsdaf, &values(&twice, settings), &problem);
        // without `block` the enlarged pixels
        near(&all_of(&[("window", "9")]), &{
            let mut whole = problem.clone();
            let grid = CoarseGrid::new(38, 60, 8);
            for image in whole.pairs.iter_mut().map(|p| &mut p.coarse).chain([&mut whole.target]) {
                let means = grid.means(Region::whole(38, 60), image.view(), 0.0);
                for (band, to) in image.axis_iter_mut(Axis(0)).enumerate() {
                    grid.spread(means.index_axis(Axis(0), band), Region::whole(38, 60), to);
                }
            }
            fsdaf_at("4", &whole)
        });
        near(&all_of(&[("window", "9"), ("block", "8")]), &fsdaf_at("8", &problem));
        let stages = [("weights", repeating(2)), ("weights_2", repeating(4))];
        let two = predicted(&RcanFsdaf, &values(&stages, &[("window", "9"), ("block", "8")]), &problem);
        near(&two, &fsdaf_at("8", &problem));
    }

    #[test]
    fn sides_follow_from_scale_and_factor() {
        let of = |scale, factor, block| Sides::new(scale, factor, block).map(|s| (s.coarse, s.enlarged, s.block));
        assert_eq!(of(16, 4, 0).unwrap(), (16, 4, 4));
        assert_eq!(of(8, 8, 0).unwrap(), (8, 1, 4), "the published stages on pixels of 240 m");
        assert_eq!(of(2, 2, 0).unwrap(), (2, 1, 2));
        assert_eq!(of(17, 8, 0).unwrap(), (16, 2, 2));
        assert_eq!(of(3, 8, 0).unwrap(), (8, 1, 4));
        assert_eq!(of(16, 4, 8).unwrap(), (16, 4, 8));
        for block in [6, 1] {
            let error = of(16, 4, block).unwrap_err();
            assert_eq!(
                error.message(),
                format!("FSDAF's coarse pixels have {block} fine pixels a side; the enlarged ones have 4")
            );
        }
    }

    #[test]
    fn patches_meet_without_a_seam_and_what_is_enlarged_is_told() {
        let problem = Problem::fields(2, 64, 64, 4, &[-16], 5);
        let contents = super::super::cases::weights("rcan_fsdaf").unwrap();
        let of = |settings: &[(&str, &str)]| predicted(&RcanFsdaf, &values(&[("weights", contents.clone())], settings), &problem);
        let (one, many) = (of(&[("patch", "16"), ("window", "3")]), of(&[("patch", "8"), ("overlap", "4"), ("window", "3")]));
        assert!(one != many, "the mean over a patch is part of the network");
        assert!(many.iter().all(|v| v.is_finite()));

        let (values, scene) = (values(&[("weights", contents.clone())], &[]), problem.scene().unwrap());
        let cancel = Cancel::new();
        let plan = RcanFsdaf.plan(&Request { values: &values, scene: scene.info() }).unwrap();
        let derived = plan.prepare(&scene, &Exec::quiet(&cancel)).unwrap().derived();
        let expected = [
            ("enlarged", "coarse pixels of 4 fine pixels by 2"),
            ("coarse pixels of FSDAF", "2 fine pixels"),
            ("licence of the weights 1", "CC0-1.0"),
            ("scale", "2"),
        ];
        assert_eq!(derived[..4], expected.map(|(name, value)| (name.to_string(), value.to_string())));
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_runs() {
        let problem = Problem::fields(1, 16, 16, 4, &[-16], 5);
        let contents = || super::super::cases::weights("rcan_fsdaf").unwrap();
        assert_eq!(refused(&Values::default(), &problem).message(), "RCAN-FSDAF needs weights");
        let error = refused(&values(&[("weights", contents())], &[]), &problem);
        assert_eq!(error.message(), "weights: the network takes 2 bands at once; the images have 1");
        let other = super::super::cases::weights("stfnet").unwrap();
        let error = refused(&values(&[("weights", other)], &[]), &problem);
        assert_eq!(error.message(), "weights: these are weights of stfnet, not of RCAN-FSDAF");
        let error = refused(&values(&[("weights", repeating(2))], &[("overlap", "3")]), &problem);
        assert_eq!(error.message(), "Overlap of patches is 3; patches of 4 coarse pixels share at most half");
        let mut unknown = problem.clone();
        unknown.scale = None;
        let error = refused(&values(&[("weights", repeating(2))], &[]), &unknown);
        assert!(error.message().starts_with("RCAN-FSDAF works on coarse pixels"), "{error}");
    }
}
