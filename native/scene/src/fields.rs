//! Parcels: irregular blocks of fields between tracks, each divided into rectangles along its own direction.
//!
//! Blocks are the Voronoi cells of jittered [`Sites`]. Inside a block the plane is turned by the block's angle, tiled with
//! large rectangles, and each rectangle is split along its longer side until it is small enough; some of the last ones are
//! cut into strips. A parcel is named by the hash of that path, so no parcel depends on another one.

use crate::hash::{draw, floor, hash2, mix, noise, unit};
use crate::landscape::Region;

/// One jittered point per square of a grid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    pub x: f64,
    pub y: f64,
    pub hash: u64,
}

/// The jittered points that a region and its surroundings need, computed once.
#[derive(Debug)]
pub(crate) struct Sites {
    pitch: f64,
    col: i64,
    row: i64,
    cols: usize,
    sites: Vec<Site>,
}

impl Sites {
    /// Points of one per `pitch` x `pitch` pixels for `region`, with `pad` more squares on each side.
    pub(crate) fn covering(seed: u64, pitch: f64, jitter: f64, region: Region, pad: i64) -> Self {
        let first = |pixel: i64| (pixel as f64 / pitch).floor() as i64 - pad;
        let last = |pixel: i64, n: usize| ((pixel + n as i64) as f64 / pitch).floor() as i64 + pad;
        let (row, col) = (first(region.row), first(region.col));
        let rows = (last(region.row, region.rows) - row + 1) as usize;
        let cols = (last(region.col, region.cols) - col + 1) as usize;
        let mut sites = Vec::with_capacity(rows * cols);
        for r in row..row + rows as i64 {
            for c in col..col + cols as i64 {
                let hash = hash2(seed, c, r);
                let place = |cell: i64, k: u64| (cell as f64 + 0.5 + jitter * (draw(hash, k) - 0.5)) * pitch;
                sites.push(Site { x: place(c, 101), y: place(r, 102), hash });
            }
        }
        Self { pitch, col, row, cols, sites }
    }

    /// The square a point lies in.
    #[inline]
    pub(crate) fn square(&self, x: f64, y: f64) -> (i64, i64) {
        (floor(x / self.pitch), floor(y / self.pitch))
    }

    /// The point of the square in column `c` and row `r` of the grid.
    #[inline]
    pub(crate) fn site(&self, c: i64, r: i64) -> &Site {
        &self.sites[(r - self.row) as usize * self.cols + (c - self.col) as usize]
    }

    /// The nearest point and the distance to the border of its Voronoi cell.
    #[inline]
    pub(crate) fn nearest(&self, x: f64, y: f64) -> (Site, f64) {
        let (c0, r0) = self.square(x, y);
        let (mut best, mut best_d2) = (*self.site(c0, r0), f64::INFINITY);
        for r in r0 - 1..=r0 + 1 {
            for c in c0 - 1..=c0 + 1 {
                let site = self.site(c, r);
                let d2 = (site.x - x).powi(2) + (site.y - y).powi(2);
                if d2 < best_d2 {
                    (best, best_d2) = (*site, d2);
                }
            }
        }
        // Distance to a bisector is (d2 - best_d2) / (2 |site - best|); the smallest square needs one root only.
        let mut border2 = f64::INFINITY;
        for r in r0 - 1..=r0 + 1 {
            for c in c0 - 1..=c0 + 1 {
                let site = self.site(c, r);
                if site.hash != best.hash {
                    let d2 = (site.x - x).powi(2) + (site.y - y).powi(2);
                    let apart2 = (site.x - best.x).powi(2) + (site.y - best.y).powi(2);
                    border2 = border2.min((d2 - best_d2).powi(2) / (4.0 * apart2));
                }
            }
        }
        (best, border2.sqrt())
    }
}

/// Grid spacing of the field blocks in fine pixels.
pub(crate) const BLOCK_PX: f64 = 92.0;

/// The parcel under a point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parcel {
    pub hash: u64,
    /// Centre in fine pixels.
    pub x: f64,
    pub y: f64,
    /// Distance to the border with the next parcel in fine pixels.
    pub border: f64,
    /// Distance to the border of the block.
    pub block_border: f64,
    pub block: u64,
}

/// How a block is divided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Division {
    block: u64,
    sin: f64,
    cos: f64,
    wide: f64,
    high: f64,
    smallest: f64,
}

impl Division {
    fn of(block: u64) -> Self {
        let (sin, cos) = (draw(block, 1) * std::f64::consts::PI).sin_cos();
        let (wide, high) = (52.0 + 40.0 * draw(block, 2), 46.0 + 34.0 * draw(block, 3));
        Self { block, sin, cos, wide, high, smallest: 9.0 + 15.0 * draw(block, 4) }
    }
}

/// The parcel at (`x`, `y`); `memo` may hold the division of any block and then holds that of the parcel's.
pub(crate) fn parcel_at(blocks: &Sites, memo: &mut Option<Division>, seed: u64, x: f64, y: f64) -> Parcel {
    let bend_x = x + 5.0 * noise(seed ^ 0xB1, x / 37.0, y / 37.0);
    let bend_y = y + 5.0 * noise(seed ^ 0xB2, x / 37.0, y / 37.0);
    let (site, block_border) = blocks.nearest(bend_x, bend_y);
    let division = memo.filter(|division| division.block == site.hash).unwrap_or_else(|| Division::of(site.hash));
    *memo = Some(division);
    let Division { sin, cos, wide, high, smallest, .. } = division;
    let (dx, dy) = (x - site.x, y - site.y);
    let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
    let (iu, iv) = (floor(u / wide + 0.5), floor(v / high + 0.5));
    let mut low = [(iu as f64 - 0.5) * wide, (iv as f64 - 0.5) * high];
    let mut size = [wide, high];
    let at = [u, v];
    let mut hash = hash2(site.hash, iu, iv);
    for level in 0..4 {
        let axis = usize::from(size[1] > size[0]);
        if size[axis] < 1.7 * smallest || (level > 1 && unit(hash) < 0.25) {
            break;
        }
        let first = size[axis] * (0.34 + 0.32 * draw(hash, 20));
        let second_half = at[axis] >= low[axis] + first;
        if second_half {
            low[axis] += first;
            size[axis] -= first;
        } else {
            size[axis] = first;
        }
        hash = mix(hash ^ (1 + u64::from(second_half)));
    }
    if draw(hash, 21) < 0.10 {
        let axis = usize::from(size[1] > size[0]);
        let strips = (size[axis] / (3.2 + 2.5 * draw(hash, 22))).floor().max(1.0);
        let width = size[axis] / strips;
        let index = ((at[axis] - low[axis]) / width).floor().clamp(0.0, strips - 1.0);
        low[axis] += index * width;
        size[axis] = width;
        hash = mix(hash ^ (0x5712 + index as u64));
    }
    let border = (0..2).map(|k| (at[k] - low[k]).min(low[k] + size[k] - at[k])).fold(f64::INFINITY, f64::min);
    let (cu, cv) = (low[0] + 0.5 * size[0], low[1] + 0.5 * size[1]);
    Parcel { hash, x: site.x + cu * cos - cv * sin, y: site.y + cu * sin + cv * cos, border, block_border, block: site.hash }
}
