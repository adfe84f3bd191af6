//! Which vectors to use: the widest that the processor has, or fewer when `STFUSION_CPU` says so.

use std::fmt;

use super::{Baseline, Simd};

/// A set of instructions that kernels are compiled for, from the plainest to the widest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// What every processor of the target has.
    Baseline,
    /// x86-64 with AVX2, FMA, BMI and POPCNT.
    Avx2,
    /// x86-64 with AVX-512F.
    Avx512,
}

/// Environment variable that clamps the path.
pub const VARIABLE: &str = "STFUSION_CPU";

impl Path {
    /// Every path.
    pub const ALL: &'static [Path] = &[Path::Baseline, Path::Avx2, Path::Avx512];

    /// Name, as in `STFUSION_CPU`.
    pub fn id(self) -> &'static str {
        match self {
            Path::Baseline => "baseline",
            Path::Avx2 => "avx2",
            Path::Avx512 => "avx512",
        }
    }

    /// Values in a vector.
    pub fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => super::Avx2::WIDTH,
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => super::Avx512::WIDTH,
            _ => Baseline::WIDTH,
        }
    }

    /// Whether this processor has the instructions.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        match self {
            Path::Baseline => true,
            Path::Avx2 => {
                // every processor with the first two has the others; kernels may use all of them
                std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("fma")
                    && std::arch::is_x86_feature_detected!("bmi1")
                    && std::arch::is_x86_feature_detected!("bmi2")
                    && std::arch::is_x86_feature_detected!("popcnt")
            }
            Path::Avx512 => Path::Avx2.is_available() && std::arch::is_x86_feature_detected!("avx512f"),
        }
        #[cfg(not(target_arch = "x86_64"))]
        return self == Path::Baseline;
    }

    /// The widest path that this processor has.
    pub fn widest() -> Path {
        Path::ALL.iter().copied().rev().find(|p| p.is_available()).unwrap_or(Path::Baseline)
    }

    /// The widest path that is not beyond `limit` (an id; anything else is no limit), with a remark when the wish was not met.
    pub fn clamped(limit: Option<&str>) -> (Path, Option<String>) {
        let widest = Path::widest();
        let Some(text) = limit.map(str::trim).filter(|t| !t.is_empty()) else {
            return (widest, None);
        };
        match Path::ALL.iter().find(|p| p.id() == text) {
            Some(&path) if path <= widest => (path, None),
            Some(_) => (widest, Some(format!("{VARIABLE}={text}, but this processor has only {widest}"))),
            None => {
                let ids: Vec<_> = Path::ALL.iter().map(|p| p.id()).collect();
                (widest, Some(format!("{VARIABLE}={text} is not one of {}; using {widest}", ids.join(", "))))
            }
        }
    }

    /// The path that the environment allows, with a remark when its wish was not met.
    pub fn from_environment() -> (Path, Option<String>) {
        Path::clamped(std::env::var(VARIABLE).ok().as_deref())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_can_only_narrow() {
        assert_eq!(Path::clamped(Some("baseline")), (Path::Baseline, None));
        assert_eq!(Path::clamped(None), (Path::widest(), None));
        assert_eq!(Path::clamped(Some(" ")), (Path::widest(), None));
        let (path, remark) = Path::clamped(Some("sse9"));
        assert_eq!(path, Path::widest());
        assert!(remark.unwrap().starts_with("STFUSION_CPU=sse9 is not one of baseline, avx2, avx512; using "));
        for &path in Path::ALL {
            let (got, remark) = Path::clamped(Some(path.id()));
            assert_eq!((got == path, remark.is_none()), (path.is_available(), path.is_available()));
        }
    }
}
