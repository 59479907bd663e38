//! Training curves for the page.

/// Points of a training curve on the page.
const POINTS: usize = 400;

/// Thins a curve to as many points as a page needs.
pub(crate) fn thin<P>(points: &mut Vec<P>) {
    let every = points.len().div_ceil(POINTS).max(1);
    let last = points.len().saturating_sub(1);
    let mut index = 0;
    points.retain(|_| {
        let keep = index % every == 0 || index == last;
        index += 1;
        keep
    });
}
