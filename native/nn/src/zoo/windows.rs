//! Windows of a Swin transformer: an image cut into squares of tokens, which attend among themselves.
//!
//! Images are rows of vectors, `(n, row, column, channel)`; their sides are multiples of the window's.

use crate::builder::{Scope, Var};
use crate::tensor::Tensor;

/// An image as rows of vectors, `(n, row, column, channel)`.
pub(super) type Tokens<'b> = Var<'b>;

/// Score of tokens that a shifted window has brought together from opposite edges.
const APART: f32 = -100.0;

/// Windows of `w` x `w` tokens: `(window of all images, token, channel)`.
pub(super) fn cut<'b>(x: Tokens<'b>, w: usize) -> Var<'b> {
    let (n, rows, columns, c) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
    let (down, across) = (rows / w, columns / w);
    x.reshape(&[n, down, w, across, w, c]).permute(&[0, 1, 3, 2, 4, 5]).reshape(&[n * down * across, w * w, c])
}

/// The image that [`cut`] made windows of.
pub(super) fn joined<'b>(windows: Var<'b>, w: usize, [n, rows, columns]: [usize; 3]) -> Tokens<'b> {
    let (down, across, c) = (rows / w, columns / w, windows.dim(2));
    windows.reshape(&[n, down, across, w, w, c]).permute(&[0, 1, 3, 2, 4, 5]).reshape(&[n, rows, columns, c])
}

/// For every pair of tokens of a window, the row of the table of biases that belongs to their displacement.
fn displacements(w: usize) -> Vec<i64> {
    let row = |a: usize, b: usize| ((a / w + w - 1 - b / w) * (2 * w - 1) + (a % w + w - 1 - b % w)) as i64;
    (0..w * w).flat_map(|a| (0..w * w).map(move |b| row(a, b))).collect()
}

/// Scores `(window, token, token)` that keep apart what only the shift has brought together.
fn apart(rows: usize, columns: usize, w: usize, shift: usize) -> Vec<f32> {
    let part = |i: usize, n: usize| usize::from(i + w >= n) + usize::from(i + shift >= n);
    let mut scores = Vec::with_capacity(rows * columns * w * w);
    for window in 0..(rows / w) * (columns / w) {
        let (top, left) = (window / (columns / w) * w, window % (columns / w) * w);
        let region = |t: usize| (part(top + t / w, rows), part(left + t % w, columns));
        for a in 0..w * w {
            scores.extend((0..w * w).map(|b| if region(a) == region(b) { 0.0 } else { APART }));
        }
    }
    scores
}

/// The side of the windows and the number of heads, from the table of biases of `attention`.
pub(super) fn side_and_heads(attention: &Scope<'_>) -> (usize, usize) {
    let (places, heads) = (attention.size("relative_position_bias_table", 0), attention.size("relative_position_bias_table", 1));
    (places.isqrt().div_ceil(2).max(1), heads)
}

/// Attention within windows shifted by `shift`: `attention.qkv`, `proj`, `relative_position_bias_table`; the table of indices and
/// the mask, which follow from the sizes, may be there and do not count.
pub(super) fn attending<'b>(attention: &Scope<'b>, x: Tokens<'b>, shift: usize) -> Tokens<'b> {
    attention.unused("relative_position_index");
    let (n, rows, columns, c) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
    let (w, heads) = side_and_heads(attention);
    let places = (2 * w - 1) * (2 * w - 1);
    let shifts = |by: isize| [(1, by), (2, by)];

    let moved = if shift > 0 { x.roll(&shifts(-(shift as isize))) } else { x };
    let windows = cut(moved, w);
    let (count, size, head) = (windows.dim(0), w * w, c / heads);
    let [q, k, v] = attention
        .linear("qkv", windows, 3 * c)
        .reshape(&[count, size, 3, heads, head])
        .permute(&[2, 0, 3, 1, 4])
        .chunk::<3>(0)
        .map(|x| x.squeeze(0));
    let mut scores = (q * (head as f32).powf(-0.5)).matmul(k.transpose(2, 3));
    if let Ok(index) = Tensor::from_i64(&[size * size], displacements(w)) {
        let table = attention.weight("relative_position_bias_table", &[places, heads]);
        scores = scores + table.gather(0, x.constant(index)).reshape(&[size, size, heads]).permute(&[2, 0, 1]);
    }
    if shift > 0 {
        let per_image = count / n.max(1);
        if let Ok(mask) = Tensor::from_f32(&[1, per_image, 1, size, size], apart(rows, columns, w, shift)) {
            scores = (scores.reshape(&[n, per_image, heads, size, size]) + x.constant(mask)).reshape(&[count, heads, size, size]);
        }
    }
    let seen = scores.softmax(3).matmul(v).transpose(1, 2).reshape(&[count, size, c]);
    let seen = joined(attention.linear("proj", seen, c), w, [n, rows, columns]);
    if shift > 0 {
        seen.roll(&shifts(shift as isize))
    } else {
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displacements_are_numbered_row_by_row() {
        // windows of 2 x 2: three displacements down and across, from -1 on
        assert_eq!(displacements(2), [4, 3, 1, 0, 5, 4, 2, 1, 7, 6, 4, 3, 8, 7, 5, 4]);
    }

    #[test]
    fn only_shifted_edges_are_kept_apart() {
        // 4 x 4 tokens, windows of 2, shifted by 1: the first window is whole, the last one of four pieces
        let scores = apart(4, 4, 2, 1);
        assert!(scores[..16].iter().all(|&s| s == 0.0));
        let last = &scores[48..];
        assert!((0..16).all(|i| (last[i] == 0.0) == (i / 4 == i % 4)));
    }
}
