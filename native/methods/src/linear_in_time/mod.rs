//! Linear in time: interpolation between the fine images before and after the target day. The yardstick "steady change".
//!
//! ```text
//! for every pixel and band:
//!     a = last pair on or before the target day that is valid there      b = first such pair after it
//!     both: F_a + (F_b - F_a) · days(a, target) / days(a, b)             one: its value
//! ```
//! The coarse images are not looked at.

pub mod cases;
pub mod reference;

use stfusion_core::device::Queue;
use stfusion_core::method::{
    check_needs, Cost, DeviceCost, DeviceTiles, Family, Method, MethodInfo, Plan, Prepared, Promises, Request, Scene, TileIn,
    TileOut,
};
use stfusion_core::source::Resampling;
use stfusion_core::{Error, Exec, Result};

use crate::blocks::on_device::PairInTime;
use crate::blocks::pair_order;
use crate::blocks::pixels::cuda::{PixelMethod, Rule};
use crate::blocks::pixels::{self, PixelValues};

static INFO: MethodInfo = MethodInfo {
    id: "linear_in_time",
    label: "Linear in time",
    summary: "Interpolates between the fine images before and after the target day, without looking at the coarse images",
    family: Family::Baseline,
    tags: &["interpolation", "time series", "gap filling", "baseline", "benchmark", "skill"],
    references: &[],
    min_pairs: 1,
    max_pairs: None,
    needs_dates: true,
    extra_images: &[],
    coarse_resampling: Resampling::Bilinear,
    promises: Promises { keeps_unchanged: true, trained_elsewhere: false, bands_apart: true },
    parameters: &[],
    readme: include_str!("README.md"),
};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct LinearInTime;

impl Method for LinearInTime {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn plan(&self, request: &Request<'_>) -> Result<Box<dyn Plan>> {
        check_needs(&INFO, request.scene)?;
        let gaps =
            pair_order::gaps(request.scene).ok_or_else(|| Error::internal("a date is missing after the check for dates"))?;
        let order = pair_order::nearest_first(request.scene);
        let pairs = order.iter().map(|&k| PairInTime::new(k, gaps[k])).collect();
        Ok(Box::new(Ready { order, gaps, on_device: PixelMethod::new(Rule::Line, request.scene, pairs) }))
    }
}

/// Pairs, the nearest first, and the days from the target to each.
#[derive(Debug, Clone)]
struct Ready {
    order: Vec<usize>,
    gaps: Vec<i32>,
    on_device: PixelMethod,
}

impl Ready {
    fn predict(&self, v: PixelValues<'_>) -> f32 {
        let valid = |later: bool| self.order.iter().copied().find(|&k| (self.gaps[k] > 0) == later && !v.fine[k].is_nan());
        match (valid(false), valid(true)) {
            (Some(a), Some(b)) if self.gaps[a] < 0 => {
                let (days, all) = (f64::from(-self.gaps[a]), f64::from(self.gaps[b]) - f64::from(self.gaps[a]));
                let (fa, fb) = (f64::from(v.fine[a]), f64::from(v.fine[b]));
                (fa + (fb - fa) * (days / all)) as f32
            }
            (Some(k), _) | (None, Some(k)) => v.fine[k],
            (None, None) => f32::NAN,
        }
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
        pixels::predict_each(tile, out, exec, |v| self.predict(v), |v, k| !v.fine[k].is_nan())
    }

    fn on_device<'a>(&'a self, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
        self.on_device.on_device(queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{self as shared, Problem};

    crate::cases::agrees_with_reference_by_date!(LinearInTime);

    #[test]
    fn a_quarter_of_the_way_is_a_quarter_of_the_change() {
        let mut problem = Problem::fields(1, 3, 3, 3, &[-10, 30], 5);
        problem.pairs[0].fine.fill(0.2);
        problem.pairs[1].fine.fill(0.6);
        problem.pairs[1].fine[(0, 1, 1)] = f32::NAN;
        let image = shared::predict(&LinearInTime, &Default::default(), &problem, (3, 3), false).unwrap().image;
        assert!((image[(0, 0, 0)] - 0.3).abs() < 1e-6, "{}", image[(0, 0, 0)]);
        assert_eq!(image[(0, 1, 1)], 0.2);
    }
}
