//! What is generated is up to date, and says that it is generated.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn committed_files_are_what_the_sources_say() {
    let stale = stfusion_xtask::stale(&root()).unwrap();
    assert!(stale.is_empty(), "stale: {stale:#?}\nrun `{}`", stfusion_xtask::COMMAND);
}

#[test]
fn every_generated_file_says_so_at_its_head() {
    for file in stfusion_xtask::generated(&root()).unwrap() {
        let head: Vec<&str> = file.text.lines().take(2).collect();
        assert!(head.iter().any(|l| l.contains(stfusion_xtask::COMMAND)), "{}: {head:?}", file.path);
        assert!(file.text.ends_with('\n') && !file.text.contains('\r'), "{}", file.path);
    }
}

#[test]
fn generating_twice_gives_the_same_bytes() {
    assert_eq!(stfusion_xtask::generated(&root()).unwrap(), stfusion_xtask::generated(&root()).unwrap());
}
