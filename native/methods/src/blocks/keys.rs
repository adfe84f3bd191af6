//! Integers in the order of `f32` values, so that "between two ends" is one addition and one comparison, and is decided as in
//! exact arithmetic.
//!
//! With o = order(value), l and h the orders of the ends and u = o − l − 1 modulo 2³², the value lies between the ends if and only if
//! u, as an unsigned number, is below n = h − l − 1. Signed comparison needs both shifted by 2³¹; complementing both sides turns
//! the subtraction of l into an addition: !o + (l + 1 + 2³¹) > !(n + 2³¹). So a *key* is !o, and a *range* is the pair
//! (l + 1 + 2³¹, !(n + 2³¹)) of numbers (low, least) with `key + low > least`, where the addition wraps around.

/// An integer in the order of the values; [`i32::MIN`], which no number has, for `NaN`.
#[inline(always)]
fn order(value: f32) -> i32 {
    // -0.0 + 0.0 is 0.0
    let bits = (value + 0.0).to_bits() as i32;
    let ordered = bits ^ (((bits >> 31) as u32) >> 1) as i32;
    if value.is_nan() {
        i32::MIN
    } else {
        ordered
    }
}

/// Key of a sample; a `NaN` is in no range.
#[inline(always)]
pub fn key(value: f32) -> i32 {
    !order(value)
}

/// The value that has this key; zero has no sign, and only the key of `NaN` gives one.
#[inline(always)]
pub fn value(key: i32) -> f32 {
    let ordered = !key;
    if ordered == i32::MIN {
        f32::NAN
    } else {
        f32::from_bits((ordered ^ (((ordered >> 31) as u32) >> 1) as i32) as u32)
    }
}

/// The range of all values.
pub const ANY: (i32, i32) = (1, i32::MIN);

/// The range of no value.
pub const NONE: (i32, i32) = (0, i32::MAX);

/// The range of the values within `tolerance` of `centre`, both ends excluded; of none for `NaN`.
#[inline(always)]
pub fn key_range(centre: f32, tolerance: f64) -> (i32, i32) {
    if centre.is_nan() || tolerance.is_nan() || tolerance <= 0.0 {
        return NONE;
    }
    between::<false>(f64::from(centre) - tolerance, f64::from(centre) + tolerance)
}

/// As [`key_range`], with both ends included.
#[inline(always)]
pub fn closed_key_range(centre: f32, tolerance: f64) -> (i32, i32) {
    if centre.is_nan() || tolerance.is_nan() || tolerance < 0.0 {
        return NONE;
    }
    between::<true>(f64::from(centre) - tolerance, f64::from(centre) + tolerance)
}

#[inline(always)]
fn between<const CLOSED: bool>(low: f64, high: f64) -> (i32, i32) {
    let (mut l, mut h) = (order(low as f32), order(high as f32));
    // outwards, so that comparing with rounded ends decides as comparing with exact ones
    if f64::from(low as f32) > low || (CLOSED && f64::from(low as f32) == low) {
        l -= 1;
    }
    if f64::from(high as f32) < high || (CLOSED && f64::from(high as f32) == high) {
        h += 1;
    }
    let inside = h.wrapping_sub(l).wrapping_sub(1);
    (l.wrapping_add(1).wrapping_add(i32::MIN), !inside.wrapping_add(i32::MIN))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_in(value: f32, (low, least): (i32, i32)) -> bool {
        key(value).wrapping_add(low) > least
    }

    proptest! {
        #[test]
        fn keys_decide_as_exact_arithmetic(centre in -2.0f32..2.0, tolerance in 1e-6f64..3.0, grain: bool, value in -4.0f32..4.0) {
            // on a grid of 2⁻¹⁰ values meet the ends exactly
            let (centre, tolerance) =
                if grain { ((centre * 1024.0).round() / 1024.0, (tolerance * 1024.0).round() / 1024.0) } else { (centre, tolerance) };
            let (low, high) = (f64::from(centre) - tolerance, f64::from(centre) + tolerance);
            let ends = [low as f32, high as f32];
            for v in ends.into_iter().flat_map(|e| [e.next_down(), e, e.next_up()]).chain([value, centre]) {
                let wide = f64::from(v);
                prop_assert_eq!(is_in(v, key_range(centre, tolerance)), low < wide && wide < high, "{} near {} ± {}", v, centre, tolerance);
                prop_assert_eq!(is_in(v, closed_key_range(centre, tolerance)), low <= wide && wide <= high, "{} near {} ± {}, closed", v, centre, tolerance);
            }
        }
    }

    #[test]
    fn what_is_no_number_is_near_nothing() {
        for (value, centre, tolerance) in [
            (f32::NAN, 0.0, 1.0),
            (0.0, f32::NAN, 1.0),
            (f32::NAN, f32::NAN, 1.0),
            (0.0, 0.0, f64::NAN),
            (f32::NAN, 0.0, f64::MAX),
        ] {
            assert!(!is_in(value, key_range(centre, tolerance)), "{value} near {centre} ± {tolerance}");
            assert!(!is_in(value, closed_key_range(centre, tolerance)), "{value} near {centre} ± {tolerance}, closed");
        }
        assert!(!is_in(0.0, key_range(0.0, 0.0)) && is_in(0.0, closed_key_range(0.0, 0.0)), "a tolerance of zero");
        assert!(is_in(-0.0, key_range(0.0, 1e-30)) && is_in(0.0, key_range(-0.0, 1e-30)), "zeros are equal");
        assert!(is_in(f32::MAX, key_range(f32::MIN, f64::MAX)), "a tolerance may be larger than every value");
    }

    #[test]
    fn a_key_gives_its_value_back() {
        for v in [0.0, 0.31, -0.31, f32::MAX, f32::MIN, f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(value(key(v)), v);
        }
        assert!(value(key(f32::NAN)).is_nan() && value(key(-0.0)).is_sign_positive());
    }

    #[test]
    fn the_range_of_all_values_holds_every_number() {
        for value in [0.0, -0.0, 1.0, -1.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(is_in(value, ANY) && !is_in(value, NONE), "{value}");
        }
        assert!(!is_in(f32::NAN, ANY) && !is_in(f32::NAN, NONE));
    }
}
