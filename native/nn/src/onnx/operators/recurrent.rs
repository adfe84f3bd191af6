//! LSTM and GRU over sequences.

use super::super::import::{Call, Importer, Operand, Step};
use super::layout::{joined, part, reshaped};
use super::{extent, Import};
use crate::ops::{Cell, Recurrent};

pub(super) const TABLE: &[(&str, Import)] = &[
    ("LSTM", |importer, call| recurrent(importer, call, Cell::Lstm)),
    ("GRU", |importer, call| recurrent(importer, call, Cell::Gru)),
];

/// The file's gates in this crate's order: the file has input, output, forget, cell and update, reset, new.
fn gates(cell: Cell) -> &'static [usize] {
    match cell {
        Cell::Lstm => &[0, 2, 3, 1],
        Cell::Gru => &[1, 0, 2],
    }
}

/// Rows of `x` (gates · units, …) with the gates in this crate's order.
fn in_order(importer: &mut Importer, x: &Operand, cell: Cell, units: usize) -> Step<Operand> {
    let parts = gates(cell).iter().map(|&g| part(importer, x, 0, g * units, units)).collect::<Step<Vec<_>>>()?;
    joined(importer, 0, parts)
}

/// Element `k` of the first axis, without that axis.
fn pick(importer: &mut Importer, x: &Operand, k: usize) -> Step<Operand> {
    let shape = importer.shape(x);
    if k >= shape.first().copied().unwrap_or(0) {
        return Err(format!("{shape:?} has no direction {}", k + 1).into());
    }
    let slice = part(importer, x, 0, k, 1)?;
    reshaped(importer, &slice, shape[1..].to_vec())
}

fn check(importer: &Importer, call: &Call<'_>, cell: Cell, steps: usize) -> Step<()> {
    let attributes = call.attributes();
    let usual: &[&str] = match cell {
        Cell::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        Cell::Gru => &["Sigmoid", "Tanh"],
    };
    if let Some(names) = attributes.texts("activations")? {
        if names.chunks(usual.len()).any(|chunk| chunk != usual) {
            return Err(format!("its activations {names:?} are not the usual ones").into());
        }
    }
    if attributes.float("clip")?.is_some() || attributes.flag("input_forget", false)? || attributes.flag("layout", false)? {
        return Err("its clip, input_forget or layout are not read".into());
    }
    if cell == Cell::Gru && !attributes.flag("linear_before_reset", false)? {
        return Err("it resets before the product with the state; only linear_before_reset=1 is read".into());
    }
    if call.optional(7).is_some() {
        return Err("its peepholes are not read".into());
    }
    match call.optional(4) {
        Some(lengths) if importer.ints(lengths, "lengths of sequences")?.iter().any(|&n| usize::try_from(n) != Ok(steps)) => {
            Err("its sequences have different lengths".into())
        }
        _ => Ok(()),
    }
}

fn recurrent(importer: &mut Importer, call: &Call<'_>, cell: Cell) -> Step<Vec<Operand>> {
    let [x, from_input, from_state] = [call.operand(0)?, call.operand(1)?, call.operand(2)?];
    let [steps, n, _] = importer.shape(x)[..] else { return Err("it needs a sequence (steps, n, inputs)".into()) };
    check(importer, call, cell, steps)?;
    let units = extent(call.attributes().int("hidden_size")?.ok_or("it does not say how many units it has")?, "hidden_size")?;
    let directions: &[bool] = match call.attributes().text("direction")?.unwrap_or("forward") {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(format!("its direction {other:?} is unknown").into()),
    };
    let rows = cell.gates() * units;
    let states = [call.optional(5), call.optional(6)];
    let initial = states[0].is_some() || states[1].is_some();
    let count = if cell == Cell::Lstm { 2 } else { 1 };
    if initial && states.iter().take(count).any(|s| s.is_none()) {
        return Err("it gives one of two first states".into());
    }
    // by direction: the states of all steps, and the last ones
    let (mut sequences, mut lasts) = (Vec::new(), vec![Vec::new(); count]);
    for (k, &reverse) in directions.iter().enumerate() {
        let mut operands = vec![x.clone()];
        for weights in [from_input, from_state] {
            let own = pick(importer, weights, k)?;
            if importer.shape(&own).first() != Some(&rows) {
                return Err(format!("its weights {:?} are not for {units} units", importer.shape(&own)).into());
            }
            operands.push(in_order(importer, &own, cell, units)?);
        }
        if let Some(biases) = call.optional(3) {
            let own = pick(importer, biases, k)?;
            if importer.shape(&own) != [2 * rows] {
                return Err(format!("its biases {:?} are not for {units} units", importer.shape(&own)).into());
            }
            for half in 0..2 {
                let bias = part(importer, &own, 0, half * rows, rows)?;
                operands.push(in_order(importer, &bias, cell, units)?);
            }
        }
        for state in states.into_iter().take(count).flatten() {
            operands.push(pick(importer, state, k)?);
        }
        let op = Recurrent { cell, reverse, bias: call.optional(3).is_some(), initial };
        let mut results = importer.apply(op, &operands)?.into_iter();
        let sequence = results.next().ok_or("it has no result")?;
        sequences.push(reshaped(importer, &sequence, vec![steps, 1, n, units])?);
        for (last, result) in lasts.iter_mut().zip(results) {
            last.push(reshaped(importer, &result, vec![1, n, units])?);
        }
    }
    let mut results = vec![joined(importer, 1, sequences)?];
    for last in lasts {
        results.push(joined(importer, 0, last)?);
    }
    Ok(results)
}
