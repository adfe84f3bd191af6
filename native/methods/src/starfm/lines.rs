//! Rows of pixels: differences, planes, bounds and ranges of keys, one value after the other.
//!
//! Each loop is plain Rust, compiled a second time for AVX2 so that compilers use the wider vectors. Every operation rounds
//! once and none is fused, so the results are the same, bit for bit.

use super::rules::{Uncertainty, WeightLaw};
use crate::blocks::keys;
use crate::blocks::simd::Path;

/// Differences of one pixel and pair.
#[derive(Debug, Clone, Copy)]
pub struct Differences {
    /// |F − C| (equation 6).
    pub s: f32,
    /// |C − C_p| (equation 7).
    pub t: f32,
    /// F + (C_p − C), of equation 5.
    pub proposal: f32,
}

impl Differences {
    /// Whatever comes out of the values.
    #[inline(always)]
    pub fn raw(fine: f32, coarse: f32, target: f32) -> Self {
        let change = target - coarse;
        Differences { s: (fine - coarse).abs(), t: change.abs(), proposal: fine + change }
    }

    /// Whether all three values were valid, and nothing overflowed.
    #[inline(always)]
    pub fn is_valid(self) -> bool {
        self.s.is_finite() & self.t.is_finite() & self.proposal.is_finite()
    }

    /// `None` when a value is invalid.
    pub fn of(fine: f32, coarse: f32, target: f32) -> Option<Self> {
        Some(Self::raw(fine, coarse, target)).filter(|d| d.is_valid())
    }
}

/// The smallest `f32` that is not below `value`: a comparison `x < value` decides the same with it.
#[inline(always)]
fn rounded_up(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) < value {
        near.next_up()
    } else {
        near
    }
}

/// Values of a row of one pair and band; `NaN` is invalid. All of one length.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// Fine values.
    pub fine: &'a [f32],
    /// Coarse values.
    pub coarse: &'a [f32],
    /// Coarse values of the target day.
    pub target: &'a [f32],
}

impl Values<'_> {
    #[inline(always)]
    fn differences(&self, i: usize) -> Differences {
        Differences::raw(self.fine[i], self.coarse[i], self.target[i])
    }
}

/// A row of every plane of [`window`]; as long as the values.
#[derive(Debug)]
pub struct Planes<'a> {
    /// [`super::window::KEY`].
    pub key: &'a mut [i32],
    /// [`super::window::S`].
    pub s: &'a mut [i32],
    /// [`super::window::T`].
    pub t: &'a mut [i32],
    /// [`super::window::A`].
    pub a: &'a mut [i32],
    /// [`super::window::B`].
    pub b: &'a mut [i32],
    /// [`super::window::V`].
    pub v: &'a mut [i32],
}

/// How bounds of the filter follow from the differences at the centre (equations 13 to 16).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Uncertainty of the band.
    pub sigma: Uncertainty,
    /// Whether the largest difference over the pairs counts instead of the smallest.
    pub largest: bool,
}

impl Limits {
    /// Rows of bounds before any pair.
    pub fn start(&self, s: &mut [f32], t: &mut [f32]) {
        let start = if self.largest { f32::NEG_INFINITY } else { f32::INFINITY };
        s.fill(start);
        t.fill(start);
    }
}

/// Defines `$name(path, ...)`, which runs `$body(...)` compiled for the path.
macro_rules! on_path {
    ($(#[$meta:meta])* $name:ident = $body:ident ( $($arg:ident : $type:ty),* $(,)? )) => {
        $(#[$meta])*
        pub fn $name(path: Path, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn wide($($arg: $type),*) {
                    $body($($arg),*)
                }
                if path != Path::Baseline && Path::Avx2.is_available() {
                    // SAFETY: the processor has AVX2.
                    return unsafe { wide($($arg),*) };
                }
            }
            let _ = path;
            $body($($arg),*)
        }
    };
}

on_path! {
    /// Fills a row of planes, and `rimmed` with the values that similarity is judged by (`similar`), `NaN` where the sample is invalid.
    fill_planes = planes(values: Values<'_>, similar: &[f32], law: &WeightLaw, to: Planes<'_>, rimmed: &mut [f32])
}

#[inline(always)]
fn planes(values: Values<'_>, similar: &[f32], law: &WeightLaw, to: Planes<'_>, rimmed: &mut [f32]) {
    let n = rimmed.len();
    let values = Values { fine: &values.fine[..n], coarse: &values.coarse[..n], target: &values.target[..n] };
    let similar = &similar[..n];
    let Planes { key, s, t, a, b, v } = to;
    let (key, s, t) = (&mut key[..n], &mut s[..n], &mut t[..n]);
    let (a, b, v) = (&mut a[..n], &mut b[..n], &mut v[..n]);
    for i in 0..n {
        let d = values.differences(i);
        let valid = d.is_valid();
        let bits = |value: f32| if valid { value.to_bits() as i32 } else { 0 };
        (s[i], t[i], v[i]) = (bits(d.s), bits(d.t), bits(d.proposal));
        rimmed[i] = if valid { similar[i] } else { f32::NAN };
        key[i] = keys::key(rimmed[i]);
    }
    for i in 0..n {
        let d = values.differences(i);
        let (outside, within) = law.parts(d.s, d.t);
        let bits = |value: f32| if d.is_valid() { value.to_bits() as i32 } else { 0 };
        (a[i], b[i]) = (bits(outside), bits(within));
    }
}

on_path! {
    /// Takes the differences of one more pair into a row of bounds.
    meet_differences = meet(values: Values<'_>, limits: Limits, s: &mut [f32], t: &mut [f32])
}

#[inline(always)]
fn meet(values: Values<'_>, limits: Limits, s: &mut [f32], t: &mut [f32]) {
    let n = s.len();
    let values = Values { fine: &values.fine[..n], coarse: &values.coarse[..n], target: &values.target[..n] };
    let t = &mut t[..n];
    for i in 0..n {
        let d = values.differences(i);
        let valid = d.is_valid();
        let take = |now: f32, new: f32| if valid & ((new > now) == limits.largest) { new } else { now };
        (s[i], t[i]) = (take(s[i], d.s), take(t[i], d.t));
    }
}

on_path! {
    /// Adds the uncertainty to a row of bounds, rounding up.
    finish_bounds = finish(limits: Limits, s: &mut [f32], t: &mut [f32])
}

#[inline(always)]
fn finish(limits: Limits, s: &mut [f32], t: &mut [f32]) {
    for s in s {
        *s = rounded_up(f64::from(*s) + limits.sigma.spectral);
    }
    for t in t {
        *t = rounded_up(f64::from(*t) + limits.sigma.temporal);
    }
}

on_path! {
    /// [`keys::key_range`] of a row of centres.
    key_ranges = ranges(centres: &[f32], tolerance: f64, low: &mut [i32], least: &mut [i32])
}

#[inline(always)]
fn ranges(centres: &[f32], tolerance: f64, low: &mut [i32], least: &mut [i32]) {
    let n = centres.len();
    let (low, least) = (&mut low[..n], &mut least[..n]);
    for i in 0..n {
        (low[i], least[i]) = keys::key_range(centres[i], tolerance);
    }
}
