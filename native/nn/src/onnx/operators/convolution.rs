//! Convolutions and pooling.

use super::super::import::{Call, Importer, Operand, Step};
use super::layout::reshaped;
use super::{extent, Import};
use crate::ops::{Convolution, PadMode, Pool, PoolKind, Reduce, Reduction, TransposedConvolution};

pub(super) const TABLE: &[(&str, Import)] = &[
    ("Conv", conv),
    ("ConvTranspose", conv_transpose),
    ("MaxPool", max_pool),
    ("AveragePool", average_pool),
    ("GlobalAveragePool", |importer, call| global_pool(importer, call, Reduction::Mean)),
    ("GlobalMaxPool", |importer, call| global_pool(importer, call, Reduction::Max)),
];

/// Windows along spatial axes, as the attributes give them.
struct Windows {
    kernel: Vec<usize>,
    stride: Vec<usize>,
    dilation: Vec<usize>,
    pads: Vec<(usize, usize)>,
}

impl Windows {
    /// Of an operand with these spatial axes. `kernel`: that of the weights, if there are any.
    fn of(call: &Call<'_>, spatial: &[usize], kernel: Option<&[usize]>) -> Step<Self> {
        let attributes = call.attributes();
        let axes = spatial.len();
        let kernel = match (attributes.counts("kernel_shape")?, kernel) {
            (Some(own), Some(weights)) if own != weights => {
                return Err(format!("its kernel is {own:?}, but its weights are for {weights:?}").into());
            }
            (Some(own), _) => own,
            (None, Some(weights)) => weights.to_vec(),
            (None, None) => return Err("it does not say how large its windows are".into()),
        };
        let each = |name: &str| -> Step<Vec<usize>> { Ok(attributes.counts(name)?.unwrap_or_else(|| vec![1; axes])) };
        let (stride, dilation) = (each("strides")?, each("dilations")?);
        if [kernel.len(), stride.len(), dilation.len()] != [axes; 3]
            || [&kernel, &stride, &dilation].iter().any(|v| v.contains(&0))
        {
            return Err(format!(
                "its kernel {kernel:?}, strides {stride:?} and dilations {dilation:?} do not fit {axes} spatial axes"
            )
            .into());
        }
        let pads = match attributes.text("auto_pad")?.unwrap_or("NOTSET") {
            "NOTSET" => {
                let pads = attributes.counts("pads")?.unwrap_or_else(|| vec![0; 2 * axes]);
                if pads.len() != 2 * axes {
                    return Err(format!("its pads {pads:?} do not fit {axes} spatial axes").into());
                }
                (0..axes).map(|k| (pads[k], pads[k + axes])).collect()
            }
            "VALID" => vec![(0, 0); axes],
            same @ ("SAME_UPPER" | "SAME_LOWER") => (0..axes)
                .map(|k| {
                    let results = spatial[k].div_ceil(stride[k]);
                    let reach = dilation[k].saturating_mul(kernel[k] - 1).saturating_add(1);
                    let total = (results.saturating_sub(1) * stride[k]).saturating_add(reach).saturating_sub(spatial[k]);
                    let (less, more) = (total / 2, total - total / 2);
                    if same == "SAME_UPPER" {
                        (less, more)
                    } else {
                        (more, less)
                    }
                })
                .collect(),
            other => return Err(format!("its auto_pad {other:?} is unknown").into()),
        };
        Ok(Windows { kernel, stride, dilation, pads })
    }
}

/// The spatial axes of an operand (n, c, …).
fn spatial(importer: &Importer, x: &Operand) -> Step<Vec<usize>> {
    let shape = importer.shape(x);
    if shape.len() < 3 {
        return Err(format!("it needs batch, channels and spatial axes, not {shape:?}").into());
    }
    Ok(shape[2..].to_vec())
}

fn groups(call: &Call<'_>) -> Step<usize> {
    extent(call.attributes().int("group")?.unwrap_or(1), "group")
}

/// The operand, the weights and, where it is given, the bias.
fn operands(call: &Call<'_>) -> Step<Vec<Operand>> {
    let mut operands = vec![call.operand(0)?.clone(), call.operand(1)?.clone()];
    operands.extend(call.optional(2).cloned());
    Ok(operands)
}

fn conv(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let operands = operands(call)?;
    let (spatial, weights) = (spatial(importer, &operands[0])?, importer.shape(&operands[1]));
    let windows = Windows::of(call, &spatial, Some(weights.get(2..).unwrap_or_default()))?;
    let op = Convolution {
        stride: windows.stride,
        dilation: windows.dilation,
        pads: windows.pads,
        pad_mode: PadMode::Zeros,
        groups: groups(call)?,
    };
    Ok(vec![importer.one(op, &operands)?])
}

fn conv_transpose(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let operands = operands(call)?;
    let (spatial, weights) = (spatial(importer, &operands[0])?, importer.shape(&operands[1]));
    let attributes = call.attributes();
    let fixed = matches!(attributes.text("auto_pad")?.unwrap_or("NOTSET"), "NOTSET" | "VALID");
    if !fixed || attributes.counts("output_shape")?.is_some() {
        return Err("it gives the size of its result instead of pads".into());
    }
    let windows = Windows::of(call, &spatial, Some(weights.get(2..).unwrap_or_default()))?;
    let op = TransposedConvolution {
        output_pads: attributes.counts("output_padding")?.unwrap_or_else(|| vec![0; spatial.len()]),
        stride: windows.stride,
        dilation: windows.dilation,
        pads: windows.pads,
        groups: groups(call)?,
    };
    Ok(vec![importer.one(op, &operands)?])
}

fn pool(importer: &mut Importer, call: &Call<'_>, kind: PoolKind) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let windows = Windows::of(call, &spatial(importer, x)?, None)?;
    let ceil = call.attributes().flag("ceil_mode", false)?;
    let Windows { kernel, stride, dilation, pads } = windows;
    Ok(vec![importer.on(Pool { kind, kernel, stride, dilation, pads, ceil }, x)?])
}

fn max_pool(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    if call.wants(1) {
        return Err("the places of its maxima are not computed here".into());
    }
    pool(importer, call, PoolKind::Max)
}

fn average_pool(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let count_pads = call.attributes().flag("count_include_pad", false)?;
    pool(importer, call, PoolKind::Mean { count_pads })
}

fn global_pool(importer: &mut Importer, call: &Call<'_>, kind: Reduction) -> Step<Vec<Operand>> {
    let x = call.operand(0)?;
    let axes: Vec<usize> = (2..2 + spatial(importer, x)?.len()).collect();
    let shape = importer.shape(x);
    let y = importer.on(Reduce { kind, axes, keep: true }, x)?;
    let single = [&shape[..2], &vec![1; shape.len() - 2]].concat();
    Ok(vec![reshaped(importer, &y, single)?])
}
