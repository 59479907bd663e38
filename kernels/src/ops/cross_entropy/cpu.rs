//! Cross-entropy on the CPU: strips of positions, each read three times while it is in cache.

use rayon::prelude::*;

use crate::cpu::exp::exp;
use crate::cpu::simd::LANES;
use crate::cpu::tile::Shared;
use crate::tensor::Shape;

/// Positions that are summed side by side: few enough for all their logits to stay in the second-level cache.
const STRIP: usize = 2 * LANES;

/// Replaces logits by the gradient of `share` times their cross-entropy with the codes `[items, positions]`, summed over the
/// positions `live[2 i]..live[2 i + 1]` of each item; returns that sum, in nats, unscaled: strip by strip, in their order.
pub(super) fn cross_entropy(
    logits: &mut [f32],
    [items, codewords, positions]: Shape,
    [codes, live]: [&[u32]; 2],
    share: f32,
) -> f64 {
    assert!(live.len() == 2 * items && codes.len() == items * positions, "cross_entropy: codes of {items} items");
    assert_eq!(logits.len(), codes.len() * codewords, "cross_entropy: logits and codes");
    assert!(codes.iter().all(|c| (*c as usize) < codewords), "cross_entropy: a code of {codewords} or more");
    let strips = positions.div_ceil(STRIP);
    let at = Shared::new(logits);
    let nats = (0..items * strips).into_par_iter().map(|i| {
        let (item, first) = (i / strips, i % strips * STRIP);
        let n = STRIP.min(positions - first);
        let codes = &codes[item * positions + first..][..n];
        let live = (live[2 * item] as usize, live[2 * item + 1] as usize);
        // SAFETY: the offset is within the logits; the strips of an item share no position.
        unsafe {
            let at = at.from(item * codewords * positions + first);
            strip(at, positions, codewords, codes, live, first, share)
        }
    });
    nats.collect::<Vec<f64>>().iter().sum()
}

/// One strip of positions of one item, from its first logit on.
///
/// # Safety
/// `codes.len()` floats in each of `codewords` rows, `row` floats apart, are this thread's own.
unsafe fn strip(
    at: Shared,
    row: usize,
    codewords: usize,
    codes: &[u32],
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
        own[i] = logits(*code as usize)[i] - most[i];
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
        logits(*code as usize)[i] -= share;
    }
    nats
}
