//! Execution on the CPU.
//!
//! [`Program::compile`] turns a graph into steps: what depends on the weights alone is computed, normalisations are folded into the
//! convolutions before them, sums and nonlinearities are done while a convolution's result is in registers, and chains of
//! element-wise operators run in one pass. Every result has its place in one arena, whose size is known before the program runs.
//!
//! A run uses rayon's current pool. Its results do not depend on the number of threads, bit for bit.

mod arena;
mod kernels;
mod lower;
mod plan;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use arena::Arena;
use kernels::Shared;
use lower::{Kernel, Step};
use plan::Need;
use stfusion_core::exec::Cancel;
use stfusion_core::{Error, ErrorKind, Result};
use stfusion_simd::Path;

use crate::graph::{Graph, Origin, Type, ValueId};
use crate::reference::{check_inputs, Array, Values};
use crate::tensor::{DType, Data, Tensor};

/// Where a value is while a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Among the arguments.
    Input(usize),
    /// Among the tensors known beforehand.
    Known(usize),
    /// At this byte of the arena.
    Arena(usize),
}

/// A value's place and type.
#[derive(Debug, Clone)]
struct Slot {
    place: Place,
    ty: Type,
}

/// A step with the places of its operands and results.
struct Placed {
    kernel: Kernel,
    inputs: Vec<Slot>,
    outputs: Vec<Slot>,
    family: &'static str,
    multiply_adds: u64,
}

/// A graph made ready to run on the CPU.
pub struct Program {
    graph: Graph,
    steps: Vec<Placed>,
    known: Vec<std::sync::Arc<Tensor>>,
    outputs: Vec<Slot>,
    arena_bytes: usize,
    arenas: Mutex<Vec<Arena>>,
}

/// What a family of operators cost in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// The family.
    pub family: &'static str,
    /// Steps of the family.
    pub steps: usize,
    /// Wall-clock time.
    pub time: Duration,
    /// Multiplications with addition of convolutions and products of matrices.
    pub multiply_adds: u64,
}

impl Program {
    /// Makes `graph` ready to run with the vectors of `path`.
    ///
    /// # Errors
    /// A value has no place in memory, which would be a defect of this executor.
    pub fn compile(graph: &Graph, path: Path) -> Result<Program> {
        let lowered = lower::lower(graph, path);
        let known_at: HashMap<ValueId, usize> = lowered.known.keys().copied().enumerate().map(|(i, v)| (v, i)).collect();
        let home = |v: ValueId| {
            let mut v = v;
            while lowered.homes[v.index()] != v {
                v = lowered.homes[v.index()];
            }
            v
        };
        let mut homes: HashMap<ValueId, ValueId> = HashMap::new();
        let ty = |v: ValueId| lowered.more.get(&v).unwrap_or_else(|| graph.ty(v));
        // a value's first and last step
        let mut lives: HashMap<ValueId, (usize, usize)> = HashMap::new();
        let fixed = |v: ValueId| {
            known_at.contains_key(&v)
                || graph.values().get(v.index()).is_some_and(|value| matches!(value.origin, Origin::Input(_)))
        };
        let last_step = lowered.steps.len();
        let uses = lowered.steps.iter().enumerate().flat_map(|(i, s)| s.inputs.iter().chain(&s.outputs).map(move |&v| (i, v)));
        for (i, v) in uses.chain(graph.outputs().iter().map(|p| (last_step, p.value))) {
            let v = home(v);
            if !fixed(v) {
                lives.entry(v).and_modify(|life| life.1 = i).or_insert((i, i));
            }
        }
        // results in the memory of an operand that ends with the step
        let mut members: HashMap<ValueId, (usize, usize)> = lives.clone();
        for (i, step) in lowered.steps.iter().enumerate() {
            let [y] = step.outputs[..] else { continue };
            let y = home(y);
            let whole = |homes: &HashMap<ValueId, ValueId>, v: ValueId| {
                let mut v = home(v);
                while let Some(&next) = homes.get(&v) {
                    v = next;
                }
                v
            };
            for &operand in &step.in_place {
                let Some(&x) = step.inputs.get(operand) else { continue };
                let root = whole(&homes, x);
                let ends = members.get(&root).is_some_and(|life| life.1 == i);
                // an operand that another place of the same step reads otherwise stays
                let once = step.inputs.iter().filter(|&&v| whole(&homes, v) == root).count() == 1;
                let same = graph.ty(x).bytes() == graph.ty(step.outputs[0]).bytes();
                if ends && once && same && !fixed(root) && root != y {
                    let end = members.get(&y).map_or(i, |life| life.1);
                    members.entry(root).and_modify(|life| life.1 = end);
                    members.remove(&y);
                    homes.insert(y, root);
                    break;
                }
            }
        }
        let root = |v: ValueId| {
            let mut v = home(v);
            while let Some(&next) = homes.get(&v) {
                v = next;
            }
            v
        };
        let mut roots: Vec<(ValueId, (usize, usize))> = members.into_iter().collect();
        roots.sort_by_key(|r| r.0);
        let needs: Vec<Need> = roots.iter().map(|&(v, (first, last))| Need { bytes: ty(v).bytes(), first, last }).collect();
        let (offsets, arena_bytes) = plan::places(&needs);
        let at: HashMap<ValueId, usize> = roots.iter().map(|r| r.0).zip(offsets).collect();
        let mut known: Vec<(usize, std::sync::Arc<Tensor>)> =
            lowered.known.iter().filter_map(|(v, t)| Some((*known_at.get(v)?, t.clone()))).collect();
        known.sort_by_key(|k| k.0);
        let known: Vec<_> = known.into_iter().map(|k| k.1).collect();
        let slot = |v: ValueId| -> Result<Slot> {
            let at_home = root(v);
            let place = if let Some(&i) = known_at.get(&v).or_else(|| known_at.get(&at_home)) {
                Place::Known(i)
            } else if let Some(&offset) = at.get(&at_home) {
                Place::Arena(offset)
            } else if let Some(Origin::Input(i)) = graph.values().get(at_home.index()).map(|v| v.origin) {
                Place::Input(i)
            } else {
                return Err(Error::internal(format!("A value of the network has no place ({})", v.index())));
            };
            let ty = match (graph.values().get(v.index()), place) {
                (Some(value), _) => value.ty.clone(),
                (None, Place::Known(i)) => Type::new(known[i].dtype(), known[i].shape()),
                (None, _) => ty(v).clone(),
            };
            Ok(Slot { place, ty })
        };
        let mut steps = Vec::with_capacity(lowered.steps.len());
        for Step { kernel, inputs, outputs, family, multiply_adds, .. } in lowered.steps {
            let inputs = inputs.into_iter().map(slot).collect::<Result<_>>()?;
            let outputs = outputs.into_iter().map(slot).collect::<Result<_>>()?;
            steps.push(Placed { kernel, inputs, outputs, family, multiply_adds });
        }
        let outputs = graph.outputs().iter().map(|p| slot(p.value)).collect::<Result<_>>()?;
        Ok(Program { graph: graph.clone(), steps, known, outputs, arena_bytes, arenas: Mutex::default() })
    }

    /// The graph that this program runs.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Bytes that the results of one run lie in; the weights and a little per thread come on top.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// Bytes that every thread needs beside the arena.
    pub fn scratch_bytes(&self) -> usize {
        let of = |s: &Placed| match &s.kernel {
            Kernel::Convolution(k) => k.scratch_bytes(),
            Kernel::Transposed(k) => k.scratch_bytes(),
            Kernel::Product(k) => k.scratch_bytes(),
            Kernel::Resized(k) => k.scratch_bytes(),
            _ => 1 << 16,
        };
        self.steps.iter().map(of).max().unwrap_or(0)
    }

    /// Runs the network on `inputs`, in the order of [`Graph::inputs`]; the results are in the order of [`Graph::outputs`]. Work runs
    /// in parallel on rayon's current pool.
    ///
    /// # Errors
    /// The inputs are not what the graph was built for; the caller stopped the work; memory is short.
    pub fn run(&self, inputs: &[Tensor], cancel: &Cancel) -> Result<Vec<Tensor>> {
        self.steps(inputs, cancel, |_, _| {})
    }

    /// As [`Program::run`], with what every family of operators cost, the dearest first.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_timed(&self, inputs: &[Tensor], cancel: &Cancel) -> Result<(Vec<Tensor>, Vec<Cost>)> {
        let mut costs: Vec<Cost> = Vec::new();
        let results = self.steps(inputs, cancel, |step, time| {
            let new = Cost { family: step.family, steps: 1, time, multiply_adds: step.multiply_adds };
            match costs.iter_mut().find(|c| c.family == step.family) {
                Some(c) => {
                    *c = Cost {
                        steps: c.steps + 1,
                        time: c.time + time,
                        multiply_adds: c.multiply_adds + step.multiply_adds,
                        ..new
                    };
                }
                None => costs.push(new),
            }
        })?;
        costs.sort_by_key(|c| std::cmp::Reverse(c.time));
        Ok((results, costs))
    }

    fn steps(&self, inputs: &[Tensor], cancel: &Cancel, mut told: impl FnMut(&Placed, Duration)) -> Result<Vec<Tensor>> {
        check_inputs(&self.graph, inputs)?;
        let arena = self.arena()?;
        let base = arena.pointer();
        for step in &self.steps {
            cancel.check()?;
            let start = Instant::now();
            // SAFETY: the plan gives values that live at the same time different places, within the arena.
            unsafe { self.step(step, inputs, base) };
            told(step, start.elapsed());
        }
        // SAFETY: as above; results live to the end.
        let results = self
            .outputs
            .iter()
            .map(|slot| unsafe { self.read(slot, inputs, base) })
            .map(|a| lower::tensor(a).ok_or_else(|| Error::internal("A result of the network has no values")));
        let results = results.collect();
        if let Ok(mut arenas) = self.arenas.lock() {
            arenas.push(arena);
        }
        results
    }

    /// Memory for a run: that of an earlier one where there is one.
    fn arena(&self) -> Result<Arena> {
        if let Some(arena) = self.arenas.lock().ok().and_then(|mut a| a.pop()) {
            return Ok(arena);
        }
        Arena::new(self.arena_bytes).ok_or_else(|| {
            let mib = self.arena_bytes >> 20;
            Error::new(
                ErrorKind::Memory,
                format!("The network needs {mib} MiB for images of this size, and the system has no more"),
            )
            .with_hint("Use smaller tiles.")
        })
    }

    /// The first value of a slot.
    ///
    /// # Safety
    /// `base` is the arena.
    unsafe fn pointer(&self, slot: &Slot, inputs: &[Tensor], base: *mut u8) -> *const u8 {
        let of = |t: &Tensor| match t.data() {
            Data::F32(v) => v.as_ptr().cast::<u8>(),
            Data::I64(v) => v.as_ptr().cast(),
            Data::Bool(v) => v.as_ptr().cast(),
        };
        match slot.place {
            Place::Input(i) => of(&inputs[i]),
            Place::Known(i) => of(&self.known[i]),
            // SAFETY: the plan's offsets lie within the arena.
            Place::Arena(offset) => unsafe { base.add(offset).cast_const() },
        }
    }

    /// The values of a slot of `f32`.
    ///
    /// # Safety
    /// As [`Program::pointer`]; nobody writes the slot meanwhile.
    unsafe fn floats<'a>(&'a self, slot: &Slot, inputs: &'a [Tensor], base: *mut u8) -> &'a [f32] {
        // SAFETY: the slot holds its type's values, at cache lines or in a tensor of them.
        unsafe { std::slice::from_raw_parts(self.pointer(slot, inputs, base).cast(), slot.ty.len()) }
    }

    /// The values of a slot of any type.
    ///
    /// # Safety
    /// As [`Program::floats`].
    unsafe fn read(&self, slot: &Slot, inputs: &[Tensor], base: *mut u8) -> Array<f32> {
        let n = slot.ty.len();
        // SAFETY: the slot holds so many values of its type; truth values were written as such.
        let values = unsafe {
            let p = self.pointer(slot, inputs, base);
            match slot.ty.dtype {
                DType::F32 => Values::Real(std::slice::from_raw_parts(p.cast(), n).to_vec()),
                DType::I64 => Values::I64(std::slice::from_raw_parts(p.cast(), n).to_vec()),
                DType::Bool => Values::Bool(std::slice::from_raw_parts(p.cast(), n).to_vec()),
            }
        };
        Array { shape: slot.ty.shape.clone(), values }
    }

    /// # Safety
    /// Operands hold what the steps before have written; results lie in parts of the arena that no live value uses.
    unsafe fn step(&self, step: &Placed, inputs: &[Tensor], base: *mut u8) {
        let result = |slot: &Slot| match slot.place {
            // SAFETY: the plan's offsets lie within the arena.
            Place::Arena(offset) => unsafe { base.add(offset) },
            _ => unreachable!("results lie in the arena"),
        };
        // SAFETY: as for this function, and the slots are as their types say.
        unsafe {
            match &step.kernel {
                Kernel::Convolution(convolution) => {
                    let x = self.floats(&step.inputs[0], inputs, base);
                    let y = Shared(result(&step.outputs[0]).cast());
                    // what is added may lie where the result goes
                    let residual = step.inputs.get(1).map(|s| self.pointer(s, inputs, base).cast::<f32>());
                    convolution.run(x, residual, y);
                }
                Kernel::Fused(fused) => {
                    let operands: Vec<*const f32> =
                        step.inputs.iter().map(|s| self.pointer(s, inputs, base).cast::<f32>()).collect();
                    fused.run(&operands, Shared(result(&step.outputs[0]).cast()));
                }
                Kernel::Copies(copies, fill) => {
                    let y: *mut f32 = result(&step.outputs[0]).cast();
                    if let Some(value) = *fill {
                        std::slice::from_raw_parts_mut(y, step.outputs[0].ty.len()).fill(value);
                    }
                    for copy in copies {
                        copy.run(self.floats(&step.inputs[copy.operand], inputs, base), Shared(y));
                    }
                }
                Kernel::Transposed(transposed) => {
                    let (x, y) = (self.floats(&step.inputs[0], inputs, base), Shared(result(&step.outputs[0]).cast()));
                    transposed.run(x, Shared(result(&step.outputs[1]).cast()), y);
                }
                Kernel::Product(product) => {
                    let y = Shared(result(&step.outputs[0]).cast());
                    let b = step.inputs.get(1).map_or(&[][..], |b| self.floats(b, inputs, base));
                    product.run(self.floats(&step.inputs[0], inputs, base), b, y);
                }
                Kernel::Resized(resized) => {
                    resized.run(self.floats(&step.inputs[0], inputs, base), Shared(result(&step.outputs[0]).cast()));
                }
                Kernel::Pooled(pooled) => {
                    pooled.run(self.floats(&step.inputs[0], inputs, base), Shared(result(&step.outputs[0]).cast()));
                }
                Kernel::Reduced(reduced) => {
                    reduced.run(self.floats(&step.inputs[0], inputs, base), Shared(result(&step.outputs[0]).cast()));
                }
                Kernel::Normalised(normalised) => {
                    let x = self.pointer(&step.inputs[0], inputs, base).cast();
                    let affine = match &step.inputs[1..] {
                        [scale, shift] => Some((self.floats(scale, inputs, base), self.floats(shift, inputs, base))),
                        _ => None,
                    };
                    normalised.run(x, step.inputs[0].ty.len(), affine, Shared(result(&step.outputs[0]).cast()));
                }
                Kernel::Soft(soft) => {
                    let x = self.pointer(&step.inputs[0], inputs, base).cast();
                    soft.run(x, step.inputs[0].ty.len(), Shared(result(&step.outputs[0]).cast()));
                }
                Kernel::Literal(op) => {
                    let operands: Vec<Array<f32>> = step.inputs.iter().map(|s| self.read(s, inputs, base)).collect();
                    let results = op.reference(&operands.iter().collect::<Vec<_>>());
                    for (slot, array) in step.outputs.iter().zip(results) {
                        let to = result(slot);
                        match array.values {
                            Values::Real(v) => std::ptr::copy_nonoverlapping(v.as_ptr(), to.cast(), v.len()),
                            Values::I64(v) => std::ptr::copy_nonoverlapping(v.as_ptr(), to.cast(), v.len()),
                            Values::Bool(v) => std::ptr::copy_nonoverlapping(v.as_ptr(), to.cast(), v.len()),
                        }
                    }
                }
            }
        }
    }
}
