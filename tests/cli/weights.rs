//! Weights files described and checked.

use std::fs;

use crate::place::*;

/// A safetensors file of one number, with this description of the network.
fn file(description: &str) -> Vec<u8> {
    let description = description.replace('"', "\\\"");
    let header = format!(
        r#"{{"__metadata__":{{"stfusion":"{description}"}},"a.weight":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#
    );
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &1.5_f32.to_le_bytes()].concat()
}

#[test]
fn a_weights_file_is_described() {
    let place = Place::new();
    fs::write(place.path("w.safetensors"), file(r#"{"schema":1,"network":"stfnet","licence":"MIT","source":"here"}"#)).unwrap();
    let text = place.run(&["weights", "w.safetensors"]).succeeded().stdout;
    for line in
        ["Network       StfNet (stfnet)", "Parameters    1 in 1 tensors (1 F32)", "Licence       MIT", "Source        here"]
    {
        assert!(text.lines().any(|l| l == line), "{text}\nexpected {line}");
    }
    let json = place.run(&["weights", "w.safetensors", "--json"]).succeeded().json();
    assert_eq!((&json["format"], &json["network"]), (&"safetensors".into(), &"stfnet".into()));
    assert_eq!(json["description"]["inputs"].as_array().unwrap().len(), 5, "as published");
}

#[test]
fn what_is_wrong_with_weights_is_a_failure() {
    let place = Place::new();
    fs::write(place.path("w.safetensors"), file(r#"{"schema":1,"network":"stfnet","bands":["red"]}"#)).unwrap();
    let run = place.run(&["weights", "w.safetensors"]);
    assert!(run.stdout.contains("Problem       It does not say under which licence it may be used."), "{}", run.stdout);
    assert!(run.code == Some(1) && run.stderr.contains("w.safetensors has 2 problems"), "{run:?}");
    let run = place.run(&["weights", "w.safetensors", "--json"]);
    assert_eq!((run.code, run.json()["problems"].as_array().unwrap().len()), (Some(1), 2));
}

#[test]
fn files_that_are_not_weights_are_refused() {
    let place = Place::new();
    place.run(&["weights", "no.safetensors"]).refused(1, &["no.safetensors: No such file"], "Check the name");
    fs::write(place.path("n.pth"), b"PK\x03\x04archive and more").unwrap();
    place.run(&["weights", "n.pth"]).refused(1, &["n.pth: is not a safetensors file but a checkpoint"], "convert_weights.py");
    fs::write(place.path("w.safetensors"), file(r#"{"schema":1,"netwerk":"stfnet"}"#)).unwrap();
    place.run(&["weights", "w.safetensors"]).refused(1, &["w.safetensors: ", "unknown field `netwerk`"], "tools/README.md");
    let whole = file(r#"{"schema":1}"#);
    fs::write(place.path("w.safetensors"), &whole[..whole.len() - 1]).unwrap();
    place.run(&["weights", "w.safetensors"]).refused(
        1,
        &["tensor a.weight lies in bytes 0 to 4", "the file was cut off"],
        "again",
    );
    fs::write(place.path("n.onnx"), b"\x08\x08").unwrap();
    place.run(&["weights", "n.onnx"]).refused(1, &["n.onnx: is not an ONNX file, or was cut off: it holds no graph"], "again");
}
