//! GDAL's single-dash spellings, turned into the ones the parser knows.

use std::ffi::OsString;

/// GDAL spelling and ours.
const SPELLINGS: &[(&str, &str)] = &[
    ("-of", "--of"),
    ("-co", "--co"),
    ("-ot", "--ot"),
    ("-a_nodata", "--nodata"),
    ("--a_nodata", "--nodata"),
    ("-overwrite", "--overwrite"),
    ("-quiet", "--quiet"),
    ("-config", "--config"),
    ("-json", "--json"),
];

/// Replaces GDAL's spellings, up to `--`; `--config KEY VALUE` becomes `--config KEY=VALUE`.
pub(crate) fn translate<I>(args: I) -> Vec<OsString>
where
    I: IntoIterator<Item = OsString>,
{
    let mut out = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            out.push(arg);
            out.extend(args);
            break;
        }
        let arg = match SPELLINGS.iter().find(|(theirs, _)| arg == *theirs) {
            Some((_, ours)) => OsString::from(ours),
            None => arg,
        };
        let is_config = arg == "--config";
        out.push(arg);
        if is_config {
            if let Some(key) = args.next() {
                let has_value = key.as_encoded_bytes().contains(&b'=');
                out.push(key);
                if !has_value {
                    if let (Some(value), Some(last)) = (args.next(), out.last_mut()) {
                        last.push("=");
                        last.push(value);
                    }
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> String {
        translate(line.split(' ').map(OsString::from)).iter().map(|s| s.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn gdal_spellings_become_ours_and_others_stay() {
        assert_eq!(
            translated("stfusion fuse -of COG -co A=B -ot Int16 -a_nodata -9999 -o out.tif -overwrite"),
            "stfusion fuse --of COG --co A=B --ot Int16 --nodata -9999 -o out.tif --overwrite"
        );
        assert_eq!(translated("stfusion info -- -of"), "stfusion info -- -of");
    }

    #[test]
    fn configuration_options_come_in_one_word_or_two() {
        assert_eq!(translated("s fuse --config GDAL_CACHEMAX 64 -q"), "s fuse --config GDAL_CACHEMAX=64 -q");
        assert_eq!(translated("s fuse --config GDAL_CACHEMAX=64 -q"), "s fuse --config GDAL_CACHEMAX=64 -q");
        assert_eq!(translated("s fuse --config"), "s fuse --config");
    }
}
