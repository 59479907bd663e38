//! The priors of a run for the report: training curves and bits per code.

use crate::{
    dataflow::outcome::Outcome,
    error::Error,
    plan::Plan,
    publish::collect::curve::thin,
    report::data::{PriorCurve, ScoreColumn, ScoreRow, ScoreTable},
};
use datasets::{row::Prior, tables::curves};
use stages::flow::Env;

/// Every prior with the name of its stage.
fn priors<'a>(plan: &'a Plan, outcome: &'a Outcome) -> impl Iterator<Item = (&'a str, Prior)> {
    let stages = plan.stages.iter().zip(&outcome.stages);
    stages.flat_map(|(stage, own)| own.kept.rows().into_iter().map(move |prior| (stage.name.as_str(), prior)))
}

fn bits(millionths: u64) -> f64 {
    millionths as f64 / 1e6
}

fn hop(prior: &Prior) -> u32 {
    prior.hops.get(prior.level as usize).copied().unwrap_or_default()
}

/// Training curve of every prior of the run.
///
/// # Errors
/// When the curves are missing from the store or cannot be read.
pub fn curves(plan: &Plan, outcome: &Outcome, env: &Env) -> Result<Vec<PriorCurve>, Error> {
    let curve = |(stage, prior): (&str, Prior)| {
        let steps = curves::read_prior(&env.store.get(&prior.curves)?)
            .map_err(|e| Error::Bug(format!("the training curve of `{stage}` cannot be read: {e}")))?;
        let mut points: Vec<(u64, f64)> = steps.iter().map(|step| (step.step, step.bits)).collect();
        thin(&mut points);
        Ok(PriorCurve {
            stage: stage.to_owned(),
            level: prior.level,
            hop: hop(&prior),
            points,
            held_out: prior.bits.held_out.map(bits),
            unigram: prior.bits.unigram.map(bits),
            bigram: prior.bits.bigram.map(bits),
        })
    };
    priors(plan, outcome).map(curve).collect()
}

/// Bits per code of every prior of a run; `None` without any.
pub fn table(plan: &Plan, outcome: &Outcome) -> Option<ScoreTable> {
    let rows: Vec<ScoreRow> = priors(plan, outcome).map(|(stage, prior)| row(stage, &prior)).collect();
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
    let known = &prior.bits;
    ScoreRow {
        label: format!("{stage}: level {}, hop {}", prior.level, hop(prior)),
        values: vec![
            Some(bits(known.train)),
            known.held_out.map(bits),
            known.unigram.map(bits),
            known.bigram.map(bits),
            known.held_out.map(|held_out| libm::exp2(bits(held_out))),
        ],
    }
}
