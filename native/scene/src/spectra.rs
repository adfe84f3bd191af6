//! Reflectance spectra of the pure materials a pixel is mixed from, in the six Landsat bands.

/// Reflectance in blue, green, red, nir, swir1 and swir2.
pub(crate) type Spectrum = [f32; 6];

pub(crate) const CEREAL: Spectrum = [0.024, 0.058, 0.027, 0.430, 0.175, 0.075];
pub(crate) const RAPE: Spectrum = [0.026, 0.068, 0.030, 0.480, 0.200, 0.085];
pub(crate) const RAPE_BLOOM: Spectrum = [0.050, 0.168, 0.172, 0.510, 0.235, 0.115];
pub(crate) const MAIZE: Spectrum = [0.028, 0.062, 0.033, 0.450, 0.215, 0.092];
pub(crate) const BEET: Spectrum = [0.024, 0.066, 0.027, 0.560, 0.225, 0.090];
pub(crate) const BROADLEAF: Spectrum = [0.030, 0.072, 0.040, 0.420, 0.220, 0.100];
pub(crate) const GRASS: Spectrum = [0.032, 0.072, 0.042, 0.380, 0.215, 0.105];
pub(crate) const STRAW: Spectrum = [0.100, 0.145, 0.187, 0.305, 0.345, 0.230];
pub(crate) const STUBBLE: Spectrum = [0.122, 0.162, 0.200, 0.285, 0.370, 0.290];
pub(crate) const DRY_GRASS: Spectrum = [0.072, 0.108, 0.138, 0.255, 0.320, 0.215];
pub(crate) const LOAM: Spectrum = [0.096, 0.122, 0.152, 0.225, 0.310, 0.260];
pub(crate) const RED_SOIL: Spectrum = [0.080, 0.107, 0.152, 0.240, 0.320, 0.270];
pub(crate) const CHERNOZEM: Spectrum = [0.062, 0.077, 0.094, 0.140, 0.215, 0.185];
pub(crate) const GRAVEL: Spectrum = [0.200, 0.245, 0.285, 0.330, 0.385, 0.350];
pub(crate) const MUD: Spectrum = [0.070, 0.092, 0.112, 0.145, 0.150, 0.110];
pub(crate) const DECIDUOUS: Spectrum = [0.021, 0.044, 0.024, 0.390, 0.165, 0.070];
pub(crate) const BARE_TREES: Spectrum = [0.045, 0.062, 0.072, 0.160, 0.185, 0.125];
pub(crate) const CONIFER: Spectrum = [0.017, 0.030, 0.019, 0.225, 0.095, 0.042];
pub(crate) const SHRUB: Spectrum = [0.030, 0.052, 0.042, 0.260, 0.175, 0.095];
pub(crate) const RIVER: Spectrum = [0.048, 0.062, 0.040, 0.018, 0.009, 0.006];
pub(crate) const POND: Spectrum = [0.058, 0.082, 0.045, 0.014, 0.007, 0.005];
pub(crate) const FLOOD: Spectrum = [0.064, 0.078, 0.070, 0.040, 0.015, 0.010];
pub(crate) const TILES: Spectrum = [0.090, 0.112, 0.178, 0.232, 0.265, 0.240];
pub(crate) const GREY_ROOFS: Spectrum = [0.150, 0.162, 0.172, 0.195, 0.215, 0.210];
pub(crate) const BRIGHT_ROOFS: Spectrum = [0.330, 0.345, 0.350, 0.365, 0.350, 0.315];
pub(crate) const ASPHALT: Spectrum = [0.098, 0.108, 0.118, 0.145, 0.165, 0.155];
pub(crate) const TRACK: Spectrum = [0.110, 0.140, 0.165, 0.225, 0.260, 0.225];
pub(crate) const CLOUD: Spectrum = [0.640, 0.625, 0.625, 0.660, 0.470, 0.360];

/// `a` with the share `t` of `b` mixed in.
#[inline]
pub(crate) fn blend(a: Spectrum, b: Spectrum, t: f32) -> Spectrum {
    let mut out = a;
    for (o, b) in out.iter_mut().zip(b) {
        *o += (b - *o) * t;
    }
    out
}

/// All bands times one factor.
#[inline]
pub(crate) fn times(a: Spectrum, factor: f32) -> Spectrum {
    a.map(|v| v * factor)
}

/// `sum` plus `share` of `b`.
#[inline]
pub(crate) fn add(sum: &mut Spectrum, b: Spectrum, share: f32) {
    for (s, b) in sum.iter_mut().zip(b) {
        *s += b * share;
    }
}
