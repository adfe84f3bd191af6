//! Sums, means, extremes and the like over axes.

use super::super::import::{Call, Importer, Operand, Step};
use super::elementwise::cast_to;
use super::{axes_of, axis_of, Import};
use crate::ops::{ArgMax, Binary, Cumulative, Reduce, Reduction, Unary};
use crate::tensor::DType;

pub(super) const TABLE: &[(&str, Import)] = &[
    ("ReduceMean", |importer, call| plain(importer, call, Reduction::Mean)),
    ("ReduceSum", |importer, call| plain(importer, call, Reduction::Sum)),
    ("ReduceMax", |importer, call| plain(importer, call, Reduction::Max)),
    ("ReduceMin", |importer, call| plain(importer, call, Reduction::Min)),
    ("ReduceProd", |importer, call| plain(importer, call, Reduction::Product)),
    ("ReduceL1", l1),
    ("ReduceL2", l2),
    ("ReduceSumSquare", sum_square),
    ("ReduceLogSum", log_sum),
    ("ReduceLogSumExp", log_sum_exp),
    ("ArgMax", |importer, call| arg(importer, call, false)),
    ("ArgMin", |importer, call| arg(importer, call, true)),
    ("CumSum", cum_sum),
];

/// The axes, and whether they stay; `None` when there is nothing to do.
fn axes(importer: &Importer, call: &Call<'_>) -> Step<Option<(Vec<usize>, bool)>> {
    let attributes = call.attributes();
    let count = importer.shape(call.operand(0)?).len();
    let given = match (attributes.ints("axes")?, call.optional(1)) {
        (Some(axes), _) => axes.to_vec(),
        (None, Some(axes)) => importer.ints(axes, "axes")?,
        (None, None) => Vec::new(),
    };
    if given.is_empty() && attributes.flag("noop_with_empty_axes", false)? {
        return Ok(None);
    }
    let axes = if given.is_empty() { (0..count).collect() } else { axes_of(&given, count)? };
    Ok(Some((axes, attributes.flag("keepdims", true)?)))
}

fn reduced(importer: &mut Importer, call: &Call<'_>, kind: Reduction, x: Operand) -> Step<Operand> {
    match axes(importer, call)? {
        Some((axes, keep)) if !axes.is_empty() => importer.on(Reduce { kind, axes, keep }, &x),
        _ => Ok(x),
    }
}

fn plain(importer: &mut Importer, call: &Call<'_>, kind: Reduction) -> Step<Vec<Operand>> {
    let x = call.operand(0)?.clone();
    Ok(vec![reduced(importer, call, kind, x)?])
}

fn squares(importer: &mut Importer, call: &Call<'_>) -> Step<Operand> {
    let x = call.operand(0)?.clone();
    let squares = importer.one(Binary::Mul, &[x.clone(), x])?;
    reduced(importer, call, Reduction::Sum, squares)
}

fn l1(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let sizes = importer.on(Unary::Abs, call.operand(0)?)?;
    Ok(vec![reduced(importer, call, Reduction::Sum, sizes)?])
}

fn l2(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let sum = squares(importer, call)?;
    Ok(vec![importer.on(Unary::Sqrt, &sum)?])
}

fn sum_square(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    Ok(vec![squares(importer, call)?])
}

fn log_sum(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let sum = plain(importer, call, Reduction::Sum)?.remove(0);
    Ok(vec![importer.on(Unary::Log, &sum)?])
}

fn log_sum_exp(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?.clone();
    let Some((axes, keep)) = axes(importer, call)? else { return Ok(vec![x]) };
    // relative to the largest, so that nothing overflows
    let largest = importer.on(Reduce { kind: Reduction::Max, axes: axes.clone(), keep: true }, &x)?;
    let relative = importer.one(Binary::Sub, &[x, largest.clone()])?;
    let powers = importer.on(Unary::Exp, &relative)?;
    let sum = importer.on(Reduce { kind: Reduction::Sum, axes: axes.clone(), keep: true }, &powers)?;
    let log = importer.on(Unary::Log, &sum)?;
    let whole = importer.one(Binary::Add, &[log, largest])?;
    if keep {
        return Ok(vec![whole]);
    }
    let shape = importer.shape(&whole);
    let left = (0..shape.len()).filter(|k| !axes.contains(k)).map(|k| shape[k]).collect();
    Ok(vec![super::layout::reshaped(importer, &whole, left)?])
}

fn arg(importer: &mut Importer, call: &Call<'_>, least: bool) -> Step<Vec<Operand>> {
    let attributes = call.attributes();
    if attributes.flag("select_last_index", false)? {
        return Err("it asks for the last of equal elements".into());
    }
    let mut x = cast_to(importer, call.operand(0)?, DType::F32)?;
    let axis = axis_of(attributes.int("axis")?.unwrap_or(0), importer.shape(&x).len())?;
    if least {
        x = importer.on(Unary::Neg, &x)?;
    }
    Ok(vec![importer.on(ArgMax { axis, keep: attributes.flag("keepdims", true)? }, &x)?])
}

fn cum_sum(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let attributes = call.attributes();
    if attributes.flag("exclusive", false)? || attributes.flag("reverse", false)? {
        return Err("it runs backwards or leaves the first element out".into());
    }
    let x = call.operand(0)?;
    let axis = importer.ints(call.operand(1)?, "axis")?;
    let [axis] = axis[..] else { return Err(format!("its axis is {axis:?}").into()) };
    let axis = axis_of(axis, importer.shape(x).len())?;
    Ok(vec![importer.on(Cumulative { axis, product: false }, x)?])
}
