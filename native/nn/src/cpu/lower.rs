//! From a graph to steps: what is known beforehand is computed, what changes only the shape is no step, and what can be done while
//! another result is at hand is done there.

use std::collections::HashMap;
use std::sync::Arc;

use stfusion_simd::Path;

use super::kernels::convolved::Convolved;
use super::kernels::copy::Copy;
use super::kernels::fused::{Fused, Instruction, OPERANDS};
use super::kernels::images::{Pooled, Resized};
use super::kernels::lines::{Normalised, Reduced, Soft};
use super::kernels::product::Product;
use super::kernels::rows::Finish;
use super::kernels::transposed::Transposed;
use crate::graph::{Graph, Node, Origin, Type, ValueId};
use crate::ops::{broadcast_positions, Binary, Convolution, Op, PadMode};
use crate::reference::{strides, Array, Values};
use crate::tensor::{DType, Data, Tensor};

/// What a step does.
#[derive(Debug)]
pub(crate) enum Kernel {
    /// A convolution of the first operand; the second, if any, is added.
    Convolution(Box<Convolved>),
    /// Element-wise operators in one pass.
    Fused(Box<Fused>),
    /// Boxes of elements, after filling the result with a value where they leave gaps.
    Copies(Vec<Copy>, Option<f32>),
    /// A transposed convolution; its second result is its scratch memory.
    Transposed(Box<Transposed>),
    /// Products of the first operand with the second, or with a known matrix.
    Product(Box<Product>),
    /// Other sizes of images.
    Resized(Box<Resized>),
    /// Maxima and means of windows.
    Pooled(Box<Pooled>),
    /// Sums and the like along lines.
    Reduced(Reduced),
    /// Sets of neighbours to mean 0 and variance 1; the second and third operand scale and shift.
    Normalised(Normalised),
    /// Softmax along lines.
    Soft(Soft),
    /// The operator's reference.
    Literal(Op),
}

/// One operator, or several in one.
#[derive(Debug)]
pub(crate) struct Step {
    pub kernel: Kernel,
    pub inputs: Vec<ValueId>,
    pub outputs: Vec<ValueId>,
    /// The family that its time is told under.
    pub family: &'static str,
    pub multiply_adds: u64,
    /// The operand whose memory the result may take, if nobody needs it afterwards.
    pub in_place: Vec<usize>,
}

/// A graph's steps.
pub(crate) struct Lowered {
    pub steps: Vec<Step>,
    /// Values known beforehand.
    pub known: HashMap<ValueId, Arc<Tensor>>,
    /// The value whose memory each value is in.
    pub homes: Vec<ValueId>,
    /// Values that the graph does not have.
    pub more: HashMap<ValueId, Type>,
}

/// Elements that are computed beforehand at most per value.
const FOLDED: usize = 1 << 24;
/// The same of a value that repeats what its operands hold, where that makes it more than twice as large.
const SPREAD: usize = 1 << 14;

struct Lowering<'g> {
    graph: &'g Graph,
    path: Path,
    known: HashMap<ValueId, Arc<Tensor>>,
    homes: Vec<ValueId>,
    more: HashMap<ValueId, Type>,
    /// How many operands and outputs a value is.
    uses: Vec<usize>,
    /// The nodes that take a value.
    takers: Vec<Vec<usize>>,
    /// Nodes that need no step of their own.
    done: Vec<bool>,
    steps: Vec<(usize, Step)>,
}

pub(crate) fn lower(graph: &Graph, path: Path) -> Lowered {
    let count = graph.values().len();
    let mut l = Lowering {
        graph,
        path,
        known: HashMap::new(),
        homes: (0..count as u32).map(ValueId).collect(),
        more: HashMap::new(),
        uses: vec![0; count],
        takers: vec![Vec::new(); count],
        done: vec![false; graph.nodes().len()],
        steps: Vec::new(),
    };
    for (i, value) in graph.values().iter().enumerate() {
        let tensor = match value.origin {
            Origin::Parameter(p) => graph.parameters()[p].tensor.clone(),
            Origin::Constant(c) => graph.constants()[c].clone(),
            _ => continue,
        };
        l.known.insert(ValueId(i as u32), tensor);
    }
    l.fold();
    for (i, node) in graph.nodes().iter().enumerate().filter(|(i, _)| !l.done[*i]) {
        for v in &node.inputs {
            l.uses[v.index()] += 1;
            l.takers[v.index()].push(i);
        }
    }
    graph.outputs().iter().for_each(|p| l.uses[p.value.index()] += 1);
    l.convolutions();
    l.chains();
    l.rest();
    l.steps.sort_by_key(|s| s.0);
    Lowered { steps: l.steps.into_iter().map(|s| s.1).collect(), known: l.known, homes: l.homes, more: l.more }
}

/// A tensor of the values of an array.
pub(crate) fn tensor(array: Array<f32>) -> Option<Tensor> {
    let data = match array.values {
        Values::Real(v) => Data::F32(v),
        Values::I64(v) => Data::I64(v),
        Values::Bool(v) => Data::Bool(v),
    };
    Tensor::new(&array.shape, data).ok()
}

impl<'g> Lowering<'g> {
    fn shape(&self, v: ValueId) -> &'g [usize] {
        self.graph.shape(v)
    }

    fn real(&self, v: ValueId) -> bool {
        self.graph.ty(v).dtype == DType::F32
    }

    /// Computes what depends on the weights alone.
    fn fold(&mut self) {
        for (i, node) in self.graph.nodes().iter().enumerate() {
            let len = |vs: &[ValueId]| vs.iter().map(|&v| self.graph.ty(v).len()).sum::<usize>();
            // what only repeats its operands is cheaper to repeat in a run than to keep
            let repeats = matches!(node.op, Op::Binary(_) | Op::Expand(_));
            let most = if repeats { FOLDED.min((2 * len(&node.inputs)).max(SPREAD)) } else { FOLDED };
            if node.outputs.iter().any(|&v| self.graph.ty(v).len() > most) {
                continue;
            }
            let operands: Option<Vec<Array<f32>>> =
                node.inputs.iter().map(|v| self.known.get(v).map(|t| Array::from_tensor(t))).collect();
            let Some(operands) = operands else { continue };
            let results = node.op.reference(&operands.iter().collect::<Vec<_>>());
            for (v, t) in node.outputs.iter().zip(results.into_iter().filter_map(tensor)) {
                self.known.insert(*v, Arc::new(t));
            }
            self.done[i] = true;
        }
    }

    fn floats(&self, v: ValueId) -> Option<&[f32]> {
        self.known.get(&v).and_then(|t| t.f32s())
    }

    /// The only node that takes `v`, if there is one and `v` is no output.
    fn only_taker(&self, v: ValueId) -> Option<(usize, &'g Node)> {
        match self.takers[v.index()][..] {
            [i] if self.uses[v.index()] == 1 && !self.done[i] => Some((i, &self.graph.nodes()[i])),
            _ => None,
        }
    }

    /// Convolutions with known weights, with the padding before and the normalisation, sum and nonlinearity after them.
    fn convolutions(&mut self) {
        for (i, node) in self.graph.nodes().iter().enumerate() {
            let Op::Convolution(op) = &node.op else { continue };
            if self.done[i]
                || self.floats(node.inputs[1]).is_none()
                || node.inputs.get(2).is_some_and(|&b| self.floats(b).is_none())
            {
                continue;
            }
            self.convolution(i, node, op.clone());
        }
    }

    fn convolution(&mut self, i: usize, node: &'g Node, op: Convolution) {
        let (mut x, mut op) = (node.inputs[0], op);
        if let Origin::Node(p, _) = self.graph.values()[x.index()].origin {
            let before = &self.graph.nodes()[p];
            if let Some(padded) = self.padded(&before.op, &op).filter(|_| self.uses[x.index()] == 1 && !self.done[p]) {
                op = padded;
                x = before.inputs[0];
                self.done[p] = true;
            }
        }
        let weight_shape = self.shape(node.inputs[1]);
        let mut weight = self.floats(node.inputs[1]).unwrap_or_default().to_vec();
        let mut bias = node.inputs.get(2).and_then(|&b| self.floats(b)).map(<[f32]>::to_vec);
        let (mut last, mut y) = (i, node.outputs[0]);
        if let Some((j, next)) = self.only_taker(y) {
            if let Some((scale, shift)) = self.affine(next) {
                let mut sums = bias.take().unwrap_or_else(|| vec![0.0; weight_shape[0]]);
                let per_output = weight.len() / scale.len();
                for (o, w) in weight.chunks_exact_mut(per_output).enumerate() {
                    w.iter_mut().for_each(|w| *w *= scale[o]);
                    sums[o] = sums[o] * scale[o] + shift[o];
                }
                bias = Some(sums);
                (last, y) = (j, next.outputs[0]);
                self.done[j] = true;
            }
        }
        let (mut inputs, mut finish) = (vec![x], Finish::Plain);
        if let Some((j, next)) = self.only_taker(y) {
            let other = match (&next.op, &next.inputs[..]) {
                (Op::Binary(Binary::Add), &[a, b]) if a != b => Some(if a == y { b } else { a }),
                _ => None,
            };
            if let Some(other) = other.filter(|&o| self.shape(o) == self.shape(y)) {
                inputs.push(other);
                (last, y) = (j, next.outputs[0]);
                self.done[j] = true;
            }
        }
        if let Some((j, next)) = self.only_taker(y) {
            if let Op::Activation(activation) = next.op {
                finish = activation.into();
                (last, y) = (j, next.outputs[0]);
                self.done[j] = true;
            }
        }
        self.done[i] = true;
        let shapes = [self.shape(x), weight_shape, self.shape(node.outputs[0])];
        let convolved = Convolved::new(self.path, &op, shapes, &weight, bias.as_deref(), finish);
        let step = Step {
            kernel: Kernel::Convolution(Box::new(convolved)),
            inputs,
            outputs: vec![y],
            family: "convolution",
            multiply_adds: self.graph.node_multiply_adds(node),
            in_place: vec![1],
        };
        self.steps.push((last, step));
    }

    /// The convolution that pads as `before` does, if it can.
    fn padded(&self, before: &Op, op: &Convolution) -> Option<Convolution> {
        let Op::Pad(pad) = before else { return None };
        let none = op.pads.iter().all(|&p| p == (0, 0));
        let zeros = pad.mode == PadMode::Zeros && pad.value == 0.0;
        let fits = pad.pads.iter().all(|p| p.0 >= 0 && p.1 >= 0)
            && pad.pads[..2].iter().all(|&p| p == (0, 0))
            && if pad.mode == PadMode::Zeros { zeros && (none || op.pad_mode == PadMode::Zeros) } else { none };
        fits.then(|| {
            let mut padded = op.clone();
            padded.pad_mode = pad.mode;
            for (to, more) in padded.pads.iter_mut().zip(&pad.pads[2..]) {
                *to = (to.0 + more.0 as usize, to.1 + more.1 as usize);
            }
            padded
        })
    }

    /// Scale and shift per channel of a normalisation with known statistics.
    fn affine(&self, node: &Node) -> Option<(Vec<f32>, Vec<f32>)> {
        let Op::BatchNorm(op) = node.op else { return None };
        let [scale, shift, mean, variance] = [1, 2, 3, 4].map(|i| self.floats(node.inputs[i]));
        let (scale, shift, mean, variance) = (scale?, shift?, mean?, variance?);
        let factor = |c: usize| f64::from(scale[c]) / (f64::from(variance[c]) + op.epsilon).sqrt();
        let scales = (0..scale.len()).map(|c| factor(c) as f32).collect();
        let shifts = (0..scale.len()).map(|c| (f64::from(shift[c]) - f64::from(mean[c]) * factor(c)) as f32).collect();
        Some((scales, shifts))
    }

    /// Whether a chain can hold this node.
    fn chainable(&self, node: &Node) -> bool {
        let real = |vs: &[ValueId]| vs.iter().all(|&v| self.real(v));
        match node.op {
            Op::Unary(crate::ops::Unary::Not) => true,
            Op::Unary(_) | Op::Activation(_) => real(&node.inputs),
            Op::Binary(Binary::And | Binary::Or | Binary::Xor) => true,
            Op::Binary(_) | Op::Comparison(_) => real(&node.inputs),
            Op::Select(_) => real(&node.inputs[1..]),
            Op::BatchNorm(_) => self.affine(node).is_some(),
            _ => false,
        }
    }

    /// Element-wise operators, from the last backwards: each takes in those whose results only it needs.
    fn chains(&mut self) {
        for root in (0..self.graph.nodes().len()).rev() {
            let node = &self.graph.nodes()[root];
            if self.done[root] || !self.chainable(node) || !self.real(node.outputs[0]) {
                continue;
            }
            let shape = self.shape(node.outputs[0]);
            let mut members = vec![root];
            loop {
                let operands: Vec<ValueId> = members.iter().flat_map(|&m| self.graph.nodes()[m].inputs.iter().copied()).collect();
                let next = operands.into_iter().find_map(|v| {
                    let Origin::Node(p, _) = self.graph.values()[v.index()].origin else { return None };
                    let producer = &self.graph.nodes()[p];
                    let inside = self.takers[v.index()].iter().filter(|t| members.contains(t)).count();
                    let fits = !self.done[p]
                        && !members.contains(&p)
                        && self.chainable(producer)
                        && self.shape(v) == shape
                        && inside == self.uses[v.index()];
                    fits.then_some(p)
                });
                let Some(next) = next.filter(|_| members.len() < 24) else { break };
                members.push(next);
            }
            self.chain(root, members);
        }
    }

    fn chain(&mut self, root: usize, mut members: Vec<usize>) {
        loop {
            members.sort_unstable();
            let inside: Vec<ValueId> = members.iter().flat_map(|&m| self.graph.nodes()[m].outputs.iter().copied()).collect();
            let mut operands: Vec<ValueId> = Vec::new();
            for &m in &members {
                let node = &self.graph.nodes()[m];
                // a normalisation's statistics become two operands of their own
                let given = if matches!(node.op, Op::BatchNorm(_)) { &node.inputs[..1] } else { &node.inputs[..] };
                for &v in given.iter().filter(|v| !inside.contains(v)) {
                    if !operands.contains(&v) {
                        operands.push(v);
                    }
                }
            }
            let norms = members.iter().filter(|&&m| matches!(self.graph.nodes()[m].op, Op::BatchNorm(_))).count();
            let truths = operands.iter().any(|&v| !self.real(v));
            if !truths && operands.len() + 2 * norms <= OPERANDS {
                self.emit(root, &members, operands);
                return;
            }
            if members.len() == 1 {
                return;
            }
            // too much in one: without the first member, which gets a step of its own
            members.remove(0);
        }
    }

    fn emit(&mut self, root: usize, members: &[usize], mut operands: Vec<ValueId>) {
        let y = self.graph.nodes()[root].outputs[0];
        let shape = self.shape(y);
        let mut registers: HashMap<ValueId, usize> = HashMap::new();
        let mut instructions = Vec::new();
        let mut steps: Vec<Vec<usize>> = Vec::new();
        for (operand, &v) in operands.iter().enumerate() {
            registers.insert(v, operand);
            instructions.push(Instruction::Load { operand, to: operand });
            steps.push(crate::ops::broadcast_strides(self.shape(v), shape));
        }
        let mut count = operands.len();
        for &m in members {
            let node = &self.graph.nodes()[m];
            let at = |i: usize| registers.get(&node.inputs[i]).copied().unwrap_or(0);
            let to = count;
            count += 1;
            match node.op {
                Op::Unary(op) => instructions.push(Instruction::Unary { op, x: at(0), to }),
                Op::Activation(op) => instructions.push(Instruction::Activation { op, x: at(0), to }),
                Op::Binary(op) => instructions.push(Instruction::Binary { op, a: at(0), b: at(1), to }),
                Op::Comparison(op) => instructions.push(Instruction::Comparison { op, a: at(0), b: at(1), to }),
                Op::Select(_) => instructions.push(Instruction::Select { condition: at(0), a: at(1), b: at(2), to }),
                _ => {
                    let (scale, shift) = self.affine(node).unwrap_or_default();
                    let x = at(0);
                    let mut along = vec![0; shape.len()];
                    along[1] = 1;
                    for values in [scale, shift] {
                        // the statistics are known values beside those of the graph
                        let id = self.new_value();
                        if let Ok(t) = Tensor::from_f32(&[values.len()], values) {
                            self.known.insert(id, Arc::new(t));
                        }
                        operands.push(id);
                        steps.push(along.clone());
                        instructions.push(Instruction::Load { operand: operands.len() - 1, to: count });
                        count += 1;
                    }
                    instructions.push(Instruction::Binary { op: Binary::Mul, a: x, b: count - 2, to });
                    instructions.push(Instruction::Binary { op: Binary::Add, a: to, b: count - 1, to });
                }
            }
            registers.insert(node.outputs[0], to);
            self.done[m] = true;
        }
        let axes = (0..shape.len()).map(|a| (shape[a], steps.iter().map(|s| s[a]).collect())).collect();
        let whole = |v: ValueId| v.index() < self.graph.values().len() && self.shape(v) == shape;
        let in_place = operands.iter().enumerate().filter(|(_, &v)| whole(v)).map(|(i, _)| i).collect();
        let result = registers.get(&y).copied().unwrap_or(0);
        let fused = Fused { path: self.path, instructions, registers: count, result, axes }.collapsed();
        let family = self.graph.nodes()[root].op.family();
        let step = Step {
            kernel: Kernel::Fused(Box::new(fused)),
            inputs: operands,
            outputs: vec![y],
            family,
            multiply_adds: 0,
            in_place,
        };
        self.steps.push((root, step));
    }

    /// A value that the graph does not have.
    fn new_value(&mut self) -> ValueId {
        let id = ValueId(self.homes.len() as u32);
        self.homes.push(id);
        id
    }

    /// The fast kernel of an operator of numbers, if there is one, with its operands and those whose memory its result may take.
    fn kernel(&self, node: &Node) -> Option<(Kernel, Vec<ValueId>, Vec<usize>)> {
        let (path, x, y) = (self.path, self.shape(node.inputs[0]), self.shape(node.outputs[0]));
        let all = node.inputs.clone();
        let first = vec![node.inputs[0]];
        let product = |shape: &[usize]| shape.iter().product::<usize>();
        Some(match &node.op {
            Op::MatMul(_) => {
                let (b, columns) = (self.shape(node.inputs[1]), *y.last()?);
                let (rows, inner) = (y[y.len() - 2], *x.last()?);
                let before = &y[..y.len() - 2];
                let places = |shape: &[usize], size: usize| -> Vec<usize> {
                    broadcast_positions(&shape[..shape.len() - 2], before).into_iter().map(|p| p * size).collect()
                };
                if b.len() == 2 {
                    // one matrix for all rows
                    let rows = product(x) / inner;
                    (Kernel::Product(Box::new(Product::new(path, [rows, inner, columns], vec![(0, 0)]))), all, vec![])
                } else {
                    let pairs = places(x, rows * inner).into_iter().zip(places(b, inner * columns)).collect();
                    (Kernel::Product(Box::new(Product::new(path, [rows, inner, columns], pairs))), all, vec![])
                }
            }
            Op::Linear(_) => {
                let (weight, bias) = (self.floats(node.inputs[1])?, node.inputs.get(2).map(|&b| self.floats(b)));
                if bias == Some(None) {
                    return None;
                }
                let shape = self.shape(node.inputs[1]);
                let size = [product(x) / shape[1], shape[1], shape[0]];
                (Kernel::Product(Box::new(Product::linear(path, size, weight, bias.flatten()))), first, vec![])
            }
            Op::Resize(op) => (Kernel::Resized(Box::new(Resized::new(path, op, x)?)), first, vec![]),
            Op::Pool(op) => (Kernel::Pooled(Box::new(Pooled::regular(op, x, y)?)), first, vec![]),
            Op::AdaptivePool(op) => (Kernel::Pooled(Box::new(Pooled::adaptive(op, x)?)), first, vec![]),
            Op::Reduce(op) => (Kernel::Reduced(Reduced::new(path, op.kind, &op.axes, x)?), first, vec![]),
            Op::Softmax(op) => {
                let soft = Soft { path, log: op.log, along: x[op.axis], inner: product(&x[op.axis + 1..]) };
                (Kernel::Soft(soft), first, vec![0])
            }
            Op::LayerNorm(op) => {
                let set = product(&x[x.len() - op.axes..]);
                (Kernel::Normalised(Normalised { path, set, run: 1, epsilon: op.epsilon }), all, vec![0])
            }
            Op::GroupNorm(op) => {
                let run = product(&x[2..]);
                let set = x[1] / op.groups * run;
                (Kernel::Normalised(Normalised { path, set, run, epsilon: op.epsilon }), all, vec![0])
            }
            op => {
                let shapes: Vec<&[usize]> = node.inputs.iter().map(|&v| self.shape(v)).collect();
                let (copies, fill) = copies(op, &shapes, y)?;
                (Kernel::Copies(copies.into_iter().map(Copy::collapsed).collect(), fill), all, vec![])
            }
        })
    }

    /// A transposed convolution with known weights.
    fn transposed(&mut self, i: usize, node: &Node) -> Option<Step> {
        let Op::TransposedConvolution(op) = &node.op else { return None };
        let weight = self.floats(node.inputs[1])?;
        let bias = match node.inputs.get(2) {
            Some(&b) => Some(self.floats(b)?),
            None => None,
        };
        let (x, w, y) = (self.shape(node.inputs[0]), self.shape(node.inputs[1]), self.shape(node.outputs[0]));
        let transposed = Transposed::new(self.path, op, x, w, weight, bias, y)?;
        let scratch = self.new_value();
        self.more.insert(scratch, Type::f32([transposed.scratch()]));
        self.done[i] = true;
        Some(Step {
            kernel: Kernel::Transposed(Box::new(transposed)),
            inputs: vec![node.inputs[0]],
            outputs: vec![node.outputs[0], scratch],
            family: "convolution",
            multiply_adds: self.graph.node_multiply_adds(node),
            in_place: vec![],
        })
    }

    /// Everything else, operator by operator.
    fn rest(&mut self) {
        for (i, node) in self.graph.nodes().iter().enumerate() {
            if self.done[i] {
                continue;
            }
            if self.same_memory(node) {
                self.homes[node.outputs[0].index()] = self.homes[node.inputs[0].index()];
                continue;
            }
            if let Some(step) = self.transposed(i, node) {
                self.steps.push((i, step));
                continue;
            }
            let real = node.inputs.iter().chain(&node.outputs).all(|&v| self.real(v));
            let fast = if real { self.kernel(node) } else { None };
            let (kernel, inputs, in_place) =
                fast.unwrap_or_else(|| (Kernel::Literal(node.op.clone()), node.inputs.clone(), vec![]));
            let step = Step {
                kernel,
                inputs,
                outputs: node.outputs.clone(),
                family: node.op.family(),
                multiply_adds: self.graph.node_multiply_adds(node),
                in_place,
            };
            self.steps.push((i, step));
        }
    }

    /// Whether the result is the operand's memory under another shape.
    fn same_memory(&self, node: &Node) -> bool {
        let x = node.inputs[0];
        match &node.op {
            Op::Reshape(_) => true,
            Op::Transpose(op) => {
                let long: Vec<usize> = op.axes.iter().copied().filter(|&a| self.shape(x)[a] != 1).collect();
                long.is_sorted()
            }
            Op::Expand(op) => op.shape.iter().product::<usize>() == self.graph.ty(x).len(),
            Op::Slice(op) => op.count.iter().product::<usize>() == self.graph.ty(x).len() && op.step.iter().all(|&s| s == 1),
            Op::Concat(_) => node.inputs.len() == 1,
            Op::Cast(op) => op.0 == self.graph.ty(x).dtype,
            _ => false,
        }
    }
}

/// The boxes of an operator that only copies elements, and what fills the gaps between them.
fn copies(op: &Op, inputs: &[&[usize]], y: &[usize]) -> Option<(Vec<Copy>, Option<f32>)> {
    let x = *inputs.first()?;
    let (from, to) = (strides(x), strides(y));
    let signed = |v: &[usize]| v.iter().map(|&s| s as isize).collect::<Vec<_>>();
    let (from, to) = (signed(&from), signed(&to));
    let whole = |first: usize, lengths: &[usize], steps: &[isize]| {
        let axes = (0..y.len()).map(|a| (lengths[a], steps[a], to[a])).collect();
        Copy { operand: 0, from: first, to: 0, axes }
    };
    Some(match op {
        Op::Transpose(op) => {
            let steps: Vec<isize> = op.axes.iter().map(|&a| from[a]).collect();
            (vec![whole(0, y, &steps)], None)
        }
        Op::Slice(op) => {
            let first = op.start.iter().zip(&from).map(|(&s, &f)| s * f as usize).sum();
            let steps: Vec<isize> = op.step.iter().zip(&from).map(|(s, f)| s * f).collect();
            (vec![whole(first, y, &steps)], None)
        }
        Op::Flip(op) => {
            let flipped = |a: usize| op.axes.contains(&a);
            let first = (0..x.len()).filter(|&a| flipped(a)).map(|a| (x[a] - 1) * from[a] as usize).sum();
            let steps: Vec<isize> = (0..x.len()).map(|a| if flipped(a) { -from[a] } else { from[a] }).collect();
            (vec![whole(first, y, &steps)], None)
        }
        Op::Expand(_) => {
            let steps = signed(&crate::ops::broadcast_strides(x, y));
            (vec![whole(0, y, &steps)], None)
        }
        Op::Concat(op) => {
            let mut at = 0;
            let boxes = inputs.iter().enumerate().map(|(operand, x)| {
                let from = signed(&strides(x));
                let first = at * to[op.axis] as usize;
                at += x[op.axis];
                Copy { operand, from: 0, to: first, axes: (0..x.len()).map(|a| (x[a], from[a], to[a])).collect() }
            });
            (boxes.collect(), None)
        }
        Op::PixelShuffle(op) => {
            let (f, n) = (op.factor, op.factor as isize);
            // target order: image, channel, row, row in block, column, column in block
            let axes = vec![
                (y[0], from[0], to[0]),
                (y[1], from[1] * n * n, to[1]),
                (x[2], from[2], to[2] * n),
                (f, from[1] * n, to[2]),
                (x[3], from[3], to[3] * n),
                (f, from[1], to[3]),
            ];
            (vec![Copy { operand: 0, from: 0, to: 0, axes }], None)
        }
        Op::PixelUnshuffle(op) => {
            let (f, n) = (op.factor, op.factor as isize);
            let axes = vec![
                (x[0], from[0], to[0]),
                (x[1], from[1], to[1] * n * n),
                (f, from[2], to[1] * n),
                (f, from[3], to[1]),
                (y[2], from[2] * n, to[2]),
                (y[3], from[3] * n, to[3]),
            ];
            (vec![Copy { operand: 0, from: 0, to: 0, axes }], None)
        }
        Op::Roll(op) => {
            let mut boxes = vec![Copy { operand: 0, from: 0, to: 0, axes: Vec::new() }];
            for a in 0..x.len() {
                // elements before `cut` go behind those after it
                let shift = op.shifts[a].rem_euclid(x[a] as isize) as usize;
                let cut = x[a] - shift;
                let parts = [(0, shift, cut), (cut, 0, shift)];
                boxes = boxes
                    .iter()
                    .flat_map(|b| {
                        parts.iter().filter(|p| p.2 > 0).map(|&(start, end, n)| {
                            let mut b = b.clone();
                            b.from += start * from[a] as usize;
                            b.to += end * to[a] as usize;
                            b.axes.push((n, from[a], to[a]));
                            b
                        })
                    })
                    .collect();
            }
            (boxes, None)
        }
        Op::Pad(op) if op.mode == PadMode::Zeros => {
            let mut one = Copy { operand: 0, from: 0, to: 0, axes: Vec::new() };
            for a in 0..x.len() {
                let (before, after) = op.pads[a];
                let cut = |p: i64| usize::try_from(-p).unwrap_or(0);
                let n = x[a].checked_sub(cut(before) + cut(after)).filter(|&n| n > 0)?;
                one.from += cut(before) * from[a] as usize;
                one.to += usize::try_from(before).unwrap_or(0) * to[a] as usize;
                one.axes.push((n, from[a], to[a]));
            }
            (vec![one], Some(op.value as f32))
        }
        _ => return None,
    })
}
