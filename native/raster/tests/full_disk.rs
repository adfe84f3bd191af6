//! A disk that fills up. A limit on the size of files stands in for it: writes beyond it fail in the same calls. The limit
//! is the whole process's, so this file holds one test.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it unwraps")]
#![cfg(unix)]

mod common;

use common::{failure, listing};
use ndarray::Array3;
use stfusion_core::source::{Format, OutputOptions};
use stfusion_core::{ErrorKind, Grid, Region};
use stfusion_raster::{write_text, OutputSpec, Writer};
use tempfile::tempdir;

fn limit_file_size(bytes: u64) {
    // SAFETY: plain calls with initialised arguments; an ignored signal makes the write fail instead.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
}

#[test]
fn a_full_disk_is_reported_wherever_it_strikes_and_nothing_is_left() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("out.tif").to_str().unwrap().to_string();
    let side = 700;
    // Noise, so that every block takes room.
    let image =
        Array3::from_shape_fn((2, side, side), |(b, r, c)| ((b * 7919 + r * 104_729 + c * 1_299_709) % 65_521) as f32 * 0.731);
    for format in [Format::GTiff, Format::Cog] {
        let options = OutputOptions { format: Some(format), ..OutputOptions::default() };
        let write = |threads: usize| -> stfusion_core::Result<()> {
            let mut spec = OutputSpec::support(&Grid::pixels(side, side), &["a", "b"], &options);
            spec.threads = threads;
            let mut writer = Writer::create(&path, &spec)?;
            writer.write(Region::whole(side, side), image.view())?;
            writer.finish(&mut |_| true)
        };
        write(1).unwrap();
        let size = std::fs::metadata(&path).unwrap().len();
        std::fs::remove_file(&path).unwrap();
        // From the header over the middle to the last bytes.
        for limit in [0, 100, 5000, size / 3, size / 2, size * 9 / 10, size - 4096, size - 1000, size - 1] {
            for threads in [1, 2] {
                limit_file_size(limit);
                let result = write(threads);
                limit_file_size(libc::RLIM_INFINITY);
                let error = result.expect_err("the file cannot be complete");
                assert_eq!(error.kind(), ErrorKind::Write, "{format:?} {limit} of {size}: {error}");
                assert!(error.message().contains("out.tif: cannot be written: "), "{error}");
                assert!(error.hint().unwrap().contains("MiB are free in"), "{:?}", error.hint());
                assert!(listing(folder.path()).is_empty(), "{format:?} {limit}: {:?}", listing(folder.path()));
            }
        }
        limit_file_size(100_000_000);
        write(2).unwrap();
        limit_file_size(libc::RLIM_INFINITY);
        std::fs::remove_file(&path).unwrap();
    }
    limit_file_size(10);
    let result = write_text(&path, &"long".repeat(100));
    limit_file_size(libc::RLIM_INFINITY);
    assert!(failure(result).0.contains("out.tif: cannot be written"));
    assert!(listing(folder.path()).is_empty());
}
