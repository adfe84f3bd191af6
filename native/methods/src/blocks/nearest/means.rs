//! Weighted means over chosen pixels.

use super::Sample;

/// Sets `means[i]` to the mean of `planes[i]` over the `samples` of the pixel at index `at`, each weighted with `weight(sample)`;
/// values that are `NaN` are left out, and without any other the mean is `NaN`.
///
/// `steps` are those of the window ([`super::Window::steps`]) in the planes. Sums are taken in the order of the samples, in single precision,
/// multiplication and addition rounded each for itself, so the result is the same on every processor.
#[inline]
pub fn weighted_means(
    samples: &[Sample],
    at: usize,
    steps: &[isize],
    weight: impl Fn(Sample) -> f32,
    planes: &[&[f32]],
    means: &mut [f32],
) {
    for (plane, mean) in planes.iter().zip(means) {
        let (mut sum, mut weights) = (0.0f32, 0.0f32);
        for &sample in samples {
            let value = plane[at.wrapping_add_signed(steps[sample.position()])];
            let weight = weight(sample);
            let valid = !value.is_nan();
            sum += if valid { weight * value } else { 0.0 };
            weights += if valid { weight } else { 0.0 };
        }
        *mean = sum / weights;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::nearest::Window;

    #[test]
    fn invalid_values_are_left_out() {
        let window = Window::new(1);
        let planes = [[1.0, 2.0, 3.0], [1.0, f32::NAN, 3.0], [f32::NAN; 3]];
        // the centre (weight 1), then its left and right neighbours (weight 1/2)
        let samples = [0, 2, 3].map(|position| Sample::new(position as f32, position));
        let mut means = [0.0; 3];
        let weight = |s: Sample| 1.0 / (1.0 + s.key().min(1.0));
        weighted_means(&samples, 1, &window.steps(3), weight, &planes.each_ref().map(|p| &p[..]), &mut means);
        assert_eq!(means[..2], [(2.0 + 0.5 + 1.5) / 2.0, 2.0]);
        assert!(means[2].is_nan());
        weighted_means(&[], 1, &window.steps(3), weight, &[&planes[0]], &mut means[..1]);
        assert!(means[0].is_nan());
    }
}
