//! Properties of the landscape that the demo, the contract tests and the benchmarks rely on.

use ndarray::{s, Axis};

use super::*;
use crate::cloud::qa;

const MAY: Date = Date::new(2022, 5, 9);
const JULY: Date = Date::new(2022, 7, 12);
const SEPTEMBER: Date = Date::new(2022, 9, 14);

fn mean_where(image: &Array3<f32>, band: usize, mask: &Array2<bool>) -> f32 {
    let (mut sum, mut n) = (0.0f64, 0.0f64);
    for (value, set) in image.index_axis(Axis(0), band).iter().zip(mask) {
        if *set {
            sum += f64::from(*value);
            n += 1.0;
        }
    }
    (sum / n) as f32
}

fn ndvi_where(image: &Array3<f32>, mask: &Array2<bool>) -> f32 {
    let (red, nir) = (mean_where(image, 2, mask), mean_where(image, 3, mask));
    (nir - red) / (nir + red)
}

#[test]
fn a_window_equals_the_same_part_of_a_larger_one() {
    let land = Landscape::new(5, 900, 700).with_cloud(MAY);
    let large = Region::new(-40, 180, 330, 300);
    let small = Region::new(37, 251, 90, 111);
    let inside = s![77..167, 71..182];
    let inside3 = s![.., 77..167, 71..182];
    for date in [MAY, JULY] {
        assert_eq!(land.fine(date, large).slice(inside3), land.fine(date, small));
        assert_eq!(land.surface(date, large).slice(inside3), land.surface(date, small));
        assert_eq!(land.fine_qa(date, large).slice(inside), land.fine_qa(date, small));
    }
    assert_eq!(land.cover(large).slice(inside), land.cover(small));
    for change in [Change::Harvested, Change::Flooded] {
        assert_eq!(land.change_mask(change, large).slice(inside), land.change_mask(change, small));
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let land = Landscape::new(6, 300, 300);
    let region = Region::new(100, 60, 64, 80);
    let expected = land.fine(JULY, region);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| land.fine(JULY, region)), expected);
    }
}

#[test]
fn seeds_and_dates_make_different_images() {
    let region = Region::new(0, 0, 40, 40);
    let image = Landscape::new(1, 300, 300).fine(MAY, region);
    assert_ne!(image, Landscape::new(2, 300, 300).fine(MAY, region));
    assert_ne!(image, Landscape::new(1, 300, 300).fine(JULY, region));
    assert_eq!(image, Landscape::new(1, 300, 300).fine(MAY, region));
}

#[test]
fn an_empty_region_is_an_empty_image() {
    let land = Landscape::new(1, 300, 300);
    assert_eq!(land.fine(MAY, Region::new(5, 5, 0, 7)).dim(), (6, 0, 7));
    assert_eq!(land.cover(Region::new(5, 5, 7, 0)).dim(), (7, 0));
}

#[test]
fn reflectance_stays_in_its_range() {
    let land = Landscape::new(3, 400, 400).with_cloud(MAY);
    for date in [MAY, JULY, SEPTEMBER, Date::new(2022, 1, 15)] {
        let image = land.fine(date, land.extent());
        assert!(image.iter().all(|v| (0.0005..0.95).contains(v)), "{date}");
    }
}

#[test]
fn every_scene_has_all_its_parts() {
    for (seed, rows, cols) in [(2022, 720, 720), (1, 240, 240), (2, 240, 400), (3, 500, 300), (4, 1200, 1100)] {
        let land = Landscape::new(seed, rows, cols);
        let total = (rows * cols) as f64;
        let cover = land.cover(land.extent());
        for (kind, least) in [
            (Cover::Field, 0.3),
            (Cover::Water, 0.004),
            (Cover::Forest, 0.02),
            (Cover::Rangeland, 0.01),
            (Cover::Built, 0.01),
            (Cover::Bare, 0.0005),
        ] {
            let share = cover.iter().filter(|c| **c == kind).count() as f64 / total;
            assert!(share > least, "{rows} x {cols}: {kind:?} covers {share}");
        }
        for change in [Change::Harvested, Change::Flooded] {
            let mask = land.change_mask(change, land.extent());
            let share = mask.iter().filter(|m| **m).count() as f64 / total;
            assert!((0.008..0.06).contains(&share), "{rows} x {cols}: {change:?} covers {share}");
            for ((r, c), set) in mask.indexed_iter() {
                assert!(!set || cover[[r, c]] == Cover::Field || change == Change::Flooded);
            }
        }
    }
}

#[test]
fn harvested_fields_turn_from_green_to_stubble() {
    let land = Landscape::new(2022, 480, 480);
    let mask = land.change_mask(Change::Harvested, land.extent());
    let (may, july) = (land.surface(MAY, land.extent()), land.surface(JULY, land.extent()));
    let (before, after) = (ndvi_where(&may, &mask), ndvi_where(&july, &mask));
    assert!(before > 0.7 && after < 0.3, "{before} {after}");
    let green = mask.indexed_iter().filter(|((r, c), set)| **set && july[[3, *r, *c]] > 2.5 * july[[2, *r, *c]]).count();
    assert_eq!(green, 0, "a harvested pixel is still green");
}

#[test]
fn the_floodplain_is_under_water_in_july_only() {
    let land = Landscape::new(2022, 480, 480);
    let mask = land.change_mask(Change::Flooded, land.extent());
    let nir = |date: Date| mean_where(&land.surface(date, land.extent()), 3, &mask);
    let (may, july, september) = (nir(MAY), nir(JULY), nir(SEPTEMBER));
    assert!(may > 0.2 && july < 0.06 && september > 0.12, "{may} {july} {september}");
    let water = |date: Date| {
        let qa = land.fine_qa(date, land.extent());
        mask.iter().zip(&qa).filter(|(set, bits)| **set && **bits & qa::WATER != 0).count()
    };
    assert_eq!(water(MAY), 0);
    assert_eq!(water(JULY), mask.iter().filter(|set| **set).count());
}

#[test]
fn forest_town_and_river_hardly_change() {
    let land = Landscape::new(2022, 480, 480);
    let cover = land.cover(land.extent());
    let (may, july) = (land.surface(MAY, land.extent()), land.surface(JULY, land.extent()));
    let change = |kind: Cover| {
        let mask = cover.mapv(|c| c == kind);
        (mean_where(&may, 3, &mask) - mean_where(&july, 3, &mask)).abs()
    };
    assert!(change(Cover::Forest) < 0.02);
    assert!(change(Cover::Built) < 0.03);
    assert!(change(Cover::Water) < 0.03);
}

#[test]
fn quality_bits_mark_what_the_cloud_touches() {
    let clear = Landscape::new(2022, 480, 480);
    let land = clear.clone().with_cloud(MAY);
    let (fine, surface) = (land.fine(MAY, land.extent()), land.surface(MAY, land.extent()));
    let words = land.fine_qa(MAY, land.extent());
    let marked = |bit: u16| words.mapv(|w| w & bit != 0);
    let total = words.len();
    let count = |bit: u16| words.iter().filter(|w| **w & bit != 0).count();
    assert!(count(qa::CLOUD) > total / 200 && count(qa::SHADOW) > total / 200);
    assert!(count(qa::CLEAR) > total * 8 / 10);

    let (cloud, shadow) = (marked(qa::CLOUD), marked(qa::SHADOW));
    let (bright, ground) = (mean_where(&fine, 0, &cloud), mean_where(&surface, 0, &cloud));
    assert!(bright > 0.3 + ground, "{bright} {ground}");
    let (shaded, lit) = (mean_where(&fine, 3, &shadow), mean_where(&surface, 3, &shadow));
    assert!(shaded < 0.75 * lit, "{shaded} {lit}");
    for ((r, c), word) in words.indexed_iter() {
        let change = (fine[[0, r, c]] - surface[[0, r, c]]).abs();
        assert!(word & qa::CLEAR == 0 || word & qa::SHADOW != 0 || change < 0.012, "row {r} col {c}: {word} {change}");
        assert_eq!(word & qa::CLEAR != 0, word & (qa::CLOUD | qa::DILATED_CLOUD) == 0);
        assert_eq!(word & (qa::FILL | qa::SNOW | qa::CIRRUS), 0);
    }
    assert_eq!(land.fine(JULY, land.extent()), clear.fine(JULY, land.extent()), "the cloud belongs to one date");
    assert!(land.fine_qa(JULY, land.extent()).iter().all(|w| *w == 21_824 || *w == 21_952));
}

#[test]
fn noise_has_the_stated_spread() {
    let land = Landscape::new(8, 300, 300);
    let difference = land.fine(JULY, land.extent()) - land.surface(JULY, land.extent());
    for (band, expected) in FINE_NOISE.iter().enumerate() {
        let plane = difference.index_axis(Axis(0), band);
        let spread = (plane.iter().map(|v| v * v).sum::<f32>() / plane.len() as f32).sqrt();
        assert!((spread / expected - 1.0).abs() < 0.03, "band {band}: {spread}");
    }
}
