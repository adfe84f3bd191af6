//! Hills: the forest and the rangeland, shaded by the sun, and the gravel pit.

use crate::hash::{fractal, length, noise, smoothstep, unit};
use crate::season::Season;
use crate::spectra::{self, blend, times, Spectrum};

/// Forest, rangeland and gravel pit of a scene.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relief {
    seed: u64,
    rows: f64,
    cols: f64,
    size: f64,
    pit: f64,
}

impl Relief {
    pub(crate) fn new(seed: u64, rows: f64, cols: f64) -> Self {
        let size = rows.min(cols);
        Self { seed: seed ^ 0xF0E5, rows, cols, size, pit: (0.030 * size).clamp(7.0, 26.0) }
    }

    fn bump(&self, x: f64, y: f64, at: (f64, f64), radius: f64) -> f64 {
        let d = length(x - at.0 * self.cols, y - at.1 * self.rows) / (radius * self.size);
        (1.0 - d * d).max(-0.6)
    }

    /// The share of forest; `keep_out` above 0 pushes it away.
    pub(crate) fn forest(&self, x: f64, y: f64, keep_out: f64) -> f32 {
        let place =
            self.bump(x, y, (0.10, 0.10), 0.21).max(self.bump(x, y, (0.95, 0.95), 0.17)).max(self.bump(x, y, (0.97, 0.43), 0.10));
        let coarse = fractal(self.seed, x / 120.0, y / 120.0, 2) - 0.42 + 0.55 * (place + 0.6) - 1.6 * keep_out;
        if coarse.abs() > 0.3 {
            return if coarse > 0.0 { 1.0 } else { 0.0 };
        }
        let height = coarse + 0.16 * fractal(self.seed ^ 1, x / 21.0, y / 21.0, 3);
        smoothstep(-0.012, 0.016, height) as f32
    }

    /// The share of rangeland.
    pub(crate) fn rangeland(&self, x: f64, y: f64) -> f32 {
        let place = self.bump(x, y, (0.13, 0.90), 0.24);
        if place < -0.5 {
            return 0.0;
        }
        let height = 0.45 * place + 0.35 * fractal(self.seed ^ 2, x / 60.0, y / 60.0, 3);
        smoothstep(-0.01, 0.02, height) as f32
    }

    /// Brightness of the slope at a point, about 1.
    fn shade(&self, x: f64, y: f64, strength: f32) -> f32 {
        let height = |x: f64, y: f64| 20.0 * self.ridges(x, y) + 5.0 * noise(self.seed ^ 4, x / 16.0, y / 16.0);
        let towards_sun = height(x + 0.9, y + 0.9) - height(x - 0.9, y - 0.9);
        1.0 - strength * (towards_sun as f32 * 0.30).clamp(-0.8, 0.8)
    }

    /// Height of the hills: valleys, below about -0.3, branch between rounded ridges.
    fn ridges(&self, x: f64, y: f64) -> f64 {
        let bend = 14.0 * noise(self.seed ^ 11, x / 61.0, y / 61.0);
        let (x, y) = (x + bend, y - bend);
        let large = 0.42 - noise(self.seed ^ 3, x / 118.0, y / 118.0).abs() * 2.0;
        large + 0.45 * noise(self.seed ^ 12, x / 39.0, y / 39.0)
    }

    /// Woodland at a point.
    pub(crate) fn forest_spectrum(&self, x: f64, y: f64, grain: u64, season: &Season) -> Spectrum {
        let conifer = smoothstep(-0.12, 0.16, fractal(self.seed ^ 5, x / 34.0, y / 34.0, 3)) as f32;
        let stand = 1.0 + 0.10 * noise(self.seed ^ 6, x / 7.0, y / 7.0) as f32;
        let crowns = 1.0 + 0.16 * (unit(grain) as f32 - 0.5);
        let trees = blend(season.deciduous(), spectra::CONIFER, 0.12 + 0.76 * conifer);
        times(trees, stand * crowns * self.shade(x, y, season.relief))
    }

    /// Rangeland at a point.
    pub(crate) fn rangeland_spectrum(&self, x: f64, y: f64, grain: u64, season: &Season) -> Spectrum {
        let gully = smoothstep(0.10, -0.35, self.ridges(x, y));
        let lush = (0.72 + 0.6 * gully + 0.5 * fractal(self.seed ^ 7, x / 19.0, y / 19.0, 2)) as f32;
        let thicket = noise(self.seed ^ 13, x / 5.0, y / 5.0) + 0.35 * (unit(grain) - 0.5);
        let shrubs = smoothstep(0.02, 0.55, thicket + 0.38 * gully) as f32 * 0.75;
        let open = blend(season.grassland(lush), spectra::LOAM, 0.18);
        times(blend(open, spectra::SHRUB, shrubs), self.shade(x, y, 0.8 * season.relief))
    }

    /// The gravel pit: shares of bare ground and of the pond in it.
    pub(crate) fn pit(&self, x: f64, y: f64) -> (f32, f32) {
        let (dx, dy) = (x - 0.55 * self.cols, y - 0.42 * self.rows);
        let d = length(dx, 1.35 * dy) / self.pit;
        if d > 1.7 {
            return (0.0, 0.0);
        }
        let edge = 1.0 - d + 0.45 * fractal(self.seed ^ 8, x / (0.8 * self.pit), y / (0.8 * self.pit), 2);
        let pond = 0.42 - length(dx - 0.3 * self.pit, dy) / self.pit + 0.3 * noise(self.seed ^ 9, x / 9.0, y / 9.0);
        (smoothstep(-0.04, 0.05, edge) as f32, smoothstep(-0.04, 0.05, pond.min(edge)) as f32)
    }

    /// Bare gravel at a point.
    pub(crate) fn gravel(&self, x: f64, y: f64, grain: u64) -> Spectrum {
        let heaps = 1.0 + 0.35 * noise(self.seed ^ 10, x / 4.0, y / 4.0) as f32 + 0.10 * (unit(grain) as f32 - 0.5);
        times(spectra::GRAVEL, heaps)
    }

    /// How strongly forest is kept away from a point, because something else has its place there.
    pub(crate) fn pit_nearness(&self, x: f64, y: f64) -> f64 {
        length(x - 0.55 * self.cols, y - 0.42 * self.rows) / self.pit
    }
}
