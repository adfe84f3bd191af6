//! One fold as a scene: a pair held back is the target, the others are the pairs.

use ndarray::ArrayViewMut3;
use stfusion_core::method::{Layer, MethodInfo, PairInfo, Scene, SceneInfo};
use stfusion_core::{Error, Region, Result};

/// A scene whose pair `held` is the target, as one method sees it: with at most as many pairs as it takes, and without the
/// extra images that it does not take.
pub(super) struct FoldScene<'a> {
    scene: &'a dyn Scene,
    held: usize,
    /// Indices into the pairs of `scene`, in the job's order.
    pairs: Vec<usize>,
    info: SceneInfo,
}

impl<'a> FoldScene<'a> {
    pub fn new(scene: &'a dyn Scene, held: usize, method: &MethodInfo) -> Self {
        let whole = scene.info();
        let target_date = whole.pairs[held].date;
        let pairs = chosen(whole, held, method.max_pairs);
        let seen = |k: &usize| PairInfo::new(whole.pairs[*k].date, |extra| whole.pairs[*k].has(extra) && method.accepts(extra));
        let info = SceneInfo { pairs: pairs.iter().map(seen).collect(), target_date, ..whole.clone() };
        FoldScene { scene, held, pairs, info }
    }

    /// The pairs that predict, as indices into those of the job.
    pub fn pairs(&self) -> &[usize] {
        &self.pairs
    }
}

/// The pairs other than `held`, of more than `most` the nearest in time: first the nearest on each side of the target, then the
/// nearest of the rest; without dates the first of the job. In the job's order.
fn chosen(scene: &SceneInfo, held: usize, most: Option<usize>) -> Vec<usize> {
    let mut others: Vec<usize> = (0..scene.pairs.len()).filter(|&k| k != held).collect();
    let Some(most) = most.filter(|&m| m < others.len()) else { return others };
    let gap = |k: usize| scene.pairs[held].date.zip(scene.pairs[k].date).map(|(target, pair)| target.days_until(pair));
    if others.iter().all(|&k| gap(k).is_some()) {
        others.sort_by_key(|&k| (gap(k).map(i32::abs), k));
        if most > 1 {
            // the nearest pair leads; the nearest one of the other side comes next
            let after = |k: usize| gap(k).is_some_and(|g| g > 0);
            if let Some(other_side) = others.iter().position(|&k| after(k) != after(others[0])) {
                others[1..=other_side].rotate_right(1);
            }
        }
    }
    others.truncate(most);
    others.sort_unstable();
    others
}

impl Scene for FoldScene<'_> {
    fn info(&self) -> &SceneInfo {
        &self.info
    }

    fn read(&self, layer: Layer, region: Region, out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let pair = |k: usize| self.pairs.get(k).copied().ok_or_else(|| Error::internal(format!("the fold has no pair {k}")));
        let of_scene = match layer {
            Layer::Target => Layer::Coarse(self.held),
            Layer::Fine(k) => Layer::Fine(pair(k)?),
            Layer::Coarse(k) => Layer::Coarse(pair(k)?),
            Layer::Extra(extra, k) => Layer::Extra(extra, pair(k)?),
        };
        self.scene.read(of_scene, region, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(days: &[Option<&str>]) -> SceneInfo {
        let pair = |d: &Option<&str>| PairInfo { date: d.map(|d| d.parse().unwrap()), extra_images: Vec::new() };
        let pairs = days.iter().map(pair).collect();
        SceneInfo { bands: 1, rows: 1, cols: 1, scale: None, pairs, target_date: None }
    }

    #[test]
    fn the_nearest_pairs_predict_one_from_each_side_first() {
        let days = ["2020-01-01", "2020-03-20", "2020-03-25", "2020-04-01", "2020-06-01"].map(Some);
        let info = scene(&days);
        assert_eq!(chosen(&info, 3, None), [0, 1, 2, 4]);
        assert_eq!(chosen(&info, 3, Some(1)), [2]);
        assert_eq!(chosen(&info, 3, Some(2)), [2, 4], "2020-03-20 is nearer, but 2020-06-01 lies on the other side");
        assert_eq!(chosen(&info, 3, Some(3)), [1, 2, 4]);
        assert_eq!(chosen(&info, 0, Some(2)), [1, 2], "all lie on one side");
        assert_eq!(chosen(&info, 4, Some(9)), [0, 1, 2, 3]);
    }

    #[test]
    fn without_dates_the_first_of_the_job_predict() {
        let info = scene(&[Some("2020-01-01"), None, Some("2020-03-25"), Some("2020-04-01")]);
        assert_eq!(chosen(&info, 3, Some(2)), [0, 1]);
    }
}
