//! Gives the shared library its soname, which carries the ABI number of `Version.txt`.

fn main() {
    const VERSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Version.txt");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={VERSIONS}");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        let text = std::fs::read_to_string(VERSIONS).unwrap_or_else(|e| panic!("{VERSIONS}: {e}"));
        let abi = text.lines().find_map(|l| l.strip_prefix("abi ")).unwrap_or_else(|| panic!("{VERSIONS}: no line \"abi ...\""));
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libstfusion.so.{}", abi.trim());
    }
}
