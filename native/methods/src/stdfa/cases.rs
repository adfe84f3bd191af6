//! Settings that reach every rule of STDFA; the problems and tolerances are those of the family, `blocks::unmixing::cases`.

pub use crate::blocks::unmixing::cases::{problems, TOLERANCE};

/// Name and settings (id, text).
pub const SETTINGS: &[(&str, &[(&str, &str)])] = &[
    ("defaults", &[("classes", "4")]),
    ("authors' program", &[("window", "3"), ("bounds", "zero_to_one"), ("classes", "4")]),
    ("large threshold", &[("window", "3"), ("abundance_threshold", "0.26"), ("classes", "4")]),
    ("everything joined", &[("abundance_threshold", "1"), ("bounds", "range"), ("classes", "3")]),
    ("no bounds", &[("window", "7"), ("bounds", "none"), ("abundance_threshold", "0"), ("classes", "4")]),
    ("ISODATA", &[("classification", "isodata"), ("window", "1"), ("classes", "3")]),
];
