//! The rows that may sit on an edge, by name and with their type forgotten.

use super::{collection::Time, flow::Input};
use datasets::{
    Digest, Key,
    row::{Audio, Clip, Codes, Found, Metric, Prior, Shard, Track, Waiting, Weights},
};
use serde::{Serialize, de::DeserializeOwned};
use std::borrow::Cow;
use timely::dataflow::ProbeHandle;

macro_rules! rows { ($($Row:ident),*) => {
    /// Kind of the rows on an edge.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Kind { $(#[doc = concat!("[`", stringify!($Row), "`] rows.")] $Row),* }

    impl std::fmt::Display for Kind {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(match self { $(Kind::$Row => stringify!($Row)),* })
        }
    }

    /// One edge of the graph: rows whose type is known only at run time.
    #[derive(Clone)]
    pub enum Flow<'s> { $(#[doc = concat!("[`", stringify!($Row), "`] rows.")] $Row(Input<'s, $Row>)),* }

    /// A row whose type is known only at run time.
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
    pub enum AnyRow { $(#[doc = concat!("A [`", stringify!($Row), "`].")] $Row($Row)),* }

    impl AnyRow {
        /// The row's id.
        pub fn id(&self) -> Cow<'_, str> { match self { $(AnyRow::$Row(row) => row.row_id()),* } }
        /// Split of the row; empty if it has none.
        pub fn split(&self) -> &str { match self { $(AnyRow::$Row(row) => row.split()),* } }
        /// The track that it is or is a part of.
        pub fn track(&self) -> Option<&Track> { match self { $(AnyRow::$Row(row) => row.track()),* } }
        /// Shows it to a visitor with its type.
        pub fn visit(&self, visitor: impl Visitor) { match self { $(AnyRow::$Row(row) => visitor.visit(row)),* } }
    }

    $(impl Row for $Row {
        const KIND: Kind = Kind::$Row;
        fn flow(rows: Input<'_, Self>) -> Flow<'_> { Flow::$Row(rows) }
        fn input(flow: Flow<'_>) -> Input<'_, Self> {
            match flow { Flow::$Row(rows) => rows, _ => unreachable!("the plan checked the kinds") }
        }
        fn row_id(&self) -> Cow<'_, str> { id_of::$Row(self) }
        fn content_digest(&self) -> Option<Digest> { content_of::$Row(self) }
        fn track(&self) -> Option<&Track> { track_of::$Row(self) }
        fn split(&self) -> &str { split_of::$Row(self) }
    })*

    impl<'s> Flow<'s> {
        /// Joins several edges of one kind into one.
        pub fn concat(self, others: Vec<Flow<'s>>) -> Flow<'s> {
            match self { $(Flow::$Row(first) => {
                let others: Vec<Input<'s, $Row>> = others.into_iter().map($Row::input).collect();
                let kept = first.kept.concatenate(others.iter().map(|o| o.kept.clone()));
                let pending = first.pending.concatenate(others.into_iter().map(|o| o.pending));
                Flow::$Row(Input { kept, pending })
            }),* }
        }

        /// Attaches `probe` to the edge, which tells its progress, and shows pending rows to `waits` as they pass by.
        #[must_use]
        pub fn probed(
            self,
            probe: &ProbeHandle<Time>,
            waits: impl Fn(&[(Waiting, Time, isize)]) + 'static,
        ) -> Flow<'s> {
            match self { $(Flow::$Row(Input { kept, pending }) => {
                let pending = pending.inspect_batch(move |rows| waits(rows));
                Flow::$Row(Input { kept: kept.probe_with(probe), pending: pending.probe_with(probe) })
            }),* }
        }
    }
} }
rows!(Found, Track, Clip, Codes, Shard, Weights, Prior, Audio, Metric);

/// Functions named like the row types, for the macro above: `$one` for each, else `$other`.
macro_rules! of_each { ($name:ident: $T:ty, $row:ident, $other:expr; $($Row:ident => $one:expr),*; $($Else:ident),*) => {
    #[expect(non_snake_case, reason = "one function per row type, named like it")]
    mod $name {
        use super::*;
        $(pub(super) fn $Row($row: &$Row) -> $T { $one })*
        $(pub(super) fn $Else(_: &$Else) -> $T { $other })*
    }
} }

of_each!(id_of: Cow<'_, str>, row, unreachable!();
    Found => (&row.key).into(),
    Track => (&row.id).into(),
    Clip => row.id().into(),
    Codes => row.clip.id().into(),
    Shard => row.id().into(),
    Weights => row.digest.short(12).into(),
    Prior => row.digest.short(12).into(),
    Audio => (&row.name).into(),
    Metric => row.id().into();
);

of_each!(content_of: Option<Digest>, row, None;
    Track => Some(sound(row)),
    Clip => Some(Key::new("substance").digest(&sound(&row.track)).number(row.start).number(row.frames).finish()),
    Codes => Some(Key::new("substance").digest(&row.codec).digest(&row.blob).finish()),
    Shard => Some(row.view),
    Weights => Some(row.digest),
    Prior => Some(row.digest),
    Audio => Some(row.file);
    Found, Metric
);

of_each!(track_of: Option<&Track>, row, None;
    Track => Some(row),
    Clip => Some(&*row.track),
    Codes => Some(&*row.clip.track);
    Found, Shard, Weights, Prior, Audio, Metric
);

of_each!(split_of: &str, row, "";
    Track => row.split.as_deref().unwrap_or_default(),
    Clip => row.track.split.as_deref().unwrap_or_default(),
    Codes => row.clip.track.split.as_deref().unwrap_or_default(),
    Shard => &row.split;
    Found, Weights, Prior, Audio, Metric
);

fn sound(track: &Track) -> Digest {
    let Some(recording) = &track.recording else { return track.content };
    let key = Key::new("substance").digest(&recording.samples);
    track.chain.iter().fold(key, |key, chain| key.number(chain.rate.into()).number(chain.channels.into())).finish()
}

/// A function over rows of any type.
pub trait Visitor {
    /// Takes the row.
    fn visit<R: Row>(self, row: &R);
}

/// A row type that may sit on an edge.
pub trait Row: Clone + Ord + Serialize + DeserializeOwned + 'static {
    /// Kind of this row type.
    const KIND: Kind;
    /// Erases the row type.
    fn flow(rows: Input<'_, Self>) -> Flow<'_>;
    /// Restores the row type; the plan has checked it.
    fn input(flow: Flow<'_>) -> Input<'_, Self>;
    /// The row's id.
    fn row_id(&self) -> Cow<'_, str>;
    /// Digest of what heavy work reads of the row: the sound, the codes, the weights, and no label. `None`: all of it.
    fn content_digest(&self) -> Option<Digest>;
    /// The track that the row is or belongs to: [`AnyRow::track`].
    fn track(&self) -> Option<&Track>;
    /// The split of the row: [`AnyRow::split`].
    fn split(&self) -> &str;
}
