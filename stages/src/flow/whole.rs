//! Corpus-level effects: one item, which runs once every row of the corpus is known.

use super::{Env, Item, by_time::Held, group, order, relate::Travels, without};
use crate::{
    rows::{Rows, end_of_build},
    stage::{Context, none},
};
use datasets::{
    effect::Fault,
    row::{Pending, Waiting},
};
use differential_dataflow::AsCollection;
use std::sync::Arc;
use timely::dataflow::{channels::pact::Pipeline, operators::generic::Operator};

/// The id of the one item that a corpus-level effect is.
pub(crate) const ALL: &str = "all";

/// The corpus once nothing of it waits, and otherwise the row that stands for all that waits.
///
/// In a dry run, one row that is not known yet leaves the corpus open: the effect may run, or find its result
/// remembered.
pub(crate) fn close<'s, T: Travels>(
    cx: &Context<'s>,
    corpus: Rows<'s, T>,
    pending: Rows<'s, Waiting>,
) -> (Rows<'s, T>, Rows<'s, Waiting>) {
    if !cx.env.dry {
        return (corpus, none(&pending));
    }
    let waits = first(pending.map(|waiting| waiting.row).delay(end_of_build)).map(|row| ((), row));
    let open = group(waits, &format!("{}: open", cx.stage), |(), rows: &[(Pending, isize)]| {
        let first = rows.first().map(|(row, _)| (Pending::new(ALL.into(), row.behind.clone(), row.cause.clone()), 1));
        first.into_iter().collect()
    });
    let closed = without(corpus.map(|corpus| ((), corpus)), open.clone().map(|(key, _)| key));
    (closed.map(|((), corpus)| corpus), open.map(|((), row)| row.into()))
}

/// The first row of each worker at each time, in their order: of millions that are to be one, few are grouped.
fn first<'s>(rows: Rows<'s, Pending>) -> Rows<'s, Pending> {
    let first = rows.typed().inner.unary_frontier(Pipeline, "first", move |_, _| {
        let mut held: Held<Pending> = Held::default();
        move |(input, frontier), output| {
            input.for_each(|cap, data| held.extend(data.drain(..), |time| cap.delayed(time, 0)));
            while let Some((time, cap, rows)) = held.over(|time| frontier.less_equal(time)) {
                let first = match rows.iter().all(|(_, diff)| *diff > 0) {
                    true => rows.into_iter().map(|(row, _)| row).min(),
                    false => order::summed(rows).into_iter().next(),
                };
                output.session(&cap).give_iterator(first.into_iter().map(|row| (row, time, 1)));
            }
        }
    });
    first.as_collection().into()
}

/// The item `id` of this stage, waiting for each of the causes.
pub(crate) fn waiting<'s>(cx: &Context<'s>, id: &'static str, causes: Rows<'s, Arc<str>>) -> Rows<'s, Waiting> {
    let (id, behind): (Arc<str>, _) = (id.into(), cx.stage.clone());
    causes.map(move |cause| Pending::new(id.clone(), behind.clone(), cause).into())
}

/// The one item, for [`Done::split`](super::Done::split).
pub(crate) fn all<R>(_: R) -> Item {
    Item::Other(ALL.to_owned())
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
