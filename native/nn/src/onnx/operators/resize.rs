//! Images of another size.

use super::super::import::{Call, Importer, Operand, Step, MOST_EXTENT};
use super::layout::part;
use super::{axes_of, extents, Import};
use crate::ops::{Coordinates, Resize, Resizing, Rounding};

pub(super) const TABLE: &[(&str, Import)] = &[("Resize", resize)];

fn resize(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let attributes = call.attributes();
    let mut x = call.operand(0)?.clone();
    let shape = importer.shape(&x);
    let (size, factors) = target(importer, call, &shape)?;
    if size.len() < 3 || size[..2] != shape[..2] {
        return Err(format!("it makes {size:?} of {shape:?}; batch and channels must stay").into());
    }
    let is_same_size = size == shape && factors.iter().flatten().all(|&f| f == 1.0);
    if is_same_size {
        return Ok(vec![x]);
    }
    let coordinates = match attributes.text("coordinate_transformation_mode")?.unwrap_or("half_pixel") {
        "half_pixel" => Coordinates::HalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        "pytorch_half_pixel" => {
            // an axis of one element is the first one
            for (axis, _) in size.iter().enumerate().skip(2).filter(|(_, &n)| n == 1) {
                x = part(importer, &x, axis, 0, 1)?;
            }
            Coordinates::HalfPixel
        }
        other => return Err(format!("its coordinate_transformation_mode {other:?} is not read").into()),
    };
    if attributes.flag("exclude_outside", false)? {
        return Err("it leaves out what lies beyond the edges".into());
    }
    // the specification smooths otherwise than PyTorch does; a wrong guess would not be noticed
    if attributes.flag("antialias", false)? {
        return Err("it smooths before it reduces (antialias), which is not read".into());
    }
    let mode = match attributes.text("mode")?.unwrap_or("nearest") {
        "nearest" => Resizing::Nearest(match attributes.text("nearest_mode")?.unwrap_or("round_prefer_floor") {
            "round_prefer_floor" => Rounding::HalfDown,
            "round_prefer_ceil" => Rounding::HalfUp,
            "floor" => Rounding::Floor,
            "ceil" => Rounding::Ceil,
            other => return Err(format!("its nearest_mode {other:?} is unknown").into()),
        }),
        "linear" => Resizing::Linear,
        "cubic" if attributes.float("cubic_coeff_a")?.unwrap_or(-0.75) == -0.75 => Resizing::Cubic,
        other => return Err(format!("its mode {other:?} with these settings is not read").into()),
    };
    let factors = factors.map(|f| f[2..].to_vec());
    Ok(vec![importer.one(Resize { size: size[2..].to_vec(), mode, coordinates, factors }, &[x])?])
}

/// The extents of the result and, where they were given, the factors, for all axes.
fn target(importer: &Importer, call: &Call<'_>, shape: &[usize]) -> Step<(Vec<usize>, Option<Vec<f64>>)> {
    let attributes = call.attributes();
    let axes = match attributes.ints("axes")? {
        Some(axes) => axes_of(axes, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    if !matches!(attributes.text("keep_aspect_ratio_policy")?, None | Some("stretch")) {
        return Err("it keeps the ratio of the sides".into());
    }
    let fits =
        |count: usize| if count == axes.len() { Ok(()) } else { Err(format!("it gives {count} sizes for {} axes", axes.len())) };
    let mut size = shape.to_vec();
    if let Some(sizes) = call.optional(3) {
        let sizes = extents(&importer.ints(sizes, "sizes")?, "sizes")?;
        fits(sizes.len())?;
        axes.iter().zip(sizes).for_each(|(&axis, n)| size[axis] = n);
        return Ok((size, None));
    }
    let scales = importer.floats(call.optional(2).ok_or("it gives neither sizes nor scales")?, "scales")?;
    fits(scales.len())?;
    let mut factors = vec![1.0; shape.len()];
    for (&axis, scale) in axes.iter().zip(scales) {
        let length = (shape[axis] as f64 * f64::from(scale)).floor();
        if !(1.0..=MOST_EXTENT as f64).contains(&length) {
            return Err(format!("its scale {scale} makes {length} of {}", shape[axis]).into());
        }
        (factors[axis], size[axis]) = (scale.into(), length as usize);
    }
    Ok((size, Some(factors)))
}
