//! The offsets of a window, the nearest to its centre first.

/// A square of `2 half + 1` rows and columns. Its *positions* number its pixels in the order of their distance from the centre,
/// then of their rows, then of their columns; position 0 is the centre.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    half: usize,
    offsets: Vec<(isize, isize)>,
}

impl Window {
    /// The window with `half` pixels on every side of the centre.
    pub fn new(half: usize) -> Self {
        let h = half as isize;
        let mut offsets: Vec<_> = (-h..=h).flat_map(|dy| (-h..=h).map(move |dx| (dy, dx))).collect();
        offsets.sort_by_key(|&(dy, dx)| (dy * dy + dx * dx, dy, dx));
        Window { half, offsets }
    }

    /// Pixels on every side of the centre.
    pub fn half(&self) -> usize {
        self.half
    }

    /// (rows, columns) from the centre to every position.
    pub fn offsets(&self) -> &[(isize, isize)] {
        &self.offsets
    }

    /// `of(distance)` of every position; distances are in pixels.
    pub fn table(&self, of: impl Fn(f64) -> f32) -> Vec<f32> {
        self.offsets.iter().map(|&(dy, dx)| of(((dy * dy + dx * dx) as f64).sqrt())).collect()
    }

    /// Step from the centre to every position in an image stored row by row with `cols` columns.
    pub fn steps(&self, cols: usize) -> Vec<isize> {
        self.offsets.iter().map(|&(dy, dx)| dy * cols as isize + dx).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_go_outwards_by_rows_and_columns() {
        let window = Window::new(1);
        let expected = [(0, 0), (-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)];
        assert_eq!(window.offsets(), expected);
        assert_eq!(window.steps(10)[5..], [-11, -9, 9, 11]);
        assert_eq!(window.table(|d| d as f32)[5], 2f32.sqrt());
        assert_eq!(Window::new(0).offsets(), [(0, 0)]);
    }
}
