//! The parameters of IFSDAF, declared once.

use stfusion_core::{choices, params};

use crate::blocks::classifiers::ClassifierKind;
use crate::blocks::pair_weights::Pairs;
use crate::blocks::similar_changes::{SimilarityOrder, SimilarityWeight};
use crate::blocks::spatial_prediction::SpatialPrediction;

choices! {
    /// What the two increments of a coarse pixel are compared with its change by.
    pub enum IncrementWeights {
        /// The space-dependent one from the coarse pixels around.
        HeldBack = "held_back": "Each coarse pixel is held back: its space-dependent increment is taken from those around it",
        /// Both as they are.
        Fitted = "fitted": "Both increments averaged over the coarse pixel, of which the space-dependent one follows the change almost by construction (the paper)",
    }
}

params! {
    /// Parameters of IFSDAF.
    pub struct Parameters {
        window: int {
            label: "Window size",
            help: "Side of the square in which similar pixels are searched.",
            unit: "fine pixels", min: 1, max: 301, odd: true, default: 31
        },
        similar_pixels: int {
            label: "Similar pixels",
            help: "Number of most similar pixels whose changes are averaged.",
            min: 1, max: 1000, default: 20
        },
        classes: int {
            label: "Number of classes",
            help: "Number of classes of the fine image. A class map of the pair comes before it.",
            min: 1, max: 255, default: 5
        },
        unmixing_window: int {
            label: "Unmixing window",
            help: "Side of the square of coarse pixels from which the changes of the classes are solved. It grows where too few of them are valid.",
            unit: "coarse pixels", min: 1, max: 301, odd: true, default: 15
        },
        weight_window: int {
            label: "Weight window",
            help: "Side of the square of coarse pixels from which the weights of the two increments are solved.",
            unit: "coarse pixels", min: 1, max: 301, odd: true, default: 5
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
        classification: choice(ClassifierKind) {
            label: "Classification",
            help: "What finds the classes of the fine image when the pair has no class map.",
            advanced: true, default: ClassifierKind::KMeans
        },
        pairs: choice(Pairs) {
            label: "Several pairs",
            help: "What happens with more than one pair. A pixel that is masked in one of them gets its value from the others.",
            advanced: true, default: Pairs::Combined
        },
        pair_window: int {
            label: "Window of pair weights",
            help: "Side of the square of coarse pixels over whose mean change a pair counts less.",
            unit: "coarse pixels", advanced: true, min: 1, max: 301, odd: true, default: 3
        },
        spatial_prediction: choice(SpatialPrediction) {
            label: "Space-dependent increment",
            help: "How the coarse change is brought to fine pixels.",
            advanced: true, default: SpatialPrediction::ThinPlate
        },
        increment_weights: choice(IncrementWeights) {
            label: "Comparison of increments",
            help: "How it is found which of the two increments explains the coarse change better.",
            advanced: true, default: IncrementWeights::HeldBack
        },
        sign_rule: bool {
            label: "Sign rule",
            help: "Where the residual of a coarse pixel is distributed, ignore the space-dependent increment of fine pixels where it lies on the other side of the combined one than the residual.",
            advanced: true, default: true
        },
        same_class: bool {
            label: "Same class",
            help: "Take similar pixels of the class of the centre only.",
            advanced: true, default: false
        },
        similarity_order: choice(SimilarityOrder) {
            label: "Order of similar pixels",
            help: "By what the most similar pixels are chosen.",
            advanced: true, default: SimilarityOrder::DifferenceAndDistance
        },
        similarity_weight: choice(SimilarityWeight) {
            label: "Weight of similar pixels",
            help: "By what the changes of similar pixels are weighted.",
            advanced: true, default: SimilarityWeight::DistanceAndDifference
        },
        seed: int {
            label: "Seed",
            help: "Picks the pixels that classification begins with.",
            advanced: true, min: 0, max: 1000000, default: 1
        },
    }
}
