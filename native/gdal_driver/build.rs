//! Generates and compiles the bridge between the C++ classes and Rust; CMake finds its header in `cxxbridge/` of the target folder.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/lib.rs");
    println!("cargo:rerun-if-changed=cpp/destination.h");
    cxx_build::bridge("src/lib.rs")
        .include("cpp")
        .std("c++17")
        .flag_if_supported("-fvisibility=hidden")
        .compile("stfusion_gdal_driver_bridge");
}
