//! Figures of an evaluation, with all that must be alike before two of them are compared.

use crate::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{cmp::Ordering, fmt};

/// A real number as part of a row: equal by its bits, ordered by [`f64::total_cmp`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Real(u64);

impl Real {
    /// The number.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl From<f64> for Real {
    fn from(value: f64) -> Real {
        Real(value.to_bits())
    }
}

impl Ord for Real {
    fn cmp(&self, other: &Real) -> Ordering {
        self.get().total_cmp(&other.get())
    }
}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Real) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A number where people read it, `null` in JSON where it is none; its bits where they do not.
impl Serialize for Real {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.serialize_f64(self.get()) } else { to.serialize_u64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Real, D::Error> {
        if from.is_human_readable() {
            Option::<f64>::deserialize(from).map(|value| Real::from(value.unwrap_or(f64::NAN)))
        } else {
            u64::deserialize(from).map(Real)
        }
    }
}

impl fmt::Debug for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.get())
    }
}

row! {
    /// One figure of an evaluation.
    pub struct Metric {
        /// Name of the metric, such as [`FAD`](Metric::FAD).
        pub metric: String,
        /// Version of the metric, raised when the same inputs would give another figure.
        pub version: u32,
        /// Subject of the measurement: `songs`, `held out`, `reconstruction`, `unigram codes`, `white noise`, ...
        pub subject: String,
        /// The level of the codec that it is about, 0 at the bottom.
        pub level: Option<u32>,
        /// The figure.
        pub value: Real,
        /// The interval that covers the figure with a probability of 95 %, over songs or over subsets; `None` of a
        /// figure that comes without one.
        #[serde(default)]
        pub interval: Option<[Real; 2]>,
        /// The embedding that turned sound into vectors; `None` for metrics that use no vectors.
        pub embedding: Option<Embedding>,
        /// Frames of sound per second, as measured.
        pub rate: u32,
        /// The set that was measured.
        pub candidate: Measured,
        /// The set that it was measured against.
        pub reference: Measured,
    }

    /// Name and version of an embedding: a map from sound to vectors.
    pub struct Embedding {
        /// Name of the embedding.
        pub name: String,
        /// Version of the embedding, raised when the same sound would give other vectors.
        pub version: u32,
    }

    /// A set of clips as a metric saw it.
    pub struct Measured {
        /// Number of clips, songs or files.
        pub clips: u64,
        /// Number of items that the figure is a statistic of: the embedding's vectors, spectra, or codes.
        pub frames: u64,
        /// Digest of what they hold.
        pub digest: Digest,
    }
}

impl Metric {
    /// Fréchet audio distance between Gaussians fitted to vectors; fewer is closer.
    pub const FAD: &'static str = "fad";
    /// The Fréchet distance extrapolated to infinitely many vectors; fewer is closer.
    pub const FAD_INFINITY: &'static str = "fad-infinity";
    /// Kernel audio distance: 100 times the squared maximum mean discrepancy; fewer is closer.
    pub const KAD: &'static str = "kad";
    /// MAUVE audio divergence; fewer is closer.
    pub const MAD: &'static str = "mad";
    /// The share of the candidate's vectors that lie within the reference.
    pub const PRECISION: &'static str = "precision";
    /// The share of the reference's vectors that lie within the candidate.
    pub const RECALL: &'static str = "recall";
    /// Signal-to-noise ratio of a reconstruction in dB; more is closer.
    pub const SNR: &'static str = "snr";
    /// Multi-resolution STFT distance of a reconstruction; fewer is closer.
    pub const STFT: &'static str = "stft";
    /// Mean squared difference of STFT magnitudes; fewer is closer.
    pub const SPECTRAL_MSE: &'static str = "spectral-mse";
    /// Mean absolute difference of log-mel spectra; fewer is closer.
    pub const LOG_MEL: &'static str = "log-mel";
    /// Cross entropy of a model in bits per code; fewer is better.
    pub const BITS: &'static str = "bits-per-code";
    /// The share of the time in which there is sound.
    pub const SOUNDING: &'static str = "sounding";
    /// Onsets of notes a second.
    pub const ONSETS: &'static str = "onsets";
    /// How alike the onsets are to themselves a beat later; 1 is a machine's beat.
    pub const PULSE: &'static str = "pulse";
    /// The share of the energy in the strongest frequencies; more has clearer pitches.
    pub const SALIENCE: &'static str = "salience";

    /// Id of the figure within its stage: `metric/subject`, with `/level` if it is about one.
    pub fn id(&self) -> String {
        let level = self.level.map(|level| format!("/{level}")).unwrap_or_default();
        format!("{}/{}{level}", self.metric, self.subject)
    }

    /// Whether two figures may be compared: measured in one way, against one reference, on equally much. Subjects,
    /// levels and what the candidates hold may differ: that is what is compared.
    ///
    /// # Errors
    /// All that differs, as a sentence.
    pub fn comparable(&self, other: &Metric) -> Result<(), String> {
        let version = |name: &str, version: u32| format!("{name} version {version}");
        let embedding = |metric: &Metric| match &metric.embedding {
            Some(embedding) => version(&embedding.name, embedding.version),
            None => "no embedding".to_owned(),
        };
        let size = |of: &Measured| format!("{} clips with {} frames", of.clips, of.frames);
        let facts = |metric: &Metric| {
            [
                version(&metric.metric, metric.version),
                embedding(metric),
                format!("{} Hz", metric.rate),
                size(&metric.candidate),
                format!("{} as reference {}", size(&metric.reference), metric.reference.digest.short(12)),
            ]
        };
        let differ: Vec<String> = facts(self)
            .iter()
            .zip(facts(other))
            .filter(|(own, other)| *own != other)
            .map(|(own, other)| format!("{own} against {other}"))
            .collect();
        if differ.is_empty() { Ok(()) } else { Err(format!("these do not compare: {}", differ.join("; "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(clips: u64, of: &str) -> Measured {
        Measured { clips, frames: clips * 6, digest: Digest::of(of.as_bytes()) }
    }

    fn songs() -> Metric {
        Metric {
            metric: Metric::FAD.into(),
            version: 1,
            subject: "songs".into(),
            level: None,
            value: 3.5.into(),
            interval: Some([2.5.into(), 4.75.into()]),
            embedding: Some(Embedding { name: "bands".into(), version: 1 }),
            rate: 16_000,
            candidate: measured(16, "songs"),
            reference: measured(60, "train"),
        }
    }

    #[test]
    fn reals_are_ordered_like_numbers_and_equal_by_their_bits() {
        let mut reals = [2.0, -1.0, f64::INFINITY, 0.0, -0.0, 1e-300].map(Real::from);
        reals.sort();
        assert_eq!(reals.map(Real::get), [-1.0, -0.0, 0.0, 1e-300, 2.0, f64::INFINITY]);
        assert_ne!(Real::from(0.0), Real::from(-0.0));
        assert_eq!(Real::from(f64::NAN), Real::from(f64::NAN));
        let json = serde_json::to_string(&songs()).expect("JSON");
        assert!(json.contains(r#""value":3.5,"#), "{json}");
        assert_eq!(serde_json::from_str::<Metric>(&json).expect("a metric"), songs());
        let packed = postcard::to_stdvec(&songs()).expect("bytes");
        assert_eq!(postcard::from_bytes::<Metric>(&packed).expect("a metric"), songs());
    }

    #[test]
    fn what_was_measured_alike_compares() {
        let other = Metric {
            subject: "white noise".into(),
            level: Some(0),
            value: 90.0.into(),
            candidate: measured(16, "noise"),
            ..songs()
        };
        assert_eq!(songs().comparable(&other), Ok(()));
        assert_ne!(songs().id(), other.id());
    }

    #[test]
    fn what_was_measured_otherwise_does_not() {
        let embedding = |name: &str, version| Some(Embedding { name: name.into(), version });
        let others = [
            (Metric { metric: "kad".into(), ..songs() }, "fad version 1 against kad version 1"),
            (Metric { version: 2, ..songs() }, "fad version 1 against fad version 2"),
            (Metric { embedding: embedding("bands", 2), ..songs() }, "bands version 1 against bands version 2"),
            (Metric { embedding: None, ..songs() }, "bands version 1 against no embedding"),
            (Metric { rate: 44_100, ..songs() }, "16000 Hz against 44100 Hz"),
            (
                Metric { candidate: measured(15, "songs"), ..songs() },
                "16 clips with 96 frames against 15 clips with 90 frames",
            ),
            (Metric { reference: measured(60, "other"), ..songs() }, "as reference"),
        ];
        for (other, why) in others {
            let said = songs().comparable(&other).expect_err(why);
            assert!(said.contains(why), "{said}");
            assert!(other.comparable(&songs()).is_err());
        }
        let far = Metric { rate: 8000, version: 3, ..songs() };
        let said = songs().comparable(&far).expect_err("two differences");
        assert_eq!(
            said, "these do not compare: fad version 1 against fad version 3; 16000 Hz against 8000 Hz",
            "all that differs is said"
        );
    }
}
