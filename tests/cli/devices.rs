//! GPUs: listed, chosen and refused, over the mock driver of `tests/cuda`.

use std::process::Command;

use stfusion_methods::networks::cases;
use stfusion_mock_cuda::{folder, SETTINGS};

use crate::place::*;

/// The command on a machine with the mock driver.
fn mocked(place: &Place, settings: &str) -> Command {
    let mut command = place.command();
    let others = std::env::var("LD_LIBRARY_PATH").map(|path| format!(":{path}")).unwrap_or_default();
    command
        .env("LD_LIBRARY_PATH", format!("{}{others}", folder().display()))
        .env(SETTINGS, settings)
        .env_remove("STFUSION_DEVICE");
    command
}

fn run(mut command: Command, args: &[&str]) -> Run {
    command.args(args).output().unwrap().into()
}

fn fuse(place: &Place, settings: &str, more: &[&str]) -> Run {
    run(mocked(place, settings), &[&["fuse", "--method", "coarse_increment", "-o", "out.tif"], IMAGES, more].concat())
}

/// As [`fuse`] with a network, which has no GPU version; `more` may set variables too.
fn fuse_without_gpu(place: &Place, variables: &[(&str, &str)], more: &[&str]) -> Run {
    std::fs::write(place.path("w.safetensors"), cases::weights("edcstfn").unwrap()).unwrap();
    let mut command = mocked(place, "");
    command.envs(variables.iter().copied());
    let method = ["fuse", "--method", "edcstfn", "--weights", "w.safetensors", "--overwrite", "-o", "out.tif"];
    run(command, &[&method[..], IMAGES, more].concat())
}

#[test]
fn devices_are_listed_or_what_is_missing_is_said() {
    let place = Place::new();
    let list = |settings: &str| run(mocked(&place, settings), &["devices"]).succeeded().stdout;
    let two = list("devices=2 name=NVIDIA+H100 capability=90 memory=85899345920");
    assert!(
        two.starts_with("cpu: ") && two.contains(" threads\ncuda:0: NVIDIA H100, 80.0 GiB, compute capability 9.0, "),
        "{two}"
    );
    assert!(two.contains("\ncuda:1: NVIDIA H100") && !two.contains("no GPU"), "{two}");
    assert!(
        list("capability=61").contains("cuda:0: Mock GPU cannot be used: it has compute capability 6.1"),
        "{}",
        list("capability=61")
    );
    let none = list("devices=0");
    assert!(none.contains("\nno GPU: NVIDIA's driver found no GPU\n  Check that nvidia-smi"), "{none}");
    let old = list("version=11040");
    assert!(old.contains("no GPU: NVIDIA's driver is too old: it knows CUDA 11.4, and 12.0 is needed\n  Update"), "{old}");

    let json = run(mocked(&place, "devices=1 capability=75"), &["devices", "--json"]).succeeded().json();
    assert_eq!((&json["devices"][0]["id"], &json["devices"][1]["id"]), (&"cpu".into(), &"cuda:0".into()));
    assert_eq!((&json["devices"][1]["compute_capability"], &json["gpu"]), (&"7.5".into(), &serde_json::Value::Null));
    let check = run(mocked(&place, ""), &["check"]).succeeded().stdout;
    assert!(check.contains(", cuda:0 Mock GPU\n"), "{check}");
}

#[test]
fn without_a_driver_the_processor_computes_and_a_gpu_that_was_asked_for_is_an_error() {
    let place = Place::new();
    let devices = place.run(&["devices"]).succeeded().stdout;
    if !devices.contains("no GPU: ") {
        println!("SKIP without_a_driver_the_processor_computes_and_a_gpu_that_was_asked_for_is_an_error: a driver is installed");
        return;
    }
    assert!(
        devices.contains("no GPU: NVIDIA's driver is not installed (libcuda was not found)\n  Install NVIDIA's driver"),
        "{devices}"
    );
    let before = place.names();
    place.fuse(&["-o", "out.tif", "--device", "cuda"]).refused(
        1,
        &["Device cuda was asked for, but NVIDIA's driver is not installed"],
        "Install NVIDIA's driver (version 525 or newer)",
    );
    assert_eq!(place.names(), before);
    let auto = place.fuse(&["-o", "out.tif", "--json"]).succeeded();
    assert_eq!(auto.json()["device"], "cpu");
    let check = place.run(&["check"]).succeeded().stdout;
    assert!(check.contains("\ngpu: NVIDIA's driver is not installed (libcuda was not found)"), "{check}");
}

#[test]
fn a_gpu_that_cannot_be_used_is_refused_by_name() {
    let place = Place::new();
    let before = place.names();
    let refused = |settings: &str, device: &str, message: &[&str], hint: &str| {
        fuse(&place, settings, &["--device", device]).refused(1, message, hint);
    };
    refused("devices=0", "cuda", &["Device cuda was asked for, but NVIDIA's driver found no GPU"], "auto or cpu");
    refused(
        "devices=2",
        "cuda:0,5",
        &["Device cuda:0,5 was asked for, but there is no GPU 5"],
        "cuda:0 Mock GPU, cuda:1 Mock GPU",
    );
    refused("capability=70", "cuda", &["cuda:0 Mock GPU has compute capability 7.0, and 7.5 is needed"], "auto or cpu");
    fuse(&place, "devices=2", &["--device", "cuda:1,1"]).refused(2, &["names GPU 1 twice"], "once");
    assert_eq!(place.names(), before);
}

#[test]
fn auto_takes_the_processor_for_a_method_without_a_gpu_version_and_says_so() {
    let place = Place::new();
    let auto = fuse_without_gpu(&place, &[], &["-v"]).succeeded();
    assert!(auto.stderr.contains("is computed on the CPU: it has no GPU version"), "{auto:?}");
    fuse_without_gpu(&place, &[], &["--device", "cuda:0"]).refused(
        1,
        &["Device cuda:0 was asked for, but", "cannot use it: it has no GPU version"],
        "auto or cpu",
    );
    let with = |variable: &str| fuse_without_gpu(&place, &[("STFUSION_DEVICE", variable)], &[]);
    with("cuda").refused(1, &["Device cuda was asked for", "it has no GPU version"], "auto or cpu");
    with("gpu").refused(1, &["STFUSION_DEVICE: Device must be auto"], "auto");
    with("cpu").succeeded();
}

/// The job of the folder with STARFM, which has a GPU version.
fn starfm(place: &Place, settings: &str, more: &[&str]) -> Run {
    let method = ["fuse", "--method", "starfm", "-p", "window=11", "--overwrite", "-o", "out.tif"];
    run(mocked(place, settings), &[&method[..], IMAGES, more].concat())
}

#[test]
fn a_job_runs_on_the_gpus_that_it_names_and_its_record_says_so() {
    let place = Place::new();
    let one = starfm(&place, "", &["--json"]).succeeded();
    assert_eq!(one.json()["device"], "cuda:0 Mock GPU");
    let pixels = || {
        let file = gdal::Dataset::open(place.path("out.tif")).unwrap();
        let size = file.raster_size();
        file.rasterband(2).unwrap().read_as::<f32>((0, 0), size, size, None).unwrap().data().to_vec()
    };
    let of_one = pixels();
    // work is done when somebody waits for it, on two devices
    let two = starfm(&place, "devices=2 deferred=1", &["--device", "cuda:1,0", "-v"]).succeeded();
    assert!(two.stderr.contains("starfm on cuda:1 Mock GPU, cuda:0 Mock GPU with"), "{two:?}");
    assert!(pixels() == of_one);
    let record: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(place.path("out.tif.stf")).unwrap()).unwrap();
    assert_eq!(
        (&record["provenance"]["device"], &record["device"]),
        (&"cuda:1 Mock GPU, cuda:0 Mock GPU".into(), &"cuda:1,0".into())
    );
    let dry = starfm(&place, "", &["--dry-run"]).succeeded();
    assert!(dry.stdout.contains(" on cuda:0 Mock GPU with "), "{dry:?}");
}

#[test]
fn a_gpu_that_fails_during_a_run_ends_it_in_words() {
    let place = Place::new();
    let before = place.names();
    let lost = starfm(&place, "lose=3", &[]);
    lost.refused(
        1,
        &["cuda:0 Mock GPU is lost: an illegal memory access was encountered", "after kernel methods/starfm:"],
        "device to cpu",
    );
    let refused = starfm(&place, "jit=1", &[]);
    refused.refused(1, &["cuda:0 Mock GPU cannot compile methods/starfm", "ptxas application ptx input, line 9"], "driver");
    let small = starfm(&place, "memory=100000", &["--device", "cuda"]);
    small.refused(1, &["cuda:0 Mock GPU has 0 MiB of free memory, and"], "device to auto or cpu");
    // what a machine cannot do as a whole it does on the processor
    let auto = starfm(&place, "memory=100000", &["-v", "--dry-run"]).succeeded();
    assert!(auto.stderr.contains("is computed on the CPU: cuda:0 Mock GPU has 0 MiB of free memory"), "{auto:?}");
    assert_eq!(place.names(), before);
}
