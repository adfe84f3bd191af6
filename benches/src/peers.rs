//! Other programs that run the same network: onnxruntime, and PyTorch through onnx2torch, each in a process of its own.

use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use crate::Failure;

const WRITE_MODEL: &str = include_str!("peers/write_model.py");
const RUN_MODEL: &str = include_str!("peers/run_model.py");

/// A program that runs models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// onnxruntime.
    Onnxruntime,
    /// PyTorch, which needs onnx2torch to read the model.
    Pytorch,
}

/// What a program needed.
#[derive(Debug, Clone, Copy)]
pub struct Needed {
    /// Seconds of the fastest run: CPU seconds with one thread, else wall-clock seconds.
    pub seconds: f64,
    /// Peak memory in MiB, beyond that of the program with its libraries loaded.
    pub mib: f64,
}

fn run(python: &str, script: &str, arguments: &[String]) -> Result<String, Failure> {
    let output = Command::new(python).args(["-c", script]).args(arguments).output()?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or_default().to_string();
        return Err(format!("{python}: {told}").into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Writes `model` as `written`, with the shapes that `described` gives: of inputs, of weights, and widths for other weights.
///
/// # Errors
/// The Python has no onnx, or the model cannot be read.
pub fn write_model(python: &str, model: &Path, written: &Path, described: [&Json; 3]) -> Result<(), Failure> {
    let mut arguments = [model, written].map(|p| p.display().to_string()).to_vec();
    arguments.extend(described.map(Json::to_string));
    run(python, WRITE_MODEL, &arguments).map(|_| ())
}

/// Runs a model so often and once more; nothing where the Python does not have the program.
///
/// # Errors
/// The program fails.
pub fn measure(peer: Peer, python: &str, model: &Path, threads: usize, runs: usize) -> Result<Option<Needed>, Failure> {
    let name = match peer {
        Peer::Onnxruntime => "onnxruntime",
        Peer::Pytorch => "pytorch",
    };
    let arguments = [name.to_string(), model.display().to_string(), threads.to_string(), runs.to_string()];
    let told: Json = serde_json::from_str(&run(python, RUN_MODEL, &arguments)?)?;
    Ok(told["seconds"].as_f64().zip(told["MiB"].as_f64()).map(|(seconds, mib)| Needed { seconds, mib }))
}
