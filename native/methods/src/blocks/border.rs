//! What a window does at the border of the scene.

use stfusion_core::choices;

use super::cubic_spline::reflected;

choices! {
    /// What a window does at the border of the scene.
    pub enum Border {
        /// It ends there.
        Clip = "clip": "The window ends at the border",
        /// The scene continues as if mirrored.
        Reflect = "reflect": "The scene is mirrored at its border (the authors' program)",
    }
}

impl Border {
    /// Places in `0..all` of the `count` ones from `first`, which may lie outside.
    pub fn places(self, first: i64, count: usize, all: usize) -> impl Iterator<Item = usize> {
        let inside = move |place: &i64| self == Border::Reflect || (0..all as i64).contains(place);
        (first..first + count as i64).filter(inside).map(move |place| reflected(place, all))
    }
}
