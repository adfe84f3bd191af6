//! The parameters of FSDAF, declared once.

use stfusion_core::{choices, params};

use crate::blocks::classifiers::ClassifierKind;
use crate::blocks::pair_weights::Pairs;
use crate::blocks::similar_changes::{SimilarityOrder, SimilarityWeight};
use crate::blocks::spatial_prediction::SpatialPrediction;

choices! {
    /// The window of the homogeneity index.
    pub enum HomogeneityWindow {
        /// That of the similar pixels.
        Window = "window": "The window of the similar pixels (the author's program)",
        /// One coarse pixel.
        CoarsePixel = "coarse_pixel": "A square the size of a coarse pixel (the paper)",
    }
}

params! {
    /// Parameters of FSDAF.
    pub struct Parameters {
        window: int {
            label: "Window size",
            help: "Side of the square in which similar pixels are searched.",
            unit: "fine pixels", min: 1, max: 301, odd: true, default: 41
        },
        similar_pixels: int {
            label: "Similar pixels",
            help: "Number of most similar pixels whose changes are averaged.",
            min: 1, max: 1000, default: 20
        },
        classification: choice(ClassifierKind) {
            label: "Classification",
            help: "How the fine image is classified. A class map of the pair is used instead if there is one.",
            default: ClassifierKind::Isodata
        },
        min_classes: int {
            label: "Smallest number of classes",
            help: "Fewest classes of ISODATA.",
            min: 1, max: 100, default: 4
        },
        max_classes: int {
            label: "Largest number of classes",
            help: "Most classes of ISODATA, and the number of classes of k-means.",
            min: 1, max: 100, default: 6
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
        spatial_prediction: choice(SpatialPrediction) {
            label: "Spatial prediction",
            help: "How the coarse image of the target is brought to fine pixels, to tell where change happened that the classes do not explain.",
            advanced: true, default: SpatialPrediction::ThinPlate
        },
        pairs: choice(Pairs) {
            label: "Several pairs",
            help: "What happens with more than one pair.",
            advanced: true, default: Pairs::Combined
        },
        pure_pixels: int {
            label: "Purest coarse pixels",
            help: "Number of coarse pixels with the largest share of a class that its change is solved from.",
            advanced: true, min: 1, max: 1000000, default: 100
        },
        change_quantiles: floats {
            label: "Change quantiles",
            help: "Of the purest coarse pixels, those whose change lies between these two quantiles (0 to 1) take part. 0.25 and 0.75 suit much land-cover change.",
            advanced: true, min: 0.0, max: 1.0, default: &[0.1, 0.9]
        },
        extreme_share: float {
            label: "Share of extreme values",
            help: "Part of the fine values at either end that are drawn in to the rest before class changes are added. 0: none.",
            advanced: true, min: 0.0, max: 0.49, default: 0.0001
        },
        homogeneity_window: choice(HomogeneityWindow) {
            label: "Homogeneity window",
            help: "Over which window it is counted how many pixels have the class of the centre.",
            advanced: true, default: HomogeneityWindow::CoarsePixel
        },
        sign_rule: bool {
            label: "Sign rule",
            help: "Ignore the spatial prediction where it lies on the other side of the temporal prediction than the residual of the coarse pixel.",
            advanced: true, default: true
        },
        weight_cap: float {
            label: "Largest weight",
            help: "A fine pixel whose share of its coarse pixel's residual is more than this number of times the mean share gets the mean share.",
            advanced: true, min: 1.0, max: 1000000000.0, default: 10.0
        },
        similarity_classes: auto_float {
            label: "Threshold classes",
            help: "A pixel is similar when it differs by less than twice the standard deviation of the fine image divided by this number in every band. Automatic: the number of classes.",
            advanced: true, min: 0.000001, max: 10000.0
        },
        same_class: bool {
            label: "Same class",
            help: "Take similar pixels of the class of the centre only, as in the paper.",
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
