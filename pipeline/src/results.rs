//! The scores of a run, and of a sweep as one table: a row for each point, a column for each score, over the `seed`
//! axis a mean with its deviation. Scores that were not measured on the same thing are never set side by side without
//! saying so.

use crate::{
    execute::Outcome,
    plan::{Plan, PlannedStage, Point},
    report::sweep::{SweepCell, SweepRow, SweepView},
};
use datasets::{
    row::{Measured, Metric, Prior},
    shard::{Column, ShardError, table},
};
use serde::Serialize;
use stages::stage::AnyRow;
use std::collections::{BTreeMap, BTreeSet};

/// What a score was measured on and with: two scores compare where these are equal.
pub type Basis = BTreeMap<String, String>;

/// One figure that a stage gave.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The stage's name in the plan.
    pub stage: String,
    /// What was measured: `held_out_bits`.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// What it was measured on and with.
    pub basis: Basis,
    /// Of an evaluation, the same in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
}

/// All scores of a run, in the order of the plan's stages.
pub fn scores(plan: &Plan, outcome: &Outcome) -> Vec<Score> {
    let stages = plan.stages.iter().zip(&outcome.stages);
    let rows = stages.flat_map(|(stage, own)| own.kept.made().into_iter().map(move |row| (stage, row)));
    rows.flat_map(|(stage, row)| match &row {
        AnyRow::Prior(prior) => bits(stage, prior),
        AnyRow::Metric(metric) => vec![measured(stage, metric)],
        _ => Vec::new(),
    })
    .collect()
}

/// Bits per code of a prior.
fn bits(stage: &PlannedStage, prior: &Prior) -> Vec<Score> {
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
fn measured(stage: &PlannedStage, metric: &Metric) -> Score {
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

fn basis<const N: usize>(facts: [(&str, String); N]) -> Basis {
    facts.map(|(fact, value)| (fact.to_owned(), value)).into()
}

/// The results of a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// The settings that points differ in, but the seed.
    pub settings: Vec<String>,
    /// The scores: `stage.name`.
    pub scores: Vec<String>,
    /// Whether the seed is varied: then figures are means over it.
    pub seeds: bool,
    /// The points, those that differ in nothing but the seed together.
    pub rows: Vec<Row>,
}

/// One point, over all its seeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The point's name.
    pub point: String,
    /// Its values as TOML, one for each of the settings; none where it leaves one as it is.
    pub values: Vec<Option<String>>,
    /// Its seeds.
    pub seeds: Vec<String>,
    /// Its figures, one for each of the scores.
    pub cells: Vec<Option<Cell>>,
}

/// A figure of one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The mean over the seeds.
    pub mean: f64,
    /// The deviation of a sample over the seeds; none of fewer than two.
    pub deviation: Option<f64>,
    /// What it was measured on, one for each seed that differs in it.
    pub bases: BTreeSet<Basis>,
}

impl Cell {
    fn of(values: &[(f64, &Basis)]) -> Option<Cell> {
        let count = values.len() as f64;
        let mean = values.iter().map(|(value, _)| value).sum::<f64>() / count;
        let squares: f64 = values.iter().map(|(value, _)| (value - mean) * (value - mean)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        let bases = values.iter().map(|(_, basis)| (*basis).clone()).collect();
        (!values.is_empty()).then_some(Cell { mean, deviation, bases })
    }
}

/// The results of a sweep; none of a run without one. Scores of stages that are the same at all points are left out.
pub fn results(plan: &Plan, scores: &[Score]) -> Option<Results> {
    let sweep = plan.sweep.as_ref()?;
    let of = |score: &Score| plan.stage(&score.stage).map_or("", |stage| stage.of.as_str());
    let mut columns: Vec<(&str, &str)> = Vec::new();
    for score in scores.iter().filter(|score| sweep.stages.contains(of(score))) {
        if !columns.contains(&(of(score), &score.name)) {
            columns.push((of(score), &score.name));
        }
    }
    let mut groups: Vec<(&str, Vec<&Point>)> = Vec::new();
    for point in &sweep.points {
        match groups.iter_mut().find(|(name, _)| *name == point.group) {
            Some((_, points)) => points.push(point),
            None => groups.push((&point.group, vec![point])),
        }
    }
    let keys: BTreeSet<&String> = sweep.points.iter().flat_map(|point| point.values.keys()).collect();
    let seeds = keys.iter().any(|key| *key == SEED);
    let settings: Vec<String> = keys.into_iter().filter(|key| *key != SEED).cloned().collect();
    let cell = |points: &[&Point], (of_stage, name): &(&str, &str)| {
        let mut values: Vec<(f64, &Basis)> = Vec::new();
        for point in points {
            let own = point.stages.iter().map(|&stage| &plan.stages[stage]).find(|stage| stage.of == *of_stage)?;
            let own = scores.iter().filter(|score| score.stage == own.name && score.name == *name);
            values.extend(own.map(|score| (score.value, &score.basis)));
        }
        Cell::of(&values)
    };
    let rows = groups.iter().map(|(name, points)| Row {
        // Where nothing but the seed is varied there is one row.
        point: if name.is_empty() { "all".to_owned() } else { (*name).to_owned() },
        values: settings.iter().map(|key| points.first()?.values.get(key).cloned()).collect(),
        seeds: points.iter().filter_map(|point| point.values.get(SEED).cloned()).collect(),
        cells: columns.iter().map(|column| cell(points, column)).collect(),
    });
    Some(Results {
        rows: rows.collect(),
        scores: columns.iter().map(|(of, name)| format!("{of}.{name}")).collect(),
        settings,
        seeds,
    })
}

const SEED: &str = "seed";

impl Results {
    /// For each score whose figures were not all measured on the same thing: what each row's was, in words.
    fn measured(&self, column: usize) -> Option<Vec<String>> {
        let cells = || self.rows.iter().map(|row| row.cells[column].as_ref());
        let different: BTreeSet<&BTreeSet<Basis>> = cells().flatten().map(|cell| &cell.bases).collect();
        if different.len() < 2 {
            return None;
        }
        // What all have in common tells nothing.
        let all: Vec<&Basis> = different.iter().flat_map(|bases| bases.iter()).collect();
        let common = |key: &String, value: &String| all.iter().all(|basis| basis.get(key) == Some(value));
        let words = |basis: &Basis| {
            let parts = basis.iter().filter(|(key, value)| !common(key, value));
            parts.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
        };
        let cell = |cell: Option<&Cell>| {
            cell.map_or_else(String::new, |cell| cell.bases.iter().map(words).collect::<Vec<_>>().join("; "))
        };
        Some(cells().map(cell).collect())
    }

    /// The columns of the files.
    fn columns(&self) -> Vec<(String, Column)> {
        let mut columns = vec![("point".to_owned(), Column::Text(self.rows.iter().map(|r| r.point.clone()).collect()))];
        for (index, setting) in self.settings.iter().enumerate() {
            let text = |row: &Row| row.values[index].clone().unwrap_or_default();
            let bare = |row: &Row| text(row).trim_matches('"').to_owned();
            let number = |row: &Row| row.values[index].as_ref().map(|value| value.parse::<f64>().ok());
            // Numbers where all are; a point that leaves the setting as it is has none.
            let column = match self.rows.iter().all(|row| number(row) != Some(None)) {
                true => Column::Sparse(self.rows.iter().map(|row| number(row).flatten()).collect()),
                false => Column::Text(self.rows.iter().map(bare).collect()),
            };
            columns.push((setting.clone(), column));
        }
        if self.seeds {
            columns.push(("seeds".to_owned(), Column::U64(self.rows.iter().map(|r| r.seeds.len() as u64).collect())));
        }
        for (index, score) in self.scores.iter().enumerate() {
            let of = |value: fn(&Cell) -> Option<f64>| {
                let cell = |row: &Row| row.cells[index].as_ref().and_then(value);
                Column::Sparse(self.rows.iter().map(cell).collect())
            };
            columns.push((score.clone(), of(|cell| Some(cell.mean))));
            if self.seeds {
                columns.push((format!("{score} deviation"), of(|cell| cell.deviation)));
            }
            if let Some(measured) = self.measured(index) {
                columns.push((format!("{score} measured on"), Column::Text(measured)));
            }
        }
        columns
    }

    /// `results.csv`, by RFC 4180 but with line feeds.
    pub fn csv(&self) -> String {
        let columns = self.columns();
        let line = |cells: Vec<String>| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\n";
        let mut text = line(columns.iter().map(|(name, _)| name.clone()).collect());
        for row in 0..self.rows.len() {
            let cell = |(_, column): &(String, Column)| match column {
                Column::Text(values) => values[row].clone(),
                Column::U64(values) => values[row].to_string(),
                Column::F64(values) => values[row].to_string(),
                Column::Sparse(values) => values[row].map_or_else(String::new, |value| value.to_string()),
            };
            text += &line(columns.iter().map(cell).collect());
        }
        text
    }

    /// `results.parquet`: the same columns.
    ///
    /// # Errors
    /// What Parquet says.
    pub fn parquet(&self) -> Result<Vec<u8>, ShardError> {
        let mut bytes = Vec::new();
        table(&self.columns(), &mut bytes)?;
        Ok(bytes)
    }

    /// As the report shows it.
    pub fn view(&self) -> SweepView {
        let measured: Vec<Option<Vec<String>>> = (0..self.scores.len()).map(|column| self.measured(column)).collect();
        let mut notes = Vec::new();
        let mut marks: Vec<Vec<Option<char>>> = vec![vec![None; self.scores.len()]; self.rows.len()];
        for (column, measured) in measured.iter().enumerate().filter_map(|(c, m)| Some((c, m.as_ref()?))) {
            let mut kinds: Vec<&String> = Vec::new();
            for (row, words) in measured.iter().enumerate().filter(|(_, words)| !words.is_empty()) {
                let kind = kinds.iter().position(|known| *known == words).unwrap_or_else(|| {
                    kinds.push(words);
                    kinds.len() - 1
                });
                marks[row][column] = u8::try_from(kind).ok().filter(|k| *k < 26).map(|k| char::from(b'a' + k));
            }
            let named = kinds.iter().zip('a'..='z').map(|(words, mark)| format!("{mark}: {words}"));
            notes.push(format!(
                "`{}`: figures with different letters were not measured on the same thing and do not compare ({}).",
                self.scores[column],
                named.collect::<Vec<_>>().join("; ")
            ));
        }
        let cell = |cell: &Cell, mark| SweepCell { mean: cell.mean, deviation: cell.deviation, mark };
        let row = |(row, marks): (&Row, &Vec<Option<char>>)| SweepRow {
            point: row.point.clone(),
            values: row.values.iter().map(|value| value.clone().unwrap_or_default()).collect(),
            seeds: row.seeds.clone(),
            cells: row.cells.iter().zip(marks).map(|(c, mark)| Some(cell(c.as_ref()?, *mark))).collect(),
        };
        SweepView {
            settings: self.settings.clone(),
            scores: self.scores.clone(),
            seeds: self.seeds,
            rows: self.rows.iter().zip(&marks).map(row).collect(),
            notes,
        }
    }
}

fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!(view.rows[1].cells[0].as_ref().and_then(|cell| cell.mark), Some('b'));
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
