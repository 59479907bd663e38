//! Which instruction set runs: found at run time, handed to every kernel by the device.

/// The instruction sets that have code of their own. Outside of this crate one comes from [`Level::detect`] alone, so
/// that whoever holds a level may run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Plain arrays of floats, for the compiler to vectorise.
    Portable,
    /// Two 256-bit registers.
    #[cfg(target_arch = "x86_64")]
    #[non_exhaustive]
    Avx2,
    /// One 512-bit register.
    #[cfg(target_arch = "x86_64")]
    #[non_exhaustive]
    Avx512,
}

impl Level {
    /// The widest set this CPU has.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// Every set this CPU can run, for tests that compare them.
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self::Avx2);
            }
            if Self::detect() == Self::Avx512 {
                all.push(Self::Avx512);
            }
        }
        all
    }
}
