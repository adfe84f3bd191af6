//! From a weights file to a program for patches of one size.
//!
//! Reading, checking and preparing weights takes up to some seconds, and a job is planned more than once (for every overview of a
//! layer, say), so what is in use is shared.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use stfusion_core::{Error, ErrorKind, Result};
use stfusion_nn::cpu::Program;
use stfusion_nn::graph::Graph;
use stfusion_nn::onnx::{Extent, Model};
use stfusion_nn::weights::{Metadata, Weights};
use stfusion_nn::zoo;
use stfusion_simd::Path;

/// Where the graph of a network comes from.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// From this network of the zoo; the file is its weights.
    Zoo(&'static zoo::Network),
    /// From the file.
    Onnx,
}

/// A network's file, read and checked.
#[derive(Debug)]
pub struct Source {
    kind: Kind,
    bytes: usize,
}

#[derive(Debug)]
enum Kind {
    Zoo(&'static zoo::Network, Box<Weights>),
    Onnx(Box<Model>),
}

/// What of its patch a network predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predicted {
    /// Every pixel.
    Patch,
    /// The pixel in the middle alone.
    Pixel,
}

/// A program and the place of the prediction among its results.
pub struct Ready {
    /// The program.
    pub program: Program,
    /// Number of the prediction.
    pub output: usize,
}

/// What makes two programs the same: contents of the file, shapes of the inputs, options.
#[derive(Debug, PartialEq)]
struct Key {
    /// Held, so that no other file can take its place in memory.
    contents: Arc<[u8]>,
    network: &'static str,
    shapes: Vec<(String, Vec<usize>)>,
    options: BTreeMap<String, String>,
    path: Path,
}

/// Contents of a file, the network that they were read for, and what was read.
type Known = (Arc<[u8]>, &'static str, Weak<Source>);

static PROGRAMS: Mutex<Vec<(Key, Weak<Ready>)>> = Mutex::new(Vec::new());
static SOURCES: Mutex<Vec<Known>> = Mutex::new(Vec::new());

impl Origin {
    fn id(self) -> &'static str {
        match self {
            Origin::Zoo(network) => network.id,
            Origin::Onnx => "onnx",
        }
    }

    /// Reads the file `contents`, which messages call `name`.
    ///
    /// # Errors
    /// Those of [`Weights::from_bytes`] and [`Model::from_bytes`].
    pub fn read(self, contents: &Arc<[u8]>, name: &str) -> Result<Arc<Source>> {
        let mut known = SOURCES.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, _, source)| source.strong_count() > 0);
        let held = known.iter().find(|(bytes, id, _)| Arc::ptr_eq(bytes, contents) && *id == self.id());
        if let Some(source) = held.and_then(|(_, _, source)| source.upgrade()) {
            return Ok(source);
        }
        let kind = match self {
            Origin::Zoo(network) => Kind::Zoo(network, Box::new(Weights::from_bytes(contents, name)?)),
            Origin::Onnx => Kind::Onnx(Box::new(Model::from_bytes(contents.to_vec(), name)?)),
        };
        let source = Arc::new(Source { kind, bytes: contents.len() });
        known.push((Arc::clone(contents), self.id(), Arc::downgrade(&source)));
        Ok(source)
    }
}

impl Source {
    /// Pairs that the weights are for, where they alone decide.
    pub fn references(&self) -> Option<usize> {
        match &self.kind {
            Kind::Zoo(network, weights) => network.references(weights.as_ref()),
            Kind::Onnx(_) => None,
        }
    }

    /// What the file says about the network.
    pub fn metadata(&self) -> Option<&Metadata> {
        match &self.kind {
            Kind::Zoo(_, weights) => weights.metadata(),
            Kind::Onnx(model) => model.metadata(),
        }
    }

    /// Bytes that the file and what was read of it hold.
    pub fn bytes(&self) -> usize {
        2 * self.bytes
    }

    /// The shape of a tensor of this name.
    pub fn shape_of(&self, tensor: &str) -> Option<&[usize]> {
        match &self.kind {
            Kind::Zoo(_, weights) => weights.get(tensor).map(|weight| weight.tensor.shape()),
            Kind::Onnx(_) => None,
        }
    }

    /// Names of the inputs, where the file gives them.
    pub fn input_names(&self) -> Option<Vec<String>> {
        match &self.kind {
            Kind::Zoo(..) => None,
            Kind::Onnx(model) => Some(model.inputs().iter().map(|input| input.name.clone()).collect()),
        }
    }

    /// Rows and columns of an image that the input of this name takes, where the file says so.
    pub fn size_of(&self, name: &str) -> Option<(usize, usize)> {
        let Kind::Onnx(model) = &self.kind else { return None };
        let input = model.inputs().iter().find(|input| input.name == name)?;
        match input.extents.as_deref()? {
            [_, _, Extent::Fixed(rows), Extent::Fixed(cols)] => Some((*rows, *cols)),
            _ => None,
        }
    }

    /// The program for inputs of these names and shapes.
    ///
    /// # Errors
    /// The file's tensors are not those of the network, or it cannot take images of these shapes.
    pub fn program(
        &self,
        contents: &Arc<[u8]>,
        shapes: &[(&str, Vec<usize>)],
        options: &BTreeMap<String, String>,
        path: Path,
    ) -> Result<Arc<Ready>> {
        let network = match &self.kind {
            Kind::Zoo(network, _) => network.id,
            Kind::Onnx(_) => "onnx",
        };
        let key = Key {
            contents: Arc::clone(contents),
            network,
            shapes: shapes.iter().map(|(name, shape)| ((*name).to_string(), shape.clone())).collect(),
            options: options.clone(),
            path,
        };
        let mut known = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, ready)| ready.strong_count() > 0);
        let same = |other: &Key| {
            Arc::ptr_eq(&other.contents, &key.contents)
                && (other.network, &other.shapes, &other.options, other.path)
                    == (key.network, &key.shapes, &key.options, key.path)
        };
        if let Some(ready) = known.iter().find(|(other, _)| same(other)).and_then(|(_, ready)| ready.upgrade()) {
            return Ok(ready);
        }
        let graph = self.graph(shapes, options)?;
        let output = graph.outputs().iter().position(|port| port.name == "fine_t2").unwrap_or(0);
        let ready = Arc::new(Ready { program: Program::compile(&graph, path)?, output });
        known.push((key, Arc::downgrade(&ready)));
        Ok(ready)
    }

    /// The graph for inputs of these names and shapes.
    ///
    /// # Errors
    /// As [`Source::program`].
    pub fn graph(&self, shapes: &[(&str, Vec<usize>)], options: &BTreeMap<String, String>) -> Result<Graph> {
        match &self.kind {
            Kind::Zoo(network, weights) => network.graph(weights.as_ref(), shapes, options),
            Kind::Onnx(model) => {
                let shapes: Vec<(&str, &[usize])> = shapes.iter().map(|(name, shape)| (*name, shape.as_slice())).collect();
                model.graph(&shapes)
            }
        }
    }
}

impl Ready {
    /// The shape of the prediction.
    pub fn output_shape(&self) -> Vec<usize> {
        let graph = self.program.graph();
        graph.outputs().get(self.output).map(|port| graph.shape(port.value).to_vec()).unwrap_or_default()
    }

    /// Memory of one run, inputs and results included.
    pub fn bytes(&self) -> usize {
        let graph = self.program.graph();
        let ports = graph.inputs().iter().chain(graph.outputs());
        self.program.arena_bytes() + self.program.scratch_bytes() + ports.map(|port| graph.ty(port.value).bytes()).sum::<usize>()
    }

    /// What of a patch of `size` rows and columns is predicted. The estimate of a `sampled` network, one of diffusion, may have as many
    /// further bands, which tell of the variance.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] naming both shapes when there is not one value for each band and pixel of the patch, nor one for each band.
    pub fn predicted(&self, label: &str, bands: usize, (rows, cols): (usize, usize), sampled: bool) -> Result<Predicted> {
        let (got, expected) = (self.output_shape(), [1, bands, rows, cols]);
        if got == expected || sampled && got == [1, 2 * bands, rows, cols] {
            return Ok(Predicted::Patch);
        }
        if !sampled && (got == [1, bands, 1, 1] || got == [1, bands]) {
            return Ok(Predicted::Pixel);
        }
        Err(Error::new(ErrorKind::Data, format!("{label} yields an image of shape {got:?}; expected {expected:?}")).with_hint(
            "Use weights that were trained with as many bands as the images have, or choose bands with grid.bands in the job.",
        ))
    }
}
