// Written by `cargo xtask ptx`; do not edit.
use super::{KernelFacts, Module, Target};

/// Every module of `cuda/`, compiled.
#[rustfmt::skip]
pub static ALL: &[Module] = &[
    Module {
        name: "blocks/classes",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/blocks/classes.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/blocks/classes.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/blocks/classes.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "classes_of_means", parameter_bytes: &[8, 8, 24], shared_bytes: 0 },
            KernelFacts { name: "classes_of_map", parameter_bytes: &[8, 8, 8, 24], shared_bytes: 0 },
        ],
    },
    Module {
        name: "blocks/homogeneity",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/blocks/homogeneity.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/blocks/homogeneity.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/blocks/homogeneity.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "homogeneity_shares", parameter_bytes: &[8, 8, 40], shared_bytes: 0 },
        ],
    },
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
        name: "blocks/pixels",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/blocks/pixels.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/blocks/pixels.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/blocks/pixels.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "pixels_predict", parameter_bytes: &[8, 8, 8, 8, 8, 8, 20], shared_bytes: 0 },
        ],
    },
    Module {
        name: "blocks/similar_changes",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/blocks/similar_changes.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/blocks/similar_changes.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/blocks/similar_changes.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "similar_usable", parameter_bytes: &[8, 8, 56], shared_bytes: 0 },
            KernelFacts { name: "similar_valid", parameter_bytes: &[8, 8, 56, 72], shared_bytes: 0 },
            KernelFacts { name: "similar_finish", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 56, 72], shared_bytes: 0 },
        ],
    },
    Module {
        name: "blocks/spatial_prediction",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/blocks/spatial_prediction.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/blocks/spatial_prediction.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/blocks/spatial_prediction.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "spatial_table", parameter_bytes: &[8, 8, 8, 56, 4], shared_bytes: 0 },
            KernelFacts { name: "spatial_solve", parameter_bytes: &[8, 8, 8, 8, 8, 56, 24], shared_bytes: 0 },
            KernelFacts { name: "spatial_border", parameter_bytes: &[8, 8, 8, 8, 8, 56, 24], shared_bytes: 0 },
            KernelFacts { name: "spatial_distance", parameter_bytes: &[8, 8, 8, 56], shared_bytes: 0 },
            KernelFacts { name: "spatial_cubic", parameter_bytes: &[8, 8, 8, 56], shared_bytes: 0 },
            KernelFacts { name: "spatial_nearest", parameter_bytes: &[8, 8, 56], shared_bytes: 0 },
        ],
    },
    Module {
        name: "blocks/unmixing",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/blocks/unmixing.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/blocks/unmixing.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/blocks/unmixing.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "unmixing_assign", parameter_bytes: &[8, 8, 8, 8, 8, 40], shared_bytes: 0 },
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
            KernelFacts { name: "estarfm_samples", parameter_bytes: &[8, 8, 8, 8, 152], shared_bytes: 0 },
            KernelFacts { name: "estarfm_changes", parameter_bytes: &[8, 8, 8, 8, 152], shared_bytes: 0 },
            KernelFacts { name: "estarfm_ranges", parameter_bytes: &[8, 8, 8, 8, 8, 152], shared_bytes: 0 },
            KernelFacts { name: "estarfm_ranges_local", parameter_bytes: &[8, 8, 8, 8, 8, 152], shared_bytes: 0 },
            KernelFacts { name: "estarfm_gather", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 152], shared_bytes: 0 },
            KernelFacts { name: "estarfm_gather_by_rules", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 152], shared_bytes: 0 },
            KernelFacts { name: "estarfm_finish", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 8, 152], shared_bytes: 0 },
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
        name: "methods/fsdaf",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/methods/fsdaf.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/methods/fsdaf.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/methods/fsdaf.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "fsdaf_changes", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 56, 16, 4], shared_bytes: 0 },
        ],
    },
    Module {
        name: "methods/ifsdaf",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/methods/ifsdaf.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/methods/ifsdaf.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/methods/ifsdaf.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "ifsdaf_changes", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 56, 16, 4], shared_bytes: 0 },
        ],
    },
    Module {
        name: "methods/obsum",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/methods/obsum.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/methods/obsum.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/methods/obsum.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "obsum_numbers", parameter_bytes: &[8, 8, 8, 8, 84, 4], shared_bytes: 0 },
            KernelFacts { name: "obsum_segments", parameter_bytes: &[8, 8, 8, 8, 84, 16], shared_bytes: 0 },
            KernelFacts { name: "obsum_around", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 8, 84], shared_bytes: 0 },
            KernelFacts { name: "obsum_valid", parameter_bytes: &[8, 8, 8, 8, 84], shared_bytes: 0 },
            KernelFacts { name: "obsum_predict", parameter_bytes: &[8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 84, 52], shared_bytes: 0 },
        ],
    },
    Module {
        name: "methods/sfsdaf",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/methods/sfsdaf.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/methods/sfsdaf.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/methods/sfsdaf.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "sfsdaf_fractions", parameter_bytes: &[8, 8, 8, 8, 56, 16], shared_bytes: 0 },
            KernelFacts { name: "sfsdaf_temporal", parameter_bytes: &[8, 8, 8, 8, 8, 8, 56, 52, 4], shared_bytes: 0 },
            KernelFacts { name: "sfsdaf_changes", parameter_bytes: &[8, 8, 8, 8, 8, 8, 56, 16], shared_bytes: 0 },
        ],
    },
    Module {
        name: "methods/spstfm",
        ptx: &[
            (Target::Compute75, include_str!("../../../../cuda/ptx/methods/spstfm.compute_75.ptx")),
            (Target::Compute80, include_str!("../../../../cuda/ptx/methods/spstfm.compute_80.ptx")),
            (Target::Compute90a, include_str!("../../../../cuda/ptx/methods/spstfm.compute_90a.ptx")),
        ],
        kernels: &[
            KernelFacts { name: "spstfm_built_up", parameter_bytes: &[8, 8, 128], shared_bytes: 0 },
            KernelFacts { name: "spstfm_patches", parameter_bytes: &[8, 8, 8, 8, 128], shared_bytes: 0 },
            KernelFacts { name: "spstfm_code_256", parameter_bytes: &[8, 8, 8, 8, 8, 8, 128], shared_bytes: 0 },
            KernelFacts { name: "spstfm_code_1024", parameter_bytes: &[8, 8, 8, 8, 8, 8, 128], shared_bytes: 0 },
            KernelFacts { name: "spstfm_combine", parameter_bytes: &[8, 8, 8, 8, 8, 8, 128], shared_bytes: 0 },
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
