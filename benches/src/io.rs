//! A job from files to files beside the same computation on images in memory: what is left of reading and writing.

use serde_json::json;

use crate::clock::fastest;
use crate::files::{Files, Run};
use crate::images::RepeatedScene;
use crate::memory::{run_in_child, workplace, Usage};
use crate::record::Section;
use crate::starfm::{context, predict};
use crate::Failure;

/// Memory budget of the job and of the computation in memory.
const MIB: usize = 4096;

/// The table of `stfusion-bench io`.
pub fn section(run: &Run, side: usize, repeat: usize, folder: Option<&str>) -> Result<Section, Failure> {
    let (folder, _guard) = workplace(folder)?;
    let files = Files::write(&folder, side)?;
    let output = folder.join("prediction.tif").to_string_lossy().into_owned();
    let job = folder.join("io.stf");
    std::fs::write(&job, files.job(run, &output, MIB).to_string())?;

    let context = context(run.threads)?;
    let scene = RepeatedScene::new(side, side, 1);
    let mut best: Option<Usage> = None;
    let mut memory: Option<crate::clock::Seconds> = None;
    for _ in 0..repeat.max(1) {
        let (_, seconds) = fastest(1, || predict(&scene, &run.method, run.window, &context))?;
        memory = Some(memory.map_or(seconds, |m| m.fastest(seconds)));
        let usage = run_in_child(&job)?;
        best = Some(best.filter(|b| b.wall <= usage.wall).unwrap_or(usage));
    }
    let mut section = Section::new("io", format!("{}, fastest of {repeat} alternating runs; seconds", run.describe(side)));
    if let (Some(file), Some(memory)) = (best, memory) {
        section.row(json!({ "what": "in memory", "wall": memory.wall, "cpu": memory.cpu }));
        section.row(json!({
            "what": "files to file",
            "wall": file.wall,
            "cpu": file.cpu,
            "wall_of_memory": file.wall / memory.wall,
            "wall_of_cpu": file.wall * run.threads as f64 / file.cpu,
        }));
    }
    section.remark(
        "wall_of_memory: wall-clock time over that of the same computation in memory. wall_of_cpu: wall-clock time over the CPU \
         seconds of the job, reading, warping, compressing and writing included, divided by the threads; 1 leaves no thread idle.",
    );
    std::fs::remove_file(&output)?;
    Ok(section)
}
