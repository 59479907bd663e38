//! What stages share that wait for a whole corpus: one item, which runs once everything is known.

use super::{Env, group, relate::Travels, without};
use crate::stage::{Context, Rows, seal};
use datasets::{
    effect::{Fault, Refusal},
    row::{Dropped, Pending},
};

/// The id of the one item that a corpus-level effect is.
pub(crate) const ALL: &str = "all";

/// The corpus once nothing of it waits, and otherwise the row that stands for all that waits.
///
/// In a dry run, one row that is not known yet leaves the corpus open: the effect may run, or find its result
/// remembered.
pub(crate) fn close<'s, T: Travels>(
    cx: &Context<'s>,
    corpus: Rows<'s, T>,
    pending: Rows<'s, Pending>,
) -> (Rows<'s, T>, Rows<'s, Pending>) {
    let waits = pending.delay(seal).map(|row| ((), row));
    let open = group(waits, &format!("{}: open", cx.stage), |(), rows: &[(Pending, isize)]| {
        let first = rows.first().map(|(row, _)| (Pending { id: ALL.into(), track: None, ..row.clone() }, 1));
        first.into_iter().collect()
    });
    let closed = without(corpus.map(|corpus| ((), corpus)), open.clone().map(|(key, _)| key));
    (closed.map(|((), corpus)| corpus), open.map(|((), row)| row))
}

/// The item `id` of this stage, waiting for each of the causes.
pub(crate) fn waiting<'s>(cx: &Context<'s>, id: &'static str, causes: Rows<'s, String>) -> Rows<'s, Pending> {
    let behind = cx.stage.to_string();
    causes.map(move |cause| Pending { id: id.into(), behind: behind.clone(), cause, track: None })
}

/// The one item, refused.
pub(crate) fn refused(refusals: Rows<'_, Refusal>) -> Rows<'_, Dropped> {
    refusals.map(|refusal| Dropped { id: ALL.into(), code: refusal.code, why: refusal.why, failed: false })
}

/// Whether every source could be read: no model is trained on the rest.
///
/// # Errors
/// The first that could not, with the remedies; [`Fault::Interrupted`] when the run is ending.
pub(crate) fn all_read(env: &Env) -> Result<(), Fault> {
    match env.unread()? {
        None => Ok(()),
        Some(unread) => Err(Fault::Failed(format!(
            "a source could not be read, so training on the rest would have to be done again: {unread}; \
             mend or remove it, or set refresh = \"pinned\""
        ))),
    }
}
