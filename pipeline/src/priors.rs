//! How well the priors of a run predict codes, as a table of the report.

use crate::{
    execute::Outcome,
    plan::Plan,
    report::data::{ScoreColumn, ScoreRow, ScoreTable},
};
use datasets::row::Prior;
use stages::stage::AnyRow;

/// Bits per code of every prior of a run; `None` without any.
pub fn table(plan: &Plan, outcome: &Outcome) -> Option<ScoreTable> {
    let priors = plan.stages.iter().zip(&outcome.stages).flat_map(|(stage, own)| {
        own.kept
            .iter()
            .filter_map(move |row| if let AnyRow::Prior(prior) = &**row { Some((stage, prior)) } else { None })
    });
    let rows: Vec<ScoreRow> = priors.map(|(stage, prior)| row(&stage.name, prior)).collect();
    if rows.is_empty() {
        return None;
    }
    let column = |name: &str, decimals| ScoreColumn { name: name.into(), decimals };
    Some(ScoreTable {
        title: "Priors".into(),
        note:
            "Bits per code: fewer are better. The unigram knows how often each code stands in the training split, the \
               bigram also which code comes before; both count every code once more than it stands. A model's \
               perplexity is 2 to the power of its held-out bits."
                .into(),
        rows_are: "Stage".into(),
        columns: vec![
            column("trained on", 2),
            column("held out", 2),
            column("unigram", 2),
            column("bigram", 2),
            column("perplexity", 0),
        ],
        rows,
    })
}

fn row(stage: &str, prior: &Prior) -> ScoreRow {
    let bits = |millionths: u64| millionths as f64 / 1e6;
    let known = &prior.bits;
    let hop = prior.hops.get(prior.level as usize).copied().unwrap_or_default();
    ScoreRow {
        label: format!("{stage}: level {}, hop {hop}", prior.level),
        values: vec![
            Some(bits(known.train)),
            known.held_out.map(bits),
            known.unigram.map(bits),
            known.bigram.map(bits),
            known.held_out.map(|held_out| libm::exp2(bits(held_out))),
        ],
    }
}
