//! Networks that their authors' frameworks exported as ONNX, held against what onnxruntime and the frameworks made of the same inputs.
//!
//! The cases lie in `../shared/golden/onnx` beside the repository; without that folder the test says that it is skipped. Every file
//! there is read, imported and run. `STFUSION_ONNX_CASE` limits the run to names that hold that text.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use stfusion_core::Cancel;
use stfusion_nn::cpu::Program;
use stfusion_nn::onnx::Model;
use stfusion_nn::{Graph, Tensor, Weights};

/// The folder of the cases; prints why the test is skipped when it is absent.
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/onnx");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIP onnx: ../shared/golden/onnx is not there");
    None
}

/// Every case: the file of the network.
fn cases(folder: &Path) -> Vec<PathBuf> {
    let wanted = std::env::var("STFUSION_ONNX_CASE").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "onnx") && path.to_string_lossy().contains(&wanted))
        .collect();
    files.sort();
    files
}

/// Largest absolute difference that the case allows, by the rule of the golden data: 2e-5 of the largest output, or 20 times what single precision
/// cost its authors' program, whichever is larger; beside it 1e-4 of each value.
fn tolerance(network: &Path, expected: &[f32], output: &str) -> f64 {
    let largest = expected.iter().fold(0.0_f64, |a, &v| a.max(f64::from(v).abs()));
    let name = network.file_stem().unwrap().to_string_lossy().replace("__", "/");
    let json = network.parent().unwrap().parent().unwrap().join("networks").join(format!("{name}.json"));
    let facts: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap_or_default()).unwrap_or_default();
    let single = facts["f32_minus_f64_max_abs"][output].as_f64().unwrap_or(0.0);
    (2e-5 * largest).max(20.0 * single)
}

/// The inputs of a graph, from the case's file.
fn inputs(graph: &Graph, case: &Weights) -> Vec<Tensor> {
    let tensor = |name: &str| case.get(&format!("input.{name}")).unwrap().tensor.as_ref().clone();
    graph.inputs().iter().map(|port| tensor(&port.name)).collect()
}

/// The largest excess over the tolerance among the values, and the largest difference, in units of the tolerance.
fn worst(got: &[f64], expected: &[f32], atol: f64) -> f64 {
    assert_eq!(got.len(), expected.len());
    let of = |(&a, &b): (&f64, &f32)| (a - f64::from(b)).abs() / (atol + 1e-4 * f64::from(b).abs());
    got.iter().zip(expected).map(of).fold(0.0, |worst, v| if v > worst || v.is_nan() { v } else { worst })
}

#[test]
fn networks_give_what_their_authors_frameworks_gave() {
    let Some(folder) = folder() else { return };
    let (mut run, mut failures) = (0, Vec::new());
    for path in cases(&folder) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let begin = Instant::now();
        let graph = match Model::read(&path).and_then(|model| model.graph(&[])) {
            Ok(graph) => graph,
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        let imported = begin.elapsed().as_secs_f64();
        let case = Weights::read(&path.with_extension("safetensors")).unwrap();
        let program = Program::compile(&graph, stfusion_simd::Path::from_environment().0).unwrap();
        let results = program.run(&inputs(&graph, &case), &Cancel::new()).unwrap();
        run += 1;
        let mut largest = 0.0_f64;
        for (port, result) in graph.outputs().iter().zip(results) {
            let expected = &case.get(&port.name).unwrap().tensor;
            assert_eq!(result.shape(), expected.shape(), "{name} {}", port.name);
            let got: Vec<f64> = result.f32s().unwrap().iter().map(|&v| v.into()).collect();
            let expected = expected.f32s().unwrap();
            largest = largest.max(worst(&got, expected, tolerance(&path, expected, &port.name)));
        }
        println!(
            "{name}: {largest:.3} of the tolerance, {} operators, import {imported:.3} s, all {:.2} s",
            graph.nodes().len(),
            begin.elapsed().as_secs_f64()
        );
        if largest.is_nan() || largest > 1.0 {
            failures.push(format!("{name}: {largest:.3} of the tolerance"));
        }
    }
    assert!(failures.is_empty(), "{run} run, {} not as they should be:\n{}", failures.len(), failures.join("\n"));
}

/// Numbers that differ from call to call and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (((z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33) % n as u64) as usize
    }
}

/// A file with a few bytes changed, taken away or doubled.
fn damaged(bytes: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(4) {
            0 => bytes[at] = numbers.below(256) as u8,
            1 => bytes[at] ^= 1 << numbers.below(8),
            2 => drop(bytes.drain(at..(at + numbers.below(9)).min(bytes.len()))),
            _ => {
                let piece = bytes[at..(at + 8).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

#[test]
fn damaged_files_are_refused_or_imported_and_never_worse() {
    let Some(folder) = folder() else { return };
    let rounds: usize = std::env::var("STFUSION_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    let mut numbers = Numbers(7);
    let (mut refused, mut imported) = (0, 0);
    for path in cases(&folder) {
        let onnx = std::fs::read(&path).unwrap();
        let weights = std::fs::read(path.with_extension("safetensors")).unwrap();
        if onnx.len() > 200_000 {
            continue;
        }
        for _ in 0..rounds {
            let file = damaged(&onnx, &mut numbers);
            match Model::from_bytes(file, "file").and_then(|model| model.graph(&[])) {
                Ok(graph) => imported += usize::from(!graph.outputs().is_empty()),
                Err(error) => {
                    assert!(error.message().starts_with("file: "), "{error}");
                    refused += 1;
                }
            }
            // in the header, where damage matters
            let mut header = damaged(&weights[..weights.len().min(600)], &mut numbers);
            header.extend(&weights[weights.len().min(600)..]);
            if let Err(error) = Weights::from_bytes(&header, "file") {
                assert!(error.message().starts_with("file: ") && error.hint().is_some(), "{error}");
            }
        }
    }
    println!("{refused} files refused, {imported} imported all the same");
    assert!(refused > 0 && imported > 0);
}
