//! The classical methods beside the programs that people use today.
//!
//! Each row is one piece of work on the generated landscape, of the size on which the other program was timed, through the
//! engine: planning, whole-scene statistics, tiles and copies included.

use serde_json::json;
use stfusion_core::method::Scene;
use stfusion_core::param::Values;
use stfusion_engine::{fuse_scene, Context, DeviceChoice, SceneRequest};

use crate::clock::fastest;
use crate::images::{RepeatedScene, SumSink};
use crate::record::Section;
use crate::starfm::context;
use crate::Failure;

/// One piece of work.
struct Work {
    method: &'static str,
    settings: &'static [(&'static str, &'static str)],
    side: usize,
    bands: usize,
    pairs: usize,
    /// Program, and its CPU seconds for this size on one core of a 3.1 GHz AVX2 machine, where they are known.
    peer: Option<(&'static str, f64)>,
}

const WORKS: &[Work] = &[
    Work { method: "starfm", settings: &[], side: 1000, bands: 6, pairs: 1, peer: Some(("original C", 112.0)) },
    Work { method: "starfm", settings: &[], side: 1000, bands: 6, pairs: 2, peer: Some(("original C", 245.0)) },
    Work {
        method: "fitfc",
        settings: &[("window", "51"), ("neighbours", "10")],
        side: 1000,
        bands: 6,
        pairs: 1,
        peer: Some(("ImageFusion", 72.0)),
    },
    Work {
        method: "fitfc",
        settings: &[("window", "41"), ("neighbours", "20")],
        side: 480,
        bands: 3,
        pairs: 1,
        peer: Some(("author's MATLAB", 1099.0)),
    },
    Work { method: "spstfm", settings: &[], side: 400, bands: 3, pairs: 2, peer: Some(("ImageFusion", 740.0)) },
    Work { method: "spstfm", settings: &[], side: 1000, bands: 6, pairs: 2, peer: None },
    Work { method: "fsdaf", settings: &[], side: 480, bands: 3, pairs: 1, peer: Some(("author's IDL", 137.0)) },
    Work { method: "fsdaf", settings: &[], side: 1000, bands: 6, pairs: 1, peer: None },
    Work { method: "sfsdaf", settings: &[], side: 480, bands: 3, pairs: 1, peer: None },
    Work { method: "sfsdaf", settings: &[], side: 1000, bands: 6, pairs: 1, peer: None },
    Work { method: "ifsdaf", settings: &[], side: 480, bands: 3, pairs: 1, peer: None },
    Work { method: "ifsdaf", settings: &[], side: 1000, bands: 6, pairs: 1, peer: None },
    Work { method: "ubdf", settings: &[], side: 480, bands: 3, pairs: 1, peer: Some(("author's Python", 2.0)) },
    Work { method: "ubdf", settings: &[], side: 1000, bands: 6, pairs: 1, peer: None },
    Work { method: "stdfa", settings: &[], side: 480, bands: 3, pairs: 1, peer: None },
    Work { method: "stdfa", settings: &[], side: 1000, bands: 6, pairs: 1, peer: None },
    Work { method: "strum", settings: &[], side: 480, bands: 3, pairs: 1, peer: None },
    Work { method: "strum", settings: &[], side: 1000, bands: 6, pairs: 1, peer: None },
    Work { method: "obsum", settings: &[], side: 480, bands: 3, pairs: 1, peer: Some(("authors' Python", 49.0)) },
    Work { method: "obsum", settings: &[], side: 1000, bands: 6, pairs: 1, peer: None },
    Work { method: "estarfm", settings: &[], side: 1000, bands: 6, pairs: 2, peer: Some(("ImageFusion", 204.0)) },
];

fn run(work: &Work, scene: &dyn Scene, context: &Context) -> Result<f64, Failure> {
    let method = stfusion_methods::by_id(work.method)?;
    let mut values = Values::default();
    for (id, text) in work.settings {
        values.set_text(method.info().parameters, id, text)?;
    }
    let mut sink = SumSink::default();
    let request =
        SceneRequest { method, values: &values, device: &DeviceChoice::Cpu, support: false, tile_px: None, held_bytes: 0 };
    fuse_scene(&request, scene, &mut sink, context, &mut |_, _| true)?;
    Ok(sink.sum)
}

/// The table of `stfusion-bench classical`; `only` picks one method.
pub fn section(only: Option<&str>, threads: usize, repeat: usize) -> Result<Section, Failure> {
    let mut section = Section::new("classical", format!("generated images, fastest of {repeat} runs; seconds"));
    let (one, several) = (context(1)?, context(threads)?);
    for work in WORKS.iter().filter(|w| only.is_none_or(|id| id == w.method)) {
        let scene = RepeatedScene::new(work.side, work.side, work.pairs).with_bands(work.bands);
        let (_, alone) = fastest(repeat, || run(work, &scene, &one))?;
        let (_, shared) = fastest(repeat, || run(work, &scene, &several))?;
        section.row(json!({
            "method": work.method,
            "size": format!("{}x{}x{}", work.side, work.side, work.bands),
            "pairs": work.pairs,
            "cpu": alone.cpu,
            "wall": alone.wall,
            "wall_threads": shared.wall,
            "x_threads": alone.cpu / shared.wall,
            "peer": work.peer.map(|(name, _)| name),
            "peer_cpu": work.peer.map(|(_, seconds)| seconds),
            "x_peer": work.peer.map(|(_, seconds)| seconds / alone.cpu),
        }));
    }
    section.remark(format!(
        "cpu, wall: seconds with one thread of computation. wall_threads: with {threads}. x_threads: cpu over wall_threads. x_peer: CPU \
         seconds of the other program, measured elsewhere on one core of a 3.1 GHz AVX2 machine, over ours."
    ));
    Ok(section)
}
