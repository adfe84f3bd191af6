//! `demo`: a generated scene written to files, and on request fused, assessed and drawn.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ArgMatches;
use gdal::spatial_ref::SpatialRef;
use ndarray::{Array2, ArrayView3, Axis};
use serde_json::json;
use stfusion_core::source::{Format, ImageSource, MaskSource, OutputOptions, PairSource, TargetSource};
use stfusion_core::{Date, Error, ErrorKind, Grid, Region, Result};
use stfusion_engine::{AssessRequest, Context, DatedImage, Job};
use stfusion_raster::{BandSpec, OutputSpec, Writer};
use stfusion_scene::{Demo, DemoImages, Image, BANDS, NODATA, SCALE, WAVELENGTHS_UM};

use crate::failure::{Failure, Outcome};
use crate::fuse;
use crate::request;
use crate::signals;
use crate::terminal::Terminal;

/// Product preset of the masks that the scene comes with.
const QA_PRESET: &str = "landsat_c2";
/// `QA_PIXEL` of a pixel that was not observed.
const QA_FILL: f64 = 1.0;

/// `stfusion demo`.
pub(crate) fn demo(options: &ArgMatches, terminal: &Arc<Terminal>) -> Outcome {
    let folder: &String =
        options.get_one("folder").ok_or_else(|| Failure::usage("No folder given", "Name the folder to write to."))?;
    let size = options.get_one::<u64>("size").map_or(720, |&n| n as usize);
    let seed = options.get_one::<u64>("seed").copied().unwrap_or_default();
    let mut demo = Demo { rows: size, cols: size, seed, cloud: !options.get_flag("no-cloud"), ..Demo::default() };
    if options.get_flag("two-pairs") {
        demo = demo.with_second_pair();
    }
    let names = Names::new(&demo);
    let job = job(&names, options)?;
    let (run, overwrite) = (options.get_flag("run"), options.get_flag("overwrite"));
    let context = request::context(options, terminal)?;
    signals::catch();

    let folder = Folder::create(Path::new(folder), overwrite)?;
    for name in names.all(&job, run) {
        stfusion_raster::check_output(&folder.path(&name), overwrite)?;
    }
    let images = demo.generate();
    folder.write_scene(&names, &images, context.threads())?;
    folder.write_text(JOB, &job.to_json())?;
    folder.write_text(README, &readme(&demo, &names))?;
    let mut written = names.scene();
    let mut report = json!({});
    let mut text = String::new();
    if run {
        let assessment = folder.run(&names, &job, &context, terminal)?;
        let prediction = stfusion_raster::Image::open(&ImageSource::file(folder.path(PREDICTION)))?.read_all()?;
        for (stem, picture) in images.quicklooks(prediction.view(), stfusion_methods::by_id(&job.method)?.info().label) {
            let name = format!("{stem}.png");
            let path = folder.path(&name);
            picture.write_png(Path::new(&path)).map_err(|e| unwritable(&path, &e))?;
            written.push(name);
        }
        written.extend([PREDICTION, SUPPORT, ASSESSMENT].map(String::from));
        folder.write_text(ASSESSMENT, &format!("{:#}\n", json!(assessment)))?;
        report = json!(assessment);
        text = format!("\n{}", assessment.to_text());
    }
    let written: Vec<String> = written.iter().map(|name| folder.path(name)).collect();
    if options.get_flag("json") {
        terminal.result_json(&json!({ "files": written, "assessment": report }))?;
    } else if !terminal.is_quiet() {
        terminal.result(&format!("{}\n{text}", written.join("\n")))?;
    }
    Ok(())
}

const JOB: &str = "job.stf";
const README: &str = "README.txt";
const PREDICTION: &str = "prediction.tif";
const SUPPORT: &str = "support.tif";
const ASSESSMENT: &str = "assessment.json";
const OVERVIEW: &str = "overview.png";

/// Names of the scene's files, by role and date.
struct Names {
    pairs: Vec<PairNames>,
    coarse_target: String,
    truth: String,
    truth_qa: String,
    target: String,
}

struct PairNames {
    date: String,
    fine: String,
    qa: String,
    coarse: String,
}

impl Names {
    fn new(demo: &Demo) -> Self {
        let pair = |date: String| PairNames {
            fine: format!("fine_{date}.tif"),
            qa: format!("fine_{date}_qa.tif"),
            coarse: format!("coarse_{date}.tif"),
            date,
        };
        let target = demo.target.to_string();
        Names {
            pairs: demo.pairs.iter().map(|d| pair(d.to_string())).collect(),
            coarse_target: format!("coarse_{target}.tif"),
            truth: format!("truth_{target}.tif"),
            truth_qa: format!("truth_{target}_qa.tif"),
            target,
        }
    }

    fn scene(&self) -> Vec<String> {
        let pairs = self.pairs.iter().flat_map(|p| [&p.fine, &p.qa, &p.coarse]);
        let rest = [&self.coarse_target, &self.truth, &self.truth_qa];
        pairs.chain(rest).cloned().chain([JOB, README].map(String::from)).collect()
    }

    fn all(&self, job: &Job, run: bool) -> Vec<String> {
        let mut names = self.scene();
        if let (Some(output), true) = (&job.output, run) {
            names.extend([output.path.clone(), ASSESSMENT.into(), OVERVIEW.into()]);
            names.extend(output.support.clone());
        }
        names
    }
}

/// The job of the scene; its names are relative to the job file.
fn job(names: &Names, options: &ArgMatches) -> Outcome<Job> {
    let mut job = Job { method: options.get_one::<String>("method").cloned().unwrap_or_default(), ..Job::default() };
    for pair in &names.pairs {
        job.pairs.push(PairSource {
            date: Some(pair.date.parse()?),
            fine: ImageSource::file(pair.fine.as_str()),
            coarse: ImageSource::file(pair.coarse.as_str()),
            fine_mask: Some(MaskSource::file(pair.qa.as_str(), Some(QA_PRESET))),
            ..PairSource::default()
        });
    }
    job.target = TargetSource {
        date: Some(names.target.parse()?),
        coarse: ImageSource::file(names.coarse_target.as_str()),
        coarse_mask: None,
    };
    job.output = Some(OutputOptions { path: PREDICTION.into(), support: Some(SUPPORT.into()), ..OutputOptions::default() });
    request::set_parameters(&mut job, options)?;
    Ok(job)
}

fn unwritable(path: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Write, format!("{path} cannot be written: {reason}"))
        .with_hint("Choose a folder that exists or can be created, on a disk with enough free space.")
}

/// Where the scene is written to.
struct Folder {
    path: PathBuf,
    overwrite: bool,
}

impl Folder {
    fn create(path: &Path, overwrite: bool) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|e| unwritable(&path.to_string_lossy(), &e))?;
        Ok(Folder { path: path.to_path_buf(), overwrite })
    }

    fn path(&self, name: &str) -> String {
        self.path.join(name).to_string_lossy().into_owned()
    }

    fn write_text(&self, name: &str, text: &str) -> Result<()> {
        stfusion_raster::write_text(&self.path(name), text)
    }

    fn write_scene(&self, names: &Names, images: &DemoImages, threads: usize) -> Result<()> {
        for (k, pair) in names.pairs.iter().enumerate() {
            self.write_image(&pair.fine, &images.fine_pairs[k], threads)?;
            self.write_qa(&pair.qa, &images.fine_qa[k], &images.fine_pairs[k], threads)?;
            self.write_image(&pair.coarse, &images.coarse_pairs[k], threads)?;
        }
        self.write_image(&names.coarse_target, &images.coarse_target, threads)?;
        self.write_image(&names.truth, &images.truth, threads)?;
        self.write_qa(&names.truth_qa, &images.truth_qa, &images.truth, threads)
    }

    /// Reflectance as 16-bit integers with scale and nodata, as the products have it.
    fn write_image(&self, name: &str, image: &Image, threads: usize) -> Result<()> {
        let colors = ["Blue", "Green", "Red", "Undefined", "Undefined", "Undefined"];
        let bands = (0..BANDS.len())
            .map(|k| BandSpec {
                scale: SCALE,
                color: colors[k].into(),
                metadata: vec![("CENTRAL_WAVELENGTH_UM".into(), WAVELENGTHS_UM[k].to_string())],
                ..band(BANDS[k])
            })
            .collect();
        self.write(name, image, bands, "Int16", f64::from(NODATA), image.values.view(), threads)
    }

    fn write_qa(&self, name: &str, qa: &Array2<u16>, like: &Image, threads: usize) -> Result<()> {
        let values = qa.mapv(f32::from).insert_axis(Axis(0));
        self.write(name, like, vec![band("QA_PIXEL")], "UInt16", QA_FILL, values.view(), threads)
    }

    #[allow(clippy::too_many_arguments, reason = "one private call for two kinds of raster")]
    fn write(
        &self,
        name: &str,
        place: &Image,
        bands: Vec<BandSpec>,
        data_type: &str,
        nodata: f64,
        values: ArrayView3<'_, f32>,
        threads: usize,
    ) -> Result<()> {
        let (_, rows, cols) = values.dim();
        let crs = SpatialRef::from_definition(&place.crs).and_then(|s| s.to_wkt());
        let crs = crs.map_err(|e| Error::internal(format!("{name}: CRS {}: {e}", place.crs)))?;
        let spec = OutputSpec {
            grid: Grid { rows, cols, transform: Some(place.transform), crs: Some(crs) },
            bands,
            data_type: data_type.into(),
            nodata,
            metadata: vec![("TIFFTAG_DATETIME".into(), format!("{} 12:00:00", place.date.to_string().replace('-', ":")))],
            format: Format::GTiff,
            creation_options: Vec::new(),
            overwrite: self.overwrite,
            threads,
        };
        let mut writer = Writer::create(&self.path(name), &spec)?;
        writer.write(Region::whole(rows, cols), values)?;
        writer.finish(&mut |_| signals::received().is_none())
    }

    /// Runs the job and compares its prediction with the truth.
    fn run(
        &self,
        names: &Names,
        job: &Job,
        context: &Context,
        terminal: &Arc<Terminal>,
    ) -> Outcome<stfusion_core::metrics::Assessment> {
        let mut job = Job::from_json(&job.to_json(), Some(&self.path))?;
        if let Some(output) = &mut job.output {
            output.overwrite = self.overwrite;
        }
        fuse::run(&job, context, terminal)?;
        let image = |name: &str| ImageSource::file(self.path(name));
        let mut fine = Vec::new();
        for pair in &names.pairs {
            let mask = Some(MaskSource::file(self.path(&pair.qa), Some(QA_PRESET)));
            fine.push(DatedImage { date: Some(pair.date.parse::<Date>()?), image: image(&pair.fine), mask });
        }
        let request = AssessRequest {
            prediction: image(PREDICTION),
            truth: image(&names.truth),
            truth_mask: Some(MaskSource::file(self.path(&names.truth_qa), Some(QA_PRESET))),
            fine,
            coarse: names.pairs.iter().map(|p| image(&p.coarse)).collect(),
            target: Some(DatedImage { date: Some(names.target.parse()?), image: image(&names.coarse_target), mask: None }),
            data_range: None,
            grid: job.grid.clone(),
        };
        Ok(stfusion_engine::assess(&request, context, &mut |_, _| signals::received().is_none())?)
    }
}

fn band(description: &str) -> BandSpec {
    BandSpec {
        description: description.into(),
        scale: 1.0,
        offset: 0.0,
        color: "Gray".into(),
        unit: String::new(),
        metadata: Vec::new(),
    }
}

/// What the folder holds, for whoever finds it.
fn readme(demo: &Demo, names: &Names) -> String {
    let mut text = format!(
        "A generated scene of {} x {} fine pixels, written by `stfusion demo` (seed {}).\n\n",
        demo.cols, demo.rows, demo.seed
    );
    for (k, pair) in names.pairs.iter().enumerate() {
        text.push_str(&format!("pair {}, {}: {} with mask {}, and {}\n", k + 1, pair.date, pair.fine, pair.qa, pair.coarse));
    }
    text.push_str(&format!(
        "target, {}: {}\ntruth, which no job may read: {} with mask {}\n\n\
         Fine images: 30 m, UTM zone 33 north, like Landsat. Coarse images: 463 m, sinusoidal, like MODIS.\n\
         Six bands ({}), stored as reflectance x 10000.\n\n\
         Fuse:    stfusion fuse {JOB}\n\
         Assess:  stfusion assess {PREDICTION} {} --fine {} --fine-mask {} --fine-mask-preset {QA_PRESET} --coarse-pair {} --coarse-target {}\n",
        names.target,
        names.coarse_target,
        names.truth,
        names.truth_qa,
        BANDS.join(", "),
        names.truth,
        names.pairs.iter().map(|p| p.fine.as_str()).collect::<Vec<_>>().join(" --fine "),
        names.pairs.iter().map(|p| p.qa.as_str()).collect::<Vec<_>>().join(" --fine-mask "),
        names.pairs.iter().map(|p| p.coarse.as_str()).collect::<Vec<_>>().join(" --coarse-pair "),
        names.coarse_target,
    ));
    text
}
