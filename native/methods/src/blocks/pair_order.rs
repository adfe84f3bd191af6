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
            pairs: days.iter().map(|d| PairInfo { date: d.map(date), has_classes: false, has_objects: false }).collect(),
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
}
