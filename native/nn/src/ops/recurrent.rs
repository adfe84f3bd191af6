//! LSTM and GRU over a sequence.
//!
//! Gradients: all operands, the hidden (and cell) state after every step, and the gates, which a training executor keeps or computes
//! again.

use super::{operands, real, shaped, Operator, Rule};
use crate::graph::Type;
use crate::reference::{Array, Real};

/// How a state follows from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cell {
    /// Hochreiter and Schmidhuber 1997; gates in the order input, forget, cell, output.
    Lstm,
    /// Cho et al. 2014, the reset gate applied after the recurrent product; gates in the order reset, update, new.
    Gru,
}

impl Cell {
    /// Gates per unit.
    pub fn gates(self) -> usize {
        match self {
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }
}

/// One layer over a sequence in one direction; operands: x `(steps, n, inputs)`, weights of the input `(gates · units, inputs)` and of
/// the state `(gates · units, units)`, with `bias` two biases `(gates · units)`, with `initial` the first state `(n, units)` (two of
/// them for an LSTM: hidden, cell). Results: the states `(steps, n, units)`, the last state `(n, units)` and, of an LSTM, the last
/// cell state `(n, units)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Recurrent {
    /// How a state follows from the one before.
    pub cell: Cell,
    /// From the last step to the first; states stay at the places of their steps.
    pub reverse: bool,
    /// Whether biases are given.
    pub bias: bool,
    /// Whether the first state is given; it is zero otherwise.
    pub initial: bool,
}

impl Recurrent {
    fn states(&self) -> usize {
        match self.cell {
            Cell::Lstm => 2,
            Cell::Gru => 1,
        }
    }
}

impl Operator for Recurrent {
    fn name(&self) -> &'static str {
        match self.cell {
            Cell::Lstm => "lstm",
            Cell::Gru => "gru",
        }
    }

    fn outputs(&self, inputs: &[&Type]) -> Rule {
        let count = 3 + if self.bias { 2 } else { 0 } + if self.initial { self.states() } else { 0 };
        operands(inputs, count..=count)?;
        real(inputs)?;
        let ([steps, n, features], [_, units]) = (&inputs[0].shape[..], &inputs[2].shape[..]) else {
            return Err("a sequence (steps, n, inputs) and weights of two axes are needed".into());
        };
        let rows = self.cell.gates() * units;
        shaped("weights of the input", inputs[1], &[rows, *features])?;
        shaped("weights of the state", inputs[2], &[rows, *units])?;
        for (i, ty) in inputs[3..].iter().enumerate() {
            if self.bias && i < 2 {
                shaped("bias", ty, &[rows])?;
            } else {
                shaped("first state", ty, &[*n, *units])?;
            }
        }
        let last = Type::f32([*n, *units]);
        let mut types = vec![Type::f32([*steps, *n, *units]), last.clone()];
        if self.cell == Cell::Lstm {
            types.push(last);
        }
        Ok(types)
    }

    fn reference<T: Real>(&self, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, from_input, from_state) = (inputs[0], inputs[1], inputs[2]);
        let (steps, n, features, units) = (x.shape[0], x.shape[1], x.shape[2], from_state.shape[1]);
        let biases = if self.bias { Some((inputs[3].real(), inputs[4].real())) } else { None };
        let first = if self.initial { &inputs[inputs.len() - self.states()..] } else { &[] };
        let state = |i: usize| first.get(i).map_or(vec![T::of(0.0); n * units], |s| s.real().to_vec());
        let (mut hidden, mut cell) = (state(0), state(1));
        let sigmoid = |v: T| v.map(|v| 1.0 / (1.0 + (-v).exp()));
        let dot = |a: &[T], b: &[T]| a.iter().zip(b).fold(T::of(0.0), |sum, (&a, &b)| sum + a * b);
        let mut states = vec![T::of(0.0); steps * n * units];
        for i in 0..steps {
            let step = if self.reverse { steps - 1 - i } else { i };
            for b in 0..n {
                let input = &x.real()[(step * n + b) * features..][..features];
                let before = hidden[b * units..][..units].to_vec();
                let gate = |g: usize, u: usize| {
                    let row = g * units + u;
                    let bias = biases.map_or((T::of(0.0), T::of(0.0)), |(p, q)| (p[row], q[row]));
                    (
                        dot(&from_input.real()[row * features..][..features], input) + bias.0,
                        dot(&from_state.real()[row * units..][..units], &before) + bias.1,
                    )
                };
                let open = |g: usize, u: usize| sigmoid(gate(g, u).0 + gate(g, u).1);
                for (u, &old) in before.iter().enumerate() {
                    let at = b * units + u;
                    match self.cell {
                        Cell::Lstm => {
                            let new = (gate(2, u).0 + gate(2, u).1).map(f64::tanh);
                            cell[at] = open(1, u) * cell[at] + open(0, u) * new;
                            hidden[at] = open(3, u) * cell[at].map(f64::tanh);
                        }
                        Cell::Gru => {
                            let (p, q) = gate(2, u);
                            let new = (p + open(0, u) * q).map(f64::tanh);
                            let update = open(1, u);
                            hidden[at] = (T::of(1.0) - update) * new + update * old;
                        }
                    }
                }
            }
            states[step * n * units..][..n * units].copy_from_slice(&hidden);
        }
        let mut results = vec![Array::new([steps, n, units], states), Array::new([n, units], hidden)];
        if self.cell == Cell::Lstm {
            results.push(Array::new([n, units], cell));
        }
        results
    }

    fn multiply_adds(&self, inputs: &[&Type], _: &Type) -> u64 {
        (inputs[0].shape[0] * inputs[0].shape[1] * (inputs[1].len() + inputs[2].len())) as u64
    }
}
