//! Normalisations and softmax.

use super::super::import::{Call, Importer, Operand, Step};
use super::layout::{expanded, reshaped};
use super::{axis_of, extent, Import};
use crate::ops::{BatchNorm, GroupNorm, LayerNorm, Softmax};
use crate::tensor::{DType, Tensor};

pub(super) const TABLE: &[(&str, Import)] = &[
    ("BatchNormalization", batch),
    ("InstanceNormalization", instance),
    ("LayerNormalization", layer),
    ("GroupNormalization", group),
    ("Softmax", |importer, call| softmax(importer, call, false)),
    ("LogSoftmax", |importer, call| softmax(importer, call, true)),
];

fn epsilon(call: &Call<'_>) -> Step<f64> {
    Ok(call.attributes().float("epsilon")?.unwrap_or(1e-5).into())
}

fn batch(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    if call.attributes().flag("training_mode", false)? {
        return Err("it is exported for training".into());
    }
    let operands = [0, 1, 2, 3, 4].map(|k| call.operand(k).cloned()).into_iter().collect::<Step<Vec<_>>>()?;
    Ok(vec![importer.one(BatchNorm { epsilon: epsilon(call)? }, &operands)?])
}

fn instance(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let operands = [0, 1, 2].map(|k| call.operand(k).cloned()).into_iter().collect::<Step<Vec<_>>>()?;
    let groups = importer.shape(&operands[0]).get(1).copied().unwrap_or(0);
    Ok(vec![importer.one(GroupNorm { groups, epsilon: epsilon(call)? }, &operands)?])
}

fn layer(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let (x, scale) = (call.operand(0)?.clone(), call.operand(1)?.clone());
    let axes = importer.shape(&x).len();
    let axes = axes - axis_of(call.attributes().int("axis")?.unwrap_or(-1), axes)?;
    let shift = match call.optional(2) {
        Some(shift) => shift.clone(),
        None => {
            let shape = importer.shape(&scale);
            importer.filled(&shape, &Tensor::zeros(&[], DType::F32))?
        }
    };
    Ok(vec![importer.one(LayerNorm { axes, epsilon: epsilon(call)? }, &[x, scale, shift])?])
}

fn group(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?.clone();
    let groups = extent(call.attributes().int("num_groups")?.ok_or("it does not say into how many groups")?, "num_groups")?;
    let channels = importer.shape(&x).get(1).copied().unwrap_or(0);
    if groups == 0 || channels % groups != 0 {
        return Err(format!("{channels} channels cannot be shared out into {groups} groups").into());
    }
    let mut operands = vec![x];
    for k in [1, 2] {
        // one number for each group
        let column = reshaped(importer, call.operand(k)?, vec![groups, 1])?;
        let each = expanded(importer, &column, &[groups, channels / groups])?;
        operands.push(reshaped(importer, &each, vec![channels])?);
    }
    Ok(vec![importer.one(GroupNorm { groups, epsilon: epsilon(call)? }, &operands)?])
}

fn softmax(importer: &mut Importer, call: &Call<'_>, log: bool) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let axis = axis_of(call.attributes().int("axis")?.unwrap_or(-1), importer.shape(x).len())?;
    Ok(vec![importer.on(Softmax { axis, log }, x)?])
}
