//! Names of outputs: what must hold before any work, and small text files beside them.
//!
//! Everything is written under a hidden temporary name in the target's folder and renamed when complete. Names that start
//! with `/vsi` are GDAL's virtual file systems; all names go through GDAL's file functions, which know both.

use std::ffi::{CString, OsStr};
use std::sync::atomic::{AtomicUsize, Ordering};

use stfusion_core::{Error, ErrorKind, Result};

use crate::errors::Capture;

/// File systems that can be read but not written block by block.
const SEQUENTIAL: &[&str] =
    &["/vsizip/", "/vsitar/", "/vsigzip/", "/vsi7z/", "/vsirar/", "/vsicurl/", "/vsistdin/", "/vsistdout/", "/vsisubfile/"];

/// Fails when an output could not be written: before any work.
///
/// The folder's permission is tested by creating and removing an empty hidden file in it.
///
/// # Errors
/// [`ErrorKind::Exists`] when it exists and `overwrite` is false; [`ErrorKind::Write`] when its folder is missing or not
/// writable, it is a folder itself, or its file system cannot be written in place.
pub fn check_output(path: &str, overwrite: bool) -> Result<()> {
    let fail = |text: String, hint: &str| Err(Error::new(ErrorKind::Write, format!("{path}: {text}")).with_hint(hint));
    if path.trim().is_empty() {
        return Err(Error::new(ErrorKind::Write, "The output has no name").with_hint("Give the output a file name."));
    }
    if path.contains('\0') {
        return fail("the name holds a NUL character".into(), "Give the output another name.");
    }
    if let Some(prefix) = SEQUENTIAL.iter().find(|p| path.starts_with(**p)) {
        return fail(
            format!("{prefix} cannot be written in place"),
            "Write to a file or /vsimem/ first, then copy it there with your archive or upload tool.",
        );
    }
    if !is_virtual(path) {
        if std::fs::metadata(path).is_ok_and(|m| m.is_dir()) {
            return fail("is a folder".into(), "Name a file in that folder, for example prediction.tif.");
        }
        let folder = folder_of(path);
        match std::fs::metadata(folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return fail(format!("the folder {folder} does not exist"), "Create the folder, or choose another one.");
            }
            Err(e) => return fail(format!("the folder {folder} cannot be used: {}", plain(&e)), "Choose another folder."),
            Ok(m) if !m.is_dir() => return fail(format!("{folder} is not a folder"), "Choose a folder that exists."),
            Ok(_) => {}
        }
    }
    if !overwrite && exists(path) {
        return Err(Error::new(ErrorKind::Exists, format!("{path} exists")).with_hint(
            "Choose another name, or ask to overwrite it (--overwrite on the command line, \"overwrite\": true in the job's output).",
        ));
    }
    if !is_virtual(path) {
        let probe = temporary_beside(path, "probe");
        let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe);
        if let Err(e) = made {
            return fail(
                format!("nothing can be written in the folder {}: {}", folder_of(path), plain(&e)),
                "Choose a folder you may write to, or have its permissions or its disk changed.",
            );
        }
        let _ = std::fs::remove_file(&probe);
    }
    Ok(())
}

/// Fails when an output would replace one of the inputs.
///
/// # Errors
/// [`ErrorKind::Write`] naming both.
pub fn check_output_is_no_input<'a>(path: &str, inputs: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let real = |name: &str| std::fs::canonicalize(name).ok();
    let output = real(path);
    for input in inputs {
        if input == path || output.is_some() && output == real(input) {
            return Err(Error::new(ErrorKind::Write, format!("{path} is an input of this job ({input}) and would be replaced"))
                .with_hint("Give the output another name."));
        }
    }
    Ok(())
}

/// Writes a text file through a temporary beside it, replacing an existing one.
///
/// # Errors
/// [`ErrorKind::Write`] naming the file and the reason.
pub fn write_text(path: &str, text: &str) -> Result<()> {
    check_output(path, true)?;
    let capture = Capture::start();
    let temporary = temporary_beside(path, "tmp");
    let written = write_bytes(&temporary, text.as_bytes());
    if !written {
        unlink(&temporary);
        return Err(write_error(path, &capture.text().unwrap_or_else(last_os_reason)));
    }
    rename(&temporary, path).inspect_err(|_| unlink(&temporary))
}

/// Reads a text file of at most `max_bytes` bytes; its name may belong to one of GDAL's virtual file systems.
///
/// # Errors
/// [`ErrorKind::Read`] naming the file and the reason.
pub fn read_text(path: &str, max_bytes: usize) -> Result<String> {
    let fail = |reason: &str, hint: &str| Error::new(ErrorKind::Read, format!("{path}: {reason}")).with_hint(hint);
    let name = CString::new(path).map_err(|_| fail("the name holds a NUL character", "Give another name."))?;
    if !exists(path) {
        return Err(fail("no such file", "Check the name."));
    }
    let capture = Capture::start();
    let (mut bytes, mut length) = (std::ptr::null_mut(), 0);
    let max = i64::try_from(max_bytes).unwrap_or(i64::MAX);
    // SAFETY: the name ends in NUL; GDAL allocates the bytes, which are copied and freed here.
    let read = unsafe {
        if gdal_sys::VSIIngestFile(std::ptr::null_mut(), name.as_ptr(), &raw mut bytes, &raw mut length, max) == 0 {
            None
        } else {
            let copy = std::slice::from_raw_parts(bytes, usize::try_from(length).unwrap_or(0)).to_vec();
            gdal_sys::VSIFree(bytes.cast());
            Some(copy)
        }
    };
    let read =
        read.ok_or_else(|| fail(&format!("cannot be read: {}", capture.reason()), "Check the file and its permissions."))?;
    String::from_utf8(read).map_err(|_| fail("is not UTF-8 text", "Check that this is the right file."))
}

fn write_bytes(name: &str, bytes: &[u8]) -> bool {
    let Ok(c_name) = CString::new(name) else { return false };
    // SAFETY: the name ends in NUL; the buffer is as long as said; the file is closed exactly once.
    unsafe {
        let file = gdal_sys::VSIFOpenExL(c_name.as_ptr(), c"wb".as_ptr(), 1);
        if file.is_null() {
            return false;
        }
        let written = bytes.is_empty() || gdal_sys::VSIFWriteL(bytes.as_ptr().cast(), 1, bytes.len(), file) == bytes.len();
        let closed = gdal_sys::VSIFCloseL(file) == 0;
        written && closed
    }
}

/// Whether a name belongs to one of GDAL's virtual file systems.
pub(crate) fn is_virtual(path: &str) -> bool {
    path.starts_with("/vsi")
}

/// Whether a file of that name exists, on disk or in a virtual file system.
pub(crate) fn exists(path: &str) -> bool {
    let Ok(name) = CString::new(path) else { return false };
    let _capture = Capture::start();
    // Larger than the `stat` structure of any platform, whose layout the bindings leave open.
    let mut stat = [0u64; 64];
    // SAFETY: the name ends in NUL and the buffer holds at least a `stat` structure.
    unsafe { gdal_sys::VSIStatExL(name.as_ptr(), stat.as_mut_ptr().cast(), 0) == 0 }
}

/// Removes a file if it exists.
pub(crate) fn unlink(path: &str) {
    if let Ok(name) = CString::new(path) {
        let _capture = Capture::start();
        // SAFETY: the name ends in NUL.
        unsafe { gdal_sys::VSIUnlink(name.as_ptr()) };
    }
}

/// Gives a complete temporary its final name.
pub(crate) fn rename(from: &str, to: &str) -> Result<()> {
    let renamed = if is_virtual(to) {
        let capture = Capture::start();
        let (Ok(from), Ok(to)) = (CString::new(from), CString::new(to)) else {
            return Err(Error::internal("a NUL character in an output's name"));
        };
        // SAFETY: both names end in NUL.
        if unsafe { gdal_sys::VSIRename(from.as_ptr(), to.as_ptr()) } == 0 {
            Ok(())
        } else {
            Err(capture.reason())
        }
    } else {
        std::fs::rename(from, to).map_err(|e| plain(&e))
    };
    renamed.map_err(|reason| write_error(to, &format!("the complete file cannot be given its name: {reason}")))
}

/// A hidden name in the folder of `path`, unique in this process and unlike that of any other process.
pub(crate) fn temporary_beside(path: &str, extension: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let (folder, name) = path.split_at(file_name_start(path));
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{folder}.{name}.stfusion-{}-{number}.{extension}", std::process::id())
}

fn file_name_start(path: &str) -> usize {
    let is_separator = |c: char| c == '/' || c == std::path::MAIN_SEPARATOR;
    path.rfind(is_separator).map_or(0, |i| i + 1)
}

/// The folder of a name, `.` when it has none.
pub(crate) fn folder_of(path: &str) -> &str {
    match &path[..file_name_start(path)] {
        "" => ".",
        "/" => "/",
        folder => &folder[..folder.len() - 1],
    }
}

/// An operating system's reason without its number.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}

fn last_os_reason() -> String {
    plain(&std::io::Error::last_os_error())
}

/// The error of a file that cannot be written, with the room left on its disk.
pub(crate) fn write_error(path: &str, reason: &str) -> Error {
    let error = Error::new(ErrorKind::Write, format!("{path}: cannot be written: {reason}"));
    if is_virtual(path) {
        return error.with_hint("Check the virtual file system, or write to a file.");
    }
    let folder = folder_of(path);
    match free_bytes(OsStr::new(folder)) {
        Some(bytes) => error.with_hint(format!(
            "{:.1} MiB are free in {folder}: make room, choose a folder on another disk, or check its quota and permissions.",
            bytes as f64 / (1024.0 * 1024.0)
        )),
        None => error.with_hint("Check the folder and the room on its disk, or choose another one."),
    }
}

#[cfg(unix)]
fn free_bytes(folder: &OsStr) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let name = CString::new(folder.as_bytes()).ok()?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the name ends in NUL; the structure is read only when the call has filled it.
    unsafe {
        if libc::statvfs(name.as_ptr(), stat.as_mut_ptr()) != 0 {
            return None;
        }
        let stat = stat.assume_init();
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[cfg(not(unix))]
fn free_bytes(_folder: &OsStr) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporaries_lie_hidden_beside_their_target() {
        let name = temporary_beside("/a/b/out.tif", "tmp.tif");
        assert!(name.starts_with("/a/b/.out.tif.stfusion-") && name.ends_with(".tmp.tif"), "{name}");
        assert!(temporary_beside("out.tif", "tmp").starts_with(".out.tif.stfusion-"));
        assert_ne!(temporary_beside("out.tif", "tmp"), temporary_beside("out.tif", "tmp"));
        assert_eq!((folder_of("out.tif"), folder_of("/out.tif"), folder_of("/a/b/c.tif")), (".", "/", "/a/b"));
    }
}
