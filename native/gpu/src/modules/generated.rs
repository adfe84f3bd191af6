// Written by `cargo xtask ptx`; do not edit.
use super::{KernelFacts, Module, Target};

/// Every module of `cuda/`, compiled.
#[rustfmt::skip]
pub static ALL: &[Module] = &[
    Module {
        name: "blocks/nearest",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/blocks/nearest.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/blocks/nearest.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/blocks/nearest.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "nearest_rim", parameter_bytes: &[8, 8, 8, 8, 52], shared_bytes: 0 },
            KernelFacts { name: "nearest_squared", parameter_bytes: &[8, 8, 8, 8, 8, 8, 52], shared_bytes: 0 },
            KernelFacts { name: "nearest_absolute", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 52], shared_bytes: 0 },
            KernelFacts { name: "nearest_means", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 52, 4], shared_bytes: 0 },
        ],
    },
    Module {
        name: "methods/estarfm",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/methods/estarfm.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/methods/estarfm.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/methods/estarfm.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "estarfm_samples", parameter_bytes: &[8, 8, 8, 8, 136], shared_bytes: 0 },
            KernelFacts { name: "estarfm_changes", parameter_bytes: &[8, 8, 8, 8, 136], shared_bytes: 0 },
            KernelFacts { name: "estarfm_ranges", parameter_bytes: &[8, 8, 8, 136], shared_bytes: 0 },
            KernelFacts { name: "estarfm_ranges_local", parameter_bytes: &[8, 8, 8, 136], shared_bytes: 0 },
            KernelFacts { name: "estarfm_gather", parameter_bytes: &[8, 8, 8, 8, 8, 8, 136], shared_bytes: 0 },
            KernelFacts { name: "estarfm_gather_range", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 136], shared_bytes: 0 },
            KernelFacts { name: "estarfm_finish", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 136], shared_bytes: 0 },
        ],
    },
    Module {
        name: "methods/fitfc",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/methods/fitfc.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/methods/fitfc.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/methods/fitfc.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "fitfc_fit", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 72], shared_bytes: 0 },
            KernelFacts { name: "fitfc_fit_fine", parameter_bytes: &[8, 8, 8, 8, 8, 8, 72], shared_bytes: 0 },
            KernelFacts { name: "fitfc_valid", parameter_bytes: &[8, 8, 72, 52], shared_bytes: 0 },
            KernelFacts { name: "fitfc_average", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 72, 52], shared_bytes: 0 },
        ],
    },
    Module {
        name: "methods/starfm",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/methods/starfm.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/methods/starfm.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/methods/starfm.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "starfm_bounds", parameter_bytes: &[8, 8, 8, 72], shared_bytes: 0 },
            KernelFacts { name: "starfm_planes", parameter_bytes: &[8, 8, 8, 8, 8, 72, 4, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_planes_within", parameter_bytes: &[8, 8, 8, 8, 8, 72, 4, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_keys", parameter_bytes: &[8, 8, 8, 72, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_ranges", parameter_bytes: &[8, 8, 8, 8, 8, 72, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_ranges_local", parameter_bytes: &[8, 8, 8, 8, 8, 72, 4, 8], shared_bytes: 0 },
            KernelFacts { name: "starfm_valid", parameter_bytes: &[8, 8, 72, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_window_strict", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 72, 4, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_window_strict_count", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 72, 4, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_window_strict_within", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 72, 4, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_window_strict_within_count", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 72, 4, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_window_loose", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 72, 4, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_window_loose_count", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 72, 4, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_window_loose_within", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 72, 4, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_window_loose_within_count", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 72, 4, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_window_strict_many_keys", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 72, 4, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_window_loose_many_keys", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 72, 4, 4], shared_bytes: 0 },
            KernelFacts { name: "starfm_finish", parameter_bytes: &[8, 8, 8, 72], shared_bytes: 0 },
            KernelFacts { name: "starfm_support", parameter_bytes: &[8, 8, 8, 8, 8, 72], shared_bytes: 0 },
        ],
    },
];
