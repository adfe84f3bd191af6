//! The landscape: which surface lies where, and what it reflects on a day.
//!
//! A pixel is a stack of layers, each with the share of the pixel it covers. From the top:
//!
//! ```text
//! road > river > riparian trees > town, village > gravel pit > flood > forest > rangeland > field (margin, track, parcel)
//! ```
//!
//! The stack is walked until the pixel is full; the reflectance is the linear mixture. A pixel depends on the seed, the
//! size of the scene, its own row and column and the date, and on nothing else. The calendar is that of 2022: other years
//! have the same crops with other weather.

use ndarray::{Array2, Array3};
use rayon::prelude::*;

use crate::cloud::Cloud;
use crate::fields::{parcel_at, Division, Parcel, Sites, BLOCK_PX};
use crate::hash::{draw, fractal, hash2, length, mix, noise, normal, unit};
use crate::relief::Relief;
use crate::river::River;
use crate::season::{Canopy, Crop, Season};
use crate::settlement::{roads_near, village_at, Road, Town, VILLAGE_PX};
use crate::spectra::{self, add, blend, Spectrum};
use crate::Date;

/// A window of the plane in fine pixels. Row 0, column 0 is the upper left pixel of the scene; negative numbers are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First row.
    pub row: i64,
    /// First column.
    pub col: i64,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
}

impl Region {
    /// The window of `rows` x `cols` pixels whose upper left pixel is (`row`, `col`).
    pub const fn new(row: i64, col: i64, rows: usize, cols: usize) -> Self {
        Self { row, col, rows, cols }
    }
}

/// What grows or stands on a pixel, whatever the date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cover {
    /// Arable land or meadow, with its margins and tracks.
    #[default]
    Field,
    /// River or pond.
    Water,
    /// Woodland, riparian forest included.
    Forest,
    /// Rough grazing.
    Rangeland,
    /// Town, village or road.
    Built,
    /// Gravel pit.
    Bare,
}

impl Cover {
    /// All covers, in the order of their numbers.
    pub const ALL: [Cover; 6] = [Cover::Field, Cover::Water, Cover::Forest, Cover::Rangeland, Cover::Built, Cover::Bare];
}

/// An abrupt change between 2022-05-09 and 2022-07-12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Crops cut at the end of June: vegetation becomes stubble and soil.
    Harvested,
    /// A floodplain under water from 5 to 23 July.
    Flooded,
}

/// Standard deviation of the fine sensor's noise in each band, in reflectance.
pub const FINE_NOISE: [f32; 6] = [0.0012, 0.0013, 0.0016, 0.0030, 0.0024, 0.0020];

/// A made-up landscape, defined for every pixel of the plane and every day of a year.
#[derive(Clone, Debug)]
pub struct Landscape {
    seed: u64,
    rows: usize,
    cols: usize,
    river: River,
    town: Town,
    relief: Relief,
    clouds: Vec<Cloud>,
}

impl Landscape {
    /// The landscape of a scene of `rows` x `cols` fine pixels. The size places the town, the river, the gravel pit and the
    /// change areas (from about 240 pixels a side all of them lie inside); the landscape goes on beyond the edge.
    pub fn new(seed: u64, rows: usize, cols: usize) -> Self {
        let (height, width) = (rows as f64, cols as f64);
        Self {
            seed,
            rows,
            cols,
            river: River::new(seed, height, width),
            town: Town::new(seed, height, width),
            relief: Relief::new(seed, height, width),
            clouds: Vec::new(),
        }
    }

    /// The same landscape with a cloud and its shadow over the fine image of `date`.
    pub fn with_cloud(mut self, date: Date) -> Self {
        self.clouds.push(Cloud::over(self.seed, date, self.rows as f64, self.cols as f64));
        self
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The whole scene as a region.
    pub fn extent(&self) -> Region {
        Region::new(0, 0, self.rows, self.cols)
    }

    /// Surface reflectance without cloud and noise, `(band, row, col)`.
    pub fn surface(&self, date: Date, region: Region) -> Array3<f32> {
        let window = Window::new(self, Season::of(date, self.seed), region);
        self.image(region, |out, row| {
            let mut memo = Memo::default();
            for c in 0..region.cols {
                let pixel = window.pixel(&mut memo, row, region.col + c as i64);
                for (band, value) in out.iter_mut().zip(pixel.spectrum) {
                    band[c] = value;
                }
            }
        })
    }

    /// The fine image: the surface with clouds, shadows and sensor noise, `(band, row, col)`.
    pub fn fine(&self, date: Date, region: Region) -> Array3<f32> {
        let window = Window::new(self, Season::of(date, self.seed), region);
        let clouds: Vec<&Cloud> = self.clouds.iter().filter(|cloud| cloud.date == date).collect();
        let stream = mix(self.seed ^ mix(date.number()) ^ 0xF19E);
        self.image(region, |out, row| {
            let mut memo = Memo::default();
            for c in 0..region.cols {
                let col = region.col + c as i64;
                let mut spectrum = window.pixel(&mut memo, row, col).spectrum;
                for cloud in &clouds {
                    spectrum = cloud.over_surface(spectrum, col as f64 + 0.5, row as f64 + 0.5);
                }
                for (b, (band, value)) in out.iter_mut().zip(spectrum).enumerate() {
                    let error = normal(hash2(stream.wrapping_add(b as u64), row, col)) * FINE_NOISE[b];
                    band[c] = (value + error).max(0.0005);
                }
            }
        })
    }

    /// Landsat Collection 2 `QA_PIXEL` of the fine image, `(row, col)`: clouds, their surroundings and shadows where
    /// [`Landscape::with_cloud`] put them on this date, water over river and flood, and clear elsewhere.
    pub fn fine_qa(&self, date: Date, region: Region) -> Array2<u16> {
        let window = Window::new(self, Season::of(date, self.seed), region);
        let clouds: Vec<&Cloud> = self.clouds.iter().filter(|cloud| cloud.date == date).collect();
        self.map(&window, region, |pixel, row, col| {
            let water = pixel.shares[Cover::Water as usize] + pixel.under_water > 0.5;
            crate::cloud::qa_pixel(&clouds, col as f64 + 0.5, row as f64 + 0.5, water)
        })
    }

    /// The pixels of a change area, `(row, col)`: those of which more than 70 % is cut, or more than half flooded.
    pub fn change_mask(&self, change: Change, region: Region) -> Array2<bool> {
        let window = Window::new(self, Season::of(Date::new(2022, 5, 9), self.seed), region);
        self.map(&window, region, |pixel, _, _| match change {
            Change::Harvested => pixel.harvested > 0.7,
            Change::Flooded => pixel.floodplain > 0.5,
        })
    }

    /// Land cover that takes the largest share of each pixel, `(row, col)`.
    pub fn cover(&self, region: Region) -> Array2<Cover> {
        let window = Window::new(self, Season::of(Date::new(2022, 5, 9), self.seed), region);
        self.map(&window, region, |pixel, _, _| {
            let mut largest = 0;
            for k in 1..pixel.shares.len() {
                if pixel.shares[k] > pixel.shares[largest] {
                    largest = k;
                }
            }
            Cover::ALL[largest]
        })
    }

    fn image(&self, region: Region, row_of: impl Fn(&mut [&mut [f32]; 6], i64) + Sync) -> Array3<f32> {
        let mut out = Array3::<f32>::zeros((6, region.rows, region.cols));
        if region.rows == 0 || region.cols == 0 {
            return out;
        }
        if let Some(values) = out.as_slice_mut() {
            let mut planes = values.chunks_mut(region.rows * region.cols).map(|plane| plane.chunks_mut(region.cols));
            let mut next = || planes.next().into_iter().flatten();
            let (a, b, c, d, e, f) = (next(), next(), next(), next(), next(), next());
            let rows: Vec<[&mut [f32]; 6]> =
                a.zip(b).zip(c).zip(d).zip(e).zip(f).map(|(((((a, b), c), d), e), f)| [a, b, c, d, e, f]).collect();
            rows.into_par_iter().enumerate().for_each(|(r, mut bands)| row_of(&mut bands, region.row + r as i64));
        }
        out
    }

    fn map<T: Send + Clone + Default>(
        &self,
        window: &Window,
        region: Region,
        value: impl Fn(&Pixel, i64, i64) -> T + Sync,
    ) -> Array2<T> {
        let rows: Vec<Vec<T>> = (0..region.rows)
            .into_par_iter()
            .map(|r| {
                let (mut memo, row) = (Memo::default(), region.row + r as i64);
                (0..region.cols)
                    .map(|c| {
                        let col = region.col + c as i64;
                        value(&window.pixel(&mut memo, row, col), row, col)
                    })
                    .collect()
            })
            .collect();
        let mut values = rows.into_iter().flatten();
        Array2::from_shape_simple_fn((region.rows, region.cols), || values.next().unwrap_or_default())
    }

    /// Where crops are cut in June, in units of the area's size: below 1 is inside.
    fn harvest_nearness(&self, x: f64, y: f64) -> f64 {
        let size = self.rows.min(self.cols) as f64;
        let (a, b) = ((0.125 * size).clamp(26.0, 230.0), (0.095 * size).clamp(22.0, 180.0));
        length((x - 0.73 * self.cols as f64) / a, (y - 0.24 * self.rows as f64) / b)
    }
}

/// What a row remembers from pixel to pixel; it changes the cost only.
#[derive(Default)]
struct Memo {
    division: Option<Division>,
    parcel: Option<(u64, Crop, Canopy)>,
    square: Option<(i64, i64)>,
    roads: Vec<Road>,
}

/// A pixel on a day.
struct Pixel {
    spectrum: Spectrum,
    /// Shares by [`Cover`], whatever the date.
    shares: [f32; 6],
    /// Share that the flood covers on this date.
    under_water: f32,
    /// Share that a flood would cover.
    floodplain: f32,
    /// Share that is cut in June.
    harvested: f32,
}

impl Pixel {
    /// Puts `spectrum` on the share `cover` of what is still free, which is returned.
    #[inline]
    fn put(&mut self, free: f32, cover: Cover, share: f32, spectrum: Spectrum) -> f32 {
        add(&mut self.spectrum, spectrum, free * share);
        self.shares[cover as usize] += free * share;
        free * (1.0 - share)
    }
}

/// Below this share nothing more is mixed in.
const FULL: f32 = 1e-3;

/// The landscape with what one region and one day need.
struct Window<'a> {
    land: &'a Landscape,
    season: Season,
    blocks: Sites,
    villages: Sites,
}

impl<'a> Window<'a> {
    fn new(land: &'a Landscape, season: Season, region: Region) -> Self {
        Self {
            land,
            season,
            blocks: Sites::covering(land.seed ^ 0xB10C, BLOCK_PX, 0.86, region, 2),
            villages: Sites::covering(land.seed ^ 0x7111, VILLAGE_PX, 0.7, region, 3),
        }
    }

    fn pixel(&self, memo: &mut Memo, row: i64, col: i64) -> Pixel {
        let (x, y) = (col as f64 + 0.5, row as f64 + 0.5);
        let (land, season) = (self.land, &self.season);
        let grain = hash2(land.seed ^ 0x6A, row, col);
        let mut pixel = Pixel { spectrum: [0.0; 6], shares: [0.0; 6], under_water: 0.0, floodplain: 0.0, harvested: 0.0 };
        let mut free = 1.0f32;

        let square = self.villages.square(x, y);
        if memo.square != Some(square) {
            roads_near(&self.villages, square.0, square.1, y - 1.0, y + 1.0, &mut memo.roads);
            memo.square = Some(square);
        }
        let road = memo.roads.iter().map(|road| road.share(x, y)).fold(0.0, f64::max) as f32;
        if road > 0.0 {
            free = pixel.put(free, Cover::Built, road, spectra::ASPHALT);
        }

        let reach = land.river.reach(x, y);
        if reach.distance < River::REACH_PX {
            let half_width = reach.half_width * (1.0 + 0.10 * f64::from(season.flood));
            let water = (0.5 + half_width - reach.distance).clamp(0.0, 1.0) as f32;
            if water > 0.0 {
                let silt = 0.12 + 0.45 * season.flood + 0.15 * noise(land.seed ^ 0x51, x / 18.0, y / 18.0) as f32;
                free = pixel.put(free, Cover::Water, water, blend(spectra::RIVER, spectra::FLOOD, silt));
            }
            let belt = 3.2 + 9.0 * noise(land.seed ^ 0x52, x / 24.0, y / 24.0);
            let trees = (0.5 + reach.half_width + belt - reach.distance).clamp(0.0, 0.95) as f32;
            if free > FULL && trees > 0.0 {
                let light = 0.92 + 0.2 * unit(grain) as f32;
                free = pixel.put(free, Cover::Forest, trees, spectra::times(season.deciduous(), light));
            }
        }

        let in_town = land.town.nearness(x, y);
        if free > FULL {
            let place = if in_town < 1.9 { land.town.quarter(x, y) } else { None };
            let place = place.or_else(|| village_at(&self.villages, x, y).filter(|_| self.open_to_villages(x, y)));
            if let Some(quarter) = place {
                free = pixel.put(free, Cover::Built, quarter.share, quarter.spectrum(x, y, grain, season));
            }
        }

        if free > FULL && land.relief.pit_nearness(x, y) < 1.7 {
            let (bare, pond) = land.relief.pit(x, y);
            if pond > 0.0 {
                free = pixel.put(free, Cover::Water, pond, spectra::POND);
            }
            if bare > 0.0 {
                free = pixel.put(free, Cover::Bare, bare, land.relief.gravel(x, y, grain));
            }
        }

        let flood = if free > FULL { land.river.flooded(x, y) as f32 } else { 0.0 };
        pixel.floodplain = free * flood;
        if flood * season.flood > 0.0 {
            let murk = 1.0 + 0.22 * fractal(land.seed ^ 0x53, x / 22.0, y / 13.0, 2) as f32;
            pixel.under_water = free * flood * season.flood;
            add(&mut pixel.spectrum, spectra::times(spectra::FLOOD, murk), pixel.under_water);
        }
        let wet = flood * season.mud;
        // The covers under the flood keep their shares; only what they reflect is lost.
        let dry_share = 1.0 - flood * season.flood;

        if free > FULL {
            let keep_out = (1.5 - in_town)
                .max(1.25 - land.harvest_nearness(x, y))
                .max(1.5 - land.river.flood_nearness(x, y))
                .max(0.5 * (2.4 - land.relief.pit_nearness(x, y)))
                .max(0.0);
            let forest = land.relief.forest(x, y, keep_out);
            if forest > 0.0 {
                let trees = land.relief.forest_spectrum(x, y, grain, season);
                free = self.put_ground(&mut pixel, free, Cover::Forest, forest, trees, dry_share);
            }
        }
        if free > FULL {
            let range = land.relief.rangeland(x, y);
            if range > 0.0 {
                let open = land.relief.rangeland_spectrum(x, y, grain, season);
                free = self.put_ground(&mut pixel, free, Cover::Rangeland, range, open, dry_share);
            }
        }
        if free > FULL {
            let (field, harvested) = self.field(memo, x, y, grain);
            pixel.harvested = free * harvested;
            let field = if wet > 0.0 { blend(field, spectra::MUD, 0.75 * wet) } else { field };
            self.put_ground(&mut pixel, free, Cover::Field, 1.0, field, dry_share);
        } else {
            spectra::add(&mut pixel.spectrum, spectra::GRASS, free * dry_share);
        }
        pixel
    }

    #[inline]
    fn put_ground(&self, pixel: &mut Pixel, free: f32, cover: Cover, share: f32, spectrum: Spectrum, dry: f32) -> f32 {
        add(&mut pixel.spectrum, spectrum, free * share * dry);
        pixel.shares[cover as usize] += free * share;
        free * (1.0 - share)
    }

    fn open_to_villages(&self, x: f64, y: f64) -> bool {
        self.land.harvest_nearness(x, y) > 1.1 && self.land.river.flood_nearness(x, y) > 1.3
    }

    /// The farmland at a point, and the share of it that is cut in June.
    fn field(&self, memo: &mut Memo, x: f64, y: f64, grain: u64) -> (Spectrum, f32) {
        let (land, season) = (self.land, &self.season);
        let parcel = parcel_at(&self.blocks, &mut memo.division, land.seed, x, y);
        let (crop, canopy) = match memo.parcel {
            Some((hash, crop, canopy)) if hash == parcel.hash => (crop, canopy),
            _ => {
                let crop = self.crop(&parcel);
                let canopy = Canopy::of(crop, parcel.hash, parcel.x, parcel.y, season, land.seed);
                memo.parcel = Some((parcel.hash, crop, canopy));
                (crop, canopy)
            }
        };
        let speck = unit(grain) as f32 - 0.5;
        let growth = 1.5 * fractal(land.seed ^ 0x61, x / 13.0, y / 13.0, 2) as f32 + 0.30 * speck;
        let ground = 1.6 * fractal(land.seed ^ 0x62, x / 27.0, y / 27.0, 3) as f32 + 0.25 * speck;
        let mut spectrum = canopy.spectrum(growth, ground);
        let mut cropped = 1.0;
        let margin = (0.72 - parcel.border).clamp(0.0, 0.45) as f32;
        if margin > 0.0 {
            let hedge = draw(parcel.block, 5) < 0.16;
            let edge = if hedge { season.deciduous() } else { season.grassland(1.0) };
            spectrum = blend(spectrum, edge, margin);
            cropped *= 1.0 - margin;
        }
        let track = (0.80 - parcel.block_border).clamp(0.0, 0.62) as f32;
        if track > 0.0 {
            let edge = if draw(parcel.block, 6) < 0.3 { season.deciduous() } else { spectra::TRACK };
            spectrum = blend(spectrum, edge, track);
            cropped *= 1.0 - track;
        }
        (spectrum, if crop == Crop::EarlyBarley { cropped } else { 0.0 })
    }

    fn crop(&self, parcel: &Parcel) -> Crop {
        let land = self.land;
        let near = land.harvest_nearness(parcel.x, parcel.y);
        if near < 1.0 && (near < 0.4 || draw(parcel.hash, 2) < 0.72) {
            return Crop::EarlyBarley;
        }
        let wet = land.river.reach(parcel.x, parcel.y).distance < 0.45 * River::REACH_PX;
        if draw(parcel.hash, 3) < if wet { 0.45 } else { 0.07 } {
            return Crop::Meadow;
        }
        let local = draw(parcel.hash, 5) < 0.76;
        let custom = 0.52 + 0.95 * noise(land.seed ^ 0x63, parcel.x / 105.0, parcel.y / 105.0);
        match if local { custom + 0.16 * (draw(parcel.hash, 4) - 0.5) } else { draw(parcel.hash, 4) } {
            p if p < 0.25 => Crop::Rape,
            p if p < 0.54 => Crop::WinterCereal,
            p if p < 0.59 => Crop::Fallow,
            p if p < 0.68 => Crop::Summer,
            p if p < 0.80 => Crop::Beet,
            _ => Crop::Maize,
        }
    }
}

#[cfg(test)]
mod tests;
