//! The real images: they open, pass the checks, and are read as GDAL stores them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it unwraps")]

mod common;

use common::{bits, layer, open, real_data};
use stfusion_core::method::{Layer, Scene};
use stfusion_core::source::{ImageSource, MaskSource, OutputOptions, PairSource, TargetSource};
use stfusion_core::Region;
use stfusion_raster::{describe, Image, OutputSpec, Writer};
use tempfile::tempdir;

fn scaled(path: String) -> ImageSource {
    ImageSource { scale: Some(1e-4), ..ImageSource::file(path) }
}

#[test]
fn two_pairs_on_the_fine_grid_with_days_from_their_names() {
    let Some(data) = real_data("two_pairs_on_the_fine_grid_with_days_from_their_names") else { return };
    let name = |p: &str| data.join("04_boreas_estarfm").join(p).to_str().unwrap().to_string();
    let pair = |day: &str| PairSource {
        fine: scaled(name(&format!("fine_{day}.tif"))),
        coarse: scaled(name(&format!("coarse30m_{day}.tif"))),
        ..PairSource::default()
    };
    let target = TargetSource { coarse: scaled(name("coarse30m_2001-07-11.tif")), ..TargetSource::default() };
    let scene = open(&[pair("2001-05-24"), pair("2001-08-12")], &target).unwrap();
    assert_eq!((scene.info().gap_days(0), scene.info().gap_days(1)), (Some(-48), Some(32)));
    assert!(scene.alignments().iter().all(|a| a.same_grid) && scene.info().scale.is_none());
    // The bands have no names, so that their order is all there is.
    assert!(scene.warnings().iter().all(|w| w.contains("are taken in their order")), "{:?}", scene.warnings());
}

#[test]
fn one_file_per_band_of_one_day_each() {
    let Some(data) = real_data("one_file_per_band_of_one_day_each") else { return };
    let folder = data.join("11_kranj_2020");
    let name = |p: &str| folder.join(p).to_str().unwrap().to_string();
    let coarse = |day: usize| {
        let bands = ["blue", "green", "red", "nir", "swir1", "swir2"];
        // The daily stacks begin on day 68.
        let paths = bands.map(|b| format!("vrt://{}?bands={}", name(&format!("coarse30m_daily_{b}.tif")), day - 67)).to_vec();
        ImageSource { paths, ..ImageSource::default() }
    };
    let pair = PairSource { fine: ImageSource::file(name("fine_2020077.tif")), coarse: coarse(77), ..PairSource::default() };
    let scene = open(&[pair], &TargetSource { coarse: coarse(93), ..TargetSource::default() }).unwrap();
    assert_eq!((scene.info().bands, scene.info().rows, scene.info().cols), (6, 44, 45));
    assert_eq!(scene.info().pairs[0].date.unwrap().to_string(), "2020-03-17");
    let values = layer(&scene, Layer::Target);
    assert!(values.iter().filter(|v| v.is_finite()).count() > values.len() / 2);
    assert!(values.iter().filter(|v| v.is_finite()).all(|v| v.abs() < 20_000.0));
}

#[test]
fn fmask_rules_out_what_it_calls_cloud_shadow_and_snow() {
    let Some(data) = real_data("fmask_rules_out_what_it_calls_cloud_shadow_and_snow") else { return };
    let name = |p: &str| data.join("08_shennongjia_ndvi").join(p).to_str().unwrap().to_string();
    let coarse = ImageSource { bands: Some(vec![14]), ..scaled(name("coarse_mod13_ndvi_240m_23x16day_2015.tif")) };
    let pair = PairSource {
        fine: scaled(name("fine_ndvi_2015216.tif")),
        coarse: coarse.clone(),
        fine_mask: Some(MaskSource::file(name("fine_fmask_2015216.tif"), Some("fmask"))),
        ..PairSource::default()
    };
    let scene = open(&[pair], &TargetSource { coarse, ..TargetSource::default() }).unwrap();
    let classes = Image::open(&ImageSource::file(name("fine_fmask_2015216.tif"))).unwrap().read_all().unwrap();
    let values = layer(&scene, Layer::Fine(0));
    let cloudy = |c: f32| c.is_nan() || c >= 2.0;
    assert!(values.iter().zip(&classes).all(|(v, c)| !cloudy(*c) || v.is_nan()));
    let masked = values.iter().filter(|v| v.is_nan()).count();
    assert!(masked > 0 && masked < values.len(), "{masked}");
}

#[test]
fn a_real_fine_image_survives_being_written() {
    let Some(data) = real_data("a_real_fine_image_survives_being_written") else { return };
    let folder = tempdir().unwrap();
    for name in [
        "16_cia_fsdaf2016_window_50m/fine_2001-11-25.tif",
        "10_lst_yanco/fine_2016-02-05.tif",
        "04_boreas_estarfm/fine_2001-07-11.tif",
    ] {
        let source = ImageSource::file(data.join(name).to_str().unwrap());
        let image = Image::open(&source).unwrap().read_all().unwrap();
        let info = describe(&source).unwrap();
        let (mut spec, warnings) = OutputSpec::like(&info, &OutputOptions::default()).unwrap();
        spec.overwrite = true;
        assert!(warnings.is_empty());
        let path = folder.path().join("out.tif").to_str().unwrap().to_string();
        let mut writer = Writer::create(&path, &spec).unwrap();
        writer.write(Region::whole(info.grid.rows, info.grid.cols), image.view()).unwrap();
        writer.finish(&mut |_| true).unwrap();
        let out = Image::open(&ImageSource::file(path)).unwrap();
        assert_eq!(bits(out.read_all().unwrap().view()), bits(image.view()), "{name}");
        assert_eq!(out.info().bands[0].data_type, info.bands[0].data_type);
    }
}
