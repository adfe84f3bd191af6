//! Constants and the arithmetic of shapes.

use super::super::import::{Call, Importer, Operand, Step};
use super::{extents, Import};
use crate::tensor::{Data, Tensor};

pub(super) const TABLE: &[(&str, Import)] = &[
    ("Constant", constant),
    ("ConstantOfShape", constant_of_shape),
    ("Shape", shape),
    ("Size", size),
    ("Range", range),
    ("NonZero", non_zero),
];

fn constant(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let attributes = call.attributes();
    if let Some(tensor) = attributes.tensor("value")? {
        // under the name of its result it is a parameter like any other
        return Ok(vec![Operand::Known(tensor.clone(), call.node.outputs.first().cloned())]);
    }
    let (shape, data) = if let Some(value) = attributes.float("value_float")? {
        (vec![], Data::F32(vec![value]))
    } else if let Some(value) = attributes.int("value_int")? {
        (vec![], Data::I64(vec![value]))
    } else if let Some(values) = attributes.floats("value_floats")? {
        (vec![values.len()], Data::F32(values.to_vec()))
    } else if let Some(values) = attributes.ints("value_ints")? {
        (vec![values.len()], Data::I64(values.to_vec()))
    } else {
        return Err("it holds neither a tensor nor numbers".into());
    };
    Ok(vec![importer.known(&shape, data)?])
}

fn constant_of_shape(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let shape = extents(&importer.ints(call.operand(0)?, "shape")?, "shape")?;
    let zero = Tensor::scalar(0.0);
    let value = call.attributes().tensor("value")?.map_or(&zero, |tensor| tensor.as_ref());
    Ok(vec![importer.filled(&shape, value)?])
}

fn shape(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let shape = importer.shape(call.operand(0)?);
    let count = shape.len() as i64;
    let place = |value: i64| (if value < 0 { value.saturating_add(count) } else { value }).clamp(0, count) as usize;
    let start = place(call.attributes().int("start")?.unwrap_or(0));
    let end = place(call.attributes().int("end")?.unwrap_or(count));
    let values: Vec<i64> = shape.iter().take(end).skip(start).map(|&n| n as i64).collect();
    Ok(vec![importer.known(&[values.len()], Data::I64(values))?])
}

fn size(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let count: usize = importer.shape(call.operand(0)?).iter().product();
    Ok(vec![importer.known(&[], Data::I64(vec![count as i64]))?])
}

fn range(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    const MOST: f64 = (1 << 24) as f64;
    let bounds = [0, 1, 2].map(|k| call.operand(k).cloned()).into_iter().collect::<Step<Vec<_>>>()?;
    let tensors = bounds.iter().map(|b| importer.fixed(b, "range")).collect::<Step<Vec<_>>>()?;
    let count = |start: f64, end: f64, step: f64| {
        let count = ((end - start) / step).ceil().max(0.0);
        // a step of 0 gives no number, or too large a one
        if count <= MOST {
            Ok(count as usize)
        } else {
            Err(format!("it counts from {start} to {end} in steps of {step}"))
        }
    };
    let data = match [tensors[0].data(), tensors[1].data(), tensors[2].data()] {
        [Data::I64(start), Data::I64(end), Data::I64(step)] if [start.len(), end.len(), step.len()] == [1; 3] => {
            let count = count(start[0] as f64, end[0] as f64, step[0] as f64)?;
            Data::I64((0..count as i64).map(|i| start[0].wrapping_add(step[0].wrapping_mul(i))).collect())
        }
        [Data::F32(start), Data::F32(end), Data::F32(step)] if [start.len(), end.len(), step.len()] == [1; 3] => {
            let count = count(start[0].into(), end[0].into(), step[0].into())?;
            Data::F32((0..count).map(|i| start[0] + step[0] * i as f32).collect())
        }
        _ => return Err("its start, end and step must be single numbers of one type".into()),
    };
    Ok(vec![importer.known(&[data.len()], data)?])
}

fn non_zero(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let tensor = importer.fixed(x, "operand")?;
    let is_set: Vec<bool> = match tensor.data() {
        Data::F32(v) => v.iter().map(|&v| v != 0.0).collect(),
        Data::I64(v) => v.iter().map(|&v| v != 0).collect(),
        Data::Bool(v) => v.clone(),
    };
    let places: Vec<usize> = (0..is_set.len()).filter(|&i| is_set[i]).collect();
    let shape = tensor.shape().to_vec();
    let mut indices = Vec::with_capacity(shape.len() * places.len());
    for axis in 0..shape.len() {
        let inner: usize = shape[axis + 1..].iter().product();
        indices.extend(places.iter().map(|&i| (i / inner % shape[axis]) as i64));
    }
    Ok(vec![importer.known(&[shape.len(), places.len()], Data::I64(indices))?])
}
