//! Ctrl-C, termination and kill in the middle of a run.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::place::*;

/// A folder whose job takes long enough to be interrupted, and the job running in it.
fn running(place: &Place) -> Child {
    Raster { rows: 2400, cols: 2400, ..fine() }.write(&place.path("f1.tif"));
    for (name, value) in [("c1.tif", first_day as fn(usize, f64, f64) -> f64), ("c2.tif", second_day)] {
        Raster { rows: 160, cols: 160, ..coarse(value) }.write(&place.path(name));
    }
    let before = place.names();
    let mut command = place.command();
    command.args(["fuse", "--method", "starfm", "-p", "window=301"]).args(IMAGES).args(["-o", "out.tif", "--support", "s.tif"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while place.names() == before {
        assert!(start.elapsed() < Duration::from_secs(60), "no temporary file appeared");
        if child.try_wait().unwrap().is_some() {
            panic!("{:?}", Run::from(child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    child
}

fn send(child: &Child, signal: i32) {
    // SAFETY: a signal to a child of our own that has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let place = Place::new();
        let before = place.names();
        let child = running(&place);
        send(&child, signal);
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.code, Some(code), "{run:?}");
        assert_eq!(run.stdout, "");
        assert_eq!(run.stderr.lines().last(), Some("stfusion: interrupted; no output was written"));
        assert!(!run.stderr.contains("error"), "{run:?}");
        assert_eq!(place.names(), before);
    }
}

#[test]
fn a_killed_run_leaves_no_output_and_the_next_one_succeeds() {
    let place = Place::new();
    let mut child = running(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!["out.tif", "out.tif.stf", "s.tif"].iter().any(|name| place.path(name).exists()), "{:?}", place.names());
    place.fuse(&["-o", "out.tif", "--support", "s.tif"]).succeeded();
    assert_eq!(stored(&place.path("out.tif"), 1).len(), 2400 * 2400);
}
