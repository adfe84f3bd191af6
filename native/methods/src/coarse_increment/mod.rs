//! Coarse increment: the fine image plus what the coarse images say has changed since. The yardstick "add the difference".
//!
//! ```text
//! for every pixel and band, with I_k = F_k + C_p - C_k of the pairs k that are valid there (F_k, C_k and C_p):
//!     a = last such pair on or before the target day      b = first such pair after it
//!     both: (I_a / days(a) + I_b / days(b)) / (1 / days(a) + 1 / days(b))      one: I_k
//! ```
//! A pair of the target day itself is used alone. Without dates the last valid pair of the job is used.

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
use crate::blocks::pair_order::ByDate;
use crate::blocks::pixels::cuda::{PixelMethod, Rule};
use crate::blocks::pixels::{self, PixelValues};

static INFO: MethodInfo = MethodInfo {
    id: "coarse_increment",
    label: "Coarse increment",
    summary: "Adds the change between the coarse images to the fine image: the yardstick that a fusion should beat",
    family: Family::Baseline,
    tags: &["difference", "delta", "baseline", "benchmark", "skill"],
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
pub struct CoarseIncrement;

impl Method for CoarseIncrement {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        check_needs(&INFO, request.scene)?;
        let pairs = ByDate::new(request.scene);
        let in_time = pairs.pairs().map(|(k, gap)| PairInTime::new(k, gap)).collect();
        Ok(Box::new(Ready { pairs, on_device: PixelMethod::new(Rule::Increment, request.scene, in_time) }))
    }
}

#[derive(Debug, Clone)]
struct Ready {
    pairs: ByDate,
    on_device: PixelMethod,
}

fn usable(v: PixelValues<'_>, k: usize) -> bool {
    !(v.fine[k].is_nan() || v.coarse[k].is_nan() || v.target.is_nan())
}

fn increment(v: PixelValues<'_>, k: usize) -> f64 {
    f64::from(v.fine[k]) + (f64::from(v.target) - f64::from(v.coarse[k]))
}

impl Ready {
    fn predict(&self, v: PixelValues<'_>) -> f32 {
        self.pairs.choose(|k| usable(v, k)).combined(|k| increment(v, k)).map_or(f32::NAN, |value| value as f32)
    }
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
        pixels::predict_each(tile, out, exec, |v| self.predict(v), usable)
    }

    fn on_device<'a>(&'a self, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
        self.on_device.on_device(queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Problem;

    crate::cases::agrees_with_reference_by_date!(CoarseIncrement);

    #[test]
    fn without_dates_the_last_usable_pair_counts() {
        let mut problem = Problem::fields(1, 8, 8, 4, &[-8, -90, 40], 5).with_gaps(0.4, 6);
        problem.pairs.iter_mut().for_each(|p| p.gap_days = None);
        compare("no dates", &problem);
    }
}
