//! The state of the land on a day of the year: crops, trees, grass, soil moisture, flood and sun.
//!
//! Crops follow a double logistic (Beck et al. 2006): the green fraction rises around `start`, falls around `end`, and
//! leaves straw until the harvest, then stubble, then tilled soil.

use crate::hash::{draw, noise};
use crate::spectra::{self, blend, Spectrum};
use crate::Date;

/// First day of the year with the floodplain under water, and the first day after.
const FLOOD_DAYS: (f32, f32) = (186.0, 205.0);

/// What is grown on a parcel in this year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crop {
    WinterCereal,
    /// Winter barley cut for whole-crop silage in the last days of June: the harvested change.
    EarlyBarley,
    Rape,
    Maize,
    Beet,
    Summer,
    Meadow,
    Fallow,
}

/// Everything about a date that does not depend on the place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Season {
    pub day: f32,
    /// Seed of what differs between days by chance.
    pub weather: u64,
    /// Water in the top soil, 0 to 1.
    moisture: f32,
    /// Share of leaves on deciduous trees.
    pub leaves: f32,
    /// Green share of grass that nobody mows.
    pub grass: f32,
    /// 1 while the floodplain is under water.
    pub flood: f32,
    /// Wet mud that the flood left, 0 to 1.
    pub mud: f32,
    /// How strongly slopes away from the sun darken.
    pub relief: f32,
}

impl Season {
    pub(crate) fn of(date: Date, seed: u64) -> Self {
        let day = date.day_of_year() as f32;
        let weather = seed ^ crate::hash::mix(date.number());
        let turn = (day - 172.0) / 365.25 * std::f32::consts::TAU;
        let chance = (draw(weather, 1) as f32 - 0.5) * 0.2;
        let flood = if day >= FLOOD_DAYS.0 && day < FLOOD_DAYS.1 { 1.0 } else { 0.0 };
        Self {
            day,
            weather,
            moisture: (0.38 - 0.26 * turn.cos() + chance).clamp(0.05, 0.9),
            leaves: rise(day, 112.0, 5.0) - rise(day, 288.0, 8.0),
            grass: 0.30 + 0.55 * (rise(day, 100.0, 9.0) - rise(day, 178.0, 12.0)) + 0.18 * rise(day, 240.0, 8.0),
            flood,
            mud: if day >= FLOOD_DAYS.1 { (-(day - FLOOD_DAYS.1) / 60.0).exp() } else { 0.0 },
            relief: 0.55 - 0.25 * turn.cos(),
        }
    }

    /// Unmanaged grass.
    pub(crate) fn grassland(&self, lushness: f32) -> Spectrum {
        blend(spectra::DRY_GRASS, spectra::GRASS, (self.grass * lushness).clamp(0.0, 1.0))
    }

    /// Deciduous trees.
    pub(crate) fn deciduous(&self) -> Spectrum {
        blend(spectra::BARE_TREES, spectra::DECIDUOUS, self.leaves)
    }
}

/// A parcel on one day: the shares and the spectra it is mixed from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Canopy {
    green: f32,
    dry: f32,
    leaf: Spectrum,
    litter: Spectrum,
    soil: Spectrum,
    /// How patchy the parcel grows.
    patchiness: f32,
}

impl Canopy {
    /// The parcel's state; `hash` is the parcel's own number, (`x`, `y`) its centre in fine pixels.
    pub(crate) fn of(crop: Crop, hash: u64, x: f64, y: f64, season: &Season, seed: u64) -> Self {
        let d = season.day - (draw(hash, 10) as f32 - 0.5) * 16.0;
        let vigour = 0.82 + 0.18 * draw(hash, 11) as f32;
        let late = draw(hash, 12) as f32;
        let (mut leaf, mut litter) = (spectra::CEREAL, spectra::STRAW);
        let (green, dry) = match crop {
            Crop::WinterCereal => {
                let green = 0.35 + 0.60 * rise(d, 97.0, 9.0);
                let ripe = rise(d, 174.0, 6.0);
                let harvest = rise(d, 199.0 + 10.0 * late, 1.0);
                litter = blend(spectra::STRAW, spectra::STUBBLE, harvest);
                let catch = if late > 0.55 { 0.55 * rise(d, 248.0, 6.0) } else { 0.06 };
                let tilled = rise(d, 226.0 + 20.0 * late, 1.5);
                (green * (1.0 - ripe) + catch * harvest, ripe * (0.88 - 0.33 * harvest - 0.45 * tilled * harvest))
            }
            Crop::EarlyBarley => {
                let cut = rise(d, 176.0 + 4.0 * late, 0.6);
                let tilled = if late > 0.6 { rise(d, 187.0, 0.8) } else { rise(d, 236.0, 2.0) };
                litter = spectra::STUBBLE;
                let green = 0.40 + 0.56 * rise(d, 92.0, 8.0);
                (green * (1.0 - cut) + 0.03 * cut, cut * (0.62 - 0.50 * tilled))
            }
            Crop::Rape => {
                let bloom = (-((d - 127.0) / 11.0).powi(2)).exp();
                leaf = blend(spectra::RAPE, spectra::RAPE_BLOOM, bloom * (0.75 + 0.25 * late));
                let ripe = rise(d, 180.0, 6.0);
                let harvest = rise(d, 198.0 + 6.0 * late, 1.0);
                litter = blend(blend(spectra::STRAW, spectra::LOAM, 0.35), spectra::STUBBLE, harvest);
                let volunteers = 0.42 * rise(d, 235.0, 7.0) * if late > 0.5 { 1.0 } else { 0.2 };
                ((0.45 + 0.5 * rise(d, 86.0, 8.0)) * (1.0 - ripe) + volunteers * harvest, ripe * (0.85 - 0.35 * harvest))
            }
            Crop::Maize => {
                leaf = spectra::MAIZE;
                let ripe = rise(d, 258.0, 7.0);
                (0.95 * rise(d, 164.0, 7.0) * (1.0 - 0.9 * ripe), 0.75 * ripe)
            }
            Crop::Beet => {
                leaf = spectra::BEET;
                (0.04 + 0.93 * rise(d, 151.0, 8.0) * (1.0 - 0.2 * rise(d, 270.0, 12.0)), 0.0)
            }
            Crop::Summer => {
                leaf = spectra::BROADLEAF;
                let ripe = rise(d, 233.0, 8.0);
                let harvest = rise(d, 262.0 + 8.0 * late, 1.0);
                (0.03 + 0.9 * rise(d, 157.0, 8.0) * (1.0 - ripe), ripe * (0.7 - 0.35 * harvest))
            }
            Crop::Meadow => {
                leaf = spectra::GRASS;
                litter = spectra::DRY_GRASS;
                let mut cut = 0.0f32;
                for mowing in [140.0, 186.0, 236.0] {
                    let since = season.day - (mowing + 22.0 * (late - 0.5));
                    if since >= 0.0 {
                        cut = cut.max((-since / 13.0).exp());
                    }
                }
                (0.45 + 0.42 * rise(d, 98.0, 8.0) - 0.5 * cut, 0.10 + 0.35 * cut)
            }
            Crop::Fallow => (0.05 + 0.08 * late, 0.06),
        };
        let green = (green * vigour).clamp(0.0, 0.98);
        let tone = noise(seed ^ 0x501, x / 190.0, y / 190.0) as f32 * 1.3 + (draw(hash, 13) as f32 - 0.5) * 0.5;
        let soil = if tone > 0.0 {
            blend(spectra::LOAM, spectra::RED_SOIL, (tone * 1.6).min(1.0))
        } else {
            blend(spectra::LOAM, spectra::CHERNOZEM, (-tone * 1.8).min(1.0))
        };
        let shower = noise(season.weather ^ 0x77, x / 260.0, y / 260.0) as f32 * 0.35;
        let wet = (season.moisture + shower + (draw(hash, 14) as f32 - 0.5) * 0.25).clamp(0.0, 1.0);
        Self {
            green,
            dry: dry.clamp(0.0, 1.0 - green),
            leaf,
            litter,
            soil: spectra::times(soil, 1.12 - 0.46 * wet),
            patchiness: 0.5 + draw(hash, 15) as f32,
        }
    }

    /// The spectrum at a place in the parcel: `growth` and `ground` are zero-mean textures of about unit height.
    #[inline]
    pub(crate) fn spectrum(&self, growth: f32, ground: f32) -> Spectrum {
        let green = (self.green * (1.0 + 0.13 * self.patchiness * growth)).clamp(0.0, 0.98);
        let dry = (self.dry * (1.0 - 0.10 * growth)).clamp(0.0, 1.0 - green);
        let mut out = [0.0; 6];
        spectra::add(&mut out, self.leaf, green);
        spectra::add(&mut out, self.litter, dry);
        spectra::add(&mut out, self.soil, (1.0 - green - dry) * (1.0 + 0.16 * self.patchiness * ground));
        out
    }
}

/// The logistic step from 0 to 1 around day `middle`, `width` days steep.
#[inline]
fn rise(day: f32, middle: f32, width: f32) -> f32 {
    1.0 / (1.0 + (-(day - middle) / width).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ndvi(crop: Crop, month: u32, day: u32) -> f32 {
        let season = Season::of(Date::new(2022, month, day), 1);
        let mut sum = 0.0;
        for parcel in 0..40 {
            let s = Canopy::of(crop, crate::hash::mix(parcel), 0.0, 0.0, &season, 1).spectrum(0.0, 0.0);
            sum += (s[3] - s[2]) / (s[3] + s[2]);
        }
        sum / 40.0
    }

    #[test]
    fn crops_have_their_seasons() {
        for (crop, may, july, september) in [
            (Crop::WinterCereal, 0.75..0.95, 0.15..0.45, 0.1..0.6),
            (Crop::EarlyBarley, 0.75..0.95, 0.1..0.3, 0.1..0.35),
            (Crop::Rape, 0.5..0.8, 0.15..0.5, 0.15..0.6),
            (Crop::Maize, 0.1..0.3, 0.7..0.9, 0.3..0.8),
            (Crop::Beet, 0.1..0.35, 0.8..0.95, 0.75..0.95),
            (Crop::Meadow, 0.5..0.85, 0.3..0.8, 0.3..0.8),
            (Crop::Fallow, 0.1..0.35, 0.1..0.35, 0.1..0.35),
        ] {
            let got = [ndvi(crop, 5, 9), ndvi(crop, 7, 12), ndvi(crop, 9, 14)];
            assert!(may.contains(&got[0]) && july.contains(&got[1]) && september.contains(&got[2]), "{crop:?}: {got:?}");
        }
    }
}
