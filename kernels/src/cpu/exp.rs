//! The exponential function of the networks, in plain arithmetic that compilers vectorise.
//!
//! Fused multiply-adds and integer shifts only, so that every host computes the same bits, in a loop over floats
//! several at a time. Cody and Waite's reduction by multiples of ln 2, then Cephes's polynomial (Moshier 1992).

/// `e^x` within one unit in the last place; 0 below -87.3, where floats would lose precision, and `e^88.37` above
/// that. A NaN stays.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // the least x whose result is a normal float, and the last before the exponent overflows
    const LOW: f32 = -87.336_54;
    const HIGH: f32 = 88.37;
    // added, it leaves a whole number with the bias of the exponent in the last bits
    const ROUND: f32 = 12_582_912.0 + 127.0;
    let c = if x > HIGH { HIGH } else { x };
    let c = if c < LOW { LOW } else { c };
    let shifted = c.mul_add(core::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts: the product with the first is exact
    let r = n.mul_add(-355.0 / 512.0, c);
    let r = n.mul_add(2.121_944_4e-4, r);
    let p = 1.987_569_1e-4f32;
    let p = p.mul_add(r, 1.398_199_9e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1);
    let p = p.mul_add(r, 0.5);
    let y = (p.mul_add(r * r, r) + 1.0) * f32::from_bits(shifted.to_bits() << 23);
    if x < LOW { 0.0 } else { y }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::{exp, sigmoid};

    /// Distance from the exact value in units in the last place of its float.
    fn ulps(x: f32) -> f64 {
        let exact = libm::exp(f64::from(x));
        let unit = f64::from(f32::from_bits((exact as f32).to_bits() + 1)) - f64::from(exact as f32);
        (f64::from(exp(x)) - exact).abs() / unit
    }

    #[test]
    fn is_within_one_unit_of_the_last_place() {
        let mut worst = 0.0f64;
        for sign in [0u32, 1 << 31] {
            for bits in (0..0x42ae_0000u32).step_by(977) {
                let x = f32::from_bits(sign | bits);
                worst = worst.max(ulps(x));
                let host = libm::expf(x);
                assert!((exp(x) - host).abs() <= host * 1.3e-7, "{x}: {} and {host}", exp(x));
            }
        }
        println!("worst: {worst:.3} units in the last place");
        assert!(worst < 1.0, "{worst}");
    }

    #[test]
    fn ends_are_defined() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!([exp(f32::NEG_INFINITY), exp(-1e30), exp(-88.0)], [0.0; 3]);
        assert!(exp(-87.3) > 0.0 && exp(89.0) == exp(f32::INFINITY) && exp(89.0) > 2e38 && exp(89.0).is_finite());
        assert!(exp(f32::NAN).is_nan() && exp(f32::from_bits(0x7f81_2345)).is_nan() && exp(-f32::NAN).is_nan());
        assert_eq!([sigmoid(0.0), sigmoid(1e5)], [0.5, 1.0]);
        assert!(sigmoid(-1e5) < 1e-38);
    }
}
