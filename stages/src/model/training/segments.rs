//! Segments: a network is cut into parts of which training keeps the input alone, and computes the rest again on the way
//! back (Chen et al. 2016). Memory falls for time; the bits stay.

use std::ops::Range;

/// `layers` in `segments` shares, one behind the other, whose sizes differ by one at most.
pub(crate) fn shares(layers: usize, segments: usize) -> impl Iterator<Item = Range<usize>> {
    let segments = segments.clamp(1, layers.max(1));
    (0..segments).map(move |i| layers * i / segments..layers * (i + 1) / segments)
}

/// What a way through a network holds at most, in units of its own: of all layers without segments; else the `inputs` that
/// segments keep, and the layers of the one that is gone back through. `layers` has for each what it holds, and what its
/// input takes.
pub(crate) fn held(layers: &[(u64, u64)], segments: usize) -> u64 {
    let within =
        |share: &Range<usize>| layers[share.clone()].iter().fold(0u64, |sum, (own, _)| sum.saturating_add(*own));
    if segments <= 1 {
        return within(&(0..layers.len()));
    }
    let kept = shares(layers.len(), segments).map(|share| layers.get(share.start).map_or(0, |(_, input)| *input));
    let largest = shares(layers.len(), segments).map(|share| within(&share)).max().unwrap_or(0);
    kept.fold(largest, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_and_equal() {
        let of = |layers, segments| shares(layers, segments).collect::<Vec<_>>();
        assert_eq!(of(7, 3), [0..2, 2..4, 4..7]);
        assert_eq!(of(2, 9), [0..1, 1..2]);
        assert_eq!([of(3, 0), of(0, 4)].map(|shares| shares[0].clone()), [0..3, 0..0]);
    }

    #[test]
    fn segments_hold_their_inputs_and_one_of_them() {
        let layers = [(10, 1), (20, 2), (30, 3), (40, 4)];
        assert_eq!([1, 2, 4].map(|segments| held(&layers, segments)), [100, 70 + 1 + 3, 40 + 1 + 2 + 3 + 4]);
    }
}
