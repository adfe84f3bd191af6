//! Scores of other implementations for the same images, reproduced wherever the definitions are comparable.
//!
//! Not comparable: an RMSE averaged over sliding windows, scores of losses (MS-SSIM, Charbonnier, cosine), RASE and SCC, which
//! this library does not have, and a windowed UIQI whose denominator is padded with the machine epsilon.

#![allow(clippy::unwrap_used, reason = "test code: a malformed reference file fails the test")]

use std::path::PathBuf;

use ndarray::{concatenate, s, Array3, Axis};
use serde_json::Value;
use stfusion_core::metrics::{assess, Assessment, Block};

/// The tensor `name` of a safetensors file: length of the header (u64), header (JSON), data; all little-endian.
fn tensor(file: &[u8], name: &str) -> Array3<f32> {
    let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..start]).unwrap();
    let numbers =
        |key: &str| header[name][key].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect::<Vec<_>>();
    let (shape, at) = (numbers("shape"), numbers("data_offsets"));
    let bytes = &file[start + at[0]..start + at[1]];
    let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    Array3::from_shape_vec((shape[1], shape[2], shape[3]), values).unwrap()
}

fn scores(p: &Array3<f32>, t: &Array3<f32>, scale: f64) -> Assessment {
    assess(&Block::whole(p.view(), t.view(), vec![]), &[], &[], Some(scale), Some(1.0)).unwrap()
}

/// All bands below one another as one band: pooled scores.
fn stacked(image: &Array3<f32>) -> Array3<f32> {
    let (bands, rows, cols) = image.dim();
    image.to_shape((1, bands * rows, cols)).unwrap().to_owned()
}

/// Five rows and columns mirrored (without repeating the edge) on every side.
fn mirrored(image: &Array3<f32>) -> Array3<f32> {
    let mut out = image.clone();
    for axis in [Axis(1), Axis(2)] {
        let n = out.len_of(axis);
        let first = out.select(axis, &[5, 4, 3, 2, 1]);
        let last = out.select(axis, &[n - 2, n - 3, n - 4, n - 5, n - 6]);
        out = concatenate![axis, first, out, last];
    }
    out
}

#[test]
fn scores_of_other_implementations_are_reproduced() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/metrics");
    let Ok(file) = std::fs::read(folder.join("metrics.safetensors")) else {
        println!("SKIP scores_of_other_implementations_are_reproduced: ../shared/golden is not there");
        return;
    };
    let golden: Value = serde_json::from_slice(&std::fs::read(folder.join("metrics.json")).unwrap()).unwrap();
    let mut compared = 0;
    for case in ["c0", "c1", "c2"] {
        let (p, t) = (tensor(&file, &format!("{case}.pred")), tensor(&file, &format!("{case}.gt")));
        let a = scores(&p, &t, 16.0);
        let all = &a.overall.scores;
        let pooled = scores(&stacked(&p), &stacked(&t), 16.0);
        let padded = scores(&mirrored(&p), &mirrored(&t), 16.0);
        assert_eq!(padded.bands.len(), p.slice(s![.., 0, 0]).len());
        let table = [
            ("torchmetrics.MAE", all.mae, 1e-6),
            ("plain.RMSE", all.rmse, 1e-6),
            ("prow.RMSE", all.rmse, 1e-6),
            ("prow.CC", all.r, 1e-5),
            ("libstf.CC", all.r, 1e-5),
            ("torchmetrics.R2", pooled.overall.scores.r2, 1e-5),
            ("torchmetrics.PSNR", all.psnr, 1e-5),
            ("prow.PSNR(max 1)", all.psnr, 1e-5),
            ("torchmetrics.ERGAS/16", scores(&p, &t, 64.0).overall.ergas, 1e-5),
            ("prow.ERGAS(ratio16)", scores(&p, &t, 1.0 / 16.0).overall.ergas, 1e-4),
            ("torchmetrics.SAM", a.overall.sam_deg.map(f64::to_radians), 1e-6),
            ("prow.SAM_rad", a.overall.sam_deg.map(f64::to_radians), 1e-6),
            ("prow.UIQI", all.uiqi, 1e-5),
            ("prow.SSIM(range 1)", all.ssim, 1e-5),
            ("ssim.edcstfn(val_range none)", all.ssim, 1e-5),
            ("torchmetrics.SSIM", padded.overall.scores.ssim, 1e-5),
        ];
        for (name, got, tolerance) in table {
            let Some(expected) = golden["values"][case][name].as_f64() else {
                assert!(case == "c2" && name.contains("SAM"), "{case} has no {name}");
                continue;
            };
            let got = got.unwrap_or(f64::NAN);
            assert!((got - expected).abs() <= tolerance * expected.abs().max(1.0), "{case} {name}: {got} instead of {expected}");
            compared += 1;
        }
    }
    assert_eq!(compared, 3 * 16 - 2);
}
