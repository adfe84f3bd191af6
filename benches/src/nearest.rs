//! The search for the most similar pixels, as the methods ask for it.
//!
//! A *sample* is one position of the window of one output pixel, counted only inside the image. Needed per sample and plane: a
//! subtraction, an addition, and a multiplication where differences are squared or have a factor, a comparison where there is
//! a tolerance; per sample: an addition and a multiplication where distance counts, and the comparison with the bound.

use ndarray::Array3;
use serde_json::json;
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Cancel, Region};
use stfusion_methods::blocks::nearest::{weighted_means, DistanceLaw, Norm, Plane, Planes, Search, Term, Tolerance, Window};
use stfusion_methods::blocks::simd::Path;

use crate::clock::fastest;
use crate::images::{RepeatedScene, BANDS};
use crate::peak::multiply_add_gflops;
use crate::record::Section;
use crate::starfm::window_samples;
use crate::Failure;

/// A search as one of the methods makes it.
struct Case {
    name: &'static str,
    bands: usize,
    window: usize,
    most: usize,
    /// Relative differences, a tolerance and a distance law, as in FSDAF; otherwise squared differences, as in Fit-FC.
    relative: bool,
}

const CASES: [Case; 3] = [
    Case { name: "squares of all bands", bands: BANDS, window: 51, most: 10, relative: false },
    Case { name: "squares of three bands", bands: 3, window: 41, most: 20, relative: false },
    Case { name: "relative, tolerance, distance", bands: 3, window: 41, most: 20, relative: true },
];

impl Case {
    fn operations(&self) -> f64 {
        let (planes, extra) = if self.relative { (4, 3) } else { (3, 1) };
        (planes * self.bands + extra) as f64
    }

    fn search(&self, path: Path) -> Search {
        let window = Window::new(self.window / 2);
        let factors = window.table(|d| (10.0 + d / (self.window / 2) as f64) as f32);
        let norm = if self.relative { Norm::Absolute } else { Norm::Squared };
        let search = Search::new(window, self.most, norm, path);
        if self.relative {
            search.with_law(DistanceLaw { added: 1e-5, factors })
        } else {
            search
        }
    }
}

/// The table of `stfusion-bench nearest`.
pub fn section(side: usize, repeat: usize) -> Result<Section, Failure> {
    let mut section =
        Section::new("nearest", format!("{side} x {side} pixels, one thread, fastest of {repeat} runs; cpu in seconds"));
    let scene = RepeatedScene::new(side, side, 1);
    let mut image = Array3::zeros((BANDS, side, side));
    scene.read(Layer::Fine(0), Region::whole(side, side), image.view_mut())?;
    let values = image.as_slice().unwrap_or_default();
    let bands: Vec<&[f32]> = values.chunks_exact(side * side).collect();
    let factors: Vec<Vec<f32>> = bands.iter().map(|b| b.iter().map(|v| 1.0 / (v + 1e-8)).collect()).collect();
    for case in CASES {
        let plane = |b: usize| match case.relative {
            false => Plane::plain(bands[b]),
            true => Plane {
                values: bands[b],
                factor: Some(Term::PerPixel(&factors[b])),
                tolerance: Some(Tolerance::Below(Term::Constant(deviation(bands[b]) / 2.0))),
            },
        };
        // red, near infrared and one more, or all
        let first = BANDS - case.bands;
        let planes = Planes { rows: side, cols: side, compared: (first..BANDS).map(plane).collect(), required: Vec::new() };
        let samples = window_samples(side, case.window);
        for &path in Path::ALL.iter().filter(|p| p.is_available()) {
            let search = case.search(path);
            let weights = search.window().table(|d| (1.0 / (1.0 + d / (case.window / 2) as f64)) as f32);
            let steps = search.window().steps(side);
            let (sum, seconds) = fastest(repeat, || {
                let mut sum = 0.0;
                let mut means = [0.0; BANDS];
                search.each(&planes, Region::whole(side, side), &Cancel::new(), |chosen| {
                    for (col, samples) in chosen.iter() {
                        let at = chosen.row * side + col;
                        weighted_means(samples, at, &steps, |s| weights[s.position()], &bands, &mut means);
                        sum += means[0];
                    }
                })?;
                Ok::<f32, Failure>(sum)
            })?;
            std::hint::black_box(sum);
            let ns = seconds.cpu * 1e9 / samples;
            section.row(json!({
                "search": case.name,
                "bands": case.bands,
                "window": case.window,
                "chosen": case.most,
                "path": path.id(),
                "cpu": seconds.cpu,
                "ns_per_sample": ns,
                "operations": case.operations(),
                "of_peak": case.operations() / ns / multiply_add_gflops(path),
            }));
        }
    }
    section.remark("Weighted means of six planes over the chosen pixels are included. of_peak: operations needed in ns_per_sample over the multiply-add peak of the path.");
    Ok(section)
}

fn deviation(values: &[f32]) -> f32 {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
}
