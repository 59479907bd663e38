//! The distance of logarithms of amplitudes.

use super::instrument::DECADES;

/// Differences under this count by their square, larger ones by their size (Huber 1964): 4 dB.
const KNEE: f32 = 0.1;
/// The weight of a channel that is silent in both; full scale has 2 more.
const LEAST: f32 = 0.15;

/// Both distances of a batch, and the gradient of the first.
pub(in crate::model) struct Distance {
    /// The weighted mean of the smooth distances.
    pub(in crate::model) smooth: f64,
    /// The weighted mean of the differences, in natural logarithms of amplitudes.
    pub(in crate::model) nats: f64,
    /// With respect to `y`.
    pub(in crate::model) gradient: Vec<f32>,
}

/// Nats of one unit of a logarithm.
const NATS: f64 = DECADES as f64 * std::f64::consts::LN_10;
/// What a unit of the distance counts beside the commitment loss.
const SCALE: f32 = 10.0;

/// The distance of `y` to `x`, as a share of that of a batch of `of` numbers: what is loud in either counts more.
pub(in crate::model) fn distance([x, y]: [&[f32]; 2], of: usize) -> Distance {
    let share = 1.0 / of as f32;
    let (mut smooth, mut size, mut weights) = (0.0, 0.0, 0.0);
    let mut gradient = vec![0.0; x.len()];
    for ((x, y), g) in x.iter().zip(y).zip(&mut gradient) {
        let weight = LEAST + (x.max(*y) + 1.0).clamp(0.0, 2.0);
        let d = y - x;
        let cost = if d.abs() < KNEE { 0.5 * d * d / KNEE } else { d.abs() - 0.5 * KNEE };
        smooth += f64::from(weight * cost);
        size += f64::from(weight * d.abs());
        weights += f64::from(weight);
        *g = SCALE * share * weight * (d / KNEE).clamp(-1.0, 1.0);
    }
    let part = x.len() as f64 / of as f64;
    Distance { smooth: f64::from(SCALE) * smooth / of as f64, nats: NATS * part * size / weights.max(1e-12), gradient }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_is_that_of_finite_differences_with_the_weights_held() {
        let x: Vec<f32> = (0..50).map(|i| libm::sinf(i as f32)).collect();
        let y: Vec<f32> = (0..50).map(|i| libm::sinf(1.1 * i as f32) - 0.3).collect();
        let found = distance([&x, &y], 100);
        for at in [0, 7, 31, 49] {
            let weight = f64::from(LEAST + (x[at].max(y[at]) + 1.0).clamp(0.0, 2.0));
            let d = f64::from(y[at] - x[at]);
            let slope = if d.abs() < f64::from(KNEE) { d / f64::from(KNEE) } else { d.signum() };
            assert!((f64::from(found.gradient[at]) - 0.1 * weight * slope).abs() < 1e-6, "{at}");
        }
        // Half of a batch counts as half of it.
        let whole = distance([&x, &y], 50);
        assert!((whole.smooth - 2.0 * found.smooth).abs() < 1e-9 && (whole.nats - 2.0 * found.nats).abs() < 1e-9);
        let same = distance([&x, &x], 50);
        assert_eq!((same.smooth, same.nats), (0.0, 0.0));
    }
}
