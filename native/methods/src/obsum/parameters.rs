//! The parameters of OBSUM, declared once.

use stfusion_core::{choices, params};

use crate::blocks::border::Border;
use crate::blocks::classifiers::ClassifierKind;

choices! {
    /// What the residual of a coarse pixel is.
    pub enum Residual {
        /// Of its change.
        Change = "change": "What the change of the coarse pixel has beyond the predicted change: sensors may differ in level",
        /// Of its value.
        Level = "level": "What the coarse pixel has beyond the mean of the prediction: the prediction takes the level of the coarse image (the authors' program)",
    }
}

choices! {
    /// How similar pixels are weighted by their distance.
    pub enum DistanceWeight {
        /// Once.
        Paper = "paper": "1 / (1 + d / half the window): near pixels count more (the paper)",
        /// Twice.
        Program = "program": "1 / (1 + (1 + d / half) / half): nearly equal weights (the authors' program)",
    }
}

params! {
    /// Parameters of OBSUM.
    pub struct Parameters {
        segment_size: int {
            label: "Segment size",
            help: "Side of an average segment when the fine image is segmented. An object map of the pair takes the place of the segments.",
            unit: "fine pixels", min: 2, max: 1000, default: 10
        },
        compactness: float {
            label: "Compactness",
            help: "Weight of the distance in space against that of the values when the fine image is segmented. The larger, the squarer the segments.",
            min: 0.0, max: 100.0, default: 0.5
        },
        classes: int {
            label: "Number of classes",
            help: "Classes of the fine image, each with a change of its own in every window. A class map of the pair takes the place of the classifier.",
            min: 1, max: 100, default: 5
        },
        window: int {
            label: "Window size",
            help: "Side of the square of coarse pixels from which the changes of the classes are solved.",
            unit: "coarse pixels", min: 1, max: 301, odd: true, default: 15
        },
        similar_pixels: int {
            label: "Number of similar pixels",
            help: "Pixels over which the residual of a pixel is averaged in the end: those with the most similar fine values.",
            min: 1, max: 1000, default: 30
        },
        scale: auto_float {
            label: "Scale",
            help: "Fine pixels per side of a coarse pixel. Automatic: from the images, where the coarse ones have a grid of their own.",
            unit: "fine pixels", min: 2.0, max: 10000.0
        },
        lower_limit: auto_float {
            label: "Lower limit",
            help: "Predictions below it are set to it, in the unit of the images. Automatic: no limit.",
            advanced: true, min: -1e30, max: 1e30
        },
        upper_limit: auto_float {
            label: "Upper limit",
            help: "Predictions above it are set to it, in the unit of the images. Automatic: no limit.",
            advanced: true, min: -1e30, max: 1e30
        },
        iterations: int {
            label: "Iterations of the segmentation",
            help: "How often pixels are assigned to segments and segments to their pixels.",
            advanced: true, min: 0, max: 100, default: 10
        },
        classification: choice(ClassifierKind) {
            label: "Classifier",
            help: "What finds the classes of a pair without a class map.",
            advanced: true, default: ClassifierKind::KMeans
        },
        seed: int {
            label: "Seed",
            help: "Picks the first means of the classifier.",
            advanced: true, min: 0, max: 1000000, default: 1
        },
        border: choice(Border) {
            label: "Border",
            help: "What happens where a window, of coarse pixels or of similar ones, leaves the scene.",
            advanced: true, default: Border::Reflect
        },
        residual: choice(Residual) {
            label: "Residual",
            help: "What is distributed after the changes of the objects are known.",
            advanced: true, default: Residual::Change
        },
        residual_pixels: float {
            label: "Pixels for the residual of an object",
            help: "Part of an object's pixels, those that lie nearest to the middle of both the object and a coarse pixel, from which its residual is taken.",
            unit: "%", advanced: true, min: 0.0, max: 100.0, default: 5.0
        },
        similar_window: int {
            label: "Window of similar pixels",
            help: "Side of the square in which similar pixels are searched.",
            unit: "fine pixels", advanced: true, min: 1, max: 201, odd: true, default: 31
        },
        distance_weight: choice(DistanceWeight) {
            label: "Weight of distance",
            help: "How similar pixels are weighted by their distance d.",
            advanced: true, default: DistanceWeight::Paper
        },
    }
}
