//! Networks on one tile: seconds, operations per second beside what the processor could do, and what each family of operators costs;
//! beside them, in the same run, the same network in onnxruntime.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{json, Value as Json};
use stfusion_core::exec::Cancel;
use stfusion_methods::blocks::simd::Path;
use stfusion_nn::cpu::{Cost, Program};
use stfusion_nn::{zoo, Tensor};

use crate::clock::measure;
use crate::record::Section;
use crate::{peak, Failure};

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

/// Times a model in onnxruntime: arguments are the model, threads, runs, the inputs' names and lengths, the weights' names and lengths
/// where they shall have others than in the file, and pairs of an old and a new width for weights of other names.
const ONNXRUNTIME: &str = r#"
import json, sys, time
import numpy, onnx, onnxruntime
model, threads, runs, shapes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
wider, widths = json.loads(sys.argv[5]), dict(json.loads(sys.argv[6]))
generator = numpy.random.default_rng(1)
clock = time.process_time if threads == 1 else time.perf_counter
m = onnx.load(model)
fixed = {}
for value in m.graph.input:
    fixed[tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)] = shapes[value.name]
    for axis, length in zip(value.type.tensor_type.shape.dim, shapes[value.name]):
        axis.dim_value = length
for value in m.graph.output:
    value.type.tensor_type.ClearField("shape")
del m.graph.value_info[:]
for weight in m.graph.initializer if wider else []:
    lengths = wider.get(weight.name.removeprefix("m."))
    if lengths is None:
        lengths = [widths.get(n, n) for n in weight.dims[:2]] + list(weight.dims[2:])
    values = generator.uniform(-0.1, 0.1, lengths).astype(numpy.float32)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
# exports reshape to the input's shape as a constant
for node in m.graph.node:
    if node.op_type == "Constant" and node.attribute[0].name == "value":
        lengths = tuple(onnx.numpy_helper.to_array(node.attribute[0].t).reshape(-1).tolist())
        if lengths in fixed:
            node.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(numpy.array(fixed[lengths], dtype=numpy.int64)))
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
session = onnxruntime.InferenceSession(m.SerializeToString(), options, providers=["CPUExecutionProvider"])
images = {name: generator.random(shape, dtype=numpy.float32) * 0.5 for name, shape in shapes.items()}
best = float("inf")
for _ in range(runs + 1):
    start = clock()
    session.run(None, images)
    best = min(best, clock() - start)
print(best)
"#;

/// What the benchmark is asked for.
pub struct Options<'a> {
    /// Rows and columns of the tile.
    pub size: usize,
    /// Threads to compare with one.
    pub threads: usize,
    /// Runs of which the fastest counts.
    pub repeat: usize,
    /// A Python with numpy, onnx and onnxruntime.
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

fn onnxruntime(python: &str, model: &FilePath, threads: usize, runs: usize, described: [&Json; 3]) -> Result<f64, Failure> {
    let output = Command::new(python)
        .args(["-c", ONNXRUNTIME])
        .arg(model)
        .args([threads.to_string(), runs.to_string()])
        .args(described.map(Json::to_string))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| {
        let told = String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or_default().to_string();
        format!("{python} cannot time {}: {told}", model.display()).into()
    })
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
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/golden");
    if !golden.is_dir() {
        times.remark("SKIP: the widths are those of the reference cases, and ../shared/golden is not there.");
        return Ok(vec![times]);
    }
    for Measured { network: id, case, names, model, size: fixed } in NETWORKS {
        if only.is_some_and(|only| only != *id) {
            continue;
        }
        let size = fixed.unwrap_or(size);
        let text = std::fs::read_to_string(golden.join("networks").join(case).with_extension("json"))?;
        let meta: Json = serde_json::from_str(&text)?;
        let weights = weights(&meta)?;
        let shapes = shapes(&meta, size);
        let known = |name: &String| names.iter().find(|n| n.0 == name).map_or(name.as_str(), |n| n.1).to_string();
        let images: Vec<(String, Vec<usize>)> = shapes.iter().map(|(n, s)| (known(n), s.clone())).collect();
        let images: Vec<(&str, Vec<usize>)> = images.iter().map(|(n, s)| (n.as_str(), s.clone())).collect();
        let network = zoo::network(id).ok_or_else(|| format!("there is no network {id}"))?;
        let (program, setup) = measure(|| -> Result<Program, Failure> {
            Ok(Program::compile(&network.graph(&weights, &images, &BTreeMap::new())?, path)?)
        });
        let program = program?;
        let graph = program.graph();
        let inputs: Vec<Tensor> =
            graph.inputs().iter().map(|p| noise(graph.shape(p.value), 0.0, 0.5, 7)).collect::<Result<_, _>>()?;
        let file = |case: &str| golden.join("onnx").join(format!("{}.onnx", case.replace('/', "__")));
        let own = weights.iter().map(|(name, t)| (name.clone(), json!(t.shape()))).collect();
        let model = match model {
            Model::Own => Some((file(case), json!({}), json!([]))),
            Model::Wider { case, widths } => Some((file(case), Json::Object(own), json!(widths))),
            Model::Missing => None,
        };
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
            let theirs = python
                .zip(model.as_ref())
                .map(|(p, (file, wider, widths))| onnxruntime(p, file, threads, repeat, [&json!(shapes), wider, widths]))
                .transpose()?;
            let mut row = json!({
                "network": case, "size": size, "threads": threads, "GMAC": graph.multiply_adds() as f64 * 1e-9, "seconds": seconds,
                "GFLOP/s": gflops, "of peak": gflops / peak / threads as f64, "arena MiB": program.arena_bytes() >> 20, "setup s": setup.wall,
            });
            if let Some(theirs) = theirs {
                row["onnxruntime s"] = json!(theirs);
                row["times as fast"] = json!(theirs / seconds);
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
    times.remark("Seconds of one thread are CPU seconds, those of more wall-clock seconds; of onnxruntime too.");
    Ok(vec![times, families])
}
