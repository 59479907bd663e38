//! The plain twin: the definition, position by position.

/// Nats of the codes `[items, positions]` under logits `[items, codewords, positions]`, summed over the positions
/// `live.0..live.1` of each item, and the gradient of `share` times that, in `f64`.
pub fn cross_entropy(
    logits: &[f64],
    codewords: usize,
    codes: &[u32],
    live: &[(u32, u32)],
    share: f64,
) -> (f64, Vec<f64>) {
    let positions = codes.len() / live.len().max(1);
    let (mut nats, mut gradient) = (0.0, vec![0.0; logits.len()]);
    for (item, live) in live.iter().enumerate() {
        for at in (live.0 as usize)..(live.1 as usize) {
            let place = |code: usize| (item * codewords + code) * positions + at;
            let sum: f64 = (0..codewords).map(|code| logits[place(code)].exp()).sum();
            let own = codes[item * positions + at] as usize;
            nats += sum.ln() - logits[place(own)];
            for code in 0..codewords {
                gradient[place(code)] = share * (logits[place(code)].exp() / sum - f64::from(u8::from(code == own)));
            }
        }
    }
    (nats, gradient)
}
