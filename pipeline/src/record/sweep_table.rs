//! The table of a sweep: a row per point and song, and its cells.

use crate::{
    plan::{Plan, Point},
    record::scores::{Basis, SEED, Score},
    report::data::{SweepCell, SweepRow, SweepView},
};
use datasets::{
    shard::ShardError,
    tables::{Column, table},
};
use std::collections::BTreeSet;

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

impl Results {
    /// Basis of each row's figure in a column, in words. `None` if all figures of the column have the same basis.
    pub(crate) fn measured(&self, column: usize) -> Option<Vec<String>> {
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
    pub(crate) fn columns(&self) -> Vec<(String, Column)> {
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

    /// The table as the report shows it.
    pub fn view(&self) -> SweepView {
        let measured: Vec<Option<Vec<String>>> = (0..self.scores.len()).map(|column| self.measured(column)).collect();
        let mut notes = Vec::new();
        let mut fingerprints: Vec<Vec<Option<char>>> = vec![vec![None; self.scores.len()]; self.rows.len()];
        for (column, measured) in measured.iter().enumerate().filter_map(|(c, m)| Some((c, m.as_ref()?))) {
            let mut kinds: Vec<&String> = Vec::new();
            for (row, words) in measured.iter().enumerate().filter(|(_, words)| !words.is_empty()) {
                let kind = kinds.iter().position(|known| *known == words).unwrap_or_else(|| {
                    kinds.push(words);
                    kinds.len() - 1
                });
                fingerprints[row][column] = u8::try_from(kind).ok().filter(|k| *k < 26).map(|k| char::from(b'a' + k));
            }
            let named = kinds.iter().zip('a'..='z').map(|(words, fingerprint)| format!("{fingerprint}: {words}"));
            notes.push(format!(
                "`{}`: figures with different letters were not measured on the same thing and do not compare ({}).",
                self.scores[column],
                named.collect::<Vec<_>>().join("; ")
            ));
        }
        let cell = |cell: &Cell, fingerprint| SweepCell { mean: cell.mean, deviation: cell.deviation, fingerprint };
        let row = |(row, fingerprints): (&Row, &Vec<Option<char>>)| SweepRow {
            point: row.point.clone(),
            values: row.values.iter().map(|value| value.clone().unwrap_or_default()).collect(),
            seeds: row.seeds.clone(),
            cells: row
                .cells
                .iter()
                .zip(fingerprints)
                .map(|(c, fingerprint)| Some(cell(c.as_ref()?, *fingerprint)))
                .collect(),
        };
        SweepView {
            settings: self.settings.clone(),
            scores: self.scores.clone(),
            seeds: self.seeds,
            rows: self.rows.iter().zip(&fingerprints).map(row).collect(),
            notes,
        }
    }
}

/// One point, over all its seeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The point's name.
    pub point: String,
    /// Values of the point as TOML, one for each of the settings; `None` if the point leaves a setting as it is.
    pub values: Vec<Option<String>>,
    /// Seeds of the point.
    pub seeds: Vec<String>,
    /// Figures of the point, one for each of the scores; `None` if it does not have the score.
    pub cells: Vec<Option<Cell>>,
}

/// A figure of one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The mean over the seeds.
    pub mean: f64,
    /// Standard deviation of the sample over the seeds. `None` for fewer than two seeds.
    pub deviation: Option<f64>,
    /// Bases of the figure, one for each seed whose basis differs.
    pub bases: BTreeSet<Basis>,
}

impl Cell {
    pub(crate) fn of(values: &[(f64, &Basis)]) -> Option<Cell> {
        let count = values.len() as f64;
        let mean = values.iter().map(|(value, _)| value).sum::<f64>() / count;
        let squares: f64 = values.iter().map(|(value, _)| (value - mean) * (value - mean)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        let bases = values.iter().map(|(_, basis)| (*basis).clone()).collect();
        (!values.is_empty()).then_some(Cell { mean, deviation, bases })
    }
}

/// The results of a sweep. `None` for a run without one. Scores of stages that are the same at all points are left out.
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

pub(crate) fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}
