//! The parameters of UBDF, declared once.

use stfusion_core::params;

use crate::blocks::border::Border;
use crate::blocks::classifiers::ClassifierKind;
use crate::blocks::unmixing::Bounds;

params! {
    /// Parameters of UBDF.
    pub struct Parameters {
        window: int {
            label: "Window size",
            help: "Side of the square of coarse pixels whose mixtures are solved together. Larger windows are more stable, smaller ones follow local differences within a class.",
            unit: "coarse pixels", min: 1, max: 301, odd: true, default: 5
        },
        classes: int {
            label: "Number of classes",
            help: "Number of classes of the fine image. A class map of the pair comes before it.",
            min: 1, max: 255, default: 4
        },
        classification: choice(ClassifierKind) {
            label: "Classification",
            help: "What finds the classes of the fine image when the pair has no class map.",
            default: ClassifierKind::KMeans
        },
        bounds: choice(Bounds) {
            label: "Bounds",
            help: "Between which values the class values may lie.",
            default: Bounds::Range
        },
        border: choice(Border) {
            label: "Border",
            help: "What the window does at the border of the scene.",
            advanced: true, default: Border::Clip
        },
        seed: int {
            label: "Seed",
            help: "Picks the pixels with which the classifier begins.",
            advanced: true, min: 0, max: 4294967295, default: 1
        },
        scale: auto_float {
            label: "Scale",
            help: "Fine pixels per side of a coarse pixel. Automatic: the ratio of the pixel sizes of the images.",
            unit: "fine pixels", advanced: true, min: 2.0, max: 10000.0
        },
    }
}
