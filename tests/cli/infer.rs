//! Networks run once on arrays.

use std::fs;
use std::path::Path;

use stfusion_methods::networks::cases;
use stfusion_raster::{read_array, write_arrays, Array};

use crate::place::*;

/// A `.npy` file of `f32` in C order.
fn npy(path: &Path, shape: &[usize], values: &[f32]) {
    let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    header += &" ".repeat(63 - (header.len() + 10) % 64);
    header.push('\n');
    let values: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let bytes = [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes(), &values].concat();
    fs::write(path, bytes).unwrap();
}

fn numbers(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

#[test]
fn a_network_runs_on_arrays() {
    let place = Place::new();
    fs::write(place.path("w.safetensors"), cases::weights("stfnet").unwrap()).unwrap();
    let shape = [1, 2, 8, 12];
    for (k, name) in ["c1", "c2", "c3", "f1", "f3"].iter().enumerate() {
        npy(
            &place.path(&format!("{name}.npy")),
            &shape,
            &(0..192).map(|i| 0.1 * k as f32 + 0.001 * i as f32).collect::<Vec<_>>(),
        );
    }
    let inputs = ["coarse_t1=c1.npy", "coarse_t2=c2.npy", "coarse_t3=c3.npy", "fine_t1=f1.npy", "fine_t3=f3.npy"];
    let mut arguments = vec!["infer", "w.safetensors", "-o", "out.npy"];
    arguments.extend(inputs.iter().flat_map(|input| ["-i", input]));
    let printed = place.run(&arguments).succeeded().stdout;
    assert!(printed.contains("fine_t2 (1 x 2 x 8 x 12): out.fine_t2.npy"), "{printed}");
    let (change, fine) = (numbers(&place.path("out.change_13.npy")), numbers(&place.path("out.fine_t2.npy")));
    assert_eq!((change.len(), fine.len()), (192, 192));
    let parts = [numbers(&place.path("out.change_12.npy")), numbers(&place.path("out.change_23.npy"))];
    assert!((0..192).all(|i| (parts[0][i] + parts[1][i] - change[i]).abs() < 1e-6 && fine[i].is_finite()));

    place.run(&arguments).refused(1, &["out.change_12.npy exists"], "--overwrite");
    place.run(&[&arguments[..arguments.len() - 2], &["--overwrite"]].concat()).refused(1, &["fine_t3"], "every input");
    npy(&place.path("f3.npy"), &[1, 2, 8, 11], &[0.0; 176]);
    place.run(&[arguments.as_slice(), &["--overwrite"]].concat()).refused(1, &["w.safetensors: "], "");
    fs::write(place.path("f3.npy"), b"not an array").unwrap();
    place.run(&arguments).refused(1, &["f3.npy: is not a .npy file"], "numpy.save");
    let refused = place.run(&["infer", "w.safetensors", "-i", "coarse_t1", "-o", "x.npy"]);
    refused.refused(2, &["--input coarse_t1: expected KEY=VALUE"], "--input KEY=VALUE");
}

#[test]
fn arrays_lie_in_netcdf_files_too() {
    let place = Place::new();
    fs::write(place.path("w.safetensors"), cases::weights("stfnet").unwrap()).unwrap();
    let array =
        |k: usize| Array { shape: vec![1, 2, 8, 12], values: (0..192).map(|i| 0.1 * k as f32 + 0.001 * i as f32).collect() };
    let names = ["coarse_t1", "coarse_t2", "coarse_t3", "fine_t1"];
    let arrays: Vec<_> = names.iter().enumerate().map(|(k, name)| (*name, array(k))).collect();
    write_arrays(&place.path("in.nc"), &arrays).unwrap();
    write_arrays(&place.path("other.nc"), &[("after", array(4)), ("more", array(5))]).unwrap();
    let mut arguments = vec!["infer", "w.safetensors", "-i", "fine_t3=other.nc:after", "-o", "out.nc"];
    let inputs = names.map(|name| format!("{name}=in.nc"));
    arguments.extend(inputs.iter().flat_map(|input| ["-i", input.as_str()]));
    place.run(&arguments).succeeded();
    for (k, name) in ["c1", "c2", "c3", "f1", "f3"].iter().enumerate() {
        npy(&place.path(&format!("{name}.npy")), &[1, 2, 8, 12], &array(k).values);
    }
    let same = [
        "-i",
        "coarse_t1=c1.npy",
        "-i",
        "coarse_t2=c2.npy",
        "-i",
        "coarse_t3=c3.npy",
        "-i",
        "fine_t1=f1.npy",
        "-i",
        "fine_t3=f3.npy",
    ];
    place.run(&[&["infer", "w.safetensors", "-o", "out.npy"], same.as_slice()].concat()).succeeded();
    for name in ["fine_t2", "change_12", "change_23", "change_13"] {
        let read = read_array(&place.path("out.nc"), Some(name), name).unwrap();
        assert_eq!((read.shape, read.values), (vec![1, 2, 8, 12], numbers(&place.path(&format!("out.{name}.npy")))), "{name}");
    }
    place.run(&arguments).refused(1, &["out.nc exists"], "--overwrite");
    let unnamed = place.run(&["infer", "w.safetensors", "-i", "fine_t3=other.nc", "-o", "x.nc"]);
    unnamed.refused(1, &["other.nc: has no variable fine_t3; it has: after, more"], "file.nc:variable");
}
