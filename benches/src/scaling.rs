//! Time against the number of pixels, with images that are generated as they are read.

use serde_json::json;

use crate::clock::measure;
use crate::images::{RepeatedScene, BANDS};
use crate::record::Section;
use crate::starfm::{context, predict, window_samples};
use crate::Failure;

/// The largest image, in millions of pixels, that is also run with window 51.
const WIDE_MEGAPIXELS: usize = 16;

/// The table of `stfusion-bench scaling`.
pub fn section(method: &str, window: usize, megapixels: usize) -> Result<Section, Failure> {
    let info = stfusion_methods::by_id(method)?.info();
    let pairs = info.min_pairs;
    let mut section = Section::new(
        "scaling",
        format!("{method}, {pairs} pair(s), {BANDS} bands, all threads; seconds and seconds per million pixels"),
    );
    let context = context(0)?;
    let mut scene = RepeatedScene::new(1000, 1000, pairs);
    let has_window = info.parameters.iter().any(|p| p.id == "window");
    for window in [window, 51].into_iter().take(if has_window { 2 } else { 1 }) {
        let largest = if window == 51 { megapixels.min(WIDE_MEGAPIXELS) } else { megapixels };
        let mut first = None;
        for size in std::iter::successors(Some(1), |n| Some(n * 4)).take_while(|&n| n <= largest) {
            let side = (1000.0 * (size as f64).sqrt()).round() as usize;
            scene = scene.resized(side, side);
            let (result, seconds) = measure(|| predict(&scene, method, window, &context));
            result?;
            let per_pixel = seconds.cpu / size as f64;
            let samples = window_samples(side, window) * BANDS as f64;
            section.row(json!({
                "window": window,
                "Mpx": size,
                "cpu": seconds.cpu,
                "wall": seconds.wall,
                "cpu_per_Mpx": per_pixel,
                "wall_per_Mpx": seconds.wall / size as f64,
                "ns_per_sample": seconds.cpu * 1e9 / samples,
                "of_first": per_pixel / *first.get_or_insert(per_pixel),
            }));
        }
    }
    section.remark("of_first: CPU seconds per pixel over those of the smallest image; 1 is linear growth.");
    Ok(section)
}
