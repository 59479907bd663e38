//! The sizes of what a plan trains, and what they ask of GPUs: a table that `check` shows. `docs/scale.md` has its arithmetic.

use crate::plan::Plan;
use stages::{model::scale::Training, stage::memory::Known};
use std::fmt::Write as _;

/// Sizes of memory of data-centre GPUs, in bytes: A100 and H100 have 80 GB, an H200 has 141.
const CARDS: [u64; 2] = [80_000_000_000, 141_000_000_000];
/// The share of a card's memory that is there for a training: the rest holds kernels and what lies between buffers.
const USABLE: f64 = 0.95;
/// The card whose time is told, and its peak in operations a second: dense bf16 on tensor cores, and f32 without them
/// (NVIDIA's data sheet of the H200 SXM).
const TIMED: (&str, f64, f64) = ("H200", 989e12, 67e12);
/// The share of the peak that a training reaches: a third to a half is what well-tuned ones report (Chowdhery et al. 2022,
/// table 3), so the time is an estimate and no promise.
const REACHED: f64 = 0.4;

/// The trainings of a plan, each with the name of its stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sizes(Vec<(String, Training)>);

impl Sizes {
    /// The trainings of a plan, but for those whose codec no setting tells.
    pub fn of(plan: &Plan) -> Sizes {
        let (mut known, mut all): (Vec<Known>, Vec<(String, Training)>) = Default::default();
        for stage in &plan.stages {
            let mut own = Known::join(stage.inputs.iter().flatten().map(|fed| &known[*fed]));
            for training in stage.ready.trainings(&own) {
                let name = [stage.name.as_str(), &training.part].join(" ").trim_end().to_owned();
                all.push((name, training));
            }
            stage.ready.memory(&mut own, 1);
            known.push(own);
        }
        Sizes(all)
    }

    /// For people: a table, or nothing where nothing is trained.
    pub fn text(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let cards = CARDS.map(|bytes| format!("on {} GB", bytes / 1_000_000_000));
        let [small, large] = cards;
        let mut rows = vec![[
            "training".to_owned(),
            "parameters".to_owned(),
            "FLOP a step".to_owned(),
            small,
            large,
            format!("on one {}", TIMED.0),
        ]];
        for (name, training) in &self.0 {
            let fitting = CARDS.map(|bytes| training.fewest((bytes as f64 * USABLE) as u64));
            let segments = |fitting: Option<usize>| match fitting {
                None => "does not fit".to_owned(),
                Some(1) => "fits".to_owned(),
                Some(segments) => format!("{segments} segments"),
            };
            let peak = if training.half { TIMED.1 } else { TIMED.2 };
            let time = fitting[1].map_or_else(String::new, |segments| {
                lasting(training.steps as f64 * training.operations(segments) / (REACHED * peak))
            });
            let [small, large] = fitting.map(segments);
            let operations = training.operations(fitting[1].unwrap_or(usize::MAX));
            rows.push([name.clone(), counted(training.parameters), format!("{operations:.1e}"), small, large, time]);
        }
        let widths: Vec<usize> =
            (0..6).map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
        let mut text = String::new();
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:<width$}  ");
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// A number of parameters.
fn counted(parameters: u64) -> String {
    match parameters {
        0..1_000 => parameters.to_string(),
        1_000..1_000_000 => format!("{:.1} k", parameters as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", parameters as f64 / 1e6),
        _ => format!("{:.2} G", parameters as f64 / 1e9),
    }
}

/// A time in the unit that suits it.
fn lasting(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "under 1 s".to_owned(),
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_their_unit() {
        assert_eq!([999, 1_500, 2_340_000, 4_980_000_000].map(counted), ["999", "1.5 k", "2.3 M", "4.98 G"]);
        assert_eq!(
            [0.3, 3.2, 600.0, 7_200.0, 864_000.0].map(lasting),
            ["under 1 s", "3 s", "10 min", "2.0 h", "10 days"]
        );
    }

    #[test]
    fn each_training_has_a_line() {
        let training = |on_card| Training {
            part: String::new(),
            parameters: 4_980_000_000,
            steps: 1_000,
            half: true,
            forward: 1e15,
            on_card,
        };
        let sizes = Sizes(vec![
            ("top".to_owned(), training(vec![200_000_000_000, 130_000_000_000, 70_000_000_000])),
            ("vast".to_owned(), training(vec![200_000_000_000])),
        ]);
        let expected = "training  parameters  FLOP a step  on 80 GB      on 141 GB     on one H200\n\
                        top       4.98 G      4.0e15       3 segments    2 segments    2.8 h\n\
                        vast      4.98 G      4.0e15       does not fit  does not fit\n";
        assert_eq!(sizes.text(), expected);
        assert_eq!(Sizes::default().text(), "");
    }
}
