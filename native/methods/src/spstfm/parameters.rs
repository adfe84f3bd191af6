//! The parameters of SPSTFM, declared once.

use stfusion_core::{choices, params};

choices! {
    /// Which patches the dictionaries are learned from.
    pub enum Sampling {
        /// Those with the largest contrast.
        Variance = "variance": "The patches whose differences vary most",
        /// Any.
        Random = "random": "Patches drawn at random, the same ones for the same seed",
    }
}

choices! {
    /// What the differences are divided by before they are coded.
    pub enum Normalisation {
        /// One number for both.
        Common = "common": "Fine and coarse difference by the same number, so that a coarse change means a fine change as large",
        /// Each its own number.
        Separate = "separate": "Each by its own standard deviation (ImageFusion): coarse changes are amplified by the ratio of the two",
    }
}

choices! {
    /// How the predictions from the two pairs are weighed.
    pub enum Weighting {
        /// By the change of the coarse image.
        Change = "change": "By how little the coarse image changed between the pair and the target under the patch",
        /// By the change of built-up area.
        BuiltUp = "built_up": "By how few pixels became or ceased to be built-up (index_bands gives red, near and shortwave infrared)",
        /// Not at all.
        Equal = "equal": "Both alike",
    }
}

choices! {
    /// How coefficients are freed from the shrinkage of the penalty.
    pub enum Debiasing {
        /// Not at all.
        Off = "off": "Keep the shrunken coefficients",
        /// Partly.
        Partial = "partial": "Conjugate gradients towards least squares, stopped when the squared gradient is a tenth (ImageFusion)",
        /// Completely.
        Full = "full": "Least squares on the chosen atoms",
    }
}

choices! {
    /// What becomes of a dictionary that is given.
    pub enum DictionaryMode {
        /// It is used as it is.
        Use = "use": "Use it as it is, and learn nothing",
        /// It is where training starts.
        Improve = "improve": "Start from it and go on learning from the images of this job",
    }
}

params! {
    /// Parameters of SPSTFM.
    pub struct Parameters {
        dictionary_size: int {
            label: "Dictionary size",
            help: "Number of atoms. Shrinks in proportion where there are fewer training patches than asked for.",
            unit: "atoms", min: 1, max: 1024, default: 256
        },
        training_patches: int {
            label: "Training patches",
            help: "Number of patches of the difference between the pairs from which the dictionaries are learned, in each band.",
            unit: "patches", min: 1, max: 50000, default: 2000
        },
        patch: int {
            label: "Patch size",
            help: "Side of the square patches that are coded.",
            unit: "fine pixels", min: 2, max: 16, default: 7
        },
        overlap: int {
            label: "Overlap",
            help: "Pixels that neighbouring patches share; at most half the patch size. What the patches predict there is averaged.",
            unit: "fine pixels", min: 0, max: 8, default: 2
        },
        sampling: choice(Sampling) {
            label: "Choice of training patches",
            help: "Which patches the dictionaries are learned from.",
            default: Sampling::Variance
        },
        weighting: choice(Weighting) {
            label: "Weighting of the pairs",
            help: "How the prediction from the earlier pair and that from the later one are weighed in each patch.",
            default: Weighting::Change
        },
        dictionary: file {
            label: "Dictionary",
            help: "File of dictionaries that an earlier job saved, with the same patch size and as many bands. If left empty: they are learned from the pairs.",
            suffix: "stfdict"
        },
        save_dictionary: new_file {
            label: "Save the dictionary",
            help: "File in which the dictionaries of this job are saved for later ones.",
            suffix: "stfdict"
        },
        dictionary_mode: choice(DictionaryMode) {
            label: "Use of the dictionary",
            help: "What becomes of a dictionary that is given.",
            advanced: true, default: DictionaryMode::Use
        },
        sparsity: float {
            label: "Sparsity",
            help: "Weight of the penalty on the coefficients, as a part of the one from which on every code is empty. Larger: fewer atoms in a patch.",
            advanced: true, min: 0.001, max: 0.999, default: 0.1
        },
        debiasing: choice(Debiasing) {
            label: "Debiasing",
            help: "How coefficients are freed from the shrinkage that the penalty brings.",
            advanced: true, default: Debiasing::Off
        },
        normalisation: choice(Normalisation) {
            label: "Normalisation",
            help: "What the difference images are divided by before they are coded.",
            advanced: true, default: Normalisation::Common
        },
        min_iterations: int {
            label: "Fewest iterations",
            help: "Iterations of training that are always done.",
            advanced: true, min: 0, max: 1000, default: 10
        },
        max_iterations: int {
            label: "Most iterations",
            help: "Iterations of training after which it ends even if the codes still improve.",
            advanced: true, min: 0, max: 1000, default: 20
        },
        max_invalid: float {
            label: "Largest invalid part",
            help: "Patches of which a larger part is invalid are not learned from.",
            advanced: true, min: 0.0, max: 0.99, default: 0.15
        },
        weight_threshold: float {
            label: "Weight threshold",
            help: "Where the relative changes towards the two pairs differ by more than this, the pair with the smaller change is used alone.",
            advanced: true, min: 0.0, max: 1.0, default: 0.2
        },
        index_bands: ints {
            label: "Bands of the built-up index",
            help: "Numbers of the red, near-infrared and shortwave-infrared band, counted from 1; needed when the pairs are weighed by built-up area.",
            advanced: true, min: 1, max: 10000
        },
        seed: int {
            label: "Seed",
            help: "Which random patches are drawn.",
            advanced: true, min: 0, max: 4294967295, default: 0
        },
    }
}
