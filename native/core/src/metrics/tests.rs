use ndarray::{s, Array3, ArrayView3, Axis};
use proptest::prelude::*;

use super::*;

/// Images of any small shape with values in 0.02..0.6; `holes` of 100 samples are invalid.
fn image(bands: usize, rows: usize, cols: usize, holes: u32) -> impl Strategy<Value = Array3<f32>> {
    let sample = (0.02_f32..0.6, 0u32..100).prop_map(move |(v, k)| if k < holes { f32::NAN } else { v });
    proptest::collection::vec(sample, bands * rows * cols)
        .prop_map(move |v| Array3::from_shape_vec((bands, rows, cols), v).unwrap())
}

fn images(count: usize, holes: u32) -> impl Strategy<Value = Vec<Array3<f32>>> {
    (1usize..4, 1usize..27, 1usize..30).prop_flat_map(move |(b, r, c)| proptest::collection::vec(image(b, r, c, holes), count))
}

fn whole(p: &Array3<f32>, t: &Array3<f32>, baselines: &[Array3<f32>]) -> Assessment {
    let block = Block::whole(p.view(), t.view(), baselines.iter().map(|b| b.view()).collect());
    assess(&block, &[], &[], Some(16.0), Some(1.0)).unwrap()
}

fn close(a: Option<f64>, b: Option<f64>, tolerance: f64) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b || (a - b).abs() <= tolerance * (1.0 + b.abs()),
        (a, b) => a == b,
    }
}

fn figures(s: &Scores) -> [Option<f64>; 9] {
    [s.rmse, s.mae, s.bias, s.rrmse, s.r, s.r2, s.ssim, s.psnr, s.uiqi]
}

fn all_figures(a: &Assessment) -> Vec<Option<f64>> {
    let mut all: Vec<_> = a.bands.iter().flat_map(|b| figures(&b.scores)).collect();
    all.extend(figures(&a.overall.scores));
    all.extend([a.overall.sam_deg, a.overall.ergas]);
    all.extend(a.skill.iter().flat_map(|s| s.skill_per_band.iter().chain(&s.rmse_per_band).copied().chain([s.skill, s.rmse])));
    all
}

/// Valid samples (p, t) of one band, in order.
fn samples(p: ArrayView3<f32>, t: ArrayView3<f32>, b: usize) -> Vec<(f64, f64)> {
    let pairs = p
        .index_axis(Axis(0), b)
        .iter()
        .zip(t.index_axis(Axis(0), b))
        .map(|(p, t)| (f64::from(*p), f64::from(*t)))
        .collect::<Vec<_>>();
    pairs.into_iter().filter(|(p, t)| (p + t).is_finite()).collect()
}

fn mean(v: impl Iterator<Item = f64> + Clone) -> f64 {
    v.clone().sum::<f64>() / v.count() as f64
}

/// SSIM written as its definition: every window on its own.
fn naive_ssim(p: &Array3<f32>, t: &Array3<f32>, b: usize, l: f64) -> Option<f64> {
    let (_, rows, cols) = p.dim();
    let mut values = Vec::new();
    for r in 5..rows.saturating_sub(5) {
        for c in 5..cols.saturating_sub(5) {
            let mut m = [0.0; 6];
            for (dr, dc) in (-5i32..=5).flat_map(|dr| (-5i32..=5).map(move |dc| (dr, dc))) {
                let at = [b, (r as i32 + dr) as usize, (c as i32 + dc) as usize];
                let (x, y) = (f64::from(p[at]), f64::from(t[at]));
                let w = (-f64::from(dr * dr + dc * dc) / 4.5).exp();
                m.iter_mut().zip([1.0, x, y, x * x, y * y, x * y]).for_each(|(m, v)| *m += w * v);
            }
            let [x, y, xx, yy, xy] = [1, 2, 3, 4, 5].map(|k| m[k] / m[0]);
            let (c1, c2) = ((0.01 * l).powi(2), (0.03 * l).powi(2));
            let luminance = (2.0 * x * y + c1) / (x * x + y * y + c1);
            let structure = (2.0 * (xy - x * y) + c2) / (xx - x * x + yy - y * y + c2);
            values.push(luminance * structure);
        }
    }
    values.retain(|v| v.is_finite());
    (!values.is_empty()).then(|| mean(values.iter().copied()))
}

fn naive_sam_deg(p: &Array3<f32>, t: &Array3<f32>) -> Option<f64> {
    let (_, rows, cols) = p.dim();
    let mut angles = Vec::new();
    for (r, c) in (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c))) {
        let (p, t) = (p.slice(s![.., r, c]).mapv(f64::from), t.slice(s![.., r, c]).mapv(f64::from));
        let cosine = p.dot(&t) / (p.dot(&p) * t.dot(&t)).sqrt();
        if !cosine.is_nan() {
            angles.push(cosine.clamp(-1.0, 1.0).acos().to_degrees());
        }
    }
    (!angles.is_empty()).then(|| mean(angles.iter().copied()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_score_is_its_definition(images in images(2, 3)) {
        let (p, t) = (&images[0], &images[1]);
        let a = whole(p, t, &[]);
        for (b, band) in a.bands.iter().enumerate() {
            let v = samples(p.view(), t.view(), b);
            let s = &band.scores;
            prop_assert_eq!(s.n as usize, v.len());
            if v.len() < 2 {
                continue;
            }
            let (mp, mt) = (mean(v.iter().map(|v| v.0)), mean(v.iter().map(|v| v.1)));
            let (vp, vt) = (mean(v.iter().map(|v| (v.0 - mp).powi(2))), mean(v.iter().map(|v| (v.1 - mt).powi(2))));
            let covariance = mean(v.iter().map(|v| (v.0 - mp) * (v.1 - mt)));
            let mse = mean(v.iter().map(|v| (v.0 - v.1).powi(2)));
            let expected = [
                mse.sqrt(), mean(v.iter().map(|v| (v.0 - v.1).abs())), mp - mt, mse.sqrt() / mt,
                covariance / (vp * vt).sqrt(), 1.0 - mse / vt, f64::NAN, -10.0 * mse.log10(),
                4.0 * covariance * mp * mt / ((vp + vt) * (mp * mp + mt * mt)),
            ];
            for (k, (got, want)) in figures(s).into_iter().zip(expected).enumerate() {
                prop_assert!(k == 6 || close(got, Some(want), 1e-9), "figure {k}: {got:?} {want}");
            }
            prop_assert!(close(s.ssim, naive_ssim(p, t, b, 1.0), 1e-9), "{:?} {:?}", s.ssim, naive_ssim(p, t, b, 1.0));
        }
        if a.bands.len() > 1 {
            prop_assert!(close(a.overall.sam_deg, naive_sam_deg(p, t), 1e-7), "{:?} {:?}", a.overall.sam_deg, naive_sam_deg(p, t));
        } else {
            prop_assert_eq!(a.overall.sam_deg, None);
        }
        if a.bands.iter().all(|b| b.scores.n > 0) {
            let e = mean(a.bands.iter().map(|b| b.scores.rrmse.unwrap().powi(2))).sqrt() * 100.0 / 16.0;
            prop_assert!(close(a.overall.ergas, Some(e), 1e-12));
        }
    }

    #[test]
    fn identical_images_are_perfect(t in images(1, 5)) {
        let a = whole(&t[0], &t[0], &[]);
        for s in a.bands.iter().map(|b| &b.scores).filter(|s| s.n > 1) {
            prop_assert_eq!([s.rmse, s.mae, s.bias, s.rrmse], [Some(0.0); 4]);
            prop_assert_eq!([s.r, s.r2, s.psnr], [Some(1.0), Some(1.0), Some(f64::INFINITY)]);
            prop_assert!(close(s.uiqi, Some(1.0), 1e-14) && s.ssim.is_none_or(|v| (v - 1.0).abs() < 1e-12));
        }
        prop_assert!(a.overall.sam_deg.is_none_or(|v| v == 0.0));
    }

    #[test]
    fn a_shift_is_bias_and_nothing_else(t in images(1, 5), shift in -0.25f32..0.25) {
        let p = t[0].mapv(|v| v + shift);
        let a = whole(&p, &t[0], &[]);
        for s in a.bands.iter().map(|b| &b.scores).filter(|s| s.n > 2) {
            let shift = f64::from(shift);
            prop_assert!((s.bias.unwrap() - shift).abs() < 1e-7 && (s.mae.unwrap() - shift.abs()).abs() < 1e-7);
            prop_assert!((s.rmse.unwrap() - shift.abs()).abs() < 1e-7 && s.r.unwrap() > 0.999_99);
        }
    }

    #[test]
    fn r_ignores_a_gain_and_an_offset_and_knows_the_sign(images in images(2, 5), gain in 0.1f32..5.0, offset in -3f32..3.0) {
        let (p, t) = (&images[0], &images[1]);
        let r = |p: &Array3<f32>| whole(p, t, &[]).bands.iter().map(|b| b.scores.r).collect::<Vec<_>>();
        let (plain, up, down) = (r(p), r(&p.mapv(|v| gain * v + offset)), r(&p.mapv(|v| offset - gain * v)));
        for (k, plain) in plain.iter().enumerate().filter(|(_, v)| v.is_some()) {
            prop_assert!(close(up[k], *plain, 2e-4) && close(down[k].map(|v| -v), *plain, 2e-4), "{plain:?} {:?} {:?}", up[k], down[k]);
        }
    }

    #[test]
    fn blocks_of_any_size_in_any_order_give_the_same_scores(
        images in images(4, 4), side in (1usize..20, 1usize..20), reverse: bool,
    ) {
        let (p, t, baselines) = (&images[0], &images[1], &images[2..]);
        let expected = whole(p, t, baselines);
        let (bands, rows, cols) = t.dim();
        let mut regions = Region::whole(rows, cols).blocks(side.0, side.1);
        if reverse {
            regions.reverse();
        }
        let mut total = Assessor::new(bands, baselines.len(), 1.0).unwrap();
        for region in regions {
            let padded = region.grown(HALO, rows, cols);
            let window = s![.., padded.row..padded.row + padded.rows, padded.col..padded.col + padded.cols];
            let mut part = Assessor::new(bands, baselines.len(), 1.0).unwrap();
            part.add(&Block {
                region,
                padded,
                prediction: p.slice(window),
                truth: t.slice(window),
                baselines: baselines.iter().map(|b| b.slice(window)).collect(),
            }).unwrap();
            total.merge(&part);
        }
        let got = total.finish(&[], &[], Some(16.0));
        prop_assert_eq!(got.overall.scores.n, expected.overall.scores.n);
        for (k, (a, b)) in all_figures(&got).into_iter().zip(all_figures(&expected)).enumerate() {
            prop_assert!(close(a, b, 1e-9), "figure {k}: {a:?} {b:?}");
        }
    }

    #[test]
    fn turning_the_images_keeps_the_scores_and_permuting_bands_permutes_them(images in images(2, 5)) {
        let a = whole(&images[0], &images[1], &[]);
        let turned: Vec<Array3<f32>> = images.iter().map(|i| i.slice(s![..;-1, ..;-1, ..]).to_owned()).collect();
        let b = whole(&turned[0], &turned[1], &[]);
        prop_assert!(close(a.overall.sam_deg, b.overall.sam_deg, 1e-12));
        for (x, y) in a.bands.iter().zip(b.bands.iter().rev()) {
            for (k, (u, v)) in figures(&x.scores).into_iter().zip(figures(&y.scores)).enumerate() {
                prop_assert!(close(u, v, 1e-9), "figure {k}: {u:?} {v:?}");
            }
        }
    }

    #[test]
    fn samples_invalid_in_any_image_count_nowhere(images in images(3, 10)) {
        let (p, t, baseline) = (&images[0], &images[1], &images[2]);
        let a = whole(p, t, std::slice::from_ref(baseline));
        let mask = |image: &Array3<f32>| {
            let mut out = image.clone();
            for ((o, p), (t, b)) in out.iter_mut().zip(p).zip(t.iter().zip(baseline)) {
                if !(p + t + b).is_finite() {
                    *o = f32::INFINITY;
                }
            }
            out
        };
        let b = whole(&mask(p), &mask(t), &[mask(baseline)]);
        prop_assert_eq!(all_figures(&a), all_figures(&b));
        let direct = whole(baseline, t, std::slice::from_ref(p));
        prop_assert!(close(a.skill[0].rmse, direct.overall.scores.rmse, 1e-12));
        if let (Some(own), Some(other)) = (a.overall.scores.rmse, direct.overall.scores.rmse) {
            prop_assert!(close(a.skill[0].skill, (other > 0.0).then(|| 1.0 - own / other), 1e-12));
        }
    }

    #[test]
    fn the_range_is_that_of_the_finite_values(t in images(1, 20), gain in 1f32..2000.0) {
        let scaled = t[0].mapv(|v| gain * v);
        let (mut range, mut halves) = (RangeAccumulator::new(), RangeAccumulator::new());
        range.add(scaled.view());
        let (a, b) = scaled.view().split_at(Axis(2), scaled.dim().2 / 2);
        for part in [b, a] {
            let mut half = RangeAccumulator::new();
            half.add(part);
            halves.merge(&half);
        }
        prop_assert_eq!(range, halves);
        let finite: Vec<f32> = scaled.iter().copied().filter(|v| v.is_finite()).collect();
        let (min, max) = finite.iter().fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        prop_assert_eq!(range.limits(), (!finite.is_empty()).then_some((min, max)));
        let expected = if !finite.is_empty() && max > 2.0 && max > min { f64::from(max) - f64::from(min) } else { 1.0 };
        prop_assert_eq!(range.data_range(), expected);
    }
}

#[test]
fn undefined_scores_are_absent_instead_of_infinite() {
    let constant = Array3::from_elem((2, 12, 12), 0.3f32);
    let a = whole(&constant.mapv(|v| v + 0.1), &constant, std::slice::from_ref(&constant));
    let s = &a.bands[0].scores;
    assert_eq!((s.r, s.r2, s.uiqi), (None, None, None));
    assert_eq!((a.skill[0].rmse, a.skill[0].skill), (Some(0.0), None));
    assert!(s.ssim.unwrap() < 1.0 && (s.rmse.unwrap() - 0.1).abs() < 1e-7);
    let nothing = whole(&Array3::from_elem((2, 3, 3), f32::NAN), &constant.slice(s![.., ..3, ..3]).to_owned(), &[]);
    assert!(all_figures(&nothing).iter().all(Option::is_none), "{nothing:?}");
    assert_eq!(nothing.overall.scores.n, 0);
    let json = serde_json::to_value(&nothing).unwrap();
    assert!(json["overall"]["rmse"].is_null() && json["bands"][1]["label"] == "band 2" && json["bands"][1]["n"] == 0);
}

#[test]
fn a_large_mean_does_not_spoil_the_moments() {
    let t = Array3::from_shape_fn((1, 40, 40), |(_, r, c)| 300.0 + ((r * 7 + c * 3) % 10) as f32 / 64.0);
    let p = t.mapv(|v| v + 0.25);
    let a = whole(&p, &t, &[]);
    let s = &a.bands[0].scores;
    assert!((s.r.unwrap() - 1.0).abs() < 1e-12 && (s.rmse.unwrap() - 0.25).abs() < 1e-12, "{s:?}");
    assert!((s.ssim.unwrap() - naive_ssim(&p, &t, 0, 1.0).unwrap()).abs() < 1e-7);
}

#[test]
fn images_that_do_not_fit_are_refused_with_both_shapes() {
    let (p, t) = (Array3::<f32>::zeros((2, 4, 5)), Array3::<f32>::zeros((2, 4, 6)));
    let error = assess(&Block::whole(p.view(), t.view(), vec![]), &[], &[], None, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains("prediction is (2, 4, 5)") && error.message().contains("(2, 4, 6)"), "{error}");
    let error = Assessor::new(1, 0, 0.0).unwrap_err();
    assert!(error.message().contains("must be a positive number; got 0") && error.hint().unwrap().contains("10000"), "{error}");
}

#[test]
fn the_text_prints_skill_first_in_aligned_columns() {
    let t = Array3::from_shape_fn((2, 20, 20), |(b, r, c)| 0.1 + 0.01 * ((b * 5 + r * 3 + c * 7) % 11) as f32);
    let p = t.mapv(|v| v + 0.01);
    let near = t.mapv(|v| v + 0.04);
    let far = t.mapv(|v| v - 0.005);
    let block = Block::whole(p.view(), t.view(), vec![near.view(), far.view()]);
    let labels = |names: [&str; 2]| names.map(String::from);
    let a = assess(&block, &labels(["red", "nir"]), &labels(["nearest_pair", "coarse_increment"]), Some(20.0), None).unwrap();
    let text = a.to_text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("Skill (1 - RMSE / RMSE of the baseline"), "{text}");
    assert_eq!(lines[2], "band     nearest_pair  coarse_increment");
    assert_eq!(lines[3], "red             0.750            -1.000");
    assert_eq!(lines[5], "overall         0.750            -1.000");
    assert_eq!(lines[7], "Accuracy (prediction against truth)");
    assert_eq!(lines[9].split_whitespace().collect::<Vec<_>>().join(" "), "band n RMSE MAE bias rRMSE R R2 SSIM PSNR UIQI");
    assert!(lines[12].starts_with("overall  800  0.01000  0.01000  0.01000"), "{text}");
    assert!(lines[9..13].iter().all(|l| l.len() == lines[9].len()) && text.is_ascii(), "{text}");
    assert!(text.ends_with("(scale 20)   data range of SSIM and PSNR 1\n"), "{text}");
}
