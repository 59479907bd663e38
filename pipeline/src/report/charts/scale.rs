//! Axes: where the ticks go and what they say.

/// A map from values to places along an axis.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    from: f64,
    to: f64,
}

impl Scale {
    /// A linear axis that shows `low..=high` between the places `from` and `to`.
    pub(in crate::report) fn linear(low: f64, high: f64, from: f64, to: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, log: false, from, to }
    }

    /// A logarithmic one; `low` must be above 0.
    pub(in crate::report) fn log(low: f64, high: f64, from: f64, to: f64) -> Self {
        let high = if high > low { high } else { low * 10.0 };
        Self { low: libm::log10(low), high: libm::log10(high), log: true, from, to }
    }

    /// The place of a value, clamped to the axis.
    pub(in crate::report) fn place(&self, value: f64) -> f64 {
        let value = if self.log { libm::log10(value.max(f64::MIN_POSITIVE)) } else { value };
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    /// The values to fingerprint: at most about `most`, at 1, 2 or 5 times a power of ten.
    pub(in crate::report) fn ticks(&self, most: usize) -> Vec<f64> {
        if self.log { self.log_ticks(most) } else { linear_ticks(self.low, self.high, most) }
    }

    fn log_ticks(&self, most: usize) -> Vec<f64> {
        let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
        let within = |mantissas: &[f64], every: i32| -> Vec<f64> {
            (first..=last)
                .filter(|k| k.rem_euclid(every) == 0)
                .flat_map(|k| mantissas.iter().map(move |m| m * libm::pow(10.0, f64::from(k))))
                .filter(|v| (self.low - 1e-9..=self.high + 1e-9).contains(&libm::log10(*v)))
                .collect()
        };
        let fine = within(&[1.0, 2.0, 5.0], 1);
        if fine.len() <= most {
            return fine;
        }
        (1..=last - first + 1).map(|every| within(&[1.0], every)).find(|ticks| ticks.len() <= most).unwrap_or_default()
    }
}

/// Ticks at multiples of 1, 2 or 5 times a power of ten within `low..=high`.
fn linear_ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    let step = step(high - low, most);
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|k| k as f64 * step).collect()
}

/// The smallest of 1, 2 and 5 times a power of ten that cuts `span` into at most `most` parts.
pub(in crate::report) fn step(span: f64, most: usize) -> f64 {
    let least = (span / most.max(1) as f64).max(f64::MIN_POSITIVE);
    let power = libm::pow(10.0, libm::log10(least).floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * power >= least * (1.0 - 1e-9)).unwrap_or(10.0);
    factor * power
}

/// A value as a tick says it: `0.05`, `2k`, `1M`, `1e-5`.
pub(in crate::report) fn tick_label(value: f64) -> String {
    let trimmed = |v: f64, suffix: &str| {
        let text = format!("{v:.4}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        format!("{text}{suffix}").replace('-', "\u{2212}")
    };
    match value.abs() {
        a if a < 1e-12 => "0".to_owned(),
        a if a >= 0.999_999e6 => trimmed(value / 1e6, "M"),
        a if a >= 0.999_999e4 => trimmed(value / 1e3, "k"),
        a if a >= 0.999_999e-3 => trimmed(value, ""),
        _ => {
            let text = format!("{value:.1e}").replace(".0e", "e");
            text.replace('-', "\u{2212}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(Scale::linear(0.0, 2048.0, 0.0, 1.0).ticks(5), [0.0, 500.0, 1000.0, 1500.0, 2000.0]);
        let labels = |scale: Scale, most| -> Vec<String> { scale.ticks(most).into_iter().map(tick_label).collect() };
        assert_eq!(labels(Scale::linear(0.1, 0.35, 0.0, 1.0), 4), ["0.1", "0.2", "0.3"]);
        assert_eq!(labels(Scale::log(0.0007, 0.4, 0.0, 1.0), 5), ["0.001", "0.01", "0.1"]);
        assert_eq!(labels(Scale::log(0.8, 12.0, 0.0, 1.0), 5), ["1", "2", "5", "10"]);
        assert_eq!(
            labels(Scale::log(1e-9, 1.0, 0.0, 1.0), 5),
            ["1e\u{2212}8", "1e\u{2212}6", "1e\u{2212}4", "0.01", "1"]
        );
        assert_eq!(labels(Scale::linear(0.0, 40_000.0, 0.0, 1.0), 4), ["0", "10k", "20k", "30k", "40k"]);
    }

    #[test]
    fn places_run_from_end_to_end_and_stay_inside() {
        let axis = Scale::log(1.0, 100.0, 200.0, 0.0);
        assert!((axis.place(10.0) - 100.0).abs() < 1e-9);
        assert_eq!(axis.place(0.0), 200.0);
        assert_eq!(axis.place(1e9), 0.0);
        assert_eq!(Scale::linear(3.0, 3.0, 0.0, 10.0).place(3.0), 0.0);
    }
}
