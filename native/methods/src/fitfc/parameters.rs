//! The parameters of Fit-FC, declared once.

use stfusion_core::{choices, params};

choices! {
    /// Of what the regression is made.
    pub enum Regression {
        /// Of coarse pixels; one line for each.
        Coarse = "coarse": "Coarse pixels around the pixel's own coarse pixel (the paper, the author's program)",
        /// Of fine pixels; one line for each.
        Fine = "fine": "Fine pixels around the pixel, for coarse images that come smoothed onto the fine grid (ImageFusion)",
    }
}

choices! {
    /// Which of equally similar pixels come first.
    pub enum Ties {
        /// The nearest.
        Nearest = "nearest": "The nearest to the centre",
        /// The leftmost, of these the uppermost.
        Columns = "columns": "From the left, and in a column from the top (the author's program)",
    }
}

choices! {
    /// What the window of similar pixels does at the border of the scene.
    pub enum Border {
        /// It ends there.
        Clip = "clip": "The window ends at the border",
        /// The pixels at the border are repeated outwards.
        Replicate = "replicate": "Copies of the pixels at the border fill the window (the author's program)",
    }
}

params! {
    /// Parameters of Fit-FC.
    pub struct Parameters {
        window: int {
            label: "Window size",
            help: "Side of the square in which similar pixels are searched.",
            unit: "fine pixels", min: 1, max: 301, odd: true, default: 21
        },
        neighbours: int {
            label: "Similar pixels",
            help: "How many of the most similar pixels of the window, the pixel itself included, are averaged. 1 leaves the regression as it is.",
            min: 1, max: 1000, default: 30
        },
        similarity_bands: ints {
            label: "Similarity bands",
            help: "Bands of the fine image by which pixels are compared, counted from 1. Empty: all bands. The author's program uses red and near infrared.",
            min: 1, max: 10000
        },
        regression: choice(Regression) {
            label: "Regression",
            help: "Between which pixels of the two coarse images the lines are fitted.",
            default: Regression::Coarse
        },
        regression_window: float {
            label: "Regression window",
            help: "Side of the square to whose pixels a line is fitted. Among coarse pixels, one more than the even number below it.",
            unit: "coarse pixels", min: 1.0, max: 101.0, default: 9.0
        },
        residual: bool {
            label: "Add the residual",
            help: "Whether what the lines leave unexplained of the target's coarse image is interpolated and added, so that the prediction agrees with the coarse image.",
            default: true
        },
        scale: auto_float {
            label: "Scale",
            help: "Fine pixels per side of a coarse pixel. Automatic: from the pixel sizes of the images.",
            unit: "fine pixels", min: 2.0, max: 10000.0
        },
        spatial_importance: auto_float {
            label: "Spatial importance",
            help: "Distance at which a similar pixel weighs half as much as at the centre. Automatic: half the window size.",
            unit: "fine pixels", advanced: true, min: 0.001, max: 1000000.0
        },
        ties: choice(Ties) {
            label: "Ties",
            help: "Which pixels are taken first of those that are equally similar, as is frequent among stored integers.",
            advanced: true, default: Ties::Nearest
        },
        border: choice(Border) {
            label: "Border",
            help: "What the window of similar pixels does at the border of the scene.",
            advanced: true, default: Border::Clip
        },
    }
}
