//! Benchmarks of stfusion: what each part costs beside what the machine could do, measured in one run.
//!
//! Every benchmark prints a table and gives the same rows as JSON. Times are CPU seconds of the whole process where work is
//! meant and wall-clock seconds where waiting is; of several runs the fastest counts. `README.md` explains every row.

mod assess;
mod classical;
mod clock;
#[cfg(feature = "gdal")]
mod driver;
mod estarfm;
#[cfg(feature = "gdal")]
mod files;
mod gpu;
mod images;
#[cfg(feature = "gdal")]
mod io;
mod machine;
#[cfg(feature = "gdal")]
mod memory;
mod nearest;
mod networks;
mod peak;
mod peers;
mod record;
mod scaling;
mod starfm;

use std::process::ExitCode;

use clap::{value_parser, Arg, ArgMatches, Command};
use record::{Record, Section};

/// What went wrong, in words.
type Failure = Box<dyn std::error::Error>;

fn command() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("N").default_value(default).value_parser(value_parser!(usize)).help(help)
    };
    let repeat = number("repeat", "3", "Runs of each measurement, of which the fastest counts");
    let folder = Arg::new("folder")
        .long("folder")
        .value_name("DIR")
        .help("Where the files of the benchmark go [default: a temporary folder]");
    let method = Arg::new("method").long("method").value_name("ID").default_value("starfm").help("Method to run");
    let json =
        Arg::new("json").long("json").value_name("FILE").global(true).help("Also write the results, machine included, as JSON");
    Command::new("stfusion-bench")
        .about("Measures stfusion against the limits of this machine")
        .version(stfusion_engine::VERSION)
        .subcommand_required(true)
        .arg(json)
        .subcommand(Command::new("peak").about("Multiply-add peak of every SIMD path, and memory bandwidth"))
        .subcommand(
            Command::new("starfm")
                .about("The window loop of STARFM: one and two pairs, every SIMD path, one and more threads, and the reference")
                .arg(number("size", "1000", "Rows and columns of the six-band image"))
                .arg(number("window", "51", "Window in fine pixels"))
                .arg(number("threads", "2", "Threads to compare with one"))
                .arg(repeat.clone()),
        )
        .subcommand(
            Command::new("estarfm")
                .about("The loops of ESTARFM: both selections, every SIMD path, one and more threads, and the reference")
                .arg(number("size", "1000", "Rows and columns of the six-band image"))
                .arg(number("window", "51", "Window in fine pixels"))
                .arg(number("threads", "2", "Threads to compare with one"))
                .arg(repeat.clone()),
        )
        .subcommand(
            Command::new("classical")
                .about("Every classical method beside the programs that people use today")
                .arg(Arg::new("only").long("only").value_name("ID").help("One method alone"))
                .arg(number("threads", "2", "Threads to compare with one"))
                .arg(repeat.clone()),
        )
        .subcommand(
            Command::new("nearest")
                .about("The search for similar pixels, with every SIMD path")
                .arg(number("size", "1000", "Rows and columns of the image"))
                .arg(repeat.clone()),
        )
        .subcommand(
            Command::new("networks")
                .about("Fusion networks on one tile, and the same networks in onnxruntime and PyTorch")
                .arg(number("size", "256", "Rows and columns of the tile"))
                .arg(number("threads", "2", "Threads to compare with one"))
                .arg(repeat.clone())
                .arg(Arg::new("only").long("only").value_name("ID").help("One network alone"))
                .arg(
                    Arg::new("python")
                        .long("python")
                        .value_name("FILE")
                        .help("A Python with numpy, onnx and onnxruntime (and torch and onnx2torch), to compare with"),
                ),
        )
        .subcommand(
            Command::new("scaling")
                .about("Time from 1 to 64 million pixels")
                .arg(number("window", "15", "Window in fine pixels for all sizes"))
                .arg(number("megapixels", "64", "Largest image"))
                .arg(method.clone()),
        )
        .subcommand(
            Command::new("gpu")
                .about("Methods on a GPU: every kernel, and a whole scene beside the processor; needs no GDAL")
                .arg(number("rows", "7800", "Rows of the six-band scene"))
                .arg(number("cols", "7700", "Columns of the scene"))
                .arg(number("window", "51", "Window in fine pixels"))
                .arg(number("tile", "2048", "Rows and columns of the tile whose kernels are timed one by one"))
                .arg(number("threads", "0", "Threads of the processor that the GPU is compared with; 0: all"))
                .arg(number("cpu-part", "16", "The processor computes one row in so many"))
                .arg(Arg::new("only").long("only").value_name("ID").help("One method alone"))
                .arg(repeat.clone()),
        )
        .subcommand(
            Command::new("memory")
                .about("Peak memory of a job from files to files, run as a process of its own")
                .arg(number("size", "10980", "Rows and columns of the six-band image"))
                .arg(number("window", "51", "Window in fine pixels"))
                .arg(number("mib", "2048", "Memory budget of the job"))
                .arg(number("threads", "2", "Threads"))
                .arg(method.clone())
                .arg(Arg::new("weights").long("weights").value_name("FILE").help("Weights of a network, for six bands"))
                .arg(folder.clone()),
        )
        .subcommand(
            Command::new("io")
                .about("A job from files to files beside the same computation in memory")
                .arg(number("size", "4000", "Rows and columns of the six-band image"))
                .arg(number("window", "51", "Window in fine pixels"))
                .arg(number("threads", "2", "Threads"))
                .arg(repeat.clone())
                .arg(method.clone())
                .arg(folder.clone()),
        )
        .subcommand(
            Command::new("driver")
                .about("A job read through the GDAL driver beside fuse, and from afar")
                .arg(number("size", "4000", "Rows and columns of the six-band image"))
                .arg(number("window", "51", "Window in fine pixels"))
                .arg(number("threads", "2", "Threads"))
                .arg(repeat.clone())
                .arg(
                    Arg::new("plugins")
                        .long("plugins")
                        .value_name("DIR")
                        .help("Folder with gdal_STFUSION.so [default: GDAL's own]"),
                )
                .arg(method.clone())
                .arg(folder.clone()),
        )
        .subcommand(
            Command::new("assess")
                .about("All scores of images in memory")
                .arg(number("size", "1000", "Rows and columns of the six-band image"))
                .arg(repeat.clone()),
        )
        .subcommand(Command::new("all").about("Everything above but driver, with its defaults"))
        .subcommand(
            Command::new("run-job")
                .about("Runs one job file (used by the memory benchmark)")
                .hide(true)
                .arg(Arg::new("job").required(true)),
        )
        .subcommand(
            Command::new("run-network")
                .about("Runs one network once (used by the networks benchmark)")
                .hide(true)
                .arg(Arg::new("case").required(true))
                .arg(Arg::new("weights").required(true).value_parser(value_parser!(std::path::PathBuf)))
                .arg(Arg::new("size").required(true).value_parser(value_parser!(usize)))
                .arg(Arg::new("threads").required(true).value_parser(value_parser!(usize))),
        )
}

fn size(matches: &ArgMatches, name: &str) -> usize {
    matches.get_one(name).copied().unwrap_or_default()
}

fn sections(name: &str, matches: &ArgMatches) -> Result<Vec<Section>, Failure> {
    let get = |key| size(matches, key);
    let text = |key| matches.try_get_one::<String>(key).ok().flatten().map(String::as_str);
    let method = text("method").unwrap_or_default();
    let only = text("only");
    #[cfg(feature = "gdal")]
    let folder = text("folder");
    #[cfg(feature = "gdal")]
    let of_job = || -> Result<files::Run, Failure> {
        let whole = |name: &str| std::fs::canonicalize(name).map_err(|e| format!("{name}: {e}"));
        let weights = text("weights").map(whole).transpose()?.map(|path| path.to_string_lossy().into_owned());
        Ok(files::Run { method: method.into(), window: get("window"), threads: get("threads"), weights })
    };
    Ok(match name {
        "peak" => vec![peak::section()],
        "starfm" => vec![peak::section(), starfm::section(get("size"), get("window"), get("threads"), get("repeat"))?],
        "estarfm" => vec![estarfm::section(get("size"), get("window"), get("threads"), get("repeat"))?],
        "classical" => vec![classical::section(only, get("threads"), get("repeat"))?],
        "nearest" => vec![nearest::section(get("size"), get("repeat"))?],
        "networks" => networks::sections(&networks::Options {
            size: get("size"),
            threads: get("threads"),
            repeat: get("repeat"),
            python: text("python"),
            only,
        })?,
        "scaling" => vec![scaling::section(method, get("window"), get("megapixels"))?],
        "assess" => vec![assess::section(get("size"), get("repeat"))?],
        "gpu" => gpu::sections(&gpu::Options {
            only,
            rows: get("rows"),
            cols: get("cols"),
            window: get("window"),
            tile: get("tile"),
            threads: get("threads"),
            cpu_part: get("cpu-part"),
            repeat: get("repeat"),
        })?,
        #[cfg(feature = "gdal")]
        "memory" => vec![memory::section(&of_job()?, get("size"), get("mib"), folder)?],
        #[cfg(feature = "gdal")]
        "driver" => {
            let plugins = matches.get_one::<String>("plugins").map(String::as_str);
            vec![driver::section(&of_job()?, get("size"), get("repeat"), plugins, folder)?]
        }
        #[cfg(feature = "gdal")]
        "io" => vec![io::section(&of_job()?, get("size"), get("repeat"), folder)?],
        other => return Err(format!("{other} needs a build with GDAL").into()),
    })
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let Some((name, options)) = matches.subcommand() else { return Ok(()) };
    #[cfg(feature = "gdal")]
    if name == "run-job" {
        return memory::run_job(options.get_one::<String>("job").map_or("", String::as_str));
    }
    if name == "run-network" {
        let text = options.get_one::<String>("case").map_or("", String::as_str);
        let weights = options.get_one::<std::path::PathBuf>("weights").cloned().unwrap_or_default();
        return networks::run_once(text, &weights, size(options, "size"), size(options, "threads"));
    }
    let mut record = Record::begin();
    print!("{}", record.heading());
    let names: &[&str] = if name == "all" {
        &["starfm", "estarfm", "classical", "nearest", "assess", "networks", "scaling", "gpu", "io", "memory"]
    } else {
        &[name]
    };
    for name in names {
        let defaults = command().get_matches_from(["stfusion-bench", name]);
        let options = defaults.subcommand().filter(|_| names.len() > 1).map_or(options, |(_, m)| m);
        for section in sections(name, options)? {
            print!("\n{}", section.to_text());
            record.add(section);
        }
    }
    if let Some(path) = options.get_one::<String>("json") {
        std::fs::write(path, record.to_json()).map_err(|e| format!("{path}: {e}"))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(&command().get_matches()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stfusion-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
