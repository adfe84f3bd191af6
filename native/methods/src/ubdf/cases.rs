//! Settings that reach every rule of UBDF; the problems and tolerances are those of the family, `blocks::unmixing::cases`.

pub use crate::blocks::unmixing::cases::{problems, TOLERANCE};

/// Name and settings (id, text).
pub const SETTINGS: &[(&str, &[(&str, &str)])] = &[
    ("defaults", &[("classes", "4")]),
    ("author's program", &[("window", "3"), ("bounds", "zero_to_max"), ("border", "reflect"), ("classes", "4")]),
    ("wide bounds", &[("window", "3"), ("bounds", "widened"), ("classes", "3")]),
    ("no bounds", &[("window", "7"), ("bounds", "none"), ("classes", "4")]),
    ("one coarse pixel", &[("window", "1"), ("bounds", "range"), ("classes", "2")]),
    ("reflectance", &[("window", "3"), ("bounds", "zero_to_one"), ("border", "reflect"), ("classes", "1")]),
    ("ISODATA", &[("classification", "isodata"), ("classes", "4")]),
];
