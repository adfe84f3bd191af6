//! Where people live: the town, the villages and the roads between them.

use crate::fields::{Site, Sites};
use crate::hash::{draw, floor, fractal, hash2, length, noise, smoothstep, unit};
use crate::season::Season;
use crate::spectra::{self, blend, Spectrum};

/// Grid spacing of the villages in fine pixels.
pub(crate) const VILLAGE_PX: f64 = 155.0;

/// The town of a scene.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Town {
    seed: u64,
    x: f64,
    y: f64,
    radius: f64,
}

/// A built-up point: its share of the pixel, and how central it is (1 in the middle, 0 at the outskirts).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quarter {
    pub share: f32,
    centrality: f64,
    angle: f64,
    seed: u64,
}

impl Town {
    pub(crate) fn new(seed: u64, rows: f64, cols: f64) -> Self {
        let size = rows.min(cols);
        Self { seed: seed ^ 0x7033, x: 0.30 * cols, y: 0.34 * rows, radius: (0.088 * size).clamp(17.0, 85.0) }
    }

    /// Distance to the centre in units of the radius.
    pub(crate) fn nearness(&self, x: f64, y: f64) -> f64 {
        length(x - self.x, y - self.y) / self.radius
    }

    /// The town at a point, or nothing outside it.
    pub(crate) fn quarter(&self, x: f64, y: f64) -> Option<Quarter> {
        quarter(x - self.x, y - self.y, self.radius, 0.9, self.seed)
    }
}

/// The village of a site, if it has one: (radius in fine pixels).
fn village_radius(site: &Site) -> Option<f64> {
    (draw(site.hash, 30) < 0.82).then(|| 4.5 + 7.5 * draw(site.hash, 31).powi(2))
}

/// The village at a point, or nothing where there is none.
pub(crate) fn village_at(villages: &Sites, x: f64, y: f64) -> Option<Quarter> {
    let (c0, r0) = villages.square(x, y);
    for r in r0 - 1..=r0 + 1 {
        for c in c0 - 1..=c0 + 1 {
            let site = villages.site(c, r);
            let (dx, dy) = (x - site.x, y - site.y);
            if dx.abs() > 24.0 || dy.abs() > 24.0 {
                continue;
            }
            if let Some(found) = village_radius(site).and_then(|radius| quarter(dx, dy, radius, 0.25, site.hash)) {
                return Some(found);
            }
        }
    }
    None
}

fn quarter(dx: f64, dy: f64, radius: f64, core: f64, seed: u64) -> Option<Quarter> {
    let reach = length(dx, dy) / radius;
    if reach > 1.9 {
        return None;
    }
    let edge = 1.0 - reach + 0.75 * fractal(seed ^ 0x11, dx / (0.8 * radius), dy / (0.8 * radius), 3);
    let share = smoothstep(-0.5 / radius, 0.8 / radius, edge) as f32;
    (share > 0.0).then(|| Quarter {
        share,
        centrality: (core * (1.15 - 1.3 * reach)).clamp(0.0, 1.0),
        angle: draw(seed, 33) * 1.5,
        seed,
    })
}

impl Quarter {
    /// What stands here.
    pub(crate) fn spectrum(&self, x: f64, y: f64, grain: u64, season: &Season) -> Spectrum {
        let (sin, cos) = self.angle.sin_cos();
        let bend = 2.2 * noise(self.seed ^ 0x12, x / 26.0, y / 26.0);
        let (u, v) = (x * cos + y * sin + bend, y * cos - x * sin + bend);
        let (wide, deep) = (6.3, 4.4);
        let (iu, iv) = (floor(u / wide), floor(v / deep));
        let (du, dv) = (u - iu as f64 * wide, v - iv as f64 * deep);
        let to_street = du.min(wide - du).min(dv.min(deep - dv));
        let block = hash2(self.seed, iu, iv);
        let main = iu % 4 == 0 || iv % 5 == 0;
        let street = (if main { 0.85 } else { 0.55 } - to_street).clamp(0.0, 0.8) as f32;
        let roof = blend(spectra::TILES, spectra::GREY_ROOFS, draw(grain, 40) as f32);
        let garden = blend(season.grassland(1.1), season.deciduous(), 0.25 + 0.5 * draw(grain, 41) as f32);
        let zone = noise(self.seed ^ 0x13, x / 21.0, y / 21.0) + 0.12 * (unit(block) - 0.5);
        let (built, cover) = if draw(block, 42) < 0.05 {
            (0.05, spectra::TRACK)
        } else if zone > 0.23 && self.centrality < 0.55 {
            let hall = hash2(block, floor(u / 3.1), floor(v / 2.2));
            (0.90, blend(spectra::ASPHALT, spectra::BRIGHT_ROOFS, (draw(hall, 43) * 1.15 - 0.15).max(0.0) as f32))
        } else {
            (0.36 + 0.50 * self.centrality as f32, roof)
        };
        let built = (built + 0.22 * (unit(grain) as f32 - 0.5)).clamp(0.0, 1.0);
        blend(blend(garden, cover, built), spectra::ASPHALT, street)
    }
}

/// A road between two neighbouring sites: a line with a gentle bow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Road {
    x: f64,
    y: f64,
    along: (f64, f64),
    length: f64,
    bow: f64,
    half_width: f64,
}

impl Road {
    fn between(a: &Site, b: &Site, hash: u64) -> Self {
        let (dx, dy) = (b.x - a.x, b.y - a.y);
        let length = length(dx, dy).max(1.0);
        Self {
            x: a.x,
            y: a.y,
            along: (dx / length, dy / length),
            length,
            bow: (draw(hash, 50) - 0.5) * 0.22 * length,
            half_width: 0.20 + 0.22 * draw(hash, 51),
        }
    }

    /// The share of the pixel around (`x`, `y`) that is road.
    #[inline]
    pub(crate) fn share(&self, x: f64, y: f64) -> f64 {
        let (dx, dy) = (x - self.x, y - self.y);
        let along = (dx * self.along.0 + dy * self.along.1) / self.length;
        if !(-0.01..=1.01).contains(&along) {
            return 0.0;
        }
        let across = dy * self.along.0 - dx * self.along.1;
        if across.abs() > self.bow.abs() + 3.0 {
            return 0.0;
        }
        let centre = self.bow * 4.0 * along * (1.0 - along) + 1.2 * (along * std::f64::consts::TAU * 2.0).sin();
        (0.5 + self.half_width - (across - centre).abs()).clamp(0.0, (2.0 * self.half_width).min(1.0))
    }

    /// Whether the road can touch rows `from` to `to`.
    fn touches(&self, from: f64, to: f64) -> bool {
        let slack = self.bow.abs() + 4.0;
        let (y0, y1) = (self.y, self.y + self.along.1 * self.length);
        y0.min(y1) - slack <= to && y0.max(y1) + slack >= from
    }
}

/// The roads that can pass through the square (`c`, `r`) of the village grid between two rows of the plane.
pub(crate) fn roads_near(villages: &Sites, c: i64, r: i64, from: f64, to: f64, out: &mut Vec<Road>) {
    out.clear();
    for row in r - 2..=r + 1 {
        for col in c - 2..=c + 1 {
            let here = villages.site(col, row);
            for (k, (next_col, next_row)) in [(col + 1, row), (col, row + 1), (col + 1, row + 1)].into_iter().enumerate() {
                let key = hash2(here.hash, k as i64, 77);
                if k == 2 && draw(key, 52) > 0.15 || k < 2 && draw(key, 52) > 0.85 {
                    continue;
                }
                let road = Road::between(here, villages.site(next_col, next_row), key);
                if road.touches(from, to) {
                    out.push(road);
                }
            }
        }
    }
}
