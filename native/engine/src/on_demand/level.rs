//! The scene of a job at one resolution, and the method on it.

use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{s, Array3, ArrayViewMut3, Axis};
use rayon::prelude::*;
use stfusion_core::method::{Cost, Layer, Method, Plan, Prepared, Request, Scene, SceneInfo};
use stfusion_core::param::{Kind, ParamSpec, Value, Values};
use stfusion_core::{Cancel, Error, ErrorKind, Exec, LogSink, Region, Result};
use stfusion_raster::RasterScene;

use crate::context::{Context, Progress};
use crate::device::{DeviceChoice, Processors};
use crate::pipeline::supervise;
use crate::tile::layers_of;

use super::placed::Placed;

/// Method of a level at which the job's own cannot work.
const SUBSTITUTE: &str = "coarse_increment";

/// A resolution: the fine grid itself, or one of 2, 4, 8, … times larger pixels.
pub(super) struct Level {
    /// Fine pixels per pixel side of this level.
    pub factor: usize,
    pub scene: Arc<RasterScene>,
    method: &'static dyn Method,
    plan: Box<dyn Plan>,
    device: DeviceChoice,
    /// Whether the images of this level may be held in memory as a whole.
    held: bool,
    ready: Mutex<Option<Arc<Ready>>>,
}

/// A level whose method has seen the whole scene, and is on the GPUs that compute it.
pub(super) struct Ready {
    scene: SceneOf,
    pub placed: Placed,
    pub cost: Cost,
    pub processors: Processors,
}

enum SceneOf {
    Files(Arc<RasterScene>),
    Memory(HeldScene),
}

impl Ready {
    pub fn scene(&self) -> &dyn Scene {
        self.scene.get()
    }
}

impl Level {
    /// Full resolution, computed on `device`.
    ///
    /// # Errors
    /// Those of planning.
    pub fn full(scene: RasterScene, method: &'static dyn Method, values: &Values, device: DeviceChoice) -> Result<Level> {
        let plan = method.plan(&Request { values, scene: scene.info() })?;
        Ok(Level { factor: 1, scene: Arc::new(scene), method, plan, device, held: false, ready: Mutex::new(None) })
    }

    /// The same at `factor` times larger pixels; lengths in fine pixels among the parameters shrink. Where the method
    /// cannot work on so few pixels the plainest one takes its place. The images are kept in memory if they take at most
    /// `memory` bytes.
    ///
    /// # Errors
    /// Those of planning with that one, and of [`RasterScene::reduced`].
    pub fn reduced(full: &Level, factor: usize, values: &Values, memory: u64) -> Result<Level> {
        let scene = full.scene.reduced(factor)?;
        let values = shrunk(values, full.method.info().parameters, factor)?;
        let planned = |method: &'static dyn Method, values: &Values| {
            method.plan(&Request { values, scene: scene.info() }).map(|plan| (method, plan))
        };
        let (method, plan) =
            planned(full.method, &values).or_else(|_| planned(stfusion_methods::by_id(SUBSTITUTE)?, &Values::default()))?;
        let held = bytes_of(scene.info()) <= memory;
        let device = full.device.clone();
        Ok(Level { factor, scene: Arc::new(scene), method, plan, device, held, ready: Mutex::new(None) })
    }

    pub fn info(&self) -> &SceneInfo {
        self.scene.info()
    }

    pub fn cost(&self) -> Cost {
        self.plan.cost()
    }

    /// What computes the level. Other resolutions than the full one are there to look at: where their method cannot use the GPUs that were
    /// asked for, the processor computes them.
    ///
    /// # Errors
    /// Those of [`DeviceChoice::for_plan`], at full resolution.
    pub fn processors(&self, log: &LogSink) -> Result<Processors> {
        self.processors_for(self.method, self.plan.as_ref(), log)
    }

    fn processors_for(&self, method: &dyn Method, plan: &dyn Plan, log: &LogSink) -> Result<Processors> {
        match self.device.for_plan(method.info(), plan, self.info(), log) {
            Err(error) if self.factor > 1 => {
                log(stfusion_core::Level::Info, &format!("{error}: the CPU computes this resolution"));
                Ok(Processors::Cpu)
            }
            processors => processors,
        }
    }

    /// The level ready to compute tiles; the first caller reads the whole scene where the method asks for that.
    ///
    /// # Errors
    /// Those of preparing; the next caller tries again.
    pub fn ready(&self, context: &Context, progress: &mut Progress<'_>) -> Result<Arc<Ready>> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = ready.as_ref() {
            return Ok(Arc::clone(ready));
        }
        let cancel = Cancel::new();
        let prepared = supervise(context, &cancel, progress, (0.0, 0.05), "Preparing", |tell| {
            self.prepare(&Exec { cancel: &cancel, log: context.log(), progress: tell })
        })?;
        let prepared = Arc::new(prepared);
        *ready = Some(Arc::clone(&prepared));
        Ok(prepared)
    }

    fn prepare(&self, exec: &Exec<'_>) -> Result<Ready> {
        let SceneInfo { rows, cols, .. } = *self.info();
        exec.info(format!("Preparing {} on the whole scene at {cols} x {rows} pixels", self.method.info().label));
        let scene = match self.held {
            true => SceneOf::Memory(HeldScene::read(&self.scene, exec.cancel)?),
            false => SceneOf::Files(Arc::clone(&self.scene)),
        };
        let (prepared, cost, processors) = self.prepared_on(scene.get(), exec)?;
        for (name, value) in prepared.derived() {
            exec.info(format!("{name}: {value}"));
        }
        Ok(Ready { scene, placed: Placed::new(&processors, prepared)?, cost, processors })
    }

    fn prepared_on(&self, scene: &dyn Scene, exec: &Exec<'_>) -> Result<(Box<dyn Prepared>, Cost, Processors)> {
        match self.plan.prepare(scene, exec) {
            Err(error) if self.factor > 1 && matches!(error.kind(), ErrorKind::Data | ErrorKind::Parameter) => {
                exec.info(format!("{error}: {SUBSTITUTE} takes its place at this resolution"));
                let request = Request { values: &Values::default(), scene: self.info() };
                let method = stfusion_methods::by_id(SUBSTITUTE)?;
                let plan = method.plan(&request)?;
                let processors = self.processors_for(method, plan.as_ref(), exec.log)?;
                Ok((plan.prepare(scene, exec)?, plan.cost(), processors))
            }
            prepared => Ok((prepared?, self.plan.cost(), self.processors(exec.log)?)),
        }
    }
}

impl SceneOf {
    fn get(&self) -> &dyn Scene {
        match self {
            SceneOf::Files(scene) => scene.as_ref(),
            SceneOf::Memory(scene) => scene,
        }
    }
}

/// Bytes of all images of a scene.
fn bytes_of(info: &SceneInfo) -> u64 {
    let bands: usize = layers_of(info).into_iter().map(|layer| info.bands_of(layer)).sum();
    4 * (bands * info.rows * info.cols) as u64
}

/// A small scene in memory, so that its files are read once for the statistics and for all tiles.
struct HeldScene {
    info: SceneInfo,
    images: Vec<(Layer, Array3<f32>)>,
}

impl HeldScene {
    /// Reads all images, on all threads of the pool at hand.
    fn read(scene: &RasterScene, cancel: &Cancel) -> Result<HeldScene> {
        let info = scene.info().clone();
        let block = scene.block().0;
        let rows = info.rows.div_ceil(2 * rayon::current_num_threads()).div_ceil(block) * block;
        let read = |layer: Layer| {
            let mut image = Array3::from_elem((info.bands_of(layer), info.rows, info.cols), f32::NAN);
            let parts: Vec<_> = image.axis_chunks_iter_mut(Axis(1), rows.max(1)).collect();
            parts.into_par_iter().enumerate().try_for_each(|(k, part)| {
                cancel.check()?;
                let (_, height, width) = part.dim();
                scene.read(layer, Region::new(k * rows, 0, height, width), part)
            })?;
            Ok((layer, image))
        };
        let images = layers_of(&info).into_par_iter().map(read).collect::<Result<_>>()?;
        Ok(HeldScene { info, images })
    }
}

impl Scene for HeldScene {
    fn info(&self) -> &SceneInfo {
        &self.info
    }

    fn read(&self, layer: Layer, region: Region, mut out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let missing = || Error::internal(format!("the scene has no {layer:?}"));
        let (_, image) = self.images.iter().find(|(l, _)| *l == layer).ok_or_else(missing)?;
        out.assign(&image.slice(s![.., region.row..region.row + region.rows, region.col..region.col + region.cols]));
        Ok(())
    }
}

/// The parameters for `factor` times larger pixels: what is counted in fine pixels shrinks, a side of three or more to no less
/// than three.
fn shrunk(values: &Values, specs: &'static [ParamSpec], factor: usize) -> Result<Values> {
    let mut out = values.clone();
    for spec in specs.iter().filter(|s| s.unit.starts_with("fine pixels") || s.id == "scale") {
        let value = match (values.get(spec), spec.kind) {
            (Value::Int(v), Kind::Int { min, odd, .. }) => {
                let smaller = (v as f64 / factor as f64).round() as i64;
                Value::Int((smaller | i64::from(odd)).max(v.min(3)).max(min))
            }
            (Value::Float(v), Kind::Float { min, .. } | Kind::AutoFloat { min, .. }) => {
                Value::Float((v / factor as f64).max(min))
            }
            (other, _) => other,
        };
        out.set_json(specs, spec.id, &spec.to_json(&value))?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_shrink_with_the_pixels_and_nothing_else_does() {
        let method = stfusion_methods::by_id("starfm").unwrap();
        let specs = method.info().parameters;
        let mut values = Values::default();
        values.set_text(specs, "spatial_importance", "20").unwrap();
        values.set_text(specs, "classes", "12").unwrap();
        let at = |factor: usize, id: &str| shrunk(&values, specs, factor).unwrap().to_json(specs)[id].as_f64().unwrap();
        assert_eq!([1, 2, 4, 16, 64].map(|f| at(f, "window")), [51.0, 27.0, 13.0, 3.0, 3.0]);
        assert_eq!([at(4, "spatial_importance"), at(4, "classes")], [5.0, 12.0]);
    }
}
