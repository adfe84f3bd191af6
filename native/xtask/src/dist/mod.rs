//! The source distribution: a tarball that builds without a network.
//!
//! ```text
//! git archive HEAD ─┐
//! cargo vendor ─────┼──> stfusion-VERSION/ ──tar, xz──> stfusion-VERSION.tar.xz, .sha256
//! notices ──────────┘
//! ```
//!
//! The *notices* are what must travel with the binaries: the licence texts of the crates linked into them and a bill of
//! materials. They come from the vendored sources, read without a registry, so a tarball that lacks a crate is not made.
//! The same commit gives the same bytes: names are sorted, times are the commit's, owners and modes are fixed.

mod crates;
mod licences;
mod sbom;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crates::Crates;

/// File names of the notices, at the top of the tarball and in the documentation folder of an installation.
const LICENCES: &str = "THIRD-PARTY-LICENSES";
const SBOM: &str = "stfusion.cdx.json";

const VENDORED: &str = "
[source.crates-io]
replace-with = \"vendored-sources\"

[source.vendored-sources]
directory = \"vendor\"
";

/// Packs HEAD of the checkout `root` with every crate it needs into `folder`; returns the path of the tarball.
///
/// # Errors
/// When `root` is not a git checkout, a crate cannot be had or its licence is not allowed, or git, cargo, tar or xz fails.
pub fn tarball(root: &Path, folder: &Path) -> Result<PathBuf> {
    let folder = made(folder)?;
    let time = commit_time(root, "%s")?;
    let name = format!("stfusion-{}", env!("CARGO_PKG_VERSION"));
    let work = tempfile::tempdir_in(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let (tree, tar) = (work.path().join(&name), work.path().join("archive.tar"));

    let head = work.path().join("head.tar");
    run(Command::new("git")
        .current_dir(root)
        .args(["archive", "--format=tar", "-o"])
        .arg(&head)
        .arg(format!("--prefix={name}/"))
        .arg("HEAD"))?;
    run(Command::new("tar").current_dir(work.path()).arg("-xf").arg(&head))?;
    run(cargo(&tree).args(["vendor", "--quiet", "--locked", "vendor"]))?;
    let config = tree.join(".cargo/config.toml");
    let text = fs::read_to_string(&config).map_err(|e| format!("{}: {e}", config.display()))?;
    written(&config, &(text + VENDORED))?;
    write_notices(&Crates::read(&tree, true)?, &tree, &commit_time(root, "%Y-%m-%dT%H:%M:%SZ")?)?;

    run(Command::new("tar")
        .args(["--sort=name", "--format=gnu", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"])
        .arg(format!("--mtime=@{time}"))
        .arg("-cf")
        .arg(&tar)
        .arg("-C")
        .arg(work.path())
        .arg(&name))?;
    // one thread: with more, the bytes depend on how the work was shared
    run(Command::new("xz").env_remove("XZ_OPT").env_remove("XZ_DEFAULTS").args(["-3", "--threads=1"]).arg(&tar))?;

    let path = folder.join(format!("{name}.tar.xz"));
    let packed = tar.with_extension("tar.xz");
    fs::rename(&packed, &path).map_err(|e| format!("{}: {e}", path.display()))?;
    let sum = run(Command::new("sha256sum").current_dir(&folder).arg(format!("{name}.tar.xz")))?;
    written(&folder.join(format!("{name}.tar.xz.sha256")), &sum)?;
    Ok(path)
}

/// Writes the notices of the checkout `root` into `folder`; returns their paths.
///
/// # Errors
/// Those of [`tarball`].
pub fn notices(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let folder = made(folder)?;
    write_notices(&Crates::read(root, false)?, &folder, &commit_time(root, "%Y-%m-%dT%H:%M:%SZ")?)
}

fn write_notices(crates: &Crates, folder: &Path, time: &str) -> Result<Vec<PathBuf>> {
    licences::check(crates)?;
    let files = [(LICENCES, licences::texts(crates)?), (SBOM, sbom::json(crates, time)?)];
    let write = |(name, text): &(&str, String)| written(&folder.join(name), text).map(|()| folder.join(name));
    files.iter().map(write).collect()
}

/// The committer's time of HEAD in UTC, in a format of strftime.
fn commit_time(root: &Path, format: &str) -> Result<String> {
    let date = format!("--date=format-local:{format}");
    let text = run(Command::new("git").current_dir(root).env("TZ", "UTC").args(["show", "-s", &date, "--format=%cd", "HEAD"]))?;
    Ok(text.trim().to_string())
}

fn made(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).and_then(|()| folder.canonicalize()).map_err(|e| format!("{}: {e}", folder.display()))
}

fn written(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// The cargo that runs this program, in `folder`, whose `.cargo/config.toml` counts.
fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    command
}

/// What a command prints, once it has succeeded.
fn run(command: &mut Command) -> Result<String> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let first = command.get_args().next().map(OsStr::to_string_lossy).unwrap_or_default().into_owned();
    let output = command.output().map_err(|e| format!("{name} cannot be run: {e}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{name} {first}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failing_command_says_is_reported() {
        let error = run(Command::new("tar").args(["-xf", "/nonexistent.tar"])).unwrap_err();
        assert!(error.starts_with("tar -xf: exit status: 2") && error.contains("nonexistent.tar"), "{error}");
        assert!(run(&mut Command::new("stfusion-none")).unwrap_err().starts_with("stfusion-none cannot be run: "));
    }

    #[test]
    fn a_folder_without_git_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = notices(folder.path(), folder.path()).unwrap_err();
        assert!(error.contains("Cargo.toml") || error.contains("git"), "{error}");
    }
}
