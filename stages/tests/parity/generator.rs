//! The generator of the samples, which has the same bits in any language.

use stages::metric::draws::Draws;

/// Sums of four uniforms, of unit variance.
pub fn normals(seed: u64, n: usize) -> Vec<f64> {
    let mut draws = Draws::new(seed);
    let mut u = || draws.uniform();
    (0..n).map(|_| (((u() + u()) + u()) + u() - 2.0) * 1.732_050_807_568_877_2).collect()
}

/// `[n, d]`: each column is a normal one and a share of the next, scaled and moved, rounded to f32.
pub fn sample(
    seed: u64,
    [n, d]: [usize; 2],
    scale: &dyn Fn(usize) -> f64,
    mean: &dyn Fn(usize) -> f64,
    mix: f64,
) -> Vec<f64> {
    let normals = normals(seed, n * d);
    let z = |i: usize, j: usize| normals[i * d + j];
    (0..n)
        .flat_map(|i| (0..d).map(move |j| (i, j)))
        .map(|(i, j)| f64::from((mean(j) + scale(j) * (z(i, j) + mix * z(i, (j + 1) % d))) as f32))
        .collect()
}

/// The scale of each column of a kind of sample.
pub fn scale(kind: &str, d: usize) -> impl Fn(usize) -> f64 {
    let kind = kind.to_owned();
    move |j| match kind.as_str() {
        "ill" => 0.5f64.powi((j % 32) as i32),
        "rankdef" if j >= d / 2 => 0.0,
        _ => 1.0 / (1.0 + (j % 4) as f64),
    }
}
