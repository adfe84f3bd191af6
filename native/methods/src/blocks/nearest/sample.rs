//! A chosen pixel of a window, and the sorted list of those chosen so far.

/// A chosen pixel: its key and its position in the [`Window`](super::Window). Samples are ordered by key, then by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Sample(u64);

const SIGN: u32 = 1 << 31;

impl Sample {
    /// The pixel at `position` with `key`, which is not `NaN`.
    #[inline(always)]
    pub fn new(key: f32, position: usize) -> Self {
        // -0.0 + 0.0 is 0.0
        let bits = (key + 0.0).to_bits();
        let ordered = bits ^ (((bits as i32 >> 31) as u32) | SIGN);
        Sample(u64::from(ordered) << 32 | position as u64)
    }

    /// How little it resembles the centre.
    #[inline(always)]
    pub fn key(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(if ordered & SIGN == 0 { !ordered } else { ordered ^ SIGN })
    }

    /// Its position in the window.
    #[inline(always)]
    pub fn position(self) -> usize {
        self.0 as u32 as usize
    }
}

/// Puts `new` into its place among the first `count` of `chosen`; the last one, which must be greater, falls out of a full list.
/// Returns the key that the next one has to stay below.
#[inline(always)]
pub(super) fn insert(chosen: &mut [Sample], count: &mut u32, new: Sample) -> f32 {
    let last = chosen.len() - 1;
    let mut place = (*count as usize).min(last);
    while place > 0 && chosen[place - 1] > new {
        chosen[place] = chosen[place - 1];
        place -= 1;
    }
    chosen[place] = new;
    if *count as usize <= last {
        *count += 1;
    }
    if *count as usize > last {
        chosen[last].key()
    } else {
        f32::INFINITY
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn samples_are_ordered_by_key_and_position(a in -2.0f32..2.0, b in -2.0f32..2.0, i in 0usize..9, j in 0usize..9, same: bool) {
            let b = if same { a } else { b };
            let expected = a.partial_cmp(&b).unwrap().then(i.cmp(&j));
            prop_assert_eq!(Sample::new(a, i).cmp(&Sample::new(b, j)), expected);
            prop_assert_eq!((Sample::new(a, i).key(), Sample::new(a, i).position()), (a, i));
        }

        #[test]
        fn the_smallest_are_kept_in_order(keys in prop::collection::vec(0u8..20, 0..40), length in 1usize..12) {
            let all: Vec<Sample> = keys.iter().enumerate().map(|(i, &k)| Sample::new(f32::from(k) - 7.0, i)).collect();
            let (mut chosen, mut count, mut bound) = (vec![Sample::default(); length], 0, f32::INFINITY);
            for &sample in &all {
                if sample.key() >= bound {
                    continue;
                }
                bound = insert(&mut chosen, &mut count, sample);
                prop_assert_eq!(bound, if (count as usize) < length { f32::INFINITY } else { chosen[length - 1].key() });
            }
            let mut expected = all;
            expected.sort();
            expected.truncate(length);
            prop_assert_eq!(&chosen[..count as usize], &expected[..]);
        }
    }

    #[test]
    fn zeros_are_equal() {
        assert_eq!(Sample::new(-0.0, 3), Sample::new(0.0, 3));
        assert_eq!(Sample::new(f32::INFINITY, 1).key(), f32::INFINITY);
    }
}
