//! Colour maps in OKLab (Ottosson 2020, "A perceptual color space for image processing"), and the sRGB transfer curve.

use super::Rgb;

/// A map from 0..1 to colours whose lightness changes evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourMap {
    /// From nearly black through violet and orange to pale yellow: for errors and other quantities that begin at zero.
    Heat,
    /// From blue through near-white to red, white in the middle: for signed differences.
    Difference,
}

impl ColourMap {
    /// The colour at `t`, which is clamped to 0..1; NaN counts as 0.
    pub fn rgb(&self, t: f32) -> Rgb {
        let t = if t.is_nan() { 0.0 } else { t.clamp(0.0, 1.0) };
        /// Lightness, chroma, hue in degrees at evenly spaced `t`.
        const HEAT: [[f32; 3]; 6] = [
            [0.16, 0.030, 285.0],
            [0.32, 0.130, 300.0],
            [0.48, 0.175, 350.0],
            [0.64, 0.180, 390.0],
            [0.80, 0.150, 433.0],
            [0.96, 0.070, 464.0],
        ];
        const DIFFERENCE: [[f32; 3]; 7] = [
            [0.36, 0.130, 262.0],
            [0.57, 0.120, 255.0],
            [0.78, 0.065, 245.0],
            [0.97, 0.004, 160.0],
            [0.78, 0.085, 42.0],
            [0.57, 0.160, 30.0],
            [0.36, 0.130, 25.0],
        ];
        let anchors: &[[f32; 3]] = match self {
            ColourMap::Heat => &HEAT,
            ColourMap::Difference => &DIFFERENCE,
        };
        let place = t * (anchors.len() - 1) as f32;
        let k = (place as usize).min(anchors.len() - 2);
        let f = place - k as f32;
        let lab = |[l, c, h]: [f32; 3]| [l, c * h.to_radians().cos(), c * h.to_radians().sin()];
        let (from, to) = (lab(anchors[k]), lab(anchors[k + 1]));
        oklab_to_rgb([0, 1, 2].map(|i| from[i] + (to[i] - from[i]) * f))
    }
}

fn oklab_to_rgb([l, a, b]: [f32; 3]) -> Rgb {
    let long = (l + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
    let medium = (l - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
    let short = (l - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
    [
        encoded(4.076_741_7 * long - 3.307_711_6 * medium + 0.230_969_94 * short),
        encoded(-1.268_438 * long + 2.609_757_4 * medium - 0.341_319_38 * short),
        encoded(-0.004_196_086_3 * long - 0.703_418_6 * medium + 1.707_614_7 * short),
    ]
}

/// Linear light of an sRGB value, 0 to 1.
pub(crate) fn linear(value: u8) -> f32 {
    let v = f32::from(value) / 255.0;
    if v <= 0.04045 {
        v / 12.92
    } else {
        ((v + 0.055) / 1.055).powf(2.4)
    }
}

/// The sRGB value of linear light, clamped to 0..1.
pub(crate) fn encoded(light: f32) -> u8 {
    let v = light.clamp(0.0, 1.0);
    let v = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
    (255.0 * v).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(rgb: Rgb) -> f32 {
        0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2])
    }

    #[test]
    fn transfer_curve_round_trips() {
        for v in 0..=255u8 {
            assert_eq!(encoded(linear(v)), v);
        }
    }

    #[test]
    fn heat_brightens_all_the_way_and_difference_towards_its_middle() {
        let heat: Vec<f32> = (0..=40).map(|k| luminance(ColourMap::Heat.rgb(k as f32 / 40.0))).collect();
        assert!(heat.windows(2).all(|w| w[1] > w[0]), "{heat:?}");
        for side in [-1.0f32, 1.0] {
            let half: Vec<f32> = (0..=20).map(|k| luminance(ColourMap::Difference.rgb(0.5 + side * k as f32 / 40.0))).collect();
            assert!(half.windows(2).all(|w| w[1] < w[0]), "{half:?}");
        }
        assert_eq!(ColourMap::Heat.rgb(f32::NAN), ColourMap::Heat.rgb(-3.0));
    }
}
