//! The same elements in another arrangement.

use super::super::import::{elements, Call, Importer, Operand, Step, MOST_EXTENT};
use super::{axes_of, axis_of, extent, extents, Import};
use crate::ops::{broadcast, Concat, Expand, Fold, Pad, PadMode, PixelShuffle, Reshape, Select, Slice, Transpose};
use crate::tensor::{DType, Data, Tensor};

pub(super) const TABLE: &[(&str, Import)] = &[
    ("Identity", |_, call| Ok(vec![call.operand(0)?.clone()])),
    ("Dropout", dropout),
    ("Reshape", reshape),
    ("Flatten", flatten),
    ("Squeeze", squeeze),
    ("Unsqueeze", unsqueeze),
    ("Transpose", transpose),
    ("Concat", concat),
    ("Slice", slice),
    ("Split", split),
    ("Expand", expand),
    ("Tile", tile),
    ("Pad", pad),
    ("DepthToSpace", depth_to_space),
    ("SpaceToDepth", space_to_depth),
    ("Trilu", trilu),
    ("Col2Im", col2im),
];

fn dropout(_: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    // nothing is dropped outside of training, which the third operand would switch on
    match call.optional(2) {
        Some(Operand::Known(tensor, _)) if *tensor.data() == Data::Bool(vec![false]) => {}
        None => {}
        Some(_) => return Err("it is exported for training".into()),
    }
    Ok(vec![call.operand(0)?.clone()])
}

/// The same elements in another shape.
pub(super) fn reshaped(importer: &mut Importer, x: &Operand, shape: Vec<usize>) -> Step<Operand> {
    if importer.shape(x) == shape {
        return Ok(x.clone());
    }
    importer.on(Reshape { shape }, x)
}

/// Axes in another order.
pub(super) fn permuted(importer: &mut Importer, x: &Operand, axes: Vec<usize>) -> Step<Operand> {
    if axes.iter().enumerate().all(|(k, &axis)| k == axis) {
        return Ok(x.clone());
    }
    importer.on(Transpose { axes }, x)
}

/// `count` elements of one axis from `start` on.
pub(super) fn part(importer: &mut Importer, x: &Operand, axis: usize, start: usize, count: usize) -> Step<Operand> {
    let shape = importer.shape(x);
    let (mut starts, mut counts) = (vec![0; shape.len()], shape.clone());
    (starts[axis], counts[axis]) = (start, count);
    sliced(importer, x, starts, counts, vec![1; shape.len()])
}

fn sliced(importer: &mut Importer, x: &Operand, start: Vec<usize>, count: Vec<usize>, step: Vec<isize>) -> Step<Operand> {
    let ty = importer.ty(x);
    if ty.shape == count && start.iter().all(|&s| s == 0) && step.iter().all(|&s| s == 1) {
        return Ok(x.clone());
    }
    if count.contains(&0) {
        let data = match ty.dtype {
            DType::F32 => Data::F32(Vec::new()),
            DType::I64 => Data::I64(Vec::new()),
            DType::Bool => Data::Bool(Vec::new()),
        };
        return importer.known(&count, data);
    }
    importer.on(Slice { start, count, step }, x)
}

/// Operands one after the other; those without elements add nothing.
pub(super) fn joined(importer: &mut Importer, axis: usize, mut operands: Vec<Operand>) -> Step<Operand> {
    let is_empty = |importer: &Importer, o: &Operand| elements(&importer.shape(o)) == Some(0);
    if operands.iter().any(|o| !is_empty(importer, o)) {
        operands.retain(|o| !is_empty(importer, o));
    }
    match &operands[..] {
        [only] => Ok(only.clone()),
        _ => importer.one(Concat { axis }, &operands),
    }
}

fn reshape(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let asked = importer.ints(call.operand(1)?, "shape")?;
    let allow_zero = call.attributes().flag("allowzero", false)?;
    let have = importer.shape(x);
    let mut shape = Vec::with_capacity(asked.len());
    let mut open = None;
    for (k, &value) in asked.iter().enumerate() {
        match value {
            -1 if open.is_some() => return Err(format!("its shape {asked:?} leaves two extents open").into()),
            -1 => {
                open = Some(k);
                shape.push(1);
            }
            0 if !allow_zero => {
                shape.push(*have.get(k).ok_or_else(|| format!("its shape {asked:?} keeps an extent that {have:?} has not"))?);
            }
            other => shape.push(extent(other, "shape")?),
        }
    }
    if let Some(k) = open {
        let (all, rest) = (elements(&have), elements(&shape));
        match (all, rest) {
            (Some(all), Some(rest)) if rest > 0 && all % rest == 0 => shape[k] = all / rest,
            _ => return Err(format!("{have:?} cannot become {asked:?}").into()),
        }
    }
    Ok(vec![reshaped(importer, x, shape)?])
}

fn flatten(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let shape = importer.shape(x);
    let axis = match call.attributes().int("axis")?.unwrap_or(1) {
        axis if usize::try_from(axis) == Ok(shape.len()) => shape.len(),
        axis => axis_of(axis, shape.len())?,
    };
    let flat = vec![shape[..axis].iter().product(), shape[axis..].iter().product()];
    Ok(vec![reshaped(importer, x, flat)?])
}

fn squeeze(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let shape = importer.shape(x);
    let axes = match call.optional(1) {
        Some(axes) => axes_of(&importer.ints(axes, "axes")?, shape.len())?,
        None => (0..shape.len()).filter(|&k| shape[k] == 1).collect(),
    };
    if let Some(&axis) = axes.iter().find(|&&a| shape[a] != 1) {
        return Err(format!("axis {axis} of {shape:?} has more than one element").into());
    }
    let left = shape.iter().enumerate().filter(|(k, _)| !axes.contains(k)).map(|(_, &n)| n).collect();
    Ok(vec![reshaped(importer, x, left)?])
}

fn unsqueeze(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let shape = importer.shape(x);
    let axes = importer.ints(call.operand(1)?, "axes")?;
    let axes = axes_of(&axes, shape.len() + axes.len())?;
    let mut left = shape.iter().copied();
    let wider = (0..shape.len() + axes.len()).map(|k| if axes.contains(&k) { 1 } else { left.next().unwrap_or(1) }).collect();
    Ok(vec![reshaped(importer, x, wider)?])
}

fn transpose(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let count = importer.shape(x).len();
    let axes = call.attributes().counts("perm")?.unwrap_or_else(|| (0..count).rev().collect());
    if axes.len() != count {
        return Err(format!("its order {axes:?} is not one of {count} axes").into());
    }
    Ok(vec![permuted(importer, x, axes)?])
}

fn concat(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let operands = call.all()?;
    let axis =
        axis_of(call.attributes().int("axis")?.ok_or("it does not say along which axis")?, importer.shape(&operands[0]).len())?;
    Ok(vec![joined(importer, axis, operands)?])
}

fn slice(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let shape = importer.shape(x);
    let (starts, ends) = (importer.ints(call.operand(1)?, "starts")?, importer.ints(call.operand(2)?, "ends")?);
    let axes = match call.optional(3) {
        Some(axes) => axes_of(&importer.ints(axes, "axes")?, shape.len())?,
        None => (0..starts.len()).collect(),
    };
    let steps = match call.optional(4) {
        Some(steps) => importer.ints(steps, "steps")?,
        None => vec![1; starts.len()],
    };
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || axes.iter().any(|&a| a >= shape.len()) {
        return Err(
            format!("its starts {starts:?}, ends {ends:?}, axes {axes:?} and steps {steps:?} do not fit {shape:?}").into()
        );
    }
    let (mut first, mut count, mut step) = (vec![0; shape.len()], shape.clone(), vec![1; shape.len()]);
    for (k, &axis) in axes.iter().enumerate() {
        (first[axis], count[axis], step[axis]) = range(starts[k], ends[k], steps[k], shape[axis])?;
    }
    Ok(vec![sliced(importer, x, first, count, step)?])
}

/// First element, number of elements and distance of `start..end` in steps along an axis of length `n`, as Python counts.
fn range(start: i64, end: i64, step: i64, n: usize) -> Step<(usize, usize, isize)> {
    let length = n as i64;
    let from_end = |i: i64| if i < 0 { i.saturating_add(length) } else { i };
    let whole = step.clamp(-(MOST_EXTENT as i64), MOST_EXTENT as i64);
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let (first, last) = (from_end(start).clamp(low.max(0), high.max(0)), from_end(end).clamp(low, high));
    let count = match whole {
        0 => return Err("its step is 0".into()),
        1.. => (last - first).max(0) as u64,
        _ => (first - last).max(0) as u64,
    };
    let count = count.div_ceil(whole.unsigned_abs()) as usize;
    if count == 0 || n == 0 {
        return Ok((0, 0, 1));
    }
    Ok((first as usize, count, if count == 1 { 1 } else { whole as isize }))
}

fn split(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let shape = importer.shape(x);
    let axis = axis_of(call.attributes().int("axis")?.unwrap_or(0), shape.len())?;
    let sizes = match call.optional(1) {
        Some(sizes) => extents(&importer.ints(sizes, "split")?, "split")?,
        None => {
            let pieces = call.results();
            let size = shape[axis].div_ceil(pieces.max(1));
            (0..pieces).map(|k| size.min(shape[axis].saturating_sub(k * size))).collect()
        }
    };
    if sizes.iter().sum::<usize>() != shape[axis] {
        return Err(format!("its pieces {sizes:?} do not make up axis {axis} of {shape:?}").into());
    }
    let mut start = 0;
    let mut pieces = Vec::with_capacity(sizes.len());
    for size in sizes {
        pieces.push(part(importer, x, axis, start, size)?);
        start += size;
    }
    Ok(pieces)
}

fn expand(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let asked = extents(&importer.ints(call.operand(1)?, "shape")?, "shape")?;
    Ok(vec![expanded(importer, x, &asked)?])
}

/// Axes of length one repeated, as far as `asked` wants.
pub(super) fn expanded(importer: &mut Importer, x: &Operand, asked: &[usize]) -> Step<Operand> {
    let have = importer.shape(x);
    let shape = broadcast(&[&have, asked])?;
    if shape == have {
        return Ok(x.clone());
    }
    importer.on(Expand { shape }, x)
}

fn tile(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let mut x = call.operand(0)?.clone();
    let repeats = extents(&importer.ints(call.operand(1)?, "repeats")?, "repeats")?;
    let shape = importer.shape(&x);
    if repeats.len() != shape.len() || repeats.contains(&0) {
        return Err(format!("its repeats {repeats:?} do not fit {shape:?}").into());
    }
    for (axis, &times) in repeats.iter().enumerate().filter(|(_, &times)| times > 1) {
        let have = importer.shape(&x);
        let (before, after) = have.split_at(axis);
        let single = reshaped(importer, &x, [before, &[1], after].concat())?;
        let repeated = expanded(importer, &single, &[before, &[times], after].concat())?;
        let length = have[axis].checked_mul(times).ok_or("its result is too large")?;
        x = reshaped(importer, &repeated, [before, &[length], &after[1..]].concat())?;
    }
    Ok(vec![x])
}

fn pad(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let count = importer.shape(x).len();
    let asked = importer.ints(call.operand(1)?, "pads")?;
    let axes = match call.optional(3) {
        Some(axes) => axes_of(&importer.ints(axes, "axes")?, count)?,
        None => (0..count).collect(),
    };
    if asked.len() != 2 * axes.len() {
        return Err(format!("its pads {asked:?} do not fit {} axes", axes.len()).into());
    }
    let limit = MOST_EXTENT as i64;
    if let Some(pad) = asked.iter().find(|p| !(-limit..=limit).contains(*p)) {
        return Err(format!("it pads by {pad}").into());
    }
    let mut pads = vec![(0, 0); count];
    for (k, &axis) in axes.iter().enumerate() {
        pads[axis] = (asked[k], asked[k + axes.len()]);
    }
    let mode = match call.attributes().text("mode")?.unwrap_or("constant") {
        "constant" => PadMode::Zeros,
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Replicate,
        "wrap" => PadMode::Circular,
        other => return Err(format!("its mode {other:?} is unknown").into()),
    };
    let value = match call.optional(2) {
        Some(value) if mode == PadMode::Zeros => match importer.fixed(value, "value")?.data() {
            Data::F32(v) => v.first().copied().map_or(0.0, f64::from),
            Data::I64(v) if v.first().is_none_or(|&v| v == 0) => 0.0,
            Data::Bool(v) if v.first().is_none_or(|&v| !v) => 0.0,
            _ => return Err("it pads integers with another number than 0".into()),
        },
        _ => 0.0,
    };
    if pads.iter().all(|&p| p == (0, 0)) {
        return Ok(vec![x.clone()]);
    }
    Ok(vec![importer.on(Pad { pads, mode, value }, x)?])
}

/// Batch, channels, rows and columns of an image.
fn image(importer: &Importer, x: &Operand) -> Step<[usize; 4]> {
    let shape = importer.shape(x);
    <[usize; 4]>::try_from(shape).map_err(|shape| format!("it needs an image (n, c, h, w), not {shape:?}").into())
}

fn block(call: &Call<'_>) -> Step<usize> {
    let size = extent(call.attributes().int("blocksize")?.ok_or("it does not say how large its blocks are")?, "blocksize")?;
    if size == 0 || size > 1 << 15 {
        return Err(format!("its blocks are {size} wide").into());
    }
    Ok(size)
}

fn depth_to_space(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let (x, size) = (call.operand(0)?, block(call)?);
    match call.attributes().text("mode")?.unwrap_or("DCR") {
        "CRD" => Ok(vec![importer.on(PixelShuffle { factor: size }, x)?]),
        "DCR" => {
            let [n, c, h, w] = image(importer, x)?;
            if c % (size * size) != 0 {
                return Err(format!("{c} channels cannot become blocks of {size}").into());
            }
            let channels = c / (size * size);
            let x = reshaped(importer, x, vec![n, size, size, channels, h, w])?;
            let x = permuted(importer, &x, vec![0, 3, 4, 1, 5, 2])?;
            Ok(vec![reshaped(importer, &x, vec![n, channels, h * size, w * size])?])
        }
        other => Err(format!("its mode {other:?} is unknown").into()),
    }
}

fn space_to_depth(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let (x, size) = (call.operand(0)?, block(call)?);
    let [n, c, h, w] = image(importer, x)?;
    if h % size != 0 || w % size != 0 {
        return Err(format!("{h} x {w} pixels cannot be cut into blocks of {size}").into());
    }
    let x = reshaped(importer, x, vec![n, c, h / size, size, w / size, size])?;
    let x = permuted(importer, &x, vec![0, 3, 5, 1, 2, 4])?;
    Ok(vec![reshaped(importer, &x, vec![n, c * size * size, h / size, w / size])?])
}

fn trilu(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let ty = importer.ty(x);
    let diagonal = match call.optional(1) {
        Some(k) => importer.ints(k, "diagonal")?.first().copied().unwrap_or(0),
        None => 0,
    };
    let upper = call.attributes().flag("upper", true)?;
    let [.., rows, cols] = ty.shape[..] else { return Err("it needs a matrix".into()) };
    let count =
        rows.checked_mul(cols).filter(|&n| n <= 1 << 24).ok_or_else(|| format!("its matrix {rows} x {cols} is too large"))?;
    let mask = (0..count).map(|i| {
        let along = (i % cols) as i64 - (i / cols) as i64;
        if upper {
            along >= diagonal
        } else {
            along <= diagonal
        }
    });
    let mask = Data::Bool(mask.collect());
    let mask = importer.known(&[rows, cols], mask)?;
    let zero = Tensor::zeros(&[], ty.dtype);
    let zero = importer.filled(&[], &zero)?;
    Ok(vec![importer.one(Select, &[mask, x.clone(), zero])?])
}

fn col2im(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let pair = |values: Vec<usize>, what: &str| {
        <[usize; 2]>::try_from(values).map_err(|v| format!("its {what} {v:?} are not those of an image"))
    };
    let size = pair(extents(&importer.ints(call.operand(1)?, "size")?, "size")?, "sizes")?;
    let kernel = pair(extents(&importer.ints(call.operand(2)?, "block")?, "block")?, "blocks")?;
    let attribute =
        |name: &str| -> Step<[usize; 2]> { Ok(pair(call.attributes().counts(name)?.unwrap_or_else(|| vec![1, 1]), name)?) };
    let (stride, dilation) = (attribute("strides")?, attribute("dilations")?);
    let pads = match call.attributes().counts("pads")?.unwrap_or_else(|| vec![0; 4])[..] {
        [top, left, bottom, right] if top == bottom && left == right => [top, left],
        ref other => return Err(format!("its pads {other:?} are not alike on both sides").into()),
    };
    Ok(vec![importer.on(Fold { size, kernel, stride, dilation, pads }, x)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_python() {
        // (start, end, step, length) and what Python's slice gives: first, number, step
        for ((start, end, step, n), expected) in [
            ((0, i64::MAX, 1, 5), (0, 5, 1)),
            ((1, -1, 1, 5), (1, 3, 1)),
            ((-2, i64::MAX, 1, 5), (3, 2, 1)),
            ((0, 9, 2, 5), (0, 3, 2)),
            ((-1, i64::MIN, -1, 5), (4, 5, -1)),
            ((i64::MAX, 0, -2, 5), (4, 2, -2)),
            ((3, 1, 1, 5), (0, 0, 1)),
            ((7, 9, 1, 5), (0, 0, 1)),
            ((-9, 2, 1, 5), (0, 2, 1)),
            ((1, 2, i64::MAX, 5), (1, 1, 1)),
            ((0, 1, 1, 0), (0, 0, 1)),
            ((0, -9, -1, 5), (0, 1, 1)),
        ] {
            assert_eq!(range(start, end, step, n).ok(), Some(expected), "{start}:{end}:{step} of {n}");
        }
        assert!(range(0, 1, 0, 5).is_err());
    }
}
