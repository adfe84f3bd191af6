//! Peak memory of a whole job from files to files, as the system counts it for a process of its own.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::json;
use stfusion_engine::{fuse, Context, ContextOptions, Job};

use crate::files::{Files, Run};
use crate::record::Section;
use crate::Failure;

/// What the system says of a process that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Wall-clock seconds.
    pub wall: f64,
    /// CPU seconds.
    pub cpu: f64,
    /// Largest resident set in MiB.
    pub peak_mib: f64,
}

/// Runs this program as `stfusion-bench run-job <job>` and waits for it.
pub fn run_in_child(job: &Path) -> Result<Usage, Failure> {
    let start = Instant::now();
    let child = Command::new(std::env::current_exe()?).arg("run-job").arg(job).spawn()?;
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the child is ours and nobody else waits for it; both pointers are to values of this function.
    let waited = unsafe { libc::wait4(child.id() as libc::pid_t, &mut status, 0, &mut usage) };
    if waited < 0 || status != 0 {
        return Err(format!("the job {} failed", job.display()).into());
    }
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    Ok(Usage {
        wall: start.elapsed().as_secs_f64(),
        cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak_mib: usage.ru_maxrss as f64 / 1024.0,
    })
}

/// Runs a job file as a program of its own does.
pub fn run_job(path: &str) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let job = Job::from_json(&text, Path::new(path).parent())?;
    let context = Context::new(ContextOptions { limit_gdal_cache: true, ..ContextOptions::default() })?;
    fuse(&job, &context, &mut |_, _| true)?;
    Ok(())
}

/// The folder to work in: the one named, created if missing, or a temporary one that vanishes with the guard.
pub fn workplace(folder: Option<&str>) -> Result<(std::path::PathBuf, Option<tempfile::TempDir>), Failure> {
    match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            Ok((std::fs::canonicalize(folder)?, None))
        }
        None => {
            let temporary = tempfile::tempdir()?;
            Ok((temporary.path().into(), Some(temporary)))
        }
    }
}

/// The table of `stfusion-bench memory`.
pub fn section(run: &Run, side: usize, mib: usize, folder: Option<&str>) -> Result<Section, Failure> {
    let (folder, _guard) = workplace(folder)?;
    let files = Files::write(&folder, side)?;
    let output = folder.join("prediction.tif").to_string_lossy().into_owned();
    let job = folder.join("memory.stf");
    std::fs::write(&job, files.job(run, &output, mib).to_string())?;
    let usage = run_in_child(&job)?;
    let mut section = Section::new("memory", format!("files to file, {}; seconds", run.describe(side)));
    section.row(json!({
        "budget_MiB": mib,
        "peak_MiB": usage.peak_mib,
        "of_budget": usage.peak_mib / mib as f64,
        "cpu": usage.cpu,
        "wall": usage.wall,
    }));
    section.remark("peak_MiB: largest resident set of the process, libraries and GDAL's cache included.");
    std::fs::remove_file(&output)?;
    Ok(section)
}
