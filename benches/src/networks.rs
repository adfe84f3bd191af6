//! Networks on one tile: seconds, operations per second beside what the processor could do, and what each family of operators costs;
//! beside them, in the same run, the same network in onnxruntime and PyTorch.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{json, Value as Json};
use stfusion_core::exec::Cancel;
use stfusion_methods::blocks::simd::Path;
use stfusion_nn::cpu::{Cost, Program};
use stfusion_nn::weights::Weight;
use stfusion_nn::{zoo, Tensor, Tensors, Weights};

use crate::clock::measure;
use crate::peers::Peer;
use crate::record::Section;
use crate::{peak, peers, Failure};

/// What is measured.
struct Measured {
    /// Id in the zoo.
    network: &'static str,
    /// Reference case, for the widths of the layers.
    case: &'static str,
    /// What the case's inputs are called in the zoo, where the names differ.
    names: &'static [(&'static str, &'static str)],
    /// What onnxruntime runs beside it.
    model: Model,
    /// Rows and columns, where weights or model take no other size than these.
    size: Option<usize>,
}

/// A model for onnxruntime.
enum Model {
    /// That of the case.
    Own,
    /// That of a narrower case of the same graph, with weights of the shapes of this one. Weights that the export renamed get their new
    /// widths from a list.
    Wider { case: &'static str, widths: &'static [(usize, usize)] },
    /// There is none.
    Missing,
}

impl Measured {
    const fn new(network: &'static str, case: &'static str, names: &'static [(&'static str, &'static str)]) -> Self {
        Measured { network, case, names, model: Model::Own, size: None }
    }
}

const SWIN_STFM: &[(&str, &str)] = &[("c0", "coarse_t1"), ("f0", "fine_t1"), ("c1", "coarse_t2")];

const NETWORKS: &[Measured] = &[
    Measured::new("stfdcnn", "STFDCNN/net_b6_default", &[("coarse_input", "image")]),
    Measured::new(
        "stfnet",
        "STFNet/full_b6_default",
        &[("c1", "coarse_t1"), ("c2", "coarse_t2"), ("c3", "coarse_t3"), ("f1", "fine_t1"), ("f3", "fine_t3")],
    ),
    Measured::new("edcstfn", "EDCSTFN/official_1ref_b6_default", &[]),
    Measured::new("edcstfn", "EDCSTFN/official_2ref_b6_default", &[]),
    Measured::new("gan-stfm", "GAN-STFM/generator_b6_default", &[("fine_ref", "fine_t1")]),
    Measured {
        model: Model::Wider {
            case: "MLFF-GAN/generator_b6_reduced",
            widths: &[(8, 16), (12, 32), (16, 64), (20, 128), (24, 256)],
        },
        ..Measured::new("mlff-gan", "MLFF-GAN/generator_b6_default", &[])
    },
    Measured::new("ecpw-stfn", "ECPW-STFN/b6_default", &[("fine_ref", "fine_t1"), ("coarse_pred", "coarse_t2")]),
    Measured {
        model: Model::Missing,
        size: Some(256),
        ..Measured::new("swinstfm", "SwinSTFM/official_default_b6_img256", SWIN_STFM)
    },
    Measured { size: Some(64), ..Measured::new("swinstfm", "SwinSTFM/tiny_b6_img64_dim8_hd8", SWIN_STFM) },
];

/// What the benchmark is asked for.
pub struct Options<'a> {
    /// Rows and columns of the tile.
    pub size: usize,
    /// Threads to compare with one.
    pub threads: usize,
    /// Runs of which the fastest counts.
    pub repeat: usize,
    /// A Python with numpy, onnx and onnxruntime, and PyTorch and onnx2torch where that shall be compared with.
    pub python: Option<&'a str>,
    /// One network alone.
    pub only: Option<&'a str>,
}

/// Values between 0 and `scale`, or around 0.
fn noise(shape: &[usize], low: f32, high: f32, seed: u64) -> Result<Tensor, Failure> {
    let n: usize = shape.iter().product();
    let at = |i: usize| {
        let z = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 30).wrapping_mul(0x94D0_49BB_1331_11EB);
        low + (high - low) * ((z >> 40) as f32 / (1 << 24) as f32)
    };
    Ok(Tensor::from_f32(shape, (0..n).map(at).collect())?)
}

fn lengths(json: &Json) -> Vec<usize> {
    json.as_array().into_iter().flatten().filter_map(|n| n.as_u64()).map(|n| n as usize).collect()
}

/// The case's weights: of its shapes, of random values of its sizes.
fn weights(meta: &Json) -> Result<BTreeMap<String, Arc<Tensor>>, Failure> {
    let mut weights = BTreeMap::new();
    for (i, t) in meta["weight_recipe"]["tensors"].as_array().into_iter().flatten().enumerate() {
        let (add, scale) = (t["add"].as_f64().unwrap_or(0.0) as f32, t["scale"].as_f64().unwrap_or(0.0) as f32);
        let tensor = noise(&lengths(&t["shape"]), add - scale, add + scale, i as u64)?;
        weights.insert(t["name"].as_str().unwrap_or_default().to_string(), Arc::new(tensor));
    }
    Ok(weights)
}

/// The shapes of the case's inputs on a tile of `size` rows and columns: the largest input fills it, the others keep their ratio to it.
fn shapes(meta: &Json, size: usize) -> BTreeMap<String, Vec<usize>> {
    let all: Vec<(String, Vec<usize>)> =
        meta["inputs"].as_object().into_iter().flatten().map(|(name, v)| (name.clone(), lengths(&v["shape"]))).collect();
    let largest = |axis: usize| all.iter().map(|(_, s)| s[s.len() - axis]).max().unwrap_or(1);
    let (rows, columns) = (largest(2), largest(1));
    let scaled = |(name, mut shape): (String, Vec<usize>)| {
        let n = shape.len();
        shape[n - 2] = shape[n - 2] * size / rows;
        shape[n - 1] = shape[n - 1] * size / columns;
        (name, shape)
    };
    all.clone().into_iter().map(scaled).collect()
}

/// The inputs by their names in the zoo.
fn images<'a>(shapes: &'a BTreeMap<String, Vec<usize>>, names: &'a [(&str, &str)]) -> Vec<(&'a str, Vec<usize>)> {
    let known = |name: &'a String| names.iter().find(|n| n.0 == name).map_or(name.as_str(), |n| n.1);
    shapes.iter().map(|(name, shape)| (known(name), shape.clone())).collect()
}

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/golden")
}

fn described(case: &str) -> Result<Json, Failure> {
    let text = std::fs::read_to_string(golden().join("networks").join(case).with_extension("json"))?;
    Ok(serde_json::from_str(&text)?)
}

fn program(network: &str, weights: &dyn Tensors, images: &[(&str, Vec<usize>)]) -> Result<Program, Failure> {
    let network = zoo::network(network).ok_or_else(|| format!("there is no network {network}"))?;
    Ok(Program::compile(&network.graph(weights, images, &BTreeMap::new())?, Path::from_environment().0)?)
}

fn inputs(program: &Program) -> Result<Vec<Tensor>, Failure> {
    let graph = program.graph();
    graph.inputs().iter().map(|p| noise(graph.shape(p.value), 0.0, 0.5, 7)).collect()
}

/// Peak memory of this process in MiB, as far as the system tells it.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// What `stfusion-bench run-network` does, in a process of its own: reads a weights file, prepares the network of `case` for a tile of
/// `size` rows and columns, runs it once, and prints the seconds until it was ready and the memory it needed, as JSON.
///
/// # Errors
/// There is no such case, or its network cannot be built or run.
pub fn run_once(case: &str, weights: &FilePath, size: usize, threads: usize) -> Result<(), Failure> {
    let measured = NETWORKS.iter().find(|n| n.case == case).ok_or_else(|| format!("there is no case {case}"))?;
    let shapes = shapes(&described(case)?, size);
    let before = peak_mib();
    let (program, start) = measure(|| -> Result<Program, Failure> {
        program(measured.network, &Weights::read(weights)?, &images(&shapes, measured.names))
    });
    let program = program?;
    let inputs = inputs(&program)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(|| program.run(&inputs, &Cancel::new()))?;
    let needed = peak_mib().zip(before).map(|(peak, before)| peak - before);
    println!("{}", json!({ "seconds": start.cpu, "MiB": needed }));
    Ok(())
}

/// Runs this program as `stfusion-bench run-network`.
fn in_child(case: &str, weights: &FilePath, size: usize, threads: usize) -> Result<Json, Failure> {
    let mut child = Command::new(std::env::current_exe()?);
    let output = child.args(["run-network", case]).arg(weights).args([size, threads].map(|n| n.to_string())).output()?;
    if !output.status.success() {
        return Err(format!("{case}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The tables of `stfusion-bench networks`: all of them, and the families of each.
///
/// # Errors
/// A network cannot be built or run.
pub fn sections(options: &Options<'_>) -> Result<Vec<Section>, Failure> {
    let Options { size, threads, repeat, python, only } = *options;
    let path = Path::from_environment().0;
    let peak = peak::multiply_add_gflops(path);
    let title = format!("{size}x{size} tile, six bands, default widths; {path}, peak of one thread {peak:.1} GFLOP/s");
    let mut times = Section::new("networks", title);
    let mut families = Section::new("families", "what each family of operators costs, one thread");
    if !golden().is_dir() {
        times.remark("SKIP: the widths are those of the reference cases, and ../shared/golden is not there.");
        return Ok(vec![times]);
    }
    let (folder, mut missing) = (tempfile::tempdir()?, false);
    let (written, file) = (folder.path().join("model.onnx"), folder.path().join("weights.safetensors"));
    for Measured { network: id, case, names, model, size: fixed } in NETWORKS {
        if only.is_some_and(|only| only != *id) {
            continue;
        }
        let size = fixed.unwrap_or(size);
        let meta = described(case)?;
        let weights = weights(&meta)?;
        let shapes = shapes(&meta, size);
        let program = program(id, &weights, &images(&shapes, names))?;
        let (graph, inputs) = (program.graph(), inputs(&program)?);
        let mut to_write = Weights::new(*case);
        weights.iter().for_each(|(name, t)| to_write.insert(name, Weight::new((**t).clone())));
        to_write.write(&file)?;
        drop(to_write);
        let exported = |case: &str| golden().join("onnx").join(format!("{}.onnx", case.replace('/', "__")));
        let own = weights.iter().map(|(name, t)| (name.clone(), json!(t.shape()))).collect();
        let model = match model {
            Model::Own => Some((exported(case), json!({}), json!([]))),
            Model::Wider { case, widths } => Some((exported(case), Json::Object(own), json!(widths))),
            Model::Missing => None,
        };
        let peers = python.zip(model);
        if let Some((python, (model, wider, widths))) = &peers {
            peers::write_model(python, model, &written, [&json!(shapes), wider, widths])?;
        }
        for threads in if threads > 1 { vec![1, threads] } else { vec![1] } {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let cancel = Cancel::new();
            let run = || pool.install(|| program.run_timed(&inputs, &cancel));
            run()?;
            let mut best: Option<(f64, Vec<Cost>)> = None;
            for _ in 0..repeat.max(1) {
                let (result, seconds) = measure(run);
                let seconds = if threads == 1 { seconds.cpu } else { seconds.wall };
                if best.as_ref().is_none_or(|b| seconds < b.0) {
                    best = Some((seconds, result?.1));
                }
            }
            let Some((seconds, costs)) = best else { continue };
            let gflops = 2e-9 * graph.multiply_adds() as f64 / seconds;
            let needed = in_child(case, &file, size, threads)?;
            let mut row = json!({
                "network": case, "size": size, "threads": threads, "GMAC": graph.multiply_adds() as f64 * 1e-9, "seconds": seconds,
                "GFLOP/s": gflops, "of peak": gflops / peak / threads as f64, "ready_s": needed["seconds"],
                "arena_MiB": program.arena_bytes() >> 20, "MiB": needed["MiB"],
            });
            let columns = [
                (Peer::Onnxruntime, ["onnxruntime_s", "x_onnxruntime", "onnxruntime_MiB"]),
                (Peer::Pytorch, ["PyTorch_s", "x_PyTorch", "PyTorch_MiB"]),
            ];
            for (peer, [time, ratio, memory]) in columns {
                let Some((python, _)) = &peers else { continue };
                match peers::measure(peer, python, &written, threads, repeat) {
                    Ok(Some(theirs)) => {
                        row[time] = json!(theirs.seconds);
                        row[ratio] = json!(theirs.seconds / seconds);
                        row[memory] = json!(theirs.mib);
                    }
                    Ok(None) if peer == Peer::Pytorch => missing = true,
                    Ok(None) => return Err(format!("{python} has no onnxruntime").into()),
                    // onnx2torch does not know every operator
                    Err(e) if peer == Peer::Pytorch && threads == 1 => times.remark(format!("PyTorch cannot run {case}: {e}")),
                    Err(_) if peer == Peer::Pytorch => {}
                    Err(e) => return Err(e),
                }
            }
            times.row(row);
            if threads == 1 {
                let all: f64 = costs.iter().map(|c| c.time.as_secs_f64()).sum();
                for Cost { family, steps, time, multiply_adds } in costs {
                    let seconds = time.as_secs_f64();
                    let gflops = 2e-9 * multiply_adds as f64 / seconds;
                    families.row(json!({
                        "network": case, "family": family, "steps": steps, "seconds": seconds, "share": seconds / all,
                        "GFLOP/s": gflops, "of peak": gflops / peak,
                    }));
                }
            }
        }
    }
    times.remark("onnxruntime runs MLFF-GAN's narrow export with weights of the default widths; SwinSTFM was exported for a small tile only.");
    if missing {
        times.remark("PyTorch is left out: the Python has not both torch and onnx2torch.");
    }
    times.remark("ready_s: CPU seconds until weights are read, checked and prepared. MiB: peak memory of a process that reads the weights and runs the network once, less what it had before; of onnxruntime and PyTorch too.");
    times.remark("Seconds of one thread are CPU seconds, those of more wall-clock seconds; of onnxruntime too.");
    Ok(vec![times, families])
}
