//! What is known of the difference images of a whole scene before any patch is coded.

use ndarray::{ArrayView2, Axis, Zip};
use stfusion_core::method::{Layer, Scene};
use stfusion_core::{Exec, Region, Result};

use crate::blocks::passes::{map_blocks, BLOCK_PX};
use crate::blocks::statistics::Moments;

/// Indices of the pair before and the pair after the target day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    /// Date 1.
    pub before: usize,
    /// Date 3.
    pub after: usize,
}

/// Differences of one band over the whole scene.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Differences {
    /// F3 − F1.
    pub fine: Moments,
    /// C3 − C1.
    pub coarse: Moments,
    /// Largest of |C2 − C1| and |C2 − C3|.
    pub largest_change: f64,
}

impl Differences {
    fn merged(self, other: Self) -> Self {
        Differences {
            fine: self.fine.merged(other.fine),
            coarse: self.coarse.merged(other.coarse),
            largest_change: self.largest_change.max(other.largest_change),
        }
    }
}

/// Differences of every band.
///
/// # Errors
/// Those of reading, and [`stfusion_core::ErrorKind::Cancelled`].
pub fn differences(scene: &dyn Scene, sides: Sides, exec: &Exec<'_>) -> Result<Vec<Differences>> {
    let info = scene.info();
    let blocks = Region::whole(info.rows, info.cols).blocks(BLOCK_PX, BLOCK_PX);
    let layers = [
        Layer::Fine(sides.before),
        Layer::Coarse(sides.before),
        Layer::Fine(sides.after),
        Layer::Coarse(sides.after),
        Layer::Target,
    ];
    let parts: Vec<Vec<Differences>> = map_blocks(scene, &blocks, &layers, exec, |_, images| {
        let of_band = |b: usize| {
            let [f1, c1, f3, c3, c2] = [0, 1, 2, 3, 4].map(|i| images[i].index_axis(Axis(0), b));
            Differences { fine: moments(f1, f3), coarse: moments(c1, c3), largest_change: largest(c1, c2).max(largest(c3, c2)) }
        };
        Ok((0..info.bands).map(of_band).collect())
    })?;
    let whole = |b: usize| parts.iter().fold(Differences::default(), |sum, part| sum.merged(part[b]));
    Ok((0..info.bands).map(whole).collect())
}

/// Gives the differences that are valid, row by row.
fn each(earlier: ArrayView2<'_, f32>, later: ArrayView2<'_, f32>, mut take: impl FnMut(f64)) {
    Zip::from(earlier).and(later).for_each(|&a, &b| {
        let d = f64::from(b) - f64::from(a);
        if !d.is_nan() {
            take(d);
        }
    });
}

fn moments(earlier: ArrayView2<'_, f32>, later: ArrayView2<'_, f32>) -> Moments {
    let (mut count, mut sum) = (0u64, 0.0);
    each(earlier, later, |d| {
        count += 1;
        sum += d;
    });
    let mean = if count > 0 { sum / count as f64 } else { 0.0 };
    let mut squares = 0.0;
    each(earlier, later, |d| squares += (d - mean) * (d - mean));
    Moments { count, mean, squares }
}

fn largest(earlier: ArrayView2<'_, f32>, later: ArrayView2<'_, f32>) -> f64 {
    let mut largest = 0.0f64;
    each(earlier, later, |d| largest = largest.max(d.abs()));
    largest
}
