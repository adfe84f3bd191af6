//! Days written in file names and metadata.
//!
//! Names of well-known products are read by their own rule, since they hold several dates of which one counts. Any other
//! name counts only if exactly one day is written in it. A number that is not a day between 1972 and 2099 is no day, so a
//! version, a tile or an orbit is rarely mistaken for one.

use stfusion_core::Date;

/// The day in a file's name, if it holds exactly one that is plausible.
///
/// The last part of the name counts first, then the folders above it, so that the bands of a product folder have the
/// product's day. Known products: Landsat (`LC08_L2SP_193029_20200704_…`, `LE70220492002106EDC00`), Sentinel-2
/// (`S2A_MSIL2A_20200704T…`), MODIS and VIIRS (`MOD09GA.A2020186.…`), HLS (`HLS.S30.T32TPR.2020186T…`).
pub fn date_in_name(name: &str) -> Option<Date> {
    let parts = || name.rsplit(['/', '\\', '"', ':']).filter(|p| !p.is_empty());
    parts().find_map(product_day).or_else(|| parts().find_map(only_day))
}

/// The day in a raster's metadata, from the first well-known key that has one.
pub fn date_in_metadata(metadata: &[(String, String)]) -> Option<Date> {
    day_of_keys(metadata, ACQUIRED).or_else(|| day_of_keys(metadata, COMPOSED))
}

/// The day of an image: a product's name, then the keys that mean the acquisition, then any other name, then the keys
/// that may mean something else (the first day of a composite, the day of processing).
pub(crate) fn day_of_image(names: &[String], metadata: &[(String, String)]) -> Option<Date> {
    let product = names.first().and_then(|n| n.rsplit(['/', '\\', '"', ':']).find_map(product_day));
    product
        .or_else(|| day_of_keys(metadata, ACQUIRED))
        .or_else(|| names.first().and_then(|n| date_in_name(n)))
        .or_else(|| day_of_keys(metadata, COMPOSED))
}

const ACQUIRED: &[&str] = &[
    "ACQUISITIONDATE",
    "DATEACQUIRED",
    "ACQUISITIONDATETIME",
    "SENSINGTIME",
    "SENSINGDATE",
    "DATATAKE1DATATAKESENSINGSTART",
    "PRODUCTSTARTTIME",
];
const COMPOSED: &[&str] = &["TIMECOVERAGESTART", "RANGEBEGINNINGDATE", "TIFFTAGDATETIME"];

fn day_of_keys(metadata: &[(String, String)], keys: &[&str]) -> Option<Date> {
    let plain = |key: &str| {
        let key = key.rsplit(['#', '.']).next().unwrap_or_default();
        key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase()
    };
    keys.iter().find_map(|wanted| metadata.iter().find(|(k, _)| plain(k) == *wanted).and_then(|(_, v)| day_of_value(v)))
}

/// `2020-07-04`, `2020-07-04T10:15:59Z`, `2020:07:04 10:15:59`, `2020-186`; several separated by `;` must agree.
fn day_of_value(value: &str) -> Option<Date> {
    let one = |text: &str| {
        let day = text.trim().split(['T', ' ']).next().unwrap_or_default().replace([':', '/'], "-");
        day.parse::<Date>().ok().filter(|d| is_plausible(*d))
    };
    let mut days = value.split(';').filter(|t| !t.trim().is_empty()).map(one);
    let first = days.next()??;
    days.all(|d| d == Some(first)).then_some(first)
}

fn is_plausible(day: Date) -> bool {
    (1972..=2099).contains(&day.ymd().0)
}

fn number(digits: &str) -> Option<i16> {
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// `YYYYMMDD`.
fn calendar_day(digits: &str) -> Option<Date> {
    let part = |a: usize, b: usize| digits.get(a..b).and_then(number);
    if digits.len() != 8 {
        return None;
    }
    let (month, day) = (i8::try_from(part(4, 6)?).ok()?, i8::try_from(part(6, 8)?).ok()?);
    Date::from_ymd(part(0, 4)?, month, day).filter(|d| is_plausible(*d))
}

/// `YYYYDDD`.
fn ordinal_day(digits: &str) -> Option<Date> {
    if digits.len() != 7 {
        return None;
    }
    let part = |a: usize, b: usize| digits.get(a..b).and_then(number);
    Date::from_day_of_year(part(0, 4)?, part(4, 7)?).filter(|d| is_plausible(*d))
}

/// The acquisition day of a well-known product.
fn product_day(name: &str) -> Option<Date> {
    let upper = name.to_ascii_uppercase();
    landsat_collection_day(&upper)
        .or_else(|| landsat_scene_day(&upper))
        .or_else(|| sentinel_2_day(&upper))
        .or_else(|| modis_day(&upper))
        .or_else(|| hls_day(&upper))
}

/// `LC08_L2SP_193029_20200704_20200913_02_T1`
fn landsat_collection_day(name: &str) -> Option<Date> {
    let fields: Vec<&str> = name.split('_').collect();
    fields.windows(4).find_map(|f| {
        let sensor = f[0].as_bytes();
        let at = sensor.len().checked_sub(4)?;
        let is_landsat =
            sensor[at] == b'L' && b"COTEM".contains(&sensor[at + 1]) && f[0].get(at + 2..).and_then(number).is_some();
        (is_landsat && f[1].starts_with('L') && f[2].len() == 6 && number_like(f[2])).then(|| calendar_day(f[3]))?
    })
}

fn number_like(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `LE70220492002106EDC00`: sensor, path and row of three digits each, year, day of year, station.
fn landsat_scene_day(name: &str) -> Option<Date> {
    let bytes = name.as_bytes();
    (0..bytes.len().saturating_sub(18)).find_map(|i| {
        let head = bytes[i] == b'L' && b"COTEM".contains(&bytes[i + 1]) && (i == 0 || !bytes[i - 1].is_ascii_alphanumeric());
        let tail = bytes.get(i + 16..i + 19)?.iter().all(u8::is_ascii_uppercase);
        let digits = name.get(i + 2..i + 16)?;
        (head && tail && number_like(digits)).then(|| ordinal_day(&digits[7..14]))?
    })
}

/// `S2A_MSIL2A_20200704T101559_…` and `T32TPR_20200704T101559_B04`
fn sentinel_2_day(name: &str) -> Option<Date> {
    let fields: Vec<&str> = name.split(['_', '.']).collect();
    let stamp = |f: &str| f.split_once('T').filter(|(_, time)| time.len() >= 6).and_then(|(day, _)| calendar_day(day));
    let tile = |f: &str| f.len() == 6 && f.starts_with('T') && f.as_bytes()[1..3].iter().all(u8::is_ascii_digit);
    fields.iter().enumerate().find_map(|(i, f)| {
        if f.len() == 3 && f.starts_with("S2") && fields.get(i + 1)?.starts_with("MSI") {
            stamp(fields.get(i + 2)?)
        } else if tile(f) {
            stamp(fields.get(i + 1)?)
        } else {
            None
        }
    })
}

/// `MOD09GA.A2020186.h18v04.061…`
fn modis_day(name: &str) -> Option<Date> {
    name.split(['.', '_']).skip(1).find_map(|f| f.strip_prefix('A').and_then(ordinal_day))
}

/// `HLS.S30.T32TPR.2020186T101559.v2.0.B04`
fn hls_day(name: &str) -> Option<Date> {
    name.split('.')
        .skip(1)
        .find_map(|f| f.split_once('T').filter(|(_, time)| time.len() == 6).and_then(|(day, _)| ordinal_day(day)))
}

/// The only day written in a name: digits run together, or year, month and day separated by `-`, `_` or `.`.
fn only_day(name: &str) -> Option<Date> {
    let bytes = name.as_bytes();
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (i, b) in bytes.iter().enumerate() {
        if !b.is_ascii_digit() {
            continue;
        }
        match runs.last_mut() {
            Some((_, end)) if *end == i => *end = i + 1,
            _ => runs.push((i, i + 1)),
        }
    }
    let text = |run: &(usize, usize)| &name[run.0..run.1];
    let mut days: Vec<Date> = Vec::new();
    let mut k = 0;
    while k < runs.len() {
        let run = text(&runs[k]);
        let separated = runs.get(k..k + 3).and_then(|r| {
            let gaps = r.windows(2).all(|w| w[1].0 == w[0].1 + 1 && b"-_.".contains(&bytes[w[0].1]));
            let same = bytes[r[0].1] == bytes[r[1].1];
            let widths = r[0].1 - r[0].0 == 4 && r[1].1 - r[1].0 == 2 && r[2].1 - r[2].0 == 2;
            (gaps && same && widths).then(|| calendar_day(&[text(&r[0]), text(&r[1]), text(&r[2])].concat()))?
        });
        let found = separated.or_else(|| calendar_day(run)).or_else(|| ordinal_day(run)).or_else(|| {
            let clock = run.get(8..14).filter(|_| run.len() == 14)?;
            (&clock[..2] < "24" && &clock[2..4] < "60" && &clock[4..] <= "60").then(|| calendar_day(&run[..8]))?
        });
        k += if separated.is_some() { 3 } else { 1 };
        days.extend(found);
    }
    days.dedup();
    match days.as_slice() {
        [day] => Some(*day),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_names() {
        let table = [
            ("LC08_L2SP_193029_20200704_20200913_02_T1_SR_B4.TIF", "2020-07-04"),
            ("/data/LC08_L2SP_193029_20200704_20200913_02_T1/SR_B4.TIF", "2020-07-04"),
            ("LE70220492002106EDC00_B4.TIF", "2002-04-16"),
            ("LT50220492002106EDC00", "2002-04-16"),
            ("MOD09GA.A2020186.h19v04.061.2020188032455.hdf", "2020-07-04"),
            (
                "HDF4_EOS:EOS_GRID:\"in/MOD09GA.A2020186.h19v04.061.2020188032455.hdf\":MODIS_Grid_500m_2D:sur_refl_b01_1",
                "2020-07-04",
            ),
            ("VNP43IA4.A2020275.h08v05.001.h5", "2020-10-01"),
            ("S2A_MSIL2A_20200704T101559_N0214_R065_T32TPR_20200704T132153.SAFE", "2020-07-04"),
            ("S2B_MSIL1C_20180106T100401_N0206_R122_T33TTG_20180107T010101.SAFE/GRANULE/x/IMG_DATA/B04.jp2", "2018-01-06"),
            ("T32TPR_20200704T101559_B04_10m.jp2", "2020-07-04"),
            ("HLS.S30.T32TPR.2020186T101559.v2.0.B04.tif", "2020-07-04"),
            ("fine_2001-11-25.tif", "2001-11-25"),
            ("fine_2001_11_25.tif", "2001-11-25"),
            ("fine.2001.11.25.tif", "2001-11-25"),
            ("f20011125.tif", "2001-11-25"),
            ("20200704_101559_1038_3B_AnalyticMS.tif", "2020-07-04"),
            ("20200704101559.tif", "2020-07-04"),
            ("fine_2020068.tif", "2020-03-08"),
            ("MCD43A4.061_Nadir_Reflectance_Band1_doy2020186_aid0001.tif", "2020-07-04"),
            ("/archive/2020-07-04/fine.tif", "2020-07-04"),
            ("/vsizip/in.zip/2020-07-04/b1.tif", "2020-07-04"),
            ("20200704_20200704.tif", "2020-07-04"),
        ];
        for (name, day) in table {
            assert_eq!(date_in_name(name).map(|d| d.to_string()).as_deref(), Some(day), "{name}");
        }
    }

    #[test]
    fn names_without_one_plausible_day_have_none() {
        for name in [
            "fine.tif",
            "",
            "coarse_daily_20201001_20201231.tif",
            "scene_1234567.tif",
            "20201301.tif",
            "20200230.tif",
            "2020366_2021001.tif",
            "2021366.tif",
            "orbit_19002001.tif",
            "coarse_t1.tif",
            "f_193029.tif",
            "199701.tif",
            "2020-07-4.tif",
            "LE70220492002999EDC00",
            "é_20200230.tif",
        ] {
            assert_eq!(date_in_name(name), None, "{name}");
        }
    }

    #[test]
    fn days_of_metadata() {
        let day = |pairs: &[(&str, &str)]| {
            let metadata: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
            date_in_metadata(&metadata).map(|d| d.to_string())
        };
        let expected = Some("2020-07-04".to_string());
        assert_eq!(day(&[("ACQUISITION_DATE", "2020-07-04")]), expected);
        assert_eq!(day(&[("DATE_ACQUIRED", "20200704")]), expected);
        assert_eq!(day(&[("TIFFTAG_DATETIME", "2020:07:04 10:15:59")]), expected);
        assert_eq!(day(&[("RANGEBEGINNINGDATE", "2020-07-04")]), expected);
        assert_eq!(day(&[("SENSING_TIME", "2020-07-04T10:15:59.1Z; 2020-07-04T10:16:02Z")]), expected);
        assert_eq!(day(&[("NC_GLOBAL#time_coverage_start", "2020-07-04T00:00:00Z")]), expected);
        assert_eq!(day(&[("TIFFTAG_DATETIME", "2021:01:01 00:00:00"), ("DATE_ACQUIRED", "2020-186")]), expected);
        assert_eq!(day(&[("SENSING_TIME", "2020-07-04T23:59:59Z; 2020-07-05T00:00:02Z")]), None);
        assert_eq!(day(&[("DATE_ACQUIRED", "0001-01-01"), ("AREA_OR_POINT", "Area")]), None);
    }

    #[test]
    fn a_product_name_beats_the_metadata_and_they_beat_a_plain_name() {
        let metadata =
            [("DATE_ACQUIRED".to_string(), "2020-07-05".to_string()), ("TIFFTAG_DATETIME".into(), "2021:01:01 00:00:00".into())];
        let day = |name: &str, n: usize| day_of_image(&[name.to_string()], &metadata[n..]).map(|d| d.to_string());
        assert_eq!(day("MCD43A4.A2020186.h19v04.hdf", 0).as_deref(), Some("2020-07-04"));
        assert_eq!(day("fine_20200704.tif", 0).as_deref(), Some("2020-07-05"));
        assert_eq!(day("fine_20200704.tif", 1).as_deref(), Some("2020-07-04"));
        assert_eq!(day("fine.tif", 1).as_deref(), Some("2021-01-01"));
    }
}
