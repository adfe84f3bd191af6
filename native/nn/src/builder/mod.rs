//! How a network is written: layers that take their parameters from the weights by published names, and values that read like the
//! formulas of the paper.
//!
//! Nothing a network's file calls returns an error. What goes wrong is collected, and [`Builder::finish`] tells it at once: every
//! tensor that is missing, superfluous or of the wrong shape in one message, or else the first operator whose operands do not fit.
//! After such a failure values have no shape, and [`Var::dim`] says 1.
//!
//! ```
//! use std::collections::BTreeMap;
//! use stfusion_nn::builder::{Builder, Conv};
//! use stfusion_nn::{DType, Tensor};
//!
//! let mut weights = BTreeMap::new();
//! weights.insert("head.weight".to_string(), Tensor::zeros(&[4, 2, 3, 3], DType::F32).into());
//! weights.insert("head.bias".to_string(), Tensor::zeros(&[4], DType::F32).into());
//! let b = Builder::new("example", &weights, &[("image", vec![1, 2, 8, 8])]);
//! let width = b.size("head.weight", 0);
//! let x = b.input("image");
//! let y = b.root().conv("head", x, Conv::new(width, 3).pad(1)).relu();
//! b.output("image", y * 2.0);
//! let graph = b.finish()?;
//! assert_eq!(graph.shape(graph.outputs()[0].value), [1, 4, 8, 8]);
//! # Ok::<(), stfusion_core::Error>(())
//! ```

mod layers;
mod var;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

pub use layers::{Conv, Extent, Window};
use stfusion_core::{Error, ErrorKind, Result};
pub use var::Var;

use crate::graph::{Graph, Role, Type, ValueId};
use crate::ops::Op;
use crate::tensor::{DType, Shape, Tensor};

/// Named tensors: what a weights file holds.
pub trait Tensors {
    /// Every name.
    fn names(&self) -> Vec<&str>;
    /// The tensor of a name.
    fn tensor(&self, name: &str) -> Option<Arc<Tensor>>;
}

impl Tensors for BTreeMap<String, Arc<Tensor>> {
    fn names(&self) -> Vec<&str> {
        self.keys().map(String::as_str).collect()
    }

    fn tensor(&self, name: &str) -> Option<Arc<Tensor>> {
        self.get(name).cloned()
    }
}

/// A network under construction.
pub struct Builder<'w> {
    network: String,
    weights: &'w dyn Tensors,
    images: BTreeMap<String, Vec<usize>>,
    options: BTreeMap<String, String>,
    state: RefCell<State>,
}

/// What has been built and what went wrong.
#[derive(Default)]
struct State {
    graph: Graph,
    /// The layer that values are computed for, for messages.
    place: String,
    known: BTreeMap<String, ValueId>,
    used: BTreeSet<String>,
    missing: BTreeMap<String, Option<Vec<usize>>>,
    misshapen: BTreeMap<String, (Type, Type)>,
    given: BTreeSet<String>,
    failure: Option<Error>,
}

impl<'w> Builder<'w> {
    /// A builder of `network` (a name for messages) with its weights, for images of given names and shapes.
    pub fn new(network: &str, weights: &'w dyn Tensors, images: &[(&str, Vec<usize>)]) -> Self {
        let images = images.iter().map(|(name, shape)| (name.to_string(), shape.clone())).collect();
        Builder { network: network.into(), weights, images, options: BTreeMap::new(), state: RefCell::default() }
    }

    /// The same builder with what shapes cannot tell (a variant, the steps of a sampler), as the weights' metadata says it.
    #[must_use]
    pub fn with_options(mut self, options: BTreeMap<String, String>) -> Self {
        self.options = options;
        self
    }

    /// An option of the network.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Whether an image of this name was given.
    pub fn has_input(&self, name: &str) -> bool {
        self.images.contains_key(name)
    }

    /// The image of this name.
    pub fn input(&self, name: &str) -> Var<'_> {
        self.input_of(name, DType::F32)
    }

    /// The input of this name, with elements of any type.
    pub fn input_of(&self, name: &str, dtype: DType) -> Var<'_> {
        let mut state = self.state.borrow_mut();
        state.given.insert(name.into());
        let id = match self.images.get(name) {
            Some(shape) => state.graph.input(name, Type::new(dtype, shape.clone())),
            None => {
                let names: Vec<&str> = self.images.keys().map(String::as_str).collect();
                let given =
                    if names.is_empty() { "nothing was given".into() } else { format!("given were {}", names.join(", ")) };
                Err(Error::new(ErrorKind::Data, format!("{} needs the input {name}, but {given}", self.network)))
            }
        };
        let id = state.keep(id);
        Var { builder: self, id }
    }

    /// A tensor that belongs to the architecture.
    pub fn constant(&self, tensor: Tensor) -> Var<'_> {
        let id = self.state.borrow_mut().graph.constant(tensor);
        Var { builder: self, id: Some(id) }
    }

    /// A number that belongs to the architecture.
    pub fn number(&self, value: f32) -> Var<'_> {
        self.constant(Tensor::scalar(value))
    }

    /// Names a result of the network.
    pub fn output(&self, name: &str, value: Var<'_>) {
        let mut state = self.state.borrow_mut();
        if let Some(id) = value.id {
            let done = state.graph.output(name, id);
            state.keep(done);
        }
    }

    /// The length of an axis of a tensor of the weights, from which the network takes a width. Missing tensors and axes are told by
    /// [`Builder::finish`]; 1 then.
    pub fn size(&self, tensor: &str, axis: usize) -> usize {
        match self.weights.tensor(tensor).and_then(|t| t.shape().get(axis).copied()) {
            Some(n) if n > 0 => n,
            _ => {
                self.state.borrow_mut().missing.entry(tensor.into()).or_insert(None);
                1
            }
        }
    }

    /// Whether the weights hold a tensor of this name.
    pub fn has(&self, tensor: &str) -> bool {
        self.weights.tensor(tensor).is_some()
    }

    /// How many of `prefix0suffix`, `prefix1suffix`, … the weights hold without a gap: the depth of a repeated block.
    pub fn count(&self, prefix: &str, suffix: &str) -> usize {
        (0..).take_while(|i| self.has(&format!("{prefix}{i}{suffix}"))).count()
    }

    /// The layers without a prefix.
    pub fn root(&self) -> Scope<'_> {
        self.scope("")
    }

    /// The layers whose names begin with `name.`.
    pub fn scope(&self, name: &str) -> Scope<'_> {
        Scope { builder: self, name: name.into() }
    }

    /// Says that something is wrong with what was asked, in a sentence about the user's data; the first such sentence is told.
    pub fn refuse(&self, message: impl Into<String>) {
        let error = Error::new(ErrorKind::Data, format!("{}: {}", self.network, message.into()));
        self.state.borrow_mut().failure.get_or_insert(error);
    }

    /// Says that a tensor of the weights is known but not needed (a counter, a layer that the published network never calls).
    pub fn unused(&self, tensor: &str) {
        self.state.borrow_mut().used.insert(tensor.into());
    }

    /// The graph.
    ///
    /// # Errors
    /// Tensors of the weights are missing, superfluous or of the wrong shape, all told at once; an image is missing, superfluous or
    /// has an impossible size.
    pub fn finish(self) -> Result<Graph> {
        let state = self.state.into_inner();
        let names = self.weights.names();
        // PyTorch counts the batches that a normalisation has seen; no network needs the number
        let ignored = |name: &str| name.ends_with("num_batches_tracked");
        let superfluous: Vec<&str> = names.into_iter().filter(|n| !state.used.contains(*n) && !ignored(n)).collect();
        let fits = state.missing.is_empty() && state.misshapen.is_empty();
        match state.failure {
            // a network that broke off has not come to all of its tensors
            Some(failure) if fits => return Err(failure),
            None if fits && superfluous.is_empty() => (),
            _ => return Err(unfit(&self.network, &state, &superfluous)),
        }
        let strangers: Vec<&str> = self.images.keys().filter(|n| !state.given.contains(*n)).map(String::as_str).collect();
        if !strangers.is_empty() {
            let known: Vec<&str> = state.given.iter().map(String::as_str).collect();
            let message = format!("{} has no input {}", self.network, strangers.join(", "));
            return Err(Error::new(ErrorKind::Data, message).with_hint(format!("Its inputs are {}.", known.join(", "))));
        }
        Ok(state.graph)
    }

    fn add(&self, op: impl Into<Op>, inputs: &[Var<'_>]) -> Vec<Var<'_>> {
        let op = op.into();
        let results = match op {
            Op::Recurrent(r) if r.cell == crate::ops::Cell::Lstm => 3,
            Op::Recurrent(_) => 2,
            _ => 1,
        };
        let ids: Option<Vec<ValueId>> = inputs.iter().map(|v| v.id).collect();
        let mut state = self.state.borrow_mut();
        let outputs = ids.and_then(|ids| {
            let place = state.place.clone();
            let outputs = state.graph.add(&place, op, &ids);
            state.keep(outputs)
        });
        drop(state);
        let var = |id| Var { builder: self, id };
        outputs.map_or_else(|| vec![var(None); results], |ids| ids.into_iter().map(|id| var(Some(id))).collect())
    }

    fn one(&self, op: impl Into<Op>, inputs: &[Var<'_>]) -> Var<'_> {
        self.add(op, inputs)[0]
    }

    /// The tensor `name` of the weights, which must have this type (of any length where `None`).
    fn parameter(&self, name: &str, role: Role, ty: &Type) -> Var<'_> {
        let mut state = self.state.borrow_mut();
        state.used.insert(name.into());
        if let Some(&id) = state.known.get(name) {
            drop(state);
            return Var { builder: self, id: Some(id) };
        }
        // after a failure values have no shapes, and what follows from that says nothing about the weights
        let certain = state.failure.is_none();
        let tensor = match self.weights.tensor(name) {
            None => {
                state.missing.entry(name.into()).or_insert_with(|| certain.then(|| ty.shape.clone()));
                None
            }
            Some(t) if t.shape() != ty.shape || t.dtype() != ty.dtype => {
                if certain {
                    let found = Type::new(t.dtype(), t.shape());
                    state.misshapen.insert(name.into(), (found, ty.clone()));
                }
                None
            }
            found => found,
        };
        // building goes on with zeros, so that everything else that is wrong is found too
        let possible = tensor.or_else(|| (ty.bytes() < 1 << 30).then(|| Arc::new(Tensor::zeros(&ty.shape, ty.dtype))));
        let id = possible.map(|tensor| state.graph.parameter(name, role, tensor));
        if let Some(id) = id {
            state.known.insert(name.into(), id);
        }
        drop(state);
        Var { builder: self, id }
    }
}

impl State {
    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(v) => Some(v),
            Err(e) => {
                self.failure.get_or_insert(e);
                None
            }
        }
    }
}

/// The one message about weights that are not those of the network.
fn unfit(network: &str, state: &State, superfluous: &[&str]) -> Error {
    const TOLD: usize = 20;
    let mut message = format!("The weights do not fit {network}");
    let mut part = |what: &str, entries: Vec<String>| {
        if entries.is_empty() {
            return;
        }
        let more = entries.len().saturating_sub(TOLD);
        let _ = write!(message, "\n  {what} ({}): {}", entries.len(), entries[..entries.len().min(TOLD)].join("; "));
        if more > 0 {
            let _ = write!(message, "; and {more} more");
        }
    };
    // a width that is not known leaves all other shapes unknown
    let unknown = state.missing.values().any(|shape| shape.is_none());
    let missing = state.missing.iter().map(|(name, shape)| match shape {
        Some(shape) if !unknown => format!("{name} {}", Shape(shape)),
        _ => name.clone(),
    });
    part("missing", missing.collect());
    if !unknown {
        let misshapen = state.misshapen.iter().map(|(name, (found, needed))| format!("{name} is {found}, not {needed}"));
        part("of the wrong shape", misshapen.collect());
    }
    part("superfluous", superfluous.iter().map(|n| n.to_string()).collect());
    Error::new(ErrorKind::Data, message)
        .with_hint("Check that the weights file belongs to this network; a converter may have to rename or drop tensors.")
}

/// The layers whose names begin with a prefix. Layers are methods; see [`Conv`] and [`Window`] for their options.
#[derive(Clone)]
pub struct Scope<'b> {
    builder: &'b Builder<'b>,
    name: String,
}

impl<'b> Scope<'b> {
    /// The layers whose names begin with this prefix and `name.`.
    pub fn scope(&self, name: &str) -> Scope<'b> {
        Scope { builder: self.builder, name: self.full(name) }
    }

    /// The full name of a layer or tensor.
    pub fn full(&self, name: &str) -> String {
        match (self.name.as_str(), name) {
            ("", name) => name.into(),
            (prefix, "") => prefix.into(),
            (prefix, name) => format!("{prefix}.{name}"),
        }
    }

    /// The builder.
    pub fn builder(&self) -> &'b Builder<'b> {
        self.builder
    }

    /// [`Builder::size`] of a tensor of this prefix.
    pub fn size(&self, tensor: &str, axis: usize) -> usize {
        self.builder.size(&self.full(tensor), axis)
    }

    /// [`Builder::has`] of a tensor of this prefix.
    pub fn has(&self, tensor: &str) -> bool {
        self.builder.has(&self.full(tensor))
    }

    /// [`Builder::count`] below this prefix.
    pub fn count(&self, prefix: &str, suffix: &str) -> usize {
        let full = if self.name.is_empty() { prefix.into() } else { format!("{}.{prefix}", self.name) };
        self.builder.count(&full, suffix)
    }

    /// [`Builder::unused`] of a tensor of this prefix.
    pub fn unused(&self, tensor: &str) {
        self.builder.unused(&self.full(tensor));
    }

    /// A learnt tensor of this shape.
    pub fn weight(&self, name: &str, shape: &[usize]) -> Var<'b> {
        self.builder.parameter(&self.full(name), Role::Weight, &Type::f32(shape))
    }

    /// A tensor that is kept with the weights but not learnt.
    pub fn buffer(&self, name: &str, shape: &[usize]) -> Var<'b> {
        self.builder.parameter(&self.full(name), Role::Buffer, &Type::f32(shape))
    }

    /// A table of indices that is kept with the weights.
    pub fn index_buffer(&self, name: &str, shape: &[usize]) -> Var<'b> {
        self.builder.parameter(&self.full(name), Role::Buffer, &Type::new(DType::I64, shape))
    }

    /// Says for messages that what follows belongs to the layer `name`.
    fn enter(&self, name: &str) -> Scope<'b> {
        let layer = self.scope(name);
        self.builder.state.borrow_mut().place = layer.name.clone();
        layer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_image_is_told_rather_than_weights_that_seem_not_to_fit() {
        let zeros = |shape: &[usize]| Arc::new(Tensor::zeros(shape, DType::F32));
        let weights = BTreeMap::from([("conv.weight".to_string(), zeros(&[4, 2, 3, 3])), ("conv.bias".to_string(), zeros(&[4]))]);
        let b = Builder::new("example", &weights, &[("image", vec![1, 2, 1, 8])]);
        let pooled = b.input("image").max_pool(Window::new(2));
        b.output("image", b.root().conv("conv", pooled, Conv::new(4, 3).pad(1)));
        let e = b.finish().unwrap_err();
        assert!(e.message().contains("max pooling"), "{e}");
    }
}
