//! Special functions of statistics: normal, Student, chi-squared, F and binomial probabilities, and their quantiles.
//!
//! Over `libm`, so that every machine finds the same bits. Continued fractions and series as in the Digital Library of
//! Mathematical Functions (DLMF) and in Press and others, Numerical Recipes, chapter 6.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Terms of a series or continued fraction at most; a few dozen are usual.
const TERMS: usize = 10_000;
/// Smallest divisor of Lentz's method, which stands for zero.
const TINY: f64 = 1e-300;

/// Probability that a standard normal variable is at most `z`.
pub fn normal(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// The `z` below which a standard normal variable lies with this probability; infinite at 0 and 1.
pub fn normal_quantile(probability: f64) -> f64 {
    if probability > 0.5 {
        return -normal_quantile(1.0 - probability);
    }
    if probability <= 0.0 {
        return f64::NEG_INFINITY;
    }
    // A start within a few thousandths (Abramowitz and Stegun 26.2.23), then Newton's method on the logarithm.
    let t = libm::sqrt(-2.0 * libm::log(probability));
    let top = 2.515517 + t * (0.802853 + t * 0.010328);
    let mut z = top / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t;
    for _ in 0..20 {
        let below = normal(z);
        let density = libm::exp(-0.5 * z * z) / (SQRT_2 * libm::sqrt(std::f64::consts::PI));
        let step = below * libm::log(below / probability) / density;
        z -= step;
        if step.abs() <= 1e-15 * z.abs() {
            break;
        }
    }
    z
}

/// Sum of a continued fraction by Lentz's method as Thompson and Barnett changed it (1986): `first` and then what
/// `next` gives, pairs of numerator and denominator. Panics never; stops where a factor is 1.
fn lentz(first: f64, mut next: impl FnMut(usize) -> (f64, f64)) -> f64 {
    let safe = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut value = safe(first);
    let (mut c, mut d) = (value, 0.0);
    for i in 1..TERMS {
        let (top, bottom) = next(i);
        d = 1.0 / safe(bottom + top * d);
        c = safe(bottom + top / c);
        let factor = c * d;
        value *= factor;
        if (factor - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    value
}

/// The regularised incomplete beta function `I_x(a, b)` (DLMF 8.17.22), for positive `a` and `b` and `x` in [0, 1].
pub fn beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    // The fraction converges quickly below the mean.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_below(b, a, 1.0 - x, libm::log(x));
    }
    beta_below(a, b, x, libm::log1p(-x))
}

/// `1 - I_x(a, b)`, without the cancellation of that difference.
pub fn beta_above(a: f64, b: f64, x: f64) -> f64 {
    beta(b, a, 1.0 - x)
}

/// The fraction of [`beta`], with `ln (1 - x)` from where it is exact.
fn beta_below(a: f64, b: f64, x: f64, log_rest: f64) -> f64 {
    let scale = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b);
    let front = libm::exp(scale + a * libm::log(x) + b * log_rest) / a;
    let fraction = lentz(1.0, |i| {
        let (m, whole) = ((i / 2) as f64, a + 2.0 * (i / 2) as f64);
        let top = match i % 2 {
            0 => m * (b - m) * x / ((whole - 1.0) * whole),
            _ => -(a + m) * (a + b + m) * x / (whole * (whole + 1.0)),
        };
        (top, 1.0)
    });
    front / fraction
}

/// The `x` at which `I_x(a, b)` is this probability, by bisection.
pub fn beta_quantile(a: f64, b: f64, probability: f64) -> f64 {
    bisect(0.0, 1.0, |x| beta(a, b, x) < probability)
}

/// The place in `low..high` at which `below` turns from true to false, to the last bit.
pub fn bisect(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..1100 {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low + (high - low) / 2.0
}

/// The upper regularised incomplete gamma function `Q(a, x)` (DLMF 8.11.4 and 8.9.2), for positive `a` and `x` from 0.
pub fn gamma_above(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let front = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for i in 1..TERMS {
            term *= x / (a + i as f64);
            sum += term;
            if term <= f64::EPSILON * sum {
                break;
            }
        }
        return 1.0 - front * sum;
    }
    let fraction = lentz(x + 1.0 - a, |i| {
        let i = i as f64;
        (-i * (i - a), x + 2.0 * i + 1.0 - a)
    });
    front / fraction
}

/// Probability that a chi-squared variable of `degrees` exceeds `value`.
pub fn chi_squared_above(value: f64, degrees: f64) -> f64 {
    gamma_above(degrees / 2.0, value / 2.0)
}

/// Probability that a variable of the F distribution with `top` and `bottom` degrees of freedom exceeds `value`.
pub fn f_above(value: f64, top: f64, bottom: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    beta(bottom / 2.0, top / 2.0, bottom / (bottom + top * value))
}

/// Probability that Student's t with `degrees` of freedom is further from 0 than `t`, on either side.
pub fn student_beyond(t: f64, degrees: f64) -> f64 {
    beta(degrees / 2.0, 0.5, degrees / (degrees + t * t))
}

/// The `t` between whose negative and which Student's t with `degrees` of freedom lies with this probability.
pub fn student_within(probability: f64, degrees: f64) -> f64 {
    let x = beta_quantile(degrees / 2.0, 0.5, 1.0 - probability);
    libm::sqrt(degrees * (1.0 - x) / x)
}

/// Probability of at least `k` successes in `n` trials of probability `p`.
pub fn binomial_at_least(n: u64, k: u64, p: f64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    if k > n {
        return 0.0;
    }
    beta(k as f64, (n - k + 1) as f64, p)
}

/// Probability of exactly `k` successes in `n` trials of probability `p`, which is neither 0 nor 1.
pub fn binomial(n: u64, k: u64, p: f64) -> f64 {
    if k > n {
        return 0.0;
    }
    let (n, k) = (n as f64, k as f64);
    let ways = libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
    libm::exp(ways + k * libm::log(p) + (n - k) * libm::log1p(-p))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-12, "{found} for {expected}");
    }

    #[test]
    fn known_values() {
        // Closed forms: I_x(1, b) = 1 - (1 - x)^b, I_x(a, 1) = x^a, I_x(1/2, 1/2) = 2/π asin √x, Q(1, x) = e^-x.
        for x in [0.01, 0.3, 0.5, 0.77, 0.999] {
            near(beta(1.0, 7.5, x), 1.0 - libm::pow(1.0 - x, 7.5));
            near(beta(4.25, 1.0, x), libm::pow(x, 4.25));
            near(beta(0.5, 0.5, x), std::f64::consts::FRAC_2_PI * libm::asin(libm::sqrt(x)));
            near(beta_above(3.0, 1.0, x), 1.0 - x * x * x);
            near(gamma_above(1.0, 20.0 * x), libm::exp(-20.0 * x));
            near(chi_squared_above(x, 1.0), libm::erfc(libm::sqrt(x / 2.0)));
        }
        assert_eq!((beta(2.0, 3.0, 0.0), beta(2.0, 3.0, 1.0), gamma_above(2.0, 0.0)), (0.0, 1.0, 1.0));
    }

    #[test]
    fn quantiles_turn_probabilities_back() {
        for p in [1e-12, 0.001, 0.025, 0.3, 0.5, 0.975, 0.999_999] {
            near(normal(normal_quantile(p)), p);
            near(beta(13.0, 4.0, beta_quantile(13.0, 4.0, p)), p);
        }
        near(normal_quantile(0.975), 1.959_963_984_540_054);
        assert!(normal_quantile(0.5).abs() < 1e-15);
        assert_eq!((normal_quantile(0.0), normal_quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
        // One degree of freedom is Cauchy's distribution; many are the normal one.
        near(student_within(0.95, 1.0), libm::tan(std::f64::consts::FRAC_PI_2 * 0.95));
        near(student_within(0.95, 23.0), 2.068_657_610_419_05);
        near(student_beyond(2.068_657_610_419_05, 23.0), 0.05);
        near(f_above(2.5 * 2.5, 1.0, 13.0), student_beyond(2.5, 13.0));
    }

    #[test]
    fn binomial_tails_are_sums() {
        for (n, p) in [(1, 0.5), (16, 0.5), (37, 0.7), (200, 0.03)] {
            let mut tail = 0.0;
            for k in (0..=n).rev() {
                tail += binomial(n, k, p);
                assert!((binomial_at_least(n, k, p) - tail).abs() < 1e-12, "{n} {k}");
            }
        }
        near(binomial_at_least(16, 12, 0.5), 2517.0 / 65536.0);
        assert_eq!((binomial_at_least(4, 5, 0.5), binomial(4, 5, 0.5)), (0.0, 0.0));
    }
}
