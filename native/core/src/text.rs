//! Figures and tables as plain text, for terminals and logs.

use std::fmt::Write as _;

/// Decimals that show four significant digits of the largest value.
pub fn decimals(values: &[Option<f64>]) -> usize {
    let largest = values.iter().flatten().filter(|v| v.is_finite()).fold(0.0_f64, |a, v| a.max(v.abs()));
    if largest > 0.0 {
        (3.0 - largest.log10().floor()).clamp(0.0, 9.0) as usize
    } else {
        4
    }
}

/// A figure with so many decimals; a dash where it is undefined.
pub fn number(value: Option<f64>, decimals: usize) -> String {
    let text = value.map_or_else(|| "-".into(), |v| format!("{v:.decimals$}"));
    // a rounded zero has no sign
    match text.strip_prefix('-') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| matches!(b, b'0' | b'.')) => digits.into(),
        _ => text,
    }
}

/// Rows of cells, the first column left-aligned and the others right-aligned, two blanks between.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            let width = widths[c];
            let _ = if c == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
