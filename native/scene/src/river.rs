//! The river: a meandering centre line across the whole plane, and the floodplain it drowns in July.
//!
//! The river is the zero line of `across - meander(along)`, where the coordinates are turned to the river's direction and
//! `along` is itself bent by `across`, which makes the loops lean over as real ones do. The distance to the line is the
//! function's value over its gradient.

use std::f64::consts::TAU;

use crate::hash::{fractal, length, noise, smoothstep};

/// The river of a scene.
#[derive(Clone, Copy, Debug)]
pub(crate) struct River {
    seed: u64,
    origin: (f64, f64),
    direction: (f64, f64),
    wavelength: f64,
    half_width: f64,
    /// Centre of the flooded area and its half axes along and across.
    flood: (f64, f64, f64, f64),
}

/// The river at a point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// Distance to the centre line in fine pixels; beyond [`River::REACH_PX`] only a lower bound.
    pub distance: f64,
    /// Half the width of the water here.
    pub half_width: f64,
}

impl River {
    /// Up to this distance in fine pixels the distance is computed.
    pub(crate) const REACH_PX: f64 = 40.0;

    pub(crate) fn new(seed: u64, rows: f64, cols: f64) -> Self {
        let size = rows.min(cols);
        let angle = 0.22f64;
        let wavelength = (0.42 * size).clamp(100.0, 320.0);
        let mut river = Self {
            seed: seed ^ 0x21FE,
            origin: (0.5 * cols, 0.60 * rows),
            direction: (angle.cos(), angle.sin()),
            wavelength,
            half_width: (wavelength / 95.0).clamp(1.5, 3.3),
            flood: (0.0, 0.0, (0.105 * size).clamp(20.0, 170.0), (0.075 * size).clamp(15.0, 120.0)),
        };
        let along = 0.17 * cols;
        let side = river.meander(along) + 0.65 * river.flood.3;
        river.flood.0 = river.origin.0 + along * river.direction.0 - side * river.direction.1;
        river.flood.1 = river.origin.1 + along * river.direction.1 + side * river.direction.0;
        river
    }

    fn meander(&self, along: f64) -> f64 {
        let t = along / self.wavelength;
        let slow = noise(self.seed ^ 5, t * 0.45, 0.5);
        self.wavelength
            * (0.17 * (TAU * t + 1.1 * (TAU * t / 3.3).sin()).sin() * (0.85 + 0.9 * slow)
                + 0.055 * (TAU * t * 2.63 + 1.0).sin()
                + 0.16 * noise(self.seed ^ 6, t * 0.7, 0.5))
    }

    /// Distance to the axis, without the meanders.
    fn across(&self, x: f64, y: f64) -> f64 {
        (y - self.origin.1) * self.direction.0 - (x - self.origin.0) * self.direction.1
    }

    fn level(&self, x: f64, y: f64) -> f64 {
        let (dx, dy) = (x - self.origin.0, y - self.origin.1);
        let along = dx * self.direction.0 + dy * self.direction.1;
        let across = self.across(x, y);
        let lean = 0.10 * self.wavelength * (TAU * across / (0.62 * self.wavelength) + 0.4).sin();
        across - self.meander(along + lean)
    }

    /// Where the river is, seen from (`x`, `y`).
    #[inline]
    pub(crate) fn reach(&self, x: f64, y: f64) -> Reach {
        let far = Reach { distance: Self::REACH_PX, half_width: self.half_width };
        if self.across(x, y).abs() > 0.55 * self.wavelength + 3.5 * Self::REACH_PX {
            return far;
        }
        let level = self.level(x, y);
        if level.abs() > 3.5 * Self::REACH_PX {
            return far;
        }
        let slope = length(self.level(x + 0.5, y) - level, self.level(x, y + 0.5) - level) * 2.0;
        let wander = noise(self.seed ^ 7, x / 31.0, y / 31.0);
        Reach { distance: level.abs() / slope.max(0.3), half_width: self.half_width * (1.0 + 0.45 * wander) }
    }

    /// The share of (`x`, `y`) that is under water while the floodplain is flooded, 0 to 1.
    #[inline]
    pub(crate) fn flooded(&self, x: f64, y: f64) -> f64 {
        let (cx, cy, a, b) = self.flood;
        let (dx, dy) = (x - cx, y - cy);
        if length(dx, dy) > 1.6 * a {
            return 0.0;
        }
        let along = (dx * self.direction.0 + dy * self.direction.1) / a;
        let across = (dy * self.direction.0 - dx * self.direction.1) / b;
        let shore = 1.0 - length(along, across) + 0.55 * fractal(self.seed ^ 8, x / (0.55 * b), y / (0.55 * b), 3);
        smoothstep(-0.6 / b, 0.9 / b, shore)
    }

    /// Distance to the centre of the flood in units of its size: below about 1.4 it can reach there.
    pub(crate) fn flood_nearness(&self, x: f64, y: f64) -> f64 {
        length(x - self.flood.0, y - self.flood.1) / self.flood.2
    }
}
