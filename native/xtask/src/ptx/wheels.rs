//! The pinned compiler and assembler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// Packages that hold NVRTC and ptxas. NVRTC 12.0 writes PTX 8.0, which drivers from 525 on understand.
pub const PINNED: &[&str] = &["nvidia-cuda-nvrtc-cu12==12.0.140", "nvidia-cuda-nvcc-cu12==12.0.140"];

/// Where the two lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// The compiler's library.
    pub nvrtc: PathBuf,
    /// The assembler.
    pub ptxas: PathBuf,
}

/// The tools in `folder`, fetched by `pip` if they are not there.
///
/// # Errors
/// What `pip` says, such as that it cannot reach its index.
pub fn fetch(folder: &Path) -> Result<Tools> {
    let tools =
        Tools { nvrtc: folder.join("nvidia/cuda_nvrtc/lib/libnvrtc.so.12"), ptxas: folder.join("nvidia/cuda_nvcc/bin/ptxas") };
    if tools.nvrtc.exists() && tools.ptxas.exists() {
        return Ok(tools);
    }
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let partial = tempfile::tempdir_in(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check", "--dest"])
        .arg(partial.path())
        .args(PINNED)
        .output()
        .map_err(|e| format!("python3: {e}"))?;
    if !output.status.success() {
        return Err(format!("pip cannot fetch {}: {}", PINNED.join(" and "), String::from_utf8_lossy(&output.stderr).trim()));
    }
    for entry in fs::read_dir(partial.path()).map_err(|e| format!("{}: {e}", partial.path().display()))?.flatten() {
        let unpacked = Command::new("python3").args(["-m", "zipfile", "-e"]).arg(entry.path()).arg(folder).status();
        if !unpacked.is_ok_and(|status| status.success()) {
            return Err(format!("{}: cannot be unpacked", entry.path().display()));
        }
    }
    make_executable(&tools.ptxas)?;
    Ok(tools)
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<()> {
    Ok(())
}
