//! Failures of a run as errors with exit codes.

use crate::error::Error;
use stages::flow::{Env, Failure};

/// Turns the early end of a run of several processes into its error. What was finished is kept.
pub(crate) fn early(env: &Env, error: Error) -> Error {
    let flushed = env.store.flush();
    match error {
        // A failure stops a run by the same word as Ctrl-C.
        Error::Interrupted => failure(env.ledger.take().1).or(flushed.err().map(Error::from)).unwrap_or(error),
        other => other,
    }
}

/// The exit code and sentence of a failure, for the other processes.
pub(crate) fn told(failure: Failure) -> (u8, String) {
    self::failure(vec![failure]).map_or_else(|| (1, String::new()), |error| (error.code(), error.to_string()))
}

/// The gravest failure decides the exit code; all are told.
pub(crate) fn failure(failures: Vec<Failure>) -> Option<Error> {
    let (mut stages, mut sources, mut unplanned) = (Vec::new(), Vec::new(), Vec::new());
    for failure in failures {
        match failure {
            Failure::Store(error) => return Some(error.into()),
            Failure::Bug(why) => return Some(Error::Bug(why)),
            Failure::Pin(why) => return Some(Error::Lock(why)),
            Failure::Stage { stage, why } => stages.push(format!("stage `{stage}` failed: {why}")),
            Failure::Source { stage, why } => sources.push(format!("stage `{stage}` did not start: {why}")),
            Failure::Unplanned { stage, id } => unplanned.push(format!("`{stage}` on {id}")),
            Failure::Elsewhere { code: 6, why } => stages.push(why),
            Failure::Elsewhere { code: 3, why } => sources.push(why),
            Failure::Elsewhere { code, why } => return Some(Error::Elsewhere { code, why }),
        }
    }
    if !unplanned.is_empty() {
        unplanned.sort();
        return Some(Error::Guard(format!(
            "the run was stopped before it did what the plan does not name: {}. What was finished is kept; something moved \
             while it was running: save a plan again",
            unplanned.join(", ")
        )));
    }
    if !stages.is_empty() {
        stages.extend(sources);
        return Some(Error::Stage(stages.join("\n")));
    }
    (!sources.is_empty()).then(|| Error::Source(sources.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plan_does_not_name_ends_with_5_and_all_of_it() {
        let unplanned = |id: &str| Failure::Unplanned { stage: "codec".into(), id: id.into() };
        let lost = Failure::Source { stage: "tracks".into(), why: "it is gone".into() };
        let error = failure(vec![unplanned("b"), lost, unplanned("a")]).expect("an error");
        assert_eq!(error.code(), 5);
        let said = "the run was stopped before it did what the plan does not name: `codec` on a, `codec` on b. ";
        assert!(error.to_string().starts_with(said), "{error}");
    }
}
