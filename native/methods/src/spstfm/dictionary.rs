//! Training samples, and dictionaries whose atoms correspond: one for the fine, one for the coarse difference.

use super::vectors::normalise;

/// Patches of the fine and of the coarse difference at the same places, normalised, one after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// Pixels of a patch.
    pub pixels: usize,
    /// Patches of the fine difference.
    pub fine: Vec<f64>,
    /// Patches of the coarse difference.
    pub coarse: Vec<f64>,
}

impl Samples {
    /// Number of patches.
    pub fn count(&self) -> usize {
        self.coarse.len() / self.pixels.max(1)
    }
}

/// Dictionaries whose atoms correspond, one atom after the other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DictionaryPair {
    /// Pixels of an atom.
    pub pixels: usize,
    /// Atoms of the fine difference.
    pub fine: Vec<f64>,
    /// Atoms of the coarse difference.
    pub coarse: Vec<f64>,
}

impl DictionaryPair {
    /// The first `atoms` samples (at most all), each half scaled to unit length.
    pub fn from_samples(samples: &Samples, atoms: usize) -> Self {
        let n = samples.pixels;
        let unit = |values: &[f64]| {
            let mut atoms = values[..atoms.min(samples.count()) * n].to_vec();
            for atom in atoms.chunks_exact_mut(n) {
                normalise(atom);
            }
            atoms
        };
        DictionaryPair { pixels: n, fine: unit(&samples.fine), coarse: unit(&samples.coarse) }
    }

    /// Number of atoms.
    pub fn atoms(&self) -> usize {
        self.coarse.len() / self.pixels.max(1)
    }
}

/// What the fine and the coarse differences of a band are divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scales {
    /// For the fine difference; positive.
    pub fine: f64,
    /// For the coarse difference; positive.
    pub coarse: f64,
}

/// What is known of one band.
#[derive(Debug, Clone, PartialEq)]
pub struct BandDictionary {
    /// Factors of the values that the atoms code.
    pub scales: Scales,
    /// The atoms.
    pub pair: DictionaryPair,
}

/// The dictionaries of every band; `None` where there was nothing to learn from.
pub type Dictionaries = Vec<Option<BandDictionary>>;
