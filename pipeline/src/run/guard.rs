//! Guards: an unmounted disk or a wrong setting must not quietly replace a corpus by a smaller one, and a run that goes by
//! a saved plan must not do what nobody has approved.

use crate::{
    dataflow::outcome::Outcome, error::Error, explain::approved::Approved, plan::Plan, record::history::History,
    run::inputs::Facts,
};
use datasets::row::Dropped;

/// Largest share of its tracks that a source may lose before a run stops.
const SHRINK: f64 = 0.2;

/// Compares what the sources hold with the last published run. Runs before any work starts.
///
/// # Errors
/// A sentence for each source that lost too much.
pub(crate) fn sources(plan: &Plan, facts: &Facts, history: &History) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (stage, now) in plan.stages.iter().zip(&facts.there).filter(|(stage, _)| stage.entry.ports.is_empty()) {
        let Some(before) = history.kept(&stage.name) else { continue };
        if (*now as f64) < before as f64 * (1.0 - SHRINK) {
            wrong.push(format!(
                "source `{}` held {before} {} in the last run and holds {now} now, over 20 % less: is a disk missing? \
                 Nothing was changed; --allow-shrink goes on",
                stage.name, stage.entry.unit
            ));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// Compares a saved plan with the plan as it is `now`. Runs before any work starts.
///
/// # Errors
/// [`Error::Usage`] where the plan is of another manifest; [`Error::Guard`] with a sentence for each difference.
pub(crate) fn approved(approved: &Approved, now: &Approved) -> Result<(), Error> {
    if approved.name != now.name {
        return Err(Error::Usage(format!(
            "the saved plan is of `{}`, and this manifest is `{}`: save a plan of this one",
            approved.name, now.name
        )));
    }
    match approved.differences(now) {
        differences if differences.is_empty() => Ok(()),
        differences => Err(moved(&differences.join("\n"))),
    }
}

/// Compares the sources that a run is about to read with those of its saved plan, once more.
///
/// # Errors
/// [`Error::Guard`] where they have changed after [`approved`] looked.
pub(crate) fn still(approved: &Approved, facts: &Facts) -> Result<(), Error> {
    match approved.inputs == facts.inputs {
        true => Ok(()),
        false => Err(moved("the sources have changed just now")),
    }
}

fn moved(differences: &str) -> Error {
    Error::Guard(format!(
        "this is not what the saved plan was made for; nothing was run:\n{differences}\n\
         Look at `refrain plan` again, and save it with --save if it is as it should be"
    ))
}

/// Checks each stage's `max_dropped`. Runs before anything is published.
///
/// # Errors
/// A sentence for each stage that dropped too much.
pub fn dropped(plan: &Plan, outcome: &Outcome) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (stage, own) in plan.stages.iter().zip(&outcome.stages) {
        let Some(most) = stage.max_dropped else { continue };
        // A withdrawal is meant.
        let rows: Vec<&Dropped> = own.dropped.iter().filter(|row| !row.withdrawn()).collect();
        let (kept, dropped) = (own.kept.len(), rows.len());
        let share = dropped as f64 / (kept + dropped).max(1) as f64;
        if share > most {
            let example = rows.first().map(|row| format!("; the first: {row}")).unwrap_or_default();
            wrong.push(format!(
                "stage `{}` dropped {dropped} of {} rows, more than its max_dropped = {most}{example}. \
                 Nothing was published; --allow-shrink goes on",
                stage.name,
                kept + dropped
            ));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}
