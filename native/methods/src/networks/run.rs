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
use super::images::{Fed, Preparation, Window};
use super::program::{Predicted, Ready};
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
    predicted: Predicted,
    derived: Vec<(String, String)>,
    bands: usize,
    /// Number of patches that are kept.
    most: usize,
    kept: Mutex<Kept>,
}

impl Network {
    pub(super) fn new(plan: &Planned, preparation: Preparation) -> Network {
        let Planned { diffusion, grid, ready, predicted, scene, metadata, .. } = plan;
        let numbers: Vec<String> = preparation.pairs_used().map(|k| (k + 1).to_string()).collect();
        let count = match predicted {
            Predicted::Patch => format!("{} x {}", grid.rows.starts.len(), grid.cols.starts.len()),
            Predicted::Pixel => "one for every pixel".into(),
        };
        let mut derived = vec![
            ("patches".into(), format!("{count} of {} x {} px", grid.rows.size, grid.cols.size)),
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
            preparation,
            diffusion: diffusion.clone(),
            grid: grid.clone(),
            ready: Arc::clone(ready),
            predicted: *predicted,
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

    /// The network's values for what it is fed at a pixel of the scene.
    fn evaluated(&self, fed: &Fed, at: (usize, usize), exec: &Exec<'_>) -> Result<Tensor> {
        let program = &self.ready.program;
        let run = |sampled: Option<[&Tensor; 2]>| {
            let inputs = self.preparation.ordered(program.graph(), &fed.inputs, sampled)?;
            let mut results = program.run(&inputs, exec.cancel)?;
            if self.ready.output < results.len() {
                Ok(results.swap_remove(self.ready.output))
            } else {
                Err(missing())
            }
        };
        let Some(diffusion) = &self.diffusion else { return run(None) };
        let shape = [1, self.bands, self.grid.rows.size, self.grid.cols.size];
        diffusion
            .sampler
            .image(&shape, &diffusion.noise(at), |x, step| run(Some([x, &Tensor::from_f32(&[1], vec![step as f32])?])))
    }

    fn computed(&self, at: (usize, usize), tile: &TileIn<'_>, exec: &Exec<'_>) -> Result<Patch> {
        let Grid { rows, cols } = &self.grid;
        let fed = self.preparation.feed(tile, &Window { rows: rows.pixels(at.0), cols: cols.pixels(at.1) })?;
        if !fed.valid.contains(&true) {
            return Ok(Patch { values: None, valid_part: 0.0 });
        }
        let result = self.evaluated(&fed, (rows.starts[at.0], cols.starts[at.1]), exec)?;
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

    /// A tile of a network that predicts the pixel in the middle of its patch.
    fn run_pixels(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
        let Grid { rows, cols } = &self.grid;
        let (middle, pixels) = (rows.size / 2 * cols.size + cols.size / 2, rows.size * cols.size);
        for (row, col) in (0..tile.region.rows).flat_map(|row| (0..tile.region.cols).map(move |col| (row, col))) {
            exec.cancel.check()?;
            let at = (tile.region.row + row, tile.region.col + col);
            let fed = self.preparation.feed(tile, &Window { rows: rows.pixels_around(at.0), cols: cols.pixels_around(at.1) })?;
            let valid: Vec<bool> = (0..self.bands).map(|band| fed.valid[band * pixels + middle]).collect();
            if valid.contains(&true) {
                let result = self.evaluated(&fed, at, exec)?;
                let values = result.f32s().ok_or_else(missing)?;
                for (band, value) in values.iter().enumerate().filter(|(band, _)| valid[*band]) {
                    out.image[(band, row, col)] = self.preparation.unscaled(band, *value);
                }
            }
            if let Some(support) = &mut out.support {
                support.valid_fraction[(row, col)] = fed.valid_part;
                let predicted = (0..self.bands).any(|band| !out.image[(band, row, col)].is_nan());
                support.similar_pixels[(row, col)] = f32::from(u8::from(predicted));
            }
        }
        Ok(())
    }
}

fn missing() -> Error {
    Error::internal("the network has no prediction")
}

impl Prepared for Network {
    fn derived(&self) -> Vec<(String, String)> {
        self.derived.clone()
    }

    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
        if self.predicted == Predicted::Pixel {
            return self.run_pixels(tile, out, exec);
        }
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
