use proptest::prelude::*;

use super::*;

/// A plane with few values, so that keys are often equal, and with gaps.
fn plane(seed: u64, pixels: usize, values: u64, gaps: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    };
    let gap = (f64::from(gaps) * 1e6) as u64;
    (0..pixels).map(|_| if next() % 1_000_000 < gap { f32::NAN } else { (next() % values) as f32 * 0.37 - 0.6 }).collect()
}

/// The chosen (row, column, key) of an output pixel: all that may be chosen, sorted, the first `most`.
fn reference(search: &Search, planes: &Planes<'_>, row: usize, col: usize) -> Vec<(f32, usize)> {
    let at = row * planes.cols + col;
    let term = |t: Term<'_>| match t {
        Term::Constant(v) => v,
        Term::PerPixel(all) => all[at],
    };
    let mut all = Vec::new();
    for (position, &(dy, dx)) in search.window.offsets().iter().enumerate() {
        let (r, c) = (row as isize + dy, col as isize + dx);
        if !(0..planes.rows as isize).contains(&r) || !(0..planes.cols as isize).contains(&c) {
            continue;
        }
        let y = r as usize * planes.cols + c as usize;
        let mut key = 0.0f32;
        let mut may = planes.required.iter().all(|p| !p[y].is_nan());
        for p in &planes.compared {
            let d = (p.values[y] - p.values[at]).abs();
            let norm = if search.norm == Norm::Squared { d * d } else { d };
            key += norm * p.factor.map_or(1.0, term);
            may &= match p.tolerance {
                None => true,
                Some(Tolerance::Below(t)) => d < term(t),
                Some(Tolerance::UpTo(t)) => d <= term(t),
            };
        }
        if let Some(law) = &search.law {
            key = (key + law.added) * law.factors[position];
        }
        if may && key < f32::INFINITY {
            all.push((key, position));
        }
    }
    all.sort_by(|a, b| a.partial_cmp(b).unwrap());
    all.truncate(search.most);
    all
}

fn compare(search: &Search, planes: &Planes<'_>, region: Region) {
    let mut seen = 0;
    search
        .each(planes, region, &Cancel::new(), |chosen| {
            for (col, samples) in chosen.iter() {
                let got: Vec<(f32, usize)> = samples.iter().map(|s| (s.key(), s.position())).collect();
                assert_eq!(got, reference(search, planes, chosen.row, col), "row {}, column {col}, {}", chosen.row, search.path);
                seen += 1;
            }
        })
        .unwrap();
    assert_eq!(seen, region.pixels());
}

fn paths() -> impl Iterator<Item = Path> {
    Path::ALL.iter().copied().filter(|p| p.is_available())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_most_similar_pixels_are_those_of_a_full_sort(
        seed in 0u64..10_000, rows in 1usize..14, cols in 1usize..60, half in 0usize..5, most in 1usize..30, count in 1usize..5,
        gaps in 0.0f32..0.5, values in 1u64..40, squared: bool, law: bool, columns: bool, factor in 0usize..3, tolerance in 0usize..4, required: bool,
        corner in (0usize..14, 0usize..60),
    ) {
        let planes_of = |salt: u64| -> Vec<Vec<f32>> {
            (0..count).map(|p| plane(seed + 100 * salt + p as u64, rows * cols, values, gaps / count as f32)).collect()
        };
        let (planes, terms, tolerances, needed) = (planes_of(0), planes_of(1), planes_of(2), plane(seed + 7, rows * cols, 9, gaps));
        let compared = (0..count)
            .map(|p| Plane {
                values: &planes[p],
                factor: match factor {
                    0 => None,
                    1 => (p == 0).then_some(Term::Constant(0.3)),
                    _ => Some(Term::PerPixel(&terms[p])),
                },
                tolerance: match tolerance {
                    0 => None,
                    1 => Some(Tolerance::Below(Term::Constant(planes[p][0].abs()))),
                    2 => (p == 0).then_some(Tolerance::UpTo(Term::Constant(0.37 * 3.0))),
                    _ => Some(Tolerance::UpTo(Term::PerPixel(&tolerances[p]))),
                },
            })
            .collect();
        let planes = Planes { rows, cols, compared, required: if required { vec![&needed] } else { Vec::new() } };
        let (row, col) = (corner.0 % rows, corner.1 % cols);
        let region = Region { row, col, rows: rows - row, cols: cols - col };
        for path in paths() {
            let window = if columns { Window::by_columns(half) } else { Window::new(half) };
            let factors = window.table(|d| (10.0 + d / half.max(1) as f64) as f32);
            let mut search = Search::new(window, most, if squared { Norm::Squared } else { Norm::Absolute }, path);
            if law {
                search = search.with_law(DistanceLaw { added: 1e-5, factors });
            }
            compare(&search, &planes, region);
        }
    }
}

#[test]
fn blocks_meet_without_a_seam() {
    let (rows, cols) = (BLOCK_ROWS + 9, 2 * BLOCK_COLS + 5);
    let values = [plane(3, rows * cols, 1000, 0.05), plane(4, rows * cols, 1000, 0.05)];
    let planes = Planes { rows, cols, compared: values.iter().map(|v| Plane::plain(v)).collect(), required: Vec::new() };
    for path in paths() {
        compare(&Search::new(Window::new(4), 7, Norm::Squared, path), &planes, Region::whole(rows, cols));
    }
}

#[test]
fn a_wide_window_of_a_constant_gives_the_nearest_pixels() {
    let values = vec![0.25f32; 40 * 40];
    let planes = Planes { rows: 40, cols: 40, compared: vec![Plane::plain(&values)], required: Vec::new() };
    for path in paths() {
        compare(&Search::new(Window::new(60), 5, Norm::Absolute, path), &planes, Region::new(11, 0, 2, 40));
    }
}

#[test]
fn a_window_of_many_stretches_gives_the_same_as_a_full_sort() {
    let values = [plane(5, 24 * 70, 30, 0.1), plane(6, 24 * 70, 1000, 0.1)];
    let planes = Planes { rows: 24, cols: 70, compared: values.iter().map(|v| Plane::plain(v)).collect(), required: Vec::new() };
    for path in paths() {
        compare(&Search::new(Window::new(14), 33, Norm::Squared, path), &planes, Region::new(1, 2, 23, 67));
    }
}

#[test]
fn infinite_keys_are_not_chosen_and_huge_ones_are() {
    let values = [3e38f32, -3e38, 3e38, 2.9e38];
    let planes = Planes { rows: 1, cols: 4, compared: vec![Plane::plain(&values)], required: Vec::new() };
    for path in paths() {
        let search = Search::new(Window::new(3), 4, Norm::Absolute, path);
        compare(&search, &planes, Region::whole(1, 4));
        let mut counts = Vec::new();
        search.each(&planes, Region::whole(1, 4), &Cancel::new(), |c| counts.extend(c.iter().map(|(_, s)| s.len()))).unwrap();
        assert_eq!(counts, [3, 1, 3, 3]);
    }
}

#[test]
fn a_stopped_search_says_so() {
    let cancel = Cancel::new();
    cancel.request();
    let values = [0.0f32; 4];
    let planes = Planes { rows: 2, cols: 2, compared: vec![Plane::plain(&values)], required: Vec::new() };
    let search = Search::new(Window::new(1), 1, Norm::Absolute, Path::Baseline);
    let error = search.each(&planes, Region::whole(2, 2), &cancel, |_| ()).unwrap_err();
    assert_eq!(error.kind(), stfusion_core::ErrorKind::Cancelled);
}
