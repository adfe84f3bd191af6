//! Elements copied from one arrangement to another: boxes with a distance between neighbours along every axis, on either side.
//!
//! Transposing, cutting, repeating, reversing, rolling, joining and shuffling pixels are all lists of such boxes.

use rayon::prelude::*;

use super::Shared;

/// A box of elements. Axes are ordered by the target, the innermost last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copy {
    /// Operand that the elements come from.
    pub operand: usize,
    /// Place of the first element in the operand and in the result.
    pub from: usize,
    pub to: usize,
    /// Length, distance in the operand, distance in the result, for every axis.
    pub axes: Vec<(usize, isize, isize)>,
}

/// Elements that a task copies at least.
const TASK: usize = 1 << 15;

impl Copy {
    /// The same box with as few axes as possible.
    pub(crate) fn collapsed(mut self) -> Self {
        let mut axes: Vec<(usize, isize, isize)> = Vec::new();
        for &(n, from, to) in self.axes.iter().filter(|a| a.0 != 1) {
            match axes.last_mut() {
                Some(last) if last.1 == from * n as isize && last.2 == to * n as isize => *last = (last.0 * n, from, to),
                _ => axes.push((n, from, to)),
            }
        }
        self.axes = axes;
        self
    }

    fn len(&self) -> usize {
        self.axes.iter().map(|a| a.0).product()
    }

    /// Copies the box from `x` to `y`.
    ///
    /// # Safety
    /// Every element must lie within `x` and the memory at `y`, which nobody else may touch.
    pub(crate) unsafe fn run(&self, x: &[f32], y: Shared) {
        debug_assert!(self.within(x.len()));
        let Some((&(n, _, _), inner)) = self.axes.split_first() else {
            // SAFETY: as for this function.
            unsafe { *y.get().add(self.to) = x[self.from] };
            return;
        };
        if let [(n, step_from, step_to)] = self.axes[..] {
            (0..n.div_ceil(TASK)).into_par_iter().for_each(|task| {
                let (first, count) = (task * TASK, TASK.min(n - task * TASK));
                let from = self.from as isize + first as isize * step_from;
                let to = self.to as isize + first as isize * step_to;
                // SAFETY: as for this function.
                unsafe { walk(&[(count, step_from, step_to)], x.as_ptr().offset(from), y.get().offset(to)) };
            });
            return;
        }
        // a few outer axes are walked in parallel
        let mut outer = vec![(n, self.axes[0].1, self.axes[0].2)];
        let mut rest = inner;
        let mut tasks = n;
        while let Some((&axis, more)) = rest.split_first() {
            if more.is_empty() || tasks * TASK >= self.len() {
                break;
            }
            outer.push(axis);
            tasks *= axis.0;
            rest = more;
        }
        let per_task = (TASK * tasks / self.len().max(1)).clamp(1, tasks);
        (0..tasks.div_ceil(per_task)).into_par_iter().for_each(|task| {
            for i in task * per_task..((task + 1) * per_task).min(tasks) {
                let (mut at, mut from, mut to) = (i, self.from as isize, self.to as isize);
                for &(n, step_from, step_to) in outer.iter().rev() {
                    from += (at % n) as isize * step_from;
                    to += (at % n) as isize * step_to;
                    at /= n;
                }
                // SAFETY: as for this function.
                unsafe { walk(rest, x.as_ptr().offset(from), y.get().offset(to)) };
            }
        });
    }

    /// Whether every element lies within an operand of `len` elements.
    fn within(&self, len: usize) -> bool {
        let ends = self.axes.iter().map(|&(n, from, _)| (n as isize - 1) * from);
        let low: isize = ends.clone().filter(|e| *e < 0).sum();
        let high: isize = ends.filter(|e| *e > 0).sum();
        self.from as isize + low >= 0 && self.from as isize + high < len as isize
    }
}

/// # Safety
/// Every element of the box must be readable and writable.
unsafe fn walk(axes: &[(usize, isize, isize)], x: *const f32, y: *mut f32) {
    // SAFETY: as for this function.
    unsafe {
        match *axes {
            [] => *y = *x,
            [(n, 1, 1)] => std::ptr::copy_nonoverlapping(x, y, n),
            [(n, 0, 1)] => std::slice::from_raw_parts_mut(y, n).fill(*x),
            [(n, from, to)] => (0..n as isize).for_each(|i| *y.offset(i * to) = *x.offset(i * from)),
            // a transposition: in squares, so that both sides stay in the cache
            [(n, from, to), (m, inner_from, inner_to)] if inner_from.abs() > 1 && inner_to == 1 && from == 1 => {
                const SIDE: usize = 16;
                for i in (0..n).step_by(SIDE) {
                    for j in (0..m).step_by(SIDE) {
                        for i in i as isize..(i + SIDE).min(n) as isize {
                            for j in j as isize..(j + SIDE).min(m) as isize {
                                *y.offset(i * to + j * inner_to) = *x.offset(i * from + j * inner_from);
                            }
                        }
                    }
                }
            }
            [(n, from, to), ref inner @ ..] => {
                (0..n as isize).for_each(|i| walk(inner, x.offset(i * from), y.offset(i * to)));
            }
        }
    }
}
