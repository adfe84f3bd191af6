//! The operators of ONNX in terms of this crate's, one file per family.
//!
//! Names, attributes and defaults are those of the ONNX specification, versions 13 to 18 of the operator set.

mod convolution;
mod elementwise;
mod indexing;
mod layout;
mod matmul;
mod normalisation;
mod recurrent;
mod reduction;
mod resize;
mod shape;

use super::import::{Call, Importer, Operand, Step, MOST_EXTENT};

/// Imports an operator: its results, in the file's order.
pub(crate) type Import = fn(&mut Importer, &Call<'_>) -> Step<Vec<Operand>>;

/// Every operator that can be imported.
const TABLES: &[&[(&str, Import)]] = &[
    convolution::TABLE,
    elementwise::TABLE,
    indexing::TABLE,
    layout::TABLE,
    matmul::TABLE,
    normalisation::TABLE,
    recurrent::TABLE,
    reduction::TABLE,
    resize::TABLE,
    shape::TABLE,
];

/// How to import an operator.
pub(crate) fn by_name(name: &str) -> Option<Import> {
    TABLES.iter().copied().flatten().find(|(n, _)| *n == name).map(|(_, import)| *import)
}

/// Whether an operator can be imported.
pub(crate) fn is_known(name: &str) -> bool {
    by_name(name).is_some()
}

/// The axis that `axis` means among so many; negative ones count from the end.
fn axis_of(axis: i64, axes: usize) -> Step<usize> {
    let counted = if axis < 0 { axis.checked_add_unsigned(axes as u64) } else { Some(axis) };
    let found = counted.and_then(|a| usize::try_from(a).ok()).filter(|&a| a < axes);
    found.ok_or_else(|| format!("it names axis {axis} of {axes}").into())
}

/// The axes that `axes` mean, none twice.
fn axes_of(axes: &[i64], count: usize) -> Step<Vec<usize>> {
    let mut all = Vec::with_capacity(axes.len());
    for &axis in axes {
        let axis = axis_of(axis, count)?;
        if all.contains(&axis) {
            return Err(format!("it names axis {axis} twice").into());
        }
        all.push(axis);
    }
    Ok(all)
}

/// A number as an extent.
fn extent(value: i64, what: &str) -> Step<usize> {
    let extent = usize::try_from(value).ok().filter(|&n| n <= MOST_EXTENT);
    extent.ok_or_else(|| format!("its {what} is {value}; 0 to {MOST_EXTENT} are possible").into())
}

/// Numbers as extents.
fn extents(values: &[i64], what: &str) -> Step<Vec<usize>> {
    values.iter().map(|&v| extent(v, what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_is_there_once() {
        let mut names: Vec<&str> = TABLES.iter().copied().flatten().map(|(name, _)| *name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn axes_count_from_both_ends() {
        assert_eq!(axes_of(&[0, -1], 3).ok(), Some(vec![0, 2]));
        assert!(axes_of(&[1, -2], 3).is_err());
        assert!(axis_of(3, 3).is_err() && axis_of(-4, 3).is_err() && axis_of(i64::MIN, 3).is_err());
        assert!(extent(-1, "x").is_err() && extent(1 << 40, "x").is_err());
    }
}
