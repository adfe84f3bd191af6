//! Products of matrices.

use super::super::import::{Call, Importer, Operand, Step};
use super::layout::{permuted, reshaped};
use super::Import;
use crate::ops::{Binary, Linear, MatMul, Reduce, Reduction};

pub(super) const TABLE: &[(&str, Import)] = &[("MatMul", matmul), ("Gemm", gemm), ("Einsum", einsum)];

fn matmul(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let (mut a, mut b) = (call.operand(0)?.clone(), call.operand(1)?.clone());
    let (row, column) = (importer.shape(&a).len() == 1, importer.shape(&b).len() == 1);
    if row {
        let length = importer.shape(&a)[0];
        a = reshaped(importer, &a, vec![1, length])?;
    }
    if column {
        let length = importer.shape(&b)[0];
        b = reshaped(importer, &b, vec![length, 1])?;
    }
    let product = importer.one(MatMul, &[a, b])?;
    // the axes that vectors were given are taken away again
    let mut shape = importer.shape(&product);
    if column {
        shape.pop();
    }
    if row {
        shape.remove(shape.len() - if column { 1 } else { 2 });
    }
    Ok(vec![reshaped(importer, &product, shape)?])
}

fn gemm(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let attributes = call.attributes();
    let (mut a, mut b, c) = (call.operand(0)?.clone(), call.operand(1)?.clone(), call.optional(2).cloned());
    let (alpha, beta) = (attributes.float("alpha")?.unwrap_or(1.0), attributes.float("beta")?.unwrap_or(1.0));
    let transposed = attributes.flag("transB", false)?;
    if [&a, &b].iter().any(|m| importer.shape(m).len() != 2) {
        return Err("it needs two matrices".into());
    }
    if attributes.flag("transA", false)? {
        a = permuted(importer, &a, vec![1, 0])?;
    }
    let outputs = importer.shape(&b)[usize::from(!transposed)];
    let is_bias = c.as_ref().is_none_or(|c| importer.shape(c) == [outputs] && beta == 1.0);
    if transposed && alpha == 1.0 && is_bias {
        let operands: Vec<Operand> = [a, b].into_iter().chain(c).collect();
        return Ok(vec![importer.one(Linear, &operands)?]);
    }
    if transposed {
        b = permuted(importer, &b, vec![1, 0])?;
    }
    let mut product = importer.one(MatMul, &[a, b])?;
    if alpha != 1.0 {
        let alpha = importer.scalar(alpha)?;
        product = importer.one(Binary::Mul, &[product, alpha])?;
    }
    if let Some(mut c) = c {
        if beta != 1.0 {
            let beta = importer.scalar(beta)?;
            c = importer.one(Binary::Mul, &[c, beta])?;
        }
        product = importer.one(Binary::Add, &[product, c])?;
    }
    Ok(vec![product])
}

/// The labels of an equation: those of each operand, and those of the result.
fn labels(equation: &str) -> Step<(Vec<Vec<char>>, Vec<char>)> {
    let plain: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match plain.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (plain.as_str(), None),
    };
    let operands: Vec<Vec<char>> = left.split(',').map(|term| term.chars().collect()).collect();
    let result = right.map_or_else(
        || {
            // the labels that occur once, in alphabetic order
            let all: Vec<char> = operands.concat();
            let mut single: Vec<char> = all.iter().copied().filter(|c| all.iter().filter(|d| *d == c).count() == 1).collect();
            single.sort_unstable();
            single
        },
        |right| right.chars().collect(),
    );
    let twice = |term: &Vec<char>| term.iter().enumerate().any(|(k, c)| term[..k].contains(c));
    let all: Vec<char> = operands.concat();
    if operands.iter().any(twice) || twice(&result) || !all.iter().chain(&result).all(char::is_ascii_alphabetic) {
        return Err(format!("its equation {equation:?} cannot be read: each label once in a term, no dots").into());
    }
    if let Some(stray) = result.iter().find(|c| !all.contains(c)) {
        return Err(format!("its equation {equation:?} makes {stray} out of nothing").into());
    }
    Ok((operands, result))
}

/// Sums over the axes of `labels` that `kept` does not list; returns what is left of the labels.
fn summed(importer: &mut Importer, x: Operand, labels: &[char], kept: impl Fn(char) -> bool) -> Step<(Operand, Vec<char>)> {
    let axes: Vec<usize> = (0..labels.len()).filter(|&k| !kept(labels[k])).collect();
    if axes.is_empty() {
        return Ok((x, labels.to_vec()));
    }
    let left = labels.iter().copied().filter(|&c| kept(c)).collect();
    Ok((importer.on(Reduce { kind: Reduction::Sum, axes, keep: false }, &x)?, left))
}

/// The axes of `labels` in the order of `wanted`.
fn ordered(importer: &mut Importer, x: &Operand, labels: &[char], wanted: &[char]) -> Step<Operand> {
    let axes = wanted.iter().filter_map(|c| labels.iter().position(|l| l == c)).collect();
    permuted(importer, x, axes)
}

fn einsum(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let equation = call.attributes().text("equation")?.ok_or("it has no equation")?;
    let (terms, result) = labels(equation)?;
    let operands = call.all()?;
    let fits = operands.len() == terms.len() && operands.iter().zip(&terms).all(|(o, t)| importer.shape(o).len() == t.len());
    if !fits {
        return Err(format!("its operands do not fit its equation {equation:?}").into());
    }
    let mut operands = operands.into_iter().zip(terms);
    let (mut x, mut have) = operands.next().ok_or("it has no operands")?;
    let rest: Vec<_> = operands.collect();
    for (k, (y, of_y)) in rest.iter().enumerate() {
        let later = |c: char| result.contains(&c) || rest[k + 1..].iter().any(|(_, term)| term.contains(&c));
        let (left, of_left) = summed(importer, x, &have, |c| of_y.contains(&c) || later(c))?;
        let (right, of_right) = summed(importer, y.clone(), of_y, |c| of_left.contains(&c) || later(c))?;
        (x, have) = product(importer, (&left, &of_left), (&right, &of_right), later)?;
    }
    let (x, have) = summed(importer, x, &have, |c| result.contains(&c))?;
    Ok(vec![ordered(importer, &x, &have, &result)?])
}

/// The product of two operands with labels: those that both have and nothing later needs are summed over.
fn product(
    importer: &mut Importer,
    (a, of_a): (&Operand, &[char]),
    (b, of_b): (&Operand, &[char]),
    later: impl Fn(char) -> bool,
) -> Step<(Operand, Vec<char>)> {
    let pick = |from: &[char], test: &dyn Fn(char) -> bool| -> Vec<char> { from.iter().copied().filter(|&c| test(c)).collect() };
    let batch = pick(of_a, &|c| of_b.contains(&c) && later(c));
    let summed = pick(of_a, &|c| of_b.contains(&c) && !later(c));
    let (rows, cols) = (pick(of_a, &|c| !of_b.contains(&c)), pick(of_b, &|c| !of_a.contains(&c)));
    let (shape_a, shape_b) = (importer.shape(a), importer.shape(b));
    let length = |c: char| {
        let of = |labels: &[char], shape: &[usize]| labels.iter().position(|l| *l == c).map(|k| shape[k]);
        of(of_a, &shape_a).or_else(|| of(of_b, &shape_b)).unwrap_or(1)
    };
    for c in batch.iter().chain(&summed) {
        let in_b = of_b.iter().position(|l| l == c).map(|k| shape_b[k]);
        if in_b != Some(length(*c)) {
            return Err(format!("its operands {shape_a:?} and {shape_b:?} disagree on {c}").into());
        }
    }
    let lengths = |labels: &[char]| -> Vec<usize> { labels.iter().map(|&c| length(c)).collect() };
    let count = |labels: &[char]| lengths(labels).iter().product::<usize>();
    let (n, m, k, p) = (count(&batch), count(&rows), count(&summed), count(&cols));
    let a = ordered(importer, a, of_a, &[&batch[..], &rows, &summed].concat())?;
    let a = reshaped(importer, &a, vec![n, m, k])?;
    let b = ordered(importer, b, of_b, &[&batch[..], &summed, &cols].concat())?;
    let b = reshaped(importer, &b, vec![n, k, p])?;
    let product = importer.one(MatMul, &[a, b])?;
    let have = [batch, rows, cols].concat();
    let product = reshaped(importer, &product, lengths(&have))?;
    Ok((product, have))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_read() {
        let (terms, result) = labels("b h i d , b h j d -> b h i j").ok().unwrap();
        assert_eq!((terms[1].as_slice(), result.as_slice()), (['b', 'h', 'j', 'd'].as_slice(), ['b', 'h', 'i', 'j'].as_slice()));
        assert_eq!(labels("ij,jk").ok().unwrap().1, ['i', 'k']);
        assert!(labels("ii->i").is_err() && labels("...i->i").is_err() && labels("i->j").is_err() && labels("i->ii").is_err());
    }
}
