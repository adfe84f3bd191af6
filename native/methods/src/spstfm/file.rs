//! Dictionaries as a file, so that those of one target day serve another.
//!
//! All numbers are little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `STFDICT1`: the format and its version |
//! | 4 | side of a patch in pixels (`u32`) |
//! | 4 | number of bands (`u32`) |
//! | for every band: 4 | number of atoms (`u32`); 0 where nothing was learned, and nothing follows |
//! | 8 + 8 | what the fine and the coarse difference are divided by (`f64`, positive) |
//! | 8 · atoms · side² | fine atoms, one after the other, each row by row (`f64`) |
//! | 8 · atoms · side² | coarse atoms, likewise |
//!
//! Every atom has unit length or is zero. Values are kept as they were computed: a prediction with a saved dictionary is that of
//! the run which saved it, bit for bit.

use stfusion_core::{Error, ErrorKind, Result};

use super::dictionary::{BandDictionary, Dictionaries, DictionaryPair, Scales};
use super::vectors::dot;

const MAGIC: &[u8; 8] = b"STFDICT1";

/// Characters of the magic number that do not tell the version.
const FORMAT: usize = 7;

/// Largest side of a patch, and largest number of atoms, that a file may have: those of the parameters.
const MAX_PATCH: usize = 16;
const MAX_ATOMS: usize = 1024;

/// How far the length of an atom may be from 1.
const UNIT: f64 = 1e-6;

/// The contents of a file with the dictionaries of every band for patches of `patch` x `patch` pixels.
pub fn encoded(patch: usize, bands: &[Option<BandDictionary>]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let count = |bytes: &mut Vec<u8>, n: usize| bytes.extend((n as u32).to_le_bytes());
    count(&mut bytes, patch);
    count(&mut bytes, bands.len());
    for band in bands {
        let Some(BandDictionary { scales, pair }) = band else {
            count(&mut bytes, 0);
            continue;
        };
        count(&mut bytes, pair.atoms());
        for value in [scales.fine, scales.coarse].iter().chain(&pair.fine).chain(&pair.coarse) {
            bytes.extend(value.to_le_bytes());
        }
    }
    bytes
}

/// The dictionaries of every band in the contents of a file, which must be for patches of `patch` x `patch` pixels and `bands` bands.
///
/// # Errors
/// [`ErrorKind::Data`] saying what is wrong with the file; the caller names it.
pub fn decoded(bytes: &[u8], patch: usize, bands: usize) -> Result<Dictionaries> {
    let mut rest = Reader { bytes, at: 0 };
    let magic = rest.take(MAGIC.len()).ok().filter(|m| m[..FORMAT] == MAGIC[..FORMAT]);
    let Some(magic) = magic else {
        return Err(refused("is not a dictionary of stfusion")
            .with_hint("Give a file that was written by save_dictionary, or leave dictionary out."));
    };
    if magic != MAGIC {
        let version = char::from(magic[FORMAT]);
        return Err(refused(format!("has version {:?} of the format, expected '1'", version))
            .with_hint("Use the version of stfusion that wrote it, or learn the dictionary again."));
    }
    let side = rest.count("the patch size", MAX_PATCH)?;
    let count = rest.count("the number of bands", u32::MAX as usize)?;
    if side != patch {
        return Err(refused(format!("is for patches of {side} pixels; the patch size is {patch}"))
            .with_hint(format!("Set patch={side}, or learn a dictionary for {patch}.")));
    }
    if count != bands {
        return Err(refused(format!("has {count} bands; the images have {bands}"))
            .with_hint("Give a dictionary that was learned from images with the same bands."));
    }
    let all = (1..=bands).map(|number| rest.band(number, patch * patch)).collect::<Result<_>>()?;
    if rest.at < bytes.len() {
        return Err(damaged(format!("{} bytes follow its end", bytes.len() - rest.at)));
    }
    Ok(all)
}

fn refused(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Data, what)
}

fn damaged(what: impl std::fmt::Display) -> Error {
    refused(format!("is damaged: {what}")).with_hint("Copy the file again, or learn the dictionary again.")
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else {
            return Err(damaged(format!("it ends after {} bytes", self.bytes.len())));
        };
        let part = &self.bytes[self.at..end];
        self.at = end;
        Ok(part)
    }

    fn count(&mut self, what: &str, most: usize) -> Result<usize> {
        let mut value = [0; 4];
        value.copy_from_slice(self.take(4)?);
        let value = u32::from_le_bytes(value) as usize;
        if value > most {
            return Err(damaged(format!("{what} is {value}, expected at most {most}")));
        }
        Ok(value)
    }

    /// `count` numbers that are finite.
    fn numbers(&mut self, band: usize, count: usize) -> Result<Vec<f64>> {
        // the bytes are there before anything of their size is made
        let bytes = self.take(count * size_of::<f64>())?;
        let numbers = bytes.chunks_exact(size_of::<f64>()).map(|chunk| {
            let mut value = [0; 8];
            value.copy_from_slice(chunk);
            f64::from_le_bytes(value)
        });
        let numbers: Vec<f64> = numbers.collect();
        match numbers.iter().find(|v| !v.is_finite()) {
            Some(value) => Err(damaged(format!("band {band} holds the value {value}"))),
            None => Ok(numbers),
        }
    }

    fn band(&mut self, number: usize, pixels: usize) -> Result<Option<BandDictionary>> {
        let atoms = self.count(&format!("the number of atoms of band {number}"), MAX_ATOMS)?;
        if atoms == 0 {
            return Ok(None);
        }
        let scales = self.numbers(number, 2)?;
        if let Some(scale) = scales.iter().find(|s| **s <= 0.0) {
            return Err(damaged(format!("band {number} is divided by {scale}")));
        }
        let scales = Scales { fine: scales[0], coarse: scales[1] };
        let fine = self.numbers(number, atoms * pixels)?;
        let coarse = self.numbers(number, atoms * pixels)?;
        for atom in fine.chunks_exact(pixels).chain(coarse.chunks_exact(pixels)) {
            let length = dot(atom, atom).sqrt();
            if length != 0.0 && (length - 1.0).abs() > UNIT || length.is_nan() {
                return Err(damaged(format!("an atom of band {number} has the length {length}, expected 1")));
            }
        }
        Ok(Some(BandDictionary { scales, pair: DictionaryPair { pixels, fine, coarse } }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spstfm::vectors::normalise;

    fn dictionaries() -> Dictionaries {
        let atoms = |seed: usize| {
            let mut all = Vec::new();
            for k in 0..3 {
                let mut atom: Vec<f64> = (0..4).map(|p| ((seed + 7 * k + 3 * p) % 11) as f64 - 5.0).collect();
                normalise(&mut atom);
                all.extend(atom);
            }
            all
        };
        let pair = DictionaryPair { pixels: 4, fine: atoms(1), coarse: atoms(2) };
        vec![Some(BandDictionary { scales: Scales { fine: 0.5, coarse: 0.25 }, pair }), None]
    }

    fn message(bytes: &[u8]) -> String {
        let error = decoded(bytes, 2, 2).unwrap_err();
        assert!(error.kind() == ErrorKind::Data && error.hint().is_some(), "{error}");
        error.message().to_string()
    }

    #[test]
    fn what_is_saved_comes_back() {
        let bytes = encoded(2, &dictionaries());
        assert_eq!(bytes.len(), 8 + 4 + 4 + (4 + 16 + 2 * 8 * 12) + 4);
        assert_eq!(decoded(&bytes, 2, 2).unwrap(), dictionaries());
    }

    #[test]
    fn files_of_another_kind_or_size_are_refused_in_words() {
        let bytes = encoded(2, &dictionaries());
        let with = |at: usize, part: &[u8]| {
            let mut bytes = bytes.clone();
            bytes[at..at + part.len()].copy_from_slice(part);
            bytes
        };
        assert_eq!(message(b""), "is not a dictionary of stfusion");
        assert_eq!(message(b"II*\0\0\0\0\0 and so on"), "is not a dictionary of stfusion");
        assert_eq!(message(&with(7, b"2")), "has version '2' of the format, expected '1'");
        assert_eq!(message(&with(8, &3u32.to_le_bytes())), "is for patches of 3 pixels; the patch size is 2");
        assert_eq!(message(&with(8, &77u32.to_le_bytes())), "is damaged: the patch size is 77, expected at most 16");
        assert_eq!(message(&with(12, &5u32.to_le_bytes())), "has 5 bands; the images have 2");
        let many = with(16, &u32::MAX.to_le_bytes());
        assert_eq!(message(&many), "is damaged: the number of atoms of band 1 is 4294967295, expected at most 1024");
        let more = with(16, &1024u32.to_le_bytes());
        assert_eq!(message(&more), format!("is damaged: it ends after {} bytes", bytes.len()));
        assert_eq!(message(&with(20, &f64::NAN.to_le_bytes())), "is damaged: band 1 holds the value NaN");
        assert_eq!(message(&with(28, &0f64.to_le_bytes())), "is damaged: band 1 is divided by 0");
        assert_eq!(message(&with(36, &f64::INFINITY.to_le_bytes())), "is damaged: band 1 holds the value inf");
        assert!(message(&with(36, &9f64.to_le_bytes())).starts_with("is damaged: an atom of band 1 has the length 9."));
        assert!(message(&with(36, &1e200f64.to_le_bytes())).starts_with("is damaged: an atom of band 1 has the length inf"));
        assert_eq!(message(&[bytes.as_slice(), b"x"].concat()), "is damaged: 1 bytes follow its end");
        for end in 8..bytes.len() {
            assert_eq!(message(&bytes[..end]), format!("is damaged: it ends after {end} bytes"));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_whatsoever_do_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..300), whole: bool, at in 8usize..220, byte: u8) {
            if whole {
                bytes = encoded(2, &dictionaries());
                let at = at % bytes.len();
                bytes[at] = byte;
            } else {
                bytes.splice(..bytes.len().min(8), *MAGIC);
            }
            if let Ok(bands) = decoded(&bytes, 2, 2) {
                prop_assert_eq!(encoded(2, &bands), bytes);
            }
        }
    }
}
