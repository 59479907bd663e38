//! Floats of 16 bits on the host: rounding to them, to nearest even, and back, bit by bit as GPUs do it.

use super::dtype::DType;

/// A 16-bit float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// 5 bits of exponent, 10 of fraction.
    F16,
    /// 8 bits of exponent, 7 of fraction.
    Bf16,
}

/// The quiet NaN of all ones that GPUs give.
const NAN: u16 = 0x7fff;

impl Half {
    /// The nearest half, of two equally near the even one; infinity beyond the largest.
    pub fn round(self, x: f32) -> u16 {
        let bits = x.to_bits();
        match self {
            _ if x.is_nan() => NAN,
            // what is cut off carries if it is over a half, or a half and the rest is odd
            Self::Bf16 => ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16,
            Self::F16 => {
                let (sign, size) = ((bits >> 16 & 0x8000) as u16, bits & 0x7fff_ffff);
                let rounded = if size >= 0x4780_0000 {
                    0x7c00 // at least 65536
                } else if size < 0x3880_0000 {
                    // below the least normal number a half counts units of 2^-24, as does this sum, which rounds
                    (f32::from_bits(size) + 0.5).to_bits() - 0.5f32.to_bits()
                } else {
                    // the exponent counts from 15 in place of 127
                    (size - (112 << 23) + 0xfff + (size >> 13 & 1)) >> 13
                };
                sign | rounded as u16
            }
        }
    }

    /// The value of a half, exactly.
    pub fn widen(self, half: u16) -> f32 {
        let half = u32::from(half);
        match self {
            Self::Bf16 => f32::from_bits(half << 16),
            Self::F16 => {
                let (sign, size) = ((half & 0x8000) << 16, half & 0x7fff);
                let value = match size >> 10 {
                    0 => size as f32 / 16_777_216.0,
                    31 => f32::from_bits(0x7f80_0000 | size << 13),
                    _ => f32::from_bits((size << 13) + (112 << 23)),
                };
                f32::from_bits(value.to_bits() | sign)
            }
        }
    }
}

impl DType {
    /// The half that elements are; `None` for other types.
    pub fn half(self) -> Option<Half> {
        match self {
            Self::F16 => Some(Half::F16),
            Self::BF16 => Some(Half::Bf16),
            Self::F32 | Self::F64 | Self::U32 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every half is found again, and what lies between two neighbours goes to the nearer, or to the even one.
    #[test]
    fn every_half_and_what_lies_between() {
        for (half, last) in [(Half::F16, 0x7bff), (Half::Bf16, 0x7f7f)] {
            for bits in 0..=last {
                let x = half.widen(bits);
                assert_eq!(half.round(x), bits);
                assert_eq!(half.round(-x), bits | 0x8000);
                assert_eq!(half.widen(bits | 0x8000).to_bits(), (-x).to_bits());
                if bits < last {
                    let middle = ((f64::from(x) + f64::from(half.widen(bits + 1))) / 2.0) as f32;
                    assert_eq!(half.round(middle), bits + (bits & 1), "{half:?} {bits:x}");
                    assert_eq!(half.round(middle.next_down()), bits);
                    assert_eq!(half.round(middle.next_up()), bits + 1);
                }
            }
            let infinity = half.round(f32::INFINITY);
            assert_eq!(half.widen(infinity), f32::INFINITY);
            assert_eq!(half.round(f32::MAX), infinity);
            assert_eq!(half.round(half.widen(last).next_up()), last);
            assert!(half.widen(half.round(f32::NAN)).is_nan());
        }
        assert_eq!(Half::F16.round(65519.0), 0x7bff);
        assert_eq!(Half::F16.round(65520.0), 0x7c00);
    }
}
