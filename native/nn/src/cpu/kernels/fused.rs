//! Chains of element-wise operators in one pass: a short list of instructions over registers that hold a few hundred elements each.

use std::ops::Range;

use rayon::prelude::*;
use stfusion_simd::{widened, Path};

use super::{elementwise, with_scratch, Shared};
use crate::ops::{Activation, Binary, Comparison, Unary};

/// Elements that a register holds.
const LANE: usize = 256;
/// Elements that are computed together; registers hold whole groups.
const GROUP: usize = 32;
/// The most operands of a chain.
pub(crate) const OPERANDS: usize = 12;
/// Elements that a task works on at least.
const TASK: usize = 1 << 14;

/// One step over registers; truth values are 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Instruction {
    /// The elements of an operand.
    Load { operand: usize, to: usize },
    /// A function of a register.
    Unary { op: Unary, x: usize, to: usize },
    /// A nonlinearity of a register.
    Activation { op: Activation, x: usize, to: usize },
    /// A function of two registers.
    Binary { op: Binary, a: usize, b: usize, to: usize },
    /// Whether a relation holds between two registers.
    Comparison { op: Comparison, a: usize, b: usize, to: usize },
    /// One of two registers.
    Select { condition: usize, a: usize, b: usize, to: usize },
}

/// A chain over a result of one shape.
#[derive(Debug)]
pub(crate) struct Fused {
    pub path: Path,
    pub instructions: Vec<Instruction>,
    pub registers: usize,
    /// The register that is stored.
    pub result: usize,
    /// Length of every axis, and per operand the distance between neighbours along it: 0 where it repeats.
    pub axes: Vec<(usize, Vec<usize>)>,
}

impl Fused {
    /// The same chain with as few axes as possible.
    pub(crate) fn collapsed(mut self) -> Self {
        let mut axes: Vec<(usize, Vec<usize>)> = Vec::new();
        for (n, steps) in self.axes.drain(..).filter(|a| a.0 != 1) {
            match axes.last_mut() {
                Some((m, last)) if last.iter().zip(&steps).all(|(l, s)| *l == s * n) => {
                    *m *= n;
                    *last = steps;
                }
                _ => axes.push((n, steps)),
            }
        }
        self.axes = axes;
        self
    }

    /// Runs the chain into `y`, which may be one of the operands that do not repeat.
    ///
    /// # Safety
    /// Operands must hold every element that the axes name, `y` the product of their lengths; nobody else may touch `y`.
    pub(crate) unsafe fn run(&self, operands: &[*const f32], y: Shared) {
        let operands: Vec<Shared> = operands.iter().map(|p| Shared(p.cast_mut())).collect();
        let (inner, outer) = match self.axes.split_last() {
            Some((inner, outer)) => (inner.clone(), outer),
            None => ((1, vec![0; operands.len()]), &[][..]),
        };
        let rows: usize = outer.iter().map(|a| a.0).product();
        // tasks are runs of whole rows, or parts of one
        let parts = inner.0.div_ceil(TASK);
        let part = inner.0.div_ceil(parts).next_multiple_of(LANE);
        let parts = inner.0.div_ceil(part);
        let rows_per_task = (TASK / inner.0.max(1)).clamp(1, rows);
        let tasks = rows.div_ceil(rows_per_task) * parts;
        (0..tasks).into_par_iter().for_each(|task| {
            let (first, range) = (task / parts * rows_per_task, task % parts * part..((task % parts + 1) * part).min(inner.0));
            with_scratch(self.registers * LANE, |registers| {
                let rows = first..(first + rows_per_task).min(rows);
                // SAFETY: as for this function; tasks write disjoint parts of y.
                widened(
                    self.path,
                    #[inline(always)]
                    || unsafe { self.rows(rows, range, outer, &inner, &operands, registers, y) },
                );
            });
        });
    }

    /// # Safety
    /// As [`Fused::run`]; no other task may write these rows and places.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    unsafe fn rows(
        &self,
        rows: Range<usize>,
        range: Range<usize>,
        outer: &[(usize, Vec<usize>)],
        inner: &(usize, Vec<usize>),
        operands: &[Shared],
        registers: &mut [f32],
        y: Shared,
    ) {
        let mut bases = [0usize; OPERANDS];
        for row in rows {
            bases.fill(0);
            let mut at = row;
            for (n, steps) in outer.iter().rev() {
                for (base, step) in bases.iter_mut().zip(steps) {
                    *base += at % n * step;
                }
                at /= n;
            }
            for from in range.clone().step_by(LANE) {
                let count = LANE.min(range.end - from);
                for instruction in &self.instructions {
                    if let Instruction::Load { operand, to } = *instruction {
                        let (step, base) = (inner.1[operand], bases[operand]);
                        let to = &mut registers[to * LANE..][..count];
                        // SAFETY: the axes name only elements that the operand holds.
                        unsafe {
                            let x = operands[operand].get().cast_const().add(base + from * step);
                            match step {
                                0 => to.fill(*x),
                                1 => std::ptr::copy_nonoverlapping(x, to.as_mut_ptr(), to.len()),
                                _ => to.iter_mut().enumerate().for_each(|(i, v)| *v = *x.add(i * step)),
                            }
                        }
                    } else {
                        step(instruction, registers, count);
                    }
                }
                let result = &registers[self.result * LANE..][..count];
                // SAFETY: this part of the result is this task's.
                unsafe { std::ptr::copy_nonoverlapping(result.as_ptr(), y.get().add(row * inner.0 + from), count) };
            }
        }
    }
}

#[inline(always)]
fn step(instruction: &Instruction, registers: &mut [f32], count: usize) {
    let truth = |b: bool| f32::from(u8::from(b));
    match *instruction {
        Instruction::Load { .. } => {}
        Instruction::Unary { op, x, to } => {
            let values = moved(registers, x, to, count);
            macro_rules! each {
                ($x:ident => $y:expr) => {
                    values.iter_mut().for_each(|v| {
                        let $x = *v;
                        *v = $y;
                    })
                };
            }
            match op {
                Unary::Neg => each!(x => -x),
                Unary::Abs => each!(x => x.abs()),
                Unary::Sqrt => each!(x => x.sqrt()),
                Unary::Rsqrt => each!(x => 1.0 / x.sqrt()),
                Unary::Reciprocal => each!(x => 1.0 / x),
                Unary::Exp => each!(x => elementwise::exp(x)),
                Unary::Erf => each!(x => elementwise::erf(x)),
                Unary::Not => each!(x => 1.0 - x),
                other => each!(x => other.of(x.into()) as f32),
            }
        }
        Instruction::Activation { op, x, to } => elementwise::activate(op, moved(registers, x, to, count)),
        Instruction::Binary { op, a, b, to } => {
            macro_rules! each {
                ($a:ident, $b:ident => $y:expr) => {
                    pairs(registers, a, b, to, count, |$a: f32, $b: f32| $y)
                };
            }
            match op {
                Binary::Add => each!(a, b => a + b),
                Binary::Sub => each!(a, b => a - b),
                Binary::Mul => each!(a, b => a * b),
                Binary::Div => each!(a, b => a / b),
                Binary::Max => each!(a, b => if a > b || a.is_nan() { a } else { b }),
                Binary::Min => each!(a, b => if a < b || a.is_nan() { a } else { b }),
                Binary::And => each!(a, b => a * b),
                Binary::Or => each!(a, b => if a > b { a } else { b }),
                Binary::Xor => each!(a, b => (a - b).abs()),
                Binary::Pow | Binary::Mod => each!(a, b => op.of(a, b)),
            }
        }
        Instruction::Comparison { op, a, b, to } => {
            macro_rules! each {
                ($a:ident, $b:ident => $y:expr) => {
                    pairs(registers, a, b, to, count, |$a: f32, $b: f32| truth($y))
                };
            }
            match op {
                Comparison::Equal => each!(a, b => a == b),
                Comparison::NotEqual => each!(a, b => a != b),
                Comparison::Less => each!(a, b => a < b),
                Comparison::LessOrEqual => each!(a, b => a <= b),
                Comparison::Greater => each!(a, b => a > b),
                Comparison::GreaterOrEqual => each!(a, b => a >= b),
            }
        }
        Instruction::Select { condition, a, b, to } => {
            moved(registers, condition, to, count);
            for i in (0..count).step_by(GROUP) {
                let (a, b, c) = (group(registers, a, i), group(registers, b, i), group(registers, to, i));
                let to = &mut registers[to * LANE + i..][..GROUP];
                for j in 0..GROUP {
                    to[j] = if c[j] != 0.0 { a[j] } else { b[j] };
                }
            }
        }
    }
}

/// Register `to` with the contents of register `from`.
#[inline(always)]
fn moved(registers: &mut [f32], from: usize, to: usize, count: usize) -> &mut [f32] {
    if from != to {
        registers.copy_within(from * LANE..from * LANE + count, to * LANE);
    }
    &mut registers[to * LANE..][..count]
}

/// A few elements of a register by value, so that the compiler need not ask whether registers are the same.
#[inline(always)]
fn group(registers: &[f32], register: usize, i: usize) -> [f32; GROUP] {
    let mut values = [0.0; GROUP];
    values.copy_from_slice(&registers[register * LANE + i..][..GROUP]);
    values
}

/// A function of two registers into a third, which may be one of them.
#[inline(always)]
fn pairs(registers: &mut [f32], a: usize, b: usize, to: usize, count: usize, f: impl Fn(f32, f32) -> f32) {
    for i in (0..count).step_by(GROUP) {
        let (a, b) = (group(registers, a, i), group(registers, b, i));
        let to = &mut registers[to * LANE + i..][..GROUP];
        for j in 0..GROUP {
            to[j] = f(a[j], b[j]);
        }
    }
}
