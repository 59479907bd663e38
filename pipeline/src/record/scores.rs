//! The scores of a run, and of a sweep as one table: a row for each point, a column for each score, over the `seed`
//! axis a mean with its deviation. Scores that were not measured on the same thing are never set side by side without
//! saying so.

use crate::{plan::PlannedStage, record::ordered::by_name};
use datasets::row::{Measured, Metric, Prior};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Basis of a score, by name: the data and the settings that it was measured with. Scores of equal bases compare.
pub type Basis = BTreeMap<String, String>;

/// One figure that a stage gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Basis of the score: the data and the settings that it was measured with.
    pub basis: Basis,
    /// The full metric. `None` if the stage is no evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "by_name")]
    pub metric: Option<Metric>,
    /// Name of the score, such as `held_out_bits`.
    pub name: String,
    /// The stage's name in the plan.
    pub stage: String,
    /// The figure. JSON's reader may miss its last bit.
    #[serde(deserialize_with = "figure")]
    pub value: f64,
}

/// Reads a figure; JSON has no other way to write one that is no number than `null`.
fn figure<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Option::deserialize(from).map(|value| value.unwrap_or(f64::NAN))
}

/// Bits per code of a prior.
pub(crate) fn bits(stage: &PlannedStage, prior: &Prior) -> Vec<Score> {
    let score = |name: &str, millionths: u64, on: &Measured| Score {
        stage: stage.name.clone(),
        name: name.to_owned(),
        value: millionths as f64 / 1e6,
        basis: basis([
            ("codec", prior.codec.short(12)),
            ("level", prior.level.to_string()),
            ("codes", format!("{} in {} clips, {}", on.frames, on.clips, on.digest.short(12))),
        ]),
        metric: None,
    };
    let bits = &prior.bits;
    let held_out = bits.held_out.map(|held_out| score("held_out_bits", held_out, &bits.on_held_out));
    std::iter::once(score("train_bits", bits.train, &bits.on_train)).chain(held_out).collect()
}

/// A figure of an evaluation, with all that [`Metric::comparable`] asks to be alike.
pub(crate) fn measured(stage: &PlannedStage, metric: &Metric) -> Score {
    let version = |name: &str, version: u32| format!("{name} version {version}");
    let size = |of: &Measured| format!("{} clips with {} frames", of.clips, of.frames);
    let embedding = metric.embedding.as_ref().map(|embedding| version(&embedding.name, embedding.version));
    Score {
        stage: stage.name.clone(),
        name: metric.id(),
        value: metric.value.get(),
        basis: basis([
            ("metric", version(&metric.metric, metric.version)),
            ("embedding", embedding.unwrap_or_else(|| "none".to_owned())),
            ("rate", format!("{} Hz", metric.rate)),
            ("measured", size(&metric.candidate)),
            ("reference", format!("{}, {}", size(&metric.reference), metric.reference.digest.short(12))),
        ]),
        metric: Some(metric.clone()),
    }
}

pub(crate) fn basis<const N: usize>(facts: [(&str, String); N]) -> Basis {
    facts.map(|(fact, value)| (fact.to_owned(), value)).into()
}

pub(crate) const SEED: &str = "seed";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sweep_table::{Cell, Results, Row};
    use datasets::Digest;

    fn on(codec: &str) -> Basis {
        basis([("codec", codec.to_owned()), ("level", "0".to_owned())])
    }

    fn row(point: &str, values: &[&str], cells: &[(f64, &str)]) -> Row {
        let bases: Vec<Basis> = cells.iter().map(|(_, codec)| on(codec)).collect();
        let figures: Vec<(f64, &Basis)> = cells.iter().zip(&bases).map(|((value, _), basis)| (*value, basis)).collect();
        Row {
            point: point.into(),
            values: values.iter().map(|value| (!value.is_empty()).then(|| (*value).to_owned())).collect(),
            seeds: (0..cells.len()).map(|seed| seed.to_string()).collect(),
            cells: vec![Cell::of(&figures)],
        }
    }

    fn results(rows: Vec<Row>) -> Results {
        let settings = vec!["stage.songs.genres".into(), "stage.songs.top_p".into()];
        Results { settings, scores: vec!["bottom.held_out_bits".into()], seeds: true, rows }
    }

    #[test]
    fn means_and_deviations_are_over_seeds_and_numbers_are_numbers() {
        let rows = vec![
            row("a", &["[\"x\", \"y\"]", "0.9"], &[(1.0, "c"), (2.0, "c"), (4.0, "c")]),
            row("b", &["", "1.0"], &[]),
        ];
        let csv = results(rows).csv();
        let deviation = ((1.0f64 / 9.0) * (16.0 + 1.0 + 25.0) / 2.0).sqrt();
        let expected = format!(
            "point,stage.songs.genres,stage.songs.top_p,seeds,bottom.held_out_bits,bottom.held_out_bits deviation\n\
             a,\"[\"\"x\"\", \"\"y\"\"]\",0.9,3,{},{deviation}\nb,,1,0,,\n",
            7.0 / 3.0
        );
        assert_eq!(csv, expected);
    }

    #[test]
    fn what_does_not_compare_says_so() {
        let rows = vec![row("a", &["", "0.9"], &[(1.0, "c")]), row("b", &["", "1.0"], &[(2.0, "d")])];
        let results = results(rows);
        let csv = results.csv();
        assert!(csv.starts_with("point,stage.songs.genres,stage.songs.top_p,seeds,bottom.held_out_bits,"), "{csv}");
        assert!(csv.contains("bottom.held_out_bits measured on\n"), "{csv}");
        assert!(csv.contains("codec c\n") && csv.contains("codec d\n"), "what is common is left out: {csv}");
        let view = results.view();
        assert_eq!(view.rows[1].cells[0].as_ref().and_then(|cell| cell.fingerprint), Some('b'));
        assert!(view.notes[0].contains("do not compare (a: codec c; b: codec d)"), "{:?}", view.notes);
        let same = vec![row("a", &["", "0.9"], &[(1.0, "c")]), row("b", &["", "1.0"], &[(2.0, "c")])];
        assert_eq!(self::results(same).view().notes, [""; 0]);
    }

    #[test]
    fn figures_compare_where_their_bases_are_equal() {
        let entry = stages::STAGES.iter().find(|entry| entry.verb == "ingest").expect("a verb");
        let stage = PlannedStage {
            name: "fad[x=1]".into(),
            of: "fad".into(),
            entry,
            ready: (entry.lower)(&corpus(), Default::default(), &mut Vec::new()).expect("settings"),
            inputs: Vec::new(),
            max_dropped: None,
            salt: String::new(),
            seed: 0,
        };
        let of = |clips: u64, text: &str| Measured { clips, frames: 6 * clips, digest: Digest::of(text.as_bytes()) };
        let metric = Metric {
            metric: Metric::FAD.into(),
            version: 1,
            subject: "songs".into(),
            level: None,
            value: 3.5.into(),
            interval: None,
            embedding: None,
            rate: 16_000,
            candidate: of(16, "songs"),
            reference: of(60, "train"),
        };
        let first = measured(&stage, &metric);
        assert_eq!((first.stage.as_str(), first.name.as_str(), first.value), ("fad[x=1]", "fad/songs", 3.5));
        let others = [
            Metric { candidate: of(16, "other songs"), value: 4.0.into(), ..metric.clone() },
            Metric { version: 2, ..metric.clone() },
            Metric { rate: 44_100, ..metric.clone() },
            Metric { candidate: of(15, "songs"), ..metric.clone() },
            Metric { reference: of(60, "other"), ..metric.clone() },
        ];
        for other in others {
            let same = measured(&stage, &other).basis == first.basis;
            assert_eq!(same, metric.comparable(&other).is_ok(), "{other:?}");
        }
    }

    /// `corpus = "synth"`, as a table.
    fn corpus() -> stages::settings::Table {
        use stages::settings::{Data, Table, Value, Word};
        let at = Default::default();
        Table(vec![(Word { text: "corpus".into(), at }, Value { data: Data::String("synth".into()), at })])
    }

    #[test]
    fn equal_results_give_equal_parquet() {
        let rows = vec![row("a", &["", "0.9"], &[(1.0, "c"), (3.0, "c")]), row("b", &["", "1.0"], &[])];
        let results = results(rows);
        let bytes = results.parquet().expect("written");
        assert_eq!(bytes, results.parquet().expect("written"));
        assert!(bytes.starts_with(b"PAR1"));
    }
}
