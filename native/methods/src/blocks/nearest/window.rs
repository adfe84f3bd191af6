//! The offsets of a window in an order.

/// A square of `2 half + 1` rows and columns. Its *positions* number its pixels; of pixels with equal keys the one with the
/// smaller position is chosen first.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    half: usize,
    offsets: Vec<(isize, isize)>,
}

impl Window {
    /// The window with `half` pixels on every side of the centre. Positions go by distance from the centre, then by rows, then by
    /// columns; position 0 is the centre.
    pub fn new(half: usize) -> Self {
        let h = half as isize;
        let mut offsets: Vec<_> = (-h..=h).flat_map(|dy| (-h..=h).map(move |dx| (dy, dx))).collect();
        offsets.sort_by_key(|&(dy, dx)| (dy * dy + dx * dx, dy, dx));
        Window { half, offsets }
    }

    /// The same window whose positions go down the columns, one after the other from the left, as in programs that store images by columns.
    /// The search takes longer, since the most similar pixels come late.
    pub fn by_columns(half: usize) -> Self {
        let h = half as isize;
        Window { half, offsets: (-h..=h).flat_map(|dx| (-h..=h).map(move |dy| (dy, dx))).collect() }
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
        assert_eq!(Window::by_columns(1).offsets()[..4], [(-1, -1), (0, -1), (1, -1), (-1, 0)]);
    }
}
