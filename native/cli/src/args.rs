//! The declaration of every flag: parser, help, man pages, completions and the reference page are made from it.

use clap::builder::{PossibleValue, PossibleValuesParser, ValueParser};
use clap::{value_parser, Arg, ArgAction, ArgGroup, Command};
use stfusion_core::param::{ChoiceOption, Choices};
use stfusion_core::source::{Format, ResamplingChoice};

/// Values longer than this are a mistake, not a size of a demo.
const MAX_DEMO_PX: u64 = 20_000;

/// The whole command line.
pub fn command() -> Command {
    Command::new("stfusion")
        .bin_name("stfusion")
        .version(stfusion_engine::VERSION)
        .about("Spatiotemporal fusion of satellite images")
        .long_about(
            "Spatiotemporal fusion of satellite images: predicts the fine image (Landsat, Sentinel-2) of a day on which only a \
             coarse image (MODIS, VIIRS, Sentinel-3) was taken, from one or more pairs of a fine and a coarse image of the same day.",
        )
        .after_long_help(
            "Exit codes: 0 success, 1 failure, 2 wrong command line, 130 interrupted.\n\n\
             Environment: STFUSION_NUM_THREADS (else GDAL_NUM_THREADS) sets the number of threads, STFUSION_DEVICE the device that auto means, STFUSION_CPU=baseline turns off \
             the use of newer processor instructions, STFUSION_DEBUG=1 does what --debug does. GDAL's own variables work as everywhere.\n\n\
             File names are whatever GDAL opens: paths, /vsi... names, NETCDF:..., VRT. GDAL's spellings -of, -co, -ot, -a_nodata, \
             -overwrite and --config KEY VALUE are understood too.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands([fuse(), methods(), info(), assess(), compare(), rerun(), job(), weights(), infer(), demo(), devices(), check()].map(common))
}

fn flag(id: &'static str, help: &'static str) -> Arg {
    Arg::new(id).long(id).action(ArgAction::SetTrue).help(help)
}

fn option(id: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(id).long(id).value_name(value).action(ArgAction::Set).help(help)
}

fn repeated(id: &'static str, value: &'static str, help: &'static str) -> Arg {
    option(id, value, help).action(ArgAction::Append)
}

fn choices(options: &'static [ChoiceOption]) -> ValueParser {
    PossibleValuesParser::new(options.iter().map(|o| PossibleValue::new(o.id).help(o.help))).into()
}

fn method_ids() -> ValueParser {
    PossibleValuesParser::new(stfusion_methods::all().iter().map(|m| PossibleValue::new(m.info().id).help(m.info().label))).into()
}

fn sub(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about)
}

/// A sub-command with the options that all of them have.
fn common(command: Command) -> Command {
    command.args_override_self(true).next_help_heading("Messages").args([
        flag("quiet", "Say nothing but errors, and show no progress").short('q').conflicts_with_all(["verbose", "debug"]),
        flag("verbose", "Also say what was found and chosen: grids, derived values, device, SIMD path").short('v'),
        flag("debug", "Also say what only developers want to know"),
        repeated("config", "KEY=VALUE", "Set a GDAL configuration option; repeatable"),
    ])
}

fn json() -> Arg {
    flag("json", "Print JSON instead of text")
}

fn threads() -> Arg {
    option("threads", "N", "Number of threads; 0 uses all processors that the process may use")
        .value_parser(value_parser!(u64).range(0..=1024))
        .help_heading("Running")
}

fn memory() -> Arg {
    option("memory", "SIZE", "Memory budget, such as 2GiB; auto is half of what is available, at most 4 GiB")
        .help_heading("Running")
}

fn device() -> Arg {
    option("device", "DEVICE", "What computes: auto, cpu, cuda, cuda:N or cuda:N,M").help_heading("Running")
}

fn pair() -> Arg {
    repeated(
        "pair",
        "KEY=VALUE,...",
        "A fine and a coarse image of the same day; repeatable. Keys: fine, coarse, date, fine_mask, fine_mask_preset, coarse_mask, \
         coarse_mask_preset, classes, objects, pan. A repeated fine or coarse names one raster per band",
    )
}

/// How the images of a job are brought together.
fn grid() -> [Arg; 3] {
    [
        option("resampling", "METHOD", "How coarse images are brought onto the fine grid")
            .short('r')
            .value_parser(choices(ResamplingChoice::OPTIONS)),
        option(
            "bands",
            "FINE=COARSE,...",
            "Bands that belong together, counted from 1, such as 1=3,2=4; by default by wavelength, else by order",
        ),
        flag("ignore-units", "Go on although fine and coarse values look as if they were in different units"),
    ]
}

fn stored_type() -> Arg {
    option("ot", "TYPE", "GDAL name of the stored type, such as Int16 or Float32; by default the fine image's")
}

fn stored_nodata() -> Arg {
    option("nodata", "VALUE", "Stored nodata value; by default the fine image's, or one that fits the type")
        .allow_hyphen_values(true)
        .value_parser(value_parser!(f64))
}

/// The options that say where the prediction goes and how it runs; `fuse` and `rerun` share them.
fn output_and_running(command: Command) -> Command {
    command
        .next_help_heading("Output")
        .args([
            option("output", "FILE", "File of the prediction").short('o'),
            option(
                "support",
                "FILE",
                "Also write the support layer: number of similar pixels, valid fraction, days to the nearest pair, extrapolation",
            ),
            option("of", "FORMAT", "File format").visible_alias("format").value_parser(choices(Format::OPTIONS)),
            repeated(
                "co",
                "KEY=VALUE",
                "GDAL creation option over the defaults (tiled, compressed, BIGTIFF=IF_SAFER); repeatable",
            ),
            stored_type(),
            stored_nodata(),
            flag("overwrite", "Replace existing output files"),
        ])
        .next_help_heading("Running")
        .args([
            threads(),
            memory(),
            device(),
            flag("dry-run", "Check everything and describe the run, but compute and write nothing"),
            flag("print-job", "Print the job as JSON, ready to be saved as a .stf file, and stop; with --dry-run check it first"),
            json(),
        ])
}

/// The options that make up a fusion; `fuse` and `job` share them.
fn fusion(command: Command) -> Command {
    command
        .next_help_heading("Job")
        .args([
            option("method", "ID", "Method; `stfusion methods` describes them").short('m').value_parser(method_ids()),
            pair(),
            option("target", "KEY=VALUE,...", "The day to predict. Keys: coarse, date, coarse_mask, coarse_mask_preset"),
            repeated("param", "NAME=VALUE", "A parameter of the method; repeatable. `stfusion methods ID` lists them").short('p'),
            option("weights", "FILE", "Weights of a network, the same as --param weights=FILE"),
        ])
        .args(grid())
}

fn fuse() -> Command {
    let command = sub("fuse", "Predict the fine image of the target day")
        .long_about(
            "Predict the fine image of the target day.\n\nThe job comes from a job file, from options, or from a job file whose values the options replace: \
             --pair replaces all pairs of the file, --target the keys that it names, --param one parameter.",
        )
        .after_long_help(
            "Example:\n  stfusion fuse --method starfm --pair fine=f1.tif,coarse=c1.tif,date=2001-11-25 \\\n      \
             --target coarse=c2.tif,date=2002-01-12 --param window=51 -o out.tif\n\n\
             A name that holds a comma goes into a job file (see docs/job.md). Beside the prediction, FILE.stf records what was run; \
             `stfusion rerun FILE.stf` repeats it.",
        )
        .arg(Arg::new("job").value_name("JOB").help("Job file (.stf); - reads it from standard input"));
    output_and_running(fusion(command))
}

fn methods() -> Command {
    sub("methods", "List the methods, or describe one and its parameters")
        .arg(Arg::new("id").value_name("ID").help("Method to describe").value_parser(method_ids()))
        .arg(json())
}

fn job() -> Command {
    let command = sub("job", "Write a job file: from the options of a fusion, or one to start from")
        .long_about(
            "Write a job file.\n\nWith --pair and --target the job that `fuse` would run with these options. With a method alone a job to start from: every \
             parameter is written with its default. GDAL and QGIS open a job file as a raster when the GDAL driver is installed (docs/gdal.md).",
        )
        .after_long_help(
            "Example:\n  stfusion job starfm --pair fine=f1.tif,coarse=c1.tif,date=2001-11-25 \\\n      \
             --target coarse=c2.tif,date=2002-01-12 --param window=51 -o fusion.stf",
        )
        .arg(Arg::new("id").value_name("METHOD").help("Method of the job, as with --method").value_parser(method_ids()))
        .arg(flag("schema", "Print the JSON schema of job files"))
        .group(ArgGroup::new("what").args(["id", "method", "schema"]).required(true));
    fusion(command)
        .next_help_heading("Output")
        .args([
            option(
                "output",
                "FILE",
                "Job file to write (.stf); by default it is printed. Relative names in it are relative to its folder",
            )
            .short('o'),
            stored_type(),
            stored_nodata(),
            flag("overwrite", "Replace an existing job file"),
        ])
        .next_help_heading("Running")
        .args([threads(), memory(), device()])
}

fn info() -> Command {
    sub("info", "Describe a job or an image: grids, dates, scale, warnings, estimated memory")
        .long_about(
            "Describe a job or an image.\n\nOf a job: grids, dates, bands, scale, what looks wrong, the memory and the tiles that a run would take. \
             Of an image: its grid, bands, date, scale, nodata. A name that ends in .stf or .json is a job, any other an image.",
        )
        .arg(Arg::new("name").value_name("JOB|IMAGE").required(true).help("Job file, or anything that GDAL opens"))
        .args([json(), threads(), memory()])
}

fn assess() -> Command {
    sub("assess", "Compare a prediction with the truth, and with what simple baselines would have given")
        .long_about(
            "Compare a prediction with the truth: RMSE, MAE, bias, R, R2, SSIM, PSNR, UIQI, SAM, ERGAS per band and overall.\n\n\
             With the images of the pairs, the skill against the baselines is printed first: nearest pair, linear in time, coarse increment. \
             A skill of 0 is no better than the baseline, 1 is perfect, negative is worse.",
        )
        .args([
            Arg::new("prediction").value_name("PREDICTION").required(true).help("Predicted image"),
            Arg::new("truth").value_name("TRUTH").required(true).help("Fine image really taken on that day"),
        ])
        .args([
            option("truth-mask", "IMAGE", "Mask of the truth; non-zero is invalid unless a preset says otherwise"),
            option("truth-mask-preset", "ID", "Product preset that says which values of the mask are invalid").requires("truth-mask"),
            option("data-range", "VALUE", "Range of the values, for SSIM and PSNR; by default 1 for reflectance, else the range of the truth")
                .value_parser(value_parser!(f64)),
        ])
        .next_help_heading("Baselines")
        .args([
            repeated("fine", "IMAGE", "Fine image of a pair; repeatable"),
            repeated("fine-mask", "IMAGE", "Mask of the fine image, in the order of --fine; repeatable"),
            option("fine-mask-preset", "ID", "Product preset of these masks").requires("fine-mask"),
            repeated("coarse-pair", "IMAGE", "Coarse image of the pair, in the order of --fine; repeatable"),
            option("coarse-target", "IMAGE", "Coarse image of the target day"),
            repeated("pair-date", "DATE", "Date of the pair, in the order of --fine; by default from names and metadata; repeatable"),
            option("target-date", "DATE", "Date of the target; by default from names and metadata"),
        ])
        .next_help_heading("Output")
        .args([json()])
        .next_help_heading("Running")
        .args([threads(), memory()])
}

fn compare() -> Command {
    sub("compare", "Compare methods on your own pairs: hold each back in turn and predict it from the others")
        .long_about(
            "Compare methods on your own pairs.\n\nEach pair is held back in turn: its fine image is the truth, its coarse image the target, and the other \
             pairs predict it with every method. Two pairs are needed at least; methods that predict from two need three. The target of the job is not looked at.\n\n\
             The skill against the baselines is printed first: nearest pair, linear in time, coarse increment. A skill of 0 is no better than the \
             baseline, 1 is perfect, negative is worse. All methods are scored on the same pixels.",
        )
        .after_long_help(
            "Example:\n  stfusion compare job.stf --method starfm --method starfm:window=31 --report comparison.html\n\n\
             Predictions lie in the folder that TMPDIR says until they are scored, and vanish.",
        )
        .arg(Arg::new("job").value_name("JOB").help("Job file (.stf); - reads it from standard input"))
        .next_help_heading("Comparison")
        .args([
            repeated(
                "method",
                "ID[:NAME=VALUE,...]",
                "Method, perhaps with parameters; repeatable, also with other parameters. By default every method that the pairs satisfy, \
                 the job's own with the job's parameters",
            )
            .short('m'),
            pair(),
            option("data-range", "VALUE", "Range of the values, for SSIM and PSNR; by default 1 for reflectance, else the range of the fine images")
                .value_parser(value_parser!(f64)),
        ])
        .args(grid())
        .next_help_heading("Output")
        .args([
            option("report", "FILE", "Also write an HTML report with maps and scatter plots, which needs no other file"),
            option("csv", "FILE", "Also write the figures of each fold, method and band as CSV"),
            json(),
            flag("overwrite", "Replace existing files"),
        ])
        .next_help_heading("Running")
        .args([threads(), memory(), device()])
}

fn rerun() -> Command {
    output_and_running(
        sub("rerun", "Repeat the run that made a prediction")
            .long_about(
                "Repeat the run that made a prediction, from the record beside it (FILE.stf). Without --output the prediction is written to the same \
                 place, which needs --overwrite while it exists.",
            )
            .arg(Arg::new("record").value_name("FILE.stf").required(true).help("Record of a run")),
    )
}

fn weights() -> Command {
    sub("weights", "Describe and check the weights of a network")
        .long_about(
            "Describe and check the weights of a network: which network they belong to, how images are prepared for it, what it was trained on, the \
             licence, and what is wrong with the file. What the file does not say is shown as it was published.\n\n\
             Read are safetensors files (tools/convert_weights.py makes them from .pth, .pt and .h5 checkpoints) and ONNX files. \
             The exit status is 1 when there is something wrong, such as a licence that is not said.",
        )
        .arg(Arg::new("file").value_name("FILE").required(true).help("Weights file: safetensors or ONNX"))
        .arg(json())
}

fn infer() -> Command {
    sub("infer", "Run a network once on arrays")
        .long_about(
            "Run a network once on arrays (.npy or netCDF): for networks whose inputs are no images of a fusion job, such as series of stations, and for whoever \
             wants to see what a network does. Images are fused with `fuse`.",
        )
        .after_long_help(
            "Example:\n  stfusion infer weights.safetensors --input history_data=history.npy -o forecast.npy\n\n\
             Of a netCDF file the variable of the input's name is taken, or its only one, or the one named after it: --input x=series.nc:temperature.\n\n\
             A network with several results writes one file for each, forecast.NAME.npy; a netCDF file takes them all.",
        )
        .arg(Arg::new("file").value_name("FILE").required(true).help("Weights file: safetensors or ONNX"))
        .args([
            repeated("input", "NAME=ARRAY", "An array for the input of this name; repeatable").short('i'),
            option("network", "ID", "The network, where the file does not say it"),
            repeated("set", "NAME=VALUE", "An option of the network; repeatable"),
            option("output", "FILE", "Where the result goes, a .npy or .nc (netCDF) file").short('o').required(true),
            flag("overwrite", "Replace existing files"),
            json(),
        ])
        .next_help_heading("Running")
        .args([threads()])
}

fn demo() -> Command {
    sub("demo", "Write a generated scene with its truth, to try things on")
        .long_about(
            "Write a generated scene: fine and coarse images of one or two pairs, the coarse image and the truth of the target day, cloud masks and a job file. \
             With --run also fuse it, assess the prediction and draw quick-look pictures.",
        )
        .arg(Arg::new("folder").value_name("FOLDER").required(true).help("Folder to write to; created if it does not exist"))
        .args([
            option("size", "N", "Rows and columns of the fine image").value_parser(value_parser!(u64).range(64..=MAX_DEMO_PX)).default_value("720"),
            option("seed", "N", "Seed of the landscape and of the noise").value_parser(value_parser!(u64)).default_value("2022"),
            flag("two-pairs", "Add a pair after the target"),
            flag("no-cloud", "Leave out the cloud over the first pair"),
            option("method", "ID", "Method of the job").short('m').value_parser(method_ids()).default_value("starfm"),
            repeated("param", "NAME=VALUE", "A parameter of the method; repeatable").short('p'),
            flag("run", "Also fuse, assess and draw quick-look pictures"),
            flag("overwrite", "Replace existing files"),
            json().requires("run").help("Print the assessment as JSON"),
        ])
        .next_help_heading("Running")
        .args([threads(), memory()])
}

fn devices() -> Command {
    sub("devices", "List what can compute: the processor and the GPUs, or why there is none")
        .long_about("List what can compute, by the names that --device takes: the processor and every GPU, or why there is no GPU and what to do.")
        .arg(json())
}

fn check() -> Command {
    sub("check", "Describe the installation: versions, processor, devices, memory, methods")
        .long_about("Describe the installation: the text to paste into a report of a problem.")
        .arg(json())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_argument_has_help_in_one_spelling() {
        for sub in command().get_subcommands() {
            assert!(sub.get_about().is_some(), "{}", sub.get_name());
            for arg in sub.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let place = format!("{} {}: {help:?}", sub.get_name(), arg.get_id());
                assert!(help.starts_with(char::is_uppercase) && !help.ends_with('.'), "{place}");
                let long = arg.get_long().unwrap_or_default();
                assert!(long.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{place}");
            }
        }
    }
}
