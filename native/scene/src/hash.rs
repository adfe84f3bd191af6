//! Counter-based randomness: a value is a hash of the seed and of integer coordinates, never of what was drawn before.
//!
//! That is what makes every window of a scene independent of all others. [`mix`] is the finaliser of SplitMix64
//! (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").

/// A 64-bit hash of a 64-bit number.
#[inline]
pub(crate) fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A hash of a seed and two integer coordinates.
#[inline]
pub(crate) fn hash2(seed: u64, a: i64, b: i64) -> u64 {
    let place = (a as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93).wrapping_add((b as u64).wrapping_mul(0xA076_1D64_78BD_642F));
    mix(seed.wrapping_mul(0x9FB2_1C65_1E98_DF25) ^ place)
}

/// The hash as a number in `[0, 1)`.
#[inline]
pub(crate) fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// The `k`-th number in `[0, 1)` that belongs to a hash.
#[inline]
pub(crate) fn draw(hash: u64, k: u64) -> f64 {
    unit(mix(hash ^ k.wrapping_mul(0xE703_7ED1_A0B4_28DB)))
}

/// A number of mean 0 and standard deviation 1 that is nearly normal: the sum of four uniform 16-bit parts of a hash.
#[inline]
pub(crate) fn normal(hash: u64) -> f32 {
    let sum = (hash & 0xFFFF) + ((hash >> 16) & 0xFFFF) + ((hash >> 32) & 0xFFFF) + (hash >> 48);
    const SPREAD: f32 = 65_536.0 * 0.577_350_3;
    (sum as f32 - 2.0 * 65_535.0) / SPREAD
}

/// Gradient noise of wavelength 1: smooth, zero mean, in about `[-0.7, 0.7]`.
#[inline]
pub(crate) fn noise(seed: u64, x: f64, y: f64) -> f64 {
    const D: f64 = std::f64::consts::FRAC_1_SQRT_2;
    const DIRECTIONS: [(f64, f64); 8] = [(1.0, 0.0), (D, D), (0.0, 1.0), (-D, D), (-1.0, 0.0), (-D, -D), (0.0, -1.0), (D, -D)];
    let (ix, iy) = (floor(x), floor(y));
    let (dx, dy) = (x - ix as f64, y - iy as f64);
    let corner = |cx: i64, cy: i64| {
        let (gx, gy) = DIRECTIONS[(hash2(seed, ix + cx, iy + cy) >> 61) as usize];
        gx * (dx - cx as f64) + gy * (dy - cy as f64)
    };
    let (sx, sy) = (fade(dx), fade(dy));
    let top = lerp(corner(0, 0), corner(1, 0), sx);
    let bottom = lerp(corner(0, 1), corner(1, 1), sx);
    lerp(top, bottom, sy)
}

/// The largest integer not above `x`; several times faster than `f64::floor` where the target has no instruction for it.
#[inline]
pub(crate) fn floor(x: f64) -> i64 {
    let truncated = x as i64;
    truncated - i64::from((truncated as f64) > x)
}

/// Length of a vector, for coordinates far from overflow.
#[inline]
pub(crate) fn length(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
}

/// The sum of `octaves` of [`noise`], each of half the wavelength and half the height of the one before.
#[inline]
pub(crate) fn fractal(seed: u64, x: f64, y: f64, octaves: u32) -> f64 {
    let (mut sum, mut height, mut rate) = (0.0, 1.0, 1.0);
    for octave in 0..octaves {
        sum += height * noise(seed.wrapping_add(u64::from(octave)), x * rate, y * rate);
        height *= 0.5;
        rate *= 2.03;
    }
    sum
}

fn fade(t: f64) -> f64 {
    t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
}

/// Linear interpolation from `a` to `b`.
#[inline]
pub(crate) fn lerp(a: f64, b: f64, t: f64) -> f64 {
    a + (b - a) * t
}

/// Hermite step from 0 at `from` to 1 at `to`.
#[inline]
pub(crate) fn smoothstep(from: f64, to: f64, x: f64) -> f64 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_uniform_and_normals_standard() {
        let n = 20_000;
        let uniform: Vec<f64> = (0..n).map(|i| unit(hash2(7, i, -i))).collect();
        let mean = uniform.iter().sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert!(uniform.iter().all(|v| (0.0..1.0).contains(v)));
        let normals: Vec<f64> = (0..n).map(|i| f64::from(normal(hash2(9, i, 3)))).collect();
        let mean = normals.iter().sum::<f64>() / n as f64;
        let variance = normals.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn noise_is_continuous_and_zero_on_the_lattice() {
        assert_eq!(noise(3, 12.0, -5.0), 0.0);
        let step = 1e-4;
        for i in 0..200 {
            let (x, y) = (f64::from(i) * 0.173 - 9.0, f64::from(i) * 0.091);
            assert!((noise(3, x, y) - noise(3, x + step, y)).abs() < 5.0 * step);
            assert!(noise(3, x, y).abs() < 1.0);
        }
    }
}
