//! The parameters of SFSDAF, declared once.

use stfusion_core::{choices, params};

use crate::blocks::pair_weights::Pairs;
use crate::blocks::spatial_prediction::SpatialPrediction;

choices! {
    /// What the coarse fractions of the target are compared with.
    pub enum FractionChange {
        /// Unmixed fractions of the pair.
        Unmixed = "unmixed": "The coarse image of the pair, unmixed like that of the target, so that errors of unmixing cancel",
        /// Means of the fine fractions.
        Degraded = "degraded": "The fractions of the fine image, averaged over the coarse pixel (the authors' program)",
    }
}

params! {
    /// Parameters of SFSDAF.
    pub struct Parameters {
        window: auto_float {
            label: "Window size",
            help: "Side of the square in which similar pixels are searched, an odd whole number. Automatic: twice the scale, plus 1.",
            unit: "fine pixels", min: 1.0, max: 301.0
        },
        similar_pixels: int {
            label: "Similar pixels",
            help: "Number of most similar pixels whose changes are averaged; of fractions and of values.",
            min: 1, max: 1000, default: 20
        },
        classes: int {
            label: "Number of classes",
            help: "Number of classes whose fractions are followed. Each is found by k-means on the fine image.",
            min: 1, max: 50, default: 5
        },
        scale: auto_float {
            label: "Scale",
            help: "Fine pixels per side of a coarse pixel, a whole number. Automatic: from the pixel sizes of the images.",
            unit: "fine pixels", min: 2.0, max: 1000.0
        },
        data_range: floats {
            label: "Data range",
            help: "Smallest and largest possible value, in the unit of the images. A prediction outside becomes the fine value plus the coarse change, within the range. Automatic: no limits."
        },
        fraction_change: choice(FractionChange) {
            label: "Fraction change",
            help: "What the fractions of classes in a coarse pixel of the target are compared with to see how they changed.",
            default: FractionChange::Unmixed
        },
        fraction_prior: float {
            label: "Weight of the old fractions",
            help: "How strongly unmixing holds to the fractions that a coarse pixel had at the pair: the cost of a change in fractions over that of leaving as much unexplained in the coarse values. 0: what the bands leave open alone.",
            min: 0.0, max: 1000000.0, default: 0.1
        },
        pairs: choice(Pairs) {
            label: "Several pairs",
            help: "What happens with more than one pair.",
            advanced: true, default: Pairs::Combined
        },
        spatial_prediction: choice(SpatialPrediction) {
            label: "Spatial prediction",
            help: "How the coarse image of the target is brought to fine pixels, to tell where change happened that fractions and classes do not explain.",
            advanced: true, default: SpatialPrediction::Cubic
        },
        sign_rule: bool {
            label: "Sign rule",
            help: "Ignore the spatial prediction where it lies on the other side of the temporal prediction than the residual of the coarse pixel.",
            advanced: true, default: true
        },
        pure_pixels: int {
            label: "Purest coarse pixels",
            help: "Number of coarse pixels with the largest fraction of a class that its change is solved from.",
            advanced: true, min: 1, max: 1000000, default: 200
        },
        change_quantiles: floats {
            label: "Change quantiles",
            help: "Of the purest coarse pixels, those whose change has a magnitude between these two quantiles (0 to 1) take part.",
            advanced: true, min: 0.0, max: 1.0, default: &[0.25, 0.75]
        },
        endmember_pixels: int {
            label: "Purest coarse pixels of a day",
            help: "Number of coarse pixels with the largest fraction of a class that its coarse value of a day is solved from.",
            advanced: true, min: 1, max: 1000000, default: 100
        },
        fine_pixels: int {
            label: "Purest fine pixels",
            help: "Number of fine pixels with the largest fraction of a class that its fine value is solved from.",
            advanced: true, min: 1, max: 100000, default: 300
        },
        seed: int {
            label: "Seed",
            help: "Picks the pixels that classification begins with.",
            advanced: true, min: 0, max: 1000000, default: 1
        },
    }
}
