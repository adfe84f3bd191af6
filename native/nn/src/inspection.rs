//! A weights file described: the network, how images are prepared for it, what it was trained on, and what is wrong with it.
//!
//! The command line, the C ABI and the dialogs show the same facts; what a file does not say but was published about its network
//! is shown as such.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::Serialize;
use stfusion_core::param::Choices as _;
use stfusion_core::Result;

use crate::onnx::Model;
use crate::weights::metadata::{CoarseGrid, Metadata, PerBand, Role, ValueRange};
use crate::weights::{published, Weights};
use crate::zoo;

/// Fine pixels per side of the images with which a network's tensors are checked, where its tiles have no size.
const SIDE_PX: usize = 64;

/// Bytes at the beginning of a file that tell what it is.
const START_BYTES: u64 = 9;

/// What there is to know of a weights file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Its name, or what the caller called the bytes.
    pub file: String,
    /// `safetensors` or `onnx`.
    pub format: &'static str,
    /// Its size.
    pub bytes: u64,
    /// Id of the network, if it is said.
    pub network: Option<String>,
    /// The network's name in the literature, if it is known.
    pub network_name: Option<String>,
    /// Floating-point numbers in all tensors.
    pub parameters: usize,
    /// Number of tensors.
    pub tensors: usize,
    /// Formats that the numbers are stored in, with the number of tensors.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stored: BTreeMap<&'static str, usize>,
    /// Of an ONNX file: the graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphFacts>,
    /// What the file says, completed by what was published.
    pub description: Metadata,
    /// Whether the file says anything itself.
    pub described: bool,
    /// What hinders or endangers the use of the file.
    pub problems: Vec<String>,
}

/// Facts of an ONNX graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GraphFacts {
    /// Program that wrote it.
    pub producer: String,
    /// Version of the operator set.
    pub opset: i64,
    /// Number of operators.
    pub operators: usize,
    /// Inputs with their extents: `fine_t1 (1, 6, rows, cols)`.
    pub inputs: Vec<String>,
    /// Names of the results.
    pub outputs: Vec<String>,
}

/// Describes a file: an ONNX file by its ending or beginning, any other as safetensors.
///
/// # Errors
/// Those of [`Weights::read`] and [`Model::read`].
pub fn inspect(path: &Path) -> Result<Inspection> {
    let length = std::fs::metadata(path).map_or(0, |facts| facts.len());
    if is_onnx_file(path) {
        return Ok(of_model(&Model::read(path)?, length));
    }
    Ok(of_weights(&Weights::read(path)?, length))
}

/// Describes a file that lies in memory; messages call it `origin`.
///
/// # Errors
/// Those of [`Weights::from_bytes`] and [`Model::from_bytes`].
pub fn inspect_bytes(bytes: Vec<u8>, origin: &str) -> Result<Inspection> {
    let length = bytes.len() as u64;
    if is_onnx(&bytes, origin) {
        return Ok(of_model(&Model::from_bytes(bytes, origin)?, length));
    }
    Ok(of_weights(&Weights::from_bytes(&bytes, origin)?, length))
}

/// Whether a file is ONNX, by its ending or beginning; one that cannot be opened is not.
pub fn is_onnx_file(path: &Path) -> bool {
    let mut start = Vec::new();
    // what cannot be opened is told by the readers
    let _ = File::open(path).and_then(|file| file.take(START_BYTES).read_to_end(&mut start));
    is_onnx(&start, &path.display().to_string())
}

/// Whether bytes, called `origin`, are rather an ONNX file than a safetensors file, whose ninth byte opens its header.
pub fn is_onnx(bytes: &[u8], origin: &str) -> bool {
    let is_safetensors = bytes.get(8) == Some(&b'{');
    origin.to_ascii_lowercase().ends_with(".onnx") || !is_safetensors && bytes.first() == Some(&0x08)
}

fn of_weights(weights: &Weights, bytes: u64) -> Inspection {
    let mut stored = BTreeMap::new();
    for (_, weight) in weights.iter() {
        *stored.entry(weight.stored.name()).or_insert(0) += 1;
    }
    let metadata = weights.metadata().map(|metadata| {
        let pairs = zoo::network(&metadata.network).and_then(|network| network.references(weights));
        metadata.clone().with_references(pairs)
    });
    let mut inspection = begun(weights.origin(), "safetensors", bytes, metadata.as_ref());
    (inspection.parameters, inspection.tensors, inspection.stored) = (weights.parameters(), weights.len(), stored);
    match (&inspection.network, zoo::network(&inspection.description.network)) {
        (None, _) => inspection.problems.push(
            "It does not say which network it belongs to; convert it with tools/convert_weights.py, which asks for the network."
                .into(),
        ),
        (Some(id), None) => inspection.problems.push(format!("The network {id} is not known to this build.")),
        (Some(_), Some(network)) => inspection.problems.extend(misfit(network, weights, &inspection.description)),
    }
    if weights.is_empty() {
        inspection.problems.push("It holds no tensors.".into());
    }
    inspection
}

fn of_model(model: &Model, bytes: u64) -> Inspection {
    let mut inspection = begun(model.origin(), "onnx", bytes, model.metadata());
    (inspection.parameters, inspection.tensors) = (model.parameters(), model.initialisers());
    let extents = |input: &crate::onnx::Input| match &input.extents {
        Some(extents) => format!("{} ({})", input.name, extents.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        None => input.name.clone(),
    };
    inspection.graph = Some(GraphFacts {
        producer: model.producer().into(),
        opset: model.opset(),
        operators: model.operators(),
        inputs: model.inputs().iter().map(extents).collect(),
        outputs: model.outputs().to_vec(),
    });
    let described = &inspection.description.inputs;
    if described.is_empty() {
        inspection.problems.push("It does not say which image is fed to which input (metadata key stfusion, inputs).".into());
    }
    for input in described {
        if model.inputs().iter().all(|i| i.name != input.name) {
            inspection.problems.push(format!("Its description feeds the input {:?}, which the graph has not.", input.name));
        }
    }
    if let Some(input) = model.inputs().iter().find(|i| !described.is_empty() && described.iter().all(|d| d.name != i.name)) {
        inspection.problems.push(format!("Its description feeds nothing to the input {:?}.", input.name));
    }
    let sized = model
        .inputs()
        .iter()
        .all(|i| i.extents.as_ref().is_some_and(|e| e.iter().all(|e| matches!(e, crate::onnx::Extent::Fixed(_)))));
    if sized {
        if let Err(error) = model.graph(&[]) {
            inspection.problems.push(error.message().into());
        }
    }
    inspection
}

fn begun(file: &str, format: &'static str, bytes: u64, metadata: Option<&Metadata>) -> Inspection {
    let description = metadata.map(Metadata::completed).unwrap_or_default();
    let network = Some(description.network.clone()).filter(|id| !id.is_empty());
    let name =
        published::by_id(&description.network).map(|n| n.label).or_else(|| zoo::network(&description.network).map(|n| n.name));
    let mut problems = Vec::new();
    if description.licence.is_empty() {
        problems.push("It does not say under which licence it may be used.".into());
    }
    Inspection {
        file: file.into(),
        format,
        bytes,
        network,
        network_name: name.map(str::to_owned),
        parameters: 0,
        tensors: 0,
        stored: BTreeMap::new(),
        graph: None,
        description,
        described: metadata.is_some(),
        problems,
    }
}

/// What is wrong with the tensors of a network, where its bands and inputs are known.
fn misfit(network: &zoo::Network, weights: &Weights, description: &Metadata) -> Option<String> {
    let bands = description.bands.len();
    // networks of the zoo take every image by its own name
    let roles: Vec<_> = description.inputs.iter().flat_map(|input| input.images.iter().copied()).collect();
    let names: Option<Vec<_>> = roles.iter().map(|role| role.zoo_input()).collect();
    let names = names.filter(|n| bands > 0 && !n.is_empty())?;
    let multiple = description.tile.multiple.unwrap_or(1);
    let side = description.tile.size.unwrap_or(SIDE_PX.next_multiple_of(multiple));
    let coarse = match description.coarse {
        Some(CoarseGrid::Coarse { factor }) => side / factor,
        _ => side,
    };
    let shape = |role: &Role| {
        let side = if role.is_on_coarse_grid() { coarse } else { side };
        vec![1, role.bands(bands), side, side]
    };
    let images: Vec<(&str, Vec<usize>)> = names.into_iter().zip(roles.iter().map(shape)).collect();
    network.graph(weights, &images, &description.option_texts()).err().map(|e| e.message().to_owned())
}

impl Inspection {
    /// The description as text, a fact a line.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: String| {
            if !value.is_empty() {
                // writing to a String cannot fail
                let _ = writeln!(text, "{label:<14}{value}");
            }
        };
        let d = &self.description;
        line("File", self.file.clone());
        let stored: Vec<_> = self.stored.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let stored = if stored.is_empty() { String::new() } else { format!(" ({})", stored.join(", ")) };
        line("Format", format!("{}, {}", self.format, size(self.bytes)));
        line(
            "Network",
            match (&self.network, &self.network_name) {
                (Some(id), Some(name)) => format!("{name} ({id})"),
                (Some(id), None) => id.clone(),
                _ => "not said".into(),
            },
        );
        line("Parameters", format!("{} in {} tensors{stored}", self.parameters, self.tensors));
        if let Some(graph) = &self.graph {
            line("Graph", format!("{} operators of set {}, from {}", graph.operators, graph.opset, graph.producer));
            line("Inputs", graph.inputs.join(", "));
            line("Outputs", graph.outputs.join(", "));
        }
        line("Bands", d.bands.join(", "));
        let fed = |i: &crate::weights::metadata::Input| i.images.iter().map(|r| r.id()).collect::<Vec<_>>().join(" + ");
        line("Images", d.inputs.iter().map(fed).collect::<Vec<_>>().join(", "));
        line("Fine values", d.scaling.fine.as_ref().map(range).unwrap_or_default());
        line("Coarse values", d.scaling.coarse.as_ref().map(range).unwrap_or_default());
        line(
            "Centred",
            if d.scaling.centred == Some(true) { "every band less its mean over the image".into() } else { String::new() },
        );
        line(
            "Coarse grid",
            match d.coarse {
                Some(CoarseGrid::Fine { resampling }) => format!("resampled onto the fine grid ({})", resampling.id()),
                Some(CoarseGrid::Coarse { factor }) => format!("its own, {factor} fine pixels per coarse pixel"),
                None => String::new(),
            },
        );
        line("Tiles", tiles(d));
        let options: Vec<_> = d.options.iter().map(|(name, choice)| format!("{name} = {choice}")).collect();
        line("Options", options.join(", "));
        let training = [&d.training.data_set, &d.training.sensors, &d.training.date, &d.training.notes];
        line("Training", training.into_iter().filter(|t| !t.is_empty()).cloned().collect::<Vec<_>>().join("; "));
        line("Licence", d.licence.clone());
        let doi = if d.reference.doi.is_empty() { String::new() } else { format!(" doi:{}", d.reference.doi) };
        line("Reference", format!("{}{doi}", d.reference.citation));
        line("Source", d.source.clone());
        for problem in &self.problems {
            line("Problem", problem.clone());
        }
        text
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

fn range(range: &ValueRange) -> String {
    let numbers = |numbers: &PerBand| match numbers {
        PerBand::All(number) => number.to_string(),
        PerBand::Each(each) => format!("[{}]", each.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")),
    };
    let limits = range.clip.map_or(String::new(), |[low, high]| format!(", of values from {low} to {high}"));
    format!("x {} + {}{limits}", numbers(&range.scale), numbers(&range.offset))
}

fn tiles(d: &Metadata) -> String {
    let mut parts = Vec::new();
    if let Some(size) = d.tile.size {
        parts.push(format!("{size} x {size} pixels{}", if d.tile.fixed == Some(true) { ", no other size" } else { "" }));
    }
    if let Some(multiple) = d.tile.multiple {
        parts.push(format!("multiples of {multiple}"));
    }
    if let Some(overlap) = d.tile.overlap {
        parts.push(format!("{overlap} shared with neighbours"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;
    use crate::weights::{safetensors, Weight};

    #[test]
    fn networks_whose_names_are_of_several_words_are_known() {
        let mut weights = stfnet(&["red"]);
        for network in zoo::NETWORKS {
            weights.set_metadata(Metadata { network: network.id_in_files(), ..Metadata::default() });
            let found = of_weights(&weights, 1);
            assert!(found.problems.iter().all(|p| !p.contains("is not known")), "{:?}", found.problems);
        }
    }

    fn stfnet(bands: &[&str]) -> Weights {
        let mut weights = Weights::new("w");
        weights.insert("a.weight", Weight::new(Tensor::from_f32(&[2, 3], vec![0.5; 6]).unwrap()));
        let bands = bands.iter().map(|b| (*b).to_owned()).collect();
        weights.set_metadata(Metadata { network: "stfnet".into(), bands, ..Metadata::default() });
        weights
    }

    #[test]
    fn what_is_said_and_what_was_published_is_shown() {
        let bytes = safetensors::to_bytes(&stfnet(&[])).unwrap();
        let inspection = inspect_bytes(bytes, "w.safetensors").unwrap();
        let text = inspection.to_text();
        for expected in [
            "File          w.safetensors\n",
            "Network       StfNet (stfnet)\n",
            "Parameters    6 in 1 tensors (1 F32)\n",
            "Images        coarse_pair1, coarse_target, coarse_pair2, fine_pair1, fine_pair2\n",
            "Fine values   x 1 + 0\n",
            "Coarse grid   resampled onto the fine grid (bilinear)\n",
            "doi:10.1109/TGRS.2019.2907310\n",
            "Problem       It does not say under which licence it may be used.\n",
        ] {
            assert!(text.contains(expected), "{text}\nexpected {expected}");
        }
        let json = serde_json::to_value(&inspection).unwrap();
        assert_eq!(json["parameters"], 6);
        assert_eq!(json["description"]["reference"]["doi"], "10.1109/TGRS.2019.2907310");
    }

    #[test]
    fn tensors_of_another_network_are_a_problem() {
        let bytes = safetensors::to_bytes(&stfnet(&["red", "nir"])).unwrap();
        let problems = inspect_bytes(bytes, "w").unwrap().problems;
        assert!(problems.iter().any(|p| p.contains("a.weight")), "{problems:?}");
        let mut stranger = stfnet(&[]);
        stranger.set_metadata(Metadata { network: "stranger".into(), licence: "MIT".into(), ..Metadata::default() });
        let problems = inspect_bytes(safetensors::to_bytes(&stranger).unwrap(), "w").unwrap().problems;
        assert_eq!(problems, ["The network stranger is not known to this build."]);
    }

    #[test]
    fn files_are_told_apart_by_what_they_hold() {
        let safetensors = safetensors::to_bytes(&stfnet(&[])).unwrap();
        assert!(!is_onnx(&safetensors, "w.bin"));
        assert!(is_onnx(&[0x08, 0x08], "w.bin") && is_onnx(b"", "W.ONNX"));
        let error = inspect_bytes(vec![0x08, 0xff], "w.bin").unwrap_err();
        assert!(error.message().starts_with("w.bin: is not an ONNX file"), "{error}");
        assert!(inspect(Path::new("/no/such")).unwrap_err().message().ends_with("No such file or directory"));
    }
}
