//! Withdrawals that a plan is priced for: tracks and licenses taken out in a dry run, with nothing edited.

use crate::{
    dataflow::outcome::Outcome,
    error::Error,
    plan::{Plan, PlannedStage},
};
use datasets::corpus::{Name, OptOut};
use stages::{STAGES, flow::Env, rows::Kind, settings::suggest};
use std::{collections::HashSet, sync::Arc};

/// Withdrawals to assume in a dry run and nowhere else.
#[derive(Clone, Debug, Default)]
pub struct WhatIf {
    /// Ids of tracks, as if the opt-out list of each stage that judges licenses named them.
    pub without: Vec<String>,
    /// Licenses, as if each of these stages denied them.
    pub deny: Vec<String>,
}

/// Option that withdraws tracks; also stated as the evidence of such a withdrawal.
const OPTION: &str = "--without";

/// The verb whose stages withdraw tracks.
fn verb() -> &'static str {
    STAGES.iter().find(|spec| spec.facts.judges).map_or("", |spec| spec.verb)
}

fn judging(plan: &Plan) -> impl Iterator<Item = &PlannedStage> {
    plan.stages.iter().filter(|stage| stage.entry.facts.judges)
}

impl WhatIf {
    /// The plan with the licenses denied.
    ///
    /// # Errors
    /// [`Error::Usage`] where no stage judges licenses, or a word names none.
    pub(super) fn denied(&self, mut plan: Plan) -> Result<Plan, Error> {
        let option = match (self.without.is_empty(), self.deny.is_empty()) {
            (true, true) => return Ok(plan),
            (false, _) => OPTION,
            (true, false) => "--deny",
        };
        if judging(&plan).next().is_none() {
            return Err(Error::Usage(format!(
                "{option} needs a `{}` stage, where tracks are withdrawn, and `{}` has none: put one after its sources",
                verb(),
                plan.name
            )));
        }
        for stage in plan.stages.iter_mut().filter(|stage| stage.entry.facts.judges && !self.deny.is_empty()) {
            stage.ready = stage.ready.denying(&self.deny).map_err(|why| Error::Usage(format!("--deny names {why}")))?;
        }
        Ok(plan)
    }

    /// Adds the tracks to the lists of all stages that judge licenses. Only once the sources are scanned: a scan forgets what
    /// a list names.
    pub(super) fn withdraw(&self, plan: &Plan, env: &mut Env) {
        for stage in judging(plan).filter(|_| !self.without.is_empty()) {
            let list = env.optouts.remove(&stage.name).map_or_else(OptOut::default, Arc::unwrap_or_clone);
            let list = self.without.iter().fold(list, |list, id| list.also(id, OPTION));
            env.optouts.insert(stage.name.clone(), Arc::new(list));
        }
    }

    /// Checks that the sources hold each track, and that a stage stands behind them which withdraws it.
    ///
    /// # Errors
    /// [`Error::Usage`] with the track, and the one that may be meant.
    pub(super) fn check(&self, plan: &Plan, outcome: &Outcome) -> Result<(), Error> {
        if self.without.is_empty() {
            return Ok(());
        }
        let judged = judged(plan);
        let sources = plan.stages.iter().zip(&outcome.stages).zip(&judged);
        let sources =
            sources.filter(|((stage, _), _)| stage.entry.ports.is_empty() && stage.entry.gives == Kind::Track);
        let mut known: Vec<(&str, HashSet<String>, bool)> = Vec::new();
        for ((stage, own), judged) in sources {
            let mut ids: HashSet<String> = own.kept.iter().map(|row| row.id().into_owned()).collect();
            ids.extend(own.pending.iter().map(|row| row.id.to_string()));
            ids.extend(own.dropped.iter().map(|row| row.id.clone()));
            known.push((&stage.name, ids, *judged));
        }
        for id in &self.without {
            let name = Name::id(id);
            let holds = |ids: &HashSet<String>| ids.contains(id) || ids.iter().any(|own| Name::id(own) == name);
            let Some((stage, _, judged)) = known.iter().find(|(_, ids, _)| holds(ids)) else {
                let all = || known.iter().flat_map(|(_, ids, _)| ids).map(String::as_str);
                let near = all().filter(|own| own.ends_with(&format!("/{id}"))).min().or_else(|| suggest(id, all()));
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => {
                        "a track is called `dataset/key`, as `refrain plan` and `tracks.parquet` name it".to_owned()
                    }
                };
                return Err(Error::Usage(format!("{OPTION} names `{id}`, which no source holds; {help}")));
            };
            if !judged {
                return Err(Error::Usage(format!(
                    "{OPTION} names `{id}` of `{stage}`, and no `{}` stage stands behind that: put one there",
                    verb()
                )));
            }
        }
        Ok(())
    }
}

/// Whether rows of a stage come to one that judges licenses, for each stage.
fn judged(plan: &Plan) -> Vec<bool> {
    let mut judged = vec![false; plan.stages.len()];
    // Each stage comes after those that feed it.
    for (index, stage) in plan.stages.iter().enumerate().rev() {
        if judged[index] || stage.entry.facts.judges {
            stage.inputs.iter().flatten().for_each(|&fed| judged[fed] = true);
        }
    }
    judged
}
