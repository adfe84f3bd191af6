//! The parameters of ESTARFM, declared once.

use stfusion_core::{choices, params};

choices! {
    /// Which of the similar pixels are used.
    pub enum Selection {
        /// Every one.
        All = "all": "Every similar pixel of the window",
        /// The most similar ones.
        Nearest = "nearest": "Only the most similar ones, as many as similar_pixels says (the FAST variant)",
    }
}

choices! {
    /// Over which pixels the regression of fine on coarse values is made.
    pub enum Conversion {
        /// All similar pixels.
        Window = "window": "One coefficient from all similar pixels of the window (the author's program)",
        /// Those in one coarse pixel.
        CoarsePixel = "coarse_pixel": "One coefficient from the similar pixels of each coarse pixel (the paper)",
        /// None.
        None = "none": "Always 1: a fine pixel changes as the coarse image does",
    }
}

choices! {
    /// Where a regression is tried at all.
    pub enum RegressionGate {
        /// Enough change between the pairs.
        Change = "change": "The mean coarse value of the similar pixels changed enough between the pairs (the author's program)",
        /// Enough spread.
        Deviation = "deviation": "The coarse values of the similar pixels spread more than their uncertainty (ImageFusion)",
        /// Everywhere.
        None = "none": "Everywhere",
    }
}

choices! {
    /// What becomes of the significance of a regression.
    pub enum SignificanceTest {
        /// Insignificant slopes become 1.
        Gate = "gate": "A slope that is not significant becomes 1",
        /// A mean of slope and 1.
        Blend = "blend": "The mean of the slope and 1, weighted by the probability that there is a slope",
        /// Every slope is taken.
        None = "none": "Every slope is taken",
    }
}

choices! {
    /// What a pixel with few similar pixels becomes.
    pub enum FewSimilar {
        /// Its fine value and the mean coarse change.
        Increment = "increment": "Its fine values plus the mean change of the coarse images in the window (the author's program)",
        /// Its fine value.
        Copy = "copy": "Its fine values, without change (ImageFusion)",
    }
}

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
    /// How the agreement of fine and coarse values is measured in images of one band.
    pub enum OneBand {
        /// By their relative difference.
        Difference = "difference": "One minus the mean relative difference of fine and coarse value (the author's program)",
        /// As with several bands.
        Correlation = "correlation": "Their correlation over the pairs, which is 1 or -1 with two pairs",
    }
}

params! {
    /// The parameters of ESTARFM.
    pub struct Parameters {
        window: int {
            label: "Window size",
            help: "Side of the square in which similar pixels are searched. About three coarse pixels is usual.",
            unit: "fine pixels", min: 1, max: 301, odd: true, default: 51
        },
        classes: float {
            label: "Number of classes",
            help: "A pixel is similar when its fine values differ from the centre's by less than twice the standard deviation divided by this number, in every band of every pair. More classes: fewer, more similar pixels.",
            min: 0.01, max: 10000.0, default: 4.0
        },
        selection: choice(Selection) {
            label: "Selection",
            help: "Which of the similar pixels are used.",
            default: Selection::All
        },
        similar_pixels: int {
            label: "Number of similar pixels",
            help: "How many pixels the selection of the most similar ones keeps.",
            min: 1, max: 100000, default: 20
        },
        data_range: floats {
            label: "Data range",
            help: "Smallest and largest possible value, in the unit of the images, for example 0 1 for reflectance. A prediction that reaches one of them is replaced by the weighted mean of the fine values of the similar pixels. Automatic: no limits."
        },
        conversion: choice(Conversion) {
            label: "Conversion coefficient",
            help: "How much a fine pixel changes when the coarse image changes by one: the slope of the fine on the coarse values of the similar pixels in all pairs.",
            default: Conversion::Window
        },
        threshold_scope: choice(ThresholdScope) {
            label: "Scope of the threshold",
            help: "Over which pixels the standard deviation of the similarity test is taken.",
            advanced: true, default: ThresholdScope::Image
        },
        inclusive: bool {
            label: "Include the threshold",
            help: "Whether a pixel whose fine value differs by exactly the threshold is similar.",
            advanced: true, default: false
        },
        regression_gate: choice(RegressionGate) {
            label: "Regression gate",
            help: "Where a regression is tried. Elsewhere the conversion coefficient is 1.",
            advanced: true, default: RegressionGate::Change
        },
        least_change: auto_float {
            label: "Least change",
            help: "Change of the mean coarse value between the pairs from which on a regression is tried, in the unit of the images. Automatic: 2 % of the upper end of the data range, or of a power of ten that suits the contrast of the images (0.02 for reflectance).",
            advanced: true, min: 0.0
        },
        coarse_uncertainty: auto_float {
            label: "Uncertainty of the coarse images",
            help: "Standard error of a coarse value, in the unit of the images; a regression needs coarse values that spread more than its square root of two fold. Automatic: 0.2 % of the upper end of the data range, or of a power of ten that suits the contrast of the images (0.002 for reflectance).",
            advanced: true, min: 0.0
        },
        significance_test: choice(SignificanceTest) {
            label: "Significance test",
            help: "What becomes of the significance of a slope (F test of the regression).",
            advanced: true, default: SignificanceTest::Gate
        },
        significance_level: float {
            label: "Significance level",
            help: "Largest probability that a slope arises by chance with which it counts as significant.",
            advanced: true, min: 1e-6, max: 1.0, default: 0.05
        },
        largest_coefficient: float {
            label: "Largest coefficient",
            help: "A slope that is not above 0, or is above this, becomes 1.",
            advanced: true, min: 0.001, max: 1000000.0, default: 5.0
        },
        least_similar: int {
            label: "Least number of similar pixels",
            help: "A pixel with fewer similar pixels, itself included, is predicted without them.",
            advanced: true, min: 1, max: 100000, default: 6
        },
        few_similar: choice(FewSimilar) {
            label: "Few similar pixels",
            help: "What a pixel that has fewer similar pixels than needed becomes.",
            advanced: true, default: FewSimilar::Increment
        },
        flat_correlation: float {
            label: "Correlation of constant values",
            help: "Correlation of fine and coarse values where it is not defined, because one of them is the same in all bands and pairs. 0.5 in the author's program, 1 in ImageFusion.",
            advanced: true, min: -1.0, max: 1.0, default: 0.5
        },
        one_band: choice(OneBand) {
            label: "Agreement in one band",
            help: "How the agreement of fine and coarse values is measured when the images have one band.",
            advanced: true, default: OneBand::Difference
        },
        scale: auto_float {
            label: "Scale",
            help: "Fine pixels per coarse-pixel side, where each coarse pixel has a coefficient of its own. Automatic: known when the coarse images come with their own pixels.",
            advanced: true, min: 2.0, max: 1000.0
        },
    }
}
