//! Elements taken from, or put at, places that another value gives, and samples of images.

use super::super::import::{elements, Call, Importer, Operand, Step};
use super::layout::{part, reshaped};
use super::{axis_of, Import};
use crate::ops::{Border, Gather, GatherElements, GridSample, ScatterElements, ScatterNd};

pub(super) const TABLE: &[(&str, Import)] = &[
    ("Gather", gather),
    ("GatherElements", gather_elements),
    ("ScatterElements", scatter_elements),
    ("ScatterND", scatter_nd),
    ("GridSample", grid_sample),
];

/// Fails when known indices lie beyond an axis of length `n`.
fn check_indices(indices: &Operand, n: usize) -> Step<()> {
    let Operand::Known(tensor, _) = indices else { return Ok(()) };
    let length = n as i64;
    match tensor.i64s().unwrap_or_default().iter().find(|i| !(-length..length).contains(*i)) {
        Some(index) => Err(format!("its index {index} lies beyond an axis of length {n}").into()),
        None => Ok(()),
    }
}

fn axis(importer: &Importer, call: &Call<'_>) -> Step<usize> {
    axis_of(call.attributes().int("axis")?.unwrap_or(0), importer.shape(call.operand(0)?).len())
}

fn gather(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let (x, indices) = (call.operand(0)?, call.operand(1)?);
    let (axis, shape) = (axis(importer, call)?, importer.shape(x));
    check_indices(indices, shape[axis])?;
    if let Operand::Known(tensor, _) = indices {
        if let Some(&[index]) = tensor.i64s() {
            // one slice is a view
            let start = (if index < 0 { index + shape[axis] as i64 } else { index }) as usize;
            let slice = part(importer, x, axis, start, 1)?;
            let result = [&shape[..axis], tensor.shape(), &shape[axis + 1..]].concat();
            return Ok(vec![reshaped(importer, &slice, result)?]);
        }
        if tensor.data().is_empty() || elements(&shape) == Some(0) {
            return Err("it takes from, or takes, nothing".into());
        }
    }
    Ok(vec![importer.one(Gather { axis }, &[x.clone(), indices.clone()])?])
}

fn gather_elements(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let (x, indices) = (call.operand(0)?, call.operand(1)?);
    let axis = axis(importer, call)?;
    check_indices(indices, importer.shape(x)[axis])?;
    Ok(vec![importer.one(GatherElements { axis }, &[x.clone(), indices.clone()])?])
}

/// Whether updates are added to what is there.
fn is_added(call: &Call<'_>) -> Step<bool> {
    match call.attributes().text("reduction")?.unwrap_or("none") {
        "none" => Ok(false),
        "add" => Ok(true),
        other => Err(format!("its reduction {other:?} is not one of none and add").into()),
    }
}

fn three(call: &Call<'_>) -> Step<Vec<Operand>> {
    [0, 1, 2].map(|k| call.operand(k).cloned()).into_iter().collect()
}

fn scatter_elements(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let operands = three(call)?;
    let axis = axis(importer, call)?;
    check_indices(&operands[1], importer.shape(&operands[0])[axis])?;
    Ok(vec![importer.one(ScatterElements { axis, add: is_added(call)? }, &operands)?])
}

fn scatter_nd(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let operands = three(call)?;
    let (shape, indices) = (importer.shape(&operands[0]), importer.shape(&operands[1]));
    if let (Operand::Known(tensor, _), Some(&width)) = (&operands[1], indices.last()) {
        for (k, &index) in tensor.i64s().unwrap_or_default().iter().enumerate() {
            let length = shape.get(k % width.max(1)).copied().unwrap_or(0) as i64;
            if !(-length..length).contains(&index) {
                return Err(format!("its index {index} lies beyond an axis of length {length}").into());
            }
        }
    }
    Ok(vec![importer.one(ScatterNd { add: is_added(call)? }, &operands)?])
}

fn grid_sample(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let attributes = call.attributes();
    let nearest = match attributes.text("mode")?.unwrap_or("bilinear") {
        "bilinear" => false,
        "nearest" => true,
        other => return Err(format!("its mode {other:?} is not one of bilinear and nearest").into()),
    };
    let border = match attributes.text("padding_mode")?.unwrap_or("zeros") {
        "zeros" => Border::Zeros,
        "border" => Border::Edge,
        "reflection" => Border::Reflection,
        other => return Err(format!("its padding_mode {other:?} is unknown").into()),
    };
    let op = GridSample { nearest, border, align_corners: attributes.flag("align_corners", false)? };
    Ok(vec![importer.one(op, &[call.operand(0)?.clone(), call.operand(1)?.clone()])?])
}
