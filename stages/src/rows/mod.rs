//! Rows on the edges of the dataflow and after it: kinds, packing, fingerprints, what stages kept.
//!
//! Knows no stage and no verb.
//!
//! # The life of a row
//!
//! A row describes something by ids, digests, labels and spans; what it describes lies in the store. A row is never
//! changed: a correction takes the old one back (-1) and brings the new one (+1), and every operator passes on what
//! follows from either. A few rows that come of one piece of the quickstart:
//!
//! | stage | row | its id | comes of it by |
//! |---|---|---|---|
//! | `tracks` | `Track` | `synth/` and the piece's name | an effect that renders the piece |
//! | `decoded` | `Track` with frames and a digest of its samples | the same | an effect that decodes |
//! | `mono` | `Track` with rate, channels and frames after resampling | the same | arithmetic |
//! | `clips` | `Clip`: a span of the track | the track's with `@start+frames` | arithmetic |
//! | `codec` | `Weights`, one from all clips | its digest, cut | an effect at the end of the build |
//! | `codes` | `Codes`: the clip with the object that holds its codes | the clip's | an effect per clip |
//! | `shards` | `Shard`, one from many clips | its split and the bits that its tracks share | an effect per file |
//!
//! 1. **Found.** `Stage::scan` lists a source as packed `Found` rows ([`scan`]). In a run, the workers of the first
//!    process each feed a part of them, at the time of the build ([`Time`]: `build << 32`).
//! 2. **Through the stages.** A stage gives every row back as one of three: *kept* for the next stage, *dropped* with a
//!    code and a sentence, or *pending* where a dry run lacks an outcome. Nothing is lost in between: `run::conservation`
//!    of the pipeline adds up.
//! 3. **Through an effect.** The row is narrowed to its work, rows of one key are one piece of work, and the outcome is
//!    joined back to all of them. So a corrected title passes a decoder by.
//! 4. **At the end of its build.** What needs the whole corpus has its rows delayed to the build's last tick
//!    ([`end_of_build`]), when everything before is there, and then runs once.
//! 5. **Kept.** Each worker packs what each stage kept as it passes by, with a [`fingerprint`] of its id and
//!    of the parts that others read ([`kept`]). What came and went is not there in the end.
//! 6. **Published.** The record, the tables and the report read kept rows. The history holds their fingerprints, from
//!    which the next plan tells what is new, gone and changed.
//!
//! In a dataflow that stays up (`refrain watch`) rows live on: the next build feeds only what came and went.

mod collection;
pub mod fingerprint;
mod flow;
pub mod kept;
mod kind;
pub(crate) mod pack;
pub mod scan;
pub(crate) mod sort;

pub use collection::{Rows, Time, Updates};
pub use flow::{Input, end_of_build};
pub use kind::{AnyRow, Flow, Kind, Row, Visitor};
