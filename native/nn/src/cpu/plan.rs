//! Where values lie in the arena: values that live at the same time never overlap, others may.

/// A value's need of memory: bytes, and the first and last step that touch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    pub bytes: usize,
    pub first: usize,
    pub last: usize,
}

/// Every value begins at a cache line.
pub(crate) const ALIGNMENT: usize = 64;

/// The offset of every value and the size of the arena. The largest value is placed first; each one at the lowest offset where nothing
/// of its time lies.
pub(crate) fn places(needs: &[Need]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(needs[i].bytes), i));
    let mut offsets = vec![0; needs.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(needs.len());
    let mut size = 0;
    for i in order {
        let need = needs[i];
        let mut neighbours: Vec<usize> =
            placed.iter().copied().filter(|&j| needs[j].first <= need.last && need.first <= needs[j].last).collect();
        neighbours.sort_by_key(|&j| offsets[j]);
        let mut offset = 0;
        for j in neighbours {
            if offset + need.bytes <= offsets[j] {
                break;
            }
            offset = offset.max((offsets[j] + needs[j].bytes).next_multiple_of(ALIGNMENT));
        }
        offsets[i] = offset;
        size = size.max((offset + need.bytes).next_multiple_of(ALIGNMENT));
        placed.push(i);
    }
    (offsets, size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_of_the_same_time_never_overlap(needs in prop::collection::vec((1usize..5000, 0usize..40, 0usize..8), 1..60)) {
            let needs: Vec<Need> =
                needs.into_iter().map(|(bytes, first, more)| Need { bytes, first, last: first + more }).collect();
            let (offsets, size) = places(&needs);
            for (i, a) in needs.iter().enumerate() {
                prop_assert_eq!(offsets[i] % ALIGNMENT, 0);
                prop_assert!(offsets[i] + a.bytes <= size);
                for (j, b) in needs.iter().enumerate().skip(i + 1) {
                    let together = a.first <= b.last && b.first <= a.last;
                    let apart = offsets[i] + a.bytes <= offsets[j] || offsets[j] + b.bytes <= offsets[i];
                    prop_assert!(!together || apart, "{:?} at {} and {:?} at {}", a, offsets[i], b, offsets[j]);
                }
            }
            // never more than everything side by side
            prop_assert!(size <= needs.iter().map(|n| n.bytes.next_multiple_of(ALIGNMENT)).sum());
        }
    }

    #[test]
    fn a_chain_needs_two_buffers() {
        let needs: Vec<Need> = (0..10).map(|i| Need { bytes: 640, first: i, last: i + 1 }).collect();
        assert_eq!(places(&needs).1, 1280);
    }
}
