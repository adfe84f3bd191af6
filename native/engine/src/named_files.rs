//! Files that a method's parameters name: read before it plans, written from what it hands out.
//!
//! They are plain files of the system, with or without GDAL: the memory API has them too. A written file appears under its name
//! only when it is complete.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use stfusion_core::method::Artefact;
use stfusion_core::param::{Kind, ParamSpec, Values};
use stfusion_core::{Error, ErrorKind, Result};

/// A file larger than this is refused: it is none that a method wants.
const MAX_BYTES: u64 = 2 << 30;

/// Whether a parameter names a file that is written.
pub(crate) fn is_written(spec: &ParamSpec) -> bool {
    matches!(spec.kind, Kind::File { written: true, .. })
}

/// `values` with the contents of every file that a parameter names to be read.
///
/// # Errors
/// [`ErrorKind::Read`] naming the parameter, the file and the reason.
pub fn with_contents(values: &Values, specs: &'static [ParamSpec]) -> Result<Values> {
    let mut read = values.clone();
    for (spec, file) in values.files(specs).filter(|(spec, file)| !is_written(spec) && !file.is_read()) {
        let fail = |reason: String| {
            Error::new(ErrorKind::Read, format!("{} {}: {reason}", spec.label, file.name()))
                .with_hint(format!("Give {} the name of a file that exists, or leave it out.", spec.id))
        };
        let size = std::fs::metadata(file.name()).and_then(|m| if m.is_dir() { Err(is_folder()) } else { Ok(m.len()) });
        let size = size.map_err(|e| fail(reason(&e)))?;
        if size > MAX_BYTES {
            return Err(fail(format!("{} MiB, expected at most {} MiB", size >> 20, MAX_BYTES >> 20)));
        }
        read.attach(spec.id, std::fs::read(file.name()).map_err(|e| fail(reason(&e)))?);
    }
    Ok(read)
}

fn is_folder() -> std::io::Error {
    std::io::Error::other("is a folder")
}

/// The system's reason without its number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}

/// Fails when a file that a parameter names to be written could not be: before any work.
///
/// # Errors
/// [`ErrorKind::Exists`] when it exists and `overwrite` is false; [`ErrorKind::Write`] when its folder is missing or it is a
/// folder itself; [`ErrorKind::Job`] when it is also to be read, or two parameters name it.
pub fn check_written(values: &Values, specs: &'static [ParamSpec], overwrite: bool) -> Result<()> {
    for (spec, file) in values.files(specs).filter(|(spec, _)| is_written(spec)) {
        let path = Path::new(file.name());
        let fail = |kind, reason: String, hint: String| {
            Err(Error::new(kind, format!("{} {}: {reason}", spec.label, file.name())).with_hint(hint))
        };
        let same = |other: &str| {
            other == file.name() || path.canonicalize().is_ok_and(|p| Path::new(other).canonicalize().is_ok_and(|o| o == p))
        };
        if let Some((other, _)) = values.files(specs).find(|(other, f)| other.id != spec.id && same(f.name())) {
            return fail(ErrorKind::Job, format!("is also {}", other.id), format!("Give {} a name of its own.", spec.id));
        }
        if path.is_dir() {
            return fail(ErrorKind::Write, "is a folder".into(), "Name a file in that folder.".into());
        }
        let folder = folder_of(path);
        if !folder.is_dir() {
            let reason = format!("the folder {} does not exist", folder.display());
            return fail(ErrorKind::Write, reason, "Create the folder, or choose another one.".into());
        }
        if !overwrite && path.exists() {
            let hint = "Choose another name, or ask to overwrite it (--overwrite on the command line, \"overwrite\": true in the job's output).";
            return fail(ErrorKind::Exists, "exists".into(), hint.into());
        }
    }
    Ok(())
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
}

/// A file that is complete under a hidden name beside its own; removed unless it is published.
#[derive(Debug)]
pub struct Pending {
    temporary: PathBuf,
    path: PathBuf,
    label: &'static str,
}

impl Pending {
    /// Writes a file under a hidden name beside `path`; messages call it `label`.
    ///
    /// # Errors
    /// [`ErrorKind::Write`] naming the file and the reason.
    pub(crate) fn write(path: &Path, label: &'static str, contents: &[u8]) -> Result<Pending> {
        Pending::made(path, label, |temporary| std::fs::write(temporary, contents).map_err(|e| write_error(label, path, &e)))
    }

    /// As [`Pending::write`], by a function that makes the file of the hidden name.
    ///
    /// # Errors
    /// Those of the function.
    pub(crate) fn made(path: &Path, label: &'static str, make: impl FnOnce(&Path) -> Result<()>) -> Result<Pending> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let own = path.file_name().unwrap_or_default().to_string_lossy();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = folder_of(path).join(format!(".{own}.{}-{number}.tmp", std::process::id()));
        let pending = Pending { temporary, path: path.to_path_buf(), label };
        make(&pending.temporary)?;
        Ok(pending)
    }

    /// Its name, once it is published.
    pub fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Gives it its name, replacing an existing file.
    ///
    /// # Errors
    /// [`ErrorKind::Write`] naming the file and the reason.
    pub fn publish(self) -> Result<()> {
        std::fs::rename(&self.temporary, &self.path).map_err(|e| write_error(self.label, &self.path, &e))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // gone when it was published
        let _ = std::fs::remove_file(&self.temporary);
    }
}

fn write_error(label: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Write, format!("{label} {}: {}", path.display(), reason(error)))
        .with_hint("Check the free space and the permissions of the folder.")
}

/// Writes what a method handed out for the files that the job names, each under a hidden name beside its own.
///
/// # Errors
/// [`ErrorKind::Write`] naming the file and the reason; an internal error when the method handed nothing out for a file.
pub fn write_artefacts(values: &Values, specs: &'static [ParamSpec], artefacts: &[Artefact]) -> Result<Vec<Pending>> {
    let mut all = Vec::new();
    for (spec, file) in values.files(specs).filter(|(spec, _)| is_written(spec)) {
        let artefact = artefacts
            .iter()
            .find(|a| a.parameter == spec.id)
            .ok_or_else(|| Error::internal(format!("the method has nothing for {}", spec.id)))?;
        all.push(Pending::write(Path::new(file.name()), spec.label, &artefact.contents)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    stfusion_core::params! {
        /// Files.
        struct Named {
            given: file { label: "Given", help: "Read this." },
            kept: new_file { label: "Kept", help: "Write this." },
        }
    }

    fn values(given: &Path, kept: &Path) -> Values {
        let mut values = Values::default();
        values.set_text(Named::SPECS, "given", &given.to_string_lossy()).unwrap();
        values.set_text(Named::SPECS, "kept", &kept.to_string_lossy()).unwrap();
        values
    }

    #[test]
    fn contents_are_read_and_missing_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (given, kept) = (folder.path().join("given.bin"), folder.path().join("kept.bin"));
        let error = with_contents(&values(&given, &kept), Named::SPECS).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Read);
        assert_eq!(error.message(), format!("Given {}: No such file or directory", given.display()));
        let error = with_contents(&values(folder.path(), &kept), Named::SPECS).unwrap_err();
        assert!(error.message().ends_with(": is a folder"), "{error}");
        std::fs::write(&given, [7, 8, 9]).unwrap();
        let read = with_contents(&values(&given, &kept), Named::SPECS).unwrap();
        assert_eq!(Named::from_values(&read).unwrap().given.unwrap().contents().unwrap(), [7, 8, 9]);
        // the contents stay those of the first reading
        std::fs::remove_file(&given).unwrap();
        assert_eq!(with_contents(&read, Named::SPECS).unwrap(), read);
    }

    #[test]
    fn a_file_appears_only_when_it_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept.bin");
        let values = values(&folder.path().join("given.bin"), &kept);
        let artefacts = [Artefact { parameter: "kept", contents: vec![1, 2, 3] }];
        drop(write_artefacts(&values, Named::SPECS, &artefacts).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "an unpublished file stays");
        for pending in write_artefacts(&values, Named::SPECS, &artefacts).unwrap() {
            assert!(!kept.exists());
            assert_eq!(pending.name(), kept.to_string_lossy());
            pending.publish().unwrap();
        }
        assert_eq!(std::fs::read(&kept).unwrap(), [1, 2, 3]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(write_artefacts(&values, Named::SPECS, &[]).unwrap_err().kind(), ErrorKind::Internal);
    }

    #[test]
    fn what_could_not_be_written_is_refused_before_any_work() {
        let folder = tempfile::tempdir().unwrap();
        let (given, kept) = (folder.path().join("given.bin"), folder.path().join("kept.bin"));
        std::fs::write(&given, [0]).unwrap();
        let refused = |kept: &Path, overwrite| check_written(&values(&given, kept), Named::SPECS, overwrite).unwrap_err();
        check_written(&values(&given, &kept), Named::SPECS, false).unwrap();
        std::fs::write(&kept, [0]).unwrap();
        let error = refused(&kept, false);
        assert_eq!((error.kind(), error.message().ends_with("kept.bin: exists")), (ErrorKind::Exists, true), "{error}");
        check_written(&values(&given, &kept), Named::SPECS, true).unwrap();
        assert!(refused(&given, true).message().ends_with("given.bin: is also given"));
        assert!(refused(&folder.path().join("./given.bin"), true).message().ends_with("is also given"));
        assert!(refused(folder.path(), true).message().ends_with("is a folder"));
        assert!(refused(&folder.path().join("no/kept.bin"), true).message().ends_with("no does not exist"));
    }
}
