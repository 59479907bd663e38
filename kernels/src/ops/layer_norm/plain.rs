//! The plain twin: the definition, position by position.

/// y, dx, dgain and dbias from x `[batch, channels, positions]`, gain, bias and the gradient of y, in `f64`.
pub fn all([batch, channels, positions]: [usize; 3], [x, gain, bias, g]: [&[f64]; 4]) -> [Vec<f64>; 4] {
    let n = channels as f64;
    let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let (mut dgain, mut dbias) = (vec![0.0; channels], vec![0.0; channels]);
    for item in 0..batch {
        for t in 0..positions {
            let at = |c: usize| (item * channels + c) * positions + t;
            let mean = (0..channels).map(|c| x[at(c)]).sum::<f64>() / n;
            let variance = (0..channels).map(|c| (x[at(c)] - mean).powi(2)).sum::<f64>() / n;
            let scale = 1.0 / (variance + 1e-5).sqrt();
            let h = |c: usize| (x[at(c)] - mean) * scale;
            let flat = (0..channels).map(|c| g[at(c)] * gain[c]).sum::<f64>() / n;
            let along = (0..channels).map(|c| g[at(c)] * gain[c] * h(c)).sum::<f64>() / n;
            for c in 0..channels {
                y[at(c)] = h(c) * gain[c] + bias[c];
                dx[at(c)] = scale * (g[at(c)] * gain[c] - flat - h(c) * along);
                dgain[c] += g[at(c)] * h(c);
                dbias[c] += g[at(c)];
            }
        }
    }
    [y, dx, dgain, dbias]
}
