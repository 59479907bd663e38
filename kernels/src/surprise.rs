//! Cross-entropy of codes under logits, in nats, and its gradient, in place.

use rayon::prelude::*;

use crate::exp::exp;
use crate::gather::Shared;
use crate::simd::LANES;

/// Positions that are summed side by side: few enough for all their logits to stay in the second-level cache.
const STRIP: usize = 2 * LANES;

/// Replaces logits `[items, codewords, positions]` by the gradient of `share` times their cross-entropy with the codes
/// `[items, positions]`, summed over the positions `live.0..live.1` of each item; returns that sum, in nats, unscaled.
/// Where a position does not count the gradient is 0.
///
/// # Panics
/// If the lengths do not fit each other, or a code is not below `codewords`.
pub fn cross_entropy(logits: &mut [f32], codewords: usize, codes: &[u16], live: &[(usize, usize)], share: f32) -> f64 {
    let (items, positions) = (live.len(), codes.len() / live.len().max(1));
    assert_eq!(codes.len(), items * positions, "cross_entropy: codes of {items} items");
    assert_eq!(logits.len(), codes.len() * codewords, "cross_entropy: logits and codes");
    assert!(codes.iter().all(|c| usize::from(*c) < codewords), "cross_entropy: a code of {codewords} or more");
    let (strips, at) = (positions.div_ceil(STRIP), Shared(logits.as_mut_ptr()));
    let nats: Vec<f64> = (0..items * strips)
        .into_par_iter()
        .map(|i| {
            let (item, first) = (i / strips, i % strips * STRIP);
            let n = STRIP.min(positions - first);
            let codes = &codes[item * positions + first..][..n];
            // SAFETY: the offset is within the logits; the strips of an item share no position.
            unsafe {
                let at = Shared(at.at(item * codewords * positions + first));
                strip(at, positions, codewords, codes, live[item], first, share)
            }
        })
        .collect();
    nats.iter().sum()
}

/// One strip of positions of one item, from its first logit on.
///
/// # Safety
/// `codes.len()` floats in each of `codewords` rows, `row` floats apart, are this thread's own.
unsafe fn strip(
    at: Shared,
    row: usize,
    codewords: usize,
    codes: &[u16],
    live: (usize, usize),
    first: usize,
    share: f32,
) -> f64 {
    let n = codes.len();
    // SAFETY: the caller's; the slices of two calls do not live at once.
    let logits = |code: usize| unsafe { core::slice::from_raw_parts_mut(at.at(code * row), n) };
    let (mut most, mut sums) = ([f32::NEG_INFINITY; STRIP], [0.0f32; STRIP]);
    for code in 0..codewords {
        for (most, v) in most.iter_mut().zip(&*logits(code)) {
            *most = if *v > *most { *v } else { *most };
        }
    }
    let mut own = [0.0f32; STRIP];
    for (i, code) in codes.iter().enumerate() {
        own[i] = logits(usize::from(*code))[i] - most[i];
    }
    for code in 0..codewords {
        for ((v, most), sum) in logits(code).iter_mut().zip(&most).zip(&mut sums) {
            *v = exp(*v - most);
            *sum += *v;
        }
    }
    let (mut scale, mut nats) = ([0.0f32; STRIP], 0.0);
    let counts = |i: usize| (live.0..live.1).contains(&(first + i));
    for i in (0..n).filter(|i| counts(*i)) {
        nats += f64::from(libm::logf(sums[i])) - f64::from(own[i]);
        scale[i] = share / sums[i];
    }
    for code in 0..codewords {
        logits(code).iter_mut().zip(&scale).for_each(|(v, scale)| *v *= scale);
    }
    for (i, code) in codes.iter().enumerate().filter(|(i, _)| counts(*i)) {
        logits(usize::from(*code))[i] -= share;
    }
    nats
}

#[cfg(test)]
mod tests {
    use super::cross_entropy;

    #[test]
    fn is_its_definition() {
        let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 21) as f32 - 4.0;
        for (items, codewords, positions) in [(1, 1, 1), (2, 5, 31), (1, 40, 33), (3, 17, 70)] {
            let logits: Vec<f32> = (0..items * codewords * positions).map(value).collect();
            let codes: Vec<u16> = (0..items * positions).map(|i| (i * 7 % codewords) as u16).collect();
            let live: Vec<(usize, usize)> = (0..items).map(|i| (i.min(positions), positions - i % 2)).collect();
            let mut got = logits.clone();
            let nats = cross_entropy(&mut got, codewords, &codes, &live, 0.25);
            let mut exact = 0.0;
            for item in 0..items {
                for at in 0..positions {
                    let logit = |code: usize| f64::from(logits[(item * codewords + code) * positions + at]);
                    let sum: f64 = (0..codewords).map(|code| logit(code).exp()).sum();
                    let own = usize::from(codes[item * positions + at]);
                    let counts = (live[item].0..live[item].1).contains(&at);
                    if counts {
                        exact += sum.ln() - logit(own);
                    }
                    for code in 0..codewords {
                        let hit = if code == own { 1.0 } else { 0.0 };
                        let want = if counts { 0.25 * (logit(code).exp() / sum - hit) } else { 0.0 };
                        let got = f64::from(got[(item * codewords + code) * positions + at]);
                        assert!((got - want).abs() < 1e-7, "{code} at {at} of {item}: {got} and {want}");
                    }
                }
            }
            assert!((nats - exact).abs() < 1e-5 * (1.0 + exact), "{nats} and {exact}");
        }
    }
}
