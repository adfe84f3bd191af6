//! Tiles from patches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::Array3;
use stfusion_core::method::{Prepared, TileIn, TileOut};
use stfusion_core::param::Choices;
use stfusion_core::{Error, Exec, Result};
use stfusion_nn::weights::metadata::CoarseGrid;
use stfusion_nn::Tensor;

use super::diffusion::Diffusion;
use super::images::Preparation;
use super::program::Ready;
use super::{Grid, Planned};

/// What the network made of one patch.
#[derive(Debug)]
struct Patch {
    /// Unscaled values, (band, row, col); `NaN` where a pixel is invalid.
    values: Option<Array3<f32>>,
    /// Valid part of the patch.
    valid_part: f32,
}

/// Patches that were computed, the last ones of them: those on the border of two tiles are wanted twice.
#[derive(Debug, Default)]
struct Kept {
    patches: HashMap<(usize, usize), (u64, Arc<Patch>)>,
    clock: u64,
}

/// A network ready to compute tiles.
pub struct Network {
    preparation: Preparation,
    diffusion: Option<Diffusion>,
    grid: Grid,
    ready: Arc<Ready>,
    derived: Vec<(String, String)>,
    bands: usize,
    /// Number of patches that are kept.
    most: usize,
    kept: Mutex<Kept>,
}

impl Network {
    pub(super) fn new(plan: &Planned) -> Network {
        let Planned { preparation, diffusion, grid, ready, scene, metadata, .. } = plan;
        let numbers: Vec<String> = preparation.pairs_used().map(|k| (k + 1).to_string()).collect();
        let mut derived = vec![
            (
                "patches".into(),
                format!("{} x {} of {} x {} px", grid.rows.starts.len(), grid.cols.starts.len(), grid.rows.size, grid.cols.size),
            ),
            ("pairs used".into(), numbers.join(" ")),
        ];
        if let Some(diffusion) = diffusion {
            derived.push(("diffusion steps".into(), diffusion.sampler.steps().len().to_string()));
        }
        if let Some(CoarseGrid::Fine { resampling }) = metadata.coarse {
            derived.push(("coarse images as trained".into(), format!("on the fine grid, {}", resampling.id())));
        }
        let told = [
            ("network", &metadata.network),
            ("licence of the weights", &metadata.licence),
            ("source of the weights", &metadata.source),
        ];
        derived.extend(told.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name.into(), text.clone())));
        Network {
            preparation: preparation.clone(),
            diffusion: diffusion.clone(),
            grid: grid.clone(),
            ready: Arc::clone(ready),
            derived,
            bands: scene.bands,
            most: plan.kept_patches(),
            kept: Mutex::default(),
        }
    }

    /// The patch of this row and column of patches; the tile holds what it needs.
    fn patch(&self, at: (usize, usize), tile: &TileIn<'_>, exec: &Exec<'_>) -> Result<Arc<Patch>> {
        let found = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.clock += 1;
            let now = kept.clock;
            kept.patches.get_mut(&at).map(|(used, patch)| {
                *used = now;
                Arc::clone(patch)
            })
        };
        if let Some(patch) = found {
            return Ok(patch);
        }
        // nobody waits for a patch that another thread computes: a thread of rayon's may wait for itself
        let patch = Arc::new(self.computed(at, tile, exec)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        kept.patches.insert(at, (now, Arc::clone(&patch)));
        while kept.patches.len() > self.most {
            let Some(oldest) = kept.patches.iter().min_by_key(|(_, (used, _))| *used).map(|(at, _)| *at) else { break };
            kept.patches.remove(&oldest);
        }
        Ok(patch)
    }

    fn computed(&self, at: (usize, usize), tile: &TileIn<'_>, exec: &Exec<'_>) -> Result<Patch> {
        let Grid { rows, cols } = &self.grid;
        let fed = self.preparation.feed(tile, (rows.starts[at.0], cols.starts[at.1]), (rows, cols))?;
        if !fed.valid.contains(&true) {
            return Ok(Patch { values: None, valid_part: 0.0 });
        }
        let missing = || Error::internal("the network has no prediction");
        let program = &self.ready.program;
        let evaluated = |sampled: Option<[&Tensor; 2]>| {
            let inputs = self.preparation.ordered(program.graph(), &fed.inputs, sampled)?;
            let mut results = program.run(&inputs, exec.cancel)?;
            if self.ready.output < results.len() {
                Ok(results.swap_remove(self.ready.output))
            } else {
                Err(missing())
            }
        };
        let result = match &self.diffusion {
            None => evaluated(None)?,
            Some(diffusion) => {
                let noise = diffusion.noise((rows.starts[at.0], cols.starts[at.1]));
                diffusion.sampler.image(&[1, self.bands, rows.size, cols.size], &noise, |x, step| {
                    evaluated(Some([x, &Tensor::from_f32(&[1], vec![step as f32])?]))
                })?
            }
        };
        let values = result.f32s().ok_or_else(missing)?;
        let pixels = rows.size * cols.size;
        let of_pixel = |(i, value): (usize, &f32)| match fed.valid[i] {
            true => self.preparation.unscaled(i / pixels, *value),
            false => f32::NAN,
        };
        let values = values.iter().enumerate().map(of_pixel).collect();
        let values = Array3::from_shape_vec((self.bands, rows.size, cols.size), values).map_err(|_| missing())?;
        Ok(Patch { values: Some(values), valid_part: fed.valid_part })
    }
}

impl Prepared for Network {
    fn derived(&self) -> Vec<(String, String)> {
        self.derived.clone()
    }

    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
        let Grid { rows, cols } = &self.grid;
        let region = tile.region;
        let ends = (region.row + region.rows, region.col + region.cols);
        let mut sums = Array3::<f32>::zeros((self.bands, region.rows, region.cols));
        for j in rows.under(region.row..ends.0) {
            for i in cols.under(region.col..ends.1) {
                exec.cancel.check()?;
                let patch = self.patch((j, i), tile, exec)?;
                let (high, wide) = (rows.reach(j), cols.reach(i));
                for row in high.start.max(region.row)..high.end.min(ends.0) {
                    for col in wide.start.max(region.col)..wide.end.min(ends.1) {
                        let weight = rows.weight(j, row) * cols.weight(i, col);
                        if weight == 0.0 {
                            continue;
                        }
                        let to = (row - region.row, col - region.col);
                        let from = (row - rows.starts[j], col - cols.starts[i]);
                        for band in 0..self.bands {
                            let value = patch.values.as_ref().map_or(f32::NAN, |values| values[(band, from.0, from.1)]);
                            sums[(band, to.0, to.1)] += weight * value;
                        }
                        if let Some(support) = &mut out.support {
                            if (rows.owner(row), cols.owner(col)) == (j, i) {
                                support.valid_fraction[to] = patch.valid_part;
                            }
                        }
                    }
                }
            }
        }
        out.image.assign(&sums);
        if let Some(support) = &mut out.support {
            for (to, similar) in support.similar_pixels.indexed_iter_mut() {
                let predicted = (0..self.bands).any(|band| !sums[(band, to.0, to.1)].is_nan());
                *similar = f32::from(u8::from(predicted));
            }
        }
        Ok(())
    }
}
