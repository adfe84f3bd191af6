//! The parameters of STRUM, declared once.

use stfusion_core::{choices, params};

use crate::blocks::classifiers::ClassifierKind;

choices! {
    /// How the changes of the classes are solved for.
    pub enum Solution {
        /// The paper.
        Bayesian = "bayesian": "With a Gaussian prior: the change of the coarse pixel with most of the class (the paper)",
        /// The program in circulation.
        Bounded = "bounded": "Least squares between bounds, one standard deviation wider than the coarse changes (a program in circulation)",
    }
}

params! {
    /// Parameters of STRUM.
    pub struct Parameters {
        window: int {
            label: "Window size",
            help: "Side of the square of coarse pixels whose mixtures are solved together. Larger windows are more stable, smaller ones follow local differences within a class.",
            unit: "coarse pixels", min: 1, max: 301, odd: true, default: 3
        },
        classes: int {
            label: "Number of classes",
            help: "Number of classes of the fine image. A class map of the pair comes before it.",
            min: 1, max: 255, default: 8
        },
        classification: choice(ClassifierKind) {
            label: "Classification",
            help: "What finds the classes of the fine image when the pair has no class map.",
            default: ClassifierKind::KMeans
        },
        solution: choice(Solution) {
            label: "Solution",
            help: "How the changes of the classes are solved for.",
            default: Solution::Bayesian
        },
        prior_ratio: float {
            label: "Weight of the prior",
            help: "Standard deviation of the coarse changes about the mixtures over that of the class changes about the prior, in the Bayesian solution. Small: the mixtures decide; large: the purest coarse pixel of each class does.",
            min: 0.0001, max: 10000.0, default: 1.0
        },
        least_abundance: float {
            label: "Least abundance",
            help: "In the Bayesian solution a class whose share is smaller than this in every coarse pixel of the window changes as the class that looks most like it.",
            min: 0.0, max: 1.0, default: 0.1
        },
        precision_by_purity: bool {
            label: "Precision by purity",
            help: "In the Bayesian solution, trust the prior of a class in proportion to the largest share that it has in the window.",
            advanced: true, default: false
        },
        abundance_threshold: float {
            label: "Abundance threshold",
            help: "In the bounded solution a class with a smaller share of a coarse pixel is counted there as the class of the pixel that looks most like it.",
            advanced: true, min: 0.0, max: 1.0, default: 0.05
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
