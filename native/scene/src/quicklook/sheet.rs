//! Contact sheets: equal panels in a grid with captions, outlines and colour bars.

use ndarray::ArrayView2;

use super::{font, ColourMap, Picture, Rgb};

const PAPER: Rgb = [255, 255, 255];
const INK: Rgb = [28, 30, 34];
const FADED: Rgb = [105, 109, 117];
const FRAME: Rgb = [70, 73, 79];
const MARGIN: usize = 26;
const GAP: usize = 20;
/// Room above a panel for its caption, and below it for a legend.
const CAPTION: usize = 46;
const LEGEND: usize = 48;
const TEXT: usize = 2;

/// A panel of a [`contact_sheet`].
#[derive(Clone, Debug)]
pub struct Panel {
    /// First line of the caption.
    pub title: String,
    /// Second line of the caption, lighter.
    pub note: String,
    /// The picture; it is resized to the panel.
    pub picture: Picture,
    /// Rectangles drawn over the picture.
    pub marks: Vec<Mark>,
    /// A colour bar under the panel.
    pub legend: Option<Legend>,
}

/// A labelled rectangle, in pixels of the panel's own picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// First row.
    pub row: usize,
    /// First column.
    pub col: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// Written above the rectangle.
    pub label: String,
}

impl Mark {
    /// The rectangle around the set pixels of a mask, the outermost hundredth on each side left out and `pad` pixels
    /// added; nothing for an empty mask.
    pub fn around(mask: ArrayView2<bool>, pad: usize, label: &str) -> Option<Self> {
        let (mut rows, mut cols) = (Vec::new(), Vec::new());
        for ((r, c), set) in mask.indexed_iter() {
            if *set {
                rows.push(r);
                cols.push(c);
            }
        }
        cols.sort_unstable();
        let cut = rows.len() / 100;
        let span = |sorted: &[usize], limit: usize| {
            let (first, last) = (*sorted.get(cut)?, *sorted.get(sorted.len() - 1 - cut)?);
            let first = first.saturating_sub(pad);
            Some((first, (last + pad + 1).min(limit) - first))
        };
        let (height, width) = mask.dim();
        let ((row, rows), (col, cols)) = (span(&rows, height)?, span(&cols, width)?);
        Some(Self { row, col, rows, cols, label: label.to_string() })
    }
}

/// A colour bar.
#[derive(Clone, Debug)]
pub struct Legend {
    /// Its colours.
    pub map: ColourMap,
    /// Value at its left end.
    pub low: f64,
    /// Value at its right end; larger values have the same colour.
    pub high: f64,
}

/// Panels of `panel_px` x `panel_px` pixels (or less high, for wide images) in rows of `columns`, under a heading.
///
/// All panels have the shape of the first one. Captions are cut where the panel ends.
pub fn contact_sheet(heading: &str, panels: &[Panel], columns: usize, panel_px: usize) -> Picture {
    let columns = columns.clamp(1, panels.len().max(1));
    let (wide, high) = panels.first().map_or((panel_px, panel_px), |panel| {
        let (w, h) = (panel.picture.width().max(1), panel.picture.height().max(1));
        let longer = w.max(h);
        ((panel_px * w / longer).max(1), (panel_px * h / longer).max(1))
    });
    let lines = panels.len().div_ceil(columns);
    let top = if heading.is_empty() { MARGIN } else { MARGIN + 3 * font::HEIGHT + 16 };
    let line_height = |line: usize| {
        CAPTION + high + if has_legend(panels, line, columns) { LEGEND } else { 0 } + if line + 1 < lines { GAP } else { 0 }
    };
    let height = top + (0..lines).map(line_height).sum::<usize>() + MARGIN;
    let width = 2 * MARGIN + columns * wide + (columns - 1) * GAP;
    let mut sheet = Picture::filled(width, height, PAPER);
    font::write(&mut sheet, MARGIN, MARGIN, &cut(heading, width - 2 * MARGIN, 3), 3, INK);
    for (k, panel) in panels.iter().enumerate() {
        let row = top + (0..k / columns).map(line_height).sum::<usize>();
        let col = MARGIN + (k % columns) * (wide + GAP);
        font::write(&mut sheet, row, col, &cut(&panel.title, wide, TEXT), TEXT, INK);
        font::write(&mut sheet, row + 21, col, &cut(&panel.note, wide, TEXT), TEXT, FADED);
        let row = row + CAPTION;
        sheet.fill(row - 1, col - 1, high + 2, wide + 2, FRAME);
        sheet.paste(row, col, &panel.picture.resized(wide, high));
        let scale = (high as f64 / panel.picture.height().max(1) as f64, wide as f64 / panel.picture.width().max(1) as f64);
        for mark in &panel.marks {
            draw_mark(&mut sheet, (row, col), scale, mark);
        }
        if let Some(legend) = &panel.legend {
            draw_legend(&mut sheet, row + high + 10, col, wide, legend);
        }
    }
    sheet
}

fn has_legend(panels: &[Panel], line: usize, columns: usize) -> bool {
    panels.iter().skip(line * columns).take(columns).any(|panel| panel.legend.is_some())
}

/// Draws a mark over a panel whose upper left corner is at `origin`: white lines on a dark edge.
fn draw_mark(sheet: &mut Picture, origin: (usize, usize), scale: (f64, f64), mark: &Mark) {
    let place = |n: usize, scale: f64| (n as f64 * scale).round() as usize;
    let (top, left) = (origin.0 + place(mark.row, scale.0), origin.1 + place(mark.col, scale.1));
    let (rows, cols) = (place(mark.rows, scale.0), place(mark.cols, scale.1));
    for (colour, grow) in [(INK, 1), (PAPER, 0)] {
        let (top, left) = (top.saturating_sub(grow), left.saturating_sub(grow));
        let (rows, cols, line) = (rows + 2 * grow, cols + 2 * grow, 1 + 2 * grow);
        sheet.fill(top, left, line, cols, colour);
        sheet.fill(top + rows - line.min(rows), left, line, cols, colour);
        sheet.fill(top, left, rows, line, colour);
        sheet.fill(top, left + cols - line.min(cols), rows, line, colour);
    }
    let (y, x) = (top.saturating_sub(TEXT * font::HEIGHT + 4), left + 1);
    for (dy, dx) in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2)] {
        font::write(sheet, (y + dy).saturating_sub(1), (x + dx).saturating_sub(1), &mark.label, TEXT, INK);
    }
    font::write(sheet, y, x, &mark.label, TEXT, PAPER);
}

/// As much of a text as fits in `room` pixels.
fn cut(text: &str, room: usize, size: usize) -> String {
    let mut kept = text.to_string();
    while font::width(&kept) * size > room && kept.pop().is_some() {}
    kept
}

fn draw_legend(sheet: &mut Picture, row: usize, col: usize, width: usize, legend: &Legend) {
    const BAR: usize = 12;
    for c in 0..width {
        let colour = legend.map.rgb(c as f32 / (width.max(2) - 1) as f32);
        sheet.fill(row, col + c, BAR, 1, colour);
    }
    let label = |value: f64| {
        let span = (legend.high - legend.low).abs();
        let digits = if span < 0.02 {
            3
        } else if span < 10.0 {
            2
        } else {
            0
        };
        format!("{value:.digits$}")
    };
    let y = row + BAR + 8;
    let middle = 0.5 * (legend.low + legend.high);
    for (value, place) in [(legend.low, 0.0), (middle, 0.5), (legend.high, 1.0)] {
        let x = col + (place * (width - 1) as f64).round() as usize;
        sheet.fill(row + BAR, x, 4, 1, FRAME);
        let text = if place == 1.0 { format!(">= {}", label(value)) } else { label(value) };
        let wide = font::width(&text) * TEXT;
        let left = (x as f64 - place * wide as f64).round() as usize;
        font::write(sheet, y, left, &text, TEXT, INK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(legend: Option<Legend>) -> Panel {
        Panel {
            title: "Fine".into(),
            note: "2022-05-09".into(),
            picture: Picture::filled(60, 40, [9, 99, 199]),
            marks: Vec::new(),
            legend,
        }
    }

    #[test]
    fn panels_are_equal_and_in_place() {
        let legend = Legend { map: ColourMap::Heat, low: 0.0, high: 0.1 };
        let panels = [panel(None), panel(None), panel(None), panel(Some(legend))];
        let sheet = contact_sheet("Demo", &panels, 2, 90);
        assert_eq!(sheet.width(), 2 * MARGIN + 2 * 90 + GAP);
        let blue = (0..sheet.height() * sheet.width())
            .filter(|k| sheet.get(k / sheet.width(), k % sheet.width()) == Some([9, 99, 199]))
            .count();
        assert_eq!(blue, 4 * 90 * 60);
        let mut bytes = Vec::new();
        sheet.encode_png(&mut bytes).unwrap();
        let info = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        assert_eq!((info.info().width as usize, info.info().height as usize), (sheet.width(), sheet.height()));
    }

    #[test]
    fn marks_surround_the_mask() {
        let mask = ndarray::Array2::from_shape_fn((50, 60), |(r, c)| (10..20).contains(&r) && (30..45).contains(&c));
        let mark = Mark::around(mask.view(), 2, "flood").unwrap();
        assert_eq!(mark, Mark { row: 8, col: 28, rows: 14, cols: 19, label: "flood".into() });
        assert_eq!(Mark::around(mask.mapv(|_| false).view(), 2, "flood"), None);
        let mut marked = panel(None);
        marked.marks.push(Mark { row: 10, col: 10, rows: 20, cols: 30, label: String::new() });
        let sheet = contact_sheet("", &[marked], 1, 60);
        let (row, col) = (MARGIN + CAPTION, MARGIN);
        assert_eq!(sheet.get(row + 10, col + 10), Some(PAPER));
        assert_eq!(sheet.get(row + 20, col + 25), Some([9, 99, 199]));
    }

    #[test]
    fn long_captions_are_cut_at_the_panel() {
        assert_eq!(cut("abc", 1000, 2), "abc");
        assert!(font::width(&cut(&"wide ".repeat(50), 90, 2)) * 2 <= 90);
    }
}
