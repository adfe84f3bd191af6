//! Nearest pair: the fine image nearest in time, unchanged. The yardstick "no change".
//!
//! ```text
//! for every pixel and band: the fine value of the first pair, by distance in time, that is valid there
//! ```
//! The coarse images are not looked at, so a pixel without a coarse value is predicted all the same.

pub mod cases;
pub mod reference;

use stfusion_core::device::Queue;
use stfusion_core::method::{
    check_needs, Cost, DeviceCost, DeviceTiles, Family, Method, MethodInfo, Plan, Prepared, Promises, Request, Scene, TileIn,
    TileOut,
};
use stfusion_core::source::Resampling;
use stfusion_core::{Exec, Result};

use crate::blocks::on_device::PairInTime;
use crate::blocks::pixels::cuda::{PixelMethod, Rule};
use crate::blocks::{pair_order, pixels};

static INFO: MethodInfo = MethodInfo {
    id: "nearest_pair",
    label: "Nearest pair",
    summary: "Copies the fine image nearest in time: the yardstick that says what happens if nothing changes",
    family: Family::Baseline,
    tags: &["no change", "copy", "persistence", "baseline", "benchmark", "skill"],
    references: &[],
    min_pairs: 1,
    max_pairs: None,
    needs_dates: false,
    extra_images: &[],
    coarse_resampling: Resampling::Bilinear,
    promises: Promises { keeps_unchanged: true, trained_elsewhere: false, bands_apart: true },
    parameters: &[],
    readme: include_str!("README.md"),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct NearestPair;

impl Method for NearestPair {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        check_needs(&INFO, request.scene)?;
        let order = pair_order::nearest_first(request.scene);
        let pairs = order.iter().map(|&k| PairInTime::new(k, 0)).collect();
        Ok(Box::new(Ready { order, on_device: PixelMethod::new(Rule::Copy, request.scene, pairs) }))
    }
}

/// Pairs, the nearest first.
#[derive(Debug, Clone)]
struct Ready {
    order: Vec<usize>,
    on_device: PixelMethod,
}

impl Plan for Ready {
    fn cost(&self) -> Cost {
        Cost::default()
    }

    fn device_cost(&self) -> std::result::Result<DeviceCost, &'static str> {
        Ok(self.on_device.cost())
    }

    fn prepare(&self, _scene: &dyn Scene, _exec: &Exec<'_>) -> Result<Box<dyn Prepared>> {
        Ok(Box::new(self.clone()))
    }
}

impl Prepared for Ready {
    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
        pixels::predict_each(
            tile,
            out,
            exec,
            |v| self.order.iter().map(|&k| v.fine[k]).find(|f| !f.is_nan()).unwrap_or(f32::NAN),
            |v, k| !v.fine[k].is_nan(),
        )
    }

    fn on_device<'a>(&'a self, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
        self.on_device.on_device(queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Problem;

    crate::cases::agrees_with_reference_by_date!(NearestPair);

    #[test]
    fn without_dates_the_last_usable_pair_counts() {
        let mut problem = Problem::fields(1, 8, 8, 4, &[-8, -90, 40], 5).with_gaps(0.4, 6);
        problem.pairs.iter_mut().for_each(|p| p.gap_days = None);
        compare("no dates", &problem);
    }
}
