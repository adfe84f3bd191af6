//! Settings that reach every rule of STRUM; the problems and tolerances are those of the family, `blocks::unmixing::cases`.

pub use crate::blocks::unmixing::cases::{problems, TOLERANCE};

/// Name and settings (id, text).
pub const SETTINGS: &[(&str, &[(&str, &str)])] = &[
    ("defaults", &[("classes", "4")]),
    ("strong prior", &[("window", "3"), ("prior_ratio", "10"), ("classes", "4")]),
    ("weak prior", &[("window", "7"), ("prior_ratio", "0.01"), ("precision_by_purity", "true"), ("classes", "4")]),
    ("purity", &[("precision_by_purity", "true"), ("least_abundance", "0.4"), ("prior_ratio", "1"), ("classes", "4")]),
    ("one class left", &[("least_abundance", "1"), ("classes", "3")]),
    ("bounded", &[("solution", "bounded"), ("classes", "4")]),
    (
        "bounded, ISODATA",
        &[
            ("solution", "bounded"),
            ("window", "3"),
            ("abundance_threshold", "0.2"),
            ("classification", "isodata"),
            ("classes", "3"),
        ],
    ),
];
