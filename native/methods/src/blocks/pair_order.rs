//! Which pair is nearest to the target day.
//!
//! With dates: fewer days first, the earlier pair where two are equally far, then the order of the job. Without them nothing
//! is known of the distance, and the order of the job is taken for the order of time: the last pair is the nearest.

use stfusion_core::method::SceneInfo;

/// Indices of the pairs, the nearest in time first.
pub fn nearest_first(scene: &SceneInfo) -> Vec<usize> {
    let gaps: Option<Vec<i32>> = (0..scene.pairs.len()).map(|k| scene.gap_days(k)).collect();
    let mut order: Vec<usize> = (0..scene.pairs.len()).collect();
    match gaps {
        Some(gaps) => order.sort_by_key(|&k| (gaps[k].unsigned_abs(), gaps[k] > 0, k)),
        None => order.reverse(),
    }
    order
}

/// Days from the target to every pair, or `None` when a date is missing.
pub fn gaps(scene: &SceneInfo) -> Option<Vec<i32>> {
    (0..scene.pairs.len()).map(|k| scene.gap_days(k)).collect()
}

/// Which pairs a prediction is combined from where several make one each.
///
/// With dates: the last usable pair on or before the target day and the first one after it, weighted by the inverse of their days; a
/// pair of the target day itself alone. Without dates the last usable pair of the job alone.
#[derive(Debug, Clone)]
pub struct ByDate {
    order: Vec<usize>,
    gaps: Option<Vec<i32>>,
}

/// The pairs of a prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Chosen {
    /// No pair is usable.
    None,
    /// One pair.
    One(usize),
    /// Two pairs and their weights.
    Two((usize, f64), (usize, f64)),
}

impl ByDate {
    /// For the pairs of a scene.
    pub fn new(scene: &SceneInfo) -> Self {
        ByDate { order: nearest_first(scene), gaps: gaps(scene) }
    }

    /// The pairs, the nearest first, and the days from the target to each; 0 without dates.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, i32)> + '_ {
        self.order.iter().map(|&k| (k, self.gaps.as_ref().map_or(0, |gaps| gaps[k])))
    }

    /// The pairs to combine where `usable` says which pairs make a prediction.
    pub fn choose(&self, usable: impl Fn(usize) -> bool) -> Chosen {
        let Some(gaps) = &self.gaps else {
            return self.order.iter().copied().find(|&k| usable(k)).map_or(Chosen::None, Chosen::One);
        };
        let nearest = |later: bool| self.order.iter().copied().find(|&k| (gaps[k] > 0) == later && usable(k));
        match (nearest(false), nearest(true)) {
            (Some(a), Some(b)) if gaps[a] < 0 => Chosen::Two((a, 1.0 / f64::from(-gaps[a])), (b, 1.0 / f64::from(gaps[b]))),
            (Some(k), _) | (None, Some(k)) => Chosen::One(k),
            (None, None) => Chosen::None,
        }
    }
}

impl Chosen {
    /// Weighted mean of what the chosen pairs predict.
    pub fn combined(self, predicted: impl Fn(usize) -> f64) -> Option<f64> {
        match self {
            Chosen::None => None,
            Chosen::One(k) => Some(predicted(k)),
            Chosen::Two((a, wa), (b, wb)) => Some((wa * predicted(a) + wb * predicted(b)) / (wa + wb)),
        }
    }

    /// The chosen pairs.
    pub fn pairs(self) -> impl Iterator<Item = usize> {
        let (a, b) = match self {
            Chosen::None => (None, None),
            Chosen::One(k) => (Some(k), None),
            Chosen::Two((a, _), (b, _)) => (Some(a), Some(b)),
        };
        a.into_iter().chain(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stfusion_core::method::PairInfo;
    use stfusion_core::Date;

    fn scene(target: Option<i16>, days: &[Option<i16>]) -> SceneInfo {
        let date = |d: i16| Date::from_day_of_year(2001, d).unwrap();
        SceneInfo {
            bands: 1,
            rows: 1,
            cols: 1,
            scale: None,
            pairs: days.iter().map(|d| PairInfo { date: d.map(date), extra_images: Vec::new() }).collect(),
            target_date: target.map(date),
        }
    }

    #[test]
    fn fewer_days_come_first_and_the_earlier_of_two() {
        assert_eq!(nearest_first(&scene(Some(100), &[Some(110), Some(90), Some(104), Some(90)])), [2, 1, 3, 0]);
    }

    #[test]
    fn without_all_dates_the_last_pair_comes_first() {
        assert_eq!(nearest_first(&scene(Some(100), &[Some(100), None, Some(300)])), [2, 1, 0]);
        assert_eq!(nearest_first(&scene(None, &[Some(100), Some(200)])), [1, 0]);
    }

    #[test]
    fn the_pairs_on_both_sides_are_combined_and_one_of_the_day_counts_alone() {
        let both = ByDate::new(&scene(Some(100), &[Some(110), Some(60), Some(96)]));
        assert_eq!(both.choose(|_| true), Chosen::Two((2, 0.25), (0, 0.1)));
        assert_eq!(both.choose(|k| k != 2), Chosen::Two((1, 0.025), (0, 0.1)));
        assert_eq!(both.choose(|k| k == 1), Chosen::One(1));
        assert_eq!(both.choose(|_| false).combined(|_| 1.0), None);
        assert_eq!(ByDate::new(&scene(Some(100), &[Some(90), Some(100), Some(110)])).choose(|_| true), Chosen::One(1));
        assert_eq!(ByDate::new(&scene(None, &[None, None])).choose(|_| true), Chosen::One(1));
        let values = [7.0, 0.0, 14.0];
        assert_eq!(Chosen::Two((2, 0.25), (0, 0.1)).combined(|k| values[k]), Some((0.25 * 14.0 + 0.1 * 7.0) / 0.35));
        assert_eq!(Chosen::Two((2, 0.25), (0, 0.1)).pairs().collect::<Vec<_>>(), [2, 0]);
    }
}
