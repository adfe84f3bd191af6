//! Presets of a user's own file. The variable is the whole process's, so this file holds one test.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it unwraps")]

mod common;

use common::{failure, field, job, layer, open, Raster};
use stfusion_core::method::Layer;
use stfusion_core::source::MaskSource;
use stfusion_raster::presets;
use tempfile::tempdir;

#[test]
fn a_file_of_presets_adds_and_replaces() {
    let folder = tempdir().unwrap();
    let fine = Raster::new("Int16", (1, 20, 20), field).write(folder.path().join("f.tif"));
    let coarse = Raster::new("Int16", (1, 2, 2), field).write(folder.path().join("c.tif"));
    let mask = Raster::new("Int16", (1, 20, 20), |_, r, _| if r < 5 { -32768.0 } else { 6.0 }).write(folder.path().join("m.tif"));
    let built_in = presets().unwrap().len();
    let file = folder.path().join("own.json");
    let text = r#"{"presets": [
        {"id": "s2_scl", "label": "SCL, snow kept", "description": "Snow is kept.", "values": [{"name": "cloud", "invalid": [8, 9]}]},
        {"id": "highest_bit", "label": "Bit 15", "description": "The highest bit.", "bits": [{"first": 15, "name": "cloud", "invalid": [1]}]}
    ]}"#;
    std::fs::write(&file, text).unwrap();
    std::env::set_var("STFUSION_PRESETS", &file);
    let all = presets().unwrap();
    assert_eq!(all.len(), built_in + 1);
    let scl = all.iter().find(|p| p.id == "s2_scl").unwrap();
    assert!(!scl.is_invalid(11) && scl.is_invalid(8));
    let (mut pairs, target) = job(&fine, &coarse, &coarse);
    pairs[0].fine_mask = Some(MaskSource::file(mask, Some("highest_bit")));
    let values = layer(&open(&pairs, &target).unwrap(), Layer::Fine(0));
    assert!(values.indexed_iter().all(|((_, r, _), v)| v.is_nan() == (r < 5)));
    std::fs::write(&file, "{\"presets\": [{\"id\": 3}]}").unwrap();
    let (message, hint) = failure(open(&pairs, &target));
    assert!(message.contains("own.json (named by STFUSION_PRESETS): invalid type: integer `3`"), "{message}");
    assert!(hint.contains("unset STFUSION_PRESETS"), "{hint}");
}
