//! The parameters of STARFM, declared once.

use stfusion_core::{choices, params};

choices! {
    /// Over which pixels the standard deviation of the similarity test is taken.
    pub enum ThresholdScope {
        /// The whole fine image of the pair.
        Image = "image": "Standard deviation of the whole fine image",
        /// The window around the pixel.
        Window = "window": "Standard deviation of the window around the pixel",
    }
}

choices! {
    /// Which candidates are worse than the centre.
    pub enum Filter {
        /// Rejected when both tests fail.
        Loose = "loose": "Reject a candidate that fails both tests (the author's program)",
        /// Rejected when one test fails.
        Strict = "strict": "Reject a candidate that fails one of the tests (the paper)",
    }
}

choices! {
    /// Which pair's centre gives the bound of the filter.
    pub enum Bound {
        /// The pair that agrees best.
        Min = "min": "The smallest difference at the centre over the pairs (the author's program)",
        /// The pair that agrees worst.
        Max = "max": "The largest difference at the centre over the pairs (the paper)",
    }
}

choices! {
    /// Whether the temporal difference enters the weight.
    pub enum TemporalWeight {
        /// Always.
        On = "on": "Candidates whose coarse value changed less weigh more",
        /// Only with two or more pairs.
        Auto = "auto": "Only with two or more pairs (the author's program)",
        /// Never.
        Off = "off": "The change of the coarse value does not matter",
    }
}

choices! {
    /// How differences become a weight.
    pub enum Weighting {
        /// By their product.
        Inverse = "inverse": "Inverse of the product of the differences and the distance",
        /// By the product of their logarithms.
        Logarithmic = "logarithmic": "Inverse of the product of the logarithms of the differences and of the distance",
    }
}

choices! {
    /// What happens where a difference is exactly zero at the centre.
    pub enum ZeroDifference {
        /// Nothing special.
        None = "none": "Predict as everywhere",
        /// The fine value where the coarse image did not change.
        Temporal = "temporal": "Copy the fine value where the coarse value did not change",
        /// That, and the coarse value where fine and coarse agree.
        Both = "both": "As temporal, and copy the coarse value where fine and coarse value agree",
    }
}

params! {
    /// Parameters of STARFM.
    pub struct Parameters {
        window: int {
            label: "Window size",
            help: "Side of the square in which similar pixels are searched. About three coarse pixels is usual.",
            unit: "fine pixels", min: 1, max: 301, odd: true, default: 51
        },
        classes: float {
            label: "Number of classes",
            help: "A pixel is similar when its fine value differs from the centre's by less than twice the standard deviation divided by this number. More classes: fewer, more similar pixels.",
            min: 1.0, max: 10000.0, default: 40.0
        },
        similarity_bands: ints {
            label: "Similarity bands",
            help: "Bands in which a pixel must be similar to the centre, counted from 1. Empty: for each predicted band that band alone. The paper uses red and near infrared.",
            min: 1, max: 10000
        },
        filter: choice(Filter) {
            label: "Filter",
            help: "A similar pixel is tested twice against the centre: fine and coarse value must not differ much more than at the centre, and the coarse value must not have changed much more.",
            default: Filter::Strict
        },
        temporal_weight: choice(TemporalWeight) {
            label: "Temporal weight",
            help: "Whether candidates whose coarse value changed less between pair and target weigh more.",
            default: TemporalWeight::Auto
        },
        weighting: choice(Weighting) {
            label: "Weighting",
            help: "How the differences of a candidate become its weight. The logarithm makes weights more even.",
            default: Weighting::Logarithmic
        },
        uncertainty_fine: floats {
            label: "Uncertainty of the fine images",
            help: "Standard error of a fine value, in the unit of the images: one number, or one for each band. Automatic: 50 difference units, 0.005 for reflectance.",
            min: 0.0
        },
        uncertainty_coarse: floats {
            label: "Uncertainty of the coarse images",
            help: "Standard error of a coarse value, in the unit of the images: one number, or one for each band. Automatic: 50 difference units, 0.005 for reflectance.",
            min: 0.0
        },
        threshold_scope: choice(ThresholdScope) {
            label: "Scope of the threshold",
            help: "Over which pixels the standard deviation of the similarity test is taken.",
            advanced: true, default: ThresholdScope::Image
        },
        bound: choice(Bound) {
            label: "Bound over pairs",
            help: "With several pairs, which one's differences at the centre a candidate is tested against.",
            advanced: true, default: Bound::Max
        },
        within_uncertainty: bool {
            label: "Full weight within uncertainty",
            help: "With inverse weighting, give a candidate whose combined difference is below the combined uncertainty the weight 1, whatever its distance.",
            advanced: true, default: true
        },
        zero_difference: choice(ZeroDifference) {
            label: "Zero difference",
            help: "What happens where the coarse value did not change at all, or where fine and coarse value are equal.",
            advanced: true, default: ZeroDifference::Temporal
        },
        spatial_importance: auto_float {
            label: "Spatial importance",
            help: "Distance at which a candidate weighs half as much as at the centre. Automatic: half the window size.",
            unit: "fine pixels", advanced: true, min: 0.001, max: 1000000.0
        },
        difference_unit: auto_float {
            label: "Difference unit",
            help: "Size of one unit of difference, in the unit of the images. Differences are divided by it before they are weighed. Automatic: a power of ten that suits the contrast of the images, 0.0001 for reflectance.",
            advanced: true, min: 1e-12, max: 1e12
        },
        difference_offset: float {
            label: "Difference offset",
            help: "Added to each difference, in difference units, before they are multiplied in inverse weighting. 0 is the paper's formula, in which a zero difference gets a very large weight.",
            unit: "difference units", advanced: true, min: 0.0, max: 1000000.0, default: 1.0
        },
        log_scale: float {
            label: "Scale of the logarithm",
            help: "Factor of the differences, in difference units, inside the logarithm of logarithmic weighting.",
            advanced: true, min: 1e-9, max: 1e9, default: 1.0
        },
        log_offset: float {
            label: "Offset of the logarithm",
            help: "Added inside the logarithm of logarithmic weighting. 1 is the paper's formula, in which a zero difference gets a very large weight; 2 keeps weights moderate.",
            advanced: true, min: 1.0, max: 1000000.0, default: 2.0
        },
    }
}
